"""Repetitions in a row or with time between: which memories gain from spacing, by how much, and at which gap."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuromem import HopfieldNetwork, WillshawMemory
from neuromem.experiments.result import Result
from neuromem.experiments.retention_memories import each_an_episode
from neuromem.experiments.workers import one_thread_each
from neuromem.hcam import ChunkMemory
from neuromem.retention import (
    FSRS6,
    ActivationMemory,
    ContextualDelta,
    FIFOBuffer,
    ItemSource,
    LinearAssociator,
    RandomSigns,
    ReservoirBuffer,
    SparseBits,
    TwoStore,
    spacing_probe,
    spacing_surface,
)
from neuromem.sparsey import SparseyLevel, SparseyMac, SparseyNetwork, SparseySequenceMemory
from neuromem.sweep import run_tasks

WIDTH, N_CLASSES = 64, 12
GAPS, INTERVALS, EXPOSURES = (1, 2, 4, 8, 16, 32, 64, 128, 256), (1, 10, 30, 100, 300, 1000), 4
QUICK_GAPS, QUICK_INTERVALS, QUICK_TARGETS = (1, 16), (10, 100), 20
LEAD = 150  # fillers before the longest schedule
LABELS = 512  # purpose of the random words that classes are made of


class LabelledSigns(RandomSigns):
    """Random signs, each with a random class."""

    n_classes = N_CLASSES

    def classes(self, ids: Any) -> np.ndarray:
        """Class of each id, int64 (n,)."""
        return (self.words(self.checked_ids(ids), LABELS, 1)[:, 0] % N_CLASSES).astype(np.int64)


@dataclass(frozen=True)
class System:
    """A memory by seed, the items it takes, how it is asked, and how many targets each seed has."""

    make: Callable[[int], Any]
    source: ItemSource
    probe: str
    n_targets: int = 100


def two_levels(seed: int) -> SparseyNetwork:
    """A mac over items, and one over its codes that last twice as long."""
    return SparseyNetwork(128, [SparseyLevel(8, 250), SparseyLevel(8, 32, persistence=2)], random_state=seed)


LABELLED, SIGNS = LabelledSigns(WIDTH), RandomSigns(WIDTH)
SYSTEMS: dict[str, System] = {
    # the slowest first, so that it does not end alone
    "Sparsey, permanence": System(
        lambda seed: SparseyMac(128, 16, 32, decay="permanence", random_state=seed), SparseBits(128, 10), "recognition", 30
    ),
    "Sparsey, sequence memory": System(
        lambda seed: each_an_episode(SparseySequenceMemory(128, 8, 250, random_state=seed)),
        SparseBits(128, 10),
        "recognition",
        30,
    ),
    "Sparsey, sequence memory, one long episode": System(
        lambda seed: SparseySequenceMemory(128, 8, 250, random_state=seed), SparseBits(128, 10), "recognition", 30
    ),
    "Sparsey, network": System(lambda seed: each_an_episode(two_levels(seed)), SparseBits(128, 10), "recognition", 30),
    "linear associator, decay 0.01": System(
        lambda seed: LinearAssociator(WIDTH, n_classes=N_CLASSES, decay=0.01), LABELLED, "labels"
    ),
    "delta rule": System(
        lambda seed: ContextualDelta(WIDTH, N_CLASSES, context_share=0.0, random_state=seed), LABELLED, "labels"
    ),
    "delta rule in a drifting context": System(
        lambda seed: ContextualDelta(WIDTH, N_CLASSES, random_state=seed), LABELLED, "labels"
    ),
    "fast store feeding a slow one": System(lambda seed: TwoStore(WIDTH, random_state=seed), SIGNS, "recall"),
    "activation (Pavlik and Anderson)": System(lambda seed: ActivationMemory(WIDTH, random_state=seed), SIGNS, "recall"),
    "FIFO of 200 items": System(lambda seed: FIFOBuffer(WIDTH, 200), SIGNS, "recognition"),
    "reservoir of 200 items": System(lambda seed: ReservoirBuffer(WIDTH, 200, seed), SIGNS, "recognition"),
    "Hopfield, Hebb's rule": System(lambda seed: HopfieldNetwork(WIDTH, "hebb"), SIGNS, "recognition"),
    "Willshaw": System(lambda seed: WillshawMemory(160), SparseBits(160, 8), "recognition"),
    "HCAM's chunks, the newest 256 steps": System(
        lambda seed: ChunkMemory(WIDTH, 32, 8, include_open=True), SIGNS, "recognition"
    ),
}
EXACT = {"fast store feeding a slow one", "activation (Pavlik and Anderson)"}  # whose chances of recall are known


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Every system's surface: massed, best and longest gap, and what spacing gains, for each retention interval."""
    gaps, intervals = (QUICK_GAPS, QUICK_INTERVALS) if quick else (GAPS, INTERVALS)
    tasks: list[dict[str, Any]] = [
        {
            "system": name,
            "gaps": gaps,
            "intervals": intervals,
            "n_targets": QUICK_TARGETS if quick else system.n_targets,
            "seeds": seeds,
        }
        for name, system in SYSTEMS.items()
    ]
    settings: dict[str, Any] = {
        "exposures": EXPOSURES,
        "gaps": gaps,
        "retention intervals": intervals,
        "fillers before": LEAD,
        "features": WIDTH,
    }
    settings |= {"classes": N_CLASSES, "seeds": seeds, "targets of a seed": {task["system"]: task["n_targets"] for task in tasks}}
    settings |= {"asked": {name: system.probe for name, system in SYSTEMS.items()}}
    settings |= {"items": {name: repr(system.source) for name, system in SYSTEMS.items()}}
    result = Result("retention-spacing", 0, settings)
    folder = None if quick or out is None else out / "retention-spacing-tasks"
    with result.timed("probes"), one_thread_each() as pool:
        found = run_tasks(probed, tasks, pool, folder, progress)
    surfaces = {}
    for task, each in zip(tasks, found, strict=True):
        add_rows(result, task["system"], each, gaps, intervals, task["n_targets"] * seeds)
        surfaces[task["system"]] = each["value"]
    for name in SYSTEMS:
        if name in EXACT:
            add_exact(result, f"{name}, chances by the formula", chances(SYSTEMS[name].make, gaps, intervals), gaps, intervals)
    add_exact(result, "FSRS-6, answers 'good', days", fsrs(gaps, intervals), gaps, intervals)
    if out is not None:
        draw(result, surfaces, gaps, intervals, out)
    return result


