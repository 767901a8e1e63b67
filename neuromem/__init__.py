"""neuromem: biologically inspired memory systems on NumPy and Numba, with an optional GPU."""

import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from neuromem import baselines, datasets, environments, errors, hcam, hopfield, layers, optim, retention, sparsey
    from neuromem.baselines import ExactStore
    from neuromem.errors import (
        BackendError,
        CallOrderError,
        CapacityError,
        ConvergenceWarning,
        FormatError,
        InputError,
        InputTypeError,
        MediaError,
        MissingDataError,
        MissingDependencyError,
        NeuromemError,
        NeuromemWarning,
        NotFittedError,
        PrecisionWarning,
        ProbeMutatedMemoryError,
        SaturationWarning,
        ScoreError,
        SpaceMismatchError,
        StoreError,
        StoreLockedError,
        UnknownKeyError,
        UnsupportedCodecError,
    )
    from neuromem.hcam import ChunkMemory, HCAMAttention, HCAMBlock, HCAMClassifier, HCAMEncoderLayer
    from neuromem.hopfield import MultitaskingHebbian
    from neuromem.hopfield.baselines import (
        BidirectionalAssociativeMemory,
        DenseAssociativeMemory,
        HopfieldNetwork,
        ModernHopfield,
        SparseDistributedMemory,
        WillshawMemory,
    )
    from neuromem.io import load, save
    from neuromem.kernel_registry import warmup
    from neuromem.parallel import get_num_threads, set_num_threads, threads
    from neuromem.protocols import (
        Completes,
        Forgets,
        ItemSpec,
        Memory,
        Predicts,
        Recall,
        Recognizes,
        capabilities,
    )
    from neuromem.retention import ProbeResult, adapt, recall_probe, recognition_probe, retention_curve
    from neuromem.sparsey import (
        FieldGrid,
        MultiScaleSparseyClassifier,
        SparseyClassifier,
        SparseyContextMac,
        SparseyLayer,
        SparseyLevel,
        SparseyMac,
        SparseyNetwork,
        SparseySequenceMemory,
    )

# Public name -> module that has it; loaded when first used, so that ``import neuromem`` costs next to nothing.
HOME = {
    "ExactStore": "baselines",
    **dict.fromkeys(
        (
            "BidirectionalAssociativeMemory",
            "DenseAssociativeMemory",
            "HopfieldNetwork",
            "ModernHopfield",
            "SparseDistributedMemory",
            "WillshawMemory",
        ),
        "hopfield.baselines",
    ),
    **dict.fromkeys(("ChunkMemory", "HCAMAttention", "HCAMBlock", "HCAMClassifier", "HCAMEncoderLayer"), "hcam"),
    "MultitaskingHebbian": "hopfield",
    **dict.fromkeys(
        (
            "FieldGrid",
            "MultiScaleSparseyClassifier",
            "SparseyClassifier",
            "SparseyContextMac",
            "SparseyLayer",
            "SparseyLevel",
            "SparseyMac",
            "SparseyNetwork",
            "SparseySequenceMemory",
        ),
        "sparsey",
    ),
    **dict.fromkeys(("ProbeResult", "adapt", "recall_probe", "recognition_probe", "retention_curve"), "retention"),
    "load": "io",
    "save": "io",
    "warmup": "kernel_registry",
    "get_num_threads": "parallel",
    "set_num_threads": "parallel",
    "threads": "parallel",
    **dict.fromkeys(
        ("Completes", "Forgets", "ItemSpec", "Memory", "Predicts", "Recall", "Recognizes", "capabilities"), "protocols"
    ),
    **dict.fromkeys(
        (
            "BackendError",
            "CallOrderError",
            "CapacityError",
            "ConvergenceWarning",
            "FormatError",
            "InputError",
            "InputTypeError",
            "MediaError",
            "MissingDataError",
            "MissingDependencyError",
            "NeuromemError",
            "NeuromemWarning",
            "NotFittedError",
            "PrecisionWarning",
            "ProbeMutatedMemoryError",
            "SaturationWarning",
            "ScoreError",
            "SpaceMismatchError",
            "StoreError",
            "StoreLockedError",
            "UnknownKeyError",
            "UnsupportedCodecError",
        ),
        "errors",
    ),
}
SUBMODULES = ("baselines", "datasets", "environments", "errors", "hcam", "hopfield", "layers", "optim", "retention", "sparsey")

__all__ = [
    "BackendError",
    "BidirectionalAssociativeMemory",
    "CallOrderError",
    "CapacityError",
    "ChunkMemory",
    "Completes",
    "ConvergenceWarning",
    "DenseAssociativeMemory",
    "ExactStore",
    "FieldGrid",
    "Forgets",
    "FormatError",
    "HCAMAttention",
    "HCAMBlock",
    "HCAMClassifier",
    "HCAMEncoderLayer",
    "HopfieldNetwork",
    "InputError",
    "InputTypeError",
    "ItemSpec",
    "MediaError",
    "Memory",
    "MissingDataError",
    "MissingDependencyError",
    "ModernHopfield",
    "MultiScaleSparseyClassifier",
    "MultitaskingHebbian",
    "NeuromemError",
    "NeuromemWarning",
    "NotFittedError",
    "PrecisionWarning",
    "Predicts",
    "ProbeMutatedMemoryError",
    "ProbeResult",
    "Recall",
    "Recognizes",
    "SaturationWarning",
    "ScoreError",
    "SpaceMismatchError",
    "SparseDistributedMemory",
    "SparseyClassifier",
    "SparseyContextMac",
    "SparseyLayer",
    "SparseyLevel",
    "SparseyMac",
    "SparseyNetwork",
    "SparseySequenceMemory",
    "StoreError",
    "StoreLockedError",
    "UnknownKeyError",
    "UnsupportedCodecError",
    "WillshawMemory",
    "__version__",
    "adapt",
    "baselines",
    "capabilities",
    "datasets",
    "environments",
    "errors",
    "get_num_threads",
    "hcam",
    "hopfield",
    "layers",
    "load",
    "optim",
    "recall_probe",
    "recognition_probe",
    "retention",
    "retention_curve",
    "save",
    "set_num_threads",
    "sparsey",
    "threads",
    "warmup",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        value = getattr(importlib.import_module(f"neuromem.{HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in SUBMODULES:
        return importlib.import_module(f"neuromem.{name}")
    raise AttributeError(f"module 'neuromem' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class CheckoutFinder:
    """Finds ``neuromem.gpu`` in the folder ``gpu`` beside this package, in a checkout that was not installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != "neuromem.gpu":
            return None
        return importlib.util.spec_from_file_location(
            fullname, self.folder / "__init__.py", submodule_search_locations=[str(self.folder)]
        )


PACKAGE = Path(__file__).parent
if not (PACKAGE / "gpu").exists() and (PACKAGE.parent / "gpu" / "kernels").exists():
    # first, so that the gpu folder of another checkout that is installed is not taken for this one's
    sys.meta_path.insert(0, CheckoutFinder(PACKAGE.parent / "gpu"))
