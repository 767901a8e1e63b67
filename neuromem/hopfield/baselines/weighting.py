"""From scores to weights: softmax and its sparse kin, row by row, and the conjugates that make them energies."""

import numpy as np


def softmax(scores: np.ndarray) -> np.ndarray:
    """exp(z) / sum exp(z), float (n, K)."""
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def sparsemax(scores: np.ndarray) -> np.ndarray:
    """The point of the simplex that is nearest to the scores (Martins, Astudillo 2016): exact, by sorting.

    Examples
    --------
    >>> sparsemax(np.array([[1.0, 0.5, -1.0]])).tolist()
    [[0.75, 0.25, 0.0]]
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    ordered = -np.sort(-shifted, axis=1)
    counts = np.arange(1, scores.shape[1] + 1)
    sums = np.cumsum(ordered, axis=1) - 1
    support = (counts * ordered > sums).sum(axis=1)
    threshold = sums[np.arange(len(sums)), support - 1] / support
    return np.maximum(shifted - threshold[:, None], 0)


def entmax15(scores: np.ndarray) -> np.ndarray:
    """Entmax with exponent 1.5, between softmax and sparsemax (Peters, Niculae, Martins 2019): exact, by sorting.

    Examples
    --------
    >>> entmax15(np.array([[0.0, 0.0, -9.0]])).round(9).tolist()
    [[0.5, 0.5, 0.0]]
    """
    shifted = (scores - scores.max(axis=1, keepdims=True)) / 2
    ordered = -np.sort(-shifted, axis=1)
    counts = np.arange(1, scores.shape[1] + 1)
    mean = np.cumsum(ordered, axis=1) / counts
    spread = np.cumsum(ordered**2, axis=1) / counts - mean**2
    thresholds = mean - np.sqrt(np.maximum(1 / counts - spread, 0))
    support = (thresholds <= ordered).sum(axis=1)
    threshold = thresholds[np.arange(len(ordered)), support - 1]
    return np.maximum(shifted - threshold[:, None], 0) ** 2


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Softmax over the k largest scores, the others 0; ties go to the lower place.

    Examples
    --------
    >>> top_k(np.array([[0.0, 1.0, 1.0, 1.0]]), 2).tolist()
    [[0.0, 0.5, 0.5, 0.0]]
    """
    if k >= scores.shape[1]:
        return softmax(scores)
    places = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    weights = np.zeros_like(scores)
    np.put_along_axis(weights, places, softmax(np.take_along_axis(scores, places, axis=1)), axis=1)
    return weights


def weights_of(scores: np.ndarray, separation: str, k: int) -> np.ndarray:
    """Weights (n, K) by the name of the separation."""
    if separation == "softmax":
        return softmax(scores)
    if separation == "sparsemax":
        return sparsemax(scores)
    return entmax15(scores) if separation == "entmax" else top_k(scores, k)


def conjugate(scores: np.ndarray, weights: np.ndarray, separation: str) -> np.ndarray:
    """The function of the scores (n, K) whose gradient the weights are, (n,): log-sum-exp for the softmax.

    It is p.z - R(p) for the weights p, where R is sum p log p, (p.p - 1) / 2 or 4/3 (sum p^1.5 - 1).
    """
    if separation == "sparsemax":
        regular = ((weights**2).sum(axis=1) - 1) / 2
    elif separation == "entmax":
        regular = 4 / 3 * ((weights**1.5).sum(axis=1) - 1)
    else:
        regular = (weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=1)
    return (weights * np.where(weights > 0, scores, 0)).sum(axis=1) - regular
