// The chunks of an HCAM whose summaries fit a query best: scores of tiles, the k best of each, and the merging of tiles.
#include "common.cuh"
#include "hcam.cuh"

// ---------------------------------------------------------------- the k best

template <class T>
struct nm_candidate {
    T score;
    int32_t index;  // -1: none
};

template <class T>
__device__ __forceinline__ nm_candidate<T> nm_nobody() {
    return {static_cast<T>(nm_from_bits(0xFFF0000000000000ull)), -1};
}

// Larger scores first, then lower indices; no score here is NaN.
template <class T>
__device__ __forceinline__ bool nm_before(nm_candidate<T> a, nm_candidate<T> b) {
    if (a.index < 0 || b.index < 0) return a.index >= 0;
    return a.score > b.score || (a.score == b.score && a.index < b.index);
}

template <class T>
__device__ __forceinline__ nm_candidate<T> nm_warp_first(nm_candidate<T> mine) {
    for (int apart = 16; apart > 0; apart /= 2) {
        const nm_candidate<T> other{__shfl_xor_sync(NM_ALL, mine.score, apart), __shfl_xor_sync(NM_ALL, mine.index, apart)};
        if (nm_before(other, mine)) mine = other;
    }
    return mine;
}

// The best of a lane's scores that are not taken yet: those of places lane, lane + 32, ...
template <class T>
__device__ __forceinline__ nm_candidate<T> nm_best_left(const T* scores, int n, int32_t first, uint32_t taken) {
    nm_candidate<T> best = nm_nobody<T>();
    int bit = 0;
#pragma unroll 1
    for (int i = threadIdx.x & 31; i < n; i += 32, ++bit) {
        const nm_candidate<T> other{scores[i], first + i};
        if (!(taken >> bit & 1) && nm_before(other, best)) best = other;
    }
    return best;
}

// A warp takes the k best of a tile's scores, one after another.  Chunks that may not be seen have `masked` for a score; a
// score of -inf or NaN is left out.
template <class T>
__device__ __forceinline__ void nm_take_best(T* scores, int n, int32_t first, const uint8_t* visible, T masked, int k,
                                             int32_t* out_index, T* out_score) {
    const int lane = threadIdx.x & 31;
    uint32_t taken = 0;
    int bit = 0;
#pragma unroll 1
    for (int i = lane; i < n; i += 32, ++bit) {  // each lane sees its own places only
        if (!visible[first + i]) scores[i] = masked;
        if (!(scores[i] > nm_nobody<T>().score)) taken |= 1u << bit;
    }
    nm_candidate<T> mine = nm_best_left(scores, n, first, taken);
#pragma unroll 1
    for (int place = 0; place < k; ++place) {
        const nm_candidate<T> best = nm_warp_first(mine);
        if (lane == 0) {
            out_index[place] = best.index;
            out_score[place] = best.score;
        }
        if (best.index >= 0 && ((best.index - first) & 31) == lane) {
            taken |= 1u << ((best.index - first) / 32);
            mine = nm_best_left(scores, n, first, taken);
        }
    }
}

// A block takes NM_HEADS queries and one tile of summaries: scores into shared memory, then a warp a query.
template <class T>
__device__ __forceinline__ void nm_score_tile(const T* q_hat, const T* summaries, const int32_t* lane_of, const uint8_t* visible,
                                              T masked, int64_t n_queries, int n_chunks, int width, int tile, int n_tiles,
                                              int n_kept, bool in_shared, T* space, int32_t* out_index, T* out_score) {
    const int64_t n_groups = (n_queries + NM_HEADS - 1) / NM_HEADS;
    const int64_t first_query = blockIdx.x % n_groups * NM_HEADS;  // blocks that run together share the tile's summaries
    const int number = static_cast<int>(blockIdx.x / n_groups), first = number * tile, n = nm_min(tile, n_chunks - first);
    const int n_mine = static_cast<int>(nm_min<int64_t>(NM_HEADS, n_queries - first_query));
    const T* queries = q_hat + first_query * width;
    T* scores = space;
    if (in_shared) {
        T* kept = space + NM_HEADS * tile;
        for (int i = threadIdx.x; i < n_mine * width; i += NM_THREADS) kept[i] = queries[i];
        queries = kept;
        __syncthreads();
    }
    for (int run = 0, end = 0; run < n_mine; run = end) {  // neighbours that ask one memory
        const int64_t memory = lane_of[first_query + run];
        for (end = run + 1; end < n_mine && lane_of[first_query + end] == memory;) ++end;
        const nm_matrix<T> rows{summaries + (memory * n_chunks + first) * width, nullptr, n, width};
        nm_products(queries + run * width, end - run, rows, tile, scores + run * tile);
    }
    __syncthreads();
    for (int i = threadIdx.x >> 5; i < n_mine; i += NM_WARPS) {
        const int64_t query = first_query + i, place = (query * n_tiles + number) * n_kept;
        nm_take_best(scores + i * tile, n, first, visible + query * n_chunks, masked, n_kept, out_index + place,
                     out_score + place);
    }
}

