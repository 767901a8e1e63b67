"""Reading from a chunk memory: the few chunks whose summaries fit best, then the steps inside them."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY, refuse_device
from neuromem.errors import InputError
from neuromem.hcam.attended import read_only
from neuromem.hcam.chunk_view import ChunkView
from neuromem.hcam.pruning import SummaryGroups
from neuromem.parallel import kernel_threads
from neuromem.protocols import Recall

if TYPE_CHECKING:
    from neuromem.hcam.attention import HCAMAttention

OWNER = "ChunkMemory"
N_CHUNKS = 8  # kept where nothing else is said
PRUNE_FROM = 512  # chunks: below, looking at all takes no longer than looking at the groups
MANY_CUES = 8  # from which one matrix product for all is faster than a pass for each
MOST_SCORES = 1 << 22  # numbers that a block of cues may need at a time
SCAN_NS, STEP_NS = 0.07, 0.1  # nanoseconds on one thread per number of a summary, of a step


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of a view as the kernels want it."""

    contents: np.ndarray  # (M, C, D)
    summaries: np.ndarray  # (M, D)
    lengths: np.ndarray  # int32 (M,)
    first_step: np.ndarray  # int64 (M,)
    visible: np.ndarray  # uint8 (M,)

    @classmethod
    def of(cls, view: ChunkView, lane: int) -> Self:
        """The lane's arrays, not copied, not to be written to."""
        visible = view.visible[lane]
        parts = view.contents[lane], view.summaries[lane], view.lengths[lane], view.first_step[lane], visible.view(np.uint8)
        return cls(*(read_only(part) for part in parts))

    @property
    def scale(self) -> float:
        """What products are multiplied by in weights, 1 / sqrt(D)."""
        return float(self.contents.shape[2] ** -0.5)


# ---------------------------------------------------------------- the three reads


def read_steps(
    view: ChunkView,
    cues: Any,
    *,
    k: int = 1,
    n_chunks: int | None = None,
    attention: "HCAMAttention | None" = None,
    lane: int = 0,
    groups: SummaryGroups | None = None,
) -> Recall:
    """The k best steps inside the n_chunks best chunks of one lane.

    Parameters
    ----------
    view : ChunkView
    cues : array (q, D), with attention (q, E)
        Finite.
    k : int >= 1, default 1
    n_chunks : int >= 1, optional
        Default: the attention's ``top_k``, else 8.  All where there are fewer.
    attention : HCAMAttention, optional
        Learned projections; the layer is left as it is.  Default: cues and steps are compared as they are.
    lane : int, default 0
    groups : SummaryGroups, optional
        What pruning needs of this memory; without it, and with attention, every visible summary is looked at.

    Returns
    -------
    Recall
        ``values`` (q, k, D) the steps, zeros where there are fewer than k; ``ids`` their numbers in the stream, -1 there;
        ``scores`` see below, -inf there.  ``info``, with n = min(n_chunks, M):

        - ``chunks`` int64 (q, n): slots of the chunks kept, best first, -1 where fewer are visible; ``chunk_weight`` (q, n);
        - ``chunk`` and ``step`` int64 (q, k): slot and position of every step in ``values``, -1 where there is none;
          ``step_weight`` (q, k): its weight among all steps of the chunks kept;
        - ``output`` (q, F), with attention only: its result.

    Raises
    ------
    InputError, InputTypeError
        For cues that are not finite or have another width, counts below 1, a lane that is not there.

    Notes
    -----
    Chunks are ranked by s_m = x . S_m / sqrt(D), their weights are a softmax of s over those kept; a step's weight is its
    chunk's times its own in a softmax of x . Z_j / sqrt(D) inside the chunk: HCAM with identities for projections.

    Steps are ranked by ``scores`` = -|x - Z_j|^2 / D, 0 at best, and not by their weights: a product favours long vectors, so
    that the step that the cue is a copy of would lose to a longer one beside it.  A stored step is always found by itself if
    its chunk is among those kept.  With attention ``scores`` are the weights of the steps, averaged over heads.

    Equal scores: the lower slot, or the older step, comes first.

    Examples
    --------
    >>> import numpy as np
    >>> contents = np.eye(6, dtype=np.float32).reshape(1, 3, 2, 6)
    >>> view = ChunkView.from_arrays(contents.mean(axis=2), contents)
    >>> recall = read_steps(view, contents[0, 1], n_chunks=1)
    >>> recall.ids.tolist(), recall.info["chunks"].tolist(), recall.info["step"].tolist()
    ([[2], [3]], [[1], [1]], [[0], [1]])
    """
    k = validate.integer(k, "k", 1)
    n_chunks = checked_chunks(n_chunks, N_CHUNKS if attention is None else attention.top_k)
    lane = validate.integer(lane, "lane", 0, view.n_lanes - 1)
    if attention is not None:
        return read_attended(view, cues, k, n_chunks, attention, lane)
    cues = checked_items(cues, view, "cues")
    seen = Lane.of(view, lane)
    chunks, score = kept_chunks(seen, cues, n_chunks, groups, lane)
    chunk_weight = softmax(score * seen.scale)
    ranked = RankedSteps.empty(len(cues), k)
    step_weight = np.zeros((len(cues), k))
    for block in blocks(len(cues), chunks.shape[1] * view.chunk_size):
        near, inner = scores_of(seen, cues[block], chunks[block])
        ranked.fill(block, near, chunks[block], seen)
        step_weight[block] = ranked.chosen(block, chunk_weight[block, :, None] * inner)
    return ranked.recall(seen, chunks, {"chunk_weight": chunk_weight, "step_weight": step_weight})


