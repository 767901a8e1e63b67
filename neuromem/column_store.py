"""A directory that a stream is written to and that a crash cannot break: columns of fixed width and two commit records.

::

    store.json     what the columns are, and what their owner says of itself; written once, with a checksum
    <name>.col     one column: rows of fixed width, raw and little-endian, read and written through a memory map
    commits        two records with checksum and counter, written in turn: how many rows count, and the owner's own numbers
    lock           held by the one process that writes; any number may read

Rows beyond those of the newest whole record do not count, whatever they hold: a process may be killed at any moment, and
what it had not committed is as if it had never been written.  A row that is to be overwritten must first be declared dead:
its owner commits numbers that leave it out, and only then writes to it.
"""

import hashlib
import json
import mmap
import os
import struct
import weakref
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from neuromem import column_files, validate
from neuromem.column_files import FORMAT, VERSION, checked_schema, digest_of, lock_file, open_plain, read_schema
from neuromem.errors import FormatError, InputError, SpaceMismatchError, StoreError

SCHEMA, COMMITS, LOCK = "store.json", "commits", "lock"
MAGIC = b"nm-store"
HEAD = struct.Struct("<8sIIqq")  # magic, version, how many numbers, counter, rows
DIGEST_BYTES = 16
RECORD_ALIGNMENT = 4096  # the two records share no disk sector
DEFAULT_MAX_BYTES = 1 << 42  # of one column; such a file is mapped, not loaded
GROW_FROM, GROW_TO = 1 << 20, 1 << 26  # bytes by which all columns grow at least and at most

writers: weakref.WeakSet["ColumnStore"] = weakref.WeakSet()


def only_read_in_child() -> None:
    """After a fork there are two processes with the lock: the parent goes on, the child may read."""
    for store in writers:
        store.read_only = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=only_read_in_child)


