"""What is to be made small, with its gradient: every function gives (loss, gradient of the loss)."""

from typing import Any

import numpy as np

from neuromem.errors import InputError
from neuromem.layers.checks import class_labels, floats


def logit_table(logits: Any) -> np.ndarray:
    """Scores of at least one class, (..., n)."""
    logits = floats(logits, "logits")
    if logits.ndim < 1 or logits.shape[-1] < 1:
        raise InputError(f"logits has shape {logits.shape}, (..., n) with n from 1 up was expected")
    return logits


def item_weights(weights: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """The part of each item in a mean, and the sum of its weight, from weights >= 0 or None for equal ones."""
    if weights is None:
        equal = np.ones(shape)
        return equal, float(max(equal.size, 1))
    weights = floats(weights, "weights", shape)
    if not (weights >= 0).all():
        raise InputError("weights has a value that is below 0 or NaN; numbers from 0 up were expected")
    total = float(weights.sum(dtype=np.float64))
    return weights, total if total > 0 else 1.0


def log_softmax(logits: Any) -> np.ndarray:
    """Logarithms of the probabilities that softmax gives over the last axis.

    Parameters
    ----------
    logits : array (..., n)

    Returns
    -------
    ndarray (..., n)

    Examples
    --------
    >>> import numpy as np
    >>> np.exp(log_softmax([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    logits = logit_table(logits)
    shifted: np.ndarray = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def weighted_surprise(logits: np.ndarray, labels: np.ndarray, factors: np.ndarray) -> tuple[float, np.ndarray]:
    """Sum of ``-factor log p(label)`` and its gradient."""
    log_p = log_softmax(logits)
    at = labels[..., None]
    loss = -float((np.take_along_axis(log_p, at, axis=-1)[..., 0] * factors).sum(dtype=np.float64))
    d_logits = np.exp(log_p)
    np.put_along_axis(d_logits, at, np.take_along_axis(d_logits, at, axis=-1) - 1, axis=-1)
    d_logits *= factors[..., None].astype(logits.dtype)
    return loss, d_logits


def softmax_cross_entropy(logits: Any, labels: Any, weights: Any = None) -> tuple[float, np.ndarray]:
    """Mean of ``-log p(label)`` with p the softmax of the logits.

    Parameters
    ----------
    logits : array (..., n)
    labels : int array (...)
        From 0 to n - 1.
    weights : array (...), optional
        How much each item counts, from 0 up; the mean is over their sum.  All 0: the loss and its gradient are 0.

    Returns
    -------
    loss : float
    d_logits : ndarray (..., n)

    Raises
    ------
    InputError, InputTypeError
        For labels out of range, shapes that do not fit, or negative weights.

    Examples
    --------
    >>> loss, d_logits = softmax_cross_entropy([[0.0, 0.0]], [1])
    >>> round(loss, 6), d_logits.tolist()
    (0.693147, [[0.5, -0.5]])
    """
    logits = logit_table(logits)
    labels = class_labels(labels, logits.shape[-1], "labels", logits.shape[:-1])
    factors, total = item_weights(weights, labels.shape)
    return weighted_surprise(logits, labels, factors / total)


def sigmoid_cross_entropy(logits: Any, targets: Any) -> tuple[float, np.ndarray]:
    """Mean of ``-t log s - (1 - t) log(1 - s)`` over all numbers, with s the logistic function of the logits.

    Parameters
    ----------
    logits : array of any shape
    targets : array of that shape
        From 0 to 1.

    Returns
    -------
    loss : float
    d_logits : ndarray

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> loss, d_logits = sigmoid_cross_entropy([0.0], [1.0])
    >>> round(loss, 6), d_logits.tolist()
    (0.693147, [-0.5])
    """
    logits = floats(logits, "logits")
    targets = floats(targets, "targets", logits.shape)
    if not ((targets >= 0) & (targets <= 1)).all():
        raise InputError("targets has a value that is outside 0 ... 1 or NaN; numbers from 0 to 1 were expected")
    n = max(logits.size, 1)
    # max(x, 0) - t x + log(1 + exp(-|x|)) never overflows
    terms = np.maximum(logits, 0) - targets * logits + np.log1p(np.exp(-np.abs(logits)))
    d_logits = ((0.5 * np.tanh(0.5 * logits) + 0.5 - targets) / n).astype(logits.dtype, copy=False)
    return float(terms.sum(dtype=np.float64)) / n, d_logits


def mean_squared_error(prediction: Any, target: Any) -> tuple[float, np.ndarray]:
    """Mean of ``(prediction - target)^2`` over all numbers.

    Parameters
    ----------
    prediction, target : array of one shape

    Returns
    -------
    loss : float
    d_prediction : ndarray

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> loss, d_prediction = mean_squared_error([1.0, 3.0], [1.0, 1.0])
    >>> loss, d_prediction.tolist()
    (2.0, [0.0, 2.0])
    """
    prediction = floats(prediction, "prediction")
    difference = prediction - floats(target, "target", prediction.shape)
    n = max(difference.size, 1)
    loss = float(np.square(difference, dtype=np.float64).sum()) / n
    return loss, (difference * (2.0 / n)).astype(prediction.dtype, copy=False)


def policy_gradient_loss(logits: Any, actions: Any, advantages: Any, weights: Any = None) -> tuple[float, np.ndarray]:
    """Mean of ``-advantage log p(action)``: its gradient is that of the expected return, advantages held fixed.

    Parameters
    ----------
    logits : array (..., n)
    actions : int array (...)
    advantages : array (...)
    weights : array (...), optional
        How much each step counts, from 0 up; the mean is over their sum.

    Returns
    -------
    loss : float
    d_logits : ndarray (..., n)

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> _, d_logits = policy_gradient_loss([[0.0, 0.0]], [0], [2.0])
    >>> d_logits.tolist()
    [[-1.0, 1.0]]
    """
    logits = logit_table(logits)
    actions = class_labels(actions, logits.shape[-1], "actions", logits.shape[:-1])
    factors, total = item_weights(weights, actions.shape)
    return weighted_surprise(logits, actions, floats(advantages, "advantages", actions.shape) * factors / total)


def entropy(logits: Any, weights: Any = None) -> tuple[float, np.ndarray]:
    """Mean entropy, in nats, of the distributions that softmax makes of the logits, and its gradient (of the entropy itself).

    Parameters
    ----------
    logits : array (..., n)
    weights : array (...), optional
        How much each item counts, from 0 up; the mean is over their sum.

    Returns
    -------
    entropy : float
    d_logits : ndarray (..., n)

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> found, d_logits = entropy([[0.0, 0.0]])
    >>> round(found, 6), bool((d_logits == 0).all())
    (0.693147, True)
    """
    logits = logit_table(logits)
    factors, total = item_weights(weights, logits.shape[:-1])
    log_p = log_softmax(logits)
    p = np.exp(log_p)
    each = -(p * log_p).sum(axis=-1)
    d_logits = -p * (log_p + each[..., None]) * (factors / total)[..., None]
    return float((each * factors).sum(dtype=np.float64) / total), d_logits.astype(logits.dtype, copy=False)
