"""Statistics of forced choices, yes/no tests and counts, with intervals."""

import functools
from typing import Any, NamedTuple

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, ScoreError

N_CRITERIA = 19  # points of a z-ROC: the score's twentieths


class Choice(NamedTuple):
    """Outcome of n forced choices.

    Parameters
    ----------
    n : int
    outcomes : float32 (n,)
        1 right, 0 wrong, 1/t where the right answer shares the highest score with t - 1 others.
    accuracy, strict_accuracy : float
        Mean outcome, and with every tie counted as wrong.
    """

    n: int
    outcomes: np.ndarray
    accuracy: float
    strict_accuracy: float


class YesNo(NamedTuple):
    """Hits and false alarms of n studied and n new items at a criterion that other items chose."""

    criterion: float
    n_studied: int
    n_new: int
    hits: int
    false_alarms: int


def scores_of(scores: Any, name: str = "scores", n: int | None = None) -> np.ndarray:
    """Finite scores, float64 (n,).

    Raises
    ------
    ScoreError
        For NaN or infinity, with the index of the first.
    InputError
        For another shape.
    """
    scores = np.asarray(scores)
    if scores.dtype.kind not in "biuf":
        raise InputError(f"{name} are {scores.dtype}, real numbers were expected")
    if scores.ndim != 1 or (n is not None and len(scores) != n):
        raise InputError(f"{name} have shape {scores.shape}, ({'n' if n is None else n},) was expected")
    bad = ~np.isfinite(scores)
    if bad.any():
        first = int(bad.argmax())
        raise ScoreError(f"{name} have {scores[first]} at index {first}; {int(bad.sum())} of {len(scores)} are not finite")
    return scores.astype(np.float64)


def normal_quantile(p: Any) -> np.ndarray:
    """The standard normal's value below which a share p lies."""
    from scipy.special import ndtri

    return np.asarray(ndtri(np.asarray(p, np.float64)))


def normal_share(x: Any) -> np.ndarray:
    """Share of the standard normal below x."""
    from scipy.special import ndtr

    return np.asarray(ndtr(np.asarray(x, np.float64)))


@functools.cache  # the same few numbers for every row of a table
def half_width(confidence: float) -> float:
    """Standard errors on either side of the middle of a two-sided interval: 1.96 for 0.95."""
    confidence = validate.number(confidence, "confidence", low=0.0, high=1.0, low_open=True, high_open=True)
    return float(normal_quantile(0.5 + confidence / 2))


