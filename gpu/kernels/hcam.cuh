// What the kernels of an HCAM share: sums over a warp, and rows of numbers against vectors.
//
// Kernels take float32 and float64 alike (`item_bytes`) and sum in the arrays' own type.  A sum over the width is a warp's:
// lanes along the width, then a butterfly.  No order of adding depends on where in a batch a query or a chunk stands, and
// there are no atomics, so a launch always gives the same bits.  Products and sums are fused where they stand side by side.
#ifndef NM_HCAM_CUH
#define NM_HCAM_CUH

#define NM_ALL 0xFFFFFFFFu
#define NM_THREADS 128
#define NM_BLOCKS 5  // of a multiprocessor: as many as registers must suffice for
#define NM_WARPS (NM_THREADS / 32)
#define NM_HEADS 4  // heads, or queries of one lane, that a thread serves at once

__device__ __forceinline__ float nm_fma(float a, float b, float c) {
    return fmaf(a, b, c);
}

__device__ __forceinline__ double nm_fma(double a, double b, double c) {
    return fma(a, b, c);
}

__device__ __forceinline__ float nm_exp(float x) {
    return expf(x);
}

__device__ __forceinline__ double nm_exp(double x) {
    return nm_exp64(x);
}

// Steps that a warp serves at once: as many as leave both types the same number of registers.
template <class T>
struct nm_rows {
    static constexpr int count = 16 / sizeof(T);
};

// ---------------------------------------------------------------- a warp's sums

// Sums of several values over the warp at once: lane i ends with that of value i / (32 / COUNT).
template <int COUNT, class T>
__device__ __forceinline__ T nm_fold(T (&values)[COUNT]) {
    const int lane = threadIdx.x & 31;
    int apart = 16;
#pragma unroll
    for (int half = COUNT / 2; half > 0; half /= 2) {
        const bool upper = (lane & apart) != 0;
#pragma unroll
        for (int i = 0; i < half; ++i) {
            const T mine = upper ? values[half + i] : values[i];
            const T given = upper ? values[i] : values[half + i];
            values[i] = mine + __shfl_xor_sync(NM_ALL, given, apart);
        }
        apart /= 2;
    }
    for (; apart > 0; apart /= 2) values[0] += __shfl_xor_sync(NM_ALL, values[0], apart);
    return values[0];
}

template <class T>
__device__ __forceinline__ T nm_warp_sum(T value) {
    T values[1] = {value};
    return nm_fold(values);
}

template <class T>
__device__ __forceinline__ T nm_warp_max(T value) {
    for (int apart = 16; apart > 0; apart /= 2) value = nm_max(value, __shfl_xor_sync(NM_ALL, value, apart));
    return value;
}

// ---------------------------------------------------------------- rows against vectors

// Rows of numbers in global memory, to which their position code is still to be added, or in shared memory, where it is.
template <class T>
struct nm_matrix {
    const T* values;
    const T* position;  // null: nothing is added
    int n, width;
    __device__ __forceinline__ T at(int row, int column) const {
        const int i = row * width + column;
        return position ? values[i] + position[i] : values[i];
    }
};

// out[v * stride + row] = vectors[v] . rows[row]: a warp takes several rows and NM_HEADS vectors, lanes along the width.
template <class T>
__device__ __forceinline__ void nm_products(const T* vectors, int n_vectors, nm_matrix<T> rows, int stride, T* out) {
    constexpr int ROWS = nm_rows<T>::count, COUNT = ROWS * NM_HEADS, SHARERS = 32 / COUNT;
    const int lane = threadIdx.x & 31;
    for (int first = ROWS * static_cast<int>(threadIdx.x >> 5); first < rows.n; first += ROWS * NM_WARPS) {
        for (int v = 0; v < n_vectors; v += NM_HEADS) {
            T sums[COUNT] = {};
#pragma unroll 1
            for (int d = lane; d < rows.width; d += 32) {
                T numbers[NM_HEADS];
#pragma unroll
                for (int i = 0; i < NM_HEADS; ++i) {
                    const int vector = nm_min(v + i, n_vectors - 1);
                    numbers[i] = vectors[vector * rows.width + d];
                }
#pragma unroll
                for (int r = 0; r < ROWS; ++r) {
                    const T number = rows.at(nm_min(first + r, rows.n - 1), d);
#pragma unroll
                    for (int i = 0; i < NM_HEADS; ++i) {
                        sums[r * NM_HEADS + i] = nm_fma(number, numbers[i], sums[r * NM_HEADS + i]);
                    }
                }
            }
            const T total = nm_fold(sums);
            const int row = first + lane / SHARERS / NM_HEADS, vector = v + lane / SHARERS % NM_HEADS;
            if (lane % SHARERS == 0 && row < rows.n && vector < n_vectors) {
                out[vector * stride + row] = total;
            }
        }
    }
}

#endif
