"""How much of a sequence of symbols was recalled: edit similarity and ROUGE."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY
from neuromem.errors import InputError
from neuromem.parallel import kernel_threads

CELL = 1.5  # nanoseconds for an entry of the table, roughly
PADDING = -1


def coded(recalled: Iterable[Sequence[Hashable]], wanted: Iterable[Sequence[Hashable]]) -> tuple[np.ndarray, ...]:
    """Both lists of sequences as numbers: symbols int32 (n, longest) and lengths int32 (n,), of each list."""
    codes: dict[Hashable, int] = {}
    found: list[np.ndarray] = []
    for name, sequences in (("recalled", recalled), ("wanted", wanted)):
        if isinstance(sequences, str):
            raise InputError(f"{name} is one text; a list of texts, or of lists of words, was expected")
        if isinstance(sequences, np.ndarray) and sequences.ndim != 2:
            raise InputError(f"{name} has shape {sequences.shape}, (n, length) was expected")
        lists = [s.tolist() if isinstance(s, np.ndarray) else list(s) for s in sequences]
        lengths = np.array([len(s) for s in lists], np.int32)
        symbols = np.full((len(lists), max(1, lengths.max(initial=0))), PADDING, np.int32)
        flat = [codes.setdefault(symbol, len(codes)) for s in lists for symbol in s]
        symbols[np.arange(symbols.shape[1]) < lengths[:, None]] = flat
        found += [symbols, lengths]
    if len(found[0]) != len(found[2]):
        raise InputError(f"{len(found[0])} sequences are recalled and {len(found[2])} wanted")
    return tuple(found)


def compared(kernel: str, parts: tuple[np.ndarray, ...]) -> np.ndarray:
    """What a kernel finds for each pair, int32 (n,)."""
    first, first_lengths, second, second_lengths = parts
    work = np.empty((len(first), second.shape[1] + 1), np.int32)
    out = np.zeros(len(first), np.int32)
    with kernel_threads(len(first) * first.shape[1] * second.shape[1] * CELL):
        getattr(NUMPY.kernels("retention"), kernel)(first, first_lengths, second, second_lengths, work, out)
    return out


def edit_similarity(recalled: Iterable[Sequence[Hashable]], wanted: Iterable[Sequence[Hashable]]) -> np.ndarray:
    """1 - (edit distance) / (length of the longer sequence), float64 (n,); 1 for two empty ones.

    Parameters
    ----------
    recalled, wanted : n sequences each: texts, lists of words, or rows of an array

    Examples
    --------
    >>> edit_similarity(["kitten"], ["sitting"]).round(4).tolist()
    [0.5714]
    """
    parts = coded(recalled, wanted)
    longer = np.maximum(parts[1], parts[3])
    return np.where(longer == 0, 1.0, 1.0 - compared("edit_distances", parts) / np.maximum(longer, 1))


def rouge_l(recalled: Iterable[Sequence[Hashable]], wanted: Iterable[Sequence[Hashable]]) -> np.ndarray:
    """F1 of the longest common subsequence, 2 L / (length + length), float64 (n,); 0 where either is empty (Lin 2004).

    Examples
    --------
    >>> rouge_l(["police kill the gunman".split()], ["police killed the gunman".split()]).tolist()
    [0.75]
    """
    parts = coded(recalled, wanted)
    return 2.0 * compared("common_lengths", parts) / np.maximum(parts[1] + parts[3], 1)


def rouge_n(recalled: Iterable[Sequence[Hashable]], wanted: Iterable[Sequence[Hashable]], n: int = 1) -> np.ndarray:
    """F1 of shared runs of ``n`` symbols, each counted as often as both have it, float64 (pairs,) (Lin 2004).

    Examples
    --------
    >>> rouge_n(["the cat sat".split()], ["the cat ran off".split()], 2).tolist()
    [0.4]
    """
    n = validate.integer(n, "n", 1)
    first, first_lengths, second, second_lengths = coded(recalled, wanted)
    runs, owners, sizes = [], [], []
    for symbols, lengths in ((first, first_lengths), (second, second_lengths)):
        counts = np.maximum(lengths - n + 1, 0)
        sizes.append(counts)
        if symbols.shape[1] < n:
            runs.append(np.empty((0, n), np.int32))
            owners.append(np.empty(0, np.int64))
            continue
        windows = np.lib.stride_tricks.sliding_window_view(symbols, n, axis=1)
        valid = np.arange(windows.shape[1]) < counts[:, None]
        runs.append(windows[valid])
        owners.append(np.nonzero(valid)[0])
    _, codes = np.unique(np.concatenate(runs), axis=0, return_inverse=True)
    codes = codes.ravel()
    keys = np.concatenate(owners) * (codes.max(initial=0) + 1) + codes
    own, theirs = keys[: len(runs[0])], keys[len(runs[0]) :]
    (a, a_counts), (b, b_counts) = np.unique(own, return_counts=True), np.unique(theirs, return_counts=True)
    both, in_a, in_b = np.intersect1d(a, b, assume_unique=True, return_indices=True)
    shared = np.bincount(both // (codes.max(initial=0) + 1), np.minimum(a_counts[in_a], b_counts[in_b]), minlength=len(first))
    return 2.0 * shared / np.maximum(sizes[0] + sizes[1], 1)


def sequence_measure(name: str, recalled: Any, wanted: Any) -> np.ndarray:
    """A measure by its name: "edit_similarity", "rouge_1", "rouge_2" or "rouge_l"."""
    if name == "edit_similarity":
        return edit_similarity(recalled, wanted)
    return rouge_l(recalled, wanted) if name == "rouge_l" else rouge_n(recalled, wanted, int(name[-1]))
