"""Ten actions of nine people: learn eight in one presentation, name what the ninth does, against 1-nearest-neighbour."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.datasets import Weizmann
from neuromem.experiments.result import Result
from neuromem.experiments.weizmann_folds import (
    DEVIATION_MAPS,
    MORE_READOUTS,
    NET,
    SMOOTHING,
    WINDOWS,
    Design,
    data,
    nearest_neighbour,
    run_fold,
)
from neuromem.experiments.weizmann_levels import LEVELS, conditions_of, level_fold, level_task
from neuromem.experiments.weizmann_nested import FRAME_CHOICES, READOUT_CHOICE, nested
from neuromem.experiments.weizmann_scores import add_accuracies, add_differences, by_seed, name_of_window, tested_clips, whole
from neuromem.experiments.workers import one_thread_each
from neuromem.sweep import run_tasks

BASE = "two grids, time order"
ONE_GRID = "one grid 14/6"
SELECTED = "selected after the fact: "
DESIGNS = {
    BASE: Design(readouts=MORE_READOUTS),
    "two grids, no mirror images": Design(mirror=False),
    "two grids, edges only": Design(maps=("edges",)),
    "two grids, causal normalisation": Design(normalised="causal"),
    "two grids, not normalised": Design(normalised="no"),
    "two grids, not normalised, no mirror images": Design(normalised="no", mirror=False),
    "control: labels of the training clips permuted": Design(permuted=True),
    "two grids, K = 250": Design(units=250),
    "two grids, frames interleaved": Design(order="interleaved"),
    SELECTED + "K = 250, interleaved": Design(units=250, order="interleaved"),
    SELECTED + "K = 250, interleaved, deviation maps": Design(units=250, order="interleaved", maps=DEVIATION_MAPS),
    "two grids, learned from 1 person": Design(n_teachers=1),
    "two grids, learned from 2 people": Design(n_teachers=2),
    "two grids, learned from 4 people": Design(n_teachers=4),
}
ONE_GRID_DESIGNS: dict[str, dict[str, Any]] = {
    "Q = 4": {"modules": 4},
    "Q = 16": {"modules": 16},
    "K = 32": {"units": 32},
    "K = 64": {"units": 64},
    "K = 250": {"units": 250},
    "no mirror images": {"mirror": False},
    "edges only": {"maps": ("edges",)},
    "causal normalisation": {"normalised": "causal"},
    "not normalised": {"normalised": "no"},
    "not normalised, no mirror images": {"normalised": "no", "mirror": False},
    "learned from 1 person": {"n_teachers": 1},
    "learned from 2 people": {"n_teachers": 2},
    "learned from 4 people": {"n_teachers": 4},
}
DESIGNS |= {f"{ONE_GRID}, {name}": Design(grids=("14/6",), **changes) for name, changes in ONE_GRID_DESIGNS.items()}
QUICK_DESIGNS = {
    BASE: Design(),
    f"{ONE_GRID}, not normalised": Design(grids=("14/6",), normalised="no"),
    "control: labels of the training clips permuted": Design(grids=("14/6",), permuted=True),
}
OTHER_SEEDS = 3  # of every design of two grids but the first, and of networks
READOUT_NAMES = {
    "counts": "",
    "binary": ", published binary label field",
    "delta": ", delta label field",
    "delta twice": ", delta label field, codes gone through twice",
    "second look": ", counts taken on a second presentation",
}
NEIGHBOUR = "1-nearest-neighbour, same bits"
NEIGHBOURS = {
    NEIGHBOUR: ("clip", True, Design().maps),
    f"{NEIGHBOUR}, not normalised, no mirror images": ("no", False, Design().maps),
    f"{NEIGHBOUR} and deviation maps": ("clip", True, DEVIATION_MAPS),
}
QUICK_PEOPLE = ("daria", "lena")
SIDES = {"plain": "", "both": ", clip and mirror image"}
TASKS_FOLDER = "weizmann-tasks"  # finished tasks of a run that was interrupted; gone when it is done

Tasks = list[dict[str, Any]]
Work = Callable[[Callable[..., Mapping[str, Any]], Tasks], list[dict[str, np.ndarray]]]


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Whole clips and sub-clips for every design, details of the first, its rival on the same bits, controls."""
    clips = data()
    people = list(QUICK_PEOPLE) if quick else sorted(set(clips.person.tolist()))
    settings: dict[str, Any] = {"net": NET, "smoothing": SMOOTHING, "people": people, "seeds": seeds}
    settings |= {"base": asdict(Design()), "networks": {name: asdict(levels) for name, levels in LEVELS.items()}}
    result = Result("weizmann", 0, settings | {"presentations of a clip": 1})
    folder = None if quick or out is None else out / TASKS_FOLDER
    if folder is not None and folder.exists():
        result.settings["tasks kept from an interrupted run, not in the seconds"] = len(list(folder.glob("*.npz")))
    with nullcontext() if quick else one_thread_each() as pool:  # two people are done sooner than a worker starts

        def work(function: Callable[..., Mapping[str, Any]], tasks: Tasks) -> list[dict[str, np.ndarray]]:
            return run_tasks(function, tasks, pool, folder, progress)

        with result.timed("start"):  # kernels are compiled or loaded, which no figure should include
            first = [fold_task([person], 0, Design(grids=("14/6",), units=8, normalised="no")) for person in people[:2]]
            run_tasks(run_fold, first, pool)
        base = add_designs(result, QUICK_DESIGNS if quick else DESIGNS, seeds, people, clips, work)
        rivals = {}
        for name, (normalised, mirror, maps) in list(NEIGHBOURS.items())[: 1 if quick else None]:
            rival = [{"out": [p], "normalised": normalised, "mirror": mirror, "maps": list(maps)} for p in people]
            with result.timed(f"{name}, {len(people)} folds"):
                rivals[name] = whole(work(nearest_neighbour, rival), clips)["votes"]
            add_accuracies(result, name, [rivals[name]], clips)
        if not quick:
            for side, words in SIDES.items():
                add_differences(result, BASE + words, [scores[f"all counts {side}"] for scores in base], rivals[NEIGHBOUR], clips)
            add_levels(result, min(seeds, OTHER_SEEDS), people, clips, work)
            for choice in (READOUT_CHOICE, *FRAME_CHOICES):
                rival_name = NEIGHBOUR if choice.maps == Design().maps else f"{NEIGHBOUR} and deviation maps"
                with result.timed(choice.name):
                    nested(result, work, clips, choice, rivals[rival_name])
    if out is not None:
        draw(result, confusion([scores["all counts plain"] for scores in base], clips), clips, out)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def add_designs(
    result: Result, designs: Mapping[str, Design], seeds: int, people: list[str], clips: Weizmann, work: Work
) -> list[dict[str, np.ndarray]]:
    """Rows of all designs; the base design's scores, one entry per seed."""
    base = []
    for name, design in designs.items():
        n_seeds = seeds if name == BASE else min(seeds, OTHER_SEEDS if len(design.grids) > 1 else 1)
        tasks = [fold_task([person], seed, design) for seed in range(n_seeds) for person in people]
        with result.timed(f"{name}: first seed, {len(people)} folds, encoder included"):
            found = work(run_fold, tasks[: len(people)])
        if n_seeds > 1:
            with result.timed(f"{name}: other seeds"):
                found += work(run_fold, tasks[len(people) :])
        per_seed = by_seed(found, n_seeds, clips)
        add_design(result, name, design, per_seed, clips)
        if name == BASE:
            base = per_seed
            add_details(result, [scores["all counts plain"] for scores in per_seed], clips)
    return base


