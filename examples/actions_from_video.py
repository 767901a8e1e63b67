"""
Gestures from video, stored once
================================

Film of a still camera becomes silhouettes, silhouettes become maps of edges and changes, and a grid of macs stores every frame
in one presentation.  Shown the films again with bits moved, the memory tells which film it was and how familiar it is.
"""

# %%
# Options of the script.  ``--quick`` takes fewer films.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuromem import SparseyLayer
from neuromem.datasets import data_folder
from neuromem.sparsey import LabelField
from neuromem.sparsey.encode import change_maps, foreground, oriented_edges

parser = argparse.ArgumentParser(description="Store gestures from video once, replay them with bits moved.")
parser.add_argument("--quick", action="store_true", help="fewer films")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# Film
# ----
# Every ``.mkv`` in the folder ``asl_gestures`` of the data folder, read with PyAV, grey and small.  Without them, or without
# PyAV, made-up film of a person who waves an arm, each time at another height and another speed.

ROWS, COLUMNS, N_FILMS = 120, 160, 4 if options.quick else 8


def read(path):
    """Grey frames of a video, uint8 (n, 120, 160)."""
    import av

    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(width=COLUMNS, height=ROWS, format="gray") for frame in video.decode(video=0)])


def made_up(number, n_frames=40):
    """Somebody who begins to wave an arm after a while, before a background with noise."""
    rng = np.random.default_rng(number)
    frames = rng.integers(90, 110, (n_frames, ROWS, COLUMNS)).astype(np.uint8)
    frames[:, 30:110, 70:90] = 220
    for t in range(8, n_frames):
        lift = 18 + 9 * number + int(8 * np.sin(2 * np.pi * t / (6 + 3 * number)))
        frames[t, lift : lift + 8, 90:125] = 220
    return frames


try:
    import av  # noqa: F401

    paths = sorted((data_folder() / "asl_gestures").glob("*.mkv"))[:N_FILMS]
except ImportError:
    paths = []
if paths:
    names, films = [path.stem for path in paths], [read(path) for path in paths]
else:
    names, films = [f"made up {i}" for i in range(N_FILMS)], [made_up(i) for i in range(N_FILMS)]
lengths = [len(film) for film in films]
print(f"{len(films)} films, {sum(lengths)} frames: {', '.join(names)}")

# %%
# Silhouettes, maps, memory
# -------------------------
# What differs from the first frames, before anybody moves, is the moving arms.  Only half a body is in view, and it keeps its
# place, so nothing is scaled; whole people who walk about are brought to one size by ``normalize_silhouettes``.  Each frame,
# shown once, leaves a code in every mac; a label field notes which film it belongs to.

SIDE = 40
bodies = np.concatenate([foreground(film, np.median(film[:5], axis=0).astype(np.uint8), 25) for film in films])
blocks = bodies.reshape(len(bodies), SIDE, ROWS // SIDE, SIDE, COLUMNS // SIDE)
pictures = np.rint(255 * blocks.mean(axis=(2, 4))).astype(np.uint8)
items = np.concatenate([oriented_edges(pictures, threshold=40), change_maps(pictures, lengths)], axis=1)
which = np.repeat(np.arange(len(films)), lengths)
settings = dict(units_per_module=64, activation_bounds=(3, None), random_state=0)
layer = SparseyLayer((SIDE, SIDE), 14, (14, 14), (6, 6), **settings)
codes = layer.present(items, True).codes
field = LabelField(layer.n_macs_ * layer.n_modules, layer.units_per_module, len(films), smoothing=0.1).learn(codes, which)

# %%
# Replay
# ------
# The same films with a growing share of the bits moved elsewhere.  Frames before anybody moves are blank and tell nothing.  This
# is recall of what was stored, not recognition of new people.

rng = np.random.default_rng(1)
shares = [0.0, 0.2, 0.4, 0.6, 0.8]
right, familiar, frames_right = [], [], []
for share in shares:
    frame, bit = np.nonzero(items)
    moved = rng.random(len(bit)) < share
    cues = items.copy()
    cues[frame[moved], bit[moved]] = 0
    cues[frame[moved], rng.integers(0, items.shape[1], moved.sum())] = 1
    scores = field.scores(layer.present(cues, False).codes)
    sums = np.add.reduceat(scores, np.cumsum(lengths) - lengths, axis=0)
    right.append((sums.argmax(axis=1) == np.arange(len(films))).mean())
    frames_right.append((scores.argmax(axis=1) == which).mean())
    familiar.append(layer.familiarity(cues).mean())
    told = f"films told {right[-1]:.2f}, single frames {frames_right[-1]:.2f}, familiarity {familiar[-1]:.2f}"
    print(f"{share:.0%} of the bits moved: {told}")

# %%
# Picture
# -------
# One film as it came and as the encoder sees it, and what the memory still tells.

figure, axes = plt.subplots(3, 5, figsize=(10.5, 6.6), layout="constrained")
for place, t in enumerate(np.linspace(0, lengths[0] - 1, 5).astype(int)):
    axes[0, place].imshow(films[0][t], cmap="gray")
    axes[1, place].imshow(pictures[t], cmap="gray")
    axes[0, place].set_title(f"{names[0]}, frame {t}", fontsize=9)
for ax in axes[:2].ravel():
    ax.set_xticks([])
    ax.set_yticks([])
for ax in axes[2]:
    ax.remove()
ax = figure.add_subplot(axes[2, 0].get_gridspec()[2, :])
for values, name in ((right, "films told"), (frames_right, "single frames told"), (familiar, "familiarity")):
    ax.plot(shares, values, "o-", label=name)
ax.set(xlabel="share of map bits moved elsewhere", ylim=(0, 1.05))
ax.legend()
figure.savefig(options.out / "actions_from_video.png", dpi=100)
print("picture: actions_from_video.png")
