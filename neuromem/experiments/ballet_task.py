"""Recall on symbolic Ballet: after the last dance, where was each one danced?  Episodes, and networks that answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem.environments import DANCES, dance_offsets
from neuromem.hcam import HCAMAttention, stretch_means
from neuromem.layers import LSTM, MLP, CausalConvolution, Composite, Dense, Embedding, MultiHeadAttention, prefixed

N_PLACES = 8
DANCE_STEPS = 16
N_FEATURES = 9 + N_PLACES  # where the dancer stands around its place, and which place that is
WIDTH, HIDDEN, N_HEADS, TOP_K = 64, 128, 4, 4
CHUNK_SIZE = 16
# An LSTM of this size has as many weights as the network with chunks, within 2 %.
LSTM_HIDDEN, LSTM_MIDDLE = 44, 48


def dance_squares() -> np.ndarray:
    """Where a dancer stands after each move, as one of the nine squares around its place, int64 (13, 16)."""
    rows, columns = np.moveaxis(dance_offsets().astype(np.int64), 2, 0)
    squares: np.ndarray = (rows + 1) * 3 + columns + 1
    return squares


@dataclass(frozen=True, slots=True)
class Episodes:
    """Streams with their questions.

    Parameters
    ----------
    frames : float32 (n, T, 17)
        One-hot square and place of whoever dances, zeros in between; with noise on every number where there is any.
    dances : int64 (n, n_dancers)
        What is asked about, in the order in which it was danced.
    places : int64 (n, n_dancers)
        The right answers, 0 ... 7.
    """

    frames: np.ndarray
    dances: np.ndarray
    places: np.ndarray


def draw_episodes(n: int, n_dancers: int, delay: int, noise: float, rng: np.random.Generator) -> Episodes:
    """Episodes with the timing of the Ballet environment: a dance takes 16 frames, 15 + ``delay`` after the one before."""
    period = DANCE_STEPS - 1 + delay
    squares = dance_squares()
    dances = rng.permuted(np.tile(np.arange(len(squares)), (n, 1)), axis=1)[:, :n_dancers]
    places = rng.permuted(np.tile(np.arange(N_PLACES), (n, 1)), axis=1)[:, :n_dancers]
    frames = np.zeros((n, n_dancers * period, N_FEATURES), np.float32)
    episode = np.arange(n)[:, None]
    for j in range(n_dancers):
        when = j * period + np.arange(DANCE_STEPS)
        frames[episode, when, squares[dances[:, j]]] = 1
        frames[episode, when, 9 + places[:, j, None]] = 1
    if noise:
        frames += np.float32(noise) * rng.standard_normal(frames.shape, np.float32)
    return Episodes(frames, dances, places)


class FrameEncoder(Composite):
    """What a frame and the fifteen before it say: a causal window, ReLU, a linear map to the width of the memory."""

    def __init__(self, dtype: str = "float32", random_state: Any = 0) -> None:
        super().__init__(dtype, random_state)
        seeds = self._child_seeds(2)
        self.children = {
            "window": CausalConvolution(N_FEATURES, HIDDEN, DANCE_STEPS, dtype=dtype, random_state=seeds[0], init_scale=2.0),
            "out": Dense(HIDDEN, WIDTH, dtype=dtype, random_state=seeds[1]),
        }

    def forward(self, frames: np.ndarray) -> np.ndarray:
        """Encoded frames, (n, T, 64)."""
        hidden = self.children["window"].forward(frames)
        active = hidden > 0
        y: np.ndarray = self.children["out"].forward(hidden * active)
        self._keep(y, active)
        return y

    def backward(self, d_y: np.ndarray) -> tuple[None, dict[str, np.ndarray]]:
        """Gradients of the weights; the frames are given."""
        d_y, active = self._kept(d_y)
        d_hidden, out = self.children["out"].backward(d_y)
        _, window = self.children["window"].backward(d_hidden * active)
        return None, prefixed({"window": window, "out": out})


class ChunkRecall(Composite):
    """Hierarchical chunk attention over the stream cut into chunks, the last one as long as it is.

    With ``n_summaries`` above 1 a chunk has a summary for each of so many stretches and is as good as the best of them.
    """

    def __init__(
        self,
        top_k: int = TOP_K,
        chunk_size: int = CHUNK_SIZE,
        n_summaries: int = 1,
        dtype: str = "float32",
        random_state: Any = 0,
    ) -> None:
        super().__init__(dtype, random_state)
        self.top_k = top_k
        self.chunk_size = chunk_size
        self.n_summaries = n_summaries
        options: dict[str, Any] = {"detach_memory": False, "dtype": dtype, "random_state": self._child_seeds(1)[0]}
        self.children = {"attention": HCAMAttention(WIDTH, WIDTH, WIDTH, N_HEADS, top_k, **options)}

    def forward(self, questions: np.ndarray, stream: np.ndarray) -> np.ndarray:
        """What the memory answers, (n, n_questions, 64)."""
        contents, lengths = cut_into_chunks(stream, self.chunk_size)
        summaries = stretch_means(contents, self.n_summaries, lengths)
        y: np.ndarray = self.children["attention"].forward(questions, (summaries, contents), lengths=lengths)
        self._keep(y, stream.shape)
        return y

    def backward(self, d_y: np.ndarray) -> tuple[Any, dict[str, np.ndarray]]:
        """Gradients of questions and stream, and of the weights."""
        d_y, shape = self._kept(d_y)
        d_questions, gradients = self.children["attention"].backward(d_y, summary_is_mean=True)
        d_stream = gradients.pop("d_contents").reshape(shape[0], -1, shape[2])[:, : shape[1]]
        return (d_questions, d_stream), prefixed({"attention": gradients})


def cut_into_chunks(stream: np.ndarray, chunk_size: int) -> tuple[np.ndarray, np.ndarray]:
    """A stream (n, T, D) as contents (n, M, C, D) with zeros at the end, and lengths int32 (n, M)."""
    n, n_steps, width = stream.shape
    n_chunks = -(-n_steps // chunk_size)
    contents = np.zeros((n, n_chunks * chunk_size, width), stream.dtype)
    contents[:, :n_steps] = stream
    lengths = np.full((n, n_chunks), chunk_size, np.int32)
    lengths[:, -1] = n_steps - (n_chunks - 1) * chunk_size
    return contents.reshape(n, n_chunks, chunk_size, width), lengths


class FlatRecall(Composite):
    """Attention over every step of the stream."""

    def __init__(self, dtype: str = "float32", random_state: Any = 0) -> None:
        super().__init__(dtype, random_state)
        seed = self._child_seeds(1)[0]
        self.children = {"attention": MultiHeadAttention(WIDTH, WIDTH, WIDTH, N_HEADS, dtype=dtype, random_state=seed)}

    def forward(self, questions: np.ndarray, stream: np.ndarray) -> np.ndarray:
        """What the memory answers, (n, n_questions, 64)."""
        y: np.ndarray = self.children["attention"].forward(questions, stream)
        self._keep(y)
        return y

    def backward(self, d_y: np.ndarray) -> tuple[Any, dict[str, np.ndarray]]:
        """Gradients of questions and stream, and of the weights."""
        (d_y,) = self._kept(d_y)
        d_questions, gradients = self.children["attention"].backward(d_y)
        d_stream = gradients.pop("d_memory")
        return (d_questions, d_stream), prefixed({"attention": gradients})


class RecurrentRecall(Composite):
    """An LSTM hears the stream; its last state and the question go through a hidden layer."""

    def __init__(self, dtype: str = "float32", random_state: Any = 0) -> None:
        super().__init__(dtype, random_state)
        seeds = self._child_seeds(2)
        self.children = {
            "lstm": LSTM(WIDTH, LSTM_HIDDEN, dtype=dtype, random_state=seeds[0]),
            "mix": MLP([LSTM_HIDDEN + WIDTH, LSTM_MIDDLE, WIDTH], dtype=dtype, random_state=seeds[1]),
        }

    def forward(self, questions: np.ndarray, stream: np.ndarray) -> np.ndarray:
        """What the memory answers, (n, n_questions, 64)."""
        states, (last, _) = self.children["lstm"].forward(stream)
        last = np.broadcast_to(last[:, None], (*questions.shape[:2], LSTM_HIDDEN))
        y: np.ndarray = self.children["mix"].forward(np.concatenate([last, questions], axis=2))
        self._keep(y, states.shape)
        return y

    def backward(self, d_y: np.ndarray) -> tuple[Any, dict[str, np.ndarray]]:
        """Gradients of questions and stream, and of the weights."""
        d_y, shape = self._kept(d_y)
        d_mixed, mix = self.children["mix"].backward(d_y)
        d_last = d_mixed[..., :LSTM_HIDDEN].sum(axis=1)
        d_stream, lstm = self.children["lstm"].backward(np.zeros(shape, self.dtype), (d_last, np.zeros_like(d_last)))
        return (d_mixed[..., LSTM_HIDDEN:], d_stream), prefixed({"lstm": lstm, "mix": mix})


MEMORIES = {"chunks": ChunkRecall, "flat": FlatRecall, "lstm": RecurrentRecall}


class RecallNetwork(Composite):
    """Frames are encoded, dances asked for by name, the memory's answer is added to the question and read as a place.

    Parameters
    ----------
    memory : {"chunks", "flat", "lstm"}
    options : mapping
        Of :class:`ChunkRecall`.
    """

    def __init__(
        self, memory: str, options: Mapping[str, Any] | None = None, dtype: str = "float32", random_state: Any = 0
    ) -> None:
        super().__init__(dtype, random_state)
        self.memory = memory
        self.options = dict(options or {})
        seeds = self._child_seeds(4)
        self.children = {
            "encoder": FrameEncoder(dtype, seeds[0]),
            "question": Embedding(len(DANCES), WIDTH, dtype=dtype, random_state=seeds[1]),
            "memory": MEMORIES[memory](**self.options, dtype=dtype, random_state=seeds[2]),
            "answer": Dense(WIDTH, N_PLACES, dtype=dtype, random_state=seeds[3]),
        }

    def forward(self, frames: np.ndarray, dances: np.ndarray, shift: int = 0) -> np.ndarray:
        """Scores of the eight places, (n, n_questions, 8); ``shift`` gives every episode the stream of another one."""
        stream = np.roll(self.children["encoder"].forward(frames), shift, axis=0)
        questions = self.children["question"].forward(dances)
        scores: np.ndarray = self.children["answer"].forward(questions + self.children["memory"].forward(questions, stream))
        self._keep(scores)
        return scores

    def backward(self, d_scores: np.ndarray) -> tuple[None, dict[str, np.ndarray]]:
        """Gradients of the weights."""
        (d_scores,) = self._kept(d_scores)
        d_answer, answer = self.children["answer"].backward(d_scores)
        (d_questions, d_stream), memory = self.children["memory"].backward(d_answer)
        _, question = self.children["question"].backward(d_answer + d_questions)
        _, encoder = self.children["encoder"].backward(d_stream)
        return None, prefixed({"encoder": encoder, "question": question, "memory": memory, "answer": answer})
