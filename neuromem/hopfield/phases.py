"""Phase diagrams of stored patterns over dilution and temperature."""

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.hopfield.points import solve_points
from neuromem.hopfield.row_law import RowLaw
from neuromem.progress import Progress
from neuromem.sweep import run_tasks

PHASES = ("paramagnet", "pure", "hierarchical", "symmetric")
STARTS = ("hierarchical", "pure", "symmetric")
ACTIVE = 1e-5  # amplitudes below this are 0 (at a critical point they are found to about 1e-6)
SAME = 1e-6  # amplitudes that differ by less are equal
SECONDS_PER_ROW = 1.5e-7  # of one point, roughly: sizes the tasks
MAX_ITERATIONS = 10_000


@dataclass(frozen=True, eq=False)
class PhaseDiagram:
    """Solutions on a grid of dilutions (first axis) and temperatures (second axis), from several starts.

    Parameters
    ----------
    dilutions : float64 (n_dilutions,)
    temperatures : float64 (n_temperatures,)
    starts : tuple of str
    amplitudes : float64 (n_starts, n_dilutions, n_temperatures, n_patterns)
    free_energy, stability : float64 (n_starts, n_dilutions, n_temperatures)
    converged : bool (n_starts, n_dilutions, n_temperatures)
    """

    dilutions: np.ndarray
    temperatures: np.ndarray
    starts: tuple[str, ...]
    amplitudes: np.ndarray
    free_energy: np.ndarray
    stability: np.ndarray
    converged: np.ndarray

    def from_start(self, start: str) -> np.ndarray:
        """Amplitudes reached from one start, (n_dilutions, n_temperatures, n_patterns)."""
        return self.amplitudes[self.starts.index(validate.choice(start, "start", self.starts))]

    @property
    def best(self) -> np.ndarray:
        """Amplitudes of lowest free energy, (n_dilutions, n_temperatures, n_patterns)."""
        lowest = (self.free_energy + np.where(self.converged, 0, np.inf)).argmin(axis=0)
        return np.take_along_axis(self.amplitudes, lowest[None, :, :, None], axis=0)[0]

    @property
    def n_active(self) -> np.ndarray:
        """How many patterns the best state holds, int (n_dilutions, n_temperatures)."""
        return (abs(self.best) > ACTIVE).sum(axis=2)

    @property
    def phase(self) -> np.ndarray:
        """Number in ``PHASES`` of the best state, int (n_dilutions, n_temperatures).

        Paramagnet: no pattern; pure: one; symmetric: all, of equal amplitude; hierarchical: anything else.
        """
        sizes = np.sort(abs(self.best), axis=2)
        count, n_patterns = self.n_active, self.amplitudes.shape[3]
        equal = (count == n_patterns) & (sizes[..., -1] - sizes[..., 0] < SAME)
        return np.where(count == 0, 0, np.where(count == 1, 1, np.where(equal, 3, 2)))

    @property
    def coexistence(self) -> np.ndarray:
        """Where different starts end in different stable states, bool (n_dilutions, n_temperatures)."""
        sizes = -np.sort(-abs(self.amplitudes), axis=3)
        return (np.ptp(sizes, axis=0) > ACTIVE).any(axis=2)


def phase_diagram(
    n_patterns: int,
    dilutions: Any,
    temperatures: Any,
    *,
    starts: Sequence[str] = STARTS,
    executor: Executor | None = None,
    results_folder: str | os.PathLike[str] | None = None,
    progress: Progress = False,
) -> PhaseDiagram:
    """Solve the theory of stored patterns on a grid of dilutions and temperatures.

    Parameters
    ----------
    n_patterns : int
        K, up to 13.
    dilutions : array-like (n_dilutions,)
        From 0 below 1.
    temperatures : array-like (n_temperatures,)
        From 0 up.
    starts : sequence of {"hierarchical", "pure", "symmetric"}
        See :func:`neuromem.hopfield.solve`.
    executor : concurrent.futures.Executor, optional
        Where rows of the grid are worked on; results are the same to the bit.
    results_folder : path, optional
        Finished rows are kept there, and not done again by a later call.
    progress : bool or callable, default False

    Returns
    -------
    PhaseDiagram

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield import phase_diagram
    >>> diagram = phase_diagram(2, [0.3, 0.8], [0.1, 0.5, 0.9])
    >>> diagram.phase.tolist()
    [[2, 1, 0], [3, 0, 0]]
    """
    n_patterns = validate.integer(n_patterns, "n_patterns", 1)
    dilutions = axis_of(dilutions, "dilutions", high=1)
    temperatures = axis_of(temperatures, "temperatures")
    starts = tuple(validate.choice(start, "starts", STARTS) for start in starts)
    if not starts:
        raise InputError("starts is empty, at least one was expected")
    if executor is None and results_folder is None:
        per_task = max(1, len(dilutions))
    else:
        seconds = SECONDS_PER_ROW * 3.0**n_patterns * len(starts) * max(1, len(temperatures))
        per_task = max(1, int(1 / seconds))
    tasks = [
        {
            "n_patterns": n_patterns,
            "dilutions": dilutions[i : i + per_task],
            "temperatures": temperatures,
            "starts": starts,
        }
        for i in range(0, max(1, len(dilutions)), per_task)
    ]
    parts = run_tasks(solve_rows, tasks, executor, results_folder, progress)
    whole = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    return PhaseDiagram(dilutions, temperatures, starts, **whole)


def solve_rows(n_patterns: int, dilutions: np.ndarray, temperatures: np.ndarray, starts: Sequence[str]) -> dict[str, np.ndarray]:
    """Some rows of a phase diagram: one task of the sweep."""
    rows = RowLaw.storing(n_patterns, 0.5).folded
    n_entries = np.arange(n_patterns + 1)
    d = dilutions[:, None]
    active = 1 - d
    amplitudes = {
        "hierarchical": active * d ** np.arange(n_patterns),
        "pure": active * (np.arange(n_patterns) == 0),
        "symmetric": active * np.ones(n_patterns),
    }
    shape = (len(starts), len(dilutions), len(temperatures))
    with np.errstate(divide="ignore"):
        betas = 1 / temperatures
    laws = np.broadcast_to(np.arange(len(dilutions))[:, None], shape)
    at = np.stack([amplitudes[start] for start in starts])[:, :, None, :]
    points = solve_points(
        rows.values,
        np.count_nonzero(rows.values, axis=1),
        2 * (active / 2) ** n_entries * d ** (n_patterns - n_entries),
        dilutions**n_patterns,
        np.zeros((len(dilutions), n_patterns)),
        laws=laws.ravel(),
        betas=np.broadcast_to(betas, shape).ravel(),
        starts=np.ascontiguousarray(np.broadcast_to(at, (*shape, n_patterns)).reshape(-1, n_patterns)),
        max_iterations=MAX_ITERATIONS,
    )
    return {
        "amplitudes": points.n.reshape(*shape, n_patterns),
        "free_energy": points.free_energy.reshape(shape),
        "stability": points.stability.reshape(shape),
        "converged": (points.steps > 0).reshape(shape),
    }


def axis_of(values: Any, name: str, high: float | None = None) -> np.ndarray:
    """One axis of a grid: finite numbers from 0 up, below ``high``."""
    axis = np.asarray(values)
    if axis.ndim != 1:
        raise InputError(f"{name} has shape {axis.shape}, a list of numbers was expected")
    return np.array([validate.number(value, name, low=0, high=high, high_open=high is not None) for value in axis.tolist()])
