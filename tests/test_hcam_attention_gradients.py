"""Gradients of attention over chunks against differences of its results, and what holds for inputs of any shape."""

import subprocess
import sys

import numpy as np
import pytest
from hcam_oracle import data, layer, plain_attention
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromem.hcam.attention import HCAMAttention

STEP = 1e-5


def differences(function, array, places):
    """Central differences of a number by entries of an array."""
    found = []
    for place in places:
        kept = array[place]
        array[place] = kept + STEP
        up = function()
        array[place] = kept - STEP
        down = function()
        array[place] = kept
        found.append((up - down) / (2 * STEP))
    return np.array(found)


def check_gradients(attention, q, summaries, contents, mask=None, lengths=None, n_places=5):
    """Gradients of sum(y R) by everything that goes in, at some places of each array."""
    rng = np.random.default_rng(9)
    y, info = attention.forward(q, (summaries, contents), mask, lengths, return_info=True)
    R = rng.standard_normal(y.shape)
    d_q, gradients = attention.backward(R)
    kept = info.topk_idx

    def loss():
        z, now = attention.forward(q, (summaries, contents), mask, lengths, return_info=True)
        assert np.array_equal(now.topk_idx, kept), "the step crossed a tie"
        return float((z * R).sum())

    arrays = {"d_q": q, **attention.weights}
    if not attention.detach_memory:
        arrays |= {"d_summaries": summaries, "d_contents": contents}
    for name, array in arrays.items():
        gradient = d_q if name == "d_q" else gradients[name]
        assert gradient.shape == array.shape and gradient.dtype == array.dtype
        places = [tuple(int(rng.integers(n)) for n in array.shape) for _ in range(n_places)]
        places.append(np.unravel_index(np.abs(gradient).argmax(), gradient.shape))
        wanted = differences(loss, array, places)
        found = np.array([gradient[place] for place in places])
        assert np.allclose(found, wanted, rtol=1e-6, atol=1e-7 * max(1, np.abs(gradient).max())), name
    attention.backward(R)
    return gradients, kept


@pytest.mark.jit_off
@pytest.mark.parametrize("weight_norm", ["topk", "all"])
@pytest.mark.parametrize(
    ("shape", "params"),
    [
        ((2, 3, 6, 5), {}),
        ((1, 1, 4, 3), {}),
        ((1, 4, 9, 3), {"n_heads": 1, "top_k": 2, "summary_bias": True}),
        ((3, 1, 5, 1), {"n_heads": 6, "top_k": 9, "position_code": False, "attention_bias": False}),
    ],
)
def test_gradients_are_those_of_differences(shape, params, weight_norm):
    attention = layer(detach_memory=False, weight_norm=weight_norm, **params)
    check_gradients(attention, *data(shape=shape))


@pytest.mark.jit_off
@pytest.mark.parametrize("compat", ["strict", "reference"])
@pytest.mark.parametrize("weight_norm", ["topk", "all"])
def test_gradients_with_hidden_chunks_and_lengths(compat, weight_norm):
    lanes, queries, chunks, steps = shape = (2, 4, 6, 5)
    rng = np.random.default_rng(1)
    mask = rng.random((lanes, queries, chunks)) < 0.5
    mask[0, 0], mask[1, 3] = False, True
    lengths = rng.integers(1, steps + 1, (lanes, chunks))
    attention = layer(detach_memory=False, weight_norm=weight_norm, compat=compat)
    gradients, kept = check_gradients(attention, *data(shape=shape), mask=mask, lengths=lengths)
    beyond = np.arange(steps) >= lengths[..., None]
    assert not gradients["d_contents"][beyond].any()
    unread = np.array([[m not in kept[b] for m in range(chunks)] for b in range(lanes)])
    assert not gradients["d_contents"][unread].any()
    if weight_norm == "topk":
        assert not gradients["d_summaries"][unread].any()
    assert gradients["d_contents"][~unread].any()


