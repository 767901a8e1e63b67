"""What the codes of macs stand for: traces, reconstructions, how full the memory is."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import array_module, as_array, is_device_array, to_host
from neuromem.errors import InputError, SaturationWarning
from neuromem.parallel import kernel_threads
from neuromem.protocols import Recall
from neuromem.sparsey.active import ActiveRows
from neuromem.sparsey.code_memory import RECONSTRUCT_NS, SATURATED_FILL
from neuromem.sparsey.network_state import ABSENT, NetworkState
from neuromem.sparsey.winners import code_dtype, silent_winners


@dataclass(frozen=True, slots=True)
class NetworkTrace:
    """What frames left behind, one entry per level, lowest first.

    Parameters
    ----------
    codes : tuple of uint8 or uint16 (n, n_macs, n_modules)
        Winners; the dtype's maximum is "silent".
    recalled : tuple of the same
        The argmax code before the write of the step at which each code began: what a read would have given.  Without
        learning the same as ``codes``.
    ages : tuple of int32 (n, n_macs)
        Steps that each code has lived, 0 where silent.
    familiarity : tuple of float64 (n, n_macs)
        G of the code in force, from the step at which it began.
    versions : tuple of float64 (n, n_macs, 7)
        G of every version of that choice, all exponents 1, in the order U, H, UH, D, UD, HD, UHD; NaN where a signal was
        absent.  Novelty of order shows in UH, not in U.
    """

    codes: tuple[np.ndarray, ...]
    recalled: tuple[np.ndarray, ...]
    ages: tuple[np.ndarray, ...]
    familiarity: tuple[np.ndarray, ...]
    versions: tuple[np.ndarray, ...]


class NetworkCodes(NetworkState):
    """Base of :class:`NetworkMemory`, which lives in time, and of :class:`SparseyContextMac`, which is told what came before."""

    def _frames(self, X: Any) -> ActiveRows:
        width = self.n_features_in_ if self._is_fitted() else self.n_inputs
        if isinstance(X, ActiveRows):
            self._check_device(self._backend(X=X.indices))
            if width is not None and X.n_features != width:
                raise InputError(f"X has {X.n_features} features, {type(self).__name__} was made for {width}")
            return X
        X = as_array(X)
        self._check_device(self._backend(X=X))
        return ActiveRows.from_dense(validate.binary_items(X, width, owner=type(self).__name__))

    def _known_part(self, cues: Any, known: Any) -> tuple[np.ndarray, np.ndarray, Any]:
        """Checked cues and mask of what is given of them, where they live, and the module of arrays there."""
        self._check_fitted()
        cues = as_array(cues)
        self._check_device(self._backend(cues=cues))
        cues = validate.binary_items(cues, self.n_features_in_, name="cues", owner=type(self).__name__)
        known = validate.feature_mask(known, *cues.shape)
        if not is_device_array(known):
            known = array_module(cues).asarray(known)
        return cues, known, self._backend(cues=cues, known=known).xp

    def _trace_of(self, history: tuple[np.ndarray, ...]) -> NetworkTrace:
        codes, recalled, ages, _, familiarity, versions = history
        starts = self.tables_.level_starts
        xp = array_module(codes)
        parts: list[tuple[np.ndarray, ...]] = []
        first = 0
        for j, level in enumerate(self._level_list()):
            macs = slice(int(starts[j]), int(starts[j + 1]))
            n_macs = int(starts[j + 1] - starts[j])
            modules = slice(first, first + n_macs * level.n_modules)
            first = modules.stop
            shape = (len(codes), n_macs, level.n_modules)
            dtype = code_dtype(level.units_per_module)  # -1 wraps to "silent"
            seen = xp.where(versions[:, macs] == ABSENT, np.nan, versions[:, macs])
            named = (codes[:, modules].astype(dtype).reshape(shape), recalled[:, modules].astype(dtype).reshape(shape))
            parts.append((*named, ages[:, macs], familiarity[:, macs], seen))
        return NetworkTrace(*zip(*parts, strict=True))

    def _recall_of(self, history: tuple[np.ndarray, ...], k: int) -> Recall:
        """What the first level's codes stand for, as ``read`` returns it."""
        trace = self._trace_of(history)
        n, xp = len(history[0]), array_module(history[0])
        values = xp.zeros((n, k, self.n_features_in_), np.float32)
        values[:, 0] = self._project(history[0])
        scores = xp.full((n, k), -np.inf, np.float32)
        scores[:, 0] = mean_awake(trace.familiarity[0], trace.ages[0])
        info = {"codes" if j == 0 else f"codes_{j}": codes for j, codes in enumerate(trace.codes)}
        return Recall(values, xp.full((n, k), -1, np.int64), scores, info)

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        for name in (*self._STATE, *self._SCALARS, *self._DERIVED):
            self.__dict__.pop(name, None)

    def reconstruct(self, codes: Any) -> np.ndarray:
        """Input scores of the first level's codes, float32 (n, n_features) in [0, 1].

        The share of winners that have a weight from a feature, averaged over the macs awake that see it.

        Parameters
        ----------
        codes : integers (n, n_macs, n_modules)
            As :meth:`trace` gives them for the first level.

        Raises
        ------
        InputError
            For another shape, or winners that do not exist.
        """
        self._check_fitted()
        codes = as_array(codes)
        self._check_device(self._backend(codes=codes))
        level, n_first = self._level_list()[0], int(self.tables_.level_starts[1])
        silent = silent_winners(codes, "codes", (None, n_first, level.n_modules), level.units_per_module)
        winners = array_module(codes).where(silent, np.int32(-1), codes.astype(np.int32))
        return self._project(winners.reshape(len(codes), n_first * level.n_modules))

    def _project(self, codes: np.ndarray) -> np.ndarray:
        tables, backend = self.tables_, self._backend(codes=codes)
        kernels = backend.kernels("sparsey")
        scores = backend.xp.empty((len(codes), self.n_features_in_), np.float32)
        n_first = int(tables.level_starts[1])
        with kernel_threads(RECONSTRUCT_NS * len(codes) * n_first * tables.macs[0, 1] * self.n_features_in_):
            kernels.project_back(codes, tables.macs, n_first, self.placed_tables_[0], self.weights_, scores)
        return scores

    def saturation(self) -> list[dict[str, np.ndarray]]:
        """How full the memory is: per level, per mac; counted on the host.

        Returns
        -------
        list of dict of float64 (n_macs,)
            ``up``, ``across``, ``down``: share of the weights set from below, from the own cells (own module aside), and
            from above, NaN where there are none; ``frozen``: share of cells that learn no more.
        """
        from neuromem.sparsey.kernels import mac_signals as column

        self._check_fitted()
        weights, frozen = to_host(self.weights_), to_host(self.frozen_)
        rows: list[list[list[float]]] = [[] for _ in self._level_list()]
        for mac in self.tables_.macs:
            n_modules, units, n_words = int(mac[column.MODULES]), int(mac[column.UNITS]), int(mac[column.WORDS])
            cells = n_modules * units
            place = int(mac[column.FIRST_WORD])
            fills = []
            for n, per_row in ((column.N_UP, cells), (column.N_ACROSS, cells - units), (column.N_DOWN, cells)):
                size = int(mac[n]) * n_words
                set_bits = int(np.bitwise_count(weights[place : place + size]).sum())
                fills.append(set_bits / (int(mac[n]) * per_row) if mac[n] else np.nan)
                place += size
            own = slice(int(mac[column.FIRST_CELL]), int(mac[column.FIRST_CELL]) + cells)
            rows[int(mac[column.LEVEL])].append([*fills, float(frozen[own].mean())])
        names = ("up", "across", "down", "frozen")
        return [dict(zip(names, np.array(level).T, strict=True)) for level in rows]

    def _warn_when_saturated(self) -> None:
        from neuromem.sparsey.kernels import mac_signals as column

        if self.saturation_warned_:
            return
        macs, xp = self.tables_.macs, array_module(self.n_weights_)
        cells = macs[:, column.MODULES] * macs[:, column.UNITS]
        upto = xp.concatenate([xp.zeros(1, np.int64), xp.cumsum(self.n_weights_, dtype=np.int64)])
        set_weights = xp.diff(upto[xp.asarray(np.concatenate([[0], np.cumsum(cells)]))])
        fill = float((set_weights / xp.asarray(macs[:, column.N_UP] * cells)).max())
        if fill > SATURATED_FILL:
            self.saturation_warned_ = True
            warnings.warn(
                f"a mac has {fill:.0%} of its weights from below set, beyond {SATURATED_FILL:.0%} stored codes are lost: use "
                "more units_per_module, smaller receptive fields, a lower saturation_limit or a critical period",
                SaturationWarning,
                stacklevel=4,
            )


def mean_awake(familiarity: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """Mean of G (n, n_macs) over the macs that hold a code, float32 (n,)."""
    awake: Sequence[int] = (ages > 0).sum(axis=1)
    return (familiarity.sum(axis=1) / array_module(ages).maximum(1, awake)).astype(np.float32)
