"""State of a network of macs: parameters, allocation, invariants of saved state, tables derived from it."""

from collections.abc import Sequence
from functools import cached_property
from math import lcm
from typing import Any, ClassVar, Self

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY, Backend, array_module, backend_of
from neuromem.base import Estimator
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState, key_for, seed_sequence_of
from neuromem.sparsey.code_state import TRANSFERS
from neuromem.sparsey.level import SparseyLevel
from neuromem.sparsey.network_tables import NetworkTables, feature_rows, network_tables, u_tables
from neuromem.sparsey.packing import pack_cells, unpack_cells

BACKOFFS = ("none", "relative", "absolute")
CONTEXTS = ("onset", "always")
HYPOTHESES = ("off", "boost", "discount")
UPPER_INPUTS = ("sampled", "argmax")
ABSENT = -1.0  # G of a version whose signals were not all there


class NetworkState(Estimator):
    """Parameters and learned arrays of a network; :class:`NetworkMemory` adds what it does."""

    _STATE = {
        "weights_": (np.uint64, 1),
        "n_weights_": (np.int32, 1),
        "frozen_": (np.bool_, 1),
        "codes_": (np.int32, 1),
        "recalled_": (np.int32, 1),
        "ages_": (np.int32, 1),
        "sends_": (np.int32, 1),
        "familiarity_": (np.float64, 1),
        "versions_": (np.float64, 2),
    }
    _CONTEXT: ClassVar[tuple[str, ...]] = ("codes_", "recalled_", "ages_", "sends_", "familiarity_", "versions_")
    _SCALARS = ("n_features_in_", "step_", "n_stored_", "entropy_", "saturation_warned_")
    _DERIVED: ClassVar[tuple[str, ...]] = ("tables_", "row_of_feature_", "u_tables_", "placed_tables_", "rng_key_")
    # parameters, which the subclasses take
    n_inputs: int | None
    backoff: str
    backoff_ratio: float
    backoff_thresholds: tuple[float, float, float]
    learn_context: str
    upper_input: str
    hypotheses: str
    hypothesis_threshold: float
    hypothesis_limit: int
    familiarity_floor: float
    expansivity_exponent: float
    expansivity_scale: float
    sigmoid: tuple[float, float, float, float]
    transfer: str
    random_state: RandomState

    # ---------------------------------------------------------------- parameters

    def _level_list(self) -> Sequence[SparseyLevel]:
        """The levels, lowest first."""
        raise TypeError(f"{type(self).__name__} does not say what levels it has")

    def _validate_params(self) -> None:
        if self.n_inputs is not None:
            validate.integer(self.n_inputs, "n_inputs", 1)
        validate.choice(self.backoff, "backoff", BACKOFFS)
        validate.number(self.backoff_ratio, "backoff_ratio", low=0, high=1)
        validate.choice(self.learn_context, "learn_context", CONTEXTS)
        validate.choice(self.upper_input, "upper_input", UPPER_INPUTS)
        validate.choice(self.hypotheses, "hypotheses", HYPOTHESES)
        validate.number(self.hypothesis_threshold, "hypothesis_threshold", low=0, high=1, low_open=True)
        validate.integer(self.hypothesis_limit, "hypothesis_limit", 1, 8)
        validate.number(self.familiarity_floor, "familiarity_floor", low=0, high=1, high_open=True)
        validate.number(self.expansivity_exponent, "expansivity_exponent", low=0, low_open=True)
        validate.number(self.expansivity_scale, "expansivity_scale", low=0)
        validate.choice(self.transfer, "transfer", TRANSFERS)
        for name, length in (("sigmoid", 4), ("backoff_thresholds", 3)):
            values = getattr(self, name)
            if len(values) != length:
                raise InputError(f"{name} has {len(values)} values, {length} were expected")
            for value in values:
                validate.number(value, name)
        levels = self._level_list()
        if not isinstance(levels, (list, tuple)) or not levels or not all(isinstance(x, SparseyLevel) for x in levels):
            raise InputError(f"levels is {levels!r}, a list of one SparseyLevel or more was expected")
        for level in levels:
            level._validate_params()
            if self.expansivity_scale * float(level.units_per_module) ** 2 >= 2.0**42:
                raise InputError(
                    f"expansivity_scale={self.expansivity_scale} with {level.units_per_module} units per module overflows "
                    "the integer win weights; choose a scale below 2**42 / units_per_module**2"
                )

    @property
    def n_levels_(self) -> int:
        """Number of levels."""
        return len(self._level_list())

    def _settings(self) -> tuple[np.ndarray, ...]:
        """Constants, modes, sigmoid and multipliers, as the kernels take them."""
        limit = self.hypothesis_limit
        unit = lcm(*range(1, limit + 1)) if self.hypotheses == "discount" else 1
        multipliers = {
            "off": [],
            "boost": [1, *range(1, limit + 1)],
            "discount": [unit, *(unit // z for z in range(1, limit + 1))],
        }[self.hypotheses]
        constants = (self.familiarity_floor, self.expansivity_exponent, self.expansivity_scale, self.backoff_ratio)
        modes = (
            BACKOFFS.index(self.backoff),
            TRANSFERS.index(self.transfer),
            CONTEXTS.index(self.learn_context),
            unit,
            UPPER_INPUTS.index(self.upper_input),
        )
        return (
            np.array([*constants, *self.backoff_thresholds, self.hypothesis_threshold], np.float64),
            np.array(modes, np.int64),
            np.asarray(self.sigmoid, np.float64),
            np.array(multipliers, np.int32),
        )

    # ---------------------------------------------------------------- state

    def _backend(self, **arrays: Any) -> Backend:
        """Where the memory lives once it does, which is where the given arrays must live too."""
        return backend_of(**arrays, memory=self.weights_) if self._is_fitted() else backend_of(**arrays)

    def _allocate(self, n_features: int, backend: Backend = NUMPY) -> None:
        """Make the empty memory for frames of ``n_features``, where such frames live."""
        self._validate_params()
        self._check_device(backend)
        xp = backend.xp
        tables = self._tables_for(n_features)
        self.entropy_ = [int(word) for word in seed_sequence_of(self.random_state).generate_state(4)]
        self.n_features_in_ = n_features
        self.step_ = self.n_stored_ = 0
        self.saturation_warned_ = False
        self.weights_ = xp.zeros(tables.n_words, np.uint64)
        self.n_weights_ = xp.zeros(tables.n_cells, np.int32)
        self.frozen_ = xp.zeros(tables.n_cells, bool)
        self.tables_ = tables
        if self._CONTEXT:
            self._set_context(self._empty_context())

    def _empty_context(self) -> tuple[np.ndarray, ...]:
        """Codes, argmax codes, ages, sends, G and G of every version where nobody holds a code."""
        n_modules, n_macs = self.tables_.n_modules, len(self.tables_.macs)
        xp = array_module(self.weights_)
        return (
            xp.full(n_modules, -1, np.int32),
            xp.full(n_modules, -1, np.int32),
            xp.zeros(n_macs, np.int32),
            xp.zeros(n_macs, np.int32),
            xp.zeros(n_macs, np.float64),
            xp.full((n_macs, 7), ABSENT),
        )

    def _context(self) -> tuple[np.ndarray, ...]:
        return tuple(getattr(self, name) for name in self._CONTEXT)

    def _set_context(self, context: tuple[np.ndarray, ...]) -> None:
        for name, value in zip(self._CONTEXT, context, strict=True):
            setattr(self, name, value)

    def _after_load(self) -> None:
        for name in self._DERIVED:
            self.__dict__.pop(name, None)

    @cached_property
    def tables_(self) -> NetworkTables:
        """The network as the kernels see it."""
        return self._tables_for(self.n_features_in_)

    def _tables_for(self, n_features: int) -> NetworkTables:
        """The tables of a memory of frames of ``n_features``."""
        return network_tables(self._level_list(), n_features)

    @cached_property
    def row_of_feature_(self) -> np.ndarray:
        """Afferent of each feature at each mac of the first level."""
        return array_module(self.weights_).asarray(feature_rows(self.tables_, self.n_features_in_))

    @cached_property
    def u_tables_(self) -> tuple[np.ndarray, np.ndarray]:
        """V and its win factor where U is the only signal."""
        _, modes, sigmoid, _ = self._settings()
        return u_tables(self.tables_.rates, sigmoid, int(modes[1]))

    @cached_property
    def placed_tables_(self) -> tuple[np.ndarray, ...]:
        """What each mac sees, what sees it, and ``u_tables_``, where the memory lives."""
        xp = array_module(self.weights_)
        return tuple(xp.asarray(table) for table in (self.tables_.sources, self.tables_.parents, *self.u_tables_))

    @cached_property
    def rng_key_(self) -> np.ndarray:
        """Philox key of the winners' draws."""
        return key_for(np.random.SeedSequence(self.entropy_), "sparsey.network")

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if not arrays and not scalars:
            return
        n_features = scalars.get("n_features_in_")
        if type(n_features) is not int or not 1 <= n_features < 2**31:
            raise FormatError(f"n_features_in_ is {n_features!r}, a positive integer was expected")
        if self.n_inputs not in (None, n_features):
            raise FormatError(f"n_features_in_ is {n_features}, n_inputs says {self.n_inputs}")
        for name in ("step_", "n_stored_"):
            if type(scalars.get(name)) is not int or scalars[name] < 0:
                raise FormatError(f"{name} is {scalars.get(name)!r}, a count was expected")
        entropy = scalars.get("entropy_")
        if not isinstance(entropy, list) or len(entropy) != 4 or not all(type(w) is int and 0 <= w < 2**32 for w in entropy):
            raise FormatError("entropy_ is not a list of four 32-bit words")
        if type(scalars.get("saturation_warned_")) is not bool:
            raise FormatError("saturation_warned_ is not true or false")
        if set(arrays) != set(self._STATE):
            raise FormatError(f"arrays {sorted(set(self._STATE) ^ set(arrays))} are missing or unknown")
        if self._level_list()[0].n_connections(n_features) > arrays["weights_"].size:  # before any table is made
            raise FormatError("weights_ is too small for the receptive fields")
        try:
            tables = self._tables_for(n_features)
        except InputError as error:
            raise FormatError(str(error)) from None
        n_macs = len(tables.macs)
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("n_weights_", "frozen_"), (tables.n_cells,))
        shapes |= {"weights_": (tables.n_words,)}
        shapes |= dict.fromkeys(("codes_", "recalled_"), (tables.n_modules,)) | {"versions_": (n_macs, 7)}
        shapes |= dict.fromkeys(("ages_", "sends_", "familiarity_"), (n_macs,))
        for name in self._STATE:
            if arrays[name].shape != shapes[name]:
                raise FormatError(f"{name} has shape {arrays[name].shape}, {shapes[name]} was expected")
        if self._CONTEXT:
            self._check_context(tables, arrays)
        for mac in tables.macs:
            check_weights(mac, arrays)

    def _check_context(self, tables: NetworkTables, arrays: dict[str, np.ndarray]) -> None:
        from neuromem.sparsey.kernels import mac_signals as column

        per_mac = tables.macs[:, column.MODULES]
        units = np.repeat(tables.macs[:, column.UNITS], per_mac)
        awake = arrays["ages_"] > 0
        for name in ("codes_", "recalled_"):
            codes = arrays[name]
            if (codes < -1).any() or (codes >= units).any() or ((codes >= 0) != np.repeat(awake, per_mac)).any():
                raise FormatError(f"{name} names cells that do not exist, or does not fit ages_")
        allowed = {0, 1} if self.hypotheses == "off" else {0, *self._settings()[3][1:].tolist()}
        if (arrays["ages_"] < 0).any() or not set(arrays["sends_"].tolist()) <= allowed or arrays["sends_"][~awake].any():
            raise FormatError("ages_ or sends_ is out of range")
        if self.hypotheses == "off" and not arrays["sends_"][awake].all():
            raise FormatError("sends_ has a code that is not sent")
        for name in ("familiarity_", "versions_"):
            values = arrays[name]
            if not ((values >= 0) & (values <= 1) | (values == ABSENT) & (name == "versions_")).all():
                raise FormatError(f"{name} is out of range")

    def __len__(self) -> int:
        return self.n_stored_ if self._is_fitted() else 0

    # ---------------------------------------------------------------- size

    def estimate_nbytes(self, n_features: int | None = None) -> int:
        """Bytes of state for frames of ``n_features`` (default: those of this memory), before any is written."""
        if n_features is None:
            self._check_fitted()
            n_features = self.n_features_in_
        self._validate_params()
        tables = self._tables_for(n_features)
        context = 8 * tables.n_modules + 72 * len(tables.macs) if self._CONTEXT else 0
        return 8 * tables.n_words + 5 * tables.n_cells + context

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None, **params: Any) -> Self:
        """The memory with the most units per module whose state stays within ``n_bytes``; a network has two levels then.

        Raises
        ------
        CapacityError
            If not even two units per module fit.
        """
        low, high = 2, 65535
        while low <= high:
            middle = (low + high) // 2
            if cls._of_size(item_spec.n_features, middle, **params).estimate_nbytes(item_spec.n_features) <= n_bytes:
                low = middle + 1
            else:
                high = middle - 1
        if high < 2:
            raise CapacityError(f"n_bytes={n_bytes} holds no {cls.__name__} for {item_spec.n_features} features")
        return cls._of_size(item_spec.n_features, high, random_state=random_state, **params)

    @classmethod
    def _of_size(cls, n_features: int, units_per_module: int, **params: Any) -> Self:
        make: Any = cls  # subclasses have these parameters
        made: Self = make(n_features, units_per_module=units_per_module, **params)
        return made

    @property
    def item_spec(self) -> ItemSpec:
        """What this memory takes: binary frames, a small share of their features active."""
        width = self.n_features_in_ if self._is_fitted() else self.n_inputs
        if width is None:
            raise InputError("the width of frames is not known before the first write; give n_inputs")
        return ItemSpec(width, "binary", 0.06)


