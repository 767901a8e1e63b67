"""What the classic associative memories share: checks of items, the verbs around one step called "settle", rows that are kept."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np

from neuromem import validate
from neuromem.backend import refuse_device
from neuromem.base import Estimator
from neuromem.errors import CapacityError, ConvergenceWarning, FormatError, InputError, InputTypeError
from neuromem.protocols import ItemSpec, Recall
from neuromem.random import RandomState, generator_for, seed_sequence_of

CUES_PER_BLOCK = 256  # states, overlaps and fields are held for this many cues at a time
PARALLEL_WORK = 1 << 20  # products from which other threads are worth starting
BLOCK = 8  # rows of a product of real numbers, padded: products of one shape give a row the same bits in every batch
MOST_FEATURES = 2**31


def sign_items(X: Any, n_features: int | None, *, name: str, owner: str, zeros: bool = False) -> np.ndarray:
    """Items of -1 and 1, and 0 where ``zeros``, as int8 (n, d), C-contiguous.

    Raises
    ------
    InputTypeError
        For bool or unsigned input, which cannot hold -1.
    InputError
        For any other value, naming the first, or as :func:`neuromem.validate.table`.
    """
    X = validate.table(X, n_features, name=name, owner=owner)
    wanted = "-1, 0 or 1" if zeros else "-1 or 1"
    if X.dtype.kind in "bu":
        raise InputTypeError(f"{name} is {X.dtype}, {wanted} was expected: turn 0 and 1 into signs by 2*x-1 on signed integers")
    bad = np.abs(X) != 1
    if zeros:
        bad &= X != 0
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        hint = "; turn 0 and 1 into signs by 2*x-1" if ((X == 0) | (X == 1)).all() else ""
        raise InputError(f"{name} has the value {X[place]} at {place}, {wanted} was expected{hint}")
    return np.ascontiguousarray(X, np.int8)


def pack_bits(items: np.ndarray) -> np.ndarray:
    """Flags (n, d) as uint64 words (n, ceil(d / 64)); bit j of word w is feature 64 w + j, bits beyond d are 0."""
    n, d = items.shape
    octets = np.zeros((n, 8 * -(-d // 64)), np.uint8)
    packed = np.packbits(items != 0, axis=1, bitorder="little")
    octets[:, : packed.shape[1]] = packed
    return octets.view("<u8").astype(np.uint64, copy=False)


def blocks(n: int, size: int = CUES_PER_BLOCK) -> list[slice]:
    """Slices that cover ``n`` rows."""
    return [slice(start, min(n, start + size)) for start in range(0, n, size)]


@dataclass(frozen=True, slots=True)
class Settled:
    """What a memory made of its cues: values (n, d), ids int64 (n,), scores float (n,), further arrays, who settled."""

    values: np.ndarray
    ids: np.ndarray
    scores: np.ndarray
    info: Mapping[str, np.ndarray] = field(default_factory=dict)


class AssociativeMemory(Estimator):
    """Base of the classic associative memories: a subclass says how items are learned and what cues settle to."""

    _KIND: ClassVar[Literal["binary", "sign", "ternary", "real"]] = "sign"
    _DENSITY: ClassVar[float | None] = None  # share of ones that binary items should have
    _VALUES: ClassVar[Any] = np.int8
    _SCALARS: ClassVar[tuple[str, ...]] = ("n_features_in_", "n_written_", "entropy_")
    n_features: int | None
    n_features_in_: int
    n_written_: int
    entropy_: list[int] | None

    # ---------------------------------------------------------------- what a subclass says

    def _check_items(self, items: Any, width: int | None, name: str) -> np.ndarray:
        """Items as this memory holds them."""
        return sign_items(items, width, name=name, owner=type(self).__name__)

    def _check_targets(self, targets: Any, items: np.ndarray) -> np.ndarray | None:
        """Targets as this memory holds them."""
        if targets is not None:
            raise InputError(f"{type(self).__name__} stores no targets; BidirectionalAssociativeMemory and WillshawMemory do")
        return None

    def _admit(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        """Raise if the items cannot be learned; nothing has changed yet."""

    def _allocate(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        """Make the empty memory for items like these."""

    def _learn(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        """Add items that were checked."""
        raise TypeError(f"{type(self).__name__} does not learn")

    def _settle(self, cues: np.ndarray, known: np.ndarray | None) -> Settled:
        """What cues settle to, units held where ``known``; without it the whole cue is the start."""
        raise TypeError(f"{type(self).__name__} does not recall")

    def _familiarity(self, items: np.ndarray) -> np.ndarray:
        """Score of each item as it stands."""
        raise TypeError(f"{type(self).__name__} gives no familiarity")

    def _value_width(self, width: int) -> int:
        """Width of what a read gives for cues of a width."""
        return width

    # ---------------------------------------------------------------- parameters and state

    def _validate_params(self) -> None:
        if self.n_features is not None:
            validate.integer(self.n_features, "n_features", 1, MOST_FEATURES - 1)

    def _is_fitted(self) -> bool:
        return getattr(self, "n_features_in_", None) is not None

    def _width(self) -> int | None:
        return self.n_features_in_ if self._is_fitted() else self.n_features

    def _checked(self, items: Any, name: str = "items") -> np.ndarray:
        refuse_device(items, name, type(self).__name__)
        return self._check_items(items, self._width(), name)

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if not arrays and not scalars:
            return
        if set(scalars) != set(self._SCALARS):
            raise FormatError(f"scalars are {sorted(scalars)}, {sorted(self._SCALARS)} were expected")
        width, written, entropy = (scalars[name] for name in ("n_features_in_", "n_written_", "entropy_"))
        if type(width) is not int or not 1 <= width < MOST_FEATURES or self.n_features not in (None, width):
            raise FormatError(f"n_features_in_ is {width!r}, the parameters say {self.n_features}")
        if type(written) is not int or written < 0:
            raise FormatError(f"n_written_ is {written!r}, a count was expected")
        if entropy is not None:
            if not isinstance(entropy, list) or len(entropy) != 4 or not all(type(w) is int and 0 <= w < 2**32 for w in entropy):
                raise FormatError("entropy_ is not a list of four 32-bit words")
        shapes = self._shapes(arrays, scalars)
        if set(arrays) != set(shapes):
            raise FormatError(f"arrays are {sorted(arrays)}, {sorted(shapes)} were expected")
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise FormatError(f"{name} has shape {arrays[name].shape}, {shape} was expected")

    def _shapes(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        """Shapes that the arrays of a saved state must have."""
        raise TypeError(f"{type(self).__name__} does not say what a saved state holds")

    def _draw_entropy(self, random_state: RandomState, needed: bool) -> None:
        """Resolve the seed once; None where nothing is drawn."""
        self.entropy_ = [int(w) for w in seed_sequence_of(random_state).generate_state(4)] if needed else None

    def _sweep_order(self) -> np.ndarray:
        """Units in the order of a sweep, int32 (N,): as they are numbered, or in one order drawn at the first write."""
        if self.entropy_ is None:
            return np.arange(self.n_features_in_, dtype=np.int32)
        generator = generator_for(np.random.SeedSequence(self.entropy_), "hopfield.spins")
        return generator.permutation(self.n_features_in_).astype(np.int32)

    # ---------------------------------------------------------------- verbs

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """Store items, (n, d), in one presentation each.

        Parameters
        ----------
        items : array (n, d)
            Of the kind that ``item_spec`` names.
        targets : array (n, m), optional
            What the items are paired with, for memories of pairs; others refuse them.
        tags : None
            Not kept.

        Returns
        -------
        ids : int64 (n,)
            Running numbers of the items.

        Raises
        ------
        InputError
            For values, shapes or widths that do not fit; nothing is stored then.
        InputTypeError
            For items of 0 and 1 in bool or unsigned integers where signs were expected.
        CapacityError
            Where a memory that keeps its items is full and ``on_full="error"``.
        """
        self._validate_params()
        if tags is not None:
            raise InputError(f"tags are given, {type(self).__name__} keeps none")
        items = self._checked(items)
        paired = self._check_targets(targets, items)
        self._admit(items, paired)
        if not self._is_fitted():
            self.n_features_in_, self.n_written_, self.entropy_ = items.shape[1], 0, None
            self._allocate(items, paired)
        first = self.n_written_
        if len(items):
            self._learn(items, paired)
        self.n_written_ = first + len(items)
        return np.arange(first, self.n_written_, dtype=np.int64)

    def read(self, cues: Any, *, k: int = 1) -> Recall:
        """Let each cue settle to what the memory makes of it.

        Parameters
        ----------
        cues : array (n, d)
        k : int, default 1
            Places in the answer; the state reached is in the first, the others stay empty.

        Returns
        -------
        Recall
            ``values`` (n, k, d); ``ids`` the stored item that is nearest to the state reached, -1 where the memory keeps none;
            ``scores`` as those of ``familiarity``, -inf in empty places; ``info`` as the class says.

        Raises
        ------
        InputError
            For cues that do not fit, or k below 1.

        Warns
        -----
        ConvergenceWarning
            If a cue had not settled after the allowed steps; ``info["converged"]`` tells which.
        """
        validate.integer(k, "k", 1)
        cues = self._checked(cues, "cues")
        n, width = cues.shape
        values = np.zeros((n, k, self._value_width(width)), self._VALUES)
        ids = np.full((n, k), -1, np.int64)
        scores = np.full((n, k), -np.inf, np.float32)
        if not len(self):
            return Recall(values, ids, scores)
        settled = self._settle(cues, None)
        self._warn_unsettled(settled)
        if k == 1:
            values = settled.values[:, None]
        else:
            values[:, 0] = settled.values
        ids[:, 0], scores[:, 0] = settled.ids, settled.scores
        return Recall(values, ids, scores, settled.info)

    def complete(self, cues: Any, known: Any) -> np.ndarray:
        """Fill in unknown features while the known ones are held.

        Parameters
        ----------
        cues : array (n, d)
        known : bool (n, d) or (d,)
            True where the feature is given; the others are ignored.

        Returns
        -------
        array (n, d)
            Given features as they are, the others as the memory settles.

        Raises
        ------
        NotFittedError, CapacityError
            If nothing is stored.
        InputError, InputTypeError
            For cues or a mask that do not fit.
        """
        self._check_fitted()
        cues = self._checked(cues, "cues")
        known = np.ascontiguousarray(validate.feature_mask(known, *cues.shape))
        if not len(self):
            raise CapacityError("nothing is stored, so nothing can be completed")
        settled = self._settle(cues, known)
        self._warn_unsettled(settled)
        return np.where(known, cues, settled.values)

    def familiarity(self, items: Any) -> np.ndarray:
        """Score of each item as it stands, float32 (n,), larger is more familiar; 0 where nothing is stored."""
        items = self._checked(items)
        if not len(self):
            return np.zeros(len(items), np.float32)
        return self._familiarity(items).astype(np.float32)

    def _warn_unsettled(self, settled: Settled) -> None:
        converged = settled.info.get("converged")
        if converged is not None and not converged.all():
            warnings.warn(
                f"{int((~converged).sum())} of {len(converged)} cues had not settled after the steps allowed",
                ConvergenceWarning,
                stacklevel=3,
            )

    def merge(self, other: Self) -> Self:
        """Add what another memory with the same settings has stored, as if it had been written here; returns self.

        Parameters
        ----------
        other : memory of the same class
            Is not changed.

        Raises
        ------
        InputError
            For other parameters or widths, or a rule that depends on the order of items.
        InputTypeError
            For another class.
        """
        if type(other) is not type(self):
            raise InputTypeError(f"other is a {type(other).__name__}, a {type(self).__name__} was expected")
        mine, theirs = self.get_params(deep=False), other.get_params(deep=False)
        for name in mine:
            if name != "random_state" and mine[name] != theirs[name]:
                raise InputError(f"{name} is {mine[name]!r} here and {theirs[name]!r} in other; merging needs equal settings")
        if not other._is_fitted():
            return self
        if self._width() not in (None, other.n_features_in_):
            raise InputError(f"other has {other.n_features_in_} features, {self._width()} were expected")
        if not self._is_fitted():
            self.__dict__ = other.copy().__dict__
            return self
        self._merge(other)
        self.n_written_ += other.n_written_
        return self

    def _merge(self, other: Any) -> None:
        """Add the state of a memory that fits."""
        raise InputError(f"{type(self).__name__} cannot be merged: what it stores depends on the order of items")

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        for name in [name for name in self.__dict__ if name not in self._parameter_names()]:
            del self.__dict__[name]

    def __len__(self) -> int:
        return self.n_written_ if self._is_fitted() else 0

    @property
    def item_spec(self) -> ItemSpec:
        """Width, kind and, where binary, density of the items."""
        width = self._width()
        if width is None:
            raise InputError("the width of items is not known before the first write; give n_features")
        return ItemSpec(int(width), self._KIND, self._DENSITY)

    def _given_width(self, n_features: int | None) -> int:
        width = self._width() if n_features is None else n_features
        if width is None:
            raise InputError("n_features is not known before the first write; give it")
        return int(width)


class KeptRows(AssociativeMemory):
    """A memory that keeps its items as rows, up to a capacity, and can forget them by their ids."""

    items_: np.ndarray
    ids_: np.ndarray
    capacity: int | None
    on_full: str

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.capacity is not None:
            validate.integer(self.capacity, "capacity", 1)
        validate.choice(self.on_full, "on_full", ("error", "oldest"))

    def _admit(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        if self.capacity is not None and self.on_full == "error" and len(self) + len(items) > self.capacity:
            raise CapacityError(
                f"{len(self)} items are kept and {len(items)} came, the capacity is {self.capacity}; use on_full='oldest'"
            )

    def _allocate(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        self.items_ = np.empty((0, items.shape[1]), items.dtype)
        self.ids_ = np.empty(0, np.int64)

    def _learn(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        self._append(items, np.arange(self.n_written_, self.n_written_ + len(items)))

    def _append(self, items: np.ndarray, ids: np.ndarray) -> None:
        start = 0 if self.capacity is None else max(0, len(self.items_) + len(items) - self.capacity)
        self.items_ = np.concatenate([self.items_, items])[start:]
        self.ids_ = np.concatenate([self.ids_, ids])[start:]
        self._rows_changed()

    def _rows_changed(self) -> None:
        """Drop what was derived from the rows."""

    def _merge(self, other: Any) -> None:
        self._admit(other.items_, None)
        self._append(other.items_, other.ids_ + self.n_written_)

    def forget(self, ids: Any) -> int:
        """Remove items by their ids, integers (n,); returns how many went."""
        self._check_fitted()
        gone = np.isin(self.ids_, np.asarray(ids, np.int64))
        self.items_, self.ids_ = self.items_[~gone], self.ids_[~gone]
        self._rows_changed()
        return int(gone.sum())

    def __len__(self) -> int:
        return len(self.items_) if self._is_fitted() else 0

    def _shapes(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        n = len(arrays["items_"])
        if self.capacity is not None and n > self.capacity:
            raise FormatError(f"{n} items are kept, the capacity is {self.capacity}")
        check_ids(arrays["ids_"], scalars["n_written_"])
        return {"items_": (n, scalars["n_features_in_"]), "ids_": (n,)}


def check_ids(ids: np.ndarray, n_written: int) -> None:
    """Ids of a saved state rise and were given out."""
    if len(ids) and (ids[0] < 0 or ids[-1] >= n_written or (np.diff(ids) <= 0).any()):
        raise FormatError("ids_ do not rise below n_written_")


def check_signs(array: np.ndarray, name: str, *, zeros: bool = False) -> None:
    """Entries of a saved state are signs."""
    good = np.abs(array) == 1
    if not (good | (array == 0) if zeros else good).all():
        raise FormatError(f"{name} has entries other than signs")


def overlaps_with(states: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """(1/N) X s, float64 (n, K), exact: products of small integers in float64."""
    return states.astype(np.float64) @ patterns.astype(np.float64).T / patterns.shape[1]


def padded(array: Any, part: slice) -> Any:
    """A part of the rows, filled up with zeros to a whole block."""
    if array is None:
        return None
    block = np.zeros((BLOCK, array.shape[1]), array.dtype)
    block[: part.stop - part.start] = array[part]
    return block
