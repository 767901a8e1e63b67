"""The five engines against exact enumeration, against one another, and against formulas; their draws and their binomials."""

import itertools
import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import neuromem
from neuromem.hopfield import (
    MultitaskingHebbian,
    RowLaw,
    reference_dynamics,
    sample_examples,
    sample_patterns,
    simulate_classes,
    solve,
)
from neuromem.hopfield.kernels.chance import BOUNDS, CELLS_PER_Y, Y_LARGEST, binomial, fast_exp, flip_threshold
from neuromem.jit import jit
from neuromem.random import exp64, uniform53
from neuromem.random import philox4x32 as plain_philox

ROOT = Path(__file__).parent.parent
GOLDEN = np.load(Path(__file__).parent / "golden" / "hopfield" / "golden_micro.npz")


def all_states(n):
    return np.array(list(itertools.product((-1, 1), repeat=n)), np.int8)


def couplings_of(patterns):
    """J in plain words: c = 1, zero diagonal."""
    J = patterns.T.astype(float) @ patterns / patterns.shape[1]
    np.fill_diagonal(J, 0)
    return J


def glauber_matrix(J, beta, rule="glauber"):
    """Transition matrix of one update of a unit drawn at random."""
    S = all_states(len(J))
    place = {tuple(s): i for i, s in enumerate(S)}
    P = np.zeros((len(S), len(S)))
    for a, s in enumerate(S):
        y = 2 * beta * s * (J @ s)
        flip = 1 / (1 + np.exp(y)) if rule == "glauber" else np.minimum(1, np.exp(-y))
        for i in range(len(J)):
            t = s.copy()
            t[i] = -t[i]
            P[a, place[tuple(t)]] += flip[i] / len(J)
            P[a, a] += (1 - flip[i]) / len(J)
    return P


def little_matrix(J, beta):
    """Transition matrix of one parallel sweep."""
    S = all_states(len(J))
    up = 1 / (1 + np.exp(-2 * beta * (S @ J)))
    return np.prod(np.where(S[None] == 1, up[:, None], 1 - up[:, None]), axis=2)


def mean_products(S, weights, patterns):
    m = S @ patterns.T / patterns.shape[1]
    return np.einsum("s,sa,sb->ab", weights / weights.sum(), m, m)


SMALL = sample_patterns(2, 12, 0.3, random_state=3)
SERIAL = [
    {"engine": "overlaps"},
    {"engine": "overlaps", "order": "permutation"},
    {"engine": "overlaps", "order": "sequential", "rule": "metropolis"},
    {"engine": "dense"},
    {"engine": "dense", "rule": "metropolis"},
    {"engine": "classes"},
    {"engine": "classes", "order": "permutation"},
    {"engine": "classes", "rule": "metropolis"},
]


@pytest.mark.parametrize("how", SERIAL, ids=lambda how: " ".join(how.values()))
def test_serial_engines_have_the_gibbs_law(how):
    beta = 1.5
    S = all_states(12)
    J = couplings_of(SMALL)
    exact = mean_products(S, np.exp(beta / 2 * ((S @ J) * S).sum(axis=1)), SMALL)
    model = MultitaskingHebbian(random_state=1).fit(SMALL)
    trace = model.simulate("random", beta=beta, n_sweeps=4000, burn_in=50, n_replicas=10, **how)
    assert (abs(trace.m2[0] - exact) < 5 * trace.m2_error[0]).all()
    assert trace.m2_error[0].max() < 0.005


