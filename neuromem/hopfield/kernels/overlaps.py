"""Dynamics through overlaps: the field of a unit is its row times the integer overlaps; no couplings are ever built.

``p_r = sum_i rows[i, r] s_i`` is kept as an exact integer and ``F_i = sum_r weights_r p_r rows[i, r]``; a unit's ``y`` is
``scale (s_i F_i - q_i s_i**2)``, where ``q_i = sum_r weights_r rows[i, r]**2`` takes the unit's own part out.
"""

import numpy as np

from neuromem.hopfield.kernels.chance import flips
from neuromem.hopfield.kernels.classes import keep_record
from neuromem.jit import jit, philox4x32, prange

BLOCK = 1024  # draws made at a time, a multiple of 4; more than fits the first cache gains nothing
RANDOM, PERMUTATION, GIVEN = 0, 1, 2  # orders of updates
SITES, SHUFFLE, PLACES = 0, 1, 2  # last word of a draw's counter
SHIFT32 = np.uint64(32)


@jit(forceinline=True)
def draws_for(first, c0, c1, last, k0, k1, n, draws):
    """Fill ``draws`` with lanes first ... first + n - 1 of one counter line; ``first`` is a multiple of 4."""
    for j in range((n + 3) // 4):
        d0, d1, d2, d3 = philox4x32(c0, c1, np.uint32(first // 4 + j), last, k0, k1)
        draws[4 * j] = d0
        draws[4 * j + 1] = d1
        draws[4 * j + 2] = d2
        draws[4 * j + 3] = d3


@jit
def shuffle(sites, c0, c1, k0, k1, draws):
    """A random permutation of 0 ... n - 1 (Fisher and Yates), written to ``sites``."""
    n = sites.shape[0]
    for i in range(n):
        sites[i] = i
    for start in range(0, n, BLOCK):
        draws_for(start, c0, c1, np.uint32(SHUFFLE), k0, k1, min(BLOCK, n - start), draws)
        for i in range(start, min(n, start + BLOCK)):
            j = i + np.int64((np.uint64(draws[i - start]) * np.uint64(n - i)) >> SHIFT32)
            sites[i], sites[j] = sites[j], sites[i]


@jit
def next_block(start, n, order, given, sites, c0, c1, k0, k1, places, draws):
    """Which units are updated next, and one draw for each, written to ``places`` and ``draws``; returns how many."""
    size = min(BLOCK, given.shape[0] - start if order == GIVEN else n - start)
    draws_for(start, c0, c1, np.uint32(SITES), k0, k1, size, draws)
    if order == GIVEN:
        for j in range(size):
            places[j] = given[start + j]
    elif order == PERMUTATION:
        for j in range(size):
            places[j] = sites[start + j]
    else:
        draws_for(start, c0, c1, np.uint32(PLACES), k0, k1, size, places)
        for j in range(size):
            places[j] = np.uint32((np.uint64(places[j]) * np.uint64(n)) >> SHIFT32)
    return size


@jit(forceinline=True)
def field_of(row, factors, zero):
    """F of one unit, summed in the type of the factors."""
    total = zero
    for r in range(row.shape[0]):
        total += factors[r] * row[r]
    return float(total)


@jit(forceinline=True)
def weighted(weights, overlaps, factors):
    """Overlaps times weights, in the type of the weights."""
    for r in range(weights.shape[0]):
        factors[r] = weights[r] * overlaps[r]


@jit
def overlaps_of_spins(rows, spins, overlaps):
    """Integer overlaps of every column."""
    overlaps[:] = 0
    for i in range(rows.shape[0]):
        s = np.int64(spins[i])
        for r in range(rows.shape[1]):
            overlaps[r] += np.int64(rows[i, r]) * s


@jit
def unstable(rows, own, factors, zero, spins, free):
    """Whether any free unit would flip at zero noise."""
    for i in range(rows.shape[0]):
        if free[i]:
            if float(spins[i]) * field_of(rows[i], factors, zero) - float(own[i]) < 0.0:
                return True
    return False


@jit(parallel=True)
def serial_overlaps(
    rows,
    weights,
    own,
    scales,
    metropolis,
    order,
    given,
    key,
    chains,
    sweeps,
    until_stable,
    first_reported,
    free,
    spins,
    out_overlaps,
    out_squares,
    out_settled,
):
    """One unit at a time, n_units updates to a sweep.

    Parameters
    ----------
    rows : int8 or int32 (n_units, n_columns)
    weights : float64 or int64 (n_columns,)
        int64, all 1: fields are sums of whole numbers, which is vector code and faster for many columns; the same bits.
    own : float32 or float64 (n_units,)
        q of each unit.
    scales : float64 (n_chains,)
        2 beta times the coupling's factor; inf at zero noise.
    metropolis : int
        0 or 1.
    order : int
        0: units drawn with replacement, 1: a new permutation each sweep, 2: as ``given``.
    given : int64 (n_updates,)
        Units in the order of their updates; read for order 2 only.
    key : uint32 (2,)
    chains : int64 (n_chains,)
    sweeps : int64 (4,)
        First sweep's number, how many, how many before the first record, sweeps per record.
    until_stable : int
        1: stop after a sweep that leaves every unit with its field (zero noise only).
    first_reported : int
        Columns from here on are recorded.
    free : uint8 (n_chains or 1, n_units)
        1 where a unit may flip.
    spins : int8 (n_chains, n_units), in and out
    out_overlaps : int64 (n_chains, n_records, n_reported)
    out_squares : float64 (n_chains, n_records)
    out_settled : int64 (n_chains, 2)
        Sweeps done, and 1 where nothing can flip any more.
    """
    n, n_columns = rows.shape
    k0, k1 = key[0], key[1]
    zero = np.zeros(1, weights.dtype)[0]
    for chain in prange(spins.shape[0]):
        mine = spins[chain]
        loose = free[chain % free.shape[0]]
        scale = scales[chain]
        cold = scale == np.inf
        c1 = np.uint32(chains[chain])
        overlaps = np.empty(n_columns, np.int64)
        factors = np.empty(n_columns, weights.dtype)
        sites = np.empty(n if order == PERMUTATION else 0, np.int32)
        places = np.empty(BLOCK, np.uint32)
        draws = np.empty(BLOCK, np.uint32)
        overlaps_of_spins(rows, mine, overlaps)
        weighted(weights, overlaps, factors)
        record = 0
        length = given.shape[0] if order == GIVEN else n
        for step in range(sweeps[1]):
            c0 = np.uint32(sweeps[0] + step)
            if order == PERMUTATION:
                shuffle(sites, c0, c1, k0, k1, draws)
            for start in range(0, length, BLOCK):
                size = next_block(start, n, order, given, sites, c0, c1, k0, k1, places, draws)
                for j in range(size):
                    i = places[j]
                    row = rows[i]
                    x = float(mine[i]) * field_of(row, factors, zero) - float(own[i])
                    if loose[i] and (x < 0.0 if cold else flips(draws[j], scale * x, metropolis)):
                        twice = np.int64(2) * np.int64(mine[i])
                        mine[i] = -mine[i]
                        for r in range(n_columns):
                            overlaps[r] -= twice * np.int64(row[r])
                            factors[r] = weights[r] * overlaps[r]
            done = step + 1 - sweeps[2]
            if done > 0 and done % sweeps[3] == 0:
                keep_record(weights, overlaps, first_reported, record, out_overlaps[chain], out_squares[chain])
                record += 1
            out_settled[chain, 0] = step + 1
            if until_stable and not unstable(rows, own, factors, zero, mine, loose):
                out_settled[chain, 1] = 1
                break


@jit(parallel=True)
def parallel_overlaps(
    rows,
    weights,
    own,
    scales,
    metropolis,
    key,
    chains,
    sweeps,
    until_stable,
    first_reported,
    free,
    spins,
    out_overlaps,
    out_squares,
    out_settled,
):
    """All units at once from the same overlaps (Little).

    Parameters
    ----------
    rows, weights, own, scales, metropolis, key, chains, sweeps, until_stable, first_reported, free, spins
        As in ``serial_overlaps``.
    out_overlaps, out_squares
        As in ``serial_overlaps``.
    out_settled : int64 (n_chains, 2)
        Sweeps done, and the length of the cycle that was reached: 1, 2, or 0 for none.
    """
    n, n_columns = rows.shape
    k0, k1 = key[0], key[1]
    zero = np.zeros(1, weights.dtype)[0]
    for chain in prange(spins.shape[0]):
        mine = spins[chain]
        loose = free[chain % free.shape[0]]
        scale = scales[chain]
        cold = scale == np.inf
        c1 = np.uint32(chains[chain])
        overlaps = np.empty(n_columns, np.int64)
        factors = np.empty(n_columns, weights.dtype)
        flipped = np.zeros((2, n if until_stable else 0), np.uint8)  # which units flipped in this sweep and in the last
        draws = np.empty(BLOCK, np.uint32)
        overlaps_of_spins(rows, mine, overlaps)
        record = 0
        for step in range(sweeps[1]):
            c0 = np.uint32(sweeps[0] + step)
            weighted(weights, overlaps, factors)
            n_flipped = 0
            n_same = 0
            for start in range(0, n, BLOCK):
                size = min(BLOCK, n - start)
                if not cold:
                    draws_for(start, c0, c1, np.uint32(SITES), k0, k1, size, draws)
                for j in range(size):
                    i = start + j
                    row = rows[i]
                    x = float(mine[i]) * field_of(row, factors, zero) - float(own[i])
                    flip = np.uint8(loose[i] and (x < 0.0 if cold else flips(draws[j], scale * x, metropolis)))
                    if flip:
                        twice = np.int64(2) * np.int64(mine[i])
                        mine[i] = -mine[i]
                        for r in range(n_columns):
                            overlaps[r] -= twice * np.int64(row[r])
                    if until_stable:
                        n_flipped += flip
                        n_same += flip == flipped[(step + 1) % 2, i]
                        flipped[step % 2, i] = flip
            done = step + 1 - sweeps[2]
            if done > 0 and done % sweeps[3] == 0:
                keep_record(weights, overlaps, first_reported, record, out_overlaps[chain], out_squares[chain])
                record += 1
            out_settled[chain, 0] = step + 1
            if until_stable and (n_flipped == 0 or n_same == n):  # none flipped, or those that flipped before
                out_settled[chain, 1] = 1 if n_flipped == 0 else 2
                break
