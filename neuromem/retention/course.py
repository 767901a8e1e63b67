"""The course of forgetting: recognition and recall as more and more is written."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError, InputTypeError
from neuromem.progress import Progress, progress_bar
from neuromem.retention.adapters import copy_of, described, fresh, require, system_name
from neuromem.retention.checkpoint import keep, kept
from neuromem.retention.checkpoints import ORHAN, checkpoints_of, log_spaced
from neuromem.retention.course_modes import MODES, PROBES, Longitudinal, Plan, Run
from neuromem.retention.cues import CUE_KINDS
from neuromem.retention.foils import Foil, foils_of
from neuromem.retention.items import ItemSource
from neuromem.retention.recall import MEASURES
from neuromem.retention.recognition import seeds_of
from neuromem.retention.results import ProbeResult
from neuromem.retention.statistics import n_for_precision

N_PROBE = 2_000
BATCH_SIZES = {"longitudinal": 16, "cross_sectional": 1024, "steady_state": 1024}
PER_ITEM = tuple(name for name in MEASURES if name not in ("information", "identification"))


def plan_for(settings: Mapping[str, Any]) -> Plan:
    """Check the arguments of :func:`retention_curve`."""
    s = dict(settings)
    mode = validate.choice(s["mode"], "mode", MODES)
    n_target = validate.integer(s["n_target"], "n_target", 2)
    unit = validate.choice(s["unit"], "unit", ("items", "updates"))
    batch_size = BATCH_SIZES[mode] if s["batch_size"] is None else validate.integer(s["batch_size"], "batch_size", 1)
    exposures = validate.integer(s["exposures"], "exposures", 1)
    if mode != "longitudinal" and (exposures > 1 or s["probe_writes"]):
        raise InputError(f"mode={mode!r} writes each item once: exposures and probe_writes are for mode='longitudinal'")
    probes = (s["probes"],) if isinstance(s["probes"], str) else tuple(s["probes"])
    measures = (s["measures"],) if isinstance(s["measures"], str) else tuple(s["measures"])
    for name, values, options in (("probes", probes, PROBES), ("measures", measures, PER_ITEM)):
        for value in values:
            validate.choice(value, name, options)
        if not values or len(set(values)) != len(values):
            raise InputError(f"{name} are {values}, at least one and none twice was expected")
    longest = n_target - 1 if mode == "cross_sectional" else max(1, n_target // 2)
    longest = longest // batch_size if unit == "updates" else longest
    default = ORHAN if mode == "longitudinal" else log_spaced(max(1, longest))
    checkpoints = checkpoints_of(s["checkpoints"], default)
    if mode != "longitudinal" and checkpoints[-1] * (batch_size if unit == "updates" else 1) >= n_target:
        raise InputError(f"checkpoints go to {checkpoints[-1]} {unit}, a stream of {n_target} items has no item of that age")
    if s["n_probe"] is not None and s["precision"] is not None:
        raise InputError("n_probe and precision are both given, one of them was expected")
    n_probe = N_PROBE if s["n_probe"] is None else validate.integer(s["n_probe"], "n_probe", 2)
    n_probe = min(n_target, n_probe if s["precision"] is None else n_for_precision(s["precision"]))
    cue = {
        "fraction": validate.number(s["cue_fraction"], "cue_fraction", low=0.0, high=1.0, low_open=True),
        "kind": validate.choice(s["cue_kind"], "cue_kind", CUE_KINDS),
        "shape": None if s["shape"] is None else tuple(s["shape"]),
        "n_key": s["n_key"],
    }
    return Plan(
        mode,
        n_target,
        exposures,
        checkpoints,
        unit,
        probes,
        foils_of(s["foils"]),
        measures,
        cue,
        bool(s["include_cue"]),
        validate.number(s["tolerance"], "tolerance", low=0.0),
        n_probe,
        validate.integer(s["n_positions"], "n_positions", 1),
        batch_size,
        bool(s["with_targets"]),
        bool(s["probe_writes"]),
        s["check_purity"],
    )


class Resumable:
    """Keeps a run's state in a file and takes it up again.

    Parameters
    ----------
    path : str, Path or None
    config : mapping
        A file of another run is refused.
    """

    def __init__(self, path: str | Path | None, config: Mapping[str, Any]) -> None:
        self.path = path
        self.digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
        self.finished: list[dict[str, Any]] = []
        self.current: dict[str, Any] | None = None
        if path is None:
            return
        state = kept(path)
        if state is not None:
            if not isinstance(state, dict) or state.get("digest") != self.digest:
                raise InputError(f"{Path(path).name} keeps another run (memory, source or settings differ); give another path")
            self.finished, self.current = state["finished"], state["current"]

    def check(self, memory: Any) -> None:
        """Raise unless a memory's state can be kept."""
        if self.path is None:
            return
        for verb in ("get_state", "set_state"):
            if not callable(getattr(memory, verb, None)):
                raise InputTypeError(f"{system_name(memory)} has no {verb}, which checkpoint_path needs")

    def restore(self, run: Run) -> None:
        """Bring a run to where it was."""
        if self.current is None:
            return
        run.found = self.current["found"]
        run.live.set_state(self.current["memory"])
        if isinstance(run, Longitudinal) and self.current["idle"] is not None:
            run.idle = copy_of(run.live)
            run.idle.set_state(self.current["idle"])
        self.current = None

    def save(self, run: Run) -> None:
        """Keep a run in the middle of a seed."""
        if self.path is not None:
            idle = getattr(run, "idle", None)
            current = {
                "found": run.found,
                "memory": run.live.get_state(),
                "idle": None if idle is None else idle.get_state(),
            }
            keep(self.path, {"digest": self.digest, "finished": self.finished, "current": current})

    def finish(self, run: Run) -> None:
        """Keep the end of a seed."""
        self.finished.append({"rows": run.found["rows"], "arrays": run.found["arrays"]})
        if self.path is not None:
            keep(self.path, {"digest": self.digest, "finished": self.finished, "current": None})


