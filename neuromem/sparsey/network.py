"""Levels of macs whose codes last longer the higher they are."""

from collections.abc import Sequence
from typing import Any, Self

from neuromem.random import RandomState
from neuromem.sparsey.level import SparseyLevel
from neuromem.sparsey.network_memory import NetworkMemory


class SparseyNetwork(NetworkMemory):
    """A hierarchy of macs that stores sequences of binary frames in one presentation.

    Each mac hears what it sees of the level below now (U), its own previous code (H), and the previous codes of the macs
    that see it (D).  A code of a higher level lasts several steps and binds all that happens below in that time.

    Parameters
    ----------
    n_inputs : int or None, default None
        Width of frames; None: that of the first batch.
    levels : list of SparseyLevel or None, default None
        Lowest first.  None: two levels of one mac each, 16 modules of 24 units, whose codes last 1 and 2 steps.
    backoff : {"relative", "absolute", "none"}, default "relative"
        On reads, which signals a code is chosen by.  "relative": the most specific version (UHD, then the better of UH
        and UD) whose G is at least ``backoff_ratio`` times that of U alone, else U.  "absolute", as published: the most
        specific one that reaches its threshold.  "none": always all that are there.
    backoff_ratio : float in [0, 1], default 0.8
    backoff_thresholds : three floats, default (0.9, 0.9, 0.9)
        For three signals, two, and one.
    learn_context : {"onset", "always"}, default "onset"
        Whether H and D are learned at the step where a code begins, or on every step of its life.
    upper_input : {"sampled", "argmax"}, default "sampled"
        Which code of a learning mac the level above sees: the one that is written, or the one that a read would have
        given before the write.
    hypotheses : {"off", "boost", "discount"}, default "off"
        What a mac sends that stands for several stored hypotheses at once: a row counts once; as often as there are
        hypotheses (the paper); or one over it.  Beyond ``hypothesis_limit`` of them it sends nothing.
    hypothesis_threshold : float in (0, 1], default 0.95
        V from which on a cell counts as a hypothesis of its module.
    hypothesis_limit : int in 1 ... 8, default 3
    familiarity_floor, expansivity_exponent, expansivity_scale, sigmoid, transfer
        As of :class:`SparseyMac`.
    random_state : None, int, SeedSequence or Generator, default None

    Attributes
    ----------
    weights_ : uint64 (n_words,)
        Binary weights of all macs.
    step_ : int
        Steps lived through.

    Raises
    ------
    InputError
        At the first write, for a parameter out of range or frames that are not binary.

    Notes
    -----
    With A_U the rows active below at this step, A_H the mac's own code and A_D its parents' codes at the step before,
    u = mean over A_U of the weights, h likewise over the Q - 1 other modules, d over A_D; V is the product of the signals
    present, each to its exponent, G the mean over modules of the largest V.  One snapshot of all codes is taken before
    anything changes, so H and D never mix with what the step itself chooses.  A code lives ``persistence`` steps: while
    it does, it learns U on every step, and H and D on its first.  A mac with fewer or more active sources than its bounds
    stays silent: it learns nothing and sends nothing.  Where no mac hears from above, each mac works through the whole
    stream before the next level sees any of it, with the same result.  Winners are drawn while learning, and are the
    largest V on reads, ties to the first cell: cells come into use by draws, so their order means nothing.

    A second level stores less at the same number of weights; it pays where time is warped and input is noisy.  "Relative"
    back-off and early release (:class:`SparseyLevel`) are additions of this library.

    References
    ----------
    Rinkus, G. J. (2014). Sparsey: event recognition via deep hierarchical sparse distributed codes. Frontiers in
    Computational Neuroscience 8:160.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.sparsey import SparseyLevel, SparseyNetwork
    >>> frames = (np.random.default_rng(0).random((12, 144)) < 0.08).astype(np.uint8)
    >>> levels = [SparseyLevel(16, 24), SparseyLevel(16, 24, persistence=4)]
    >>> memory = SparseyNetwork(144, levels, random_state=0)
    >>> memory.write(frames)
    array([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11])
    >>> recalled = memory.complete_sequence(frames[:1], 11).frames > 0.5
    >>> bool((recalled == frames[1:]).all())
    True
    """

    def __init__(
        self,
        n_inputs: int | None = None,
        levels: Sequence[SparseyLevel] | None = None,
        *,
        backoff: str = "relative",
        backoff_ratio: float = 0.8,
        backoff_thresholds: tuple[float, float, float] = (0.9, 0.9, 0.9),
        learn_context: str = "onset",
        upper_input: str = "sampled",
        hypotheses: str = "off",
        hypothesis_threshold: float = 0.95,
        hypothesis_limit: int = 3,
        familiarity_floor: float = 0.1,
        expansivity_exponent: float = 2.0,
        expansivity_scale: float = 100.0,
        sigmoid: tuple[float, float, float, float] = (0.1, 4.0, 1.0, 8.0),
        transfer: str = "psi",
        random_state: RandomState = None,
    ) -> None:
        self.n_inputs = n_inputs
        self.levels = levels
        self.backoff = backoff
        self.backoff_ratio = backoff_ratio
        self.backoff_thresholds = backoff_thresholds
        self.learn_context = learn_context
        self.upper_input = upper_input
        self.hypotheses = hypotheses
        self.hypothesis_threshold = hypothesis_threshold
        self.hypothesis_limit = hypothesis_limit
        self.familiarity_floor = familiarity_floor
        self.expansivity_exponent = expansivity_exponent
        self.expansivity_scale = expansivity_scale
        self.sigmoid = sigmoid
        self.transfer = transfer
        self.random_state = random_state

    def _level_list(self) -> Sequence[SparseyLevel]:
        return default_levels(24) if self.levels is None else self.levels

    @classmethod
    def _of_size(cls, n_features: int, units_per_module: int, **params: Any) -> Self:
        return cls(n_features, default_levels(units_per_module), **params)


def default_levels(units_per_module: int) -> list[SparseyLevel]:
    """One mac on each of two levels, the upper one's codes lasting twice as long."""
    return [SparseyLevel(16, units_per_module), SparseyLevel(16, units_per_module, persistence=2)]
