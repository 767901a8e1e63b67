"""
One pattern, several, or all equally: a phase diagram
=====================================================

What a multitasking network holds depends on how many entries of its patterns are blank and on the noise.  Exact solutions on a
grid tell the phases; Monte Carlo runs at a few points show that networks do what the theory says.
"""

# %%
# Options of the script.  ``--quick`` takes a coarser grid.

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuromem.hopfield import RowLaw, phase_diagram, plots, simulate_classes, solve

parser = argparse.ArgumentParser(description="Phases of three stored patterns over dilution and temperature.")
parser.add_argument("--quick", action="store_true", help="a coarser grid")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# The grid
# --------
# At each point the solution of lowest free energy among those reached from three starts.

N_PATTERNS = 3
n_points = 40 if options.quick else 150
dilutions = np.linspace(0.02, 0.98, n_points)
temperatures = np.linspace(0.01, 1.0, n_points)

start = time.perf_counter()
diagram = phase_diagram(N_PATTERNS, dilutions, temperatures)
print(f"{n_points} x {n_points} points, three starts each: {time.perf_counter() - start:.2f} s")
print(f"{diagram.coexistence.mean():.1%} of the points have more than one stable state among those found")

# %%
# Networks at a few points
# ------------------------
# A million units each; amplitudes sorted, beside those of the theory for the rows drawn.

N_UNITS = 10**6
points = [(0.2, 0.1), (0.3, 0.6), (0.5, 0.2), (0.7, 0.05), (0.8, 0.15), (0.6, 0.6)]
print("\n  d     T     simulated               theory                  errors apart")
for dilution, temperature in points:
    law = RowLaw.storing(N_PATTERNS, dilution)
    counts = np.random.default_rng(0).multinomial(N_UNITS, law.weights)
    run = simulate_classes(law.values, counts, beta=1 / temperature, n_sweeps=4000, burn_in=1000, random_state=1)
    exact = solve(RowLaw.empirical(law.values, counts=counts), 1 / temperature)
    apart = abs((run.m[0] - exact.m) / run.m_error[0]).max()
    shown = ["  ".join(f"{value:.4f}" for value in values) for values in (run.m[0], exact.m)]
    print(f"{dilution:.2f}  {temperature:.2f}   {shown[0]}   {shown[1]}   {apart:.1f}")

# %%
# The picture
# -----------

figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
plots.plot_phase_diagram(diagram, ax=ax)
ax.plot(*zip(*points, strict=True), "k^", label="simulated networks")
for name, place in {
    "one pattern": (0.22, 0.45),
    "several, graded": (0.33, 0.13),
    "all equal": (0.7, 0.17),
    "none": (0.72, 0.6),
}.items():
    ax.annotate(name, place, fontsize=10)
ax.legend(loc="upper right", fontsize=8)
figure.savefig(options.out / "phase_diagram.png", dpi=120)
print("picture: phase_diagram.png")
