"""Kernels that write steps into chunks: copies, means, checksums."""

import numpy as np

from neuromem.jit import jit, prange

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
ZERO = np.uint64(0)


@jit
def largest_magnitude(bits, mask, out_top):
    """Greatest of the numbers' bit patterns without their signs: at or beyond infinity's where a number is not finite.

    Parameters
    ----------
    bits : uint32 or uint64 (n,)
        Floats read as integers.
    mask : uint32 or uint64 (1,)
        All bits but the sign.
    out_top : as bits, (1,)
    """
    keep = mask[0]
    top = keep & ~keep  # 0 of the type of the bits
    for i in range(bits.shape[0]):
        top = max(top, bits[i] & keep)
    out_top[0] = top


@jit
def add_steps(contents, start, stop, sums):
    """Add the steps start ... stop - 1 of a chunk (C, D) to float64 sums (D,), in order."""
    for j in range(start, stop):
        row = contents[j]
        for d in range(sums.shape[0]):
            sums[d] += row[d]


@jit
def close_chunk(lane, slot, n, summaries, lengths, closed, fill, sums, summed):
    """The mean of a chunk's n steps becomes its summary, and the chunk is closed."""
    for d in range(sums.shape[1]):
        summaries[lane, slot, d] = sums[lane, d] / n
        sums[lane, d] = 0.0
    lengths[lane, slot] = n
    closed[lane, slot] = True
    fill[lane] = 0
    summed[lane] = 0


@jit
def append_lane(
    lane, x, first, capacity, current, contents, summaries, lengths, first_step, episode, closed, opened, fill, sums, summed
):
    """All steps of one lane; arguments as for :func:`append_steps`."""
    steps = contents.shape[2]
    n = x.shape[0]
    t = 0
    while t < n:
        if fill[lane] == 0:
            slot = opened[lane] % capacity
            opened[lane] += 1
            closed[lane, slot] = False
            first_step[lane, slot] = first + t
            episode[lane, slot] = current[lane]
            for d in range(sums.shape[1]):
                sums[lane, d] = 0.0
            summed[lane] = 0
        slot = (opened[lane] - 1) % capacity
        begin = fill[lane]
        add_steps(contents[lane, slot], summed[lane], begin, sums[lane])  # steps that came one by one
        count = min(n - t, steps - begin)
        total = sums[lane]
        for j in range(count):
            source = x[t + j, lane]
            target = contents[lane, slot, begin + j]
            for d in range(total.shape[0]):
                value = source[d]
                target[d] = value
                total[d] += value
        t += count
        fill[lane] = begin + count
        summed[lane] = begin + count
        lengths[lane, slot] = begin + count
        if begin + count == steps:
            close_chunk(lane, slot, steps, summaries, lengths, closed, fill, sums, summed)


@jit
def append_steps(
    x,
    first,
    capacity,
    current,
    out_contents,
    out_summaries,
    out_lengths,
    out_first_step,
    out_episode,
    out_closed,
    out_opened,
    out_fill,
    out_sums,
    out_summed,
):
    """Write steps into the open chunk of every lane; a chunk that is full closes and the next slot is opened.

    Parameters
    ----------
    x : float (n, lanes, D)
    first : int
        Id of the first of these steps.
    capacity : int
        Slots of a lane: the chunk opened as number i lies in slot i % capacity.  Those used must exist.
    current : int64 (lanes,)
        Episode that new chunks belong to.
    out_contents : as x, (lanes, M, C, D)
    out_summaries : as x, (lanes, M, D)
        Mean of a chunk's steps, summed in float64 in their order; written when it closes.
    out_lengths : int32 (lanes, M)
    out_first_step, out_episode : int64 (lanes, M)
    out_closed : bool (lanes, M)
    out_opened, out_fill : int64 (lanes,)
        Chunks opened so far; steps in the open one, 0: none is open.
    out_sums : float64 (lanes, D)
    out_summed : int64 (lanes,)
        Sums of the open chunk's steps, and how many of them they cover.
    """
    for lane in range(x.shape[1]):
        append_lane(
            lane,
            x,
            first,
            capacity,
            current,
            out_contents,
            out_summaries,
            out_lengths,
            out_first_step,
            out_episode,
            out_closed,
            out_opened,
            out_fill,
            out_sums,
            out_summed,
        )


