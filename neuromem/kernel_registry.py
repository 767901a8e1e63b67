"""What a system says of each of its kernels, and the warm-up that reads it."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from neuromem import validate
from neuromem.progress import Progress, progress_bar

SYSTEMS = ("environments", "hcam", "hopfield", "retention", "sparsey")


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One kernel.

    Parameters
    ----------
    name : str
    function, reference : str
        "module:function" of the kernel and of its plain form, None where a test of its own is the oracle.
    example : callable
        Makes arguments of the declared dtypes, outputs included.
    outputs : tuple of int
        Which arguments are written.
    rtol, atol : float, default 0
        Allowed relative and absolute difference between executors; both 0: equal.
    cpu_only : str
        Why there is no GPU twin, where there is to be none.
    """

    name: str
    function: str
    example: Callable[[], tuple[Any, ...]]
    outputs: tuple[int, ...]
    reference: str | None = None
    rtol: float = 0.0
    atol: float = 0.0
    cpu_only: str = ""

    def resolve(self, path: str | None = None) -> Callable[..., Any]:
        """The kernel, or what another "module:function" names."""
        module, function = (path or self.function).split(":")
        found: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return found


def kernel_rows(system: str) -> list[KernelRow]:
    """All kernels of a system."""
    rows: list[KernelRow] = importlib.import_module(f"neuromem.{system}.registry").KERNELS
    return rows


def warmup(systems: Iterable[str] | None = None, *, progress: Progress = False) -> int:
    """Compile kernels now instead of at their first call.

    Parameters
    ----------
    systems : iterable of str, optional
        Names such as "sparsey"; default: all.
    progress : bool or callable, default False
        True draws a bar; a callable is called with (done, total).

    Returns
    -------
    int
        Number of kernels that ran.

    Raises
    ------
    InputError
        For a system that does not exist.
    """
    chosen = SYSTEMS if systems is None else tuple(systems)
    for system in chosen:
        validate.choice(system, "systems", SYSTEMS)
    rows = [row for system in chosen for row in kernel_rows(system)]
    with progress_bar(len(rows), progress, "kernels") as advance:
        for row in rows:
            row.resolve()(*row.example())
            advance(1)
    return len(rows)
