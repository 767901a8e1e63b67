// Sparsey on the GPU: presentation of items to macs, label fields, readout.  The arithmetic of neuromem/sparsey/kernels,
// with its bits.
//
// Words are 32 bits wide here, the width of a GPU's registers: word 2 i and 2 i + 1 are the lower and the upper half of
// the CPU's word i.  A module of up to 32 cells then never straddles a word, a larger one takes whole words.
#include "common.cuh"

#define NM_ALL 0xFFFFFFFFu
#define NM_CHUNK 256      // afferents listed at a time
#define NM_GROUP 7        // weight rows folded at once: 7 = 2 ** 3 - 1 fills three planes exactly
#define NM_FAST_PLANES 6  // planes held in registers while rows are added
#define NM_RESOLUTION_BITS 20

struct nm_shape {
    int32_t n_afferents, n_modules, units, padded, n_words, n_planes;
};

// The threads that work on one item together: a warp where items are independent, a block where they are not.
struct nm_team {
    int rank, size;
};

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

__device__ __forceinline__ void nm_meet(nm_team team) {
    if (team.size == 32) {
        __syncwarp();
    } else {
        __syncthreads();
    }
}

// The layout that work_bytes() in gpu/sparsey.py counts.
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

// ---------------------------------------------------------------- counting active afferents

__device__ __forceinline__ uint32_t nm_majority(uint32_t x, uint32_t y, uint32_t z) {
    return (x & y) | ((x ^ y) & z);
}

// Add one word of every listed weight row to that word's planes, which are `stride` apart.
__device__ void nm_add_rows(const uint32_t* column, int64_t stride, const int32_t* rows, int n_rows, uint32_t* planes,
                            int n_planes) {
    uint32_t p[NM_FAST_PLANES];
    for (int i = 0; i < NM_FAST_PLANES; ++i) p[i] = planes[i * stride];
    for (int j = 0; j < n_rows; j += NM_GROUP) {
        uint32_t x[NM_GROUP];
        for (int k = 0; k < NM_GROUP; ++k) x[k] = j + k < n_rows ? column[rows[j + k] * stride] : 0u;
        const uint32_t s1 = x[0] ^ x[1] ^ x[2], k1 = nm_majority(x[0], x[1], x[2]);
        const uint32_t s2 = x[3] ^ x[4] ^ x[5], k2 = nm_majority(x[3], x[4], x[5]);
        const uint32_t ones = s1 ^ s2 ^ x[6], k3 = nm_majority(s1, s2, x[6]);
        const uint32_t twos = k1 ^ k2 ^ k3, fours = nm_majority(k1, k2, k3);
        uint32_t carry = p[0] & ones;
        p[0] ^= ones;
        uint32_t next = nm_majority(p[1], twos, carry);
        p[1] ^= twos ^ carry;
        carry = nm_majority(p[2], fours, next);
        p[2] ^= fours ^ next;
        for (int i = 3; i < NM_FAST_PLANES; ++i) {
            next = p[i] & carry;
            p[i] ^= carry;
            carry = next;
        }
        for (int i = NM_FAST_PLANES; carry != 0u && i < n_planes; ++i) {
            next = planes[i * stride] & carry;
            planes[i * stride] ^= carry;
            carry = next;
        }
    }
    for (int i = 0; i < NM_FAST_PLANES; ++i) planes[i * stride] = p[i];
}

