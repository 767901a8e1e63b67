"""How many patterns one state holds at once, from a thousand to a billion units."""

from pathlib import Path
from typing import Any

import numpy as np

from neuromem.experiments.hopfield_common import COLOURS, Comparison, draw_network, run_network, sampling_errors
from neuromem.experiments.result import Result
from neuromem.hopfield import hierarchical_amplitudes, most_patterns_at_once, solve
from neuromem.progress import progress_bar

DILUTIONS = (0.2, 0.3, 0.4)  # below d_c at every number of patterns
SIZES = tuple(10**power for power in range(3, 10))
NOISE = 3.0  # standard deviations of a chance overlap, 1 / sqrt(N), that an amplitude must exceed
MOST_PATTERNS = 11
SWEEPS = 30


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Two patterns more than the law allows are stored; amplitudes above the noise are counted after zero-noise dynamics."""
    sizes = SIZES[:4] if quick else SIZES
    dilutions = DILUTIONS[::2] if quick else DILUTIONS
    settings: dict[str, Any] = {"sizes": sizes, "dilutions": dilutions, "noise": NOISE, "sweeps": SWEEPS, "seeds": seeds}
    settings |= {"dynamics": "parallel, zero noise", "most_patterns": MOST_PATTERNS}
    result = Result("hopfield-load", 0, settings)
    held = Comparison(result)
    counts: dict[float, list[list[int]]] = {}
    within, away = [], []
    with result.timed("all"), progress_bar(len(sizes) * len(dilutions), progress, "patterns at once") as advance:
        for d in dilutions:
            for n_units in sizes:
                law = most_patterns_at_once(n_units, d, NOISE)
                n_patterns = min(MOST_PATTERNS, law + 2)
                ends: list[np.ndarray] = []
                at_once: list[int] = []
                from_random: list[int] = []
                for seed in range(seeds):
                    network = draw_network(n_patterns, d, n_units, (seed, n_patterns, round(100 * d)))
                    for start, kept in ((network.counts, at_once), ("random", from_random)):
                        trace = run_network(network, np.inf, 1, SWEEPS, seed, start=start)
                        sizes_now = abs(trace.m[0])
                        kept.append(int((sizes_now > NOISE * n_units**-0.5).sum()))
                        if kept is at_once:
                            ends.append(trace.m[0])
                            # at 1 / N the own part of a field decides ties, which no law of rows knows
                            exact = solve(network.law, np.inf, start=network.overlaps(network.counts)).m
                            away.append(float(abs(exact - trace.m[0]).max() * n_units**0.5))
                condition = f"d {d:g}, N {n_units:,}, K {n_patterns}"
                clear = max(1, law - 1)  # the patterns well above the noise; the faintest ones melt into it
                wanted = hierarchical_amplitudes(n_patterns, d)[:clear]
                held.point(
                    condition,
                    [end[:clear] for end in ends],
                    [sampling_errors(wanted, d, n_units)] * seeds,
                    [wanted] * seeds,
                    n_units,
                )
                result.add(condition, "patterns above the noise, hierarchical start", at_once)
                result.add(condition, "patterns above the noise, random start", from_random)
                result.add(condition, "patterns at once by the law", [law])
                within += [abs(count - law) <= 1 for count in at_once]
                counts.setdefault(d, []).append(at_once)
                advance(1)
    result.add("all points", "share of networks within one pattern of the law", [float(np.mean(within))], n=len(within))
    result.add("all points", "largest distance from theory on the same rows, times the root of N", [max(away)], n=len(away))
    held.summary()
    if out is not None:
        draw(result, counts, sizes, out)
    return result


def draw(result: Result, counts: dict[float, list[list[int]]], sizes: Any, out: Path) -> None:
    """Counted patterns as points, the law as steps and as a line."""
    from neuromem.experiments.figures import finish, new_figure

    figure, ax = new_figure(7.5, 4.8)
    fine = np.geomspace(sizes[0], sizes[-1], 400)
    for place, (d, found) in enumerate(counts.items()):
        ax.plot(fine, [most_patterns_at_once(int(n), d, NOISE) for n in fine], color=COLOURS[place], lw=1.2)
        for size, per_seed in zip(sizes, found, strict=True):
            shift = 10 ** (0.07 * (np.arange(len(per_seed)) - (len(per_seed) - 1) / 2))
            ax.plot(size * shift, per_seed, "o", ms=5, color=COLOURS[place], mec="white", mew=0.5)
        ax.plot([], [], "o-", color=COLOURS[place], label=f"d = {d:g}")
    ax.set(xscale="log", xlabel="units N", ylabel="patterns with an overlap above 3 / $\\sqrt{N}$", ylim=(0, None))
    ax.set_title("Patterns held at once. Points: simulated networks; steps: the law, logarithmic in N", fontsize=10)
    ax.legend(loc="upper left")
    finish(figure, out / "hopfield-load.png", result)
