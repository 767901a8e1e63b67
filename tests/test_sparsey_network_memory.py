"""Networks as memories: chunks, threads, files in mid-sequence, files from strangers."""

import json
import tracemalloc

import numpy as np
import pytest
from sequence_cases import levels_of, one_level
from test_hostile import equal, rewrite

import neuromem
from neuromem import FormatError
from neuromem.experiments.sparsey_sequences import N_INPUTS, random_sequence
from neuromem.sparsey import ActiveRows, FieldGrid, SparseyLevel, SparseyNetwork, SparseySequenceMemory
from neuromem.sparsey.kernels.routing import ROUTED_FROM

CORNERS = FieldGrid((12, 12), (6, 6), (6, 6))
MEMORIES = {
    "sequence": lambda: one_level(0),
    "slow sequence": lambda: SparseySequenceMemory(N_INPUTS, 6, 100, persistence=3, hypotheses="boost", random_state=0),
    "three levels": lambda: levels_of(0, 1, 2, 4),
    "three levels, nothing from above": lambda: levels_of(0, 1, 2, 4, top_down=False),
    "corners": lambda: SparseyNetwork(
        N_INPUTS, [SparseyLevel(5, 20, CORNERS), SparseyLevel(5, 20, persistence=3)], random_state=0, upper_input="argmax"
    ),
}


@pytest.fixture(params=MEMORIES)
def make(request):
    return MEMORIES[request.param]


def sequences(seed, lengths):
    return random_sequence(np.random.default_rng(seed), sum(lengths))


def assert_same_trace(a, b):
    for name in ("codes", "recalled", "ages", "familiarity", "versions"):
        for x, y in zip(getattr(a, name), getattr(b, name), strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)


@pytest.mark.parametrize("size", [1, 7, 16])
def test_chunks_in_mid_sequence_make_no_difference(make, size, monkeypatch):
    n = ROUTED_FROM + 6  # features are handed out to the macs of the whole, and looked through by those of the parts
    frames = sequences(0, [n])
    whole, parts = make(), make()
    trace = whole.present(frames, True)
    codes = []
    for start in range(0, n, size):
        codes.append(parts.present(frames[start : start + size], True).codes)
    for j, wanted in enumerate(trace.codes):
        assert np.array_equal(np.concatenate([c[j] for c in codes]), wanted)
    assert equal(whole, parts)
    monkeypatch.setattr("neuromem.sparsey.network_memory.CHUNK_BYTES", size * 1000)
    inside = make()
    assert_same_trace(inside.present(frames, True), trace)
    assert equal(whole, inside)


def test_a_memory_saved_in_mid_sequence_goes_on_as_if_nothing_had_been(make, tmp_path):
    frames = sequences(1, [23])
    whole, part = make(), make()
    whole.write(frames)
    for stop in (10, 11, 12, 13):  # ages 1 to 4 of the codes that last longest
        part.reset()
        part.write(frames[:stop])
        part.save(tmp_path / "memory.nmem")
        loaded = neuromem.load(tmp_path / "memory.nmem")
        assert equal(loaded, part)
        for memory in (loaded, part.copy()):
            memory.write(frames[stop:])
            assert equal(memory, whole)


def test_threads_make_no_difference(make):
    lengths = [20] * 40
    frames = sequences(2, lengths)
    found = []
    for n in (1, 2):
        with neuromem.threads(n):
            memory = make()
            memory.saturation_warned_ = True
            memory._allocate(N_INPUTS)
            memory.saturation_warned_ = True
            memory.write(frames, lengths=lengths)
            found.append((memory, memory.trace(frames, lengths), memory.read(frames[:300])))
    assert equal(found[0][0], found[1][0])
    assert_same_trace(found[0][1], found[1][1])
    assert np.array_equal(found[0][2].values, found[1][2].values)


def test_reads_of_many_sequences_equal_reads_of_each(make):
    lengths = [5, 40, 1, 70, 12, 66, 3]
    frames = sequences(3, lengths)
    memory = make()
    memory.write(frames, lengths=lengths)
    together = memory.trace(frames, lengths)
    start = 0
    for length in lengths:
        alone = memory.trace(frames[start : start + length])
        for name in ("codes", "ages", "familiarity"):
            for x, y in zip(getattr(together, name), getattr(alone, name), strict=True):
                assert np.array_equal(x[start : start + length], y)
        start += length


