"""Layers: derivatives against central differences and against PyTorch, causality, equal forms, edge cases."""

import tracemalloc

import numpy as np
import pytest
from layer_cases import LAYERS, LONG, OVER_TIME, SHAPES, check_gradient, run, sample

from neuromem.layers import LSTM, CausalConvolution, Dense, Embedding, LayerNorm, MultiHeadAttention, truncated_normal
from neuromem.layers import attention as attention_module
from neuromem.layers import convolution as convolution_module

EPS32 = float(np.finfo(np.float32).eps)
pytestmark = pytest.mark.jit_off


def shapes_of(name):
    return [s for s in SHAPES if s[-2] < 30 or name in LONG]


@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name in LAYERS for shape in shapes_of(name)])
def test_backward_agrees_with_central_differences(name, shape):
    rng = np.random.default_rng(7)
    layer, x = LAYERS[name]("float64"), sample(name, shape, rng)
    for array in layer.weights.values():
        array += 0.3 * rng.standard_normal(array.shape)  # biases of 0 would hide what they do
    weigh = rng.standard_normal(run(layer, x).shape)
    d_x, gradients = layer.backward(weigh)

    def f():
        return float((run(layer, x) * weigh).sum())

    assert list(gradients) == list(layer.weights)
    for weight, array in layer.weights.items():
        check_gradient(f, array, gradients[weight], rng)
    if name == "embedding":
        assert d_x is None
    else:
        check_gradient(f, x, d_x, rng)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 5), (6, 2)])
@pytest.mark.parametrize("masked", [False, True])
def test_cross_attention_backward(n, m, masked):
    rng = np.random.default_rng(8)
    layer = MultiHeadAttention(3, 5, 6, 2, dtype="float64", random_state=2)
    x, memory = rng.standard_normal((2, n, 3)), rng.standard_normal((2, m, 5))
    mask = rng.random((2, n, m)) < 0.6 if masked else None
    weigh = rng.standard_normal((2, n, 6))
    layer.forward(x, memory, mask)
    d_x, gradients = layer.backward(weigh)

    def f():
        return float((layer.forward(x, memory, mask) * weigh).sum())

    check_gradient(f, x, d_x, rng)
    check_gradient(f, memory, gradients.pop("d_memory"), rng)
    assert list(gradients) == list(layer.weights)
    for name, array in layer.weights.items():
        check_gradient(f, array, gradients[name], rng)


@pytest.mark.parametrize(("shape", "restarts"), [((3, 3), False), ((2, 6, 3), True), ((2, 2, 4, 3), True)])
def test_lstm_backward_with_state_and_restarts(shape, restarts):
    rng = np.random.default_rng(9)
    layer, x = LSTM(3, 4, dtype="float64", random_state=2), rng.standard_normal(shape)
    state = tuple(rng.standard_normal((2, *shape[:-2], 4)))
    restart = rng.random(shape[:-1]) < 0.4 if restarts else None
    weigh, weigh_state = rng.standard_normal((*shape[:-1], 4)), tuple(rng.standard_normal((2, *shape[:-2], 4)))

    def f():
        h, after = layer.forward(x, state, restart)
        return float((h * weigh).sum() + sum((a * b).sum() for a, b in zip(after, weigh_state, strict=True)))

    f()
    d_x, gradients = layer.backward(weigh, weigh_state)
    check_gradient(f, x, d_x, rng)
    for name, array in layer.weights.items():
        check_gradient(f, array, gradients[name], rng)


# ---------------------------------------------------------------- by the equations, one number at a time


