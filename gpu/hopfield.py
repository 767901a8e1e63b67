"""GPU twins of ``neuromem.hopfield.kernels``: the same names, arguments and bits; see there for what each argument is.

Arrays are those of the current launcher's family.  ``key`` and ``sweeps`` travel to the device as scalars and are best
given as NumPy arrays.

Fields of single units are summed column by column, not by cuBLAS: a matrix product adds in an order of its own, and keeps
the CPU's bits only where all weights are 1.  With many hundreds of columns a product would be faster, at that price.
"""

import math
from typing import Any

import numpy as np

from neuromem.gpu import launch

__all__ = ["bit_parallel", "class_chains", "parallel_overlaps"]

ONE_BY_ONE = "one unit at a time: every update waits for the one before"
BY_ROWS = "theory: short sums over rows, done in milliseconds, in float64 throughout"
COMPARED = "a memory to compare with: small networks, which the CPU serves"

CPU_ONLY: dict[str, str] = {
    "add_to_counters": COMPARED,
    "class_serial": ONE_BY_ONE,
    "count_differing_bits": COMPARED,
    "count_shared_bits": COMPARED,
    "free_energy_at": BY_ROWS,
    "learn_storkey": COMPARED,
    "link_bits": COMPARED,
    "parallel_dense": "an oracle: overlaps give the same in far less time",
    "relax_dense": COMPARED,
    "relax_dense_serial": COMPARED,
    "relax_fields": COMPARED,
    "relax_fields_serial": COMPARED,
    "row_steps": BY_ROWS,
    "row_sums": BY_ROWS,
    "serial_dense": ONE_BY_ONE,
    "serial_overlaps": ONE_BY_ONE,
    "solve_few_points": BY_ROWS,
    "solve_points": BY_ROWS,
    "sum_counters": COMPARED,
}

WARP = 32
BINOMIAL_THREADS = 256  # NM_BINOMIAL_THREADS of kernels/hopfield.cu
SPIN_THREADS = 512  # NM_SPIN_THREADS there
SHARED_BYTES = 48 * 1024  # what every card gives without being asked; more goes through global memory
SCRATCH_BYTES = 64 << 20  # most of it that blocks share where shared memory is too small
FREE_BLOCKS = 8192  # blocks of a launch that goes through its work in strides
THREAD_CLASSES = 27  # most classes that one thread goes through
THREAD_CHAINS = 8192  # with fewer chains, threads alone would leave most of a large card idle
WARP_CLASSES = 243  # most classes that one warp goes through
CHAINS_PER_BLOCK = {1: 64, WARP: 4, BINOMIAL_THREADS: 1}  # by the threads of a chain

I32, I64, U32 = np.int32, np.int64, np.uint32

# log(n!) less Stirling's main term, as the table in neuromem/hopfield/kernels/chance.py is made
STIRLING_ERRORS = np.array(
    [0.0] + [math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - 0.9189385332046727 for n in range(1, 16)], np.float64
)


def threads_of_chain(n_chains: int, n_classes: int) -> int:
    """Threads that share a chain of class counts."""
    if n_classes <= THREAD_CLASSES and n_chains >= THREAD_CHAINS:
        return 1
    return WARP if n_classes <= WARP_CLASSES else BINOMIAL_THREADS


