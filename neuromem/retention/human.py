"""What people remember: published figures with their sources, and a way to draw them beside a memory's.

``verified`` is False where a figure is only known by hearsay; such figures are shown on request only.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, UnknownKeyError

LOGGER = logging.getLogger("neuromem")
MURRE_DROS = "Murre and Dros 2015, PLoS ONE e0120644, table 3"
MINUTES = np.array([20.0, 60, 540, 1440, 2880, 8640, 44640])
EXACT_MINUTES = np.array([20.0, 64, 526, 1440, 2880, 8640, 44640])  # Ebbinghaus's own intervals, for his formula
UNITS = ("items", "updates", "minutes", "hours", "days", "years")


@dataclass(frozen=True)
class HumanCurve:
    """Retention of people over time.

    Parameters
    ----------
    name, measure, source : str
    minutes : float64 (n,)
    values : float64 (n,)
    chance : float
        What guessing gives.
    verified : bool
    """

    name: str
    measure: str
    source: str
    minutes: np.ndarray
    values: np.ndarray
    chance: float = 0.0
    verified: bool = True


@dataclass(frozen=True)
class HumanFigure:
    """One published figure.

    Parameters
    ----------
    study, what, source : str
    value : float
    low, high : float or None
        Range, where one was published; only ``low``: at least so much, and ``value`` is that.
    n_items : int or None
        How much was studied.
    verified : bool
    """

    study: str
    what: str
    source: str
    value: float
    low: float | None = None
    high: float | None = None
    n_items: int | None = None
    verified: bool = True


def savings_curve(name: str, values: tuple[float, ...], how: str) -> HumanCurve:
    """Savings after the seven intervals of Ebbinghaus."""
    return HumanCurve(name, f"savings in {how}", MURRE_DROS, MINUTES, np.array(values))


CURVES: dict[str, HumanCurve] = {
    "ebbinghaus": savings_curve("Ebbinghaus 1885", (0.582, 0.442, 0.358, 0.337, 0.278, 0.254, 0.211), "time"),
    "mack": savings_curve("Mack", (0.544, 0.432, 0.285, 0.316, 0.365, 0.309, 0.258), "repetitions"),
    "seitz": savings_curve("Seitz", (0.442, 0.325, 0.270, 0.270, 0.286, 0.205, 0.201), "repetitions"),
    "dros": savings_curve("Dros", (0.472, 0.373, 0.276, 0.317, 0.230, 0.168, 0.041), "repetitions"),
    "shepard": HumanCurve(
        "Shepard 1967",
        "recognition of pictures, choice between two",
        "Shepard 1967, J. Verb. Learn. Verb. Behav. 6; from memory, not checked",
        np.array([120.0, 3 * 1440, 7 * 1440, 120 * 1440]),
        np.array([0.997, 0.920, 0.870, 0.577]),
        chance=0.5,
        verified=False,
    ),
}

# Repetitions to learn and to relearn a list, after each of the seven intervals (data set of Murre and Dros 2015)
REPETITIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "ebbinghaus": ((23.8, 24.4, 24.9, 25.2, 26.4, 26.2, 25.7), (10.4, 14.6, 18.6, 16.8, 19.2, 19.7, 20.4)),
    "mack": ((23.7, 25.7, 24.2, 26.9, 26.3, 24.6, 26.7), (10.8, 14.6, 17.3, 18.4, 16.7, 17.0, 19.8)),
    "seitz": ((23.3, 23.7, 21.5, 23.7, 23.8, 22.9, 24.9), (13.0, 16.0, 15.7, 17.3, 17.0, 18.2, 19.9)),
    "dros": ((30.77, 30.64, 31.07, 31.22, 31.42, 31.21, 29.44), (16.26, 19.22, 22.48, 21.33, 24.19, 25.97, 28.23)),
}

SECOND_HAND = "; read in others' accounts"
BRADY = "Brady, Konkle, Alvarez and Oliva 2008, PNAS 105"
SHEPARD = "Shepard 1967, J. Verb. Learn. Verb. Behav. 6"
CEPEDA = "Cepeda, Vul, Rohrer, Wixted and Pashler 2008, Psychol. Sci. 19" + SECOND_HAND
RUBIN = "Rubin, Hinton and Wenzel 1999, J. Exp. Psychol. LMC 25"
UNCHECKED = "; from memory, not checked"
FIGURES: tuple[HumanFigure, ...] = (
    HumanFigure("brady_2008", "choice between two, novel object", BRADY, 0.92, n_items=2500),
    HumanFigure("brady_2008", "choice between two, other exemplar", BRADY, 0.88, n_items=2500),
    HumanFigure("brady_2008", "choice between two, other state", BRADY, 0.87, n_items=2500),
    HumanFigure(
        "konkle_2010",
        "choice between two, 16 exemplars of a category studied",
        "Konkle, Brady, Alvarez and Oliva 2010, J. Exp. Psychol. Gen. 139",
        0.82,
        n_items=2800,
    ),
    HumanFigure("standing_1973", "pictures recognised", "Standing 1973, Q. J. Exp. Psychol. 25", 0.83, n_items=10_000),
    HumanFigure(
        "standing_1970",
        "pictures recognised up to 3 days later, at least",
        "Standing, Conezio and Haber 1970, Psychon. Sci. 19",
        0.90,
        low=0.90,
        n_items=2560,
    ),
    HumanFigure("shepard_1967", "pictures recognised at once, median", SHEPARD + SECOND_HAND, 0.985, n_items=612),
    HumanFigure("shepard_1967", "pictures recognised at once, mean", SHEPARD + UNCHECKED, 0.967, verified=False),
    HumanFigure("shepard_1967", "words recognised at once, mean", SHEPARD + UNCHECKED, 0.884, verified=False),
    HumanFigure("shepard_1967", "sentences recognised at once, mean", SHEPARD + UNCHECKED, 0.890, verified=False),
    HumanFigure("cepeda_2008", "best gap as a share of a delay of a week", CEPEDA, 0.3, low=0.2, high=0.4),
    HumanFigure("cepeda_2008", "best gap as a share of a delay of a year", CEPEDA, 0.075, low=0.05, high=0.10),
    HumanFigure("rubin_1999", "slow time constant in items, recall and remember-know", RUBIN, 28.0),
    HumanFigure("rubin_1999", "slow time constant in items, old-new recognition", RUBIN, 13.0),
    HumanFigure("rubin_1999", "fast time constant in items", RUBIN + UNCHECKED, 1.15, verified=False),
)

# Spanish learned at school (Bahrick 1984): how the course goes, in years after the last lesson; no levels, and not checked
BAHRICK_PHASES: tuple[tuple[str, float, float], ...] = (("steep fall", 0, 5), ("level", 5, 30), ("last decline", 30, 50))


def human_curves(*, unverified: bool = False) -> dict[str, HumanCurve]:
    """Published retention curves by name.

    Parameters
    ----------
    unverified : bool, default False
        Also those that were not checked against a source.

    Examples
    --------
    >>> sorted(human_curves())
    ['dros', 'ebbinghaus', 'mack', 'seitz']
    """
    return {name: curve for name, curve in CURVES.items() if curve.verified or unverified}


def human_figures(study: str | None = None, *, unverified: bool = False) -> list[HumanFigure]:
    """Published single figures.

    Parameters
    ----------
    study : str, optional
        Such as "brady_2008".
    unverified : bool, default False

    Raises
    ------
    UnknownKeyError
        For a study that is not there.

    Examples
    --------
    >>> [figure.value for figure in human_figures("brady_2008")]
    [0.92, 0.88, 0.87]
    """
    studies = sorted({figure.study for figure in FIGURES})
    if study is not None and study not in studies:
        raise UnknownKeyError(f"study is {study!r}, one of {', '.join(map(repr, studies))} was expected")
    return [figure for figure in FIGURES if study in (None, figure.study) and (figure.verified or unverified)]


def human_curve(which: str, *, unverified: bool = False) -> HumanCurve:
    """One published retention curve.

    Raises
    ------
    UnknownKeyError
        If there is none of that name.
    InputError
        If it is not verified, and that was not asked for.

    Examples
    --------
    >>> float(human_curve("ebbinghaus").values[0])
    0.582
    """
    if which not in CURVES:
        raise UnknownKeyError(f"which is {which!r}, one of {', '.join(map(repr, CURVES))} was expected")
    curve = CURVES[which]
    if not (curve.verified or unverified):
        raise InputError(f"which is {which!r}, whose figures were not checked against a source: unverified=True shows them")
    return curve


def ebbinghaus_formula(minutes: Any, k: float = 1.84, c: float = 1.25) -> np.ndarray:
    """Savings by Ebbinghaus's formula of 1885, k / (log10(t)^c + k), t from one minute before the end of learning.

    Parameters
    ----------
    minutes : array-like
        At least 1.
    k, c : float

    Raises
    ------
    InputError

    Examples
    --------
    >>> ebbinghaus_formula([20, 44640]).round(3).tolist()
    [0.57, 0.212]
    """
    t = np.asarray(minutes, float)
    if not (np.isfinite(t).all() and (t >= 1).all()):
        raise InputError("minutes has a number that is not finite, or below 1: the formula counts from 1 minute up")
    savings: np.ndarray = k / (np.log10(t) ** c + k)
    return savings


def half_time(times: Any, values: Any, chance: float = 0.0) -> float:
    """Time at which what is above chance has fallen to half of its first value, between points by the logarithm of time.

    Parameters
    ----------
    times : array-like (n,)
        Ascending; a time of 0 comes first.
    values : array-like (n,)
    chance : float, default 0

    Raises
    ------
    InputError
        If the values do not fall so far.

    Examples
    --------
    >>> half_time([1, 10, 100], [0.8, 0.5, 0.3])
    31.62...
    """
    t, left = np.asarray(times, float), np.asarray(values, float) - chance
    if t.ndim != 1 or t.shape != left.shape or t.size < 2 or not (np.diff(t) > 0).all() or not np.isfinite(left).all():
        raise InputError("times and values are not two finite axes of equal length, times ascending")
    below = np.flatnonzero(left <= left[0] / 2)
    if not left[0] > 0 or not below.size:
        raise InputError(f"values do not fall to half of their first by the last time, {t[-1]:g}: give time_scale as a number")
    i = int(below[0])
    share = (left[i - 1] - left[0] / 2) / (left[i - 1] - left[i])
    if t[i - 1] <= 0:
        return float(t[i - 1] + share * (t[i] - t[i - 1]))
    return float(t[i - 1] * (t[i] / t[i - 1]) ** share)


def overlay(
    ax: Any,
    which: str = "ebbinghaus",
    *,
    time_scale: float | str = "half",
    unit: str = "items",
    machine: tuple[Any, Any] | None = None,
    chance: float = 0.0,
    unverified: bool = False,
    **style: Any,
) -> Any:
    """Draw a human retention curve on the axes of a memory's.

    Clock time and numbers of items are different axes: the factor between them is in the line's label and in the log.

    Parameters
    ----------
    ax : matplotlib Axes
    which : str, default "ebbinghaus"
        A name of :func:`human_curves`.
    time_scale : float or "half", default "half"
        Units of the axis for one minute; "half": so that both fall to half of their first value at the same place.
    unit : {"items", "updates", "minutes", "hours", "days", "years"}
        What the axis counts, for the label.
    machine : pair of array-like, optional
        Times and values that "half" is told from; default: the first line of the axes.
    chance : float, default 0
        What guessing gives in ``machine``.
    unverified : bool, default False
    **style
        Passed on to ``ax.plot``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If "half" has nothing to go by.
    """
    curve = human_curve(which, unverified=unverified)
    validate.choice(unit, "unit", UNITS)
    if isinstance(time_scale, str):
        validate.choice(time_scale, "time_scale", ("half",))
        if machine is None:
            if not ax.lines:
                raise InputError('time_scale is "half", but the axes have no line yet: draw the memory first, or pass machine')
            machine = (ax.lines[0].get_xdata(), ax.lines[0].get_ydata())
        factor = half_time(*machine, chance) / half_time(curve.minutes, curve.values, curve.chance)
    else:
        factor = validate.number(time_scale, "time_scale", low=0.0, low_open=True)
    told = f"{curve.name}, {curve.measure} (1 minute = {factor:.3g} {unit})"
    LOGGER.info("human curve drawn: %s", told)
    ax.plot(curve.minutes * factor, curve.values, **{"marker": "o", "ls": "--", "color": "0.3", "label": told, **style})
    return ax
