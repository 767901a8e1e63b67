"""A network that reads a sequence and answers at its end, with all that went before as its memory."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.hcam.block import HCAMBlock, HCAMEncoderLayer
from neuromem.hcam.sequence import sequence_chunks, steps_of
from neuromem.layers.base import Composite, Gradients, Layer, prefixed
from neuromem.layers.convolution import CausalConvolution
from neuromem.layers.dense import Dense
from neuromem.layers.norm import LayerNorm
from neuromem.random import RandomState

MOST_LAYERS = 100


class SequenceNetwork(Composite):
    """Scores for the whole of a sequence: an encoder of short windows, HCAM layers, and a question asked at the last step.

    ``h = relu(windows W) V``; then ``n_layers - 1`` layers over all steps, each of which sees the chunks that are closed by then;
    then an HCAM block whose only query is the last step, a norm, and a linear map.

    Parameters
    ----------
    n_features : int >= 1
        Width of a step.
    n_outputs : int >= 1
    width, window, hidden, chunk_size, top_k, n_heads, n_layers : int >= 1
        As for :class:`HCAMClassifier`.
    position_code, detach_memory : bool
    dtype : {"float32", "float64"}, default "float32"
    random_state : None, int, SeedSequence or Generator, default 0

    Examples
    --------
    >>> import numpy as np
    >>> network = SequenceNetwork(3, 5, width=8, hidden=8, n_heads=2)
    >>> network.forward(np.zeros((4, 40, 3))).shape
    (4, 5)
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        width: int = 64,
        window: int = 16,
        hidden: int = 128,
        chunk_size: int = 16,
        top_k: int = 4,
        n_heads: int = 4,
        n_layers: int = 1,
        position_code: bool = True,
        detach_memory: bool = False,
        dtype: str = "float32",
        random_state: RandomState = 0,
    ) -> None:
        self.n_features = n_features
        self.n_outputs = n_outputs
        self.width = width
        self.window = window
        self.hidden = hidden
        self.chunk_size = chunk_size
        self.top_k = top_k
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.position_code = position_code
        self.detach_memory = detach_memory
        super().__init__(dtype, random_state)
        seeds = iter(self._child_seeds(n_layers + 3))
        self.windows = CausalConvolution(n_features, hidden, window, dtype, next(seeds), init_scale=2.0)
        self.encoder = Dense(hidden, width, dtype=dtype, random_state=next(seeds))
        self.layers = [
            HCAMEncoderLayer(
                width,
                n_heads,
                top_k,
                chunk_size,
                window,
                hidden,
                position_code=position_code,
                detach_memory=detach_memory,
                dtype=dtype,
                random_state=next(seeds),
            )
            for _ in range(n_layers - 1)
        ]
        self.block = HCAMBlock(
            width,
            None,
            n_heads,
            top_k,
            position_code=position_code,
            detach_memory=detach_memory,
            dtype=dtype,
            random_state=next(seeds),
        )
        self.norm = LayerNorm(width, dtype=dtype)
        self.head = Dense(width, n_outputs, dtype=dtype, random_state=next(seeds))
        self.children: dict[str, Layer] = {
            "windows": self.windows,
            "encoder": self.encoder,
            **{f"layer_{i}": layer for i, layer in enumerate(self.layers)},
            "block": self.block,
            "norm": self.norm,
            "head": self.head,
        }

    def _validate_params(self) -> None:
        super()._validate_params()
        names = ("n_features", "n_outputs", "width", "window", "hidden", "chunk_size", "top_k", "n_heads", "n_layers")
        for name in names:
            validate.integer(getattr(self, name), name, 1, MOST_LAYERS if name == "n_layers" else None)

    def forward(self, x: Any) -> np.ndarray:
        """Scores of sequences.

        Parameters
        ----------
        x : array (n, T, n_features)
            T at least 1.

        Returns
        -------
        ndarray (n, n_outputs)

        Raises
        ------
        InputError, InputTypeError
            For another shape, or no real numbers.
        """
        x = self._items(x, self.n_features, min_axes=3)
        if x.ndim != 3 or not x.shape[1]:
            raise InputError(f"x has shape {x.shape}, (n, steps from 1 up, {self.n_features}) was expected")
        active = self.windows.forward(x)
        np.maximum(active, 0, out=active)
        h = self.encoder.forward(active)
        for layer in self.layers:
            h = layer.forward(h)
        summaries, contents, lengths = sequence_chunks(h, self.chunk_size)
        asked = self.block.forward(h[:, -1:], (summaries, contents), lengths=lengths)
        y: np.ndarray = self.head.forward(self.norm.forward(asked[:, 0]))
        self._keep(y, active)
        return y

    def backward(self, d_y: Any) -> tuple[np.ndarray, Gradients]:
        """Gradients of the last ``forward``.

        Parameters
        ----------
        d_y : array (n, n_outputs)

        Returns
        -------
        d_x : ndarray (n, T, n_features)
        gradients : dict
            As ``weights``.

        Raises
        ------
        CallOrderError, InputError
            As every layer.
        """
        d_y, active = self._kept(d_y)
        found: dict[str, Gradients] = {}
        d, found["head"] = self.head.backward(d_y)
        d, found["norm"] = self.norm.backward(d)
        d, found["block"] = self.block.backward(d[:, None], summary_is_mean=True)
        d_h = np.zeros((*active.shape[:2], self.width), self.dtype)
        if not self.detach_memory:
            d_h += steps_of(found["block"].pop("d_contents"), active.shape[1])
        d_h[:, -1:] += d
        for i in reversed(range(len(self.layers))):
            d_h, found[f"layer_{i}"] = self.layers[i].backward(d_h)
        d_active, found["encoder"] = self.encoder.backward(d_h)
        d_active *= active > 0
        d_x, found["windows"] = self.windows.backward(d_active)
        return d_x, prefixed({name: found[name] for name in self.children})
