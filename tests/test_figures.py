"""Figures in README, the documentation and the benchmarks are those of the committed results."""

import importlib.util
import json
from pathlib import Path

import pytest

from neuromem.experiments.registry import EXPERIMENTS

ROOT = Path(__file__).parent.parent
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_as_the_results_are(tables, capsys):
    assert tables.main(["--check"]) == 0, capsys.readouterr().out
    for page in ("README.md", "docs/sparsey.md"):
        assert tables.MARK.search((ROOT / page).read_text()), f"{page} has no table"


def test_a_figure_changed_by_hand_is_found(tables, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "sparsey.md").read_text()
    assert text.count("0.98") > 0
    page = tmp_path / "page.md"
    page.write_text(text.replace("0.98", "0.99"))
    monkeypatch.setattr(tables, "PAGES", [page])
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    assert tables.main(["--check"]) == 1
    assert tables.main([]) == 0 and page.read_text() == text


def test_a_marker_that_fits_no_row_is_an_error(tables):
    with pytest.raises(ValueError, match="no row of sisc fits"):
        tables.table("sisc | accuracy")


@pytest.mark.parametrize("path", RESULTS, ids=[path.stem for path in RESULTS])
def test_results_are_of_experiments_that_exist_and_say_where_they_ran(path):
    found = json.loads(path.read_text())
    assert found["experiment"] == path.stem and path.stem in EXPERIMENTS
    assert found["environment"]["cpu"] and found["seconds"] and found["rows"]


def test_every_experiment_has_a_committed_result():
    assert {path.stem for path in RESULTS} == set(EXPERIMENTS)
