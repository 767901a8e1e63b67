"""All probes that a memory can take, one after the other; what it cannot take is named with the reason."""

import copy
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, InputTypeError, NeuromemError, NeuromemWarning
from neuromem.progress import Progress, progress_bar
from neuromem.protocols import ItemSpec, capabilities
from neuromem.retention.adapters import fresh, is_written, system_name, write_batches
from neuromem.retention.items import ItemSource, source_for
from neuromem.retention.results import ProbeResult
from neuromem.retention.suite_parts import PARTS, SIZES, Size, Task

MOST_WARNINGS = 5  # of the library, that are kept with a probe's settings
BYTES_BATCH = 1024  # items in a write when bytes are counted
N_LABELS = 10  # of items for a memory that must have labels and does not say how many


def run_part(
    memory: Any, part: str, size: str | Size, source: ItemSource, seeds: Iterable[int], system: str | None = None
) -> ProbeResult | str:
    """One probe of a suite; the reason in words where the memory cannot take it.

    Warnings of the library are kept with the settings, not shown: a suite asks of memories what is too much for them.

    Parameters
    ----------
    memory : object or callable
        As for every probe; a callable makes a memory from a seed.
    part : str
        One of ``PARTS``.
    size : {"tiny", "quick", "standard", "orhan"} or Size
    source : ItemSource
    seeds : iterable of int
    system : str, optional
        What tables call the memory; default: its own name.

    Examples
    --------
    >>> from neuromem import SparseyMac
    >>> from neuromem.retention import adapt, RandomBits, run_part
    >>> recogniser = adapt(SparseyMac(random_state=0), familiarity="familiarity", write="write", complete=None, read=None)
    >>> found = run_part(recogniser, "recognition", "tiny", RandomBits(64), [0])
    >>> found.config["part"]
    'recognition'
    """
    chosen = PARTS[validate.choice(part, "part", PARTS)]
    size = SIZES[validate.choice(size, "size", SIZES)] if isinstance(size, str) else size
    seeds = tuple(seeds)
    sample = memory if hasattr(memory, "write") else memory(seeds[0])
    verbs = capabilities(sample)
    if reason := chosen.lacking(sample, verbs):
        return reason
    labelled, source = labelled_source(sample, source)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = chosen.run(Task(memory, source, size, seeds, verbs, labelled))
    except NeuromemError as error:
        return str(error)
    others = [warning for warning in told if not issubclass(warning.category, NeuromemWarning)]
    for warning in others:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    texts = [f"{w.category.__name__}: {w.message}" for w in told if w not in others]
    name = system_name(sample) if system is None else system
    rows = [row | {"system": name} for row in found.rows()]
    own: dict[str, Any] = {"system": name, "part": part, "n_rows": len(rows)}
    n_written = max(size.n_study, size.checkpoints[-1] if part == "retention" else 0)
    own |= {"n_bytes": bytes_of(memory, source, n_written, labelled), "warnings": sorted(set(texts))[:MOST_WARNINGS]}
    return ProbeResult(rows, found.config | own)


def labelled_source(memory: Any, source: ItemSource) -> tuple[bool, ItemSource]:
    """Whether a memory must be given labels, and a source that has them."""
    if not (is_written(memory) and "predict" in capabilities(memory)):
        return False, source
    if source.n_classes is None:
        source = copy.copy(source)
        source.n_classes = getattr(memory, "n_classes", None) or n_labels_of(memory)
    return True, source


def n_labels_of(memory: Any) -> int:
    """How many of the labels 0, 1, 2 ... a memory knows; a number for one that takes any."""
    known = np.asarray(getattr(memory, "classes_", []))
    return len(known) if len(known) and np.array_equal(known, np.arange(len(known))) else N_LABELS


@dataclass(frozen=True)
class SuiteResult:
    """What a suite found.

    Parameters
    ----------
    result : ProbeResult
        All probes; the column ``system`` is the memory's name, ``config["parts"]`` has each probe's settings.
    left_out : dict of dict of str
        Memory, then probe, then the reason.
    """

    result: ProbeResult
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Iterable[tuple[str, str, ProbeResult | str]]) -> "SuiteResult":
        """From memories, probes, and what :func:`run_part` gave for them."""
        left_out: dict[str, dict[str, str]] = {}
        parts = []
        for system, part, given in found:
            reasons = left_out.setdefault(system, {})
            if isinstance(given, str):
                reasons[part] = given
            else:
                parts.append(given)
        return cls(ProbeResult.concatenate(parts), left_out)

    @cached_property
    def rows(self) -> ProbeResult:
        """The table without the settings, of which much is cut out at little cost."""
        return ProbeResult(self.result.table)

    @property
    def systems(self) -> list[str]:
        """Names of memories, in order."""
        return list(dict.fromkeys([*self.left_out, *self.result.table["system"].tolist()]))

    @property
    def sizes(self) -> dict[str, int]:
        """Most bytes of each memory, after as many items as any probe writes of one list or course, where it tells them."""
        most: dict[str, int] = {}
        for part in self.result.config["parts"]:
            if part.get("n_bytes") is not None:
                most[part["system"]] = max(most.get(part["system"], 0), part["n_bytes"])
        return most


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
    found: list[tuple[str, str, ProbeResult | str]] = []
    with progress_bar(len(memories) * len(chosen), progress, "probes") as advance:
        for system, memory in memories.items():
            items = source_of(memory, system) if source is None else source
            for part in chosen:
                found.append((system, part, run_part(memory, part, kept, items, seeds, system)))
                advance(1)
    return SuiteResult.of(found)


def bytes_of(memory: Any, source: ItemSource, n_items: int, labelled: bool) -> int | None:
    """Bytes of a memory, or what a factory makes, after so many items; None where it does not tell, or takes none."""
    live = fresh(memory, 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeuromemWarning)  # told by the probe itself
            write_batches(live, source, source.ids("filler", n_items), BYTES_BATCH, labelled)
    except NeuromemError:
        return None
    n_bytes = getattr(live, "nbytes", None)
    return int(n_bytes) if isinstance(n_bytes, (int, np.integer)) else None


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
