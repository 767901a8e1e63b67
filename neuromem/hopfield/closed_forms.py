"""Closed forms and one-dimensional roots for multitasking Hebbian networks: amplitudes and critical lines.

All are derived from the equations in :mod:`neuromem.hopfield.theory` and checked against their solutions; what the abstract of
the paper states is marked [abstract], what is known from its literature but was not read again [recalled].
"""

import math
from collections.abc import Callable

import numpy as np

from neuromem import validate

NORMS = ("entropy", "none", "unit")

#: Dilution and temperature where the lines of one, of several graded, and of equal patterns meet, for every K.
MEETING_POINT = (2 / 3, 1 / 3)
#: Dilution at which hierarchical and graded-majority amplitudes of three patterns have the same energy at zero temperature.
EQUAL_ENERGY_DILUTION = (1 + 2 * math.sqrt(2)) / 7


def checked_dilution(dilution: float) -> float:
    """A dilution from 0 below 1."""
    return validate.number(dilution, "dilution", low=0, high=1, high_open=True)


def coupling_scale(dilution: float, entropy: float = 0.0, norm: str = "entropy") -> float:
    """Coupling scale c: the only place where couplings are normalised.

    Parameters
    ----------
    dilution : float
        d, from 0 below 1.
    entropy : float, default 0.0
        rho of the data, see :func:`dataset_entropy`.
    norm : {"entropy", "none", "unit"}
        1 / (1 + rho), 1, or 1 / ((1 - d) (1 + rho)).

    Examples
    --------
    >>> coupling_scale(0.5, 0.25, "entropy"), coupling_scale(0.5, 0.25, "unit")
    (0.8, 1.6)
    """
    validate.choice(norm, "norm", NORMS)
    dilution, entropy = checked_dilution(dilution), validate.number(entropy, "entropy", low=0)
    if norm == "none":
        return 1.0
    return 1 / (1 + entropy) / (1 if norm == "entropy" else 1 - dilution)


def dataset_entropy(quality: float, n_examples: int) -> float:
    """Dataset entropy rho = (1 - r^2) / (M r^2): variance of the rescaled mean of a pattern's examples.  0: perfect data.

    Parameters
    ----------
    quality : float
        r above 0 up to 1.
    n_examples : int
        M.

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    The name is the literature's [recalled]; that it is this variance is derived.

    Examples
    --------
    >>> from neuromem.hopfield import dataset_entropy
    >>> dataset_entropy(0.5, 3)
    1.0
    """
    quality = validate.number(quality, "quality", low=0, high=1, low_open=True)
    n_examples = validate.integer(n_examples, "n_examples", 1)
    return (1 - quality**2) / (n_examples * quality**2)


# ---------------------------------------------------------------- zero temperature


def hierarchical_amplitudes(n_patterns: int, dilution: float) -> np.ndarray:
    """Amplitudes m_k = (1 - d) d^(k-1) of the hierarchical state at zero temperature.

    Units align with the first pattern, those it leaves blank with the second, and so on; a share d^K stays free.  The energy per
    unit is -(1 - d) (1 - d^(2K)) / (2 (1 + d)).

    Parameters
    ----------
    n_patterns : int
        K.
    dilution : float
        d, from 0 below 1.

    Returns
    -------
    float64 (n_patterns,)

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    That amplitudes fall as powers under mild dilution is stated in the paper's abstract; where the state is stable:
    :func:`critical_dilution`.

    Examples
    --------
    >>> from neuromem.hopfield import hierarchical_amplitudes
    >>> hierarchical_amplitudes(3, 0.5).tolist()
    [0.5, 0.25, 0.125]
    """
    n_patterns = validate.integer(n_patterns, "n_patterns", 1)
    dilution = checked_dilution(dilution)
    return (1 - dilution) * dilution ** np.arange(n_patterns)


def critical_dilution(n_patterns: int) -> float:
    """Dilution below which the hierarchical state is locally stable at zero temperature.

    The worst unit has its first entry against all others: it is held while 1 - 2d + d^K > 0, that is, while
    d + d^2 + ... + d^(K-1) < 1 [derived].  K = 3 gives the inverse golden ratio, large K gives 1/2; for K = 1 and 2 the state is
    stable at every dilution, and 1.0 is returned.

    Parameters
    ----------
    n_patterns : int
        K.

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield import critical_dilution
    >>> round(critical_dilution(3), 10), critical_dilution(2)
    (0.6180339887, 1.0)
    """
    n_patterns = validate.integer(n_patterns, "n_patterns", 1)
    if n_patterns < 3:
        return 1.0
    powers = np.arange(1, n_patterns)
    return root_between(lambda d: float((d**powers).sum()) - 1, 0.5, 1.0)


