"""Retention as a test: fail when a memory keeps surely less than it should."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, InputTypeError
from neuromem.retention.adapters import fresh, system_name
from neuromem.retention.checkpoints import checkpoints_of
from neuromem.retention.course import retention_curve
from neuromem.retention.foils import Foil, foil_of
from neuromem.retention.items import ItemSource, source_for
from neuromem.retention.recognition import seeds_of
from neuromem.retention.results import ProbeResult

Floor = float | Mapping[int, float] | None
VERB_OF = {"recognition": "familiarity", "recall": "complete"}


def divergence(mean: float, expected: float) -> float:
    """Kullback-Leibler divergence of two yes/no variables, in nats."""
    parts = ((mean, expected), (1 - mean, 1 - expected))
    if any(a > 0 and b <= 0 for a, b in parts):
        return math.inf
    return sum(a * math.log(a / b) for a, b in parts if a > 0)


def upper_bound(mean: float, n: int, alarm: float) -> float:
    """Expectations above this would give a mean as low with a chance below ``alarm``.

    Parameters
    ----------
    mean : float in [0, 1]
        Of n independent values within 0 ... 1, which need not be alike.
    n : int
    alarm : float in (0, 1)

    Notes
    -----
    The bound of Chernoff and Hoeffding: a mean at or below m has a chance of at most exp(-n KL(m, p)) where the expectation is
    p >= m.  It holds for any n and for ties that count in part.

    Examples
    --------
    >>> round(upper_bound(0.9, 800, 0.001), 3)
    0.935
    """
    low, high = mean, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if n * divergence(mean, middle) > -math.log(alarm) else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a memory should do.

    Parameters
    ----------
    text : str
    values : array (n,)
        Within 0 ... 1, one for each item.
    wanted : float
        What their expectation should be at least.
    difference : bool
        The values are (1 - d) / 2 of differences d, which are what people read.
    """

    text: str
    values: np.ndarray
    wanted: float
    difference: bool = False

    def judged(self, alarm: float) -> tuple[bool, str]:
        """Whether it surely fails, and a line of a table."""
        mean = float(self.values.mean(dtype=np.float64))
        bound = upper_bound(mean, len(self.values), alarm)
        fails = bound < self.wanted
        found, sign, edge, wanted = mean, "<=", bound, self.wanted
        if self.difference:
            found, sign, edge, wanted = 1 - 2 * mean, ">=", 1 - 2 * bound, 1 - 2 * self.wanted
        limit = f"{'<=' if self.difference else '>='} {wanted:.4g}"
        head = f"{'FAILS' if fails else 'holds'}  {self.text:<44} {found:>8.4f}  {sign} {edge:>7.4f}"
        line = f"{head}  {limit:>10}  n = {len(self.values)}"
        return fails, line


def floors_of(floor: Floor, lags: list[int], name: str) -> dict[int, float]:
    """The floor at each lag for which there is one.

    Raises
    ------
    InputError
    """
    if floor is None:
        return {}
    found = dict(floor) if isinstance(floor, Mapping) else dict.fromkeys(lags, floor)
    checked = {}
    for lag, value in found.items():
        checked[validate.integer(lag, f"lags of {name}", 0)] = validate.number(value, name, low=0.0, high=1.0)
    return checked


def check_power(floors: Mapping[int, float], chance: float, n: int, alarm: float, name: str) -> None:
    """Refuse a floor that a memory which knows nothing would not surely miss.

    Raises
    ------
    InputError
    """
    for lag, floor in floors.items():
        if floor <= chance:
            raise InputError(f"{name} is {floor:g} at lag {lag}, guessing gives {chance:.3g}: no memory could fail")
        if upper_bound(chance, n, alarm) >= floor:
            needed = math.ceil(-math.log(alarm) / divergence(chance, floor))
            raise InputError(
                f"{name} is {floor:g} at lag {lag}, which {n} outcomes cannot tell from guessing "
                f"({chance:.3g}) at this confidence; {needed} are needed: raise n_target or give more seeds"
            )


def difference_claims(outcomes: np.ndarray, lags: list[int], label: str, max_drop: float | None, falls: bool) -> list[Claim]:
    """Claims on how outcomes (n, T) change from lag to lag."""
    claims = []
    if max_drop is not None:
        drop = outcomes[:, 0] - outcomes[:, -1]
        claims.append(Claim(f"{label}: drop, lag {lags[0]} to {lags[-1]}", (1 - drop) / 2, (1 - max_drop) / 2, True))
    for later in range(1, len(lags)) if falls else ():
        for earlier in range(later):
            rise = outcomes[:, later] - outcomes[:, earlier]
            claims.append(Claim(f"{label}: rise, lag {lags[earlier]} to {lags[later]}", (1 - rise) / 2, 0.5, True))
    return claims


