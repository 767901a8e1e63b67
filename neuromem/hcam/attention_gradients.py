"""Gradients of attention over chunks, written by hand; the letters are those of ``HCAMAttention``'s notes."""

import math
from typing import TYPE_CHECKING

import numpy as np

from neuromem.backend import NUMPY
from neuromem.hcam.attended import ATTEND_NS, INNER, Attended, by_head, from_heads, heads_of, places_by_chunk
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
    d_y = d_y.reshape(n, features)

    # y = o Ao + total bo,  o = concat_a Y_a Av_a + total bv
    found[f"{INNER}linear.w"] = s.o.T @ d_y
    d_o = d_y @ weights[f"{INNER}linear.w"].T
    d_total = np.zeros((n, 1), dtype)
    if layer.attention_bias:
        found[f"{INNER}linear.b"] = (s.total * d_y).sum(axis=0)
        found[f"{INNER}value.b"] = (s.total * d_o).sum(axis=0)
        found[f"{INNER}key.b"] = np.zeros(features, dtype)  # it cancels in the softmax
        d_total = (d_y @ weights[f"{INNER}linear.b"] + d_o @ weights[f"{INNER}value.b"])[:, None]
    d_o_heads = by_head(d_o.reshape(s.query.shape))
    found[f"{INNER}value.w"] = from_heads(np.matmul(by_head(s.y).transpose(0, 2, 1), d_o_heads))
    d_sum = np.empty_like(s.y)
    np.matmul(d_o_heads, heads_of(weights[f"{INNER}value.w"], n_heads).transpose(0, 2, 1), out=by_head(d_sum))

    d_q_tilde, d_weight, d_score = np.empty_like(s.y), np.empty_like(s.weight), np.empty_like(s.p)
    read = (s.q_tilde, s.weight, s.index, s.lane, s.view.lengths, s.view.contents, s.position, s.p)
    with kernel_threads(ATTEND_NS * s.p.size * s.y.shape[2]):
        NUMPY.kernels("hcam").gather_attend_bwd(*read, d_sum, d_q_tilde, d_weight, d_score)

    # q_tilde_a = Ak_a q_a / sqrt(d),  q = x Aq + bq
    d_q_tilde *= 1 / math.sqrt(features // n_heads)
    found[f"{INNER}key.w"] = from_heads(np.matmul(by_head(d_q_tilde).transpose(0, 2, 1), by_head(s.query)))
    d_query = np.empty_like(s.query)
    np.matmul(by_head(d_q_tilde), heads_of(weights[f"{INNER}key.w"], n_heads), out=by_head(d_query))
    d_query = d_query.reshape(n, features)
    found[f"{INNER}query.w"] = s.x.T @ d_query
    if layer.attention_bias:
        found[f"{INNER}query.b"] = d_query.sum(axis=0)
    d_x = d_query @ weights[f"{INNER}query.w"].T

    # l_m = q_hat . S_m,  q_hat = (x Wq) Wk^T / sqrt(F)
    d_kept, d_all = d_chunk_scores(s, d_weight + d_total)
    d_q_hat = d_queries_of_scores(s, d_kept, d_all)
    d_q_hat *= 1 / math.sqrt(features)
    found["key.w"] = d_q_hat.T @ s.summary_query
    d_summary_query = d_q_hat @ weights["key.w"]
    found["query.w"] = s.x.T @ d_summary_query
    if layer.summary_bias:
        found["query.b"], found["key.b"] = d_summary_query.sum(axis=0), np.zeros(features, dtype)
    d_x += d_summary_query @ weights["query.w"].T

    gradients = {name: found[name] for name in weights}
    if not layer.detach_memory:
        gradients |= d_memory(s, d_kept, d_all, d_sum, d_score, summary_is_mean)
    return d_x.reshape(*s.shape[:2], layer.dim_query), gradients


def d_chunk_scores(s: Attended, d_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Gradients of the kept chunks' scores, 0 where a chunk was masked; with a softmax over all, also what every score gets."""
    common = (s.weight * d_weight).sum(axis=1, keepdims=True)
    seen = np.take_along_axis(s.visible, np.maximum(s.index, 0), axis=1) != 0
    if s.all_weights is None:
        return np.where(seen, s.weight * (d_weight - common), 0).astype(s.x.dtype, copy=False), None
    d_kept = np.where(seen, s.weight * d_weight, 0).astype(s.x.dtype, copy=False)
    return d_kept, -common * s.all_weights * (s.visible != 0)


def d_queries_of_scores(s: Attended, d_kept: np.ndarray, d_all: np.ndarray | None) -> np.ndarray:
    """Gradient of q_hat: sums of summaries by the gradients of their scores."""
    summaries = s.view.summaries
    if not s.index.size:
        return np.zeros_like(s.q_hat)
    kept = summaries[s.lane[:, None], np.maximum(s.index, 0)]
    kept[s.index < 0] = 0  # no chunk: what lies at index 0 may be anything
    d_q_hat: np.ndarray = np.matmul(d_kept[:, None], kept)[:, 0]
    if d_all is not None:
        per_lane = d_all.reshape(*s.shape[:2], summaries.shape[1])
        d_q_hat += np.matmul(per_lane, np.nan_to_num(summaries, nan=0.0)).reshape(d_q_hat.shape)
    return d_q_hat


def d_memory(
    s: Attended, d_kept: np.ndarray, d_all: np.ndarray | None, d_sum: np.ndarray, d_score: np.ndarray, summary_is_mean: bool
) -> Gradients:
    """Gradients of summaries and contents."""
    n_lanes, n_chunks, n_steps, width = s.view.contents.shape
    d_scores = np.zeros(s.visible.shape, s.x.dtype) if d_all is None else d_all
    row, place = np.nonzero(s.index >= 0)
    d_scores[row, s.index[row, place]] += d_kept[row, place]
    per_lane = d_scores.reshape(*s.shape[:2], n_chunks).transpose(0, 2, 1)
    d_summaries = np.matmul(per_lane, s.q_hat.reshape(*s.shape[:2], width))
    d_contents = np.empty(s.view.contents.shape, s.x.dtype)
    order, starts = places_by_chunk(s.index, s.weight, s.lane, n_lanes, n_chunks)
    with kernel_threads(ATTEND_NS * s.p.size * width):
        NUMPY.kernels("hcam").scatter_contents(order, starts, s.q_tilde, s.weight, s.p, d_sum, d_score, d_contents)
    if not summary_is_mean:
        return {"d_summaries": d_summaries, "d_contents": d_contents}
    lengths = s.view.lengths[:, :, None]
    share = (np.arange(n_steps) < lengths) / np.maximum(lengths, 1)
    d_contents += d_summaries[:, :, None] * share[..., None].astype(s.x.dtype)
    return {"d_contents": d_contents}
