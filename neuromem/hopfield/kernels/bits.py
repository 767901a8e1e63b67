"""Parallel dynamics on packed spins: 64 to a word, units sorted by pattern row, so that a word has one field and one chance.

A lane flips where a uniform number in [0, 1) is below the chance of its spin.  Digit by digit, random words are compared
with the digits of the chance; lanes whose digits agree stay undecided.  Eight digits are drawn for every word, which is
vector code; words with lanes left are gathered and go on, up to 54 digits.
"""

import numpy as np

from neuromem.hopfield.kernels.chance import EXP_LIMIT
from neuromem.hopfield.kernels.classes import fields_of_classes, keep_record, overlaps_of_counts
from neuromem.jit import exp64, jit, philox4x32, popcount64, prange

DIGITS = 54
CALLS = DIGITS // 2  # each gives two digits of 64 lanes
SURE = np.int64(1 << DIGITS)
TWO_DIGITS = float(1 << DIGITS)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
NONE = np.uint64(0)
ONE = np.uint64(1)
SHIFT32 = np.uint64(32)
FIRST_CALLS = 4  # for every word; the others are for words with lanes still undecided, which are gathered


@jit
def digits_of_chance(y, metropolis):
    """The chance of a flip as 54 binary digits, int64 in 0 ... 2**54."""
    grown = exp64(min(max(y, -EXP_LIMIT), EXP_LIMIT))
    if metropolis:
        return np.int64(TWO_DIGITS * min(1.0, 1.0 / grown))
    return np.int64(TWO_DIGITS / (1.0 + grown))


@jit(forceinline=True)
def mask_of_digit(digits, level):
    """All ones where the digit at ``level`` (0 is the first after the point) is 1."""
    return NONE - (np.uint64(digits >> (DIGITS - 1 - level)) & ONE)


@jit(forceinline=True)
def compare_digit(low, high, digits, flip, undecided):
    """One more digit of 64 lanes: those whose random bit is 0 where the chance's digit is 1 flip."""
    random = np.uint64(low) | (np.uint64(high) << SHIFT32)
    return flip | (undecided & digits & ~random), undecided & ~(random ^ digits)


@jit(forceinline=True)
def two_digits(call, word, c0, c1, k0, k1, spins, up0, down0, up1, down1, flip, undecided):
    """Two digits of a word's 64 lanes, from one call of the generator."""
    d0, d1, d2, d3 = philox4x32(c0, c1, np.uint32(word), np.uint32(call), k0, k1)
    flip, undecided = compare_digit(d0, d1, (spins & up0) | (~spins & down0), flip, undecided)
    return compare_digit(d2, d3, (spins & up1) | (~spins & down1), flip, undecided)


@jit
def further_digits(first_call, stop_call, words, spins, digits_up, digits_down, c0, c1, k0, k1, flipping, undecided):
    """Digits 2 first_call ... 2 stop_call - 1 of all lanes of some words."""
    for call in range(first_call, stop_call):
        up0, up1 = mask_of_digit(digits_up, 2 * call), mask_of_digit(digits_up, 2 * call + 1)
        down0, down1 = mask_of_digit(digits_down, 2 * call), mask_of_digit(digits_down, 2 * call + 1)
        for w in range(words.shape[0]):
            flip, left = two_digits(call, words[w], c0, c1, k0, k1, spins[w], up0, down0, up1, down1, flipping[w], undecided[w])
            flipping[w] = flip
            undecided[w] = left


@jit
def gather_undecided(words, spins, flipping, undecided, few):
    """Copy words with undecided lanes to the rows of ``few``, with their places; returns how many."""
    n = 0
    for w in range(words.shape[0]):
        few[0, n] = words[w]
        few[1, n] = spins[w]
        few[2, n] = flipping[w]
        few[3, n] = undecided[w]
        few[4, n] = np.uint64(w)
        n += undecided[w] != NONE
    return n


