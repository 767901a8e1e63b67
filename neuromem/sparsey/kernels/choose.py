"""The code selection algorithm's probabilities: familiarity, expansivity and the draw of one winner per module."""

import numpy as np

from neuromem.jit import exp64, jit, philox4x32, power64, uniform53

PSI, LOGISTIC = 0, 1
BLOCK = 8  # cells whose excess weights are summed before the scan for the winner
RESOLUTION = 1 << 20  # win weights are integers in units of 2**-20, so that their sum does not depend on its order
LOW_WORD = np.uint64(0xFFFFFFFF)
WORD_BITS = np.uint64(32)


@jit
def combined_input(count, n_active, u_exponent):
    """V of a cell with ``count`` of ``n_active`` afferents: U ** lambda_U, clipped at 1."""
    if count >= n_active:
        return 1.0
    return power64(count / n_active, u_exponent)


@jit
def expansivity_minus_one(familiarity, floor, exponent, scale, units_per_module):
    """eta - 1 of step 7 of the algorithm."""
    if familiarity <= floor:
        return 0.0
    return power64((familiarity - floor) / (1.0 - floor), exponent) * scale * units_per_module


@jit
def win_factor(combined, transfer, sigmoid):
    """What of a cell's win weight depends on its V alone."""
    if transfer == PSI:
        base = 1.0 / (1.0 + sigmoid[0] * exp64(-sigmoid[1] * (combined - sigmoid[2])))
        return power64(base, sigmoid[3])
    return 1.0 + exp64(-sigmoid[1] * (combined - sigmoid[2]))


@jit
def excess_of_factor(factor, eta_minus_one, transfer):
    """psi - 1 in units of 2**-20, from :func:`win_factor` and eta."""
    if transfer == PSI:
        excess = eta_minus_one * factor
    else:
        excess = max((eta_minus_one + 1.0) / factor - 1.0, 0.0)
    return np.int64(excess * RESOLUTION)


@jit
def excess_weight(combined, eta_minus_one, transfer, sigmoid):
    """psi - 1 in units of 2**-20: how much more likely than an untouched cell this one is to win."""
    return excess_of_factor(win_factor(combined, transfer, sigmoid), eta_minus_one, transfer)


@jit
def module_lanes(step, mac, module, key):
    """The four random uint32 that decide a module and its neighbour, of mac ``mac`` at presentation ``step``."""
    s = np.uint64(step)
    return philox4x32(
        np.uint32(s & LOW_WORD),
        np.uint32(mac),
        np.uint32(module >> 1),
        np.uint32(s >> WORD_BITS),
        key[0],
        key[1],
    )


@jit
def draw_flat(uniform, units):
    """Sample one of so many cells that are equally likely."""
    return min(np.int64(uniform * units), units - 1)


@jit
def draw_winner(uniform, counts, first_cell, units, excess, sums):
    """Sample one cell of a module as a mixture: a flat part that needs no scan, and the excess part that does.

    ``counts`` uint16 or int32 has the cells' input counts, ``excess`` int64 the excess weight of each count; ``sums`` int64
    (units / BLOCK, rounded up) is work space.  A scan that stops at the winner would be mispredicted every time, so the
    block, and in it the cell, are found by counting how many partial sums do not reach the number drawn.
    """
    n_blocks = (units + BLOCK - 1) // BLOCK
    total = np.int64(0)
    for b in range(n_blocks):
        start, stop = first_cell + b * BLOCK, first_cell + min((b + 1) * BLOCK, units)
        part = np.int64(0)
        if stop - start == BLOCK:
            for k in range(BLOCK):
                part += excess[counts[start + k]]
        else:
            for i in range(start, stop):
                part += excess[counts[i]]
        total += part
        sums[b] = total
    flat = np.int64(units) * RESOLUTION
    x = min(np.int64(uniform * (total + flat)), total + flat - 1)
    if x < flat:
        return x // RESOLUTION
    x -= flat
    block = 0
    for b in range(n_blocks - 1):
        block += x >= sums[b]
    reached = sums[block - 1] if block > 0 else np.int64(0)
    start, stop = first_cell + block * BLOCK, first_cell + min((block + 1) * BLOCK, units)
    winner = block * BLOCK
    for i in range(start, stop - 1):
        reached += excess[counts[i]]
        winner += x >= reached
    return np.int64(winner)


@jit
def draw_code(step, mac, key, shape, counts, excess, any_excess, sums, winners):
    """Sample one cell per module into ``winners``; ``shape`` is (modules, units, counts from one module to the next)."""
    n_modules, units, padded = shape
    for q in range(0, n_modules, 2):
        a, b, c, d = module_lanes(step, mac, q, key)  # one draw of the generator serves two modules
        for other in range(min(2, n_modules - q)):
            uniform = uniform53(c, d) if other else uniform53(a, b)
            if any_excess:
                winners[q + other] = draw_winner(uniform, counts, (q + other) * padded, units, excess, sums)
            else:
                winners[q + other] = draw_flat(uniform, units)
