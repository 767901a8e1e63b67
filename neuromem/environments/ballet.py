"""Ballet: watch dancers perform one after the other, then go to the one whose dance is named."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from neuromem import validate
from neuromem.environments import dances, room, sprites
from neuromem.errors import CallOrderError, FormatError, InputError, InputTypeError
from neuromem.parallel import kernel_threads
from neuromem.random import RandomState, key_for, seed_sequence_of

STEP_NANOSECONDS, IMAGE_NANOSECONDS = 40.0, 20_000.0  # about, on one thread
MAX_ENVS, LONGEST = 2**31 - 1, 2**31 - 2
DANCE, SHAPE, COLOUR, N_STAGE = 2, 3, 4, 5  # a dancer's row and column, and these
N_ACTIONS = 8
LEAVE, BEGIN, SHOW = 1, 2, 3  # the kernel's tasks; 0 is a step
# What the kernel changes, in the order in which it takes it.
STATE = ("frame", "agent", "over", "episode", "target", "stage", "board", "instruction", "reward", "discount", "first")


class BalletStep(NamedTuple):
    """What every environment shows after a step or a reset.

    ``board`` uint8 (n_envs, 11, 11): characters; ``instruction`` int8 (n_envs,): a place in ``INSTRUCTIONS``, 0 is "watch";
    ``reward`` and ``discount`` float32 (n_envs,); ``last``: the episode is over; ``first``: a new one began, with reward 0 and
    discount 1, and the action was ignored.
    """

    board: np.ndarray
    instruction: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    last: np.ndarray
    first: np.ndarray


class Ballet:
    """Many environments of the Ballet task at once.

    In a room of 9 x 9 squares up to eight dancers perform one after the other, each a dance of sixteen moves, with a delay in
    between; the agent, in the middle, can only watch.  Then it is told the name of one dance and has to go to its dancer.  To
    touch the right one gives reward 1, any other 0, and ends the episode with discount 0.  An episode that reaches
    ``max_steps`` is cut: its last step has discount 1, so that a learner takes the value of what would have followed.

    Parameters
    ----------
    n_envs : int, default 1
    level : str, default "4_delay16"
        Number of dancers and delay, as the published levels are named: 2, 4 or 8 dancers, delay 16 or 48.
    n_dancers, delay : int, optional
        Dancers, 1 to 8, and frames between dances, from 1 up, instead of the level's.
    max_steps : int, optional
        Steps until an episode is cut; default, as published, 320 for a delay of 16 and 1024 for any other.
    egocentric : bool, default True
        Boards with the agent in the centre, as published; otherwise of the room as it stands.
    auto_reset : bool, default True
        The step after an episode's last begins the next episode, as the original does; otherwise the environment stays as it
        is, with reward 0 and discount 0.
    copy : bool, default True
        Give arrays of the caller's own; otherwise views of buffers that the next step overwrites, which is faster.
    random_state : None, int, SeedSequence or Generator
        Draws of episodes that are begun without a seed.

    Notes
    -----
    Actions 0 ... 7 are north, north-east and on clockwise; any other stays, and so does a move into a wall.  Dance j of n fills
    frames j (15 + delay) ... j (15 + delay) + 15, from 0 on; frame n (15 + delay), ``first_choice_frame``, is the first with the
    dance's name, and the action that leads to it is still ignored.

    Two streams of draws: an episode begun by ``reset(seeds=...)`` is the one that the original makes with
    ``numpy.random.default_rng(seed)``; any other is drawn inside the kernel, from Philox4x32-10 with the counter (episode,
    environment, block, 0), so that environment e gives the same episodes in any batch.

    References
    ----------
    Lampinen, Chan, Banino, Hill: "Towards mental time travel: a hierarchical memory for reinforcement learning agents", NeurIPS
    2021, arXiv:2105.14039.

    Examples
    --------
    >>> from neuromem.environments import Ballet
    >>> ballet = Ballet(n_envs=1, level="2_delay16")
    >>> start = ballet.reset(seeds=[3])
    >>> for _ in range(ballet.first_choice_frame):
    ...     step = ballet.step([8])
    >>> ballet.texts(step.instruction)[0] in [dancer["dance"] for dancer in ballet.dancers(0)]
    True
    """

    def __init__(
        self,
        n_envs: int = 1,
        level: str = "4_delay16",
        *,
        n_dancers: int | None = None,
        delay: int | None = None,
        max_steps: int | None = None,
        egocentric: bool = True,
        auto_reset: bool = True,
        copy: bool = True,
        random_state: RandomState = None,
    ) -> None:
        self.n_envs = validate.integer(n_envs, "n_envs", 1, MAX_ENVS)
        of_level = level_numbers(level)
        self.n_dancers = of_level[0] if n_dancers is None else validate.integer(n_dancers, "n_dancers", 1, len(dances.PLACES))
        self.delay = of_level[1] if delay is None else validate.integer(delay, "delay", 1, LONGEST)
        self.first_choice_frame = self.n_dancers * (dances.DANCE_STEPS - 1 + self.delay)
        limit = (320 if self.delay == 16 else 1024) if max_steps is None else validate.integer(max_steps, "max_steps", 1, LONGEST)
        if limit <= self.first_choice_frame:
            raise InputError(
                f"max_steps is {limit}, more than {self.first_choice_frame} was expected: the choice begins with that frame"
            )
        self.max_steps = limit
        self.egocentric, self.auto_reset, self.copy = bool(egocentric), bool(auto_reset), bool(copy)
        self.key = key_for(seed_sequence_of(random_state), "environments.ballet")
        self.offsets = dances.dance_offsets()
        self.backgrounds = room.room_boards(self.egocentric)
        n = self.n_envs
        self.frame, self.episode = np.zeros(n, np.int32), np.zeros(n, np.uint32)
        self.agent, self.target = np.full((n, 2), room.CENTRE, np.int8), np.zeros(n, np.int8)
        self.stage = np.zeros((n, len(dances.PLACES), N_STAGE), np.int8)
        self.over, self.first = np.ones(n, np.uint8), np.zeros(n, np.uint8)
        self.board, self.instruction = np.full((n, room.SIDE * room.SIDE), room.FLOOR, np.uint8), np.zeros(n, np.int8)
        self.reward, self.discount = np.zeros(n, np.float32), np.zeros(n, np.float32)
        self.steps, self.begun = np.zeros(n, np.uint8), False

    def __repr__(self) -> str:
        return (
            f"Ballet(n_envs={self.n_envs}, level={f'{self.n_dancers}_delay{self.delay}'!r}, max_steps={self.max_steps}, "
            f"egocentric={self.egocentric})"
        )

    # ---------------------------------------------------------------- playing

    def reset(self, seeds: Sequence[Any] | np.ndarray | None = None, mask: Any = None) -> BalletStep:
        """Begin episodes.

        Parameters
        ----------
        seeds : sequence of n_envs int or Generator, optional
            Begin the episodes that the original begins with ``numpy.random.default_rng(seed)``, or with the generator, which
            advances.  By default the next episode of the stream of ``random_state``.
        mask : bool (n_envs,), optional
            Which environments; the others stay as they are.

        Returns
        -------
        BalletStep
            Of all environments.

        Raises
        ------
        InputError, InputTypeError
            For a mask or seeds of another length or kind; nothing is changed then.
        """
        task = np.full(self.n_envs, LEAVE, np.uint8)
        chosen = np.ones(self.n_envs, np.bool_) if mask is None else checked_mask(mask, self.n_envs)
        if seeds is None:
            task[chosen] = BEGIN
        else:
            for e, generator in checked_generators(seeds, chosen).items():
                self.target[e], self.stage[e] = drawn_stage(generator, self.n_dancers)
            task[chosen] = SHOW
        return self.run_kernel(task, np.zeros(self.n_envs, np.int8))

    def step(self, actions: Any) -> BalletStep:
        """Act in every environment.

        Parameters
        ----------
        actions : int (n_envs,)
            0 ... 7 move; any other number stays.

        Returns
        -------
        BalletStep

        Raises
        ------
        InputError, InputTypeError
            For actions of another length or that are no whole numbers; nothing is changed then.
        CallOrderError
            Before any reset, where ``auto_reset`` is off.
        """
        actions = np.asarray(actions)
        if actions.dtype.kind not in "iu":
            raise InputTypeError(f"actions are {actions.dtype}, whole numbers were expected")
        if actions.shape != (self.n_envs,):
            raise InputError(f"actions have shape {actions.shape}, ({self.n_envs},) was expected")
        if not self.auto_reset and not self.begun:
            raise CallOrderError("step was called before reset, and auto_reset is off")
        if actions.dtype.itemsize > 4:  # what does not fit stays, as any unknown number does
            actions = np.where((actions >= 0) & (actions < N_ACTIONS), actions, N_ACTIONS)
        return self.run_kernel(self.steps, actions.astype(np.int32, copy=False))

    def run_kernel(self, task: np.ndarray, actions: np.ndarray) -> BalletStep:
        """Let the kernel do a task in every environment."""
        from neuromem.environments.kernels import step_ballet

        with kernel_threads(STEP_NANOSECONDS * self.n_envs):
            step_ballet(
                task,
                actions,
                self.key,
                self.n_dancers,
                self.delay,
                self.max_steps,
                int(self.auto_reset),
                int(self.egocentric),
                dances.MOVES,
                dances.PLACES,
                len(sprites.SHAPES),
                len(sprites.COLOURS),
                self.backgrounds,
                self.offsets,
                *(getattr(self, name) for name in STATE),
            )
        self.begun = True
        return self.shown()

    def shown(self) -> BalletStep:
        """What every environment shows now."""
        board = self.board.reshape(self.n_envs, room.SIDE, room.SIDE)
        parts = (board, self.instruction, self.reward, self.discount, self.over.view(np.bool_), self.first.view(np.bool_))
        return BalletStep(*(part.copy() for part in parts)) if self.copy else BalletStep(*parts)

    # ---------------------------------------------------------------- looking

    def render(self, indices: Any = None, *, floats: bool = False) -> np.ndarray:
        """Pictures of what the environments show.

        Parameters
        ----------
        indices : int (n,), optional
            Which environments; default: all.
        floats : bool, default False
            Values 0 ... 1 in float32, as the original gives them, instead of 0 ... 255 in uint8.

        Returns
        -------
        uint8 or float32 (n, 99, 99, 3)

        Raises
        ------
        InputError
            For an index that is no environment's.
        """
        chosen = np.arange(self.n_envs) if indices is None else np.atleast_1d(np.asarray(indices))
        inside = (chosen >= 0) & (chosen < self.n_envs) if chosen.dtype.kind in "iu" else np.zeros(1, np.bool_)
        if chosen.ndim != 1 or not inside.all():
            raise InputError(f"indices are {indices!r}, whole numbers from 0 to {self.n_envs - 1} were expected")
        boards = self.board[chosen].reshape(len(chosen), room.SIDE, room.SIDE)
        return pictures(boards, self.stage[chosen, :, SHAPE:], floats=floats)

    def texts(self, instruction: np.ndarray | None = None) -> list[str]:
        """Instructions in words; default: those of now."""
        return [dances.INSTRUCTIONS[i] for i in (self.instruction if instruction is None else instruction)]

    def dancers(self, index: int) -> list[dict[str, Any]]:
        """One environment's dancers in the order in which they dance: place, dance, shape, colour, and who is the target.

        Raises
        ------
        InputError, InputTypeError
            For an index that is no environment's.
        """
        index = validate.integer(index, "index", 0, self.n_envs - 1)
        names, shapes, colours = (list(table) for table in (dances.DANCES, sprites.SHAPES, sprites.COLOURS))
        return [
            {
                "place": (int(row), int(column)),
                "dance": names[dance],
                "shape": shapes[shape],
                "colour": colours[colour],
                "target": i == self.target[index],
            }
            for i, (row, column, dance, shape, colour) in enumerate(self.stage[index, : self.n_dancers])
        ]

    # ---------------------------------------------------------------- state

    def get_state(self) -> dict[str, np.ndarray]:
        """All that changes, as copies: with it another ``Ballet`` of the same settings goes on exactly as this one would."""
        return {name: getattr(self, name).copy() for name in ("key", *STATE)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises
        ------
        FormatError
            If it is not the state of a ``Ballet`` of these settings; nothing is changed then.
        """
        own = {name: getattr(self, name) for name in ("key", *STATE)}
        if set(state) != set(own):
            raise FormatError(f"state has {sorted(state)}, {sorted(own)} was expected")
        for name, array in own.items():
            new = np.asarray(state[name])
            if new.dtype != array.dtype or new.shape != array.shape:
                raise FormatError(f"{name} is {new.dtype} {new.shape}, {array.dtype} {array.shape} was expected")
        tops = {"agent": room.SIDE - 2, "target": self.n_dancers - 1, "over": 1, "first": 1, "instruction": len(dances.DANCES)}
        for name, top in tops.items():
            low = 1 if name == "agent" else 0
            if not (np.asarray(state[name]) >= low).all() or not (np.asarray(state[name]) <= top).all():
                raise FormatError(f"{name} has values outside {low} ... {top}")
        stage = np.asarray(state["stage"])
        highest = (room.SIDE - 2, room.SIDE - 2, len(dances.DANCES) - 1, len(sprites.SHAPES) - 1, len(sprites.COLOURS) - 1)
        if (stage < 0).any() or (stage > np.array(highest)).any() or (np.asarray(state["frame"]) < 0).any():
            raise FormatError("stage or frame is out of range")
        for name, array in own.items():
            array[...] = state[name]
        self.begun = bool((self.discount > 0).any() or self.frame.any())


