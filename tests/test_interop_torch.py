"""Attention over chunks inside PyTorch: values and gradients of the layer, one memory for both, and PyTorch's own check."""

import copy
import io
import sys

import numpy as np
import pytest

from neuromem import CallOrderError, InputError, InputTypeError, MissingDependencyError
from neuromem.hcam import ChunkMemory, HCAMAttention

try:
    import torch

    from neuromem.interop.torch import HCAMAttentionModule
except ImportError:
    torch = None

with_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
LANES, QUERIES, CHUNKS, STEPS, WIDTH = 2, 3, 6, 4, 6


def test_without_torch_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "neuromem.interop.torch", raising=False)
    with pytest.raises(MissingDependencyError, match="needs PyTorch: .* pip install torch"):
        import neuromem.interop.torch  # noqa: F401


def layer(**params):
    settings = dict(n_heads=2, top_k=3, detach_memory=False, dtype="float64", random_state=3) | params
    return HCAMAttention(5, WIDTH, 8, **settings)


def tensors(seed=0, dtype="float64"):
    """Queries, summaries and contents that want gradients."""
    rng = np.random.default_rng(seed)
    contents = rng.standard_normal((LANES, CHUNKS, STEPS, WIDTH)).astype(dtype)
    arrays = rng.standard_normal((LANES, QUERIES, 5)).astype(dtype), contents.mean(axis=2), contents
    return [torch.tensor(array, requires_grad=True) for array in arrays]


def masked():
    mask = np.random.default_rng(1).random((LANES, QUERIES, CHUNKS)) < 0.7
    mask[1, 1] = False
    return mask, np.random.default_rng(2).integers(1, STEPS + 1, (LANES, CHUNKS))


@with_torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_are_those_of_the_layer(dtype):
    attention, module = layer(dtype=dtype), HCAMAttentionModule(layer(dtype=dtype))
    given, (mask, lengths) = tensors(dtype=dtype), masked()
    q, summaries, contents = (tensor.detach().numpy() for tensor in given)
    y, info = attention.forward(q, (summaries, contents), mask, lengths, return_info=True)
    found, seen = module(given[0], given[1:], torch.tensor(mask), torch.tensor(lengths), return_info=True)
    assert found.dtype == getattr(torch, dtype) and np.array_equal(found.detach().numpy(), y)
    for name, array in info._asdict().items():
        assert np.array_equal(getattr(seen, name).numpy(), array) and not getattr(seen, name).requires_grad
    d_q, gradients = attention.backward(2 * y)
    (found * found).sum().backward()
    assert np.array_equal(given[0].grad.numpy(), d_q)
    assert np.array_equal(given[1].grad.numpy(), gradients["d_summaries"])
    assert np.array_equal(given[2].grad.numpy(), gradients["d_contents"])
    for name, parameter in module.named_parameters():
        assert np.array_equal(parameter.grad.numpy(), gradients[name]), name


@with_torch
@pytest.mark.parametrize("options", [{}, {"weight_norm": "all"}, {"compat": "reference"}, {"summary_bias": True}], ids=str)
def test_gradients_pass_the_check_of_torch(options):
    module, (mask, lengths) = HCAMAttentionModule(layer(**options)), masked()
    names = [name for name, _ in module.named_parameters()]

    def attend(q, summaries, contents, *weights):
        replaced = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(module, replaced, (q, (summaries, contents), mask, lengths))

    weights = [parameter.detach().clone().requires_grad_() for parameter in module.parameters()]
    assert torch.autograd.gradcheck(attend, (*tensors(4), *weights))


@with_torch
def test_summaries_made_by_torch_pass_their_gradients_on():
    module, (q, _, contents) = HCAMAttentionModule(layer()), tensors(5)

    def attend(queries, chunks):
        return module(queries, (chunks.mean(dim=2), chunks))

    assert torch.autograd.gradcheck(attend, (q, contents))
    attend(q, contents).sum().backward()
    by_torch, contents.grad = contents.grad, None
    with torch.no_grad():
        summaries = contents.mean(dim=2)
    module(q, (summaries, contents), summary_is_mean=True).sum().backward()
    torch.testing.assert_close(contents.grad, by_torch)


@with_torch
def test_a_detached_memory_gets_no_gradient():
    module, (q, summaries, contents) = HCAMAttentionModule(layer(detach_memory=True)), tensors()
    module(q, (summaries, contents)).sum().backward()
    assert summaries.grad is None and contents.grad is None and q.grad.abs().sum() > 0


