"""What a multitasking network has learned: patterns, or integer sums over examples; adding, taking away, putting together."""

from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.base import Estimator
from neuromem.errors import CapacityError, FormatError, InputError, InputTypeError
from neuromem.hopfield.closed_forms import NORMS, coupling_scale
from neuromem.hopfield.engines import Columns
from neuromem.hopfield.patterns import qualities_of, refuse_blank, ternary_items
from neuromem.random import RandomState, seed_sequence_of

LEARNINGS = ("store", "supervised", "unsupervised")
LARGEST_COUNT = 2**31 - 1


class HebbianState(Estimator):
    """Parameters and sufficient statistics; :class:`MultitaskingHebbian` adds what they do."""

    _STATE = {
        "patterns_": (np.int8, 2),  # store: the rows themselves, in storage order
        "ids_": (np.int64, 1),
        "sums_": (np.int32, 2),  # supervised: per pattern; unsupervised: over all examples, one row
        "n_examples_": (np.int64, 1),
        "n_entries_": (np.int64, 1),  # entries that are not 0, over all examples
        "examples_": (np.int8, 2),  # unsupervised, while they take less room than their products
        "gram_": (np.int32, 2),
    }
    _SCALARS = ("n_features_in_", "n_presented_", "entropy_")
    n_units: int | None
    n_patterns: int | None
    learning: str
    quality: Any
    norm: str
    keep_examples: bool | None
    capacity: int | None
    on_full: str
    random_state: RandomState
    n_features_in_: int
    n_presented_: int
    entropy_: list[int]

    def _validate_params(self) -> None:
        validate.choice(self.learning, "learning", LEARNINGS)
        validate.choice(self.norm, "norm", NORMS)
        validate.choice(self.keep_examples, "keep_examples", (None, True, False))
        validate.choice(self.on_full, "on_full", ("error", "oldest"))
        if self.n_units is not None:
            validate.integer(self.n_units, "n_units", 1, 2**31 - 1)
        if self.n_patterns is not None:
            validate.integer(self.n_patterns, "n_patterns", 1, LARGEST_COUNT)
        if self.capacity is not None:
            validate.integer(self.capacity, "capacity", 1)
            if self.learning != "store":
                raise InputError(f"capacity is {self.capacity}, but sums over examples do not grow: None was expected")
        if isinstance(self.quality, (list, tuple)):
            for value in self.quality:
                validate.number(value, "quality", low=0, high=1, low_open=True)
            if self.n_patterns not in (None, len(self.quality)) or not self.quality:
                raise InputError(
                    f"quality has {len(self.quality)} numbers, one for each of n_patterns={self.n_patterns} was expected"
                )
        elif isinstance(self.quality, np.ndarray):
            raise InputTypeError("quality is an array, None, a number or a list of numbers was expected: use quality.tolist()")
        elif self.quality is not None:
            validate.number(self.quality, "quality", low=0, high=1, low_open=True)
        if self.learning == "unsupervised" and isinstance(self.quality, (list, tuple)):
            raise InputError("quality is a list, but examples without labels have one in common: a number or None was expected")
        if self.learning == "unsupervised" and self.n_patterns is None:
            raise InputError("n_patterns is None, the number of patterns behind the unlabelled examples was expected")

    def _is_fitted(self) -> bool:
        return hasattr(self, "n_features_in_")

    def _n_named(self) -> int | None:
        """K, as far as the parameters tell."""
        return len(self.quality) if isinstance(self.quality, (list, tuple)) else self.n_patterns

    # ---------------------------------------------------------------- memory of items

    def _allocate(self, n_features: int) -> None:
        """Make the empty memory for items of ``n_features``."""
        self.n_features_in_ = n_features
        self.n_presented_ = 0
        self.entropy_ = [int(word) for word in seed_sequence_of(self.random_state).generate_state(4)]
        if self.learning == "store":
            self.patterns_ = np.empty((0, n_features), np.int8)
            self.ids_ = np.empty(0, np.int64)
            return
        n_rows = 1 if self.learning == "unsupervised" else self._n_named() or 0
        self.sums_ = np.zeros((n_rows, n_features), np.int32)
        self.n_examples_ = np.zeros(n_rows, np.int64)
        self.n_entries_ = np.zeros(n_rows, np.int64)
        if self.learning == "unsupervised":
            if self.keep_examples is False:
                self.gram_ = np.zeros((n_features, n_features), np.int32)
            else:
                self.examples_ = np.empty((0, n_features), np.int8)

    def _checked_items(self, items: Any, targets: Any, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Items and labels as this way of learning wants them; nothing changes."""
        self._validate_params()
        width = self.n_features_in_ if self._is_fitted() else self.n_units
        items = ternary_items(items, width, name=name, owner=type(self).__name__)
        refuse_blank(items, name)
        if self.learning != "supervised":
            return items, None
        labels = validate.labels(targets, len(items), name="targets")
        if len(labels) and (labels.dtype.kind not in "iuf" or labels.min() < 0):
            raise InputError(
                f"targets has {labels.dtype} such as {labels.tolist()[0]!r}, pattern numbers from 0 up were expected"
            )
        most = self._n_named() or LARGEST_COUNT
        if len(labels) and labels.max() >= most:
            raise InputError(f"targets has the pattern {int(labels.max())}, numbers below n_patterns={most} were expected")
        return items, labels.astype(np.int64)

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """Add items: to the stored patterns, or to the sums over examples.

        Parameters
        ----------
        items : array-like of -1, 0, 1 (n, n_units)
        targets : array-like of int (n,), optional
            Which pattern each example is of; required, and only looked at, where ``learning="supervised"``.
        tags : None
            Not kept.

        Returns
        -------
        ids : int64 (n,)
            Running numbers of the items.

        Raises
        ------
        InputError, InputTypeError
            For entries other than -1, 0 and 1, items of zeros only, another width, labels missing or out of range.
        CapacityError
            If patterns do not fit and ``on_full="error"``.  After any error nothing has changed.
        """
        if tags is not None:
            raise InputError("tags are given, MultitaskingHebbian keeps none: None was expected")
        items, labels = self._checked_items(items, targets, "items")
        kept = len(self.patterns_) if self._is_fitted() and self.learning == "store" else 0
        if self.capacity is not None and self.on_full == "error" and kept + len(items) > self.capacity:
            raise CapacityError(
                f"{kept} patterns are kept and {len(items)} came, the capacity is {self.capacity}; use on_full='oldest'"
            )
        if self._is_fitted() and int(self._n_learned()) + len(items) > LARGEST_COUNT:
            raise CapacityError(f"{self._n_learned()} examples were summed and {len(items)} came, 2**31 - 1 are the most")
        if not self._is_fitted():
            self._allocate(items.shape[1])
        ids = np.arange(self.n_presented_, self.n_presented_ + len(items), dtype=np.int64)
        self._change(items, labels, ids, 1)
        self.n_presented_ += len(items)
        return ids

    def _n_learned(self) -> int:
        return len(self.patterns_) if self.learning == "store" else int(self.n_examples_.sum())

    def _change(self, items: np.ndarray, labels: np.ndarray | None, ids: np.ndarray, sign: int) -> None:
        """Add checked items (sign 1), or take them from the sums (sign -1)."""
        self._forget_derived()
        if self.learning == "store":
            start = 0 if self.capacity is None else max(0, len(self.patterns_) + len(items) - self.capacity)
            self.patterns_ = np.concatenate([self.patterns_, items])[start:]
            self.ids_ = np.concatenate([self.ids_, ids])[start:]
            return
        if labels is None:
            labels = np.zeros(len(items), np.int64)
            if hasattr(self, "gram_"):
                self.gram_ += sign * products(items)
            elif sign > 0:
                self.examples_ = np.concatenate([self.examples_, items])
        elif len(labels):
            self._grow(int(labels.max()) + 1)
        for k in np.unique(labels):
            mine = items[labels == k]
            self.sums_[k] += np.int32(sign) * mine.sum(axis=0, dtype=np.int32)
            self.n_examples_[k] += sign * len(mine)
            self.n_entries_[k] += sign * np.count_nonzero(mine)
        self._condense()

    def _grow(self, n_patterns: int) -> None:
        """Make room for pattern numbers below ``n_patterns``."""
        missing = n_patterns - len(self.sums_)
        if missing > 0:
            self.sums_ = np.concatenate([self.sums_, np.zeros((missing, self.n_features_in_), np.int32)])
            self.n_examples_ = np.append(self.n_examples_, np.zeros(missing, np.int64))
            self.n_entries_ = np.append(self.n_entries_, np.zeros(missing, np.int64))

    def _condense(self) -> None:
        """Keep products of units instead of examples once these outnumber the units."""
        if hasattr(self, "examples_") and self.keep_examples is None and len(self.examples_) > self.n_features_in_:
            self.gram_ = products(self.examples_)
            del self.examples_

    def unlearn(self, items: Any, targets: Any = None) -> Self:
        """Take items away again, as if they had never come.

        Parameters
        ----------
        items : array-like of -1, 0, 1 (n, n_units)
        targets : array-like of int (n,), optional
            As they were written.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If an item is not kept, or cannot be part of the sums; nothing has changed then.
        """
        self._check_fitted()
        items, labels = self._checked_items(items, targets, "items")
        if self.learning == "store" or hasattr(self, "examples_"):
            self._drop(self._places_of(items))
            return self
        places = np.zeros(len(items), np.int64) if labels is None else labels
        if len(places) and places.max() >= len(self.sums_):
            raise InputError(f"targets has the pattern {int(places.max())}, of which no example was learned")
        for k in np.unique(places):
            mine = items[places == k]
            left = int(self.n_examples_[k]) - len(mine)
            entries = int(self.n_entries_[k]) - np.count_nonzero(mine)
            if left < 0 or entries < 0 or (abs(self.sums_[k] - mine.sum(axis=0, dtype=np.int64)) > left).any():
                raise InputError(f"items has {len(mine)} examples of pattern {int(k)} that are not part of its sums")
        self._change(items, labels, np.empty(0, np.int64), -1)
        return self

    def _places_of(self, items: np.ndarray) -> np.ndarray:
        """Where equal rows are kept, a place for each item, the newest first."""
        rows = self.patterns_ if self.learning == "store" else self.examples_
        free: dict[bytes, list[int]] = {}
        for place, row in enumerate(rows):
            free.setdefault(row.tobytes(), []).append(place)
        places = []
        for i, item in enumerate(items):
            if not (found := free.get(item.tobytes())):
                raise InputError(f"items[{i}] is not kept, so it cannot be unlearned")
            places.append(found.pop())
        return np.array(places, np.int64)

    def _drop(self, places: np.ndarray) -> None:
        """Remove kept rows by their places."""
        self._forget_derived()
        if self.learning == "store":
            self.patterns_ = np.delete(self.patterns_, places, axis=0)
        else:
            gone = self.examples_[places]
            self.sums_[0] -= gone.sum(axis=0, dtype=np.int32)
            self.n_examples_[0] -= len(gone)
            self.n_entries_[0] -= np.count_nonzero(gone)
            self.examples_ = np.delete(self.examples_, places, axis=0)
        if self.learning == "store":
            self.ids_ = np.delete(self.ids_, places)

    def forget(self, ids: Any) -> int:
        """Remove stored patterns by their ids; returns how many went.

        Raises
        ------
        InputError
            Where sums are kept, not patterns (see :meth:`unlearn`).
        """
        self._check_fitted()
        if self.learning != "store":
            raise InputError(f"forget needs rows that are kept, learning={self.learning!r} keeps sums: use unlearn")
        places = np.flatnonzero(np.isin(self.ids_, np.asarray(ids, np.int64)))
        self._drop(places)
        return len(places)

    def merge(self, other: "HebbianState") -> Self:
        """Add what another network has learned: the same, to the bit, as having learned all of it here.

        Sums are commutative and associative; stored patterns and kept examples are appended, which leaves couplings the same
        in any order.

        Raises
        ------
        InputError
            If the other has another width or parameters (learning, quality, norm, n_patterns); nothing has changed then.
        """
        if not isinstance(other, HebbianState):
            raise InputTypeError(f"other is a {type(other).__name__}, a {type(self).__name__} was expected")
        self._validate_params()
        for name in ("learning", "quality", "norm", "n_patterns", "keep_examples"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise InputError(f"other has {name}={theirs!r}, {mine!r} was expected")
        if not other._is_fitted():
            return self
        width = self.n_features_in_ if self._is_fitted() else self.n_units
        if width not in (None, other.n_features_in_):
            raise InputError(f"other has {other.n_features_in_} units, {width} were expected")
        if not self._is_fitted():
            self._allocate(other.n_features_in_)
        self._forget_derived()
        if self.learning == "store":
            self._change(other.patterns_, None, self.n_presented_ + np.arange(len(other.patterns_)), 1)
        else:
            self._grow(len(other.sums_))
            self.sums_[: len(other.sums_)] += other.sums_
            self.n_examples_[: len(other.sums_)] += other.n_examples_
            self.n_entries_[: len(other.sums_)] += other.n_entries_
            self._merge_rows(other)
        self.n_presented_ += other.n_presented_
        return self

    def _merge_rows(self, other: "HebbianState") -> None:
        """Examples without labels, as rows or products."""
        if self.learning != "unsupervised":
            return
        if hasattr(self, "examples_") and hasattr(other, "examples_"):
            self.examples_ = np.concatenate([self.examples_, other.examples_])
            self._condense()
            return
        mine, theirs = (m.gram_ if hasattr(m, "gram_") else products(m.examples_) for m in (self, other))
        self.gram_ = mine + theirs
        self.__dict__.pop("examples_", None)

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        for name in (*self._STATE, *self._SCALARS):
            self.__dict__.pop(name, None)
        self._forget_derived()

    def _forget_derived(self) -> None:
        self.__dict__.pop("columns_", None)

    def _after_load(self) -> None:
        self._forget_derived()

    def __len__(self) -> int:
        return self._n_learned() if self._is_fitted() else 0

    # ---------------------------------------------------------------- what the couplings are made of

    @property
    def dilution_(self) -> float:
        """Share of blank entries in what was learned, from 0 below 1 (0 where nothing was)."""
        self._check_fitted()
        if self.learning == "store":
            return 1 - np.count_nonzero(self.patterns_) / self.patterns_.size if self.patterns_.size else 0.0
        total = int(self.n_examples_.sum()) * self.n_features_in_
        return 1 - int(self.n_entries_.sum()) / total if total else 0.0

    @property
    def examples_per_pattern_(self) -> np.ndarray:
        """M of each pattern, float64; without labels the mean."""
        self._check_fitted()
        if self.learning == "store":
            return np.ones(len(self.patterns_))
        if self.learning == "unsupervised":
            return np.full(int(self.n_patterns or 1), self.n_examples_[0] / (self.n_patterns or 1))
        return self.n_examples_.astype(float)

    @property
    def quality_(self) -> np.ndarray:
        """Quality r of each pattern's examples, float64: as given, or estimated.

        Raises
        ------
        InputError
            "quality cannot be estimated": fewer than two examples, or no agreement between them.

        Notes
        -----
        Two different examples of a pattern agree at a site by r**2 on average, so r**2 = U / (1 - d) with
        U = mean over sites of ((sum_a eta)**2 - sum_a eta**2) / (M (M - 1)), unbiased [derived].  Without labels the sums
        run over all examples and the division is by K M (M - 1); products across patterns average out as 1 / sqrt(N).
        """
        M = self.examples_per_pattern_
        if self.learning == "store":
            return np.ones(len(M))
        if self.quality is not None:
            return qualities_of(list(self.quality) if isinstance(self.quality, tuple) else self.quality, len(M))
        pooled = self.learning == "unsupervised"
        pairs = ((self.sums_.astype(float) ** 2).sum(axis=1) - self.n_entries_) / self.n_features_in_
        with np.errstate(divide="ignore", invalid="ignore"):
            active = self.n_entries_ / (self.n_examples_ * float(self.n_features_in_))
            squared = pairs / (M * (M - 1))[: len(pairs)] / active / (len(M) if pooled else 1)
        seen = self.n_examples_ > 0
        bad = seen & ~((squared > 0) & (M[: len(pairs)] >= 2))
        if bad.any():
            k = int(bad.argmax())
            what = "the examples" if pooled else f"pattern {k}"
            raise InputError(
                f"quality cannot be estimated for {what}: M is {M[k]:g}, r**2 comes out as {squared[k]:.2g}; at least two "
                "examples that agree were expected, or give quality"
            )
        found = np.where(seen, np.sqrt(np.minimum(1.0, np.where(seen, squared, 1.0))), 1.0)
        return np.full(len(M), found[0]) if pooled else found

    @property
    def entropies_(self) -> np.ndarray:
        """Dataset entropy rho = (1 - r**2) / (M r**2) of each pattern, float64; 0 for stored patterns."""
        r, M = self.quality_, self.examples_per_pattern_
        return np.array([(1 - q * q) / (m * q * q) if m > 0 else 0.0 for q, m in zip(r, M, strict=True)])

    @property
    def scales_(self) -> np.ndarray:
        """Coupling scale c of each pattern, float64, by ``norm``."""
        return np.array([coupling_scale(self.dilution_, float(rho), self.norm) for rho in self.entropies_])

    def _columns(self) -> Columns:
        """The couplings in a form that engines take; kept until something changes."""
        if "columns_" not in self.__dict__:
            self.__dict__["columns_"] = self._make_columns()
        found: Columns = self.__dict__["columns_"]
        return found

    def _make_columns(self) -> Columns:
        n = self.n_features_in_
        if self._n_learned() == 0:
            return Columns(np.zeros((n, 0), np.int8), np.zeros(0), 0.0)
        M, r, c = self.examples_per_pattern_, self.quality_, self.scales_
        if self.learning == "unsupervised":
            factor = float(c[0] / (M[0] * r[0] ** 2) / n)
            if hasattr(self, "gram_"):
                links = self.gram_.copy()
                np.fill_diagonal(links, 0)
                return Columns(np.zeros((n, 0), np.int8), np.zeros(0), factor, links)
            return Columns(np.ascontiguousarray(self.examples_.T), np.ones(len(self.examples_)), factor)
        strength = np.where(M > 0, c / (np.maximum(M, 1) * r) ** 2, 0.0)
        rows = self.patterns_.T if self.learning == "store" else self.sums_.T
        return Columns(np.ascontiguousarray(rows), strength / strength.max(), float(strength.max() / n))

    # ---------------------------------------------------------------- soundness of what a file holds

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if not arrays and not scalars:
            return
        n, presented, entropy = scalars["n_features_in_"], scalars["n_presented_"], scalars["entropy_"]
        if type(n) is not int or not 1 <= n < 2**31 or self.n_units not in (None, n):
            raise FormatError(f"n_features_in_ is {n!r}, a positive integer that fits n_units was expected")
        if type(presented) is not int or presented < 0:
            raise FormatError(f"n_presented_ is {presented!r}, a count was expected")
        if not isinstance(entropy, list) or len(entropy) != 4 or not all(type(w) is int and 0 <= w < 2**32 for w in entropy):
            raise FormatError("entropy_ is not a list of four 32-bit words")
        wanted = {"store": {"patterns_", "ids_"}, "supervised": {"sums_", "n_examples_", "n_entries_"}}
        wanted["unsupervised"] = wanted["supervised"] | {"examples_" if "examples_" in arrays else "gram_"}
        if set(arrays) != wanted[self.learning]:
            raise FormatError(f"learning {self.learning!r} holds the arrays {sorted(wanted[self.learning])}")
        for name in ("patterns_", "examples_", "sums_", "gram_"):
            if name in arrays and arrays[name].shape[1] != n:
                raise FormatError(f"{name} has {arrays[name].shape[1]} columns, {n} were expected")
        for name in ("patterns_", "examples_"):
            if name in arrays and (abs(arrays[name].astype(np.int16)) > 1).any():
                raise FormatError(f"{name} has entries other than -1, 0 and 1")
        if self.learning == "store":
            check_ids(arrays["patterns_"], arrays["ids_"], presented, self.capacity)
        else:
            check_sums(arrays, n, 1 if self.learning == "unsupervised" else None, self._n_named())


def products(items: np.ndarray) -> np.ndarray:
    """Sums over items of the products of two units, int32 (n_units, n_units)."""
    found = np.zeros((items.shape[1], items.shape[1]), np.int32)
    for start in range(0, len(items), 1 << 20):  # float32 sums are whole numbers below 2**24
        block = items[start : start + (1 << 20)].astype(np.float32)
        found += (block.T @ block).astype(np.int32)
    return found


def check_ids(patterns: np.ndarray, ids: np.ndarray, presented: int, capacity: int | None) -> None:
    """Raise FormatError unless ids are those of stored patterns."""
    if ids.shape != (len(patterns),) or (len(ids) and (ids[0] < 0 or ids[-1] >= presented or (np.diff(ids) <= 0).any())):
        raise FormatError("ids_ are not increasing numbers, one per pattern")
    if capacity is not None and len(ids) > capacity:
        raise FormatError(f"{len(ids)} patterns are kept, the capacity is {capacity}")
    if not patterns.any(axis=1).all():
        raise FormatError("patterns_ has a row of zeros")


def check_sums(arrays: dict[str, np.ndarray], n_units: int, n_rows: int | None, n_patterns: int | None) -> None:
    """Raise FormatError unless sums over examples fit their numbers."""
    sums, n_examples, n_entries = (arrays[name] for name in ("sums_", "n_examples_", "n_entries_"))
    rows = len(sums)
    if n_examples.shape != (rows,) or n_entries.shape != (rows,) or (n_rows is not None and rows != n_rows):
        raise FormatError("n_examples_ and n_entries_ are not one per row of sums_")
    if n_rows is None and n_patterns is not None and rows != n_patterns:
        raise FormatError(f"sums_ has {rows} rows, n_patterns is {n_patterns}")
    if (n_examples < 0).any() or (n_examples > LARGEST_COUNT).any() or (n_entries > n_examples * n_units).any():
        raise FormatError("n_examples_ or n_entries_ are out of range")
    if (abs(sums.astype(np.int64)) > n_examples[:, None]).any() or (abs(sums.astype(np.int64)).sum(axis=1) > n_entries).any():
        raise FormatError("sums_ are larger than so many examples allow")
    if "examples_" in arrays:
        examples = arrays["examples_"]
        same = len(examples) == n_examples[0] and np.count_nonzero(examples) == n_entries[0]
        if not same or not np.array_equal(examples.sum(axis=0, dtype=np.int64), sums[0]):
            raise FormatError("sums_ are not those of examples_")
    if "gram_" in arrays:
        gram = arrays["gram_"]
        if gram.shape != (n_units, n_units) or not np.array_equal(gram, gram.T) or int(np.trace(gram)) != n_entries[0]:
            raise FormatError("gram_ is not a matrix of products of so many entries")
