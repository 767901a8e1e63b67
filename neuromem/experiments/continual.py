"""Five two-class tasks, one after the other, each digit shown once and nothing replayed, against the shuffled stream."""

from pathlib import Path

import numpy as np

from neuromem import SparseyClassifier, SparseyLayer
from neuromem.datasets import mnist
from neuromem.experiments.controls import WINNERS, accuracy
from neuromem.experiments.mnist import FINE
from neuromem.experiments.result import Result
from neuromem.progress import progress_bar
from neuromem.sparsey.encode import OrientedEdgeEncoder

TASKS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
QUICK_ITEMS, QUICK_TEST = 3000, 2000
# Learning throughout, cells freezing one by one, lets every task find free cells; a critical period would end in task one.
REGIMES = {"learning throughout": None, "critical period 3,000": 3000}


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Final accuracy on all ten classes after each kind of stream."""
    x_train, y_train, x_test, y_test = mnist()
    if quick:
        x_test, y_test = x_test[:QUICK_TEST], y_test[:QUICK_TEST]
    n_train = QUICK_ITEMS if quick else len(x_train)
    result = Result("sparsey-continual", 0, {"layer": FINE, "tasks": TASKS, "train": n_train, "deskew": True})
    encoder = OrientedEdgeEncoder(deskew=True).fit(x_train[:1])
    test = encoder.active(x_test)
    regimes = {"learning throughout": None} if quick else REGIMES
    winners = ("csa",) if quick else tuple(WINNERS)
    final: dict[tuple[str, str, str, str], list[float]] = {}
    facts = {}
    course: dict[str, list[float]] = {}
    pairs = [(kind, readout) for kind in winners for readout in (("counts", "delta") if kind == "csa" else ("counts",))]
    total = seeds * len(regimes) * len(pairs) * 2
    with result.timed("all"), progress_bar(total, progress, "continual") as advance:
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(x_train))[:n_train]
            task_of = y_train[order] // 2
            streams = {"shuffled": [order], "tasks in a row": [order[task_of == t] for t in range(len(TASKS))]}
            for regime, period in regimes.items():
                for kind, readout in pairs:
                    for stream, parts in streams.items():
                        network = SparseyClassifier(
                            SparseyLayer(**FINE, winners=kind),
                            encoder=encoder,
                            readout=readout,
                            critical_period=period,
                            random_state=seed,
                        )
                        accuracies = []
                        for i, part in enumerate(parts):
                            network.partial_fit(x_train[part], y_train[part], classes=np.arange(10))
                            if i == len(parts) - 1 or (kind == "csa" and seed == 0):
                                accuracies.append(accuracy(network, test, y_test))
                        key = (regime, kind, readout, stream)
                        final.setdefault(key, []).append(accuracies[-1])
                        facts[key] = dict(
                            presentations=network.presentations_ / n_train,
                            items_stored=network.items_stored_,
                            items_labelled=network.items_labelled_,
                        )
                        if len(accuracies) == len(TASKS):
                            course[f"{readout}, {regime}"] = accuracies
                        advance(1)
    for (regime, kind, readout, stream), shares in final.items():
        name = f"{WINNERS[kind] or 'Sparsey'}, {readout} labels, {regime}"
        result.add(f"{name}: {stream}", "accuracy", shares, len(x_test), **facts[regime, kind, readout, stream])
        if stream == "tasks in a row":
            kept = np.array(shares) / np.array(final[regime, kind, readout, "shuffled"])
            result.add(name, "share of the shuffled accuracy kept", kept, None)
    if out is not None:
        draw(result, course, out)
    return result


def draw(result: Result, course: dict[str, list[float]], out: Path) -> None:
    """Accuracy over all ten classes after each task."""
    from neuromem.experiments.figures import finish, new_figure

    figure, ax = new_figure()
    steps = np.arange(1, len(TASKS) + 1)
    for name, accuracies in course.items():
        ax.plot(steps, accuracies, "o-", label=name)
    ax.plot(steps, steps / len(TASKS), ":", color="0.6", label="all classes seen so far, perfectly")
    ax.set(
        xlabel="tasks learned",
        ylabel="accuracy on all ten digits",
        xticks=steps,
        title="Two digits at a time, shown once, no replay",
    )
    ax.legend(fontsize=8)
    finish(figure, out / "sparsey-continual.png", result)
