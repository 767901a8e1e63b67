"""Sums of rows of bits against sums of unpacked bits."""

import numpy as np
import pytest

from neuromem.jit import jit
from neuromem.jit_vectors import FAST_PLANES, add_rows_1, add_rows_4, add_rows_8
from neuromem.sparsey.kernels.accumulate import FAST_ROWS, GROUP, count_rows, planes_for

pytestmark = pytest.mark.jit_off
N_ROWS = 200


@jit
def add_one(weights, rows, first, n_groups, word, planes):
    add_rows_1(weights, rows, first, n_groups, word, planes)


@jit
def add_four(weights, rows, first, n_groups, word, planes):
    add_rows_4(weights, rows, first, n_groups, word, planes)


@jit
def add_eight(weights, rows, first, n_groups, word, planes):
    add_rows_8(weights, rows, first, n_groups, word, planes)


def bit_rows(n_words):
    weights = np.random.default_rng(n_words).integers(0, 2**64, (N_ROWS, n_words), dtype=np.uint64)
    weights[-1] = 0
    return weights


def bits(words):
    """One byte per bit, the lowest bit of a word first."""
    return np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little").astype(np.int64)


def counts_of(planes):
    return (bits(planes) << np.arange(len(planes))[:, None]).sum(axis=0)


@pytest.mark.parametrize(("add", "width"), [(add_one, 1), (add_four, 4), (add_eight, 8)])
@pytest.mark.parametrize("n_groups", [0, 1, 5, 9])
def test_some_words_are_summed_and_no_others_touched(add, width, n_groups):
    weights = bit_rows(19)
    rows = np.random.default_rng(n_groups).integers(0, N_ROWS, 80).astype(np.int32)
    planes = np.full((FAST_PLANES + 1, 19), 7, np.uint64)
    add(weights, rows, 3, n_groups, 5, planes)
    some = slice(5, 5 + width)
    expected = bits(weights[rows[3 : 3 + GROUP * n_groups], some]).sum(axis=0)
    assert (counts_of(np.ascontiguousarray(planes[:FAST_PLANES, some])) == expected).all()
    planes[:FAST_PLANES, some] = 7
    assert (planes == 7).all()


@pytest.mark.parametrize("n_words", [1, 4, 7, 8, 16, 29])
@pytest.mark.parametrize("n_rows", [0, 1, 7, 62, 63, 64, 126, 127, 199])
def test_rows_are_counted_whatever_their_number(n_words, n_rows):
    weights = bit_rows(n_words)
    rows = np.full(n_rows + GROUP - 1, N_ROWS - 1, np.int32)
    rows[:n_rows] = np.random.default_rng(n_rows).permutation(N_ROWS)[:n_rows]
    n_planes = planes_for(n_rows)
    planes = np.full((max(n_planes, FAST_PLANES), n_words), 5, np.uint64)
    count_rows(weights, rows, n_rows, n_planes, planes, np.empty((FAST_PLANES + 1, n_words), np.uint64))
    assert FAST_ROWS == 2**FAST_PLANES - 1
    assert (counts_of(planes) == bits(weights[rows[:n_rows]]).sum(axis=0)).all()
