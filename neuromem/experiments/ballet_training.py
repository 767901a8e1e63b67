"""Learning Ballet by reward: batches of episodes, V-trace, and a checkpoint from which a run goes on as if never broken off."""

import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neuromem.environments import Ballet
from neuromem.errors import FormatError, InputError
from neuromem.experiments.ballet_agent import N_ACTIONS, N_SQUARES, BalletAgent, LossWeights, Targets, Views, loss_of
from neuromem.layers import log_softmax, vtrace
from neuromem.optim import Adam, clip_by_norm

STAY = N_ACTIONS
EVALUATED_AT_ONCE = 64


@dataclass(frozen=True)
class Settings:
    """One run.

    Parameters
    ----------
    memory : {"hcam", "lstm", "flat"}
    n_dancers, delay : int
        The level.
    n_choices : int
        Steps after the last dance until an episode is cut; the published limit leaves 258 with two dancers and delay 16.
    n_envs : int
        Episodes in a batch.
    n_passes : int
        Updates from one batch; V-trace corrects for the policy's change from the second on.
    learning_rate, discount, clip : float
        Of Adam; of rewards per step; largest norm of the gradient.
    entropy, forecast : float
        Weights in the loss, see :func:`neuromem.experiments.ballet_agent.loss_of`.
    detach_memory : bool
        Whether only the forecast teaches the encoder.
    seed : int
    """

    memory: str = "hcam"
    n_dancers: int = 2
    delay: int = 2
    n_choices: int = 16
    n_envs: int = 128
    n_passes: int = 1
    learning_rate: float = 3e-3
    discount: float = 0.9
    clip: float = 1.0
    entropy: float = 0.01
    forecast: float = 5.0
    detach_memory: bool = False
    seed: int = 0

    @property
    def chance(self) -> float:
        """The return of one who goes to some dancer or other."""
        return 1 / self.n_dancers

    def ballet(self, n_envs: int, **changes: Any) -> Ballet:
        """Environments of this level, or of a changed one; episodes are cut after ``n_choices``, or at ``max_steps``."""
        level = {"n_dancers": self.n_dancers, "delay": self.delay} | changes
        level.setdefault("max_steps", level["n_dancers"] * (15 + level["delay"]) + self.n_choices)
        level.setdefault("random_state", self.seed)
        return Ballet(n_envs, auto_reset=False, **level)


class Episodes(NamedTuple):
    """What actors bring back: views, and for every choice (n, K) its action, the logarithm of its chance, the reward, the
    environment's discount, and whether the episode still lasted."""

    views: Views
    actions: np.ndarray
    log_probs: np.ndarray
    rewards: np.ndarray
    discounts: np.ndarray
    counts: np.ndarray

    @property
    def returns(self) -> np.ndarray:
        """Reward of each episode, (n,)."""
        return (self.rewards * self.counts).sum(axis=1)

    @property
    def touched(self) -> np.ndarray:
        """Whether the agent reached a dancer, right or wrong, (n,)."""
        return ((self.discounts == 0) & self.counts).any(axis=1)

    @property
    def n_steps(self) -> int:
        """Steps of the environments."""
        return int(self.views.watched.shape[0] * self.views.watched.shape[1] + self.counts.sum())


def ignore(_: Any) -> None:
    """Show nothing."""


