// Attention inside the kept chunks of an HCAM, its gradients, and the gradient of what is stored.
#include "common.cuh"
#include "hcam.cuh"

// sums[v] += scale * the rows weighted by weights[v]: a thread takes one column and NM_HEADS vectors, and no other thread
// touches what it adds to.
template <class T>
__device__ __forceinline__ void nm_add_rows(const T* weights, T scale, int n_vectors, nm_matrix<T> rows, int stride, T* sums) {
    const int n_items = (n_vectors + NM_HEADS - 1) / NM_HEADS * rows.width;
    for (int item = threadIdx.x; item < n_items; item += NM_THREADS) {
        const int d = item % rows.width, v = item / rows.width * NM_HEADS;
        int offset[NM_HEADS];
        T totals[NM_HEADS] = {};
#pragma unroll
        for (int i = 0; i < NM_HEADS; ++i) offset[i] = nm_min(v + i, n_vectors - 1) * stride;
#pragma unroll 2
        for (int row = 0; row < rows.n; ++row) {
            const T number = rows.at(row, d);
#pragma unroll
            for (int i = 0; i < NM_HEADS; ++i) totals[i] = nm_fma(weights[offset[i] + row], number, totals[i]);
        }
#pragma unroll
        for (int i = 0; i < NM_HEADS; ++i) {
            if (v + i < n_vectors) sums[(v + i) * rows.width + d] += scale * totals[i];
        }
    }
}

// The zeros that nm_add_rows starts from, each written by the thread that will add to it.
template <class T>
__device__ __forceinline__ void nm_clear_sums(int n_vectors, int width, T* sums) {
    const int n_items = (n_vectors + NM_HEADS - 1) / NM_HEADS * width;
    for (int item = threadIdx.x; item < n_items; item += NM_THREADS) {
        const int v = item / width * NM_HEADS;
#pragma unroll 1
        for (int i = v; i < nm_min(v + NM_HEADS, n_vectors); ++i) sums[i * width + item % width] = 0;
    }
}

struct nm_sizes {
    int64_t n_queries;
    int32_t n_kept, n_heads, width, chunk_size, n_chunks;
};

// Scores of each head to weights over the steps that are there, 0 for the others; a warp a head.
template <class T>
__device__ __forceinline__ void nm_softmax(T* scores, int n, nm_sizes sizes, T* out_p) {
    const int lane = threadIdx.x & 31;
    for (int h = threadIdx.x >> 5; h < sizes.n_heads; h += NM_WARPS) {
        T* mine = scores + h * sizes.chunk_size;
        T* out = out_p + h * sizes.chunk_size;
        T largest = mine[0];
#pragma unroll 1
        for (int j = lane; j < n; j += 32) largest = nm_max(largest, mine[j]);
        largest = nm_warp_max(largest);
        T total = 0;
#pragma unroll 1
        for (int j = lane; j < n; j += 32) {
            mine[j] = nm_exp(mine[j] - largest);
            total += mine[j];
        }
        total = nm_warp_sum(total);
#pragma unroll 1
        for (int j = lane; j < sizes.chunk_size; j += 32) {
            const T p = j < n ? mine[j] / total : static_cast<T>(0);
            if (j < n) mine[j] = p;
            out[j] = p;
        }
    }
}

// Gradients of a chunk's scores, a warp a head: ds = w p (g - sum p g).  The sum over heads of sum p g is left in `parts`.
template <class T>
__device__ __forceinline__ void nm_score_gradients(T* g, const T* p, T weight, int n, nm_sizes sizes, T* out_d_score,
                                                   double* parts) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    double total = 0.0;
    for (int h = warp; h < sizes.n_heads; h += NM_WARPS) {
        const int first = h * sizes.chunk_size;
        T mean = 0;
#pragma unroll 1
        for (int j = lane; j < n; j += 32) mean = nm_fma(p[first + j], g[first + j], mean);
        mean = nm_warp_sum(mean);
#pragma unroll 1
        for (int j = lane; j < sizes.chunk_size; j += 32) {
            const T gradient = j < n ? weight * p[first + j] * (g[first + j] - mean) : static_cast<T>(0);
            if (j < n) g[first + j] = gradient;
            out_d_score[first + j] = gradient;
        }
        total += static_cast<double>(mean);
    }
    if (lane == 0) parts[warp] = total;
}

