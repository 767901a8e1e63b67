"""Reading a memory of chunks: against an oracle in plain Python, and what must hold for every read."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_oracle import assert_same_recall, best_chunks_of, full_view, naive_read, product, steps_of, stream_view

import neuromem
from neuromem.hcam import reading
from neuromem.hcam.attention import HCAMAttention
from neuromem.hcam.chunk_view import ChunkView
from neuromem.hcam.pruning import SummaryGroups
from neuromem.hcam.reading import complete_steps, familiarity_of, read_steps


@pytest.mark.jit_off
@given(
    seed=st.integers(0, 2**32 - 1),
    n_slots=st.integers(1, 9),
    chunk_size=st.integers(1, 5),
    width=st.integers(1, 6),
    k=st.integers(1, 7),
    n_chunks=st.integers(1, 10),
    n_cues=st.sampled_from([1, 3, 9]),
    pruned=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_read_agrees_with_the_oracle(seed, n_slots, chunk_size, width, k, n_chunks, n_cues, pruned):
    rng = np.random.default_rng(seed)
    view = stream_view(rng, 2, n_slots, chunk_size, width, whole=True)
    cues = rng.integers(-2, 3, (n_cues, width))
    lane = int(rng.integers(2))
    groups = None
    if pruned:
        groups = SummaryGroups(width, 2)
        groups.rebuild(view, view.visible & (rng.random(view.visible.shape) < 0.7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PRUNE_FROM", 1)
        recall = read_steps(view, cues, k=k, n_chunks=n_chunks, lane=lane, groups=groups)
    n = min(n_chunks, n_slots)
    assert recall.values.shape == (n_cues, k, width) and recall.values.dtype == np.float32
    assert recall.ids.shape == recall.scores.shape == (n_cues, k)
    assert (recall.ids.dtype, recall.scores.dtype) == (np.int64, np.float32)
    assert recall.info["chunks"].shape == recall.info["chunk_weight"].shape == (n_cues, n)
    for q in range(n_cues):
        kept, chunk_weights, ranked = naive_read(view, lane, cues[q], k, n_chunks)
        missing = n - len(kept)
        assert recall.info["chunks"][q].tolist() == [m for m, _ in kept] + [-1] * missing
        np.testing.assert_allclose(recall.info["chunk_weight"][q], chunk_weights + [0] * missing, rtol=1e-6)
        short = k - len(ranked)
        assert recall.ids[q].tolist() == [r[1] for r in ranked] + [-1] * short
        assert recall.info["chunk"][q].tolist() == [r[2] for r in ranked] + [-1] * short
        assert recall.info["step"][q].tolist() == [r[3] for r in ranked] + [-1] * short
        np.testing.assert_allclose(recall.scores[q], [-r[0] for r in ranked] + [-np.inf] * short, rtol=1e-6)
        np.testing.assert_allclose(recall.info["step_weight"][q], [r[4] for r in ranked] + [0] * short, rtol=1e-6)
        np.testing.assert_array_equal(recall.values[q], [r[5] for r in ranked] + [np.zeros(width)] * short)


@pytest.mark.jit_off
@given(seed=st.integers(0, 2**32 - 1), n_slots=st.integers(1, 7), width=st.integers(1, 6), n_chunks=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_complete_and_familiarity_agree_with_the_oracle(seed, n_slots, width, n_chunks):
    rng = np.random.default_rng(seed)
    view = stream_view(rng, 1, n_slots, 3, width, whole=True)
    cues = rng.integers(-2, 3, (4, width)).astype(float)
    known = rng.random((4, width)) < 0.6
    found = complete_steps(view, cues, known, n_chunks=n_chunks)
    familiar = familiarity_of(view, cues, n_chunks=n_chunks)
    assert found.dtype == familiar.dtype == np.float32
    for q in range(4):
        kept = best_chunks_of(view, 0, np.where(known[q], cues[q], 0), n_chunks)
        ranked = [
            (sum((cues[q, d] - float(z[d])) ** 2 for d in range(width) if known[q, d]), number, z)
            for *_, number, z in steps_of(view, 0, kept)
        ]
        best = min(ranked, key=lambda r: r[:2], default=(0, 0, np.zeros(width)))[2]
        np.testing.assert_array_equal(found[q], np.where(known[q], cues[q], best))
        cosines = []
        for *_, z in steps_of(view, 0, best_chunks_of(view, 0, cues[q], n_chunks)):
            lengths = math.sqrt(product(cues[q], cues[q]) * product(z, z))
            cosines.append(product(cues[q], z) / lengths if lengths else float(not cues[q].any() and not z.any()))
        assert familiar[q] == pytest.approx(max(cosines, default=0), abs=1e-6)


# ---------------------------------------------------------------- what a read is for


@pytest.mark.jit_off
@given(
    seed=st.integers(0, 2**32 - 1),
    exponent=st.sampled_from([-30, -20, 0, 10, 25]),
    dtype=st.sampled_from(["float32", "float64"]),
    n_cues=st.sampled_from([1, 12]),
)
@settings(max_examples=40, deadline=None)
def test_a_stored_step_finds_itself_among_longer_ones(seed, exponent, dtype, n_cues):
    """Steps of lengths that differ a hundredfold: by products the longest would be found."""
    rng = np.random.default_rng(seed)
    contents = rng.standard_normal((7, 5, 6)) * 10 ** rng.uniform(-1, 1, (7, 5, 1)) * 10.0**exponent
    contents = contents.astype(dtype)
    view = full_view(contents)
    steps = contents.reshape(-1, 6)
    asked = rng.integers(0, 35, n_cues)
    recall = read_steps(view, steps[asked], n_chunks=7)
    np.testing.assert_array_equal(recall.ids[:, 0], asked)
    np.testing.assert_array_equal(recall.values[:, 0], steps[asked])
    assert (recall.scores == 0).all()
    np.testing.assert_allclose(familiarity_of(view, steps[asked], n_chunks=7), 1, rtol=1e-6)
    known = np.arange(6) < 3
    np.testing.assert_array_equal(complete_steps(view, np.where(known, steps[asked], 7), known, n_chunks=7), steps[asked])


@pytest.mark.jit_off
def test_a_step_is_found_in_its_chunk_only_if_the_chunk_is_kept():
    contents = np.zeros((3, 2, 2), np.float32)
    contents[0], contents[1], contents[2] = [[5, 0], [4, 0]], [[1, 0], [1, 0]], [[0, 9], [0, 9]]
    view = full_view(contents)
    assert read_steps(view, [[1, 0]], n_chunks=1).ids[0, 0] == 1  # chunk 0 has the larger product
    assert read_steps(view, [[1, 0]], n_chunks=2, k=3).ids[0].tolist() == [2, 3, 1]


@pytest.mark.jit_off
def test_values_recorded_twice_give_the_older_step_whatever_its_slot():
    contents = np.ones((4, 2, 3), np.float32)
    view = full_view(contents)
    turned = ChunkView(view.contents, view.summaries, view.lengths, np.array([[40, 42, 20, 22]]), view.visible)
    recall = read_steps(turned, [[1, 1, 1]], k=8)
    assert recall.ids[0].tolist() == [20, 21, 22, 23, 40, 41, 42, 43]
    assert recall.info["chunk"][0].tolist() == [2, 2, 3, 3, 0, 0, 1, 1]
    assert recall.info["chunks"][0].tolist() == [0, 1, 2, 3]
    assert read_steps(turned, [[1, 1, 1]], n_chunks=1).ids[0, 0] == 40


@pytest.mark.jit_off
def test_weights_are_those_of_attention_over_what_is_kept():
    rng = np.random.default_rng(1)
    view = full_view(rng.standard_normal((9, 4, 8)).astype(np.float32))
    recall = read_steps(view, rng.standard_normal((3, 8)), k=12, n_chunks=3)
    np.testing.assert_allclose(recall.info["step_weight"].sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(recall.info["chunk_weight"].sum(axis=1), 1, rtol=1e-6)
    assert (np.diff(recall.info["chunk_weight"]) <= 0).all() and (np.diff(recall.scores) <= 0).all()


# ---------------------------------------------------------------- what is read, and what is not


@pytest.mark.jit_off
def test_chunks_that_are_not_kept_make_no_difference_to_a_bit():
    rng = np.random.default_rng(2)
    contents = rng.standard_normal((20, 4, 6)).astype(np.float32)
    view = full_view(contents)
    cues = rng.standard_normal((9, 6))
    for part in (cues[:1], cues):
        before = read_steps(view, part, k=5, n_chunks=3)
        changed = contents.copy()
        others = np.setdiff1d(np.arange(20), before.info["chunks"])
        changed[others] = np.nan
        after = read_steps(
            ChunkView(changed[None], view.summaries, view.lengths, view.first_step, view.visible), part, k=5, n_chunks=3
        )
        assert_same_recall(before, after)


@pytest.mark.jit_off
def test_empty_memories_give_zeros_and_no_ids():
    rng = np.random.default_rng(3)
    filled = stream_view(rng)
    attention = HCAMAttention(4, 6, 8, dtype="float32")
    hidden = ChunkView(filled.contents, filled.summaries, filled.lengths, filled.first_step, np.zeros((1, 6), bool))
    for view in (hidden, ChunkView.from_arrays(np.zeros((1, 0, 5), np.float32), np.zeros((1, 0, 4, 5), np.float32))):
        for n_cues in (0, 1, 20):
            cues = np.ones((n_cues, 5))
            recall = read_steps(view, cues, k=3)
            assert recall.values.shape == (n_cues, 3, 5) and not recall.values.any()
            assert (recall.ids == -1).all() and (recall.scores == -np.inf).all()
            assert (recall.info["chunks"] == -1).all() and not recall.info["chunk_weight"].any()
            assert (recall.info["step"] == -1).all() and not recall.info["step_weight"].any()
            known = np.array([True, False, True, False, True])
            np.testing.assert_array_equal(complete_steps(view, cues, known), np.where(known, cues, 0))
            np.testing.assert_array_equal(familiarity_of(view, cues), np.zeros(n_cues))
    for slots in (0, 3):
        view = ChunkView.from_arrays(
            np.zeros((1, slots, 6), np.float32), np.zeros((1, slots, 2, 6), np.float32), np.zeros((1, slots), np.int32)
        )
        recall = read_steps(view, np.ones((2, 4)), k=2, attention=attention)
        assert (recall.ids == -1).all() and not recall.values.any() and not recall.info["output"].any()
        assert recall.info["output"].shape == (2, 8)


@pytest.mark.jit_off
def test_groups_that_know_nothing_of_a_lane(monkeypatch):
    monkeypatch.setattr(reading, "PRUNE_FROM", 1)
    view = stream_view(np.random.default_rng(16), 2)
    hidden = ChunkView(view.contents, view.summaries, view.lengths, view.first_step, np.zeros((2, 6), bool))
    groups = SummaryGroups(5)
    for _ in range(2):
        for seen in (view, hidden):
            for lane in (0, 1):
                cues = np.ones((2, 5))
                assert_same_recall(read_steps(seen, cues, lane=lane), read_steps(seen, cues, lane=lane, groups=groups))
        groups.closed(view, 0, np.flatnonzero(view.visible[0]))


@pytest.mark.jit_off
def test_a_read_changes_nothing_and_takes_arrays_that_cannot_be_written():
    rng = np.random.default_rng(4)
    view = stream_view(rng, 2)
    names = ("contents", "summaries", "lengths", "first_step", "visible")
    before = {name: getattr(view, name).copy() for name in names}
    cues = rng.standard_normal((3, 5))
    for array in (cues, *(getattr(view, name) for name in names)):
        array.flags.writeable = False
    kept = cues.copy()
    read_steps(view, cues, k=2, lane=1)
    complete_steps(view, cues, np.ones(5, bool), lane=1)
    familiarity_of(view, cues, lane=1)
    np.testing.assert_array_equal(cues, kept)
    for name in names:
        np.testing.assert_array_equal(getattr(view, name), before[name])


def large_view(rng, n_slots=700, width=12, dtype="float32"):
    walk = np.cumsum(rng.standard_normal((n_slots * 3, width)), axis=0) * 0.3
    return full_view(walk.astype(dtype).reshape(n_slots, 3, width))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_cue_many_cues_and_pruning_find_the_same(dtype):
    rng = np.random.default_rng(5)
    view = large_view(rng, dtype=dtype)
    groups = SummaryGroups(12, 16, dtype)
    groups.rebuild(view, rng.random(view.visible.shape) < 0.9)
    cues = view.contents.reshape(-1, 12)[rng.integers(0, 2100, 40)] + rng.standard_normal((40, 12))
    together = read_steps(view, cues, k=4, n_chunks=16)
    for pruning in (None, groups):
        for q in range(0, 40, 3):
            one = read_steps(view, cues[q : q + 1], k=4, n_chunks=16, groups=pruning)
            np.testing.assert_array_equal(one.ids[0], together.ids[q])
            np.testing.assert_array_equal(one.info["chunks"][0], together.info["chunks"][q])
            np.testing.assert_array_equal(one.values[0], together.values[q])
            np.testing.assert_array_equal(one.scores[0], together.scores[q])
    known = rng.random((40, 12)) < 0.5
    completed, familiar = complete_steps(view, cues, known), familiarity_of(view, cues)
    for q in (0, 17, 39):
        one = slice(q, q + 1)
        np.testing.assert_array_equal(complete_steps(view, cues[one], known[one], groups=groups), completed[one])
        np.testing.assert_array_equal(familiarity_of(view, cues[one], groups=groups), familiar[one])


@pytest.mark.parametrize("exponent", [-30, 18.5, 18.8, 19, 19.2, 19.5, 25, 38])
def test_products_that_overflow_in_a_matrix_product_are_scored_again(exponent):
    """Around 19 some sums overflow, some only on the way, some not at all."""
    rng = np.random.default_rng(6)
    view = full_view((rng.uniform(-1, 1, (300, 2, 8)) * 10.0**exponent).astype(np.float32))
    cues = view.contents[0, ::20, 0].copy()
    check_many_cues(view, cues)


def test_products_that_differ_less_than_a_matrix_product_tells_are_scored_again():
    rng = np.random.default_rng(15)
    contents = 1 + 2.0**-23 * rng.integers(-2, 3, (900, 1, 400))
    view = full_view(contents.astype(np.float32))
    check_many_cues(view, rng.uniform(1, 2, (10, 400)).astype(np.float32))


def test_products_that_overflow_only_on_the_way_are_scored_again():
    contents = np.full((200, 1, 80), 1e7, np.float32)
    contents[5::9, :, :32] = -3e9  # -inf after two of these, in whatever number of lanes
    contents[5::9, :, 32:] = 3e9
    view = full_view(contents)
    check_many_cues(view, np.full((9, 80), 1e29, np.float32))


def check_many_cues(view, cues):
    """Chunks are those of the oracle, and cues together give what each gives alone."""
    assert len(cues) >= reading.MANY_CUES
    together = read_steps(view, cues, k=2, n_chunks=5)
    for q, cue in enumerate(cues):
        one = read_steps(view, cue[None], k=2, n_chunks=5)
        np.testing.assert_array_equal(one.ids[0], together.ids[q])
        kept = best_chunks_of(view, 0, cue, 5)
        assert together.info["chunks"][q].tolist() == [m for m, _ in kept]


def test_blocks_of_cues_make_no_difference(monkeypatch):
    rng = np.random.default_rng(7)
    view = large_view(rng)
    cues = rng.standard_normal((50, 12))
    known = rng.random((50, 12)) < 0.5
    attention = HCAMAttention(12, 12, 4, n_heads=2)
    whole = read_steps(view, cues, k=3), complete_steps(view, cues, known), read_steps(view, cues, k=3, attention=attention)
    monkeypatch.setattr(reading, "MOST_SCORES", 2000)
    parts = read_steps(view, cues, k=3), complete_steps(view, cues, known), read_steps(view, cues, k=3, attention=attention)
    assert_same_recall(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])
    np.testing.assert_array_equal(whole[2].ids, parts[2].ids)
    np.testing.assert_allclose(whole[2].info["output"], parts[2].info["output"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n_cues", [1, 30])
def test_any_number_of_threads_gives_the_same_bits(n_cues, monkeypatch):
    from neuromem import parallel

    monkeypatch.setattr(parallel, "SERIAL_BELOW", 0)
    rng = np.random.default_rng(8)
    view = large_view(rng)
    groups = SummaryGroups(12)
    groups.rebuild(view)
    cues = rng.standard_normal((n_cues, 12))

    def all_reads():
        return (
            read_steps(view, cues, k=3),
            read_steps(view, cues, k=3, groups=groups),
            complete_steps(view, cues, np.arange(12) < 6),
            familiarity_of(view, cues),
        )

    with neuromem.threads(1):
        one = all_reads()
    for n_threads in range(2, min(4, neuromem.get_num_threads()) + 1):
        with neuromem.threads(n_threads):
            more = all_reads()
        assert_same_recall(one[0], more[0])
        assert_same_recall(one[1], more[1])
        np.testing.assert_array_equal(one[2], more[2])
        np.testing.assert_array_equal(one[3], more[3])


def test_a_memory_map_reads_as_memory_does(tmp_path):
    rng = np.random.default_rng(9)
    view = large_view(rng)
    np.save(tmp_path / "contents.npy", view.contents)
    np.save(tmp_path / "summaries.npy", view.summaries)
    contents, summaries = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("contents", "summaries"))
    mapped = ChunkView(contents, summaries, view.lengths, view.first_step, view.visible)
    for n_cues in (1, 20):
        cues = rng.standard_normal((n_cues, 12))
        found = read_steps(mapped, cues, k=3)
        assert type(found.values) is np.ndarray
        assert_same_recall(found, read_steps(view, cues, k=3))
        np.testing.assert_array_equal(familiarity_of(mapped, cues), familiarity_of(view, cues))
