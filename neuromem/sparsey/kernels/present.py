"""Present a stream of items to a grid of macs: learn one by one, or recall in any order.

Macs stand outside and items inside: a mac's weights stay in cache for the whole stream, and since macs at one level
without feedback do not see each other, threads over macs keep the exact sequential meaning of "item n meets the weights
that item n - 1 left".
"""

import numpy as np

from neuromem.jit import jit, prange
from neuromem.jit_vectors import FAST_PLANES, GROUP
from neuromem.sparsey.kernels.accumulate import (
    ONE,
    ZERO,
    address,
    choose_best,
    collect_rows,
    count_rows,
    planes_for,
    unpack_counts,
    winning_counts,
)
from neuromem.sparsey.kernels.choose import (
    BLOCK,
    PSI,
    combined_input,
    draw_code,
    excess_of_factor,
    expansivity_minus_one,
    win_factor,
)
from neuromem.sparsey.kernels.routing import ITEMS_PER_ROUTE, ROUTED_FROM, route, seen_by, take_rows

UNIFORM_WINNERS = 1
FREEZE_NONE, FREEZE_CELL, FREEZE_MAC = 0, 1, 2
NARROW = 65535  # active afferents up to which counts fit 16 bits
TABLED = 192  # active afferents below which V is tabled by count, in streams that are routed
ITEMS_PER_TASK = 256  # read-only work is cut into (mac, block of items) tasks of this size


@jit
def mean_combined(counts, n_active, u_exponent):
    """G: the mean over modules of the largest V, summed in module order."""
    total = 0.0
    for q in range(counts.shape[0]):
        total += combined_input(counts[q], n_active, u_exponent)
    return total / counts.shape[0]


@jit
def mean_tabled(counts, powers):
    """The same from a table of V by count."""
    total = 0.0
    for q in range(counts.shape[0]):
        total += powers[counts[q]]
    return total / counts.shape[0]


@jit(parallel=True)
def table_counts(starts, normaliser, u_exponent, transfer, sigmoid, tabled, powers, factors):
    """Fill the rows of V, and of win factors where there is such a table, for every number of active afferents that occurs.

    All macs share the tables.  In them row ``n`` has what belongs to each count of ``n`` active afferents; ``tabled`` says
    which rows are there already.
    """
    wanted = np.zeros(tabled.shape[0], np.bool_)
    for i in range(starts.shape[0] - 1):
        n_rows = starts[i + 1] - starts[i]
        if n_rows < wanted.shape[0]:
            wanted[n_rows] = not tabled[n_rows]
    for n_rows in prange(wanted.shape[0]):
        if wanted[n_rows]:
            tabled[n_rows] = True
            for count in range(n_rows + 1):
                powers[n_rows, count] = combined_input(count, n_rows if normaliser == 0 else normaliser, u_exponent)
                if factors.shape[0] > 0:
                    factors[n_rows, count] = win_factor(powers[n_rows, count], transfer, sigmoid)


@jit
def draw_from_planes(planes, n_planes, step, mac, key, shape, counts, excess, any_excess, sums, winners):
    """Sample one cell per module by the excess win weight of each cell's count; ``counts`` is work space."""
    if any_excess:
        unpack_counts(planes, n_planes, shape[0], shape[2], counts)
    draw_code(step, mac, key, shape, counts, excess, any_excess, sums, winners)


@jit
def strengthen(weights, rows, n_rows, word, bit_number, n_weights, cell):
    """Set the weights from the active afferents to one winner; keep the winner's weight count."""
    bit = ONE << np.uint64(bit_number)
    added = 0
    for j in range(n_rows):
        row = weights[rows[j]]
        old = row[word]
        row[word] = old | bit
        added += (old & bit) == ZERO
    n_weights[cell] += added
    return added


