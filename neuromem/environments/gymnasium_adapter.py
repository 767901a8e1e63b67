"""One Ballet environment in the form of Gymnasium, for use with other libraries."""

import functools
from typing import Any

import numpy as np

from neuromem.environments import room, sprites
from neuromem.environments.ballet import N_ACTIONS, Ballet
from neuromem.environments.dances import INSTRUCTIONS
from neuromem.errors import MissingDependencyError
from neuromem.validate import choice


def make(level: str = "4_delay16", *, view: str = "image", **settings: Any) -> Any:
    """A ``gymnasium.Env`` of the Ballet task.

    Parameters
    ----------
    level : str, default "4_delay16"
    view : {"image", "board"}, default "image"
        Observations have pictures, uint8 (99, 99, 3), or characters, uint8 (11, 11), and an instruction's number.
    **settings
        Those of :class:`Ballet`: ``n_dancers``, ``delay``, ``max_steps``, ``egocentric``.

    Returns
    -------
    gymnasium.Env
        ``terminated`` is set when a dancer was touched, ``truncated`` when the episode was cut.  ``reset(seed=s)`` begins the
        episode that the original begins with ``numpy.random.default_rng(s)``, and later resets go on drawing from it.

    Raises
    ------
    MissingDependencyError
        If gymnasium is not installed.
    InputError
        For another view, or settings that :class:`Ballet` refuses.

    Examples
    --------
    >>> from neuromem.environments import make
    >>> environment = make("2_delay16", view="board")
    >>> observation, info = environment.reset(seed=1)
    >>> observation["board"].shape, info["text"]
    ((11, 11), 'watch')
    """
    choice(view, "view", ("image", "board"))
    ballet = Ballet(1, level, auto_reset=False, copy=True, **settings)
    return environment_class()(ballet, view)


@functools.cache
def environment_class() -> type:
    """The class, made when it is first wanted, so that Gymnasium is loaded by those only who ask for it."""
    try:
        import gymnasium
    except ImportError as error:
        raise MissingDependencyError(f'make: {error}; pip install "neuromem[rl]"') from None

    class BalletEnvironment(gymnasium.Env):
        """One Ballet environment."""

        metadata = {"render_modes": ["rgb_array"], "render_fps": 8}

        def __init__(self, ballet: Ballet, view: str) -> None:
            self.ballet, self.view, self.render_mode = ballet, view, "rgb_array"
            side = room.SIDE * sprites.SPRITE_SIDE
            shape = (side, side, 3) if view == "image" else (room.SIDE, room.SIDE)
            self.observation_space = gymnasium.spaces.Dict(
                {
                    view: gymnasium.spaces.Box(0, 255, shape, np.uint8),
                    "instruction": gymnasium.spaces.Discrete(len(INSTRUCTIONS)),
                }
            )
            self.action_space = gymnasium.spaces.Discrete(N_ACTIONS)

        def observed(self) -> tuple[dict[str, Any], dict[str, Any]]:
            picture = self.render() if self.view == "image" else self.ballet.shown().board[0]
            observation = {self.view: picture, "instruction": np.int64(self.ballet.instruction[0])}
            return observation, {"text": self.ballet.texts()[0]}

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
            super().reset(seed=seed)
            self.ballet.reset(seeds=[self.np_random])
            return self.observed()

        def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
            shown = self.ballet.step([int(action)])
            last, discount = bool(shown.last[0]), float(shown.discount[0])
            observation, info = self.observed()
            return observation, float(shown.reward[0]), last and discount == 0, last and discount > 0, info

        def render(self) -> np.ndarray:
            return self.ballet.render()[0]

    return BalletEnvironment
