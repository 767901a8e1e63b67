"""Optimisers: closed forms, PyTorch, exact resumption, bad input."""

import io

import numpy as np
import pytest

from neuromem import FormatError, InputError, InputTypeError
from neuromem.layers import MLP, mean_squared_error
from neuromem.optim import SGD, Adam, clip_by_norm

pytestmark = pytest.mark.jit_off
SHAPES = {"w": (3, 4), "b": (4,), "scale": ()}
KINDS = {
    "sgd": lambda weights: SGD(weights, 0.1),
    "momentum": lambda weights: SGD(weights, 0.1, 0.9),
    "adam": lambda weights: Adam(weights, 0.01),
    "adam, other": lambda weights: Adam(weights, 0.3, 0.5, 0.7, 1e-3),
}


def draw(rng, dtype="float64", scale=1.0):
    return {name: np.array(scale * rng.standard_normal(shape)).astype(dtype) for name, shape in SHAPES.items()}


def copied(arrays):
    return {name: array.copy() for name, array in arrays.items()}


def same(arrays, others):
    return list(arrays) == list(others) and all(np.array_equal(arrays[name], others[name]) for name in arrays)


# ---------------------------------------------------------------- closed forms


def test_sgd_under_a_constant_gradient():
    weights, gradient = {"w": np.array([1.0, 2.0])}, np.array([1.0, -3.0])
    optimiser = SGD(weights, 0.125, momentum=0.5)
    for t in range(1, 12):
        optimiser.step({"w": gradient})
        # velocity 2 (1 - 2^-t) g; its sum over steps is 2 (t - 1 + 2^-t) g
        np.testing.assert_allclose(weights["w"], [1, 2] - 0.125 * 2 * (t - 1 + 0.5**t) * gradient, rtol=1e-13)


def test_sgd_shrinks_a_parabola_geometrically():
    weights = {"w": np.array([8.0])}
    optimiser = SGD(weights, 0.25)
    for t in range(1, 9):
        optimiser.step({"w": 2 * weights["w"]})
        assert weights["w"][0] == 8.0 * 0.5**t


def test_adam_under_a_constant_gradient_moves_by_the_learning_rate():
    weights, gradient = {"w": np.array([1.0, 2.0, 3.0])}, np.array([5.0, -1e-3, 0.0])
    optimiser = Adam(weights, 0.1, epsilon=1e-300)
    for t in range(1, 40):
        optimiser.step({"w": gradient})
        np.testing.assert_allclose(weights["w"], [1 - 0.1 * t, 2 + 0.1 * t, 3], rtol=1e-12, atol=1e-14 * t)
    assert optimiser.n_steps == 39


def test_adam_follows_algorithm_1():
    rng = np.random.default_rng(1)
    weights = draw(rng)
    wanted, m, v = copied(weights), dict.fromkeys(SHAPES, 0.0), dict.fromkeys(SHAPES, 0.0)
    optimiser = KINDS["adam, other"](weights)
    for t in range(1, 20):
        gradients = draw(rng)
        optimiser.step(gradients)
        for name, g in gradients.items():
            m[name] = 0.5 * m[name] + 0.5 * g
            v[name] = 0.7 * v[name] + 0.3 * g**2
            wanted[name] = wanted[name] - 0.3 * (m[name] / (1 - 0.5**t)) / (np.sqrt(v[name] / (1 - 0.7**t)) + 1e-3)
    for name in SHAPES:
        np.testing.assert_allclose(weights[name], wanted[name], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torch(kind):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    weights = draw(rng)
    tensors = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in weights.items()}
    optimiser = KINDS[kind](weights)
    if kind.startswith("adam"):
        betas = (optimiser.beta1, optimiser.beta2)
        other = torch.optim.Adam(tensors.values(), optimiser.learning_rate, betas, optimiser.epsilon)
    else:
        other = torch.optim.SGD(tensors.values(), optimiser.learning_rate, optimiser.momentum)
    for t in range(50):
        gradients = draw(rng, scale=10.0 ** (t % 5 - 2))
        optimiser.step(gradients)
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(gradients[name])
        other.step()
    for name, tensor in tensors.items():
        np.testing.assert_allclose(weights[name], tensor.detach().numpy(), rtol=1e-12, atol=1e-13)


