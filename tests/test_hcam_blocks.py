"""Blocks, encoder layers and the network of the classifier: equations, gradients, presets, sequences cut into chunks."""

import numpy as np
import pytest

from neuromem import InputError, InputTypeError
from neuromem.hcam.block import HCAMBlock, HCAMEncoderLayer
from neuromem.hcam.sequence import causal_chunk_mask, sequence_chunks, steps_of
from neuromem.hcam.sequence_network import SequenceNetwork

STEP = 1e-5


def shaken(layer, seed=0):
    """Weights away from where norms are 1 and biases 0."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights.values():
        weight += 0.1 * rng.standard_normal(weight.shape)
    return layer


def check_gradients(layer, forward, inputs, found, R, n_places=4):
    """Central differences of sum(y R) by the weights and by named inputs."""
    rng = np.random.default_rng(1)
    for name, array in {**layer.weights, **inputs}.items():
        places = [tuple(int(rng.integers(n)) for n in array.shape) for _ in range(n_places)]
        places.append(np.unravel_index(np.abs(found[name]).argmax(), array.shape))
        for place in places:
            kept, losses = array[place], []
            for change in (STEP, -STEP):
                array[place] = kept + change
                losses.append(float((forward() * R).sum()))
            array[place] = kept
            difference = (losses[0] - losses[1]) / (2 * STEP)
            assert np.isclose(found[name][place], difference, rtol=1e-6, atol=1e-7 * np.abs(found[name]).max() + 1e-7), name


# ---------------------------------------------------------------- sequences


@pytest.mark.jit_off
@pytest.mark.parametrize(("n_steps", "chunk_size"), [(1, 1), (1, 4), (7, 3), (9, 3), (5, 1), (0, 2)])
def test_sequences_are_cut_from_the_start(n_steps, chunk_size):
    x = np.random.default_rng(0).standard_normal((2, n_steps, 3))
    summaries, contents, lengths = sequence_chunks(x, chunk_size)
    chunks = [x[:, i : i + chunk_size] for i in range(0, n_steps, chunk_size)]
    assert contents.shape == (2, len(chunks), chunk_size, 3) and lengths.dtype == np.int32
    for m, chunk in enumerate(chunks):
        assert np.array_equal(contents[:, m, : chunk.shape[1]], chunk) and not contents[:, m, chunk.shape[1] :].any()
        assert np.allclose(summaries[:, m], chunk.mean(axis=1)) and (lengths[:, m] == chunk.shape[1]).all()
    assert np.array_equal(steps_of(contents, n_steps), x)


@pytest.mark.jit_off
def test_a_step_sees_the_chunks_that_are_closed():
    for n_steps, chunk_size in ((1, 3), (7, 3), (9, 3), (4, 1)):
        mask = causal_chunk_mask(n_steps, chunk_size, 2)
        for t in range(n_steps):
            for m in range(mask.shape[2]):
                closed = min((m + 1) * chunk_size, n_steps) - 1
                assert (mask[:, t, m] == (closed <= t)).all()


def test_sequences_that_are_none():
    with pytest.raises(InputError, match=r"x has shape \(3, 4\)"):
        sequence_chunks(np.zeros((3, 4)), 2)
    with pytest.raises(InputError, match="chunk_size is 0"):
        sequence_chunks(np.zeros((1, 3, 4)), 0)
    with pytest.raises(InputError, match="n_steps is 0"):
        causal_chunk_mask(0, 2)


# ---------------------------------------------------------------- block


@pytest.mark.jit_off
def test_block_is_attention_to_the_norm_added_to_its_input():
    block = shaken(HCAMBlock(6, 4, n_heads=2, top_k=2, dtype="float64"))
    rng = np.random.default_rng(0)
    x, contents = rng.standard_normal((2, 3, 6)), rng.standard_normal((2, 5, 4, 4))
    memory = (contents.mean(axis=2), contents)
    y, info = block.forward(x, memory, return_info=True)
    centred = x - x.mean(axis=-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    normed = normed * block.weights["norm.scale"] + block.weights["norm.offset"]
    assert np.allclose(y - x, block.attention.attend(normed, memory), atol=1e-12) and info.topk_idx.shape == (2, 3, 2)


@pytest.mark.jit_off
def test_gradients_of_a_block():
    block = shaken(HCAMBlock(6, 4, n_heads=2, top_k=2, detach_memory=False, dtype="float64"))
    rng = np.random.default_rng(0)
    x, contents, summaries = rng.standard_normal((2, 3, 6)), rng.standard_normal((2, 5, 4, 4)), rng.standard_normal((2, 5, 4))

    def forward():
        return block.forward(x, (summaries, contents))

    R = rng.standard_normal(forward().shape)
    d_x, gradients = block.backward(R)
    assert set(gradients) == {*block.weights, "d_summaries", "d_contents"}
    inputs = {"d_x": x, "d_summaries": summaries, "d_contents": contents}
    check_gradients(block, forward, inputs, {"d_x": d_x, **gradients}, R)


def test_block_names_what_is_wrong():
    block = HCAMBlock(6, n_heads=2, top_k=2)
    contents = np.zeros((1, 3, 4, 6), np.float32)
    with pytest.raises(RuntimeError, match="HCAMBlock.backward"):
        block.backward(np.zeros((1, 2, 6)))
    with pytest.raises(InputError, match="by HCAMBlock"):
        block.forward(np.zeros((1, 2, 5)), (contents.mean(axis=2), contents))
    with pytest.raises(InputTypeError, match="memory is a NoneType"):
        block.forward(np.zeros((1, 2, 6)), None)
    with pytest.raises(InputError, match="multiple of n_heads"):
        HCAMBlock(6, n_heads=4)


# ---------------------------------------------------------------- encoder layer


@pytest.mark.jit_off
@pytest.mark.parametrize("window", [3, None])
def test_gradients_of_an_encoder_layer(window):
    layer = shaken(HCAMEncoderLayer(6, 2, 2, 3, window, 5, detach_memory=False, dtype="float64"))
    x = np.random.default_rng(0).standard_normal((2, 8, 6))
    R = np.random.default_rng(1).standard_normal(layer.forward(x).shape)
    d_x, gradients = layer.backward(R)
    assert set(gradients) == set(layer.weights)
    check_gradients(layer, lambda: layer.forward(x), {"d_x": x}, {"d_x": d_x, **gradients}, R)


def test_what_is_stored_is_a_constant_where_it_is_to_be():
    """Detached, the gradient of an early step is what it has without the path through the memory."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 9, 6))
    detached, whole = (shaken(HCAMEncoderLayer(6, 2, 2, 3, 1, detach_memory=d, dtype="float64")) for d in (True, False))
    R = np.zeros((1, 9, 6))
    R[:, -1] = rng.standard_normal(6)
    assert np.array_equal(detached.forward(x), whole.forward(x))
    d_detached, _ = detached.backward(R)
    d_whole, _ = whole.backward(R)
    assert not d_detached[:, :-1].any()  # a window of 1: nothing but the memory connects steps
    assert d_whole[:, :6].any()


