// Networks of macs on the GPU: a mac's step by one block, over time and depth, and what codes stand for below.
// The arithmetic of neuromem/sparsey/kernels (network.py, mac_step.py, mac_signals.py), with its bits.
//
// A history has one row per step: row t + 1 is what step t left, row t what it found.  H and D are read from row t and U from
// row t + 1 of the level below, so blocks of one level never wait for each other.
#include "common.cuh"
#include "sparsey.cuh"
#include "sparsey_network.cuh"

// How often a winner's row counts at its targets, by the number of hypotheses per module.
__device__ int nm_multiplier_of(int n_hypotheses, int n_modules, const nm_network& net) {
    if (net.n_multipliers == 0) return 1;
    const int zeta = nm_max(1, (2 * n_hypotheses + n_modules) / (2 * n_modules));
    return zeta < net.n_multipliers ? net.multipliers[zeta] : 0;
}

// Leave no code.
__device__ void nm_silence(nm_team team, const nm_network& net, int64_t t, int m, int64_t place, int n_modules) {
    const int64_t after = (t + 1) * net.n_macs + m;
    for (int q = team.rank; q < n_modules; q += team.size) {
        net.codes[(t + 1) * net.n_modules + place + q] = -1;
        net.recalled[(t + 1) * net.n_modules + place + q] = -1;
    }
    if (team.rank < NM_VERSIONS) net.versions[after * NM_VERSIONS + team.rank] = NM_ABSENT;
    if (team.rank == 0) {
        net.age[after] = 0;
        net.sends[after] = 0;
        net.familiarity[after] = 0.0;
    }
}

// Keep code, familiarity and what is sent; grow older.
__device__ void nm_hold(nm_team team, const nm_network& net, int64_t t, int m, int64_t place, int n_modules) {
    const int64_t before = t * net.n_macs + m, after = before + net.n_macs;
    for (int q = team.rank; q < n_modules; q += team.size) {
        const int64_t i = t * net.n_modules + place + q;
        net.codes[i + net.n_modules] = net.codes[i];
        net.recalled[i + net.n_modules] = net.recalled[i];
    }
    if (team.rank < NM_VERSIONS) {
        net.versions[after * NM_VERSIONS + team.rank] = net.versions[before * NM_VERSIONS + team.rank];
    }
    if (team.rank == 0) {
        net.age[after] = net.age[before] + 1;
        net.sends[after] = net.sends[before];
        net.familiarity[after] = net.familiarity[before];
    }
}

// Connect every active row to every winner that is not frozen, by a warp a module; a module gets nothing from its own cells.
__device__ void nm_learn_code(nm_team team, const nm_network& net, nm_shape s, const int64_t* mac, const nm_signal* signals,
                              bool with_context, const int32_t* code, uint32_t* weights) {
    const int lane = team.rank & 31, n_warps = team.size >> 5;
    for (int q = team.rank >> 5; q < s.n_modules; q += n_warps) {
        const int winner = code[q];
        const int64_t cell = mac[NM_FIRST_CELL] + static_cast<int64_t>(q) * s.units + winner;
        const int closed = lane == 0 ? net.frozen[cell] : 0;  // read and written by this lane only
        if (__shfl_sync(NM_ALL, closed, 0)) continue;
        const nm_place place = nm_address(s, q, winner);
        const int added = nm_strengthen(signals[0], 0, signals[0].n, weights, s.n_words, place, lane);
        for (int j = lane; with_context && j < signals[1].n; j += 32) {
            const int row = j == q ? -1 : signals[1].row(j);  // row j comes from module j
            if (row >= 0) atomicOr(&weights[static_cast<int64_t>(row) * s.n_words + place.word], 1u << place.bit);
        }
        for (int64_t j = lane; with_context && j < signals[2].n; j += 32) {
            const int row = signals[2].row(j);
            if (row >= 0) atomicOr(&weights[static_cast<int64_t>(row) * s.n_words + place.word], 1u << place.bit);
        }
        if (lane == 0) {
            net.n_weights[cell] += added;
            if (net.n_weights[cell] >= mac[NM_FREEZE_AT]) net.frozen[cell] = 1;
        }
    }
}

