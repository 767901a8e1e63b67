"""Capacity: how many items can a memory be asked to keep before it loses too many?"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from neuromem import validate
from neuromem.errors import CapacityError
from neuromem.progress import Progress, progress_bar
from neuromem.retention.adapters import fresh, require, system_name, write_batches
from neuromem.retention.course_modes import PROBES, Plan, rows_of
from neuromem.retention.foils import Foil, foil_of
from neuromem.retention.items import ItemSource, RandomBits, RandomSigns, SparseBits
from neuromem.retention.questions import Questions, config_of, question_plan
from neuromem.retention.recognition import ascending, seeds_of, spread_out
from neuromem.retention.relearning import CRITERIA
from neuromem.retention.results import ProbeResult

PROBE = "capacity_probe"


class ReferenceLine(NamedTuple):
    """A capacity that theory gives, to be drawn beside measured ones.

    Parameters
    ----------
    system : str
    measure : str
        The row of the table that it belongs to.
    value : float
    verified : bool
        Whether the figure was checked against its source.  Those of this library were not: they are common knowledge.
    condition : str
        What it holds for.
    """

    system: str
    measure: str
    value: float
    verified: bool
    condition: str


REFERENCE_LINES = (
    ReferenceLine(
        "Hopfield network", "items_per_unit", 0.138, False, "random signs, many units, with a small share of wrong components"
    ),
    ReferenceLine(
        "Willshaw memory", "bits_per_synapse", math.log(2), False, "binary synapses, sparse items, in the limit of many units"
    ),
)


def item_information(source: ItemSource) -> float | None:
    """Bits that it takes to tell an item from all others that a source can give; None where that is not known.

    Examples
    --------
    >>> item_information(RandomBits(100)), round(item_information(SparseBits(100, 5)), 2)
    (100.0, 26.17)
    """
    width = source.n_features
    if type(source) is RandomBits:
        return float(width)
    if type(source) not in (SparseBits, RandomSigns):
        return None
    n_active = getattr(source, "n_active", None)
    n_active = width if n_active is None else int(n_active)
    choices = (math.lgamma(width + 1) - math.lgamma(n_active + 1) - math.lgamma(width - n_active + 1)) / math.log(2)
    return choices + (n_active if type(source) is RandomSigns else 0)


@dataclass
class Loads:
    """What was measured of one seed, load by load."""

    memory: Any
    source: ItemSource
    plan: Plan
    threshold: float
    seed: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    passed: dict[int, bool] = field(default_factory=dict)
    bounds: dict[int, tuple[float, float]] = field(default_factory=dict)
    n_bytes: dict[int, int | None] = field(default_factory=dict)

    def holds(self, load: int) -> bool:
        """Whether a fresh memory keeps so many items well enough."""
        live = fresh(self.memory, self.seed)
        require(live, self.plan.verbs, PROBE)
        ids = self.source.ids("target", load)
        columns = {"seed": self.seed, "exposures": 1, "level": load, "condition": "load"}
        try:
            write_batches(live, self.source, ids, self.plan.batch_size, self.plan.with_targets)
        except CapacityError:
            row = {"system": system_name(live), "probe": "capacity", "measure": "exact", "n": load, "k": 0, "value": 0.0}
            self.note(load, [columns | row | {"condition": "full", "ci_lo": 0.0, "ci_hi": 0.0}], live)
            return False
        questions = Questions(self.source, ids[spread_out(load, self.plan.n_probe)], self.plan, PROBE)
        answer, values = questions.ask(live, columns)[0]
        self.note(load, [row | {"probe": "capacity"} for row in rows_of([(answer, values)])], live)
        return self.passed[load]

    def note(self, load: int, rows: list[dict[str, Any]], live: Any) -> None:
        """Keep what was found; the first row decides."""
        self.rows += rows
        first = rows[0]
        self.passed[load] = first["value"] >= self.threshold - 1e-9
        self.bounds[load] = first["ci_lo"], first["ci_hi"]
        n_bytes = getattr(live, "nbytes", None)
        self.n_bytes[load] = int(n_bytes) if isinstance(n_bytes, (int, np.integer)) else None

    def largest(self, n_max: int, resolution: float) -> tuple[int, bool]:
        """The largest load that passes, by doubling and bisection, and whether a larger one was seen to fail."""
        low, high = 0, 1
        while self.holds(high):
            low = high
            if high == n_max:
                return low, False
            high = min(2 * high, n_max)
        while high - low > max(1, int(resolution * low)):
            middle = (low + high) // 2
            low, high = (middle, high) if self.holds(middle) else (low, middle)
        return low, True

    def largest_of(self, grid: list[int]) -> tuple[int, bool]:
        """The largest load below the first one that fails, and whether one fails."""
        passed = [self.holds(load) for load in grid]
        if all(passed):
            return grid[-1], False
        return (0, *grid)[passed.index(False)], True

    def interval(self, found: int) -> tuple[int, int | None]:
        """The largest load that surely passes and the smallest that surely fails, by the intervals of each load."""
        sure = [load for load, (low, _) in self.bounds.items() if low >= self.threshold and load <= found]
        lost = [load for load, (_, high) in self.bounds.items() if high < self.threshold and load > found]
        return max(sure, default=0), min(lost, default=None)


def capacity_probe(
    memory: Any,
    source: ItemSource,
    *,
    load_grid: int | Sequence[int] | None = None,
    threshold: float = 0.95,
    n_max: int = 65_536,
    resolution: float = 0.02,
    probe: str = "recall",
    measure: str = "exact",
    foil: str | Foil = "novel",
    cue_fraction: float = 0.5,
    cue_kind: str = "prefix",
    include_cue: bool = False,
    shape: tuple[int, int] | None = None,
    n_key: int | None = None,
    tolerance: float = 0.1,
    n_units: int | None = None,
    parameter_bits: int | None = None,
    bits_per_item: float | None = None,
    n_probe: int | None = None,
    batch_size: int = 64,
    with_targets: bool = False,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
    progress: Progress = False,
) -> ProbeResult:
    """The largest number of items of which a fresh memory still recalls a share ``threshold``.

    Parameters
    ----------
    memory : object or callable
        Best a callable that makes a memory from a seed; an object is copied for every load.  It has ``write`` and what the probe
        needs: ``complete`` (recall; ``read`` for noisy cues) or ``familiarity`` (recognition).
    source : ItemSource
        Each seed has other items of it.
    load_grid : int or sequence of int, optional
        Loads to measure, ascending; the capacity is the largest before the first that fails.  Default: doubling until a load
        fails, then bisection.
    threshold : float in (0, 1], default 0.95
    n_max : int, default 65,536
        The search goes no further.
    resolution : float in [0, 1), default 0.02
        Bisection ends when the capacity is known to this share of it, or to one item.
    probe : {"recall", "recognition"}, default "recall"
    measure : {"exact", "component_accuracy"}, default "exact"
        Of recall; recognition has "accuracy", of which one half is chance.
    foil : str or Foil, default "novel"
        Of recognition.
    cue_fraction, cue_kind, include_cue, shape, n_key, tolerance
        As in :func:`recall_probe`.
    n_units : int, optional
        Default: the width of items.
    parameter_bits : int, optional
        Bits of all that learning changes.  Default: all bytes of the memory as it is at capacity.  Theory counts synapses: give
        their number, whatever a synapse takes in the computer, to compare with it.
    bits_per_item : float, optional
        Information of an item.  Default: that of random bits, sparse bits and signs; other sources have none unless it is given.
        It is that of the whole item, though a part is given as a cue.
    n_probe : int, optional
        Items probed at each load, from all over the list; default 2,000 or all.
    batch_size : int, default 64
    with_targets, seeds, check_purity, progress
        As in :func:`recognition_probe`.

    Returns
    -------
    ProbeResult
        ``condition`` "load": what was recalled, with its interval, at ``level`` items; "full" where the memory refused items by
        CapacityError, which counts as a load that fails.  ``condition`` "capacity": ``measure`` "items", with the largest load
        that surely passes and the smallest that surely fails as its interval (0, or none, where no load was sure);
        "items_per_unit"; and "bits_per_synapse", items times information over ``parameter_bits``.  ``condition`` "censored": no
        load failed; there is no value, and ``ci_lo`` is the largest that was tried.  ``config["references"]`` has figures of
        theory, marked as not verified.

    Raises
    ------
    InputTypeError, ScoreError, ProbeMutatedMemoryError
        As :func:`recognition_probe`.
    InputError
        For loads that are not ascending, or more items than the source has.

    Notes
    -----
    Bisection takes it that more items are not easier to keep.  A grid shows where that is not so.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, capacity_probe
    >>> result = capacity_probe(ExactStore(64, capacity=100, on_full="oldest"), RandomBits(64), threshold=1.0, seeds=1)
    >>> result.where(measure="items").values().tolist()
    [100.0]
    """
    grid = None if load_grid is None else ascending(load_grid, "load_grid", 1)
    threshold = validate.number(threshold, "threshold", low=0.0, high=1.0, low_open=True)
    n_max = validate.integer(n_max, "n_max", 2)
    resolution = validate.number(resolution, "resolution", low=0.0, high=1.0, high_open=True)
    validate.choice(probe, "probe", PROBES)
    validate.choice(measure, "measure", CRITERIA)
    n_units = source.n_features if n_units is None else validate.integer(n_units, "n_units", 1)
    if parameter_bits is not None:
        validate.integer(parameter_bits, "parameter_bits", 1)
    if bits_per_item is None:
        information = item_information(source)
    else:
        information = validate.number(bits_per_item, "bits_per_item", low=0.0, low_open=True)
    largest = n_max if grid is None else max(2, grid[-1])
    own = {"probes": probe, "foils": foil_of(foil), "measures": measure}
    plan = question_plan(locals() | own, largest)
    seeds = seeds_of(seeds)
    rows: list[dict[str, Any]] = []
    name = ""
    with progress_bar(len(seeds), progress, PROBE) as advance:
        for seed in seeds:
            loads = Loads(memory, source.reseeded(seed), plan, threshold, seed)
            found, failed = loads.largest(n_max, resolution) if grid is None else loads.largest_of(grid)
            name = loads.rows[0]["system"]
            rows += loads.rows
            low, high = loads.interval(found)
            common = {"system": name, "probe": "capacity", "seed": seed, "exposures": 1}
            common |= {"condition": "capacity" if failed else "censored", "n": 1}  # one figure for each seed, all of equal weight
            n_bytes = loads.n_bytes[found] if found else next(iter(loads.n_bytes.values()))
            n_bits = 8 * n_bytes if parameter_bits is None and n_bytes else parameter_bits
            factors = {"items": 1.0, "items_per_unit": 1 / n_units}
            if information is not None and n_bits:
                factors["bits_per_synapse"] = information / n_bits
            for kind, factor in factors.items():
                row = {"measure": kind, "ci_lo": factor * (low if failed else found)}
                if failed:
                    row |= {"value": factor * found, "ci_hi": None if high is None else factor * high}
                rows.append(common | row)
            advance(1)
    config = config_of(PROBE, memory, name, source, plan, seeds)
    config |= {"load_grid": grid, "threshold": threshold, "n_max": n_max, "resolution": resolution, "n_units": n_units}
    config |= {"parameter_bits": parameter_bits, "bits_per_item": information}
    return ProbeResult(rows, config | {"references": [line._asdict() for line in REFERENCE_LINES]})
