"""Writing to the chunk memory, against a naive one that keeps lists; shapes, borders, lanes, episodes, files."""

import pickle
import resource
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from chunk_oracle import Naive, assert_equal, assert_same, mean, stream
from hypothesis import given, settings
from hypothesis import strategies as st

import neuromem
from neuromem import CapacityError, ChunkMemory, ItemSpec
from neuromem.hcam import ChunkView, chunk_ring
from neuromem.hcam.reading import read_steps

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["write", "append"]), st.integers(0, 12)),
        st.tuples(st.sampled_from(["flush", "begin_episode", "reset"]), st.integers(1, 7)),
        st.tuples(st.sampled_from(["view", "save"]), st.just(0)),
    ),
    max_size=25,
)


@pytest.mark.jit_off
@settings(max_examples=60, deadline=None)
@given(
    OPERATIONS,
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from([1, 3]),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
    st.booleans(),
)
def test_like_the_naive_one(operations, width, size, capacity, lanes, dtype, include_open, across):
    memory = ChunkMemory(
        width, size, capacity, lanes, dtype=dtype, include_open=include_open, across_episodes=across, on_full="oldest"
    )
    naive = Naive(width, size, capacity, lanes, np.dtype(dtype))
    items = stream(300, width, lanes, dtype=np.dtype(dtype))
    at = 0
    for name, value in operations:
        if name == "write":
            ids = memory.write(items[at : at + value])
            assert ids.dtype == np.int64 and ids.tolist() == list(range(naive.step, naive.step + value))
            naive.write(items[at : at + value])
            at += value
        elif name == "append":
            for row in items[at : at + value]:
                assert memory.append(row) == naive.step
                naive.write(row[None])
            at += value
        elif name == "view":
            memory.view()
        elif name == "save":
            memory = pickle.loads(pickle.dumps(memory))
        else:
            chosen = [lane for lane in range(lanes) if value >> lane & 1]
            getattr(memory, name)(chosen if lanes > 1 else None)
            getattr(naive, name)(chosen if lanes > 1 else [0])
    assert_same(memory, naive)


@pytest.mark.jit_off
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_at_once_one_by_one_and_in_pieces_are_the_same(lanes, dtype):
    items = stream(57, 6, lanes, dtype=np.dtype(dtype))
    made = []
    for sizes in ([57], [1] * 57, [0, 10, 1, 30, 16], None):
        memory = ChunkMemory(6, 4, 5, lanes, dtype=dtype)
        if sizes is None:
            for row in items:
                memory.append(row)
        for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True) if sizes else ():
            memory.write(items[start : start + size])
        made.append(memory)
    for other in made[1:]:
        assert_equal(made[0], other)


def test_later_writes_leave_closed_chunks_as_they_are():
    memory = ChunkMemory(4, 8, 1000)
    memory.write(stream(100, 4))
    view = memory.view()
    before = view.contents[0, :12].copy(), view.summaries[0, :12].copy()
    for n in (1, 3, 400):
        memory.write(stream(n, 4, seed=n))
        now = memory.view()
        assert np.array_equal(now.contents[0, :12], before[0]) and np.array_equal(now.summaries[0, :12], before[1])
        assert np.shares_memory(now.contents, view.contents)
        assert now.version > view.version


def test_the_summary_is_the_mean_to_the_last_bit_however_the_steps_came():
    rng = np.random.default_rng(1)
    items = (rng.standard_normal((256, 3)) * 10.0 ** rng.integers(-6, 7, (256, 1))).astype(np.float32)
    wanted = mean(items, np.float32)
    for cut in (0, 1, 100, 255, 256):
        memory = ChunkMemory(3, 256, include_open=True)
        memory.write(items[:cut])
        memory.view()
        for row in items[cut:]:
            memory.append(row)
        assert np.array_equal(memory.summaries[0, 0], wanted)
        assert np.allclose(wanted, items.mean(axis=0, dtype=np.float64), rtol=1e-6)


def test_saved_after_every_step_of_a_stream_and_continued(tmp_path):
    items = stream(60, 3, 2)
    whole = ChunkMemory(3, 4, 5, 2, include_open=True)
    part = ChunkMemory(3, 4, 5, 2, include_open=True)
    for memory in (whole, part):
        memory.write(items[:5])
        memory.begin_episode([1])
    whole.write(items[5:])
    for t in range(5, 60):
        part.save(tmp_path / "part.nmem")
        loaded = neuromem.load(tmp_path / "part.nmem")
        assert_equal(loaded, part)
        loaded.write(items[t:])
        assert_equal(loaded, whole)
        part.append(items[t])
    assert_equal(part, whole)


