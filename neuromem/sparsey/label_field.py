"""The readout: a field of class cells that the winners of a code project to."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY, array_module, as_array, backend_of, to_host
from neuromem.base import Estimator
from neuromem.errors import FormatError, InputError
from neuromem.parallel import kernel_threads
from neuromem.random import log64

READOUTS = ("counts", "binary", "delta")
NS_PER_WINNER = 3.0  # to add up a row of a few classes, on one thread
LANES = 8  # class rows are padded to a multiple of this, which fills whole vector registers


class LabelField(Estimator):
    """Class weights of every cell, learned in one pass; reading takes a time that does not depend on what was learned.

    Parameters
    ----------
    n_modules : int
        Modules in all macs together.
    units_per_module : int
    n_classes : int
    readout : {"counts", "binary", "delta"}, default "counts"
        "binary": a weight is set once a cell has won for a class (the published rule); score = number of set weights.
        "counts": Hebbian counts; score = sum of log P(cell | class).  "delta": error-gated Hebbian learning; score from the
        average of the weights over the stream.
    smoothing : float > 0, default 0.3
        Added to every count.
    margin : float >= 0, default 0.1
        Lead per active module below which ``delta`` learns.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.sparsey import LabelField
    >>> codes = np.array([[0, 1], [1, 0]], np.uint8)
    >>> field = LabelField(2, 4, 2).learn(codes, np.array([0, 1]))
    >>> field.scores(codes).argmax(axis=1).tolist()
    [0, 1]
    """

    _STATE = {"counts_": (np.uint32, 2), "weights_": (np.int32, 2), "step_weighted_": (np.int64, 2)}
    _SCALARS = ("n_labelled_",)
    _DERIVED = ("table_",)
    _ON_GPU = True

    def __init__(
        self,
        n_modules: int,
        units_per_module: int,
        n_classes: int,
        readout: str = "counts",
        smoothing: float = 0.3,
        margin: float = 0.1,
    ) -> None:
        self.n_modules = n_modules
        self.units_per_module = units_per_module
        self.n_classes = n_classes
        self.readout = readout
        self.smoothing = smoothing
        self.margin = margin

    def _validate_params(self) -> None:
        for name in ("n_modules", "units_per_module", "n_classes"):
            validate.integer(getattr(self, name), name, 1)
        validate.choice(self.readout, "readout", READOUTS)
        validate.number(self.smoothing, "smoothing", low=0, low_open=True)
        validate.number(self.margin, "margin", low=0)

    def _is_fitted(self) -> bool:
        return hasattr(self, "n_labelled_")

    def _shape(self) -> tuple[int, int]:
        return self.n_modules * self.units_per_module, self.n_classes

    def _padded_shape(self) -> tuple[int, int]:
        return self._shape()[0], -(-self.n_classes // LANES) * LANES

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if not scalars:
            return
        expected = {"counts_": self._shape()}
        if self.readout == "delta":
            expected = {"weights_": self._padded_shape(), "step_weighted_": self._shape()}
        if {name: array.shape for name, array in arrays.items()} != expected:
            raise FormatError(f"a {self.readout} label field holds arrays of the shapes {expected}")
        if self.readout == "delta" and arrays["weights_"][:, self.n_classes :].any():
            raise FormatError("weights_ has values beyond the classes")
        if type(scalars["n_labelled_"]) is not int or scalars["n_labelled_"] < 0:
            raise FormatError("n_labelled_ is not a count")

    def _after_load(self) -> None:
        self.__dict__.pop("table_", None)

    def _checked(self, codes: Any) -> np.ndarray:
        codes = as_array(codes)
        if codes.ndim not in (2, 3):
            raise InputError(f"codes has shape {codes.shape}, (n, n_modules) or (n, n_macs, modules_per_mac) was expected")
        codes = array_module(codes).ascontiguousarray(codes.reshape(len(codes), int(np.prod(codes.shape[1:]))))
        if codes.shape[1] != self.n_modules or codes.dtype not in (np.uint8, np.uint16):
            raise InputError(
                f"codes are {codes.dtype} with {codes.shape[1]} modules, uint8 or uint16 with {self.n_modules} were expected"
            )
        if codes.size and int((codes + codes.dtype.type(1)).max()) > self.units_per_module:  # a silent module wraps to 0
            raise InputError(f"codes name winners beyond {self.units_per_module - 1}")
        if self._is_fitted():
            backend_of(codes=codes, label_field=self.weights_ if self.readout == "delta" else self.counts_)
        return codes

    def learn(self, codes: Any, classes: Any) -> "LabelField":
        """Associate codes with classes, in order.

        Parameters
        ----------
        codes : uint8 or uint16 (n, n_modules) or (n, n_macs, modules_per_mac)
            The dtype's maximum is a silent module.
        classes : int (n,)
            In 0 ... n_classes - 1; from the host also where the codes live on a GPU.
        """
        self._validate_params()
        codes = self._checked(codes)
        backend = backend_of(codes)
        xp = backend.xp
        classes = xp.ascontiguousarray(to_host(classes) if backend == NUMPY else xp.asarray(classes), np.int64)
        if classes.shape != (len(codes),) or (len(classes) and not 0 <= classes.min() <= classes.max() < self.n_classes):
            raise InputError(f"classes has shape {classes.shape}; {len(codes)} integers below {self.n_classes} were expected")
        if not self._is_fitted():
            if self.readout == "delta":
                self.weights_ = xp.zeros(self._padded_shape(), np.int32)
                self.step_weighted_ = xp.zeros(self._shape(), np.int64)
            else:
                self.counts_ = xp.zeros(self._shape(), np.uint32)
            self.n_labelled_ = 0
        kernels = backend.kernels("sparsey")
        silent = int(np.iinfo(codes.dtype).max)
        common = (codes, silent, self.units_per_module, classes)
        with kernel_threads(NS_PER_WINNER * codes.size):
            if self.readout == "delta":
                state = (self.weights_, self.step_weighted_)
                kernels.correct_errors(*common, float(self.margin), self.n_labelled_, *state)
            else:
                kernels.count_labels(*common, self.counts_)
        self.n_labelled_ += len(codes)
        self._after_load()
        return self

    def score_table(self) -> np.ndarray:
        """What each winner adds to each class's score, float64 (n_modules * units_per_module, n_classes)."""
        if self.readout == "delta":
            summed = self.weights_[:, : self.n_classes].astype(np.int64) * self.n_labelled_ - self.step_weighted_
            return summed / float(max(1, self.n_labelled_))
        if self.readout == "binary":
            return (self.counts_ > 0).astype(np.float64)
        counts = self.counts_.reshape(self.n_modules, self.units_per_module, self.n_classes)
        per_class = counts.sum(axis=1, keepdims=True, dtype=np.int64)
        likelihood = (counts + self.smoothing) / (per_class + self.smoothing * self.units_per_module)
        return log64(likelihood).reshape(self._shape())

    def scores(self, codes: Any) -> np.ndarray:
        """Input to each class cell, float64 (n, n_classes)."""
        self._check_fitted()
        codes = self._checked(codes)
        backend = backend_of(codes)
        xp = backend.xp
        if not hasattr(self, "table_"):
            table = xp.zeros(self._padded_shape(), np.float64)
            table[:, : self.n_classes] = self.score_table()
            self.table_ = table  # whole at once: several threads may read
        scores = xp.empty((len(codes), self._padded_shape()[1]), np.float64)
        kernels = backend.kernels("sparsey")
        with kernel_threads(NS_PER_WINNER * codes.size):
            kernels.sum_scores(codes, int(np.iinfo(codes.dtype).max), self.units_per_module, self.table_, scores)
        found: np.ndarray = xp.ascontiguousarray(scores[:, : self.n_classes])
        return found
