"""What a pass of attention over a memory leaves: for its gradients, and for those who ask where attention went."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neuromem.backend import array_module, is_device_array
from neuromem.errors import CallOrderError
from neuromem.hcam.chunk_view import ChunkView

INNER = "within_mem_attn."  # in front of the names of weights of the attention inside a chunk
SCORE_NS = 0.08  # nanoseconds on one thread: per number of a summary and query,
ATTEND_NS = 0.1  # and per number of a step that is attended to, query and head


class AttentionInfo(NamedTuple):
    """Where attention went.

    Parameters
    ----------
    topk_idx : int64 (B, Q, k)
        Chunks kept, best first; -1 where fewer were to be seen.
    topk_weight : float (B, Q, k)
        Their weights; 0 there.
    step_weight : float (B, Q, k, H, C)
        Weight of every step in each head.  Over chunks and steps they sum to what ``topk_weight`` sums to.
    first_step : int64 (B, Q, k)
        Id of each chunk's first step, -1 where there is none.
    """

    topk_idx: np.ndarray
    topk_weight: np.ndarray
    step_weight: np.ndarray
    first_step: np.ndarray


@dataclass(frozen=True, slots=True)
class Attended:
    """What a pass over a memory leaves for its gradients and for :class:`AttentionInfo`; N = B * Q queries."""

    memory: Any
    view: ChunkView
    shape: tuple[int, ...]  # of the result
    x: np.ndarray  # (N, E)
    summary_query: np.ndarray  # (N, F)
    q_hat: np.ndarray  # (N, D)
    lane: np.ndarray  # (N,)
    visible: np.ndarray  # (N, M)
    index: np.ndarray  # (N, k)
    weight: np.ndarray  # (N, k)
    total: np.ndarray  # (N, 1), sum of the weights
    query: np.ndarray  # (N, H, d), inside chunks
    q_tilde: np.ndarray  # (N, H, D)
    position: np.ndarray  # (C, D)
    p: np.ndarray  # (N, k, H, C)
    y: np.ndarray  # (N, H, D)
    o: np.ndarray  # (N, F)
    all_weights: np.ndarray | None  # (N, M) with weight_norm="all"
    place: np.ndarray  # (N, k) of the summaries that kept chunks were chosen by, among all of a lane; -1 without a chunk
    stamp: np.ndarray  # what the kept chunks held, see stamp_of


def by_head(rows: np.ndarray) -> np.ndarray:
    """(N, H, d) seen as (H, N, d)."""
    return rows.transpose(1, 0, 2)


def heads_of(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """A projection (D, F) seen as (H, D, d)."""
    return by_head(weight.reshape(len(weight), n_heads, weight.shape[1] // n_heads))


def from_heads(per_head: np.ndarray) -> np.ndarray:
    """(H, D, d) as (D, F)."""
    joined: np.ndarray = array_module(per_head).ascontiguousarray(by_head(per_head)).reshape(per_head.shape[1], -1)
    return joined


def times_heads(rows: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """Rows (N, H, a) times projections (H, a, b), each head by its own: (N, H, b), C-contiguous."""
    out: np.ndarray = array_module(rows).empty((len(rows), len(projections), projections.shape[2]), rows.dtype)
    if is_device_array(rows):  # CuPy multiplies into contiguous arrays only
        out[...] = by_head(by_head(rows) @ projections)
    else:
        np.matmul(by_head(rows), projections, out=by_head(out))
    return out


def outer_sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over items of outer products, (..., n, p) and (..., n, q) to (..., p, q).

    For a single item NumPy's product of matrices leaves BLAS, and takes ten times as long as the plain outer product.
    """
    turned = a.swapaxes(-1, -2)
    found: np.ndarray = turned * b if a.shape[-2] == 1 else turned @ b
    return found


def read_only(array: np.ndarray) -> np.ndarray:
    """A C-contiguous array that cannot be written to: one kind of argument for memory and for files on disk."""
    seen: np.ndarray = array_module(array).ascontiguousarray(array)
    if not is_device_array(seen):
        seen = seen.view()
        seen.flags.writeable = False
    return seen


def places_by_chunk(
    index: np.ndarray, weight: np.ndarray, lane: np.ndarray, n_lanes: int, n_chunks: int
) -> tuple[np.ndarray, np.ndarray]:
    """The places n * k + i that read each chunk of each lane, and where each chunk's begin; int32."""
    xp, n_all = array_module(index), n_lanes * n_chunks
    chunk = xp.where((index >= 0) & (weight != 0), lane[:, None] * n_chunks + index, n_all).ravel()
    order = xp.argsort(chunk, kind="stable").astype(np.int32)  # places that read none come last, beyond the last start
    return order, xp.searchsorted(chunk[order], xp.arange(n_all + 1)).astype(np.int32)


def stamp_of(view: ChunkView, lane: np.ndarray, index: np.ndarray) -> np.ndarray:
    """First step and length of each kept chunk: they change when it is written to."""
    xp = array_module(index)
    stamp: np.ndarray = xp.zeros((2, *index.shape), np.int64)
    if index.size:
        place = lane[:, None], xp.maximum(index, 0)
        stamp[0], stamp[1] = xp.where(index >= 0, view.first_step[place], -1), xp.where(index >= 0, view.lengths[place], -1)
    return stamp


def refuse_changed(s: Attended, detached: bool) -> None:
    """Raise CallOrderError where gradients would be those of other contents than ``forward`` saw."""
    if is_device_array(s.x):  # no memory writes to arrays there
        return
    now = s.memory.view() if not isinstance(s.memory, (tuple, list, ChunkView)) else s.view
    if now.version != s.view.version and not detached:
        raise CallOrderError(
            f"the memory was written to between forward and backward (version {s.view.version}, now {now.version}): with "
            "detach_memory=False its gradients would be those of other contents"
        )
    if not np.array_equal(stamp_of(now, s.lane, s.index), s.stamp):
        raise CallOrderError("chunks that forward attended to were written to before backward; call backward first")


def info_of(s: Attended) -> AttentionInfo:
    """Where attention went, by lane and query."""
    lanes, queries = s.shape[:2]
    kept = (lanes, queries, s.index.shape[1])
    step_weight = s.weight[:, :, None, None] * s.p
    return AttentionInfo(
        s.index.astype(np.int64).reshape(kept),
        s.weight.reshape(kept),
        step_weight.reshape(lanes, queries, *s.p.shape[1:]),
        s.stamp[0].reshape(kept),
    )
