"""Closed forms of multitasking networks: tabulated digits, and the solver as an independent oracle."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from neuromem.errors import InputError, InputTypeError
from neuromem.hopfield import (
    RowLaw,
    critical_dilution,
    critical_temperature,
    dataset_entropy,
    graded_majority_amplitudes,
    hierarchical_amplitudes,
    learning_threshold,
    most_patterns_at_once,
    pure_state_temperature,
    required_examples,
    solve,
    symmetric_temperature,
)
from neuromem.hopfield.closed_forms import EQUAL_ENERGY_DILUTION, MEETING_POINT, coupling_scale, symmetric_window
from neuromem.hopfield.learning import one_pattern_overlap
from neuromem.hopfield.theory import amplitudes_at_entropies, free_energy, stability

GOLDEN = Path(__file__).parent / "golden" / "hopfield"
THEORY = json.loads((GOLDEN / "golden_theory.json").read_text())
THRESHOLDS = json.loads((GOLDEN / "golden_learning_T0.json").read_text())
INF = math.inf


# ---------------------------------------------------------------- zero temperature


@pytest.mark.parametrize("n_patterns", [1, 2, 3, 4, 5, 6])
def test_hierarchical_amplitudes_and_their_energy(n_patterns):
    d = 0.37
    m = hierarchical_amplitudes(n_patterns, d)
    np.testing.assert_allclose(m, [(1 - d) * d**k for k in range(n_patterns)], rtol=1e-15)
    assert m.sum() == pytest.approx(1 - d**n_patterns, abs=1e-15)
    law = RowLaw.storing(n_patterns, d)
    np.testing.assert_allclose(solve(law, INF).m, m, atol=1e-16)
    energy = -(1 - d) * (1 - d ** (2 * n_patterns)) / (2 * (1 + d))
    assert free_energy(law, m, INF) == pytest.approx(energy, abs=1e-15)
    free = law.weights[abs(law.values @ m) < 1e-14].sum()
    assert free == pytest.approx(d**n_patterns, abs=1e-15)


def test_critical_dilutions_to_all_digits():
    for n_patterns, wanted in THEORY["d_c_local"].items():
        assert critical_dilution(int(n_patterns)) == pytest.approx(wanted, abs=2e-12)
    for n_patterns in range(3, 13):
        d = critical_dilution(n_patterns)
        assert 1 - 2 * d + d**n_patterns == pytest.approx(0, abs=1e-15)
    assert critical_dilution(3) == pytest.approx((math.sqrt(5) - 1) / 2, abs=1e-15)
    assert critical_dilution(1) == critical_dilution(2) == 1.0
    assert critical_dilution(60) == pytest.approx(0.5, abs=1e-15)


def test_graded_majority_crosses_the_hierarchy_in_energy():
    assert EQUAL_ENERGY_DILUTION == pytest.approx(0.5469181606780272, abs=1e-15)
    assert EQUAL_ENERGY_DILUTION == pytest.approx(THEORY["d_energy_crossing_K3"], abs=1e-15)
    for d in (0.1, 0.5, EQUAL_ENERGY_DILUTION, 0.6, 0.9):
        graded, hierarchical = graded_majority_amplitudes(d), hierarchical_amplitudes(3, d)
        law = RowLaw.storing(3, d)
        np.testing.assert_allclose(solve(law, INF, graded).m, graded, atol=1e-15)
        energies = [-(m @ m) / 2 for m in (graded, hierarchical)]
        assert free_energy(law, graded, INF) == pytest.approx(energies[0], abs=1e-15)
        if d < critical_dilution(3):
            assert free_energy(law, hierarchical, INF) == pytest.approx(energies[1], abs=1e-15)
        assert np.sign(np.round(energies[0] - energies[1], 14)) == np.sign(np.round(EQUAL_ENERGY_DILUTION - d, 14))


def test_number_of_patterns_grows_with_the_logarithm_of_size():
    for n_units in (10**3, 10**5, 10**9):
        for d in (0.2, 0.5, 0.8):
            found = most_patterns_at_once(n_units, d, z=2.0)
            amplitudes = hierarchical_amplitudes(found + 1, d)
            assert amplitudes[found - 1] >= 2 / math.sqrt(n_units) > amplitudes[found]
    assert most_patterns_at_once(10**6, 0.0) == 1
    assert most_patterns_at_once(3, 0.9) == 0


# ---------------------------------------------------------------- temperatures


def test_critical_temperature_of_three_norms_is_where_the_solver_loses_the_pattern():
    d, r, n_examples = 0.3, 0.5, 4
    rho = dataset_entropy(r, n_examples)
    assert rho == pytest.approx(0.75)
    for norm, wanted in (("entropy", 0.7), ("none", 0.7 * 1.75), ("unit", 1.0)):
        assert critical_temperature(d, rho, norm) == pytest.approx(wanted, rel=1e-15)
        assert coupling_scale(d, rho, norm) * 0.7 * 1.75 == pytest.approx(wanted, rel=1e-15)
        for method in ("exact", "gaussian"):
            law = RowLaw.supervised(2, d, r, n_examples, norm=norm, method=method)
            assert stability(law, [0, 0], 1 / wanted) == pytest.approx(1, abs=1e-13)
            assert solve(law, 1 / (0.999 * wanted)).m[0] > 1e-3
            assert abs(solve(law, 1 / (1.001 * wanted)).m).max() < 1e-12
    assert stability(RowLaw.storing(2, d, norm="unit"), [0, 0], 1.0) == pytest.approx(1, abs=1e-14)


def test_temperature_of_the_second_pattern():
    for d, wanted in THEORY["T2_pure_to_hier"].items():
        assert pure_state_temperature(float(d)) == pytest.approx(wanted, abs=5e-11)
    assert pure_state_temperature(0.0) == 0.0 and math.isnan(pure_state_temperature(MEETING_POINT[0]))
    assert pure_state_temperature(1e-3) == pytest.approx(1e-3 * (1 - 1e-3), rel=1e-9)
    assert pure_state_temperature(0.6666) == pytest.approx(1 / 3, abs=1e-3)
    for d in (0.2, 0.5):  # the solver's second pattern comes and goes there
        law, T = RowLaw.storing(3, d), pure_state_temperature(d)
        assert solve(law, 1 / (T * 1.001), "hierarchical").m[1] < 1e-9
        assert solve(law, 1 / (T * 0.999), "hierarchical").m[1] > 1e-3


def test_pure_states():
    for case in THEORY["pure_state"]:
        law, beta = RowLaw.storing(1, case["d"]), 1 / case["T"]
        m = solve(law, beta).m[0]
        assert m == pytest.approx(case["m"], abs=1e-11)
        q = math.tanh(beta * m) ** 2  # transverse eigenvalue
        two = RowLaw.storing(2, case["d"])
        along = beta * (1 - case["d"]) * (1 - q)
        across = beta * (1 - case["d"]) * (1 - (1 - case["d"]) * q)
        assert stability(two, [m, 0], beta) == pytest.approx(max(along, across), abs=1e-11)


def test_symmetric_temperatures():
    for n_patterns, table in THEORY["Ts_over_1md"].items():
        for d, wanted in table.items():
            assert symmetric_temperature(int(n_patterns), float(d)) / (1 - float(d)) == pytest.approx(wanted, abs=1.1e-6)
    for n_patterns, wanted in ((2, (0.3728, 0.9746)), (3, (0.4092, 0.9607)), (5, (0.4226, 0.9304))):
        np.testing.assert_allclose(np.array(symmetric_window(n_patterns, 0.66)) / 0.34, wanted, atol=6e-5)
    low, high = symmetric_window(3, 0.7)
    assert high == pytest.approx(0.3, abs=1e-15) and low < high
    assert math.isnan(symmetric_temperature(2, 0.3))
    assert symmetric_temperature(2, 0.99) == pytest.approx(1e-4, rel=1e-6)  # (1 - d)^2


def test_symmetric_states():
    for case in THEORY["symmetric"]:
        law, beta, n_patterns = RowLaw.storing(case["K"], case["d"]), 1 / case["T"], case["K"]
        state = np.full(n_patterns, case["m"])
        assert stability(law, state, beta) == pytest.approx(case["jac"][-1], abs=1e-9)
        found = solve(law, beta, "symmetric")
        if case["jac"][-1] < 1:
            np.testing.assert_allclose(found.m, state, atol=1e-11)
            assert case["T"] > symmetric_temperature(n_patterns, case["d"])
        else:
            assert abs(found.m - state).max() > 1e-3 and found.stable
            assert case["T"] < symmetric_temperature(n_patterns, case["d"])


@pytest.mark.parametrize("n_patterns", [2, 3, 5])
def test_near_the_critical_temperature_one_pattern_or_all(n_patterns):
    for d, active in ((MEETING_POINT[0] - 0.02, 1), (MEETING_POINT[0] + 0.02, n_patterns)):
        m = solve(RowLaw.storing(n_patterns, d), 1 / (0.999 * (1 - d))).m
        assert (m > 1e-3).sum() == active
        assert np.ptp(m[:active]) < 1e-9


# ---------------------------------------------------------------- learning


def test_one_pattern_learned_at_zero_temperature():
    for r, n_examples in ((0.3, 15), (0.5, 8), (1.0, 3), (0.2, 1)):
        exact = one_pattern_overlap(0.2, r, n_examples)
        right = (1 + r) / 2
        more = 0.0
        for k in range(n_examples + 1):
            chance = math.comb(n_examples, k) * right**k * (1 - right) ** (n_examples - k)
            more += chance * ((2 * k > n_examples) + (2 * k >= n_examples))
        assert exact == pytest.approx(0.8 * (more - 1), abs=1e-13)
        assert solve(RowLaw.supervised(1, 0.2, r, n_examples), INF).m[0] == pytest.approx(exact, abs=1e-13)
        gauss = one_pattern_overlap(0.2, r, n_examples, "gaussian")
        assert solve(RowLaw.supervised(1, 0.2, r, n_examples, method="gaussian"), INF).m[0] == pytest.approx(gauss, abs=1e-13)
    assert one_pattern_overlap(0.5, 0.05, 100_001) == pytest.approx(one_pattern_overlap(0.5, 0.05, 100_001, "gaussian"), abs=1e-5)


@pytest.mark.parametrize("case", THRESHOLDS, ids=lambda c: f"K{c['K']}-d{c['d']}")
def test_learning_thresholds(case):
    assert learning_threshold(case["K"], case["d"]) == pytest.approx(case["rho_c"], abs=1e-12)


def test_learning_thresholds_converge_with_the_step():
    fine = learning_threshold(2, 0.3, step=1e-3)
    assert 0.355 <= fine < 0.36
    around = amplitudes_at_entropies(2, 0.3, [fine, fine + 1e-3])[:, 0] / 0.7
    assert around[0] >= math.erf(math.sqrt(0.5)) > around[1]


def test_required_examples():
    assert [required_examples(1, 0.3, r) for r in (0.1, 0.2, 0.4)] == [99, 24, 6]
    assert [required_examples(3, 0.5, r) for r in (0.1, 0.2, 0.4)] == [660, 160, 35]
    assert required_examples(1, 0.3, 1.0) == 1
    for r in (0.1, 0.4):  # one example fewer fails, at equal entropy steps
        needed = required_examples(1, 0.3, r)
        assert dataset_entropy(r, needed) <= 1 + 1e-12 < dataset_entropy(r, needed - 1)


def test_past_the_threshold_the_hierarchy_melts():
    before, after = amplitudes_at_entropies(2, 0.3, [0.05, 0.8])
    assert before[0] - before[1] > 0.4 and abs(after[0] - after[1]) < 1e-9 and after[0] > 0.2


# ---------------------------------------------------------------- hostile input

HOSTILE = [
    (lambda: hierarchical_amplitudes(0, 0.3), InputError, "n_patterns is 0"),
    (lambda: hierarchical_amplitudes(2, 1.0), InputError, "dilution is 1.0"),
    (lambda: critical_dilution(2.5), InputTypeError, "n_patterns is 2.5"),
    (lambda: graded_majority_amplitudes(-0.1), InputError, "dilution is -0.1"),
    (lambda: most_patterns_at_once(0, 0.5), InputError, "n_units is 0"),
    (lambda: most_patterns_at_once(10, 0.5, z=0), InputError, "z is 0"),
    (lambda: critical_temperature(0.5, -1.0), InputError, "entropy is -1.0"),
    (lambda: critical_temperature(0.5, 0.0, "half"), InputError, "norm is 'half'"),
    (lambda: pure_state_temperature(math.nan), InputError, "dilution is nan"),
    (lambda: symmetric_temperature(1, 0.5), InputError, "n_patterns is 1"),
    (lambda: dataset_entropy(0.0, 5), InputError, "quality is 0.0"),
    (lambda: dataset_entropy(1.1, 5), InputError, "quality is 1.1"),
    (lambda: dataset_entropy(0.5, 0), InputError, "n_examples is 0"),
    (lambda: one_pattern_overlap(0.5, 0.5, 5, "both"), InputError, "method is 'both'"),
    (lambda: learning_threshold(14, 0.5), InputError, "14 patterns has 4782969 rows"),
    (lambda: learning_threshold(2, 0.5, step=0.0), InputError, "step is 0.0"),
    (lambda: required_examples(3, 0.5, 0.4, step=0.5), InputError, "already the first entropy fails"),
    (lambda: amplitudes_at_entropies(2, 0.5, [-1.0]), InputError, "entropies has shape"),
]


@pytest.mark.parametrize(("call", "error", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
