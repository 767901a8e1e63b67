"""Dense layers with a function between them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.layers.base import Composite, Gradients, prefixed
from neuromem.layers.dense import Dense
from neuromem.random import RandomState

# First weights keep the variance where a rectified unit, which loses half of it, follows.
SCALES = {"relu": 2.0, "tanh": 1.0}


class MLP(Composite):
    """Dense layers with a pointwise function between them, none after the last.

    Parameters
    ----------
    widths : sequence of int
        Of the input, of every hidden layer, of the output; at least two.
    activation : {"relu", "tanh"}, default "relu"
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default 0

    Attributes
    ----------
    weights : dict
        ``dense_0.w``, ``dense_0.b``, ``dense_1.w`` ...

    Examples
    --------
    >>> import numpy as np
    >>> net = MLP([3, 16, 2])
    >>> net.forward(np.ones((5, 3))).shape, net.n_weights
    ((5, 2), 98)
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str = "relu",
        dtype: str = "float32",
        random_state: RandomState = 0,
    ) -> None:
        self.widths = widths
        self.activation = activation
        super().__init__(dtype, random_state)
        n = len(widths) - 1
        seeds = self._child_seeds(n)
        self.children = {
            f"dense_{i}": Dense(
                widths[i], widths[i + 1], dtype=dtype, random_state=seeds[i], init_scale=SCALES[activation] if i < n - 1 else 1.0
            )
            for i in range(n)
        }

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.choice(self.activation, "activation", SCALES)
        if not isinstance(self.widths, (list, tuple)) or len(self.widths) < 2:
            raise InputError(f"widths is {self.widths!r}, a list of at least two integers was expected")
        for i, width in enumerate(self.widths):
            validate.integer(width, f"widths[{i}]", 1)

    def forward(self, x: Any) -> np.ndarray:
        """The result for every item.

        Parameters
        ----------
        x : array (..., widths[0])

        Returns
        -------
        ndarray (..., widths[-1])

        Raises
        ------
        InputError, InputTypeError
            For another width, or no real numbers.
        """
        y = self._items(x, self.widths[0])
        hidden = []
        for name, layer in self.children.items():
            if name != "dense_0":
                y = np.maximum(y, 0, out=y) if self.activation == "relu" else np.tanh(y, out=y)
                hidden.append(y)
            y = layer.forward(y)
        self._keep(y, hidden)
        return y

    def backward(self, d_y: Any) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``; where a rectified unit's input is 0 its slope counts as 0.

        Parameters
        ----------
        d_y : array (..., widths[-1])

        Returns
        -------
        d_x : ndarray (..., widths[0])
        gradients : dict
            As ``weights``.

        Raises
        ------
        CallOrderError
            Without a ``forward`` before it.
        InputError
            If ``d_y`` has not the shape of the result.
        """
        d, hidden = self._kept(d_y)
        found: dict[str, Gradients] = {}
        for name, layer in reversed(self.children.items()):
            d, found[name] = layer.backward(d)
            if name != "dense_0":
                y = hidden.pop()
                d *= (y > 0) if self.activation == "relu" else 1 - y * y
        return d, prefixed({name: found[name] for name in self.children})
