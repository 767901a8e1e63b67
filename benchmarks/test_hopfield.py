"""The dynamics of multitasking networks, each beside a rival that does the same work, in one run: a group is a row of the table.

``extra_info`` has ``items``, what one round works through: sweeps, spins or updates, as the group says.
"""

import itertools

import numpy as np
import pytest

from neuromem import DenseAssociativeMemory
from neuromem.hopfield import MultitaskingHebbian, phase_diagram, sample_patterns, simulate_classes

DILUTION, TEMPERATURE = 0.4, 0.2


def rows_and_counts(n_patterns, n_units):
    rows = np.array(list(itertools.product((-1, 0, 1), repeat=n_patterns)))
    weights = np.prod(np.where(rows == 0, DILUTION, (1 - DILUTION) / 2), axis=1)
    return rows, np.random.default_rng(0).multinomial(n_units, weights)


@pytest.mark.parametrize("n_units", [10**6, 10**9])
@pytest.mark.parametrize("n_patterns", [3, 5])
def test_class_sweeps(benchmark, one_thread, n_patterns, n_units):
    rows, counts = rows_and_counts(n_patterns, n_units)
    n_sweeps = 20_000 if n_patterns == 3 else 4_000
    benchmark.group = f"parallel sweep on class counts, {n_patterns} patterns, {n_units:.0e} units, one thread"
    benchmark.extra_info["items"] = n_sweeps
    benchmark.pedantic(
        lambda: simulate_classes(rows, counts, beta=1 / TEMPERATURE, n_sweeps=n_sweeps, record="m", random_state=0),
        rounds=5,
        warmup_rounds=1,
    )


@pytest.mark.parametrize("n_units", [10**6, 10**9])
@pytest.mark.parametrize("n_patterns", [3, 5])
def test_class_sweeps_rival(benchmark, one_thread, n_patterns, n_units):
    rows, counts = rows_and_counts(n_patterns, n_units)
    rng = np.random.default_rng(1)
    n_sweeps = 500
    benchmark.group = f"parallel sweep on class counts, {n_patterns} patterns, {n_units:.0e} units, one thread"
    benchmark.extra_info.update(items=n_sweeps, rival="NumPy, Generator.binomial of whole arrays")
    own = (rows**2).sum(axis=1) / n_units

    def sweep():
        up = counts.copy()
        for _ in range(n_sweeps):
            fields = rows @ ((2 * up - counts) @ rows) / n_units
            chances = 1 / (1 + np.exp(-2 / TEMPERATURE * np.stack([fields - own, fields + own])))
            up = rng.binomial(np.stack([up, counts - up]), chances).sum(axis=0)

    benchmark.pedantic(sweep, rounds=3, warmup_rounds=1)


def network(n_units, n_patterns=5, dilution=DILUTION):
    patterns = sample_patterns(n_patterns, n_units, dilution, random_state=0)
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    model._columns().classes.packing  # noqa: B018  built once, with the network
    return model, patterns


def test_packed_spins(benchmark, one_thread):
    model, _ = network(10**6)
    benchmark.group = "parallel update of one spin of 1e6, 5 patterns, one thread"
    benchmark.extra_info["items"] = 300 * 10**6
    benchmark.pedantic(
        lambda: model.simulate(beta=1 / TEMPERATURE, n_sweeps=300, thin=300, dynamics="parallel", engine="bits", record="m"),
        rounds=5,
        warmup_rounds=1,
    )


