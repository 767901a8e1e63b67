// Kernels with a fault each, and the same kernels without it: what the checks of tests/test_cuda_cpu.py must see.
#include "common.cuh"

extern "C" {

// Sum of each block's values; `barriers` has a bit for each of the two barriers that are there.
__global__ void nm_planted_sum(const int32_t* values, int32_t barriers, int32_t* out) {
    extern __shared__ int32_t part[];
    const int t = threadIdx.x;
    part[t] = values[blockIdx.x * blockDim.x + t];
    if (barriers & 1) __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (t < half) part[t] += part[t + half];
        if (barriers & 2) __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = part[0];
}

// A count by all threads of all blocks, by an atomic or by reading and writing.
__global__ void nm_planted_count(int32_t atomic, int32_t* out) {
    if (atomic) {
        atomicAdd(out, 1);
    } else {
        out[0] += 1;
    }
}

// The last thread wins.
__global__ void nm_planted_overwrite(int32_t* out) {
    out[0] = blockIdx.x * blockDim.x + threadIdx.x;
}

// Reads `reach` items past its own.
__global__ void nm_planted_neighbour(const double* values, int64_t n, int64_t reach, double* out) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) out[i] = values[i + reach];
}

// Writes item `place` of its dynamic shared memory.
__global__ void nm_planted_shared_write(int32_t place, int32_t* out) {
    extern __shared__ int32_t space[];
    space[place] = 7;
    out[0] = space[0];
}

// Threads from `first` on end before the barrier.
__global__ void nm_planted_leave(int32_t first, int32_t* out) {
    if (threadIdx.x >= first) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

// Even and odd threads meet at barriers of their own.
__global__ void nm_planted_part(int32_t* out) {
    if (threadIdx.x % 2) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    out[threadIdx.x] = 1;
}

// Half a warp waits for all of it, the other half for the block.
__global__ void nm_planted_half_warp(int32_t* out) {
    if (threadIdx.x % 32 < 16) {
        __syncwarp();
    } else {
        __syncthreads();
    }
    out[threadIdx.x] = 1;
}

// Lanes of one warp meet in two functions, or use a mask without themselves.
__global__ void nm_planted_functions(int32_t other_mask, int32_t* out) {
    const uint32_t mask = other_mask ? 0xFFFFu : 0xFFFFFFFFu;
    if (threadIdx.x % 2 && !other_mask) {
        out[threadIdx.x] = __ballot_sync(mask, 1);
    } else {
        out[threadIdx.x] = __shfl_sync(mask, 5, 0);
    }
}

// Adds to shared memory, dynamic or static, that nobody has set to zero unless asked to.
__global__ void nm_planted_unset(int32_t clear, int32_t* dynamic_out, int32_t* static_out) {
    extern __shared__ int32_t space[];
    __shared__ int32_t fixed[4];
    if (clear) space[0] = fixed[0] = 0;
    space[0] += 1;
    fixed[0] += 1;
    dynamic_out[blockIdx.x] = space[0];
    static_out[blockIdx.x] = fixed[0];
}

// Neighbours in a warp exchange values through memory, with __syncwarp or only a vote between.
__global__ void nm_planted_vote(int32_t barrier, int32_t* out) {
    extern __shared__ int32_t space[];
    space[threadIdx.x] = threadIdx.x;
    if (barrier) {
        __syncwarp();
    } else {
        __any_sync(0xFFFFFFFFu, 1);
    }
    out[threadIdx.x] = space[threadIdx.x ^ 1];
}

// Each warp function once: xor sum, value from above, prefix sum, ballot, any, all, within groups of eight.
__global__ void nm_planted_warp(const int32_t* values, int32_t* out) {
    const unsigned all = 0xFFFFFFFFu;
    const int t = threadIdx.x, lane = t % 32;
    int sum = values[t], upto = values[t];
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(all, sum, offset);
    for (int offset = 1; offset < 32; offset *= 2) {
        const int before = __shfl_up_sync(all, upto, offset);
        if (lane >= offset) upto += before;
    }
    int32_t* mine = out + 8 * t;
    mine[0] = sum;
    mine[1] = upto;
    mine[2] = __shfl_down_sync(all, values[t], 3);
    mine[3] = static_cast<int>(__ballot_sync(all, values[t] % 2));
    mine[4] = __any_sync(all, values[t] == 3);
    mine[5] = __all_sync(all, values[t] < 32);
    mine[6] = __shfl_sync(all, values[t], 2, 8);
    mine[7] = __syncthreads_count(values[t] % 3 == 0);
}

// Where the thread is, by 2 x 3 x 2 blocks of 4 x 2 x 3 threads.
__global__ void nm_planted_places(int32_t* out) {
    const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = 100 * block + thread;
}
}
