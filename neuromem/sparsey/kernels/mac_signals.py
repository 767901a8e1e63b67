"""Parts of a mac's step in a network: what reaches it, which version of V holds, what it keeps, what it learns.

A history has one row per step: row ``t + 1`` is what step ``t`` left, row ``t`` what it found.  H and D are read from row
``t`` and U from row ``t + 1`` of the level below, so no order of macs, or of levels where there is no D, can mix them up.
"""

import numpy as np

from neuromem.jit import jit, power64
from neuromem.jit_vectors import GROUP
from neuromem.sparsey.kernels.accumulate import ONE, address, count_rows, planes_for
from neuromem.sparsey.kernels.choose import win_factor
from neuromem.sparsey.kernels.present import strengthen

# Columns of the table of macs.
LEVEL, MODULES, UNITS, PADDED, WORDS, FIRST_WORD, N_UP, N_ACROSS, N_DOWN, FIRST_MODULE, FIRST_CELL = range(11)
PERSISTENCE, LOW, HIGH, FREEZE_AT, CRITICAL, FIRST_SOURCE, STOP_SOURCE, FIRST_PARENT, STOP_PARENT = range(11, 20)
MAC_COLUMNS = 20
U_EXPONENT, H_EXPONENT, D_EXPONENT, RELEASE = range(4)  # columns of the rates of a level; a negative release is none
FLOOR, ETA_EXPONENT, SCALE, RATIO, BAR3, BAR2, BAR1, HYPOTHESIS = range(8)  # constants of the network
BACKOFF, TRANSFER, LEARN_ALWAYS, UNIT, UPPER_ARGMAX = range(5)  # its modes
NO_BACKOFF, RELATIVE, ABSOLUTE = range(3)
BEGINS, LEARNS, FREE = 1, 2, 4  # flags of a step
U, H, D = 1, 2, 4  # a version of V is a sum of these
N_VERSIONS, ABSENT = 7, -1.0
SLOTS, SLOT_SHIFT = 1024, np.uint64(54)  # values remembered per function
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
TABLED = 127  # powers and win factors of U alone are tabled up to this many active rows
MEMOS = 4  # functions of a level whose values are remembered: powers of u, h and d; win factors


@jit
def slot_of(x, real, bits):
    """Where a value is remembered: a hash of its bits; ``bits`` is a view of ``real``, both of one number."""
    real[0] = x
    return np.int64((bits[0] * GOLDEN) >> SLOT_SHIFT)


@jit
def remembered_power(x, exponent, memo, memory):
    """x ** exponent; computed only where x was not there lately."""
    if x == 0.0 or x == 1.0 or exponent == 1.0:
        return x
    asked, answers, real, bits = memory
    slot = slot_of(x, real, bits)
    if asked[memo, slot] != x:
        asked[memo, slot] = x
        answers[memo, slot] = power64(x, exponent)
    return answers[memo, slot]


@jit
def remembered_factor(combined, transfer, sigmoid, memo, memory):
    """The win factor of V; computed only where this V was not there lately."""
    asked, answers, real, bits = memory
    slot = slot_of(combined, real, bits)
    if asked[memo, slot] != combined:
        asked[memo, slot] = combined
        answers[memo, slot] = win_factor(combined, transfer, sigmoid)
    return answers[memo, slot]


@jit
def add_winners(at, source, first_row, macs, codes, sends, rows, times, n_rows):
    """Append the rows of one mac's winners, as they stand in row ``at`` of the history; return how many there are now."""
    place = macs[source, FIRST_MODULE]
    for q in range(macs[source, MODULES]):
        rows[n_rows] = first_row + q * macs[source, UNITS] + codes[at, place + q]
        times[n_rows] = sends[at, source]
        n_rows += 1
    return n_rows


@jit
def collect_macs(at, listed, first_row, macs, codes, sends, rows, times):
    """Rows from the macs that are listed and send; how many rows, and how many macs."""
    n_rows = 0
    n_sending = 0
    for source in listed:
        if sends[at, source] > 0:
            n_sending += 1
            n_rows = add_winners(at, source, first_row, macs, codes, sends, rows, times, n_rows)
        first_row += macs[source, MODULES] * macs[source, UNITS]
    return n_rows, n_sending


@jit
def count_signal(weights, rows, times, n_rows, once, repeated, planes, part):
    """Bit-sliced sum of rows, each as often as it counts; number of planes, and the largest possible count."""
    zero_row = weights.shape[0] - 1
    total = n_rows
    if once:
        repeated = rows
    else:
        total = 0
        for j in range(n_rows):
            for _ in range(times[j]):
                repeated[total] = rows[j]
                total += 1
    for j in range(total, total + GROUP - 1):
        repeated[j] = zero_row
    n_planes = planes_for(total)
    count_rows(weights, repeated, total, n_planes, planes, part)
    return n_planes, total


@jit
def fill_tables(largest, factor, normaliser, exponent, plain, powers, memo, memory):
    """Signal and its power for every count up to ``largest``: min(1, factor * count / normaliser)."""
    for count in range(largest + 1):
        x = 1.0 if factor * count >= normaliser else factor * count / normaliser
        plain[count] = x
        powers[count] = remembered_power(x, exponent, memo, memory)


