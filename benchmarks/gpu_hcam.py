"""Time the HCAM kernels on the GPU beside a device-to-device copy and the CPU's kernels on all cores.

    python benchmarks/gpu_hcam.py                      # a table; exit 2 where no GPU can be used
    python benchmarks/gpu_hcam.py --json run.json      # also the figures, with the machine

Bytes are those logically gathered: every summary of its lane for each query; the filled steps of the chunks that a query keeps;
for the gradient of the contents, what is written and, of each place that kept a chunk, its vectors and weights.  Caches that
serve queries of one lane can lift ``share``, bytes per second over those that a copy reads and writes, above 1.  ``close`` says
whether results are those of the CPU to rounding.  Times include the launch from Python and end when the device has finished;
compiling and moving arrays do not count, and each kernel runs once before it is timed.
"""

import argparse
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

WRITTEN = {"summary_topk": 2, "gather_attend_fwd": 2, "gather_attend_bwd": 3, "scatter_contents": 1}  # the last arguments
CLOSE = {"rtol": 1e-3, "atol": 1e-4}  # float32 sums of hundreds of terms of order one, in two orders
ROUNDS = 9


@dataclass(frozen=True)
class Shape:
    """How much one case is: lanes, queries of each, chunks of each, steps of a chunk, width, heads, chunks kept."""

    name: str
    lanes: int
    queries: int
    chunks: int
    steps: int
    width: int
    heads: int
    kept: int


# A million steps asked once and by 64 queries, and a learner's batch; a test takes less.
SHAPES = (
    Shape("a million steps, one query", 1, 1, 3907, 256, 128, 4, 16),
    Shape("a million steps, 64 queries", 1, 64, 3907, 256, 128, 4, 16),
    Shape("32 lanes of 8192 steps, 16 queries each", 32, 16, 256, 32, 256, 8, 8),
)
COPIED = 1 << 30  # bytes


@dataclass
class Case:
    """One kernel with its arguments on the host."""

    name: str
    kernel: str
    arguments: tuple
    queries: int
    gathered: int


# ---------------------------------------------------------------- what is measured


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def cases_of(shape):
    """The four kernels on one memory, each with what the one before it found."""
    from neuromem.hcam import kernels
    from neuromem.hcam.attended import places_by_chunk

    rng, n = np.random.default_rng(0), shape.lanes * shape.queries
    contents = normal(rng, shape.lanes, shape.chunks, shape.steps, shape.width)
    summaries, position = contents.mean(axis=2), normal(rng, shape.steps, shape.width)
    lane = np.arange(shape.lanes, dtype=np.int32).repeat(shape.queries)
    lengths = np.full((shape.lanes, shape.chunks), shape.steps, np.int32)
    lengths[:, ::3] -= shape.steps // 3
    index, score = np.zeros((n, shape.kept), np.int32), np.zeros((n, shape.kept), np.float32)
    visible = np.ones((n, shape.chunks), np.uint8)
    best = (normal(rng, n, shape.width), summaries, lane, visible, float(-np.inf), index, score)
    kernels.summary_topk(*best)

    weight = np.full((n, shape.kept), 1 / shape.kept, np.float32)
    q_tilde = normal(rng, n, shape.heads, shape.width) / np.float32(shape.width**0.5)
    p, y = np.zeros((n, shape.kept, shape.heads, shape.steps), np.float32), np.zeros_like(q_tilde)
    inputs = (q_tilde, weight, index.copy(), lane, lengths, contents, position)
    kernels.gather_attend_fwd(*inputs, p, y)
    d_y, d_score = normal(rng, *y.shape), np.zeros_like(p)
    back = (*inputs, p.copy(), d_y, np.zeros_like(y), np.zeros_like(weight), d_score)
    kernels.gather_attend_bwd(*back)
    order, starts = places_by_chunk(index, weight, lane, shape.lanes, shape.chunks)
    scatter = (order, starts, q_tilde, weight, p.copy(), d_y, d_score.copy(), np.zeros_like(contents))

    steps = int(lengths[lane[:, None], index].sum())
    per_place = 2 * shape.heads * (shape.width + shape.steps)
    numbers = {
        "summary_topk": n * shape.chunks * shape.width,
        "gather_attend_fwd": steps * shape.width,
        "gather_attend_bwd": steps * shape.width,
        "scatter_contents": contents.size + n * shape.kept * per_place,
    }
    arguments = (best, (*inputs, p, y), back, scatter)
    return [
        Case(f"{kernel}, {shape.name}", kernel, given, n, 4 * numbers[kernel])
        for kernel, given in zip(WRITTEN, arguments, strict=True)
    ]


