"""An agent for Ballet: it watches, keeps what it saw in a memory, and asks the memory when it is told whom to go to."""

from typing import Any, NamedTuple

import numpy as np

from neuromem.environments import INSTRUCTIONS
from neuromem.errors import InputError
from neuromem.hcam import HCAMAttention
from neuromem.layers import (
    LSTM,
    CausalConvolution,
    Composite,
    Dense,
    Embedding,
    LayerNorm,
    MultiHeadAttention,
    entropy,
    mean_squared_error,
    policy_gradient_loss,
    prefixed,
    sigmoid_cross_entropy,
)

MEMORIES = ("hcam", "lstm", "flat")
N_ACTIONS, N_SQUARES = 8, 121
WALL, DANCER = ord("#"), ord("B")


class Views(NamedTuple):
    """What a learner sees of episodes.

    ``watched`` uint8 (n, T, 121): boards up to the first choice; ``seen`` uint8 (n, K, 121): boards at which it chose;
    ``instruction`` int (n,): whom it was told to go to.
    """

    watched: np.ndarray
    seen: np.ndarray
    instruction: np.ndarray


class Outputs(NamedTuple):
    """What the agent makes of them: ``logits`` (n, K, 8), ``values`` (n, K), ``expected`` (n, T, 121), scores of "someone will
    be there in the next frame"."""

    logits: np.ndarray
    values: np.ndarray
    expected: np.ndarray


class Targets(NamedTuple):
    """What the loss holds fixed: ``actions`` int (n, K), ``advantages``, ``values`` and ``counts`` (1 while an episode lasts)
    (n, K)."""

    actions: np.ndarray
    advantages: np.ndarray
    values: np.ndarray
    counts: np.ndarray


class LossWeights(NamedTuple):
    """How much each part of the loss counts."""

    value: float = 0.5
    entropy: float = 0.01
    expected: float = 5.0


