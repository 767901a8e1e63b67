"""Which afferents of which mac the active features of a stream are, found for many items at once.

A mac that looks through all active features of an item for its own spends more on that than on its step where fields are
small.  Over a stream it is cheaper to go through the features once and hand each to the macs that see it.
"""

import numpy as np

from neuromem.jit import jit
from neuromem.jit_vectors import GROUP

ROUTED_FROM = 64  # items of a stream from which handing them out costs less than it saves
ITEMS_PER_ROUTE = 4096  # so many are handed out at once, which bounds the room that the lists take


@jit
def seen_by(row_of_feature, wanted):
    """Macs that see each feature and its row there, feature by feature; nothing unless ``wanted``.

    Parameters
    ----------
    row_of_feature : int32 (n_macs, n_features), -1 where a mac does not see the feature

    Returns
    -------
    starts : int64 (n_features + 1,)
    macs, rows : int32 (number of pairs,)
    """
    n_macs, n_features = row_of_feature.shape if wanted else (0, 0)
    starts = np.zeros(n_features + 1, np.int64)
    for m in range(n_macs):
        for f in range(n_features):
            starts[f + 1] += row_of_feature[m, f] >= 0
    for f in range(n_features):
        starts[f + 1] += starts[f]
    macs = np.empty(starts[n_features], np.int32)
    rows = np.empty(starts[n_features], np.int32)
    at = starts[:-1].copy()
    for m in range(n_macs):
        for f in range(n_features):
            if row_of_feature[m, f] >= 0:
                macs[at[f]] = m
                rows[at[f]] = row_of_feature[m, f]
                at[f] += 1
    return starts, macs, rows


@jit
def route(indices, indptr, first, stop, seen, n_macs):
    """Active afferents of every mac for items ``first`` to ``stop``, mac by mac and item by item.

    Returns
    -------
    starts : int64 (n_macs * n + 1,), n = stop - first
        Where the afferents of mac m for item first + i begin: at m * n + i.
    active : int32 (number of afferents,)
    """
    of_feature, macs, rows = seen
    n = stop - first if len(macs) > 0 else 0
    starts = np.zeros(n_macs * n + 1, np.int64)
    for i in range(n):
        for j in range(indptr[first + i], indptr[first + i + 1]):
            for p in range(of_feature[indices[j]], of_feature[indices[j] + 1]):
                starts[np.int64(macs[p]) * n + i + 1] += 1
    for c in range(n_macs * n):
        starts[c + 1] += starts[c]
    active = np.empty(starts[n_macs * n], np.int32)
    at = np.empty(n_macs, np.int64)
    for i in range(n):
        for m in range(n_macs):
            at[m] = starts[m * n + i]
        for j in range(indptr[first + i], indptr[first + i + 1]):
            for p in range(of_feature[indices[j]], of_feature[indices[j] + 1]):
                active[at[macs[p]]] = rows[p]
                at[macs[p]] += 1
    return starts, active


@jit
def take_rows(active, start, stop, zero_row, rows):
    """Copy one item's active afferents of one mac to ``rows``; pad with the zero row; return how many."""
    n_rows = stop - start
    for j in range(n_rows):
        rows[j] = active[start + j]
    for j in range(n_rows, n_rows + GROUP - 1):
        rows[j] = zero_row
    return n_rows
