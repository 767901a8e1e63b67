// Parallel dynamics of multitasking Hebbian networks on the GPU: the arithmetic of neuromem/hopfield/kernels, with its bits.
//
// A team of threads runs a chain: one thread, one warp or one block.  Overlaps are whole numbers and are summed in any
// order; sums of doubles go column by column, as on the CPU.  All draws are functions of sweep, chain and place.
#include "common.cuh"

#define NM_ALL 0xFFFFFFFFu
#define NM_EXP_LIMIT 700.0
#define NM_Y_LARGEST 24.0
#define NM_INVERSION_BELOW 10.0
#define NM_HALF_LOG_TAU 0.9189385332046727
#define NM_DIGITS 54  // binary digits of a chance on packed spins
#define NM_BINOMIAL_THREADS 256
#define NM_SPIN_THREADS 512

struct nm_team {
    int rank, size;
};

struct nm_key {
    uint32_t c0, c1, k0, k1;  // sweep and chain of the counter, and the key
};

// Numbers of a team: next to each other, or a block's teams side by side.
struct nm_numbers {
    int64_t* at;
    int64_t stride;
    __device__ __forceinline__ int64_t& operator[](int64_t i) const { return at[i * stride]; }
};

struct nm_network {
    const int64_t* values;  // n_columns * n_classes
    const double* weights;  // n_columns
    const double* own;      // n_classes
    const int64_t* counts;  // n_classes
    int32_t n_columns, n_classes;
};

struct nm_records {
    int64_t burn_in, thin;
    int32_t first, n_reported;
    int64_t n_records;
    int64_t* overlaps;
    double* squares;
};

__device__ __forceinline__ void nm_meet(nm_team team) {
    if (team.size == 32) {
        __syncwarp();
    } else if (team.size > 32) {
        __syncthreads();
    }
}

__device__ __forceinline__ bool nm_cold(double scale) {
    return scale == nm_from_bits(0x7FF0000000000000ull);
}

__device__ __forceinline__ void nm_add(int64_t* place, int64_t value) {
    atomicAdd(reinterpret_cast<unsigned long long*>(place), static_cast<unsigned long long>(value));
}

// ---------------------------------------------------------------- what all kernels need of a network

// Integer overlaps of every column: a warp a column, lanes along the classes.
__device__ __forceinline__ void nm_overlaps_of_counts(nm_team team, nm_network net, nm_numbers up, nm_numbers overlaps) {
    const int lanes = nm_min(team.size, 32), lane = team.rank % lanes;
    for (int r = team.rank / lanes; r < net.n_columns; r += team.size / lanes) {
        const int64_t* values = net.values + static_cast<int64_t>(r) * net.n_classes;
        int64_t total = 0;
        for (int c = lane; c < net.n_classes; c += lanes) total += values[c] * (2 * up[c] - net.counts[c]);
        if (lanes == 32) {
            for (int offset = 16; offset > 0; offset /= 2) total += __shfl_xor_sync(NM_ALL, total, offset);
        }
        if (lane == 0) overlaps[r] = total;
    }
}

__device__ __forceinline__ double nm_field_of_class(nm_network net, nm_numbers overlaps, int c) {
    double field = 0.0;
    for (int r = 0; r < net.n_columns; ++r) {
        const double factor = net.weights[r] * static_cast<double>(overlaps[r]);
        field += factor * static_cast<double>(net.values[static_cast<int64_t>(r) * net.n_classes + c]);
    }
    return field;
}

__device__ __forceinline__ double nm_weight(const void* weights, int r, bool whole) {
    return whole ? static_cast<double>(static_cast<const int64_t*>(weights)[r]) : static_cast<const double*>(weights)[r];
}

__device__ __forceinline__ double nm_grown(double y) {
    return nm_exp64(nm_min(nm_max(y, -NM_EXP_LIMIT), NM_EXP_LIMIT));
}

// Where a sweep is one to be recorded, its overlaps and the weighted sum of their squares.
__device__ __forceinline__ void nm_keep_record(nm_team team, nm_records records, int64_t chain, int64_t n_done,
                                               const void* weights, bool whole, int n_columns, nm_numbers overlaps) {
    const int64_t n_counted = n_done - records.burn_in;
    if (n_counted <= 0 || n_counted % records.thin != 0) return;
    const int64_t place = chain * records.n_records + n_counted / records.thin - 1;
    for (int r = records.first + team.rank; r < n_columns; r += team.size) {
        records.overlaps[place * records.n_reported + r - records.first] = overlaps[r];
    }
    if (team.rank != 0) return;
    double square = 0.0;
    for (int r = 0; r < n_columns; ++r) {
        const double overlap = static_cast<double>(overlaps[r]);
        square += nm_weight(weights, r, whole) * overlap * overlap;
    }
    records.squares[place] = square;
}

