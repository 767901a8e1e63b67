"""The fan effect: the more associates a cue has, the worse each is remembered."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.progress import Progress, progress_bar
from neuromem.random import generator_for
from neuromem.retention.adapters import Reader, fresh, require, system_name, write_batches
from neuromem.retention.course_modes import PROBES, rows_of
from neuromem.retention.foils import Foil
from neuromem.retention.items import ItemSource
from neuromem.retention.paired_items import PairedItems, paired_foil
from neuromem.retention.questions import Questions, config_of, question_plan
from neuromem.retention.recall import decoded
from neuromem.retention.recognition import ascending, seeds_of, share, spread_out
from neuromem.retention.results import ProbeResult


def any_associate(recalled: np.ndarray, pairs: PairedItems, slots: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether what was recalled from the cue of each target is one of the cue's associates, bool (n,)."""
    first = pairs.range_of("target")[0]
    associates = pairs.get(first + np.arange(pairs.n_targets))[:, pairs.n_key :]
    found = decoded(recalled, pairs.kind)[:, pairs.n_key :]
    right = np.zeros(len(slots), bool)
    margin = tolerance * float(associates.std()) if pairs.kind == "real" else 0.0
    for start in range(0, pairs.n_targets, pairs.n_cues):  # the next associate of every cue
        others = start + slots % pairs.n_cues
        known = others < pairs.n_targets
        wanted = associates[np.where(known, others, 0)]
        near = np.abs(found - wanted) <= margin if pairs.kind == "real" else found == wanted
        right |= known & near.all(axis=1)
    return right


def fan_probe(
    memory: Any,
    source: ItemSource,
    *,
    fans: int | Sequence[int] = range(1, 9),
    n_study: int = 240,
    n_key: int | None = None,
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
    """Study lists of pairs in which each cue has 1, 2, 3 ... associates, and ask for the pairs.

    All lists have the same number of pairs, so that only what cues share differs.  Each is studied by a fresh copy.

    Parameters
    ----------
    memory : object or callable
        As in :func:`interference_probe`.
    source : ItemSource
        Each seed has other items of it; the first ``n_key`` components of an item are the cue, the others an associate.
    fans : int or sequence of int, default range(1, 9)
        Associates of a cue, ascending.
    n_study : int, default 240
        Pairs in a list; those that are left over when it is shared out among cues go to the first cues.
    n_key, exposures, probes, foils, measures, tolerance, n_probe, batch_size, with_targets, seeds, check_purity, progress
        As in :func:`interference_probe`.

    Returns
    -------
    ProbeResult
        ``condition`` "fan", ``level`` the associates of a cue.  Recognition tells a studied pair from its ``foil``: "novel", an
        unknown pair; "recombined", the cue with the associate of another one.  Recall is judged on the pair's own associate,
        which nobody can tell from the cue's others, and by the measure "any_associate": one of them all, exactly.

    Raises
    ------
    InputTypeError, ScoreError, ProbeMutatedMemoryError
        As :func:`recognition_probe`.
    InputError
        If a list has not two cues.

    References
    ----------
    Anderson, J. R. (1974). Retrieval of propositional information from long-term memory. Cognitive Psychology 6, 451-474.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, fan_probe
    >>> result = fan_probe(ExactStore(64), RandomBits(64), fans=(1, 2, 4), n_study=40, probes="recall", seeds=1)
    >>> result.where(measure="exact").values().tolist(), result.where(measure="any_associate").values().tolist()
    ([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    """
    probe = "fan_probe"
    levels = ascending(fans, "fans", 1)
    n_study = validate.integer(n_study, "n_study", 2)
    if n_study < 2 * levels[-1]:
        raise InputError(f"n_study is {n_study}, two cues of {levels[-1]} associates need {2 * levels[-1]} pairs")
    passes = validate.integer(exposures, "exposures", 1)
    width = PairedItems(source, n_study, n_key).n_key
    plan = question_plan(dict(locals()) | {"n_key": width, "cue_kind": "key", "cue_fraction": 1.0}, n_study)
    plan = replace(plan, foils=[paired_foil(foil) for foil in plan.foils])
    seeds = seeds_of(seeds)
    rows: list[dict[str, Any]] = []
    name = ""
    with progress_bar(len(seeds) * len(levels), progress, probe) as advance:
        for seed in seeds:
            items = source.reseeded(seed)
            ids = items.ids("target", n_study)
            slots = spread_out(n_study, plan.n_probe)
            for level in levels:
                live = fresh(memory, seed)
                require(live, plan.verbs, probe)
                name = system_name(live)
                pairs = PairedItems(items, n_study, width, n_study // level)
                orders = generator_for(items.seed_sequence, "retention.probes")
                for _ in range(passes):
                    write_batches(live, pairs, orders.permutation(ids), plan.batch_size, plan.with_targets)
                columns = {"condition": "fan", "level": level, "exposures": passes, "seed": seed}
                questions = Questions(pairs, ids[slots], plan, probe)
                answers = questions.ask(live, columns)
                rows += rows_of(answers)
                if questions.asked_of.recall is not None:
                    with Reader(live, plan.check_purity, probe) as reader:
                        recalled = questions.asked_of.recall.recalled(reader)
                    right = any_associate(recalled, pairs, slots, plan.tolerance)
                    own = answers[-1][0] | share("any_associate", float(right.sum()), len(right), None)
                    rows.append(own)
                advance(1)
    config = config_of(probe, memory, name, source, plan, seeds)
    return ProbeResult(rows, config | {"fans": levels, "n_study": n_study, "exposures": passes})
