"""Savings: how much cheaper is it to learn a list again than it was to learn it?"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.progress import Progress, progress_bar
from neuromem.random import generator_for
from neuromem.retention.adapters import copy_of, empty_answers, fresh, require, system_name, write_batches
from neuromem.retention.course_modes import PROBES, SHARES, Plan
from neuromem.retention.foils import Foil, foil_of
from neuromem.retention.items import ItemSource
from neuromem.retention.questions import Questions, config_of, question_plan
from neuromem.retention.recognition import ascending, seeds_of, share
from neuromem.retention.results import ProbeResult
from neuromem.retention.statistics import mean_interval

COSTS = ("exposures", "updates")
CRITERIA = ("component_accuracy", "exact")


@dataclass(frozen=True, slots=True)
class Learned:
    """What it cost to bring a list to the criterion.

    Parameters
    ----------
    cost : int
        Exposures or updates that were made.
    reached : bool
        Whether that was enough; otherwise the cost that is needed is greater.
    at_first : array (n,)
        Outcome of every item before anything was written.
    seconds : float
    """

    cost: int
    reached: bool
    at_first: np.ndarray
    seconds: float


@dataclass(frozen=True, slots=True)
class Criterion:
    """When a list counts as learned, and how its cost is counted."""

    plan: Plan
    criterion: float
    cost: str
    most: int

    def value(self, memory: Any, questions: Questions) -> np.ndarray:
        """Outcome of every item, (n,)."""
        try:
            return questions.ask(memory, {})[0][1]
        except Exception as error:
            if empty_answers(error):  # nothing was written yet, so nothing is known
                return np.zeros(questions.asked_of.n, np.float32)
            raise

    def reached(self, outcomes: np.ndarray) -> bool:
        """Whether outcomes are good enough; a mean is not below the criterion only by its rounding."""
        return float(outcomes.mean(dtype=np.float64)) >= self.criterion - 1e-9

    def learn(self, memory: Any, source: ItemSource, ids: np.ndarray, questions: Questions) -> Learned:
        """Test, then write the list, in a new order on each pass, until the criterion is met or the limit reached."""
        began = time.perf_counter()
        orders = generator_for(source.seed_sequence, "retention.probes")
        outcomes = first = self.value(memory, questions)
        spent, size = 0, len(ids) if self.cost == "exposures" else self.plan.batch_size
        n_chunks = -(-len(ids) // size)
        order = ids
        while not self.reached(outcomes) and spent < self.most:
            if spent % n_chunks == 0:
                order = orders.permutation(ids)
            start = spent % n_chunks * size
            write_batches(memory, source, order[start : start + size], self.plan.batch_size, self.plan.with_targets)
            spent += 1
            outcomes = self.value(memory, questions)
        return Learned(spent, self.reached(outcomes), first, time.perf_counter() - began)


def cost_row(found: Learned, measure: str, n: int) -> dict[str, Any]:
    """A cost, or, where it was cut off, no value and its bound as the interval's lower end."""
    row: dict[str, Any] = {"measure": measure, "n": n, "seconds": found.seconds}
    if found.reached:
        return row | {"condition": "learned", "value": found.cost}
    return row | {"condition": "censored", "ci_lo": found.cost}


def savings_row(before: Learned, again: Learned, measure: str, n: int) -> dict[str, Any]:
    """(L - R) / L where both are known; what is known of it otherwise.

    Costs that were cut off are above their limit: R > limit puts Q below (L - limit) / L, L > limit puts it above 1 - R / limit.
    """
    row: dict[str, Any] = {"measure": measure, "n": n}
    if before.reached and before.cost == 0:
        return row | {"condition": "known before"}  # nothing had to be learned, so nothing can be saved
    if before.reached and again.reached:
        return row | {"condition": "learned", "value": (before.cost - again.cost) / before.cost}
    row["condition"] = "censored"
    if before.reached:
        return row | {"ci_hi": (before.cost - again.cost) / before.cost}
    if again.reached:
        return row | {"ci_lo": 1 - again.cost / before.cost, "ci_hi": 1.0}
    return row


def retained_row(outcomes: np.ndarray, measure: str, chance: float) -> dict[str, Any]:
    """What is right at the test before relearning."""
    row: dict[str, Any] = {"condition": "test", "chance": chance}
    if measure in (*SHARES, "accuracy"):
        return row | share(f"retained_{measure}", float(outcomes.sum(dtype=np.float64)), len(outcomes), chance)
    mean, low, high = mean_interval(outcomes)
    return row | {"measure": f"retained_{measure}", "n": len(outcomes), "value": mean, "ci_lo": low, "ci_hi": high}


