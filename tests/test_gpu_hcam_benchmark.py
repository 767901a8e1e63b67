"""The benchmark of the HCAM GPU kernels: its figures on work so small that the stand-in for CuPy can do it."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from fake_cupy import fake_gpu

from cuda_cpu.runner import missing
from neuromem import gpu
from neuromem.gpu import hcam as twins

PATH = Path(__file__).parent.parent / "benchmarks" / "gpu_hcam.py"
SPEC = importlib.util.spec_from_file_location("gpu_hcam_benchmark", PATH)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)
TINY = bench.Shape("tiny", 2, 3, 7, 6, 10, 2, 3)


@pytest.fixture
def cupy(monkeypatch):
    if reason := missing():
        pytest.skip(reason)
    with fake_gpu(monkeypatch) as module:
        yield module


@pytest.fixture(scope="module")
def cases():
    return {case.kernel: case for case in bench.cases_of(TINY)}


def test_every_kernel_that_has_a_twin_is_timed(cases):
    assert set(cases) == set(twins.__all__) == set(bench.WRITTEN)


@pytest.mark.parametrize("kernel", bench.WRITTEN)
def test_a_row_has_times_bytes_and_the_same_results(cupy, cases, kernel, monkeypatch):
    clock = iter(np.arange(0, 8) / 4)  # a call takes a quarter of a second
    monkeypatch.setattr(bench.time, "perf_counter", lambda: float(next(clock)))
    row = bench.measure(cupy, cases[kernel], 1e3, rounds=2)
    assert row["close"] and row["queries"] == 6
    assert row["gpu_us"] == row["cpu_us"] == pytest.approx(0.25e6 / 6)
    assert row["gathered_per_second"] == 4 * cases[kernel].gathered and row["share"] == 4 * cases[kernel].gathered / 1e3
    assert cases[kernel].name in bench.table([row]) and "NO" in bench.table([row | {"close": False}])


@pytest.mark.parametrize("kernel", bench.WRITTEN)
def test_a_difference_is_seen(cupy, cases, kernel, monkeypatch):
    monkeypatch.setattr(twins, kernel, lambda *arguments: None)
    assert not bench.measure(cupy, cases[kernel], 1e9, rounds=1)["close"]


def test_gathered_bytes(cases):
    q_tilde, _, index, lane, lengths, contents, *_ = cases["gather_attend_fwd"].arguments
    steps = sum(int(lengths[lane[n], m]) for n in range(6) for m in index[n])
    assert cases["gather_attend_fwd"].gathered == cases["gather_attend_bwd"].gathered == steps * 10 * 4 < 6 * 3 * 6 * 10 * 4
    assert cases["summary_topk"].gathered == 6 * 7 * 10 * 4
    places = 6 * 3 * (2 * 2 * 10 + 2 * 2 * 6)
    assert cases["scatter_contents"].gathered == 4 * (contents.size + places)


def test_a_copy_has_a_rate(cupy):
    assert bench.copy_rate(cupy, 1 << 10, 1) > 0


def test_all_is_printed_and_written(cupy, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench, "SHAPES", (TINY,))
    monkeypatch.setattr(bench, "COPIED", 1 << 10)
    assert bench.main(["--json", str(tmp_path / "run.json")]) == 0
    assert "gather_attend_bwd, tiny" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "run.json").read_text())["rows"]) == 4
    monkeypatch.setattr(twins, "summary_topk", lambda *arguments: None)
    assert bench.main([]) == 1


def test_without_a_gpu_it_says_so_and_exits_with_2(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "availability", lambda: (gpu.Step("CuPy imports", False, "pip install it"),))
    assert bench.main([]) == 2
    assert "no GPU can be used: CuPy imports: no (pip install it)" in capsys.readouterr().err
