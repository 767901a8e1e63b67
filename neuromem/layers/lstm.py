"""A recurrent layer with a cell that keeps."""

import math
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, InputTypeError
from neuromem.layers.base import Gradients, Layer
from neuromem.random import RandomState

State = tuple[np.ndarray, np.ndarray]


class LSTM(Layer):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; with a forget gate, Gers et al., 2000).

    In step t, with s the logistic function and four blocks of columns in the order input, forget, output, candidate::

        z = x_t w_input + h_{t-1} w_hidden + b
        c_t = s(z_forget) c_{t-1} + s(z_input) tanh(z_candidate)
        h_t = s(z_output) tanh(c_t)

    Parameters
    ----------
    n_in, n_hidden : int >= 1
    forget_bias : float, default 1
        First value of the forget gates' biases, so that cells keep at first.
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default 0
    init_scale : float, default 1
        See :class:`neuromem.layers.Dense`.

    Attributes
    ----------
    weights : dict
        ``w_input`` (n_in, 4 n_hidden), ``w_hidden`` (n_hidden, 4 n_hidden) and ``b`` (4 n_hidden,).

    Examples
    --------
    >>> import numpy as np
    >>> layer = LSTM(3, 8)
    >>> h, state = layer.forward(np.ones((2, 5, 3)))
    >>> h.shape, state[0].shape
    ((2, 5, 8), (2, 8))
    >>> h, state = layer.forward(np.ones((2, 1, 3)), state)  # goes on where the first call ended
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        forget_bias: float = 1.0,
        dtype: str = "float32",
        random_state: RandomState = 0,
        init_scale: float = 1.0,
    ) -> None:
        self.n_in = n_in
        self.n_hidden = n_hidden
        self.forget_bias = forget_bias
        super().__init__(dtype, random_state, init_scale)

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.integer(self.n_in, "n_in", 1)
        validate.integer(self.n_hidden, "n_hidden", 1)
        validate.number(self.forget_bias, "forget_bias")

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        n = 4 * self.n_hidden
        return {"w_input": (self.n_in, n), "w_hidden": (self.n_hidden, n), "b": (n,)}

    def _draw_weights(self, generator: np.random.Generator) -> dict[str, np.ndarray]:
        weights = super()._draw_weights(generator)
        weights["b"][self.n_hidden : 2 * self.n_hidden] = self.forget_bias
        return weights

    def forward(self, x: Any, state: Any = None, restart: Any = None) -> tuple[np.ndarray, State]:
        """Run through a stretch of time.

        Parameters
        ----------
        x : array (..., T, n_in)
        state : pair of arrays (..., n_hidden), optional
            h and c before the first step, as an earlier call gave them; default: 0.
        restart : bool array (..., T), optional
            True where h and c are set to 0 before a step, as at the start of an episode.

        Returns
        -------
        h : ndarray (..., T, n_hidden)
        state : pair of ndarray (..., n_hidden)
            h and c after the last step.

        Raises
        ------
        InputError, InputTypeError
            For shapes that do not fit.
        """
        x = self._items(x, self.n_in, min_axes=2)
        leading, n_steps, n = x.shape[:-2], x.shape[-2], self.n_hidden
        h_before, c_before = self._pair(state, leading, "state")
        keeps = self._keeps(restart, leading, n_steps)
        # steps first, so that each is one block of memory
        inputs = np.ascontiguousarray(x.reshape(math.prod(leading), n_steps, self.n_in).swapaxes(0, 1))
        lanes = inputs.shape[1]
        gates = (inputs.reshape(-1, self.n_in) @ self.weights["w_input"]).reshape(n_steps, lanes, 4 * n)
        gates += self.weights["b"]
        h, c = (np.empty((n_steps + 1, lanes, n), self.dtype) for _ in range(2))
        h[0], c[0] = h_before, c_before
        tanh_c = np.empty((n_steps, lanes, n), self.dtype)
        earlier = h[:-1] if keeps is None else np.empty((n_steps, lanes, n), self.dtype)
        cells = c[:-1] if keeps is None else np.empty_like(earlier)
        from_hidden, kept_part = np.empty((lanes, 4 * n), self.dtype), np.empty((lanes, n), self.dtype)
        w_hidden = self.weights["w_hidden"]
        for t in range(n_steps):
            if keeps is not None:
                np.multiply(h[t], keeps[t], out=earlier[t])
                np.multiply(c[t], keeps[t], out=cells[t])
            z = gates[t]
            z += np.matmul(earlier[t], w_hidden, out=from_hidden)
            # the logistic function is (1 + tanh(z / 2)) / 2
            opened = z[:, : 3 * n]
            opened *= 0.5
            np.tanh(z, out=z)
            opened *= 0.5
            opened += 0.5
            np.multiply(z[:, n : 2 * n], cells[t], out=c[t + 1])
            c[t + 1] += np.multiply(z[:, :n], z[:, 3 * n :], out=kept_part)
            np.tanh(c[t + 1], out=tanh_c[t])
            np.multiply(z[:, 2 * n : 3 * n], tanh_c[t], out=h[t + 1])
        y = np.ascontiguousarray(h[1:].swapaxes(0, 1)).reshape(*leading, n_steps, n)
        self._keep(y, x.shape, inputs, gates, earlier, cells, tanh_c, keeps)
        return y, (h[-1].reshape(*leading, n).copy(), c[-1].reshape(*leading, n).copy())

    def _pair(self, state: Any, leading: tuple[int, ...], name: str) -> tuple[Any, Any]:
        """What belongs to h and to c, (lanes, n_hidden) each; 0 for None."""
        if state is None:
            return 0, 0
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise InputTypeError(f"{name} is a {type(state).__name__}, the pair (h, c) was expected")
        parts = [self._items(part, self.n_hidden, name=f"{name}[{i}]") for i, part in enumerate(state)]
        for i, part in enumerate(parts):
            if part.shape != (*leading, self.n_hidden):
                raise InputError(f"{name}[{i}] has shape {part.shape}, {(*leading, self.n_hidden)} was expected")
        return parts[0].reshape(-1, self.n_hidden), parts[1].reshape(-1, self.n_hidden)

    def _keeps(self, restart: Any, leading: tuple[int, ...], n_steps: int) -> np.ndarray | None:
        """1 where the state is kept and 0 where not, (T, lanes, 1)."""
        if restart is None:
            return None
        restart = np.asarray(restart)
        if restart.dtype != np.bool_:
            raise InputTypeError(f"restart is {restart.dtype}, bool was expected")
        if restart.shape != (*leading, n_steps):
            raise InputError(f"restart has shape {restart.shape}, {(*leading, n_steps)} was expected")
        return np.ascontiguousarray(~restart.reshape(math.prod(leading), n_steps).T, self.dtype)[..., None]

    def backward(self, d_h: Any, d_state: Any = None) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``, back through time to its first step; none is passed on to the state given there.

        Parameters
        ----------
        d_h : array (..., T, n_hidden)
        d_state : pair of arrays (..., n_hidden), optional
            Gradients of the state after the last step; default: 0.

        Returns
        -------
        d_x : ndarray (..., T, n_in)
        gradients : dict
            As ``weights``.

        Raises
        ------
        CallOrderError
            Without a ``forward`` before it.
        InputError
            If ``d_h`` has not the shape of the result.
        """
        n = self.n_hidden
        d_next, d_c = self._pair(d_state, np.shape(d_h)[:-2], "d_state")
        d_h, shape, inputs, gates, earlier, cells, tanh_c, keeps = self._kept(d_h, "d_h")
        n_steps, lanes = inputs.shape[:2]
        d_steps = np.array(d_h.reshape(lanes, n_steps, n).swapaxes(0, 1), order="C")  # a copy, which is added to
        d_z = np.empty_like(gates)
        w_back = np.ascontiguousarray(self.weights["w_hidden"].T)
        for t in reversed(range(n_steps)):
            z, d = gates[t], d_z[t]
            d_now = d_steps[t]
            d_now += d_next
            # through the output: dc gains dh o (1 - tanh^2 c)
            d_c = d_c + d_now * z[:, 2 * n : 3 * n] * (1 - tanh_c[t] * tanh_c[t])
            np.multiply(d_c, z[:, 3 * n :], out=d[:, :n])
            np.multiply(d_c, cells[t], out=d[:, n : 2 * n])
            np.multiply(d_now, tanh_c[t], out=d[:, 2 * n : 3 * n])
            d[:, : 3 * n] *= z[:, : 3 * n] * (1 - z[:, : 3 * n])
            np.multiply(d_c, z[:, :n] * (1 - z[:, 3 * n :] * z[:, 3 * n :]), out=d[:, 3 * n :])
            d_next = d @ w_back
            d_c = d_c * z[:, n : 2 * n]
            if keeps is not None:
                d_next *= keeps[t]
                d_c *= keeps[t]
        rows = d_z.reshape(-1, 4 * n)
        gradients = {
            "w_input": inputs.reshape(-1, self.n_in).T @ rows,
            "w_hidden": earlier.reshape(-1, n).T @ rows,
            "b": rows.sum(axis=0),
        }
        d_x = (rows @ self.weights["w_input"].T).reshape(n_steps, lanes, self.n_in).swapaxes(0, 1)
        return np.ascontiguousarray(d_x).reshape(shape), gradients
