"""Forgetting curves: gradients, recovery of what was simulated, coverage, choice, intervals, and what is refused."""

import math
import warnings

import numpy as np
import pytest
from retention_curves import N_ITEMS, TIMES, counts, retention, truths

from neuromem import InputError, PrecisionWarning
from neuromem.retention import MODELS, ProbeResult, bootstrap, compare_curves, fit_curve
from neuromem.retention.curve_models import Span

FAMILIES = ("exponential", "power1", "exp_asymptote")
SPAN = Span(1.0, 100.0, 0.8, 0.3)
POINTS = np.array([1.0, 2, 5, 20, 100])
by_model = pytest.mark.parametrize("name", MODELS)


def quiet(*arguments, **options):
    """A fit whose parameters may end at a bound."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return fit_curve(*arguments, **options)


# ---------------------------------------------------------------- the curves themselves


@pytest.mark.jit_off
@by_model
def test_gradient_by_complex_step(name):
    model = MODELS[name]
    for parameters in model.starts(SPAN):
        found = model.gradient(POINTS, parameters)
        for i, value in enumerate(parameters):
            step = 1e-30 * max(abs(value), 1e-3)
            moved = parameters.astype(complex)
            moved[i] += 1j * step
            wanted = model.value(POINTS, moved).imag / step
            np.testing.assert_allclose(found[:, i], wanted, rtol=1e-10, atol=1e-12 * abs(wanted).max())


FORMULAS = {
    "exponential": lambda t, a, b: a * math.exp(-b * t),
    "exp_asymptote": lambda t, a, b, c: c + (a - c) * math.exp(-b * t),
    "power": lambda t, a, b: a * t**-b,
    "power1": lambda t, a, b: a * (1 + t) ** -b,
    "power_offset": lambda t, a, b, tau: a * (1 + t / tau) ** -b,
    "wickelgren": lambda t, a, beta, psi, pi: a * (1 + beta * t) ** -psi * math.exp(-pi * t),
    "log": lambda t, a, b: a - b * math.log(t),
    "ebbinghaus": lambda t, k, c: k / (math.log10(t) ** c + k),
    "hyperbolic": lambda t, a, b: a / (1 + b * t),
    "hyper_sqrt": lambda t, a, b: a / (1 + b * math.sqrt(t)),
    "exp_sqrt": lambda t, a, b: a * math.exp(-b * math.sqrt(t)),
    "double_exp": lambda t, a1, T1, a2, T2: a1 * math.exp(-t / T1) + a2 * math.exp(-t / T2),
    "double_exp_asymptote": lambda t, a1, T1, a2, T2, a3: a1 * math.exp(-t / T1) + a2 * math.exp(-t / T2) + a3,
    "memory_chain": lambda t, m, p, q, r: (
        1 - math.exp(-m * (math.exp(-p * t) + q / (p - r) * (math.exp(-r * t) - math.exp(-p * t))))
    ),
    "fsrs6": lambda t, s: (1 + (0.9 ** (-1 / 0.1542) - 1) * t / s) ** -0.1542,
}


@pytest.mark.jit_off
@by_model
def test_values_are_the_formula_s(name):
    assert set(FORMULAS) == set(MODELS)
    for parameters in MODELS[name].starts(SPAN):
        wanted = [FORMULAS[name](t, *parameters) for t in POINTS.tolist()]
        np.testing.assert_allclose(MODELS[name].value(POINTS, parameters), wanted, rtol=1e-12)


def test_ends_and_limits():
    assert MODELS["ebbinghaus"].value([1.0], [1.84, 1.25])[0] == 1
    assert np.isfinite(MODELS["ebbinghaus"].gradient([1.0], [1.84, 1.25])).all()
    assert MODELS["fsrs6"].value([7.0], [7.0])[0] == pytest.approx(0.9, abs=1e-14)
    chain = MODELS["memory_chain"]  # both rates the same: m = mu1 e^(-a t) (1 + mu2 t)
    t = np.array([0.0, 1, 10])
    wanted = 1 - np.exp(-1.2 * np.exp(-0.3 * t) * (1 + 0.1 * t))
    np.testing.assert_allclose(chain.value(t, [1.2, 0.3, 0.1, 0.3]), wanted, rtol=1e-13)
    np.testing.assert_allclose(chain.value(t, [1.2, 0.3 + 1e-9, 0.1, 0.3]), wanted, rtol=1e-8)


@by_model
def test_starts_lie_within_the_bounds_and_there_are_enough(name):
    model = MODELS[name]
    starts, (low, high) = model.starts(SPAN), np.array(model.bounds(SPAN)).T
    assert starts.shape[1] == model.n_parameters == len(low)
    assert ((starts >= low) & (starts <= high)).all() and len(starts) >= 6
    if model.ordered:
        assert (starts[:, model.ordered[1]] <= starts[:, model.ordered[0]]).all()


# ---------------------------------------------------------------- fits


@pytest.mark.parametrize("floor", [0.0, 0.5])
@pytest.mark.parametrize("family", FAMILIES)
def test_fits_are_the_likelihood_s_top(family, floor):
    """Against scipy's minimiser on a likelihood written anew."""
    from scipy.optimize import minimize

    for parameters, k in zip(*counts(family, 4, floor, 7), strict=True):

        def loss(x, k=k):
            p = np.clip(floor + (1 - floor) * retention(family, x[None])[0], 1e-9, 1 - 1e-9)
            return -(k * np.log(p) + (N_ITEMS - k) * np.log1p(-p)).sum()

        scaled = np.array(parameters)
        options = {"xatol": 1e-10, "fatol": 1e-11, "maxiter": 4000, "maxfev": 4000}
        best = minimize(lambda u, s=scaled: loss(u * s), np.ones(len(scaled)), method="Nelder-Mead", options=options)
        fit = fit_curve(TIMES, k, N_ITEMS, model=family, floor=floor)
        np.testing.assert_allclose(fit.vector, best.x * scaled, rtol=1e-4)
        assert loss(fit.vector) <= best.fun + 1e-9