class ColumnStore:
    """Columns on disk, all of as many rows, with numbers that are committed together with them.

    Made by :meth:`create` and :meth:`open`, not by its constructor.  ``arrays`` has each column as an array (rows, ...) of
    what is allocated; it is replaced by a longer one when the store grows, and older ones stay valid.  ``n_rows`` and
    ``state`` are those of the newest commit.

    Examples
    --------
    >>> import tempfile
    >>> from neuromem.column_store import ColumnStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ColumnStore.create(f"{folder}/s", {"x": ("<f4", (2,))}, kind="demo", max_rows=100) as store:
    ...         store.grow(3)
    ...         store.arrays["x"][:3] = 7
    ...         store.commit(3)
    ...     with ColumnStore.open(f"{folder}/s", kind="demo", read_only=True) as store:
    ...         store.arrays["x"].tolist()
    [[7.0, 7.0], [7.0, 7.0], [7.0, 7.0]]
    """

    def __init__(self, path: Path, schema: dict[str, Any], *, read_only: bool, durable: bool, private: Collection[str]) -> None:
        self.path = path
        self.kind: str = schema["kind"]
        self.meta: dict[str, Any] = schema["meta"]
        self.max_rows: int = schema["max_rows"]
        self.n_state: int = schema["n_state"]
        self.columns = {name: (np.dtype(c["dtype"]), tuple(c["shape"])) for name, c in schema["columns"].items()}
        self.row_bytes = {name: dtype.itemsize * int(np.prod(shape)) for name, (dtype, shape) in self.columns.items()}
        self.key = bytes.fromhex(schema["sha256"])
        self.read_only, self.durable, self.private = read_only, durable, frozenset(private)
        self.record_size = -(-(HEAD.size + 8 * self.n_state + DIGEST_BYTES) // RECORD_ALIGNMENT) * RECORD_ALIGNMENT
        self.counter, self.n_rows = 0, 0
        self.state = np.zeros(self.n_state, np.int64)
        self.fell_back = False  # whether a record was damaged, so that the older one counts
        self.allocated = 0
        self.floor = 0  # rows that a reader may have mapped: the files never get shorter than that
        self.arrays: dict[str, np.ndarray] = {}
        self.maps: list[mmap.mmap] = []
        self.descriptors: dict[str, int] = {}
        self.closed = False
        if not read_only:
            writers.add(self)

    # ---------------------------------------------------------------- making and opening

    @classmethod
    def create(
        cls,
        path: str | Path,
        columns: Mapping[str, tuple[Any, tuple[int, ...]]],
        *,
        kind: str,
        max_rows: int,
        state: Any = (),
        meta: Mapping[str, Any] | None = None,
        durable: bool = False,
    ) -> Self:
        """Make an empty store and open it for writing.

        Parameters
        ----------
        path : str or Path
            A directory that does not exist, or an empty one.
        columns : mapping of name to (dtype, shape of a row)
        kind : str
            What owns the store; :meth:`open` asks for it.
        max_rows : int
        state : integers, default none
            The numbers that the first commit has; there are as many in every later one.
        meta : mapping, optional
            What JSON can hold.
        durable : bool, default False
            Whether a commit waits until the disk has it.  Without, commits survive the end of the process, however it
            comes, but not a power cut.

        Raises
        ------
        StoreError
            If the directory holds a store or anything else, or cannot be made.
        InputError
            For columns that cannot be.
        """
        path = Path(path)
        schema = checked_schema(
            {
                "format": FORMAT,
                "version": VERSION,
                "kind": kind,
                "max_rows": validate.integer(max_rows, "max_rows", 1),
                "n_state": len(state),
                "columns": {
                    name: {"dtype": np.dtype(dtype).newbyteorder("<").str, "shape": list(shape)}
                    for name, (dtype, shape) in columns.items()
                },
                "meta": dict(meta or {}),
            },
            InputError,
        )
        own = {LOCK, COMMITS, f"{SCHEMA}.part", *(f"{name}.col" for name in schema["columns"])}
        try:
            path.mkdir(parents=True, exist_ok=True)
            there = set(os.listdir(path))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}, a directory was expected") from None
        if SCHEMA in there:
            raise StoreError(f"{path}: holds a store already; open it instead")
        if there - own:  # files of a store whose making was interrupted are no obstacle
            raise StoreError(f"{path}: is not empty (it has {min(there - own)!r}), an empty directory was expected")
        schema["sha256"] = digest_of(schema)
        made = cls(path, schema, read_only=False, durable=durable, private=())
        try:
            made.descriptors[LOCK] = lock_file(path / LOCK)
            if (path / SCHEMA).exists():  # made by another process in between
                raise StoreError(f"{path}: holds a store already; open it instead")
            for name in (*(f"{name}.col" for name in made.columns), COMMITS):
                column_files.reached(f"create {name}")
                made.descriptors[name] = open_plain(path / name, os.O_RDWR | os.O_CREAT)
                os.ftruncate(made.descriptors[name], 0)
            os.ftruncate(made.descriptors[COMMITS], 2 * made.record_size)
            made.map_rows(0)
            made.commit(0, state)
            part = open_plain(path / f"{SCHEMA}.part", os.O_RDWR | os.O_CREAT)
            try:
                os.ftruncate(part, 0)
                column_files.write_at(part, json.dumps(schema, allow_nan=False).encode(), 0)
                os.fsync(part)
            finally:
                os.close(part)
            column_files.reached("create schema")
            os.replace(path / f"{SCHEMA}.part", path / SCHEMA)
            column_files.sync_directory(path)
        except BaseException:
            made.release()
            raise
        return made

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        kind: str,
        read_only: bool = False,
        durable: bool = False,
        private: Collection[str] = (),
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> Self:
        """Open a store, which need not be trusted; it holds what the newest whole commit says.

        Parameters
        ----------
        path : str or Path
        kind : str
            What the store must be of.
        read_only : bool, default False
            Read beside the one that writes; no lock is taken.
        durable : bool, default False
            As for :meth:`create`.
        private : names of columns
            Columns that a reader may write to in its own memory; the files do not change.
        max_bytes : int, default 4 TiB
            Refuse a column that is larger.

        Raises
        ------
        StoreError
            If there is no store, or one of its files is a link or cannot be opened.
        StoreLockedError
            If another one writes to it.
        SpaceMismatchError
            If it is of another kind.
        FormatError
            If a file is damaged, too short, or of another version; the message has its name and the reason.
        """
        path = Path(path)
        if not path.is_dir() or not (path / SCHEMA).exists():
            raise StoreError(f"{path}: is no store: there is no {SCHEMA}")
        schema = read_schema(path / SCHEMA)
        if schema["kind"] != kind:
            raise SpaceMismatchError(f"{path}: is a store of kind {schema['kind']!r}, {kind!r} was expected")
        made = cls(path, schema, read_only=read_only, durable=durable, private=private)
        try:
            if not read_only:
                made.descriptors[LOCK] = lock_file(path / LOCK)
            for name in (*(f"{name}.col" for name in made.columns), COMMITS):
                made.descriptors[name] = open_plain(path / name, os.O_RDONLY if read_only else os.O_RDWR)
            made.read_commit()
            for name in made.columns:
                size = os.fstat(made.descriptors[f"{name}.col"]).st_size
                if size < made.n_rows * made.row_bytes[name]:
                    raise FormatError(f"{path / name}.col: has {size} bytes, too short for {made.n_rows} rows")
                if size > max_bytes:
                    raise FormatError(f"{path / name}.col: has {size} bytes, max_bytes={max_bytes}")
                made.floor = max(made.floor, size // made.row_bytes[name])
            made.map_rows(made.n_rows)
        except BaseException:
            made.release()
            raise
        return made

    def read_commit(self) -> None:
        """Take over the newest whole record."""
        size = os.fstat(self.descriptors[COMMITS]).st_size
        if size != 2 * self.record_size:
            raise FormatError(f"{self.path / COMMITS}: has {size} bytes, {2 * self.record_size} were expected")
        with open(self.descriptors[COMMITS], "rb", closefd=False) as file:
            file.seek(0)
            body = file.read(2 * self.record_size)
        slots = [body[: self.record_size], body[self.record_size :]]
        records = [record for slot in slots if (record := self.parsed(slot)) is not None]
        if not records:
            raise FormatError(f"{self.path / COMMITS}: neither record is whole")
        self.counter, self.n_rows, self.state = max(records, key=lambda record: record[0])
        self.fell_back = len(records) < sum(slot.strip(b"\0") != b"" for slot in slots)

    def parsed(self, slot: bytes) -> tuple[int, int, np.ndarray] | None:
        """Counter, rows and numbers of a record; None unless it is whole and of this store."""
        end = HEAD.size + 8 * self.n_state
        magic, version, n_state, counter, rows = HEAD.unpack_from(slot)
        if slot[end : end + DIGEST_BYTES] != self.sealed(slot[:end]) or magic != MAGIC:
            return None
        if version != VERSION:
            raise FormatError(f"{self.path / COMMITS}: version {version}, this library reads version {VERSION}")
        if n_state != self.n_state or not 0 <= rows <= self.max_rows or counter < 1:
            raise FormatError(f"{self.path / COMMITS}: a record does not fit {SCHEMA}")
        return counter, rows, np.frombuffer(slot[HEAD.size : end], "<i8").astype(np.int64)

    def sealed(self, body: bytes) -> bytes:
        """Checksum of a record, which only one of this very store can have."""
        return hashlib.blake2b(body, digest_size=DIGEST_BYTES, key=self.key).digest()

    # ---------------------------------------------------------------- rows

    def map_rows(self, n_rows: int) -> None:
        """Map so many rows of every column."""
        arrays, maps = {}, []
        for name, (dtype, shape) in self.columns.items():
            n_bytes = n_rows * self.row_bytes[name]
            if not n_bytes:
                arrays[name] = np.zeros((n_rows, *shape), dtype)
                continue
            access = mmap.ACCESS_WRITE
            if self.read_only:
                access = mmap.ACCESS_COPY if name in self.private else mmap.ACCESS_READ
            try:
                mapped = mmap.mmap(self.descriptors[f"{name}.col"], n_bytes, access=access)
            except (OSError, ValueError, OverflowError) as error:
                raise StoreError(f"{self.path / name}.col: cannot be mapped: {error}") from None
            maps.append(mapped)
            arrays[name] = np.frombuffer(mapped, dtype).reshape(n_rows, *shape)
        self.arrays, self.maps, self.allocated = arrays, maps, n_rows

    def grow(self, n_rows: int) -> None:
        """Allocate at least so many rows, and some more, so that this is rare.  Nothing is copied.

        Raises
        ------
        StoreError
            If the disk is full, or for more than ``max_rows``; rows and arrays are as before.
        """
        self.check_writable()
        if n_rows <= self.allocated:
            return
        if n_rows > self.max_rows:
            raise StoreError(f"{self.path}: {n_rows} rows are more than max_rows={self.max_rows}")
        one = max(1, sum(self.row_bytes.values()))
        spare = min(max(n_rows // 16, GROW_FROM // one), GROW_TO // one)
        target = min(self.max_rows, n_rows + spare)
        column_files.reached("grow")
        try:
            for name in self.columns:
                column_files.allocate(self.descriptors[f"{name}.col"], target * self.row_bytes[name])
        except OSError as error:
            raise StoreError(f"{self.path}: cannot grow to {target} rows: {error.strerror}") from None
        column_files.reached("grown")
        self.map_rows(target)

    def commit(self, n_rows: int, state: Any = ()) -> None:
        """From now on the store has so many rows, and these numbers.

        All or nothing: after a kill the store has either this commit or the one before it.
        """
        self.check_writable()
        if self.durable:
            column_files.reached("sync")
            for mapped in self.maps:
                mapped.flush()
        numbers = np.asarray(state, "<i8")
        counter = self.counter + 1
        body = HEAD.pack(MAGIC, VERSION, len(numbers), counter, n_rows) + numbers.tobytes()
        column_files.reached("commit")
        descriptor = self.descriptors[COMMITS]
        column_files.write_at(descriptor, body + self.sealed(body), counter % 2 * self.record_size)
        if self.durable:
            os.fsync(descriptor)
        column_files.reached("committed")
        self.counter, self.n_rows, self.state = counter, n_rows, numbers.astype(np.int64)
        self.floor = max(self.floor, n_rows)

    def refresh(self) -> None:
        """Take over what has been committed since; for a store opened read-only."""
        before = self.counter
        self.read_commit()
        if self.counter != before:
            self.map_rows(self.n_rows)

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""
        return sum(os.fstat(descriptor).st_size for descriptor in self.descriptors.values())

    # ---------------------------------------------------------------- end

    def check_writable(self) -> None:
        """Raise StoreError for a store that is closed or open for reading only, as it is in a forked child."""
        if self.closed or self.read_only:
            raise StoreError(f"{self.path}: is {'closed' if self.closed else 'open for reading only'}")

    def close(self) -> None:
        """Give back the lock, and what was allocated and never committed.  Arrays given out stay readable, here and elsewhere.

        Both records say the same then, so that either may be lost.
        """
        if self.closed:
            return
        if not self.read_only:
            self.commit(self.n_rows, self.state)
            for name in self.columns:
                descriptor, size = self.descriptors[f"{name}.col"], self.floor * self.row_bytes[name]
                if os.fstat(descriptor).st_size > size:
                    os.ftruncate(descriptor, size)
                if self.durable:
                    os.fsync(descriptor)
        self.release()

    def release(self) -> None:
        """Close every file as it is."""
        self.closed = True
        self.arrays, self.maps = {}, []
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "closed", True):
            self.release()