def test_lstm_follows_its_equations():
    rng = np.random.default_rng(10)
    layer, x = LSTM(2, 3, dtype="float64", random_state=3), rng.standard_normal((4, 2))
    w = layer.weights
    assert w["b"].tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6
    h, c = np.zeros(3), np.zeros(3)
    wanted = []
    for t in range(4):
        z = x[t] @ w["w_input"] + h @ w["w_hidden"] + w["b"]
        gate = 1 / (1 + np.exp(-z))
        c = gate[3:6] * c + gate[:3] * np.tanh(z[9:])
        h = gate[6:9] * np.tanh(c)
        wanted.append(h)
    found, (last_h, last_c) = layer.forward(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-13)
    np.testing.assert_allclose(last_c, c, rtol=1e-13)
    assert np.array_equal(last_h, found[-1])


def test_attention_follows_its_equation():
    rng = np.random.default_rng(11)
    layer = MultiHeadAttention(3, 4, 6, 2, dtype="float64", random_state=3)
    for array in layer.weights.values():
        array += 0.3 * rng.standard_normal(array.shape)
    x, memory = rng.standard_normal((5, 3)), rng.standard_normal((7, 4))
    w = layer.weights
    wanted = np.zeros((5, 6))
    for t in range(5):
        for head in range(2):
            columns = slice(3 * head, 3 * head + 3)
            q = (x[t] @ w["query.w"] + w["query.b"])[columns]
            scores = np.array([q @ (item @ w["key.w"] + w["key.b"])[columns] for item in memory]) / np.sqrt(3)
            p = np.exp(scores) / np.exp(scores).sum()
            wanted[t, columns] = sum(p[s] * (memory[s] @ w["value.w"] + w["value.b"])[columns] for s in range(7))
    np.testing.assert_allclose(layer.forward(x, memory), wanted @ w["linear.w"] + w["linear.b"], rtol=1e-12)


def test_convolution_follows_its_equation():
    rng = np.random.default_rng(12)
    layer, x = CausalConvolution(2, 3, 4, dtype="float64"), rng.standard_normal((6, 2))
    layer.weights["b"][:] = rng.standard_normal(3)
    w, b = layer.weights["w"], layer.weights["b"]
    wanted = [b + sum(x[t - 3 + j] @ w[j] for j in range(4) if t - 3 + j >= 0) for t in range(6)]
    np.testing.assert_allclose(layer.forward(x), wanted, rtol=1e-12)


def test_embedding_gradient_sums_repeated_symbols():
    rng = np.random.default_rng(13)
    layer, symbols = Embedding(5, 3, dtype="float64"), rng.integers(0, 4, (6, 7))
    d_y = rng.standard_normal((6, 7, 3))
    assert np.array_equal(layer.forward(symbols), layer.weights["w"][symbols])
    wanted = np.zeros((5, 3))
    for symbol, d in zip(symbols.ravel(), d_y.reshape(-1, 3), strict=True):
        wanted[symbol] += d
    found = layer.backward(d_y)[1]["w"]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)
    assert not found[4].any()


# ---------------------------------------------------------------- against PyTorch


def torch_gradients(y, weigh, *inputs):
    (y * weigh).sum().backward()
    return [tensor.grad.numpy() for tensor in inputs]


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 3), (3, 17, 3)])
def test_lstm_is_that_of_torch(shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(14)
    ours, theirs = LSTM(3, 4, dtype="float64", random_state=4), torch.nn.LSTM(3, 4, batch_first=True, dtype=torch.float64)
    order = np.r_[0:8, 12:16, 8:12]  # theirs: input, forget, candidate, output
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.tensor(ours.weights["w_input"].T[order]))
        theirs.weight_hh_l0.copy_(torch.tensor(ours.weights["w_hidden"].T[order]))
        theirs.bias_ih_l0.copy_(torch.tensor(ours.weights["b"][order]))
        theirs.bias_hh_l0.zero_()
    x, weigh = rng.standard_normal(shape), rng.standard_normal((*shape[:-1], 4))
    first = tuple(rng.standard_normal((2, shape[0], 4)))
    tensor = torch.tensor(x, requires_grad=True)
    wanted, state = theirs(tensor, tuple(torch.tensor(part)[None] for part in first))
    found, after = ours.forward(x, first)
    np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=1e-12, atol=1e-14)
    for part, other in zip(after, state, strict=True):
        np.testing.assert_allclose(part, other.detach().numpy()[0], rtol=1e-12, atol=1e-14)
    d_x, gradients = ours.backward(weigh)
    parts = torch_gradients(wanted, torch.tensor(weigh), tensor, theirs.weight_ih_l0, theirs.weight_hh_l0, theirs.bias_ih_l0)
    back = np.argsort(order)
    for own, other in zip((d_x, *gradients.values()), (parts[0], *(p[back].T for p in parts[1:])), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("n", "window"), [(5, None), (6, 3), (40, 34), (70, 5)])
