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


def row(name: str, reference: str, example: Callable[[], tuple], outputs: tuple[int, ...], rtol: float = 0.0) -> KernelRow:
    """A row whose kernel and plain form have the same name."""
    return KernelRow(name, f"neuromem.retention.kernels:{name}", example, outputs, f"neuromem.retention.{reference}:{name}", rtol)


ROWS: list[KernelRow] = [
    row("random_bits", "reference_items", random_bits_example, (5,)),
    row("random_words", "reference_items", random_words_example, (3,)),
    row("normals", "reference_items", normals_example, (3,), 1e-6),  # one rounding to float32
    row("choose_some", "reference_items", choose_some_example, (4,)),
]
