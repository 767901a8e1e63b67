"""What classifiers share: checks of items and labels, classes, probabilities, accuracy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import Backend, array_module, as_array, backend_of, to_host
from neuromem.base import Estimator
from neuromem.errors import InputError
from neuromem.sparsey.active import ActiveRows


class LabelledMemory(Estimator):
    """What the classifiers share: checks of X and y, classes, probabilities, accuracy."""

    _ESTIMATOR_TYPE = "classifier"
    _ON_GPU = True
    classes_: np.ndarray  # on the host, wherever items live

    def decision_scores(self, X: Any) -> np.ndarray:
        """Score of every class, float64 (n, n_classes)."""
        raise TypeError(f"{type(self).__name__} gives no scores")

    def _partial_fit(self, X: Any, y: np.ndarray) -> None:
        raise TypeError(f"{type(self).__name__} does not learn")

    def _clear(self) -> None:
        raise TypeError(f"{type(self).__name__} cannot be cleared")

    def _check_items(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """X as an array with at least one item, and its labels, which may live elsewhere."""
        if len(X := self._as_items(X)) < 1:
            raise InputError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
        return X, sortable(validate.labels(y, len(X)), "y")

    def _as_items(self, X: Any, n_features: int | None = None) -> np.ndarray:
        """Pictures (three axes) as they are, everything else as a checked table."""
        if isinstance(X, ActiveRows):
            raise InputError("X is a list of active features; give pictures, a table, or binary items to encoder=None")
        if not validate.is_sparse(X) and getattr(X, "ndim", None) != 2:
            X = as_array(X)
        if getattr(X, "ndim", None) != 3:
            return validate.table(X, n_features, owner=type(self).__name__)
        return X

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Put all attributes back where parts could not be made or learning broke off."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def fit(self, X: Any, y: Any) -> Any:
        """Forget everything, then learn items and labels in order.

        Parameters
        ----------
        X : pictures (n, rows, columns), or table (n, n_features)
            On a GPU (CuPy), the classifier learns and predicts there.
        y : (n,)
            Class labels, on a GPU or the host.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            For parameters, items or labels that are not as documented; the object is unchanged then.
        """
        self._validate_params()
        X, y = self._check_items(X, y)
        with self._unchanged_on_failure():
            self._clear()
            self.classes_ = distinct(y)
            self._partial_fit(X, positions_among(self.classes_, y, backend_of(X)))
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Any:
        """Learn more items and labels.

        Parameters
        ----------
        X, y
            As in :meth:`fit`.
        classes : (n_classes,), optional
            All labels that will ever come; needed at the first call unless y already has all.

        Raises
        ------
        InputError
            For a label that was not announced.
        """
        self._validate_params()
        X, y = self._check_items(X, y)
        known = getattr(self, "classes_", None)
        if classes is not None:
            classes = distinct(sortable(as_array(classes), "classes"))
        present = distinct(y)
        if known is None:
            known = present if classes is None else classes
        elif classes is not None and not np.array_equal(known, classes):
            raise InputError(f"classes are {classes!r}, at the first call they were {known!r}")
        unseen = np.setdiff1d(present, known)
        if len(unseen):
            raise InputError(f"y has the unseen class {unseen[0]}; announce it with classes= at the first call")
        with self._unchanged_on_failure():
            self.classes_ = known
            self._partial_fit(X, positions_among(known, y, backend_of(X)))
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores (n, n_classes), or for two classes the second's lead (n,)."""
        scores = self.decision_scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """The class with the largest score, ties to the first, (n,); numbers live where X does, text on the host."""
        best = self.decision_scores(X).argmax(axis=1)
        if self.classes_.dtype.kind in "UO":
            return self.classes_[to_host(best)]
        found: np.ndarray = array_module(best).asarray(self.classes_)[best]
        return found

    def predict_proba(self, X: Any) -> np.ndarray:
        """Softmax of the scores scaled to unit spread: a ranking, not a calibrated probability; float64 (n, n_classes)."""
        scores = standardised(self.decision_scores(X))
        weights = array_module(scores).exp(scores - scores.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def score(self, X: Any, y: Any) -> float:
        """Share of items whose predicted class is right."""
        return float(np.mean(to_host(self.predict(X)) == to_host(y)))


def standardised(scores: np.ndarray) -> np.ndarray:
    """Each item's scores with mean 0 and spread 1; zeros where all are equal."""
    xp = array_module(scores)
    centred = scores - scores.mean(axis=1, keepdims=True)
    spread = xp.sqrt((centred**2).mean(axis=1, keepdims=True))
    found: np.ndarray = xp.where(spread > 0, centred / xp.where(spread > 0, spread, 1.0), 0.0)
    return found


def distinct(labels: Any) -> np.ndarray:
    """The different labels, sorted, on the host."""
    return to_host(array_module(labels).unique(labels))


def positions_among(classes: np.ndarray, y: Any, backend: Backend) -> Any:
    """Where each label stands among the sorted classes, int64 (n,), on a backend's device."""
    xp = array_module(y)
    positions = xp.searchsorted(xp.asarray(classes), y).astype(np.int64)
    return backend.xp.asarray(positions) if backend.device is not None else to_host(positions)


def sortable(labels: np.ndarray, name: str) -> np.ndarray:
    """The labels, if they are all numbers or all text, so that they can be sorted and saved.

    Raises
    ------
    InputError
    """
    if labels.dtype.kind == "O":
        kinds = {str if isinstance(label, str) else type(label) for label in labels.ravel()}
        if kinds == {str} or all(issubclass(kind, (int, float)) for kind in kinds):
            return labels
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
    elif labels.dtype.char in "?bBhHiIlLqQefdU":
        return labels
    else:
        found = str(labels.dtype)
    raise InputError(f"{name} has labels of type {found}; all numbers or all text was expected")
