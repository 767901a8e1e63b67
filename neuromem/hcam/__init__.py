"""Hierarchical chunk attention memory: a stream cut into chunks, found by their summaries and read in detail where it matters."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.hcam.chunk_memory import ChunkMemory
    from neuromem.hcam.chunk_view import ChunkView

# Public name -> module that has it; loaded when first used.
HOME = {
    "ChunkMemory": "chunk_memory",
    "ChunkView": "chunk_view",
}

__all__ = ["ChunkMemory", "ChunkView"]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.hcam.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.hcam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
