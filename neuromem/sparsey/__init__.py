"""Sparsey: sparse distributed codes, stored in one presentation and recalled in fixed time."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.sparsey import encode
    from neuromem.sparsey.active import ActiveRows
    from neuromem.sparsey.classifier import SparseyClassifier
    from neuromem.sparsey.context_mac import SparseyContextMac
    from neuromem.sparsey.label_field import LabelField
    from neuromem.sparsey.layer import SparseyLayer
    from neuromem.sparsey.level import FieldGrid, SparseyLevel
    from neuromem.sparsey.mac import SparseyMac
    from neuromem.sparsey.multiscale import MultiScaleSparseyClassifier
    from neuromem.sparsey.network import SparseyNetwork
    from neuromem.sparsey.sequence import SparseySequenceMemory

HOME = {
    "ActiveRows": "active",
    "FieldGrid": "level",
    "LabelField": "label_field",
    "MultiScaleSparseyClassifier": "multiscale",
    "SparseyClassifier": "classifier",
    "SparseyContextMac": "context_mac",
    "SparseyLayer": "layer",
    "SparseyLevel": "level",
    "SparseyMac": "mac",
    "SparseyNetwork": "network",
    "SparseySequenceMemory": "sequence",
}

__all__ = [
    "ActiveRows",
    "FieldGrid",
    "LabelField",
    "MultiScaleSparseyClassifier",
    "SparseyClassifier",
    "SparseyContextMac",
    "SparseyLayer",
    "SparseyLevel",
    "SparseyMac",
    "SparseyNetwork",
    "SparseySequenceMemory",
    "encode",
]


def __getattr__(name: str) -> Any:
    if name == "encode":
        return importlib.import_module("neuromem.sparsey.encode")
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.sparsey.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.sparsey' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