def add_levels(result: Result, seeds: int, people: list[str], clips: Weizmann, work: Work) -> None:
    """Rows of the networks with a second level or with H, always for clip and mirror image together."""
    for name, levels in LEVELS.items():
        tasks = [level_task(person, seed, levels) for seed in range(seeds) for person in people]
        with result.timed(f"network: {name}, {seeds} seeds"):
            per_seed = by_seed(work(level_fold, tasks), seeds, clips)
        for kind, condition in conditions_of(name, levels).items():
            add_accuracies(result, condition, [scores[kind] for scores in per_seed], clips, presentations=1)


def fold_task(out: list[str], seed: int, design: Design) -> dict[str, Any]:
    """Arguments of :func:`run_fold`."""
    return {"out": out, "seed": seed, "design": asdict(design)}


def add_design(result: Result, name: str, design: Design, per_seed: list[dict[str, np.ndarray]], clips: Weizmann) -> None:
    """Rows of one design, the clip alone and with its mirror image; of the base design also single grids and readouts."""
    several = len(design.grids) > 1
    conditions = {("all" if several else design.grids[0], "counts"): name}
    if several and (name == BASE or "K = 250" in name):
        conditions["all", "binary"] = name + READOUT_NAMES["binary"]
    if name == BASE:
        short = name.replace("two grids, ", "")
        conditions |= {(grid, "counts"): f"one grid {grid}, {short}" for grid in design.grids}
        conditions |= {("14/6", readout): f"{ONE_GRID}, {short}{words}" for readout, words in READOUT_NAMES.items()}
    for (grid, readout), condition in conditions.items():
        for side, words in SIDES.items():
            if (key := f"{grid} {readout} {side}") in per_seed[0]:
                shown = 2 if readout == "second look" else 1
                add_accuracies(result, condition + words, [scores[key] for scores in per_seed], clips, presentations=shown)


