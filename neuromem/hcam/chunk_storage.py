"""Where chunks live: in memory that is reserved but not taken, or in a directory that a crash cannot break."""

import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.backend import NUMPY
from neuromem.column_store import ColumnStore
from neuromem.errors import FormatError

KIND = "hcam.ChunkMemory"
FIRST_SLOTS = 16
# Pages are to count only when they are written to.  The module names the flag from Python 3.13 on.
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
LARGEST_COMMIT = 1 << 26  # bytes of steps between two commits of one write


def reserved(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | None:
    """Zeros in a range of addresses whose pages the system hands out when they are first written to; None if it refuses.

    A stream's memory may be given room for a million chunks, and grows without ever being copied: arrays handed out stay
    valid, and no step waits for gigabytes to move.  ``numpy.zeros`` is as lazy, but systems refuse it more than they have.
    """
    if not hasattr(mmap, "MAP_PRIVATE"):
        return None
    size = dtype.itemsize
    for n in shape:
        size *= n
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE)
    except (OSError, ValueError, OverflowError):
        return None
    return np.frombuffer(pages, dtype).reshape(shape)


class RamStorage:
    """Contents and summaries in memory.

    One lane: all slots are reserved, none is taken before it is written to.  Several lanes: their arrays have to lie side by
    side, so slots are doubled, by copying, until there are ``capacity``.
    """

    def __init__(self, n_lanes: int, capacity: int, chunk_size: int, n_features: int, dtype: np.dtype) -> None:
        self.tail = (chunk_size, n_features)
        self.n_lanes, self.capacity, self.dtype = n_lanes, capacity, dtype
        self.contents = np.zeros((n_lanes, 0, *self.tail), dtype)
        self.summaries = np.zeros((n_lanes, 0, n_features), dtype)
        if n_lanes == 1:
            contents = reserved((1, capacity, *self.tail), dtype)
            summaries = reserved((1, capacity, n_features), dtype)
            if contents is not None and summaries is not None:
                self.contents, self.summaries = contents, summaries

    @property
    def n_slots(self) -> int:
        """Slots of a lane that may be written to."""
        return int(self.contents.shape[1])

    def ensure(self, n_slots: int) -> None:
        """Make room for at least so many slots of every lane."""
        have = self.n_slots
        if n_slots <= have:
            return
        target = FIRST_SLOTS
        while target < n_slots:
            target *= 2
        target = min(self.capacity, target)
        for name in ("contents", "summaries"):
            old = getattr(self, name)
            new = np.zeros((self.n_lanes, target, *old.shape[2:]), self.dtype)
            new[:, :have] = old
            setattr(self, name, new)


class DiskStorage:
    """Contents and summaries in a :class:`~neuromem.column_store.ColumnStore`.

    One lane: row m is slot m, and rows are added.  Several lanes: row lane * capacity + m is slot m of a lane, and all rows
    are there from the start.
    """

    def __init__(self, store: ColumnStore, n_lanes: int, capacity: int) -> None:
        self.store, self.n_lanes, self.capacity = store, n_lanes, capacity
        self.take_arrays()

    @classmethod
    def create(
        cls,
        path: str | Path,
        meta: dict[str, Any],
        shape: tuple[int, int, int, int],
        dtype: np.dtype,
        state: np.ndarray,
        durable: bool,
    ) -> "DiskStorage":
        """A new store for (lanes, capacity, steps, features)."""
        n_lanes, capacity, chunk_size, n_features = shape
        columns = {
            "contents": (dtype, (chunk_size, n_features)),
            "summaries": (dtype, (n_features,)),
            "chunks": (np.int64, (4,)),  # length, first step, episode, checksum
        }
        store = ColumnStore.create(path, columns, kind=KIND, max_rows=n_lanes * capacity, state=state, meta=meta, durable=durable)
        try:
            if n_lanes > 1:
                store.grow(store.max_rows)
            return cls(store, n_lanes, capacity)
        except BaseException:
            store.close()
            raise

    def take_arrays(self) -> None:
        """Take the store's arrays as they are now."""
        arrays = self.store.arrays
        self.contents, self.summaries, self.chunks = (
            arrays[name].reshape(self.n_lanes, -1, *arrays[name].shape[1:]) if arrays[name].size else self.empty(name)
            for name in ("contents", "summaries", "chunks")
        )

    def empty(self, name: str) -> np.ndarray:
        """A column without rows."""
        dtype, shape = self.store.columns[name]
        return np.zeros((self.n_lanes, 0, *shape), dtype)

    @property
    def n_slots(self) -> int:
        """Slots of a lane that may be written to."""
        return int(self.contents.shape[1])

    def ensure(self, n_slots: int) -> None:
        """Make room for at least so many slots of every lane.

        Raises
        ------
        StoreError
            If the disk is full or the store is closed.
        """
        self.store.check_writable()
        if n_slots > self.n_slots:
            self.store.grow(n_slots * self.n_lanes)
            self.take_arrays()

    def commit(self, n_slots: int, state: np.ndarray) -> None:
        """Everything written so far counts from now on."""
        self.store.commit(n_slots if self.n_lanes == 1 else self.store.max_rows, state)


def digest_weights(n_features: int, dtype: np.dtype) -> np.ndarray:
    """Odd numbers, one for each 32-bit word of a step, uint32."""
    n = n_features * dtype.itemsize // 4
    return (np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B1) + np.uint64(0x85EBCA6B)).astype(np.uint32) | np.uint32(1)


def first_damaged(
    contents: np.ndarray,
    summaries: np.ndarray,
    lengths: np.ndarray,
    chunks: np.ndarray,
    capacity: int,
    start: np.ndarray,
    stop: np.ndarray,
) -> tuple[int, int] | None:
    """Lane and slot of the first closed chunk whose bytes are not those that were written; None if all are."""
    weights = digest_weights(contents.shape[3], contents.dtype)
    found = np.zeros(chunks.shape, np.int64)
    first, episode = (np.ascontiguousarray(chunks[:, :, i]) for i in (1, 2))
    NUMPY.kernels("hcam").seal_chunks(
        contents.view(np.uint32), summaries.view(np.uint32), lengths, first, episode, capacity, start, stop, weights, found
    )
    for lane in range(len(start)):
        slots = np.arange(start[lane], stop[lane]) % capacity
        wrong = (found[lane, slots] != chunks[lane, slots]).any(axis=1)
        if wrong.any():
            return lane, int(slots[wrong.argmax()])
    return None


def check_row_count(store: ColumnStore, n_lanes: int, opened: np.ndarray, capacity: int) -> None:
    """Raise FormatError unless a store has as many rows as its numbers say."""
    wanted = min(capacity, int(opened[0])) if n_lanes == 1 else (store.max_rows if opened.any() else store.n_rows)
    if store.n_rows != wanted:
        raise FormatError(f"{store.path}: has {store.n_rows} rows, its numbers ask for {wanted}")
