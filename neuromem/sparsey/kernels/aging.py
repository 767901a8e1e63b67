"""Macs whose weights age: a byte of stiffness and the step of the last coincidence for every weight.

A weight is a lookup, ``value_at[stiffness, age]``, so nothing has to be swept while time passes.  One table serves the
permanence rule (three stiffness classes) and the convex rule (one class that never stiffens).  Several times slower and
forty times larger than binary weights.
"""

import numpy as np

from neuromem.jit import jit, prange
from neuromem.jit_vectors import GROUP
from neuromem.sparsey.kernels.accumulate import collect_rows
from neuromem.sparsey.kernels.choose import (
    BLOCK,
    combined_input,
    draw_code,
    excess_weight,
    expansivity_minus_one,
)
from neuromem.sparsey.kernels.present import UNIFORM_WINNERS

FULL_WEIGHT = 127
VIRGIN = -1


@jit
def weight_now(stiffness, last_step, now, value_at):
    """Weight in 0..127 of a synapse at step ``now``."""
    if last_step == VIRGIN:
        return np.int32(0)
    age = min(np.int64(now) - np.int64(last_step), np.int64(value_at.shape[1] - 1))
    return np.int32(value_at[stiffness, age])


@jit
def sum_and_choose(stiffness, last_step, rows, n_rows, now, value_at, n_modules, units, sums, best_sums, best):
    """Weighted input of every cell, and each module's best cell (ties to the lowest position)."""
    for i in range(sums.shape[0]):
        sums[i] = 0
    for j in range(n_rows):
        row = rows[j]
        for i in range(sums.shape[0]):
            sums[i] += weight_now(stiffness[row, i], last_step[row, i], now, value_at)
    for q in range(n_modules):
        winner = 0
        for k in range(1, units):
            if sums[q * units + k] > sums[q * units + winner]:
                winner = k
        best[q] = winner
        best_sums[q] = sums[q * units + winner]


@jit
def refresh(stiffness, last_step, rows, n_rows, cell, now, value_at, raise_before):
    """A coincidence of the active afferents with one winner: stiffen the young, revive the faded, restart the clock."""
    for j in range(n_rows):
        row = rows[j]
        old = stiffness[row, cell]
        if weight_now(old, last_step[row, cell], now, value_at) == 0:
            stiffness[row, cell] = 0
        elif now - last_step[row, cell] < raise_before[old]:
            stiffness[row, cell] = old + 1
        last_step[row, cell] = now


@jit
def mean_combined_sum(best_sums, n_active, u_exponent):
    """G from weighted sums: the mean over modules of V."""
    total = 0.0
    for q in range(best_sums.shape[0]):
        total += combined_input(best_sums[q], FULL_WEIGHT * n_active, u_exponent)
    return total / best_sums.shape[0]


@jit(parallel=True)
def learn_aging(
    indices,
    indptr,
    row_of_feature,
    cell_order,
    shape,
    bounds,
    exponents,
    sigmoid,
    modes,
    value_at,
    raise_before,
    key,
    first_step,
    n_learned,
    silent,
    stiffness,
    last_step,
    out_codes,
    out_written,
    out_familiarity,
):
    """As ``learn_stream``, for weights that age.

    Parameters beyond those of ``learn_stream``:

    value_at : uint8 (n_classes, highest_age + 1)
    raise_before : int32 (n_classes,)
        A coincidence at a younger age than this raises the stiffness; 0 where it cannot rise.
    stiffness : uint8 (n_macs, n_afferents, n_modules * units_per_module), in and out
    last_step : int32, same shape, in and out; -1 where there is no weight
    """
    n_macs, n_afferents, n_cells = stiffness.shape
    n_modules, units = shape[0], shape[1]
    n_items = indptr.shape[0] - 1
    for m in prange(n_macs):
        rows = np.empty(row_of_feature.shape[1] + GROUP, np.int32)
        sums = np.empty(n_cells, np.int32)
        best_sums = np.empty(n_modules, np.int32)
        best = np.empty(n_modules, np.int32)
        own = np.arange(n_cells).astype(np.int32)
        winners = np.empty(n_modules, np.int64)
        sums_of_blocks = np.empty((units + BLOCK - 1) // BLOCK, np.int64)
        excess = np.empty(n_cells, np.int64)
        for n in range(n_items):
            n_rows = collect_rows(indices, indptr[n], indptr[n + 1], row_of_feature[m], n_afferents, rows)
            if n_rows < bounds[0] or n_rows > bounds[1]:
                for q in range(n_modules):
                    out_codes[n, m, q] = silent
                    out_written[n, m, q] = silent
                out_familiarity[n, m] = 0.0
                continue
            now = first_step + min(n, n_learned)
            n_active = n_rows if bounds[2] == 0 else bounds[2]
            sum_and_choose(stiffness[m], last_step[m], rows, n_rows, now, value_at, n_modules, units, sums, best_sums, best)
            familiarity = mean_combined_sum(best_sums, n_active, exponents[0])
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
                for i in range(n_cells):
                    combined = combined_input(sums[i], FULL_WEIGHT * n_active, exponents[0])
                    excess[i] = excess_weight(combined, eta_minus_one, modes[0], sigmoid)
            draw_code(first_step + n, m, key, (n_modules, units, units), own, excess, any_excess, sums_of_blocks, winners)
            for q in range(n_modules):
                out_written[n, m, q] = cell_order[m, q, winners[q]]
                refresh(stiffness[m], last_step[m], rows, n_rows, q * units + winners[q], now, value_at, raise_before)


@jit(parallel=True)
def recall_aging(
    indices,
    indptr,
    row_of_feature,
    cell_order,
    shape,
    bounds,
    exponents,
    value_at,
    now,
    silent,
    stiffness,
    last_step,
    out_codes,
    out_familiarity,
):
    """Argmax codes with the weights as they stand at step ``now``; arguments as in ``learn_aging``."""
    n_macs, n_afferents, n_cells = stiffness.shape
    n_modules, units = shape[0], shape[1]
    n_items = indptr.shape[0] - 1
    for m in prange(n_macs):
        rows = np.empty(row_of_feature.shape[1] + GROUP, np.int32)
        sums = np.empty(n_cells, np.int32)
        best_sums = np.empty(n_modules, np.int32)
        best = np.empty(n_modules, np.int32)
        for n in range(n_items):
            n_rows = collect_rows(indices, indptr[n], indptr[n + 1], row_of_feature[m], n_afferents, rows)
            if n_rows < bounds[0] or n_rows > bounds[1]:
                for q in range(n_modules):
                    out_codes[n, m, q] = silent
                out_familiarity[n, m] = 0.0
                continue
            n_active = n_rows if bounds[2] == 0 else bounds[2]
            sum_and_choose(stiffness[m], last_step[m], rows, n_rows, now, value_at, n_modules, units, sums, best_sums, best)
            out_familiarity[n, m] = mean_combined_sum(best_sums, n_active, exponents[0])
            for q in range(n_modules):
                out_codes[n, m, q] = cell_order[m, q, best[q]]