# ---------------------------------------------------------------- pieces


def pictures(boards: np.ndarray, looks: np.ndarray, *, floats: bool = False) -> np.ndarray:
    """Boards (n, 11, 11) as pictures (n, 99, 99, 3); ``looks`` int8 (n, 8, 2) has the dancers' shapes and colours."""
    from neuromem.environments.kernels import render_ballet

    side = room.SIDE * sprites.SPRITE_SIDE
    images = np.empty((len(boards), side, side, 3), np.uint8)
    with kernel_threads(IMAGE_NANOSECONDS * len(boards)):
        render_ballet(
            np.ascontiguousarray(boards),
            np.ascontiguousarray(looks),
            sprites.shape_bitmaps(),
            sprites.colour_table(),
            sprites.WALL_GREY,
            images,
        )
    return images / np.float32(255) if floats else images


def level_numbers(level: str) -> tuple[int, int]:
    """Dancers and delay that a level's name tells.

    Raises
    ------
    InputError
    """
    found = re.fullmatch(r"([1-8])_delay([1-9]\d{0,8})", level) if isinstance(level, str) else None
    if found is None:
        raise InputError(f'level is {level!r}, a name such as "4_delay16" was expected: 1 to 8 dancers, delay from 1 up')
    return int(found[1]), int(found[2])


