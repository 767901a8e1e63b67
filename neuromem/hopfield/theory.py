"""Exact theory of large multitasking Hebbian networks: amplitudes, free energy, stability and fluctuations from row laws."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import ConvergenceWarning, InputError
from neuromem.hopfield.phases import PhaseDiagram, phase_diagram
from neuromem.hopfield.points import row_steps, solve_points
from neuromem.hopfield.row_law import RowLaw
from neuromem.random import RandomState, generator_for, seed_sequence_of

__all__ = [
    "PhaseDiagram",
    "Solution",
    "amplitudes_at_entropies",
    "attractors",
    "fluctuations",
    "free_energy",
    "mean_field_step",
    "phase_diagram",
    "solve",
    "stability",
]

STARTS = ("hierarchical", "symmetric", "pure")
SAME = 1e-6  # solutions that differ by less are one
MARGINAL = 1 + 1e-9  # largest slope that still counts as stable: 1, and what rounding adds
LOWEST_BETA = 1e-9  # stands for 0 where a formula divides by it


@dataclass(frozen=True, eq=False)
class Solution:
    """A solution of the self-consistency equations.

    Parameters
    ----------
    m : float64 (n_patterns,)
        Overlaps with the true patterns, of at most 1 - d.
    n : float64 (n_patterns,)
        Overlaps with the rescaled data, which is all that the network sees; equal to m where the patterns are stored.
    free_energy : float
        Per unit; at zero temperature the energy.
    stability : float
        Largest eigenvalue of the map n -> F(n): stable below 1.  Infinite where units tie at zero temperature.
    iterations : int
        Evaluations of F.
    converged : bool
    method : str
        Of the law: "storing", "exact", "gaussian", "empirical" or "rows".
    beta : float
        Inverse temperature.
    """

    m: np.ndarray
    n: np.ndarray
    free_energy: float
    stability: float
    iterations: int
    converged: bool
    method: str
    beta: float

    @property
    def stable(self) -> bool:
        """Whether small changes die out (at a critical point: do not grow)."""
        return self.stability <= MARGINAL


def solve(law: RowLaw, beta: float, start: Any = "hierarchical", *, max_iterations: int = 10_000) -> Solution:
    """The solution whose basin a start lies in.

    Parameters
    ----------
    law : RowLaw
    beta : float
        Inverse temperature, from 0 up; ``inf`` for zero temperature.
    start : {"hierarchical", "symmetric", "pure"} or array-like (n_patterns,)
        Where n starts: amplitudes that fall as powers of d, equal ones, the first pattern alone, or given ones.
    max_iterations : int, default 10_000
        Evaluations of the sums.

    Returns
    -------
    Solution
        Stable, where it has converged: a start that leads to an unstable solution (equal amplitudes at low temperature, say) is
        pushed off it by a fixed small amount.

    Raises
    ------
    InputError, InputTypeError
        For a negative or NaN ``beta``, a start of the wrong shape or not finite.

    Warns
    -----
    ConvergenceWarning
        Where it has not converged; ``converged`` is then False.

    Notes
    -----
    n_mu = E[V_mu tanh(beta sum_nu c_nu V_nu n_nu)] and m_mu = E[X_mu tanh(...)] over the rows (V, X) of the law [derived].  A few
    plain iterations, which never raise the free energy, define the basin; Newton's method then finishes and is believed only
    where the free energy is convex at each of its points, its steps shrink, and points on the way are convex too; otherwise short
    implicit steps follow the descent.  Near a border between basins this can differ from plain iteration to the end (about 1 in
    3000 random starts).  At infinite beta tanh is the sign, a tie counts 0; for Gaussian data the mean over the noise is then
    erf, never a Gauss-Hermite sum.

    References
    ----------
    Agliari, Alessandrelli, Barra, Ricci-Tersenghi (2023), arXiv:2308.04106; the equations are derived here.

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw, solve
    >>> solution = solve(RowLaw.storing(2, 0.3), beta=1 / 0.14)
    >>> solution.m.round(6).tolist(), solution.stable
    ([0.699684, 0.180782], True)
    """
    beta = check_beta(beta)
    max_iterations = validate.integer(max_iterations, "max_iterations", 1)
    found = solve_starts(law, beta, start_of(law, start)[None], max_iterations)[0]
    if not found.converged:
        text = f"no solution within {max_iterations} evaluations (beta={beta}); raise max_iterations or start elsewhere"
        warnings.warn(text, ConvergenceWarning, stacklevel=2)
    return found


def attractors(
    law: RowLaw,
    beta: float,
    n_starts: int = 64,
    *,
    random_state: RandomState = None,
    max_iterations: int = 10_000,
) -> list[Solution]:
    """Stable solutions reached from many starts, lowest free energy first.

    Parameters
    ----------
    law : RowLaw
    beta : float
    n_starts : int, default 64
        Random starts, besides the three named ones of :func:`solve`.
    random_state : None, int, SeedSequence or Generator
    max_iterations : int, default 10_000

    Returns
    -------
    list of Solution
        Distinct ones.  Where all patterns have the same law, solutions that differ by an exchange or a change of sign of
        patterns are one, shown with falling amplitudes.

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw, attractors
    >>> [a.m.round(4).tolist() for a in attractors(RowLaw.storing(3, 0.58), float("inf"), random_state=0)]
    [[0.383, 0.2806, 0.1783], [0.42, 0.2436, 0.1413]]
    """
    beta = check_beta(beta)
    n_starts = validate.integer(n_starts, "n_starts", 0)
    rng = generator_for(seed_sequence_of(random_state), "hopfield.starts")
    random = rng.normal(size=(n_starts, law.n_patterns)) * (1 - law.dilution) * rng.random((n_starts, 1))
    starts = np.concatenate([[start_of(law, name) for name in STARTS], random])
    found: list[Solution] = []
    for solution in solve_starts(law, beta, starts, max_iterations):
        if not (solution.converged and solution.stable):
            continue
        if law.exchangeable:
            solution = in_falling_order(solution)
        if all(abs(solution.n - other.n).max() > SAME for other in found):
            found.append(solution)
    return sorted(found, key=lambda solution: (solution.free_energy, tuple(-solution.n)))


def free_energy(law: RowLaw, n: Any, beta: float) -> float:
    """Free energy per unit f(n) = sum_mu c_mu n_mu^2 / 2 - E[log 2 cosh(beta sum_mu c_mu V_mu n_mu)] / beta.

    Parameters
    ----------
    law : RowLaw
    n : array-like (n_patterns,)
        Overlaps with the data, at a solution or not.
    beta : float
        At infinity: the energy; at 0: minus infinity.

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    Its gradient is c (n - F(n)), its second derivative c (1 - A) [derived].

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw
    >>> from neuromem.hopfield.theory import free_energy
    >>> round(free_energy(RowLaw.storing(2, 0.5), [0.5, 0.25], float("inf")), 5)
    -0.15625
    """
    from neuromem.hopfield import kernels

    rows, root = law.folded, np.sqrt(law.scale)
    n, found = check_vector(law, n, "n") * root, np.empty(1)
    kernels.free_energy_at(rows.values, rows.weights, law.noise, rows.zero_weight, n, check_beta(beta), found)
    return float(found[0])


def mean_field_step(law: RowLaw, n: Any, beta: float) -> np.ndarray:
    """One step of parallel dynamics in a large network: F(n)_mu = E[V_mu tanh(beta sum_nu c_nu V_nu n_nu)].

    Parameters
    ----------
    law : RowLaw
    n : array-like (n_patterns,)
    beta : float

    Returns
    -------
    float64 (n_patterns,)

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    n(t + 1) = F(n(t)) when all units move at once, dn/dt = F(n) - n in sweeps when they move one by one [derived].

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw
    >>> from neuromem.hopfield.theory import mean_field_step
    >>> mean_field_step(RowLaw.storing(2, 0.5), [0.1, 0.05], float("inf")).tolist()
    [0.5, 0.25]
    """
    return sums_at(law, check_vector(law, n, "n") * np.sqrt(law.scale), check_beta(beta))[0] / np.sqrt(law.scale)


def stability(law: RowLaw, n: Any, beta: float) -> float:
    """Largest eigenvalue of A = beta E[V V^T (1 - tanh^2)] (with roots of c), the slope of F: below 1 a solution is stable.

    Parameters
    ----------
    law : RowLaw
    n : array-like (n_patterns,)
    beta : float

    Returns
    -------
    float
        Infinite at zero temperature where units tie.

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw
    >>> from neuromem.hopfield.theory import stability
    >>> stability(RowLaw.storing(2, 0.5), [0, 0], 2.0)
    1.0
    """
    slopes = sums_at(law, check_vector(law, n, "n") * np.sqrt(law.scale), check_beta(beta))[1]
    largest = float(np.linalg.eigvalsh(slopes)[-1])
    return largest if largest < 1e50 else math.inf


def fluctuations(law: RowLaw, solution: Solution, dynamics: str = "serial") -> np.ndarray:
    """N times the covariance of the overlaps with the true patterns at equilibrium, in a large network of N units.

    Parameters
    ----------
    law : RowLaw
    solution : Solution
        A stable one, of this law.
    dynamics : {"serial", "parallel"}

    Returns
    -------
    float64 (n_patterns, n_patterns)

    Raises
    ------
    InputError
        If the solution is not stable: fluctuations are not of order 1 / N then.

    Notes
    -----
    For stored patterns with c = 1 and B = E[V V^T (1 - tanh^2)]: (1 - beta B)^-1 B in serial, B (1 - (beta B)^2)^-1 in parallel
    dynamics [derived; checked by simulation].

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw, solve
    >>> from neuromem.hopfield.theory import fluctuations
    >>> law = RowLaw.storing(2, 0.3)
    >>> solution = solve(law, 1 / 0.14)
    >>> [round(float(fluctuations(law, solution, kind)[1, 1]), 4) for kind in ("parallel", "serial")]
    [0.0658, 0.0919]
    """
    validate.choice(dynamics, "dynamics", ("serial", "parallel"))
    n = check_vector(law, solution.n, "solution.n")
    if not solution.stability < 1:
        raise InputError(f"solution has the stability {solution.stability}, one below 1 was expected")
    if math.isinf(solution.beta):
        return np.zeros((law.n_patterns, law.n_patterns))
    beta = max(solution.beta, LOWEST_BETA)
    root = np.sqrt(law.scale)
    scaled, values, truth = n * root, law.values * root, law.truth
    steps = row_steps(values, law.noise, scaled, beta)
    slope, tilted = law.weights * steps[:, 1] / beta, law.weights * steps[:, 2] / beta
    _, slopes = sums_at(law, scaled, beta)
    own = (truth.T * slope) @ truth
    mixed = (truth.T * slope) @ values
    if law.noise.any():
        shared = law.noise * values**2 * scaled
        spread = np.sqrt((shared * scaled).sum(axis=1))
        mixed += (truth.T * np.divide(tilted, spread, out=np.zeros_like(spread), where=spread > 0)) @ shared
    one = np.eye(law.n_patterns)
    if dynamics == "serial":
        return own + beta * mixed @ np.linalg.solve(one - slopes, mixed.T)
    return own + beta * mixed @ slopes @ np.linalg.solve(one - slopes @ slopes, mixed.T)


# ---------------------------------------------------------------- helpers


def check_beta(beta: float) -> float:
    """An inverse temperature: from 0 up, infinity included."""
    if isinstance(beta, (float, np.floating)) and beta == math.inf:
        return math.inf
    return validate.number(beta, "beta", low=0)


def check_vector(law: RowLaw, value: Any, name: str) -> np.ndarray:
    """Finite numbers, one per pattern."""
    vector = np.asarray(value, float)
    if vector.shape != (law.n_patterns,) or not np.isfinite(vector).all():
        raise InputError(f"{name} has shape {vector.shape}, ({law.n_patterns},) finite numbers were expected")
    return vector


def start_of(law: RowLaw, start: Any) -> np.ndarray:
    """A start by name, or as given."""
    if not isinstance(start, str):
        return check_vector(law, start, "start")
    validate.choice(start, "start", STARTS)
    active = 1 - law.dilution
    if start == "hierarchical":
        return active * np.concatenate([[1.0], np.cumprod(law.dilution)[:-1]])
    return np.where(np.arange(law.n_patterns) == 0, active, 0.0 if start == "pure" else active)


def solve_starts(law: RowLaw, beta: float, starts: np.ndarray, max_iterations: int) -> list[Solution]:
    """Solutions of one law from several starts, without any warning."""
    rows, root = law.folded, np.sqrt(law.scale)
    points = solve_points(
        rows.values,
        np.arange(len(rows.weights)),
        rows.weights[None],
        np.array([rows.zero_weight]),
        law.noise[None],
        laws=np.zeros(len(starts), np.int64),
        betas=np.full(len(starts), beta),
        starts=starts * root,
        max_iterations=max_iterations,
    )
    found = []
    for i, n in enumerate(points.n):
        m = (rows.weights * row_steps(rows.values, law.noise, n, beta)[:, 0]) @ rows.truth
        energy, largest, steps = float(points.free_energy[i]), float(points.stability[i]), int(points.steps[i])
        found.append(Solution(m, n / root, energy, largest, abs(steps), steps > 0, law.method, beta))
    return found


def sums_at(law: RowLaw, scaled: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """F and A where n times the root of c is ``scaled``."""
    from neuromem.hopfield import kernels

    sums, slopes = np.empty(law.n_patterns), np.empty((law.n_patterns, law.n_patterns))
    kernels.row_sums(law.folded.values, law.folded.weights, law.noise, scaled, beta, sums, slopes)
    return sums, slopes


def in_falling_order(solution: Solution) -> Solution:
    """The same solution with patterns exchanged and signs changed so that amplitudes fall."""
    order = np.argsort(-abs(solution.n), kind="stable")
    sign = np.where(solution.n < 0, -1.0, 1.0)
    return Solution(**{**solution.__dict__, "n": (solution.n * sign)[order], "m": (solution.m * sign)[order]})


def amplitudes_at_entropies(n_patterns: int, dilution: float, entropies: Any) -> np.ndarray:
    """Overlaps m learned from Gaussian data of several entropies, from the hierarchical start, at zero temperature.

    Parameters
    ----------
    n_patterns : int
        K, up to 13.
    dilution : float
        d, from 0 below 1.
    entropies : array-like (n_entropies,)
        rho, from 0 up.

    Returns
    -------
    float64 (n_entropies, n_patterns)

    Raises
    ------
    InputError, InputTypeError

    Examples
    --------
    >>> from neuromem.hopfield.theory import amplitudes_at_entropies
    >>> amplitudes_at_entropies(1, 0.5, [0.0, 1.0]).round(4).tolist()
    [[0.5], [0.3413]]
    """
    law = RowLaw.storing(n_patterns, dilution, norm="none")
    noise = np.asarray(entropies, float)
    if noise.ndim != 1 or not (np.isfinite(noise) & (noise >= 0)).all():
        raise InputError(f"entropies has shape {noise.shape}, a list of finite numbers from 0 up was expected")
    noise, rows = np.repeat(noise[:, None], law.n_patterns, axis=1), law.folded
    points = solve_points(
        rows.values,
        np.arange(len(rows.weights)),
        np.repeat(rows.weights[None], len(noise), axis=0),
        np.full(len(noise), rows.zero_weight),
        noise,
        laws=np.arange(len(noise)),
        betas=np.full(len(noise), math.inf),
        starts=np.repeat(start_of(law, "hierarchical")[None], len(noise), axis=0),
        max_iterations=10_000,
    )
    steps = [row_steps(rows.values, rho, n, math.inf)[:, 0] for rho, n in zip(noise, points.n, strict=True)]
    return np.array([(rows.weights * step) @ rows.truth for step in steps]).reshape(noise.shape)