// ---------------------------------------------------------------- binomials (neuromem/hopfield/kernels/chance.py)

__device__ __forceinline__ double nm_log_of_rest(double p, double q) {
    return nm_log64(q) - ((q - 1.0) + p) / q;
}

__device__ __forceinline__ double nm_stirling_error(double n, const double* first_errors) {
    if (n < 16.0) return first_errors[static_cast<int>(n)];
    const double nn = n * n;
    return (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / nn) / nn) / nn) / nn) / n;
}

__device__ double nm_deviance(double x, double mean) {
    if (fabs(x - mean) >= 0.1 * (x + mean)) return x * nm_log64(x / mean) + mean - x;
    double v = (x - mean) / (x + mean);
    double total = (x - mean) * v, term = 2.0 * x * v;
    v = v * v;
    for (double j = 1.0; j < 1000.0; j += 1.0) {
        term *= v;
        const double further = total + term / (2.0 * j + 1.0);
        if (further == total) break;
        total = further;
    }
    return total;
}

__device__ double nm_log_chance(double k, double n, double p, double q, const double* first_errors) {
    if (k == 0.0) return n * nm_log_of_rest(p, q);
    if (k == n) return n * nm_log64(p);
    const double rest = n - k;
    const double errors = nm_stirling_error(n, first_errors) - nm_stirling_error(k, first_errors) -
                          nm_stirling_error(rest, first_errors);
    return errors - nm_deviance(k, n * p) - nm_deviance(rest, n * q) + 0.5 * nm_log64(n / (k * rest)) - NM_HALF_LOG_TAU;
}

// How many of n spins flip, each with chance p, q being the rest of it.
__device__ int64_t nm_binomial(int64_t n, double p, double q, nm_key key, uint32_t c2, const double* first_errors) {
    if (n == 0 || p <= 0.0) return 0;
    if (q <= 0.0) return n;
    const bool mirrored = p > 0.5;
    if (mirrored) {
        const double other = p;
        p = q;
        q = other;
    }
    const double trials = static_cast<double>(n), mean = trials * p;
    const bool by_inversion = mean < NM_INVERSION_BELOW;
    const double spread = sqrt(mean * q), b = 1.15 + 2.53 * spread;
    const double a = -0.0873 + 0.0248 * b + 0.01 * p;
    double k = 0.0;
    for (uint32_t attempt = 0;; ++attempt) {
        const nm_lanes d = nm_philox4x32(key.c0, key.c1, c2, attempt, key.k0, key.k1);
        double u = nm_uniform53(d.lane[0], d.lane[1]);
        const double v = nm_uniform53(d.lane[2], d.lane[3]);
        if (by_inversion) {
            const double odds = p / q, total = (trials + 1.0) * odds;
            double chance = nm_exp64(trials * nm_log_of_rest(p, q));
            while (u >= chance && k < trials) {
                u -= chance;
                k += 1.0;
                chance *= total / k - odds;
                if (chance < 1e-30) break;
            }
            break;
        }
        const double offset = u - 0.5, us = 0.5 - fabs(offset);
        k = floor((2.0 * a / us + b) * offset + (mean + 0.5));
        if (us >= 0.07 && v <= 0.92 - 4.2 / b) break;
        if (!(0.0 <= k && k <= trials) || v <= 0.0) continue;
        const double alpha = (2.83 + 5.1 / b) * spread, mode = floor((trials + 1.0) * p);
        const double height = nm_log64(v * alpha / (a / (us * us) + b));
        if (height <= nm_log_chance(k, trials, p, q, first_errors) - nm_log_chance(mode, trials, p, q, first_errors)) break;
    }
    return mirrored ? n - static_cast<int64_t>(k) : static_cast<int64_t>(k);
}

