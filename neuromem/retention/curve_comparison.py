"""Which forgetting curve: information criteria, extrapolation to the latest times, and what averaging does."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, PrecisionWarning
from neuromem.random import RandomState, seed_sequence_of
from neuromem.retention.curve_data import CurveData, curve_data
from neuromem.retention.curve_fitting import CurveFit, check_counts, checked_lapse, fit_counts, warn_dispersion
from neuromem.retention.curve_models import MODELS, model_named
from neuromem.retention.curve_scoring import Counts, Response, maximise

CRITERIA = ("aicc", "aic", "bic")
EXPONENTIALS = ("exponential", "exp_asymptote")
MOST_ROWS = 400  # seeds or items that are fitted one by one to look for the artefact of averaging


@dataclass(frozen=True)
class ComparedCurve:
    """One line of a comparison.

    Parameters
    ----------
    model : str
    fit : CurveFit
    score : float
        The criterion; lower is better.
    above_best : float
    weight : float
        Akaike weight: exp(-above_best / 2), over all models.
    held_out : float
        Log loss per trial on the latest times, which the fit did not see; least squares: minus the log density per time.
    chosen : float
        Share of bootstrap draws in which its criterion is the lowest; NaN without draws.
    """

    model: str
    fit: CurveFit
    score: float
    above_best: float
    weight: float
    held_out: float
    chosen: float


@dataclass(frozen=True)
class CurveComparison:
    """Models, best first.

    Parameters
    ----------
    criterion : str
    curves : tuple of ComparedCurve
    left_out : dict of str to str
        Models that could not be fitted, and why.
    averaging_artefact : bool
        A power law wins on the pooled curve and loses on the rows it was pooled from.
    """

    criterion: str
    curves: tuple[ComparedCurve, ...]
    left_out: dict[str, str]
    averaging_artefact: bool

    @property
    def best(self) -> CurveFit:
        """The fit of the lowest criterion."""
        return self.curves[0].fit

    def __getitem__(self, model: str) -> ComparedCurve:
        for curve in self.curves:
            if curve.model == model:
                return curve
        raise InputError(f"model is {model!r}, one of {', '.join(repr(c.model) for c in self.curves)} was expected")

    def table(self) -> str:
        """Aligned plain text."""
        lines = [f"{'model':22}{self.criterion:>10}{'above':>9}{'weight':>8}{'held out':>10}{'R2':>8}{'chosen':>8}"]
        for c in self.curves:
            figures = f"{c.score:10.2f}{c.above_best:9.2f}{c.weight:8.3f}{c.held_out:10.4f}{c.fit.r2:8.4f}{c.chosen:8.3f}"
            lines.append(f"{c.model:22}{figures}")
        return "\n".join(lines)


def compare_curves(
    times: Any,
    successes: Any = None,
    trials: Any = None,
    *,
    values: Any = None,
    models: str | Iterable[str] = "all",
    observation: str | None = None,
    floor: float | str = "auto",
    lapse: float = 0.0,
    criterion: str = "aicc",
    held_out: float = 0.25,
    draws: int = 0,
    time: str = "lag_items",
    random_state: RandomState = None,
) -> CurveComparison:
    """Fit several forgetting curves and rank them.

    Parameters
    ----------
    times, successes, trials, values, floor, lapse, time
        As in :func:`fit_curve`.
    models : "all" or iterable of str
        "all": every model that is defined at these times and has fewer parameters than there are times.
    observation : {"binomial", "gaussian"}, optional
    criterion : {"aicc", "aic", "bic"}
        Where AICc is infinite for a model, that model comes last.  n is the number of times.
    held_out : float, default 0.25
        Share of the times, the latest, kept from a second fit that is scored on them; at least one.
    draws : int, default 0
        Resampled data sets (counts: binomial about the shares; least squares: normal about the best curve) on which the
        choice is repeated.
    random_state : None, int, SeedSequence or Generator

    Returns
    -------
    CurveComparison

    Raises
    ------
    InputError
        For what :func:`fit_curve` refuses, and where no model is left.

    Warns
    -----
    PrecisionWarning
        Where a power law wins on the pooled curve and exponentials on its rows: averaging makes one look like the other
        (Anderson and Tweney 1997).

    Examples
    --------
    >>> times = [0, 2, 5, 10, 20, 40, 80]
    >>> found = compare_curves(times, [90, 82, 70, 55, 33, 12, 2], 100, models=["exponential", "power1"], floor=0)
    >>> found.best.model
    'exponential'
    """
    validate.choice(criterion, "criterion", CRITERIA)
    if observation is not None:
        validate.choice(observation, "observation", ("binomial", "gaussian"))
    share = validate.number(held_out, "held_out", low=0.0, high=1.0, low_open=True, high_open=True)
    draws = validate.integer(draws, "draws", 0)
    data = curve_data(times, successes, trials, values=values, floor=floor, gaussian=observation == "gaussian", time=time)
    if data.gaussian and observation == "binomial":
        raise InputError("observation is 'binomial', which needs successes and trials, not values")
    kind = "gaussian" if data.gaussian else "binomial"
    names = list(MODELS) if isinstance(models, str) and models == "all" else list(models)
    lapse = checked_lapse(lapse, data.floor)
    counts = data.pooled()
    if kind == "binomial" and data.n_rows > 1:
        warn_dispersion(data)
    fits, left_out = {}, {}
    for name in names:
        response = Response(model_named(name), data.floor, lapse)
        try:
            check_counts(counts, response)
        except InputError as error:
            if models != "all":
                raise
            left_out[name] = str(error)
            continue
        fits[name] = fit_counts(counts, response, kind, quiet=True)
    if not fits:
        raise InputError(f"no model is left: {'; '.join(left_out.values()) or 'models is empty'}")
    scores = {name: float(getattr(fit, criterion)) for name, fit in fits.items()}
    chosen = bootstrap_choice(fits, counts, criterion, draws, random_state)
    order = sorted(fits, key=lambda name: (scores[name], -fits[name].log_likelihood))
    lowest = scores[order[0]]
    above = {name: scores[name] - lowest if math.isfinite(scores[name]) else math.inf for name in order}
    total = sum(math.exp(-0.5 * a) for a in above.values())
    n_late = max(1, round(share * counts.times.size))
    curves = tuple(
        ComparedCurve(
            name,
            fits[name],
            scores[name],
            above[name],
            math.exp(-0.5 * above[name]) / total if total else math.nan,
            extrapolated(fits[name], n_late),
            chosen.get(name, math.nan),
        )
        for name in order
    )
    artefact = averaging_artefact(data, fits)
    if artefact:
        warnings.warn(
            "a power law wins on the pooled curve, exponentials on the rows it was pooled from: the average of exponentials of "
            'different rates looks like a power law; fit rows with by="seed" or by="item"',
            PrecisionWarning,
            stacklevel=2,
        )
    return CurveComparison(criterion, curves, left_out, artefact)


def extrapolated(fit: CurveFit, n_late: int) -> float:
    """Loss on the latest times of the same model fitted to the others; NaN where too few are left."""
    counts = fit.counts
    kept = np.arange(counts.times.size) < counts.times.size - n_late
    early, late = counts.at(kept), counts.at(~kept)
    try:
        before = fit_counts(early, fit.response, fit.observation, quiet=True)
    except InputError:
        return math.nan
    p, _ = fit.response.evaluate(late.times, before.vector[None], not counts.gaussian)
    if counts.gaussian:
        freedom = before.n_points - len(before.parameters)
        if freedom <= 0:
            return math.nan
        variance = max(before.sse / freedom, 1e-12)
        return float(0.5 * np.mean(np.log(2 * math.pi * variance) + (late.successes - p) ** 2 / variance))
    k, n = late.successes, late.trials
    return float(-(k * np.log(p) + (n - k) * np.log1p(-p)).sum() / n.sum())


def bootstrap_choice(
    fits: dict[str, CurveFit], counts: Counts, criterion: str, draws: int, random_state: RandomState
) -> dict[str, float]:
    """Share of resampled data sets in which each model has the lowest criterion."""
    if not draws:
        return {}
    rng = np.random.default_rng(seed_sequence_of(random_state))
    if counts.gaussian:
        best = min(fits.values(), key=lambda fit: float(getattr(fit, criterion)))
        p, _ = best.response.evaluate(counts.times, best.vector[None], False)
        left = max(best.n_points - len(best.parameters), 1)
        drawn = p + rng.normal(0, math.sqrt(best.sse / left), (draws, counts.times.size))
    else:
        trials = np.rint(counts.trials).astype(np.int64)
        drawn = rng.binomial(trials, counts.shares, (draws, counts.times.size)).astype(float)
    many = Counts(counts.times, drawn, np.repeat(counts.trials, draws, 0), counts.gaussian)
    lowest, winner = np.full(draws, np.inf), np.full(draws, "", object)
    for name, fit in fits.items():
        low, high = fit.response.bounds(fit.response.span(counts))
        loss = maximise(fit.response, many, np.repeat(fit.vector[None], draws, 0), low, high).loss
        # what the criterion adds to -2 ln L does not depend on the draw
        added = float(getattr(fit, criterion)) + 2 * fit.log_likelihood
        n = counts.times.size
        score = (n * np.log(np.maximum(2 * loss, 1e-300)) if counts.gaussian else 2 * loss) + added
        better = score < lowest
        lowest, winner = np.where(better, score, lowest), np.where(better, name, winner)
    return {name: float(np.mean(winner == name)) for name in fits}


def averaging_artefact(data: CurveData, fits: dict[str, CurveFit]) -> bool:
    """Whether a power law beats every exponential on the pooled curve, and loses to one of them summed over the rows."""
    powers = [name for name in fits if MODELS[name].power_like]
    exponentials = [name for name in EXPONENTIALS if name in fits]
    if data.n_rows < 2 or not powers or not exponentials:
        return False
    best_power = min(powers, key=lambda name: fits[name].aic)
    if min(fits[name].aic for name in exponentials) <= fits[best_power].aic:
        return False
    rows = np.unique(np.linspace(0, data.n_rows - 1, min(data.n_rows, MOST_ROWS)).astype(int))

    def summed(name: str) -> float:
        total = 0.0
        for row in rows:
            counts = data.row(int(row))
            try:
                total += fit_counts(counts, fits[name].response, fits[name].observation, quiet=True).aic
            except InputError:  # too few times in this row
                continue
        return total

    return min(map(summed, exponentials)) < summed(best_power)
