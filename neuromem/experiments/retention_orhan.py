"""Six conditions of recognition, recall, and the course of both up to 100,000 items later, after Orhan (2023).

Sentences become exemplars of a few classes (items with a structure), word strings random items, gibberish exemplars whose
components are in disorder.  No figure of the paper is quoted, because none could be read; its findings, in words, are rows.
"""

import functools
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.errors import NeuromemWarning
from neuromem.experiments.result import Result, student_interval
from neuromem.experiments.retention_memories import MEMORIES, N_BYTES, N_FEATURES
from neuromem.experiments.workers import one_thread_each
from neuromem.retention import (
    Exemplars,
    Foil,
    ItemSource,
    ProbeResult,
    Shuffled,
    human_figures,
    plot_retention,
    recall_probe,
    recognition_probe,
    retention_curve,
    style_of,
)
from neuromem.sweep import run_tasks

SOURCE = "Orhan 2023, arXiv 2303.17557, abstract"
N_ITEMS, EXPOSURES, CHECKPOINTS, BATCH = 600, (1, 2, 3), "orhan", 16
QUICK_ITEMS, QUICK_EXPOSURES, QUICK_CHECKPOINTS = 60, (1, 3), (1, 10, 100, 1000)
QUICK_MEMORIES = ("SparseyMac", "HopfieldNetwork", "WillshawMemory", "FIFOBuffer", "ReservoirBuffer")
VARIANT = "variant:1/32"
PARTS_FOLDER = "retention-orhan-parts"
SOME_EXACT = "some targets are still exact at the last lag"
# Name -> what is studied, and what it is to be told from
Condition = tuple[Callable[[ItemSource], ItemSource], Callable[[ItemSource], Any]]
CONDITIONS: dict[str, Condition] = {
    "1 structured, unrelated foil": (Exemplars, lambda source: "novel"),
    "2 structured, foil of the same class": (Exemplars, lambda source: "class"),
    "3 structured, foil with 1/32 changed": (Exemplars, lambda source: VARIANT),
    "4 random, random foil": (lambda source: source, lambda source: "novel"),
    "5 random, structured foil": (
        lambda source: source,
        lambda source: Foil("easier_foil_source", source=Exemplars(source)),
    ),
    "6 in disorder, the same in order as foil": (lambda source: Shuffled(Exemplars(source)), lambda source: "novel"),
}
MEASURES = ("exact", "pearson", "component_accuracy")


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """All conditions of all memories, the course of forgetting, and whether each finding holds."""
    memories = QUICK_MEMORIES if quick else tuple(MEMORIES)
    n_items, exposures, checkpoints = (
        (QUICK_ITEMS, QUICK_EXPOSURES, QUICK_CHECKPOINTS) if quick else (N_ITEMS, EXPOSURES, CHECKPOINTS)
    )
    shared = {"n_items": n_items, "exposures": list(exposures)}
    tasks: list[dict[str, Any]] = [
        {"memory": memory, "seed": seed, "what": what, "checkpoints": checkpoints if what == "course" else None, **shared}
        for what in ("course", *CONDITIONS, "recall")
        for memory in memories
        for seed in range(seeds)
    ]
    settings = {"bytes": N_BYTES, "features": N_FEATURES, "items": n_items, "exposures": exposures, "checkpoints": checkpoints}
    result = Result("retention-orhan", 0, json.loads(json.dumps(settings | {"batch": BATCH, "seeds": seeds, "cue": 0.5})))
    folder = None if out is None else out / PARTS_FOLDER
    with result.timed("probes"), one_thread_each() as pool:
        given = run_tasks(measured, tasks, pool, folder, progress)
    found: dict[tuple[str, str], list[ProbeResult]] = {}
    for task, part in zip(tasks, given, strict=True):
        found.setdefault((task["memory"], task["what"]), []).append(ProbeResult.from_json_text(str(part["text"])))
    for memory in memories:
        results = {what: found[memory, what] for what in ("course", *CONDITIONS, "recall")}
        add_memory(result, memory, results, exposures)
        add_findings(result, memory, results, exposures)
    for figure in [f for study in ("brady_2008", "standing_1970", "shepard_1967") for f in human_figures(study)]:
        result.add(f"people, {figure.what}", "recognition, right of two", [figure.value], source=figure.source)
    if out is not None:
        draw(result, memories, found, exposures, out)
        shutil.rmtree(out / PARTS_FOLDER, ignore_errors=True)
    return result


