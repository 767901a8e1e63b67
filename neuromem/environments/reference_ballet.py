"""The kernels of Ballet in plain form, the way the original keeps its books: a timer, and who dances next.

The kernels work out a frame from its number instead; here a show is played again from its beginning to the frame wanted.
"""

import numpy as np

from neuromem.random import philox4x32

STEP, LEAVE, BEGIN, SHOW = 0, 1, 2, 3


class Show:
    """The dances of one episode."""

    def __init__(self, stage, offsets, n_dancers, delay):
        self.places = [[int(row), int(column)] for row, column in stage[:n_dancers, :2]]
        steps = np.diff(offsets[stage[:n_dancers, 2]].astype(int), axis=1, prepend=0)
        self.moves = steps.tolist()
        self.delay = delay
        self.timer, self.next, self.dancing, self.moved = 1, 0, None, 0
        self.choosing = False

    def update(self):
        """One frame: count the timer down, then let the dancer whose turn it is move."""
        if not self.choosing and self.timer > 0:
            self.timer -= 1
            if self.timer == 0:
                if self.next < len(self.places):
                    self.dancing, self.moved = self.next, 0
                    self.next += 1
                else:
                    self.choosing = True
        if self.dancing is not None:
            move = self.moves[self.dancing][self.moved]
            for axis in (0, 1):
                self.places[self.dancing][axis] += move[axis]
            self.moved += 1
            if self.moved == 16:
                self.dancing, self.timer = None, self.delay


def show_at(frame, stage, offsets, n_dancers, delay):
    """The show after the updates of frames 0 ... ``frame``."""
    show = Show(stage, offsets, n_dancers, delay)
    for _ in range(frame + 1):
        show.update()
    return show


def drawn(episode, number, key, places, n_dances, n_shapes, n_colours, n_dancers, stage):
    """Draw a stage; return the target."""
    counters = [[episode, number, block, 0] for block in range(9)]
    draws = iter(philox4x32(counters, key).ravel().tolist())

    def some_of(items):
        left = list(items)
        return [left.pop(next(draws) * len(left) >> 32) for _ in range(n_dancers)]

    target = next(draws) * n_dancers >> 32
    stage[:n_dancers, :2] = some_of(places.tolist())
    stage[:n_dancers, 2] = some_of(range(n_dances))
    stage[:n_dancers, 4] = some_of(range(n_colours))
    stage[:n_dancers, 3] = some_of(range(n_shapes))
    return target


def board_of(show, agent, egocentric):
    """Characters of the room with all in it, cut out around the agent if egocentric."""
    room = np.full((31, 31), ord(" "), np.uint8)
    room[10:21, 10:21] = ord("#")
    room[11:20, 11:20] = ord(" ")
    room[10 + agent[0], 10 + agent[1]] = ord("A")
    for i, (row, column) in enumerate(show.places):
        room[10 + row, 10 + column] = ord("B") + i
    top, left = (agent[0] + 5, agent[1] + 5) if egocentric else (10, 10)
    return room[top : top + 11, left : left + 11].ravel()


def step_ballet(
    task,
    actions,
    key,
    n_dancers,
    delay,
    max_steps,
    begins,
    egocentric,
    moves,
    places,
    n_shapes,
    n_colours,
    backgrounds,
    offsets,
    out_frame,
    out_agent,
    out_over,
    out_episode,
    out_target,
    out_stage,
    out_board,
    out_instruction,
    out_reward,
    out_discount,
    out_first,
):
    """One environment after the other."""
    for e in range(len(actions)):
        if task[e] == LEAVE:
            continue
        out_reward[e], out_first[e] = 0, 0
        if task[e] == STEP and out_over[e] and not begins:
            out_discount[e] = 0
            continue
        if task[e] != STEP or out_over[e]:
            if task[e] != SHOW:
                out_episode[e] += 1
                out_target[e] = drawn(out_episode[e], e, key, places, len(offsets), n_shapes, n_colours, n_dancers, out_stage[e])
            out_frame[e], out_agent[e], out_over[e], out_first[e], out_discount[e], out_instruction[e] = 0, 5, 0, 1, 1, 0
            show = show_at(0, out_stage[e], offsets, n_dancers, delay)
            out_board[e] = board_of(show, out_agent[e], egocentric)
            continue
        show = show_at(out_frame[e], out_stage[e], offsets, n_dancers, delay)
        agent = [int(place) for place in out_agent[e]]
        if show.choosing and 0 <= actions[e] < 8:  # the agent acts before the timer is counted down
            wanted = [place + int(move) for place, move in zip(agent, moves[actions[e]], strict=True)]
            if all(1 <= place <= 9 for place in wanted):
                agent = wanted
        show.update()
        out_frame[e] += 1
        out_agent[e], out_discount[e], out_over[e] = agent, 1, out_frame[e] >= max_steps
        if show.choosing:
            out_instruction[e] = 1 + out_stage[e, out_target[e], 2]
            if agent in show.places:
                out_reward[e] = show.places.index(agent) == out_target[e]
                out_discount[e], out_over[e] = 0, 1
        out_board[e] = board_of(show, agent, egocentric)


def render_ballet(boards, looks, bitmaps, colours, wall_grey, out_images):
    """One square after the other."""
    for e, board in enumerate(boards):
        for (i, j), character in np.ndenumerate(board):
            square = np.zeros((9, 9, 3), np.uint8)
            if character == ord("A"):
                square[:] = 255
            elif character == ord("#"):
                square[:] = wall_grey
            elif character != ord(" "):
                shape, colour = looks[e, character - ord("B")]
                square[bitmaps[shape] == 1] = colours[colour]
            out_images[e, 9 * i : 9 * i + 9, 9 * j : 9 * j + 9] = square
