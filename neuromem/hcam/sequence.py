"""Sequences as memories of chunks: what a learner that sees a whole sequence at once attends to."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError


def sequence_chunks(x: np.ndarray, chunk_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut sequences into chunks from their start; the last one may be shorter.

    Parameters
    ----------
    x : float array (B, T, D)
    chunk_size : int >= 1
        Steps of a chunk, C.

    Returns
    -------
    summaries : ndarray (B, M, D)
        Mean of each chunk's steps; M = ceil(T / C).
    contents : ndarray (B, M, C, D)
        Zeros beyond a chunk's length; a view of ``x`` where C divides T.
    lengths : int32 (B, M)

    Raises
    ------
    InputError
        For another number of axes, or a chunk size below 1.

    Examples
    --------
    >>> import numpy as np
    >>> summaries, contents, lengths = sequence_chunks(np.arange(5.0).reshape(1, 5, 1), 2)
    >>> summaries[0, :, 0].tolist(), contents[0, 2].tolist(), lengths.tolist()
    ([0.5, 2.5, 4.0], [[4.0], [0.0]], [[2, 2, 1]])
    """
    validate.integer(chunk_size, "chunk_size", 1)
    if x.ndim != 3:
        raise InputError(f"x has shape {x.shape}, (sequences, steps, features) was expected")
    lanes, n_steps, width = x.shape
    n_chunks = -(-n_steps // chunk_size)
    if missing := n_chunks * chunk_size - n_steps:
        x = np.concatenate([x, np.zeros((lanes, missing, width), x.dtype)], axis=1)
    contents = x.reshape(lanes, n_chunks, chunk_size, width)
    filled = np.minimum(n_steps - chunk_size * np.arange(n_chunks, dtype=np.int32), chunk_size).astype(np.int32)
    summaries = contents.sum(axis=2) / filled[:, None].astype(x.dtype)
    return summaries, contents, np.tile(filled, (lanes, 1))


def steps_of(contents: np.ndarray, n_steps: int) -> np.ndarray:
    """Undo :func:`sequence_chunks`: the first ``n_steps`` steps of (B, M, C, D), one after the other."""
    flat: np.ndarray = contents.reshape(len(contents), -1, contents.shape[-1])[:, :n_steps]
    return flat


def causal_chunk_mask(n_steps: int, chunk_size: int, n_lanes: int = 1) -> np.ndarray:
    """Which chunks of a sequence each of its steps may see: those that are closed by then.

    A chunk is closed at its last step; one that the sequence's end cuts short, at the sequence's last step.

    Parameters
    ----------
    n_steps, chunk_size : int >= 1
    n_lanes : int >= 1, default 1

    Returns
    -------
    bool (n_lanes, n_steps, ceil(n_steps / chunk_size))
        As ``mask`` of :meth:`HCAMAttention.forward`.

    Raises
    ------
    InputError
        For a number below 1.

    Examples
    --------
    >>> causal_chunk_mask(5, 2)[0].astype(int).tolist()
    [[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    for name, value in (("n_steps", n_steps), ("chunk_size", chunk_size), ("n_lanes", n_lanes)):
        validate.integer(value, name, 1)
    last: Any = np.minimum(chunk_size * np.arange(1, -(-n_steps // chunk_size) + 1), n_steps) - 1
    mask = np.arange(n_steps)[:, None] >= last
    return np.tile(mask, (n_lanes, 1, 1))
