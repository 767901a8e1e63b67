"""Reading a memory of chunks without learned weights: the best chunks by their summaries, then the steps inside them.

All kernels see one lane.  Q cues, M chunks, C steps a chunk, width D, n chunks kept a cue, groups of neighbouring chunks.
Scores are float64 sums of float32 or float64 products, so that float32 data neither overflow nor underflow.

Sums over D may be reordered (``reassoc``) and fused (``contract``), without which they are not vectorised; NaN and infinity
keep their meaning.  A score that is NaN is left out.  Among equal scores the lower index, or step id, comes first.
"""

import numpy as np

from neuromem.hcam.kernels.attention import softmax_in_place
from neuromem.jit import jit, prange

SUMS = {"reassoc", "contract"}
ULP = 2.0**-53
TASKS = 64  # parts that cues are dealt to; each has scratch of its own
STRETCH = 128  # scores that are looked at together
SAMPLED = 8  # one score in so many is looked at first
LOOSE = 2.0**-22
TINY = 1e-153  # a sum of squares that underflows hides a root below sqrt(D) times this


@jit(fastmath=SUMS)
def dot(a, b):
    """a . b in float64."""
    total = 0.0
    for d in range(a.shape[0]):
        total += np.float64(a[d]) * np.float64(b[d])
    return total


@jit(fastmath=SUMS)
def dot_and_distance(a, b):
    """a . b and |a - b|^2 in float64: exactly 0 where a is b."""
    total = 0.0
    far = 0.0
    for d in range(a.shape[0]):
        x = np.float64(a[d])
        y = np.float64(b[d])
        total += x * y
        far += (x - y) * (x - y)
    return total, far


@jit(fastmath=SUMS)
def distance(a, b):
    """|a - b| in float64."""
    far = 0.0
    for d in range(a.shape[0]):
        gap = np.float64(a[d]) - np.float64(b[d])
        far += gap * gap
    return np.sqrt(far)


@jit(fastmath=SUMS)
def known_distance(a, known, b):
    """|a - b|^2 over the features that are known, in float64."""
    far = 0.0
    for d in range(a.shape[0]):
        gap = np.float64(a[d]) - np.float64(b[d])
        far += gap * gap if known[d] != 0 else 0.0
    return far


@jit(fastmath=SUMS)
def dot_and_square(a, b):
    """a . b and |b|^2 in float64."""
    total = 0.0
    square = 0.0
    for d in range(a.shape[0]):
        y = np.float64(b[d])
        total += np.float64(a[d]) * y
        square += y * y
    return total, square


@jit
def insert(score, index, indices, scores, found):
    """Put a score among the best, in descending order, the lower index first among equals; return how many there are."""
    most = scores.shape[0]
    if score != score:
        return found
    if found == most and not (score > scores[most - 1] or (score == scores[most - 1] and index < indices[most - 1])):
        return found
    place = min(found, most - 1)
    while place > 0 and (score > scores[place - 1] or (score == scores[place - 1] and index < indices[place - 1])):
        scores[place] = scores[place - 1]
        indices[place] = indices[place - 1]
        place -= 1
    scores[place] = score
    indices[place] = index
    return min(found + 1, most)


@jit(parallel=True)
def best_chunks(cues, summaries, visible, out_index, out_score):
    """The n visible chunks with the largest cue . summary, in one pass over the summaries for each cue.

    Parameters
    ----------
    cues : float (Q, D)
    summaries : float (M, D)
    visible : uint8 (M,)
        Summaries of chunks that are not are not read.
    out_index : int32 (Q, n), n >= 1
        -1 where fewer than n chunks are visible.
    out_score : float64 (Q, n)
        -inf there.
    """
    for q in prange(cues.shape[0]):
        out_index[q] = -1
        out_score[q] = -np.inf
        found = 0
        for m in range(summaries.shape[0]):
            if visible[m] != 0:
                found = insert(dot(cues[q], summaries[m]), m, out_index[q], out_score[q], found)


@jit
def any_from(row, bar):
    """Whether any of a row is not below the bar, NaN included: a count of all, which becomes vector code."""
    count = 0
    for m in range(row.shape[0]):
        count += np.int32(not row[m] < bar)
    return count > 0


