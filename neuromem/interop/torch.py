"""Attention over chunks inside PyTorch models; needs PyTorch, which no extra of this library installs.

The arithmetic and its gradients are those of :class:`neuromem.hcam.HCAMAttention`; PyTorch sees one function.  Arrays are
passed in both directions without a copy.  Gradients have no gradients of their own.
"""

from collections.abc import Iterator
from typing import Any

from neuromem.backend import as_array
from neuromem.errors import InputTypeError, MissingDependencyError
from neuromem.hcam.attended import Attended, AttentionInfo, info_of, refuse_changed
from neuromem.hcam.attention import HCAMAttention
from neuromem.hcam.attention_gradients import attention_gradients

try:
    import torch
except ImportError as error:
    raise MissingDependencyError(f"neuromem.interop.torch needs PyTorch: {error}; pip install torch") from None

__all__ = ["HCAMAttentionFunction", "HCAMAttentionModule"]


def tensor_of(array: Any) -> Any:
    """An array's memory as a tensor."""
    return torch.utils.dlpack.from_dlpack(array)


def array_of(value: Any) -> Any:
    """A tensor's memory as an array: NumPy's on the CPU, CuPy's on a GPU; anything else as it is."""
    return as_array(value.detach()) if isinstance(value, torch.Tensor) else value


class HCAMAttentionFunction(torch.autograd.Function):
    """One pass of :class:`neuromem.hcam.HCAMAttention` as a function that PyTorch can differentiate.

    ``HCAMAttentionFunction.apply(layer, memory, mask, lengths, summary_is_mean, seen, queries, summaries, contents, *weights)``:
    either ``memory`` is given, or ``summaries`` and ``contents`` are tensors.  ``weights`` are tensors over the layer's own
    arrays, in their order; ``seen`` is a list that what was attended to is added to, for :func:`neuromem.hcam.attended.info_of`.
    :class:`HCAMAttentionModule` calls it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        layer: HCAMAttention,
        memory: Any,
        mask: Any,
        lengths: Any,
        summary_is_mean: bool,
        seen: list[Attended],
        queries: Any,
        summaries: Any,
        contents: Any,
        *weights: Any,
    ) -> Any:
        """The layer's result (B, Q, F)."""
        chunks = memory if summaries is None else (array_of(summaries), array_of(contents))
        y, attended = layer._attend(array_of(queries), chunks, array_of(mask), array_of(lengths))
        seen.append(attended)
        ctx.layer, ctx.attended, ctx.summary_is_mean = layer, attended, summary_is_mean
        ctx.save_for_backward(queries, summaries, contents, *weights)  # so that changes in place before backward are noticed
        return tensor_of(y)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_y: Any) -> tuple[Any, ...]:
        """Gradients of queries, summaries, contents and weights; None for whatever needs none."""
        queries = ctx.saved_tensors[0]
        layer, attended = ctx.layer, ctx.attended
        refuse_changed(attended, layer.detach_memory)
        d_y = array_of(d_y.contiguous().to(getattr(torch, layer.dtype)))
        d_q, gradients = attention_gradients(layer, attended, d_y, ctx.summary_is_mean)
        found = (d_q, gradients.get("d_summaries"), gradients.get("d_contents"), *(gradients[name] for name in layer.weights))
        needed = ctx.needs_input_grad[6:]
        tensors = [tensor_of(g) if wanted and g is not None else None for g, wanted in zip(found, needed, strict=True)]
        if tensors[0] is not None:  # summaries and contents have the layer's dtype, queries may have another
            tensors[0] = tensors[0].to(queries.dtype)
        return (None,) * 6 + tuple(tensors)