@jit
def support_of(weights, rows, n_rows, code, n_modules, padded):
    """Share of the weights from active rows to the code's cells that are set."""
    hits = 0
    for q in range(n_modules):
        word, bit = address(q, np.int64(code[q]), n_modules, padded)
        for j in range(n_rows):
            hits += np.int64((weights[rows[j], word] >> np.uint64(bit)) & ONE)
    return hits / (n_rows * n_modules)


@jit
def familiarity_of_versions(present, shape, counts, tables, out_versions):
    """G of every version of the signals present, all exponents 1; ABSENT for the others."""
    n_modules, units, padded = shape
    count_u, count_h, count_d = counts
    u_of, h_of, d_of = tables
    for v in range(N_VERSIONS):
        out_versions[v] = 0.0 if (v + 1) & present == v + 1 else np.nan
    for q in range(n_modules):
        best_u = best_h = best_d = best_uh = best_ud = best_hd = best_all = 0.0
        for i in range(q * padded, q * padded + units):
            u, h = u_of[count_u[i]], h_of[count_h[i]]
            best_u, best_h, best_uh = max(best_u, u), max(best_h, h), max(best_uh, u * h)
            if present & D:
                d = d_of[count_d[i]]
                best_d, best_ud = max(best_d, d), max(best_ud, u * d)
                best_hd, best_all = max(best_hd, h * d), max(best_all, u * h * d)
        out_versions[U - 1] += best_u
        out_versions[H - 1] += best_h
        out_versions[(U | H) - 1] += best_uh
        out_versions[D - 1] += best_d
        out_versions[(U | D) - 1] += best_ud
        out_versions[(H | D) - 1] += best_hd
        out_versions[(U | H | D) - 1] += best_all
    for v in range(N_VERSIONS):
        out_versions[v] = out_versions[v] / n_modules if (v + 1) & present == v + 1 else ABSENT


@jit
def version_in_force(present, versions, backoff, constants):
    """The most specific version that holds; where none does, the most specific one."""
    if backoff == NO_BACKOFF or (present & U) == 0 or present == U:
        return present
    bar3, bar2, bar1 = constants[BAR3], constants[BAR2], constants[BAR1]
    if backoff == RELATIVE:
        bar3 = bar2 = bar1 = constants[RATIO] * versions[U - 1]
    if present == U | H | D and versions[present - 1] >= bar3:
        return present
    found, best = 0, -1.0
    for other in (H, D):
        pair = U | other
        if pair & present == pair and versions[pair - 1] >= bar2 and versions[pair - 1] > best:
            found, best = pair, versions[pair - 1]
    if found > 0:
        return found
    return U if versions[U - 1] >= bar1 else present


@jit
def multiplier_of(n_hypotheses, n_modules, multipliers):
    """How often a winner's row counts at its targets, by the number of hypotheses per module."""
    if len(multipliers) == 0:
        return 1
    zeta = max(1, (2 * n_hypotheses + n_modules) // (2 * n_modules))
    return np.int64(multipliers[zeta]) if zeta < len(multipliers) else 0


@jit
def silence(t, m, first_module, n_modules, codes, recalled, age, sends, familiarity, versions):
    """Leave no code."""
    for q in range(first_module, first_module + n_modules):
        codes[t + 1, q] = -1
        recalled[t + 1, q] = -1
    age[t + 1, m] = 0
    sends[t + 1, m] = 0
    familiarity[t + 1, m] = 0.0
    for v in range(N_VERSIONS):
        versions[t + 1, m, v] = ABSENT


@jit
def hold(t, m, first_module, n_modules, codes, recalled, age, sends, familiarity, versions):
    """Keep code, familiarity and what is sent; grow older."""
    for q in range(first_module, first_module + n_modules):
        codes[t + 1, q] = codes[t, q]
        recalled[t + 1, q] = recalled[t, q]
    age[t + 1, m] = age[t, m] + 1
    sends[t + 1, m] = sends[t, m]
    familiarity[t + 1, m] = familiarity[t, m]
    for v in range(N_VERSIONS):
        versions[t + 1, m, v] = versions[t, m, v]


@jit
def learn_code(mac, weights, code, signals, n_weights, frozen):
    """Connect every active row to every winner that is not frozen; a module gets nothing from its own cells."""
    rows_u, n_u, rows_h, n_h, rows_d, n_d = signals
    n_modules, units, padded = mac[MODULES], mac[UNITS], mac[PADDED]
    for q in range(n_modules):
        winner = np.int64(code[q])
        cell = mac[FIRST_CELL] + q * units + winner
        if frozen[cell]:
            continue
        word, bit = address(q, winner, n_modules, padded)
        strengthen(weights, rows_u, n_u, word, bit, n_weights, cell)
        one = ONE << np.uint64(bit)
        for j in range(n_h):
            if j != q:  # row j comes from module j
                weights[rows_h[j], word] |= one
        for j in range(n_d):
            weights[rows_d[j], word] |= one
        if n_weights[cell] >= mac[FREEZE_AT]:
            frozen[cell] = True
