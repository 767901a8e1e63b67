"""Losses against their formulas, differences and PyTorch; V-trace against sums, returns and limits."""

import numpy as np
import pytest
from layer_cases import check_gradient

from neuromem import InputError, InputTypeError
from neuromem.layers import (
    VTrace,
    entropy,
    log_softmax,
    mean_squared_error,
    policy_gradient_loss,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    vtrace,
)

pytestmark = pytest.mark.jit_off
SHAPES = [(1, 1), (4, 3), (2, 3, 5)]


def losses(shape, rng):
    """Name -> (function of the first argument, first argument)."""
    items = shape[:-1]
    labels, factors, advantages = rng.integers(0, shape[-1], items), rng.random(items), rng.standard_normal(items)
    targets, other, logits = rng.random(shape), rng.standard_normal(shape), 2 * rng.standard_normal(shape)
    return {
        "softmax": (lambda a: softmax_cross_entropy(a, labels), logits),
        "softmax, weights": (lambda a: softmax_cross_entropy(a, labels, factors), logits),
        "sigmoid": (lambda a: sigmoid_cross_entropy(a, targets), logits),
        "squares": (lambda a: mean_squared_error(a, other), logits),
        "policy": (lambda a: policy_gradient_loss(a, labels, advantages), logits),
        "policy, weights": (lambda a: policy_gradient_loss(a, labels, advantages, factors), logits),
        "entropy": (entropy, logits),
        "entropy, weights": (lambda a: entropy(a, factors), logits),
    }


