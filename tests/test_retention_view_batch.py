"""View batches: who is shown when, the pull between views, and the experiment."""

import json
from pathlib import Path

import numpy as np
import pytest

from neuromem import InputError, InputTypeError
from neuromem.experiments.registry import EXPERIMENTS
from neuromem.experiments.retention_viewbatch import BASELINES, REGIMES, VIEWS, learned, rows_of
from neuromem.retention import ViewBatchSampler, view_kl

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("n", "batch", "views"), [(100, 32, 4), (7, 6, 3), (64, 16, 16), (5, 8, 2), (1, 4, 4)])
def test_every_item_comes_once_a_pass_in_all_its_views_together(n, batch, views):
    sampler = ViewBatchSampler(n, batch, views, rng=0)
    for _ in range(3):
        batches = list(sampler)
        assert len(batches) == len(sampler) and all(len(ids) <= batch for ids, _ in batches)
        ids, view = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        assert len(ids) == n * views  # as many rows as so many passes of plain shuffling
        assert (np.bincount(ids, minlength=n) == views).all()
        assert np.array_equal(view, np.tile(np.arange(views), n))
        grouped = ids.reshape(n, views)
        assert (grouped == grouped[:, :1]).all()
        assert all(len(rows) % views == 0 for rows, _ in batches)  # an item is in one batch


@pytest.mark.parametrize("views", [1, 2, 4, 8])
def test_recall_interval_is_what_is_measured(views):
    n = 96
    sampler = ViewBatchSampler(n, 32, views, rng=1)
    firsts, row = [[] for _ in range(n)], 0
    for _ in range(200):
        for ids, view in sampler:
            for place, (item, number) in enumerate(zip(ids, view, strict=True)):
                if number == 0:
                    firsts[item].append(row + place)
            row += len(ids)
    intervals = np.concatenate([np.diff(places) for places in firsts])
    assert sampler.recall_interval == views * n
    assert intervals.mean() == pytest.approx(views * n, rel=0.01)


def test_one_view_is_plain_shuffling_bit_for_bit():
    sampler = ViewBatchSampler(50, 8, rng=np.random.default_rng(3))
    plain = np.random.default_rng(3)
    for _ in range(4):
        order = plain.permutation(50)
        wanted = [order[start : start + 8] for start in range(0, 50, 8)]
        for (ids, view), rows in zip(sampler, wanted, strict=True):
            assert np.array_equal(ids, rows) and not view.any()
    assert sampler.rng.bit_generator.state == plain.bit_generator.state


def test_last_batch_can_be_left_out():
    sampler = ViewBatchSampler(10, 8, 2, rng=0, drop_last=True)
    sizes = [len(ids) for ids, _ in sampler]
    assert sizes == [8, 8] and len(sampler) == 2
    assert [len(ids) for ids, _ in ViewBatchSampler(10, 8, 2, rng=0)] == [8, 8, 4]
    assert list(ViewBatchSampler(1, 8, 2, rng=0, drop_last=True)) == []


def test_sampler_refuses():
    with pytest.raises(InputError, match="multiple of views=3"):
        ViewBatchSampler(10, 8, 3)
    for arguments in ((0, 8), (10, 0), (10, 8, 0)):
        with pytest.raises(InputError):
            ViewBatchSampler(*arguments)
    with pytest.raises(InputTypeError):
        ViewBatchSampler(10.5, 8)


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "views", "classes"), [(3, 2, 4), (5, 4, 7), (1, 5, 2)])
def test_view_kl_and_its_slope(n, views, classes):
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((n * views, classes))
    p = softmax(logits)
    loss, slope = view_kl(p, views)
    naive = 0.0
    for i in range(n):
        for j in range(1, views):
            a, b = p[i * views], p[i * views + j]
            naive += (a * np.log(a / b)).sum()
    assert loss == pytest.approx(naive / (n * (views - 1)), rel=1e-12)
    for row in range(n * views):
        for column in range(classes):
            step = np.zeros_like(logits)
            step[row, column] = 1e-6
            if row % views == 0:  # the anchor is held constant
                assert slope[row, column] == 0
                continue
            ends = [view_kl(softmax(logits + sign * step), views)[0] for sign in (1, -1)]
            assert slope[row, column] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-8)


def test_view_kl_at_the_ends():
    same = np.full((6, 3), 1 / 3, np.float32)
    loss, slope = view_kl(same, 3)
    assert loss == 0 and not slope.any() and slope.dtype == np.float32
    sure = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert view_kl(sure, 2)[0] == pytest.approx(np.log(2))
    apart, _ = view_kl(np.array([[1.0, 0.0], [0.0, 1.0]]), 2)
    assert np.isfinite(apart) and apart > 100
    for bad in (
        np.ones((4, 2)),
        np.array([[1.5, -0.5], [0.5, 0.5]]),
        np.full((3, 2), 0.5),
        np.array([0.5, 0.5]),
        np.ones((2, 1), int),
    ):
        with pytest.raises(InputError, match="probabilities"):
            view_kl(bad, 2)
    with pytest.raises(InputError):
        view_kl(same, 1)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_share_of_strong_rows_is_the_same_for_all_views(weight):
    rng = np.random.default_rng(0)
    banks = np.zeros((8, 1797, 64), np.float32), np.ones((8, 1797, 64), np.float32)
    for views in (2, 4, 8):
        sampler = ViewBatchSampler(1600, 1600, views, rng)
        rows = [rows_of(ids, view, views, banks, 0.5, weight, rng)[0][:, 0] for ids, view in sampler]
        assert np.concatenate(rows).mean() == pytest.approx(0.5, abs=0.02)
        if weight:
            assert not rows[0].reshape(-1, views)[:, 0].any()


def test_experiment(tmp_path):
    result = EXPERIMENTS["retention-viewbatch"].run(quick=True, seeds=None, out=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == result.figures == ["retention-viewbatch.png"]
    found = {(row.condition, row.metric): row.value for row in result.rows}
    one, four = "short training: 1 view", "short training: 4 views"
    assert found[one, "rows shown"] == found[four, "rows shown"]
    interval = "rows from one visit of a picture to the next"
    assert found[four, interval] == 4 * found[one, interval]
    assert found[four, "accuracy less that of one view"] == pytest.approx(found[four, "accuracy"] - found[one, "accuracy"])
    assert found[one, "accuracy"] > 0.5
    regime = "long training, half of the rows augmented strongly, views drawn together"
    assert learned(regime, 4, 0, 1) == learned(regime, 4, 0, 1) != learned(regime, 4, 1, 1)


def test_committed_result_has_differences_with_intervals_over_thirty_seeds():
    content = json.loads((ROOT / "benchmarks" / "results" / "retention-viewbatch.json").read_text())
    rows = [row for row in content["rows"] if row["metric"].endswith("less that of one view")]
    assert len(rows) == 2 * (len(VIEWS) - 1) * len(REGIMES) and set(BASELINES.values()) <= set(REGIMES)
    assert all(row["seeds"] >= 30 and row["ci_low"] < row["value"] < row["ci_high"] for row in rows)
