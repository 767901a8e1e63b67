// What Sparsey's kernels share: the layout of cells, counting of active afferents, winners, draws, learning of one cell.
// The arithmetic of neuromem/sparsey/kernels, with its bits.
//
// Words are 32 bits wide here, the width of a GPU's registers: word 2 i and 2 i + 1 are the lower and the upper half of
// the CPU's word i.  A module of up to 32 cells then never straddles a word, a larger one takes whole words.
#ifndef NM_SPARSEY_CUH
#define NM_SPARSEY_CUH

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

__device__ __forceinline__ void nm_meet(nm_team team) {
    if (team.size == 32) {
        __syncwarp();
    } else {
        __syncthreads();
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

// Fill the planes with the counts of the active afferents, `active.row(j)` for j from begin to end, -1 where there is none;
// returns how many there are.  Each counts 2 ** first_plane times; the planes are cleared before only where that is once.
template <class Active>
__device__ int nm_count_rows(nm_team team, nm_shape s, const Active& active, int64_t begin, int64_t end, const uint32_t* weights,
                             int first_plane, uint32_t* planes, int32_t* rows, int32_t* n_rows) {
    for (int i = team.rank; i < s.n_words && first_plane == 0; i += team.size) {
        for (int p = 0; p < s.n_planes; ++p) planes[static_cast<int64_t>(p) * s.n_words + i] = 0u;
    }
    if (team.rank == 0) *n_rows = 0;
    nm_meet(team);
    uint32_t* lowest = planes + static_cast<int64_t>(first_plane) * s.n_words;
    int done = 0;
    for (int64_t start = begin; start < end; start += NM_CHUNK) {
        const int64_t stop = nm_min<int64_t>(start + NM_CHUNK, end);
        for (int64_t j = start + team.rank; j < stop; j += team.size) {
            const int row = active.row(j);
            if (row >= 0) rows[atomicAdd(n_rows, 1) - done] = row;  // in any order: they are only added up
        }
        nm_meet(team);
        const int listed = *n_rows - done;
        for (int i = team.rank; i < s.n_words; i += team.size) {
            nm_add_rows(weights + i, s.n_words, rows, listed, lowest + i, s.n_planes - first_plane);
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
__device__ void nm_choose_in_words(nm_team team, nm_shape s, const uint32_t* planes, int n_planes, uint32_t* candidates,
                                   int32_t* best) {
    const uint32_t valid = NM_ALL >> (32 - s.units);
    uint32_t tops = 0u, filled = 0u;
    for (int bit = 0; bit < 32; bit += s.padded) {
        tops |= 1u << (bit + s.padded - 1);
        filled |= valid << bit;
    }
    for (int i = team.rank; i < s.n_words; i += team.size) {
        uint32_t kept = filled;
        for (int p = n_planes - 1; p >= 0; --p) {
            const uint32_t high = kept & planes[static_cast<int64_t>(p) * s.n_words + i];
            const uint32_t found = (((high & ~tops) + ~tops) | high) & tops;  // the top bit of every module with a candidate
            kept = high | (kept & ~(found | (found - (found >> (s.padded - 1)))));
        }
        candidates[i] = kept;
    }
    nm_meet(team);
    for (int q = team.rank; q < s.n_modules; q += team.size) {
        const int bit = q * s.padded;
        best[q] = __ffs(static_cast<int>((candidates[bit >> 5] >> (bit & 31)) & valid)) - 1;
    }
}

// Modules of several words: as many lanes as a module has words, up to a warp, work on it side by side.
__device__ void nm_choose_across_words(nm_team team, nm_shape s, const uint32_t* planes, int n_planes, uint32_t* candidates,
                                       int32_t* best) {
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
            candidates[nm_address(s, q, 32 * w).word] = left >= 32 ? NM_ALL : (1u << left) - 1u;
        }
        for (int p = n_planes - 1; p >= 0; --p) {
            const uint32_t* plane = planes + static_cast<int64_t>(p) * s.n_words;
            uint32_t any = 0u;
            for (int w = lane; w < mine; w += lanes) {
                const int i = nm_address(s, q, 32 * w).word;
                any |= candidates[i] & plane[i];
            }
            if ((__ballot_sync(NM_ALL, any != 0u) >> shift) & group) {
                for (int w = lane; w < mine; w += lanes) {
                    const int i = nm_address(s, q, 32 * w).word;
                    candidates[i] &= plane[i];
                }
            }
        }
        int lowest = s.units;
        for (int w = lane; w < mine && lowest == s.units; w += lanes) {
            const uint32_t kept = candidates[nm_address(s, q, 32 * w).word];
            if (kept) lowest = 32 * w + __ffs(static_cast<int>(kept)) - 1;
        }
        for (int offset = lanes / 2; offset > 0; offset /= 2) {
            lowest = nm_min(lowest, __shfl_xor_sync(NM_ALL, lowest, offset));
        }
        if (mine && lane == 0) best[q] = lowest;
    }
}

// Position of each module's best cell, ties to the lowest, into `best`.
__device__ void nm_choose_best(nm_team team, nm_shape s, const uint32_t* planes, int n_planes, uint32_t* candidates,
                               int32_t* best) {
    if (s.padded <= 32) {
        nm_choose_in_words(team, s, planes, n_planes, candidates, best);
    } else {
        nm_choose_across_words(team, s, planes, n_planes, candidates, best);
    }
    nm_meet(team);
}

// ---------------------------------------------------------------- the draw of a winner

__device__ double nm_expansivity_minus_one(double familiarity, double floor, double exponent, double scale, int units) {
    if (familiarity <= floor) return 0.0;
    return nm_power64((familiarity - floor) / (1.0 - floor), exponent) * scale * static_cast<double>(units);
}

struct nm_sigmoid {
    double s1, s2, s3, s4;
    int logistic;
};

// What of a cell's win weight depends on its V alone.
__device__ double nm_win_factor(double combined, nm_sigmoid sigmoid) {
    const double drop = nm_exp64(-sigmoid.s2 * (combined - sigmoid.s3));
    if (sigmoid.logistic) return 1.0 + drop;
    return nm_power64(1.0 / (1.0 + sigmoid.s1 * drop), sigmoid.s4);
}

// psi - 1 in units of 2 ** -20
__device__ int64_t nm_excess_of_factor(double factor, double eta_minus_one, int logistic) {
    const double excess = logistic ? nm_max((eta_minus_one + 1.0) / factor - 1.0, 0.0) : eta_minus_one * factor;
    return static_cast<int64_t>(excess * static_cast<double>(1 << NM_RESOLUTION_BITS));
}

__device__ double nm_module_uniform(int64_t step, int mac, int module, uint32_t key0, uint32_t key1) {
    const uint64_t s = static_cast<uint64_t>(step);
    const nm_lanes drawn = nm_philox4x32(static_cast<uint32_t>(s), static_cast<uint32_t>(mac),
                                         static_cast<uint32_t>(module >> 1), static_cast<uint32_t>(s >> 32), key0, key1);
    return module & 1 ? nm_uniform53(drawn.lane[2], drawn.lane[3]) : nm_uniform53(drawn.lane[0], drawn.lane[1]);
}

// Sample one cell of a module, by one warp: a flat part without a scan, then the excess part by a scan over lanes.
// `excess(k)` is the excess weight of cell k.
template <class Excess>
__device__ int nm_draw_winner(int units, double uniform, Excess excess, int lane) {
    const int each = (units + 31) / 32, first = nm_min(lane * each, units), last = nm_min(first + each, units);
    int64_t own = 0;
    for (int k = first; k < last; ++k) own += excess(k);
    int64_t upto = own;  // sums of whole numbers: any order gives the CPU's
    for (int offset = 1; offset < 32; offset *= 2) {
        const int64_t before = __shfl_up_sync(NM_ALL, upto, offset);
        if (lane >= offset) upto += before;
    }
    const int64_t total = __shfl_sync(NM_ALL, upto, 31);
    const int64_t flat = static_cast<int64_t>(units) << NM_RESOLUTION_BITS;
    int64_t x = nm_min(static_cast<int64_t>(uniform * static_cast<double>(total + flat)), total + flat - 1);
    if (x < flat) return static_cast<int>(x >> NM_RESOLUTION_BITS);
    x -= flat;
    int winner = -1;
    if (x >= upto - own && x < upto) {
        x -= upto - own;
        for (int k = first; winner < 0; ++k) {
            x -= excess(k);
            if (x < 0) winner = k;
        }
    }
    const uint32_t found = __ballot_sync(NM_ALL, winner >= 0);
    return __shfl_sync(NM_ALL, winner, __ffs(static_cast<int>(found)) - 1);
}

// Set the weights from the active afferents to one cell, by one warp; returns how many were new, in every lane.
template <class Active>
__device__ int nm_strengthen(const Active& active, int64_t begin, int64_t end, uint32_t* weights, int n_words, nm_place place,
                             int lane) {
    const uint32_t bit = 1u << place.bit;
    int added = 0;
    for (int64_t j = begin + lane; j < end; j += 32) {
        const int row = active.row(j);
        if (row >= 0) {  // atomic: other warps set other bits of the word
            added += (atomicOr(&weights[static_cast<int64_t>(row) * n_words + place.word], bit) & bit) == 0u;
        }
    }
    for (int offset = 16; offset > 0; offset /= 2) added += __shfl_xor_sync(NM_ALL, added, offset);
    return added;
}

#endif
