"""The benchmark of the GPU kernels: its figures on work so small that the stand-in for CuPy can do it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from fake_cupy import fake_gpu

from cuda_cpu.runner import missing
from neuromem import gpu
from neuromem.gpu import sparsey as twins
from neuromem.sparsey import kernels

PATH = Path(__file__).parent.parent / "benchmarks" / "gpu_sparsey.py"
SPEC = importlib.util.spec_from_file_location("gpu_sparsey_benchmark", PATH)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)
TINY = bench.Sizes(learned=2, recalled=2, labelled=3, pictures=2, codes=(2, 3), chained=2, copied=1 << 10, streamed=2, replayed=2)
CASES = bench.cases(TINY)


@pytest.fixture
def cupy(monkeypatch):
    if reason := missing():
        pytest.skip(reason)
    monkeypatch.setattr(twins, "NETWORK_WARPS", 1)  # threads cost time here
    with fake_gpu(monkeypatch) as module:
        yield module


def test_every_kernel_that_has_a_twin_is_timed():
    assert {case.kernel for case in CASES} == set(twins.__all__) - {"accumulate_and_choose", "gather_lists", "reconstruct"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_row_has_times_and_bytes(cupy, case):
    row = bench.measure(cupy, case, 1e9, rounds=1)
    assert row["gpu_us"] > 0 and row["cpu_us"] > 0 and (row["chain_us"] is None) == (case.chain is None)
    assert row["share"] == pytest.approx(row["gathered_bytes"] / (row["gpu_us"] * 1e-6 * row["items"]) / 1e9)
    assert case.name in bench.table([row])


@pytest.mark.parametrize("case", [case for case in CASES if case.chain], ids=lambda case: case.name)
def test_the_chain_does_the_same_work(cupy, case):
    n = case.chained
    chain = case.chain(cupy, bench.on_device(cupy, case), n)().get()
    mine = [value.copy() if isinstance(value, np.ndarray) else value for value in case.arguments]
    getattr(kernels, case.kernel)(*mine)
    if case.kernel == "recall_batch":
        assert np.array_equal(chain, mine[10][:n])
    elif case.kernel == "count_labels":
        assert np.array_equal(chain, mine[4])
    elif case.kernel == "sum_scores":
        np.testing.assert_allclose(chain, mine[4][:n], rtol=1e-12)
    else:
        assert np.array_equal(chain, mine[3][:n])


def test_gathered_bytes_of_recall_are_the_rows_of_active_inputs():
    case = CASES[0]
    indices, indptr, rows, weights = *case.arguments[:3], case.arguments[9]
    gathered = sum(int((rows[m][indices] >= 0).sum()) for m in range(len(rows))) * weights.shape[2] * 8
    assert gathered == case.gathered and len(indptr) - 1 == case.items


def test_a_copy_has_a_rate(cupy):
    assert bench.copy_rate(cupy, cupy.cuda.runtime.deviceSynchronize, 1 << 10, 1) > 0


def test_without_a_gpu_it_says_so_and_exits_with_2(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "availability", lambda: (gpu.Step("CuPy imports", False, "pip install it"),))
    assert bench.main([]) == 2
    assert "no GPU can be used: CuPy imports: no (pip install it)" in capsys.readouterr().err
