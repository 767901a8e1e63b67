"""Checks at the public boundary: each says which argument, what came, what was wanted and, where short, the remedy.

Wordings of array messages follow scikit-learn's, whose estimator checks read them.
"""

import math
import numbers
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from neuromem.backend import array_module, as_array
from neuromem.errors import InputError, InputTypeError


def is_sparse(X: Any) -> bool:
    """Whether X is a scipy.sparse container (without importing scipy)."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(X))


def table(X: Any, n_features: int | None = None, *, name: str = "X", owner: str = "", min_items: int = 0) -> np.ndarray:
    """A two-dimensional numeric array as it came: bool, integer or float.

    Parameters
    ----------
    X : array-like (n, d)
    n_features : int, optional
        Required width.
    name, owner : str
        Words of the message.
    min_items : int, default 0

    Raises
    ------
    InputError, InputTypeError
        For sparse, complex, non-numeric, one-dimensional or empty-width input, NaN, infinity, or another width.

    Examples
    --------
    >>> table([[1, 2]], 3, owner="Thing")
    Traceback (most recent call last):
    neuromem.errors.InputError: X has 2 features, but Thing is expecting 3 features as input
    """
    if is_sparse(X):
        raise InputTypeError(f"{name} is sparse, a dense array was expected: sparse data is not supported; use {name}.toarray()")
    X = as_array(X)
    if X.dtype.kind == "c":
        raise InputError(f"Complex data not supported: {name} is {X.dtype}, real numbers were expected")
    if X.dtype.kind not in "biuf":
        try:
            X = X.astype(np.float64)
        except TypeError as error:
            raise InputTypeError(f"{name}: {error}") from None
        except ValueError as error:
            raise InputError(f"{name} is not numeric: {error}") from None
    if X.ndim != 2:
        raise InputError(
            f"Expected 2D array, got {X.ndim}D array instead: {name} has shape {X.shape}. Reshape your data with "
            f"{name}.reshape(1, -1) if it is a single item"
        )
    if X.shape[0] < min_items:
        raise InputError(f"Found array with {X.shape[0]} sample(s) (shape={X.shape}) while a minimum of {min_items} is required.")
    if X.shape[1] < 1:
        raise InputError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    if n_features is not None and X.shape[1] != n_features:
        raise InputError(f"{name} has {X.shape[1]} features, but {owner} is expecting {n_features} features as input")
    if X.dtype.kind == "f" and not array_module(X).isfinite(X).all():
        raise InputError(f"Input {name} contains NaN or infinity (inf); finite numbers were expected")
    return X


def binary_items(X: Any, n_features: int | None = None, *, name: str = "X", owner: str = "Sparsey") -> np.ndarray:
    """Items of 0 and 1 as uint8 (n, d), C-contiguous; nothing is thresholded.

    Raises
    ------
    InputError
        For any value but 0 and 1, or as :func:`table`.

    Examples
    --------
    >>> binary_items([[0.0, 1.0]]).tolist()
    [[0, 1]]
    """
    X = table(X, n_features, name=name, owner=owner)
    if X.dtype.kind != "b" and X.size and ((X != 0) & (X != 1)).any():
        other = X[(X != 0) & (X != 1)][0]
        raise InputError(f"{name} has the value {other}: binary input expected; use neuromem.sparsey.encode")
    return array_module(X).ascontiguousarray(X, np.uint8)


def real_items(
    X: Any,
    n_features: int | None = None,
    *,
    name: str = "X",
    owner: str = "",
    dtype: Any = np.float64,
    min_items: int = 0,
) -> np.ndarray:
    """Finite items as ``dtype`` (n, d), C-contiguous."""
    X = table(X, n_features, name=name, owner=owner, min_items=min_items)
    return array_module(X).ascontiguousarray(X, dtype)


def images(X: Any, *, name: str = "X") -> np.ndarray:
    """Grey pictures with values in 0 ... 255 as uint8 (n, rows, columns); (n, side * side) tables are folded.

    Raises
    ------
    InputError
        For another number of axes, a width that is no square, or values outside 0 ... 255 or not whole.
    """
    X = as_array(X)
    xp = array_module(X)
    if X.ndim == 3:
        flat = table(X.reshape(X.shape[0], -1) if X.size else xp.zeros((X.shape[0], 1)), name=name)
        shape = X.shape
    else:
        flat = table(X, name=name)
        side = int(round(flat.shape[1] ** 0.5))
        if side * side != flat.shape[1]:
            raise InputError(f"{name} has {flat.shape[1]} features, pictures (n, rows, columns) or a square number were expected")
        shape = (flat.shape[0], side, side)
    if X.size and (flat.min() < 0 or flat.max() > 255 or (flat.dtype.kind == "f" and (flat != xp.floor(flat)).any())):
        raise InputError(f"{name} has values outside 0 ... 255 or not whole; grey levels were expected")
    return xp.ascontiguousarray(flat if X.size else X, np.uint8).reshape(shape)


def labels(y: Any, n_items: int, *, name: str = "y") -> np.ndarray:
    """Class labels, one per item, (n,).

    Raises
    ------
    InputError
        For None, another length, NaN, or numbers that are not classes.
    """
    if y is None:
        raise InputError(f"requires {name} to be passed, but the target {name} is None")
    y = as_array(y)
    xp = array_module(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(f"{name} should be a 1d array, got an array of shape {y.shape} instead.")
    if len(y) != n_items:
        raise InputError(f"{name} has {len(y)} labels for {n_items} items: inconsistent numbers of samples")
    if y.dtype.kind == "f":
        if not xp.isfinite(y).all():
            raise InputError(f"Input {name} contains NaN or infinity (inf); class labels were expected")
        if (y != xp.floor(y)).any():
            raise InputError(f"Unknown label type: {name} is continuous, class labels were expected")
    elif y.dtype.kind == "O" and any(isinstance(v, float) and v != v for v in y):
        raise InputError(f"Input {name} contains NaN; class labels were expected")
    return y


def feature_mask(known: Any, n_items: int, n_features: int, *, name: str = "known") -> np.ndarray:
    """A bool mask (n_items, n_features) from one of that shape or (n_features,)."""
    known = as_array(known)
    if known.dtype != np.bool_:
        raise InputTypeError(f"{name} is {known.dtype}, bool was expected")
    if known.shape not in ((n_features,), (n_items, n_features)):
        raise InputError(f"{name} has shape {known.shape}, ({n_features},) or ({n_items}, {n_features}) was expected")
    return array_module(known).broadcast_to(known, (n_items, n_features))


def integer(value: Any, name: str, low: int | None = None, high: int | None = None) -> int:
    """A whole number within bounds (both included).

    Raises
    ------
    InputTypeError, InputError

    Examples
    --------
    >>> integer(0, "n_modules", 1)
    Traceback (most recent call last):
    neuromem.errors.InputError: n_modules is 0, an integer from 1 up was expected
    """
    wanted = "an integer"
    if low is not None and high is not None:
        wanted = f"an integer from {low} to {high}"
    elif low is not None:
        wanted = f"an integer from {low} up"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise InputTypeError(f"{name} is {value!r}, {wanted} was expected")
    whole = int(value)
    if (low is not None and whole < low) or (high is not None and whole > high):
        raise InputError(f"{name} is {value}, {wanted} was expected")
    return whole


def pair(value: Any, name: str) -> tuple[int, int]:
    """Return rows and columns, integers of at least 1, as a tuple.

    Raises
    ------
    InputError
        If it is anything else.
    """
    if np.ndim(value) != 1 or len(value) != 2:
        raise InputError(f"{name} is {value!r}, (rows, columns) was expected")
    return integer(value[0], name, 1), integer(value[1], name, 1)


def number(
    value: Any,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """A finite real number within bounds.

    Raises
    ------
    InputTypeError, InputError
    """
    left = "" if low is None else f" {'above' if low_open else 'from'} {low}"
    right = "" if high is None else f" {'below' if high_open else 'up to'} {high}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise InputTypeError(f"{name} is {value!r}, a number{left}{right} was expected")
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    bad = not math.isfinite(real)
    bad |= low is not None and (real < low or (low_open and real == low))
    bad |= high is not None and (real > high or (high_open and real == high))
    if bad:
        raise InputError(f"{name} is {value}, a number{left}{right} was expected")
    return real


def choice(value: Any, name: str, options: Iterable[Any]) -> Any:
    """One of a few values.

    Raises
    ------
    InputError
    """
    options = tuple(options)
    if not any(value is option or (isinstance(value, str) and value == option) for option in options):
        raise InputError(f"{name} is {value!r}, one of {', '.join(map(repr, options))} was expected")
    return value
