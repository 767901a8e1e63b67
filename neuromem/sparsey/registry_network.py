"""Rows of the network's kernels."""

from typing import Any

import numpy as np

from neuromem.kernel_registry import KernelRow

N_STEPS, N_FEATURES = 14, 20
CONSTANTS = np.array([0.1, 2.0, 100.0, 0.8, 0.9, 0.8, 0.7, 0.6])
SIGMOID = np.array([0.1, 4.0, 1.0, 8.0])


def example_levels(top_down: bool) -> list:
    """Three small levels of unlike shapes; modules of more than a word on the second."""
    from neuromem.sparsey.level import SparseyLevel

    first = [list(range(12)), list(range(6, 20)), list(range(0, 20, 2))]
    return [
        SparseyLevel(4, 5, first, top_down=top_down, activation_bounds=(2, 7), saturation_limit=0.5),
        SparseyLevel(3, 70, [[0, 1], [1, 2]], persistence=2, release=0.7, top_down=top_down),
        SparseyLevel(2, 4, persistence=4, release=None, u_exponent=1.0),
    ]


def example_frames() -> tuple[np.ndarray, np.ndarray]:
    """Frames of which some return, so that something is recognised."""
    rng = np.random.default_rng(1)
    frames = (rng.random((6, N_FEATURES)) < 0.4)[rng.integers(0, 6, N_STEPS)]
    indptr = np.concatenate([[0], np.cumsum(frames.sum(axis=1))]).astype(np.int64)
    return np.nonzero(frames)[1].astype(np.int32), indptr


def example(by_level: bool) -> tuple:
    """Learn, read with back-off, run free; an episode begins in the middle."""
    from neuromem.sparsey.network_tables import feature_rows, network_tables, u_tables

    tables = network_tables(example_levels(not by_level), N_FEATURES)
    n_macs = len(tables.macs)
    flags = np.array([3, 2, 2, 2, 2, 3, 2, 2, 1, 0, 0, 4, 4, 4], np.uint8)
    modes = np.array([1, 0, 0, 1, 0], np.int64)
    multipliers = np.array([1, 1, 2, 3], np.int32)
    histories = (
        np.full((N_STEPS + 1, tables.n_modules), -1, np.int32),
        np.full((N_STEPS + 1, tables.n_modules), -1, np.int32),
        np.zeros((N_STEPS + 1, n_macs), np.int32),
        np.zeros((N_STEPS + 1, n_macs), np.int32),
        np.zeros((N_STEPS + 1, n_macs)),
        np.full((N_STEPS + 1, n_macs, 7), -1.0),
    )
    return (
        *example_frames(),
        feature_rows(tables, N_FEATURES),
        flags,
        np.array([0, N_STEPS], np.int64),
        *([tables.level_starts] if by_level else []),
        7,
        tables.macs,
        tables.sources,
        tables.parents,
        tables.rates,
        *u_tables(tables.rates, SIGMOID, 0),
        CONSTANTS,
        modes,
        SIGMOID,
        multipliers,
        np.array([11, 12], np.uint32),
        np.zeros(tables.n_words, np.uint64),
        np.zeros(tables.n_cells, np.int32),
        np.zeros(tables.n_cells, bool),
        *histories,
    )


def in_time_example() -> tuple:
    return example(False)


def by_level_example() -> tuple:
    return example(True)


def project_example() -> tuple:
    from neuromem.sparsey.network_tables import network_tables
    from neuromem.sparsey.packing import pack_cells

    tables = network_tables(example_levels(True), N_FEATURES)
    rng = np.random.default_rng(2)
    bits = np.zeros(tables.n_words, np.uint64)
    for mac in tables.macs[:3]:
        rows = pack_cells(rng.random((int(mac[6]), 4, 5)) < 0.4).ravel()
        bits[mac[5] : mac[5] + len(rows)] = rows
    codes = rng.integers(0, 4, (6, tables.n_modules)).astype(np.int32)
    codes[1, :4] = -1
    return codes, tables.macs, 3, tables.sources, bits, np.ones((6, N_FEATURES), np.float32)


def row(name: str, make: Any, outputs: tuple[int, ...]) -> KernelRow:
    """A row whose plain form has the kernel's name."""
    function = f"neuromem.sparsey.kernels:{name}"
    return KernelRow(name, function, make, outputs, f"neuromem.sparsey.reference_network:{name}")


ROWS = [
    row("run_in_time", in_time_example, tuple(range(17, 26))),
    row("run_by_level", by_level_example, tuple(range(18, 27))),
    row("project_back", project_example, (5,)),
]
