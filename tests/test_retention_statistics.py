"""Statistics against published values and naive forms; the table of results and its files; sequence measures."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from neuromem import FormatError, InputError, ScoreError
from neuromem.retention import (
    ProbeResult,
    d_prime,
    edit_similarity,
    roc_area,
    rouge_l,
    rouge_n,
    wilson_interval,
    yes_no,
    z_roc_slope,
)
from neuromem.retention.results import COLUMNS, table_of
from neuromem.retention.statistics import (
    binary_entropy,
    difference_test,
    forced_choice,
    mean_interval,
    mutual_information,
    n_for_precision,
    normal_share,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "retention" / "golden_retention.json").read_text())


def test_wilson_intervals_are_the_published_ones():
    for name, (low, high) in GOLDEN["wilson95"].items():
        k, n = map(int, name.split("/"))
        found = wilson_interval(k, n)
        assert found[0] == pytest.approx(low, abs=1e-12) and found[1] == pytest.approx(min(high, 1.0), abs=1e-12)
    assert wilson_interval(0, 10)[0] == 0.0 and wilson_interval(10, 10)[1] == 1.0
    assert [float(end) for end in wilson_interval(0, 0)] == [0.0, 1.0]


def test_wilson_ends_are_where_the_score_test_is_at_its_limit():
    from scipy.stats import norm

    k, n = np.array([1, 7.5, 40]), np.array([5, 30, 41])
    for confidence in (0.5, 0.95, 0.999):
        low, high = wilson_interval(k, n, confidence)
        for end in (low, high):
            z = (k / n - end) / np.sqrt(end * (1 - end) / n)
            np.testing.assert_allclose(np.abs(z), norm.ppf(0.5 + confidence / 2), rtol=1e-9)


def test_wilson_intervals_cover_what_they_should():
    rng = np.random.default_rng(0)
    for p in (0.03, 0.5, 0.9):
        low, high = wilson_interval(rng.binomial(100, p, 4000), 100)
        assert 0.93 < ((low <= p) & (p <= high)).mean() < 0.98


def test_more_successes_than_trials_are_refused():
    for k, n in ((3, 2), (-1, 2), (np.nan, 2)):
        with pytest.raises(InputError, match="k is"):
            wilson_interval(k, n)
    with pytest.raises(InputError, match="confidence"):
        wilson_interval(1, 2, 1.0)


def test_d_prime_of_published_accuracies():
    for accuracy, value in GOLDEN["dprime_2afc"].items():
        assert float(d_prime(float(accuracy), 10**6)) == pytest.approx(value, abs=1e-10)
    assert float(d_prime(0.5, 10)) == 0.0
    assert float(d_prime(1.0, 10)) == pytest.approx(float(d_prime(0.95, 10**6)))  # clipped to 1 - 1/(2n)


def test_forced_choice_shares_ties():
    choice = forced_choice([1.0, 2, 3, 4], [1.0, 3, 1, 4])
    assert choice.outcomes.tolist() == [0.5, 0, 1, 0.5] and choice.accuracy == 0.5 and choice.strict_accuracy == 0.25
    three = forced_choice([1.0, 1, 1, 1], [[0, 0], [1, 0], [1, 1], [2, 1]])
    assert three.outcomes == pytest.approx([1, 1 / 2, 1 / 3, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_never_compared(bad):
    good = [1.0, 2.0, 3.0]
    wrong = [1.0, 2.0, bad]
    for function in (forced_choice, roc_area, z_roc_slope, yes_no):
        with pytest.raises(ScoreError, match=f"{bad} at index 2; 1 of 3"):
            function(wrong, good)
        with pytest.raises(ScoreError, match="foil_scores .* at index 2"):
            function(good, wrong)


def test_roc_area_is_the_share_of_all_pairs():
    rng = np.random.default_rng(1)
    for _ in range(20):
        a, b = rng.integers(0, 6, rng.integers(1, 30)), rng.integers(0, 6, rng.integers(1, 30))
        naive = np.mean([(x > y) + 0.5 * (x == y) for x in a for y in b])
        assert roc_area(a, b) == pytest.approx(naive, abs=1e-12)
        assert roc_area(a, b) + roc_area(b, a) == pytest.approx(1.0)


def test_z_roc_slope_is_the_ratio_of_spreads():
    rng = np.random.default_rng(2)
    assert z_roc_slope(rng.normal(1.5, 2.0, 200_000), rng.normal(0, 1, 200_000)) == pytest.approx(0.5, abs=0.02)
    assert z_roc_slope(rng.normal(1.0, 1.0, 200_000), rng.normal(0, 1, 200_000)) == pytest.approx(1.0, abs=0.03)
    assert np.isnan(z_roc_slope([1.0, 1.0], [1.0, 1.0]))


def test_criterion_is_chosen_on_the_other_half():
    # even places would put the criterion at 5; odd ones, which are counted, lie otherwise
    found = yes_no([9, 1, 9, 9], [1, 9, 1, 1])
    assert (found.hits, found.n_studied, found.false_alarms, found.n_new) == (1, 2, 1, 2)
    rng = np.random.default_rng(3)
    noise = [yes_no(rng.normal(size=40), rng.normal(size=40)) for _ in range(2000)]
    gains = np.array([found.hits / found.n_studied - found.false_alarms / found.n_new for found in noise])
    assert abs(gains.mean()) < 5 * gains.std() / 2000**0.5  # chosen on the same half it would be positive
    with pytest.raises(InputError, match="two of each"):
        yes_no([1.0], [1.0, 2.0])


def test_information_of_fair_bits_is_what_the_error_leaves():
    for error in (0.0, 0.1, 0.5):
        joint = [[(1 - error) * 500, error * 500], [error * 500, (1 - error) * 500]]
        assert mutual_information(joint) == pytest.approx(1 - float(binary_entropy(error)), abs=1e-12)
    assert mutual_information([[90, 10], [9, 1]]) == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(mutual_information(np.zeros((2, 2))))


def test_trials_for_a_precision_give_it():
    for precision in (0.005, 0.05):
        n = n_for_precision(precision)
        low, high = wilson_interval(n / 2, n)
        assert precision * 0.97 < (high - low) / 2 <= precision


def test_difference_of_curves_has_the_size_it_claims():
    rng = np.random.default_rng(4)
    p, n = np.linspace(0.95, 0.5, 12), np.full(12, 400)
    same = [difference_test(rng.binomial(n, p), n, rng.binomial(n, p), n)[1] for _ in range(1000)]
    assert 0.02 < np.mean(np.array(same) < 0.05) < 0.09
    assert difference_test(rng.binomial(n, p), n, rng.binomial(n, p - 0.15), n)[1] < 1e-6
    assert difference_test([5], [5], [7], [7]) == (0.0, 1.0)
    ties = rng.choice([0.5, 1.0], (1000, 2, 12, 100))
    halves = [difference_test(a.sum(1), n // 4, b.sum(1), n // 4, (a**2).sum(1), (b**2).sum(1))[1] for a, b in ties]
    assert 0.03 < np.mean(np.array(halves) < 0.05) < 0.09


def test_mean_intervals():
    found = np.array([mean_interval(values) for values in np.random.default_rng(5).normal(2, 3, (2000, 50))])
    assert 0.93 < ((found[:, 1] < 2) & (found[:, 2] > 2)).mean() < 0.965
    assert np.mean(found[:, 2] - found[:, 1]) / 2 == pytest.approx(1.96 * 3 / 50**0.5, rel=0.03)
    assert np.isnan(mean_interval([])[0]) and mean_interval([4.0])[0] == 4.0 and np.isnan(mean_interval([4.0])[1])
    assert float(normal_share(1.959963984540054)) == pytest.approx(0.975)


# ---------------------------------------------------------------- table


def example():
    rows = [
        {"system": 'A, "b"\n', "probe": "recall", "measure": "exact", "cue_fraction": 0.1 + 0.2, "seed": 0, "n": 3, "k": 1.5},
        {
            "system": "é",
            "probe": "recognition",
            "foil": "variant",
            "level": 1 / 32,
            "lag_items": 0,
            "value": 1e-17,
            "seconds": 2.0,
        },
        {"probe": "a much longer name than the others have", "exposures": None, "value": 1.0},
    ]
    arrays = {"recall exact": np.arange(12, dtype=np.uint8).reshape(1, 4, 3) % 3, "x": np.array([0.1, -2.0], np.float32)}
    return ProbeResult(rows, {"seeds": [0, 1], "source": {"d": 5, "flip": 0.1}}, arrays)


def test_files_give_back_what_was_written(tmp_path):
    result = example()
    for seconds in (False, True):
        result.to_json(tmp_path / "a.json", seconds=seconds)
        again = ProbeResult.load(tmp_path / "a.json")
        again.to_json(tmp_path / "b.json", seconds=seconds)
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
        assert again == result and again.config == result.config
        for name, array in result.arrays.items():
            assert np.array_equal(again.arrays[name], array) and again.arrays[name].dtype == array.dtype
        assert again.rows()[1]["seconds"] == (2.0 if seconds else None)
        result.to_csv(tmp_path / "a.csv", seconds=seconds)
        table = ProbeResult.load(tmp_path / "a.csv")
        table.to_csv(tmp_path / "b.csv", seconds=seconds)
        assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
        assert [r | {"seconds": None} for r in table.rows()] == [r | {"seconds": None} for r in result.rows()]
    assert not list(tmp_path.glob(".*")), "a part was left behind"


def test_json_is_strict_and_has_no_times(tmp_path):
    example().to_json(tmp_path / "a.json")

    def refuse(text):
        raise AssertionError(text)

    content = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert content["schema_version"] == 1 and content["library"] and "seconds" not in content["columns"]
    with (tmp_path / "a.csv").open("w") as file:
        file.write(example().csv_text())
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [row["k"] for row in csv.DictReader(file)] == ["1.5", "", ""]


def test_results_are_equal_whatever_the_times_say():
    one, other = example(), example()
    other.table["seconds"] = 7.0
    assert one == other
    other.table["value"][1] += 1e-16
    assert one != other and one != "text"
    fewer = ProbeResult(one.table, one.config, {})
    assert fewer != one


def test_rows_leave_out_what_does_not_apply():
    first = example().rows()[0]
    assert first["lag_items"] is None and first["level"] is None and first["foil"] == "" and first["k"] == 1.5
    assert list(first) == list(COLUMNS)
    assert list(example()) == example().rows()


def test_rows_are_chosen_by_their_columns():
    result = example()
    assert len(result.where(probe=["recall", "recognition"])) == 2
    assert len(result.where(level=None)) == 2 and len(result.where(lag_items=None)) == 2 and len(result.where(seed=range(3))) == 1
    assert len(result.where(level=1 / 32, foil="variant")) == 1 and len(result.where(probe="nothing")) == 0
    assert result.where(probe="recall").values("k").tolist() == [1.5]
    with pytest.raises(InputError, match="column is 'colour'"):
        result.where(colour=1)


def test_curves_pool_seeds():
    rows = [
        {"lag_items": lag, "seed": s, "n": 10, "k": k, "value": k / 10}
        for s, k0 in ((0, 9), (1, 7))
        for lag, k in ((0, k0), (5, 5))
    ]
    curve = ProbeResult(rows).curve()
    assert curve["x"].tolist() == [0, 5] and curve["n"].tolist() == [20, 20] and curve["value"].tolist() == [0.8, 0.5]
    low, high = wilson_interval(16, 20)
    assert (curve["ci_lo"][0], curve["ci_hi"][0]) == (low, high)
    for row in rows:
        row["k"] = None
    assert ProbeResult(rows).curve()["value"].tolist() == pytest.approx([0.8, 0.5])
    with pytest.raises(InputError, match="several values of measure"):
        ProbeResult([{"measure": "a"}, {"measure": "b"}]).curve()


def test_results_are_joined():
    both = example() + ProbeResult([{"system": "a very long name of a system", "probe": "recall"}])
    assert len(both) == 4 and both.rows()[3]["system"] == "a very long name of a system"
    assert both.config["parts"][0] == example().config and set(both.arrays) == {"0 recall exact", "0 x"}
    assert len(ProbeResult.concatenate([])) == 0


def test_outcomes_are_halves():
    matrix = example().outcome_matrix("recall exact")
    assert matrix.shape == (1, 4, 3) and set(matrix.ravel().tolist()) == {0.0, 0.5, 1.0}
    with pytest.raises(InputError, match="name"):
        example().outcome_matrix("recall")


def test_a_table_for_pandas():
    pandas = pytest.importorskip("pandas")
    frame = example().to_pandas()
    assert isinstance(frame, pandas.DataFrame) and list(frame.columns) == list(COLUMNS) and len(frame) == 3


def test_unknown_columns_are_refused():
    with pytest.raises(InputError, match="colour"):
        ProbeResult([{"colour": 3}])
    with pytest.raises(InputError, match="columns"):
        ProbeResult(np.zeros(3, [("a", float)]))
    assert len(table_of([])) == 0


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.json"
    example().to_json(path)
    text = path.read_text()
    bad = [
        "",
        "[]",
        text[:-40],
        text.replace('"schema_version": 1', '"schema_version": 2'),
        text.replace("1e-17", "NaN"),
        text.replace('"seed"', '"sead"'),
        text.replace("|u1", "|O8"),
        text.replace("[1, 4, 3]", "[1, 4, 4]"),
        text.replace('"recall"', "7"),
    ]
    for content in bad:
        assert content != text
        path.write_text(content)
        with pytest.raises(FormatError, match=r"a\.json"):
            ProbeResult.load(path)
    table = tmp_path / "a.csv"
    for content in ("", "a,b\n1,2\n", example().csv_text().replace(",3,1.5", ",x,1.5")):
        table.write_text(content)
        with pytest.raises(FormatError, match=r"a\.csv"):
            ProbeResult.load(table)


# ---------------------------------------------------------------- sequences


@pytest.mark.jit_off
def test_sequence_measures_of_hand_cases():
    assert edit_similarity(["kitten", "", "abc", ""], ["sitting", "", "abc", "xy"]) == pytest.approx([1 - 3 / 7, 1, 1, 0])
    wanted = "the cat was found under the bed".split()
    recalled = "the cat was under the bed".split()
    assert rouge_n([recalled], [wanted], 1) == pytest.approx([12 / 13])
    assert rouge_n([recalled], [wanted], 2) == pytest.approx([8 / 11])
    assert rouge_l([recalled], [wanted]) == pytest.approx([12 / 13])
    # "the the the" shares only as many as both have
    assert rouge_n(["the the the".split()], ["the cat".split()], 1) == pytest.approx([2 / 5])
    assert rouge_l(["ABCBDAB"], ["BDCABA"]) == pytest.approx([8 / 13])  # the textbook pair: length 4
    assert rouge_n(["ab"], ["ab"], 3).tolist() == [0.0]
    assert rouge_l(["", "a"], ["a", ""]).tolist() == [0.0, 0.0]


def plain_rouge(a, b, n):
    runs = [Counter(tuple(s[i : i + n]) for i in range(len(s) - n + 1)) for s in (a, b)]
    total = sum(runs[0].values()) + sum(runs[1].values())
    return 2 * sum((runs[0] & runs[1]).values()) / total if total else 0.0


def test_sequence_measures_against_plain_forms():
    rng = np.random.default_rng(6)
    a = [rng.integers(0, 4, n).tolist() for n in rng.integers(0, 15, 60)]
    b = [rng.integers(0, 4, n).tolist() for n in rng.integers(0, 15, 60)]
    for n in (1, 2, 3):
        assert rouge_n(a, b, n) == pytest.approx([plain_rouge(x, y, n) for x, y in zip(a, b, strict=True)])

    def distance(x, y):
        table = np.add.outer(np.arange(len(x) + 1), np.arange(len(y) + 1))
        for i in range(1, len(x) + 1):
            for j in range(1, len(y) + 1):
                change = table[i - 1, j - 1] + (x[i - 1] != y[j - 1])
                table[i, j] = min(change, table[i - 1, j] + 1, table[i, j - 1] + 1)
        return 1 - table[-1, -1] / max(len(x), len(y), 1)

    assert edit_similarity(a, b) == pytest.approx([distance(x, y) for x, y in zip(a, b, strict=True)])
    rows = rng.integers(0, 3, (2, 20, 9))
    assert rouge_l(rows[0], rows[1]) == pytest.approx(rouge_l(rows[0].tolist(), rows[1].tolist()))


def test_bad_sequences_are_named():
    with pytest.raises(InputError, match="1 sequences are recalled and 2 wanted"):
        rouge_l(["a"], ["a", "b"])
    with pytest.raises(InputError, match="recalled is one text"):
        rouge_l("abc", ["a", "b", "c"])
    with pytest.raises(InputError, match="n is 0"):
        rouge_n(["a"], ["a"], 0)