def graded_majority_amplitudes(dilution: float) -> np.ndarray:
    """Amplitudes of the other state of three patterns at zero temperature: units follow their majority, graded where it ties.

    m = (1 - d) (1 - b, d + b, d^2 + b) with b = (1 - d)^2 / 2 [derived].  It is stable at every dilution; from
    ``EQUAL_ENERGY_DILUTION`` = (1 + 2 sqrt 2) / 7 = 0.5469 up its energy is the lower one, and up to the critical dilution 0.618
    the start decides.

    Parameters
    ----------
    dilution : float
        d, from 0 below 1.

    Returns
    -------
    float64 (3,)

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield import graded_majority_amplitudes
    >>> graded_majority_amplitudes(0.5).tolist()
    [0.4375, 0.3125, 0.1875]
    """
    d = checked_dilution(dilution)
    b = (1 - d) ** 2 / 2
    return (1 - d) * np.array([1 - b, d + b, d * d + b])


def most_patterns_at_once(n_units: int, dilution: float, z: float = 1.0) -> int:
    """How many patterns one hierarchical state can hold: as long as d^(K-1) (1 - d) exceeds z / sqrt(N).

    Parameters
    ----------
    n_units : int
        N.
    dilution : float
        d, from 0 below 1.
    z : float, default 1.0
        Standard deviations of the chance overlap 1 / sqrt(N).

    Returns
    -------
    int
        1 + floor(log(sqrt(N) (1 - d) / z) / log(1 / d)): logarithmic in N; 0 where not even one amplitude stands out.

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield import most_patterns_at_once
    >>> most_patterns_at_once(10_000, 0.5), most_patterns_at_once(1_000_000, 0.5)
    (6, 9)
    """
    n_units = validate.integer(n_units, "n_units", 1)
    dilution = checked_dilution(dilution)
    z = validate.number(z, "z", low=0, low_open=True)
    signal = math.sqrt(n_units) * (1 - dilution) / z
    if signal < 1:
        return 0
    return 1 if dilution == 0 else 1 + math.floor(math.log(signal) / -math.log(dilution))


# ---------------------------------------------------------------- critical temperatures


def critical_temperature(dilution: float, entropy: float = 0.0, norm: str = "entropy") -> float:
    """Temperature above which no pattern is retrieved: T_c = c (1 - d) (1 + rho).

    Parameters
    ----------
    dilution : float
        d, from 0 below 1.
    entropy : float, default 0.0
        rho of the data, see :func:`dataset_entropy`; 0 for stored patterns.
    norm : {"entropy", "none", "unit"}
        Coupling scale c = 1 / (1 + rho): T_c = 1 - d whatever the data; 1; or 1 / ((1 - d) (1 + rho)): T_c = 1.

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    The paper is recalled to divide by 1 + rho; whether also by 1 - d could not be read, hence the switch.

    Examples
    --------
    >>> from neuromem.hopfield import critical_temperature
    >>> [critical_temperature(0.5, 1.0, norm) for norm in ("entropy", "none", "unit")]
    [0.5, 1.0, 1.0]
    """
    return coupling_scale(dilution, entropy, norm) * (1 - dilution) * (1 + entropy)


def pure_state_temperature(dilution: float) -> float:
    """Temperature T_2 below which a second pattern joins the first.

    The pure state m = (1 - d) tanh(m / T) has the transverse eigenvalue (1 - d) (1 - (1 - d) tanh^2(m / T)) / T, which is 1 at
    T_2 [derived].  For T_2 < T < 1 - d the network is an ordinary one-pattern memory.  T_2 is d (1 - d) for small d.

    Parameters
    ----------
    dilution : float
        d, from 0 below 1.

    Returns
    -------
    float
        NaN from d = 2/3 up, where the pure state is not stable at any temperature.

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield import pure_state_temperature
    >>> round(pure_state_temperature(0.5), 8)
    0.28720974
    """
    d = checked_dilution(dilution)
    if d == 0:
        return 0.0
    if d >= MEETING_POINT[0]:
        return math.nan

    def excess(x: float) -> float:  # x = m / T; of the sign of the transverse eigenvalue minus 1
        return x * (1 - (1 - d) * math.tanh(x) ** 2) - math.tanh(x)

    low = high = 1e-3 if excess(1e-3) < 0 else 1e-6
    while excess(high) < 0:
        high *= 2
    x = root_between(excess, low, high)
    return (1 - d) * math.tanh(x) / x


