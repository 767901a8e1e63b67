"""Gradients of attention over chunks, written by hand; the letters are those of ``HCAMAttention``'s notes."""

import math
from typing import TYPE_CHECKING

import numpy as np

from neuromem.backend import array_module, backend_of
from neuromem.hcam.attended import (
    ATTEND_NS,
    INNER,
    Attended,
    by_head,
    from_heads,
    heads_of,
    outer_sum,
    places_by_chunk,
    times_heads,
)
from neuromem.hcam.stretches import spread_over_stretches
from neuromem.layers.base import Gradients
from neuromem.parallel import kernel_threads

if TYPE_CHECKING:
    from neuromem.hcam.attention import HCAMAttention


def attention_gradients(
    layer: "HCAMAttention", s: Attended, d_y: np.ndarray, summary_is_mean: bool
) -> tuple[np.ndarray, Gradients]:
    """Gradients of the queries and, by name, of the weights and of what is stored, see ``HCAMAttention.backward``."""
    weights, n_heads, dtype = layer.weights, layer.n_heads, s.x.dtype
    n, features = s.o.shape
    found: Gradients = {}
    backend = backend_of(s.x)
    xp = backend.xp
    d_y = d_y.reshape(n, features)

    # y = o Ao + total bo,  o = concat_a Y_a Av_a + total bv
    found[f"{INNER}linear.w"] = outer_sum(s.o, d_y)
    d_o = d_y @ weights[f"{INNER}linear.w"].T
    d_total = xp.zeros((n, 1), dtype)
    if layer.attention_bias:
        found[f"{INNER}linear.b"] = (s.total * d_y).sum(axis=0)
        found[f"{INNER}value.b"] = (s.total * d_o).sum(axis=0)
        found[f"{INNER}key.b"] = xp.zeros(features, dtype)  # it cancels in the softmax
        d_total = (d_y @ weights[f"{INNER}linear.b"] + d_o @ weights[f"{INNER}value.b"])[:, None]
    d_o = d_o.reshape(s.query.shape)
    found[f"{INNER}value.w"] = from_heads(outer_sum(by_head(s.y), by_head(d_o)))
    d_sum = times_heads(d_o, heads_of(weights[f"{INNER}value.w"], n_heads).transpose(0, 2, 1))

    d_q_tilde, d_weight, d_score = xp.empty_like(s.y), xp.empty_like(s.weight), xp.empty_like(s.p)
    read = (s.q_tilde, s.weight, s.index, s.lane, s.view.lengths, s.view.contents, s.position, s.p)
    with kernel_threads(ATTEND_NS * s.p.size * s.y.shape[2]):
        backend.kernels("hcam").gather_attend_bwd(*read, d_sum, d_q_tilde, d_weight, d_score)

    # q_tilde_a = Ak_a q_a / sqrt(d),  q = x Aq + bq
    d_q_tilde *= 1 / math.sqrt(features // n_heads)
    found[f"{INNER}key.w"] = from_heads(outer_sum(by_head(d_q_tilde), by_head(s.query)))
    d_query = times_heads(d_q_tilde, heads_of(weights[f"{INNER}key.w"], n_heads)).reshape(n, features)
    found[f"{INNER}query.w"] = outer_sum(s.x, d_query)
    if layer.attention_bias:
        found[f"{INNER}query.b"] = d_query.sum(axis=0)
    d_x = d_query @ weights[f"{INNER}query.w"].T

    # l_m = q_hat . S_m,  q_hat = (x Wq) Wk^T / sqrt(F)
    d_kept, d_all = d_chunk_scores(s, d_weight + d_total)
    d_q_hat = d_queries_of_scores(s, d_kept, d_all)
    d_q_hat *= 1 / math.sqrt(features)
    found["key.w"] = outer_sum(d_q_hat, s.summary_query)
    d_summary_query = d_q_hat @ weights["key.w"]
    found["query.w"] = outer_sum(s.x, d_summary_query)
    if layer.summary_bias:
        found["query.b"], found["key.b"] = d_summary_query.sum(axis=0), xp.zeros(features, dtype)
    d_x += d_summary_query @ weights["query.w"].T

    gradients = {name: found[name] for name in weights}
    if not layer.detach_memory:
        gradients |= d_memory(s, d_kept, d_all, d_sum, d_score, summary_is_mean)
    return d_x.reshape(*s.shape[:2], layer.dim_query), gradients


def d_chunk_scores(s: Attended, d_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Gradients of the kept chunks' scores, 0 where a chunk was masked; with a softmax over all, also what every score gets."""
    common = (s.weight * d_weight).sum(axis=1, keepdims=True)
    xp = array_module(s.x)
    seen = xp.take_along_axis(s.visible, xp.maximum(s.index, 0), axis=1) != 0
    if s.all_weights is None:
        return xp.where(seen, s.weight * (d_weight - common), 0).astype(s.x.dtype, copy=False), None
    d_kept = xp.where(seen, s.weight * d_weight, 0).astype(s.x.dtype, copy=False)
    return d_kept, -common * s.all_weights * (s.visible != 0)


def d_queries_of_scores(s: Attended, d_kept: np.ndarray, d_all: np.ndarray | None) -> np.ndarray:
    """Gradient of q_hat: sums of summaries by the gradients of their scores."""
    xp, summaries = array_module(s.x), s.view.summaries
    d_q_hat: np.ndarray = xp.zeros_like(s.q_hat)
    if not s.index.size:
        return d_q_hat
    kept = summaries.reshape(len(summaries), -1, summaries.shape[-1])[s.lane[:, None], xp.maximum(s.place, 0)]
    kept[s.index < 0] = 0  # no chunk: what lies at index 0 may be anything
    d_q_hat += (d_kept[:, None] @ kept)[:, 0]
    if d_all is not None:
        per_lane = d_all.reshape(*s.shape[:2], summaries.shape[1])
        d_q_hat += (per_lane @ xp.nan_to_num(summaries, nan=0.0)).reshape(d_q_hat.shape)
    return d_q_hat


def d_memory(
    s: Attended, d_kept: np.ndarray, d_all: np.ndarray | None, d_sum: np.ndarray, d_score: np.ndarray, summary_is_mean: bool
) -> Gradients:
    """Gradients of summaries and contents."""
    n_lanes, n_chunks, n_steps, width = s.view.contents.shape
    backend = backend_of(s.x)
    xp, n = backend.xp, len(s.x)
    n_places = n_chunks if s.view.summaries.ndim == 3 else n_chunks * s.view.summaries.shape[2]
    padded = xp.zeros((n, n_places + 1), s.x.dtype)
    padded[xp.arange(n)[:, None], s.place] = d_kept  # places without a chunk, -1, are the last column
    d_scores = padded[:, :-1] if d_all is None else d_all + padded[:, :-1]
    per_lane = d_scores.reshape(*s.shape[:2], n_places).transpose(0, 2, 1)
    d_summaries = (per_lane @ s.q_hat.reshape(*s.shape[:2], width)).reshape(s.view.summaries.shape)
    d_contents = xp.empty(s.view.contents.shape, s.x.dtype)
    order, starts = places_by_chunk(s.index, s.weight, s.lane, n_lanes, n_chunks)
    with kernel_threads(ATTEND_NS * s.p.size * width):
        backend.kernels("hcam").scatter_contents(order, starts, s.q_tilde, s.weight, s.p, d_sum, d_score, d_contents)
    if not summary_is_mean:
        return {"d_summaries": d_summaries, "d_contents": d_contents}
    d_contents += spread_over_stretches(d_summaries, s.view.lengths, n_steps)
    return {"d_contents": d_contents}
