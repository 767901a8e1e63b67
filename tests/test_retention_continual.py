"""Measures of continual learning: hand cases, signs, gaps, seeds, and inputs left alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from neuromem import InputError
from neuromem.retention import continual
from neuromem.retention.continual import (
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    continual_measures,
    forgetting,
    forgetting_events,
    forward_transfer,
    intransigence,
    learning_accuracy,
    online_matrix,
    positive_backward_transfer,
    remembering,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "retention" / "golden_retention.json").read_text())
CASE = GOLDEN["cl_metrics"]
R, B = np.array(CASE["R"]), np.array(CASE["b"])
GAIN = np.array(GOLDEN["cl_metrics_gain"]["R"])
PLAIN = (average_accuracy, backward_transfer, forgetting, learning_accuracy, average_incremental_accuracy, remembering)


def test_hand_case():
    assert average_accuracy(R).mean == pytest.approx(CASE["average_accuracy"], abs=1e-12)
    assert backward_transfer(R).mean == pytest.approx(CASE["bwt"], abs=1e-12)
    assert forward_transfer(R, B).mean == pytest.approx(CASE["fwt"], abs=1e-12)
    assert forgetting(R).mean == pytest.approx(CASE["forgetting"], abs=1e-12)
    assert forgetting(R, from_learned=True).mean == pytest.approx(CASE["forgetting_from_learned"], abs=1e-12)
    assert average_incremental_accuracy(R).mean == pytest.approx(CASE["average_incremental_accuracy"], abs=1e-12)
    assert learning_accuracy(R).mean == pytest.approx(CASE["learning_accuracy"], abs=1e-12)


def test_forgetting_keeps_its_sign_unless_told():
    golden = GOLDEN["cl_metrics_gain"]
    assert forgetting(GAIN).mean == pytest.approx(golden["forgetting"], abs=1e-12)
    assert backward_transfer(GAIN).mean == pytest.approx(golden["bwt"], abs=1e-12)
    assert forgetting(GAIN, clip_at_zero=True).mean == 0
    assert positive_backward_transfer(GAIN).mean == pytest.approx(0.2)
    assert remembering(GAIN).mean == 1


def test_best_before_counts_from_the_first_row_or_from_learning():
    early = [[0.5, 0.9, 0.0], [0.5, 0.6, 0.0], [0.4, 0.55, 0.8]]
    assert forgetting(early).mean == pytest.approx(np.mean([0.1, 0.35]))
    assert forgetting(early, from_learned=True).mean == pytest.approx(np.mean([0.1, 0.05]))
    assert forgetting(early, k=1).mean == pytest.approx(0.0)
    assert forgetting(R, k=2).mean == pytest.approx(np.mean([0.98 - 0.70, 0.97 - 0.85]))


def test_transfer_over_the_course_is_another_than_that_at_the_end():
    course = [0.80 - 0.98, 0.70 - 0.98, 0.85 - 0.97, 0.60 - 0.98, 0.75 - 0.97, 0.90 - 0.96]
    assert remembering(R).mean == pytest.approx(1 + np.mean(course))
    assert remembering(R).mean != pytest.approx(1 + backward_transfer(R).mean)
    assert positive_backward_transfer(R).mean == 0


def test_intransigence():
    assert intransigence(R, [0.99, 0.99, 0.99, 0.99]).mean == pytest.approx(0.04)
    assert intransigence(R, [0.99, 0.98, 0.99, 0.99], k=1).mean == pytest.approx(0.01)
    with pytest.raises(InputError, match="trained on all tasks"):
        intransigence(R, None)


def test_inputs_are_left_alone_and_a_second_call_says_the_same():
    given, b = R.copy(), B.copy()
    given.flags.writeable = b.flags.writeable = False
    first = {name: value.mean for name, value in continual_measures(given, b, [1.0] * 4).items()}
    again = {name: value.mean for name, value in continual_measures(given, b, [1.0] * 4).items()}
    assert first == again and len(first) == 9
    assert np.array_equal(given, R) and np.array_equal(b, B)
    ragged = R.tolist()
    forgetting(ragged)
    assert ragged == R.tolist()


def test_seeds_give_mean_and_error_in_any_order():
    rng = np.random.default_rng(0)
    seeds = np.clip(R + rng.normal(0, 0.05, (5, 4, 4)), 0, 1)
    for function in PLAIN:
        each = [function(one).mean for one in seeds]
        found = function(seeds)
        assert found.values == pytest.approx(each)
        assert found.mean == pytest.approx(np.mean(each)) and float(found) == found.mean
        assert found.standard_error == pytest.approx(np.std(each, ddof=1) / 5**0.5)
        turned = function(seeds[::-1])
        assert (turned.mean, turned.standard_error) == pytest.approx((found.mean, found.standard_error), rel=1e-12)
    assert np.isnan(forgetting(R).standard_error)
    assert forward_transfer(seeds, np.tile(B, (5, 1))).mean == pytest.approx(forward_transfer(seeds, B).mean)


def test_gaps_are_never_zeros():
    gap = R.copy()
    gap[np.triu_indices(4, 1)] = np.nan
    assert forgetting(gap).mean == pytest.approx(forgetting(R).mean)
    assert average_incremental_accuracy(gap).mean == pytest.approx(CASE["average_incremental_accuracy"])
    with pytest.raises(InputError, match=r"R\[i-1, i\] is NaN"):
        forward_transfer(gap, B)
    gap[3, 1] = np.nan
    for function in (average_accuracy, backward_transfer, forgetting, average_incremental_accuracy, remembering):
        with pytest.raises(InputError, match="not measured"):
            function(gap)
    with pytest.raises(InputError, match="not measured"):
        learning_accuracy(np.where(np.eye(4), np.nan, R))
    unseen = R.copy()
    unseen[:3, 0] = np.nan
    with pytest.raises(InputError, match="for every l before"):
        forgetting(unseen)
    last_only = np.full((3, 3), np.nan)
    last_only[np.diag_indices(3)], last_only[2] = 0.9, 0.8
    assert set(continual_measures(last_only)) == {"average_accuracy", "backward_transfer", "forgetting", "learning_accuracy"}


def test_forward_transfer_needs_the_untrained_model():
    with pytest.raises(InputError, match="b is missing"):
        forward_transfer(R, None)
    with pytest.raises(InputError, match="b is NaN"):
        forward_transfer(R, [0.1, np.nan, 0.1, 0.1])
    with pytest.raises(InputError, match="b has shape"):
        forward_transfer(R, [0.1, 0.1])


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((2, 3)), np.zeros((0, 0)), np.zeros((1, 2, 2, 2)), [[np.inf, 0], [0, 0]]])
def test_what_is_no_matrix_is_refused(bad):
    with pytest.raises(InputError, match="R has"):
        average_accuracy(bad)


def test_one_task_has_nothing_to_forget():
    assert average_accuracy([[0.7]]).mean == 0.7
    for function in (backward_transfer, forgetting, remembering):
        with pytest.raises(InputError, match="at least 2"):
            function([[0.7]])


def test_forgetting_events_against_a_plain_count():
    rng = np.random.default_rng(1)
    outcomes = rng.random((50, 9)) < 0.6
    outcomes[0], outcomes[1] = True, False
    events = forgetting_events(outcomes)
    for item, row in enumerate(outcomes.tolist()):
        learned = sum(now and not before for before, now in zip([False, *row], row, strict=False))
        lost = sum(before and not now for before, now in zip(row, row[1:], strict=False))
        assert (events.learned[item], events.lost[item]) == (learned, lost)
        assert events.never_learned[item] == (not any(row))
        assert events.unforgettable[item] == (any(row) and lost == 0)
    assert events.unforgettable[0] and events.never_learned[1]
    for bad in (np.zeros(3), np.zeros((0, 2)), [[0, 2]]):
        with pytest.raises(InputError, match="outcomes has"):
            forgetting_events(bad)


def test_online_matrix():
    rng = np.random.default_rng(2)
    outcomes = rng.random((3, 10))
    outcomes[0, 4:] = np.nan
    outcomes[1, 5] = np.nan
    found = online_matrix(outcomes, [4, 7, 10])
    for i in range(3):
        for j, (start, end) in enumerate(((0, 4), (4, 7), (7, 10))):
            there = [v for v in outcomes[i, start:end] if v == v]
            assert np.isnan(found[i, j]) if not there else found[i, j] == pytest.approx(sum(there) / len(there))
    for boundaries in ([4, 7], [4, 4, 10], [7, 4, 10], []):
        with pytest.raises(InputError, match="boundaries is"):
            online_matrix(outcomes, boundaries)
    with pytest.raises(InputError, match="checkpoints"):
        online_matrix(outcomes, [4, 10])
    with pytest.raises(InputError, match="checkpoints, items"):
        online_matrix([1.0, 2.0], [2])


def test_measures_say_how_many_values_stand_behind():
    assert continual.measure(np.array([0.5, 0.7])).values.tolist() == [0.5, 0.7]
