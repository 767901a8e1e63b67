"""When to probe: published and log-spaced schedules, and which items are of an age."""

from collections.abc import Sequence

import numpy as np

from neuromem import validate
from neuromem.retention.recognition import ascending

# The 30 probes of Orhan (2023), counted in updates there.
ORHAN = (*range(1, 11), *range(20, 101, 10), *range(1000, 10_001, 1000), 100_000)


def log_spaced(n_max: int, per_decade: int = 10) -> list[int]:
    """Whole numbers from 1 to ``n_max``, ``per_decade`` to a factor of ten as far as whole numbers allow.

    Examples
    --------
    >>> log_spaced(100, per_decade=3)
    [1, 2, 5, 10, 22, 46, 100]
    """
    n_max, per_decade = validate.integer(n_max, "n_max", 1), validate.integer(per_decade, "per_decade", 1)
    n = int(np.ceil(np.log10(n_max) * per_decade)) + 1 if n_max > 1 else 1
    found: list[int] = np.unique(np.rint(np.geomspace(1, n_max, n)).astype(np.int64)).tolist()
    return found


def checkpoints_of(checkpoints: str | Sequence[int] | None, default: Sequence[int]) -> list[int]:
    """A schedule from its name or as a list, with 0 at its head.

    Raises
    ------
    InputError
        For an unknown name, or numbers that are negative, unsorted or repeated.
    """
    if checkpoints is None:
        checkpoints = default
    if isinstance(checkpoints, str):
        checkpoints = {"orhan": ORHAN, "log": log_spaced(100_000)}[validate.choice(checkpoints, "checkpoints", ("orhan", "log"))]
    found = ascending(checkpoints, "checkpoints", 0)
    return found if found[0] == 0 else [0, *found]


def window_of(age: int, n_stream: int, n_probe: int) -> np.ndarray:
    """Places in a stream of the items whose age is about ``age``, int64: within an eighth of it, and at most ``n_probe``.

    The item written last has age 0.

    Examples
    --------
    >>> window_of(8, 100, 2000).tolist()
    [90, 91, 92]
    """
    reach = min(max(0, (n_probe - 1) // 2), age // 8)
    middle = n_stream - 1 - age
    return np.arange(max(0, middle - reach), min(n_stream - 1, middle + reach) + 1, dtype=np.int64)
