"""How kernels are found and launched: texts put together, CuPy's calls, and whose turn it is."""

import sys
import threading
import types

import numpy as np
import pytest

from cuda_cpu.runner import CpuLauncher
from neuromem import BackendError, gpu, random
from neuromem.gpu import launch


class Function:
    """As CuPy's kernels: remembers its launches, and how much dynamic shared memory it was allowed."""

    def __init__(self, name, record):
        self.name, self.record = name, record

    def __setattr__(self, attribute, value):
        if attribute == "max_dynamic_shared_size_bytes":
            self.record.append(("allow", self.name, value))
        object.__setattr__(self, attribute, value)

    def __call__(self, grid, block, arguments, *, shared_mem=0):
        self.record.append(("launch", self.name, grid, block, arguments, shared_mem))


@pytest.fixture
def fake_cupy(monkeypatch):
    """A stand-in for CuPy that only writes down what is asked of it."""
    record = []

    class RawModule:
        def __init__(self, *, code, options):
            record.append(("compile", code, options))

        def get_function(self, name):
            return Function(name, record)

    module = types.ModuleType("cupy")
    module.record, module.device = record, 0
    module.ndarray, module.RawModule = np.ndarray, RawModule
    module.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDevice=lambda: module.device))
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setattr(gpu, "require", lambda: None)
    return module


def test_cupy_compiles_a_source_once_per_device_with_the_common_options(fake_cupy):
    arguments = (np.zeros(3), np.int64(3), np.zeros(3))
    with launch.use(launch.CupyLauncher()):
        for kernel in ("nm_foundation_exp", "nm_foundation_log", "nm_foundation_exp"):
            launch.run("foundation", kernel, (2, 3), (32,), arguments)
        fake_cupy.device = 1
        launch.run("foundation", "nm_foundation_exp", (1,), (32,), arguments)
    compiled = ("compile", launch.source_text("foundation"), ("--std=c++17", "--fmad=false"))
    assert [entry for entry in fake_cupy.record if entry[0] == "compile"] == [compiled, compiled]
    launches = [entry[1:4] for entry in fake_cupy.record if entry[0] == "launch"]
    exp, log = "nm_foundation_exp", "nm_foundation_log"
    assert launches == [(exp, (2, 3), (32,)), (log, (2, 3), (32,)), (exp, (2, 3), (32,)), (exp, (1,), (32,))]
    assert fake_cupy.record[-1][4] is arguments


def test_much_shared_memory_is_asked_for_before_the_launch_that_wants_it(fake_cupy):
    kilobyte = 1024
    with launch.use(launch.CupyLauncher()):
        for shared in (48, 49, 64, 50, 0):
            launch.run("foundation", "nm_foundation_exp", (1,), (32,), (), shared * kilobyte)
    told = [entry[2] if entry[0] == "allow" else -entry[-1] for entry in fake_cupy.record if entry[0] != "compile"]
    assert [number // kilobyte for number in told] == [-48, 49, -49, 64, -64, -50, 0]


def test_without_a_gpu_a_launch_says_what_is_missing(monkeypatch):
    def refuse():
        raise BackendError("no GPU can be used: CuPy imports: no")

    monkeypatch.setattr(gpu, "require", refuse)
    with pytest.raises(BackendError, match="no GPU can be used"):
        launch.run("foundation", "nm_foundation_exp", (1,), (32,), ())


def test_headers_are_put_in_place_and_lines_keep_their_numbers():
    text = launch.source_text("foundation")
    assert "#include" not in text
    lines, name, number, seen = {}, "", 0, set()
    for line in text.splitlines():
        if line.startswith("#line"):
            _, number, name = line.split()
            name, number = name.strip('"'), int(number) - 1
        else:
            number += 1
            lines[name, number] = line
            seen.add(name)
    assert seen == {"common.cuh", "foundation.cu"}
    for name in seen:
        for n, line in enumerate((launch.KERNELS / name).read_text().splitlines(), 1):
            assert line.startswith("#include") or lines[name, n] == line


def test_kernels_are_found_whatever_stands_before_their_name(tmp_path):
    (tmp_path / "some.cu").write_text(
        "__global__ void nm_a(int n) {}\n__global__ void __launch_bounds__(128, 2) nm_b() {}\n__device__ int nm_c(int) {}\n"
    )
    assert launch.kernels_in("some", tmp_path) == ["nm_a", "nm_b"]
    assert "nm_foundation_philox" in launch.kernels_in("foundation")


def test_a_launcher_is_in_use_inside_its_block_and_thread_only():
    first, second, elsewhere = CpuLauncher(), CpuLauncher("reversed"), []
    with launch.use(first):
        with launch.use(second), pytest.raises(ZeroDivisionError):
            assert launch.current() is second
            thread = threading.Thread(target=lambda: elsewhere.append(launch.current()))
            thread.start()
            thread.join()
            _ = 1 // 0
        assert launch.current() is first
    assert launch.current() is launch.ON_GPU and elsewhere == [launch.ON_GPU]


@pytest.mark.gpu
def test_device_functions_have_the_same_bits_on_a_gpu():
    xp, n = launch.current().xp, 100_000
    rng = np.random.default_rng(0)
    counters, key = rng.integers(0, 2**32, (n, 4), dtype=np.uint32), np.array([5, 6], np.uint32)
    lanes, uniform = xp.zeros((n, 4), xp.uint32), xp.zeros((n, 2))
    grid, block = (-(-n // 256),), (256,)
    arguments = (xp.asarray(counters), xp.asarray(key), np.int64(n), lanes, uniform)
    launch.run("foundation", "nm_foundation_philox", grid, block, arguments)
    assert np.array_equal(xp.asnumpy(lanes), random.philox4x32(counters, key))
    for kernel, function in (("exp", random.exp64), ("log", random.log64)):
        x = rng.uniform(-750, 750, n) if kernel == "exp" else rng.lognormal(0, 50, n)
        out = xp.zeros(n)
        launch.run("foundation", f"nm_foundation_{kernel}", grid, block, (xp.asarray(x), np.int64(n), out))
        assert np.array_equal(xp.asnumpy(out), function(x))