def test_no_step_sees_what_is_to_come():
    layer = shaken(HCAMEncoderLayer(6, 2, 2, 3, 4, dtype="float64"))
    x = np.random.default_rng(0).standard_normal((1, 12, 6))
    y = layer.forward(x)
    for t in (1, 4, 6, 11):
        changed = x.copy()
        changed[:, t:] *= -2
        assert np.allclose(layer.forward(changed)[:, :t], y[:, :t], rtol=0, atol=1e-12)
        assert not np.allclose(layer.forward(changed)[:, t:], y[:, t:])


def test_a_memory_of_earlier_steps_is_the_same_as_one_long_sequence():
    """Window 1: the second half with the chunks of all as memory, each seen when closed, is the second half of the whole."""
    layer = shaken(HCAMEncoderLayer(6, 2, 3, 3, 1, dtype="float64"))
    x = np.random.default_rng(0).standard_normal((2, 12, 6))
    whole = layer.forward(x)
    summaries, contents, _ = sequence_chunks(x, 3)
    half = layer.forward(x[:, 6:], (summaries, contents), causal_chunk_mask(12, 3, 2)[:, 6:])
    assert np.allclose(half, whole[:, 6:], atol=1e-12)


def test_presets():
    reference, sat = HCAMEncoderLayer.preset("reference"), HCAMEncoderLayer.preset("sat")
    assert (sat.width, sat.n_heads, sat.top_k, sat.chunk_size, sat.hidden) == (128, 2, 4, 32, 128)
    assert not sat.position_code and not sat.detach_memory and sat.window is None
    assert reference.position_code and reference.detach_memory and reference.window is not None
    assert HCAMEncoderLayer.preset("sat", 8, top_k=2).top_k == 2
    with pytest.raises(InputError, match="name is 'other', one of 'reference', 'sat'"):
        HCAMEncoderLayer.preset("other")
    x = np.random.default_rng(0).standard_normal((1, 9, 8))
    layer = HCAMEncoderLayer.preset("sat", 8, chunk_size=3)
    y = layer.forward(x)
    changed = x.copy()
    changed[:, -1] *= -2  # a constant would be lost in the norm
    assert not np.allclose(layer.forward(changed)[:, 0], y[:, 0])  # its local attention is not causal


