"""Attention over chunks written out plainly, step by step and with every projection; layers and data for its tests."""

import numpy as np

from neuromem.hcam.attention import HCAMAttention

INNER = "within_mem_attn."
B, Q, M, C, E, D, F, H, K = 2, 3, 6, 5, 7, 8, 12, 3, 4


def softmax(scores):
    e = np.exp(scores - scores.max())
    return e / e.sum()


def plain_attention(weights, q, summaries, contents, *, n_heads, top_k, code, mask=None, lengths=None, weight_norm="topk"):
    """Results (B, Q, F) and chunks kept, one query at a time; queries that see nothing give 0."""
    n_lanes, n_chunks, n_steps, width = contents.shape
    features = weights["query.w"].shape[1]
    d = features // n_heads
    mask = np.ones((*q.shape[:2], n_chunks), bool) if mask is None else mask
    lengths = np.full((n_lanes, n_chunks), n_steps) if lengths is None else lengths
    distance = np.arange(n_steps)[::-1]
    position = np.zeros((n_steps, width))
    for n in range(width // 2 if code else 0):
        position[:, n] = np.sin(distance * 10000 ** (-2 * n / width))
        position[:, n + width // 2] = np.cos(distance * 10000 ** (-2 * n / width))

    def project(x, name, inner=True):
        name = (INNER if inner else "") + name
        return x @ weights[f"{name}.w"] + weights.get(f"{name}.b", 0)

    y, kept = np.zeros((*q.shape[:2], features)), {}
    for b, i in np.ndindex(q.shape[:2]):
        x = q[b, i]
        seen = [m for m in range(n_chunks) if mask[b, i, m] and lengths[b, m]]
        if not seen:
            continue
        scores = np.array([project(x, "query", False) @ project(summaries[b, m], "key", False) for m in seen]) / np.sqrt(features)
        best = sorted(range(len(seen)), key=lambda place: (-scores[place], place))[:top_k]
        shares = softmax(scores)[best] if weight_norm == "all" else softmax(scores[best])
        kept[b, i] = [seen[place] for place in best]
        for share, m in zip(shares, kept[b, i], strict=True):
            z = (contents[b, m] + position)[: lengths[b, m]]
            asked, keys, values = project(x, "query"), project(z, "key"), project(z, "value")
            heads = []
            for a in range(n_heads):
                own = slice(a * d, (a + 1) * d)
                heads.append(softmax(keys[:, own] @ asked[own] / np.sqrt(d)) @ values[:, own])
            y[b, i] += share * project(np.concatenate(heads), "linear")
    return y, kept


def layer(seed=0, **params):
    """A float64 layer whose biases are not 0."""
    made = HCAMAttention(
        **({"dim_query": E, "dim_memory": D, "features": F, "n_heads": H, "top_k": K, "dtype": "float64"} | params)
    )
    rng = np.random.default_rng(seed + 100)
    for weight in made.weights.values():
        weight += 0.1 * rng.standard_normal(weight.shape)
    return made


def data(seed=0, shape=(B, Q, M, C), width=D):
    """Queries, summaries (means) and contents."""
    rng = np.random.default_rng(seed)
    lanes, queries, chunks, steps = shape
    contents = rng.standard_normal((lanes, chunks, steps, width))
    return rng.standard_normal((lanes, queries, E)), contents.mean(axis=2), contents
