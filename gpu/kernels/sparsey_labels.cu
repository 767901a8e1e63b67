// Sparsey's label fields and readout on the GPU: the arithmetic of neuromem/sparsey/kernels/labels.py and readout.py.
#include "common.cuh"

#define NM_ALL 0xFFFFFFFFu

__device__ __forceinline__ int nm_code_at(const void* codes, int64_t i, int code_bytes) {
    return code_bytes == 1 ? static_cast<const uint8_t*>(codes)[i] : static_cast<const uint16_t*>(codes)[i];
}

__device__ __forceinline__ int64_t nm_thread() {
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ int64_t nm_threads() {
    return static_cast<int64_t>(gridDim.x) * blockDim.x;
}

extern "C" {

// A thread an item and module; counts are whole numbers, so the order of the additions does not matter.
__global__ void nm_sparsey_count_labels(const void* codes, int64_t n_items, int32_t n_modules, int32_t code_bytes, int32_t silent,
                                        int32_t units, const int64_t* labels, int32_t n_classes, uint32_t* counts) {
    for (int64_t i = nm_thread(); i < n_items * n_modules; i += nm_threads()) {
        const int winner = nm_code_at(codes, i, code_bytes);
        const int64_t row = (i % n_modules) * units + winner;
        if (winner != silent) atomicAdd(&counts[row * n_classes + labels[i / n_modules]], 1u);
    }
}

// One block goes through the items in order: an item meets the weights that the one before it left.
__global__ void nm_sparsey_correct_errors(const void* codes, int64_t n_items, int32_t n_modules, int32_t code_bytes,
                                          int32_t silent, int32_t units, const int64_t* labels, double margin, int64_t first_step,
                                          int32_t n_columns, int32_t n_classes, int32_t scores_in_scratch, uint64_t* scratch,
                                          int32_t* weights, int64_t* step_weighted) {
    extern __shared__ int32_t shared_scores[];
    int32_t* scores = scores_in_scratch ? reinterpret_cast<int32_t*>(scratch) : shared_scores;  // n_classes sums, then the number of modules awake
    int32_t* n_awake = scores + n_classes;
    const int n_threads = blockDim.x, rank = threadIdx.x;
    // a row's columns side by side, as many rows at once as there are threads for
    const int n_groups = nm_max(1, n_threads / n_classes);
    const int group = rank / n_classes, column = n_groups == 1 ? rank : rank % n_classes;
    for (int64_t n = 0; n < n_items; ++n) {
        const int64_t code = n * n_modules;
        for (int c = rank; c <= n_classes; c += n_threads) scores[c] = 0;
        __syncthreads();
        for (int c = column; c < n_classes && group < n_groups; c += n_threads) {
            int sum = 0, awake = 0;
            for (int j = group; j < n_modules; j += n_groups) {
                const int winner = nm_code_at(codes, code + j, code_bytes);
                if (winner == silent) continue;
                sum += weights[(static_cast<int64_t>(j) * units + winner) * n_columns + c];
                ++awake;
            }
            atomicAdd(&scores[c], sum);
            if (c == 0) atomicAdd(n_awake, awake);
        }
        __syncthreads();
        const int truth = static_cast<int>(labels[n]);
        int rival = -1;
        for (int c = 0; c < n_classes; ++c) {  // every thread finds the same one: cheaper than telling it
            if (c != truth && (rival < 0 || scores[c] > scores[rival])) rival = c;
        }
        if (rival >= 0 && scores[truth] < scores[rival] + margin * *n_awake) {
            const int64_t step = first_step + n;
            for (int j = rank; j < n_modules; j += n_threads) {
                const int winner = nm_code_at(codes, code + j, code_bytes);
                if (winner == silent) continue;
                const int64_t row = static_cast<int64_t>(j) * units + winner;
                weights[row * n_columns + truth] += 1;
                weights[row * n_columns + rival] -= 1;
                step_weighted[row * n_classes + truth] += step;
                step_weighted[row * n_classes + rival] -= step;
            }
        }
        __syncthreads();
    }
}

// A thread an item and column; rows are added in module order, as on the CPU.
__global__ void nm_sparsey_sum_scores(const void* codes, int64_t n_items, int32_t n_modules, int32_t code_bytes, int32_t silent,
                                      int32_t units, const double* table, int32_t n_columns, double* out_scores) {
    for (int64_t i = nm_thread(); i < n_items * n_columns; i += nm_threads()) {
        const int64_t code = i / n_columns * n_modules;
        const double* column = table + i % n_columns;
        double sum = 0.0;
        for (int j = 0; j < n_modules; ++j) {
            const int winner = nm_code_at(codes, code + j, code_bytes);
            if (winner != silent) sum += column[(static_cast<int64_t>(j) * units + winner) * n_columns];
        }
        out_scores[i] = sum;
    }
}

// A block an item.  Sums of whole numbers are exact in float, and one mac's rows are different features, so macs take turns.
__global__ void nm_sparsey_reconstruct(const void* codes, int64_t n_items, int32_t n_macs, int32_t n_modules, int32_t code_bytes,
                                       int32_t silent, const uint16_t* position_of_cell, int32_t units, int32_t padded,
                                       const uint64_t* weights, int32_t n_afferents, int32_t n_words,
                                       const int32_t* feature_of_row, const float* coverage, int32_t n_features,
                                       float* out_scores) {
    for (int64_t n = blockIdx.x; n < n_items; n += gridDim.x) {
        float* scores = out_scores + n * n_features;
        for (int f = threadIdx.x; f < n_features; f += blockDim.x) scores[f] = 0.0f;
        for (int m = 0; m < n_macs; ++m) {
            __syncthreads();
            const int64_t code = (n * n_macs + m) * n_modules;
            if (nm_code_at(codes, code, code_bytes) == silent) continue;
            const uint16_t* positions = position_of_cell + static_cast<int64_t>(m) * n_modules * units;
            for (int r = threadIdx.x; r < n_afferents; r += blockDim.x) {
                const uint64_t* row = weights + (m * (static_cast<int64_t>(n_afferents) + 1) + r) * n_words;
                int shared = 0;
                for (int q = 0; q < n_modules; ++q) {
                    const int position = positions[static_cast<int64_t>(q) * units + nm_code_at(codes, code + q, code_bytes)];
                    const int bit = padded <= 64 ? q * padded + position : 64 * ((position >> 6) * n_modules + q) + (position & 63);
                    shared += static_cast<int>(row[bit >> 6] >> (bit & 63)) & 1;
                }
                scores[feature_of_row[static_cast<int64_t>(m) * n_afferents + r]] += static_cast<float>(shared);
            }
        }
        __syncthreads();
        for (int f = threadIdx.x; f < n_features; f += blockDim.x) {
            scores[f] = scores[f] * coverage[f] / static_cast<float>(n_modules);
        }
    }
}

// A warp a pair of codes, lanes side by side along them.
__global__ void nm_sparsey_shared_winners(const void* codes_a, int64_t n_a, const void* codes_b, int64_t n_b, int32_t n_modules,
                                          int32_t code_bytes, int32_t silent, int32_t* out_shared) {
    const int lane = threadIdx.x & 31;
    for (int64_t pair = nm_thread() >> 5; pair < n_a * n_b; pair += nm_threads() >> 5) {
        const int64_t a = pair / n_b * n_modules, b = pair % n_b * n_modules;
        int shared = 0;
        for (int j = lane; j < n_modules; j += 32) {
            const int winner = nm_code_at(codes_a, a + j, code_bytes);
            shared += winner == nm_code_at(codes_b, b + j, code_bytes) && winner != silent;
        }
        for (int offset = 16; offset > 0; offset /= 2) shared += __shfl_xor_sync(NM_ALL, shared, offset);
        if (lane == 0) out_shared[pair] = shared;
    }
}
}
