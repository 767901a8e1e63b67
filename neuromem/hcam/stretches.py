"""Means of a chunk's stretches: its one summary, or several of them, and where their gradients go."""

import numpy as np

from neuromem.backend import array_module
from neuromem.errors import InputError


def stretch_shares(lengths: np.ndarray, chunk_size: int, n_summaries: int) -> np.ndarray:
    """How much each step counts in the mean of its stretch.

    Parameters
    ----------
    lengths : int (..., M)
        Filled steps of each chunk.
    chunk_size : int
        C, a multiple of ``n_summaries``.
    n_summaries : int
        S, stretches of equal size in a chunk.

    Returns
    -------
    float64 (..., M, S, C / S)
        One over the number of filled steps of the stretch, 0 beyond them.

    Raises
    ------
    InputError
        If C cannot be divided so.
    """
    if n_summaries < 1 or chunk_size % n_summaries:
        raise InputError(f"n_summaries is {n_summaries}, a divisor of the chunk size ({chunk_size}) was expected")
    xp = array_module(lengths)
    filled = (xp.arange(chunk_size) < lengths[..., None]).reshape(*lengths.shape, n_summaries, -1)
    shares: np.ndarray = filled / xp.maximum(filled.sum(axis=-1, keepdims=True), 1)
    return shares


def stretch_means(contents: np.ndarray, n_summaries: int = 1, lengths: np.ndarray | None = None) -> np.ndarray:
    """Summaries of chunks: the mean of every stretch over its filled steps; 0 where it has none.

    Parameters
    ----------
    contents : float (lanes, M, C, D)
    n_summaries : int, default 1
        S, a divisor of C.
    lengths : int (lanes, M), optional
        Filled steps; default: all.

    Returns
    -------
    ndarray (lanes, M, D) for one summary, (lanes, M, S, D) for several
        As :class:`HCAMAttention` takes them: a chunk with several is as good as the best of them.

    Raises
    ------
    InputError
        If C cannot be divided so.

    Examples
    --------
    >>> import numpy as np
    >>> contents = np.arange(8.0).reshape(1, 2, 4, 1)
    >>> stretch_means(contents)[0, :, 0].tolist()
    [1.5, 5.5]
    >>> stretch_means(contents, 2)[0, :, :, 0].tolist()
    [[0.5, 2.5], [4.5, 6.5]]
    """
    n_lanes, n_chunks, chunk_size, width = contents.shape
    filled = np.full((n_lanes, n_chunks), chunk_size) if lengths is None else lengths
    shares = stretch_shares(filled, chunk_size, n_summaries).astype(contents.dtype)
    stretches = contents.reshape(n_lanes, n_chunks, n_summaries, -1, width)
    means: np.ndarray = np.matmul(shares[..., None, :], stretches)[..., 0, :]
    return means[:, :, 0] if n_summaries == 1 else means


def spread_over_stretches(d_summaries: np.ndarray, lengths: np.ndarray, chunk_size: int) -> np.ndarray:
    """The gradient of :func:`stretch_means`, given to the steps: (lanes, M, D) or (lanes, M, S, D) to (lanes, M, C, D)."""
    n_lanes, n_chunks, *_, width = d_summaries.shape
    per_stretch = d_summaries.reshape(n_lanes, n_chunks, -1, width)
    shares = stretch_shares(lengths, chunk_size, per_stretch.shape[2]).astype(d_summaries.dtype)
    return (shares[..., None] * per_stretch[:, :, :, None]).reshape(n_lanes, n_chunks, chunk_size, width)
