"""Networks of macs, step by step, each beside a rival that does the same work, in one run: a group is a row of the table.

The net of the Weizmann experiments sees pictures of a walker that are made here, about as dense as those of the clips.
Rivals: a step in NumPy that gathers rows of bytes and works on whole macs at once, and the dense float64 oracle of the tests.
"""

from functools import lru_cache

import numpy as np
import pytest

from neuromem import FieldGrid, SparseyContextMac, SparseyLayer, SparseyLevel, SparseyNetwork, SparseySequenceMemory
from neuromem.datasets import weizmann
from neuromem.errors import MissingDataError
from neuromem.sparsey import ActiveRows
from neuromem.sparsey.encode import change_maps, normalize_silhouettes, oriented_edges
from neuromem.sparsey.reference_network import ReferenceLevel, ReferenceNetwork

SIDE, MAPS, BEFORE, TIMED = 40, 14, 300, 100
GRIDS = [FieldGrid((SIDE, SIDE), (14, 14), (6, 6), MAPS), FieldGrid((SIDE, SIDE), (10, 10), (5, 5), MAPS)]
NAME = "74 macs of 14 x 14 and 10 x 10 pixels in 14 maps, Q 8, K 128"


@lru_cache(maxsize=1)
def walkers():
    """Maps of a figure with swinging arms and legs, from its edges and changes; uint8 (frames, 22400)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    n_clips, length = 10, (BEFORE + TIMED) // 10
    pictures = []
    for _ in range(n_clips):
        speed, size, start = rng.uniform(0.1, 0.3), rng.uniform(0.75, 1.0), rng.uniform(14, 20)
        for t in range(length):
            middle, swing = start + 0.1 * t, 3 * np.sin(speed * t)
            body = (((x - middle) / (3 * size)) ** 2 + ((y - 18) / (7 * size)) ** 2) < 1
            head = (x - middle) ** 2 + (y - 10) ** 2 < (2.5 * size) ** 2
            down = np.clip((y - 22) / 14, 0, 1)
            legs = (y > 22) & (y < 37)
            limbs = legs & ((abs(x - middle - swing * down) < 2) | (abs(x - middle + swing * down) < 2))
            arms = (abs(y - 15 - 0.3 * abs(x - middle)) < 1.5) & (abs(x - middle) < 5 + abs(swing) / 2)
            pictures.append(body | head | limbs | arms)
    grey = (np.array(pictures) * 255).astype(np.uint8)
    lengths = np.full(n_clips, length)
    return np.concatenate([oriented_edges(grey, 8, 40.0), change_maps(grey, lengths)], axis=1)


@lru_cache(maxsize=1)
def walker_net():
    """The net after some frames, and the frames that are timed."""
    level = SparseyLevel(
        8, 128, GRIDS, u_exponent=8.0, horizontal=False, activation_bounds=(3, None), saturation_limit=0.08, release=None
    )
    net = SparseyNetwork(SIDE * SIDE * MAPS, [level], random_state=0)
    frames = walkers()
    assert 200 < frames.sum(axis=1).mean() < 400
    net.write(frames[:BEFORE])
    return net, frames[BEFORE:]


class NumpyMacs:
    """One level of macs without H and D: bytes per weight, rows of active inputs summed, whole macs at once."""

    def __init__(self, fields, n_modules=8, units=128, exponent=8.0, saturation=0.08, least=3):
        self.fields, self.shape, self.exponent, self.least = fields, (n_modules, units), exponent, least
        self.weights = [np.zeros((len(field), n_modules * units), np.uint8) for field in fields]
        self.frozen = [np.zeros(n_modules * units, bool) for _ in fields]
        self.limits = [int(np.ceil(saturation * len(field))) for field in fields]
        self.rng = np.random.default_rng(0)

    def step(self, frame, learn):
        """Winners of every mac, None where it is silent."""
        found = []
        n_modules, units = self.shape
        first = np.arange(n_modules) * units
        for field, weights, frozen, limit in zip(self.fields, self.weights, self.frozen, self.limits, strict=True):
            rows = np.flatnonzero(frame[field])
            if len(rows) < self.least:
                found.append(None)
                continue
            share = weights[rows].sum(axis=0, dtype=np.int32).reshape(self.shape) / len(rows)
            v = share**self.exponent
            best = v.argmax(axis=1)
            winners = best
            if learn:
                familiarity = v[np.arange(n_modules), best].mean()
                eta = 1 + (max(0.0, familiarity - 0.1) / 0.9) ** 2 * 100 * units
                psi = 1 + (eta - 1) / (1 + 0.1 * np.exp(-4 * (v - 1))) ** 8
                upto = psi.cumsum(axis=1)
                winners = (upto < self.rng.random((n_modules, 1)) * upto[:, -1:]).sum(axis=1)
                cells = first + winners
                cells = cells[~frozen[cells]]
                weights[np.ix_(rows, cells)] = 1
                frozen[cells] = weights[:, cells].sum(axis=0, dtype=np.int32) >= limit
            found.append(winners)
        return found


@lru_cache(maxsize=1)
def numpy_macs():
    """The rival after the same frames."""
    macs = NumpyMacs([field for grid in GRIDS for field in grid.fields(SIDE * SIDE * MAPS)])
    for frame in walkers()[:BEFORE]:
        macs.step(frame, True)
    return macs


def test_walkers_learned(benchmark, one_thread):
    net, frames = walker_net()
    rows = ActiveRows.from_dense(frames)
    benchmark.group = f"learn a frame of a walker, {NAME}, one thread"
    benchmark.extra_info["items"] = len(frames)
    benchmark.pedantic(lambda fresh: fresh.write(rows), setup=lambda: ((net.copy(),), {}), rounds=15, warmup_rounds=1)


def test_walkers_learned_rival(benchmark, one_thread):
    _, frames = walker_net()
    macs = numpy_macs()
    benchmark.group = f"learn a frame of a walker, {NAME}, one thread"
    benchmark.extra_info.update(items=20, rival="NumPy, a mac at a time, rows of bytes")
    benchmark.pedantic(lambda: [macs.step(frame, True) for frame in frames[:20]], rounds=3)


def test_walkers_read(benchmark, one_thread):
    net, frames = walker_net()
    rows = ActiveRows.from_dense(frames)
    benchmark.group = f"read a frame of a walker, {NAME}, one thread"
    benchmark.extra_info["items"] = len(frames)
    benchmark(lambda: net.trace(rows))


def test_walkers_read_rival(benchmark, one_thread):
    _, frames = walker_net()
    macs = numpy_macs()
    benchmark.group = f"read a frame of a walker, {NAME}, one thread"
    benchmark.extra_info.update(items=20, rival="NumPy, a mac at a time, rows of bytes")
    benchmark.pedantic(lambda: [macs.step(frame, False) for frame in frames[:20]], rounds=3)


@lru_cache(maxsize=1)
def clips_and_mirrors():
    """Maps of all silhouettes of the Weizmann actions, each clip followed by its mirror image, as the experiment shows them."""
    try:
        clips = weizmann()
    except MissingDataError as error:
        pytest.skip(str(error))
    pictures = normalize_silhouettes(clips.frames, clips.length, (SIDE, SIDE))
    sides = []
    for side in (pictures, np.ascontiguousarray(pictures[:, :, ::-1])):
        sides.append(np.concatenate([oriented_edges(side, 8, 40.0), change_maps(side, clips.length)], axis=1))
    order = [f for c in range(len(clips.length)) for f in 2 * [slice(clips.start[c], clips.start[c] + clips.length[c])]]
    return ActiveRows.from_dense(np.concatenate([sides[i % 2][part] for i, part in enumerate(order)]))


@pytest.mark.parametrize("learn", [True, False], ids=["learn", "read"])
def test_clips(benchmark, one_thread, learn):
    """As two layers, which is how the experiment has the net."""
    shared = {"u_exponent": 8.0, "activation_bounds": (3, None), "saturation_limit": 0.08, "random_state": 0}
    rows = clips_and_mirrors()
    layers = [SparseyLayer((SIDE, SIDE), MAPS, (f, f), (step, step), 8, 128, **shared) for f, step in ((14, 6), (10, 5))]
    if not learn:
        for layer in layers:
            layer.present(rows, True, familiarity=False)

    def step():
        for layer in layers:
            if learn:
                layer.reset()
            layer.present(rows, learn, familiarity=False)

    benchmark.group = f"{'learn' if learn else 'read'} a frame of the Weizmann clips, two layers: {NAME}, one thread"
    benchmark.extra_info["items"] = len(rows)
    benchmark.pedantic(step, rounds=5, warmup_rounds=1)


# ---------------------------------------------------------------- three levels with H and D

DEEP = "three levels of 4, 2 and 1 macs with H and D, Q 16, K 24"
QUARTERS = FieldGrid((12, 12), (6, 6), (6, 6))
PAIRS = [[0, 1], [2, 3]]


def films(n):
    """Random frames of 12 x 12 pixels, about 40 of them active, which come again after 40 frames."""
    return (np.random.default_rng(1).random((40, 144)) < 0.28).astype(np.uint8)[np.arange(n) % 40]


def deep_net():
    levels = [
        SparseyLevel(16, 24, QUARTERS),
        SparseyLevel(16, 24, PAIRS, persistence=2),
        SparseyLevel(16, 24, persistence=4),
    ]
    return SparseyNetwork(144, levels, random_state=0)


def deep_oracle():
    fields = (QUARTERS.fields(144), [np.array(pair) for pair in PAIRS], [np.arange(2)])
    levels = [ReferenceLevel(16, 24, f, persistence=p, release=0.6) for f, p in zip(fields, (1, 2, 4), strict=True)]
    return ReferenceNetwork(144, levels, np.zeros(2, np.uint32))


def lived(oracle, frames, learn):
    """Every tenth frame begins an episode."""
    for t, frame in enumerate(frames):
        if t % 10 == 0:
            oracle.reset()
        oracle.step(frame.astype(bool), learn)
    return oracle


ORACLE = "the dense float64 oracle"


def test_deep_learned(benchmark, one_thread):
    rows = ActiveRows.from_dense(films(200))
    benchmark.group = f"learn a step, {DEEP}, one thread"
    benchmark.extra_info["items"] = len(rows)

    def fresh():
        net = deep_net()
        net.write(films(10), lengths=[10])
        net.saturation_warned_ = True
        return (net,), {}

    benchmark.pedantic(lambda net: net.write(rows, lengths=[10] * 20), setup=fresh, rounds=20, warmup_rounds=1)


def test_deep_learned_rival(benchmark, one_thread):
    frames = films(30)
    benchmark.group = f"learn a step, {DEEP}, one thread"
    benchmark.extra_info.update(items=len(frames), rival=ORACLE)
    benchmark.pedantic(lambda oracle: lived(oracle, frames, True), setup=lambda: ((deep_oracle(),), {}), rounds=3)


def test_deep_read(benchmark, one_thread):
    frames = films(200)
    net = deep_net()
    net.write(frames[:40], lengths=[10] * 4)
    rows = ActiveRows.from_dense(frames)
    benchmark.group = f"read a step, {DEEP}, one thread"
    benchmark.extra_info["items"] = len(rows)
    benchmark(lambda: net.trace(rows, [10] * 20))


def test_deep_read_rival(benchmark, one_thread):
    frames = films(30)
    oracle = lived(deep_oracle(), frames, True)
    benchmark.group = f"read a step, {DEEP}, one thread"
    benchmark.extra_info.update(items=len(frames), rival=ORACLE)
    benchmark.pedantic(lambda: lived(oracle, frames, False), rounds=3)


def test_deep_free_run(benchmark, one_thread):
    frames = films(40)
    net = deep_net()
    net.write(frames, lengths=[40])
    benchmark.group = f"run free for a step and show the frame, {DEEP}, one thread"
    benchmark.extra_info["items"] = 39
    benchmark(lambda: net.complete_sequence(frames[:1], 39))


def test_deep_free_run_rival(benchmark, one_thread):
    frames = films(40)
    oracle = deep_oracle()
    for frame in frames:
        oracle.step(frame.astype(bool), True)
    benchmark.group = f"run free for a step and show the frame, {DEEP}, one thread"
    benchmark.extra_info.update(items=39, rival=ORACLE)

    def run():
        oracle.reset()
        oracle.step(frames[0].astype(bool), False)
        for _ in range(39):
            oracle.step(None, False, True)
            scores = np.zeros(144)
            for mac, field in zip(oracle.macs[0], oracle.levels[0].fields, strict=True):
                scores[field] = mac.up[:, mac.code.ravel()].mean(axis=1)

    benchmark.pedantic(run, rounds=3)


# ---------------------------------------------------------------- one mac with H


class NumpySequence:
    """One mac with H in NumPy: bytes per weight, exponents 4 and 2, reads by both signals."""

    def __init__(self, n_inputs=144, n_modules=24, units=32):
        self.shape = (n_modules, units)
        self.up = np.zeros((n_inputs, n_modules * units), np.uint8)
        self.across = np.zeros((n_modules * units, n_modules * units), np.uint8)
        self.first = np.arange(n_modules) * units
        self.other = np.kron(~np.eye(n_modules, dtype=bool), np.ones((units, units), bool))
        self.code, self.rng = None, np.random.default_rng(0)

    def step(self, frame, learn):
        n_modules, units = self.shape
        rows, before = np.flatnonzero(frame), self.code
        v = (self.up[rows].sum(axis=0, dtype=np.int32) / len(rows)) ** 4
        if before is not None:
            v = v * (self.across[before].sum(axis=0, dtype=np.int32) / (n_modules - 1)) ** 2
        v = v.reshape(self.shape)
        best = v.argmax(axis=1)
        if not learn:
            self.code = self.first + best
            return
        familiarity = v[np.arange(n_modules), best].mean()
        eta = 1 + (max(0.0, familiarity - 0.1) / 0.9) ** 2 * 100 * units
        upto = (1 + (eta - 1) / (1 + 0.1 * np.exp(-4 * (v - 1))) ** 8).cumsum(axis=1)
        self.code = self.first + (upto < self.rng.random((n_modules, 1)) * upto[:, -1:]).sum(axis=1)
        self.up[np.ix_(rows, self.code)] = 1
        if before is not None:
            pairs = np.ix_(before, self.code)
            self.across[pairs] |= self.other[pairs]


def sparse_frames(n):
    return (np.random.default_rng(2).random((n, 144)) < 0.075).astype(np.uint8) | np.eye(144, dtype=np.uint8)[np.arange(n) % 144]


@pytest.mark.parametrize("learn", [True, False], ids=["learned", "read"])
def test_sequence(benchmark, one_thread, learn):
    rows = ActiveRows.from_dense(sparse_frames(200))
    memory = SparseySequenceMemory(144, backoff="none", random_state=0)
    memory.write(rows)
    benchmark.group = f"{'learn' if learn else 'read'} a frame of a sequence, one mac with H, Q 24, K 32, one thread"
    benchmark.extra_info["items"] = len(rows)
    if learn:
        benchmark.pedantic(
            lambda fresh: fresh.write(rows),
            setup=lambda: ((SparseySequenceMemory(144, backoff="none", random_state=0),), {}),
            rounds=20,
            warmup_rounds=1,
        )
    else:
        benchmark(lambda: memory.trace(rows))


@pytest.mark.parametrize("learn", [True, False], ids=["learned", "read"])
def test_sequence_rival(benchmark, one_thread, learn):
    frames = sparse_frames(200)
    benchmark.group = f"{'learn' if learn else 'read'} a frame of a sequence, one mac with H, Q 24, K 32, one thread"
    benchmark.extra_info.update(items=len(frames), rival="NumPy, rows of bytes")

    def prepared():
        memory = NumpySequence()
        if not learn:
            for frame in frames:
                memory.step(frame, True)
            memory.code = None
        return (memory,), {}

    benchmark.pedantic(lambda memory: [memory.step(frame, learn) for frame in frames], setup=prepared, rounds=5)


def test_given_context(benchmark, one_thread):
    rows = ActiveRows.from_dense(sparse_frames(200))
    own = np.random.default_rng(3).integers(0, 32, (200, 24))
    memory = SparseyContextMac(144, random_state=0)
    memory.write(rows, horizontal=own)
    benchmark.group = "read an item with a given context, one mac, Q 24, K 32, one thread"
    benchmark.extra_info["items"] = len(rows)
    benchmark(lambda: memory.trace(rows, horizontal=own))


def test_given_context_rival(benchmark, one_thread):
    frames = sparse_frames(200)
    own = np.random.default_rng(3).integers(0, 32, (200, 24))
    memory = NumpySequence()
    cells = memory.first + own
    for frame, before in zip(frames, cells, strict=True):
        memory.code = before
        memory.step(frame, True)
    benchmark.group = "read an item with a given context, one mac, Q 24, K 32, one thread"
    benchmark.extra_info.update(items=len(frames), rival="NumPy, rows of bytes")

    def read():
        for frame, before in zip(frames, cells, strict=True):
            memory.code = before
            memory.step(frame, False)

    benchmark.pedantic(read, rounds=5)