@pytest.mark.parametrize("engine", ["dense", "overlaps", "bits", "classes"])
def test_parallel_engines_have_the_little_law(engine):
    beta = 1.5
    S = all_states(12)
    J = couplings_of(SMALL)
    exact = mean_products(S, np.exp(np.log(2 * np.cosh(beta * (S @ J))).sum(axis=1)), SMALL)
    with_own_part = J + np.diag((SMALL.astype(float) ** 2).sum(axis=0) / 12)
    wrong = mean_products(S, np.exp(np.log(2 * np.cosh(beta * (S @ with_own_part))).sum(axis=1)), SMALL)
    model = MultitaskingHebbian(random_state=1).fit(SMALL)
    trace = model.simulate("random", beta=beta, n_sweeps=8000, burn_in=50, n_replicas=10, dynamics="parallel", engine=engine)
    assert (abs(trace.m2[0] - exact) < 5 * trace.m2_error[0]).all()
    assert (abs(trace.m2[0] - wrong) > 5 * trace.m2_error[0]).any()  # a self-coupling would be seen


@pytest.mark.parametrize(
    ("dynamics", "rule", "engine"),
    [
        ("serial", "glauber", "overlaps"),
        ("serial", "metropolis", "overlaps"),
        ("serial", "glauber", "dense"),
        ("parallel", "glauber", "overlaps"),
        ("parallel", "glauber", "dense"),
        ("parallel", "glauber", "bits"),
    ],
)
def test_one_sweep_has_the_frequencies_of_the_transition_matrix(dynamics, rule, engine):
    beta, n, n_chains = 0.8, 6, 20_000
    patterns = sample_patterns(2, n, 0.2, random_state=0)
    J = couplings_of(patterns)
    S = all_states(n)
    if dynamics == "serial":
        matrix = glauber_matrix(J, beta, rule)
        law = np.exp(beta / 2 * ((S @ J) * S).sum(axis=1))
        sweep = np.linalg.matrix_power(matrix, n)
    else:
        matrix = sweep = little_matrix(J, beta)
        law = np.exp(np.log(2 * np.cosh(beta * (S @ J))).sum(axis=1))
    law /= law.sum()
    assert abs(law @ matrix - law).max() < 1e-14
    start = S[11]
    model = MultitaskingHebbian(random_state=5).fit(patterns)
    trace = model.simulate(
        start, beta=beta, n_sweeps=1, n_replicas=n_chains, dynamics=dynamics, rule=rule, engine=engine, record="states"
    )
    places = ((trace.states[0] == 1) * 2 ** np.arange(n - 1, -1, -1)).sum(axis=1)
    counts, expected = np.bincount(places, minlength=64), n_chains * sweep[11]
    rare = expected < 5
    counts, expected = (np.append(v[~rare], v[rare].sum()) for v in (counts, expected))
    statistic = ((counts - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
    degrees = len(counts) - 1
    assert statistic < degrees + 5 * (2 * degrees) ** 0.5


# ---------------------------------------------------------------- engines against one another


def test_the_golden_case_to_the_bit():
    model = MultitaskingHebbian(random_state=0).fit(GOLDEN["X"])
    assert model.energy(GOLDEN["s0"][None])[0] == pytest.approx(0.2395833333333333, abs=1e-12)
    for engine in ("overlaps", "dense"):
        trace = model.simulate(
            GOLDEN["s0"],
            beta=np.inf,
            n_sweeps=4,
            order=GOLDEN["order"],
            engine=engine,
            record=("series", "states"),
        )
        assert np.array_equal(trace.states[0, 0], GOLDEN["s_serial4"])
        assert np.allclose(trace.energies[0, 0], GOLDEN["energy_trace"][1:], atol=1e-12)
        assert np.allclose(trace.series[0, 0, -1], GOLDEN["m_final"], atol=1e-15)
    for engine in ("overlaps", "dense", "bits"):
        trace = model.simulate(GOLDEN["s0"], beta=np.inf, n_sweeps=1, dynamics="parallel", engine=engine, record="states")
        assert np.array_equal(trace.states[0, 0], GOLDEN["s_parallel1"])


@pytest.mark.parametrize("n_patterns", [3, 40])
@pytest.mark.parametrize("rule", ["glauber", "metropolis"])
@pytest.mark.parametrize("dynamics", ["serial", "parallel"])
def test_overlaps_and_dense_are_the_same_chain_to_the_bit(dynamics, rule, n_patterns):
    patterns = sample_patterns(n_patterns, 200, 0.4, random_state=1)
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    how = {"beta": [0.0, 4.0, np.inf], "n_sweeps": 7, "n_replicas": 2, "record": ("states", "series"), "rule": rule}
    a, b = (model.simulate("random", dynamics=dynamics, engine=e, **how) for e in ("overlaps", "dense"))
    assert np.array_equal(a.states, b.states) and np.array_equal(a.series, b.series)
    assert np.allclose(a.energies, b.energies, atol=1e-9)


def test_zero_noise_is_the_same_on_every_parallel_engine():
    patterns = sample_patterns(3, 500, 0.4, random_state=1)
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    start = 2 * np.random.default_rng(0).integers(0, 2, 500) - 1
    how = {"beta": np.inf, "n_sweeps": 5, "dynamics": "parallel", "record": "series"}
    found = [model.simulate(start, engine=e, **how).series for e in ("dense", "overlaps", "bits", "classes")]
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_free_units_keep_their_spin():
    patterns = sample_patterns(2, 4000, 0.5, random_state=1)
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    start = 2 * np.random.default_rng(0).integers(0, 2, 4000) - 1
    free = (patterns == 0).all(axis=0)
    for dynamics, engine in (("serial", "overlaps"), ("serial", "dense"), ("parallel", "overlaps"), ("parallel", "bits")):
        states = model.simulate(start, beta=np.inf, n_sweeps=3, dynamics=dynamics, engine=engine, record="states").states
        assert np.array_equal(states[0, 0][free], start[free])


@pytest.mark.parametrize("engine", ["overlaps", "bits"])
def test_integer_overlaps_never_drift(engine):
    patterns = sample_patterns(5, 10_000, 0.4, random_state=2)
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    dynamics = "serial" if engine == "overlaps" else "parallel"
    trace = model.simulate(
        beta=5.0, n_sweeps=120, thin=120, dynamics=dynamics, engine=engine, record=("series", "states", "energy")
    )
    assert np.array_equal(trace.series[0, 0, 0], trace.states[0, 0] @ patterns.T.astype(int) / 10_000)
    assert trace.energy[0] == pytest.approx(model.energy(trace.states[0])[0], rel=1e-12)


def test_states_of_the_class_engine_have_the_overlaps_of_their_counts():
    patterns = sample_patterns(2, 3000, 0.4, random_state=2)
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    trace = model.simulate(beta=5.0, n_sweeps=3, dynamics="parallel", engine="classes", record=("series", "states"))
    assert np.array_equal(trace.series[0, 0, -1], trace.states[0, 0] @ patterns.T.astype(int) / 3000)
    free = (patterns == 0).all(axis=0)
    assert abs(trace.states[0, 0][free].mean()) < 5 / free.sum() ** 0.5
    with pytest.raises(neuromem.InputError, match="classes"):
        model.simulate(np.ones(3000), beta=5.0, n_sweeps=3, dynamics="parallel", engine="classes", record="states")


def test_gauge_and_order_of_patterns_change_nothing_but_names():
    rng = np.random.default_rng(7)
    patterns = sample_patterns(3, 600, 0.4, random_state=7)
    gauge = 2 * rng.integers(0, 2, 600) - 1
    start = 2 * rng.integers(0, 2, 600) - 1
    plain, turned = (MultitaskingHebbian(random_state=0).fit(p) for p in (patterns, patterns * gauge))
    permuted = MultitaskingHebbian(random_state=0).fit(patterns[[2, 0, 1]])
    assert np.array_equal(plain.overlaps(start[None]), turned.overlaps((start * gauge)[None]))
    assert np.array_equal(plain.energy(start[None]), turned.energy((start * gauge)[None]))
    assert np.array_equal(plain.overlaps(start[None]), -plain.overlaps(-start[None]))
    for how in ({"engine": "overlaps"}, {"dynamics": "parallel", "engine": "bits"}, {"dynamics": "parallel"}):
        a = plain.simulate(start, beta=4.0, n_sweeps=5, record="series", **how).series
        b = turned.simulate(start * gauge, beta=4.0, n_sweeps=5, record="series", **how).series
        assert np.array_equal(a, b)
    a = plain.simulate(start, beta=4.0, n_sweeps=5, record="series").series
    b = permuted.simulate(start, beta=4.0, n_sweeps=5, record="series").series
    assert np.array_equal(a[..., [2, 0, 1]], b)
    for model in (plain, turned):  # the classes of the two are the same, so is the chain of the counts
        found = model.simulate(beta=4.0, n_sweeps=50, dynamics="parallel", record="series").series
        assert np.array_equal(found, plain.simulate(beta=4.0, n_sweeps=50, dynamics="parallel", record="series").series)


@pytest.mark.parametrize("engine", ["overlaps", "dense"])
def test_serial_zero_noise_never_raises_the_energy(engine):
    patterns = sample_patterns(8, 300, 0.3, random_state=5)
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    energies = model.simulate("random", beta=np.inf, n_sweeps=6, n_replicas=8, engine=engine, record="series").energies
    assert (np.diff(energies, axis=2) <= 1e-9).all() and (energies[0, :, -1] < energies[0, :, 0]).all()


# ---------------------------------------------------------------- against formulas


@pytest.mark.parametrize("dynamics", ["parallel", "serial"])
def test_fluctuations_have_the_size_of_the_formula(dynamics):
    n_units, beta = (4000, 1 / 0.14) if dynamics == "parallel" else (1000, 1 / 0.14)
    patterns = sample_patterns(2, n_units, 0.3, random_state=11)
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    n_sweeps = 200_000 if dynamics == "parallel" else 20_000
    trace = model.simulate(beta=beta, n_sweeps=n_sweeps, burn_in=100, n_replicas=4, dynamics=dynamics, record=("series",))
    m = trace.series[0, :, :, 0]
    V = patterns.T.astype(float)
    mean = trace.m[0]
    B = (V / np.cosh(beta * V @ mean)[:, None] ** 2).T @ V / n_units
    one = np.eye(2)
    wanted = B @ np.linalg.inv(one - (beta * B) @ (beta * B)) if dynamics == "parallel" else np.linalg.inv(one - beta * B) @ B
    assert n_units * m.var() == pytest.approx(wanted[0, 0], rel=0.05)


def test_a_thousand_million_units_follow_theory():
    # K=2, d=0.3, T=0.14: the solution of the equations is tabulated to six digits; the counts are the expected ones
    rows = np.array(list(itertools.product((-1, 0, 1), repeat=2)))
    weights = np.prod(np.where(rows == 0, 0.3, 0.35), axis=1)
    counts = np.round(1e9 * weights).astype(np.int64)
    trace = simulate_classes(rows, counts, beta=1 / 0.14, n_sweeps=2000, burn_in=200, random_state=0)
    assert abs(trace.m[0] - [0.699684, 0.180782]).max() < 1e-6 + 5 * trace.m_error.max()
    assert trace.m_error.max() < 1e-6


@pytest.mark.parametrize(("dilution", "beta"), [(0.5, 10.0), (0.7, 1 / 0.15), (0.3, 10.0)])
def test_counts_follow_theory_on_their_own_rows(dilution, beta):
    law = RowLaw.storing(3, dilution)
    counts = np.random.default_rng(3).multinomial(10**9, law.weights)
    wanted = solve(RowLaw.empirical(law.values, counts=counts), beta)
    trace = simulate_classes(law.values, counts, beta=beta, n_sweeps=20_000, burn_in=200, random_state=0)
    assert (abs(trace.m[0] - wanted.m) < 5 * trace.m_error[0] + 1e-8).all()
    assert abs(trace.m[0] - wanted.m).max() < 1e-6


def test_a_network_follows_its_own_theory():
    model = MultitaskingHebbian(random_state=0).fit(sample_patterns(2, 100_000, 0.3, random_state=5))
    for dynamics, n_sweeps in (("parallel", 2000), ("serial", 60)):
        trace = model.simulate(beta=1 / 0.14, n_sweeps=n_sweeps, burn_in=20, n_replicas=4, dynamics=dynamics)
        assert (abs(trace.m[0] - model.theory(1 / 0.14).m) < 5 * trace.m_error[0] + 2e-5).all()  # 1 / N on top


@pytest.mark.parametrize("order", ["random", "permutation"])
@pytest.mark.parametrize("rule", ["glauber", "metropolis"])
def test_serial_counts_have_the_law_of_the_spins(order, rule):
    rows, counts = [[1, 1], [1, -1], [0, 1], [0, 0]], [5, 3, 2, 2]
    patterns = np.repeat(np.array(rows), counts, axis=0).T
    model = MultitaskingHebbian(norm="none", random_state=0).fit(patterns)
    S = all_states(12)
    exact = mean_products(S, np.exp(1.5 / 2 * ((S @ couplings_of(patterns)) * S).sum(axis=1)), patterns)
    how = {"beta": 1.5, "n_sweeps": 4000, "burn_in": 50, "n_replicas": 10, "order": order, "rule": rule}
    by_counts = simulate_classes(rows, counts, start="random", dynamics="serial", random_state=0, **how)
    by_spins = model.simulate("random", engine="overlaps", **how)
    for trace in (by_counts, by_spins):
        assert (abs(trace.m2[0] - exact) < 5 * trace.m2_error[0]).all()
    assert abs(by_counts.energy[0] - by_spins.energy[0]) < 5 * (by_counts.energy_error[0] + by_spins.energy_error[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"counts": [5, -1]}, "counts has shape"),
        ({"counts": [5.0, 1.0]}, "counts has shape"),
        ({"counts": [0, 0]}, "counts has shape"),
        ({"counts": [2**53, 1]}, "counts has shape"),
        ({"counts": [2**32, 1], "dynamics": "serial"}, "use 'parallel'"),
        ({"values": [[0.5], [1]]}, "values has entries that are not whole"),
        ({"scale": 0.0}, "scale is 0"),
        ({"start": [6, 0]}, "start has counts outside"),
        ({"start": [1]}, "start has shape"),
        ({"order": "sequential"}, "order is 'sequential'"),
        ({"record": "states"}, "no units to place them on"),
    ],
)
def test_wrong_counts_are_named(change, words):
    arguments = {"values": [[1], [0]], "counts": [5, 4], "beta": 1.0, "n_sweeps": 2, **change}
    with pytest.raises(neuromem.InputError, match=words):
        simulate_classes(arguments.pop("values"), arguments.pop("counts"), **arguments)


