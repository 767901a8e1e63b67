"""Writing to the chunk memory, against a naive one that keeps lists; shapes, borders, lanes, episodes, files."""

import pickle
import resource
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neuromem
from neuromem import CapacityError, ChunkMemory, FormatError, InputError, InputTypeError, ItemSpec
from neuromem.hcam import ChunkView, chunk_ring
from neuromem.hcam.reading import read_steps


def stream(n, width=5, lanes=1, seed=0, dtype=np.float32):
    shape = (n, width) if lanes == 1 else (n, lanes, width)
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


class Naive:
    """Lists of steps; one lane after the other."""

    def __init__(self, width, size, capacity, lanes=1, dtype=np.float32):
        self.width, self.size, self.capacity, self.lanes, self.dtype = width, size, capacity, lanes, dtype
        self.step = 0
        self.empty(range(lanes))
        self.episode = [0] * lanes

    def empty(self, lanes):
        self.chunks = getattr(self, "chunks", [None] * self.lanes)
        self.opened = getattr(self, "opened", [0] * self.lanes)
        for lane in lanes:
            self.chunks[lane], self.opened[lane] = [], 0

    def write(self, items):
        for row in items:
            for lane, step in enumerate(row.reshape(self.lanes, self.width)):
                kept = self.chunks[lane]
                if not kept or kept[-1]["closed"]:
                    slot = self.opened[lane] % self.capacity
                    self.opened[lane] += 1
                    kept.append({"slot": slot, "first": self.step, "episode": self.episode[lane], "steps": [], "closed": False})
                    del kept[: -self.capacity]
                kept[-1]["steps"].append(step.astype(self.dtype))
                kept[-1]["closed"] = len(kept[-1]["steps"]) == self.size
            self.step += 1

    def flush(self, lanes):
        for lane in lanes:
            if self.chunks[lane]:
                self.chunks[lane][-1]["closed"] = True

    def begin_episode(self, lanes):
        self.flush(lanes)
        for lane in lanes:
            self.episode[lane] += 1

    def reset(self, lanes):
        self.empty(lanes)
        if len(lanes) == self.lanes:
            self.step, self.episode = 0, [0] * self.lanes


def mean(steps, dtype):
    """Summed in float64, one step after the other."""
    total = np.zeros(len(steps[0]))
    for step in steps:
        total = total + step.astype(np.float64)
    return (total / len(steps)).astype(dtype)


def assert_same(memory, naive):
    view = memory.view()
    seen = np.zeros(view.lengths.shape, bool)
    assert memory.n_steps == naive.step
    assert len(memory) == sum(len(c["steps"]) for kept in naive.chunks for c in kept)
    assert memory.n_closed == sum(c["closed"] for kept in naive.chunks for c in kept)
    for lane, kept in enumerate(naive.chunks):
        for chunk in kept:
            slot, n = chunk["slot"], len(chunk["steps"])
            seen[lane, slot] = True
            assert view.lengths[lane, slot] == n and view.first_step[lane, slot] == chunk["first"]
            assert np.array_equal(view.contents[lane, slot, :n], chunk["steps"])
            assert np.array_equal(memory.chunk(slot, lane), chunk["steps"])
            shown = chunk["closed"] or memory.include_open
            shown &= memory.across_episodes or chunk["episode"] == naive.episode[lane]
            assert view.visible[lane, slot] == shown
            if shown:
                assert np.array_equal(view.summaries[lane, slot], mean(chunk["steps"], naive.dtype))
    assert not view.visible[~seen].any() and not view.lengths[~seen].any() and (view.first_step[~seen] == -1).all()
    for array in (view.contents, view.summaries, view.lengths, view.first_step, view.visible):
        assert not array.flags.writeable and array.flags.c_contiguous
    assert view.contents.dtype == view.summaries.dtype == naive.dtype
    assert (view.lengths.dtype, view.first_step.dtype, view.visible.dtype) == (np.int32, np.int64, bool)


def assert_equal(a, b):
    """The same state, slots included."""
    x, y = a.get_state(), b.get_state()
    assert x["scalars"] == y["scalars"] and set(x["arrays"]) == set(y["arrays"])
    for name in x["arrays"]:
        assert np.array_equal(x["arrays"][name], y["arrays"][name], equal_nan=x["arrays"][name].dtype.kind == "f"), name
    v, w = a.view(), b.view()
    for name in ("lengths", "first_step", "visible"):
        assert np.array_equal(getattr(v, name), getattr(w, name)), name
    assert np.array_equal(v.summaries[v.visible], w.summaries[v.visible])
    filled = np.arange(v.chunk_size) < v.lengths[..., None]
    assert np.array_equal(v.contents[filled], w.contents[filled])


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


# ---------------------------------------------------------------- bad input


def bad_items(lanes):
    tail = (lanes, 3) if lanes > 1 else (3,)
    good = np.zeros((2, *tail))
    yield good[..., :2], InputError, "is expecting"
    yield good[0], InputError, "append"
    yield np.zeros(()), InputError, "shape"
    yield np.zeros((2, 2, 2, 2)), InputError, "is expecting"
    yield np.where(good == 0, np.nan, 0), InputError, "NaN"
    yield np.where(good == 0, -np.inf, 0), InputError, "infinity"
    yield good + 1e39, InputError, "infinity .*float32"
    yield good.astype(object), InputTypeError, "objects"
    yield good.astype(complex), InputError, "[Cc]omplex"
    yield np.full(good.shape, "a"), InputError, "not numeric"