class BalletAgent(Composite):
    """Encoder, memory, policy and value, with every derivative written out in the layers.

    Parameters
    ----------
    memory : {"hcam", "lstm", "flat"}, default "hcam"
        Chunks found by their summaries; a recurrent cell; attention over every step.
    width : int, default 64
        Of what is stored per step, and of a question to the memory.
    n_features, n_motion, n_hidden : int
        Widths of the encoder's frames, of its stretch of ``window`` frames, and of the head.
    n_heads, top_k, chunk_size : int
        Of attention; the last two of chunks only.
    window : int, default 16
        Frames that one stored step tells of.
    detach_memory : bool, default False
        Whether what is stored is a constant to the policy's loss, as in the paper: then only the forecast teaches the encoder.
    dtype : {"float32", "float64"}
    random_state : None, int, SeedSequence or Generator, default 0
    """

    def __init__(
        self,
        memory: str = "hcam",
        width: int = 64,
        n_features: int = 32,
        n_motion: int = 96,
        n_hidden: int = 128,
        n_heads: int = 4,
        top_k: int = 4,
        chunk_size: int = 16,
        window: int = 16,
        detach_memory: bool = False,
        dtype: str = "float32",
        random_state: Any = 0,
    ) -> None:
        if memory not in MEMORIES:
            raise InputError(f"memory is {memory!r}, one of {MEMORIES} was expected")
        self.memory = memory
        self.width, self.n_features, self.n_motion, self.n_hidden = width, n_features, n_motion, n_hidden
        self.n_heads, self.top_k, self.chunk_size, self.window = n_heads, top_k, chunk_size, window
        self.detach_memory = detach_memory
        super().__init__(dtype, random_state)
        seeds = iter(self._child_seeds(10))

        def dense(n_in: int, n_out: int, scale: float = 1.0) -> Dense:
            return Dense(n_in, n_out, dtype=dtype, random_state=next(seeds), init_scale=scale)

        self.children = {
            "frame": dense(2 * N_SQUARES, n_features, 2.0),
            "motion": CausalConvolution(n_features, n_motion, window, dtype=dtype, random_state=next(seeds), init_scale=2.0),
            "store": dense(n_motion, width),
            "expect": dense(width, N_SQUARES),
            "instruction": Embedding(len(INSTRUCTIONS), width, dtype=dtype, random_state=next(seeds)),
            "norm": LayerNorm(width, dtype=dtype),
            "hidden": dense(width + n_features, n_hidden, 2.0),
            "policy": dense(n_hidden, N_ACTIONS, 0.01),
            "value": dense(n_hidden, 1, 0.01),
        }
        seed = next(seeds)
        if memory == "hcam":
            self.children["memory"] = HCAMAttention(
                width, width, width, n_heads, top_k, detach_memory=detach_memory, dtype=dtype, random_state=seed
            )
        elif memory == "flat":
            self.children["memory"] = MultiHeadAttention(width, width, width, n_heads, dtype=dtype, random_state=seed)
        else:
            self.children["memory"] = LSTM(width, width, dtype=dtype, random_state=seed)

    # ---------------------------------------------------------------- acting

    def watch(self, watched: np.ndarray) -> Any:
        """The memory of boards uint8 (n, T, 121), as :meth:`ask` takes it."""
        stored = self.stored(self.frames(watched))
        if self.memory == "lstm":
            return self.children["memory"].forward(stored)[1]
        return chunked(stored, self.chunk_size) if self.memory == "hcam" else stored

    def ask(self, memory: Any, instruction: np.ndarray) -> np.ndarray:
        """What the memory answers to instructions int (n,): (n, width)."""
        question = self.question(instruction)
        attend: Any = self.children["memory"]
        if self.memory == "lstm":
            answer, _ = attend.forward(question, memory)
        elif self.memory == "hcam":
            answer = attend.attend(question, memory[:2], lengths=memory[2])
        else:
            answer = attend.forward(question, memory)
        return answer[:, 0]

    def choose(self, answer: np.ndarray, board: np.ndarray) -> np.ndarray:
        """Scores of the actions (n, 8) at boards uint8 (n, 121)."""
        return self.children["policy"].forward(self.hidden(answer[:, None], self.frames(board[:, None])))[:, 0]

    # ---------------------------------------------------------------- pieces

    def frames(self, boards: np.ndarray) -> np.ndarray:
        """Features of boards (..., 121), (..., n_features): where walls are and where someone stands, whoever it is."""
        planes = np.concatenate([boards == WALL, boards >= DANCER], axis=-1)
        return relu(self.children["frame"].forward(planes.astype(self.dtype)))

    def stored(self, frames: np.ndarray) -> np.ndarray:
        """What is stored of frames (n, T, n_features): (n, T, width)."""
        self.motion = relu(self.children["motion"].forward(frames))
        return self.children["store"].forward(self.motion)

    def question(self, instruction: np.ndarray) -> np.ndarray:
        """What is asked, (n, 1, width)."""
        return self.children["norm"].forward(self.children["instruction"].forward(instruction[:, None]))

    def hidden(self, answer: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Answer (n, 1, width) and frames (n, K, n_features) brought together, (n, K, n_hidden)."""
        carried = np.broadcast_to(answer, (*frames.shape[:2], self.width))
        return relu(self.children["hidden"].forward(np.concatenate([carried, frames], axis=-1)))

    # ---------------------------------------------------------------- learning

    def forward(self, views: Views) -> Outputs:
        """Everything at once, keeping what :meth:`backward` needs."""
        n_watched = views.watched.shape[1]
        frames = self.frames(np.concatenate([views.watched, views.seen], axis=1))
        stored = self.stored(frames[:, :n_watched])
        question = self.question(views.instruction)
        attend: Any = self.children["memory"]
        if self.memory == "lstm":
            answer = attend.forward(np.concatenate([stored, question], axis=1))[0][:, -1:]
        elif self.memory == "hcam":
            summaries, contents, lengths = chunked(stored, self.chunk_size)
            answer = attend.forward(question, (summaries, contents), lengths=lengths)
        else:
            answer = attend.forward(question, stored)
        hidden = self.hidden(answer, frames[:, n_watched:])
        outputs = Outputs(
            self.children["policy"].forward(hidden),
            self.children["value"].forward(hidden)[..., 0],
            self.children["expect"].forward(stored),
        )
        self.passed = frames, hidden, n_watched
        return outputs

    def backward(self, d: Outputs) -> tuple[None, dict[str, np.ndarray]]:
        """Gradients of the weights from those of the outputs of the last :meth:`forward`."""
        frames, hidden, n_watched = self.passed
        found: dict[str, Any] = {}
        d_hidden, found["policy"] = self.children["policy"].backward(d.logits)
        d_part, found["value"] = self.children["value"].backward(d.values[..., None])
        d_hidden = (d_hidden + d_part) * (hidden > 0)
        d_joined, found["hidden"] = self.children["hidden"].backward(d_hidden)
        d_answer = d_joined[..., : self.width].sum(axis=1, keepdims=True)
        d_frames = np.empty_like(frames)
        d_frames[:, n_watched:] = d_joined[..., self.width :]
        d_stored, found["expect"] = self.children["expect"].backward(d.expected)
        if self.memory == "lstm":
            d_h = np.zeros((len(frames), n_watched + 1, self.width), frames.dtype)
            d_h[:, -1:] = d_answer
            d_x, found["memory"] = self.children["memory"].backward(d_h)
            d_question, d_memory = d_x[:, -1:], d_x[:, :-1]
        elif self.memory == "hcam":
            d_question, found["memory"] = self.children["memory"].backward(d_answer, summary_is_mean=True)
            d_memory = found["memory"].pop("d_contents", None)
            if d_memory is not None:
                d_memory = d_memory.reshape(len(frames), -1, self.width)[:, :n_watched]
        else:
            d_question, found["memory"] = self.children["memory"].backward(d_answer)
            d_memory = found["memory"].pop("d_memory")
        if not self.detach_memory:
            d_stored = d_stored + d_memory
        d_motion, found["store"] = self.children["store"].backward(d_stored)
        d_frames[:, :n_watched], found["motion"] = self.children["motion"].backward(d_motion * (self.motion > 0))
        _, found["frame"] = self.children["frame"].backward(d_frames * (frames > 0))
        d_embedded, found["norm"] = self.children["norm"].backward(d_question)
        _, found["instruction"] = self.children["instruction"].backward(d_embedded)
        return None, prefixed({name: found[name] for name in self.children})


# ---------------------------------------------------------------- functions


def relu(x: np.ndarray) -> np.ndarray:
    """The larger of x and 0."""
    return np.maximum(x, 0)


def chunked(stored: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps (n, T, D) cut into chunks: (summaries (n, M, D), contents (n, M, size, D), lengths (n, M)).

    The last chunk is closed where the watching ends, full or not.
    """
    n, n_steps, width = stored.shape
    n_chunks = -(-n_steps // size)
    contents = np.zeros((n, n_chunks, size, width), stored.dtype)
    contents.reshape(n, -1, width)[:, :n_steps] = stored
    lengths = np.full(n_chunks, size, np.int32)
    lengths[-1] = n_steps - size * (n_chunks - 1)
    summaries = contents.sum(axis=2) / lengths[:, None].astype(stored.dtype)
    return summaries, contents, np.broadcast_to(lengths, (n, n_chunks)).copy()


def loss_of(outputs: Outputs, views: Views, targets: Targets, weights: LossWeights) -> tuple[float, dict[str, float], Outputs]:
    """The loss, its parts, and its gradient by the outputs.

    Policy gradient with fixed advantages, squared errors of the values, minus the policy's entropy, and how badly the frame after
    each watched one was foretold; the mean is over the steps that episodes lasted, and over frames.
    """
    n_choices = targets.actions.shape[1]
    logits, values = outputs.logits[:, :n_choices], outputs.values[:, :n_choices]
    counts = targets.counts
    policy, d_policy = policy_gradient_loss(logits, targets.actions, targets.advantages, counts)
    spread, d_spread = entropy(logits, counts)
    # where nothing counts the target is the value itself
    error, d_values = mean_squared_error(values, np.where(counts > 0, targets.values, values))
    share = counts.size / max(float(counts.sum()), 1.0)
    forecast, d_forecast = sigmoid_cross_entropy(
        outputs.expected[:, :-1], (views.watched[:, 1:] >= DANCER).astype(outputs.expected.dtype)
    )
    d = Outputs(*(np.zeros_like(part) for part in outputs))
    d.logits[:, :n_choices] = d_policy - weights.entropy * d_spread
    d.values[:, :n_choices] = weights.value * share * d_values
    d.expected[:, :-1] = weights.expected * d_forecast
    loss = policy + weights.value * share * error - weights.entropy * spread + weights.expected * forecast
    parts = {"policy": policy, "value": share * error, "entropy": spread, "forecast": forecast}
    return loss, parts, d
