"""Similar inputs get similar codes: the measured overlap of codes against the closed form."""

from pathlib import Path

import numpy as np

from neuromem import SparseyMac
from neuromem.experiments.result import Result
from neuromem.progress import progress_bar
from neuromem.sparsey.reference import sisc_probability

N_ACTIVE, N_INPUTS, UNITS = 12, 144, 8
# With one item stored, all modules see the same sums and draw independently, so many modules stand for many trials.
N_MODULES = 4000


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Store one item; present probes that share 12, 11, ... 0 of its 12 active inputs."""
    exponents = (1.0,) if quick else (1.0, 2.0, 8.0)
    result = Result("sisc", 0, {"active": N_ACTIVE, "inputs": N_INPUTS, "units_per_module": UNITS, "modules": N_MODULES})
    shared = np.arange(N_ACTIVE, -1, -1)
    measured = {}
    with result.timed("all"), progress_bar(len(exponents) * seeds, progress, "sisc") as advance:
        for exponent in exponents:
            shares = []
            for seed in range(seeds):
                shares.append([overlap_of_codes(exponent, int(s), seed) for s in shared])
                advance(1)
            measured[exponent] = np.array(shares)
            law = sisc_probability(shared / N_ACTIVE, UNITS, u_exponent=exponent)
            for i, s in enumerate(shared):
                name = f"u_exponent {exponent:g}, overlap {s}/{N_ACTIVE}"
                result.add(name, "share of equal winners", list(measured[exponent][:, i]), N_MODULES)
                result.add(name, "closed form", [law[i]])
    if out is not None:
        draw(result, measured, shared, out)
    return result


def overlap_of_codes(u_exponent: float, n_shared: int, seed: int) -> float:
    """Share of modules in which the probe, while it is being stored, gets the stored item's winner."""
    item, probe = np.zeros((2, N_INPUTS), np.uint8)
    item[:N_ACTIVE] = 1
    probe[N_ACTIVE - n_shared : 2 * N_ACTIVE - n_shared] = 1
    mac = SparseyMac(N_INPUTS, N_MODULES, UNITS, u_exponent=u_exponent, random_state=1000 * seed + n_shared)
    written = mac.present(np.stack([item, probe]), True, written=True).written_codes
    return float((written[0] == written[1]).mean())


def draw(result: Result, measured: dict[float, np.ndarray], shared: np.ndarray, out: Path) -> None:
    """Measured points on the closed-form curves."""
    from neuromem.experiments.figures import finish, new_figure

    figure, ax = new_figure()
    fine = np.linspace(0, 1, 101)
    for exponent, values in measured.items():
        (line,) = ax.plot(fine, sisc_probability(fine, UNITS, u_exponent=exponent), label=f"closed form, lambda_U = {exponent:g}")
        ax.plot(shared / N_ACTIVE, values.mean(axis=0), "o", color=line.get_color(), ms=5)
    ax.axhline(1 / UNITS, color="0.6", ls=":", label="chance")
    ax.set_xlabel("share of active inputs in common")
    ax.set_ylabel("share of winners in common")
    ax.set_title("Similar inputs, similar codes (points: measured)")
    ax.legend()
    finish(figure, out / "sisc.png", result)
