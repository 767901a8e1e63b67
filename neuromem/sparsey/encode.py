"""Make binary items from pictures and tables: functions, and encoders that an estimator can carry."""

import math
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import array_module, backend_of, refuse_device
from neuromem.base import Estimator
from neuromem.errors import FormatError, InputError, MissingDependencyError
from neuromem.parallel import kernel_threads
from neuromem.sparsey.active import ActiveRows
from neuromem.sparsey.encode_actions import change_maps, deviation_maps, foreground, normalize_silhouettes

__all__ = [
    "IdentityEncoder",
    "OrientedEdgeEncoder",
    "SkeletonEncoder",
    "ThermometerEncoder",
    "binarize",
    "change_maps",
    "deskew",
    "deviation_maps",
    "foreground",
    "normalize_silhouettes",
    "oriented_edges",
    "skeletonize_to",
    "thermometer",
]

IMAGES_PER_BLOCK = 4096
NUMBERS_PER_BLOCK = 1 << 24  # of edge lists held at a time, 64 MiB
NS_PER_PIXEL = 2.5  # to find edges, on one thread


def grey_pictures(images: Any, name: str = "images") -> np.ndarray:
    """Grey pictures uint8 (n, rows, columns) with at least one pixel each."""
    pictures = validate.images(images, name=name)
    if 0 in pictures.shape[1:]:
        raise InputError(f"{name} has shape {pictures.shape}, pictures with at least one row and column were expected")
    return pictures


def flat_items(X: np.ndarray) -> np.ndarray:
    """One row per item, also where there are none."""
    return X.reshape(len(X), math.prod(X.shape[1:]))


def binarize(images: Any, threshold: int = 100) -> np.ndarray:
    """Pixels brighter than a threshold.

    Parameters
    ----------
    images : uint8 (n, rows, columns) or (n, side * side)
    threshold : int, default 100

    Returns
    -------
    uint8 (n, rows * columns)

    Examples
    --------
    >>> binarize([[[0, 101], [100, 255]]]).tolist()
    [[0, 1, 0, 1]]
    """
    validate.number(threshold, "threshold")
    return flat_items(grey_pictures(images) > threshold).astype(np.uint8)


def skeletonize_to(images: Any, height: int = 24, width: int = 16, threshold: int = 96) -> np.ndarray:
    """Thin strokes of pictures shrunk or stretched to ``height`` rows and ``width`` columns.

    Area-averaging resize (OpenCV), threshold, skeleton (scikit-image).  With the defaults an MNIST digit keeps about
    24 pixels, as in the 16 wide by 24 high skeletons of Rinkus and Leveille (2017).

    Parameters
    ----------
    images : uint8 (n, rows, columns) or (n, side * side)
    height, width : int
    threshold : int, default 96

    Returns
    -------
    uint8 (n, height * width)

    Raises
    ------
    BackendError
        For pictures on a GPU: the packages work on the host.
    MissingDependencyError
        Without OpenCV or scikit-image.
    """
    refuse_device(images, "images", "skeletonize_to")
    try:
        import cv2
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise MissingDependencyError(f'skeletonize_to: {error}; pip install "neuromem[media,data]"') from None
    validate.integer(height, "height", 1)
    validate.integer(width, "width", 1)
    validate.number(threshold, "threshold")
    pictures = grey_pictures(images)
    skeletons = np.zeros((len(pictures), height, width), np.uint8)
    for picture, out in zip(pictures, skeletons, strict=True):
        out[:] = skeletonize(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) > threshold)
    return flat_items(skeletons)


def deskew(images: Any) -> np.ndarray:
    """Shear each picture until its ink has no slant (second moments), with bilinear interpolation.

    Parameters
    ----------
    images : uint8 (n, rows, columns) or (n, side * side)

    Returns
    -------
    uint8 (n, rows, columns)
    """
    pictures = grey_pictures(images)
    straight: np.ndarray = array_module(pictures).empty_like(pictures)
    kernels = backend_of(pictures).kernels("sparsey")
    with kernel_threads(NS_PER_PIXEL * pictures.size):
        kernels.deskew_images(pictures, straight)
    return straight


