"""Dense associative memory: Krotov and Hopfield's model for any separation function, by two products."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import backend_of
from neuromem.errors import CapacityError, FormatError, InputError, InputTypeError
from neuromem.hopfield.baselines.associative import (
    CUES_PER_BLOCK,
    PARALLEL_WORK,
    KeptRows,
    Settled,
    blocks,
    check_ids,
    check_signs,
    overlaps_with,
    sign_items,
)
from neuromem.parallel import kernel_lock
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState, exp64

SEPARATIONS = ("exponential", "polynomial", "rectified")
MOST_OVERLAPS = 1 << 24  # numbers held at a time
TIE = 2.0**-40  # fields below this share of all that goes into them are rounding, so they count as 0
WHOLE = 2.0**52  # sums below this are exact


class DenseAssociativeMemory(KeptRows):
    r"""Dense associative memory of patterns of -1 and 1: energy :math:`E = -\sum_k F(x_k \cdot s)`.

    Parameters
    ----------
    n_features : int or None, default None
        Number of units N; None: the width of the first batch.
    separation : {"exponential", "polynomial", "rectified"} or callable, default "exponential"
        F(o): exp(beta o), o ** n, max(o, 0) ** n, or any function of an array of overlaps.  A memory with a function of one's
        own works, but cannot be saved.
    degree : int, default 3
        n of the polynomials.
    inverse_temperature : float, default 1.0
        beta of the exponential.
    zeros : bool, default False
        Patterns may have zeros: entries that say nothing.
    update : {"parallel", "serial"}, default "parallel"
        All units at once, or one after the other.
    order : {"sequential", "permutation"}, default "sequential"
        Of serial sweeps: units as they are numbered, or in one order that is drawn at the first write.
    max_steps : int, default 100
    capacity : int or None, default None
        Most patterns kept.
    on_full : {"error", "oldest"}, default "error"
        Beyond the capacity raise CapacityError, or drop the oldest patterns.
    random_state : None, int, SeedSequence or Generator, default None
        Draws the order "permutation".

    Attributes
    ----------
    items_ : int8 (K, N)
    ids_ : int64 (K,)

    Notes
    -----
    A unit takes the value of lower energy, the others as they are; where both are equal, up to rounding, it stays.  Asking that
    of every unit takes N K evaluations of F, or three per pattern and two products, since for :math:`o_k = x_k \cdot s`

    .. math::
        \Delta_i = \sum_k A_k x_{ki} + s_i \sum_k B_k |x_{ki}|,
        \quad A, B = \tfrac12 [(F(o) - F(o-2)) \pm (F(o+2) - F(o))].

    Overlaps are whole numbers, so A and B are looked up.  Parallel steps that return to the state before last go on as serial
    sweeps, which never raise the energy, and so settle.

    Energies are given on the scale of the Hopfield network: :math:`-\frac{N}{n} \sum_k (o_k / N)^n` for the polynomials, which
    for n = 2 is its energy less K / 2, and :math:`-\frac1\beta \log \sum_k e^{\beta o_k}` for the exponential, which has the
    same order.  Scores and familiarity are minus the energy per unit; ``info`` of a read has ``steps`` and ``converged``.

    References
    ----------
    D. Krotov, J. J. Hopfield, NeurIPS (2016); M. Demircigil et al., J. Stat. Phys. 168 (2017), for the exponential.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import DenseAssociativeMemory
    >>> patterns = np.random.default_rng(0).choice([-1, 1], (500, 64))  # eight times as many as units
    >>> memory = DenseAssociativeMemory()
    >>> ids = memory.write(patterns)
    >>> cues = patterns.copy()
    >>> cues[:, :6] *= -1
    >>> bool((memory.read(cues).values[:, 0] == patterns).all())
    True
    """

    _STATE = {"items_": (np.int8, 2), "ids_": (np.int64, 1)}

    def __init__(
        self,
        n_features: int | None = None,
        separation: str | Callable[[np.ndarray], np.ndarray] = "exponential",
        *,
        degree: int = 3,
        inverse_temperature: float = 1.0,
        zeros: bool = False,
        update: str = "parallel",
        order: str = "sequential",
        max_steps: int = 100,
        capacity: int | None = None,
        on_full: str = "error",
        random_state: RandomState = None,
    ) -> None:
        self.n_features = n_features
        self.separation = separation
        self.degree = degree
        self.inverse_temperature = inverse_temperature
        self.zeros = zeros
        self.update = update
        self.order = order
        self.max_steps = max_steps
        self.capacity = capacity
        self.on_full = on_full
        self.random_state = random_state

    # ---------------------------------------------------------------- parameters and state

    def _validate_params(self) -> None:
        super()._validate_params()
        if not callable(self.separation):
            validate.choice(self.separation, "separation", SEPARATIONS)
        validate.integer(self.degree, "degree", 2, 1000)
        validate.number(self.inverse_temperature, "inverse_temperature", low=0, low_open=True)
        validate.choice(self.zeros, "zeros", (False, True))
        validate.choice(self.update, "update", ("parallel", "serial"))
        validate.choice(self.order, "order", ("sequential", "permutation"))
        validate.integer(self.max_steps, "max_steps", 1)

    def _check_items(self, items: Any, width: int | None, name: str) -> np.ndarray:
        zeros = bool(self.zeros) and name == "items"
        return sign_items(items, width, name=name, owner="DenseAssociativeMemory", zeros=zeros)

    def _allocate(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        super()._allocate(items, targets)
        self._draw_entropy(self.random_state, self.order == "permutation")

    def _shapes(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        check_ids(arrays["ids_"], scalars["n_written_"])
        check_signs(arrays["items_"], "items_", zeros=bool(self.zeros))
        if (scalars["entropy_"] is None) == (self.order == "permutation"):
            raise FormatError("entropy_ does not fit the order")
        return super()._shapes(arrays, scalars)

    # ---------------------------------------------------------------- the separation function

    def _tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """F, A and B by overlap + N, or by the distance from the largest overlap; and which of the two."""
        settings = (self.separation, self.degree, self.inverse_temperature, self.n_features_in_)
        kept = self.__dict__.get("_made")
        if kept is None or kept[0] != settings:
            kept = self.__dict__["_made"] = settings, self._make_tables()
        tables: tuple[np.ndarray, np.ndarray, np.ndarray, bool] = kept[1]
        return tables

    def _make_tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        width = self.n_features_in_
        if self.separation == "exponential":
            beta = float(self.inverse_temperature)
            values = exp64(-beta * np.arange(2 * width + 1))
            tail, half = float(exp64(-4 * beta)), float(exp64(-2 * beta))
            # A = sinh 2b and B = 1 - cosh 2b times the value; both are divided by cosh 2b, which may not fit a number
            return values, values * ((1 - tail) / (1 + tail)), values * (2 * half / (1 + tail) - 1), True
        overlap = np.arange(-width - 2, width + 3, dtype=np.float64)
        F = self._separated(overlap)
        down, up = F[2:-2] - F[:-4], F[4:] - F[2:-2]
        return F[2:-2].copy(), (down + up) / 2, (down - up) / 2, False

    def _separated(self, overlap: np.ndarray) -> np.ndarray:
        """F of overlaps; for the polynomials divided by a power of two, which is exact, so that it fits a number."""
        if callable(self.separation):
            F = np.asarray(self.separation(overlap), np.float64)
            if F.shape != overlap.shape or not np.isfinite(F).all():
                raise InputError(f"separation gives shape {F.shape} or values that are not finite for {overlap.shape} overlaps")
            return F
        base = overlap / 2.0 ** math.ceil(math.log2(self.n_features_in_))
        if self.separation == "rectified":
            base = np.maximum(base, 0)
        F = base.copy()
        for _ in range(self.degree - 1):
            F *= base
        return F

    def _tie(self) -> float:
        """What counts as a field of 0: nothing else where the tables are whole numbers whose sums are exact."""
        whole = self.separation in ("polynomial", "rectified")
        most = math.log2(2.0 * self.n_features_in_ + 4) * self.degree + math.log2(max(len(self), 1))
        return 0.0 if whole and most < math.log2(WHOLE) else TIE

    def _energies(self, top: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """Energies on the documented scale from largest overlaps and sums of F by the tables."""
        if self.separation == "exponential":
            return -(top + np.log(totals) / float(self.inverse_temperature))
        if callable(self.separation):
            return -totals
        width = self.n_features_in_
        unit = 2.0 ** math.ceil(math.log2(width)) / width
        return -totals * (width / self.degree * unit**self.degree)

    # ---------------------------------------------------------------- reading

    def _relaxed(self, starts: np.ndarray, known: np.ndarray | None, max_steps: int) -> tuple[np.ndarray, ...]:
        """States, energies, nearest rows, steps, and which settled."""
        n, width = starts.shape
        rows = self.items_
        values, pulls, drags, from_top = self._tables()
        modes = np.array([from_top, bool(self.zeros), self.update == "serial", max_steps], np.int64)
        states = starts.copy()
        held = np.zeros(states.shape, np.uint8) if known is None else known.astype(np.uint8)
        steps, settled, best, totals = np.empty(n, np.int64), np.empty(n, bool), np.empty((n, 2), np.int64), np.empty(n)
        kernels = backend_of(states).kernels("hopfield")
        order = self._sweep_order()
        for part in blocks(n, max(1, min(CUES_PER_BLOCK, MOST_OVERLAPS // (len(rows) + width)))):
            now = states[part]
            work = np.empty((len(now), len(rows)), np.int32), np.empty(now.shape), np.empty(now.shape, np.int8)
            parallel = len(now) > 1 and now.size * len(rows) > PARALLEL_WORK
            relax = kernels.relax_dense if parallel else kernels.relax_dense_serial
            found = steps[part], settled[part], best[part], totals[part]
            with kernel_lock():
                relax(rows, held[part], values, pulls, drags, modes, self._tie(), order, now, *work, *found)
        return states, self._energies(best[:, 1], totals), best[:, 0], steps, settled

    def _settle(self, cues: np.ndarray, known: np.ndarray | None) -> Settled:
        starts = cues if known is None else np.where(known, cues, np.int8(0))
        states, energies, best, steps, settled = self._relaxed(starts, known, self.max_steps)
        info = {"steps": steps, "converged": settled}
        return Settled(states, self.ids_[best], energies / -self.n_features_in_, info)

    def _familiarity(self, items: np.ndarray) -> np.ndarray:
        return self._relaxed(items, None, 0)[1] / -self.n_features_in_

    def energy(self, states: Any) -> np.ndarray:
        """Energies of states of -1 and 1, (n, N), on the scale of the class's notes; float64 (n,)."""
        self._check_fitted()
        states = self._checked(states, "states")
        return self._relaxed(states, None, 0)[1] if len(self) else np.zeros(len(states))

    def overlap(self, states: Any) -> np.ndarray:
        """Overlaps (1/N) x.s of states (n, N) with the patterns kept, float64 (n, K)."""
        self._check_fitted()
        return overlaps_with(self._checked(states, "states"), self.items_)

    # ---------------------------------------------------------------- size

    def capacity_estimate(self, n_features: int | None = None) -> float:
        """Random patterns that N units hold: N^(n-1) / (2 (2n-3)!! ln N) without errors, or 2^(N/2) (exponential).

        Raises
        ------
        InputTypeError
            For a separation function of one's own.
        """
        if callable(self.separation):
            raise InputTypeError("separation is a function, whose capacity is not known")
        width = self._given_width(n_features)
        if self.separation == "exponential":
            return 2.0 ** min(width / 2, 1023.0)
        logarithm = (self.degree - 1) * math.log(width) - math.log(2 * math.log(max(width, 2)))
        logarithm -= sum(math.log(odd) for odd in range(1, 2 * self.degree - 2, 2))
        return math.exp(min(logarithm, 709.0))

    def estimate_nbytes(self, n_items: int, n_features: int | None = None) -> int:
        """Bytes of state once ``n_items`` are stored."""
        kept = n_items if self.capacity is None else min(n_items, self.capacity)
        return kept * (self._given_width(n_features) + 8)

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "DenseAssociativeMemory":
        """A memory that keeps the newest patterns within ``n_bytes``.

        Parameters
        ----------
        n_bytes : int
        item_spec : ItemSpec
        random_state : None, int, SeedSequence or Generator, default None

        Raises
        ------
        CapacityError
            If not even one pattern fits.
        """
        capacity = n_bytes // (item_spec.n_features + 8)
        if capacity < 1:
            raise CapacityError(f"n_bytes={n_bytes} holds no pattern of {item_spec.n_features} units")
        made = item_spec.n_features
        zeros = item_spec.kind == "ternary"
        return cls(made, zeros=zeros, capacity=int(capacity), on_full="oldest", random_state=random_state)
