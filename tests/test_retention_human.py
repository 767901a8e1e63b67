"""Human tables: their sources, the fits that are known of them, files, and the overlay's honest time axis."""

import gzip
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from neuromem import InputError, MissingDataError, UnknownKeyError, datasets
from neuromem.errors import FormatError
from neuromem.experiments import retention_human
from neuromem.experiments.registry import EXPERIMENTS
from neuromem.retention import (
    EXACT_MINUTES,
    REPETITIONS,
    compare_curves,
    ebbinghaus_formula,
    fit_curve,
    half_time,
    human_curve,
    human_curves,
    human_figures,
    overlay,
)
from neuromem.retention.human import FIGURES

GOLDEN = json.loads((Path(__file__).parent / "golden" / "retention" / "golden_retention.json").read_text())
ORDER = ("ebbinghaus", "power", "log", "exponential", "exp_asymptote", "double_exp")
R2 = {
    "ebbinghaus": (0.9773, 0.9704, 0.9343, 0.3972, 0.8678, 0.9513),
    "mack": (0.8362, 0.7836, 0.7317, 0.2743, 0.8937, 0.9401),
    "seitz": (0.8993, 0.8695, 0.8348, 0.3438, 0.8392, 0.9301),
    "dros": (0.8207, 0.8620, 0.9319, 0.8371, 0.8598, 0.9747),
}


@pytest.mark.parametrize("name", R2)
def test_fits_of_the_tables(name):
    curve = human_curve(name)
    found = compare_curves(curve.minutes, values=curve.values, models=ORDER, floor=0)
    for model, r2 in zip(ORDER, R2[name], strict=True):
        assert found[model].fit.r2 == pytest.approx(r2, abs=1e-3), model
    # seven points do not carry four parameters
    assert len(found.best.parameters) == 2 and found["double_exp"].weight < 0.01
    by_aic = min(found.curves, key=lambda line: line.fit.aic).model
    assert by_aic == {"ebbinghaus": "ebbinghaus", "mack": "double_exp", "seitz": "ebbinghaus", "dros": "double_exp"}[name]


def test_ebbinghaus_s_own_constants():
    curve = human_curve("ebbinghaus")
    fit = fit_curve(curve.minutes, values=curve.values, model="ebbinghaus", floor=0)
    assert fit.parameters["k"] == pytest.approx(1.797, abs=1e-3) and fit.parameters["c"] == pytest.approx(1.205, abs=1e-3)
    assert fit.sse == pytest.approx(0.00218, abs=5e-6)
    for name, published in (("k", 1.84), ("c", 1.25)):
        low, high = fit.intervals()[name]
        assert low < published < high


def test_the_formula_s_column():
    found = ebbinghaus_formula(EXACT_MINUTES)
    assert found.round(3).tolist() == [0.570, 0.468, 0.345, 0.304, 0.281, 0.249, 0.212]
    np.testing.assert_allclose(found, GOLDEN["ebbinghaus1885_pred"], rtol=1e-12)
    assert ebbinghaus_formula(1.0) == 1
    for bad in (0.5, np.nan):
        with pytest.raises(InputError, match="minutes has"):
            ebbinghaus_formula([2.0, bad])


@pytest.mark.parametrize("name", ["mack", "seitz", "dros"])
def test_savings_are_those_of_the_repetitions(name):
    learned, again = np.array(REPETITIONS[name])
    np.testing.assert_allclose((learned - again) / learned, human_curve(name).values, atol=6e-4)


def test_ebbinghaus_s_savings_are_in_time_and_differ_from_his_repetitions():
    learned, again = np.array(REPETITIONS["ebbinghaus"])
    assert abs((learned - again) / learned - human_curve("ebbinghaus").values).max() > 0.05


def test_what_was_not_checked_is_hidden_unless_asked_for():
    assert "shepard" not in human_curves() and "shepard" in human_curves(unverified=True)
    with pytest.raises(InputError, match="unverified=True"):
        human_curve("shepard")
    assert not human_curve("shepard", unverified=True).verified
    shown, everything = human_figures(), human_figures(unverified=True)
    assert len(everything) == len(FIGURES) > len(shown) and all(figure.verified for figure in shown)
    assert all("not checked" in figure.source for figure in everything if not figure.verified)
    assert all(figure.source and "not checked" not in figure.source for figure in shown)
    assert [figure.value for figure in human_figures("shepard_1967")] == [0.985]


