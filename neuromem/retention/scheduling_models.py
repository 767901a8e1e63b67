"""Models of people that review schedulers use, for whole collections of cards at once: FSRS-6, SM-2, half-life regression."""

from typing import Any, NamedTuple

import numpy as np

from neuromem import validate
from neuromem.base import Estimator
from neuromem.errors import FormatError, InputError

# fmt: off
FSRS6_WEIGHTS = (
    0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796, 1.4835, 0.0614, 0.2629, 1.6483,
    0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
)
# fmt: on
LEAST_STABILITY = 1e-3
LEAST_EASINESS, FIRST_EASINESS = 1.3, 2.5
MARGIN = 1e-4  # shares of recall are kept that far from 0 and 1 where a half-life is worked out from them


class CardState(NamedTuple):
    """Cards of FSRS-6: stability in days and difficulty in 1 ... 10, float64 arrays of one shape."""

    stability: np.ndarray
    difficulty: np.ndarray


class FSRS6:
    """The free spaced repetition scheduler, version 6: stability and difficulty of cards after reviews.

    Parameters
    ----------
    weights : sequence of 21 floats, default FSRS6_WEIGHTS
        w0 ... w20; the published defaults.

    Notes
    -----
    With ratings r = 1 (again), 2 (hard), 3 (good), 4 (easy): first S = w[r-1] and D = w4 - e^(w5 (r-1)) + 1, kept in 1 ... 10.
    Retrievability R = (1 + F t / S)^(-w20) with F = 0.9^(-1/w20) - 1, so that R(S) = 0.9.  After a success
    S' = S (1 + e^w8 (11 - D) S^(-w9) (e^(w10 (1-R)) - 1) h b), h = w15 if hard, b = w16 if easy; after a lapse
    S' = min(w11 D^(-w12) ((S+1)^w13 - 1) e^(w14 (1-R)), S / e^(w17 w18)); within a day S' = S e^(w17 (r - 3 + w18)) S^(-w19),
    not less than S for r >= 2.  D' = w7 D0(4) + (1 - w7) (D - w6 (r - 3) (10 - D) / 9), kept in 1 ... 10.  R counts whole days.

    Examples
    --------
    >>> import numpy as np
    >>> model = FSRS6()
    >>> history = model.simulate([[3, 3, 1]], [[0, 3, 10]])
    >>> history.stability.round(6).tolist(), history.difficulty.round(6).tolist()
    ([[2.3065, 13.826904, 1.666141]], [[2.118104, 2.111214, 7.392238]])
    """

    def __init__(self, weights: Any = FSRS6_WEIGHTS) -> None:
        w = np.array(weights, np.float64)
        if w.shape != (21,) or not np.isfinite(w).all():
            raise InputError(f"weights have shape {w.shape}, 21 finite numbers were expected")
        if w[20] <= 0 or (w[:4] <= 0).any():
            raise InputError("weights 0 to 3 (first stabilities) and 20 (decay) must be above 0")
        self.weights = w

    def retrievability(self, stability: Any, days: Any) -> np.ndarray:
        """Chance of recall so many days after the last review; arrays that broadcast."""
        factor = 0.9 ** (-1.0 / self.weights[20]) - 1.0
        return np.asarray((1.0 + factor * np.asarray(days, np.float64) / stability) ** -self.weights[20])

    def interval(self, stability: Any, retention: float = 0.9) -> np.ndarray:
        """Days until the chance of recall has fallen to ``retention``.

        Examples
        --------
        >>> FSRS6().interval([7.0], 0.9).round(9).tolist()
        [7.0]
        """
        retention = validate.number(retention, "retention", low=0.0, high=1.0, low_open=True)
        power = -1.0 / self.weights[20]
        return np.asarray(np.asarray(stability, np.float64) * (retention**power - 1.0) / (0.9**power - 1.0))

    def _ratings(self, ratings: Any) -> np.ndarray:
        ratings = np.asarray(ratings)
        if ratings.size and (ratings.dtype.kind not in "iu" or not 1 <= ratings.min() <= ratings.max() <= 4):
            raise InputError("ratings have other values than 1 (again), 2 (hard), 3 (good), 4 (easy)")
        return ratings.astype(np.int64)

    def _first_difficulty(self, ratings: Any) -> np.ndarray:
        return np.asarray(self.weights[4] - np.exp(self.weights[5] * (ratings - 1)) + 1.0)

    def start(self, ratings: Any) -> CardState:
        """Cards after their first review, by its ratings (any shape)."""
        ratings = self._ratings(ratings)
        return CardState(self.weights[ratings - 1], np.clip(self._first_difficulty(ratings), 1.0, 10.0))

    def review(self, state: CardState, days: Any, ratings: Any) -> CardState:
        """Cards after another review.

        Parameters
        ----------
        state : CardState
        days : array of float >= 0
            Since the review before; less than 1: on the same day.
        ratings : array of int

        Raises
        ------
        InputError
            For ratings that are not 1 to 4, negative days, or stability or difficulty out of range.
        """
        w, r = self.weights, self._ratings(ratings)
        days = np.asarray(days, np.float64)
        s, d = np.asarray(state.stability, np.float64), np.asarray(state.difficulty, np.float64)
        if not (days >= 0).all() or not np.isfinite(days).all():
            raise InputError("days have negative values, or values that are not finite")
        if not (s > 0).all() or not ((d >= 1) & (d <= 10)).all():
            raise InputError("state has a stability that is not above 0, or a difficulty outside 1 ... 10")
        recall = self.retrievability(s, np.floor(days))
        bonus = np.where(r == 2, w[15], 1.0) * np.where(r == 4, w[16], 1.0)
        success = s * (1.0 + np.exp(w[8]) * (11.0 - d) * s ** -w[9] * np.expm1(w[10] * (1.0 - recall)) * bonus)
        lapse = w[11] * d ** -w[12] * ((s + 1.0) ** w[13] - 1.0) * np.exp(w[14] * (1.0 - recall))
        lapse = np.minimum(lapse, s / np.exp(w[17] * w[18]))
        growth = np.exp(w[17] * (r - 3 + w[18])) * s ** -w[19]
        same_day = s * np.where(r >= 2, np.maximum(growth, 1.0), growth)
        stability = np.where(days < 1, same_day, np.where(r == 1, lapse, success))
        moved = d - w[6] * (r - 3) * (10.0 - d) / 9.0
        difficulty = w[7] * self._first_difficulty(4) + (1.0 - w[7]) * moved
        return CardState(np.maximum(stability, LEAST_STABILITY), np.clip(difficulty, 1.0, 10.0))

    def simulate(self, ratings: Any, days: Any) -> CardState:
        """Cards after every review of a history.

        Parameters
        ----------
        ratings : int array (n, reviews)
        days : float array (n, reviews)
            Since the review before; the first column is not used.

        Returns
        -------
        CardState
            Arrays (n, reviews).
        """
        ratings, days = self._ratings(ratings), np.asarray(days, np.float64)
        if ratings.ndim != 2 or ratings.shape != days.shape or not ratings.shape[1]:
            raise InputError(f"ratings and days have shapes {ratings.shape} and {days.shape}, (n, reviews) of both was expected")
        states = [self.start(ratings[:, 0])]
        for turn in range(1, ratings.shape[1]):
            states.append(self.review(states[-1], days[:, turn], ratings[:, turn]))
        return CardState(np.stack([s.stability for s in states], axis=1), np.stack([s.difficulty for s in states], axis=1))


