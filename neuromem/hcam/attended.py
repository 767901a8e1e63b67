"""What a pass of attention over a memory leaves: for its gradients, and for those who ask where attention went."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

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
    stamp: np.ndarray  # what the kept chunks held, see stamp_of


def by_head(rows: np.ndarray) -> np.ndarray:
    """(N, H, d) seen as (H, N, d)."""
    return rows.transpose(1, 0, 2)


def heads_of(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """A projection (D, F) seen as (H, D, d)."""
    return by_head(weight.reshape(len(weight), n_heads, -1))


def from_heads(per_head: np.ndarray) -> np.ndarray:
    """(H, D, d) as (D, F)."""
    return np.ascontiguousarray(by_head(per_head)).reshape(per_head.shape[1], -1)


def read_only(array: np.ndarray) -> np.ndarray:
    """A C-contiguous array that cannot be written to: one kind of argument for memory and for files on disk."""
    seen = np.ascontiguousarray(array).view()
    seen.flags.writeable = False
    return seen


def places_by_chunk(
    index: np.ndarray, weight: np.ndarray, lane: np.ndarray, n_lanes: int, n_chunks: int
) -> tuple[np.ndarray, np.ndarray]:
    """The places n * k + i that read each chunk of each lane, and where each chunk's begin; int32."""
    n_all = n_lanes * n_chunks
    chunk = np.where((index >= 0) & (weight != 0), lane[:, None] * n_chunks + index, n_all).ravel()
    order = np.argsort(chunk, kind="stable").astype(np.int32)
    starts = np.searchsorted(chunk[order], np.arange(n_all + 1)).astype(np.int32)
    return order[: starts[-1]], starts


def stamp_of(view: ChunkView, lane: np.ndarray, index: np.ndarray) -> np.ndarray:
    """First step and length of each kept chunk: they change when it is written to."""
    if not index.size:
        return np.zeros((2, *index.shape), np.int64)
    place = lane[:, None], np.maximum(index, 0)
    return np.where(index >= 0, np.stack([view.first_step[place], view.lengths[place]]), -1)


def refuse_changed(s: Attended, detached: bool) -> None:
    """Raise CallOrderError where gradients would be those of other contents than ``forward`` saw."""
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
    step_weight = s.weight[:, :, None, None] * s.p
    return AttentionInfo(
        s.index.astype(np.int64).reshape(lanes, queries, -1),
        s.weight.reshape(lanes, queries, -1),
        step_weight.reshape(lanes, queries, *s.p.shape[1:]),
        s.stamp[0].reshape(lanes, queries, -1),
    )
