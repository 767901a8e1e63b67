"""Attention over chunks beside its published equations in JAX, and beside flat attention over all steps in PyTorch.

``extra_info`` has ``items``: queries in a round.
"""

import numpy as np
import pytest

from neuromem import HCAMAttention

# (B, Q, M, C, D = F, H, k)
SHAPES = [(8, 16, 16, 16, 64, 4, 4), (4, 32, 64, 16, 128, 4, 8), (1, 1, 128, 32, 256, 8, 16), (1, 1, 1024, 32, 256, 8, 16)]
PARTS = ("forward", "forward and backward")
RIVALS = {"jax": "the published equations in JAX", "torch": "flat attention over all steps in PyTorch"}
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
parts = pytest.mark.parametrize("part", PARTS)


def problem(shape):
    lanes, queries, chunks, steps, width, heads, kept = shape
    rng = np.random.default_rng(0)
    contents = rng.standard_normal((lanes, chunks, steps, width), dtype=np.float32)
    q = rng.standard_normal((lanes, queries, width), dtype=np.float32)
    return HCAMAttention(width, width, width, heads, kept), q, (contents.mean(axis=2), contents)


def describe(benchmark, shape, part, beside, **info):
    numbers = ", ".join(f"{name}={n}" for name, n in zip(("B", "Q", "M", "C", "D", "H", "k"), shape, strict=True))
    benchmark.group = f"attention over chunks, {part}, {numbers}, beside {RIVALS[beside]}, one thread"
    benchmark.extra_info.update(items=shape[0] * shape[1], **info)


@shapes
@parts
@pytest.mark.parametrize("rival", RIVALS)
def test_attention(benchmark, one_thread, shape, part, rival):
    attention, q, memory = problem(shape)
    d_y = np.ones_like(q)
    describe(benchmark, shape, part, rival)

    def both():
        attention.forward(q, memory)
        attention.backward(d_y)

    benchmark.pedantic(both if part == PARTS[1] else lambda: attention.forward(q, memory), rounds=30, warmup_rounds=3)


@shapes
@parts
def test_attention_in_jax(benchmark, one_thread, shape, part):
    jax = pytest.importorskip("jax")
    import hcam_jax_rival

    attention, q, memory = problem(shape)
    forward, both = hcam_jax_rival.compiled(attention.weights, q, *memory, *shape[5:])
    y = attention.forward(q, memory)
    assert np.abs(forward() - y).max() < 1e-4 * np.abs(y).max()  # the same work
    d_q, gradients = attention.backward(np.ones_like(y))
    _, (of_weights, of_queries) = both()
    names = ("query.w", "within_mem_attn.value.w")
    for mine, theirs in ((d_q, of_queries), *((gradients[name], of_weights[name]) for name in names)):
        assert np.abs(mine - theirs).max() < 1e-3 * np.abs(mine).max()
    describe(benchmark, shape, part, "jax", rival=f"JAX {jax.__version__}")
    benchmark.pedantic(both if part == PARTS[1] else forward, rounds=7, warmup_rounds=1)


@shapes
@parts
def test_flat_attention_in_torch(benchmark, one_thread, shape, part):
    torch = pytest.importorskip("torch")
    _, q, (_, contents) = problem(shape)
    flat = torch.nn.MultiheadAttention(shape[4], shape[5], batch_first=True)
    steps = torch.from_numpy(contents.reshape(len(contents), -1, shape[4]))
    describe(benchmark, shape, part, "torch", rival=f"PyTorch {torch.__version__.partition('+')[0]}")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    asked = torch.from_numpy(q).requires_grad_()

    def both():
        y, _ = flat(asked, steps, steps, need_weights=False)
        y.sum().backward()

    def forward():
        with torch.no_grad():
            flat(asked, steps, steps, need_weights=False)

    benchmark.pedantic(both if part == PARTS[1] else forward, rounds=5, warmup_rounds=1)
    torch.set_num_threads(before)
