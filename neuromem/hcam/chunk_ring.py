"""The state of a chunk memory: lanes of chunks in a ring, what is written to them, and when it counts."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from neuromem.backend import NUMPY
from neuromem.errors import CapacityError, FormatError
from neuromem.hcam.chunk_storage import LARGEST_COMMIT, DiskStorage, RamStorage, check_row_count, digest_weights
from neuromem.hcam.pruning import SummaryGroups
from neuromem.parallel import SERIAL_BELOW, kernel_threads

STEP_NS = 0.15  # nanoseconds on one thread for each number that is written
FIRST_SLOTS = 16


class ChunkRing:
    """Chunks of every lane, numbered as they are opened: number i lies in slot i % capacity.

    Of a lane the numbers ``dead`` ... ``opened`` - 1 are kept.  The last of them is open while ``fill`` > 0.  On disk a chunk
    whose slot is to be used again is declared dead, and that is committed, before the first byte of it changes.
    """

    def __init__(
        self,
        storage: RamStorage | DiskStorage,
        chunk_size: int,
        n_features: int,
        on_full: str = "oldest",
        flush_every: int = 64,
    ) -> None:
        self.storage = storage
        self.n_lanes, self.capacity = storage.n_lanes, storage.capacity
        self.chunk_size, self.n_features, self.dtype = chunk_size, n_features, storage.contents.dtype
        self.on_full, self.flush_every = on_full, flush_every
        self.row_shape = (n_features,)
        self.finite = np.ones(n_features, bool)  # where one step's numbers are, and the bytes of this where all are
        self.all_finite = self.finite.tobytes()
        self.disk = storage if isinstance(storage, DiskStorage) else None
        self.guard = threading.RLock()  # reads may come from several threads, and bring summaries up to date
        self.version = 0
        self.step = 0
        self.opened, self.dead, self.fill, self.current, self.summed, self.sealed = np.zeros((6, self.n_lanes), np.int64)
        self.sums = np.zeros((self.n_lanes, n_features))
        self.forget_chunks()
        self.rows: np.ndarray | None = None  # steps of the open chunk, where there is but one lane; its slot and how many
        self.slot, self.n_open = 0, 0
        self.groups = SummaryGroups(n_features, dtype=self.dtype)
        self.grouped_open, self.grouped_closed = np.zeros((2, self.n_lanes), np.int64)
        if self.n_lanes > 1:
            self.make_room(storage.n_slots)

    # ---------------------------------------------------------------- room

    @property
    def n_slots(self) -> int:
        """Slots of a lane that a view shows: those used so far; with several lanes all that there are."""
        if self.n_lanes > 1:
            return self.storage.n_slots
        return min(self.capacity, int(self.opened[0]))

    @property
    def numbers_closed(self) -> np.ndarray:
        """How many chunks of each lane have been closed, gone ones included."""
        return self.opened - (self.fill > 0)

    def forget_chunks(self) -> None:
        """No slots are described."""
        self.lengths = np.zeros((self.n_lanes, 0), np.int32)
        self.first_step = np.zeros((self.n_lanes, 0), np.int64)
        self.episode = np.zeros((self.n_lanes, 0), np.int64)
        self.closed = np.zeros((self.n_lanes, 0), bool)

    def make_room(self, n_slots: int) -> None:
        """Room for so many slots in what describes chunks."""
        have = self.lengths.shape[1]
        if n_slots <= have:
            return
        target = n_slots if self.n_lanes > 1 else min(self.capacity, max(n_slots, 2 * have, FIRST_SLOTS))
        for name, empty in (("lengths", 0), ("first_step", -1), ("episode", 0), ("closed", False)):
            old = getattr(self, name)
            new = np.full((self.n_lanes, target), empty, old.dtype)
            new[:, :have] = old
            setattr(self, name, new)

    def ensure(self, n_slots: int) -> None:
        """Room for so many slots everywhere."""
        self.storage.ensure(n_slots)
        self.make_room(self.storage.n_slots if self.n_lanes > 1 else n_slots)

    def openings(self, n: int) -> np.ndarray:
        """How many chunks each lane opens while n steps are written."""
        beyond = n - np.where(self.fill > 0, self.chunk_size - self.fill, 0)
        return np.maximum(0, -(-beyond // self.chunk_size))

    def prepare(self, n: int) -> None:
        """Make room for n steps, or raise; nothing of what is kept changes."""
        after = self.opened + self.openings(n)
        if self.on_full == "error" and (after - self.dead > self.capacity).any():
            lane = int((after - self.dead).argmax())
            raise CapacityError(
                f"{n} steps came, lane {lane} keeps {int(self.opened[lane] - self.dead[lane])} of {self.capacity} chunks; "
                "give a larger capacity, reset, or use on_full='oldest'"
            )
        self.ensure(min(self.capacity, int(after.max())))

    def let_go(self, after: np.ndarray) -> None:
        """Declare dead what must make way when ``after`` chunks have been opened; on disk before anything is overwritten."""
        dead = np.maximum(self.dead, after - self.capacity)
        if (dead == self.dead).all():
            return
        for lane in np.flatnonzero(dead > self.dead):
            slots = np.arange(self.dead[lane], dead[lane]) % self.capacity
            self.lengths[lane, slots], self.closed[lane, slots], self.first_step[lane, slots] = 0, False, -1
        self.dead = dead
        self.commit()

    # ---------------------------------------------------------------- writing

    def write(self, x: np.ndarray) -> None:
        """Write checked steps (n, lanes, D)."""
        n = len(x)
        if not n:
            return
        with self.guard:
            self.prepare(n)
            chunks = self.capacity
            if self.disk:  # little is declared dead at a time, so that a crash takes little with it
                step_bytes = self.n_lanes * self.n_features * self.dtype.itemsize
                chunks = max(1, min(self.capacity // 16, LARGEST_COMMIT // (self.chunk_size * step_bytes)))
            start = 0
            while start < n:  # an open chunk is never the one that must make way
                stop = start + chunks * self.chunk_size - int(self.fill.max())
                self.write_piece(x[start:stop])
                start = stop

    def append_lanes(self, x: np.ndarray) -> None:
        """Write one checked step of every lane, (1, lanes, D)."""
        with self.guard:
            if not self.fill.all():
                self.prepare(1)
            self.write_piece(x, every=self.flush_every)

    def write_piece(self, x: np.ndarray, every: int = 1) -> None:
        """Write steps that do not go round the ring more than once; one step alone is committed ``every`` so many."""
        n = len(x)
        if n > 1 or not self.fill.all():
            self.let_go(self.opened + self.openings(n))
        elif self.disk:
            self.disk.store.check_writable()
        self.version += 1
        self.rows = None
        first, self.step = self.step, self.step + n  # as in append
        arguments = (
            x,
            first,
            self.capacity,
            self.current,
            self.storage.contents,
            self.storage.summaries,
            self.lengths,
            self.first_step,
            self.episode,
            self.closed,
            self.opened,
            self.fill,
            self.sums,
            self.summed,
        )
        kernels, nanoseconds = NUMPY.kernels("hcam"), STEP_NS * x.size
        if self.n_lanes == 1 or nanoseconds < SERIAL_BELOW:
            kernels.append_steps(*arguments)
        else:
            with kernel_threads(nanoseconds):
                kernels.append_steps_threaded(*arguments)
        if self.step % every == 0 or not self.fill.all():
            self.commit()

    def append(self, row: np.ndarray) -> None:
        """Write one checked step (D,) where there is one lane: a copy, and little else."""
        rows = self.rows
        if rows is None:
            rows = self.open_rows()
        elif self.disk is not None:
            self.disk.store.check_writable()
        n = self.n_open
        self.step += 1  # before anything else: an interrupt in between leaves out an id, and breaks nothing
        self.version += 1
        rows[n] = row
        n += 1
        self.n_open = n
        self.fill[0] = n
        self.lengths[0, self.slot] = n
        if n == self.chunk_size:
            self.close(np.ones(1, bool))
        elif self.disk is not None and n % self.flush_every == 0:
            self.commit()

    def open_rows(self) -> np.ndarray:
        """The steps of the open chunk; one is opened where none is."""
        with self.guard:
            if not self.fill[0]:
                self.prepare(1)
                self.let_go(self.opened + 1)
                slot = int(self.opened[0]) % self.capacity
                self.opened[0] += 1
                self.lengths[0, slot], self.first_step[0, slot], self.closed[0, slot] = 0, self.step, False
                self.episode[0, slot] = self.current[0]
                self.sums[0], self.summed[0] = 0, 0
            elif self.disk:
                self.disk.store.check_writable()
            self.slot, self.n_open = int(self.opened[0] - 1) % self.capacity, int(self.fill[0])
            self.rows = self.storage.contents[0, self.slot]
            return self.rows

    def summarise(self, close: np.ndarray) -> None:
        """Bring summaries of open chunks up to date, and close those of some lanes."""
        with self.guard:
            NUMPY.kernels("hcam").summarise_open(
                self.storage.contents,
                self.opened,
                self.fill.copy(),
                self.capacity,
                close,
                self.storage.summaries,
                self.lengths,
                self.closed,
                self.fill,
                self.sums,
                self.summed,
            )

    def close(self, lanes: np.ndarray) -> None:
        """Close the open chunks of some lanes, bool (lanes,)."""
        if self.disk:
            self.disk.store.check_writable()
        self.version += 1
        self.summarise(lanes)
        self.rows = None
        self.commit()

    def begin_episode(self, lanes: np.ndarray) -> None:
        """Close open chunks; what comes belongs to a new episode."""
        if self.disk:
            self.disk.store.check_writable()
        self.current[lanes] += 1
        self.close(lanes)

    def reset(self, lanes: np.ndarray) -> None:
        """Empty some lanes; step ids begin anew when all are."""
        if self.disk:
            self.disk.store.check_writable()
        with self.guard:
            self.version += 1
            self.rows = None
            for array in (self.opened, self.dead, self.fill, self.summed, self.sealed, self.grouped_open, self.grouped_closed):
                array[lanes] = 0
            self.sums[lanes] = 0
            self.lengths[lanes], self.closed[lanes], self.first_step[lanes], self.episode[lanes] = 0, False, -1, 0
            if lanes.all():
                self.step = 0
                self.current[:] = 0
            for lane in np.flatnonzero(lanes):
                self.groups.reset(int(lane))
            self.commit()

    # ---------------------------------------------------------------- disk

    def numbers(self) -> np.ndarray:
        """What a commit says besides rows."""
        return np.concatenate([np.array([self.step]), self.opened, self.dead, self.fill, self.current])

    def commit(self) -> None:
        """On disk: describe chunks that have closed since, then let everything count."""
        if self.disk is None:
            return
        stop = self.numbers_closed
        if (stop > self.sealed).any():
            NUMPY.kernels("hcam").seal_chunks(
                self.storage.contents.view(np.uint32),
                self.storage.summaries.view(np.uint32),
                self.lengths,
                self.first_step,
                self.episode,
                self.capacity,
                np.maximum(self.sealed, self.dead),
                stop,
                digest_weights(self.n_features, self.dtype),
                self.disk.chunks,
            )
            self.sealed = stop
        self.disk.commit(self.n_slots, self.numbers())

    def finish(self) -> None:
        """On disk, commit and close."""
        assert self.disk is not None
        store = self.disk.store
        self.rows = None
        if not store.closed and not store.read_only:
            self.commit()
        store.close()

    def take_store(self) -> None:
        """Take over what a store's newest commit says.

        Raises
        ------
        FormatError
            Where its numbers and chunks do not fit together.
        """
        assert self.disk is not None
        store, lanes = self.disk.store, self.n_lanes
        numbers = store.state
        self.step, parts = int(numbers[0]), numbers[1:].reshape(4, lanes)
        self.check_counts(self.step, *parts, where=str(store.path))
        self.opened, self.dead, self.fill, self.current = (part.copy() for part in parts)
        check_row_count(store, lanes, self.opened, self.capacity)
        self.disk.take_arrays()
        self.sealed = self.numbers_closed
        described = []
        for lane in range(lanes):
            slots = np.arange(self.dead[lane], self.sealed[lane]) % self.capacity
            described.append(np.array(self.disk.chunks[lane, slots, :3]) if len(slots) else np.zeros((0, 3), np.int64))
        self.describe(described, where=str(store.path))

    # ---------------------------------------------------------------- taking over

    def check_counts(
        self, step: int, opened: np.ndarray, dead: np.ndarray, fill: np.ndarray, current: np.ndarray, *, where: str = "state"
    ) -> None:
        """Raise FormatError for counts that no memory of this shape can have."""
        sound = 0 <= step < 1 << 62 and (dead >= 0).all() and (opened >= dead).all() and (current >= 0).all()
        sound = sound and (opened - dead <= self.capacity).all() and (opened <= step).all()
        sound = sound and (fill >= 0).all() and (fill < self.chunk_size).all() and (fill <= step).all()
        if not sound or ((fill > 0) & (opened == dead)).any():
            raise FormatError(f"{where}: counts of steps and chunks do not fit together")

    def describe(self, described: Sequence[np.ndarray], *, where: str = "state") -> None:
        """Take over lengths, first steps and episodes of the closed chunks kept, (n, 3) for each lane, oldest first."""
        self.forget_chunks()
        self.make_room(self.n_slots)
        for lane, chunks in enumerate(described):
            length, first, episode = chunks.T
            end = self.step - self.fill[lane]
            sound = ((length >= 1) & (length <= self.chunk_size) & (first >= 0) & (episode >= 0)).all()
            sound = sound and (first + length <= np.append(first[1:], end)).all()
            if not sound or (episode > np.append(episode[1:], self.current[lane])).any():
                raise FormatError(f"{where}: chunks of lane {lane} do not follow each other")
            slots = np.arange(self.dead[lane], self.dead[lane] + len(chunks)) % self.capacity
            self.lengths[lane, slots], self.first_step[lane, slots], self.episode[lane, slots] = length, first, episode
            self.closed[lane, slots] = True
            if self.fill[lane]:
                slot = (self.opened[lane] - 1) % self.capacity
                self.lengths[lane, slot], self.first_step[lane, slot] = self.fill[lane], end
                self.episode[lane, slot] = self.current[lane]
        self.sums[:], self.summed[:] = 0, 0
        self.rows = None
        self.version += 1
        self.groups = SummaryGroups(self.n_features, dtype=self.dtype)
        self.grouped_open[:], self.grouped_closed[:] = self.dead, self.dead

    def take_steps(self, step: int, counts: np.ndarray, steps: np.ndarray, described: np.ndarray, per_lane: np.ndarray) -> None:
        """Take over steps (n, D) of all chunks kept, lane by lane and oldest first.

        Parameters
        ----------
        step : int
        counts : int64 (4, lanes)
            Opened, dead, fill, current episode.
        steps : (n, D)
        described : int64 (chunks, 3)
            Length, first step, episode; open chunks too.
        per_lane : int64 (lanes,)
            Chunks kept.

        Raises
        ------
        FormatError
            Where these do not fit together.
        """
        self.check_counts(step, *counts)
        opened, dead, fill, current = counts
        if (per_lane != opened - dead).any() or len(described) != per_lane.sum():
            raise FormatError("state: chunks are not as many as the counts say")
        if (described[:, 0] < 1).any() or (described[:, 0] > self.chunk_size).any() or described[:, 0].sum() != len(steps):
            raise FormatError("state: lengths of chunks do not fit the steps")
        self.step = step
        self.opened, self.dead, self.fill, self.current = (part.copy() for part in counts)
        self.storage.ensure(min(self.capacity, int(opened.max(initial=0))))
        closed, begin = [], 0
        for lane, chunks in enumerate(np.split(described, np.cumsum(per_lane)[:-1])):
            if fill[lane] and tuple(chunks[-1]) != (fill[lane], step - fill[lane], current[lane]):
                raise FormatError(f"state: the open chunk of lane {lane} does not fit the counts")
            for slot, n in zip(self.kept_slots(lane), chunks[:, 0], strict=True):
                self.storage.contents[lane, slot, :n] = steps[begin : begin + n]
                begin += n
            closed.append(chunks[:-1] if fill[lane] else chunks)
        self.describe(closed)
        self.sealed = self.numbers_closed
        NUMPY.kernels("hcam").summarise_closed(
            self.storage.contents,
            self.lengths,
            self.capacity,
            self.dead,
            self.sealed,
            np.zeros(self.n_features),
            self.storage.summaries,
        )

    def kept_slots(self, lane: int) -> Any:
        """Slots of the chunks that a lane keeps, oldest first, the open one last."""
        return np.arange(self.dead[lane], self.opened[lane]) % self.capacity

    def up_to_date_groups(self, view: Any) -> SummaryGroups:
        """Groups of summaries that know every chunk closed by now."""
        with self.guard:
            stop = self.numbers_closed
            for lane in np.flatnonzero((self.opened > self.grouped_open) | (stop > self.grouped_closed)):
                oldest = self.opened[lane] - self.capacity
                opened = np.arange(max(self.grouped_open[lane], oldest), self.opened[lane]) % self.capacity
                closed = np.arange(max(self.grouped_closed[lane], oldest), stop[lane]) % self.capacity
                if len(opened):
                    self.groups.opened(int(lane), opened)
                if len(closed):
                    self.groups.closed(view, int(lane), closed)
                self.grouped_open[lane], self.grouped_closed[lane] = self.opened[lane], stop[lane]
            return self.groups
