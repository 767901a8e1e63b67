"""GPU twins of Sparsey's kernels against the CPU's, on sizes and settings that the examples of the registry do not have."""

import copy

import numpy as np
import pytest

from cuda_cpu.runner import CpuLauncher, missing
from neuromem.gpu import launch
from neuromem.gpu import sparsey as twins
from neuromem.sparsey import kernels
from neuromem.sparsey.packing import pack_cells, padded_units, words_per_row

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

# modules and units: one and many, padded or not, several modules a word, a module over 2, 3, 5 and 33 words of 32 bits
SHAPES = [(1, 1), (3, 1), (40, 2), (5, 20), (2, 32), (3, 33), (4, 64), (3, 65), (2, 96), (9, 130), (2, 1025)]
SETTINGS = [
    # transfer, winners, freeze, lowest and highest active, normaliser, U exponent, expansivity scale
    (0, 0, 1, 1, 10_000, 0, 2.0, 100.0),
    (1, 0, 2, 2, 30, 0, 1.0, 5.0),
    (0, 1, 0, 1, 10_000, 3, 8.0, 100.0),
    (0, 0, 0, 1, 10_000, 0, 0.7, 0.0),
]


def stream(rng, n_items, n_features, density):
    items = rng.random((n_items, n_features)) < density
    items[n_items // 2] = False  # wakes no mac
    items[-1] = True
    indptr = np.concatenate([[0], np.cumsum(items.sum(axis=1))])
    return np.nonzero(items)[1].astype(np.int32), indptr


def macs(rng, n_macs, n_features, n_afferents, n_modules, units):
    rows = np.full((n_macs, n_features), -1, np.int32)
    for m in range(n_macs):
        rows[m, rng.permutation(n_features)[:n_afferents]] = np.arange(n_afferents)
    order = rng.permuted(np.tile(np.arange(units, dtype=np.uint16), (n_macs * n_modules, 1)), axis=1)
    return rows, np.ascontiguousarray(order).reshape(n_macs, n_modules, units)


def weights_at_random(rng, n_macs, n_afferents, n_modules, units, share):
    cells = rng.random((n_macs, n_afferents + 1, n_modules, units)) < share
    cells[:, -1] = False
    return pack_cells(cells), cells.sum(axis=1, dtype=np.int32).reshape(n_macs, -1)


def outputs(n_items, n_macs, n_modules, units):
    dtype = np.uint8 if units <= 255 else np.uint16
    shape = (n_items, n_macs, n_modules)
    return int(np.iinfo(dtype).max), np.zeros(shape, dtype), np.zeros(shape, dtype), np.zeros(shape[:2])


def compare(name, arguments, written, **options):
    """Run both; what was written must be equal."""
    mine, theirs = copy.deepcopy(arguments), copy.deepcopy(arguments)
    with launch.use(CpuLauncher(**{"shared_limit": 48 * 1024, **options})):
        getattr(twins, name)(*mine)
    getattr(kernels, name)(*theirs)
    for number in written:
        np.testing.assert_array_equal(mine[number], theirs[number], err_msg=f"argument {number}")
    return mine


def learning(rng, n_modules, units, setting, n_items=8, n_macs=2, n_features=60, n_afferents=40, density=0.3, share=0.3):
    transfer, winners, freeze, low, high, normaliser, u_exponent, scale = setting
    silent, codes, written, familiarity = outputs(n_items, n_macs, n_modules, units)
    weights, n_weights = weights_at_random(rng, n_macs, n_afferents, n_modules, units, share)
    limit = int(n_weights.sum(axis=1).mean()) + 5 * n_modules
    return (
        *stream(rng, n_items, n_features, density),
        *macs(rng, n_macs, n_features, n_afferents, n_modules, units),
        np.array([n_modules, units, padded_units(units)]),
        np.array([low, high, normaliser]),
        np.array([u_exponent, 0.1, 2.0, scale]),
        np.array([0.1, 4.0, 1.0, 8.0]),
        np.array([transfer, winners, freeze]),
        np.array([n_afferents // 2, limit]),
        np.array([7, 9], np.uint32),
        2**32 - 3,  # the step crosses into the counter's second word
        n_items - 2,
        silent,
        *(weights, n_weights, rng.random(n_weights.shape) < 0.1),
        *(codes, written, familiarity),
    )


LEARNED = (14, 15, 16, 17, 18, 19)


def recalling(arguments, with_familiarity):
    head, silent, weights = arguments[:7], arguments[13], arguments[14]
    codes, familiarity = arguments[17], arguments[19] if with_familiarity else np.zeros((0, 0))
    return (*head, with_familiarity, silent, weights, codes, familiarity)


@pytest.mark.parametrize(("n_modules", "units"), SHAPES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_learning_and_recall_at_every_shape(n_modules, units, setting):
    arguments = learning(np.random.default_rng(n_modules * units), n_modules, units, setting)
    found = compare("learn_stream", arguments, LEARNED)
    assert (found[17] == found[13]).any() and (found[17] != found[13]).any()
    compare("recall_batch", recalling(found, True), (10, 11), order="reversed")
    compare("recall_batch", recalling(found, False), (10, 11), order="shuffled")


def test_a_module_may_have_the_most_units_there_are():
    n_afferents, units = 12, 65535
    arguments = learning(np.random.default_rng(0), 1, units, SETTINGS[0], n_items=4, n_macs=1, n_afferents=n_afferents)
    found = compare("learn_stream", arguments, LEARNED)
    compare("recall_batch", recalling(found, True), (10, 11))


@pytest.mark.parametrize("n_features", [300, 700])
def test_more_active_afferents_than_are_listed_or_counted_at_once(n_features):
    rng = np.random.default_rng(n_features)
    arguments = learning(rng, 4, 24, SETTINGS[0], 5, 2, n_features, n_features - 9, density=0.9, share=0.6)
    found = compare("learn_stream", arguments, LEARNED, watch=True)
    assert np.diff(found[1]).max() > twins.CHUNK and found[15].max() > 63
    compare("recall_batch", recalling(found, True), (10, 11), watch=True)


@pytest.mark.parametrize("limit", [1, 2_500, 48 * 1024])
@pytest.mark.parametrize(("n_modules", "units"), [(5, 20), (3, 65)])
def test_work_space_and_weights_in_shared_or_global_memory(monkeypatch, limit, n_modules, units):
    monkeypatch.setattr(twins, "SHARED_BYTES", limit)
    monkeypatch.setattr(twins, "FREE_BLOCKS", 2)
    arguments = learning(np.random.default_rng(3), n_modules, units, SETTINGS[1], n_afferents=50)
    found = compare("learn_stream", arguments, LEARNED, order="shuffled", watch=True, shared_limit=limit)
    compare("recall_batch", recalling(found, True), (10, 11), order="shuffled", watch=True, shared_limit=limit)


@pytest.mark.parametrize(("n_modules", "units"), SHAPES)
def test_accumulation_of_one_mac(n_modules, units):
    rng = np.random.default_rng(units)
    indices, indptr = stream(rng, 6, 60, 0.4)
    rows, _ = macs(rng, 1, 60, 40, n_modules, units)
    weights, _ = weights_at_random(rng, 1, 40, n_modules, units, 0.4)
    assert weights.shape[2] == words_per_row(n_modules, units)
    found = np.zeros((6, n_modules), np.int32)
    arguments = (indices, indptr, rows[0], weights[0], n_modules, units, padded_units(units), found, found.copy())
    compare("accumulate_and_choose", arguments, (7, 8))


@pytest.mark.parametrize(("n_modules", "units"), SHAPES)
def test_reconstruction(n_modules, units):
    rng = np.random.default_rng(units)
    rows, order = macs(rng, 3, 60, 40, n_modules, units)
    weights, _ = weights_at_random(rng, 3, 40, n_modules, units, 0.4)
    fields = np.argsort(np.where(rows < 0, 60, rows), axis=1)[:, :40].astype(np.int32)
    silent, codes, _, _ = outputs(4, 3, n_modules, units)
    codes[:] = rng.integers(0, units, codes.shape)
    codes[1, 2] = silent
    positions = np.argsort(order, axis=2).astype(np.uint16)
    coverage = (1 / np.maximum(1, np.bincount(fields.ravel(), minlength=60))).astype(np.float32)
    scores = np.full((4, 60), 9, np.float32)
    arguments = (codes, silent, positions, padded_units(units), weights, fields, coverage, scores)
    compare("reconstruct", arguments, (7,), watch=True)


@pytest.mark.parametrize("n_classes", [1, 2, 3, 10, 300, 600, 1100])
@pytest.mark.parametrize("limit", [1, 48 * 1024])
def test_labels_of_few_and_of_many_classes(monkeypatch, n_classes, limit):
    monkeypatch.setattr(twins, "SHARED_BYTES", limit)
    rng = np.random.default_rng(n_classes)
    codes = rng.integers(0, 4, (12, 9)).astype(np.uint16)
    codes[4, 3:] = 65535
    labels = rng.integers(0, n_classes, 12)
    padded = -(-n_classes // 8) * 8
    weights = np.zeros((36, padded), np.int32)
    weights[:, :n_classes] = rng.integers(-2, 3, (36, n_classes))
    state = (weights, np.zeros((36, n_classes), np.int64))
    compare("correct_errors", (codes, 65535, 4, labels, 0.25, 2**33, *state), (6, 7), shared_limit=max(limit, 16))
    compare("count_labels", (codes, 65535, 4, labels, np.zeros((36, n_classes), np.uint32)), (4,))
    compare("sum_scores", (codes, 65535, 4, rng.normal(size=(36, padded)), np.zeros((12, padded))), (4,))


@pytest.mark.parametrize("shape", [(0, 5, 5), (3, 1, 1), (3, 2, 9), (3, 9, 2), (4, 3, 3), (5, 20, 13), (2, 40, 70)])
@pytest.mark.parametrize("n_bins", [2, 5, 8, 12])
@pytest.mark.parametrize("deskew", [False, True])
def test_edges_of_pictures_of_all_sizes(monkeypatch, shape, n_bins, deskew):
    rng = np.random.default_rng(shape[1])
    images = (rng.integers(0, 256, shape) * (rng.random(shape) < 0.6)).astype(np.uint8)
    if len(images) > 2:
        images[1], images[2, shape[1] // 2 :] = 0, 0  # no ink; slanted ink
    straight = compare("deskew_images", (images, np.zeros_like(images)), (1,), watch=True)[1]
    with monkeypatch.context() as scarce:
        scarce.setattr(twins, "SHARED_BYTES", 1)
        scarce.setattr(twins, "SCRATCH_BYTES", 1)
        assert np.array_equal(compare("deskew_images", (images, np.zeros_like(images)), (1,))[1], straight)
    angle = -np.pi + 2 * np.pi * np.arange(n_bins) / n_bins
    directions = np.round(np.stack([np.cos(angle), np.sin(angle)], axis=1), 12)
    most = max(1, (shape[1] - 2) * (shape[2] - 2))
    lists = np.zeros((len(images), most), np.int32)
    arguments = (images, 20.0, directions, deskew, lists, np.zeros(len(images), np.int64))
    _, _, _, _, lists, counts = compare("edge_lists", arguments, (4, 5))
    starts = np.concatenate([[0], np.cumsum(counts)])
    compare("gather_lists", (lists, starts, np.zeros(starts[-1], np.int32)), (2,))


@pytest.mark.parametrize(("n_a", "n_b", "n_modules"), [(0, 3, 4), (3, 0, 4), (1, 1, 1), (5, 7, 33), (2, 3, 100)])
def test_shared_winners_of_codes(n_a, n_b, n_modules):
    rng = np.random.default_rng(n_modules)
    a, b = (rng.integers(0, 3, (n, n_modules)).astype(np.uint8) for n in (n_a, n_b))
    a[:, ::5] = b[:, ::5] = 255
    compare("shared_winners", (a, b, 255, np.zeros((n_a, n_b), np.int32)), (3,))


def test_no_items_launch_nothing():
    silent, codes, written, familiarity = outputs(0, 2, 3, 5)
    arguments = list(learning(np.random.default_rng(0), 3, 5, SETTINGS[0]))
    arguments[0], arguments[1] = np.zeros(0, np.int32), np.zeros(1, np.int64)
    arguments[17:] = codes, written, familiarity
    launcher = CpuLauncher()
    with launch.use(launcher):
        twins.learn_stream(*arguments)
        twins.recall_batch(*recalling(arguments, True))
        twins.count_labels(np.zeros((0, 3), np.uint8), silent, 5, np.zeros(0, np.int64), np.zeros((15, 2), np.uint32))
    assert not launcher.launched


@pytest.mark.parametrize("more", [0, 1])
def test_a_mac_freezes_at_its_very_limit(more):
    arguments = list(learning(np.random.default_rng(4), 5, 20, SETTINGS[1], n_items=3, n_macs=1))
    arguments[12], arguments[16] = 1, np.zeros((1, 100), bool)
    arguments[9] = np.array([10_000, 10_000])
    reached = int(compare("learn_stream", tuple(arguments), LEARNED)[15].sum())
    arguments[9] = np.array([10_000, reached + more])
    found = compare("learn_stream", tuple(arguments), LEARNED)
    assert found[16].all() == (more == 0)
