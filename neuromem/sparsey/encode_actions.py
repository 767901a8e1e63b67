"""Make binary maps from film: silhouettes of one size and place, what changed, what moves."""

from bisect import insort
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import array_module, as_array, refuse_device
from neuromem.errors import InputError, MissingDependencyError

GRAIN = 32  # weights of a resampled row are whole multiples of 1 / (2 * GRAIN): sums are exact, in any order
FLOATS_AT_ONCE = 1 << 24


def clip_lengths(lengths: Any, n_frames: int) -> np.ndarray:
    """Frames of each clip, int64 (n_clips,); None is one clip of all frames.

    Raises
    ------
    InputError
        If they are not whole numbers from 1 up that sum to ``n_frames``.
    """
    if lengths is None:
        return np.array([n_frames] if n_frames else [], np.int64)
    found = np.asarray(lengths)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu") or (found.size and int(found.min()) < 1):
        raise InputError(f"lengths is {lengths!r}, a list of whole numbers from 1 up was expected")
    if int(found.sum()) != n_frames:
        raise InputError(f"lengths sum to {int(found.sum())}, one clip after the other with {n_frames} frames was expected")
    return found.astype(np.int64)


def frame_stack(frames: Any, name: str) -> np.ndarray:
    """Grey frames uint8 (n, rows, columns) with at least one pixel each."""
    frames = as_array(frames)
    if frames.ndim != 3 or 0 in frames.shape[1:]:
        raise InputError(f"{name} has shape {frames.shape}, (n, rows, columns) with at least one pixel each was expected")
    return validate.images(frames.view(np.uint8) if frames.dtype == np.bool_ else frames, name=name)


def binary_frames(frames: Any, name: str = "frames") -> np.ndarray:
    """Frames of False and True, or 0 and 1, as bool (n, rows, columns)."""
    found = frame_stack(frames, name)
    if found.size and found.max() > 1:
        raise InputError(f"{name} has the value {found.max()}: 0 and 1 were expected, as `pictures > threshold` gives them")
    return found.view(np.bool_)


