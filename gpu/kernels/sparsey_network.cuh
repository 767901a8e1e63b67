// What a mac's step in a network is made of: what reaches it, its work space, counts, versions of V and their best cells.
#ifndef NM_SPARSEY_NETWORK_CUH
#define NM_SPARSEY_NETWORK_CUH

// columns of the table of macs, as mac_signals.py names them
enum {
    NM_LEVEL, NM_MODULES, NM_UNITS, NM_PADDED, NM_WORDS, NM_FIRST_WORD, NM_N_UP, NM_N_ACROSS, NM_N_DOWN, NM_FIRST_MODULE,
    NM_FIRST_CELL, NM_PERSISTENCE, NM_LOW, NM_HIGH, NM_FREEZE_AT, NM_CRITICAL, NM_FIRST_SOURCE, NM_STOP_SOURCE,
    NM_FIRST_PARENT, NM_STOP_PARENT, NM_COLUMNS
};
enum { NM_U_EXPONENT, NM_H_EXPONENT, NM_D_EXPONENT, NM_RELEASE, NM_RATES };
enum { NM_NO_BACKOFF, NM_RELATIVE, NM_ABSOLUTE };
enum { NM_N_U, NM_TOTAL_U, NM_N_D, NM_TOTAL_D, NM_HITS, NM_HYPOTHESES, NM_TOP, NM_LISTED, NM_TALLIES };  // numbers of a step
#define NM_BEGINS 1
#define NM_LEARNS 2
#define NM_FREE 4
#define NM_U 1  // a version of V is a sum of these
#define NM_H 2
#define NM_D 4
#define NM_VERSIONS 7
#define NM_ABSENT -1.0
#define NM_TABLED 127

// What reaches a mac from one side: features, or winners of macs as a row of the history has them.
struct nm_signal {
    const int32_t* listed;          // features or macs; null: the mac `own` alone
    const int32_t* row_of_feature;  // null where macs send
    const int64_t* macs;
    const int32_t* winners;
    const int32_t* sends;
    int own, modules, units, first_row;
    int64_t n;  // candidates for a row

    // How often row j counts; 0 where it is not active.
    __device__ __forceinline__ int times(int64_t j) const {
        if (row_of_feature) return row_of_feature[listed[j]] >= 0;
        return nm_max(sends[listed ? listed[j / modules] : own], 0);
    }

    __device__ __forceinline__ int row(int64_t j) const {
        if (row_of_feature) return row_of_feature[listed[j]];
        const int i = static_cast<int>(j / modules), q = static_cast<int>(j - static_cast<int64_t>(i) * modules);
        const int source = listed ? listed[i] : own;
        if (sends[source] <= 0) return -1;
        const int64_t place = macs[static_cast<int64_t>(source) * NM_COLUMNS + NM_FIRST_MODULE];
        return first_row + (i * modules + q) * units + winners[place + q];
    }
};

// Rows of a signal of which one binary digit of their number of times is set.
struct nm_digit {
    const nm_signal& signal;
    int bit;

    __device__ __forceinline__ int row(int64_t j) const {
        return signal.times(j) >> bit & 1 ? signal.row(j) : -1;
    }
};

// What the kernel was given, the same for all macs and steps.
struct nm_network {
    const int32_t* indices;
    const int64_t* indptr;
    const int32_t* row_of_feature;
    int n_features;
    const uint8_t* flags;
    int64_t first_step;
    const int64_t* macs;
    int n_macs, n_modules;
    const int32_t *sources, *parents;
    const double *rates, *u_powers, *u_factors;
    int n_tabled;
    double floor, exponent, scale, ratio, bar3, bar2, bar1, hypothesis;
    int backoff, always, unit, upper_argmax;
    nm_sigmoid sigmoid;
    const int32_t* multipliers;
    int n_multipliers, n_digits;
    uint32_t key0, key1;
    uint32_t* bits;
    int32_t* n_weights;
    uint8_t* frozen;
    int32_t *codes, *recalled, *age, *sends;
    double *familiarity, *versions;
};

struct nm_sizes {
    int n_values, table_u, table_h, table_d, n_modules, n_words, n_planes;  // the largest of any mac
};

