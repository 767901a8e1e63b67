"""All probes that a memory can take, one after the other; what it cannot take is named with the reason."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, InputTypeError, NeuromemError
from neuromem.progress import Progress, progress_bar
from neuromem.protocols import ItemSpec, capabilities
from neuromem.retention.adapters import fresh, is_written, system_name, write_batches
from neuromem.retention.items import ItemSource, source_for
from neuromem.retention.results import ProbeResult
from neuromem.retention.suite_parts import PARTS, SIZES, Size, Task

N_LABELS = 10  # of items for a memory that must have labels and does not say how many


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
        Bytes of each memory after as many items as are studied, where it tells them.
    """

    result: ProbeResult
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def systems(self) -> list[str]:
        """Names of memories, in order."""
        return list(dict.fromkeys([*self.result.table["system"].tolist(), *self.left_out]))


def named(result: ProbeResult, system: str, part: str) -> ProbeResult:
    """The same rows under a memory's own name; the config says which part of a suite they are, and how many."""
    rows = [row | {"system": system} for row in result.rows()]
    return ProbeResult(rows, result.config | {"system": system, "part": part, "n_rows": len(rows)})


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
                    found.append(named(part, system, name))
                advance(1)
            if (n_bytes := bytes_of(memory, items, kept.n_study)) is not None:
                sizes[system] = n_bytes
    return SuiteResult(ProbeResult.concatenate(found), left_out, sizes)


def bytes_of(memory: Any, source: ItemSource, n_study: int) -> int | None:
    """Bytes of a memory, or what a factory makes, after so many items; None where it does not tell, or takes none."""
    live = fresh(memory, 0)
    labelled, source = labelled_source(live, source)
    try:
        write_batches(live, source, source.ids("target", n_study), n_study, labelled)
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
