"""Associators that learn one item after the other: a decaying sum of outer products, and a delta rule in a drifting context."""

from typing import Any, ClassVar, Self

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY, refuse_device
from neuromem.base import Estimator
from neuromem.errors import CapacityError, FormatError, InputError
from neuromem.parallel import kernel_threads
from neuromem.protocols import ItemSpec, Recall
from neuromem.random import RandomState, key_for, seed_sequence_of

BLOCK = 64  # items that are put into the weights at once; the same ones however they came, so that batches make no difference
ROWS = 16  # of a block in one product
PIECE = 64 * BLOCK  # items whose keys are held at a time
CONTEXT_NOISE, FIRST_CONTEXT = 0, 1  # what numbers are drawn for
NORMAL = 8.0  # nanoseconds for a normal number, roughly


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay."""
    length = np.sqrt((rows * rows).sum(axis=1, keepdims=True, dtype=rows.dtype))
    return rows / np.where(length > 0, length, 1)


class Associator(Estimator):
    """What both associators share: keys and values of a stream, put into a matrix block by block.

    A subclass turns a block of keys and values into a change of the weights in ``_folded``.
    """

    _DTYPE: ClassVar[Any] = np.float32
    _STATE = {"weights_": (np.float32, 2), "pending_keys_": (np.float32, 2), "pending_values_": (np.float32, 2)}
    _SCALARS = ("n_written_", "n_steps_")
    n_features: int | None
    n_key: int | None = None
    n_classes: int | None
    weights_: np.ndarray
    pending_keys_: np.ndarray
    pending_values_: np.ndarray
    n_written_: int
    n_steps_: int

    # ---------------------------------------------------------------- sizes

    def _validate_params(self) -> None:
        if self.n_features is not None:
            validate.integer(self.n_features, "n_features", 1)
        if self.n_classes is not None:
            validate.integer(self.n_classes, "n_classes", 2)

    def _width(self) -> int | None:
        return getattr(self, "n_features_seen_", None) or self.n_features

    def _sizes(self, n_features: int) -> tuple[int, int]:
        """Width of keys, and of values."""
        n_key = n_features if self.n_key is None else self.n_key
        return n_key, self.n_classes or (n_features if self.n_key is None else n_features - n_key)

    @property
    def n_features_seen_(self) -> int | None:
        """Width of items, as far as items have come."""
        if not self._is_fitted():
            return None
        n_values = self.pending_values_.shape[1]
        n_key = self.weights_.shape[0] - self._n_extra()
        return n_key if self.n_key is None or self.n_classes else n_key + n_values

    def _n_extra(self) -> int:
        """Components of a key that are not the item's."""
        return 0

    @property
    def n_features_in_(self) -> int:
        """Width of items."""
        self._check_fitted()
        return int(self._width() or 0)

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if not arrays and not scalars:
            return
        n_key, n_values = arrays["weights_"].shape
        n_pending = len(arrays["pending_keys_"])
        if arrays["pending_keys_"].shape != (n_pending, n_key) or arrays["pending_values_"].shape != (n_pending, n_values):
            raise FormatError("pending keys and values do not fit the weights")
        if self.n_classes is not None and n_values != self.n_classes:
            raise FormatError("the weights are not of n_classes columns")
        if self.n_key is not None and n_key != self.n_key:
            raise FormatError("the weights are not of n_key rows")
        if not all(np.isfinite(arrays[name]).all() for name in Associator._STATE):
            raise FormatError("weights or pending items are not finite")
        n_written, n_steps = scalars["n_written_"], scalars["n_steps_"]
        if type(n_written) is not int or type(n_steps) is not int or not 0 <= n_written <= n_steps:
            raise FormatError("n_written_ and n_steps_ are not numbers of items and steps")
        if n_steps % BLOCK != n_pending:
            raise FormatError("pending items are not those since the last full block")

    # ---------------------------------------------------------------- items

    def _checked(self, items: Any, name: str = "items") -> np.ndarray:
        owner = type(self).__name__
        refuse_device(items, name, owner)
        return validate.real_items(items, self._width(), name=name, owner=owner, dtype=self._DTYPE)

    def _key_part(self, items: np.ndarray) -> np.ndarray:
        return items if self.n_key is None else items[:, : self.n_key]

    def _keys(self, items: np.ndarray, first_step: int | None = None) -> np.ndarray:
        """Keys of items; those of successive steps from ``first_step`` on, or all of the step to come."""
        return unit_rows(self._key_part(items))

    def _values(self, items: np.ndarray, targets: Any = None) -> np.ndarray:
        if self.n_classes is None:
            return unit_rows(items if self.n_key is None else items[:, self.n_key :])
        labels = validate.labels(targets, len(items), name="targets")
        if labels.dtype.kind not in "biuf" or (len(labels) and not 0 <= labels.min() <= labels.max() < self.n_classes):
            raise InputError(f"targets have other values than 0 ... {self.n_classes - 1}, the labels of {self.n_classes} classes")
        values = np.zeros((len(items), self.n_classes), self._DTYPE)
        values[np.arange(len(items)), labels.astype(np.int64)] = 1
        return values

    def _start(self, n_features: int) -> None:
        """Empty weights."""
        n_key, n_values = self._sizes(n_features)
        n_key += self._n_extra()
        self.weights_ = np.zeros((n_key, n_values), self._DTYPE)
        self.pending_keys_ = np.zeros((0, n_key), self._DTYPE)
        self.pending_values_ = np.zeros((0, n_values), self._DTYPE)
        self.n_written_ = self.n_steps_ = 0

    def _folded(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The weights after some more items, in order."""
        raise NotImplementedError

    def _weights_now(self) -> np.ndarray:
        """The weights after all items."""
        return self._folded(self.pending_keys_, self.pending_values_) if len(self.pending_keys_) else self.weights_

    def _append(self, keys: np.ndarray, values: np.ndarray) -> None:
        keys, values = np.concatenate([self.pending_keys_, keys]), np.concatenate([self.pending_values_, values])
        full = len(keys) - len(keys) % BLOCK
        for start in range(0, full, BLOCK):
            self.weights_ = self._folded(keys[start : start + BLOCK], values[start : start + BLOCK])
        self.pending_keys_, self.pending_values_ = keys[full:].copy(), values[full:].copy()

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """Learn items, real (n, d), one after the other; with ``n_classes`` their targets (n,); returns ids, int64 (n,).

        Raises
        ------
        InputError
            For items of another width, or targets that are missing, not asked for, or no classes; nothing is learned then.
        """
        self._validate_params()
        if tags is not None:
            raise InputError(f"tags are given, {type(self).__name__} keeps none")
        if targets is not None and self.n_classes is None:
            raise InputError("targets are given, but n_classes is None: items are their own targets")
        items = self._checked(items)
        self._sizes_fit(items.shape[1])
        values = self._values(items, targets)
        if not self._is_fitted():
            self._start(items.shape[1])
        first = self.n_written_
        for start in range(0, len(items), PIECE):
            rows = slice(start, start + PIECE)
            self._append(self._keys(items[rows], self.n_steps_), values[rows])
            self.n_steps_ += len(items[rows])
        self.n_written_ += len(items)
        return np.arange(first, first + len(items), dtype=np.int64)

    def _sizes_fit(self, n_features: int) -> None:
        n_key, n_values = self._sizes(n_features)
        if n_key > n_features or n_values < 1:
            raise InputError(f"items have {n_features} features, more than n_key={self.n_key} were expected")

    def idle(self, n: int) -> None:
        """Let the time of n items pass with nothing to learn."""
        n = validate.integer(n, "n", 0)
        if not self._is_fitted():
            return
        for start in range(0, n, BLOCK):
            rows = min(BLOCK, n - start)
            nothing = np.zeros((rows, self.weights_.shape[0]), self._DTYPE)
            self._append(nothing, np.zeros((rows, self.weights_.shape[1]), self._DTYPE))
            self.n_steps_ += rows

    # ---------------------------------------------------------------- reading

    def _outputs(self, items: np.ndarray) -> np.ndarray:
        """What the weights make of the keys of items, (n, width of values)."""
        return self._keys(items) @ self._weights_now()

    def familiarity(self, items: Any) -> np.ndarray:
        """How well the weights answer each item's key with its value, float32 (n,); with classes, the score of the best class."""
        items = self._checked(items)
        if not self._is_fitted():
            return np.zeros(len(items), np.float32)
        outputs = self._outputs(items)
        found = outputs.max(axis=1) if self.n_classes else (outputs * self._values(items)).sum(axis=1)
        return found.astype(np.float32)

    def _answer(self, cues: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """Outputs in the place of the value, of the same mean square as what is known of the cue."""
        given = cues if known is None else np.where(known, cues, 0)
        outputs = self._outputs(given)
        n_given = cues.shape[1] if known is None else np.maximum(known.sum(axis=1, keepdims=True), 1)
        power = np.sqrt((given * given).sum(axis=1, keepdims=True) / n_given * outputs.shape[1])
        answers = given.copy()
        answers[:, -outputs.shape[1] :] = unit_rows(outputs) * power
        return answers

    def read(self, cues: Any, *, k: int = 1) -> Recall:
        """What the weights answer: values (n, k, d), with classes (n, k, n_classes); scores as :meth:`familiarity`.

        There is one answer; further ones are zeros with scores of -inf.  Ids are -1.
        """
        validate.integer(k, "k", 1)
        cues = self._checked(cues, "cues")
        values = np.zeros((len(cues), k, self.n_classes or cues.shape[1]), self._DTYPE)
        scores = np.full((len(cues), k), -np.inf, np.float32)
        if self._is_fitted():
            values[:, 0] = self._outputs(cues) if self.n_classes else self._answer(cues)
            scores[:, 0] = self.familiarity(cues)
        return Recall(values, np.full((len(cues), k), -1, np.int64), scores)

    def complete(self, cues: Any, known: Any) -> np.ndarray:
        """Unknown features from the answer to the known ones, (n, d)."""
        self._check_fitted()
        if self.n_classes:
            raise InputError("complete needs items that are their own targets: n_classes=None")
        cues = self._checked(cues, "cues")
        known = validate.feature_mask(known, *cues.shape)
        return np.where(known, cues, self._answer(cues, known))

    def predict(self, items: Any) -> np.ndarray:
        """The class that the weights answer with, int64 (n,)."""
        self._check_fitted()
        if not self.n_classes:
            raise InputError("predict needs n_classes, and targets given to write")
        return self._outputs(self._checked(items)).argmax(axis=1)

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        for name in (*self._STATE, *self._SCALARS):
            self.__dict__.pop(name, None)

    def __len__(self) -> int:
        return self.n_written_ if self._is_fitted() else 0

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as things stand."""
        return ("complete",) if self.n_classes else ("predict",)

    @property
    def item_spec(self) -> ItemSpec:
        """Real items."""
        width = self._width()
        if width is None:
            raise InputError("the width of items is not known before the first write; give n_features")
        return ItemSpec(int(width), "real", None)

    def estimate_nbytes(self, n_features: int | None = None) -> int:
        """Most bytes that it takes, however much is written."""
        n_key, n_values = self._sizes(n_features or self.n_features or self.n_features_in_)
        n_key += self._n_extra()
        return np.dtype(self._DTYPE).itemsize * (n_key * n_values + (BLOCK - 1) * (n_key + n_values))

    def _within(self, n_bytes: int, item_spec: ItemSpec) -> Self:
        if self.estimate_nbytes() > n_bytes:
            raise CapacityError(f"n_bytes={n_bytes} holds no weights for {item_spec.n_features} features")
        return self


class LinearAssociator(Associator):
    """A sum of outer products that decays: the memory whose forgetting is known in closed form.

    Parameters
    ----------
    n_features : int or None, default None
        Width of items; None: that of the first batch.
    n_key : int or None, default None
        The first ``n_key`` features are the key, the others the value that it is to bring back; None: an item is both.
    n_classes : int or None, default None
        Values are classes, given as targets.
    decay : float in [0, 1), default 0.0
        Share of the weights that is lost with every item.

    Notes
    -----
    W <- (1 - decay) W + x y^T with key x and value y of unit length, by blocks: W <- g^n W + (X diag(g^(n-1) ... 1))^T Y with
    g = 1 - decay, one matrix product for each block of items.  Familiarity is x^T W y.  For random keys and values of D and C
    components it is g^k after k further items, with noise of variance V = 1 / (D C (1 - g^2)) from all others, so that the
    right one of two is chosen with chance Phi(g^k / sqrt(2 V)).  Repeating an item adds a decreasing trace; so spacing the
    repetitions, the last one in its place, can only lose: a test of spacing probes.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.retention import LinearAssociator
    >>> memory = LinearAssociator(8, decay=0.1)
    >>> memory.write(np.eye(8)[:3])
    array([0, 1, 2])
    >>> [f"{value:.2f}" for value in memory.familiarity(np.eye(8)[:4])]
    ['0.81', '0.90', '1.00', '0.00']
    """

    def __init__(
        self,
        n_features: int | None = None,
        n_key: int | None = None,
        n_classes: int | None = None,
        decay: float = 0.0,
    ) -> None:
        self.n_features = n_features
        self.n_key = n_key
        self.n_classes = n_classes
        self.decay = decay

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.n_key is not None:
            validate.integer(self.n_key, "n_key", 1)
            if self.n_classes is not None:
                raise InputError("n_key and n_classes are both given: values are features or classes")
            if self.n_features is not None and self.n_key >= self.n_features:
                raise InputError(f"n_key is {self.n_key}, less than n_features={self.n_features} was expected")
        validate.number(self.decay, "decay", low=0.0, high=1.0, high_open=True)

    def _folded(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        kept = (1.0 - self.decay) ** np.arange(len(keys), -1, -1)
        traces = keys * kept[1:, None].astype(self._DTYPE)
        found: np.ndarray = self._DTYPE(kept[0]) * self.weights_ + traces.T @ values
        return found

    @classmethod
    def for_budget(
        cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None, decay: float = 0.0
    ) -> "LinearAssociator":
        """Items as their own values; its size does not depend on how much is written.

        Raises
        ------
        CapacityError
            If the weights do not fit.
        """
        return cls(item_spec.n_features, decay=decay)._within(n_bytes, item_spec)


class ContextualDelta(Associator):
    """The delta rule on keys that are part item, part context, where the context drifts as time goes on.

    Parameters
    ----------
    n_features : int or None, default None
        Width of items; None: that of the first batch.
    n_classes : int or None, default None
        Values are classes, given as targets; None: items are their own values.
    n_context : int, default 64
        Components of the context.
    learning_rate : float in (0, 2), default 0.5
    drift : float in [0, 1], default 0.985
        Correlation of the context from one item to the next.
    context_share : float in [0, 1), default 0.7
        Share of the key's power that is context.
    random_state : None, int, SeedSequence or Generator, default None

    Notes
    -----
    c_t = drift c_(t-1) + sqrt(1 - drift^2) noise; x_t = (sqrt(1 - share) item, sqrt(share) c_t), either part of unit length;
    W <- W + learning_rate x_t (y_t - W^T x_t)^T.  Items that are read have the context of the step to come.  Massed
    repetitions bind an item to one context, which is soon gone, and their errors are small already; spaced ones bind it to
    many: this memory gains from spacing (contextual variability, Glenberg 1979; Raaijmakers 2003).

    The errors E of a block follow from one triangular system, (I + learning_rate tril(X X^T, -1)) E = Y - X W, which gives
    the same as going item by item.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.retention import ContextualDelta
    >>> memory = ContextualDelta(8, n_classes=2, random_state=0)
    >>> memory.write(np.eye(8)[[0, 1, 0, 1]], [0, 1, 0, 1])
    array([0, 1, 2, 3])
    >>> memory.predict(np.eye(8)[:2]).tolist()
    [0, 1]
    """

    _DTYPE = np.float64
    _STATE = {
        "weights_": (np.float64, 2),
        "pending_keys_": (np.float64, 2),
        "pending_values_": (np.float64, 2),
        "context_": (np.float64, 1),
        "key_": (np.uint32, 1),
    }
    context_: np.ndarray
    key_: np.ndarray

    def __init__(
        self,
        n_features: int | None = None,
        n_classes: int | None = None,
        n_context: int = 64,
        learning_rate: float = 0.5,
        drift: float = 0.985,
        context_share: float = 0.7,
        random_state: RandomState = None,
    ) -> None:
        self.n_features = n_features
        self.n_classes = n_classes
        self.n_context = n_context
        self.learning_rate = learning_rate
        self.drift = drift
        self.context_share = context_share
        self.random_state = random_state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.integer(self.n_context, "n_context", 1)
        validate.number(self.learning_rate, "learning_rate", low=0.0, high=2.0, low_open=True, high_open=True)
        validate.number(self.drift, "drift", low=0.0, high=1.0)
        validate.number(self.context_share, "context_share", low=0.0, high=1.0, high_open=True)

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        super()._check_state(arrays, scalars)
        if arrays and (arrays["context_"].shape != (self.n_context,) or arrays["key_"].shape != (2,)):
            raise FormatError("context_ or key_ have the wrong length")
        if arrays and (not np.isfinite(arrays["context_"]).all() or arrays["weights_"].shape[0] <= self.n_context):
            raise FormatError("context_ is not finite, or no key has room for it")

    def _n_extra(self) -> int:
        return self.n_context

    def _start(self, n_features: int) -> None:
        super()._start(n_features)
        self.key_ = key_for(seed_sequence_of(self.random_state), "retention.memories")
        self.context_ = self._normals(np.zeros(1, np.int64), FIRST_CONTEXT)[0]

    def _normals(self, steps: np.ndarray, purpose: int) -> np.ndarray:
        """Normal numbers of steps, float64 (n, n_context)."""
        out = np.empty((len(steps), self.n_context), np.float32)
        with kernel_threads(out.size * NORMAL):
            NUMPY.kernels("retention").normals(steps, self.key_, purpose, out)
        return out.astype(np.float64)

    def _contexts(self, first: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Contexts of n steps from the ``first`` on, which is in the current block; and that of the last block that they fill."""
        skipped = first % BLOCK
        n_blocks = -(-(skipped + n) // BLOCK)
        noise = self._normals(np.arange(first - skipped, first - skipped + n_blocks * BLOCK), CONTEXT_NOISE)
        ages = np.arange(BLOCK)[:, None] - np.arange(BLOCK)
        kept = (1 - self.drift**2) ** 0.5 * np.where(ages >= 0, self.drift ** np.maximum(ages, 0), 0.0)
        found = kept @ noise.reshape(n_blocks, BLOCK, self.n_context)
        context, carried = self.context_, self.drift ** np.arange(1.0, BLOCK + 1)[:, None]
        for block in found:
            block += carried * context
            context = block[-1]
        n_full = (skipped + n) // BLOCK
        last = found[n_full - 1, -1] if n_full else self.context_
        return found.reshape(-1, self.n_context)[skipped : skipped + n], last.copy()

    def _append(self, keys: np.ndarray, values: np.ndarray) -> None:
        super()._append(keys, values)
        self.context_ = self._contexts(self.n_steps_, len(keys))[1]

    def _keys(self, items: np.ndarray, first_step: int | None = None) -> np.ndarray:
        contexts, _ = self._contexts(*((self.n_steps_, 1) if first_step is None else (first_step, len(items))))
        contexts = np.broadcast_to(unit_rows(contexts) * self.context_share**0.5, (len(items), self.n_context))
        return np.concatenate([unit_rows(items) * (1 - self.context_share) ** 0.5, contexts], axis=1)

    def _folded(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        # by few rows at a time: products so small stay on one thread, where one for all waits for a second core
        products = np.concatenate([keys[start : start + ROWS] @ keys.T for start in range(0, len(keys), ROWS)])
        system = np.eye(len(keys)) + self.learning_rate * np.tril(products, -1)
        errors = np.linalg.solve(system, values - keys @ self.weights_)
        found: np.ndarray = self.weights_ + self.learning_rate * (keys.T @ errors)
        return found

    def estimate_nbytes(self, n_features: int | None = None) -> int:
        """Most bytes that it takes, however much is written."""
        return super().estimate_nbytes(n_features) + 8 * self.n_context + 8

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "ContextualDelta":
        """Items as their own values; its size does not depend on how much is written.

        Raises
        ------
        CapacityError
            If the weights do not fit.
        """
        return cls(item_spec.n_features, random_state=random_state)._within(n_bytes, item_spec)