def drawn_stage(generator: np.random.Generator, n_dancers: int) -> tuple[int, np.ndarray]:
    """An episode's target and stage in the original's order of draws: target, shuffled places, dances, colours, shapes."""
    target = int(generator.integers(n_dancers))
    stage = np.zeros((len(dances.PLACES), N_STAGE), np.int8)
    orders = []
    for table in (dances.PLACES, dances.DANCES, sprites.COLOURS, sprites.SHAPES):
        order = list(range(len(table)))
        generator.shuffle(order)
        orders.append(order[:n_dancers])
    stage[:n_dancers, :DANCE] = dances.PLACES[orders[0]]
    stage[:n_dancers, DANCE], stage[:n_dancers, COLOUR], stage[:n_dancers, SHAPE] = orders[1:]
    return target, stage


def checked_mask(mask: Any, n_envs: int) -> np.ndarray:
    """A bool array (n_envs,)."""
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise InputTypeError(f"mask is {mask.dtype}, bool was expected")
    if mask.shape != (n_envs,):
        raise InputError(f"mask has shape {mask.shape}, ({n_envs},) was expected")
    return mask


def checked_generators(seeds: Any, chosen: np.ndarray) -> dict[int, np.random.Generator]:
    """Generators of the chosen environments, made from seeds."""
    if isinstance(seeds, (str, bytes)) or not hasattr(seeds, "__len__"):
        raise InputTypeError(f"seeds is {seeds!r}, one whole number from 0 up or Generator for each environment was expected")
    if len(seeds) != len(chosen):
        raise InputError(f"seeds has {len(seeds)} entries, {len(chosen)} were expected, one for each environment")
    made = {}
    for e in np.flatnonzero(chosen):
        seed = seeds[e]
        if not isinstance(seed, np.random.Generator):
            seed = np.random.default_rng(validate.integer(seed, f"seeds[{e}]", 0))
        made[int(e)] = seed
    return made
