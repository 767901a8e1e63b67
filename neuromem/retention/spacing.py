"""Spacing: does it help to let time pass between repetitions, and how much of it for which time to the test?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.progress import Progress, progress_bar
from neuromem.random import generator_for
from neuromem.retention.adapters import Reader, described, fresh, require, seed_within, system_name, write_batches
from neuromem.retention.cues import CUE_KINDS, make_cues
from neuromem.retention.foils import Foil, foil_of
from neuromem.retention.items import ItemSource
from neuromem.retention.recall import RecallSet
from neuromem.retention.recognition import RecognitionSet, ascending, seeds_of, share
from neuromem.retention.results import ABSENT, ProbeResult
from neuromem.retention.schedules import SPACED, Schedule

MEASURES = {"recognition": "accuracy", "recall": "exact", "labels": "label_accuracy"}
VERBS = {"recognition": "familiarity", "recall": "complete", "labels": "predict"}
GAPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
RETENTION_INTERVALS = (1, 10, 30, 100, 300, 1000)
N_FOLDS = 2
ENDS = (2.5, 97.5)
Ask = Callable[[Reader], float]


class SpacingSurface(NamedTuple):
    """What a spacing probe found, pooled over seeds.

    Parameters
    ----------
    gaps, retention_intervals : int arrays (g,), (t,)
    value, ci_lo, ci_hi : float arrays (g, t)
        Share of right answers with Wilson's 95 % interval.
    best_gap : int array (t,)
        The gap with the highest share, the smallest of equal ones: the ridge.
    """

    gaps: np.ndarray
    retention_intervals: np.ndarray
    value: np.ndarray
    ci_lo: np.ndarray
    ci_hi: np.ndarray
    best_gap: np.ndarray


def spacing_surface(result: ProbeResult, condition: str | None = None) -> SpacingSurface:
    """The surface of a result of :func:`spacing_probe`.

    Parameters
    ----------
    result : ProbeResult
        Of one system.
    condition : str, optional
        Name of the schedules, where there are several.

    Raises
    ------
    InputError
        If the result is of no spacing probe, or of several systems or schedules.
    """
    rows = result.where(probe="spacing", measure=list(MEASURES.values()))
    rows = rows if condition is None else rows.where(condition=condition)
    if not len(rows):
        raise InputError("the result has no rows of a spacing probe" + (f" with condition={condition!r}" if condition else ""))
    gaps, intervals = np.unique(rows.table["gap"]), np.unique(rows.table["lag_items"])
    value, low, high = np.full((3, len(gaps), len(intervals)), np.nan)
    for column, interval in enumerate(intervals):
        curve = rows.where(lag_items=int(interval)).curve("gap")
        places = np.searchsorted(gaps, curve["x"])
        value[places, column], low[places, column], high[places, column] = curve["value"], curve["ci_lo"], curve["ci_hi"]
    return SpacingSurface(gaps, intervals, value, low, high, gaps[np.nanargmax(value, axis=0)])


@dataclass(frozen=True)
class Question:
    """How a target is asked about."""

    probe: str
    foil: Foil
    cue_fraction: float
    cue_kind: str
    tolerance: float

    def columns(self) -> dict[str, Any]:
        """Columns of a row that say so."""
        if self.probe == "recognition":
            return {"foil": self.foil.family, "level": self.foil.level}
        return {"cue": self.cue_kind, "cue_fraction": self.cue_fraction} if self.probe == "recall" else {}

    def prepared(self, source: ItemSource, target: np.ndarray, reference: np.ndarray) -> tuple[Ask, float]:
        """What gives the outcome of a target, in 0 ... 1, and what guessing gives."""
        if self.probe == "recognition":
            pair = RecognitionSet(source, target, [self.foil])
            return lambda reader: float(pair.choices(reader)[0].outcomes[0]), 0.5
        if self.probe == "recall":
            cues = make_cues(source, target, self.cue_fraction, self.cue_kind)
            recall = RecallSet(source, cues, ["exact"], False, self.tolerance, reference)
            return lambda reader: float(recall.judged(recall.recalled(reader))["exact"][0]), float(recall.chances["exact"][0])
        item, label = source.get(target), source.classes(target)
        return lambda reader: float((np.asarray(reader.memory.predict(item)) == label)[0]), 1.0 / (source.n_classes or 1)


def schedules_of(gaps: Any, exposures: Any, schedule: str, ratio: float, schedules: Iterable[Schedule] | None) -> list[Schedule]:
    """The schedules to compare, all with as many exposures.

    Raises
    ------
    InputError
    """
    if schedules is None:
        make = SPACED[validate.choice(schedule, "schedule", SPACED)]
        exposures = validate.integer(exposures, "exposures", 2)
        return [make(gap, exposures, ratio) for gap in ascending(gaps, "gaps", 1)]
    found = list(schedules)
    names = [(one.name, one.gap) for one in found]
    if not found or len(set(names)) != len(names):
        raise InputError(f"schedules are {names} (name, mean gap), at least one and none twice was expected")
    if len({one.exposures for one in found}) > 1 or found[0].exposures < 2:
        raise InputError(f"schedules have {[one.exposures for one in found]} exposures, equal numbers from 2 up were expected")
    return found


def stream_of(schedule: Schedule, target: int, fillers: np.ndarray, n_before: int) -> np.ndarray:
    """Ids up to and with the last exposure: ``n_before`` fillers, as many for every schedule, and the target in its places."""
    ids = np.empty(n_before + schedule.exposures, np.int64)
    places = len(ids) - 1 - (schedule.span - schedule.steps)
    is_target = np.zeros(len(ids), bool)
    is_target[places] = True
    ids[is_target], ids[~is_target] = target, fillers[:n_before]
    return ids


def spacing_probe(
    memory: Any,
    source: ItemSource,
    *,
    gaps: Sequence[int] = GAPS,
    retention_intervals: Sequence[int] = RETENTION_INTERVALS,
    exposures: int = 4,
    schedule: str = "uniform",
    ratio: float = 2.0,
    schedules: Iterable[Schedule] | None = None,
    probe: str = "recognition",
    foil: str | Foil = "novel",
    cue_fraction: float = 0.5,
    cue_kind: str = "prefix",
    tolerance: float = 0.1,
    n_targets: int = 50,
    lead: int = 0,
    batch_size: int = 1024,
    with_targets: bool = False,
    draws: int = 2000,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
    progress: Progress = False,
) -> ProbeResult:
    """Show an item several times among others, and test it after a while: for every gap and every retention interval.

    Parameters
    ----------
    memory : object or callable
        Copied for every target and gap, never changed.  A callable without ``write`` makes a memory from a seed: another one for
        every target, so that targets are independent also where a memory has random parts.
    source : ItemSource
        Each seed has other targets and fillers.
    gaps : sequence of int >= 1
        Mean steps from one exposure to the next: a gap of g has g - 1 other items between, 1 is massed.
    retention_intervals : sequence of int >= 0
        Other items between the last exposure and the test.
    exposures : int >= 2, default 4
    schedule : {"uniform", "expanding", "contracting"}, default "uniform"
        The last two with intervals in ``ratio``.
    schedules : iterable of Schedule, optional
        Instead of gaps, exposures, schedule and ratio.
    probe : {"recognition", "recall", "labels"}, default "recognition"
        The target is chosen over a foil by familiarity; what ``cue_fraction`` leaves out of it is completed without an error; its
        class is predicted (items are always written with their classes then).
    foil, cue_fraction, cue_kind, tolerance
        As in :func:`recognition_probe` and :func:`recall_probe`.
    n_targets : int, default 50
        For each seed.
    lead : int, default 0
        Fillers before anything else, beyond those that make the totals equal.
    batch_size : int, default 1024
        Most items in a write; the memory must learn a batch as one item after the other.
    with_targets : bool, default False
        Write classes as targets.
    draws : int, default 2000
        Of the bootstrap over targets.
    seeds : int or iterable of int, default range(4)
    check_purity : bool, optional
        Compare the memory's state before and after reading; default: for the first target where it is at most 1 MiB.
    progress : bool or callable, default False

    Returns
    -------
    ProbeResult
        Rows ``measure`` "accuracy", "exact" or "label_accuracy" by seed, ``gap`` and ``lag_items`` (the retention interval), with
        the schedule's name in ``condition``.  Over all seeds, for each retention interval: "best_gap" (the ridge), and where a
        massed schedule is among them "largest_gain" (the best gap's share less that of massed, never below 0) and
        "spacing_gain" (the same without that favour, see Notes).  ``arrays``: the outcome of every target;
        :func:`spacing_surface` makes a table of them.

    Raises
    ------
    InputError
        For gaps below 1, or orders, names and shares that cannot be.
    InputTypeError, ScoreError, ProbeMutatedMemoryError
        As :func:`recognition_probe`.

    Notes
    -----
    Every target has a stream of its own, in which nothing else is repeated.  The last exposure is at the same place for all
    gaps, after as many fillers in total (the shorter schedules have more of them in front), and the same fillers follow: only
    the distribution of the exposures differs.  Gaps are compared on the same targets, so differences have less noise.

    The best of several gaps is better than massed by luck alone.  So "spacing_gain" chooses the gap by one half of the
    targets and measures the gain on the other half, both ways round; its interval is from a bootstrap of both halves, the
    choice included.  A gain of exactly 0 says that massed was chosen.  A memory that adds a decreasing trace for every
    exposure cannot gain: with the last exposure in its place all others are only older.

    References
    ----------
    Cepeda, Vul, Rohrer, Wixted & Pashler (2008), Spacing effects in learning: a temporal ridgeline of optimal retention.

    Examples
    --------
    >>> from neuromem.retention import RandomBits, TwoStore, spacing_probe, spacing_surface
    >>> def make(seed):
    ...     return TwoStore(random_state=seed)
    >>> result = spacing_probe(make, RandomBits(32), gaps=(1, 32), retention_intervals=(100,), n_targets=100, seeds=1)
    >>> spacing_surface(result).best_gap.tolist()
    [32]
    """
    name = "spacing_probe"
    compared = schedules_of(gaps, exposures, schedule, ratio, schedules)
    intervals = ascending(retention_intervals, "retention_intervals", 0)
    validate.choice(probe, "probe", MEASURES)
    question = Question(
        probe,
        foil_of(foil),
        validate.number(cue_fraction, "cue_fraction", low=0.0, high=1.0, low_open=True),
        validate.choice(cue_kind, "cue_kind", CUE_KINDS[:3]),
        validate.number(tolerance, "tolerance", low=0.0),
    )
    if question.foil.family == "recombined":
        raise InputError("foil 'recombined' needs several studied items, a stream has one; give another foil")
    if probe == "labels" and source.n_classes is None:
        raise InputError("probe='labels' needs a source with classes: Templates, HierarchicalItems, or ArrayItems with y")
    n_targets = validate.integer(n_targets, "n_targets", 2)
    lead, batch_size = validate.integer(lead, "lead", 0), validate.integer(batch_size, "batch_size", 1)
    draws, seeds = validate.integer(draws, "draws", 1), seeds_of(seeds)
    with_targets = bool(with_targets) or probe == "labels"
    n_before = lead + max(one.span - one.exposures + 1 for one in compared)
    outcomes = np.empty((len(seeds), n_targets, len(compared), len(intervals)))
    system, chances = "", np.empty((len(seeds), n_targets))
    with progress_bar(len(seeds) * n_targets, progress, name) as advance:
        for row, seed in enumerate(seeds):
            items = source.reseeded(seed)
            targets = items.ids("target", n_targets)
            reference = items.get(items.ids("filler", min(100, n_before + intervals[-1] or 1)))
            for column, target in enumerate(targets):
                ask, chances[row, column] = question.prepared(items, targets[column : column + 1], reference)
                n_fillers = n_before + intervals[-1]
                fillers = items.ids("filler", n_fillers, column * n_fillers)
                check = check_purity if check_purity is not None or column == 0 else False
                for place, one in enumerate(compared):
                    live = fresh(memory, seed_within(seed, column))
                    require(live, ("write", VERBS[probe]), name)
                    system = system_name(live)
                    write_batches(live, items, stream_of(one, int(target), fillers, n_before), batch_size, with_targets)
                    start = n_before
                    for when, interval in enumerate(intervals):
                        write_batches(live, items, fillers[start : n_before + interval], batch_size, with_targets)
                        start = n_before + interval
                        with Reader(live, check, name) as reader:
                            outcomes[row, column, place, when] = ask(reader)
                advance(1)
    common = {"system": system, "probe": "spacing", "exposures": compared[0].exposures} | question.columns()
    rows = [
        common
        | {"condition": one.name, "gap": one.gap, "lag_items": interval, "seed": seed}
        | share(MEASURES[probe], float(outcomes[row, :, place, when].sum()), n_targets, float(chances[row].mean()))
        for row, seed in enumerate(seeds)
        for place, one in enumerate(compared)
        for when, interval in enumerate(intervals)
    ]
    flat = outcomes.reshape(-1, len(compared), len(intervals))
    rng = generator_for(source.seed_sequence, "retention.probes")
    rows += [common | row for row in gain_rows(flat, compared, intervals, draws, rng)]
    arrays = {
        f"{probe} {one.name} gap {one.gap}": np.rint(2 * outcomes[:, :, place]).astype(np.uint8)
        for place, one in enumerate(compared)
    }
    config = {
        "probe": name,
        "system": system,
        "memory": described(memory) if hasattr(memory, "write") else system,
        "source": [type(source).__name__, source.describe()],
        "asked": probe,
        "foil": question.foil.describe(),
        "cue_fraction": question.cue_fraction,
        "cue_kind": cue_kind,
        "tolerance": question.tolerance,
        "schedules": [[one.name, list(one.intervals)] for one in compared],
        "retention_intervals": intervals,
        "n_targets": n_targets,
        "lead": lead,
        "batch_size": batch_size,
        "with_targets": with_targets,
        "draws": draws,
        "seeds": seeds,
    }
    return ProbeResult(rows, config, arrays)


def gain_rows(
    outcomes: np.ndarray, compared: list[Schedule], intervals: list[int], draws: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Rows of the ridge and of what spacing gains, from outcomes (targets, schedules, intervals)."""
    n = len(outcomes)
    by_gap = np.argsort([one.gap for one in compared], kind="stable")  # so that ties go to the smallest gap
    gaps = np.array([compared[place].gap for place in by_gap])
    outcomes = outcomes[:, by_gap]
    massed = next((i for i, place in enumerate(by_gap) if compared[place].span == compared[place].exposures - 1), None)
    folds = [outcomes[start::N_FOLDS] for start in range(N_FOLDS)]
    means = np.stack([fold.mean(axis=0) for fold in folds])[:, None]  # (folds, 1, schedules, intervals)
    drawn = np.stack([resampled(fold, draws, rng) for fold in folds])  # (folds, draws, schedules, intervals)
    weights = np.array([len(fold) for fold in folds])[:, None, None, None] / n
    best = (weights * means).sum(axis=0)[0].argmax(axis=0)
    drawn_best = (weights * drawn).sum(axis=0).argmax(axis=1)
    names = {one.name for one in compared} - {"massed"}
    common = {"condition": names.pop() if len(names) == 1 else "all", "seed": ABSENT, "n": n}
    rows = []
    for when, interval in enumerate(intervals):
        low, high = np.percentile(gaps[drawn_best[:, when]], ENDS, method="nearest")
        row = {"measure": "best_gap", "lag_items": interval, "value": float(gaps[best[when]])}
        rows.append(common | row | {"ci_lo": float(low), "ci_hi": float(high)})
    if massed is None:
        return rows
    gain, drawn_gain = (chosen_by_the_other(shares, massed) for shares in (means, drawn))
    pooled = (weights * means).sum(axis=0)[0]
    for when, interval in enumerate(intervals):
        own = common | {"lag_items": interval, "chance": 0.0}
        rows.append(own | {"measure": "largest_gain", "value": float(pooled[:, when].max() - pooled[massed, when])})
        low, high = np.percentile(drawn_gain[:, when], ENDS)
        row = {"measure": "spacing_gain", "value": float(gain[0, when]), "ci_lo": float(low), "ci_hi": float(high)}
        rows.append(own | row)
    return rows


def resampled(outcomes: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Means over targets drawn with replacement, (draws, schedules, intervals)."""
    n = len(outcomes)
    counts = rng.multinomial(n, np.full(n, 1.0 / n), draws).astype(np.float64)
    return (counts @ outcomes.reshape(n, -1) / n).reshape(draws, *outcomes.shape[1:])


def chosen_by_the_other(shares: np.ndarray, massed: int) -> np.ndarray:
    """Gain over massed of the gap that the other fold finds best, mean over folds: (folds, draws, g, t) -> (draws, t)."""
    gains = []
    for fold in range(N_FOLDS):
        best = shares[1 - fold].argmax(axis=1)[:, None]
        gains.append(np.take_along_axis(shares[fold], best, axis=1)[:, 0] - shares[fold][:, massed])
    found: np.ndarray = np.mean(gains, axis=0)
    return found
