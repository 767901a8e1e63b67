"""Time the Hopfield kernels on the GPU beside the CPU's on all cores: sweeps and spins per second.

    python benchmarks/gpu_hopfield.py                      # a table; exit 2 where no GPU can be used
    python benchmarks/gpu_hopfield.py --json run.json      # also the figures, with the machine

Both run the same chains from the same start, and ``equal`` says whether all states and records came out the same.  Times
include the launch from Python and end when the device has finished; compiling and moving arrays do not count, and each
kernel runs once before it is timed.  A sweep is one chain's; spins are those of the network that a chain stands for.
"""

import argparse
import inspect
import itertools
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import neuromem
from neuromem import gpu
from neuromem.experiments.result import environment

ON_HOST = {"key", "sweeps"}
WRITTEN = {"class_chains": 3, "bit_parallel": 3, "parallel_overlaps": 4}  # the last arguments
DILUTION, BETA = 0.4, 5.0
ROUNDS = 5


@dataclass
class Sizes:
    """How much work each case is; the defaults are for a GPU, a test takes less."""

    many_chains: int = 32_768  # one thread each
    chains: int = 2048
    spin_chains: int = 264
    class_units: int = 10**6
    units: tuple[int, int] = (10**4, 10**6)
    columns: tuple[int, int] = (5, 200)
    sweeps: int = 50


@dataclass
class Case:
    """One kernel with its arguments on the host."""

    name: str
    kernel: str
    arguments: tuple
    units: int
    chains: int
    sweeps: int


# ---------------------------------------------------------------- what is measured


