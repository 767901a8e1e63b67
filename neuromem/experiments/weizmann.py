"""Ten actions of nine people: learn eight in one presentation, name what the ninth does, against 1-nearest-neighbour."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.datasets import Weizmann
from neuromem.experiments.result import Result
from neuromem.experiments.weizmann_folds import NET, SMOOTHING, WINDOWS, Design, data, nearest_neighbour, run_fold
from neuromem.experiments.workers import one_thread_each
from neuromem.progress import Progress
from neuromem.sweep import run_tasks

BASE = "two grids, time order"
SELECTED = "selected after the fact: "
DEVIATION_MAPS = ("edges", "changes", "deviations")
DESIGNS = {
    BASE: Design(),
    "two grids, no mirror images": Design(mirror=False),
    "two grids, edges only": Design(maps=("edges",)),
    "two grids, causal normalisation": Design(normalised="causal"),
    "two grids, not normalised": Design(normalised="no"),
    "two grids, not normalised, no mirror images": Design(normalised="no", mirror=False),
    "control: labels of the training clips permuted": Design(permuted=True),
    "two grids, frames interleaved": Design(order="interleaved"),
    SELECTED + "K = 250, interleaved": Design(units=250, order="interleaved"),
    SELECTED + "K = 250, interleaved, deviation maps": Design(units=250, order="interleaved", maps=DEVIATION_MAPS),
    "two grids, learned from 1 person": Design(n_teachers=1),
    "two grids, learned from 2 people": Design(n_teachers=2),
    "two grids, learned from 4 people": Design(n_teachers=4),
}
QUICK_DESIGNS = {
    BASE: Design(),
    "one grid 14/6, not normalised": Design(grids=("14/6",), normalised="no"),
    "control: labels of the training clips permuted": Design(grids=("14/6",), permuted=True),
}
OTHER_SEEDS = 3  # of every design but the first
NEIGHBOURS = {
    "1-nearest-neighbour, same bits": ("clip", True, ("edges", "changes")),
    "1-nearest-neighbour, same bits, not normalised, no mirror images": ("no", False, ("edges", "changes")),
    "1-nearest-neighbour, same bits and deviation maps": ("clip", True, DEVIATION_MAPS),
}
QUICK_PEOPLE = ("daria", "lena")
SIDES = {"plain": "", "both": ", clip and mirror image"}
# Nested choice: K and side for each person by the other eight alone, on one grid.
CHOICES, CHOICE_GRID, CHOICE_SEED, INNER_SEED = (64, 128, 250), "14/6", 7, 11


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Whole clips and sub-clips for every design, details of the first, its rival on the same bits, controls."""
    clips = data()
    people = list(QUICK_PEOPLE) if quick else sorted(set(clips.person.tolist()))
    settings: dict[str, Any] = {"net": NET, "smoothing": SMOOTHING, "people": people, "seeds": seeds}
    settings |= {"base": asdict(Design()), "presentations of a clip": 1}
    result = Result("weizmann", 0, settings)
    designs = QUICK_DESIGNS if quick else DESIGNS
    with one_thread_each() as pool:
        with result.timed("start of the workers"):  # they compile or load kernels, which no figure should include
            first = Design(grids=("14/6",), normalised="no")
            run_tasks(run_fold, [fold_task([person], 0, first) for person in people[:2]], pool)
        for name, design in designs.items():
            per_seed = []
            for seed in range(seeds if name == BASE else min(seeds, OTHER_SEEDS)):
                seconds = f"{name}: first seed, {len(people)} folds, encoder included" if seed == 0 else f"{name}: other seeds"
                with result.timed(seconds):
                    tasks = [fold_task([person], seed, design) for person in people]
                    per_seed.append(whole(run_tasks(run_fold, tasks, pool, progress=progress), clips))
            add_design(result, name, design, per_seed, clips)
            if name == BASE:
                add_details(result, [scores["all counts plain"] for scores in per_seed], clips)
                keep = confusion([scores["all counts plain"] for scores in per_seed], clips)
        for name, (normalised, mirror, maps) in list(NEIGHBOURS.items())[: 1 if quick else None]:
            rival = [{"out": [p], "normalised": normalised, "mirror": mirror, "maps": list(maps)} for p in people]
            with result.timed(f"{name}, {len(people)} folds"):
                found = run_tasks(nearest_neighbour, rival, pool, progress=progress)
            add_accuracies(result, name, [whole(found, clips)["votes"]], clips)
        if not quick:
            with result.timed("nested choice"):
                nested(result, pool, clips, progress)
    if out is not None:
        draw(result, keep, clips, out)
    return result


def fold_task(out: list[str], seed: int, design: Design) -> dict[str, Any]:
    """Arguments of :func:`run_fold`."""
    return {"out": out, "seed": seed, "design": asdict(design)}


def whole(folds: Sequence[Mapping[str, np.ndarray]], clips: Weizmann) -> dict[str, np.ndarray]:
    """Scores of all tested frames in their places, NaN elsewhere; float64 (n_frames, n_classes) each."""
    n_classes = len(np.unique(clips.action))
    joined = {}
    for name in folds[0]:
        if name != "tested":
            joined[name] = np.full((len(clips.frames), n_classes), np.nan)
            for fold in folds:
                joined[name][fold["tested"]] = fold[name]
    return joined


def tested_clips(scores: np.ndarray, clips: Weizmann) -> list[tuple[int, np.ndarray]]:
    """Number and scores of every clip that was tested."""
    parts = [(c, scores[clips.start[c] : clips.start[c] + clips.length[c]]) for c in range(len(clips.length))]
    return [(c, part) for c, part in parts if not np.isnan(part[0, 0])]


