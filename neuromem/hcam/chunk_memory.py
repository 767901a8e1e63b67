"""A stream kept in chunks: a summary of each, its steps behind it, in memory or on disk."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY, as_array, refuse_device
from neuromem.errors import CapacityError, InputError, InputTypeError
from neuromem.hcam.chunk_state import ChunkState, slots_nbytes
from neuromem.hcam.chunk_view import ChunkView
from neuromem.hcam.reading import PRUNE_FROM, complete_steps, familiarity_of, read_steps
from neuromem.protocols import ItemSpec, Recall
from neuromem.random import RandomState

if TYPE_CHECKING:
    from neuromem.hcam.attention import HCAMAttention

BITS = {
    np.dtype(np.float32): (np.uint32, np.array([0x7FFFFFFF], np.uint32), 0x7F800000),
    np.dtype(np.float64): (np.uint64, np.array([0x7FFFFFFFFFFFFFFF], np.uint64), 0x7FF0000000000000),
}  # integers as wide, all bits but the sign, infinity


class ChunkMemory(ChunkState):
    """Memory of a stream: chunks of steps, found by the mean of each and read in detail where it matters.

    Parameters
    ----------
    n_features : int >= 1
        Width of a step, D.
    chunk_size : int >= 1, default 32
        Steps per chunk, C.  A read looks at T / C summaries and k C steps, least where C is near sqrt(T / k).
    capacity : int >= 1, default 1024
        Chunks per lane.  With one lane none takes memory before it is written to.
    n_lanes : int >= 1, default 1
        Streams side by side; each step has one row for every lane.
    dtype : {"float32", "float64"}, default "float32"
    include_open : bool, default False
        Whether the chunk that is being filled can be read.
    across_episodes : bool, default True
        Whether chunks of earlier episodes can be read, see :meth:`begin_episode`.
    storage : str or Path, default "ram"
        "ram", or a directory that the first write makes and that :meth:`open` opens again.  Its files grow with the stream;
        with several lanes they have their full size from the start.  A forked child can read it, not write to it.
    on_full : {"oldest", "error"}, default "oldest"
        Beyond the capacity the oldest chunk makes way, or CapacityError is raised.
    check_finite : bool, default True
        Refuse NaN and infinity.
    n_chunks : int >= 1, default 8
        Chunks that a read looks into where it is not told, k.
    durable : bool, default False
        On disk, wait at every commit until the disk has it.  Without, what is committed survives a kill of the process
        at any moment, but not a power cut.
    flush_every : int >= 1, default 64
        On disk, steps that come by :meth:`append` are committed after so many; a closing chunk, :meth:`write`,
        :meth:`flush`, :meth:`reset`, :meth:`commit` and :meth:`close` commit at once.

    Notes
    -----
    A step goes into the open chunk of its lane; a chunk of C steps closes, and its summary is the mean of its steps, summed
    in float64 in their order.  Borders never move: later steps leave closed chunks as they are, to the bit.  The paper gives
    no public write path; this one keeps to what it says of memory: chunks of fixed size, mean as summary, nothing learned
    when writing.

    Step ids count steps of the whole memory from 0; a chunk's steps have successive ids.  Shape and place of a memory are
    fixed by its first write.

    References
    ----------
    Lampinen, Chan, Banino, Hill, "Towards mental time travel: a hierarchical memory for reinforcement learning agents",
    NeurIPS 2021, arXiv:2105.14039.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import ChunkMemory
    >>> memory = ChunkMemory(2, chunk_size=4)
    >>> memory.write(np.arange(20.0).reshape(10, 2))
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    >>> memory.n_closed, memory.view().summaries[0, :2].tolist()
    (2, [[3.0, 4.0], [11.0, 12.0]])
    >>> memory.chunk(2).tolist()
    [[16.0, 17.0], [18.0, 19.0]]
    """

    def __init__(
        self,
        n_features: int,
        chunk_size: int = 32,
        capacity: int = 1024,
        n_lanes: int = 1,
        dtype: str = "float32",
        include_open: bool = False,
        across_episodes: bool = True,
        storage: str | Path = "ram",
        on_full: str = "oldest",
        check_finite: bool = True,
        n_chunks: int = 8,
        durable: bool = False,
        flush_every: int = 64,
    ) -> None:
        self.n_features = n_features
        self.chunk_size = chunk_size
        self.capacity = capacity
        self.n_lanes = n_lanes
        self.dtype = dtype
        self.include_open = include_open
        self.across_episodes = across_episodes
        self.storage = storage
        self.on_full = on_full
        self.check_finite = check_finite
        self.n_chunks = n_chunks
        self.durable = durable
        self.flush_every = flush_every

    # ---------------------------------------------------------------- writing

    def _checked(self, items: Any, *, one: bool = False) -> np.ndarray:
        """Steps (n, lanes, D) of the memory's dtype; ``one``: from one step, (D,) or (lanes, D)."""
        refuse_device(items, "items", "ChunkMemory")
        x = np.asarray(as_array(items))
        lanes, width, dtype = self.n_lanes, self.n_features, np.dtype(self.dtype)
        if x.dtype.kind == "O":
            raise InputTypeError("items are objects, numbers were expected")
        if x.dtype.kind not in "biuf":
            x = validate.table(x.reshape(-1, x.shape[-1] if x.ndim else 1), name="items").reshape(x.shape)
        wanted = [(lanes, width)] if lanes > 1 else [(width,), (1, width)]
        shape = x.shape if one else x.shape[1:]
        if (not one and x.ndim < 2) or shape not in wanted:
            lead = "" if one else "n, "
            expected = " or ".join(f"({lead}{', '.join(map(str, tail))})" for tail in wanted)
            single = "; a single step is written by append" if not one and x.ndim == len(wanted[0]) else ""
            raise InputError(f"items has shape {x.shape}, ChunkMemory is expecting {expected}{single}")
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(x, dtype).reshape(1 if one else len(x), lanes, width)
        if not x.flags.writeable:  # kernels are compiled for arrays that are
            x = x.copy()
        if self.check_finite and x.size:
            kind, mask, infinity = BITS[dtype]
            top = np.zeros(1, kind)
            NUMPY.kernels("hcam").largest_magnitude(x.reshape(-1).view(kind), mask, top)
            if top[0] >= infinity:
                raise InputError(
                    f"Input items contains NaN or infinity (inf) as {dtype}; finite numbers were expected, or check_finite=False"
                )
        return x

    def write(self, items: Any, targets: Any = None, *, tags: Any = None) -> np.ndarray:
        """Keep steps, in their order.

        Parameters
        ----------
        items : real (n, D), one lane, or (n, lanes, D)
            Converted to the memory's dtype.
        targets, tags : None
            Steps have neither.

        Returns
        -------
        ids : int64 (n,)

        Raises
        ------
        InputError, InputTypeError
            For another shape, NaN or infinity, or what is no number; nothing is kept then.
        CapacityError
            If they do not fit and ``on_full="error"``; nothing is kept then.
        StoreError
            On disk, if it is full.
        """
        if targets is not None or tags is not None:
            raise InputError("targets or tags are given, ChunkMemory keeps steps only")
        if self._ring is None:
            self._validate_params()
        x = self._checked(items)
        ring = self._ready()
        first = ring.step
        ring.write(x)
        return np.arange(first, first + len(x), dtype=np.int64)

    def append(self, x: Any) -> int:
        """Keep one step, (D,) with one lane or (lanes, D); returns its id.

        The same as :meth:`write` of that step, to the bit.

        Raises
        ------
        InputError, InputTypeError, CapacityError, StoreError
            As for :meth:`write`.
        """
        ring = self._ring
        # A stream comes step by step: what is as it should be is told by one comparison each, all else goes the long way round.
        if (
            ring is not None
            and type(x) is np.ndarray
            and x.shape == ring.row_shape
            and x.dtype == ring.dtype
            and ring.n_lanes == 1
            and (not self.check_finite or np.isfinite(x, ring.finite).tobytes() == ring.all_finite)
        ):
            step = ring.step
            ring.append(x)
            return step
        if ring is None:
            self._validate_params()
        steps = self._checked(x, one=True)
        ring = self._ready()
        step = ring.step
        if ring.n_lanes == 1:
            ring.append(steps[0, 0])
        else:
            ring.append_lanes(steps)
        return step

    def _lanes(self, lanes: Any) -> np.ndarray:
        """A bool mask (lanes,) from None for all, a number or several, or such a mask."""
        mask = np.zeros(self.n_lanes, bool)
        if lanes is None:
            return ~mask
        if isinstance(lanes, np.ndarray) and lanes.dtype == np.bool_:
            if lanes.shape != mask.shape:
                raise InputError(f"lanes has shape {lanes.shape}, ({self.n_lanes},) was expected")
            return lanes.copy()
        for lane in lanes if isinstance(lanes, Iterable) and not isinstance(lanes, str) else [lanes]:
            mask[validate.integer(lane, "lanes", 0, self.n_lanes - 1)] = True
        return mask

    def flush(self, lanes: Any = None) -> None:
        """Close the open chunk of some lanes as it is: it can be read, and the next step begins another.

        Parameters
        ----------
        lanes : None, int, several, or bool (lanes,)
            Default: all.
        """
        mask = self._lanes(lanes)
        if self._ring is not None:
            self._ring.close(mask)

    def begin_episode(self, lanes: Any = None) -> None:
        """Flush some lanes; what they get from now on belongs to a new episode.

        With ``across_episodes=False`` only chunks of a lane's newest episode can be read.

        Parameters
        ----------
        lanes : None, int, several, or bool (lanes,)
            Default: all.
        """
        mask = self._lanes(lanes)
        self._ready().begin_episode(mask)

    def reset(self, lanes: Any = None) -> None:
        """Forget everything some lanes keep; parameters stay.  Ids begin anew when all lanes are emptied.

        Parameters
        ----------
        lanes : None, int, several, or bool (lanes,)
            Default: all.
        """
        mask = self._lanes(lanes)
        if self._ring is not None:
            self._ring.reset(mask)

    # ---------------------------------------------------------------- reading

    def view(self) -> ChunkView:
        """The chunks as arrays, without a copy; later writes show in them.

        Slots: with one lane those used so far, with several as many as are allocated.
        """
        ring = self._ring
        if ring is None:
            self._validate_params()
            shape, dtype = (self.n_lanes, 0), np.dtype(self.dtype)
            contents = np.zeros((*shape, self.chunk_size, self.n_features), dtype)
            summaries = np.zeros((*shape, self.n_features), dtype)
            lengths, first_step, visible = np.zeros(shape, np.int32), np.zeros(shape, np.int64), np.zeros(shape, bool)
            return frozen(contents, summaries, lengths, first_step, visible, 0)
        with ring.guard:
            n = ring.n_slots
            visible = ring.closed[:, :n]
            if not self.across_episodes:
                visible = visible & (ring.episode[:, :n] == ring.current[:, None])
            if self.include_open and ring.fill.any():
                ring.summarise(np.zeros(self.n_lanes, bool))
                visible = visible.copy()
                lanes = np.flatnonzero(ring.fill)
                visible[lanes, (ring.opened[lanes] - 1) % ring.capacity] = True
            contents, summaries = ring.storage.contents[:, :n], ring.storage.summaries[:, :n]
            return frozen(contents, summaries, ring.lengths[:, :n], ring.first_step[:, :n], visible[:], ring.version)

    def read(
        self,
        cues: Any,
        *,
        k: int = 1,
        n_chunks: int | None = None,
        attention: "HCAMAttention | None" = None,
        lane: int = 0,
    ) -> Recall:
        """The k best steps of the ``n_chunks`` chunks whose summaries fit best.

        Parameters
        ----------
        cues : real (q, D)
            With ``attention``: what it takes as queries, (q, E).
        k : int >= 1, default 1
        n_chunks : int, optional
            Default: the memory's ``n_chunks``, with ``attention`` its ``top_k``.
        attention : HCAMAttention, optional
            Learned projections.  Default: cues are compared with steps as they are.
        lane : int, default 0

        Returns
        -------
        Recall
            As ``neuromem.hcam.reading.read_steps`` documents it.
        """
        if n_chunks is None and attention is None:
            n_chunks = self.n_chunks
        view = self.view()
        return read_steps(view, cues, k=k, n_chunks=n_chunks, attention=attention, lane=lane, groups=self._groups(view))

    def _groups(self, view: ChunkView) -> Any:
        """Groups of summaries, where there are so many that they pay."""
        return self._ring.up_to_date_groups(view) if self._ring is not None and view.n_slots >= PRUNE_FROM else None

    def complete(self, cues: Any, known: Any, *, n_chunks: int | None = None, lane: int = 0) -> np.ndarray:
        """Cues (q, D) with their unknown features from the step that fits the known ones best."""
        view, n_chunks = self.view(), self.n_chunks if n_chunks is None else n_chunks
        return complete_steps(view, cues, known, n_chunks=n_chunks, lane=lane, groups=self._groups(view))

    def familiarity(self, items: Any, *, n_chunks: int | None = None, lane: int = 0) -> np.ndarray:
        """The best cosine with a step that is kept, float32 (n,)."""
        view, n_chunks = self.view(), self.n_chunks if n_chunks is None else n_chunks
        return familiarity_of(view, items, n_chunks=n_chunks, lane=lane, groups=self._groups(view))

    # ---------------------------------------------------------------- what it holds

    def __len__(self) -> int:
        return 0 if self._ring is None else int(self._ring.lengths.sum())

    @property
    def n_steps(self) -> int:
        """Steps written so far, the id of the next."""
        return 0 if self._ring is None else self._ring.step

    @property
    def n_closed(self) -> int:
        """Closed chunks kept, of all lanes."""
        return 0 if self._ring is None else int((self._ring.numbers_closed - self._ring.dead).sum())

    @property
    def summaries(self) -> np.ndarray:
        """Summary of every slot, (lanes, M, D), read-only; those of slots that are not closed mean nothing."""
        return self.view().summaries

    def chunk(self, i: int, lane: int = 0) -> np.ndarray:
        """The filled steps of slot i, (length, D), read-only and not copied.

        Raises
        ------
        InputError
            If there is no such lane, or nothing in the slot.
        """
        lane = validate.integer(lane, "lane", 0, self.n_lanes - 1)
        view = self.view()
        i = validate.integer(i, "i", 0)
        if i >= view.n_slots or not view.lengths[lane, i]:
            raise InputError(f"i is {i}, there is no chunk in that slot of lane {lane}")
        return view.contents[lane, i, : view.lengths[lane, i]]

    @property
    def nbytes(self) -> int:
        """Bytes of the slots in use (with several lanes: of those allocated) and of all that describes them."""
        ring = self._ring
        if ring is None:
            return 0
        return slots_nbytes(self, ring.n_slots) + ring.groups.nbytes

    def estimate_nbytes(self, n_steps: int) -> int:
        """Bytes that so many steps take."""
        validate.integer(n_steps, "n_steps", 0)
        return slots_nbytes(self, min(self.capacity, -(-n_steps // self.chunk_size)))

    @property
    def item_spec(self) -> ItemSpec:
        """Real items."""
        return ItemSpec(self.n_features, "real", None)

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> Self:
        """A memory of one lane that keeps the newest steps within ``n_bytes``, in chunks of a size that makes reads cheap.

        Raises
        ------
        CapacityError
            If not even one chunk fits.
        """
        steps = n_bytes // (4 * item_spec.n_features)
        size = 1
        while size < 256 and 8 * (2 * size) ** 2 <= steps:  # the largest power of two up to sqrt(T / k), k = 8
            size *= 2
        made = cls(item_spec.n_features, size)
        groups = 32 + 12 * item_spec.n_features  # of 64 summaries, twice as many as are needed
        capacity = (n_bytes - slots_nbytes(made, 0) - groups) // (
            slots_nbytes(made, 1) - slots_nbytes(made, 0) + 2 + groups // 32
        )
        if capacity < 1:
            raise CapacityError(f"n_bytes={n_bytes} holds no chunk of {size} steps of {item_spec.n_features} features")
        return cls(item_spec.n_features, size, int(capacity))


def frozen(*parts: Any) -> ChunkView:
    """A view that cannot be written through, from slices of its arrays and a version."""
    for array in parts[:-1]:
        array.flags.writeable = False
    return ChunkView(*parts)
