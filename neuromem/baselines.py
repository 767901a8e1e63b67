"""Honest baselines behind the same verbs as the memories."""

from typing import Any, ClassVar

import numpy as np

from neuromem import validate
from neuromem.backend import refuse_device
from neuromem.base import Estimator
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.protocols import ItemSpec, Recall
from neuromem.random import RandomState

CUES_PER_BLOCK = 256  # distances are held for this many cues at a time


class ExactStore(Estimator):
    """Keep every item and search them all: the most exact memory, and the dearest in bytes and time.

    Parameters
    ----------
    n_features : int or None, default None
        Width of items; None: that of the first batch.
    capacity : int or None, default None
        Most items kept.
    on_full : {"error", "oldest"}, default "error"
        Beyond the capacity raise CapacityError, or drop the oldest items.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> store = ExactStore()
    >>> store.write([[0.0, 0.0], [1.0, 1.0]], [7, 8])
    array([0, 1])
    >>> store.predict([[0.9, 0.8]])
    array([8])
    """

    _STATE = {"items_": (np.float32, 2), "ids_": (np.int64, 1), "targets_": (np.int64, 1)}
    _SCALARS: ClassVar[tuple[str, ...]] = ("next_id_",)
    items_: np.ndarray
    ids_: np.ndarray
    targets_: np.ndarray
    next_id_: int

    def __init__(self, n_features: int | None = None, capacity: int | None = None, on_full: str = "error") -> None:
        self.n_features = n_features
        self.capacity = capacity
        self.on_full = on_full

    def _validate_params(self) -> None:
        if self.n_features is not None:
            validate.integer(self.n_features, "n_features", 1)
        if self.capacity is not None:
            validate.integer(self.capacity, "capacity", 1)
        validate.choice(self.on_full, "on_full", ("error", "oldest"))

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if not arrays and not scalars:
            return
        n = len(arrays["items_"])
        if arrays["ids_"].shape != (n,) or ("targets_" in arrays and arrays["targets_"].shape != (n,)):
            raise FormatError("ids_ or targets_ are not one per item")
        if not np.isfinite(arrays["items_"]).all():
            raise FormatError("items_ are not finite")
        next_id = scalars["next_id_"]
        if type(next_id) is not int or not 0 <= next_id < 1 << 62 or (n and next_id <= arrays["ids_"].max()):
            raise FormatError("next_id_ is not beyond the ids in use")

    @property
    def n_features_in_(self) -> int:
        """Width of items."""
        self._check_fitted()
        return int(self.items_.shape[1])

    def _checked(self, items: Any, name: str = "items") -> np.ndarray:
        owner = type(self).__name__
        refuse_device(items, name, owner)
        width = self.items_.shape[1] if self._is_fitted() else self.n_features
        return validate.real_items(items, width, name=name, owner=owner, dtype=np.float32)

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """Keep items, real (n, d), with optional integer targets (n,); returns their ids, int64 (n,).

        Raises
        ------
        InputError
            For items of another width, or targets where none were given before (or the reverse).
        CapacityError
            If they do not fit and ``on_full="error"``; nothing is kept then.
        """
        self._validate_params()
        if tags is not None:
            raise InputError(f"tags are given, {type(self).__name__} keeps items and targets only")
        items = self._checked(items)
        fitted = self._is_fitted()
        if fitted and len(self.items_) and (targets is None) != (getattr(self, "targets_", None) is None):
            raise InputError("targets must be given for all items or for none")
        labels = None if targets is None else validate.labels(targets, len(items), name="targets").astype(np.int64)
        kept = len(self.items_) if fitted else 0
        if self.capacity is not None and kept + len(items) > self.capacity and self.on_full == "error":
            raise CapacityError(
                f"{kept} items are kept and {len(items)} came, the capacity is {self.capacity}; use on_full='oldest'"
            )
        first = self.next_id_ if fitted else 0
        ids = np.arange(first, first + len(items), dtype=np.int64)
        start = 0 if self.capacity is None else max(0, kept + len(items) - self.capacity)
        self.items_ = np.concatenate([self.items_, items])[start:] if fitted else items[start:].copy()
        self.ids_ = np.concatenate([self.ids_, ids])[start:] if fitted else ids[start:]
        if labels is not None:
            before = self.targets_ if getattr(self, "targets_", None) is not None else np.empty(0, np.int64)
            self.targets_ = np.concatenate([before, labels])[start:]
        self.next_id_ = first + len(items)
        return ids

    def _nearest(self, cues: np.ndarray, k: int, known: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Positions and squared distances of the k nearest items, ties to the older one."""
        k = min(k, len(self.items_))
        positions = np.empty((len(cues), k), np.int64)
        distances = np.empty((len(cues), k), np.float32)
        squares = (self.items_**2).sum(axis=1)
        for start in range(0, len(cues), CUES_PER_BLOCK):
            block = cues[start : start + CUES_PER_BLOCK]
            if known is None:
                found = squares + (block**2).sum(axis=1)[:, None] - 2 * (block @ self.items_.T)
            else:
                mask = known[start : start + CUES_PER_BLOCK].astype(np.float32)
                given = block * mask
                found = mask @ (self.items_**2).T + (given**2).sum(axis=1)[:, None] - 2 * (given @ self.items_.T)
            order = np.argsort(found, axis=1, kind="stable")[:, :k] if k > 1 else found.argmin(axis=1)[:, None]
            positions[start : start + len(block)] = order
            distances[start : start + len(block)] = np.maximum(0, np.take_along_axis(found, order, axis=1))
        return positions, distances

    def read(self, cues: Any, *, k: int = 1) -> Recall:
        """The k nearest items: values float32 (n, k, d), ids, scores = minus the Euclidean distance."""
        validate.integer(k, "k", 1)
        cues = self._checked(cues, "cues")
        values = np.zeros((len(cues), k, cues.shape[1]), np.float32)
        ids = np.full((len(cues), k), -1, np.int64)
        scores = np.full((len(cues), k), -np.inf, np.float32)
        if self._is_fitted() and len(self.items_):
            positions, distances = self._nearest(cues, k)
            found = positions.shape[1]
            values[:, :found], ids[:, :found] = self.items_[positions], self.ids_[positions]
            scores[:, :found] = -np.sqrt(distances)
        return Recall(values, ids, scores)

    def complete(self, cues: Any, known: Any) -> np.ndarray:
        """Unknown features from the item whose known part is nearest, float32 (n, d)."""
        self._check_fitted()
        cues = self._checked(cues, "cues")
        known = validate.feature_mask(known, *cues.shape)
        if not len(self.items_):
            raise CapacityError("nothing is stored yet, so nothing can be completed")
        positions, _ = self._nearest(cues, 1, known)
        return np.where(known, cues, self.items_[positions[:, 0]])

    def familiarity(self, items: Any) -> np.ndarray:
        """Minus the distance to the nearest item, float32 (n,)."""
        return self.read(items).scores[:, 0]

    def predict(self, items: Any) -> np.ndarray:
        """The target of the nearest item, int64 (n,)."""
        self._check_fitted()
        if getattr(self, "targets_", None) is None or not len(self.items_):
            raise InputError("predict needs targets; give them to write")
        positions, _ = self._nearest(self._checked(items), 1)
        return self.targets_[positions[:, 0]]

    def forget(self, ids: Any) -> int:
        """Remove items by their ids; returns how many went."""
        self._check_fitted()
        gone = np.isin(self.ids_, np.asarray(ids, np.int64))
        self.items_, self.ids_ = self.items_[~gone], self.ids_[~gone]
        if getattr(self, "targets_", None) is not None:
            self.targets_ = self.targets_[~gone]
        return int(gone.sum())

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        for name in (*self._STATE, *self._SCALARS):
            self.__dict__.pop(name, None)

    def __len__(self) -> int:
        return len(self.items_) if self._is_fitted() else 0

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as things stand."""
        return () if getattr(self, "targets_", None) is not None else ("predict",)

    @property
    def item_spec(self) -> ItemSpec:
        """Real items."""
        width = self.items_.shape[1] if self._is_fitted() else self.n_features
        if width is None:
            raise InputError("the width of items is not known before the first write; give n_features")
        return ItemSpec(int(width), "real", None)

    def estimate_nbytes(self, n_items: int, n_features: int | None = None) -> int:
        """Bytes that so many items take."""
        return n_items * (4 * (n_features or self.n_features_in_) + 16)

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "ExactStore":
        """A store that keeps the newest items within ``n_bytes``.

        Raises
        ------
        CapacityError
            If not even one item fits.
        """
        capacity = n_bytes // (4 * item_spec.n_features + 16)
        if capacity < 1:
            raise CapacityError(f"n_bytes={n_bytes} holds no item of {item_spec.n_features} features")
        return cls(item_spec.n_features, int(capacity), "oldest")
