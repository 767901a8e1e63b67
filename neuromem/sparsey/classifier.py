"""From pictures or tables to labels: an encoder, a grid of macs and a label field, all learned in one pass."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import array_module, backend_of
from neuromem.errors import FormatError, InputError, NotFittedError
from neuromem.protocols import ItemSpec, Recall
from neuromem.random import RandomState
from neuromem.sparsey.active import ActiveRows
from neuromem.sparsey.code_memory import CodeMemory
from neuromem.sparsey.encode import Encoder, IdentityEncoder, OrientedEdgeEncoder, ThermometerEncoder
from neuromem.sparsey.label_field import READOUTS, LabelField
from neuromem.sparsey.labelled import LabelledMemory
from neuromem.sparsey.layer import SparseyLayer

LABEL_CODES = ("argmax", "sampled")
AUTO_CRITICAL_PERIOD, AUTO_SHARE = 3000, 7
LARGE_PICTURE = 18  # sides from here on get fields of 9 with stride 3


class SparseyClassifier(LabelledMemory):
    """Classify pictures or tables by the codes of a grid of macs, learned in a single pass over the stream.

    Items of the critical period shape the macs; later items only train the label field, whose weights would be wasted on
    codes that still move.

    Parameters
    ----------
    layer : SparseyLayer, SparseyMac or None, default None
        A template, never changed; None: fields of 9 x 9 with stride 3 on pictures, one field over a table.
    encoder : "auto", None or an encoder of ``neuromem.sparsey.encode``, default "auto"
        "auto": oriented edges for pictures (three axes), thermometer codes for tables; None: items are binary already.
    readout : {"counts", "binary", "delta"}, default "counts"
        See :class:`LabelField`.
    label_code : {"argmax", "sampled"}, default "argmax"
        Which code of a learning item gets the label: what recall would have given before the write, or what was written.
    critical_period : "auto", int or None, default "auto"
        Items that the macs learn; "auto": min(3000, n // 7) of the first call's n; None: all of them.
    label_presentations : {1, 2}, default 1
        2: every item is shown once more, after the macs have learned, for its label.
    label_during_critical_period : bool, default False
        Also label items that the macs are learning (always so when ``critical_period`` is None).
    smoothing, margin : float
        Of the label field.
    random_state : None, int, SeedSequence or Generator, default None

    Attributes
    ----------
    layer_, encoder_, label_field_
        The fitted parts.
    classes_ : (n_classes,)
    items_stored_, items_labelled_ : int
        Items that the macs stored; labels that the field learned.
    presentations_ : int
        Times that an item was shown while learning.
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import SparseyClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (100, 4)), rng.normal(3, 1, (100, 4))])
    >>> y = np.repeat(["a", "b"], 100)
    >>> order = rng.permutation(200)
    >>> bool(SparseyClassifier(random_state=0).fit(X[order], y[order]).score(X, y) > 0.9)
    True
    """

    _STATE = {"classes_": (tuple(np.dtype(code).type for code in "?bBhHiIlLqQefd"), 1)}
    _HOST_STATE = ("classes_",)
    _SCALARS = (
        "n_features_in_",
        "items_stored_",
        "items_labelled_",
        "presentations_",
        "critical_period_",
        "class_names_",
        "class_names_are_objects_",
    )
    _CHILDREN = ("layer_", "encoder_", "label_field_")

    def __init__(
        self,
        layer: CodeMemory | None = None,
        *,
        encoder: Encoder | str | None = "auto",
        readout: str = "counts",
        label_code: str = "argmax",
        critical_period: str | int | None = "auto",
        label_presentations: int = 1,
        label_during_critical_period: bool = False,
        smoothing: float = 0.3,
        margin: float = 0.1,
        random_state: RandomState = None,
    ) -> None:
        self.layer = layer
        self.encoder = encoder
        self.readout = readout
        self.label_code = label_code
        self.critical_period = critical_period
        self.label_presentations = label_presentations
        self.label_during_critical_period = label_during_critical_period
        self.smoothing = smoothing
        self.margin = margin
        self.random_state = random_state

    def _validate_params(self) -> None:
        validate.choice(self.readout, "readout", READOUTS)
        validate.choice(self.label_code, "label_code", LABEL_CODES)
        validate.choice(self.label_during_critical_period, "label_during_critical_period", (False, True))
        validate.integer(self.label_presentations, "label_presentations", 1, 2)
        validate.number(self.smoothing, "smoothing", low=0, low_open=True)
        validate.number(self.margin, "margin", low=0)
        if self.critical_period is not None and self.critical_period != "auto":
            validate.integer(self.critical_period, "critical_period", 1)
        if self.layer is not None and not isinstance(self.layer, CodeMemory):
            raise InputError(f"layer is {self.layer!r}, a SparseyLayer, a SparseyMac or None was expected")
        if not (self.encoder in ("auto", None) if not isinstance(self.encoder, Encoder) else True):
            raise InputError(f"encoder is {self.encoder!r}, 'auto', None or an encoder was expected")

    def _is_fitted(self) -> bool:
        return getattr(self, "label_field_", None) is not None

    # ---------------------------------------------------------------- state: labels of any type are saved as text or numbers

    def get_state(self) -> dict[str, Any]:
        """As :meth:`Estimator.get_state`; classes that are text or objects travel as a list."""
        state = super().get_state()
        if "classes_" in state["arrays"] and self.classes_.dtype.kind in "UO":
            del state["arrays"]["classes_"]
            state["scalars"]["class_names_"] = self.classes_.tolist()
            state["scalars"]["class_names_are_objects_"] = self.classes_.dtype.kind == "O"
        return state

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        names = scalars.get("class_names_")
        if names is not None and not (isinstance(names, list) and all(isinstance(n, (str, bool, int, float)) for n in names)):
            raise FormatError("class_names_ is no list of text or numbers")
        counts = ("n_features_in_", "items_stored_", "items_labelled_", "presentations_")
        if scalars and not all(type(scalars[name]) is int and scalars[name] >= 0 for name in counts):
            raise FormatError(f"{', '.join(counts)} are not all counts")
        period = scalars.get("critical_period_")
        if period is not None and (type(period) is not int or period < 1):
            raise FormatError(f"critical_period_ is {period!r}")

    def _after_load(self) -> None:
        names, as_objects = self.__dict__.pop("class_names_", None), self.__dict__.pop("class_names_are_objects_", False)
        if names is not None:
            self.classes_ = np.array(names, object if as_objects else None)
        layer, encoder, field = (getattr(self, name, None) for name in self._CHILDREN)
        if field is None and layer is None and encoder is None:
            return
        if not (isinstance(field, LabelField) and isinstance(layer, CodeMemory) and isinstance(encoder, Encoder)):
            raise FormatError("a fitted classifier has a layer, an encoder and a label field")
        if not (layer._is_fitted() and encoder._is_fitted() and hasattr(self, "classes_") and hasattr(self, "presentations_")):
            raise FormatError("parts of the classifier are not fitted")
        wanted = (layer.n_macs_ * layer.n_modules, layer.units_per_module, len(self.classes_))
        if (field.n_modules, field.units_per_module, field.n_classes) != wanted:
            raise FormatError(f"the label field is not of modules, units and classes {wanted}")
        if layer.n_features_in_ != encoder.n_features_out_ or encoder.n_features_in_ != self.n_features_in_:
            raise FormatError("encoder, layer and classifier are of different widths")

    def _clear(self) -> None:
        for name in (*self._STATE, *self._SCALARS, *self._CHILDREN):
            self.__dict__.pop(name, None)

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        self._clear()

    # ---------------------------------------------------------------- learning

    def _start(self, X: np.ndarray, n_classes: int) -> None:
        """Make the parts for items like X."""
        if isinstance(self.encoder, Encoder):
            encoder = type(self.encoder)(**self.encoder.get_params(deep=False))
        elif self.encoder is None:
            encoder = IdentityEncoder()
        else:
            encoder = OrientedEdgeEncoder() if X.ndim == 3 else ThermometerEncoder()
        encoder.fit(X)
        template = self.layer if self.layer is not None else default_layer(encoder)
        layer = type(template)(**template.get_params(deep=False))
        if layer.random_state is None:
            layer.random_state = self.random_state
        layer._allocate(encoder.n_features_out_, backend_of(X))
        modules = layer.n_macs_ * layer.n_modules
        self.label_field_ = LabelField(modules, layer.units_per_module, n_classes, self.readout, self.smoothing, self.margin)
        self.encoder_, self.layer_ = encoder, layer
        automatic = max(1, min(AUTO_CRITICAL_PERIOD, len(X) // AUTO_SHARE))
        period = automatic if isinstance(self.critical_period, str) else self.critical_period
        self.critical_period_: int | None = period
        self.n_features_in_ = encoder.n_features_in_
        self.items_stored_ = self.items_labelled_ = self.presentations_ = 0

    def _partial_fit(self, X: np.ndarray, y: np.ndarray) -> None:
        if not self._is_fitted():
            self._start(X, len(self.classes_))
        self.layer_._backend(X=X)
        self.learn_active(self.encoder_.active(X), y)

    def learn_active(self, active: ActiveRows, y: np.ndarray) -> None:
        """Learn items that were encoded before; ``y`` int (n,) are positions in ``classes_``."""
        n = len(active)
        period = self.critical_period_
        stored = n if period is None else min(n, max(0, period - self.items_stored_))
        if stored:
            written = self.label_code == "sampled"
            shown = self.layer_.present(active.rows(0, stored), True, written=written, familiarity=False)
            self.items_stored_ += stored
            self.presentations_ += stored
            if self.label_presentations == 1 and (period is None or self.label_during_critical_period):
                self._label(shown.written_codes if written else shown.codes, y[:stored])
        if self.label_presentations == 2:
            self._label(self._codes(active), y)
            self.presentations_ += n
        elif stored < n:
            self._label(self._codes(active.rows(stored, n)), y[stored:])
            self.presentations_ += n - stored

    def _codes(self, active: ActiveRows) -> np.ndarray:
        return self.layer_.present(active, False, familiarity=False).codes

    def _label(self, codes: np.ndarray, y: np.ndarray) -> None:
        self.label_field_.learn(codes, y)
        self.items_labelled_ += len(y)

    # ---------------------------------------------------------------- reading

    def _encoded(self, X: Any) -> ActiveRows:
        self._check_fitted()
        X = self._as_items(X, self.n_features_in_)
        if not len(X):
            xp = array_module(X)
            return ActiveRows(xp.zeros(0, np.int32), xp.zeros(1, np.int64), self.encoder_.n_features_out_)
        return self.encoder_.active(X)

    def decision_scores(self, X: Any) -> np.ndarray:
        """Score of every class, float64 (n, n_classes)."""
        return self.scores_of_active(self._encoded(X))

    def scores_of_active(self, active: ActiveRows) -> np.ndarray:
        """Score of every class for items that were encoded before."""
        if not self.label_field_._is_fitted():
            raise NotFittedError(
                f"This SparseyClassifier instance is not fitted yet: all {self.items_stored_} items fell into the critical "
                f"period of {self.critical_period_} and none was labelled. Show more items, shorten critical_period, or set "
                "label_during_critical_period=True"
            )
        return self.label_field_.scores(self._codes(active))

    def transform(self, X: Any) -> np.ndarray:
        """Codes of items, uint8 or uint16 (n, n_macs * n_modules)."""
        active = self._encoded(X)
        return self._codes(active).reshape(len(active), -1)

    def fit_transform(self, X: Any, y: Any) -> np.ndarray:
        """Learn items and labels, then give the items' codes."""
        return self.fit(X, y).transform(X)

    # ---------------------------------------------------------------- memory protocol

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """Learn items with their labels, as :meth:`partial_fit`; returns running numbers, int64 (n,)."""
        if tags is not None:
            raise InputError("tags are given, SparseyClassifier stores labels (targets) only")
        first = self._n_seen()
        self.partial_fit(items, targets)
        ids: np.ndarray = array_module(items).arange(first, self._n_seen(), dtype=np.int64)
        return ids

    def _n_seen(self) -> int:
        """Different items so far."""
        if not self._is_fitted():
            return 0
        return int(self.presentations_ - (self.items_stored_ if self.label_presentations == 2 else 0))

    def read(self, cues: Any, *, k: int = 1) -> Recall:
        """What the layer recalls for encoded cues: values are scores of the encoder's binary features."""
        return self.layer_.read(self._encoded(cues), k=k)

    def familiarity(self, items: Any) -> np.ndarray:
        """Mean G of the layer, float32 (n,)."""
        return self.layer_.familiarity(self._encoded(items))

    def complete(self, cues: Any, known: Any) -> np.ndarray:
        """Fill in the unknown features of binary items, as :meth:`SparseyLayer.complete`; float32 (n, n_features).

        Raises
        ------
        InputError
            If an encoder stands between items and layer: its binary features cannot be turned back into items.
        """
        self._check_fitted()
        if not isinstance(self.encoder_, IdentityEncoder):
            raise InputError(f"complete needs binary items (encoder=None), not those of {type(self.encoder_).__name__}")
        return self.layer_.complete(cues, known)

    def begin_episode(self) -> None:
        """Nothing to clear: items have no temporal context."""

    def __len__(self) -> int:
        return getattr(self, "items_stored_", 0)

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as things stand."""
        if not self._is_fitted():
            return ("predict", "familiarity", "read", "complete")
        missing = () if self.label_field_._is_fitted() else ("predict",)
        return missing if isinstance(self.encoder_, IdentityEncoder) else (*missing, "complete")

    @property
    def item_spec(self) -> ItemSpec:
        """Real items of the fitted width."""
        self._check_fitted()
        return ItemSpec(self.n_features_in_, "real", None)


def default_layer(encoder: Encoder) -> SparseyLayer:
    """The grid used where none is given."""
    rows, columns = encoder.shape_
    shape = (int(rows), int(columns))
    if rows == 1:
        return SparseyLayer(shape, encoder.channels_, shape, (1, 1), 24, 64, u_exponent=4.0, saturation_limit=0.5)
    if min(shape) >= LARGE_PICTURE:
        field, stride = (9, 9), (3, 3)
    else:
        field = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
        stride = (max(1, shape[0] // 4), max(1, shape[1] // 4))
    return SparseyLayer(shape, encoder.channels_, field, stride, 8, 128, saturation_limit=0.12)
