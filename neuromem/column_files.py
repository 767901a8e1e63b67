"""Files and description of a :class:`~neuromem.column_store.ColumnStore`: opened with care, read without trust."""

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.errors import FormatError, StoreError, StoreLockedError
from neuromem.io import ALLOWED_DTYPES, refuse_constant, unique_keys

FORMAT, VERSION = "neuromem-store", 1
SCHEMA_LIMIT = 1 << 20
LARGEST_ROW = 1 << 40
NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


def reached(point: str) -> None:
    """Do nothing: a moment at which tests let the process die."""


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of ``data`` at an offset of a file."""
    while data:
        if hasattr(os, "pwrite"):
            written = os.pwrite(descriptor, data, offset)
        else:
            os.lseek(descriptor, offset, os.SEEK_SET)
            written = os.write(descriptor, data)
        data, offset = data[written:], offset + written


def open_plain(path: Path, flags: int) -> int:
    """Descriptor of a regular file that is no link, neither symbolic nor one of several hard ones.

    Raises
    ------
    StoreError
        For anything else, and where the system does not let it be opened.
    """
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        raise FormatError(f"{path}: is missing") from None
    except OSError as error:
        link = error.errno in (errno.ELOOP, errno.EMLINK)
        raise StoreError(f"{path}: {'is a link' if link else error.strerror}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise StoreError(f"{path}: is no regular file of its own (a link, a pipe or a device)")
    return descriptor


def lock_file(path: Path) -> int:
    """Hold the lock of a store until the descriptor is closed, by the process's end at the latest.

    Raises
    ------
    StoreLockedError
    """
    descriptor = open_plain(path, os.O_RDWR | os.O_CREAT)
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreLockedError(
            f"{path.parent}: another memory writes to this store; close it, or open this one read_only=True"
        ) from None
    return descriptor


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut, where the system can."""
    if os.name != "nt":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def allocate(descriptor: int, n_bytes: int) -> None:
    """Make a file larger with its blocks reserved: a full disk is an error here, not a crash when the map is written to."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, n_bytes)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
    if os.fstat(descriptor).st_size < n_bytes:
        os.ftruncate(descriptor, n_bytes)


# ---------------------------------------------------------------- the schema


def digest_of(schema: Mapping[str, Any]) -> str:
    """SHA-256 of a schema without its checksum."""
    body = {name: value for name, value in schema.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, allow_nan=False).encode()).hexdigest()


def checked_schema(schema: dict[str, Any], error: type[Exception]) -> dict[str, Any]:
    """The schema, if its columns and sizes can be."""
    columns = schema["columns"]
    if not isinstance(columns, dict) or not 1 <= len(columns) <= 64:
        raise error("1 to 64 columns were expected")
    for name, column in columns.items():
        if not NAME.fullmatch(name):
            raise error(f"{name!r} is no name of a column: small letters, digits and _ were expected")
        if not isinstance(column, dict) or set(column) != {"dtype", "shape"} or column["dtype"] not in ALLOWED_DTYPES:
            raise error(f"column {name} is not described by an allowed dtype and a shape")
        shape = column["shape"]
        if not isinstance(shape, list) or len(shape) > 8 or not all(type(n) is int and 1 <= n <= LARGEST_ROW for n in shape):
            raise error(f"column {name} has rows of shape {shape!r}")
        size = np.dtype(column["dtype"]).itemsize
        for n in shape:
            size *= n
        if size > LARGEST_ROW:
            raise error(f"column {name} has rows of {size} bytes, at most {LARGEST_ROW} are allowed")
    for name, low, high in (("max_rows", 1, 1 << 48), ("n_state", 0, 1 << 24)):
        if type(schema[name]) is not int or not low <= schema[name] <= high:
            raise error(f"{name} is {schema[name]!r}, an integer from {low} to {high} was expected")
    if not isinstance(schema["kind"], str) or not isinstance(schema["meta"], dict):
        raise error("kind or meta are missing")
    return schema


def read_schema(path: Path) -> dict[str, Any]:
    """The checked schema of a store; errors name the file."""
    descriptor = open_plain(path, os.O_RDONLY)
    try:
        with open(descriptor, "rb") as file:
            text = file.read(SCHEMA_LIMIT + 1)
        if len(text) > SCHEMA_LIMIT:
            raise FormatError(f"is larger than {SCHEMA_LIMIT} bytes")
        schema = json.loads(text, object_pairs_hook=unique_keys, parse_constant=refuse_constant)
        if not isinstance(schema, dict) or schema.get("format") != FORMAT:
            raise FormatError("is not the description of a neuromem store")
        if schema.get("version") != VERSION:
            raise FormatError(f"version {schema.get('version')!r}, this library reads version {VERSION}")
        if set(schema) != {"format", "version", "kind", "max_rows", "n_state", "columns", "meta", "sha256"}:
            raise FormatError("has missing or unknown parts")
        if schema["sha256"] != digest_of(schema):
            raise FormatError("does not have the checksum that it says")
        return checked_schema(schema, FormatError)
    except (FormatError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: {error}") from None
