"""What a single mac and a grid of macs have in common: presentation, and every verb of the memory protocol."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import Backend, array_module, as_array, backend_of, is_device_array, to_host
from neuromem.errors import CapacityError, InputError, SaturationWarning
from neuromem.parallel import kernel_threads
from neuromem.protocols import ItemSpec, Recall
from neuromem.random import generator_for, power64
from neuromem.sparsey.active import ActiveRows
from neuromem.sparsey.code_state import FREEZES, TRANSFERS, CodeState
from neuromem.sparsey.controls import imprinted_weights
from neuromem.sparsey.decay import FULL_WEIGHT
from neuromem.sparsey.packing import pack_cells, padded_units
from neuromem.sparsey.winners import silent_winners

SATURATED_FILL = 0.6  # recall stays above 99 % up to about this fill
# Nanoseconds on one thread: for each active afferent of each item and mac, and for each weight of a winner that is looked at.
READ_NS, LEARN_NS, RECONSTRUCT_NS = 20.0, 200.0, 0.3
FAMILIARITY_UNIT = 2.0**-32  # familiarity is totalled in integers, so that the total does not depend on chunk sizes


@dataclass(frozen=True, slots=True)
class Presentation:
    """What a stream of items left behind: see :meth:`CodeMemory.present`."""

    codes: np.ndarray
    written_codes: np.ndarray | Any  # None where they were not asked for
    familiarity: np.ndarray | Any  # likewise


@dataclass(frozen=True, slots=True)
class Trace:
    """Codes uint (n, n_macs, n_modules), G float64 (n, n_macs) and eta float64 (n, n_macs) of items, nothing learned."""

    codes: np.ndarray
    familiarity: np.ndarray
    expansivity: np.ndarray


class CodeMemory(CodeState):
    """Base of :class:`SparseyMac` and :class:`SparseyLayer`; subclasses say which features each mac sees."""

    # ---------------------------------------------------------------- presentation

    def _active_rows(self, X: Any) -> ActiveRows:
        width = self.n_features_in_ if self._is_fitted() else self._expected_width()
        if isinstance(X, ActiveRows):
            if width is not None and X.n_features != width:
                raise InputError(f"X has {X.n_features} features, {type(self).__name__} was made for {width}")
            return X
        return ActiveRows.from_dense(validate.binary_items(X, width, owner=type(self).__name__))

    def _settings(self, n_afferents: int) -> tuple[np.ndarray, ...]:
        low, high = self.activation_bounds
        high = n_afferents if high is None else high
        shape = np.array([self.n_modules, self.units_per_module, padded_units(self.units_per_module)], np.int64)
        bounds = np.array([low, high, low if self.normalization == "fixed" else 0], np.int64)
        exponents = np.array(
            [self.u_exponent, self.familiarity_floor, self.expansivity_exponent, self.expansivity_scale], np.float64
        )
        return shape, bounds, exponents

    def present(self, X: Any, learn: bool, *, written: bool = False, familiarity: bool = True) -> Presentation:
        """Present items one after the other: the one path that everything else goes through.

        Parameters
        ----------
        X : uint8 (n_items, n_features) of 0 and 1, or ActiveRows
        learn : bool
            Whether the items are stored (those within the critical period); otherwise nothing changes.
        written : bool, default False
            Also return the codes that were written.
        familiarity : bool, default True
            Also return G.

        Returns
        -------
        Presentation
            ``codes`` (n_items, n_macs, n_modules): the code that recall would have given before the item was written;
            ``written_codes``: the sampled winners, or None; ``familiarity`` float64 (n_items, n_macs), or None.
        """
        active = self._active_rows(X)
        backend = self._backend(X=active.indices)
        if not learn:
            memory = self if self._is_fitted() else self._blank(active.n_features, backend)
            codes, G = memory._recall(active, familiarity, backend)
            return Presentation(codes, codes if written else None, G if familiarity else None)
        if not self._is_fitted():
            self._allocate(active.n_features, backend)
        codes, written_codes, G = self._learn(active, backend)
        return Presentation(codes, written_codes if written else None, G if familiarity else None)

    def _blank(self, n_features: int, backend: Backend) -> "CodeMemory":
        """An empty memory with the same parameters, for reads before any write."""
        memory = type(self)(**self.get_params(deep=False))
        memory._allocate(n_features, backend)
        return memory

    def _n_active_afferents(self, active: ActiveRows) -> float:
        """Mean number of active afferents, summed over items and macs."""
        return len(active.indices) * self.host_fields_.size / active.n_features

    def _recall(self, active: ActiveRows, with_familiarity: bool, backend: Backend) -> tuple[np.ndarray, np.ndarray]:
        xp, kernels = backend.xp, backend.kernels("sparsey")
        n_macs, n_afferents = self.fields_.shape
        shape, bounds, exponents = self._settings(n_afferents)
        codes = xp.empty((len(active), n_macs, self.n_modules), self.code_dtype_)
        common = (active.indices, active.indptr, self.row_of_feature_, self.cell_order_, shape, bounds, exponents)
        if self.decay == "none":
            G = xp.empty(codes.shape[:2] if with_familiarity else (0, 0), np.float64)
            with kernel_threads(READ_NS * self._n_active_afferents(active)):
                kernels.recall_batch(*common, with_familiarity, self.silent_, self.weights_, codes, G)
        else:
            G = xp.empty(codes.shape[:2], np.float64)
            with kernel_threads(LEARN_NS * self._n_active_afferents(active)):  # aging weights are slow to read as well
                kernels.recall_aging(
                    *common, self.decay_tables_[0], self.step_, self.silent_, self.stiffness_, self.last_step_, codes, G
                )
        return codes, G

    def _learn(self, active: ActiveRows, backend: Backend) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        xp, kernels = backend.xp, backend.kernels("sparsey")
        n_macs, n_afferents = self.fields_.shape
        shape, bounds, exponents = self._settings(n_afferents)
        n_items = len(active)
        n_learned = n_items if self.critical_period is None else min(n_items, max(0, self.critical_period - self.step_))
        codes = xp.empty((n_items, n_macs, self.n_modules), self.code_dtype_)
        written = xp.empty_like(codes)
        G = xp.empty(codes.shape[:2], np.float64)
        if self.winners in ("random_patches", "random_weights") and self.step_ == 0 and n_learned:
            self._imprint(active.rows(0, n_learned), bounds)
        modes = np.array([TRANSFERS.index(self.transfer), self.winners == "uniform", FREEZES.index(self.freeze)], np.int64)
        common = (active.indices, active.indptr, self.row_of_feature_, self.cell_order_, shape, bounds, exponents)
        draws = (np.asarray(self.sigmoid, np.float64), modes)
        stream = (self.rng_key_, self.step_, n_learned, self.silent_)
        with kernel_threads(LEARN_NS * self._n_active_afferents(active)):
            if self.decay == "none":
                cell_limit = int(np.ceil(self.saturation_limit * n_afferents))
                limits = np.array([cell_limit, np.ceil(self.saturation_limit * n_afferents * self.n_weights_.shape[1])], np.int64)
                bits = (self.weights_, self.n_weights_, self.frozen_)
                kernels.learn_stream(*common, *draws, limits, *stream, *bits, codes, written, G)
            else:
                ages = (self.stiffness_, self.last_step_)
                kernels.learn_aging(*common, *draws, *self.decay_tables_, *stream, *ages, codes, written, G)
        self.step_ += n_learned
        self.n_presented_ += n_items
        self.n_silent_ += int((codes[:, :, 0] == self.silent_).sum())
        self.familiarity_total_ += xp.floor(G[:n_learned] / FAMILIARITY_UNIT).astype(np.int64).sum(axis=0)
        if self.keep_codes:
            self.stored_codes_ = xp.concatenate([self.stored_codes_, written[:n_learned]])
        self._warn_when_saturated()
        return codes, written, G

    def _imprint(self, active: ActiveRows, bounds: np.ndarray) -> None:
        """Controls: give every cell fixed weights instead of letting the code selection choose them; made on the host."""
        generator = generator_for(np.random.SeedSequence(self.entropy_), "sparsey.controls")
        cells = imprinted_weights(
            self.winners,
            to_host(active.to_dense()),
            self.host_fields_,
            self.n_modules,
            self.units_per_module,
            bounds,
            generator,
        )
        xp = array_module(self.weights_)
        self.weights_[:, :-1] = xp.asarray(pack_cells(cells))
        self.n_weights_[:] = xp.asarray(cells.sum(axis=1).reshape(self.n_weights_.shape))
        self.frozen_[:] = True

    # ---------------------------------------------------------------- verbs

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """Store items in one presentation each, in order.

        Parameters
        ----------
        items : array of 0 and 1 (n, n_features), or ActiveRows
            The first ones decide where the memory lives: on a GPU if they are CuPy's.
        targets, tags : None
            A code memory stores neither.

        Returns
        -------
        ids : int64 (n,)
            Running numbers of the presentations.

        Raises
        ------
        InputError
            If the items are not binary, are not two-dimensional, or have another width.
        BackendError
            If they live on another device than the memory.
        """
        if targets is not None or tags is not None:
            raise InputError(f"{type(self).__name__} stores no targets or tags; use SparseyClassifier for labels")
        first = self.n_presented_ if self._is_fitted() else 0
        codes = self.present(items, True, familiarity=False).codes
        ids: np.ndarray = array_module(codes).arange(first, first + len(codes), dtype=np.int64)
        return ids

    def trace(self, items: Any) -> Trace:
        """Codes, familiarity G and expansivity eta of items; nothing is learned."""
        shown = self.present(items, False)
        floor = self.familiarity_floor
        above = array_module(shown.familiarity).maximum(0.0, (shown.familiarity - floor) / (1.0 - floor))
        eta = 1.0 + power64(above, self.expansivity_exponent) * self.expansivity_scale * self.units_per_module
        return Trace(shown.codes, shown.familiarity, eta)

    def read(self, cues: Any, *, k: int = 1) -> Recall:
        """Reconstruct what each cue's winning code stands for.

        Returns
        -------
        Recall
            ``values`` float32 (n, k, n_features): input scores in [0, 1] in the first place, zeros in the others;
            ``ids`` -1 throughout (items have no identity here); ``scores`` the familiarity G in [0, 1], -inf beyond
            the first; ``info`` has ``codes``.
        """
        validate.integer(k, "k", 1)
        shown = self.present(cues, False)
        n, width = len(shown.codes), self.n_features_in_ if self._is_fitted() else self._active_rows(cues).n_features
        xp = array_module(shown.codes)
        values = xp.zeros((n, k, width), np.float32)
        values[:, 0] = self.reconstruct(shown.codes) if self._is_fitted() else 0
        scores = xp.full((n, k), -np.inf, np.float32)
        scores[:, 0] = mean_over_awake(shown.familiarity, shown.codes[:, :, 0] != self.silent_)
        return Recall(values, xp.full((n, k), -1, np.int64), scores, {"codes": shown.codes})

    def familiarity(self, items: Any) -> np.ndarray:
        """Mean G over the macs that the item wakes, float32 (n,) in [0, 1]; 0 where it wakes none."""
        shown = self.present(items, False)
        return mean_over_awake(shown.familiarity, shown.codes[:, :, 0] != self.silent_)

    def complete(self, cues: Any, known: Any) -> np.ndarray:
        """Fill in the unknown features from the code that the known active ones choose.

        Parameters
        ----------
        cues : array of 0 and 1 (n, n_features)
        known : bool (n, n_features) or (n_features,)
            True where the feature is given; the others are ignored.

        Returns
        -------
        float32 (n, n_features)
            Given features as they are, the others as scores in [0, 1].
        """
        self._check_fitted()
        cues = validate.binary_items(cues, self.n_features_in_, name="cues", owner=type(self).__name__)
        known = validate.feature_mask(known, *cues.shape)
        if not is_device_array(known):
            known = array_module(cues).asarray(known)
        xp = self._backend(cues=cues, known=known).xp
        codes = self.present(xp.where(known, cues, 0).astype(np.uint8), False, familiarity=False).codes
        found: np.ndarray = xp.where(known, cues, self.reconstruct(codes)).astype(np.float32)
        return found

    def _checked_codes(self, codes: Any, name: str = "codes") -> np.ndarray:
        self._check_fitted()
        codes = as_array(codes)
        silent_winners(codes, name, (None, self.n_macs_, self.n_modules), self.units_per_module)
        checked: np.ndarray = array_module(codes).ascontiguousarray(codes, self.code_dtype_)
        return checked

    def reconstruct(self, codes: Any) -> np.ndarray:
        """Input scores of codes: the share of winners that have a weight from a feature, averaged over macs.

        Parameters
        ----------
        codes : integers (n, n_macs, n_modules)

        Returns
        -------
        float32 (n, n_features) in [0, 1]
        """
        codes = self._checked_codes(codes)
        backend = self._backend(codes=codes)
        scores = backend.xp.empty((len(codes), self.n_features_in_), np.float32)
        if self.decay == "none":
            kernels = backend.kernels("sparsey")
            table = (self.position_of_cell_, padded_units(self.units_per_module), self.weights_, self.fields_)
            with kernel_threads(RECONSTRUCT_NS * codes.size * self.host_fields_.shape[1]):
                kernels.reconstruct(codes, self.silent_, *table, self.coverage_, scores)
            return scores
        scores[:] = 0
        value_at = self.decay_tables_[0]
        for m, field in enumerate(self.fields_):
            last = self.last_step_[m]
            age = np.minimum(self.step_ - last, value_at.shape[1] - 1)
            weights = np.where(last < 0, 0, value_at[self.stiffness_[m], age]) / np.float32(FULL_WEIGHT)
            awake = codes[:, m, 0] != self.silent_
            modules = np.arange(self.n_modules)
            cells = modules * self.units_per_module + self.position_of_cell_[m, modules, codes[awake, m]]
            scores[np.ix_(awake, field)] += weights[:, cells].mean(axis=2).T
        return scores * self.coverage_

    def intersect(self, a: Any, b: Any) -> np.ndarray:
        """Share of modules with the same winner, float32 (n_a, n_b), between two lists of codes."""
        a, b = self._checked_codes(a, "a"), self._checked_codes(b, "b")
        backend = backend_of(a=a, b=b)
        shared = backend.xp.empty((len(a), len(b)), np.int32)
        kernels = backend.kernels("sparsey")
        with kernel_threads(RECONSTRUCT_NS * len(a) * b.size):
            kernels.shared_winners(a.reshape(len(a), -1), b.reshape(len(b), -1), self.silent_, shared)
        return (shared / np.float32(self.n_macs_ * self.n_modules)).astype(np.float32)

    def likelihood(self, items: Any) -> np.ndarray:
        """Share of winners that the code of each item has in common with every stored code, float32 (n, n_stored).

        For analysis: unlike every other read it takes time in proportion to what is stored.  Needs ``keep_codes=True``.
        """
        self._check_kept("likelihood")
        return self.intersect(self.present(items, False, familiarity=False).codes, self.stored_codes_)

    def nearest_stored(self, codes: Any) -> np.ndarray:
        """Running number of the stored item whose code shares most winners with each code, int64 (n,)."""
        self._check_kept("nearest_stored")
        if not len(self.stored_codes_):
            raise CapacityError("nothing is stored yet, so no stored code is nearest")
        return self.intersect(codes, self.stored_codes_).argmax(axis=1)

    def _check_kept(self, verb: str) -> None:
        self._check_fitted()
        if not self.keep_codes:
            raise InputError(f"{verb} compares with stored codes; construct {type(self).__name__} with keep_codes=True")

    def saturation(self) -> dict[str, np.ndarray]:
        """How full the memory is, per mac.

        Returns
        -------
        dict of float64 (n_macs,)
            ``fill``: share of weights set; ``frozen``: share of cells that learn no more; ``mean_familiarity``: mean G
            of the items at the moment each was stored.
        """
        self._check_fitted()
        mean = self.familiarity_total_ * FAMILIARITY_UNIT / max(1, self.step_)
        if self.decay == "none":
            fill = self.n_weights_.sum(axis=1) / (self.n_weights_.shape[1] * self.fields_.shape[1])
            return {"fill": fill, "frozen": self.frozen_.mean(axis=1), "mean_familiarity": mean}
        value_at = self.decay_tables_[0]
        age = np.minimum(self.step_ - self.last_step_, value_at.shape[1] - 1)
        alive = (self.last_step_ >= 0) & (value_at[self.stiffness_, age] > 0)
        return {"fill": alive.mean(axis=(1, 2)), "frozen": np.zeros(len(alive)), "mean_familiarity": mean}

    def _warn_when_saturated(self) -> None:
        if self.saturation_warned_ or self.decay != "none":
            return
        fill = float(self.saturation()["fill"].max())
        if fill > SATURATED_FILL:
            self.saturation_warned_ = True
            warnings.warn(
                f"a mac has {fill:.0%} of its weights set, beyond {SATURATED_FILL:.0%} stored codes are lost: use more "
                "units_per_module, smaller receptive fields, a lower saturation_limit or a critical period",
                SaturationWarning,
                stacklevel=4,
            )

    # ---------------------------------------------------------------- estimator layer

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        for name in (*self._STATE, *self._SCALARS, *self._DERIVED):
            self.__dict__.pop(name, None)

    def begin_episode(self) -> None:
        """Clear the temporal context between sequences; codes of single items have none, so nothing changes."""

    def fit(self, X: Any, y: Any = None) -> "CodeMemory":
        """Forget everything, then store the items."""
        self.reset()
        return self.partial_fit(X)

    def partial_fit(self, X: Any, y: Any = None) -> "CodeMemory":
        """Store the items on top of what is there."""
        self.write(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Codes of items as a table, uint8 or uint16 (n, n_macs * n_modules); the dtype's maximum is "silent"."""
        self._check_fitted()
        codes = self.present(X, False, familiarity=False).codes
        return codes.reshape(len(codes), -1)

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Store the items, then give their codes."""
        return self.fit(X).transform(X)

    @property
    def item_spec(self) -> ItemSpec:
        """What this memory takes: binary items, a small share of them active."""
        width = self.n_features_in_ if self._is_fitted() else self._expected_width()
        if width is None:
            raise InputError("the width of items is not known before the first write; give n_inputs")
        return ItemSpec(width, "binary", 0.06)


def mean_over_awake(familiarity: np.ndarray, awake: np.ndarray) -> np.ndarray:
    """Mean of G (n, n_macs) over the macs that are not silent, float32 (n,)."""
    return (familiarity.sum(axis=1) / array_module(awake).maximum(1, awake.sum(axis=1))).astype(np.float32)
