"""The benchmark of the Hopfield GPU kernels: its figures on work so small that the stand-in for CuPy can do it."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from fake_cupy import fake_gpu

from cuda_cpu.runner import missing
from neuromem import gpu
from neuromem.gpu import hopfield as twins

PATH = Path(__file__).parent.parent / "benchmarks" / "gpu_hopfield.py"
SPEC = importlib.util.spec_from_file_location("gpu_hopfield_benchmark", PATH)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)
TINY = bench.Sizes(many_chains=3, chains=2, spin_chains=2, class_units=5000, units=(100, 500), columns=(2, 3), sweeps=4)
CASES = bench.cases(TINY)


@pytest.fixture
def cupy(monkeypatch):
    if reason := missing():
        pytest.skip(reason)
    with fake_gpu(monkeypatch) as module:
        yield module


def test_every_kernel_that_has_a_twin_is_timed():
    assert {case.kernel for case in CASES} == set(twins.__all__) == set(bench.WRITTEN)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_row_has_rates_and_the_same_states(cupy, case, monkeypatch):
    clock = iter(np.arange(0, 8) / 4)  # a call takes a quarter of a second
    monkeypatch.setattr(bench.time, "perf_counter", lambda: float(next(clock)))
    row = bench.measure(cupy, case, rounds=2)
    assert row["equal"] and row["ratio"] == 1
    assert row["gpu_sweeps_per_second"] == row["cpu_sweeps_per_second"] == 4 * case.chains * case.sweeps
    assert row["gpu_spins_per_second"] == row["cpu_spins_per_second"] == 4 * case.chains * case.sweeps * case.units
    assert case.name in bench.table([row]) and "NO" in bench.table([row | {"equal": False}])


def test_a_difference_is_seen(cupy, monkeypatch):
    monkeypatch.setattr(twins, "class_chains", lambda *arguments: None)
    assert not bench.measure(cupy, CASES[0], rounds=1)["equal"]


@pytest.mark.parametrize("n_patterns", [1, 3, 5])
def test_classes_are_those_of_a_network(n_patterns):
    rows, weights, own, counts = bench.network(np.random.default_rng(0), n_patterns, 100_000)
    assert rows.shape == (n_patterns, (3**n_patterns - 1) // 2) and len(np.unique(rows, axis=1).T) == rows.shape[1]
    assert all(row[np.flatnonzero(row)[0]] == 1 for row in rows.T)
    assert np.array_equal(own, weights @ rows**2)
    assert counts.sum() == pytest.approx(100_000 * (1 - bench.DILUTION**n_patterns), rel=0.01)


def test_all_is_printed_and_written(cupy, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench, "cases", lambda sizes: CASES[:1])
    assert bench.main(["--json", str(tmp_path / "run.json")]) == 0
    assert CASES[0].name in capsys.readouterr().out
    assert json.loads((tmp_path / "run.json").read_text())["rows"][0]["equal"]
    monkeypatch.setattr(twins, "class_chains", lambda *arguments: None)
    assert bench.main([]) == 1


def test_without_a_gpu_it_says_so_and_exits_with_2(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "availability", lambda: (gpu.Step("CuPy imports", False, "pip install it"),))
    assert bench.main([]) == 2
    assert "no GPU can be used: CuPy imports: no (pip install it)" in capsys.readouterr().err
