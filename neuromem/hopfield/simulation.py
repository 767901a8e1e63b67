"""Monte Carlo runs: batches of temperatures and replicas as independent chains, and what is measured on them."""

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.backend import NUMPY, Backend, backend_of, is_device_array, to_host
from neuromem.errors import BackendError, InputError
from neuromem.hopfield.engines import DYNAMICS, ENGINES, RULES, Classes, Columns, checked_order, choose_engine, first_entries
from neuromem.hopfield.patterns import spin_states
from neuromem.parallel import kernel_threads
from neuromem.progress import Progress
from neuromem.random import generator_for, key_for
from neuromem.sweep import run_tasks

RECORDS = ("m", "m2", "energy", "states", "series")
STARTS = ("hierarchical", "random")
N_BATCHES = 20  # of consecutive records, per replica, for error bars
MOST_TASKS = 64
LARGEST_COUNT = 1 << 53
NS_PER_PLACE = {"classes": 100.0, "bits": 20.0, "overlaps": 5.0, "dense": 10.0}  # of a state in one sweep, on one thread


@dataclass(frozen=True)
class Trace:
    """What a run measured; B temperatures, R replicas, P overlaps.

    Parameters
    ----------
    beta : float64 (B,)
        Inverse temperatures.
    engine : str
        Which engine ran.
    n_sweeps, burn_in, thin : int
        Sweeps measured, sweeps before, sweeps per record.
    m, m_error : float64 (B, P)
        Mean overlaps, and the standard errors of batch means; NaN where there is one batch only.  Too small where a batch is not
        much longer than the correlation time (near a transition), and where what is measured hardly ever changes.
    m2, m2_error : float64 (B, P, P), or None
        Mean products of two overlaps.
    energy, energy_error : float64 (B,), or None
        Mean energy H of the whole network.
    states : int8 (B, R, n_units), or None
        Last states.
    series : float64 (B, R, n_records, P), or None
        Overlaps of every record.
    energies : float64 (B, R, n_records), or None
        Energies of every record.

    Examples
    --------
    >>> from neuromem.hopfield import MultitaskingHebbian, sample_patterns
    >>> model = MultitaskingHebbian(random_state=0).fit(sample_patterns(2, 2000, 0.3, random_state=0))
    >>> trace = model.simulate(beta=[5.0, 8.0], n_sweeps=200, burn_in=50, dynamics="parallel")
    >>> trace.m.shape, trace.engine
    ((2, 2), 'classes')
    """

    beta: np.ndarray
    engine: str
    n_sweeps: int
    burn_in: int
    thin: int
    m: np.ndarray
    m_error: np.ndarray
    m2: np.ndarray | None = None
    m2_error: np.ndarray | None = None
    energy: np.ndarray | None = None
    energy_error: np.ndarray | None = None
    states: np.ndarray | None = None
    series: np.ndarray | None = None
    energies: np.ndarray | None = None


@dataclass(frozen=True)
class Plan:
    """A run, ready to be cut into tasks."""

    engine: str
    dynamics: str
    layout: dict[str, Any]
    factor: float  # of the couplings
    own_sum: float  # what the record of squares has too much of
    divisors: np.ndarray  # of the reported overlaps
    first_reported: int
    classes: Classes | None = None
    columns: Columns | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def checked_betas(beta: Any) -> np.ndarray:
    """Inverse temperatures, float64 (B,): from 0 up, inf allowed."""
    values = np.atleast_1d(np.asarray(beta))
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not len(values):
        raise InputError(f"beta is {beta!r}, a number from 0 up (inf allowed) or a list of them was expected")
    values = values.astype(float)
    if not (values >= 0).all():
        raise InputError(f"beta is {beta!r}, numbers from 0 up (inf allowed) were expected")
    return values