def play(
    agent: BalletAgent,
    ballet: Ballet,
    rng: np.random.Generator,
    *,
    exchanged: bool = False,
    shown: Callable[[Ballet], Any] = ignore,
) -> Episodes:
    """One episode in every environment.

    Parameters
    ----------
    agent : BalletAgent
    ballet : Ballet
        With ``auto_reset=False``; its next episodes are begun.
    rng : Generator
        Draws the actions.
    exchanged : bool, default False
        Give every environment what the agent saw in its neighbour: a control that can be no better than chance.
    shown : callable, optional
        Called with the environments after every step, to draw them.
    """
    n = ballet.n_envs
    step = ballet.reset()
    boards = [step.board]
    for _ in range(ballet.first_choice_frame):
        shown(ballet)
        step = ballet.step(np.full(n, STAY))
        boards.append(step.board)
    seen = [boards.pop().reshape(n, N_SQUARES)]
    watched = np.stack(boards, axis=1).reshape(n, -1, N_SQUARES)
    instruction = step.instruction.astype(np.int64)
    answer = agent.ask(agent.watch(np.roll(watched, 1, axis=0) if exchanged else watched), instruction)
    taken: list[tuple[np.ndarray, ...]] = []
    lasts = ~step.last
    while lasts.any():
        shown(ballet)
        log_p = log_softmax(agent.choose(answer, seen[-1]))
        below = np.exp(log_p).cumsum(axis=1) < rng.random((n, 1))
        actions = np.minimum(below.sum(axis=1), N_ACTIONS - 1)
        step = ballet.step(np.where(lasts, actions, STAY))
        seen.append(step.board.reshape(n, N_SQUARES))
        log_prob = np.take_along_axis(log_p, actions[:, None], axis=1)[:, 0]
        taken.append((actions, log_prob, step.reward, step.discount, lasts))
        lasts = lasts & ~step.last
    shown(ballet)
    return Episodes(
        Views(watched, np.stack(seen, axis=1), instruction), *(np.stack(part, axis=1) for part in zip(*taken, strict=True))
    )


