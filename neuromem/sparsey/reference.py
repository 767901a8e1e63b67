"""The code selection algorithm in plain NumPy: one mac, one item at a time, as the paper writes it.

Rinkus (2014), "Sparsey: event recognition via deep hierarchical sparse distributed codes", Frontiers in Computational
Neuroscience 8:160.  Short and slow on purpose: the kernels must give the same codes to the bit.
"""

from dataclasses import dataclass, field

import numpy as np

from neuromem.random import exp64, philox4x32, power64, uniform53

RESOLUTION = 1 << 20


@dataclass
class ReferenceMac:
    """One mac with binary weights; ``order[q, p]`` is the number of the cell at position ``p`` of module ``q``."""

    n_inputs: int
    order: np.ndarray
    key: np.ndarray
    mac: int = 0
    u_exponent: float = 8.0
    familiarity_floor: float = 0.1
    expansivity_exponent: float = 2.0
    expansivity_scale: float = 100.0
    sigmoid: tuple[float, float, float, float] = (0.1, 4.0, 1.0, 8.0)
    transfer: str = "psi"
    bounds: tuple[int, int] = (1, 1 << 30)
    normaliser: int = 0
    freeze: str | None = "cell"
    freeze_limit: int = 1 << 30
    step: int = 0
    weights: np.ndarray = field(init=False)
    frozen: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.n_modules, self.units = self.order.shape
        self.weights = np.zeros((self.n_inputs, self.n_modules, self.units), bool)
        self.frozen = np.zeros((self.n_modules, self.units), bool)

    def counts(self, x: np.ndarray) -> np.ndarray:
        """Step 2: active inputs that each cell has a weight from, (n_modules, units)."""
        return self.weights[x.astype(bool)].sum(axis=0)

    def combined(self, x: np.ndarray) -> np.ndarray:
        """Steps 3 and 4: V of every cell, (n_modules, units)."""
        n_active = self.normaliser or int(x.sum())
        return power64(np.minimum(1.0, self.counts(x) / n_active), self.u_exponent)

    def familiarity(self, combined: np.ndarray) -> float:
        """Step 5: G."""
        total = 0.0
        for best in combined.max(axis=1):
            total += float(best)
        return total / self.n_modules

    def expansivity_minus_one(self, familiarity: float) -> float:
        """Step 7: eta - 1."""
        if familiarity <= self.familiarity_floor:
            return 0.0
        above = (familiarity - self.familiarity_floor) / (1.0 - self.familiarity_floor)
        power = float(power64(np.array([above]), self.expansivity_exponent)[0])
        return power * self.expansivity_scale * self.units

    def win_weights(self, combined: np.ndarray, eta_minus_one: float) -> np.ndarray:
        """Step 8: psi in units of 2**-20, int64 (n_modules, units)."""
        if eta_minus_one == 0.0:
            return np.full(combined.shape, RESOLUTION, np.int64)
        s1, s2, s3, s4 = self.sigmoid
        drop = exp64(-s2 * (combined - s3))
        if self.transfer == "psi":
            excess = eta_minus_one * power64(1.0 / (1.0 + s1 * drop), s4)
        else:
            excess = np.maximum((eta_minus_one + 1.0) / (1.0 + drop) - 1.0, 0.0)
        return RESOLUTION + (excess * RESOLUTION).astype(np.int64)

    def uniform(self, module: int) -> float:
        """The number in [0, 1) that decides one module at the present step."""
        counter = np.array([[self.step & 0xFFFFFFFF, self.mac, module >> 1, self.step >> 32]], np.uint32)
        lanes = philox4x32(counter, self.key)[0]
        a, b = (lanes[2], lanes[3]) if module & 1 else (lanes[0], lanes[1])
        return float(uniform53(np.array([a]), np.array([b]))[0])

    def draw(self, module: int, weights: np.ndarray) -> int:
        """Steps 9 and 10, learning: position of the winner, from the mixture of a flat and an excess part."""
        total = int(weights.sum())
        if total == self.units * RESOLUTION:
            return min(int(self.uniform(module) * self.units), self.units - 1)
        x = min(int(self.uniform(module) * float(total)), total - 1)
        if x < self.units * RESOLUTION:
            return x // RESOLUTION
        x -= self.units * RESOLUTION
        return int(np.argmax(np.cumsum(weights - RESOLUTION) > x))

    def present(self, x: np.ndarray, learn: bool) -> tuple[np.ndarray | None, np.ndarray | None, float]:
        """One step: (argmax code before the write, code written, G); codes are None where the mac stays silent."""
        active = x.astype(bool)
        if not self.bounds[0] <= active.sum() <= self.bounds[1]:
            self.step += learn
            return None, None, 0.0
        combined = self.combined(x)
        familiarity = self.familiarity(combined)
        modules = np.arange(self.n_modules)
        # V grows with the count and is clipped at 1 under a fixed normaliser; the count decides among clipped cells.
        code = self.order[modules, self.counts(x).argmax(axis=1)]
        if not learn:
            return code, code, familiarity
        weights = self.win_weights(combined, self.expansivity_minus_one(familiarity))
        winners = np.array([self.draw(q, weights[q]) for q in range(self.n_modules)])
        for q, k in enumerate(winners):
            if not self.frozen[q, k]:
                self.weights[active, q, k] = True
                if self.freeze == "cell" and self.weights[:, q, k].sum() >= self.freeze_limit:
                    self.frozen[q, k] = True
        if self.freeze == "mac" and self.weights.sum() >= self.freeze_limit:
            self.frozen[:] = True
        self.step += 1
        return code, self.order[modules, winners], familiarity


def sisc_probability(overlap: np.ndarray, units_per_module: int, **settings: float) -> np.ndarray:
    """Expected share of equal winners when one item is stored and a probe has this normalised overlap with it.

    E[intersection] / Q = psi(V) / (psi(V) + (K - 1) psi(0)), for V = G = overlap ** u_exponent.
    """
    order = np.arange(units_per_module)[None]
    mac = ReferenceMac(1, order, np.zeros(2, np.uint32), **settings)  # type: ignore[arg-type]
    result = []
    for v in power64(np.asarray(overlap, float), mac.u_exponent):
        eta = mac.expansivity_minus_one(float(v))
        psi = mac.win_weights(np.array([[v, 0.0]]), eta)[0] / RESOLUTION
        result.append(psi[0] / (psi[0] + (units_per_module - 1) * psi[1]))
    return np.array(result)


def permanence_trajectory(events: list[int], ages: list[int], value_at: np.ndarray, raise_before: np.ndarray) -> list[int]:
    """Weights of one synapse, ``ages[i]`` steps after step 0, given the steps of its coincidences."""
    weights = []
    for now in ages:
        stiffness, last = 0, -1
        for step in (e for e in events if e < now):
            age = step - last
            weight = 0 if last < 0 else int(value_at[stiffness, min(age, value_at.shape[1] - 1)])
            if weight == 0:
                stiffness = 0
            elif age < raise_before[stiffness]:
                stiffness += 1
            last = step
        weights.append(0 if last < 0 else int(value_at[stiffness, min(now - last, value_at.shape[1] - 1)]))
    return weights
