"""Gradient descent over flat dicts of arrays, in place."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from neuromem import validate
from neuromem.errors import FormatError, InputError, InputTypeError

__all__ = ["SGD", "Adam", "Optimiser", "clip_by_norm"]


class Optimiser:
    """What SGD and Adam share: the weights, the check of gradients, the state.

    A subclass names the arrays that it keeps for every weight in ``_SLOTS``, its parameters in ``_SETTINGS``, and moves one
    weight in ``_move``.

    Parameters
    ----------
    weights : mapping of str to ndarray
        float32 or float64 arrays; they are changed in place, so give the dict of a layer itself.
    learning_rate : float > 0
        May be set anew between steps.

    Attributes
    ----------
    n_steps : int
        Steps taken.
    """

    _SLOTS: ClassVar[tuple[str, ...]] = ()
    _SETTINGS: ClassVar[tuple[str, ...]] = ("learning_rate",)

    def __init__(self, weights: Mapping[str, np.ndarray], learning_rate: float) -> None:
        if not isinstance(weights, Mapping):
            raise InputTypeError(f"weights is a {type(weights).__name__}, a mapping from names to arrays was expected")
        for name, array in weights.items():
            if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
                kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise InputTypeError(f"weights[{name!r}] is {kind}, a float32 or float64 array was expected")
            if not array.flags.writeable:
                raise InputError(f"weights[{name!r}] is read-only, an array that can be changed in place was expected")
        self.weights = dict(weights)
        self.learning_rate = learning_rate
        self.n_steps = 0
        self.slots = {slot: {name: np.zeros_like(w) for name, w in self.weights.items()} for slot in self._SLOTS}
        self._validate()

    def _validate(self) -> None:
        validate.number(self.learning_rate, "learning_rate", low=0, low_open=True)

    def step(self, gradients: Mapping[str, np.ndarray]) -> None:
        """Move every weight against its gradient.

        Parameters
        ----------
        gradients : mapping of str to ndarray
            One for every weight, of its shape; to train some weights only, give the optimiser those only.

        Raises
        ------
        InputError
            For a missing or extra name, another shape, NaN or infinity; nothing is changed then.
        """
        self._validate()
        if missing := [name for name in self.weights if name not in gradients]:
            raise InputError(f"gradients lacks {missing}")
        if extra := [name for name in gradients if name not in self.weights]:
            raise InputError(f"gradients has {extra}, which are no weights of this {type(self).__name__}; take them out first")
        checked = {}
        for name, weight in self.weights.items():
            checked[name] = checked_gradient(gradients[name], name, weight.dtype)
            if checked[name].shape != weight.shape:
                raise InputError(f"gradients[{name!r}] has shape {checked[name].shape}, {weight.shape} was expected")
        self.n_steps += 1
        for name, weight in self.weights.items():
            self._move(weight, checked[name], *(self.slots[slot][name] for slot in self._SLOTS))

    def _move(self, weight: np.ndarray, gradient: np.ndarray, *slots: np.ndarray) -> None:
        raise NotImplementedError

    def get_state(self) -> dict[str, Any]:
        """Settings, ``n_steps`` and copies of what is kept for every weight, as ``slot.name``; fit for ``numpy.savez``.

        The weights are no part of it.
        """
        settings = {name: float(getattr(self, name)) for name in self._SETTINGS}
        arrays = {f"{slot}.{name}": array.copy() for slot, kept in self.slots.items() for name, array in kept.items()}
        return {**settings, "n_steps": self.n_steps, **arrays}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where another optimiser of the same kind stood, for weights of the same names and shapes.

        Parameters
        ----------
        state : mapping
            From ``get_state``; numbers may have become arrays without axes, as ``numpy.load`` gives them.

        Raises
        ------
        FormatError
            If the state is none of this kind of optimiser or of these weights; nothing is changed then.
        """
        own = self.get_state()
        if set(state) != set(own):
            raise FormatError(f"state differs from that of this {type(self).__name__} in {sorted(set(state) ^ set(own))}")
        for name, value in own.items():
            found, wanted = np.asarray(state[name]), np.asarray(value)
            if found.shape != wanted.shape or found.dtype.kind != wanted.dtype.kind or not np.isfinite(found).all():
                raise FormatError(f"{name} is {found.dtype} {found.shape}, finite {wanted.dtype} {wanted.shape} was expected")
            if isinstance(value, np.ndarray) and found.dtype != wanted.dtype:
                raise FormatError(f"{name} is {found.dtype}, {wanted.dtype} was expected")
        n_steps, before = int(state["n_steps"]), {name: getattr(self, name) for name in self._SETTINGS}
        try:
            if n_steps < 0:
                raise InputError(f"n_steps is {n_steps}, an integer from 0 up was expected")
            for name in self._SETTINGS:
                setattr(self, name, float(state[name]))
            self._validate()
        except InputError as error:
            for name, value in before.items():
                setattr(self, name, value)
            raise FormatError(f"state is out of range: {error}") from None
        self.n_steps = n_steps
        for slot, kept in self.slots.items():
            for name, array in kept.items():
                array[...] = state[f"{slot}.{name}"]