@pytest.mark.parametrize(("norm", "critical"), [("none", None), ("entropy", 0.6), ("unit", 1.0)])
def test_critical_temperature_of_each_norm(norm, critical):
    patterns = sample_patterns(1, 40_000, 0.4, random_state=1)
    examples = sample_examples(patterns, 4, 0.6, random_state=2)[0]
    model = MultitaskingHebbian(learning="supervised", quality=0.6, norm=norm).fit(examples, np.zeros(4, int))
    rho = (1 - 0.36) / (4 * 0.36)
    critical = critical or 0.6 * (1 + rho)
    trace = model.simulate(
        beta=[1 / (0.85 * critical), 1 / (1.15 * critical)], n_sweeps=300, burn_in=100, dynamics="parallel", record="m"
    )
    assert trace.m[0, 0] > 0.2 and abs(trace.m[1, 0]) < 0.05


# ---------------------------------------------------------------- draws and chances


@jit
def many_binomials(n, p, q, draws, out):
    for i in range(out.shape[0]):
        u = (float(draws[i, 0] >> 5) * 67108864.0 + float(draws[i, 1] >> 6)) * 2.0**-53
        v = (float(draws[i, 2] >> 5) * 67108864.0 + float(draws[i, 3] >> 6)) * 2.0**-53
        out[i] = binomial(n, p, q, u, v, np.uint32(i), np.uint32(0), np.uint32(0), np.uint32(8), np.uint32(9))


