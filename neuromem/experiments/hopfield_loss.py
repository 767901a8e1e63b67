"""Energy and squared errors on one way down: what the network lowers is the product of both losses."""

from pathlib import Path
from typing import Any

import numpy as np

from neuromem.experiments.hopfield_common import COLOURS
from neuromem.experiments.result import Result
from neuromem.hopfield import MultitaskingHebbian, sample_examples, sample_patterns
from neuromem.progress import progress_bar

N_UNITS, N_PATTERNS, DILUTION = 3000, 3, 0.4
N_EXAMPLES, QUALITY = 20, 0.5
N_RECORDS, SWEEPS = 60, 3
ROUNDING = 1e-9  # of sums over some thousand units in double precision, relative


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Serial updates at zero noise from a random state, in each way of learning; losses are computed unit by unit."""
    n_units = 1000 if quick else N_UNITS
    settings: dict[str, Any] = {"units": n_units, "patterns": N_PATTERNS, "d": DILUTION, "examples": N_EXAMPLES}
    settings |= {"quality": QUALITY, "sweeps": SWEEPS, "records": N_RECORDS, "seeds": seeds, "dynamics": "serial, zero noise"}
    result = Result("hopfield-loss", 0, settings)
    runs: dict[str, Any] = {}
    with result.timed("all"), progress_bar(3 * seeds, progress, "losses") as advance:
        for learning in ("store", "supervised", "unsupervised"):
            found = []
            for seed in range(seeds):
                found.append(way_down(learning, n_units, seed))
                advance(1)
            runs[learning] = found[0]
            energies, products = ([f[name] for f in found] for name in ("energy", "products"))
            result.add(learning, "energy per unit at the start", [e[0] / n_units for e in energies], n=n_units)
            result.add(learning, "energy per unit at the end", [e[-1] / n_units for e in energies], n=n_units)
            result.add(learning, "sum of L+ L- at the start", [p[0].sum() for p in products])
            result.add(learning, "sum of L+ L- at the end", [p[-1].sum() for p in products])
            for name, values in (("energy", energies), ("sum of L+ L-", [p.sum(axis=1) for p in products])):
                rises = sum(int((np.diff(v) > ROUNDING * abs(v[0] - v[-1])).sum()) for v in values)
                result.add(learning, f"records in which the {name} rose", [rises])
            away = max(float(abs(f["energy"] - f["from losses"]).max() / abs(f["energy"]).max()) for f in found)
            result.add(learning, "energy from the losses, log10 of the largest relative error", [np.log10(max(away, 1e-17))])
    if out is not None:
        draw(result, runs, out)
    return result


def way_down(learning: str, n_units: int, seed: int) -> dict[str, np.ndarray]:
    """Energies (n_records,) and products of losses (n_records, n_columns) between pieces of some sweeps."""
    patterns = sample_patterns(N_PATTERNS, n_units, DILUTION, random_state=seed)
    memory = MultitaskingHebbian(
        learning=learning, n_patterns=N_PATTERNS, quality=None if learning == "store" else QUALITY, random_state=seed
    )
    columns = patterns.astype(float)
    if learning == "store":
        memory.fit(patterns)
    else:
        examples = sample_examples(patterns, N_EXAMPLES, QUALITY, random_state=seed)
        flat = examples.reshape(-1, n_units)
        memory.fit(flat, np.repeat(np.arange(N_PATTERNS), N_EXAMPLES) if learning == "supervised" else None)
        columns = examples.mean(axis=1) / QUALITY if learning == "supervised" else flat / QUALITY
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(n_units) for _ in range(SWEEPS)])
    spins = (2 * rng.integers(0, 2, n_units) - 1).astype(np.int8)
    energy, products = [], []
    pieces = np.array_split(order, N_RECORDS)
    for piece in [order[:0], *pieces]:
        if len(piece):
            trace = memory.simulate(spins, beta=np.inf, n_sweeps=1, order=piece, record=("states",))
            assert trace.states is not None
            spins = trace.states[0, 0]
        energy.append(float(memory.energy(spins[None])[0]))
        plus = ((columns - spins) ** 2).sum(axis=1) / (2 * n_units)
        minus = ((columns + spins) ** 2).sum(axis=1) / (2 * n_units)
        products.append(plus * minus)
    # H = -(c w / 2) sum_e (N n_e^2 - q_e), with n_e^2 = ((1 + q_e) / 2)^2 - L+ L- and w the share of each column
    q = (columns**2).sum(axis=1) / n_units
    weight = float(memory.scales_[0]) / (N_EXAMPLES if learning == "unsupervised" else 1)
    squares = ((1 + q) / 2) ** 2 - np.array(products)
    from_losses = -0.5 * weight * (n_units * squares - q).sum(axis=1)
    return {"energy": np.array(energy), "products": np.array(products), "from losses": from_losses}


def draw(result: Result, runs: dict[str, Any], out: Path) -> None:
    """The way down in time, and one against the other."""
    from neuromem.experiments.figures import finish, new_figure

    figure, (left, middle, right) = new_figure(13.0, 4.3, 3)
    time = np.linspace(0, SWEEPS, N_RECORDS + 1)
    n_units = result.settings["units"]
    for place, (learning, found) in enumerate(runs.items()):
        share = 1 / N_EXAMPLES if learning == "unsupervised" else 1.0
        total = found["products"].sum(axis=1) * share
        left.plot(time, found["energy"] / n_units, "o-", ms=3, lw=0.8, color=COLOURS[place], label=learning)
        middle.plot(time, total - total[0], "o-", ms=3, lw=0.8, color=COLOURS[place], label=learning)
        right.plot(total - total[0], found["energy"] / n_units, "o", ms=3, color=COLOURS[place], label=learning)
        right.plot(total - total[0], found["from losses"] / n_units, lw=0.8, color=COLOURS[place])
    left.set(xlabel="sweeps", ylabel="energy per unit H / N", title="Energy")
    middle.set(xlabel="sweeps", ylabel="sum of L+ L-, less its start", title="Product of both squared errors")
    right.set(xlabel="sum of L+ L-, less its start", ylabel="H / N", title="One against the other (lines: identity)")
    for ax in (left, middle, right):
        ax.legend()
    figure.suptitle(f"{n_units:,} units, {N_PATTERNS} patterns, zero noise, one unit at a time from a random state")
    finish(figure, out / "hopfield-loss.png", result)
