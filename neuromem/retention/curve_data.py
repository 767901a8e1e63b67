"""What a forgetting curve is fitted to: counts by time, from arrays or from a probe's result."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.retention.curve_scoring import Counts

OBSERVATIONS = ("binomial", "beta_binomial", "gaussian")
# columns of a probe's result in which all rows of one curve agree
ALIKE = ("system", "probe", "condition", "measure", "foil", "level", "cue_fraction", "exposures", "gap")


@dataclass(frozen=True)
class CurveData:
    """One or more curves at the same times.

    Parameters
    ----------
    times : float64 (T,)
        Ascending, all different.
    successes, trials : float64 (G, T)
        A row for each seed or item; values and ones where ``gaussian``.
    gaussian : bool
    floor : float or None
        Guessing floor; None: fitted.
    """

    times: np.ndarray
    successes: np.ndarray
    trials: np.ndarray
    gaussian: bool
    floor: float | None

    @property
    def n_rows(self) -> int:
        """Number of seeds or items."""
        return len(self.successes)

    def pooled(self) -> Counts:
        """All rows as one: counts are added, values averaged."""
        trials = self.trials.sum(0, keepdims=True)
        successes = (self.successes * self.trials if self.gaussian else self.successes).sum(0, keepdims=True)
        if self.gaussian:
            return Counts(self.times, successes / trials, np.ones_like(trials), True)
        return Counts(self.times, successes, trials)

    def row(self, index: int) -> Counts:
        """One seed or item; times without a trial are left out."""
        there = self.trials[index] > 0
        counts = Counts(self.times, self.successes[[index]], self.trials[[index]], self.gaussian)
        return counts.at(there)


def curve_data(
    times: Any,
    successes: Any = None,
    trials: Any = None,
    *,
    values: Any = None,
    floor: float | str = "auto",
    gaussian: bool = False,
    time: str = "lag_items",
) -> CurveData:
    """Check and gather what a curve is fitted to.

    Parameters
    ----------
    times : array-like (T,) or ProbeResult
    successes : array-like (T,) or (G, T), optional
        Counts out of ``trials``.
    trials : int or array-like, optional
        Of the shape of ``successes``, or one that stretches to it.
    values : array-like (T,) or (G, T), optional
        Shares or other measures, for least squares, instead of counts.
    floor : float, "free" or "auto"
        "auto" is the chance level that a ProbeResult carries.
    gaussian : bool, default False
        Turn counts into shares, for least squares.
    time : {"lag_items", "lag_updates"}
        Which column of a ProbeResult is the time.

    Raises
    ------
    InputError
        For shapes that do not fit, values that are not finite, more successes than trials, several conditions in one result,
        or ``floor="auto"`` with bare arrays.
    """
    if hasattr(times, "table"):
        times, successes, trials, values, chance = from_result(times, time)
    else:
        chance = None
    fixed = checked_floor(floor, chance)
    t = np.asarray(times, float)
    if t.ndim != 1 or not t.size:
        raise InputError(f"times has shape {t.shape}, one axis with at least one time was expected")
    if not np.isfinite(t).all() or t.min() < 0:
        raise InputError(f"times has {t[~(np.isfinite(t) & (t >= 0))][0]}, finite times from 0 up were expected")
    if (values is None) == (successes is None):
        raise InputError("either successes and trials, or values were expected")
    name, given = ("values", values) if successes is None else ("successes", successes)
    y = np.atleast_2d(np.asarray(given, float))
    if y.ndim != 2 or y.shape[1] != t.size or not len(y):
        raise InputError(
            f"{name} has shape {np.shape(given)}, ({t.size},) or (rows, {t.size}) was expected, as times has {t.size}"
        )
    if not np.isfinite(y).all():
        raise InputError(f"{name} has {y[~np.isfinite(y)][0]}, finite numbers were expected")
    n = np.ones_like(y)
    if successes is not None:
        if trials is None:
            raise InputError("trials is missing: out of how many the successes are")
        try:
            n = np.array(np.broadcast_to(np.asarray(trials, float), y.shape))
        except ValueError:
            raise InputError(f"trials has shape {np.shape(trials)}, successes {np.shape(successes)}") from None
        wrong = ~(np.isfinite(n) & (n >= 0) & (y >= 0) & (y <= n))
        if wrong.any():
            raise InputError(f"successes has {y[wrong][0]:g} out of {n[wrong][0]:g} trials, 0 up to the trials was expected")
        if (n.sum(0) == 0).any():
            raise InputError(f"trials is 0 at time {t[n.sum(0) == 0][0]:g}")
    elif trials is not None:
        raise InputError("trials goes with successes, not with values")
    distinct, where = np.unique(t, return_inverse=True)
    if distinct.size < t.size:
        y, n = repeated(y, n, where, distinct.size, values=successes is None)
    else:
        order = np.argsort(t)
        y, n = y[:, order], n[:, order]
    if gaussian and successes is not None:
        if (n == 0).any():
            raise InputError("trials has a 0: least squares needs every row at every time; pool them, or fit counts")
        y, n = y / n, np.ones_like(n)
    return CurveData(distinct, y, n, gaussian or successes is None, fixed)


def repeated(y: np.ndarray, n: np.ndarray, where: np.ndarray, size: int, values: bool) -> tuple[np.ndarray, np.ndarray]:
    """Counts at the same time added, values averaged."""
    sums, totals = np.zeros((len(y), size)), np.zeros((len(y), size))
    for column, place in enumerate(where):
        sums[:, place] += y[:, column]
        totals[:, place] += n[:, column]
    return (sums / totals, np.ones_like(sums)) if values else (sums, totals)


def checked_floor(floor: Any, chance: float | None) -> float | None:
    """The guessing floor, None where it is to be fitted."""
    if isinstance(floor, str):
        validate.choice(floor, "floor", ("auto", "free"))
        if floor == "free":
            return None
        if chance is None:
            raise InputError(
                'floor is "auto", but arrays do not say what guessing gives: floor=0 for recall and savings, 0.5 for a choice '
                'between two, "free" to fit it'
            )
        floor = chance
    return validate.number(floor, "floor", low=0.0, high=1.0, high_open=True)


def from_result(result: Any, time: str) -> tuple[Any, Any, Any, Any, float]:
    """Times, successes and trials by seed, or values where there are no counts, and the chance level."""
    validate.choice(time, "time", ("lag_items", "lag_updates"))
    table = result.table
    if not len(table):
        raise InputError("the result has no rows")
    for name in ALIKE:
        if name in table.dtype.names:
            found = {repr(value) if value == value else "nan" for value in table[name].tolist()}
            if len(found) > 1:
                raise InputError(f"the result has several curves, {name} is {', '.join(sorted(found))}: select one")
    chances = np.unique(table["chance"])
    if len(chances) > 1:
        raise InputError(f"chance is {', '.join(f'{c:g}' for c in chances)}, one level was expected; give floor=")
    lags, columns = np.unique(table[time].astype(float), return_inverse=True)
    seeds, rows = np.unique(table["seed"], return_inverse=True)
    sums = np.zeros((3, len(seeds), len(lags)))
    trials = table["n"].astype(float)
    counted = not np.isnan(table["k"]).any()
    for total, column in zip(
        sums, (table["k"] if counted else table["value"] * trials, trials, np.ones(len(table))), strict=True
    ):
        np.add.at(total, (rows, columns), column)
    k, n, there = sums
    chance = 0.0 if np.isnan(chances[0]) else float(chances[0])
    if counted:
        return lags, k, n, None, chance
    if (there == 0).any():  # least squares needs every row at every time
        k, n = k.sum(0, keepdims=True), n.sum(0, keepdims=True)
    return lags, None, None, k / n, chance
