// Sparsey on the GPU: presentation of single items to macs.
#include "common.cuh"
#include "sparsey.cuh"

// Work space of a team; `rows` and `n_rows` list active afferents, `planes` hold bit-sliced counts (plane p: bit p).
struct nm_work {
    int64_t* excess;       // n_excess
    int64_t* total;        // 1
    double* combined;      // n_modules
    uint32_t* planes;      // n_planes * n_words
    uint32_t* candidates;  // n_words
    int32_t* best;         // n_modules
    int32_t* rows;         // NM_CHUNK
    int32_t* n_rows;       // 1
};

// The layout that work_words() in gpu/sparsey.py counts.
__device__ __forceinline__ nm_work nm_work_at(uint64_t* base, nm_shape s, int n_excess) {
    nm_work work;
    work.excess = reinterpret_cast<int64_t*>(base);
    work.total = work.excess + n_excess;
    work.combined = reinterpret_cast<double*>(work.total + 1);
    work.planes = reinterpret_cast<uint32_t*>(work.combined + s.n_modules);
    work.candidates = work.planes + static_cast<int64_t>(s.n_planes) * s.n_words;
    work.best = reinterpret_cast<int32_t*>(work.candidates + s.n_words);
    work.rows = work.best + s.n_modules;
    work.n_rows = work.rows + NM_CHUNK;
    return work;
}

__device__ __forceinline__ int nm_code_at(const void* codes, int64_t i, int code_bytes) {
    return code_bytes == 1 ? static_cast<const uint8_t*>(codes)[i] : static_cast<const uint16_t*>(codes)[i];
}

__device__ __forceinline__ void nm_store_code(void* codes, int64_t i, int code_bytes, int winner) {
    if (code_bytes == 1) {
        static_cast<uint8_t*>(codes)[i] = static_cast<uint8_t>(winner);
    } else {
        static_cast<uint16_t*>(codes)[i] = static_cast<uint16_t>(winner);
    }
}

// The afferents of one mac that are active in an item.
struct nm_active {
    const int32_t* indices;
    const int32_t* row_of_feature;

    __device__ __forceinline__ int row(int64_t j) const {
        return row_of_feature[indices[j]];
    }
};

__device__ __forceinline__ double nm_combined_input(int64_t count, int64_t n_active, double u_exponent) {
    if (count >= n_active) return 1.0;
    return nm_power64(static_cast<double>(count) / static_cast<double>(n_active), u_exponent);
}

// G: the mean over modules of the largest V.  Every thread adds in module order, as the CPU does.
__device__ double nm_mean_combined(nm_team team, nm_shape s, int n_planes, int64_t n_active, double u_exponent, nm_work work) {
    for (int q = team.rank; q < s.n_modules; q += team.size) {
        const int count = nm_count_of(s, work.planes, n_planes, q, work.best[q]);
        work.combined[q] = nm_combined_input(count, n_active, u_exponent);
    }
    nm_meet(team);
    double total = 0.0;
    for (int q = 0; q < s.n_modules; ++q) total += work.combined[q];
    return total / static_cast<double>(s.n_modules);
}

