"""Count, for every cell of a mac, how many of its afferents are active; find each module's best cell.

Counts are held bit-sliced: plane ``p`` has, for each cell, bit ``p`` of that cell's count.  Seven weight rows are folded
into three planes by full adders before the planes are touched, which is what makes this faster than adding bytes.
"""

import numpy as np

from neuromem.jit import jit, trailing_zeros64
from neuromem.jit_vectors import FAST_PLANES, GROUP, add_rows_1, add_rows_4, add_rows_8

ZERO = np.uint64(0)
ONE = np.uint64(1)
LOW_WORD = np.uint64(0xFFFFFFFF)
TWO, THREE, FOUR, FIVE = np.uint32(2), np.uint32(3), np.uint32(4), np.uint32(5)
FAST_ROWS = 63  # what the planes that are held in registers count to


@jit
def count_rows(weights, rows, n_rows, n_planes, planes, part):
    """Fill ``planes`` with the bit-sliced sum of ``weights[rows[:n_rows]]``.

    Parameters
    ----------
    weights : uint64 (n_afferents + 1, n_words)
        Bit rows; the last row is zero.
    rows : int32 (>= n_rows + 6,)
        Active afferents; ``rows[n_rows : n_rows + 6]`` must name the zero row.
    n_rows, n_planes : int
        ``n_planes`` must be large enough for ``n_rows``.
    planes : uint64 (>= max(n_planes, FAST_PLANES), n_words)
        Output.
    part : uint64 (FAST_PLANES + 1, n_words)
        Work space.
    """
    add_all_words(weights, rows, 0, min(n_rows, FAST_ROWS), planes)
    for p in range(FAST_PLANES, n_planes):
        planes[p, :] = ZERO
    for first in range(FAST_ROWS, n_rows, FAST_ROWS):
        add_all_words(weights, rows, first, min(n_rows - first, FAST_ROWS), part)
        carry = part[FAST_PLANES]
        carry[:] = ZERO
        for p in range(FAST_PLANES):
            plane, more = planes[p], part[p]
            for i in range(weights.shape[1]):
                x, y, c = plane[i], more[i], carry[i]
                half = x ^ y
                plane[i] = half ^ c
                carry[i] = (x & y) | (half & c)
        for p in range(FAST_PLANES, n_planes):
            plane = planes[p]
            for i in range(weights.shape[1]):
                x, c = plane[i], carry[i]
                plane[i] = x ^ c
                carry[i] = x & c


@jit
def add_all_words(weights, rows, first, n_rows, planes):
    """Sums of at most ``FAST_ROWS`` rows in the first planes, for all words."""
    n_words = weights.shape[1]
    n_groups = (n_rows + GROUP - 1) // GROUP
    word = 0
    while word + 8 <= n_words:
        add_rows_8(weights, rows, first, n_groups, word, planes)
        word += 8
    if word + 4 <= n_words:
        add_rows_4(weights, rows, first, n_groups, word, planes)
        word += 4
    while word < n_words:
        add_rows_1(weights, rows, first, n_groups, word, planes)
        word += 1


@jit
def spread_groups(kept, group_tops, group_bits):
    """All ones in every group of bits of ``kept`` that is not zero; a group's highest bit is set in ``group_tops``."""
    low = ~group_tops
    found = (((kept & low) + low) | kept) & group_tops
    return found | (found - (found >> np.uint64(group_bits - 1)))


@jit
def choose_in_words(planes, n_planes, n_modules, units_per_module, padded_units, candidates, winners):
    """Winners of modules of at most 64 cells: all modules of a word at once, from the highest plane down."""
    valid = ~ZERO >> np.uint64(64 - units_per_module)
    tops = ZERO
    filled = ZERO
    for bit in range(0, 64, padded_units):
        tops |= ONE << np.uint64(bit + padded_units - 1)
        filled |= valid << np.uint64(bit)
    n_words = planes.shape[1]
    for i in range(n_words):
        candidates[i] = filled
    for step in range(n_planes):
        plane = planes[n_planes - 1 - step]
        for i in range(n_words):
            kept = candidates[i] & plane[i]
            found = spread_groups(kept, tops, padded_units)
            candidates[i] = kept | (candidates[i] & ~found)
    for q in range(n_modules):
        bit = q * padded_units
        winners[q] = trailing_zeros64((candidates[bit >> 6] >> np.uint64(bit & 63)) & valid)


@jit
def choose_across_words(planes, n_planes, n_modules, units_per_module, candidates, any_kept, winners):
    """Winners of modules of several words: word w of every module stands beside word w of its neighbours."""
    words = (units_per_module + 63) >> 6
    valid = ~ZERO >> np.uint64(64 * words - units_per_module)
    for w in range(words):
        for q in range(n_modules):
            candidates[w * n_modules + q] = valid if w == words - 1 else ~ZERO
    for step in range(n_planes):
        plane = planes[n_planes - 1 - step]
        for q in range(n_modules):
            any_kept[q] = ZERO
        for w in range(words):
            for q in range(n_modules):
                any_kept[q] |= candidates[w * n_modules + q] & plane[w * n_modules + q]
        for q in range(n_modules):
            any_kept[q] = ~ZERO if any_kept[q] != ZERO else ZERO
        for w in range(words):
            for q in range(n_modules):
                i = w * n_modules + q
                candidates[i] &= plane[i] | ~any_kept[q]
    for q in range(n_modules):
        for w in range(words):
            word = candidates[w * n_modules + q]
            if word != ZERO:
                winners[q] = 64 * w + np.int64(trailing_zeros64(word))
                break


