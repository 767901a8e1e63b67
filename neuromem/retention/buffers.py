"""Buffers of items as memories whose forgetting is known exactly: the newest items, or a fair sample of all."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.baselines import ExactStore
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState, key_for, philox4x32, seed_sequence_of, uniform53

LOW32 = 0xFFFFFFFF


class FIFOBuffer(ExactStore):
    """The newest ``capacity`` items, exactly: recognition is perfect up to that lag, and chance from it on.

    Parameters
    ----------
    n_features : int or None, default None
        Width of items; None: that of the first batch.
    capacity : int, default 1000
        Items kept.

    Examples
    --------
    >>> from neuromem.retention import FIFOBuffer
    >>> memory = FIFOBuffer(capacity=2)
    >>> memory.write([[0.0], [1.0], [2.0]])
    array([0, 1, 2])
    >>> (memory.familiarity([[0.0], [1.0], [2.0]]) == 0).tolist()
    [False, True, True]
    """

    on_full = "oldest"

    def __init__(self, n_features: int | None = None, capacity: int = 1000) -> None:
        self.n_features = n_features
        self.capacity: int = capacity

    def _validate_params(self) -> None:
        validate.integer(self.capacity, "capacity", 1)
        super()._validate_params()

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        super()._check_state(arrays, scalars)
        if arrays and len(arrays["items_"]) > self.capacity:
            raise FormatError("more items are kept than capacity")

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "FIFOBuffer":
        """As many items as ``n_bytes`` hold, each with its id and a target.

        Raises
        ------
        CapacityError
            If not even one item fits.
        """
        return cls(item_spec.n_features, capacity_within(n_bytes, item_spec))


class ReservoirBuffer(ExactStore):
    """A sample of ``capacity`` items of all that came, every one of them with the same chance (Vitter 1985, algorithm R).

    Parameters
    ----------
    n_features : int or None, default None
        Width of items; None: that of the first batch.
    capacity : int, default 1000
        Items kept.
    random_state : None, int, SeedSequence or Generator, default None

    Notes
    -----
    Item t = 0, 1 ... is kept if t < capacity; later it takes the place floor(u (t + 1)), where that is a place, u uniform.
    After N items each is kept with chance capacity / N, whatever its age: recognition of one of two is right with chance
    1/2 + capacity / (2 N).  The draw of an item depends on its number only, so batches make no difference.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.retention import ReservoirBuffer
    >>> memory = ReservoirBuffer(capacity=10, random_state=0)
    >>> ids = memory.write(np.arange(100.0)[:, None])
    >>> len(memory), bool((memory.familiarity(memory.items_) == 0).all())
    (10, True)
    """

    _STATE = {**ExactStore._STATE, "key_": (np.uint32, 1)}
    on_full = "oldest"
    key_: np.ndarray

    def __init__(self, n_features: int | None = None, capacity: int = 1000, random_state: RandomState = None) -> None:
        self.n_features = n_features
        self.capacity: int = capacity
        self.random_state = random_state

    def _validate_params(self) -> None:
        validate.integer(self.capacity, "capacity", 1)
        super()._validate_params()

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        super()._check_state(arrays, scalars)
        if arrays and (len(arrays["items_"]) > self.capacity or arrays["key_"].shape != (2,)):
            raise FormatError("more items are kept than capacity, or key_ is no key")

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """Offer items, real (n, d), with optional integer targets (n,); returns their ids, int64 (n,).

        Raises
        ------
        InputError
            For items of another width, or targets where none were given before (or the reverse).
        """
        self._validate_params()
        items = self._checked(items)
        n_kept = len(self)
        n_filling = min(len(items), self.capacity - n_kept)
        if not self._is_fitted():
            key = key_for(seed_sequence_of(self.random_state), "retention.memories")
        else:
            key = self.key_
        labels = None if targets is None else validate.labels(targets, len(items), name="targets").astype(np.int64)
        ids = super().write(items[:n_filling], None if labels is None else labels[:n_filling], tags=tags)
        self.key_ = key
        ids = np.arange(self.next_id_ - n_filling, self.next_id_ - n_filling + len(items), dtype=np.int64)
        later = ids[n_filling:]
        self.next_id_ += len(later)
        words = philox4x32(np.stack([later & LOW32, later >> 32, 0 * later, 0 * later], axis=1), key)
        places = (uniform53(words[:, 0], words[:, 1]) * (later + 1)).astype(np.int64)
        # of several that take one place the last one stays
        taken, last = np.unique(places[::-1], return_index=True)
        inside = taken < self.capacity
        taken, rows = taken[inside], n_filling + len(later) - 1 - last[inside]
        self.items_[taken], self.ids_[taken] = items[rows], ids[rows]
        if labels is not None:
            self.targets_[taken] = labels[rows]
        return ids

    def forget(self, ids: Any) -> int:
        """Not offered: a reservoir with places left open would be no fair sample.

        Raises
        ------
        InputError
        """
        raise InputError("a reservoir cannot forget single items and stay a fair sample")

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as things stand."""
        return (*super().unavailable_, "forget")

    def estimate_nbytes(self, n_items: int, n_features: int | None = None) -> int:
        """Bytes that so many items take."""
        return super().estimate_nbytes(n_items, n_features) + 8

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "ReservoirBuffer":
        """As many items as ``n_bytes`` hold, each with its id and a target.

        Raises
        ------
        CapacityError
            If not even one item fits.
        """
        return cls(item_spec.n_features, capacity_within(n_bytes, item_spec, fixed=8), random_state)


def capacity_within(n_bytes: int, item_spec: ItemSpec, per_item: int = 16, fixed: int = 0) -> int:
    """Items that fit beside ``fixed`` bytes, with ``per_item`` bytes each beside their features.

    Raises
    ------
    CapacityError
        If not even one item fits.
    """
    capacity = (n_bytes - fixed) // (4 * item_spec.n_features + per_item)
    if capacity < 1:
        raise CapacityError(f"n_bytes={n_bytes} holds no item of {item_spec.n_features} features")
    return int(capacity)
