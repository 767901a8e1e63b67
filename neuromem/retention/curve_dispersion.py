"""Curves for rows that differ by more than chance: the beta-binomial law."""

import math
import warnings

import numpy as np

from neuromem.errors import InputError, PrecisionWarning
from neuromem.retention.curve_data import CurveData
from neuromem.retention.curve_fitting import DISPERSED, CurveFit, check_counts, described
from neuromem.retention.curve_scoring import Counts, Response, best_of_starts

MOST_TURNS = 50
SETTLED = 1e-7


def fit_dispersed(data: CurveData, response: Response) -> CurveFit:
    """Curve and correlation in turn, until neither moves.

    The curve: quasi-likelihood, each row weighed by 1 / (1 + (n - 1) rho).  The correlation: most likely, given the curve.

    Raises
    ------
    InputError
        For a single row, or for rows of single trials, which cannot show a correlation.
    """
    if data.n_rows < 2 or data.trials.max() < 2:
        raise InputError('observation "beta_binomial" needs at least two rows of successes, of two trials or more')
    rho = 0.0
    for _ in range(MOST_TURNS):
        weights = 1 / (1 + np.maximum(data.trials - 1, 0) * rho)
        successes = (data.successes * weights).sum(0, keepdims=True)
        counts = Counts(data.times, successes, (data.trials * weights).sum(0, keepdims=True))
        check_counts(counts, response)
        span = response.span(counts)
        low, high = response.bounds(span)
        best = best_of_starts(response, counts, low, high, response.starts(span))
        p, _ = response.evaluate(data.times, best.parameters, True)
        before, (rho, likelihood) = rho, most_likely_correlation(data, p)
        if abs(rho - before) < SETTLED:
            break
    if rho > DISPERSED:
        warnings.warn(
            f"the correlation within rows is {rho:.3f}: rows differ, and the pooled curve need not be that of any of them",
            PrecisionWarning,
            stacklevel=5,
        )
    return described(counts, response, "beta_binomial", best, low, high, n_extra=1, log_likelihood=likelihood, dispersion=rho)


def beta_binomial(data: CurveData, p: np.ndarray, rho: float) -> float:
    """Log likelihood of all rows; rho = 1 / (alpha + beta + 1)."""
    from scipy.special import betaln, gammaln, xlog1py, xlogy

    k, n = data.successes, data.trials
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    if rho <= 0:
        return float((ways + xlogy(k, p) + xlog1py(n - k, -p)).sum())
    total = 1 / rho - 1
    return float((ways + betaln(k + p * total, n - k + (1 - p) * total) - betaln(p * total, (1 - p) * total)).sum())


def most_likely_correlation(data: CurveData, p: np.ndarray) -> tuple[float, float]:
    """Correlation within a row, given the curve, and the log likelihood there."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda x: -beta_binomial(data, p, math.exp(x)),
        bounds=(math.log(1e-6), math.log(0.95)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    rho, likelihood = math.exp(found.x), -float(found.fun)
    plain = beta_binomial(data, p, 0.0)
    return (rho, likelihood) if likelihood > plain else (0.0, plain)
