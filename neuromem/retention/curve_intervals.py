"""Intervals of parameters where the likelihood, the others refitted, has fallen so far: exact near bounds as well."""

from typing import TYPE_CHECKING

import numpy as np

from neuromem import validate
from neuromem.retention.curve_scoring import Response, maximise

if TYPE_CHECKING:
    from neuromem.retention.curve_fitting import CurveFit

MOST_ROUNDS = 40
CLOSE = 1e-3  # of the root of the fall: far below what an interval's own error is


def profile_intervals(fit: "CurveFit", level: float) -> dict[str, tuple[float, float]]:
    """Profile-likelihood interval of each parameter; an end that the likelihood does not reach is the bound.

    Parameters
    ----------
    fit : CurveFit
    level : float
    """
    level = validate.number(level, "level", low=0.0, high=1.0, low_open=True, high_open=True)
    names = list(fit.parameters)
    low, high = fit.response.bounds(fit.response.span(fit.counts))
    ends = Profile(fit, low, high, level).ends()
    return {name: (float(ends[2 * i]), float(ends[2 * i + 1])) for i, name in enumerate(names)}


class Profile:
    """Searches all ends at once: row 2 i goes down from parameter i, row 2 i + 1 up.

    Parameters
    ----------
    fit : CurveFit
    low, high : float64 (k,)
    level : float
    """

    def __init__(self, fit: "CurveFit", low: np.ndarray, high: np.ndarray, level: float) -> None:
        k = len(low)
        self.fit, self.low, self.high = fit, low, high
        self.which = np.repeat(np.arange(k), 2)
        self.side = np.tile([-1.0, 1.0], k)
        self.logs = fit.response.log_scaled[self.which]
        self.counts = fit.counts.rows(np.zeros(2 * k, int))
        self.best = maximise(fit.response, fit.counts, fit.vector[None], low, high).loss[0]
        self.target = root_fall(fit, level)
        self.warm = np.repeat(fit.vector[None], 2 * k, 0)

    def coordinate(self, values: np.ndarray) -> np.ndarray:
        """Logarithm where the parameter is fitted by it."""
        return np.where(self.logs, np.log(np.where(self.logs, values, 1)), values)

    def fall(self, at: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Root of the fall of the likelihood, or of the rise of the sum of squares, over what is allowed; 1 at the end."""
        rows = np.flatnonzero(active)
        which = self.which[rows]
        values = np.where(self.logs[rows], np.exp(np.where(self.logs[rows], at[rows], 0)), at[rows])
        values = np.clip(values, self.low[which], self.high[which])
        starts = self.warm[rows].copy()
        fixed = np.zeros_like(starts, bool)
        index = np.arange(len(rows))
        starts[index, which] = values
        fixed[index, which] = True
        low, high = (np.repeat(bound[None], len(rows), 0) for bound in (self.low, self.high))
        narrow(self.fit.response, low, high, which, values)
        found = maximise(self.fit.response, self.counts.rows(rows), starts, low, high, fixed)
        self.warm[rows] = found.parameters
        rise = np.maximum(found.loss - self.best, 0)
        if self.fit.counts.gaussian:
            rise = rise / max(self.best, 1e-300)
        return np.sqrt(rise / self.target)

    def ends(self) -> np.ndarray:
        """Parameter values where the fall is as large as allowed."""
        centre = self.coordinate(self.fit.vector[self.which])
        limit = self.coordinate(np.where(self.side < 0, self.low[self.which], self.high[self.which]))
        errors = np.array(list(self.fit.standard_errors.values()))[self.which]
        width = np.where(self.logs, errors / self.fit.vector[self.which], errors)
        width = np.where(np.isfinite(width) & (width > 0), 1.96 * width, 1e-3 * np.maximum(abs(limit - centre), 1e-12))
        inner, inner_fall = centre.copy(), np.zeros(len(centre))
        outer, outer_fall = centre.copy(), np.zeros(len(centre))
        found = np.where(centre == limit, limit, np.nan)
        for _ in range(MOST_ROUNDS):  # outwards, until the fall is large enough
            active = np.isnan(found) & (outer_fall < 1)
            if not active.any():
                break
            inner[active], inner_fall[active] = outer[active], outer_fall[active]
            step = outer + self.side * width
            outer = np.where(active, np.where(self.side < 0, np.maximum(step, limit), np.minimum(step, limit)), outer)
            outer_fall[active] = self.fall(outer, active)
            width = np.where(active, 2 * width, width)
            found = np.where(active & (outer == limit) & (outer_fall < 1), limit, found)
        for turn in range(MOST_ROUNDS):  # inwards: the root of the fall is nearly straight
            active = np.isnan(found)
            if not active.any():
                break
            with np.errstate(invalid="ignore", divide="ignore"):
                straight = inner + (outer - inner) * (1 - inner_fall) / (outer_fall - inner_fall)
            share = (straight - inner) / np.where(outer == inner, 1, outer - inner)
            middle = inner + (outer - inner) * (np.clip(share, 0.05, 0.95) if turn % 3 < 2 else 0.5)
            falls = np.zeros(len(middle))
            falls[active] = self.fall(middle, active)
            close = active & (abs(falls - 1) < CLOSE)
            found = np.where(close, middle, found)
            below = active & (falls < 1)
            inner, inner_fall = np.where(below, middle, inner), np.where(below, falls, inner_fall)
            above = active & (falls >= 1)
            outer, outer_fall = np.where(above, middle, outer), np.where(above, falls, outer_fall)
        found = np.where(np.isnan(found), outer, found)
        values: np.ndarray = np.where(self.logs, np.exp(np.where(self.logs, found, 0)), found)
        return np.clip(values, self.low[self.which], self.high[self.which])


def root_fall(fit: "CurveFit", level: float) -> float:
    """How far the loss may rise: half of the chi-square point, or Student's for a sum of squares (as a share of the smallest)."""
    from scipy import stats

    if not fit.counts.gaussian:
        return float(stats.chi2.ppf(level, 1)) / 2
    left = max(fit.n_points - len(fit.parameters), 1)
    return float(stats.t.ppf(0.5 + level / 2, left)) ** 2 / left


def narrow(response: Response, low: np.ndarray, high: np.ndarray, which: np.ndarray, values: np.ndarray) -> None:
    """Keep the partner of a held parameter on its side, where two are in order."""
    if not response.model.ordered:
        return
    larger, smaller = response.model.ordered
    rows = which == smaller
    low[rows, larger] = np.maximum(low[rows, larger], values[rows])
    rows = which == larger
    high[rows, smaller] = np.minimum(high[rows, smaller], values[rows])
