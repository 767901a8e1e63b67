"""The row of the kernel of a mac with given context."""

import numpy as np

from neuromem.kernel_registry import KernelRow

N_ITEMS, N_FEATURES, N_PARENTS = 18, 20, 2
ONE_AFTER_ANOTHER = "one mac, whose items are stored one after another: too little at once for a GPU"
SIGMOID = np.array([0.1, 4.0, 1.0, 8.0])


def example() -> tuple:
    """Items of which many return, learned and then read, with contexts that are there, silent, or all there is."""
    from neuromem.sparsey.level import SparseyLevel
    from neuromem.sparsey.network_tables import feature_rows, network_tables, u_tables

    rng = np.random.default_rng(1)
    level = SparseyLevel(4, 6, activation_bounds=(2, 12), saturation_limit=0.6)
    over = SparseyLevel(3, 5, [[0]] * N_PARENTS, horizontal=False)
    tables = network_tables([level, over], N_FEATURES)
    which = rng.integers(0, 4, N_ITEMS)
    frames = (rng.random((4, N_FEATURES)) < 0.35)[which]
    frames[2] = False  # too few
    indptr = np.concatenate([[0], np.cumsum(frames.sum(axis=1))]).astype(np.int64)
    own, above = rng.integers(0, 6, (4, 4))[which], rng.integers(0, 5, (4, 3 * N_PARENTS))[which]
    given = np.concatenate([own, above], axis=1).astype(np.int32)
    given[::5, :4] = -1
    given[1::4, 4:7] = -1
    given[3::6, 4:] = -1
    flags = np.array([2] * 11 + [0] * 5 + [4] * 2, np.uint8)
    first = tables.macs[0]
    n_words = int(first[4] * (first[6] + first[7] + first[8] + 1))
    return (
        np.nonzero(frames)[1].astype(np.int32),
        indptr,
        feature_rows(tables, N_FEATURES),
        flags,
        np.array([0, N_ITEMS], np.int64),
        given,
        7,
        tables.macs,
        tables.sources,
        tables.parents,
        tables.rates,
        *u_tables(tables.rates, SIGMOID, 0),
        np.array([0.1, 2.0, 100.0, 0.8, 0.9, 0.8, 0.7, 0.6]),
        np.array([1, 0, 0, 1, 0], np.int64),
        SIGMOID,
        np.zeros(0, np.int32),
        np.array([11, 12], np.uint32),
        np.zeros(n_words, np.uint64),
        np.zeros(24, np.int32),
        np.zeros(24, bool),
        np.zeros((N_ITEMS, 4), np.int32),
        np.zeros((N_ITEMS, 4), np.int32),
        np.zeros((N_ITEMS, 1), np.int32),
        np.zeros((N_ITEMS, 1), np.int32),
        np.zeros((N_ITEMS, 1)),
        np.zeros((N_ITEMS, 1, 7)),
    )


ROWS = [
    KernelRow(
        "run_given",
        "neuromem.sparsey.kernels:run_given",
        example,
        tuple(range(18, 27)),
        "neuromem.sparsey.reference_network:run_given",
        cpu_only=ONE_AFTER_ANOTHER,
    )
]
