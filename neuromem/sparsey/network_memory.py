"""What a network of macs does: live through frames, and every verb of the memory protocol."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY, array_module, as_array, to_host
from neuromem.errors import InputError
from neuromem.parallel import kernel_threads
from neuromem.protocols import Recall
from neuromem.sparsey.active import ActiveRows
from neuromem.sparsey.network_codes import NetworkCodes, NetworkTrace, mean_awake

BEGINS, LEARNS, FREE = 1, 2, 4  # flags of a step, as the kernels have them
CHUNK_BYTES = 64 << 20  # room for the history of the steps that one call of a kernel goes through
STEPS_PER_BLOCK = 64  # reads are cut into blocks of episodes with at least so many steps
STEP_NS, AFFERENT_NS = 3000.0, 50.0  # of a mac on one thread: for a step, and for each active afferent
VERSIONS = ("U", "H", "UH", "D", "UD", "HD", "UHD")


@dataclass(frozen=True, slots=True)
class Continuation:
    """What followed a prompt, from ``complete_sequence``.

    Parameters
    ----------
    frames : float32 (n, n_features)
        Scores in [0, 1]: the share of winners that have a weight from a feature.
    support : float64 (n,)
        Mean over the first level's macs of G with all exponents 1: how well each step follows from the one before it.
    trace : NetworkTrace
        Of these n steps.
    """

    frames: np.ndarray
    support: np.ndarray
    trace: NetworkTrace


class NetworkMemory(NetworkCodes):
    """Base of :class:`SparseyNetwork` and :class:`SparseySequenceMemory`; subclasses say what levels it has."""

    _ON_GPU = True

    # ---------------------------------------------------------------- steps

    def _run(
        self, frames: ActiveRows, flags: np.ndarray, context: tuple[np.ndarray, ...], keep: bool
    ) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Histories of steps (one chunk's where ``keep`` is false), without their first row, and the context left."""
        tables, xp = self.tables_, self._backend(X=frames.indices).xp
        per_step = 8 * tables.n_modules + 72 * len(tables.macs)
        size = max(1, CHUNK_BYTES // per_step)
        parts: list[tuple[np.ndarray, ...]] = []
        for start in range(0, len(flags), size):
            chunk = flags[start : start + size]
            history = tuple(xp.empty((len(chunk) + 1, *array.shape), array.dtype) for array in context)
            for rows, array in zip(history, context, strict=True):
                rows[0] = array
            self._run_chunk(frames.rows(start, start + len(chunk)), chunk, self.step_ + start, history)
            context = tuple(rows[-1].copy() for rows in history)
            parts = [*parts, history] if keep else [history]
        if not parts:
            return tuple(xp.empty((0, *array.shape), array.dtype) for array in context), context
        if len(parts) == 1:
            return tuple(rows[1:] for rows in parts[0]), context
        return tuple(xp.concatenate([part[i][1:] for part in parts]) for i in range(len(context))), context

    def _run_chunk(self, frames: ActiveRows, flags: np.ndarray, first_step: int, history: tuple[np.ndarray, ...]) -> None:
        tables, backend = self.tables_, self._backend(X=frames.indices)
        kernels = backend.kernels("sparsey")
        blocks = np.array([0, len(flags)], np.int64)
        if not (flags & LEARNS).any():
            blocks = block_bounds(flags, STEPS_PER_BLOCK if backend == NUMPY else 1)
        constants, modes, sigmoid, multipliers = self._settings()
        sources, parents, *u_tables = self.placed_tables_
        network = (tables.macs, sources, parents, tables.rates, *u_tables)
        common = (*network, constants, modes, sigmoid, multipliers)
        state = (self.rng_key_, self.weights_, self.n_weights_, self.frozen_, *history)
        inputs = (frames.indices, frames.indptr, self.row_of_feature_, flags, blocks)
        work = STEP_NS * len(flags) * len(tables.macs)
        work += AFFERENT_NS * len(frames.indices) * len(tables.sources) / self.n_features_in_
        if tables.comes_down:
            with kernel_threads(work if len(blocks) > 2 else 0.0):
                kernels.run_in_time(*inputs, first_step, *common, *state)
        else:
            with kernel_threads(work):
                kernels.run_by_level(*inputs, tables.level_starts, first_step, *common, *state)

    def _flags(self, n_steps: int, lengths: Any, flag: int) -> np.ndarray:
        """One flag per step, with the first steps of episodes marked."""
        flags = np.full(n_steps, flag, np.uint8)
        if lengths is not None:
            starts = np.concatenate([[0], np.cumsum(checked_lengths(lengths, n_steps))])[:-1]
            flags[starts] |= BEGINS
        return flags

    def _read(self, X: Any, lengths: Any) -> tuple["NetworkMemory", tuple[np.ndarray, ...]]:
        """The memory, or an empty one like it, and the histories of a read from a context without codes."""
        frames = self._frames(X)
        memory = self
        if not self._is_fitted():
            memory = type(self)(**self.get_params(deep=False))
            memory._allocate(frames.n_features, self._backend(X=frames.indices))
        flags = memory._flags(len(frames), lengths, 0)
        return memory, memory._run(frames, flags, memory._empty_context(), True)[0]

    def present(self, X: Any, learn: bool, *, lengths: Any = None) -> NetworkTrace:
        """Live through frames: the context goes on from the frames before, whether they are learned or not.

        Parameters
        ----------
        X : uint8 (n, n_features) of 0 and 1, or ActiveRows
        learn : bool
            Whether the frames are stored.
        lengths : list of int, optional
            Lengths of sequences that the frames consist of; each begins an episode.  None: the frames continue what was
            going on.

        Returns
        -------
        NetworkTrace
        """
        frames = self._frames(X)
        flags = self._flags(len(frames), lengths, LEARNS if learn else 0)
        if not self._is_fitted():
            self._allocate(frames.n_features, self._backend(X=frames.indices))
        history, context = self._run(frames, flags, self._context(), True)
        self._advance(context, len(frames), learn)
        return self._trace_of(history)

    def _advance(self, context: tuple[np.ndarray, ...], n_steps: int, learn: bool) -> None:
        self._set_context(context)
        self.step_ += n_steps
        if learn:
            self.n_stored_ += n_steps
            self._warn_when_saturated()

    def begin_episode(self) -> None:
        """Clear the temporal context: the next frame is the first of a sequence, and nothing is learned across the cut."""
        if self._is_fitted():
            self._set_context(self._empty_context())

    # ---------------------------------------------------------------- verbs

    def write(self, items: Any, targets: Any = None, *, tags: Any = None, lengths: Any = None) -> np.ndarray:
        """Store frames in one presentation each, in order.

        Parameters
        ----------
        items : array of 0 and 1 (n, n_features), or ActiveRows
            The first ones decide where the memory lives: on a GPU if they are CuPy's.
        targets, tags : None
            A network stores neither.
        lengths : list of int, optional
            Lengths of sequences that the frames consist of.  None: they continue the present episode;
            :meth:`begin_episode` ends one.

        Returns
        -------
        ids : int64 (n,)
            Running numbers of the frames.

        Raises
        ------
        InputError
            If the frames are not binary, are not two-dimensional, or have another width, or lengths do not sum to n.
        BackendError
            If they live on another device than the memory.
        """
        if targets is not None or tags is not None:
            raise InputError(f"{type(self).__name__} stores no targets or tags")
        return self._store(items, lengths)

    def _store(self, items: Any, lengths: Any) -> np.ndarray:
        frames = self._frames(items)
        flags = self._flags(len(frames), lengths, LEARNS)
        if not self._is_fitted():
            self._allocate(frames.n_features, self._backend(X=frames.indices))
        first = self.n_stored_
        _, context = self._run(frames, flags, self._context(), False)
        self._advance(context, len(frames), True)
        ids: np.ndarray = array_module(self.weights_).arange(first, first + len(frames), dtype=np.int64)
        return ids

    def trace(self, frames: Any, lengths: Any = None) -> NetworkTrace:
        """Recognise sequences: codes and familiarity of all levels at every step; nothing changes.

        Parameters
        ----------
        frames : array of 0 and 1 (n, n_features), or ActiveRows
        lengths : list of int, optional
            None: the frames are one sequence.

        Returns
        -------
        NetworkTrace
        """
        frames = self._frames(frames)
        memory, history = self._read(frames, [len(frames)] if lengths is None and len(frames) else lengths)
        return memory._trace_of(history)

    def familiarity(self, items: Any, *, lengths: Any = None, level: int = 0) -> np.ndarray:
        """Mean G over the macs of a level that are awake at each frame, float32 (n,) in [0, 1]; 0 where none is.

        Parameters
        ----------
        items : array of 0 and 1 (n, n_features), or ActiveRows
        lengths : list of int, optional
            Lengths of sequences that the frames consist of.  None: each frame by itself, out of any context.
        level : int, default 0
        """
        validate.integer(level, "level", 0, self.n_levels_ - 1)
        frames = self._frames(items)
        memory, history = self._read(frames, np.ones(len(frames), np.int64) if lengths is None else lengths)
        trace = memory._trace_of(history)
        return mean_awake(trace.familiarity[level], trace.ages[level])

    def read(self, cues: Any, *, k: int = 1) -> Recall:
        """Reconstruct what the first level's code of each frame, taken by itself, stands for.

        Returns
        -------
        Recall
            ``values`` float32 (n, k, n_features): input scores in [0, 1] in the first place, zeros in the others; ``ids``
            -1 throughout; ``scores`` the first level's familiarity, -inf beyond the first; ``info`` has ``codes`` of the
            first level, and ``codes_1``, ``codes_2`` ... of those above.
        """
        validate.integer(k, "k", 1)
        frames = self._frames(cues)
        memory, history = self._read(frames, np.ones(len(frames), np.int64))
        return memory._recall_of(history, k)

    def complete(self, cues: Any, known: Any) -> np.ndarray:
        """Fill in the unknown features of frames, each by itself, from the code that the known active ones choose.

        Parameters
        ----------
        cues : array of 0 and 1 (n, n_features)
        known : bool (n, n_features) or (n_features,)
            True where the feature is given; the others are ignored.

        Returns
        -------
        float32 (n, n_features)
            Given features as they are, the others as scores in [0, 1].
        """
        cues, known, xp = self._known_part(cues, known)
        _, history = self._read(xp.where(known, cues, 0).astype(np.uint8), np.ones(len(cues), np.int64))
        found: np.ndarray = xp.where(known, cues, self._project(history[0])).astype(np.float32)
        return found

    def complete_sequence(self, prompt: Any, n_steps: int, *, stop_below: float = 0.0) -> Continuation:
        """Run free after a prompt: without input, the first level goes on by what it hears from itself and from above.

        Parameters
        ----------
        prompt : array of 0 and 1 (n, n_features), or ActiveRows
            The first frames of a sequence.
        n_steps : int
            Steps to go on for.
        stop_below : float in [0, 1], default 0.0
            Stop before the first step whose support is below this: the end of what is known.

        Returns
        -------
        Continuation

        Raises
        ------
        NotFittedError
            Before the first write.
        """
        self._check_fitted()
        validate.integer(n_steps, "n_steps", 0)
        validate.number(stop_below, "stop_below", low=0, high=1)
        frames = self._frames(prompt)
        flags = np.concatenate([self._flags(len(frames), None, 0), np.full(n_steps, FREE, np.uint8)])
        xp = array_module(frames.indptr)
        indptr = xp.concatenate([frames.indptr, frames.indptr[-1:].repeat(n_steps)])
        whole = ActiveRows._trusted(frames.indices, indptr, frames.n_features)
        history, _ = self._run(whole, flags, self._empty_context(), True)
        history = tuple(rows[len(frames) :] for rows in history)
        n_first = int(self.tables_.level_starts[1])
        versions = history[5][:, :n_first]
        both, either = versions[:, :, 5], xp.maximum(versions[:, :, 1], versions[:, :, 3])
        support = xp.maximum(xp.where(both >= 0, both, either), 0.0).mean(axis=1)
        below = xp.flatnonzero(support < stop_below)
        stop = int(below[0]) if len(below) else n_steps
        history = tuple(rows[:stop] for rows in history)
        return Continuation(self._project(history[0]), support[:stop], self._trace_of(history))


def checked_lengths(lengths: Any, n_steps: int) -> np.ndarray:
    """Lengths of sequences, int64; InputError unless they are positive and sum to ``n_steps``."""
    found = np.atleast_1d(to_host(as_array(lengths)))
    if found.ndim != 1 or (found.dtype.kind not in "iu" and found.size) or (found < 1).any() or int(found.sum()) != n_steps:
        raise InputError(f"lengths is {lengths!r}, positive integers that sum to {n_steps} were expected")
    return found.astype(np.int64)


def block_bounds(flags: np.ndarray, n_steps: int = STEPS_PER_BLOCK) -> np.ndarray:
    """Cut steps into blocks of whole episodes, each of at least ``n_steps`` steps, int64 (n_blocks + 1,)."""
    bounds = [0]
    for start in np.flatnonzero(flags & BEGINS):
        if start - bounds[-1] >= n_steps:
            bounds.append(int(start))
    return np.array([*bounds, len(flags)], np.int64)
