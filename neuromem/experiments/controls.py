"""The control conditions that stand beside the code selection algorithm in every classification table."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from neuromem import SaturationWarning, SparseyClassifier, SparseyLayer
from neuromem.sparsey import ActiveRows

WINNERS = {
    "csa": "",
    "uniform": "control: uniform winners",
    "random_patches": "control: random patches",
    "random_weights": "control: random weights",
}


def condition_name(base: str, winners: str, readout: str) -> str:
    """Name of a table row."""
    return f"{WINNERS[winners] or base}, {readout} labels"


def classifier(layer: SparseyLayer, seed: int, **settings: Any) -> SparseyClassifier:
    """A classifier around a copy of the layer."""
    return SparseyClassifier(layer, random_state=seed, **settings)


@contextmanager
def overfull() -> Iterator[None]:
    """Where a memory is filled beyond its capacity on purpose, its warning says nothing new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaturationWarning)
        yield


def per_class_sample(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of ``per_class`` random items of each class, shuffled."""
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)]
    return rng.permutation(np.concatenate(chosen))


def accuracy(network: SparseyClassifier, active: ActiveRows, labels: np.ndarray) -> float:
    """Share of items, encoded once for all networks, that are named rightly."""
    named = network.classes_[network.scores_of_active(active).argmax(axis=1)]
    return float((named == labels).mean())