class SM2State(NamedTuple):
    """Cards of SM-2: successes in a row (int64), days to the next review (int64) and easiness (float64), of one shape."""

    repetitions: np.ndarray
    interval: np.ndarray
    easiness: np.ndarray


class SM2:
    """SuperMemo's second algorithm (Wozniak 1990): intervals from the quality of answers.

    Notes
    -----
    Intervals of 1 and 6 days, then the one before times the easiness EF, rounded up.  After an answer of quality q = 0 ... 5,
    EF <- max(1.3, EF + 0.1 - (5 - q) (0.08 + 0.02 (5 - q))), from 2.5; the interval to come uses the new one.  With q < 3 the
    card starts again, and EF stays.

    Examples
    --------
    >>> import numpy as np
    >>> model = SM2()
    >>> state = model.start(1)
    >>> for quality in (4, 4, 4, 5):
    ...     state = model.review(state, [quality])
    ...     print(state.interval.item(), round(state.easiness.item(), 2))
    1 2.5
    6 2.5
    15 2.5
    39 2.6
    """

    def start(self, n: int) -> SM2State:
        """Cards that have not been seen."""
        n = validate.integer(n, "n", 0)
        return SM2State(np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, FIRST_EASINESS))

    def review(self, state: SM2State, quality: Any) -> SM2State:
        """Cards after a review.

        Parameters
        ----------
        state : SM2State
        quality : int array
            0 (blank) ... 5 (at once and right); below 3 is a failure.

        Raises
        ------
        InputError
            For other qualities.
        """
        q = np.asarray(quality)
        if q.size and (q.dtype.kind not in "iu" or not 0 <= q.min() <= q.max() <= 5):
            raise InputError("quality has other values than 0 ... 5")
        passed, missing = q >= 3, 5 - q.astype(np.int64)
        moved = np.maximum(LEAST_EASINESS, state.easiness + 0.1 - missing * (0.08 + 0.02 * missing))
        easiness = np.where(passed, moved, state.easiness)
        repetitions = np.where(passed, state.repetitions + 1, 0)
        # less a little: 10 times 2.6 is a bit more than 26
        later = np.ceil(state.interval * easiness - 1e-9).astype(np.int64)
        return SM2State(repetitions, np.where(repetitions <= 1, 1, np.where(repetitions == 2, 6, later)), easiness)


