"""Probes of memory: recognition, recall and forgetting, measured in the same way on any memory."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.retention.array_items import ArrayItems
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
    from neuromem.retention.results import ProbeResult
    from neuromem.retention.statistics import d_prime, roc_area, wilson_interval

# Public name -> module that has it; loaded when first used.
HOME = {
    "ArrayItems": "array_items",
    **dict.fromkeys(
        (
            "Gaussian",
            "HierarchicalItems",
            "ItemSource",
            "RandomBits",
            "RandomSigns",
            "SparseBits",
            "Templates",
            "source_for",
        ),
        "items",
    ),
    "ProbeResult": "results",
    **dict.fromkeys(("d_prime", "roc_area", "wilson_interval"), "statistics"),
}

__all__ = [
    "ArrayItems",
    "Gaussian",
    "HierarchicalItems",
    "ItemSource",
    "ProbeResult",
    "RandomBits",
    "RandomSigns",
    "SparseBits",
    "Templates",
    "d_prime",
    "roc_area",
    "source_for",
    "wilson_interval",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.retention.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.retention' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
