"""GPU twins of ``neuromem.hcam.kernels``: the same names and arguments; see there for what each argument is.

Arrays are those of the current launcher's family.  Sums are taken in another order than on the CPU, so results agree to
rounding; on one device they depend neither on the batch that a query stands in nor on chance.
"""

from typing import Any

import numpy as np

from neuromem.gpu import launch

__all__ = ["gather_attend_bwd", "gather_attend_fwd", "scatter_contents", "summary_topk"]

ON_HOST = "a memory keeps its chunks on the host, or in a file"

CPU_ONLY: dict[str, str] = dict.fromkeys(
    [
        *("append_steps", "append_steps_threaded", "largest_magnitude", "seal_chunks", "summarise_closed", "summarise_open"),
        *("best_chunks", "best_chunks_pruned", "best_chunks_refined", "best_cosines", "best_steps", "extend_groups"),
        *("score_known", "score_steps"),
    ],
    ON_HOST,
) | {"stretch_topk": "the device path takes one summary per chunk"}

THREADS = 128  # NM_THREADS of kernels/hcam.cuh, whose blocks have four warps
WARPS = THREADS // 32
QUERIES = 4  # queries that a block scores together, NM_HEADS there
LEAST_TILE, MOST_TILE = 128, 1024  # summaries of a block; the kernel keeps a bit for each, 32 to a lane
SCARCE_TILE = 32  # where shared memory has no room for more
WANTED_BLOCKS = 660  # that fill a large card: five on each of 132 multiprocessors
SHARED_BYTES = 48 * 1024  # what every card gives without being asked; more goes through global memory
SCRATCH_BYTES = 64 << 20  # most of it that parts of results take before they are put together
FREE_BLOCKS = 1 << 20  # blocks of a launch that goes through its work in strides
SCATTER_STEPS = 32  # bytes: a thread's steps of one column in nm_scatter

I32, I64, F64 = np.int32, np.int64, np.float64


