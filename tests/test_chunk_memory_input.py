"""What the chunk memory refuses: items, parameters, lanes, states that were tampered with."""

import numpy as np
import pytest
from chunk_oracle import assert_equal, stream

from neuromem import ChunkMemory, FormatError, InputError, InputTypeError


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
        lambda s: s["params"].update(storage="/" + "tmp/elsewhere"),
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
