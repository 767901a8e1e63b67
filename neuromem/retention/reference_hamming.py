"""The kernel that finds the nearest pattern, in plain NumPy."""

import numpy as np


def nearest_hamming(
    recalled: np.ndarray,
    masks: np.ndarray,
    items: np.ndarray,
    right: np.ndarray,
    out_distance: np.ndarray,
    out_best: np.ndarray,
    out_ties: np.ndarray,
) -> None:
    """All distances at once, bit by bit."""
    differing = (recalled[:, None, :] ^ items[None, :, :]) & masks[:, None, :]
    distances = np.unpackbits(differing.view(np.uint8), axis=2).sum(axis=2, dtype=np.int32)
    out_distance[:] = distances[np.arange(len(recalled)), right]
    out_best[:] = distances.min(axis=1)
    out_ties[:] = (distances == out_best[:, None]).sum(axis=1)
