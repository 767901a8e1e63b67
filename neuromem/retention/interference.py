"""Interference: what other pairs with the same or a similar cue, or other items of the same class, do to a list."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.progress import Progress, progress_bar
from neuromem.random import generator_for
from neuromem.retention.adapters import copy_of, fresh, require, system_name, write_batches
from neuromem.retention.course_modes import PROBES, Plan, Values, rows_of
from neuromem.retention.foils import Foil
from neuromem.retention.items import ItemSource
from neuromem.retention.paired_items import PairedItems, paired_foil
from neuromem.retention.questions import Questions, config_of, difference_rows, names_of, numbers_of, question_plan
from neuromem.retention.recognition import ascending, seeds_of, spread_out
from neuromem.retention.results import ProbeResult

KINDS = ("retroactive", "proactive", "release")
MOST_FANS = 8


class PairedLists:
    """The lists of one seed, and a memory that has seen none of them.

    Parameters
    ----------
    memory : object
        Copied for every condition.
    source : ItemSource
        Of this seed.
    plan : Plan
    passes : int
        Exposures of the list that is probed.
    n_study : int
        Pairs in each list.
    """

    probe = "interference_probe"

    def __init__(self, memory: Any, source: ItemSource, plan: Plan, passes: int, n_study: int, seed: int) -> None:
        self.memory, self.source, self.plan, self.n_study = memory, source, plan, n_study
        self.common = {"exposures": passes, "seed": seed}
        self.pairs = PairedItems(source, n_study, plan.cue["n_key"])
        self.ids = source.ids("target", n_study)
        self.orders = self.passes(self.ids)
        self.questions = self.about(self.pairs, self.ids, plan)

    def passes(self, ids: np.ndarray) -> list[np.ndarray]:
        """The list in an order for each pass, the same ones for every condition."""
        orders = generator_for(self.source.seed_sequence, "retention.probes")
        return [orders.permutation(ids) for _ in range(self.common["exposures"])]

    def about(self, source: ItemSource, ids: np.ndarray, plan: Plan) -> Questions:
        """Questions on items from all over a list."""
        return Questions(source, ids[spread_out(len(ids), plan.n_probe)], plan, self.probe)

    def write(self, memory: Any, source: ItemSource, ids: np.ndarray) -> None:
        """Write items in batches."""
        write_batches(memory, source, ids, self.plan.batch_size, self.plan.with_targets)

    def study(self, memory: Any, source: ItemSource, orders: list[np.ndarray]) -> None:
        """Write the list that is probed."""
        for order in orders:
            self.write(memory, source, order)

    def retroactive(self, counts: list[int], similarity: list[float]) -> list[dict[str, Any]]:
        """A-B, then lists of A'-C; beside it A-B alone."""
        studied = copy_of(self.memory)
        self.study(studied, self.pairs, self.orders)
        columns = self.common | {"condition": "retroactive_control", "gap": 0, "lag_items": 0}
        control = self.questions.ask(studied, columns)
        rows = rows_of(control)
        for level in similarity:
            pairs = PairedItems(self.source, self.n_study, self.plan.cue["n_key"], similarity=level)
            live, written = copy_of(studied), 0
            for count in counts:
                self.write(live, pairs, pairs.ids("filler", (count - written) * self.n_study, written * self.n_study))
                written = count
                columns = self.common | {"condition": "retroactive", "level": level, "gap": count}
                found = self.questions.ask(live, columns | {"lag_items": count * self.n_study})
                rows += rows_of(found) + difference_rows(found, control, "loss")
        return rows

    def proactive(self, counts: list[int], similarity: list[float]) -> list[dict[str, Any]]:
        """Lists of A'-C, then A-B; beside it A-B alone."""
        alone = copy_of(self.memory)
        self.study(alone, self.pairs, self.orders)
        columns = self.common | {"condition": "proactive_control", "gap": 0, "lag_items": 0}
        control = self.questions.ask(alone, columns)
        rows = rows_of(control)
        for level in similarity:
            pairs = PairedItems(self.source, self.n_study, self.plan.cue["n_key"], similarity=level)
            before, written = copy_of(self.memory), 0
            for count in counts:
                self.write(before, pairs, pairs.ids("filler", (count - written) * self.n_study, written * self.n_study))
                written = count
                live = copy_of(before)
                self.study(live, self.pairs, self.orders)
                columns = self.common | {"condition": "proactive", "level": level, "gap": count, "lag_items": 0}
                found = self.questions.ask(live, columns)
                rows += rows_of(found) + difference_rows(found, control, "loss")
        return rows

    def release(self, counts: list[int]) -> list[dict[str, Any]]:
        """Lists of the same class as the list that is probed, or of another one, before it."""
        n_classes = self.source.n_classes or 0
        plan = replace(self.plan, foils=[Foil("class")])
        ids = ids_of_class(self.source, "target", 0, self.n_study)
        orders, questions = self.passes(ids), self.about(self.source, ids, plan)
        answers: dict[str, list[Values]] = {}
        for condition, number in (("same_class", 0), ("other_class", n_classes // 2)):
            before, written = copy_of(self.memory), 0
            fillers = ids_of_class(self.source, "filler", number, counts[-1] * self.n_study)
            for count in counts:
                self.write(before, self.source, fillers[written * self.n_study : count * self.n_study])
                written = count
                live = copy_of(before)
                self.study(live, self.source, orders)
                columns = self.common | {"condition": condition, "gap": count, "lag_items": 0}
                answers.setdefault(condition, []).append(questions.ask(live, columns))
        rows = rows_of([value for found in answers.values() for values in found for value in values])
        for same, other in zip(answers["same_class"], answers["other_class"], strict=True):
            for row in difference_rows(same, other, "release"):
                rows.append(row | {"condition": "release"})
        return rows


def ids_of_class(source: ItemSource, role: str, number: int, n: int) -> np.ndarray:
    """The first ``n`` ids of a role that are of a class, int64 (n,).

    Raises
    ------
    InputError
        If the source has not so many of them.
    """
    first, stop = source.range_of(role)
    n_seen = max(1, n)
    while True:
        n_seen = min(2 * n_seen, stop - first)
        ids = source.ids(role, n_seen)
        found = ids[source.classes(ids) == number]
        if len(found) >= n:
            return found[:n]
        if n_seen == stop - first:
            raise InputError(f"{n} items of class {number} are asked for as {role}, the source has {len(found)} of them")


def interference_probe(
    memory: Any,
    source: ItemSource,
    *,
    kinds: str | Sequence[str] = ("retroactive", "proactive"),
    n_study: int = 100,
    n_key: int | None = None,
    n_interfering: int | Sequence[int] = (1,),
    similarity: float | Sequence[float] = (0.0, 0.5, 1.0),
    exposures: int = 1,
    probes: str | Sequence[str] = PROBES,
    foils: str | Foil | Iterable[str | Foil] = ("novel", "recombined"),
    measures: str | Sequence[str] = ("component_accuracy", "exact"),
    tolerance: float = 0.1,
    n_probe: int | None = None,
    batch_size: int = 16,
    with_targets: bool = False,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
    progress: Progress = False,
) -> ProbeResult:
    """Study pairs A-B and, after or before them, pairs A'-C whose cues are similar; then ask for A-B.

    An item's first ``n_key`` components are the cue, the others its associate.

    Parameters
    ----------
    memory : object or callable
        Has ``write`` and what the probes need: ``familiarity`` (recognition), ``complete`` (recall of B from A).  It is copied,
        never changed.  A callable without ``write`` makes a memory from a seed.
    source : ItemSource
        Each seed has other items of it.
    kinds : {"retroactive", "proactive", "release"} or several, default ("retroactive", "proactive")
        A'-C after A-B; A'-C before A-B; lists of the same class as the list that is probed, or of another class, before it (for
        sources with classes).
    n_study : int, default 100
        Pairs in a list.
    n_key : int, optional
        Components of the cue; default: half of the item.
    n_interfering : int or sequence of int, default (1,)
        Lists of other pairs, ascending; each has one pair for every A.
    similarity : float in [0, 1] or several, default (0.0, 0.5, 1.0)
        Share of its components that A' has from A, the others being those of an unrelated item: 1 is the same cue, 0 lists that
        have nothing to do with A-B, which shows what merely writing more does.
    exposures : int, default 1
        Passes over A-B.
    probes, measures, tolerance
        As in :func:`retention_curve`.
    foils : str, Foil or several, default ("novel", "recombined")
        Of recognition; "recombined" is A with another pair's B.  Release takes other items of the same class.
    n_probe, batch_size, with_targets, seeds, check_purity, progress
        As in :func:`recognition_probe`; ``n_probe`` is 2,000 unless given.

    Returns
    -------
    ProbeResult
        ``condition``: "retroactive" and "proactive" with ``level`` (similarity) and ``gap`` (interfering lists), beside
        "retroactive_control" and "proactive_control" (A-B alone); "same_class" and "other_class" with ``gap``, and "release".
        ``measure``: those asked for, "accuracy", "strict_accuracy" and "d_prime" of recognition, and "..._loss" (control minus
        interfered with) and "..._release" (other class minus same class), item by item.

    Raises
    ------
    InputTypeError, ScoreError, ProbeMutatedMemoryError
        As :func:`recognition_probe`.
    InputError
        If release is asked for and the source has no two classes.

    References
    ----------
    Wickens, D. D. (1970). Encoding categories of words. Psychological Review 77, 1-15 (release by a change of class).

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, interference_probe
    >>> memory = ExactStore(64, capacity=40, on_full="oldest")
    >>> result = interference_probe(memory, RandomBits(64), n_study=20, n_interfering=(1, 2), similarity=0.0, seeds=1)
    >>> result.where(condition="retroactive", measure="exact_loss").values().tolist()
    [0.0, 1.0]
    """
    probe = "interference_probe"
    names = names_of(kinds, "kinds", KINDS)
    n_study = validate.integer(n_study, "n_study", 2)
    counts = ascending(n_interfering, "n_interfering", 1)
    levels = numbers_of(similarity, "similarity", 0.0, 1.0)
    passes = validate.integer(exposures, "exposures", 1)
    width = PairedItems(source, n_study, n_key).n_key
    plan = question_plan(dict(locals()) | {"n_key": width, "cue_kind": "key", "cue_fraction": 1.0}, n_study)
    plan = replace(plan, foils=[paired_foil(foil) for foil in plan.foils])
    if "release" in names and (source.n_classes or 0) < 2:
        raise InputError(f"kinds have 'release', which needs a source of two classes or more; {type(source).__name__} has none")
    seeds = seeds_of(seeds)
    rows: list[dict[str, Any]] = []
    name = ""
    with progress_bar(len(seeds) * len(names), progress, probe) as advance:
        for seed in seeds:
            base = fresh(memory, seed)
            require(base, plan.verbs, probe)
            name = system_name(base)
            lists = PairedLists(base, source.reseeded(seed), plan, passes, n_study, seed)
            for kind in names:
                rows += lists.release(counts) if kind == "release" else getattr(lists, kind)(counts, levels)
                advance(1)
    config = config_of(probe, memory, name, source, plan, seeds)
    own = {"kinds": names, "n_study": n_study, "n_interfering": counts, "similarity": levels, "exposures": passes}
    return ProbeResult(rows, config | own)