// What reaches a mac at a step: U, H and D.
__device__ void nm_find_signals(const nm_network& net, const int64_t* mac, int64_t t, int m, bool begins, bool free,
                                nm_signal* signals) {
    const int n_up = static_cast<int>(mac[NM_N_UP]), n_across = static_cast<int>(mac[NM_N_ACROSS]);
    const int32_t *found = net.codes + t * net.n_modules, *codes = found + net.n_modules;
    signals[0] = signals[1] = signals[2] = {};
    if (mac[NM_LEVEL] > 0) {
        const int64_t* source = net.macs + net.sources[mac[NM_FIRST_SOURCE]] * static_cast<int64_t>(NM_COLUMNS);
        const int modules = static_cast<int>(source[NM_MODULES]);
        const int32_t* seen = net.upper_argmax ? net.recalled + (t + 1) * net.n_modules : codes;
        signals[0] = {net.sources + mac[NM_FIRST_SOURCE], nullptr, net.macs, seen, net.sends + (t + 1) * net.n_macs, 0, modules,
                      static_cast<int>(source[NM_UNITS]), 0, (mac[NM_STOP_SOURCE] - mac[NM_FIRST_SOURCE]) * modules};
    } else if (!free) {
        signals[0].listed = net.indices + net.indptr[t];
        signals[0].row_of_feature = net.row_of_feature + static_cast<int64_t>(m) * net.n_features;
        signals[0].modules = 1;
        signals[0].n = net.indptr[t + 1] - net.indptr[t];
    }
    if (!begins && n_across > 0 && net.sends[t * net.n_macs + m] > 0) {
        const int modules = static_cast<int>(mac[NM_MODULES]);
        signals[1] = {nullptr, nullptr, net.macs, found, net.sends + t * net.n_macs, m, modules,
                      static_cast<int>(mac[NM_UNITS]), n_up, modules};
    }
    if (!begins && mac[NM_N_DOWN] > 0) {
        const int64_t* parent = net.macs + net.parents[mac[NM_FIRST_PARENT]] * static_cast<int64_t>(NM_COLUMNS);
        const int modules = static_cast<int>(parent[NM_MODULES]);
        signals[2] = {net.parents + mac[NM_FIRST_PARENT], nullptr, net.macs, found, net.sends + t * net.n_macs, 0, modules,
                      static_cast<int>(parent[NM_UNITS]), n_up + n_across, (mac[NM_STOP_PARENT] - mac[NM_FIRST_PARENT]) * modules};
    }
}