def blocks_for(n_chains: int, per_block: int, scratch_bytes: int) -> int:
    """Blocks for chains that take so much global memory each."""
    most = SCRATCH_BYTES // (per_block * scratch_bytes) if scratch_bytes else FREE_BLOCKS
    return max(1, min(-(-n_chains // per_block), FREE_BLOCKS, most))


def block_of(n_items: int) -> tuple[int]:
    """Whole warps for so many items, up to the most that a kernel on spins takes."""
    return (max(WARP, min(SPIN_THREADS, -(-n_items // WARP) * WARP)),)


def scratch(n: int, dtype: type[np.generic] = np.int64) -> Any:
    """Work space in global memory."""
    return launch.current().xp.empty(n, dtype)


def network(values: Any, weights: Any, own: Any, counts: Any) -> tuple:
    """The classes of a network as kernels take them."""
    return values, weights, own, counts, I32(values.shape[0]), I32(values.shape[1])


def stream(scales: Any, metropolis: int, key: Any, chains: Any, sweeps: Any) -> tuple:
    """Temperatures, key and sweeps as kernels take them."""
    draws = (U32(word) for word in key.tolist())
    return scales, I32(metropolis), *draws, chains, I64(len(chains)), *(I64(number) for number in sweeps.tolist())


def records(first_reported: int, out_overlaps: Any) -> tuple:
    """The layout of records as kernels take it."""
    return I32(first_reported), I32(out_overlaps.shape[2]), I64(out_overlaps.shape[1])


def class_chains(
    values: Any,
    weights: Any,
    own: Any,
    counts: Any,
    scales: Any,
    metropolis: int,
    key: Any,
    chains: Any,
    sweeps: Any,
    first_reported: int,
    up: Any,
    out_overlaps: Any,
    out_squares: Any,
) -> None:
    """Parallel dynamics on class counts: one thread, one warp or one block a chain."""
    n_chains, n_classes = up.shape
    if not n_chains:
        return
    size = threads_of_chain(n_chains, n_classes)
    per_block = CHAINS_PER_BLOCK[size]
    chain_bytes = 8 * (n_classes + values.shape[0])
    in_scratch = per_block * chain_bytes > SHARED_BYTES
    blocks = blocks_for(n_chains, per_block, chain_bytes if in_scratch else 0)
    space = scratch(blocks * per_block * chain_bytes // 8 if in_scratch else 0)
    arguments = (
        *(*network(values, weights, own, counts), *stream(scales, metropolis, key, chains, sweeps)),
        *(*records(first_reported, out_overlaps), launch.current().xp.asarray(STIRLING_ERRORS)),
        *(I32(size), I32(in_scratch), space, up, out_overlaps, out_squares),
    )
    shared = 0 if in_scratch else per_block * chain_bytes
    launch.run("hopfield", "nm_hopfield_class_chains", (blocks,), (size * per_block,), arguments, shared)


def bit_parallel(
    values: Any,
    weights: Any,
    own: Any,
    counts: Any,
    offsets: Any,
    free: Any,
    scales: Any,
    metropolis: int,
    key: Any,
    chains: Any,
    sweeps: Any,
    first_reported: int,
    spins: Any,
    out_overlaps: Any,
    out_squares: Any,
) -> None:
    """Parallel dynamics of packed spins: one block a chain."""
    (n_chains, n_words), n_classes = spins.shape, values.shape[1]
    if not n_chains:
        return
    table_bytes = 8 * (values.shape[0] + 3 * n_classes)
    in_scratch = table_bytes > SHARED_BYTES
    shared = 0 if in_scratch else table_bytes
    words_in_shared = not in_scratch and shared + 8 * n_words <= SHARED_BYTES
    blocks = blocks_for(n_chains, 1, table_bytes if in_scratch else 0)
    arguments = (
        *(*network(values, weights, own, counts), offsets, free, I64(len(free)), I64(n_words)),
        *(*stream(scales, metropolis, key, chains, sweeps), *records(first_reported, out_overlaps)),
        *(I32(in_scratch), I32(words_in_shared), scratch(blocks * table_bytes // 8 if in_scratch else 0)),
        *(spins, out_overlaps, out_squares),
    )
    shared += 8 * n_words if words_in_shared else 0
    launch.run("hopfield", "nm_hopfield_bit_parallel", (blocks,), block_of(max(n_words, n_classes)), arguments, shared)


def parallel_overlaps(
    rows: Any,
    weights: Any,
    own: Any,
    scales: Any,
    metropolis: int,
    key: Any,
    chains: Any,
    sweeps: Any,
    until_stable: int,
    first_reported: int,
    free: Any,
    spins: Any,
    out_overlaps: Any,
    out_squares: Any,
    out_settled: Any,
) -> None:
    """Parallel dynamics of single spins: one block a chain."""
    (n_units, n_columns), n_chains = rows.shape, len(spins)
    if not n_chains:
        return
    table_bytes = 8 * (2 * n_columns + 4)
    in_scratch = table_bytes > SHARED_BYTES
    flag_bytes = n_units if until_stable else 0
    blocks = blocks_for(n_chains, 1, flag_bytes + (table_bytes if in_scratch else 0))
    arguments = (
        *(rows, I32(rows.dtype.itemsize), I64(n_units), I32(n_columns)),
        *(weights, I32(weights.dtype.kind == "i"), own, I32(own.dtype.itemsize)),
        *(*stream(scales, metropolis, key, chains, sweeps), I32(until_stable)),
        *(*records(first_reported, out_overlaps), free, I64(len(free))),
        *(I32(in_scratch), scratch(blocks * table_bytes // 8 if in_scratch else 0), scratch(blocks * flag_bytes, np.uint8)),
        *(spins, out_overlaps, out_squares, out_settled),
    )
    shared = 0 if in_scratch else table_bytes
    launch.run("hopfield", "nm_hopfield_parallel_overlaps", (blocks,), block_of(n_units // 4), arguments, shared)