def binomials(n, p, size, q=None):
    counters = np.zeros((size, 4), np.uint32)
    counters[:, 0] = np.arange(size)
    draws = plain_philox(counters, [8, 9]).astype(np.int64)
    out = np.zeros(size, np.int64)
    many_binomials(np.int64(n), float(p), float(1 - p if q is None else q), draws, out)
    return out


def log_factorials(n):
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


@pytest.mark.parametrize("p", [1e-3, 0.02, 0.3, 0.5, 0.9, 0.9995])
@pytest.mark.parametrize("n", [1, 2, 7, 19, 20, 33, 100, 1500])
def test_binomials_have_their_law(n, p):
    size = 40_000
    found = binomials(n, p, size)
    logs = log_factorials(n)
    k = np.arange(n + 1)
    expected = size * np.exp(logs[n] - logs - logs[::-1] + k * np.log(p) + (n - k) * np.log1p(-p))
    assert found.min() >= 0 and found.max() <= n
    counts = np.bincount(found, minlength=n + 1)
    rare = expected < 8
    if rare.any():
        counts, expected = (np.append(v[~rare], v[rare].sum()) for v in (counts, expected))
    statistic = ((counts - expected) ** 2 / np.maximum(expected, 1)).sum()
    degrees = max(1, len(counts) - 1)
    assert statistic < degrees + 5 * (2 * degrees) ** 0.5


