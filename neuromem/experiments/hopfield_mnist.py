"""Handwritten digits as patterns with blank entries: correlated data, where theory still holds and recognition does not."""

from pathlib import Path
from typing import Any

import numpy as np

from neuromem.datasets import mnist
from neuromem.experiments.hopfield_common import COLOURS, CRITICAL, Comparison, Network, errors_of
from neuromem.experiments.result import Result
from neuromem.hopfield import MultitaskingHebbian, simulate_classes, solve
from neuromem.progress import progress_bar

INK = 127  # grey levels above it are ink
N_CLASSES = 10
EXAMPLES = (10, 100, 1000)
LAW_EXAMPLES = 100
COPIES = 100_000  # units with each pixel's row, for the comparison with theory
SWEEPS, BURN_IN = 2000, 2000
RELATIVE = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1)
N_CUES = 2000
QUICK_ITEMS = 12_000


def ternarised(images: np.ndarray) -> np.ndarray:
    """Ink 1, a ring of one pixel around it -1, the far background 0; int8 (n, pixels)."""
    ink = images > INK
    grown = np.zeros_like(ink)
    height, width = ink.shape[1:]
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    for down in range(3):
        for right in range(3):
            grown |= padded[:, down : down + height, right : right + width]
    return (ink.astype(np.int8) - (grown & ~ink)).reshape(len(images), -1)


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Row-law theory against simulation on the sums of real digits; recognition before and after recall."""
    x_train, y_train, x_test, y_test = mnist()
    n_train = QUICK_ITEMS if quick else len(x_train)
    items, y_train, cues = ternarised(x_train[:n_train]), y_train[:n_train], ternarised(x_test[: N_CUES // (4 if quick else 1)])
    labels = y_test[: len(cues)]
    dilution = float((items == 0).mean())
    relative = RELATIVE[1::3] if quick else RELATIVE
    settings: dict[str, Any] = {"ink": INK, "law_examples": LAW_EXAMPLES, "copies": COPIES, "sweeps": SWEEPS}
    settings |= {"burn_in": BURN_IN, "cues": len(cues), "examples": EXAMPLES, "relative_temperatures": relative, "seeds": seeds}
    result = Result("hopfield-mnist", 0, settings)
    result.add("digits", "share of blank pixels", [dilution], n=items.size)
    held = Comparison(result)
    shown: dict[str, Any] = {}
    with result.timed("all"), progress_bar(seeds * (1 + len(EXAMPLES)), progress, "digits") as advance:
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(items))
            shown = against_theory(held, items[order], y_train[order], relative, seed)
            advance(1)
        recognition: dict[str, list[list[float]]] = {}
        for n_examples in EXAMPLES:
            for seed in range(seeds):
                order = np.random.default_rng(seed).permutation(len(items))
                for name, share in recognised(items[order], y_train[order], n_examples, cues, labels, seed).items():
                    recognition.setdefault(name, [[] for _ in EXAMPLES])[EXAMPLES.index(n_examples)].append(share)
                advance(1)
        for name, found in recognition.items():
            for n_examples, shares in zip(EXAMPLES, found, strict=True):
                result.add(f"M {n_examples}, {name}", "share of test digits told", shares, n=len(cues))
    held.summary()
    if out is not None:
        draw(result, shown, recognition, items, y_train, out)
    return result


def learned(items: np.ndarray, labels: np.ndarray, n_examples: int, seed: int) -> MultitaskingHebbian:
    """A network that was shown so many examples of each digit, with labels; one quality for all digits, as estimated."""
    chosen = np.concatenate([np.flatnonzero(labels == digit)[:n_examples] for digit in range(N_CLASSES)])
    memory = MultitaskingHebbian(learning="supervised", n_patterns=N_CLASSES, random_state=seed)
    quality = float(np.mean(memory.fit(items[chosen], labels[chosen]).quality_))
    return memory.set_params(quality=min(1.0, quality)).fit(items[chosen], labels[chosen])


def against_theory(held: Comparison, items: np.ndarray, labels: np.ndarray, relative: Any, seed: int) -> dict[str, Any]:
    """Amplitudes of all digits against temperature, started from each of three digits."""
    memory = learned(items, labels, LAW_EXAMPLES, seed)
    law = memory.row_law()
    n_units = memory.n_features_in_
    unit = LAW_EXAMPLES * float(memory.quality_[0])
    sums = np.rint(law.values * unit).astype(np.int64)  # of the distinct rows of pixels
    copies = np.rint(law.weights * n_units).astype(np.int64) * COPIES
    network = Network(sums, copies)
    scale = float(law.scale[0]) / unit**2
    hottest = float(np.linalg.eigvalsh((law.values.T * law.weights) @ law.values * law.scale[0])[-1])
    held.result.add(f"seed {seed}", "critical temperature of these rows", [hottest])
    report = memory.capacity_report()
    held.result.add(f"seed {seed}", "critical temperature, were entries independent", [report["critical_temperature"]])
    held.result.add(f"seed {seed}", "quality of the examples, estimated", [report["quality"]])
    shown: dict[str, Any] = {"T": hottest * np.array(relative), "curves": {}}
    for digit in (0, 3):
        side = np.sign(sums[:, digit])
        start = np.where(side == 0, copies // 2, copies * (side > 0))
        # draws of its own: with shared ones two starts that reach one state become one and the same run
        draws = np.random.SeedSequence([seed, digit])
        options: dict[str, Any] = {"start": start, "random_state": draws, "record": ("m",), "scale": scale}
        trace = simulate_classes(sums, copies, beta=1 / shown["T"], n_sweeps=SWEEPS, burn_in=BURN_IN, **options)
        real = real_network(memory, shown["T"], digit)
        errors = errors_of(trace, network.n_units)
        curve = []
        for row, T in enumerate(shown["T"]):
            simulated = trace.m[row] / unit
            exact = solve(law, 1 / T, start=simulated)
            curve.append(exact.n)
            if exact.stability > CRITICAL:
                continue
            condition = f"seed {seed}, from digit {digit}, T {T:.3f}"
            largest = held.keep(simulated, errors[row] / unit, exact.n)
            for name, values in (("n", simulated), ("n, theory", exact.n)):
                held.result.add(condition, f"mean over digits of {name}", [float(values.mean())], n=network.n_units)
                held.result.add(condition, f"largest {name}", [float(values.max())], n=network.n_units)
            held.result.add(condition, "largest deviation, standard errors", [largest], n=N_CLASSES)
            away = float(np.sqrt(((real[row] - exact.n) ** 2).mean()))
            held.result.add(condition, f"distance of the network of {n_units} pixels from theory", [away])
        shown["curves"][digit] = (trace.m / unit, real, np.array(curve))
    return shown


def real_network(memory: MultitaskingHebbian, T: np.ndarray, digit: int) -> np.ndarray:
    """Overlaps with what was learned (n_temperatures, K) of the network of pixels itself, serial updates."""
    start = np.where(memory.sums_[digit] < 0, -1, 1).astype(np.int8)
    options: dict[str, Any] = {"n_sweeps": 1000, "burn_in": 300, "record": ("m",)}
    found: np.ndarray = memory.simulate(start, beta=1 / T, **options).m
    return found


def recognised(
    items: np.ndarray, labels: np.ndarray, n_examples: int, cues: np.ndarray, wanted: np.ndarray, seed: int
) -> dict[str, float]:
    """Share of test digits whose largest cosine with the learned sums is their own, before and after recall."""
    memory = learned(items, labels, n_examples, seed)
    sums = memory.sums_.astype(float)
    sums /= np.sqrt((sums**2).sum(axis=1, keepdims=True))
    recall = memory.read(cues)
    spins = recall.values[:, 0].astype(float)
    clamped = memory.read(cues, clamp=cues != 0).values[:, 0].astype(float)
    told = {"cue itself": cues.astype(float), "after recall": spins, "after recall, cue kept": clamped}
    return {name: float(((states @ sums.T).argmax(axis=1) == wanted).mean()) for name, states in told.items()}


def draw(result: Result, shown: Any, recognition: Any, items: np.ndarray, labels: np.ndarray, out: Path) -> None:
    """Digits, amplitudes against temperature, recognition."""
    from neuromem.experiments.figures import finish, new_figure

    figure, axes = new_figure(15.0, 4.2, 4)
    first = [items[np.flatnonzero(labels == digit)[0]].reshape(28, 28) for digit in range(N_CLASSES)]
    tiles = np.vstack([np.hstack([np.pad(tile, 1) for tile in first[i : i + 2]]) for i in range(0, N_CLASSES, 2)])
    axes[0].imshow(tiles, cmap="RdBu_r", vmin=-1, vmax=1)
    axes[0].set_axis_off()
    axes[0].set_title("ink 1, ring -1, blank 0")
    for ax, digit in zip(axes[1:3], (0, 3), strict=True):
        simulated, real, theory = shown["curves"][digit]
        for k in range(N_CLASSES):
            colour = COLOURS[0] if k == digit else "0.6"
            ax.plot(shown["T"], theory[:, k], color=colour, lw=1)
            ax.plot(shown["T"], simulated[:, k], "o", ms=4, color=colour)
            ax.plot(shown["T"], real[:, k], "x", ms=4, color=colour)
        ax.plot([], [], "o", color=COLOURS[0], label=f"digit {digit}")
        ax.plot([], [], "o", color="0.6", label="other digits")
        ax.plot([], [], "x", color="0.3", label="784 pixels as they are")
        ax.set(xlabel="temperature T", ylabel="overlap n", title=f"started from digit {digit}")
        ax.legend(fontsize=8)
    for place, (name, found) in enumerate(recognition.items()):
        axes[3].plot(EXAMPLES, [np.mean(shares) for shares in found], "o-", color=COLOURS[place], label=name)
    axes[3].axhline(1 / N_CLASSES, color="0.5", ls=":", label="chance")
    axes[3].set(xscale="log", xlabel="examples per digit M", ylabel="share of test digits told", ylim=(0, 1), title="Recognition")
    axes[3].legend(fontsize=8)
    figure.suptitle("Digits as patterns with blank entries. Points: simulated; lines: theory on the rows of these pixels")
    finish(figure, out / "hopfield-mnist.png", result)