@jit
def below(score, error, known, row):
    """A bar in the row's dtype that is not above score - error; -inf where that is not known."""
    bar = score - error
    if known and -np.inf < bar < np.inf:
        return row.dtype.type(bar - LOOSE * abs(bar))
    return row.dtype.type(-np.inf)


@jit(parallel=True)
def best_chunks_refined(approximate, error, cues, summaries, visible, out_index, out_score):
    """As best_chunks, from scores that are known up to an error: only chunks that may be among the best are scored again.

    Parameters
    ----------
    approximate : float (Q, M)
    error : float64 (Q,)
        No entry of the row is further than this from the score; inf: all are scored again.
    cues, summaries, visible, out_index, out_score
    """
    for q in prange(cues.shape[0]):
        out_index[q] = -1
        out_score[q] = -np.inf
        found = 0
        row, indices, scores = approximate[q], out_index[q], out_score[q]
        n_chunks, last = row.shape[0], scores.shape[0] - 1
        for m in range(0, n_chunks, SAMPLED):  # the n-th best of some is not above the n-th best of all
            if visible[m] != 0:
                found = insert(np.float64(row[m]), m, indices, scores, found)
        bar = below(scores[last], 2.0 * error[q], found > last, row)
        indices[:] = -1
        scores[:] = -np.inf
        found = 0
        for start in range(0, n_chunks, STRETCH):
            end = min(start + STRETCH, n_chunks)
            if any_from(row[start:end], bar):
                for m in range(start, end):
                    if visible[m] != 0 and not row[m] < bar:
                        found = insert(dot(cues[q], summaries[m]), m, indices, scores, found)
                bar = max(bar, below(scores[last], error[q], found > last, row))


@jit
def sift_down(bounds, order, start, end):
    """Let the entry at ``start`` sink to its place in a heap with the largest bound on top."""
    bound, group = bounds[start], order[start]
    child = 2 * start + 1
    while child < end:
        if child + 1 < end and bounds[child + 1] > bounds[child]:
            child += 1
        if bounds[child] <= bound:
            break
        bounds[start], order[start] = bounds[child], order[child]
        start = child
        child = 2 * start + 1
    bounds[start], order[start] = bound, group


@jit
def scan_group(cue, summaries, grouped, g, group_size, indices, scores, found):
    """Offer the members of a group; return how many chunks are kept then."""
    for m in range(g * group_size, min((g + 1) * group_size, summaries.shape[0])):
        if grouped[m] != 0:
            found = insert(dot(cue, summaries[m]), m, indices, scores, found)
    return found


