"""Every kernel on every executor: compiled, interpreted, and against its plain reference; GPU twins have the same face."""

import copy
import importlib
import importlib.util
import inspect
import os

import numpy as np
import pytest

from neuromem import BackendError, InputError, warmup
from neuromem.backend import Backend
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


@pytest.mark.parametrize("system", SYSTEMS)
def test_gpu_twins_have_the_same_names_and_signatures(system):
    if importlib.util.find_spec(f"neuromem.gpu.{system}") is None:
        with pytest.raises(BackendError, match=f"{system} has no GPU kernels yet"):
            Backend("cupy", 0).kernels(system)
        return
    twin = importlib.import_module(f"neuromem.gpu.{system}")
    for row in kernel_rows(system):
        if row.name in twin.CPU_ONLY:
            assert twin.CPU_ONLY[row.name]
            continue
        kernel = executor(row, "python")
        mine, theirs = (list(inspect.signature(f).parameters) for f in (kernel, getattr(twin, row.name)))
        assert mine == theirs


def test_warmup_runs_every_row_and_names_unknown_systems():
    assert warmup() == len(ROWS) == warmup(SYSTEMS)
    assert warmup([]) == 0
    with pytest.raises(InputError, match="systems"):
        warmup(["hippopotamus"])
