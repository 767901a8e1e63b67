"""One page of figures of a suite: every probe in a panel, every memory in its colour, and people beside them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neuromem.errors import InputError
from neuromem.retention.human import half_time, human_curves, overlay
from neuromem.retention.plot_tools import axes_or_new, lag_axis, new_figure, style_of, systems_of
from neuromem.retention.plots import plot_intervals, plot_levels, plot_recall, plot_recognition, plot_retention, plot_savings
from neuromem.retention.results import ProbeResult
from neuromem.retention.suite import SuiteResult
from neuromem.retention.summary import course_of, half_life

COLUMNS = 4  # panels in a row of the page
Panel = Callable[[Any], Any]


def reference_memory(result: ProbeResult) -> str | None:
    """The memory that people are aligned with: that of the middle half-life among those that fell to half; None if none did."""
    lives = {system: half_life(result, system) for system in systems_of(result)}
    fell = sorted((life.items, system) for system, life in lives.items() if life.reached)
    return fell[(len(fell) - 1) // 2][1] if fell else None


def plot_with_people(result: ProbeResult, *, systems: list[str] | None = None, ax: Any = None) -> Any:
    """What is left of recognition above chance as more is written, and savings of people as time goes by.

    Memories count items, people minutes: the factor between them is in the legend.  It is chosen so that Ebbinghaus and the
    memory of the middle half-life fall to half at the same place; nothing else is fitted.  Recognition and savings are
    different measures: only how the lines bend may be compared.

    Parameters
    ----------
    result : ProbeResult
        Of :func:`retention_curve`.
    systems, ax
        As in :func:`plot_retention`.

    Raises
    ------
    InputError
        If the result has no course of recognition.
    """
    ax = axes_or_new(ax)
    names = systems_of(result, systems)
    drawn = False
    for place, system in enumerate(names):
        rows = course_of(result, system)
        if len(rows):
            course = rows.curve()
            ax.plot(course["x"], 2 * course["value"] - 1, **style_of(place) | {"ms": 2.5, "lw": 1.0, "alpha": 0.75})
            drawn = True
    if not drawn:
        raise InputError("the result has no course of recognition")
    aligned = reference_memory(result)
    if aligned is not None:
        life = half_life(result, aligned).items
        people = human_curves()
        factor = life / half_time(people["ebbinghaus"].minutes, people["ebbinghaus"].values)
        for number, (name, curve) in enumerate(people.items()):
            look: dict[str, Any] = {"color": "0.45", "lw": 0.9, "marker": "*xd+"[number], "label": curve.name}
            if name == "ebbinghaus":
                look |= {"color": "black", "lw": 1.8}
            overlay(ax, name, time_scale=factor, unit="items", ms=4, **look)
        last = max(float(ax.get_lines()[-1].get_xdata()[-1]), float(result.table["lag_items"].max()))
    lag_axis(ax, result)
    if aligned is not None:
        ax.set_xlim(-0.1, last * 1.15)
        ax.legend(handles=ax.get_lines()[-len(people) :], fontsize=7, loc="lower left")
        told = f"people: savings, 1 minute = {factor:.3g} items, so that\nEbbinghaus and {aligned} halve together"
        ax.set_xlabel(f"items written since; {told}", fontsize=8)
    ax.axhline(0, color="0.5", ls=":", lw=1, zorder=0)
    ax.set(ylabel="above chance; savings", title="memories, and people on a rescaled clock", ylim=(-0.15, 1.08))
    return ax


def panels_of(found: SuiteResult, fits: Mapping[str, Any] | None = None) -> dict[str, Panel]:
    """Figures of a suite by title, each drawn on the Axes given; those that the result has no rows for say so.

    Parameters
    ----------
    found : SuiteResult
    fits : mapping of str to CurveFit, optional
        Fitted forgetting curves by memory.
    """
    result, systems = found.rows, found.systems
    lengths: dict[str, Any] = {"log": True, "label": "items in the list", "systems": systems}
    made: dict[str, Panel] = {
        "recognition, course": lambda ax: plot_retention(result, fits=fits, systems=systems, ax=ax),
        "recall, course": lambda ax: plot_retention(result, "pearson", systems=systems, ax=ax),
        "people": lambda ax: plot_with_people(result, systems=systems, ax=ax),
        "savings": lambda ax: plot_savings(result, systems=systems, ax=ax),
        "recognition, foils": lambda ax: plot_recognition(result, systems=systems, ax=ax),
        "recall, cues": lambda ax: plot_recall(result, "pearson", systems=systems, ax=ax),
        "list length": lambda ax: plot_levels(
            result, "total_lag", "accuracy", title="recognition by list length", ax=ax, **lengths
        ),
        "serial position": lambda ax: plot_levels(
            result,
            "position",
            "pearson",
            label="place in the list",
            title="recall by place in the list",
            systems=systems,
            ax=ax,
        ),
        "interference": lambda ax: plot_levels(
            result,
            "retroactive",
            "pearson_loss",
            label="share of the cue that later pairs have in common",
            title="recall of A-B lost to A-C",
            systems=systems,
            ax=ax,
        ),
        "fan": lambda ax: plot_levels(
            result,
            "fan",
            "accuracy",
            foil="recombined",
            label="associates of a cue",
            title="recognition of pairs by fan",
            systems=systems,
            ax=ax,
        ),
        "spacing": lambda ax: plot_intervals(
            result,
            measure="spacing_gain",
            lag_items=longest(result, "spacing_gain"),
            label="right at the best gap less massed",
            title=f"gain by spacing, {longest(result, 'spacing_gain'):,} items later",
            systems=systems,
            ax=ax,
        ),
        "capacity": lambda ax: plot_intervals(
            result,
            measure="items",
            label="items of which 95 % are recalled exactly",
            title="capacity",
            log=True,
            systems=systems,
            ax=ax,
        ),
    }
    return {title: guarded(draw) for title, draw in made.items()}


def longest(result: ProbeResult, measure: str) -> int:
    """The longest lag of a measure; 0 without any."""
    return int(result.where(measure=measure).table["lag_items"].max(initial=0))


def guarded(draw: Panel) -> Panel:
    """A panel that says so where there is nothing to draw."""

    def panel(ax: Any) -> Any:
        try:
            return draw(ax)
        except InputError as error:
            ax.text(0.5, 0.5, f"nothing to draw:\n{str(error)[:80]}", ha="center", va="center", fontsize=8, wrap=True)
            ax.set_axis_off()
            return ax

    return panel


def plot_dashboard(
    found: SuiteResult, *, fits: Mapping[str, Any] | None = None, title: str = "", figure: Any = None
) -> np.ndarray:
    """All panels of a suite on one page, with one legend.

    Parameters
    ----------
    found : SuiteResult
    fits : mapping of str to CurveFit, optional
    title : str
    figure : matplotlib Figure, optional
        Default: a new one that no window shows.

    Returns
    -------
    array of matplotlib Axes
        Their figure is ``axes[0, 0].get_figure().figure``.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, run_suite
    >>> from neuromem.retention.dashboard import plot_dashboard
    >>> found = run_suite(ExactStore(32), RandomBits(32), size="tiny")
    >>> plot_dashboard(found).shape
    (3, 4)
    """
    panels = panels_of(found, fits)
    n_rows = math.ceil(len(panels) / COLUMNS)
    if figure is None:
        figure = new_figure(5.0 * COLUMNS, 3.9 * n_rows + 1.0)
    # rows of their own, so that long names in one row take no room in another
    *parts, foot = figure.subfigures(n_rows + 1, 1, height_ratios=[*[1.0] * n_rows, 0.15])
    axes = np.array([part.subplots(1, COLUMNS) for part in parts])
    for ax, draw in zip(axes.flat, panels.values(), strict=False):
        draw(ax)
        ax.title.set_fontsize(11)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=system, **style_of(place)) for place, system in enumerate(found.systems)]
    foot.legend(handles=handles, loc="center", ncols=min(9, len(handles)), fontsize=9)
    if title:
        figure.suptitle(title)
    return axes
