"""The room of Ballet as characters: 11 x 11 squares with walls at the edge, and what the agent sees of it."""

import numpy as np

SIDE, CENTRE = 11, 5
FLOOR, WALL, AGENT, DANCER = ord(" "), ord("#"), ord("A"), ord("B")  # dancer i is DANCER + i


def room_boards(egocentric: bool) -> np.ndarray:
    """Boards without dancers, uint8 (9, 9, 121): one for each square where the agent may be.

    Egocentric boards have the agent in their centre; what lies beyond the room looks like floor.
    """
    room = np.full((SIDE, SIDE), WALL, np.uint8)
    room[1:-1, 1:-1] = FLOOR
    wide = np.pad(room, CENTRE, constant_values=FLOOR)
    boards = np.empty((SIDE - 2, SIDE - 2, SIDE, SIDE), np.uint8)
    for row in range(1, SIDE - 1):
        for column in range(1, SIDE - 1):
            boards[row - 1, column - 1] = wide[row : row + SIDE, column : column + SIDE] if egocentric else room
            place = (CENTRE, CENTRE) if egocentric else (row, column)
            boards[row - 1, column - 1][place] = AGENT
    return boards.reshape(SIDE - 2, SIDE - 2, SIDE * SIDE)
