"""
A billion spins on one core
===========================

Units with the same pattern row are exchangeable, so a network of any size is a handful of counters: how many units of each
row are up.  One sweep of a billion spins is two exact binomials a row.  The overlaps that it settles to lie on the exact theory
of the rows it has, within their error bars.
"""

# %%
# Options of the script.  ``--quick`` takes fewer sweeps.

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from neuromem.hopfield import RowLaw, simulate_classes, solve

parser = argparse.ArgumentParser(description="Equilibrium of a billion spins, beside the exact theory.")
parser.add_argument("--quick", action="store_true", help="fewer sweeps")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# The network
# -----------
# Three patterns, 40 % of their entries blank.  Which rows a billion units have is one draw from a multinomial.

N_PATTERNS, DILUTION, N_UNITS = 3, 0.4, 10**9
N_SWEEPS = 2000 if options.quick else 20_000
temperatures = np.linspace(0.05, 0.69, 9 if options.quick else 33)

law = RowLaw.storing(N_PATTERNS, DILUTION)
counts = np.random.default_rng(0).multinomial(N_UNITS, law.weights)
realised = RowLaw.empirical(law.values, counts=counts)

# %%
# Simulation and theory
# ---------------------
# All temperatures run as one batch of chains.  The theory is that of the rows drawn, so nothing is left of the draw's own
# chance.

start = time.perf_counter()
trace = simulate_classes(law.values, counts, beta=1 / temperatures, n_sweeps=N_SWEEPS, burn_in=500, random_state=1)
seconds = time.perf_counter() - start
solutions = [solve(realised, 1 / temperature) for temperature in temperatures]
theory = np.array([solution.m for solution in solutions])

print(f"{N_UNITS:,} spins, {len(temperatures)} temperatures, {N_SWEEPS + 500:,} sweeps each: {seconds:.2f} s")
print("T      simulated overlaps           theory                       off by      of errors")
for temperature, found, error, exact in zip(temperatures, trace.m, trace.m_error, theory, strict=True):
    off = found - exact
    shown = ["  ".join(f"{value:.6f}" for value in values) for values in (found, exact)]
    print(f"{temperature:.2f}   {shown[0]}   {shown[1]}   {abs(off).max():.1e}     {abs(off / error).max():.1f}")

# %%
# The picture
# -----------
# Left: points are simulated, lines are the theory.  Right: what is left between them, in standard errors of the run.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
fine = np.linspace(temperatures[0], temperatures[-1], 300)
curves = np.array([solve(realised, 1 / temperature).m for temperature in fine])
for pattern in range(N_PATTERNS):
    (line,) = left.plot(fine, curves[:, pattern], label=f"pattern {pattern + 1}")
    left.plot(temperatures, trace.m[:, pattern], "o", color=line.get_color(), ms=4)
    right.plot(temperatures, (trace.m - theory)[:, pattern] / trace.m_error[:, pattern], "o", color=line.get_color(), ms=4)
right.axhspan(-5, 5, color="0.93", label="five standard errors")
left.set(xlabel="temperature", ylabel="overlap", title=f"{N_UNITS:,} spins (points: simulated)")
left.legend()
right.set(xlabel="temperature", ylabel="standard errors", title="simulated less theory", ylim=(-7, 7))
right.legend(loc="lower right")
figure.savefig(options.out / "billion_spins.png", dpi=120)
print("picture: billion_spins.png")
