"""Attention over the best chunks of a memory: forward, backward, and the gradient of what is stored.

N queries, each of one lane of B; M chunks a lane, C steps a chunk, width D; H heads; k chunks kept a query.  All floats of a
call have one dtype, float32 or float64, and sums are taken in it.

A step's vector is z = contents + position.  The two are never added: what position gives is the same for all chunks of a query
and is summed once, which leaves one array to read where the work is.

Sums over D may be reordered (``reassoc``) and fused (``contract``), without which they are not vectorised.  The order is the
same for every query and any number of threads; NaN and infinity keep their meaning.
"""

import numpy as np

from neuromem.jit import jit, prange

SUMS = {"reassoc", "contract"}
TASKS = 64  # parts that queries are dealt to; each has scratch of its own


@jit(fastmath=SUMS)
def add_dots(rows, x, j, out):
    """Add rows[h] . x to out[h, j]; four rows share a pass over x."""
    n_rows, width = rows.shape
    zero = rows.dtype.type(0)
    h = 0
    while h + 4 <= n_rows:
        row0, row1, row2, row3 = rows[h], rows[h + 1], rows[h + 2], rows[h + 3]
        sum0, sum1, sum2, sum3 = zero, zero, zero, zero
        for d in range(width):
            sum0 += row0[d] * x[d]
            sum1 += row1[d] * x[d]
            sum2 += row2[d] * x[d]
            sum3 += row3[d] * x[d]
        out[h, j] += sum0
        out[h + 1, j] += sum1
        out[h + 2, j] += sum2
        out[h + 3, j] += sum3
        h += 4
    while h < n_rows:
        row = rows[h]
        total = zero
        for d in range(width):
            total += row[d] * x[d]
        out[h, j] += total
        h += 1


@jit(fastmath=SUMS)
def add_rows(rows, coefficients, factor, n_rows, out):
    """Add factor * sum_j coefficients[j] rows[j], the first n_rows of them, to out; four rows share a pass over out."""
    width = out.shape[0]
    j = 0
    while j + 4 <= n_rows:
        row0, row1, row2, row3 = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        c0 = factor * coefficients[j]
        c1 = factor * coefficients[j + 1]
        c2 = factor * coefficients[j + 2]
        c3 = factor * coefficients[j + 3]
        for d in range(width):
            out[d] += c0 * row0[d] + c1 * row1[d] + c2 * row2[d] + c3 * row3[d]
        j += 4
    while j < n_rows:
        row = rows[j]
        c = factor * coefficients[j]
        for d in range(width):
            out[d] += c * row[d]
        j += 1


@jit
def softmax_in_place(scores, n):
    """Softmax over the first n entries; the rest become 0."""
    largest = scores[0]
    for j in range(1, n):
        if scores[j] > largest:
            largest = scores[j]
    total = scores.dtype.type(0)
    for j in range(n):
        scores[j] = np.exp(scores[j] - largest)
        total += scores[j]
    for j in range(n):
        scores[j] /= total
    for j in range(n, scores.shape[0]):
        scores[j] = 0


@jit
def insert_best(score, m, index, scores, found):
    """Put a score among the best, in descending order, an earlier index first among equals; return how many there are."""
    k = scores.shape[0]
    if found == k and not score > scores[k - 1]:
        return found
    place = min(found, k - 1)
    while place > 0 and scores[place - 1] < score:
        scores[place] = scores[place - 1]
        index[place] = index[place - 1]
        place -= 1
    scores[place] = score
    index[place] = m
    return min(found + 1, k)


@jit(parallel=True, fastmath=SUMS)
def summary_topk(q_hat, summaries, lane, visible, masked_score, out_index, out_score):
    """The k chunks of a query's lane with the largest q_hat . summary, descending, the lower index first among equals.

    Parameters
    ----------
    q_hat : float (N, D)
    summaries : float (B, M, D)
    lane : int32 (N,)
    visible : uint8 (N, M)
    masked_score : float
        Score of chunks that are not visible; -inf: they are left out.  A score that is NaN is left out too.
    out_index : int32 (N, k)
        -1 where fewer than k chunks are left.
    out_score : float (N, k)
        -inf there.
    """
    n_queries, width = q_hat.shape
    n_chunks = summaries.shape[1]
    zero = q_hat.dtype.type(0)
    least = q_hat.dtype.type(-np.inf)
    masked = q_hat.dtype.type(masked_score)
    for n in prange(n_queries):
        query = q_hat[n]
        for i in range(out_index.shape[1]):
            out_index[n, i] = -1
            out_score[n, i] = least
        found = 0
        for m in range(n_chunks):
            score = masked
            if visible[n, m] != 0:
                row = summaries[lane[n], m]
                score = zero
                for d in range(width):
                    score += query[d] * row[d]
            if score > least:
                found = insert_best(score, m, out_index[n], out_score[n], found)