# ---------------------------------------------------------------- in place, resumed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_are_in_place_and_leave_gradients_alone(kind, dtype):
    rng = np.random.default_rng(3)
    weights, gradients = draw(rng, dtype), draw(rng, "float64")
    arrays, before, kept = dict(weights), copied(weights), copied(gradients)
    for array in gradients.values():
        array.flags.writeable = False
    KINDS[kind](weights).step(gradients)
    assert all(weights[name] is arrays[name] and weights[name].dtype == dtype for name in arrays)
    assert all((weights[name] != before[name]).all() for name in arrays)
    assert same(gradients, kept)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("through_a_file", [False, True])
def test_resumed_steps_are_the_same_bits(kind, dtype, through_a_file):
    rng = np.random.default_rng(4)
    weights, steps = draw(rng, dtype), [draw(rng, dtype) for _ in range(7)]
    optimiser = KINDS[kind](weights)
    for gradients in steps[:3]:
        optimiser.step(gradients)
    optimiser.learning_rate = 0.05
    state, others = optimiser.get_state(), copied(weights)
    if through_a_file:
        file = io.BytesIO()
        np.savez(file, **state)
        file.seek(0)
        state = dict(np.load(file, allow_pickle=False))
    for gradients in steps[3:]:
        optimiser.step(gradients)
    again = KINDS[kind](others)
    again.set_state(state)
    assert again.n_steps == 3 and again.learning_rate == 0.05
    for gradients in steps[3:]:
        again.step(gradients)
    assert same(others, weights)
    fresh = KINDS[kind](copied(others))
    assert fresh.n_steps == 0


def test_training_in_parts_is_training_at_once():
    rng = np.random.default_rng(5)
    x, target = rng.standard_normal((32, 3)), rng.standard_normal((32, 2))

    def train(net, optimiser, n):
        for _ in range(n):
            _, d = mean_squared_error(net.forward(x), target)
            optimiser.step(net.backward(d)[1])

    whole = MLP([3, 8, 2], random_state=6)
    optimiser = Adam(whole.weights, 0.01)
    first_loss = mean_squared_error(whole.forward(x), target)[0]
    train(whole, optimiser, 20)
    state, net = optimiser.get_state(), whole.copy()
    train(whole, optimiser, 180)
    resumed = Adam(net.weights, 1.0)
    resumed.set_state(state)
    train(net, resumed, 180)
    assert same(net.weights, whole.weights)
    assert mean_squared_error(net.forward(x), target)[0] < 0.7 * first_loss


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda g: g.pop("b"), InputError, r"gradients lacks \['b'\]"),
        (lambda g: g.update(d_memory=np.zeros(3)), InputError, r"gradients has \['d_memory'\], which are no weights of this"),
        (lambda g: g.update(b=np.zeros(5)), InputError, r"gradients\['b'\] has shape \(5,\), \(4,\) was expected"),
        (lambda g: g.update(b=np.array([0, 0, 0, np.nan])), InputError, r"gradients\['b'\] contains NaN"),
        (lambda g: g.update(b=np.array([0, 0, 0, np.inf])), InputError, "infinity"),
        (lambda g: g.update(b=np.full(4, 1e300)), InputError, "finite float32 numbers"),
        (lambda g: g.update(b=np.zeros(4, int)), InputTypeError, r"gradients\['b'\] is int64, an array of floats"),
        (lambda g: g.update(b=[0.0] * 4), InputTypeError, r"gradients\['b'\] is list"),
    ],
)
@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_bad_gradients_change_nothing(kind, change, error, message):
    rng = np.random.default_rng(7)
    weights, gradients = draw(rng, "float32"), draw(rng)
    optimiser = KINDS[kind](weights)
    optimiser.step(draw(rng))
    before, state = copied(weights), optimiser.get_state()
    change(gradients)
    with pytest.raises(error, match=message):
        optimiser.step(gradients)
    assert same(weights, before) and same(optimiser.get_state(), state)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda w: Adam(w, 0.0), InputError, "learning_rate is 0.0, a number above 0"),
        (lambda w: Adam(w, beta1=1.0), InputError, "beta1 is 1.0, a number from 0 below 1"),
        (lambda w: Adam(w, beta2=-0.1), InputError, "beta2 is -0.1"),
        (lambda w: Adam(w, epsilon=0), InputError, "epsilon is 0"),
        (lambda w: SGD(w, 0.1, 1.0), InputError, "momentum is 1.0"),
        (lambda w: SGD(w, "fast"), InputTypeError, "learning_rate is 'fast'"),
        (lambda w: SGD(list(w), 0.1), InputTypeError, "weights is a list, a mapping"),
        (lambda w: SGD({"w": np.zeros(3, int)}, 0.1), InputTypeError, r"weights\['w'\] is int64, a float32 or float64"),
        (lambda w: SGD({"w": [1.0]}, 0.1), InputTypeError, r"weights\['w'\] is list"),
        (lambda w: SGD({"w": np.broadcast_to(1.0, 3)}, 0.1), InputError, r"weights\['w'\] is read-only"),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(draw(np.random.default_rng(8)))