# ---------------------------------------------------------------- measuring


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


def copy_rate(cupy, n_bytes, rounds):
    """Bytes per second that a copy inside the device reads and writes."""
    source, target = cupy.zeros(n_bytes, np.uint8), cupy.zeros(n_bytes, np.uint8)

    def work():
        target[...] = source

    work()
    return 2 * n_bytes / seconds(work, cupy.cuda.runtime.deviceSynchronize, rounds)


def measure(cupy, case, rate, rounds=ROUNDS):
    """One row: microseconds per query on the GPU and on the CPU, bytes per second, and whether both found the same."""
    from neuromem.gpu import hcam as twins
    from neuromem.hcam import kernels

    here = case.arguments
    for value in here[-WRITTEN[case.kernel] :]:
        value[...] = 0
    there = tuple(cupy.asarray(value) if isinstance(value, np.ndarray) else value for value in here)
    ours, cpu = (lambda: getattr(twins, case.kernel)(*there)), (lambda: getattr(kernels, case.kernel)(*here))
    ours(), cpu()
    outputs = range(-WRITTEN[case.kernel], 0)
    close = all(np.allclose(cupy.asnumpy(there[i]), here[i], **CLOSE) for i in outputs)
    taken, on_cpu = seconds(ours, cupy.cuda.runtime.deviceSynchronize, rounds), seconds(cpu, lambda: None, rounds)
    return {
        "kernel": case.name,
        "queries": case.queries,
        "gpu_us": taken / case.queries * 1e6,
        "cpu_us": on_cpu / case.queries * 1e6,
        "gathered_bytes": case.gathered,
        "gathered_per_second": case.gathered / taken,
        "share": case.gathered / taken / rate,
        "close": close,
    }


def table(rows):
    """Aligned text."""
    head = f"{'kernel':62}{'gpu us':>10}{'cpu us':>10}{'GB/s':>10}{'share':>8}{'close':>7}"
    lines = [head, "-" * len(head)]
    for row in rows:
        figures = f"{row['gpu_us']:10.3g}{row['cpu_us']:10.3g}{row['gathered_per_second'] / 1e9:10.3g}{row['share']:8.2f}"
        lines.append(f"{row['kernel']:62}{figures}{'yes' if row['close'] else 'NO':>7}")
    return "\n".join(lines)


def main(arguments=None):
    """Run everything; returns the exit code: 1 where the GPU found something else than the CPU."""
    parser = argparse.ArgumentParser(description="The HCAM kernels on the GPU against a copy and the CPU.")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    if missing := [step for step in gpu.availability() if not step.holds]:
        print(f"no GPU can be used: {missing[0].name}: no ({missing[0].detail})", file=sys.stderr)
        return 2
    import cupy

    rate = copy_rate(cupy, COPIED, ROUNDS)
    rows = [measure(cupy, case, rate) for shape in SHAPES for case in cases_of(shape)]
    device = gpu.device_info()
    print(
        f"{device['name']}, a copy moves {rate / 1e9:.0f} GB/s; {neuromem.get_num_threads()} CPU threads; microseconds per query"
    )
    print(table(rows))
    if chosen.json:
        result = {"device": device, "copy_bytes_per_second": rate, "rows": rows, "environment": environment()}
        chosen.json.write_text(json.dumps(result, indent=1))
    return 0 if all(row["close"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
