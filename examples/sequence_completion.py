"""
A film goes on by itself
========================

Two handwritten digits move over a small screen; each film is stored once.  Shown the first frame only, the memory runs the
film to its end and stops there by itself.  A film that it never saw is not familiar, not even one of the same frames in
another order.
"""

# %%
# Options of the script.  ``--quick`` takes shorter films.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuromem import SparseySequenceMemory
from neuromem.datasets import digits

parser = argparse.ArgumentParser(description="Films stored once and recalled from their first frame.")
parser.add_argument("--quick", action="store_true", help="shorter films")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# Films
# -----
# A digit of 8 x 8 pixels bounces over a screen of 20 x 20, each on a path of its own, not for so long that it comes round.

SIDE, N_FRAMES = 20, 16 if options.quick else 22
pictures, labels = digits()[:2]
pictures = np.asarray(pictures).reshape(-1, 8, 8)


def bounced(t, speed, start):
    """A place on a line that is run up and down."""
    room = SIDE - 8
    place = (start + speed * t) % (2 * room)
    return place if place <= room else 2 * room - place


def film(digit, speeds, starts):
    """Frames of 0 and 1, (n_frames, side, side)."""
    shape = pictures[np.flatnonzero(labels == digit)[0]]
    frames = np.zeros((N_FRAMES, SIDE, SIDE), np.uint8)
    for t, frame in enumerate(frames):
        y, x = (bounced(t, speed, start) for speed, start in zip(speeds, starts, strict=True))
        frame[y : y + 8, x : x + 8] = shape > shape.max() / 2
    return frames


films = [film(3, (1, 2), (0, 5)), film(7, (2, 1), (6, 1))]
flat = [frames.reshape(N_FRAMES, -1) for frames in films]

# %%
# Store, then recall
# ------------------
# Each film is shown once.  Its frames are much alike, so the exponent of U is high.  ``complete_sequence`` gets the first
# frame, and stops where nothing is known of what follows.

memory = SparseySequenceMemory(SIDE * SIDE, 24, 64, u_exponent=8.0, random_state=0)
memory.write(np.concatenate(flat), lengths=[N_FRAMES] * 2)
recalled = []
for name, frames in zip("37", flat, strict=True):
    rest = memory.complete_sequence(frames[:1], 3 * N_FRAMES, stop_below=0.5)
    recalled.append((rest.frames > 0.5).reshape(-1, SIDE, SIDE))
    n = min(len(rest.frames), N_FRAMES - 1)
    right = (recalled[-1][:n].reshape(n, -1) == frames[1 : n + 1]).mean()
    print(f"film of a {name}: {len(rest.frames)} of {N_FRAMES - 1} frames recalled from the first one, pixels right {right:.3f}")

# %%
# Familiarity
# -----------
# *G* of the frame alone (U) does not know the order of frames; with the frame before it (UH) it does.

order = np.random.default_rng(0).permutation(N_FRAMES)
u, uh = 0, 2
other = film(5, (1, 2), (0, 5)).reshape(N_FRAMES, -1)
curves = {"as stored": flat[0], "frames in another order": flat[0][order], "another digit": other}
traces = {name: memory.trace(frames).versions[0][:, 0] for name, frames in curves.items()}
for name, versions in traces.items():
    print(f"{name:<24} G of the frame {versions[:, u].mean():.2f}, with the one before it {versions[1:, uh].mean():.2f}")

# %%
# Picture
# -------
# Film strips: above as stored, below as recalled from the first frame; then familiarity along three films.

N_SHOWN = 8
figure = plt.figure(figsize=(9.0, 6.4), layout="constrained")
grid = figure.add_gridspec(5, N_SHOWN, height_ratios=[1, 1, 1, 1, 2.4])
shown = np.linspace(1, N_FRAMES - 1, N_SHOWN).astype(int)
for row, (title, strip) in enumerate(
    (f"{what} {name}", frames)
    for name, stored, found in zip("37", films, recalled, strict=True)
    for what, frames in (("stored", stored), ("recalled", np.concatenate([stored[:1], found])))
):
    for column, t in enumerate(shown):
        ax = figure.add_subplot(grid[row, column], xticks=[], yticks=[])
        ax.imshow(strip[t] if t < len(strip) else np.zeros((SIDE, SIDE)), cmap="gray_r", vmin=0, vmax=1)
        if column == 0:
            ax.set_ylabel(title, fontsize=8)
        if row == 0:
            ax.set_title(f"frame {t}", fontsize=8)
ax = figure.add_subplot(grid[4, :])
for name, versions in traces.items():
    ax.plot(np.arange(1, N_FRAMES), versions[1:, uh], "o-", ms=3, label=name)
ax.set(xlabel="frame", ylabel="familiarity G of UH", ylim=(-0.03, 1.05))
ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
figure.savefig(options.out / "sequence_completion.png", dpi=120)
print("picture: sequence_completion.png")
