"""Exact theory: golden solutions, equations against independent forms, basins, limits, sweeps, hostile input."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuromem.errors import ConvergenceWarning, InputError, InputTypeError, NeuromemWarning
from neuromem.hopfield import RowLaw, attractors, hierarchical_amplitudes, kernels, phase_diagram, plots, solve
from neuromem.hopfield import reference_theory as reference
from neuromem.hopfield.closed_forms import EQUAL_ENERGY_DILUTION, graded_majority_amplitudes
from neuromem.hopfield.row_law import ROW_LIMIT
from neuromem.hopfield.theory import fluctuations, free_energy, mean_field_step, stability
from neuromem.kernel_registry import kernel_rows
from neuromem.random import generator_for, seed_sequence_of

GOLDEN = Path(__file__).parent / "golden" / "hopfield"
STORED = json.loads((GOLDEN / "golden_storing.json").read_text())
LEARNED = json.loads((GOLDEN / "golden_examples.json").read_text())
THEORY = json.loads((GOLDEN / "golden_theory.json").read_text())
INF = math.inf


def law_of(case, method):
    return RowLaw.supervised(case["K"], case["d"], case["r"], case["M"], method=method)


# ---------------------------------------------------------------- row laws


@pytest.mark.parametrize("n_examples", [1, 2, 5])
def test_law_of_examples_has_the_moments_of_the_model(n_examples):
    d, r, n_patterns = 0.3, 0.4, 2
    law = RowLaw.supervised(n_patterns, d, r, n_examples)
    rho = (1 - r * r) / (n_examples * r * r)
    assert law.method == "exact" and law.values.shape == ((2 * n_examples + 3) ** n_patterns, n_patterns)
    assert law.weights.sum() == pytest.approx(1, abs=1e-14)
    for row in np.unique(law.truth, axis=0):  # the mean of the values is the truth
        mine = (law.truth == row).all(axis=1)
        np.testing.assert_allclose(law.weights[mine] @ law.values[mine] / law.weights[mine].sum(), row, atol=1e-14)
    np.testing.assert_allclose(law.weights @ law.values**2 / (1 - d), 1 + rho, rtol=1e-13)
    np.testing.assert_allclose(law.scale, 1 / (1 + rho), rtol=1e-14)
    np.testing.assert_allclose(law.dilution, d, rtol=1e-14)


def test_perfect_examples_are_the_patterns():
    exact = solve(RowLaw.supervised(3, 0.4, 1.0, 1), 10.0)
    stored = solve(RowLaw.storing(3, 0.4), 10.0)
    np.testing.assert_allclose(exact.m, stored.m, atol=1e-13)
    np.testing.assert_allclose(exact.n, stored.n, atol=1e-13)


def test_exact_law_nears_the_gaussian_one_as_one_over_the_number_of_examples():
    errors = []
    for n_examples in (10, 40, 160):  # at entropy 1/2
        quality = 1 / math.sqrt(1 + n_examples / 2)
        found = [solve(RowLaw.supervised(1, 0.3, quality, n_examples, method=how), 3.0).m[0] for how in ("exact", "gaussian")]
        errors.append(abs(found[0] - found[1]))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.3) and errors[1] / errors[2] == pytest.approx(4, rel=0.3)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_channel_is_what_counting_examples_gives(symmetric):
    channel = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.1, 0.2, 0.7]])
    if not symmetric:
        channel[2] = [0.0, 0.4, 0.6]
    law = RowLaw.supervised(1, 0.4, 0.6, 3, channel=channel)
    rng = np.random.default_rng(0)
    n = 200_000
    xi = rng.choice([-1, 0, 1], n, p=[0.3, 0.4, 0.3])
    eta = np.stack([(rng.random(n)[:, None] > np.cumsum(channel[xi + 1], axis=1)).sum(axis=1) - 1 for _ in range(3)])
    means = eta.sum(axis=0) / (3 * 0.6)
    for power in (1, 2):
        spread = 6 * (means**power).std() / math.sqrt(n)
        assert law.weights @ law.values[:, 0] ** power == pytest.approx((means**power).mean(), abs=spread)
        crossed = means**power * xi
        assert law.weights @ (law.values[:, 0] ** power * law.truth[:, 0]) == pytest.approx(
            crossed.mean(), abs=6 * crossed.std() / math.sqrt(n)
        )
    assert law.scale[0] == pytest.approx(0.6 / (law.weights @ law.values[:, 0] ** 2))  # so that T_c = 1 - d
    assert law.exchangeable == symmetric
    noiseless = RowLaw.supervised(2, 0.4, 1.0, 2, channel=np.eye(3))
    np.testing.assert_allclose(solve(noiseless, 8.0).m, solve(RowLaw.storing(2, 0.4), 8.0).m, atol=1e-13)


def test_empirical_law_takes_rows_one_by_one_or_counted():
    rng = np.random.default_rng(1)
    rows = rng.choice([-1, 0, 1], (500, 3), p=[0.3, 0.4, 0.3]).astype(np.int8)
    law = RowLaw.empirical(rows)
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    np.testing.assert_array_equal(law.values, distinct)
    np.testing.assert_array_equal(law.weights, counts / 500)
    again = RowLaw.empirical(distinct, counts=counts)
    assert solve(again, 5.0).m.tolist() == solve(law, 5.0).m.tolist()
    means = rows * rng.choice([0.5, 1.5], rows.shape)
    learned = RowLaw.empirical(means, rows, scale=[0.7, 0.8, 0.9])
    n = solve(learned, 5.0)
    fields = np.tanh(5.0 * means @ (learned.scale * n.n))
    np.testing.assert_allclose(n.n, fields @ means / 500, atol=1e-12)
    np.testing.assert_allclose(n.m, fields @ rows / 500, atol=1e-12)


def test_qualities_and_numbers_of_examples_may_differ_between_patterns():
    law = RowLaw.supervised(2, 0.3, [0.5, 0.9], [4, 2])
    for k, (r, m) in enumerate([(0.5, 4), (0.9, 2)]):
        one = RowLaw.supervised(1, 0.3, r, m)
        assert law.weights @ law.values[:, k] ** 2 == pytest.approx(float(one.weights @ one.values[:, 0] ** 2))
        assert law.scale[k] == pytest.approx(one.scale[0])
    assert solve(law, 1 / 0.699).m.max() > 0 and abs(solve(law, 1 / 0.701).m).max() < 1e-9  # T_c = 1 - d all the same
    assert not law.exchangeable and RowLaw.supervised(2, 0.3, 0.5, 4).exchangeable


# ---------------------------------------------------------------- golden solutions


@pytest.mark.parametrize("case", STORED, ids=lambda c: f"K{c['K']}-d{c['d']}")
def test_golden_solutions_of_stored_patterns(case):
    found = solve(RowLaw.storing(case["K"], case["d"]), case["beta"])
    np.testing.assert_allclose(found.m, case["m"], atol=1e-12)
    np.testing.assert_allclose(found.m, found.n, atol=1e-12)
    assert found.free_energy == pytest.approx(case["f"], abs=1e-14)
    assert found.stability == pytest.approx(case["jac_max"], abs=1e-11)
    assert found.converged and found.stable and found.iterations < 25 and found.method == "storing"


@pytest.mark.parametrize("case", LEARNED, ids=lambda c: f"K{c['K']}-d{c['d']}-r{c['r']}-M{c['M']}")
def test_golden_solutions_of_examples(case):
    exact, gauss = (solve(law_of(case, method), 1 / case["T"]) for method in ("exact", "gaussian"))
    np.testing.assert_allclose(exact.m, case["m_exact"], atol=1e-11)
    np.testing.assert_allclose(exact.n, case["n_exact"], atol=1e-11)
    # the golden Gaussian values are Gauss-Hermite sums: good to 2e-5 here; the sharper oracle is the next test
    np.testing.assert_allclose(gauss.m, case["m_gauss"], atol=2e-5)
    np.testing.assert_allclose(gauss.n, case["n_gauss"], atol=2e-5)
    assert (exact.method, gauss.method) == ("exact", "gaussian")


@pytest.mark.parametrize("case", LEARNED, ids=lambda c: f"K{c['K']}-d{c['d']}-r{c['r']}-M{c['M']}")
def test_gaussian_solutions_solve_the_equations_on_a_fine_grid(case):
    law = law_of(case, "gaussian")
    found = solve(law, 1 / case["T"])
    rows, sums, slopes = law.folded, np.zeros(case["K"]), np.zeros((case["K"], case["K"]))
    n = found.n * np.sqrt(law.scale)
    reference.row_sums(rows.values, rows.weights, law.noise, n, found.beta, sums, slopes)
    np.testing.assert_allclose(sums, n, atol=1e-12)
    assert np.linalg.eigvalsh(slopes)[-1] == pytest.approx(found.stability, abs=1e-10)
    # equation (2): n = m + beta c rho n E[X^2 (1 - tanh^2)]
    steps = np.zeros((len(rows.values), 4))
    reference.row_steps(rows.values, law.noise, n, found.beta, steps)
    spread = (rows.weights * steps[:, 1]) @ rows.truth**2
    np.testing.assert_allclose(found.n, found.m + law.scale * law.noise * found.n * spread, atol=1e-12)


def test_small_samples_can_pick_another_attractor_than_their_gaussian_limit():
    exact, gauss = (solve(RowLaw.supervised(3, 0.3, 0.5, 8, method=m), 1 / 0.14).m for m in ("exact", "gaussian"))
    np.testing.assert_allclose(exact, [0.4829, 0.2864, 0.1732], atol=5e-5)
    np.testing.assert_allclose(gauss, [0.3683, 0.3683, 0.2529], atol=5e-5)


def test_solution_does_not_depend_on_labels():
    # order parameters of single examples, all equal, obey the same equations: sum over the 2^(K M) examples of one unit
    law = RowLaw.supervised(2, 0.3, 0.4, 3)
    found = solve(law, 5.0)
    per_example = np.repeat(found.n, 3)  # n of (mu, a)
    symbols = np.array([0, -1, 1])
    total = np.zeros(6)
    for xi in np.ndindex(3, 3):
        for chi in np.ndindex(*[2] * 6):
            signs = np.array(chi) * 2 - 1
            x = np.repeat(symbols[list(xi)], 3)
            weight = np.prod(np.where(symbols[list(xi)] == 0, 0.3, 0.35)) * np.prod(np.where(signs > 0, 0.7, 0.3))
            field = 5.0 * law.scale[0] / 3 * (x * signs / 0.4) @ per_example
            total += weight * x * signs / 0.4 * math.tanh(field)
    np.testing.assert_allclose(total, per_example, atol=1e-11)


# ---------------------------------------------------------------- derivatives, limits


@pytest.mark.parametrize("law", [RowLaw.storing(3, 0.4), RowLaw.supervised(2, 0.3, [0.4, 0.6], 5)], ids=["stored", "exact"])
@pytest.mark.parametrize("method", ["as it is", "gaussian"])
def test_derivatives_of_the_free_energy(law, method):
    if method == "gaussian":
        law = RowLaw.supervised(law.n_patterns, 0.3, 0.4, 5, method="gaussian")
    beta, n, c = 4.0, np.array([0.5, 0.2, 0.1])[: law.n_patterns], law.scale
    h = 1e-4

    def shifted(j, sign):
        return n + sign * h * (np.arange(len(n)) == j)

    def slopes_of(function):
        return np.array(
            [(function(law, shifted(j, 1), beta) - function(law, shifted(j, -1), beta)) / (2 * h) for j in range(len(n))]
        )

    np.testing.assert_allclose(slopes_of(free_energy), c * (n - mean_field_step(law, n, beta)), atol=1e-7)
    slopes = slopes_of(mean_field_step).T * np.sqrt(c)[:, None] / np.sqrt(c)  # in units where the slopes are symmetric
    np.testing.assert_allclose(slopes, slopes.T, atol=1e-6)
    assert np.linalg.eigvalsh((slopes + slopes.T) / 2)[-1] == pytest.approx(stability(law, n, beta), abs=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("beta", [0.5, 3.0, 30.0, 1e4, INF])
def test_kernels_agree_with_plain_forms_at_any_temperature(noise, beta):
    law = RowLaw.storing(3, 0.35)
    rows, rho, n = law.folded, np.array([noise, 2 * noise, 0.0]), np.array([0.5, 0.3, 0.1])
    found, wanted = np.zeros((len(rows.values), 4)), np.zeros((len(rows.values), 4))
    kernels.row_steps(rows.values, rho, n, beta, found)
    reference.row_steps(rows.values, rho, n, beta, wanted)
    if beta == 1e4:  # the plain grid is too coarse for so steep a step; it is almost infinitely steep
        reference.row_steps(rows.values, rho, n, INF, wanted)
        keep = (rows.values * n) ** 2 @ rho > 0
        np.testing.assert_allclose(found[keep], wanted[keep], atol=1e-4)
    else:
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_steep_gaussian_forms_tend_to_zero_temperature_without_a_jump():
    law = RowLaw.supervised(2, 0.3, 0.4, 20, method="gaussian")
    limit = solve(law, INF).m
    errors = [abs(solve(law, beta).m - limit).max() for beta in (1e2, 1e3, 1e4, 1e6)]
    assert all(b < a for a, b in zip(errors, errors[1:], strict=False)) and errors[-1] < 1e-9
    one = RowLaw.supervised(1, 0.3, 0.2, 24, method="gaussian")  # entropy 1: the threshold of one pattern
    assert solve(one, INF).m[0] == pytest.approx(0.7 * math.erf(math.sqrt(0.5)), abs=1e-14)
    assert solve(one, 1e8).m[0] == pytest.approx(0.7 * math.erf(math.sqrt(0.5)), abs=1e-9)


def test_no_noise_and_infinite_noise():
    law = RowLaw.storing(4, 0.45)
    np.testing.assert_allclose(solve(law, INF).m, hierarchical_amplitudes(4, 0.45), atol=1e-16)
    assert solve(law, INF).stability == 0
    hot = solve(law, 0)
    assert not hot.m.any() and hot.free_energy == -INF and hot.converged
    assert solve(law, 1e-6).free_energy == pytest.approx(-math.log(2) * 1e6)


# ---------------------------------------------------------------- basins


@pytest.mark.parametrize("n_patterns", [2, 3, 4])
def test_solutions_are_those_that_plain_iteration_reaches(n_patterns):
    rng = np.random.default_rng(n_patterns)
    for d in (0.15, 0.45, 0.6, 0.8):
        law = RowLaw.storing(n_patterns, d)
        rows, none = law.folded, np.zeros(n_patterns)
        for share in (0.18, 0.5, 0.9):
            beta = 1 / (share * (1 - d))
            start = rng.normal(size=n_patterns) * (1 - d)
            found = solve(law, beta, start)
            wanted = reference.iterate(rows.values, rows.weights, none, start, beta)
            np.testing.assert_allclose(found.n, wanted, atol=1e-8)
            assert found.stable


def test_the_kernel_of_many_points_gives_what_plain_iteration_gives():
    arguments = next(row for row in kernel_rows("hopfield") if row.name == "solve_points").example()
    kernels.solve_points(*arguments)
    values, _, weights, _, noise, laws, betas, starts, _, n, slopes, energies, steps = arguments
    sums, matrix = np.zeros(3), np.zeros((3, 3))
    for p in range(len(betas)):
        here = noise[laws[p]]
        if here.any():
            reference.row_sums(values, weights[laws[p]], here, n[p], betas[p], sums, matrix)
            np.testing.assert_allclose(n[p], sums, atol=1e-11)
            assert np.linalg.eigvalsh(matrix)[-1] == pytest.approx(slopes[p], abs=1e-9)
        else:
            np.testing.assert_allclose(n[p], reference.iterate(values, weights[laws[p]], here, starts[p], betas[p]), atol=1e-9)
    assert (steps > 0).all() and (slopes < 1 + 1e-9).all() and (energies < 0).all()


@pytest.mark.parametrize("start", ["symmetric", "pure", [0.0, 0.0, 0.0], "hierarchical"])
@pytest.mark.parametrize("temperature", [0.0, 0.05, 0.2, 0.3, 0.39, 0.4, 0.41])
def test_no_start_ends_in_an_unstable_solution(start, temperature):
    law = RowLaw.storing(3, 0.6)
    found = solve(law, INF if temperature == 0 else 1 / temperature, start)
    assert found.converged and found.stable
    assert stability(law, found.n, found.beta) == pytest.approx(found.stability, abs=1e-6)
    np.testing.assert_allclose(mean_field_step(law, found.n, found.beta), found.n, atol=1e-8)
    assert (abs(found.m).max() > 1e-3) == (temperature < 0.4)


def test_equal_amplitudes_are_kept_only_where_they_are_stable():
    law = RowLaw.storing(2, 0.8)  # T_s = 0.0401
    for temperature, equal in ((0.039, False), (0.0402, True), (0.1, True)):
        m = solve(law, 1 / temperature, "symmetric").m
        assert (abs(m[0] - m[1]) < 1e-9) == equal


def test_the_hierarchy_holds_up_to_the_critical_dilution():
    for n_patterns, limit in ((3, 0.6180339887), (4, 0.5436890127), (5, 0.5187900637)):
        for d, holds in ((limit - 1e-4, True), (limit + 1e-4, False)):
            moved = abs(solve(RowLaw.storing(n_patterns, d), INF).m - hierarchical_amplitudes(n_patterns, d)).max()
            assert moved < 1e-14 if holds else moved > 1e-3


@pytest.mark.parametrize("d", [0.5, 0.55, 0.6])
def test_two_starts_two_attractors_of_three_patterns(d):
    law = RowLaw.storing(3, d)
    found = [solution.m for solution in attractors(law, INF, random_state=0)]
    both = [hierarchical_amplitudes(3, d), graded_majority_amplitudes(d)]
    wanted = both if d < EQUAL_ENERGY_DILUTION else both[::-1]  # the lower energy first
    np.testing.assert_allclose(found, wanted, atol=1e-14)
    np.testing.assert_allclose([solve(law, INF, start).m for start in both], both, atol=1e-14)


def test_attractors_are_the_same_each_time_and_falling_in_order():
    law = RowLaw.storing(3, 0.55)
    first, again = (attractors(law, 20.0, random_state=5) for _ in range(2))
    assert [a.n.tolist() for a in first] == [a.n.tolist() for a in again]
    energies = [a.free_energy for a in first]
    assert energies == sorted(energies) and all((np.diff(a.n) <= 0).all() for a in first)
    rows = np.random.default_rng(2).choice([-1, 0, 1], (400, 2))
    assert len(attractors(RowLaw.empirical(rows), 10.0, random_state=0)) > 2  # nothing is exchangeable here
    generator = generator_for(seed_sequence_of(0), "hopfield.starts")
    assert attractors(law, 20.0, 2, random_state=generator)


def test_not_converged_is_said():
    law = RowLaw.storing(3, 0.5)
    with pytest.warns(ConvergenceWarning, match="no solution within 3 evaluations"):
        found = solve(law, 1 / 0.15, max_iterations=3)
    assert not found.converged


# ---------------------------------------------------------------- fluctuations


@pytest.mark.parametrize("law", [RowLaw.storing(2, 0.3), RowLaw.supervised(2, 0.3, 0.6, 8)], ids=["stored", "exact"])
def test_parallel_fluctuations_match_simulated_counts(law):
    beta, n_units, n_chains = 10.0, 20_000, 100
    counts = np.round(n_units * law.weights).astype(int)
    counts[0] += n_units - counts.sum()
    law = RowLaw.empirical(law.values, law.truth, counts=counts, scale=law.scale)
    counts = np.round(law.weights * n_units).astype(int)
    found = solve(law, beta)
    V, X, c = law.values, law.truth, law.scale
    rng, own = np.random.default_rng(3), V**2 @ c / n_units  # every unit's own part of its field is none of its field
    up = np.round(counts * (1 + np.tanh(beta * V @ (c * found.n))) / 2).astype(int) * np.ones((n_chains, 1), int)
    seen = []
    for _ in range(1200):
        field = (2 * up - counts) @ V / n_units @ (c[:, None] * V.T)
        of_up, of_down = (1 / (1 + np.exp(-2 * beta * (field + sign * own))) for sign in (-1, 1))
        up = rng.binomial(up, of_up) + rng.binomial(counts - up, of_down)
        seen.append((2 * up - counts) @ X / n_units)
    wanted = fluctuations(law, found, "parallel")
    # 1e5 dependent draws: a standard error of 1 %; corrections of order 1 / N
    np.testing.assert_allclose(n_units * np.cov(np.concatenate(seen[100:]).T), wanted, atol=0.05 * np.diag(wanted).max())


@pytest.mark.parametrize("method", ["exact", "gaussian"])
def test_serial_fluctuations_are_the_response_to_a_field_along_a_pattern(method):
    law = RowLaw.supervised(2, 0.3, 0.6, 8, method="exact")
    beta, h = 10.0, 1e-5
    if method == "gaussian":  # the noise written out on a grid: a law of rows like any other
        law = RowLaw.supervised(2, 0.3, 0.6, 8, method="gaussian")
        z = np.linspace(-6, 6, 41)
        w = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
        grid = np.stack(np.meshgrid(z, z, indexing="ij"), axis=-1).reshape(-1, 2)
        values = (law.truth[:, None] * (1 + np.sqrt(law.noise) * grid)).reshape(-1, 2)
        written = RowLaw(
            values, np.repeat(law.truth, len(grid), axis=0), np.outer(law.weights, np.outer(w, w)).ravel(), scale=law.scale
        )
        found = solve(written, beta)
        np.testing.assert_allclose(found.m, solve(law, beta).m, atol=1e-7)
        np.testing.assert_allclose(fluctuations(law, solve(law, beta)), fluctuations(written, found), rtol=1e-5)
        law = written
    found = solve(law, beta)
    wanted = fluctuations(law, found, "serial")
    for mu in range(2):
        ends = []
        for sign in (1, -1):
            n = found.n
            for _ in range(200):
                t = np.tanh(beta * (law.values @ (law.scale * n) + sign * h * law.truth[:, mu]))
                n = (law.weights * t) @ law.values
            ends.append((law.weights * t) @ law.truth)
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * h * beta), wanted[mu], rtol=1e-4, atol=1e-6)


def test_fluctuations_of_gaussian_data_are_the_limit_of_exact_ones():
    found = []
    for method, n_examples in (("exact", 100), ("exact", 200), ("gaussian", 200)):
        quality = 1 / math.sqrt(1 + n_examples / 2)
        law = RowLaw.supervised(2, 0.3, quality, n_examples, method=method)
        found.append(fluctuations(law, solve(law, 3.0), "parallel"))
    extrapolated = 2 * found[1] - found[0]  # the error falls as 1 / M
    np.testing.assert_allclose(found[2], extrapolated, rtol=5e-3, atol=1e-4)
    law = RowLaw.storing(2, 0.3)
    assert not fluctuations(law, solve(law, INF)).any()
    np.testing.assert_allclose(fluctuations(law, solve(law, 0.0)), 0.7 * np.eye(2), atol=1e-7)
    with pytest.raises(InputError, match="below 1 was expected"):
        fluctuations(law, replace(solve(law, 2.0), stability=1.0))


# ---------------------------------------------------------------- hostile input

STORING = RowLaw.storing(2, 0.3)
HOSTILE = [
    (lambda: RowLaw.storing(0, 0.3), InputError, "n_patterns is 0"),
    (lambda: RowLaw.storing(2.0, 0.3), InputTypeError, "n_patterns is 2.0"),
    (lambda: RowLaw.storing(2, 1.0), InputError, "dilution is 1.0"),
    (lambda: RowLaw.storing(2, -0.1), InputError, "dilution is -0.1"),
    (lambda: RowLaw.storing(2, math.nan), InputError, "dilution is nan"),
    (lambda: RowLaw.storing(2, 0.3, norm="half"), InputError, "norm is 'half'"),
    (lambda: RowLaw.storing(14, 0.3), InputError, "14 patterns has 4782969 rows .1.1 GB., at most 2000000"),
    (
        lambda: RowLaw.supervised(3, 0.3, 0.5, 100, method="exact"),
        InputError,
        "has 8365427 rows .*method='gaussian'",
    ),
    (lambda: RowLaw.supervised(14, 0.3, 0.5, 100), InputError, "4782969 rows"),
    (lambda: RowLaw.supervised(2, 0.3, 0.0, 5), InputError, "quality is 0.0"),
    (lambda: RowLaw.supervised(2, 0.3, 1.5, 5), InputError, "quality is 1.5"),
    (lambda: RowLaw.supervised(2, 0.3, [0.5], 5), InputError, r"quality has shape \(1,\)"),
    (lambda: RowLaw.supervised(2, 0.3, 0.5, 0), InputError, "n_examples is 0"),
    (lambda: RowLaw.supervised(2, 0.3, 0.5, 2.5), InputTypeError, "n_examples is 2.5"),
    (lambda: RowLaw.supervised(2, 0.3, 0.5, 5, method="best"), InputError, "method is 'best'"),
    (lambda: RowLaw.supervised(2, 0.3, 0.5, 5, channel=np.eye(2)), InputError, "channel has shape"),
    (lambda: RowLaw.supervised(2, 0.3, 0.5, 5, channel=np.eye(3), method="gaussian"), InputError, "channel needs the exact law"),
    (lambda: RowLaw.supervised(3, 0.3, 0.5, 99, channel=np.eye(3)), InputError, "use fewer examples"),
    (lambda: RowLaw.empirical([[1, 0], [2, 1]]), InputError, r"rows\[1, 0\] is 2.0, -1, 0 or 1 was expected"),
    (lambda: RowLaw.empirical([[1.0, math.nan]]), InputError, "NaN"),
    (lambda: RowLaw.empirical([[1, 0], [1, 0]]), InputError, "pattern 1 is 0 at every unit"),
    (lambda: RowLaw.empirical([[0.5, 1], [1, 1]], [[1, 1]]), InputError, r"truth has shape \(1, 2\), that of rows \(2, 2\)"),
    (lambda: RowLaw.empirical([[1, 1]], counts=[1, 2]), InputError, "counts has shape"),
    (lambda: RowLaw.empirical(np.zeros((0, 2))), InputError, "minimum of 1"),
    (lambda: RowLaw([[1.0]], [[1.0]], [0.5]), InputError, "weights add up to 0.5"),
    (lambda: RowLaw([[1.0]], [[1.0, 2.0]], [1.0]), InputError, "truth has shape"),
    (lambda: RowLaw([[1.0]], [[1.0]], [1.0], scale=0.0), InputError, "scale is 0.0"),
    (lambda: solve(STORING, -1.0), InputError, "beta is -1.0"),
    (lambda: solve(STORING, math.nan), InputError, "beta is nan"),
    (lambda: solve(STORING, "cold"), InputTypeError, "beta is 'cold'"),
    (lambda: solve(STORING, 1.0, "anywhere"), InputError, "start is 'anywhere'"),
    (lambda: solve(STORING, 1.0, [1, 2, 3]), InputError, r"start has shape \(3,\)"),
    (lambda: solve(STORING, 1.0, [1, math.inf]), InputError, "finite numbers"),
    (lambda: solve(STORING, 1.0, max_iterations=0), InputError, "max_iterations is 0"),
    (lambda: attractors(STORING, 1.0, -1), InputError, "n_starts is -1"),
    (lambda: attractors(STORING, 1.0, random_state="x"), InputError, "random_state is 'x'"),
    (lambda: free_energy(STORING, [1.0], 1.0), InputError, "n has shape"),
    (lambda: fluctuations(STORING, solve(STORING, 9.0), "sideways"), InputError, "dynamics is 'sideways'"),
    (lambda: phase_diagram(2, [0.3, 1.0], [0.1]), InputError, "dilutions is 1.0"),
    (lambda: phase_diagram(2, [0.3], [-0.1]), InputError, "temperatures is -0.1"),
    (lambda: phase_diagram(2, 0.3, [0.1]), InputError, "dilutions has shape"),
    (lambda: phase_diagram(2, [0.3], [0.1], starts=[]), InputError, "starts is empty"),
    (lambda: phase_diagram(2, [0.3], [0.1], starts=["random"]), InputError, "starts is 'random'"),
    (lambda: plots.plot_attractors([]), InputError, "solutions is empty"),
]


@pytest.mark.parametrize(("call", "error", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_long_enumerations_go_over_to_the_gaussian_law():
    assert RowLaw.supervised(3, 0.3, 0.5, 61).method == "exact" and 125**3 < ROW_LIMIT
    assert RowLaw.supervised(3, 0.3, 0.5, 62).method == "gaussian"
    with pytest.warns(NeuromemWarning, match="transpose"):
        RowLaw.empirical([[1, 1, -1]])
