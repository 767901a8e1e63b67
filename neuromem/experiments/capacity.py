"""How much one mac holds, and how long reads take, against the number of items stored."""

import time
from pathlib import Path

import numpy as np

from neuromem import SparseyMac
from neuromem.experiments.controls import overfull
from neuromem.experiments.result import Result
from neuromem.progress import progress_bar

N_INPUTS, N_ACTIVE = 384, 24
SHAPES = ((9, 16), (24, 16), (24, 32), (50, 32), (24, 64))
LOADS = (0.25, 0.5, 0.8, 1.0, 1.25, 1.6, 2.5)
READS, REPEATS = 2000, 5


def random_items(n: int, rng: np.random.Generator) -> np.ndarray:
    """Items with exactly ``N_ACTIVE`` of ``N_INPUTS`` features active."""
    items = np.zeros((n, N_INPUTS), np.uint8)
    np.put_along_axis(items, rng.random((n, N_INPUTS)).argpartition(N_ACTIVE, axis=1)[:, :N_ACTIVE], 1, axis=1)
    return items


def law(n_items: float, units: int) -> float:
    """Expected share of weights set: 1 - (1 - r) ** (N / K)."""
    return float(1 - (1 - N_ACTIVE / N_INPUTS) ** (n_items / units))


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool) -> Result:
    """Fill against its law, recognition of stored codes, and read and write times from 10^2 to 10^5 items."""
    shapes = SHAPES[:2] if quick else SHAPES
    result = Result(
        "sparsey-capacity",
        0,
        {"inputs": N_INPUTS, "active": N_ACTIVE, "loads": LOADS, "u_exponent": 8.0, "freeze": None},
    )
    curves: dict[tuple[int, int], list[tuple[float, float]]] = {}
    with result.timed("capacity"), progress_bar(len(shapes) * len(LOADS), progress, "capacity") as advance:
        for n_modules, units in shapes:
            nominal = 0.92 * units * N_INPUTS / N_ACTIVE
            for load in LOADS:
                n_items = int(round(load * nominal))
                fills, right = [], []
                for seed in range(seeds):
                    items = random_items(n_items, np.random.default_rng(seed))
                    mac = SparseyMac(N_INPUTS, n_modules, units, freeze=None, random_state=seed)
                    written = store(mac, items)
                    fills.append(float(mac.saturation()["fill"][0]))
                    right.append(float((mac.present(items, False).codes == written).mean()))
                name = f"Q {n_modules}, K {units}, {n_items} items"
                result.add(name, "weights set", fills)
                result.add(name, "weights set by the law", [law(n_items, units)])
                result.add(name, "stored winners recalled", right, n_items)
                curves.setdefault((n_modules, units), []).append((n_items, float(np.mean(right))))
                advance(1)
    times = add_times(result, (100, 1000, 10_000) if quick else (100, 1000, 10_000, 100_000))
    if out is not None:
        draw(result, curves, times, out)
    return result


def store(mac: SparseyMac, items: np.ndarray) -> np.ndarray:
    """Written codes of items."""
    with overfull():
        written: np.ndarray = mac.present(items, True, written=True).written_codes
    return written


def add_times(result: Result, sizes: tuple[int, ...]) -> list[tuple[int, float]]:
    """Read time per item at each number of stored items: the smallest of several repeats, taken in turns."""
    rng = np.random.default_rng(0)
    cues = random_items(READS, rng)
    macs = {}
    for size in sizes:
        macs[size] = SparseyMac(N_INPUTS, random_state=0)
        store(macs[size], random_items(size, rng))
        macs[size].present(cues, False)
    best = dict.fromkeys(sizes, np.inf)
    for _ in range(REPEATS):
        for size, mac in macs.items():
            start = time.perf_counter()
            mac.present(cues, False)
            best[size] = min(best[size], time.perf_counter() - start)
    for size in sizes:
        result.add(f"{size:,} items stored", "microseconds per read", [best[size] / READS * 1e6])
        result.add(f"{size:,} items stored", "bytes of state", [macs[size].nbytes])
    result.add("largest over smallest", "read time ratio", [max(best.values()) / min(best.values())])
    return [(size, best[size] / READS * 1e6) for size in sizes]


def draw(
    result: Result, curves: dict[tuple[int, int], list[tuple[float, float]]], times: list[tuple[int, float]], out: Path
) -> None:
    """Recognition against load, and read time against items stored."""
    from neuromem.experiments.figures import finish, new_figure

    figure, (left, right) = new_figure(10.0, 4.2, 2)
    for (n_modules, units), points in curves.items():
        left.plot(*zip(*points, strict=True), "o-", label=f"Q {n_modules}, K {units}")
    left.set(
        xlabel="items stored",
        ylabel="share of stored winners recalled",
        xscale="log",
        title="Capacity grows with K, not Q",
    )
    left.axhline(0.99, color="0.6", ls=":")
    left.legend()
    right.plot(*zip(*times, strict=True), "o-")
    highest = 1.25 * max(value for _, value in times)
    right.set(xlabel="items stored", ylabel="microseconds per read", xscale="log", ylim=(0, highest), title="Read time")
    finish(figure, out / "sparsey-capacity.png", result)