@jit
def choose_best(planes, n_planes, n_modules, units_per_module, padded_units, candidates, any_kept, winners):
    """Position of each module's best cell, ties to the lowest, into ``winners`` (n_modules,).

    ``candidates`` uint64 (n_words,) and ``any_kept`` uint64 (n_modules,) are work space.
    """
    if padded_units <= 64:
        choose_in_words(planes, n_planes, n_modules, units_per_module, padded_units, candidates, winners)
    else:
        choose_across_words(planes, n_planes, n_modules, units_per_module, candidates, any_kept, winners)


@jit
def address(module, position, n_modules, padded_units):
    """Word and bit of a cell."""
    if padded_units <= 64:
        bit = module * padded_units + position
        return bit >> 6, bit & 63
    return (position >> 6) * n_modules + module, position & 63


@jit
def winning_counts(planes, n_planes, n_modules, padded_units, winners, counts):
    """Read the winners' counts out of the planes."""
    for q in range(n_modules):
        word, bit = address(q, np.int64(winners[q]), n_modules, padded_units)
        count = 0
        for p in range(n_planes):
            count |= np.int64((planes[p, word] >> np.uint64(bit)) & ONE) << p
        counts[q] = count


@jit
def planes_for(n_rows):
    """Number of planes that hold counts up to ``n_rows``."""
    n_planes = 1
    while (n_rows >> n_planes) > 0:
        n_planes += 1
    return n_planes


@jit
def unpack_counts(planes, n_planes, n_modules, padded_units, counts):
    """Turn bit planes into one integer per padded cell, module by module: ``counts`` int32 (64 * n_words,).

    The planes that ``count_rows`` always fills are taken together, half a word at a time: lanes of 32 bits, as wide as the
    counts, make this twenty times as fast as plane by plane.
    """
    p0 = planes[0]
    p1 = planes[1]
    p2 = planes[2]
    p3 = planes[3]
    p4 = planes[4]
    p5 = planes[5]
    one = np.uint32(1)
    for i in range(planes.shape[1]):
        base = 64 * i if padded_units <= 64 else (i % n_modules) * padded_units + 64 * (i // n_modules)
        for start in range(0, 64, 32):
            shift = np.uint64(start)
            w0 = np.uint32((p0[i] >> shift) & LOW_WORD)
            w1 = np.uint32((p1[i] >> shift) & LOW_WORD)
            w2 = np.uint32((p2[i] >> shift) & LOW_WORD)
            w3 = np.uint32((p3[i] >> shift) & LOW_WORD)
            w4 = np.uint32((p4[i] >> shift) & LOW_WORD)
            w5 = np.uint32((p5[i] >> shift) & LOW_WORD)
            out = counts[base + start : base + start + 32]
            for b in range(32):
                s = np.uint32(b)
                count = ((w0 >> s) & one) | (((w1 >> s) & one) << one) | (((w2 >> s) & one) << TWO)
                out[b] = np.int32(
                    count | (((w3 >> s) & one) << THREE) | (((w4 >> s) & one) << FOUR) | (((w5 >> s) & one) << FIVE)
                )
        for p in range(FAST_PLANES, n_planes):
            plane = planes[p, i]
            if plane != ZERO:
                for b in range(64):
                    counts[base + b] |= np.int32((plane >> np.uint64(b)) & ONE) << p


@jit
def collect_rows(indices, start, stop, row_of_feature, zero_row, rows):
    """List in ``rows`` the afferents that are active in one item; pad with the zero row; return how many."""
    n_rows = 0
    for j in range(start, stop):
        row = row_of_feature[indices[j]]
        rows[n_rows] = row
        n_rows += row >= 0
    for j in range(n_rows, n_rows + GROUP - 1):
        rows[j] = zero_row
    return n_rows


@jit
def accumulate_and_choose(
    indices, indptr, row_of_feature, weights, n_modules, units_per_module, padded_units, out_winners, out_counts
):
    """Winner and its count for each item and module of one mac, on one thread.

    Parameters
    ----------
    indices : int32 (nnz,)
    indptr : int64 (n_items + 1,)
    row_of_feature : int32 (n_features,), -1 where the feature is not an afferent
    weights : uint64 (n_afferents + 1, n_words), last row zero
    n_modules, units_per_module, padded_units : int
    out_winners, out_counts : int32 (n_items, n_modules)
    """
    n_afferents = weights.shape[0] - 1
    rows = np.empty(row_of_feature.shape[0] + GROUP, np.int32)
    planes = np.empty((max(planes_for(n_afferents), FAST_PLANES), weights.shape[1]), np.uint64)
    part = np.empty((FAST_PLANES + 1, weights.shape[1]), np.uint64)
    candidates = np.empty(weights.shape[1], np.uint64)
    any_kept = np.empty(n_modules, np.uint64)
    for n in range(indptr.shape[0] - 1):
        n_rows = collect_rows(indices, indptr[n], indptr[n + 1], row_of_feature, n_afferents, rows)
        n_planes = planes_for(n_rows)
        count_rows(weights, rows, n_rows, n_planes, planes, part)
        choose_best(planes, n_planes, n_modules, units_per_module, padded_units, candidates, any_kept, out_winners[n])
        winning_counts(planes, n_planes, n_modules, padded_units, out_winners[n], out_counts[n])
