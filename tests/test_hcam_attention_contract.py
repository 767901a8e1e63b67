"""What attention over chunks refuses, in what order it is called, and how its weights travel."""

import pickle

import numpy as np
import pytest
from hcam_oracle import INNER, B, C, D, E, F, H, M, Q, data, layer

from neuromem import InputError, InputTypeError
from neuromem.errors import CallOrderError, FormatError
from neuromem.hcam.attention import HCAMAttention
from neuromem.hcam.chunk_memory import ChunkMemory
from neuromem.hcam.chunk_view import ChunkView

# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dim_memory": 7}, "dim_memory is 7, an even number"),
        ({"features": 10}, "features is 10, a multiple of n_heads"),
        ({"top_k": 0}, "top_k is 0, an integer from 1 up"),
        ({"n_heads": 0}, "n_heads is 0"),
        ({"dim_query": 0}, "dim_query is 0"),
        ({"weight_norm": "none"}, "weight_norm is 'none', one of 'topk', 'all'"),
        ({"compat": "loose"}, "compat is 'loose'"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"detach_memory": "no"}, "detach_memory is 'no'"),
        ({"init_scale": -1.0}, "init_scale is -1.0"),
    ],
)
def test_bad_parameters_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        layer(**params)


def test_bad_arrays_are_named():
    attention = layer()
    q, summaries, contents = data()
    memory = (summaries, contents)
    for bad, error, message in (
        ({"q": q[0]}, InputError, r"q has shape \(3, 7\)"),
        ({"q": q[None]}, InputError, r"q has shape \(1, 2, 3, 7\)"),
        ({"q": q[..., :5]}, InputError, r"q has shape \(2, 3, 5\)"),
        ({"q": q[:1]}, InputError, "q has 1 lanes"),
        ({"q": q.astype(object)}, InputTypeError, "q is object"),
        ({"q": q * 1j}, InputTypeError, "q is complex128"),
        ({"memory": (summaries,)}, InputError, "memory has 1 parts"),
        ({"memory": contents}, InputTypeError, "memory is a ndarray"),
        ({"memory": None}, InputTypeError, "memory is a NoneType"),
        ({"memory": (summaries[:, :5], contents)}, InputError, r"summaries has shape \(2, 5, 8\)"),
        ({"memory": (summaries, contents[0])}, InputError, r"contents has shape \(6, 5, 8\)"),
        ({"memory": (summaries[..., :6], contents[..., :6])}, InputError, r"contents have shape \(2, 6, 5, 6\)"),
        ({"memory": (summaries.astype("f4"), contents.astype("f4"))}, InputTypeError, "the memory holds float32, float64"),
        ({"memory": (summaries.astype("f4"), contents)}, InputTypeError, "summaries are float32 and contents float64"),
        ({"memory": (summaries.astype(int), contents.astype(int))}, InputTypeError, "int64"),
        ({"mask": np.ones((B, Q, M))}, InputTypeError, "mask is float64, bool"),
        ({"mask": np.ones((B, M), bool)}, InputError, r"mask has shape \(2, 6\), \(2, 3, 6\)"),
        ({"lengths": np.full((B, M), C + 1)}, InputError, "lengths has values from 6 to 6, 0 to 5"),
        ({"lengths": np.full((B, M), 1.0)}, InputTypeError, "lengths is float64"),
        ({"memory": ChunkView.from_arrays(*memory), "lengths": np.ones((B, M), int)}, InputError, "lengths was given beside"),
    ):
        with pytest.raises(error, match=message):
            attention.forward(**({"q": q, "memory": memory} | bad))
    with pytest.raises(CallOrderError):  # none of them counts as a forward
        attention.backward(np.ones((B, Q, F)))


def test_order_of_calls():
    attention = layer()
    q, *memory = data()
    with pytest.raises(RuntimeError, match="without a forward"):
        attention.backward(np.ones((B, Q, F)))
    y = attention.forward(q, tuple(memory))
    with pytest.raises(InputError, match=r"d_y has shape \(2, 3, 5\)"):
        attention.backward(y[..., :5])
    attention.backward(y)
    with pytest.raises(RuntimeError):
        attention.backward(y)


class Stored:
    """A memory as attention sees it: a live view and a count of writes."""

    def __init__(self, summaries, contents):
        self.arrays = ChunkView.from_arrays(summaries, contents)
        self.version = 0

    def view(self):
        a = self.arrays
        return ChunkView(a.contents, a.summaries, a.lengths, a.first_step, a.visible, self.version)

    def write(self, m):
        """The ring comes round to chunk m."""
        self.arrays.contents[:, m] += 1
        self.arrays.first_step[:, m] += 1000
        self.version += 1