@pytest.mark.jit_off
def test_gradients_through_the_mean():
    """Contents that make the summaries too: the gradient of a mean goes to the steps that count, in equal parts."""
    attention = layer(detach_memory=False)
    q, _, contents = data()
    lengths = np.random.default_rng(1).integers(1, 6, contents.shape[:2])
    counted = (np.arange(5) < lengths[..., None])[..., None]

    def forward():
        summaries = np.where(counted, contents, 0).sum(axis=2) / lengths[..., None]
        return attention.forward(q, (summaries, contents), lengths=lengths)

    R = np.random.default_rng(2).standard_normal(forward().shape)
    _, gradients = attention.backward(R, summary_is_mean=True)
    _ = forward()
    _, apart = attention.backward(R)
    assert "d_summaries" not in gradients
    shared = np.where(counted, apart["d_summaries"][:, :, None] / lengths[..., None, None], 0)
    assert np.allclose(gradients["d_contents"], apart["d_contents"] + shared, atol=1e-14)
    rng = np.random.default_rng(3)
    places = [tuple(int(rng.integers(n)) for n in contents.shape) for _ in range(30)]
    wanted = differences(lambda: float((forward() * R).sum()), contents, places)
    assert np.allclose([gradients["d_contents"][place] for place in places], wanted, rtol=1e-6, atol=1e-7)


def test_gradients_in_single_precision_are_near_those_in_double():
    single, double = layer(detach_memory=False, dtype="float32"), layer(detach_memory=False)
    double.load_weights(single.weights)
    arrays = [array.astype(np.float32) for array in data()]
    found = []
    for attention, dtype in ((single, np.float32), (double, np.float64)):
        q, *memory = (array.astype(dtype) for array in arrays)
        y = attention.forward(q, tuple(memory))
        d_q, gradients = attention.backward(np.ones_like(y))
        found.append({"y": y, "d_q": d_q, **gradients})
    for name, array in found[0].items():
        assert array.dtype == np.float32
        assert np.abs(array - found[1][name]).max() <= 5e-6 * max(1, np.abs(found[1][name]).max()), name


def test_backward_is_not_done_by_another_library():
    """Nothing of the kind is imported when attention is trained."""
    code = (
        "import sys, numpy as np; from neuromem.hcam.attention import HCAMAttention; a = HCAMAttention(2, 2, 2, top_k=1);"
        "y = a.forward(np.ones((1, 1, 2)), (np.ones((1, 1, 2), 'f4'), np.ones((1, 1, 1, 2), 'f4'))); a.backward(y);"
        "print(sorted({'torch', 'jax', 'autograd', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- any shape

small = st.integers(1, 9)


@st.composite
def problems(draw):
    lanes, queries, chunks, steps = draw(st.integers(1, 3)), draw(small), draw(small), draw(small)
    heads, per_head, wide = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 9))
    code = draw(st.booleans())
    params = {
        "dim_query": draw(small),
        "dim_memory": 2 * wide if code else wide,
        "features": heads * per_head,
        "n_heads": heads,
        "top_k": draw(st.integers(1, 12)),
        "position_code": code,
        "weight_norm": draw(st.sampled_from(["topk", "all"])),
        "compat": draw(st.sampled_from(["strict", "reference"])),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "detach_memory": False,
    }
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0.0, 0.3, 1.0]))
    return params, (lanes, queries, chunks, steps), seed, share


@settings(max_examples=60, deadline=None)
@given(problems())
def test_any_shape_is_finite_and_as_the_plain_form(problem):
    params, (lanes, queries, chunks, steps), seed, share = problem
    attention = HCAMAttention(**params)
    rng = np.random.default_rng(seed)
    contents = rng.standard_normal((lanes, chunks, steps, params["dim_memory"])).astype(params["dtype"])
    summaries = rng.standard_normal((lanes, chunks, params["dim_memory"])).astype(params["dtype"])
    q = rng.standard_normal((lanes, queries, params["dim_query"])).astype(params["dtype"])
    mask = rng.random((lanes, queries, chunks)) < share
    lengths = rng.integers(0, steps + 1, (lanes, chunks))
    y, info = attention.forward(q, (summaries, contents), mask, lengths, return_info=True)
    d_q, gradients = attention.backward(y)
    for array in (y, d_q, *info, *gradients.values()):
        assert np.isfinite(array).all()
    n_seen = (mask & (lengths > 0)[:, None]).sum(axis=2)
    sees = n_seen > 0
    if params["compat"] == "strict":
        assert not y[~sees].any() and not d_q[~sees].any()
        assert np.array_equal((info.topk_idx >= 0).sum(axis=2), np.minimum(n_seen, params["top_k"]))
    if params["dtype"] == "float64":
        shape = {"n_heads": params["n_heads"], "top_k": params["top_k"], "code": params["position_code"]}
        wanted, _ = plain_attention(
            attention.weights, q, summaries, contents, mask=mask, lengths=lengths, weight_norm=params["weight_norm"], **shape
        )
        assert np.allclose(y[sees], wanted[sees], atol=1e-11)
