"""Leaving out groups of summaries: the same chunks as a look at all of them, always."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neuromem import InputError
from neuromem.hcam import chunk_memory, reading
from neuromem.hcam.chunk_memory import ChunkMemory
from neuromem.hcam.chunk_view import ChunkView
from neuromem.hcam.kernels import best_chunks, best_chunks_pruned
from neuromem.hcam.pruning import SummaryGroups
from neuromem.hcam.reading import complete_steps, familiarity_of, read_steps


def view_of(summaries, lengths=None):
    """Chunks of one step, so that contents are the summaries."""
    return ChunkView.from_arrays(summaries, summaries[:, :, None], lengths)


def scanned_and_pruned(view, groups, cues, visible, n, lane=0):
    """(index, score) of a look at all, of pruning, and the groups that it scanned."""
    results = []
    grouped, loose = groups.members_of(lane, visible)
    scanned = np.zeros(len(cues), np.int64)
    args = cues.astype(float), np.ascontiguousarray(view.summaries[lane])
    for pruned in (False, True):
        index, score = np.zeros((len(cues), n), np.int32), np.zeros((len(cues), n))
        if pruned:
            bounds = groups.group_size, groups.centres[lane], groups.reach[lane]
            best_chunks_pruned(*args, grouped, loose, *bounds, scanned, index, score)
        else:
            best_chunks(*args, visible, index, score)
        results.append((index, score))
    return *results, scanned


def assert_same_chunks(view, groups, cues, visible, n, lane=0):
    all_of_them, pruned, scanned = scanned_and_pruned(view, groups, cues, visible, n, lane)
    np.testing.assert_array_equal(pruned[0], all_of_them[0])
    np.testing.assert_array_equal(pruned[1], all_of_them[1])
    return scanned


def assert_bounds_hold(view, groups, lane=0):
    """Every member lies within its group's reach, by exact arithmetic of a wider type."""
    summaries, centres = (array[lane].astype(np.longdouble) for array in (view.summaries, groups.centres))
    for m in np.flatnonzero(groups.counted[lane, : len(summaries)]):
        g = m // groups.group_size
        assert np.sqrt(((summaries[m] - centres[g]) ** 2).sum()) <= groups.reach[lane, g]


KINDS = ("gauss", "walk", "clusters", "equal", "duplicates", "whole", "zero")


