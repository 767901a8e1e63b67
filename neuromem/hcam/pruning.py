"""Groups of neighbouring summaries, each with a centre and a radius, that let a read leave out most of them without a loss."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY
from neuromem.errors import InputError
from neuromem.hcam.attended import read_only
from neuromem.hcam.chunk_view import FLOATS, ChunkView


class SummaryGroups:
    """Centre and radius of every 64 neighbouring summaries of each lane.

    No summary S of a group has a product with a cue q above ``q . centre + |q| radius`` (Cauchy-Schwarz).  Where that is below
    the n-th best score found so far the group is not looked at.  Chunks that follow each other in time lie close together in
    most streams, so most groups go; in a stream without any order in time none does.

    Only what is closed is counted: a summary that still changes is no member until :meth:`closed` says so.

    Parameters
    ----------
    n_features : int >= 1
        Width of a summary, D.
    group_size : int >= 1, default 64
    dtype : {"float32", "float64"}, default "float32"
        Of the centres.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.hcam.chunk_view import ChunkView
    >>> contents = np.arange(6, dtype=np.float32).reshape(1, 3, 1, 2)
    >>> groups = SummaryGroups(2, group_size=2)
    >>> groups.rebuild(ChunkView.from_arrays(contents.mean(axis=2), contents))
    >>> groups.counted[0].tolist(), groups.centres[0].tolist()
    ([1, 1, 1], [[1.0, 2.0], [4.0, 5.0]])
    """

    def __init__(self, n_features: int, group_size: int = 64, dtype: Any = "float32"):
        self.n_features = validate.integer(n_features, "n_features", 1)
        self.group_size = validate.integer(group_size, "group_size", 1)
        self.dtype = np.dtype(dtype)
        if self.dtype not in FLOATS:
            raise InputError(f"dtype is {self.dtype}, float32 or float64 was expected")
        self.counted = np.zeros((0, 0), np.uint8)  # (lanes, M): members
        self.centres = np.zeros((0, 0, n_features), self.dtype)  # (lanes, groups, D)
        self.reach = np.zeros((0, 0))  # (lanes, groups): radius with slack for rounding, -1 without members
        self.changes = np.zeros((0, 0), np.int32)  # (lanes, groups): members that joined since the centre moved
        self.members = np.zeros((0, 0), np.int32)  # (lanes, groups): members when it moved

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for array in (self.counted, self.centres, self.reach, self.changes, self.members))

    def closed(self, view: ChunkView, lane: int, chunk: Any) -> None:
        """One chunk, or several, have closed: their summaries stay as they are until :meth:`opened`.

        Parameters
        ----------
        view : ChunkView
            Only its summaries are read.
        lane : int
        chunk : int or integer array (n,)
            Slots, in the order in which they closed.
        """
        self._make_room(*view.summaries.shape[:2])
        chunks = np.atleast_1d(np.asarray(chunk, np.int32))
        NUMPY.kernels("hcam").extend_groups(
            chunks,
            read_only(view.summaries[lane]),
            self.group_size,
            self.counted[lane],
            self.centres[lane],
            self.reach[lane],
            self.changes[lane],
            self.members[lane],
        )

    def opened(self, lane: int, chunk: Any) -> None:
        """One slot, or several, are filled anew, because the ring came round: their summaries change.

        Their groups' radii stay as they are, too large rather than too small, until as many chunks have closed again.
        """
        if lane < len(self.counted):
            slots = np.atleast_1d(np.asarray(chunk))
            self.counted[lane, slots[slots < self.counted.shape[1]]] = 0

    def reset(self, lane: int) -> None:
        """The lane was emptied."""
        if lane < len(self.counted):
            self.counted[lane], self.reach[lane] = 0, -1
            self.changes[lane], self.members[lane] = 0, 0

    def rebuild(self, view: ChunkView, closed: np.ndarray | None = None) -> None:
        """All anew, from a memory that was loaded.

        Parameters
        ----------
        view : ChunkView
        closed : bool (lanes, M), optional
            Chunks that are closed; default: those that are full.
        """
        if closed is None:
            closed = view.lengths == view.chunk_size
        self._make_room(*view.summaries.shape[:2])
        for lane in range(len(self.counted)):
            self.reset(lane)
        for lane in range(view.n_lanes):
            self.closed(view, lane, np.flatnonzero(closed[lane]))

    def members_of(self, lane: int, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which visible chunks the groups count with, uint8 (M,), and the slots of those that they do not, int32.

        Parameters
        ----------
        lane : int
        visible : uint8 (M,)
        """
        counted = np.zeros(len(visible), np.uint8)
        if lane < len(self.counted):
            there = self.counted[lane, : len(visible)]
            counted[: len(there)] = there
        return counted & visible, np.flatnonzero(visible > counted).astype(np.int32)

    def _make_room(self, n_lanes: int, n_slots: int) -> None:
        """Arrays for that many; what is there stays.  Room at least doubles, so that slots may be added one by one."""
        lanes, slots = self.counted.shape
        if n_lanes <= lanes and n_slots <= slots:
            return
        n_lanes, n_slots = max(n_lanes, lanes), slots if n_slots <= slots else max(n_slots, 2 * slots)
        n_groups = -(-n_slots // self.group_size)
        for name, size, fill in (
            ("counted", n_slots, 0),
            ("centres", n_groups, 0),
            ("reach", n_groups, -1),
            ("changes", n_groups, 0),
            ("members", n_groups, 0),
        ):
            old = getattr(self, name)
            new = np.full((n_lanes, size, *old.shape[2:]), fill, old.dtype)
            new[: old.shape[0], : old.shape[1]] = old
            setattr(self, name, new)
