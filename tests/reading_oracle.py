"""Streams in chunks, and reads of them with lists and sums: an oracle that shares nothing with the library."""

import math

import numpy as np

from neuromem.hcam.chunk_view import ChunkView


def stream_view(rng, n_lanes=1, n_slots=6, chunk_size=4, width=5, whole=False, dtype="float32"):
    """A ring with chunks of every length, an empty one, one that is hidden; what is not to be read is NaN."""
    shape = n_lanes, n_slots, chunk_size, width
    contents = rng.integers(-2, 3, shape) if whole else rng.standard_normal(shape)
    contents = contents.astype(dtype)
    lengths = rng.integers(0, chunk_size + 1, (n_lanes, n_slots)).astype(np.int32)
    beyond = np.arange(chunk_size) >= lengths[:, :, None]
    with np.errstate(invalid="ignore"):
        summaries = np.where(beyond[..., None], 0, contents).sum(2) / lengths[:, :, None]
    if whole:  # sums that are exact, so that ties are ties
        summaries = np.where(lengths[:, :, None] > 0, np.round(summaries), np.nan)
    visible = (lengths > 0) & (rng.random(lengths.shape) < 0.8)
    contents[beyond], contents[~visible] = np.nan, np.nan
    summaries[~visible] = np.nan
    order = np.argsort(rng.random(lengths.shape), axis=1)  # which slot is older
    first = np.where(lengths > 0, order.argsort(axis=1) * chunk_size * 10, -1)
    return ChunkView(contents, summaries.astype(dtype), lengths, first.astype(np.int64), visible)


def full_view(contents):
    """All chunks full and visible, lanes 1."""
    return ChunkView.from_arrays(contents[None].mean(axis=2, dtype=np.float64).astype(contents.dtype), contents[None])


# ---------------------------------------------------------------- the oracle: lists and sums


def product(a, b):
    return math.fsum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def softmax(scores):
    top = max(scores, default=0)
    parts = [math.exp(s - top) for s in scores]
    return [p / sum(parts) for p in parts]


def best_chunks_of(view, lane, cue, n_chunks):
    scored = [(-product(cue, view.summaries[lane, m]), m) for m in range(view.n_slots) if view.visible[lane, m]]
    return [(m, -s) for s, m in sorted(scored)[:n_chunks]]


def steps_of(view, lane, kept):
    """(rank, slot, position, id, step) of every filled step."""
    return [
        (i, m, j, int(view.first_step[lane, m]) + j, view.contents[lane, m, j])
        for i, (m, _) in enumerate(kept)
        for j in range(view.lengths[lane, m])
    ]


def naive_read(view, lane, cue, k, n_chunks):
    width = view.n_features
    kept = best_chunks_of(view, lane, cue, n_chunks)
    chunk_weights = softmax([s / math.sqrt(width) for _, s in kept])
    inner = [softmax([product(cue, z) / math.sqrt(width) for *_, z in steps_of(view, lane, [c])]) for c in kept]
    ranked = []
    for i, m, j, number, z in steps_of(view, lane, kept):
        error = math.fsum((float(a) - float(b)) ** 2 for a, b in zip(cue, z, strict=True)) / width
        ranked.append((error, number, m, j, chunk_weights[i] * inner[i][j], z))
    return kept, chunk_weights, sorted(ranked, key=lambda r: r[:2])[:k]


def assert_same_recall(first, second):
    for name in ("values", "ids", "scores"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert first.info.keys() == second.info.keys()
    for name in first.info:
        np.testing.assert_array_equal(first.info[name], second.info[name], err_msg=name)