def oriented_edges(images: Any, n_bins: int = 8, threshold: float = 60.0) -> np.ndarray:
    """Signed gradient orientation maps: feature number = bin * rows * columns + row * columns + column.

    Parameters
    ----------
    images : uint8 (n, rows, columns) or (n, side * side)
    n_bins : int, default 8
        Directions; bin = floor((atan2(gy, gx) + pi) / (2 pi) * n_bins + 0.5) % n_bins.
    threshold : float, default 60
        Shortest 3 x 3 Sobel gradient, divided by 4, that makes an edge.

    Returns
    -------
    uint8 (n, n_bins * rows * columns)
    """
    return OrientedEdgeEncoder(n_bins, threshold).fit(images).transform(images)


def thermometer(X: Any, n_levels: int, low: Any, high: Any) -> np.ndarray:
    """Unary code of real numbers: level i of a feature is on where the value exceeds low + (high - low) i / (n_levels + 1).

    Parameters
    ----------
    X : real (n, d)
    n_levels : int
    low, high : float or (d,)
        Ranges; a feature whose ``low`` is its ``high`` has every level on above it and none at or below it.

    Returns
    -------
    uint8 (n, d * n_levels)

    Raises
    ------
    InputError
        If ``low`` or ``high`` is not finite, not one number per feature, or ``low`` exceeds ``high``.

    Examples
    --------
    >>> thermometer([[0.0], [0.5], [1.0]], 3, 0.0, 1.0).tolist()
    [[0, 0, 0], [1, 0, 0], [1, 1, 1]]
    """
    X = validate.real_items(X)
    validate.integer(n_levels, "n_levels", 1)
    xp = array_module(X)
    low, high = (range_ends(end, X.shape[1], name, xp) for end, name in ((low, "low"), (high, "high")))
    if (low > high).any():
        raise InputError(f"low exceeds high for feature {int((low > high).argmax())}: ranges from low up to high were expected")
    # halves before the difference: the range of a feature may be wider than the largest float
    step = xp.arange(1, n_levels + 1) / (n_levels + 1)
    thresholds = low[:, None] / 2 + (high / 2 - low / 2)[:, None] * step
    return flat_items(X[:, :, None] / 2 > thresholds).astype(np.uint8)


def range_ends(value: Any, n_features: int, name: str, xp: Any) -> np.ndarray:
    """One finite number per feature, float64 (n_features,), as an array of the module ``xp``."""
    try:
        ends = xp.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}, a number or one per feature was expected") from None
    if ends.shape not in ((), (n_features,)) or not xp.isfinite(ends).all():
        raise InputError(f"{name} has shape {ends.shape}, one finite number or {n_features} of them were expected")
    spread: np.ndarray = xp.broadcast_to(ends, (n_features,))
    return spread


class Encoder(Estimator):
    """Base of the encoders: what they share as parts of an estimator."""

    _SCALARS = ("n_features_in_", "shape_", "channels_")
    _ON_GPU = True
    n_features_in_: int
    shape_: list[int]
    channels_: int

    def _is_fitted(self) -> bool:
        return hasattr(self, "n_features_in_")

    @property
    def n_features_out_(self) -> int:
        """Width of the binary items."""
        self._check_fitted()
        return int(self.channels_ * self.shape_[0] * self.shape_[1])

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        if not scalars:
            return
        shape = scalars.get("shape_")
        sizes = [
            scalars.get("n_features_in_"),
            scalars.get("channels_"),
            *(shape if isinstance(shape, list) else [None]),
        ]
        if len(sizes) != 4 or not all(type(n) is int and 0 < n < 2**31 for n in sizes):
            raise FormatError("the sizes of an encoder are not positive integers")

    def fit(self, X: Any, y: Any = None) -> "Encoder":
        """Take sizes, and where needed ranges, from X."""
        raise TypeError(f"{type(self).__name__} cannot be fitted")

    def transform(self, X: Any) -> np.ndarray:
        """Binary items, uint8 (n, ``n_features_out_``)."""
        return self.active(X).to_dense()

    def active(self, X: Any) -> ActiveRows:
        """The same as lists of active features."""
        return ActiveRows.from_dense(self.transform(X))


class PictureEncoder(Encoder):
    """Base of encoders that take grey pictures."""

    def _pictures(self, X: Any) -> np.ndarray:
        self._check_fitted()
        pictures = grey_pictures(X, "X")
        width = pictures.shape[1] * pictures.shape[2]
        if width != self.n_features_in_:
            raise InputError(
                f"X has {width} features, but {type(self).__name__} is expecting {self.n_features_in_} features as input"
            )
        return pictures


