"""When an item is shown again: fixed schedules, ladders, and boxes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """Exposures of one item, by the intervals between them.

    Parameters
    ----------
    name : str
        What tables call it.
    intervals : tuple of int >= 1
        Steps from each exposure to the next; 1: with nothing between.

    Raises
    ------
    InputError, InputTypeError
        For an interval that is no whole number from 1 up.

    Examples
    --------
    >>> mine = Schedule("mine", (1, 5, 25))
    >>> mine.exposures, mine.span, mine.steps.tolist()
    (4, 31, [0, 1, 6, 31])
    """

    name: str
    intervals: tuple[int, ...]

    def __post_init__(self) -> None:
        checked = tuple(validate.integer(interval, "intervals", 1) for interval in self.intervals)
        object.__setattr__(self, "intervals", checked)

    @property
    def exposures(self) -> int:
        """How often the item is shown."""
        return len(self.intervals) + 1

    @property
    def span(self) -> int:
        """Steps from the first exposure to the last."""
        return sum(self.intervals)

    @property
    def gap(self) -> int:
        """Mean interval, rounded; 0 for a single exposure."""
        return round(self.span / len(self.intervals)) if self.intervals else 0

    @property
    def steps(self) -> np.ndarray:
        """Step of every exposure, from 0 at the first, int64."""
        return np.cumsum((0, *self.intervals)).astype(np.int64)


def uniform(gap: int, exposures: int = 4) -> Schedule:
    """The same interval each time; a gap of 1 is massed.

    Examples
    --------
    >>> uniform(8).intervals
    (8, 8, 8)
    """
    gap, n = validate.integer(gap, "gap", 1), validate.integer(exposures, "exposures", 1)
    return Schedule("uniform", (gap,) * (n - 1))


def massed(exposures: int = 4) -> Schedule:
    """All exposures in a row.

    Examples
    --------
    >>> massed().intervals
    (1, 1, 1)
    """
    return Schedule("massed", uniform(1, exposures).intervals)


def expanding(gap: int, exposures: int = 4, ratio: float = 2.0) -> Schedule:
    """Intervals that grow by a ratio, with a mean of ``gap``, as near as whole numbers allow.

    Examples
    --------
    >>> expanding(14).intervals
    (6, 12, 24)
    """
    gap, n = validate.integer(gap, "gap", 1), validate.integer(exposures, "exposures", 1) - 1
    ratio = validate.number(ratio, "ratio", low=1.0)
    shares = np.cumsum(ratio ** (np.arange(n) - float(n)))  # counted from the last interval: no ratio overflows
    places = np.rint(shares / shares[-1] * gap * n) if n else shares
    intervals = np.diff(places, prepend=0).astype(int)
    for place in np.flatnonzero(intervals == 0):
        intervals[place] += 1
        intervals[intervals.argmax()] -= 1
    return Schedule("expanding", tuple(np.sort(intervals).tolist()))  # rounding must not turn the order round


def contracting(gap: int, exposures: int = 4, ratio: float = 2.0) -> Schedule:
    """Intervals that shrink by a ratio: :func:`expanding` backwards.

    Examples
    --------
    >>> contracting(14).intervals
    (24, 12, 6)
    """
    return Schedule("contracting", expanding(gap, exposures, ratio).intervals[::-1])


def pimsleur(exposures: int = 4, first: int = 5, ratio: int = 5) -> Schedule:
    """Intervals first, first * ratio, first * ratio^2 ...: graduated recall, 5^n seconds in the paper (Pimsleur 1967).

    Examples
    --------
    >>> pimsleur().intervals
    (5, 25, 125)
    """
    first, ratio = validate.integer(first, "first", 1), validate.integer(ratio, "ratio", 1)
    return Schedule("pimsleur", tuple(first * ratio**i for i in range(validate.integer(exposures, "exposures", 1) - 1)))


# Ways to space that have a mean gap: (gap, exposures, ratio) -> Schedule.
SPACED: dict[str, Callable[[int, int, float], Schedule]] = {
    "uniform": lambda gap, exposures, ratio: uniform(gap, exposures),
    "expanding": expanding,
    "contracting": contracting,
}


class Leitner:
    """Boxes of cards: who is recalled moves to the next box, which is reviewed more seldom; who is not, to the first.

    Parameters
    ----------
    intervals : sequence of int >= 1, default (1, 2, 4, 8, 16)
        Days, or steps, between the reviews of each box; they do not shrink.

    Examples
    --------
    >>> boxes = Leitner()
    >>> boxes.review([0, 2, 4], [True, False, True]).tolist(), boxes.interval([0, 4]).tolist()
    ([1, 0, 4], [1, 16])
    """

    def __init__(self, intervals: Iterable[int] = (1, 2, 4, 8, 16)) -> None:
        self.intervals = tuple(validate.integer(interval, "intervals", 1) for interval in intervals)
        if not self.intervals or any(b < a for a, b in zip(self.intervals, self.intervals[1:], strict=False)):
            raise InputError(f"intervals are {self.intervals}, at least one and none shorter than the one before was expected")

    def _boxes(self, boxes: Any) -> np.ndarray:
        boxes = np.asarray(boxes)
        if boxes.dtype.kind not in "iu" or (boxes.size and not 0 <= boxes.min() <= boxes.max() < len(self.intervals)):
            raise InputError(f"boxes have other values than 0 ... {len(self.intervals) - 1}")
        return boxes.astype(np.int64)

    def review(self, boxes: Any, right: Any) -> np.ndarray:
        """Boxes after a review, int64.

        Parameters
        ----------
        boxes : array of int
            0 is the first box.
        right : array of bool
            What was recalled.
        """
        return np.where(np.asarray(right, bool), np.minimum(self._boxes(boxes) + 1, len(self.intervals) - 1), 0)

    def interval(self, boxes: Any) -> np.ndarray:
        """Time to the next review of what lies in boxes, int64."""
        return np.array(self.intervals, np.int64)[self._boxes(boxes)]