extern "C" {

// One block learns the whole stream of one mac, item after item; macs are independent.
__global__ void nm_sparsey_learn(const int32_t* indices, const int64_t* indptr, int64_t n_items, const int32_t* row_of_feature,
                                 int32_t n_features, const uint16_t* cell_order, int32_t n_macs, int32_t n_afferents,
                                 int32_t n_modules, int32_t units, int32_t padded, int32_t n_words, int32_t n_planes,
                                 int64_t lowest, int64_t highest, int64_t normaliser, double u_exponent, double floor,
                                 double exponent, double scale, double s1, double s2, double s3, double s4, int32_t logistic,
                                 int32_t uniform_winners, int32_t freeze, int64_t cell_limit, int64_t mac_limit, uint32_t key0,
                                 uint32_t key1, int64_t first_step, int64_t n_learned, int32_t silent, int32_t code_bytes,
                                 int64_t scratch_words, int64_t work_words, int32_t weights_in_shared, uint64_t* scratch,
                                 uint64_t* all_weights, int32_t* n_weights, uint8_t* frozen, void* out_codes, void* out_written,
                                 double* out_familiarity) {
    extern __shared__ uint64_t shared_space[];
    const nm_shape s = {n_afferents, n_modules, units, padded, n_words, n_planes};
    const nm_team team = {static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x)};
    const int m = blockIdx.x, lane = team.rank & 31, warp = team.rank >> 5, n_warps = team.size >> 5, n_cells = n_modules * units;
    const int64_t n_mac_words = (static_cast<int64_t>(n_afferents) + 1) * n_words;
    const nm_work work = nm_work_at(scratch_words ? scratch + m * scratch_words : shared_space, s, n_afferents + 1);
    uint32_t* own = reinterpret_cast<uint32_t*>(all_weights) + m * n_mac_words;
    uint32_t* weights = own;
    if (weights_in_shared) {
        weights = reinterpret_cast<uint32_t*>(shared_space + work_words);
        for (int64_t i = team.rank; i < n_mac_words; i += team.size) weights[i] = own[i];
    }
    const nm_active active = {indices, row_of_feature + static_cast<int64_t>(m) * n_features};
    const nm_sigmoid sigmoid = {s1, s2, s3, s4, logistic};
    cell_order += static_cast<int64_t>(m) * n_cells;
    n_weights += static_cast<int64_t>(m) * n_cells;
    frozen += static_cast<int64_t>(m) * n_cells;
    if (team.rank == 0) {
        int64_t total = 0;
        for (int i = 0; i < n_cells && freeze == 2; ++i) total += n_weights[i];
        *work.total = total;
    }
    nm_meet(team);
    for (int64_t n = 0; n < n_items; ++n) {
        const int64_t begin = indptr[n], end = indptr[n + 1], place = (n * n_macs + m) * n_modules;
        const int n_rows = nm_count_rows(team, s, active, begin, end, weights, 0, work.planes, work.rows, work.n_rows);
        if (n_rows < lowest || n_rows > highest) {
            for (int q = team.rank; q < n_modules; q += team.size) {
                nm_store_code(out_codes, place + q, code_bytes, silent);
                nm_store_code(out_written, place + q, code_bytes, silent);
            }
            if (team.rank == 0) out_familiarity[n * n_macs + m] = 0.0;
            continue;
        }
        const int64_t n_active = normaliser == 0 ? n_rows : normaliser;
        const int used_planes = nm_planes_for(n_rows);
        nm_choose_best(team, s, work.planes, used_planes, work.candidates, work.best);
        const double familiarity = nm_mean_combined(team, s, used_planes, n_active, u_exponent, work);
        if (team.rank == 0) out_familiarity[n * n_macs + m] = familiarity;
        for (int q = team.rank; q < n_modules; q += team.size) {
            const int winner = cell_order[q * units + work.best[q]];
            nm_store_code(out_codes, place + q, code_bytes, winner);
            if (n >= n_learned) nm_store_code(out_written, place + q, code_bytes, winner);
        }
        if (n >= n_learned) continue;
        double eta_minus_one = 0.0;
        if (!uniform_winners) eta_minus_one = nm_expansivity_minus_one(familiarity, floor, exponent, scale, units);
        if (eta_minus_one > 0.0) {
            for (int u = team.rank; u <= n_rows; u += team.size) {
                const double combined = nm_combined_input(u, n_active, u_exponent);
                work.excess[u] = nm_excess_of_factor(nm_win_factor(combined, sigmoid), eta_minus_one, logistic);
            }
            nm_meet(team);
        }
        for (int q = warp; q < n_modules; q += n_warps) {
            const double uniform = nm_module_uniform(first_step + n, m, q, key0, key1);
            int winner = nm_min(static_cast<int>(uniform * static_cast<double>(units)), units - 1);
            if (eta_minus_one > 0.0) {
                const auto excess = [&](int k) { return work.excess[nm_count_of(s, work.planes, used_planes, q, k)]; };
                winner = nm_draw_winner(units, uniform, excess, lane);
            }
            if (lane == 0) nm_store_code(out_written, place + q, code_bytes, cell_order[q * units + winner]);
            const int cell = q * units + winner;
            const int closed = lane == 0 ? frozen[cell] : 0;  // read and written by this lane only
            if (__shfl_sync(NM_ALL, closed, 0)) continue;
            const int added = nm_strengthen(active, begin, end, weights, n_words, nm_address(s, q, winner), lane);
            if (lane == 0) {
                n_weights[cell] += added;
                if (freeze == 1 && n_weights[cell] >= cell_limit) frozen[cell] = 1;
                if (freeze == 2) atomicAdd(reinterpret_cast<unsigned long long*>(work.total), static_cast<uint64_t>(added));
            }
        }
        nm_meet(team);
        if (freeze == 2 && *work.total >= mac_limit) {
            for (int i = team.rank; i < n_cells; i += team.size) frozen[i] = 1;
        }
    }
    if (weights_in_shared) {
        nm_meet(team);
        for (int64_t i = team.rank; i < n_mac_words; i += team.size) own[i] = weights[i];
    }
}