def made(kind, rng, m, width, scale, dtype):
    base = rng.standard_normal((m, width))
    if kind == "walk":
        base = np.cumsum(base, axis=0)
    elif kind == "clusters":
        base = rng.standard_normal((3, width))[rng.integers(0, 3, m)] + 0.01 * base
    elif kind == "equal":
        base[:] = base[0]
    elif kind == "duplicates":
        base = base[rng.integers(0, max(m // 3, 1), m)]
    elif kind == "whole":
        base = np.round(base)
    elif kind == "zero":
        base[:] = 0
    return (base * scale).astype(dtype)


@pytest.mark.jit_off
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    m=st.integers(1, 60),
    width=st.integers(1, 9),
    n=st.integers(1, 12),
    group_size=st.integers(1, 9),
    exponent=st.sampled_from([-42, -38, -20, 0, 0, 0, 15, 30, 37]),
    cue_exponent=st.sampled_from([-30, 0, 0, 30]),
    dtype=st.sampled_from(["float32", "float64"]),
)
@example(0, "equal", 60, 3, 5, 4, 0, 0, "float32")
@example(1, "duplicates", 60, 9, 12, 1, 0, 0, "float32")
@settings(max_examples=120, deadline=None)
def test_pruning_keeps_the_chunks_of_a_full_scan(seed, kind, m, width, n, group_size, exponent, cue_exponent, dtype):
    rng = np.random.default_rng(seed)
    summaries = made(kind, rng, m, width, 10.0**exponent, dtype)
    view, groups = view_of(summaries[None]), SummaryGroups(width, group_size, dtype)
    near = summaries[rng.integers(0, m, 2)].astype(float)
    cues = np.concatenate([near, near + rng.standard_normal((2, width)) * 10.0**cue_exponent, np.zeros((1, width))])
    order = rng.permutation(m) if seed % 2 else np.arange(m)
    for part in np.array_split(order, min(4, m)):  # chunks close some at a time; what is open is looked at by itself
        groups.closed(view, 0, part)
        assert_bounds_hold(view, groups)
        assert_same_chunks(view, groups, cues, (rng.random(m) < 0.8).astype(np.uint8), n)
    assert_same_chunks(view, groups, cues, np.zeros(m, np.uint8), n)


@pytest.mark.jit_off
@given(
    seed=st.integers(0, 2**32 - 1),
    slots=st.integers(1, 20),
    group_size=st.integers(1, 7),
    writes=st.integers(1, 60),
    include_open=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_pruning_holds_while_the_ring_comes_round_and_lanes_are_emptied(seed, slots, group_size, writes, include_open):
    rng = np.random.default_rng(seed)
    width, n_lanes = 3, 2
    summaries = np.full((n_lanes, slots, width), np.nan, np.float32)
    visible = np.zeros((n_lanes, slots), np.uint8)
    view = ChunkView.from_arrays(summaries, summaries[:, :, None], visible)
    groups = SummaryGroups(width, group_size)
    groups.rebuild(view)
    heads = [0, 0]
    for _ in range(writes):
        lane = int(rng.integers(n_lanes))
        slot = heads[lane] % slots
        heads[lane] += 1
        groups.opened(lane, slot)
        visible[lane, slot] = include_open
        for _ in range(2):  # a summary that still moves, far away
            summaries[lane, slot] = 100 * rng.standard_normal(width)
            assert_same_chunks(view, groups, rng.standard_normal((2, width)), visible[lane], 4, lane)
        summaries[lane, slot] = rng.standard_normal(width) * 10.0 ** rng.integers(-2, 3)
        groups.closed(view, lane, slot)
        visible[lane, slot] = 1
        assert_same_chunks(view, groups, rng.standard_normal((2, width)), visible[lane], 4, lane)
        assert_bounds_hold(view, groups, lane)
        if rng.random() < 0.05:
            groups.reset(lane)
            visible[lane], heads[lane] = 0, 0
            summaries[lane] = np.nan


@pytest.mark.jit_off
def test_rebuilding_gives_bounds_that_hold_and_counts_closed_chunks_only():
    rng = np.random.default_rng(3)
    summaries = rng.standard_normal((2, 50, 5)).astype(np.float32)
    contents = np.repeat(summaries[:, :, None], 2, axis=2)
    lengths = np.full((2, 50), 2)
    lengths[0, 7], lengths[1, 40:] = 1, 0
    summaries[1, 40:] = np.nan
    view = ChunkView.from_arrays(summaries, contents, lengths)
    groups = SummaryGroups(5, 8)
    groups.closed(view, 0, 3)  # forgotten
    groups.rebuild(view)
    np.testing.assert_array_equal(groups.counted != 0, lengths == 2)
    groups.rebuild(view, lengths > 0)
    np.testing.assert_array_equal(groups.counted != 0, lengths > 0)
    for lane in (0, 1):
        assert_bounds_hold(view, groups, lane)
        assert_same_chunks(view, groups, rng.standard_normal((4, 5)), (lengths[lane] > 0).astype(np.uint8), 6, lane)


@pytest.mark.jit_off
def test_closing_one_by_one_and_together_is_the_same():
    summaries = np.random.default_rng(4).standard_normal((1, 30, 4)).astype(np.float32)
    view, one, all_at_once = view_of(summaries), SummaryGroups(4, 7), SummaryGroups(4, 7)
    for m in range(30):
        one.closed(view, 0, m)
    all_at_once.closed(view, 0, np.arange(30))
    for name in ("centres", "reach", "members", "changes"):
        first, second = (getattr(groups, name)[0, :5] for groups in (one, all_at_once))
        np.testing.assert_array_equal(first, second)


@pytest.mark.jit_off
def test_room_is_made_as_slots_and_lanes_are_added():
    rng = np.random.default_rng(5)
    summaries = rng.standard_normal((2, 40, 4)).astype(np.float32)
    groups = SummaryGroups(4, 3)
    assert groups.nbytes == 0
    for m in range(40):
        groups.closed(view_of(summaries[: 1 + (m > 20), : m + 1]), 0, m)
    assert groups.counted.shape[1] < 80 and groups.counted.sum() == 40
    assert groups.nbytes == sum(getattr(groups, name).nbytes for name in ("counted", "centres", "reach", "changes", "members"))
    view = view_of(summaries)
    assert_bounds_hold(view, groups)
    assert_same_chunks(view, groups, rng.standard_normal((3, 4)), np.ones(40, np.uint8), 5)


def test_groups_that_cannot_hold_a_best_chunk_are_left_out():
    """Two hundred clusters far apart, 64 chunks each: one holds all of the best."""
    rng = np.random.default_rng(6)
    centres = rng.standard_normal((200, 32))
    summaries = (np.repeat(centres, 64, axis=0) + 0.02 * rng.standard_normal((12_800, 32))).astype(np.float32)[None]
    view, groups = view_of(summaries), SummaryGroups(32)
    groups.rebuild(view)
    own = centres[:20] / np.linalg.norm(centres[:20], axis=1, keepdims=True) * 10
    scanned = assert_same_chunks(view, groups, own, np.ones(12_800, np.uint8), 16)
    assert scanned.min() >= 1 and np.median(scanned) <= 3


def test_without_order_in_time_every_group_is_scanned_once():
    rng = np.random.default_rng(7)
    view, groups = view_of(rng.standard_normal((1, 2000, 64)).astype(np.float32)), SummaryGroups(64)
    groups.rebuild(view)
    scanned = assert_same_chunks(view, groups, rng.standard_normal((5, 64)), np.ones(2000, np.uint8), 16)
    assert scanned.max() <= 32 == len(groups.reach[0])


def test_centres_move_seldom_but_follow_the_ring():
    """Radii of a ring that was filled anew, far from where it was, are those of the new summaries."""
    rng = np.random.default_rng(8)
    summaries = rng.standard_normal((1, 64, 8)).astype(np.float32)
    groups = SummaryGroups(8, 32)
    groups.rebuild(view_of(summaries))
    first = groups.reach[0].copy()
    summaries += 1000
    for m in range(64):
        groups.opened(0, m)
        groups.closed(view_of(summaries), 0, m)
    np.testing.assert_allclose(groups.reach[0], first, rtol=1e-3)


@pytest.mark.jit_off
def test_values_that_are_not_finite_are_never_pruned_wrongly():
    summaries = np.random.default_rng(9).standard_normal((1, 12, 3)).astype(np.float32)
    summaries[0, 2, 1], summaries[0, 9, 0] = np.nan, np.inf
    view, groups = view_of(summaries), SummaryGroups(3, 4)
    groups.rebuild(view)
    cues = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.1]])
    assert_same_chunks(view, groups, cues, np.ones(12, np.uint8), 12)
    index = scanned_and_pruned(view, groups, cues, np.ones(12, np.uint8), 12)[1][0]
    assert index[0, 0] == 9 and 2 not in index


