"""One mac that is told what came before: its own code of before and its parents' codes come with each item."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import as_array, backend_of
from neuromem.errors import FormatError, InputError
from neuromem.parallel import kernel_threads
from neuromem.protocols import Recall
from neuromem.random import RandomState
from neuromem.sparsey.active import ActiveRows
from neuromem.sparsey.level import SparseyLevel
from neuromem.sparsey.network_codes import NetworkCodes, NetworkTrace, mean_awake
from neuromem.sparsey.network_state import NetworkState
from neuromem.sparsey.network_tables import NetworkTables, network_tables
from neuromem.sparsey.winners import silent_winners

LEARNS, FREE = 2, 4  # flags of a step, as the kernels have them
ITEM_NS, AFFERENT_NS = 4000.0, 50.0  # on one thread: for an item, and for each active afferent
ITEMS_PER_BLOCK = 64  # of a read


class SparseyContextMac(NetworkCodes):
    """A mac with inputs from below (U), from its own code of before (H) and from macs above it (D), all given per item.

    :class:`SparseySequenceMemory` and :class:`SparseyNetwork` find H and D by themselves, from the frames that came before.
    Here each item comes with the codes that the mac is to hear, and does not depend on the item before: a building block
    for loops, trees and graphs of macs, and for experiments in which the context is chosen.

    Parameters
    ----------
    n_inputs : int or None, default None
        Width of items; None: that of the first batch.
    n_modules : int, default 24
        Q, competitive modules.
    units_per_module : int, default 32
        K, cells that compete in each.
    horizontal : bool, default True
        Whether the mac hears codes of its own shape (H).  A module gets nothing from its own cells.
    n_parents : int, default 0
        Macs above whose codes it hears (D).
    parent_modules, parent_units : int, default 16, 24
        Their Q and K.
    u_exponent, h_exponent, d_exponent : float > 0, default 4.0, 2.0, 2.0
        lambda_U, lambda_H, lambda_D: how sharply V falls with each signal.
    activation_bounds : (int, int or None), default (1, None)
        pi: lowest and highest number of active features that wake the mac.
    saturation_limit : float in (0, 1], default 1.0
        A cell stops learning once this share of its weights from the input is set.
    critical_period : int or None, default None
        Items after which nothing more is learned.
    backoff, backoff_ratio, backoff_thresholds
        As of :class:`SparseyNetwork`; the ratio is 0.7 here.
    familiarity_floor, expansivity_exponent, expansivity_scale, sigmoid, transfer
        As of :class:`SparseyMac`.
    random_state : None, int, SeedSequence or Generator, default None

    Raises
    ------
    InputError
        At the first write, for a parameter out of range or items that are not binary.

    Notes
    -----
    u is the mean over active inputs of the weights, h the mean over the Q - 1 other modules of the weights from the own
    code, d the mean over the cells of those parents that hold a code.  V is the product of the signals present, each to its
    exponent: a signal that is absent is a factor of 1.  Given a network's own codes of the step before, weights, codes and
    draws are those of the network, bit for bit.

    References
    ----------
    Rinkus, G. J. (2014). Sparsey: event recognition via deep hierarchical sparse distributed codes. Frontiers in
    Computational Neuroscience 8:160.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.sparsey import SparseyContextMac
    >>> rng = np.random.default_rng(0)
    >>> items = (rng.random((2, 144)) < 0.08).astype(np.uint8)
    >>> contexts = rng.integers(0, 32, (2, 24))
    >>> memory = SparseyContextMac(random_state=0)
    >>> memory.write(items, horizontal=contexts)
    array([0, 1])
    >>> memory.familiarity(items, horizontal=contexts), memory.trace(items, horizontal=contexts[::-1]).versions[0][:, 0, 2] < 0.5
    (array([1., 1.], dtype=float32), array([ True,  True]))
    >>> bool(((memory.read(None, horizontal=contexts).values[:, 0] > 0.5) == items).all())
    True
    """

    _STATE = {name: NetworkState._STATE[name] for name in ("weights_", "n_weights_", "frozen_")}
    _CONTEXT = ()
    _DERIVED = (*NetworkState._DERIVED, "given_tables_")
    # what only networks choose
    learn_context, upper_input, hypotheses = "onset", "sampled", "off"
    hypothesis_threshold, hypothesis_limit = 0.95, 3

    def __init__(
        self,
        n_inputs: int | None = None,
        n_modules: int = 24,
        units_per_module: int = 32,
        *,
        horizontal: bool = True,
        n_parents: int = 0,
        parent_modules: int = 16,
        parent_units: int = 24,
        u_exponent: float = 4.0,
        h_exponent: float = 2.0,
        d_exponent: float = 2.0,
        activation_bounds: tuple[int, int | None] = (1, None),
        saturation_limit: float = 1.0,
        critical_period: int | None = None,
        backoff: str = "relative",
        backoff_ratio: float = 0.7,
        backoff_thresholds: tuple[float, float, float] = (0.9, 0.9, 0.9),
        familiarity_floor: float = 0.1,
        expansivity_exponent: float = 2.0,
        expansivity_scale: float = 100.0,
        sigmoid: tuple[float, float, float, float] = (0.1, 4.0, 1.0, 8.0),
        transfer: str = "psi",
        random_state: RandomState = None,
    ) -> None:
        self.n_inputs = n_inputs
        self.n_modules = n_modules
        self.units_per_module = units_per_module
        self.horizontal = horizontal
        self.n_parents = n_parents
        self.parent_modules = parent_modules
        self.parent_units = parent_units
        self.u_exponent = u_exponent
        self.h_exponent = h_exponent
        self.d_exponent = d_exponent
        self.activation_bounds = activation_bounds
        self.saturation_limit = saturation_limit
        self.critical_period = critical_period
        self.backoff = backoff
        self.backoff_ratio = backoff_ratio
        self.backoff_thresholds = backoff_thresholds
        self.familiarity_floor = familiarity_floor
        self.expansivity_exponent = expansivity_exponent
        self.expansivity_scale = expansivity_scale
        self.sigmoid = sigmoid
        self.transfer = transfer
        self.random_state = random_state

    # ---------------------------------------------------------------- state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.integer(self.n_parents, "n_parents", 0)
        validate.integer(self.parent_modules, "parent_modules", 1)
        validate.integer(self.parent_units, "parent_units", 1, 65535)
        n_rows = self.n_parents * self.parent_modules * self.parent_units
        if n_rows >= 2**31:
            raise InputError(f"n_parents * parent_modules * parent_units is {n_rows}, below {2**31} was expected")

    def _level_list(self) -> Sequence[SparseyLevel]:
        return [
            SparseyLevel(
                self.n_modules,
                self.units_per_module,
                u_exponent=self.u_exponent,
                h_exponent=self.h_exponent,
                d_exponent=self.d_exponent,
                horizontal=self.horizontal,
                activation_bounds=self.activation_bounds,
                saturation_limit=self.saturation_limit,
                critical_period=self.critical_period,
            )
        ]

    def _with_parents(self, n_features: int) -> NetworkTables:
        """The tables of a network in which the parents stand above the mac."""
        above = [SparseyLevel(self.parent_modules, self.parent_units, [[0]] * self.n_parents, horizontal=False)]
        return network_tables([*self._level_list(), *(above if self.n_parents else [])], n_features)

    def _tables_for(self, n_features: int) -> NetworkTables:
        from neuromem.sparsey.kernels import mac_signals as column

        tables = self._with_parents(n_features)
        mac = tables.macs[0]
        n_rows = mac[column.N_UP] + mac[column.N_ACROSS] + mac[column.N_DOWN] + 1
        return replace(
            tables,
            macs=tables.macs[:1],
            level_starts=tables.level_starts[:2],
            n_words=int(n_rows * mac[column.WORDS]),
            n_cells=self.n_modules * self.units_per_module,
            n_modules=self.n_modules,
        )

    @cached_property
    def given_tables_(self) -> NetworkTables:
        """The mac and its parents as the kernel sees them."""
        return self._with_parents(self.n_features_in_)

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        n_rows = self.n_parents * self.parent_modules * self.parent_units
        if "weights_" in arrays and n_rows > arrays["weights_"].size:  # before any table is made
            raise FormatError("weights_ is too small for the parents")
        super()._check_state(arrays, scalars)

    # ---------------------------------------------------------------- steps

    def _given(self, horizontal: Any, top_down: Any, n: int) -> np.ndarray:
        """Codes heard by ``n`` items, int32 (n, modules of the mac and of its parents), -1 where there is none."""
        given = np.full((n, self.n_modules + self.n_parents * self.parent_modules), -1, np.int32)
        if horizontal is not None:
            if not self.horizontal:
                raise InputError("horizontal was given to a mac made with horizontal=False")
            given[:, : self.n_modules] = self._codes(horizontal, "horizontal", (n, self.n_modules), self.units_per_module)
        if top_down is not None:
            if not self.n_parents:
                raise InputError("top_down was given to a mac made with n_parents=0")
            shape = (n, self.n_parents, self.parent_modules)
            given[:, self.n_modules :] = self._codes(top_down, "top_down", shape, self.parent_units).reshape(n, -1)
        return given

    def _codes(self, codes: Any, name: str, shape: tuple[int, ...], units: int) -> np.ndarray:
        """Winners as they were given, -1 where silent."""
        codes = as_array(codes)
        self._check_device(backend_of(**{name: codes}))
        silent = silent_winners(codes, name, shape, units, minus_one=True)
        winners: np.ndarray = np.where(silent, -1, codes.astype(np.int64))
        return winners

    def _items(self, items: Any, horizontal: Any, top_down: Any) -> tuple[ActiveRows, np.ndarray, int]:
        """Items, the codes that they hear, and the flag of a read; no items: as many empty ones as there are contexts."""
        if items is not None:
            rows = self._frames(items)
            return rows, self._given(horizontal, top_down, len(rows)), 0
        self._check_fitted()
        heard = [as_array(codes) for codes in (horizontal, top_down) if codes is not None]
        if not heard or not heard[0].ndim:
            raise InputError("without items, horizontal or top_down codes must be given")
        n = len(heard[0])
        none = ActiveRows(np.empty(0, np.int32), np.zeros(n + 1, np.int64), self.n_features_in_)
        return none, self._given(horizontal, top_down, n), FREE

    def _run(self, items: ActiveRows, given: np.ndarray, flag: int) -> tuple[np.ndarray, ...]:
        """Codes, argmax codes, ages, sends, G and G of every version of items."""
        from neuromem.sparsey import kernels

        n, tables = len(items), self.given_tables_
        constants, modes, sigmoid, multipliers = self._settings()
        out = (
            np.empty((n, self.n_modules), np.int32),
            np.empty((n, self.n_modules), np.int32),
            np.empty((n, 1), np.int32),
            np.empty((n, 1), np.int32),
            np.empty((n, 1)),
            np.empty((n, 1, 7)),
        )
        blocks = np.array([0, n], np.int64)
        if not flag & LEARNS:
            blocks = np.append(np.arange(0, n, ITEMS_PER_BLOCK), n)
        work = ITEM_NS * n + AFFERENT_NS * (len(items.indices) + given.size)
        with kernel_threads(work if len(blocks) > 2 else 0.0):
            kernels.run_given(
                *(items.indices, items.indptr, self.row_of_feature_, np.full(n, flag, np.uint8), blocks, given, self.step_),
                *(tables.macs, tables.sources, tables.parents, tables.rates, *self.u_tables_),
                *(constants, modes, sigmoid, multipliers, self.rng_key_, self.weights_, self.n_weights_, self.frozen_, *out),
            )
        return out

    def _read(self, items: Any, horizontal: Any, top_down: Any) -> tuple["SparseyContextMac", tuple[np.ndarray, ...]]:
        """The memory, or an empty one like it, and what a read of items leaves."""
        rows, given, flag = self._items(items, horizontal, top_down)
        memory = self
        if not self._is_fitted():
            memory = type(self)(**self.get_params(deep=False))
            memory._allocate(rows.n_features)
        return memory, memory._run(rows, given, flag)

    # ---------------------------------------------------------------- verbs

    def present(self, items: Any, learn: bool, *, horizontal: Any = None, top_down: Any = None) -> NetworkTrace:
        """Show items with the codes that they hear, and say what was chosen.

        Parameters
        ----------
        items : array of 0 and 1 (n, n_features), or ActiveRows
        learn : bool
            Whether they are stored; otherwise as :meth:`trace`.
        horizontal, top_down
            As of :meth:`write`.

        Returns
        -------
        NetworkTrace
            Of one level of one mac; its ``codes[0][:, 0]`` are what ``horizontal`` takes.
        """
        if not learn:
            return self.trace(items, horizontal=horizontal, top_down=top_down)
        rows = self._frames(items)
        self._validate_params()
        given = self._given(horizontal, top_down, len(rows))
        if not self._is_fitted():
            self._allocate(rows.n_features)
        left = self._run(rows, given, LEARNS)
        self.step_ += len(rows)
        self.n_stored_ += len(rows)
        self._warn_when_saturated()
        return self._trace_of(left)

    def write(
        self, items: Any, targets: Any = None, *, tags: Any = None, horizontal: Any = None, top_down: Any = None
    ) -> np.ndarray:
        """Store items in one presentation each, in order.

        Parameters
        ----------
        items : array of 0 and 1 (n, n_features), or ActiveRows
        targets, tags : None
            The mac stores neither.
        horizontal : integers (n, n_modules), optional
            Winners of the code that each item follows.  -1, or the number for "silent" that traces have (255, or 65535 in
            large modules), in all modules: none.  None: none for any item.
        top_down : integers (n, n_parents, parent_modules), optional
            Winners of the parents, likewise.

        Returns
        -------
        ids : int64 (n,)
            Running numbers of the items.

        Raises
        ------
        InputError
            If the items are not binary or have another width, or codes have another shape, winners that do not exist, or
            some silent modules.
        """
        if targets is not None or tags is not None:
            raise InputError("SparseyContextMac stores no targets or tags")
        first = len(self)
        self.present(items, True, horizontal=horizontal, top_down=top_down)
        return np.arange(first, len(self), dtype=np.int64)

    def trace(self, items: Any, *, horizontal: Any = None, top_down: Any = None) -> NetworkTrace:
        """Codes, G and G of every version of items in their contexts; nothing changes.

        Parameters
        ----------
        items : array of 0 and 1 (n, n_features), ActiveRows, or None
            None: nothing is seen, the code comes from the context alone; the mac is silent where it knows nothing of it.
        horizontal, top_down
            As of :meth:`write`.

        Returns
        -------
        NetworkTrace
            Of one level of one mac.
        """
        memory, left = self._read(items, horizontal, top_down)
        return memory._trace_of(left)

    def read(self, cues: Any, *, k: int = 1, horizontal: Any = None, top_down: Any = None) -> Recall:
        """Reconstruct what each cue's code stands for; arguments as of :meth:`trace`.

        Returns
        -------
        Recall
            ``values`` float32 (n, k, n_features): input scores in [0, 1] in the first place, zeros in the others; ``ids``
            -1 throughout; ``scores`` the familiarity G, -inf beyond the first; ``info`` has ``codes``.
        """
        validate.integer(k, "k", 1)
        memory, left = self._read(cues, horizontal, top_down)
        return memory._recall_of(left, k)

    def familiarity(self, items: Any, *, horizontal: Any = None, top_down: Any = None) -> np.ndarray:
        """G of items in their contexts, float32 (n,) in [0, 1]; arguments as of :meth:`trace`."""
        trace = self.trace(items, horizontal=horizontal, top_down=top_down)
        return mean_awake(trace.familiarity[0], trace.ages[0])

    def complete(self, cues: Any, known: Any, *, horizontal: Any = None, top_down: Any = None) -> np.ndarray:
        """Fill in the unknown features of cues from the code that the known active ones and the context choose.

        Parameters
        ----------
        cues : array of 0 and 1 (n, n_features)
        known : bool (n, n_features) or (n_features,)
            True where the feature is given; the others are ignored.
        horizontal, top_down
            As of :meth:`write`.

        Returns
        -------
        float32 (n, n_features)
            Given features as they are, the others as scores in [0, 1].
        """
        cues, known, _ = self._known_part(cues, known)
        scores = self.read(np.where(known, cues, 0), horizontal=horizontal, top_down=top_down).values[:, 0]
        found: np.ndarray = np.where(known, cues, scores).astype(np.float32)
        return found