@jit(parallel=True)
def learn_stream(
    indices,
    indptr,
    row_of_feature,
    cell_order,
    shape,
    bounds,
    exponents,
    sigmoid,
    modes,
    freeze_limits,
    key,
    first_step,
    n_learned,
    silent,
    weights,
    n_weights,
    frozen,
    out_codes,
    out_written,
    out_familiarity,
):
    """Present items in order to every mac, learning the first ``n_learned`` of them.

    Parameters
    ----------
    indices : int32 (nnz,)
        Active features of the items, one after the other.
    indptr : int64 (n_items + 1,)
    row_of_feature : int32 (n_macs, n_features)
        Afferent of each feature, -1 where the mac does not see it.
    cell_order : uint16 (n_macs, n_modules, units_per_module)
        Number of the cell that stands at each bit position.
    shape : int64 (3,)
        Modules, units per module, padded units per module.
    bounds : int64 (3,)
        Lowest and highest number of active afferents that wake a mac; fixed normaliser, or 0 for the active count.
    exponents : float64 (4,)
        U exponent, familiarity floor, expansivity exponent, expansivity scale.
    sigmoid : float64 (4,)
    modes : int64 (3,)
        Transfer, winners (1: uniform), freeze.
    freeze_limits : int64 (2,)
        Weights at which a cell freezes; weights at which a mac freezes.
    key : uint32 (2,)
    first_step, n_learned, silent : int
    weights : uint64 (n_macs, n_afferents + 1, n_words), in and out
    n_weights : int32 (n_macs, n_modules * units_per_module), in and out
    frozen : bool (n_macs, n_modules * units_per_module), in and out
    out_codes, out_written : uint8 or uint16 (n_items, n_macs, n_modules)
        Winners recall would have given before the write; winners written.
    out_familiarity : float64 (n_items, n_macs)
    """
    n_macs, n_afferents = weights.shape[0], weights.shape[1] - 1
    n_modules, units, padded = shape[0], shape[1], shape[2]
    n_items = indptr.shape[0] - 1
    routed = n_items >= ROUTED_FROM
    side = min(TABLED, n_afferents + 1) if routed and n_learned > 0 else 0
    tabled, powers, factors = np.zeros(side, np.bool_), np.empty((side, side)), np.empty((side, side))
    seen = seen_by(row_of_feature, routed)
    for first in range(0, n_items, ITEMS_PER_ROUTE):
        stop = min(first + ITEMS_PER_ROUTE, n_items)
        starts, active = route(indices, indptr, first, stop, seen, n_macs)
        table_counts(starts, bounds[2], exponents[0], modes[0], sigmoid, tabled, powers, factors)
        for m in prange(n_macs):
            mac_weights = weights[m]
            n_words = mac_weights.shape[1]
            rows = np.empty(n_afferents + GROUP, np.int32)
            planes = np.empty((max(planes_for(n_afferents), FAST_PLANES), n_words), np.uint64)
            part = np.empty((FAST_PLANES + 1, n_words), np.uint64)
            candidates = np.empty(n_words, np.uint64)
            any_kept = np.empty(n_modules, np.uint64)
            best_counts = np.empty(n_modules, np.int32)
            best = np.empty(n_modules, np.int32)
            winners = np.empty(n_modules, np.int64)
            counts = np.empty(64 * n_words, np.uint16)  # half as wide is half again as fast
            wide_counts = np.empty(64 * n_words if n_afferents > NARROW else 0, np.int32)
            excess = np.empty(n_afferents + 1, np.int64)
            sums = np.empty((units + BLOCK - 1) // BLOCK, np.int64)
            mac_total = np.int64(0)
            for i in range(n_weights.shape[1]):
                mac_total += n_weights[m, i]
            for n in range(first, stop):
                if routed:
                    at = m * (stop - first) + n - first
                    n_rows = take_rows(active, starts[at], starts[at + 1], n_afferents, rows)
                else:
                    n_rows = collect_rows(indices, indptr[n], indptr[n + 1], row_of_feature[m], n_afferents, rows)
                if n_rows < bounds[0] or n_rows > bounds[1]:
                    for q in range(n_modules):
                        out_codes[n, m, q] = silent
                        out_written[n, m, q] = silent
                    out_familiarity[n, m] = 0.0
                    continue
                n_planes = planes_for(n_rows)
                count_rows(mac_weights, rows, n_rows, n_planes, planes, part)
                choose_best(planes, n_planes, n_modules, units, padded, candidates, any_kept, best)
                winning_counts(planes, n_planes, n_modules, padded, best, best_counts)
                n_active = n_rows if bounds[2] == 0 else bounds[2]
                if n_rows < side:
                    familiarity = mean_tabled(best_counts, powers[n_rows])
                else:
                    familiarity = mean_combined(best_counts, n_active, exponents[0])
                out_familiarity[n, m] = familiarity
                for q in range(n_modules):
                    out_codes[n, m, q] = cell_order[m, q, best[q]]
                if n >= n_learned:
                    for q in range(n_modules):
                        out_written[n, m, q] = out_codes[n, m, q]
                    continue
                eta_minus_one = 0.0
                if modes[1] != UNIFORM_WINNERS:
                    eta_minus_one = expansivity_minus_one(familiarity, exponents[1], exponents[2], exponents[3], units)
                any_excess = eta_minus_one > 0.0
                if any_excess:
                    for u in range(best_counts.max() + 1):
                        if n_rows < side:
                            factor = factors[n_rows, u]
                        else:
                            factor = win_factor(combined_input(u, n_active, exponents[0]), modes[0], sigmoid)
                        excess[u] = excess_of_factor(factor, eta_minus_one, modes[0])
                step, sizes = first_step + n, (n_modules, units, padded)
                if n_rows <= NARROW:
                    draw_from_planes(planes, n_planes, step, m, key, sizes, counts, excess, any_excess, sums, winners)
                else:
                    draw_from_planes(planes, n_planes, step, m, key, sizes, wide_counts, excess, any_excess, sums, winners)
                for q in range(n_modules):
                    out_written[n, m, q] = cell_order[m, q, winners[q]]
                    cell = q * units + winners[q]
                    if not frozen[m, cell]:
                        word, bit = address(q, winners[q], n_modules, padded)
                        mac_total += strengthen(mac_weights, rows, n_rows, word, bit, n_weights[m], cell)
                        if modes[2] == FREEZE_CELL and n_weights[m, cell] >= freeze_limits[0]:
                            frozen[m, cell] = True
                if modes[2] == FREEZE_MAC and mac_total >= freeze_limits[1]:
                    for i in range(frozen.shape[1]):
                        frozen[m, i] = True


@jit(parallel=True)
def recall_batch(
    indices,
    indptr,
    row_of_feature,
    cell_order,
    shape,
    bounds,
    exponents,
    with_familiarity,
    silent,
    weights,
    out_codes,
    out_familiarity,
):
    """Argmax codes of every item at every mac; arguments as in ``learn_stream``; nothing is learned.

    ``out_familiarity`` is filled only where ``with_familiarity`` is true; it may then be of shape (0, 0) otherwise.
    """
    n_macs, n_afferents = weights.shape[0], weights.shape[1] - 1
    n_modules, units, padded = shape[0], shape[1], shape[2]
    n_items = indptr.shape[0] - 1
    routed = n_items >= ROUTED_FROM
    side = min(TABLED, n_afferents + 1) if routed and with_familiarity else 0
    tabled, powers = np.zeros(side, np.bool_), np.empty((side, side))
    seen = seen_by(row_of_feature, routed)
    for first in range(0, n_items, ITEMS_PER_ROUTE):
        stop = min(first + ITEMS_PER_ROUTE, n_items)
        starts, active = route(indices, indptr, first, stop, seen, n_macs)
        table_counts(starts, bounds[2], exponents[0], PSI, exponents, tabled, powers, powers[:0])
        n_blocks = (stop - first + ITEMS_PER_TASK - 1) // ITEMS_PER_TASK
        for task in prange(n_macs * n_blocks):
            m = task // n_blocks
            begin = first + (task - m * n_blocks) * ITEMS_PER_TASK
            mac_weights = weights[m]
            n_words = mac_weights.shape[1]
            rows = np.empty(n_afferents + GROUP, np.int32)
            planes = np.empty((max(planes_for(n_afferents), FAST_PLANES), n_words), np.uint64)
            part = np.empty((FAST_PLANES + 1, n_words), np.uint64)
            candidates = np.empty(n_words, np.uint64)
            any_kept = np.empty(n_modules, np.uint64)
            best_counts = np.empty(n_modules, np.int32)
            best = np.empty(n_modules, np.int32)
            for n in range(begin, min(begin + ITEMS_PER_TASK, stop)):
                if routed:
                    at = m * (stop - first) + n - first
                    n_rows = take_rows(active, starts[at], starts[at + 1], n_afferents, rows)
                else:
                    n_rows = collect_rows(indices, indptr[n], indptr[n + 1], row_of_feature[m], n_afferents, rows)
                if n_rows < bounds[0] or n_rows > bounds[1]:
                    for q in range(n_modules):
                        out_codes[n, m, q] = silent
                    if with_familiarity:
                        out_familiarity[n, m] = 0.0
                    continue
                n_planes = planes_for(n_rows)
                count_rows(mac_weights, rows, n_rows, n_planes, planes, part)
                choose_best(planes, n_planes, n_modules, units, padded, candidates, any_kept, best)
                for q in range(n_modules):
                    out_codes[n, m, q] = cell_order[m, q, best[q]]
                if with_familiarity:
                    winning_counts(planes, n_planes, n_modules, padded, best, best_counts)
                    if n_rows < side:
                        out_familiarity[n, m] = mean_tabled(best_counts, powers[n_rows])
                    else:
                        n_active = n_rows if bounds[2] == 0 else bounds[2]
                        out_familiarity[n, m] = mean_combined(best_counts, n_active, exponents[0])
