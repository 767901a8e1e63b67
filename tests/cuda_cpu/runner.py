"""Kernels of ``gpu/kernels`` on the CPU: a launcher that builds them with g++ behind ``cuda_cpu.h`` and takes NumPy arrays."""

import ctypes
import hashlib
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from neuromem.gpu import launch

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ORDERS = ("forward", "reversed", "shuffled")
# the counterpart of launch.OPTIONS: the same language, and no multiplication fused with an addition
FLAGS = ("-std=c++17", "-ffp-contract=off", "-fno-strict-aliasing", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-w")
PLAIN = ("-O2",)
SANITIZE = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
MOST_SHARED, MOST_THREADS = 227 * 1024, 1024
MOST_BLOCK, MOST_GRID = (1024, 1024, 64), (2**31 - 1, 65535, 65535)

DYNAMIC_SHARED = re.compile(r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w:<> ]+?)\s+(\w+)\s*\[\s*\]\s*;")


def missing() -> str:
    """Why kernels cannot be run on this CPU; empty where they can."""
    if not sys.platform.startswith("linux"):
        return "kernels run on the CPU under Linux only"
    return "" if shutil.which("g++") else "g++ is not installed"


class LaunchError(Exception):
    """A launch that a device would refuse, or a fault that the launcher saw inside the kernel."""


