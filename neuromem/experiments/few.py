"""A few labelled digits per class, and one-shot Omniglot: does the code selection add anything to classification?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from neuromem import SparseyClassifier, SparseyLayer
from neuromem.datasets import mnist, omniglot_runs
from neuromem.experiments.controls import WINNERS, condition_name, per_class_sample
from neuromem.experiments.mnist import FINE
from neuromem.experiments.result import Result
from neuromem.progress import progress_bar
from neuromem.sparsey.encode import OrientedEdgeEncoder

SHOTS = (1, 2, 5, 10, 20)
N_TEST, QUICK_TEST = 10_000, 1000
OMNIGLOT_SIDE = 28


def one_shot_network(winners: str, seed: int, label_code: str = "sampled") -> SparseyClassifier:
    """A network that stores and labels every item in its only presentation."""
    layer = SparseyLayer(**{**FINE, "freeze": None}, winners=winners)
    encoder = OrientedEdgeEncoder(deskew=False)
    # imprinted cells are there before the first item, so their label belongs to the code that recall gives
    code = "argmax" if winners in ("random_patches", "random_weights") else label_code
    return SparseyClassifier(layer, encoder=encoder, critical_period=None, label_code=code, random_state=seed)


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Accuracies with intervals over seeds (digits) and over items (Omniglot)."""
    shots = SHOTS[:2] if quick else SHOTS
    n_test = QUICK_TEST if quick else N_TEST
    repetitions = max(seeds, 1) if quick else max(seeds, 10)
    result = Result("sparsey-few", 0, {"layer": FINE, "freeze": None, "shots": shots, "test": n_test, "deskew": False})
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
    """MNIST digits against the controls and the nearest neighbour on the same edges."""
    x_train, y_train, x_test, y_test = mnist()
    x_test, y_test = x_test[:n_test], y_test[:n_test]
    encoder = OrientedEdgeEncoder().fit(x_test[:1])
    test_bits = encoder.transform(x_test).astype(np.float32)
    for shot in shots:
        found: dict[str, list[float]] = {}
        for seed in range(repetitions):
            chosen = per_class_sample(y_train, shot, np.random.default_rng(seed))
            for winners in WINNERS:
                network = one_shot_network(winners, seed).fit(x_train[chosen], y_train[chosen])
                found.setdefault(winners, []).append(network.score(x_test, y_test))
            bits = encoder.transform(x_train[chosen]).astype(np.float32)
            likeness = test_bits @ bits.T / np.sqrt(np.maximum(1, bits.sum(axis=1)))
            found.setdefault("nearest", []).append(float((y_train[chosen][likeness.argmax(axis=1)] == y_test).mean()))
            advance(1)
        for winners, shares in found.items():
            if winners == "nearest":
                name = f"{shot} per class: 1-nearest-neighbour, cosine, same edges"
                result.add(name, "accuracy", shares, n_test, presentations=1, items_labelled=10 * shot)
            else:
                name = f"{shot} per class: {condition_name('Sparsey', winners, 'counts')}"
                counts = dict(items_stored=10 * shot, items_labelled=10 * shot)
                result.add(name, "accuracy", shares, n_test, presentations=1, **counts)


def shrink(images: np.ndarray, side: int = OMNIGLOT_SIDE) -> np.ndarray:
    """Ink drawings to grey pictures of ``side`` by ``side``, by area."""
    import cv2

    return np.stack([cv2.resize(image * 255, (side, side), interpolation=cv2.INTER_AREA) for image in images.astype(np.uint8)])


def omniglot(result: Result, n_runs: int, seeds: int) -> None:
    """The standard runs: twenty new characters shown once, twenty drawings by somebody else to be named."""
    train, test, answer = omniglot_runs()
    found: dict[str, list[float]] = {winners: [] for winners in WINNERS}
    nearest, hausdorff = [], []
    for r in range(n_runs):
        small, probes = shrink(train[r]), shrink(test[r])
        for winners in WINNERS:
            for seed in range(seeds):
                network = one_shot_network(winners, seed).fit(small, np.arange(20))
                found[winners].append(network.score(probes, answer[r]))
        flat, others = small.reshape(20, -1).astype(np.float32), probes.reshape(20, -1).astype(np.float32)
        likeness = others @ flat.T / np.linalg.norm(flat, axis=1)
        nearest.append(float((likeness.argmax(axis=1) == answer[r]).mean()))
        hausdorff.append(float((hausdorff_distances(test[r], train[r]).argmin(axis=1) == answer[r]).mean()))
    n = 20 * n_runs
    for winners, shares in found.items():
        name = f"Omniglot one-shot: {condition_name('Sparsey', winners, 'counts')}"
        result.add(name, "accuracy", [float(np.mean(shares))], n, presentations=1, items_stored=20, items_labelled=20)
    result.add("Omniglot one-shot: 1-nearest-neighbour, cosine, pixels", "accuracy", [float(np.mean(nearest))], n)
    source = "Lake et al. 2015, baseline of the released runs (38.8 % error)"
    result.add(
        "Omniglot one-shot: modified Hausdorff distance",
        "accuracy",
        [float(np.mean(hausdorff))],
        n,
        published=0.612,
        source=source,
    )


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
    """Accuracy against the number of labelled digits."""
    from neuromem.experiments.figures import finish, new_figure

    figure, ax = new_figure()
    curves: dict[str, list[float]] = {}
    for row in result.rows:
        head, _, name = row.condition.partition(": ")
        if head.endswith("per class"):
            curves.setdefault(name, []).append(row.value)
    for name, values in curves.items():
        ax.plot(shots, values, "o-", label=name, color="0.6" if name.startswith("control: uniform") else None)
    ax.set(
        xscale="log",
        xticks=shots,
        xticklabels=shots,
        xlabel="labelled digits per class, each shown once",
        ylabel="test accuracy",
    )
    ax.set_title("Few labelled digits")
    ax.legend(fontsize=8)
    finish(figure, out / "sparsey-few.png", result)
