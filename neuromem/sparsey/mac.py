"""One mac whose receptive field is the whole input."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState
from neuromem.sparsey.code_memory import CodeMemory


class SparseyMac(CodeMemory):
    """A macrocolumn: Q competitive modules of K cells; an item's code is one winner per module.

    An item is stored in one presentation, and read in a time that does not depend on how many are stored.  The more
    familiar an item is, the less noise there is in choosing its winners, so similar items get overlapping codes.

    Parameters
    ----------
    n_inputs : int or None, default None
        Width of items; None: that of the first batch.
    n_modules : int, default 24
        Q, competitive modules (CMs).
    units_per_module : int, default 32
        K, cells that compete in each.
    u_exponent : float, default 8.0
        lambda_U > 0: how sharply V falls with a smaller overlap.  At 1 codes grade similarity; at 8 a code is near
        all-or-none, which keeps a busy memory from collapsing.
    familiarity_floor : float in [0, 1), default 0.1
        G_lo: at or below this familiarity winners are drawn uniformly.
    expansivity_exponent : float > 0, default 2.0
        gamma of eta = 1 + ((G - G_lo) / (1 - G_lo)) ** gamma * chi * K.
    expansivity_scale : float >= 0, default 100.0
        chi.
    sigmoid : four floats, default (0.1, 4.0, 1.0, 8.0)
        s1 ... s4 of psi = 1 + (eta - 1) / (1 + s1 * exp(-s2 * (V - s3))) ** s4.
    transfer : {"psi", "logistic"}, default "psi"
        "logistic" replaces psi by max(1, eta / (1 + exp(-s2 * (V - s3)))).
    activation_bounds : (int, int or None), default (1, None)
        pi: lowest and highest number of active inputs that wake a mac; otherwise it stays silent and learns nothing.
    normalization : {"input", "fixed"}, default "input"
        U = count / active inputs, or count / ``activation_bounds[0]`` clipped at 1.
    freeze : {"cell", "mac", None}, default "cell"
        What stops learning once ``saturation_limit`` of its weights are set.
    saturation_limit : float in (0, 1], default 0.25
    critical_period : int or None, default None
        Presentations after which nothing more is learned; None: never.
    decay : {"none", "permanence", "convex"}, default "none"
        Binary weights for ever, or weights that fade unless their coincidence returns (5 bytes per weight, slower).
    winners : {"csa", "uniform", "random_patches", "random_weights"}, default "csa"
        How a learning item's winners are found: by the code selection algorithm, or one of three controls: drawn
        uniformly; or cells imprinted with one random item, or with as many random inputs, of the first batch.
    keep_codes : bool, default False
        Keep every written code for :meth:`likelihood` and :meth:`nearest_stored`; memory then grows with the items.
    random_state : None, int, SeedSequence or Generator, default None

    Attributes
    ----------
    weights_ : uint64 (1, n_inputs + 1, n_words)
        Binary weights, one bit per cell.
    step_ : int
        Items stored.
    n_silent_ : int
        Items that did not wake the mac.

    Raises
    ------
    InputError
        At the first write, for a parameter out of range or items that are not binary.

    Notes
    -----
    Code selection, for an item with S active inputs: u(i) counts the active inputs that cell i has a weight from;
    V = (u / S) ** lambda_U; G is the mean over modules of the largest V; winners are drawn with probability
    proportional to psi(V, eta(G)), and every active input becomes connected to every winner.  Recall takes the largest
    V of each module; ties go to the first cell in an order drawn at set-up.  Random inputs of density r fill the
    weights as 1 - (1 - r) ** (N / K), so capacity is about 0.92 K / r items whatever Q is.

    "Sparsey" is a trademark of its author; this is an independent implementation.

    References
    ----------
    Rinkus, G. J. (2014). Sparsey: event recognition via deep hierarchical sparse distributed codes. Frontiers in
    Computational Neuroscience 8:160.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import SparseyMac
    >>> items = (np.random.default_rng(0).random((20, 144)) < 0.1).astype(np.uint8)
    >>> memory = SparseyMac(random_state=0)
    >>> memory.write(items[:10])
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    >>> bool(memory.familiarity(items[:10]).min() > 0.99), bool(memory.familiarity(items[10:]).max() < 0.2)
    (True, True)
    """

    def __init__(
        self,
        n_inputs: int | None = None,
        n_modules: int = 24,
        units_per_module: int = 32,
        *,
        u_exponent: float = 8.0,
        familiarity_floor: float = 0.1,
        expansivity_exponent: float = 2.0,
        expansivity_scale: float = 100.0,
        sigmoid: tuple[float, float, float, float] = (0.1, 4.0, 1.0, 8.0),
        transfer: str = "psi",
        activation_bounds: tuple[int, int | None] = (1, None),
        normalization: str = "input",
        freeze: str | None = "cell",
        saturation_limit: float = 0.25,
        critical_period: int | None = None,
        decay: str = "none",
        winners: str = "csa",
        keep_codes: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.n_inputs = n_inputs
        self.n_modules = n_modules
        self.units_per_module = units_per_module
        self.u_exponent = u_exponent
        self.familiarity_floor = familiarity_floor
        self.expansivity_exponent = expansivity_exponent
        self.expansivity_scale = expansivity_scale
        self.sigmoid = sigmoid
        self.transfer = transfer
        self.activation_bounds = activation_bounds
        self.normalization = normalization
        self.freeze = freeze
        self.saturation_limit = saturation_limit
        self.critical_period = critical_period
        self.decay = decay
        self.winners = winners
        self.keep_codes = keep_codes
        self.random_state = random_state

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.n_inputs is not None:
            validate.integer(self.n_inputs, "n_inputs", 1)

    def _expected_width(self) -> int | None:
        return self.n_inputs

    def _field_table(self, n_features: int) -> np.ndarray:
        return np.arange(n_features, dtype=np.int32)[None]

    def _grid_size(self, n_features: int) -> tuple[int, int]:
        return 1, n_features

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None, **params: Any) -> "SparseyMac":
        """The mac with the most units per module whose state stays within ``n_bytes``.

        Raises
        ------
        CapacityError
            If not even two units per module fit.
        """
        return cls._largest_within(n_bytes, item_spec, n_inputs=item_spec.n_features, random_state=random_state, **params)