class HalfLifeRegression(Estimator):
    """Memories that halve with time, with a half-life from features of an item's history (Settles & Meeder 2016).

    Parameters
    ----------
    half_life_weight : float >= 0, default 0.0
        Weight of squared errors of half-lives; the paper has 0.01, for observed shares of recall that lie inside 0 ... 1.
    penalty : float >= 0, default 0.0
        Weight of the squared coefficients.
    bounds : (float, float), default (0.01, 300.0)
        Half-lives are kept within these, in the unit of the lags.

    Attributes
    ----------
    coefficients_ : float64 (n_features,)

    Notes
    -----
    p = 2^(-lag / h) with h = 2^(x . theta); minimised is the mean of (p - observed)^2 + half_life_weight (h - observed h)^2,
    plus the penalty times the square of theta, where the observed h is -lag / log2(observed share).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = HalfLifeRegression.features(rng.integers(0, 9, 500), rng.integers(0, 9, 500))
    >>> lags = rng.uniform(0.5, 20, 500)
    >>> shares = 2.0 ** (-lags / 2.0 ** (x @ [1.0, 0.8, -0.5]))
    >>> HalfLifeRegression().fit(x, lags, shares).coefficients_.round(2).tolist()
    [1.0, 0.8, -0.5]
    """

    _STATE = {"coefficients_": (np.float64, 1)}
    coefficients_: np.ndarray

    def __init__(self, half_life_weight: float = 0.0, penalty: float = 0.0, bounds: tuple[float, float] = (0.01, 300.0)) -> None:
        self.half_life_weight = half_life_weight
        self.penalty = penalty
        self.bounds = bounds

    def _validate_params(self) -> None:
        validate.number(self.half_life_weight, "half_life_weight", low=0.0)
        validate.number(self.penalty, "penalty", low=0.0)
        if not isinstance(self.bounds, (tuple, list)) or len(self.bounds) != 2:
            raise InputError(f"bounds is {self.bounds!r}, the lowest and the highest half-life were expected")
        low = validate.number(self.bounds[0], "bounds[0]", low=0.0, low_open=True)
        validate.number(self.bounds[1], "bounds[1]", low=low, low_open=True)

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if arrays and not np.isfinite(arrays["coefficients_"]).all():
            raise FormatError("coefficients_ are not finite")

    @staticmethod
    def features(right: Any, wrong: Any) -> np.ndarray:
        """The paper's features of a history: 1, sqrt(times recalled), sqrt(times not recalled), float64 (n, 3)."""
        right, wrong = np.atleast_1d(np.asarray(right, np.float64)), np.atleast_1d(np.asarray(wrong, np.float64))
        if right.ndim != 1 or right.shape != wrong.shape or not ((right >= 0) & (wrong >= 0)).all():
            raise InputError("right and wrong are counts (n,) of the same items")
        return np.stack([np.ones(len(right)), np.sqrt(right), np.sqrt(wrong)], axis=1)

    def fit(self, X: Any, lags: Any, recalled: Any) -> "HalfLifeRegression":
        """Learn the coefficients.

        Parameters
        ----------
        X : array (n, n_features)
        lags : array (n,)
            Time since the last review, above 0.
        recalled : array (n,)
            Share of recall in 0 ... 1, or outcomes 0 and 1.

        Raises
        ------
        InputError
            For other lengths, lags that are not above 0, or shares outside 0 ... 1.
        """
        from scipy.optimize import minimize

        self._validate_params()
        X = validate.real_items(X, name="X", owner="HalfLifeRegression", min_items=1)
        lags, shares = np.asarray(lags, np.float64), np.asarray(recalled, np.float64)
        if lags.shape != (len(X),) or shares.shape != (len(X),):
            raise InputError(f"lags and recalled have shapes {lags.shape} and {shares.shape}, ({len(X)},) was expected")
        if not (lags > 0).all() or not np.isfinite(lags).all():
            raise InputError("lags have values that are not above 0, or not finite")
        if not ((shares >= 0) & (shares <= 1)).all():
            raise InputError("recalled has values outside 0 ... 1")
        observed = np.clip(-lags / np.log2(np.clip(shares, MARGIN, 1 - MARGIN)), *self.bounds)
        start = np.linalg.lstsq(X, np.log2(observed), rcond=None)[0]
        given = X, lags, shares, observed
        found = minimize(self.loss_and_gradient, start, given, "L-BFGS-B", jac=True, options={"ftol": 1e-15, "gtol": 1e-12})
        self.coefficients_ = np.asarray(found.x, np.float64)
        return self

    def loss_and_gradient(
        self, theta: np.ndarray, X: np.ndarray, lags: np.ndarray, shares: np.ndarray, observed: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """What is minimised, and its slope; a half-life at a bound has none."""
        exponents = X @ theta
        h = self._bounded(exponents)
        inside = (h > self.bounds[0]) & (h < self.bounds[1])
        p = 2.0 ** (-lags / h)
        off, off_life = p - shares, h - observed
        loss = (off**2 + self.half_life_weight * off_life**2).mean() + self.penalty * theta @ theta
        # dp/dtheta = p ln2^2 (lag / h) x and dh/dtheta = h ln2 x
        slope = 2 * np.log(2) * (off * p * np.log(2) * lags / h + self.half_life_weight * off_life * h) * inside
        return float(loss), X.T @ slope / len(X) + 2 * self.penalty * theta

    def _bounded(self, exponents: np.ndarray) -> np.ndarray:
        low, high = np.log2(self.bounds)
        return np.asarray(2.0 ** np.clip(exponents, low, high))

    def half_life(self, X: Any) -> np.ndarray:
        """Half-life of items, float64 (n,)."""
        self._check_fitted()
        X = validate.real_items(X, len(self.coefficients_), name="X", owner="HalfLifeRegression")
        return self._bounded(X @ self.coefficients_)

    def predict(self, X: Any, lags: Any) -> np.ndarray:
        """Chance of recall after lags (n,), float64 (n,)."""
        return np.asarray(2.0 ** (-np.asarray(lags, np.float64) / self.half_life(X)))