def test_reads_change_nothing(make):
    frames = sequences(4, [9, 9])
    memory = make()
    memory.write(frames)
    before = memory.copy()
    memory.trace(frames, [9, 9])
    memory.familiarity(frames, lengths=[9, 9])
    memory.complete_sequence(frames[:3], 9)
    memory.read(frames)
    assert equal(memory, before)
    trace = memory.present(frames, False)  # lives through frames, but learns nothing
    assert np.array_equal(memory.weights_, before.weights_) and len(memory) == len(before)
    memory.begin_episode()
    assert_same_trace(memory.present(frames, False), memory.trace(frames))
    assert trace.codes[0].shape == memory.trace(frames).codes[0].shape


def test_frames_are_given_as_tables_or_as_lists_of_active_features(make):
    frames = sequences(5, [8])
    a, b = make(), make()
    a.write(frames)
    b.write(ActiveRows.from_dense(frames))
    assert equal(a, b)
    assert np.array_equal(a.read(frames).values, b.read(ActiveRows.from_dense(frames)).values)


def test_what_is_read_back_is_what_was_written(make):
    frames = sequences(6, [6])
    memory = make()
    codes = memory.present(frames, True).codes[0]
    assert np.array_equal(memory.reconstruct(codes) >= 0.999, memory.reconstruct(codes) > 0.9)
    assert (memory.reconstruct(codes)[frames > 0] == 1.0).mean() > 0.99
    assert memory.familiarity(frames, lengths=[6]).min() > 0.99
    for level in range(memory.n_levels_):
        assert memory.familiarity(frames, lengths=[6], level=level).shape == (6,)
    empty = memory.read(frames[:0])
    assert empty.values.shape == (0, 1, N_INPUTS)


def test_fields_on_a_grid():
    fields = FieldGrid((5, 6), (3, 2), (2, 3), 2).fields(60)
    numbers = np.arange(60).reshape(2, 5, 6)
    wanted = [numbers[:, top : top + 3, left : left + 2].ravel() for top in (0, 2) for left in (0, 3)]
    assert all(np.array_equal(a, b) for a, b in zip(fields, wanted, strict=True)) and len(fields) == len(wanted)
    both = SparseyLevel(4, 4, [FieldGrid((4, 4), (2, 2), (2, 2)), FieldGrid((4, 4), (4, 4), (1, 1)), [3, 1]])
    assert [len(f) for f in both.fields(16)] == [4, 4, 4, 4, 16, 2] and both.n_connections(16) == 4 + 4 + 4 + 4 + 16 + 2


# ---------------------------------------------------------------- files from strangers


def small_network():
    levels = [SparseyLevel(3, 5, [[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]]), SparseyLevel(2, 4, persistence=3)]
    memory = SparseyNetwork(8, levels, random_state=0)
    memory.saturation_warned_ = True
    memory._allocate(8)
    memory.saturation_warned_ = True
    memory.write((np.random.default_rng(0).random((7, 8)) < 0.5).astype(np.uint8))
    return memory


@pytest.fixture
def saved(tmp_path):
    memory = small_network()
    memory.save(tmp_path / "n.nmem")
    return memory, tmp_path / "n.nmem"


def loads_equal_or_is_refused(path, memory):
    tracemalloc.start()
    try:
        loaded = neuromem.load(path)
    except FormatError:
        return False
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20e6
    assert equal(loaded, memory)
    return True


def test_flipped_and_cut_files(saved, tmp_path):
    memory, path = saved
    body = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for i in range(150):
        mutated = bytearray(body[: rng.integers(0, len(body))] if i % 4 == 3 else body)
        for place in rng.integers(0, len(mutated), 1 + i % 3) if i % 4 < 3 else ():
            mutated[place] ^= 1 << rng.integers(0, 8)
        target = tmp_path / "mutated.nmem"
        target.write_bytes(mutated)
        refused += not loads_equal_or_is_refused(target, memory)
    assert refused > 75


def level_of(header, j=0):
    return header["params"]["levels"][j]["params"]


