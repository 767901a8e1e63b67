"""Models that learn by steps as memories under probe: one with a loss, and a classifier."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from neuromem.backend import to_host
from neuromem.errors import InputError, InputTypeError
from neuromem.protocols import ItemSpec


class LossMemory:
    """A model trained by gradient steps as a memory: what it predicts with less loss is more familiar (Orhan 2023).

    Parameters
    ----------
    model : object
        Copied deeply for each run; what a copy shares with others (random generators, files) is the caller's to mind.
    step_fn : callable (model, items, targets)
        One update on a batch.
    loss_fn : callable (model, items) -> (n,)
        Mean loss of each item; changes nothing.
    complete_fn : callable (model, cues, known) -> (n, d), optional
    item_spec : ItemSpec, optional

    Examples
    --------
    >>> def step(model, items, targets):
    ...     model["mean"] += 0.5 * (items.mean(axis=0) - model["mean"])
    >>> memory = LossMemory({"mean": np.zeros(2)}, step, lambda model, items: ((items - model["mean"]) ** 2).mean(axis=1))
    >>> memory.write(np.ones((4, 2)))
    >>> memory.familiarity(np.ones((1, 2))).tolist()
    [-0.25]
    """

    probe_is_pure = True

    def __init__(
        self,
        model: Any,
        step_fn: Callable[[Any, Any, Any], Any],
        loss_fn: Callable[[Any, Any], Any],
        complete_fn: Callable[[Any, Any, Any], Any] | None = None,
        item_spec: ItemSpec | None = None,
    ) -> None:
        self.model, self.step_fn, self.loss_fn, self.complete_fn = model, step_fn, loss_fn, complete_fn
        if item_spec is not None:
            self.item_spec = item_spec

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as things stand."""
        return () if self.complete_fn is not None else ("complete",)

    def write(self, items: Any, targets: Any = None) -> None:
        """One step on a batch."""
        self.step_fn(self.model, items, targets)

    def familiarity(self, items: Any) -> np.ndarray:
        """Minus the loss of each item, (n,)."""
        return -np.asarray(to_host(self.loss_fn(self.model, items)))

    def complete(self, cues: Any, known: Any) -> Any:
        """What the model makes of a cue."""
        if self.complete_fn is None:
            raise InputTypeError("LossMemory has no complete: give complete_fn")
        return self.complete_fn(self.model, cues, known)

    def copy(self) -> "LossMemory":
        """The same functions on a deep copy of the model."""
        model = copy.deepcopy(self.model)
        return LossMemory(model, self.step_fn, self.loss_fn, self.complete_fn, getattr(self, "item_spec", None))


class ClassifierMemory:
    """A classifier with ``partial_fit`` as a memory of labelled items.

    Parameters
    ----------
    classifier : object
        With ``partial_fit(items, targets, classes=...)`` and ``predict``; with ``predict_proba`` or ``decision_function`` its
        familiarity is the largest value that these give.
    classes : array
        All labels that will come.
    item_spec : ItemSpec, optional
    """

    probe_is_pure = True

    def __init__(self, classifier: Any, classes: Any, item_spec: ItemSpec | None = None) -> None:
        self.classifier, self.classes_ = classifier, np.asarray(classes)
        if item_spec is not None:
            self.item_spec = item_spec

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as things stand."""
        graded = any(hasattr(self.classifier, name) for name in ("predict_proba", "decision_function"))
        return () if graded else ("familiarity",)

    def write(self, items: Any, targets: Any = None) -> None:
        """Learn a batch of labelled items."""
        if targets is None:
            raise InputError("a classifier learns labelled items: use a source with classes")
        self.classifier.partial_fit(items, targets, classes=self.classes_)

    def predict(self, items: Any) -> np.ndarray:
        """The label of each item."""
        return np.asarray(self.classifier.predict(items))

    def familiarity(self, items: Any) -> np.ndarray:
        """How sure the classifier is of each item, (n,)."""
        graded = getattr(self.classifier, "predict_proba", None) or self.classifier.decision_function
        found = np.asarray(graded(items), np.float64)
        return np.abs(found) if found.ndim == 1 else found.max(axis=1)

    def copy(self) -> "ClassifierMemory":
        """A deep copy."""
        return ClassifierMemory(copy.deepcopy(self.classifier), self.classes_, getattr(self, "item_spec", None))
