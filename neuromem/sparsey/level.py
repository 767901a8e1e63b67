"""What a level of a network is made of: its macs, what they see, how long their codes last."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.base import Estimator
from neuromem.errors import InputError


class FieldGrid(Estimator):
    """Receptive fields on a grid: one mac per place where the field fits.

    Parameters
    ----------
    shape : (int, int), default (28, 28)
        Rows and columns of what is seen: of a picture, or of the grid of macs below.
    receptive_field : (int, int), default (9, 9)
    stride : (int, int), default (3, 3)
    channels : int, default 1
        Maps of that shape, one after the other.

    Examples
    --------
    >>> from neuromem.sparsey import FieldGrid
    >>> FieldGrid((4, 4), (2, 2), (2, 2)).fields(16)[0].tolist()
    [0, 1, 4, 5]
    """

    def __init__(
        self,
        shape: tuple[int, int] = (28, 28),
        receptive_field: tuple[int, int] = (9, 9),
        stride: tuple[int, int] = (3, 3),
        channels: int = 1,
    ) -> None:
        self.shape = shape
        self.receptive_field = receptive_field
        self.stride = stride
        self.channels = channels

    def _validate_params(self) -> None:
        for name in ("shape", "receptive_field", "stride"):
            validate.pair(getattr(self, name), name)
        validate.integer(self.channels, "channels", 1)
        if self.receptive_field[0] > self.shape[0] or self.receptive_field[1] > self.shape[1]:
            raise InputError(f"receptive_field {self.receptive_field} is larger than shape {self.shape}")

    def _starts(self) -> tuple[range, range]:
        (rows, columns), (height, width), (down, right) = self.shape, self.receptive_field, self.stride
        return range(0, rows - height + 1, down), range(0, columns - width + 1, right)

    @property
    def n_macs(self) -> int:
        """Number of macs."""
        tops, lefts = self._starts()
        return len(tops) * len(lefts)

    def fields(self, n_sources: int) -> list[np.ndarray]:
        """What each mac sees, int32 arrays, macs in reading order.

        Raises
        ------
        InputError
            If there are not ``channels * rows * columns`` sources.
        """
        self._validate_params()
        rows, columns = self.shape
        if n_sources != self.channels * rows * columns:
            raise InputError(
                f"a FieldGrid with {self.channels} channels of {rows} x {columns} sees {self.channels * rows * columns} "
                f"sources, there are {n_sources}"
            )
        tops, lefts = self._starts()
        y, x = (np.arange(side, dtype=np.int32) for side in self.receptive_field)
        first = (np.arange(self.channels, dtype=np.int32)[:, None] * rows + y)[:, :, None] * columns + x
        return [(first + top * columns + left).ravel() for top in tops for left in lefts]


class SparseyLevel(Estimator):
    """One level of a :class:`SparseyNetwork`: parameters only, the network holds what is learned.

    Parameters
    ----------
    n_modules : int, default 16
        Q, competitive modules of each mac.
    units_per_module : int, default 24
        K, cells that compete in each.
    receptive_fields : None, FieldGrid, or list, default None
        What the macs see: of the input on the first level, of the macs below on the others.  None: one mac that sees
        everything.  A list has one entry per mac, a list of numbers, or FieldGrids whose macs follow one another.
    persistence : int, default 1
        Steps that a code lasts.
    u_exponent, h_exponent, d_exponent : float > 0, default 4.0, 2.0, 2.0
        lambda_U, lambda_H, lambda_D: how sharply V falls with each signal.
    horizontal : bool, default True
        Whether a mac hears its own previous code (H).
    top_down : bool, default True
        Whether it hears the previous codes of the macs that see it (D).
    activation_bounds : (int, int or None), default (1, None)
        pi: lowest and highest number of active features (first level) or active macs (above) that wake a mac.
    saturation_limit : float in (0, 1], default 1.0
        A cell stops learning once this share of its weights from below is set.
    release : float in [0, 1] or None, default 0.6
        On reads a held code is dropped before its time when the share of set weights from what is active now falls
        below this.  None: never, as published.
    critical_period : int or None, default None
        Steps of the network after which this level learns no more.

    Examples
    --------
    >>> from neuromem.sparsey import SparseyLevel
    >>> SparseyLevel(8, 16, persistence=4)
    SparseyLevel(n_modules=8, units_per_module=16, persistence=4)
    """

    def __init__(
        self,
        n_modules: int = 16,
        units_per_module: int = 24,
        receptive_fields: FieldGrid | Sequence[Any] | None = None,
        *,
        persistence: int = 1,
        u_exponent: float = 4.0,
        h_exponent: float = 2.0,
        d_exponent: float = 2.0,
        horizontal: bool = True,
        top_down: bool = True,
        activation_bounds: tuple[int, int | None] = (1, None),
        saturation_limit: float = 1.0,
        release: float | None = 0.6,
        critical_period: int | None = None,
    ) -> None:
        self.n_modules = n_modules
        self.units_per_module = units_per_module
        self.receptive_fields = receptive_fields
        self.persistence = persistence
        self.u_exponent = u_exponent
        self.h_exponent = h_exponent
        self.d_exponent = d_exponent
        self.horizontal = horizontal
        self.top_down = top_down
        self.activation_bounds = activation_bounds
        self.saturation_limit = saturation_limit
        self.release = release
        self.critical_period = critical_period

    def _validate_params(self) -> None:
        validate.integer(self.n_modules, "n_modules", 1)
        validate.integer(self.units_per_module, "units_per_module", 1, 65535)
        validate.integer(self.persistence, "persistence", 1)
        for name in ("u_exponent", "h_exponent", "d_exponent"):
            validate.number(getattr(self, name), name, low=0, low_open=True)
        for name in ("horizontal", "top_down"):
            validate.choice(getattr(self, name), name, (True, False))
        validate.number(self.saturation_limit, "saturation_limit", low=0, high=1, low_open=True)
        if self.release is not None:
            validate.number(self.release, "release", low=0, high=1)
        if self.critical_period is not None:
            validate.integer(self.critical_period, "critical_period", 0)
        if self.horizontal and self.n_modules < 2:
            raise InputError("horizontal=True needs n_modules from 2 up: a module gets nothing from its own cells")
        if len(self.activation_bounds) != 2:
            raise InputError(f"activation_bounds has {len(self.activation_bounds)} values, (lowest, highest) was expected")
        low, high = self.activation_bounds
        validate.integer(low, "activation_bounds[0]", 1)
        if high is not None:
            validate.integer(high, "activation_bounds[1]", low)
        for part in field_parts(self.receptive_fields):
            if isinstance(part, FieldGrid):
                part._validate_params()
            elif not isinstance(part, Iterable) or isinstance(part, str):
                raise InputError(f"receptive_fields has {part!r}, a FieldGrid or a list of numbers was expected")

    def n_connections(self, n_sources: int) -> int:
        """Number of pairs of a mac and what it sees, without making the fields."""
        if self.receptive_fields is None:
            return n_sources
        parts = field_parts(self.receptive_fields)
        return sum(
            p.n_macs * p.channels * p.receptive_field[0] * p.receptive_field[1] if isinstance(p, FieldGrid) else len(p)
            for p in parts
        )

    def fields(self, n_sources: int) -> list[np.ndarray]:
        """What each mac sees of ``n_sources`` features or macs, int32 arrays.

        Raises
        ------
        InputError
            For a field that is empty, names a source twice, or one that does not exist.
        """
        if self.receptive_fields is None:
            return [np.arange(n_sources, dtype=np.int32)]
        found: list[np.ndarray] = []
        for part in field_parts(self.receptive_fields):
            if isinstance(part, FieldGrid):
                found += part.fields(n_sources)
                continue
            field = np.asarray(part)
            whole = field.ndim == 1 and len(field) > 0 and field.dtype.kind in "iu"
            if not whole or field.min() < 0 or field.max() >= n_sources or len(np.unique(field)) < len(field):
                raise InputError(
                    f"receptive_fields: field {len(found)} must name some of the {n_sources} sources, each by its number and once"
                )
            found.append(field.astype(np.int32))
        if not found:
            raise InputError("receptive_fields is empty; one field per mac was expected")
        return found


def field_parts(receptive_fields: Any) -> list[Any]:
    """Fields and grids as a list."""
    if receptive_fields is None:
        return []
    if isinstance(receptive_fields, FieldGrid):
        return [receptive_fields]
    if not isinstance(receptive_fields, (list, tuple)):
        raise InputError(f"receptive_fields is {receptive_fields!r}, None, a FieldGrid or a list was expected")
    return list(receptive_fields)
