"""GPU twins of ``neuromem.sparsey.kernels``: the same names, arguments and bits; see there for what each argument is.

Arrays are those of the current launcher's family.  Small settings (``shape``, ``bounds``, ``exponents``, ``sigmoid``,
``modes``, ``freeze_limits``, ``key``, ``constants``) travel to the device as scalars and are best given as NumPy arrays;
so are ``macs``, ``level_starts``, ``blocks``, ``flags``, ``rates`` and ``multipliers``, of which the device gets a copy.
"""

from typing import Any

import numpy as np

from neuromem.gpu import launch

__all__ = [
    "accumulate_and_choose",
    "correct_errors",
    "count_labels",
    "deskew_images",
    "edge_lists",
    "gather_lists",
    "learn_stream",
    "project_back",
    "recall_batch",
    "reconstruct",
    "run_by_level",
    "run_in_time",
    "shared_winners",
    "sum_scores",
]

CPU_ONLY: dict[str, str] = {
    "learn_aging": "weights that age take forty times the memory and serve analysis",
    "recall_aging": "weights that age take forty times the memory and serve analysis",
    "run_given": "one mac, whose items are stored one after another: too little at once for a GPU",
}

WARP = 32
CHUNK = 256  # NM_CHUNK of kernels/sparsey.cuh
FAST_PLANES = 6  # NM_FAST_PLANES there
VERSIONS, TALLIES, SIGNAL_WORDS = 7, 8, 24  # NM_VERSIONS and NM_TALLIES of kernels/sparsey_network.cuh, and its signals
SHARED_BYTES = 48 * 1024  # what every card gives without being asked; more goes through global memory
SCRATCH_BYTES = 64 << 20  # most of it that reading blocks share where shared memory is too small
LEARNING_WARPS = 8
READING_WARPS = 4
NETWORK_WARPS = 8
SIDE_BY_SIDE = 64  # blocks of episodes from which on a whole network per block beats a launch for every step and level
LABEL_THREADS = 512
FREE_BLOCKS = 8192  # blocks of a launch that goes through its work in strides
PICTURE_THREADS = 128

LEVEL, MODULES, UNITS, _, WORDS, _, N_UP, N_ACROSS, N_DOWN = range(9)  # of the table of macs, as mac_signals.py has them
I32, I64, U32, F64 = np.int32, np.int64, np.uint32, np.float64