// What a block goes through: a query with all its chunks, or (`split`) one chunk of a query, whose sums are added later.
// Shared memory has the query's vectors and the chunk's weights (`small`), and its steps with their code (`staged`); where
// they do not fit, vectors and steps are read from global memory and the weights stand in the output.
// Forward: vectors q_tilde, per_step p, sums y.  Backward: vectors d_y, per_step d_score, sums d_q_tilde.
template <class T, bool BACKWARD>
__device__ __forceinline__ void nm_attend(const T* vectors, const T* chunk_weight, const int32_t* index, const int32_t* lane_of,
                                          const int32_t* lengths, const T* contents, const T* position, nm_sizes sizes,
                                          bool split, bool small, bool staged, T* space, const T* p, double* parts,
                                          T* out_d_weight, T* out_per_step, T* out_sums) {
    const int n_vectors = sizes.n_heads * sizes.width, n_weights = sizes.n_heads * sizes.chunk_size;
    const int64_t chunk_items = static_cast<int64_t>(sizes.chunk_size) * sizes.width;
    const int64_t n_items = split ? sizes.n_queries * sizes.n_kept : sizes.n_queries;
    T* tile = space + n_vectors + n_weights;
    for (int64_t item = blockIdx.x; item < n_items; item += gridDim.x) {
        const int64_t query = split ? item / sizes.n_kept : item;
        const int begin = split ? static_cast<int>(item % sizes.n_kept) : 0, end = split ? begin + 1 : sizes.n_kept;
        const T* mine = vectors + query * n_vectors;
        T* sums = out_sums + item * n_vectors;
        nm_clear_sums(sizes.n_heads, sizes.width, sums);
        if (small) {  // the last reading of what stood there lies before a barrier
#pragma unroll 1
            for (int i = threadIdx.x; i < n_vectors; i += NM_THREADS) space[i] = mine[i];
            mine = space;
        }
        for (int i = begin; i < end; ++i) {
            const int64_t pair = query * sizes.n_kept + i;
            const int32_t slot = index[pair];
            const T weight = chunk_weight[pair];
            T* per_step = out_per_step + pair * n_weights;
            const int64_t chunk = lane_of[query] * static_cast<int64_t>(sizes.n_chunks) + nm_max(slot, 0);
            const int n = slot < 0 || weight == 0 ? 0 : lengths[chunk];
            if (n <= 0) {  // nothing of the chunk is read
#pragma unroll 1
                for (int j = threadIdx.x; j < n_weights; j += NM_THREADS) per_step[j] = 0;
                if (BACKWARD && threadIdx.x == 0) out_d_weight[pair] = 0;
                continue;
            }
            nm_matrix<T> steps{contents + chunk * chunk_items, position, n, sizes.width};
            if (staged) {
                __syncthreads();  // the chunk before is read no more
#pragma unroll 8
                for (int j = threadIdx.x; j < n * sizes.width; j += NM_THREADS) tile[j] = steps.values[j] + position[j];
                steps = {tile, nullptr, n, sizes.width};
            }
            __syncthreads();
            T* weights = small ? space + n_vectors : per_step;
            nm_products(mine, sizes.n_heads, steps, sizes.chunk_size, weights);
            __syncthreads();
            if (BACKWARD) {
                nm_score_gradients(weights, p + pair * n_weights, weight, n, sizes, per_step, parts);
            } else {
                nm_softmax(weights, n, sizes, per_step);
            }
            __syncthreads();
            nm_add_rows(weights, BACKWARD ? static_cast<T>(1) : weight, sizes.n_heads, steps, sizes.chunk_size, sums);
            if (BACKWARD && threadIdx.x == 0) {
                double total = 0.0;
                for (int warp = 0; warp < NM_WARPS; ++warp) total += parts[warp];
                out_d_weight[pair] = static_cast<T>(total);
            }
        }
    }
}

