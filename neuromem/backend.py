"""Which array family is this, and which kernels serve it."""

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from neuromem.errors import BackendError


@dataclass(frozen=True, slots=True)
class Backend:
    """An array family: ``name`` is "numpy" or "cupy", ``device`` the GPU's number or None."""

    name: str
    device: int | None = None

    @property
    def xp(self) -> ModuleType:
        """The array module itself."""
        return importlib.import_module(self.name)

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


NUMPY = Backend("numpy")


def backend_of(*arrays: Any) -> Backend:
    """The family that all arguments share; everything that is not a CuPy array counts as NumPy.

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
    found = [
        Backend("cupy", int(array.device.id)) if type(array).__module__.split(".")[0] == "cupy" else NUMPY for array in arrays
    ]
    if len(set(found)) > 1:
        places = ", ".join(f"argument {i} on {'the CPU' if b.device is None else f'GPU {b.device}'}" for i, b in enumerate(found))
        raise BackendError(f"arguments live on different devices: {places}; move them with .to() or cupy.asnumpy()")
    return found[0] if found else NUMPY
