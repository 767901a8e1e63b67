"""Experiments in their quick forms: figures within what they must be, tables complete, pictures drawn."""

import json

import pytest

from neuromem.experiments.registry import EXPERIMENTS
from neuromem.experiments.result import Result, wilson_interval, write_json

CONTROLS = ("control: uniform winners", "control: random patches", "control: random weights")


@pytest.fixture
def run(tmp_path):
    def run_experiment(name):
        result = EXPERIMENTS[name].run(quick=True, seeds=None, out=tmp_path, progress=False)
        assert [path.name for path in tmp_path.iterdir()] == result.figures
        write_json(result, tmp_path / "result.json")
        assert json.loads((tmp_path / "result.json").read_text())["experiment"] == name
        assert all(row.condition in result.table() for row in result.rows)
        return result

    return run_experiment


def values(result, metric="accuracy"):
    return {row.condition: row.value for row in result.rows if row.metric == metric}


def test_sisc(run):
    result = run("sisc")
    measured, law = values(result, "share of equal winners"), values(result, "closed form")
    assert len(measured) == 13 and all(abs(measured[name] - law[name]) < 0.02 for name in measured)


def test_capacity(run):
    result = run("sparsey-capacity")
    fill, law = values(result, "weights set"), values(result, "weights set by the law")
    recalled = values(result, "stored winners recalled")
    for name in fill:
        if law[name] < 0.6:
            assert abs(fill[name] - law[name]) < 0.02 and recalled[name] > 0.99
    assert len({row.value for row in result.rows if row.metric == "bytes of state"}) == 1


def test_sparsey_sequences(run):
    result = run("sparsey-sequences")
    first, second = (values(result, f"winners as learned, level {level}") for level in (1, 2))
    half = "every second frame dropped, 2 pixels moved"
    assert first[f"one level, relative .7: {half}"] >= 0.93 and first[f"one level, no back-off: {half}"] <= 0.6
    released, held = (f"two levels, persistence 4, {r}, relative .8: {half}" for r in ("release .6", "no release"))
    assert first[released] >= 0.95 and second[released] >= 0.95 and second[held] < 0.8
    endings = values(result, "right endings")
    assert all(value >= 0.95 for name, value in endings.items() if "neither" not in name)
    assert 0.35 <= endings["neither, 2 frames shared"] <= 0.65
    recalled = values(result, "winners recalled from frame 1")
    assert recalled["one level 24x32, 400 frames"] >= 0.99
    assert all(value < 0.95 for name, value in recalled.items() if name.startswith("two levels") and "400" in name)
    after_two_words = values(result, "pixels right after two words")
    announced = [value for name, value in after_two_words.items() if "in common" in name]
    assert min(announced) > 0.95 > max(value for name, value in after_two_words.items() if name.startswith("one level"))


def test_mnist_200(run, mnist_data):
    result = run("mnist-200")
    found = values(result)
    assert found["Sparsey, binary labels"] > 0.84  # the first 2,000 test digits are the harder ones
    assert all(any(name.startswith(control) for name in found) for control in CONTROLS)
    strict = next(row for row in result.rows if row.condition == "Sparsey, binary labels")
    assert (strict.presentations, strict.items_stored, strict.items_labelled) == (1, 300, 2000)
    second = next(row for row in result.rows if row.condition.startswith("Sparsey, labels on a second"))
    assert second.presentations == pytest.approx(1.15)


def test_mnist(run, mnist_data):
    found = values(run("mnist"))
    assert found["fine grid, deskew, delta labels"] > 0.96
    assert found["multi-scale vote, no deskew and deskew, delta labels"] > found["fine grid, no deskew, counts labels"]
    assert {"1-nearest-neighbour, pixels", "logistic regression, pixels"} <= set(found)


def test_continual(run, mnist_data):
    kept = values(run("sparsey-continual"), "share of the shuffled accuracy kept")
    assert all(0 < share <= 1.05 for share in kept.values())


