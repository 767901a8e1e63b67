// Kernels of nothing but common.cuh, one element a thread: tests compare them with NumPy and Numba bit by bit.
#include "common.cuh"

__device__ __forceinline__ int64_t nm_thread() {
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

extern "C" {

// counters (n, 4), key (2,) -> lanes (n, 4), uniform (n, 2) from pairs of lanes
__global__ void nm_foundation_philox(const uint32_t* counters, const uint32_t* key, int64_t n, uint32_t* lanes,
                                     double* uniform) {
    const int64_t i = nm_thread();
    if (i >= n) return;
    const uint32_t* c = counters + 4 * i;
    const nm_lanes drawn = nm_philox4x32(c[0], c[1], c[2], c[3], key[0], key[1]);
    for (int j = 0; j < 4; ++j) lanes[4 * i + j] = drawn.lane[j];
    for (int j = 0; j < 2; ++j) uniform[2 * i + j] = nm_uniform53(drawn.lane[2 * j], drawn.lane[2 * j + 1]);
}

__global__ void nm_foundation_exp(const double* x, int64_t n, double* out) {
    const int64_t i = nm_thread();
    if (i < n) out[i] = nm_exp64(x[i]);
}

__global__ void nm_foundation_log(const double* x, int64_t n, double* out) {
    const int64_t i = nm_thread();
    if (i < n) out[i] = nm_log64(x[i]);
}

__global__ void nm_foundation_power(const double* x, double y, int64_t n, double* out) {
    const int64_t i = nm_thread();
    if (i < n) out[i] = nm_power64(x[i], y);
}

// out (n, 2): how many bits of each word are set, and which is the lowest (-1 without any)
__global__ void nm_foundation_bits(const uint64_t* words, int64_t n, int32_t* out) {
    const int64_t i = nm_thread();
    if (i >= n) return;
    out[2 * i] = nm_popcount64(words[i]);
    out[2 * i + 1] = words[i] ? nm_trailing_zeros64(words[i]) : -1;
}
}
