"""Every memory of the library at equal bytes, for experiments on retention: by name, with the items it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    SparseyMac,
    WillshawMemory,
)
from neuromem.retention import (
    ActivationMemory,
    ContextualDelta,
    FIFOBuffer,
    ItemSource,
    LinearAssociator,
    ReservoirBuffer,
    TwoStore,
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


@dataclass(frozen=True)
class Contender:
    """One memory.

    Parameters
    ----------
    kind : {"binary", "sign", "real"}
        Of the items asked for; their density is what the memory says it takes.
    make : callable (n_bytes, item_spec, seed)
    density : float, optional
        Other items than the memory asks for.
    """

    kind: str
    make: Callable[[int, ItemSpec, int], Any]
    density: float | None = None

    def memory(self, seed: int, n_features: int = N_FEATURES, n_bytes: int = N_BYTES) -> Any:
        """A fresh memory."""
        return self.make(n_bytes, ItemSpec(n_features, self.kind, self.density), seed)  # type: ignore[arg-type]

    def source(self, n_features: int = N_FEATURES, n_bytes: int = N_BYTES) -> ItemSource:
        """Random items for it."""
        if self.density is not None:
            return source_for(ItemSpec(n_features, self.kind, self.density))  # type: ignore[arg-type]
        return source_for(self.memory(0, n_features, n_bytes).item_spec)


# A later memory takes part by adding itself here.
MEMORIES: dict[str, Contender] = {
    "SparseyMac": Contender("binary", budgeted(SparseyMac)),
    "MultitaskingHebbian": Contender("sign", budgeted(MultitaskingHebbian)),
    "HopfieldNetwork": Contender("sign", budgeted(HopfieldNetwork)),
    "DenseAssociativeMemory": Contender("sign", budgeted(DenseAssociativeMemory)),
    "ModernHopfield": Contender("real", budgeted(ModernHopfield)),
    "BidirectionalAssociativeMemory": Contender("sign", budgeted(BidirectionalAssociativeMemory)),
    "WillshawMemory": Contender("binary", budgeted(WillshawMemory)),
    "SparseDistributedMemory": Contender("binary", budgeted(SparseDistributedMemory)),
    # it compares addresses by Hamming distance, which is made for bits half of which are on
    "SparseDistributedMemory, dense bits": Contender("binary", budgeted(SparseDistributedMemory), 0.5),
    "ChunkMemory": Contender("real", chunks),
    "ExactStore": Contender("real", budgeted(ExactStore)),
    "FIFOBuffer": Contender("real", budgeted(FIFOBuffer)),
    "ReservoirBuffer": Contender("real", budgeted(ReservoirBuffer)),
    "LinearAssociator": Contender("real", budgeted(LinearAssociator)),
    "ContextualDelta": Contender("real", budgeted(ContextualDelta)),
    "TwoStore": Contender("real", budgeted(TwoStore)),
    "ActivationMemory": Contender("real", budgeted(ActivationMemory)),
}
