"""Which array family is this, which kernels serve it, and how an array gets from one device to another."""

import importlib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from neuromem.errors import BackendError


@dataclass(frozen=True, slots=True)
class Backend:
    """An array family: ``name`` is "numpy" or "cupy", ``device`` the GPU's number or None."""

    name: str
    device: int | None = None

    @property
    def xp(self) -> ModuleType:
        """The array module itself.

        Raises
        ------
        BackendError
            If the arrays live on another GPU than the one that CuPy is using: what it makes would not live with them.
        """
        module = importlib.import_module(self.name)
        if self.device is not None and (current := int(module.cuda.runtime.getDevice())) != self.device:
            raise BackendError(
                f"the arrays live on GPU {self.device}, but CuPy is using GPU {current}; "
                f"work inside 'with cupy.cuda.Device({self.device}):'"
            )
        return module

    @property
    def place(self) -> str:
        """Where such arrays live, for messages."""
        return "the CPU" if self.device is None else f"GPU {self.device}"

    def kernels(self, system: str) -> ModuleType:
        """Kernels of a system: ``neuromem.<system>.kernels`` or ``neuromem.gpu.<system>``.

        Raises
        ------
        BackendError
            Where the system has no GPU kernels.
        """
        if self.name == "numpy":
            return importlib.import_module(f"neuromem.{system}.kernels")
        target = f"neuromem.gpu.{system}"
        try:
            return importlib.import_module(target)
        except ModuleNotFoundError as error:
            if error.name != target:
                raise
            raise BackendError(f"{system} has no GPU kernels yet; move the arrays to the CPU with cupy.asnumpy(array)") from None

    def placed(self, array: Any) -> Any:
        """A C-contiguous copy of an array on this device."""
        if self.name == "numpy":
            return np.array(to_host(array), order="C")
        if is_device_array(array) and int(array.device.id) != self.device:
            array = to_host(array)
        cupy = importlib.import_module("cupy")
        with cupy.cuda.Device(self.device):
            return cupy.array(array, order="C")


NUMPY = Backend("numpy")


def is_device_array(value: Any) -> bool:
    """Whether a value is a CuPy array, told without importing CuPy."""
    return type(value).__module__.partition(".")[0] == "cupy"


def as_array(value: Any) -> Any:
    """A CuPy array as it is, everything else as a NumPy array."""
    return value if is_device_array(value) else np.asarray(value)


def to_host(array: Any) -> np.ndarray:
    """The array in the host's memory: copied from a GPU, otherwise as it is."""
    if is_device_array(array):
        host: np.ndarray = sys.modules["cupy"].asnumpy(array)
        return host
    return np.asarray(array)


def array_module(array: Any) -> Any:
    """NumPy, or CuPy for an array that is CuPy's."""
    return sys.modules["cupy"] if is_device_array(array) else np


def backend_of(*arrays: Any, **named: Any) -> Backend:
    """The family that all arguments share; everything that is not a CuPy array counts as NumPy.

    Parameters
    ----------
    *arrays, **named
        Names are used in the message.

    Raises
    ------
    BackendError
        If NumPy and CuPy arrays, or CuPy arrays of two devices, are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> backend_of(np.zeros(3), [1, 2]).name
    'numpy'
    """
    found = [Backend("cupy", int(a.device.id)) if is_device_array(a) else NUMPY for a in (*arrays, *named.values())]
    if any(backend != found[0] for backend in found):
        names = [f"argument {i}" for i in range(len(arrays))] + list(named)
        places = ", ".join(f"{name} on {backend.place}" for name, backend in zip(names, found, strict=True))
        raise BackendError(
            f"arguments live on different devices: {places}; move a memory with .to('cpu') or .to('gpu'), an array with "
            "cupy.asarray() or cupy.asnumpy()"
        )
    return found[0] if found else NUMPY


def backend_named(device: str) -> Backend:
    """The backend of a device: "cpu", "gpu" (the one that CuPy is using) or "gpu:<number>".

    Raises
    ------
    BackendError
        For any other name, and where there is no such GPU or it cannot be used.
    """
    if device == "cpu":
        return NUMPY
    kind, colon, number = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind != "gpu" or (colon and not number.isdecimal()):
        raise BackendError(f"device is {device!r}; 'cpu', 'gpu' or 'gpu:<number>' was expected")
    gpu = importlib.import_module("neuromem.gpu")
    gpu.require()
    cupy = importlib.import_module("cupy")
    chosen = int(number) if colon else int(cupy.cuda.runtime.getDevice())
    gpu.device_info(chosen)  # raises where there is none of that number
    return Backend("cupy", chosen)


def refuse_device(array: Any, name: str, owner: str) -> None:
    """Raise for a CuPy array where only the host can do the work.

    Raises
    ------
    BackendError
    """
    if is_device_array(array):
        raise BackendError(
            f"{owner} works on the CPU only, but {name} lives on {backend_of(array).place}; pass cupy.asnumpy({name})"
        )
