"""Every kind of layer with inputs of several shapes, and central differences."""

import numpy as np

from neuromem.layers import LSTM, MLP, CausalConvolution, Dense, Embedding, LayerNorm, MultiHeadAttention

LAYERS = {
    "dense": lambda dtype: Dense(3, 5, dtype=dtype, random_state=1),
    "dense, no bias": lambda dtype: Dense(3, 1, bias=False, dtype=dtype, random_state=1),
    "norm": lambda dtype: LayerNorm(3, dtype=dtype),
    "relu": lambda dtype: MLP([3, 7, 6, 2], dtype=dtype, random_state=1),
    "tanh": lambda dtype: MLP((3, 4, 2), "tanh", dtype=dtype, random_state=1),
    "attention": lambda dtype: MultiHeadAttention(3, 3, 8, 2, dtype=dtype, random_state=1),
    "causal attention": lambda dtype: MultiHeadAttention(3, 3, 6, 3, causal=True, dtype=dtype, random_state=1),
    "window of 1": lambda dtype: MultiHeadAttention(3, 3, 4, 2, window=1, dtype=dtype, random_state=1),
    "window of 3": lambda dtype: MultiHeadAttention(3, 3, 4, 2, window=3, dtype=dtype, random_state=1),
    "window of 40": lambda dtype: MultiHeadAttention(3, 3, 4, 1, window=40, dtype=dtype, random_state=1),
    "lstm": lambda dtype: LSTM(3, 4, dtype=dtype, random_state=1),
    "convolution": lambda dtype: CausalConvolution(3, 2, 3, dtype=dtype, random_state=1),
    "convolution of 1": lambda dtype: CausalConvolution(3, 2, 1, dtype=dtype, random_state=1),
    "embedding": lambda dtype: Embedding(4, 3, dtype=dtype, random_state=1),
}
LONG = ("window of 3", "window of 40", "lstm")
OVER_TIME = ("causal attention", "window of 1", "window of 3", "window of 40", "lstm", "convolution", "convolution of 1")
# the last is several blocks of queries for a window of 40, and no multiple of one
SHAPES = [(1, 1, 3), (5, 3), (2, 3, 4, 3), (2, 33, 3), (1, 85, 3)]


def sample(name, shape, rng):
    """Input of a kind that the layer takes."""
    return rng.integers(0, 4, shape[:-1]) if name == "embedding" else rng.standard_normal(shape)


def run(layer, *arguments, **named):
    """The result alone, also of a layer that gives a state beside it."""
    result = layer.forward(*arguments, **named)
    return result[0] if isinstance(result, tuple) else result


def differences(f, array, at, step=1e-5):
    """Derivatives of f() by a few numbers of an array, which is changed and put back: fourth-order central differences."""
    found = []
    flat = array.reshape(-1)
    assert flat.base is not None or flat is array
    for i in at:
        before, values = flat[i], []
        for k in (-2, -1, 1, 2):
            flat[i] = before + k * step
            values.append(f())
        flat[i] = before
        found.append((values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step))
    return np.array(found)


def check_gradient(f, array, gradient, rng, n=12, step=1e-4):
    """A gradient agrees with central differences, at up to ``n`` places, to 1e-6 of its largest entry."""
    assert gradient.shape == array.shape and gradient.dtype == np.float64
    at = rng.permutation(array.size)[:n]
    scale = max(1e-3, np.abs(gradient).max(initial=0))
    np.testing.assert_allclose(gradient.reshape(-1)[at], differences(f, array, at, step), rtol=1e-6, atol=1e-6 * scale)
