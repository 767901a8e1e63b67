"""One row per kernel that writes: warm-up, mirror suite and compile check read it."""

import numpy as np

from neuromem.kernel_registry import KernelRow

LANES, SLOTS, CAPACITY, STEPS, WIDTH, NEW = 3, 4, 4, 5, 6, 13
HOST = "a memory is written to where it lives, on the CPU"


def state() -> dict[str, np.ndarray]:
    """A ring that is about to come round: a lane without, one with a summed and one with an unsummed open chunk."""
    rng = np.random.default_rng(5)
    contents = rng.standard_normal((LANES, SLOTS, STEPS, WIDTH)).astype(np.float32)
    opened, fill, summed = np.array([0, 3, 6], np.int64), np.array([0, 2, 4], np.int64), np.array([0, 2, 1], np.int64)
    sums = np.zeros((LANES, WIDTH))
    for lane in (1, 2):
        sums[lane] = contents[lane, (opened[lane] - 1) % CAPACITY, : summed[lane]].sum(axis=0, dtype=np.float64)
    lengths = np.zeros((LANES, SLOTS), np.int32)
    lengths[1, :3], lengths[2] = (5, 3, 2), (5, 4, 5, 5)
    first_step = np.where(lengths > 0, np.arange(SLOTS, dtype=np.int64) * 5, np.int64(-1))
    return {
        "contents": contents,
        "summaries": rng.standard_normal((LANES, SLOTS, WIDTH)).astype(np.float32),
        "lengths": lengths,
        "first_step": first_step,
        "episode": np.zeros((LANES, SLOTS), np.int64),
        "closed": lengths == STEPS,
        "opened": opened,
        "fill": fill,
        "sums": sums,
        "summed": summed,
    }


def magnitude_example() -> tuple:
    values = np.array([1.0, -3.0, 0.5, np.inf, -0.0], np.float32)
    return values.view(np.uint32), np.array([0x7FFFFFFF], np.uint32), np.zeros(1, np.uint32)


def append_example() -> tuple:
    x = np.random.default_rng(6).standard_normal((NEW, LANES, WIDTH)).astype(np.float32)
    return (x, 30, CAPACITY, np.array([0, 1, 2], np.int64), *state().values())


def summarise_example() -> tuple:
    s = state()
    outputs = (s[name] for name in ("summaries", "lengths", "closed", "fill", "sums", "summed"))
    return (s["contents"], s["opened"], s["fill"].copy(), CAPACITY, np.array([True, True, False]), *outputs)


def summarise_closed_example() -> tuple:
    s = state()
    start, stop = np.array([0, 0, 3], np.int64), np.array([0, 2, 5], np.int64)
    return s["contents"], s["lengths"], CAPACITY, start, stop, np.zeros(WIDTH), s["summaries"]


def seal_example() -> tuple:
    s = state()
    parts = (s["contents"].view(np.uint32), s["summaries"].view(np.uint32), s["lengths"], s["first_step"], s["episode"])
    weights = np.random.default_rng(7).integers(0, 2**32, WIDTH, dtype=np.uint32) | np.uint32(1)
    start, stop = np.array([0, 0, 3], np.int64), np.array([0, 2, 5], np.int64)
    return (*parts, CAPACITY, start, stop, weights, np.zeros((LANES, SLOTS, 4), np.int64))


def row(name: str, example: object, outputs: tuple[int, ...], reference: str | None = None) -> KernelRow:
    return KernelRow(
        name,
        f"neuromem.hcam.kernels.write:{name}",
        example,  # type: ignore[arg-type]
        outputs,
        f"neuromem.hcam.reference_write:{reference or name}",
        cpu_only=HOST,
    )


ROWS = [
    row("largest_magnitude", magnitude_example, (2,)),
    row("append_steps", append_example, tuple(range(4, 14))),
    row("append_steps_threaded", append_example, tuple(range(4, 14)), "append_steps"),
    row("summarise_open", summarise_example, tuple(range(5, 11))),
    row("summarise_closed", summarise_closed_example, (5, 6)),
    row("seal_chunks", seal_example, (9,)),
]