@jit(parallel=True)
def append_steps_threaded(
    x,
    first,
    capacity,
    current,
    out_contents,
    out_summaries,
    out_lengths,
    out_first_step,
    out_episode,
    out_closed,
    out_opened,
    out_fill,
    out_sums,
    out_summed,
):
    """:func:`append_steps` with the lanes on several threads."""
    for lane in prange(x.shape[1]):
        append_lane(
            lane,
            x,
            first,
            capacity,
            current,
            out_contents,
            out_summaries,
            out_lengths,
            out_first_step,
            out_episode,
            out_closed,
            out_opened,
            out_fill,
            out_sums,
            out_summed,
        )


@jit
def summarise_open(
    contents, opened, fill, capacity, close, out_summaries, out_lengths, out_closed, out_fill, out_sums, out_summed
):
    """Bring the summaries of open chunks up to date; close those of chosen lanes.

    Parameters
    ----------
    contents, opened, fill, capacity
        As for :func:`append_steps`; ``fill`` as it is before.
    close : bool (lanes,)
    out_summaries, out_lengths, out_closed, out_fill, out_sums, out_summed
        As for :func:`append_steps`.
    """
    for lane in range(fill.shape[0]):
        n = fill[lane]
        if n > 0:
            slot = (opened[lane] - 1) % capacity
            add_steps(contents[lane, slot], out_summed[lane], n, out_sums[lane])
            out_summed[lane] = n
            if close[lane]:
                close_chunk(lane, slot, n, out_summaries, out_lengths, out_closed, out_fill, out_sums, out_summed)
            else:
                for d in range(out_sums.shape[1]):
                    out_summaries[lane, slot, d] = out_sums[lane, d] / n


@jit
def summarise_closed(contents, lengths, capacity, start, stop, out_sums, out_summaries):
    """Summaries of closed chunks from their steps, as :func:`append_steps` makes them.

    Parameters
    ----------
    contents, lengths, capacity
        As for :func:`append_steps`.
    start, stop : int64 (lanes,)
        The chunks opened as numbers start ... stop - 1 are summarised.
    out_sums : float64 (D,)
    out_summaries : as contents, (lanes, M, D)
    """
    for lane in range(start.shape[0]):
        for number in range(start[lane], stop[lane]):
            slot = number % capacity
            n = lengths[lane, slot]
            out_sums[:] = 0.0
            add_steps(contents[lane, slot], 0, n, out_sums)
            for d in range(out_sums.shape[0]):
                out_summaries[lane, slot, d] = out_sums[d] / n


@jit
def word_sum(words, weights):
    """Weighted sum of 32-bit words modulo 2**64; the weights are odd, so no change of one word leaves it as it was."""
    total = ZERO
    for i in range(words.shape[0]):
        total += np.uint64(words[i]) * np.uint64(weights[i])
    return total


@jit
def seal_chunks(contents, summaries, lengths, first_step, episode, capacity, start, stop, weights, out_chunks):
    """Describe closed chunks: length, first step, episode and a checksum of all that belongs to them.

    Parameters
    ----------
    contents, summaries : uint32 (lanes, M, C, W), (lanes, M, W)
        Their bits.
    lengths, first_step, episode, capacity
        As for :func:`append_steps`.
    start, stop : int64 (lanes,)
        The chunks opened as numbers start ... stop - 1 are described.
    weights : uint32 (W,)
        Odd numbers.
    out_chunks : int64 (lanes, M, 4)
    """
    for lane in range(start.shape[0]):
        for number in range(start[lane], stop[lane]):
            slot = number % capacity
            state = np.uint64(lengths[lane, slot]) * GOLDEN
            state = (state ^ np.uint64(first_step[lane, slot])) * GOLDEN
            state = (state ^ np.uint64(episode[lane, slot])) * GOLDEN
            state = (state ^ word_sum(summaries[lane, slot], weights)) * GOLDEN
            for j in range(lengths[lane, slot]):
                state = (state ^ word_sum(contents[lane, slot, j], weights)) * GOLDEN
            out_chunks[lane, slot, 0] = lengths[lane, slot]
            out_chunks[lane, slot, 1] = first_step[lane, slot]
            out_chunks[lane, slot, 2] = episode[lane, slot]
            out_chunks[lane, slot, 3] = np.int64(state)
