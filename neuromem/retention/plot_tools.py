"""What the figures of probe results share: axes, colours of memories, lines with intervals, an axis of lags."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neuromem.errors import InputError, MissingDependencyError
from neuromem.retention.results import ProbeResult

MARKERS = "osD^v<>Ph*Xd"
# Hues that stay apart in print; memories take them in turn.
COLOURS = (
    "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2", "#17becf", "#7f7f7f", "#bcbd22",
    "#0b3c5d", "#7a0000", "#0b5d1e", "#4b2a6b", "#b35900", "#3d251e",
    "#00a087", "#c2185b", "#5c6bc0", "#8d9b00",
)  # fmt: skip
LIN_THRESHOLD = 1.0  # lags below it are drawn on a linear part of the axis, so that 0 has a place


def axes_or_new(ax: Any, width: float = 6.4, height: float = 4.4) -> Any:
    """The Axes given, or those of a new figure that no window shows."""
    if ax is not None:
        return ax
    return new_figure(width, height).add_subplot()


def new_figure(width: float, height: float) -> Any:
    """A figure that is drawn without a screen.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError('plots need matplotlib: pip install "neuromem[plot]"') from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def style_of(place: int) -> dict[str, Any]:
    """Colour and marker of the memory at a place in the list, as keywords of ``Axes.plot``.

    Examples
    --------
    >>> style_of(0)["color"]
    '#1f77b4'
    """
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)], "ms": 4, "lw": 1.3}


def systems_of(result: ProbeResult, systems: Sequence[str] | None = None) -> list[str]:
    """Memories in order; those of the result, or of a list that several figures share."""
    return list(dict.fromkeys(result.table["system"].tolist())) if systems is None else list(systems)


def chosen(result: ProbeResult, **wanted: Any) -> ProbeResult:
    """Rows of a figure.

    Raises
    ------
    InputError
        If there are none.
    """
    found = result.where(**wanted)
    if not len(found):
        raise InputError(f"the result has no rows with {', '.join(f'{k}={v!r}' for k, v in wanted.items())}")
    return found


def drawn_lines(ax: Any, found: ProbeResult, systems: Sequence[str] | None, x: str = "lag_items", intervals: bool = True) -> None:
    """One line with intervals for each memory; x is a column."""
    for place, system in enumerate(systems_of(found, systems)):
        rows = found.where(system=system)
        if not len(rows):
            continue
        curve = rows.curve(x)
        style = style_of(place)
        ax.plot(curve["x"], curve["value"], label=system, **style)
        known = np.isfinite(curve["ci_lo"]) & np.isfinite(curve["ci_hi"])
        if intervals and known.any():
            low, high = curve["ci_lo"][known], curve["ci_hi"][known]
            ax.fill_between(curve["x"][known], low, high, color=style["color"], alpha=0.10, lw=0)


def chance_line(ax: Any, found: ProbeResult) -> None:
    """What guessing gives, where it is one number."""
    levels = np.unique(found.table["chance"][~np.isnan(found.table["chance"])])
    if len(levels) == 1:
        ax.axhline(levels[0], color="0.5", ls=":", lw=1, zorder=0)


def lag_axis(ax: Any, found: ProbeResult, label: str = "items written since") -> None:
    """A logarithmic axis of lags on which 0 has a place."""
    lags = found.table["lag_items"][found.table["lag_items"] >= 0]
    if len(lags) and lags.min() > 0:
        ticks = np.unique(lags)
        ax.set_xscale("log")
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.set_xticks([], minor=True)
        ax.set(xlabel=label)
        return
    ax.set_xscale("symlog", linthresh=LIN_THRESHOLD, linscale=0.3)
    top = max(1, int(found.table["lag_items"].max(initial=1)))
    decades = [10**power for power in range(int(np.log10(top)) + 1)]
    ax.set_xticks([0, *decades], ["0", *(f"{tick:,}" for tick in decades)])
    ax.set(xlabel=label, xlim=(-0.1, top * 1.15))
