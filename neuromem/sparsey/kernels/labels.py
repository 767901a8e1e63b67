"""Label fields: class weights of every cell, learned in one pass and summed over the winners of a code.

The cells of all modules are rows ``module * units_per_module + winner``; a silent module has no row.
"""

import numpy as np

from neuromem.jit import jit, prange

ITEMS_PER_TASK = 64


@jit
def add_rows(table, rows, n_rows, scores):
    """Add rows of a table to ``scores``, in order; eight at a time, so that most of the loop is arithmetic.

    Parameters
    ----------
    table : int32 or float64 (n_cells, n_columns)
        Columns in a multiple of 8 fill whole vector registers.
    rows : uint64 (at least n_rows,)
        Unsigned: a signed index would be tested for a negative value at every use.
    n_rows : int
    scores : (n_columns,), in and out
    """
    i = 0
    while i + 8 <= n_rows:
        r0 = table[rows[i]]
        r1 = table[rows[i + 1]]
        r2 = table[rows[i + 2]]
        r3 = table[rows[i + 3]]
        r4 = table[rows[i + 4]]
        r5 = table[rows[i + 5]]
        r6 = table[rows[i + 6]]
        r7 = table[rows[i + 7]]
        for c in range(scores.shape[0]):
            scores[c] = scores[c] + r0[c] + r1[c] + r2[c] + r3[c] + r4[c] + r5[c] + r6[c] + r7[c]
        i += 8
    while i < n_rows:
        row = table[rows[i]]
        for c in range(scores.shape[0]):
            scores[c] += row[c]
        i += 1


@jit
def rows_of_winners(code, silent, units_per_module, rows):
    """Write the row numbers of a code's winners to ``rows``, uint64 (n_modules,); returns how many modules are awake."""
    n_rows = 0
    for j in range(code.shape[0]):
        winner = code[j]
        rows[n_rows] = np.uint64(j * units_per_module + np.int64(winner))
        n_rows += winner != silent
    return n_rows


@jit(parallel=True)
def count_labels(codes, silent, units_per_module, labels, counts):
    """Add each item to the counts of its winners: threads over modules, whose rows are apart.

    Parameters
    ----------
    codes : uint8 or uint16 (n_items, n_modules_in_all)
    silent, units_per_module : int
    labels : int64 (n_items,)
    counts : uint32 (n_modules_in_all * units_per_module, n_classes), in and out
    """
    for j in prange(codes.shape[1]):
        for n in range(codes.shape[0]):
            winner = codes[n, j]
            if winner != silent:
                counts[j * units_per_module + np.int64(winner), labels[n]] += np.uint32(1)


@jit
def correct_errors(codes, silent, units_per_module, labels, margin, first_step, weights, step_weighted):
    """Error-gated Hebbian learning, item by item: where the true class does not lead by the margin, +1 to it, -1 to its rival.

    Parameters
    ----------
    codes, silent, units_per_module, labels
        As in ``count_labels``.
    margin : float
        Required lead per active module.
    first_step : int
        Items labelled before.
    weights : int32 (n_modules_in_all * units_per_module, at least n_classes), in and out
        Columns beyond the classes are padding: 0 before and after.
    step_weighted : int64 (n_modules_in_all * units_per_module, n_classes), in and out
        Sum of changes times the step they came at: with T items, T * weights - step_weighted is the sum of the weights
        over all steps, so the average needs no sweep.
    """
    n_items, n_modules = codes.shape
    n_classes = step_weighted.shape[1]
    rows = np.empty(n_modules, np.uint64)
    scores = np.empty(weights.shape[1], np.int32)
    for n in range(n_items):
        n_rows = rows_of_winners(codes[n], silent, units_per_module, rows)
        scores[:] = 0
        add_rows(weights, rows, n_rows, scores)
        true = labels[n]
        rival = -1
        for c in range(n_classes):
            if c != true and (rival < 0 or scores[c] > scores[rival]):
                rival = c
        if rival < 0 or scores[true] >= scores[rival] + margin * n_rows:
            continue
        step = np.int64(first_step + n)
        for i in range(n_rows):
            r = rows[i]
            weights[r, true] += 1
            weights[r, rival] -= 1
            step_weighted[r, true] += step
            step_weighted[r, rival] -= step


@jit(parallel=True)
def sum_scores(codes, silent, units_per_module, table, out_scores):
    """Sum the rows of a code's winners, in module order.

    Parameters
    ----------
    codes, silent, units_per_module
        As in ``count_labels``.
    table : float64 (n_modules_in_all * units_per_module, n_columns)
    out_scores : float64 (n_items, n_columns)
    """
    n_items, n_modules = codes.shape
    for task in prange((n_items + ITEMS_PER_TASK - 1) // ITEMS_PER_TASK):
        rows = np.empty(n_modules, np.uint64)
        for n in range(task * ITEMS_PER_TASK, min(n_items, (task + 1) * ITEMS_PER_TASK)):
            n_rows = rows_of_winners(codes[n], silent, units_per_module, rows)
            out_scores[n] = 0.0
            add_rows(table, rows, n_rows, out_scores[n])