class Argument(ctypes.Structure):
    """As in ``cuda_cpu.h``."""

    _fields_ = [("value", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("item_bytes", ctypes.c_int), ("is_array", ctypes.c_int)]


def cache_folder() -> Path:
    """Where built kernels are kept, outside the checkout."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "neuromem-tests" / "cuda_cpu"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / "neuromem-tests-cuda_cpu"
        folder.mkdir(exist_ok=True)
    return folder


def translation(source: str, folder: Path) -> str:
    """A C++ file with the kernels and, for each, a function that ctypes can call."""
    text = DYNAMIC_SHARED.sub(r"\1* \2 = reinterpret_cast<\1*>(nm::shared);", launch.source_text(source, folder))
    calls = [
        f'extern "C" NM_EXPORT const char* launch_{name}(const unsigned* sizes, unsigned long shared, const nm::Argument* given,'
        f" int n_given, int order) {{ return nm::launch(&{name}, sizes, shared, given, n_given, order); }}"
        for name in launch.kernels_in(source, folder)
    ]
    return "\n".join(['#include "cuda_cpu.h"', text, *calls, ""])


@cache
def build(source: str, flags: tuple[str, ...], folder: Path) -> Path:
    """The shared library of a source, built unless one of the same text and flags is there."""
    text = translation(source, folder)
    headers = "".join(path.read_text() for path in sorted(HERE.glob("*.h")))
    digest = hashlib.sha256("\0".join([text, headers, *FLAGS, *flags, platform.machine()]).encode()).hexdigest()[:16]
    library = cache_folder() / f"{source}-{digest}.so"
    if library.exists():
        return library
    with tempfile.TemporaryDirectory(dir=library.parent) as work:
        cpp, fresh, compiled = (Path(work) / name for name in ("kernels.cpp", "kernels.so", "kernels.o"))
        cpp.write_text(text)
        compile_flags = [*FLAGS, *flags, f"-I{HERE}", "-c", str(cpp), "-o", str(compiled)]
        # the race watcher takes the place of the sanitizer's own library, so that one is not linked
        link_flags = [flag for flag in flags if flag != "-fsanitize=thread"]
        for command in (["g++", *compile_flags], ["g++", "-shared", *link_flags, str(compiled), "-o", str(fresh)]):
            environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
            if done.returncode:
                raise LaunchError(f"{source}.cu was not built:\n{done.stderr}")
        os.replace(fresh, library)
    return library


def three(sizes: tuple[int, ...], most: tuple[int, ...], what: str) -> tuple[int, ...]:
    """Three sizes, each one that a device takes."""
    filled = (*(int(size) for size in sizes), 1, 1)[:3]
    if not 1 <= len(sizes) <= 3 or any(not 1 <= size <= limit for size, limit in zip(filled, most, strict=True)):
        raise LaunchError(f"invalid launch: {what} is {sizes}, from 1 to {most} was expected")
    return filled


class CpuLauncher:
    """Runs kernels on NumPy arrays.

    Parameters
    ----------
    order : {"forward", "reversed", "shuffled"}
        In which order blocks, and threads between two barriers, run.
    sanitize : bool, default False
        Build with the address and undefined-behaviour sanitizers; only works inside `sanitized`.
    watch : bool, default False
        Report two threads that touch one place, one of them writing, with no barrier between.
    shared_limit : int, default 227 KB
        Most dynamic shared memory of a block, for kernels that have another path on smaller devices.
    folder : Path, optional
        Where the sources lie; default: ``gpu/kernels``.
    """

    xp = np

    def __init__(self, order="forward", *, sanitize=False, watch=False, shared_limit=MOST_SHARED, folder=launch.KERNELS):
        self.order, self.sanitize, self.folder, self.shared_limit = ORDERS.index(order), sanitize, folder, shared_limit
        self.flags = SANITIZE if sanitize else (*PLAIN, "-DNM_WATCH", "-fsanitize=thread") if watch else PLAIN
        self.launched: set[tuple[str, str]] = set()

    def build(self, source: str) -> Path:
        """The library of a source."""
        return build(source, self.flags, self.folder)

    def run(self, source, kernel, grid, block, arguments, shared=0):
        """As `neuromem.gpu.launch.run`; raises LaunchError for what a device would refuse or should have refused."""
        if self.sanitize and "libasan" not in os.environ.get("LD_PRELOAD", ""):
            raise LaunchError("a sanitized launch needs a process started by sanitized()")
        sizes = (ctypes.c_uint * 6)(*three(grid, MOST_GRID, "grid"), *three(block, MOST_BLOCK, "block"))
        if math.prod(block) > MOST_THREADS:
            raise LaunchError(f"invalid launch: block is {block}, at most {MOST_THREADS} threads were expected")
        if not 0 <= shared <= self.shared_limit:
            raise LaunchError(f"invalid launch: shared is {shared} bytes, at most {self.shared_limit} were expected")
        call = getattr(ctypes.CDLL(str(self.build(source))), f"launch_{kernel}")
        call.restype = ctypes.c_char_p
        given = self.own(arguments) if self.sanitize else arguments
        values, boxed = [], []
        for argument in given:
            is_array = isinstance(argument, np.ndarray)
            # a pointer is passed by the place that holds it, a scalar by the place that holds its bytes
            boxed.append(np.array(argument.ctypes.data if is_array else argument, np.uintp if is_array else None))
            values.append(Argument(boxed[-1].ctypes.data, argument.nbytes, argument.dtype.itemsize, is_array))
        self.launched.add((source, kernel))
        fault = call(sizes, ctypes.c_ulong(shared), (Argument * len(values))(*values), len(values), self.order)
        if fault:
            raise LaunchError(f"{kernel}: {fault.decode()}")
        for argument, mine in zip(arguments, given, strict=True):
            if mine is not argument and mine.tobytes() != argument.tobytes():
                argument[...] = mine

    @staticmethod
    def own(arguments):
        """Each array in an allocation of its own, so that what lies beside it is guarded; not where two overlap."""
        arrays = [argument for argument in arguments if isinstance(argument, np.ndarray)]
        if any(np.may_share_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i]):
            return arguments
        return tuple(argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments)


def sanitized(code: str) -> subprocess.CompletedProcess:
    """Run Python code in a process that has the address sanitizer's library; the tests' own modules can be imported."""
    library = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip()
    paths = os.pathsep.join([str(ROOT), str(HERE.parent)])
    options = {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": paths,
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | options, capture_output=True, text=True, timeout=300
    )