def assert_retention(
    memory: Any,
    source: ItemSource | None = None,
    *,
    recognition_at_least: Floor = None,
    recall_at_least: Floor = None,
    lag: int | Sequence[int] = 0,
    max_drop: float | None = None,
    non_increasing: bool = True,
    confidence: float = 0.999,
    n_target: int = 200,
    exposures: int = 1,
    foil: str | Foil = "novel",
    cue_fraction: float = 0.5,
    cue_kind: str = "prefix",
    n_key: int | None = None,
    tolerance: float = 0.1,
    batch_size: int = 16,
    with_targets: bool = False,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
) -> ProbeResult:
    """Raise AssertionError if a memory surely keeps less than it should; for test suites.

    Parameters
    ----------
    memory : object or callable
        As in :func:`retention_curve`; it is copied, never changed.
    source : ItemSource, optional
        Default: random items that fit the memory's ``item_spec``.
    recognition_at_least, recall_at_least : float, or mapping of lag to float, optional
        Least accuracy of recognition, and least share of items recalled exactly, at every lag or at the given ones.
    lag : int or sequence of int, default 0
        Items written between study and test, ascending; 0 is always measured too.
    max_drop : float, optional
        Largest loss between lag 0 and the last one.
    non_increasing : bool, default True
        Items must not be kept better later than earlier.
    confidence : float in (0, 1), default 0.999
        A memory that meets every claim just so passes with at least this chance; see Notes.
    n_target : int, default 200
        Items studied, for each seed.
    exposures, cue_fraction, cue_kind, n_key, tolerance, batch_size, with_targets, seeds, check_purity
        As in :func:`retention_curve`.
    foil : str or Foil, default "novel"
        What studied items are to be told from.

    Returns
    -------
    ProbeResult
        That of :func:`retention_curve`.

    Raises
    ------
    AssertionError
        With a table of what was measured, its bound, and what was wanted.
    InputTypeError
        If no source is given and the memory has no ``item_spec``, or if it lacks a verb.
    InputError
        If a claim could not fail: guessing reaches the floor, or so few outcomes cannot tell it from guessing.

    Notes
    -----
    Nothing fails for being below its floor; it fails for being below by more than luck explains.  The false alarms of all claims
    together have a chance of at most 1 - confidence, each claim having an equal part of it, by the bound of Chernoff and
    Hoeffding for independent outcomes.  Items of one run share a memory, so where whole runs go well or badly together, give more
    seeds.  The figures are the same on every run unless the memory draws from fresh entropy.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import assert_retention
    >>> memory = ExactStore(64, capacity=300, on_full="oldest")
    >>> assert_retention(memory, recognition_at_least=0.9, recall_at_least=0.9, lag=100, n_target=100, seeds=1)
    ProbeResult(24 rows: recall, recognition)
    >>> assert_retention(memory, recall_at_least=0.9, lag=250, n_target=100, seeds=1)
    Traceback (most recent call last):
    ...
    AssertionError: ExactStore: 1 of 3 claims fails, ...
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    seeds = seeds_of(seeds)
    lags = checkpoints_of([lag] if isinstance(lag, (int, np.integer)) else lag, [0])
    asked = {
        "recognition": floors_of(recognition_at_least, lags, "recognition_at_least"),
        "recall": floors_of(recall_at_least, lags, "recall_at_least"),
    }
    lags = sorted({*lags, *asked["recognition"], *asked["recall"]})
    confidence = validate.number(confidence, "confidence", low=0.0, high=1.0, low_open=True, high_open=True)
    max_drop = None if max_drop is None else validate.number(max_drop, "max_drop", low=0.0, high=1.0)
    foil = foil_of(foil)
    first = fresh(memory, seeds[0])
    if source is None:
        spec = getattr(first, "item_spec", None)
        if spec is None:
            raise InputTypeError(f"{system_name(first)} has no item_spec, so source is needed")
        source = source_for(spec)
    probes = [probe for probe, floors in asked.items() if floors]
    if not probes:
        lacking = getattr(first, "unavailable_", ())
        probes = [p for p, verb in VERB_OF.items() if callable(getattr(first, verb, None)) and verb not in lacking]
        if not probes or not (len(lags) > 1 and (non_increasing or max_drop is not None)):
            raise InputError("nothing is claimed: give recognition_at_least, recall_at_least, or a lag above 0 and max_drop")
    result = retention_curve(
        memory,
        source,
        n_target=n_target,
        exposures=exposures,
        checkpoints=lags,
        probes=probes,
        foils=foil,
        cue_fraction=cue_fraction,
        cue_kind=cue_kind,
        n_key=n_key,
        measures="exact",
        tolerance=tolerance,
        batch_size=batch_size,
        with_targets=with_targets,
        seeds=seeds,
        check_purity=check_purity,
    )
    claims: list[Claim] = []
    labels = {"recognition": f"recognition {foil.label}", "recall": "recall exact"}
    outcomes = {probe: result.outcome_matrix(labels[probe]).reshape(-1, len(lags)) for probe in probes}
    for probe in probes:
        for at, floor in asked[probe].items():
            claims.append(Claim(f"{labels[probe]} at lag {at}", outcomes[probe][:, lags.index(at)], floor))
        claims += difference_claims(outcomes[probe], lags, labels[probe], max_drop, non_increasing)
    alarm = (1 - confidence) / len(claims)
    for probe in probes:
        rows = result.where(probe=probe, condition="studied", measure=["accuracy", "exact"])
        check_power(asked[probe], float(rows.values("chance").mean()), len(outcomes[probe]), alarm, f"{probe}_at_least")
    judged = [claim.judged(alarm) for claim in claims]
    n_failing = sum(fails for fails, _ in judged)
    if n_failing:
        verb = "fails" if n_failing == 1 else "fail"
        head = f"{system_name(first)}: {n_failing} of {len(claims)} claims {verb}, seeds {seeds}, {n_target} items each"
        note = f"(bounds hold for all claims together with confidence {confidence:g}: false alarms below {1 - confidence:.2g})"
        columns = f"       {'claim':<44} {'measured':>8}  {'bound':>10}  {'wanted':>10}"
        raise AssertionError("\n".join([head, note, columns, *(line for _, line in judged)]))
    return result
