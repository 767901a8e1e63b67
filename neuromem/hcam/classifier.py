"""Classify sequences by what was in them, however long ago."""

from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.backend import refuse_device
from neuromem.base import Estimator
from neuromem.errors import FormatError, InputError
from neuromem.hcam.sequence_network import SequenceNetwork
from neuromem.layers.losses import log_softmax, softmax_cross_entropy
from neuromem.optim import Adam, clip_by_norm
from neuromem.progress import Progress, progress_bar
from neuromem.random import RandomState, generator_for, seed_sequence_of

STEPS_AT_ONCE = 65_536  # of sequences that are predicted together
ALL = "all"  # the one array that all weights lie in
CLASS_TYPES = (*(np.dtype(code).str for code in "?bBhHiIlLqQefd"), "U", "O")  # of labels: numbers, text, objects


class HCAMClassifier(Estimator):
    """Label whole sequences: windows of steps are encoded, stored in chunks, and asked at the last step.

    The network is trained end to end by Adam, what is stored included.

    Parameters
    ----------
    width : int >= 1, default 64
        Width of what is stored, a multiple of ``n_heads``; even with ``position_code``.
    window : int >= 1, default 16
        Steps that the encoder sees at once, and local attention where there are several layers.
    hidden : int >= 1, default 128
        Rectified units of the encoder.
    chunk_size : int >= 1, default 16
    top_k : int >= 1, default 4
        Chunks attended to in detail.
    n_heads : int >= 1, default 4
    n_layers : int >= 1, default 1
        HCAM layers; all but the last ask at every step, and see the chunks closed by then.
    position_code : bool, default True
    detach_memory : bool, default False
        Whether what is stored is taken as a constant; then nothing but the last step teaches the encoder.
    learning_rate : float > 0, default 0.002
    n_epochs : int >= 1, default 30
        Passes of :meth:`fit` over the data.
    batch_size : int >= 1, default 16
    clip_norm : float > 0, default 1
        Largest norm of a step's gradients.
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default None

    Attributes
    ----------
    classes_ : (n_classes,)
    n_features_in_ : int
        Width of a step.
    network_ : SequenceNetwork
    weights_ : float (n_weights,)
        All weights of the network, whose own arrays are views of it.
    mean_, spread_ : float64 (n_features,)
        Of the steps first seen; steps are scaled by them.
    loss_curve_ : list of float
        Mean loss of every pass over the data.

    Notes
    -----
    Two threads may predict at once; the result of a sequence may differ in the last bits with how many are predicted together.

    References
    ----------
    Lampinen et al., NeurIPS 2021, for the attention; the network around it is this library's.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 64)
    >>> X = np.zeros((64, 30, 2))
    >>> X[np.arange(64), rng.integers(0, 10, 64), y] = 1.0  # one of two events, at least 20 steps before the end
    >>> model = HCAMClassifier(width=16, hidden=16, window=4, chunk_size=8, n_epochs=20, random_state=0).fit(X, y)
    >>> model.score(X, y)
    1.0
    """

    _ESTIMATOR_TYPE = "classifier"
    _STATE = {
        "weights_": ((np.float32, np.float64), 1),
        "first_moments_": ((np.float32, np.float64), 1),
        "second_moments_": ((np.float32, np.float64), 1),
        "mean_": (np.float64, 1),
        "spread_": (np.float64, 1),
    }
    _SCALARS = ("n_features_in_", "n_updates_", "loss_curve_", "class_names_", "class_type_")
    _DERIVED = ("classes_", "network_", "optimiser_")

    classes_: np.ndarray
    network_: SequenceNetwork
    n_features_in_: int

    def __init__(
        self,
        width: int = 64,
        window: int = 16,
        hidden: int = 128,
        chunk_size: int = 16,
        top_k: int = 4,
        n_heads: int = 4,
        n_layers: int = 1,
        *,
        position_code: bool = True,
        detach_memory: bool = False,
        learning_rate: float = 2e-3,
        n_epochs: int = 30,
        batch_size: int = 16,
        clip_norm: float = 1.0,
        dtype: str = "float32",
        random_state: RandomState = None,
    ) -> None:
        self.width = width
        self.window = window
        self.hidden = hidden
        self.chunk_size = chunk_size
        self.top_k = top_k
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.position_code = position_code
        self.detach_memory = detach_memory
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.clip_norm = clip_norm
        self.dtype = dtype
        self.random_state = random_state

    def _validate_params(self) -> None:
        self._make_network(1, 1, 0)
        validate.integer(self.n_epochs, "n_epochs", 1)
        validate.integer(self.batch_size, "batch_size", 1)
        validate.number(self.learning_rate, "learning_rate", low=0, low_open=True)
        validate.number(self.clip_norm, "clip_norm", low=0, low_open=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    # ---------------------------------------------------------------- parts

    def _make_network(self, n_features: int, n_classes: int, random_state: RandomState) -> SequenceNetwork:
        return SequenceNetwork(
            n_features,
            n_classes,
            self.width,
            self.window,
            self.hidden,
            self.chunk_size,
            self.top_k,
            self.n_heads,
            self.n_layers,
            self.position_code,
            self.detach_memory,
            self.dtype,
            random_state,
        )

    def _start(self, X: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> None:
        """Forget everything and make the parts for sequences like X."""
        self.class_names_ = classes.tolist()
        self.class_type_ = classes.dtype.str if classes.dtype.kind in "biuf" else classes.dtype.kind
        self.n_features_in_, self.n_updates_ = int(X.shape[2]), 0
        self.loss_curve_: list[float] = []
        steps = X.reshape(-1, X.shape[2])
        self.mean_, spread = steps.mean(axis=0, dtype=np.float64), steps.std(axis=0, dtype=np.float64)
        self.spread_ = np.where(spread > 0, spread, 1.0)
        weights = self._make_network(self.n_features_in_, len(classes), rng).weights
        self.weights_ = np.concatenate([array.ravel() for array in weights.values()])
        self.first_moments_, self.second_moments_ = np.zeros_like(self.weights_), np.zeros_like(self.weights_)
        self._after_load()

    def _after_load(self) -> None:
        """Make the network's weights views of ``weights_``, and the optimiser's arrays this object's."""
        if not self._is_fitted():
            return
        self.classes_ = np.array(self.class_names_, self.class_type_)
        self.network_ = self._make_network(self.n_features_in_, len(self.classes_), 0)
        views, start = {}, 0
        for name, shape in self.network_._weight_shapes().items():
            stop = start + int(np.prod(shape))
            views[name] = self.weights_[start:stop].reshape(shape)
            start = stop
        self.network_._put_weights(views)
        self.optimiser_ = Adam({ALL: self.weights_}, self.learning_rate)
        self.optimiser_.n_steps = self.n_updates_
        self.optimiser_.slots = {"first": {ALL: self.first_moments_}, "second": {ALL: self.second_moments_}}

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if not arrays and not scalars:
            return
        if set(arrays) != set(self._STATE) or set(scalars) != set(self._SCALARS):
            raise FormatError("a fitted classifier has weights, moments, scales, counts and classes")
        names, n_features = scalars["class_names_"], scalars["n_features_in_"]
        if not isinstance(names, list) or not names or scalars["class_type_"] not in CLASS_TYPES:
            raise FormatError("class_names_ is no list of labels")
        if len(np.unique(np.array(names, scalars["class_type_"]))) != len(names):
            raise FormatError("class_names_ holds a label twice")
        if not all(
            type(scalars[name]) is int and scalars[name] >= low for name, low in (("n_features_in_", 1), ("n_updates_", 0))
        ):
            raise FormatError("n_features_in_ and n_updates_ are not counts")
        if not isinstance(scalars["loss_curve_"], list):
            raise FormatError("loss_curve_ is no list")
        n_weights = self._make_network(n_features, len(names), 0).n_weights
        for name, array in arrays.items():
            wanted = (n_features,) if name in ("mean_", "spread_") else (n_weights,)
            if array.shape != wanted or not np.isfinite(array).all():
                raise FormatError(f"{name} has shape {array.shape}, finite numbers of shape {wanted} were expected")
            if wanted == (n_weights,) and name not in ("mean_", "spread_") and array.dtype != self.dtype:
                raise FormatError(f"{name} is {array.dtype}, {self.dtype} was expected")
        if not (arrays["spread_"] > 0).all() or not (arrays["second_moments_"] >= 0).all():
            raise FormatError("spread_ or second_moments_ has a value that no data give")

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        hollow = object.__new__(type(self))
        hollow.__dict__ = {name: value for name, value in self.__dict__.items() if name not in self._DERIVED}
        made = Estimator.__deepcopy__(hollow, memo)
        memo[id(self)] = made
        made._after_load()
        return made

    def _clear(self) -> None:
        for name in (*self._STATE, *self._SCALARS, *self._DERIVED):
            self.__dict__.pop(name, None)

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        self._clear()

    # ---------------------------------------------------------------- learning

    def fit(self, X: Any, y: Any, *, progress: Progress = False) -> Self:
        """Forget everything, then learn from labelled sequences, in a new order at every pass.

        Parameters
        ----------
        X : array (n, T, n_features)
            Sequences of one length.
        y : (n,)
            Class labels.
        progress : bool or callable, default False
            True draws a bar; a callable is called with (passes done, passes).

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            For parameters, sequences or labels that are not as documented; the object is unchanged then.
        """
        X, y = self._check(X, y)
        rng = generator_for(seed_sequence_of(self.random_state), "hcam.weights")
        classes, places = np.unique(y, return_inverse=True)
        before = dict(self.__dict__)
        try:
            self._clear()
            self._start(X, classes, rng)
            with progress_bar(self.n_epochs, progress, "passes") as advance:
                for _ in range(self.n_epochs):
                    order = rng.permutation(len(X))
                    self._pass(X, places, order)
                    advance(1)
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn from more sequences: one pass, in their order.

        Parameters
        ----------
        X, y
            As in :meth:`fit`; sequences may be of another length than before.
        classes : (n_classes,), optional
            All labels that will ever come; needed at the first call unless y already has all.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            As :meth:`fit`, and for a label that was not announced; the object is unchanged then.
        """
        X, y = self._check(X, y, getattr(self, "n_features_in_", None))
        known = getattr(self, "classes_", None)
        if classes is not None:
            classes = np.unique(validate.labels(classes, len(classes), name="classes"))
        if known is None:
            known = np.unique(y) if classes is None else classes
        elif classes is not None and not np.array_equal(known, classes):
            raise InputError(f"classes are {classes!r}, at the first call they were {known!r}")
        if len(unseen := np.setdiff1d(y, known)):
            raise InputError(f"y has the unseen class {unseen[0]}; announce it with classes= at the first call")
        before = self.copy().__dict__
        try:
            if not self._is_fitted():
                self._start(X, known, generator_for(seed_sequence_of(self.random_state), "hcam.weights"))
            self._pass(X, np.searchsorted(known, y), np.arange(len(X)))
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def _check(self, X: Any, y: Any, n_features: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        self._validate_params()
        X = self._as_sequences(X, n_features)
        if not len(X):
            raise InputError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
        refuse_device(y, "y", type(self).__name__)
        return X, validate.labels(y, len(X))

    def _as_sequences(self, X: Any, n_features: int | None = None) -> np.ndarray:
        """Finite numbers (n, T, n_features)."""
        refuse_device(X, "X", type(self).__name__)
        X = np.asarray(X)
        if X.ndim != 3 or not X.shape[1]:
            raise InputError(
                f"Expected 3D array, got {X.ndim}D array instead: X has shape {X.shape}, (sequences, steps from 1 up, features) "
                "was expected"
            )
        return validate.table(X.reshape(-1, X.shape[2]), n_features, owner=type(self).__name__).reshape(X.shape)

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = ((X - self.mean_) / self.spread_).astype(self.dtype)
        return scaled

    def _pass(self, X: np.ndarray, places: np.ndarray, order: np.ndarray) -> None:
        """Show every sequence once."""
        total = 0.0
        self.optimiser_.learning_rate = self.learning_rate
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            loss, d_scores = softmax_cross_entropy(self.network_.forward(self._scaled(X[batch])), places[batch])
            _, gradients = self.network_.backward(d_scores)
            flat = {ALL: np.concatenate([gradient.ravel() for gradient in gradients.values()])}
            clip_by_norm(flat, self.clip_norm)
            self.optimiser_.step(flat)
            self.n_updates_ = self.optimiser_.n_steps
            total += loss * len(batch)
        self.loss_curve_.append(total / len(order))

    # ---------------------------------------------------------------- reading

    def decision_scores(self, X: Any) -> np.ndarray:
        """Score of every class.

        Parameters
        ----------
        X : array (n, T, n_features)

        Returns
        -------
        ndarray (n, n_classes)

        Raises
        ------
        NotFittedError
            Before the first ``fit``.
        InputError, InputTypeError
            For sequences that are not as documented.
        """
        self._check_fitted()
        X = self._as_sequences(X, self.n_features_in_)
        scores = np.empty((len(X), len(self.classes_)), self.dtype)
        n_together = max(1, STEPS_AT_ONCE // X.shape[1])
        for start in range(0, len(X), n_together):
            scores[start : start + n_together] = self.network_.forward(self._scaled(X[start : start + n_together]))
        return scores

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores (n, n_classes), or for two classes the second's lead (n,)."""
        scores = self.decision_scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """The class with the largest score, ties to the first, (n,)."""
        best = self.decision_scores(X).argmax(axis=1)
        found: np.ndarray = self.classes_[best]
        return found

    def predict_proba(self, X: Any) -> np.ndarray:
        """Softmax of the scores, float64 (n, n_classes)."""
        found: np.ndarray = np.exp(log_softmax(self.decision_scores(X).astype(np.float64)))
        return found

    def score(self, X: Any, y: Any) -> float:
        """Share of sequences whose predicted class is right."""
        X, y = self._as_sequences(X), np.asarray(y)
        return float(np.mean(self.predict(X) == validate.labels(y, len(X))))