def test_a_ring_that_is_full_drops_its_oldest_chunk_or_refuses():
    items = stream(100, 3)
    memory = ChunkMemory(3, 4, 5)
    memory.write(items[:20])
    assert memory.view().first_step.tolist() == [[0, 4, 8, 12, 16]] and memory.n_closed == 5
    memory.append(items[20])  # only now must one make way
    assert memory.view().first_step.tolist() == [[20, 4, 8, 12, 16]] and memory.view().visible.sum() == 4
    memory.write(items[21:])
    assert len(memory) == 20 and memory.n_steps == 100
    strict = ChunkMemory(3, 4, 5, on_full="error")
    strict.write(items[:18])
    before = strict.copy()
    with pytest.raises(CapacityError, match="keeps 5 of 5 chunks"):
        strict.write(items[:3])
    assert_equal(strict, before)
    strict.write(items[18:20])
    for call in (lambda: strict.append(items[0]), lambda: strict.write(items[:1])):
        with pytest.raises(CapacityError):
            call()
    assert len(strict) == 20
    strict.reset()
    strict.write(items[:20])


def test_lanes_are_independent_and_have_their_own_borders():
    items = stream(40, 3, 4)
    memory = ChunkMemory(3, 5, 10, 4)
    single = [ChunkMemory(3, 5, 10) for _ in range(4)]
    for start, lanes in ((0, [1]), (7, [0, 2]), (19, np.array([False, False, True, True])), (31, 3)):
        stop = {0: 7, 7: 19, 19: 31, 31: 40}[start]
        memory.write(items[start:stop])
        memory.flush(lanes)
        chosen = memory._lanes(lanes)
        for lane, one in enumerate(single):
            one.write(items[start:stop, lane])
            if chosen[lane]:
                one.flush()
    view = memory.view()
    for lane, one in enumerate(single):
        other = one.view()
        for name in ("summaries", "lengths", "first_step", "visible"):
            known = slice(0, other.n_slots)
            mine, wanted = getattr(view, name)[lane, known], getattr(other, name)[0]
            assert np.array_equal(mine[other.visible[0]], wanted[other.visible[0]])
    assert len({tuple(row) for row in view.first_step.tolist()}) == 4


def test_episodes():
    items = stream(30, 3)
    memory, within = ChunkMemory(3, 4), ChunkMemory(3, 4, across_episodes=False)
    for one in (memory, within):
        one.write(items[:10])
        assert one.view().visible.sum() == 2
        one.begin_episode()
    assert memory.view().visible.sum() == 3 and within.view().visible.sum() == 0
    for one in (memory, within):
        one.write(items[10:])
        one.flush()
        one.flush()
    assert memory.view().visible.sum() == 8 and memory.view().lengths[0].tolist() == [4, 4, 2, 4, 4, 4, 4, 4]
    assert within.view().visible[0].tolist() == [False] * 3 + [True] * 5
    within.reset()
    within.write(items[:4])
    assert within.view().visible.all() and within.view().first_step.tolist() == [[0]]


