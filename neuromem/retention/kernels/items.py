"""Items drawn from their ids: any ids in any order, each value a pure function of key, id, purpose and position."""

import numpy as np

from neuromem.jit import jit, log64, philox4x32, prange

LOW = np.uint64(0xFFFFFFFF)
SHIFT32 = np.uint64(32)
ONE = np.uint32(1)
LANE_BITS = 32
BLOCK_BITS = 128
HALF_UNIT = 0.5
TWO_32 = 2.0**-32

# Normal quantile, Wichura's algorithm AS 241 (PPND7): about 7 digits, plain arithmetic but for the tails' logarithm.
SPLIT, CENTRE = 0.425, 0.180625
A = (5.9109374720e1, 1.5929113202e2, 5.0434271938e1, 3.3871327179)
B = (6.7187563600e1, 7.8757757664e1, 1.7895169469e1, 1.0)
C = (1.7023821103e-1, 1.3067284816, 2.7568153900, 1.4234372777)
D = (0.0, 1.2021132975e-1, 7.3700164250e-1, 1.0)
E = (1.7337203997e-2, 4.2868294337e-1, 3.0812263860, 6.6579051150)
F = (0.0, 1.2258202635e-2, 2.4197894225e-1, 1.0)


@jit
def ratio(top, bottom, x):
    """A quotient of two cubic polynomials, highest power first."""
    upper = ((top[0] * x + top[1]) * x + top[2]) * x + top[3]
    return upper / (((bottom[0] * x + bottom[1]) * x + bottom[2]) * x + bottom[3])


@jit
def normal_quantile(p):
    """The standard normal's value below which a share p in (0, 1) lies."""
    q = p - 0.5
    if abs(q) <= SPLIT:
        return q * ratio(A, B, CENTRE - q * q)
    r = np.sqrt(-log64(min(p, 1.0 - p)))
    value = ratio(C, D, r - 1.6) if r <= 5.0 else ratio(E, F, r - 5.0)
    return value if q > 0.0 else -value


@jit(forceinline=True)
def put_bits(word, low, step, out):
    """The 32 bits of a word as bytes, lowest first; a loop of fixed length without branches, which becomes vector code."""
    for position in range(LANE_BITS):
        out[position] = np.int8(low + step * np.int32((word >> np.uint32(position)) & ONE))


@jit(parallel=True)
def random_bits(ids, key, purpose, low, high, out_items):
    """Two values with equal chance: ids int64 (n,), key uint32 (2,), out int8 (n, d)."""
    n, width = out_items.shape
    first_value, step = np.int32(low), np.int32(high - low)
    for row in prange(n):
        first, second = np.uint64(ids[row]) & LOW, np.uint64(ids[row]) >> SHIFT32
        for block in range((width + BLOCK_BITS - 1) // BLOCK_BITS):
            lanes = philox4x32(first, second, block, purpose, key[0], key[1])
            for lane in range(4):
                start = block * BLOCK_BITS + lane * LANE_BITS
                if start + LANE_BITS <= width:
                    put_bits(lanes[lane], first_value, step, out_items[row, start : start + LANE_BITS])
                else:
                    for position in range(start, width):
                        bit = (lanes[lane] >> np.uint32(position - start)) & ONE
                        out_items[row, position] = np.int8(first_value + step * np.int32(bit))


@jit(parallel=True)
def random_words(ids, key, purpose, out_words):
    """Uniform words: ids int64 (n,), key uint32 (2,), out uint32 (n, d)."""
    n, width = out_words.shape
    for row in prange(n):
        first, second = np.uint64(ids[row]) & LOW, np.uint64(ids[row]) >> SHIFT32
        for block in range((width + 3) // 4):
            lanes = philox4x32(first, second, block, purpose, key[0], key[1])
            for lane in range(min(4, width - 4 * block)):
                out_words[row, 4 * block + lane] = lanes[lane]


@jit(parallel=True)
def normals(ids, key, purpose, out_items):
    """Standard normal numbers: ids int64 (n,), key uint32 (2,), out float32 (n, d)."""
    n, width = out_items.shape
    for row in prange(n):
        first, second = np.uint64(ids[row]) & LOW, np.uint64(ids[row]) >> SHIFT32
        for block in range((width + 3) // 4):
            lanes = philox4x32(first, second, block, purpose, key[0], key[1])
            for lane in range(min(4, width - 4 * block)):
                out_items[row, 4 * block + lane] = normal_quantile((float(lanes[lane]) + HALF_UNIT) * TWO_32)


@jit(parallel=True)
def choose_some(ids, key, purpose, n_chosen, out_chosen):
    """Exactly ``n_chosen`` ones in each row of zeros, every set as likely as another (Floyd's algorithm).

    ids int64 (n,), key uint32 (2,), out uint8 (n, d).  A position is drawn by multiplying a word of 32 bits, so that
    chances of two sets differ by less than d / 2**32.
    """
    n, width = out_chosen.shape
    for row in prange(n):
        first, second = np.uint64(ids[row]) & LOW, np.uint64(ids[row]) >> SHIFT32
        out_chosen[row, :] = 0
        lanes = philox4x32(first, second, 0, purpose, key[0], key[1])
        for draw in range(n_chosen):
            if draw % 4 == 0:
                lanes = philox4x32(first, second, draw // 4, purpose, key[0], key[1])
            last = width - n_chosen + draw
            position = np.int64((np.uint64(lanes[draw % 4]) * np.uint64(last + 1)) >> SHIFT32)
            out_chosen[row, last if out_chosen[row, position] else position] = 1
