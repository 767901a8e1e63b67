"""The one shape that every experiment's result has: rows with intervals, settings, seconds, environment."""

import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

WILSON_Z = 1.959963984540054
# two-sided 95 % points of Student's t for 1 ... 9 degrees of freedom, 1.96 beyond
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclass
class Row:
    """One figure with its 95 % interval.

    ``n`` counts tested items, ``seeds`` repetitions, ``presentations`` how often each learned item was shown; ``published``
    is None where no figure could be read.
    """

    condition: str
    metric: str
    value: float
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    seeds: int = 1
    presentations: float | None = None
    published: float | None = None
    source: str = ""
    items_stored: int | None = None
    items_labelled: int | None = None


@dataclass
class Result:
    """What an experiment returns.

    ``figures`` and ``files`` are what it wrote to its folder, ``summary`` what is printed instead of a long table.
    """

    experiment: str
    seed: int
    settings: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    summary: str = ""

    def add(self, condition: str, metric: str, values: Sequence[Any] | np.ndarray, n: int | None = None, **columns: Any) -> Row:
        """Append a row: the mean over repetitions with its interval, or one proportion out of ``n`` with Wilson's."""
        values = [float(v) for v in values]
        mean = float(np.mean(values))
        low = high = None
        if len(values) > 1:
            low, high = student_interval(values)
        elif n and 0 <= mean <= 1:
            low, high = wilson_interval(mean, n)
        row = Row(condition, metric, mean, low, high, n, len(values), **columns)
        self.rows.append(row)
        return row

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the wall time of a block to ``seconds[name]``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        import neuromem

        return {
            "experiment": self.experiment,
            "version": neuromem.__version__,
            "seed": self.seed,
            "settings": self.settings,
            "rows": [asdict(row) for row in self.rows],
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "environment": environment(),
        }

    def table(self) -> str:
        """Aligned plain text."""
        head = [
            "condition",
            "metric",
            "value",
            "95 % interval",
            "n",
            "seeds",
            "shown",
            "stored",
            "labelled",
            "published",
        ]
        body = []
        for row in self.rows:
            interval = "" if row.ci_low is None else f"{short(row.ci_low)} ... {short(row.ci_high)}"
            counts = (row.n, row.seeds, row.presentations, row.items_stored, row.items_labelled, row.published)
            body.append(
                [
                    row.condition,
                    row.metric,
                    short(row.value),
                    interval,
                    *("" if c is None else short(c) for c in counts),
                ]
            )
        shown = [i for i in range(len(head)) if any(line[i] for line in body)]
        return aligned([[head[i] for i in shown], *([line[i] for i in shown] for line in body)])


def student_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of a mean over a few repetitions."""
    n = len(values)
    t = STUDENT_T[n - 2] if n - 2 < len(STUDENT_T) else WILSON_Z
    half = t * float(np.std(values, ddof=1)) / math.sqrt(n)
    mean = float(np.mean(values))
    return mean - half, mean + half


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a proportion."""
    from neuromem.retention import wilson_interval as of_counts

    low, high = of_counts(share * n, n)
    return float(low), float(high)


def short(value: Any) -> str:
    """A number in few characters."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{int(value):,}" if isinstance(value, (int, float)) else str(value)


def aligned(lines: list[list[str]]) -> str:
    """Columns of equal width, the first two left and the others right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    text.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(line.rstrip() for line in text)


def environment() -> dict[str, Any]:
    """Versions and hardware behind a figure."""
    import numba

    from neuromem.parallel import get_num_threads

    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": get_num_threads(),
        "gpu": None,
    }


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def write_json(result: Result, path: str | Path) -> None:
    """Write a result whole or not at all."""
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(result.as_dict(), file, indent=1)
            file.write("\n")
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
