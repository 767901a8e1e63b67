"""Figures of probe results; each takes ``ax=None`` and returns the Axes.  Needs ``pip install "neuromem[plot]"``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neuromem.errors import InputError
from neuromem.retention.plot_tools import axes_or_new, chance_line, chosen, drawn_lines, lag_axis, style_of, systems_of
from neuromem.retention.results import ProbeResult

WORDS = {
    "accuracy": "right of two",
    "pearson": "correlation with the item",
    "pearson_loss": "correlation with the item, loss",
}


def plot_retention(
    result: ProbeResult,
    measure: str = "accuracy",
    *,
    foil: str = "novel",
    condition: str = "studied",
    fits: Mapping[str, Any] | None = None,
    systems: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Forgetting curves with their intervals, on a logarithmic axis on which lag 0 has a place.

    Parameters
    ----------
    result : ProbeResult
        Of :func:`retention_curve`.
    measure : str, default "accuracy"
        "accuracy" (recognition), or a measure of recall.
    foil : str, default "novel"
        Of recognition.
    condition : str, default "studied"
    fits : mapping of str to CurveFit, optional
        Fitted curves by memory, drawn dashed.
    systems : sequence of str, optional
        Memories in the order that several figures share.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If the result has no such rows.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, retention_curve
    >>> from neuromem.retention.plots import plot_retention
    >>> result = retention_curve(ExactStore(32), RandomBits(32), n_target=20, checkpoints=[1, 10], seeds=1)
    >>> plot_retention(result).get_xscale()
    'symlog'
    """
    wanted: dict[str, Any] = {"condition": condition, "measure": measure}
    if measure in ("accuracy", "strict_accuracy", "d_prime"):
        wanted |= {"probe": "recognition", "foil": foil}
    found = chosen(result, **wanted)
    found = ProbeResult(found.table[found.table["lag_items"] >= 0], result.config)
    if not len(found):
        raise InputError(f"the result has no rows of retention_curve with measure={measure!r}")
    ax = axes_or_new(ax)
    drawn_lines(ax, found, systems)
    if fits:
        from matplotlib.colors import to_rgba

        fine = np.concatenate([[0.0], np.geomspace(0.1, max(1.0, float(found.table["lag_items"].max())), 200)])
        for place, system in enumerate(systems_of(found, systems)):
            if system in fits:
                ax.plot(fine, fits[system].predict(fine).value, "--", color=to_rgba(style_of(place)["color"], 0.7), lw=1)
    chance_line(ax, found)
    lag_axis(ax, found)
    if measure == "accuracy":
        ax.set_ylim(0.4, 1.02)
    ax.set(
        ylabel=WORDS.get(measure, measure.replace("_", " ")),
        title=f"{'recognition' if 'probe' in wanted else 'recall'} as more is written",
    )
    return ax


