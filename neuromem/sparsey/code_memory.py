"""What a single mac and a grid of macs have in common: state, presentation, and every verb of the memory protocol."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import backend_of
from neuromem.base import Estimator
from neuromem.errors import CapacityError, FormatError, InputError, SaturationWarning
from neuromem.protocols import ItemSpec, Recall
from neuromem.random import STREAMS, generator_for, key_for, power64, seed_sequence_of
from neuromem.sparsey.active import ActiveRows
from neuromem.sparsey.controls import imprinted_weights
from neuromem.sparsey.decay import FULL_WEIGHT, decay_tables
from neuromem.sparsey.packing import pack_cells, padded_units, unpack_cells, words_per_row
from neuromem.threads import kernel_lock

TRANSFERS = ("psi", "logistic")
NORMALIZATIONS = ("input", "fixed")
FREEZES = (None, "cell", "mac")
DECAYS = ("none", "permanence", "convex")
WINNERS = ("csa", "uniform", "random_patches", "random_weights")
SATURATED_FILL = 0.6  # recall stays above 99 % up to about this fill
FAMILIARITY_UNIT = 2.0**-32  # familiarity is totalled in integers, so that the total does not depend on chunk sizes


@dataclass(frozen=True, slots=True)
class Presentation:
    """What a stream of items left behind: see :meth:`CodeMemory.present`."""

    codes: np.ndarray
    written_codes: np.ndarray | None
    familiarity: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Trace:
    """Codes uint (n, n_macs, n_modules), G float64 (n, n_macs) and eta float64 (n, n_macs) of items, nothing learned."""

    codes: np.ndarray
    familiarity: np.ndarray
    expansivity: np.ndarray


class CodeMemory(Estimator):
    """Base of :class:`SparseyMac` and :class:`SparseyLayer`; subclasses say which features each mac sees."""

    _STATE = {
        "weights_": (np.uint64, 3),
        "n_weights_": (np.int32, 2),
        "frozen_": (np.bool_, 2),
        "stiffness_": (np.uint8, 3),
        "last_step_": (np.int32, 3),
        "cell_order_": (np.uint16, 3),
        "familiarity_total_": (np.int64, 1),
        "stored_codes_": ((np.uint8, np.uint16), 3),
    }
    _SCALARS = ("n_features_in_", "step_", "n_presented_", "n_silent_", "entropy_", "saturation_warned_")
    _DERIVED = ("fields_", "row_of_feature_", "position_of_cell_", "coverage_", "rng_key_", "decay_tables_")

    # ---------------------------------------------------------------- parameters

    def _field_table(self, n_features: int) -> np.ndarray:
        """Features of each mac, int32 (n_macs, n_afferents)."""
        raise TypeError(f"{type(self).__name__} does not say which features its macs see")

    def _validate_params(self) -> None:
        validate.integer(self.n_modules, "n_modules", 1)
        validate.integer(self.units_per_module, "units_per_module", 1, 65535)
        validate.number(self.u_exponent, "u_exponent", low=0, low_open=True)
        validate.number(self.familiarity_floor, "familiarity_floor", low=0, high=1, high_open=True)
        validate.number(self.expansivity_exponent, "expansivity_exponent", low=0, low_open=True)
        validate.number(self.expansivity_scale, "expansivity_scale", low=0)
        validate.number(self.saturation_limit, "saturation_limit", low=0, high=1, low_open=True)
        validate.choice(self.transfer, "transfer", TRANSFERS)
        validate.choice(self.normalization, "normalization", NORMALIZATIONS)
        validate.choice(self.freeze, "freeze", FREEZES)
        validate.choice(self.decay, "decay", DECAYS)
        validate.choice(self.winners, "winners", WINNERS)
        if self.critical_period is not None:
            validate.integer(self.critical_period, "critical_period", 0)
        if len(self.sigmoid) != 4:
            raise InputError(f"sigmoid has {len(self.sigmoid)} values, four (s1, s2, s3, s4) were expected")
        for value in self.sigmoid:
            validate.number(value, "sigmoid")
        low, high = self.activation_bounds
        validate.integer(low, "activation_bounds[0]", 1)
        if high is not None:
            validate.integer(high, "activation_bounds[1]", low)
        if self.expansivity_scale * float(self.units_per_module) ** 2 >= 2.0**42:
            raise InputError(
                f"expansivity_scale={self.expansivity_scale} with {self.units_per_module} units per module overflows "
                "the integer win weights; choose a scale below 2**42 / units_per_module**2"
            )
        if self.decay != "none" and self.winners in ("random_patches", "random_weights"):
            raise InputError(f"winners={self.winners!r} needs decay='none': imprinted weights do not age")

    @property
    def n_macs_(self) -> int:
        """Number of macs."""
        self._check_fitted()
        return int(self.cell_order_.shape[0])

    @property
    def silent_(self) -> int:
        """The number that stands for "no winner" in a code."""
        return int(np.iinfo(self.code_dtype_).max)

    @property
    def code_dtype_(self) -> np.dtype:
        """uint8 where 255 units or fewer compete in a module, else uint16."""
        return np.dtype(np.uint8 if self.units_per_module <= 255 else np.uint16)

    # ---------------------------------------------------------------- state

    def _is_fitted(self) -> bool:
        return getattr(self, "cell_order_", None) is not None

    def _allocate(self, n_features: int) -> None:
        """Make the empty memory for items of ``n_features``."""
        self._validate_params()
        fields = self._field_table(n_features)
        n_macs, n_afferents = fields.shape
        n_cells = self.n_modules * self.units_per_module
        seeds = seed_sequence_of(self.random_state)
        self.entropy_ = [int(word) for word in seeds.generate_state(4)]
        order = generator_for(np.random.SeedSequence(self.entropy_), "sparsey.cell_order")
        cells = np.broadcast_to(np.arange(self.units_per_module, dtype=np.uint16), (n_macs * self.n_modules, self.units_per_module))
        self.cell_order_ = order.permuted(cells, axis=1).reshape(n_macs, self.n_modules, self.units_per_module)
        if self.decay == "none":
            n_words = words_per_row(self.n_modules, self.units_per_module)
            self.weights_ = np.zeros((n_macs, n_afferents + 1, n_words), np.uint64)
            self.n_weights_ = np.zeros((n_macs, n_cells), np.int32)
            self.frozen_ = np.zeros((n_macs, n_cells), bool)
        else:
            self.stiffness_ = np.zeros((n_macs, n_afferents, n_cells), np.uint8)
            self.last_step_ = np.full((n_macs, n_afferents, n_cells), -1, np.int32)
        self.familiarity_total_ = np.zeros(n_macs, np.int64)
        if self.keep_codes:
            self.stored_codes_ = np.empty((0, n_macs, self.n_modules), self.code_dtype_)
        self.n_features_in_ = n_features
        self.step_ = self.n_presented_ = self.n_silent_ = 0
        self.saturation_warned_ = False

    def _after_load(self) -> None:
        for name in self._DERIVED:
            self.__dict__.pop(name, None)

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if "cell_order_" not in arrays:
            return
        order = arrays["cell_order_"]
        n_features = scalars.get("n_features_in_")
        if type(n_features) is not int or not 1 <= n_features < 2**31:
            raise FormatError(f"n_features_in_ is {n_features!r}, a positive integer was expected")
        for name in ("step_", "n_presented_", "n_silent_"):
            if type(scalars.get(name)) is not int or scalars[name] < 0:
                raise FormatError(f"{name} is {scalars.get(name)!r}, a count was expected")
        entropy = scalars.get("entropy_")
        if not isinstance(entropy, list) or len(entropy) != 4 or not all(type(w) is int and 0 <= w < 2**32 for w in entropy):
            raise FormatError("entropy_ is not a list of four 32-bit words")
        if type(scalars.get("saturation_warned_")) is not bool:
            raise FormatError("saturation_warned_ is not true or false")
        fields = self._field_table(n_features)
        n_macs, n_afferents = fields.shape
        n_cells = self.n_modules * self.units_per_module
        shapes = {"cell_order_": (n_macs, self.n_modules, self.units_per_module), "familiarity_total_": (n_macs,)}
        if self.decay == "none":
            n_words = words_per_row(self.n_modules, self.units_per_module)
            shapes |= {"weights_": (n_macs, n_afferents + 1, n_words)}
            shapes |= {"n_weights_": (n_macs, n_cells), "frozen_": (n_macs, n_cells)}
        else:
            shapes |= dict.fromkeys(("stiffness_", "last_step_"), (n_macs, n_afferents, n_cells))
        if self.keep_codes:
            kept = arrays["stored_codes_"].shape[0] if "stored_codes_" in arrays else -1
            shapes |= {"stored_codes_": (kept, n_macs, self.n_modules)}
        for name, shape in shapes.items():
            found = arrays[name].shape if name in arrays else None
            if found != shape:
                raise FormatError(f"{name} has shape {found}, {shape} was expected")
        if set(arrays) != set(shapes):
            raise FormatError(f"unexpected arrays {sorted(set(arrays) - set(shapes))}")
        if not np.array_equal(np.sort(order, axis=2), np.broadcast_to(np.arange(self.units_per_module), order.shape)):
            raise FormatError("cell_order_ is not a permutation of each module's cells")
        if self.decay == "none":
            weights = arrays["weights_"]
            cells = unpack_cells(weights, self.n_modules, self.units_per_module)
            if weights[:, -1].any() or not np.array_equal(pack_cells(cells), weights):
                raise FormatError("weights_ has bits outside its cells")
            if not np.array_equal(cells.sum(axis=1).reshape(n_macs, n_cells), arrays["n_weights_"]):
                raise FormatError("n_weights_ does not count weights_")
        else:
            n_classes = len(decay_tables(self.decay)[1])
            last = arrays["last_step_"]
            if (arrays["stiffness_"] >= n_classes).any() or (last < -1).any() or (last > scalars["step_"]).any():
                raise FormatError("stiffness_ or last_step_ is out of range")
        if self.keep_codes:
            codes = arrays["stored_codes_"]
            if codes.dtype != self.code_dtype_ or ((codes >= self.units_per_module) & (codes != self.silent_)).any():
                raise FormatError("stored_codes_ names cells that do not exist")

    @cached_property
    def fields_(self) -> np.ndarray:
        """Features that each mac sees, int32 (n_macs, n_afferents)."""
        return self._field_table(self.n_features_in_)

    @cached_property
    def row_of_feature_(self) -> np.ndarray:
        """Afferent number of each feature, int32 (n_macs, n_features); -1 where the mac does not see it."""
        table = np.full((self.fields_.shape[0], self.n_features_in_), -1, np.int32)
        np.put_along_axis(table, self.fields_, np.arange(self.fields_.shape[1], dtype=np.int32)[None], axis=1)
        return table

    @cached_property
    def position_of_cell_(self) -> np.ndarray:
        """Inverse of ``cell_order_``."""
        return np.argsort(self.cell_order_, axis=2).astype(np.uint16)

    @cached_property
    def coverage_(self) -> np.ndarray:
        """One over the number of macs that see a feature, 0 where none does; float32 (n_features,)."""
        seen = np.bincount(self.fields_.ravel(), minlength=self.n_features_in_)
        return np.divide(1, seen, out=np.zeros(len(seen), np.float32), where=seen > 0, dtype=np.float32)

    @cached_property
    def rng_key_(self) -> np.ndarray:
        return key_for(np.random.SeedSequence(self.entropy_), "sparsey.winner")

    @cached_property
    def decay_tables_(self) -> tuple[np.ndarray, np.ndarray]:
        return decay_tables(self.decay)

    def __len__(self) -> int:
        return self.step_ if self._is_fitted() else 0

    def estimate_nbytes(self, n_features: int | None = None) -> int:
        """Bytes of state for items of ``n_features`` (default: those of this memory), before any is written."""
        if n_features is None:
            self._check_fitted()
            n_features = self.n_features_in_
        n_macs, n_afferents = self._field_table(n_features).shape
        n_cells = self.n_modules * self.units_per_module
        if self.decay == "none":
            per_mac = 8 * (n_afferents + 1) * words_per_row(self.n_modules, self.units_per_module) + 5 * n_cells
        else:
            per_mac = 5 * n_afferents * n_cells
        return n_macs * (per_mac + 2 * n_cells + 8)

    @classmethod
    def _largest_within(cls, n_bytes: int, item_spec: ItemSpec, **params: Any) -> Any:
        """The memory with the most units per module whose state stays within ``n_bytes``."""
        low, high = 2, 65535
        while low <= high:
            middle = (low + high) // 2
            if cls(units_per_module=middle, **params).estimate_nbytes(item_spec.n_features) <= n_bytes:
                low = middle + 1
            else:
                high = middle - 1
        if high < 2:
            raise CapacityError(f"n_bytes={n_bytes} holds no {cls.__name__} for {item_spec.n_features} features")
        return cls(units_per_module=high, **params)

    # ---------------------------------------------------------------- presentation

    def _active_rows(self, X: Any) -> ActiveRows:
        width = self.n_features_in_ if self._is_fitted() else self._expected_width()
        if isinstance(X, ActiveRows):
            if width is not None and X.n_features != width:
                raise InputError(f"X has {X.n_features} features, {type(self).__name__} was made for {width}")
            return X
        return ActiveRows.from_dense(validate.binary_items(X, width, owner=type(self).__name__))

    def _expected_width(self) -> int | None:
        return None

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
        if not learn:
            memory = self if self._is_fitted() else self._blank(active.n_features)
            codes, G = memory._recall(active, familiarity)
            return Presentation(codes, codes if written else None, G if familiarity else None)
        if not self._is_fitted():
            self._allocate(active.n_features)
        codes, written_codes, G = self._learn(active)
        return Presentation(codes, written_codes if written else None, G if familiarity else None)

    def _blank(self, n_features: int) -> "CodeMemory":
        """An empty memory with the same parameters, for reads before any write."""
        memory = type(self)(**self.get_params(deep=False))
        memory._allocate(n_features)
        return memory

    def _recall(self, active: ActiveRows, with_familiarity: bool) -> tuple[np.ndarray, np.ndarray]:
        n_macs, n_afferents = self.fields_.shape
        shape, bounds, exponents = self._settings(n_afferents)
        codes = np.empty((len(active), n_macs, self.n_modules), self.code_dtype_)
        kernels = backend_of(active.indices).kernels("sparsey")
        common = (active.indices, active.indptr, self.row_of_feature_, self.cell_order_, shape, bounds, exponents)
        if self.decay == "none":
            G = np.empty(codes.shape[:2] if with_familiarity else (0, 0), np.float64)
            with kernel_lock():
                kernels.recall_batch(*common, with_familiarity, self.silent_, self.weights_, codes, G)
        else:
            G = np.empty(codes.shape[:2], np.float64)
            with kernel_lock():
                kernels.recall_aging(
                    *common, self.decay_tables_[0], self.step_, self.silent_, self.stiffness_, self.last_step_, codes, G
                )
        return codes, G

    def _learn(self, active: ActiveRows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n_macs, n_afferents = self.fields_.shape
        shape, bounds, exponents = self._settings(n_afferents)
        n_items = len(active)
        n_learned = n_items if self.critical_period is None else min(n_items, max(0, self.critical_period - self.step_))
        codes = np.empty((n_items, n_macs, self.n_modules), self.code_dtype_)
        written = np.empty_like(codes)
        G = np.empty(codes.shape[:2], np.float64)
        if self.winners in ("random_patches", "random_weights") and self.step_ == 0 and n_learned:
            self._imprint(active.rows(0, n_learned), bounds)
        modes = np.array(
            [TRANSFERS.index(self.transfer), self.winners == "uniform", FREEZES.index(self.freeze)], np.int64
        )
        kernels = backend_of(active.indices).kernels("sparsey")
        common = (active.indices, active.indptr, self.row_of_feature_, self.cell_order_, shape, bounds, exponents)
        common += (np.asarray(self.sigmoid, np.float64), modes)
        stream = (self.rng_key_, self.step_, n_learned, self.silent_)
        with kernel_lock():
            if self.decay == "none":
                cell_limit = int(np.ceil(self.saturation_limit * n_afferents))
                limits = np.array([cell_limit, np.ceil(self.saturation_limit * n_afferents * self.n_weights_.shape[1])], np.int64)
                state = (self.weights_, self.n_weights_, self.frozen_)
                kernels.learn_stream(*common, limits, *stream, *state, codes, written, G)
            else:
                state = (self.stiffness_, self.last_step_)
                kernels.learn_aging(*common, *self.decay_tables_, *stream, *state, codes, written, G)
        self.step_ += n_learned
        self.n_presented_ += n_items
        self.n_silent_ += int((codes[:, :, 0] == self.silent_).sum())
        self.familiarity_total_ += np.floor(G[:n_learned] / FAMILIARITY_UNIT).astype(np.int64).sum(axis=0)
        if self.keep_codes:
            self.stored_codes_ = np.concatenate([self.stored_codes_, written[:n_learned]])
        self._warn_when_saturated()
        return codes, written, G

    def _imprint(self, active: ActiveRows, bounds: np.ndarray) -> None:
        """Controls: give every cell fixed weights instead of letting the code selection choose them."""
        generator = generator_for(np.random.SeedSequence(self.entropy_), "sparsey.controls")
        cells = imprinted_weights(self.winners, active.to_dense(), self.fields_, self.n_modules, self.units_per_module, bounds, generator)
        self.weights_[:, :-1] = pack_cells(cells)
        self.n_weights_[:] = cells.sum(axis=1).reshape(self.n_weights_.shape)
        self.frozen_[:] = True

    # ---------------------------------------------------------------- verbs

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """Store items in one presentation each, in order.

        Parameters
        ----------
        items : array of 0 and 1 (n, n_features), or ActiveRows
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
        """
        if targets is not None or tags is not None:
            raise InputError(f"{type(self).__name__} stores no targets or tags; use SparseyClassifier for labels")
        first = self.n_presented_ if self._is_fitted() else 0
        n = len(self.present(items, True, familiarity=False).codes)
        return np.arange(first, first + n, dtype=np.int64)

    def trace(self, items: Any) -> Trace:
        """Codes, familiarity G and expansivity eta of items; nothing is learned."""
        shown = self.present(items, False)
        floor = self.familiarity_floor
        above = np.maximum(0.0, (shown.familiarity - floor) / (1.0 - floor))
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
        values = np.zeros((n, k, width), np.float32)
        values[:, 0] = self.reconstruct(shown.codes) if self._is_fitted() else 0
        scores = np.full((n, k), -np.inf, np.float32)
        scores[:, 0] = mean_over_awake(shown.familiarity, shown.codes[:, :, 0] != self.silent_)
        return Recall(values, np.full((n, k), -1, np.int64), scores, {"codes": shown.codes})

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
        codes = self.present(np.where(known, cues, 0).astype(np.uint8), False, familiarity=False).codes
        return np.where(known, cues, self.reconstruct(codes)).astype(np.float32)

    def _checked_codes(self, codes: Any, name: str = "codes") -> np.ndarray:
        self._check_fitted()
        codes = np.asarray(codes)
        shape = (self.n_macs_, self.n_modules)
        if codes.shape[1:] != shape or codes.ndim != 3 or codes.dtype.kind not in "iu":
            raise InputError(f"{name} has shape {codes.shape} and dtype {codes.dtype}, integers (n, {shape[0]}, {shape[1]}) were expected")
        silent = codes == self.silent_
        if ((codes < 0) | ((codes >= self.units_per_module) & ~silent)).any():
            raise InputError(f"{name} has winners outside 0 ... {self.units_per_module - 1} (silent: {self.silent_})")
        if (silent.any(axis=2) != silent.all(axis=2)).any():
            raise InputError(f"{name} has a mac that is silent in some of its modules only")
        return np.ascontiguousarray(codes, self.code_dtype_)

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
        scores = np.empty((len(codes), self.n_features_in_), np.float32)
        if self.decay == "none":
            kernels = backend_of(codes).kernels("sparsey")
            table = (self.position_of_cell_, padded_units(self.units_per_module), self.weights_, self.fields_)
            with kernel_lock():
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
        shared = np.empty((len(a), len(b)), np.int32)
        with kernel_lock():
            backend_of(a, b).kernels("sparsey").shared_winners(
                a.reshape(len(a), -1), b.reshape(len(b), -1), self.silent_, shared
            )
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
    return (familiarity.sum(axis=1) / np.maximum(1, awake.sum(axis=1))).astype(np.float32)
