"""Networks of macs on a GPU: to the bit what they are on the CPU, on the stand-in for CuPy and on a GPU where there is one."""

import pickle

import numpy as np
import pytest
from fake_cupy import fake_gpu, same
from test_gpu_sparsey import assert_same_state

import neuromem
from neuromem import BackendError, InputError
from neuromem.backend import Backend, backend_of
from neuromem.gpu import sparsey as twins
from neuromem.sparsey import ActiveRows, FieldGrid, SparseyLevel, SparseyNetwork, SparseySequenceMemory, network_memory

WIDTH, SCALARS = 36, 2  # a transfer of more items than this is one of an array
QUARTERS = FieldGrid((6, 6), (4, 4), (2, 2))
LENGTHS = [5, 1, 6, 4]


def two_levels(**settings):
    levels = [SparseyLevel(4, 6, QUARTERS, activation_bounds=(1, 9)), SparseyLevel(3, 40, persistence=2)]
    return SparseyNetwork(WIDTH, levels, random_state=1, **settings)


MEMORIES = {
    "one mac": lambda: SparseySequenceMemory(WIDTH, 5, 8, random_state=0),
    "one slow mac": lambda: SparseySequenceMemory(WIDTH, 3, 70, persistence=3, hypotheses="boost", random_state=0),
    "two levels, from above too": two_levels,
    "two levels, many hypotheses": lambda: two_levels(hypotheses="discount", hypothesis_threshold=0.3, backoff="absolute"),
    "two levels, nothing from above": lambda: SparseyNetwork(
        WIDTH,
        [SparseyLevel(4, 6, QUARTERS, top_down=False), SparseyLevel(3, 9, persistence=2, critical_period=12)],
        upper_input="argmax",
        learn_context="always",
        transfer="logistic",
        random_state=1,
    ),
}


@pytest.fixture(params=["stand-in", pytest.param("device", marks=pytest.mark.gpu)])
def cupy(request):
    """The stand-in, and the real one."""
    if request.param == "stand-in":
        return request.getfixturevalue("fake")
    return pytest.importorskip("cupy")


@pytest.fixture
def fake(monkeypatch, gxx):
    """The stand-in: two GPUs."""
    monkeypatch.setattr(twins, "NETWORK_WARPS", 1)  # threads cost time here; the kernels' own tests have them all
    with fake_gpu(monkeypatch) as module:
        yield module


@pytest.fixture(params=MEMORIES)
def make(request):
    return MEMORIES[request.param]


def frames(seed=0, n=16):
    """Frames of which some return."""
    rng = np.random.default_rng(seed)
    return (rng.random((9, WIDTH)) < 0.2)[rng.integers(0, 9, n)].astype(np.uint8)


def same_trace(found, wanted):
    names = ("codes", "recalled", "ages", "familiarity", "versions")
    return all(same(f, w) for name in names for f, w in zip(getattr(found, name), getattr(wanted, name), strict=True))


# ---------------------------------------------------------------- the same bits


def test_every_verb_is_the_same_to_the_bit(cupy, make):
    X, here, there = frames(), make(), make()
    device = cupy.asarray(X)
    assert same(there.familiarity(device), here.familiarity(X))  # nothing is learned yet
    assert same(there.write(device, lengths=LENGTHS), here.write(X, lengths=LENGTHS))
    assert same_trace(there.present(device[:7], True), here.present(X[:7], True))
    assert same_trace(there.present(device[7:9], False), here.present(X[7:9], False))
    assert_same_state(there.get_state(), here.get_state())
    assert there.nbytes == here.nbytes and len(there) == len(here)
    assert same_trace(there.trace(device), here.trace(X))
    assert same_trace(there.trace(device, lengths=cupy.asarray(np.array(LENGTHS))), here.trace(X, lengths=LENGTHS))
    found, wanted = there.read(device, k=2), here.read(X, k=2)
    assert same(found.values, wanted.values) and same(found.ids, wanted.ids) and set(found.info) == set(wanted.info)
    assert all(same(found.info[name], codes) for name, codes in wanted.info.items())
    np.testing.assert_allclose(found.scores.get(), wanted.scores, rtol=1e-6)
    np.testing.assert_allclose(there.familiarity(device).get(), here.familiarity(X), rtol=1e-6)
    known = np.arange(WIDTH) < 25
    for mask in (known, cupy.asarray(known)):
        assert same(there.complete(device, mask), here.complete(X, known))
    codes = here.trace(X).codes[0]
    assert same(there.reconstruct(cupy.asarray(codes)), here.reconstruct(codes))
    for mine, theirs in zip(there.saturation(), here.saturation(), strict=True):
        assert all(np.array_equal(mine[name], share, equal_nan=True) for name, share in theirs.items())
    there.begin_episode()
    here.begin_episode()
    assert_same_state(there.get_state(), here.get_state())


def test_a_network_runs_free_on_the_device(cupy, make):
    X, here, there = frames(3), make(), make()
    there.write(cupy.asarray(X), lengths=[16])
    here.write(X, lengths=[16])
    for n_prompt in (0, 2):
        found, wanted = there.complete_sequence(cupy.asarray(X[:n_prompt]), 8), here.complete_sequence(X[:n_prompt], 8)
        assert same(found.frames, wanted.frames) and same_trace(found.trace, wanted.trace)
        np.testing.assert_allclose(found.support.get(), wanted.support, rtol=1e-12)
    stopped = there.complete_sequence(cupy.asarray(X[:2]), 8, stop_below=1.0)
    assert same(stopped.frames, here.complete_sequence(X[:2], 8, stop_below=1.0).frames)