@pytest.mark.parametrize(("n", "p"), [(10**9, 1e-9), (10**9, 0.3), (10**12, 1e-11), (10**15, 0.7), (50, 0.2)])
def test_binomials_of_any_size_have_mean_variance_and_skewness(n, p):
    size = 100_000
    found = binomials(n, p, size)
    z = (found - n * p) / (n * p * (1 - p)) ** 0.5
    skew, excess = (1 - 2 * p) / (n * p * (1 - p)) ** 0.5, 1 / (n * p * (1 - p))
    assert abs(z.mean()) < 5 / size**0.5
    assert abs(z.var() - 1) < 5 * ((2 + excess) / size) ** 0.5
    assert abs((z**3).mean() - skew) < 5 * ((15 + 100 * excess) / size) ** 0.5


@pytest.mark.parametrize(("n", "p"), [(2**33, 0.5), (10**10, 0.3), (10**15, 0.7), (4000, 0.3)])
def test_binomials_are_those_of_the_plain_form_at_any_size(n, p):
    counters = [(i, 0, 0) for i in range(600)]
    plain = [reference_dynamics.binomial(n, p, 1 - p, counter, [8, 9]) for counter in counters]
    assert binomials(n, p, len(counters)).tolist() == plain


def test_binomials_at_the_ends():
    assert (binomials(100, 0.0, 10) == 0).all() and (binomials(100, 1.0, 10) == 100).all() and (binomials(0, 0.5, 10) == 0).all()
    assert (binomials(10**9, 1e-300, 100, q=1.0) == 0).all() and (binomials(10**9, 1.0, 100, q=1e-300) == 10**9).all()