def wilson_interval(k: Any, n: Any, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a share from k successes in n trials (Wilson 1927).

    Parameters
    ----------
    k, n : arrays that broadcast
        0 <= k <= n; k may be a fraction where ties count half.  Where n is 0 the interval is 0 ... 1.
    confidence : float, default 0.95

    Returns
    -------
    low, high : float64 arrays

    Raises
    ------
    InputError
        If k is not between 0 and n.

    Examples
    --------
    >>> low, high = wilson_interval(88, 100)
    >>> f"{low:.4f} {high:.4f}"
    '0.8019 0.9300'
    """
    k, n = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(n, np.float64))
    if k.size and not ((k >= 0) & (k <= n)).all():
        worst = int(np.argmin(((k >= 0) & (k <= n)).ravel()))
        raise InputError(f"k is {k.ravel()[worst]} of n = {n.ravel()[worst]}, 0 <= k <= n was expected")
    z = half_width(confidence)
    trials = np.maximum(n, 1e-300)  # n = 0 gives 0 ... 1
    p = k / trials
    middle = (k + z * z / 2) / (n + z * z)
    spread = z * np.sqrt(p * (1 - p) * n + z * z / 4) / (n + z * z)
    # at the ends the formula gives exactly 0 and 1; rounding must not
    low = np.where(k == 0, 0.0, np.clip(middle - spread, 0.0, 1.0))
    high = np.where(k == n, 1.0, np.clip(middle + spread, 0.0, 1.0))
    return low, high


def mean_interval(values: Any, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of values, with an interval from their standard error; NaN ends for fewer than two values.

    Examples
    --------
    >>> mean_interval([1.0, 1.0])
    (1.0, 1.0, 1.0)
    """
    values = np.asarray(values, np.float64)
    if not values.size:
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    if values.size < 2:
        return mean, np.nan, np.nan
    spread = half_width(confidence) * float(values.std(ddof=1)) / values.size**0.5
    return mean, mean - spread, mean + spread


def d_prime(accuracy: Any, n: Any) -> np.ndarray:
    """Discriminability from two-alternative forced choice: sqrt(2) Phi^-1(p).

    Parameters
    ----------
    accuracy : array in [0, 1]
    n : array
        Choices made; the accuracy is kept within 1/(2n) ... 1 - 1/(2n).

    Examples
    --------
    >>> f"{d_prime(0.75, 1000):.5f}"
    '0.95387'
    """
    margin = 0.5 / np.maximum(np.asarray(n, np.float64), 1.0)
    return np.sqrt(2.0) * normal_quantile(np.clip(np.asarray(accuracy, np.float64), margin, 1.0 - margin))


def forced_choice(scores: Any, foil_scores: Any) -> Choice:
    """Choose the highest of a studied item's score and those of its foils; ties share one success.

    Parameters
    ----------
    scores : (n,)
    foil_scores : (n,) or (n, m - 1)

    Returns
    -------
    Choice

    Raises
    ------
    ScoreError
        For NaN or infinity: a comparison with NaN is False, whichever way it is written.

    Examples
    --------
    >>> forced_choice([2.0, 1.0], [1.0, 1.0]).accuracy
    0.75
    """
    scores = scores_of(scores)
    foils = np.asarray(foil_scores)
    foils = foils[:, None] if foils.ndim == 1 else foils
    if foils.ndim != 2 or len(foils) != len(scores):
        raise InputError(f"foil_scores have shape {foils.shape}, {len(scores)} rows were expected as scores have")
    # one alternative after the other, which is how probes have them: sums over the first axis are quick
    foils = scores_of(foils.T.ravel(), "foil_scores").reshape(foils.T.shape)
    above = (foils > scores).any(axis=0)
    tied = (foils == scores).sum(axis=0)
    outcomes = np.where(above, 0.0, 1.0 / (1 + tied)).astype(np.float32)
    strict = float((~above & (tied == 0)).mean()) if len(scores) else np.nan
    return Choice(len(scores), outcomes, float(outcomes.mean(dtype=np.float64)) if len(scores) else np.nan, strict)


def roc_area(scores: Any, foil_scores: Any) -> float:
    """Chance that a studied item scores above a new one, over all pairs; ties count half (Mann-Whitney, by ranking).

    Not for foils that are made from the studied items: those are to be compared pair by pair.

    Examples
    --------
    >>> roc_area([1.0, 2.0], [1.0, 0.0])
    0.875
    """
    scores, foils = scores_of(scores), scores_of(foil_scores, "foil_scores")
    if not len(scores) or not len(foils):
        return np.nan
    foils = np.sort(foils)
    below = np.searchsorted(foils, scores, side="left").sum()
    not_above = np.searchsorted(foils, scores, side="right").sum()
    return float((below + not_above) / (2 * len(scores) * len(foils)))


def z_roc_slope(scores: Any, foil_scores: Any) -> float:
    """Slope of the ROC on normal axes: 1 where studied and new items spread alike, below where studied ones spread more.

    The line is fitted by least squares of z(hits) on z(false alarms) at the pooled scores' twentieths; NaN where fewer than
    two of these separate the items.
    """
    scores, foils = np.sort(scores_of(scores)), np.sort(scores_of(foil_scores, "foil_scores"))
    if not len(scores) or not len(foils):
        return np.nan
    criteria = np.quantile(np.concatenate([scores, foils]), np.arange(1, N_CRITERIA + 1) / (N_CRITERIA + 1))
    hits = 1 - np.searchsorted(scores, criteria, side="right") / len(scores)
    alarms = 1 - np.searchsorted(foils, criteria, side="right") / len(foils)
    inside = (hits > 0) & (hits < 1) & (alarms > 0) & (alarms < 1)
    points = np.unique(np.stack([normal_quantile(alarms[inside]), normal_quantile(hits[inside])], axis=1), axis=0)
    x = points[:, 0] - points[:, 0].mean() if len(points) else points[:, 0]
    if len(points) < 2 or not (x @ x) > 0:
        return np.nan
    return float(x @ points[:, 1] / (x @ x))


def yes_no(scores: Any, foil_scores: Any) -> YesNo:
    """Say yes to what scores at or above a criterion.

    The criterion is the one with the most hits minus false alarms among items of even number; hits and false alarms are
    counted on those of odd number.

    Raises
    ------
    InputError
        For fewer than two items of either sort.
    """
    scores, foils = scores_of(scores), scores_of(foil_scores, "foil_scores")
    if min(len(scores), len(foils)) < 2:
        raise InputError(f"{len(scores)} studied and {len(foils)} new items came, two of each are needed")
    studied, new = np.sort(scores[::2]), np.sort(foils[::2])
    criteria = np.unique(np.concatenate([studied, new]))
    hits = 1 - np.searchsorted(studied, criteria, side="left") / len(studied)
    alarms = 1 - np.searchsorted(new, criteria, side="left") / len(new)
    criterion = criteria[np.argmax(hits - alarms)]
    studied, new = scores[1::2], foils[1::2]
    return YesNo(float(criterion), len(studied), len(new), int((studied >= criterion).sum()), int((new >= criterion).sum()))


def binary_entropy(p: Any) -> np.ndarray:
    """Bits of a binary variable: H2(p), 0 at both ends.

    Examples
    --------
    >>> binary_entropy([0.0, 0.5]).tolist()
    [0.0, 1.0]
    """
    p = np.asarray(p, np.float64)
    inside = np.where((p > 0) & (p < 1), p, 0.5)
    return np.where((p > 0) & (p < 1), -inside * np.log2(inside) - (1 - inside) * np.log2(1 - inside), 0.0)


def mutual_information(table: Any) -> float:
    """Bits that one variable tells of another, from a table of their joint counts; 1 - H2(error) for fair bits.

    Examples
    --------
    >>> mutual_information([[50, 0], [0, 50]])
    1.0
    """
    joint = np.asarray(table, np.float64)
    total = joint.sum()
    if not total > 0:
        return np.nan
    joint = joint / total
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    used = joint > 0
    return max(0.0, float((joint[used] * np.log2(joint[used] / apart[used])).sum()))


def n_for_precision(precision: float, confidence: float = 0.95) -> int:
    """Trials after which the interval of any share is not wider than +- ``precision``.

    Examples
    --------
    >>> n_for_precision(0.01)
    9604
    """
    precision = validate.number(precision, "precision", low=0.0, high=0.5, low_open=True)
    return int(np.ceil(0.25 * (half_width(confidence) / precision) ** 2))


def difference_test(
    k: Any, n: Any, k_other: Any, n_other: Any, squares: Any = None, squares_other: Any = None
) -> tuple[float, float]:
    """Whether two curves are one: chi-square over their points, with unequal ns allowed.

    Parameters
    ----------
    k, n, k_other, n_other : arrays (T,)
        Sum of outcomes and trials at each point of either curve.
    squares, squares_other : arrays (T,), optional
        Sums of squared outcomes, where ties count in part; default: outcomes are 0 or 1, and these are k.

    Returns
    -------
    chi_square, p : float
        The statistic, of as many degrees of freedom as there are points where the curves can differ, and the chance of one
        as large if the curves are one.
    """
    from scipy.special import chdtrc

    k, n, k_other, n_other = (np.asarray(a, np.float64) for a in (k, n, k_other, n_other))
    squared = np.asarray(k if squares is None else squares) + np.asarray(k_other if squares_other is None else squares_other)
    pooled = (k + k_other) / (n + n_other)
    variance = np.maximum(0.0, squared / (n + n_other) - pooled**2) * (1 / n + 1 / n_other)
    used = variance > 0
    chi_square = float(((k / n - k_other / n_other)[used] ** 2 / variance[used]).sum())
    return chi_square, float(chdtrc(used.sum(), chi_square)) if used.any() else 1.0
