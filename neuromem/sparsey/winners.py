"""Codes as they are given from outside: one winner per module, or silence in all modules of a mac."""

from typing import Any

import numpy as np

from neuromem.errors import InputError


def code_dtype(units_per_module: int) -> np.dtype:
    """uint8 where 255 units or fewer compete in a module, else uint16; the largest number means "silent"."""
    return np.dtype(np.uint8 if units_per_module <= 255 else np.uint16)


def silent_winners(
    codes: Any, name: str, shape: tuple[int | None, ...], units_per_module: int, *, minus_one: bool = False
) -> Any:
    """Which winners are silent, bool of the shape of ``codes``, whose last axis is the modules of a mac.

    Parameters
    ----------
    codes : array
        NumPy's or CuPy's.
    name : str
        For messages.
    shape : tuple
        What is expected; None for any number.
    units_per_module : int
    minus_one : bool, default False
        Whether -1 means "silent", too.

    Raises
    ------
    InputError
        For another shape or no integers, winners that do not exist, or a mac that is silent in some modules only.
    """
    fits = codes.ndim == len(shape) and all(want is None or want == size for want, size in zip(shape, codes.shape, strict=True))
    if not fits or codes.dtype.kind not in "iu":
        wanted = ", ".join("n" if size is None else str(size) for size in shape)
        raise InputError(f"{name} has shape {codes.shape} and dtype {codes.dtype}, integers ({wanted}) were expected")
    number = np.iinfo(code_dtype(units_per_module)).max
    silent = codes == number
    if minus_one:
        silent |= codes == -1
    if (((codes < 0) | (codes >= units_per_module)) & ~silent).any():
        raise InputError(f"{name} has winners outside 0 ... {units_per_module - 1} (silent: {number})")
    if (silent.any(axis=-1) != silent.all(axis=-1)).any():
        raise InputError(f"{name} has a mac that is silent in some of its modules only")
    return silent