NAMES = list(losses((1, 1), np.random.default_rng(0)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_agree_with_central_differences(name, shape):
    rng = np.random.default_rng(1)
    f, logits = losses(shape, rng)[name]
    loss, gradient = f(logits)
    assert isinstance(loss, float)
    check_gradient(lambda: f(logits)[0], logits, gradient, rng)


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32_and_inputs_stay_as_they_are(name):
    rng = np.random.default_rng(2)
    f, logits = losses((4, 3), rng)[name]
    single = logits.astype(np.float32)
    single.flags.writeable = False
    loss, gradient = f(single)
    wanted, slopes = f(single.astype(np.float64))
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_losses_are_those_of_torch(shape):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    rng = np.random.default_rng(3)
    logits, targets, labels = rng.standard_normal(shape), rng.random(shape), rng.integers(0, shape[-1], shape[:-1])
    for ours, theirs in (
        (
            softmax_cross_entropy(logits, labels),
            lambda a: F.cross_entropy(a.reshape(-1, shape[-1]), torch.tensor(labels).ravel()),
        ),
        (sigmoid_cross_entropy(logits, targets), lambda a: F.binary_cross_entropy_with_logits(a, torch.tensor(targets))),
        (mean_squared_error(logits, targets), lambda a: F.mse_loss(a, torch.tensor(targets))),
        (entropy(logits), lambda a: torch.distributions.Categorical(logits=a).entropy().mean()),
    ):
        tensor = torch.tensor(logits, requires_grad=True)
        wanted = theirs(tensor)
        wanted.backward()
        np.testing.assert_allclose(ours[0], wanted.item(), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(ours[1], tensor.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_losses_are_means_of_what_they_say():
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    assert softmax_cross_entropy(logits, [0, 2])[0] == pytest.approx(-(np.log(0.5) + np.log(0.7)) / 2)
    assert softmax_cross_entropy(logits, [0, 2], [3, 1])[0] == pytest.approx(-(3 * np.log(0.5) + np.log(0.7)) / 4)
    assert policy_gradient_loss(logits, [1, 0], [2.0, -1.0])[0] == pytest.approx((-2 * np.log(0.25) + np.log(0.1)) / 2)
    assert policy_gradient_loss(logits, [1, 0], [2.0, -1.0], [3, 1])[0] == pytest.approx((-6 * np.log(0.25) + np.log(0.1)) / 4)
    assert entropy(logits[:1])[0] == pytest.approx(1.5 * np.log(2))
    assert entropy(logits, [1.0, 0.0])[0] == pytest.approx(1.5 * np.log(2))
    assert sigmoid_cross_entropy([np.log(3.0)], [0.0])[0] == pytest.approx(np.log(4))
    assert mean_squared_error([[1.0, 2.0]], [[0.0, 4.0]])[0] == 2.5


def test_a_weight_of_zero_hides_an_item():
    rng = np.random.default_rng(4)
    logits, labels = rng.standard_normal((4, 3)), rng.integers(0, 3, 4)
    loss, gradient = softmax_cross_entropy(logits, labels, [1, 0, 0, 1])
    seen = softmax_cross_entropy(logits[[0, 3]], labels[[0, 3]])
    assert loss == pytest.approx(seen[0]) and not gradient[1:3].any()
    np.testing.assert_allclose(gradient[[0, 3]], seen[1])
    none, flat = softmax_cross_entropy(logits, labels, np.zeros(4))
    assert none == 0 and not flat.any()


def test_extreme_logits_do_not_overflow():
    with np.errstate(all="raise", under="ignore"):
        assert softmax_cross_entropy([[1e30, 0.0]], [0]) == (0.0, pytest.approx(np.zeros((1, 2))))
        assert softmax_cross_entropy([[1e4, 0.0]], [1])[0] == 1e4
        assert sigmoid_cross_entropy([1e4, -1e4], [1.0, 0.0])[0] == 0.0
        assert sigmoid_cross_entropy([-1e4], [1.0])[0] == 1e4
        assert entropy([[1e4, 0.0]])[0] == 0.0
        assert log_softmax([[800.0, 0.0]]).tolist() == [[0.0, -800.0]]


@pytest.mark.parametrize("items", [(0,), (2, 0)])
def test_nothing_costs_nothing(items):
    none = np.zeros(items, int)
    for loss, gradient in (
        softmax_cross_entropy(np.zeros((*items, 3)), none),
        policy_gradient_loss(np.zeros((*items, 3)), none, np.zeros(items)),
        entropy(np.zeros((*items, 3))),
        mean_squared_error(np.zeros(items), np.zeros(items)),
        sigmoid_cross_entropy(np.zeros(items), np.zeros(items)),
    ):
        assert loss == 0.0 and gradient.size == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: softmax_cross_entropy(np.zeros((2, 3)), [0, 3]), InputError, "labels has the value 3, integers from 0 to 2"),
        (lambda: softmax_cross_entropy(np.zeros((2, 3)), [0]), InputError, r"labels has shape \(1,\), \(2,\) was expected"),
        (lambda: softmax_cross_entropy(np.zeros((2, 3)), [0.0, 1.0]), InputTypeError, "labels is float64"),
        (lambda: softmax_cross_entropy(1.0, 0), InputError, r"logits has shape \(\)"),
        (lambda: softmax_cross_entropy(np.zeros((2, 0)), [0, 0]), InputError, r"logits has shape \(2, 0\)"),
        (lambda: softmax_cross_entropy(np.zeros((2, 3)), [0, 1], [1, -1]), InputError, "weights has a value that is below 0"),
        (lambda: softmax_cross_entropy(np.zeros((2, 3)), [0, 1], [1, np.nan]), InputError, "or NaN"),
        (lambda: softmax_cross_entropy(np.zeros((2, 3)), [0, 1], [1]), InputError, "weights has shape"),
        (lambda: softmax_cross_entropy(np.zeros((2, 3), complex), [0, 1]), InputTypeError, "logits is complex128"),
        (lambda: mean_squared_error([1.0], [[1.0]]), InputError, r"target has shape \(1, 1\), \(1,\)"),
        (lambda: sigmoid_cross_entropy([1.0], [1.5]), InputError, "targets has a value that is outside 0 ... 1"),
        (lambda: policy_gradient_loss(np.zeros((2, 3)), [0, 1], [1.0]), InputError, "advantages has shape"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------- V-trace


def episode(shape, rng):
    """Log probabilities of two policies, rewards, discounts with ends, values, the value behind the last step."""
    behaviour, target = np.log(rng.uniform(0.1, 1, shape)), np.log(rng.uniform(0.1, 1, shape))
    discounts = np.where(rng.random(shape) < 0.2, 0.0, rng.uniform(0.8, 1, shape))
    return behaviour, target, rng.standard_normal(shape), discounts, rng.standard_normal(shape), rng.standard_normal(shape[:-1])


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 9), (2, 3, 4)])
def test_on_policy_targets_are_the_returns(shape):
    behaviour, _, rewards, discounts, values, last = episode(shape, np.random.default_rng(5))
    found = vtrace(behaviour, behaviour, rewards, discounts, values, last)
    returns = last
    for t in reversed(range(shape[-1])):
        returns = rewards[..., t] + discounts[..., t] * returns
        np.testing.assert_allclose(found.vs[..., t], returns, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found.advantages, found.vs - values, rtol=1e-11, atol=1e-13)


def test_without_trust_the_values_stay():
    behaviour, target, rewards, discounts, values, last = episode((3, 6), np.random.default_rng(6))
    found = vtrace(behaviour, target, rewards, discounts, values, last, rho_bar=0)
    assert np.array_equal(found.vs, values) and not found.advantages.any()
    never = vtrace(behaviour, np.full((3, 6), -np.inf), rewards, discounts, values, last)
    assert np.array_equal(never.vs, values) and not never.advantages.any()


@pytest.mark.parametrize(("rho_bar", "c_bar", "lam"), [(1.0, 1.0, 1.0), (2.0, 0.7, 0.9), (0.5, 3.0, 0.0), (10.0, 10.0, 0.5)])
@pytest.mark.parametrize("n_steps", [1, 2, 8])
def test_targets_are_the_double_sum(rho_bar, c_bar, lam, n_steps):
    behaviour, target, rewards, discounts, values, last = episode((n_steps,), np.random.default_rng(7))
    found = vtrace(behaviour, target, rewards, discounts, values, last, rho_bar, c_bar, lam)
    ratio = [np.exp(target[t]) / np.exp(behaviour[t]) for t in range(n_steps)]
    behind = [*values[1:], last]
    wanted = []
    for s in range(n_steps):
        total = values[s]
        for t in range(s, n_steps):
            product = 1.0
            for i in range(s, t):
                product *= discounts[i] * lam * min(c_bar, ratio[i])
            total += product * min(rho_bar, ratio[t]) * (rewards[t] + discounts[t] * behind[t] - values[t])
        wanted.append(total)
    np.testing.assert_allclose(found.vs, wanted, rtol=1e-11, atol=1e-13)
    advantages = [
        min(rho_bar, ratio[t]) * (rewards[t] + discounts[t] * [*wanted[1:], last][t] - values[t]) for t in range(n_steps)
    ]
    np.testing.assert_allclose(found.advantages, advantages, rtol=1e-11, atol=1e-13)


def test_nothing_passes_the_end_of_an_episode():
    behaviour, target, rewards, discounts, values, last = episode((6,), np.random.default_rng(8))
    discounts[2] = 0
    before = vtrace(behaviour, target, rewards, discounts, values, last)
    rewards[3:] += 100
    after = vtrace(behaviour, target, rewards, discounts, values, last)
    assert np.array_equal(after.vs[:3], before.vs[:3]) and np.array_equal(after.advantages[:3], before.advantages[:3])
    assert (after.vs[3:] != before.vs[3:]).all()


def test_a_huge_ratio_is_cut_and_types_are_kept():
    zero = np.zeros(2, np.float32)
    found = vtrace(zero - 2000, zero, zero + 1, zero + 1, zero, np.float32(0))
    assert isinstance(found, VTrace) and found.vs.tolist() == [2.0, 1.0]
    assert found.vs.dtype == found.advantages.dtype == np.float32
    assert vtrace([], [], [], [], [], 0.0).vs.shape == (0,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": [0.0] * 4}, r"rewards has shape \(4,\), \(3,\) was expected"),
        ({"discounts": 0.9}, r"discounts has shape \(\)"),
        ({"bootstrap_value": [0.0]}, r"bootstrap_value has shape \(1,\), \(\) was expected"),
        ({"values": 1.0}, "values is one number"),
        ({"rho_bar": -1.0}, "rho_bar is -1.0"),
        ({"c_bar": float("nan")}, "c_bar is nan"),
        ({"lam": 1.5}, "lam is 1.5"),
    ],
)
def test_vtrace_refuses_what_does_not_fit(change, message):
    names = ("behaviour_log_probs", "target_log_probs", "rewards", "discounts", "values")
    arguments = {name: np.zeros(3) for name in names} | {"bootstrap_value": 0.0}
    with pytest.raises(InputError, match=message):
        vtrace(**(arguments | change))
