"""Exact chances: does a spin flip, how many of n spins flip.  Plain arithmetic only, so every executor draws the same.

Throughout, a spin with local field h has ``y = 2 beta s h``: Glauber flips it with 1 / (1 + exp(y)), Metropolis with
min(1, exp(-y)); at beta = inf it flips where s h < 0, and a tie keeps it.
"""

import math

import numpy as np

from neuromem.jit import exp64, jit, log64, philox4x32, uniform53

Y_LARGEST = 24.0  # exp(-24) is below 2**-32, the grain of a 32-bit draw
CELLS = 512
CELLS_PER_Y = CELLS / (2 * Y_LARGEST)
TWO32 = 4294967296.0
EDGES = np.clip((np.arange(-1, CELLS + 3) / CELLS_PER_Y) - Y_LARGEST, -Y_LARGEST, Y_LARGEST)
CHANCES = np.stack([1.0 / (1.0 + np.exp(EDGES)), np.minimum(1.0, np.exp(-EDGES))])
# Bounds of the threshold in each cell of y, one cell wider on each side, so that rounding of y cannot matter.
BOUNDS = np.stack([np.floor(CHANCES[:, 3:] * TWO32) - 1, np.floor(CHANCES[:, :-3] * TWO32) + 2], axis=2).astype(np.int64)
LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
EXP_LIMIT = 700.0
EXP_COEFFICIENTS = tuple(1.0 / math.factorial(i) for i in range(13, -1, -1))
POWERS_OF_TWO = np.ldexp(1.0, np.arange(-1022, 1024))
INVERSION_BELOW = 10.0
HALF_LOG_TAU = 0.9189385332046727
# log(n!) less Stirling's main term, n = 1 ... 15 (place 0 is not used)
STIRLING_ERRORS = np.array(
    [0.0] + [math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - HALF_LOG_TAU for n in range(1, 16)], np.float64
)


@jit
def flip_threshold(y, metropolis):
    """A spin flips where a 32-bit draw is below this number, int64 in 0 ... 2**32."""
    if y > Y_LARGEST:
        return np.int64(0)
    if metropolis:
        return np.int64(TWO32) if y <= 0.0 else np.int64(TWO32 * exp64(-y))
    if y < -Y_LARGEST:
        return np.int64(TWO32)
    return np.int64(TWO32 / (1.0 + exp64(y)))


@jit(forceinline=True)
def flips(draw, y, metropolis):
    """Whether a 32-bit draw is below the threshold; a table of bounds answers most of the time."""
    if y > Y_LARGEST:
        return False
    if y < -Y_LARGEST:
        return True
    cell = np.int64((y + Y_LARGEST) * CELLS_PER_Y)
    u = np.int64(draw)
    if u < BOUNDS[metropolis, cell, 0]:
        return True
    if u >= BOUNDS[metropolis, cell, 1]:
        return False
    return u < flip_threshold(y, metropolis)


@jit(forceinline=True)
def fast_exp(y):
    """e ** y for y in -700 ... 700: the bits of ``exp64``, in a form that loops turn into vector code."""
    k = math.floor(y * LOG2E + 0.5)
    r = (y - k * LN2_HIGH) - k * LN2_LOW
    total = 0.0
    for c in EXP_COEFFICIENTS:
        total = total * r + c
    return total * POWERS_OF_TWO[np.int64(k) + 1022]


@jit
def log_of_rest(p, q):
    """log(1 - p), q being 1 - p rounded: exact to the last bits however small p is."""
    return log64(q) - ((q - 1.0) + p) / q


@jit
def stirling_error(n):
    """log(n!) less Stirling's main term, for a whole n >= 1 (Loader 2000)."""
    if n < 16.0:
        return STIRLING_ERRORS[np.int64(n)]
    nn = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / nn) / nn) / nn) / nn) / n


@jit
def deviance(x, mean):
    """x log(x / mean) + mean - x without cancellation (Loader 2000)."""
    if abs(x - mean) < 0.1 * (x + mean):
        v = (x - mean) / (x + mean)
        total = (x - mean) * v
        term = 2.0 * x * v
        v = v * v
        j = 1.0
        while j < 1000.0:
            term *= v
            further = total + term / (2.0 * j + 1.0)
            if further == total:
                break
            total = further
            j += 1.0
        return total
    return x * log64(x / mean) + mean - x


@jit
def log_chance(k, n, p, q):
    """Log of the binomial probability of k in n, all float64: accurate for any n (Loader 2000)."""
    if k == 0.0:
        return n * log_of_rest(p, q)
    if k == n:
        return n * log64(p)
    rest = n - k
    errors = stirling_error(n) - stirling_error(k) - stirling_error(rest)
    return errors - deviance(k, n * p) - deviance(rest, n * q) + 0.5 * log64(n / (k * rest)) - HALF_LOG_TAU


@jit
def binomial(n, p, q, u, v, c0, c1, c2, k0, k1):
    """How many of n spins flip, each with chance p: exact.

    Inversion where n min(p, q) < 10, else Hormann's transformed rejection (BTRS, 1993) with Loader's probabilities.

    Parameters
    ----------
    n : int64
    p, q : float64
        The chance and the rest of it, both accurate when small.
    u, v : float64 in [0, 1)
        The first two uniforms: draw (c0, c1, c2, 0) of the key; each further attempt counts the last word up.
    c0, c1, c2, k0, k1 : uint32

    Returns
    -------
    int64
    """
    if n == 0 or p <= 0.0:
        return np.int64(0)
    if q <= 0.0:
        return n
    mirrored = p > 0.5
    if mirrored:
        p, q = q, p
    trials = float(n)
    mean = trials * p
    if mean < INVERSION_BELOW:
        odds = p / q
        chance = exp64(trials * log_of_rest(p, q))
        total = (trials + 1.0) * odds
        x = 0.0
        while u >= chance and x < trials:
            u -= chance
            x += 1.0
            chance *= total / x - odds
            if chance < 1e-30:
                break
        found = np.int64(x)
        return n - found if mirrored else found
    spread = math.sqrt(mean * q)
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = mean + 0.5
    v_sure = 0.92 - 4.2 / b
    attempt = 0
    while True:
        if attempt > 0:
            d0, d1, d2, d3 = philox4x32(c0, c1, c2, np.uint32(attempt), k0, k1)
            u = uniform53(d0, d1)
            v = uniform53(d2, d3)
        attempt += 1
        offset = u - 0.5
        us = 0.5 - abs(offset)
        k = float(math.floor((2.0 * a / us + b) * offset + centre))  # a float, whose square cannot overflow
        if us >= 0.07 and v <= v_sure:
            break
        if not (0.0 <= k <= trials) or v <= 0.0:
            continue
        alpha = (2.83 + 5.1 / b) * spread
        mode = float(math.floor((trials + 1.0) * p))
        height = log64(v * alpha / (a / (us * us) + b))
        if height <= log_chance(k, trials, p, q) - log_chance(mode, trials, p, q):
            break
    found = np.int64(k)
    return n - found if mirrored else found
