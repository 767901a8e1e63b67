"""The law of one unit's row: what every exact result about a network of many units depends on.

A unit's row holds its entries of all patterns, as the couplings know them (``values``) and as they really are (``truth``).
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, NeuromemWarning
from neuromem.hopfield.closed_forms import NORMS, coupling_scale, dataset_entropy

ROW_LIMIT = 2_000_000  # rows that an enumeration may have: 3**13 ternary rows, or 60 examples of three patterns

Entry = tuple[np.ndarray, np.ndarray, np.ndarray]  # values, truth, weights of the symbols of one entry


@dataclass(frozen=True)
class FoldedRows:
    """What the sums run over: one row of each pair (row, -row), none of zeros, equal rows taken together.

    Parameters
    ----------
    values : float64 (n_rows, n_patterns)
        Times the root of the coupling scale, so that no formula has the scale in it.
    truth : float64 (n_rows, n_patterns)
        Mean truth of the units with that row of values.
    weights : float64 (n_rows,)
    zero_weight : float
        Share of units that feel no field whatever the state.
    """

    values: np.ndarray
    truth: np.ndarray
    weights: np.ndarray
    zero_weight: float


class RowLaw:
    """The joint law of one unit's row: rows of values, the true rows behind them, and their weights.

    Usually made by :meth:`storing`, :meth:`supervised` or :meth:`empirical`; any other law can be given row by row.

    Parameters
    ----------
    values : array-like (n_rows, n_patterns)
        What the couplings are made of.
    truth : array-like (n_rows, n_patterns)
        The patterns' entries.
    weights : array-like (n_rows,)
        Probabilities.
    scale : float or array-like (n_patterns,), default 1.0
        Coupling scale c, of all patterns or of each.
    noise : array-like (n_patterns,), optional
        Entropies rho of Gaussian data: the values are then ``truth * (1 + sqrt(rho) z)`` with a standard normal z, and only
        the truth is listed.
    method : str, default "rows"
        How the law came about; solutions repeat it.

    Attributes
    ----------
    n_patterns : int
    values, truth, weights : numpy.ndarray
        All rows; enumerated when first asked for.
    scale, noise, dilution : float64 (n_patterns,)
    method : str

    Raises
    ------
    InputError
        For shapes that do not fit, weights that are no probabilities, a pattern of zeros only.

    Notes
    -----
    The couplings are J_ij = (1/N) sum_mu c_mu V_i^mu V_j^mu.  In a large network the rows of the units are a sample of the law,
    and overlaps follow from sums over rows [derived; checked by simulation].

    References
    ----------
    Agliari, Alessandrelli, Barra, Ricci-Tersenghi (2023), "Parallel learning by multitasking neural networks", J. Stat. Mech.;
    arXiv:2308.04106.

    Examples
    --------
    >>> from neuromem.hopfield import RowLaw
    >>> law = RowLaw([[1, 1], [1, -1]], [[1, 1], [1, -1]], [0.75, 0.25])
    >>> law.n_patterns, law.method
    (2, 'rows')
    """

    _entries: list[Entry] | None = None

    def __init__(
        self,
        values: Any,
        truth: Any,
        weights: Any,
        *,
        scale: Any = 1.0,
        noise: Any = None,
        method: str = "rows",
    ) -> None:
        values = validate.real_items(values, name="values", min_items=1)
        truth = validate.real_items(truth, name="truth", min_items=1)
        if truth.shape != values.shape:
            raise InputError(f"truth has shape {truth.shape}, that of values {values.shape} was expected")
        weights = np.array(weights, float)
        if weights.shape != (len(values),):
            raise InputError(f"weights has shape {weights.shape}, ({len(values)},) was expected")
        if not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-9:
            raise InputError(f"weights add up to {weights.sum()}, probabilities from 0 up that add up to 1 were expected")
        self._table = (values, truth, weights)
        self._settle(values.shape[1], weights @ truth**2, scale, noise, method)

    def _settle(self, n_patterns: int, activity: np.ndarray, scale: Any, noise: Any, method: str) -> None:
        self.n_patterns = n_patterns
        self.dilution = 1 - activity
        if (activity <= 0).any():
            raise InputError(f"pattern {int(np.argmax(activity <= 0))} is 0 at every unit, some other entry was expected")
        self.scale = per_pattern(scale, "scale", n_patterns, low=0, low_open=True)
        self.noise = per_pattern(0.0 if noise is None else noise, "noise", n_patterns, low=0)
        self.method = method

    @classmethod
    def _independent(cls, entries: Sequence[Entry], activity: np.ndarray, scale: Any, noise: Any, method: str) -> "RowLaw":
        """A law whose entries are independent of one another."""
        self = cls.__new__(cls)
        self._entries = list(entries)
        self._settle(len(entries), activity, scale, noise, method)
        return self

    @cached_property
    def _table(self) -> Entry:
        assert self._entries is not None  # __init__ sets the table itself
        return product_of(self._entries)

    @property
    def values(self) -> np.ndarray:
        """Values of all rows, (n_rows, n_patterns)."""
        return self._table[0]

    @property
    def truth(self) -> np.ndarray:
        """True entries of all rows, (n_rows, n_patterns)."""
        return self._table[1]

    @property
    def weights(self) -> np.ndarray:
        """Probabilities of all rows, (n_rows,)."""
        return self._table[2]

    @cached_property
    def folded(self) -> FoldedRows:
        """The rows that sums run over."""
        table = self._table if self._entries is None else product_of([merged(entry) for entry in self._entries])
        values, truth, weights, zero_weight = fold(*table)
        return FoldedRows(np.ascontiguousarray(values * np.sqrt(self.scale)), truth, weights, zero_weight)

    @property
    def exchangeable(self) -> bool:
        """Whether exchanging patterns, or turning one round, leaves the law as it is (known of laws made by name)."""
        if self._entries is None:
            return False
        values, truth, weights = (column.round(12) for column in merged(self._entries[0]))
        turned = np.array_equal(values, -values[::-1]) and np.array_equal(truth, -truth[::-1] + 0.0)
        same = all(np.array_equal(a, b) for entry in self._entries for a, b in zip(entry, self._entries[0], strict=True))
        alike = all(len(set(array.tolist())) == 1 for array in (self.scale, self.noise))
        return bool(same and alike and turned and np.array_equal(weights, weights[::-1]))

    def __repr__(self) -> str:
        return f"RowLaw(n_patterns={self.n_patterns}, method={self.method!r})"

    @classmethod
    def storing(cls, n_patterns: int, dilution: float, *, norm: str = "entropy") -> "RowLaw":
        """The law where the patterns themselves are stored: 3**K rows.

        Parameters
        ----------
        n_patterns : int
            K, up to 13.
        dilution : float
            d, the probability of a blank entry, from 0 below 1.
        norm : {"entropy", "none", "unit"}
            See :func:`neuromem.hopfield.critical_temperature`.

        Raises
        ------
        InputError, InputTypeError

        Examples
        --------
        >>> from neuromem.hopfield import RowLaw
        >>> RowLaw.storing(2, 0.5).weights.tolist()
        [0.0625, 0.125, 0.0625, 0.125, 0.25, 0.125, 0.0625, 0.125, 0.0625]
        """
        n_patterns, dilution = check_size(n_patterns, dilution)
        refuse_too_many(3, n_patterns, f"the law of {n_patterns} patterns", "fewer patterns")
        scale = coupling_scale(dilution, 0.0, norm)
        return cls._independent([ternary(dilution)] * n_patterns, np.full(n_patterns, 1 - dilution), scale, None, "storing")

    @classmethod
    def supervised(
        cls,
        n_patterns: int,
        dilution: float,
        quality: Any,
        n_examples: Any,
        *,
        method: str = "auto",
        norm: str = "entropy",
        channel: Any = None,
    ) -> "RowLaw":
        """The law where means of noisy examples are stored; without labels the same equations hold (see Notes).

        Parameters
        ----------
        n_patterns, dilution
            As in :meth:`storing`.
        quality : float or array-like (n_patterns,)
            r above 0 up to 1: an entry of an example is right with probability (1 + r) / 2.
        n_examples : int or array-like (n_patterns,)
            M, per pattern.
        method : {"auto", "exact", "gaussian"}
            The law at this very M, of (2M + 3)**K rows, or its limit of many examples at the same entropy.  "auto" is exact
            up to 2 000 000 rows; the attribute ``method`` says which it was.  At small M the two can have different attractors.
        norm : {"entropy", "none", "unit"}
        channel : array-like (3, 3), optional
            ``channel[i, j]``: probability of an example's entry j - 1 where the pattern has i - 1; examples may so gain or lose
            entries.  Exact only.

        Raises
        ------
        InputError, InputTypeError
            For values out of range, or an exact law of too many rows: the message has the estimate.

        Notes
        -----
        An entry is 0 with probability d, else xi (2k - M) / (M r) with k ~ Binomial(M, (1 + r) / 2) [derived].  Unsupervised
        couplings have a solution with the same amplitude for all examples of a pattern, which obeys the same equations at every
        M, as long as K M is small against the number of units [derived; checked by simulation].  With few, very noisy examples
        at low temperature that solution can be unstable there, and the network goes to another.

        Examples
        --------
        >>> from neuromem.hopfield import RowLaw
        >>> law = RowLaw.supervised(1, 0.2, quality=0.5, n_examples=1)
        >>> law.values.ravel().tolist(), law.method
        ([0.0, -2.0, 2.0, 2.0, -2.0], 'exact')
        """
        n_patterns, dilution = check_size(n_patterns, dilution)
        validate.choice(method, "method", ("auto", "exact", "gaussian"))
        validate.choice(norm, "norm", NORMS)
        qualities = per_pattern(quality, "quality", n_patterns, low=0, high=1, low_open=True)
        examples = per_pattern(n_examples, "n_examples", n_patterns, low=1, whole=True)
        rho = np.array([dataset_entropy(float(r), int(m)) for r, m in zip(qualities, examples, strict=True)])
        if channel is None:
            n_symbols = 2 * examples + 3
        else:
            channel = check_channel(channel)
            n_symbols = 3 * (2 * examples + 1)
        too_many = math.prod(int(n) for n in n_symbols) > ROW_LIMIT
        if method == "gaussian" or (method == "auto" and too_many and channel is None):
            if channel is not None:
                raise InputError("channel needs the exact law, method='gaussian' was given")
            refuse_too_many(3, n_patterns, f"the law of {n_patterns} patterns", "fewer patterns")
            scale = [coupling_scale(dilution, float(value), norm) for value in rho]
            activity = np.full(n_patterns, 1 - dilution)
            return cls._independent([ternary(dilution)] * n_patterns, activity, scale, rho, "gaussian")
        if too_many:
            remedy = "fewer examples" if channel is not None else "method='gaussian'"
            what = f"the exact law of {n_patterns} patterns with {int(examples.max())} examples"
            refuse_too_many(n_symbols, n_patterns, what, remedy)
        if channel is None:
            pairs = zip(qualities, examples, strict=True)
            entries = [binomial_entry(dilution, float(r), int(m)) for r, m in pairs]
        else:
            entries = [channel_entry(dilution, channel, float(r), int(m)) for r, m in zip(qualities, examples, strict=True)]
            rho = np.array([weights @ values**2 for values, _, weights in entries]) / (1 - dilution) - 1
        scale = [coupling_scale(dilution, float(value), norm) for value in rho]
        return cls._independent(entries, np.full(n_patterns, 1 - dilution), scale, None, "exact")

    @classmethod
    def empirical(cls, rows: Any, truth: Any = None, *, counts: Any = None, scale: Any = 1.0) -> "RowLaw":
        """The rows that a network really has: theory without the chance of one finite sample.

        Parameters
        ----------
        rows : array-like (n_units, n_patterns)
            What the couplings are made of, one row per unit (patterns are stored the other way round: transpose them), or the
            distinct rows together with ``counts``.
        truth : array-like (n_units, n_patterns), optional
            The patterns; default: the rows, which must then be -1, 0 or 1.
        counts : array-like (n_rows,) of int, optional
            How many units have each row; default: one each.
        scale : float or array-like (n_patterns,), default 1.0
            Coupling scale c.

        Raises
        ------
        InputError, InputTypeError

        Examples
        --------
        >>> from neuromem.hopfield import RowLaw
        >>> law = RowLaw.empirical([[1, 0], [-1, 0], [1, 0], [0, 1]])
        >>> law.values.tolist(), law.weights.tolist()
        ([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [0.25, 0.25, 0.5])
        """
        rows = validate.real_items(rows, name="rows", min_items=1)
        if truth is None:
            refuse_other_than_ternary(rows, "rows", "give truth where the rows are means of examples")
            truth = rows
        else:
            truth = validate.real_items(truth, name="truth", min_items=1)
            refuse_other_than_ternary(truth, "truth", "")
        if truth.shape != rows.shape:
            raise InputError(f"truth has shape {truth.shape}, that of rows {rows.shape} was expected")
        if counts is None:
            if len(rows) < rows.shape[1]:
                text = f"rows has {len(rows)} units and {rows.shape[1]} patterns: was the transpose meant?"
                warnings.warn(text, NeuromemWarning, stacklevel=2)
            counts = np.ones(len(rows))
        counts = np.array(counts, float)
        if counts.shape != (len(rows),) or (counts < 0).any() or not 0 < counts.sum() < math.inf:
            raise InputError(f"counts has shape {counts.shape}, ({len(rows)},) numbers from 0 up were expected")
        first, inverse = distinct_rows(rows if truth is rows else np.hstack([rows, truth]))
        weights = np.bincount(inverse, counts) / counts.sum()
        return cls(rows[first], truth[first], weights, scale=scale, method="empirical")


# ---------------------------------------------------------------- one entry


def ternary(dilution: float) -> Entry:
    """Symbols -1, 0, 1 of a pattern."""
    symbols = np.array([-1.0, 0.0, 1.0])
    return symbols, symbols, np.array([(1 - dilution) / 2, dilution, (1 - dilution) / 2])


def binomial_probabilities(n: int, p: float) -> np.ndarray:
    """Binomial(n, p) of 0 ... n, from logarithms of factorials: no overflow at any n."""
    if p == 1.0:
        return np.eye(n + 1)[n]
    k = np.arange(n + 1)
    log_factorial = np.cumsum(np.log(np.maximum(k, 1)))
    chances = np.exp(log_factorial[n] - log_factorial - log_factorial[::-1] + k * math.log(p) + (n - k) * math.log1p(-p))
    return chances / chances.sum()


def binomial_entry(dilution: float, quality: float, n_examples: int) -> Entry:
    """Blank, or the sign of the pattern times the mean of M signs that are right with probability (1 + r) / 2, over r."""
    chances = binomial_probabilities(n_examples, (1 + quality) / 2) * (1 - dilution) / 2
    means = np.arange(-n_examples, n_examples + 1, 2) / (n_examples * quality)
    ones = np.ones(n_examples + 1)
    values = np.concatenate([[0.0], means, -means])
    return values, np.concatenate([[0.0], ones, -ones]), np.concatenate([[dilution], chances, chances])


def channel_entry(dilution: float, channel: np.ndarray, quality: float, n_examples: int) -> Entry:
    """The mean of M entries drawn from a channel, over r."""
    sums = np.arange(-n_examples, n_examples + 1) / (n_examples * quality)
    parts = []
    for symbol, chance, row in zip(*ternary(dilution)[1:], channel, strict=True):
        law = np.ones(1)
        for _ in range(n_examples):
            law = np.convolve(law, row)
        parts.append((sums, np.full(len(sums), symbol), chance * law))
    values, truth, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return values, truth, weights


def merged(entry: Entry) -> Entry:
    """Symbols of equal value as one, with their mean truth; impossible ones left out."""
    values, truth, weights = (column[entry[2] > 0] for column in entry)
    distinct, inverse = np.unique(values, return_inverse=True)
    totals = np.bincount(inverse, weights)
    return distinct, np.bincount(inverse, weights * truth) / totals, totals


# ---------------------------------------------------------------- rows


def product_of(entries: Sequence[Entry]) -> Entry:
    """All rows of independent entries; the last entry changes fastest."""
    grids = np.meshgrid(*(np.arange(len(entry[0])) for entry in entries), indexing="ij")
    index = [grid.ravel() for grid in grids]
    values = np.stack([entry[0][i] for entry, i in zip(entries, index, strict=True)], axis=1)
    truth = np.stack([entry[1][i] for entry, i in zip(entries, index, strict=True)], axis=1)
    weights = np.ones(len(values))
    for entry, i in zip(entries, index, strict=True):
        weights *= entry[2][i]
    return values, truth, weights


def distinct_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct row comes first, in order of the rows, and which of them each row is."""
    code, n_codes = np.zeros(len(table), np.int64), 1
    for column in table.T:
        symbols, index = np.unique(column, return_inverse=True)
        if n_codes * len(symbols) > 1 << 62:
            code = np.unique(code, return_inverse=True)[1]
            n_codes = len(table)
        code, n_codes = code * len(symbols) + index, n_codes * len(symbols)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    return first, inverse


def fold(values: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """One row of each pair (row, -row): both count alike, since tanh is odd.  Rows of zeros are only weighed."""
    zero = ~values.any(axis=1)
    keep = ~zero & (weights > 0)
    zero_weight = float(weights[zero].sum())
    values, truth, weights = values[keep], truth[keep], weights[keep]
    sign = np.sign(np.take_along_axis(values, (values != 0).argmax(axis=1)[:, None], axis=1))
    values, truth = values * sign + 0.0, truth * sign  # + 0.0: no negative zeros
    first, inverse = distinct_rows(values)
    totals = np.bincount(inverse, weights)
    means = np.stack([np.bincount(inverse, weights * column) for column in truth.T], axis=1) / totals[:, None]
    return values[first], means, totals, zero_weight


# ---------------------------------------------------------------- checks


def check_size(n_patterns: int, dilution: float) -> tuple[int, float]:
    """Number of patterns and dilution within their ranges."""
    n_patterns = validate.integer(n_patterns, "n_patterns", 1)
    return n_patterns, validate.number(dilution, "dilution", low=0, high=1, high_open=True)


def per_pattern(
    value: Any,
    name: str,
    n_patterns: int,
    *,
    low: float,
    high: float | None = None,
    low_open: bool = False,
    whole: bool = False,
) -> np.ndarray:
    """A number or one per pattern, as an array (n_patterns,)."""
    array = np.asarray(value)
    if array.ndim == 0:
        array = np.full(n_patterns, value)
    if array.shape != (n_patterns,):
        raise InputError(f"{name} has shape {array.shape}, a number or ({n_patterns},) numbers were expected")
    for item in array.tolist():
        if whole:
            validate.integer(item, name, int(low))
        else:
            validate.number(item, name, low=low, high=high, low_open=low_open)
    return array.astype(np.int64 if whole else np.float64)


def check_channel(channel: Any) -> np.ndarray:
    """A 3 x 3 matrix of conditional probabilities."""
    channel = validate.real_items(channel, name="channel")
    if channel.shape != (3, 3) or (channel < 0).any() or (abs(channel.sum(axis=1) - 1) > 1e-9).any():
        raise InputError(f"channel has shape {channel.shape}, (3, 3) probabilities were expected, each row adding up to 1")
    return channel


def refuse_too_many(n_symbols: Any, n_patterns: int, what: str, remedy: str) -> None:
    """Raise where an enumeration would be too long."""
    n_rows = math.prod(int(n) for n in np.broadcast_to(n_symbols, n_patterns))
    if n_rows > ROW_LIMIT:
        gigabytes = n_rows * (2 * n_patterns + 1) * 8 / 1e9
        raise InputError(f"{what} has {n_rows} rows ({gigabytes:.2g} GB), at most {ROW_LIMIT} were expected; use {remedy}")


def refuse_other_than_ternary(rows: np.ndarray, name: str, remedy: str) -> None:
    """Raise at the first entry that is not -1, 0 or 1."""
    wrong = np.argwhere((rows != 0) & (abs(rows) != 1))
    if len(wrong):
        i, k = (int(index) for index in wrong[0])
        raise InputError(f"{name}[{i}, {k}] is {rows[i, k]}, -1, 0 or 1 was expected" + (f"; {remedy}" if remedy else ""))
