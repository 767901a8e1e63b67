"""Attention over chunks: the best by their summaries, then every step inside them; with its gradients."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY, Backend, as_array, backend_of, is_device_array, to_host
from neuromem.errors import BackendError, InputError, InputTypeError
from neuromem.hcam.attended import (
    ATTEND_NS,
    INNER,
    SCORE_NS,
    Attended,
    heads_of,
    info_of,
    read_only,
    refuse_changed,
    stamp_of,
    times_heads,
)
from neuromem.hcam.attention_gradients import attention_gradients
from neuromem.hcam.chunk_view import ChunkView
from neuromem.hcam.position_code import position_code
from neuromem.layers.base import Gradients, Layer
from neuromem.layers.checks import real_array
from neuromem.parallel import kernel_threads
from neuromem.random import RandomState

MASKED_SCORE = -1e6  # what the reference gives chunks that a query may not see


class HCAMAttention(Layer):
    """Hierarchical chunk attention: k chunks are chosen by their summaries, and attended to step by step.

    Parameters
    ----------
    dim_query : int >= 1
        Width of a query, E.
    dim_memory : int >= 1
        Width of what is stored, D; even with ``position_code``.
    features : int >= 1
        Width of the result, F, a multiple of ``n_heads``.
    n_heads : int >= 1, default 1
        Heads of the attention inside a chunk, H.
    top_k : int >= 1, default 8
        Chunks kept for each query, k; all where there are fewer.
    position_code : bool, default True
        Whether a step's place in its chunk is added to it, see ``neuromem.hcam.position_code``.
    detach_memory : bool, default True
        Whether what is stored is a constant, as in the paper.  Otherwise ``backward`` gives its gradients too.
    weight_norm : {"topk", "all"}, default "topk"
        Over which chunks the weights are a softmax: those kept (the reference code), or all that may be seen, so that those
        kept sum to less than 1.
    compat : {"strict", "reference"}, default "strict"
        What happens where a query may see fewer than k chunks.  Strict: the others are left out and never read, and a query
        that sees none gives 0.  Reference: they get a score of -1e6, so that a query that sees none averages over chunks that
        it may not see, as the published code does.
    init_scale : float >= 0, default 2
        Variance of an output at first, for inputs of variance 1.
    dtype : {"float32", "float64"}, default "float32"
        Of weights, results and the memory.
    random_state : None, int, SeedSequence or Generator, default 0
    summary_bias : bool, default False
        Whether the projections of the query and of the summaries have biases (not in the reference).
    attention_bias : bool, default True
        Whether the projections inside a chunk have biases (they have in the reference).

    Attributes
    ----------
    weights : dict
        ``query.w`` (E, F), ``key.w`` (D, F), and ``within_mem_attn.`` + ``query.w`` (E, F), ``key.w`` (D, F), ``value.w`` (D, F),
        ``linear.w`` (F, F) with their biases ``.b`` (F,).

    Notes
    -----
    For a query x and chunks with summaries S_m and steps Z_mj, with code P_j:

    1. l_m = (x Wq) . (S_m Wk) / sqrt(F);  the k largest are kept, an earlier chunk first among equals;  w = softmax over them.
    2. In chunk i and head a: u_ij = (x Aq + bq)_a . ((Z_ij + P_j) Ak + bk)_a / sqrt(F / H);  p = softmax over the chunk's steps.
    3. y = sum_i w_i (concat_a sum_j p_ij ((Z_ij + P_j) Av + bv)_a) Ao + bo.

    Nothing stored is ever projected: Wk and Ak are multiplied into the query instead, Av and Ao into the weighted sum of steps.
    What a query costs does not depend on F but for its own projections, and new weights leave a memory as it is.  The bias bk
    cancels in the softmax; it is kept with the weights, but has no effect and the gradient 0.

    The last steps of a chunk that is not full do not count, and its steps keep the code of their places.  A chunk whose score
    is not a number is never kept; a query with such a number gives NaN.

    References
    ----------
    Lampinen, Chan, Banino, Hill, "Towards mental time travel: a hierarchical memory for reinforcement learning agents",
    NeurIPS 2021, arXiv:2105.14039, section 2; and the authors' reference code.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> contents = rng.standard_normal((1, 10, 4, 6)).astype(np.float32)
    >>> attention = HCAMAttention(5, 6, 8, n_heads=2, top_k=3)
    >>> queries = rng.standard_normal((1, 2, 5)).astype(np.float32)
    >>> y, info = attention.forward(queries, (contents.mean(axis=2), contents), return_info=True)
    >>> y.shape, info.topk_idx.shape, info.step_weight.shape
    ((1, 2, 8), (1, 2, 3), (1, 2, 3, 2, 4))
    >>> d_queries, gradients = attention.backward(np.ones_like(y))
    >>> d_queries.shape, gradients["query.w"].shape
    ((1, 2, 5), (5, 8))
    """

    _ON_GPU: ClassVar[bool] = True

    def __init__(
        self,
        dim_query: int,
        dim_memory: int,
        features: int,
        n_heads: int = 1,
        top_k: int = 8,
        position_code: bool = True,
        detach_memory: bool = True,
        weight_norm: str = "topk",
        compat: str = "strict",
        init_scale: float = 2.0,
        dtype: str = "float32",
        random_state: RandomState = 0,
        summary_bias: bool = False,
        attention_bias: bool = True,
    ) -> None:
        self.dim_query = dim_query
        self.dim_memory = dim_memory
        self.features = features
        self.n_heads = n_heads
        self.top_k = top_k
        self.position_code = position_code
        self.detach_memory = detach_memory
        self.weight_norm = weight_norm
        self.compat = compat
        self.summary_bias = summary_bias
        self.attention_bias = attention_bias
        self._code: tuple[Any, np.ndarray] | None = None
        super().__init__(dtype, random_state, init_scale)

    def _validate_params(self) -> None:
        super()._validate_params()
        for name in ("dim_query", "dim_memory", "features", "n_heads", "top_k"):
            validate.integer(getattr(self, name), name, 1)
        for name in ("position_code", "detach_memory", "summary_bias", "attention_bias"):
            validate.choice(getattr(self, name), name, (True, False))
        validate.choice(self.weight_norm, "weight_norm", ("topk", "all"))
        validate.choice(self.compat, "compat", ("strict", "reference"))
        if self.features % self.n_heads:
            raise InputError(f"features is {self.features}, a multiple of n_heads ({self.n_heads}) was expected")
        if self.position_code and self.dim_memory % 2:
            raise InputError(
                f"dim_memory is {self.dim_memory}, an even number was expected with a position code (D of the paper); "
                "use position_code=False"
            )

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        outer, inner = (self.dim_query, self.features), (self.dim_memory, self.features)
        shapes: dict[str, tuple[int, ...]] = {}
        for name, shape, bias in (
            ("query", outer, self.summary_bias),
            ("key", inner, self.summary_bias),
            (INNER + "query", outer, self.attention_bias),
            (INNER + "key", inner, self.attention_bias),
            (INNER + "value", inner, self.attention_bias),
            (INNER + "linear", (self.features, self.features), self.attention_bias),
        ):
            shapes[f"{name}.w"] = shape
            if bias:
                shapes[f"{name}.b"] = (self.features,)
        return shapes

    @property
    def _masked_score(self) -> float:
        return -math.inf if self.compat == "strict" else MASKED_SCORE

    def _moved(self, backend: Backend) -> Self:
        self._check_device(backend)
        made = object.__new__(type(self))
        made.__dict__ = {**self.__dict__, "_for_backward": None, "_code": None}
        made._put_weights({name: backend.placed(array) for name, array in self.weights.items()})
        return made

    # ---------------------------------------------------------------- the reference's weights

    @classmethod
    def from_reference(cls, weights: Mapping[str, Any], n_heads: int = 1, top_k: int = 8, **params: Any) -> Self:
        """A layer with the weights of the authors' code.

        Parameters
        ----------
        weights : mapping
            From ``query.w``, ``within_mem_attn.query.w`` ... to arrays, or nested as Haiku keeps them: from module paths such as
            ``scope/query`` and ``scope/within_mem_attn/query`` to ``{"w": ..., "b": ...}``.
        n_heads, top_k : int
            Not told by the weights.
        **params
            Other arguments of the class; ``dtype`` is by default that of ``query.w``.

        Raises
        ------
        InputError, InputTypeError
            For a missing or extra weight, or one of another shape.
        """
        flat: dict[str, Any] = {}
        for path, value in weights.items():
            if isinstance(value, Mapping):
                *scopes, name = path.split("/")
                prefix = INNER if INNER[:-1] in scopes else ""
                flat |= {f"{prefix}{name}.{part}": array for part, array in value.items()}
            else:
                flat[path] = value
        shapes = {}
        for name in ("query.w", "key.w"):
            if name not in flat:
                raise InputError(f"weights lacks {name!r}; it has {list(flat)}")
            shapes[name] = real_array(flat[name], f"weights[{name!r}]", cls.__name__)
            if shapes[name].ndim != 2:
                raise InputError(f"weights[{name!r}] has shape {shapes[name].shape}, two axes were expected")
        biases = {"summary_bias": "query.b" in flat, "attention_bias": f"{INNER}query.b" in flat}
        dtype = str(shapes["query.w"].dtype)
        made = cls(
            shapes["query.w"].shape[0],
            shapes["key.w"].shape[0],
            shapes["query.w"].shape[1],
            n_heads,
            top_k,
            **({"dtype": dtype if dtype in ("float32", "float64") else "float32"} | biases | params),
        )
        made.load_weights(flat)
        return made

    def to_reference(self) -> dict[str, np.ndarray]:
        """Copies of the weights by the names of the authors' code, as :meth:`from_reference` takes them."""
        return {name: to_host(array).copy() for name, array in self.weights.items()}

    # ---------------------------------------------------------------- forward and backward

    def forward(self, q: Any, memory: Any, mask: Any = None, lengths: Any = None, return_info: bool = False) -> Any:
        """Attend to a memory; what ``backward`` needs is kept.

        Parameters
        ----------
        q : array (B, Q, E)
            Q queries for each of the memory's B lanes.
        memory : ChunkMemory, ChunkView, or (summaries (B, M, D), contents (B, M, C, D))
            Arrays of the layer's dtype.  Summaries (B, M, S, D), several to a chunk, let it be as good as the best of them: an
            addition of this library (see :func:`stretch_means`) for chunks whose mean hides what is looked for.
        mask : bool (B, Q, M), optional
            Chunks that a query may see; those that the memory itself hides stay hidden.
        lengths : int (B, M), optional
            Filled steps of the chunks given as arrays, 0 for an empty one; default: all are full.
        return_info : bool, default False

        Returns
        -------
        y : ndarray (B, Q, F)
            0 for a query that sees no chunk.
        info : AttentionInfo
            Only with ``return_info``.

        Raises
        ------
        InputError
            For arrays that do not fit together or the layer.
        InputTypeError
            For another dtype of the memory, or a mask that is not bool.
        BackendError
            Where queries, memory and weights live on different devices.
        """
        y, attended = self._attend(q, memory, mask, lengths)
        self._keep(y, attended)
        return (y, info_of(attended)) if return_info else y

    def backward(self, d_y: Any, summary_is_mean: bool = False) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``.

        Parameters
        ----------
        d_y : array (B, Q, F)
        summary_is_mean : bool, default False
            Whether summaries are the means of their chunks' filled steps, so that their gradients belong to the contents.

        Returns
        -------
        d_q : ndarray (B, Q, E)
        gradients : dict
            Of every weight; with ``detach_memory=False`` also ``d_contents`` (B, M, C, D) and, unless they went into these,
            ``d_summaries`` (B, M, D).

        Raises
        ------
        CallOrderError
            Without a ``forward`` before it, or if the memory was written to since: with ``detach_memory=False`` anything, else
            a chunk that was attended to.
        InputError
            If ``d_y`` has not the shape of the result.
        """
        validate.choice(summary_is_mean, "summary_is_mean", (True, False))
        if self._for_backward is not None:
            backend_of(d_y=d_y, q=self._for_backward[1][0].x)
        d_y, attended = self._kept(d_y)
        refuse_changed(attended, self.detach_memory)
        return attention_gradients(self, attended, d_y, summary_is_mean)

    def attend(self, q: Any, memory: Any, mask: Any = None, lengths: Any = None, return_info: bool = False) -> Any:
        """As :meth:`forward`, but the layer is left as it is: nothing is kept for ``backward``, and threads may share it."""
        y, attended = self._attend(q, memory, mask, lengths)
        return (y, info_of(attended)) if return_info else y

    def _attend(self, q: Any, memory: Any, mask: Any, lengths: Any) -> tuple[np.ndarray, Attended]:
        q = self._items(q, self.dim_query, name="q")
        if q.ndim != 3:
            raise InputError(f"q has shape {q.shape}, (lanes, queries, {self.dim_query}) was expected by {type(self).__name__}")
        view = self._view(memory, lengths)
        n_lanes, n_queries = q.shape[:2]
        if view.n_lanes != n_lanes:
            raise InputError(f"q has {n_lanes} lanes (shape {q.shape}), the memory's {view.n_lanes} were expected")
        weights, given = self.weights, {} if mask is None else {"mask": as_array(mask)}
        backend = backend_of(q=q, memory=view.contents, weights=weights["query.w"], **given)
        xp, kernels = backend.xp, backend.kernels("hcam")
        visible = self._visible(xp, view, given.get("mask"), n_queries)
        x = q.reshape(-1, self.dim_query)
        n, width, heads = len(x), self.dim_memory, self.n_heads
        kept = min(self.top_k, view.n_slots)
        lane = xp.arange(n_lanes, dtype=np.int32).repeat(n_queries)

        summary_query = x @ weights["query.w"]
        if self.summary_bias:
            summary_query += weights["query.b"]
        q_hat = summary_query @ weights["key.w"].T
        q_hat *= 1 / math.sqrt(self.features)
        index, score = xp.empty((n, kept), np.int32), xp.empty((n, kept), self.dtype)
        place = index
        with kernel_threads(SCORE_NS * n * view.summaries.size / max(n_lanes, 1)):
            if view.summaries.ndim == 3:
                kernels.summary_topk(q_hat, view.summaries, lane, visible, self._masked_score, index, score)
            else:
                place = self._best_stretches(backend, q_hat, view.summaries, lane, visible, index, score)
        weight, all_weights = self._chunk_weights(xp, view, q_hat, visible, index, score)
        filled = view.lengths[lane[:, None], xp.maximum(index, 0)] > 0
        weight[~filled] = 0  # of empty chunks, which only the reference's way of masking can keep, there is nothing to read
        total = weight.sum(axis=1, keepdims=True)
        total[~xp.isfinite(q_hat).all(axis=1)] = math.nan  # where every score is NaN no chunk is kept

        query = x @ weights[f"{INNER}query.w"]
        if self.attention_bias:
            query += weights[f"{INNER}query.b"]
        query = query.reshape(n, heads, self.features // heads)
        q_tilde = times_heads(query, heads_of(weights[f"{INNER}key.w"], heads).transpose(0, 2, 1))
        q_tilde *= 1 / math.sqrt(self.features // heads)
        position = self._position(backend, view.chunk_size)
        p, y = xp.empty((n, kept, heads, view.chunk_size), self.dtype), xp.empty_like(q_tilde)
        with kernel_threads(ATTEND_NS * p.size * width):
            kernels.gather_attend_fwd(q_tilde, weight, index, lane, view.lengths, view.contents, position, p, y)

        o = times_heads(y, heads_of(weights[f"{INNER}value.w"], heads)).reshape(n, self.features)
        if self.attention_bias:
            o += total * weights[f"{INNER}value.b"]
        result = o @ weights[f"{INNER}linear.w"]
        result += total * weights[f"{INNER}linear.b"] if self.attention_bias else 0 * total
        shape = (n_lanes, n_queries, self.features)
        attended = Attended(
            memory,
            view,
            shape,
            x,
            summary_query,
            q_hat,
            lane,
            visible,
            index,
            weight,
            total,
            query,
            q_tilde,
            position,
            p,
            y,
            o,
            all_weights,
            place,
            stamp_of(view, lane, index),
        )
        return result.reshape(shape), attended

    def _view(self, memory: Any, lengths: Any) -> ChunkView:
        """The memory's arrays as the kernels want them."""
        owner = type(self).__name__
        if isinstance(memory, (tuple, list)):
            if len(memory) != 2:
                raise InputError(f"memory has {len(memory)} parts, (summaries, contents) was expected")
            summaries, contents = memory
            view = ChunkView.from_arrays(summaries, contents, lengths)
        elif lengths is not None:
            raise InputError("lengths was given beside a memory, which has its own; it goes with (summaries, contents)")
        elif isinstance(memory, ChunkView):
            view = memory
        elif not (isinstance(memory, np.ndarray) or is_device_array(memory)) and callable(getattr(memory, "view", None)):
            view = memory.view()
        else:
            raise InputTypeError(
                f"memory is a {type(memory).__name__}, a ChunkMemory, ChunkView or (summaries, contents) was expected by {owner}"
            )
        if view.contents.dtype != self.dtype:
            raise InputTypeError(
                f"the memory holds {view.contents.dtype}, {self.dtype} (the layer's dtype) was expected by {owner}"
            )
        if view.n_features != self.dim_memory:
            raise InputError(
                f"the memory's contents have shape {view.contents.shape}, (lanes, chunks, steps, {self.dim_memory}) was expected "
                f"by {owner}"
            )
        return replace(
            view, contents=read_only(view.contents), summaries=read_only(view.summaries), lengths=read_only(view.lengths)
        )

    def _position(self, backend: Backend, n_steps: int) -> np.ndarray:
        """The code of a chunk's steps, or zeros, on a device; made once."""
        if self._code is None or self._code[0] != (backend, n_steps):
            shape = n_steps, self.dim_memory
            code = position_code(*shape, self.dtype) if self.position_code else read_only(np.zeros(shape, self.dtype))
            self._code = (backend, n_steps), code if backend.device is None else backend.placed(code)
        return self._code[1]

    def _visible(self, xp: Any, view: ChunkView, mask: Any, n_queries: int) -> np.ndarray:
        """Which chunks each query may see, uint8 (N, M)."""
        shape = (view.n_lanes, n_queries, view.n_slots)
        shown = xp.broadcast_to((view.visible & (view.lengths > 0))[:, None], shape)
        if mask is not None:
            if mask.dtype != np.bool_:
                raise InputTypeError(f"mask is {mask.dtype}, bool was expected")
            if mask.shape != shape:
                raise InputError(f"mask has shape {mask.shape}, {shape} (lanes, queries, chunks) was expected")
            shown = shown & mask
        seen: np.ndarray = xp.ascontiguousarray(shown).view(np.uint8).reshape(view.n_lanes * n_queries, view.n_slots)
        return seen

    def _best_stretches(
        self,
        backend: Backend,
        q_hat: np.ndarray,
        summaries: np.ndarray,
        lane: np.ndarray,
        visible: np.ndarray,
        index: np.ndarray,
        score: np.ndarray,
    ) -> np.ndarray:
        """Fill in the chunks whose best summary is among the k best; the places of these summaries."""
        if backend != NUMPY:
            raise BackendError("several summaries per chunk work on the CPU only; give one, or move the arrays to the CPU")
        if self.weight_norm == "all":
            raise InputError("weight_norm is 'all', 'topk' was expected with several summaries per chunk")
        stretch = np.empty_like(index)
        backend.kernels("hcam").stretch_topk(q_hat, summaries, lane, visible, self._masked_score, index, stretch, score)
        return np.where(index < 0, np.int32(-1), index * np.int32(summaries.shape[2]) + stretch)

    def _chunk_weights(
        self, xp: Any, view: ChunkView, q_hat: np.ndarray, visible: np.ndarray, index: np.ndarray, score: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Weights of the kept chunks, 0 for places without one, and those of all chunks where the softmax is over all."""
        best = score[:, :1]
        best = xp.where(best > -math.inf, best, 0).astype(self.dtype, copy=False)  # no chunk: every weight is exp(-inf) = 0
        weight = xp.exp(score - best)
        if self.weight_norm == "topk":
            total = weight.sum(axis=1, keepdims=True)
            weight /= xp.where(total > 0, total, 1)
            return weight, None
        with np.errstate(invalid="ignore", over="ignore"):  # chunks that are hidden may hold anything
            per_lane = q_hat.reshape(view.n_lanes, len(q_hat) // max(view.n_lanes, 1), self.dim_memory)
            scores = (per_lane @ view.summaries.transpose(0, 2, 1)).reshape(visible.shape)
        scores[visible == 0] = self._masked_score
        scores[xp.isnan(scores)] = -math.inf
        every = xp.exp(scores - best)
        total = every.sum(axis=1, keepdims=True)
        every /= xp.where(total > 0, total, 1)
        return xp.where(index >= 0, xp.take_along_axis(every, xp.maximum(index, 0), axis=1), 0).astype(self.dtype), every
