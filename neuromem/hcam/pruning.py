"""Groups of neighbouring summaries, each with a centre and a radius, that let a read leave out most of them without a loss."""

from typing import Any

import numpy as np

from neuromem.hcam.chunk_view import ChunkView


class SummaryGroups:
    """Centre and radius of every 64 summaries of each lane.

    Parameters
    ----------
    n_features : int
    group_size : int, default 64
    dtype : float32 or float64
    """

    def __init__(self, n_features: int, group_size: int = 64, dtype: Any = "float32"):
        self.n_features, self.group_size, self.dtype = n_features, group_size, np.dtype(dtype)

    def closed(self, view: ChunkView, lane: int, chunk: int) -> None:
        """Chunk has closed: its summary will not change until :meth:`opened`."""
        raise NotImplementedError

    def opened(self, lane: int, chunk: int) -> None:
        """The slot is being filled anew (the first time, or because the ring came round): its summary changes."""
        raise NotImplementedError

    def reset(self, lane: int) -> None:
        """The lane was emptied."""
        raise NotImplementedError

    def rebuild(self, view: ChunkView, closed: np.ndarray | None = None) -> None:
        """All anew from a memory that was loaded; ``closed``: bool (lanes, M), default chunks that are full."""
        raise NotImplementedError

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        raise NotImplementedError