@with_torch
def test_one_memory_for_both():
    attention = layer(dtype="float32")
    module = HCAMAttentionModule(attention)
    assert [p.data_ptr() for p in module.parameters()] == [a.ctypes.data for a in attention.weights.values()]
    before = {name: array.copy() for name, array in attention.weights.items()}
    q, *memory = tensors(dtype="float32")
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = (module(q.detach(), [part.detach() for part in memory]) ** 2).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    unmoved = [name for name, array in attention.weights.items() if np.array_equal(array, before[name])]
    assert unmoved == ["within_mem_attn.key.b"]  # it cancels in the softmax
    y = attention.forward(q.detach().numpy(), tuple(part.detach().numpy() for part in memory))
    assert np.array_equal(module(q, memory).detach().numpy(), y)
    attention.load_weights(before)
    assert all(np.array_equal(p.detach().numpy(), before[name]) for name, p in module.named_parameters())


@with_torch
def test_a_state_dict_has_the_reference_s_names_and_goes_round():
    module, other = HCAMAttentionModule(layer(random_state=1)), HCAMAttentionModule(layer(random_state=2))
    reference = module.wrapped.to_reference()
    assert list(module.state_dict()) == list(reference)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    q, *memory = tensors()
    assert torch.equal(module(q, memory), other(q, memory))
    assert all(np.array_equal(other.layer.weights[name], array) for name, array in reference.items())
    remade = HCAMAttention.from_reference({name: t.numpy() for name, t in module.state_dict().items()}, 2, 3)
    assert all(np.array_equal(remade.weights[name], array) for name, array in reference.items())


@with_torch
def test_copies_and_replaced_parameters_are_what_is_used():
    module, (q, *memory) = HCAMAttentionModule(layer(random_state=1)), tensors()
    twin = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert not twin(q, memory).any() and module(q, memory).any()
    assert all(not array.any() for array in twin.layer.weights.values())
    module.load_state_dict(twin.state_dict(), assign=True)
    assert not module(q, memory).any()


@with_torch
def test_calls_may_overlap():
    module, first, second = HCAMAttentionModule(layer()), tensors(1), tensors(2)
    together = module(first[0], first[1:]).sum() + module(second[0], second[1:]).sum()
    together.backward()
    for given in (first, second):
        again = [tensor.detach().clone().requires_grad_() for tensor in given]
        module(again[0], again[1:]).sum().backward()
        assert all(torch.equal(a.grad, b.grad) for a, b in zip(again, given, strict=True))


@with_torch
def test_a_chunk_memory_is_read_and_must_not_change_before_backward():
    memory = ChunkMemory(WIDTH, chunk_size=STEPS, capacity=CHUNKS, n_lanes=LANES, dtype="float64")
    memory.write(np.random.default_rng(1).standard_normal((21, LANES, WIDTH)))
    module, q = HCAMAttentionModule(layer()), tensors()[0]
    y = module(q, memory)
    assert np.array_equal(y.detach().numpy(), module.layer.forward(q.detach().numpy(), memory))
    memory.append(np.zeros((LANES, WIDTH)))
    with pytest.raises(CallOrderError, match="written to between forward and backward"):
        y.sum().backward()


@with_torch
def test_weights_changed_before_backward_are_noticed():
    module, (q, *memory) = HCAMAttentionModule(layer()), tensors()
    y = module(q, memory)
    with torch.no_grad():
        next(module.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@with_torch
def test_bad_input():
    module, (q, summaries, contents) = HCAMAttentionModule(layer()), tensors()
    with pytest.raises(InputTypeError, match="layer is a dict"):
        HCAMAttentionModule({})
    with pytest.raises(InputError, match="q has shape"):
        module(q[..., :2], (summaries, contents))
    arrays = summaries.detach().numpy(), contents.detach().numpy()
    assert torch.equal(module(q, arrays), module(q, (summaries, arrays[1])))
    with pytest.raises(InputError, match="memory has 1 parts"):
        module(q, (summaries,))
    with pytest.raises(InputTypeError, match="memory holds float32, float64"):
        module(q, (summaries.float(), contents.float()))
    with pytest.raises(InputTypeError, match=r"parameter query.w is torch.float32, float64 was expected"):
        HCAMAttentionModule(layer()).float()(q, (summaries, contents))
    assert "top_k=3" in repr(module)
