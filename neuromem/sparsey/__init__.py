"""Sparsey: sparse distributed codes, stored in one presentation and recalled in fixed time."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.sparsey import encode
    from neuromem.sparsey.active import ActiveRows
    from neuromem.sparsey.classifier import SparseyClassifier
    from neuromem.sparsey.label_field import LabelField
    from neuromem.sparsey.layer import SparseyLayer
    from neuromem.sparsey.mac import SparseyMac
    from neuromem.sparsey.multiscale import MultiScaleSparseyClassifier

HOME = {
    "ActiveRows": "active",
    "LabelField": "label_field",
    "MultiScaleSparseyClassifier": "multiscale",
    "SparseyClassifier": "classifier",
    "SparseyLayer": "layer",
    "SparseyMac": "mac",
}

__all__ = [
    "ActiveRows",
    "LabelField",
    "MultiScaleSparseyClassifier",
    "SparseyClassifier",
    "SparseyLayer",
    "SparseyMac",
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
