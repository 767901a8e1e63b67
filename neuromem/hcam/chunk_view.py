"""What attention and reading see of a memory of chunks: its arrays, without a copy."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import array_module, as_array, backend_named, backend_of
from neuromem.errors import InputError, InputTypeError

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True, slots=True)
class ChunkView:
    """The chunks of a memory as arrays; a view of a :class:`ChunkMemory` is live, later writes show in it.

    Parameters
    ----------
    contents : float32 or float64 (lanes, M, C, D)
        Steps of every chunk; what lies beyond a chunk's length is not to be read.  Read-only, perhaps a memory map.
    summaries : as contents, (lanes, M, D)
        Mean of a chunk's steps; of arrays that belong to no memory also (lanes, M, S, D), several to a chunk.
    lengths : int32 (lanes, M)
        Filled steps; 0: an empty slot.
    first_step : int64 (lanes, M)
        Id of a chunk's first step, -1: an empty slot.  The others follow one by one.
    visible : bool (lanes, M)
        Chunks that may be read: closed ones (the open one too with ``include_open=True``) of episodes that count.
    version : int
        Counts writes.  Another number: contents may have changed.

    Examples
    --------
    >>> import numpy as np
    >>> view = ChunkView.from_arrays(np.zeros((1, 3, 2), np.float32), np.zeros((1, 3, 4, 2), np.float32))
    >>> view.lengths.tolist(), view.first_step.tolist()
    ([[4, 4, 4]], [[0, 4, 8]])
    """

    contents: np.ndarray
    summaries: np.ndarray
    lengths: np.ndarray
    first_step: np.ndarray
    visible: np.ndarray
    version: int = 0

    @property
    def n_lanes(self) -> int:
        """Number of lanes."""
        return int(self.contents.shape[0])

    @property
    def n_slots(self) -> int:
        """Number of chunk slots per lane, M."""
        return int(self.contents.shape[1])

    @property
    def chunk_size(self) -> int:
        """Steps that a chunk holds, C."""
        return int(self.contents.shape[2])

    @property
    def n_features(self) -> int:
        """Width of a step, D."""
        return int(self.contents.shape[3])

    def to(self, device: str) -> "ChunkView":
        """A copy on another device, which later writes to the memory do not change.

        Parameters
        ----------
        device : str
            "cpu", "gpu" (the GPU that CuPy is using) or "gpu:1" (that of this number).

        Raises
        ------
        BackendError
            Where there is no such device or it cannot be used.
        """
        backend = backend_named(device)
        names = ("contents", "summaries", "lengths", "first_step", "visible")
        return replace(self, **{name: backend.placed(getattr(self, name)) for name in names})

    @classmethod
    def from_arrays(cls, summaries: Any, contents: Any, lengths: Any = None, *, visible: Any = None) -> "ChunkView":
        """A view of arrays that belong to no memory, all on the host or all on one GPU.

        Parameters
        ----------
        summaries : float32 or float64 (lanes, M, D), or (lanes, M, S, D)
            With S to a chunk, see :func:`stretch_means`, a chunk is as good as the best of them.
        contents : same dtype, (lanes, M, C, D)
        lengths : integer (lanes, M), optional
            Filled steps of each chunk, 0 to C; default: all.
        visible : bool (lanes, M), optional
            Default: chunks that are not empty.

        Raises
        ------
        InputError, InputTypeError
            For arrays that do not fit together.
        BackendError
            For arrays on different devices.
        """
        summaries, contents = as_array(summaries), as_array(contents)
        others = {name: as_array(array) for name, array in (("lengths", lengths), ("visible", visible)) if array is not None}
        backend_of(summaries=summaries, contents=contents, **others)
        xp = array_module(contents)
        if contents.dtype not in FLOATS or summaries.dtype != contents.dtype:
            raise InputTypeError(
                f"summaries are {summaries.dtype} and contents {contents.dtype}, both float32 or both float64 were expected"
            )
        if contents.ndim != 4:
            raise InputError(f"contents has shape {contents.shape}, (lanes, chunks, steps, features) was expected")
        lanes, slots, steps, width = contents.shape
        one, several = (lanes, slots, width), (lanes, slots, *summaries.shape[2:3], width)
        if summaries.shape not in (one, several) or (summaries.ndim == 4 and summaries.shape[2] == 0):
            raise InputError(f"summaries has shape {summaries.shape}, {one} was expected beside contents")
        if lengths is None:
            filled = xp.full((lanes, slots), steps, np.int32)
        else:
            given = others["lengths"]
            if given.dtype.kind not in "iu":
                raise InputTypeError(f"lengths is {given.dtype}, integers were expected")
            if given.shape != (lanes, slots):
                raise InputError(f"lengths has shape {given.shape}, {(lanes, slots)} was expected")
            if bool(((given < 0) | (given > steps)).any()):
                raise InputError(f"lengths has values from {given.min()} to {given.max()}, 0 to {steps} was expected")
            filled = xp.ascontiguousarray(given, np.int32)
        first = xp.broadcast_to(xp.arange(slots, dtype=np.int64) * steps, (lanes, slots))
        first = xp.where(filled > 0, first, np.int64(-1))
        shown = filled > 0
        if visible is not None:
            shown = shown & validate.feature_mask(others["visible"], lanes, slots, name="visible")
        return cls(contents, summaries, filled, first, shown)
