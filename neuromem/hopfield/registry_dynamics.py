"""Rows of the kernels that run the dynamics of multitasking networks."""

from collections.abc import Callable

import numpy as np

from neuromem.kernel_registry import KernelRow

N_CHAINS, N_UNITS, N_COLUMNS = 3, 150, 3
SWEEPS = np.array([7, 5, 1, 2], np.int64)
KEY = np.array([21, 22], np.uint32)
CHAINS = np.array([4, 5, 9], np.int64)
WEIGHTS = np.array([1.0, 0.5, 0.25])  # sums of products stay exact, so every order of sums has the same bits


def rows_of_units() -> np.ndarray:
    """Pattern rows, int8 (n_units, n_columns)."""
    rng = np.random.default_rng(31)
    return rng.choice(np.array([-1, 0, 1], np.int8), (N_UNITS, N_COLUMNS))


def own_parts() -> np.ndarray:
    """What each unit would couple to itself with."""
    return rows_of_units().astype(float) ** 2 @ WEIGHTS


def starts() -> np.ndarray:
    """Spins at random, int8 (n_chains, n_units)."""
    return np.random.default_rng(32).choice(np.array([-1, 1], np.int8), (N_CHAINS, N_UNITS))


def outputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlaps of all columns but the first, squares, settled."""
    n_records = (SWEEPS[1] - SWEEPS[2]) // SWEEPS[3]
    overlaps = np.zeros((N_CHAINS, n_records, N_COLUMNS - 1), np.int64)
    return overlaps, np.zeros((N_CHAINS, n_records)), np.zeros((N_CHAINS, 2), np.int64)


def scales() -> np.ndarray:
    """Two finite temperatures and none."""
    return np.array([4.0, 12.0, np.inf]) / N_UNITS


def held() -> np.ndarray:
    """A fifth of the units may not flip."""
    return (np.random.default_rng(33).random((N_CHAINS, N_UNITS)) < 0.8).astype(np.uint8)


def serial_overlaps_example() -> tuple:
    head = (rows_of_units(), WEIGHTS, own_parts(), scales(), 0, 0, np.zeros(0, np.int64), KEY, CHAINS, SWEEPS, 0, 1, held())
    return (*head, starts(), *outputs())


def parallel_overlaps_example() -> tuple:
    return (rows_of_units(), WEIGHTS, own_parts(), scales(), 0, KEY, CHAINS, SWEEPS, 1, 1, held(), starts(), *outputs())


def integer_links() -> np.ndarray:
    """Couplings of the rows, all columns alike."""
    rows = rows_of_units().astype(np.int32)
    links = rows @ rows.T
    np.fill_diagonal(links, 0)
    return links


def serial_dense_example() -> tuple:
    head = (integer_links(), rows_of_units(), scales(), 1, 1, np.zeros(0, np.int64), KEY, CHAINS, SWEEPS, 0, 1, held())
    return (*head, starts(), *outputs())


def parallel_dense_example() -> tuple:
    return (integer_links(), rows_of_units(), scales(), 1, KEY, CHAINS, SWEEPS, 1, 1, held(), starts(), *outputs())


def classes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of classes (n_columns, n_classes), their own parts, and how many units each has."""
    values = np.array([[1, 0, 0, 1, 1, 1, 2], [0, 1, 0, 1, -1, 0, 1], [0, 0, 1, 0, 1, -1, 1]], np.int64)
    return values, WEIGHTS @ values**2, np.array([40, 3, 70, 0, 900, 200_000, 65], np.int64)


def up_counts(counts: np.ndarray) -> np.ndarray:
    return np.random.default_rng(34).binomial(counts, 0.7, (N_CHAINS, len(counts)))


def class_chains_example() -> tuple:
    values, own, counts = classes()
    noise = np.array([2.0, 8.0, np.inf]) / 200_000
    return (values, WEIGHTS, own, counts, noise, 0, KEY, CHAINS, SWEEPS, 1, up_counts(counts), *outputs()[:2])


def class_serial_example() -> tuple:
    values, own, counts = classes()
    counts = np.minimum(counts, 40)
    head = (values, WEIGHTS, own, counts, int(counts.sum()) + 10, scales(), 0, 1, KEY, CHAINS, SWEEPS, 1)
    return (*head, up_counts(counts), *outputs()[:2])


def bit_parallel_example() -> tuple:
    values, own, counts = classes()
    counts = np.minimum(counts, 700)
    n_words = -(-counts // 64)
    offsets = np.concatenate([[0], np.cumsum(n_words)])
    lanes = np.concatenate([np.arange(64 * words) < n for words, n in zip(n_words, counts, strict=True)])
    rng = np.random.default_rng(35)
    units = np.packbits(lanes, bitorder="little").view(np.uint64)
    spins, loose = (
        np.packbits(rng.random((N_CHAINS, len(lanes))) < share, axis=1, bitorder="little").view(np.uint64) & units
        for share in (0.6, 0.9)
    )
    noise = np.array([2.0, 8.0, np.inf]) / counts.sum()
    return (values, WEIGHTS, own, counts, offsets, loose, noise, 1, KEY, CHAINS, SWEEPS, 1, spins, *outputs()[:2])


def row(name: str, example: Callable[[], tuple], outputs: tuple[int, ...], cpu_only: str = "") -> KernelRow:
    return KernelRow(
        name,
        f"neuromem.hopfield.kernels:{name}",
        example,
        outputs,
        f"neuromem.hopfield.reference_dynamics:{name}",
        cpu_only=cpu_only,
    )


ONE_BY_ONE = "one unit at a time: every update waits for the one before"

ROWS = [
    row("serial_overlaps", serial_overlaps_example, (13, 14, 15, 16), ONE_BY_ONE),
    row("parallel_overlaps", parallel_overlaps_example, (11, 12, 13, 14)),
    row("serial_dense", serial_dense_example, (12, 13, 14, 15), ONE_BY_ONE),
    row("parallel_dense", parallel_dense_example, (10, 11, 12, 13), "an oracle: overlaps give the same in far less time"),
    row("class_chains", class_chains_example, (10, 11, 12)),
    row("class_serial", class_serial_example, (12, 13, 14), ONE_BY_ONE),
    row("bit_parallel", bit_parallel_example, (12, 13, 14)),
]
