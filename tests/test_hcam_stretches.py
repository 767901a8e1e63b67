"""Chunks with several summaries: each is as good as the best of them, in the result and in its gradients."""

import numpy as np
import pytest

from neuromem import HCAMAttention
from neuromem.errors import InputError
from neuromem.hcam import stretch_means

B, Q, M, C, D, E, F, H, S = 2, 3, 7, 6, 4, 5, 6, 2, 3


@pytest.fixture
def layer():
    return HCAMAttention(E, D, F, H, 2, detach_memory=False, dtype="float64", random_state=1)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    contents = rng.standard_normal((B, M, C, D))
    lengths = rng.integers(1, C + 1, (B, M))
    return rng.standard_normal((B, Q, E)), contents, lengths


def naive_means(contents, n, lengths):
    found = np.zeros((*contents.shape[:2], n, contents.shape[3]))
    size = contents.shape[2] // n
    for b, m, s in np.ndindex(found.shape[:3]):
        stop = min(lengths[b, m], (s + 1) * size)
        if stop > s * size:
            found[b, m, s] = contents[b, m, s * size : stop].mean(axis=0)
    return found


@pytest.mark.jit_off
def test_means_are_those_of_the_filled_steps(arrays):
    _, contents, lengths = arrays
    assert np.allclose(stretch_means(contents, S, lengths), naive_means(contents, S, lengths), rtol=1e-13, atol=1e-15)
    assert np.allclose(stretch_means(contents, 1, lengths), naive_means(contents, 1, lengths)[:, :, 0], rtol=1e-13, atol=1e-15)
    assert np.allclose(stretch_means(contents, C), contents)
    with pytest.raises(InputError, match="n_summaries is 4, a divisor of the chunk size"):
        stretch_means(contents, 4)


@pytest.mark.jit_off
def test_one_of_several_is_the_plain_form(layer, arrays):
    q, contents, lengths = arrays
    summaries = stretch_means(contents, 1, lengths)
    plain = layer.forward(q, (summaries, contents), lengths=lengths)
    several = layer.forward(q, (summaries[:, :, None], contents), lengths=lengths)
    assert np.allclose(plain, several, rtol=1e-12)


@pytest.mark.jit_off
def test_a_chunk_is_as_good_as_its_best_summary(layer, arrays):
    q, contents, lengths = arrays
    summaries = stretch_means(contents, S, lengths)
    _, info = layer.forward(q, (summaries, contents), lengths=lengths, return_info=True)
    weights = layer.weights
    scores = np.einsum("bqd,bmsd->bqms", q @ weights["query.w"] @ weights["key.w"].T / np.sqrt(F), summaries).max(axis=3)
    order = np.argsort(-scores, axis=2)[..., :2]
    assert np.array_equal(info.topk_idx, order)
    kept = np.exp(np.take_along_axis(scores, order, axis=2))
    assert np.allclose(info.topk_weight, kept / kept.sum(axis=2, keepdims=True), rtol=1e-12)


def loss(layer, q, contents, lengths, cotangent, summaries=None):
    summaries = stretch_means(contents, S, lengths) if summaries is None else summaries
    return float((layer.forward(q, (summaries, contents), lengths=lengths) * cotangent).sum())


def test_gradients(layer, arrays):
    q, contents, lengths = arrays
    cotangent = np.random.default_rng(3).standard_normal((B, Q, F))
    loss(layer, q, contents, lengths, cotangent)
    d_q, folded = layer.backward(cotangent, summary_is_mean=True)
    summaries = stretch_means(contents, S, lengths)
    loss(layer, q, contents, lengths, cotangent)
    _, apart = layer.backward(cotangent)
    assert apart["d_summaries"].shape == summaries.shape

    def slope(array, place, **given):
        step, kept = 1e-6, array[place]
        array[place] = kept + step
        up = loss(layer, q, contents, lengths, cotangent, **given)
        array[place] = kept - step
        down = loss(layer, q, contents, lengths, cotangent, **given)
        array[place] = kept
        return (up - down) / (2 * step)

    for place in np.ndindex(q.shape):
        assert d_q[place] == pytest.approx(slope(q, place), rel=1e-6, abs=1e-8)
    for place in np.ndindex(contents.shape):
        assert folded["d_contents"][place] == pytest.approx(slope(contents, place), rel=1e-6, abs=1e-8)
    for place in np.ndindex(summaries.shape):
        assert apart["d_summaries"][place] == pytest.approx(slope(summaries, place, summaries=summaries), rel=1e-6, abs=1e-8)
    for name in ("query.w", "key.w"):
        for place in np.ndindex(layer.weights[name].shape):
            assert folded[name][place] == pytest.approx(slope(layer.weights[name], place), rel=1e-6, abs=1e-8)


def test_refusals(layer, arrays):
    q, contents, lengths = arrays
    over_all = HCAMAttention(E, D, F, H, 2, weight_norm="all", dtype="float64")
    with pytest.raises(InputError, match="weight_norm is 'all'"):
        over_all.forward(q, (stretch_means(contents, S, lengths), contents), lengths=lengths)
    with pytest.raises(InputError, match="summaries has shape"):
        layer.forward(q, (np.zeros((B, M, 0, D)), contents), lengths=lengths)
    with pytest.raises(InputError, match="summaries has shape"):
        layer.forward(q, (np.zeros((B, M, S, D + 1)), contents), lengths=lengths)
