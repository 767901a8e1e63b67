"""The kernels that draw items, in plain NumPy."""

import numpy as np

from neuromem.random import log64, philox4x32

A = (59.109374720, 159.29113202, 50.434271938, 3.3871327179)
B = (67.187563600, 78.757757664, 17.895169469, 1.0)
C = (0.17023821103, 1.3067284816, 2.7568153900, 1.4234372777)
D = (0.0, 0.12021132975, 0.73700164250, 1.0)
E = (0.017337203997, 0.42868294337, 3.0812263860, 6.6579051150)
F = (0.0, 0.012258202635, 0.24197894225, 1.0)


def words_of(ids: np.ndarray, key: np.ndarray, purpose: int, width: int) -> np.ndarray:
    """Uniform words of each id, uint32 (n, width)."""
    n_blocks = -(-width // 4)
    halves = np.asarray(ids, np.int64).astype(np.uint64)
    counters = np.empty((len(halves), n_blocks, 4), np.uint32)
    counters[..., 0] = (halves & np.uint64(0xFFFFFFFF))[:, None]
    counters[..., 1] = (halves >> np.uint64(32))[:, None]
    counters[..., 2] = np.arange(n_blocks)
    counters[..., 3] = purpose
    return philox4x32(counters.reshape(-1, 4), key).reshape(len(halves), 4 * n_blocks)[:, :width]


def random_words(ids: np.ndarray, key: np.ndarray, purpose: int, out_words: np.ndarray) -> None:
    """Uniform words."""
    out_words[:] = words_of(ids, key, purpose, out_words.shape[1])


def random_bits(ids: np.ndarray, key: np.ndarray, purpose: int, low: int, high: int, out_items: np.ndarray) -> None:
    """Two values with equal chance: the bits of the words, lowest first."""
    width = out_items.shape[1]
    words = words_of(ids, key, purpose, -(-width // 32))
    bits = (words[:, :, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1)
    out_items[:] = np.where(bits.reshape(len(words), -1)[:, :width], high, low)


def polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's rule, highest power first."""
    total = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        total = total * x + c
    return total


def normals(ids: np.ndarray, key: np.ndarray, purpose: int, out_items: np.ndarray) -> None:
    """Standard normal numbers by the quantile function AS 241 (PPND7)."""
    p = (words_of(ids, key, purpose, out_items.shape[1]).astype(np.float64) + 0.5) * 2.0**-32
    q = p - 0.5
    centre = 0.180625 - q * q
    r = np.sqrt(-log64(np.minimum(p, 1.0 - p)))
    middle = polynomial(C, r - 1.6) / polynomial(D, r - 1.6)
    far = polynomial(E, r - 5.0) / polynomial(F, r - 5.0)
    tail = np.where(q > 0.0, 1.0, -1.0) * np.where(r <= 5.0, middle, far)
    out_items[:] = np.where(np.abs(q) <= 0.425, q * (polynomial(A, centre) / polynomial(B, centre)), tail)


def choose_some(ids: np.ndarray, key: np.ndarray, purpose: int, n_chosen: int, out_chosen: np.ndarray) -> None:
    """Floyd's algorithm, item by item."""
    width = out_chosen.shape[1]
    words = words_of(ids, key, purpose, n_chosen)
    for row, draws in enumerate(words.tolist()):
        chosen: set[int] = set()
        for draw, word in enumerate(draws):
            last = width - n_chosen + draw
            position = (word * (last + 1)) >> 32
            chosen.add(last if position in chosen else position)
        out_chosen[row] = np.isin(np.arange(width), sorted(chosen))
