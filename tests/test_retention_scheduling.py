"""Schedules and the models that schedulers use: published sequences, the reference package, recovery of parameters."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from neuromem import FormatError, InputError, InputTypeError, NotFittedError, load
from neuromem.retention import (
    FSRS6,
    FSRS6_WEIGHTS,
    SM2,
    CardState,
    HalfLifeRegression,
    Leitner,
    Schedule,
    contracting,
    expanding,
    massed,
    pimsleur,
    uniform,
)

# ---------------------------------------------------------------- schedules


def test_schedules_of_the_book():
    assert massed(3).intervals == (1, 1) and massed(3).gap == 1 and massed(3).name == "massed"
    assert uniform(7, 3).steps.tolist() == [0, 7, 14] and uniform(7, 3).span == 14
    assert pimsleur(5).intervals == (5, 25, 125, 625)
    assert expanding(14).intervals == (6, 12, 24) and contracting(14).intervals == (24, 12, 6)
    assert uniform(3, 1).intervals == () and uniform(3, 1).gap == 0
    assert Schedule("own", [3, 1]).intervals == (3, 1)


@pytest.mark.parametrize("exposures", [2, 3, 4, 9])
@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0, 50.0])
def test_expanding_schedules_keep_the_total_and_grow(exposures, ratio):
    for gap in (1, 2, 3, 10, 257):
        found = expanding(gap, exposures, ratio)
        assert found.span == gap * (exposures - 1) and found.gap == gap
        assert min(found.intervals) >= 1 and list(found.intervals) == sorted(found.intervals)
        assert contracting(gap, exposures, ratio).intervals == found.intervals[::-1]
    wanted = ratio ** np.arange(exposures - 1)
    wanted *= 10_000 * (exposures - 1) / wanted.sum()
    assert np.abs(np.array(expanding(10_000, exposures, ratio).intervals) - wanted).max() <= max(1, exposures - 1)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "2"])
def test_intervals_that_are_none(bad):
    with pytest.raises((InputError, InputTypeError)):
        Schedule("own", (1, bad))
    with pytest.raises((InputError, InputTypeError)):
        uniform(bad)
    with pytest.raises((InputError, InputTypeError)):
        Leitner((bad,))


def test_leitner_boxes():
    boxes = Leitner((1, 3, 9))
    state = np.zeros(4, int)
    for right in ([1, 1, 0, 1], [1, 0, 0, 1], [1, 1, 1, 0]):
        state = boxes.review(state, np.array(right, bool))
    assert state.tolist() == [2, 1, 1, 0] and boxes.interval(state).tolist() == [9, 3, 3, 1]
    for bad in ([3], [-1], [0.5]):
        with pytest.raises(InputError, match="boxes"):
            boxes.review(bad, [True])
    with pytest.raises(InputError, match="none shorter"):
        Leitner((3, 1))
    with pytest.raises(InputError):
        Leitner(())


# ---------------------------------------------------------------- FSRS-6


def test_fsrs_published_sequence():
    ratings, days = [[3, 3, 1, 3, 4, 2]], [[0, 3, 10, 0.2, 20, 45]]
    found = FSRS6().simulate(ratings, days)
    assert found.stability[0] == pytest.approx([2.3065, 13.826904, 1.666141, 1.692818, 21.754849, 52.339151], abs=1e-6)
    assert found.difficulty[0] == pytest.approx([2.118104, 2.111214, 7.392238, 7.380074, 6.489846, 7.655024], abs=1e-6)


def test_fsrs_against_the_formulas_card_by_card():
    rng = np.random.default_rng(0)
    n, reviews = 40, 7
    ratings, days = rng.integers(1, 5, (n, reviews)), rng.choice([0.0, 0.3, 1.0, 2.7, 30.0, 400.0], (n, reviews))
    found = FSRS6().simulate(ratings, days)
    w = FSRS6_WEIGHTS

    def first_difficulty(r):
        return w[4] - math.exp(w[5] * (r - 1)) + 1

    for i in range(n):
        s, d = w[ratings[i, 0] - 1], min(max(first_difficulty(ratings[i, 0]), 1), 10)
        for j in range(1, reviews):
            r, t = int(ratings[i, j]), days[i, j]
            recall = (1 + (0.9 ** (-1 / w[20]) - 1) * math.floor(t) / s) ** -w[20]
            if t < 1:
                factor = math.exp(w[17] * (r - 3 + w[18])) * s ** -w[19]
                new = s * (max(factor, 1) if r >= 2 else factor)
            elif r == 1:
                new = w[11] * d ** -w[12] * ((s + 1) ** w[13] - 1) * math.exp(w[14] * (1 - recall))
                new = min(new, s / math.exp(w[17] * w[18]))
            else:
                bonus = {2: w[15], 3: 1, 4: w[16]}[r]
                new = s * (1 + math.exp(w[8]) * (11 - d) * s ** -w[9] * (math.exp(w[10] * (1 - recall)) - 1) * bonus)
            d = w[7] * first_difficulty(4) + (1 - w[7]) * (d - w[6] * (r - 3) * (10 - d) / 9)
            s, d = max(new, 1e-3), min(max(d, 1), 10)
            assert found.stability[i, j] == pytest.approx(s, rel=1e-12)
            assert found.difficulty[i, j] == pytest.approx(d, rel=1e-12)


def test_fsrs_against_the_package():
    fsrs = pytest.importorskip("fsrs")
    rng = np.random.default_rng(0)
    n, reviews = 60, 10
    ratings = rng.integers(1, 5, (n, reviews))
    days = np.where(rng.random((n, reviews)) < 0.2, 0.2, rng.integers(1, 60, (n, reviews)).astype(float))
    found = FSRS6(fsrs.scheduler.DEFAULT_PARAMETERS).simulate(ratings, days)
    scheduler = fsrs.Scheduler(enable_fuzzing=False)
    for i in range(n):
        card, now = fsrs.Card(), datetime(2024, 1, 1, tzinfo=UTC)
        for j in range(reviews):
            now += timedelta(days=float(days[i, j])) if j else timedelta(0)
            card, _ = scheduler.review_card(card, fsrs.Rating(int(ratings[i, j])), now)
            assert found.stability[i, j] == pytest.approx(card.stability, rel=1e-12)
            assert found.difficulty[i, j] == pytest.approx(card.difficulty, rel=1e-12)


def test_fsrs_retrievability_and_its_inverse():
    model = FSRS6()
    stability = np.array([0.5, 3.0, 900.0])
    assert model.retrievability(stability, stability) == pytest.approx([0.9] * 3, rel=1e-14)
    assert model.retrievability(stability, 0) == pytest.approx([1.0] * 3)
    for retention in (0.99, 0.7, 0.3):
        assert model.retrievability(stability, model.interval(stability, retention)) == pytest.approx([retention] * 3)
    # a scheduler that waits until 0.9 is left waits longer and longer
    state, waits = model.start([3]), []
    for _ in range(6):
        waits.append(float(np.rint(model.interval(state.stability))[0]))
        state = model.review(state, [waits[-1]], [3])
    assert waits == sorted(waits) and waits[-1] > 100


def test_fsrs_refuses():
    model = FSRS6()
    for bad in ([0], [5], [1.5]):
        with pytest.raises(InputError, match="ratings"):
            model.start(bad)
    state = model.start([3])
    with pytest.raises(InputError, match="days"):
        model.review(state, [-1.0], [3])
    with pytest.raises(InputError, match="days"):
        model.review(state, [np.nan], [3])
    with pytest.raises(InputError, match="state"):
        model.review(CardState(np.array([0.0]), np.array([5.0])), [1.0], [3])
    with pytest.raises(InputError, match="shapes"):
        model.simulate([[3, 3]], [[1.0]])
    for weights in (FSRS6_WEIGHTS[:19], (*FSRS6_WEIGHTS[:20], 0.0), (np.nan, *FSRS6_WEIGHTS[1:])):
        with pytest.raises(InputError, match="weights"):
            FSRS6(weights)


# ---------------------------------------------------------------- SM-2


def test_sm2_by_hand():
    model, state = SM2(), SM2().start(1)
    # quality -> repetitions, interval, easiness
    wanted = [
        (5, 1, 1, 2.6),
        (4, 2, 6, 2.6),
        (3, 3, 15, 2.46),
        (3, 4, 35, 2.32),
        (2, 0, 1, 2.32),
        (4, 1, 1, 2.32),
        (5, 2, 6, 2.42),
    ]
    for quality, repetitions, interval, easiness in wanted:
        state = model.review(state, [quality])
        assert (state.repetitions.item(), state.interval.item()) == (repetitions, interval)
        assert state.easiness.item() == pytest.approx(easiness, abs=1e-12)


def test_sm2_easiness_has_a_floor_and_cards_do_not_mix():
    model = SM2()
    rng = np.random.default_rng(0)
    quality = rng.integers(0, 6, (30, 8))
    state = model.start(30)
    for turn in range(8):
        state = model.review(state, quality[:, turn])
    for card in range(30):
        alone = model.start(1)
        for turn in range(8):
            alone = model.review(alone, quality[card : card + 1, turn])
        assert [a.item() for a in alone] == [a[card].item() for a in state]
    low = model.start(1)
    for _ in range(20):
        low = model.review(low, [3])
    assert low.easiness.item() == 1.3 and low.interval.item() > 100
    for bad in ([6], [-1], [2.5]):
        with pytest.raises(InputError, match="quality"):
            model.review(model.start(1), bad)


# ---------------------------------------------------------------- half-life regression


def history(n, rng):
    return HalfLifeRegression.features(rng.integers(0, 10, n), rng.integers(0, 6, n)), rng.uniform(0.2, 30, n)


def test_half_lives_are_recovered_from_outcomes():
    rng = np.random.default_rng(0)
    theta = np.array([0.5, 1.1, -0.8])
    x, lags = history(40_000, rng)
    recalled = rng.random(len(x)) < 2.0 ** (-lags / 2.0 ** (x @ theta))
    found = HalfLifeRegression(bounds=(1e-3, 1e4)).fit(x, lags, recalled)
    assert found.coefficients_ == pytest.approx(theta, abs=0.06)
    assert found.half_life(x[:5]) == pytest.approx(2.0 ** (x[:5] @ found.coefficients_))
    assert found.predict(x[:5], found.half_life(x[:5])) == pytest.approx([0.5] * 5)


@pytest.mark.parametrize(("weight", "penalty"), [(0.0, 0.0), (0.01, 0.0), (0.01, 0.3)])
def test_slope_of_half_life_regression(weight, penalty):
    rng = np.random.default_rng(1)
    x, lags = history(50, rng)
    model = HalfLifeRegression(weight, penalty)
    shares, observed, theta = rng.random(50), rng.uniform(1, 40, 50), np.array([0.3, 0.7, -0.4])
    _, slope = model.loss_and_gradient(theta, x, lags, shares, observed)
    for i in range(3):
        step = np.zeros(3)
        step[i] = 1e-5
        ends = [model.loss_and_gradient(theta + sign * step, x, lags, shares, observed)[0] for sign in (1, -1)]
        assert slope[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-9)


def test_half_life_regression_keeps_bounds_files_and_order(tmp_path):
    rng = np.random.default_rng(2)
    x, lags = history(300, rng)
    model = HalfLifeRegression(bounds=(0.5, 8.0), penalty=1e-4)
    with pytest.raises(NotFittedError):
        model.half_life(x)
    model.fit(x, lags, 2.0 ** (-lags / 2.0 ** (x @ [1.0, 0.5, -0.5])))
    assert model.half_life(x).min() >= 0.5 and model.half_life(x).max() <= 8.0
    model.save(tmp_path / "model.nmem")
    assert np.array_equal(load(tmp_path / "model.nmem").half_life(x), model.half_life(x))
    state = model.get_state()
    state["arrays"]["coefficients_"][0] = np.nan
    with pytest.raises(FormatError):
        model.set_state(state)


def test_half_life_regression_refuses():
    x, lags = history(10, np.random.default_rng(0))
    shares = np.full(10, 0.5)
    for bad in ((x, lags[:5], shares), (x, -lags, shares), (x, lags, shares + 1), (x, lags, np.full(10, np.nan))):
        with pytest.raises(InputError):
            HalfLifeRegression().fit(*bad)
    for params in ({"bounds": (1.0,)}, {"bounds": (2.0, 1.0)}, {"penalty": -1.0}, {"half_life_weight": -1.0}):
        with pytest.raises(InputError):
            HalfLifeRegression(**params).fit(x, lags, shares)
    with pytest.raises(InputError, match="counts"):
        HalfLifeRegression.features([1, 2], [1])