@pytest.mark.jit_off
def test_bounds_hold_their_thresholds():
    y = np.random.default_rng(0).uniform(-Y_LARGEST, Y_LARGEST, 4000)
    cell = ((y + Y_LARGEST) * CELLS_PER_Y).astype(int)
    for metropolis in (0, 1):
        exact = np.array([flip_threshold(value, metropolis) for value in y])
        assert (BOUNDS[metropolis, cell, 0] <= exact).all() and (exact <= BOUNDS[metropolis, cell, 1]).all()
        chance = np.minimum(1, np.exp(-y)) if metropolis else 1 / (1 + np.exp(y))
        assert abs(exact - 2.0**32 * chance).max() <= 1.01


@pytest.mark.jit_off
def test_the_fast_exponential_has_the_bits_of_the_other():
    y = np.concatenate([np.random.default_rng(0).uniform(-700, 700, 2000), [0.0, -700.0, 700.0, 1e-300]])
    assert [fast_exp(value) for value in y] == exp64(y).tolist()
    assert uniform53([0], [0])[0] == 0


# ---------------------------------------------------------------- the same for any threads, tasks and processes

SAME = """
import hashlib, sys
import numpy as np
import neuromem
from neuromem.hopfield import MultitaskingHebbian, sample_patterns

model = MultitaskingHebbian(random_state=0).fit(sample_patterns(3, 700, 0.4, random_state=0))
cues = 2 * np.random.default_rng(0).integers(0, 2, (9, 700)) - 1
seen = set()
for n_threads in (1, 2, 8):
    with neuromem.threads(n_threads):
        digest = hashlib.sha256()
        for how in ({}, {"engine": "dense"}, {"engine": "classes"}, {"dynamics": "parallel"},
                    {"dynamics": "parallel", "engine": "bits"}, {"dynamics": "parallel", "engine": "overlaps"}):
            common = {"beta": [3.0, 5.0, np.inf], "n_replicas": 3, "n_sweeps": 6, "record": ("series", "states")}
            trace = model.simulate("random", **common, **how)
            for array in (trace.series, trace.states, trace.energies):
                digest.update(array.tobytes())
        whole = model.read(cues).values
        parts = np.concatenate([model.read(cues[i : i + 2]).values for i in range(0, 9, 2)])
        assert np.array_equal(whole, parts)
        digest.update(whole.tobytes())
    seen.add(digest.hexdigest())
assert len(seen) == 1, seen
print("equal")
"""


