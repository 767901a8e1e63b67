"""The attention kernels in plain NumPy, in float64.  Short and slow: an oracle, and documentation."""

import numpy as np


def summary_topk(
    q_hat: np.ndarray,
    summaries: np.ndarray,
    lane: np.ndarray,
    visible: np.ndarray,
    masked_score: float,
    out_index: np.ndarray,
    out_score: np.ndarray,
) -> None:
    """Stable descending sort of the scores of each query's lane."""
    out_index[:] = -1
    out_score[:] = -np.inf
    for n in range(len(q_hat)):
        scores = np.where(visible[n] != 0, summaries[lane[n]].astype(float) @ q_hat[n], masked_score)
        best = np.argsort(-scores, kind="stable")  # NaN comes last
        best = best[scores[best] > -np.inf][: out_index.shape[1]]
        out_index[n, : len(best)] = best
        out_score[n, : len(best)] = scores[best]


def stretch_topk(
    q_hat: np.ndarray,
    summaries: np.ndarray,
    lane: np.ndarray,
    visible: np.ndarray,
    masked_score: float,
    out_index: np.ndarray,
    out_stretch: np.ndarray,
    out_score: np.ndarray,
) -> None:
    """The best summary stands for its chunk."""
    out_index[:], out_stretch[:], out_score[:] = -1, -1, -np.inf
    for n in range(len(q_hat)):
        scores = (summaries[lane[n]].astype(float) * q_hat[n]).sum(axis=2)  # equal summaries have equal scores
        scores = np.where(np.isnan(scores), -np.inf, scores)
        of_chunk = np.where(visible[n] != 0, scores.max(axis=1), masked_score)
        best = np.argsort(-of_chunk, kind="stable")
        best = best[of_chunk[best] > -np.inf][: out_index.shape[1]]
        out_index[n, : len(best)] = best
        out_stretch[n, : len(best)] = np.where(visible[n, best] != 0, scores[best].argmax(axis=1), 0)
        out_score[n, : len(best)] = of_chunk[best]


def kept_chunks(
    n: int,
    index: np.ndarray,
    chunk_weight: np.ndarray,
    lane: np.ndarray,
    lengths: np.ndarray,
    contents: np.ndarray,
    position: np.ndarray,
) -> list[tuple[int, float, np.ndarray]]:
    """Place, weight and steps (length, D) of each chunk that counts for a query."""
    places = [i for i in range(index.shape[1]) if index[n, i] >= 0 and chunk_weight[n, i] != 0]
    chunks = [(lane[n], index[n, i]) for i in places]
    steps = [(contents[chunk].astype(float) + position)[: lengths[chunk]] for chunk in chunks]
    return [(i, float(chunk_weight[n, i]), z) for i, z in zip(places, steps, strict=True)]


def gather_attend_fwd(
    q_tilde: np.ndarray,
    chunk_weight: np.ndarray,
    index: np.ndarray,
    lane: np.ndarray,
    lengths: np.ndarray,
    contents: np.ndarray,
    position: np.ndarray,
    out_p: np.ndarray,
    out_y: np.ndarray,
) -> None:
    """Softmax inside each kept chunk, then the sum over chunks by weight."""
    out_p[:] = 0
    for n in range(len(q_tilde)):
        y = np.zeros(q_tilde.shape[1:])
        for i, weight, z in kept_chunks(n, index, chunk_weight, lane, lengths, contents, position):
            scores = q_tilde[n] @ z.T
            p = np.exp(scores - scores.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            out_p[n, i, :, : len(z)] = p
            y += weight * p @ z
        out_y[n] = y


def gather_attend_bwd(
    q_tilde: np.ndarray,
    chunk_weight: np.ndarray,
    index: np.ndarray,
    lane: np.ndarray,
    lengths: np.ndarray,
    contents: np.ndarray,
    position: np.ndarray,
    p: np.ndarray,
    d_y: np.ndarray,
    out_d_q_tilde: np.ndarray,
    out_d_weight: np.ndarray,
    out_d_score: np.ndarray,
) -> None:
    """The forward's gradients for queries, weights and scores."""
    out_d_weight[:] = 0
    out_d_score[:] = 0
    for n in range(len(q_tilde)):
        d_q = np.zeros(q_tilde.shape[1:])
        for i, weight, z in kept_chunks(n, index, chunk_weight, lane, lengths, contents, position):
            mine = p[n, i, :, : len(z)].astype(float)
            g = d_y[n] @ z.T
            mean = (mine * g).sum(1, keepdims=True)
            d_score = weight * mine * (g - mean)
            out_d_weight[n, i] = mean.sum()
            out_d_score[n, i, :, : len(z)] = d_score
            d_q += d_score @ z
        out_d_q_tilde[n] = d_q


def scatter_contents(
    order: np.ndarray,
    starts: np.ndarray,
    q_tilde: np.ndarray,
    chunk_weight: np.ndarray,
    p: np.ndarray,
    d_y: np.ndarray,
    d_score: np.ndarray,
    out_d_contents: np.ndarray,
) -> None:
    """Sum over the places that kept a chunk."""
    n_kept = chunk_weight.shape[1]
    flat = out_d_contents.reshape(-1, *out_d_contents.shape[2:])
    flat[:] = 0
    for c in range(len(flat)):
        total = np.zeros(flat.shape[1:])
        for place in order[starts[c] : starts[c + 1]]:
            n, i = divmod(place, n_kept)
            total += chunk_weight[n, i] * p[n, i].T.astype(float) @ d_y[n] + d_score[n, i].T.astype(float) @ q_tilde[n]
        flat[c] = total
