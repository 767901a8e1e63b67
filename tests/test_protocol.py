"""The memory protocol, kept by every memory of the library."""

import pickle
import types

import numpy as np
import pytest

import neuromem
from neuromem import (
    BackendError,
    BidirectionalAssociativeMemory,
    ChunkMemory,
    DenseAssociativeMemory,
    ExactStore,
    FieldGrid,
    HopfieldNetwork,
    InputError,
    ItemSpec,
    Memory,
    ModernHopfield,
    SparseDistributedMemory,
    SparseyContextMac,
    SparseyLayer,
    SparseyLevel,
    SparseyMac,
    SparseyNetwork,
    SparseySequenceMemory,
    WillshawMemory,
    capabilities,
)
from neuromem.hopfield import MultitaskingHebbian
from neuromem.retention import ActivationMemory, ContextualDelta, FIFOBuffer, LinearAssociator, ReservoirBuffer, TwoStore

WIDTH = 64


def network():
    """Macs on a grid under one that sees them all and lasts longer."""
    levels = [
        SparseyLevel(4, 16, FieldGrid((8, 8), (4, 4), (2, 2)), saturation_limit=0.25),
        SparseyLevel(4, 16, persistence=3, saturation_limit=0.25),
    ]
    return SparseyNetwork(WIDTH, levels, random_state=0)


MEMORIES = {
    "exact": lambda: ExactStore(WIDTH),
    "mac": lambda: SparseyMac(WIDTH, 8, 16, random_state=0),
    "mac, large modules": lambda: SparseyMac(WIDTH, 3, 300, random_state=0, keep_codes=True),
    "mac, permanence": lambda: SparseyMac(WIDTH, 8, 16, decay="permanence", random_state=0),
    "mac, convex": lambda: SparseyMac(WIDTH, 4, 8, decay="convex", random_state=0),
    "hebbian": lambda: MultitaskingHebbian(WIDTH, random_state=0),
    "hebbian, examples": lambda: MultitaskingHebbian(WIDTH, 4, "unsupervised", 0.5, random_state=0),
    "hopfield": lambda: HopfieldNetwork(WIDTH),
    "hopfield, hebb": lambda: HopfieldNetwork(WIDTH, "hebb", order="permutation", random_state=0),
    "hopfield, storkey": lambda: HopfieldNetwork(WIDTH, "storkey"),
    "hopfield, projection": lambda: HopfieldNetwork(WIDTH, "projection", rcond=1e-9),
    "dense": lambda: DenseAssociativeMemory(WIDTH),
    "dense, serial": lambda: DenseAssociativeMemory(
        WIDTH, "polynomial", update="serial", order="permutation", capacity=100, on_full="oldest", random_state=0
    ),
    "modern": lambda: ModernHopfield(WIDTH),
    "modern, entmax": lambda: ModernHopfield(WIDTH, "entmax", similarity="dot", inverse_temperature=2.0),
    "bidirectional": lambda: BidirectionalAssociativeMemory(WIDTH),
    "bidirectional, correlation": lambda: BidirectionalAssociativeMemory(WIDTH, "correlation"),
    "willshaw": lambda: WillshawMemory(WIDTH),
    "sparse distributed": lambda: SparseDistributedMemory(WIDTH, 500, max_steps=1, random_state=0),
    "chunks": lambda: ChunkMemory(WIDTH, 8, 100),
    "chunks, open, ring": lambda: ChunkMemory(WIDTH, 4, 12, include_open=True, dtype="float64"),
    "linear associator": lambda: LinearAssociator(WIDTH, decay=0.01),
    "linear associator, keys": lambda: LinearAssociator(WIDTH, n_key=24),
    "contextual delta": lambda: ContextualDelta(WIDTH, random_state=0),
    "activation": lambda: ActivationMemory(WIDTH, random_state=0),
    "activation, ring": lambda: ActivationMemory(WIDTH, 45, "oldest", random_state=0),
    "two stores": lambda: TwoStore(WIDTH, random_state=0),
    "two stores, ring": lambda: TwoStore(WIDTH, 45, "oldest", random_state=0),
    "fifo": lambda: FIFOBuffer(WIDTH, 45),
    "reservoir": lambda: ReservoirBuffer(WIDTH, 45, random_state=0),
    "layer": lambda: SparseyLayer((8, 8), 1, (4, 4), (2, 2), 4, 16, random_state=0),
    "network": network,
    "sequences": lambda: SparseySequenceMemory(WIDTH, 8, 16, saturation_limit=0.25, random_state=0),
    "context": lambda: SparseyContextMac(WIDTH, 8, 16, n_parents=2, saturation_limit=0.25, random_state=0),
    "layer, patches": lambda: SparseyLayer((8, 8), 1, (4, 4), (2, 2), 4, 16, winners="uniform", random_state=0),
}


