"""One row per kernel of the theory: warm-up, mirror suite and compile check read it."""

from collections.abc import Callable

import numpy as np

from neuromem.kernel_registry import KernelRow

N_PATTERNS = 3
DILUTION = 0.4
BY_ROWS = "theory: short sums over rows, done in milliseconds, in float64 throughout"


def example_rows() -> tuple[np.ndarray, np.ndarray]:
    from neuromem.hopfield.row_law import RowLaw

    folded = RowLaw.storing(N_PATTERNS, DILUTION).folded
    return folded.values, folded.weights


def steps_example() -> tuple:
    values, _ = example_rows()
    return values, np.array([0.3, 0.1, 0.0]), np.array([0.5, 0.25, 0.1]), 6.0, np.zeros((len(values), 4))


def sums_example() -> tuple:
    values, weights = example_rows()
    noise, n = np.array([0.3, 0.1, 0.0]), np.array([0.5, 0.25, 0.1])
    return values, weights, noise, n, 6.0, np.zeros(N_PATTERNS), np.zeros((N_PATTERNS, N_PATTERNS))


def free_energy_example() -> tuple:
    values, weights, noise, n, beta, *_ = sums_example()
    return values, weights, noise, DILUTION**N_PATTERNS, n, beta, np.zeros(1)


def points_example() -> tuple:
    """Both laws, several temperatures, 20 points: more than one task."""
    values, weights = example_rows()
    n_points = 20
    start = 0.6 * 0.4 ** np.arange(N_PATTERNS)
    return (
        values,
        np.arange(len(weights)),
        np.stack([weights, weights]),
        np.full(2, DILUTION**N_PATTERNS),
        np.array([[0.0, 0.0, 0.0], [0.2, 0.2, 0.2]]),
        np.arange(n_points) % 2,
        np.concatenate([[np.inf, np.inf], 1 / np.linspace(0.1, 0.7, n_points - 2)]),
        np.tile(start, (n_points, 1)),
        1000,
        np.zeros((n_points, N_PATTERNS)),
        np.zeros(n_points),
        np.zeros(n_points),
        np.zeros(n_points, np.int64),
    )


def row(
    name: str, example: Callable[[], tuple], outputs: tuple[int, ...], *, plain: bool = True, atol: float = 1e-13
) -> KernelRow:
    """A row whose kernel and plain form have the same name; sums of some ten terms of order one, in another order."""
    reference = f"neuromem.hopfield.reference_theory:{name}" if plain else None
    kernel = f"neuromem.hopfield.kernels:{name}"
    return KernelRow(name, kernel, example, outputs, reference, rtol=1e-11, atol=atol, cpu_only=BY_ROWS)


ROWS: list[KernelRow] = [
    row("row_steps", steps_example, (4,)),
    row("row_sums", sums_example, (5, 6)),
    row("free_energy_at", free_energy_example, (6,)),
    # plain iteration is their oracle, in a test of its own; a difference in the last bit grows by up to 1 / (1 - slope)
    row("solve_points", points_example, (9, 10, 11, 12), plain=False, atol=1e-11),
    row("solve_few_points", points_example, (9, 10, 11, 12), plain=False, atol=1e-11),
]
