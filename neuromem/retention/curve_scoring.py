"""Scoring: maximum likelihood of many curves at once, from many starts, within bounds.

Newton's method without the second derivatives of the curve, damped as Levenberg and Marquardt do; rates and times move by
their logarithm.  The weight of a count is the observed k / p^2 + (n - k) / (1 - p)^2, not the expected n / (p (1 - p)): a curve
that begins at 1 is reached in a few steps so, and not by halves.  A row is
one fit: a data set with one start, some of its parameters held where they are.
"""

from dataclasses import dataclass, replace

import numpy as np

from neuromem.retention.curve_models import CurveModel, Span, columns

CLIP = 1e-9  # a probability is kept this far from 0 and 1
MOST_STEPS = 300
POLISHING = 4
LONGEST_STEP = 2.0  # in a logarithm
MOST_DAMPING = 1e12
HIGHEST_FLOOR = 0.99


@dataclass(frozen=True)
class Counts:
    """What curves are fitted to.

    Parameters
    ----------
    times : float64 (T,)
    successes : float64 (m, T)
        Counts, or values where ``gaussian``.
    trials : float64 (m, T)
        Out of how many; weights where ``gaussian``.
    gaussian : bool
        Least squares instead of the binomial likelihood.
    """

    times: np.ndarray
    successes: np.ndarray
    trials: np.ndarray
    gaussian: bool = False

    def rows(self, index: np.ndarray) -> "Counts":
        """The data sets of ``index``."""
        return replace(self, successes=self.successes[index], trials=self.trials[index])

    def at(self, kept: np.ndarray) -> "Counts":
        """Some of the times."""
        return Counts(self.times[kept], self.successes[:, kept], self.trials[:, kept], self.gaussian)

    @property
    def shares(self) -> np.ndarray:
        """Successes out of trials, (m, T); values as they are."""
        return self.successes if self.gaussian else self.successes / self.trials


@dataclass(frozen=True)
class Response:
    """A curve with a guessing floor: p = g + (1 - g - lapse) R(t).

    Parameters
    ----------
    model : CurveModel
    floor : float or None
        g; None: one more parameter, the last.
    lapse : float
    """

    model: CurveModel
    floor: float | None
    lapse: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters, the floor last where it is one of them."""
        return self.model.parameters + (("floor",) if self.floor is None else ())

    @property
    def log_scaled(self) -> np.ndarray:
        """Which parameters are fitted as their logarithm."""
        return np.array(self.model.log_scaled + ((False,) if self.floor is None else ()))

    def span(self, counts: Counts) -> Span:
        """Bounds and starts of one data set, corrected for guessing."""
        order = np.argsort(counts.times, kind="stable")
        shares = counts.shares[0][order]
        floor = 0.0 if self.floor is None else self.floor
        left = (shares - floor) / (1 - floor - self.lapse)
        positive = counts.times[counts.times > 0]
        ceiling = 1.0
        if counts.gaussian and shares.max() > 1:
            ceiling = 2.0 * float(shares.max())
        return Span(float(positive.min()), float(positive.max()), float(left[0]), float(left[-1]), ceiling)

    def bounds(self, span: Span) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest parameters."""
        pairs = self.model.bounds(span) + (((0.0, HIGHEST_FLOOR),) if self.floor is None else ())
        low, high = np.array(pairs, float).T
        return low, high

    def starts(self, span: Span) -> np.ndarray:
        """Points (S, k) where fits begin."""
        starts = self.model.starts(span)
        if self.floor is not None:
            return starts
        floors = (0.02, 0.5 * max(span.last, 0.05), 0.9 * min(max(span.last, 0.05), 0.95))
        return np.concatenate([np.concatenate([starts, np.full((len(starts), 1), g)], 1) for g in floors])

    def evaluate(self, times: np.ndarray, parameters: np.ndarray, clip: bool) -> tuple[np.ndarray, np.ndarray]:
        """P (m, T) and its gradient (m, T, k); kept within (0, 1), where it does not slope, where ``clip``."""
        n = self.model.n_parameters
        left, slopes = self.model.curve(times, parameters[..., :n])
        if clip:
            outside = (left < 0) | (left > 1)
            if outside.any():
                left = np.clip(left, 0, 1)
                slopes = np.where(outside[..., None], 0, slopes)
        if self.floor is None:
            floor = columns(parameters)[-1]
            range_ = 1 - floor - self.lapse
            slopes = np.concatenate([slopes * range_[..., None], (1 - left)[..., None]], -1)
            p = floor + range_ * left
        else:
            p = self.floor + (1 - self.floor - self.lapse) * left
            slopes = slopes * (1 - self.floor - self.lapse)
        return (np.clip(p, CLIP, 1 - CLIP) if clip else p), slopes


