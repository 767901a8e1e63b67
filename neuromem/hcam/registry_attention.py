"""One row per attention kernel: warm-up, mirror suite and compile check read it."""

from collections.abc import Callable

import numpy as np

from neuromem.kernel_registry import KernelRow

LANES, QUERIES, CHUNKS, STEPS, WIDTH, HEADS, KEPT = 2, 7, 6, 9, 20, 5, 4
MANY_CHUNKS = 300  # more than a GPU scores in one piece


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def stored(array: np.ndarray) -> np.ndarray:
    """What a memory holds is read-only to attention."""
    array.flags.writeable = False
    return array


def topk_example() -> tuple:
    """Equal scores, chunks that are hidden, a query that sees fewer chunks than are kept, and one that sees none."""
    rng = np.random.default_rng(1)
    q_hat, summaries = normal(rng, QUERIES, WIDTH), normal(rng, LANES, MANY_CHUNKS, WIDTH)
    summaries[:, 4::100] = q_hat[:LANES, None]  # the best of the first query of each lane
    lane = np.arange(QUERIES, dtype=np.int32) % LANES
    visible = np.ones((QUERIES, MANY_CHUNKS), np.uint8)
    visible[2, 1:290] = 0
    visible[3, 2:] = 0
    visible[5] = 0
    index, score = np.zeros((QUERIES, KEPT), np.int32), np.zeros((QUERIES, KEPT), np.float32)
    return q_hat, stored(summaries), lane, visible, float(-np.inf), index, score


def stretches_example() -> tuple:
    """The chunks of the example above, each with three summaries of which any may be the best."""
    q_hat, summaries, lane, visible, masked, index, score = topk_example()
    rng = np.random.default_rng(4)
    shares = rng.permuted(np.tile(np.array([1, 0.5, 0.1], np.float32), (LANES, MANY_CHUNKS, 1)), axis=2)
    several = summaries[:, :, None] * shares[..., None]
    return q_hat, stored(several), lane, visible, masked, index, np.zeros_like(index), score


def forward_example() -> tuple:
    """Lengths from 1 to C, an empty place, a chunk without weight and one that many queries keep."""
    rng = np.random.default_rng(2)
    q_tilde = normal(rng, QUERIES, HEADS, WIDTH)
    index = rng.permuted(np.tile(np.arange(CHUNKS, dtype=np.int32), (QUERIES, 1)), axis=1)[:, :KEPT].copy()
    weight = np.exp(normal(rng, QUERIES, KEPT))
    weight[1, 2] = 0
    weight[2, 3] = 0
    index[2, 3] = -1
    weight[5] = 0
    index[5] = -1
    weight /= np.maximum(weight.sum(1, keepdims=True), 1e-9)
    lane = np.arange(QUERIES, dtype=np.int32) % LANES
    lengths = rng.integers(1, STEPS + 1, (LANES, CHUNKS)).astype(np.int32)
    lengths[:, 0], lengths[:, 1] = 1, STEPS
    contents, position = stored(normal(rng, LANES, CHUNKS, STEPS, WIDTH)), stored(normal(rng, STEPS, WIDTH))
    p = np.ones((QUERIES, KEPT, HEADS, STEPS), np.float32)
    return q_tilde, weight, index, lane, stored(lengths), contents, position, p, np.ones_like(q_tilde)


def backward_example() -> tuple:
    from neuromem.hcam.reference_attention import gather_attend_fwd

    forward = forward_example()
    gather_attend_fwd(*forward)
    *inputs, p, y = forward
    d_y = normal(np.random.default_rng(3), *y.shape)
    return (*inputs, p, d_y, np.ones_like(y), np.ones((QUERIES, KEPT), np.float32), np.ones_like(p))


def scatter_example() -> tuple:
    from neuromem.hcam.attended import places_by_chunk
    from neuromem.hcam.reference_attention import gather_attend_bwd

    backward = backward_example()
    gather_attend_bwd(*backward)
    q_tilde, weight, index, lane, _, contents, _, p, d_y, _, _, d_score = backward
    order, starts = places_by_chunk(index, weight, lane, LANES, CHUNKS)
    return order, starts, q_tilde, weight, p, d_y, d_score, np.ones_like(contents)


def row(name: str, example: Callable[[], tuple], outputs: tuple[int, ...], cpu_only: str = "") -> KernelRow:
    """Sums of up to some hundred float32 terms of order one, in another order than the plain form's float64."""
    kernel, reference = f"neuromem.hcam.kernels:{name}", f"neuromem.hcam.reference_attention:{name}"
    return KernelRow(name, kernel, example, outputs, reference, rtol=1e-5, atol=2e-5, cpu_only=cpu_only)


ROWS: list[KernelRow] = [
    row("summary_topk", topk_example, (5, 6)),
    row("stretch_topk", stretches_example, (5, 6, 7), "the device path takes one summary per chunk"),
    row("gather_attend_fwd", forward_example, (7, 8)),
    row("gather_attend_bwd", backward_example, (9, 10, 11)),
    row("scatter_contents", scatter_example, (7,)),
]