// Work space of a block.
struct nm_room {
    nm_signal* signals;    // 3: U, H and D; one copy for all threads, which need no registers for them
    int64_t* values;       // excess weights by count; or, per cell, the bits of V and then excess weights
    double* tables[6];     // of u, h and d: the signal, and its power, for every count
    double* best_of;       // NM_VERSIONS * n_modules
    double* versions;      // NM_VERSIONS
    uint32_t* planes;      // 3 * n_planes * n_words
    uint32_t* candidates;  // n_words
    int32_t* best;         // n_modules
    int32_t* rows;         // NM_CHUNK
    int32_t* tally;        // NM_TALLIES
};

// The layout that room_words() in gpu/sparsey.py counts.
__device__ nm_room nm_room_at(uint64_t* base, nm_sizes sizes) {
    nm_room room;
    room.signals = reinterpret_cast<nm_signal*>(base);
    room.values = reinterpret_cast<int64_t*>(room.signals + 3);
    double* next = reinterpret_cast<double*>(room.values + sizes.n_values);
    const int lengths[3] = {sizes.table_u, sizes.table_h, sizes.table_d};
    for (int i = 0; i < 6; ++i) {
        room.tables[i] = next;
        next += lengths[i / 2];
    }
    room.best_of = next;
    room.versions = room.best_of + NM_VERSIONS * sizes.n_modules;
    room.planes = reinterpret_cast<uint32_t*>(room.versions + NM_VERSIONS);
    room.candidates = room.planes + static_cast<int64_t>(3) * sizes.n_planes * sizes.n_words;
    room.best = reinterpret_cast<int32_t*>(room.candidates + sizes.n_words);
    room.rows = room.best + sizes.n_modules;
    room.tally = room.rows + NM_CHUNK;
    return room;
}

// Add up how many rows of a signal are active, and how often they count; the caller lets the team meet.
__device__ void nm_tally_rows(nm_team team, const nm_signal& signal, int32_t* n_rows, int32_t* total) {
    int rows = 0, sum = 0;
    for (int64_t j = team.rank; j < signal.n; j += team.size) {
        const int times = signal.times(j);
        rows += times > 0;
        sum += times;
    }
    if (rows > 0) {
        atomicAdd(n_rows, rows);
        atomicAdd(total, sum);
    }
}

// Bit-sliced sum of a signal's rows, each as often as it counts: digit by digit of that number.
__device__ void nm_count_signal(nm_team team, nm_shape s, const nm_signal& signal, int n_digits, const uint32_t* weights,
                                uint32_t* planes, nm_room room) {
    for (int bit = 0; bit < n_digits; ++bit) {
        nm_count_rows(team, s, nm_digit{signal, bit}, 0, signal.n, weights, bit, planes, room.rows, room.tally + NM_LISTED);
    }
}

__device__ __forceinline__ double nm_signal_power(double x, double exponent) {
    return exponent == 1.0 ? x : nm_power64(x, exponent);
}

// Signal and its power for every count up to `largest`: min(1, factor * count / normaliser).
__device__ void nm_fill_tables(nm_team team, int largest, int64_t factor, int64_t normaliser, double exponent, double* plain,
                               double* powers) {
    for (int count = team.rank; count <= largest; count += team.size) {
        const int64_t scaled = factor * count;
        const double x = scaled >= normaliser ? 1.0 : static_cast<double>(scaled) / static_cast<double>(normaliser);
        plain[count] = x;
        powers[count] = nm_signal_power(x, exponent);
    }
}

__device__ __forceinline__ double nm_sum_in_order(const double* values, int n) {
    double total = 0.0;
    for (int i = 0; i < n; ++i) total += values[i];
    return total;
}

// Counts of one cell, and what the tables make of them; an absent signal is a factor of 1.
struct nm_inputs {
    nm_shape s;
    const uint32_t* planes;
    int n_planes[3];  // in use; 0 where the signal is absent

    __device__ __forceinline__ double at(const double* table, int signal, int q, int k) const {
        if (n_planes[signal] == 0) return 1.0;
        const uint32_t* mine = planes + static_cast<int64_t>(signal) * s.n_planes * s.n_words;
        return table[nm_count_of(s, mine, n_planes[signal], q, k)];
    }
};