def test_self_attention_is_that_of_torch(n, window):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(15)
    ours = MultiHeadAttention(6, 6, 6, 2, window=window, causal=window is None, dtype="float64", random_state=4)
    theirs = torch.nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
    w = ours.weights
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.tensor(np.concatenate([w[f"{p}.w"].T for p in ("query", "key", "value")])))
        theirs.in_proj_bias.zero_()
        theirs.out_proj.weight.copy_(torch.tensor(w["linear.w"].T))
        theirs.out_proj.bias.zero_()
    x, weigh = rng.standard_normal((2, n, 6)), rng.standard_normal((2, n, 6))
    lag = np.arange(n)[:, None] - np.arange(n)
    blocked = torch.tensor((lag < 0) | (lag >= (window or n)))
    tensor = torch.tensor(x, requires_grad=True)
    wanted, _ = theirs(tensor, tensor, tensor, attn_mask=blocked, need_weights=False)
    np.testing.assert_allclose(ours.forward(x), wanted.detach().numpy(), rtol=1e-12, atol=1e-14)
    d_x, gradients = ours.backward(weigh)
    parts = torch_gradients(
        wanted, torch.tensor(weigh), tensor, theirs.in_proj_weight, theirs.in_proj_bias, theirs.out_proj.weight
    )
    np.testing.assert_allclose(d_x, parts[0], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(np.concatenate([gradients[f"{p}.w"].T for p in ("query", "key", "value")]), parts[1], atol=1e-12)
    np.testing.assert_allclose(np.concatenate([gradients[f"{p}.b"] for p in ("query", "key", "value")]), parts[2], atol=1e-12)
    np.testing.assert_allclose(gradients["linear.w"].T, parts[3], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("shape", [(1, 6), (4, 6), (2, 3, 6)])
def test_pointwise_layers_are_those_of_torch(shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(16)
    x, weigh = rng.standard_normal(shape), rng.standard_normal(shape)
    tensor = torch.tensor(x, requires_grad=True)
    norm, dense = LayerNorm(6, 1e-3, "float64"), Dense(6, 6, dtype="float64")
    for array in norm.weights.values():
        array += 0.5 * rng.standard_normal(6)
    w, b, scale, offset = (torch.tensor(a, requires_grad=True) for a in (*dense.weights.values(), *norm.weights.values()))
    wanted = torch.nn.functional.layer_norm(tensor @ w + b, (6,), scale, offset, 1e-3)
    np.testing.assert_allclose(norm.forward(dense.forward(x)), wanted.detach().numpy(), rtol=1e-12, atol=1e-14)
    d, of_norm = norm.backward(weigh)
    d_x, of_dense = dense.backward(d)
    parts = torch_gradients(wanted, torch.tensor(weigh), tensor, w, b, scale, offset)
    for own, other in zip((d_x, *of_dense.values(), *of_norm.values()), parts, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 1, 3), (2, 4, 3), (1, 30, 3)])
def test_convolution_is_that_of_torch(shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(17)
    layer = CausalConvolution(3, 2, 5, dtype="float64")
    x, weigh = rng.standard_normal(shape), rng.standard_normal((*shape[:-1], 2))
    tensor = torch.tensor(x, requires_grad=True)
    w = torch.tensor(layer.weights["w"], requires_grad=True)
    padded = torch.nn.functional.pad(tensor.transpose(1, 2), (4, 0))
    wanted = torch.nn.functional.conv1d(padded, w.permute(2, 1, 0)).transpose(1, 2)
    np.testing.assert_allclose(layer.forward(x), wanted.detach().numpy(), rtol=1e-12, atol=1e-14)
    d_x, gradients = layer.backward(weigh)
    for own, other in zip((d_x, gradients["w"]), torch_gradients(wanted, torch.tensor(weigh), tensor, w), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-11, atol=1e-13)


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("name", OVER_TIME)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_future_changes_nothing_earlier(name, dtype):
    rng = np.random.default_rng(18)
    layer, x = LAYERS[name](dtype), rng.standard_normal((3, 90, 3))
    before = run(layer, x)
    for t in (0, 1, 31, 32, 40, 89):
        other = x.copy()
        other[:, t:] = 10 * rng.standard_normal(other[:, t:].shape)
        after = run(layer, other)
        assert np.array_equal(after[:, :t], before[:, :t])
        assert not np.array_equal(after[:, t], before[:, t])


@pytest.mark.parametrize(("name", "sight"), [("window of 1", 1), ("window of 3", 3), ("window of 40", 40), ("convolution", 3)])
def test_a_window_ends_where_it_says(name, sight):
    rng = np.random.default_rng(19)
    layer, x = LAYERS[name]("float64"), rng.standard_normal((1, 90, 3))
    before = run(layer, x)
    for t in (0, 7, 35):
        other = x.copy()
        other[:, t] += 1
        changed = np.flatnonzero((run(layer, other) != before).any(axis=(0, 2)))
        assert changed.tolist() == list(range(t, t + sight))


@pytest.mark.parametrize("window", [1, 2, 5, 31, 32, 33, 34, 50, 200])
@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 100])
def test_window_attention_is_full_attention_with_a_mask(window, n):
    rng = np.random.default_rng(20)
    local = MultiHeadAttention(3, 3, 4, 2, window=window, dtype="float64", random_state=5)
    full = MultiHeadAttention(3, 3, 4, 2, dtype="float64", random_state=5)
    lag = np.arange(n)[:, None] - np.arange(n)
    x, weigh = rng.standard_normal((2, n, 3)), rng.standard_normal((2, n, 4))
    np.testing.assert_allclose(local.forward(x), full.forward(x, mask=(lag >= 0) & (lag < window)), rtol=1e-12, atol=1e-14)
    (d_x, gradients), (wanted, others) = local.backward(weigh), full.backward(weigh)
    np.testing.assert_allclose(d_x, wanted, rtol=1e-10, atol=1e-12)
    for name in gradients:
        np.testing.assert_allclose(gradients[name], others[name], rtol=1e-10, atol=1e-12)