// One step of one mac: hold, gate or choose a code, then learn.  The caller lets the team meet before the next one.
__device__ void nm_step_mac(nm_team team, const nm_network& net, nm_room room, int n_planes, int64_t t, int m) {
    const int64_t* mac = net.macs + static_cast<int64_t>(m) * NM_COLUMNS;
    const int level = static_cast<int>(mac[NM_LEVEL]), Q = static_cast<int>(mac[NM_MODULES]);
    const int units = static_cast<int>(mac[NM_UNITS]);
    const nm_shape s = {static_cast<int>(mac[NM_N_UP]), Q, units, static_cast<int>(mac[NM_PADDED]),
                        static_cast<int>(2 * mac[NM_WORDS]), n_planes};
    const int64_t place = mac[NM_FIRST_MODULE], here = t * net.n_macs + m, step = net.first_step + t;
    const double* rates = net.rates + level * NM_RATES;
    uint32_t* weights = net.bits + 2 * mac[NM_FIRST_WORD];
    const int flag = net.flags[t];
    const bool begins = flag & NM_BEGINS, free = (flag & NM_FREE) && level == 0;
    const bool learns = (flag & NM_LEARNS) && step < mac[NM_CRITICAL], once = net.n_multipliers == 0;
    const nm_signal* signals = room.signals;
    const int32_t* found = net.codes + t * net.n_modules;
    int32_t* codes = net.codes + (t + 1) * net.n_modules;

    if (team.rank == 0) nm_find_signals(net, mac, t, m, begins, free, room.signals);
    if (team.rank < NM_TALLIES) room.tally[team.rank] = 0;
    nm_meet(team);
    nm_tally_rows(team, signals[0], room.tally + NM_N_U, room.tally + NM_TOTAL_U);
    nm_tally_rows(team, signals[2], room.tally + NM_N_D, room.tally + NM_TOTAL_D);
    nm_meet(team);
    const int n_u = room.tally[NM_N_U], total_u = room.tally[NM_TOTAL_U];
    const int n_h = static_cast<int>(signals[1].n), n_d = room.tally[NM_N_D], total_d = room.tally[NM_TOTAL_D];
    const int size = n_u / nm_max(1, signals[0].modules);

    bool held = !begins && found[place] >= 0 && net.age[here] < mac[NM_PERSISTENCE];
    if (held && !learns && rates[NM_RELEASE] >= 0.0 && n_u > 0) {
        int hits = 0;
        for (int64_t j = team.rank; j < signals[0].n; j += team.size) {
            const int row = signals[0].row(j);
            for (int q = 0; row >= 0 && q < Q; ++q) {
                const nm_place cell = nm_address(s, q, found[place + q]);
                hits += (weights[static_cast<int64_t>(row) * s.n_words + cell.word] >> cell.bit) & 1u;
            }
        }
        if (hits > 0) atomicAdd(room.tally + NM_HITS, hits);
        nm_meet(team);
        const double asked = static_cast<double>(static_cast<int64_t>(n_u) * Q);
        held = static_cast<double>(room.tally[NM_HITS]) / asked >= rates[NM_RELEASE];
    }
    const bool with_context = !held || net.always;  // of what is learned
    if (held) {
        nm_hold(team, net, t, m, place, Q);
    } else {
        const int present = NM_U * (n_u > 0) + NM_H * (n_h > 0) + NM_D * (n_d > 0);
        if (present == 0 || (!free && (size < mac[NM_LOW] || size > mac[NM_HIGH]))) {
            nm_silence(team, net, t, m, place, Q);
            return;
        }

        // counts, tables, versions and the argmax code
        const bool by_counts = present == NM_U && once;
        nm_inputs in = {s, room.planes, {0, 0, 0}};
        double G;
        double* versions = net.versions + (here + net.n_macs) * NM_VERSIONS;
        if (n_u > 0) {
            in.n_planes[0] = nm_planes_for(total_u);
            nm_count_signal(team, s, signals[0], level > 0 ? net.n_digits : 1, weights, room.planes, room);
        }
        if (by_counts) {
            nm_choose_best(team, s, room.planes, in.n_planes[0], room.candidates, room.best);
            const int64_t first = static_cast<int64_t>(level) * net.n_tabled + static_cast<int64_t>(n_u) * (n_u + 1) / 2;
            for (int q = team.rank; q < Q; q += team.size) {
                const int count = nm_count_of(s, room.planes, in.n_planes[0], q, room.best[q]);
                const double x = static_cast<double>(count) / static_cast<double>(n_u);
                room.best_of[q] = n_u <= NM_TABLED ? net.u_powers[first + count] : nm_signal_power(x, rates[NM_U_EXPONENT]);
                room.best_of[Q + q] = x;
                atomicMax(room.tally + NM_TOP, count);
            }
            nm_meet(team);
            G = nm_sum_in_order(room.best_of, Q) / static_cast<double>(Q);
            if (team.rank < NM_VERSIONS) {
                const bool only = team.rank == NM_U - 1;
                versions[team.rank] = only ? nm_sum_in_order(room.best_of + Q, Q) / static_cast<double>(Q) : NM_ABSENT;
            }
        } else {
            const int64_t set = static_cast<int64_t>(n_planes) * s.n_words;
            if (n_u > 0) {
                const int64_t normaliser = static_cast<int64_t>(n_u) * (level > 0 ? net.unit : 1);
                nm_fill_tables(team, total_u, 1, normaliser, rates[NM_U_EXPONENT], room.tables[0], room.tables[1]);
            }
            if (n_h > 0) {  // every row once; how often they count is in the tables
                in.n_planes[1] = nm_planes_for(n_h);
                nm_count_rows(team, s, signals[1], 0, n_h, weights, 0, room.planes + set, room.rows, room.tally + NM_LISTED);
                const int64_t normaliser = static_cast<int64_t>(net.unit) * (Q - 1);  // the own module sends nothing
                const int factor = net.sends[here];
                nm_fill_tables(team, n_h, factor, normaliser, rates[NM_H_EXPONENT], room.tables[2], room.tables[3]);
            }
            if (n_d > 0) {
                in.n_planes[2] = nm_planes_for(total_d);
                nm_count_signal(team, s, signals[2], net.n_digits, weights, room.planes + 2 * set, room);
                const int64_t normaliser = static_cast<int64_t>(net.unit) * n_d;
                nm_fill_tables(team, total_d, 1, normaliser, rates[NM_D_EXPONENT], room.tables[4], room.tables[5]);
            }
            nm_meet(team);
            nm_best_of_versions(team, in, present, room);
            nm_meet(team);
            if (team.rank < NM_VERSIONS) {
                const bool there = ((team.rank + 1) & present) == team.rank + 1;
                double mean = NM_ABSENT;
                if (there) mean = nm_sum_in_order(room.best_of + team.rank * Q, Q) / static_cast<double>(Q);
                versions[team.rank] = room.versions[team.rank] = mean;
            }
            nm_meet(team);
            const int version = learns ? present : nm_version_in_force(present, room.versions, net);
            G = nm_choose_by_product(team, in, version, net.hypothesis, room);
        }
        if (free && G == 0.0) {  // nothing is known of what follows
            nm_silence(team, net, t, m, place, Q);
            return;
        }

        // the code: the argmax one, or where the mac learns a drawn one
        for (int q = team.rank; q < Q; q += team.size) {
            net.recalled[(t + 1) * net.n_modules + place + q] = room.best[q];
            if (!learns) codes[place + q] = room.best[q];
        }
        if (learns) {
            const double eta_minus_one = nm_expansivity_minus_one(G, net.floor, net.exponent, net.scale, units);
            const bool any_excess = eta_minus_one > 0.0;
            if (by_counts && any_excess) {
                const int64_t first = static_cast<int64_t>(level) * net.n_tabled + static_cast<int64_t>(n_u) * (n_u + 1) / 2;
                for (int count = team.rank; count <= room.tally[NM_TOP]; count += team.size) {
                    double factor;
                    if (n_u <= NM_TABLED) {
                        factor = net.u_factors[first + count];
                    } else {
                        const double x = static_cast<double>(count) / static_cast<double>(n_u);
                        factor = nm_win_factor(nm_signal_power(x, rates[NM_U_EXPONENT]), net.sigmoid);
                    }
                    room.values[count] = nm_excess_of_factor(factor, eta_minus_one, net.sigmoid.logistic);
                }
                nm_meet(team);
            }
            const int lane = team.rank & 31, n_warps = team.size >> 5;
            for (int q = team.rank >> 5; q < Q; q += n_warps) {
                const double uniform = nm_module_uniform(step, m, q, net.key0, net.key1);
                int winner = nm_min(static_cast<int>(uniform * static_cast<double>(units)), units - 1);
                if (by_counts && any_excess) {
                    const auto excess = [&](int k) { return room.values[nm_count_of(s, room.planes, in.n_planes[0], q, k)]; };
                    winner = nm_draw_winner(units, uniform, excess, lane);
                } else if (any_excess) {
                    int64_t* mine = room.values + q * s.padded;
                    const double least = nm_win_factor(0.0, net.sigmoid);  // of most cells
                    for (int k = lane; k < units; k += 32) {
                        const double v = nm_from_bits(static_cast<uint64_t>(mine[k]));
                        const double factor = v > 0.0 ? nm_win_factor(v, net.sigmoid) : least;
                        mine[k] = nm_excess_of_factor(factor, eta_minus_one, net.sigmoid.logistic);
                    }
                    __syncwarp();
                    winner = nm_draw_winner(units, uniform, [&](int k) { return mine[k]; }, lane);
                }
                if (lane == 0) codes[place + q] = winner;
            }
        }
        if (team.rank == 0) {
            net.sends[here + net.n_macs] = nm_multiplier_of(room.tally[NM_HYPOTHESES], Q, net);
            net.familiarity[here + net.n_macs] = G;
            net.age[here + net.n_macs] = 1;
        }
    }
    if (!learns) return;
    nm_meet(team);
    nm_learn_code(team, net, s, mac, signals, with_context, codes + place, weights);
}

