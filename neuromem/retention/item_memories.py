"""What memories of whole items with a strength each share."""

from typing import Any, ClassVar

import numpy as np

from neuromem import validate
from neuromem.baselines import ExactStore
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.protocols import Recall
from neuromem.random import RandomState, key_for, philox4x32, seed_sequence_of, uniform53
from neuromem.retention.buffers import LOW32


class ItemMemory(ExactStore):
    """Base of :class:`ActivationMemory` and :class:`TwoStore`: items kept once, each recalled by a chance of its own.

    A subclass keeps the history (``_exposed``), gives the chances (``recall_probability``) and drops what is beyond its
    capacity (``_overflowing``, ``_drop``).
    """

    _STATE = {**ExactStore._STATE, "key_": (np.uint32, 1)}
    _SCALARS: ClassVar[tuple[str, ...]] = ("next_id_", "n_steps_")
    on_full = "error"
    random_state: RandomState
    key_: np.ndarray
    n_steps_: int
    index_: dict[bytes, int]
    _DERIVED = ("index_",)

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        super()._check_state(arrays, scalars)
        if not arrays:
            return
        if arrays["key_"].shape != (2,) or type(scalars["n_steps_"]) is not int or not 0 <= scalars["n_steps_"] < 1 << 62:
            raise FormatError("key_ is no key, or n_steps_ is no number of steps")
        ids = arrays["ids_"]
        if len(ids) and (ids[0] < 0 or (np.diff(ids) <= 0).any()):
            raise FormatError("ids_ do not ascend")
        if len(set(keys_of(arrays["items_"]))) != len(ids):
            raise FormatError("an item is kept twice")

    def _after_load(self) -> None:
        if self._is_fitted():
            self.index_ = dict(zip(keys_of(self.items_), self.ids_.tolist(), strict=True))

    def _start(self, n_features: int) -> None:
        """An empty memory."""
        self.items_, self.ids_ = np.empty((0, n_features), np.float32), np.empty(0, np.int64)
        self.next_id_ = self.n_steps_ = 0
        self.key_ = key_for(seed_sequence_of(self.random_state), "retention.memories")
        self.index_ = {}

    # ---------------------------------------------------------------- what a subclass gives

    def recall_probability(self, items: Any) -> np.ndarray:
        """Chance that each item is recalled at the step to come, float64 (n,); 0 for what is not kept."""
        items = self._checked(items)
        return self._chances(self._positions(items)) if self._is_fitted() else np.zeros(len(items))

    def _chances(self, positions: np.ndarray) -> np.ndarray:
        """Chance of recall of kept items by their places; 0 for place -1."""
        raise NotImplementedError

    def _exposed(self, ids: np.ndarray, steps: np.ndarray, order: list[np.ndarray], first_new: int) -> None:
        """Take in a batch: ``order`` has the rows of first, second ... exposures in it; ids from ``first_new`` on are new."""
        raise NotImplementedError

    def _overflowing(self, n_rows: int, n_new: int) -> tuple[int, np.ndarray | None]:
        """How much is beyond the capacity after a batch, and the ids that dropping it would touch: None for all."""
        raise NotImplementedError

    def _drop(self, n: int) -> None:
        """Drop so much of the oldest."""
        raise NotImplementedError

    # ---------------------------------------------------------------- writing

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """See items, real (n, d), one a step, with optional integer targets (n,); returns their ids, int64 (n,).

        An item that is kept has its old id; its target is the newest one.

        Raises
        ------
        InputError
            For items of another width, or targets where none were given before (or the reverse).
        CapacityError
            If they do not fit and ``on_full="error"``; nothing is seen then.
        """
        self._validate_params()
        if tags is not None:
            raise InputError(f"tags are given, {type(self).__name__} keeps items and targets only")
        items = self._checked(items) + np.float32(0)  # a copy without -0.0, which would be another key
        has_targets = getattr(self, "targets_", None) is not None
        if len(self) and (targets is None) == has_targets:
            raise InputError("targets must be given for all items or for none")
        labels = None if targets is None else validate.labels(targets, len(items), name="targets").astype(np.int64)
        keys = keys_of(items)
        if self.capacity is not None and self.on_full == "error":
            known = self.index_ if self._is_fitted() else {}
            n_beyond, _ = self._overflowing(len(keys), len(set(keys) - known.keys()))
            if n_beyond > 0:
                raise CapacityError(f"{len(items)} items are {n_beyond} more than fit; use on_full='oldest'")
        if not self._is_fitted():
            self._start(items.shape[1])
        if labels is not None and not has_targets:
            self.targets_ = np.empty(0, np.int64)
        return self._see(items, keys, labels)

    def _see(self, items: np.ndarray, keys: list[bytes], labels: np.ndarray | None) -> np.ndarray:
        """See a batch at once where dropping what it pushes out cannot touch it; by halves where it can."""
        n = len(items)
        n_beyond = 0
        if self.capacity is not None and self.on_full == "oldest" and n:
            known = {self.index_[key] for key in keys if key in self.index_}
            n_beyond, touched = self._overflowing(n, len(set(keys) - self.index_.keys()))
            if n_beyond > 0 and n > 1 and (touched is None or not known.isdisjoint(touched.tolist())):
                half = n // 2
                parts = slice(0, half), slice(half, n)
                seen = [self._see(items[rows], keys[rows], None if labels is None else labels[rows]) for rows in parts]
                return np.concatenate(seen)
            if n_beyond > 0:
                self._drop(n_beyond)
        ids, first_new = np.empty(n, np.int64), self.next_id_
        counts: dict[int, int] = {}
        new, turns = [], np.empty(n, np.int64)
        for row, key in enumerate(keys):
            found = self.index_.get(key)
            if found is None:
                found = self.index_[key] = self.next_id_
                self.next_id_ += 1
                new.append(row)
            ids[row] = found
            turns[row] = counts.get(found, 0)
            counts[found] = int(turns[row]) + 1
        self.items_ = np.concatenate([self.items_, items[new]])
        self.ids_ = np.concatenate([self.ids_, ids[new]])
        if labels is not None:
            self.targets_ = np.concatenate([self.targets_, labels[new]])
            self.targets_[np.searchsorted(self.ids_, ids)] = labels  # the last one of equal places stays
        order = [np.flatnonzero(turns == turn) for turn in range(max(counts.values(), default=0))]
        self._exposed(ids, self.n_steps_ + np.arange(n), order, first_new)
        self.n_steps_ += n
        return ids

    def _remove(self, gone: np.ndarray) -> None:
        """Take items out of the table, by a mask over their places."""
        for key in keys_of(self.items_[gone]):
            del self.index_[key]
        for name in ("items_", "ids_", "targets_", *self._per_item()):
            if getattr(self, name, None) is not None:
                setattr(self, name, getattr(self, name)[~gone])

    def _per_item(self) -> tuple[str, ...]:
        """Names of further arrays that have a row for every item."""
        return ()

    def forget(self, ids: Any) -> int:
        """Remove items by their ids; returns how many went."""
        self._check_fitted()
        gone = np.isin(self.ids_, np.asarray(ids, np.int64))
        self._remove(gone)
        return int(gone.sum())

    def idle(self, n: int) -> None:
        """Let the time of n items pass with nothing to see."""
        n = validate.integer(n, "n", 0)
        if self._is_fitted():
            self.n_steps_ += n

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        super().reset()
        self.__dict__.pop("index_", None)

    # ---------------------------------------------------------------- reading

    def _positions(self, items: np.ndarray) -> np.ndarray:
        """Places of items in the table, -1 for those that are not kept."""
        ids = np.array([self.index_.get(key, -1) for key in keys_of(items + np.float32(0))], np.int64)
        return np.where(ids < 0, -1, np.searchsorted(self.ids_, ids))

    def _recalled(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether items of some places are recalled at this step, and their chances; the same answer until the next step."""
        chances = self._chances(positions)
        ids = np.where(positions < 0, 0, self.ids_[positions]) if len(self.ids_) else 0 * positions
        step = np.full(len(ids), self.n_steps_, np.int64)
        words = philox4x32(np.stack([step & LOW32, step >> 32, ids & LOW32, ids >> 32], axis=1), self.key_)
        return uniform53(words[:, 0], words[:, 1]) < chances, chances

    def familiarity(self, items: Any) -> np.ndarray:
        """The chance of recall of items that are recalled, float32 (n,); 0 for others, and for all that is not kept."""
        items = self._checked(items)
        if not self._is_fitted():
            return np.zeros(len(items), np.float32)
        recalled, chances = self._recalled(self._positions(items))
        return np.where(recalled, chances, 0.0).astype(np.float32)

    def read(self, cues: Any, *, k: int = 1) -> Recall:
        """The k nearest items, those of them that are recalled: values (n, k, d), ids, scores = minus the distance.

        Where an item is not recalled its values are 0, its id -1 and its score -inf.
        """
        found = super().read(cues, k=k)
        if not len(self):
            return found
        places = np.searchsorted(self.ids_, np.maximum(found.ids, 0))
        recalled, _ = self._recalled(np.where(found.ids < 0, -1, places).ravel())
        here = recalled.reshape(found.ids.shape)
        values = np.where(here[:, :, None], found.values, np.float32(0))
        return Recall(values, np.where(here, found.ids, -1), np.where(here, found.scores, np.float32(-np.inf)))

    def complete(self, cues: Any, known: Any) -> np.ndarray:
        """Unknown features from the item whose known part is nearest, 0 where it is not recalled, float32 (n, d)."""
        self._check_fitted()
        cues = self._checked(cues, "cues")
        known = validate.feature_mask(known, *cues.shape)
        if not len(self.items_):
            raise CapacityError("nothing is kept, so nothing can be completed")
        positions = self._nearest(cues, 1, known)[0][:, 0]
        recalled, _ = self._recalled(positions)
        return np.where(known, cues, np.where(recalled[:, None], self.items_[positions], np.float32(0)))

    def predict(self, items: Any) -> np.ndarray:
        """The target of the nearest item, int64 (n,); -1 where it is not recalled."""
        found = super().predict(items)
        recalled, _ = self._recalled(self._nearest(self._checked(items), 1)[0][:, 0])
        return np.where(recalled, found, -1)


def keys_of(items: np.ndarray) -> list[bytes]:
    """Bytes of every row."""
    width = items.shape[1] * items.itemsize
    data = np.ascontiguousarray(items).tobytes()
    return [data[start : start + width] for start in range(0, len(data), width)]