def scratch(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """Work space in global memory."""
    return launch.current().xp.empty(shape, dtype)


def blocks_for(n_items: int) -> tuple[int]:
    """A block for each item, up to the number that a launch may have."""
    return (max(1, min(n_items, FREE_BLOCKS)),)


def tile_for(n_queries: int, n_chunks: int, item_bytes: int) -> int:
    """Summaries that a block scores: large where many queries fill the card, small where they are few."""
    fits = min(MOST_TILE, SHARED_BYTES // (QUERIES * item_bytes) // 32 * 32)
    if fits < LEAST_TILE:
        return SCARCE_TILE
    tiles_wanted = -(-WANTED_BLOCKS // -(-n_queries // QUERIES))
    return min(fits, max(LEAST_TILE, -(-n_chunks // tiles_wanted // 32) * 32))


def summary_topk(
    q_hat: Any, summaries: Any, lane: Any, visible: Any, masked_score: float, out_index: Any, out_score: Any
) -> None:
    """The k chunks of a query's lane with the best summaries: a block four queries and a tile, then a warp a query."""
    (n_queries, width), n_chunks, k = q_hat.shape, summaries.shape[1], out_index.shape[1]
    if not (n_queries and k):
        return
    item_bytes = q_hat.dtype.itemsize
    tile = tile_for(n_queries, n_chunks, item_bytes)
    n_tiles = max(1, -(-n_chunks // tile))
    n_kept = k if n_tiles == 1 else min(k, tile)
    shared = QUERIES * (tile + width) * item_bytes
    in_shared = shared <= SHARED_BYTES
    if not in_shared:
        shared = QUERIES * tile * item_bytes
    list_bytes = n_tiles * (n_kept * (4 + item_bytes) + 4)
    together = n_queries if n_tiles == 1 else max(QUERIES, SCRATCH_BYTES // list_bytes // QUERIES * QUERIES)
    for first in range(0, n_queries, together):
        some = slice(first, first + together)
        n = min(together, n_queries - first)
        index, score = out_index[some], out_score[some]
        if n_tiles > 1:
            index, score = scratch((n, n_tiles, n_kept), I32), scratch((n, n_tiles, n_kept), q_hat.dtype)
        sizes = (I64(n), *(I32(size) for size in (n_chunks, width, tile, n_tiles, n_kept, item_bytes, in_shared)))
        arguments = (q_hat[some], summaries, lane[some], visible[some], F64(masked_score), *sizes, index, score)
        launch.run("hcam_summaries", "nm_hcam_score_tiles", (-(-n // QUERIES) * n_tiles,), (THREADS,), arguments, shared)
        if n_tiles > 1:
            numbers = (I64(n), *(I32(size) for size in (n_tiles, n_kept, k, item_bytes)))
            lists = (index, score, *numbers, scratch((n, n_tiles), I32), out_index[some], out_score[some])
            launch.run("hcam_summaries", "nm_hcam_merge_tiles", (-(-n // WARPS),), (THREADS,), lists)


def attend(kernel: str, inputs: tuple, n_heads: int, outputs: tuple, out_sums: Any) -> None:
    """Run one of the two attention kernels: a block a query, or a block a chunk of a query and then a sum over chunks.

    Both give the same bits.  ``inputs``: vectors (N, H, D), weights, index, lane, lengths, contents, position; backward also p.
    """
    vectors, index, contents = inputs[0], inputs[2], inputs[5]
    (n_queries, n_kept), (_, n_chunks, chunk_size, width) = index.shape, contents.shape
    if not (n_queries and n_heads and width):
        return
    item_bytes, n_vectors = vectors.dtype.itemsize, n_heads * width
    numbers = n_vectors + n_heads * chunk_size
    small = numbers * item_bytes <= SHARED_BYTES
    staged = small and (numbers + chunk_size * width) * item_bytes <= SHARED_BYTES
    shared = (numbers * small + chunk_size * width * staged) * item_bytes
    n_parts = n_queries * n_kept
    split = n_kept > 1 and n_queries < WANTED_BLOCKS and n_parts * n_vectors * item_bytes <= SCRATCH_BYTES
    sums = scratch((n_parts, n_heads, width), vectors.dtype) if split else out_sums
    sizes = (n_kept, n_heads, width, chunk_size, n_chunks, item_bytes, split, small, staged)
    arguments = (*inputs, I64(n_queries), *(I32(size) for size in sizes), *outputs, sums)
    launch.run("hcam", kernel, blocks_for(n_parts if split else n_queries), (THREADS,), arguments, shared)
    if split:
        n = n_queries * n_vectors
        added = (sums, I64(n), I32(n_kept), I64(n_vectors), I32(item_bytes), out_sums)
        launch.run("hcam", "nm_hcam_sum_chunks", blocks_for(-(-n // THREADS)), (THREADS,), added)


def gather_attend_fwd(
    q_tilde: Any,
    chunk_weight: Any,
    index: Any,
    lane: Any,
    lengths: Any,
    contents: Any,
    position: Any,
    out_p: Any,
    out_y: Any,
) -> None:
    """Attention of every head inside each kept chunk, and its sum over chunks by their weights."""
    inputs = (q_tilde, chunk_weight, index, lane, lengths, contents, position)
    attend("nm_hcam_attend", inputs, q_tilde.shape[1], (out_p,), out_y)


def gather_attend_bwd(
    q_tilde: Any,
    chunk_weight: Any,
    index: Any,
    lane: Any,
    lengths: Any,
    contents: Any,
    position: Any,
    p: Any,
    d_y: Any,
    out_d_q_tilde: Any,
    out_d_weight: Any,
    out_d_score: Any,
) -> None:
    """Gradients of :func:`gather_attend_fwd` for its queries, its chunks' weights and the scores before the softmax."""
    inputs = (d_y, chunk_weight, index, lane, lengths, contents, position, p)
    attend("nm_hcam_attend_back", inputs, q_tilde.shape[1], (out_d_weight, out_d_score), out_d_q_tilde)


def scatter_contents(
    order: Any,
    starts: Any,
    q_tilde: Any,
    chunk_weight: Any,
    p: Any,
    d_y: Any,
    d_score: Any,
    out_d_contents: Any,
) -> None:
    """Gradient of the contents: some steps of a chunk a block, from the places that kept it, in their order."""
    n_lanes, chunks_per_lane, chunk_size, width = out_d_contents.shape
    n_chunks = n_lanes * chunks_per_lane
    if not (n_chunks and chunk_size and width):
        return
    item_bytes = q_tilde.dtype.itemsize
    sizes = (chunk_weight.shape[1], q_tilde.shape[1], width, chunk_size, n_chunks, item_bytes)
    arguments = (order, starts, q_tilde, chunk_weight, p, d_y, d_score, *(I32(size) for size in sizes), out_d_contents)
    n_parts = -(-chunk_size // (SCATTER_STEPS // item_bytes))
    launch.run("hcam", "nm_hcam_scatter", blocks_for(n_chunks * n_parts), (THREADS,), arguments)