@jit(fastmath=SUMS)
def best_stretch(query, summaries):
    """The largest product of the query with a chunk's summaries (S, D), and which it is, the first among equals."""
    best, which = query.dtype.type(-np.inf), 0
    for s in range(summaries.shape[0]):
        score = query.dtype.type(0)
        for d in range(query.shape[0]):
            score += query[d] * summaries[s, d]
        if score > best:
            best, which = score, s
    return best, which


@jit(parallel=True, fastmath=SUMS)
def stretch_topk(q_hat, summaries, lane, visible, masked_score, out_index, out_stretch, out_score):
    """As :func:`summary_topk` for chunks of several summaries, each as good as the best of its own.

    Parameters
    ----------
    q_hat, lane, visible, masked_score, out_index, out_score
        As there.
    summaries : float (B, M, S, D)
    out_stretch : int32 (N, k)
        Which of a kept chunk's summaries was the best, the first among equals; 0 for one that is masked, -1 without a chunk.
    """
    n_queries, n_chunks = visible.shape
    least = q_hat.dtype.type(-np.inf)
    masked = q_hat.dtype.type(masked_score)
    for n in prange(n_queries):
        for i in range(out_index.shape[1]):
            out_index[n, i] = -1
            out_stretch[n, i] = -1
            out_score[n, i] = least
        found = 0
        for m in range(n_chunks):
            best = masked
            if visible[n, m] != 0:
                best, _ = best_stretch(q_hat[n], summaries[lane[n], m])
            if best > least:
                found = insert_best(best, m, out_index[n], out_score[n], found)
        for i in range(found):
            out_stretch[n, i] = 0
            if visible[n, out_index[n, i]] != 0:
                _, out_stretch[n, i] = best_stretch(q_hat[n], summaries[lane[n], out_index[n, i]])