@pytest.mark.parametrize("lanes", [1, 2])
def test_bad_items_change_nothing(lanes):
    memory = ChunkMemory(3, 4, 5, lanes)
    memory.write(stream(10, 3, lanes))
    before, version = memory.copy(), memory.view().version
    for bad, error, words in bad_items(lanes):
        with pytest.raises(error, match=words):
            memory.write(bad)
        if words != "append":
            with pytest.raises((InputError, InputTypeError)):
                memory.append(bad)
    one = np.zeros((lanes, 3) if lanes > 1 else 3, np.float32)
    for value in (np.nan, np.inf):
        row = one.copy()
        row[..., -1] = value
        with pytest.raises(InputError, match="NaN or infinity"):
            memory.append(row)
    for call in (lambda: memory.write(one[None], [1]), lambda: memory.write(one[None], tags=["a"])):
        with pytest.raises(InputError, match="steps only"):
            call()
    assert_equal(memory, before)
    assert memory.view().version == version


@pytest.mark.filterwarnings("error")
def test_large_numbers_and_unchecked_ones():
    memory = ChunkMemory(2, 2)
    memory.append(np.full(2, 3e38, np.float32))
    memory.append(np.full(2, -3e38, np.float32))
    assert memory.summaries[0, 0].tolist() == [0, 0]
    free = ChunkMemory(2, 2, check_finite=False)
    free.append(np.array([np.nan, 1], np.float32))
    free.write([[np.inf, 2.0]])
    assert np.isnan(free.summaries[0, 0, 0]) and free.summaries[0, 0, 1] == 1.5
    assert np.isnan(free.copy().chunk(0)[0, 0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_features", 0),
        ("chunk_size", 0),
        ("capacity", 0),
        ("capacity", 2**50),
        ("n_lanes", 0),
        ("n_chunks", 0),
        ("flush_every", 0),
        ("chunk_size", 1.5),
        ("dtype", "float16"),
        ("on_full", "newest"),
        ("include_open", "yes"),
        ("across_episodes", 1),
        ("check_finite", None),
        ("storage", None),
        ("storage", ""),
    ],
)
def test_parameters_out_of_range(name, value):
    memory = ChunkMemory(**{"n_features": 3, name: value})
    for call in (lambda: memory.write(np.zeros((1, 3))), lambda: memory.append(np.zeros(3)), memory.view):
        with pytest.raises((InputError, InputTypeError), match=name):
            call()


def test_lanes_and_chunks_that_are_not_there():
    memory = ChunkMemory(3, 4, 5, 2)
    memory.write(stream(10, 3, 2))
    for verb in (memory.flush, memory.reset, memory.begin_episode):
        for lanes in (2, -1, [0, 5], np.array([True]), np.array([True, False, True])):
            with pytest.raises(InputError, match="lanes"):
                verb(lanes)
        with pytest.raises(InputTypeError, match="lanes"):
            verb(1.5)
        with pytest.raises(InputTypeError, match="lanes"):
            verb("0")
    for i, lane in ((4, 0), (99, 0), (-1, 0), (0, 2)):
        with pytest.raises(InputError):
            memory.chunk(i, lane)
    with pytest.raises(InputError, match="lane"):
        memory.read(np.zeros((1, 3)), lane=2)


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


# ---------------------------------------------------------------- forged state


def tampered(change):
    memory = ChunkMemory(3, 4, 5, 2)
    memory.write(stream(30, 3, 2))
    memory.flush(1)
    memory.write(stream(3, 3, 2))
    state = memory.get_state()
    change(state)
    return memory, state


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["scalars"].update(step_=-1),
        lambda s: s["scalars"].update(step_="3"),
        lambda s: s["scalars"].update(step_=12),
        lambda s: s["scalars"].clear(),
        lambda s: s["arrays"].pop("chunks_"),
        lambda s: s["arrays"].update(steps_=s["arrays"]["steps_"][:-1]),
        lambda s: s["arrays"].update(steps_=s["arrays"]["steps_"].astype(np.float64)),
        lambda s: s["arrays"].update(steps_=s["arrays"]["steps_"] * np.nan),
        lambda s: s["arrays"].update(chunks_=s["arrays"]["chunks_"][:-1]),
        lambda s: s["arrays"].update(chunks_=s["arrays"]["chunks_"][:, :2]),
        lambda s: s["arrays"]["chunks_"].__setitem__((0, 0), 5),
        lambda s: s["arrays"]["chunks_"].__setitem__((0, 0), 0),
        lambda s: s["arrays"]["chunks_"].__setitem__((0, 1), 99),
        lambda s: s["arrays"]["chunks_"].__setitem__((0, 2), 7),
        lambda s: s["arrays"]["chunks_"].__setitem__((-1, 1), 3),
        lambda s: s["arrays"]["counts_"].__setitem__((0, 0), 2**60),
        lambda s: s["arrays"]["counts_"].__setitem__((1, 0), -1),
        lambda s: s["arrays"]["counts_"].__setitem__((2, 0), 9),
        lambda s: s["arrays"]["counts_"].__setitem__((3, 1), -1),
        lambda s: s["params"].update(storage="/tmp/elsewhere"),
        lambda s: s["params"].update(capacity=2),
        lambda s: s["params"].update(n_lanes=1),
    ],
)
def test_forged_states_are_refused_and_nothing_changes(change):
    memory, state = tampered(change)
    before = memory.copy()
    with pytest.raises(FormatError):
        memory.set_state(state)
    assert_equal(memory, before)
