"""First values of weights."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neuromem import validate

CUT = 2.0  # a draw lies within this many standard deviations
# Standard deviation of a standard normal variable cut at +- 2.
CUT_DEVIATION = 0.87962566103423978


def truncated_normal(
    generator: np.random.Generator, shape: Sequence[int], deviation: float = 1.0, dtype: Any = "float32"
) -> np.ndarray:
    """Normal draws of mean 0, those beyond two standard deviations drawn again.

    Parameters
    ----------
    generator : numpy.random.Generator
    shape : sequence of int
    deviation : float, default 1
        Standard deviation of the normal law before it is cut; that of the result is 0.8796 times as large.
    dtype : dtype, default "float32"

    Returns
    -------
    ndarray of ``shape``
        All values within ``2 * deviation`` of 0.

    Raises
    ------
    InputError
        For a deviation below 0.

    Examples
    --------
    >>> import numpy as np
    >>> found = truncated_normal(np.random.default_rng(0), (1000,), 0.5, "float64")
    >>> bool(abs(found).max() <= 1.0), round(float(found.std()), 1)
    (True, 0.4)
    """
    validate.number(deviation, "deviation", low=0)
    draws = np.asarray(generator.standard_normal(tuple(shape))).reshape(-1)
    beyond = np.flatnonzero(np.abs(draws) > CUT)
    while beyond.size:
        draws[beyond] = generator.standard_normal(beyond.size)
        beyond = beyond[np.abs(draws[beyond]) > CUT]
    # drawn in float64 whatever the dtype, so that both precisions start from the same numbers
    return (draws.reshape(tuple(shape)) * deviation).astype(dtype)


def variance_scaling(
    generator: np.random.Generator, shape: Sequence[int], fan_in: int, scale: float = 1.0, dtype: Any = "float32"
) -> np.ndarray:
    """Truncated normal draws of variance ``scale / fan_in``.

    A unit that sums ``fan_in`` independent inputs of variance 1 then has variance ``scale``; 2 suits rectified units (He et
    al., ICCV 2015), 1 linear ones.

    Parameters
    ----------
    generator : numpy.random.Generator
    shape : sequence of int
    fan_in : int >= 1
    scale : float >= 0, default 1
    dtype : dtype, default "float32"

    Returns
    -------
    ndarray of ``shape``

    Raises
    ------
    InputError
        For a fan-in below 1 or a negative scale.

    Examples
    --------
    >>> import numpy as np
    >>> variance_scaling(np.random.default_rng(0), (3, 4), 3).shape
    (3, 4)
    """
    validate.integer(fan_in, "fan_in", 1)
    validate.number(scale, "scale", low=0)
    return truncated_normal(generator, shape, math.sqrt(scale / fan_in) / CUT_DEVIATION, dtype)
