"""What a chunk memory is made of and how it gets to disk and back: parameters, state, directory."""

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.backend import Backend
from neuromem.base import Estimator
from neuromem.column_store import DEFAULT_MAX_BYTES, ColumnStore
from neuromem.errors import FormatError, InputError, InputTypeError
from neuromem.hcam.chunk_ring import ChunkRing
from neuromem.hcam.chunk_storage import KIND, DiskStorage, RamStorage, first_damaged

SLOT_BYTES = 21  # length, first step, episode, closed or not
LANE_BYTES = 6 * 8


class ChunkState(Estimator):
    """Parameters and state of :class:`neuromem.hcam.ChunkMemory`, which documents them."""

    n_features: int
    chunk_size: int
    capacity: int
    n_lanes: int
    dtype: str
    include_open: bool
    across_episodes: bool
    storage: str | Path
    on_full: str
    check_finite: bool
    n_chunks: int
    durable: bool
    flush_every: int

    _STATE = {
        "steps_": ((np.float32, np.float64), 2),
        "chunks_": (np.int64, 2),
        "counts_": (np.int64, 2),
    }
    _SCALARS = ("step_",)
    _ring: ChunkRing | None = None

    def _validate_params(self) -> None:
        for name, high in (("n_features", 1 << 24), ("chunk_size", 1 << 24), ("capacity", 1 << 40), ("n_lanes", 1 << 20)):
            validate.integer(getattr(self, name), name, 1, high)
        validate.integer(self.n_chunks, "n_chunks", 1)
        validate.integer(self.flush_every, "flush_every", 1)
        validate.choice(self.dtype, "dtype", ("float32", "float64"))
        validate.choice(self.on_full, "on_full", ("oldest", "error"))
        for name in ("include_open", "across_episodes", "check_finite", "durable"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise InputTypeError(f"{name} is {getattr(self, name)!r}, True or False was expected")
        if not isinstance(self.storage, (str, Path)) or not str(self.storage):
            raise InputTypeError(f"storage is {self.storage!r}, 'ram' or the path of a directory was expected")

    def _ready(self) -> ChunkRing:
        """The state, made if there is none."""
        if self._ring is None:
            self._validate_params()
            shape = (self.n_lanes, self.capacity, self.chunk_size, self.n_features)
            dtype = np.dtype(self.dtype)
            storage: RamStorage | DiskStorage
            if self.storage == "ram":
                storage = RamStorage(*shape, dtype)
            else:
                numbers = np.zeros(4 * self.n_lanes + 1, np.int64)
                storage = DiskStorage.create(self.storage, self._plain_params(), shape, dtype, numbers, self.durable)
            self._take_ring(ChunkRing(storage, self.chunk_size, self.n_features, self.on_full, self.flush_every))
        assert self._ring is not None
        return self._ring

    def _take_ring(self, ring: ChunkRing) -> None:
        """Have this state; a store is committed and closed with the object that has it, at the process's end at the latest."""
        self._ring = ring
        if ring.disk:
            weakref.finalize(self, ring.finish)

    # ---------------------------------------------------------------- state and files

    def _is_fitted(self) -> bool:
        return self._ring is not None and self._ring.step > 0

    def _plain_params(self) -> dict[str, Any]:
        from neuromem.io import plain_parameter

        params = {name: plain_parameter(value, name) for name, value in self.get_params(deep=False).items() if name != "storage"}
        return params | {"storage": "ram"}

    def get_state(self) -> dict[str, Any]:
        """Everything kept, as copies; that of a memory on disk is that of one in RAM."""
        from neuromem.io import name_of_class

        arrays, scalars, ring = {}, {}, self._ring
        if ring is not None and (ring.step or ring.current.any()):
            kept = [(lane, ring.kept_slots(lane)) for lane in range(self.n_lanes)]
            parts = [ring.storage.contents[lane, slot, : ring.lengths[lane, slot]] for lane, slots in kept for slot in slots]
            described = [
                np.stack([a[lane, slots] for a in (ring.lengths, ring.first_step, ring.episode)], 1) for lane, slots in kept
            ]
            arrays = {
                "steps_": np.concatenate(parts) if parts else np.zeros((0, self.n_features), ring.dtype),
                "chunks_": np.concatenate(described).astype(np.int64),
                "counts_": np.stack([ring.opened, ring.dead, ring.fill, ring.current]),
            }
            scalars = {"step_": ring.step}
        params = self._plain_params()
        return {"class": name_of_class(type(self)), "params": params, "arrays": arrays, "scalars": scalars, "children": {}}

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if not arrays and not scalars:
            return
        if set(arrays) != set(self._STATE) or type(scalars["step_"]) is not int or self.storage != "ram":
            raise FormatError("the state of a chunk memory is not complete")
        if arrays["steps_"].dtype != np.dtype(self.dtype) or arrays["steps_"].shape[1] != self.n_features:
            raise FormatError(f"steps_ are not {self.dtype} of {self.n_features} features")
        if arrays["chunks_"].shape[1] != 3 or arrays["counts_"].shape != (4, self.n_lanes):
            raise FormatError("chunks_ or counts_ have another shape")
        if self.check_finite and not np.isfinite(arrays["steps_"]).all():
            raise FormatError("steps_ are not finite")

    def _after_load(self) -> None:
        parts = {name: self.__dict__.pop(name) for name in (*self._STATE, *self._SCALARS) if name in self.__dict__}
        if parts:
            counts = parts["counts_"]
            self._ready().take_steps(parts["step_"], counts, parts["steps_"], parts["chunks_"], counts[0] - counts[1])

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = type(self)._from_state(self.get_state())
        if self._ring is not None:
            made._ready().version = self._ring.version
        return made

    def _moved(self, backend: Backend) -> Self:
        self._check_device(backend)
        return self.copy()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Replace parameters and everything kept; the object is unchanged if the state is not sound.

        A memory on disk is left as it was on disk, and this one goes on in RAM.

        Raises
        ------
        FormatError
        """
        made = type(self)._from_state(state)
        self.close()
        self.__dict__ = made.__dict__

    # ---------------------------------------------------------------- on disk

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        read_only: bool = False,
        verify: bool = False,
        durable: bool | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> Self:
        """Open the directory of a memory, which need not be trusted, and go on where its newest commit was.

        Parameters
        ----------
        path : str or Path
        read_only : bool, default False
            Beside another process that writes; :meth:`refresh` brings what it has committed since.
        verify : bool, default False
            Read everything once and compare checksums.
        durable : bool, optional
            Default: as when it was made.
        max_bytes : int, default 4 TiB
            Refuse a file that is larger.

        Raises
        ------
        StoreError
            If there is no memory, a file is a link, or (StoreLockedError) another process writes to it.
        FormatError
            If a file is damaged, too short or of another version.
        """
        store = ColumnStore.open(
            path, kind=KIND, read_only=read_only, durable=bool(durable), private=("summaries",), max_bytes=max_bytes
        )
        try:
            made = cls._of_store(store)
            store.durable = made.durable if durable is None else bool(durable)
            if verify or (store.fell_back and not read_only):
                made.verify()
        except BaseException:
            store.release()
            raise
        return made

    @classmethod
    def _of_store(cls, store: ColumnStore) -> Self:
        if set(store.meta) != set(cls._parameter_names()):
            raise FormatError(f"{store.path}: its parameters are not those of {cls.__name__}")
        try:
            made = cls(**store.meta)
            made._validate_params()
        except (InputError, TypeError, ValueError) as error:
            raise FormatError(f"{store.path}: parameters are out of range: {error}") from None
        made.storage = str(store.path)
        wanted = {
            "contents": (np.dtype(made.dtype), (made.chunk_size, made.n_features)),
            "summaries": (np.dtype(made.dtype), (made.n_features,)),
            "chunks": (np.dtype(np.int64), (4,)),
        }
        if store.columns != wanted or store.n_state != 4 * made.n_lanes + 1 or store.max_rows != made.n_lanes * made.capacity:
            raise FormatError(f"{store.path}: its columns are not those of its parameters")
        storage = DiskStorage(store, made.n_lanes, made.capacity)
        ring = ChunkRing(storage, made.chunk_size, made.n_features, made.on_full, made.flush_every)
        ring.take_store()
        made._take_ring(ring)
        return made

    def _disk(self) -> DiskStorage | None:
        return None if self._ring is None else self._ring.disk

    def verify(self) -> None:
        """On disk, read every closed chunk and compare it with its checksum.

        Raises
        ------
        FormatError
            If one is not as it was written; the message has its lane and slot.
        """
        ring, disk = self._ring, self._disk()
        if ring is None or disk is None:
            return
        n = ring.lengths.shape[1]
        contents, summaries, chunks = (array[:, :n] for array in (disk.contents, disk.summaries, disk.chunks))
        damaged = first_damaged(contents, summaries, ring.lengths, chunks, ring.capacity, ring.dead, ring.sealed)
        if damaged is not None:
            raise FormatError(f"{disk.store.path}: the chunk in slot {damaged[1]} of lane {damaged[0]} is damaged")

    def commit(self) -> None:
        """On disk, let everything written so far survive the process; in RAM nothing."""
        if self._ring is not None and self._disk() is not None:
            self._ring.commit()

    def refresh(self) -> None:
        """Opened read-only: see what has been committed since.

        Where the ring came round meanwhile, slots of views handed out before may hold other chunks.

        Raises
        ------
        FormatError
        """
        ring, disk = self._ring, self._disk()
        if ring is not None and disk is not None and disk.store.read_only:
            disk.store.refresh()
            ring.take_store()

    def close(self) -> None:
        """On disk, commit and give back the files; this object is empty then.  In RAM nothing."""
        if self._ring is not None and self._ring.disk is not None:
            self._ring.finish()
            self._ring = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def slots_nbytes(memory: ChunkState, n_slots: int) -> int:
    """Bytes of so many slots of every lane, and of what each lane has besides."""
    width = memory.n_features * np.dtype(memory.dtype).itemsize
    slot = (memory.chunk_size + 1) * width + SLOT_BYTES
    return memory.n_lanes * (n_slots * slot + LANE_BYTES + 9 * memory.n_features)
