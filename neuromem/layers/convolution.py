"""A convolution over time that sees no future."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.layers.base import Gradients, Layer
from neuromem.random import RandomState

# Windows are laid side by side for one matrix product, in stretches of about this many numbers.
NUMBERS_AT_ONCE = 1 << 22


class CausalConvolution(Layer):
    """``y_t = b + sum_j x_{t - window + 1 + j} w_j`` over time, with zeros before the first item.

    Parameters
    ----------
    n_in, n_out : int >= 1
    window : int >= 1
        Item t sees the items ``t - window + 1`` to t.
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default 0
    init_scale : float, default 1
        See :class:`neuromem.layers.Dense`.

    Attributes
    ----------
    weights : dict
        ``w`` (window, n_in, n_out), the last of them for the item itself, and ``b`` (n_out,).

    Examples
    --------
    >>> import numpy as np
    >>> layer = CausalConvolution(1, 1, 3)
    >>> layer.load_weights({"w": np.ones((3, 1, 1)), "b": [0.0]})
    >>> layer.forward([[1.0], [2.0], [3.0], [4.0]])[:, 0].tolist()
    [1.0, 3.0, 6.0, 9.0]
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        window: int,
        dtype: str = "float32",
        random_state: RandomState = 0,
        init_scale: float = 1.0,
    ) -> None:
        self.n_in = n_in
        self.n_out = n_out
        self.window = window
        super().__init__(dtype, random_state, init_scale)

    def _validate_params(self) -> None:
        super()._validate_params()
        for name in ("n_in", "n_out", "window"):
            validate.integer(getattr(self, name), name, 1)

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"w": (self.window, self.n_in, self.n_out), "b": (self.n_out,)}

    def _stretches(self, padded: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Stretches of time, and their windows side by side, (lanes * length, window * n_in)."""
        lanes, width = len(padded), self.window * self.n_in
        n_steps = padded.shape[1] - self.window + 1
        length = max(1, NUMBERS_AT_ONCE // max(1, lanes * width))
        lane, item, number = padded.strides
        # a window is a run of neighbouring numbers
        windows = np.lib.stride_tricks.as_strided(padded, (lanes, n_steps, width), (lane, item, number), writeable=False)
        for start in range(0, n_steps, length):
            stretch = slice(start, min(start + length, n_steps))
            yield stretch, np.ascontiguousarray(windows[:, stretch]).reshape(-1, width)

    def forward(self, x: Any) -> np.ndarray:
        """The convolution of every sequence.

        Parameters
        ----------
        x : array (..., T, n_in)

        Returns
        -------
        ndarray (..., T, n_out)

        Raises
        ------
        InputError, InputTypeError
            For another width, or no real numbers.
        """
        x = self._items(x, self.n_in, min_axes=2)
        steps = x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])
        padded = np.zeros((len(steps), steps.shape[1] + self.window - 1, self.n_in), self.dtype)
        padded[:, self.window - 1 :] = steps
        y = np.empty((*steps.shape[:2], self.n_out), self.dtype)
        w = self.weights["w"].reshape(-1, self.n_out)
        for stretch, windows in self._stretches(padded):
            y[:, stretch] = (windows @ w).reshape(y[:, stretch].shape)
        y += self.weights["b"]
        y = y.reshape(*x.shape[:-1], self.n_out)
        self._keep(y, padded)
        return y

    def backward(self, d_y: Any) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``.

        Parameters
        ----------
        d_y : array (..., T, n_out)

        Returns
        -------
        d_x : ndarray (..., T, n_in)
        gradients : dict
            Of ``w`` and ``b``.

        Raises
        ------
        CallOrderError
            Without a ``forward`` before it.
        InputError
            If ``d_y`` has not the shape of the result.
        """
        d_y, padded = self._kept(d_y)
        d_steps = d_y.reshape(len(padded), padded.shape[1] - self.window + 1, self.n_out)
        w = self.weights["w"].reshape(-1, self.n_out)
        d_w, d_padded = np.zeros_like(w), np.zeros_like(padded)
        for stretch, windows in self._stretches(padded):
            rows = np.ascontiguousarray(d_steps[:, stretch]).reshape(-1, self.n_out)
            d_w += windows.T @ rows
            d_windows = (rows @ w.T).reshape(*d_steps[:, stretch].shape[:2], self.window, self.n_in)
            for j in range(self.window):
                d_padded[:, stretch.start + j : stretch.stop + j] += d_windows[:, :, j]
        d_x = np.ascontiguousarray(d_padded[:, self.window - 1 :]).reshape(*d_y.shape[:-1], self.n_in)
        return d_x, {"w": d_w.reshape(self.window, self.n_in, self.n_out), "b": d_y.reshape(-1, self.n_out).sum(axis=0)}
