"""All of MNIST, every training digit shown once."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from neuromem import MultiScaleSparseyClassifier, SparseyClassifier, SparseyLayer
from neuromem.datasets import mnist
from neuromem.experiments.controls import WINNERS, condition_name
from neuromem.experiments.result import Result
from neuromem.progress import progress_bar
from neuromem.sparsey.encode import OrientedEdgeEncoder

# Chosen on the last 10,000 training digits, learning from the others; docs/sparsey.md says how often the test was scored.
FINE: dict[str, Any] = dict(
    shape=(28, 28),
    channels=8,
    receptive_field=(9, 9),
    stride=(3, 3),
    n_modules=8,
    units_per_module=128,
    saturation_limit=0.12,
)
COARSE: dict[str, Any] = dict(
    shape=(28, 28),
    channels=8,
    receptive_field=(12, 12),
    stride=(4, 4),
    n_modules=16,
    units_per_module=192,
    saturation_limit=0.10,
)
PERIOD = {"fine": 3000, "coarse": 6000}
EDGE_THRESHOLD = 20.0
QUICK_ITEMS = 10_000
READOUTS = ("binary", "counts", "delta")


def network(grid: str, deskew: bool, readout: str, seed: int, winners: str = "csa") -> SparseyClassifier:
    """One single-grid classifier of the table."""
    layer = SparseyLayer(**(FINE if grid == "fine" else COARSE), winners=winners)
    encoder = OrientedEdgeEncoder(threshold=EDGE_THRESHOLD, deskew=deskew)
    return SparseyClassifier(layer, encoder=encoder, readout=readout, critical_period=PERIOD[grid], random_state=seed)


def vote(deskew: tuple[bool, ...], readout: str, seed: int) -> MultiScaleSparseyClassifier:
    """The multi-scale network, or the part of it that sees pictures straightened, or as they are."""
    templates = [n for n in MultiScaleSparseyClassifier.default_networks() if n.get_params()["encoder__deskew"] in deskew]
    return MultiScaleSparseyClassifier([n.set_params(readout=readout) for n in templates], random_state=seed)


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Single grids and the multi-scale vote, every label rule, with and without deskewing, controls and rivals."""
    x_train, y_train, x_test, y_test = mnist()
    n_train = QUICK_ITEMS if quick else len(x_train)
    settings = {"fine": FINE, "coarse": COARSE, "critical_period": PERIOD, "edge_threshold": EDGE_THRESHOLD}
    settings |= {"multi-scale": [repr(n) for n in MultiScaleSparseyClassifier.default_networks()]}
    settings |= {"train": n_train, "test": len(x_test)}
    result = Result("mnist", 0, settings)
    conditions: list[tuple[str, Any]] = []
    readouts = ("counts", "delta") if quick else READOUTS
    grids = (("fine", False), ("fine", True)) if quick else (("fine", False), ("fine", True), ("coarse", False), ("coarse", True))
    for grid, deskew in grids:
        for readout in readouts:
            name = f"{grid} grid, {'deskew' if deskew else 'no deskew'}, {readout} labels"
            conditions.append((name, lambda seed, g=grid, d=deskew, r=readout: network(g, d, r, seed)))
    parts: dict[str, tuple[bool, ...]] = {"no deskew and deskew": (False, True)}
    if not quick:
        parts |= {"no deskew": (False,), "deskew": (True,)}
    for part, deskewed in parts.items():
        for readout in ("delta",) if quick else READOUTS:
            name = f"multi-scale vote, {part}, {readout} labels"
            conditions.append((name, lambda seed, d=deskewed, r=readout: vote(d, r, seed)))
    for winners in [w for w in WINNERS if w != "csa"]:
        for readout in ("counts", "delta") if not quick else ("delta",):
            name = condition_name("", winners, readout) + " (fine grid, deskew)"
            conditions.append((name, lambda seed, w=winners, r=readout: network("fine", True, r, seed, w)))
    with progress_bar(seeds * len(conditions), progress, "mnist") as advance:
        for name, make in conditions:
            shares, learning, testing = [], [], []
            for seed in range(seeds):
                order = np.random.default_rng(seed).permutation(len(x_train))[:n_train]
                memory = make(seed)
                start = time.perf_counter()
                memory.fit(x_train[order], y_train[order])
                middle = time.perf_counter()
                shares.append(memory.score(x_test, y_test))
                learning.append(middle - start)
                testing.append(time.perf_counter() - middle)
                advance(1)
            facts = dict(
                presentations=memory.presentations_ / n_train,
                items_stored=memory.items_stored_,
                items_labelled=memory.items_labelled_,
            )
            result.add(name, "accuracy", shares, len(x_test), **facts)
            add_seconds(result, name, float(np.median(learning)), float(np.median(testing)))
    add_rivals(result, x_train[order], y_train[order], x_test, y_test)
    if out is not None:
        from neuromem.experiments.figures import bars

        rows = [row for row in result.rows if row.metric == "accuracy"]
        bars(rows, out / "mnist.png", f"MNIST, {n_train:,} digits shown once", "test accuracy", 0.80, result)
    return result


def add_rivals(result: Result, x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> None:
    """Nearest neighbour and logistic regression on the same pixels, same order (last seed)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    train, test = (images.reshape(len(images), -1).astype(np.float32) / 255 for images in (x, x_test))
    for name, rival in (
        ("1-nearest-neighbour, pixels", KNeighborsClassifier(1, algorithm="brute")),
        ("logistic regression, pixels", LogisticRegression(C=0.01, max_iter=100, tol=1e-3)),
    ):
        start = time.perf_counter()
        rival.fit(train, y)
        middle = time.perf_counter()
        share = rival.score(test, y_test)
        result.add(name, "accuracy", [share], len(x_test), items_labelled=len(train))
        add_seconds(result, name, middle - start, time.perf_counter() - middle)


def add_seconds(result: Result, name: str, learn: float, test: float) -> None:
    """What one learning and testing took, encoding included; also a row, so that it stands beside the accuracy."""
    result.seconds |= {f"{name}: learn": learn, f"{name}: test": test}
    result.add(name, "seconds to learn and test", [learn + test])
