"""Count, for every cell of a mac, how many of its afferents are active; find each module's best cell.

Counts are held bit-sliced: plane ``p`` has, for each cell, bit ``p`` of that cell's count.  Seven weight rows are folded
into three planes by full adders before the planes are touched, which is what makes this faster than adding bytes.
"""

import numpy as np

from neuromem.jit import jit, trailing_zeros64

ZERO = np.uint64(0)
ONE = np.uint64(1)
GROUP = 7  # rows folded at once: 7 = 2**3 - 1 fills three planes exactly
FAST_PLANES = 6  # the unrolled path counts to 63


@jit
def count_rows(weights, rows, n_rows, n_planes, planes, carry):
    """Fill ``planes[:n_planes]`` with the bit-sliced sum of ``weights[rows[:n_rows]]``.

    Parameters
    ----------
    weights : uint64 (n_afferents + 1, n_words)
        Bit rows; the last row is zero.
    rows : int32 (>= n_rows + 6,)
        Active afferents; ``rows[n_rows : n_rows + 6]`` must name the zero row.
    n_rows, n_planes : int
        ``n_planes`` must be at least ``FAST_PLANES`` and large enough for ``n_rows``.
    planes : uint64 (>= n_planes, n_words)
        Output.
    carry : uint64 (n_words,)
        Work space.
    """
    n_words = weights.shape[1]
    p0 = planes[0]
    p1 = planes[1]
    p2 = planes[2]
    p3 = planes[3]
    p4 = planes[4]
    p5 = planes[5]
    for p in range(n_planes):
        plane = planes[p]
        for i in range(n_words):
            plane[i] = ZERO
    for j in range(0, n_rows, GROUP):
        r0 = weights[rows[j]]
        r1 = weights[rows[j + 1]]
        r2 = weights[rows[j + 2]]
        r3 = weights[rows[j + 3]]
        r4 = weights[rows[j + 4]]
        r5 = weights[rows[j + 5]]
        r6 = weights[rows[j + 6]]
        for i in range(n_words):
            x = r0[i]
            y = r1[i]
            z = r2[i]
            t = x ^ y
            s1 = t ^ z
            k1 = (x & y) | (t & z)
            x = r3[i]
            y = r4[i]
            z = r5[i]
            t = x ^ y
            s2 = t ^ z
            k2 = (x & y) | (t & z)
            x = r6[i]
            t = s1 ^ s2
            ones = t ^ x
            k3 = (s1 & s2) | (t & x)
            t = k1 ^ k2
            twos = t ^ k3
            fours = (k1 & k2) | (t & k3)
            c = p0[i]
            p0[i] = c ^ ones
            q = c & ones
            c = p1[i]
            t = c ^ twos
            p1[i] = t ^ q
            q = (c & twos) | (t & q)
            c = p2[i]
            t = c ^ fours
            p2[i] = t ^ q
            q = (c & fours) | (t & q)
            c = p3[i]
            p3[i] = c ^ q
            q &= c
            c = p4[i]
            p4[i] = c ^ q
            q &= c
            c = p5[i]
            p5[i] = c ^ q
            carry[i] = c & q
        for p in range(FAST_PLANES, n_planes):
            plane = planes[p]
            for i in range(n_words):
                c = plane[i]
                plane[i] = c ^ carry[i]
                carry[i] &= c


@jit
def best_small(planes, n_planes, word, shift, valid):
    """Best cell of a module of at most 64 bits: ``(count, position)``, ties to the lowest position."""
    best = valid
    count = 0
    for step in range(n_planes):
        p = n_planes - 1 - step
        kept = best & (planes[p, word] >> shift)
        if kept != ZERO:
            best = kept
            count |= 1 << p
    return count, np.int64(trailing_zeros64(best))


@jit
def best_large(planes, n_planes, first_word, n_words, last_valid, mask):
    """Best cell of a module of several whole words; ``mask`` (n_words,) is work space."""
    for i in range(n_words - 1):
        mask[i] = ~ZERO
    mask[n_words - 1] = last_valid
    count = 0
    for step in range(n_planes):
        p = n_planes - 1 - step
        plane = planes[p]
        any_kept = ZERO
        for i in range(n_words):
            any_kept |= mask[i] & plane[first_word + i]
        if any_kept != ZERO:
            for i in range(n_words):
                mask[i] &= plane[first_word + i]
            count |= 1 << p
    position = 0
    for i in range(n_words):
        if mask[i] != ZERO:
            position = 64 * i + np.int64(trailing_zeros64(mask[i]))
            break
    return count, position


@jit
def choose_best(planes, n_planes, n_modules, units_per_module, padded_units, counts, winners, mask):
    """Write each module's highest count and its winner's position into ``counts`` and ``winners`` (n_modules,)."""
    if padded_units <= 64:
        valid = ~ZERO >> np.uint64(64 - units_per_module)
        for q in range(n_modules):
            bit = q * padded_units
            count, position = best_small(planes, n_planes, bit >> 6, np.uint64(bit & 63), valid)
            counts[q] = count
            winners[q] = position
    else:
        n_words = padded_units >> 6
        used = units_per_module - 64 * (n_words - 1)
        valid = ~ZERO >> np.uint64(64 - used)
        for q in range(n_modules):
            count, position = best_large(planes, n_planes, q * n_words, n_words, valid, mask)
            counts[q] = count
            winners[q] = position


@jit
def planes_for(n_rows):
    """Number of planes that hold counts up to ``n_rows``."""
    n_planes = FAST_PLANES
    while (n_rows >> n_planes) > 0:
        n_planes += 1
    return n_planes


@jit
def unpack_counts(planes, n_planes, counts):
    """Turn bit planes into one integer per padded cell: ``counts`` int32 (64 * n_words,)."""
    n_words = planes.shape[1]
    for i in range(n_words):
        base = 64 * i
        for b in range(64):
            counts[base + b] = 0
        for p in range(n_planes):
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
    planes = np.empty((planes_for(n_afferents), weights.shape[1]), np.uint64)
    carry = np.empty(weights.shape[1], np.uint64)
    mask = np.empty(max(1, padded_units >> 6), np.uint64)
    for n in range(indptr.shape[0] - 1):
        n_rows = collect_rows(indices, indptr[n], indptr[n + 1], row_of_feature, n_afferents, rows)
        n_planes = planes_for(n_rows)
        count_rows(weights, rows, n_rows, n_planes, planes, carry)
        choose_best(planes, n_planes, n_modules, units_per_module, padded_units, out_counts[n], out_winners[n], mask)
