"""How remembering an item depends on the list it was in: on the list's length, and on the item's place."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.progress import Progress, progress_bar
from neuromem.retention.adapters import fresh, require, seed_within, system_name, write_batches
from neuromem.retention.course_modes import PROBES, Values, rows_of
from neuromem.retention.foils import Foil
from neuromem.retention.items import ItemSource
from neuromem.retention.questions import Questions, config_of, list_lengths, names_of, question_plan
from neuromem.retention.recognition import seeds_of, spread_out
from neuromem.retention.results import ProbeResult
from neuromem.retention.statistics import half_width

LAGS = ("equal", "total")


def list_length_probe(
    memory: Any,
    source: ItemSource,
    *,
    lengths: int | Sequence[int] = (16, 32, 64, 128, 256, 512),
    lags: str | Sequence[str] = LAGS,
    lag: int = 0,
    window: int | None = None,
    probes: str | Sequence[str] = PROBES,
    foils: str | Foil | Iterable[str | Foil] = ("novel", "variant:1/32"),
    cue_fraction: float = 0.5,
    cue_kind: str = "prefix",
    include_cue: bool = False,
    shape: tuple[int, int] | None = None,
    n_key: int | None = None,
    measures: str | Sequence[str] = ("component_accuracy", "exact"),
    tolerance: float = 0.1,
    n_probe: int | None = None,
    batch_size: int = 16,
    with_targets: bool = False,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
    progress: Progress = False,
) -> ProbeResult:
    """Recognition and recall after lists of several lengths, once at the same lag and once over the whole list.

    A longer list is a shorter one that goes on.

    Parameters
    ----------
    memory : object or callable
        Has ``write`` and what the probes need: ``familiarity`` (recognition), ``complete`` (recall; ``read`` for noisy cues).  It
        is copied, never changed.  A callable without ``write`` makes a memory from a seed.
    source : ItemSource
        Each seed has other items of it.
    lengths : int or sequence of int, default (16, 32, 64, 128, 256, 512)
        Items in a list, ascending.
    lags : {"equal", "total"} or both
        "equal": items after which ``lag`` to ``lag + window - 1`` others came, whatever the list's length, so that only what came
        before them differs; "total": items from all over the list.
    lag : int, default 0
    window : int, optional
        Items that are probed at equal lag; default: as many as the shortest list has beyond ``lag``.
    probes, foils, cue_fraction, cue_kind, include_cue, shape, n_key, measures, tolerance
        As in :func:`retention_curve`.
    n_probe : int, optional
        At most so many items are probed; default 2,000.
    batch_size, with_targets, seeds, check_purity, progress
        As in :func:`recognition_probe`.

    Returns
    -------
    ProbeResult
        ``condition`` is "equal_lag" or "total_lag", ``level`` the list's length, ``lag_items`` (equal lag) the smallest lag;
        ``probe`` and ``measure`` as in :func:`retention_curve`; ``foil`` with its level: "variant:1/32".

    Raises
    ------
    InputTypeError, ScoreError, ProbeMutatedMemoryError
        As :func:`recognition_probe`.
    InputError
        If the shortest list has no window at this lag.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, list_length_probe
    >>> memory = ExactStore(64, capacity=40, on_full="oldest")
    >>> result = list_length_probe(memory, RandomBits(64), lengths=(20, 40, 80), probes="recall", measures="exact", seeds=1)
    >>> result.where(condition="equal_lag").values().tolist(), result.where(condition="total_lag").values().tolist()
    ([1.0, 1.0, 1.0], [1.0, 1.0, 0.5])
    """
    probe = "list_length_probe"
    lengths = list_lengths(lengths, "lengths")
    kinds = names_of(lags, "lags", LAGS)
    lag = validate.integer(lag, "lag", 0)
    if "equal" in kinds and lengths[0] - lag < 2:
        raise InputError(f"lag is {lag}, the shortest list of {lengths[0]} items has no two items of at least that lag")
    window = max(2, lengths[0] - lag) if window is None else validate.integer(window, "window", 2)
    if "equal" in kinds and window + lag > lengths[0]:
        raise InputError(f"window {window} at lag {lag} does not fit the shortest list of {lengths[0]} items")
    plan = question_plan(locals(), lengths[-1])
    seeds = seeds_of(seeds)
    rows: list[dict[str, Any]] = []
    name = ""
    with progress_bar(len(seeds) * len(lengths), progress, probe) as advance:
        for seed in seeds:
            live = fresh(memory, seed)
            require(live, plan.verbs, probe)
            name = system_name(live)
            items = source.reseeded(seed)
            ids = items.ids("target", lengths[-1])
            common = {"exposures": 1, "seed": seed}
            written = 0
            for length in lengths:
                write_batches(live, items, ids[written:length], plan.batch_size, plan.with_targets)
                written = length
                places = {"equal": np.arange(length - lag - window, length - lag), "total": np.arange(length)}
                for kind in kinds:
                    probed = places[kind][spread_out(len(places[kind]), plan.n_probe)]
                    columns = common | {"condition": f"{kind}_lag", "level": length}
                    columns |= {"lag_items": lag} if kind == "equal" else {}
                    rows += rows_of(Questions(items, ids[probed], plan, probe).ask(live, columns))
                advance(1)
    config = config_of(probe, memory, name, source, plan, seeds)
    return ProbeResult(rows, config | {"lengths": lengths, "lags": kinds, "lag": lag, "window": window})


def slope_row(outcomes: np.ndarray, start: int, measure: str) -> dict[str, Any]:
    """Least-squares slope of outcomes (n_lists, n_places) over places, with the interval of its standard error.

    The error is that of the slopes of single lists where there are several, for items of one list are not independent; else
    that of the residuals.
    """
    n_lists, n_places = outcomes.shape
    x = np.arange(n_places) - (n_places - 1) / 2
    slopes = outcomes @ x / (x @ x)
    mean = float(slopes.mean())
    if n_lists > 1:
        error = float(slopes.std(ddof=1)) / n_lists**0.5
    elif n_places > 2:
        residuals = outcomes[0] - outcomes[0].mean() - mean * x
        error = float(np.sqrt(residuals @ residuals / (n_places - 2) / (x @ x)))
    else:
        error = np.nan
    spread = half_width(0.95) * error
    row = {"measure": measure, "level": start, "n": outcomes.size, "value": mean}
    return row | {"ci_lo": mean - spread, "ci_hi": mean + spread, "chance": 0.0}


def serial_position_probe(
    memory: Any,
    source: ItemSource,
    *,
    n_study: int = 20,
    n_lists: int = 32,
    n_edge: int | None = None,
    exposures: int = 1,
    probes: str | Sequence[str] = PROBES,
    foils: str | Foil | Iterable[str | Foil] = ("novel", "variant:1/32"),
    cue_fraction: float = 0.5,
    cue_kind: str = "prefix",
    include_cue: bool = False,
    shape: tuple[int, int] | None = None,
    n_key: int | None = None,
    measures: str | Sequence[str] = ("component_accuracy", "exact"),
    tolerance: float = 0.1,
    batch_size: int = 1,
    with_targets: bool = False,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
    progress: Progress = False,
) -> ProbeResult:
    """Recognition and recall by place in the list: are the first and the last items kept better?

    Every list is studied by a memory of its own: a copy of the one given, or what a callable makes.

    Parameters
    ----------
    memory : object or callable
        As in :func:`list_length_probe`; one that holds something already goes on from there with every list, and one with
        random parts draws the same for all of them.  A callable makes another memory for every list, so that lists are
        independent also where a memory has random parts.
    source : ItemSource
        Each seed, and each list, has other items of it.
    n_study : int, default 20
        Items in a list.
    n_lists : int, default 32
        Lists of each seed; every place has one item of each.
    n_edge : int, optional
        Places at either end over which slopes are fitted; default: a quarter of the list, two at least.
    exposures : int, default 1
        Passes over the list, each in the same order.
    probes, foils, cue_fraction, cue_kind, include_cue, shape, n_key, measures, tolerance
        As in :func:`retention_curve`.
    batch_size : int, default 1
    with_targets, seeds, check_purity, progress
        As in :func:`recognition_probe`.

    Returns
    -------
    ProbeResult
        ``condition`` "position": a row for each place, ``level`` (0 is the first) with ``lag_items`` after it.  ``condition``
        "slopes": measures with "_primacy_slope" (over the first ``n_edge`` places, below 0 where the first are kept best) and
        "_recency_slope" (over the last ones, above 0 where the last are kept best), per place.

    Raises
    ------
    InputTypeError, ScoreError, ProbeMutatedMemoryError
        As :func:`recognition_probe`.
    InputError
        For ends that overlap.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, serial_position_probe
    >>> memory = ExactStore(64, capacity=4, on_full="oldest")
    >>> result = serial_position_probe(memory, RandomBits(64), n_study=8, n_lists=3, probes="recall", measures="exact", seeds=1)
    >>> result.where(condition="position").values().tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    """
    probe = "serial_position_probe"
    n_study = validate.integer(n_study, "n_study", 4)
    n_lists = validate.integer(n_lists, "n_lists", 1)
    passes = validate.integer(exposures, "exposures", 1)
    n_edge = max(2, n_study // 4) if n_edge is None else validate.integer(n_edge, "n_edge", 2, n_study // 2)
    plan = question_plan(locals(), n_study)
    seeds = seeds_of(seeds)
    rows: list[dict[str, Any]] = []
    name = ""
    with progress_bar(len(seeds) * n_lists, progress, probe) as advance:
        for seed in seeds:
            items = source.reseeded(seed)
            found: list[Values] = []
            for number in range(n_lists):
                live = fresh(memory, seed_within(seed, number))
                require(live, plan.verbs, probe)
                name = system_name(live)
                ids = items.ids("target", n_study, number * n_study)
                for _ in range(passes):
                    write_batches(live, items, ids, plan.batch_size, plan.with_targets)
                columns = {"condition": "position", "exposures": passes, "seed": seed}
                found.append(Questions(items, ids, plan, probe).ask(live, columns))
                advance(1)
            rows += place_rows(found, n_edge)
    config = config_of(probe, memory, name, source, plan, seeds)
    return ProbeResult(rows, config | {"n_study": n_study, "n_lists": n_lists, "n_edge": n_edge, "exposures": passes})


def place_rows(found: list[Values], n_edge: int) -> list[dict[str, Any]]:
    """Rows for every place and both slopes, from the values of several lists."""
    rows = []
    for number, (columns, values) in enumerate(found[0]):
        outcomes = np.stack([values, *(other[number][1] for other in found[1:])]).astype(np.float64)
        chances = [other[number][0]["chance"] for other in found]
        columns = columns | {"chance": float(np.mean(chances)), "seconds": sum(o[number][0]["seconds"] for o in found)}
        n_study = outcomes.shape[1]
        places = [columns | {"level": place, "lag_items": n_study - 1 - place} for place in range(n_study)]
        rows += rows_of([(own, outcomes[:, place]) for place, own in enumerate(places)])
        measure = columns.get("measure", "accuracy")
        edges = {"primacy": (0, n_edge), "recency": (n_study - n_edge, n_study)}
        for edge, (start, stop) in edges.items():
            rows.append(columns | {"condition": "slopes"} | slope_row(outcomes[:, start:stop], start, f"{measure}_{edge}_slope"))
    return rows
