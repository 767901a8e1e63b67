"""Common subsequences and edits of pairs of sequences of symbols, one row of the table at a time."""

import numpy as np

from neuromem.jit import jit, prange


@jit(parallel=True)
def common_lengths(first, first_lengths, second, second_lengths, work, out_lengths):
    """Length of the longest common subsequence of each pair.

    first int32 (n, a) and second int32 (n, b), of which the first ``lengths`` int32 (n,) symbols count; work int32
    (n, b + 1) is written over; out int32 (n,).
    """
    for pair in prange(first.shape[0]):
        n_columns = second_lengths[pair]
        for column in range(n_columns + 1):
            work[pair, column] = 0
        for row in range(first_lengths[pair]):
            corner = np.int32(0)  # the entry above and to the left
            for column in range(n_columns):
                above = work[pair, column + 1]
                if first[pair, row] == second[pair, column]:
                    work[pair, column + 1] = corner + 1
                else:
                    work[pair, column + 1] = max(above, work[pair, column])
                corner = above
        out_lengths[pair] = work[pair, n_columns]


@jit(parallel=True)
def edit_distances(first, first_lengths, second, second_lengths, work, out_distances):
    """Least number of insertions, deletions and substitutions that turn one sequence of a pair into the other.

    Arguments as of :func:`common_lengths`.
    """
    for pair in prange(first.shape[0]):
        n_columns = second_lengths[pair]
        for column in range(n_columns + 1):
            work[pair, column] = column
        for row in range(first_lengths[pair]):
            corner = work[pair, 0]
            work[pair, 0] = row + 1
            for column in range(n_columns):
                above = work[pair, column + 1]
                changed = corner + np.int32(first[pair, row] != second[pair, column])
                work[pair, column + 1] = min(changed, min(above, work[pair, column]) + 1)
                corner = above
        out_distances[pair] = work[pair, n_columns]