@jit(parallel=True)
def best_chunks_pruned(cues, summaries, grouped, loose, group_size, centres, reach, out_groups, out_index, out_score):
    """As best_chunks, without the groups whose bound cue . centre + |cue| reach is below the n-th best score so far.

    Groups are visited by descending bound, so the first that fails ends the search.  Where many hold out the rest are gone
    through as they lie in memory, which costs no more than a pass over all.

    Parameters
    ----------
    cues : float (Q, D)
    summaries : float (M, D)
    grouped : uint8 (M,)
        Visible chunks that the centres and reaches count with.
    loose : int32 (L,)
        Visible chunks that they do not.
    group_size : int
    centres : float (G, D)
    reach : float64 (G,)
        As extend_groups makes it; negative: an empty group.
    out_groups : int64 (Q,)
        How many groups were scanned.
    out_index, out_score
    """
    n_cues, width = cues.shape
    n_tasks = min(n_cues, TASKS)
    for task in prange(n_tasks):
        bounds = np.empty(reach.shape[0], np.float64)
        order = np.empty(reach.shape[0], np.int32)
        waiting = np.empty(reach.shape[0], np.float64)  # bounds by group, -inf once it is seen
        for q in range(task, n_cues, n_tasks):
            cue, indices, scores = cues[q], out_index[q], out_score[q]
            indices[:] = -1
            scores[:] = -np.inf
            found = 0
            for i in range(loose.shape[0]):
                found = insert(dot(cue, summaries[loose[i]]), loose[i], indices, scores, found)
            length = np.sqrt(dot(cue, cue)) + width * TINY
            n_open = 0
            for g in range(reach.shape[0]):
                waiting[g] = -np.inf
                if reach[g] >= 0.0:
                    bound = dot(cue, centres[g]) + length * reach[g]
                    bounds[n_open] = waiting[g] = bound if -np.inf < bound < np.inf else np.inf  # NaN too
                    order[n_open] = g
                    n_open += 1
            for start in range(n_open // 2 - 1, -1, -1):
                sift_down(bounds, order, start, n_open)
            most = n_open // 4
            out_groups[q] = 0
            while n_open > 0 and out_groups[q] < most and not (found == scores.shape[0] and bounds[0] < scores[found - 1]):
                g = order[0]
                n_open -= 1
                bounds[0], order[0] = bounds[n_open], order[n_open]
                sift_down(bounds, order, 0, n_open)
                waiting[g] = -np.inf
                out_groups[q] += 1
                found = scan_group(cue, summaries, grouped, g, group_size, indices, scores, found)
            if n_open > 0 and not (found == scores.shape[0] and bounds[0] < scores[found - 1]):
                for g in range(reach.shape[0]):
                    if waiting[g] > -np.inf and not (found == scores.shape[0] and waiting[g] < scores[found - 1]):
                        out_groups[q] += 1
                        found = scan_group(cue, summaries, grouped, g, group_size, indices, scores, found)


@jit
def reach_of(centre, summary, length):
    """Distance from the centre, made longer by all rounding errors of a bound and of the score that it is a bound of."""
    slack = (4.0 * centre.shape[0] + 16.0) * ULP
    return distance(centre, summary) * (1.0 + slack) + length * slack + centre.shape[0] * TINY


@jit
def extend_groups(chunks, summaries, group_size, out_counted, out_centres, out_reach, out_changes, out_members):
    """Count chunks among the members of their groups, so that every reach holds.

    A group's centre stays where it is while a chunk joins, and moves to the mean of its members each time as many have joined
    as it had at the last move: after 1, 2, 4 ... members, and once a round of the ring.  So a chunk costs O(D) on average.

    Parameters
    ----------
    chunks : int32 (n,)
    summaries : float (M, D)
    group_size : int
    out_counted : uint8 (M,)
        Whether a chunk is a member.
    out_centres : float (G, D)
    out_reach : float64 (G,)
        Largest distance of a member from the centre, and slack for rounding; -1: a group without members.
    out_changes : int32 (G,)
        Members that joined since the centre moved.
    out_members : int32 (G,)
        Members when it moved.
    """
    width = summaries.shape[1]
    for i in range(chunks.shape[0]):
        chunk = chunks[i]
        g = chunk // group_size
        centre = out_centres[g]
        out_counted[chunk] = 1
        out_changes[g] += 1
        if out_reach[g] >= 0.0 and out_changes[g] < out_members[g]:
            length = np.sqrt(dot(centre, centre))
            reach = reach_of(centre, summaries[chunk], length)
            out_reach[g] = max(reach, out_reach[g]) if reach < np.inf else np.inf
            continue
        first, end = g * group_size, min((g + 1) * group_size, summaries.shape[0])
        members = 0
        for m in range(first, end):
            members += out_counted[m]
        share = summaries.dtype.type(1.0 / members)
        centre[:] = 0
        for m in range(first, end):
            if out_counted[m] != 0:
                row = summaries[m]
                for d in range(width):
                    centre[d] += share * row[d]
        length = np.sqrt(dot(centre, centre))
        out_reach[g] = 0.0
        for m in range(first, end):
            if out_counted[m] != 0:
                reach = reach_of(centre, summaries[m], length)
                out_reach[g] = max(reach, out_reach[g]) if reach < np.inf else np.inf
        out_changes[g] = 0
        out_members[g] = members


@jit(parallel=True)
def score_steps(cues, chunks, contents, lengths, scale, out_score, out_weight):
    """Nearness of every step of the chunks kept, and its softmax weight inside its chunk.

    Parameters
    ----------
    cues : float (Q, D)
    chunks : int32 (Q, n)
        -1: none; nothing is read then.
    contents : float (M, C, D)
    lengths : int32 (M,)
        Steps beyond a chunk's length are not read.
    scale : float
        Of the dot products whose softmax the weights are.
    out_score : float64 (Q, n, C)
        -|cue - step|^2 / D; -inf where there is no step.
    out_weight : float64 (Q, n, C)
        0 there.
    """
    n_kept = chunks.shape[1]
    for pair in prange(cues.shape[0] * n_kept):
        q, i = pair // n_kept, pair % n_kept
        scores, weights = out_score[q, i], out_weight[q, i]
        scores[:] = -np.inf
        weights[:] = 0.0
        m = chunks[q, i]
        if m >= 0 and lengths[m] > 0:
            for j in range(lengths[m]):
                near, far = dot_and_distance(cues[q], contents[m, j])
                weights[j] = near * scale
                scores[j] = -far / cues.shape[1]
            softmax_in_place(weights, lengths[m])


@jit(parallel=True)
def score_known(cues, known, chunks, contents, lengths, out_score):
    """As the scores of score_steps, over the known features of each cue only: minus the mean of their squared differences.

    Parameters
    ----------
    cues : float (Q, D)
    known : uint8 (Q, D)
    chunks, contents, lengths
    out_score : float64 (Q, n, C)
    """
    n_kept = chunks.shape[1]
    for pair in prange(cues.shape[0] * n_kept):
        q, i = pair // n_kept, pair % n_kept
        scores = out_score[q, i]
        scores[:] = -np.inf
        m = chunks[q, i]
        if m >= 0:
            n_known = max(known[q].sum(), 1)
            for j in range(lengths[m]):
                scores[j] = -known_distance(cues[q], known[q], contents[m, j]) / n_known


@jit(parallel=True)
def best_steps(scores, chunks, lengths, first_step, out_id, out_rank, out_step, out_score):
    """The k best steps of the chunks kept, the lower id first among equals.

    Parameters
    ----------
    scores : float64 (Q, n, C)
    chunks : int32 (Q, n)
        A row has no chunk twice, but -1.
    lengths : int32 (M,)
    first_step : int64 (M,)
    out_id : int64 (Q, k)
        first_step + position; -1 where fewer than k steps are kept.
    out_rank : int32 (Q, k)
        Which of the chunks kept a step is in; -1 there.
    out_step : int32 (Q, k)
        Its position in the chunk; -1 there.
    out_score : float64 (Q, k)
        -inf there.
    """
    for q in prange(scores.shape[0]):
        out_id[q] = -1
        out_rank[q] = -1
        out_step[q] = -1
        out_score[q] = -np.inf
        found = 0
        for i in range(chunks.shape[1]):
            m = chunks[q, i]
            if m >= 0:
                for j in range(lengths[m]):
                    found = insert(scores[q, i, j], first_step[m] + j, out_id[q], out_score[q], found)
        for place in range(found):
            for i in range(chunks.shape[1]):
                m = chunks[q, i]
                if m >= 0 and 0 <= out_id[q, place] - first_step[m] < lengths[m]:
                    out_rank[q, place] = i
                    out_step[q, place] = out_id[q, place] - first_step[m]


@jit(parallel=True)
def best_cosines(items, chunks, contents, lengths, out_cosine):
    """The largest cosine of an item with a step of the chunks kept.

    Parameters
    ----------
    items : float (Q, D)
    chunks : int32 (Q, n)
    contents : float (M, C, D)
    lengths : int32 (M,)
    out_cosine : float64 (Q,)
        From -1 to 1.  A vector of zeros has cosine 1 with another and 0 with any else; 0 without a step.
    """
    for q in prange(items.shape[0]):
        length = np.sqrt(dot(items[q], items[q]))
        best = -np.inf
        for i in range(chunks.shape[1]):
            m = chunks[q, i]
            if m >= 0:
                for j in range(lengths[m]):
                    near, square = dot_and_square(items[q], contents[m, j])
                    cosine = 1.0 if length == 0.0 and square == 0.0 else 0.0
                    if length > 0.0 and square > 0.0:
                        cosine = near / (length * np.sqrt(square))
                    if cosine > best:
                        best = cosine
        out_cosine[q] = min(max(best, -1.0), 1.0) if best > -np.inf else 0.0