def plan_run(
    columns: Columns, dynamics: str, order: Any, rule: str, engine: str, *, states: bool, clamped: bool, divisors: np.ndarray
) -> Plan:
    """Choose the engine and lay the network out for it; the last ``len(divisors)`` columns are reported."""
    validate.choice(dynamics, "dynamics", DYNAMICS)
    validate.choice(rule, "rule", RULES)
    validate.choice(engine, "engine", ENGINES)
    number, given = checked_order(order, columns.n_units)
    chosen = choose_engine(engine, dynamics, order, columns, states, clamped)
    first = columns.rows.shape[1] - len(divisors)
    settings: dict[str, Any] = {"metropolis": RULES.index(rule)}
    classes = None
    layout: dict[str, Any]
    if chosen in ("classes", "bits"):
        classes = columns.classes
        n = len(classes.counts)
        if chosen == "classes" and classes.n_idle and not states:
            n -= 1  # units without a field change nothing that is measured
        layout = class_layout(classes.values[:, :n], classes.counts[:n], columns.weights)
        if chosen == "bits":
            layout["offsets"] = classes.packing.offsets
        elif dynamics == "serial":
            layout["n_units"] = columns.n_units
            settings["permuted"] = int(order == "permutation")
    else:
        layout = {"rows": columns.rows}
        if chosen == "dense":
            layout["links"] = columns.dense_links
        else:
            layout |= {"weights": columns.kernel_weights, "own": columns.own}
        if dynamics == "serial":
            settings |= {"order": number, "given": given}
    own_sum = 0.0 if chosen == "dense" else float(columns.own.sum(dtype=float))
    return Plan(chosen, dynamics, layout, columns.factor, own_sum, divisors, first, classes, columns, settings)