def complete_steps(
    view: ChunkView,
    cues: Any,
    known: Any,
    *,
    n_chunks: int | None = None,
    lane: int = 0,
    groups: SummaryGroups | None = None,
) -> np.ndarray:
    """Cues whose unknown features are those of the step that matches the known ones best.

    Parameters
    ----------
    view : ChunkView
    cues : array (q, D)
        Finite; what is not known is ignored.
    known : bool (q, D) or (D,)
    n_chunks : int >= 1, default 8
    lane : int, default 0
    groups : SummaryGroups, optional

    Returns
    -------
    ndarray (q, D)
        In the memory's dtype: known features as given, the others of the step, or 0 where nothing is stored.

    Raises
    ------
    InputError, InputTypeError
        As :func:`read_steps`, or for a mask that is not bool or does not fit.

    Notes
    -----
    Chunks are ranked by the product of the known features with the summary's, steps by the mean squared difference over the
    known features.  Where nothing is known all match alike, and the first step of the lowest visible slot is taken.

    Examples
    --------
    >>> import numpy as np
    >>> contents = np.array([[[[1, 2, 3], [4, 5, 6]]]], np.float32)
    >>> view = ChunkView.from_arrays(contents.mean(axis=2), contents)
    >>> complete_steps(view, [[4, 0, 0]], [True, False, False]).tolist()
    [[4.0, 5.0, 6.0]]
    """
    n_chunks = checked_chunks(n_chunks, N_CHUNKS)
    lane = validate.integer(lane, "lane", 0, view.n_lanes - 1)
    cues = checked_items(cues, view, "cues")
    refuse_device(known, "known", OWNER)
    known = validate.feature_mask(known, *cues.shape)
    seen = Lane.of(view, lane)
    given = np.where(known, cues, 0)
    mask = np.ascontiguousarray(known).view(np.uint8)
    chunks, _ = kept_chunks(seen, given, n_chunks, groups, lane)
    ranked = RankedSteps.empty(len(cues), 1)
    kernels = NUMPY.kernels("hcam")
    for block in blocks(len(cues), chunks.shape[1] * view.chunk_size):
        near = np.empty((*chunks[block].shape, view.chunk_size))
        with kernel_threads(STEP_NS * near.size * view.n_features):
            kernels.score_known(given[block], mask[block], chunks[block], seen.contents, seen.lengths, near)
        ranked.fill(block, near, chunks[block], seen)
    return np.where(known, given.astype(view.contents.dtype), ranked.values(seen, chunks)[:, 0])


def familiarity_of(
    view: ChunkView,
    items: Any,
    *,
    n_chunks: int | None = None,
    lane: int = 0,
    groups: SummaryGroups | None = None,
) -> np.ndarray:
    """The best cosine with a step of the chunks kept.

    Parameters
    ----------
    view : ChunkView
    items : array (n, D)
        Finite.
    n_chunks : int >= 1, default 8
    lane : int, default 0
    groups : SummaryGroups, optional

    Returns
    -------
    float32 (n,)
        From -1 to 1: 1 where the item is stored (and its chunk is kept), 0 where nothing is.  Zeros match zeros only.

    Raises
    ------
    InputError, InputTypeError
        As :func:`read_steps`.

    Examples
    --------
    >>> import numpy as np
    >>> contents = np.array([[[[3, 4], [0, 1]]]], np.float32)
    >>> view = ChunkView.from_arrays(contents.mean(axis=2), contents)
    >>> familiarity_of(view, [[3, 4], [1, 0]]).round(2).tolist()
    [1.0, 0.6000000238418579]
    """
    n_chunks = checked_chunks(n_chunks, N_CHUNKS)
    lane = validate.integer(lane, "lane", 0, view.n_lanes - 1)
    items = checked_items(items, view, "items")
    seen = Lane.of(view, lane)
    chunks, _ = kept_chunks(seen, items, n_chunks, groups, lane)
    cosines = np.empty(len(items))
    with kernel_threads(STEP_NS * chunks.size * view.chunk_size * view.n_features):
        NUMPY.kernels("hcam").best_cosines(items, chunks, seen.contents, seen.lengths, cosines)
    return cosines.astype(np.float32)


