"""State of a grid of macs: parameters, allocation, invariants of saved state, tables derived from it."""

from functools import cached_property
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY, Backend, array_module, backend_of
from neuromem.base import Estimator
from neuromem.errors import BackendError, CapacityError, FormatError, InputError
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState, generator_for, key_for, seed_sequence_of
from neuromem.sparsey.decay import decay_tables
from neuromem.sparsey.packing import pack_cells, unpack_cells, words_per_row
from neuromem.sparsey.winners import code_dtype

TRANSFERS = ("psi", "logistic")
NORMALIZATIONS = ("input", "fixed")
FREEZES = (None, "cell", "mac")
DECAYS = ("none", "permanence", "convex")
WINNERS = ("csa", "uniform", "random_patches", "random_weights")


class CodeState(Estimator):
    """Parameters and learned arrays of macs; :class:`CodeMemory` adds what they do."""

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
    # parameters, which the subclasses take
    n_modules: int
    units_per_module: int
    u_exponent: float
    familiarity_floor: float
    expansivity_exponent: float
    expansivity_scale: float
    sigmoid: tuple[float, float, float, float]
    transfer: str
    activation_bounds: tuple[int, int | None]
    normalization: str
    freeze: str | None
    saturation_limit: float
    critical_period: int | None
    decay: str
    winners: str
    keep_codes: bool
    random_state: RandomState

    _ON_GPU = True
    _DERIVED = ("host_fields_", "fields_", "row_of_feature_", "position_of_cell_", "coverage_", "rng_key_", "decay_tables_")

    # ---------------------------------------------------------------- parameters

    def _field_table(self, n_features: int) -> np.ndarray:
        """Features of each mac, int32 (n_macs, n_afferents)."""
        raise TypeError(f"{type(self).__name__} does not say which features its macs see")

    def _grid_size(self, n_features: int) -> tuple[int, int]:
        """Number of macs and of afferents of each, without making the table."""
        raise TypeError(f"{type(self).__name__} does not say how many macs it has")

    def _expected_width(self) -> int | None:
        """Width of items as far as the parameters tell."""
        return None

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
        return code_dtype(self.units_per_module)

    # ---------------------------------------------------------------- state

    def _is_fitted(self) -> bool:
        return getattr(self, "cell_order_", None) is not None

    def _check_device(self, backend: Backend) -> None:
        super()._check_device(backend)
        if backend != NUMPY and self.decay != "none":
            raise BackendError(f"{type(self).__name__} with decay={self.decay!r} works on the CPU only; use .to('cpu')")

    def _allocate(self, n_features: int, backend: Backend = NUMPY) -> None:
        """Make the empty memory for items of ``n_features``, where such items live."""
        self._validate_params()
        self._check_device(backend)
        xp = backend.xp
        fields = self._field_table(n_features)
        n_macs, n_afferents = fields.shape
        n_cells = self.n_modules * self.units_per_module
        seeds = seed_sequence_of(self.random_state)
        self.entropy_ = [int(word) for word in seeds.generate_state(4)]
        order = generator_for(np.random.SeedSequence(self.entropy_), "sparsey.cell_order")
        cells = np.broadcast_to(
            np.arange(self.units_per_module, dtype=np.uint16), (n_macs * self.n_modules, self.units_per_module)
        )
        drawn = order.permuted(cells, axis=1).reshape(n_macs, self.n_modules, self.units_per_module)
        self.cell_order_ = xp.asarray(np.ascontiguousarray(drawn))
        if self.decay == "none":
            n_words = words_per_row(self.n_modules, self.units_per_module)
            self.weights_ = xp.zeros((n_macs, n_afferents + 1, n_words), np.uint64)
            self.n_weights_ = xp.zeros((n_macs, n_cells), np.int32)
            self.frozen_ = xp.zeros((n_macs, n_cells), bool)
        else:
            self.stiffness_ = np.zeros((n_macs, n_afferents, n_cells), np.uint8)
            self.last_step_ = np.full((n_macs, n_afferents, n_cells), -1, np.int32)
        self.familiarity_total_ = xp.zeros(n_macs, np.int64)
        if self.keep_codes:
            self.stored_codes_ = xp.empty((0, n_macs, self.n_modules), self.code_dtype_)
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
        if self._expected_width() not in (None, n_features):
            raise FormatError(f"n_features_in_ is {n_features}, the parameters say {self._expected_width()}")
        n_macs, n_afferents = self._grid_size(n_features)
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
            outside = ~pack_cells(np.ones((self.n_modules, self.units_per_module), bool))
            if weights[:, -1].any() or (weights & outside).any():
                raise FormatError("weights_ has bits outside its cells")
            for mac, counted in zip(weights, arrays["n_weights_"], strict=True):  # one by one: bits take eight times the room
                cells = unpack_cells(mac, self.n_modules, self.units_per_module)
                if not np.array_equal(cells.sum(axis=0, dtype=np.int32).ravel(), counted):
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
    def host_fields_(self) -> np.ndarray:
        """``fields_`` on the host, wherever the memory lives."""
        return self._field_table(self.n_features_in_)

    @cached_property
    def fields_(self) -> np.ndarray:
        """Features that each mac sees, int32 (n_macs, n_afferents)."""
        return array_module(self.cell_order_).asarray(self.host_fields_)

    @cached_property
    def row_of_feature_(self) -> np.ndarray:
        """Afferent number of each feature, int32 (n_macs, n_features); -1 where the mac does not see it."""
        fields = self.host_fields_
        table = np.full((fields.shape[0], self.n_features_in_), -1, np.int32)
        np.put_along_axis(table, fields, np.arange(fields.shape[1], dtype=np.int32)[None], axis=1)
        return array_module(self.cell_order_).asarray(table)

    @cached_property
    def position_of_cell_(self) -> np.ndarray:
        """Inverse of ``cell_order_``."""
        return array_module(self.cell_order_).argsort(self.cell_order_, axis=2).astype(np.uint16)

    @cached_property
    def coverage_(self) -> np.ndarray:
        """One over the number of macs that see a feature, 0 where none does; float32 (n_features,)."""
        seen = np.bincount(self.host_fields_.ravel(), minlength=self.n_features_in_)
        share = np.divide(1, seen, out=np.zeros(len(seen), np.float32), where=seen > 0, dtype=np.float32)
        return array_module(self.cell_order_).asarray(share)

    @cached_property
    def rng_key_(self) -> np.ndarray:
        """Philox key of the winners' draws."""
        return key_for(np.random.SeedSequence(self.entropy_), "sparsey.winner")

    @cached_property
    def decay_tables_(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight at each age, and the ages before which it stiffens."""
        return decay_tables(self.decay)

    def _backend(self, **arrays: Any) -> Backend:
        """Where the memory lives once it does, which is where the given arrays must live too."""
        return backend_of(**arrays, memory=self.cell_order_) if self._is_fitted() else backend_of(**arrays)

    def __len__(self) -> int:
        return self.step_ if self._is_fitted() else 0

    def estimate_nbytes(self, n_features: int | None = None) -> int:
        """Bytes of state for items of ``n_features`` (default: those of this memory), before any is written."""
        if n_features is None:
            self._check_fitted()
            n_features = self.n_features_in_
        n_macs, n_afferents = self._grid_size(n_features)
        n_cells = self.n_modules * self.units_per_module
        if self.decay == "none":
            per_mac = 8 * (n_afferents + 1) * words_per_row(self.n_modules, self.units_per_module) + 5 * n_cells
        else:
            per_mac = 5 * n_afferents * n_cells
        return n_macs * (per_mac + 2 * n_cells + 8)

    @classmethod
    def _largest_within(cls, n_bytes: int, item_spec: ItemSpec, **params: Any) -> Any:
        """The memory with the most units per module whose state stays within ``n_bytes``."""
        made: Any = cls  # a subclass, which takes the parameters
        low, high = 2, 65535
        while low <= high:
            middle = (low + high) // 2
            if made(units_per_module=middle, **params).estimate_nbytes(item_spec.n_features) <= n_bytes:
                low = middle + 1
            else:
                high = middle - 1
        if high < 2:
            raise CapacityError(f"n_bytes={n_bytes} holds no {cls.__name__} for {item_spec.n_features} features")
        return made(units_per_module=high, **params)
