"""The code selection algorithm's probabilities: familiarity, expansivity and the draw of one winner per module."""

import numpy as np

from neuromem.jit import exp64, jit, philox4x32, power64, uniform53

PSI, LOGISTIC = 0, 1
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
def module_uniform(step, mac, module, key):
    """The float64 in [0, 1) that decides module ``module`` of mac ``mac`` at presentation ``step``."""
    s = np.uint64(step)
    lanes = philox4x32(
        np.uint32(s & LOW_WORD),
        np.uint32(mac),
        np.uint32(module >> 1),
        np.uint32(s >> WORD_BITS),
        key[0],
        key[1],
    )
    if module & 1:
        return uniform53(lanes[2], lanes[3])
    return uniform53(lanes[0], lanes[1])


@jit
def draw_winner(uniform, counts, first_cell, units_per_module, excess, any_excess):
    """Sample one cell of a module as a mixture: a flat part that needs no scan, and the excess part that does.

    ``counts`` int32 has the cells' input counts, ``excess`` int64 the excess weight of each count.
    """
    if not any_excess:
        return min(np.int64(uniform * units_per_module), units_per_module - 1)
    total = np.int64(0)
    for k in range(units_per_module):
        total += excess[counts[first_cell + k]]
    flat = np.int64(units_per_module) * RESOLUTION
    x = min(np.int64(uniform * (total + flat)), total + flat - 1)
    if x < flat:
        return x // RESOLUTION
    x -= flat
    for k in range(units_per_module):
        x -= excess[counts[first_cell + k]]
        if x < 0:
            return np.int64(k)
    return np.int64(units_per_module - 1)
