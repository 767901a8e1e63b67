"""What the experiments on multitasking networks share: networks drawn as row counts, and simulation held against theory.

A network is drawn as how many of its N units have each row; theory is solved on those very counts, so that what is left is the
chance of the simulation alone, which its standard errors measure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuromem.experiments.result import WILSON_Z, Result, Row
from neuromem.hopfield import RowLaw, Trace, simulate_classes

MOST_ERRORS = 5.0  # standard errors that simulation and theory may differ by
SAME = 1e-12  # amplitudes that differ by less are the same number, whatever their standard error
CRITICAL = 0.96  # slope of the equations above which a run is too short for its slowest mode
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")


@dataclass(frozen=True)
class Network:
    """A network as its distinct rows (one of each pair row, -row) and the number of units that have each."""

    rows: np.ndarray
    counts: np.ndarray

    @property
    def n_units(self) -> int:
        """N."""
        return int(self.counts.sum())

    @property
    def law(self) -> RowLaw:
        """The law that theory is solved on."""
        return RowLaw.empirical(self.rows, counts=self.counts)

    @property
    def evened_out(self) -> np.ndarray:
        """Every unit with the sum of its entries, half of the units where that is 0: the start of equal strengths."""
        side = np.sign(self.rows.sum(axis=1))
        return np.where(side == 0, self.counts // 2, self.counts * (side > 0))

    def overlaps(self, up: np.ndarray) -> np.ndarray:
        """Overlaps of a state given by how many units of each row are aligned with it."""
        found: np.ndarray = (2 * up - self.counts) @ self.rows / self.n_units
        return found


def draw_network(n_patterns: int, dilution: float, n_units: int, seed: Sequence[int]) -> Network:
    """Rows of ``n_units`` units with independent entries, as counts; no unit is listed."""
    signed = np.indices((3,) * n_patterns).reshape(n_patterns, -1).T - 1
    blanks = (signed == 0).sum(axis=1)
    weights = dilution**blanks * ((1 - dilution) / 2) ** (n_patterns - blanks)
    counts = np.random.default_rng(seed).multinomial(n_units, weights / weights.sum())
    middle = len(signed) // 2  # the row of zeros; the rows after it are those before it, turned round
    both = counts[middle:].copy()
    both[1:] += counts[:middle][::-1]
    return Network(signed[middle:][both > 0], both[both > 0])


def run_network(
    network: Network, beta: Any, sweeps: int, burn_in: int, seed: int | np.random.SeedSequence, **options: Any
) -> Trace:
    """Parallel updates of all units, as counts."""
    options = {"record": ("m",), "random_state": seed, **options}
    return simulate_classes(network.rows, network.counts, beta=beta, n_sweeps=sweeps, burn_in=burn_in, **options)


def errors_of(trace: Trace, n_units: int, n_replicas: int = 1) -> np.ndarray:
    """Standard errors of mean overlaps; at least that of one spin flipped in one sweep, where flips are too rare to tell."""
    errors: np.ndarray = np.maximum(trace.m_error, 2 / (n_units * trace.n_sweeps * n_replicas))
    return errors


@dataclass
class Comparison:
    """Collects points of simulation held against theory into a result."""

    result: Result
    deviations: list[float] = field(default_factory=list)

    def point(self, condition: str, simulated: Any, errors: Any, theory: Any, n_units: int) -> float:
        """Rows for one point: amplitudes (n_networks, n_patterns) with errors, theory, and the largest deviation.

        The value is the mean over networks; the interval is of the simulation, given the networks.
        """
        simulated, errors, theory = (np.atleast_2d(np.asarray(a, float)) for a in (simulated, errors, theory))
        seeds = len(simulated)
        means, half = simulated.mean(axis=0), WILSON_Z * np.sqrt((errors**2).sum(axis=0)) / seeds
        for k in range(simulated.shape[1]):
            name = f"m_{k + 1}" if simulated.shape[1] > 1 else "m"
            low, high = float(means[k] - half[k]), float(means[k] + half[k])
            self.result.rows.append(Row(condition, name, float(means[k]), low, high, n_units, seeds))
            self.result.rows.append(Row(condition, f"{name}, theory", float(theory[:, k].mean()), n=n_units, seeds=seeds))
        largest = self.keep(simulated, errors, theory)
        self.result.rows.append(Row(condition, "largest deviation, standard errors", largest, n=simulated.size, seeds=seeds))
        return largest

    def keep(self, simulated: np.ndarray, errors: np.ndarray, theory: np.ndarray) -> float:
        """Count amplitudes without rows of their own; returns the largest deviation."""
        found = in_errors(simulated, errors, theory)
        self.deviations += found.ravel().tolist()
        return float(found.max())

    def summary(self, condition: str = "all points") -> None:
        """How many amplitudes lie within five standard errors, and the largest deviation."""
        found = np.array(self.deviations)
        share = float((found <= MOST_ERRORS).mean())
        self.result.add(condition, f"share within {MOST_ERRORS:g} standard errors", [share], n=len(found))
        self.result.add(condition, "largest deviation, standard errors", [found.max()], n=len(found))
        rms = float(np.sqrt((np.minimum(found, 1e3) ** 2).mean()))
        self.result.add(condition, "root mean square deviation, standard errors", [rms], n=len(found))


def in_errors(simulated: np.ndarray, errors: np.ndarray, theory: np.ndarray) -> np.ndarray:
    """Differences in standard errors; 0 where the numbers are the same."""
    away = abs(simulated - theory)
    return np.where(away <= SAME, 0.0, away / np.maximum(errors, SAME))


def sampling_errors(amplitudes: np.ndarray, dilution: float, n_units: int) -> np.ndarray:
    """Standard errors of overlaps of N units with independent rows, each unit's spin a function of its row."""
    errors: np.ndarray = np.sqrt(np.maximum(1 - dilution - amplitudes**2, 0.0) / n_units)
    return errors


def number_of(amplitudes: np.ndarray, threshold: float) -> int:
    """How many amplitudes stand out."""
    return int((abs(amplitudes) > threshold).sum())