def plot_recognition(result: ProbeResult, *, systems: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Recognition by family of foils, the most alike last, after the fewest exposures.

    Parameters
    ----------
    result : ProbeResult
        Of :func:`recognition_probe`.
    systems, ax
        As in :func:`plot_retention`.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, recognition_probe
    >>> from neuromem.retention.plots import plot_recognition
    >>> plot_recognition(recognition_probe(ExactStore(32), RandomBits(32), n_study=20, seeds=1)).get_ylabel()
    'right of two'
    """
    found = chosen(result, probe="recognition", condition="studied", measure="accuracy")
    found = ProbeResult(found.table[found.table["lag_items"] < 0], result.config)
    if not len(found):
        raise InputError("the result has no rows of recognition_probe")
    found = found.where(exposures=int(found.table["exposures"].min()))
    pairs = sorted(set(zip(found.table["foil"].tolist(), found.table["level"].tolist(), strict=True)), key=foil_order)
    pairs = list(dict.fromkeys((foil, None if level != level else level) for foil, level in pairs))
    ax = axes_or_new(ax)
    names = systems_of(found, systems)
    for place, system in enumerate(names):
        for x, (foil, level) in enumerate(pairs):
            rows = found.where(system=system, foil=foil, level=level)
            if len(rows):
                at = rows.curve("exposures")
                shift = (place - (len(names) - 1) / 2) * 0.7 / max(1, len(names))
                style = style_of(place) | {"ls": "", "label": system if x == 0 else None}
                low, high = at["value"] - at["ci_lo"], at["ci_hi"] - at["value"]
                ax.errorbar([x + shift], at["value"], [low, high], elinewidth=0.8, **style)
    chance_line(ax, found)
    ax.set_xticks(range(len(pairs)), [foil_label(*pair) for pair in pairs], rotation=30, ha="right", fontsize=8)
    ax.set(ylabel="right of two", title="recognition by foil", ylim=(None, 1.03))
    return ax


def foil_order(pair: tuple[str, float]) -> tuple[int, float]:
    """Families from the easiest on; variants from much changed to little."""
    families = ("easier_foil_source", "novel", "class", "variant", "recombined")
    foil, level = pair
    return families.index(foil) if foil in families else len(families), 0.0 if level != level else -level


def foil_label(foil: str, level: float | None) -> str:
    """A family in words."""
    words = {"novel": "unrelated", "class": "same class", "recombined": "recombined", "easier_foil_source": "structured"}
    return f"{level:.3g} changed" if level is not None else words.get(foil, foil)


def plot_recall(
    result: ProbeResult,
    measure: str = "component_accuracy",
    *,
    cue: str = "prefix",
    systems: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Recall by the share of the item that is given, judged on what was not given.

    Parameters
    ----------
    result : ProbeResult
        Of :func:`recall_probe`.
    measure : str, default "component_accuracy"
    cue : str, default "prefix"
    systems, ax
        As in :func:`plot_retention`.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, recall_probe
    >>> from neuromem.retention.plots import plot_recall
    >>> result = recall_probe(ExactStore(32), RandomBits(32), n_study=20, cue_fraction=(0.25, 0.5), seeds=1)
    >>> plot_recall(result, "exact").get_title()
    'recall from a prefix'
    """
    found = chosen(result, probe="recall", condition="studied", measure=measure, cue=cue)
    found = ProbeResult(found.table[found.table["lag_items"] < 0], result.config)
    if not len(found):
        raise InputError("the result has no rows of recall_probe")
    found = found.where(exposures=int(found.table["exposures"].min()))
    ax = axes_or_new(ax)
    drawn_lines(ax, found, systems, "cue_fraction")
    chance_line(ax, found)
    title = f"recall from a {cue}" if cue == "prefix" else f"recall, {cue.replace('_', ' ')}"
    ax.set(xlabel="share of the item that is right in the cue", ylabel=WORDS.get(measure, measure.replace("_", " ")), title=title)
    return ax


def plot_levels(
    result: ProbeResult,
    probe_condition: str,
    measure: str,
    *,
    label: str,
    title: str,
    log: bool = False,
    systems: Sequence[str] | None = None,
    ax: Any = None,
    **wanted: Any,
) -> Any:
    """Any measure against the dose of its condition (column ``level``): list length, place in a list, fan, similarity.

    Parameters
    ----------
    result : ProbeResult
    probe_condition : str
        Of the rows: "equal_lag", "total_lag", "position", "fan" ...
    measure : str
    label, title : str
        Of the axis, and of the figure.
    log : bool, default False
        A logarithmic axis.
    systems, ax
        As in :func:`plot_retention`.
    **wanted
        Further columns: ``foil="novel"``.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, list_length_probe
    >>> from neuromem.retention.plots import plot_levels
    >>> result = list_length_probe(ExactStore(32), RandomBits(32), lengths=(8, 16), foils="novel", seeds=1)
    >>> ax = plot_levels(result, "total_lag", "accuracy", label="items in the list", title="list length", log=True)
    """
    found = chosen(result, condition=probe_condition, measure=measure, **wanted)
    ax = axes_or_new(ax)
    for place, system in enumerate(systems_of(found, systems)):
        rows = found.where(system=system)
        if len(rows):
            levels = np.unique(rows.table["level"])
            points = [rows.where(level=float(level)) for level in levels]
            value = np.array([np.average(p.table["value"], weights=np.maximum(p.table["n"], 1)) for p in points])
            ax.plot(levels, value, label=system, **style_of(place))
    chance_line(ax, found)
    if log:
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks := np.unique(found.table["level"]), [f"{tick:g}" for tick in ticks], fontsize=8)
    ax.set(xlabel=label, title=title, ylabel=WORDS.get(measure, measure.replace("_", " ")))
    return ax


