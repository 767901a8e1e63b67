"""Figures of the theory; each takes ``ax=None`` and returns the Axes.  Needs ``pip install "neuromem[plot]"``."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, MissingDependencyError
from neuromem.hopfield.closed_forms import (
    critical_dilution,
    hierarchical_amplitudes,
    pure_state_temperature,
    symmetric_window,
)
from neuromem.hopfield.learning import learning_threshold
from neuromem.hopfield.phases import PHASES, PhaseDiagram
from neuromem.hopfield.row_law import RowLaw
from neuromem.hopfield.theory import Solution, fluctuations, free_energy, solve

COLOURS = ("#f0f0f0", "#9ecae1", "#fdae6b", "#a1d99b")  # of PHASES


def axes_or_new(ax: Any) -> Any:
    """The Axes given, or those of a new figure that no window shows."""
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError('plots need matplotlib: pip install "neuromem[plot]"') from None
    return Figure(layout="constrained").add_subplot()


def plot_row_law(law: RowLaw, pattern: int = 0, *, ax: Any = None) -> Any:
    """Probability of each value of one pattern's entries.

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw
    >>> from neuromem.hopfield.plots import plot_row_law
    >>> plot_row_law(RowLaw.supervised(1, 0.3, 0.5, 8)).get_xlabel()
    'value'
    """
    pattern = validate.integer(pattern, "pattern", 0, law.n_patterns - 1)
    ax = axes_or_new(ax)
    values, inverse = np.unique(law.values[:, pattern], return_inverse=True)
    ax.vlines(values, 0, np.bincount(inverse, law.weights))
    ax.set(xlabel="value", ylabel="probability", title=f"pattern {pattern + 1}, {law.method} law")
    return ax


def plot_hierarchy(n_patterns: int, *, ax: Any = None) -> Any:
    """Hierarchical amplitudes at zero temperature over dilution, dashed where they are not stable.

    Examples
    --------
    >>> from neuromem.hopfield.plots import plot_hierarchy
    >>> len(plot_hierarchy(3).lines)
    6
    """
    ax = axes_or_new(ax)
    limit = critical_dilution(n_patterns)
    for dilutions, style in ((np.linspace(0, limit, 200)[:-1], "-"), (np.linspace(limit, 1, 200)[:-1], "--")):
        amplitudes = np.array([hierarchical_amplitudes(n_patterns, float(d)) for d in dilutions if d < 1])
        for k in range(n_patterns):
            x = dilutions[: len(amplitudes)]
            ax.plot(x, amplitudes[:, k] if len(x) else x, style, color=f"C{k}", label=f"$m_{k + 1}$" if style == "-" else None)
    ax.set(xlabel="dilution", ylabel="amplitude", title="zero temperature")
    ax.legend()
    return ax


def plot_amplitudes(law: RowLaw, temperatures: Any, start: Any = "hierarchical", *, ax: Any = None) -> Any:
    """Amplitudes over temperature, from one start.

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw
    >>> from neuromem.hopfield.plots import plot_amplitudes
    >>> len(plot_amplitudes(RowLaw.storing(2, 0.3), [0.0, 0.1, 0.5]).lines)
    2
    """
    ax = axes_or_new(ax)
    temperatures = np.asarray(temperatures, float)
    found = np.array([solve(law, beta_of(T), start).m for T in temperatures])
    for k in range(law.n_patterns):
        ax.plot(temperatures, found[:, k], label=f"$m_{k + 1}$")
    ax.set(xlabel="temperature", ylabel="amplitude")
    ax.legend()
    return ax


def plot_free_energy(law: RowLaw, beta: float, solutions: Sequence[Solution], *, ax: Any = None) -> Any:
    """Free energy on the straight way from no overlap through each solution.

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw, attractors
    >>> from neuromem.hopfield.plots import plot_free_energy
    >>> law = RowLaw.storing(3, 0.58)
    >>> len(plot_free_energy(law, 20.0, attractors(law, 20.0, 8, random_state=0)).lines) > 0
    True
    """
    ax = axes_or_new(ax)
    shares = np.linspace(0, 1.5, 76)
    for number, solution in enumerate(solutions):
        values = [free_energy(law, share * solution.n, beta) for share in shares]
        ax.plot(shares, values, label=f"solution {number + 1}: {np.array2string(solution.m, precision=3)}")
    ax.set(xlabel="share of the solution", ylabel="free energy per unit")
    ax.legend()
    return ax


def plot_attractors(solutions: Sequence[Solution], *, ax: Any = None) -> Any:
    """Amplitudes of each attractor, one group of bars each.

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw, attractors
    >>> from neuromem.hopfield.plots import plot_attractors
    >>> len(plot_attractors(attractors(RowLaw.storing(3, 0.58), float("inf"), random_state=0)).patches)
    6
    """
    if not solutions:
        raise InputError("solutions is empty, at least one was expected")
    ax = axes_or_new(ax)
    n_patterns = len(solutions[0].m)
    for k in range(n_patterns):
        at = np.arange(len(solutions)) + 0.8 * (k / n_patterns - 0.5)
        ax.bar(at, [solution.m[k] for solution in solutions], 0.8 / n_patterns, align="edge", label=f"$m_{k + 1}$")
    names = [f"f = {solution.free_energy:.5f}" for solution in solutions]
    ax.set_xticks(range(len(solutions)), names)
    ax.set(ylabel="amplitude")
    ax.legend()
    return ax


def plot_fluctuations(law: RowLaw, temperatures: Any, start: Any = "hierarchical", *, ax: Any = None) -> Any:
    """N times the variance of each overlap over temperature: serial dynamics solid, parallel dashed.

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw
    >>> from neuromem.hopfield.plots import plot_fluctuations
    >>> len(plot_fluctuations(RowLaw.storing(2, 0.3), [0.05, 0.1, 0.5]).lines)
    4
    """
    ax = axes_or_new(ax)
    temperatures = np.asarray(temperatures, float)
    solutions = [solve(law, beta_of(T), start) for T in temperatures]
    for dynamics, style in (("serial", "-"), ("parallel", "--")):
        nothing = np.full(law.n_patterns, np.nan)
        found = np.array([np.diag(fluctuations(law, s, dynamics)) if s.stability < 1 else nothing for s in solutions])
        for k in range(law.n_patterns):
            ax.plot(temperatures, found[:, k], style, color=f"C{k}", label=f"$m_{k + 1}$, {dynamics}")
    ax.set(xlabel="temperature", ylabel="N x variance")
    ax.legend()
    return ax


def plot_phase_diagram(diagram: PhaseDiagram, *, lines: bool = True, ax: Any = None) -> Any:
    """Phases of lowest free energy over dilution and temperature; dots where the start decides, closed-form lines on top.

    Examples
    --------
    >>> from neuromem.hopfield import phase_diagram
    >>> from neuromem.hopfield.plots import plot_phase_diagram
    >>> plot_phase_diagram(phase_diagram(2, [0.2, 0.5, 0.8], [0.1, 0.3, 0.5])).get_xlabel()
    'dilution'
    """
    ax = axes_or_new(ax)
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    d, T = diagram.dilutions, diagram.temperatures
    ax.pcolormesh(d, T, diagram.phase.T, cmap=ListedColormap(COLOURS), vmin=-0.5, vmax=3.5, shading="nearest")
    where = np.argwhere(diagram.coexistence)
    ax.scatter(d[where[:, 0]], T[where[:, 1]], s=2, color="black", label="start decides")
    if lines:
        plot_critical_lines(diagram.amplitudes.shape[3], ax=ax)
    handles = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, PHASES, strict=True)]
    ax.legend(handles=[*handles, *ax.get_legend_handles_labels()[0]], fontsize="small")
    ax.set(xlabel="dilution", ylabel="temperature", ylim=(min(0, T.min()), T.max()))
    return ax


def plot_stability(diagram: PhaseDiagram, start: str = "hierarchical", *, ax: Any = None) -> Any:
    """Largest slope at the solutions reached from one start: 1 on critical lines.

    Examples
    --------
    >>> from neuromem.hopfield import phase_diagram
    >>> from neuromem.hopfield.plots import plot_stability
    >>> plot_stability(phase_diagram(2, [0.2, 0.5], [0.1, 0.3])).get_ylabel()
    'temperature'
    """
    ax = axes_or_new(ax)
    number = diagram.starts.index(validate.choice(start, "start", diagram.starts))
    image = ax.pcolormesh(diagram.dilutions, diagram.temperatures, diagram.stability[number].T, vmin=0, vmax=1, shading="nearest")
    ax.figure.colorbar(image, ax=ax, label="largest slope")
    ax.set(xlabel="dilution", ylabel="temperature", title=f"{start} start")
    return ax


def plot_critical_lines(n_patterns: int, *, ax: Any = None) -> Any:
    """Closed-form critical temperatures over dilution: of any pattern, of the second, of equal amplitudes.

    Examples
    --------
    >>> from neuromem.hopfield.plots import plot_critical_lines
    >>> len(plot_critical_lines(2).lines)
    3
    """
    ax = axes_or_new(ax)
    dilutions = np.linspace(0, 0.99, 100)
    ax.plot(dilutions, 1 - dilutions, color="black", label="$T_c$")
    ax.plot(dilutions, [pure_state_temperature(float(d)) for d in dilutions], "--", color="black", label="$T_2$")
    if n_patterns > 1:
        steep = np.linspace(0.6, 0.99, 40)
        ax.plot(steep, [symmetric_window(n_patterns, float(d))[0] for d in steep], ":", color="black", label="$T_s$")
    ax.set(xlabel="dilution", ylabel="temperature")
    ax.legend()
    return ax


def plot_critical_dilutions(most_patterns: int = 12, *, ax: Any = None) -> Any:
    """Dilution below which K patterns form a hierarchy at zero temperature, over K.

    Examples
    --------
    >>> from neuromem.hopfield.plots import plot_critical_dilutions
    >>> plot_critical_dilutions(5).get_xlabel()
    'number of patterns'
    """
    ax = axes_or_new(ax)
    numbers = np.arange(2, validate.integer(most_patterns, "most_patterns", 2) + 1)
    ax.plot(numbers, [critical_dilution(int(k)) for k in numbers], "o-")
    ax.axhline(0.5, color="grey", linestyle=":")
    ax.set(xlabel="number of patterns", ylabel="critical dilution")
    return ax


def plot_learning_threshold(n_patterns: int, dilutions: Any, *, step: float = 0.005, ax: Any = None) -> Any:
    """Largest dataset entropy at which the first pattern is learned, over dilution.

    Examples
    --------
    >>> from neuromem.hopfield.plots import plot_learning_threshold
    >>> plot_learning_threshold(2, [0.1, 0.5], step=0.05).get_ylabel()
    'threshold entropy'
    """
    ax = axes_or_new(ax)
    dilutions = np.asarray(dilutions, float)
    ax.plot(dilutions, [learning_threshold(n_patterns, float(d), step=step) for d in dilutions], "o-", label=f"K = {n_patterns}")
    ax.set(xlabel="dilution", ylabel="threshold entropy")
    ax.legend()
    return ax


def beta_of(temperature: float) -> float:
    """Inverse temperature."""
    return math.inf if temperature == 0 else 1 / float(temperature)
