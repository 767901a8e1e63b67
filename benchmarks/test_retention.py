"""Retention probes: what the suite adds to a memory's own work, items from ids, comparing recalled items, curves."""

import numpy as np
import pytest

from neuromem.parallel import kernel_threads
from neuromem.retention import RandomSigns, fit_many, log_spaced, retention_curve
from neuromem.retention.checkpoints import window_of
from neuromem.retention.recall import identified

WIDTH, N_STREAM, BATCH = 128, 200_000, 4096
AGES = log_spaced(60_000, 5)


class Associator:
    """The fastest memory there is to probe: a decaying linear associator of keys and values, one product for a batch."""

    def __init__(self):
        self.weights = np.zeros((WIDTH, WIDTH), np.float32)

    def write(self, items):
        items = items.astype(np.float32)
        decay = np.float32(1 - 2e-4) ** np.arange(len(items), -1, -1, dtype=np.float32)
        self.weights *= decay[0]
        self.weights += (items[:, :WIDTH] * decay[1:, None]).T @ items[:, WIDTH:]

    def familiarity(self, items):
        items = items.astype(np.float32)
        return np.einsum("nc,nc->n", items[:, :WIDTH] @ self.weights, items[:, WIDTH:])


def by_hand(source):
    """The same writes and reads without the suite: no table, no checks, no foils but new ids."""
    memory = Associator()

    def read(ids):
        memory.familiarity(source.get(ids))
        memory.familiarity(source.get(ids + (1 << 41)))

    never_studied = np.arange(2000) + (1 << 42)
    read(never_studied)
    for start in range(0, N_STREAM, BATCH):
        memory.write(source.get(np.arange(start, min(start + BATCH, N_STREAM))))
        for stop in (N_STREAM // 2, N_STREAM):
            if start < stop <= start + BATCH:
                for age in (0, *AGES):
                    read(window_of(age, stop, 2000))
    read(never_studied)
    return memory


STREAM = "an item of a stream of 200,000, written and probed at 26 ages twice, linear associator, one thread"


def test_curve(benchmark, one_thread):
    source = RandomSigns(2 * WIDTH)
    settings = {"mode": "cross_sectional", "n_target": N_STREAM, "checkpoints": AGES, "probes": "recognition", "foils": "novel"}
    benchmark.group = STREAM
    benchmark.extra_info["items"] = N_STREAM
    benchmark.pedantic(
        lambda: retention_curve(Associator(), source, batch_size=BATCH, seeds=0, **settings), rounds=5, warmup_rounds=1
    )


def test_curve_rival(benchmark, one_thread):
    source = RandomSigns(2 * WIDTH)
    benchmark.group = STREAM
    benchmark.extra_info.update(items=N_STREAM, rival="the same writes and reads in a bare loop")
    benchmark.pedantic(by_hand, args=(source,), rounds=5, warmup_rounds=1)


SIGNS = "256 random signs from their id, one thread"


def test_items(benchmark, one_thread):
    source, ids = RandomSigns(256), np.arange(65_536)
    benchmark.group = SIGNS
    benchmark.extra_info["items"] = len(ids)
    benchmark(source.get, ids)


def numpy_items(ids):
    """One of NumPy's Philox generators for every block of 1,024 items."""
    out = np.empty((len(ids), 256), np.int8)
    for block in np.unique(ids // 1024):
        rows = ids // 1024 == block
        bits = np.random.Generator(np.random.Philox(key=[0, int(block)])).bytes(1024 * 32)
        out[rows] = np.unpackbits(np.frombuffer(bits, np.uint8)).reshape(1024, 256)[ids[rows] % 1024]
    return 2 * out - 1


def test_items_rival(benchmark, one_thread):
    benchmark.group = SIGNS
    benchmark.extra_info.update(items=65_536, rival="NumPy's Philox and unpackbits, blocks of 1,024")
    benchmark(numpy_items, np.arange(65_536))


NEAREST = "which of 20,000 items of 256 bits is nearest to a recalled one, one thread"


@pytest.fixture
def recalled():
    rng = np.random.default_rng(0)
    items = rng.integers(0, 2, (20_000, 256), np.uint8)
    return items[:1000] ^ (rng.random((1000, 256)) < 0.1), np.ones((1000, 256), bool), items


def test_identification(benchmark, one_thread, recalled):
    benchmark.group = NEAREST
    benchmark.extra_info["items"] = 1000
    found, scored, items = recalled
    with kernel_threads(1e9):
        benchmark(identified, found, scored, items, "binary")


def test_identification_rival(benchmark, one_thread, recalled):
    found, scored, items = recalled
    signs, pool = 2 * found.astype(np.float32) - 1, 2 * items.astype(np.float32) - 1
    benchmark.group = NEAREST
    benchmark.extra_info.update(items=1000, rival="float32 BLAS product and argmax")
    benchmark(lambda: (signs @ pool.T).argmax(axis=1))


CURVES = "fit one forgetting curve of 24 points, {}, one thread"


def forgetting_counts(n_curves):
    """Counts out of 100 about power laws of time, and the times."""
    rng = np.random.default_rng(0)
    times = np.unique(np.round(np.geomspace(1, 1e5, 24)))
    a, b = rng.uniform(0.5, 1, (n_curves, 1)), rng.uniform(0.02, 0.5, (n_curves, 1))
    return times, rng.binomial(100, a * (1 + times) ** -b)


@pytest.mark.parametrize("observation", ["values by least squares", "counts by likelihood"])
def test_many_curves(benchmark, one_thread, observation):
    n_curves = 10_000
    times, k = forgetting_counts(n_curves)
    benchmark.group = CURVES.format(observation)
    benchmark.extra_info["items"] = n_curves
    given = {"values": k / 100} if observation.startswith("values") else {"successes": k, "trials": 100}
    benchmark.pedantic(lambda: fit_many(times, model="power1", floor=0, **given), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("observation", ["values by least squares", "counts by likelihood"])
def test_many_curves_rival(benchmark, one_thread, observation):
    from scipy.optimize import curve_fit, minimize

    n_curves = 300
    times, k = forgetting_counts(n_curves)
    by_squares = observation.startswith("values")
    benchmark.group = CURVES.format(observation)
    rival = "scipy.optimize.curve_fit" if by_squares else "scipy.optimize.minimize, L-BFGS-B, slopes given"
    benchmark.extra_info.update(items=n_curves, rival=rival)
    log = np.log1p(times)

    def loss(x, row):
        left = np.exp(-x[1] * log)
        p = np.clip(x[0] * left, 1e-9, 1 - 1e-9)
        pull = row / p - (100 - row) / (1 - p)
        return -(row * np.log(p) + (100 - row) * np.log1p(-p)).sum(), -np.array([pull @ left, -x[0] * pull @ (log * left)])

    def one(row):
        if by_squares:
            return curve_fit(lambda t, a, b: a * (1 + t) ** -b, times, row / 100, p0=(0.8, 0.1))[0]
        return minimize(loss, (0.8, 0.1), (row,), "L-BFGS-B", jac=True, bounds=((1e-6, 1), (0, 5))).x

    benchmark.pedantic(lambda: [one(row) for row in k], rounds=3, warmup_rounds=1)
