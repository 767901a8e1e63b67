"""How kernels written in CUDA C++ are reached: one call, whoever runs them.

A twin in ``neuromem.gpu`` never talks to CuPy about kernels.  It calls `run`, which hands the launch to the launcher of
the moment: CuPy's on a GPU, or one that a test puts in its place with `use`.  So a test sees the very grid, block and
shared-memory arithmetic that a device will see.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from neuromem.errors import BackendError

KERNELS = Path(__file__).parent / "kernels"
# The same for every executor.  Without fused multiply-add, device code gives the bits of NumPy and Numba.
OPTIONS = ("--std=c++17", "--fmad=false")
SHARED_WITHOUT_ASKING = 48 * 1024  # a kernel that wants more dynamic shared memory must say so before its launch

INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)
KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(")


class Launcher(Protocol):
    """Whoever can run a kernel: ``xp`` is the array module whose arrays it takes."""

    @property
    def xp(self) -> Any:
        """The array module."""

    def run(
        self, source: str, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple, shared: int = 0
    ) -> None:
        """Run a kernel of ``gpu/kernels/<source>.cu``; see `neuromem.gpu.launch.run`."""


def source_text(source: str, folder: Path = KERNELS) -> str:
    """The text of ``<source>.cu`` with our headers put in its place, so that no compiler needs an include path.

    Parameters
    ----------
    source : str
        Stem of a file in ``folder``.
    folder : Path, optional

    Returns
    -------
    str
        Line directives keep the places in a compiler's messages those of the files.
    """
    text = (folder / f"{source}.cu").read_text()

    def header(match: re.Match) -> str:
        after = text.count("\n", 0, match.end()) + 2
        return f'#line 1 "{match[1]}"\n{(KERNELS / match[1]).read_text()}\n#line {after} "{source}.cu"'

    return f'#line 1 "{source}.cu"\n{INCLUDE.sub(header, text)}'


def kernels_in(source: str, folder: Path = KERNELS) -> list[str]:
    """Names of all kernels of a source, in the order of the file."""
    return KERNEL.findall((folder / f"{source}.cu").read_text())


class CupyLauncher:
    """Runs kernels on the GPU that CuPy is using; each source is compiled once per device."""

    def __init__(self) -> None:
        self.modules: dict[tuple[int, str, tuple[str, ...]], Any] = {}
        self.functions: dict[tuple[int, str, tuple[str, ...], str], Any] = {}
        self.allowed: dict[tuple[int, str, tuple[str, ...], str], int] = {}  # bytes of dynamic shared memory

    @property
    def xp(self) -> Any:
        """CuPy."""
        from neuromem.gpu import require

        require()
        import cupy

        return cupy

    def run(
        self, source: str, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple, shared: int = 0
    ) -> None:
        """Run a kernel on the current device; see `neuromem.gpu.launch.run`."""
        cupy = self.xp
        module = (int(cupy.cuda.runtime.getDevice()), source, OPTIONS)
        function = (*module, kernel)
        if function not in self.functions:
            if module not in self.modules:
                self.modules[module] = cupy.RawModule(code=source_text(source), options=OPTIONS)
            self.functions[function] = self.modules[module].get_function(kernel)
        if shared > self.allowed.get(function, SHARED_WITHOUT_ASKING):
            self.functions[function].max_dynamic_shared_size_bytes = shared
            self.allowed[function] = shared
        self.functions[function](grid, block, arguments, shared_mem=shared)


ON_GPU = CupyLauncher()
CURRENT: ContextVar[Launcher] = ContextVar("neuromem_launcher", default=ON_GPU)


def current() -> Launcher:
    """The launcher of the moment: CuPy's unless `use` says otherwise."""
    return CURRENT.get()


@contextmanager
def use(launcher: Launcher) -> Iterator[Launcher]:
    """Let another launcher run the kernels inside a ``with`` block, in this thread only."""
    token = CURRENT.set(launcher)
    try:
        yield launcher
    finally:
        CURRENT.reset(token)


def run(source: str, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple, shared: int = 0) -> None:
    """Run a kernel written in CUDA C++.

    Parameters
    ----------
    source : str
        Stem of a file in ``gpu/kernels``, such as "sparsey".
    kernel : str
        Name of a kernel in it.
    grid, block : tuple of 1 to 3 int
        Blocks of the grid, threads of a block.
    arguments : tuple
        C-contiguous arrays of the current launcher's family, and NumPy scalars of the width that the kernel declares.
    shared : int, default 0
        Bytes of dynamic shared memory per block.

    Raises
    ------
    BackendError
        For an argument of another kind, and where the launcher cannot run anything.
    """
    launcher = current()
    array = launcher.xp.ndarray
    for number, argument in enumerate(arguments):
        if isinstance(argument, array):
            if not argument.flags.c_contiguous:
                raise BackendError(f"{kernel}: argument {number} is not C-contiguous")
        elif not isinstance(argument, np.generic):
            kind = f"{type(argument).__module__}.{type(argument).__name__}"
            raise BackendError(f"{kernel}: argument {number} is {kind}; {array.__module__} array or NumPy scalar was expected")
    launcher.run(source, kernel, grid, block, arguments, shared)