// Warps recall items on their own; a block's warps work for one mac.
__global__ void nm_sparsey_recall(const int32_t* indices, const int64_t* indptr, int64_t n_items, const int32_t* row_of_feature,
                                  int32_t n_features, const uint16_t* cell_order, int32_t n_macs, int32_t n_afferents,
                                  int32_t n_modules, int32_t units, int32_t padded, int32_t n_words, int32_t n_planes,
                                  int64_t lowest, int64_t highest, int64_t normaliser, double u_exponent,
                                  int32_t with_familiarity, int32_t silent, int32_t code_bytes, int64_t scratch_words,
                                  int64_t work_words, uint64_t* scratch, const uint64_t* all_weights, void* out_codes,
                                  double* out_familiarity) {
    extern __shared__ uint64_t shared_space[];
    const nm_shape s = {n_afferents, n_modules, units, padded, n_words, n_planes};
    const nm_team team = {static_cast<int>(threadIdx.x & 31), 32};
    const int n_warps = blockDim.x >> 5, warp = threadIdx.x >> 5;
    const int m = blockIdx.x % n_macs;
    const int64_t worker = static_cast<int64_t>(blockIdx.x / n_macs) * n_warps + warp;
    const int64_t n_workers = static_cast<int64_t>(gridDim.x / n_macs) * n_warps;
    uint64_t* base = scratch_words ? scratch + (static_cast<int64_t>(blockIdx.x) * n_warps + warp) * scratch_words
                                   : shared_space + warp * work_words;
    const nm_work work = nm_work_at(base, s, 0);
    const uint32_t* weights =
        reinterpret_cast<const uint32_t*>(all_weights) + m * (static_cast<int64_t>(n_afferents) + 1) * n_words;
    const nm_active active = {indices, row_of_feature + static_cast<int64_t>(m) * n_features};
    cell_order += static_cast<int64_t>(m) * n_modules * units;
    for (int64_t n = worker; n < n_items; n += n_workers) {
        const int64_t place = (n * n_macs + m) * n_modules;
        const int n_rows =
            nm_count_rows(team, s, active, indptr[n], indptr[n + 1], weights, 0, work.planes, work.rows, work.n_rows);
        const bool awake = n_rows >= lowest && n_rows <= highest;
        double familiarity = 0.0;
        if (awake) {
            const int used_planes = nm_planes_for(n_rows);
            nm_choose_best(team, s, work.planes, used_planes, work.candidates, work.best);
            if (with_familiarity) {
                const int64_t n_active = normaliser == 0 ? n_rows : normaliser;
                familiarity = nm_mean_combined(team, s, used_planes, n_active, u_exponent, work);
            }
        }
        for (int q = team.rank; q < n_modules; q += team.size) {
            nm_store_code(out_codes, place + q, code_bytes, awake ? cell_order[q * units + work.best[q]] : silent);
        }
        if (with_familiarity && team.rank == 0) out_familiarity[n * n_macs + m] = familiarity;
    }
}

// Position and count of every module's best cell, for one mac; a warp an item.
__global__ void nm_sparsey_accumulate(const int32_t* indices, const int64_t* indptr, int64_t n_items,
                                      const int32_t* row_of_feature, int32_t n_afferents, int32_t n_modules, int32_t units,
                                      int32_t padded, int32_t n_words, int32_t n_planes, int64_t scratch_words,
                                      int64_t work_words, uint64_t* scratch, const uint64_t* mac_weights, int32_t* out_winners,
                                      int32_t* out_counts) {
    extern __shared__ uint64_t shared_space[];
    const nm_shape s = {n_afferents, n_modules, units, padded, n_words, n_planes};
    const nm_team team = {static_cast<int>(threadIdx.x & 31), 32};
    const int n_warps = blockDim.x >> 5, warp = threadIdx.x >> 5;
    const int64_t worker = static_cast<int64_t>(blockIdx.x) * n_warps + warp;
    uint64_t* base = scratch_words ? scratch + worker * scratch_words : shared_space + warp * work_words;
    const nm_work work = nm_work_at(base, s, 0);
    const uint32_t* weights = reinterpret_cast<const uint32_t*>(mac_weights);
    const nm_active active = {indices, row_of_feature};
    for (int64_t n = worker; n < n_items; n += static_cast<int64_t>(gridDim.x) * n_warps) {
        const int n_rows =
            nm_count_rows(team, s, active, indptr[n], indptr[n + 1], weights, 0, work.planes, work.rows, work.n_rows);
        const int used_planes = nm_planes_for(n_rows);
        nm_choose_best(team, s, work.planes, used_planes, work.candidates, work.best);
        for (int q = team.rank; q < n_modules; q += team.size) {
            out_winners[n * n_modules + q] = work.best[q];
            out_counts[n * n_modules + q] = nm_count_of(s, work.planes, used_planes, q, work.best[q]);
        }
        nm_meet(team);  // planes are read above and cleared next
    }
}
}