def test_published_figures_are_as_published():
    assert [f.value for f in human_figures("brady_2008")] == [0.92, 0.88, 0.87]
    assert [(f.n_items, f.value) for f in human_figures("standing_1973") + human_figures("konkle_2010")] == [
        (10_000, 0.83),
        (2800, 0.82),
    ]
    assert [(f.low, f.high) for f in human_figures("cepeda_2008")] == [(0.2, 0.4), (0.05, 0.10)]


def test_unknown_names():
    with pytest.raises(UnknownKeyError, match="ebbinghaus"):
        human_curve("bahrick")
    with pytest.raises(UnknownKeyError, match="brady_2008"):
        human_figures("brady")


# ---------------------------------------------------------------- overlay


def test_half_time():
    t = np.array([0.0, 1, 2, 4, 8])
    assert half_time(t, [0.9, 0.6, 0.3, 0.2, 0.1]) == pytest.approx(2 ** (0.15 / 0.3))
    assert half_time(t, [0.9, 0.4, 0.3, 0.2, 0.1]) == pytest.approx(0.45 / 0.5)  # between 0 and 1 there is no logarithm
    assert half_time(t, [1.0, 0.9, 0.75, 0.6, 0.5], chance=0.5) == 2
    with pytest.raises(InputError, match="do not fall to half"):
        half_time(t, [0.9, 0.8, 0.7, 0.6, 0.5])
    with pytest.raises(InputError, match="ascending"):
        half_time(t[::-1], [0.9, 0.6, 0.3, 0.2, 0.1])


@pytest.fixture
def ax():
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def test_overlay_meets_the_machine_at_half_and_says_by_what_factor(ax, caplog):
    lags = np.array([1.0, 10, 100, 1000])
    ax.plot(lags, [0.9, 0.6, 0.3, 0.1])
    with caplog.at_level(logging.INFO, logger="neuromem"):
        assert overlay(ax, "ebbinghaus") is ax
    drawn = ax.lines[1]
    assert half_time(drawn.get_xdata(), drawn.get_ydata()) == pytest.approx(half_time(lags, [0.9, 0.6, 0.3, 0.1]))
    factor = drawn.get_xdata()[0] / 20
    assert f"1 minute = {factor:.3g} items" in drawn.get_label() and drawn.get_label() in caplog.text
    np.testing.assert_array_equal(drawn.get_ydata(), human_curve("ebbinghaus").values)


def test_overlay_with_a_factor_of_one_s_own(ax):
    overlay(ax, "mack", time_scale=1 / 60, unit="hours", color="red")
    line = ax.lines[0]
    np.testing.assert_allclose(line.get_xdata(), human_curve("mack").minutes / 60)
    assert line.get_color() == "red" and "0.0167 hours" in line.get_label()
    overlay(ax, "dros", machine=([0, 10, 20], [0.95, 0.75, 0.6]), chance=0.5)
    assert ax.lines[1].get_xdata()[0] > 0


def test_overlay_refuses_to_guess(ax):
    with pytest.raises(InputError, match="no line yet"):
        overlay(ax)
    ax.plot([1, 10], [0.9, 0.8])
    with pytest.raises(InputError, match="give time_scale as a number"):
        overlay(ax)
    for options in ({"time_scale": 0}, {"time_scale": "third"}, {"unit": "beats"}, {"which": "shepard"}):
        with pytest.raises(InputError):
            overlay(ax, **options)
    assert len(ax.lines) == 1


# ---------------------------------------------------------------- files

READERS = (
    (datasets.ebbinghaus_savings, "ebbinghaus_1885_savings.csv"),
    (datasets.murre_dros_savings, "murre_dros_2015_savings.csv"),
    (datasets.peers_free_recall, "peers_free_recall.csv.gz"),
)
readers = pytest.mark.parametrize(("reader", "name"), READERS, ids=[name for _, name in READERS])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROMEM_DATA", str(tmp_path))
    (tmp_path / "human_memory").mkdir()
    return tmp_path / "human_memory"


@readers
def test_a_missing_file_is_named_with_origin_size_and_licence(folder, reader, name):
    with pytest.raises(MissingDataError) as caught:
        reader()
    for word in (f"human_memory/{name}", "licence", "NEUROMEM_DATA", "B" if name.endswith("gz") else "bytes"):
        assert word in str(caught.value)