def sub_clip_accuracy(scores: np.ndarray, clips: Weizmann, window: int) -> float:
    """Share of stretches of ``window`` frames, each decided by itself, that are named rightly: a mean over clips."""
    y = np.unique(clips.action, return_inverse=True)[1]
    shares = []
    for c, part in tested_clips(scores, clips):
        total = np.concatenate([np.zeros((1, part.shape[1])), np.cumsum(part, axis=0)])
        sums = total[window:] - total[:-window] if len(part) >= window else total[-1:]
        shares.append(float((sums.argmax(axis=1) == y[c]).mean()))
    return float(np.mean(shares))


def decisions(scores: np.ndarray, clips: Weizmann) -> tuple[np.ndarray, np.ndarray]:
    """Class of every tested clip by the sum over its frames, and the right one; int64 (n,) each."""
    y = np.unique(clips.action, return_inverse=True)[1]
    parts = tested_clips(scores, clips)
    return np.array([part.sum(axis=0).argmax() for _, part in parts]), y[[c for c, _ in parts]]


def add_accuracies(result: Result, name: str, runs: list[np.ndarray], clips: Weizmann, **columns: Any) -> None:
    """Rows of whole clips and of each length of sub-clips."""
    right = [[int((named == y).sum()) for named, y in [decisions(scores, clips)]][0] for scores in runs]
    n = len(tested_clips(runs[0], clips))
    result.add(name, "clips right", right, n, **columns)
    result.add(name, "clips, accuracy", [count / n for count in right], n, **columns)
    for window in WINDOWS:
        shares = [sub_clip_accuracy(scores, clips, window) for scores in runs]
        result.add(name, f"sub-clips of {window} frame{'s' * (window > 1)}, accuracy", shares, n, **columns)


def add_design(result: Result, name: str, design: Design, per_seed: list[dict[str, np.ndarray]], clips: Weizmann) -> None:
    """Rows of one design, the clip alone and with its mirror image; of the base design also single grids and the binary field."""
    several = len(design.grids) > 1
    conditions = {("all" if several else design.grids[0], "counts"): name}
    if several and (name == BASE or "K = 250" in name):
        conditions["all", "binary"] = f"{name}, published binary label field"
    if name == BASE:
        short = name.replace("two grids, ", "")
        conditions |= {(grid, "counts"): f"one grid {grid}, {short}" for grid in design.grids}
        conditions["14/6", "binary"] = f"one grid 14/6, {short}, published binary label field"
    for (grid, readout), condition in conditions.items():
        for side, words in SIDES.items():
            if (key := f"{grid} {readout} {side}") in per_seed[0]:
                add_accuracies(result, condition + words, [scores[key] for scores in per_seed], clips, presentations=1)


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


def nested(result: Result, pool: Any, clips: Weizmann, progress: Progress) -> None:
    """K and side chosen for each person by ten-frame sub-clips of the other eight, who never see that person."""
    people = sorted(set(clips.person.tolist()))
    designs = {units: Design(grids=(CHOICE_GRID,), units=units) for units in CHOICES}
    pairs = list(combinations(people, 2))
    inner_tasks = [fold_task(list(pair), INNER_SEED, design) for design in designs.values() for pair in pairs]
    outer_tasks = [fold_task([person], CHOICE_SEED, design) for design in designs.values() for person in people]
    found = run_tasks(run_fold, [*inner_tasks, *outer_tasks], pool, progress=progress)
    inner, outer = found[: len(inner_tasks)], found[len(inner_tasks) :]
    options = [(units, side) for units in CHOICES for side in SIDES]
    judged: dict[tuple[str, int, str], list[float]] = {}
    for (units, pair), fold in zip([(u, p) for u in CHOICES for p in pairs], inner, strict=True):
        for side in SIDES:
            scores = whole([fold], clips)[f"{CHOICE_GRID} counts {side}"]
            for person, judge in (pair, pair[::-1]):
                others = scores.copy()
                others[clips.person[clips.clip_of_frame] != judge] = np.nan
                judged.setdefault((person, units, side), []).append(sub_clip_accuracy(others, clips, 10))
    of = {key: fold for key, fold in zip([(u, p) for u in CHOICES for p in people], outer, strict=True)}
    chosen = {}
    for person in people:
        means = [float(np.mean(judged[person, units, side])) for units, side in options]
        chosen[person] = options[means.index(max(means))]
    folds = [
        {"tested": of[chosen[p][0], p]["tested"], "s": of[chosen[p][0], p][f"{CHOICE_GRID} counts {chosen[p][1]}"]}
        for p in people
    ]
    add_accuracies(result, f"nested choice of K and side, grid {CHOICE_GRID}", [whole(folds, clips)["s"]], clips, presentations=1)
    for option in options:
        times = sum(choice == option for choice in chosen.values())
        result.add(f"nested choice: K = {option[0]}, {option[1]}", f"of {len(people)} people, for whom it was chosen", [times])


def draw(result: Result, shares: np.ndarray, clips: Weizmann, out: Path) -> None:
    """Sub-clip accuracies of the main rows, and which frames are taken for which."""
    from neuromem.experiments.figures import finish, new_figure

    shown = {BASE: "tab:blue", "two grids, not normalised": "tab:red", "one grid 14/6, not normalised": "tab:red"}
    shown |= {
        f"{BASE}, published binary label field": "tab:purple",
        SELECTED + "K = 250, interleaved, deviation maps": "tab:green",
        "1-nearest-neighbour, same bits": "tab:orange",
    }
    figure, (left, right) = new_figure(12.0, 5.0, 2)
    values = {(row.condition, row.metric): row.value for row in result.rows}
    for name, colour in shown.items():
        if (name, "clips, accuracy") in values:
            curve = [values[name, f"sub-clips of {w} frame{'s' * (w > 1)}, accuracy"] for w in WINDOWS]
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