def test_a_memory_that_changed_is_refused():
    q, *memory = data(shape=(B, 1, M, C))
    attention = layer(detach_memory=False, top_k=2)
    stored = Stored(*(array.copy() for array in memory))
    y, info = attention.forward(q, stored, return_info=True)
    assert np.array_equal(y, attention.forward(q, tuple(memory)))
    kept = set(info.topk_idx.ravel().tolist())
    other = next(m for m in range(M) if m not in kept)
    attention.forward(q, stored)
    stored.write(other)
    with pytest.raises(RuntimeError, match="written to between forward and backward"):
        attention.backward(y)
    detached = layer(top_k=2)
    detached.forward(q, stored)
    stored.write(other)
    detached.backward(y)  # what it read is as it was
    detached.forward(q, stored)
    stored.write(min(kept))
    with pytest.raises(RuntimeError, match="attended to were written to"):
        detached.backward(y)


# ---------------------------------------------------------------- weights and files


def test_first_weights_are_cut_normal_of_the_stated_spread():
    attention = HCAMAttention(400, 300, 200, dtype="float64", random_state=3)
    for name, weight in attention.weights.items():
        if name.endswith(".b"):
            assert not weight.any()
            continue
        sigma = np.sqrt(2 / len(weight)) / 0.87962566103423978
        assert abs(weight).max() <= 2 * sigma
        assert abs(weight.std() / np.sqrt(2 / len(weight)) - 1) < 0.02
    assert not np.array_equal(attention.weights["query.w"], HCAMAttention(400, 300, 200, dtype="float64").weights["query.w"])


def test_names_and_number_of_weights():
    attention = HCAMAttention(E, D, F)
    assert list(attention.weights) == ["query.w", "key.w"] + [
        f"{INNER}{name}.{part}" for name in ("query", "key", "value", "linear") for part in "wb"
    ]
    assert attention.n_weights == sum(w.size for w in attention.weights.values()) == 2 * (E * F + D * F) + D * F + F * F + 4 * F


def test_weights_of_the_reference_that_do_not_fit():
    weights = layer().to_reference()
    with pytest.raises(InputError, match="weights lacks 'query.w'"):
        HCAMAttention.from_reference({k: v for k, v in weights.items() if k != "query.w"})
    with pytest.raises(InputError, match=f"lacks \\['{INNER}value.w'\\]"):
        HCAMAttention.from_reference({k: v for k, v in weights.items() if k != f"{INNER}value.w"}, H)
    with pytest.raises(InputError, match="two axes"):
        HCAMAttention.from_reference(weights | {"key.w": np.zeros(3)}, H)
    with pytest.raises(InputError, match="multiple of n_heads"):
        HCAMAttention.from_reference(weights, 5)


def test_copies_and_states_continue_alike():
    attention = layer(weight_norm="all", summary_bias=True)
    q, *memory = data()
    y = attention.forward(q, tuple(memory))
    assert np.array_equal(attention.copy().forward(q, tuple(memory)), y)
    assert np.array_equal(pickle.loads(pickle.dumps(attention)).forward(q, tuple(memory)), y)  # noqa: S301
    state = attention.get_state()
    other = HCAMAttention(2, 2, 2)
    other.set_state(state)
    assert np.array_equal(other.forward(q, tuple(memory)), y) and other.get_params() == attention.get_params()
    state["arrays"]["key.w"] = state["arrays"]["key.w"][:-1]
    with pytest.raises(FormatError, match="key.w"):
        other.set_state(state)


def test_chunks_of_a_memory_are_those_of_the_stream(tmp_path):
    """In memory and on disk: a ring that came round and closed chunks of every lane, as the same arrays give."""
    rng = np.random.default_rng(0)
    steps, q = rng.standard_normal((43, B, D)), rng.standard_normal((B, Q, E))
    attention = layer(top_k=3, detach_memory=False)
    results = []
    for storage in ("ram", tmp_path / "chunks"):
        memory = ChunkMemory(D, chunk_size=C, capacity=M, n_lanes=B, dtype="float64", storage=storage)
        assert not attention.forward(q, memory).any()  # nothing is closed yet
        memory.write(steps)
        y, info = attention.forward(q, memory, return_info=True)
        results.append(y)
        memory.append(steps[0])
        with pytest.raises(CallOrderError, match="written to"):
            attention.backward(y)
    assert np.array_equal(*results)
    n_closed = 43 // C
    first = max(0, n_closed - M + (43 % C > 0))  # the open chunk takes the place of the oldest
    contents = steps[first * C : n_closed * C].reshape(n_closed - first, C, B, D).transpose(2, 0, 1, 3)
    contents = np.ascontiguousarray(contents)
    z, wanted = attention.forward(q, (contents.mean(axis=2), contents), return_info=True)
    assert np.allclose(results[0], z, atol=1e-12)
    assert np.array_equal(info.first_step, wanted.first_step + first * C)
