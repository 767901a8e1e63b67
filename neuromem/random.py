"""Seeds, keys and the counter-based generator Philox4x32-10, in NumPy.

Set-up arrays come from ``numpy.random.Generator``.  Every draw inside a kernel is a pure function of a key and a counter,
so results do not depend on threads, chunk sizes or devices.  The forms here and in ``neuromem.jit`` give the same bits.
"""

import math
import numbers
from typing import Any, TypeAlias

import numpy as np

from neuromem.backend import array_module
from neuromem.errors import InputError

RandomState: TypeAlias = "None | int | np.random.SeedSequence | np.random.Generator"

# One number per purpose; never reuse or renumber one, saved memories depend on them.
STREAMS: dict[str, int] = {
    "sparsey.cell_order": 1,
    "sparsey.winner": 2,
    "sparsey.controls": 3,
    "sparsey.network": 4,
    "hopfield.patterns": 10,
    "hopfield.examples": 11,
    "hopfield.spins": 12,
    "hopfield.classes": 13,
    "hopfield.starts": 14,
    "hopfield.hard_locations": 15,
    "hcam.weights": 20,
    "layers.weights": 25,
    "environments.ballet": 30,
    "retention.items": 40,
    "retention.probes": 41,
    "retention.memories": 42,
}

ROUNDS = 10
MULTIPLIER0, MULTIPLIER1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL0, WEYL1 = 0x9E3779B9, 0xBB67AE85
LOW = np.uint64(0xFFFFFFFF)
SHIFT32 = np.uint64(32)
LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
SQRT_HALF = 0.7071067811865476
EXP_LARGEST, EXP_SMALLEST = 709.0, -708.0
EXP_COEFFICIENTS = tuple(1.0 / math.factorial(i) for i in range(13, -1, -1))
LOG_COEFFICIENTS = tuple(1.0 / (2 * i + 1) for i in range(10, -1, -1))


def seed_sequence_of(random_state: RandomState) -> np.random.SeedSequence:
    """Resolve a ``random_state`` parameter once.

    Parameters
    ----------
    random_state : None, int >= 0, SeedSequence or Generator

    Returns
    -------
    numpy.random.SeedSequence
        From fresh entropy for None; drawn from the generator, which advances, for a Generator.

    Raises
    ------
    InputError
        For anything else.

    Examples
    --------
    >>> seed_sequence_of(7).entropy
    7
    """
    if isinstance(random_state, np.random.SeedSequence):
        return random_state
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence([int(word) for word in random_state.integers(0, 2**32, 4)])
    if random_state is None:
        return np.random.SeedSequence()
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool) and random_state >= 0:
        return np.random.SeedSequence(int(random_state))
    raise InputError(f"random_state is {random_state!r}; None, an integer from 0 up, a SeedSequence or a Generator was expected")


def stream_of(seeds: np.random.SeedSequence, stream: str) -> np.random.SeedSequence:
    """The seeds of one purpose, named in ``STREAMS``."""
    return np.random.SeedSequence(seeds.entropy, spawn_key=(*seeds.spawn_key, STREAMS[stream]))


def generator_for(seeds: np.random.SeedSequence, stream: str) -> np.random.Generator:
    """A Generator for set-up arrays of one purpose."""
    return np.random.default_rng(stream_of(seeds, stream))


def key_for(seeds: np.random.SeedSequence, stream: str) -> np.ndarray:
    """The Philox key of one purpose, uint32 (2,)."""
    return stream_of(seeds, stream).generate_state(2, np.uint32)


def philox4x32(counters: Any, key: Any) -> np.ndarray:
    """Ten rounds of Philox4x32 (Salmon et al., SC 2011).

    Parameters
    ----------
    counters : uint32 (n, 4)
    key : uint32 (2,)

    Returns
    -------
    uint32 (n, 4)

    Examples
    --------
    >>> [f"{word:08x}" for word in philox4x32([[0, 0, 0, 0]], [0, 0])[0]]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    x0, x1, x2, x3 = (column.astype(np.uint64) for column in np.asarray(counters, np.uint32).T)
    key0, key1 = (int(word) for word in np.asarray(key, np.uint32))
    for _ in range(ROUNDS):
        product0, product1 = MULTIPLIER0 * x0, MULTIPLIER1 * x2
        x0, x1 = (product1 >> SHIFT32) ^ x1 ^ np.uint64(key0), product1 & LOW
        x2, x3 = (product0 >> SHIFT32) ^ x3 ^ np.uint64(key1), product0 & LOW
        key0, key1 = (key0 + WEYL0) & 0xFFFFFFFF, (key1 + WEYL1) & 0xFFFFFFFF
    return np.stack([x0, x1, x2, x3], axis=-1).astype(np.uint32)


def uniform53(a: Any, b: Any) -> np.ndarray:
    """Floats in [0, 1) with 53 random bits, from two arrays of uint32."""
    high = (np.asarray(a, np.uint32) >> 5).astype(np.float64)
    low = (np.asarray(b, np.uint32) >> 6).astype(np.float64)
    return (high * 67108864.0 + low) * 2.0**-53


def exp64(x: Any) -> np.ndarray:
    """e ** x from a fixed polynomial in plain multiply and add; inf above 709, 0 below -708."""
    xp = array_module(x)
    x = xp.asarray(x, np.float64)
    inside = xp.clip(x, EXP_SMALLEST, EXP_LARGEST)
    k = xp.floor(inside * LOG2E + 0.5)
    r = (inside - k * LN2_HIGH) - k * LN2_LOW
    total = xp.zeros_like(r)
    for c in EXP_COEFFICIENTS:
        total = total * r + c
    result = xp.ldexp(total, k.astype(np.int32))
    found: np.ndarray = xp.where(x > EXP_LARGEST, np.inf, xp.where(x < EXP_SMALLEST, 0.0, result))
    return found


def log64(x: Any) -> np.ndarray:
    """Natural logarithm of positive numbers from a fixed polynomial in plain multiply, add and divide."""
    xp = array_module(x)
    mantissa, exponent = xp.frexp(xp.asarray(x, np.float64))
    small = mantissa < SQRT_HALF
    mantissa = xp.where(small, mantissa * 2.0, mantissa)
    exponent = (exponent - small).astype(np.float64)
    f = (mantissa - 1.0) / (mantissa + 1.0)
    s = f * f
    total = xp.zeros_like(s)
    for c in LOG_COEFFICIENTS:
        total = total * s + c
    found: np.ndarray = exponent * LN2_HIGH + (2.0 * f * total + exponent * LN2_LOW)
    return found


def power64(x: Any, y: float) -> np.ndarray:
    """x ** y for x >= 0 and y > 0; exactly 0 and 1 where x is.

    Examples
    --------
    >>> power64([0.0, 0.5, 1.0], 2.0).tolist()
    [0.0, 0.25, 1.0]
    """
    xp = array_module(x)
    x = xp.asarray(x, np.float64)
    plain = (x != 0.0) & (x != 1.0)
    found: np.ndarray = xp.where(plain, exp64(y * log64(xp.where(plain, x, 1.0))), x)
    return found