def probed(system: str, gaps: list[int], intervals: list[int], n_targets: int, seeds: int) -> dict[str, Any]:
    """One system's surface, in a worker."""
    how = SYSTEMS[system]
    result = spacing_probe(
        how.make,
        how.source,
        gaps=gaps,
        retention_intervals=intervals,
        exposures=EXPOSURES,
        probe=how.probe,
        n_targets=n_targets,
        lead=LEAD,
        seeds=range(seeds),
    )
    surface = spacing_surface(result)
    out: dict[str, Any] = {"value": surface.value, "ci_lo": surface.ci_lo, "ci_hi": surface.ci_hi}
    for measure in ("best_gap", "spacing_gain"):
        rows = result.where(measure=measure)
        out[measure] = np.stack([rows.values(column) for column in ("value", "ci_lo", "ci_hi")])
    out["chance"] = result.where(gap=gaps[0]).values("chance").mean()
    return out


def add_rows(
    result: Result, system: str, found: dict[str, np.ndarray], gaps: tuple[int, ...], intervals: tuple[int, ...], n: int
) -> None:
    """One system: right answers of three gaps, the ridge and the gain, for each retention interval."""
    best = np.searchsorted(gaps, found["best_gap"][0])
    for when, interval in enumerate(intervals):
        condition = f"{system}: after {interval} items"
        for name, place in (("massed", 0), ("best gap", int(best[when])), (f"gap {gaps[-1]}", len(gaps) - 1)):
            row = result.add(condition, f"right answers, {name}", [found["value"][place, when]], n=n, presentations=EXPOSURES)
            row.ci_low, row.ci_high = float(found["ci_lo"][place, when]), float(found["ci_hi"][place, when])
        for metric, key in (("best gap", "best_gap"), ("gain from spacing", "spacing_gain")):
            row = result.add(condition, metric, [found[key][0, when]])
            row.ci_low, row.ci_high, row.n = float(found[key][1, when]), float(found[key][2, when]), n
    result.add(system, "right answers by guessing", [found["chance"]])


