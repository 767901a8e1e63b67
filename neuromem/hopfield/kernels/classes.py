"""Chains on class counts: units with equal pattern rows are exchangeable, so a network of any size is a few counters.

Class c has ``counts[c]`` units with row ``values[:, c]``; ``up[chain, c]`` of them are +1.  With integer overlaps
``p_r = sum_c values[r, c] (2 up_c - counts_c)`` and field ``F_c = sum_r weights_r p_r values[r, c]``, a unit's
``y`` is ``scale (s F_c - q_c)``, where ``q_c = sum_r weights_r values[r, c]**2`` takes the unit's own part out.
"""

import numpy as np

from neuromem.hopfield.kernels.chance import EXP_LIMIT, binomial, fast_exp, flips
from neuromem.jit import jit, philox4x32, prange, uniform53


@jit(forceinline=True)
def overlaps_of_counts(values, counts, up, overlaps):
    """Integer overlaps of every column, written to ``overlaps``."""
    for r in range(values.shape[0]):
        total = np.int64(0)
        for c in range(values.shape[1]):
            total += values[r, c] * (2 * up[c] - counts[c])
        overlaps[r] = total


@jit(forceinline=True)
def fields_of_classes(values, weights, overlaps, fields):
    """F of every class, written to ``fields``; exact while weights are 1 and sums are below 2**53."""
    fields[:] = 0.0
    for r in range(values.shape[0]):
        factor = weights[r] * float(overlaps[r])
        for c in range(values.shape[1]):
            fields[c] += factor * float(values[r, c])


@jit(forceinline=True)
def keep_record(weights, overlaps, first_reported, record, out_overlaps, out_squares):
    """Write the reported overlaps and sum_r weights_r p_r**2 to a place of one chain's record."""
    square = 0.0
    for r in range(overlaps.shape[0]):
        square += weights[r] * float(overlaps[r]) * float(overlaps[r])
        if r >= first_reported:
            out_overlaps[record, r - first_reported] = overlaps[r]
    out_squares[record] = square


@jit(parallel=True)
def class_chains(
    values, weights, own, counts, scales, metropolis, key, chains, sweeps, first_reported, up, out_overlaps, out_squares
):
    """Parallel (Little) dynamics: two binomials per class and sweep, exact at any number of units.

    Parameters
    ----------
    values : int64 (n_columns, n_classes)
    weights : float64 (n_columns,)
    own : float64 (n_classes,)
        q of each class.
    counts : int64 (n_classes,)
    scales : float64 (n_chains,)
        2 beta times the coupling's factor; inf at zero noise.
    metropolis : int
        0 or 1.
    key : uint32 (2,)
    chains : int64 (n_chains,)
        The number of each chain in the counter of its draws.
    sweeps : int64 (4,)
        First sweep's number, how many, how many before the first record, sweeps per record.
    first_reported : int
        Columns from here on are recorded.
    up : int64 (n_chains, n_classes), in and out
    out_overlaps : int64 (n_chains, n_records, n_reported)
    out_squares : float64 (n_chains, n_records)
        Sum of weights times squared overlaps, over all columns.
    """
    n_columns, n_classes = values.shape
    k0, k1 = key[0], key[1]
    for chain in prange(up.shape[0]):
        mine = up[chain]
        scale = scales[chain]
        c1 = np.uint32(chains[chain])
        overlaps = np.empty(n_columns, np.int64)
        fields = np.empty(n_classes, np.float64)
        y = np.empty(2 * n_classes, np.float64)
        u = np.empty(2 * n_classes, np.float64)
        v = np.empty(2 * n_classes, np.float64)
        overlaps_of_counts(values, counts, mine, overlaps)
        record = 0
        for step in range(sweeps[1]):
            fields_of_classes(values, weights, overlaps, fields)
            if scale == np.inf:
                for c in range(n_classes):
                    rising = counts[c] - mine[c] if -fields[c] - own[c] < 0.0 else 0
                    falling = mine[c] if fields[c] - own[c] < 0.0 else 0
                    mine[c] += rising - falling
            else:
                c0 = np.uint32(sweeps[0] + step)
                for j in range(2 * n_classes):
                    d0, d1, d2, d3 = philox4x32(c0, c1, np.uint32(j), np.uint32(0), k0, k1)
                    u[j] = uniform53(d0, d1)
                    v[j] = uniform53(d2, d3)
                for c in range(n_classes):
                    y[c] = scale * (fields[c] - own[c])
                    y[n_classes + c] = scale * (-fields[c] - own[c])
                for j in range(2 * n_classes):
                    y[j] = fast_exp(min(max(y[j], -EXP_LIMIT), EXP_LIMIT))
                for c in range(n_classes):
                    was_up = mine[c]
                    change = np.int64(0)
                    for side in range(2):
                        j = side * n_classes + c
                        grown = y[j]
                        if metropolis:
                            p = min(1.0, 1.0 / grown)
                            q = 1.0 - p
                        else:
                            p = 1.0 / (1.0 + grown)
                            q = grown * p
                        n = counts[c] - was_up if side else was_up
                        moved = binomial(n, p, q, u[j], v[j], c0, c1, np.uint32(j), k0, k1)
                        change += moved if side else -moved
                    mine[c] = was_up + change
            overlaps_of_counts(values, counts, mine, overlaps)
            done = step + 1 - sweeps[2]
            if done > 0 and done % sweeps[3] == 0:
                keep_record(weights, overlaps, first_reported, record, out_overlaps[chain], out_squares[chain])
                record += 1


