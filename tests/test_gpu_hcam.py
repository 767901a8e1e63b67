"""HCAMAttention given GPU arrays: what it gives on the CPU, on the device, with no array brought to the host on the way.

On the stand-in for CuPy, whose kernels run on the CPU, and on a GPU where there is one.
"""

import numpy as np
import pytest
from fake_cupy import fake_gpu

from neuromem import BackendError, InputError, InputTypeError
from neuromem.hcam import ChunkMemory, ChunkView, HCAMAttention, HCAMBlock

SCALARS = 2  # a transfer of more items than this is one of an array
LANES, QUERIES, CHUNKS, STEPS, WIDTH = 2, 3, 9, 5, 6


@pytest.fixture(params=["stand-in", pytest.param("device", marks=pytest.mark.gpu)])
def cupy(request, monkeypatch):
    if request.param == "device":
        yield pytest.importorskip("cupy")
    else:
        request.getfixturevalue("gxx")
        with fake_gpu(monkeypatch) as module:
            yield module


@pytest.fixture
def fake(monkeypatch, gxx):
    with fake_gpu(monkeypatch) as module:
        yield module


def layer(**params):
    settings = dict(n_heads=2, top_k=3, detach_memory=False, dtype="float64") | params
    made = HCAMAttention(4, WIDTH, 8, **settings)
    rng = np.random.default_rng(5)
    made.load_weights({name: rng.standard_normal(array.shape) for name, array in made.weights.items()})
    return made


def arrays(dtype="float64", seed=0):
    """Queries, mask, summaries, contents and lengths; one query sees nothing, one chunk is empty."""
    rng = np.random.default_rng(seed)
    contents = rng.standard_normal((LANES, CHUNKS, STEPS, WIDTH)).astype(dtype)
    mask = rng.random((LANES, QUERIES, CHUNKS)) < 0.7
    mask[0, 1], mask[1, 2, 2:] = False, False
    lengths = rng.integers(1, STEPS + 1, (LANES, CHUNKS))
    lengths[1, 3] = 0
    return rng.standard_normal((LANES, QUERIES, 4)).astype(dtype), mask, contents.mean(axis=2), contents, lengths


def both_ways(attention, q, mask, summaries, contents, lengths, **options):
    """Result, where attention went, gradients."""
    y, info = attention.forward(q, (summaries, contents), mask, lengths, return_info=True)
    d_q, gradients = attention.backward(y * y + 1, **options)
    return {"y": y, "d_q": d_q, **info._asdict(), **gradients}


def assert_like(there, here, cupy, **limits):
    assert set(there) == set(here)
    for name, wanted in here.items():
        assert isinstance(there[name], cupy.ndarray), name
        found = there[name].get()
        assert found.dtype == wanted.dtype and found.shape == wanted.shape, name
        np.testing.assert_allclose(found, wanted, err_msg=name, **limits)


