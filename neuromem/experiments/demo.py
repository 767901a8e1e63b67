"""A tour on real handwritten digits: every memory of the library does the same tasks, beside exact storage."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuromem import (
    BidirectionalAssociativeMemory,
    ChunkMemory,
    DenseAssociativeMemory,
    ExactStore,
    HopfieldNetwork,
    ModernHopfield,
    MultitaskingHebbian,
    SparseDistributedMemory,
    SparseyClassifier,
    SparseyLayer,
    SparseyMac,
    SparseyNetwork,
    SparseySequenceMemory,
    WillshawMemory,
    capabilities,
)
from neuromem.datasets import digits
from neuromem.experiments.result import Result
from neuromem.experiments.retention_memories import each_an_episode
from neuromem.progress import progress_bar
from neuromem.retention import AdaptedMemory
from neuromem.sparsey import SparseyLevel
from neuromem.sparsey.encode import ThermometerEncoder, binarize

SIDE = 8
INK = 127  # grey level from which a pixel counts as ink
N_LABELLED = 1200  # of 1,797 digits; the others are tested
N_ITEMS, QUICK_ITEMS = 200, 80  # stored for recall and recognition


def as_ink(ink: np.ndarray) -> np.ndarray:
    """Ink as it is, uint8 (n, 64)."""
    return ink


def paired(ink: np.ndarray) -> np.ndarray:
    """Ink, and beside it paper, uint8 (n, 128): every picture has equally many active features."""
    return np.concatenate([ink, 1 - ink], axis=1)


def signed(ink: np.ndarray) -> np.ndarray:
    """Ink 1 and paper -1, int8 (n, 64)."""
    return 2 * ink.astype(np.int8) - 1


def ink_of(items: np.ndarray, form: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """How much ink there is in items of a form, float (n, 64), 0 paper and 1 ink."""
    items = items.astype(np.float64)
    if form is paired:
        return (1 + items[:, : SIDE * SIDE] - items[:, SIDE * SIDE :]) / 2
    return (1 + items) / 2 if form is signed else items


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    ``make(seed)`` gives a memory; ``form`` turns pictures of 64 pixels, ink or not, into the items that it takes: ``as_ink``,
    ``paired`` or ``signed``.  ``classifier(seed)`` learns the label column from grey levels 0 ... 255 (n, 64).
    """

    name: str
    make: Callable[[int], Any]
    classifier: Callable[[int], Any] | None = None
    form: Callable[[np.ndarray], np.ndarray] = as_ink


def one_mac(seed: int) -> SparseyMac:
    """One mac over the whole picture."""
    return SparseyMac(2 * SIDE * SIDE, 24, 250, u_exponent=64.0, freeze=None, random_state=seed)


def nine_macs(seed: int) -> SparseyLayer:
    """Nine macs, each over 6 x 6 pixels."""
    return SparseyLayer((SIDE, SIDE), 2, (6, 6), (1, 1), 8, 128, u_exponent=32.0, freeze=None, random_state=seed)


def named_by_codes(seed: int) -> SparseyClassifier:
    """Nine macs over four grey levels of 4 x 4 pixels, and a field of labels."""
    layer = SparseyLayer((SIDE, SIDE), 8, (4, 4), (2, 2), 8, 128, saturation_limit=0.3)
    return SparseyClassifier(
        layer, encoder=ThermometerEncoder(4), critical_period=300, label_during_critical_period=True, random_state=seed
    )


def mac_of_sequences(seed: int) -> AdaptedMemory:
    """The mac over the whole picture that also hears its previous code; digits in a row are no sequence."""
    return each_an_episode(SparseySequenceMemory(2 * SIDE * SIDE, 24, 250, u_exponent=64.0, random_state=seed))


def two_levels(seed: int) -> AdaptedMemory:
    """The same mac under another one."""
    levels = [SparseyLevel(24, 250, u_exponent=64.0), SparseyLevel(16, 24, persistence=2)]
    return each_an_episode(SparseyNetwork(2 * SIDE * SIDE, levels, random_state=seed))


def exact(seed: int) -> ExactStore:
    """Every picture, searched."""
    return ExactStore(SIDE * SIDE)


# A later system takes part by adding itself here.  Settings were chosen on digits 400 ... 799 of the order of seed 0, those of
# the labels on the last 300 of the 1,200 that are taught: none of these is stored or tested for the same column.
CONTENDERS = [
    Contender("exact storage", exact, exact),
    Contender("Sparsey, one mac", one_mac, form=paired),
    Contender("Sparsey, 9 macs", nine_macs, named_by_codes, form=paired),
    Contender("Sparsey, sequences", mac_of_sequences, form=paired),
    Contender("Sparsey, network", two_levels, form=paired),
    Contender("multitasking Hebbian", lambda seed: MultitaskingHebbian(SIDE * SIDE, random_state=seed), form=signed),
    Contender("Hopfield, dreaming", lambda seed: HopfieldNetwork(SIDE * SIDE), form=signed),
    Contender("dense associative", lambda seed: DenseAssociativeMemory(SIDE * SIDE), form=signed),
    Contender("modern Hopfield", lambda seed: ModernHopfield(SIDE * SIDE)),
    Contender("bidirectional", lambda seed: BidirectionalAssociativeMemory(SIDE * SIDE), form=signed),
    Contender("Willshaw", lambda seed: WillshawMemory(2 * SIDE * SIDE), form=paired),
    Contender("HCAM, 4 chunks of 16", lambda seed: ChunkMemory(SIDE * SIDE, 16, n_chunks=4, include_open=True)),
    Contender("sparse distributed", lambda seed: SparseDistributedMemory(SIDE * SIDE, max_steps=1, random_state=seed)),
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
    items, others = contender.form(seen), contender.form(unseen)
    warm = contender.make(seed)
    warm.write(items)
    warm.read(items)
    memory = contender.make(seed)
    start = time.perf_counter()
    memory.write(items)
    written = time.perf_counter()
    memory.read(items)
    read = time.perf_counter()
    found = {
        "bytes": float(memory.nbytes),
        "writes/s": n_items / (written - start),
        "reads/s": n_items / (read - written),
    }
    known = np.arange(SIDE * SIDE) < SIDE * SIDE // 2
    if "complete" in capabilities(memory):
        given = np.tile(known, items.shape[1] // known.size)
        completed = ink_of(memory.complete(items, given), contender.form)
        lower = completed[:, ~known] > 0.5
        found["recall from half"] = float((lower == seen[:, ~known]).mean())
        nearest = ((completed[:, None, :] - seen[None]) ** 2).sum(axis=2).argmin(axis=1)
        found["right picture"] = float((seen[nearest] == seen).all(axis=1).mean())
        if seed == 0:
            pictures.setdefault("stored", seen[:10])
            pictures.setdefault("cue", np.where(known, seen[:10], 0.5))
            pictures[contender.name] = completed[:10]
    if "familiarity" in capabilities(memory):
        old, new = memory.familiarity(items), memory.familiarity(others)
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

    figure, ax = new_figure(8.0, 0.68 * len(pictures) + 0.5)
    rows = [
        np.hstack([np.pad(p.reshape(SIDE, SIDE).astype(float), 1, constant_values=0.7) for p in batch])
        for batch in pictures.values()
    ]
    ax.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
    ax.set_yticks([(SIDE + 2) * (i + 0.5) for i in range(len(rows))], list(pictures))
    ax.set_xticks([])
    ax.set_title("Digits shown once, recalled from their upper half")
    finish(figure, out / "demo.png", result)
