"""One row per Sparsey kernel: warm-up, mirror suite and compile check read it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from neuromem.kernel_registry import KernelRow
from neuromem.sparsey import registry_given, registry_network

N_ITEMS, N_FEATURES, N_MACS, N_AFFERENTS, N_MODULES, UNITS, PADDED = 9, 24, 3, 16, 3, 5, 8
SILENT = 255


def example_stream() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Active indices, their bounds, feature-to-row tables and cell orders of a small grid."""
    rng = np.random.default_rng(1)
    items = rng.random((N_ITEMS, N_FEATURES)) < 0.4
    indices = np.nonzero(items)[1].astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(items.sum(axis=1))]).astype(np.int64)
    row_of_feature = np.full((N_MACS, N_FEATURES), -1, np.int32)
    for m in range(N_MACS):
        row_of_feature[m, 4 * m : 4 * m + N_AFFERENTS] = np.arange(N_AFFERENTS)
    order = rng.permuted(np.tile(np.arange(UNITS, dtype=np.uint16), (N_MACS * N_MODULES, 1)), axis=1)
    return indices, indptr, row_of_feature, order.reshape(N_MACS, N_MODULES, UNITS)


def example_settings() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = np.array([N_MODULES, UNITS, PADDED], np.int64)
    # some items are too thin and some too full for some macs
    return shape, np.array([5, 8, 0], np.int64), np.array([2.0, 0.1, 2.0, 100.0])


def empty_weights() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_cells = N_MODULES * UNITS
    weights = np.zeros((N_MACS, N_AFFERENTS + 1, 1), np.uint64)
    return weights, np.zeros((N_MACS, n_cells), np.int32), np.zeros((N_MACS, n_cells), bool)


def learned_weights(units: int = UNITS) -> np.ndarray:
    """Binary weights at random, none outside the cells, none in the zero row."""
    from neuromem.sparsey.packing import pack_cells

    cells = np.random.default_rng(2).random((N_MACS, N_AFFERENTS + 1, N_MODULES, units)) < 0.4
    cells[:, -1] = False
    return pack_cells(cells)


def outputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = (N_ITEMS, N_MACS, N_MODULES)
    return np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape[:2], np.float64)


MODES = (np.array([0.1, 4.0, 1.0, 8.0]), np.array([0, 0, 1], np.int64))
KEY = np.array([11, 12], np.uint32)
VALUE_AT = np.tile(np.array([127, 127, 120, 50, 0], np.uint8), (2, 1))
RAISE_BEFORE = np.array([2, 0], np.int32)


def learn_example() -> tuple:
    limits = np.array([6, 10_000], np.int64)
    head = (*example_stream(), *example_settings(), *MODES, limits, KEY, 5, N_ITEMS - 2, SILENT)
    weights, n_weights, frozen = empty_weights()
    frozen[:, ::4] = True
    return (*head, weights, n_weights, frozen, *outputs())


def recall_example() -> tuple:
    codes, _, familiarity = outputs()
    return (*example_stream(), *example_settings(), True, SILENT, learned_weights(), codes, familiarity)


def aging_state() -> tuple[np.ndarray, np.ndarray]:
    shape = (N_MACS, N_AFFERENTS, N_MODULES * UNITS)
    return np.zeros(shape, np.uint8), np.random.default_rng(3).integers(-1, 5, shape).astype(np.int32)


def learn_aging_example() -> tuple:
    head = (*example_stream(), *example_settings(), *MODES, VALUE_AT, RAISE_BEFORE, KEY, 5, N_ITEMS - 2, SILENT)
    return (*head, *aging_state(), *outputs())


def recall_aging_example() -> tuple:
    codes, _, familiarity = outputs()
    return (*example_stream(), *example_settings(), VALUE_AT, 6, SILENT, *aging_state(), codes, familiarity)


def accumulate_example() -> tuple:
    indices, indptr, row_of_feature, _ = example_stream()
    found = np.zeros((N_ITEMS, N_MODULES), np.int32)
    # modules of two words, unlike the other examples'
    return indices, indptr, row_of_feature[0], learned_weights(70)[0], N_MODULES, 70, 128, found, found.copy()


