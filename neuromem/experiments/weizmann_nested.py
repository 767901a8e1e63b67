"""Settings chosen for each person by how well they do on the other eight, with that person and the judged one left out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from neuromem.datasets import Weizmann
from neuromem.experiments.result import Result
from neuromem.experiments.weizmann_folds import DEVIATION_MAPS, Design, run_fold
from neuromem.experiments.weizmann_scores import add_accuracies, add_differences, by_seed, sub_clip_accuracy, whole

OUTER_SEED, INNER_SEED = 7, 11
SIDES = {"plain": "clip alone", "both": "clip and mirror image"}


@dataclass(frozen=True)
class Choice:
    """What is chosen among: designs and kinds of scores, each by the words that name it, one word per question."""

    name: str
    designs: Mapping[Any, Design]
    kinds: Mapping[Any, str]  # keys of a fold's scores
    window: int  # frames of the sub-clips that decide
    in_threes: bool  # people left out of the inner fits in threes, every two of them once, instead of in pairs
    n_seeds: int
    maps: tuple[str, ...]


READOUT_CHOICE = Choice(
    "nested choice of K, readout and side, grid 14/6",
    {(f"K = {units}",): Design(grids=("14/6",), units=units, readouts=("counts", "binary", "delta")) for units in (64, 128, 250)},
    {(readout, words): f"14/6 {readout} {side}" for readout in ("counts", "binary", "delta") for side, words in SIDES.items()},
    window=10,
    in_threes=False,
    n_seeds=1,
    maps=Design().maps,
)


def frame_choice(name: str, maps: tuple[str, ...], sizes: Sequence[tuple[int, int, float]]) -> Choice:
    """Size, freeze limit, grids and side of the net in time order, by single frames."""
    designs = {
        (f"K = {units}", f"Q = {modules}", f"freeze limit {saturation:g}"): Design(
            units=units, modules=modules, saturation=saturation, maps=maps, readouts=("counts",)
        )
        for units, modules, saturation in sizes
    }
    grids = {"grid 14/6": "14/6", "grid 10/5": "10/5", "two grids": "all"}
    kinds = {(g, words): f"{grid} counts {side}" for g, grid in grids.items() for side, words in SIDES.items()}
    return Choice(name, designs, kinds, window=1, in_threes=True, n_seeds=3, maps=maps)


SIZES = [*product((128, 250), (8, 16), (0.08, 0.12)), (500, 8, 0.08), (500, 16, 0.08)]
FEWER_SIZES = [(128, 8, 0.08), (250, 8, 0.08), (250, 16, 0.08), (500, 16, 0.08)]
FRAME_CHOICES = (
    frame_choice("nested choice by single frames, time order", Design().maps, SIZES),
    frame_choice("nested choice by single frames, time order, deviation maps", DEVIATION_MAPS, FEWER_SIZES),
)


def groups_of(people: Sequence[str], in_threes: bool) -> list[tuple[str, ...]]:
    """Who is left out together of an inner fit: all pairs, or the twelve lines of a square of nine, which hold each pair once."""
    if not in_threes:
        return list(combinations(people, 2))
    lines = [[(a, b) for b in range(3)] for a in range(3)]
    lines += [[(a, (slope * a + shift) % 3) for a in range(3)] for slope in range(3) for shift in range(3)]
    return [tuple(sorted(people[3 * a + b] for a, b in line)) for line in lines]


def judged(fold: Mapping[str, np.ndarray], group: Sequence[str], choice: Choice, clips: Weizmann) -> dict[Any, float]:
    """Accuracy of each kind of scores on each person of a group."""
    of_frame = clips.person[clips.clip_of_frame]
    found = {}
    for kind, key in choice.kinds.items():
        scores = whole([{"tested": fold["tested"], "scores": fold[key]}], clips)["scores"]
        for person in group:
            mine = np.where((of_frame == person)[:, None], scores, np.nan)
            found[kind, person] = sub_clip_accuracy(mine, clips, choice.window)
    return found


def chosen_for(
    people: Sequence[str], groups: Sequence[tuple[str, ...]], figures: Mapping[Any, float], options: Sequence[Any]
) -> dict[str, Any]:
    """For each person the option that is best on average on the others, in fits that left out both; ties to the first."""
    found = {}
    for person in people:
        fits = [(group, judge) for group in groups if person in group for judge in group if judge != person]
        means = [float(np.mean([figures[option, group, judge] for group, judge in fits])) for option in options]
        found[person] = options[means.index(max(means))]
    return found


def nested(result: Result, work: Any, clips: Weizmann, choice: Choice, rival: np.ndarray) -> None:
    """Choose by inner fits, then test each person with the chosen settings in fits of other seeds; rows of both."""
    people = sorted(set(clips.person.tolist()))
    groups = groups_of(people, choice.in_threes)
    cases = [(words, group) for words in choice.designs for group in groups]
    tasks = [{"out": list(group), "seed": INNER_SEED, "design": asdict(choice.designs[words])} for words, group in cases]
    inner = work(run_fold, tasks)
    figures = {}
    for (words, group), fold in zip(cases, inner, strict=True):
        for (kind, judge), value in judged(fold, group, choice, clips).items():
            figures[(words, kind), group, judge] = value
    options = list(product(choice.designs, choice.kinds))
    chosen = chosen_for(people, groups, figures, options)
    seeds = range(OUTER_SEED, OUTER_SEED + choice.n_seeds)
    outer = [{"out": [p], "seed": seed, "design": asdict(choice.designs[chosen[p][0]])} for seed in seeds for p in people]
    found = work(run_fold, outer)
    keys = [choice.kinds[chosen[p][1]] for _ in seeds for p in people]
    folds = [{"tested": fold["tested"], "scores": fold[key]} for fold, key in zip(found, keys, strict=True)]
    runs = [scores["scores"] for scores in by_seed(folds, choice.n_seeds, clips)]
    add_accuracies(result, choice.name, runs, clips, presentations=1)
    add_differences(result, choice.name, runs, rival, clips)
    add_choices(result, choice, [words + kind for words, kind in chosen.values()], [words + kind for words, kind in options])


def add_choices(result: Result, choice: Choice, taken: list[tuple[str, ...]], options: list[tuple[str, ...]]) -> None:
    """For how many people each answer to each question was chosen, and each combination that was."""
    metric = f"of {len(taken)} people, for whom it was chosen"
    for question in range(len(options[0])):
        for word in dict.fromkeys(option[question] for option in options):
            result.add(f"{choice.name}: {word}", metric, [sum(option[question] == word for option in taken)])
    for option in options:
        if option in taken:
            result.add(f"{choice.name}: {', '.join(option)}", metric, [taken.count(option)])
