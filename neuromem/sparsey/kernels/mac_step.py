"""One step of one mac of a network: hold, gate or choose a code, then learn."""

import numpy as np

from neuromem.jit import jit
from neuromem.jit_vectors import FAST_PLANES, GROUP
from neuromem.sparsey.kernels.accumulate import (
    choose_best,
    collect_rows,
    planes_for,
    unpack_counts,
    winning_counts,
)
from neuromem.sparsey.kernels.choose import BLOCK, draw_code, excess_of_factor, expansivity_minus_one
from neuromem.sparsey.kernels.mac_signals import (
    ABSENT,
    BACKOFF,
    BEGINS,
    CRITICAL,
    D_EXPONENT,
    ETA_EXPONENT,
    FIRST_MODULE,
    FIRST_PARENT,
    FIRST_SOURCE,
    FIRST_WORD,
    FLOOR,
    FREE,
    H_EXPONENT,
    HIGH,
    HYPOTHESIS,
    LEARN_ALWAYS,
    LEARNS,
    LEVEL,
    LOW,
    MEMOS,
    MODULES,
    N_ACROSS,
    N_DOWN,
    N_UP,
    N_VERSIONS,
    PADDED,
    PERSISTENCE,
    RELEASE,
    SCALE,
    SLOTS,
    STOP_PARENT,
    STOP_SOURCE,
    TABLED,
    TRANSFER,
    U_EXPONENT,
    UNIT,
    UNITS,
    UPPER_ARGMAX,
    WORDS,
    D,
    H,
    U,
    add_winners,
    collect_macs,
    count_signal,
    familiarity_of_versions,
    fill_tables,
    hold,
    learn_code,
    multiplier_of,
    remembered_factor,
    remembered_power,
    silence,
    support_of,
    version_in_force,
)
from neuromem.sparsey.kernels.routing import take_rows


