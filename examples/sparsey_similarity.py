"""
Similar inputs get similar codes
================================

The more familiar an input is, the less noise there is in choosing its winners.  So an input that resembles a stored one gets
many of its winners, and a novel one gets a code drawn at random.  How gently this grades is set by one exponent.
"""

# %%
# Options of the script.  ``--quick`` takes fewer modules.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuromem import SparseyMac

parser = argparse.ArgumentParser(description="Codes of similar and of novel inputs.")
parser.add_argument("--quick", action="store_true", help="fewer modules")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# Inputs
# ------
# One input is stored: 12 active features of 144.  The probes share 12, 11, ... 0 of them.  Modules draw their winners
# independently, so one memory with a great many of them gives the mean over many memories of the usual size.

N_INPUTS, N_ACTIVE = 144, 12
N_MODULES, N_UNITS = 1000 if options.quick else 10_000, 8
N_SHOWN = 24

shared = np.arange(N_ACTIVE, -1, -1)
stored = np.zeros(N_INPUTS, np.uint8)
stored[:N_ACTIVE] = 1
probes = np.zeros((len(shared), N_INPUTS), np.uint8)
for probe, n in zip(probes, shared, strict=True):
    probe[N_ACTIVE - n : 2 * N_ACTIVE - n] = 1

# %%
# Codes
# -----
# Every probe gets a fresh memory that holds the stored input alone.  ``present`` tells which winners were drawn for both.


def codes_of(u_exponent):
    """Winners of the stored input and of the probe, for each probe: (n_probes, 2, n_modules)."""
    drawn = []
    for seed, probe in enumerate(probes):
        memory = SparseyMac(N_INPUTS, N_MODULES, N_UNITS, u_exponent=u_exponent, random_state=seed)
        drawn.append(memory.present(np.stack([stored, probe]), learn=True, written=True).written_codes[:, 0])
    return np.stack(drawn)


codes = {exponent: codes_of(exponent) for exponent in (1.0, 2.0, 8.0)}
overlap = {exponent: (drawn[:, 0] == drawn[:, 1]).mean(axis=1) for exponent, drawn in codes.items()}
print(f"share of winners in common with the stored input, of {N_MODULES} modules (chance: {1 / N_UNITS:.3f})")
told = [12, 11, 10, 9, 8, 6, 4, 0]
print("inputs in common   " + "  ".join(f"{f'{n}/{N_ACTIVE}':>5}" for n in told))
for exponent, values in overlap.items():
    print(f"exponent {exponent:<9g} " + "  ".join(f"{values[N_ACTIVE - n]:.3f}" for n in told))

# %%
# Picture
# -------
# Above, the first 24 modules of three memories with exponent 1: a column is a module, a row one of its eight cells.  Below,
# the share of all modules.

figure = plt.figure(figsize=(9.0, 6.4), layout="constrained")
grid = figure.add_gridspec(2, 3, height_ratios=[1.0, 1.7])
modules = np.arange(N_SHOWN)
for place, n in enumerate((12, 9, 0)):
    first, code = codes[1.0][N_ACTIVE - n, :, :N_SHOWN]
    same = code == first
    ax = figure.add_subplot(grid[0, place])
    ax.plot(modules, first, "s", color="0.8", ms=7, label="stored input's winner")
    ax.plot(modules[same], code[same], "o", color="tab:blue", ms=4, label="probe, same winner")
    ax.plot(modules[~same], code[~same], "x", color="tab:red", ms=4, label="probe, another winner")
    ax.set(xlim=(-1, N_SHOWN), ylim=(-0.7, N_UNITS - 0.3), yticks=[0, N_UNITS - 1], xticks=[0, N_SHOWN - 1])
    ax.set_title(f"{n} of {N_ACTIVE} inputs in common:\n{same.sum()} of {N_SHOWN} winners in common", fontsize=10)
    ax.set_xlabel("module")
    if place == 0:
        ax.set_ylabel("cell")
handles, names = figure.axes[1].get_legend_handles_labels()
ax = figure.add_subplot(grid[1, :])
for exponent, values in overlap.items():
    ax.plot(shared / N_ACTIVE, values, "o-", ms=4, label=f"exponent {exponent:g}" + (" (the default)" if exponent == 8 else ""))
ax.axhline(1 / N_UNITS, color="0.5", ls=":", label="chance")
ax.set(xlabel="share of active inputs in common", ylabel="share of winners in common", ylim=(0, 1.02))
ax.legend(loc="upper left")
figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=9)
figure.savefig(options.out / "sparsey_similarity.png", dpi=120)
print("picture: sparsey_similarity.png")
