"""Items with a strength in a fast store, which feeds a slow one."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import FormatError, InputError
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState
from neuromem.retention.buffers import capacity_within
from neuromem.retention.item_memories import ItemMemory


class TwoStore(ItemMemory):
    """Every item has a bounded strength in a fast store, which feeds a slow one.

    Parameters
    ----------
    n_features : int or None, default None
        Width of items; None: that of the first batch.
    capacity : int or None, default None
        Most items kept.
    on_full : {"error", "oldest"}, default "error"
        Beyond the capacity raise CapacityError, or drop the items that came first.
    gain : float in (0, 1], default 0.8
        Share of what the fast store lacks that an exposure adds.
    fast_decay, transfer, slow_decay : float > 0, default 0.05, 0.02, 0.0015
        Rates per item written.
    steepness : float > 0, default 3.0
    random_state : None, int, SeedSequence or Generator, default None
        For which items of a chance below 1 are recalled.

    Notes
    -----
    At an exposure f <- f + gain (1 - f); between, df/dt = -(fast_decay + transfer) f and ds/dt = transfer f - slow_decay s,
    solved exactly; an item is recalled with chance 1 - exp(-steepness (f + s)).  A repetition while the fast store is full is
    wasted, one after it has been emptied is not: the best gap follows from its time constant, whatever the time to the test
    (after the memory chain of Murre & Chessa 2011).  Items are symbols: one that differs in a component is another one.

    Examples
    --------
    >>> from neuromem.retention import TwoStore
    >>> chances = []
    >>> for gap in (1, 30):
    ...     memory = TwoStore(random_state=0)
    ...     for _ in range(4):
    ...         memory.idle(gap - 1)
    ...         ids = memory.write([[1.0]])
    ...     memory.idle(100)
    ...     chances.append(round(memory.recall_probability([[1.0]]).item(), 3))
    >>> chances
    [0.584, 0.876]
    """

    _STATE = {**ItemMemory._STATE, "fast_": (np.float64, 1), "slow_": (np.float64, 1), "last_steps_": (np.int64, 1)}
    fast_: np.ndarray
    slow_: np.ndarray
    last_steps_: np.ndarray

    def __init__(
        self,
        n_features: int | None = None,
        capacity: int | None = None,
        on_full: str = "error",
        gain: float = 0.8,
        fast_decay: float = 0.05,
        transfer: float = 0.02,
        slow_decay: float = 0.0015,
        steepness: float = 3.0,
        random_state: RandomState = None,
    ) -> None:
        self.n_features = n_features
        self.capacity = capacity
        self.on_full = on_full
        self.gain = gain
        self.fast_decay = fast_decay
        self.transfer = transfer
        self.slow_decay = slow_decay
        self.steepness = steepness
        self.random_state = random_state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.number(self.gain, "gain", low=0.0, high=1.0, low_open=True)
        for name in ("fast_decay", "transfer", "slow_decay", "steepness"):
            validate.number(getattr(self, name), name, low=0.0, low_open=True)
        if self.slow_decay >= self.fast_decay + self.transfer:
            raise InputError(f"slow_decay is {self.slow_decay}, less than fast_decay + transfer was expected")

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        super()._check_state(arrays, scalars)
        if not arrays:
            return
        fast, slow, last = (arrays[name] for name in self._per_item())
        if not len(fast) == len(slow) == len(last) == len(arrays["ids_"]):
            raise FormatError("strengths are not one per item")
        if not (np.isfinite(slow).all() and (slow >= 0).all() and (fast >= 0).all() and (fast <= 1).all()):
            raise FormatError("strengths are out of range")
        if len(last) and (last.min() < 0 or last.max() >= scalars["n_steps_"]):
            raise FormatError("last_steps_ are not in the past")
        if self.capacity is not None and len(fast) > self.capacity:
            raise FormatError("more items are kept than capacity")

    def _start(self, n_features: int) -> None:
        super()._start(n_features)
        self.fast_, self.slow_ = np.empty((2, 0))
        self.last_steps_ = np.empty(0, np.int64)

    def _per_item(self) -> tuple[str, ...]:
        return ("fast_", "slow_", "last_steps_")

    def _strengths(self, positions: np.ndarray, steps: Any) -> tuple[np.ndarray, np.ndarray]:
        """Strengths of kept items, as they have become by a step."""
        ages = (steps - self.last_steps_[positions]).astype(np.float64)
        out = self.fast_decay + self.transfer
        fast_kept, slow_kept = np.exp(-out * ages), np.exp(-self.slow_decay * ages)
        fed = self.transfer * (slow_kept - fast_kept) / (out - self.slow_decay)
        return self.fast_[positions] * fast_kept, self.slow_[positions] * slow_kept + self.fast_[positions] * fed

    def _exposed(self, ids: np.ndarray, steps: np.ndarray, order: list[np.ndarray], first_new: int) -> None:
        n_new = len(self.ids_) - len(self.fast_)
        self.fast_ = np.concatenate([self.fast_, np.zeros(n_new)])
        self.slow_ = np.concatenate([self.slow_, np.zeros(n_new)])
        self.last_steps_ = np.concatenate([self.last_steps_, np.zeros(n_new, np.int64)])
        positions = np.searchsorted(self.ids_, ids)
        for rows in order:
            at = positions[rows]
            fast, self.slow_[at] = self._strengths(at, steps[rows])
            self.fast_[at] = fast + self.gain * (1.0 - fast)
            self.last_steps_[at] = steps[rows]

    def _chances(self, positions: np.ndarray) -> np.ndarray:
        found = np.zeros(len(positions))
        kept = positions >= 0
        fast, slow = self._strengths(positions[kept], self.n_steps_)
        found[kept] = -np.expm1(-self.steepness * (fast + slow))
        return found

    def _overflowing(self, n_rows: int, n_new: int) -> tuple[int, np.ndarray | None]:
        kept = len(self)
        n_beyond = kept + n_new - (self.capacity or 0)
        return n_beyond, self.ids_[:n_beyond] if 0 < n_beyond <= kept else None

    def _drop(self, n: int) -> None:
        self._remove(np.arange(len(self.ids_)) < n)

    def estimate_nbytes(self, n_items: int, n_features: int | None = None) -> int:
        """Bytes that so many items take."""
        return super().estimate_nbytes(n_items, n_features) + 24 * n_items + 8

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "TwoStore":
        """As many items as ``n_bytes`` hold.

        Raises
        ------
        CapacityError
            If not even one item fits.
        """
        return cls(item_spec.n_features, capacity_within(n_bytes, item_spec, 40, 8), "oldest", random_state=random_state)
