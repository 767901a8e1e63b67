"""The reading kernels in plain NumPy, in float64.  Short and slow: an oracle, and documentation."""

import numpy as np


def best_chunks(
    cues: np.ndarray, summaries: np.ndarray, visible: np.ndarray, out_index: np.ndarray, out_score: np.ndarray
) -> None:
    """Stable descending sort of the visible chunks' scores."""
    out_index[:] = -1
    out_score[:] = -np.inf
    seen = np.flatnonzero(visible)
    for q, cue in enumerate(cues.astype(float)):
        scores = summaries[seen].astype(float) @ cue
        best = np.argsort(-scores, kind="stable")[: out_index.shape[1]]
        out_index[q, : len(best)] = seen[best]
        out_score[q, : len(best)] = scores[best]


def best_chunks_refined(
    approximate: np.ndarray,
    error: np.ndarray,
    cues: np.ndarray,
    summaries: np.ndarray,
    visible: np.ndarray,
    out_index: np.ndarray,
    out_score: np.ndarray,
) -> None:
    """What is found does not depend on the approximation."""
    best_chunks(cues, summaries, visible, out_index, out_score)


def best_chunks_pruned(
    cues: np.ndarray,
    summaries: np.ndarray,
    grouped: np.ndarray,
    loose: np.ndarray,
    group_size: int,
    centres: np.ndarray,
    reach: np.ndarray,
    out_groups: np.ndarray,
    out_index: np.ndarray,
    out_score: np.ndarray,
) -> None:
    """What is found does not depend on the groups; how many are scanned does."""
    visible = grouped.copy()
    visible[loose] = 1
    best_chunks(cues, summaries, visible, out_index, out_score)
    for q, cue in enumerate(cues.astype(float)):
        bounds = centres.astype(float) @ cue + np.linalg.norm(cue) * reach
        scores = summaries.astype(float) @ cue
        seen = list(scores[loose])
        out_groups[q] = 0
        held = sorted(np.flatnonzero(reach >= 0), key=lambda g: -bounds[g])
        quarter = len(held) // 4
        for g in held[:quarter] + sorted(held[quarter:]):
            if len(seen) < out_index.shape[1] or bounds[g] >= sorted(seen)[-out_index.shape[1]]:
                group = slice(g * group_size, (g + 1) * group_size)
                seen += list(scores[group][grouped[group] != 0])
                out_groups[q] += 1


def extend_groups(
    chunks: np.ndarray,
    summaries: np.ndarray,
    group_size: int,
    out_counted: np.ndarray,
    out_centres: np.ndarray,
    out_reach: np.ndarray,
    out_changes: np.ndarray,
    out_members: np.ndarray,
) -> None:
    """Distances from a centre that moves to the mean after 1, 2, 4 ... members."""
    for chunk in chunks:
        g = chunk // group_size
        group = slice(g * group_size, (g + 1) * group_size)
        out_counted[chunk] = 1
        out_changes[g] += 1
        joining = summaries[chunk : chunk + 1].astype(float)
        if out_reach[g] < 0 or out_changes[g] >= out_members[g]:
            joining = summaries[group][out_counted[group] != 0].astype(float)
            out_centres[g] = joining.mean(axis=0)
            out_changes[g], out_members[g], out_reach[g] = 0, len(joining), 0
        distances = np.linalg.norm(joining - out_centres[g], axis=1)
        out_reach[g] = max(out_reach[g], distances.max())


def score_steps(
    cues: np.ndarray,
    chunks: np.ndarray,
    contents: np.ndarray,
    lengths: np.ndarray,
    scale: float,
    out_score: np.ndarray,
    out_weight: np.ndarray,
) -> None:
    """Mean squared difference, and softmax of the products, of a chunk's filled steps."""
    score_known(cues, np.ones(cues.shape, np.uint8), chunks, contents, lengths, out_score)
    out_weight[:] = 0
    for q, i in np.argwhere(chunks >= 0):
        n = lengths[chunks[q, i]]
        products = contents[chunks[q, i], :n].astype(float) @ cues[q].astype(float) * scale
        weights = np.exp(products - products.max(initial=-np.inf))
        out_weight[q, i, :n] = weights / weights.sum()


def score_known(
    cues: np.ndarray, known: np.ndarray, chunks: np.ndarray, contents: np.ndarray, lengths: np.ndarray, out_score: np.ndarray
) -> None:
    """Minus the mean squared difference over the known features."""
    out_score[:] = -np.inf
    for q, i in np.argwhere(chunks >= 0):
        n = lengths[chunks[q, i]]
        gaps = (contents[chunks[q, i], :n].astype(float) - cues[q])[:, known[q] != 0]
        out_score[q, i, :n] = -(gaps**2).sum(axis=1) / max(gaps.shape[1], 1)


def best_steps(
    scores: np.ndarray,
    chunks: np.ndarray,
    lengths: np.ndarray,
    first_step: np.ndarray,
    out_id: np.ndarray,
    out_rank: np.ndarray,
    out_step: np.ndarray,
    out_score: np.ndarray,
) -> None:
    """All steps sorted by descending score, then by id."""
    for out, empty in ((out_id, -1), (out_rank, -1), (out_step, -1), (out_score, -np.inf)):
        out[:] = empty
    for q in range(len(scores)):
        kept = [(i, m) for i, m in enumerate(chunks[q]) if m >= 0]
        steps = sorted((-scores[q, i, j], first_step[m] + j, i, j) for i, m in kept for j in range(lengths[m]))
        for place, (score, number, i, j) in enumerate(steps[: out_id.shape[1]]):
            out_id[q, place], out_rank[q, place], out_step[q, place], out_score[q, place] = number, i, j, -score


def best_cosines(
    items: np.ndarray, chunks: np.ndarray, contents: np.ndarray, lengths: np.ndarray, out_cosine: np.ndarray
) -> None:
    """Vectors of length one, and their products; two vectors of zeros are alike."""
    out_cosine[:] = 0
    for q, item in enumerate(items.astype(float)):
        kept = [contents[m, : lengths[m]].astype(float) for m in chunks[q] if m >= 0]
        steps = np.concatenate([np.zeros((0, len(item))), *kept])
        lengths_of = np.linalg.norm(steps, axis=1) * np.linalg.norm(item)
        cosines = np.divide(steps @ item, lengths_of, out=np.zeros(len(steps)), where=lengths_of > 0)
        cosines[~steps.any(axis=1) & ~item.any()] = 1
        if len(steps):
            out_cosine[q] = np.clip(cosines.max(), -1, 1)
