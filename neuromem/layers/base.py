"""What every layer is built on: named weights, the order of forward and backward, files."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.backend import Backend, array_module, to_host
from neuromem.base import Estimator
from neuromem.errors import CallOrderError, FormatError, InputError, InputTypeError
from neuromem.layers.checks import as_items, real_array
from neuromem.layers.initialise import variance_scaling
from neuromem.random import RandomState, generator_for, seed_sequence_of, stream_of

Gradients = dict[str, np.ndarray]


class Layer(Estimator):
    """A function with weights, its derivative written by hand.

    ``forward`` keeps what ``backward`` needs: each ``backward`` belongs to the last ``forward`` and can be called once.  The
    arrays given to and returned by ``forward`` must not be changed in between.  A layer never changes its inputs.

    A subclass gives the shapes of its weights in ``_weight_shapes``, and their first values in ``_draw_weights`` where
    scaled normal weights and biases of 0 do not suit.  It calls ``_keep`` in ``forward`` and ``_kept`` in ``backward``.

    Parameters
    ----------
    dtype : {"float32", "float64"}, default "float32"
        Of weights, and of everything computed.
    random_state : None, int, SeedSequence or Generator, default 0
        Where the first weights come from; they are drawn when first needed.
    init_scale : float, default 1
        Scale of the first weights, see :func:`neuromem.layers.variance_scaling`.

    Notes
    -----
    A layer may be used by one thread at a time.  ``load_weights`` keeps the arrays that an optimiser has been given;
    ``set_params`` and ``set_state`` put others in their place, and an optimiser must be made anew.
    """

    dtype: str
    random_state: RandomState
    init_scale: float

    def __init__(self, dtype: str = "float32", random_state: RandomState = 0, init_scale: float = 1.0) -> None:
        self.dtype = dtype
        self.random_state = random_state
        self.init_scale = init_scale
        self._seeds = seed_sequence_of(random_state)
        self._weights: dict[str, np.ndarray] | None = None
        self._for_backward: tuple[tuple[int, ...], tuple[Any, ...]] | None = None
        self._validate_params()

    def _validate_params(self) -> None:
        validate.choice(self.dtype, "dtype", ("float32", "float64"))
        validate.number(self.init_scale, "init_scale", low=0)

    # ---------------------------------------------------------------- for subclasses

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight."""
        raise NotImplementedError

    def _draw_weights(self, generator: np.random.Generator) -> dict[str, np.ndarray]:
        """First values: scaled normal ones over the inputs of each output, 0 for weights of one axis."""
        return {
            name: variance_scaling(generator, shape, math.prod(shape[:-1]), self.init_scale, self.dtype)
            if len(shape) > 1
            else np.zeros(shape, self.dtype)
            for name, shape in self._weight_shapes().items()
        }

    def _keep(self, y: np.ndarray, *values: Any) -> None:
        """Remember the shape of the result ``y``, and what ``backward`` needs of this ``forward``."""
        self._for_backward = (y.shape, values)

    def _kept(self, d_y: Any, name: str = "d_y") -> tuple[Any, ...]:
        """The gradient of the result, checked, and what the last ``forward`` kept, which is gone then.

        A bad ``d_y`` raises before that, so that ``backward`` can be called again.
        """
        owner = type(self).__name__
        if self._for_backward is None:
            raise CallOrderError(f"{owner}.backward was called without a forward before it; each forward allows one backward")
        shape, values = self._for_backward
        d_y = real_array(d_y, name, owner, self._ON_GPU)
        if d_y.shape != shape:
            raise InputError(f"{name} has shape {d_y.shape}, {shape}, that of the result of {owner}.forward, was expected")
        self._for_backward = None
        return (array_module(d_y).ascontiguousarray(d_y, self.dtype), *values)

    def _items(self, x: Any, width: int, *, name: str = "x", min_axes: int = 1) -> np.ndarray:
        """See :func:`neuromem.layers.checks.as_items`."""
        owner = type(self).__name__
        return as_items(x, width, self.dtype, name=name, owner=owner, min_axes=min_axes, on_device=self._ON_GPU)

    # ---------------------------------------------------------------- weights

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Arrays by name; an optimiser changes them in place."""
        if self._weights is None:
            self._weights = self._draw_weights(generator_for(self._seeds, "layers.weights"))
        return self._weights

    @property
    def n_weights(self) -> int:
        """How many numbers can be learned."""
        return sum(math.prod(shape) for shape in self._weight_shapes().values())

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.n_weights * np.dtype(self.dtype).itemsize

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Copy values into the weights, in place.

        Parameters
        ----------
        weights : mapping of str to array
            Every name of ``weights``, and no other.

        Raises
        ------
        InputError
            For a missing or extra name, another shape, NaN or infinity; no weight is changed then.
        InputTypeError
            For anything but real numbers.
        """
        checked = self._checked_weights(weights)
        for name, array in self.weights.items():
            array[...] = array_module(array).asarray(checked[name])

    def _checked_weights(self, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
        shapes, owner = self._weight_shapes(), type(self).__name__
        if not isinstance(weights, Mapping):
            raise InputTypeError(f"weights is a {type(weights).__name__}, a mapping from names to arrays was expected")
        if missing := [name for name in shapes if name not in weights]:
            raise InputError(f"weights lacks {missing}; {owner} has {list(shapes)}")
        if extra := [name for name in weights if name not in shapes]:
            raise InputError(f"weights has {extra}, which {owner} has not; it has {list(shapes)}")
        checked = {}
        for name, shape in shapes.items():
            checked[name] = real_array(weights[name], f"weights[{name!r}]", owner)
            if checked[name].shape != shape:
                raise InputError(f"weights[{name!r}] has shape {checked[name].shape}, {shape} was expected")
            if not np.isfinite(checked[name]).all():
                raise InputError(f"weights[{name!r}] contains NaN or infinity (inf); finite numbers were expected")
        return checked

    # ---------------------------------------------------------------- the function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's result; what ``backward`` needs is kept."""
        raise NotImplementedError

    def backward(self, *args: Any, **kwargs: Any) -> tuple[Any, Gradients]:
        """Gradients of the last ``forward``: of its input, and of the weights by name."""
        raise NotImplementedError

    # ---------------------------------------------------------------- parameters and state

    def _moved(self, backend: Backend) -> Self:
        # one copy of everything together, so that children which two attributes name stay one and the same
        self._check_device(backend)
        return self.copy()

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments; the weights are drawn anew.

        Raises
        ------
        InputError
            For a name that is not an argument, or a bad value; nothing is changed then.
        """
        names = self._parameter_names()
        if unknown := [name for name in params if name not in names]:
            raise InputError(f"invalid parameter {unknown[0]!r} for {type(self).__name__}; valid are {names}")
        self.__dict__ = type(self)(**(self.get_params(deep=False) | params)).__dict__
        return self

    def _is_fitted(self) -> bool:
        return True

    def get_state(self) -> dict[str, Any]:
        """Parameters and copies of the weights; what was kept for ``backward`` is no part of it."""
        return {**super().get_state(), "arrays": {name: to_host(array).copy() for name, array in self.weights.items()}}

    @classmethod
    def _from_state(cls, state: Mapping[str, Any]) -> Self:
        # shapes are checked before anything of the size that the parameters tell is allocated
        hollow = {**state, "arrays": {}} if isinstance(state, Mapping) and "arrays" in state else state
        made = super()._from_state(hollow)
        arrays, shapes = state["arrays"], made._weight_shapes()
        if set(arrays) != set(shapes):
            raise FormatError(f"state has the weights {sorted(arrays)}, {sorted(shapes)} were expected")
        for name, shape in shapes.items():
            if arrays[name].dtype != made.dtype or arrays[name].shape != shape:
                raise FormatError(
                    f"{name} is {arrays[name].dtype} {arrays[name].shape}, {made.dtype} {shape} was expected by the parameters"
                )
        made._put_weights({name: np.array(arrays[name], order="C") for name in shapes})
        return made

    def _put_weights(self, weights: dict[str, np.ndarray]) -> None:
        self._weights = weights


class Composite(Layer):
    """A layer made of others, whose weights it shows as ``child.name``: the very arrays that the children use.

    A subclass builds ``self.children`` at the end of its constructor, each child with one of ``self._child_seeds``.

    Examples
    --------
    >>> from neuromem.layers import MLP
    >>> net = MLP([3, 4, 2])
    >>> list(net.weights)
    ['dense_0.w', 'dense_0.b', 'dense_1.w', 'dense_1.b']
    >>> net.weights["dense_0.w"] is net.children["dense_0"].weights["w"]
    True
    """

    children: dict[str, Layer]

    def _child_seeds(self, n: int) -> Sequence[np.random.SeedSequence]:
        """Seeds for ``n`` children, the same for the same ``random_state``."""
        own = stream_of(self._seeds, "layers.weights")
        return [np.random.SeedSequence(own.entropy, spawn_key=(*own.spawn_key, i)) for i in range(n)]

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        return {f"{child}.{name}": s for child, layer in self.children.items() for name, s in layer._weight_shapes().items()}

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Arrays by ``child.name``; an optimiser changes them in place."""
        return prefixed({child: layer.weights for child, layer in self.children.items()})

    def _put_weights(self, weights: dict[str, np.ndarray]) -> None:
        for child, layer in self.children.items():
            layer._put_weights({name: weights[f"{child}.{name}"] for name in layer._weight_shapes()})


def prefixed(parts: Mapping[str, Mapping[str, np.ndarray]]) -> Gradients:
    """One flat dict of weights or gradients from those of several children.

    Parameters
    ----------
    parts : mapping of str to mapping of str to ndarray
        Child to its own dict.

    Returns
    -------
    dict
        The same arrays by ``child.name``.

    Examples
    --------
    >>> prefixed({"a": {"w": 1}, "b": {"w": 2}})
    {'a.w': 1, 'b.w': 2}
    """
    return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
