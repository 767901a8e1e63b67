"""GPU twins of the HCAM kernels against the plain forms, on sizes and settings that the examples of the registry do not have."""

import copy

import numpy as np
import pytest

from cuda_cpu.runner import ORDERS, CpuLauncher, missing
from neuromem.gpu import hcam as twins
from neuromem.gpu import launch
from neuromem.hcam import reference_attention as plain

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

WRITTEN = {"summary_topk": (5, 6), "gather_attend_fwd": (7, 8), "gather_attend_bwd": (9, 10, 11), "scatter_contents": (7,)}
# float32 sums of some hundred terms of order one, taken in another order than the plain form's float64
LIMITS = {np.float32: dict(rtol=2e-5, atol=4e-5), np.float64: dict(rtol=1e-12, atol=1e-12)}
both = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def on_device(name, arguments, **options):
    """Arguments after the twin's call; what it should not write must be as before."""
    mine = copy.deepcopy(arguments)
    with launch.use(CpuLauncher(**{"shared_limit": 48 * 1024, **options})):
        getattr(twins, name)(*mine)
    for number in set(range(len(arguments))) - set(WRITTEN[name]):
        np.testing.assert_array_equal(mine[number], arguments[number], err_msg=f"argument {number}")
    return mine


def compare(name, arguments, exact=False, **options):
    """Run the twin and the plain form; return what the twin wrote."""
    mine, theirs = on_device(name, arguments, **options), copy.deepcopy(arguments)
    getattr(plain, name)(*theirs)
    for number in WRITTEN[name]:
        limits = {} if exact else LIMITS[arguments[2 if name == "scatter_contents" else 0].dtype.type]
        assert_same = np.testing.assert_array_equal if exact else np.testing.assert_allclose
        assert_same(mine[number], theirs[number], err_msg=f"argument {number}", **limits)
    return [mine[number] for number in WRITTEN[name]]


# ---------------------------------------------------------------- the best summaries