def plot_savings(result: ProbeResult, measure: str = "savings", *, systems: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Savings in relearning by the time since learning; censored ones are left out.

    Parameters
    ----------
    result : ProbeResult
        Of :func:`savings_probe`.
    measure : {"savings", "savings_control"}
    systems, ax
        As in :func:`plot_retention`.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, savings_probe
    >>> from neuromem.retention.plots import plot_savings
    >>> result = savings_probe(ExactStore(32), RandomBits(32), n_study=8, intervals=(0, 10), seeds=1)
    >>> plot_savings(result).get_ylabel()
    'savings'
    """
    found = chosen(result, probe="savings", measure=measure)
    found = ProbeResult(found.table[~np.isnan(found.table["value"])], result.config)
    ax = axes_or_new(ax)
    for place, system in enumerate(systems_of(found, systems)):
        rows = found.where(system=system)
        if len(rows):
            lags = np.unique(rows.table["lag_items"])
            value = [float(rows.where(lag_items=int(lag)).table["value"].mean()) for lag in lags]
            ax.plot(lags, value, label=system, **style_of(place))
    ax.axhline(0, color="0.5", ls=":", lw=1, zorder=0)
    lag_axis(ax, found, "items written between learning and relearning")
    ax.set(ylabel=measure.replace("_", " "), title="savings in relearning")
    return ax


def plot_matrix(R: Any, *, tasks: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Accuracy on each task after each task, as a heat map with its numbers; what was not evaluated (NaN) is blank.

    Parameters
    ----------
    R : array-like (T, T), or (S, T, T) of several seeds, whose mean is shown
    tasks : sequence of str, optional
        Names; default: numbers from 1.
    ax : matplotlib Axes, optional

    Raises
    ------
    InputError
        For another shape.

    Examples
    --------
    >>> from neuromem.retention.plots import plot_matrix
    >>> len(plot_matrix([[0.9, float("nan")], [0.7, 0.95]]).texts)
    3
    """
    R = np.asarray(R, float)
    if R.ndim not in (2, 3) or R.shape[-1] != R.shape[-2] or not R.size:
        raise InputError(f"R has shape {R.shape}, (T, T) or (S, T, T) was expected")
    mean = R.mean(axis=0) if R.ndim == 3 else R
    n = len(mean)
    names = [str(i + 1) for i in range(n)] if tasks is None else list(tasks)
    if len(names) != n:
        raise InputError(f"tasks are {len(names)}, R has {n}")
    ax = axes_or_new(ax, 1.6 + 0.62 * n, 1.2 + 0.55 * n)
    image = ax.imshow(mean, vmin=0, vmax=1, cmap="viridis")
    for i in range(n):
        for j in range(n):
            if np.isfinite(mean[i, j]):
                ax.text(j, i, f"{mean[i, j]:.2f}", ha="center", va="center", color="white" if mean[i, j] < 0.6 else "black")
    ax.set_xticks(range(n), names)
    ax.set_yticks(range(n), names)
    ax.set(xlabel="accuracy on task", ylabel="after learning task", title="what later tasks leave of earlier ones")
    ax.figure.colorbar(image, ax=ax, label="accuracy")
    return ax


def plot_spacing(result: ProbeResult, system: str | None = None, *, ax: Any = None) -> Any:
    """What is right by gap (across) and time to the test (up), with the ridge: the best gap for each time.

    Parameters
    ----------
    result : ProbeResult
        Of :func:`spacing_probe`.
    system : str, optional
        Which memory, where the result has several.
    ax : matplotlib Axes, optional

    Raises
    ------
    InputError
        If the result has no such rows, or several memories and none is named.

    Examples
    --------
    >>> from neuromem.retention import RandomBits, TwoStore, spacing_probe
    >>> from neuromem.retention.plots import plot_spacing
    >>> result = spacing_probe(TwoStore(32), RandomBits(32), gaps=(1, 8), retention_intervals=(10, 100), n_targets=8, seeds=1)
    >>> plot_spacing(result).get_xlabel()
    'gap between exposures'
    """
    found = chosen(result, probe="spacing", **({} if system is None else {"system": system}))
    if len(names := systems_of(found)) > 1:
        raise InputError(f"the result has {', '.join(names)}; say which by system=")
    points = ProbeResult(found.table[found.table["gap"] >= 0], found.config)
    gaps, delays = (np.unique(points.table[name]) for name in ("gap", "lag_items"))
    surface = np.full((len(delays), len(gaps)), np.nan)
    for i, delay in enumerate(delays):
        for j, gap in enumerate(gaps):
            rows = points.where(gap=int(gap), lag_items=int(delay)).table
            surface[i, j] = np.average(rows["value"], weights=np.maximum(rows["n"], 1))
    ax = axes_or_new(ax)
    image = ax.imshow(surface, origin="lower", aspect="auto", vmin=min(0.5, float(surface.min())), vmax=1, cmap="viridis")
    ridge = found.where(measure="best_gap")
    best = {int(row["lag_items"]): int(row["value"]) for row in ridge}
    places = [gaps.tolist().index(best[int(delay)]) for delay in delays if int(delay) in best]
    ax.plot(
        places, [i for i, delay in enumerate(delays) if int(delay) in best], "o-", color="white", mec="black", label="best gap"
    )
    ax.set_xticks(range(len(gaps)), [f"{gap:,}" for gap in gaps])
    ax.set_yticks(range(len(delays)), [f"{delay:,}" for delay in delays])
    ax.set(xlabel="gap between exposures", ylabel="items from the last one to the test", title=f"spacing: {names[0]}")
    ax.figure.colorbar(image, ax=ax, label="right")
    ax.legend(fontsize=8, loc="upper left")
    return ax


def plot_intervals(
    result: ProbeResult,
    *,
    label: str,
    title: str,
    log: bool = False,
    systems: Sequence[str] | None = None,
    ax: Any = None,
    **wanted: Any,
) -> Any:
    """One figure of each memory with its interval, the memories below one another: capacity, what spacing gains.

    Where several rows of a memory fit (seeds), their mean is shown with the widest interval of any.

    Parameters
    ----------
    result : ProbeResult
    label, title : str
    log : bool, default False
    systems, ax
        As in :func:`plot_retention`.
    **wanted
        Columns of the rows: ``measure="items"``.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, capacity_probe
    >>> from neuromem.retention.plots import plot_intervals
    >>> result = capacity_probe(ExactStore(32, capacity=50, on_full="oldest"), RandomBits(32), seeds=1)
    >>> plot_intervals(result, measure="items", label="items", title="capacity").get_xlabel()
    'items'
    """
    found = chosen(result, **wanted)
    names = systems_of(found, systems)
    ax = axes_or_new(ax)
    for place, system in enumerate(names):
        rows = found.where(system=system).table
        if not len(rows):
            continue
        style = style_of(place)
        low, high = rows["ci_lo"], rows["ci_hi"]
        if np.isnan(rows["value"]).all():  # censored: more than was tried
            ax.plot(np.nanmax(low), place, marker=">", color=style["color"], ms=7, mfc="none", ls="")
            continue
        value = float(np.nanmean(rows["value"]))
        ends = [np.nanmin(low) if np.isfinite(low).any() else value, np.nanmax(high) if np.isfinite(high).any() else value]
        ax.plot(ends, [place, place], color=style["color"], lw=1.2)
        ax.plot(value, place, marker=style["marker"], color=style["color"], ms=5, ls="")
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.invert_yaxis()
    if log:
        ax.set_xscale("symlog", linthresh=1, linscale=0.4)
        ax.set_xlim(left=-0.2)
    else:
        ax.axvline(0, color="0.5", ls=":", lw=1, zorder=0)
    ax.set(xlabel=label, title=title)
    return ax
