"""Amplitudes of three patterns against temperature, and how the distance from theory falls with the number of units."""

from pathlib import Path
from typing import Any

import numpy as np

from neuromem.experiments.hopfield_common import (
    COLOURS,
    CRITICAL,
    Comparison,
    draw_network,
    errors_of,
    run_network,
)
from neuromem.experiments.result import Result
from neuromem.hopfield import RowLaw, solve
from neuromem.progress import progress_bar

N_PATTERNS = 3
DILUTIONS = (0.2, 0.4, 0.7, 0.9)
N_UNITS = 10**8
SWEEPS, BURN_IN = 2000, 1000
SIZES = tuple(10**power for power in range(3, 10))
CHOSEN = {0.2: 0.08, 0.4: 0.1, 0.7: 0.5, 0.9: 0.5}  # T / (1 - d) at which the number of units varies: far from transitions
SHORT, N_REPLICAS = 10, 100  # sweeps of each short run; so few that the 1 / N shift of the mean stays small beside the noise


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Every temperature at 10^8 units, one temperature at 10^3 ... 10^9."""
    dilutions = (0.4, 0.7) if quick else DILUTIONS
    relative = np.linspace(0.04, 1.12, 10 if quick else 20)
    sizes = SIZES[::2] if quick else SIZES
    settings: dict[str, Any] = {"patterns": N_PATTERNS, "units": N_UNITS, "sweeps": SWEEPS, "burn_in": BURN_IN}
    settings |= {"dynamics": "parallel", "start": "hierarchical", "short_runs": {"sweeps": SHORT, "replicas": N_REPLICAS}}
    settings |= {"chosen T / (1 - d)": [CHOSEN[d] for d in dilutions], "sizes": sizes, "seeds": seeds}
    settings["left_out"] = f"temperatures with a slope of the equations above {CRITICAL}: slow, close to a transition"
    result = Result("hopfield-temperature", 0, settings)
    held = Comparison(result)
    curves, residuals = {}, {}
    with result.timed("all"), progress_bar(2 * len(dilutions), progress, "temperatures") as advance:
        for d in dilutions:
            curves[d] = against_temperature(held, d, relative, seeds)
            advance(1)
            residuals[d] = against_size(held, d, sizes, seeds)
            advance(1)
    held.summary()
    if out is not None:
        draw(result, curves, residuals, sizes, out)
    return result


def against_temperature(held: Comparison, d: float, relative: np.ndarray, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Temperatures and mean simulated amplitudes; points close to a transition are simulated, not compared."""
    networks = [draw_network(N_PATTERNS, d, N_UNITS, (seed, round(100 * d))) for seed in range(seeds)]
    T = (1 - d) * relative
    traces = [run_network(n, 1 / T, SWEEPS, BURN_IN, seed, start=n.counts) for seed, n in enumerate(networks)]
    for row, temperature in enumerate(T):
        exact = [solve(n.law, 1 / temperature, start=n.overlaps(n.counts)) for n in networks]
        if max(solution.stability for solution in exact) > CRITICAL:
            continue
        simulated = [trace.m[row] for trace in traces]
        errors = [errors_of(trace, N_UNITS)[row] for trace in traces]
        held.point(f"d {d:g}, T {temperature:.4f}", simulated, errors, [solution.m for solution in exact], N_UNITS)
    return T, np.mean([trace.m for trace in traces], axis=0)


def against_size(held: Comparison, d: float, sizes: tuple[int, ...], seeds: int) -> np.ndarray:
    """Root mean square distance (seeds, sizes) of short runs from theory on the same rows."""
    T = (1 - d) * CHOSEN[d]
    distances = np.zeros((seeds, len(sizes)))
    for place, n_units in enumerate(sizes):
        simulated, errors, theory = [], [], []
        for seed in range(seeds):
            network = draw_network(N_PATTERNS, d, n_units, (seed, round(100 * d), place))
            exact = solve(network.law, 1 / T, start=network.overlaps(network.counts))
            options: dict[str, Any] = {"n_replicas": N_REPLICAS, "record": ("m", "series"), "start": network.counts}
            trace = run_network(network, 1 / T, SHORT, 200, seed, **options)
            assert trace.series is not None
            means = trace.series[0].mean(axis=1)  # of each replica
            distances[seed, place] = np.sqrt(((means - exact.m) ** 2).mean())
            simulated.append(means.mean(axis=0))
            errors.append(np.maximum(means.std(axis=0, ddof=1) / N_REPLICAS**0.5, 2 / (n_units * SHORT * N_REPLICAS)))
            theory.append(exact.m)
        condition = f"d {d:g}, T {T:.4f}, N {n_units:,}"
        held.point(condition, simulated, errors, theory, n_units)
        scaled = distances[:, place] * n_units**0.5
        held.result.add(condition, f"distance of runs of {SHORT} sweeps, times the root of N", list(scaled), n=n_units)
    slopes = [float(np.polyfit(np.log(sizes), np.log(row), 1)[0]) for row in distances]
    held.result.add(f"d {d:g}, T {T:.4f}", "exponent of N in the distance from theory (-1/2 by theory)", slopes, n=len(sizes))
    return distances


def draw(result: Result, curves: dict[float, Any], residuals: dict[float, np.ndarray], sizes: Any, out: Path) -> None:
    """One panel for each dilution, one for the distances."""
    from neuromem.experiments.figures import finish, new_figure

    figure, axes = new_figure(3.5 * (len(curves) + 1), 3.9, len(curves) + 1)
    for ax, (d, (T, amplitudes)) in zip(axes, curves.items(), strict=False):
        law = RowLaw.storing(N_PATTERNS, d)
        fine = (1 - d) * np.linspace(0.01, 1.14, 240)
        theory = np.array([solve(law, 1 / t).m for t in fine])
        for k in range(N_PATTERNS):
            ax.plot(fine, theory[:, k], color=COLOURS[k], lw=1.2)
            ax.plot(T, amplitudes[:, k], "o", color=COLOURS[k], ms=4, label=f"pattern {k + 1}")
        ax.set(title=f"d = {d:g}", xlabel="temperature T", ylim=(-0.04 * (1 - d), 1.04 * (1 - d)))
    axes[0].set_ylabel("overlap m")
    axes[0].legend(fontsize=9)
    for place, (d, distances) in enumerate(residuals.items()):
        axes[-1].plot(sizes, distances.mean(axis=0), "o-", ms=4, lw=0.8, color=COLOURS[place], label=f"d = {d:g}")
    guide = np.array(sizes, float)
    axes[-1].plot(guide, 0.08 * guide**-0.5, color="0.4", ls="--", lw=1, label="$N^{-1/2}$")
    axes[-1].set(xscale="log", yscale="log", xlabel="units N", title="distance from theory")
    axes[-1].legend(fontsize=9)
    figure.suptitle("Three patterns, hierarchical start. Points: simulated, 100 million units (right: as shown); lines: theory")
    finish(figure, out / "hopfield-temperature.png", result)