def add_exact(result: Result, name: str, surface: np.ndarray, gaps: tuple[int, ...], intervals: tuple[int, ...]) -> None:
    """Rows of a surface that is known without error."""
    for when, interval in enumerate(intervals):
        condition = f"{name}: after {interval} {'days' if 'days' in name else 'items'}"
        best = int(surface[:, when].argmax())
        result.add(condition, "chance of recall, massed", [surface[0, when]])
        result.add(condition, "chance of recall, best gap", [surface[best, when]])
        result.add(condition, "best gap", [gaps[best]])


def chances(make: Callable[[int], Any], gaps: tuple[int, ...], intervals: tuple[int, ...]) -> np.ndarray:
    """Chance of recall after every schedule, (gaps, intervals)."""
    item = np.ones((1, WIDTH), np.float32)
    found = np.empty((len(gaps), len(intervals)))
    for row, gap in enumerate(gaps):
        memory = make(0)
        memory.write(item)
        for _ in range(EXPOSURES - 1):
            memory.idle(gap - 1)
            memory.write(item)
        waited = 0
        for column, interval in enumerate(intervals):
            memory.idle(interval - waited)
            waited = interval
            found[row, column] = memory.recall_probability(item)[0]
    return found


def fsrs(gaps: tuple[int, ...], intervals: tuple[int, ...]) -> np.ndarray:
    """What FSRS-6 expects of people, with days for items, (gaps, intervals)."""
    model = FSRS6()
    days = np.repeat(np.array(gaps, float)[:, None], EXPOSURES, axis=1)
    stability = model.simulate(np.full(days.shape, 3), days).stability[:, -1]
    return model.retrievability(stability[:, None], np.array(intervals, float))


def draw(result: Result, surfaces: dict[str, np.ndarray], gaps: tuple[int, ...], intervals: tuple[int, ...], out: Path) -> None:
    """Right answers against the gap, one panel for each system, one line for each retention interval."""
    from neuromem.experiments.figures import finish, new_figure

    n_columns = 4
    n_rows = -(-len(surfaces) // n_columns)
    figure, first = new_figure(3.4 * n_columns, 2.9 * n_rows)
    figure.delaxes(first)
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True).ravel()
    for ax, (name, value) in zip(axes, surfaces.items(), strict=False):
        for when, interval in enumerate(intervals):
            colour = (0.1 + 0.8 * when / max(1, len(intervals) - 1), 0.2, 0.7 - 0.5 * when / max(1, len(intervals) - 1))
            ax.plot(gaps, value[:, when], "-", color=colour, label=f"after {interval}", lw=1.2)
            best = int(value[:, when].argmax())
            ax.plot(gaps[best], value[best, when], "o", color=colour, ms=5)
        ax.set_title(name, fontsize=9)
        ax.set(xscale="log", ylim=(0, 1.03))
    for ax in axes[len(surfaces) :]:
        ax.set_axis_off()
    axes[0].legend(fontsize=7, loc="lower left")
    figure.supxlabel("steps from one of four exposures to the next (dots: best gap)")
    figure.supylabel("right answers")
    finish(figure, out / "retention-spacing.png", result)
