"""Time Sparsey's GPU kernels beside a device-to-device copy, a chain of CuPy calls and the CPU's kernels on all cores.

    python benchmarks/gpu_sparsey.py                      # a table; exit 2 where no GPU can be used
    python benchmarks/gpu_sparsey.py --json run.json      # also the figures, with the machine
    NEUROMEM_DATA=<folder> python benchmarks/gpu_sparsey.py    # also a classifier on 60,000 digits of MNIST

Bytes are those logically gathered: rows of active inputs, rows of winners, pictures, codes compared; not the traffic of
the device's memory.  ``share`` is bytes per second over those that a copy reads and writes, measured in the same run; a
cache that serves a row many times can lift it above 1.  Times include the launch from Python and end when the device has
finished; compiling does not count, and each kernel runs once before it is timed.
"""

import argparse
import inspect
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import neuromem
from neuromem import gpu
from neuromem.errors import MissingDataError
from neuromem.experiments.result import environment
from neuromem.sparsey.packing import pack_cells, padded_units, unpack_cells, words_per_row

SETTINGS = {"shape", "bounds", "exponents", "sigmoid", "modes", "freeze_limits", "key"}  # stay on the host
SETTINGS |= {"macs", "rates", "constants", "multipliers", "level_starts", "flags", "blocks"}
ROUNDS = 9


@dataclass
class Sizes:
    """How much work each case is; the defaults are for a GPU, a test takes less."""

    learned: int = 3000
    recalled: int = 20_000
    labelled: int = 20_000
    pictures: int = 60_000
    codes: tuple[int, int] = (200, 60_000)
    chained: int = 200  # items of the chain of CuPy calls, whose temporaries are large
    copied: int = 1 << 30
    streamed: int = 500  # frames that a network learns
    replayed: int = 20_000  # frames that it reads, in sequences of ten


@dataclass
class Case:
    """One kernel with its arguments on the host; ``fresh`` are those that it reads and changes, zeros at first.

    ``chain(xp, arguments, n)`` gives a function that does the same with CuPy calls for the first ``n`` items, and gives the
    result; ``chained`` is that ``n``.
    """

    name: str
    kernel: str
    arguments: tuple
    items: int
    gathered: int
    fresh: tuple[int, ...] = ()
    chain: Callable | None = None
    chained: int = 0


# ---------------------------------------------------------------- what is measured


def digit_fields():
    """Fields of 9 x 9 with stride 3 over eight maps of 28 x 28: what 49 macs see."""
    numbers = np.arange(8 * 28 * 28).reshape(8, 28, 28)
    return np.stack([numbers[:, y : y + 9, x : x + 9].ravel() for y in range(0, 20, 3) for x in range(0, 20, 3)])