@dataclass(frozen=True)
class Scored:
    """Where rows of fits ended.

    Parameters
    ----------
    parameters : float64 (m, k)
    loss : float64 (m,)
        Minus the log likelihood without its constant, or half of the sum of squares.
    information : float64 (m, k, k)
        Of the parameters; for least squares as if the variance were 1.
    score : float64 (m, k)
        Slope of minus the loss.
    settled : bool (m,)
    """

    parameters: np.ndarray
    loss: np.ndarray
    information: np.ndarray
    score: np.ndarray
    settled: np.ndarray


def losses(counts: Counts, p: np.ndarray) -> np.ndarray:
    """Minus the log likelihood of each row without its constant, or half of the sum of squares."""
    k, n = counts.successes, counts.trials
    if counts.gaussian:
        return 0.5 * (n * (k - p) ** 2).sum(-1)
    return -(k * np.log(p) + (n - k) * np.log1p(-p)).sum(-1)


def evaluate(response: Response, counts: Counts, parameters: np.ndarray, *, expected: bool = False) -> Scored:
    """Loss, score and information (observed, or ``expected``) of rows, in natural parameters."""
    p, slopes = response.evaluate(counts.times, parameters, not counts.gaussian)
    k, n = counts.successes, counts.trials
    if counts.gaussian:
        weights, pull = n, n * (k - p)
    else:
        pull = k / p - (n - k) / (1 - p)
        weights = n / (p * (1 - p)) if expected else k / p**2 + (n - k) / (1 - p) ** 2
    score = np.einsum("mt,mtk->mk", pull, slopes)
    information = np.matmul((slopes * weights[..., None]).swapaxes(-1, -2), slopes)
    return Scored(parameters, losses(counts, p), information, score, np.zeros(len(parameters), bool))


def ordered(model: CurveModel, parameters: np.ndarray) -> np.ndarray:
    """Parameters with the pair of ``model.ordered`` in order."""
    if model.ordered:
        larger, smaller = model.ordered
        parameters[:, smaller] = np.minimum(parameters[:, smaller], parameters[:, larger])
    return parameters


def maximise(
    response: Response,
    counts: Counts,
    starts: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    fixed: np.ndarray | None = None,
    most_steps: int = MOST_STEPS,
) -> Scored:
    """Fit every row from its start.

    Parameters
    ----------
    response : Response
    counts : Counts
        One data set for each row.
    starts : float64 (m, k)
    low, high : float64 (k,) or (m, k)
    fixed : bool (m, k), optional
        Parameters that stay at their start.
    most_steps : int
    """
    logs = response.log_scaled
    m, k = starts.shape
    low, high = (np.broadcast_to(bound, (m, k)) for bound in (low, high))
    held = np.zeros((m, k), bool) if fixed is None else fixed
    start = np.where(held, starts, np.clip(starts, low, high))
    now = evaluate(response, counts, ordered(response.model, start))
    damping = np.full(m, 1e-3)
    active = np.arange(m)
    for _ in range(most_steps):
        mine, scale = now.parameters[active], np.where(logs, now.parameters[active], 1.0)
        score = now.score[active] * scale
        information = now.information[active] * scale[:, :, None] * scale[:, None, :]
        still = held[active] | ((mine <= low[active]) & (score < 0)) | ((mine >= high[active]) & (score > 0))
        score[still] = 0
        steps = damped_steps(information, score, still, damping[active])
        steps = np.where(logs, np.clip(steps, -LONGEST_STEP, LONGEST_STEP), steps)
        gain = abs(steps * score).sum(1)
        with np.errstate(over="ignore"):
            moved = np.where(logs, mine * np.exp(np.where(logs, steps, 0)), mine + steps)
        moved = np.where(held[active], mine, np.clip(moved, low[active], high[active]))
        moved = ordered(response.model, moved)
        new = evaluate(response, counts.rows(active), moved)
        slack = 1e-14 * abs(now.loss[active])
        better = new.loss <= now.loss[active] + slack
        relative = np.where(logs, abs(steps), abs(moved - mine) / (abs(mine) + 1e-12)).max(1)
        where = active[better]
        for name in ("parameters", "loss", "information", "score"):
            getattr(now, name)[where] = getattr(new, name)[better]
        damping[active] = np.where(better, np.maximum(0.2 * damping[active], 1e-12), 8 * damping[active])
        tolerance = 1e-12 * (new.loss if counts.gaussian else np.maximum(1.0, 1e-3 * new.loss))
        done = (better & ((gain <= tolerance) | (relative < 1e-13))) | (damping[active] > MOST_DAMPING)
        now.settled[active[done]] = True
        active = active[~done]
        if not active.size:
            break
    return now


