"""All probes that a memory can take, one after the other, at one of several sizes; what it cannot take is named with the reason."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, InputTypeError, NeuromemError
from neuromem.progress import Progress, progress_bar
from neuromem.protocols import ItemSpec, capabilities
from neuromem.retention.adapters import is_written, system_name
from neuromem.retention.array_items import ArrayItems
from neuromem.retention.checkpoints import ORHAN
from neuromem.retention.course import retention_curve
from neuromem.retention.fan import fan_probe
from neuromem.retention.foils import Foil
from neuromem.retention.interference import interference_probe
from neuromem.retention.items import ItemSource, source_for
from neuromem.retention.list_length import list_length_probe, serial_position_probe
from neuromem.retention.recall import recall_probe
from neuromem.retention.recognition import recognition_probe
from neuromem.retention.relearning import savings_probe
from neuromem.retention.results import ProbeResult

VARIANTS = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
N_LABELS = 10  # of items for a memory that must have labels and does not say how many
EXEMPLARS = 32  # of each class of structured items, at most 32


@dataclass(frozen=True)
class Size:
    """How much each probe of a suite studies.

    Parameters
    ----------
    n_study, n_target : int
        Items studied for recognition and recall, and for the course of forgetting.
    exposures : tuple of int
    checkpoints : tuple of int
    cue_fractions, noise_fractions : tuple of float
    lengths : tuple of int
    n_lists, n_places : int
        Lists for serial positions, and items in each.
    gaps, delays : tuple of int
        Spacing of repetitions, and time to the test.
    intervals : tuple of int
        After which a list is learned again.
    n_pairs, n_spaced : int
        Items of probes of interference and relearning, and of spacing.
    loads : tuple of int
        Items stored, between which capacity is searched.
    seeds : int
    """

    n_study: int
    n_target: int
    exposures: tuple[int, ...]
    checkpoints: tuple[int, ...]
    cue_fractions: tuple[float, ...]
    noise_fractions: tuple[float, ...]
    lengths: tuple[int, ...]
    n_lists: int
    n_places: int
    gaps: tuple[int, ...]
    delays: tuple[int, ...]
    intervals: tuple[int, ...]
    n_pairs: int
    n_spaced: int
    loads: tuple[int, ...]
    seeds: int


SIZES: dict[str, Size] = {
    "tiny": Size(24, 16, (1,), (1, 8, 64), (0.5,), (0.9,), (8, 32), 2, 8, (1, 8), (8,), (16,), 8, 8, (2, 32), 1),
    "quick": Size(
        n_study=100,
        n_target=100,
        exposures=(1, 3),
        checkpoints=(1, 3, 10, 30, 100, 300, 1000),
        cue_fractions=(0.25, 0.5, 0.75),
        noise_fractions=(0.9,),
        lengths=(16, 64, 256),
        n_lists=8,
        n_places=16,
        gaps=(1, 4, 16, 64),
        delays=(10, 100),
        intervals=(30, 300),
        n_pairs=32,
        n_spaced=16,
        loads=(2, 512),
        seeds=1,
    ),
    "standard": Size(
        n_study=200,
        n_target=200,
        exposures=(1, 3),
        checkpoints=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000),
        cue_fractions=(0.125, 0.25, 0.5, 0.75),
        noise_fractions=(0.95, 0.9, 0.8),
        lengths=(16, 32, 64, 128, 256, 512, 1024),
        n_lists=32,
        n_places=16,
        gaps=(1, 2, 4, 8, 16, 32, 64, 128),
        delays=(10, 30, 100, 300),
        intervals=(30, 100, 300, 1000),
        n_pairs=64,
        n_spaced=32,
        loads=(2, 4096),
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


# ---------------------------------------------------------------- items with a structure


def variant_levels(spec: ItemSpec) -> list[float]:
    """Shares of components that can be changed in items of a kind, from one half down."""
    n_active = spec.n_features if spec.density is None else round(spec.density * spec.n_features)
    most = 2 * min(n_active, spec.n_features - n_active) if spec.kind == "binary" and spec.density is not None else n_active
    return [level for level in VARIANTS if 1 <= round(level * spec.n_features) <= most]


def structured_items(source: ItemSource, n_classes: int = 40) -> ArrayItems:
    """Items of a few classes: an item of the source for each class, and exemplars that differ from it in an eighth of their
    components, or where items are sparse, in a quarter of their non-zeros.

    Examples
    --------
    >>> from neuromem.retention import RandomBits
    >>> items = structured_items(RandomBits(64), n_classes=4)
    >>> items.n_classes, items.get([0]).shape
    (4, (1, 64))
    """
    spec = source.item_spec
    sparse = spec.density is not None and spec.density < 0.5
    level = spec.density / 2 if sparse and spec.density is not None else 1 / 8
    level = max(level, 2 / spec.n_features)
    ids = source.ids("control", n_classes)
    X = np.concatenate([source.variants(ids, level, number) for number in range(EXEMPLARS)])
    return ArrayItems(X, np.tile(np.arange(n_classes), EXEMPLARS), kind=source.kind, shares=(0.5, 0, 0.5, 0))


# ---------------------------------------------------------------- parts


def recognised(task: Task) -> ProbeResult:
    """Foils of every family that needs no classes."""
    spec = task.source.item_spec
    foils: list[str | Foil] = ["novel", *(Foil("variant", level) for level in variant_levels(spec)), "recombined"]
    foils.append(Foil("easier_foil_source", source=structured_items(task.source)))
    return recognition_probe(
        task.memory, task.source, n_study=task.size.n_study, exposures=task.size.exposures, foils=foils, **task.shared
    )


def recognised_in_class(task: Task) -> ProbeResult:
    """Items of classes, told from others of the same class."""
    n_study = min(task.size.n_study, 400)
    return recognition_probe(
        task.memory,
        structured_items(task.source),
        n_study=n_study,
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
    return recall_probe(
        task.memory,
        task.source,
        n_study=task.size.n_study,
        exposures=task.size.exposures,
        cue_fraction=task.size.noise_fractions,
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
        **task.shared,
    )


def relearned(task: Task) -> ProbeResult:
    """Savings, tested by recall where there is one, to the criterion that most of the list is recalled."""
    by_recall = "recall" in task.probes
    return savings_probe(
        task.memory,
        task.source,
        n_study=task.size.n_pairs,
        intervals=task.size.intervals,
        probe="recall" if by_recall else "recognition",
        measure="component_accuracy" if by_recall and task.source.kind != "real" else "exact",
        criterion=0.9,
        max_cost=10,
        **task.shared,
    )


def interfered(task: Task) -> ProbeResult:
    """Pairs A-B with A-C before or after."""
    return interference_probe(task.memory, task.source, n_study=task.size.n_pairs, probes=task.probes, **task.shared)


def fanned(task: Task) -> ProbeResult:
    """Cues of several associates."""
    fans = [fan for fan in (1, 2, 4, 8) if task.size.n_pairs // fan >= 2]
    return fan_probe(task.memory, task.source, fans=fans, n_study=task.size.n_pairs, probes=task.probes, **task.shared)


def of_lengths(task: Task) -> ProbeResult:
    """Lists of several lengths."""
    return list_length_probe(
        task.memory, task.source, lengths=task.size.lengths, probes=task.probes, foils="novel", **task.shared
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
        **task.shared,
    )


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
        Part("interference", "what pairs with the same cue do to each other", EITHER, interfered),
        Part("fan", "what several associates of a cue do", EITHER, fanned),
        Part("list length", "what a longer list does", EITHER, of_lengths),
        Part("serial position", "whether the first and the last of a list are kept better", EITHER, by_position),
    )
}


def run_part(memory: Any, name: str, size: str | Size, source: ItemSource, seeds: Iterable[int]) -> ProbeResult | str:
    """One probe of a suite; the reason in words where the memory cannot take it.

    Parameters
    ----------
    memory : object or callable
        As for every probe; a callable makes a memory from a seed.
    name : str
        One of ``PARTS``.
    size : {"tiny", "quick", "standard", "orhan"} or Size
    source : ItemSource
    seeds : iterable of int
    """
    part = PARTS[validate.choice(name, "part", PARTS)]
    size = SIZES[validate.choice(size, "size", SIZES)] if isinstance(size, str) else size
    seeds = tuple(seeds)
    sample = memory if hasattr(memory, "write") else memory(seeds[0])
    verbs = capabilities(sample)
    if reason := part.lacking(sample, verbs):
        return reason
    labelled, source = labelled_source(sample, source)
    try:
        return part.run(Task(memory, source, size, seeds, verbs, labelled))
    except NeuromemError as error:
        return str(error)


def labelled_source(memory: Any, source: ItemSource) -> tuple[bool, ItemSource]:
    """Whether a memory must be given labels, and a source that has them."""
    if not (is_written(memory) and "predict" in capabilities(memory)):
        return False, source
    if source.n_classes is None:
        source = copy.copy(source)
        source.n_classes = getattr(memory, "n_classes", None) or N_LABELS
    return True, source


@dataclass(frozen=True)
class SuiteResult:
    """What a suite found.

    Parameters
    ----------
    result : ProbeResult
        All probes; the column ``system`` is the memory's name, ``config`` has each probe's settings.
    left_out : dict of dict of str
        Memory, then probe, then the reason.
    sizes : dict of str to int
        Bytes of each memory at the end of study, where it tells them.
    """

    result: ProbeResult
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def systems(self) -> list[str]:
        """Names of memories, in order."""
        return list(dict.fromkeys([*self.result.table["system"].tolist(), *self.left_out]))


def renamed(result: ProbeResult, system: str) -> ProbeResult:
    """The same result of a memory of another name."""
    rows = [row | {"system": system} for row in result.rows()]
    return ProbeResult(rows, result.config | {"system": system}, result.arrays)


def run_suite(
    memories: Mapping[str, Any] | Any,
    source: ItemSource | None = None,
    *,
    size: str | Size = "quick",
    parts: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    progress: Progress = False,
) -> SuiteResult:
    """Every probe that each memory can take.

    Parameters
    ----------
    memories : mapping of str to memory, or one memory
        Names and memories; these are copied, never changed.
    source : ItemSource, optional
        Items for all of them; default: random items that fit each memory's ``item_spec``.
    size : {"tiny", "quick", "standard", "orhan"} or Size, default "quick"
    parts : iterable of str, optional
        Names of probes; default: all of ``PARTS``.
    seeds : iterable of int, optional
        Default: as many as the size says, from 0.
    progress : bool or callable, default False

    Returns
    -------
    SuiteResult

    Raises
    ------
    InputError
        If a memory's ``item_spec`` cannot be told, and no source is given.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, run_suite
    >>> found = run_suite(ExactStore(32), RandomBits(32), size="tiny", parts=["recognition", "recall"])
    >>> found.systems, found.left_out
    (['ExactStore'], {'ExactStore': {}})
    """
    if not isinstance(memories, Mapping):
        memories = {system_name(memories): memories}
    chosen = list(PARTS) if parts is None else [validate.choice(part, "parts", PARTS) for part in parts]
    kept = SIZES[validate.choice(size, "size", SIZES)] if isinstance(size, str) else size
    seeds = tuple(range(kept.seeds)) if seeds is None else tuple(seeds)
    found: list[ProbeResult] = []
    left_out: dict[str, dict[str, str]] = {name: {} for name in memories}
    sizes: dict[str, int] = {}
    with progress_bar(len(memories) * len(chosen), progress, "probes") as advance:
        for system, memory in memories.items():
            items = source_of(memory, system) if source is None else source
            for name in chosen:
                part = run_part(memory, name, kept, items, seeds)
                if isinstance(part, str):
                    left_out[system][name] = part
                else:
                    found.append(renamed(part, system))
                advance(1)
            if isinstance(n_bytes := getattr(memory, "nbytes", None), (int, np.integer)):
                sizes[system] = int(n_bytes)
    return SuiteResult(ProbeResult.concatenate(found), left_out, sizes)


def source_of(memory: Any, name: str) -> ItemSource:
    """Random items for a memory.

    Raises
    ------
    InputError
        If it does not say what it takes.
    """
    try:
        spec = memory.item_spec
    except AttributeError:
        raise InputTypeError(f"{name} has no item_spec; give a source of items") from None
    if not isinstance(spec, ItemSpec):
        raise InputError(f"item_spec of {name} is {spec!r}, an ItemSpec was expected; give a source of items")
    return source_for(spec)
