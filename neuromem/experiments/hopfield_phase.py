"""Phases of networks of two and three patterns over dilution and noise, simulated from two starts."""

from pathlib import Path
from typing import Any

import numpy as np

from neuromem.experiments.hopfield_common import CRITICAL, Comparison, draw_network, errors_of, run_network
from neuromem.experiments.result import Result, Row
from neuromem.hopfield import critical_dilution, pure_state_temperature, solve, symmetric_temperature
from neuromem.progress import progress_bar

N_UNITS = 10**8
SWEEPS, BURN_IN = 2000, 2000
VISIBLE = 0.03  # share of 1 - d: smaller amplitudes, and smaller differences of amplitudes, count as none
STARTS = ("hierarchical", "equal strengths")
SYMMETRIC = -1


def phase_of(amplitudes: np.ndarray, d: float) -> int:
    """How many patterns a state holds; -1 where all of them, in equal strength."""
    sizes = np.sort(abs(amplitudes))[::-1]
    there = int((sizes > VISIBLE * (1 - d)).sum())
    equal = there == len(sizes) and sizes[0] - sizes[-1] < VISIBLE * (1 - d)
    return SYMMETRIC if equal and there > 1 else there


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """One network for each dilution; all temperatures from both starts; phases against theory on the same rows."""
    dilutions = np.linspace(0.05, 0.95, 7 if quick else 25)
    relative = np.linspace(0.06 if quick else 0.05, 1.1, 8 if quick else 24)  # temperatures over 1 - d
    sweeps = 1200 if quick else SWEEPS
    settings = {"units": N_UNITS, "sweeps": sweeps, "burn_in": BURN_IN, "dynamics": "parallel"}
    settings |= {"visible": VISIBLE, "left_out_of_comparison": f"slope of the equations above {CRITICAL}"}
    result = Result("hopfield-phase", 0, settings | {"dilutions": dilutions.tolist(), "T / (1 - d)": relative.tolist()})
    held = Comparison(result)
    maps: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    left_out, agree = 0, []
    with result.timed("all"), progress_bar(2 * len(dilutions), progress, "phases") as advance:
        for n_patterns in (2, 3):
            simulated = np.zeros((len(STARTS), len(dilutions), len(relative)), int)
            apart = np.zeros((len(dilutions), len(relative)), bool)
            for column, d in enumerate(dilutions):
                condition = f"K {n_patterns}, d {d:.4g}"
                largest, n_points, same = 0.0, 0, []
                for seed in range(seeds):
                    network = draw_network(n_patterns, d, N_UNITS, (seed, n_patterns, column))
                    law, ends = network.law, []
                    slow = np.zeros(len(relative), bool)
                    for place, start in enumerate((network.counts, network.evened_out)):
                        beta = 1 / ((1 - d) * relative)
                        draws = np.random.SeedSequence([seed, place])  # shared ones would make one run of two that meet
                        trace = run_network(network, beta, sweeps, BURN_IN, draws, start=start)
                        found, errors = trace.m, errors_of(trace, N_UNITS)
                        ends.append(-np.sort(-abs(found), axis=1))
                        for row in range(len(beta)):
                            # from equal strengths, chance decides which pattern leads: then the solution next to the end
                            first = network.overlaps(start) if place == 0 else found[row]
                            exact = solve(law, beta[row], start=first)
                            simulated[place, column, row] = phase_of(found[row], d)
                            if exact.stability > CRITICAL:
                                left_out += 1
                                slow[row] = True
                                continue
                            away = held.keep(found[row], errors[row], exact.m)
                            largest, n_points = max(largest, away), n_points + 1
                            same.append(phase_of(exact.m, d) == simulated[place, column, row])
                    apart[column] |= ~slow & (abs(ends[0] - ends[1]).max(axis=1) > VISIBLE * (1 - d))
                result.add(condition, "largest deviation, standard errors", [largest], n=n_points * n_patterns)
                result.add(condition, "share of points in the phase that theory says", [float(np.mean(same))], n=len(same))
                agree += same
                result.rows.append(
                    Row(condition, "temperatures where the start decides", int(apart[column].sum()), n=len(relative))
                )
                advance(1)
            maps[n_patterns] = (simulated, apart)
            add_boundaries(result, n_patterns, simulated, dilutions, relative)
    result.add("all points", "share of points in the phase that theory says", [float(np.mean(agree))], n=len(agree))
    result.add("all points", "points left out, close to a transition", [left_out])
    held.summary()
    if out is not None:
        draw(result, maps, dilutions, relative, out)
    return result


