"""A grid of macs with overlapping receptive fields."""

from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState
from neuromem.sparsey.code_memory import CodeMemory


class SparseyLayer(CodeMemory):
    """Macs on a grid, each seeing one rectangle of the input (all channels); the algorithm is :class:`SparseyMac`'s.

    Parameters
    ----------
    shape : (int, int), default (28, 28)
        Rows and columns of the input.
    channels : int, default 1
        Feature maps; feature number = channel * rows * columns + row * columns + column.
    receptive_field : (int, int), default (9, 9)
        Rows and columns that one mac sees.
    stride : (int, int), default (3, 3)
        Steps between neighbouring fields; only whole fields are laid.
    n_modules : int, default 8
        Q, competitive modules (CMs) of each mac.
    units_per_module : int, default 64
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
    fields_ : int32 (n_macs, n_afferents)
        Features that each mac sees.
    n_macs_ : int
    step_ : int
        Items stored.
    n_silent_ : int
        Times that a mac stayed silent.

    Raises
    ------
    InputError
        At the first write, for a parameter out of range, a field larger than the grid, or items that are not binary.

    References
    ----------
    Rinkus, G. J. (2014). Sparsey: event recognition via deep hierarchical sparse distributed codes. Frontiers in
    Computational Neuroscience 8:160.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem import SparseyLayer
    >>> items = (np.random.default_rng(0).random((5, 64)) < 0.2).astype(np.uint8)
    >>> layer = SparseyLayer((8, 8), receptive_field=(4, 4), stride=(2, 2), random_state=0).fit(items)
    >>> layer.n_macs_, layer.transform(items).shape
    (9, (5, 72))
    """

    def __init__(
        self,
        shape: tuple[int, int] = (28, 28),
        channels: int = 1,
        receptive_field: tuple[int, int] = (9, 9),
        stride: tuple[int, int] = (3, 3),
        n_modules: int = 8,
        units_per_module: int = 64,
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
        self.shape = shape
        self.channels = channels
        self.receptive_field = receptive_field
        self.stride = stride
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
        for name in ("shape", "receptive_field", "stride"):
            validate.pair(getattr(self, name), name)
        validate.integer(self.channels, "channels", 1)
        if self.receptive_field[0] > self.shape[0] or self.receptive_field[1] > self.shape[1]:
            raise InputError(f"receptive_field {self.receptive_field} is larger than shape {self.shape}")

    def _expected_width(self) -> int | None:
        return self.channels * self.shape[0] * self.shape[1]

    def _field_table(self, n_features: int) -> np.ndarray:
        (rows, columns), (height, width) = self.shape, self.receptive_field
        if n_features != self.channels * rows * columns:
            raise InputError(
                f"X has {n_features} features, SparseyLayer with {self.channels} channels of {rows} x {columns} expects "
                f"{self.channels * rows * columns}"
            )
        numbers = np.arange(n_features, dtype=np.int32).reshape(self.channels, rows, columns)
        fields = [
            numbers[:, top : top + height, left : left + width].ravel()
            for top in range(0, rows - height + 1, self.stride[0])
            for left in range(0, columns - width + 1, self.stride[1])
        ]
        return np.stack(fields)

    def _grid_size(self, n_features: int) -> tuple[int, int]:
        (rows, columns), (height, width) = self.shape, self.receptive_field
        n_macs = ((rows - height) // self.stride[0] + 1) * ((columns - width) // self.stride[1] + 1)
        return n_macs, self.channels * height * width

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None, **params: Any) -> "SparseyLayer":
        """The layer with the most units per module whose state stays within ``n_bytes``.

        Items are taken as square pictures where their width is a square, else as one row seen by a single mac.

        Raises
        ------
        CapacityError
            If not even two units per module fit.
        """
        side = int(round(item_spec.n_features**0.5))
        if side * side == item_spec.n_features and side >= 4:
            half = (side + 1) // 2
            params = {"shape": (side, side), "receptive_field": (half, half), "stride": ((side + 3) // 4,) * 2} | params
        else:
            one_row = (1, item_spec.n_features)
            params = {"shape": one_row, "receptive_field": one_row, "stride": (1, 1)} | params
        return cls._largest_within(n_bytes, item_spec, random_state=random_state, **params)
