"""Many curves at once: the same fits as scipy's, one by one, whatever the number of threads."""

import numpy as np
import pytest
from retention_curves import N_ITEMS, TIMES, counts

import neuromem
from neuromem import ConvergenceWarning, InputError
from neuromem.retention import fit_curve, fit_many
from neuromem.retention.many_curves import FAST

T24 = np.unique(np.round(np.geomspace(1, 1e5, 24)))
LINES = {
    "exponential": lambda t, a, b: a * np.exp(-b * t),
    "exp_asymptote": lambda t, a, b, c: c + (a - c) * np.exp(-b * t),
    "power": lambda t, a, b: a * t**-b,
    "power1": lambda t, a, b: a * (1 + t) ** -b,
    "hyperbolic": lambda t, a, b: a / (1 + b * t),
    "hyper_sqrt": lambda t, a, b: a / (1 + b * np.sqrt(t)),
    "exp_sqrt": lambda t, a, b: a * np.exp(-b * np.sqrt(t)),
}
by_model = pytest.mark.parametrize("model", LINES)
by_floor = pytest.mark.parametrize("floor", [0.0, 0.5])


def simulated(model, m, floor, n=300, seed=0):
    """True parameters (m, k) whose curves fall among the times, and counts (m, T)."""
    rng = np.random.default_rng([seed, len(model)])
    a, c = rng.uniform(0.6, 0.92, m), rng.uniform(0.1, 0.35, m)
    time = 10 ** rng.uniform(1, 4, m)
    rates = {"power": rng.uniform(0.05, 0.4, m), "power1": rng.uniform(0.05, 0.4, m)}
    rate = rates.get(model, time**-0.5 if model.endswith("sqrt") else 1 / time)
    true = np.stack([a, rate, c][: 3 if model == "exp_asymptote" else 2], 1)
    p = floor + (1 - floor) * LINES[model](T24, *true.T[:, :, None])
    return true, rng.binomial(n, p)


def test_models_are_those_that_are_said():
    assert set(FAST) == set(LINES)


@by_floor
@by_model
def test_counts_give_scipy_s_fits(model, floor):
    from scipy.optimize import minimize

    n = 300
    true, k = simulated(model, 12, floor)
    found = fit_many(T24, k, n, model=model, floor=floor)
    for row, (begin, successes) in enumerate(zip(true, k, strict=True)):

        def loss(u, begin=begin, successes=successes):
            p = np.clip(floor + (1 - floor) * LINES[model](T24, *(u * begin)), 1e-9, 1 - 1e-9)
            return -(successes * np.log(p) + (n - successes) * np.log1p(-p)).sum()

        options = {"xatol": 1e-9, "fatol": 1e-10, "maxiter": 3000, "maxfev": 3000}
        best = minimize(loss, np.ones(len(begin)), method="Nelder-Mead", options=options)
        if found.at_bound[row].any():  # scipy's are not kept within bounds
            assert loss(found.parameters[row] / begin) <= best.fun + 1 or (best.x * begin)[0] > 1
            continue
        np.testing.assert_allclose(found.parameters[row], best.x * begin, rtol=1e-4)
    assert found.settled.all() and (~found.at_bound.any(1)).sum() >= 10


@by_floor
@by_model
def test_values_give_scipy_s_fits_and_errors(model, floor):
    from scipy.optimize import curve_fit

    true, k = simulated(model, 12, floor)
    found = fit_many(T24, values=k / 300, model=model, floor=floor)
    for row, begin in enumerate(true):
        if found.at_bound[row].any():
            continue
        best, covariance = curve_fit(
            lambda t, *p: floor + (1 - floor) * LINES[model](t, *p), T24, k[row] / 300, p0=begin, xtol=1e-12, ftol=1e-12
        )
        np.testing.assert_allclose(found.parameters[row], best, rtol=1e-4)
        np.testing.assert_allclose(found.standard_errors[row], np.sqrt(np.diag(covariance)), rtol=1e-3)
    assert (~found.at_bound.any(1)).sum() >= 10


@by_floor
@by_model
def test_the_same_fits_and_errors_as_one_by_one(model, floor):
    _, k = simulated(model, 6, floor, seed=1)
    found = fit_many(T24, k, 300, model=model, floor=floor)
    for row, successes in enumerate(k):
        fit = fit_curve(T24, successes, 300, model=model, floor=floor)
        np.testing.assert_allclose(found.parameters[row], fit.vector, rtol=1e-5)
        np.testing.assert_allclose(found.standard_errors[row], list(fit.standard_errors.values()), rtol=1e-4)
    times = np.array([1.0, 50.0])
    np.testing.assert_allclose(found.retention(times)[0], LINES[model](times, *found.parameters[0]), rtol=1e-12)


@pytest.mark.parametrize("family", ["exponential", "power1", "exp_asymptote"])
def test_published_checkpoints_with_a_time_of_0(family):
    for floor in (0.0, 0.5):
        true, k = counts(family, 200, floor, 41)
        found = fit_many(TIMES, k, N_ITEMS, model=family, floor=floor)
        assert np.median(abs(np.log(found.parameters[:, 1] / true[:, 1]))) < (0.1 if floor else 0.05)
        z = (found.parameters - true) / found.standard_errors
        inside = np.nanmean(abs(z) < 1.96, axis=0)
        assert ((inside > 0.89) & (inside < 0.998)).all()


