"""Attention over chunks inside a network: the residual block, and the layer of an agent that is built around it."""

from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.hcam.attended import info_of
from neuromem.hcam.attention import HCAMAttention
from neuromem.hcam.sequence import causal_chunk_mask, sequence_chunks, steps_of
from neuromem.layers.attention import MultiHeadAttention
from neuromem.layers.base import Composite, Gradients, prefixed
from neuromem.layers.mlp import MLP
from neuromem.layers.norm import LayerNorm
from neuromem.random import RandomState

OF_MEMORY = ("d_summaries", "d_contents")  # gradients that belong to no weight

# What the agents of the paper and of a later project set; widths are left to the user.
PRESETS: dict[str, dict[str, Any]] = {
    "reference": {"top_k": 8, "window": 32, "position_code": True, "detach_memory": True},
    "sat": {
        "n_heads": 2,
        "top_k": 4,
        "chunk_size": 32,
        "window": None,
        "position_code": False,
        "detach_memory": False,
        "hidden": 128,
    },
}


class HCAMBlock(Composite):
    """``y = x + HCAM(LayerNorm(x), memory)``: attention over chunks with a norm before it and a residual around it.

    Parameters
    ----------
    width : int >= 1
        Width of an item, E = F; a multiple of ``n_heads``.
    dim_memory : int >= 1 or None, default None
        Width of what is stored; None: ``width``.
    n_heads, top_k, position_code, detach_memory, weight_norm, compat
        As for :class:`HCAMAttention`.
    epsilon : float > 0, default 1e-5
        Of the norm.
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default 0

    Attributes
    ----------
    weights : dict
        ``norm.scale``, ``norm.offset``, and ``attention.`` + the names of :class:`HCAMAttention`.

    References
    ----------
    Lampinen et al., NeurIPS 2021, figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> block = HCAMBlock(4, n_heads=2, top_k=2)
    >>> contents = np.ones((1, 3, 5, 4), np.float32)
    >>> block.forward(np.ones((1, 2, 4)), (contents.mean(axis=2), contents)).shape
    (1, 2, 4)
    """

    def __init__(
        self,
        width: int,
        dim_memory: int | None = None,
        n_heads: int = 1,
        top_k: int = 8,
        position_code: bool = True,
        detach_memory: bool = True,
        weight_norm: str = "topk",
        compat: str = "strict",
        epsilon: float = 1e-5,
        dtype: str = "float32",
        random_state: RandomState = 0,
    ) -> None:
        self.width = width
        self.dim_memory = dim_memory
        self.n_heads = n_heads
        self.top_k = top_k
        self.position_code = position_code
        self.detach_memory = detach_memory
        self.weight_norm = weight_norm
        self.compat = compat
        self.epsilon = epsilon
        super().__init__(dtype, random_state)
        attention = HCAMAttention(
            width,
            width if dim_memory is None else dim_memory,
            width,
            n_heads,
            top_k,
            position_code=position_code,
            detach_memory=detach_memory,
            weight_norm=weight_norm,
            compat=compat,
            dtype=dtype,
            random_state=self._child_seeds(1)[0],
        )
        self.norm, self.attention = LayerNorm(width, epsilon, dtype), attention
        self.children = {"norm": self.norm, "attention": attention}

    def forward(self, x: Any, memory: Any, mask: Any = None, lengths: Any = None, return_info: bool = False) -> Any:
        """Add to each item what attention finds for it.

        Parameters
        ----------
        x : array (B, Q, width)
        memory, mask, lengths, return_info
            As for :meth:`HCAMAttention.forward`.

        Returns
        -------
        y : ndarray (B, Q, width)
        info : AttentionInfo
            Only with ``return_info``.

        Raises
        ------
        InputError, InputTypeError
            As :meth:`HCAMAttention.forward`.
        """
        x = self._items(x, self.width, min_axes=3)
        found, attended = self.attention._attend(self.norm.forward(x), memory, mask, lengths)
        self.attention._keep(found, attended)
        y = x + found
        self._keep(y)
        return (y, info_of(attended)) if return_info else y

    def backward(self, d_y: Any, summary_is_mean: bool = False) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``.

        Parameters
        ----------
        d_y : array (B, Q, width)
        summary_is_mean : bool, default False
            As for :meth:`HCAMAttention.backward`.

        Returns
        -------
        d_x : ndarray (B, Q, width)
        gradients : dict
            As ``weights``; with ``detach_memory=False`` also ``d_contents`` and perhaps ``d_summaries``.

        Raises
        ------
        CallOrderError, InputError
            As :meth:`HCAMAttention.backward`.
        """
        (d_y,) = self._kept(d_y)
        d_found, gradients = self.attention.backward(d_y, summary_is_mean)
        of_memory = {name: gradients.pop(name) for name in OF_MEMORY if name in gradients}
        d_x, of_norm = self.norm.backward(d_found)
        return d_x + d_y, {**prefixed({"norm": of_norm, "attention": gradients}), **of_memory}


class HCAMEncoderLayer(Composite):
    """Local attention, attention over chunks, and a network of two linear maps, each with a norm before and a residual around it.

    ``h = x + local(norm(x))``,  ``g = HCAMBlock(h, chunks of x)``,  ``y = g + MLP(norm(g))``: one layer of an agent.  What is
    stored is the layer's own input.

    Parameters
    ----------
    width : int >= 1
        Width of an item, a multiple of ``n_heads``; even with ``position_code``.
    n_heads : int >= 1, default 4
        Of both attentions.
    top_k : int >= 1, default 8
    chunk_size : int >= 1, default 32
        Steps of a chunk, where the layer cuts its own input into chunks.
    window : int >= 1 or None, default 32
        Steps that local attention sees, the item's own the last of them; None: all steps, later ones too.
    hidden : int >= 1 or None, default None
        Rectified units between the two linear maps; None: ``4 * width``.
    position_code, detach_memory, weight_norm, compat
        As for :class:`HCAMAttention`.
    epsilon : float > 0, default 1e-5
        Of the norms.
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default 0

    Attributes
    ----------
    weights : dict
        Those of ``local_norm``, ``local``, ``memory`` (the :class:`HCAMBlock`), ``mlp_norm`` and ``mlp``.

    Notes
    -----
    The published code has the attention module only.  That each layer of the agent has local attention, an HCAM block and an MLP
    is from the paper's text; where the norms stand is not, and follows common use.

    References
    ----------
    Lampinen et al., NeurIPS 2021, section 2 and figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> layer = HCAMEncoderLayer(8, n_heads=2, chunk_size=4, window=4)
    >>> y = layer.forward(np.ones((3, 10, 8)))
    >>> y.shape, layer.backward(np.ones_like(y))[0].shape
    ((3, 10, 8), (3, 10, 8))
    """

    def __init__(
        self,
        width: int,
        n_heads: int = 4,
        top_k: int = 8,
        chunk_size: int = 32,
        window: int | None = 32,
        hidden: int | None = None,
        position_code: bool = True,
        detach_memory: bool = True,
        weight_norm: str = "topk",
        compat: str = "strict",
        epsilon: float = 1e-5,
        dtype: str = "float32",
        random_state: RandomState = 0,
    ) -> None:
        self.width = width
        self.n_heads = n_heads
        self.top_k = top_k
        self.chunk_size = chunk_size
        self.window = window
        self.hidden = hidden
        self.position_code = position_code
        self.detach_memory = detach_memory
        self.weight_norm = weight_norm
        self.compat = compat
        self.epsilon = epsilon
        super().__init__(dtype, random_state)
        seeds = self._child_seeds(3)
        self.local_norm, self.mlp_norm = LayerNorm(width, epsilon, dtype), LayerNorm(width, epsilon, dtype)
        self.local = MultiHeadAttention(width, width, width, n_heads, window, dtype=dtype, random_state=seeds[0])
        self.memory = HCAMBlock(
            width,
            None,
            n_heads,
            top_k,
            position_code=position_code,
            detach_memory=detach_memory,
            weight_norm=weight_norm,
            compat=compat,
            epsilon=epsilon,
            dtype=dtype,
            random_state=seeds[1],
        )
        self.mlp = MLP([width, 4 * width if hidden is None else hidden, width], dtype=dtype, random_state=seeds[2])
        self.children = {
            "local_norm": self.local_norm,
            "local": self.local,
            "memory": self.memory,
            "mlp_norm": self.mlp_norm,
            "mlp": self.mlp,
        }

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.integer(self.chunk_size, "chunk_size", 1)
        if self.hidden is not None:
            validate.integer(self.hidden, "hidden", 1)

    @classmethod
    def preset(cls, name: str, width: int = 128, **params: Any) -> Self:
        """A layer as a known agent has it.

        Parameters
        ----------
        name : {"reference", "sat"}
            "reference": as the paper tells it, with a position code, memories that are constants and a causal window.  "sat": as
            a later project's settings have it, without either and with attention to the whole of the items given; its agent has
            4 such layers of width 128 and is trained by Adam at a rate of 0.0002.
        width : int >= 1, default 128
        **params
            Other arguments of the class, in place of the preset's.

        Raises
        ------
        InputError
            For another name.

        Examples
        --------
        >>> HCAMEncoderLayer.preset("sat").n_heads
        2
        """
        return cls(width, **(PRESETS[validate.choice(name, "name", PRESETS)] | params))

    def forward(self, x: Any, memory: Any = None, mask: Any = None) -> np.ndarray:
        """Pass items through the layer.

        Parameters
        ----------
        x : array (B, T, width)
            T steps of B sequences, in order.
        memory : ChunkMemory, ChunkView or (summaries, contents), optional
            What earlier steps stored; default: the chunks of ``x`` itself, each seen from its last step on.
        mask : bool (B, T, M), optional
            As for :meth:`HCAMAttention.forward`; only with ``memory``.

        Returns
        -------
        ndarray (B, T, width)

        Raises
        ------
        InputError, InputTypeError
            For arrays that do not fit.
        """
        x = self._items(x, self.width, min_axes=3)
        if x.ndim != 3:
            raise InputError(f"x has shape {x.shape}, (sequences, steps, {self.width}) was expected by {type(self).__name__}")
        own, lengths = memory is None, None
        if own:
            if mask is not None:
                raise InputError("mask was given without a memory, none was expected: a step sees the chunks closed before it")
            *memory, lengths = sequence_chunks(x, self.chunk_size)
            mask = causal_chunk_mask(max(x.shape[1], 1), self.chunk_size, max(len(x), 1))[
                : len(x), : x.shape[1], : lengths.shape[1]
            ]
        h = x + self.local.forward(self.local_norm.forward(x))
        g = self.memory.forward(h, memory, mask, lengths)
        y: np.ndarray = g + self.mlp.forward(self.mlp_norm.forward(g))
        self._keep(y, own)
        return y

    def backward(self, d_y: Any) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``.

        Parameters
        ----------
        d_y : array (B, T, width)

        Returns
        -------
        d_x : ndarray (B, T, width)
            With ``detach_memory=False`` and the layer's own chunks, also through what was stored.
        gradients : dict
            As ``weights``; with ``detach_memory=False`` and a given memory also ``d_contents`` and ``d_summaries``.

        Raises
        ------
        CallOrderError, InputError
            As :meth:`HCAMAttention.backward`.
        """
        d_y, own = self._kept(d_y)
        found: dict[str, Gradients] = {}
        d, found["mlp"] = self.mlp.backward(d_y)
        d, found["mlp_norm"] = self.mlp_norm.backward(d)
        d, found["memory"] = self.memory.backward(d + d_y, summary_is_mean=own)
        of_memory = {name: found["memory"].pop(name) for name in OF_MEMORY if name in found["memory"]}
        d_h, found["local"] = self.local.backward(d)
        d_h, found["local_norm"] = self.local_norm.backward(d_h)
        d_x = d_h + d
        if own and of_memory:
            d_x += steps_of(of_memory.pop("d_contents"), d_x.shape[1])
        return d_x, {**prefixed({name: found[name] for name in self.children}), **of_memory}
