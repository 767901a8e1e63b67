"""GPU twins of the Hopfield kernels against the CPU's, on sizes and settings that the examples of the registry do not have."""

import copy
import itertools

import numpy as np
import pytest

from cuda_cpu.runner import ORDERS, CpuLauncher, missing
from neuromem.gpu import hopfield as twins
from neuromem.gpu import launch
from neuromem.hopfield import kernels
from neuromem.hopfield import reference_dynamics as plain
from neuromem.hopfield.kernels import chance
from neuromem.kernel_registry import kernel_rows

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

KEY = np.array([2**32 - 3, 12], np.uint32)
SWEEPS = np.array([2**32 - 3, 7, 1, 2])  # the counter of sweeps wraps
WRITTEN = {"class_chains": (10, 11, 12), "bit_parallel": (12, 13, 14), "parallel_overlaps": (11, 12, 13, 14)}


def compare(name, arguments, **options):
    """Run both; what was written must be equal."""
    mine, theirs = copy.deepcopy(arguments), copy.deepcopy(arguments)
    with launch.use(CpuLauncher(**{"shared_limit": 48 * 1024, **options})):
        getattr(twins, name)(*mine)
    getattr(kernels, name)(*theirs)
    for number in WRITTEN[name]:
        np.testing.assert_array_equal(mine[number], theirs[number], err_msg=f"argument {number}")
    for number in set(range(len(arguments))) - set(WRITTEN[name]):
        np.testing.assert_array_equal(mine[number], arguments[number], err_msg=f"argument {number}")
    return mine


def records(n_chains, n_reported, sweeps=SWEEPS):
    n_records = max(0, int(sweeps[1] - sweeps[2])) // int(sweeps[3])
    return np.zeros((n_chains, n_records, n_reported), np.int64), np.zeros((n_chains, n_records))


def scales_for(n_chains, n_units):
    """No temperature, some, and no bound to it, again and again."""
    betas = np.resize([np.inf, 0.0, 0.7, 2.0, 9.0, 1e9], n_chains)
    return np.where(np.isinf(betas), np.inf, 2 * np.where(np.isinf(betas), 0, betas) / n_units)


