"""Learning from noisy examples at zero temperature: how well one pattern is learned, and how many examples several need."""

import math

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.hopfield.closed_forms import checked_dilution, dataset_entropy
from neuromem.hopfield.row_law import binomial_probabilities
from neuromem.hopfield.theory import amplitudes_at_entropies

ONE_STANDARD_DEVIATION = math.erf(math.sqrt(0.5))  # share of its maximum that an overlap has at a signal-to-noise ratio of 1
SCAN_POINTS = 64


def one_pattern_overlap(dilution: float, quality: float, n_examples: int, method: str = "exact") -> float:
    """Overlap with the true pattern when one pattern is learned from examples, at zero temperature.

    Parameters
    ----------
    dilution : float
        d, from 0 below 1.
    quality : float
        r above 0 up to 1.
    n_examples : int
        M.
    method : {"exact", "gaussian"}
        (1 - d) (2 P[Bin > M/2] + P[Bin = M/2] - 1) with Bin ~ Binomial(M, (1 + r) / 2), or its limit of many examples
        (1 - d) erf(1 / sqrt(2 rho)) [both derived].

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield.learning import one_pattern_overlap
    >>> round(one_pattern_overlap(0.5, 0.5, 1), 6), round(one_pattern_overlap(0.5, 0.5, 3, "gaussian"), 6)
    (0.25, 0.341345)
    """
    d, rho = checked_dilution(dilution), dataset_entropy(quality, n_examples)
    validate.choice(method, "method", ("exact", "gaussian"))
    if method == "gaussian":
        return (1 - d) * (math.erf(1 / math.sqrt(2 * rho)) if rho else 1.0)
    chances = binomial_probabilities(n_examples, (1 + quality) / 2)
    return (1 - d) * float(chances @ np.sign(2 * np.arange(n_examples + 1) - n_examples))


def learning_threshold(n_patterns: int, dilution: float, *, step: float = 0.005) -> float:
    """Largest entropy rho at which the first pattern is learned, from the hierarchical start, at zero temperature.

    Learned means an overlap of at least erf(1 / sqrt 2) = 0.683 of its maximum, a signal-to-noise ratio of 1, which is the
    criterion of this school [recalled].  Amplitudes follow the Gaussian law's zero-temperature form [derived]; rho is looked at
    in steps.  Past the threshold the hierarchy melts into a mixture of equal parts; it does not vanish.

    Parameters
    ----------
    n_patterns : int
        K, up to 13.
    dilution : float
        d, from 0 below 1.
    step : float, default 0.005
        Multiples of it are tried, up to the first that fails.

    Returns
    -------
    float
        1.0 for K = 1, and for d = 0.

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield import learning_threshold
    >>> round(learning_threshold(2, 0.3), 3)
    0.355
    """
    wanted = ONE_STANDARD_DEVIATION * (1 - checked_dilution(dilution)) - 1e-12
    step = validate.number(step, "step", low=1e-6, high=0.5)
    first = 1
    while True:
        entropies = step * np.arange(first, first + SCAN_POINTS)
        failed = amplitudes_at_entropies(n_patterns, dilution, entropies)[:, 0] < wanted
        if failed.any():
            return float(step * (first + int(np.argmax(failed)) - 1))
        first += SCAN_POINTS


def required_examples(n_patterns: int, dilution: float, quality: float, *, step: float = 0.005) -> int:
    """Examples per pattern at which learning succeeds: M = (1 - r^2) / (r^2 rho_c), rounded up.

    Parameters
    ----------
    n_patterns : int
        K, up to 13.
    dilution : float
        d, from 0 below 1.
    quality : float
        r above 0 up to 1.
    step : float, default 0.005
        Of the threshold rho_c, see :func:`learning_threshold`.

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield import required_examples
    >>> [required_examples(1, 0.3, r) for r in (0.1, 0.2, 0.4)]
    [99, 24, 6]
    """
    one = dataset_entropy(quality, 1)
    threshold = learning_threshold(n_patterns, dilution, step=step)
    if threshold == 0:
        raise InputError(f"step is {step}, already the first entropy fails; a smaller step was expected")
    return max(1, math.ceil(one / threshold - 1e-9))
