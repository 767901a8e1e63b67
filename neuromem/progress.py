"""The library's logger and its progress reports."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger("neuromem")
logger.addHandler(logging.NullHandler())

Progress = bool | Callable[[int, int], None]


@contextmanager
def progress_bar(total: int, progress: Progress = False, description: str = "") -> Iterator[Callable[[int], None]]:
    """Report progress: nothing for False, a bar on the terminal for True, or calls of ``progress(done, total)``.

    Yields
    ------
    callable
        To be called with the number of steps done since the last call.

    Examples
    --------
    >>> seen = []
    >>> with progress_bar(2, lambda done, total: seen.append((done, total))) as advance:
    ...     advance(1)
    ...     advance(1)
    >>> seen
    [(1, 2), (2, 2)]
    """
    if progress is True:
        from tqdm import tqdm

        with tqdm(total=total, desc=description) as bar:
            yield bar.update
    elif callable(progress):
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            progress(done, total)

        yield advance
    else:
        yield lambda n: None
