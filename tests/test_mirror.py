"""Every kernel on every executor: interpreted, compiled, CUDA C++ on the CPU and on a GPU, against its plain reference."""

import copy
import importlib
import importlib.util
import inspect
import os

import numpy as np
import pytest

from cuda_cpu.runner import ORDERS, CpuLauncher, sanitized
from neuromem import BackendError, InputError, warmup
from neuromem.backend import Backend
from neuromem.gpu import launch
from neuromem.kernel_registry import SYSTEMS, kernel_rows

ROWS = [(system, row) for system in SYSTEMS for row in kernel_rows(system)]
IDS = [f"{system}.{row.name}" for system, row in ROWS]
rows = pytest.mark.parametrize(("system", "row"), ROWS, ids=IDS)
DISABLED = os.environ.get("NUMBA_DISABLE_JIT") == "1"


def executor(row, name):
    kernel = row.resolve()
    return getattr(kernel, "py_func", kernel) if name == "python" else kernel


def run(function, arguments):
    """Arguments after the call; the caller's are left alone."""
    mine = copy.deepcopy(arguments)
    function(*mine)
    return mine


def assert_same(row, found, wanted):
    for number in row.outputs:
        assert found[number].dtype == wanted[number].dtype
        if row.rtol or row.atol:
            np.testing.assert_allclose(found[number], wanted[number], rtol=row.rtol, atol=row.atol, err_msg=f"output {number}")
        else:
            np.testing.assert_array_equal(found[number], wanted[number], err_msg=f"output {number}")


@pytest.mark.jit_off
@rows
@pytest.mark.parametrize("name", ["numba", "python"])
def test_executor_agrees_with_the_reference(system, row, name):
    if name == "numba" and DISABLED:
        pytest.skip("NUMBA_DISABLE_JIT=1: the numba executor is the python executor")
    arguments = row.example()
    found = run(executor(row, name), arguments)
    wanted = run(row.resolve(row.reference) if row.reference else executor(row, "python"), arguments)
    assert_same(row, found, wanted)


@rows
def test_only_the_declared_outputs_are_written(system, row):
    arguments = row.example()
    after = run(row.resolve(), arguments)
    for number, (old, new) in enumerate(zip(arguments, after, strict=True)):
        if number not in row.outputs:
            assert np.array_equal(old, new), f"argument {number} was changed"
        else:
            assert isinstance(new, np.ndarray)
    assert any(not np.array_equal(arguments[number], after[number]) for number in row.outputs)


@rows
def test_example_arguments_are_the_same_each_time(system, row):
    for first, second in zip(row.example(), row.example(), strict=True):
        np.testing.assert_array_equal(first, second)
        assert np.asarray(first).dtype == np.asarray(second).dtype


@rows
def test_row_has_the_kernel_s_face(system, row):
    kernel = row.resolve()
    n = len(inspect.signature(getattr(kernel, "py_func", kernel)).parameters)
    assert len(row.example()) == n
    assert row.outputs and all(0 <= number < n for number in row.outputs)
    assert row.function.split(":")[1] == row.name


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_exported_kernel_has_one_row(system):
    exported = importlib.import_module(f"neuromem.{system}.kernels").__all__
    names = [row.name for row in kernel_rows(system)]
    assert sorted(names) == sorted(set(exported))


# ---------------------------------------------------------------- GPU twins

WITH_TWIN = [system for system in SYSTEMS if importlib.util.find_spec(f"neuromem.gpu.{system}")]
TWINS = {system: importlib.import_module(f"neuromem.gpu.{system}") for system in WITH_TWIN}
TWIN_ROWS = [(system, row) for system, row in ROWS if system in TWINS and row.name not in TWINS[system].CPU_ONLY]
twin_rows = pytest.mark.parametrize(("system", "row"), TWIN_ROWS, ids=[f"{system}.{row.name}" for system, row in TWIN_ROWS])
with_twin = pytest.mark.parametrize("system", WITH_TWIN)
SMALLEST_LIMIT = 64 * 1024  # bytes of shared memory that a block may have on compute capability 7.5
# In every order of threads, and with races looked for: once as launched, once with every limit of the twin at 1, which
# makes blocks loop over their work and sends what else is in shared memory through global memory.
CPU_EXECUTORS = {order: {"order": order} for order in ORDERS} | {
    name: {"order": "shuffled", "watch": True} for name in ("watched", "scarce")
}
LIMITS = ("SHARED_BYTES", "SCRATCH_BYTES", "FREE_BLOCKS")