OPTIONS = [
    {},
    {"weight_norm": "all"},
    {"compat": "reference"},
    {"compat": "reference", "weight_norm": "all", "top_k": 50},
    {"detach_memory": True, "position_code": False},
    {"summary_bias": True, "attention_bias": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_results_and_gradients_are_those_of_the_cpu(cupy, options):
    attention, given = layer(**options), arrays()
    here = both_ways(attention, *given)
    assert here["topk_idx"].min() == (-1 if options.get("compat") != "reference" else 0)
    there = both_ways(attention.to("gpu"), *map(cupy.asarray, given))
    assert_like(there, here, cupy, rtol=1e-10, atol=1e-12)


def test_gradients_of_means_go_to_the_contents(cupy):
    here = both_ways(layer(), *arrays(), summary_is_mean=True)
    there = both_ways(layer().to("gpu"), *map(cupy.asarray, arrays()), summary_is_mean=True)
    assert "d_summaries" not in there
    assert_like(there, here, cupy, rtol=1e-10, atol=1e-12)


def test_single_precision(cupy):
    here = both_ways(layer(dtype="float32"), *arrays("float32"))
    there = both_ways(layer(dtype="float32").to("gpu"), *map(cupy.asarray, arrays("float32")))
    assert_like(there, here, cupy, rtol=2e-3, atol=2e-4)  # gradients are products of several sums


def test_no_array_comes_to_the_host_or_goes_to_the_device(fake):
    attention, given = layer(weight_norm="all").to("gpu"), [fake.asarray(array) for array in arrays()]
    both_ways(attention, *given)  # the position code is put there once
    fake.traffic.down.clear()
    fake.traffic.up.clear()
    both_ways(attention, *given)
    assert max(fake.traffic.down, default=0) <= SCALARS and not fake.traffic.up
    q, mask, summaries, contents, _ = given
    attention.attend(q, (summaries, contents), mask)
    assert len(fake.traffic.down) == 1  # whether lengths are in range, asked above


def test_a_memory_is_moved_once_and_read_there(cupy):
    memory = ChunkMemory(WIDTH, chunk_size=STEPS, capacity=CHUNKS, n_lanes=LANES, dtype="float64")
    memory.write(np.random.default_rng(1).standard_normal((31, LANES, WIDTH)))
    q, attention = arrays()[0], layer(detach_memory=True)
    y, info = attention.forward(q, memory, return_info=True)
    there = attention.to("gpu")
    found, placed = there.forward(cupy.asarray(q), memory.view().to("gpu"), return_info=True)
    np.testing.assert_allclose(found.get(), y, rtol=1e-12)
    assert np.array_equal(placed.first_step.get(), info.first_step)
    d_q, _ = there.backward(cupy.asarray(y))
    np.testing.assert_allclose(d_q.get(), attention.backward(y)[0], rtol=1e-10, atol=1e-12)
    back = memory.view().to("gpu").to("cpu")
    assert isinstance(back, ChunkView) and np.array_equal(back.contents, memory.view().contents, equal_nan=True)


def test_weights_come_back_as_they_went(cupy):
    attention = layer()
    there = attention.to("gpu")
    assert all(isinstance(array, cupy.ndarray) for array in there.weights.values())
    assert all(isinstance(array, np.ndarray) for array in attention.weights.values())
    other = {name: array + 1 for name, array in attention.weights.items()}
    there.load_weights(other)
    for found in (there.to("cpu").weights, there.to_reference(), there.get_state()["arrays"]):
        assert all(np.array_equal(found[name], array) for name, array in other.items())


def test_mixed_devices_are_refused_by_name(cupy):
    q, mask, summaries, contents, lengths = arrays()
    on = cupy.asarray
    attention = layer().to("gpu")
    with pytest.raises(BackendError, match="weights on the CPU"):
        layer().forward(on(q), (on(summaries), on(contents)))
    with pytest.raises(BackendError, match="q on the CPU, memory on GPU 0"):
        attention.forward(q, (on(summaries), on(contents)))
    with pytest.raises(BackendError, match="summaries on the CPU, contents on GPU 0"):
        attention.forward(on(q), (summaries, on(contents)))
    with pytest.raises(BackendError, match="mask on the CPU"):
        attention.forward(on(q), (on(summaries), on(contents)), mask)
    with pytest.raises(BackendError, match="lengths on the CPU"):
        attention.forward(on(q), (on(summaries), on(contents)), lengths=lengths)
    y = attention.forward(on(q), (on(summaries), on(contents)))
    with pytest.raises(BackendError, match="d_y on the CPU"):
        attention.backward(y.get())
    attention.backward(y)  # the refusal left everything as it was


def test_bad_arrays_are_refused_as_on_the_cpu(cupy):
    q, mask, summaries, contents, lengths = map(cupy.asarray, arrays())
    attention = layer().to("gpu")
    with pytest.raises(InputError, match="q has shape"):
        attention.forward(q[..., :3], (summaries, contents))
    with pytest.raises(InputTypeError, match="mask is float64, bool"):
        attention.forward(q, (summaries, contents), mask.astype("float64"))
    with pytest.raises(InputError, match="lengths has values from 0 to 9"):
        attention.forward(q, (summaries, contents), lengths=lengths.copy() * 0 + cupy.asarray(np.arange(9) + (np.arange(9) > 7)))
    with pytest.raises(InputTypeError, match="memory is a ndarray"):
        attention.forward(q, contents)
    attention.forward(q, (summaries, contents))
    with pytest.raises(InputError, match="d_y has shape"):
        attention.backward(q)


def test_what_has_no_device_path_says_so(cupy):
    with pytest.raises(BackendError, match="HCAMBlock works on the CPU only"):
        HCAMBlock(WIDTH).to("gpu")
    with pytest.raises(BackendError, match="x lives on GPU 0"):
        HCAMBlock(WIDTH).forward(cupy.asarray(np.ones((1, 2, WIDTH))), None)