# ---------------------------------------------------------------- what they share


def checked_chunks(n_chunks: int | None, default: int) -> int:
    """How many chunks are kept."""
    return default if n_chunks is None else validate.integer(n_chunks, "n_chunks", 1)


def checked_items(items: Any, view: ChunkView, name: str) -> np.ndarray:
    """Items rounded to the memory's dtype, as what is written is, but held in float64, in which kernels add up."""
    refuse_device(items, name, OWNER)
    wide = validate.real_items(items, view.n_features, name=name, owner=OWNER)
    if view.contents.dtype == wide.dtype:
        return wide
    with np.errstate(over="ignore"):
        rounded = wide.astype(view.contents.dtype).astype(np.float64)
    if not np.isfinite(rounded).all():
        raise InputError(f"{name} has values beyond {view.contents.dtype}, which is what the memory keeps")
    return rounded


def blocks(n_items: int, numbers_per_item: int) -> list[slice]:
    """Slices of a batch that keep work space small."""
    size = max(1, MOST_SCORES // max(numbers_per_item, 1))
    return [slice(start, start + size) for start in range(0, n_items, size)]


def softmax(scores: np.ndarray) -> np.ndarray:
    """Over each row, which descends; -inf gets 0."""
    weights: np.ndarray = np.zeros_like(scores)
    top = np.broadcast_to(scores[:, :1], scores.shape)
    np.exp(np.subtract(scores, top, out=weights, where=scores < top), out=weights)  # exp(0) where it is the largest
    weights[scores == -np.inf] = 0
    total = weights.sum(axis=1, keepdims=True)
    np.divide(weights, total, out=weights, where=total > 0)
    return weights


def kept_chunks(
    seen: Lane, cues: np.ndarray, n_chunks: int, groups: SummaryGroups | None, lane: int
) -> tuple[np.ndarray, np.ndarray]:
    """Slots of the best visible chunks, int32 (q, n), and their products with the cues, float64; -1 and -inf beyond."""
    n_slots, width = seen.summaries.shape
    n_cues, n_kept = len(cues), min(n_chunks, n_slots)
    index, score = np.empty((n_cues, n_kept), np.int32), np.empty((n_cues, n_kept))
    if not index.size:
        return index, score
    kernels = NUMPY.kernels("hcam")
    if n_cues < MANY_CUES and groups is not None and n_slots >= PRUNE_FROM:
        grouped, loose = groups.members_of(lane, seen.visible)
        if grouped.any() and 4 * len(loose) < n_slots:
            scanned = np.empty(n_cues, np.int64)
            bounds = groups.group_size, read_only(groups.centres[lane]), read_only(groups.reach[lane])
            with kernel_threads(SCAN_NS * n_cues * n_slots * width / 4):
                kernels.best_chunks_pruned(cues, seen.summaries, grouped, loose, *bounds, scanned, index, score)
            return index, score
    if n_cues < MANY_CUES or 2 * np.count_nonzero(seen.visible) < n_slots:
        with kernel_threads(SCAN_NS * n_cues * n_slots * width):
            kernels.best_chunks(cues, seen.summaries, seen.visible, index, score)
        return index, score
    most = longest(seen)
    for block in blocks(n_cues, n_slots):
        with np.errstate(all="ignore"):  # summaries that are not visible may hold anything
            approximate = cues[block].astype(seen.summaries.dtype) @ seen.summaries.T
        error = product_error(cues[block], most, seen.summaries.dtype)
        with kernel_threads(approximate.size):
            kernels.best_chunks_refined(approximate, error, cues[block], seen.summaries, seen.visible, index[block], score[block])
    return index, score


def longest(seen: Lane) -> float:
    """Length of the longest visible summary; inf or NaN where its square is not to be told."""
    with np.errstate(all="ignore"):
        squares = np.einsum("md,md->m", seen.summaries, seen.summaries)
        return float(np.sqrt(squares[seen.visible != 0].max(initial=0), dtype=np.float64)) * 1.001


def product_error(cues: np.ndarray, most: float, dtype: np.dtype) -> np.ndarray:
    """How far a product in that dtype, summed in any order, may be from that of the kernels; inf where it may overflow."""
    limits, width = np.finfo(dtype), cues.shape[1]
    with np.errstate(all="ignore"):
        largest = np.sqrt((cues**2).sum(axis=1)) * most
        error = 2 * (width + 4) * float(limits.eps) * largest + 4 * width * float(limits.tiny)
        return np.where(largest < float(limits.max) / 4, error, np.inf)


def scores_of(seen: Lane, cues: np.ndarray, chunks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and weights inside the chunk of every step of the chunks kept, float64 (q, n, C)."""
    near = np.empty((*chunks.shape, seen.contents.shape[1]))
    inner = np.empty_like(near)
    with kernel_threads(STEP_NS * near.size * cues.shape[1]):
        NUMPY.kernels("hcam").score_steps(cues, chunks, seen.contents, seen.lengths, seen.scale, near, inner)
    return near, inner


@dataclass(frozen=True, slots=True)
class RankedSteps:
    """The k best steps of each cue."""

    ids: np.ndarray  # int64 (q, k)
    rank: np.ndarray  # int32 (q, k): which of the chunks kept
    step: np.ndarray  # int32 (q, k): position in it
    score: np.ndarray  # float64 (q, k)

    @classmethod
    def empty(cls, n_cues: int, k: int) -> Self:
        """Nothing found yet."""
        shape = n_cues, k
        return cls(np.full(shape, -1), np.full(shape, -1, np.int32), np.full(shape, -1, np.int32), np.full(shape, -np.inf))

    def fill(self, block: slice, scores: np.ndarray, chunks: np.ndarray, seen: Lane) -> None:
        """Rank the steps of some cues by their scores (q, n, C)."""
        mine = self.ids[block], self.rank[block], self.step[block], self.score[block]
        with kernel_threads(scores.size):
            NUMPY.kernels("hcam").best_steps(scores, chunks, seen.lengths, seen.first_step, *mine)

    def chosen(self, block: slice, numbers: np.ndarray) -> np.ndarray:
        """What numbers (q, n, C) say of the steps; 0 where there is none."""
        rank = self.rank[block]
        if not numbers.size:
            return np.zeros(rank.shape)
        picked = numbers[np.arange(len(rank))[:, None], rank, self.step[block]]
        return np.where(rank >= 0, picked, 0)

    def slots(self, chunks: np.ndarray) -> np.ndarray:
        """Slot of each step, int64 (q, k), -1 where there is none."""
        slots = np.full(self.ids.shape, -1)
        row, place = np.nonzero(self.rank >= 0)
        slots[row, place] = chunks[row, self.rank[row, place]]
        return slots

    def values(self, seen: Lane, chunks: np.ndarray) -> np.ndarray:
        """The steps themselves, (q, k, D); zeros where there is none."""
        slots = self.slots(chunks)
        values = np.zeros((*slots.shape, seen.contents.shape[2]), seen.contents.dtype)
        there = slots >= 0
        values[there] = seen.contents[slots[there], self.step[there]]
        return values

    def recall(self, seen: Lane, chunks: np.ndarray, info: dict[str, np.ndarray]) -> Recall:
        """The record of a read."""
        lowest = float(np.finfo(np.float32).min)
        scores = np.where(self.ids >= 0, np.maximum(self.score, lowest), -np.inf).astype(np.float32)
        weights = {name: array.astype(seen.contents.dtype, copy=False) for name, array in info.items()}
        steps = {"chunk": self.slots(chunks), "step": self.step.astype(np.int64)}
        return Recall(self.values(seen, chunks), self.ids, scores, {"chunks": chunks.astype(np.int64), **steps, **weights})


def read_attended(view: ChunkView, cues: Any, k: int, n_chunks: int, attention: "HCAMAttention", lane: int) -> Recall:
    """A read with learned projections: the steps with the largest weights, and the attention's own result."""
    refuse_device(cues, "cues", OWNER)
    width = attention.dim_query
    cues = validate.real_items(cues, width, name="cues", owner=type(attention).__name__, dtype=attention.dtype)
    one = slice(lane, lane + 1)
    alone = ChunkView(
        view.contents[one], view.summaries[one], view.lengths[one], view.first_step[one], view.visible[one], view.version
    )
    layer = copy.copy(attention)  # shares the weights
    layer.top_k = n_chunks
    seen = Lane.of(view, lane)
    n_kept = min(n_chunks, view.n_slots)
    output = np.zeros((len(cues), attention.features), cues.dtype)
    chunks, chunk_weight = np.full((len(cues), n_kept), -1, np.int32), np.zeros((len(cues), n_kept))
    step_weight, ranked = np.zeros((len(cues), k)), RankedSteps.empty(len(cues), k)
    for block in blocks(len(cues), view.n_slots + n_kept * view.chunk_size * attention.n_heads):
        y, info = layer.attend(cues[None, block], alone, return_info=True)
        output[block], chunk_weight[block], chunks[block] = y[0], info.topk_weight[0], info.topk_idx[0]
        weights = info.step_weight[0].mean(axis=2, dtype=np.float64)
        ranked.fill(block, weights, chunks[block], seen)
        step_weight[block] = ranked.chosen(block, weights)
    return ranked.recall(seen, chunks, {"chunk_weight": chunk_weight, "step_weight": step_weight, "output": output})
