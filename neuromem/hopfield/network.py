"""The multitasking Hebbian network: one state holds several patterns, in what others leave blank."""

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.errors import CapacityError, InputError
from neuromem.hopfield.engines import Columns
from neuromem.hopfield.patterns import ternary_items, warn_if_turned
from neuromem.hopfield.recall import HebbianRecall
from neuromem.hopfield.simulation import Trace, plan_run, run_plan
from neuromem.progress import Progress
from neuromem.protocols import ItemSpec
from neuromem.random import RandomState
from neuromem.sweep import run_tasks

BYTES_PER_ID = 8


class MultitaskingHebbian(HebbianRecall):
    """A Hopfield network of patterns with blank entries, which recalls several patterns at once.

    J_ij = (c / N) sum_mu xi_i^mu xi_j^mu for i != j, J_ii = 0, where patterns are stored; means of examples over their
    quality take the place of xi where they are learned.  H = -1/2 sum_{i != j} J_ij s_i s_j.

    Parameters
    ----------
    n_units : int, optional
        N; default: the width of what comes first.
    n_patterns : int, optional
        K; required without labels, else counted.
    learning : {"store", "supervised", "unsupervised"}, default "store"
        From the patterns themselves; from noisy examples with labels; from noisy examples without labels.
    quality : float or list of float, optional
        r of the examples, above 0 up to 1, of all patterns or of each; default: estimated from the examples.
    norm : {"entropy", "none", "unit"}, default "entropy"
        The scale c: 1 / (1 + rho), so that the critical temperature is 1 - d whatever the data; 1; or
        1 / ((1 - d) (1 + rho)), critical temperature 1.  rho = (1 - r**2) / (M r**2) is the entropy of M examples, d the share
        of blank entries found in the data.
    keep_examples : bool, optional
        Without labels: keep the examples (True), or the N x N sums of their products (False); default: examples until they
        outnumber the units.
    capacity : int, optional
        Most patterns that are stored.
    on_full : {"error", "oldest"}, default "error"
        Beyond the capacity raise CapacityError, or drop the oldest patterns.
    random_state : None, int, SeedSequence or Generator

    Attributes
    ----------
    n_features_in_ : int
        N.
    dilution_, quality_, entropies_, scales_, examples_per_pattern_
        d of the data; r, rho, c and M of each pattern.

    Notes
    -----
    Spins are -1 and 1.  At zero noise a spin without a field keeps its value.  Overlaps are not divided by 1 - d; their
    maximum is 1 - d.  Couplings are never built: a sweep takes time in N K or less (see ``engine`` in :meth:`simulate`).

    References
    ----------
    Agliari, Alessandrelli, Barra, Ricci-Tersenghi (2023), "Parallel learning by multitasking neural networks", J. Stat. Mech.;
    arXiv:2308.04106.  Agliari, Barra, Galluzzi, Guerra, Moauro (2012), "Multitasking associative networks", Phys. Rev. Lett.;
    arXiv:1111.5191.

    Examples
    --------
    >>> from neuromem.hopfield import MultitaskingHebbian, sample_patterns
    >>> patterns = sample_patterns(3, 2000, 0.4, random_state=0)
    >>> memory = MultitaskingHebbian(random_state=0).fit(patterns)
    >>> recall = memory.read(patterns[:1])
    >>> bool((recall.values[0, 0] == patterns[0])[patterns[0] != 0].all())
    True
    >>> recall.info["overlaps"].round(2).tolist()  # its blank entries hold a second pattern, turned round, and then a third
    [[0.61, -0.24, -0.1]]
    """

    def __init__(
        self,
        n_units: int | None = None,
        n_patterns: int | None = None,
        learning: str = "store",
        quality: Any = None,
        norm: str = "entropy",
        keep_examples: bool | None = None,
        capacity: int | None = None,
        on_full: str = "error",
        random_state: RandomState = None,
    ) -> None:
        self.n_units = n_units
        self.n_patterns = n_patterns
        self.learning = learning
        self.quality = quality
        self.norm = norm
        self.keep_examples = keep_examples
        self.capacity = capacity
        self.on_full = on_full
        self.random_state = random_state

    # ---------------------------------------------------------------- learning

    def fit(self, X: Any, y: Any = None) -> Self:
        """Forget everything, then learn.

        Parameters
        ----------
        X : array-like of -1, 0, 1 (n, n_units)
            Patterns or examples, at least one.
        y : array-like of int (n,), optional
            Which pattern each example is of, where ``learning="supervised"``.

        Raises
        ------
        InputError, InputTypeError
            As :meth:`write`; also where the quality is to be estimated and cannot be.  Nothing has changed then.
        """
        made = type(self)(**self.get_params(deep=False))
        made._validate_params()
        X = validate.table(X, name="X", owner=type(self).__name__, min_items=1)
        items, _ = made._checked_items(X, y, "X")
        if self.learning == "store":
            warn_if_turned(items, "X")
        made.write(items, y)
        made._columns()
        self.reset()
        self.__dict__ |= made.__dict__
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn more; as one :meth:`fit` of all, to the bit, however it is cut.  See :meth:`write`."""
        self.write(X, y)
        return self

    def fit_shards(self, shards: Iterable[Any], executor: Executor | None = None, *, progress: Progress = False) -> Self:
        """Learn from shards, each summed where the executor likes; bit-equal to one :meth:`fit` of all.

        Parameters
        ----------
        shards : iterable of arrays, or of (X, y) pairs
        executor : concurrent.futures.Executor, optional
            Any executor, such as a process pool or Dask's ``client.get_executor()``; default: this process.
        progress : bool or callable, default False

        Examples
        --------
        >>> from neuromem.hopfield import MultitaskingHebbian, sample_patterns
        >>> patterns = sample_patterns(4, 100, random_state=0)
        >>> len(MultitaskingHebbian().fit_shards([patterns[:1], patterns[1:]]))
        4
        """
        self._validate_params()
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in ("random_state", "capacity", "on_full")}
        pairs = [shard if isinstance(shard, tuple) else (shard, None) for shard in shards]
        if not pairs:
            raise InputError("shards is empty, at least one shard was expected")
        tasks: list[dict[str, Any]] = []
        for X, y in pairs:
            items, labels = self.__class__(**params)._checked_items(X, y, "X")
            tasks.append({"params": params, "X": items, "y": labels})
        found = run_tasks(learned_shard, tasks, executor, None, progress)
        made = type(self)(**self.get_params(deep=False))
        for arrays, task in zip(found, tasks, strict=True):
            part = type(self)(**params)
            part._allocate(task["X"].shape[1])
            for name in ("examples_", "gram_"):
                part.__dict__.pop(name, None)
            part.__dict__ |= arrays
            part.n_presented_ = len(task["X"])
            made.merge(part)
        made._columns()
        self.reset()
        self.__dict__ |= made.__dict__
        return self

    # ---------------------------------------------------------------- physics

    def simulate(
        self,
        start: Any = "hierarchical",
        *,
        beta: Any,
        n_sweeps: int,
        burn_in: int = 0,
        thin: int = 1,
        n_replicas: int = 1,
        dynamics: str = "serial",
        order: Any = "random",
        rule: str = "glauber",
        probes: Any = None,
        record: Iterable[str] = ("m", "m2", "energy"),
        engine: str = "auto",
        stream: int = 0,
        executor: Executor | None = None,
        folder: Any = None,
        progress: Progress = False,
    ) -> Trace:
        """Monte Carlo at one or many temperatures; each temperature and replica is a chain of its own.

        Parameters
        ----------
        start : {"hierarchical", "random"} or array-like of -1, 1
            Every unit with its first entry that is not 0 (at random where there is none, or no rows are kept), or all at random;
            or states (n_units,), (n_replicas, n_units), or for each chain.
        beta : float or array-like (B,)
            Inverse temperatures, from 0 up; inf allowed.
        n_sweeps, burn_in, thin : int
            Sweeps measured (N updates each), sweeps before, sweeps per record.
        n_replicas : int, default 1
        dynamics : {"serial", "parallel"}
            One unit at a time, or all from the same overlaps (Little).
        order : {"random", "permutation", "sequential"} or int (n_updates,)
            Of serial updates; "random" draws units with replacement, the physical clock.
        rule : {"glauber", "metropolis"}
            P(s_i = +1) = 1 / (1 + exp(-2 beta h_i)), or flips accepted with min(1, exp(-2 beta s_i h_i)).
        probes : array-like of -1, 0, 1 (n_probes, n_units), optional
            Measure overlaps with these, such as the patterns behind the examples, instead of with what was learned.
        record : iterable of {"m", "m2", "energy", "states", "series"}
        engine : {"auto", "dense", "overlaps", "bits", "classes"}
            All are exact.  "auto": parallel runs use class counts where there are at most N / 8 distinct rows and no states are
            asked for, packed spins where there are at most N / 64, else overlaps; serial runs use overlaps, or cached fields of
            all couplings where columns outnumber half the units.
        stream : int, default 0
            Which draws.  Results are the same for any number of threads, tasks and processes.
        executor : concurrent.futures.Executor, optional
        folder : path, optional
            Where finished tasks are kept, for a restart.
        progress : bool or callable, default False

        Returns
        -------
        Trace

        Raises
        ------
        InputError, InputTypeError

        Notes
        -----
        Given ``start`` or ``beta`` as a CuPy array, parallel runs work on its GPU, with the same draws; what was measured comes
        back on the host.

        Serial updates have the stationary law exp(-beta H); parallel ones prod_i 2 cosh(beta h_i(s)).  With "classes",
        states are drawn within classes given their counts, the exact law for starts that are the same for all units of a class.

        Examples
        --------
        >>> from neuromem.hopfield import MultitaskingHebbian, sample_patterns
        >>> memory = MultitaskingHebbian(random_state=0).fit(sample_patterns(2, 4000, 0.3, random_state=0))
        >>> trace = memory.simulate(beta=1 / 0.14, n_sweeps=100, burn_in=20, n_replicas=2)
        >>> bool(abs(trace.m[0, 0] - 0.70) < 0.03)
        True
        """
        self._check_fitted()
        columns: Columns = self._columns()
        divisors = self._divisors()
        if probes is not None:
            probes = ternary_items(probes, self.n_features_in_, name="probes", owner=type(self).__name__)
            columns = columns.with_probes(probes)
            divisors = np.full(len(probes), float(self.n_features_in_))
        states = "states" in ({record} if isinstance(record, str) else set(record)) or not isinstance(start, str)
        plan = plan_run(columns, dynamics, order, rule, engine, states=states, clamped=False, divisors=divisors)
        return run_plan(
            plan,
            self._stream_seeds(stream),
            start=start,
            beta=beta,
            n_sweeps=n_sweeps,
            burn_in=burn_in,
            thin=thin,
            n_replicas=n_replicas,
            record=record,
            executor=executor,
            folder=folder,
            progress=progress,
        )

    def row_law(self, truth: Any = None) -> Any:
        """The law of the rows that this very network has, for :func:`neuromem.hopfield.solve`.

        Parameters
        ----------
        truth : array-like of -1, 0, 1 (n_patterns, n_units), optional
            The patterns behind the examples; default: the signs of their sums (for stored patterns, themselves).

        Returns
        -------
        RowLaw

        Raises
        ------
        InputError
            Without labels.
        """
        from neuromem.hopfield.row_law import RowLaw

        self._check_fitted()
        if self.learning == "unsupervised" or not self._n_learned():
            raise InputError(f"row_law needs the sums of each pattern, learning={self.learning!r} has none: use 'supervised'")
        columns = self._columns()
        if truth is not None:
            truth = ternary_items(truth, self.n_features_in_, name="truth", owner=type(self).__name__)
            if len(truth) != columns.rows.shape[1]:
                raise InputError(f"truth has shape {truth.shape}, ({columns.rows.shape[1]}, {self.n_features_in_}) was expected")
        n = columns.rows.shape[1]
        classes = columns.with_probes(truth).classes
        table = classes.values.T.astype(float)
        values = table[:, :n] * (self.n_features_in_ / self._divisors())
        real = table[:, n:] if truth is not None else np.sign(table[:, :n])
        return RowLaw.empirical(values, real, counts=classes.counts, scale=self.scales_)

    def theory(self, beta: float, start: Any = "hierarchical") -> Any:
        """Exact overlaps of a large network with this one's rows: ``solve(self.row_law(), beta, start)``."""
        from neuromem.hopfield.theory import solve

        return solve(self.row_law(), beta, start)

    def capacity_report(self) -> dict[str, Any]:
        """Sizes, load and limits.

        Returns
        -------
        dict
            ``n_units``, ``n_patterns``, ``load`` (columns per unit), ``dilution``, ``entropy`` (largest rho), ``quality``
            (smallest r), ``critical_temperature`` (of the pattern with the strongest couplings), ``most_patterns_at_once``
            (amplitudes above the noise of N units), ``nbytes``.
        """
        from neuromem.hopfield.closed_forms import most_patterns_at_once

        self._check_fitted()
        if not self._n_learned():
            raise CapacityError("nothing is stored yet, so nothing can be said of it")
        d, rho, r = self.dilution_, self.entropies_, self.quality_
        report: dict[str, Any] = {"n_units": self.n_features_in_, "n_patterns": len(rho)}
        report["load"] = (self._columns().rows.shape[1] or self._n_learned()) / self.n_features_in_
        report |= {"dilution": d, "entropy": float(rho.max()), "quality": float(r.min())}
        report["critical_temperature"] = float(((1 - d) * (1 + rho) * self.scales_).max())
        report["most_patterns_at_once"] = int(most_patterns_at_once(self.n_features_in_, d)) if 0 < d else 1
        return report | {"nbytes": self.nbytes}

    # ---------------------------------------------------------------- size

    @property
    def unavailable_(self) -> tuple[str, ...]:
        """Verbs that cannot be used as things stand."""
        return () if self.learning == "store" else ("forget",)

    @property
    def item_spec(self) -> ItemSpec:
        """Ternary items, as many entries not blank as in what was learned (all of them before that)."""
        width = self.n_features_in_ if self._is_fitted() else self.n_units
        if width is None:
            raise InputError("the width of items is not known before the first write; give n_units")
        return ItemSpec(int(width), "ternary", 1 - self.dilution_ if self._is_fitted() else 1.0)

    @staticmethod
    def estimate_nbytes(n_patterns: int, n_units: int, learning: str = "store") -> int:
        """Bytes of state: int8 rows and ids of stored patterns, int32 sums of labelled examples, or int32 products of units."""
        if learning == "store":
            return n_patterns * (n_units + BYTES_PER_ID)
        if learning == "supervised":
            return n_patterns * (4 * n_units + 2 * BYTES_PER_ID)
        return 4 * n_units * (n_units + 1) + 2 * BYTES_PER_ID

    @classmethod
    def for_budget(cls, n_bytes: int, item_spec: ItemSpec, *, random_state: RandomState = None) -> "MultitaskingHebbian":
        """A network that stores the newest patterns within ``n_bytes``.

        Raises
        ------
        CapacityError
            If not even one pattern fits.
        """
        capacity = n_bytes // cls.estimate_nbytes(1, item_spec.n_features)
        if capacity < 1:
            raise CapacityError(f"n_bytes={n_bytes} holds no pattern of {item_spec.n_features} units")
        return cls(item_spec.n_features, capacity=int(capacity), on_full="oldest", random_state=random_state)


def learned_shard(params: dict[str, Any], X: np.ndarray, y: np.ndarray | None) -> dict[str, np.ndarray]:
    """What one shard comes to: a task of :meth:`MultitaskingHebbian.fit_shards`."""
    part = MultitaskingHebbian(**params)
    part.write(X, y)
    return {name: getattr(part, name) for name in part._STATE if hasattr(part, name)}
