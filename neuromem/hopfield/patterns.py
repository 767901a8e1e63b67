"""Patterns with blank entries, noisy examples of them, and the checks that ternary input goes through."""

import warnings
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import refuse_device
from neuromem.errors import InputError, InputTypeError, NeuromemWarning
from neuromem.random import RandomState, generator_for, seed_sequence_of


def sample_patterns(n_patterns: int, n_units: int, dilution: float = 0.0, *, random_state: RandomState = None) -> np.ndarray:
    """Independent entries: 0 with probability d, else +1 or -1 alike.

    Parameters
    ----------
    n_patterns, n_units : int
        K and N, from 1 up.
    dilution : float, default 0.0
        d, from 0 below 1.
    random_state : None, int, SeedSequence or Generator

    Returns
    -------
    int8 (n_patterns, n_units)

    Raises
    ------
    InputError, InputTypeError
        For values out of range.

    Examples
    --------
    >>> from neuromem.hopfield import sample_patterns
    >>> patterns = sample_patterns(3, 1000, 0.25, random_state=0)
    >>> patterns.shape, patterns.dtype.name, bool(abs((patterns == 0).mean() - 0.25) < 0.05)
    ((3, 1000), 'int8', True)
    """
    n_patterns = validate.integer(n_patterns, "n_patterns", 1)
    n_units = validate.integer(n_units, "n_units", 1)
    dilution = validate.number(dilution, "dilution", low=0, high=1, high_open=True)
    generator = generator_for(seed_sequence_of(random_state), "hopfield.patterns")
    patterns = np.empty((n_patterns, n_units), np.int8)
    for row in patterns:  # row by row: a million units take 8 MB meanwhile
        drawn = generator.random(n_units)
        row[:] = np.where(drawn < dilution, 0, np.where(drawn < (1 + dilution) / 2, 1, -1))
    return patterns


def sample_examples(patterns: Any, n_examples: int, quality: Any, *, random_state: RandomState = None) -> np.ndarray:
    """Noisy examples: every entry keeps its sign with probability (1 + r) / 2, blank entries stay blank.

    Parameters
    ----------
    patterns : array-like of -1, 0, 1 (n_patterns, n_units)
    n_examples : int
        M, of each pattern.
    quality : float or array-like (n_patterns,)
        r, above 0 up to 1.
    random_state : None, int, SeedSequence or Generator

    Returns
    -------
    int8 (n_patterns, n_examples, n_units)
        Flattened to (n_patterns * n_examples, n_units) they are what :meth:`MultitaskingHebbian.fit` takes, with the labels
        ``numpy.repeat(numpy.arange(n_patterns), n_examples)``.

    Raises
    ------
    InputError, InputTypeError
        For values out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.hopfield import sample_examples
    >>> examples = sample_examples(np.ones((1, 1000)), 5, 0.6, random_state=0)
    >>> examples.shape, bool(abs((examples == 1).mean() - 0.8) < 0.05)
    ((1, 5, 1000), True)
    """
    patterns = ternary_items(patterns, name="patterns")
    n_examples = validate.integer(n_examples, "n_examples", 1)
    qualities = qualities_of(quality, len(patterns))
    generator = generator_for(seed_sequence_of(random_state), "hopfield.examples")
    examples = np.empty((len(patterns), n_examples, patterns.shape[1]), np.int8)
    for pattern, r, rows in zip(patterns, qualities, examples, strict=True):
        for row in rows:
            row[:] = np.where(generator.random(len(pattern)) < (1 + r) / 2, pattern, -pattern)
    return examples


def qualities_of(quality: Any, n_patterns: int) -> np.ndarray:
    """A quality for each pattern, float64 (n_patterns,)."""
    values = np.asarray(quality)
    if values.ndim == 0:
        return np.full(n_patterns, validate.number(quality, "quality", low=0, high=1, low_open=True))
    if values.shape != (n_patterns,):
        raise InputError(f"quality has shape {values.shape}, a number or ({n_patterns},) numbers were expected")
    return np.array([validate.number(value, "quality", low=0, high=1, low_open=True) for value in values.tolist()])


def ternary_items(X: Any, n_features: int | None = None, *, name: str = "X", owner: str = "MultitaskingHebbian") -> np.ndarray:
    """Items of -1, 0 and 1 as int8 (n, d), C-contiguous.

    Raises
    ------
    InputTypeError
        For 0/1 data of a type that cannot hold -1.
    InputError
        For any other value, naming the first, or as :func:`neuromem.validate.table`.
    """
    X = checked_type(X, n_features, name, owner)
    if X.size and (wrong := np.argwhere((X != 0) & (abs(X) != 1)) if X.dtype.kind == "f" else integers_beyond(X)).size:
        i, j = wrong[0]
        raise InputError(f"{name}[{i}, {j}] is {X[i, j]}, -1, 0 or 1 was expected")
    return np.ascontiguousarray(X, np.int8)


def spin_states(S: Any, n_units: int, *, name: str = "S") -> np.ndarray:
    """States of -1 and 1 as int8 (n, n_units), C-contiguous; errors as :func:`ternary_items`, also for a spin of 0."""
    S = ternary_items(S, n_units, name=name)
    if (zeros := S == 0).any():
        i, j = np.argwhere(zeros)[0]
        raise InputError(f"{name}[{i}, {j}] is 0, a spin of -1 or 1 was expected")
    return S


def checked_type(X: Any, n_features: int | None, name: str, owner: str) -> np.ndarray:
    """A table of the right width whose type can hold -1."""
    refuse_device(X, name, owner)
    X = validate.table(X, name=name, owner=owner)
    if n_features is not None and X.shape[1] != n_features:
        turned = ": was the transpose meant?" if X.shape[0] == n_features else ""
        raise InputError(
            f"{name} has shape {X.shape} with {X.shape[1]} features, but {owner} is expecting {n_features} features as input, "
            f"({len(X)}, {n_features}){turned}"
        )
    if X.dtype.kind in "bu" and X.size and X.max() <= 1:
        raise InputTypeError(f"{name} is {X.dtype} of 0 and 1, entries of -1, 0 and 1 were expected: use 2 * x.astype(int) - 1")
    return X


def integers_beyond(X: np.ndarray) -> np.ndarray:
    """Places of integers that are not -1, 0 or 1."""
    if X.min() >= -1 and X.max() <= 1:
        return np.empty((0, 2), np.int64)
    return np.argwhere((X < -1) | (X > 1))


def refuse_blank(X: np.ndarray, name: str) -> None:
    """Raise at the first item of zeros only: nothing can be recalled of it at any temperature."""
    blank = ~X.any(axis=1)
    if blank.any():
        raise InputError(f"{name}[{int(blank.argmax())}] has zeros only, some other entry was expected")


def warn_if_turned(X: np.ndarray, name: str) -> None:
    """Warn where there are more patterns than units."""
    if len(X) > X.shape[1]:
        text = f"{name} has {len(X)} patterns of {X.shape[1]} units: was the transpose meant?"
        warnings.warn(text, NeuromemWarning, stacklevel=4)