def test_results_do_not_depend_on_threads_or_on_neighbours():
    _, k = simulated("exp_asymptote", 300, 0.5)
    with neuromem.threads(1):
        alone = fit_many(T24, k, 300, model="exp_asymptote", floor=0.5)
    together = fit_many(T24, k, 300, model="exp_asymptote", floor=0.5)
    part = fit_many(T24, k[100:117], 300, model="exp_asymptote", floor=0.5)
    for name in ("parameters", "standard_errors"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))
        np.testing.assert_array_equal(getattr(part, name), getattr(together, name)[100:117])


def test_curves_at_a_bound_and_curves_that_do_not_move():
    k = np.array([[100, 98, 97, 90, 80, 60], [0, 0, 0, 0, 0, 0], [100, 100, 100, 100, 100, 100], [50, 50, 50, 50, 50, 50]])
    found = fit_many([0, 1, 2, 5, 10, 25], k, 100, model="exponential", floor=0)
    assert found.at_bound[0].tolist() == [True, False] and np.isnan(found.standard_errors[0, 0])
    assert found.standard_errors[0, 1] > 0
    assert found.degenerate.tolist() == [False, True, True, True] and np.isnan(found.standard_errors[1:]).all()
    np.testing.assert_allclose(found.retention([1.0])[1:, 0], [0, 1, 0.5], atol=1e-5)


def test_scores_above_1_and_lapses():
    t = np.array([0.0, 1, 2, 5, 10, 20])
    d_prime = np.array([[3.2], [0.8]]) * np.exp(-0.1 * t)
    np.testing.assert_allclose(fit_many(t, values=d_prime, model="exponential", floor=0).parameters[:, 0], [3.2, 0.8], rtol=1e-6)
    p = 0.5 + 0.47 * 0.8 * np.exp(-0.1 * t)
    found = fit_many(t, values=p, model="exponential", floor=0.5, lapse=0.03)
    np.testing.assert_allclose(found.parameters, [[0.8, 0.1]], rtol=1e-6)
    assert len(found) == 1 and found.names == ("amplitude", "rate") and found.floor == 0.5


def test_as_many_points_as_parameters_leave_no_errors_for_values():
    found = fit_many([0, 10], values=[[0.8, 0.4]], model="exponential", floor=0)
    np.testing.assert_allclose(found.parameters, [[0.8, np.log(2) / 10]], rtol=1e-6)
    assert np.isnan(found.standard_errors).all()


def test_inputs_are_left_alone():
    _, k = simulated("power1", 3, 0.0)
    given, times = k.astype(float), T24.copy()
    given.flags.writeable = times.flags.writeable = False
    fit_many(times, given, 300, floor=0)
    np.testing.assert_array_equal(given, k)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "wickelgren"}, "model is 'wickelgren'"),
        ({"floor": 1.0}, "floor is 1.0"),
        ({"trials": [100, 0, 100]}, "trials"),
        ({"times": [0, 1]}, "successes has shape"),
        ({"model": "power"}, "power_offset"),
        ({"times": [1, 1, 1]}, "2 parameters, 1 different times"),
    ],
)
def test_what_is_refused(options, told):
    successes = [[90, 0, 30], [80, 0, 20]]
    arguments = {"times": [0, 1, 2], "successes": successes, "trials": 100, "floor": 0.0, "model": "power1"} | options
    with pytest.raises(InputError, match=told):
        fit_many(arguments.pop("times"), **arguments)


def test_a_trial_missing_in_one_row_is_refused():
    with pytest.raises(InputError, match="every curve needs a trial"):
        fit_many([0, 1, 2], [[9, 8, 7], [9, 0, 7]], [[10, 10, 10], [10, 0, 10]], floor=0)


def test_fits_that_have_not_settled_are_told(monkeypatch):
    from neuromem.retention import kernels

    def never(*arguments):
        arguments[-3][:], arguments[-2][:], arguments[-1][:] = 0.5, 0.1, 0

    monkeypatch.setattr(kernels, "fit_curves", never)
    with pytest.warns(ConvergenceWarning, match="1 of 1 fits have not settled"):
        fit_many([0, 1, 2], [[9, 8, 5]], 10, floor=0)


@pytest.mark.filterwarnings("ignore::neuromem.errors.NeuromemWarning")
@by_floor
@pytest.mark.parametrize("model", ["exponential", "exp_asymptote", "exp_sqrt", "hyperbolic"])
def test_curves_of_another_family_settle_too(model, floor):
    """Newton's steps with second derivatives: without them a model that does not fit creeps to its top, or never comes there."""
    rng = np.random.default_rng(6)
    a, b = rng.uniform(0.5, 1, (400, 1)), rng.uniform(0.02, 0.5, (400, 1))
    k = rng.binomial(100, floor + (1 - floor) * a * (1 + T24) ** -b)
    found = fit_many(T24, k, 100, model=model, floor=floor)
    assert found.settled.mean() > 0.99
    best = [fit_curve(T24, row, 100, model=model, floor=floor) for row in k[:8]]
    same = [np.allclose(mine, fit.vector, rtol=1e-4) for mine, fit in zip(found.parameters, best, strict=False)]
    assert np.mean(same) >= 0.5  # the likelihood of some has several tops
