"""Five ways to run the same dynamics, which of them is used when, and how each lays out a network.

====================  ==========================  =======================================================
engine                time of a sweep             used by ``engine="auto"`` for
====================  ==========================  =======================================================
dense                 N flips N                   serial, where columns outnumber half the units
overlaps (serial)     N R                         serial
overlaps (parallel)   N R                         parallel with states, many distinct rows
bits                  N / 64 words                parallel with states, few distinct rows
classes               2 binomials for each class  parallel statistics, distinct rows at most an eighth of N
====================  ==========================  =======================================================
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError

ENGINES = ("auto", "dense", "overlaps", "bits", "classes")
DYNAMICS = ("serial", "parallel")
RULES = ("glauber", "metropolis")
ORDERS = ("random", "permutation", "sequential")
# Measured on one core: a sweep of the class engine costs 2 x 50 ... 100 ns a class, of overlaps 10 ns a unit
UNITS_PER_CLASS = 8
UNITS_PER_PACKED_CLASS = 64  # fewer, and words are mostly padding
UNITS_PER_COLUMN = 2  # with more columns the couplings are smaller than the rows
MOST_CLASS_COLUMNS = 40  # with more, hardly two units have equal rows
WIDE = 16  # columns from which fields are summed as whole numbers, where they can be
LARGEST_DENSE = 20_000  # units; the couplings take 4 * N**2 bytes
BLOCK = 1 << 16  # units whose products are made at a time
LARGEST_CODE = 1 << 62


@dataclass(frozen=True)
class Columns:
    """Couplings as they are kept: J_ij = factor * sum_r weights_r rows[i, r] rows[j, r] for i != j.

    Parameters
    ----------
    rows : int8 or int32 (n_units, n_columns)
    weights : float64 (n_columns,)
        The largest is 1; exactly 1 where all columns count alike, which keeps fields exact.
    factor : float
    links : int32 (n_units, n_units), optional
        The sum itself, 0 on the diagonal, where rows are not kept.
    """

    rows: np.ndarray
    weights: np.ndarray
    factor: float
    links: np.ndarray | None = None

    @property
    def n_units(self) -> int:
        """N."""
        return len(self.rows)

    @cached_property
    def own(self) -> np.ndarray:
        """What a unit would couple to itself with, in units of the factor, (n_units,); float32 where exact, 0 for links."""
        if self.links is not None:
            return np.zeros(self.n_units)
        found = np.concatenate([(block.astype(float) ** 2) @ self.weights for block in blocks(self.rows)])
        small = found.astype(np.float32)
        return small if np.array_equal(small, found) else found

    @property
    def kernel_weights(self) -> np.ndarray:
        """Weights in the type that the kernels on overlaps sum in."""
        whole = len(self.weights) >= WIDE and (self.weights == 1).all()
        return self.weights.astype(np.int64) if whole else self.weights

    @cached_property
    def classes(self) -> "Classes":
        """Units with equal rows, taken together."""
        return Classes.of(self.rows)

    @cached_property
    def dense_links(self) -> np.ndarray:
        """All couplings in units of the factor, 0 on the diagonal; int32 where they are whole numbers."""
        if self.links is not None:
            return self.links
        rows = self.rows.astype(float)
        links = (rows * self.weights) @ rows.T
        np.fill_diagonal(links, 0)
        whole = (self.weights == 1).all() and (not links.size or abs(links).max() < 2**31)
        return links.astype(np.int32) if whole else links

    def overlaps(self, S: np.ndarray) -> np.ndarray:
        """Sums over units of row times spin, whole numbers as float64 (n, n_columns)."""
        found = np.zeros((len(S), self.rows.shape[1]))
        for start in range(0, self.n_units, BLOCK):
            found += S[:, start : start + BLOCK].astype(float) @ self.rows[start : start + BLOCK].astype(float)
        return found

    def fields(self, S: np.ndarray) -> np.ndarray:
        """Fields of all units in units of the factor, their own parts left out, float64 (n, n_units)."""
        if self.links is not None:
            return S.astype(float) @ self.links
        sums = self.overlaps(S) * self.weights
        found = [
            sums @ block.astype(float).T - own * S[:, start : start + BLOCK]
            for start, block, own in zip(range(0, self.n_units, BLOCK), blocks(self.rows), blocks(self.own), strict=True)
        ]
        return np.concatenate(found, axis=1) if found else np.zeros(S.shape)

    def pair_sums(self, S: np.ndarray) -> np.ndarray:
        """sum over i != j of s_i s_j J_ij / factor, float64 (n,)."""
        if self.links is not None:
            return ((S.astype(float) @ self.links) * S).sum(axis=1)
        return (self.overlaps(S) ** 2) @ self.weights - (S != 0) @ self.own.astype(float)

    def with_probes(self, probes: np.ndarray | None) -> "Columns":
        """The same couplings with further columns of no weight, whose overlaps are wanted."""
        if probes is None:
            return self
        kind = np.result_type(self.rows.dtype, np.int8)
        rows = np.concatenate([self.rows.astype(kind), probes.T.astype(kind)], axis=1)
        return Columns(rows, np.append(self.weights, np.zeros(len(probes))), self.factor, self.links)


def blocks(rows: np.ndarray) -> list[np.ndarray]:
    """A table in pieces that fit a cache."""
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]


@dataclass(frozen=True)
class Classes:
    """Units with equal rows up to sign; a unit with the opposite row has the opposite spin.

    Parameters
    ----------
    values : int64 (n_columns, n_classes)
        Rows whose first entry that is not 0 is positive; the row of zeros is the last class, or missing.
    counts : int64 (n_classes,)
    class_of : int32 (n_units,)
    signs : int8 (n_units,)
        -1 where the unit has the opposite row.
    """

    values: np.ndarray
    counts: np.ndarray
    class_of: np.ndarray
    signs: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Classes":
        """The classes of a table (n_units, n_columns)."""
        first = first_entries(rows)
        signs = np.where(first < 0, -1, 1).astype(np.int8)
        chosen, class_of = distinct(rows * signs[:, None])
        values = (rows[chosen] * signs[chosen, None]).astype(np.int64)
        order = np.argsort(~values.any(axis=1), kind="stable")  # the row of zeros last
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        class_of = place[class_of]
        counts = np.bincount(class_of, minlength=len(order)).astype(np.int64)
        return cls(np.ascontiguousarray(values[order].T), counts, class_of, signs)

    @property
    def n_idle(self) -> int:
        """Units that feel no field."""
        return int(self.counts[-1]) if self.values.shape[1] and not self.values[:, -1].any() else 0

    def up_counts(self, S: np.ndarray) -> np.ndarray:
        """Units of each class that are aligned with its row, int64 (n, n_classes)."""
        return np.stack([np.bincount(self.class_of[s == self.signs], minlength=len(self.counts)) for s in S]).astype(np.int64)

    @cached_property
    def packing(self) -> "Packing":
        """Where each unit's spin lies in packed words."""
        n_words = -(-self.counts // 64)
        offsets = np.concatenate([[0], np.cumsum(n_words)]).astype(np.int64)
        order = np.argsort(self.class_of, kind="stable")
        rank = np.arange(len(order)) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
        lanes = np.empty(len(order), np.int64)
        lanes[order] = 64 * np.repeat(offsets[:-1], self.counts) + rank
        return Packing(offsets, lanes, self.signs)


@dataclass(frozen=True)
class Packing:
    """First word of each class, int64 (n_classes + 1,), and the lane of each unit, int64 (n_units,)."""

    offsets: np.ndarray
    lanes: np.ndarray
    signs: np.ndarray

    def pack(self, marks: np.ndarray) -> np.ndarray:
        """Marks of units, bool (n, n_units), as words uint64 (n, n_words)."""
        bits = np.zeros((len(marks), 64 * int(self.offsets[-1])), bool)
        bits[:, self.lanes] = marks
        return np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)

    def unpack(self, words: np.ndarray) -> np.ndarray:
        """Spins int8 (n, n_units) of words whose bits say which units are aligned."""
        bits = np.unpackbits(words.astype("<u8", copy=False).view(np.uint8), axis=1, bitorder="little")
        return np.where(bits[:, self.lanes] != 0, self.signs, -self.signs).astype(np.int8)