FORGERIES = {
    "huge width": lambda header, members: header["scalars"].update(n_features_in_=2**30),
    "huge width, no fields": lambda header, members: (
        header["scalars"].update(n_features_in_=2**30),
        header["params"].update(n_inputs=2**30),
        level_of(header).update(receptive_fields=None),
    ),
    "huge grid": lambda header, members: level_of(header).update(
        receptive_fields={
            "estimator": "sparsey.FieldGrid",
            "params": {"shape": [2**20, 2**20], "receptive_field": [2**20, 2**20], "stride": [1, 1], "channels": 1},
        }
    ),
    "huge module": lambda header, members: level_of(header).update(units_per_module=60000),
    "another class as level": lambda header, members: header["params"]["levels"][0].update(
        estimator="sparsey.FieldGrid", params={"shape": [4, 4], "receptive_field": [2, 2], "stride": [1, 1], "channels": 1}
    ),
    "unknown class as level": lambda header, members: header["params"]["levels"][0].update(estimator="os.system"),
    "no level": lambda header, members: header["params"].update(levels=[]),
    "levels are text": lambda header, members: header["params"].update(levels="two"),
    "fields are text": lambda header, members: level_of(header).update(receptive_fields="all"),
    "unknown feature": lambda header, members: level_of(header).update(receptive_fields=[[0, 1, 2, 3, 99], [3, 4, 5, 6, 7]]),
    "another number of levels": lambda header, members: header["params"]["levels"].pop(),
    "negative step": lambda header, members: header["scalars"].update(step_=-1),
    "text step": lambda header, members: header["scalars"].update(n_stored_="3"),
    "entropy": lambda header, members: header["scalars"].update(entropy_=[0]),
    "missing array": lambda header, members: (header["arrays"].pop("ages_"), members.pop("ages_.npy")),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_headers(saved, tmp_path, name):
    memory, path = saved
    rewrite(path, tmp_path / "forged.nmem", FORGERIES[name])
    assert not loads_equal_or_is_refused(tmp_path / "forged.nmem", memory)


def flip(array, place, value):
    changed = array.copy()
    changed.reshape(-1)[place] = value
    return changed


STATES = {
    "weights_": [lambda a: flip(a, -1, 1), lambda a: a ^ np.uint64(1), lambda a: a[:-1]],
    "n_weights_": [lambda a: a + 1],
    "frozen_": [lambda a: ~a],
    "codes_": [lambda a: flip(a, 0, 5), lambda a: flip(a, 0, -2), lambda a: flip(a, 0, -1)],
    "recalled_": [lambda a: flip(a, 0, 99)],
    "ages_": [lambda a: -a, lambda a: a * 0],
    "sends_": [lambda a: a + 3, lambda a: a * 0],
    "familiarity_": [lambda a: a + np.nan, lambda a: a + 2],
    "versions_": [lambda a: a - 7],
}


@pytest.mark.parametrize("name", STATES)
def test_states_that_nothing_could_have_left(name):
    memory = small_network()
    before = memory.copy()
    for change in STATES[name]:
        state = memory.get_state()
        state["arrays"][name] = change(state["arrays"][name])
        with pytest.raises(FormatError):
            memory.set_state(state)
    own = memory.get_state()
    first = 5 * 1  # rows from below, one word each; the first row from its own cells would hear module 0 on module 0
    own["arrays"]["weights_"] = flip(own["arrays"]["weights_"], first, own["arrays"]["weights_"][first] | np.uint64(1))
    with pytest.raises(FormatError):
        memory.set_state(own)
    assert equal(memory, before)


def test_labels_of_another_shape_are_refused():
    memory = SparseySequenceMemory(8, 3, 5, n_classes=2, random_state=0)
    memory.saturation_warned_ = True
    memory._allocate(8)
    memory.saturation_warned_ = True
    memory.write(np.eye(8, dtype=np.uint8), [0, 1], lengths=[4, 4])
    state = json.loads(json.dumps(memory.get_state()["children"]["labels_"]["params"]))
    bad = memory.get_state()
    bad["children"]["labels_"]["params"] = state | {"n_classes": 3}
    with pytest.raises(FormatError):
        memory.set_state(bad)
    memory.set_state(memory.get_state())
    assert memory.predict(np.eye(8, dtype=np.uint8), lengths=[4, 4]).tolist() == [0, 1]