def twin_of(system, row):
    return getattr(TWINS[system], row.name)


def sources_of(system):
    return sorted(path.stem for path in launch.KERNELS.glob("*.cu") if path.stem.partition("_")[0] == system)


@pytest.mark.parametrize("system", SYSTEMS)
def test_system_without_gpu_kernels_says_so(system):
    if system in WITH_TWIN:
        assert Backend("cupy", 0).kernels(system).__name__ == f"neuromem.gpu.{system}"
        return
    with pytest.raises(BackendError, match=f"{system} has no GPU kernels yet"):
        Backend("cupy", 0).kernels(system)


@with_twin
def test_every_row_has_a_twin_or_a_reason_and_every_twin_a_row(system):
    twin = TWINS[system]
    rows = {row.name: row for row in kernel_rows(system)}
    assert set(twin.CPU_ONLY) == {name for name, row in rows.items() if row.cpu_only}
    assert all(twin.CPU_ONLY.values()), "no reason is given"
    assert sorted(twin.__all__) == sorted(set(rows) - set(twin.CPU_ONLY))
    for name in twin.__all__:
        mine, theirs = (inspect.signature(f).parameters for f in (executor(rows[name], "python"), getattr(twin, name)))
        assert list(mine) == list(theirs)


@twin_rows
@pytest.mark.parametrize("name", CPU_EXECUTORS)
def test_twin_on_the_cpu_agrees_with_the_reference(gxx, monkeypatch, system, row, name):
    for limit in LIMITS if name == "scarce" else ():
        if hasattr(TWINS[system], limit):
            monkeypatch.setattr(TWINS[system], limit, 1)
    arguments = row.example()
    with launch.use(CpuLauncher(**CPU_EXECUTORS[name], shared_limit=SMALLEST_LIMIT)):
        found = run(twin_of(system, row), arguments)
    wanted = run(row.resolve(row.reference) if row.reference else row.resolve(), arguments)
    assert_same(row, found, wanted)
    for number in set(range(len(arguments))) - set(row.outputs):
        assert np.array_equal(found[number], arguments[number]), f"argument {number} was changed"


@with_twin
def test_examples_launch_every_cuda_kernel(gxx, system):
    launcher = CpuLauncher()
    with launch.use(launcher):
        for its_system, row in TWIN_ROWS:
            if its_system == system:
                twin_of(system, row)(*row.example())
    there = {(source, kernel) for source in sources_of(system) for kernel in launch.kernels_in(source)}
    assert launcher.launched == there


SANITIZED_TWINS = """
import importlib
from cuda_cpu.runner import CpuLauncher
from neuromem.gpu import launch
from neuromem.kernel_registry import kernel_rows

twin = importlib.import_module("neuromem.gpu.{system}")
with launch.use(CpuLauncher("shuffled", sanitize=True)):
    for row in kernel_rows("{system}"):
        if row.name not in twin.CPU_ONLY:
            print(row.name, flush=True)
            getattr(twin, row.name)(*row.example())
print("all twins ran")
"""


@with_twin
def test_address_sanitizer_finds_nothing_in_twins(gxx, system):
    for source in sources_of(system):
        CpuLauncher(sanitize=True).build(source)
    done = sanitized(SANITIZED_TWINS.format(system=system))
    assert done.returncode == 0 and done.stdout.endswith("all twins ran\n"), done.stdout + done.stderr


@pytest.mark.gpu
@twin_rows
def test_twin_on_a_gpu_agrees_with_the_reference(system, row):
    import cupy

    arguments = row.example()
    on_device = tuple(cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments)
    twin_of(system, row)(*on_device)
    found = tuple(cupy.asnumpy(a) if isinstance(a, cupy.ndarray) else a for a in on_device)
    assert_same(row, found, run(row.resolve(row.reference) if row.reference else row.resolve(), arguments))


def test_warmup_runs_every_row_and_names_unknown_systems():
    assert warmup() == len(ROWS) == warmup(SYSTEMS)
    assert warmup([]) == 0
    with pytest.raises(InputError, match="systems"):
        warmup(["hippopotamus"])
