"""A network of macs in space, depth and time in dense float64 NumPy: the oracle of the network's kernels.

Every code is a table of zeros and ones, every weight a byte, every step a plain walk over levels and macs.  U comes from
the codes of this step, H and D from one snapshot of all levels taken before anything changes.
"""

from dataclasses import dataclass, field
from math import lcm
from typing import Any

import numpy as np

from neuromem.random import power64
from neuromem.sparsey.packing import pack_cells, unpack_cells
from neuromem.sparsey.reference import ReferenceMac

ABSENT = -1.0  # G of a version whose signals are not all there
U, H, D = 1, 2, 4  # a version of V is a sum of these


@dataclass
class ReferenceLevel:
    """One level: what its macs see (features, or macs of the level below) and how they work."""

    n_modules: int
    units: int
    fields: list[np.ndarray]
    persistence: int = 1
    exponents: tuple[float, float, float] = (4.0, 2.0, 2.0)
    bounds: tuple[int, int] = (1, 1 << 30)
    horizontal: bool = True
    top_down: bool = True
    saturation_limit: float = 1.0
    release: float | None = None
    critical_period: int | None = None


@dataclass
class ReferenceCell:
    """One mac: its weights, the code in force and the one before it."""

    csa: ReferenceMac
    up: np.ndarray
    across: np.ndarray
    down: np.ndarray
    frozen: np.ndarray
    code: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.silence()

    def silence(self) -> None:
        """No code, no age, no familiarity."""
        self.code = np.zeros((self.csa.n_modules, self.csa.units), bool)
        self.recalled = self.code.copy()
        self.age = self.sends = 0
        self.familiarity = 0.0
        self.versions = np.full(7, ABSENT)

    @property
    def awake(self) -> bool:
        """Whether the mac holds a code."""
        return bool(self.code.any())