def reconstruct_example() -> tuple:
    _, _, row_of_feature, order = example_stream()
    codes = np.random.default_rng(4).integers(0, UNITS, (N_ITEMS, N_MACS, N_MODULES)).astype(np.uint8)
    codes[2, 1] = SILENT
    fields = np.stack([np.arange(4 * m, 4 * m + N_AFFERENTS, dtype=np.int32) for m in range(N_MACS)])
    seen = np.bincount(fields.ravel(), minlength=N_FEATURES)
    coverage = (1 / np.maximum(seen, 1)).astype(np.float32)
    positions = np.argsort(order, axis=2).astype(np.uint16)
    scores = np.zeros((N_ITEMS, N_FEATURES), np.float32)
    return codes, SILENT, positions, PADDED, learned_weights(), fields, coverage, scores


def shared_example() -> tuple:
    rng = np.random.default_rng(5)
    a, b = (rng.integers(0, 3, (n, 7)).astype(np.uint8) for n in (4, 6))
    a[1, :3] = SILENT
    return a, b, SILENT, np.zeros((4, 6), np.int32)


def labels_example() -> tuple:
    rng = np.random.default_rng(6)
    codes = rng.integers(0, UNITS, (20, 7)).astype(np.uint8)
    codes[3, 2:4] = SILENT
    return codes, SILENT, UNITS, rng.integers(0, 3, 20)


def count_example() -> tuple:
    return (*labels_example(), np.zeros((7 * UNITS, 3), np.uint32))


def correct_example() -> tuple:
    return (*labels_example(), 0.1, 4, np.zeros((7 * UNITS, 3), np.int32), np.zeros((7 * UNITS, 3), np.int64))


def sum_example() -> tuple:
    codes, silent, units, _ = labels_example()
    return codes, silent, units, np.random.default_rng(7).normal(size=(7 * UNITS, 3)), np.zeros((len(codes), 3))


def pictures() -> np.ndarray:
    blurred = np.random.default_rng(8).integers(0, 256, (5, 9, 11)).cumsum(axis=2) // 11
    return np.clip(blurred, 0, 255).astype(np.uint8)


def edges_example() -> tuple:
    angle = -np.pi + 2 * np.pi * np.arange(8) / 8
    directions = np.round(np.stack([np.cos(angle), np.sin(angle)], axis=1), 12)
    return pictures(), 20.0, directions, False, np.zeros((5, 63), np.int32), np.zeros(5, np.int64)


def deskew_example() -> tuple:
    return pictures(), np.zeros((5, 9, 11), np.uint8)


def gather_example() -> tuple:
    lists = np.random.default_rng(9).integers(0, 50, (4, 6)).astype(np.int32)
    return lists, np.array([0, 2, 2, 8, 9]), np.zeros(9, np.int32)


def row(name: str, example: Callable[[], tuple], outputs: tuple[int, ...], *, plain: bool = True, **limits: Any) -> KernelRow:
    """A row whose kernel and plain form have the same name."""
    reference = f"neuromem.sparsey.reference_kernels:{name}" if plain else None
    return KernelRow(name, f"neuromem.sparsey.kernels:{name}", example, outputs, reference, **limits)


AGING = "weights that age take forty times the memory and serve analysis"

KERNELS = [
    row("accumulate_and_choose", accumulate_example, (7, 8)),
    row("learn_stream", learn_example, (14, 15, 16, 17, 18, 19)),
    row("recall_batch", recall_example, (10, 11)),
    # aging macs have oracles of their own: without any age they equal binary macs, with it the permanence table
    row("learn_aging", learn_aging_example, (15, 16, 17, 18, 19), plain=False, cpu_only=AGING),
    row("recall_aging", recall_aging_example, (12, 13), plain=False, cpu_only=AGING),
    row("reconstruct", reconstruct_example, (7,)),
    row("shared_winners", shared_example, (3,)),
    row("count_labels", count_example, (4,)),
    row("correct_errors", correct_example, (6, 7)),
    row("sum_scores", sum_example, (4,)),
    row("edge_lists", edges_example, (4, 5)),
    row("deskew_images", deskew_example, (1,)),
    row("gather_lists", gather_example, (2,)),
    *registry_network.ROWS,
    *registry_given.ROWS,
]