@pytest.mark.jit_off
@given(
    seed=st.integers(0, 2**32 - 1),
    chunk_size=st.integers(1, 4),
    capacity=st.integers(1, 12),
    n_lanes=st.integers(1, 2),
    include_open=st.booleans(),
    across_episodes=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_a_memory_reads_the_same_with_groups_and_without(seed, chunk_size, capacity, n_lanes, include_open, across_episodes):
    """Whatever happens to it: the ring comes round, lanes are emptied, episodes end, it is copied."""
    rng = np.random.default_rng(seed)
    memory = ChunkMemory(
        3, chunk_size, capacity, n_lanes=n_lanes, include_open=include_open, across_episodes=across_episodes, n_chunks=3
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PRUNE_FROM", 1)
        patch.setattr(chunk_memory, "PRUNE_FROM", 1)
        patch.setattr(SummaryGroups.__init__, "__defaults__", (3, "float32"))
        for _ in range(12):
            steps = 10.0 ** rng.integers(-1, 3) * rng.standard_normal((rng.integers(1, 9), n_lanes, 3))
            memory.write(steps[:, 0] if n_lanes == 1 else steps)
            if rng.random() < 0.2:
                memory.flush()
            if rng.random() < 0.1:
                memory.reset([int(rng.integers(n_lanes))])
            if rng.random() < 0.1:
                memory = memory.copy()
            lane, cues = int(rng.integers(n_lanes)), rng.standard_normal((3, 3))
            view = memory.view()
            found, wanted = memory.read(cues, k=2, lane=lane), read_steps(view, cues, k=2, n_chunks=3, lane=lane)
            np.testing.assert_array_equal(found.ids, wanted.ids)
            np.testing.assert_array_equal(found.info["chunks"], wanted.info["chunks"])
            known = np.array([True, False, True])
            completed = complete_steps(view, cues, known, n_chunks=3, lane=lane)
            np.testing.assert_array_equal(memory.complete(cues, known, lane=lane), completed)
            np.testing.assert_array_equal(memory.familiarity(cues, lane=lane), familiarity_of(view, cues, n_chunks=3, lane=lane))


@pytest.mark.parametrize(("name", "value"), [("n_features", 0), ("group_size", 0), ("dtype", "int8")])
def test_bad_parameters(name, value):
    with pytest.raises(InputError, match=name):
        SummaryGroups(**{"n_features": 3, name: value})