@jit(parallel=True, fastmath=SUMS)
def gather_attend_fwd(q_tilde, chunk_weight, index, lane, lengths, contents, position, out_p, out_y):
    """Attention of every head inside each kept chunk, and its sum over chunks by their weights.

    p_ihj = softmax over j of q_tilde_h . (contents_ij + position_j);  y_h = sum_i w_i sum_j p_ihj (contents_ij + position_j).

    Parameters
    ----------
    q_tilde : float (N, H, D)
    chunk_weight : float (N, k)
    index : int32 (N, k)
        Chunks with index -1 or weight 0 are not read; their p is 0.
    lane : int32 (N,)
    lengths : int32 (B, M)
        Steps of a chunk that count, 1 to C.
    contents : float (B, M, C, D)
    position : float (C, D)
    out_p : float (N, k, H, C)
    out_y : float (N, H, D)
    """
    n_queries, n_heads, width = q_tilde.shape
    n_kept, n_steps = index.shape[1], contents.shape[2]
    one = q_tilde.dtype.type(1)
    n_tasks = min(n_queries, TASKS)
    for task in prange(n_tasks):
        of_position = np.empty((n_heads, n_steps), q_tilde.dtype)  # scores that position gives, then the weight on each position
        for n in range(task * n_queries // n_tasks, (task + 1) * n_queries // n_tasks):
            of_position[:] = 0
            for j in range(n_steps):
                add_dots(q_tilde[n], position[j], j, of_position)
            for i in range(n_kept):
                if index[n, i] < 0 or chunk_weight[n, i] == 0:
                    out_p[n, i] = 0
                    continue
                chunk = contents[lane[n], index[n, i]]
                length = lengths[lane[n], index[n, i]]
                p = out_p[n, i]
                p[:] = of_position
                for j in range(length):
                    add_dots(q_tilde[n], chunk[j], j, p)
                for h in range(n_heads):
                    softmax_in_place(p[h], length)
            of_position[:] = 0
            out_y[n] = 0
            for i in range(n_kept):
                weight = chunk_weight[n, i]
                if index[n, i] < 0 or weight == 0:
                    continue
                chunk = contents[lane[n], index[n, i]]
                length = lengths[lane[n], index[n, i]]
                for h in range(n_heads):
                    add_rows(chunk, out_p[n, i, h], weight, length, out_y[n, h])
                    for j in range(length):
                        of_position[h, j] += weight * out_p[n, i, h, j]
            for h in range(n_heads):
                add_rows(position, of_position[h], one, n_steps, out_y[n, h])


@jit(parallel=True, fastmath=SUMS)
def gather_attend_bwd(
    q_tilde, chunk_weight, index, lane, lengths, contents, position, p, d_y, out_d_q_tilde, out_d_weight, out_d_score
):
    """Gradients of :func:`gather_attend_fwd` for its queries, its chunks' weights and the scores before the softmax.

    With g_ihj = d_y_h . z_ij and a_ih = sum_j p_ihj g_ihj:  d_weight_i = sum_h a_ih,  d_score_ihj = w_i p_ihj (g_ihj - a_ih),
    d_q_tilde_h = sum_ij d_score_ihj z_ij.

    Parameters
    ----------
    q_tilde, chunk_weight, index, lane, lengths, contents, position, p
        As in the forward kernel, p its result.
    d_y : float (N, H, D)
    out_d_q_tilde : float (N, H, D)
    out_d_weight : float (N, k)
    out_d_score : float (N, k, H, C)
    """
    n_queries, n_heads, width = q_tilde.shape
    n_kept, n_steps = index.shape[1], contents.shape[2]
    zero, one = q_tilde.dtype.type(0), q_tilde.dtype.type(1)
    n_tasks = min(n_queries, TASKS)
    for task in prange(n_tasks):
        of_position = np.empty((n_heads, n_steps), q_tilde.dtype)
        summed = np.empty((n_heads, n_steps), q_tilde.dtype)  # d_score over chunks
        for n in range(task * n_queries // n_tasks, (task + 1) * n_queries // n_tasks):
            of_position[:] = 0
            summed[:] = 0
            out_d_q_tilde[n] = 0
            for j in range(n_steps):
                add_dots(d_y[n], position[j], j, of_position)
            for i in range(n_kept):
                weight = chunk_weight[n, i]
                out_d_weight[n, i] = 0
                if index[n, i] < 0 or weight == 0:
                    out_d_score[n, i] = 0
                    continue
                chunk = contents[lane[n], index[n, i]]
                length = lengths[lane[n], index[n, i]]
                d_score = out_d_score[n, i]
                d_score[:] = of_position
                for j in range(length):
                    add_dots(d_y[n], chunk[j], j, d_score)
                for h in range(n_heads):
                    mean = zero
                    for j in range(length):
                        mean += p[n, i, h, j] * d_score[h, j]
                    out_d_weight[n, i] += mean
                    for j in range(length):
                        d_score[h, j] = weight * p[n, i, h, j] * (d_score[h, j] - mean)
                        summed[h, j] += d_score[h, j]
                    for j in range(length, n_steps):
                        d_score[h, j] = 0
                    add_rows(chunk, d_score[h], one, length, out_d_q_tilde[n, h])
            for h in range(n_heads):
                add_rows(position, summed[h], one, n_steps, out_d_q_tilde[n, h])


@jit(parallel=True, fastmath=SUMS)
def scatter_contents(order, starts, q_tilde, chunk_weight, p, d_y, d_score, out_d_contents):
    """Gradient of the contents: each chunk is written by one thread, from the places that kept it, in their order.

    d_contents_j = sum over places (n, i) and heads of w_ni p_nihj d_y_nh + d_score_nihj q_tilde_nh.

    Parameters
    ----------
    order : int32 (n_places,)
        Places n * k + i, those of chunk c at order[starts[c]:starts[c + 1]].
    starts : int32 (B * M + 1,)
    q_tilde, chunk_weight, p, d_y, d_score
        As in the backward kernel.
    out_d_contents : float (B, M, C, D)
    """
    n_heads = q_tilde.shape[1]
    n_kept = chunk_weight.shape[1]
    n_lanes, n_chunks, n_steps, _ = out_d_contents.shape
    one = q_tilde.dtype.type(1)
    for c in prange(n_lanes * n_chunks):
        chunk = out_d_contents[c // n_chunks, c % n_chunks]
        chunk[:] = 0
        for place in range(starts[c], starts[c + 1]):
            n, i = order[place] // n_kept, order[place] % n_kept
            for j in range(n_steps):
                add_rows(d_y[n], p[n, i, :, j], chunk_weight[n, i], n_heads, chunk[j])
                add_rows(q_tilde[n], d_score[n, i, :, j], one, n_heads, chunk[j])
