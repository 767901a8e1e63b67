"""Normalisation of the last axis."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.layers.base import Gradients, Layer


class LayerNorm(Layer):
    """Every item brought to mean 0 and variance 1, then scaled and shifted (Ba, Kiros and Hinton, arXiv:1607.06450).

    ``y = scale (x - mean) / sqrt(variance + epsilon) + offset``, mean and variance over the last axis of each item.

    Parameters
    ----------
    width : int >= 1
    epsilon : float > 0, default 1e-5
    dtype : {"float32", "float64"}, default "float32"

    Attributes
    ----------
    weights : dict
        ``scale`` (width,), at first 1, and ``offset`` (width,), at first 0.

    Examples
    --------
    >>> LayerNorm(2).forward([[1.0, 3.0], [-5.0, -9.0]]).round(3).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    def __init__(self, width: int, epsilon: float = 1e-5, dtype: str = "float32") -> None:
        self.width = width
        self.epsilon = epsilon
        super().__init__(dtype)

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.integer(self.width, "width", 1)
        validate.number(self.epsilon, "epsilon", low=0, low_open=True)

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"scale": (self.width,), "offset": (self.width,)}

    def _draw_weights(self, generator: np.random.Generator) -> dict[str, np.ndarray]:
        return {"scale": np.ones(self.width, self.dtype), "offset": np.zeros(self.width, self.dtype)}

    def forward(self, x: Any) -> np.ndarray:
        """Normalise every item.

        Parameters
        ----------
        x : array (..., width)

        Returns
        -------
        ndarray (..., width)

        Raises
        ------
        InputError, InputTypeError
            For another width, or no real numbers.
        """
        x = self._items(x, self.width)
        normal = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.square(normal).mean(axis=-1, keepdims=True) + self.epsilon)
        normal /= deviation
        y: np.ndarray = normal * self.weights["scale"]
        y += self.weights["offset"]
        self._keep(y, normal, deviation)
        return y

    def backward(self, d_y: Any) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``.

        Parameters
        ----------
        d_y : array (..., width)

        Returns
        -------
        d_x : ndarray (..., width)
        gradients : dict
            Of ``scale`` and ``offset``.

        Raises
        ------
        CallOrderError
            Without a ``forward`` before it.
        InputError
            If ``d_y`` has not the shape of the result.
        """
        d_y, normal, deviation = self._kept(d_y)
        rows = d_y.reshape(-1, self.width)
        gradients = {"scale": (rows * normal.reshape(-1, self.width)).sum(axis=0), "offset": rows.sum(axis=0)}
        d_x: np.ndarray = d_y * self.weights["scale"]
        along = (d_x * normal).mean(axis=-1, keepdims=True)
        d_x -= d_x.mean(axis=-1, keepdims=True)
        d_x -= normal * along
        d_x /= deviation
        return d_x, gradients