@jit
def flip_words(words, spins, free, digits_up, digits_down, c0, c1, k0, k1, flipping, undecided, few):
    """Flip the lanes of one class's words, each with the chance of its spin; returns how many are +1 then.

    Parameters
    ----------
    words : uint64 (n_words,)
        The number of each word in the counter of its draws.
    spins : uint64 (n_words,), in and out
    free : uint64 (n_words,)
        Lanes that hold a unit which may flip.
    digits_up, digits_down : int
        The chances.
    c0, c1, k0, k1 : uint32
    flipping, undecided : uint64 (n_words,)
    few : uint64 (5, n_words + 1)
        Scratch.
    """
    n_words = words.shape[0]
    sure_up = ALL if digits_up >= SURE else NONE
    sure_down = ALL if digits_down >= SURE else NONE
    for w in range(n_words):
        flipping[w] = (spins[w] & sure_up) | (~spins[w] & sure_down)
        undecided[w] = free[w]
    further_digits(0, FIRST_CALLS, words, spins, digits_up, digits_down, c0, c1, k0, k1, flipping, undecided)
    call = FIRST_CALLS
    n = gather_undecided(words, spins, flipping, undecided, few)
    while n > 0 and call < CALLS:
        further_digits(call, call + 1, few[0, :n], few[1, :n], digits_up, digits_down, c0, c1, k0, k1, few[2, :n], few[3, :n])
        call += 1
        kept = 0
        for j in range(n):
            flipping[np.int64(few[4, j])] = few[2, j]
            for r in range(5):
                few[r, kept] = few[r, j]
            kept += few[3, j] != NONE
        n = kept
    total = np.int64(0)
    for w in range(n_words):
        s = spins[w] ^ (flipping[w] & free[w])
        spins[w] = s
        total += np.int64(popcount64(s))
    return total


@jit(parallel=True)
def bit_parallel(
    values,
    weights,
    own,
    counts,
    offsets,
    free,
    scales,
    metropolis,
    key,
    chains,
    sweeps,
    first_reported,
    spins,
    out_overlaps,
    out_squares,
):
    """Parallel (Little) dynamics of whole networks, spins packed and sorted by pattern row.

    Parameters
    ----------
    values, weights, own, counts, scales, metropolis, key, chains, sweeps, first_reported
        As in ``class_chains``.
    offsets : int64 (n_classes + 1,)
        First word of each class.
    free : uint64 (n_chains or 1, n_words)
        Lanes that hold a unit which may flip.
    spins : uint64 (n_chains, n_words), in and out
        +1 is a set bit; lanes without a unit are 0.
    out_overlaps, out_squares
        As in ``class_chains``.
    """
    n_columns, n_classes = values.shape
    k0, k1 = key[0], key[1]
    for chain in prange(spins.shape[0]):
        mine = spins[chain]
        loose = free[chain % free.shape[0]]
        scale = scales[chain]
        c1 = np.uint32(chains[chain])
        overlaps = np.empty(n_columns, np.int64)
        fields = np.empty(n_classes, np.float64)
        up = np.zeros(n_classes, np.int64)
        words = np.empty(mine.shape[0], np.uint64)
        for w in range(words.shape[0]):
            words[w] = w
        flipping = np.empty(mine.shape[0], np.uint64)
        undecided = np.empty(mine.shape[0], np.uint64)
        few = np.empty((5, mine.shape[0] + 1), np.uint64)
        for c in range(n_classes):
            for w in range(offsets[c], offsets[c + 1]):
                up[c] += np.int64(popcount64(mine[w]))
        overlaps_of_counts(values, counts, up, overlaps)
        record = 0
        for step in range(sweeps[1]):
            fields_of_classes(values, weights, overlaps, fields)
            c0 = np.uint32(sweeps[0] + step)
            for c in range(n_classes):
                falling = fields[c] - own[c]
                rising = -fields[c] - own[c]
                first, stop = offsets[c], offsets[c + 1]
                if scale == np.inf:
                    drop = ALL if falling < 0.0 else NONE
                    rise = ALL if rising < 0.0 else NONE
                    total = NONE
                    cold, open_words = mine[first:stop], loose[first:stop]
                    for w in range(stop - first):
                        s = cold[w]
                        s ^= ((s & drop) | (~s & rise)) & open_words[w]
                        cold[w] = s
                        total += popcount64(s)
                    up[c] = np.int64(total)
                else:
                    digits_up = digits_of_chance(scale * falling, metropolis)
                    digits_down = digits_of_chance(scale * rising, metropolis)
                    up[c] = flip_words(
                        words[first:stop],
                        mine[first:stop],
                        loose[first:stop],
                        digits_up,
                        digits_down,
                        c0,
                        c1,
                        k0,
                        k1,
                        flipping[first:stop],
                        undecided[first:stop],
                        few,
                    )
            overlaps_of_counts(values, counts, up, overlaps)
            done = step + 1 - sweeps[2]
            if done > 0 and done % sweeps[3] == 0:
                keep_record(weights, overlaps, first_reported, record, out_overlaps[chain], out_squares[chain])
                record += 1
