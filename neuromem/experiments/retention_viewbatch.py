"""View batches on a stream of tasks: does it pay to see an item in several views at once and less often?"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.datasets import digits
from neuromem.experiments.result import Result
from neuromem.experiments.workers import one_thread_each
from neuromem.layers import MLP, log_softmax, softmax_cross_entropy
from neuromem.optim import SGD
from neuromem.retention import ViewBatchSampler, average_accuracy, forgetting, view_kl
from neuromem.sweep import run_tasks

N_TASKS, CLASSES_PER_TASK, N_CLASSES = 5, 2, 10
N_TEST = 500
HIDDEN, BATCH, LEARNING_RATE = 128, 32, 0.1
BANK = 8  # augmented copies of every picture
# Passes over a task's data and the buffer, pictures in the buffer, share of rows with strong augmentation, weight of view_kl.
REGIMES: dict[str, tuple[int, int, float, float]] = {
    "short training": (24, 100, 0.0, 0.0),
    "long training": (96, 50, 0.0, 0.0),
    "long training, half of the rows augmented strongly": (96, 50, 0.5, 0.0),
    "long training, half of the rows augmented strongly, views drawn together": (96, 50, 0.5, 1.0),
}
BASELINES = {name: name.removesuffix(", views drawn together") for name in REGIMES}
VIEWS = (1, 2, 4, 8, 16)
QUICK_REGIMES, QUICK_VIEWS, QUICK_PASSES, QUICK_SEEDS = ("short training",), (1, 4), 4, 3


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Accuracy and forgetting for every number of views, and differences from plain shuffling on the same seeds."""
    regimes, views = (QUICK_REGIMES, QUICK_VIEWS) if quick else (tuple(REGIMES), VIEWS)
    n_seeds = max(seeds, QUICK_SEEDS)
    tasks: list[dict[str, Any]] = [
        {"regime": regime, "views": n_views, "seed": seed, "passes": QUICK_PASSES if quick else REGIMES[regime][0]}
        for seed in range(n_seeds)
        for regime in regimes
        for n_views in views
        if n_views > 1 or not REGIMES[regime][3]
    ]
    settings = {
        "tasks": N_TASKS,
        "classes of a task": CLASSES_PER_TASK,
        "network": [64, HIDDEN, N_CLASSES],
        "rows of a batch": BATCH,
    }
    settings |= {"learning rate": LEARNING_RATE, "views": views, "regimes": {name: REGIMES[name] for name in regimes}}
    settings |= {"passes, buffer, strong share, weight of view_kl": "of each regime", "seeds": n_seeds, "test pictures": N_TEST}
    result = Result("retention-viewbatch", 0, settings)
    folder = None if quick or out is None else out / "retention-viewbatch-tasks"
    with result.timed("train and test"), one_thread_each() as pool:
        found = run_tasks(learned, tasks, pool, folder, progress)
    by_key = {(task["regime"], task["views"], task["seed"]): each for task, each in zip(tasks, found, strict=True)}
    for regime in regimes:
        plain = [by_key[BASELINES[regime], 1, seed] for seed in range(n_seeds)]
        for n_views in views:
            if n_views > 1 or regime == BASELINES[regime]:
                mine = [by_key[regime, n_views, seed] for seed in range(n_seeds)]
                add_rows(result, f"{regime}: {n_views} view{'s' * (n_views > 1)}", mine, plain if n_views > 1 else None)
    if out is not None:
        draw(result, regimes, views, out)
    return result


def add_rows(result: Result, condition: str, mine: list[Any], plain: list[Any] | None) -> None:
    """Means over seeds; paired differences from one view."""
    for metric in ("accuracy", "forgetting"):
        result.add(condition, metric, [each[metric] for each in mine], n=N_TEST)
        if plain is not None:
            differences = [float(a[metric]) - float(b[metric]) for a, b in zip(mine, plain, strict=True)]
            result.add(condition, f"{metric} less that of one view", differences)
    result.add(condition, "rows from one visit of a picture to the next", [each["interval"] for each in mine])
    result.add(condition, "rows shown", [each["rows"] for each in mine])


# ---------------------------------------------------------------- one run, in a worker