def test_a_short_window_over_a_long_time_makes_no_square():
    layer = MultiHeadAttention(2, 2, 2, window=16)
    x = np.zeros((1, 1 << 17, 2), np.float32)
    tracemalloc.start()
    try:
        layer.forward(x)
        layer.backward(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # a byte for every pair would be 16 GiB; per item there are two scores for every place of a window, kept and being made
    assert peak < x.shape[1] * 2000


def test_a_query_that_sees_nothing_gives_the_bias_and_no_gradient():
    rng = np.random.default_rng(21)
    layer = MultiHeadAttention(3, 3, 4, dtype="float64")
    layer.weights["linear.b"][:] = [1, 2, 3, 4]
    x, mask = rng.standard_normal((3, 3)), np.array([[True] * 3, [False] * 3, [True, False, False]])
    assert layer.forward(x, mask=mask)[1].tolist() == [1, 2, 3, 4]
    d_x, gradients = layer.backward(np.array([[0.0] * 4, [1.0] * 4, [0.0] * 4]))
    assert not d_x.any() and not gradients["value.w"].any() and np.isfinite(gradients["linear.w"]).all()


def test_mask_and_causal_together():
    rng = np.random.default_rng(22)
    x, mask = rng.standard_normal((2, 4, 3)), rng.random((2, 4, 4)) < 0.5
    causal = MultiHeadAttention(3, 3, 4, causal=True, random_state=3).forward(x, mask=mask)
    assert np.array_equal(causal, MultiHeadAttention(3, 3, 4, random_state=3).forward(x, mask=mask & np.tri(4, dtype=bool)))


def test_lstm_in_two_parts_is_the_whole():
    rng = np.random.default_rng(23)
    layer, x = LSTM(3, 4), rng.standard_normal((2, 9, 3))
    whole, last = layer.forward(x)
    first, state = layer.forward(x[:, :4])
    second, end = layer.forward(x[:, 4:], state)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=0, atol=8 * EPS32)
    np.testing.assert_allclose(end, last, rtol=0, atol=8 * EPS32)


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_state_may_be_changed_before_backward(lanes):
    rng = np.random.default_rng(30)
    layer, x, weigh = LSTM(3, 4, dtype="float64"), rng.standard_normal((lanes, 5, 3)), rng.standard_normal((lanes, 5, 4))
    h, _ = layer.forward(x)
    before, (d_x, _) = h.copy(), layer.backward(weigh)
    h, state = layer.forward(x)
    for part in state:
        part[:] = 99
    assert np.array_equal(h, before) and np.array_equal(layer.backward(weigh)[0], d_x)