def savings_probe(
    memory: Any,
    source: ItemSource,
    *,
    n_study: int = 50,
    intervals: int | Sequence[int] = (0, 10, 100, 1000),
    probe: str = "recall",
    criterion: float = 1.0,
    measure: str = "exact",
    cost: str = "exposures",
    max_cost: int = 50,
    foil: str | Foil = "novel",
    cue_fraction: float = 0.5,
    cue_kind: str = "prefix",
    include_cue: bool = False,
    shape: tuple[int, int] | None = None,
    n_key: int | None = None,
    tolerance: float = 0.1,
    batch_size: int = 16,
    with_targets: bool = False,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
    progress: Progress = False,
) -> ProbeResult:
    """Learn a list to a criterion, write other items, learn it again, and compare what that cost (Ebbinghaus 1885).

    Relearning happens on copies, so that one interval tells nothing to the next.

    Parameters
    ----------
    memory : object or callable
        Has ``write`` and what the probe needs: ``familiarity`` (recognition), ``complete`` (recall; ``read`` for noisy cues).  It
        is copied, never changed.  A callable without ``write`` makes a memory from a seed.
    source : ItemSource
        Each seed has other items of it.
    n_study : int, default 50
        Items in the list.
    intervals : int or sequence of int, default (0, 10, 100, 1000)
        Items written between learning and relearning, ascending.
    probe : {"recall", "recognition"}, default "recall"
        How the list is tested.
    criterion : float in (0, 1], default 1.0
        Mean of the measure over the list at which it counts as learned.
    measure : {"exact", "component_accuracy"}, default "exact"
        Of recall; recognition has "accuracy", ties shared.
    cost : {"exposures", "updates"}, default "exposures"
        Passes over the whole list, with a test after each; or batches, with a test after each.
    max_cost : int, default 50
        Learning is given up after so much.
    foil : str or Foil, default "novel"
        Of recognition.
    cue_fraction, cue_kind, include_cue, shape, n_key, tolerance
        As in :func:`recall_probe`.
    batch_size, with_targets, seeds, check_purity, progress
        As in :func:`recognition_probe`.

    Returns
    -------
    ProbeResult
        ``measure``: "learning_cost" L; and at each interval (``lag_items``) ``retained_`` and a measure at the test before
        it, "relearning_cost" R, "control_cost" L_c, "savings" Q = (L - R) / L, "savings_control" Q_c = (L_c - R) / L_c.  R counts
        exposures beyond the test: R = 0 and Q = 1 where the list still meets the criterion.  The control is a fresh list, learned
        by a copy of the memory as it is at that moment: with age a memory may learn better or worse.

        ``condition`` is "censored" where ``max_cost`` was not enough: there is no value then, and the interval says what is known
        (a cost above ``ci_lo``; savings below ``ci_hi`` or above ``ci_lo``).  It is "known before" where a list met the criterion
        with no exposure, so that no savings are defined; "test" for what is retained; else "learned".

    Raises
    ------
    InputTypeError, ScoreError, ProbeMutatedMemoryError
        As :func:`recognition_probe`.
    InputError
        For intervals that are unsorted, negative or repeated, or a criterion outside (0, 1].

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, savings_probe
    >>> memory = ExactStore(64, capacity=100, on_full="oldest")
    >>> result = savings_probe(memory, RandomBits(64), n_study=50, intervals=(0, 50, 100), seeds=1)
    >>> result.where(measure="savings").curve()["value"].tolist()
    [1.0, 1.0, 0.0]
    """
    name_of_probe = "savings_probe"
    n_study = validate.integer(n_study, "n_study", 2)
    waits = ascending(intervals, "intervals", 0)
    validate.choice(probe, "probe", PROBES)
    validate.choice(measure, "measure", CRITERIA)
    criterion = validate.number(criterion, "criterion", low=0.0, high=1.0, low_open=True)
    validate.choice(cost, "cost", COSTS)
    most = validate.integer(max_cost, "max_cost", 1)
    own = {"probes": probe, "foils": foil_of(foil), "measures": measure, "n_probe": n_study}
    plan = question_plan(locals() | own, n_study)
    goal = Criterion(plan, criterion, cost, most)
    judged = "accuracy" if probe == "recognition" else measure
    seeds = seeds_of(seeds)
    rows: list[dict[str, Any]] = []
    name = ""
    with progress_bar(len(seeds) * (1 + len(waits)), progress, name_of_probe) as advance:
        for seed in seeds:
            live = fresh(memory, seed)
            require(live, plan.verbs, name_of_probe)
            name = system_name(live)
            items = source.reseeded(seed)
            lists = {role: items.ids(role, n_study) for role in ("target", "control")}
            asked = {role: Questions(items, ids, plan, name_of_probe) for role, ids in lists.items()}
            common: dict[str, Any] = {"system": name, "probe": "savings", "seed": seed}
            common |= {"foil": plan.foils[0].label} if probe == "recognition" else {"cue": plan.cue["kind"]}
            first = goal.learn(live, items, lists["target"], asked["target"])
            rows.append(common | cost_row(first, "learning_cost", n_study))
            advance(1)
            written = n_updates = 0
            for wait in waits:
                ids = items.ids("filler", wait - written, written)
                n_updates += write_batches(live, items, ids, plan.batch_size, plan.with_targets)
                written = wait
                again, control = (goal.learn(copy_of(live), items, lists[role], asked[role]) for role in ("target", "control"))
                found = [
                    retained_row(again.at_first, judged, chance_of(asked["target"], judged)),
                    cost_row(again, "relearning_cost", n_study),
                    cost_row(control, "control_cost", n_study),
                    savings_row(first, again, "savings", n_study),
                    savings_row(control, again, "savings_control", n_study),
                ]
                rows += [common | {"lag_items": wait, "lag_updates": n_updates} | row for row in found]
                advance(1)
    own = {"n_study": n_study, "intervals": waits, "criterion": criterion, "measure": judged, "cost": cost, "max_cost": most}
    return ProbeResult(rows, config_of(name_of_probe, memory, name, source, plan, seeds) | own)


def chance_of(questions: Questions, measure: str) -> float:
    """What guessing gives."""
    recall = questions.asked_of.recall
    return 0.5 if recall is None else float(np.mean(recall.chances[measure]))