def test_encoder_layer_names_what_is_wrong():
    layer = HCAMEncoderLayer(8, 2)
    with pytest.raises(InputError, match="mask was given without a memory"):
        layer.forward(np.zeros((1, 3, 8)), mask=np.ones((1, 3, 1), bool))
    with pytest.raises(InputError, match=r"x has shape \(1, 2, 3, 8\)"):
        layer.forward(np.zeros((1, 2, 3, 8)))
    with pytest.raises(RuntimeError, match="HCAMEncoderLayer.backward"):
        layer.backward(np.zeros((1, 3, 8)))
    with pytest.raises(InputError, match="chunk_size is 0"):
        HCAMEncoderLayer(8, 2, chunk_size=0)
    with pytest.raises(InputError, match="hidden is 0"):
        HCAMEncoderLayer(8, 2, hidden=0)


def test_no_sequences_and_no_steps():
    layer = HCAMEncoderLayer(8, 2)
    for shape in ((0, 5, 8), (2, 0, 8)):
        y = layer.forward(np.zeros(shape))
        assert y.shape == shape and layer.backward(y)[0].shape == shape


# ---------------------------------------------------------------- the classifier's network


@pytest.mark.jit_off
@pytest.mark.parametrize("n_layers", [1, 2])
def test_gradients_of_the_network(n_layers):
    network = shaken(SequenceNetwork(3, 4, 6, 2, 5, 3, 2, 2, n_layers, dtype="float64"))
    x = np.random.default_rng(0).standard_normal((2, 8, 3))
    R = np.random.default_rng(1).standard_normal(network.forward(x).shape)
    d_x, gradients = network.backward(R)
    assert set(gradients) == set(network.weights)
    check_gradients(network, lambda: network.forward(x), {"d_x": x}, {"d_x": d_x, **gradients}, R)


def test_a_detached_memory_teaches_the_encoder_from_the_last_window_only():
    x = np.random.default_rng(0).standard_normal((2, 12, 3))
    for detach in (True, False):
        network = SequenceNetwork(3, 4, 6, 2, 5, 3, 4, 2, detach_memory=detach, dtype="float64")
        d_x, _ = network.backward(np.ones_like(network.forward(x)))
        assert d_x[:, -2:].any() and d_x[:, :-2].any() != detach
