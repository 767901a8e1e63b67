"""A tour on real handwritten digits: every memory of the library does the same tasks, beside exact storage."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuromem import ExactStore, SparseyClassifier, SparseyLayer, SparseyMac, capabilities
from neuromem.datasets import digits
from neuromem.experiments.result import Result
from neuromem.progress import progress_bar
from neuromem.sparsey.encode import binarize

SIDE = 8
INK = 127  # grey level from which a pixel counts as ink
N_LABELLED = 1200  # of 1,797 digits; the others are tested
N_ITEMS, QUICK_ITEMS = 200, 80  # stored for recall and recognition


@dataclass(frozen=True)
class Contender:
    """One row of the table: a memory of pictures of ink, and optionally a classifier for the label column."""

    name: str
    make: Callable[[int], Any]
    classifier: Callable[[int], Any] | None = None


# A later system takes part by adding itself here.  Digits have 40 % of their pixels in ink, many for a sparse code, so the
# macs need a sharp u_exponent; it was chosen on digits 400 ... 799 of the order of seed 0, which are only tested for labels.
CONTENDERS = [
    Contender("exact storage", lambda seed: ExactStore(SIDE * SIDE), lambda seed: ExactStore(SIDE * SIDE)),
    Contender(
        "Sparsey, one mac",
        lambda seed: SparseyMac(SIDE * SIDE, 24, 128, u_exponent=24.0, freeze=None, random_state=seed),
    ),
    Contender(
        "Sparsey, 9 macs",
        lambda seed: SparseyLayer((SIDE, SIDE), 1, (4, 4), (2, 2), 8, 128, u_exponent=24.0, freeze=None, random_state=seed),
        lambda seed: SparseyClassifier(readout="delta", critical_period=300, random_state=seed),
    ),
]


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Store digits once; recall them from their upper half; tell them from unseen ones; name them."""
    images, labels = digits()
    n_items = QUICK_ITEMS if quick else N_ITEMS
    result = Result("demo", 0, {"items": n_items, "labelled": N_LABELLED, "tested": len(images) - N_LABELLED, "ink": INK})
    pictures: dict[str, np.ndarray] = {}
    with progress_bar(len(CONTENDERS) * seeds, progress, "demo") as advance:
        for contender in CONTENDERS:
            measured: dict[str, list[float]] = {}
            for seed in range(seeds):
                order = np.random.default_rng(seed).permutation(len(images))
                for metric, value in measure(contender, images[order], labels[order], n_items, seed, pictures).items():
                    measured.setdefault(metric, []).append(value)
                advance(1)
            for metric, values in measured.items():
                result.add(contender.name, metric, values, None, presentations=1)
    if out is not None:
        draw(result, pictures, out)
    return result


def measure(
    contender: Contender,
    images: np.ndarray,
    labels: np.ndarray,
    n_items: int,
    seed: int,
    pictures: dict[str, np.ndarray],
) -> dict[str, float]:
    """Figures of one memory on one order of the digits."""
    ink = binarize(images, INK)
    seen, unseen = ink[:n_items], ink[n_items : 2 * n_items]
    warm = contender.make(seed)
    warm.write(seen[:2])
    warm.read(seen[:2])
    memory = contender.make(seed)
    start = time.perf_counter()
    memory.write(seen)
    written = time.perf_counter()
    memory.read(seen)
    read = time.perf_counter()
    found = {
        "bytes": float(memory.nbytes),
        "writes/s": n_items / (written - start),
        "reads/s": n_items / (read - written),
    }
    known = np.arange(SIDE * SIDE) < SIDE * SIDE // 2
    if "complete" in capabilities(memory):
        completed = memory.complete(seen, known)
        lower = completed[:, ~known] > 0.5
        found["recall from half"] = float((lower == seen[:, ~known]).mean())
        nearest = ((completed[:, None, :] - seen[None]) ** 2).sum(axis=2).argmin(axis=1)
        found["right picture"] = float((seen[nearest] == seen).all(axis=1).mean())
        if seed == 0:
            pictures.setdefault("stored", seen[:10])
            pictures.setdefault("cue", np.where(known, seen[:10], 0))
            pictures[contender.name] = completed[:10]
    if "familiarity" in capabilities(memory):
        old, new = memory.familiarity(seen), memory.familiarity(unseen)
        found["recognition 2AFC"] = float((old[:, None] > new).mean() + 0.5 * (old[:, None] == new).mean())
    if contender.classifier is not None:
        classifier = contender.classifier(seed)
        whole = images.reshape(len(images), -1).astype(np.float64)
        taught, asked = whole[:N_LABELLED], whole[N_LABELLED:]
        classifier.write(taught, labels[:N_LABELLED])
        found["label accuracy"] = float((classifier.predict(asked) == labels[N_LABELLED:]).mean())
    return found


def wide_table(result: Result) -> str:
    """One line per memory, one column per figure."""
    from neuromem.experiments.result import aligned

    metrics = list(dict.fromkeys(row.metric for row in result.rows))
    names = list(dict.fromkeys(row.condition for row in result.rows))
    values = {(row.condition, row.metric): row.value for row in result.rows}
    lines = [["system", "presentations", *metrics]]
    for name in names:
        cells = [values.get((name, metric)) for metric in metrics]
        lines.append([name, "1", *("" if c is None else f"{c:,.0f}" if c > 10 else f"{c:.3f}" for c in cells)])
    return aligned(lines)


def draw(result: Result, pictures: dict[str, np.ndarray], out: Path) -> None:
    """Stored digits, the cue, and what each memory made of it."""
    from neuromem.experiments.figures import finish, new_figure

    figure, ax = new_figure(8.0, 0.9 * len(pictures) + 0.4)
    rows = [np.hstack([np.pad(p.reshape(SIDE, SIDE), 1, constant_values=0.5) for p in batch]) for batch in pictures.values()]
    ax.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
    ax.set_yticks([(SIDE + 2) * (i + 0.5) for i in range(len(rows))], list(pictures))
    ax.set_xticks([])
    ax.set_title("Digits shown once, recalled from their upper half")
    finish(figure, out / "demo.png", result)