def grid_arguments(rng, n_items, fields, n_active, n_modules, units):
    """Items with ``n_active`` active features each, and macs that see fields of them."""
    n_macs, n_afferents = fields.shape
    n_features = int(fields.max()) + 1
    gaps = rng.integers(1, n_features // n_active + 1, (n_items, n_active))
    indices = (gaps.cumsum(axis=1) - 1).astype(np.int32).ravel()
    rows = np.full((n_macs, n_features), -1, np.int32)
    np.put_along_axis(rows, fields, np.arange(n_afferents, dtype=np.int32)[None], axis=1)
    order = np.tile(np.arange(units, dtype=np.uint16), (n_macs, n_modules, 1))
    shape = np.array([n_modules, units, padded_units(units)])
    bounds, exponents = np.array([1, n_afferents, 0]), np.array([8.0, 0.1, 2.0, 100.0])
    return indices, np.arange(n_items + 1) * n_active, rows, order, shape, bounds, exponents


def rows_gathered(indices, rows):
    """Weight rows of active inputs over all items and macs."""
    return int((rows >= 0).sum(axis=0)[indices].sum())


def random_weights(rng, n_macs, n_afferents, n_modules, units):
    """A fifth of the bits set, none outside the cells, none in the last row."""
    words = rng.integers(0, 2**64, (3, n_macs, n_afferents + 1, words_per_row(n_modules, units)), dtype=np.uint64)
    weights = words[0] & words[1] & (words[2] | words[0] >> np.uint64(1))
    weights &= pack_cells(np.ones((n_modules, units), bool))
    weights[:, -1] = 0
    return weights


def recall_chain(xp, arguments, n):
    """Gather rows as bytes, sum, take the largest: mac by mac."""
    indices, indptr, rows, _, shape, *_ = (xp.asnumpy(value) for value in arguments[:5])
    n_modules, units = (int(size) for size in shape[:2])
    cells = xp.asarray(unpack_cells(xp.asnumpy(arguments[9]), n_modules, units).astype(np.uint8))
    active = rows[:, indices.reshape(len(indptr) - 1, -1)[:n]]
    active = np.sort(np.where(active < 0, cells.shape[1] - 1, active), axis=2)  # inputs that a mac does not see come last
    lists = [xp.asarray(listed[:, : int((listed < cells.shape[1] - 1).sum(axis=1).max())]) for listed in active]

    def work():
        found = [cells[m][listed].sum(axis=1, dtype=np.int32).argmax(axis=2)[:, None] for m, listed in enumerate(lists)]
        return xp.concatenate(found, axis=1)

    return work


def counting_chain(xp, arguments, n):
    """One histogram of winners and classes."""
    codes, _, units, labels, counts = arguments
    modules = xp.arange(codes.shape[1]) * units

    def work():
        place = (modules + codes[:n]) * counts.shape[1] + labels[:n, None]
        return xp.bincount(place.ravel(), minlength=counts.size).reshape(counts.shape)

    return work


def summing_chain(xp, arguments, n):
    """Gather the winners' rows and add them."""
    codes, _, units, table, _ = arguments
    modules = xp.arange(codes.shape[1]) * units
    return lambda: table[modules + codes[:n]].sum(axis=1)


def sharing_chain(xp, arguments, n):
    """Compare all pairs, count."""
    a, b = arguments[:2]
    return lambda: (a[:n, None] == b).sum(axis=2)


def cases(sizes):
    """All kernels at the sizes of a digit classifier, and recall at the sizes of single macs."""
    rng = np.random.default_rng(0)
    made = []
    one = np.arange(384)[None]
    for fields, n_active, n_modules, units in ((digit_fields(), 220, 8, 128), (one, 24, 24, 32), (one, 24, 100, 100)):
        n_macs, n_afferents = fields.shape
        what = f"{n_macs} mac(s) of {n_afferents} inputs, Q {n_modules}, K {units}"
        for n, name in ((sizes.recalled, "recall"), (sizes.learned, "learn")):
            common = grid_arguments(rng, n, fields, n_active, n_modules, units)
            codes, G = np.zeros((n, n_macs, n_modules), np.uint8), np.zeros((n, n_macs))
            gathered = 8 * words_per_row(n_modules, units) * rows_gathered(common[0], common[2])
            if name == "recall":
                weights = random_weights(rng, n_macs, n_afferents, n_modules, units)
                arguments = (*common, True, 255, weights, codes, G)
                made.append(Case(f"recall, {what}", "recall_batch", arguments, n, gathered, (), recall_chain, sizes.chained))
                continue
            draws = (np.array([0.1, 4.0, 1.0, 8.0]), np.array([0, 0, 1]), np.array([n_afferents // 4, 2**40]))
            weights = np.zeros((n_macs, n_afferents + 1, words_per_row(n_modules, units)), np.uint64)
            cells = (n_macs, n_modules * units)
            state = (weights, np.zeros(cells, np.int32), np.zeros(cells, bool))
            arguments = (*common, *draws, np.array([1, 2], np.uint32), 0, n, 255, *state, codes, codes.copy(), G)
            made.append(Case(f"learn, {what}", "learn_stream", arguments, n, gathered, (14, 15, 16)))
    return made + label_cases(rng, sizes) + picture_cases(rng, sizes) + network_cases(rng, sizes)


def label_cases(rng, sizes):
    """A field of ten classes over 392 modules of 128 cells, and codes against codes."""
    n, n_modules, units = sizes.labelled, 392, 128
    codes, labels = rng.integers(0, units, (n, n_modules)).astype(np.uint8), rng.integers(0, 10, n)
    common, rows = (codes, 255, units), n_modules * units
    counts = (*common, labels, np.zeros((rows, 10), np.uint32))
    delta = (*common, labels, 0.1, 0, np.zeros((rows, 16), np.int32), np.zeros((rows, 10), np.int64))
    summed = (*common, rng.normal(size=(rows, 16)), np.zeros((n, 16)))
    (n_a, n_b), stored = sizes.codes, rng.integers(0, units, (sizes.codes[1], n_modules)).astype(np.uint8)
    pairs = (stored[:n_a].copy(), stored, 255, np.zeros((n_a, n_b), np.int32))
    what = "392 modules, 10 classes"
    return [
        Case(f"count labels, {what}", "count_labels", counts, n, n * n_modules * 4, (4,), counting_chain, n),
        Case(f"correct errors, {what}", "correct_errors", delta, n, n * n_modules * 64, (6, 7)),
        Case(f"sum scores, {what}", "sum_scores", summed, n, n * n_modules * 128, (), summing_chain, sizes.chained),
        Case(
            f"shared winners, {n_a} x {n_b} codes",
            "shared_winners",
            pairs,
            n_a,
            n_a * n_b * n_modules,
            (),
            sharing_chain,
            min(n_a, sizes.chained // 10 + 1),
        ),
    ]


def picture_cases(rng, sizes):
    """Edges of pictures of 28 x 28, a fifth of their pixels ink."""
    n = sizes.pictures
    images = (rng.integers(0, 256, (n, 28, 28)) * (rng.random((n, 28, 28)) < 0.2)).astype(np.uint8)
    angle = -np.pi + 2 * np.pi * np.arange(8) / 8
    directions = np.round(np.stack([np.cos(angle), np.sin(angle)], axis=1), 12)
    found = [
        Case(
            f"edges of a picture, {name}",
            "edge_lists",
            (images, 60.0, directions, deskew, np.zeros((n, 676), np.int32), np.zeros(n, np.int64)),
            n,
            images.nbytes,
        )
        for name, deskew in (("as it is", False), ("straightened", True))
    ]
    return [*found, Case("straighten a picture", "deskew_images", (images, np.zeros_like(images)), n, images.nbytes)]


def network_cases(rng, sizes):
    """Learn one long sequence, read many of ten frames: a level of 49 macs and one above it, without and with D; back again."""
    from neuromem.sparsey import FieldGrid, SparseyLevel

    n_features = 8 * 28 * 28
    grid = FieldGrid((28, 28), (9, 9), (3, 3), channels=8)
    found = []
    for top_down, what in ((False, "two levels, level by level"), (True, "two levels, step by step")):
        levels = [SparseyLevel(8, 64, grid, top_down=top_down), SparseyLevel(16, 32, persistence=2)]
        for n, learns in ((sizes.streamed, True), (sizes.replayed, False)):
            kernel, arguments, gathered = network_arguments(rng, levels, n_features, n, learns)
            state = tuple(range(len(arguments) - 9, len(arguments) - 6))
            name = f"network {'learns' if learns else 'reads'}, {what}"
            found.append(Case(name, kernel, arguments, n, gathered, state if learns else ()))
    macs, sources, bits, codes = arguments[6], arguments[7], arguments[-9], arguments[-6]
    codes[:] = rng.integers(0, 32, codes.shape)
    scores = np.zeros((len(codes), n_features), np.float32)
    gathered = 49 * grid.channels * 81 * 8 * len(codes)  # a word for every feature and module
    back = (codes, macs, 49, sources, bits, scores)
    return [*found, Case("network, back to its input", "project_back", back, len(codes), gathered)]


def network_arguments(rng, levels, n_features, n_steps, learns):
    """Kernel, its arguments, and the bytes of rows from below to the first level; reads are of random weights."""
    from neuromem.sparsey import SparseyNetwork
    from neuromem.sparsey.network_memory import BEGINS, LEARNS, block_bounds
    from neuromem.sparsey.network_tables import feature_rows, network_tables, u_tables

    tables = network_tables(levels, n_features)
    gaps = rng.integers(1, n_features // 220 + 1, (n_steps, 220))
    indices, rows = (gaps.cumsum(axis=1) - 1).astype(np.int32).ravel(), feature_rows(tables, n_features)
    flags = np.full(n_steps, LEARNS if learns else 0, np.uint8)
    flags[:: n_steps if learns else 10] |= BEGINS
    blocks = np.array([0, n_steps]) if learns else block_bounds(flags, 1)
    constants, modes, sigmoid, multipliers = SparseyNetwork(n_features, levels)._settings()
    n_macs, n_modules, n_words = len(tables.macs), tables.n_modules, tables.n_words
    bits = np.zeros(n_words, np.uint64)
    if not learns:
        bits[:] = rng.integers(0, 2**64, n_words, dtype=np.uint64) & rng.integers(0, 2**64, n_words, dtype=np.uint64)
        for first in [*tables.macs[1:, 5].tolist(), n_words]:
            bits[first - 8 : first] = 0  # every mac's row of zeros; all have eight words
    history = (
        *(np.full((n_steps + 1, n_modules), -1, np.int32) for _ in range(2)),
        *(np.zeros((n_steps + 1, n_macs), np.int32) for _ in range(2)),
        *(np.zeros((n_steps + 1, n_macs)), np.full((n_steps + 1, n_macs, 7), -1.0)),
    )
    arguments = (
        *(indices, np.arange(n_steps + 1) * 220, rows, flags, blocks),
        *(() if tables.comes_down else (tables.level_starts,)),
        *(0, tables.macs, tables.sources, tables.parents, tables.rates),
        *u_tables(tables.rates, sigmoid, int(modes[1])),
        *(constants, modes, sigmoid, multipliers, np.array([1, 2], np.uint32)),
        *(bits, np.zeros(tables.n_cells, np.int32), np.zeros(tables.n_cells, bool), *history),
    )
    gathered = 8 * int(tables.macs[0, 4]) * rows_gathered(indices, rows)
    return "run_in_time" if tables.comes_down else "run_by_level", arguments, gathered


# ---------------------------------------------------------------- measuring


def on_device(cupy, case):
    """The case's arguments with their arrays on the GPU."""
    from neuromem.sparsey import kernels

    kernel = getattr(kernels, case.kernel)
    names = inspect.signature(getattr(kernel, "py_func", kernel)).parameters
    return tuple(
        cupy.asarray(value) if isinstance(value, np.ndarray) and name not in SETTINGS else value
        for name, value in zip(names, case.arguments, strict=True)
    )


def seconds(work, finish, rounds, before=lambda: None):
    """Median time of a call, the first one left out; ``before`` puts things back and is not timed."""
    times = []
    for _ in range(rounds + 1):
        before()
        finish()
        start = time.perf_counter()
        work()
        finish()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def copy_rate(cupy, finish, n_bytes, rounds):
    """Bytes per second that a copy inside the device reads and writes."""
    source, target = cupy.zeros(n_bytes, np.uint8), cupy.zeros(n_bytes, np.uint8)

    def work():
        target[...] = source

    return 2 * n_bytes / seconds(work, finish, rounds)


def measure(cupy, case, rate, rounds=ROUNDS):
    """One row: microseconds per item on the GPU, in the chain and on the CPU, and the share of a copy's rate."""
    from neuromem.gpu import sparsey as twins
    from neuromem.sparsey import kernels

    finish = cupy.cuda.runtime.deviceSynchronize

    def reset(where):
        for number in case.fresh:
            where[number][...] = 0

    there, here = on_device(cupy, case), case.arguments
    ours = seconds(lambda: getattr(twins, case.kernel)(*there), finish, rounds, lambda: reset(there))
    cpu = seconds(lambda: getattr(kernels, case.kernel)(*here), lambda: None, rounds, lambda: reset(here))
    reset(here)
    n = min(case.chained, case.items)
    chain = seconds(case.chain(cupy, there, n), finish, rounds) / n if case.chain else None
    return {
        "kernel": case.name,
        "items": case.items,
        "gpu_us": ours / case.items * 1e6,
        "chain_us": None if chain is None else chain * 1e6,
        "cpu_us": cpu / case.items * 1e6,
        "gathered_bytes": case.gathered,
        "gathered_per_second": case.gathered / ours,
        "share": case.gathered / ours / rate,
    }


def digits(cupy):
    """Seconds to learn and to read MNIST, uploads included, on the GPU and on the CPU; None without the data."""
    from neuromem import SparseyClassifier, datasets

    try:
        x_train, y_train, x_test, y_test = datasets.mnist()
    except MissingDataError as error:
        print(f"no digits: {error}", file=sys.stderr)
        return None
    found = {}
    for place, put in (("gpu", cupy.asarray), ("cpu", np.asarray)):
        SparseyClassifier(random_state=0).fit(put(x_train[:500]), y_train[:500]).predict(put(x_test[:10]))  # compile
        cupy.cuda.runtime.deviceSynchronize()
        start = time.perf_counter()
        model = SparseyClassifier(random_state=0).fit(put(x_train), y_train)
        cupy.cuda.runtime.deviceSynchronize()
        learned = time.perf_counter()
        accuracy = model.score(put(x_test), y_test)
        found[place] = {"learn": learned - start, "read": time.perf_counter() - learned, "accuracy": accuracy}
    return found


def table(rows):
    """Aligned text; "-" where nothing was compared."""
    head = f"{'kernel':58}{'gpu us':>10}{'chain us':>10}{'cpu us':>10}{'GB/s':>10}{'share':>8}"
    lines = [head, "-" * len(head)]
    for row in rows:
        chain = "-" if row["chain_us"] is None else f"{row['chain_us']:.3g}"
        rate = row["gathered_per_second"] / 1e9
        lines.append(f"{row['kernel']:58}{row['gpu_us']:10.3g}{chain:>10}{row['cpu_us']:10.3g}{rate:10.3g}{row['share']:8.2f}")
    return "\n".join(lines)


def main(arguments=None):
    """Run everything; returns the exit code."""
    parser = argparse.ArgumentParser(description="Sparsey's GPU kernels against a copy, CuPy calls and the CPU.")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    if missing := [step for step in gpu.availability() if not step.holds]:
        print(f"no GPU can be used: {missing[0].name}: no ({missing[0].detail})", file=sys.stderr)
        return 2
    import cupy

    sizes = Sizes()
    rate = copy_rate(cupy, cupy.cuda.runtime.deviceSynchronize, sizes.copied, ROUNDS)
    rows = [measure(cupy, case, rate) for case in cases(sizes)]
    device, read = gpu.device_info(), digits(cupy)
    print(
        f"{device['name']}, a copy moves {rate / 1e9:.0f} GB/s; {neuromem.get_num_threads()} CPU threads; microseconds per item"
    )
    print(table(rows))
    for place, times in (read or {}).items():
        print(f"MNIST on the {place}: learn {times['learn']:.2f} s, read {times['read']:.2f} s, accuracy {times['accuracy']:.4f}")
    if chosen.json:
        result = {"device": device, "copy_bytes_per_second": rate, "rows": rows, "mnist_seconds": read}
        chosen.json.write_text(json.dumps(result | {"environment": environment()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