def retention_curve(
    memory: Any,
    source: ItemSource,
    *,
    mode: str = "longitudinal",
    n_target: int = 600,
    exposures: int = 1,
    checkpoints: str | Sequence[int] | None = None,
    unit: str = "items",
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
    precision: float | None = None,
    n_positions: int = 32,
    batch_size: int | None = None,
    with_targets: bool = False,
    probe_writes: bool = False,
    seeds: int | Iterable[int] = range(4),
    check_purity: bool | None = None,
    checkpoint_path: str | Path | None = None,
    progress: Progress = False,
) -> ProbeResult:
    """Recognition and recall of items as others are written after them.

    Parameters
    ----------
    memory : object or callable
        Has ``write`` and what the probes need: ``familiarity`` (recognition), ``complete`` (recall; ``read`` for noisy cues).  It
        is copied, never changed.  A callable without ``write`` makes a memory from a seed.
    source : ItemSource
        Each seed has other items of it.
    mode : {"longitudinal", "cross_sectional", "steady_state"}, default "longitudinal"
        Study targets, then write fillers and probe the same targets at each checkpoint; or write one stream and at its end probe
        items of each age (only for a memory whose curve does not depend on how much came before: the curve of the stream's
        first half is given too, and tested against it); or probe each age at many places of a stream.
    n_target : int, default 600
        Items studied, or of the stream.
    exposures : int, default 1
        How often the list of targets is shown (longitudinal).
    checkpoints : {"orhan", "log"} or sequence of int, optional
        Lags to probe, ascending; 0 is always added.  Default: the published schedule of Orhan (2023), 1 ... 10, 20 ... 100,
        1,000 ... 10,000, 100,000; or log-spaced ages of the stream.
    unit : {"items", "updates"}, default "items"
        What checkpoints count: items, or batches of ``batch_size``.
    probes : "recognition", "recall" or both
    foils : str, Foil, or several
        See :class:`Foil`; choices are between two.
    cue_fraction, cue_kind, include_cue, shape, n_key, tolerance
        As in :func:`recall_probe`.
    measures : sequence of str, default ("component_accuracy", "exact")
        Of recall, without "information" and "identification".
    n_probe : int, optional
        Items probed at each checkpoint, the same ones each time and from all over the list; default 2,000 or all.
    precision : float, optional
        Instead of ``n_probe``: half the width that an interval of accuracy may have.
    n_positions : int, default 32
        Places of a stream at which items are probed (steady state).
    batch_size : int, optional
        Items in each write; default 16 (longitudinal) or 1,024.
    with_targets : bool, default False
        Write classes as targets.
    probe_writes : bool, default False
        Write probed targets once more after each checkpoint: the testing effect (longitudinal).
    seeds : int or iterable of int, default range(4)
    check_purity : bool, optional
        Compare the memory's state before and after reading; default: where it is at most 1 MiB.
    checkpoint_path : str or Path, optional
        Keep the run's state here after every checkpoint.  Called again with the same arguments after it was stopped, at whatever
        moment, the run goes on from there and gives the same table.
    progress : bool or callable, default False

    Returns
    -------
    ProbeResult
        ``condition``: "studied"; "unstudied", items never written, asked at the same moments (drift of the prior); "idle",
        targets of a memory that had as many idle steps instead of writes, where it has ``idle(n)`` (decay without interference);
        "prior", before anything is written; "midpoint", half-way of a stream.  ``lag_items`` counts items since the list was
        complete, or the age.  ``measure``: "accuracy", "strict_accuracy" and "d_prime" of recognition; those asked for of recall;
        "survival", items right at every checkpoint so far; "permastore", items still exact at the last one;
        ``stationarity_p_`` and more, the chance of a difference between the ends of a stream as large as found.  ``arrays`` has
        the outcome of every item at every checkpoint, (seeds, items, checkpoints), 2 right, 1 tied, 0 wrong.

    Raises
    ------
    InputTypeError, ScoreError, ProbeMutatedMemoryError
        As :func:`recognition_probe`.
    InputError
        For checkpoints that are unsorted, negative or repeated, more items than the source has, or a file of another run.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, retention_curve
    >>> memory = ExactStore(64, capacity=100, on_full="oldest")
    >>> result = retention_curve(memory, RandomBits(64), n_target=50, checkpoints=[10, 50, 100], probes="recall", seeds=1)
    >>> result.where(condition="studied", measure="exact").curve()["value"].tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    settings = dict(locals())
    plan = plan_for(settings)
    seeds = seeds_of(seeds)
    first = fresh(memory, seeds[0])
    require(first, plan.verbs, "retention_curve")
    name = system_name(first)
    config = {
        "probe": "retention_curve",
        "system": name,
        "memory": described(memory) if hasattr(memory, "write") else name,
        "source": [type(source).__name__, source.describe()],
        **{key: value for key, value in vars(plan).items() if key not in ("foils", "check_purity")},
        "foils": [foil.describe() for foil in plan.foils],
        "seeds": seeds,
    }
    keeper = Resumable(checkpoint_path, config)
    keeper.check(first)
    done = len(keeper.finished)
    with progress_bar(len(seeds), progress, "retention_curve") as advance:
        advance(done)
        for seed in seeds[done:]:
            live = first if seed == seeds[0] else fresh(memory, seed)
            run = MODES[plan.mode](source.reseeded(seed), live, plan, seed, name)
            keeper.restore(run)
            if not run.found["prior"]:
                run.start()
                keeper.save(run)
            while run.found["done"] < len(run.stops):
                run.step()
                keeper.save(run)
            run.finish()
            keeper.finish(run)
            advance(1)
    parts = keeper.finished
    arrays = {key: np.stack([part["arrays"][key] for part in parts]) for key in parts[0]["arrays"]}
    return ProbeResult([row for part in parts for row in part["rows"]], config, arrays)