@jit(forceinline=True)
def class_of_place(sizes, place):
    """The class that holds a place when units stand sorted by class, and the place within it; class -1 beyond all."""
    for c in range(sizes.shape[0]):
        if place < sizes[c]:
            return c, place
        place -= sizes[c]
    return -1, place


@jit(parallel=True)
def class_serial(
    values,
    weights,
    own,
    counts,
    n_units,
    scales,
    metropolis,
    permuted,
    key,
    chains,
    sweeps,
    first_reported,
    up,
    out_overlaps,
    out_squares,
):
    """One unit at a time on class counts, n_units updates to a sweep: the same chain as that of the spins, lumped.

    Parameters
    ----------
    values, weights, own, counts, scales, metropolis, key, chains, sweeps, first_reported
        As in ``class_chains``.
    n_units : int
        At least the sum of ``counts``: the others have rows of zeros and are visited without effect.
    permuted : int
        0: units drawn with replacement; 1: each once per sweep, in random order.
    up : int64 (n_chains, n_classes), in and out
    out_overlaps, out_squares
        As in ``class_chains``.
    """
    n_columns, n_classes = values.shape
    k0, k1 = key[0], key[1]
    for chain in prange(up.shape[0]):
        mine = up[chain]
        scale = scales[chain]
        c1 = np.uint32(chains[chain])
        overlaps = np.empty(n_columns, np.int64)
        left = np.empty(n_classes, np.int64)
        left_up = np.empty(n_classes, np.int64)
        overlaps_of_counts(values, counts, mine, overlaps)
        record = 0
        left[:] = counts
        for step in range(sweeps[1]):
            c0 = np.uint32(sweeps[0] + step)
            if permuted:
                left[:] = counts
                left_up[:] = mine
            for t in range(n_units):
                d0, d1, d2, d3 = philox4x32(c0, c1, np.uint32(t), np.uint32(0), k0, k1)
                c, place = class_of_place(left, np.int64(uniform53(d0, d1) * float(n_units - t if permuted else n_units)))
                if c < 0:
                    continue
                is_up = place < (left_up[c] if permuted else mine[c])
                if permuted:
                    left[c] -= 1
                    left_up[c] -= is_up
                s = 1.0 if is_up else -1.0
                field = 0.0
                for r in range(n_columns):
                    field += weights[r] * float(overlaps[r]) * float(values[r, c])
                x = s * field - own[c]
                if x < 0.0 if scale == np.inf else flips(d2, scale * x, metropolis):
                    change = -1 if is_up else 1
                    mine[c] += change
                    for r in range(n_columns):
                        overlaps[r] += 2 * change * values[r, c]
            done = step + 1 - sweeps[2]
            if done > 0 and done % sweeps[3] == 0:
                keep_record(weights, overlaps, first_reported, record, out_overlaps[chain], out_squares[chain])
                record += 1