// How many of n spins flip whose s F less their own part is x.
__device__ __forceinline__ int64_t nm_moved(int64_t n, double x, double scale, bool metropolis, nm_key key, uint32_t c2,
                                            const double* first_errors) {
    if (nm_cold(scale)) return x < 0.0 ? n : 0;
    const double grown = nm_grown(scale * x);
    const double p = metropolis ? nm_min(1.0, 1.0 / grown) : 1.0 / (1.0 + grown);
    return nm_binomial(n, p, metropolis ? 1.0 - p : grown * p, key, c2, first_errors);
}

// ---------------------------------------------------------------- packed spins (neuromem/hopfield/kernels/bits.py)

// The chance of a flip as 54 binary digits, 0 ... 2**54.
__device__ __forceinline__ int64_t nm_digits_of_chance(double x, double scale, bool metropolis) {
    const int64_t sure = 1ll << NM_DIGITS;
    if (nm_cold(scale)) return x < 0.0 ? sure : 0;
    const double grown = nm_grown(scale * x), size = static_cast<double>(sure);
    return static_cast<int64_t>(metropolis ? size * nm_min(1.0, 1.0 / grown) : size / (1.0 + grown));
}

__device__ __forceinline__ uint64_t nm_mask(bool all) {
    return all ? ~0ull : 0ull;
}

// One more digit of 64 lanes: those whose random bit is 0 where the chance's digit is 1 flip.
__device__ __forceinline__ void nm_compare_digit(uint32_t low, uint32_t high, uint64_t digits, uint64_t* flip,
                                                 uint64_t* undecided) {
    const uint64_t random = low | static_cast<uint64_t>(high) << 32;
    *flip |= *undecided & digits & ~random;
    *undecided &= ~(random ^ digits);
}

// Lanes of a word that flip; digits are drawn while a lane is undecided and a chance has digits left.
__device__ __forceinline__ uint64_t nm_flips_of_word(uint64_t spins, uint64_t free, int64_t up, int64_t down, uint32_t word,
                                                     nm_key key) {
    uint64_t flip = (spins & nm_mask(up >> NM_DIGITS)) | (~spins & nm_mask(down >> NM_DIGITS));
    uint64_t undecided = free;
    for (int call = 0; undecided != 0 && ((up | down) & ((1ll << (NM_DIGITS - 2 * call)) - 1)) != 0; ++call) {
        const nm_lanes d = nm_philox4x32(key.c0, key.c1, word, static_cast<uint32_t>(call), key.k0, key.k1);
        const int place = NM_DIGITS - 1 - 2 * call;  // the higher digit of the two
        uint64_t digits = (spins & nm_mask(up >> place & 1)) | (~spins & nm_mask(down >> place & 1));
        nm_compare_digit(d.lane[0], d.lane[1], digits, &flip, &undecided);
        digits = (spins & nm_mask(up >> (place - 1) & 1)) | (~spins & nm_mask(down >> (place - 1) & 1));
        nm_compare_digit(d.lane[2], d.lane[3], digits, &flip, &undecided);
    }
    return flip & free;
}

// ---------------------------------------------------------------- single spins (neuromem/hopfield/kernels/overlaps.py)

__device__ __forceinline__ int nm_entry(const void* rows, int64_t i, int row_bytes) {
    return row_bytes == 1 ? static_cast<const int8_t*>(rows)[i] : static_cast<const int32_t*>(rows)[i];
}

// Field of a unit, summed in the type of the factors.
template <class T>
__device__ __forceinline__ double nm_field_of_unit(const void* rows, int row_bytes, int64_t first, int n_columns,
                                                   const void* factors) {
    T total = 0;
    for (int r = 0; r < n_columns; ++r) {
        total += static_cast<const T*>(factors)[r] * static_cast<T>(nm_entry(rows, first + r, row_bytes));
    }
    return static_cast<double>(total);
}

// Whether a spin flips: its 32-bit draw is below the threshold of its chance.
__device__ __forceinline__ bool nm_flips(uint32_t draw, double y, bool metropolis) {
    if (y > NM_Y_LARGEST) return false;
    if (metropolis ? y <= 0.0 : y < -NM_Y_LARGEST) return true;
    const double two32 = 4294967296.0;
    return static_cast<int64_t>(draw) < static_cast<int64_t>(metropolis ? two32 * nm_exp64(-y) : two32 / (1.0 + nm_exp64(y)));
}

