"""How many threads kernels use, and the lock that keeps two Python threads apart where the threading layer needs it."""

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

WORKQUEUE_LOCK = threading.RLock()
# Work below this, in nanoseconds on one thread, is done by one: more can save little of it, and where another process keeps a
# core busy they wait for each other's turn, for milliseconds.
SERIAL_BELOW = 500_000


def set_num_threads(n: int) -> None:
    """Use ``n`` threads in kernels that this Python thread calls from now on.

    Raises
    ------
    InputError
        If ``n`` is not between 1 and the number that Numba was started with.
    """
    import numba

    from neuromem import validate

    numba.set_num_threads(validate.integer(n, "n", 1, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]


def get_num_threads() -> int:
    """Threads that kernels called from this Python thread use."""
    import numba

    return int(numba.get_num_threads())


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use ``n`` threads inside a ``with`` block.

    Examples
    --------
    >>> import neuromem
    >>> with neuromem.threads(1):
    ...     pass
    """
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def kernel_lock() -> AbstractContextManager[Any]:
    """Held around parallel kernels: a real lock only under Numba's workqueue layer, which cannot be entered twice."""
    numba = sys.modules.get("numba")
    if numba is None:
        return WORKQUEUE_LOCK
    try:
        workqueue = numba.threading_layer() == "workqueue"
    except ValueError:  # no parallel kernel has run yet, so the layer is not chosen
        workqueue = True
    return WORKQUEUE_LOCK if workqueue else nullcontext()


@contextmanager
def kernel_threads(nanoseconds: float) -> Iterator[None]:
    """Around a parallel kernel: the lock of :func:`kernel_lock`, and one thread where so little work is not worth more.

    Parameters
    ----------
    nanoseconds : float
        What the work takes on one thread, roughly.
    """
    with kernel_lock():
        # without Numba the kernel is none of its kind
        if nanoseconds >= SERIAL_BELOW or "numba" not in sys.modules or get_num_threads() == 1:
            yield
        else:
            with threads(1):
                yield
