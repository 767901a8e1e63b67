"""One step of one mac of a network: hold, gate or choose a code, then learn."""

import numpy as np

from neuromem.jit import jit
from neuromem.sparsey.kernels.accumulate import (
    FAST_PLANES,
    GROUP,
    choose_best,
    collect_rows,
    planes_for,
    unpack_counts,
    winning_counts,
)
from neuromem.sparsey.kernels.choose import draw_winner, excess_of_factor, expansivity_minus_one, module_uniform
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
        np.empty(n_words, np.uint64),
        np.empty(n_words, np.uint64),
        np.empty(most_modules, np.uint64),
    )
    counts = (np.zeros(64 * n_words, np.int32), np.zeros(64 * n_words, np.int32), np.zeros(64 * n_words, np.int32))
    plain = (np.empty(n_total, np.float64), np.empty(n_total, np.float64), np.empty(n_total, np.float64))
    powers = (np.empty(n_total, np.float64), np.empty(n_total, np.float64), np.empty(n_total, np.float64))
    identity = np.arange(most_units).astype(np.int32)
    chosen = (np.empty(most_modules, np.int32), np.empty(most_modules, np.int32), np.empty(64 * n_words, np.float64))
    excess = np.empty(max(n_total, most_units), np.int64)
    real = np.empty(1, np.float64)
    memory = (np.full((n_levels * MEMOS, SLOTS), np.nan), np.empty((n_levels * MEMOS, SLOTS)), real, real.view(np.uint64))
    return rows, times, folded, counts, plain, powers, identity, chosen, excess, memory


@jit(forceinline=True)
def choose_by_planes(shape, planes, n_planes, n_active, exponent, folded, chosen, memo, memory, out_versions):
    """Argmax code where U is the only signal and rows count once, straight from the planes; G."""
    n_modules, units, padded = shape
    best, best_counts, combined = chosen
    choose_best(planes, n_planes, n_modules, units, padded, folded[3], folded[4], best)
    winning_counts(planes, n_planes, n_modules, padded, best, best_counts)
    familiarity, bare = 0.0, 0.0
    for q in range(n_modules):
        x = best_counts[q] / n_active
        bare += x
        familiarity += remembered_power(x, exponent, memo, memory)
    for v in range(N_VERSIONS):
        out_versions[v] = ABSENT
    out_versions[U - 1] = bare / n_modules
    return familiarity / n_modules


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


@jit(forceinline=True)
def planes_of(mac, work):
    """The room for bit planes, in rows as wide as this mac."""
    flat, n_words = work[2][1], mac[WORDS]
    n_planes = len(flat) // n_words
    return flat[: n_planes * n_words].reshape((n_planes, n_words))


@jit(forceinline=True)
def weigh(m, t, learns, numbers, mac, weights, settings, history, work):
    """Counts, tables and versions of the signals present, and the argmax code; G, and how many planes hold U's counts."""
    n_u, n_h, n_d, present = numbers
    rates, constants, modes, sigmoid, multipliers, key = settings
    sends, versions = history[3], history[5]
    rows, times, folded, counts, plain, powers, identity, chosen, excess, memory = work
    repeated, carry = folded[0], folded[2]
    best, combined = chosen[0], chosen[2]
    level, n_modules, units, padded = mac[LEVEL], mac[MODULES], mac[UNITS], mac[PADDED]
    shape = (n_modules, units, padded)
    memo, unit, once = level * MEMOS, modes[UNIT], len(multipliers) == 0
    planes = planes_of(mac, work)
    if n_u > 0:
        n_used, top = count_signal(weights, rows[0], times[0], n_u, once or level == 0, repeated, planes, carry)
        if present == U and once:
            rate = rates[level, U_EXPONENT]
            return choose_by_planes(shape, planes, n_used, n_u, rate, folded, chosen, memo, memory, versions[t + 1, m]), n_used
        unpack_counts(planes, n_used, n_modules, padded, counts[0])
        normaliser = n_u if level == 0 else n_u * unit
        fill_tables(top, 1, normaliser, rates[level, U_EXPONENT], plain[0], powers[0], memo, memory)
    if n_h > 0:
        n_used, top = count_signal(weights, rows[1], times[1], n_h, True, repeated, planes, carry)
        unpack_counts(planes, n_used, n_modules, padded, counts[1])
        normaliser = unit * (n_modules - 1)  # the own module sends nothing
        fill_tables(top, sends[t, m], normaliser, rates[level, H_EXPONENT], plain[1], powers[1], memo + 1, memory)
    if n_d > 0:
        n_used, top = count_signal(weights, rows[2], times[2], n_d, once, repeated, planes, carry)
        unpack_counts(planes, n_used, n_modules, padded, counts[2])
        fill_tables(top, 1, unit * n_d, rates[level, D_EXPONENT], plain[2], powers[2], memo + 2, memory)
    for s in range(3):
        if (present >> s) & 1 == 0:  # an absent signal is a factor of 1
            counts[s][:] = 0
            plain[s][0] = 1.0
    familiarity_of_versions(present, shape, counts, plain, versions[t + 1, m])
    version = present if learns else version_in_force(present, versions[t + 1, m], modes[BACKOFF], constants)
    return choose_by_product(version, shape, counts, powers, combined, best), 0