def test_few(run, mnist_data, omniglot_data):
    found = values(run("sparsey-few"))
    assert found["Omniglot one-shot: modified Hausdorff distance"] > 0.4
    assert found["2 per class: 128 cells, Sparsey, counts labels"] > 0.2


def held(result, condition="all points", *, fewest):
    """Simulation within five standard errors of theory, in every amplitude; deviations as chance makes them."""
    rows = {row.metric: row for row in result.rows if row.condition == condition}
    share, largest = rows["share within 5 standard errors"], rows["largest deviation, standard errors"]
    assert share.value == 1 and share.n >= fewest and largest.value < 5
    spread = rows["root mean square deviation, standard errors"].value
    assert 0.6 < spread < 1.6
    points = [row for row in result.rows if row.metric == largest.metric and not row.condition.startswith("all")]
    assert points and max(row.value for row in points) <= 5


def test_hopfield_amplitudes(run):
    result = run("hopfield-amplitudes")
    held(result, fewest=30)
    assert values(result, "share that solve the equations") == {"all ends": 1}
    hierarchy, majority = (values(result, f"share that ends {kind}") for kind in ("hierarchical", "graded majority"))
    for d in (0.3, 0.53, 0.56, 0.6):  # below d_c of three patterns both states catch random starts, beyond it one
        assert 0.4 < hierarchy[f"K 3, d {d:.2f}, random starts"] < 0.95
    assert majority["K 3, d 0.64, random starts"] == majority["K 3, d 0.90, random starts"] == 1
    energies = {kind: values(result, f"energy per unit, {kind}") for kind in ("hierarchical", "graded majority")}
    below, beyond = ({kind: of[f"K 3, d {d}, energies"] for kind, of in energies.items()} for d in ("0.53", "0.56"))
    assert below["hierarchical"] < below["graded majority"] and beyond["hierarchical"] > beyond["graded majority"]


def test_hopfield_phase(run):
    result = run("hopfield-phase")
    held(result, fewest=300)
    assert values(result, "share of points in the phase that theory says")["all points"] == 1
    law = values(result, "T / (1 - d) up to which, closed form")
    rows = {row.condition: row for row in result.rows if row.metric == "T / (1 - d) up to which simulated"}
    assert len(rows) > 15 and all(row.ci_low <= law[name] <= row.ci_high for name, row in rows.items())


def test_hopfield_temperature(run):
    result = run("hopfield-temperature")
    held(result, fewest=60)
    slopes = values(result, "exponent of N in the distance from theory (-1/2 by theory)")
    assert len(slopes) == 2 and all(abs(slope + 0.5) < 0.06 for slope in slopes.values())


def test_hopfield_learning(run):
    result = run("hopfield-learning")
    for condition, fewest in (("with labels", 9), ("without labels", 9)):
        held(result, f"all points, {condition}", fewest=fewest)
    held_cold = values(result, "share within 5 standard errors")["all points, zero noise, one pattern"]
    assert held_cold == 1
    assert max(values(result, "largest difference that labels make, theory").values()) < 1e-3


def test_hopfield_loss(run):
    result = run("hopfield-loss")
    assert set(values(result, "records in which the energy rose").values()) == {0}
    assert set(values(result, "records in which the sum of L+ L- rose").values()) == {0}
    assert max(values(result, "energy from the losses, log10 of the largest relative error").values()) < -12


def test_hopfield_load(run):
    result = run("hopfield-load")
    held(result, fewest=8)
    assert values(result, "share of networks within one pattern of the law")["all points"] == 1


def test_hopfield_mnist(run, mnist_data):
    result = run("hopfield-mnist")
    held(result, fewest=40)
    told = values(result, "share of test digits told")
    assert told["M 1000, cue itself"] > 0.6 > 0.2 > told["M 1000, after recall"]


def test_intervals():
    low, high = wilson_interval(0.5, 100)
    assert (round(low, 3), round(high, 3)) == (0.404, 0.596)
    result = Result("x", 0, {})
    row = result.add("c", "m", [1.0, 2.0, 3.0])
    assert row.value == 2.0 and row.ci_low == pytest.approx(2 - 4.303 / 3**0.5, abs=1e-3)
