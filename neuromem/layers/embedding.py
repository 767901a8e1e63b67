"""A learned vector for every symbol."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.layers.base import Gradients, Layer
from neuromem.layers.checks import class_labels
from neuromem.layers.initialise import truncated_normal
from neuromem.random import RandomState


class Embedding(Layer):
    """Row ``w[symbol]`` for every symbol.

    Parameters
    ----------
    n_symbols, width : int >= 1
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default 0
    init_scale : float, default 1
        Standard deviation of the normal law, cut at twice that, from which first values come.

    Attributes
    ----------
    weights : dict
        ``w`` (n_symbols, width).

    Examples
    --------
    >>> import numpy as np
    >>> layer = Embedding(5, 3)
    >>> layer.forward([[0, 4], [4, 4]]).shape
    (2, 2, 3)
    >>> _, gradients = layer.backward(np.ones((2, 2, 3)))
    >>> gradients["w"][:, 0].tolist()
    [1.0, 0.0, 0.0, 0.0, 3.0]
    """

    def __init__(
        self,
        n_symbols: int,
        width: int,
        dtype: str = "float32",
        random_state: RandomState = 0,
        init_scale: float = 1.0,
    ) -> None:
        self.n_symbols = n_symbols
        self.width = width
        super().__init__(dtype, random_state, init_scale)

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.integer(self.n_symbols, "n_symbols", 1)
        validate.integer(self.width, "width", 1)

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"w": (self.n_symbols, self.width)}

    def _draw_weights(self, generator: np.random.Generator) -> dict[str, np.ndarray]:
        return {"w": truncated_normal(generator, (self.n_symbols, self.width), self.init_scale, self.dtype)}

    def forward(self, x: Any) -> np.ndarray:
        """The vector of every symbol.

        Parameters
        ----------
        x : int array of any shape
            Values from 0 to ``n_symbols - 1``.

        Returns
        -------
        ndarray (..., width)

        Raises
        ------
        InputError, InputTypeError
            For a symbol out of range, or no integers.
        """
        symbols = class_labels(x, self.n_symbols, "x")
        y: np.ndarray = self.weights["w"][symbols]
        self._keep(y, symbols)
        return y

    def backward(self, d_y: Any) -> tuple[None, Gradients]:
        """Gradients of the last ``forward``; symbols have none.

        Parameters
        ----------
        d_y : array (..., width)

        Returns
        -------
        None
        gradients : dict
            Of ``w``; 0 for symbols that did not occur.

        Raises
        ------
        CallOrderError
            Without a ``forward`` before it.
        InputError
            If ``d_y`` has not the shape of the result.
        """
        d_y, symbols = self._kept(d_y)
        d_w = np.zeros((self.n_symbols, self.width), self.dtype)
        if symbols.size:
            # grouped by symbol, the rows of each are summed at once and in their order
            order = np.argsort(symbols, axis=None, kind="stable")
            found, starts = np.unique(symbols.reshape(-1)[order], return_index=True)
            d_w[found] = np.add.reduceat(d_y.reshape(-1, self.width)[order], starts, axis=0)
        return None, {"w": d_w}
