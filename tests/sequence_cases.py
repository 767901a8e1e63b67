"""Random sequences, damage done to them, and networks of the shapes that the tests share."""

import numpy as np

from neuromem.sparsey import SparseyLevel, SparseyNetwork, SparseySequenceMemory

N_INPUTS = 144


def random_sequence(rng, n_frames, low=9, high=12):
    """Frames of 144 pixels with 9 to 12 of them active."""
    frames = np.zeros((n_frames, N_INPUTS), np.uint8)
    for frame in frames:
        frame[rng.permutation(N_INPUTS)[: rng.integers(low, high + 1)]] = 1
    return frames


def moved(frames, rng, n):
    """The same with ``n`` active pixels of each frame put elsewhere."""
    out = np.zeros_like(frames)
    for frame, new in zip(frames, out, strict=True):
        new[rng.permutation(np.flatnonzero(frame))[n:]] = 1
        new[rng.integers(0, N_INPUTS, n)] = 1
    return out


def one_level(seed, **settings):
    return SparseySequenceMemory(N_INPUTS, 24, 32, random_state=seed, **settings)


def levels_of(seed, *persistences, top_down=True, horizontal=True, first_horizontal=True, release=0.6, **settings):
    """Levels of one mac each, 16 modules of 24 units."""
    levels = [
        SparseyLevel(
            16,
            24,
            persistence=p,
            top_down=top_down,
            horizontal=horizontal and (j > 0 or first_horizontal),
            release=release,
        )
        for j, p in enumerate(persistences)
    ]
    return SparseyNetwork(N_INPUTS, levels, random_state=seed, **settings)


def written(memory, frames):
    """Codes written, per level, by a sequence that begins an episode."""
    return memory.present(frames, True, lengths=[len(frames)]).codes
