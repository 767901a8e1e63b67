"""What happens in a retention run: who is studied, when it is probed, and what is made of the answers."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem.errors import InputError
from neuromem.retention.adapters import Reader, copy_of, empty_answers, items_made, write_batches
from neuromem.retention.checkpoints import window_of
from neuromem.retention.cues import make_cues
from neuromem.retention.foils import Foil
from neuromem.retention.items import ItemSource
from neuromem.retention.recall import RecallSet
from neuromem.retention.recognition import RecognitionSet, choice_rows, share, spread_out
from neuromem.retention.statistics import Choice, difference_test, mean_interval

PROBES = ("recognition", "recall")
MOST_OUTCOMES = 50_000_000  # cells of outcome matrices; above, only counts are kept
SHARES = ("exact", "exact_with_cue")
Values = list[tuple[dict[str, Any], np.ndarray]]


@dataclass(frozen=True)
class Plan:
    """Settings of a run, all checked."""

    mode: str
    n_target: int
    exposures: int
    checkpoints: list[int]
    unit: str
    probes: tuple[str, ...]
    foils: list[Foil]
    measures: tuple[str, ...]
    cue: dict[str, Any]
    include_cue: bool
    tolerance: float
    n_probe: int
    n_positions: int
    batch_size: int
    with_targets: bool
    probe_writes: bool
    check_purity: bool | None

    @property
    def verbs(self) -> list[str]:
        """What a memory must have."""
        recall = ["read" if self.cue["kind"] == "noise" else "complete"] if "recall" in self.probes else []
        return ["write", *(["familiarity"] if "recognition" in self.probes else []), *recall]

    def items_at(self, checkpoint: int) -> int:
        """Items that are written by a checkpoint."""
        return checkpoint * self.batch_size if self.unit == "updates" else checkpoint


class ProbeSet:
    """Everything that is asked about some items, made once; ``reference``: items whose frequencies a guesser knows."""

    def __init__(self, source: ItemSource, ids: np.ndarray, plan: Plan, reference: np.ndarray) -> None:
        self.plan, self.n = plan, len(ids)
        foils = plan.foils if len(ids) > 1 else [foil for foil in plan.foils if foil.family != "recombined"]
        self.recognition = RecognitionSet(source, ids, foils) if "recognition" in plan.probes and foils else None
        self.recall = None
        if "recall" in plan.probes:
            cues = make_cues(source, ids, include_cue=plan.include_cue, **plan.cue)
            self.recall = RecallSet(source, cues, plan.measures, plan.include_cue, plan.tolerance, reference)

    def values(self, reader: Reader, before_study: bool = False) -> Values:
        """Columns of a row, and the value of each item."""
        found: Values = []
        if self.recognition is not None:
            for foil, choice in zip(self.recognition.foils, self.recognition.choices(reader), strict=True):
                found.append(({"probe": "recognition", "foil": foil.family, "level": foil.level, "chance": 0.5}, choice.outcomes))
        if self.recall is not None:
            try:
                recalled = self.recall.recalled(reader)
            except Exception as error:
                if before_study and empty_answers(error):
                    return found
                raise
            columns = {"probe": "recall", "cue": self.recall.cues.kind, "cue_fraction": self.recall.cues.fraction}
            for name, value in self.recall.judged(recalled).items():
                if value is not None:
                    chance = float(np.mean(self.recall.chances[name]))
                    found.append((columns | {"measure": self.recall.label(name), "chance": chance}, value.astype(np.float32)))
        return found


def rows_of(found: Values) -> list[dict[str, Any]]:
    """Rows of a table from the values of items, in order."""
    chosen = [values for columns, values in found if columns["probe"] == "recognition"]
    choices = [Choice(len(v), v, float(v.mean(dtype=np.float64)), float((v == 1).mean())) for v in chosen]
    tables = iter(choice_rows(choices, 2) if choices else [])
    rows: list[dict[str, Any]] = []
    for columns, values in found:
        if columns["probe"] == "recognition":
            rows += [columns | row for row in next(tables)]
        elif columns["measure"] in SHARES:
            k = float(values.sum(dtype=np.float64))
            rows.append(columns | share(columns["measure"], k, len(values), columns["chance"]))
        else:
            mean, low, high = mean_interval(values)
            rows.append(columns | {"n": len(values), "value": mean, "ci_lo": low, "ci_hi": high})
    return rows


def key_of(columns: dict[str, Any], foils: Sequence[Foil]) -> str:
    """Name of an outcome matrix: "recognition variant:1/32", "recall exact"."""
    if columns["probe"] == "recall":
        return f"recall {columns['measure']}"
    same = [foil for foil in foils if (foil.family, foil.level) == (columns["foil"], columns["level"])]
    return f"recognition {same[0].label}"


class Run:
    """One seed of one run.  What has been found so far is in ``found``: plain values and arrays, which a checkpoint can hold."""

    role = "filler"

    def __init__(self, source: ItemSource, live: Any, plan: Plan, seed: int, system: str) -> None:
        self.source, self.live, self.plan = source, live, plan
        self.common = {"system": system, "exposures": plan.exposures, "seed": seed}
        self.found: dict[str, Any] = {"rows": [], "arrays": {}, "position": 0, "updates": 0, "done": 0, "prior": False}
        # only a guess of what is recalled looks at it
        self.reference = source.get(source.ids("control", self.n_controls() if "recall" in plan.probes else 0))
        self.prepare()

    def n_controls(self) -> int:
        """How many unstudied items the source has for controls, as far as needed."""
        first, stop = self.source.range_of("control")
        if stop == first:
            raise InputError("the source has no items for the role control, which every run compares with; give other shares")
        return min(stop - first, self.plan.n_probe)

    def prepare(self) -> None:
        """Make what is probed again and again."""
        ids = self.source.ids("control", self.n_controls())
        self.control = ProbeSet(self.source, ids, self.plan, self.reference)

    @property
    def stops(self) -> list[int]:
        """Places in the stream at which to probe."""
        raise NotImplementedError

    def study(self) -> None:
        """What comes before the stream."""

    def advance(self, stop: int) -> int:
        """Write the stream up to a place; returns how many items that was."""
        start = self.found["position"]
        size = self.plan.batch_size
        for first in range(start, stop, items_made(size)):  # not all ids at once: a stream may be of any length
            ids = self.source.ids(self.role, min(items_made(size), stop - first), first)
            self.found["updates"] += write_batches(self.live, self.source, ids, size, self.plan.with_targets)
        self.found["position"] = stop
        return stop - start

    def reader(self, memory: Any) -> Reader:
        """Reads of a memory at one moment."""
        return Reader(memory, self.plan.check_purity, "retention_curve")

    def asked(
        self, reader: Reader, probes: ProbeSet, condition: str, columns: dict[str, Any] | None = None, before_study: bool = False
    ) -> Values:
        """Values of a set of items under a condition, with the columns that all of them share."""
        began = time.perf_counter()
        values = probes.values(reader, before_study)
        common = self.common | {"condition": condition, "seconds": time.perf_counter() - began} | (columns or {})
        return [(common | own, found) for own, found in values]

    def tabulate(self, values: Values) -> None:
        """Put values into the table."""
        self.found["rows"] += rows_of(values)

    def start(self) -> None:
        """The prior, and the study."""
        with self.reader(self.live) as reader:
            self.tabulate(self.asked(reader, self.control, "prior", {"exposures": 0}, before_study=True))
        self.study()
        self.found["prior"] = True

    def step(self) -> None:
        """The stream up to the next stop, and the probes there."""
        stop = self.stops[self.found["done"]]
        written = self.advance(stop)
        self.probe(stop, written)
        self.found["done"] += 1

    def probe(self, stop: int, written: int) -> None:
        """What is asked at a stop."""
        raise NotImplementedError

    def finish(self) -> None:
        """What only all stops together tell."""


class Longitudinal(Run):
    """Targets are studied, then other items are written, and the same targets are probed at every checkpoint (Orhan 2023)."""

    idle: Any = None

    def prepare(self) -> None:
        """Targets that are probed, from all over the list; controls."""
        super().prepare()
        self.ids = self.source.ids("target", self.plan.n_target)
        self.probed = self.ids[spread_out(len(self.ids), self.plan.n_probe)]
        self.targets = ProbeSet(self.source, self.probed, self.plan, self.source.get(self.probed))
        self.keeps = len(self.probed) * len(self.plan.checkpoints) <= MOST_OUTCOMES

    @property
    def stops(self) -> list[int]:
        """Items written by each checkpoint."""
        return [self.plan.items_at(checkpoint) for checkpoint in self.plan.checkpoints]

    def study(self) -> None:
        """The list, as often as it is shown."""
        for _ in range(self.plan.exposures):
            write_batches(self.live, self.source, self.ids, self.plan.batch_size, self.plan.with_targets)
        if callable(getattr(self.live, "idle", None)):
            self.idle = copy_of(self.live)

    def probe(self, stop: int, written: int) -> None:
        """Targets, controls, and targets of a memory that had nothing to write."""
        lags = {"lag_items": stop, "lag_updates": self.found["updates"]}
        with self.reader(self.live) as reader:
            studied = self.asked(reader, self.targets, "studied", lags)
            self.tabulate(studied)
            self.tabulate(self.asked(reader, self.control, "unstudied", lags))
        if self.idle is not None:
            if written:
                self.idle.idle(written)
            with self.reader(self.idle) as reader:
                self.tabulate(self.asked(reader, self.targets, "idle", lags))
        for columns, values in studied if self.keeps else ():
            if columns["probe"] == "recognition" or columns["measure"] in SHARES:
                name = key_of(columns, self.plan.foils)
                if name not in self.found["arrays"]:
                    self.found["arrays"][name] = np.zeros((len(values), len(self.stops)), np.uint8)
                self.found["arrays"][name][:, self.found["done"]] = np.rint(2 * values)
        if self.plan.probe_writes:
            write_batches(self.live, self.source, self.probed, self.plan.batch_size, self.plan.with_targets)

    def finish(self) -> None:
        """Items that are still exact, and items that were never lost."""
        for name, matrix in self.found["arrays"].items():
            probe, _, rest = name.partition(" ")
            foil = next((foil for foil in self.plan.foils if foil.label == rest), None) if probe == "recognition" else None
            own = {"foil": foil.family, "level": foil.level} if foil else {"cue": self.plan.cue["kind"]}
            if not foil:
                own["cue_fraction"] = self.targets.recall.cues.fraction if self.targets.recall else None
            columns = self.common | {"probe": probe, "condition": "studied"} | own
            right = matrix == 2
            if probe == "recall":
                row = share("permastore", float(right[:, -1].sum()), len(right), None)
                self.found["rows"].append(columns | row | {"lag_items": self.stops[-1]})
            kept = np.logical_and.accumulate(right, axis=1).sum(axis=0)
            for stop, k in zip(self.stops, kept.tolist(), strict=True):
                row = share("survival", float(k), len(right), None)
                self.found["rows"].append(columns | row | {"lag_items": stop})


class CrossSectional(Run):
    """One stream is written once; at its end items of all ages are probed, and half-way, too, to see whether that differs."""

    role = "target"

    @property
    def stops(self) -> list[int]:
        """Half-way and the end."""
        half = self.plan.n_target // 2
        return [half, self.plan.n_target] if half else [self.plan.n_target]

    def windows(self, stop: int, n_probe: int) -> Iterator[tuple[int, ProbeSet]]:
        """Ages that a stream of this length has, and the items of each."""
        for age in self.plan.checkpoints:
            if self.plan.items_at(age) < stop:
                places = window_of(self.plan.items_at(age), stop, n_probe)
                ids = self.source.ids(self.role, len(places), int(places[0]))
                yield self.plan.items_at(age), ProbeSet(self.source, ids, self.plan, self.reference)

    def probe(self, stop: int, written: int) -> None:
        """Items of every age, and controls."""
        condition = "studied" if stop == self.plan.n_target else "midpoint"
        with self.reader(self.live) as reader:
            found: Values = []
            for age, probes in self.windows(stop, self.plan.n_probe):
                lags = {"lag_items": age, "lag_updates": age // self.plan.batch_size}
                found += self.asked(reader, probes, condition, lags)
            if condition == "studied":
                found += self.asked(reader, self.control, "unstudied")
        self.tabulate(found)  # all at once: a row by itself takes ten times as long

    def finish(self) -> None:
        """Whether the two ends of the stream tell the same curve: the chance of a difference as large if they do."""
        names = ("probe", "measure", "foil", "level", "cue", "cue_fraction")
        curves: dict[tuple, dict[tuple[str, int], tuple[float, float]]] = {}
        for row in self.found["rows"]:
            if row["condition"] in ("studied", "midpoint") and row["measure"] in ("accuracy", "strict_accuracy", *SHARES):
                key = tuple(row.get(name) for name in names)
                curves.setdefault(key, {})[row["condition"], row["lag_items"]] = row["k"], row["n"]
        for key, points in curves.items():
            own = dict(zip(names, key, strict=True))
            ages = [age for end, age in points if end == "midpoint"]
            if own["measure"] == "strict_accuracy" or not ages:
                continue
            strict = curves.get((key[0], "strict_accuracy", *key[2:]), points)  # recognition's ties count half
            arguments = []
            for end in ("midpoint", "studied"):
                k, n = np.array([points[end, age] for age in ages]).T
                right = np.array([strict[end, age][0] for age in ages])
                arguments.append((k, n, right + (k - right) / 2))
            (k, n, squares), (k_late, n_late, squares_late) = arguments
            p = difference_test(k, n, k_late, n_late, squares, squares_late)[1]
            row = {"condition": "midpoint", "n": len(ages), "value": p, "measure": f"stationarity_p_{own['measure']}"}
            self.found["rows"].append(self.common | own | row)


class SteadyState(CrossSectional):
    """Continuous recognition: as a stream goes on, items of every age are probed at many places (Shepard & Teghtsoonian 1961)."""

    @property
    def stops(self) -> list[int]:
        """Places from the first at which every age exists to the end."""
        first = min(self.plan.items_at(self.plan.checkpoints[-1]) + 1, self.plan.n_target)
        return np.unique(np.linspace(first, self.plan.n_target, self.plan.n_positions).astype(np.int64)).tolist()

    def probe(self, stop: int, written: int) -> None:
        """A few items of every age; what they give is kept until the end."""
        pools = self.found.setdefault("pools", [])
        found: Values = []
        with self.reader(self.live) as reader:
            for age, probes in self.windows(stop, max(1, self.plan.n_probe // len(self.stops))):
                lags = {"lag_items": age, "lag_updates": age // self.plan.batch_size}
                found += self.asked(reader, probes, "studied", lags)
            found += self.asked(reader, self.control, "unstudied")
        index = {pool["key"]: pool for pool in pools}
        for columns, values in found:
            names = ("condition", "probe", "measure", "foil", "level", "lag_items")
            key = " ".join(str(columns.get(name)) for name in names)
            if key not in index:
                index[key] = {"key": key, "columns": columns, "values": values}
                pools.append(index[key])
            else:
                index[key]["values"] = np.concatenate([index[key]["values"], values])
                index[key]["columns"]["seconds"] += columns["seconds"]

    def finish(self) -> None:
        """One row for each age, over all places."""
        self.tabulate([(pool["columns"], pool["values"]) for pool in self.found.pop("pools")])


MODES = {"longitudinal": Longitudinal, "cross_sectional": CrossSectional, "steady_state": SteadyState}