extern "C" {

// Blocks of the grid take macs (`macs_each` from `first_mac` on) and blocks of episodes, and walk through time: through
// `n_steps` of each episode block from its step `offset` on.
__global__ void nm_sparsey_network_run(
    int64_t offset, int64_t n_steps, int32_t first_mac, int32_t stop_mac, int32_t macs_each, const int32_t* indices,
    const int64_t* indptr, const int32_t* row_of_feature, int32_t n_features, const uint8_t* flags, const int64_t* blocks,
    int64_t n_blocks, int64_t first_step, const int64_t* macs, int32_t n_macs, int32_t n_modules, const int32_t* sources,
    const int32_t* parents, const double* rates, const double* u_powers, const double* u_factors, int32_t n_tabled,
    double floor, double exponent, double scale, double ratio, double bar3, double bar2, double bar1, double hypothesis,
    int32_t backoff, int32_t logistic, int32_t always, int32_t unit, int32_t upper_argmax, double s1, double s2, double s3,
    double s4, const int32_t* multipliers, int32_t n_multipliers, int32_t n_digits, uint32_t key0, uint32_t key1,
    int32_t n_values, int32_t table_u, int32_t table_h, int32_t table_d, int32_t most_modules, int32_t most_words,
    int32_t n_planes, int64_t scratch_words, uint64_t* scratch, uint64_t* bits, int32_t* n_weights, uint8_t* frozen,
    int32_t* codes, int32_t* recalled, int32_t* age, int32_t* sends, double* familiarity, double* versions) {
    extern __shared__ uint64_t shared_space[];
    const nm_team team = {static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x)};
    const nm_sizes sizes = {n_values, table_u, table_h, table_d, most_modules, most_words, n_planes};
    const nm_room room = nm_room_at(scratch_words ? scratch + blockIdx.x * scratch_words : shared_space, sizes);
    const nm_network net = {
        indices, indptr, row_of_feature, n_features, flags, first_step, macs, n_macs, n_modules, sources, parents, rates,
        u_powers, u_factors, n_tabled, floor, exponent, scale, ratio, bar3, bar2, bar1, hypothesis, backoff, always, unit,
        upper_argmax, {s1, s2, s3, s4, logistic}, multipliers, n_multipliers, n_digits, key0, key1,
        reinterpret_cast<uint32_t*>(bits), n_weights, frozen, codes, recalled, age, sends, familiarity, versions};
    const int64_t n_tasks = (stop_mac - first_mac + macs_each - 1) / macs_each * n_blocks;
    for (int64_t task = blockIdx.x; task < n_tasks; task += gridDim.x) {
        const int64_t block = task % n_blocks;
        const int first = first_mac + static_cast<int>(task / n_blocks) * macs_each;
        const int last = nm_min(first + macs_each, stop_mac);
        const int64_t start = blocks[block] + offset, stop = nm_min(blocks[block + 1], start + n_steps);
        for (int64_t t = start; t < stop; ++t) {
            for (int m = first; m < last; ++m) {
                nm_step_mac(team, net, room, n_planes, t, m);
                nm_meet(team);
            }
        }
    }
}