def recovery(family, floor, n):
    errors = []
    for parameters, k in zip(*counts(family, n, floor, 11), strict=True):
        fit = quiet(TIMES, k, N_ITEMS, model=family, floor=floor)
        errors.append(abs(math.log(fit.vector[1] / parameters[1])))
    return float(np.median(errors))


@pytest.mark.parametrize("floor", [0.0, 0.5])
@pytest.mark.parametrize("family", FAMILIES)
def test_rates_are_recovered(family, floor):
    assert recovery(family, floor, 20) < (0.1 if floor else 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("floor", [0.0, 0.5])
@pytest.mark.parametrize("family", FAMILIES)
def test_rates_are_recovered_in_two_hundred_sets(family, floor):
    error = recovery(family, floor, 200)
    print(f"median error of the rate, {family}, floor {floor}: {error:.4f}")  # noqa: T201
    assert error < (0.1 if floor else 0.05)


TRUE = {
    "power_offset": [0.9, 0.3, 20.0],
    "wickelgren": [0.9, 0.5, 0.2, 3e-5],
    "hyperbolic": [0.9, 0.01],
    "hyper_sqrt": [0.9, 0.05],
    "exp_sqrt": [0.9, 0.02],
    "double_exp": [0.5, 8.0, 0.4, 3000.0],
    "double_exp_asymptote": [0.4, 8.0, 0.3, 3000.0, 0.2],
    "memory_chain": [2.0, 0.1, 0.03, 2e-4],
    "fsrs6": [30.0],
}


@pytest.mark.parametrize("floor", [0.0, 0.5])
@pytest.mark.parametrize("model", TRUE)
def test_every_model_finds_its_own_curve(model, floor):
    left = MODELS[model].value(TIMES, TRUE[model])
    k = np.random.default_rng(3).binomial(20 * N_ITEMS, floor + (1 - floor) * left)
    fit = quiet(TIMES, k, 20 * N_ITEMS, model=model, floor=floor)
    assert fit.settled and abs(fit.retention(TIMES) - left).max() < 0.02
    exact = quiet(TIMES, values=floor + (1 - floor) * left, model=model, floor=floor)
    np.testing.assert_allclose(exact.vector, TRUE[model], rtol=2e-4)


@pytest.mark.parametrize("model", ["power", "log", "ebbinghaus"])
def test_models_that_need_later_times_find_their_own_curve(model):
    true = {"power": [0.9, 0.15], "log": [0.8, 0.05], "ebbinghaus": [1.84, 1.25]}[model]
    times = np.geomspace(2, 40_000, 12)
    fit = fit_curve(times, values=MODELS[model].value(times, true), model=model, floor=0)
    np.testing.assert_allclose(fit.vector, true, rtol=1e-5)


def test_a_fitted_floor_is_found_and_called_floor():
    _, k = counts("exponential", 1, 0.5, 5)
    fit = fit_curve(TIMES, k[0], N_ITEMS, model="exponential", floor="free")
    low, high = fit.intervals()["floor"]
    assert list(fit.parameters) == ["amplitude", "rate", "floor"] and low < 0.5 < high and fit.floor == fit.parameters["floor"]
    lapse = fit_curve(TIMES, k[0], N_ITEMS, model="exponential", floor=0.5, lapse=0.02)
    plain = fit_curve(TIMES, k[0], N_ITEMS, model="exponential", floor=0.5)
    assert lapse.parameters["amplitude"] == pytest.approx(plain.parameters["amplitude"] * 0.5 / 0.48, rel=1e-6)


def test_without_its_floor_a_choice_between_two_looks_like_a_memory_that_never_fades():
    _, k = counts("exponential", 1, 0.5, 5)
    with_floor, without = (fit_curve(TIMES, k[0], N_ITEMS, model="exponential", floor=g) for g in (0.5, 0))
    assert without.r2 < 0.2 < 0.9 < with_floor.r2 and without.parameters["rate"] < 0.1 * with_floor.parameters["rate"]
    assert without.aicc > with_floor.aicc + 1000


def test_repeated_and_unordered_times_are_gathered():
    _, k = counts("power1", 1, 0.0, 5)
    order = np.random.default_rng(0).permutation(TIMES.size)
    plain = fit_curve(TIMES, k[0], N_ITEMS, floor=0)
    shuffled = fit_curve(TIMES[order], k[0][order], N_ITEMS, floor=0)
    half = k[0] // 2
    split = fit_curve(np.r_[TIMES, TIMES], np.r_[half, k[0] - half], N_ITEMS / 2, floor=0)
    np.testing.assert_allclose(shuffled.vector, plain.vector, rtol=1e-9)
    np.testing.assert_allclose(split.vector, plain.vector, rtol=1e-6)


# ---------------------------------------------------------------- errors and intervals


def test_information_criteria_by_hand():
    k, n, t = np.array([80, 50, 30, 15.0]), 100, np.array([0.0, 5, 10, 20])
    fit = fit_curve(t, k, n, model="exponential", floor=0)
    p = fit.retention(t)
    lnl = sum(
        math.log(math.comb(n, int(x))) + x * math.log(q) + (n - x) * math.log(1 - q)
        for x, q in zip(k.tolist(), p.tolist(), strict=True)
    )
    assert fit.log_likelihood == pytest.approx(lnl)
    assert fit.aic == pytest.approx(4 - 2 * lnl) and fit.bic == pytest.approx(2 * math.log(4) - 2 * lnl)
    assert fit.aicc == pytest.approx(fit.aic + 12)
    squares = fit_curve(t, values=k / n, model="exponential", floor=0)
    sse = ((k / n - squares.retention(t)) ** 2).sum()
    assert squares.sse == pytest.approx(sse)
    assert squares.log_likelihood == pytest.approx(-2 * (math.log(2 * math.pi * sse / 4) + 1))
    assert squares.n_estimated == 3 and squares.aicc == math.inf
    assert squares.r2 == pytest.approx(1 - sse / ((k / n - (k / n).mean()) ** 2).sum())


@pytest.mark.parametrize("floor", [0.0, 0.5])
def test_fisher_errors_and_the_bootstrap_agree(floor):
    parameters = truths("power1", 1, 2)
    p = floor + (1 - floor) * retention("power1", parameters)[0]
    outcomes = np.random.default_rng(4).random((N_ITEMS, TIMES.size)) < p
    fit = fit_curve(TIMES, outcomes.sum(0), N_ITEMS, floor=floor)
    for found in (bootstrap(fit, outcomes, random_state=1), bootstrap(fit, random_state=1)):
        for name, error in found.standard_errors.items():
            assert error == pytest.approx(fit.standard_errors[name], rel=0.15)
        for method in ("bca", "percentile"):
            for name, (low, high) in found.intervals(method=method).items():
                wald = fit.intervals(method="wald")[name]
                width = wald[1] - wald[0]
                assert abs(low - wald[0]) < 0.2 * width and abs(high - wald[1]) < 0.2 * width


def test_least_squares_errors_are_scipy_s():
    from scipy.optimize import curve_fit

    y = 0.9 * np.exp(-0.05 * TIMES[:20]) + np.random.default_rng(0).normal(0, 0.02, 20)
    fit = fit_curve(TIMES[:20], values=np.minimum(y, 1), model="exponential", floor=0)
    best, covariance = curve_fit(lambda t, a, b: a * np.exp(-b * t), TIMES[:20], np.minimum(y, 1), p0=[0.9, 0.05])
    np.testing.assert_allclose(fit.vector, best, rtol=1e-5)
    # scipy takes the slopes from differences
    np.testing.assert_allclose(list(fit.standard_errors.values()), np.sqrt(np.diag(covariance)), rtol=1e-4)
    drawn = bootstrap(fit, draws=1000, random_state=0).standard_errors
    assert all(drawn[name] == pytest.approx(error, rel=0.15) for name, error in fit.standard_errors.items())


def test_bootstrap_of_items_keeps_what_goes_together():
    """Items that are all kept or all lost: errors are those of N items, not of N times T trials."""
    rng = np.random.default_rng(0)
    kept = rng.random(400) < 0.6
    outcomes = np.tile(kept[:, None], (1, 8))
    outcomes[:5, 4:] = False
    times = np.arange(8.0)
    fit = quiet(times, outcomes.sum(0), 400, model="exponential", floor=0)
    whole = bootstrap(fit, outcomes, draws=1000, random_state=0).standard_errors["amplitude"]
    assert whole == pytest.approx(math.sqrt(0.6 * 0.4 / 400), rel=0.15)
    assert whole > 1.4 * fit.standard_errors["amplitude"]


def test_profile_ends_are_where_the_likelihood_has_fallen():
    from scipy.optimize import minimize_scalar

    _, k = counts("exponential", 1, 0.5, 9)

    def loss(a, b):
        p = np.clip(0.5 + 0.5 * a * np.exp(-b * TIMES), 1e-9, 1 - 1e-9)
        return -(k[0] * np.log(p) + (N_ITEMS - k[0]) * np.log1p(-p)).sum()

    fit = fit_curve(TIMES, k[0], N_ITEMS, model="exponential", floor=0.5)
    best = loss(*fit.vector)
    for end in fit.intervals(0.95)["rate"]:
        profile = minimize_scalar(lambda a, b=end: loss(a, b), bounds=(0.01, 1), method="bounded", options={"xatol": 1e-10})
        assert 2 * (profile.fun - best) == pytest.approx(3.841459, rel=5e-3)
    narrow, wide = fit.intervals(0.5)["rate"], fit.intervals(0.99)["rate"]
    assert wide[0] < narrow[0] < fit.parameters["rate"] < narrow[1] < wide[1]


def test_profile_ends_at_a_bound_where_the_data_do_not_reach():
    k = np.array([100, 98, 97, 90, 80, 60.0])
    with pytest.warns(PrecisionWarning, match="amplitude = 1 is at its bound"):
        fit = fit_curve([0, 1, 2, 5, 10, 25], k, 100, model="exponential", floor=0)
    assert fit.at_bound == ("amplitude",) and math.isnan(fit.standard_errors["amplitude"])
    low, high = fit.intervals()["amplitude"]
    assert high == 1 and 0.9 < low < 1 and fit.standard_errors["rate"] > 0


def coverage(family, floor, n, seed=21):
    inside, total = np.zeros(3, int), 0
    for parameters, k in zip(*counts(family, n, floor, seed), strict=True):
        fit = quiet(TIMES, k, N_ITEMS, model=family, floor=floor)
        ends = list(fit.intervals().values())
        inside[: len(ends)] += [low <= true <= high for true, (low, high) in zip(parameters, ends, strict=True)]
        total += 1
    return inside[: len(ends)] / total


@pytest.mark.parametrize("family", FAMILIES)
def test_intervals_cover(family):
    for floor in (0.0, 0.5):
        assert (coverage(family, floor, 40) >= 0.8).all()  # 40 draws of .95: below .8 once in 10^4


@pytest.mark.slow
@pytest.mark.parametrize("floor", [0.0, 0.5])
@pytest.mark.parametrize("family", FAMILIES)
def test_intervals_cover_in_a_thousand_sets(family, floor):
    found = coverage(family, floor, 1000)
    print(f"coverage of 95 % intervals, {family}, floor {floor}: {np.round(found, 3).tolist()}")  # noqa: T201
    assert ((found >= 0.93) & (found <= 0.97)).all()


def test_predictions_hold_the_curve_and_widen_where_nothing_was_measured():
    _, k = counts("power1", 1, 0.5, 3)
    fit = fit_curve(TIMES, k[0], N_ITEMS, floor=0.5)
    there = fit.predict(np.r_[TIMES, 1e9])
    assert ((there.low < there.value) & (there.value < there.high)).all()
    assert ((there.low > 0.0) & (there.high < 1.0)).all()
    np.testing.assert_allclose(there.value[:-1], 0.5 + 0.5 * fit.retention(TIMES), rtol=1e-12)
    narrow = fit.predict(TIMES, 0.5)
    assert (narrow.high - narrow.low < (there.high - there.low)[:-1]).all()
    drawn = bootstrap(fit, random_state=0).parameters
    curves = 0.5 + 0.5 * drawn[:, :1] * (1 + TIMES) ** -drawn[:, 1:]
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(there.high[:-1] - there.low[:-1], high - low, rtol=0.15)


# ---------------------------------------------------------------- choice


def choices(floor, n):
    found = {}
    for family in FAMILIES:
        right = 0
        for k in counts(family, n, floor, 31)[1]:
            right += compare_curves(TIMES, k, N_ITEMS, models=FAMILIES, floor=floor).best.model == family
        found[family] = right / n
    return found


@pytest.mark.parametrize("floor", [0.0, 0.5])
def test_the_true_family_is_chosen(floor):
    assert min(choices(floor, 12).values()) >= 0.75  # of .95: below that once in 400, with seeds that are fixed


@pytest.mark.slow
@pytest.mark.parametrize("floor", [0.0, 0.5])
def test_the_true_family_is_chosen_in_two_hundred_sets(floor):
    found = choices(floor, 200)
    print(f"AICc picks the true family, floor {floor}: {found}")  # noqa: T201
    assert min(found.values()) >= 0.9


def test_all_models_are_ranked_and_those_left_out_named():
    _, k = counts("power1", 1, 0.0, 1)
    found = compare_curves(TIMES, k[0], N_ITEMS, floor=0, draws=50, random_state=0)
    assert {c.model for c in found.curves} | set(found.left_out) == set(MODELS)
    assert set(found.left_out) == {"power", "log", "ebbinghaus"} and "times" in found.left_out["power"]
    scores = [c.score for c in found.curves]
    assert scores == sorted(scores) and sum(c.weight for c in found.curves) == pytest.approx(1)
    assert sum(c.chosen for c in found.curves) == pytest.approx(1)
    assert found.best.model in ("power1", "power_offset") and found["exponential"].weight < 1e-6
    assert len(found.table().splitlines()) == len(found.curves) + 1
    few = compare_curves(TIMES[:4], k[0][:4], N_ITEMS, floor=0)
    assert "double_exp_asymptote" in few.left_out and few["wickelgren"].score == math.inf
    assert few["wickelgren"].weight == 0 and math.isnan(few["wickelgren"].held_out)


def test_held_out_loss_by_hand_and_the_wrong_curve_pays_for_it():
    _, k = counts("power1", 1, 0.0, 1)
    found = compare_curves(TIMES, k[0], N_ITEMS, models=FAMILIES, floor=0, held_out=0.25)
    early = fit_curve(TIMES[:-8], k[0][:-8], N_ITEMS, floor=0)
    p, late = early.retention(TIMES[-8:]), k[0][-8:]
    wanted = -(late * np.log(p) + (N_ITEMS - late) * np.log(1 - p)).sum() / (8 * N_ITEMS)
    assert found["power1"].held_out == pytest.approx(wanted, rel=1e-9)
    assert found["exponential"].held_out > found["power1"].held_out + 0.05


def test_the_average_of_exponentials_looks_like_a_power_law():
    rates = np.geomspace(1e-3, 1, 12)[:, None]
    k = np.random.default_rng(0).binomial(400, 0.9 * np.exp(-rates * TIMES))
    with pytest.warns(PrecisionWarning) as told:
        found = compare_curves(TIMES, k, 400, models=("exponential", "power1", "power_offset"), floor=0)
    assert found.averaging_artefact and any("average of exponentials" in str(w.message) for w in told)
    assert MODELS[found.best.model].power_like
    each = [compare_curves(TIMES, row, 400, models=("exponential", "power1", "power_offset"), floor=0) for row in k]
    assert np.mean([one.best.model == "exponential" for one in each]) > 0.8
    honest = np.random.default_rng(0).binomial(400, 0.9 * (1 + TIMES) ** -0.2, (12, TIMES.size))
    assert not compare_curves(TIMES, honest, 400, models=("exponential", "power1"), floor=0).averaging_artefact


# ---------------------------------------------------------------- rows, seeds, items


def test_rows_are_fitted_one_by_one():
    _, k = counts("exponential", 3, 0.0, 1)
    for by in ("seed", "item"):
        fits = quiet(TIMES, k, N_ITEMS, model="exponential", floor=0, by=by)
        assert len(fits) == 3
        for row, fit in zip(k, fits, strict=True):
            alone = quiet(TIMES, row, N_ITEMS, model="exponential", floor=0)
            np.testing.assert_allclose(fit.vector, alone.vector, rtol=1e-12)


def test_rows_that_differ_by_more_than_chance():
    rng = np.random.default_rng(1)
    p = 0.9 * (1 + TIMES) ** -0.2
    together = 19.0  # alpha + beta of the beta law: correlation 1 / 20
    k = rng.binomial(100, rng.beta(p * together, (1 - p) * together, (40, TIMES.size)))
    with pytest.warns(PrecisionWarning, match="rows differ by more than chance"):
        plain = fit_curve(TIMES, k, 100, floor=0)
    with pytest.warns(PrecisionWarning, match="correlation within rows"):
        fit = fit_curve(TIMES, k, 100, floor=0, observation="beta_binomial")
    assert fit.dispersion == pytest.approx(0.05, rel=0.15) and fit.n_estimated == 3
    ratio = fit.standard_errors["exponent"] / plain.standard_errors["exponent"]
    assert ratio == pytest.approx(math.sqrt(1 + 99 * fit.dispersion), rel=0.01)
    honest = fit_curve(TIMES, rng.binomial(100, p, (40, TIMES.size)), 100, floor=0, observation="beta_binomial")
    assert honest.dispersion < 0.002
    with pytest.raises(InputError, match="at least two rows"):
        fit_curve(TIMES, k[0], 100, floor=0, observation="beta_binomial")


def result_of(successes, chance, **columns):
    rows = [
        {"system": "x", "probe": "retention", "measure": "accuracy", "lag_items": int(t), "lag_updates": int(t) * 2, "seed": seed}
        | {"n": N_ITEMS, "k": float(row[i]), "value": row[i] / N_ITEMS, "chance": chance}
        | columns
        for seed, row in enumerate(successes)
        for i, t in enumerate(TIMES)
    ]
    return ProbeResult(rows)


def test_a_result_brings_counts_seeds_and_chance_along():
    parameters = np.tile([[0.9, 0.01]], (3, 1))
    k = np.random.default_rng(0).binomial(N_ITEMS, 0.5 + 0.5 * retention("exponential", parameters))
    result = result_of(k, 0.5)
    fit = fit_curve(result, model="exponential")
    direct = fit_curve(TIMES, k, N_ITEMS, model="exponential", floor=0.5)
    assert fit.floor == 0.5 and fit.parameters == direct.parameters
    assert fit_curve(result, model="exponential", time="lag_updates").parameters["rate"] == pytest.approx(
        direct.parameters["rate"] / 2, rel=1e-6
    )
    assert len(fit_curve(result, model="exponential", by="seed")) == 3
    assert fit_curve(result, model="exponential", floor=0.4).floor == 0.4
    assert compare_curves(result, models=FAMILIES).best.model == "exponential"
    with pytest.raises(InputError, match="outcome_matrix"):
        fit_curve(result, model="exponential", by="item")
    with pytest.raises(InputError, match="several curves, foil is"):
        fit_curve(result + result_of(k, 0.5, foil="novel"))
    with pytest.raises(InputError, match="no rows"):
        fit_curve(result.where(seed=9))


def test_a_result_without_counts_is_fitted_by_least_squares():
    left = retention("exponential", np.array([[0.9, 0.01], [0.8, 0.01]]))
    result = result_of(left * N_ITEMS, 0.0, k=None)
    fit = fit_curve(result, model="exponential")
    assert fit.observation == "gaussian" and fit.parameters["amplitude"] == pytest.approx(0.85, rel=1e-6)
    assert fit_curve(result, model="exponential", by="seed")[1].parameters["amplitude"] == pytest.approx(0.8, rel=1e-6)
