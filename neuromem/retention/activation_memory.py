"""Items with base-level activation, whose traces decay the faster the more active they were."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import FormatError
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState
from neuromem.retention.buffers import capacity_within
from neuromem.retention.item_memories import ItemMemory


class ActivationMemory(ItemMemory):
    """Every exposure of an item leaves a trace that decays as a power of time, the faster the more active the item was.

    Parameters
    ----------
    n_features : int or None, default None
        Width of items; None: that of the first batch.
    capacity : int or None, default None
        Most exposures kept.
    on_full : {"error", "oldest"}, default "error"
        Beyond the capacity raise CapacityError, or drop the oldest exposures, and items that have none left.
    decay_scale, decay_intercept : float, default 0.217, 0.177
        c and a below.
    threshold, noise : float, default -0.704, 0.255
        tau and s below.
    random_state : None, int, SeedSequence or Generator, default None
        For which items of a chance below 1 are recalled.

    Notes
    -----
    After exposures at steps t_k an item's activation is m(t) = ln sum_k (t - t_k)^(-d_k), each trace with the decay
    d_k = c exp(m(t_k)) + a of the activation that it found (a for the first), and it is recalled with chance
    1 / (1 + exp((tau - m) / s)) (Pavlik & Anderson 2005).  A step is an item written; what has just been written is of age 1.
    Massed repetitions find much activation, so their traces decay fast: which gap is best grows with the time to the test.
    Items are symbols: one that differs in a component is another one.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.retention import ActivationMemory
    >>> memory = ActivationMemory(random_state=0)
    >>> for gap in (9, 9, 99):
    ...     ids = memory.write([[1.0]])
    ...     memory.idle(gap)
    >>> memory.activation([[1.0]]).round(6).tolist(), memory.recall_probability([[1.0]]).round(6).tolist()
    ([-0.220757], [0.869332])
    """

    _STATE = {
        **ItemMemory._STATE,
        "exposure_ids_": (np.int64, 1),
        "exposure_steps_": (np.int64, 1),
        "exposure_decays_": (np.float64, 1),
    }
    exposure_ids_: np.ndarray
    exposure_steps_: np.ndarray
    exposure_decays_: np.ndarray

    def __init__(
        self,
        n_features: int | None = None,
        capacity: int | None = None,
        on_full: str = "error",
        decay_scale: float = 0.217,
        decay_intercept: float = 0.177,
        threshold: float = -0.704,
        noise: float = 0.255,
        random_state: RandomState = None,
    ) -> None:
        self.n_features = n_features
        self.capacity = capacity
        self.on_full = on_full
        self.decay_scale = decay_scale
        self.decay_intercept = decay_intercept
        self.threshold = threshold
        self.noise = noise
        self.random_state = random_state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.number(self.decay_scale, "decay_scale", low=0.0)
        validate.number(self.decay_intercept, "decay_intercept", low=0.0)
        validate.number(self.threshold, "threshold")
        validate.number(self.noise, "noise", low=0.0, low_open=True)

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        super()._check_state(arrays, scalars)
        if not arrays:
            return
        ids, steps, decays = (arrays[f"exposure_{name}_"] for name in ("ids", "steps", "decays"))
        if not len(ids) == len(steps) == len(decays) or not np.array_equal(np.unique(ids), arrays["ids_"]):
            raise FormatError("exposures are not those of the items")
        if not np.isfinite(decays).all() or (decays < 0).any():
            raise FormatError("decays are not finite, or negative")
        if len(steps) and (steps[0] < 0 or steps[-1] >= scalars["n_steps_"] or (np.diff(steps) <= 0).any()):
            raise FormatError("exposures are not in the order of time")
        if self.capacity is not None and len(ids) > self.capacity:
            raise FormatError("more exposures are kept than capacity")

    def _start(self, n_features: int) -> None:
        super()._start(n_features)
        self.exposure_ids_, self.exposure_steps_ = np.empty((2, 0), np.int64)
        self.exposure_decays_ = np.empty(0)

    def _exposed(self, ids: np.ndarray, steps: np.ndarray, order: list[np.ndarray], first_new: int) -> None:
        n_before = len(self.exposure_ids_)
        self.exposure_ids_ = np.concatenate([self.exposure_ids_, ids])
        self.exposure_steps_ = np.concatenate([self.exposure_steps_, steps])
        self.exposure_decays_ = np.concatenate([self.exposure_decays_, np.full(len(ids), float(self.decay_intercept))])
        for turn, rows in enumerate(order):
            again = rows if turn else rows[ids[rows] < first_new]
            if len(again):
                activation = self._sums(ids[again], steps[again])
                self.exposure_decays_[n_before + again] = self.decay_scale * activation + self.decay_intercept

    def _sums(self, ids: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Sum of traces of different items, each at a step of its own: exp(m)."""
        order = np.argsort(ids)
        place = np.minimum(np.searchsorted(ids[order], self.exposure_ids_), len(ids) - 1)
        ages = steps[order][place] - self.exposure_steps_
        used = (ids[order][place] == self.exposure_ids_) & (ages > 0)
        found = np.empty(len(ids))
        traces = ages[used].astype(np.float64) ** -self.exposure_decays_[used]
        found[order] = np.bincount(place[used], traces, minlength=len(ids))
        return found

    def activation(self, items: Any) -> np.ndarray:
        """m of each item at the step to come, float64 (n,); -inf for what is not kept."""
        items = self._checked(items)
        return self._activation(self._positions(items)) if self._is_fitted() else np.full(len(items), -np.inf)

    def _activation(self, positions: np.ndarray) -> np.ndarray:
        found = np.full(len(positions), -np.inf)
        kept = positions >= 0
        if kept.any():
            asked, back = np.unique(positions[kept], return_inverse=True)
            found[kept] = np.log(self._sums(self.ids_[asked], np.full(len(asked), self.n_steps_)))[back]
        return found

    def _chances(self, positions: np.ndarray) -> np.ndarray:
        from scipy.special import expit

        return np.asarray(expit((self._activation(positions) - self.threshold) / self.noise))

    def _overflowing(self, n_rows: int, n_new: int) -> tuple[int, np.ndarray | None]:
        kept = len(self.exposure_ids_) if self._is_fitted() else 0
        n_beyond = kept + n_rows - (self.capacity or 0)
        if not 0 < n_beyond <= kept:
            return n_beyond, None
        return n_beyond, self.exposure_ids_[:n_beyond]

    def _drop(self, n: int) -> None:
        for name in ("ids", "steps", "decays"):
            setattr(self, f"exposure_{name}_", getattr(self, f"exposure_{name}_")[n:])
        self._remove(~np.isin(self.ids_, self.exposure_ids_))

    def forget(self, ids: Any) -> int:
        """Remove items by their ids; returns how many went."""
        n_gone = super().forget(ids)
        kept = np.isin(self.exposure_ids_, self.ids_)
        for name in ("ids", "steps", "decays"):
            setattr(self, f"exposure_{name}_", getattr(self, f"exposure_{name}_")[kept])
        return n_gone

    def estimate_nbytes(self, n_items: int, n_features: int | None = None) -> int:
        """Bytes that so many items take, seen once each."""
        return super().estimate_nbytes(n_items, n_features) + 24 * n_items + 8

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "ActivationMemory":
        """As many exposures as ``n_bytes`` hold where each is of another item.

        Raises
        ------
        CapacityError
            If not even one item fits.
        """
        return cls(item_spec.n_features, capacity_within(n_bytes, item_spec, 40, 8), "oldest", random_state=random_state)
