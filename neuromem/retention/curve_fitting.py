"""Forgetting curves fitted to counts or values: likelihood, guessing floor, errors and intervals."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, overload

import numpy as np

from neuromem import validate
from neuromem.errors import ConvergenceWarning, InputError, PrecisionWarning
from neuromem.retention.curve_data import OBSERVATIONS, CurveData, curve_data
from neuromem.retention.curve_models import check_times, model_named
from neuromem.retention.curve_scoring import Counts, Response, Scored, best_of_starts, evaluate

MOST_CONDITION = 1e10
DISPERSED = 0.02  # correlation within a row above which counts are no longer binomial


@dataclass(frozen=True)
class Prediction:
    """A curve at some times, with its interval.

    Parameters
    ----------
    times, value, low, high : float64 (T,)
    """

    times: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, repr=False)
class CurveFit:
    """One fitted forgetting curve.

    Parameters
    ----------
    model : str
    observation : {"binomial", "beta_binomial", "gaussian"}
    parameters, standard_errors : mapping of str to float
        By name; a fitted floor is called "floor".  Errors are NaN at a bound and where they cannot be told.
    covariance : float64 (k, k)
        Rows and columns of parameters at a bound are 0.
    log_likelihood : float
        With its constants.
    n_points : int
        Number of times, what AICc and BIC count.
    n_estimated : int
        Parameters, with the variance of least squares or the dispersion of the beta-binomial law.
    sse, r2 : float
        Over shares or values; R2 describes, it does not choose.
    at_bound : tuple of str
    degenerate : bool
        All outcomes are the same: there is nothing to be told about a course.
    settled : bool
    dispersion : float or None
        Correlation within a row, of the beta-binomial law.
    counts : Counts
    response : Response
    """

    model: str
    observation: str
    parameters: Mapping[str, float]
    standard_errors: Mapping[str, float]
    covariance: np.ndarray
    log_likelihood: float
    n_points: int
    n_estimated: int
    sse: float
    r2: float
    at_bound: tuple[str, ...]
    degenerate: bool
    settled: bool
    dispersion: float | None
    counts: Counts = field(compare=False)
    response: Response = field(compare=False)

    @property
    def floor(self) -> float:
        """The guessing floor, given or fitted."""
        return self.parameters["floor"] if self.response.floor is None else self.response.floor

    @property
    def vector(self) -> np.ndarray:
        """Parameters in order."""
        return np.array(list(self.parameters.values()))

    @property
    def aic(self) -> float:
        """2 k - 2 ln L."""
        return 2 * self.n_estimated - 2 * self.log_likelihood

    @property
    def aicc(self) -> float:
        """AIC with its correction for few points; infinite where there are no more than k + 1."""
        k, n = self.n_estimated, self.n_points
        return self.aic + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else math.inf

    @property
    def bic(self) -> float:
        """k ln n - 2 ln L."""
        return self.n_estimated * math.log(self.n_points) - 2 * self.log_likelihood

    def retention(self, times: Any) -> np.ndarray:
        """R at ``times``: what is left, guessing taken out.

        Examples
        --------
        >>> fit = fit_curve([0, 10, 20], [90, 33, 12], 100, model="exponential", floor=0)
        >>> bool(abs(fit.retention([10.0])[0] - 0.33) < 0.01)
        True
        """
        n = self.response.model.n_parameters
        return self.response.model.value(self.checked(times), self.vector[:n])

    def predict(self, times: Any, level: float = 0.95) -> Prediction:
        """Expected share (floor included) with its interval, by the delta method; on the logit for shares.

        Parameters
        ----------
        times : array-like (T,)
        level : float, default 0.95

        Raises
        ------
        InputError
            For times the model is not defined at.

        Examples
        --------
        >>> fit = fit_curve([0, 10, 20], [90, 33, 12], 100, model="exponential", floor=0)
        >>> there = fit.predict([30.0])
        >>> bool(there.low[0] < there.value[0] < there.high[0])
        True
        """
        times = self.checked(times)
        z = two_sided(level)
        binomial = self.observation != "gaussian"
        value, slopes = self.response.evaluate(times, self.vector[None], binomial)
        spread = np.sqrt(np.maximum(np.einsum("tk,kl,tl->t", slopes[0], self.covariance, slopes[0]), 0))
        if not binomial:
            return Prediction(times, value[0], value[0] - z * spread, value[0] + z * spread)
        p = value[0]
        half = z * spread / (p * (1 - p))
        odds = np.log(p / (1 - p))
        return Prediction(times, p, 1 / (1 + np.exp(half - odds)), 1 / (1 + np.exp(-half - odds)))

    def intervals(self, level: float = 0.95, method: str = "profile") -> dict[str, tuple[float, float]]:
        """Confidence interval of each parameter.

        Parameters
        ----------
        level : float, default 0.95
        method : {"profile", "wald"}
            Where the likelihood, all other parameters refitted, has fallen by the chi-square point (least squares: by Student's);
            or estimate and standard error, on the logarithm for rates and times.  Only the first holds near a bound.
            :func:`bootstrap` gives a third.

        Examples
        --------
        >>> fit = fit_curve([0, 10, 20], [90, 33, 12], 100, model="exponential", floor=0)
        >>> low, high = fit.intervals()["rate"]
        >>> bool(low < 0.1 < high)
        True
        """
        from neuromem.retention.curve_intervals import profile_intervals

        validate.choice(method, "method", ("profile", "wald"))
        if self.degenerate:
            return dict.fromkeys(self.parameters, (math.nan, math.nan))
        if method == "profile":
            return profile_intervals(self, level)
        z, found = two_sided(level), {}
        for name, is_log in zip(self.parameters, self.response.log_scaled, strict=True):
            value, error = self.parameters[name], self.standard_errors[name]
            half = z * error
            found[name] = (
                (value * math.exp(-half / value), value * math.exp(half / value)) if is_log else (value - half, value + half)
            )
        return found

    def checked(self, times: Any) -> np.ndarray:
        """Times at which the model is defined."""
        times = np.atleast_1d(np.asarray(times, float))
        if not np.isfinite(times).all():
            raise InputError("times has a number that is not finite")
        if times.size:
            check_times(self.response.model, times)
        return times

    def __repr__(self) -> str:
        cells = [f"{name} {value:.4g} +- {self.standard_errors[name]:.2g}" for name, value in self.parameters.items()]
        return f"CurveFit({self.model}: {', '.join(cells)}; floor {self.floor:g}, AICc {self.aicc:.2f}, R2 {self.r2:.4f})"


@overload
def fit_curve(
    times: Any,
    successes: Any = None,
    trials: Any = None,
    *,
    values: Any = None,
    model: str = "power1",
    observation: str | None = None,
    floor: float | str = "auto",
    lapse: float = 0.0,
    by: Literal["pooled"] = "pooled",
    time: str = "lag_items",
) -> CurveFit: ...


@overload
def fit_curve(
    times: Any,
    successes: Any = None,
    trials: Any = None,
    *,
    values: Any = None,
    model: str = "power1",
    observation: str | None = None,
    floor: float | str = "auto",
    lapse: float = 0.0,
    by: Literal["seed", "item"],
    time: str = "lag_items",
) -> list[CurveFit]: ...


def fit_curve(
    times: Any,
    successes: Any = None,
    trials: Any = None,
    *,
    values: Any = None,
    model: str = "power1",
    observation: str | None = None,
    floor: float | str = "auto",
    lapse: float = 0.0,
    by: str = "pooled",
    time: str = "lag_items",
) -> CurveFit | list[CurveFit]:
    """Fit a forgetting curve by maximum likelihood, from many starts.

    Parameters
    ----------
    times : array-like (T,) or ProbeResult
        From 0 up, in any unit.  A result of a probe brings counts and chance level along; it must hold one curve.
    successes, trials : array-like (T,) or (G, T), optional
        Counts; a row for each seed or item.
    values : array-like (T,) or (G, T), optional
        Shares or other measures, for least squares, instead of counts.
    model : str, default "power1"
        A name of :data:`MODELS`.
    observation : {"binomial", "beta_binomial", "gaussian"}, optional
        Default: binomial for counts, least squares for values.  The beta-binomial law lets rows differ by chance: the curve by
        quasi-likelihood with variance n p (1 - p) (1 + (n - 1) rho), rho by maximum likelihood given the curve.
    floor : float, "free" or "auto", default "auto"
        What guessing gives: p = floor + (1 - floor - lapse) R(t).  "auto": what a ProbeResult says; arrays do not say it.
    lapse : float, default 0
        Share of failures that have nothing to do with memory.
    by : {"pooled", "seed", "item"}, default "pooled"
        All rows together, or a list of one fit for each row.
    time : {"lag_items", "lag_updates"}
        Which column of a ProbeResult is the time.

    Returns
    -------
    CurveFit, or list of CurveFit

    Raises
    ------
    InputError
        For too few times, times the model is not defined at, and what ``curve_data`` refuses.
    UnknownKeyError
        For a model that does not exist.

    Warns
    -----
    PrecisionWarning
        Where a parameter ends at a bound, where errors cannot be told, and where rows differ by more than chance.
    ConvergenceWarning

    Notes
    -----
    The mean of curves of different rates is not a curve of the family: exponentials averaged over items look like a power law
    (Anderson and Tweney 1997).  :func:`compare_curves` warns of it.

    Examples
    --------
    >>> fit = fit_curve([0, 10, 20, 40], [90, 54, 33, 12], 100, model="exponential", floor=0)
    >>> round(fit.parameters["rate"], 2)
    0.05
    """
    validate.choice(by, "by", ("pooled", "seed", "item"))
    if by == "item" and hasattr(times, "table"):
        raise InputError('by="item" needs a row for each item: pass times, result.outcome_matrix(name)[seed] and trials=1')
    if observation is not None:
        validate.choice(observation, "observation", OBSERVATIONS)
    data = curve_data(times, successes, trials, values=values, floor=floor, gaussian=observation == "gaussian", time=time)
    if data.gaussian and observation in ("binomial", "beta_binomial"):
        raise InputError(f"observation is {observation!r}, which needs successes and trials, not values")
    kind = observation or ("gaussian" if data.gaussian else "binomial")
    response = Response(model_named(model), data.floor, checked_lapse(lapse, data.floor))
    if by == "pooled":
        return fit_pooled(data, response, kind)
    if kind == "beta_binomial":
        raise InputError('observation "beta_binomial" is about how rows differ: by="pooled" was expected')
    return [fit_counts(data.row(i), response, kind) for i in range(data.n_rows)]


def checked_lapse(lapse: float, floor: float | None) -> float:
    """A lapse that leaves something for memory."""
    return validate.number(lapse, "lapse", low=0.0, high=1.0 - (floor or 0.0), high_open=True)


def fit_pooled(data: CurveData, response: Response, kind: str) -> CurveFit:
    """One curve for all rows."""
    if kind == "beta_binomial":
        from neuromem.retention.curve_dispersion import fit_dispersed

        return fit_dispersed(data, response)
    if kind == "binomial" and data.n_rows > 1:
        warn_dispersion(data)
    return fit_counts(data.pooled(), response, kind)


def check_counts(counts: Counts, response: Response) -> None:
    """Refuse times that do not suit the model, and too few of them."""
    check_times(response.model, counts.times)
    n, k = counts.times.size, len(response.names)
    if n < k:
        raise InputError(f"model {response.model.name!r} has {k} parameters, {n} different times were given: at least {k} needed")
    if counts.times.max() <= 0:
        raise InputError("times has nothing above 0: a curve needs time to pass")


def fit_counts(counts: Counts, response: Response, kind: str, *, quiet: bool = False) -> CurveFit:
    """One curve for one row of counts or values."""
    check_counts(counts, response)
    span = response.span(counts)
    low, high = response.bounds(span)
    best = best_of_starts(response, counts, low, high, response.starts(span))
    return described(counts, response, kind, best, low, high, quiet=quiet)


def described(
    counts: Counts,
    response: Response,
    kind: str,
    best: Scored,
    low: np.ndarray,
    high: np.ndarray,
    *,
    quiet: bool = False,
    n_extra: int = 0,
    log_likelihood: float | None = None,
    dispersion: float | None = None,
) -> CurveFit:
    """Errors, likelihood and warnings of a fit."""
    parameters = best.parameters[0]
    shares = counts.shares[0]
    degenerate = bool(np.ptp(shares) == 0)
    edge = 1e-9 * np.maximum(abs(low), abs(high) * 1e-3)
    stuck = (parameters <= low + edge) | (parameters >= high * (1 - 1e-9))
    at_bound = tuple(name for name, is_stuck in zip(response.names, stuck, strict=True) if is_stuck)
    p, _ = response.evaluate(counts.times, parameters[None], not counts.gaussian)
    sse = float(((shares - p[0]) ** 2).sum())
    total = float(((shares - shares.mean()) ** 2).sum())
    covariance, told = covariance_of(counts, response, best, stuck, sse)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0))
    errors[stuck] = np.nan
    if degenerate or not told:
        errors[:] = np.nan
        covariance = np.full_like(covariance, np.nan)
    elif not quiet:
        if at_bound:
            places = ", ".join(
                f"{name} = {value:.4g}" for name, value in zip(response.names, parameters, strict=True) if name in at_bound
            )
            warnings.warn(
                f"{response.model.name}: {places} is at its bound, and has no standard error", PrecisionWarning, stacklevel=4
            )
    if not degenerate and not told and not quiet:
        warnings.warn(
            f"{response.model.name}: the data do not tell its parameters apart, so they have no standard errors",
            PrecisionWarning,
            stacklevel=4,
        )
    settled = bool(best.settled[0])
    if not settled and not quiet and not degenerate:
        warnings.warn(f"{response.model.name}: the fit has not settled", ConvergenceWarning, stacklevel=4)
    n_points = counts.times.size
    return CurveFit(
        model=response.model.name,
        observation=kind,
        parameters=dict(zip(response.names, map(float, parameters), strict=True)),
        standard_errors=dict(zip(response.names, map(float, errors), strict=True)),
        covariance=covariance,
        log_likelihood=full_likelihood(counts, p, sse) if log_likelihood is None else log_likelihood,
        n_points=n_points,
        n_estimated=len(response.names) + (1 if counts.gaussian else 0) + n_extra,
        sse=sse,
        r2=1 - sse / total if total > 0 else math.nan,
        at_bound=at_bound,
        degenerate=degenerate,
        settled=settled,
        dispersion=dispersion,
        counts=counts,
        response=response,
    )


def covariance_of(counts: Counts, response: Response, best: Scored, stuck: np.ndarray, sse: float) -> tuple[np.ndarray, bool]:
    """Inverse information of the parameters off their bounds, and whether it can be told."""
    k = len(stuck)
    covariance = np.zeros((k, k))
    free = np.flatnonzero(~stuck)
    if not free.size:
        return covariance, True
    information = evaluate(response, counts, best.parameters, expected=True).information[0][np.ix_(free, free)]
    if counts.gaussian:
        left = counts.times.size - k
        if left <= 0:
            return covariance, False
        information = information / max(sse / left, 1e-300)
    size = np.sqrt(np.diag(information))
    if not (np.isfinite(size).all() and (size > 0).all()):
        return covariance, False
    scaled = information / np.outer(size, size)
    if np.linalg.cond(scaled) > MOST_CONDITION:
        return covariance, False
    covariance[np.ix_(free, free)] = np.linalg.inv(scaled) / np.outer(size, size)
    return covariance, True


def full_likelihood(counts: Counts, p: np.ndarray, sse: float) -> float:
    """Log likelihood with its constants."""
    n_points = counts.times.size
    if counts.gaussian:
        return -0.5 * n_points * (math.log(2 * math.pi * max(sse, 1e-300) / n_points) + 1)
    from scipy.special import gammaln, xlog1py, xlogy

    k, n = counts.successes, counts.trials
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return float((ways + xlogy(k, p) + xlog1py(n - k, -p)).sum())


def warn_dispersion(data: CurveData) -> None:
    """Say where rows differ by more than the binomial law lets them."""
    there = data.trials > 0
    p = (data.successes.sum(0) / data.trials.sum(0))[None]
    inside = there & (p > 0) & (p < 1) & (data.trials > 1)
    if not inside.any():
        return
    expected = np.where(inside, data.trials * p * (1 - p), 1.0)
    squares = np.where(inside, (data.successes - data.trials * p) ** 2 / expected, 0.0).sum()
    freedom = inside.sum() - inside.any(0).sum()
    if freedom <= 0:
        return
    rho = (squares / freedom - 1) / max(float(data.trials[inside].mean()) - 1, 1.0)
    if rho > DISPERSED and squares > freedom + 4 * math.sqrt(2 * freedom):
        warnings.warn(
            f"rows differ by more than chance (correlation {rho:.3f}): errors of the binomial law are too small; "
            'observation="beta_binomial" allows for it',
            PrecisionWarning,
            stacklevel=4,
        )


def two_sided(level: float) -> float:
    """Normal quantile of a two-sided interval."""
    from statistics import NormalDist

    level = validate.number(level, "level", low=0.0, high=1.0, low_open=True, high_open=True)
    return NormalDist().inv_cdf(0.5 + level / 2)