@jit(forceinline=True)
def draw_by_counts(m, step, mac, n_u, n_used, eta_minus_one, settings, work, out_winners):
    """Winners where U is the only signal: the win weight of each count is looked up."""
    rates, constants, modes, sigmoid, multipliers, key = settings
    rows, times, folded, counts, plain, powers, identity, chosen, excess, memory = work
    n_modules, units, padded, memo = mac[MODULES], mac[UNITS], mac[PADDED], mac[LEVEL] * MEMOS
    transfer, exponent = modes[TRANSFER], rates[mac[LEVEL], U_EXPONENT]
    any_excess = eta_minus_one > 0.0
    if any_excess:
        unpack_counts(planes_of(mac, work), n_used, n_modules, padded, counts[0])
        top = 0
        for q in range(n_modules):
            top = max(top, np.int64(chosen[1][q]))
        for count in range(top + 1):
            factor = remembered_factor(remembered_power(count / n_u, exponent, memo, memory), transfer, sigmoid, memo + 3, memory)
            excess[count] = excess_of_factor(factor, eta_minus_one, transfer)
    for q in range(n_modules):
        out_winners[q] = draw_winner(module_uniform(step, m, q, key), counts[0], q * padded, units, excess, any_excess)


@jit(forceinline=True)
def draw_by_product(m, step, mac, eta_minus_one, settings, work, out_winners):
    """Winners where V is a product: each cell's win weight by its V."""
    rates, constants, modes, sigmoid, multipliers, key = settings
    rows, times, folded, counts, plain, powers, identity, chosen, excess, memory = work
    n_modules, units, padded, memo = mac[MODULES], mac[UNITS], mac[PADDED], mac[LEVEL] * MEMOS + 3
    combined, transfer = chosen[2], modes[TRANSFER]
    any_excess = eta_minus_one > 0.0
    none = excess_of_factor(remembered_factor(0.0, transfer, sigmoid, memo, memory), eta_minus_one, transfer)
    for q in range(n_modules):
        if any_excess:
            for k in range(units):
                v = combined[q * padded + k]
                excess[k] = none
                if v > 0.0:
                    factor = remembered_factor(v, transfer, sigmoid, memo, memory)
                    excess[k] = excess_of_factor(factor, eta_minus_one, transfer)
        out_winners[q] = draw_winner(module_uniform(step, m, q, key), identity, 0, units, excess, any_excess)