def scoring(seed, n, n_lanes, n_chunks, width, k, dtype=np.float32, masked=-np.inf, hidden=0.3, lane=None):
    """Whole numbers, so that sums are exact in any order and many scores are equal."""
    rng = np.random.default_rng(seed)
    q_hat = rng.integers(-2, 3, (n, width)).astype(dtype)
    summaries = rng.integers(-2, 3, (n_lanes, n_chunks, width)).astype(dtype)
    lane = (np.arange(n) * n_lanes // n).astype(np.int32) if lane is None else lane
    visible = (rng.random((n, n_chunks)) >= hidden).astype(np.uint8)
    index, score = np.full((n, k), 77, np.int32), np.full((n, k), 7, dtype)
    return q_hat, summaries, lane, visible, masked, index, score


@both
@pytest.mark.parametrize("n_chunks", [1, 2, 33, 129, 300])
@pytest.mark.parametrize(("n", "width", "k"), [(1, 1, 1), (4, 7, 3), (9, 33, 140)])
def test_the_best_of_any_number_of_chunks(n, n_chunks, width, k, dtype):
    index, _ = compare("summary_topk", scoring(n_chunks, n, min(n, 3), n_chunks, width, k, dtype), exact=True)
    assert (index[:, 0] >= 0).any() or n_chunks == 1
    if k > n_chunks:
        assert (index[:, n_chunks:] == -1).all()


@both
@pytest.mark.parametrize("masked", [-np.inf, -1e6, 0.0])
def test_hidden_chunks(masked, dtype):
    arguments = scoring(1, 6, 2, 200, 5, 170, dtype, masked, hidden=0.6)
    arguments[3][2] = 0  # a query that sees nothing
    index, _ = compare("summary_topk", arguments, exact=True)
    assert (index[2] == (-1 if np.isinf(masked) else np.arange(170))).all()
    assert np.isinf(masked) == (index == -1).any()


@pytest.mark.parametrize("lane", [[0, 1, 0, 1, 1], [2, 2, 1, 2, 2], [0, 0, 0, 0, 0]])
def test_neighbours_may_ask_any_lane(lane):
    compare("summary_topk", scoring(2, 5, 3, 150, 9, 4, lane=np.array(lane, np.int32)), exact=True)


def test_scores_that_are_no_numbers_or_minus_infinity_are_left_out():
    arguments = scoring(3, 3, 1, 150, 4, 6, hidden=0)
    arguments[0][0, 2] = np.nan
    arguments[1][0, [0, 140], 1] = np.nan
    arguments[1][0, 7:140] = 0
    arguments[1][0, 3, 0] = np.inf
    arguments[0][:, 0] = -1
    index, _ = compare("summary_topk", arguments, exact=True)
    assert (index[0] == -1).all() and not np.isin(index, [0, 3, 140]).any()


@pytest.mark.parametrize(("order", "most"), [*zip(ORDERS, (1, 3000, 48 * 1024), strict=True)])
def test_scoring_in_every_order_and_amount_of_memory(monkeypatch, order, most):
    monkeypatch.setattr(twins, "SHARED_BYTES", most)
    monkeypatch.setattr(twins, "SCRATCH_BYTES", most)  # queries go through in parts
    compare("summary_topk", scoring(4, 10, 3, 200, 13, 40), exact=True, order=order, watch=True)


def test_scores_of_ordinary_numbers():
    rng = np.random.default_rng(5)
    arguments = scoring(5, 7, 2, 500, 100, 12)
    arguments = (rng.standard_normal((7, 100)).astype(np.float32), rng.standard_normal((2, 500, 100)).astype(np.float32))
    arguments += scoring(5, 7, 2, 500, 100, 12)[2:]
    compare("summary_topk", arguments)


def test_tiles_are_small_where_queries_are_few_and_never_too_large():
    assert twins.tile_for(1, 100_000, 4) == 160 and twins.tile_for(1, 1000, 4) == twins.LEAST_TILE
    assert twins.tile_for(10_000, 10**6, 4) == twins.MOST_TILE
    assert 4 * twins.tile_for(10_000, 10**6, 8) * 8 <= twins.SHARED_BYTES


# ---------------------------------------------------------------- inside chunks


def attending(seed, n, k, heads, steps, width, dtype=np.float32, n_lanes=2, n_chunks=6, poison=True):
    """Partial lengths, empty places and chunks without weight; NaN wherever nothing may be read."""
    rng = np.random.default_rng(seed)
    lane = rng.integers(0, n_lanes, n).astype(np.int32)
    index = np.array([rng.permutation(n_chunks)[:k] for _ in range(n)], np.int32).reshape(n, k)
    weight = rng.random((n, k)).astype(dtype) + dtype(0.1)
    index[rng.random((n, k)) < 0.2] = -1
    weight[rng.random((n, k)) < 0.2] = 0
    if n:
        index[0], weight[0] = np.arange(k), 0.25  # one that has all
    lengths = rng.integers(1, steps + 1, (n_lanes, n_chunks)).astype(np.int32)
    contents = rng.standard_normal((n_lanes, n_chunks, steps, width)).astype(dtype)
    if poison:
        contents[np.arange(steps) >= lengths[..., None]] = np.nan
        read = np.zeros((n_lanes, n_chunks), bool)
        rows, places = np.nonzero((index >= 0) & (weight != 0))
        read[lane[rows], index[rows, places]] = True
        contents[~read] = np.nan
    position = rng.standard_normal((steps, width)).astype(dtype)
    q_tilde = rng.standard_normal((n, heads, width)).astype(dtype) / dtype(width**0.5)
    return q_tilde, weight, index, lane, lengths, contents, position


def forward(*sizes, **options):
    inputs = attending(*sizes, **options)
    n, heads, width = inputs[0].shape
    p = np.full((n, inputs[1].shape[1], heads, inputs[5].shape[2]), 7, inputs[0].dtype)
    return *inputs, p, np.full((n, heads, width), 7, inputs[0].dtype)


def backward(*sizes, **options):
    given = forward(*sizes, **options)
    plain.gather_attend_fwd(*given)
    *inputs, p, y = given
    d_y = np.random.default_rng(99).standard_normal(y.shape).astype(y.dtype)
    return *inputs, p, d_y, np.full_like(y, 7), np.full_like(inputs[1], 7), np.full_like(p, 7)


def scattering(*sizes, **options):
    given = backward(*sizes, **options)
    plain.gather_attend_bwd(*given)
    q_tilde, weight, index, lane, lengths, contents, _, p, d_y, *_, d_score = given
    n_chunks = lengths.shape[1]
    chunk = np.where((index >= 0) & (weight != 0), lane[:, None] * n_chunks + index, lengths.size).ravel()
    order = np.argsort(chunk, kind="stable").astype(np.int32)
    starts = np.searchsorted(chunk[order], np.arange(lengths.size + 1)).astype(np.int32)
    return order[: starts[-1]], starts, q_tilde, weight, p, d_y, d_score, np.full_like(contents, 7)


MAKERS = {"gather_attend_fwd": forward, "gather_attend_bwd": backward, "scatter_contents": scattering}
every = pytest.mark.parametrize("name", MAKERS)


@both
@every
@pytest.mark.parametrize(
    ("n", "k", "heads", "steps", "width"),
    [(1, 1, 1, 1, 1), (3, 2, 1, 5, 3), (2, 4, 4, 16, 32), (5, 3, 5, 9, 33), (4, 2, 8, 40, 20), (2, 1, 13, 3, 130)],
)
def test_attention_at_every_size(name, n, k, heads, steps, width, dtype):
    compare(name, MAKERS[name](n + width, n, k, heads, steps, width, dtype))


@every
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("split", [True, False])
def test_attention_in_every_order_of_threads(monkeypatch, name, order, split):
    if not split:
        monkeypatch.setattr(twins, "WANTED_BLOCKS", 1)
    compare(name, MAKERS[name](1, 3, 4, 5, 7, 37), order=order, watch=True)


@pytest.mark.parametrize("name", ["gather_attend_fwd", "gather_attend_bwd"])
@pytest.mark.parametrize("blocks", [1, 2, 10_000])
def test_shared_and_global_memory_split_or_not_give_the_same_bits(monkeypatch, name, blocks):
    arguments = MAKERS[name](2, 6, 3, 3, 11, 26)
    wanted = on_device(name, arguments)
    numbers = 4 * (3 * 26 + 3 * 11)
    for most in (numbers + 4 * 11 * 26, numbers + 4 * 11 * 26 - 1, numbers - 1):  # all, no steps, nothing
        for limit, value in (("SHARED_BYTES", most), ("WANTED_BLOCKS", blocks), ("FREE_BLOCKS", blocks)):
            monkeypatch.setattr(twins, limit, value)
        found = on_device(name, arguments, order="shuffled", watch=True, shared_limit=most)
        for number in WRITTEN[name]:
            np.testing.assert_array_equal(found[number], wanted[number])


@pytest.mark.parametrize("name", ["gather_attend_fwd", "gather_attend_bwd"])
def test_a_query_s_bits_do_not_depend_on_its_batch(name):
    arguments = MAKERS[name](3, 5, 3, 2, 8, 12)
    found = on_device(name, arguments)
    per_query = {0, 1, 2, 3, 7, 8, 9, 10, 11}
    for n in range(5):
        alone = tuple(a[n : n + 1].copy() if i in per_query else a for i, a in enumerate(arguments))
        alone = on_device(name, alone)
        for number in WRITTEN[name]:
            np.testing.assert_array_equal(alone[number][0], found[number][n])


@every
def test_without_kept_chunks_everything_is_zero(name):
    arguments = MAKERS[name](4, 3, 2, 2, 5, 6)
    arguments[3 if name == "scatter_contents" else 1][:] = 0
    if name == "scatter_contents":
        arguments[1][:] = 0
        arguments = (arguments[0][:0], *arguments[1:])
    for written in compare(name, arguments):
        assert not written.any()


@every
@pytest.mark.parametrize(("n", "k"), [(0, 2), (3, 0)])
def test_nothing_to_do(name, n, k):
    for written in compare(name, MAKERS[name](5, n, k, 2, 4, 6)):
        assert not written.any()


def test_a_chunk_that_all_queries_keep_and_one_that_none_does():
    order, starts, *rest = scattering(6, 12, 3, 4, 10, 18, n_lanes=1, n_chunks=4)
    counts = np.diff(starts)
    assert counts.max() > 5
    compare("scatter_contents", (order, starts, *rest), order="shuffled", watch=True)


def test_large_scores_do_not_overflow():
    arguments = forward(7, 2, 2, 2, 6, 8)
    arguments = (arguments[0] * np.float32(1e6), *arguments[1:])
    p, y = compare("gather_attend_fwd", arguments)
    assert np.isfinite(y).all() and p.max() == 1