@pytest.fixture(params=MEMORIES)
def make(request):
    return MEMORIES[request.param]


def binary_items(seed, n=20):
    return (np.random.default_rng(seed).random((n, WIDTH)) < 0.15).astype(np.uint8)


def signed_items(seed, n=20, density=1.0):
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([-1, 1], np.int8), (n, WIDTH)) * (rng.random((n, WIDTH)) < density)


ITEMS = {
    "binary": binary_items,
    "real": binary_items,
    "sign": signed_items,
    "ternary": lambda seed, n=20: signed_items(seed, n, 0.6),
}


@pytest.fixture
def items_of(make):
    """Makes items of the kind that the memory takes."""
    return ITEMS[make().item_spec.kind]


def same_state(a, b):
    a, b = a.get_state(), b.get_state()
    assert a["scalars"] == b["scalars"] and a["params"] == b["params"] and set(a["arrays"]) == set(b["arrays"])
    for name in a["arrays"]:
        assert np.array_equal(a["arrays"][name], b["arrays"][name]), name


def test_has_every_verb(make, items_of):
    memory = make()
    assert isinstance(memory, Memory) and len(memory) == 0
    assert {"read", "familiarity", "complete"} <= capabilities(memory)
    ids = memory.write(items_of(0))
    assert ids.dtype == np.int64 and ids.tolist() == list(range(20)) and len(memory) == 20
    assert memory.write(items_of(1)).tolist() == list(range(20, 40))
    assert memory.nbytes > 0 and memory.item_spec.n_features == WIDTH
    memory.reset()
    assert len(memory) == 0
    memory.write(items_of(0))
    fresh = make()
    fresh.write(items_of(0))
    same_state(memory, fresh)


def test_shapes_and_types_of_reads(make, items_of):
    memory = make()
    memory.write(items_of(0))
    for k in (1, 3):
        recall = memory.read(items_of(2, 5), k=k)
        assert recall.values.shape == (5, k, WIDTH) and recall.ids.shape == recall.scores.shape == (5, k)
        assert recall.ids.dtype == np.int64 and recall.scores.dtype == np.float32
    assert memory.familiarity(items_of(2, 5)).dtype == np.float32
    completed = memory.complete(items_of(0), np.arange(WIDTH) < 32)
    assert completed.shape == (20, WIDTH) and np.array_equal(completed[:, :32], items_of(0)[:, :32])


def test_reads_change_nothing(make, items_of):
    memory = make()
    memory.write(items_of(0))
    before = memory.copy()
    memory.read(items_of(1))
    memory.familiarity(items_of(1))
    memory.complete(items_of(1), np.ones(WIDTH, bool))
    same_state(memory, before)


def test_reads_before_any_write_are_allowed(make, items_of):
    memory = make()
    assert memory.read(items_of(1, 2)).scores.shape == (2, 1)
    assert memory.familiarity(items_of(1, 2)).shape == (2,)
    assert len(memory) == 0


@pytest.mark.parametrize("size", [1, 7, 256])
def test_chunks_make_no_difference(make, items_of, size):
    whole, parts = make(), make()
    items = items_of(3, 60)
    whole.write(items)
    for start in range(0, len(items), size):
        parts.write(items[start : start + size])
    parts.write(items[:0])
    same_state(whole, parts)


def test_threads_make_no_difference(make, items_of):
    states = []
    items = items_of(4, 600)
    for n in (1, 2):
        with neuromem.threads(n):
            memory = make()
            memory.write(items)
            states.append((memory, memory.read(items)))
    same_state(states[0][0], states[1][0])
    assert np.array_equal(states[0][1].values, states[1][1].values)
    assert np.array_equal(states[0][1].scores, states[1][1].scores)


def test_saved_in_mid_stream_and_continued(make, items_of, tmp_path):
    whole, part = make(), make()
    items = items_of(5, 50)
    whole.write(items)
    part.write(items[:23])
    part.save(tmp_path / "memory.nmem")
    loaded = neuromem.load(tmp_path / "memory.nmem")
    assert type(loaded) is type(part)
    same_state(loaded, part)
    for memory in (loaded, pickle.loads(pickle.dumps(part)), part.copy()):
        memory.write(items[23:])
        same_state(memory, whole)