@dataclass
class ReferenceNetwork:
    """Levels of macs; ``csa`` has the settings of :class:`ReferenceMac`."""

    n_inputs: int
    levels: list[ReferenceLevel]
    key: np.ndarray
    csa: dict = field(default_factory=dict)
    backoff: str = "relative"
    ratio: float = 0.8
    thresholds: tuple[float, float, float] = (0.9, 0.9, 0.9)
    learn_context: str = "onset"
    hypotheses: str = "off"
    hypothesis_threshold: float = 0.95
    hypothesis_limit: int = 3
    upper_input: str = "sampled"
    step_number: int = 0

    def __post_init__(self) -> None:
        self.unit = lcm(*range(1, self.hypothesis_limit + 1)) if self.hypotheses == "discount" else 1
        self.macs: list[list[ReferenceCell]] = []
        number = 0
        for j, level in enumerate(self.levels):
            self.macs.append([])
            for m, seen in enumerate(level.fields):
                n_cells = level.n_modules * level.units
                below = self.levels[j - 1].n_modules * self.levels[j - 1].units if j else 1
                above = self.levels[j + 1].n_modules * self.levels[j + 1].units if j + 1 < len(self.levels) else 0
                order = np.zeros((level.n_modules, level.units), int)
                csa = ReferenceMac(len(seen) * below, order, self.key, mac=number, **self.csa)
                n_up, n_across = len(seen) * below, n_cells * level.horizontal
                n_down = len(self.parents(j, m)) * above * level.top_down
                up, across, down = (np.zeros((n, n_cells), bool) for n in (n_up, n_across, n_down))
                self.macs[j].append(ReferenceCell(csa, up, across, down, np.zeros(n_cells, bool)))
                number += 1

    def parents(self, j: int, m: int) -> list[int]:
        """Macs of the level above that see mac ``m`` of level ``j``."""
        above = self.levels[j + 1].fields if j + 1 < len(self.levels) else []
        return [p for p, seen in enumerate(above) if m in seen]

    def reset(self) -> None:
        """Begin an episode: nobody holds a code, so the next step has neither H nor D."""
        for mac in (mac for macs in self.macs for mac in macs):
            mac.silence()

    def signal(self, sources: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, int, int]:
        """What sources send: strengths of all rows, number of active rows, number of sources that send."""
        rows = [code.ravel() * sends for code, sends in sources]
        active = [code.sum() if sends else 0 for code, sends in sources]
        n_sending = sum(n > 0 for n in active)
        return np.concatenate(rows) if rows else np.zeros(0, int), int(sum(active)), n_sending

    def step(self, x: np.ndarray | None, learn: bool, free: bool = False) -> None:
        """One step: ``x`` bool (n_inputs,), ignored when running free."""
        before = [[(mac.code.copy(), mac.sends) for mac in macs] for macs in self.macs]
        for j, level in enumerate(self.levels):
            for m, seen in enumerate(level.fields):
                if j:
                    below = [self.macs[j - 1][i] for i in seen]
                    codes = [mac.recalled if self.upper_input == "argmax" else mac.code for mac in below]
                    up, n_up, size = self.signal([(c, mac.sends) for c, mac in zip(codes, below, strict=True)])
                    unit = self.unit
                else:
                    up = np.zeros(len(seen), int) if free or x is None else x[seen].astype(int)
                    n_up = size = int(up.sum())
                    unit = 1
                across, n_across, _ = self.signal([before[j][m]] if level.horizontal else [])
                above = [before[j + 1][p] for p in self.parents(j, m)] if level.top_down else []
                down, n_down, _ = self.signal(above)
                n_across -= n_across > 0  # the own module sends nothing
                signals = [(up, unit * n_up), (across, self.unit * n_across), (down, self.unit * n_down)]
                young = level.critical_period is None or self.step_number < level.critical_period
                self.step_mac(j, m, signals, size, learn and young, free)
        self.step_number += 1

    def step_mac(self, j: int, m: int, signals: list, size: int, learn: bool, free: bool) -> None:
        """Hold, gate or choose a code; then learn."""
        level, mac = self.levels[j], self.macs[j][m]
        up, across, down = (strengths > 0 for strengths, _ in signals)
        held = mac.awake and mac.age < level.persistence
        if held and not learn and level.release is not None and up.any():
            support = mac.up[np.ix_(up, mac.code.ravel())].sum() / (up.sum() * level.n_modules)
            held = support >= level.release
        if not held:
            gated = not (free and j == 0) and not level.bounds[0] <= size <= level.bounds[1]
            chosen = None if gated else self.choose(level, mac, signals, learn)
            if chosen is None or (free and j == 0 and chosen[2] == 0.0):
                mac.silence()
                return
            mac.code, mac.recalled, mac.familiarity, mac.versions, mac.sends = chosen
            mac.age = 0
        mac.age += 1
        if not learn:
            return
        open_cells = mac.code.ravel() & ~mac.frozen
        mac.up[np.ix_(up, open_cells)] = True
        if not held or self.learn_context == "always":
            if len(across):
                other = np.arange(len(across))[:, None] // level.units != np.arange(len(across)) // level.units
                mac.across |= other & across[:, None] & open_cells
            if len(down):
                mac.down[np.ix_(down, open_cells)] = True
        limit = int(np.ceil(level.saturation_limit * len(mac.up)))
        mac.frozen |= open_cells & (mac.up.sum(axis=0) >= limit)

    def choose(self, level: ReferenceLevel, mac: ReferenceCell, signals: list, learn: bool) -> tuple | None:
        """Code, argmax code, G, G of every version, and what the mac sends; None where no signal is present."""
        shape = (level.n_modules, level.units)
        inputs = {}
        for bit, (strengths, n), weights in zip((U, H, D), signals, (mac.up, mac.across, mac.down), strict=True):
            if n:
                inputs[bit] = np.minimum(1.0, (strengths @ weights.astype(int)) / n).reshape(shape)
        present = sum(inputs)
        if not present:
            return None
        versions = np.full(7, ABSENT)
        for version in (v for v in range(1, 8) if v & present == v):
            versions[version - 1] = mac.csa.familiarity(self.product(inputs, version, (1.0, 1.0, 1.0)))
        version = present if learn else self.version_in_force(present, versions)
        combined = self.product(inputs, version, level.exponents)
        familiarity = mac.csa.familiarity(combined)
        recalled = combined.argmax(axis=1)
        winners = recalled
        if learn:
            mac.csa.step = self.step_number
            weights = mac.csa.win_weights(combined, mac.csa.expansivity_minus_one(familiarity))
            winners = np.array([mac.csa.draw(q, weights[q]) for q in range(level.n_modules)])
        cells = np.arange(level.units)
        sends = self.multiplier(int((combined >= self.hypothesis_threshold).sum()), level.n_modules)
        return winners[:, None] == cells, recalled[:, None] == cells, familiarity, versions, sends

    @staticmethod
    def product(inputs: dict[int, np.ndarray], version: int, exponents: tuple[float, float, float]) -> np.ndarray:
        """V of one version."""
        combined: np.ndarray | float = 1.0
        for bit, exponent in zip((U, H, D), exponents, strict=True):
            if version & bit:
                combined = combined * (inputs[bit] if exponent == 1.0 else power64(inputs[bit], exponent))
        return np.asarray(combined)

    def version_in_force(self, present: int, versions: np.ndarray) -> int:
        """The most specific version that holds (reads only)."""
        if self.backoff == "none" or not present & U or present == U:
            return present
        pairs = sorted((v for v in (U | H, U | D) if v & present == v), key=lambda v: -versions[v - 1])  # UH before UD
        if self.backoff == "relative":
            bars = dict.fromkeys((U | H | D, U | H, U | D, U), self.ratio * versions[U - 1])
        else:
            three, two, one = self.thresholds
            bars = {U | H | D: three, U | H: two, U | D: two, U: one}
        order = [present] * (present == U | H | D) + pairs + [U]
        return next((v for v in order if versions[v - 1] >= bars[v]), present)

    def multiplier(self, n_hypotheses: int, n_modules: int) -> int:
        """What one row counts: by the number of hypotheses per module, rounded half up, at least one."""
        if self.hypotheses == "off":
            return 1
        zeta = max(1, (2 * n_hypotheses + n_modules) // (2 * n_modules))
        if zeta > self.hypothesis_limit:
            return 0
        return zeta if self.hypotheses == "boost" else self.unit // zeta


# ---------------------------------------------------------------- the kernels' own arguments, for the mirror suite

LEVEL, MODULES, UNITS, _, WORDS, FIRST_WORD, N_UP, N_ACROSS, N_DOWN, FIRST_MODULE, FIRST_CELL = range(11)
PERSISTENCE, LOW, HIGH, FREEZE_AT, CRITICAL, FIRST_SOURCE, STOP_SOURCE = range(11, 18)
BEGINS, LEARNS, FREE = 1, 2, 4
BACKOFFS, TRANSFERS = ("none", "relative", "absolute"), ("psi", "logistic")


def network_of(
    n_features: int, macs: Any, sources: Any, rates: Any, constants: Any, modes: Any, rest: tuple[Any, ...]
) -> ReferenceNetwork:
    """The plain form of a network's tables."""
    sigmoid, multipliers, key = rest
    levels = []
    for j in range(len(rates)):
        mine = macs[macs[:, LEVEL] == j]
        offset = int((macs[:, LEVEL] < j - 1).sum()) if j else 0
        fields = [sources[mac[FIRST_SOURCE] : mac[STOP_SOURCE]].astype(int) - offset for mac in mine]
        first = mine[LEVEL]
        levels.append(
            ReferenceLevel(
                int(first[MODULES]),
                int(first[UNITS]),
                fields,
                persistence=int(first[PERSISTENCE]),
                exponents=tuple(rates[j, :3]),
                bounds=(int(first[LOW]), int(first[HIGH])),
                horizontal=bool(first[N_ACROSS]),
                top_down=bool(mine[:, N_DOWN].any()),
                saturation_limit=float(first[FREEZE_AT] / first[N_UP]),
                release=None if rates[j, 3] < 0 else float(rates[j, 3]),
                critical_period=int(first[CRITICAL]),
            )
        )
    hypotheses = "off" if not len(multipliers) else "discount" if modes[3] > 1 or len(multipliers) == 2 else "boost"
    return ReferenceNetwork(
        n_features,
        levels,
        key,
        {
            "familiarity_floor": constants[0],
            "expansivity_exponent": constants[1],
            "expansivity_scale": constants[2],
            "sigmoid": tuple(sigmoid),
            "transfer": TRANSFERS[modes[1]],
        },
        backoff=BACKOFFS[modes[0]],
        ratio=constants[3],
        thresholds=tuple(constants[4:7]),
        learn_context="always" if modes[2] else "onset",
        hypotheses=hypotheses,
        hypothesis_threshold=constants[7],
        hypothesis_limit=max(1, len(multipliers) - 1),
        upper_input="argmax" if modes[4] else "sampled",
    )


def code_of(cell: ReferenceCell, code: np.ndarray) -> np.ndarray:
    """Winners of a one-hot code, -1 where there is none."""
    return np.where(code.any(axis=1), code.argmax(axis=1), -1)


def run_in_time(
    indices: Any,
    indptr: Any,
    row_of_feature: Any,
    flags: Any,
    blocks: Any,
    first_step: int,
    macs: Any,
    sources: Any,
    parents: Any,
    rates: Any,
    u_powers: Any,
    u_factors: Any,
    constants: Any,
    modes: Any,
    sigmoid: Any,
    multipliers: Any,
    key: Any,
    bits: Any,
    n_weights: Any,
    frozen: Any,
    codes: Any,
    recalled: Any,
    age: Any,
    sends: Any,
    familiarity: Any,
    versions: Any,
) -> None:
    """Step by step, level by level, mac by mac; the first step begins an episode."""
    n_features = row_of_feature.shape[1]
    network = network_of(n_features, macs, sources, rates, constants, modes, (sigmoid, multipliers, key))
    network.step_number = first_step
    cells = [cell for level in network.macs for cell in level]
    for t, flag in enumerate(flags):
        if flag & BEGINS:
            network.reset()
        x = np.zeros(n_features, bool)
        x[indices[indptr[t] : indptr[t + 1]]] = True
        network.step(x, bool(flag & LEARNS), bool(flag & FREE))
        for m, (mac, cell) in enumerate(zip(macs, cells, strict=True)):
            modules = slice(mac[FIRST_MODULE], mac[FIRST_MODULE] + mac[MODULES])
            codes[t + 1, modules], recalled[t + 1, modules] = code_of(cell, cell.code), code_of(cell, cell.recalled)
            age[t + 1, m], sends[t + 1, m] = cell.age, cell.sends
            familiarity[t + 1, m], versions[t + 1, m] = cell.familiarity, cell.versions
    for mac, cell in zip(macs, cells, strict=True):
        weights = np.concatenate([cell.up, cell.across, cell.down]).reshape(-1, mac[MODULES], mac[UNITS])
        packed = pack_cells(weights).ravel()
        bits[mac[FIRST_WORD] : mac[FIRST_WORD] + len(packed)] = packed
        mine = slice(mac[FIRST_CELL], mac[FIRST_CELL] + mac[MODULES] * mac[UNITS])
        n_weights[mine], frozen[mine] = cell.up.sum(axis=0), cell.frozen


def run_by_level(*arguments: Any) -> None:
    """The same: where nothing comes down the order makes no difference."""
    run_in_time(*arguments[:5], *arguments[6:])


def run_given(
    indices: Any,
    indptr: Any,
    row_of_feature: Any,
    flags: Any,
    blocks: Any,
    given: Any,
    first_step: int,
    macs: Any,
    sources: Any,
    parents: Any,
    rates: Any,
    u_powers: Any,
    u_factors: Any,
    constants: Any,
    modes: Any,
    sigmoid: Any,
    multipliers: Any,
    key: Any,
    bits: Any,
    n_weights: Any,
    frozen: Any,
    out_codes: Any,
    out_recalled: Any,
    out_age: Any,
    out_sends: Any,
    out_familiarity: Any,
    out_versions: Any,
) -> None:
    """Items one after the other: the mac's input, and one-hot tables of the codes that are given."""
    n_features = row_of_feature.shape[1]
    network = network_of(n_features, macs, sources, rates, constants, modes, (sigmoid, multipliers, key))
    level, mac = network.levels[0], network.macs[0][0]
    unpack(macs[0], bits, mac)
    mac.frozen[:] = frozen
    for i, flag in enumerate(flags):
        mac.silence()
        codes = []
        for row in macs:
            winners = given[i, row[FIRST_MODULE] : row[FIRST_MODULE] + row[MODULES]]
            codes.append(winners[:, None] == np.arange(row[UNITS]))
        x = np.zeros(n_features, bool)
        x[indices[indptr[i] : indptr[i + 1]]] = True
        free = bool(flag & FREE)
        up = np.zeros(len(level.fields[0]), int) if free else x[level.fields[0]].astype(int)
        across, n_across, _ = network.signal([(codes[0], 1)] if len(mac.across) else [])
        down, n_down, _ = network.signal([(code, 1) for code in codes[1:]] if len(mac.down) else [])
        signals = [(up, int(up.sum())), (across, n_across - (n_across > 0)), (down, n_down)]
        network.step_number = first_step + i
        young = level.critical_period is None or network.step_number < level.critical_period
        network.step_mac(0, 0, signals, int(up.sum()), bool(flag & LEARNS) and young, free)
        out_codes[i], out_recalled[i] = code_of(mac, mac.code), code_of(mac, mac.recalled)
        out_age[i], out_sends[i], out_familiarity[i], out_versions[i] = mac.age, mac.sends, mac.familiarity, mac.versions
    shape = (-1, macs[0, MODULES], macs[0, UNITS])
    packed = pack_cells(np.concatenate([mac.up, mac.across, mac.down]).reshape(shape)).ravel()
    bits[macs[0, FIRST_WORD] : macs[0, FIRST_WORD] + len(packed)] = packed
    cells = slice(macs[0, FIRST_CELL], macs[0, FIRST_CELL] + macs[0, MODULES] * macs[0, UNITS])
    n_weights[cells], frozen[cells] = mac.up.sum(axis=0), mac.frozen


def unpack(row: Any, bits: Any, mac: Any) -> None:
    """Weights of a mac as bytes, from its bits."""
    tables = (mac.up, mac.across, mac.down)
    n_rows = sum(len(table) for table in tables)
    words = bits[row[FIRST_WORD] : row[FIRST_WORD] + n_rows * row[WORDS]].reshape(n_rows, row[WORDS])
    whole = unpack_cells(words, int(row[MODULES]), int(row[UNITS])).reshape(n_rows, -1)
    first = 0
    for table in tables:
        table[:] = whole[first : first + len(table)]
        first += len(table)


def project_back(codes: Any, macs: Any, n_first: int, sources: Any, bits: Any, out_scores: Any) -> None:
    """Share of winners with a weight from each feature, averaged over the macs awake that see it."""
    total, seen = np.zeros(out_scores.shape, np.float32), np.zeros(out_scores.shape, int)
    for mac in macs[:n_first]:
        n_modules, n_words = int(mac[MODULES]), int(mac[WORDS])
        words = bits[mac[FIRST_WORD] : mac[FIRST_WORD] + mac[N_UP] * n_words].reshape(-1, n_words)
        weights = unpack_cells(words, n_modules, int(mac[UNITS]))
        field = sources[mac[FIRST_SOURCE] : mac[STOP_SOURCE]]
        for n, code in enumerate(codes[:, mac[FIRST_MODULE] : mac[FIRST_MODULE] + n_modules]):
            if code[0] >= 0:
                total[n, field] += weights[:, np.arange(n_modules), code].mean(axis=1).astype(np.float32)
                seen[n, field] += 1
    out_scores[:] = total / np.maximum(seen, 1).astype(np.float32)