@pytest.mark.parametrize("readout", ["counts", "delta"])
def test_labels_of_sequences_are_learned_and_read_on_the_device(cupy, readout):
    X, settings = frames(4), {"n_classes": 3, "readout": readout, "random_state": 0}
    here, there = (SparseySequenceMemory(WIDTH, 5, 8, **settings) for _ in range(2))
    there.write(cupy.asarray(X), cupy.asarray(np.array([0, 2, 1, 0])), lengths=LENGTHS)
    here.write(X, [0, 2, 1, 0], lengths=LENGTHS)
    assert_same_state(there.get_state(), here.get_state())
    device = cupy.asarray(X)
    np.testing.assert_allclose(
        there.class_scores(device, lengths=LENGTHS).get(), here.class_scores(X, lengths=LENGTHS), rtol=1e-12
    )
    assert same(there.predict(device, lengths=LENGTHS), here.predict(X, lengths=LENGTHS))
    assert same(there.predict(device), here.predict(X)) and same(there.predict(device[:0]), here.predict(X[:0]))
    assert same(there.to("cpu").predict(X, lengths=LENGTHS), here.predict(X, lengths=LENGTHS))


def test_chunks_make_no_difference_on_the_device(cupy, make, monkeypatch):
    X, whole, parts = frames(5), make(), make()
    trace = whole.present(cupy.asarray(X), True)
    monkeypatch.setattr(network_memory, "CHUNK_BYTES", 5000)
    found = parts.present(cupy.asarray(X), True)
    assert all(same(a, b.get()) for a, b in zip(found.codes, trace.codes, strict=True))
    assert_same_state(parts.get_state(), whole.get_state())


# ---------------------------------------------------------------- no round trip


@pytest.mark.filterwarnings("ignore::neuromem.SaturationWarning")
@pytest.mark.parametrize("n", [10, 40])
def test_no_array_comes_back_while_learning_and_reading(fake, n):
    X = fake.asarray(frames(6, n))
    memory = two_levels()
    memory.write(X)
    fake.traffic.down.clear()
    memory.write(X)
    memory.trace(X)
    memory.familiarity(X)
    memory.read(X)
    memory.complete_sequence(X[:3], 4)
    assert max(fake.traffic.down) <= SCALARS and len(fake.traffic.down) <= 30


# ---------------------------------------------------------------- moving and mixing


def test_to_the_gpu_and_back_in_mid_sequence(cupy, make, tmp_path):
    X, here = frames(7), make()
    here.write(X[:9])
    there = here.to("gpu")
    assert isinstance(there.weights_, cupy.ndarray) and isinstance(there.codes_, cupy.ndarray)
    assert isinstance(here.weights_, np.ndarray)
    double = there.copy()
    here.write(X[9:])
    there.write(cupy.asarray(X[9:]))
    there.save(tmp_path / "memory.nmem")
    loaded, pickled, back = neuromem.load(tmp_path / "memory.nmem"), pickle.loads(pickle.dumps(there)), there.to("cpu")
    for found in (loaded, pickled, back):
        assert isinstance(found.weights_, np.ndarray)
        assert_same_state(found.get_state(), here.get_state())
        assert same(found.trace(X).codes[0], here.trace(X).codes[0])
    double.write(cupy.asarray(X[9:]))
    assert_same_state(double.get_state(), here.get_state())
    there.reset()
    assert not there._is_fitted() and there.write(X).tolist() == list(range(16))  # the next write decides anew


def test_another_gpu(fake):
    X = frames()
    memory = two_levels()
    memory.write(X)
    there = memory.to("gpu:1")
    assert backend_of(there.weights_) == Backend("cupy", 1)
    with pytest.raises(BackendError, match="X on GPU 0, memory on GPU 1"):
        there.trace(fake.asarray(X))
    with fake.cuda.Device(1):
        device = fake.asarray(X)
        assert same(there.trace(device).codes[1], memory.trace(X).codes[1])
    fresh = two_levels()
    with pytest.raises(BackendError, match="live on GPU 1, but CuPy is using GPU 0"):
        fresh.write(ActiveRows._trusted(device, device, WIDTH))
    assert not fresh._is_fitted()


def test_mixed_families_are_refused_and_nothing_changes(cupy):
    X = frames()
    here, there = two_levels(), two_levels()
    here.write(X)
    there.write(cupy.asarray(X))
    for memory, wrong in ((here, cupy.asarray(X)), (there, X)):
        before = memory.get_state()
        for use in (memory.write, memory.trace, memory.familiarity, memory.read):
            with pytest.raises(BackendError, match="X on (the CPU|GPU 0), memory on (the CPU|GPU 0)"):
                use(wrong)
        with pytest.raises(BackendError, match="X on"):
            memory.complete_sequence(wrong[:2], 3)
        with pytest.raises(BackendError, match="cues on"):
            memory.complete(wrong, np.ones(WIDTH, bool))
        assert_same_state(memory.get_state(), before)
    with pytest.raises(BackendError, match="codes on the CPU, memory on GPU 0"):
        there.reconstruct(here.trace(X).codes[0])
    with pytest.raises(InputError, match="lengths is"):
        there.write(cupy.asarray(X), lengths=[3, 4])
    with pytest.raises(InputError, match="winners outside"):
        there.reconstruct(cupy.full((2, 4, 4), 6, np.int64))