// Sums of a query's chunks, in their order.
template <class T>
__device__ __forceinline__ void nm_sum_chunks(const T* parts, int64_t n, int n_kept, int64_t n_vectors, T* out) {
    const int64_t step = static_cast<int64_t>(gridDim.x) * NM_THREADS;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * NM_THREADS + threadIdx.x; i < n; i += step) {
        const T* part = parts + i / n_vectors * n_kept * n_vectors + i % n_vectors;
        T total = 0;
        for (int kept = 0; kept < n_kept; ++kept) total += part[kept * n_vectors];
        out[i] = total;
    }
}

// A block takes some steps of one chunk and is the only one to write them; a thread takes a column of theirs.
template <class T>
__device__ __forceinline__ void nm_scatter(const int32_t* order, const int32_t* starts, const T* q_tilde, const T* chunk_weight,
                                           const T* p, const T* d_y, const T* d_score, nm_sizes sizes, T* out_d_contents) {
    constexpr int ROWS = 2 * nm_rows<T>::count;
    const int n_parts = (sizes.chunk_size + ROWS - 1) / ROWS;
    const int64_t n_items = static_cast<int64_t>(sizes.n_chunks) * n_parts;
    for (int64_t item = blockIdx.x; item < n_items; item += gridDim.x) {
        const int64_t chunk = item / n_parts;
        const int first = static_cast<int>(item % n_parts) * ROWS;
        for (int d = threadIdx.x; d < sizes.width; d += NM_THREADS) {
            T totals[ROWS] = {};
            for (int place = starts[chunk]; place < starts[chunk + 1]; ++place) {
                const int64_t pair = order[place], query = pair / sizes.n_kept;
                const T weight = chunk_weight[pair];
                for (int h = 0; h < sizes.n_heads; ++h) {
                    const int64_t vector = (query * sizes.n_heads + h) * sizes.width + d;
                    const int64_t weights = (pair * sizes.n_heads + h) * sizes.chunk_size;
                    const T up = weight * d_y[vector], q = q_tilde[vector];
#pragma unroll
                    for (int r = 0; r < ROWS; ++r) {
                        const int64_t step = weights + nm_min(first + r, sizes.chunk_size - 1);
                        totals[r] = nm_fma(d_score[step], q, nm_fma(p[step], up, totals[r]));
                    }
                }
            }
            T* out = out_d_contents + (chunk * sizes.chunk_size + first) * sizes.width + d;
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                if (first + r < sizes.chunk_size) out[static_cast<int64_t>(r) * sizes.width] = totals[r];
            }
        }
    }
}

