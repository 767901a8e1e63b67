"""The parts of a suite of probes: what each studies at each size, and which verbs it needs of a memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neuromem.protocols import ItemSpec
from neuromem.retention.adapters import copy_of, is_written
from neuromem.retention.capacity import capacity_probe
from neuromem.retention.checkpoints import ORHAN
from neuromem.retention.course import retention_curve
from neuromem.retention.exemplars import Exemplars
from neuromem.retention.fan import fan_probe
from neuromem.retention.foils import Foil
from neuromem.retention.interference import interference_probe
from neuromem.retention.items import ItemSource
from neuromem.retention.list_length import list_length_probe, serial_position_probe
from neuromem.retention.recall import recall_probe
from neuromem.retention.recognition import recognition_probe
from neuromem.retention.relearning import savings_probe
from neuromem.retention.results import ProbeResult
from neuromem.retention.spacing import spacing_probe

VARIANTS = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
N_CLASSES = 40  # of exemplars, for a memory that does not learn labels
# Of recall: the correlation with the item is 0 by guessing and 1 when right for items of every kind.
MEASURES = ("component_accuracy", "exact", "pearson")


@dataclass(frozen=True)
class Size:
    """How much each probe of a suite studies.

    Parameters
    ----------
    n_study, n_target : int
        Items studied for recognition and recall, and for the course of forgetting.
    exposures : tuple of int
    checkpoints : tuple of int
    cue_fractions, noise_levels : tuple of float
        Shares of components that are given; that are wrong.
    lengths : tuple of int
    n_lists, n_places : int
        Lists for serial positions, and items in each.
    gaps, delays : tuple of int
        Spacing of repetitions, and time to the test.
    intervals : tuple of int
        After which a list is learned again.
    n_pairs, n_spaced : int
        Items of probes of interference and relearning, and of spacing.
    most_items : int
        Capacity is searched no further.
    seeds : int
    """

    n_study: int
    n_target: int
    exposures: tuple[int, ...]
    checkpoints: tuple[int, ...]
    cue_fractions: tuple[float, ...]
    noise_levels: tuple[float, ...]
    lengths: tuple[int, ...]
    n_lists: int
    n_places: int
    gaps: tuple[int, ...]
    delays: tuple[int, ...]
    intervals: tuple[int, ...]
    n_pairs: int
    n_spaced: int
    most_items: int
    seeds: int


SIZES: dict[str, Size] = {
    "tiny": Size(24, 16, (1,), (1, 8, 64), (0.5,), (1 / 32,), (8, 32), 2, 8, (1, 8), (8,), (16,), 8, 8, 32, 1),
    "quick": Size(
        n_study=100,
        n_target=100,
        exposures=(1, 3),
        checkpoints=(1, 3, 10, 30, 100, 300, 1000),
        cue_fractions=(0.25, 0.5, 0.75),
        noise_levels=(1 / 32,),
        lengths=(16, 64, 256),
        n_lists=8,
        n_places=16,
        gaps=(1, 16, 64),
        delays=(10, 100),
        intervals=(30, 300),
        n_pairs=32,
        n_spaced=16,
        most_items=512,
        seeds=1,
    ),
    "standard": Size(
        n_study=200,
        n_target=200,
        exposures=(1, 3),
        checkpoints=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000),
        cue_fractions=(0.125, 0.25, 0.5, 0.75),
        noise_levels=(1 / 8, 1 / 16, 1 / 32),
        lengths=(16, 32, 64, 128, 256, 512, 1024),
        n_lists=32,
        n_places=16,
        gaps=(1, 4, 16, 64, 256),
        delays=(10, 100, 400),
        intervals=(30, 100, 300, 1000),
        n_pairs=64,
        n_spaced=24,
        most_items=8192,
        seeds=4,
    ),
}
SIZES["orhan"] = Size(
    **{
        **vars(SIZES["standard"]),
        "n_study": 600,
        "n_target": 600,
        "exposures": (1, 2, 3),
        "checkpoints": ORHAN,
    }
)


@dataclass(frozen=True)
class Task:
    """What a part of a suite is run with."""

    memory: Any
    source: ItemSource
    size: Size
    seeds: tuple[int, ...]
    verbs: frozenset[str]
    with_targets: bool

    @property
    def probes(self) -> tuple[str, ...]:
        """Of recognition and recall, what the memory can take."""
        needed = {"recognition": "familiarity", "recall": "complete"}
        return tuple(name for name, verb in needed.items() if verb in self.verbs)

    @property
    def shared(self) -> dict[str, Any]:
        """Arguments that all probes have."""
        return {"seeds": self.seeds, "with_targets": self.with_targets}


def variant_levels(spec: ItemSpec) -> list[float]:
    """Shares of components that can be changed in items of a kind, from one half down."""
    n_active = spec.n_features if spec.density is None else round(spec.density * spec.n_features)
    most = 2 * min(n_active, spec.n_features - n_active) if spec.kind == "binary" and spec.density is not None else n_active
    return [level for level in VARIANTS if 1 <= round(level * spec.n_features) <= most]


# ---------------------------------------------------------------- parts


def recognised(task: Task) -> ProbeResult:
    """Foils of every family that needs no classes."""
    spec = task.source.item_spec
    foils: list[str | Foil] = ["novel", *(Foil("variant", level) for level in variant_levels(spec)), "recombined"]
    foils.append(Foil("easier_foil_source", source=Exemplars(task.source)))
    return recognition_probe(
        task.memory, task.source, n_study=task.size.n_study, exposures=task.size.exposures, foils=foils, **task.shared
    )


def recognised_in_class(task: Task) -> ProbeResult:
    """Items of classes, told from others of the same class."""
    return recognition_probe(
        task.memory,
        Exemplars(task.source, task.source.n_classes or N_CLASSES),
        n_study=task.size.n_study,
        exposures=task.size.exposures,
        foils="class",
        seeds=task.seeds,
        with_targets=task.with_targets,
    )


def recalled(task: Task) -> ProbeResult:
    """Cues of three kinds."""
    return recall_probe(
        task.memory,
        task.source,
        n_study=task.size.n_study,
        exposures=task.size.exposures,
        cue_fraction=task.size.cue_fractions,
        cue_kind=("prefix", "random_mask", "block"),
        **task.shared,
    )


def recalled_from_noise(task: Task) -> ProbeResult:
    """Cues with wrong components."""
    possible = variant_levels(task.source.item_spec)
    levels = [level for level in task.size.noise_levels if level in possible] or possible[:1]
    return recall_probe(
        task.memory,
        task.source,
        n_study=task.size.n_study,
        exposures=task.size.exposures,
        cue_fraction=[1 - level for level in levels],
        cue_kind="noise",
        **task.shared,
    )


def course(task: Task) -> ProbeResult:
    """Recognition and recall as more is written."""
    return retention_curve(
        task.memory,
        task.source,
        n_target=task.size.n_target,
        checkpoints=task.size.checkpoints,
        probes=task.probes,
        foils="novel",
        measures=MEASURES,
        **task.shared,
    )


def relearned(task: Task) -> ProbeResult:
    """Savings: updates of four items until a list is told from foils that differ in little, or is recalled exactly."""
    by_recognition = "recognition" in task.probes
    return savings_probe(
        task.memory,
        task.source,
        n_study=task.size.n_pairs,
        intervals=task.size.intervals,
        probe="recognition" if by_recognition else "recall",
        foil=Foil("variant", variant_levels(task.source.item_spec)[-1]),
        criterion=0.9,
        cost="updates",
        batch_size=4,
        max_cost=5 * task.size.n_pairs // 4,
        **task.shared,
    )


def interfered(task: Task) -> ProbeResult:
    """Pairs A-B with A-C before or after."""
    return interference_probe(
        task.memory, task.source, n_study=task.size.n_pairs, probes=task.probes, measures=MEASURES, **task.shared
    )


def fanned(task: Task) -> ProbeResult:
    """Cues of several associates."""
    fans = [fan for fan in (1, 2, 4, 8) if task.size.n_pairs // fan >= 2]
    return fan_probe(
        task.memory,
        task.source,
        fans=fans,
        n_study=task.size.n_pairs,
        probes=task.probes,
        measures=MEASURES,
        **task.shared,
    )


def of_lengths(task: Task) -> ProbeResult:
    """Lists of several lengths."""
    return list_length_probe(
        task.memory,
        task.source,
        lengths=task.size.lengths,
        probes=task.probes,
        foils="novel",
        measures=MEASURES,
        **task.shared,
    )


def by_position(task: Task) -> ProbeResult:
    """Places in a list."""
    return serial_position_probe(
        task.memory,
        task.source,
        n_study=task.size.n_places,
        n_lists=task.size.n_lists,
        probes=task.probes,
        foils="novel",
        measures=MEASURES,
        **task.shared,
    )


def spaced(task: Task) -> ProbeResult:
    """Repetitions at several gaps, tested after several times."""
    return spacing_probe(
        task.memory,
        task.source,
        gaps=task.size.gaps,
        retention_intervals=task.size.delays,
        probe=task.probes[0],
        n_targets=task.size.n_spaced,
        **task.shared,
    )


def filled(task: Task) -> ProbeResult:
    """Most items that are recalled from half of each."""
    memory = task.memory
    if hasattr(memory, "write"):
        memory = copy_of(memory)
        if is_written(memory):
            memory.reset()
    return capacity_probe(memory, task.source, n_max=task.size.most_items, **task.shared)


@dataclass(frozen=True)
class Part:
    """One probe of a suite: what it is called and asks, and the verbs of which the memory must have one."""

    name: str
    asks: str
    any_of: tuple[str, ...]
    run: Callable[[Task], ProbeResult]
    from_empty: bool = False

    def lacking(self, memory: Any, verbs: frozenset[str]) -> str:
        """Why a memory cannot take it; empty where it can."""
        if not verbs & set(self.any_of):
            return f"it has no {' and no '.join(self.any_of)}"
        if self.from_empty and is_written(memory) and not callable(getattr(memory, "reset", None)):
            return "it holds something and cannot be reset, and capacity is measured on empty memories"
        return ""


EITHER = ("familiarity", "complete")
PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("recognition", "which of two items was studied", ("familiarity",), recognised),
        Part("recognition in class", "which of two items of a class was studied", ("familiarity",), recognised_in_class),
        Part("recall", "the rest of an item from a part of it", ("complete",), recalled),
        Part("recall from noise", "an item from one with wrong components", ("read",), recalled_from_noise),
        Part("retention", "how both fall as more is written", EITHER, course),
        Part("savings", "how much cheaper learning is the second time", EITHER, relearned),
        Part("spacing", "which gap between repetitions is best", EITHER, spaced),
        Part("interference", "what pairs with the same cue do to each other", EITHER, interfered),
        Part("fan", "what several associates of a cue do", EITHER, fanned),
        Part("list length", "what a longer list does", EITHER, of_lengths),
        Part("serial position", "whether the first and the last of a list are kept better", EITHER, by_position),
        Part("capacity", "how many items are recalled without an error", ("complete",), filled, from_empty=True),
    )
}
