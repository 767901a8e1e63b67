"""States of a multitasking network: their energy, fields and losses, and the attractors that cues lead to."""

import warnings
from typing import Any, Self

import numpy as np

from neuromem import validate
from neuromem.errors import ConvergenceWarning, InputError
from neuromem.hopfield.engines import LARGEST_DENSE
from neuromem.hopfield.hebbian_state import HebbianState
from neuromem.hopfield.patterns import spin_states, ternary_items
from neuromem.hopfield.simulation import Plan, checked_betas, engine_form, free_form, plan_run, run_chains, scales_of, spins_of
from neuromem.protocols import Recall
from neuromem.random import generator_for, key_for


class HebbianRecall(HebbianState):
    """What :class:`MultitaskingHebbian` does with states and cues."""

    # ---------------------------------------------------------------- what a state is worth

    def overlaps(self, S: Any, *, normalized: bool = False) -> np.ndarray:
        """Overlaps with what was learned: (1/N) sum_i xi_i s_i of stored patterns, (1/(N M r)) sum_i s_i sum_a eta_i^a of
        labelled examples, (1/(N r)) sum_i eta_i s_i of each example without label.

        Parameters
        ----------
        S : array-like of -1, 1 (n, n_units)
        normalized : bool, default False
            Divide by 1 - d, so that the maximum for a stored pattern is about 1.

        Returns
        -------
        float64 (n, n_columns)

        Raises
        ------
        InputError
            For other entries, a spin of 0 included; where examples without labels are kept as sums of products only.
        """
        self._check_fitted()
        S = spin_states(S, self.n_features_in_)
        return self._scaled_overlaps(S) / ((1 - self.dilution_) if normalized else 1.0)

    def _scaled_overlaps(self, S: np.ndarray) -> np.ndarray:
        columns = self._columns()
        if columns.links is not None:
            raise InputError("overlaps need rows, which are not kept: construct MultitaskingHebbian with keep_examples=True")
        return columns.overlaps(S) / self._divisors()

    def _divisors(self) -> np.ndarray:
        """What integer overlaps are divided by."""
        n_columns = self._columns().rows.shape[1]
        if self.learning == "store" or not n_columns:
            return np.full(n_columns, float(self.n_features_in_))
        r, M = self.quality_, self.examples_per_pattern_
        if self.learning == "unsupervised":
            return np.full(n_columns, self.n_features_in_ * r[0])
        return self.n_features_in_ * r * np.maximum(M, 1)

    def energy(self, S: Any) -> np.ndarray:
        """H = -1/2 sum_{i != j} J_ij s_i s_j of states of -1 and 1 (n, n_units), float64 (n,); time in N K.

        Raises
        ------
        InputError
            For other entries, naming the first; for another width.
        """
        self._check_fitted()
        return self._energy(spin_states(S, self.n_features_in_))

    def _energy(self, S: np.ndarray) -> np.ndarray:
        columns = self._columns()
        return -0.5 * columns.factor * columns.pair_sums(S)

    def local_field(self, S: Any) -> np.ndarray:
        """h_i = sum_{j != i} J_ij s_j of states of -1 and 1 (n, n_units), float64 (n, n_units); time in N K."""
        self._check_fitted()
        columns = self._columns()
        return columns.factor * columns.fields(spin_states(S, self.n_features_in_))

    def squared_error_loss(self, S: Any) -> tuple[np.ndarray, np.ndarray]:
        """L+ = ||e - s||**2 / (2N) and L- = ||e + s||**2 / (2N) for each column e of :meth:`overlaps`, float64 (n, n_columns).

        Notes
        -----
        With q = ||e||**2 / N and n = e.s / N: L+ L- = ((1 + q) / 2)**2 - n**2, so that the minima of H are those of the
        products of both losses [derived].
        """
        n = self.overlaps(S)
        columns = self._columns()
        scale = self._divisors() / self.n_features_in_
        q = np.concatenate([(columns.rows[:, r : r + 1].astype(float) ** 2).sum(axis=0) for r in range(len(scale))] or [scale])
        q = q / scale**2 / self.n_features_in_
        return (1 + q) / 2 - n, (1 + q) / 2 + n

    def couplings(self, force: bool = False) -> np.ndarray:
        """J, float64 (n_units, n_units): for looking at; nothing here needs it.

        Raises
        ------
        InputError
            Beyond 20 000 units, unless ``force``.
        """
        self._check_fitted()
        n = self.n_features_in_
        if n > LARGEST_DENSE and not force:
            raise InputError(f"couplings of {n} units take {8 * n * n / 1e9:.1f} GB; use force=True to have them all the same")
        columns = self._columns()
        return columns.factor * columns.dense_links

    # ---------------------------------------------------------------- recall

    def read(
        self,
        cues: Any,
        *,
        k: int = 1,
        beta: float = np.inf,
        stream: int = 0,
        clamp: Any = None,
        max_sweeps: int = 100,
        dynamics: str = "serial",
        order: Any = "permutation",
        rule: str = "glauber",
        engine: str = "auto",
    ) -> Recall:
        """Relax each cue: the attractor that it leads to.

        Parameters
        ----------
        cues : array-like of -1, 0, 1 (n, n_units)
            0 is an unknown unit: it starts with the field of the known ones, without a field at random.
        k : int, default 1
            Places in the result; those beyond the first are empty.
        beta : float, default inf
            Inverse temperature; at inf a cue is followed until nothing changes.
        stream : int, default 0
            Which draws: the same call gives the same answer.  A cue's answer does not depend on the other cues.
        clamp : bool (n_units,) or (n, n_units), optional
            True where a unit keeps its cue's value; one of 0 takes no part.
        max_sweeps : int, default 100
            At finite beta, how many sweeps are made.
        dynamics : {"serial", "parallel"}
        order : {"permutation", "random", "sequential"} or int (n_updates,)
            Of serial updates; "random" draws units with replacement.
        rule : {"glauber", "metropolis"}
        engine : {"auto", "overlaps", "bits", "dense"}

        Returns
        -------
        Recall
            ``values`` int8 (n, k, n_units); ``ids`` of the stored pattern with the largest overlap, -1 where examples are
            learned; ``scores`` minus the energy per unit, -inf beyond the first place; ``info``: ``overlaps`` (n, n_columns),
            ``sweeps``, ``converged`` and ``cycle_length`` (n,): 1 for a fixed point, 2 for a cycle of parallel updates, 0 where
            none was reached.

        Raises
        ------
        InputError, InputTypeError

        Warns
        -----
        ConvergenceWarning
            If at zero noise some cue has not settled after ``max_sweeps``.
        """
        k = validate.integer(k, "k", 1)
        cues = self._checked_cues(cues)
        known = None if clamp is None else validate.feature_mask(clamp, *cues.shape, name="clamp")
        memory = self if self._is_fitted() else self._blank(cues.shape[1])
        columns = memory._columns()
        if engine == "auto" and dynamics == "parallel" and known is not None and columns.links is None:
            engine = "overlaps" if (known & (cues == 0)).any() else engine  # packed spins hold no 0
        plan = plan_run(columns, dynamics, order, rule, engine, states=True, clamped=clamp is not None, divisors=np.empty(0))
        if plan.engine == "classes":
            raise InputError("engine 'classes' has no single units to read; use 'bits' or 'overlaps'")
        if plan.engine == "bits" and known is not None and (known & (cues == 0)).any():
            raise InputError("engine 'bits' cannot hold a clamped unit at 0; use 'overlaps'")
        max_sweeps = validate.integer(max_sweeps, "max_sweeps", 1)
        spins, settled = memory._relax(plan, cues, known, beta, stream, max_sweeps)
        n, width = cues.shape
        values = np.zeros((n, k, width), np.int8)
        values[:, 0] = spins
        scores = np.full((n, k), -np.inf, np.float32)
        scores[:, 0] = -memory._energy(spins) / width
        ids = np.full((n, k), -1, np.int64)
        info = {"sweeps": settled[:, 0], "cycle_length": settled[:, 1], "converged": settled[:, 1] > 0}
        if columns.links is None:
            info["overlaps"] = memory._scaled_overlaps(spins)
            if self.learning == "store" and columns.rows.shape[1]:
                ids[:, 0] = self.ids_[info["overlaps"].argmax(axis=1)]
        if np.isinf(beta) and not info["converged"].all():
            text = f"{int((~info['converged']).sum())} of {n} cues have not settled after max_sweeps={max_sweeps}"
            warnings.warn(text, ConvergenceWarning, stacklevel=2)
        return Recall(values, ids, scores, info)

    def _checked_cues(self, cues: Any, name: str = "cues") -> np.ndarray:
        width = self.n_features_in_ if self._is_fitted() else self.n_units
        return ternary_items(cues, width, name=name, owner=type(self).__name__)

    def _blank(self, n_units: int) -> Self:
        """An empty memory with the same parameters, for reads before any write."""
        self._validate_params()
        memory = type(self)(**self.get_params(deep=False))
        memory._allocate(n_units)
        return memory

    def _stream_seeds(self, stream: int) -> np.random.SeedSequence:
        stream = validate.integer(stream, "stream", 0, 2**32 - 1)
        return np.random.SeedSequence(self.entropy_, spawn_key=(stream,))

    def _relax(
        self, plan: Plan, cues: np.ndarray, known: np.ndarray | None, beta: float, stream: int, max_sweeps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Last states int8 (n, n_units), and (sweeps done, cycle length) int64 (n, 2)."""
        seeds = self._stream_seeds(stream)
        betas = checked_betas(beta)
        if len(betas) != 1:
            raise InputError(f"beta has {len(betas)} values, one was expected; use simulate for several")
        cold = bool(np.isinf(betas[0]))
        columns = self._columns()
        spins = cues.copy()
        open_units = cues == 0 if known is None else (cues == 0) & ~known
        if open_units.any():
            fields = columns.fields(cues)
            drawn = 2 * generator_for(seeds, "hopfield.starts").integers(0, 2, cues.shape[1], dtype=np.int8) - 1
            start = np.where(fields == 0, drawn, np.sign(fields)).astype(np.int8)
            spins[open_units] = start[open_units]
        free = free_form(plan, None if known is None else ~known)
        state = engine_form(plan, spins)
        common: dict[str, Any] = {
            "engine": plan.engine,
            "dynamics": plan.dynamics,
            "layout": plan.layout,
            "settings": plan.settings,
            "first_reported": plan.first_reported,
            "n_reported": 0,
            "scales": np.repeat(scales_of(betas, plan.factor), len(cues)),
            "key": key_for(seeds, "hopfield.spins"),
            "chains": np.zeros(len(cues), np.int64),
            "free": free,
        }
        if plan.engine != "bits" or not cold:
            done = run_chains(start=state, sweeps=np.array([0, max_sweeps, max_sweeps, 1]), until_stable=int(cold), **common)
            if plan.engine == "bits":
                done["settled"][:, 0] = max_sweeps
            return spins_of(plan, done["states"], seeds), done["settled"]
        settled = np.zeros((len(cues), 2), np.int64)
        before = np.zeros_like(state)
        for step in range(max_sweeps):
            after = run_chains(start=state, sweeps=np.array([step, 1, 1, 1]), until_stable=0, **common)["states"]
            moving = settled[:, 1] == 0
            settled[moving, 0] = step + 1
            same = (after == state).all(axis=1)
            back = (after == before).all(axis=1) if step else same
            settled[moving & (same | back), 1] = np.where(same, 1, 2)[moving & (same | back)]
            after[~moving] = state[~moving]
            before, state = state, after
            if settled[:, 1].all():
                break
        return spins_of(plan, state, seeds), settled

    def complete(self, cues: Any, known: Any, *, beta: float = np.inf, stream: int = 0, max_sweeps: int = 100) -> np.ndarray:
        """Relax with the known units held.

        Parameters
        ----------
        cues : array-like of -1, 0, 1 (n, n_units)
        known : bool (n_units,) or (n, n_units)
            True where the cue's value is given, and kept; the others are ignored, and found.
        beta, stream, max_sweeps
            As in :meth:`read`.

        Returns
        -------
        int8 (n, n_units)

        Raises
        ------
        InputError, InputTypeError
        """
        cues = self._checked_cues(cues)
        known = validate.feature_mask(known, *cues.shape)
        given = np.where(known, cues, 0).astype(np.int8)
        found = self.read(given, beta=beta, stream=stream, max_sweeps=max_sweeps, clamp=known)
        return found.values[:, 0]

    def familiarity(self, items: Any) -> np.ndarray:
        """Minus the energy per unit of items of -1, 0, 1 (n, n_units), float32 (n,); a unit of 0 takes no part."""
        items = self._checked_cues(items, "items")
        memory = self if self._is_fitted() else self._blank(items.shape[1])
        return (-memory._energy(items) / items.shape[1]).astype(np.float32)
