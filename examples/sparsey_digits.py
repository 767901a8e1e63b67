"""
Store, recognise and complete digits
====================================

One macrocolumn sees handwritten digits, each of them once.  Afterwards it tells the digits that it has seen from others, and
fills in the lower half of each from the upper half.  The digits come with scikit-learn, nothing is downloaded.
"""

# %%
# Options of the script.  ``--quick`` stores fewer digits.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import neuromem
from neuromem import SparseyMac
from neuromem.datasets import digits
from neuromem.sparsey.encode import binarize

parser = argparse.ArgumentParser(description="Store, recognise and complete digits.")
parser.add_argument("--quick", action="store_true", help="fewer digits")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture and the saved memory (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# Items
# -----
# A memory of this kind takes binary items.  A pixel is ink or paper; both get a feature of their own, so that every digit has
# the same number of active features, and so that "there is no ink here" can be a hint as well.

N_STORED = 80 if options.quick else 200
SIDE = 8
N_PIXELS = SIDE * SIDE

images, _ = digits()
order = np.random.default_rng(0).permutation(len(images))[: 2 * N_STORED]
ink = binarize(images[order], threshold=127)
items = np.concatenate([ink, 1 - ink], axis=1)
seen, unseen = items[:N_STORED], items[N_STORED:]
print(f"{N_STORED} digits to store, {len(unseen)} others; {items.shape[1]} binary features, {items[0].sum()} of them active")

# %%
# Store
# -----
# One call, one presentation of each item.  A code is one winner in each of 24 modules of 250 cells.  Any two digits have many
# active features in common, so the exponent is large: only a near-complete match counts as familiar.

memory = SparseyMac(n_modules=24, units_per_module=250, u_exponent=64.0, freeze=None, random_state=0)
memory.write(seen)
print(f"{len(memory)} items stored in {memory.nbytes / 1e6:.2f} MB")

# %%
# Recognise
# ---------
# Familiarity is 1 for an item that is found as it was stored.  The figure of merit: of one stored and one other digit, how
# often is the stored one the more familiar?

old, new = memory.familiarity(seen), memory.familiarity(unseen)
recognised = (old[:, None] > new).mean() + 0.5 * (old[:, None] == new).mean()
print(f"familiarity: stored {old.mean():.2f}, others {new.mean():.2f}; the stored one of a pair is picked in {recognised:.1%}")

# %%
# Complete
# --------
# Only the upper half is given.  The scores of ink and of paper are weighed against each other.

upper = np.arange(N_PIXELS) < N_PIXELS // 2
completed = memory.complete(seen, known=np.tile(upper, 2))
scores = (1 + completed[:, :N_PIXELS] - completed[:, N_PIXELS:]) / 2
right = ((scores > 0.5) == seen[:, :N_PIXELS])[:, ~upper]
print(f"lower half from the upper: {right.mean():.1%} of pixels right, {right.all(axis=1).mean():.1%} of digits without a fault")

# %%
# Save
# ----
# A saved memory goes on exactly where this one stopped.

path = options.out / "digits.nmem"
memory.save(path)
assert (neuromem.load(path).familiarity(unseen) == new).all()

# %%
# Picture
# -------

figure, (above, below) = plt.subplots(2, 1, figsize=(8.0, 5.4), height_ratios=[3.2, 2.4], layout="constrained")
shown = {"stored once": seen[:10, :N_PIXELS], "given": np.where(upper, seen[:10, :N_PIXELS], 0.25), "completed": scores[:10]}
framed = [[np.pad(p.reshape(SIDE, SIDE).astype(float), 1, constant_values=0.6) for p in batch] for batch in shown.values()]
rows = [np.hstack(batch) for batch in framed]
above.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
above.set_yticks([(SIDE + 2) * (i + 0.5) - 0.5 for i in range(len(rows))], list(shown))
above.set_xticks([])
above.tick_params(length=0)
above.set_title(f"The first ten of {N_STORED} digits")
bins = np.linspace(0, 1, 41)
below.hist(old, bins, color="tab:blue", label="stored digits")
below.hist(new, bins, color="tab:orange", alpha=0.9, label="digits never shown")
below.set(xlabel="familiarity G", ylabel="number of digits", xlim=(0, 1))
below.legend(loc="upper center")
figure.savefig(options.out / "sparsey_digits.png", dpi=120)
print("picture: sparsey_digits.png")