def classes_of(rng, n_columns, n_classes, weights, largest=900):
    """Classes with no unit, with few, and with up to ``largest``."""
    if 3**n_columns == n_classes:
        values = np.array(list(itertools.product((-1, 0, 1), repeat=n_columns))).T
    else:
        values = rng.integers(-3, 4, (n_columns, n_classes))
    counts = np.resize([largest, 0, 1, 3, largest // 2, 65], n_classes)
    return np.ascontiguousarray(values), weights, weights @ values.astype(float) ** 2, counts


def chains_of_counts(seed, n_chains, n_columns, n_classes, metropolis, largest=900, weights=None, first_reported=0):
    rng = np.random.default_rng(seed)
    weights = np.ones(n_columns) if weights is None else weights
    values, weights, own, counts = classes_of(rng, n_columns, n_classes, weights, largest)
    up = rng.integers(0, counts + 1, (n_chains, n_classes))
    settings = (scales_for(n_chains, int(counts.sum())), metropolis, KEY, rng.permutation(n_chains) + 2**32 - 2, SWEEPS.copy())
    return (values, weights, own, counts, *settings, first_reported, up, *records(n_chains, n_columns - first_reported))


@pytest.mark.parametrize("metropolis", [0, 1])
@pytest.mark.parametrize(("n_columns", "n_classes"), [(1, 1), (1, 3), (3, 27), (2, 33), (5, 243), (4, 300)])
def test_class_counts_at_every_size_and_temperature(n_columns, n_classes, metropolis):
    arguments = chains_of_counts(n_classes, 6, n_columns, n_classes, metropolis, first_reported=n_columns - 1)
    found = compare("class_chains", arguments)
    assert (found[10] != arguments[10]).any()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n_classes", [1, 7, 27])
def test_one_thread_a_chain(monkeypatch, n_classes, order):
    monkeypatch.setattr(twins, "THREAD_CHAINS", 1)
    weights = np.array([1.0, 0.3, 0.7])  # sums have no exact values, so their order is seen
    arguments = chains_of_counts(5, 70, 3, n_classes, 0, weights=weights)  # more chains than a block has
    compare("class_chains", arguments, order=order, watch=True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("n_classes", "n_chains"), [(7, 9), (40, 3), (260, 2)])
def test_a_warp_and_a_block_a_chain(n_classes, n_chains, order):
    assert twins.threads_of_chain(n_chains, n_classes) == (256 if n_classes == 260 else 32)
    arguments = chains_of_counts(6, n_chains, 3, n_classes, 1, weights=np.array([0.1, 0.3, 0.7]))
    compare("class_chains", arguments, order=order, watch=True)


@pytest.mark.parametrize(("thread_chains", "n_classes"), [(1, 7), (9999, 7), (9999, 260)])
def test_counts_in_global_memory_and_blocks_with_several_chains(monkeypatch, thread_chains, n_classes):
    arguments = chains_of_counts(7, 140, 3, 7, 0) if thread_chains == 1 else chains_of_counts(7, 11, 3, n_classes, 0)
    for limit in ("SHARED_BYTES", "SCRATCH_BYTES", "FREE_BLOCKS"):
        monkeypatch.setattr(twins, limit, 1)
    monkeypatch.setattr(twins, "THREAD_CHAINS", thread_chains)
    compare("class_chains", arguments, order="shuffled", watch=True, shared_limit=0)


@pytest.mark.parametrize("largest", [20, 10**6, 10**9 + 7, 10**12 + 39, 10**15 + 37])
@pytest.mark.parametrize("metropolis", [0, 1])
def test_networks_of_any_size(largest, metropolis):
    found = compare("class_chains", chains_of_counts(8, 12, 2, 9, metropolis, largest))
    assert found[10].max() > largest // 2 and (found[10] >= 0).all() and (found[10] <= found[3]).all()


def test_binomials_whose_mode_is_a_multiple_of_two_to_the_32():
    counts, key = np.array([2**33]), [3, 4]
    up = np.full((1, 1), 2**33)
    settings = (np.zeros(1), 0, np.array(key, np.uint32), np.array([5]), np.array([0, 40, 0, 1]))
    arguments = (np.ones((1, 1), np.int64), np.ones(1), np.ones(1), counts, *settings, 0, up, *records(1, 1, settings[4]))
    with launch.use(CpuLauncher()):
        twins.class_chains(*arguments)
    wanted, is_up = [], 2**33
    for sweep in range(40):
        fallen, risen = (plain.binomial(n, 0.5, 0.5, [sweep, 5, side, 0], key) for side, n in enumerate((is_up, 2**33 - is_up)))
        is_up += risen - fallen
        wanted.append(2 * is_up - 2**33)
    assert arguments[11][0, :, 0].tolist() == wanted


def test_a_run_may_be_cut_anywhere():
    whole = chains_of_counts(9, 5, 3, 20, 0)
    whole[8][1:] = 6, 0, 1
    whole = (*whole[:11], *records(5, 3, whole[8]))
    first, second = copy.deepcopy(whole), copy.deepcopy(whole)
    found = compare("class_chains", whole)
    first[8][1], second[8][:2] = 4, (first[8][0] + 4, 2)
    first = compare("class_chains", (*first[:11], *records(5, 3, first[8])))
    second = compare("class_chains", (*second[:10], first[10], *records(5, 3, second[8])))
    assert np.array_equal(second[10], found[10])
    assert np.array_equal(np.concatenate([first[11], second[11]], axis=1), found[11])


# ---------------------------------------------------------------- packed spins


def chains_of_words(seed, n_chains, n_columns, n_classes, metropolis, largest=300, held=True, weights=None):
    rng = np.random.default_rng(seed)
    weights = np.ones(n_columns) if weights is None else weights
    values, weights, own, counts = classes_of(rng, n_columns, n_classes, weights, largest)
    n_words = -(-counts // 64)
    offsets = np.concatenate([[0], np.cumsum(n_words)])
    lanes = np.concatenate([np.arange(64 * words) < n for words, n in zip(n_words, counts, strict=True)])
    n_free = n_chains if held else 1

    def packed(marks):
        return np.packbits(marks & lanes, axis=1, bitorder="little").view(np.uint64)

    free = packed(rng.random((n_free, len(lanes))) < (0.8 if held else 2.0))
    spins = packed(rng.random((n_chains, len(lanes))) < 0.6)
    settings = (scales_for(n_chains, int(counts.sum())), metropolis, KEY, rng.permutation(n_chains), SWEEPS.copy())
    return (values, weights, own, counts, offsets, free, *settings, 1, spins, *records(n_chains, n_columns - 1))


@pytest.mark.parametrize("metropolis", [0, 1])
@pytest.mark.parametrize(("n_columns", "n_classes"), [(1, 1), (1, 3), (3, 27), (2, 33), (5, 243)])
def test_packed_spins_at_every_size_and_temperature(n_columns, n_classes, metropolis):
    arguments = chains_of_words(n_classes, 6, n_columns, n_classes, metropolis, held=n_classes != 27)
    found = compare("bit_parallel", arguments)
    assert (found[12] != arguments[12]).any()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("largest", [64, 20_000])
def test_packed_spins_in_all_orders_of_threads(order, largest):
    arguments = chains_of_words(3, 4, 3, 7, 0, largest, weights=np.array([1.0, 0.3, 0.7]))
    assert (arguments[4][-1] > twins.SPIN_THREADS) == (largest == 20_000)  # a thread may have several words
    compare("bit_parallel", arguments, order=order, watch=True)


@pytest.mark.parametrize("limit", [1, 400, 48 * 1024])
def test_words_and_tables_in_shared_or_global_memory(monkeypatch, limit):
    monkeypatch.setattr(twins, "SHARED_BYTES", limit)
    monkeypatch.setattr(twins, "FREE_BLOCKS", 2)
    arguments = chains_of_words(4, 7, 3, 9, 1)
    compare("bit_parallel", arguments, order="shuffled", watch=True, shared_limit=limit)


# ---------------------------------------------------------------- single spins


def chains_of_spins(seed, n_chains, n_units, n_columns, metropolis, until_stable=0, kind=np.int8, weights=None, own=np.float64):
    rng = np.random.default_rng(seed)
    weights = np.ones(n_columns, np.int64) if weights is None else weights
    rows = rng.integers(-1, 2, (n_units, n_columns)).astype(kind)
    parts = ((rows.astype(float) ** 2) @ weights).astype(own)
    free = (rng.random((n_chains if seed % 2 else 1, n_units)) < 0.9).astype(np.uint8)
    spins = rng.choice(np.array([-1, 1], np.int8), (n_chains, n_units))
    settings = (scales_for(n_chains, n_units), metropolis, KEY, rng.permutation(n_chains), SWEEPS.copy())
    found = (*records(n_chains, n_columns - n_columns // 2), np.zeros((n_chains, 2), np.int64))
    return (rows, weights, parts, *settings, until_stable, n_columns // 2, free, spins, *found)


@pytest.mark.parametrize("metropolis", [0, 1])
@pytest.mark.parametrize(("n_units", "n_columns"), [(1, 1), (2, 3), (33, 1), (129, 40), (150, 5), (2100, 2), (64, 100)])
def test_single_spins_at_every_size_and_temperature(n_units, n_columns, metropolis):
    size = (2 if n_units > 1000 else 6, n_units, n_columns, metropolis)
    compare("parallel_overlaps", chains_of_spins(n_units, *size, kind=np.int8 if n_units % 2 else np.int32))
    weighted = np.random.default_rng(n_units).random(n_columns)
    compare("parallel_overlaps", chains_of_spins(n_units, *size, weights=weighted, own=np.float32))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("scarce", [False, True])
def test_single_spins_settle_in_all_orders_of_threads(monkeypatch, order, scarce):
    for limit in ("SHARED_BYTES", "SCRATCH_BYTES", "FREE_BLOCKS") if scarce else ():
        monkeypatch.setattr(twins, limit, 1)
    arguments = chains_of_spins(11, 8, 150, 3, 0, until_stable=1, weights=np.array([1.0, 0.3, 0.7]))
    found = compare("parallel_overlaps", arguments, order=order, watch=True, shared_limit=0 if scarce else 48 * 1024)
    assert (found[14][:, 1] == 1).any() and (found[14][:, 1] == 0).any()
    several = chains_of_spins(4, 2, 700, 3, 0, weights=np.array([1.0, 0.3, 0.7]))
    compare("parallel_overlaps", several, order=order, watch=True, shared_limit=0 if scarce else 48 * 1024)


def test_a_cycle_of_two_is_told_from_rest():
    arguments = list(chains_of_spins(0, 6, 2, 1, 0, until_stable=1))
    arguments[0], arguments[10] = np.ones((2, 1), np.int8), np.ones((1, 2), np.uint8)
    arguments[2], arguments[3] = np.ones(2), np.full(6, np.inf)
    arguments[11] = np.array([[1, -1], [1, 1], [-1, 1], [-1, -1], [1, 1], [1, -1]], np.int8)
    assert compare("parallel_overlaps", tuple(arguments))[14].tolist() == [[2, 2], [1, 1], [2, 2], [1, 1], [1, 1], [2, 2]]


# ---------------------------------------------------------------- what is around


def test_no_chains_launch_nothing():
    launcher = CpuLauncher()
    with launch.use(launcher):
        twins.class_chains(*chains_of_counts(0, 0, 2, 3, 0))
        twins.parallel_overlaps(*chains_of_spins(0, 0, 5, 2, 0))
        twins.bit_parallel(*(chains_of_words(0, 1, 2, 3, 0)[:12]), np.zeros((0, 2), np.uint64), *records(0, 1))
    assert not launcher.launched


def test_no_sweeps_change_nothing():
    for name, arguments in (("class_chains", chains_of_counts(1, 3, 2, 5, 0)), ("bit_parallel", chains_of_words(1, 3, 2, 5, 0))):
        place = 8 if name == "class_chains" else 10
        none = np.array([0, 0, 0, 1])
        found = compare(name, (*arguments[:place], none, *arguments[place + 1 : -2], *records(3, arguments[-2].shape[2], none)))
        assert np.array_equal(found[-3], arguments[-3])


def test_reasons_are_those_of_the_registry():
    assert {row.name: row.cpu_only for row in kernel_rows("hopfield") if row.cpu_only} == twins.CPU_ONLY


def test_tables_are_those_of_the_cpu():
    assert twins.STIRLING_ERRORS.tobytes() == chance.STIRLING_ERRORS.tobytes()


@pytest.mark.parametrize(
    ("n_chains", "n_classes", "threads"), [(8192, 27, 1), (8191, 27, 32), (10**6, 28, 32), (10, 243, 32), (1, 244, 256)]
)
def test_threads_of_a_chain(n_chains, n_classes, threads):
    assert twins.threads_of_chain(n_chains, n_classes) == threads
