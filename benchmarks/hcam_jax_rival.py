"""Attention over chunks as its published equations say it, in JAX: every kept chunk is projected for every query.

Import before anything else imports JAX: it is told here to use one thread.
"""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
os.environ["NPROC"] = "1"

import jax
import jax.numpy as jnp

INNER = "within_mem_attn."


def position_code(n_steps, width):
    distance = jnp.arange(n_steps - 1, -1, -1.0)
    angles = distance[:, None] * 10000 ** (-jnp.arange(0, width, 2.0) / width)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def attend(weights, q, summaries, contents, n_heads, top_k):
    """Results (B, Q, F); what is stored is a constant."""
    summaries, contents = jax.lax.stop_gradient(summaries), jax.lax.stop_gradient(contents)
    features = weights["query.w"].shape[1]
    d = features // n_heads

    def inner(x, name):
        return x @ weights[f"{INNER}{name}.w"] + weights[f"{INNER}{name}.b"]

    scores = jnp.einsum("bqf,bmf->bqm", q @ weights["query.w"], summaries @ weights["key.w"]) / jnp.sqrt(features)
    best, index = jax.lax.top_k(scores, top_k)
    share = jax.nn.softmax(best)
    chunks = jax.vmap(lambda stored, kept: stored[kept])(contents, index) + position_code(*contents.shape[2:])  # (B, Q, k, C, D)
    asked = inner(q, "query").reshape(*q.shape[:2], n_heads, d)
    keys, values = (inner(chunks, name).reshape(*chunks.shape[:4], n_heads, d) for name in ("key", "value"))
    p = jax.nn.softmax(jnp.einsum("bqhd,bqkchd->bqkhc", asked, keys) / jnp.sqrt(d))
    found = jnp.einsum("bqkhc,bqkchd->bqkhd", p, values).reshape(*index.shape, features)
    return jnp.einsum("bqk,bqkf->bqf", share, inner(found, "linear"))


def compiled(weights, q, summaries, contents, n_heads, top_k):
    """Two functions without arguments: the result, and the result with the gradients of sum(result R) by weights and queries."""
    weights, q = {name: jnp.asarray(w) for name, w in weights.items()}, jnp.asarray(q)
    summaries, contents = jnp.asarray(summaries), jnp.asarray(contents)

    def loss(weights, q, R):
        y = attend(weights, q, summaries, contents, n_heads, top_k)
        return (y * R).sum(), y

    forward = jax.jit(lambda weights, q, s, c: attend(weights, q, s, c, n_heads, top_k))
    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    R = jnp.ones((*q.shape[:2], weights["query.w"].shape[1]), q.dtype)
    return (
        lambda: forward(weights, q, summaries, contents).block_until_ready(),
        lambda: jax.block_until_ready(both(weights, q, R)),
    )