// The first of a lane's sorted lists: those of tiles lane, lane + 32, ...
template <class T>
__device__ __forceinline__ nm_candidate<T> nm_best_head(const int32_t* indices, const T* scores, const int32_t* heads,
                                                        int n_tiles, int n_kept, int* tile) {
    nm_candidate<T> best = nm_nobody<T>();
#pragma unroll 1
    for (int t = threadIdx.x & 31; t < n_tiles; t += 32) {
        if (heads[t] == n_kept) continue;
        const int64_t place = static_cast<int64_t>(t) * n_kept + heads[t];
        const nm_candidate<T> other{scores[place], indices[place]};
        if (!nm_before(other, best)) continue;
        best = other;
        *tile = t;
    }
    return best;
}

// A warp merges the sorted lists of a query's tiles.
template <class T>
__device__ __forceinline__ void nm_merge_lists(const int32_t* indices, const T* scores, int n_tiles, int n_kept, int k,
                                               int32_t* heads, int32_t* out_index, T* out_score) {
    const int lane = threadIdx.x & 31;
    int tile = 0;
#pragma unroll 1
    for (int t = lane; t < n_tiles; t += 32) heads[t] = 0;  // each lane sees its own lists only
    nm_candidate<T> mine = nm_best_head(indices, scores, heads, n_tiles, n_kept, &tile);
#pragma unroll 1
    for (int place = 0; place < k; ++place) {
        const nm_candidate<T> best = nm_warp_first(mine);
        if (lane == 0) {
            out_index[place] = best.index;
            out_score[place] = best.score;
        }
        if (best.index >= 0 && best.index == mine.index) {
            ++heads[tile];
            mine = nm_best_head(indices, scores, heads, n_tiles, n_kept, &tile);
        }
    }
}

extern "C" {

// ---------------------------------------------------------------- kernels

// A block a tile of at most 1024 summaries, which is a bit of `taken` for each lane's, and four queries.
__global__ void __launch_bounds__(NM_THREADS, NM_BLOCKS)
    nm_hcam_score_tiles(const void* q_hat, const void* summaries, const int32_t* lane, const uint8_t* visible, double masked,
                        int64_t n_queries, int32_t n_chunks, int32_t width, int32_t tile, int32_t n_tiles, int32_t n_kept,
                        int32_t item_bytes, int32_t in_shared, int32_t* out_index, void* out_score) {
    extern __shared__ double shared_numbers[];
    if (item_bytes == 4) {
        nm_score_tile(static_cast<const float*>(q_hat), static_cast<const float*>(summaries), lane, visible,
                      static_cast<float>(masked), n_queries, n_chunks, width, tile, n_tiles, n_kept, in_shared != 0,
                      reinterpret_cast<float*>(shared_numbers), out_index, static_cast<float*>(out_score));
    } else {
        nm_score_tile(static_cast<const double*>(q_hat), static_cast<const double*>(summaries), lane, visible, masked, n_queries,
                      n_chunks, width, tile, n_tiles, n_kept, in_shared != 0, shared_numbers, out_index,
                      static_cast<double*>(out_score));
    }
}

// A warp a query.
__global__ void __launch_bounds__(NM_THREADS, NM_BLOCKS)
    nm_hcam_merge_tiles(const int32_t* index, const void* score, int64_t n_queries, int32_t n_tiles, int32_t n_kept, int32_t k,
                        int32_t item_bytes, int32_t* heads, int32_t* out_index, void* out_score) {
    const int64_t query = static_cast<int64_t>(blockIdx.x) * NM_WARPS + (threadIdx.x >> 5);
    if (query >= n_queries) return;
    const int64_t list = query * n_tiles * n_kept, place = query * k;
    if (item_bytes == 4) {
        nm_merge_lists(index + list, static_cast<const float*>(score) + list, n_tiles, n_kept, k, heads + query * n_tiles,
                       out_index + place, static_cast<float*>(out_score) + place);
    } else {
        nm_merge_lists(index + list, static_cast<const double*>(score) + list, n_tiles, n_kept, k, heads + query * n_tiles,
                       out_index + place, static_cast<double*>(out_score) + place);
    }
}
}
