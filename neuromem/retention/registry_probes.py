"""Rows of the kernels that draw items and compare what was recalled."""

from collections.abc import Callable

import numpy as np

from neuromem.kernel_registry import KernelRow

N_ITEMS, N_FEATURES = 9, 150
KEY = np.array([0x12345678, 0x9ABCDEF0], np.uint32)


def ids() -> np.ndarray:
    """Small, large and repeated ids."""
    return np.array([0, 1, 7, 1 << 32, (1 << 42) + 5, 7, 1023, 1024, 2**62], np.int64)


def random_bits_example() -> tuple:
    return ids(), KEY.copy(), 3, -1, 1, np.zeros((N_ITEMS, N_FEATURES), np.int8)


def random_words_example() -> tuple:
    return ids(), KEY.copy(), 4, np.zeros((N_ITEMS, N_FEATURES), np.uint32)


def normals_example() -> tuple:
    return ids(), KEY.copy(), 5, np.zeros((N_ITEMS, N_FEATURES), np.float32)


def choose_some_example() -> tuple:
    return ids(), KEY.copy(), 6, 30, np.ones((N_ITEMS, N_FEATURES), np.uint8)


def sequences_example() -> tuple:
    """Pairs of few symbols, an empty sequence among them."""
    rng = np.random.default_rng(7)
    first, second = rng.integers(0, 4, (6, 13)).astype(np.int32), rng.integers(0, 4, (6, 9)).astype(np.int32)
    lengths = np.array([13, 0, 5, 13, 1, 9], np.int32), np.array([9, 4, 0, 3, 9, 1], np.int32)
    return first, lengths[0], second, lengths[1], np.zeros((6, 10), np.int32), np.zeros(6, np.int32)


def nearest_hamming_example() -> tuple:
    rng = np.random.default_rng(8)
    recalled, masks = rng.integers(0, 2**64, (2, 7, 3), np.uint64)
    items = np.concatenate([recalled[:4], recalled[:2], rng.integers(0, 2**64, (5, 3), np.uint64)])
    return recalled, masks, items, np.array([0, 5, 2, 3, 9, 10, 0]), *np.zeros((3, 7), np.int32)


def row(name: str, reference: str, example: Callable[[], tuple], outputs: tuple[int, ...], rtol: float = 0.0) -> KernelRow:
    """A row whose kernel and plain form have the same name."""
    return KernelRow(name, f"neuromem.retention.kernels:{name}", example, outputs, f"neuromem.retention.{reference}:{name}", rtol)


ROWS: list[KernelRow] = [
    row("random_bits", "reference_items", random_bits_example, (5,)),
    row("random_words", "reference_items", random_words_example, (3,)),
    row("normals", "reference_items", normals_example, (3,), 1e-6),  # one rounding to float32
    row("choose_some", "reference_items", choose_some_example, (4,)),
    row("nearest_hamming", "reference_hamming", nearest_hamming_example, (4, 5, 6)),
    row("common_lengths", "reference_sequences", sequences_example, (4, 5)),
    row("edit_distances", "reference_sequences", sequences_example, (4, 5)),
]