def measured(memory: str, seed: int, what: str, n_items: int, exposures: list[int], checkpoints: Any) -> dict[str, str]:
    """One memory in one condition on one set of items, in a worker; cues that do not settle are judged as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeuromemWarning)
        return {"text": asked(memory, seed, what, n_items, exposures, checkpoints).json_text()}


def asked(memory: str, seed: int, what: str, n_items: int, exposures: list[int], checkpoints: Any) -> ProbeResult:
    """The table of one memory in one condition on one set of items."""
    contender = MEMORIES[memory]
    make: Callable[[int], Any] = functools.partial(contender.memory)
    source = contender.source()
    shared: dict[str, Any] = {"batch_size": BATCH, "seeds": seed}
    if what == "course":
        structured = Exemplars(source)
        found = retention_curve(
            make,
            structured,
            n_target=n_items,
            exposures=exposures[-1],
            checkpoints=checkpoints,
            foils=("novel", VARIANT),
            measures=MEASURES,
            **shared,
        )
    elif what == "recall":
        parts = [
            recall_probe(
                make,
                Exemplars(source),
                n_study=n_items,
                exposures=exposures,
                include_cue=with_cue,
                measures=(*MEASURES, "rouge_l"),
                **shared,
            )
            for with_cue in (False, True)
        ]
        found = parts[0] + parts[1]
    else:
        studied, foil = CONDITIONS[what]
        found = recognition_probe(make, studied(source), n_study=n_items, exposures=exposures, foils=foil(source), **shared)
    return ProbeResult(found.table)


# ---------------------------------------------------------------- rows


def per_seed(results: Sequence[ProbeResult], **wanted: Any) -> list[float]:
    """One value of each set of items; none where the probe gave none."""
    found = [result.where(**wanted).values() for result in results]
    return [float(values[0]) for values in found if len(values)]


def accuracies(results: Sequence[ProbeResult], exposures: int) -> list[float]:
    """Recognition after so many exposures; 0 is the prior."""
    return per_seed(results, measure="accuracy", exposures=exposures)


def add_memory(result: Result, memory: str, results: dict[str, list[ProbeResult]], exposures: Sequence[int]) -> None:
    """Recognition in every condition, recall with and without the cue, and both by lag."""
    n = result.settings["items"] * result.settings["seeds"]
    for condition in CONDITIONS:
        for shown in (0, *exposures):
            values = accuracies(results[condition], shown)
            result.add(f"{memory}: {condition}", "recognition, right of two", values, n, presentations=shown)
    for shown in exposures:
        for measure in ("exact", "pearson", "rouge_l"):
            for suffix, words in (("", "on what was not given"), ("_with_cue", "with what was given, as published")):
                values = per_seed(results["recall"], measure=measure + suffix, exposures=shown, condition="studied")
                if values:
                    result.add(f"{memory}: {words}", f"recall, {measure}", values, presentations=shown)
    lags = np.unique(results["course"][0].where(condition="studied", measure="accuracy").values("lag_items"))
    for lag in lags.tolist():
        own = {"condition": "studied", "lag_items": lag}
        values = per_seed(results["course"], measure="accuracy", foil="novel", **own)
        result.add(f"{memory}: {lag:,} items later", "recognition by lag", values, n, presentations=exposures[-1])
        for measure in ("exact", "pearson"):
            values = per_seed(results["course"], measure=measure, **own)
            result.add(f"{memory}: {lag:,} items later", f"recall by lag, {measure}", values, presentations=exposures[-1])
    kept = per_seed(results["course"], measure="permastore")
    result.add(f"{memory}: at the last lag", "targets still exact", kept, n, presentations=exposures[-1])


def add_findings(result: Result, memory: str, results: dict[str, list[ProbeResult]], exposures: Sequence[int]) -> None:
    """The paper's findings, each as the difference that it is about; whether the interval says so is 1, 0, or 0.5 for neither."""
    names = list(CONDITIONS)
    first = exposures[0]
    alike = [accuracies(results[name], first) for name in names[:3]]
    noise = accuracies(results[names[3]], first)
    exact = per_seed(results["recall"], measure="exact", exposures=first, condition="studied")
    chosen = [2 * np.array(values) - 1 for values in alike]  # above chance, on the scale of recall
    told = {
        "recognition after one exposure is above exact recall": chosen[0] - exact,
        "recognition falls with the likeness of foils": np.array(alike[0]) - alike[2],
        "items with a structure are recognised better than random ones": np.array(alike[0]) - noise,
        "recall falls by more than recognition does": np.array([fall(r) for r in results["course"]]),
        SOME_EXACT: np.array(per_seed(results["course"], measure="permastore")),
    }
    for finding, differences in told.items():
        row = result.add(f"{memory}: {finding}", "difference", differences, source=SOURCE)
        holds = verdict(differences, row.ci_low)
        if finding == SOME_EXACT:  # that there are any is a matter of each set, not of their mean
            holds = float(np.mean([differences.min() > 0, differences.max() > 0]))
        result.add(f"{memory}: {finding}", "holds", [holds], source=SOURCE)


