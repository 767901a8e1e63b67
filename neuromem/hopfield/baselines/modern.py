"""The modern Hopfield network of real patterns: attention over what is stored, iterated."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.hopfield.baselines.associative import BLOCK, KeptRows, Settled, padded
from neuromem.hopfield.baselines.weighting import conjugate, weights_of
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState

SEPARATIONS = ("softmax", "sparsemax", "entmax", "top_k")
SHARPNESS = 256.0  # default inverse temperature times the variance of the items


class ModernHopfield(KeptRows):
    r"""Modern Hopfield network: a state moves to the mean of the stored items, weighted by how well they fit it.

    Parameters
    ----------
    n_features : int or None, default None
        Width d of items; None: that of the first batch.
    separation : {"softmax", "sparsemax", "entmax", "top_k"}, default "softmax"
        From scores to weights.  Sparsemax and entmax (exponent 1.5) give exact zeros; "top_k" is the softmax of the best.
    inverse_temperature : float or None, default None
        beta; None: 256 over the variance of the stored items (summed over features), which tells all but near copies apart.
    similarity : {"distance", "dot"}, default "distance"
        Scores are minus half the squared distance, or the product of attention.  They differ where items differ in length.
    top_k : int, default 8
        Items that get weight with ``separation="top_k"``.
    max_steps : int, default 50
        1 is attention: one step, whether or not the state has settled.
    tolerance : float, default 1e-6
        A state has settled when no feature moves by more than this share of the largest feature stored.
    dtype : {"float64", "float32"}, default "float64"
        How items are kept; arithmetic is in float64.
    capacity : int or None, default None
        Most items kept.
    on_full : {"error", "oldest"}, default "error"
        Beyond the capacity raise CapacityError, or drop the oldest items.

    Attributes
    ----------
    items_ : float (K, d)
    ids_ : int64 (K,)

    Notes
    -----
    With scores :math:`z_k = \beta\, x_k \cdot s` ("dot"), or the same less :math:`\beta |x_k|^2 / 2` ("distance", where what
    all scores share is left out), a step and the energy that no step raises are

    .. math::
        s \leftarrow X^T p(z), \quad E = -\tfrac1\beta \Omega(z) + \tfrac12 |s|^2,

    where p is the gradient of the convex function :math:`\Omega`, log-sum-exp for the softmax.  With "distance" and the
    softmax E is a soft minimum of half the squared distance to the items.

    Scores and familiarity are minus the energy per feature.  ``info`` of a read has ``steps``, ``converged`` and ``weights``,
    float32 (n, K): how much each stored item has in the state reached.  Products are taken eight cues at a time, so that an
    answer does not depend on the batch.

    References
    ----------
    H. Ramsauer et al., "Hopfield networks is all you need", ICLR (2021); J. Hu et al., NeurIPS (2023), and S. Santos et al.,
    ICML (2024), for sparsemax and entmax; B. Millidge et al., ICML (2022), for similarities.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import ModernHopfield
    >>> items = np.random.default_rng(0).normal(size=(50, 32))
    >>> memory = ModernHopfield()
    >>> ids = memory.write(items)
    >>> known = np.arange(32) < 16
    >>> bool(np.allclose(memory.complete(np.where(known, items, 0), known), items))
    True
    """

    _KIND = "real"
    _VALUES = np.float64
    _STATE = {"items_": ((np.float64, np.float32), 2), "ids_": (np.int64, 1)}

    def __init__(
        self,
        n_features: int | None = None,
        separation: str = "softmax",
        *,
        inverse_temperature: float | None = None,
        similarity: str = "distance",
        top_k: int = 8,
        max_steps: int = 50,
        tolerance: float = 1e-6,
        dtype: str = "float64",
        capacity: int | None = None,
        on_full: str = "error",
    ) -> None:
        self.n_features = n_features
        self.separation = separation
        self.inverse_temperature = inverse_temperature
        self.similarity = similarity
        self.top_k = top_k
        self.max_steps = max_steps
        self.tolerance = tolerance
        self.dtype = dtype
        self.capacity = capacity
        self.on_full = on_full

    # ---------------------------------------------------------------- parameters and state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.choice(self.separation, "separation", SEPARATIONS)
        validate.choice(self.similarity, "similarity", ("distance", "dot"))
        validate.choice(self.dtype, "dtype", ("float64", "float32"))
        validate.integer(self.top_k, "top_k", 1)
        validate.integer(self.max_steps, "max_steps", 1)
        validate.number(self.tolerance, "tolerance", low=0)
        if self.inverse_temperature is not None:
            validate.number(self.inverse_temperature, "inverse_temperature", low=0, low_open=True)

    def _check_items(self, items: Any, width: int | None, name: str) -> np.ndarray:
        found = validate.real_items(items, width, name=name, owner="ModernHopfield")
        if found.size and np.abs(found).max() > np.finfo(np.float32).max ** 0.5:
            raise InputError(f"{name} has values so large that their squares overflow; scale them down")
        return found

    def _allocate(self, items: np.ndarray, targets: np.ndarray | None) -> None:
        self.items_ = np.empty((0, items.shape[1]), self.dtype)
        self.ids_ = np.empty(0, np.int64)

    def _append(self, items: np.ndarray, ids: np.ndarray) -> None:
        super()._append(items.astype(self.dtype), ids)

    def _shapes(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        items = arrays["items_"]
        if items.dtype != np.dtype(self.dtype):
            raise FormatError(f"items_ is {items.dtype}, {self.dtype} was expected")
        if not np.isfinite(items).all() or (np.abs(items) > np.finfo(np.float32).max ** 0.5).any():
            raise FormatError("items_ has values that are not finite or too large")
        ids = arrays["ids_"]
        if len(ids) and (ids[0] < 0 or ids[-1] >= scalars["n_written_"] or (np.diff(ids) <= 0).any()):
            raise FormatError("ids_ do not rise below n_written_")
        return super()._shapes(arrays, scalars)

    def _rows_changed(self) -> None:
        self.__dict__.pop("_made", None)

    def _after_load(self) -> None:
        self._rows_changed()

    def _derived(self) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Items in float64, half their squared lengths, the variance of the items, the largest feature."""
        made = self.__dict__.get("_made")
        if made is None:
            rows = self.items_.astype(np.float64)
            spread = float(((rows - rows.mean(axis=0)) ** 2).sum() / len(rows))
            made = self.__dict__["_made"] = rows, (rows**2).sum(axis=1) / 2, spread, float(np.abs(rows).max())
        derived: tuple[np.ndarray, np.ndarray, float, float] = made
        return derived

    @property
    def beta_(self) -> float:
        """The inverse temperature in use: the parameter, or the default for what is stored."""
        self._check_fitted()
        if self.inverse_temperature is not None:
            return float(self.inverse_temperature)
        spread = self._derived()[2] if len(self) else 0.0
        return SHARPNESS / spread if spread > 0 else 1.0

    # ---------------------------------------------------------------- reading

    def _scores(self, states: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """Scores z of a block of states; of the known part alone where a mask is given."""
        rows, half, _, _ = self._derived()
        if known is None:
            found = states @ rows.T
            if self.similarity == "distance":
                found -= half
        else:
            found = (states * known) @ rows.T
            if self.similarity == "distance":
                found -= known.astype(np.float64) @ (rows**2).T / 2
        return self.beta_ * found

    def _block(self, cues: np.ndarray, known: np.ndarray | None, size: int) -> tuple[np.ndarray, ...]:
        """States, scores, weights, steps and who settled, of a block of cues, of which the first ``size`` count."""
        rows, _, _, largest = self._derived()
        limit = self.tolerance * largest
        steps, settled = np.zeros(len(cues), np.int64), np.arange(len(cues)) >= size
        scores = self._scores(cues, known)
        weights = np.zeros_like(scores)
        states = cues
        for step in range(self.max_steps):
            weights = np.where(settled[:, None], weights, weights_of(scores, self.separation, self.top_k))
            moved = weights @ rows
            if known is not None:
                moved = np.where(known, cues, moved)
            moved[settled] = states[settled]
            still = (np.abs(moved - states) <= limit).all(axis=1) & ((step > 0) | (known is None))
            steps[~settled] = step + 1
            settled |= still
            states = moved
            scores = self._scores(states)
            if settled.all():
                break
        return states, scores, weights, steps, settled

    def _settle(self, cues: np.ndarray, known: np.ndarray | None) -> Settled:
        n, width = cues.shape
        states, scores = np.empty((n, width)), np.empty(n)
        weights = np.empty((n, len(self)), np.float32)
        steps, settled, best = np.empty(n, np.int64), np.empty(n, bool), np.empty(n, np.int64)
        for start in range(0, n, BLOCK):
            part = slice(start, min(n, start + BLOCK))
            size = part.stop - part.start
            found, z, p, made, done = self._block(padded(cues, part), padded(known, part), size)
            energies = self._energies(found, z)
            states[part], weights[part], scores[part] = found[:size], p[:size], energies[:size] / -width
            steps[part], settled[part], best[part] = made[:size], done[:size], z[:size].argmax(axis=1)
        info = {"steps": steps, "converged": settled | (self.max_steps == 1), "weights": weights}
        return Settled(states, self.ids_[best], scores, info)

    def _energies(self, states: np.ndarray, scores: np.ndarray) -> np.ndarray:
        weights = weights_of(scores, self.separation, self.top_k)
        return (states**2).sum(axis=1) / 2 - conjugate(scores, weights, self.separation) / self.beta_

    def energy(self, states: Any) -> np.ndarray:
        """Energies of states, real (n, d), by the formula of the class's notes; float64 (n,)."""
        self._check_fitted()
        states = self._checked(states, "states")
        found = np.zeros(len(states))
        for start in range(0, len(states) if len(self) else 0, BLOCK):
            part = slice(start, min(len(states), start + BLOCK))
            block = padded(states, part)
            found[part] = self._energies(block, self._scores(block))[: part.stop - part.start]
        return found

    def _familiarity(self, items: np.ndarray) -> np.ndarray:
        return self.energy(items) / -items.shape[1]

    def overlap(self, states: Any) -> np.ndarray:
        """Cosines of states (n, d) with the items kept, float64 (n, K); 0 for an item or state of zeros."""
        self._check_fitted()
        states = self._checked(states, "states")
        rows = self.items_.astype(np.float64)
        lengths = np.linalg.norm(states, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
        return (states @ rows.T) / np.where(lengths > 0, lengths, 1)

    # ---------------------------------------------------------------- size

    def capacity_estimate(self, n_features: int | None = None) -> float:
        """Random patterns on a sphere that can be told apart, 2^((d-1)/4), by Ramsauer et al.; a bound from below."""
        return 2.0 ** min((self._given_width(n_features) - 1) / 4, 1023.0)

    def estimate_nbytes(self, n_items: int, n_features: int | None = None) -> int:
        """Bytes of state once ``n_items`` are stored."""
        kept = n_items if self.capacity is None else min(n_items, self.capacity)
        return kept * (np.dtype(self.dtype).itemsize * self._given_width(n_features) + 8)

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "ModernHopfield":
        """A memory that keeps the newest items within ``n_bytes``, in float32.

        Parameters
        ----------
        n_bytes : int
        item_spec : ItemSpec
        random_state : None
            Nothing is drawn.

        Raises
        ------
        CapacityError
            If not even one item fits.
        """
        capacity = n_bytes // (4 * item_spec.n_features + 8)
        if capacity < 1:
            raise CapacityError(f"n_bytes={n_bytes} holds no item of {item_spec.n_features} features")
        return cls(item_spec.n_features, dtype="float32", capacity=int(capacity), on_full="oldest")
