"""Several grids of receptive fields look at the same picture, and their label fields vote."""

from typing import Any, ClassVar

import numpy as np

from neuromem.backend import array_module
from neuromem.errors import FormatError, InputError
from neuromem.random import RandomState, seed_sequence_of
from neuromem.sparsey.active import ActiveRows
from neuromem.sparsey.classifier import SparseyClassifier
from neuromem.sparsey.encode import OrientedEdgeEncoder
from neuromem.sparsey.labelled import LabelledMemory, standardised
from neuromem.sparsey.layer import SparseyLayer


class MultiScaleSparseyClassifier(LabelledMemory):
    """Networks with different receptive fields and encoders, each learned in one presentation; their label fields vote.

    The vote is the sum over networks of each item's class scores, brought to mean 0 and spread 1 in every network.

    Parameters
    ----------
    networks : list of SparseyClassifier or None, default None
        Templates, never changed.  None: those of :meth:`default_networks`, for pictures of 28 x 28.
    random_state : None, int, SeedSequence or Generator, default None
        Seeds of networks that have none of their own.

    Attributes
    ----------
    networks_ : list of SparseyClassifier
        The fitted networks.
    classes_ : (n_classes,)
    items_stored_, items_labelled_, presentations_ : int
        As in the networks, which all see the same stream.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import MultiScaleSparseyClassifier
    >>> pictures = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    >>> labels = np.arange(30) % 3
    >>> MultiScaleSparseyClassifier(random_state=0).fit(pictures, labels).predict(pictures[:2]).shape
    (2,)
    """

    _STATE: ClassVar[dict[str, tuple[Any, int]]] = {}
    _CHILDREN = ("networks_",)

    def __init__(self, networks: list[SparseyClassifier] | None = None, *, random_state: RandomState = None) -> None:
        self.networks = networks
        self.random_state = random_state

    @staticmethod
    def default_networks() -> list[SparseyClassifier]:
        """Fields of 12 x 12 with stride 4 and of 14 x 14 with stride 7, each on edges of pictures as they are and straightened.

        Returns
        -------
        list of SparseyClassifier
            Templates for pictures of 28 x 28, with ``delta`` labels.
        """
        networks = []
        # as they are, pictures profit from finer directions
        for encoder in (OrientedEdgeEncoder(12, threshold=20.0), OrientedEdgeEncoder(8, threshold=20.0, deskew=True)):
            coarse = SparseyLayer((28, 28), encoder.n_bins, (12, 12), (4, 4), 16, 192, saturation_limit=0.10)
            coarser = SparseyLayer((28, 28), encoder.n_bins, (14, 14), (7, 7), 64, 192, saturation_limit=0.10)
            networks += [SparseyClassifier(layer, encoder=encoder, readout="delta") for layer in (coarse, coarser)]
        return networks

    def _validate_params(self) -> None:
        if self.networks is None:
            return
        if not isinstance(self.networks, (list, tuple)) or not self.networks:
            raise InputError(f"networks is {self.networks!r}, a list of SparseyClassifier was expected")
        for network in self.networks:
            if not isinstance(network, SparseyClassifier):
                raise InputError(f"networks has {network!r}, a SparseyClassifier was expected")
            network._validate_params()

    def _is_fitted(self) -> bool:
        return bool(getattr(self, "networks_", None))

    def _clear(self) -> None:
        self.__dict__.pop("networks_", None)
        self.__dict__.pop("classes_", None)

    def reset(self) -> None:
        """Forget everything; parameters stay."""
        self._clear()

    def _after_load(self) -> None:
        if not self._is_fitted():
            return
        first = self.networks_[0]
        for network in self.networks_:
            if not isinstance(network, SparseyClassifier) or not network._is_fitted():
                raise FormatError("networks_ has something else than fitted classifiers")
            if not np.array_equal(network.classes_, first.classes_) or network.n_features_in_ != first.n_features_in_:
                raise FormatError("networks_ differ in their classes or in the width of items")
        self.classes_ = first.classes_

    def _partial_fit(self, X: np.ndarray, y: np.ndarray) -> None:
        if not self._is_fitted():
            templates = self.default_networks() if self.networks is None else self.networks
            words = seed_sequence_of(self.random_state).generate_state(len(templates))
            made = []
            for template, word in zip(templates, words, strict=True):
                network = SparseyClassifier(**template.get_params(deep=False))
                if network.random_state is None:
                    network.random_state = int(word)
                network.classes_ = self.classes_
                network._start(X, len(self.classes_))
                made.append(network)
            self.networks_ = made
        encoded = self._encode(X)
        for network, active in zip(self.networks_, encoded, strict=True):
            network.learn_active(active, y)

    def _encode(self, X: Any) -> list[ActiveRows]:
        """Items in each network's encoding; networks with equal fitted encoders share one."""
        done: dict[str, ActiveRows] = {}
        result = []
        for network in self.networks_:
            encoder = network.encoder_
            # a thermometer's ranges come from the same data, so equal parameters mean equal encoders
            if repr(encoder) not in done:
                done[repr(encoder)] = network._encoded(X)
            result.append(done[repr(encoder)])
        return result

    def decision_scores(self, X: Any) -> np.ndarray:
        """Sum of the networks' standardised scores, float64 (n, n_classes)."""
        self._check_fitted()
        X = self._as_items(X, self.n_features_in_)
        total = array_module(X).zeros((len(X), len(self.classes_)))
        for network, active in zip(self.networks_, self._encode(X), strict=True):
            total += standardised(network.scores_of_active(active))
        return total

    @property
    def n_features_in_(self) -> int:
        """Width of items."""
        self._check_fitted()
        return int(self.networks_[0].n_features_in_)

    @property
    def items_stored_(self) -> int:
        """Items that the macs of each network stored."""
        return int(self.networks_[0].items_stored_)

    @property
    def items_labelled_(self) -> int:
        """Labels that the field of each network learned."""
        return int(self.networks_[0].items_labelled_)

    @property
    def presentations_(self) -> int:
        """Times that an item was shown while learning."""
        return int(self.networks_[0].presentations_)
