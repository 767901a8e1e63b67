"""Writing of steps into chunks in plain NumPy: short and slow."""

import numpy as np

WORD = 2**32
MODULUS = 2**64
GOLDEN = 0x9E3779B97F4A7C15


def largest_magnitude(bits: np.ndarray, mask: np.ndarray, out_top: np.ndarray) -> None:
    """Greatest bit pattern without its sign."""
    out_top[0] = (bits & mask[0]).max(initial=0)


def append_steps(
    x: np.ndarray,
    first: int,
    capacity: int,
    current: np.ndarray,
    out_contents: np.ndarray,
    out_summaries: np.ndarray,
    out_lengths: np.ndarray,
    out_first_step: np.ndarray,
    out_episode: np.ndarray,
    out_closed: np.ndarray,
    out_opened: np.ndarray,
    out_fill: np.ndarray,
    out_sums: np.ndarray,
    out_summed: np.ndarray,
) -> None:
    """One step after the other into the open chunk of each lane."""
    for lane in range(x.shape[1]):
        for t in range(len(x)):
            if out_fill[lane] == 0:
                slot = out_opened[lane] % capacity
                out_opened[lane] += 1
                out_closed[lane, slot] = False
                out_first_step[lane, slot] = first + t
                out_episode[lane, slot] = current[lane]
            slot = (out_opened[lane] - 1) % capacity
            out_contents[lane, slot, out_fill[lane]] = x[t, lane]
            out_fill[lane] += 1
            n = out_fill[lane]
            out_lengths[lane, slot] = n
            out_sums[lane] = out_contents[lane, slot, :n].sum(axis=0, dtype=np.float64)
            out_summed[lane] = n
            if n == out_contents.shape[2]:
                close(lane, slot, n, out_summaries, out_closed, out_fill, out_sums, out_summed)


def close(
    lane: int,
    slot: int,
    n: int,
    summaries: np.ndarray,
    closed: np.ndarray,
    fill: np.ndarray,
    sums: np.ndarray,
    summed: np.ndarray,
) -> None:
    """The mean becomes the summary."""
    summaries[lane, slot] = sums[lane] / n
    closed[lane, slot] = True
    sums[lane] = fill[lane] = summed[lane] = 0


def summarise_open(
    contents: np.ndarray,
    opened: np.ndarray,
    fill: np.ndarray,
    capacity: int,
    close_lanes: np.ndarray,
    out_summaries: np.ndarray,
    out_lengths: np.ndarray,
    out_closed: np.ndarray,
    out_fill: np.ndarray,
    out_sums: np.ndarray,
    out_summed: np.ndarray,
) -> None:
    """Means of the steps in open chunks."""
    for lane in np.flatnonzero(fill):
        slot, n = int(opened[lane] - 1) % capacity, int(fill[lane])
        out_sums[lane] = contents[lane, slot, :n].sum(axis=0, dtype=np.float64)
        out_summed[lane] = n
        out_summaries[lane, slot] = out_sums[lane] / n
        if close_lanes[lane]:
            out_lengths[lane, slot] = n
            close(int(lane), slot, n, out_summaries, out_closed, out_fill, out_sums, out_summed)


def summarise_closed(
    contents: np.ndarray,
    lengths: np.ndarray,
    capacity: int,
    start: np.ndarray,
    stop: np.ndarray,
    out_sums: np.ndarray,
    out_summaries: np.ndarray,
) -> None:
    """Means of the steps in closed chunks."""
    for lane in range(len(start)):
        for number in range(start[lane], stop[lane]):
            slot = number % capacity
            n = lengths[lane, slot]
            out_sums[:] = contents[lane, slot, :n].sum(axis=0, dtype=np.float64)
            out_summaries[lane, slot] = out_sums / n


def seal_chunks(
    contents: np.ndarray,
    summaries: np.ndarray,
    lengths: np.ndarray,
    first_step: np.ndarray,
    episode: np.ndarray,
    capacity: int,
    start: np.ndarray,
    stop: np.ndarray,
    weights: np.ndarray,
    out_chunks: np.ndarray,
) -> None:
    """Checksums in Python's whole numbers."""

    def word_sum(words: np.ndarray) -> int:
        return sum(int(w) * int(c) for w, c in zip(words, weights, strict=True)) % MODULUS

    for lane in range(len(start)):
        for number in range(start[lane], stop[lane]):
            slot = number % capacity
            n = int(lengths[lane, slot])
            state = n * GOLDEN % MODULUS
            parts = [int(first_step[lane, slot]), int(episode[lane, slot]), word_sum(summaries[lane, slot])]
            for part in [*parts, *(word_sum(contents[lane, slot, j]) for j in range(n))]:
                state = (state ^ part) * GOLDEN % MODULUS
            signed = state - MODULUS if state >= MODULUS // 2 else state
            out_chunks[lane, slot] = n, first_step[lane, slot], episode[lane, slot], signed
