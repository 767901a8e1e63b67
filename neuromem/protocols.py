"""What every memory can do, as protocols: probes, examples and the command line work with anything that has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

Array = Any


@dataclass(frozen=True, slots=True)
class Recall:
    """What a read brings back.

    Parameters
    ----------
    values : (q, k, d)
        The k best matches of each of q cues.
    ids : int64 (q, k)
        -1 where nothing was recalled, or where the system keeps no item identities.
    scores : float32 (q, k)
        Larger is better; each system documents its scale.
    info : mapping of arrays
        What else the system knows.
    """

    values: Array
    ids: Array
    scores: Array
    info: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemSpec:
    """The items that a memory takes: their width, kind, and share of non-zeros (binary and ternary)."""

    n_features: int
    kind: Literal["binary", "sign", "ternary", "real"]
    density: float | None = None


@runtime_checkable
class Memory(Protocol):
    """The verbs that every memory has."""

    def write(self, items: Array, targets: Array = None, *, tags: Array = None) -> Array: ...

    def read(self, cues: Array, *, k: int = 1) -> Recall: ...

    def reset(self) -> None: ...

    def __len__(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    def copy(self) -> "Memory": ...

    def get_state(self) -> dict[str, Any]: ...

    def set_state(self, state: Mapping[str, Any]) -> None: ...


@runtime_checkable
class Recognizes(Protocol):
    """Tells how familiar items are: (n,) float32, higher is more familiar; pure."""

    def familiarity(self, items: Array) -> Array: ...


@runtime_checkable
class Completes(Protocol):
    """Fills in what is unknown of a cue: cues (n, d), known bool (n, d) or (d,), result (n, d); pure."""

    def complete(self, cues: Array, known: Array) -> Array: ...


@runtime_checkable
class Predicts(Protocol):
    """Gives a label to each item, (n,)."""

    def predict(self, items: Array) -> Array: ...


@runtime_checkable
class Forgets(Protocol):
    """Removes items by their ids; returns how many went."""

    def forget(self, ids: Array) -> int: ...


VERBS = {
    "read": Memory,
    "familiarity": Recognizes,
    "complete": Completes,
    "predict": Predicts,
    "forget": Forgets,
}


def capabilities(memory: Any) -> frozenset[str]:
    """Verbs that this very instance offers beyond writing.

    A memory that has a verb but cannot use it as it stands (no labels seen, no codes kept) leaves it out by listing it
    in its attribute ``unavailable_``.

    Examples
    --------
    >>> from neuromem import SparseyMac, capabilities
    >>> sorted(capabilities(SparseyMac()))
    ['complete', 'familiarity', 'read']
    """
    offered = {verb for verb, protocol in VERBS.items() if isinstance(memory, protocol)}
    return frozenset(offered - set(getattr(memory, "unavailable_", ())))