@lru_cache(1)
def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Digits (n, 64) in 0 ... 1, labels, and copies (BANK, n, 64) augmented weakly and strongly."""
    from scipy.ndimage import rotate, shift

    X, y = digits()
    X = (X / 255).astype(np.float32)
    rng = np.random.default_rng(0)
    weak, strong = np.empty((2, BANK, *X.shape), np.float32)
    for copy in range(BANK):
        for i, picture in enumerate(X):
            weak[copy, i] = shift(picture, rng.integers(-1, 2, 2) * (rng.random(2) < 0.3), order=0)
            turned = rotate(picture, rng.uniform(-25, 25), reshape=False, order=1)
            moved = shift(turned, rng.uniform(-1.2, 1.2, 2), order=1)
            strong[copy, i] = moved * rng.uniform(0.6, 1.3) + rng.normal(0, 0.1, (8, 8))
    flat = [np.clip(copies, 0, 1).reshape(BANK, -1, 64) for copies in (weak, strong)]
    return X.reshape(-1, 64), y, flat[0], flat[1]


def learned(regime: str, views: int, seed: int, passes: int) -> dict[str, Any]:
    """Learn five tasks one after the other with a buffer of old pictures; accuracy and forgetting over all ten classes."""
    _, n_buffer, strong_share, kl_weight = REGIMES[regime]
    X, y, weak, strong = pictures()
    rng = np.random.default_rng([seed, 0])
    places = rng.permutation(len(X))
    test, train = places[:N_TEST], places[N_TEST:]
    order = rng.permutation(N_CLASSES)
    network = MLP([64, HIDDEN, N_CLASSES], random_state=seed)
    optimiser = SGD(network.weights, LEARNING_RATE)
    buffer = np.empty(0, np.int64)
    matrix = np.full((N_TASKS, N_TASKS), np.nan)
    n_rows, intervals = 0, []
    for task in range(N_TASKS):
        now = order[CLASSES_PER_TASK * task : CLASSES_PER_TASK * (task + 1)]
        data = np.concatenate([train[np.isin(y[train], now)], buffer])
        # draws of one task, the same ones up to the batches for every number of views
        rng = np.random.default_rng([seed, 1 + task])
        sampler = ViewBatchSampler(len(data), BATCH, views, rng)
        intervals.append(sampler.recall_interval)
        left = passes * len(data)
        while left > 0:
            for ids, view in sampler:
                ids, view = ids[:left], view[:left]
                update(
                    network, optimiser, rows_of(data[ids], view, views, (weak, strong), strong_share, kl_weight, rng), kl_weight
                )
                left -= len(ids)
                n_rows += len(ids)
                if left <= 0:
                    break
        seen = order[: CLASSES_PER_TASK * (task + 1)]
        buffer = refilled(buffer, train, y, seen, now, n_buffer, rng)
        answers = network.forward(X[test]).argmax(axis=1) == y[test]
        for old in range(task + 1):
            asked = np.isin(y[test], order[CLASSES_PER_TASK * old : CLASSES_PER_TASK * (old + 1)])
            matrix[task, old] = answers[asked].mean()
    return {
        "accuracy": average_accuracy(matrix).mean,
        "forgetting": forgetting(matrix).mean,
        "interval": float(np.mean(intervals)),
        "rows": n_rows,
    }


def rows_of(
    places: np.ndarray,
    view: np.ndarray,
    views: int,
    banks: tuple[np.ndarray, np.ndarray],
    strong_share: float,
    kl_weight: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Augmented pictures and their labels; the share of strong ones is the same for every number of views."""
    copies = rng.integers(0, BANK, len(places))
    chance = np.full(len(places), strong_share)
    if kl_weight:  # the first view is the anchor, and weak; the others make up for it
        chance = np.where(view == 0, 0.0, strong_share * views / (views - 1))
    is_strong = rng.random(len(places)) < chance
    rows = np.where(is_strong[:, None], banks[1][copies, places], banks[0][copies, places])
    return rows, pictures()[1][places], views


def update(network: MLP, optimiser: SGD, batch: tuple[np.ndarray, np.ndarray, int], kl_weight: float) -> None:
    """One step."""
    rows, labels, views = batch
    logits = network.forward(rows)
    _, d_logits = softmax_cross_entropy(logits, labels)
    whole = len(rows) - len(rows) % views  # the last item of a task may be cut short
    if kl_weight and whole:
        _, slope = view_kl(np.exp(log_softmax(logits[:whole])), views)
        d_logits[:whole] += np.float32(kl_weight) * slope
    _, gradients = network.backward(d_logits)
    optimiser.step(gradients)


def refilled(
    buffer: np.ndarray, train: np.ndarray, y: np.ndarray, seen: np.ndarray, now: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    """A buffer with as many pictures of every class that has come."""
    each = size // len(seen)
    parts = []
    for label in seen:
        fresh = train[y[train] == label]
        kept = rng.choice(fresh, min(each, len(fresh)), replace=False) if label in now else buffer[y[buffer] == label][:each]
        parts.append(kept)
    return np.concatenate(parts)


def draw(result: Result, regimes: tuple[str, ...], views: tuple[int, ...], out: Path) -> None:
    """Paired differences from one view, with their intervals."""
    from neuromem.experiments.figures import finish, new_figure

    figure, axes = new_figure(11, 4.4, 2)
    values = {(row.condition, row.metric): row for row in result.rows}
    for ax, metric in zip(axes, ("accuracy", "forgetting"), strict=True):
        for place, regime in enumerate(regimes):
            x = [n for n in views if n > 1]
            rows = [values[f"{regime}: {n} views", f"{metric} less that of one view"] for n in x]
            middle = np.array([row.value for row in rows])
            half = [row.value - (row.ci_low or row.value) for row in rows]
            shifted = np.array(x) * 1.05 ** (place - len(regimes) / 2)
            ax.errorbar(shifted, 100 * middle, 100 * np.array(half), fmt="o-", capsize=2, ms=4, label=regime)
        ax.axhline(0, color="0.5", ls=":")
        ax.set(xscale="log", xlabel="views", ylabel=f"points of {metric}", title=f"{metric} less that of one view, same seeds")
        ax.set_xticks(list(views), [str(n) for n in views])
        ax.minorticks_off()
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    finish(figure, out / "retention-viewbatch.png", result)
