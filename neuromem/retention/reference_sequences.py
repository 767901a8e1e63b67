"""The kernels on sequences, by recursion on the definition."""

from functools import cache

import numpy as np


def common_lengths(
    first: np.ndarray,
    first_lengths: np.ndarray,
    second: np.ndarray,
    second_lengths: np.ndarray,
    work: np.ndarray,
    out_lengths: np.ndarray,
) -> None:
    """Longest common subsequences."""
    for pair in range(len(first)):
        a, b = first[pair, : first_lengths[pair]].tolist(), second[pair, : second_lengths[pair]].tolist()

        @cache
        def longest(i: int, j: int, a: tuple = tuple(a), b: tuple = tuple(b)) -> int:
            if i == 0 or j == 0:
                return 0
            if a[i - 1] == b[j - 1]:
                return longest(i - 1, j - 1) + 1
            return max(longest(i - 1, j), longest(i, j - 1))

        work[pair, : len(b) + 1] = [longest(len(a), j) for j in range(len(b) + 1)]  # the table's last row
        out_lengths[pair] = work[pair, len(b)]


def edit_distances(
    first: np.ndarray,
    first_lengths: np.ndarray,
    second: np.ndarray,
    second_lengths: np.ndarray,
    work: np.ndarray,
    out_distances: np.ndarray,
) -> None:
    """Levenshtein distances."""
    for pair in range(len(first)):
        a, b = first[pair, : first_lengths[pair]].tolist(), second[pair, : second_lengths[pair]].tolist()

        @cache
        def least(i: int, j: int, a: tuple = tuple(a), b: tuple = tuple(b)) -> int:
            if i == 0 or j == 0:
                return i + j
            return min(least(i - 1, j) + 1, least(i, j - 1) + 1, least(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

        work[pair, : len(b) + 1] = [least(len(a), j) for j in range(len(b) + 1)]
        out_distances[pair] = work[pair, len(b)]
