"""A linear map of the last axis."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.layers.base import Gradients, Layer
from neuromem.random import RandomState


class Dense(Layer):
    """``y = x w + b`` over the last axis.

    Parameters
    ----------
    n_in, n_out : int >= 1
    bias : bool, default True
        Whether there is a ``b``.
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default 0
    init_scale : float, default 1
        Variance of an output at first, for inputs of variance 1; 2 where a rectified unit follows.

    Attributes
    ----------
    weights : dict
        ``w`` (n_in, n_out) and ``b`` (n_out,).

    Examples
    --------
    >>> import numpy as np
    >>> layer = Dense(2, 3)
    >>> layer.forward(np.ones((5, 4, 2))).shape
    (5, 4, 3)
    >>> d_x, gradients = layer.backward(np.ones((5, 4, 3)))
    >>> d_x.shape, gradients["b"].tolist()
    ((5, 4, 2), [20.0, 20.0, 20.0])
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        bias: bool = True,
        dtype: str = "float32",
        random_state: RandomState = 0,
        init_scale: float = 1.0,
    ) -> None:
        self.n_in = n_in
        self.n_out = n_out
        self.bias = bias
        super().__init__(dtype, random_state, init_scale)

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.integer(self.n_in, "n_in", 1)
        validate.integer(self.n_out, "n_out", 1)
        validate.choice(self.bias, "bias", (True, False))

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"w": (self.n_in, self.n_out)} | ({"b": (self.n_out,)} if self.bias else {})

    def forward(self, x: Any) -> np.ndarray:
        """The map of every item.

        Parameters
        ----------
        x : array (..., n_in)

        Returns
        -------
        ndarray (..., n_out)

        Raises
        ------
        InputError, InputTypeError
            For another width, or no real numbers.
        """
        x = self._items(x, self.n_in)
        y: np.ndarray = x.reshape(-1, self.n_in) @ self.weights["w"]
        if self.bias:
            y += self.weights["b"]
        y = y.reshape(*x.shape[:-1], self.n_out)
        self._keep(y, x)
        return y

    def backward(self, d_y: Any) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``.

        Parameters
        ----------
        d_y : array (..., n_out)

        Returns
        -------
        d_x : ndarray (..., n_in)
        gradients : dict
            Of ``w`` and ``b``, summed over all items.

        Raises
        ------
        CallOrderError
            Without a ``forward`` before it.
        InputError
            If ``d_y`` has not the shape of the result.
        """
        d_y, x = self._kept(d_y)
        d_y = d_y.reshape(-1, self.n_out)
        gradients = {"w": x.reshape(-1, self.n_in).T @ d_y} | ({"b": d_y.sum(axis=0)} if self.bias else {})
        return (d_y @ self.weights["w"].T).reshape(x.shape), gradients