@readers
@pytest.mark.parametrize("content", [b"", b"other,columns\n1,2\n", b"\xff\xfe\x00", b"\x1f\x8b cut"])
def test_a_damaged_file_is_a_format_error(folder, reader, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(FormatError, match=name):
        reader()


def test_bad_lines_are_format_errors(folder):
    path = folder / "ebbinghaus_1885_savings.csv"
    head = "delay_in_hours,percent_savings\n"
    for body in ("", "1\n", "1,2,3\n", "1,x\n", "1,inf\n"):
        path.write_text(head + body)
        with pytest.raises(FormatError, match=path.name):
            datasets.ebbinghaus_savings()
    path = folder / "peers_free_recall.csv.gz"
    head = "subject,list,position,trial_type,item,session\n"
    for body in ("1,1,1,said,PIE,1\n", "1,1,1.5,study,PIE,1\n", "1,1,99999999999999999999,study,PIE,1\n"):
        path.write_bytes(gzip.compress((head + body).encode()))
        with pytest.raises(FormatError, match=path.name):
            datasets.peers_free_recall()


def test_files_are_the_tables(read_data):
    minutes, savings = read_data(datasets.ebbinghaus_savings)
    np.testing.assert_allclose(savings, human_curve("ebbinghaus").values, atol=1e-12)
    np.testing.assert_allclose(minutes, [19.8, 60, 528, 1440, 2880, 8640, 44640])
    minutes, savings, errors = read_data(datasets.murre_dros_savings)
    np.testing.assert_allclose(minutes, human_curve("mack").minutes)
    for name in ("Mack", "Seitz", "Dros"):
        np.testing.assert_allclose(savings[name], human_curve(name.lower()).values, atol=1e-12)
    assert all((0 < e).all() and (e < 0.05).all() for e in errors.values()) and set(errors) == set(savings)


def test_free_recall(read_data):
    events = read_data(datasets.peers_free_recall)
    assert (~events["recall"]).sum() == 56_448 and events["recall"].sum() == 39_763
    assert len(np.unique(events["subject"])) == 126 and events["position"][~events["recall"]].max() == 16
    shares = retention_human.recall_by_position(events)
    assert shares.shape == (126, 16) and (shares >= 0).all() and (shares <= 1).all()
    mean = shares.mean(0)
    assert mean[0] > mean[7] + 0.1 and mean[-1] > mean[7] + 0.2  # primacy and recency


def test_recall_by_position_against_a_plain_count():
    rng = np.random.default_rng(0)
    rows = []
    for person in (3, 8):
        for number in (1, 2):
            words = [f"w{person}{number}{i}" for i in range(16)]
            rows += [(person, number, i + 1, False, word) for i, word in enumerate(words)]
            said = [*rng.choice(words, 5, replace=False), "other", words[0], words[0]]
            rows += [(person, number, i + 1, True, str(word)) for i, word in enumerate(said)]
    events = dict(zip(("subject", "list", "position", "recall", "item"), map(np.array, zip(*rows, strict=True)), strict=True))
    found = retention_human.recall_by_position(events)
    for place, person in enumerate((3, 8)):
        for position in range(16):
            wanted = 0
            for number in (1, 2):
                word = f"w{person}{number}{position}"
                wanted += any(row[0] == person and row[1] == number and row[3] and row[4] == word for row in rows)
            assert found[place, position] == wanted / 2


# ---------------------------------------------------------------- the experiment


def run(out):
    return EXPERIMENTS["retention-human"].run(quick=True, seeds=None, out=out, progress=False)


def values(result, metric):
    return {row.condition: row.value for row in result.rows if row.metric == metric}


def test_the_experiment_without_files(tmp_path, folder):
    pytest.importorskip("matplotlib")
    result = run(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == result.figures == ["retention-human.png"]
    assert "is missing" in result.settings["files"]
    formula = [row for row in result.rows if row.metric == "savings"]
    assert [round(row.value, 3) for row in formula] == [row.published for row in formula] and len(formula) == 7
    r2 = values(result, "R2")
    for name, wanted in R2.items():
        for model, value in zip(ORDER, wanted, strict=True):
            assert r2[f"{human_curve(name).name}, {model}"] == pytest.approx(value, abs=1e-3)
    assert not [row for row in result.rows if row.condition.startswith("free recall")]
    constants = [row for row in result.rows if row.metric.startswith("constant")]
    assert all(row.ci_low < row.published < row.ci_high for row in constants) and len(constants) == 2


def test_the_experiment_with_files(read_data, tmp_path):
    read_data(datasets.peers_free_recall)
    result = run(None)
    assert result.settings["files"] == "read"
    differences = values(result, "largest difference")
    assert len(differences) == 5 and max(differences.values()) < 6e-4
    recalled = values(result, "share recalled")
    first, middle, last = recalled.values()
    assert last > first > middle