def first_entries(rows: np.ndarray) -> np.ndarray:
    """The first entry of each row that is not 0, or 0, (n_rows,)."""
    first = np.zeros(len(rows), rows.dtype)
    for column in rows.T:
        first = np.where(first == 0, column, first)
    return first


def distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the first of each distinct row, and which one every row is."""
    if not rows.size:
        return np.zeros(min(1, len(rows)), np.int64), np.zeros(len(rows), np.int64)
    low, high = rows.min(axis=0).astype(int), rows.max(axis=0).astype(int)
    spans = [int(b) - int(a) + 1 for a, b in zip(low, high, strict=True)]
    size = 1
    for span in spans:
        size *= span
    if size < LARGEST_CODE:
        codes = np.zeros(len(rows), np.int64)
        for column, start, span in zip(rows.T, low, spans, strict=True):
            codes = codes * span + (column.astype(np.int64) - start)
        if size <= 4 * len(rows):  # no sorting
            seen = np.zeros(size, bool)
            seen[codes] = True
            place = np.cumsum(seen, dtype=np.int32) - np.int32(1)
            inverse = place[codes]
            first = np.empty(int(seen.sum()), np.int64)
            first[inverse[::-1]] = np.arange(len(rows) - 1, -1, -1)
            return first, inverse
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    else:
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


def choose_engine(engine: str, dynamics: str, order: Any, columns: Columns, wants_states: bool, clamped: bool) -> str:
    """The engine for what is asked; InputError where a given one cannot do it."""
    n_units, n_columns = columns.rows.shape
    if engine == "auto":
        if columns.links is not None:
            return "dense"
        if dynamics == "serial":
            small = n_columns * UNITS_PER_COLUMN > n_units and n_units <= LARGEST_DENSE
            return "dense" if small else "overlaps"
        if n_columns > MOST_CLASS_COLUMNS:
            return "overlaps"
        n_classes = len(columns.classes.counts)
        if not wants_states and not clamped and n_classes * UNITS_PER_CLASS <= n_units:
            return "classes"
        return "bits" if n_classes * UNITS_PER_PACKED_CLASS <= n_units else "overlaps"
    if columns.links is not None and engine != "dense":
        raise InputError(f"engine is {engine!r}, but no rows are kept, only their products: 'dense' was expected")
    if engine == "bits" and dynamics == "serial":
        raise InputError("engine 'bits' is for parallel dynamics; use 'overlaps'")
    if engine == "dense" and n_units > LARGEST_DENSE:
        raise InputError(f"engine 'dense' would take {4 * n_units**2 / 1e9:.1f} GB of couplings; use 'overlaps'")
    if engine == "classes":
        if clamped:
            raise InputError("engine 'classes' has no single units that could be clamped; use 'overlaps' or 'bits'")
        if not (isinstance(order, str) and order in ("random", "permutation")) and dynamics == "serial":
            raise InputError("engine 'classes' visits units at random; use order='random' or 'permutation'")
    return engine


def checked_order(order: Any, n_units: int) -> tuple[int, np.ndarray]:
    """The kernels' number of an order of updates, and the units where they are listed."""
    if isinstance(order, str) and order in ("random", "permutation"):
        return ("random", "permutation").index(order), np.empty(0, np.int64)
    if isinstance(order, str):
        validate.choice(order, "order", ORDERS)
        return 2, np.arange(n_units)
    units = np.asarray(order)
    if units.ndim != 1 or units.dtype.kind not in "iu" or (len(units) and not 0 <= units.min() <= units.max() < n_units):
        raise InputError(f"order has shape {units.shape} and dtype {units.dtype}, unit numbers below {n_units} were expected")
    return 2, units.astype(np.int64)