def fall(course: ProbeResult) -> float:
    """Mean over lags of the share of recognition that is left, less that of recall: above 0 where recall falls by more.

    Both are counted above those of items that were never studied: whoever knows the classes knows something of any exemplar.
    """
    shares = []
    for measure, wanted in (("accuracy", {"foil": "novel"}), ("pearson", {})):
        studied, unstudied = (
            course.where(condition=condition, measure=measure, **wanted).curve()["value"]
            for condition in ("studied", "unstudied")
        )
        left = studied - unstudied
        shares.append(float(np.mean(left / left[0])) if left[0] > 0 else np.nan)
    return 0.0 if np.isnan(shares).any() else shares[0] - shares[1]


def verdict(differences: np.ndarray, low: float | None) -> float:
    """1 where a difference is surely above 0, 0 where it is surely not, 0.5 where the sets of items do not agree."""
    if low is None:
        return float(differences[0] > 0)
    high = student_interval(differences.tolist())[1]
    return 1.0 if low > 0 else 0.0 if high <= 0 else 0.5


def draw(
    result: Result,
    memories: Sequence[str],
    found: dict[tuple[str, str], list[ProbeResult]],
    exposures: Sequence[int],
    out: Path,
) -> None:
    """Recognition by condition with people's lines, recall by exposures, and the course of both."""
    from neuromem.experiments.figures import finish, new_figure

    figure, axes = new_figure(19, 5.6, 4)
    names = list(CONDITIONS)
    for place, memory in enumerate(memories):
        style = style_of(place)
        shift = (place - len(memories) / 2) * 0.7 / len(memories)
        means = [np.mean(accuracies(found[memory, name], exposures[0])) for name in names]
        axes[0].plot(np.arange(len(names)) + shift, means, **style | {"ls": ""}, label=memory)
        recalled = [
            np.mean(per_seed(found[memory, "recall"], measure="exact", exposures=shown, condition="studied"))
            for shown in exposures
        ]
        axes[1].plot(exposures, recalled, **style)
    for figure_of, line in zip(human_figures("brady_2008"), ("-", "--", ":"), strict=False):
        axes[0].axhline(figure_of.value, color="0.4", lw=0.9, ls=line)
        axes[0].text(5.6, figure_of.value, f"people, {figure_of.what.split(', ')[-1]}", fontsize=6, ha="right", va="bottom")
    axes[0].axhline(0.5, color="0.7", lw=0.8)
    axes[0].set_xticks(range(len(names)), [name.replace(", ", ",\n", 1) for name in names], fontsize=7, rotation=35, ha="right")
    axes[0].set(ylabel="right of two", title="recognition after one exposure", ylim=(0.4, 1.03))
    axes[1].set(xlabel="exposures", ylabel="share", title="recalled exactly from half", ylim=(-0.03, 1.03), xticks=exposures)
    joined = ProbeResult(np.concatenate([relabelled(found[memory, "course"], memory) for memory in memories]))
    plot_retention(joined, systems=list(memories), ax=axes[2])
    plot_retention(joined, "exact", systems=list(memories), ax=axes[3])
    axes[3].set(title="exact recall as more is written", ylim=(-0.03, 1.03))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(9, len(memories)), fontsize=8)
    finish(figure, out / "retention-orhan.png", result)


def relabelled(results: Sequence[ProbeResult], memory: str) -> np.ndarray:
    """The tables of all sets of items, under one memory's name."""
    rows = [row | {"system": memory} for result in results for row in result.rows()]
    return ProbeResult(rows).table