def test_a_restart_is_a_new_beginning():
    rng = np.random.default_rng(24)
    layer, x = LSTM(3, 4, dtype="float64"), rng.standard_normal((2, 6, 3))
    restart = np.zeros((2, 6), bool)
    restart[0, 2] = True
    found = layer.forward(x, tuple(rng.standard_normal((2, 2, 4))), restart)[0]
    np.testing.assert_allclose(found[0, 2:], layer.forward(x[0, 2:])[0], rtol=1e-12)
    assert not np.allclose(found[1, 2:], layer.forward(x[1, 2:])[0])


# ---------------------------------------------------------------- forms and sizes


@pytest.mark.parametrize("name", LAYERS)
def test_lanes_do_not_mix_and_a_batch_may_be_split(name):
    rng = np.random.default_rng(25)
    layer, x = LAYERS[name]("float64"), sample(name, (4, 2, 6, 3), rng)
    whole = run(layer, x)
    weigh = rng.standard_normal(whole.shape)
    d_x, gradients = layer.backward(weigh)
    parts, slopes, sums = [], [], dict.fromkeys(gradients, 0)
    for i in range(4):
        parts.append(run(layer, x[i]))
        slope, found = layer.backward(weigh[i])
        slopes.append(slope)
        sums = {key: sums[key] + found[key] for key in sums}
    np.testing.assert_allclose(parts, whole, rtol=1e-11, atol=1e-13)
    if d_x is not None:
        np.testing.assert_allclose(slopes, d_x, rtol=1e-11, atol=1e-13)
    for key in gradients:
        np.testing.assert_allclose(sums[key], gradients[key], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3), (0, 3)])
