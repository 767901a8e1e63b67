"""Networks of the shapes that the tests of sequences share."""

from neuromem.experiments.sparsey_sequences import N_INPUTS
from neuromem.sparsey import SparseyLevel, SparseyNetwork, SparseySequenceMemory


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