class HCAMAttentionModule(torch.nn.Module):
    """:class:`neuromem.hcam.HCAMAttention` as a module: its weights are the module's parameters.

    On the CPU both share one memory: what an optimiser of PyTorch changes is what ``layer`` uses, and the other way round.
    The names of the parameters are those of the authors' code, such as ``within_mem_attn.query.w``, so that ``state_dict`` and
    ``HCAMAttention.to_reference`` have the same keys.

    Parameters
    ----------
    layer : HCAMAttention
        Its ``dtype`` is that of the parameters and results, and cannot be changed afterwards.

    Raises
    ------
    InputTypeError
        For anything else.

    Notes
    -----
    Gradients flow to the queries and the weights, and with ``detach_memory=False`` also to ``summaries`` and ``contents`` that
    are given as tensors.  A module may be called several times before ``backward``; a memory that attention read must not be
    written to before.  Tensors on a GPU go through CuPy, without a copy; this path has not been run on a device yet.

    Examples
    --------
    >>> import torch
    >>> from neuromem.hcam import HCAMAttention
    >>> module = HCAMAttentionModule(HCAMAttention(5, 6, 8, n_heads=2, top_k=3, detach_memory=False))
    >>> contents = torch.randn(1, 10, 4, 6, requires_grad=True)
    >>> y = module(torch.randn(1, 2, 5), (contents.mean(dim=2), contents))
    >>> y.sum().backward()
    >>> y.shape, contents.grad.shape, len(list(module.parameters()))
    (torch.Size([1, 2, 8]), torch.Size([1, 10, 4, 6]), 10)
    """

    def __init__(self, layer: HCAMAttention) -> None:
        super().__init__()
        if not isinstance(layer, HCAMAttention):
            raise InputTypeError(f"layer is a {type(layer).__name__}, an HCAMAttention was expected")
        self.wrapped = layer
        for name, array in layer.weights.items():
            *path, last = name.split(".")
            owner: torch.nn.Module = self
            for part in path:
                if not hasattr(owner, part):
                    owner.add_module(part, torch.nn.Module())
                owner = getattr(owner, part)
            owner.register_parameter(last, torch.nn.Parameter(tensor_of(array)))

    def tensors(self) -> Iterator[Any]:
        """The parameters in the order of the layer's weights.

        Raises
        ------
        InputTypeError
            If they were made another dtype than the layer's.
        """
        by_name = dict(self.named_parameters())
        for name in self.wrapped.weights:
            if by_name[name].dtype != getattr(torch, self.wrapped.dtype):
                raise InputTypeError(
                    f"parameter {name} is {by_name[name].dtype}, {self.wrapped.dtype} was expected; the dtype is an argument of "
                    "HCAMAttention"
                )
            yield by_name[name]

    @property
    def layer(self) -> HCAMAttention:
        """The layer over the parameters' own memory, also after they were moved or replaced."""
        arrays = [array_of(tensor) for tensor in self.tensors()]
        self.wrapped._put_weights(dict(zip(self.wrapped.weights, arrays, strict=True)))
        return self.wrapped

    def forward(
        self,
        queries: Any,
        memory: Any,
        mask: Any = None,
        lengths: Any = None,
        return_info: bool = False,
        summary_is_mean: bool = False,
    ) -> Any:
        """Attend to a memory.

        Parameters
        ----------
        queries : tensor (B, Q, E)
        memory : ChunkMemory, ChunkView, or (summaries (B, M, D), contents (B, M, C, D))
            The last two as tensors or arrays of the layer's dtype.
        mask : bool tensor or array (B, Q, M), optional
        lengths : integer tensor or array (B, M), optional
            See :meth:`neuromem.hcam.HCAMAttention.forward`.
        return_info : bool, default False
        summary_is_mean : bool, default False
            Whether the gradients of summaries are to go to the contents that they are the means of.  Leave it where PyTorch
            computed the means.

        Returns
        -------
        y : tensor (B, Q, F)
        info : AttentionInfo
            Only with ``return_info``; tensors without gradients.

        Raises
        ------
        InputError, InputTypeError, BackendError
            As :meth:`neuromem.hcam.HCAMAttention.forward`.
        """
        seen: list[Attended] = []
        parts: tuple[Any, ...] = (None, None)
        if isinstance(memory, (tuple, list)) and len(memory) == 2 and any(isinstance(part, torch.Tensor) for part in memory):
            parts = tuple(torch.as_tensor(part) for part in memory)
        settings = (self.layer, memory, mask, lengths, summary_is_mean, seen)
        apply: Any = HCAMAttentionFunction.apply
        y = apply(*settings, queries, *parts, *self.tensors())
        if not return_info:
            return y
        return y, AttentionInfo(*map(tensor_of, info_of(seen[0])))

    def extra_repr(self) -> str:
        """What the layer was made with."""
        return repr(self.wrapped)