// Largest product of every version over each module's cells, all exponents 1, by a warp a module.
__device__ void nm_best_of_versions(nm_team team, const nm_inputs& in, int present, nm_room room) {
    const int lane = team.rank & 31, n_warps = team.size >> 5;
    for (int q = team.rank >> 5; q < in.s.n_modules; q += n_warps) {
        double best[NM_VERSIONS] = {};
        for (int k = lane; k < in.s.units; k += 32) {
            const double u = in.at(room.tables[0], 0, q, k), h = in.at(room.tables[2], 1, q, k);
            best[0] = nm_max(best[0], u);
            best[1] = nm_max(best[1], h);
            best[2] = nm_max(best[2], u * h);
            if (in.n_planes[2] == 0) continue;
            const double d = in.at(room.tables[4], 2, q, k);
            best[3] = nm_max(best[3], d);
            best[4] = nm_max(best[4], u * d);
            best[5] = nm_max(best[5], h * d);
            best[6] = nm_max(best[6], u * h * d);
        }
#pragma unroll
        for (int v = 0; v < NM_VERSIONS; ++v) {
            if (((v + 1) & present) != v + 1) continue;
            for (int apart = 16; apart > 0; apart /= 2) best[v] = nm_max(best[v], __shfl_xor_sync(NM_ALL, best[v], apart));
            if (lane == 0) room.best_of[v * in.s.n_modules + q] = best[v];
        }
    }
}

// The most specific version that holds; where none does, the most specific one.
__device__ int nm_version_in_force(int present, const double* versions, const nm_network& net) {
    if (net.backoff == NM_NO_BACKOFF || (present & NM_U) == 0 || present == NM_U) return present;
    double bar3 = net.bar3, bar2 = net.bar2, bar1 = net.bar1;
    if (net.backoff == NM_RELATIVE) bar3 = bar2 = bar1 = net.ratio * versions[NM_U - 1];
    if (present == (NM_U | NM_H | NM_D) && versions[present - 1] >= bar3) return present;
    int found = 0;
    double best = -1.0;
    for (int other = NM_H; other <= NM_D; other *= 2) {
        const int pair = NM_U | other;
        if ((pair & present) == pair && versions[pair - 1] >= bar2 && versions[pair - 1] > best) {
            found = pair;
            best = versions[pair - 1];
        }
    }
    if (found > 0) return found;
    return versions[NM_U - 1] >= bar1 ? NM_U : present;
}

// Argmax code of one version of V into room.best, V of every cell into room.values, by a warp a module; returns G.
__device__ double nm_choose_by_product(nm_team team, const nm_inputs& in, int version, double hypothesis, nm_room room) {
    const int lane = team.rank & 31, n_warps = team.size >> 5;
    for (int q = team.rank >> 5; q < in.s.n_modules; q += n_warps) {
        double largest = -1.0;
        int at = 0, reached = 0;
        for (int k = lane; k < in.s.units; k += 32) {
            double v = 1.0;
            if (version & NM_U) v *= in.at(room.tables[1], 0, q, k);
            if (version & NM_H) v *= in.at(room.tables[3], 1, q, k);
            if (version & NM_D) v *= in.at(room.tables[5], 2, q, k);
            room.values[q * in.s.padded + k] = static_cast<int64_t>(nm_to_bits(v));
            reached += v >= hypothesis;
            if (v > largest) {
                largest = v;
                at = k;
            }
        }
        for (int apart = 16; apart > 0; apart /= 2) {  // ties to the lowest cell
            const double other = __shfl_xor_sync(NM_ALL, largest, apart);
            const int its = __shfl_xor_sync(NM_ALL, at, apart);
            if (other > largest || (other == largest && its < at)) {
                largest = other;
                at = its;
            }
        }
        if (reached > 0) atomicAdd(room.tally + NM_HYPOTHESES, reached);
        if (lane == 0) {
            room.best[q] = at;
            room.best_of[q] = largest;
        }
    }
    nm_meet(team);
    return nm_sum_in_order(room.best_of, in.s.n_modules) / static_cast<double>(in.s.n_modules);
}

#endif
