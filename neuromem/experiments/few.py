"""A few labelled digits per class, and one-shot Omniglot: does the code selection add anything to classification?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neuromem import SparseyClassifier, SparseyLayer
from neuromem.datasets import mnist, omniglot_runs
from neuromem.experiments.controls import WINNERS, accuracy, condition_name, overfull, per_class_sample
from neuromem.experiments.mnist import FINE
from neuromem.experiments.result import Result
from neuromem.progress import progress_bar
from neuromem.sparsey import ActiveRows
from neuromem.sparsey.encode import OrientedEdgeEncoder

SHOTS = (1, 2, 5, 10, 20)
# With 128 cells per module 200 digits hardly share one; with 8 every cell must stand for many, and nothing freezes.
CELLS = {"128 cells": 128, "8 cells": 8}
N_TEST, QUICK_TEST = 10_000, 1000
REPETITIONS = 10
# Chosen on one-shot runs made of the background alphabets; size, place and blur serve the nearest neighbour as well.
SIDE, SPREAD, BLUR, EDGE_THRESHOLD = 28, 6.3, 1.5, 30


def one_shot_network(winners: str, seed: int, units: int = 128, threshold: int = 60) -> SparseyClassifier:
    """A network that stores and labels every item in its only presentation."""
    layer = SparseyLayer(**{**FINE, "units_per_module": units, "freeze": None}, winners=winners)
    encoder = OrientedEdgeEncoder(threshold=threshold)
    # imprinted cells are there before the first item, so their label belongs to the code that recall gives
    code = "argmax" if winners in ("random_patches", "random_weights") else "sampled"
    return SparseyClassifier(layer, encoder=encoder, critical_period=None, label_code=code, random_state=seed)


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Accuracies with intervals over samples of digits, and over the items of Omniglot's runs."""
    shots = SHOTS[1::3] if quick else SHOTS
    n_test = QUICK_TEST if quick else N_TEST
    repetitions = seeds if quick else max(seeds, REPETITIONS)
    settings = {"layer": FINE, "freeze": None, "cells": CELLS, "shots": shots, "test": n_test, "repetitions": repetitions}
    settings["omniglot"] = {"side": SIDE, "spread": SPREAD, "blur": BLUR, "edge_threshold": EDGE_THRESHOLD}
    result = Result("sparsey-few", 0, settings)
    with progress_bar(len(shots) * repetitions + 1, progress, "few") as advance:
        with result.timed("digits"):
            digits(result, shots, repetitions, n_test, advance)
        with result.timed("omniglot"):
            omniglot(result, 2 if quick else 20, seeds)
        advance(1)
    if out is not None:
        draw(result, shots, out)
    return result


def digits(result: Result, shots: tuple[int, ...], repetitions: int, n_test: int, advance: Callable[[int], None]) -> None:
    """MNIST digits: every way to choose winners, and two rivals, all on the same edges."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    x_train, y_train, x_test, y_test = mnist()
    x_test, y_test = x_test[:n_test], y_test[:n_test]
    encoder = OrientedEdgeEncoder().fit(x_test[:1])
    test = encoder.active(x_test)
    test_bits = bits(test)
    for shot in shots:
        found: dict[str, list[float]] = {}
        for seed in range(repetitions):
            chosen = per_class_sample(y_train, shot, np.random.default_rng(seed))
            x, y = x_train[chosen], y_train[chosen]
            for cells, units in CELLS.items():
                for winners in WINNERS:
                    with overfull():
                        network = one_shot_network(winners, seed, units).fit(x, y)
                    name = f"{cells}, {condition_name('Sparsey', winners, 'counts')}"
                    found.setdefault(name, []).append(accuracy(network, test, y_test))
            x_bits = bits(encoder.active(x))
            for name, rival in (
                ("1-nearest-neighbour, cosine, same edges", KNeighborsClassifier(1, metric="cosine", algorithm="brute")),
                ("logistic regression, same edges", LogisticRegression(C=0.1, max_iter=100, tol=1e-3)),
            ):
                with result.timed(name):
                    found.setdefault(name, []).append(float(rival.fit(x_bits, y).score(test_bits, y_test)))
            advance(1)
        for name, shares in found.items():
            stored = 10 * shot if "labels" in name else None
            counts = dict(presentations=1, items_stored=stored, items_labelled=10 * shot)
            result.add(f"{shot} per class: {name}", "accuracy", shares, n_test, **counts)
        for cells in CELLS:
            ours = np.array(found[f"{cells}, Sparsey, counts labels"])
            for winners in [w for w in WINNERS if w != "csa"]:
                lead = ours - found[f"{cells}, {condition_name('', winners, 'counts')}"]
                control = WINNERS[winners].removeprefix("control: ")
                result.add(f"{shot} per class: {cells}, Sparsey minus {control}", "difference", lead)


def bits(active: ActiveRows) -> Any:
    """The same features as a sparse matrix, float32."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(active.indices), np.float32)
    return csr_matrix((ones, active.indices, active.indptr), shape=(len(active), active.n_features))