def network(rng, n_patterns, n_units):
    """Rows of folded classes (n_patterns, n_classes), their own parts, and how many units have each."""
    rows = np.array(list(itertools.product((-1, 0, 1), repeat=n_patterns)))
    rows = rows[len(rows) // 2 + 1 :]  # those whose first entry that is not 0 is positive
    weights = 2 * np.prod(np.where(rows == 0, DILUTION, (1 - DILUTION) / 2), axis=1)
    counts = rng.multinomial(n_units, np.append(weights, 1 - weights.sum()))[:-1]
    return np.ascontiguousarray(rows.T), np.ones(n_patterns), (rows**2).sum(axis=1).astype(float), counts


def common(n_units, n_chains, n_sweeps, n_reported):
    """Settings, and room for one record at the end."""
    settings = (np.full(n_chains, 2 * BETA / n_units), 0, np.array([1, 2], np.uint32), np.arange(n_chains))
    sweeps = np.array([0, n_sweeps, 0, n_sweeps])
    return settings, sweeps, (np.zeros((n_chains, 1, n_reported), np.int64), np.zeros((n_chains, 1)))


def class_case(rng, sizes, n_patterns, n_chains):
    n = sizes.class_units
    parts = network(rng, n_patterns, n)
    settings, sweeps, found = common(n, n_chains, sizes.sweeps, n_patterns)
    up = rng.binomial(parts[3], 0.7, (n_chains, len(parts[3])))
    name = f"classes, {n_patterns} patterns, {n:.0e} units, {n_chains} chains"
    return Case(name, "class_chains", (*parts, *settings, sweeps, 0, up, *found), n, n_chains, sizes.sweeps)


def bit_case(rng, sizes, n_patterns, n):
    n_chains = sizes.spin_chains
    parts = network(rng, n_patterns, n)
    offsets = np.concatenate([[0], np.cumsum(-(-parts[3] // 64))])
    lanes = np.concatenate([np.arange(64 * -(-count // 64)) < count for count in parts[3]])
    free = np.packbits(lanes[None], axis=1, bitorder="little").view(np.uint64)
    spins = free & rng.integers(0, 2**64, (n_chains, free.shape[1]), dtype=np.uint64)
    settings, sweeps, found = common(n, n_chains, sizes.sweeps, n_patterns)
    name = f"bits, {n_patterns} patterns, {n:.0e} units, {n_chains} chains"
    arguments = (*parts, offsets, free, *settings, sweeps, 0, spins, *found)
    return Case(name, "bit_parallel", arguments, n, n_chains, sizes.sweeps)


def overlap_case(rng, sizes, n_columns, n):
    n_chains, n_sweeps = sizes.spin_chains, max(1, sizes.sweeps // 10)
    rows = rng.choice(np.array([-1, 0, 1], np.int8), (n, n_columns))
    spins = rng.choice(np.array([-1, 1], np.int8), (n_chains, n))
    settings, sweeps, found = common(n, n_chains, n_sweeps, n_columns)
    own = (rows != 0).sum(axis=1).astype(float)
    state = (np.ones((1, n), np.uint8), spins, *found, np.zeros((n_chains, 2), np.int64))
    arguments = (rows, np.ones(n_columns, np.int64), own, *settings, sweeps, 0, 0, *state)
    return Case(
        f"overlaps, {n_columns} columns, {n:.0e} units, {n_chains} chains", "parallel_overlaps", arguments, n, n_chains, n_sweeps
    )


def cases(sizes):
    """All kernels: few and many classes, small and large networks, few and many columns."""
    rng = np.random.default_rng(0)
    classes = [class_case(rng, sizes, k, n) for n in (sizes.many_chains, sizes.chains) for k in (1, 2, 3)]
    classes.append(class_case(rng, sizes, 5, sizes.chains))
    bits = [bit_case(rng, sizes, *size) for size in zip((3, 5), sizes.units, strict=True)]
    return [*classes, *bits, *(overlap_case(rng, sizes, n_columns, sizes.units[0]) for n_columns in sizes.columns)]


# ---------------------------------------------------------------- measuring


def on_device(cupy, case):
    """The case's arguments with their arrays on the GPU."""
    from neuromem.hopfield import kernels

    kernel = getattr(kernels, case.kernel)
    names = inspect.signature(getattr(kernel, "py_func", kernel)).parameters
    return tuple(
        cupy.asarray(value) if isinstance(value, np.ndarray) and name not in ON_HOST else value
        for name, value in zip(names, case.arguments, strict=True)
    )


def seconds(work, finish, rounds):
    """Median time of a call."""
    times = []
    for _ in range(rounds):
        finish()
        start = time.perf_counter()
        work()
        finish()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(cupy, case, rounds=ROUNDS):
    """One row: sweeps and spins per second on the GPU and on the CPU, and whether both found the same."""
    from neuromem.gpu import hopfield as twins
    from neuromem.hopfield import kernels

    there = on_device(cupy, case)
    here = tuple(value.copy() if isinstance(value, np.ndarray) else value for value in case.arguments)
    ours, cpu = (lambda: getattr(twins, case.kernel)(*there)), (lambda: getattr(kernels, case.kernel)(*here))
    ours(), cpu()
    first = len(here) - WRITTEN[case.kernel]
    equal = all(np.array_equal(cupy.asnumpy(a), b) for a, b in zip(there[first:], here[first:], strict=True))
    row = {"kernel": case.name, "equal": equal}
    finish = cupy.cuda.runtime.deviceSynchronize
    for place, taken in (("gpu", seconds(ours, finish, rounds)), ("cpu", seconds(cpu, lambda: None, rounds))):
        row[f"{place}_sweeps_per_second"] = case.chains * case.sweeps / taken
        row[f"{place}_spins_per_second"] = case.chains * case.sweeps * case.units / taken
    return row | {"ratio": row["gpu_sweeps_per_second"] / row["cpu_sweeps_per_second"]}


def table(rows):
    """Aligned text."""
    columns = [f"{place}_{what}_per_second" for what in ("sweeps", "spins") for place in ("gpu", "cpu")]
    titles = "".join(f"{name.replace('_per_second', '/s').replace('_', ' '):>14}" for name in columns)
    head = f"{'kernel':58}{titles}{'ratio':>9}{'equal':>7}"
    lines = [head, "-" * len(head)]
    for row in rows:
        figures = "".join(f"{row[name]:14.3g}" for name in columns)
        lines.append(f"{row['kernel']:58}{figures}{row['ratio']:9.2f}{'yes' if row['equal'] else 'NO':>7}")
    return "\n".join(lines)


def main(arguments=None):
    """Run everything; returns the exit code: 1 where a GPU's state differs from the CPU's."""
    parser = argparse.ArgumentParser(description="The Hopfield kernels on the GPU against the CPU.")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    if missing := [step for step in gpu.availability() if not step.holds]:
        print(f"no GPU can be used: {missing[0].name}: no ({missing[0].detail})", file=sys.stderr)
        return 2
    import cupy

    rows = [measure(cupy, case) for case in cases(Sizes())]
    device = gpu.device_info()
    print(f"{device['name']}; {neuromem.get_num_threads()} CPU threads")
    print(table(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps({"device": device, "rows": rows, "environment": environment()}, indent=1))
    return 0 if all(row["equal"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
