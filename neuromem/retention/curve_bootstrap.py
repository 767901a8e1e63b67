"""How much a fitted curve would move with other items: bootstrap with percentile and bias-corrected intervals."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.random import RandomState, seed_sequence_of
from neuromem.retention.curve_fitting import CurveFit
from neuromem.retention.curve_scoring import Counts, maximise

BLOCK = 1 << 22  # elements of a block of resampling counts
MOST_LEFT_OUT = 500  # groups of items that the jackknife leaves out in turn


@dataclass(frozen=True)
class BootstrapFits:
    """Parameters of the refitted curves.

    Parameters
    ----------
    names : tuple of str
    estimate : float64 (k,)
    parameters : float64 (draws, k)
    acceleration : float64 (k,)
        Skewness of what each item contributes; 0 where data sets were drawn from the curve.
    """

    names: tuple[str, ...]
    estimate: np.ndarray
    parameters: np.ndarray
    acceleration: np.ndarray

    @property
    def standard_errors(self) -> dict[str, float]:
        """Standard deviation over draws."""
        return dict(zip(self.names, map(float, self.parameters.std(0, ddof=1)), strict=True))

    def intervals(self, level: float = 0.95, method: str = "bca") -> dict[str, tuple[float, float]]:
        """Interval of each parameter.

        Parameters
        ----------
        level : float, default 0.95
        method : {"bca", "percentile"}
            Bias-corrected and accelerated (Efron 1987), or plain quantiles.
        """
        level = validate.number(level, "level", low=0.0, high=1.0, low_open=True, high_open=True)
        validate.choice(method, "method", ("bca", "percentile"))
        normal, found = NormalDist(), {}
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        for i, name in enumerate(self.names):
            drawn, points = self.parameters[:, i], tails
            if method == "bca":
                below = np.mean(drawn < self.estimate[i]) + 0.5 * np.mean(drawn == self.estimate[i])
                n = len(drawn)
                bias = normal.inv_cdf(float(np.clip(below, 0.5 / n, 1 - 0.5 / n)))
                z = np.array([normal.inv_cdf(tail) for tail in tails]) + bias
                shifted = bias + z / (1 - self.acceleration[i] * z)
                points = np.array([normal.cdf(value) for value in shifted])
            low, high = np.quantile(drawn, points)
            found[name] = (float(low), float(high))
        return found


def bootstrap(fit: CurveFit, outcomes: Any = None, *, draws: int = 2000, random_state: RandomState = None) -> BootstrapFits:
    """Refit a curve to resampled data.

    Parameters
    ----------
    fit : CurveFit
    outcomes : array-like (n_items, T), optional
        What each item did at each time of the fit: 1 for a success, 0.5 for a tie, 0.  Items are drawn whole: what one does at a
        time goes with what it does at another.  Default: counts (least squares: residuals) are drawn from the fitted curve.
    draws : int, default 2000
    random_state : None, int, SeedSequence or Generator

    Returns
    -------
    BootstrapFits

    Raises
    ------
    InputError
        For outcomes of another width than the fit's times, or outside 0 ... 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> times = np.array([0, 5, 10, 20, 40])
    >>> outcomes = rng.random((300, 5)) < 0.9 * np.exp(-0.05 * times)
    >>> from neuromem.retention.curve_fitting import fit_curve
    >>> fit = fit_curve(times, outcomes.sum(0), 300, model="exponential", floor=0)
    >>> low, high = bootstrap(fit, outcomes, draws=200, random_state=0).intervals()["rate"]
    >>> bool(low < 0.05 < high)
    True
    """
    draws = validate.integer(draws, "draws", 2)
    if fit.observation == "beta_binomial":
        raise InputError("fit is of the beta-binomial law, whose rows are not resampled; use its standard errors")
    rng = np.random.default_rng(seed_sequence_of(random_state))
    counts = fit.counts
    acceleration = np.zeros(len(fit.parameters))
    if outcomes is not None:
        items = checked_outcomes(outcomes, counts.times.size)
        drawn = resampled_sums(items, draws, rng)
        trials = np.full_like(drawn, len(items))
        acceleration = jackknife_acceleration(fit, items)
    else:
        p, _ = fit.response.evaluate(counts.times, fit.vector[None], not counts.gaussian)
        trials = np.repeat(counts.trials, draws, 0)
        if counts.gaussian:
            left = max(fit.n_points - len(fit.parameters), 1)
            drawn = p + rng.normal(0, np.sqrt(fit.sse / left), (draws, counts.times.size))
        else:
            drawn = rng.binomial(np.rint(trials).astype(np.int64), p).astype(float)
    return BootstrapFits(tuple(fit.parameters), fit.vector, refitted(fit, drawn, trials), acceleration)


def refitted(fit: CurveFit, successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Parameters (draws, k) of the fit's model for many data sets of counts; fits begin at the fit."""
    gaussian = fit.counts.gaussian
    many = Counts(fit.counts.times, successes, trials, gaussian)
    if gaussian and (trials != 1).any():
        many = Counts(fit.counts.times, successes / trials, np.ones_like(trials), True)
    low, high = fit.response.bounds(fit.response.span(fit.counts))
    return maximise(fit.response, many, np.repeat(fit.vector[None], len(successes), 0), low, high).parameters


def checked_outcomes(outcomes: Any, n_times: int) -> np.ndarray:
    """Outcomes as float32 (n_items, T)."""
    outcomes = np.asarray(outcomes)
    if outcomes.ndim != 2 or outcomes.shape[1] != n_times or len(outcomes) < 2:
        raise InputError(f"outcomes has shape {outcomes.shape}, (items, {n_times}) with at least two items was expected")
    if not ((outcomes >= 0) & (outcomes <= 1)).all():
        raise InputError("outcomes has other values than 0 (failure) up to 1 (success)")
    return outcomes.astype(np.float32)


def resampled_sums(items: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Sums over items drawn with replacement, (draws, T): how often each was drawn, times what it did, as one product."""
    n_items, n_times = items.shape
    sums = np.empty((draws, n_times))
    step = max(1, BLOCK // n_items)
    chances = np.full(n_items, 1 / n_items)
    for start in range(0, draws, step):
        many = min(step, draws - start)
        sums[start : start + many] = rng.multinomial(n_items, chances, size=many).astype(np.float32) @ items
    return sums


def jackknife_acceleration(fit: CurveFit, items: np.ndarray) -> np.ndarray:
    """Acceleration of the bias-corrected interval, from fits with one item (or group of items) left out."""
    groups = np.array_split(np.arange(len(items)), min(len(items), MOST_LEFT_OUT))
    without = np.stack([items[group].sum(0, dtype=float) for group in groups])
    sizes = np.array([len(group) for group in groups], float)
    successes = items.sum(0, dtype=float) - without
    left = refitted(fit, successes, np.repeat(len(items) - sizes[:, None], items.shape[1], 1))
    apart = left.mean(0) - left
    spread = (apart**2).sum(0)
    acceleration: np.ndarray = (apart**3).sum(0) / (6 * np.maximum(spread, 1e-300) ** 1.5)
    return np.where(spread > 0, acceleration, 0.0)
