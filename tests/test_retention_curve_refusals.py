"""Forgetting curves: what is refused, what is warned of, and inputs left alone."""

import math

import numpy as np
import pytest
from retention_curves import N_ITEMS, TIMES, counts

from neuromem import ConvergenceWarning, InputError, PrecisionWarning, UnknownKeyError
from neuromem.retention import bootstrap, compare_curves, fit_curve


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        (([0, 1, 2], [3, 2, 1], 10), {}, 'floor is "auto"'),
        (([0, 1, 2], [3, 2, 1], 10), {"floor": 1.0}, "floor is 1.0"),
        (([0, 1, 2], [3, 2, 1], 10), {"floor": "some"}, "floor is 'some'"),
        (([0, 1, 2], [30, 2, 1], 10), {"floor": 0}, "successes has 30 out of 10 trials"),
        (([0, 1, 2], [-1, 2, 1], 10), {"floor": 0}, "successes has -1 out of"),
        (([0, 1, 2], [3, np.nan, 1], 10), {"floor": 0}, "successes has nan"),
        (([0, 1, 2], [3, 0, 1], [10, 0, 10]), {"floor": 0}, "trials is 0 at time 1"),
        (([0, 1, 2], [3, 2, 1], [10, 10]), {"floor": 0}, "trials has shape"),
        (([0, 1, 2], [3, 2, 1]), {"floor": 0}, "trials is missing"),
        (([0, 1, 2], [3, 2], 10), {"floor": 0}, r"successes has shape \(2,\)"),
        (([0, 1, np.inf], [3, 2, 1], 10), {"floor": 0}, "times has inf"),
        (([-1, 1, 2], [3, 2, 1], 10), {"floor": 0}, "times has -1"),
        (([], [], 10), {"floor": 0}, "at least one time"),
        (([0, 1, 2],), {"floor": 0}, "either successes and trials, or values"),
        (([0, 1, 2], None, 10), {"floor": 0, "values": [0.5, 0.4, 0.3]}, "trials goes with successes"),
        (([0, 1, 2],), {"floor": 0, "values": [0.5, 0.4, 0.3], "observation": "binomial"}, "needs successes and trials"),
        (([0, 1, 2], [3, 2, 1], 10), {"floor": 0, "observation": "poisson"}, "observation is 'poisson'"),
        (([0, 1, 2], [3, 2, 1], 10), {"floor": 0, "by": "day"}, "by is 'day'"),
        (([0, 1, 2], [3, 2, 1], 10), {"floor": 0, "lapse": 1.0}, "lapse is 1.0"),
        (([0, 1, 2], [3, 2, 1], 10), {"floor": 0, "model": "double_exp"}, "'double_exp' has 4 parameters, 3 different times"),
        (([1, 1, 1], [3, 2, 1], 10), {"floor": 0, "model": "exponential"}, "2 parameters, 1 different times"),
        (([0, 1, 2], [3, 2, 1], 10), {"floor": 0, "model": "power"}, "power_offset"),
        (([0, 1, 2], [3, 2, 1], 10), {"floor": 0, "model": "log"}, "power_offset"),
        (([0.5, 1, 2], [3, 2, 1], 10), {"floor": 0, "model": "ebbinghaus"}, "power_offset"),
    ],
)
def test_what_is_refused(arguments, options, told):
    with pytest.raises(InputError, match=told) as caught:
        fit_curve(*arguments, **options)
    assert isinstance(caught.value, ValueError)


def test_unknown_models_and_late_mistakes():
    with pytest.raises(UnknownKeyError, match="exp_asymptote"):
        fit_curve([0, 1, 2], [3, 2, 1], 10, floor=0, model="gompertz")
    fit = fit_curve([0, 5, 10], [90, 60, 30], 100, model="exponential", floor=0)
    for bad in ({"level": 1.0}, {"level": 0.95, "method": "guess"}):
        with pytest.raises(InputError):
            fit.intervals(**bad)
    with pytest.raises(InputError, match="times has"):
        fit.predict([np.nan])
    with pytest.raises(InputError, match="times has -1"):
        fit.predict([-1.0])
    with pytest.raises(InputError, match=r"outcomes has shape"):
        bootstrap(fit, np.ones((10, 4)))
    with pytest.raises(InputError, match="other values"):
        bootstrap(fit, np.full((10, 3), 2))
    with pytest.raises(InputError, match="no model is left"):
        compare_curves([0, 1], [3, 2], 10, models=(), floor=0)
    with pytest.raises(InputError, match="criterion is"):
        compare_curves([0, 1], [3, 2], 10, criterion="r2", floor=0)
    with pytest.raises(InputError, match="power_offset"):
        compare_curves([0, 1, 2], [3, 2, 1], 10, models=["power"], floor=0)


@pytest.mark.parametrize("k", [0, 10, 7])
def test_outcomes_that_are_all_the_same_give_a_flag_and_no_warning(k):
    fit = fit_curve([0, 1, 2, 5], [k] * 4, 10, model="exponential", floor=0)
    assert fit.degenerate and all(math.isnan(error) for error in fit.standard_errors.values())
    assert all(math.isnan(low) and math.isnan(high) for low, high in fit.intervals().values())
    assert fit.retention([1.0])[0] == pytest.approx(k / 10, abs=1e-5)


def test_parameters_that_cannot_be_told_apart_have_no_errors():
    with pytest.warns(PrecisionWarning) as told:
        fit = fit_curve([1, 2, 3, 4, 5], values=[0.5, 0.4, 0.3, 0.25, 0.2], model="double_exp_asymptote", floor=0)
    assert any("no standard error" in str(w.message) for w in told)
    assert all(math.isnan(error) for error in fit.standard_errors.values())


def test_a_fit_that_has_not_settled_says_so(monkeypatch):
    from neuromem.retention import curve_scoring

    monkeypatch.setattr(curve_scoring.maximise, "__defaults__", (None, 1))
    _, k = counts("exp_asymptote", 1, 0.0, 1)
    with pytest.warns(ConvergenceWarning, match="not settled"):
        fit_curve(TIMES, k[0], N_ITEMS, model="exp_asymptote", floor=0)


def test_inputs_are_left_alone():
    _, k = counts("power1", 2, 0.5, 5)
    times, given = TIMES.copy(), k.copy()
    times.flags.writeable = given.flags.writeable = False
    fit_curve(times, given, N_ITEMS, floor=0.5)
    fit_curve(times[::-1], given[:, ::-1], N_ITEMS, floor=0.5, by="seed")
