"""One row per kernel of the environments: warm-up, mirror suite and compile check read it."""

import numpy as np

from neuromem.environments import dances, room, sprites
from neuromem.kernel_registry import KernelRow

ON_THE_HOST = "environments: tens of nanoseconds a step, and what acts in them takes boards on the host"
N_ENVS, N_DANCERS, DELAY, MAX_STEPS = 14, 3, 2, 60


def example_stages() -> np.ndarray:
    """Dancers of every environment: some of all places, dances, shapes and colours."""
    stages = np.zeros((N_ENVS, 8, 5), np.int8)
    for e in range(N_ENVS):
        for i in range(8):
            stages[e, i] = (*dances.PLACES[(e + 3 * i) % 8], (e + i) % 13, (2 * e + i) % 15, (3 * e + i) % 19)
    return stages


def step_example() -> tuple:
    """Every task; dances, delays, the ignored action, moves, walls, both kinds of touch, the cut, and episodes that are over."""
    task = np.zeros(N_ENVS, np.uint8)
    task[10:13] = 1, 2, 3
    actions = np.array([0, 4, 8, 2, 3, 1, -1, 7, 6, 5, 0, 0, 0, 2], np.int32)
    frame = np.array([0, 15, 16, 33, 50, 51, 52, 58, 59, 55, 20, 20, 20, 9], np.int32)
    agent = np.full((N_ENVS, 2), 5, np.int8)
    stages = example_stages()
    target = np.arange(N_ENVS, dtype=np.int8) % N_DANCERS
    agent[5], agent[7] = stages[5, target[5], :2] - dances.MOVES[1], stages[7, 0, :2] - dances.MOVES[7]
    agent[8], agent[9] = (5, 1), (9, 1)
    over = np.zeros(N_ENVS, np.uint8)
    over[13] = 1
    return (
        task,
        actions,
        np.array([5, 6], np.uint32),
        N_DANCERS,
        DELAY,
        MAX_STEPS,
        1,
        1,
        dances.MOVES,
        dances.PLACES,
        len(sprites.SHAPES),
        len(sprites.COLOURS),
        room.room_boards(True),
        dances.dance_offsets(),
        frame,
        agent,
        over,
        np.arange(N_ENVS, dtype=np.uint32),
        target,
        stages,
        np.zeros((N_ENVS, room.SIDE * room.SIDE), np.uint8),
        np.zeros(N_ENVS, np.int8),
        np.full(N_ENVS, 9, np.float32),
        np.full(N_ENVS, 9, np.float32),
        np.full(N_ENVS, 9, np.uint8),
    )


def render_example() -> tuple:
    """Room, agent, and each dancer somewhere."""
    stages = example_stages()[:4]
    boards = room.room_boards(True).reshape(81, room.SIDE, room.SIDE)[[0, 13, 40, 80]]
    for e in range(4):
        boards[e, 2, 1:9] = room.DANCER + np.arange(8)
    side = room.SIDE * sprites.SPRITE_SIDE
    images = np.zeros((4, side, side, 3), np.uint8)
    return boards, stages[:, :, 3:], sprites.shape_bitmaps(), sprites.colour_table(), sprites.WALL_GREY, images


KERNELS: list[KernelRow] = [
    KernelRow(
        name,
        f"neuromem.environments.kernels:{name}",
        example,
        outputs,
        f"neuromem.environments.reference_ballet:{name}",
        cpu_only=ON_THE_HOST,
    )
    for name, example, outputs in (
        ("step_ballet", step_example, tuple(range(14, 25))),
        ("render_ballet", render_example, (5,)),
    )
]