def shrink(drawings: np.ndarray) -> np.ndarray:
    """Ink drawings to grey pictures with the ink's centre in the middle and its spread the same in all."""
    import cv2

    pictures = []
    for drawing in drawings.astype(np.uint8):
        rows, columns = np.nonzero(drawing)
        scale = SPREAD / max(1.0, float(np.sqrt((rows.var() + columns.var()) / 2)))
        shift = [SIDE / 2 - scale * columns.mean(), SIDE / 2 - scale * rows.mean()]
        thick = cv2.GaussianBlur(cv2.dilate(drawing * 255, np.ones((3, 3), np.uint8)), (0, 0), 0.5 / scale)
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        pictures.append(cv2.GaussianBlur(cv2.warpAffine(thick, matrix, (SIDE, SIDE)), (0, 0), BLUR))
    return np.stack(pictures)


def omniglot(result: Result, n_runs: int, seeds: int) -> None:
    """The standard runs: twenty new characters shown once, twenty drawings by somebody else to be named."""
    from sklearn.neighbors import KNeighborsClassifier

    train, test, answer = omniglot_runs()
    found: dict[str, list[float]] = {}
    hausdorff = "modified Hausdorff distance"
    nearest = "1-nearest-neighbour, cosine, same pictures"
    for r in range(n_runs):
        items, probes = shrink(train[r]), shrink(test[r])
        for winners in WINNERS:
            name = condition_name("Sparsey", winners, "counts")
            for seed in range(seeds):
                network = one_shot_network(winners, seed, threshold=EDGE_THRESHOLD).fit(items, np.arange(20))
                found.setdefault(name, []).append(network.score(probes, answer[r]))
        with result.timed(f"Omniglot: {nearest}"):
            rival = KNeighborsClassifier(1, metric="cosine", algorithm="brute")
            rival.fit(items.reshape(20, -1).astype(np.float32), np.arange(20))
            found.setdefault(nearest, []).append(rival.score(probes.reshape(20, -1).astype(np.float32), answer[r]))
        with result.timed(f"Omniglot: {hausdorff}"):
            named = hausdorff_distances(test[r], train[r]).argmin(axis=1)
        found.setdefault(hausdorff, []).append(float((named == answer[r]).mean()))
    for name, shares in found.items():
        # one mean over runs and seeds: the interval is Wilson's over the items
        stored = 20 if "labels" in name else None
        source = "baseline of the released runs (Lake et al. 2015): 38.8 % error" if name == hausdorff else ""
        columns = dict(published=0.612 if source else None, source=source, items_stored=stored, items_labelled=20)
        result.add(f"Omniglot one-shot: {name}", "accuracy", [np.mean(shares)], 20 * n_runs, presentations=1, **columns)


def hausdorff_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Modified Hausdorff distance (Dubuisson and Jain 1994) between ink pixels, float64 (n_a, n_b)."""
    from scipy.spatial import cKDTree

    def points(images: np.ndarray) -> list[np.ndarray]:
        ink = [np.argwhere(image).astype(float) for image in images]
        return [p - p.mean(axis=0) for p in ink]

    points_a, points_b = points(a), points(b)
    trees_a, trees_b = [cKDTree(p) for p in points_a], [cKDTree(p) for p in points_b]
    distances = np.empty((len(a), len(b)))
    for i, (pa, ta) in enumerate(zip(points_a, trees_a, strict=True)):
        for j, (pb, tb) in enumerate(zip(points_b, trees_b, strict=True)):
            distances[i, j] = max(tb.query(pa)[0].mean(), ta.query(pb)[0].mean())
    return distances


def draw(result: Result, shots: tuple[int, ...], out: Path) -> None:
    """Accuracy against the number of labelled digits, one panel for plenty of cells and one for few."""
    from neuromem.experiments.figures import finish, new_figure

    figure, axes = new_figure(10.5, 4.4, len(CELLS))
    for ax, cells in zip(axes, CELLS, strict=True):
        curves: dict[str, list[tuple[int, float]]] = {}
        for row in result.rows:
            head, _, name = row.condition.partition(" per class: ")
            own = name.startswith(cells) or not name.startswith(tuple(CELLS))
            if name and row.metric == "accuracy" and own:
                label = name.removeprefix(f"{cells}, ").removesuffix(", counts labels")
                curves.setdefault(label, []).append((int(head), row.value))
        for label, points in curves.items():
            style = "--" if label.startswith("control") else ":" if label != "Sparsey" else "-"
            ax.plot(*zip(*points, strict=True), f"o{style}", label=label, lw=2.5 if label == "Sparsey" else 1.2, ms=4)
        ax.set(xscale="log", xlabel="labelled digits per class, each shown once", title=f"{cells} per module")
        ax.set_xticks(shots, [str(shot) for shot in shots])
        ax.minorticks_off()
    axes[0].set_ylabel("test accuracy")
    axes[0].legend(fontsize=8)
    finish(figure, out / "sparsey-few.png", result)