class Trainer:
    """A run that can be broken off at any moment.

    Parameters
    ----------
    settings : Settings
    path : str or Path, optional
        The checkpoint: read if it is there, and written every ``every`` updates, whole or not at all.
    every : int, default 50
    dtype : {"float32", "float64"}, default "float32"

    Attributes
    ----------
    curve : list of (int, float, float)
        After each update: environment steps so far, mean return of the batch, share that touched a dancer.

    Raises
    ------
    InputError
        If the checkpoint is of other settings.
    FormatError
        If it is damaged.
    """

    def __init__(self, settings: Settings, path: str | Path | None = None, every: int = 50) -> None:
        self.settings, self.path, self.every = settings, None if path is None else Path(path), every
        self.agent = BalletAgent(settings.memory, detach_memory=settings.detach_memory, random_state=settings.seed)
        self.optimiser = Adam(self.agent.weights, settings.learning_rate)
        self.loss_weights = LossWeights(entropy=settings.entropy, expected=settings.forecast)
        self.ballet = settings.ballet(settings.n_envs)
        self.curve: list[tuple[int, float, float]] = []
        if self.path is not None and self.path.exists():
            self.load(self.path)

    @property
    def n_updates(self) -> int:
        """Batches learned from."""
        return len(self.curve)

    def train(
        self, n_updates: int | None = None, *, seconds: float | None = None, advance: Callable[[int], Any] = ignore
    ) -> None:
        """Learn until there are ``n_updates`` in all, or for some seconds; the checkpoint is written at the end, too."""
        end = None if seconds is None else time.monotonic() + seconds
        while (n_updates is None or self.n_updates < n_updates) and (end is None or time.monotonic() < end):
            self.update()
            advance(1)
            if self.path is not None and self.n_updates % self.every == 0:
                self.save(self.path)
        if self.path is not None:
            self.save(self.path)

    def update(self) -> dict[str, float]:
        """Play a batch of episodes and learn from it; returns the parts of the last pass's loss."""
        settings = self.settings
        episodes = play(self.agent, self.ballet, np.random.default_rng([settings.seed, self.n_updates]))
        for _ in range(settings.n_passes):
            parts = self.learn(episodes)
        steps = self.curve[-1][0] if self.curve else 0
        self.curve.append((steps + episodes.n_steps, float(episodes.returns.mean()), float(episodes.touched.mean())))
        return parts

    def learn(self, episodes: Episodes) -> dict[str, float]:
        """One step of the optimiser."""
        outputs = self.agent.forward(episodes.views)
        _, parts, d = loss_of(outputs, episodes.views, self.targets(outputs, episodes), self.loss_weights)
        _, gradients = self.agent.backward(d)
        parts["norm"] = clip_by_norm(gradients, self.settings.clip)
        self.optimiser.step(gradients)
        return parts

    def targets(self, outputs: Any, episodes: Episodes) -> Targets:
        """V-trace: values behind a cut go on, those behind a touch do not."""
        log_p = log_softmax(outputs.logits[:, :-1])
        of_actions = np.take_along_axis(log_p, episodes.actions[..., None], axis=-1)[..., 0]
        # what lies behind an episode's end is cut off: no reward, and no weight in the loss
        discounts = self.settings.discount * episodes.discounts * episodes.counts
        ends = episodes.rewards * episodes.counts
        found = vtrace(episodes.log_probs, of_actions, ends, discounts, outputs.values[:, :-1], outputs.values[:, -1])
        return Targets(episodes.actions, found.advantages, found.vs, episodes.counts.astype(outputs.values.dtype))

    def evaluate(self, n_episodes: int, *, exchanged: bool = False, **level: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns and touches of fresh episodes, also of another level: two arrays (n_episodes,)."""
        returns, touched = [], []
        rng = np.random.default_rng([self.settings.seed, 1, int(exchanged)])
        ballet = self.settings.ballet(EVALUATED_AT_ONCE, random_state=self.settings.seed + 10_000, **level)
        for _ in range(-(-n_episodes // EVALUATED_AT_ONCE)):
            episodes = play(self.agent, ballet, rng, exchanged=exchanged)
            returns.append(episodes.returns)
            touched.append(episodes.touched)
        return np.concatenate(returns)[:n_episodes], np.concatenate(touched)[:n_episodes]

    # ---------------------------------------------------------------- checkpoint

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that a run depends on."""
        return {
            "settings": np.array(json.dumps(asdict(self.settings), sort_keys=True)),
            "curve": np.array(self.curve, np.float64).reshape(-1, 3),
            **{f"weights.{name}": array for name, array in self.agent.weights.items()},
            **{f"optimiser.{name}": np.asarray(value) for name, value in self.optimiser.get_state().items()},
            **{f"ballet.{name}": array for name, array in self.ballet.get_state().items()},
        }

    def save(self, path: str | Path) -> None:
        """Write the checkpoint; an older one stays whole until the new one is complete."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.savez(file, **self.arrays())  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def load(self, path: str | Path) -> None:
        """Go on from a checkpoint."""
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            settings = json.loads(str(arrays["settings"]))
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise FormatError(f"{path.name}: damaged or no checkpoint: {error}") from None
        if settings != (own := json.loads(str(self.arrays()["settings"]))):
            differing = {name: (settings.get(name), own.get(name)) for name in own if settings.get(name) != own.get(name)}
            raise InputError(f"{path.name} is of other settings: {differing} (there, here); use another folder")
        parts: dict[str, dict[str, np.ndarray]] = {"weights": {}, "optimiser": {}, "ballet": {}}
        for name, array in arrays.items():
            part, _, inner = name.partition(".")
            if inner:
                parts.setdefault(part, {})[inner] = array
        if set(parts) != {"weights", "optimiser", "ballet"} or arrays.get("curve", np.zeros(0)).ndim != 2:
            raise FormatError(f"{path.name}: it has other parts than a checkpoint")
        try:
            self.agent.load_weights(parts["weights"])
        except InputError as error:
            raise FormatError(f"{path.name}: {error}") from None
        self.optimiser.set_state(parts["optimiser"])
        self.ballet.set_state(parts["ballet"])
        self.curve = [(int(steps), float(mean), float(share)) for steps, mean, share in arrays["curve"]]


def smoothed(curve: list[tuple[int, float, float]], n: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Environment steps and mean return over the last ``n`` updates, at every ``n``-th update."""
    rows = np.array(curve).reshape(-1, 3)
    whole = len(rows) // n
    return rows[n - 1 : whole * n : n, 0], rows[: whole * n, 1].reshape(whole, n).mean(axis=1)