def test_a_learning_rate_set_later_is_checked():
    weights = draw(np.random.default_rng(9))
    optimiser, before = SGD(weights, 0.1), copied(weights)
    optimiser.learning_rate = -1.0
    with pytest.raises(InputError, match="learning_rate is -1.0"):
        optimiser.step(before)
    assert same(weights, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("n_steps"), r"differs from that of this Adam in \['n_steps'\]"),
        (lambda s: s.update({"first.other": np.zeros(2)}), r"\['first.other'\]"),
        (lambda s: s.update({"first.b": np.zeros(5)}), r"first.b is float64 \(5,\), finite float64 \(4,\)"),
        (lambda s: s.update({"first.b": np.zeros(4, np.float32)}), "first.b is float32, float64 was expected"),
        (lambda s: s.update({"second.b": np.full(4, np.nan)}), "second.b is float64"),
        (lambda s: s.update(beta1=1.0), "state is out of range: beta1 is 1.0"),
        (lambda s: s.update(n_steps=-1), "n_steps is -1"),
        (lambda s: s.update(n_steps=1.5), "n_steps is float64"),
        (lambda s: s.update(learning_rate="x"), "learning_rate is <U1"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    rng = np.random.default_rng(10)
    optimiser = Adam(draw(rng))
    optimiser.step(draw(rng))
    before = optimiser.get_state()
    state = {**optimiser.get_state(), "learning_rate": 0.5}
    change(state)
    with pytest.raises(FormatError, match=message):
        optimiser.set_state(state)
    assert same(optimiser.get_state(), before)


# ---------------------------------------------------------------- clipping


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_keeps_the_direction(dtype):
    gradients = draw(np.random.default_rng(11), dtype)
    before = copied(gradients)
    whole = float(np.sqrt(sum((array.astype(np.float64) ** 2).sum() for array in before.values())))
    assert clip_by_norm(gradients, 2 * whole) == pytest.approx(whole, rel=1e-12)
    assert same(gradients, before)
    assert clip_by_norm(gradients, 0.5) == pytest.approx(whole, rel=1e-12)
    for name, array in gradients.items():
        np.testing.assert_allclose(array, before[name] * (0.5 / whole), rtol=1e-6 if dtype == "float32" else 1e-14)
        assert array.dtype == dtype
    assert clip_by_norm(gradients, 1.0) == pytest.approx(0.5, rel=1e-6)


def test_clipping_is_that_of_torch():
    torch = pytest.importorskip("torch")
    gradients = draw(np.random.default_rng(12))
    tensors = [torch.nn.Parameter(torch.zeros(array.shape, dtype=torch.float64)) for array in gradients.values()]
    for tensor, array in zip(tensors, gradients.values(), strict=True):
        tensor.grad = torch.tensor(array)
    norm = torch.nn.utils.clip_grad_norm_(tensors, 0.7)
    assert clip_by_norm(gradients, 0.7) == pytest.approx(norm.item(), rel=1e-12)
    for tensor, array in zip(tensors, gradients.values(), strict=True):
        np.testing.assert_allclose(array, tensor.grad.numpy(), rtol=1e-5)  # theirs adds 1e-6 to the norm


def test_large_numbers_in_float32_have_a_norm():
    gradients = {"w": np.full(4, 1e30, np.float32)}
    assert clip_by_norm(gradients, 1.0) == pytest.approx(2e30, rel=1e-6)
    np.testing.assert_allclose(gradients["w"], 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.array([np.nan]), InputError, r"gradients\['bad'\] contains NaN"),
        (np.broadcast_to(3.0, 2), InputError, r"gradients\['bad'\] is read-only"),
        (np.array([1]), InputTypeError, r"gradients\['bad'\] is int64"),
    ],
)
def test_clipping_refuses_bad_gradients_and_changes_nothing(bad, error, message):
    gradients = {"w": np.full(3, 9.0), "bad": bad}
    with pytest.raises(error, match=message):
        clip_by_norm(gradients, 1.0)
    assert gradients["w"].tolist() == [9.0] * 3
    with pytest.raises(InputError, match="maximum is 0"):
        clip_by_norm({}, 0)
    assert clip_by_norm({}, 1.0) == 0.0
