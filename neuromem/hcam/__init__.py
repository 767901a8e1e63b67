"""Hierarchical chunk attention memory: a stream cut into chunks, found by their summaries and read in detail where it matters."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.hcam.attended import AttentionInfo
    from neuromem.hcam.attention import HCAMAttention
    from neuromem.hcam.block import HCAMBlock, HCAMEncoderLayer
    from neuromem.hcam.chunk_memory import ChunkMemory
    from neuromem.hcam.chunk_view import ChunkView
    from neuromem.hcam.classifier import HCAMClassifier
    from neuromem.hcam.sequence import causal_chunk_mask, sequence_chunks
    from neuromem.hcam.stretches import stretch_means

# Public name -> module that has it; loaded when first used.
HOME = {
    "AttentionInfo": "attended",
    "ChunkMemory": "chunk_memory",
    "ChunkView": "chunk_view",
    "HCAMAttention": "attention",
    "HCAMClassifier": "classifier",
    **dict.fromkeys(("HCAMBlock", "HCAMEncoderLayer"), "block"),
    "stretch_means": "stretches",
    **dict.fromkeys(("causal_chunk_mask", "sequence_chunks"), "sequence"),
}

__all__ = [
    "AttentionInfo",
    "ChunkMemory",
    "ChunkView",
    "HCAMAttention",
    "HCAMBlock",
    "HCAMClassifier",
    "HCAMEncoderLayer",
    "causal_chunk_mask",
    "sequence_chunks",
    "stretch_means",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.hcam.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.hcam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
