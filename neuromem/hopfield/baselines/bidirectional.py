"""The bidirectional associative memory: pairs of patterns, either of which recalls the other."""

import math
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.hopfield.baselines.associative import (
    BLOCK,
    KeptRows,
    Settled,
    check_ids,
    check_signs,
    overlaps_with,
    padded,
    sign_items,
)
from neuromem.protocols import ItemSpec, Recall
from neuromem.random import RandomState


class BidirectionalAssociativeMemory(KeptRows):
    r"""Kosko's bidirectional associative memory of pairs of patterns of -1 and 1.

    Parameters
    ----------
    n_features : int or None, default None
        Width N of items; None: that of the first batch.
    rule : {"dreaming", "correlation"}, default "dreaming"
        How pairs become links; see Notes.  The default also holds patterns that resemble each other, such as pictures.
    dream_time : float, default 100.0
        Of the rule "dreaming"; 0 is the correlation.
    max_steps : int, default 100
        Most times that both layers are updated.
    capacity : int or None, default None
        Most pairs kept, for the rule "dreaming".
    on_full : {"error", "oldest"}, default "error"
        Beyond the capacity raise CapacityError, or drop the oldest pairs.

    Attributes
    ----------
    links_ : int32 (M, N)
        For "correlation" the sums Y' X.
    items_, targets_ : int8 (K, N) and (K, M)
    ids_ : int64 (K,)
        Pairs kept and their ids, for "dreaming".

    Notes
    -----
    With items X (K, N) and targets Y (K, M) the links are :math:`W = Y^T X / \sqrt{N M}` for "correlation".  The layers take
    turns, :math:`y = sign(W x), x = sign(W^T y)`, a field of 0 keeping the unit, until neither changes; no turn raises the
    energy :math:`E = -y^T W x`.  For "dreaming" each direction first undoes the overlaps of the layer that it comes from:

    .. math::
        W = Y^T (1 + t)(I + t X X^T / N)^{-1} X / \sqrt{N M}, \quad V = Y^T (1 + t)(I + t Y Y^T / M)^{-1} X / \sqrt{N M},

    with V' for the way back, and W replaced by (W + V) / 2 in the energy.  Items written without targets are paired with
    themselves; then W = V, and no turn raises the energy here either.

    Scores are minus the energy divided by :math:`\sqrt{N M}`; so is the familiarity of an item, with the targets that fit it
    best.  ``info`` of a read has ``targets`` int8 (n, M), ``steps`` and ``converged``.

    References
    ----------
    B. Kosko, "Bidirectional associative memories", IEEE Trans. Systems, Man, and Cybernetics 18 (1988).  The decorrelation
    is that of A. Fachechi, E. Agliari, A. Barra, Neural Networks 112 (2019), carried over to pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import BidirectionalAssociativeMemory
    >>> rng = np.random.default_rng(0)
    >>> items, targets = rng.choice([-1, 1], (4, 60)), rng.choice([-1, 1], (4, 20))
    >>> memory = BidirectionalAssociativeMemory()
    >>> memory.write(items, targets)
    array([0, 1, 2, 3])
    >>> bool((memory.read(items).info["targets"] == targets).all())
    True
    >>> bool((memory.read_back(targets).values[:, 0] == items).all())
    True
    """

    _STATE = {"links_": (np.int32, 2), "items_": (np.int8, 2), "targets_": (np.int8, 2), "ids_": (np.int64, 1)}
    links_: np.ndarray
    targets_: np.ndarray

    def __init__(
        self,
        n_features: int | None = None,
        rule: str = "dreaming",
        *,
        dream_time: float = 100.0,
        max_steps: int = 100,
        capacity: int | None = None,
        on_full: str = "error",
    ) -> None:
        self.n_features = n_features
        self.rule = rule
        self.dream_time = dream_time
        self.max_steps = max_steps
        self.capacity = capacity
        self.on_full = on_full

    # ---------------------------------------------------------------- parameters and state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.choice(self.rule, "rule", ("dreaming", "correlation"))
        validate.number(self.dream_time, "dream_time", low=0)
        validate.integer(self.max_steps, "max_steps", 1)
        if self.capacity is not None and not self._keeps:
            raise InputError(f"capacity is {self.capacity}, but rule={self.rule!r} keeps no pairs; leave it out")

    @property
    def _keeps(self) -> bool:
        return self.rule == "dreaming"

    @property
    def n_targets_(self) -> int:
        """Width M of targets."""
        self._check_fitted()
        return int(self.targets_.shape[1] if self._keeps else self.links_.shape[0])

    def _shapes(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        if self._keeps:
            check_ids(arrays["ids_"], scalars["n_written_"])
            check_signs(arrays["items_"], "items_")
            check_signs(arrays["targets_"], "targets_")
            if not arrays["targets_"].shape[1]:
                raise FormatError("targets_ have no width")
            kept = super()._shapes(arrays, scalars)
            return kept | {"targets_": (len(arrays["items_"]), arrays["targets_"].shape[1])}
        links = arrays["links_"]
        if not links.shape[0] or (links.size and np.abs(links.astype(np.int64)).max() > scalars["n_written_"]):
            raise FormatError("links_ is larger than n_written_ pairs can make it")
        return {"links_": (links.shape[0], scalars["n_features_in_"])}

    def _allocate(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        paired = items if targets is None else targets
        if self._keeps:
            super()._allocate(items, targets)
            self.targets_ = np.empty((0, paired.shape[1]), np.int8)
        else:
            self.links_ = np.zeros((paired.shape[1], items.shape[1]), np.int32)

    def _after_load(self) -> None:
        self._rows_changed()

    def _rows_changed(self) -> None:
        self.__dict__.pop("_made", None)

    def __len__(self) -> int:
        return super().__len__() if self._keeps or not self._is_fitted() else self.n_written_

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used with this rule."""
        return () if self._keeps else ("forget",)

    @property
    def nbytes(self) -> int:
        """Bytes of state, and of the links that a read needs."""
        if not self._is_fitted() or not self._keeps:
            return super().nbytes
        directions = 1 if np.array_equal(self.items_, self.targets_) else 2
        return super().nbytes + 8 * directions * self.n_features_in_ * self.n_targets_

    # ---------------------------------------------------------------- learning

    def _check_targets(self, targets: Any, items: np.ndarray) -> np.ndarray:
        width = self.n_targets_ if self._is_fitted() else None
        if targets is None:
            if width not in (None, items.shape[1]):
                raise InputError(f"targets are missing: items were paired with targets of {width} features before")
            return items
        found = sign_items(targets, width, name="targets", owner=type(self).__name__)
        if len(found) != len(items):
            raise InputError(f"targets have shape {found.shape} and items {items.shape}; one target per item was expected")
        return found

    def _admit(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        if self._keeps:
            super()._admit(items, targets)
        elif len(self) + len(items) >= 2**31:
            raise CapacityError(f"{len(self) + len(items)} pairs overflow the integer sums")

    def _learn(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        paired = items if targets is None else targets
        if self._keeps:
            self._append_pairs(items, paired, np.arange(self.n_written_, self.n_written_ + len(items)))
        else:
            self.links_ += (paired.T.astype(np.float64) @ items).astype(np.int32)

    def _append_pairs(self, items: np.ndarray, targets: np.ndarray, ids: np.ndarray) -> None:
        self._append(items, ids)
        joined = np.concatenate([self.targets_, targets])
        self.targets_ = joined[len(joined) - len(self.items_) :]

    def _merge(self, other: Any) -> None:
        if other.n_targets_ != self.n_targets_:
            raise InputError(f"other has targets of {other.n_targets_} features, {self.n_targets_} were expected")
        if self._keeps:
            self._admit(other.items_, other.targets_)
            self._append_pairs(other.items_, other.targets_, other.ids_ + self.n_written_)
        else:
            self.links_ = self.links_ + other.links_

    def forget(self, ids: Any) -> int:
        """Remove pairs by their ids, integers (n,); returns how many went.

        Raises
        ------
        InputError
            For the rule "correlation", which keeps no pairs.
        """
        self._check_fitted()
        if not self._keeps:
            raise InputError("rule='correlation' keeps no pairs, so none can be forgotten")
        self.targets_ = self.targets_[~np.isin(self.ids_, np.asarray(ids, np.int64))]
        return super().forget(ids)

    def links(self) -> tuple[np.ndarray, np.ndarray]:
        """The links from items to targets and those of the way back, both float64 (M, N); "correlation" has the same for both."""
        self._check_fitted()
        there, back, scale = self._linked()
        return there / scale, back / scale

    def _linked(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Links there and back, float64 (M, N), and what they have to be divided by; sums stay whole, so that ties are exact."""
        root = math.sqrt(self.n_features_in_ * self.n_targets_)
        if not self._keeps:
            sums = self.links_.astype(np.float64)
            return sums, sums, root
        made: tuple[np.ndarray, np.ndarray] | None = self.__dict__.get("_made")
        if made is None:
            x, y = self.items_.astype(np.float64), self.targets_.astype(np.float64)
            there = y.T @ (undone(x, float(self.dream_time)) @ x) / root
            same = np.array_equal(x, y)
            made = there, there if same else y.T @ (undone(y, float(self.dream_time)) @ x) / root
            self.__dict__["_made"] = made
        return *made, 1.0

    # ---------------------------------------------------------------- reading

    def _turns(self, x: np.ndarray, y: np.ndarray, known: np.ndarray | None) -> tuple[np.ndarray, ...]:
        """Let the layers take turns; 0 stands for a unit not chosen yet, which a field of 0 turns up.

        Returns items, targets, scores, steps, and which settled.
        """
        there, back, scale = self._linked()
        n = len(x)
        x, y, held = x.copy(), y.copy(), np.zeros(x.shape, bool) if known is None else known
        scores, steps, settled = np.empty(n), np.empty(n, np.int64), np.empty(n, bool)
        for start in range(0, n, BLOCK):
            part = slice(start, min(n, start + BLOCK))
            size = part.stop - part.start
            a, b, mask = padded(x, part).astype(np.float64), padded(y, part).astype(np.float64), padded(held, part)
            made, done = np.zeros(BLOCK, np.int64), np.arange(BLOCK) >= size
            for step in range(self.max_steps):
                old_a, old_b = a, b
                if step or not b.any():
                    b = turned(b, a @ there.T)
                a = np.where(mask, a, turned(a, b @ back))
                a, b = np.where(done[:, None], old_a, a), np.where(done[:, None], old_b, b)
                made[~done] = step + 1
                done |= (a == old_a).all(axis=1) & (b == old_b).all(axis=1)
                if done.all():
                    break
            found = ((a @ there.T + a @ back.T) * b).sum(axis=1) / (2 * scale * math.sqrt(there.size))
            x[part], y[part], scores[part] = a[:size], b[:size], found[:size]
            steps[part], settled[part] = made[:size], done[:size]
        return x, y, scores, steps, settled

    def _settled(self, x: np.ndarray, y: np.ndarray, known: np.ndarray | None) -> Settled:
        x, y, scores, steps, settled = self._turns(x, y, known)
        ids = np.full(len(x), -1, np.int64)
        if self._keeps and len(x):
            ids = self.ids_[(overlaps_with(x, self.items_) + overlaps_with(y, self.targets_)).argmax(axis=1)]
        return Settled(x, ids, scores, {"targets": y, "steps": steps, "converged": settled})

    def _settle(self, cues: np.ndarray, known: np.ndarray | None) -> Settled:
        starts = cues if known is None else np.where(known, cues, np.int8(0))
        return self._settled(starts, np.zeros((len(cues), self.n_targets_), np.int8), known)

    def read_back(self, targets: Any) -> Recall:
        """The other way round: items from targets.

        Parameters
        ----------
        targets : array of -1 and 1 (n, M)

        Returns
        -------
        Recall
            As from ``read``: ``values`` int8 (n, 1, N) are the items, ``info["targets"]`` the targets they settled with.

        Raises
        ------
        NotFittedError, CapacityError
            If nothing is stored.
        InputError
            For targets that do not fit.
        """
        self._check_fitted()
        y = sign_items(targets, self.n_targets_, name="targets", owner=type(self).__name__)
        if not len(self):
            raise CapacityError("nothing is stored, so nothing can be recalled")
        found = self._settled(np.zeros((len(y), self.n_features_in_), np.int8), y, None)
        self._warn_unsettled(found)
        return Recall(found.values[:, None], found.ids[:, None], found.scores[:, None].astype(np.float32), found.info)

    def _familiarity(self, items: np.ndarray) -> np.ndarray:
        there, back = self.links()
        fits = [np.abs(padded(items, slice(i, i + 1)) @ (there + back).T / 2)[0].sum() for i in range(len(items))]
        return np.array(fits, np.float64).reshape(-1) / math.sqrt(there.size)

    def energy(self, states: Any, targets: Any = None) -> np.ndarray:
        """E = -y' W x (for "dreaming" -y' (W + V) x / 2) of items (n, N) and targets (n, M); float64 (n,).

        Targets default to those that fit best.
        """
        self._check_fitted()
        x = self._checked(states, "states").astype(np.float64)
        if not len(self):
            return np.zeros(len(x))
        there, back = self.links()
        fields = x @ (there + back).T / 2
        if targets is None:
            return -np.abs(fields).sum(axis=1)
        return -(fields * self._check_targets(targets, x)).sum(axis=1)

    def overlap(self, states: Any, patterns: Any = None) -> np.ndarray:
        """Overlaps (1/N) x.s of states (n, N) with patterns (K, N), by default the items kept; float64 (n, K).

        Raises
        ------
        InputError
            If no patterns are given and the rule keeps none.
        """
        self._check_fitted()
        states = self._checked(states, "states")
        if patterns is None and not self._keeps:
            raise InputError(f"patterns are needed: rule={self.rule!r} keeps none")
        return overlaps_with(states, self.items_ if patterns is None else self._checked(patterns, "patterns"))

    # ---------------------------------------------------------------- size

    def capacity_estimate(self, n_features: int | None = None, n_targets: int | None = None) -> float:
        """Random pairs that are held: n / (2 ln n) (correlation) or n (dreaming), n the smaller width."""
        width = self._given_width(n_features)
        other = n_targets if n_targets is not None else self.n_targets_ if self._is_fitted() else width
        least = min(width, other)
        return float(least) if self._keeps and self.dream_time > 0 else least / (2 * math.log(max(least, 2)))

    def estimate_nbytes(self, n_items: int, n_features: int | None = None, n_targets: int | None = None) -> int:
        """Bytes of state and links once ``n_items`` are stored; without ``n_targets`` for items paired with themselves."""
        width = self._given_width(n_features)
        other = width if n_targets is None else n_targets
        if not self._keeps:
            return 4 * width * other
        kept = n_items if self.capacity is None else min(n_items, self.capacity)
        return kept * (width + other + 8) + 8 * width * other

    @classmethod
    def for_budget(
        cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None
    ) -> "BidirectionalAssociativeMemory":
        """A memory of items paired with themselves within ``n_bytes``; correlations where there is no room for pairs.

        Parameters
        ----------
        n_bytes : int
        item_spec : ItemSpec
        random_state : None
            Nothing is drawn.

        Raises
        ------
        CapacityError
            If the links do not fit.
        """
        width = item_spec.n_features
        if n_bytes < 4 * width**2:
            raise CapacityError(f"n_bytes={n_bytes} holds no links of {width} units, which take {4 * width**2}")
        pairs = (n_bytes - 8 * width**2) // (2 * width + 8)
        if pairs < 1:
            return cls(width, "correlation")
        return cls(width, capacity=int(min(pairs, width)), on_full="oldest")


def turned(old: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """Signs of fields; a field of 0 keeps the old sign, and turns a unit that has none up."""
    return np.where(fields > 0, 1.0, np.where(fields < 0, -1.0, np.where(old == 0, 1.0, old)))


def undone(patterns: np.ndarray, t: float) -> np.ndarray:
    """(1 + t) (I + t C)^-1 for the overlaps C of patterns (K, N)."""
    overlaps = patterns @ patterns.T / patterns.shape[1]
    made: np.ndarray = np.linalg.inv((np.eye(len(patterns)) + t * overlaps) / (1.0 + t))
    return made