// Add the rows of a warp's units, each times its lane's factor, lanes along the columns; a factor of 0 costs nothing.
__device__ __forceinline__ void nm_add_rows(const void* rows, int row_bytes, int n_columns, int64_t unit, int factor,
                                            int64_t* overlaps) {
    const int lane = threadIdx.x & 31;
    for (uint32_t left = __ballot_sync(NM_ALL, factor != 0); left != 0; left &= left - 1) {
        const int source = __ffs(static_cast<int>(left)) - 1;
        const int64_t first = __shfl_sync(NM_ALL, unit, source) * n_columns;
        const int64_t times = __shfl_sync(NM_ALL, factor, source);
        for (int r = lane; r < n_columns; r += 32) nm_add(&overlaps[r], times * nm_entry(rows, first + r, row_bytes));
    }
}

extern "C" {

// ---------------------------------------------------------------- kernels

// A team a chain: two binomials a class and sweep.
__global__ void __launch_bounds__(NM_BINOMIAL_THREADS, 1)
    nm_hopfield_class_chains(const int64_t* values, const double* weights, const double* own, const int64_t* counts,
                             int32_t n_columns, int32_t n_classes, const double* scales, int32_t metropolis, uint32_t k0,
                             uint32_t k1, const int64_t* chains, int64_t n_chains, int64_t first_sweep, int64_t n_sweeps,
                             int64_t burn_in, int64_t thin, int32_t first_reported, int32_t n_reported, int64_t n_records,
                             const double* first_errors, int32_t team_size, int32_t in_scratch, int64_t* scratch, int64_t* up,
                             int64_t* out_overlaps, double* out_squares) {
    extern __shared__ int64_t shared_numbers[];
    const nm_network net{values, weights, own, counts, n_columns, n_classes};
    const nm_records records{burn_in, thin, first_reported, n_reported, n_records, out_overlaps, out_squares};
    const nm_team team{static_cast<int>(threadIdx.x) % team_size, team_size};
    const int n_teams = blockDim.x / team_size, number = threadIdx.x / team_size;
    const int64_t n_words = static_cast<int64_t>(n_classes) + n_columns;
    int64_t* block = in_scratch ? scratch + blockIdx.x * n_teams * n_words : shared_numbers;
    const int64_t stride = team_size == 1 ? n_teams : 1;
    const nm_numbers mine{block + (team_size == 1 ? number : number * n_words), stride};
    const nm_numbers overlaps{mine.at + n_classes * stride, stride};
    for (int64_t chain = static_cast<int64_t>(blockIdx.x) * n_teams + number; chain < n_chains;
         chain += static_cast<int64_t>(gridDim.x) * n_teams) {
        const double scale = scales[chain];
        int64_t* kept = up + chain * n_classes;
        for (int c = team.rank; c < n_classes; c += team.size) mine[c] = kept[c];
        for (int64_t step = -1; step < n_sweeps; ++step) {  // before the first sweep: the overlaps of the start
            const nm_key key{static_cast<uint32_t>(first_sweep + step), static_cast<uint32_t>(chains[chain]), k0, k1};
            for (int c = team.rank; c < n_classes && step >= 0; c += team.size) {
                const double field = nm_field_of_class(net, overlaps, c);
                const int64_t was_up = mine[c];
                int64_t change = 0;
#pragma unroll 1
                for (int side = 0; side < 2; ++side) {
                    const int64_t moved =
                        nm_moved(side ? counts[c] - was_up : was_up, (side ? -field : field) - own[c], scale, metropolis != 0,
                                 key, static_cast<uint32_t>(side * n_classes + c), first_errors);
                    change += side ? moved : -moved;
                }
                mine[c] = was_up + change;
            }
            nm_meet(team);
            nm_overlaps_of_counts(team, net, mine, overlaps);
            nm_meet(team);
            nm_keep_record(team, records, chain, step + 1, weights, false, n_columns, overlaps);
        }
        for (int c = team.rank; c < n_classes; c += team.size) kept[c] = mine[c];
    }
}

// A block a chain, a thread a word of 64 spins.  Work space: overlaps, then for each class how many spins are +1 and the
// chances of both sides, then the words where shared memory holds them.
__global__ void __launch_bounds__(NM_SPIN_THREADS, 1)
    nm_hopfield_bit_parallel(const int64_t* values, const double* weights, const double* own, const int64_t* counts,
                             int32_t n_columns, int32_t n_classes, const int64_t* offsets, const uint64_t* free, int64_t n_free,
                             int64_t n_words, const double* scales, int32_t metropolis, uint32_t k0, uint32_t k1,
                             const int64_t* chains, int64_t n_chains, int64_t first_sweep, int64_t n_sweeps, int64_t burn_in,
                             int64_t thin, int32_t first_reported, int32_t n_reported, int64_t n_records, int32_t in_scratch,
                             int32_t words_in_shared, int64_t* scratch, uint64_t* spins, int64_t* out_overlaps,
                             double* out_squares) {
    extern __shared__ int64_t shared_numbers[];
    const nm_network net{values, weights, own, counts, n_columns, n_classes};
    const nm_records records{burn_in, thin, first_reported, n_reported, n_records, out_overlaps, out_squares};
    const nm_team team{static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x)};
    const int64_t n_numbers = n_columns + 3 * static_cast<int64_t>(n_classes);
    const nm_numbers overlaps{in_scratch ? scratch + blockIdx.x * n_numbers : shared_numbers, 1};
    const nm_numbers up{overlaps.at + n_columns, 1};
    int64_t* digits_up = up.at + n_classes;
    int64_t* digits_down = digits_up + n_classes;
    for (int64_t chain = blockIdx.x; chain < n_chains; chain += gridDim.x) {
        const double scale = scales[chain];
        const uint64_t* loose = free + chain % n_free * n_words;
        uint64_t* kept = spins + chain * n_words;
        uint64_t* mine = words_in_shared ? reinterpret_cast<uint64_t*>(digits_down + n_classes) : kept;
        for (int64_t w = team.rank; w < n_words && words_in_shared; w += team.size) mine[w] = kept[w];  // each sees its own only
        for (int64_t step = -1; step < n_sweeps; ++step) {  // before the first sweep nothing flips: the counts of the start
            const nm_key key{static_cast<uint32_t>(first_sweep + step), static_cast<uint32_t>(chains[chain]), k0, k1};
            for (int c = team.rank; c < n_classes; c += team.size) {
                const double field = step < 0 ? 0.0 : nm_field_of_class(net, overlaps, c);
                digits_up[c] = step < 0 ? 0 : nm_digits_of_chance(field - own[c], scale, metropolis != 0);
                digits_down[c] = step < 0 ? 0 : nm_digits_of_chance(-field - own[c], scale, metropolis != 0);
                up[c] = 0;
            }
            __syncthreads();
            int c = 0;
            int64_t n_up = 0;  // of this thread's words of class c
            for (int64_t w = team.rank; w < n_words; w += team.size) {
                if (w >= offsets[c + 1]) {
                    if (n_up != 0) nm_add(&up[c], n_up);
                    n_up = 0;
                    while (w >= offsets[c + 1]) ++c;
                }
                uint64_t word = mine[w];
                word ^= nm_flips_of_word(word, loose[w], digits_up[c], digits_down[c], static_cast<uint32_t>(w), key);
                mine[w] = word;
                n_up += nm_popcount64(word);
            }
            if (n_up != 0) nm_add(&up[c], n_up);
            __syncthreads();
            nm_overlaps_of_counts(team, net, up, overlaps);
            __syncthreads();
            nm_keep_record(team, records, chain, step + 1, weights, false, n_columns, overlaps);
        }
        for (int64_t w = team.rank; w < n_words && words_in_shared; w += team.size) kept[w] = mine[w];
    }
}

