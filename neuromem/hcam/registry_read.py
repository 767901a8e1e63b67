"""One row per reading kernel: warm-up, mirror suite and compile check read it."""

from collections.abc import Callable

import numpy as np

from neuromem.kernel_registry import KernelRow

CUES, CHUNKS, STEPS, WIDTH, KEPT, GROUP = 5, 21, 6, 19, 4, 4
N_GROUPS = -(-CHUNKS // GROUP)
ON_HOST = "what it reads is kept on the host, or in a file"


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def stored(array: np.ndarray) -> np.ndarray:
    """As a memory shows its arrays: not to be written to."""
    array.flags.writeable = False
    return array


def wide(array: np.ndarray) -> np.ndarray:
    """Cues come in the memory's precision, held in float64."""
    return array.astype(np.float64)


def summaries() -> np.ndarray:
    """A walk, so that neighbours lie together; two are the same."""
    walk = np.cumsum(normal(40, CHUNKS, WIDTH), axis=0)
    walk[7] = walk[3]
    return stored(walk)


def kept() -> tuple[np.ndarray, np.ndarray]:
    """Indices and scores to be written, one row for each cue."""
    return np.zeros((CUES, KEPT), np.int32), np.zeros((CUES, KEPT))


def visible() -> np.ndarray:
    seen = np.ones(CHUNKS, np.uint8)
    seen[[0, 5, 20]] = 0
    return seen


def scan_example() -> tuple:
    return wide(normal(41, CUES, WIDTH)), summaries(), visible(), *kept()


def refined_example() -> tuple:
    """An approximation that is off by a few percent, and one cue of which nothing is known."""
    cues, kept_summaries, seen, *found = scan_example()
    exact = cues @ kept_summaries.T
    error = np.full(CUES, 0.3)
    error[2] = np.inf
    return (exact + 0.3 * np.sin(exact)).astype(np.float32), error, cues, kept_summaries, seen, *found


def groups() -> tuple[np.ndarray, ...]:
    """Members, centres, reach, changes and members when the centre moved, of no group yet."""
    counted, centres = np.zeros(CHUNKS, np.uint8), np.zeros((N_GROUPS, WIDTH), np.float32)
    return counted, centres, np.full(N_GROUPS, -1.0), np.zeros(N_GROUPS, np.int32), np.zeros(N_GROUPS, np.int32)


def extend_example() -> tuple:
    """All chunks but the last, one of them twice, as when a ring came round."""
    chunks = np.array([*range(CHUNKS - 1), 2, 3, 2], np.int32)
    return chunks, summaries(), GROUP, *groups()


def pruned_example() -> tuple:
    from neuromem.hcam.reference_reading import extend_groups

    chunks, kept_summaries, _, counted, centres, reach, *changes = extend_example()
    extend_groups(chunks, kept_summaries, GROUP, counted, centres, reach, *changes)
    grouped = counted * visible()
    grouped[9] = 0
    loose = np.array([9, 20], np.int32)
    groups_scanned = np.zeros(CUES, np.int64)
    return wide(normal(42, CUES, WIDTH)), kept_summaries, grouped, loose, GROUP, centres, reach, groups_scanned, *kept()


def steps() -> tuple[np.ndarray, ...]:
    """Cues, chunks kept with an empty place, contents and lengths; a step is stored twice, one is zero, one cue is a step."""
    contents = normal(43, CHUNKS, STEPS, WIDTH)
    contents[4, 2] = contents[1, 3]
    contents[6, 1] = 0
    lengths = np.random.default_rng(44).integers(1, STEPS + 1, CHUNKS).astype(np.int32)
    lengths[[1, 4, 6]] = STEPS
    chunks = np.random.default_rng(45).permuted(np.tile(np.arange(CHUNKS, dtype=np.int32), (CUES, 1)), axis=1)[:, :KEPT].copy()
    chunks[0], chunks[1, 2:], chunks[2, 0] = (4, 1, 0, 6), -1, 6
    cues = normal(46, CUES, WIDTH)
    cues[0], cues[2] = contents[1, 3], 0
    return wide(cues), chunks, stored(contents), stored(lengths)


def scores() -> np.ndarray:
    return np.zeros((CUES, KEPT, STEPS))


def known_example() -> tuple:
    cues, *rest = steps()
    known = (np.random.default_rng(47).random(cues.shape) < 0.5).astype(np.uint8)
    known[3] = 0
    return cues, known, *rest, scores()


def steps_example() -> tuple:
    cues, chunks, contents, lengths = steps()
    return cues, chunks, contents, lengths, WIDTH**-0.5, scores(), scores()


def best_example() -> tuple:
    """Rounded scores, so that many are equal."""
    _, chunks, _, lengths = steps()
    chunks[2] = 3, -1, 2, 8
    first = stored(np.random.default_rng(48).permutation(CHUNKS) * STEPS)
    found = np.zeros((CUES, 3), np.int64), np.zeros((CUES, 3), np.int32), np.zeros((CUES, 3), np.int32), np.zeros((CUES, 3))
    return np.round(wide(normal(49, CUES, KEPT, STEPS))), chunks, lengths, first, *found


def cosine_example() -> tuple:
    return *steps(), np.ones(CUES)


def row(name: str, example: Callable[[], tuple], outputs: tuple[int, ...], rtol: float = 1e-12) -> KernelRow:
    """Sums in another order than the plain form's; float64 unless said otherwise."""
    kernel, reference = f"neuromem.hcam.kernels:{name}", f"neuromem.hcam.reference_reading:{name}"
    return KernelRow(name, kernel, example, outputs, reference, rtol=rtol, atol=rtol, cpu_only=ON_HOST)


ROWS: list[KernelRow] = [
    row("best_chunks", scan_example, (3, 4)),
    row("best_chunks_refined", refined_example, (5, 6)),
    row("best_chunks_pruned", pruned_example, (7, 8, 9)),
    row("extend_groups", extend_example, (3, 4, 5, 6, 7), rtol=2e-6),  # centres are float32
    row("score_steps", steps_example, (5, 6)),
    row("score_known", known_example, (5,)),
    row("best_steps", best_example, (4, 5, 6, 7), rtol=0.0),
    row("best_cosines", cosine_example, (4,)),
]
