"""Label fields: class weights of every cell, learned in one pass and summed over the winners of a code.

The cells of all modules are rows ``module * units_per_module + winner``; a silent module has no row.
"""

import numpy as np

from neuromem.jit import jit, prange


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
    weights : int32 (n_modules_in_all * units_per_module, n_classes), in and out
    step_weighted : int64, same shape, in and out
        Sum of changes times the step they came at: with T items, T * weights - step_weighted is the sum of the weights
        over all steps, so the average needs no sweep.
    """
    n_items, n_modules = codes.shape
    n_classes = weights.shape[1]
    rows = np.empty(n_modules, np.int64)
    scores = np.empty(n_classes, np.int32)
    for n in range(n_items):
        n_rows = 0
        for j in range(n_modules):
            winner = codes[n, j]
            rows[n_rows] = j * units_per_module + np.int64(winner)
            n_rows += winner != silent
        for c in range(n_classes):
            scores[c] = 0
        for i in range(n_rows):
            row = weights[rows[i]]
            for c in range(n_classes):
                scores[c] += row[c]
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
    table : float64 (n_modules_in_all * units_per_module, n_classes)
    out_scores : float64 (n_items, n_classes)
    """
    n_classes = table.shape[1]
    for n in prange(codes.shape[0]):
        scores = out_scores[n]
        for c in range(n_classes):
            scores[c] = 0.0
        for j in range(codes.shape[1]):
            winner = codes[n, j]
            if winner != silent:
                row = table[j * units_per_module + np.int64(winner)]
                for c in range(n_classes):
                    scores[c] += row[c]
