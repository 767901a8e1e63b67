"""Checks of what goes into layers and losses."""

from typing import Any

import numpy as np

from neuromem.backend import array_module, is_device_array, refuse_device
from neuromem.errors import InputError, InputTypeError


def as_items(
    x: Any,
    width: int,
    dtype: Any,
    *,
    name: str = "x",
    owner: str = "this layer",
    min_axes: int = 1,
    on_device: bool = False,
) -> np.ndarray:
    """Real numbers (..., width) as a C-contiguous array of ``dtype``: the array itself where it is one already.

    NaN and infinity pass; a layer gives them on.

    Parameters
    ----------
    x : array-like (..., width)
    width : int
    dtype : dtype
    name, owner : str
        Words of the message.
    min_axes : int, default 1
    on_device : bool, default False
        Whether an array may lie on a GPU, where it stays.

    Returns
    -------
    ndarray (..., width)

    Raises
    ------
    InputError
        For another width, or too few axes.
    InputTypeError
        For anything but real numbers.
    BackendError
        For an array on a GPU, unless it may lie there.

    Examples
    --------
    >>> as_items([[1, 2]], 3, "float32", owner="Dense")
    Traceback (most recent call last):
    neuromem.errors.InputError: x has shape (1, 2), (..., 3) was expected by Dense
    """
    x = real_array(x, name, owner, on_device)
    if x.ndim < min_axes or x.shape[-1] != width:
        axes = ", ".join(["..."] + ["n"] * (min_axes - 1) + [str(width)])
        raise InputError(f"{name} has shape {x.shape}, ({axes}) was expected by {owner}")
    contiguous: np.ndarray = array_module(x).ascontiguousarray(x, dtype)
    return contiguous


def real_array(x: Any, name: str, owner: str, on_device: bool = False) -> np.ndarray:
    """An array of bool, integer or float numbers, of any shape; in the host's memory unless it may lie on a GPU.

    Raises
    ------
    InputError, InputTypeError, BackendError
    """
    if not on_device:
        refuse_device(x, name, owner)
    try:
        x = x if is_device_array(x) else np.asarray(x)
    except ValueError as error:
        raise InputError(f"{name} is no array: {error}") from None
    if x.dtype.kind not in "biuf":
        raise InputTypeError(f"{name} is {x.dtype}, real numbers were expected by {owner}")
    return x


def class_labels(labels: Any, n_classes: int, name: str = "labels", shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Whole numbers from 0 to ``n_classes - 1``, of a given shape.

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> class_labels([0, 3], 3)
    Traceback (most recent call last):
    neuromem.errors.InputError: labels has the value 3, integers from 0 to 2 were expected
    """
    refuse_device(labels, name, "layers")
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" and labels.size:
        raise InputTypeError(f"{name} is {labels.dtype}, integers from 0 to {n_classes - 1} were expected")
    if shape is not None and labels.shape != shape:
        raise InputError(f"{name} has shape {labels.shape}, {shape} was expected")
    outside = (labels < 0) | (labels >= n_classes)
    if outside.any():
        raise InputError(f"{name} has the value {labels[outside][0]}, integers from 0 to {n_classes - 1} were expected")
    return labels.astype(np.intp)  # a copy: it must not change before it is used again


def floats(x: Any, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Numbers as float32 where they are that, else float64, of a given shape.

    Raises
    ------
    InputError, InputTypeError
    """
    x = real_array(x, name, "losses")
    if shape is not None and x.shape != shape:
        raise InputError(f"{name} has shape {x.shape}, {shape} was expected")
    return x if x.dtype == np.float32 else x.astype(np.float64, copy=False)