def damped_steps(information: np.ndarray, score: np.ndarray, still: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """Steps of Levenberg and Marquardt, 0 where parameters stay still."""
    k = information.shape[-1]
    diagonal = np.einsum("mkk->mk", information)
    size = np.where(still | (diagonal <= 0), 1.0, np.sqrt(np.maximum(diagonal, 1e-300)))
    scaled = information / (size[:, :, None] * size[:, None, :])
    off = still[:, :, None] | still[:, None, :]
    scaled = np.where(off, 0.0, scaled)
    scaled[:, range(k), range(k)] = 1.0 + damping[:, None]
    # rows that rounding has made singular are moved along the slope
    try:
        steps = np.linalg.solve(scaled, (score / size)[..., None])[..., 0]
    except np.linalg.LinAlgError:
        steps = score / size / (1 + damping[:, None])
    return np.where(still, 0.0, steps / size)


def best_of_starts(response: Response, counts: Counts, low: np.ndarray, high: np.ndarray, starts: np.ndarray) -> Scored:
    """The best fit of one data set over all starts, as one row."""
    found = maximise(response, counts.rows(np.zeros(len(starts), int)), starts, low, high)
    best = np.array([int(np.argmin(found.loss))])
    row = Scored(*(getattr(found, name)[best] for name in ("parameters", "loss", "information", "score", "settled")))
    return polished(response, counts, row, low, high)


def polished(response: Response, counts: Counts, row: Scored, low: np.ndarray, high: np.ndarray) -> Scored:
    """A few steps of Newton's method with the curvature of the curve as well, from differences of the score."""
    scale = np.where(response.log_scaled, row.parameters[0], 1.0)
    for _ in range(POLISHING):
        at = row.parameters[0]
        free = np.flatnonzero((at > low) & (at < high))
        steps = 1e-5 * np.maximum(abs(at[free]), 1e-6)
        around = np.repeat(at[None], 2 * len(free), 0)
        around[np.arange(len(free)), free] += steps
        around[np.arange(len(free)) + len(free), free] -= steps
        if not free.size or (around < low).any() or (around > high).any():
            break
        score = evaluate(response, counts.rows(np.zeros(len(around), int)), around).score[:, free]
        curvature = -(score[: len(free)] - score[len(free) :]) / (2 * steps[:, None])
        curvature = (curvature + curvature.T) / 2 * np.outer(scale[free], scale[free])
        values, vectors = np.linalg.eigh(curvature)
        if values[0] <= 1e-10 * values[-1]:
            break
        moved = at.copy()
        moved[free] += scale[free] * (vectors @ (vectors.T @ (scale[free] * row.score[0, free]) / values))
        if (moved <= low)[free].any() or (moved >= high)[free].any():
            break
        new = evaluate(response, counts, ordered(response.model, moved[None]))
        if not new.loss[0] < row.loss[0]:
            break
        row = Scored(new.parameters, new.loss, new.information, new.score, row.settled)
    return row
