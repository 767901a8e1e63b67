"""Control conditions: cells whose weights were never chosen by the code selection algorithm."""

import numpy as np


def imprinted_weights(
    kind: str,
    items: np.ndarray,
    fields: np.ndarray,
    n_modules: int,
    units_per_module: int,
    bounds: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Fixed weights for every cell.

    Parameters
    ----------
    kind : {"random_patches", "random_weights"}
        Each cell is given the active inputs of one item drawn at random, or as many inputs drawn at random.
    items : uint8 (n_items, n_features)
    fields : int32 (n_macs, n_afferents)
    n_modules, units_per_module : int
    bounds : int64 (3,)
        Lowest and highest number of active afferents of a patch that is used.
    generator : numpy.random.Generator

    Returns
    -------
    bool (n_macs, n_afferents, n_modules, units_per_module)
    """
    n_cells = n_modules * units_per_module
    weights = np.zeros((*fields.shape, n_cells), bool)
    for m, field in enumerate(fields):
        patches = items[:, field].astype(bool)
        active = patches.sum(axis=1)
        patches = patches[(active >= bounds[0]) & (active <= bounds[1])]
        if not len(patches):
            continue
        chosen = patches[generator.integers(len(patches), size=n_cells)]
        if kind == "random_weights":
            chosen = generator.permuted(chosen, axis=1)
        weights[m] = chosen.T
    return weights.reshape(*fields.shape, n_modules, units_per_module)