def test_nothing_in_gives_nothing_out(name, shape):
    layer = LAYERS[name]("float32")
    y = run(layer, sample(name, shape, np.random.default_rng(0)))
    assert y.shape[:-1] == shape[:-1] and y.dtype == np.float32
    d_x, gradients = layer.backward(y)
    assert d_x is None or d_x.shape == shape
    assert not any(gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("name", LAYERS)
def test_float32_is_float64_to_rounding(name):
    rng = np.random.default_rng(26)
    single, double = LAYERS[name]("float32"), LAYERS[name]("float64")
    x = sample(name, (2, 45, 3), rng)
    y, wanted = run(single, x), run(double, x)
    weigh = rng.standard_normal(wanted.shape)
    (d_x, gradients), (d_wanted, others) = single.backward(weigh), double.backward(weigh)
    pairs = [(y, wanted), *((gradients[key], others[key]) for key in others)] + ([] if d_x is None else [(d_x, d_wanted)])
    for own, other in pairs:
        assert own.dtype == np.float32 and other.dtype == np.float64
        # sums over 90 items, behind a handful of steps that each lose as much again
        np.testing.assert_allclose(own, other, rtol=0, atol=16 * EPS32 * 90**0.5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("name", LAYERS)
def test_inputs_are_never_modified_and_need_not_be_contiguous(name):
    rng = np.random.default_rng(27)
    for shape in ((1, 6, 3), (2, 1, 3), (2, 6, 3)):
        layer, x = LAYERS[name]("float64"), sample(name, shape, rng)
        before = x.copy()
        x.flags.writeable = False
        y = run(layer, x)
        weigh = rng.standard_normal(y.shape)
        kept = weigh.copy()
        weigh.flags.writeable = False
        d_x, gradients = layer.backward(weigh)
        assert np.array_equal(x, before) and np.array_equal(weigh, kept)
        strange = np.asfortranarray(x)[::1]
        assert np.array_equal(run(layer, strange), y)
        again = layer.backward(np.asfortranarray(weigh))
        assert all(np.array_equal(again[1][key], gradients[key]) for key in gradients)
        assert d_x is None or np.array_equal(again[0], d_x)


def test_convolution_in_stretches_is_the_same(monkeypatch):
    rng = np.random.default_rng(28)
    layer, x, weigh = LAYERS["convolution"]("float64"), rng.standard_normal((2, 11, 3)), rng.standard_normal((2, 11, 2))
    y, (d_x, gradients) = layer.forward(x), layer.backward(weigh)
    monkeypatch.setattr(convolution_module, "NUMBERS_AT_ONCE", 80)  # four steps at a time
    np.testing.assert_allclose(layer.forward(x), y, rtol=1e-12)
    again = layer.backward(weigh)
    np.testing.assert_allclose(again[0], d_x, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(again[1]["w"], gradients["w"], rtol=1e-12, atol=1e-14)


def test_softmax_of_large_scores():
    found = attention_module.softmax(np.array([[1e4, 1e4, -np.inf], [-np.inf, -np.inf, -np.inf], [-1e4, 0.0, -np.inf]]))
    assert found.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


# ---------------------------------------------------------------- first weights


def test_truncated_normal_stays_within_two_deviations_and_has_its_own():
    draws = truncated_normal(np.random.default_rng(29), (400, 500), 0.5, "float64")
    assert np.abs(draws).max() <= 1.0 and np.abs(draws).max() > 0.999
    # of 200 000 draws: the error of a deviation is below it times 1 / sqrt(2 n), of a mean it is it over sqrt(n)
    assert abs(draws.std() - 0.5 * 0.87962566103423978) < 4 * 0.44 / np.sqrt(2 * draws.size)
    assert abs(draws.mean()) < 4 * 0.44 / np.sqrt(draws.size)


def test_first_weights_have_the_variance_promised():
    for layer, name, fan_in, scale in (
        (Dense(400, 300, init_scale=2.0), "w", 400, 2.0),
        (CausalConvolution(50, 300, 8), "w", 400, 1.0),
        (LSTM(400, 100), "w_input", 400, 1.0),
    ):
        w = layer.weights[name]
        assert w.dtype == np.float32
        assert abs(w.var() * fan_in / scale - 1) < 4 * np.sqrt(2 / w.size)
    assert not Dense(4, 3).weights["b"].any()


def test_both_precisions_start_from_the_same_draws():
    single, double = (Dense(5, 4, dtype=dtype, random_state=6).weights["w"] for dtype in ("float32", "float64"))
    assert np.array_equal(double.astype(np.float32), single)
    assert not np.array_equal(single, Dense(5, 4, random_state=7).weights["w"])
