"""Measures of continual learning from the matrix of accuracies R.

R[i, j] is the accuracy on task j after training on task i, NaN where it was not measured; several seeds stand in front,
(S, T, T).  Nothing here changes its input, and forgetting keeps its sign: it is negative where later tasks help.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError


@dataclass(frozen=True)
class Measure:
    """A measure with its spread over seeds.

    Parameters
    ----------
    mean : float
    standard_error : float
        NaN for a single seed.
    values : float64 (S,)
        Of each seed.
    """

    mean: float
    standard_error: float
    values: np.ndarray

    def __float__(self) -> float:
        return self.mean


def measure(values: np.ndarray) -> Measure:
    """Mean and standard error over seeds."""
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else float("nan")
    return Measure(float(values.mean()), error, values)


def checked_matrix(R: Any) -> np.ndarray:
    """A matrix of accuracies as float64 (S, T, T); the caller's is left alone.

    Raises
    ------
    InputError
        If it is not square, or infinite somewhere.
    """
    found = np.array(R, float)
    if found.ndim not in (2, 3) or found.shape[-1] != found.shape[-2] or found.size == 0:
        raise InputError(f"R has shape {found.shape}, (tasks, tasks) or (seeds, tasks, tasks) was expected")
    if np.isinf(found).any():
        raise InputError("R has an infinite accuracy")
    return found if found.ndim == 3 else found[None]


def needed(values: np.ndarray, name: str, which: str) -> np.ndarray:
    """Values that must have been measured.

    Raises
    ------
    InputError
        If one is NaN: no gap is filled with zeros.
    """
    if np.isnan(values).any():
        raise InputError(f"{name} is NaN (not measured) {which}")
    return values


def untrained(b: Any, R: np.ndarray) -> np.ndarray:
    """Accuracies of the untrained model, (S, T)."""
    if b is None:
        raise InputError("b is missing: forward transfer is against the accuracy of the untrained model on each task")
    found = np.asarray(b, float)
    if found.shape not in (R.shape[1:2], R.shape[:2]):
        raise InputError(f"b has shape {found.shape}, {R.shape[1:2]} or {R.shape[:2]} was expected")
    return needed(np.broadcast_to(found, R.shape[:2]), "b", "for some task")


def average_accuracy(R: Any) -> Measure:
    """Mean accuracy over all tasks after the last: mean_j R[T-1, j] (Lopez-Paz and Ranzato 2017, ACC).

    Parameters
    ----------
    R : array-like (T, T) or (S, T, T)

    Raises
    ------
    InputError
        If a task was not measured after the last.

    Examples
    --------
    >>> round(average_accuracy([[0.9, 0.1], [0.7, 0.9]]).mean, 3)
    0.8
    """
    R = checked_matrix(R)
    return measure(needed(R[:, -1], "R[T-1, j]", "for some task j").mean(1))


def backward_transfer(R: Any) -> Measure:
    """What later tasks did to earlier ones: mean_{i < T-1} R[T-1, i] - R[i, i] (Lopez-Paz and Ranzato 2017, BWT).

    Examples
    --------
    >>> round(backward_transfer([[0.9, 0.1], [0.7, 0.9]]).mean, 3)
    -0.2
    """
    R = checked_matrix(R)
    least_tasks(R, 2)
    last = needed(R[:, -1, :-1], "R[T-1, i]", "for some task i")
    return measure((last - needed(diagonal(R)[:, :-1], "R[i, i]", "for some task i")).mean(1))


def forward_transfer(R: Any, b: Any) -> Measure:
    """What earlier tasks did to later ones: mean_{i >= 1} R[i-1, i] - b[i] (Lopez-Paz and Ranzato 2017, FWT).

    Parameters
    ----------
    R : array-like (T, T) or (S, T, T)
    b : array-like (T,) or (S, T)
        Accuracy of the untrained model on each task.

    Raises
    ------
    InputError
        Without b, or where R[i-1, i] was not measured.

    Examples
    --------
    >>> round(forward_transfer([[0.9, 0.15], [0.7, 0.9]], [0.1, 0.1]).mean, 3)
    0.05
    """
    R = checked_matrix(R)
    least_tasks(R, 2)
    start = untrained(b, R)
    ahead = needed(np.diagonal(R, 1, 1, 2), "R[i-1, i]", "for some task i")
    return measure((ahead - start[:, 1:]).mean(1))


def forgetting(R: Any, k: int | None = None, *, from_learned: bool = False, clip_at_zero: bool = False) -> Measure:
    """Fall from the best accuracy before: F_k = mean_{j < k} (max_{l < k} R[l, j] - R[k, j]) (Chaudhry et al. 2018, equation 3).

    Parameters
    ----------
    R : array-like (T, T) or (S, T, T)
    k : int, optional
        The task after which forgetting is measured; default the last.
    from_learned : bool, default False
        Take the best only from when task j has been learned, l >= j; the paper's begins at l = 0.
    clip_at_zero : bool, default False
        Count no fall as 0, as where row k is among the best: for comparison with tables of code that does so.

    Returns
    -------
    Measure
        Negative where later tasks help.  It is minus the backward transfer only if each task is best right after it was learned.

    Examples
    --------
    >>> round(forgetting([[0.5, 0.0], [0.7, 0.9]]).mean, 3)
    -0.2
    """
    R = checked_matrix(R)
    least_tasks(R, 2)
    k = R.shape[1] - 1 if k is None else validate.integer(k, "k", 1, R.shape[1] - 1)
    falls = np.empty((len(R), k))
    for j in range(k):
        before = R[:, j if from_learned else 0 : k, j]
        if np.isnan(before).all(1).any():
            raise InputError(f"R[l, {j}] is NaN (not measured) for every l before {k}")
        falls[:, j] = np.nanmax(before, 1) - needed(R[:, k, j], f"R[{k}, j]", f"for task {j}")
    return measure((np.maximum(falls, 0) if clip_at_zero else falls).mean(1))


def intransigence(R: Any, reference: Any, k: int | None = None) -> Measure:
    """What learning in turn costs a new task: I_k = reference[k] - R[k, k] (Chaudhry et al. 2018).

    Parameters
    ----------
    R : array-like (T, T) or (S, T, T)
    reference : array-like (T,) or (S, T)
        Accuracy on task k of a model trained on tasks 0 ... k together.
    k : int, optional
        Default: the last.

    Raises
    ------
    InputError
        Without a reference.

    Examples
    --------
    >>> round(intransigence([[0.9, 0.1], [0.7, 0.8]], [0.9, 0.95]).mean, 3)
    0.15
    """
    R = checked_matrix(R)
    if reference is None:
        raise InputError("reference is missing: intransigence is against a model trained on all tasks together")
    k = R.shape[1] - 1 if k is None else validate.integer(k, "k", 0, R.shape[1] - 1)
    found = np.asarray(reference, float)
    if found.shape not in (R.shape[1:2], R.shape[:2]):
        raise InputError(f"reference has shape {found.shape}, {R.shape[1:2]} or {R.shape[:2]} was expected")
    together = needed(np.broadcast_to(found, R.shape[:2])[:, k], f"reference[{k}]", "")
    return measure(together - needed(R[:, k, k], f"R[{k}, {k}]", ""))


def learning_accuracy(R: Any) -> Measure:
    """Accuracy on each task right after it: mean_i R[i, i], plasticity.

    Examples
    --------
    >>> round(learning_accuracy([[0.9, 0.1], [0.7, 0.8]]).mean, 3)
    0.85
    """
    return measure(needed(diagonal(checked_matrix(R)), "R[i, i]", "for some task i").mean(1))


def average_incremental_accuracy(R: Any) -> Measure:
    """Accuracy on the tasks so far, averaged over the course: mean_i mean_{j <= i} R[i, j].

    Examples
    --------
    >>> round(average_incremental_accuracy([[0.9, 0.1], [0.7, 0.8]]).mean, 3)
    0.825
    """
    R = checked_matrix(R)
    rows = [needed(R[:, i, : i + 1], f"R[{i}, j]", "for some task j learned before").mean(1) for i in range(R.shape[1])]
    return measure(np.mean(rows, 0))


def remembering(R: Any) -> Measure:
    """1 - abs(min(B, 0)) (Diaz-Rodriguez et al. 2018), B their backward transfer: over all i > j, not the last i only.

    Examples
    --------
    >>> round(remembering([[0.9, 0.1], [0.7, 0.8]]).mean, 3)
    0.8
    """
    return measure(1 - abs(np.minimum(transfer_over_course(checked_matrix(R)), 0)))


def positive_backward_transfer(R: Any) -> Measure:
    """max(B, 0) (Diaz-Rodriguez et al. 2018), B as in :func:`remembering`.

    Examples
    --------
    >>> round(positive_backward_transfer([[0.5, 0.0], [0.7, 0.9]]).mean, 3)
    0.2
    """
    return measure(np.maximum(transfer_over_course(checked_matrix(R)), 0))


def transfer_over_course(R: np.ndarray) -> np.ndarray:
    """mean_{i > j} R[i, j] - R[j, j], of each seed."""
    least_tasks(R, 2)
    later, task = np.tril_indices(R.shape[1], -1)
    after = needed(R[:, later, task], "R[i, j]", "for some i after j")
    transfer: np.ndarray = (after - needed(diagonal(R), "R[j, j]", "for some task j")[:, task]).mean(1)
    return transfer


def diagonal(R: np.ndarray) -> np.ndarray:
    """R[i, i] of each seed."""
    return np.diagonal(R, 0, 1, 2)


def least_tasks(R: np.ndarray, n: int) -> None:
    """Refuse too few tasks."""
    if R.shape[1] < n:
        raise InputError(f"R has {R.shape[1]} task, at least {n} were expected")


def continual_measures(R: Any, b: Any = None, reference: Any = None, *, clip_at_zero: bool = False) -> dict[str, Measure]:
    """All measures that can be told from what is given, by name.

    Parameters
    ----------
    R : array-like (T, T) or (S, T, T)
    b : array-like, optional
        For forward transfer.
    reference : array-like, optional
        For intransigence.
    clip_at_zero : bool, default False
        As in :func:`forgetting`.

    Examples
    --------
    >>> sorted(continual_measures([[0.9, 0.1], [0.7, 0.8]]))[:3]
    ['average_accuracy', 'average_incremental_accuracy', 'backward_transfer']
    """
    found = {
        "average_accuracy": average_accuracy(R),
        "backward_transfer": backward_transfer(R),
        "forgetting": forgetting(R, clip_at_zero=clip_at_zero),
        "learning_accuracy": learning_accuracy(R),
    }
    matrix = checked_matrix(R)
    if not np.isnan(matrix[:, *np.tril_indices(matrix.shape[1])]).any():
        found["average_incremental_accuracy"] = average_incremental_accuracy(R)
        found["remembering"] = remembering(R)
        found["positive_backward_transfer"] = positive_backward_transfer(R)
    if b is not None:
        found["forward_transfer"] = forward_transfer(R, b)
    if reference is not None:
        found["intransigence"] = intransigence(R, reference)
    return found


@dataclass(frozen=True)
class ForgettingEvents:
    """How items were learned and lost again.

    Parameters
    ----------
    learned, lost : int64 (n_items,)
        How often an item went from wrong to right (right at once counts) and from right to wrong.
    never_learned, unforgettable : bool (n_items,)
        Wrong at every time; learned and never lost.
    """

    learned: np.ndarray
    lost: np.ndarray
    never_learned: np.ndarray
    unforgettable: np.ndarray


def forgetting_events(outcomes: Any) -> ForgettingEvents:
    """Count the transitions of each item (Toneva et al. 2019).

    Parameters
    ----------
    outcomes : bool or 0 and 1, (n_items, T)
        Right or wrong at each time, in order.

    Raises
    ------
    InputError

    Examples
    --------
    >>> events = forgetting_events([[1, 0, 1, 0], [0, 1, 1, 1], [0, 0, 0, 0]])
    >>> events.lost.tolist(), events.unforgettable.tolist()
    ([2, 0, 0], [False, True, False])
    """
    right = checked_outcomes(outcomes)
    before = np.concatenate([np.zeros((len(right), 1), bool), right[:, :-1]], 1)
    learned = (right & ~before).sum(1)
    lost = (before & ~right).sum(1)
    ever = np.asarray(right.any(axis=1))
    return ForgettingEvents(learned, lost, np.logical_not(ever), np.logical_and(ever, lost == 0))


def checked_outcomes(outcomes: Any) -> np.ndarray:
    """Outcomes as bool (n_items, T)."""
    found = np.asarray(outcomes)
    if found.ndim != 2 or 0 in found.shape:
        raise InputError(f"outcomes has shape {found.shape}, (items, times) was expected")
    if not ((found == 0) | (found == 1)).all():
        raise InputError("outcomes has other values than 0 and 1")
    return found.astype(bool)


def online_matrix(outcomes: Any, boundaries: Sequence[int]) -> np.ndarray:
    """The matrix R of a stream without tasks, cut at ``boundaries``.

    Parameters
    ----------
    outcomes : array-like (n_checkpoints, n_items)
        Outcome (0 ... 1) of every item of the stream, in the order in which they came, at each checkpoint: one at the end of each
        segment.  NaN where not measured.
    boundaries : sequence of int
        Where segments end in the stream, ascending; the last is the number of items.

    Returns
    -------
    float64 (T, T)
        R[i, j]: mean outcome over the items of segment j at checkpoint i, NaN where none was measured.

    Raises
    ------
    InputError

    Examples
    --------
    >>> online_matrix([[1, 1, 0, 0], [0, 1, 1, 1]], [2, 4]).tolist()
    [[1.0, 0.0], [0.5, 1.0]]
    """
    found = np.asarray(outcomes, float)
    ends = [validate.integer(end, "boundaries", 1) for end in boundaries]
    if found.ndim != 2:
        raise InputError(f"outcomes has shape {found.shape}, (checkpoints, items) was expected")
    if sorted(set(ends)) != ends or not ends or ends[-1] != found.shape[1]:
        raise InputError(f"boundaries is {ends}, ascending numbers up to {found.shape[1]}, the number of items, were expected")
    if len(found) != len(ends):
        raise InputError(f"outcomes has {len(found)} checkpoints, one for each of the {len(ends)} segments was expected")
    R = np.full((len(ends), len(ends)), np.nan)
    for j, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        part = found[:, start:end]
        there = ~np.isnan(part)
        counts = there.sum(1)
        R[:, j] = np.where(counts > 0, np.where(there, part, 0).sum(1) / np.maximum(counts, 1), np.nan)
    return R
