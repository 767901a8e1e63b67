"""Dynamics with the full matrix of couplings: the oracle, and the way for more columns than half the units.

``links[i, j] = sum_r weights_r rows[i, r] rows[j, r]`` off the diagonal, 0 on it; F_i = sum_j links[i, j] s_j is kept for
every unit and changed at a flip.
"""

import numpy as np

from neuromem.hopfield.kernels.chance import flips
from neuromem.hopfield.kernels.overlaps import BLOCK, GIVEN, PERMUTATION, SITES, draws_for, next_block, shuffle
from neuromem.jit import jit, prange

SWEEPS_PER_SUM = 32  # fields are summed anew that often, so that those of unequal weights cannot drift


@jit
def fields_of_spins(links, spins, fields):
    """Fields of all units, each summed over units in order."""
    fields[:] = 0.0
    for j in range(links.shape[0]):
        s = float(spins[j])
        row = links[j]
        for i in range(row.shape[0]):
            fields[i] += s * float(row[i])


@jit
def keep_dense_record(rows, first_reported, spins, fields, record, out_overlaps, out_squares):
    """Write the reported overlaps and sum_i s_i F_i to a place of one chain's record."""
    for r in range(first_reported, rows.shape[1]):
        total = np.int64(0)
        for i in range(rows.shape[0]):
            total += np.int64(rows[i, r]) * np.int64(spins[i])
        out_overlaps[record, r - first_reported] = total
    square = 0.0
    for i in range(spins.shape[0]):
        square += float(spins[i]) * fields[i]
    out_squares[record] = square


@jit(parallel=True)
def serial_dense(
    links,
    rows,
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
    links : int32 or float64 (n_units, n_units)
        0 on the diagonal.
    rows : int8 or int32 (n_units, n_columns)
        What overlaps are taken with.
    scales, metropolis, order, given, key, chains, sweeps, until_stable, first_reported, free, spins
        As in ``serial_overlaps``, whose draws these are: integer couplings give the same spins to the bit.
    out_overlaps, out_settled
        As in ``serial_overlaps``.
    out_squares : float64 (n_chains, n_records)
        sum_i s_i F_i, the units' own parts left out.
    """
    n = links.shape[0]
    k0, k1 = key[0], key[1]
    for chain in prange(spins.shape[0]):
        mine = spins[chain]
        loose = free[chain % free.shape[0]]
        scale = scales[chain]
        cold = scale == np.inf
        c1 = np.uint32(chains[chain])
        fields = np.empty(n, np.float64)
        sites = np.empty(n if order == PERMUTATION else 0, np.int32)
        places = np.empty(BLOCK, np.uint32)
        draws = np.empty(BLOCK, np.uint32)
        fields_of_spins(links, mine, fields)
        record = 0
        length = given.shape[0] if order == GIVEN else n
        for step in range(sweeps[1]):
            if step % SWEEPS_PER_SUM == SWEEPS_PER_SUM - 1:
                fields_of_spins(links, mine, fields)
            c0 = np.uint32(sweeps[0] + step)
            if order == PERMUTATION:
                shuffle(sites, c0, c1, k0, k1, draws)
            for start in range(0, length, BLOCK):
                size = next_block(start, n, order, given, sites, c0, c1, k0, k1, places, draws)
                for j in range(size):
                    i = places[j]
                    x = float(mine[i]) * fields[i]
                    if loose[i] and (x < 0.0 if cold else flips(draws[j], scale * x, metropolis)):
                        twice = 2.0 * float(mine[i])
                        mine[i] = -mine[i]
                        row = links[i]
                        for e in range(n):
                            fields[e] -= twice * float(row[e])
            done = step + 1 - sweeps[2]
            if done > 0 and done % sweeps[3] == 0:
                keep_dense_record(rows, first_reported, mine, fields, record, out_overlaps[chain], out_squares[chain])
                record += 1
            out_settled[chain, 0] = step + 1
            if until_stable:
                stable = True
                for i in range(n):
                    if loose[i] and float(mine[i]) * fields[i] < 0.0:
                        stable = False
                        break
                if stable:
                    out_settled[chain, 1] = 1
                    break


@jit(parallel=True)
def parallel_dense(
    links,
    rows,
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
    """All units at once from fields that are summed anew.

    Parameters
    ----------
    links, rows
        As in ``serial_dense``.
    scales, metropolis, key, chains, sweeps, until_stable, first_reported, free, spins
        As in ``serial_overlaps``.
    out_overlaps, out_squares
        As in ``serial_dense``.
    out_settled : int64 (n_chains, 2)
        Sweeps done, and the length of the cycle that was reached: 1, 2, or 0 for none.
    """
    n = links.shape[0]
    k0, k1 = key[0], key[1]
    for chain in prange(spins.shape[0]):
        mine = spins[chain]
        loose = free[chain % free.shape[0]]
        scale = scales[chain]
        cold = scale == np.inf
        c1 = np.uint32(chains[chain])
        fields = np.empty(n, np.float64)
        flipped = np.zeros((2, n), np.uint8)
        draws = np.empty(BLOCK, np.uint32)
        fields_of_spins(links, mine, fields)
        record = 0
        for step in range(sweeps[1]):
            c0 = np.uint32(sweeps[0] + step)
            n_flipped = 0
            n_same = 0
            for start in range(0, n, BLOCK):
                size = min(BLOCK, n - start)
                if not cold:
                    draws_for(start, c0, c1, np.uint32(SITES), k0, k1, size, draws)
                for j in range(size):
                    i = start + j
                    x = float(mine[i]) * fields[i]
                    flip = np.uint8(loose[i] and (x < 0.0 if cold else flips(draws[j], scale * x, metropolis)))
                    if flip:
                        mine[i] = -mine[i]
                    n_flipped += flip
                    n_same += flip == flipped[(step + 1) % 2, i]
                    flipped[step % 2, i] = flip
            fields_of_spins(links, mine, fields)
            done = step + 1 - sweeps[2]
            if done > 0 and done % sweeps[3] == 0:
                keep_dense_record(rows, first_reported, mine, fields, record, out_overlaps[chain], out_squares[chain])
                record += 1
            out_settled[chain, 0] = step + 1
            if until_stable and (n_flipped == 0 or n_same == n):
                out_settled[chain, 1] = 1 if n_flipped == 0 else 2
                break