@jit(forceinline=True)
def settle(m, t, step, learns, numbers, G, n_used, mac, settings, history, work):
    """Leave the argmax code, or where the mac learns a drawn one, and what goes with it."""
    n_u, n_h, n_d, present = numbers
    constants, multipliers = settings[1], settings[4]
    codes, recalled, age, sends, familiarity, versions = history
    best, best_counts, combined = work[7]
    n_modules, units, padded, place = mac[MODULES], mac[UNITS], mac[PADDED], mac[FIRST_MODULE]
    for q in range(n_modules):
        recalled[t + 1, place + q] = best[q]
        codes[t + 1, place + q] = best[q]
    if learns:
        eta_minus_one = expansivity_minus_one(G, constants[FLOOR], constants[ETA_EXPONENT], constants[SCALE], units)
        drawn = codes[t + 1, place : place + n_modules]
        if present == U and len(multipliers) == 0:
            draw_by_counts(m, step, mac, n_u, n_used, eta_minus_one, settings, work, drawn)
        else:
            draw_by_product(m, step, mac, eta_minus_one, settings, work, drawn)
    n_hypotheses = 0
    if len(multipliers) > 0:
        n_hypotheses = count_hypotheses((n_modules, units, padded), combined, constants[HYPOTHESIS])
    sends[t + 1, m] = multiplier_of(n_hypotheses, n_modules, multipliers)
    familiarity[t + 1, m] = G
    age[t + 1, m] = 1


@jit(forceinline=True)
def step_mac(m, t, step, flag, frames, network, settings, state, history, work):
    """What one mac does in one step; :func:`neuromem.sparsey.kernels.network.run_in_time` says what the tuples hold."""
    indices, indptr, row_of_feature = frames
    macs, sources, parents = network
    rates, constants, modes, sigmoid, multipliers, key = settings
    bits, n_weights, frozen = state
    codes, recalled, age, sends, familiarity, versions = history
    rows, times = work[0], work[1]
    mac = macs[m]
    level, n_modules, place = mac[LEVEL], mac[MODULES], mac[FIRST_MODULE]
    n_rows = mac[N_UP] + mac[N_ACROSS] + mac[N_DOWN] + 1
    weights = bits[mac[FIRST_WORD] : mac[FIRST_WORD] + n_rows * mac[WORDS]].reshape((n_rows, mac[WORDS]))
    begins, free = (flag & BEGINS) > 0, (flag & FREE) > 0 and level == 0
    learns = (flag & LEARNS) > 0 and step < mac[CRITICAL]
    n_u = n_h = n_d = size = 0
    if level > 0:
        seen = recalled if modes[UPPER_ARGMAX] else codes
        listed = sources[mac[FIRST_SOURCE] : mac[STOP_SOURCE]]
        n_u, size = collect_macs(t + 1, listed, 0, macs, seen, sends, rows[0], times[0])
    elif not free:
        n_u = size = collect_rows(indices, indptr[t], indptr[t + 1], row_of_feature[m], n_rows - 1, rows[0])
    held = not begins and codes[t, place] >= 0 and age[t, m] < mac[PERSISTENCE]
    if held and not learns and rates[level, RELEASE] >= 0.0 and n_u > 0:
        code = codes[t, place : place + n_modules]
        held = support_of(weights, rows[0], n_u, code, n_modules, mac[PADDED]) >= rates[level, RELEASE]
    if not begins and (not held or (learns and modes[LEARN_ALWAYS])):
        if mac[N_ACROSS] > 0 and sends[t, m] > 0:
            n_h = add_winners(t, m, mac[N_UP], macs, codes, sends, rows[1], times[1], 0)
        if mac[N_DOWN] > 0:
            listed = parents[mac[FIRST_PARENT] : mac[STOP_PARENT]]
            n_d, _ = collect_macs(t, listed, mac[N_UP] + mac[N_ACROSS], macs, codes, sends, rows[2], times[2])
    if held:
        hold(t, m, place, n_modules, codes, recalled, age, sends, familiarity, versions)
    else:
        present = U * (n_u > 0) + H * (n_h > 0) + D * (n_d > 0)
        awake = present > 0 and (free or mac[LOW] <= size <= mac[HIGH])
        numbers = (n_u, n_h, n_d, present)
        G, n_used = 0.0, 0
        if awake:
            G, n_used = weigh(m, t, learns, numbers, mac, weights, settings, history, work)
        if not awake or (free and G == 0.0):  # shut by its gate, or nothing is known of what follows
            silence(t, m, place, n_modules, codes, recalled, age, sends, familiarity, versions)
            return
        settle(m, t, step, learns, numbers, G, n_used, mac, settings, history, work)
    if learns:
        signals = (rows[0], n_u, rows[1], n_h, rows[2], n_d)
        learn_code(mac, weights, codes[t + 1, place : place + n_modules], signals, n_weights, frozen)