class SGD(Optimiser):
    """Stochastic gradient descent with momentum: ``v = momentum v + g``, ``w = w - learning_rate v``.

    Parameters
    ----------
    weights : mapping of str to ndarray
        Changed in place.
    learning_rate : float > 0
    momentum : float in [0, 1), default 0

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"w": np.array([1.0, 2.0])}
    >>> SGD(weights, 0.5).step({"w": np.array([1.0, -1.0])})
    >>> weights["w"].tolist()
    [0.5, 2.5]
    """

    _SLOTS = ("velocity",)
    _SETTINGS = ("learning_rate", "momentum")

    def __init__(self, weights: Mapping[str, np.ndarray], learning_rate: float, momentum: float = 0.0) -> None:
        self.momentum = momentum
        super().__init__(weights, learning_rate)

    def _validate(self) -> None:
        super()._validate()
        validate.number(self.momentum, "momentum", low=0, high=1, high_open=True)

    def _move(self, weight: np.ndarray, gradient: np.ndarray, *slots: np.ndarray) -> None:
        (velocity,) = slots
        velocity *= self.momentum
        velocity += gradient
        weight -= self.learning_rate * velocity


class Adam(Optimiser):
    """Adam with corrected moments (Kingma and Ba, ICLR 2015, algorithm 1).

    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``,
    ``w = w - learning_rate m' / (sqrt(v') + epsilon)`` with ``m' = m / (1 - beta1^t)`` and ``v' = v / (1 - beta2^t)`` in step t.

    Parameters
    ----------
    weights : mapping of str to ndarray
        Changed in place.
    learning_rate : float > 0, default 0.001
    beta1, beta2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float > 0, default 1e-8

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"w": np.array([1.0, 2.0])}
    >>> optimiser = Adam(weights, 0.1)
    >>> optimiser.step({"w": np.array([5.0, -0.01])})  # the first step is as long as the learning rate, whatever the gradient
    >>> weights["w"].round(6).tolist()
    [0.9, 2.1]
    """

    _SLOTS = ("first", "second")
    _SETTINGS = ("learning_rate", "beta1", "beta2", "epsilon")

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        super().__init__(weights, learning_rate)

    def _validate(self) -> None:
        super()._validate()
        validate.number(self.beta1, "beta1", low=0, high=1, high_open=True)
        validate.number(self.beta2, "beta2", low=0, high=1, high_open=True)
        validate.number(self.epsilon, "epsilon", low=0, low_open=True)

    def _move(self, weight: np.ndarray, gradient: np.ndarray, *slots: np.ndarray) -> None:
        first, second = slots
        part = np.multiply(gradient, 1.0 - self.beta1, out=np.empty_like(weight))
        first *= self.beta1
        first += part
        second *= self.beta2
        np.multiply(gradient, gradient, out=part)
        part *= 1.0 - self.beta2
        second += part
        np.sqrt(second, out=part)
        part /= float(np.sqrt(1.0 - self.beta2**self.n_steps))
        part += self.epsilon
        np.divide(first, part, out=part)
        part *= self.learning_rate / (1.0 - self.beta1**self.n_steps)
        weight -= part


def checked_gradient(gradient: Any, name: str, dtype: Any = None) -> np.ndarray:
    """An array of finite floats as ``dtype``; None: as it is.

    Raises
    ------
    InputTypeError, InputError
    """
    if not isinstance(gradient, np.ndarray) or gradient.dtype.kind != "f":
        kind = gradient.dtype if isinstance(gradient, np.ndarray) else type(gradient).__name__
        raise InputTypeError(f"gradients[{name!r}] is {kind}, an array of floats was expected")
    with np.errstate(over="ignore"):  # what is too large for the dtype is infinite, and refused
        gradient = gradient.astype(dtype or gradient.dtype, copy=False)
    if not np.isfinite(gradient).all():
        raise InputError(f"gradients[{name!r}] contains NaN or infinity (inf); finite {gradient.dtype} numbers were expected")
    return gradient


def clip_by_norm(gradients: Mapping[str, np.ndarray], maximum: float) -> float:
    """Shrink all gradients together, in place, so that their common norm is at most ``maximum``.

    Parameters
    ----------
    gradients : mapping of str to ndarray
        Changed in place where the norm is larger; take out what is no weight's gradient before.
    maximum : float > 0

    Returns
    -------
    float
        The Euclidean norm before, over all numbers of all arrays.

    Raises
    ------
    InputError
        For NaN or infinity, or a read-only array; nothing is changed then.

    Examples
    --------
    >>> import numpy as np
    >>> gradients = {"w": np.array([3.0]), "b": np.array([4.0])}
    >>> clip_by_norm(gradients, 1.0), gradients["b"].round(6).tolist()
    (5.0, [0.8])
    """
    maximum = validate.number(maximum, "maximum", low=0, low_open=True)
    for name, gradient in gradients.items():
        if not checked_gradient(gradient, name).flags.writeable:
            raise InputError(f"gradients[{name!r}] is read-only, an array that can be changed in place was expected")
    norm = float(np.sqrt(sum(np.square(gradient, dtype=np.float64).sum() for gradient in gradients.values())))
    if norm > maximum:
        for gradient in gradients.values():
            gradient *= maximum / norm
    return norm
