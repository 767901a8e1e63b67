"""Thousands of forgetting curves at once."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import ConvergenceWarning, InputError
from neuromem.parallel import kernel_threads
from neuromem.retention.curve_data import curve_data
from neuromem.retention.curve_fitting import check_counts, checked_lapse
from neuromem.retention.curve_models import model_named
from neuromem.retention.curve_scoring import Counts, Response

N_RATES = 40
NANOSECONDS_PER_POINT = 100.0
# Models as e(b x): the function of time, whether e is a hyperbola, whether an asymptote is fitted
FAST: dict[str, tuple[Callable[[np.ndarray], np.ndarray], bool, bool]] = {
    "exponential": (lambda t: t, False, False),
    "exp_asymptote": (lambda t: t, False, True),
    "power": (np.log, False, False),
    "power1": (np.log1p, False, False),
    "hyperbolic": (lambda t: t, True, False),
    "hyper_sqrt": (np.sqrt, True, False),
    "exp_sqrt": (np.sqrt, False, False),
}


@dataclass(frozen=True)
class ManyFits:
    """Fits of one model to many curves.

    Parameters
    ----------
    model : str
    names : tuple of str
    parameters, standard_errors : float64 (m, k)
        Errors are NaN at a bound.
    at_bound : bool (m, k)
    settled : bool (m,)
    degenerate : bool (m,)
        All outcomes of the curve are the same.
    floor : float
    """

    model: str
    names: tuple[str, ...]
    parameters: np.ndarray
    standard_errors: np.ndarray
    at_bound: np.ndarray
    settled: np.ndarray
    degenerate: np.ndarray
    floor: float

    def __len__(self) -> int:
        return len(self.parameters)

    def retention(self, times: Any) -> np.ndarray:
        """R of every curve at ``times``, (m, T)."""
        return model_named(self.model).value(np.atleast_1d(np.asarray(times, float)), self.parameters)


def fit_many(
    times: Any,
    successes: Any = None,
    trials: Any = None,
    *,
    values: Any = None,
    model: str = "power1",
    floor: float,
    lapse: float = 0.0,
) -> ManyFits:
    """Fit one model of two or three parameters to many curves that share their times.

    Parameters
    ----------
    times : array-like (T,)
    successes : array-like (m, T), optional
        Counts out of ``trials``; fitted by the binomial likelihood.
    trials : int or array-like, optional
        Of the shape of ``successes``, or one that stretches to it; at least 1.
    values : array-like (m, T), optional
        Shares, fitted by least squares, instead of counts.
    model : str, default "power1"
        "exponential", "exp_asymptote", "power", "power1", "hyperbolic", "hyper_sqrt" or "exp_sqrt".
    floor : float
        What guessing gives.
    lapse : float, default 0

    Returns
    -------
    ManyFits

    Raises
    ------
    InputError
        For another model, and for what :func:`fit_curve` refuses.

    Warns
    -----
    ConvergenceWarning

    Notes
    -----
    The same fits as :func:`fit_curve`, from one start instead of many: the best of a table of rates by least squares; of counts
    the next lower rate at which nothing was seen that had next to no chance.  Where a model does not fit at all, such as an
    exponential to counts about a power law without a floor, the likelihood may have several tops, and one start may end at
    another one than many (one curve in ten there).

    Examples
    --------
    >>> times = np.array([0.0, 1, 3, 10, 30, 100])
    >>> chance = np.array([[0.8], [0.9]]) * (1 + times) ** -np.array([[0.2], [0.4]])
    >>> np.round(fit_many(times, values=chance, floor=0).parameters, 3).tolist()
    [[0.8, 0.2], [0.9, 0.4]]
    """
    from neuromem.retention.kernels import fit_curves

    validate.choice(model, "model", FAST)
    data = curve_data(
        times, successes, trials, values=values, floor=validate.number(floor, "floor", low=0, high=1, high_open=True)
    )
    if (data.trials <= 0).any():
        raise InputError("trials has a 0: every curve needs a trial at every time")
    response = Response(model_named(model), floor, checked_lapse(lapse, floor))
    successes, trials = np.ascontiguousarray(data.successes), np.ascontiguousarray(data.trials)
    counts = Counts(data.times, successes, trials, data.gaussian)
    check_counts(counts, response)
    highest = counts if not data.gaussian else counts.rows(np.array([int(np.argmax(data.successes.max(1)))]))
    span = response.span(highest)
    low, high = np.zeros(3), np.ones(3)
    k = response.model.n_parameters
    low[:k], high[:k] = response.bounds(span)
    transform, hyperbola, with_c = FAST[model]
    x = transform(data.times)
    rates = start_rates(x)
    table = 1 / (1 + x[:, None] * rates) if hyperbola else np.exp(-x[:, None] * rates)
    m = data.n_rows
    parameters, errors, settled = np.empty((m, 3)), np.empty((m, 3)), np.empty(m, np.uint8)
    scale = 1 - floor - response.lapse
    with kernel_threads(NANOSECONDS_PER_POINT * data.successes.size):
        fit_curves(
            x,
            successes,
            trials,
            data.gaussian,
            hyperbola,
            with_c,
            floor,
            scale,
            low,
            high,
            rates,
            table,
            parameters,
            errors,
            settled,
        )
    parameters, errors = parameters[:, :k], errors[:, :k]
    if data.gaussian:
        left = data.successes - floor - scale * response.model.value(data.times, parameters)
        freedom = data.times.size - k
        errors = errors * (np.sqrt((left**2).sum(1, keepdims=True) / freedom) if freedom > 0 else math.nan)
    shares = counts.shares
    degenerate = np.ptp(shares, axis=1) == 0
    errors[degenerate] = np.nan
    if not settled[~degenerate].all():
        n_bad = int((settled[~degenerate] == 0).sum())
        warnings.warn(f"{model}: {n_bad} of {m} fits have not settled", ConvergenceWarning, stacklevel=2)
    at_bound = (parameters <= low[:k]) | (parameters >= high[:k])
    return ManyFits(model, response.names, parameters, errors, at_bound, settled.astype(bool), degenerate, floor)


def start_rates(x: np.ndarray) -> np.ndarray:
    """Rates whose curves fall somewhere among the points, and a little before and after."""
    size = abs(x[x != 0])
    return np.geomspace(0.02 / size.max(), 5 / size.min(), N_RATES)
