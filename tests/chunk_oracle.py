"""A chunk memory of lists, slow and plain, and what it means for two memories to be the same."""

import numpy as np

from neuromem import ChunkMemory

WIDTH, SIZE, CAPACITY = 6, 4, 6  # of the memories that make() makes


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


def numbered(n, lanes=1, start=0, width=WIDTH):
    """Steps that tell their own number; row t is the same however long the stream is."""
    t = np.arange(start, start + n, dtype=np.float64)[:, None, None]
    values = np.sin(t * (np.arange(width) + 1) + np.arange(lanes)[:, None])
    values[..., 0] = t[..., 0]
    return (values if lanes > 1 else values[:, 0]).astype(np.float32)


def assert_same_view(a, b):
    """The same to those who read, however many slots there are."""
    v, w = a.view(), b.view()
    m = min(v.n_slots, w.n_slots)
    for view in (v, w):  # slots of lanes are allocated in another number
        assert not view.lengths[:, m:].any() and not view.visible[:, m:].any() and (view.first_step[:, m:] == -1).all()
    for name in ("lengths", "first_step", "visible"):
        assert np.array_equal(getattr(v, name)[:, :m], getattr(w, name)[:, :m]), name
    assert np.array_equal(v.summaries[:, :m][v.visible[:, :m]], w.summaries[:, :m][w.visible[:, :m]])
    filled = np.arange(v.chunk_size) < v.lengths[:, :m, None]
    assert np.array_equal(v.contents[:, :m][filled], w.contents[:, :m][filled])
    assert a.n_steps == b.n_steps and len(a) == len(b)


def make(storage="ram", lanes=1, capacity=CAPACITY, **settings):
    return ChunkMemory(WIDTH, SIZE, capacity, lanes, storage=storage, **settings)
