"""
Who is active when
==================

Three macs, one above the other: the lowest hears the frames of a film, and the higher a mac is, the longer each of its codes
lasts.  The film is stored once.  Then it is shown again, shown at double speed, and recalled from its first frame alone; the
raster has the winners of every level at every step.
"""

# %%
# Options of the script.  ``--quick`` takes a shorter film.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuromem import SparseyLevel, SparseyNetwork
from neuromem.datasets import digits

parser = argparse.ArgumentParser(description="Codes of three levels over time: stored, replayed, recalled.")
parser.add_argument("--quick", action="store_true", help="a shorter film")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# A film
# ------
# A handwritten digit bounces over a screen of 20 x 20.

SIDE, N_FRAMES = 20, 16 if options.quick else 24
pictures, labels = digits()[:2]
shape = np.asarray(pictures).reshape(-1, 8, 8)[np.flatnonzero(labels == 3)[0]]


def bounced(t, speed, start):
    """A place on a line that is run up and down."""
    room = SIDE - 8
    place = (start + speed * t) % (2 * room)
    return place if place <= room else 2 * room - place


film = np.zeros((N_FRAMES, SIDE, SIDE), np.uint8)
for t, frame in enumerate(film):
    y, x = bounced(t, 1, 0), bounced(t, 2, 5)
    frame[y : y + 8, x : x + 8] = shape > shape.max() / 2
flat = film.reshape(N_FRAMES, -1)

# %%
# Store it once
# -------------
# Codes last one, two and four steps.  Each level hears the one below now, itself and the one above from the step before.

PERSISTENCE = (1, 2, 4)
N_MODULES, UNITS = 10, 24
levels = [SparseyLevel(N_MODULES, UNITS, u_exponent=8.0, persistence=p) for p in PERSISTENCE]
memory = SparseyNetwork(SIDE * SIDE, levels, random_state=0)
learned = memory.present(flat, True, lengths=[N_FRAMES]).codes

# %%
# Replay, and run free
# --------------------
# At double speed half of the frames are missing: a held code that no longer fits is released before its time.  Running free,
# nothing is seen after the first frame, and what is above helps what is below.

everything, every_second, first = np.arange(N_FRAMES), np.arange(0, N_FRAMES, 2), np.arange(1)
rest = memory.complete_sequence(flat[:1], N_FRAMES - 1)
start = memory.trace(flat[:1]).codes
runs = {
    "stored": (everything, learned),
    "shown again": (everything, memory.trace(flat).codes),
    "at double speed": (every_second, memory.trace(flat[::2]).codes),
    "recalled from frame 0": (everything, [np.concatenate(pair) for pair in zip(start, rest.trace.codes, strict=True)]),
}
for name, (shown, codes) in runs.items():
    changes = [(code[1:] != code[:-1]).any(axis=(1, 2)).mean() for code in codes]
    right = [(code == wanted[shown]).mean() for code, wanted in zip(codes, learned, strict=True)]
    print(
        f"{name:<22} codes that change per step, levels 1 to 3: {' '.join(f'{c:.2f}' for c in changes)}; "
        f"winners as stored: {' '.join(f'{r:.2f}' for r in right)}"
    )
print(f"pixels right when recalled: {((rest.frames > 0.5) == flat[1:]).mean():.3f}")

# %%
# Picture
# -------
# Each line is one winner: its height says which cell of which module it is, its length how long it lasts.

figure, axes = plt.subplots(
    len(levels) + 1, len(runs), figsize=(11.0, 7.2), sharex=True, height_ratios=[0.25, 1, 1, 1], layout="constrained"
)
for column, (name, (shown, codes)) in enumerate(runs.items()):
    top = axes[0, column]
    seen = first if name.startswith("recalled") else shown
    top.set_title(name, fontsize=10)
    top.eventplot(np.arange(len(seen)) + 0.5, colors="black", lineoffsets=0.5, linelengths=0.8)
    top.set(ylim=(0, 1), yticks=[])
    for level, code in enumerate(codes):
        ax = axes[len(levels) - level, column]
        for module in range(N_MODULES):
            winners = code[:, 0, module]
            cuts = np.flatnonzero(np.append(True, (code[1:] != code[:-1]).any(axis=(1, 2))))
            height = module * UNITS + winners[cuts].astype(int)
            ax.hlines(height, cuts + 0.08, np.append(cuts[1:], len(code)) - 0.08, colors=f"C{level}", linewidth=1.6)
        ax.set(ylim=(-3, N_MODULES * UNITS + 2), yticks=np.arange(0, N_MODULES * UNITS + 1, UNITS), xlim=(0, N_FRAMES))
        ax.tick_params(labelleft=False, length=2)
        ax.grid(axis="y", linewidth=0.3)
    axes[-1, column].set_xlabel("step")
axes[0, 0].set_ylabel("frame", fontsize=9)
for level, persistence in enumerate(PERSISTENCE):
    steps = "1 step" if persistence == 1 else f"{persistence} steps"
    axes[len(levels) - level, 0].set_ylabel(f"level {level + 1}, {steps}\nmodules 1 to {N_MODULES}", fontsize=9)
figure.savefig(options.out / "hierarchy_timescales.png", dpi=120)
print("picture: hierarchy_timescales.png")
