"""Every memory of the library at equal bytes, for experiments on retention: by name, with the items it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import (
    BidirectionalAssociativeMemory,
    ChunkMemory,
    DenseAssociativeMemory,
    ExactStore,
    HopfieldNetwork,
    ItemSpec,
    ModernHopfield,
    MultitaskingHebbian,
    SparseDistributedMemory,
    SparseyContextMac,
    SparseyMac,
    SparseyNetwork,
    SparseySequenceMemory,
    WillshawMemory,
)
from neuromem.retention import (
    ActivationMemory,
    AdaptedMemory,
    ContextualDelta,
    FIFOBuffer,
    ItemSource,
    LinearAssociator,
    ReservoirBuffer,
    TwoStore,
    adapt,
    source_for,
)

N_FEATURES = 128
N_BYTES = 3 * 2**17  # as little as lets every memory of this width in


def budgeted(cls: Any) -> Callable[[int, ItemSpec, int], Any]:
    """The class's own way to fit a number of bytes."""
    return lambda n_bytes, spec, seed: cls.for_budget(n_bytes, spec, random_state=seed)


def chunks(n_bytes: int, spec: ItemSpec, seed: int) -> ChunkMemory:
    """A chunk memory that can read the chunk it is filling, too: else the newest items are not there yet."""
    made = ChunkMemory.for_budget(n_bytes, spec, random_state=seed)
    return made.set_params(include_open=True)


def each_an_episode(memory: SparseyNetwork | SparseySequenceMemory) -> AdaptedMemory:
    """A memory of sequences that takes every item by itself: probes write lists of items that have nothing to do with another."""
    return adapt(memory, write=write_apart)


def write_apart(memory: SparseyNetwork | SparseySequenceMemory, items: np.ndarray) -> np.ndarray:
    """Store items in episodes of one frame."""
    return memory.write(items, lengths=np.ones(len(items), np.int64))


def apart(cls: Any) -> Callable[[int, ItemSpec, int], Any]:
    """A memory of sequences of the class's own way to fit a number of bytes, given items that are episodes of their own."""
    return lambda n_bytes, spec, seed: each_an_episode(cls.for_budget(n_bytes, spec, random_state=seed))


@dataclass(frozen=True)
class Contender:
    """One memory.

    Parameters
    ----------
    kind : {"binary", "sign", "real"}
        Of the items asked for; their density is what the memory says it takes.
    make : callable (n_bytes, item_spec, seed)
    """

    kind: str
    make: Callable[[int, ItemSpec, int], Any]

    def memory(self, seed: int, n_features: int = N_FEATURES, n_bytes: int = N_BYTES) -> Any:
        """A fresh memory."""
        return self.make(n_bytes, ItemSpec(n_features, self.kind), seed)  # type: ignore[arg-type]

    def source(self, n_features: int = N_FEATURES, n_bytes: int = N_BYTES) -> ItemSource:
        """Random items for it."""
        return source_for(self.memory(0, n_features, n_bytes).item_spec)


# A later memory takes part by adding itself here.
MEMORIES: dict[str, Contender] = {
    "SparseyMac": Contender("binary", budgeted(SparseyMac)),
    "SparseySequenceMemory": Contender("binary", apart(SparseySequenceMemory)),
    # as it is: what comes in a row is one sequence, and every item is learned in the context of the one before
    "SparseySequenceMemory, one long episode": Contender("binary", budgeted(SparseySequenceMemory)),
    "SparseyNetwork": Contender("binary", apart(SparseyNetwork)),
    "SparseyContextMac": Contender("binary", budgeted(SparseyContextMac)),  # without codes: what it hears is the item alone
    "MultitaskingHebbian": Contender("sign", budgeted(MultitaskingHebbian)),
    "HopfieldNetwork": Contender("sign", budgeted(HopfieldNetwork)),
    "DenseAssociativeMemory": Contender("sign", budgeted(DenseAssociativeMemory)),
    "ModernHopfield": Contender("real", budgeted(ModernHopfield)),
    "BidirectionalAssociativeMemory": Contender("sign", budgeted(BidirectionalAssociativeMemory)),
    "WillshawMemory": Contender("binary", budgeted(WillshawMemory)),
    "SparseDistributedMemory": Contender("binary", budgeted(SparseDistributedMemory)),
    "ChunkMemory": Contender("real", chunks),
    "ExactStore": Contender("real", budgeted(ExactStore)),
    "FIFOBuffer": Contender("real", budgeted(FIFOBuffer)),
    "ReservoirBuffer": Contender("real", budgeted(ReservoirBuffer)),
    "LinearAssociator": Contender("real", budgeted(LinearAssociator)),
    "ContextualDelta": Contender("real", budgeted(ContextualDelta)),
    "TwoStore": Contender("real", budgeted(TwoStore)),
    "ActivationMemory": Contender("real", budgeted(ActivationMemory)),
}