def class_layout(values: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """What the kernels on classes take."""
    own = weights @ values.astype(float) ** 2 if len(values) else np.zeros(len(counts))
    return {"values": np.ascontiguousarray(values), "weights": weights, "own": own, "counts": counts}


def run_chains(
    engine: str,
    dynamics: str,
    layout: dict[str, Any],
    settings: dict[str, Any],
    first_reported: int,
    n_reported: int,
    scales: np.ndarray,
    key: np.ndarray,
    chains: np.ndarray,
    sweeps: np.ndarray,
    start: np.ndarray,
    free: np.ndarray,
    until_stable: int,
    device: int | None = None,
) -> dict[str, np.ndarray]:
    """Run chains on one engine: a pure function of its arguments, which are the host's; ``device`` is a GPU's number.

    Returns
    -------
    dict
        ``overlaps`` int64 (n_chains, n_records, n_reported), ``squares`` float64 (n_chains, n_records), ``states`` (in the
        form of ``start``), ``settled`` int64 (n_chains, 2).
    """
    backend = NUMPY if device is None else Backend("cupy", device)
    records = (len(start), max(0, int(sweeps[1] - sweeps[2])) // int(sweeps[3]))
    zeros = backend.xp.zeros
    done = {"states": backend.placed(start), "settled": zeros((len(start), 2), np.int64)}
    done |= {"overlaps": zeros((*records, n_reported), np.int64), "squares": zeros(records, np.float64)}
    at = layout
    if device is not None:  # all but what travels as single numbers
        at = {name: backend.placed(value) if isinstance(value, np.ndarray) else value for name, value in layout.items()}
        scales, chains, free = (backend.placed(array) for array in (scales, chains, free))
    common = (scales, settings["metropolis"])
    stream = (key, chains, sweeps)
    order = tuple(settings[name] for name in ("order", "given") if name in settings)
    kind = {"bits": "bit_parallel", "classes": "class_serial" if dynamics == "serial" else "class_chains"}
    kernel = kernel_on(backend, kind.get(engine, f"{dynamics}_{engine}"))
    with kernel_threads(NS_PER_PLACE[engine] * start.size * int(sweeps[1])):
        if engine in kind:
            parts = tuple(at[name] for name in ("values", "weights", "own", "counts"))
            tail = (*stream, first_reported, done["states"], done["overlaps"], done["squares"])
            if engine == "bits":
                kernel(*parts, at["offsets"], free, *common, *tail)
            elif dynamics == "parallel":
                kernel(*parts, *common, *tail)
            else:
                kernel(*parts, at["n_units"], *common, settings["permuted"], *tail)
        else:
            tables = (at[name] for name in (("links", "rows") if engine == "dense" else ("rows", "weights", "own")))
            tail = (until_stable, first_reported, free, *(done[n] for n in ("states", "overlaps", "squares", "settled")))
            kernel(*tables, *common, *order, *stream, *tail)
    return {name: to_host(array) for name, array in done.items()}


def device_of(*arguments: Any) -> int | None:
    """The GPU on which some of the arguments live; None where none does."""
    return backend_of(*(argument for argument in arguments if is_device_array(argument))).device


def kernel_on(backend: Backend, name: str) -> Any:
    """A kernel where it is to run.

    Raises
    ------
    BackendError
        If it has no twin on a GPU.
    """
    kernels = backend.kernels("hopfield")
    if not hasattr(kernels, name):
        raise BackendError(f"{name} runs on the CPU only ({kernels.CPU_ONLY[name]}); give NumPy arrays")
    return getattr(kernels, name)


def scales_of(betas: np.ndarray, factor: float) -> np.ndarray:
    """2 beta times the couplings' factor; inf where beta is."""
    return np.where(np.isinf(betas), np.inf, 2 * np.where(np.isinf(betas), 0.0, betas) * factor)


def starts_of(plan: Plan, start: Any, n_betas: int, n_replicas: int, seeds: np.random.SeedSequence) -> np.ndarray:
    """The first state of each chain, in the form that the engine takes; a chain's draws are its own."""
    n_chains = n_betas * n_replicas
    children = [np.random.SeedSequence(seeds.entropy, spawn_key=(*seeds.spawn_key, i)) for i in range(n_chains)]
    generators = [generator_for(child, "hopfield.starts") for child in children]
    if isinstance(start, str):
        validate.choice(start, "start", STARTS)
    if plan.engine == "classes" and isinstance(start, str):
        values, counts = plan.layout["values"], plan.layout["counts"]
        led = values[plan.layout["weights"] > 0].any(axis=0) & (start == "hierarchical")
        return np.stack([np.where(led, counts, generator.binomial(counts, 0.5)) for generator in generators])
    if plan.columns is None:  # counts alone
        return up_counts_of(start, plan.layout["counts"], n_chains)
    columns = plan.columns
    if isinstance(start, str):
        spins = np.stack([2 * generator.integers(0, 2, columns.n_units, dtype=np.int8) - 1 for generator in generators])
        if start == "hierarchical":
            first = np.sign(first_entries(columns.rows[:, columns.weights > 0]))
            spins = np.where(first != 0, first, spins).astype(np.int8)
    else:
        given = np.asarray(start)
        if given.ndim == 3 and given.shape[:2] == (n_betas, n_replicas):
            given = given.reshape(n_chains, -1)
        given = spin_states(np.atleast_2d(given), columns.n_units, name="start")
        if len(given) not in (1, n_replicas, n_chains):
            raise InputError(
                f"start has {len(given)} states, one, one per replica ({n_replicas}) or one per chain ({n_chains}) was expected"
            )
        spins = np.tile(given, (n_chains // len(given), 1))
    return engine_form(plan, spins)


def up_counts_of(start: Any, counts: np.ndarray, n_chains: int) -> np.ndarray:
    """Aligned units of each class, given by the caller, for each chain."""
    given = np.atleast_2d(np.asarray(start))
    if given.dtype.kind not in "iu" or given.shape[1:] != counts.shape or len(given) not in (1, n_chains):
        raise InputError(f"start has shape {given.shape}, integers ({len(counts)},) or ({n_chains}, {len(counts)}) were expected")
    if (given < 0).any() or (given > counts).any():
        raise InputError("start has counts outside 0 ... counts")
    return np.tile(given.astype(np.int64), (n_chains // len(given), 1))


def engine_form(plan: Plan, spins: np.ndarray) -> np.ndarray:
    """Spins as the engine keeps them."""
    if plan.classes is None:
        return spins
    if plan.engine == "bits":
        return plan.classes.packing.pack(spins == plan.classes.signs)
    return plan.classes.up_counts(spins)[:, : len(plan.layout["counts"])]


def free_form(plan: Plan, free: np.ndarray | None) -> np.ndarray:
    """Units that may flip, bool (n or 1, n_units) or None for all, as the engine takes them."""
    if plan.engine == "classes":
        return np.zeros((1, 0), np.uint8)
    assert plan.columns is not None
    if free is None:
        free = np.ones((1, plan.columns.n_units), bool)
    if plan.engine == "bits" and plan.classes is not None:
        return plan.classes.packing.pack(free)
    return np.ascontiguousarray(free, np.uint8)


def spins_of(plan: Plan, states: np.ndarray, seeds: np.random.SeedSequence) -> np.ndarray:
    """Spins int8 (n, n_units) from the engine's form; from counts, aligned units are placed at random within each class."""
    if plan.classes is None:
        return states
    if plan.engine == "bits":
        return plan.classes.packing.unpack(states)
    generator = generator_for(seeds, "hopfield.classes")
    classes = plan.classes
    n_units = len(classes.class_of)
    rank = np.arange(n_units) - np.repeat(np.cumsum(classes.counts) - classes.counts, classes.counts)
    spins = np.empty((len(states), n_units), np.int8)
    for chain, counts in enumerate(states):
        shuffled = np.argsort(classes.class_of + generator.random(n_units))
        aligned = np.empty(n_units, bool)
        aligned[shuffled] = rank < np.repeat(counts, classes.counts)
        spins[chain] = np.where(aligned, classes.signs, -classes.signs)
    return spins


def run_plan(
    plan: Plan,
    seeds: np.random.SeedSequence,
    *,
    start: Any,
    beta: Any,
    n_sweeps: int,
    burn_in: int = 0,
    thin: int = 1,
    n_replicas: int = 1,
    record: Iterable[str] = ("m", "m2", "energy"),
    executor: Executor | None = None,
    folder: Any = None,
    progress: Progress = False,
    device: int | None = None,
) -> Trace:
    """Run all chains, here, on an executor or on a GPU, and sum up what was recorded."""
    device = device_of(start, beta) if device is None else device
    start = to_host(start) if is_device_array(start) else start
    betas = checked_betas(to_host(beta) if is_device_array(beta) else beta)
    burn_in = validate.integer(burn_in, "burn_in", 0)
    thin = validate.integer(thin, "thin", 1)
    n_sweeps = validate.integer(n_sweeps, "n_sweeps", thin)
    n_replicas = validate.integer(n_replicas, "n_replicas", 1)
    wanted = checked_record(record)
    if plan.engine == "classes" and "states" in wanted and not isinstance(start, str):
        raise InputError(
            "states of the engine 'classes' are drawn within classes, a start of given spins would be lost; use 'bits'"
        )
    starts = starts_of(plan, start, len(betas), n_replicas, seeds)
    chains = np.arange(len(starts))
    scales = np.repeat(scales_of(betas, plan.factor), n_replicas)
    common: dict[str, Any] = {
        "engine": plan.engine,
        "dynamics": plan.dynamics,
        "layout": plan.layout,
        "settings": plan.settings,
        "first_reported": plan.first_reported,
        "n_reported": len(plan.divisors),
        "key": key_for(seeds, "hopfield.classes" if plan.engine == "classes" else "hopfield.spins"),
        "sweeps": np.array([0, burn_in + n_sweeps, burn_in, thin]),
        "free": free_form(plan, None),
        "until_stable": 0,
        "device": device,
    }
    if executor is None and folder is None and progress is False:
        done = [run_chains(scales=scales, chains=chains, start=starts, **common)]
    else:
        pieces = np.array_split(chains, min(MOST_TASKS, len(chains)))
        tasks = [{**common, "scales": scales[piece], "chains": piece, "start": starts[piece]} for piece in pieces]
        done = run_tasks(run_chains, tasks, executor, folder, progress)
    found = {name: np.concatenate([part[name] for part in done]) for name in ("overlaps", "squares", "states")}
    shape = (len(betas), n_replicas)
    series = found["overlaps"].reshape(*shape, *found["overlaps"].shape[1:]) / plan.divisors
    energies = (-0.5 * plan.factor * (found["squares"] - plan.own_sum)).reshape(*shape, -1)
    values: dict[str, Any] = dict(zip(("m", "m_error"), batch_means(series), strict=True))
    if "m2" in wanted:
        products = series[..., :, None] * series[..., None, :]
        values |= dict(zip(("m2", "m2_error"), batch_means(products), strict=True))
    if "energy" in wanted:
        values |= dict(zip(("energy", "energy_error"), batch_means(energies), strict=True))
    if "states" in wanted:
        values["states"] = spins_of(plan, found["states"], seeds).reshape(*shape, -1)
    if "series" in wanted:
        values |= {"series": series, "energies": energies}
    return Trace(betas, plan.engine, n_sweeps, burn_in, thin, **values)


def checked_record(record: Iterable[str]) -> set[str]:
    """Names of what is recorded."""
    wanted = {record} if isinstance(record, str) else set(record)
    for name in wanted:
        validate.choice(name, "record", RECORDS)
    return wanted


def batch_means(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over replicas and records of (B, R, n_records, ...), and its standard error from means of consecutive records."""
    n_replicas, n_records = series.shape[1:3]
    n_batches = min(N_BATCHES, n_records)
    size = n_records // n_batches
    kept = series[:, :, n_records - size * n_batches :]
    means = kept.reshape(len(series), n_replicas * n_batches, size, *series.shape[3:]).mean(axis=2)
    n = means.shape[1]
    error = means.std(axis=1, ddof=1) / n**0.5 if n > 1 else np.full(means.shape[:1] + means.shape[2:], np.nan)
    return series.mean(axis=(1, 2)), error


def simulate_classes(
    values: Any,
    counts: Any,
    *,
    beta: Any,
    n_sweeps: int,
    scale: float = 1.0,
    start: Any = "hierarchical",
    dynamics: str = "parallel",
    order: str = "random",
    rule: str = "glauber",
    random_state: Any = None,
    **options: Any,
) -> Trace:
    """Simulate a network of any size from how many units have each pattern row; no unit is ever listed.

    Parameters
    ----------
    values : array-like of int (n_rows, n_patterns)
        Distinct rows, such as ``RowLaw.storing(K, d).values``.
    counts : array-like of int (n_rows,)
        Units with each row, such as ``rng.multinomial(n_units, law.weights)``; below 2**53 in all.
    beta : float or (B,)
    n_sweeps : int
    scale : float, default 1.0
        Coupling scale c.
    start : {"hierarchical", "random"} or int (n_rows,)
        Or how many units of each row are aligned with it.
    dynamics : {"parallel", "serial"}
    order : {"random", "permutation"}
        Of serial updates.
    rule : {"glauber", "metropolis"}
    random_state : None, int, SeedSequence or Generator
    **options
        ``burn_in``, ``thin``, ``n_replicas``, ``record``, ``executor``, ``folder``, ``progress`` of
        :meth:`MultitaskingHebbian.simulate`.

    Returns
    -------
    Trace

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    Given CuPy arrays, parallel runs work on their GPU, with the very counts that the CPU would have; what was measured comes back
    on the host.

    Up and down units of a class see fields that differ by their own part, so one parallel sweep is two binomials for each
    class, exactly, at any number of units.

    Examples
    --------
    >>> import numpy as np
    >>> from neuromem.hopfield import RowLaw, simulate_classes
    >>> law = RowLaw.storing(2, 0.3)
    >>> counts = np.random.default_rng(0).multinomial(10**9, law.weights)
    >>> trace = simulate_classes(law.values, counts, beta=1 / 0.14, n_sweeps=200, burn_in=100, random_state=0)
    >>> bool(abs(trace.m[0] - [0.699684, 0.180782]).max() < 1e-4)
    True
    """
    from neuromem.random import seed_sequence_of

    device = device_of(values, counts, start, beta)
    values, counts = to_host(values), to_host(counts)
    table = validate.real_items(values, name="values", min_items=1)
    sizes = np.asarray(counts)
    if (table != np.floor(table)).any():
        raise InputError("values has entries that are not whole, integers were expected")
    if sizes.shape != (len(table),) or sizes.dtype.kind not in "iu" or (sizes < 0).any() or not 0 < sizes.sum() < LARGEST_COUNT:
        raise InputError(f"counts has shape {sizes.shape}, ({len(table)},) integers from 0 up, not all 0, were expected")
    validate.choice(dynamics, "dynamics", DYNAMICS)
    validate.choice(rule, "rule", RULES)
    validate.choice(order, "order", ("random", "permutation"))
    scale = validate.number(scale, "scale", low=0, low_open=True)
    n_units = int(sizes.sum())
    if dynamics == "serial" and n_units >= 1 << 32:
        raise InputError(f"counts has {n_units} units, below 2**32 were expected for serial dynamics; use 'parallel'")
    if not isinstance(start, str):  # counts go with the rows as they came
        rows, sizes = table.astype(np.int64), sizes.astype(np.int64)
    else:
        rows, sizes = folded_rows(table.astype(np.int64), sizes.astype(np.int64))
    layout = class_layout(rows.T, sizes, np.ones(rows.shape[1]))
    own_sum = float(layout["own"] @ sizes)
    settings: dict[str, Any] = {"metropolis": RULES.index(rule)}
    if dynamics == "serial":
        layout["n_units"], settings["permuted"] = n_units, int(order == "permutation")
    divisors = np.full(rows.shape[1], float(n_units))
    plan = Plan("classes", dynamics, layout, scale / n_units, own_sum, divisors, 0, settings=settings)
    if "states" in checked_record(options.get("record", ())):
        raise InputError("record has 'states', but there are no units to place them on")
    return run_plan(plan, seed_sequence_of(random_state), start=start, beta=beta, n_sweeps=n_sweeps, device=device, **options)


def folded_rows(rows: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row of each pair (row, -row), with the units of both; none of zeros."""
    signs = np.where(first_entries(rows) < 0, -1, 1)
    kept, inverse = np.unique(rows * signs[:, None], axis=0, return_inverse=True)
    sizes = np.zeros(len(kept), np.int64)
    np.add.at(sizes, inverse.reshape(-1), counts)
    real = kept.any(axis=1)
    return kept[real], sizes[real]
