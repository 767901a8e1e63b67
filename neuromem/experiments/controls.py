"""The control conditions that stand beside the code selection algorithm in every classification table."""

from typing import Any

import numpy as np

from neuromem import SparseyClassifier, SparseyLayer

WINNERS = {
    "csa": "",
    "uniform": "control: uniform winners",
    "random_patches": "control: random patches",
    "random_weights": "control: random weights",
}


def condition_name(base: str, winners: str, readout: str) -> str:
    """Name of a table row."""
    return f"{WINNERS[winners] or base}, {readout} labels"


def with_winners(layer: SparseyLayer, winners: str) -> SparseyLayer:
    """The same layer with another way of choosing winners."""
    return SparseyLayer(**{**layer.get_params(deep=False), "winners": winners})


def classifier(layer: SparseyLayer, seed: int, **settings: Any) -> SparseyClassifier:
    """A classifier around a copy of the layer."""
    return SparseyClassifier(layer, random_state=seed, **settings)


def per_class_sample(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of ``per_class`` random items of each class, shuffled."""
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)]
    return rng.permutation(np.concatenate(chosen))