def test_results_are_the_same_for_any_number_of_threads(tmp_path):
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("NUMBA_DISABLE_JIT=1: nothing runs in threads")
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "8"}
    done = subprocess.run([sys.executable, "-c", SAME], cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout == "equal\n", done.stdout + done.stderr


def test_tasks_on_an_executor_give_the_bits_of_one_process(tmp_path):
    model = MultitaskingHebbian(random_state=0).fit(sample_patterns(3, 300, 0.4, random_state=0))
    seen = []
    for how in ({}, {"dynamics": "parallel"}, {"dynamics": "parallel", "engine": "bits"}):
        common = {"beta": [3.0, 5.0], "n_replicas": 2, "n_sweeps": 4, "record": ("series", "m2", "energy"), **how}
        here = model.simulate("random", **common)
        with ThreadPoolExecutor(2) as pool:
            there = model.simulate("random", executor=pool, folder=tmp_path, progress=lambda *n: seen.append(n), **common)
        again = model.simulate("random", folder=tmp_path, **common)
        for other in (there, again):
            assert np.array_equal(here.series, other.series) and np.array_equal(here.m2, other.m2)
            assert np.array_equal(here.energy, other.energy)
    assert seen[-1] == (4, 4)


def test_a_million_units_are_read_within_64_megabytes():
    patterns = sample_patterns(5, 1_000_000, 0.4, random_state=0)
    model = MultitaskingHebbian(random_state=0).fit(patterns)
    for dynamics in ("serial", "parallel"):
        model._forget_derived()
        tracemalloc.start()
        recall = model.read(patterns[:1], dynamics=dynamics)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64e6
        assert recall.ids[0, 0] == 0 and recall.info["converged"][0]
    assert model.nbytes < 6e6


def test_cycles_of_two_are_found():
    # two units that pull each other: in parallel they swap for ever, one by one they settle
    pair = MultitaskingHebbian(random_state=0).fit([[1, 1]])
    recall = pair.read([[1, -1]], dynamics="parallel")
    assert recall.info["cycle_length"].tolist() == [2] and recall.info["converged"].all()
    for engine in ("bits", "dense", "overlaps"):
        other = pair.read([[1, -1]], dynamics="parallel", engine=engine)
        assert np.array_equal(other.info["cycle_length"], recall.info["cycle_length"])
        assert np.array_equal(other.info["sweeps"], recall.info["sweeps"])
    assert pair.read([[1, -1]]).info["cycle_length"].tolist() == [1]
