"""Tasks to act in, many environments at once as arrays; :func:`make` gives one of them to other libraries."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.environments.ballet import Ballet, BalletStep
    from neuromem.environments.dances import DANCES, INSTRUCTIONS, MOVES, dance_offsets
    from neuromem.environments.gymnasium_adapter import make

# Public name -> module that has it; loaded when first used.
HOME = {
    "Ballet": "ballet",
    "BalletStep": "ballet",
    "DANCES": "dances",
    "INSTRUCTIONS": "dances",
    "MOVES": "dances",
    "dance_offsets": "dances",
    "make": "gymnasium_adapter",
}

__all__ = ["DANCES", "INSTRUCTIONS", "MOVES", "Ballet", "BalletStep", "dance_offsets", "make"]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.environments.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.environments' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
