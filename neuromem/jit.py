"""The only place that touches Numba's decorators, and the device functions that kernels share.

Every function here is plain arithmetic, so that NumPy (``neuromem.random``), Numba and CUDA C++ give the same bits.
"""

import importlib
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

prange = numba.prange

CACHE_WANTED = os.environ.get("NEUROMEM_JIT_CACHE", "1") != "0"
no_cache_warned = False
compiled: list[Any] = []  # every kernel that was decorated in this process; the cache is found through them


def jit(function: Callable | None = None, *, parallel: bool = False, **options: Any) -> Any:
    """Compile a kernel: ``numba.njit`` with the library's settings.

    Machine code is cached on disk.  Where no folder can be written the kernel is compiled anew in every process, and
    one warning says so.  ``NEUROMEM_JIT_CACHE=0`` turns the cache off.

    Parameters
    ----------
    function : callable, optional
    parallel : bool, default False
    **options
        Passed on to ``numba.njit``.

    Examples
    --------
    >>> from neuromem.jit import jit
    >>> @jit
    ... def double(x):
    ...     return 2 * x
    >>> double(21)
    42
    """
    if function is None:
        return lambda wrapped: jit(wrapped, parallel=parallel, **options)
    settings = {"nogil": True, "error_model": "numpy", "parallel": parallel, **options}
    try:
        kernel = numba.njit(cache=CACHE_WANTED, **settings)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        warn_no_cache()
        kernel = numba.njit(cache=False, **settings)(function)
    compiled.append(kernel)
    return kernel


def warn_no_cache() -> None:
    """Say once that kernels are compiled anew in every process."""
    global no_cache_warned
    if not no_cache_warned:
        no_cache_warned = True
        logging.getLogger("neuromem").warning(
            "no folder for compiled kernels can be written, so they are compiled anew in every process; "
            "set NUMBA_CACHE_DIR to a writable folder"
        )


def cache_directories() -> list[Path]:
    """Folders that hold compiled kernels of this library, and of nothing else, wherever Numba was told to keep them."""
    package = Path(__file__).parent
    for kernels in sorted([*package.glob("*/kernels.py"), *package.glob("*/kernels/__init__.py")]):
        system = kernels.relative_to(package).parts[0]
        importlib.import_module(f"neuromem.{system}.kernels")
    own = [kernel for kernel in compiled if kernel.__module__.partition(".")[0] == "neuromem" and hasattr(kernel, "stats")]
    return sorted({Path(kernel.stats.cache_path) for kernel in own if kernel.stats.cache_path})


def clear_cache() -> int:
    """Delete compiled kernels from the disk; return how many files went."""
    removed = 0
    for folder in cache_directories():
        for path in folder.glob("*.nb[ic]"):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


# ---------------------------------------------------------------- bits

ONE = np.uint64(1)
SHIFT1, SHIFT2, SHIFT4, SHIFT56 = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
PAIRS = np.uint64(0x5555555555555555)
FOURS = np.uint64(0x3333333333333333)
EIGHTS = np.uint64(0x0F0F0F0F0F0F0F0F)
BYTES = np.uint64(0x0101010101010101)


@jit
def popcount64(x):
    """Number of set bits of a uint64 (the form that LLVM turns into one instruction)."""
    x = x - ((x >> SHIFT1) & PAIRS)
    x = (x & FOURS) + ((x >> SHIFT2) & FOURS)
    x = (x + (x >> SHIFT4)) & EIGHTS
    return (x * BYTES) >> SHIFT56


@jit
def trailing_zeros64(x):
    """Position of the lowest set bit of a uint64, which must not be 0."""
    return popcount64(~x & (x - ONE))


# ---------------------------------------------------------------- Philox4x32-10 (Salmon et al., SC 2011)

ROUNDS = 10
MULTIPLIER0, MULTIPLIER1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL0, WEYL1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
SHIFT32 = np.uint64(32)
TWO26, TWO_53 = 67108864.0, 2.0**-53


@jit(forceinline=True)  # a loop of draws becomes vector code only where the call is gone, several times as fast
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Ten rounds of Philox4x32: four uint32 from a counter of four and a key of two."""
    x0, x1, x2, x3 = np.uint32(c0), np.uint32(c1), np.uint32(c2), np.uint32(c3)
    key0, key1 = np.uint32(k0), np.uint32(k1)
    for _ in range(ROUNDS):
        product0 = MULTIPLIER0 * np.uint64(x0)
        product1 = MULTIPLIER1 * np.uint64(x2)
        x0 = np.uint32(np.uint32(product1 >> SHIFT32) ^ x1 ^ key0)
        x1 = np.uint32(product1)  # the lower half
        x2 = np.uint32(np.uint32(product0 >> SHIFT32) ^ x3 ^ key1)
        x3 = np.uint32(product0)
        key0 = np.uint32(np.uint64(key0) + WEYL0)
        key1 = np.uint32(np.uint64(key1) + WEYL1)
    return x0, x1, x2, x3


@jit
def uniform53(a, b):
    """A float64 in [0, 1) from two uint32 lanes."""
    return (float(np.int64(a) >> 5) * TWO26 + float(np.int64(b) >> 6)) * TWO_53


# ---------------------------------------------------------------- exp and log without libm

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
SQRT_HALF = 0.7071067811865476
EXP_LARGEST, EXP_SMALLEST = 709.0, -708.0
EXP_COEFFICIENTS = tuple(1.0 / math.factorial(i) for i in range(13, -1, -1))
LOG_COEFFICIENTS = tuple(1.0 / (2 * i + 1) for i in range(10, -1, -1))


@jit
def exp64(x):
    """e ** x from a fixed polynomial; inf above 709, 0 below -708."""
    if x > EXP_LARGEST:
        return np.inf
    if x < EXP_SMALLEST:
        return 0.0
    k = math.floor(x * LOG2E + 0.5)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    total = 0.0
    for c in EXP_COEFFICIENTS:
        total = total * r + c
    return math.ldexp(total, int(k))


@jit
def log64(x):
    """Natural logarithm of a positive number from a fixed polynomial."""
    mantissa, exponent = math.frexp(x)
    if mantissa < SQRT_HALF:
        mantissa = mantissa * 2.0
        exponent = exponent - 1
    f = (mantissa - 1.0) / (mantissa + 1.0)
    s = f * f
    total = 0.0
    for c in LOG_COEFFICIENTS:
        total = total * s + c
    return exponent * LN2_HIGH + (2.0 * f * total + exponent * LN2_LOW)


@jit
def power64(x, y):
    """x ** y for x >= 0 and y > 0; exactly 0 and 1 where x is."""
    if x == 0.0:
        return 0.0
    if x == 1.0:
        return 1.0
    return exp64(y * log64(x))
