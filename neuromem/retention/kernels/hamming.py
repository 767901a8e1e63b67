"""Which of many stored patterns is nearest to a recalled one, counted in bits on the part that was not given."""

import numpy as np

from neuromem.jit import jit, popcount64, prange


@jit(parallel=True)
def nearest_hamming(recalled, masks, items, right, out_distance, out_best, out_ties):
    """Distance to the right item, the least distance to any, and how many items have that.

    recalled, masks uint64 (n, w); items uint64 (m, w); right int64 (n,) rows of items; out int32 (n,) each.
    """
    n_words = recalled.shape[1]
    for cue in prange(recalled.shape[0]):
        best, ties = np.int32(64 * n_words + 1), np.int32(0)
        for row in range(items.shape[0]):
            distance = np.int32(0)
            for word in range(n_words):
                distance += np.int32(popcount64((recalled[cue, word] ^ items[row, word]) & masks[cue, word]))
            if row == right[cue]:
                out_distance[cue] = distance
            if distance < best:
                best, ties = distance, np.int32(1)
            elif distance == best:
                ties += np.int32(1)
        out_best[cue], out_ties[cue] = best, ties
