"""Forgetting curves R(t) with gradients, bounds and places to start a fit.

Every curve is one function of the times (T,) and of natural parameters (..., k) that returns R (..., T) and its gradient
(..., T, k); it is analytic, so that complex parameters give complex steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem.errors import InputError, UnknownKeyError

Curve = Callable[[np.ndarray, Any], tuple[np.ndarray, np.ndarray]]
SMALLEST = 1e-6  # of an amplitude
STEEPEST = 5.0  # exponent of a power law
FSRS_DECAY = 0.1542  # the twenty-first default weight of FSRS-6
FSRS_FACTOR = 0.9 ** (-1 / FSRS_DECAY) - 1
N_STARTS = 16


@dataclass(frozen=True)
class Span:
    """What bounds and starts of a fit are made from.

    Parameters
    ----------
    unit, longest : float
        Smallest positive and largest time.
    first, last : float
        Retention at the first and at the last time.
    ceiling : float
        Largest retention there can be: 1 for shares.
    """

    unit: float
    longest: float
    first: float
    last: float
    ceiling: float = 1.0

    def times(self, n: int) -> np.ndarray:
        """Time constants, log-spaced over the times and a little beyond."""
        return np.geomspace(self.unit / 5, self.longest * 10, n)


@dataclass(frozen=True)
class CurveModel:
    """One family of forgetting curves.

    Parameters
    ----------
    name : str
    parameters : tuple of str
    formula : str
        R(t) in words of the parameters.
    curve : callable
        (times, parameters) to R and its gradient.
    bounds : callable
        From a ``Span`` to a pair (low, high) for each parameter.
    starts : callable
        From a ``Span`` to points (S, k) where fits begin.
    log_scaled : tuple of bool
        Which parameters are fitted as their logarithm: rates and times.
    least_time : float
        Smallest time the curve is defined at.
    least_time_open : bool
        Whether that time itself is left out.
    ordered : tuple of int
        (i, j): parameter j is never above parameter i.
    power_like : bool
        Whether its tail is a power of time, which an average of exponentials can look like.
    """

    name: str
    parameters: tuple[str, ...]
    formula: str
    curve: Curve
    bounds: Callable[[Span], tuple[tuple[float, float], ...]]
    starts: Callable[[Span], np.ndarray]
    log_scaled: tuple[bool, ...]
    least_time: float = 0.0
    least_time_open: bool = False
    ordered: tuple[int, ...] = ()
    power_like: bool = False

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return len(self.parameters)

    def value(self, times: Any, parameters: Any) -> np.ndarray:
        """R at ``times`` (T,), for parameters (..., k): (..., T).

        Examples
        --------
        >>> float(MODELS["exponential"].value([0.0], [0.9, 0.1])[0])
        0.9
        """
        return self.curve(np.asarray(times, float), np.asarray(parameters))[0]

    def gradient(self, times: Any, parameters: Any) -> np.ndarray:
        """Derivatives of R by each parameter, (..., T, k)."""
        return self.curve(np.asarray(times, float), np.asarray(parameters))[1]

    def allows(self, times: np.ndarray) -> bool:
        """Whether the curve is defined at all of these times."""
        lowest = times.min()
        return bool(lowest > self.least_time if self.least_time_open else lowest >= self.least_time)


def columns(parameters: Any) -> list[np.ndarray]:
    """Each parameter with an axis for the times."""
    parameters = np.asarray(parameters)
    return [parameters[..., i, None] for i in range(parameters.shape[-1])]


def decaying(transform: Callable[[np.ndarray], np.ndarray]) -> Curve:
    """a exp(-b x), x a function of time."""

    def curve(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
        a, b = columns(parameters)
        x = transform(times)
        left = np.exp(-b * x)
        return a * left, np.stack([left, -a * x * left], -1)

    return curve


def hyperbola(transform: Callable[[np.ndarray], np.ndarray]) -> Curve:
    """a / (1 + b x), x a function of time."""

    def curve(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
        a, b = columns(parameters)
        x = transform(times)
        left = 1 / (1 + b * x)
        return a * left, np.stack([left, -a * x * left**2], -1)

    return curve


def itself(times: np.ndarray) -> np.ndarray:
    """The time."""
    return times


def exp_asymptote(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """c + (a - c) exp(-b t)."""
    a, b, c = columns(parameters)
    left = np.exp(-b * times)
    return c + (a - c) * left, np.stack([left, -(a - c) * times * left, 1 - left], -1)


def power_offset(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """a (1 + t / tau) ** -b."""
    a, b, tau = columns(parameters)
    x = times / tau
    log = np.log(1 + x)
    left = np.exp(-b * log)
    return a * left, np.stack([left, -a * log * left, a * b * left / (1 + x) * x / tau], -1)


def wickelgren(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """a (1 + beta t) ** -psi exp(-pi t)."""
    a, beta, psi, pi = columns(parameters)
    log = np.log(1 + beta * times)
    left = np.exp(-psi * log - pi * times)
    return a * left, np.stack([left, -a * psi * times / (1 + beta * times) * left, -a * log * left, -a * times * left], -1)


def logarithm(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """a - b ln t."""
    a, b = columns(parameters)
    log = np.log(times)
    return a - b * log, np.stack(np.broadcast_arrays(np.ones_like(a), -log + 0 * a), -1)


def ebbinghaus(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """k / (log10(t) ** c + k)."""
    k, c = columns(parameters)
    with np.errstate(divide="ignore"):
        log = np.maximum(np.log(np.log10(times)), -745.0)  # at t = 1, where the power is 0
    power = np.exp(c * log)
    below = power + k
    return k / below, np.stack([power / below**2, -k * power * log / below**2], -1)


def double_exp(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """a1 exp(-t / T1) + a2 exp(-t / T2)."""
    a1, T1, a2, T2 = columns(parameters)
    fast, slow = np.exp(-times / T1), np.exp(-times / T2)
    return a1 * fast + a2 * slow, np.stack([fast, a1 * times / T1**2 * fast, slow, a2 * times / T2**2 * slow], -1)


def double_exp_asymptote(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """a1 exp(-t / T1) + a2 exp(-t / T2) + a3."""
    parameters = np.asarray(parameters)
    value, gradient = double_exp(times, parameters[..., :4])
    return value + parameters[..., 4, None], np.concatenate([gradient, np.ones_like(gradient[..., :1])], -1)


def memory_chain(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """1 - exp(-m), m = mu1 (exp(-a1 t) + mu2 (exp(-a2 t) - exp(-a1 t)) / (a1 - a2))."""
    mu1, a1, mu2, a2 = columns(parameters)
    x = (a1 - a2) * times
    small = abs(x) < 1e-4
    safe = np.where(small, 1, x)
    phi = np.where(small, 1 - x / 2 + x**2 / 6, -np.expm1(-safe) / safe)  # (1 - exp(-x)) / x
    phi_slope = np.where(small, -0.5 + x / 3 - x**2 / 8, (np.exp(-safe) - phi) / safe)
    first, second = np.exp(-a1 * times), np.exp(-a2 * times)
    moved = second * times * phi
    moved_slope = second * times**2 * phi_slope  # by a1
    m = mu1 * (first + mu2 * moved)
    slopes = [
        first + mu2 * moved,
        mu1 * (mu2 * moved_slope - times * first),
        mu1 * moved,
        mu1 * mu2 * (-times * moved - moved_slope),
    ]
    lost = np.exp(-m)
    return 1 - lost, np.stack([lost * slope for slope in slopes], -1)


def fsrs6(times: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """(1 + F t / S) ** -w, so that R(S) is 0.9."""
    (stability,) = columns(parameters)
    x = FSRS_FACTOR * times / stability
    value = (1 + x) ** -FSRS_DECAY
    return value, (FSRS_DECAY * value / (1 + x) * x / stability)[..., None]


def grid(*values: Any) -> np.ndarray:
    """All combinations, one a row."""
    return np.stack(np.meshgrid(*[np.atleast_1d(v) for v in values], indexing="ij"), -1).reshape(-1, len(values))


def top(span: Span) -> float:
    """Where an amplitude begins: the first value, kept off the ends."""
    return float(np.clip(span.first, 0.02 * span.ceiling, 0.98 * span.ceiling))


def floor_of(span: Span) -> float:
    """Where an asymptote begins: a little below the last value."""
    return float(np.clip(0.9 * span.last, 0.0, 0.9 * top(span)))


def amplitude(span: Span, scale: float = 1.0) -> tuple[float, float]:
    """Bounds of an amplitude."""
    return (SMALLEST * span.ceiling, scale * span.ceiling)


def exponents(span: Span) -> np.ndarray:
    """Exponents that take the first to near the last value, and others around them."""
    return np.geomspace(0.005, 2.5, N_STARTS)


def rate_model(name: str, formula: str, curve: Curve, root: bool = False) -> CurveModel:
    """An amplitude and a rate, or a rate by the root of time."""
    power = 0.5 if root else 1.0
    most = 10.0 if name.startswith("exp") else 1000.0
    return CurveModel(
        name,
        ("amplitude", "rate"),
        formula,
        curve,
        lambda s: (amplitude(s), (1e-12 / s.unit**power, most / s.unit**power)),
        lambda s: grid(top(s), s.times(N_STARTS) ** -power),
        (False, True),
    )


def power_model(name: str, formula: str, curve: Curve, scale: float, least_time_open: bool) -> CurveModel:
    """An amplitude and an exponent."""
    return CurveModel(
        name,
        ("amplitude", "exponent"),
        formula,
        curve,
        lambda s: (amplitude(s, scale if s.unit > 1 else 1.0), (0.0, STEEPEST)),
        lambda s: grid(top(s), exponents(s)),
        (False, False),
        least_time_open=least_time_open,
        power_like=True,
    )


def double_starts(span: Span) -> np.ndarray:
    """Two amplitudes around half of the first value, two times."""
    pairs = grid(span.times(7)[:-1], span.times(7)[1:])
    pairs = pairs[pairs[:, 0] < pairs[:, 1]][:21]
    half = np.full(len(pairs), top(span) / 2)
    return np.stack([half, pairs[:, 0], half, pairs[:, 1]], -1)


def double_bounds(span: Span) -> tuple[tuple[float, float], ...]:
    """Amplitudes from 0, times from far below to far above those measured."""
    share = (0.0, span.ceiling)
    return (share, (span.unit / 100, 1e2 * span.longest), share, (span.unit / 100, 1e4 * span.longest))


ROWS = (
    rate_model("exponential", "a exp(-b t)", decaying(itself)),
    CurveModel(
        "exp_asymptote",
        ("amplitude", "rate", "asymptote"),
        "c + (a - c) exp(-b t), c <= a",
        exp_asymptote,
        lambda s: (amplitude(s), (1e-12 / s.unit, 10 / s.unit), (0.0, s.ceiling)),
        lambda s: grid(top(s), 1 / s.times(8), [floor_of(s), 0.4 * floor_of(s)]),
        (False, True, False),
        ordered=(0, 2),
    ),
    power_model("power", "a t**-b, t > 0", decaying(np.log), 1000.0, True),
    power_model("power1", "a (1 + t)**-b", decaying(np.log1p), 1.0, False),
    CurveModel(
        "power_offset",
        ("amplitude", "exponent", "time_scale"),
        "a (1 + t / tau)**-b",
        power_offset,
        lambda s: (amplitude(s), (0.0, STEEPEST), (s.unit / 100, 100 * s.longest)),
        lambda s: grid(top(s), [0.08, 0.4, 1.5], s.times(6)),
        (False, False, True),
        power_like=True,
    ),
    CurveModel(
        "wickelgren",
        ("amplitude", "growth", "exponent", "rate"),
        "a (1 + beta t)**-psi exp(-pi t)",
        wickelgren,
        lambda s: (amplitude(s), (0.01 / s.longest, 1e3 / s.unit), (0.0, STEEPEST), (0.0, 10 / s.unit)),
        lambda s: grid(top(s), 1 / s.times(6), [0.08, 0.5], [0.1 / s.longest, 1.0 / s.longest]),
        (False, True, False, False),
        power_like=True,
    ),
    CurveModel(
        "log",
        ("intercept", "slope"),
        "a - b ln t, t > 0",
        logarithm,
        lambda s: (amplitude(s, 1000.0 if s.unit > 1 else 1.0), (0.0, 10 * s.ceiling)),
        lambda s: grid([top(s), (1.5 if s.unit > 1 else 0.7) * top(s)], [0.01 * s.ceiling, 0.05 * s.ceiling, 0.2 * s.ceiling]),
        (False, False),
        least_time_open=True,
    ),
    CurveModel(
        "ebbinghaus",
        ("k", "c"),
        "k / (log10(t)**c + k), t >= 1, in minutes from one minute before the end of learning",
        ebbinghaus,
        lambda s: ((0.01, 20.0), (0.1, 5.0)),
        lambda s: grid([0.2, 0.8, 1.84, 5.0], [0.5, 1.25, 2.0, 3.0]),
        (True, False),
        least_time=1.0,
    ),
    rate_model("hyperbolic", "a / (1 + b t)", hyperbola(itself)),
    rate_model("hyper_sqrt", "a / (1 + b sqrt t)", hyperbola(np.sqrt), root=True),
    rate_model("exp_sqrt", "a exp(-b sqrt t)", decaying(np.sqrt), root=True),
    CurveModel(
        "double_exp",
        ("fast_amplitude", "fast_time", "slow_amplitude", "slow_time"),
        "a1 exp(-t / T1) + a2 exp(-t / T2), T1 <= T2",
        double_exp,
        double_bounds,
        double_starts,
        (False, True, False, True),
        ordered=(3, 1),
    ),
    CurveModel(
        "double_exp_asymptote",
        ("fast_amplitude", "fast_time", "slow_amplitude", "slow_time", "asymptote"),
        "a1 exp(-t / T1) + a2 exp(-t / T2) + a3, T1 <= T2",
        double_exp_asymptote,
        lambda s: (*double_bounds(s), (0.0, s.ceiling)),
        lambda s: np.concatenate([double_starts(s) * [0.7, 1, 0.7, 1], np.full((len(double_starts(s)), 1), floor_of(s))], 1),
        (False, True, False, True, False),
        ordered=(3, 1),
    ),
    CurveModel(
        "memory_chain",
        ("intensity", "fast_decay", "transfer", "slow_decay"),
        "1 - exp(-mu1 (exp(-a1 t) + mu2 (exp(-a2 t) - exp(-a1 t)) / (a1 - a2))), a1 >= a2",
        memory_chain,
        lambda s: ((1e-3, 20.0), (1e-12 / s.unit, 10 / s.unit), (0.0, 10 / s.unit), (0.0, 10 / s.unit)),
        lambda s: np.concatenate(
            [[[-np.log(1 - top(s) / s.ceiling), r, r / 3, r * q]] for r in 1 / s.times(8) for q in (0.001, 0.1)]
        ),
        (True, True, False, False),
        ordered=(1, 3),
    ),
    CurveModel(
        "fsrs6",
        ("stability",),
        "(1 + F t / S)**-0.1542, R(S) = 0.9",
        fsrs6,
        lambda s: ((1e-6 * s.unit, 1e6 * s.longest),),
        lambda s: grid(s.times(N_STARTS)),
        (True,),
    ),
)
MODELS: dict[str, CurveModel] = {row.name: row for row in ROWS}


def model_named(name: str) -> CurveModel:
    """A model of :data:`MODELS`.

    Raises
    ------
    UnknownKeyError
        If there is none of that name.

    Examples
    --------
    >>> model_named("power1").parameters
    ('amplitude', 'exponent')
    """
    if not isinstance(name, str) or name not in MODELS:
        raise UnknownKeyError(f"model is {name!r}, one of {', '.join(map(repr, MODELS))} was expected")
    return MODELS[name]


def check_times(model: CurveModel, times: np.ndarray) -> None:
    """Refuse times at which a model is not defined.

    Raises
    ------
    InputError
        The message names a model that takes such times.
    """
    if not model.allows(times):
        wanted = f"{'above' if model.least_time_open else 'from'} {model.least_time:g} up"
        instead = "power_offset or power1" if model.name == "power" else "power_offset"
        raise InputError(
            f"times has {times.min():g}, model {model.name!r} needs times {wanted}; model {instead} takes times from 0 up"
        )