def body_measures(frames: np.ndarray, smallest: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Median column, bottom row and standing height of each silhouette, float64 (n, 3), and whether it is large enough.

    The height is from the bottom row up to the highest pixel within ``reach`` columns of the median: raised arms do not count.
    """
    rows, columns = frames.shape[1:]
    of_column = frames.sum(axis=1, dtype=np.int64)
    total = of_column.sum(axis=1)
    upto = of_column.cumsum(axis=1)
    lower = (upto < (total[:, None] + 1) // 2).sum(axis=1)
    upper = (upto < total[:, None] // 2 + 1).sum(axis=1)
    middle = (lower + upper) / 2
    near = np.abs(np.arange(columns) - middle[:, None]) <= reach
    at_all = np.asarray(frames.any(axis=2))
    in_reach = np.matmul(frames, near[:, :, None])[:, :, 0]
    in_reach = np.where(in_reach.any(axis=1, keepdims=True), in_reach, at_all)
    bottom = rows - 1 - at_all[:, ::-1].argmax(axis=1)
    return np.stack([middle, bottom, bottom - in_reach.argmax(axis=1)], axis=1).astype(np.float64), total >= smallest


def running_quantiles(values: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Quantile of each column over the rows so far (linear between ranks), float64 like ``values`` (n, k)."""
    found = np.empty(values.shape)
    for column, share in enumerate(shares):
        past: list[float] = []
        for t, value in enumerate(values[:, column].tolist()):
            insort(past, value)
            rank = share * t
            low = int(rank)
            below, above = past[low], past[min(low + 1, t)]
            found[t, column] = below + (above - below) * (rank - low)
    return found


def resampling(scale: np.ndarray, origin: np.ndarray, n_out: int, n_in: int) -> np.ndarray:
    """Weights of input rows in output rows, float32 (n, n_out, n_in): drawn at twice the size by linear interpolation, halved.

    Input row y lies at ``scale * y + origin`` of the output.
    """
    source = (np.arange(2 * n_out) / 2 - origin[:, None]) / scale[:, None]
    steps = np.floor(source * GRAIN + 0.5).astype(np.int64)
    whole, part = steps // GRAIN, steps % GRAIN
    weights = np.zeros((len(scale), n_out, n_in + 2), np.float32)
    item = np.arange(len(scale))[:, None]
    out = np.broadcast_to(np.arange(2 * n_out) // 2, whole.shape)
    for place, weight in ((whole, GRAIN - part), (whole + 1, part)):
        inside = np.clip(place + 1, 0, n_in + 1)  # what lies outside goes to one of two rows that are cut off
        np.add.at(weights, (item, out, inside), (weight / (2 * GRAIN)).astype(np.float32))
    return weights[:, :, 1:-1]


def normalize_silhouettes(
    frames: Any,
    lengths: Any = None,
    size: tuple[int, int] = (40, 40),
    *,
    causal: bool = False,
    body: float = 0.62,
    feet: float = 0.93,
    smallest: int = 30,
    reach: float = 4.0,
) -> np.ndarray:
    """Bring a person's silhouette to one size and place, with one scale and one shift per clip.

    Bounce, sway and bending stay in the picture, because no frame is scaled by itself.  From frames with at least ``smallest``
    pixels: the median column, the bottom row, and the standing height (bottom row to the highest pixel within ``reach``
    columns of the median).  Over the clip: the median of the first, the 60th percentile of the others.  They are mapped to the
    middle column, to ``feet`` and to ``body`` of the picture's height.

    Parameters
    ----------
    frames : bool or uint8 of 0 and 1 (n, rows, columns)
        Silhouettes, one clip after the other.
    lengths : int (n_clips,), optional
        Frames of each clip; None: one clip.
    size : (int, int), default (40, 40)
        Rows and columns of the result.
    causal : bool, default False
        Take the statistics over the frames so far instead of the whole clip, so that a frame never waits for a later one.
    body : float in (0, 1], default 0.62
    feet : float in (0, 1], default 0.93
    smallest : int, default 30
    reach : float, default 4

    Returns
    -------
    uint8 (n, rows, columns)
        Grey levels 0 ... 255, averaged over areas; black where no frame (so far) had ``smallest`` pixels.

    Raises
    ------
    BackendError
        For frames on a GPU.
    InputError
        If frames are not binary, lengths do not sum to their number, or a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.zeros((2, 30, 20), bool)
    >>> frames[:, 8:28, 3:7] = True
    >>> picture = normalize_silhouettes(frames)[0]
    >>> np.flatnonzero(picture.any(axis=1))[[0, -1]].tolist(), np.flatnonzero(picture.any(axis=0))[[0, -1]].tolist()
    ([11, 38], [17, 23])
    """
    refuse_device(frames, "frames", "normalize_silhouettes")
    found = binary_frames(frames)
    counts = clip_lengths(lengths, len(found))
    if len(size) != 2:
        raise InputError(f"size is {size!r}, (rows, columns) was expected")
    rows, columns = (validate.integer(side, "size", 1) for side in size)
    validate.choice(causal, "causal", (False, True))
    validate.number(body, "body", low=0, low_open=True, high=1)
    validate.number(feet, "feet", low=0, low_open=True, high=1)
    validate.integer(smallest, "smallest", 1)
    validate.number(reach, "reach", low=0)
    out = np.zeros((len(found), rows, columns), np.uint8)
    start = 0
    for n in counts.tolist():
        clip = found[start : start + n]
        measures, large = body_measures(clip, smallest, reach)
        if large.any():
            first = int(large.argmax()) if causal else 0
            draw_clip(clip[first:], clip_statistics(measures, large, causal), body, feet, out[start + first : start + n])
        start += n
    return out


def clip_statistics(measures: np.ndarray, large: np.ndarray, causal: bool) -> np.ndarray:
    """Centre, feet and height to draw a clip by, float64 (1, 3), or from the first large frame on (n, 3)."""
    shares = (0.5, 0.6, 0.6)
    if not causal:
        return np.array([[np.quantile(column, share) for column, share in zip(measures[large].T, shares, strict=True)]])
    known = running_quantiles(measures[large], shares)
    return known[np.cumsum(large)[int(large.argmax()) :] - 1]


def draw_clip(clip: np.ndarray, statistics: np.ndarray, body: float, feet: float, out: np.ndarray) -> None:
    """Scale and shift frames by one row of statistics, or by one each."""
    rows, columns = out.shape[1:]
    centre, bottom, height = statistics.T
    scale = body * rows / np.maximum(height, 1.0)
    down = resampling(scale, feet * rows - scale * bottom, rows, clip.shape[1])
    across = resampling(scale, columns / 2 - scale * centre, columns, clip.shape[2]).transpose(0, 2, 1)
    block = max(1, FLOATS_AT_ONCE // clip[0].size)
    for start in range(0, len(clip), block):
        mine = slice(start, start + block) if len(statistics) > 1 else slice(None)
        grey = np.matmul(np.matmul(down[mine], clip[start : start + block].astype(np.float32)), across[mine])
        out[start : start + block] = (grey * 255 + 0.5).astype(np.uint8)


def earlier(counts: np.ndarray, lag: int) -> np.ndarray:
    """Which frame stands ``lag`` frames before each one, the first of its clip where there is none; int64 (n,)."""
    first = np.repeat(np.cumsum(counts) - counts, counts)
    found: np.ndarray = np.maximum(np.arange(len(first)) - lag, first)
    return found


def change_maps(pictures: Any, lengths: Any = None, lags: tuple[int, ...] = (2, 4, 7), threshold: float = 128.0) -> np.ndarray:
    """What got brighter and what got darker against earlier frames.

    Parameters
    ----------
    pictures : uint8 (n, rows, columns)
        One clip after the other.
    lengths : int (n_clips,), optional
        Frames of each clip; None: one clip.  Nothing is compared across clips: before its start a clip shows its first frame.
    lags : tuple of int, default (2, 4, 7)
        How many frames back.
    threshold : float, default 128
        Least difference, exclusive.

    Returns
    -------
    uint8 (n, 2 * len(lags) * rows * columns)
        Two maps per lag, brighter and darker; feature number = map * rows * columns + row * columns + column.

    Raises
    ------
    InputError
        If pictures are not grey levels, lengths do not sum to their number, or a parameter is out of range.

    Examples
    --------
    >>> film = [[[0, 0]], [[0, 255]], [[0, 255]]]
    >>> change_maps(film, lags=(1,)).tolist()
    [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    """
    grey = frame_stack(pictures, "pictures")
    counts = clip_lengths(lengths, len(grey))
    validate.number(threshold, "threshold", low=0)
    for lag in lags:
        validate.integer(lag, "lags", 1)
    xp = array_module(grey)
    now = grey.astype(np.int16)
    maps = xp.zeros((len(grey), 2 * len(lags), *grey.shape[1:]), np.uint8)
    for place, lag in enumerate(lags):
        change = now - now[xp.asarray(earlier(counts, lag))]
        maps[:, 2 * place] = change > threshold
        maps[:, 2 * place + 1] = change < -threshold
    found: np.ndarray = maps.reshape(len(grey), maps[:1].size)
    return found


def deviation_maps(
    pictures: Any, lengths: Any = None, window: int = 10, thresholds: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)
) -> np.ndarray:
    """Where pictures have been moving: pixels whose standard deviation over the last frames exceeds each threshold.

    Parameters
    ----------
    pictures : uint8 (n, rows, columns)
        One clip after the other.
    lengths : int (n_clips,), optional
        Frames of each clip; None: one clip.
    window : int, default 10
        Frames looked at, the present one included; fewer at the start of a clip.
    thresholds : tuple of float in [0, 1], default (0.1, 0.2, 0.3, 0.4)
        In units of the brightest grey level, 255.

    Returns
    -------
    uint8 (n, len(thresholds) * rows * columns)
        Feature number = threshold's place * rows * columns + row * columns + column.

    Raises
    ------
    InputError
        If pictures are not grey levels, lengths do not sum to their number, or a parameter is out of range.

    Examples
    --------
    >>> film = [[[0, 9]], [[255, 9]], [[0, 9]]]
    >>> deviation_maps(film, window=2, thresholds=(0.4,)).tolist()
    [[0, 0], [1, 0], [1, 0]]
    """
    grey = frame_stack(pictures, "pictures")
    counts = clip_lengths(lengths, len(grey))
    validate.integer(window, "window", 1)
    for threshold in thresholds:
        validate.number(threshold, "thresholds", low=0, high=1)
    xp = array_module(grey)
    maps = xp.zeros((len(grey), len(thresholds), *grey.shape[1:]), np.uint8)
    start = 0
    for n in counts.tolist():
        seen = xp.asarray(np.minimum(np.arange(1, n + 1), window).astype(np.int64))[:, None, None]
        clip = grey[start : start + n].astype(np.int64)
        sums, squares = (windowed(values, window) for values in (clip, clip * clip))
        spread = seen * squares - sums * sums  # the variance times the square of the number of frames, a whole number
        for place, threshold in enumerate(thresholds):
            maps[start : start + n, place] = spread > (threshold * 255 * seen) ** 2
        start += n
    found: np.ndarray = maps.reshape(len(grey), maps[:1].size)
    return found


def windowed(values: np.ndarray, window: int) -> np.ndarray:
    """Sums over the last ``window`` rows."""
    total: np.ndarray = values.cumsum(axis=0)
    total[window:] -= total[:-window].copy()
    return total


def foreground(pictures: Any, background: Any = None, threshold: float | None = 30.0, blur: float = 2.0) -> np.ndarray:
    """Silhouettes from film of a still camera: what differs from the background, the largest connected part of it.

    Parameters
    ----------
    pictures : uint8 (n, rows, columns)
        Grey frames of one clip.
    background : uint8 (rows, columns), optional
        The scene without anybody; None: each pixel's median over the clip, which is right where people keep moving.
    threshold : float or None, default 30
        Least difference of grey levels, exclusive, after blurring.  None: each picture's own, half way between the median and the
        97th percentile, which suits noisy film in which somebody takes three to forty per cent of the picture.
    blur : float >= 0, default 2
        Standard deviation of the Gaussian, in pixels; 0: none.

    Returns
    -------
    bool (n, rows, columns)

    Raises
    ------
    BackendError
        For pictures on a GPU.
    InputError
        If pictures or background are not grey levels of the same size, or a parameter is out of range.
    MissingDependencyError
        Without OpenCV.
    """
    refuse_device(pictures, "pictures", "foreground")
    grey = frame_stack(pictures, "pictures")
    if threshold is not None:
        validate.number(threshold, "threshold", low=0)
    validate.number(blur, "blur", low=0)
    if background is None:
        scene = np.median(grey, axis=0) if len(grey) else np.zeros(grey.shape[1:])
    else:
        scene = frame_stack(as_array(background)[None], "background")[0].astype(np.float64)
        if scene.shape != grey.shape[1:]:
            raise InputError(f"background has shape {scene.shape}, {grey.shape[1:]} was expected, as pictures have it")
    return largest_parts(np.abs(grey - scene.astype(np.float32)), threshold, blur)


def largest_parts(values: np.ndarray, threshold: float | None, blur: float) -> np.ndarray:
    """The largest 8-connected part above a threshold of each blurred picture, bool like ``values`` (n, rows, columns)."""
    try:
        import cv2
    except ImportError as error:
        raise MissingDependencyError(f'silhouettes of pictures: {error}; pip install "neuromem[media]"') from None
    out = np.zeros(values.shape, bool)
    for picture, part in zip(values, out, strict=True):
        smooth = picture.astype(np.float32)
        if blur:
            smooth = cv2.GaussianBlur(smooth, (0, 0), blur)
        border = threshold
        if border is None:
            border = float(np.quantile(smooth, (0.5, 0.97)).mean())
        n_parts, labels, measures, _ = cv2.connectedComponentsWithStats((smooth > border).astype(np.uint8), connectivity=8)
        if n_parts > 1:
            part[:] = labels == 1 + measures[1:, cv2.CC_STAT_AREA].argmax()
    return out