def confusion(runs: list[np.ndarray], clips: Weizmann) -> np.ndarray:
    """Share of each class's frames that are called each class, mean over seeds; float64 (n_classes, n_classes)."""
    y = np.unique(clips.action, return_inverse=True)[1][clips.clip_of_frame]
    n_classes = runs[0].shape[1]
    counts = np.zeros((n_classes, n_classes))
    for scores in runs:
        tested = ~np.isnan(scores[:, 0])
        np.add.at(counts, (y[tested], scores[tested].argmax(axis=1)), 1)
    shares: np.ndarray = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    return shares


def add_details(result: Result, runs: list[np.ndarray], clips: Weizmann) -> None:
    """Rows of the base design: single frames by action and by person, confusions, the weakest decision."""
    names, y = np.unique(clips.action, return_inverse=True)
    of_frame = clips.clip_of_frame
    tested = ~np.isnan(runs[0][:, 0])
    right = [scores.argmax(axis=1) == y[of_frame] for scores in runs]
    for what, values in (("action", clips.action), ("person", clips.person)):
        for value in np.unique(values):
            mine = tested & (values[of_frame] == value)
            if mine.any():
                shares = [float(r[mine].mean()) for r in right]
                result.add(f"{BASE}: {what} {value}", "single frames right", shares, int(mine.sum()), presentations=1)
    confused = confusion(runs, clips)
    worst = np.argsort(-(confused - np.diag(np.diag(confused))), axis=None)[:10]
    for i, j in zip(*np.unravel_index(worst, confused.shape), strict=True):
        n = int((tested & (y[of_frame] == i)).sum())
        result.add(f"{BASE}: {names[i]} called {names[j]}", "share of frames", [float(confused[i, j])], n * len(runs))
    wrong: dict[str, int] = {}
    margins = []
    for scores in runs:
        for c, part in tested_clips(scores, clips):
            mean = part.mean(axis=0)
            margins.append(float(mean[y[c]] - np.delete(mean, y[c]).max()))
            if mean.argmax() != y[c]:
                called = f"{clips.action[c]} of {clips.person[c]} called {names[mean.argmax()]}"
                wrong[called] = wrong.get(called, 0) + 1
    for called, count in wrong.items():
        result.add(f"{BASE}: clip {called}", f"of {len(runs)} seeds, in which", [count])
    result.add(BASE, "smallest margin of a clip, log-odds per frame", [min(margins)], len(margins))
    result.add(BASE, "median margin of a clip, log-odds per frame", [float(np.median(margins))], len(margins))


def draw(result: Result, shares: np.ndarray, clips: Weizmann, out: Path) -> None:
    """Sub-clip accuracies of the main rows, and which frames are taken for which."""
    from neuromem.experiments.figures import finish, new_figure

    plain = "two grids, not normalised"
    values = {(row.condition, row.metric): row.value for row in result.rows}
    shown = {
        BASE: "tab:blue",
        plain if (plain, "clips, accuracy") in values else f"{ONE_GRID}, not normalised": "tab:red",
        f"{BASE}, published binary label field": "tab:purple",
        FRAME_CHOICES[0].name: "tab:cyan",
        SELECTED + "K = 250, interleaved, deviation maps": "tab:green",
        NEIGHBOUR: "tab:orange",
    }
    figure, (left, right) = new_figure(12.0, 5.0, 2)
    for name, colour in shown.items():
        if (name, "clips, accuracy") in values:
            curve = [values[name, name_of_window(w)] for w in WINDOWS]
            left.plot(range(5), [*curve, values[name, "clips, accuracy"]], "o-", color=colour, label=name)
    left.set_xticks(range(5), [*map(str, WINDOWS), "whole clip"])
    left.set(xlabel="frames seen", ylabel="share named rightly, held-out person", title="Weizmann, each clip shown once")
    left.set_ylim(0.6, 1.01)
    left.legend(fontsize=8, loc="lower right")
    names = np.unique(clips.action)
    right.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(shares.shape):
        if shares[i, j] >= 0.005:
            right.text(
                j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", fontsize=7, color="white" if i == j else "black"
            )
    right.set_xticks(range(len(names)), names, rotation=45)
    right.set_yticks(range(len(names)), names)
    right.set(xlabel="called", ylabel="single frames of", title=f"{BASE}: per cent of a class's frames")
    finish(figure, out / "weizmann.png", result)
