"""Learning from noisy examples: amplitudes against their number, with labels and without, and the learning threshold."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.experiments.hopfield_common import COLOURS, CRITICAL, Comparison, sampling_errors
from neuromem.experiments.result import Result
from neuromem.hopfield import (
    MultitaskingHebbian,
    RowLaw,
    dataset_entropy,
    required_examples,
    sample_examples,
    sample_patterns,
    solve,
)
from neuromem.progress import progress_bar

DILUTION, T = 0.3, 0.14
N_UNITS = 40_000
QUALITIES = (0.1, 0.2, 0.4, 0.6)
ENTROPIES = (4.0, 1.5, 0.7, 0.35, 0.15, 0.06)
MOST_EXAMPLES = 700
UNLABELLED = 1500  # units per example at least: the equations hold without labels while examples are few against units
SWEEPS, BURN_IN = 600, 200
UNLABELLED_SWEEPS = 400
SHOWN = (0.2, 0.6)  # qualities in the panels of several patterns
EXACT_ROWS = 200_000  # of an ideal law that is solved for a line


def numbers_of_examples(quality: float, quick: bool) -> list[int]:
    """Numbers of examples that make entropies from 4 down."""
    numbers = {max(1, round((1 - quality**2) / quality**2 / rho)) for rho in (ENTROPIES[::2] if quick else ENTROPIES)}
    return sorted(n for n in numbers if n <= (100 if quick else MOST_EXAMPLES))


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """One to three patterns; every network is compared with the equations on its own rows."""
    n_patterns_tried = (1, 2) if quick else (1, 2, 3)
    qualities = QUALITIES[3:] if quick else QUALITIES
    settings: dict[str, Any] = {"units": N_UNITS, "d": DILUTION, "T": T, "sweeps": SWEEPS, "burn_in": BURN_IN}
    settings |= {"dynamics": "parallel", "unlabelled_sweeps": UNLABELLED_SWEEPS, "seeds": seeds}
    settings |= {"unlabelled": f"where examples are at most a {UNLABELLED}th of the units", "quality": "given"}
    result = Result("hopfield-learning", 0, settings)
    held = {
        "with labels": Comparison(result),
        "without labels": Comparison(result),
        "zero noise, one pattern": Comparison(result),
    }
    points: list[dict[str, Any]] = []
    left_out = 0
    with result.timed("all"), progress_bar(len(n_patterns_tried) * len(qualities), progress, "learning") as advance:
        for n_patterns in n_patterns_tried:
            for quality in qualities:
                numbers = numbers_of_examples(quality, quick)
                for seed in range(seeds):
                    points += learn(n_patterns, quality, numbers, seed)
                advance(1)
        for key in sorted({(p["K"], p["r"], p["M"]) for p in points}):
            left_out += add_rows(held, [p for p in points if (p["K"], p["r"], p["M"]) == key], key)
        cold = add_threshold(held["zero noise, one pattern"], qualities, seeds, quick)
    for name, comparison in held.items():
        comparison.summary(f"all points, {name}")
    for kind in ("with labels", "without labels"):
        started = [p[kind]["as started"] for p in points if kind in p]
        result.add(f"all points, {kind}", "share in the state that the start leads to", [float(np.mean(started))], n=len(started))
    result.add("all points", "points left out, close to a transition", [left_out])
    if out is not None:
        draw(result, points, cold, n_patterns_tried, qualities, out)
    return result


def learn(n_patterns: int, quality: float, numbers: Iterable[int], seed: int) -> list[dict[str, Any]]:
    """A network that gets more and more examples of the same patterns; measured at each of the numbers."""
    key = [seed, n_patterns, round(100 * quality)]
    patterns = sample_patterns(n_patterns, N_UNITS, DILUTION, random_state=np.random.SeedSequence(key))
    memory = MultitaskingHebbian(learning="supervised", n_patterns=n_patterns, quality=quality, random_state=seed)
    start = np.where(patterns[0] != 0, patterns[0], 1)
    for pattern in patterns[::-1]:
        start = np.where(pattern != 0, pattern, start)
    kept: list[np.ndarray] = []
    points, have = [], 0
    for n_examples in numbers:
        more = sample_examples(patterns, n_examples - have, quality, random_state=np.random.SeedSequence([*key, n_examples]))
        memory.partial_fit(more.reshape(-1, N_UNITS), np.repeat(np.arange(n_patterns), n_examples - have))
        have = n_examples
        point: dict[str, Any] = {"K": n_patterns, "r": quality, "M": n_examples}
        point["with labels"] = measured(memory, memory.row_law(patterns), patterns, start, SWEEPS)
        few = n_patterns * n_examples * UNLABELLED <= N_UNITS
        if few:
            kept.append(more)
            examples = np.concatenate(kept, axis=1).reshape(-1, N_UNITS)
            other = MultitaskingHebbian(learning="unsupervised", n_patterns=n_patterns, quality=quality, random_state=seed)
            other.fit(examples)
            law = law_of_examples(other, examples, patterns)
            point["without labels"] = measured(other, law, patterns, start, UNLABELLED_SWEEPS)
        points.append(point)
    return points


def law_of_examples(memory: MultitaskingHebbian, examples: np.ndarray, patterns: np.ndarray) -> RowLaw:
    """The rows of a network without labels, whose equations have an amplitude for every example."""
    n_examples = len(examples) // len(patterns)
    truth = np.repeat(patterns, n_examples, axis=0)
    return RowLaw.empirical(examples.T / memory.quality_[0], truth.T, scale=memory.scales_[0] / n_examples)


def measured(memory: MultitaskingHebbian, law: RowLaw, patterns: np.ndarray, start: np.ndarray, sweeps: int) -> dict[str, Any]:
    """Overlaps with the true patterns, their standard errors, and the solution of the equations next to them.

    Chance decides where a run that starts on the ridge between two states ends; whether the start itself leads to the solution
    is told apart.
    """
    options: dict[str, Any] = {"beta": 1 / T, "dynamics": "parallel", "record": ("m", "states")}
    trace = memory.simulate(start, n_sweeps=sweeps, burn_in=BURN_IN, probes=patterns, **options)
    assert trace.states is not None
    exact = solve(law, 1 / T, start=memory.overlaps(trace.states[0, 0][None])[0])
    wanted = solve(law, 1 / T, start=memory.overlaps(start[None])[0])
    theory = exact.m[:: len(exact.m) // len(patterns)]
    found = {"m": trace.m[0], "error": trace.m_error[0], "theory": theory, "stability": exact.stability}
    return found | {"as started": bool(abs(exact.m - wanted.m).max() < 1e-6)}


def add_rows(held: dict[str, Comparison], points: list[dict[str, Any]], key: tuple[int, float, int]) -> int:
    """Both kinds of learning at one number of examples, over seeds; returns how many were too close to a transition."""
    n_patterns, quality, n_examples = key
    left_out = 0
    for kind in ("with labels", "without labels"):
        if kind not in points[0]:
            continue
        condition = f"K {n_patterns}, r {quality:g}, M {n_examples}, {kind}"
        found = [point[kind] for point in points]
        if kind == "without labels":
            apart = max(float(abs(point[kind]["theory"] - point["with labels"]["theory"]).max()) for point in points)
            held[kind].result.add(condition, "largest difference that labels make, theory", [apart])
        if max(f["stability"] for f in found) > CRITICAL:
            left_out += 1
            continue
        means, errors, theory = ([f[name] for f in found] for name in ("m", "error", "theory"))
        held[kind].point(condition, means, errors, theory, N_UNITS)
    return left_out


def add_threshold(held: Comparison, qualities: Iterable[float], seeds: int, quick: bool) -> dict[float, list[tuple[float, ...]]]:
    """One pattern at zero noise from random starts, around the threshold, against binomials and against erf."""
    from scipy.special import erf

    cold: dict[float, list[tuple[float, ...]]] = {}
    for quality in qualities:
        threshold = required_examples(1, DILUTION, quality)
        numbers = sorted({max(1, round(threshold * factor)) for factor in ((1, 3) if quick else (0.25, 0.5, 1, 2, 4))})
        for n_examples in numbers:
            found = np.array([cold_overlap(quality, n_examples, seed) for seed in range(seeds)])[:, None]
            exact = solve(RowLaw.supervised(1, DILUTION, quality, n_examples), np.inf).m
            condition = f"K 1, r {quality:g}, M {n_examples}, zero noise"
            errors = np.broadcast_to(sampling_errors(exact, DILUTION, N_UNITS), found.shape)
            held.point(condition, found, errors, np.broadcast_to(exact, found.shape), N_UNITS)
            rho = dataset_entropy(quality, n_examples)
            held.result.add(condition, "m by erf, many examples", [float((1 - DILUTION) * erf(1 / np.sqrt(2 * rho)))])
            if n_examples == threshold:
                held.result.add(f"{condition}, at the threshold", "m / (1 - d)", found.ravel() / (1 - DILUTION), n=N_UNITS)
            cold.setdefault(quality, []).append((1 / rho, float(found.mean()) / (1 - DILUTION)))
    return cold


def cold_overlap(quality: float, n_examples: int, seed: int) -> float:
    """Overlap with the one pattern behind the examples, after serial updates at zero noise from a random state."""
    key = [seed, 77, round(100 * quality), n_examples]
    patterns = sample_patterns(1, N_UNITS, DILUTION, random_state=np.random.SeedSequence(key))
    examples = sample_examples(patterns, n_examples, quality, random_state=np.random.SeedSequence([*key, 1]))
    memory = MultitaskingHebbian(learning="supervised", quality=quality, n_patterns=1, random_state=seed)
    memory.fit(examples[0], np.zeros(n_examples, np.int64))
    trace = memory.simulate("random", beta=np.inf, n_sweeps=2, burn_in=20, probes=patterns, record=("m",))
    return abs(float(trace.m[0, 0]))


def draw(result: Result, points: Any, cold: Any, n_patterns_tried: Any, qualities: Any, out: Path) -> None:
    """Amplitudes against the number of examples for each number of patterns, and the collapse at zero noise."""
    from scipy.special import erf

    from neuromem.experiments.figures import finish, new_figure

    figure, axes = new_figure(4.3 * (len(n_patterns_tried) + 1), 4.4, len(n_patterns_tried) + 1)
    for ax, n_patterns in zip(axes, n_patterns_tried, strict=False):
        for place, quality in enumerate(qualities):
            if n_patterns > 1 and quality not in SHOWN:
                continue
            mine = {p["M"]: p for p in points[::-1] if (p["K"], p["r"]) == (n_patterns, quality)}  # of the first seed
            lines(ax, n_patterns, quality, sorted(mine), COLOURS[place])
            for kind, marker, size in (("with labels", "o", 5), ("without labels", "s", 9)):
                face = COLOURS[place] if kind == "with labels" else "none"
                for n_examples, point in mine.items():
                    if kind in point:
                        amplitudes = -np.sort(-point[kind]["m"])
                        ax.plot([n_examples] * n_patterns, amplitudes, marker, ms=size, mfc=face, mec=COLOURS[place])
            ax.plot([], [], "o", color=COLOURS[place], label=f"r = {quality:g}")
        ax.set(xscale="log", xlabel="examples per pattern M", title=f"K = {n_patterns}", ylim=(-0.02, 0.74))
    axes[0].set_ylabel(f"overlap with the pattern, T = {T:g}, d = {DILUTION:g}")
    axes[0].legend(loc="lower right")
    last = axes[-1]
    fine = np.geomspace(0.1, 10, 200)
    last.plot(fine, erf(np.sqrt(fine / 2)), color="0.3", lw=1.2, label="erf, many examples")
    for place, quality in enumerate(qualities):
        last.plot(*zip(*cold[quality], strict=True), "o", ms=5, color=COLOURS[place], label=f"r = {quality:g}")
    last.axvline(1.0, color="0.5", ls=":", lw=1)
    last.axhline(float(erf(1 / np.sqrt(2))), color="0.5", ls=":", lw=1)
    last.set(xscale="log", xlabel="$M r^2 / (1 - r^2)$", ylabel="m / (1 - d)", title="K = 1, zero noise: nearly one curve")
    last.legend(loc="lower right")
    title = "Points: simulated (squares: without labels); lines: exact at each M; dashed: limit of many examples"
    figure.suptitle(title)
    finish(figure, out / "hopfield-learning.png", result)


def lines(ax: Any, n_patterns: int, quality: float, numbers: list[int], colour: str) -> None:
    """Theory for infinitely many units: exact at each M where its rows can be listed, and the limit of many examples."""
    span = np.unique(np.round(np.geomspace(numbers[0], numbers[-1], 24)).astype(int))
    small = [n for n in span if (2 * n + 3) ** n_patterns <= EXACT_ROWS]
    for method, some, style in (("exact", small, "-"), ("gaussian", span, "--")):
        laws = [RowLaw.supervised(n_patterns, DILUTION, quality, int(n), method=method) for n in some]
        if laws:
            ax.plot(some, [solve(law, 1 / T).m for law in laws], style, color=colour, lw=1.1)
