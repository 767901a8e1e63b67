"""Kanerva's sparse distributed memory: random addresses with counters."""

import math
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import backend_of
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.hopfield.baselines.associative import AssociativeMemory, Settled, blocks, overlaps_with, pack_bits
from neuromem.parallel import kernel_threads
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState, generator_for

LOAD = 0.1  # items per location for which the default radius is best, and which a memory holds


class SparseDistributedMemory(AssociativeMemory):
    r"""Kanerva's sparse distributed memory of binary items.

    Parameters
    ----------
    n_features : int or None, default None
        Width d of items; None: that of the first batch.
    n_locations : int, default 10000
        Hard locations L: random addresses, each with one counter per feature.
    radius : int or None, default None
        An address wakes the locations within so many differing bits.  None: the least radius that wakes a share
        :math:`(2 L T)^{-1/3}` of them, which is best for T = L / 10 items (Kanerva 1988).
    max_steps : int, default 10
        What is read is taken as the next address, until it does not change; 1: a single read.
    random_state : None, int, SeedSequence or Generator, default None
        Draws the addresses.

    Attributes
    ----------
    locations_ : uint64 (L, ceil(d / 64))
        Addresses as bits.
    counters_ : int32 (L, d)

    Notes
    -----
    An item x of 0 and 1 adds :math:`2 x - 1` to the counters of the locations that it wakes.  A read adds up the counters of
    the locations that the cue wakes; a feature is 1 where the sum is above 0, 0 where it is below, and stays as it is at 0.
    In ``complete`` distances are over the known features alone, with a radius that wakes as large a share.  The order of
    writing does not matter, and memories with the same addresses merge by adding counters.  Items that resemble each other wake
    much the same locations and blend: of many, a smaller radius recalls more, but bears less damage.

    Scores are the mean over the counters read of how far they agree with the state, in writes; so is the familiarity of an
    item.  ``info`` of a read has ``n_awake``, ``steps`` and ``converged``.

    References
    ----------
    P. Kanerva, Sparse Distributed Memory, MIT Press (1988).

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import SparseDistributedMemory
    >>> items = np.random.default_rng(0).integers(0, 2, (20, 256))
    >>> memory = SparseDistributedMemory(random_state=0)
    >>> ids = memory.write(items)
    >>> cues = items.copy()
    >>> cues[:, :20] ^= 1
    >>> bool((memory.read(cues).values[:, 0] == items).all())
    True
    """

    _KIND = "binary"
    _DENSITY = 0.5  # addresses are random bits, and sparse items differ in so few of them that all wake the same locations
    _VALUES = np.uint8
    _STATE = {"locations_": (np.uint64, 2), "counters_": (np.int32, 2)}
    locations_: np.ndarray
    counters_: np.ndarray

    def __init__(
        self,
        n_features: int | None = None,
        n_locations: int = 10_000,
        *,
        radius: int | None = None,
        max_steps: int = 10,
        random_state: RandomState = None,
    ) -> None:
        self.n_features = n_features
        self.n_locations = n_locations
        self.radius = radius
        self.max_steps = max_steps
        self.random_state = random_state

    # ---------------------------------------------------------------- parameters and state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.integer(self.n_locations, "n_locations", 1, 2**31 - 1)
        validate.integer(self.max_steps, "max_steps", 1)
        if self.radius is not None:
            validate.integer(self.radius, "radius", 0, self.n_features)

    def _check_items(self, items: Any, width: int | None, name: str) -> np.ndarray:
        return validate.binary_items(items, width, name=name, owner="SparseDistributedMemory")

    def _shapes(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        width, counters, locations = scalars["n_features_in_"], arrays["counters_"], arrays["locations_"]
        if scalars["entropy_"] is None:
            raise FormatError("entropy_ is missing")
        if counters.size and np.abs(counters.astype(np.int64)).max() > scalars["n_written_"]:
            raise FormatError("counters_ are larger than n_written_ items can make them")
        if width % 64 and locations.size and (locations[:, -1] >> np.uint64(width % 64)).any():
            raise FormatError("locations_ has bits outside the items")
        return {"locations_": (self.n_locations, -(-width // 64)), "counters_": (self.n_locations, width)}

    def _allocate(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        width = items.shape[1]
        self._draw_entropy(self.random_state, True)
        generator = generator_for(np.random.SeedSequence(self.entropy_), "hopfield.hard_locations")
        self.locations_ = generator.integers(0, 2**64, (self.n_locations, -(-width // 64)), np.uint64)
        if width % 64:
            self.locations_[:, -1] &= np.uint64(2 ** (width % 64) - 1)
        self.counters_ = np.zeros((self.n_locations, width), np.int32)

    def radius_for(self, n_features: int) -> int:
        """The radius in use for addresses of so many features."""
        share = (2 * LOAD * self.n_locations**2) ** (-1 / 3)
        if self.radius is not None:
            if self._width() in (None, n_features):
                return int(self.radius)
            share = binomial_share(self._given_width(None), int(self.radius))
        return least_radius(n_features, share)

    # ---------------------------------------------------------------- verbs

    def _admit(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        if len(self) + len(items) >= 2**31:
            raise CapacityError(f"{len(self) + len(items)} items overflow the counters")

    def _distances(self, items: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """Differing bits between each item and each address, of the known ones where a mask is given; int32 (n, L)."""
        found = np.empty((len(items), self.n_locations), np.int32)
        words = pack_bits(items)
        masks = pack_bits(np.ones_like(items) if known is None else known)
        kernels = backend_of(items).kernels("hopfield")
        with kernel_threads(float(len(items) * self.locations_.size)):  # a nanosecond a word
            kernels.count_differing_bits(self.locations_, words, masks, found)
        return found

    def _learn(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        radius = self.radius_for(self.n_features_in_)
        signs = 2 * items.astype(np.int8) - 1
        kernels = backend_of(items).kernels("hopfield")
        for part in blocks(len(items)):
            distances = self._distances(items[part])
            with kernel_threads(float(distances.size + self.counters_.size)):
                kernels.add_to_counters(distances, radius, signs[part], self.counters_)

    def _merge(self, other: Any) -> None:
        if not np.array_equal(self.locations_, other.locations_):
            raise InputError("other has other addresses; give both memories the same random_state")
        self._admit(np.empty((other.n_written_, 0)), None)
        self.counters_ = self.counters_ + other.counters_

    def _summed(self, states: np.ndarray, known: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Sums of the counters that states wake, int64 (n, d), and how many locations those are, int64 (n,)."""
        width = self.n_features_in_
        sums, awake = np.empty((len(states), width), np.int64), np.empty(len(states), np.int64)
        radii = np.full(len(states), self.radius_for(width), np.int64)
        if known is not None:
            counts, places = np.unique(known.sum(axis=1), return_inverse=True)
            radii = np.array([self.radius_for(int(n)) for n in counts], np.int64)[places]
        kernels = backend_of(states).kernels("hopfield")
        for part in blocks(len(states)):
            distances = self._distances(states[part], None if known is None else known[part])
            with kernel_threads(float(distances.size + self.counters_.size)):
                kernels.sum_counters(distances, radii[part], self.counters_, sums[part], awake[part])
        return sums, awake

    def _settle(self, cues: np.ndarray, known: np.ndarray | None) -> Settled:
        n = len(cues)
        states, steps, settled = cues, np.zeros(n, np.int64), np.zeros(n, bool)
        if known is not None:
            states = np.where(known, cues, np.uint8(0))
            sums, _ = self._summed(states, known)
            states = np.where(known, cues, sums > 0).astype(np.uint8)
        for step in range(self.max_steps):
            open_ones = np.flatnonzero(~settled)
            if not len(open_ones):
                break
            now = states[open_ones]
            sums, _ = self._summed(now)
            moved = np.where(sums > 0, 1, np.where(sums < 0, 0, now)).astype(np.uint8)
            if known is not None:
                moved = np.where(known[open_ones], now, moved)
            states = states.copy()
            states[open_ones] = moved
            steps[open_ones] = step + 1
            settled[open_ones] = (moved == now).all(axis=1)
        scores, awake = self._agreement(states)
        info = {"n_awake": awake, "steps": steps, "converged": settled | (self.max_steps == 1)}
        return Settled(states, np.full(n, -1, np.int64), scores, info)

    def _agreement(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the counters that states wake agree with them, per counter, and how many locations those are."""
        sums, awake = self._summed(states)
        agreeing = (sums * (2 * states.astype(np.int64) - 1)).sum(axis=1)
        return agreeing / np.maximum(1, awake * states.shape[1]), awake

    def _familiarity(self, items: np.ndarray) -> np.ndarray:
        return self._agreement(items)[0]

    def overlap(self, states: Any, patterns: Any) -> np.ndarray:
        """Overlaps of states (n, d) with patterns (K, d) as signs, float64 (n, K): shares that agree less those that differ."""
        states, patterns = self._checked(states, "states"), self._checked(patterns, "patterns")
        return overlaps_with(2 * states.astype(np.int8) - 1, 2 * patterns.astype(np.int8) - 1)

    # ---------------------------------------------------------------- size

    def capacity_estimate(self) -> float:
        """Random items that are held, about a tenth of the locations (Kanerva 1988)."""
        return LOAD * self.n_locations

    def estimate_nbytes(self, n_features: int | None = None) -> int:
        """Bytes of addresses and counters, whatever the number of items."""
        width = self._given_width(n_features)
        return self.n_locations * (8 * -(-width // 64) + 4 * width)

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "SparseDistributedMemory":
        """A memory with as many locations as ``n_bytes`` hold.

        Parameters
        ----------
        n_bytes : int
        item_spec : ItemSpec
        random_state : None, int, SeedSequence or Generator, default None

        Raises
        ------
        CapacityError
            If not even one location fits.
        """
        width = item_spec.n_features
        n_locations = n_bytes // (8 * -(-width // 64) + 4 * width)
        if n_locations < 1:
            raise CapacityError(f"n_bytes={n_bytes} holds no location of {width} features")
        return cls(width, int(n_locations), random_state=random_state)


def binomial_shares(n: int) -> np.ndarray:
    """Share of the 2^n addresses within 0, 1, ... n bits of a given one."""
    wide = np.arange(1, n + 1, dtype=np.float64)
    logarithms = np.concatenate([[0.0], np.cumsum(np.log((n - wide + 1) / wide))]) - n * math.log(2)
    shares: np.ndarray = np.cumsum(np.exp(logarithms))
    return shares


def binomial_share(n: int, radius: int) -> float:
    """Share of the addresses within a radius."""
    return float(binomial_shares(n)[min(radius, n)])


def least_radius(n: int, share: float) -> int:
    """The least radius that holds a share of the addresses of n bits.

    Examples
    --------
    >>> [least_radius(4, share) for share in (0.01, 0.07, 0.5, 1.0)]
    [0, 1, 2, 4]
    """
    return min(n, int(np.searchsorted(binomial_shares(n), share * (1 - 1e-12))))
