"""
Learn two digits at a time
==========================

Digits arrive as a stream of five tasks: first all 0s and 1s, then all 2s and 3s, and so on.  Each picture is shown once and
nothing is replayed.  The question is how much of the first tasks is left at the end, compared with the same pictures in a
shuffled order, and with a store that keeps every picture.
"""

# %%
# Options of the script.  ``--quick`` runs one order of the digits instead of five.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuromem import ExactStore, SparseyClassifier, SparseyLayer
from neuromem.datasets import digits
from neuromem.sparsey.encode import ThermometerEncoder

parser = argparse.ArgumentParser(description="Two digits at a time, shown once, no replay.")
parser.add_argument("--quick", action="store_true", help="one order of the digits instead of five")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# Items
# -----
# Grey levels become binary features by four thresholds per pixel, each with its opposite.  The range is given, not taken from
# the data, because the first task must not know of the later ones.

N_TRAIN, N_CLASSES = 1200, 10
SIDE = 8
SEEDS = range(1 if options.quick else 5)

images, labels = digits()
grey = images.reshape(len(images), -1).astype(np.float64)
encoder = ThermometerEncoder(4).fit(np.stack([np.zeros(SIDE * SIDE), np.full(SIDE * SIDE, 255.0)]))
items = encoder.transform(grey)
print(f"{N_TRAIN} digits to learn, {len(items) - N_TRAIN} others to name; {items.shape[1]} binary features")

# %%
# Memories
# --------
# Nine macs on a grid, each over 4 x 4 pixels, and a field of labels.  They learn throughout; a cell freezes when it has set a
# certain share of its weights, so that old codes stay.  The baseline keeps every picture and searches them all: it cannot
# forget, and shows what a perfect store of the same stream would do.


def sparsey(seed):
    """Codes and labels, in a fixed number of bytes."""
    layer = SparseyLayer((SIDE, SIDE), encoder.channels_, (4, 4), (2, 2), 8, 128, saturation_limit=0.3)
    return SparseyClassifier(layer, encoder=None, critical_period=None, random_state=seed)


def learn(memory, X, parts):
    """Predictions for the test items after each part of the stream."""
    told = []
    for part in parts:
        if isinstance(memory, SparseyClassifier):
            memory.partial_fit(X[part], labels[part], classes=np.arange(N_CLASSES))
        else:
            memory.write(X[part], labels[part])
        told.append(memory.predict(X[test]))
    return told


# %%
# Streams
# -------
# After each task the memories name the test digits of all classes shown so far; all ten answers are allowed.

N_TASKS = N_CLASSES // 2
MEMORIES = {"Sparsey": (sparsey, items), "every picture kept": (lambda seed: ExactStore(), grey)}
course = {name: np.zeros((len(SEEDS), N_TASKS)) for name in MEMORIES}
by_task = {(name, stream): np.zeros((len(SEEDS), N_TASKS)) for name in MEMORIES for stream in ("in a row", "shuffled")}
whole = {key: np.zeros(len(SEEDS)) for key in by_task}
for seed in SEEDS:
    order = np.random.default_rng(seed).permutation(len(images))
    train, test = order[:N_TRAIN], order[N_TRAIN:]
    task_of = labels[test] // 2
    tasks = [train[labels[train] // 2 == task] for task in range(N_TASKS)]
    for name, (make, X) in MEMORIES.items():
        right = {
            "in a row": [told == labels[test] for told in learn(make(seed), X, tasks)],
            "shuffled": [told == labels[test] for told in learn(make(seed), X, [train])],
        }
        course[name][seed] = [answers[task_of <= task].mean() for task, answers in enumerate(right["in a row"])]
        for stream, answers in right.items():
            whole[name, stream][seed] = answers[-1].mean()
            by_task[name, stream][seed] = [answers[-1][task_of == task].mean() for task in range(N_TASKS)]

print(f"accuracy on all ten digits at the end, mean of {len(SEEDS)} order(s); every digit shown once")
for name in MEMORIES:
    row, mixed = whole[name, "in a row"].mean(), whole[name, "shuffled"].mean()
    print(f"{name:<20} tasks in a row {row:.3f}   shuffled {mixed:.3f}   share kept {row / mixed:.3f}")

# %%
# Picture
# -------
# Left, the course of the stream; right, what is left of each task at its end.

figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.6), sharey=True, layout="constrained")
steps = np.arange(N_TASKS)
names = [f"{2 * task}, {2 * task + 1}" for task in steps]
for name, colour in zip(MEMORIES, ("tab:blue", "tab:orange"), strict=True):
    left.plot(steps, course[name].mean(axis=0), "o-", color=colour, label=name)
    right.plot(steps, by_task[name, "in a row"].mean(axis=0), "o", color=colour, label=f"{name}, tasks in a row")
    right.plot(steps, by_task[name, "shuffled"].mean(axis=0), "D", ms=9, color=colour, mfc="none", label=f"{name}, shuffled")
left.set(title="While learning: digits shown so far", xlabel="digits learned last", ylabel="accuracy", ylim=(0.79, 1.01))
right.set(title="At the end: digits of each task", xlabel="digits named")
for ax in (left, right):
    ax.set_xticks(steps, names)
    ax.grid(axis="y", color="0.9")
    ax.legend(loc="lower left")
figure.suptitle("Two digits at a time, each picture shown once, nothing replayed")
figure.savefig(options.out / "continual_digits.png", dpi=120)
print("picture: continual_digits.png")