// Fill the planes with the counts of one item's active afferents; returns how many afferents are active.
__device__ int nm_count_rows(nm_team team, nm_shape s, const int32_t* indices, int64_t begin, int64_t end,
                             const int32_t* row_of_feature, const uint32_t* weights, nm_work work) {
    for (int i = team.rank; i < s.n_words; i += team.size) {
        for (int p = 0; p < s.n_planes; ++p) work.planes[static_cast<int64_t>(p) * s.n_words + i] = 0u;
    }
    if (team.rank == 0) *work.n_rows = 0;
    nm_meet(team);
    int done = 0;
    for (int64_t start = begin; start < end; start += NM_CHUNK) {
        const int64_t stop = nm_min<int64_t>(start + NM_CHUNK, end);
        for (int64_t j = start + team.rank; j < stop; j += team.size) {
            const int row = row_of_feature[indices[j]];
            if (row >= 0) work.rows[atomicAdd(work.n_rows, 1) - done] = row;  // in any order: they are only added up
        }
        nm_meet(team);
        const int listed = *work.n_rows - done;
        for (int i = team.rank; i < s.n_words; i += team.size) {
            nm_add_rows(weights + i, s.n_words, work.rows, listed, work.planes + i, s.n_planes);
        }
        done += listed;
        nm_meet(team);
    }
    return done;
}

__device__ __forceinline__ int nm_planes_for(int n_rows) {
    int n_planes = 1;
    while ((n_rows >> n_planes) > 0) ++n_planes;
    return n_planes;
}

// ---------------------------------------------------------------- winners

struct nm_place {
    int word, bit;
};

// Where the cell at a position of a module stands.
__device__ __forceinline__ nm_place nm_address(nm_shape s, int module, int position) {
    if (s.padded <= 32) {
        const int bit = module * s.padded + position;
        return {bit >> 5, bit & 31};
    }
    return {2 * ((position >> 6) * s.n_modules + module) + ((position >> 5) & 1), position & 31};
}

__device__ __forceinline__ int nm_count_of(nm_shape s, const uint32_t* planes, int n_planes, int module, int position) {
    const nm_place place = nm_address(s, module, position);
    int count = 0;
    for (int p = 0; p < n_planes; ++p) {
        count |= static_cast<int>((planes[static_cast<int64_t>(p) * s.n_words + place.word] >> place.bit) & 1u) << p;
    }
    return count;
}

// Modules of at most 32 cells: all modules of a word at once, from the highest plane down.
__device__ void nm_choose_in_words(nm_team team, nm_shape s, int n_planes, nm_work work) {
    const uint32_t valid = NM_ALL >> (32 - s.units);
    uint32_t tops = 0u, filled = 0u;
    for (int bit = 0; bit < 32; bit += s.padded) {
        tops |= 1u << (bit + s.padded - 1);
        filled |= valid << bit;
    }
    for (int i = team.rank; i < s.n_words; i += team.size) {
        uint32_t kept = filled;
        for (int p = n_planes - 1; p >= 0; --p) {
            const uint32_t high = kept & work.planes[static_cast<int64_t>(p) * s.n_words + i];
            const uint32_t found = (((high & ~tops) + ~tops) | high) & tops;  // the top bit of every module with a candidate
            kept = high | (kept & ~(found | (found - (found >> (s.padded - 1)))));
        }
        work.candidates[i] = kept;
    }
    nm_meet(team);
    for (int q = team.rank; q < s.n_modules; q += team.size) {
        const int bit = q * s.padded;
        work.best[q] = __ffs(static_cast<int>((work.candidates[bit >> 5] >> (bit & 31)) & valid)) - 1;
    }
}

