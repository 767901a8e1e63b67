"""Drawing shared by the experiments."""

from pathlib import Path
from typing import Any

from neuromem.errors import MissingDependencyError
from neuromem.experiments.result import Result, Row


def new_figure(width: float = 7.0, height: float = 4.5, columns: int = 1) -> tuple[Any, Any]:
    """A figure and its axes, drawn without a screen."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(f'figures: {error}; pip install "neuromem[plot]"') from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def finish(figure: Any, path: Path, result: Result) -> None:
    """Save a picture and note it in the result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    result.figures.append(path.name)


def bars(rows: list[Row], path: Path, title: str, label: str, start: float, result: Result) -> None:
    """Horizontal bars with intervals; a published figure is a line."""
    figure, ax = new_figure(8.0, 0.32 * len(rows) + 1.4)
    for place, row in enumerate(reversed(rows)):
        control = row.condition.startswith("control")
        colour = "0.65" if control else "tab:blue" if row.items_stored else "tab:orange"
        ax.barh(place, row.value - start, left=start, color=colour)
        if row.ci_low is not None and row.ci_high is not None:
            ax.plot([row.ci_low, row.ci_high], [place, place], color="black", lw=1.5)
        ax.text(max(row.value, row.ci_high or 0), place, f" {row.value:.3f}", va="center", ha="left", fontsize=8)
    published = [row.published for row in rows if row.published is not None]
    for value in published[:1]:
        ax.axvline(value, color="tab:red", ls="--", lw=1, label=f"published {value:g}")
        ax.legend(loc="lower right")
    ax.set_yticks(range(len(rows)), [row.condition for row in reversed(rows)], fontsize=8)
    ax.margins(y=0.01)
    ax.set_xlim(start, max(1.0, max(row.value for row in rows)) + 0.02)
    ax.set_xlabel(f"{label} (lines: 95 % intervals; grey: controls; orange: rivals)")
    ax.set_title(title)
    finish(figure, path, result)