def test_an_empty_memory_can_be_saved(make, items_of, tmp_path):
    make().save(tmp_path / "empty.nmem")
    loaded = neuromem.load(tmp_path / "empty.nmem")
    assert len(loaded) == 0
    loaded.write(items_of(0))
    fresh = make()
    fresh.write(items_of(0))
    same_state(loaded, fresh)


def test_a_memory_of_the_cpu_refuses_items_on_a_gpu(make, items_of):
    memory = make()
    if memory._ON_GPU:
        return  # it takes them: tests of its own
    memory.write(items_of(0))
    there = type("ndarray", (), {"__module__": "cupy", "device": types.SimpleNamespace(id=0)})()
    before = memory.copy()
    for call in (memory.write, memory.read, memory.familiarity, lambda cues: memory.complete(cues, np.ones(WIDTH, bool))):
        with pytest.raises(BackendError, match="CPU"):
            call(there)
    same_state(memory, before)


def test_hostile_items(make, items_of):
    memory = make()
    memory.write(items_of(0))
    before = memory.copy()
    wrong = [np.zeros(WIDTH), np.zeros((2, WIDTH + 1)), np.full((2, WIDTH), np.nan), np.full((2, WIDTH), np.inf)]
    for bad in (*wrong, np.zeros((2, WIDTH), complex), [["a"] * WIDTH]):
        for verb in (memory.write, memory.read, memory.familiarity):
            with pytest.raises(InputError):
                verb(bad)
    with pytest.raises(InputError, match="known has shape"):
        memory.complete(items_of(0), np.ones(3, bool))
    with pytest.raises(InputError, match="k is 0"):
        memory.read(items_of(0), k=0)
    same_state(memory, before)


def test_lists_read_only_and_strided_items_are_fine(make, items_of):
    items = items_of(6)
    frozen = items.copy()
    frozen.setflags(write=False)
    wide = np.zeros((20, 2 * WIDTH), np.int64)
    wide[:, ::2] = items
    states = []
    as_bool = [items.astype(bool)] if items.min() >= 0 else []
    for given in (items, frozen, wide[:, ::2], items.tolist(), items.astype(float), *as_bool):
        memory = make()
        memory.write(given)
        states.append(memory)
    for other in states[1:]:
        same_state(states[0], other)


@pytest.mark.parametrize("cls", [ExactStore, SparseyMac, SparseyLayer])
@pytest.mark.parametrize("n_bytes", [20_000, 300_000])
def test_budgets_are_kept(cls, n_bytes):
    memory = cls.for_budget(n_bytes, ItemSpec(WIDTH, "binary", 0.1), random_state=0)
    memory.write(binary_items(7, 200))
    assert 0.5 * min(n_bytes, 200 * 272) < memory.nbytes <= n_bytes
    with pytest.raises(neuromem.CapacityError, match="n_bytes=10"):
        cls.for_budget(10, ItemSpec(WIDTH, "binary", 0.1))


def test_exact_store_evicts_or_refuses_by_its_rule():
    store = ExactStore(2, capacity=3)
    store.write([[0, 0], [1, 1]], [5, 6])
    with pytest.raises(neuromem.CapacityError, match="capacity is 3"):
        store.write([[2, 2], [3, 3]], [7, 8])
    assert len(store) == 2
    ring = ExactStore(2, capacity=3, on_full="oldest")
    ring.write(np.arange(10).reshape(5, 2))
    assert ring.ids_.tolist() == [2, 3, 4]
    assert ring.read([[8.1, 9]]).ids.tolist() == [[4]]
    assert ring.forget([3, 99]) == 1 and ring.ids_.tolist() == [2, 4]


def test_state_of_another_class_is_refused_and_nothing_changes():
    memory, other = MEMORIES["mac"](), MEMORIES["layer"]()
    memory.write(binary_items(0))
    other.write(binary_items(0))
    before = memory.copy()
    state = memory.get_state()
    state["arrays"]["n_weights_"] = state["arrays"]["n_weights_"] + 1
    for bad in (other.get_state(), state, {}, {**memory.get_state(), "scalars": {}}):
        with pytest.raises(neuromem.FormatError):
            memory.set_state(bad)
    same_state(memory, before)
