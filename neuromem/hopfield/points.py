"""Calls of the theory's kernels: arrays made, lock held."""

from typing import NamedTuple

import numpy as np

from neuromem.parallel import kernel_lock

FEW_POINTS = 8  # one task of the parallel kernel


class Points(NamedTuple):
    """Solutions at many points; ``steps`` is below 0 where a point did not converge."""

    n: np.ndarray
    stability: np.ndarray
    free_energy: np.ndarray
    steps: np.ndarray


def solve_points(
    values: np.ndarray,
    levels: np.ndarray,
    level_weights: np.ndarray,
    zero_weights: np.ndarray,
    noise: np.ndarray,
    *,
    laws: np.ndarray,
    betas: np.ndarray,
    starts: np.ndarray,
    max_iterations: int,
) -> Points:
    """Solve the self-consistency equations at many points at once; arguments as of the kernel."""
    from neuromem.hopfield import kernels

    n_points = len(betas)
    found = Points(np.empty(starts.shape), np.empty(n_points), np.empty(n_points), np.empty(n_points, np.int64))
    arguments = (values, levels, level_weights, zero_weights, noise, laws, betas, starts, max_iterations, *found)
    if n_points <= FEW_POINTS:
        kernels.solve_few_points(*arguments)
    else:
        with kernel_lock():
            kernels.solve_points(*arguments)
    return found


def row_steps(values: np.ndarray, noise: np.ndarray, n: np.ndarray, beta: float) -> np.ndarray:
    """Mean tanh and its slopes at every row, float64 (n_rows, 4)."""
    from neuromem.hopfield import kernels

    found = np.empty((len(values), 4))
    kernels.row_steps(np.ascontiguousarray(values), noise, n, beta, found)
    return found
