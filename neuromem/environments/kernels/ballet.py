"""Kernels of Ballet: environments are independent, so they are stepped, begun and drawn in parallel.

A stage is one environment's dancers, int8 (8, 5): row, column, dance, shape, colour.  Dance j of n fills the frames
j (15 + delay) ... j (15 + delay) + 15, and frame n (15 + delay) is the first in which the agent may choose, so that nothing
but the frame's number has to be kept of where the show is.
"""

import numpy as np

from neuromem.jit import jit, philox4x32, prange

SIDE = 11  # squares of the room, walls included, and of the view
CENTRE = 5
STEP, LEAVE, BEGIN, SHOW = 0, 1, 2, 3  # tasks
N_MOVES = 8  # any other action stays
DANCE_STEPS = 16
WALL, AGENT, DANCER = 35, 65, 66
ROW, COLUMN, DANCE, SHAPE, COLOUR = 0, 1, 2, 3, 4
SHIFT32 = np.uint64(32)


@jit
def below(draw, n):
    """A whole number from 0 to n - 1 from 32 random bits."""
    return np.int64((np.uint64(draw) * np.uint64(n)) >> SHIFT32)


@jit
def draw_stage(episode, number, key, places, n_dances, n_shapes, n_colours, n_dancers, stage):
    """Draw an episode's dancers into ``stage``; return the target.

    Draw 0 is the target; then come places, dances, colours and shapes, each item one of those left in its list, which keeps
    its order.  Draw i is lane i mod 4 of block i // 4 of the counter (episode, environment, block, 0).
    """
    a, b, c, d = philox4x32(episode, number, 0, 0, key[0], key[1])
    target = below(a, n_dancers)
    used = 1
    for what in range(4):
        n_items = n_shapes
        if what == 0:
            n_items = places.shape[0]
        elif what == 1:
            n_items = n_dances
        elif what == 2:
            n_items = n_colours
        taken = np.uint32(0)
        for i in range(n_dancers):
            if used % 4 == 0:
                a, b, c, d = philox4x32(episode, number, used // 4, 0, key[0], key[1])
            left = below((a, b, c, d)[used % 4], n_items - i)
            used += 1
            item = -1
            while left >= 0:
                item += 1
                if (taken >> np.uint32(item)) & np.uint32(1) == 0:
                    left -= 1
            taken |= np.uint32(1) << np.uint32(item)
            if what == 0:
                stage[i, ROW] = places[item, 0]
                stage[i, COLUMN] = places[item, 1]
            elif what == 1:
                stage[i, DANCE] = item
            elif what == 2:
                stage[i, COLOUR] = item
            else:
                stage[i, SHAPE] = item
    return target


@jit
def draw_board(frame, row, column, n_dancers, period, egocentric, backgrounds, offsets, stage, board):
    """Draw one board of characters: dancers over the agent over the room."""
    for i in range(SIDE * SIDE):
        board[i] = backgrounds[row - 1, column - 1, i]
    top = row - CENTRE if egocentric else 0
    left = column - CENTRE if egocentric else 0
    dancing = -1
    moved = 0
    if frame < n_dancers * period:
        dancing = frame // period
        moved = frame - dancing * period
        if moved >= DANCE_STEPS:
            dancing = -1
    for i in range(n_dancers):
        r = np.int64(stage[i, ROW]) - top
        c = np.int64(stage[i, COLUMN]) - left
        if i == dancing:
            r += offsets[stage[i, DANCE], moved, 0]
            c += offsets[stage[i, DANCE], moved, 1]
        if 0 <= r < SIDE and 0 <= c < SIDE:
            board[r * SIDE + c] = DANCER + i


@jit(parallel=True)
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
    """What ``task`` says for every environment: a step, nothing, a new episode, or the beginning of the stage that is there.

    A step where the episode is over begins the next one if ``begins``; otherwise the environment stays as it is.
    """
    period = DANCE_STEPS - 1 + delay
    for e in prange(actions.shape[0]):
        if task[e] == LEAVE:
            continue
        out_reward[e] = 0.0
        out_first[e] = 0
        if task[e] == STEP and out_over[e] != 0 and begins == 0:
            out_discount[e] = 0.0
            continue
        if task[e] != STEP or out_over[e] != 0:
            if task[e] != SHOW:
                out_episode[e] += np.uint32(1)
                out_target[e] = draw_stage(
                    out_episode[e], e, key, places, offsets.shape[0], n_shapes, n_colours, n_dancers, out_stage[e]
                )
            out_frame[e] = 0
            out_agent[e, 0] = CENTRE
            out_agent[e, 1] = CENTRE
            out_over[e] = 0
            out_first[e] = 1
            out_discount[e] = 1.0
            out_instruction[e] = 0
            draw_board(0, CENTRE, CENTRE, n_dancers, period, egocentric, backgrounds, offsets, out_stage[e], out_board[e])
            continue
        frame = np.int64(out_frame[e]) + 1
        out_frame[e] = frame
        row = np.int64(out_agent[e, 0])
        column = np.int64(out_agent[e, 1])
        choice = n_dancers * period
        over = frame >= max_steps
        discount = 1.0
        if frame >= choice:
            out_instruction[e] = 1 + out_stage[e, out_target[e], DANCE]
            action = np.int64(actions[e])
            if frame > choice and 0 <= action < N_MOVES:
                r = row + moves[action, 0]
                c = column + moves[action, 1]
                if 0 < r < SIDE - 1 and 0 < c < SIDE - 1:
                    row, column = r, c
                    out_agent[e, 0] = r
                    out_agent[e, 1] = c
            for i in range(n_dancers):
                if out_stage[e, i, ROW] == row and out_stage[e, i, COLUMN] == column:
                    over = True
                    discount = 0.0
                    if i == out_target[e]:
                        out_reward[e] = 1.0
        out_discount[e] = discount
        out_over[e] = 1 if over else 0
        draw_board(frame, row, column, n_dancers, period, egocentric, backgrounds, offsets, out_stage[e], out_board[e])


@jit(parallel=True)
def render_ballet(boards, looks, bitmaps, colours, wall_grey, out_images):
    """Boards as pictures: ``looks`` int8 (n, 8, 2) has the dancers' shapes and colours."""
    side = bitmaps.shape[1]
    for e in prange(boards.shape[0]):
        for i in range(SIDE):
            for j in range(SIDE):
                character = np.int64(boards[e, i, j])
                red, green, blue = 0, 0, 0
                shape = -1
                if character == AGENT:
                    red, green, blue = 255, 255, 255
                elif character >= DANCER:
                    shape = np.int64(looks[e, character - DANCER, 0])
                    colour = np.int64(looks[e, character - DANCER, 1])
                    red, green, blue = colours[colour, 0], colours[colour, 1], colours[colour, 2]
                elif character == WALL:
                    red, green, blue = wall_grey, wall_grey, wall_grey
                for y in range(side):
                    for x in range(side):
                        paint = 1 if shape < 0 else bitmaps[shape, y, x]
                        out_images[e, side * i + y, side * j + x, 0] = paint * red
                        out_images[e, side * i + y, side * j + x, 1] = paint * green
                        out_images[e, side * i + y, side * j + x, 2] = paint * blue