def check_weights(mac: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
    """One mac's bits lie within its cells, none is in the row of zeros or from a cell's own module; counts fit them."""
    from neuromem.sparsey.kernels import mac_signals as column

    n_modules, units, n_words = (int(mac[c]) for c in (column.MODULES, column.UNITS, column.WORDS))
    n_up, n_across, n_down = (int(mac[c]) for c in (column.N_UP, column.N_ACROSS, column.N_DOWN))
    first = int(mac[column.FIRST_WORD])
    rows = arrays["weights_"][first : first + (n_up + n_across + n_down + 1) * n_words].reshape(-1, n_words)
    if rows[-1].any() or (rows & ~pack_cells(np.ones((n_modules, units), bool))).any():
        raise FormatError("weights_ has bits outside its cells")
    for q in range(n_modules if n_across else 0):
        own = np.zeros((n_modules, units), bool)
        own[q] = True
        if (rows[n_up + q * units : n_up + (q + 1) * units] & pack_cells(own)).any():
            raise FormatError("weights_ connects a module to itself")
    counts = np.zeros((n_modules, units), np.int32)
    for start in range(0, n_up, 1024):  # bits take eight times the room
        counts += unpack_cells(rows[start : min(start + 1024, n_up)], n_modules, units).sum(axis=0, dtype=np.int32)
    cells = slice(int(mac[column.FIRST_CELL]), int(mac[column.FIRST_CELL]) + n_modules * units)
    if not np.array_equal(counts.ravel(), arrays["n_weights_"][cells]):
        raise FormatError("n_weights_ does not count weights_")
    if not np.array_equal(counts.ravel() >= mac[column.FREEZE_AT], arrays["frozen_"][cells]):
        raise FormatError("frozen_ does not fit n_weights_")
