"""The Hopfield network with four learning rules."""

import math
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import backend_of
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.hopfield.baselines.associative import (
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
from neuromem.random import RandomState

RULES = ("hebb", "storkey", "projection", "dreaming")
KEEPING = ("projection", "dreaming")
SINGULAR = 1e-10  # share of the largest eigenvalue of the overlaps below which patterns count as dependent
GEMM_ROWS = 1 << 20  # sums of so many signs are exact in float32
HEBB_LOAD = 0.138  # patterns per unit that Hebb's rule holds (Amit, Gutfreund, Sompolinsky 1985)


class HopfieldNetwork(KeptRows):
    r"""Hopfield's network of N two-state units at zero temperature, with four rules for its couplings.

    Parameters
    ----------
    n_features : int or None, default None
        Number of units N; None: the width of the first batch.
    rule : {"dreaming", "hebb", "storkey", "projection"}, default "dreaming"
        How patterns become couplings; see Notes.  The default also holds patterns that resemble each other, such as pictures.
    dream_time : float, default 100.0
        Of the rule "dreaming": 0 is Hebb's rule, infinity the projection.
    rcond : float or None, default None
        Of the rule "projection": eigenvalues of the overlaps below this share of the largest count as 0.  None: dependent
        patterns, repeated ones for instance, are refused.
    order : {"sequential", "permutation"}, default "sequential"
        Units are updated as they are numbered, or in one order that is drawn at the first write.
    max_sweeps : int, default 100
    capacity : int or None, default None
        Most patterns kept, for the rules "projection" and "dreaming".
    on_full : {"error", "oldest"}, default "error"
        Beyond the capacity raise CapacityError, or drop the oldest patterns.
    random_state : None, int, SeedSequence or Generator, default None
        Draws the order "permutation".

    Attributes
    ----------
    couplings_ : int32 or float64 (N, N)
        For "hebb" sums of products, N times the couplings; for "storkey" the couplings.
    items_ : int8 (K, N)
    ids_ : int64 (K,)
        Patterns kept and their ids, for the rules "projection" and "dreaming".

    Notes
    -----
    With patterns X (K, N) and C = X X' / N the couplings are

    .. math::
        J_{hebb} = X^T X / N, \quad J_{projection} = X^T C^{-1} X / N, \quad
        J_{dreaming} = X^T (1 + t)(I + t C)^{-1} X / N,

    and Storkey's rule adds :math:`(x x^T - x h'^T - h' x^T) / N` for one pattern after the other, where h' leaves out the two
    units that a coupling joins.  The diagonal is set to 0 for every rule, so that serial updates never raise the energy
    :math:`E = -\tfrac12 \sum_{i \ne j} J_{ij} s_i s_j`; a unit without a field keeps its state.  "hebb" and "storkey" keep the
    N x N couplings only, whatever the number of patterns; the other two keep the patterns and work out the couplings at the
    next read.  "storkey" depends on the order of patterns, so it has no ``merge``.

    Scores and familiarity are minus the energy per unit.  ``info`` of a read has ``sweeps`` and ``converged``.  Fields are added
    up in one fixed order for each cue, so that answers do not depend on the batch or on threads.

    References
    ----------
    J. J. Hopfield, PNAS 79 (1982); A. Storkey, ICANN (1997); L. Personnaz, I. Guyon, G. Dreyfus, J. Physique Lett. 46 (1985);
    I. Kanter, H. Sompolinsky, Phys. Rev. A 35 (1987), for the projection without diagonal; A. Fachechi, E. Agliari, A. Barra,
    Neural Networks 112 (2019), for "dreaming".

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import HopfieldNetwork
    >>> patterns = np.random.default_rng(0).choice([-1, 1], (5, 100))
    >>> network = HopfieldNetwork()
    >>> network.write(patterns)
    array([0, 1, 2, 3, 4])
    >>> cues = patterns.copy()
    >>> cues[:, :20] *= -1
    >>> bool((network.read(cues).values[:, 0] == patterns).all())
    True
    """

    _STATE = {"couplings_": ((np.int32, np.float64), 2), "items_": (np.int8, 2), "ids_": (np.int64, 1)}
    couplings_: np.ndarray

    def __init__(
        self,
        n_features: int | None = None,
        rule: str = "dreaming",
        *,
        dream_time: float = 100.0,
        rcond: float | None = None,
        order: str = "sequential",
        max_sweeps: int = 100,
        capacity: int | None = None,
        on_full: str = "error",
        random_state: RandomState = None,
    ) -> None:
        self.n_features = n_features
        self.rule = rule
        self.dream_time = dream_time
        self.rcond = rcond
        self.order = order
        self.max_sweeps = max_sweeps
        self.capacity = capacity
        self.on_full = on_full
        self.random_state = random_state

    # ---------------------------------------------------------------- parameters and state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.choice(self.rule, "rule", RULES)
        validate.choice(self.order, "order", ("sequential", "permutation"))
        validate.number(self.dream_time, "dream_time", low=0)
        validate.integer(self.max_sweeps, "max_sweeps", 1)
        if self.rcond is not None:
            validate.number(self.rcond, "rcond", low=0, high=1)
        if self.capacity is not None and not self._keeps:
            raise InputError(f"capacity is {self.capacity}, but rule={self.rule!r} keeps no patterns; leave it out")

    @property
    def _keeps(self) -> bool:
        return self.rule in KEEPING

    def _shapes(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        width = scalars["n_features_in_"]
        if (scalars["entropy_"] is None) == (self.order == "permutation"):
            raise FormatError("entropy_ does not fit the order")
        if self._keeps:
            check_ids(arrays["ids_"], scalars["n_written_"])
            check_signs(arrays["items_"], "items_")
            return super()._shapes(arrays, scalars)
        couplings = arrays["couplings_"]
        if couplings.dtype != (np.int32 if self.rule == "hebb" else np.float64):
            raise FormatError(f"couplings_ is {couplings.dtype}, which is not that of rule={self.rule!r}")
        if couplings.shape != (width, width) or not np.isfinite(couplings).all() or np.diag(couplings).any():
            raise FormatError("couplings_ is not finite and square with a zero diagonal")
        if not np.array_equal(couplings, couplings.T):
            raise FormatError("couplings_ is not symmetric")
        if self.rule == "hebb" and couplings.size and np.abs(couplings.astype(np.int64)).max() > scalars["n_written_"]:
            raise FormatError("couplings_ is larger than n_written_ patterns can make it")
        return {"couplings_": (width, width)}

    def _allocate(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        self._draw_entropy(self.random_state, self.order == "permutation")
        if self._keeps:
            super()._allocate(items, targets)
        else:
            width = items.shape[1]
            self.couplings_ = np.zeros((width, width), np.int32 if self.rule == "hebb" else np.float64)

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
        """Bytes of state, and of the couplings that a read needs."""
        return super().nbytes + (4 * self.n_features_in_**2 if self._keeps and self._is_fitted() else 0)

    # ---------------------------------------------------------------- learning

    def _admit(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        if not self._keeps:
            if (len(self) + len(items)) * items.shape[1] >= 2**31 and self.rule == "hebb":
                raise CapacityError(f"{len(self) + len(items)} patterns of {items.shape[1]} units overflow the integer sums")
            return
        super()._admit(items, targets)
        if self.rule == "projection" and self.rcond is None and len(items):
            rows = items if not len(self) else np.concatenate([self.items_, items])
            rows = rows if self.capacity is None else rows[-self.capacity :]
            eigenvalues = np.linalg.eigvalsh(overlaps_with(rows, rows))
            if eigenvalues[0] <= SINGULAR * eigenvalues[-1]:
                raise InputError(
                    f"items make {len(rows)} patterns of {rows.shape[1]} units linearly dependent, so their overlaps are "
                    "singular; leave repeated patterns out, give rcond, or take rule='dreaming'"
                )

    def _learn(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        if self._keeps:
            super()._learn(items, targets)
        elif self.rule == "hebb":
            for part in blocks(len(items), GEMM_ROWS):
                signs = items[part].astype(np.float32)
                self.couplings_ += (signs.T @ signs).astype(np.int32)
            np.fill_diagonal(self.couplings_, 0)
        else:
            backend_of(items).kernels("hopfield").learn_storkey(items, self.couplings_)

    def _merge(self, other: Any) -> None:
        if self.rule == "storkey":
            raise InputError("rule='storkey' depends on the order of patterns, so networks cannot be merged")
        if self._keeps:
            self._admit(other.items_, None)
            self._append(other.items_, other.ids_ + self.n_written_)
        else:
            self.couplings_ = self.couplings_ + other.couplings_

    def forget(self, ids: Any) -> int:
        """Remove patterns by their ids, integers (n,); returns how many went.

        Raises
        ------
        InputError
            For the rules that keep no patterns; Hebb's rule has ``unlearn`` for the patterns themselves.
        """
        if not self._keeps:
            raise InputError(f"rule={self.rule!r} keeps no patterns; give the patterns themselves to unlearn")
        return super().forget(ids)

    def unlearn(self, items: Any) -> None:
        """Take patterns of -1 and 1, (n, N), out of the sums of Hebb's rule.

        Raises
        ------
        InputError
            For other rules, or more patterns than were written.
        """
        self._check_fitted()
        if self.rule != "hebb":
            raise InputError(f"rule={self.rule!r} is no sum of patterns; only 'hebb' can unlearn them")
        items = self._checked(items)
        if len(items) > self.n_written_:
            raise InputError(f"items are {len(items)}, only {self.n_written_} were written")
        wide = items.astype(np.float64)
        self.couplings_ = self.couplings_ - (wide.T @ wide).astype(np.int32)
        np.fill_diagonal(self.couplings_, 0)
        self.n_written_ -= len(items)

    def _coupled(self) -> tuple[np.ndarray, float]:
        """The matrix that fields are made with, and what they have to be divided by."""
        if self.rule == "hebb":
            return self.couplings_, float(self.n_features_in_)
        if self.rule == "storkey":
            return self.couplings_, 1.0
        made: np.ndarray | None = self.__dict__.get("_made")
        if made is None:
            made = self.__dict__["_made"] = self._make_couplings().astype(np.float32)
        return made, 1.0

    def _make_couplings(self) -> np.ndarray:
        rows = self.items_.astype(np.float64)
        overlaps = rows @ rows.T / rows.shape[1]
        if self.rule == "dreaming":
            t = float(self.dream_time)
            solved = np.linalg.solve((np.eye(len(rows)) + t * overlaps) / (1.0 + t), rows)
        elif self.rcond is None:
            solved = np.linalg.solve(overlaps, rows)
        else:
            solved = np.linalg.pinv(overlaps, rcond=self.rcond, hermitian=True) @ rows
        made = rows.T @ solved / rows.shape[1]
        made = (made + made.T) / 2
        np.fill_diagonal(made, 0)
        return made

    def couplings(self) -> np.ndarray:
        """The couplings J, float64 (N, N), symmetric with a zero diagonal."""
        self._check_fitted()
        if self._keeps:
            return self._make_couplings() if len(self) else np.zeros((self.n_features_in_,) * 2)
        matrix, scale = self._coupled()
        return matrix / scale

    # ---------------------------------------------------------------- reading

    def _relaxed(self, starts: np.ndarray, known: np.ndarray | None, max_sweeps: int) -> tuple[np.ndarray, ...]:
        """States, minus their energies per unit, sweeps, and which settled."""
        matrix, scale = self._coupled()
        n, width = starts.shape
        states = starts.copy()
        held = np.zeros(states.shape, np.uint8) if known is None else known.astype(np.uint8)
        scores, sweeps, settled = np.empty(n), np.empty(n, np.int64), np.empty(n, bool)
        kernels = backend_of(states).kernels("hopfield")
        order = self._sweep_order()
        field_type = np.int64 if matrix.dtype == np.int32 else np.float64
        for part in blocks(n):
            now = states[part]
            fields = np.empty(now.shape, field_type)
            parallel = len(now) > 1 and now.size * width > PARALLEL_WORK
            relax = kernels.relax_fields if parallel else kernels.relax_fields_serial
            with kernel_lock():
                relax(matrix, held[part], order, max_sweeps, now, fields, sweeps[part], settled[part])
            scores[part] = (fields * now).sum(axis=1) / (2.0 * scale * width)
        return states, scores, sweeps, settled

    def _settle(self, cues: np.ndarray, known: np.ndarray | None) -> Settled:
        starts = cues if known is None else np.where(known, cues, np.int8(0))
        states, scores, sweeps, settled = self._relaxed(starts, known, self.max_sweeps)
        ids = np.full(len(cues), -1, np.int64)
        if self._keeps:
            ids = self.ids_[overlaps_with(states, self.items_).argmax(axis=1)] if len(cues) else ids
        return Settled(states, ids, scores, {"sweeps": sweeps, "converged": settled})

    def _familiarity(self, items: np.ndarray) -> np.ndarray:
        return self._relaxed(items, None, 0)[1]

    def energy(self, states: Any) -> np.ndarray:
        """E = -1/2 sum J_ij s_i s_j of states of -1 and 1, (n, N); float64 (n,)."""
        self._check_fitted()
        states = self._checked(states, "states")
        if not len(self):
            return np.zeros(len(states))
        return -self.n_features_in_ * self._relaxed(states, None, 0)[1]

    def overlap(self, states: Any, patterns: Any = None) -> np.ndarray:
        """Overlaps (1/N) x.s of states (n, N) with patterns (K, N), float64 (n, K).

        Parameters
        ----------
        states, patterns : arrays of -1 and 1
            Patterns default to those kept.

        Raises
        ------
        InputError
            If no patterns are given and the rule keeps none.
        """
        self._check_fitted()
        states = self._checked(states, "states")
        if patterns is None and not self._keeps:
            raise InputError(f"patterns are needed: rule={self.rule!r} keeps none")
        rows = self.items_ if patterns is None else sign_items(patterns, self._width(), name="patterns", owner="HopfieldNetwork")
        return overlaps_with(states, rows)

    # ---------------------------------------------------------------- size

    def capacity_estimate(self, n_features: int | None = None) -> float:
        """Random patterns that N units hold: 0.138 N (Hebb), N / sqrt(2 ln N) (Storkey), up to N (projection, long dreams)."""
        width = self._given_width(n_features)
        if self.rule == "storkey":
            return width / math.sqrt(2 * math.log(max(width, 2)))
        if self.rule == "hebb" or (self.rule == "dreaming" and self.dream_time == 0):
            return HEBB_LOAD * width
        return float(width)

    def estimate_nbytes(self, n_items: int, n_features: int | None = None) -> int:
        """Bytes of state and couplings once ``n_items`` are stored."""
        width = self._given_width(n_features)
        if self.rule == "storkey":
            return 8 * width**2
        kept = n_items if self.capacity is None else min(n_items, self.capacity)
        return 4 * width**2 + (kept * (width + 8) if self._keeps else 0)

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "HopfieldNetwork":
        """A network within ``n_bytes``: dreaming over the newest patterns, Hebb's rule where there is room for couplings only.

        Parameters
        ----------
        n_bytes : int
        item_spec : ItemSpec
        random_state : None, int, SeedSequence or Generator, default None

        Raises
        ------
        CapacityError
            If the couplings do not fit.
        """
        width = item_spec.n_features
        rows = (n_bytes - 4 * width**2) // (width + 8)
        if n_bytes < 4 * width**2:
            raise CapacityError(f"n_bytes={n_bytes} holds no couplings of {width} units, which take {4 * width**2}")
        if rows < max(1, HEBB_LOAD * width):
            return cls(width, "hebb", random_state=random_state)
        # more patterns than units cannot be told apart
        return cls(width, capacity=int(min(rows, width)), on_full="oldest", random_state=random_state)