@jit
def workspace(macs, n_features, multipliers):
    """Room for one mac's step, of any mac: rows, counts, tables, remembered values."""
    n_words = most_modules = most_units = fan = n_levels = 1
    for m in range(macs.shape[0]):
        n_words = max(n_words, macs[m, WORDS])
        most_modules = max(most_modules, macs[m, MODULES])
        most_units = max(most_units, macs[m, UNITS])
        n_levels = max(n_levels, macs[m, LEVEL] + 1)
        fan = max(fan, macs[m, STOP_PARENT] - macs[m, FIRST_PARENT])
        if macs[m, LEVEL] > 0:
            fan = max(fan, macs[m, STOP_SOURCE] - macs[m, FIRST_SOURCE])
    repeats = 1
    for z in range(len(multipliers)):
        repeats = max(repeats, np.int64(multipliers[z]))
    n_rows = max(n_features, fan * most_modules) + GROUP
    n_total = n_features + fan * most_modules * repeats + GROUP
    rows = (np.empty(n_rows, np.int32), np.empty(n_rows, np.int32), np.empty(n_rows, np.int32))
    times = (np.empty(n_rows, np.int32), np.empty(n_rows, np.int32), np.empty(n_rows, np.int32))
    folded = (
        np.empty(n_total, np.int32),
        np.empty(max(planes_for(n_total), FAST_PLANES) * n_words, np.uint64),
        np.empty((FAST_PLANES + 1) * n_words, np.uint64),
        np.empty(n_words, np.uint64),
        np.empty(most_modules, np.uint64),
    )
    counts = (np.zeros(64 * n_words, np.int32), np.zeros(64 * n_words, np.int32), np.zeros(64 * n_words, np.int32))
    plain = (np.empty(n_total, np.float64), np.empty(n_total, np.float64), np.empty(n_total, np.float64))
    powers = (np.empty(n_total, np.float64), np.empty(n_total, np.float64), np.empty(n_total, np.float64))
    chosen = (np.empty(most_modules, np.int32), np.empty(most_modules, np.int32), np.empty(64 * n_words, np.float64))
    drawn = (
        np.arange(64 * n_words).astype(np.int32),
        np.empty(max(n_total, 64 * n_words), np.int64),
        np.empty((most_units + BLOCK - 1) // BLOCK, np.int64),
        np.empty(most_modules, np.int64),
    )
    real = np.empty(1, np.float64)
    memory = (np.full((n_levels * MEMOS, SLOTS), np.nan), np.empty((n_levels * MEMOS, SLOTS)), real, real.view(np.uint64))
    return rows, times, folded, counts, plain, powers, chosen, drawn, memory


@jit
def familiarity_of_counts(best_counts, n_modules, n_active, exponent, level, u_powers, memory):
    """G where U is the only signal: with its exponent, and with 1."""
    familiarity, bare = 0.0, 0.0
    first = n_active * (n_active + 1) // 2
    for q in range(n_modules):
        x = best_counts[q] / n_active
        bare += x
        if n_active <= TABLED:
            familiarity += u_powers[level, first + best_counts[q]]
        else:
            familiarity += remembered_power(x, exponent, level * MEMOS, memory)
    return familiarity / n_modules, bare / n_modules


@jit
def fill_excess(largest, n_active, exponent, level, u_factors, eta_minus_one, transfer, sigmoid, memory, excess):
    """Excess win weight of every count of U up to ``largest``, which is the only signal."""
    first = n_active * (n_active + 1) // 2
    for count in range(largest + 1):
        if n_active <= TABLED:
            factor = u_factors[level, first + count]
        else:
            combined = remembered_power(count / n_active, exponent, level * MEMOS, memory)
            factor = remembered_factor(combined, transfer, sigmoid, level * MEMOS + 3, memory)
        excess[count] = excess_of_factor(factor, eta_minus_one, transfer)


@jit
def fill_excess_of_cells(combined, shape, eta_minus_one, transfer, sigmoid, memo, memory, excess):
    """Excess win weight of every cell."""
    n_modules, units, padded = shape
    none = excess_of_factor(remembered_factor(0.0, transfer, sigmoid, memo + 3, memory), eta_minus_one, transfer)
    for q in range(n_modules):
        for i in range(q * padded, q * padded + units):
            v = combined[i]
            excess[i] = none
            if v > 0.0:
                factor = remembered_factor(v, transfer, sigmoid, memo + 3, memory)
                excess[i] = excess_of_factor(factor, eta_minus_one, transfer)


@jit
def choose_by_product(version, shape, counts, powers, combined, best):
    """Argmax code of one version of V, with V of every cell into ``combined``; G."""
    n_modules, units, padded = shape
    count_u, count_h, count_d = counts
    u_of, h_of, d_of = powers
    with_u, with_h, with_d = (version & U) > 0, (version & H) > 0, (version & D) > 0
    total = 0.0
    for q in range(n_modules):
        largest, at = -1.0, 0
        for k in range(units):
            i = q * padded + k
            v = 1.0
            if with_u:
                v *= u_of[count_u[i]]
            if with_h:
                v *= h_of[count_h[i]]
            if with_d:
                v *= d_of[count_d[i]]
            combined[i] = v
            if v > largest:
                largest, at = v, k
        best[q] = at
        total += largest
    return total / n_modules


@jit
def count_hypotheses(shape, combined, threshold):
    """Cells of all modules whose V reaches the threshold."""
    n_modules, units, padded = shape
    found = 0
    for q in range(n_modules):
        for i in range(q * padded, q * padded + units):
            found += combined[i] >= threshold
    return found


@jit
def run_macs(start, stop, first_mac, stop_mac, flags, first_step, frames, network, settings, state, history, work):
    """Steps of some macs, in time order and then in the order of macs.

    What the tuples hold is said in :func:`neuromem.sparsey.kernels.network.run_in_time`.  It is one long loop because
    every array that a function takes out of a tuple is counted as a reference, which costs as much as a short step.
    """
    indices, indptr, row_of_feature, routed, starts, active = frames
    macs, sources, parents = network
    rates, u_powers, u_factors, constants, modes, sigmoid, multipliers, key = settings
    bits, n_weights, frozen = state
    codes, recalled, age, sends, familiarity, versions = history
    rows, times, folded, counts, plain, powers, chosen, drawn, memory = work
    rows_u, rows_h, rows_d = rows
    times_u, times_h, times_d = times
    repeated, all_planes, all_parts, candidates, any_kept = folded
    best, best_counts, combined = chosen
    identity, excess, sums, winners = drawn
    seen = recalled if modes[UPPER_ARGMAX] else codes
    once, unit, transfer, always = len(multipliers) == 0, modes[UNIT], modes[TRANSFER], modes[LEARN_ALWAYS] > 0
    for t in range(start, stop):
        step, flag = first_step + t, np.int64(flags[t])
        begins = (flag & BEGINS) > 0
        for m in range(first_mac, stop_mac):
            level, n_modules, units, padded = macs[m, LEVEL], macs[m, MODULES], macs[m, UNITS], macs[m, PADDED]
            shape, place, memo, n_words = (n_modules, units, padded), macs[m, FIRST_MODULE], level * MEMOS, macs[m, WORDS]
            n_up, n_across, n_down = macs[m, N_UP], macs[m, N_ACROSS], macs[m, N_DOWN]
            n_rows = n_up + n_across + n_down + 1
            weights = bits[macs[m, FIRST_WORD] : macs[m, FIRST_WORD] + n_rows * n_words].reshape((n_rows, n_words))
            free = (flag & FREE) > 0 and level == 0
            learns = (flag & LEARNS) > 0 and step < macs[m, CRITICAL]
            n_u = n_h = n_d = size = 0
            if level > 0:
                listed = sources[macs[m, FIRST_SOURCE] : macs[m, STOP_SOURCE]]
                n_u, size = collect_macs(t + 1, listed, 0, macs, seen, sends, rows_u, times_u)
            elif not free and routed:
                at = m * (indptr.shape[0] - 1) + t
                n_u = size = take_rows(active, starts[at], starts[at + 1], n_rows - 1, rows_u)
            elif not free:
                n_u = size = collect_rows(indices, indptr[t], indptr[t + 1], row_of_feature[m], n_rows - 1, rows_u)
            held = not begins and codes[t, place] >= 0 and age[t, m] < macs[m, PERSISTENCE]
            if held and not learns and rates[level, RELEASE] >= 0.0 and n_u > 0:
                code = codes[t, place : place + n_modules]
                held = support_of(weights, rows_u, n_u, code, n_modules, padded) >= rates[level, RELEASE]
            if not begins and (not held or (learns and always)):
                if n_across > 0 and sends[t, m] > 0:
                    n_h = add_winners(t, m, n_up, macs, codes, sends, rows_h, times_h, 0)
                if n_down > 0:
                    listed = parents[macs[m, FIRST_PARENT] : macs[m, STOP_PARENT]]
                    n_d, _ = collect_macs(t, listed, n_up + n_across, macs, codes, sends, rows_d, times_d)
            if held:
                hold(t, m, place, n_modules, codes, recalled, age, sends, familiarity, versions)
            else:
                present = U * (n_u > 0) + H * (n_h > 0) + D * (n_d > 0)
                if present == 0 or (not free and (size < macs[m, LOW] or size > macs[m, HIGH])):
                    silence(t, m, place, n_modules, codes, recalled, age, sends, familiarity, versions)
                    continue

                # counts, tables, versions and the argmax code
                by_counts = present == U and once
                n_planes = len(all_planes) // n_words
                planes = all_planes[: n_planes * n_words].reshape((n_planes, n_words))
                part = all_parts[: (FAST_PLANES + 1) * n_words].reshape((FAST_PLANES + 1, n_words))
                used = 0
                if n_u > 0:
                    used, top = count_signal(weights, rows_u, times_u, n_u, once or level == 0, repeated, planes, part)
                if by_counts:
                    choose_best(planes, used, n_modules, units, padded, candidates, any_kept, best)
                    winning_counts(planes, used, n_modules, padded, best, best_counts)
                    for v in range(N_VERSIONS):
                        versions[t + 1, m, v] = ABSENT
                    rate = rates[level, U_EXPONENT]
                    G, versions[t + 1, m, U - 1] = familiarity_of_counts(
                        best_counts, n_modules, n_u, rate, level, u_powers, memory
                    )
                else:
                    if n_u > 0:
                        unpack_counts(planes, used, n_modules, padded, counts[0])
                        normaliser = n_u if level == 0 else n_u * unit
                        fill_tables(top, 1, normaliser, rates[level, U_EXPONENT], plain[0], powers[0], memo, memory)
                    if n_h > 0:
                        used, top = count_signal(weights, rows_h, times_h, n_h, True, repeated, planes, part)
                        unpack_counts(planes, used, n_modules, padded, counts[1])
                        normaliser = unit * (n_modules - 1)  # the own module sends nothing
                        rate = rates[level, H_EXPONENT]
                        fill_tables(top, sends[t, m], normaliser, rate, plain[1], powers[1], memo + 1, memory)
                    if n_d > 0:
                        used, top = count_signal(weights, rows_d, times_d, n_d, once, repeated, planes, part)
                        unpack_counts(planes, used, n_modules, padded, counts[2])
                        fill_tables(top, 1, unit * n_d, rates[level, D_EXPONENT], plain[2], powers[2], memo + 2, memory)
                    for s in range(3):
                        if (present >> s) & 1 == 0:  # an absent signal is a factor of 1
                            counts[s][:] = 0
                            plain[s][0] = 1.0
                    familiarity_of_versions(present, shape, counts, plain, versions[t + 1, m])
                    version = present if learns else version_in_force(present, versions[t + 1, m], modes[BACKOFF], constants)
                    G = choose_by_product(version, shape, counts, powers, combined, best)
                if free and G == 0.0:  # nothing is known of what follows
                    silence(t, m, place, n_modules, codes, recalled, age, sends, familiarity, versions)
                    continue

                # the code: the argmax one, or where the mac learns a drawn one
                for q in range(n_modules):
                    recalled[t + 1, place + q] = best[q]
                    codes[t + 1, place + q] = best[q]
                if learns:
                    floor, exponent, scale = constants[FLOOR], constants[ETA_EXPONENT], constants[SCALE]
                    eta_minus_one = expansivity_minus_one(G, floor, exponent, scale, units)
                    any_excess = eta_minus_one > 0.0
                    if by_counts and any_excess:
                        unpack_counts(planes, used, n_modules, padded, counts[0])
                        top = 0
                        for q in range(n_modules):
                            top = max(top, best_counts[q])
                        rate = rates[level, U_EXPONENT]
                        fill_excess(top, n_u, rate, level, u_factors, eta_minus_one, transfer, sigmoid, memory, excess)
                    if any_excess and not by_counts:
                        fill_excess_of_cells(combined, shape, eta_minus_one, transfer, sigmoid, memo, memory, excess)
                    asked = counts[0] if by_counts else identity
                    draw_code(step, m, key, shape, asked, excess, any_excess, sums, winners)
                    for q in range(n_modules):
                        codes[t + 1, place + q] = winners[q]
                n_hypotheses = 0 if once else count_hypotheses(shape, combined, constants[HYPOTHESIS])
                sends[t + 1, m] = multiplier_of(n_hypotheses, n_modules, multipliers)
                familiarity[t + 1, m] = G
                age[t + 1, m] = 1
            if learns:
                signals = (rows_u, n_u, rows_h, n_h, rows_d, n_d)
                learn_code(macs[m], weights, codes[t + 1, place : place + n_modules], signals, n_weights, frozen)
