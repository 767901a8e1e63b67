"""Read codes back: which inputs the winners have learned, and which stored codes share winners."""

import numpy as np

from neuromem.jit import jit, popcount64, prange
from neuromem.sparsey.kernels.accumulate import ONE, ZERO, address


@jit(parallel=True)
def reconstruct(codes, silent, position_of_cell, padded_units, weights, feature_of_row, coverage, out_scores):
    """Score every feature by the share of winning cells that have a weight from it, averaged over the macs that see it.

    Parameters
    ----------
    codes : uint8 or uint16 (n_items, n_macs, n_modules)
    silent : int
    position_of_cell : uint16 (n_macs, n_modules, units_per_module)
    padded_units : int
    weights : uint64 (n_macs, n_afferents + 1, n_words)
    feature_of_row : int32 (n_macs, n_afferents)
    coverage : float32 (n_features,)
        1 / (number of macs that see the feature), 0 where none does.
    out_scores : float32 (n_items, n_features)
    """
    n_macs, n_words = weights.shape[0], weights.shape[2]
    n_modules = codes.shape[2]
    for n in prange(codes.shape[0]):
        scores = out_scores[n]
        for f in range(scores.shape[0]):
            scores[f] = np.float32(0.0)
        winners = np.empty(n_words, np.uint64)
        for m in range(n_macs):
            if codes[n, m, 0] == silent:
                continue
            for i in range(n_words):
                winners[i] = ZERO
            for q in range(n_modules):
                position = np.int64(position_of_cell[m, q, codes[n, m, q]])
                word, bit = address(q, position, n_modules, padded_units)
                winners[word] |= ONE << np.uint64(bit)
            for r in range(feature_of_row.shape[1]):
                shared = np.int64(0)
                for i in range(n_words):
                    shared += np.int64(popcount64(weights[m, r, i] & winners[i]))
                scores[feature_of_row[m, r]] += np.float32(shared)
        for f in range(scores.shape[0]):
            scores[f] = scores[f] * coverage[f] / np.float32(n_modules)


@jit(parallel=True)
def shared_winners(codes_a, codes_b, silent, out_shared):
    """Number of modules in which two codes have the same winner.

    Parameters
    ----------
    codes_a : uint8 or uint16 (n_a, n_modules_in_all)
    codes_b : same dtype (n_b, n_modules_in_all)
    silent : int
        A silent module shares nothing.
    out_shared : int32 (n_a, n_b)
    """
    for a in prange(codes_a.shape[0]):
        for b in range(codes_b.shape[0]):
            total = np.int32(0)
            for j in range(codes_a.shape[1]):
                total += np.int32((codes_a[a, j] == codes_b[b, j]) & (codes_a[a, j] != silent))
            out_shared[a, b] = total
