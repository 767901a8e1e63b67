"""Small memories with known behaviour, for the tests of the probes: closed forms, steps, chance, and hostile ones."""

import numpy as np

from neuromem.protocols import ItemSpec


class Associator:
    """W <- (1 - lam) W + x y^T of unit keys and values; items are signs, key and value side by side; score x^T W y."""

    def __init__(self, width=128, lam=2e-4):
        self.width, self.keep = width, np.float32(1 - lam)
        self.weights = np.zeros((width, width), np.float32)
        self.item_spec = ItemSpec(2 * width, "sign")

    @property
    def nbytes(self):
        return self.weights.nbytes

    def write(self, items):
        n = len(items)
        items = items.astype(np.float32) / np.float32(self.width**0.5)
        ages = np.arange(n - 1, -1, -1, dtype=np.float32)
        self.weights *= self.keep**n
        self.weights += (items[:, : self.width] * (self.keep**ages)[:, None]).T @ items[:, self.width :]

    def familiarity(self, items):
        items = items.astype(np.float32) / np.float32(self.width**0.5)
        return np.einsum("nc,nc->n", items[:, : self.width] @ self.weights, items[:, self.width :])

    def complete(self, cues, known):
        found = np.sign(cues[:, : self.width].astype(np.float32) @ self.weights)
        return np.where(known, cues, np.concatenate([cues[:, : self.width], found], axis=1))

    def copy(self):
        made = Associator(self.width)
        made.keep, made.weights = self.keep, self.weights.copy()
        return made

    def get_state(self):
        return {"weights": self.weights.copy()}

    def set_state(self, state):
        self.weights = state["weights"].copy()


class KeySet:
    """What was written, as a set of exact items with the time of each; scores 1 for those it has, else 0."""

    def __init__(self):
        self.keys = {}
        self.count = 0

    def keep(self, key):
        self.keys[key] = self.count

    def write(self, items):
        for row in np.asarray(items):
            self.keep(row.tobytes())
            self.count += 1

    def familiarity(self, items):
        return np.array([row.tobytes() in self.keys for row in np.asarray(items)], np.float32)

    def complete(self, cues, known):
        """The stored item that agrees on what is known, the newest of several; the cue where there is none."""
        cues = np.asarray(cues)
        out = np.array(cues)
        if not self.keys:
            return out
        ordered = sorted(self.keys, key=self.keys.get)
        stored = np.frombuffer(b"".join(ordered), cues.dtype).reshape(-1, cues.shape[1])
        for i, cue in enumerate(cues):
            mask = known if known.ndim == 1 else known[i]
            same = np.flatnonzero((stored[:, mask] == cue[mask]).all(axis=1))
            if len(same):
                out[i] = stored[same[-1]]
        return out


class Fifo(KeySet):
    """The newest ``size`` items."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def keep(self, key):
        self.keys[key] = self.count
        if len(self.keys) > self.size:
            del self.keys[min(self.keys, key=self.keys.get)]


class Reservoir(KeySet):
    """A fair sample of ``size`` of all items so far (Vitter's algorithm R)."""

    def __init__(self, size, seed=0):
        super().__init__()
        self.size, self.rng, self.slots = size, np.random.default_rng(seed), []

    def keep(self, key):
        place = len(self.slots) if self.count < self.size else int(self.rng.integers(0, self.count + 1))
        if place == len(self.slots) < self.size:
            self.slots.append(key)
        elif place < self.size:
            del self.keys[self.slots[place]]
            self.slots[place] = key
        else:
            return
        self.keys[key] = self.count


class BloomFilter:
    """Bits at places that a hash of the item gives; familiar is an item all of whose bits are set."""

    def __init__(self, n_bits, n_hashes):
        self.bits, self.n_hashes = np.zeros(n_bits, bool), n_hashes

    def places(self, items):
        words = np.packbits(np.asarray(items, np.uint8), axis=1)[:, : 4 * self.n_hashes].copy().view(np.uint32)
        return words[:, : self.n_hashes] % len(self.bits)  # items are random bits: their own words are the hashes

    def write(self, items):
        self.bits[self.places(items).ravel()] = True

    def familiarity(self, items):
        return self.bits[self.places(items)].all(axis=1).astype(np.float32)


class Constant:
    """Everything is as familiar as everything else."""

    def __init__(self, value=0.3):
        self.value = value

    def write(self, items):
        self.width = items.shape[1]

    def familiarity(self, items):
        return np.full(len(items), self.value)

    def complete(self, cues, known):
        return np.where(known, cues, 0)


class RandomScores(Constant):
    """Scores that are drawn from a hash of the item, so that reads are pure."""

    def __init__(self, seed):
        self.seed = seed

    def familiarity(self, items):
        weights = np.random.default_rng(self.seed).normal(size=items.shape[1])
        return np.sin(1e4 * (items.astype(float) @ weights))


class Hostile(Constant):
    """Gives what it should not, in one way of several."""

    def __init__(self, way):
        self.way, self.reads = way, np.zeros(1)

    def familiarity(self, items):
        scores = np.arange(len(items), dtype=float)
        if self.way == "nan":
            scores[3] = np.nan
        elif self.way == "inf":
            scores[2] = np.inf
        elif self.way == "shape":
            scores = scores[:, None]
        elif self.way == "short":
            scores = scores[1:]
        elif self.way == "text":
            scores = scores.astype(str)
        elif self.way == "writes":
            self.reads += 1
        return scores

    def complete(self, cues, known):
        found = np.where(known, cues, 0).astype(float)
        if self.way == "nan":
            found[1, 2] = np.nan
        elif self.way == "shape":
            found = found[:, :-1]
        elif self.way == "writes":
            self.reads += 1
        return found