class OrientedEdgeEncoder(PictureEncoder):
    """Grey pictures to maps of oriented edges (see :func:`oriented_edges`), optionally straightened first.

    Parameters
    ----------
    n_bins : int, default 8
    threshold : float, default 60
    deskew : bool, default False

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.sparsey.encode import OrientedEdgeEncoder
    >>> picture = np.zeros((1, 8, 8), np.uint8)
    >>> picture[:, :, 4:] = 255
    >>> OrientedEdgeEncoder().fit(picture).transform(picture).sum()
    np.uint64(12)
    """

    def __init__(self, n_bins: int = 8, threshold: float = 60.0, deskew: bool = False) -> None:
        self.n_bins = n_bins
        self.threshold = threshold
        self.deskew = deskew

    def _validate_params(self) -> None:
        validate.integer(self.n_bins, "n_bins", 2)
        validate.number(self.threshold, "threshold", low=0)
        validate.choice(self.deskew, "deskew", (False, True))

    def fit(self, X: Any, y: Any = None) -> "OrientedEdgeEncoder":
        """Take the pictures' size."""
        self._validate_params()
        pictures = grey_pictures(X, "X")
        if self.n_bins * pictures.shape[1] * pictures.shape[2] >= 2**31:
            raise InputError(
                f"X has pictures of shape {pictures.shape[1:]}: with n_bins={self.n_bins} that is over 2**31 features"
            )
        self.shape_ = list(pictures.shape[1:])
        self.channels_ = int(self.n_bins)
        self.n_features_in_ = int(pictures.shape[1] * pictures.shape[2])
        return self

    def active(self, X: Any) -> ActiveRows:
        """Edges of each picture as lists of feature numbers."""
        pictures = self._pictures(X)
        angle = -np.pi + 2 * np.pi * np.arange(self.n_bins) / self.n_bins
        # rounding makes mirrored directions equal, so that a gradient on a border between bins is a true tie; 12 decimals:
        # well above the error of cos and sin, well below the 1e-7 by which any other gradient misses a border
        directions = np.round(np.stack([np.cos(angle), np.sin(angle)], axis=1), 12)
        backend = backend_of(pictures)
        xp, kernels = backend.xp, backend.kernels("sparsey")
        directions = xp.asarray(directions)
        most = max(1, (pictures.shape[1] - 2) * (pictures.shape[2] - 2))
        size = max(1, min(len(pictures), IMAGES_PER_BLOCK, NUMBERS_PER_BLOCK // most))
        lists = xp.empty((size, most), np.int32)
        blocks, counts = [], xp.zeros(len(pictures), np.int64)
        with kernel_threads(NS_PER_PIXEL * pictures.size):
            for start in range(0, len(pictures), size):
                block = pictures[start : start + size]
                found = counts[start : start + len(block)]
                kernels.edge_lists(block, float(self.threshold), directions, bool(self.deskew), lists, found)
                starts = running_sum(found)
                indices = xp.empty(int(starts[-1]), np.int32)  # the one number of a block that the host must know
                kernels.gather_lists(lists[: len(block)], starts, indices)
                blocks.append(indices)
        indices = xp.concatenate([xp.empty(0, np.int32), *blocks])
        return ActiveRows._trusted(indices, running_sum(counts), self.n_features_out_)


def running_sum(counts: np.ndarray) -> np.ndarray:
    """Where each of a row of lists starts, and where the last one ends; int64 (n + 1,)."""
    xp = array_module(counts)
    starts: np.ndarray = xp.zeros(len(counts) + 1, np.int64)
    starts[1:] = xp.cumsum(counts)
    return starts


class SkeletonEncoder(PictureEncoder):
    """Grey pictures to thin strokes (see :func:`skeletonize_to`), on the CPU only.

    Parameters
    ----------
    height : int, default 24
    width : int, default 16
    threshold : int, default 96
    """

    _ON_GPU = False

    def __init__(self, height: int = 24, width: int = 16, threshold: int = 96) -> None:
        self.height = height
        self.width = width
        self.threshold = threshold

    def _validate_params(self) -> None:
        validate.integer(self.height, "height", 1)
        validate.integer(self.width, "width", 1)
        validate.integer(self.threshold, "threshold", 0, 255)

    def fit(self, X: Any, y: Any = None) -> "SkeletonEncoder":
        """Take the pictures' size."""
        self._validate_params()
        refuse_device(X, "X", "SkeletonEncoder")
        pictures = grey_pictures(X, "X")
        self.shape_ = [int(self.height), int(self.width)]
        self.channels_ = 1
        self.n_features_in_ = int(pictures.shape[1] * pictures.shape[2])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Skeletons, uint8 (n, height * width)."""
        return skeletonize_to(self._pictures(X), self.height, self.width, self.threshold)


class ThermometerEncoder(Encoder):
    """Tables of real numbers to unary codes, over the range that each feature had when fitted.

    Parameters
    ----------
    n_levels : int, default 16
    two_sided : bool, default True
        Also code every level's opposite, so that small values are as visible as large ones and all items have equally
        many active features.

    Examples
    --------
    >>> from neuromem.sparsey.encode import ThermometerEncoder
    >>> ThermometerEncoder(2).fit([[0.0], [3.0]]).transform([[0.0], [1.5], [3.0]]).tolist()
    [[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]]
    """

    _STATE = {"low_": (np.float64, 1), "high_": (np.float64, 1)}

    def __init__(self, n_levels: int = 16, two_sided: bool = True) -> None:
        self.n_levels = n_levels
        self.two_sided = two_sided

    def _validate_params(self) -> None:
        validate.integer(self.n_levels, "n_levels", 1)
        validate.choice(self.two_sided, "two_sided", (False, True))

    def _check_state(self, arrays: dict[str, np.ndarray], scalars: dict[str, Any]) -> None:
        super()._check_state(arrays, scalars)
        if scalars and any(
            len(arrays[name]) != scalars["n_features_in_"] or not np.isfinite(arrays[name]).all() for name in self._STATE
        ):
            raise FormatError("low_ and high_ are not one finite number per feature")

    def fit(self, X: Any, y: Any = None) -> "ThermometerEncoder":
        """Take each feature's range."""
        self._validate_params()
        X = validate.real_items(X, min_items=1)
        self.low_, self.high_ = X.min(axis=0), X.max(axis=0)
        self.n_features_in_ = X.shape[1]
        self.shape_ = [1, X.shape[1]]
        self.channels_ = int(self.n_levels) * (2 if self.two_sided else 1)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Unary codes, uint8 (n, ``channels_`` * n_features): channel by channel, feature by feature."""
        self._check_fitted()
        X = validate.real_items(X, self.n_features_in_, owner=type(self).__name__)
        backend_of(X=X, encoder=self.low_)
        levels = thermometer(X, self.n_levels, self.low_, self.high_).reshape(*X.shape, self.n_levels).transpose(0, 2, 1)
        if self.two_sided:
            levels = array_module(levels).concatenate([levels, 1 - levels], axis=1)
        items: np.ndarray = array_module(levels).ascontiguousarray(flat_items(levels))
        return items


class IdentityEncoder(Encoder):
    """Items that are binary already; anything else is an error.

    Parameters
    ----------
    shape : (int, int) or None, default None
        Rows and columns of the items; None: one row.
    """

    def __init__(self, shape: tuple[int, int] | None = None) -> None:
        self.shape = shape

    def _validate_params(self) -> None:
        if self.shape is None:
            return
        if not isinstance(self.shape, (tuple, list)) or len(self.shape) != 2:
            raise InputError(f"shape is {self.shape!r}, (rows, columns) or None was expected")
        for n in self.shape:
            validate.integer(n, "shape", 1)

    def fit(self, X: Any, y: Any = None) -> "IdentityEncoder":
        """Take the items' width."""
        self._validate_params()
        X = validate.binary_items(X, owner="IdentityEncoder")
        shape = [1, X.shape[1]] if self.shape is None else [int(n) for n in self.shape]
        if X.shape[1] % (shape[0] * shape[1]):
            raise InputError(f"X has {X.shape[1]} features, which does not fit shape={self.shape}")
        self.shape_, self.channels_, self.n_features_in_ = shape, X.shape[1] // (shape[0] * shape[1]), X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The items, checked, uint8 (n, n_features)."""
        self._check_fitted()
        return validate.binary_items(X, self.n_features_in_, owner="IdentityEncoder")