// Score every feature by the share of winners that have a weight from it, averaged over the macs awake that see it.
__global__ void nm_sparsey_network_project(const int32_t* codes, int64_t n_items, int32_t n_modules, const int64_t* macs,
                                           int32_t n_first, const int32_t* sources, const uint64_t* bits, int32_t in_scratch,
                                           int32_t* scratch, float* out_scores, int32_t n_features) {
    extern __shared__ int32_t shared_counts[];
    int32_t* seen = in_scratch ? scratch + static_cast<int64_t>(blockIdx.x) * n_features : shared_counts;
    for (int64_t n = blockIdx.x; n < n_items; n += gridDim.x) {
        float* scores = out_scores + n * n_features;
        for (int f = threadIdx.x; f < n_features; f += blockDim.x) {
            scores[f] = 0.0f;
            seen[f] = 0;
        }
        __syncthreads();
        for (int m = 0; m < n_first; ++m) {
            const int64_t* mac = macs + static_cast<int64_t>(m) * NM_COLUMNS;
            const int32_t* code = codes + n * n_modules + mac[NM_FIRST_MODULE];
            if (code[0] < 0) continue;
            const int n_up = static_cast<int>(mac[NM_N_UP]), Q = static_cast<int>(mac[NM_MODULES]);
            const nm_shape s = {n_up, Q, static_cast<int>(mac[NM_UNITS]), static_cast<int>(mac[NM_PADDED]),
                                static_cast<int>(2 * mac[NM_WORDS]), 0};
            const uint32_t* weights = reinterpret_cast<const uint32_t*>(bits) + 2 * mac[NM_FIRST_WORD];
            for (int r = threadIdx.x; r < n_up; r += blockDim.x) {
                int hits = 0;
                for (int q = 0; q < Q; ++q) {
                    const nm_place place = nm_address(s, q, code[q]);
                    hits += (weights[static_cast<int64_t>(r) * s.n_words + place.word] >> place.bit) & 1u;
                }
                const int feature = sources[mac[NM_FIRST_SOURCE] + r];  // each once per mac
                scores[feature] += static_cast<float>(static_cast<double>(hits) / static_cast<double>(Q));
                seen[feature] += 1;
            }
            __syncthreads();
        }
        for (int f = threadIdx.x; f < n_features; f += blockDim.x) {
            if (seen[f] > 1) scores[f] /= static_cast<float>(seen[f]);
        }
    }
}
}