def symmetric_temperature(n_patterns: int, dilution: float) -> float:
    """Temperature T_s above which the state of K equal amplitudes is locally stable.

    From d = 2/3 up it is stable for all T_s < T < T_c; just below, in the window that :func:`symmetric_window` gives.

    Parameters
    ----------
    n_patterns : int
        K, from 2 up.
    dilution : float
        d, from 0 below 1.

    Returns
    -------
    float
        NaN where the state is not stable at any temperature.

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    At zero temperature exactly equal amplitudes are never stable for 0 < d < 1: ties have a positive density and any noise
    grades them.  The "same strength" of the paper's abstract holds above T_s, or as d tends to 1 [derived].

    Examples
    --------
    >>> from neuromem.hopfield import symmetric_temperature
    >>> round(symmetric_temperature(2, 0.8) / 0.2, 6)
    0.200403
    """
    return symmetric_window(n_patterns, dilution)[0]


def symmetric_window(n_patterns: int, dilution: float) -> tuple[float, float]:
    """Temperatures between which the state of K equal amplitudes is locally stable; NaN where it is at none.

    Parameters
    ----------
    n_patterns : int
        K, from 2 up.
    dilution : float
        d, from 0 below 1.

    Returns
    -------
    (float, float)
        The upper one is T_c from d = 2/3 up.

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield.closed_forms import symmetric_window
    >>> [round(T / (1 - 0.66), 4) for T in symmetric_window(2, 0.66)]
    [0.3728, 0.9746]
    """
    n_patterns = validate.integer(n_patterns, "n_patterns", 2)
    d = checked_dilution(dilution)
    entry = np.array([(1 - d) / 2, d, (1 - d) / 2])
    rest = np.ones(1)
    for _ in range(n_patterns - 2):
        rest = np.convolve(rest, entry)
    two = np.convolve(entry, entry)
    sums = np.arange(-n_patterns, n_patterns + 1)
    law = np.convolve(rest, two)  # of the sum of all entries
    # (xi_1 - xi_2)^2 / 2 has the mean of xi_1^2 - xi_1 xi_2; by the sum of both: 1 and -1 give 2, 0 and another give 1/2
    split = entry[0] * entry[2] * 2 * 2 * np.array([0, 0, 1, 0, 0]) + entry[1] * (1 - d) / 2 * np.array([0, 1, 0, 1, 0])
    apart = np.convolve(rest, split)

    def amplitude(x: float) -> float:  # x = m / T
        return float(law @ (sums * np.tanh(x * sums))) / n_patterns

    def excess(x: float) -> float:  # of the sign of the transverse eigenvalue minus 1
        slopes = 4 / (np.exp(np.minimum(abs(x * sums), 300)) + np.exp(-abs(x * sums))) ** 2
        return x * float(apart @ slopes) - amplitude(x)

    grid = np.geomspace(3e-3, 1e3 / (1 - d), 2000)
    signs = np.array([excess(x) < 0 for x in grid])
    if not signs.any():
        return math.nan, math.nan
    first, last = int(np.argmax(signs)), len(grid) - 1 - int(np.argmax(signs[::-1]))
    low = root_between(excess, grid[last], grid[last + 1]) if last + 1 < len(grid) else math.inf
    high = root_between(excess, grid[first - 1], grid[first]) if first else 0.0
    return amplitude(low) / low, (amplitude(high) / high if high else 1 - d)


def root_between(function: Callable[[float], float], low: float, high: float) -> float:
    """A root by bisection, to the last bit; the function has different signs at the ends."""
    rises = function(high) > 0
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return float(middle)
        if (function(middle) > 0) == rises:
            high = middle
        else:
            low = middle
