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


def test_intervals():
    low, high = wilson_interval(0.5, 100)
    assert (round(low, 3), round(high, 3)) == (0.404, 0.596)
    result = Result("x", 0, {})
    row = result.add("c", "m", [1.0, 2.0, 3.0])
    assert row.value == 2.0 and row.ci_low == pytest.approx(2 - 4.303 / 3**0.5, abs=1e-3)