def work_words(n_modules: int, n_words: int, n_planes: int, n_excess: int) -> int:
    """64-bit words of a team's work space, as ``nm_work_at`` of kernels/sparsey.cu lays it out."""
    halves = (n_planes + 1) * n_words + n_modules + CHUNK + 1
    return n_excess + 1 + n_modules + -(-halves // 2)


def planes_for(n_rows: int) -> int:
    """Bit planes that hold counts up to ``n_rows``; at least those that stand in registers."""
    return max(FAST_PLANES, n_rows.bit_length())


def reading_grid(n_items: int, n_macs: int, words: int) -> tuple[int, int, int]:
    """Blocks for each mac, warps of a block, and words of global memory per warp (0: shared memory holds them)."""
    warps = min(READING_WARPS, SHARED_BYTES // (8 * words))
    if warps:
        return max(1, min(-(-n_items // warps), FREE_BLOCKS // n_macs)), warps, 0
    return max(1, min(n_items, SCRATCH_BYTES // (8 * words * n_macs))), 1, words


def grid_for(n: int, threads: int) -> tuple[int]:
    """Enough blocks for ``n`` threads, up to the number that already fills any card."""
    return (max(1, min(-(-n // threads), FREE_BLOCKS)),)


def scratch(n_words: int) -> Any:
    """Work space in global memory."""
    return launch.current().xp.empty(n_words, np.uint64)


def numbers(kind: type[np.generic], *values: Any) -> tuple[np.generic, ...]:
    """Scalars of the width that a kernel declares."""
    return tuple(kind(value) for value in values)


def accumulate_and_choose(
    indices: Any,
    indptr: Any,
    row_of_feature: Any,
    weights: Any,
    n_modules: int,
    units_per_module: int,
    padded_units: int,
    out_winners: Any,
    out_counts: Any,
) -> None:
    """Winner and its count for each item and module of one mac."""
    n_items, n_afferents, n_words = len(indptr) - 1, weights.shape[0] - 1, 2 * weights.shape[1]
    if not n_items:
        return
    n_planes = planes_for(n_afferents)
    words = work_words(n_modules, n_words, n_planes, 0)
    blocks, warps, in_scratch = reading_grid(n_items, 1, words)
    sizes = numbers(I32, n_afferents, n_modules, units_per_module, padded_units, n_words, n_planes)
    space = (I64(in_scratch), I64(words), scratch(blocks * warps * in_scratch))
    arguments = (indices, indptr, I64(n_items), row_of_feature, *sizes, *space, weights, out_winners, out_counts)
    shared = 0 if in_scratch else 8 * words * warps
    launch.run("sparsey", "nm_sparsey_accumulate", (blocks,), (WARP * warps,), arguments, shared)


def learn_stream(
    indices: Any,
    indptr: Any,
    row_of_feature: Any,
    cell_order: Any,
    shape: Any,
    bounds: Any,
    exponents: Any,
    sigmoid: Any,
    modes: Any,
    freeze_limits: Any,
    key: Any,
    first_step: int,
    n_learned: int,
    silent: int,
    weights: Any,
    n_weights: Any,
    frozen: Any,
    out_codes: Any,
    out_written: Any,
    out_familiarity: Any,
) -> None:
    """Present items in order to every mac, learning the first ``n_learned``: one block a mac."""
    (n_macs, n_features), n_items = row_of_feature.shape, len(indptr) - 1
    n_afferents, n_words = weights.shape[1] - 1, 2 * weights.shape[2]
    if not n_items:
        return
    n_modules = int(shape[0])
    n_planes = planes_for(n_afferents)
    words = work_words(n_modules, n_words, n_planes, n_afferents + 1)
    in_scratch = 8 * words > SHARED_BYTES
    shared = 0 if in_scratch else 8 * words
    weight_bytes = 4 * (n_afferents + 1) * n_words
    weights_in_shared = not in_scratch and shared + weight_bytes <= SHARED_BYTES
    warps = max(1, min(LEARNING_WARPS, max(n_modules, -(-n_words // WARP))))
    arguments = (
        *(indices, indptr, I64(n_items), row_of_feature, I32(n_features), cell_order, I32(n_macs)),
        *numbers(I32, n_afferents, *shape.tolist(), n_words, n_planes),
        *numbers(I64, *bounds.tolist()),
        *numbers(F64, *exponents.tolist(), *sigmoid.tolist()),
        *numbers(I32, *modes.tolist()),
        *numbers(I64, *freeze_limits.tolist()),
        *numbers(U32, *key.tolist()),
        *(I64(first_step), I64(n_learned), I32(silent), I32(out_codes.dtype.itemsize)),
        *(I64(words if in_scratch else 0), I64(words), I32(weights_in_shared)),
        *(scratch(n_macs * words if in_scratch else 0), weights, n_weights, frozen, out_codes, out_written, out_familiarity),
    )
    shared += weight_bytes if weights_in_shared else 0
    launch.run("sparsey", "nm_sparsey_learn", (n_macs,), (WARP * warps,), arguments, shared)


def recall_batch(
    indices: Any,
    indptr: Any,
    row_of_feature: Any,
    cell_order: Any,
    shape: Any,
    bounds: Any,
    exponents: Any,
    with_familiarity: bool,
    silent: int,
    weights: Any,
    out_codes: Any,
    out_familiarity: Any,
) -> None:
    """Argmax codes of every item at every mac: one warp an item and mac."""
    (n_macs, n_features), n_items = row_of_feature.shape, len(indptr) - 1
    n_afferents, n_words = weights.shape[1] - 1, 2 * weights.shape[2]
    if not n_items:
        return
    n_planes = planes_for(n_afferents)
    words = work_words(int(shape[0]), n_words, n_planes, 0)
    blocks, warps, in_scratch = reading_grid(n_items, n_macs, words)
    arguments = (
        *(indices, indptr, I64(n_items), row_of_feature, I32(n_features), cell_order, I32(n_macs)),
        *numbers(I32, n_afferents, *shape.tolist(), n_words, n_planes),
        *(*numbers(I64, *bounds.tolist()), F64(exponents.tolist()[0])),
        *numbers(I32, with_familiarity, silent, out_codes.dtype.itemsize),
        *(I64(in_scratch), I64(words), scratch(blocks * n_macs * warps * in_scratch), weights, out_codes, out_familiarity),
    )
    shared = 0 if in_scratch else 8 * words * warps
    launch.run("sparsey", "nm_sparsey_recall", (blocks * n_macs,), (WARP * warps,), arguments, shared)


def reconstruct(
    codes: Any,
    silent: int,
    position_of_cell: Any,
    padded_units: int,
    weights: Any,
    feature_of_row: Any,
    coverage: Any,
    out_scores: Any,
) -> None:
    """Score every feature by the share of winning cells that have a weight from it: one block an item."""
    n_items, n_macs, n_modules = codes.shape
    if not n_items:
        return
    arguments = (
        *(codes, I64(n_items), *numbers(I32, n_macs, n_modules, codes.dtype.itemsize, silent)),
        *(position_of_cell, I32(position_of_cell.shape[2]), I32(padded_units)),
        *(weights, I32(feature_of_row.shape[1]), I32(weights.shape[2]), feature_of_row),
        *(coverage, I32(out_scores.shape[1]), out_scores),
    )
    launch.run("sparsey_labels", "nm_sparsey_reconstruct", grid_for(n_items, 1), (PICTURE_THREADS,), arguments)


def shared_winners(codes_a: Any, codes_b: Any, silent: int, out_shared: Any) -> None:
    """Number of modules in which two codes have the same winner: one warp a pair."""
    (n_a, n_modules), n_b = codes_a.shape, len(codes_b)
    if not n_a * n_b:
        return
    arguments = (codes_a, I64(n_a), codes_b, I64(n_b), *numbers(I32, n_modules, codes_a.dtype.itemsize, silent), out_shared)
    grid = grid_for(WARP * n_a * n_b, PICTURE_THREADS)
    launch.run("sparsey_labels", "nm_sparsey_shared_winners", grid, (PICTURE_THREADS,), arguments)


def code_arguments(codes: Any, silent: int, units_per_module: int) -> tuple:
    """Codes, their sizes, the number for silence and the size of modules, as the label kernels take them."""
    n_items, n_modules = codes.shape
    return codes, I64(n_items), *numbers(I32, n_modules, codes.dtype.itemsize, silent, units_per_module)


def count_labels(codes: Any, silent: int, units_per_module: int, labels: Any, counts: Any) -> None:
    """Add each item to the counts of its winners."""
    if not codes.size:
        return
    arguments = (*code_arguments(codes, silent, units_per_module), labels, I32(counts.shape[1]), counts)
    launch.run("sparsey_labels", "nm_sparsey_count_labels", grid_for(codes.size, LABEL_THREADS), (LABEL_THREADS,), arguments)


def correct_errors(
    codes: Any,
    silent: int,
    units_per_module: int,
    labels: Any,
    margin: float,
    first_step: int,
    weights: Any,
    step_weighted: Any,
) -> None:
    """Error-gated Hebbian learning, item by item, in one block."""
    if not len(codes):
        return
    n_columns, n_classes = weights.shape[1], step_weighted.shape[1]
    shared = 4 * (n_classes + 1)
    in_scratch = shared > SHARED_BYTES
    arguments = (
        *(*code_arguments(codes, silent, units_per_module), labels, F64(margin), I64(first_step)),
        *numbers(I32, n_columns, n_classes, in_scratch),
        *(scratch(n_classes // 2 + 1 if in_scratch else 0), weights, step_weighted),
    )
    launch.run("sparsey_labels", "nm_sparsey_correct_errors", (1,), (LABEL_THREADS,), arguments, 0 if in_scratch else shared)


def sum_scores(codes: Any, silent: int, units_per_module: int, table: Any, out_scores: Any) -> None:
    """Sum the rows of a code's winners, in module order: one thread an item and column."""
    if not out_scores.size:
        return
    arguments = (*code_arguments(codes, silent, units_per_module), table, I32(table.shape[1]), out_scores)
    grid = grid_for(out_scores.size, PICTURE_THREADS)
    launch.run("sparsey_labels", "nm_sparsey_sum_scores", grid, (PICTURE_THREADS,), arguments)


def deskew_images(images: Any, out_images: Any) -> None:
    """Straighten every picture: one block a picture."""
    n_images, rows, columns = images.shape
    if not images.size:
        return
    words = 2 * rows + 2
    in_scratch = words if 8 * words > SHARED_BYTES else 0
    blocks = max(1, min(n_images, FREE_BLOCKS, SCRATCH_BYTES // (8 * words)))
    space = (I64(in_scratch), scratch(blocks * in_scratch))
    arguments = (images, I64(n_images), I32(rows), I32(columns), *space, out_images)
    shared = 0 if in_scratch else 8 * words
    launch.run("sparsey_encode", "nm_sparsey_deskew", (blocks,), (PICTURE_THREADS,), arguments, shared)


def edge_lists(images: Any, threshold: float, directions: Any, deskew: bool, out_indices: Any, out_counts: Any) -> None:
    """List each picture's oriented edges: one warp a picture."""
    n_images, rows, columns = images.shape
    if not n_images:
        return
    if deskew:
        straight = launch.current().xp.empty_like(images)
        deskew_images(images, straight)
        images = straight
    limit = int(min(16.0 * threshold * threshold, 2.0**30))  # cut to a whole number, as squares are
    arguments = (
        *(images, I64(n_images), I32(rows), I32(columns), I64(limit), directions, I32(len(directions))),
        *(I64(out_indices.shape[1]), out_indices, out_counts),
    )
    grid = grid_for(WARP * n_images, PICTURE_THREADS)
    launch.run("sparsey_encode", "nm_sparsey_edges", grid, (PICTURE_THREADS,), arguments)


def gather_lists(lists: Any, starts: Any, out_indices: Any) -> None:
    """Put the lists of a block of items one after the other: one warp a list."""
    if not len(lists):
        return
    arguments = (lists, I64(len(lists)), I64(lists.shape[1]), starts, out_indices)
    grid = grid_for(WARP * len(lists), PICTURE_THREADS)
    launch.run("sparsey_encode", "nm_sparsey_gather_lists", grid, (PICTURE_THREADS,), arguments)


def room_sizes(macs: np.ndarray, multipliers: list[int], n_active: int) -> tuple[int, ...]:
    """Sizes of a block's work space in a network, the largest of any mac: ``nm_sizes`` of kernels/sparsey_network.cuh."""
    units = dict(zip(macs[:, LEVEL].tolist(), macs[:, UNITS].tolist(), strict=True))
    times = max(multipliers, default=1)
    most_u, most_d = 1, 0
    for level, n_up, n_down in macs[:, [LEVEL, N_UP, N_DOWN]].tolist():
        most_u = max(most_u, n_up // units[level - 1] * times if level else min(n_up, n_active))
        most_d = max(most_d, n_down // units[level + 1] * times if n_down else 0)
    words, modules = 2 * int(macs[:, WORDS].max()), int(macs[:, MODULES].max())
    has_context = bool(macs[:, [N_ACROSS, N_DOWN]].any())
    n_planes = max(FAST_PLANES + times.bit_length() - 1, planes_for(max(most_u, most_d, modules)))
    if not has_context and not multipliers:  # U is the only signal, and what depends on its counts is tabled
        return most_u + 1, 0, 0, 0, modules, words, n_planes
    return max(32 * words, most_u + 1), most_u + 1, modules + 1, most_d + 1, modules, words, n_planes


def room_words(n_values: int, table_u: int, table_h: int, table_d: int, n_modules: int, n_words: int, n_planes: int) -> int:
    """64-bit words of that work space, as ``nm_room_at`` lays it out."""
    halves = (3 * n_planes + 1) * n_words + n_modules + CHUNK + TALLIES
    return SIGNAL_WORDS + n_values + 2 * (table_u + table_h + table_d) + VERSIONS * (n_modules + 1) + -(-halves // 2)


def run_network(launches: list[tuple[int, int, int, int, int]], arguments: tuple) -> None:
    """Launch once for each (first step of every block, steps, first mac, last mac + 1, macs that a block of the grid takes)."""
    indices, indptr, row_of_feature, flags, blocks, first_step, macs, sources, parents, rates = arguments[:10]
    u_powers, u_factors, constants, modes, sigmoid, multipliers, key, *state = arguments[10:]
    xp = launch.current().xp
    table, counts, n_blocks = np.array(macs.tolist()), multipliers.tolist(), len(blocks) - 1
    sizes = room_sizes(table, counts, int(xp.diff(indptr).max()))
    words = room_words(*sizes)
    in_scratch = words if 8 * words > SHARED_BYTES else 0
    most = min(FREE_BLOCKS, max(1, SCRATCH_BYTES // (8 * words))) if in_scratch else FREE_BLOCKS
    grids = [max(1, min(most, -(-(stop - first) // each) * n_blocks)) for _, _, first, stop, each in launches]
    common = (
        *(indices, indptr, row_of_feature, I32(row_of_feature.shape[1]), xp.asarray(flags), xp.asarray(blocks), I64(n_blocks)),
        *(I64(first_step), xp.asarray(macs), I32(len(table)), I32(state[3].shape[1]), sources, parents, xp.asarray(rates)),
        *(u_powers, u_factors, I32(u_powers.shape[1]), *numbers(F64, *constants.tolist()), *numbers(I32, *modes.tolist())),
        *(*numbers(F64, *sigmoid.tolist()), xp.asarray(multipliers), I32(len(counts)), I32(max(counts, default=1).bit_length())),
        *(*numbers(U32, *key.tolist()), *numbers(I32, *sizes), I64(in_scratch), scratch(max(grids, default=0) * in_scratch)),
        *state,
    )
    warps = max(1, min(NETWORK_WARPS, max(sizes[4], -(-sizes[5] // WARP))))
    shared = 0 if in_scratch else 8 * words
    for grid, (offset, n_steps, *share) in zip(grids, launches, strict=True):
        own = (I64(offset), I64(n_steps), *numbers(I32, *share))
        launch.run("sparsey_network", "nm_sparsey_network_run", (grid,), (WARP * warps,), (*own, *common), shared)


def longest_block(blocks: Any) -> int:
    """Steps of the longest block."""
    bounds = blocks.tolist()
    return max((stop - start for start, stop in zip(bounds[:-1], bounds[1:], strict=True)), default=0)


def run_in_time(
    indices: Any,
    indptr: Any,
    row_of_feature: Any,
    flags: Any,
    blocks: Any,
    first_step: int,
    macs: Any,
    sources: Any,
    parents: Any,
    rates: Any,
    u_powers: Any,
    u_factors: Any,
    constants: Any,
    modes: Any,
    sigmoid: Any,
    multipliers: Any,
    key: Any,
    bits: Any,
    n_weights: Any,
    frozen: Any,
    codes: Any,
    recalled: Any,
    age: Any,
    sends: Any,
    familiarity: Any,
    versions: Any,
) -> None:
    """Steps one after the other, levels bottom-up.

    Where no level has macs to work side by side, or many blocks of episodes do, a block of the grid walks a whole network
    through a block of episodes; otherwise every step of every level is a launch of its own, with a block for each mac.
    """
    n_steps, levels = longest_block(blocks), [row[LEVEL] for row in macs.tolist()]
    starts = [levels.index(level) for level in sorted(set(levels))] + [len(levels)]
    if len(starts) - 1 == len(levels) or len(blocks) - 1 >= SIDE_BY_SIDE:
        launches = [(0, n_steps, 0, len(levels), len(levels))]
    else:
        by_level = list(zip(starts[:-1], starts[1:], strict=True))
        launches = [(t, 1, first, stop, 1) for t in range(n_steps) for first, stop in by_level]
    if not n_steps:
        return
    inputs = (indices, indptr, row_of_feature, flags, blocks, first_step, macs, sources, parents, rates, u_powers, u_factors)
    state = (bits, n_weights, frozen, codes, recalled, age, sends, familiarity, versions)
    run_network(launches, (*inputs, constants, modes, sigmoid, multipliers, key, *state))


def run_by_level(
    indices: Any,
    indptr: Any,
    row_of_feature: Any,
    flags: Any,
    blocks: Any,
    level_starts: Any,
    first_step: int,
    macs: Any,
    sources: Any,
    parents: Any,
    rates: Any,
    u_powers: Any,
    u_factors: Any,
    constants: Any,
    modes: Any,
    sigmoid: Any,
    multipliers: Any,
    key: Any,
    bits: Any,
    n_weights: Any,
    frozen: Any,
    codes: Any,
    recalled: Any,
    age: Any,
    sends: Any,
    familiarity: Any,
    versions: Any,
) -> None:
    """The same where nothing comes down: one launch a level, a block for each mac and block of episodes, time inside."""
    n_steps, starts = longest_block(blocks), level_starts.tolist()
    if not n_steps:
        return
    launches = [(0, n_steps, first, stop, 1) for first, stop in zip(starts[:-1], starts[1:], strict=True)]
    inputs = (indices, indptr, row_of_feature, flags, blocks, first_step, macs, sources, parents, rates, u_powers, u_factors)
    state = (bits, n_weights, frozen, codes, recalled, age, sends, familiarity, versions)
    run_network(launches, (*inputs, constants, modes, sigmoid, multipliers, key, *state))


def project_back(codes: Any, macs: Any, n_first: int, sources: Any, bits: Any, out_scores: Any) -> None:
    """Score every feature by the share of winners that have a weight from it: one block an item."""
    n_items, n_features = out_scores.shape
    if not n_items:
        return
    shared = 4 * n_features
    in_scratch = shared > SHARED_BYTES
    (blocks,) = grid_for(n_items, 1)
    if in_scratch:
        blocks = max(1, min(blocks, SCRATCH_BYTES // shared))
    arguments = (
        *(codes, I64(n_items), I32(codes.shape[1]), launch.current().xp.asarray(macs), I32(n_first), sources, bits),
        *(I32(in_scratch), scratch(-(-blocks * n_features // 2) if in_scratch else 0), out_scores, I32(n_features)),
    )
    launch.run(
        "sparsey_network", "nm_sparsey_network_project", (blocks,), (PICTURE_THREADS,), arguments, 0 if in_scratch else shared
    )