// Modules of several words: as many lanes as a module has words, up to a warp, work on it side by side.
__device__ void nm_choose_across_words(nm_team team, nm_shape s, int n_planes, nm_work work) {
    const int words = (s.units + 31) >> 5;
    int lanes = 1;
    while (lanes < words && lanes < 32) lanes *= 2;
    const int lane = team.rank & (lanes - 1), shift = team.rank & 31 & ~(lanes - 1);
    const uint32_t group = NM_ALL >> (32 - lanes);
    for (int first = 0; first < s.n_modules; first += team.size / lanes) {  // as often for all: ballots need whole warps
        const int q = first + team.rank / lanes;
        const int mine = q < s.n_modules ? words : 0;
        for (int w = lane; w < mine; w += lanes) {
            const int left = s.units - 32 * w;
            work.candidates[nm_address(s, q, 32 * w).word] = left >= 32 ? NM_ALL : (1u << left) - 1u;
        }
        for (int p = n_planes - 1; p >= 0; --p) {
            const uint32_t* plane = work.planes + static_cast<int64_t>(p) * s.n_words;
            uint32_t any = 0u;
            for (int w = lane; w < mine; w += lanes) {
                const int i = nm_address(s, q, 32 * w).word;
                any |= work.candidates[i] & plane[i];
            }
            if ((__ballot_sync(NM_ALL, any != 0u) >> shift) & group) {
                for (int w = lane; w < mine; w += lanes) {
                    const int i = nm_address(s, q, 32 * w).word;
                    work.candidates[i] &= plane[i];
                }
            }
        }
        int lowest = s.units;
        for (int w = lane; w < mine && lowest == s.units; w += lanes) {
            const uint32_t kept = work.candidates[nm_address(s, q, 32 * w).word];
            if (kept) lowest = 32 * w + __ffs(static_cast<int>(kept)) - 1;
        }
        for (int offset = lanes / 2; offset > 0; offset /= 2) {
            lowest = nm_min(lowest, __shfl_xor_sync(NM_ALL, lowest, offset));
        }
        if (mine && lane == 0) work.best[q] = lowest;
    }
}

// Position of each module's best cell, ties to the lowest, into work.best.
__device__ void nm_choose_best(nm_team team, nm_shape s, int n_planes, nm_work work) {
    if (s.padded <= 32) {
        nm_choose_in_words(team, s, n_planes, work);
    } else {
        nm_choose_across_words(team, s, n_planes, work);
    }
    nm_meet(team);
}

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

// ---------------------------------------------------------------- the draw of a winner

__device__ double nm_expansivity_minus_one(double familiarity, double floor, double exponent, double scale, int units) {
    if (familiarity <= floor) return 0.0;
    return nm_power64((familiarity - floor) / (1.0 - floor), exponent) * scale * static_cast<double>(units);
}

// psi - 1 in units of 2 ** -20
__device__ int64_t nm_excess_weight(double combined, double eta_minus_one, int logistic, double s1, double s2, double s3,
                                    double s4) {
    double excess;
    if (!logistic) {
        const double base = 1.0 / (1.0 + s1 * nm_exp64(-s2 * (combined - s3)));
        excess = eta_minus_one * nm_power64(base, s4);
    } else {
        excess = (eta_minus_one + 1.0) / (1.0 + nm_exp64(-s2 * (combined - s3))) - 1.0;
        excess = nm_max(excess, 0.0);
    }
    return static_cast<int64_t>(excess * static_cast<double>(1 << NM_RESOLUTION_BITS));
}

__device__ double nm_module_uniform(int64_t step, int mac, int module, uint32_t key0, uint32_t key1) {
    const uint64_t s = static_cast<uint64_t>(step);
    const nm_lanes drawn = nm_philox4x32(static_cast<uint32_t>(s), static_cast<uint32_t>(mac),
                                         static_cast<uint32_t>(module >> 1), static_cast<uint32_t>(s >> 32), key0, key1);
    return module & 1 ? nm_uniform53(drawn.lane[2], drawn.lane[3]) : nm_uniform53(drawn.lane[0], drawn.lane[1]);
}

// Sample one cell of a module, by one warp: a flat part without a scan, then the excess part by a scan over lanes.
__device__ int nm_draw_winner(nm_shape s, double uniform, int module, int n_planes, nm_work work, int lane) {
    const int each = (s.units + 31) / 32, first = nm_min(lane * each, s.units), last = nm_min(first + each, s.units);
    int64_t own = 0;
    for (int k = first; k < last; ++k) own += work.excess[nm_count_of(s, work.planes, n_planes, module, k)];
    int64_t upto = own;  // sums of whole numbers: any order gives the CPU's
    for (int offset = 1; offset < 32; offset *= 2) {
        const int64_t before = __shfl_up_sync(NM_ALL, upto, offset);
        if (lane >= offset) upto += before;
    }
    const int64_t total = __shfl_sync(NM_ALL, upto, 31);
    const int64_t flat = static_cast<int64_t>(s.units) << NM_RESOLUTION_BITS;
    int64_t x = nm_min(static_cast<int64_t>(uniform * static_cast<double>(total + flat)), total + flat - 1);
    if (x < flat) return static_cast<int>(x >> NM_RESOLUTION_BITS);
    x -= flat;
    int winner = -1;
    if (x >= upto - own && x < upto) {
        x -= upto - own;
        for (int k = first; winner < 0; ++k) {
            x -= work.excess[nm_count_of(s, work.planes, n_planes, module, k)];
            if (x < 0) winner = k;
        }
    }
    const uint32_t found = __ballot_sync(NM_ALL, winner >= 0);
    return __shfl_sync(NM_ALL, winner, __ffs(static_cast<int>(found)) - 1);
}

