"""The code that tells a step's place inside its chunk."""

from functools import lru_cache
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError

LONGEST = 10000.0  # wavelengths go from 2 pi to nearly 2 pi times this


@lru_cache(maxsize=32)
def coded(n_steps: int, width: int, dtype: np.dtype) -> np.ndarray:
    """The code as a read-only array, computed once."""
    places = np.arange(n_steps - 1, -1, -1.0)
    angles = places[:, None] * LONGEST ** (-np.arange(0, width, 2.0) / width)
    code = np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(dtype)
    code.flags.writeable = False
    return code


def position_code(n_steps: int, width: int, dtype: Any = "float32") -> np.ndarray:
    """Sines and cosines of a step's distance from the end of its chunk.

    ``code[j] = [sin(t f), cos(t f)]`` with ``t = n_steps - 1 - j`` and ``f_n = 10000 ** (-2 n / width)``: first all sines, then
    all cosines.  The newest step of a full chunk has t = 0.

    Parameters
    ----------
    n_steps : int >= 1
        Steps that a chunk holds, C.
    width : int >= 2, even
        Width of a step, D.
    dtype : {"float32", "float64"}, default "float32"

    Returns
    -------
    ndarray (n_steps, width)
        Read-only, the same array for the same arguments.

    Raises
    ------
    InputError
        For an odd width.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.5; counted from the end and not interleaved as in the
    reference code of Lampinen et al., NeurIPS 2021.

    Examples
    --------
    >>> position_code(2, 4)[1].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    validate.integer(n_steps, "n_steps", 1)
    if validate.integer(width, "width", 1) % 2:
        raise InputError(f"width is {width}, an even number was expected: half of the position code are sines, half cosines")
    return coded(n_steps, width, np.dtype(dtype))
