"""Rows of the kernels of the classic associative memories."""

from collections.abc import Callable
from typing import Any

import numpy as np

from neuromem.kernel_registry import KernelRow

N_STATES, N_UNITS, N_ROWS, N_WORDS = 6, 21, 5, 3


def signs(seed: int, *shape: int) -> np.ndarray:
    """Spins at random."""
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), shape)


def starts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States with some blank units, units that are held, an order of the units."""
    states = signs(20, N_STATES, N_UNITS)
    known = (np.random.default_rng(21).random(states.shape) < 0.3).astype(np.uint8)
    states[2:4][known[2:4] == 0] = 0
    return states, known, np.random.default_rng(22).permutation(N_UNITS).astype(np.int32)


def relax_fields_example() -> tuple:
    states, known, order = starts()
    patterns = signs(23, N_ROWS, N_UNITS).astype(np.int32)
    couplings = patterns.T @ patterns - N_ROWS * np.eye(N_UNITS, dtype=np.int32)
    found = np.zeros(N_STATES, np.int64), np.zeros(N_STATES, bool)
    return couplings, known, order, 20, states, np.zeros(states.shape, np.int64), *found


def learn_storkey_example() -> tuple:
    return signs(24, N_ROWS, N_UNITS), np.zeros((N_UNITS, N_UNITS))


def relax_dense_example() -> tuple:
    """The cubic separation, whose tables are whole numbers, with blank entries in the rows."""
    states, known, order = starts()
    rows = signs(25, N_ROWS, N_UNITS) * (np.random.default_rng(26).random((N_ROWS, N_UNITS)) < 0.8).astype(np.int8)
    overlap = np.arange(-N_UNITS, N_UNITS + 1, dtype=np.float64)
    up, down = (overlap + 2) ** 3 - overlap**3, overlap**3 - (overlap - 2) ** 3
    tables = overlap**3, (down + up) / 2, (down - up) / 2
    work = np.zeros((N_STATES, N_ROWS), np.int32), np.zeros(states.shape), np.zeros_like(states)
    found = np.zeros(N_STATES, np.int64), np.zeros(N_STATES, bool), np.zeros((N_STATES, 2), np.int64), np.zeros(N_STATES)
    return rows, known, *tables, np.array([0, 1, 0, 30]), 0.0, order, states, *work, *found


def words(seed: int, *shape: int) -> np.ndarray:
    """Words of random bits."""
    return np.random.default_rng(seed).integers(0, 2**64, shape, np.uint64)


def shared_example() -> tuple:
    return words(27, N_UNITS, N_WORDS), words(28, N_STATES, N_WORDS), np.zeros((N_STATES, N_UNITS), np.int32)


def differing_example() -> tuple:
    rows, cues, counts = shared_example()
    return rows, cues, words(29, N_STATES, N_WORDS), counts


def link_example() -> tuple:
    targets = (signs(30, N_STATES, N_UNITS) > 0).astype(np.uint8)
    return words(31, N_STATES, N_WORDS), targets, np.zeros((N_UNITS, N_WORDS), np.uint64)


def distances() -> np.ndarray:
    return np.random.default_rng(32).integers(0, 20, (N_STATES, N_ROWS)).astype(np.int32)


def add_example() -> tuple:
    return distances(), 9, signs(33, N_STATES, N_UNITS), np.zeros((N_ROWS, N_UNITS), np.int32)


def sum_example() -> tuple:
    counters = np.random.default_rng(34).integers(-9, 10, (N_ROWS, N_UNITS)).astype(np.int32)
    radii = np.arange(6, 6 + N_STATES)
    return distances(), radii, counters, np.zeros((N_STATES, N_UNITS), np.int64), np.zeros(N_STATES, np.int64)


COMPARED = "a memory to compare with: small networks, which the CPU serves"


def row(name: str, example: Callable[[], tuple], outputs: tuple[int, ...], **limits: Any) -> KernelRow:
    """A row whose kernel and plain form have the same name."""
    reference = f"neuromem.hopfield.reference_baselines:{name}"
    return KernelRow(name, f"neuromem.hopfield.kernels:{name}", example, outputs, reference, cpu_only=COMPARED, **limits)


DENSE_OUTPUTS = tuple(range(8, 16))

ROWS: list[KernelRow] = [
    row("relax_fields", relax_fields_example, (4, 5, 6, 7)),
    row("relax_fields_serial", relax_fields_example, (4, 5, 6, 7)),
    row("learn_storkey", learn_storkey_example, (1,), rtol=1e-12, atol=1e-14),
    row("relax_dense", relax_dense_example, DENSE_OUTPUTS),
    row("relax_dense_serial", relax_dense_example, DENSE_OUTPUTS),
    row("count_shared_bits", shared_example, (2,)),
    row("count_differing_bits", differing_example, (3,)),
    row("link_bits", link_example, (2,)),
    row("add_to_counters", add_example, (3,)),
    row("sum_counters", sum_example, (3, 4)),
]
