"""The author's setting: 200 skeleton digits per class, 16 wide and 24 high, shown once (Rinkus and Leveille 2017)."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from neuromem import SparseyLayer
from neuromem.datasets import mnist
from neuromem.experiments.controls import WINNERS, classifier, condition_name, per_class_sample
from neuromem.experiments.result import Result
from neuromem.progress import progress_bar
from neuromem.sparsey.encode import IdentityEncoder, skeletonize_to

PER_CLASS = 200
# Chosen on 4,000 other digits of the training set.
LAYER: dict[str, Any] = dict(
    shape=(24, 16), receptive_field=(7, 5), stride=(1, 1), n_modules=8, units_per_module=192, saturation_limit=0.35
)
CRITICAL_PERIOD = 300
PUBLISHED, SOURCE = 0.91, "Rinkus and Leveille 2017, smallest test set"


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """All readouts and controls; learning is timed on skeletons that are ready."""
    x_train, y_train, x_test, y_test = mnist()
    n_test = 2000 if quick else len(x_test)
    settings = {**LAYER, "critical_period": CRITICAL_PERIOD, "per_class": PER_CLASS, "test": n_test}
    result = Result("mnist-200", 0, settings)
    with result.timed("encode"):
        test = skeletonize_to(x_test[:n_test])
    conditions: list[tuple[str, str, int]] = [("csa", r, p) for p in (1, 2) for r in ("binary", "counts", "delta")]
    conditions += [(w, r, 1) for w in WINNERS if w != "csa" for r in ("binary", "counts")]
    found: dict[tuple[str, str, int], list[float]] = {condition: [] for condition in conditions}
    learn_seconds = []
    facts: dict[tuple[str, str, int], Any] = {}
    with progress_bar(seeds * len(conditions), progress, "mnist-200") as advance:
        for seed in range(seeds):
            chosen = per_class_sample(y_train, PER_CLASS, np.random.default_rng(seed))
            with result.timed("encode"):
                train = skeletonize_to(x_train[chosen])
            for condition in conditions:
                winners, readout, presentations = condition
                network = classifier(
                    SparseyLayer(**LAYER, winners=winners),
                    seed,
                    encoder=IdentityEncoder((24, 16)),
                    readout=readout,
                    critical_period=CRITICAL_PERIOD,
                    label_presentations=presentations,
                    label_during_critical_period=True,
                )
                start = time.perf_counter()
                network.fit(train, y_train[chosen])
                if condition == ("csa", "binary", 1):
                    learn_seconds.append(time.perf_counter() - start)
                with result.timed("test"):
                    found[condition].append(network.score(test, y_test[:n_test]))
                shown = network.presentations_ / len(train)
                facts[condition] = dict(
                    presentations=shown, items_stored=network.items_stored_, items_labelled=network.items_labelled_
                )
                advance(1)
    for condition in conditions:
        winners, readout, presentations = condition
        base = "Sparsey" if presentations == 1 else "Sparsey, labels on a second presentation"
        columns = dict(published=PUBLISHED, source=SOURCE) if condition == ("csa", "binary", 1) else {}
        result.add(condition_name(base, winners, readout), "accuracy", found[condition], n_test, **facts[condition], **columns)
    result.add("Sparsey, binary labels", "seconds to learn", [np.median(learn_seconds)], published=220.0, source=SOURCE)
    add_rivals(result, train, y_train[chosen], test, y_test[:n_test])
    if out is not None:
        draw(result, out)
    return result


def add_rivals(result: Result, train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> None:
    """Nearest neighbour and logistic regression on the same bits (last seed)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    for name, rival in (
        ("1-nearest-neighbour, same bits", KNeighborsClassifier(1, metric="cosine", algorithm="brute")),
        ("logistic regression, same bits", LogisticRegression(C=0.1, max_iter=200)),
    ):
        with result.timed(name):
            share = rival.fit(train.astype(np.float32), labels).score(test.astype(np.float32), truth)
        result.add(name, "accuracy", [share], len(test), items_labelled=len(train))


def draw(result: Result, out: Path) -> None:
    """Accuracies as bars with intervals."""
    from neuromem.experiments.figures import bars

    rows = [row for row in result.rows if row.metric == "accuracy"]
    bars(rows, out / "mnist-200.png", "MNIST, 200 skeletons per class", "test accuracy", 0.70, result)
