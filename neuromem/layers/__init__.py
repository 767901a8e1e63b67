"""Building blocks that learn: layers over flat dicts of arrays with derivatives written by hand, losses, V-trace."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.layers.base import Composite, Layer
    from neuromem.layers.dense import Dense
    from neuromem.layers.initialise import truncated_normal, variance_scaling

# Public name -> module that has it; loaded when first used.
HOME = {
    **dict.fromkeys(("Composite", "Layer"), "base"),
    "Dense": "dense",
    **dict.fromkeys(("truncated_normal", "variance_scaling"), "initialise"),
}

__all__ = [
    "Composite",
    "Dense",
    "Layer",
    "truncated_normal",
    "variance_scaling",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.layers.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.layers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