// Set the weights from the active afferents to one cell, by one warp; returns how many were new, in every lane.
__device__ int nm_strengthen(const int32_t* indices, int64_t begin, int64_t end, const int32_t* row_of_feature, uint32_t* weights,
                             int n_words, nm_place place, int lane) {
    const uint32_t bit = 1u << place.bit;
    int added = 0;
    for (int64_t j = begin + lane; j < end; j += 32) {
        const int row = row_of_feature[indices[j]];
        if (row >= 0) {  // atomic: other warps set other bits of the word
            added += (atomicOr(&weights[static_cast<int64_t>(row) * n_words + place.word], bit) & bit) == 0u;
        }
    }
    for (int offset = 16; offset > 0; offset /= 2) added += __shfl_xor_sync(NM_ALL, added, offset);
    return added;
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
    row_of_feature += static_cast<int64_t>(m) * n_features;
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
        const int n_rows = nm_count_rows(team, s, indices, begin, end, row_of_feature, weights, work);
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
        nm_choose_best(team, s, used_planes, work);
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
                work.excess[u] = nm_excess_weight(combined, eta_minus_one, logistic, s1, s2, s3, s4);
            }
            nm_meet(team);
        }
        for (int q = warp; q < n_modules; q += n_warps) {
            const double uniform = nm_module_uniform(first_step + n, m, q, key0, key1);
            int winner = nm_min(static_cast<int>(uniform * static_cast<double>(units)), units - 1);
            if (eta_minus_one > 0.0) winner = nm_draw_winner(s, uniform, q, used_planes, work, lane);
            if (lane == 0) nm_store_code(out_written, place + q, code_bytes, cell_order[q * units + winner]);
            const int cell = q * units + winner;
            const int closed = lane == 0 ? frozen[cell] : 0;  // read and written by this lane only
            if (__shfl_sync(NM_ALL, closed, 0)) continue;
            const int added =
                nm_strengthen(indices, begin, end, row_of_feature, weights, n_words, nm_address(s, q, winner), lane);
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
    row_of_feature += static_cast<int64_t>(m) * n_features;
    cell_order += static_cast<int64_t>(m) * n_modules * units;
    for (int64_t n = worker; n < n_items; n += n_workers) {
        const int64_t place = (n * n_macs + m) * n_modules;
        const int n_rows = nm_count_rows(team, s, indices, indptr[n], indptr[n + 1], row_of_feature, weights, work);
        const bool awake = n_rows >= lowest && n_rows <= highest;
        double familiarity = 0.0;
        if (awake) {
            const int used_planes = nm_planes_for(n_rows);
            nm_choose_best(team, s, used_planes, work);
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
    for (int64_t n = worker; n < n_items; n += static_cast<int64_t>(gridDim.x) * n_warps) {
        const int n_rows = nm_count_rows(team, s, indices, indptr[n], indptr[n + 1], row_of_feature, weights, work);
        const int used_planes = nm_planes_for(n_rows);
        nm_choose_best(team, s, used_planes, work);
        for (int q = team.rank; q < n_modules; q += team.size) {
            out_winners[n * n_modules + q] = work.best[q];
            out_counts[n * n_modules + q] = nm_count_of(s, work.planes, used_planes, q, work.best[q]);
        }
        nm_meet(team);  // planes are read above and cleared next
    }
}
}