def test_the_open_chunk():
    items = stream(10, 3)
    closed, memory = ChunkMemory(3, 4), ChunkMemory(3, 4, include_open=True)
    for n, row in enumerate(items, 1):
        memory.append(row)
        closed.append(row)
        assert memory.view().visible.sum() == -(-n // 4) and closed.view().visible.sum() == n // 4
        assert np.array_equal(memory.summaries[0, (n - 1) // 4], mean(items[(n - 1) // 4 * 4 : n], np.float32))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_threads_make_no_difference(n_threads):
    items = stream(3000, 32, 40)
    assert chunk_ring.STEP_NS * items.size > chunk_ring.SERIAL_BELOW
    memory = ChunkMemory(32, 32, 20, 40)
    with neuromem.threads(n_threads):
        memory.write(items)
    pieces = ChunkMemory(32, 32, 20, 40)
    for start in range(0, 3000, 100):
        pieces.write(items[start : start + 100])
    assert_equal(memory, pieces)


# ---------------------------------------------------------------- size


def test_capacity_takes_no_memory_before_it_is_used():
    memory = ChunkMemory(128, 256, 1_000_000)  # 131 GB
    assert memory.nbytes == 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory.write(np.zeros((1000, 128), np.float32))
    view = memory.view()
    assert view.contents.shape == (1, 4, 256, 128)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000 * (1024 if sys.platform == "darwin" else 1)


def test_where_addresses_cannot_be_reserved_slots_are_doubled(monkeypatch):
    monkeypatch.setattr("neuromem.hcam.chunk_storage.reserved", lambda *arguments: None)
    items = stream(900, 3)
    doubled = ChunkMemory(3, 4, 150)
    doubled.write(items[:100])
    for row in items[100:]:
        doubled.append(row)
    monkeypatch.undo()
    memory = ChunkMemory(3, 4, 150)
    memory.write(items)
    assert_equal(doubled, memory)


@pytest.mark.parametrize("n", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_bytes_of_a_long_stream(n):
    memory = ChunkMemory(128, 256, 1_000_000)
    block = stream(1000, 128)
    for _ in range(n // 1000):
        memory.write(block)
    memory.flush()
    assert memory.n_steps == len(memory) == n
    raw = n * 128 * 4
    assert memory.nbytes <= 1.01 * raw + 256 * 512  # the last chunk is not full
    assert memory.nbytes == memory.estimate_nbytes(n)
    i = n // 256 // 2
    rows = np.arange(i * 256, i * 256 + 256) % 1000
    assert np.array_equal(memory.chunk(i), block[rows])
    assert np.array_equal(memory.summaries[0, i], mean(block[rows], np.float32))


@pytest.mark.parametrize("n_bytes", [3000, 20_000, 300_000, 5_000_000])
@pytest.mark.parametrize("width", [2, 64, 500])
def test_budgets_are_kept(n_bytes, width):
    if n_bytes == 3000 and width == 500:
        with pytest.raises(CapacityError, match="n_bytes=3000 holds no chunk"):
            ChunkMemory.for_budget(n_bytes, ItemSpec(width, "real"))
        return
    memory = ChunkMemory.for_budget(n_bytes, ItemSpec(width, "real"))
    memory.write(np.zeros((n_bytes // width // 3, width)))
    assert memory.nbytes <= n_bytes
    memory.read(np.ones((1, width)))
    assert 0.4 * n_bytes < memory.nbytes <= n_bytes and memory.n_closed > 1


def test_resetting_some_lanes_leaves_the_others():
    memory, naive = ChunkMemory(3, 4, 5, 3), Naive(3, 4, 5, 3)
    items = stream(30, 3, 3)
    for one in (memory, naive):
        one.write(items[:14])
        one.reset([1])
        one.write(items[14:])
    assert_same(memory, naive)
    assert memory.view().first_step[1, 0] == 14


# ---------------------------------------------------------------- reading through it


@pytest.mark.parametrize("seed", range(3))
def test_reads_with_and_without_groups_agree_while_the_ring_turns(seed):
    rng = np.random.default_rng(seed)
    memory = ChunkMemory(4, 2, 600)
    walk = np.cumsum(rng.standard_normal((4000, 4)), axis=0).astype(np.float32)
    cues = walk[rng.integers(0, 4000, 5)]
    at = 0
    while at < 4000:
        n = int(rng.integers(1, 500))
        memory.write(walk[at : at + n])
        at += n
        recall = memory.read(cues, k=2, n_chunks=3)
        fresh = read_steps(memory.view(), cues, k=2, n_chunks=3)
        assert np.array_equal(recall.ids, fresh.ids) and np.array_equal(recall.values, fresh.values)
    memory.reset()
    memory.write(walk[:1300])
    fresh = ChunkMemory(4, 2, 600)
    fresh.write(walk[:1300])
    assert np.array_equal(memory.read(cues, n_chunks=3).ids, fresh.read(cues, n_chunks=3).ids)


def test_recalls_the_steps_that_were_written():
    items = stream(500, 16)
    memory = ChunkMemory(16, 10)
    ids = memory.write(items)
    recall = memory.read(items, n_chunks=50)
    assert np.array_equal(recall.ids[:, 0], ids) and np.array_equal(recall.values[:, 0], items)
    known = np.arange(16) < 8
    assert np.array_equal(memory.complete(np.where(known, items, 0), known, n_chunks=50), items)
    assert (memory.familiarity(items, n_chunks=50) > 0.9999).all()


def test_reads_from_several_threads_bring_the_open_chunk_up_to_date_once():
    items = stream(500, 64)
    for n in range(60, 100):
        memory = ChunkMemory(64, 200, include_open=True)
        for row in items[:n]:
            memory.append(row)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda one: one.view().summaries[0, 0].copy(), [memory] * 8))
        assert all(np.array_equal(summary, mean(items[:n], np.float32)) for summary in found)


def test_version_counts_every_change():
    memory = ChunkMemory(2, 3)
    seen = [memory.view().version]
    for change in (
        lambda: memory.append(np.zeros(2)),
        lambda: memory.append(np.zeros(2, np.float32)),
        lambda: memory.write(np.zeros((2, 2))),
        memory.flush,
        memory.begin_episode,
        memory.reset,
    ):
        change()
        seen.append(memory.view().version)
    assert seen == sorted(set(seen))
    memory.write(np.zeros((0, 2)))
    memory.read(np.zeros((1, 2)))
    assert memory.view().version == seen[-1]
    assert isinstance(memory.view(), ChunkView)
