"""Attention with several heads: over everything, over the past, or over a short window of the past."""

import math
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, InputTypeError
from neuromem.layers.base import Composite, Gradients, prefixed
from neuromem.layers.dense import Dense
from neuromem.random import RandomState

# With a window, queries are taken in blocks of at least this many, each with its own stretch of keys.
SMALLEST_BLOCK = 32


class MultiHeadAttention(Composite):
    """Softmax attention with several heads (Vaswani et al., NeurIPS 2017, section 3.2).

    For each head, ``y = softmax(q k^T / sqrt(d)) v`` with ``d = features / n_heads``; the heads' results side by side go through
    a last linear map.  Queries, keys and values are linear maps, with biases, of the items and of what is attended to.

    Parameters
    ----------
    dim_query : int >= 1
        Width of the items that ask.
    dim_memory : int >= 1
        Width of the items asked; the same for self-attention.
    features : int >= 1
        Width of the result, a multiple of ``n_heads``; head a has columns ``a d`` to ``(a + 1) d - 1``.
    n_heads : int >= 1, default 1
    window : int >= 1 or None, default None
        Self-attention in which item t sees the items ``t - window + 1`` to t.
    causal : bool, default False
        Self-attention in which item t sees no item behind t; a window is so anyway.
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default 0
    init_scale : float, default 1
        See :class:`neuromem.layers.Dense`.

    Attributes
    ----------
    weights : dict
        ``query.w`` (dim_query, features), ``key.w`` and ``value.w`` (dim_memory, features), ``linear.w`` (features, features),
        and a ``.b`` (features,) for each.

    Notes
    -----
    With a window, time and memory grow with ``T * window``, not with ``T * T``: queries are taken in blocks, and each block is
    compared with the stretch of keys that its queries may see.  A NaN in an item that is not seen may still spread, as 0 times
    NaN.

    Examples
    --------
    >>> import numpy as np
    >>> layer = MultiHeadAttention(6, 6, 8, n_heads=2, window=3)
    >>> x = np.ones((4, 10, 6))
    >>> layer.forward(x).shape
    (4, 10, 8)
    >>> layer.backward(np.ones((4, 10, 8)))[0].shape
    (4, 10, 6)
    """

    def __init__(
        self,
        dim_query: int,
        dim_memory: int,
        features: int,
        n_heads: int = 1,
        window: int | None = None,
        causal: bool = False,
        dtype: str = "float32",
        random_state: RandomState = 0,
        init_scale: float = 1.0,
    ) -> None:
        self.dim_query = dim_query
        self.dim_memory = dim_memory
        self.features = features
        self.n_heads = n_heads
        self.window = window
        self.causal = causal
        super().__init__(dtype, random_state, init_scale)
        inputs = {"query": dim_query, "key": dim_memory, "value": dim_memory, "linear": features}
        self.children = {
            name: Dense(n_in, features, dtype=dtype, random_state=seeds, init_scale=init_scale)
            for (name, n_in), seeds in zip(inputs.items(), self._child_seeds(4), strict=True)
        }

    def _validate_params(self) -> None:
        super()._validate_params()
        for name in ("dim_query", "dim_memory", "features", "n_heads"):
            validate.integer(getattr(self, name), name, 1)
        if self.features % self.n_heads:
            raise InputError(f"features is {self.features}, a multiple of n_heads={self.n_heads} was expected")
        if self.window is not None:
            validate.integer(self.window, "window", 1)
        validate.choice(self.causal, "causal", (True, False))
        if (self.causal or self.window is not None) and self.dim_query != self.dim_memory:
            raise InputError(f"dim_memory is {self.dim_memory}, dim_query={self.dim_query} was expected for self-attention")

    # ---------------------------------------------------------------- forward

    def forward(self, x: Any, memory: Any = None, mask: Any = None) -> np.ndarray:
        """Attend.

        Parameters
        ----------
        x : array (..., T, dim_query)
        memory : array (..., S, dim_memory), optional
            What is attended to, with the same leading axes as ``x``; default: ``x`` itself.
        mask : bool array that broadcasts to (..., T, S), optional
            True where a query may see an item; beside ``causal``, not with a window.  A query that sees nothing has the result
            of an average that is 0.

        Returns
        -------
        ndarray (..., T, features)

        Raises
        ------
        InputError, InputTypeError
            For shapes that do not fit, or a memory where attention is causal.
        """
        x = self._items(x, self.dim_query, min_axes=2)
        itself = memory is None
        if itself and self.dim_query != self.dim_memory:
            raise InputError(f"memory is None, items of width {self.dim_memory} were expected: x has width {self.dim_query}")
        if not itself and (self.causal or self.window is not None):
            raise InputError("memory was given, none was expected: causal and window are for self-attention")
        memory = x if itself else self._items(memory, self.dim_memory, name="memory", min_axes=2)
        if memory.shape[:-2] != x.shape[:-2]:
            raise InputError(f"memory has shape {memory.shape}, the leading axes of x, {x.shape[:-2]}, were expected")
        banded = self.window is not None and self.window < x.shape[-2]
        hidden = None if banded and mask is None else self._hidden(mask, x.shape[:-2], x.shape[-2], memory.shape[-2])
        lanes = math.prod(x.shape[:-2])
        q, k, v = (
            self.children[name].forward(source).reshape(lanes, source.shape[-2], self.features)
            for name, source in (("query", x), ("key", memory), ("value", memory))
        )
        if banded:
            q, k, v = self._blocks(q, k, v)
        else:
            q, k, v = (self._heads(a) for a in (q, k, v))
        scores = np.matmul(q, k.swapaxes(-1, -2))
        scores *= 1 / math.sqrt(self.features // self.n_heads)
        if banded:
            self._hide_outside(scores)
        elif hidden is not None:
            np.copyto(scores, -np.inf, where=hidden)
        p = softmax(scores)
        y = self._joined(np.matmul(p, v), banded)[:, : x.shape[-2]]
        y = self.children["linear"].forward(y.reshape(*x.shape[:-1], self.features))
        self._keep(y, q, k, v, p, itself, banded, x.shape[-2], memory.shape[-2])
        return y

    def _hidden(self, mask: Any, leading: tuple[int, ...], n: int, m: int) -> np.ndarray | None:
        """Where a score counts nothing, as it broadcasts to (lanes, heads, n, m); None: nowhere."""
        if mask is not None and self.window is not None:
            raise InputError("mask was given, none was expected with a window")
        # a window that all items fit into is causal attention
        hidden = ~np.tri(n, dtype=bool) if self.causal or self.window is not None else None
        if mask is None:
            return hidden
        mask = np.asarray(mask)
        if mask.dtype != np.bool_:
            raise InputTypeError(f"mask is {mask.dtype}, bool was expected")
        try:
            seen = np.broadcast_to(mask, (*leading, n, m))
        except ValueError:
            raise InputError(f"mask has shape {mask.shape}, one that broadcasts to {(*leading, n, m)} was expected") from None
        own = ~seen.reshape(math.prod(leading), 1, n, m)
        return own if hidden is None else own | hidden

    def _heads(self, a: np.ndarray) -> np.ndarray:
        """(lanes, n, features) seen as (lanes, heads, n, d)."""
        return a.reshape(*a.shape[:2], self.n_heads, self.features // self.n_heads).swapaxes(1, 2)

    def _joined(self, a: np.ndarray, banded: bool) -> np.ndarray:
        """Heads side by side, blocks one after the other: (lanes, n, features)."""
        n = a.shape[1] * a.shape[3] if banded else a.shape[2]
        return np.ascontiguousarray(a.swapaxes(-2, -3)).reshape(len(a), n, self.features)

    def _blocks(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Queries as (lanes, blocks, heads, block, d), keys and values as (lanes, blocks, heads, block + window - 1, d).

        The stretch of keys of a block begins ``window - 1`` items before it; stretches overlap, and are views of one array.
        """
        lanes, n, _ = q.shape
        before = self._before
        block = max(before, SMALLEST_BLOCK)
        n_blocks = -(-n // block)
        asked = np.zeros((lanes, n_blocks * block, self.features), q.dtype)
        asked[:, :n] = q
        parts = [asked.reshape(lanes, n_blocks, block, self.n_heads, self.features // self.n_heads).swapaxes(2, 3)]
        for a in (k, v):
            padded = np.zeros((lanes, before + n_blocks * block, self.features), a.dtype)
            padded[:, before : before + n] = a
            lane, item, number = padded.strides
            d = self.features // self.n_heads
            shape = (lanes, n_blocks, self.n_heads, before + block, d)
            strides = (lane, block * item, d * number, item, number)
            parts.append(np.lib.stride_tricks.as_strided(padded, shape, strides, writeable=False))
        return parts[0], parts[1], parts[2]

    @property
    def _before(self) -> int:
        """How many items before its own a query sees."""
        assert self.window is not None
        return self.window - 1

    def _hide_outside(self, scores: np.ndarray) -> None:
        """Take out of (lanes, blocks, heads, block, block + window - 1) what lies outside the windows."""
        block, n_keys = scores.shape[-2:]
        offset = np.arange(n_keys) - np.arange(block)[:, None]
        np.copyto(scores, -np.inf, where=(offset < 0) | (offset > self._before))
        scores[:, 0, :, :, : self._before] = -np.inf  # before the first item

    # ---------------------------------------------------------------- backward

    def backward(self, d_y: Any) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``.

        Parameters
        ----------
        d_y : array (..., T, features)

        Returns
        -------
        d_x : ndarray (..., T, dim_query)
        gradients : dict
            As ``weights``; beside them ``d_memory`` (..., S, dim_memory) where a memory was given, which is to be taken out
            before an optimiser is given the rest.

        Raises
        ------
        CallOrderError
            Without a ``forward`` before it.
        InputError
            If ``d_y`` has not the shape of the result.
        """
        d_y, q, k, v, p, itself, banded, n, m = self._kept(d_y)
        found: dict[str, Gradients] = {}
        d_o, found["linear"] = self.children["linear"].backward(d_y)
        leading = d_o.shape[:-2]
        d_o = d_o.reshape(math.prod(leading), n, self.features)
        if banded:
            block, n_blocks = q.shape[-2], q.shape[1]
            whole = np.zeros((len(d_o), n_blocks * block, self.features), d_o.dtype)
            whole[:, :n] = d_o
            d_o = whole.reshape(len(d_o), n_blocks, block, self.n_heads, self.features // self.n_heads).swapaxes(2, 3)
        else:
            d_o = self._heads(d_o)
        d_v = np.matmul(p.swapaxes(-1, -2), d_o)
        d_s = np.matmul(d_o, v.swapaxes(-1, -2))
        d_s *= p
        d_s -= p * d_s.sum(axis=-1, keepdims=True)
        d_s *= 1 / math.sqrt(self.features // self.n_heads)
        d_q, d_k = np.matmul(d_s, k), np.matmul(d_s.swapaxes(-1, -2), q)
        if banded:
            d_k, d_v = self._folded(d_k), self._folded(d_v)
        d_inputs = {}
        for name, d, length in (("query", d_q, n), ("key", d_k, m), ("value", d_v, m)):
            d = self._joined(d, banded)[:, :length].reshape(*leading, length, self.features)
            d_inputs[name], found[name] = self.children[name].backward(d)
        gradients = prefixed({name: found[name] for name in self.children})
        d_memory = d_inputs["key"]
        d_memory += d_inputs["value"]
        if itself:
            d_inputs["query"] += d_memory
        else:
            gradients["d_memory"] = d_memory
        return d_inputs["query"], gradients

    def _folded(self, d: np.ndarray) -> np.ndarray:
        """Gradients of overlapping stretches summed up: those of the blocks' own items."""
        before = self._before
        own = d[..., before:, :].copy()
        if before:
            # a stretch reaches back into the block before its own and no further: a block is at least as long as that
            own[:, :-1, :, own.shape[-2] - before :] += d[:, 1:, :, :before]
        return own


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in place; rows that are -inf throughout become 0."""
    if scores.shape[-1] == 0:
        return scores
    largest = scores.max(axis=-1, keepdims=True)
    largest[largest == -np.inf] = 0
    scores -= largest
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    scores /= total
    return scores
