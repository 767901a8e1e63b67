"""The state of a long run as one file, whatever the memory: plain values and arrays, no pickles."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neuromem import io
from neuromem.base import Estimator
from neuromem.errors import FormatError, InputTypeError

ARRAY, TUPLE, MAPPING = "array", "tuple", "mapping"
KINDS = "biuf"


def plan_of(value: Any, arrays: list[np.ndarray], where: str) -> Any:
    """A value as JSON, its arrays put aside.

    Raises
    ------
    InputTypeError
        For what is neither a plain value, an array of numbers, nor a list, tuple or mapping of these.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in KINDS:
        arrays.append(np.ascontiguousarray(value, value.dtype.newbyteorder("<")))
        return {ARRAY: [value.dtype.newbyteorder("<").str, list(value.shape)]}
    if isinstance(value, (list, tuple)):
        inner = [plan_of(v, arrays, f"{where}[{i}]") for i, v in enumerate(value)]
        return {TUPLE: inner} if isinstance(value, tuple) else inner
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {MAPPING: [[name, plan_of(v, arrays, f"{where}.{name}")] for name, v in value.items()]}
    raise InputTypeError(
        f"{where} is a {type(value).__name__}, which a checkpoint cannot hold; get_state() is to give plain values and arrays"
    )


class RunCheckpoint(Estimator):
    """A run's state in two parts that :mod:`neuromem.io` can write: text, and the bytes of arrays.

    Examples
    --------
    >>> kept = RunCheckpoint().hold({"step": 3, "weights": np.ones(2)})
    >>> kept.content()["weights"]
    array([1., 1.])
    """

    _STATE = {"plan_": (np.uint8, 1), "data_": (np.uint8, 1)}
    plan_: np.ndarray
    data_: np.ndarray

    def __init__(self) -> None:
        """Hold nothing yet."""

    def hold(self, content: Mapping[str, Any]) -> "RunCheckpoint":
        """Take plain values and arrays, in lists, tuples and mappings; returns itself."""
        arrays: list[np.ndarray] = []
        plan = json.dumps(plan_of(content, arrays, "state")).encode()
        self.plan_ = np.frombuffer(plan, np.uint8)
        self.data_ = np.concatenate([np.frombuffer(a.tobytes(), np.uint8) for a in arrays] or [np.empty(0, np.uint8)])
        return self

    def content(self) -> Any:
        """What is held.

        Raises
        ------
        FormatError
            If text and bytes do not fit together.
        """
        place = 0

        def rebuilt(value: Any) -> Any:
            nonlocal place
            if isinstance(value, list):
                return [rebuilt(v) for v in value]
            if not isinstance(value, dict):
                return value
            ((kind, inner),) = value.items()
            if kind == MAPPING:
                return {name: rebuilt(v) for name, v in inner}
            if kind == TUPLE:
                return tuple(rebuilt(v) for v in inner)
            dtype, shape = np.dtype(inner[0]), inner[1]
            if kind != ARRAY or dtype.kind not in KINDS:
                raise FormatError(f"the checkpoint has a value of kind {kind!r}")
            n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            array = np.frombuffer(self.data_[place : place + n_bytes].tobytes(), dtype).reshape(shape).copy()
            place += n_bytes
            return array

        try:
            return rebuilt(json.loads(self.plan_.tobytes()))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise FormatError(f"the checkpoint does not fit together: {error}") from None


def keep(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a run's state; an older file stays whole until the new one is complete."""
    io.save(RunCheckpoint().hold(content), path)


def kept(path: str | Path) -> Any:
    """Read a run's state; None where there is no file.

    Raises
    ------
    FormatError
        If the file is not one that :func:`keep` wrote.
    """
    if not Path(path).exists():
        return None
    found = io.load(path)
    if not isinstance(found, RunCheckpoint):
        raise FormatError(f"{Path(path).name} is a saved {type(found).__name__}, a checkpoint of a run was expected")
    return found.content()
