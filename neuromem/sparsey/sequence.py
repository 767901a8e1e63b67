"""One mac that hears its own previous code: a memory of sequences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import array_module, as_array, is_device_array, to_host
from neuromem.errors import FormatError, InputError
from neuromem.random import RandomState
from neuromem.sparsey.label_field import READOUTS, LabelField
from neuromem.sparsey.level import SparseyLevel
from neuromem.sparsey.network_memory import NetworkMemory, checked_lengths
from neuromem.sparsey.network_state import UPPER_INPUTS


class SparseySequenceMemory(NetworkMemory):
    """A mac whose cells also hear its previous code: it stores a sequence once and goes on from any of its frames.

    The same frame in another context gets another code, so sequences that share a stretch are told apart by what came
    before it.

    Parameters
    ----------
    n_inputs : int or None, default None
        Width of frames; None: that of the first batch.
    n_modules : int, default 24
        Q, competitive modules.
    units_per_module : int, default 32
        K, cells that compete in each.
    u_exponent, h_exponent : float > 0, default 4.0, 2.0
        lambda_U, lambda_H: how sharply V falls with each signal.  An ``h_exponent`` of about 0.5 shares the codes of
        frames that return in many sequences.
    persistence : int, default 1
        Steps that a code lasts.
    activation_bounds : (int, int or None), default (1, None)
        pi: lowest and highest number of active features that wake the mac.
    saturation_limit : float in (0, 1], default 1.0
        A cell stops learning once this share of its weights from the input is set.
    release : float in [0, 1] or None, default 0.6
        On reads, support below which a held code is dropped before its time; matters where ``persistence`` is above 1.
    n_classes : int, default 0
        Classes of sequences, for :meth:`predict`; 0: sequences have no labels.
    readout : {"counts", "binary", "delta"}, default "counts"
        How labels are learned, as of :class:`LabelField`.
    smoothing : float > 0, default 0.1
        Of the counts.
    label_code : {"sampled", "argmax"}, default "sampled"
        Which code of a frame gets the label: the one that is written, which suits sequences that are each shown once; or
        the one that a read would have given before the write, which suits many that are alike.
    backoff, backoff_ratio, backoff_thresholds
        As of :class:`SparseyNetwork`; the ratio is 0.7 here.
    learn_context, hypotheses, hypothesis_threshold, hypothesis_limit
        As of :class:`SparseyNetwork`.
    familiarity_floor, expansivity_exponent, expansivity_scale, sigmoid, transfer
        As of :class:`SparseyMac`.
    random_state : None, int, SeedSequence or Generator, default None

    Notes
    -----
    Random frames of density r fill the weights as 1 - (1 - r) ** (N / K): about 0.92 K / r frames are kept, whatever Q is.

    References
    ----------
    Rinkus, G. J. (2014). Sparsey: event recognition via deep hierarchical sparse distributed codes. Frontiers in
    Computational Neuroscience 8:160.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.sparsey import SparseySequenceMemory
    >>> frames = (np.random.default_rng(0).random((20, 144)) < 0.08).astype(np.uint8)
    >>> memory = SparseySequenceMemory(random_state=0)
    >>> ids = memory.write(frames, lengths=[10, 10])
    >>> rest = memory.complete_sequence(frames[:1], 30, stop_below=0.5)
    >>> len(rest.frames), bool(((rest.frames > 0.5) == frames[1:10]).all())
    (9, True)
    """

    _CHILDREN = ("labels_",)
    upper_input = "sampled"  # there is no level above

    def __init__(
        self,
        n_inputs: int | None = None,
        n_modules: int = 24,
        units_per_module: int = 32,
        *,
        u_exponent: float = 4.0,
        h_exponent: float = 2.0,
        persistence: int = 1,
        activation_bounds: tuple[int, int | None] = (1, None),
        saturation_limit: float = 1.0,
        release: float | None = 0.6,
        n_classes: int = 0,
        readout: str = "counts",
        smoothing: float = 0.1,
        label_code: str = "sampled",
        backoff: str = "relative",
        backoff_ratio: float = 0.7,
        backoff_thresholds: tuple[float, float, float] = (0.9, 0.9, 0.9),
        learn_context: str = "onset",
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
        self.n_modules = n_modules
        self.units_per_module = units_per_module
        self.u_exponent = u_exponent
        self.h_exponent = h_exponent
        self.persistence = persistence
        self.activation_bounds = activation_bounds
        self.saturation_limit = saturation_limit
        self.release = release
        self.n_classes = n_classes
        self.readout = readout
        self.smoothing = smoothing
        self.label_code = label_code
        self.backoff = backoff
        self.backoff_ratio = backoff_ratio
        self.backoff_thresholds = backoff_thresholds
        self.learn_context = learn_context
        self.hypotheses = hypotheses
        self.hypothesis_threshold = hypothesis_threshold
        self.hypothesis_limit = hypothesis_limit
        self.familiarity_floor = familiarity_floor
        self.expansivity_exponent = expansivity_exponent
        self.expansivity_scale = expansivity_scale
        self.sigmoid = sigmoid
        self.transfer = transfer
        self.random_state = random_state

    def _validate_params(self) -> None:
        super()._validate_params()
        validate.integer(self.n_classes, "n_classes", 0)
        validate.choice(self.readout, "readout", READOUTS)
        validate.number(self.smoothing, "smoothing", low=0, low_open=True)
        validate.choice(self.label_code, "label_code", UPPER_INPUTS)

    def _level_list(self) -> Sequence[SparseyLevel]:
        return [
            SparseyLevel(
                self.n_modules,
                self.units_per_module,
                u_exponent=self.u_exponent,
                h_exponent=self.h_exponent,
                persistence=self.persistence,
                activation_bounds=self.activation_bounds,
                saturation_limit=self.saturation_limit,
                release=self.release,
            )
        ]

    # ---------------------------------------------------------------- labels

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as this memory stands: ``predict`` before any label was learned."""
        return () if getattr(self, "labels_", None) is not None else ("predict",)

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        super().reset()
        self.__dict__.pop("labels_", None)

    def write(self, items: Any, targets: Any = None, *, tags: Any = None, lengths: Any = None) -> np.ndarray:
        """Store frames in one presentation each, in order.

        Parameters
        ----------
        items : array of 0 and 1 (n, n_features), or ActiveRows
            The first ones decide where the memory lives: on a GPU if they are CuPy's.
        targets : integers (number of sequences,), optional
            The class of each sequence, in 0 ... n_classes - 1; needs ``lengths``.
        tags : None
        lengths : list of int, optional
            Lengths of sequences that the frames consist of.  None: they continue the present episode;
            :meth:`begin_episode` ends one.

        Returns
        -------
        ids : int64 (n,)
            Running numbers of the frames.

        Raises
        ------
        InputError
            If the frames are not binary or have another width, lengths do not sum to n, or labels do not fit.
        BackendError
            If they live on another device than the memory.
        """
        if targets is None:
            return super().write(items, tags=tags, lengths=lengths)
        if tags is not None:
            raise InputError("SparseySequenceMemory stores no tags")
        if self.n_classes < 1 or lengths is None:
            raise InputError("targets are labels of sequences: they need lengths, and n_classes from 1 up")
        frames = self._frames(items)
        per_sequence = checked_lengths(lengths, len(frames))
        classes = to_host(as_array(targets))
        fits = classes.shape == per_sequence.shape and classes.dtype.kind in "iu"
        if not fits or (len(classes) and not 0 <= classes.min() <= classes.max() < self.n_classes):
            raise InputError(
                f"targets has shape {classes.shape}; {len(per_sequence)} integers below {self.n_classes}, one per sequence, "
                "were expected"
            )
        field = getattr(self, "labels_", None) or LabelField(
            self.n_modules, self.units_per_module, self.n_classes, self.readout, self.smoothing
        )
        field._validate_params()
        first = self.n_stored_ if self._is_fitted() else 0
        trace = self.present(frames, True, lengths=lengths)
        codes = trace.codes if self.label_code == "sampled" else trace.recalled
        field.learn(codes[0], np.repeat(classes, per_sequence))
        self.labels_ = field
        ids: np.ndarray = array_module(self.weights_).arange(first, first + len(frames), dtype=np.int64)
        return ids

    def class_scores(self, items: Any, *, lengths: Any = None) -> np.ndarray:
        """Input to each class cell, summed over the frames of each sequence, float64 (number of sequences, n_classes).

        Parameters
        ----------
        items : array of 0 and 1 (n, n_features), or ActiveRows
        lengths : list of int, optional
            None: each frame is a sequence by itself.
        """
        if getattr(self, "labels_", None) is None:
            raise InputError("no labels were learned; give targets to write")
        frames = self._frames(items)
        per_sequence = checked_lengths(np.ones(len(frames), np.int64) if lengths is None else lengths, len(frames))
        _, history = self._read(frames, per_sequence)
        scores = self.labels_.scores(self._trace_of(history).codes[0])
        if not len(per_sequence):
            return scores
        starts = np.concatenate([[0], np.cumsum(per_sequence)])[:-1]
        if is_device_array(scores):
            xp = array_module(scores)
            frame = np.arange(len(frames)) - np.repeat(starts, per_sequence)
            apart = xp.zeros((len(per_sequence), int(per_sequence.max()), self.n_classes), np.float64)
            apart[xp.asarray(np.repeat(np.arange(len(per_sequence)), per_sequence)), xp.asarray(frame)] = scores
            summed: np.ndarray = apart.sum(axis=1)
            return summed
        found: np.ndarray = np.add.reduceat(scores, starts, axis=0)
        return found

    def predict(self, items: Any, *, lengths: Any = None) -> np.ndarray:
        """The class of each sequence, int64; arguments as of :meth:`class_scores`."""
        found: np.ndarray = self.class_scores(items, lengths=lengths).argmax(axis=1)
        return found

    def _after_load(self) -> None:
        super()._after_load()
        field = getattr(self, "labels_", None)
        if field is None:
            return
        shape = (self.n_modules, self.units_per_module, self.n_classes, self.readout, self.smoothing)
        if not isinstance(field, LabelField) or shape != (
            field.n_modules,
            field.units_per_module,
            field.n_classes,
            field.readout,
            field.smoothing,
        ):
            raise FormatError("labels_ is not a label field of this memory's shape")
