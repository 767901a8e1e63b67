"""The Willshaw memory: binary links, set once and never cleared, held as bits."""

import math
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import backend_of
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.hopfield.baselines.associative import AssociativeMemory, Settled, blocks, overlaps_with, pack_bits
from neuromem.parallel import kernel_threads
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState

THRESHOLDS = ("highest", "active", "winners")


class WillshawMemory(AssociativeMemory):
    r"""Willshaw's associative net of sparse binary patterns, or of pairs of them.

    Parameters
    ----------
    n_features : int or None, default None
        Width N of items; None: that of the first batch.
    threshold : {"highest", "active", "winners"}, default "highest"
        A unit becomes active when as many of the cue's active units are linked to it as to the best unit; as the cue has active
        units, Willshaw's rule, under which a cue with a wrong unit may find nothing; or when it is among the best
        ``n_winners``, ties included.
    n_winners : int or None, default None
        None: the mean number of active units of what was written.

    Attributes
    ----------
    links_ : uint64 (M, ceil(N / 64))
        For every target unit one bit per item unit.

    Notes
    -----
    A pair x, y of patterns of 0 and 1 sets the links :math:`W_{ij} \leftarrow W_{ij} \vee y_i x_j`; an item without a target is
    its own.  A read counts :math:`n_i = \sum_j W_{ij} x_j` and thresholds.  A cue that is part of a stored item misses none of
    its units; units in excess appear as links fill up, at best when half of them are set: that holds about
    :math:`\ln 2 \, N M / (a b)` pairs of a and b active units, 0.69 bits per link.  The order of writing does not matter, and
    merging two memories is the union of their links.

    ``values`` of a read are items, or the targets of what was written with targets; then ``complete`` is not offered.  Scores
    are the share of the cue's active units that are linked to the units recalled, on average; the familiarity of an item that
    is its own target is the share of links among its active units that are set, 1 for every stored item.  ``info`` has
    ``n_active``, the number of units recalled.

    References
    ----------
    D. J. Willshaw, O. P. Buneman, H. C. Longuet-Higgins, "Non-holographic associative memory", Nature 222 (1969).

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import WillshawMemory
    >>> items = (np.random.default_rng(0).random((40, 200)).argsort(axis=1) < 8).astype(int)  # 8 of 200 units active
    >>> memory = WillshawMemory()
    >>> ids = memory.write(items)
    >>> bool((memory.read(items).values[:, 0] == items).all())
    True
    """

    _KIND = "binary"
    _DENSITY = 0.1
    _VALUES = np.uint8
    _STATE = {"links_": (np.uint64, 2)}
    _SCALARS = (*AssociativeMemory._SCALARS, "n_active_", "paired_")
    links_: np.ndarray
    n_active_: int
    paired_: bool

    def __init__(self, n_features: int | None = None, threshold: str = "highest", *, n_winners: int | None = None) -> None:
        self.n_features = n_features
        self.threshold = threshold
        self.n_winners = n_winners

    # ---------------------------------------------------------------- parameters and state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.choice(self.threshold, "threshold", THRESHOLDS)
        if self.n_winners is not None:
            validate.integer(self.n_winners, "n_winners", 1)

    def _check_items(self, items: Any, width: int | None, name: str) -> np.ndarray:
        return validate.binary_items(items, width, name=name, owner="WillshawMemory")

    def _check_targets(self, targets: Any, items: np.ndarray) -> np.ndarray | None:
        if self._is_fitted() and self.n_written_ and self.paired_ != (targets is not None):
            raise InputError("targets must be given for all items or for none")
        if targets is None:
            return None
        width = len(self.links_) if self._is_fitted() and self.n_written_ else None
        found = self._check_items(targets, width, "targets")
        if len(found) != len(items):
            raise InputError(f"targets have shape {found.shape} and items {items.shape}; one target per item was expected")
        return found

    def _shapes(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        links, width = arrays["links_"], scalars["n_features_in_"]
        if type(scalars["n_active_"]) is not int or not 0 <= scalars["n_active_"] <= scalars["n_written_"] * len(links):
            raise FormatError(f"n_active_ is {scalars['n_active_']!r}, a count was expected")
        if type(scalars["paired_"]) is not bool or not (scalars["paired_"] or len(links) == width) or not len(links):
            raise FormatError("paired_ does not fit the links")
        if width % 64 and links.size and (links[:, -1] >> np.uint64(width % 64)).any():
            raise FormatError("links_ has bits outside its units")
        return {"links_": (len(links), -(-width // 64))}

    def _allocate(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        paired = items if targets is None else targets
        self.links_ = np.zeros((paired.shape[1], -(-items.shape[1] // 64)), np.uint64)
        self.n_active_, self.paired_ = 0, targets is not None

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as things stand."""
        return ("complete",) if self._is_fitted() and self.paired_ else ()

    # ---------------------------------------------------------------- verbs

    def _learn(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        paired = items if targets is None else targets
        if not self.n_written_:
            self._allocate(items, targets)  # an empty first batch said nothing of targets
        backend_of(items).kernels("hopfield").link_bits(pack_bits(items), paired, self.links_)
        self.n_active_ += int(paired.sum(dtype=np.int64))

    def _merge(self, other: Any) -> None:
        if self.n_written_ and other.n_written_ and (self.paired_ != other.paired_ or len(self.links_) != len(other.links_)):
            raise InputError("other was written with other targets; both must have targets of one width, or none")
        if not self.n_written_:
            self.links_, self.paired_ = other.links_.copy(), other.paired_
        elif other.n_written_:
            self.links_ = self.links_ | other.links_
        self.n_active_ += other.n_active_

    def _counts(self, cues: np.ndarray) -> np.ndarray:
        """Links from the active units of each cue to every unit, int32 (n, M)."""
        counts = np.empty((len(cues), len(self.links_)), np.int32)
        kernels = backend_of(cues).kernels("hopfield")
        with kernel_threads(float(len(cues) * self.links_.size)):  # a nanosecond a word
            kernels.count_shared_bits(self.links_, pack_bits(cues), counts)
        return counts

    def _settle(self, cues: np.ndarray, known: np.ndarray | None) -> Settled:
        given = cues if known is None else np.where(known, cues, np.uint8(0))
        n, width = len(cues), len(self.links_)
        values, scores = np.zeros((n, width), np.uint8), np.zeros(n)
        active = given.sum(axis=1, dtype=np.int64)
        for part in blocks(n):
            counts = self._counts(given[part])
            if self.threshold == "highest":
                least = counts.max(axis=1)
            elif self.threshold == "active":
                least = active[part]
            else:
                wanted = self.n_winners or max(1, round(self.n_active_ / self.n_written_))
                least = np.sort(counts, axis=1)[:, -min(wanted, width)]
            found = counts >= np.maximum(least, 1)[:, None]
            values[part] = found
            linked = np.where(found, counts, 0).sum(axis=1)
            scores[part] = linked / np.maximum(1, found.sum(axis=1) * active[part])
        return Settled(values, np.full(n, -1, np.int64), scores, {"n_active": values.sum(axis=1, dtype=np.int64)})

    def _value_width(self, width: int) -> int:
        return len(self.links_) if self._is_fitted() and self.paired_ else width

    def complete(self, cues: Any, known: Any) -> np.ndarray:
        """Fill in unknown features from the known active ones, which are kept; see ``read``.

        Parameters
        ----------
        cues : array of 0 and 1 (n, N)
        known : bool (n, N) or (N,)

        Returns
        -------
        uint8 (n, N)

        Raises
        ------
        InputError
            If items were written with targets.
        NotFittedError, CapacityError
            If nothing is stored.
        """
        if self.unavailable_:
            raise InputError("items were written with targets, so cues cannot be completed; read gives their targets")
        return super().complete(cues, known)

    def _familiarity(self, items: np.ndarray) -> np.ndarray:
        if self.paired_:
            return self._settle(items, None).scores
        active = items.sum(axis=1, dtype=np.int64)
        return -self.energy(items) / np.maximum(1, active) ** 2

    def energy(self, states: Any) -> np.ndarray:
        """Minus the number of links among the active units of states of 0 and 1, (n, N); float64 (n,).

        Raises
        ------
        InputError
            If items were written with targets.
        """
        self._check_fitted()
        states = self._checked(states, "states")
        if self.paired_:
            raise InputError("items were written with targets, so a state has no energy by itself")
        found = np.zeros(len(states))
        for part in blocks(len(states)):
            found[part] = -(self._counts(states[part]) * states[part].astype(np.int64)).sum(axis=1)
        return found

    def overlap(self, states: Any, patterns: Any) -> np.ndarray:
        """Overlaps of states (n, N) with patterns (K, N) as signs, float64 (n, K): shares that agree less those that differ."""
        states, patterns = self._checked(states, "states"), self._checked(patterns, "patterns")
        return overlaps_with(2 * states.astype(np.int8) - 1, 2 * patterns.astype(np.int8) - 1)

    # ---------------------------------------------------------------- size

    def capacity_estimate(self, n_features: int | None = None, n_active: float | None = None) -> float:
        """Random items of ``n_active`` active units that N units hold: ln 2 (N / n_active)^2.

        ``n_active`` defaults to the mean of what was written, and before that to log2 N, the sparsest that works.
        """
        width = self._given_width(n_features)
        if n_active is None:
            written = self._is_fitted() and self.n_active_
            n_active = self.n_active_ / self.n_written_ if written else max(1.0, math.log2(width))
        return math.log(2) * (width / n_active) ** 2

    def estimate_nbytes(self, n_features: int | None = None, n_targets: int | None = None) -> int:
        """Bytes of links, whatever the number of items; without ``n_targets`` for items that are their own targets."""
        width = self._given_width(n_features)
        return 8 * -(-width // 64) * (width if n_targets is None else n_targets)

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "WillshawMemory":
        """A memory for such items, whose bytes follow from their width.

        Parameters
        ----------
        n_bytes : int
        item_spec : ItemSpec
        random_state : None
            Nothing is drawn.

        Raises
        ------
        CapacityError
            If its links take more than ``n_bytes``.
        """
        made = cls(item_spec.n_features)
        if (needed := made.estimate_nbytes()) > n_bytes:
            raise CapacityError(f"n_bytes={n_bytes} holds no links of {item_spec.n_features} units, which take {needed}")
        return made