extern "C" {

// ---------------------------------------------------------------- kernels

__global__ void __launch_bounds__(NM_THREADS, NM_BLOCKS)
    nm_hcam_attend(const void* q_tilde, const void* chunk_weight, const int32_t* index, const int32_t* lane,
                   const int32_t* lengths, const void* contents, const void* position, int64_t n_queries, int32_t n_kept,
                   int32_t n_heads, int32_t width, int32_t chunk_size, int32_t n_chunks, int32_t item_bytes, int32_t split,
                   int32_t small, int32_t staged, void* out_p, void* out_sums) {
    extern __shared__ double shared_numbers[];
    const nm_sizes sizes{n_queries, n_kept, n_heads, width, chunk_size, n_chunks};
    if (item_bytes == 4) {
        nm_attend<float, false>(static_cast<const float*>(q_tilde), static_cast<const float*>(chunk_weight), index, lane, lengths,
                                static_cast<const float*>(contents), static_cast<const float*>(position), sizes, split != 0,
                                small != 0, staged != 0, reinterpret_cast<float*>(shared_numbers), nullptr, nullptr, nullptr,
                                static_cast<float*>(out_p), static_cast<float*>(out_sums));
    } else {
        nm_attend<double, false>(static_cast<const double*>(q_tilde), static_cast<const double*>(chunk_weight), index, lane,
                                 lengths, static_cast<const double*>(contents), static_cast<const double*>(position), sizes,
                                 split != 0, small != 0, staged != 0, shared_numbers, nullptr, nullptr, nullptr,
                                 static_cast<double*>(out_p), static_cast<double*>(out_sums));
    }
}

__global__ void __launch_bounds__(NM_THREADS, NM_BLOCKS)
    nm_hcam_attend_back(const void* d_y, const void* chunk_weight, const int32_t* index, const int32_t* lane,
                        const int32_t* lengths, const void* contents, const void* position, const void* p, int64_t n_queries,
                        int32_t n_kept, int32_t n_heads, int32_t width, int32_t chunk_size, int32_t n_chunks,
                        int32_t item_bytes, int32_t split, int32_t small, int32_t staged, void* out_d_weight,
                        void* out_d_score, void* out_sums) {
    extern __shared__ double shared_numbers[];
    __shared__ double parts[NM_WARPS];
    const nm_sizes sizes{n_queries, n_kept, n_heads, width, chunk_size, n_chunks};
    if (item_bytes == 4) {
        nm_attend<float, true>(static_cast<const float*>(d_y), static_cast<const float*>(chunk_weight), index, lane, lengths,
                               static_cast<const float*>(contents), static_cast<const float*>(position), sizes, split != 0,
                               small != 0, staged != 0, reinterpret_cast<float*>(shared_numbers), static_cast<const float*>(p),
                               parts, static_cast<float*>(out_d_weight), static_cast<float*>(out_d_score),
                               static_cast<float*>(out_sums));
    } else {
        nm_attend<double, true>(static_cast<const double*>(d_y), static_cast<const double*>(chunk_weight), index, lane, lengths,
                                static_cast<const double*>(contents), static_cast<const double*>(position), sizes, split != 0,
                                small != 0, staged != 0, shared_numbers, static_cast<const double*>(p), parts,
                                static_cast<double*>(out_d_weight), static_cast<double*>(out_d_score),
                                static_cast<double*>(out_sums));
    }
}

__global__ void __launch_bounds__(NM_THREADS, NM_BLOCKS)
    nm_hcam_sum_chunks(const void* parts, int64_t n, int32_t n_kept, int64_t n_vectors, int32_t item_bytes, void* out) {
    if (item_bytes == 4) {
        nm_sum_chunks(static_cast<const float*>(parts), n, n_kept, n_vectors, static_cast<float*>(out));
    } else {
        nm_sum_chunks(static_cast<const double*>(parts), n, n_kept, n_vectors, static_cast<double*>(out));
    }
}

__global__ void __launch_bounds__(NM_THREADS, NM_BLOCKS)
    nm_hcam_scatter(const int32_t* order, const int32_t* starts, const void* q_tilde, const void* chunk_weight, const void* p,
                    const void* d_y, const void* d_score, int32_t n_kept, int32_t n_heads, int32_t width, int32_t chunk_size,
                    int32_t n_chunks, int32_t item_bytes, void* out_d_contents) {
    const nm_sizes sizes{0, n_kept, n_heads, width, chunk_size, n_chunks};
    if (item_bytes == 4) {
        nm_scatter(order, starts, static_cast<const float*>(q_tilde), static_cast<const float*>(chunk_weight),
                   static_cast<const float*>(p), static_cast<const float*>(d_y), static_cast<const float*>(d_score), sizes,
                   static_cast<float*>(out_d_contents));
    } else {
        nm_scatter(order, starts, static_cast<const double*>(q_tilde), static_cast<const double*>(chunk_weight),
                   static_cast<const double*>(p), static_cast<const double*>(d_y), static_cast<const double*>(d_score), sizes,
                   static_cast<double*>(out_d_contents));
    }
}
}
