"""
Six classic memories recall digits
==================================

Handwritten digits are stored once in each of the classic associative memories, all made to fit the same number of bytes.  Then
each is shown digits with pixels turned, or their upper half, and is asked for the whole picture.
"""

# %%
# Options of the script.  ``--quick`` stores fewer numbers of digits.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuromem import (
    BidirectionalAssociativeMemory,
    DenseAssociativeMemory,
    HopfieldNetwork,
    ItemSpec,
    ModernHopfield,
    SparseDistributedMemory,
    WillshawMemory,
)
from neuromem.datasets import digits

parser = argparse.ArgumentParser(description="Digits recalled by the classic associative memories, at equal bytes.")
parser.add_argument("--quick", action="store_true", help="fewer numbers of stored digits")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# Items
# -----
# A pixel is ink or paper.  Memories of signs take ink as 1 and paper as -1; the Willshaw memory, which needs equally many active
# features in every item, takes ink and beside it paper.

SIDE, BUDGET = 8, 60_000
N_STORED = (5, 10, 20, 50, 100, 200)[:: 2 if options.quick else 1]
N_DAMAGED = 6  # pixels of 64 that are turned

images, _ = digits()
ink = (images.reshape(len(images), -1) > 127).astype(np.uint8)
ink = ink[np.sort(np.unique(ink, axis=0, return_index=True)[1])]  # the same picture twice counts once
ink = ink[np.random.default_rng(0).permutation(len(ink))]


def plain(pictures):
    return pictures


def signs(pictures):
    return 2 * pictures.astype(np.int8) - 1


def pairs(pictures):
    return np.concatenate([pictures, 1 - pictures], axis=1)


def as_ink(items, form):
    """The amount of ink, 0 to 1, in what a memory gave back."""
    items = np.asarray(items, float)
    if form is pairs:
        return (1 + items[:, : SIDE * SIDE] - items[:, SIDE * SIDE :]) / 2
    return (1 + items) / 2 if form is signs else items


# %%
# Memories
# --------
# ``for_budget`` makes an instance that stays within a number of bytes.  What cannot grow, such as the matrix of a network of 64
# units, stays small; memories that keep their items drop the oldest when they are full, a network of 64 units beyond 64.

MEMORIES = {
    "Hopfield": (HopfieldNetwork, signs, "sign"),
    "dense associative": (DenseAssociativeMemory, signs, "sign"),
    "modern Hopfield": (ModernHopfield, plain, "real"),
    "bidirectional": (BidirectionalAssociativeMemory, signs, "sign"),
    "Willshaw": (WillshawMemory, pairs, "binary"),
    "sparse distributed": (SparseDistributedMemory, plain, "binary"),
}


def memory_of(name):
    made, form, kind = MEMORIES[name]
    width = form(ink[:1]).shape[1]
    memory = made.for_budget(BUDGET, ItemSpec(width, kind, 0.5 if kind == "binary" else None), random_state=0)
    return memory.set_params(max_steps=1) if name == "sparse distributed" else memory


# %%
# Recall
# ------
# Every stored digit is a cue twice: with six of its pixels turned, and with its lower half unknown.  A picture counts as recalled
# when no pixel is wrong.

known = np.arange(SIDE * SIDE) < SIDE * SIDE // 2
damage = np.random.default_rng(1).random(ink.shape).argsort(axis=1) < N_DAMAGED
recalled = {name: np.zeros((2, len(N_STORED))) for name in MEMORIES}
n_bytes, shown = {}, {}
for name, (_, form, _) in MEMORIES.items():
    for place, n in enumerate(N_STORED):
        stored = ink[:n]
        memory = memory_of(name)
        memory.write(form(stored))
        damaged = stored ^ damage[:n]
        whole = as_ink(memory.read(form(damaged)).values[:, 0], form)
        items = form(stored)
        filled = as_ink(memory.complete(items, np.tile(known, items.shape[1] // known.size)), form)
        for row, answer in enumerate((whole, filled)):
            recalled[name][row, place] = (np.abs(answer - stored) < 0.25).all(axis=1).mean()
        if n == N_STORED[1]:
            shown[name] = whole[:5], filled[:5]
        n_bytes[name] = memory.nbytes

for row, cue in enumerate((f"{N_DAMAGED} of 64 pixels turned", "lower half unknown")):
    print(f"share of digits recalled without a wrong pixel; {cue}; at most {BUDGET:,} bytes each")
    print(f"{'digits stored':<20} {'bytes':>7}" + "".join(f"{n:>7}" for n in N_STORED))
    for name in MEMORIES:
        print(f"{name:<20} {n_bytes[name]:>7,}" + "".join(f"{share:>7.2f}" for share in recalled[name][row]))
    print()

# %%
# Picture
# -------
# Left, five of the stored digits with turned pixels and what became of them, then the same from their upper half; right, how
# recall from damaged digits goes down as more are stored.

figure = plt.figure(figsize=(11.0, 5.2), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=[1.25, 1.0])
first = ink[:5].astype(float)
rows = {"stored": (first, first), "cue": (np.abs(first - damage[:5]), np.where(known, first, 0.5)), **shown}
tiles = [
    np.hstack([np.pad(picture.reshape(SIDE, SIDE), 1, constant_values=0.7) for half in row for picture in half])
    for row in rows.values()
]
left.imshow(np.vstack(tiles), cmap="gray_r", vmin=0, vmax=1)
left.set_yticks([(SIDE + 2) * (i + 0.5) for i in range(len(rows))], list(rows))
left.set_xticks([2.5 * (SIDE + 2), 7.5 * (SIDE + 2)], ["from damaged pictures", "from upper halves"])
left.set_title(f"{N_STORED[1]} digits stored")
for name in MEMORIES:
    right.plot(N_STORED, recalled[name][0], "o-", ms=4, label=f"{name}, {n_bytes[name] / 1000:.0f} kB")
right.set(xscale="log", xlabel="digits stored", ylabel="recalled without a wrong pixel", ylim=(-0.02, 1.02))
right.set_xticks(N_STORED, [str(n) for n in N_STORED], minor=False)
right.set_xticks([], minor=True)
right.set_title(f"{N_DAMAGED} of 64 pixels turned")
right.legend(fontsize=9)
figure.savefig(options.out / "associative_recall.png", dpi=120)
print("picture: associative_recall.png")
