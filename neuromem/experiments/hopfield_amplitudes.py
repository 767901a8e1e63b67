"""Amplitudes of the patterns that one state holds at zero noise, from hierarchical and from random starts."""

from pathlib import Path
from typing import Any

import numpy as np

from neuromem.experiments.hopfield_common import (
    COLOURS,
    Comparison,
    Network,
    draw_network,
    in_errors,
    sampling_errors,
)
from neuromem.experiments.result import Result
from neuromem.hopfield import (
    critical_dilution,
    graded_majority_amplitudes,
    hierarchical_amplitudes,
    simulate_classes,
    solve,
)
from neuromem.progress import progress_bar

N_UNITS = 10**8
PATTERNS = (2, 3, 4, 5, 6)
DILUTIONS = (0.1, 0.2, 0.3, 0.4, 0.48, 0.53, 0.56, 0.6, 0.64, 0.7, 0.8, 0.9)  # 0.547 and the d_c lie between
N_STARTS = 200
SWEEPS = 60
CROSSING = (1 + 2 * 2**0.5) / 7  # of the energies of both states of three patterns
LED, RANDOM = "hierarchical start", "random starts"


def settled(network: Network, start: Any, n_replicas: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlaps (n_replicas, K) that zero-noise dynamics ends at, and how far each moved in its last sweep."""
    trace = simulate_classes(
        network.rows,
        network.counts,
        beta=np.inf,
        n_sweeps=2,
        burn_in=SWEEPS - 2,
        n_replicas=n_replicas,
        start=start,
        record=("series",),
        random_state=seed,
    )
    assert trace.series is not None
    last = trace.series[0]
    return last[:, -1], abs(last[:, -1] - last[:, -2]).max(axis=1)


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Hierarchical starts against the closed forms, random starts against the equations, both sides of every threshold."""
    patterns = (2, 3) if quick else PATTERNS
    dilutions = (0.3, 0.53, 0.56, 0.6, 0.64, 0.9) if quick else DILUTIONS
    n_starts = 40 if quick else N_STARTS
    settings = {"units": N_UNITS, "starts": n_starts, "sweeps": SWEEPS, "dynamics": "parallel, zero noise", "seeds": seeds}
    result = Result("hopfield-amplitudes", 0, settings | {"patterns": patterns, "dilutions": dilutions})
    held = Comparison(result)
    solved: list[bool] = []
    course: dict[tuple[int, float], dict[str, Any]] = {}
    with result.timed("all"), progress_bar(len(patterns) * len(dilutions), progress, "amplitudes") as advance:
        for n_patterns in patterns:
            for d in dilutions:
                condition = f"K {n_patterns}, d {d:.2f}"
                networks = [draw_network(n_patterns, d, N_UNITS, (seed, n_patterns, round(100 * d))) for seed in range(seeds)]
                ends = np.stack([settled(n, "hierarchical", 1, s)[0][0] for s, n in enumerate(networks)])
                exact = np.stack([solve(n.law, np.inf).m for n in networks])
                solved += (abs(ends - exact).max(axis=1) < 1e-6).tolist()
                law, name = expected(n_patterns, d)
                if law is not None:
                    held.point(f"{condition}, {LED}, {name}", ends, sampling_errors(law, d, N_UNITS), law, N_UNITS)
                random_ends, moved = zip(*[settled(n, "random", n_starts, 1000 + s) for s, n in enumerate(networks)], strict=True)
                found = np.concatenate(random_ends)
                for network, ends_here in zip(networks, random_ends, strict=True):
                    solved += are_solutions(network, ends_here)
                shares = shares_of(found, n_patterns, d)
                for kind, share in shares.items():
                    result.add(f"{condition}, {RANDOM}", f"share that ends {kind}", [share], n=len(found))
                still = float(np.mean(np.concatenate(moved) == 0))
                result.add(f"{condition}, {RANDOM}", "share at rest", [still], n=len(found))
                course[n_patterns, d] = {"ends": ends.mean(axis=0), "shares": shares}
                advance(1)
    add_crossing(result, seeds)
    result.add("all ends", "share that solve the equations", [float(np.mean(solved))], n=len(solved))
    held.summary()
    if out is not None:
        draw(result, course, patterns, dilutions, out)
    return result


def expected(n_patterns: int, d: float) -> tuple[np.ndarray | None, str]:
    """What the hierarchical start must lead to, and its name; None where no closed form is known."""
    if n_patterns == 2 or d < critical_dilution(n_patterns):
        return hierarchical_amplitudes(n_patterns, d), "hierarchical state"
    if n_patterns == 3:
        return graded_majority_amplitudes(d), "graded majority"
    return None, "beyond d_c"


def are_solutions(network: Network, ends: np.ndarray) -> list[bool]:
    """Whether each end of a run solves the equations on the network's own rows."""
    law = network.law
    distinct, inverse = np.unique(ends, axis=0, return_inverse=True)
    fits = np.array([abs(solve(law, np.inf, start=end).m - end).max() < 1e-6 for end in distinct])
    return fits[inverse.reshape(-1)].tolist()


def shares_of(ends: np.ndarray, n_patterns: int, d: float) -> dict[str, float]:
    """Which state each run ended in, patterns in any order and turned round or not."""
    amplitudes = -np.sort(-abs(ends), axis=1)

    def near(law: np.ndarray) -> float:
        wanted = -np.sort(-law)
        away = in_errors(amplitudes, sampling_errors(wanted, d, N_UNITS), wanted).max(axis=1)
        return float((away < 6).mean())

    shares = {"hierarchical": near(hierarchical_amplitudes(n_patterns, d))}
    if n_patterns == 3:
        shares["graded majority"] = near(graded_majority_amplitudes(d))
    shares["elsewhere"] = max(0.0, 1 - sum(shares.values()))
    return shares


def add_crossing(result: Result, seeds: int) -> None:
    """Three patterns: energies per unit of both states, simulated on both sides of where they cross."""
    for d in (0.53, 0.56):
        energies: dict[str, list[float]] = {"hierarchical": [], "graded majority": []}
        for seed in range(seeds):
            network = draw_network(3, d, N_UNITS, (seed, 3, round(100 * d)))
            for kind, start in zip(energies, (network.counts, network.evened_out), strict=True):
                trace = simulate_classes(
                    network.rows, network.counts, beta=np.inf, n_sweeps=1, burn_in=SWEEPS, start=start, random_state=seed
                )
                assert trace.energy is not None
                energies[kind].append(float(trace.energy[0]) / N_UNITS)
        condition = f"K 3, d {d:.2f}, energies"
        for kind, law in zip(energies, (hierarchical_amplitudes(3, d), graded_majority_amplitudes(d)), strict=True):
            result.add(condition, f"energy per unit, {kind}", [float(np.mean(energies[kind]))], n=N_UNITS)
            result.add(condition, f"energy per unit, {kind}, closed form", [-0.5 * float(law @ law)])
    result.add("K 3", "d where the energies cross, closed form", [CROSSING])


def draw(result: Result, course: dict[Any, Any], patterns: Any, dilutions: Any, out: Path) -> None:
    """Amplitudes against d, powers against the pattern's place, and where random starts end."""
    from neuromem.experiments.figures import finish, new_figure

    figure, (left, middle, right) = new_figure(14.0, 4.6, 3)
    grid = np.linspace(0, 0.999, 400)
    below, above = grid[grid < critical_dilution(3)], grid[grid >= critical_dilution(3)]
    hierarchy = np.array([hierarchical_amplitudes(3, d) for d in grid])
    majority = np.array([graded_majority_amplitudes(d) for d in grid])
    for k in range(3):
        colour = COLOURS[k]
        left.plot(below, hierarchy[: len(below), k], color=colour)
        left.plot(above, majority[len(below) :, k], color=colour)
        left.plot(above, hierarchy[len(below) :, k], color=colour, ls=":", lw=1)
        left.plot(dilutions, [course[3, d]["ends"][k] for d in dilutions], "o", color=colour, ms=5, label=f"pattern {k + 1}")
    left.axvline(critical_dilution(3), color="0.4", ls="--", lw=1)
    left.text(critical_dilution(3) + 0.01, 0.86, f"$d_c$ = {critical_dilution(3):.4f}", color="0.3", fontsize=9)
    left.set(title="Three patterns, hierarchical start", xlabel="dilution d", ylabel="overlap m", ylim=(-0.02, 0.95))
    left.legend(title="simulated", loc="upper right", bbox_to_anchor=(1.0, 0.9))
    most = max(patterns)
    places = np.arange(1, most + 1)
    for place, d in enumerate(d for d in dilutions if d < critical_dilution(most)):
        middle.plot(places, hierarchical_amplitudes(most, d), lw=1, color=COLOURS[place])
        middle.plot(places, course[most, d]["ends"], "o", ms=5, color=COLOURS[place], label=f"d = {d:g}")
    middle.set(yscale="log", xticks=places, xlabel="pattern k", ylabel="overlap m")
    middle.set_title(f"{most} patterns, hierarchical start: $(1-d)\\,d^{{k-1}}$")
    middle.legend(loc="lower left")
    for place, n_patterns in enumerate(patterns):
        shares = [course[n_patterns, d]["shares"]["hierarchical"] for d in dilutions]
        right.plot(dilutions, shares, "o-", ms=4, lw=0.8, color=COLOURS[place], label=f"K = {n_patterns}, hierarchical")
        if n_patterns > 2:
            right.axvline(critical_dilution(n_patterns), ymax=0.97, color=COLOURS[place], ls="--", lw=0.8)
    shares = [course[3, d]["shares"]["graded majority"] for d in dilutions]
    right.plot(dilutions, shares, "s-", ms=5, lw=0.8, mfc="none", color=COLOURS[1], label="K = 3, graded majority")
    right.set(title="Where random starts end; dashed: $d_c(K)$", xlabel="dilution d", ylabel="share of runs", ylim=(-0.03, 1.09))
    right.legend(loc="upper left", bbox_to_anchor=(0.0, 0.92), fontsize=8)
    figure.suptitle("Zero noise: points are simulated, 100 million units each; lines are theory")
    finish(figure, out / "hopfield-amplitudes.png", result)
