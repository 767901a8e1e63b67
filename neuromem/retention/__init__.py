"""Probes of memory: recognition, recall and forgetting, measured in the same way on any memory."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.retention.adapters import AdaptedMemory, ClassifierMemory, LossMemory, adapt
    from neuromem.retention.array_items import ArrayItems
    from neuromem.retention.checkpoints import log_spaced
    from neuromem.retention.course import retention_curve
    from neuromem.retention.cues import cue_mask
    from neuromem.retention.foils import Foil
    from neuromem.retention.items import (
        Gaussian,
        HierarchicalItems,
        ItemSource,
        RandomBits,
        RandomSigns,
        SparseBits,
        Templates,
        source_for,
    )
    from neuromem.retention.recall import recall_probe
    from neuromem.retention.recognition import recognition_probe
    from neuromem.retention.results import ProbeResult
    from neuromem.retention.sequences import edit_similarity, rouge_l, rouge_n
    from neuromem.retention.statistics import d_prime, roc_area, wilson_interval, yes_no, z_roc_slope

# Public names of each module; a module is loaded when one of its names is first used.
MODULES: dict[str, tuple[str, ...]] = {
    "adapters": ("AdaptedMemory", "ClassifierMemory", "LossMemory", "adapt"),
    "array_items": ("ArrayItems",),
    "checkpoints": ("log_spaced",),
    "course": ("retention_curve",),
    "cues": ("cue_mask",),
    "foils": ("Foil",),
    "items": (
        "Gaussian",
        "HierarchicalItems",
        "ItemSource",
        "RandomBits",
        "RandomSigns",
        "SparseBits",
        "Templates",
        "source_for",
    ),
    "recall": ("recall_probe",),
    "recognition": ("recognition_probe",),
    "results": ("ProbeResult",),
    "sequences": ("edit_similarity", "rouge_l", "rouge_n"),
    "statistics": ("d_prime", "roc_area", "wilson_interval", "yes_no", "z_roc_slope"),
}
HOME = {name: module for module, names in MODULES.items() for name in names}

__all__ = [
    "AdaptedMemory",
    "ArrayItems",
    "ClassifierMemory",
    "Foil",
    "Gaussian",
    "HierarchicalItems",
    "ItemSource",
    "LossMemory",
    "ProbeResult",
    "RandomBits",
    "RandomSigns",
    "SparseBits",
    "Templates",
    "adapt",
    "cue_mask",
    "d_prime",
    "edit_similarity",
    "log_spaced",
    "recall_probe",
    "recognition_probe",
    "retention_curve",
    "roc_area",
    "rouge_l",
    "rouge_n",
    "source_for",
    "wilson_interval",
    "yes_no",
    "z_roc_slope",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.retention.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.retention' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
