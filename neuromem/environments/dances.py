"""The thirteen dances of the Ballet task, and what else an episode draws from.

The dances, the order of every list and the names are those of the Ballet environment published by DeepMind Technologies
Limited under the Apache License 2.0, so that an episode of a seed is the published one.
"""

import numpy as np

# Where actions and dance moves 0 ... 7 lead: north, north-east, and on clockwise.
MOVES = np.array([(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)], np.int8)

DANCES: dict[str, tuple[int, ...]] = {
    "circle_cw": (0, 2, 4, 4, 6, 6, 0, 0, 2, 2, 4, 4, 6, 6, 0, 2),
    "circle_ccw": (0, 6, 4, 4, 2, 2, 0, 0, 6, 6, 4, 4, 2, 2, 0, 6),
    "up_and_down": (0, 4, 4, 0, 0, 4, 4, 0, 0, 4, 4, 0, 0, 4, 4, 0),
    "left_and_right": (2, 6, 6, 2, 2, 6, 6, 2, 2, 6, 6, 2, 2, 6, 6, 2),
    "diagonal_uldr": (7, 3, 3, 7, 7, 3, 3, 7, 7, 3, 3, 7, 7, 3, 3, 7),
    "diagonal_urdl": (1, 5, 5, 1, 1, 5, 5, 1, 1, 5, 5, 1, 1, 5, 5, 1),
    "plus_cw": (0, 4, 2, 6, 4, 0, 6, 2, 0, 4, 2, 6, 4, 0, 6, 2),
    "plus_ccw": (0, 4, 6, 2, 4, 0, 2, 6, 0, 4, 6, 2, 4, 0, 2, 6),
    "times_cw": (1, 5, 3, 7, 5, 1, 7, 3, 1, 5, 3, 7, 5, 1, 7, 3),
    "times_ccw": (7, 3, 5, 1, 3, 7, 1, 5, 7, 3, 5, 1, 3, 7, 1, 5),
    "zee": (1, 6, 6, 2, 2, 5, 1, 5, 5, 2, 2, 6, 6, 1, 5, 1),
    "chevron_down": (7, 4, 3, 1, 0, 5, 1, 5, 1, 4, 5, 7, 0, 3, 7, 3),
    "chevron_up": (3, 0, 7, 5, 4, 1, 5, 1, 5, 0, 1, 3, 4, 7, 3, 7),
}
DANCE_STEPS = 16

# Rows and columns where dancers stand: three by three without the centre, where the agent starts.
PLACES = np.array([(2, 2), (2, 5), (2, 8), (5, 2), (5, 8), (8, 2), (8, 5), (8, 8)], np.int8)

# What the agent is told: to watch, or whom to go to.  An instruction's number is its place here.
INSTRUCTIONS: tuple[str, ...] = ("watch", *DANCES)


def dance_moves() -> np.ndarray:
    """The dances' moves, int8 (13, 16)."""
    return np.array(list(DANCES.values()), np.int8)


def dance_offsets() -> np.ndarray:
    """Where a dancer stands after each move, from its place, int8 (13, 16, 2): within one square, and last at its place."""
    return MOVES[dance_moves()].cumsum(axis=1, dtype=np.int8)
