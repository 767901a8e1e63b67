"""The classic associative memories behind the library's verbs.

Binary, sign or real items are written in one presentation each; a read lets a cue settle.  What each of them costs and holds:

=======================================  =======  ==========================  =========================================
class                                    items    bytes                       holds about
=======================================  =======  ==========================  =========================================
``HopfieldNetwork``                      signs    N^2 couplings (and rows)    0.138 N (Hebb) ... N (projection)
``DenseAssociativeMemory``               signs    grow with the items         N^(n-1) ... 2^(N/2)
``ModernHopfield``                       real     grow with the items         exponentially many in d
``BidirectionalAssociativeMemory``       signs    N M couplings (and rows)    min(N, M) decorrelated
``WillshawMemory``                       binary   N M bits                    0.69 N M / (a b), a and b units active
``SparseDistributedMemory``              binary   fixed, locations x width    a tenth of the locations
=======================================  =======  ==========================  =========================================
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.hopfield.baselines.bidirectional import BidirectionalAssociativeMemory
    from neuromem.hopfield.baselines.dense import DenseAssociativeMemory
    from neuromem.hopfield.baselines.hopfield_network import HopfieldNetwork
    from neuromem.hopfield.baselines.modern import ModernHopfield
    from neuromem.hopfield.baselines.sparse_distributed import SparseDistributedMemory
    from neuromem.hopfield.baselines.willshaw import WillshawMemory

# Public name -> module that has it; loaded when first used.
HOME = {
    "BidirectionalAssociativeMemory": "bidirectional",
    "DenseAssociativeMemory": "dense",
    "HopfieldNetwork": "hopfield_network",
    "ModernHopfield": "modern",
    "SparseDistributedMemory": "sparse_distributed",
    "WillshawMemory": "willshaw",
}

__all__ = [
    "BidirectionalAssociativeMemory",
    "DenseAssociativeMemory",
    "HopfieldNetwork",
    "ModernHopfield",
    "SparseDistributedMemory",
    "WillshawMemory",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.hopfield.baselines.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.hopfield.baselines' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