def add_boundaries(result: Result, n_patterns: int, simulated: np.ndarray, dilutions: np.ndarray, relative: np.ndarray) -> None:
    """Highest simulated temperature of each kind of state, with the next one of the grid, beside the closed form."""
    for column, d in enumerate(dilutions):
        kinds: dict[str, tuple[np.ndarray, float | None]] = {"any pattern": (simulated[0, column] != 0, 1.0)}
        if d < 0.6:  # closer to 2/3 equal strengths are stable above T_2 too
            kinds["two patterns"] = (abs(np.where(simulated[0, column] < 0, 9, simulated[0, column])) > 1, None)
        for kind, (there, law) in kinds.items():
            if not there.any():
                continue
            last = int(np.flatnonzero(there).max())
            upper = relative[min(last + 1, len(relative) - 1)]
            T_2 = float(pure_state_temperature(d)) / (1 - d) if law is None else law
            condition = f"K {n_patterns}, d {d:.4g}, {kind}"
            row = result.add(condition, "T / (1 - d) up to which simulated", [relative[last]])
            row.ci_low, row.ci_high = float(relative[last]), float(upper)
            result.add(condition, "T / (1 - d) up to which, closed form", [T_2])


def draw(result: Result, maps: dict[int, Any], dilutions: np.ndarray, relative: np.ndarray, out: Path) -> None:
    """Simulated phases as squares, closed forms as lines."""
    from matplotlib.patches import Patch

    from neuromem.experiments.figures import finish, new_figure

    figure, axes = new_figure(12.0, 5.2, 2)
    colours: dict[int, Any] = {0: "0.93", 1: "#c6dbef", 2: "#6baed6", 3: "#2171b5", SYMMETRIC: "#fdae6b"}
    width, height = dilutions[1] - dilutions[0], relative[1] - relative[0]
    fine = np.linspace(0.01, 2 / 3 - 0.001, 80)
    finer = np.linspace(2 / 3 + 0.001, 0.97, 60)
    T_2 = np.array([float(pure_state_temperature(d)) for d in fine]) / (1 - fine)
    for ax, (n_patterns, (simulated, apart)) in zip(axes, maps.items(), strict=True):
        for column, d in enumerate(dilutions):
            for row, T in enumerate(relative):
                first, second = simulated[:, column, row]
                corner = (d - width / 2, T - height / 2)
                ax.add_patch(rectangle(corner, width, height, colours[first]))
                if apart[column, row]:
                    ax.plot(d, T, "o", ms=3.2, color=colours[second], mec="0.2", mew=0.5)
        T_s = np.array([float(symmetric_temperature(n_patterns, d)) for d in finer]) / (1 - finer)
        ax.plot(fine, T_2, color="black", lw=1.4)
        ax.plot(finer, T_s, color="black", lw=1.4, ls="--")
        ax.axhline(1.0, color="black", lw=1.4, ls="-.")
        if n_patterns > 2:
            ax.plot(critical_dilution(n_patterns), relative[0] - height / 2, "^", color="black", ms=8, clip_on=False, zorder=5)
        ax.set(xlim=(dilutions[0] - width / 2, dilutions[-1] + width / 2))
        ax.set(ylim=(relative[0] - height / 2, relative[-1] + height / 2), xlabel="dilution d", ylabel="T / (1 - d)")
        ax.set_title(f"{('two', 'three')[n_patterns - 2]} patterns")
    names = {0: "none", 1: "one pattern", 2: "two", 3: "three, graded", SYMMETRIC: "all, equal strength"}
    handles = [Patch(facecolor=colours[kind], edgecolor="0.6", label=name) for kind, name in names.items()]
    handles += [handle("o", "another start ends elsewhere"), handle("-", "$T_2(d)$: second pattern")]
    handles += [handle("--", "$T_s(K, d)$: equal strength stable above"), handle("-.", "$T_c = 1 - d$")]
    handles += [handle("^", "$d_c(K)$ at T = 0")]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=9)
    figure.suptitle("Patterns held at once. Squares: simulated, 100 million units each; lines: theory")
    finish(figure, out / "hopfield-phase.png", result)


def rectangle(corner: tuple[float, float], width: float, height: float, colour: Any) -> Any:
    """One square of the map."""
    from matplotlib.patches import Rectangle

    return Rectangle(corner, width, height, facecolor=colour, edgecolor="white", lw=0.4)


def handle(style: str, label: str) -> Any:
    """A line or a marker of the legend."""
    from matplotlib.lines import Line2D

    if style in "o^":
        return Line2D([], [], ls="", marker=style, color="#fdae6b" if style == "o" else "black", mec="0.2", label=label)
    return Line2D([], [], ls=style, color="black", label=label)