def test_packed_spins_rival(benchmark, one_thread):
    n_units = 10**6
    _, patterns = network(n_units)
    rows = np.ascontiguousarray(patterns.T, np.float32)
    rng = np.random.default_rng(1)
    own = (rows**2).sum(axis=1) / n_units
    benchmark.group = "parallel update of one spin of 1e6, 5 patterns, one thread"
    benchmark.extra_info.update(items=2 * n_units, rival="NumPy, two products in float32")

    def sweep():
        spins = np.where(rows[:, 0] < 0, -1, 1).astype(np.float32)
        for _ in range(2):
            fields = rows @ (spins @ rows / n_units) - own * spins
            up = rng.random(n_units, dtype=np.float32) < 1 / (1 + np.exp(-2 / TEMPERATURE * fields))
            spins = np.where(up, 1, -1).astype(np.float32)

    benchmark.pedantic(sweep, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("n_units", [1000, 10_000, 1_000_000])
def test_serial_updates(benchmark, one_thread, n_units):
    model, _ = network(n_units)
    n_sweeps = max(2, 2_000_000 // n_units)
    benchmark.group = f"serial update of one spin of {n_units:.0e}, 5 patterns, one thread"
    benchmark.extra_info["items"] = n_sweeps * n_units
    benchmark.pedantic(
        lambda: model.simulate(beta=1 / TEMPERATURE, n_sweeps=n_sweeps, thin=n_sweeps, record="m"), rounds=5, warmup_rounds=1
    )


def test_a_million_units_read(benchmark, one_thread):
    model, patterns = network(10**6)
    benchmark.group = "read one state of 1e6 units, 5 patterns, one thread"
    benchmark.extra_info["items"] = 1
    benchmark.pedantic(lambda: model.read(patterns[:1]), rounds=3, warmup_rounds=1)


def noisy_thousand():
    patterns = sample_patterns(100, 1000, random_state=0)
    flip = np.random.default_rng(1).random((20, 1000)) < 0.1
    return patterns, np.where(flip, -patterns[:20], patterns[:20])


def test_serial_relaxation(benchmark, one_thread):
    patterns, cues = noisy_thousand()
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    benchmark.group = "serial update at zero noise, 1000 units, 100 patterns, one thread"
    benchmark.extra_info["items"] = 20 * 1000 * 20
    benchmark(lambda: model.simulate(cues, n_replicas=20, beta=np.inf, n_sweeps=20, thin=20, record="states"))


def test_serial_relaxation_rival(benchmark, one_thread):
    rival = pytest.importorskip("hopfieldnetwork")
    patterns, cues = noisy_thousand()
    net = rival.HopfieldNetwork(1000)
    net.train_pattern(patterns.T.astype(float))
    benchmark.group = "serial update at zero noise, 1000 units, 100 patterns, one thread"
    benchmark.extra_info.update(items=5 * 1000, rival="hopfieldnetwork 1.0.1")

    def relax():
        net.set_initial_neurons_state(cues[0].astype(float))
        net.update_neurons(5, mode="async")

    benchmark.pedantic(relax, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("n_patterns", [3, 5])
def test_theory_grid(benchmark, one_thread, n_patterns):
    dilutions, temperatures = np.linspace(0.02, 0.98, 50), np.linspace(0.02, 1.0, 50)
    benchmark.group = f"exact theory, a grid of 50 x 50 points from three starts, {n_patterns} patterns, one thread"
    benchmark.extra_info["items"] = 1
    benchmark.pedantic(lambda: phase_diagram(n_patterns, dilutions, temperatures), rounds=5, warmup_rounds=1)


def dense_network():
    patterns = 2 * np.random.default_rng(0).integers(0, 2, (100, 1000)) - 1
    return DenseAssociativeMemory(random_state=0), patterns, np.where(np.arange(1000) % 7, patterns[:1], -patterns[:1])


def test_dense_memory(benchmark, one_thread):
    memory, patterns, cue = dense_network()
    memory.write(patterns)
    benchmark.group = "dense associative memory, exponential, one query, 1,000 units, 100 patterns, one thread"
    benchmark.extra_info["items"] = 1
    assert np.array_equal(memory.read(cue).values[0, 0], patterns[0])
    benchmark(memory.read, cue)


def test_dense_memory_rival(benchmark, one_thread):
    _, patterns, cue = dense_network()
    benchmark.group = "dense associative memory, exponential, one query, 1,000 units, 100 patterns, one thread"
    benchmark.extra_info.update(items=1, rival="the update by its definition, unit by unit, NumPy")

    def update():
        state = cue[0].astype(float)
        overlaps = patterns @ state
        found = np.empty(1000)
        for i in range(1000):
            up, down = (overlaps + patterns[:, i] * (s - state[i]) for s in (1, -1))
            top = max(up.max(), down.max())
            found[i] = 1 if np.exp(up - top).sum() >= np.exp(down - top).sum() else -1
        return found

    assert np.array_equal(update(), patterns[0])
    benchmark.pedantic(update, rounds=5, warmup_rounds=1)