// A block a chain, a thread four units at a time.  Work space: overlaps, their factors, and how many units flipped and how
// many did as in the sweep before, for this sweep and the next.
__global__ void __launch_bounds__(NM_SPIN_THREADS, 1)
    nm_hopfield_parallel_overlaps(const void* rows, int32_t row_bytes, int64_t n_units, int32_t n_columns, const void* weights,
                                  int32_t whole, const void* own, int32_t own_bytes, const double* scales,
                                  int32_t metropolis, uint32_t k0, uint32_t k1, const int64_t* chains, int64_t n_chains, int64_t first_sweep, int64_t n_sweeps,
                                  int64_t burn_in, int64_t thin, int32_t until_stable, int32_t first_reported,
                                  int32_t n_reported, int64_t n_records, const uint8_t* free, int64_t n_free,
                                  int32_t in_scratch, int64_t* scratch, uint8_t* flipped_before, int8_t* spins,
                                  int64_t* out_overlaps, double* out_squares, int64_t* out_settled) {
    extern __shared__ int64_t shared_numbers[];
    const nm_records records{burn_in, thin, first_reported, n_reported, n_records, out_overlaps, out_squares};
    const nm_team team{static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x)};
    const int64_t n_fours = (n_units + 3) / 4;
    int64_t* overlaps = in_scratch ? scratch + blockIdx.x * (2 * static_cast<int64_t>(n_columns) + 4) : shared_numbers;
    int64_t* factors = overlaps + n_columns;  // doubles, unless weights are whole
    int64_t* tallies = overlaps + 2 * static_cast<int64_t>(n_columns);
    uint8_t* before = flipped_before + (until_stable ? blockIdx.x * n_units : 0);
    for (int64_t chain = blockIdx.x; chain < n_chains; chain += gridDim.x) {
        const double scale = scales[chain];
        const uint32_t c1 = static_cast<uint32_t>(chains[chain]);
        const uint8_t* loose = free + chain % n_free * n_units;
        int8_t* mine = spins + chain * n_units;
        __syncthreads();  // what the chain before left is read no more
        for (int r = team.rank; r < n_columns; r += team.size) overlaps[r] = 0;
        for (int i = team.rank; i < 4; i += team.size) tallies[i] = 0;
        __syncthreads();
        for (int64_t start = 0; start < n_units; start += team.size) {  // as often for all: rows are added by whole warps
            const int64_t i = start + team.rank;
            nm_add_rows(rows, row_bytes, n_columns, i, i < n_units ? mine[i] : 0, overlaps);
        }
        __syncthreads();
        for (int64_t step = 0; step < n_sweeps; ++step) {
            int64_t* tally = tallies + 2 * (step & 1);
            for (int r = team.rank; r < n_columns; r += team.size) {
                const double factor = nm_weight(weights, r, false) * static_cast<double>(overlaps[r]);
                factors[r] = whole ? static_cast<const int64_t*>(weights)[r] * overlaps[r] : __double_as_longlong(factor);
            }
            __syncthreads();
            if (team.rank < 2) tallies[2 * ((step + 1) & 1) + team.rank] = 0;
            int n_flipped = 0, n_same = 0;
            for (int64_t start = 0; start < n_fours; start += team.size) {
                const int64_t four = start + team.rank;
                nm_lanes d{};
                if (!nm_cold(scale)) {
                    d = nm_philox4x32(static_cast<uint32_t>(first_sweep + step), c1, static_cast<uint32_t>(four), 0u, k0, k1);
                }
#pragma unroll 1
                for (int lane = 0; lane < 4; ++lane) {
                    const uint32_t draw = lane < 2 ? (lane == 0 ? d.lane[0] : d.lane[1]) : (lane == 2 ? d.lane[2] : d.lane[3]);
                    const int64_t i = 4 * four + lane;
                    int factor = 0;
                    if (i < n_units) {
                        const int64_t first = i * n_columns;
                        const double field = whole ? nm_field_of_unit<int64_t>(rows, row_bytes, first, n_columns, factors)
                                                   : nm_field_of_unit<double>(rows, row_bytes, first, n_columns, factors);
                        const double mine_own = own_bytes == 4 ? static_cast<double>(static_cast<const float*>(own)[i])
                                                               : static_cast<const double*>(own)[i];
                        const int s = mine[i];
                        const double x = static_cast<double>(s) * field - mine_own;
                        const bool turns = nm_cold(scale) ? x < 0.0 : nm_flips(draw, scale * x, metropolis != 0);
                        const bool flip = loose[i] != 0 && turns;
                        if (flip) {
                            mine[i] = static_cast<int8_t>(-s);
                            factor = -2 * s;
                        }
                        if (until_stable) {
                            n_flipped += flip;
                            n_same += step == 0 ? !flip : before[i] == flip;
                            before[i] = flip;
                        }
                    }
                    nm_add_rows(rows, row_bytes, n_columns, i, factor, overlaps);
                }
            }
            if (until_stable) {
                nm_add(&tally[0], n_flipped);
                nm_add(&tally[1], n_same);
            }
            __syncthreads();
            nm_keep_record(team, records, chain, step + 1, weights, whole != 0, n_columns, {overlaps, 1});
            if (team.rank == 0) out_settled[2 * chain] = step + 1;
            if (until_stable && (tally[0] == 0 || tally[1] == n_units)) {
                if (team.rank == 0) out_settled[2 * chain + 1] = tally[0] == 0 ? 1 : 2;
                break;
            }
        }
    }
}
}
