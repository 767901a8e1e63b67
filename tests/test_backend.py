"""Which array family an argument is of, and what happens without a GPU."""

import sys
import types

import numpy as np
import pytest

from neuromem import BackendError, gpu
from neuromem.backend import Backend, as_array, backend_of


def fake_cupy_array(device):
    """An object whose type says that it is CuPy's; CuPy itself is not needed to recognise it."""
    kind = type("ndarray", (), {"__module__": "cupy._core.core"})
    made = kind()
    made.device = types.SimpleNamespace(id=device)
    return made


class Wrapped:
    """Anything with ``__array__`` counts as NumPy."""

    def __array__(self, dtype=None, copy=None):
        return np.zeros(3)


@pytest.mark.parametrize("arrays", [(), (np.zeros(2),), ([1, 2], np.zeros(2)), (Wrapped(), 3.0), (None,)])
def test_everything_that_is_not_cupy_is_numpy(arrays):
    found = backend_of(*arrays)
    assert found == Backend("numpy") and found.device is None
    assert found.xp is np


def test_cupy_arrays_are_recognised_with_their_device_and_without_importing_cupy():
    before = set(sys.modules)
    assert backend_of(fake_cupy_array(1), fake_cupy_array(1)) == Backend("cupy", 1)
    assert "cupy" not in set(sys.modules) - before


class Tensor:
    """Another library's tensor on a device of DLPack's kind: 1 the CPU, 2 a GPU."""

    def __init__(self, kind):
        self.kind = kind

    def __dlpack_device__(self):
        return (self.kind, 0)

    def __array__(self, dtype=None, copy=None):
        assert self.kind == 1, "a tensor on a GPU was copied to the host"
        return np.arange(3)


def test_tensors_of_other_libraries_stay_where_they_are(monkeypatch):
    assert as_array(Tensor(1)).tolist() == [0, 1, 2]
    there = Tensor(2)
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(from_dlpack=lambda tensor: ("taken over", tensor)))
    assert as_array(there) == ("taken over", there)


def test_a_class_that_only_resembles_cupy_is_numpy():
    kind = type("ndarray", (), {"__module__": "cupyx_of_mine"})
    assert backend_of(kind()).name == "numpy"


def test_mixing_host_and_device_says_which_argument_lives_where():
    with pytest.raises(BackendError, match=r"argument 0 on the CPU, argument 1 on GPU 0.*cupy\.asnumpy"):
        backend_of(np.zeros(2), fake_cupy_array(0))


def test_two_devices_are_not_mixed():
    with pytest.raises(BackendError, match="argument 0 on GPU 0, argument 1 on GPU 2"):
        backend_of(fake_cupy_array(0), fake_cupy_array(2))


def test_kernels_of_numpy_arrays_are_the_compiled_ones():
    from neuromem.sparsey import kernels

    assert backend_of(np.zeros(1)).kernels("sparsey") is kernels


def test_kernels_that_no_gpu_has_yet_are_a_clear_error():
    with pytest.raises(BackendError, match="hippopotamus has no GPU kernels yet; move the arrays to the CPU"):
        Backend("cupy", 0).kernels("hippopotamus")


def test_an_unknown_system_on_the_cpu_is_an_import_error():
    with pytest.raises(ModuleNotFoundError, match="hippopotamus"):
        Backend("numpy").kernels("hippopotamus")


@pytest.fixture
def fresh_check(monkeypatch):
    """The GPU check is cached for the process; these tests look at it anew."""
    gpu.availability.cache_clear()
    yield monkeypatch
    gpu.availability.cache_clear()


def fake_cupy(count=1, answer=42, error=None):
    """A stand-in for CuPy with so many devices, whose kernel gives ``answer`` or raises ``error``."""

    class CUDARuntimeError(RuntimeError):
        pass

    def device_count():
        if count is None:
            raise CUDARuntimeError("cudaErrorInsufficientDriver")
        return count

    class RawModule:
        def __init__(self, code, **options):
            if error:
                raise error

        def get_function(self, name):
            def launch(grid, block, arguments):
                arguments[0][0] = answer

            return launch

    properties = {"name": b"Fake 1", "major": 7, "minor": 5, "totalGlobalMem": 123}
    runtime = types.SimpleNamespace(
        getDeviceCount=device_count,
        CUDARuntimeError=CUDARuntimeError,
        getDeviceProperties=lambda device: properties,
        driverGetVersion=lambda: 12090,
        runtimeGetVersion=lambda: 12080,
    )
    module = types.ModuleType("cupy")
    module.__version__ = "0"
    module.int32, module.zeros, module.RawModule = np.int32, np.zeros, RawModule
    module.cuda = types.SimpleNamespace(runtime=runtime)
    return module


@pytest.mark.parametrize(
    ("module", "holds", "remedy"),
    [
        (None, [False], "gpu-cuda12"),
        (fake_cupy(count=None), [True, False], "nvidia-smi"),
        (fake_cupy(count=0), [True, False], "CUDA_VISIBLE_DEVICES"),
        (fake_cupy(error=RuntimeError("no NVRTC")), [True, True, False], r"RuntimeError: no NVRTC; .*\[ctk\]"),
        (fake_cupy(answer=41), [True, True, False], "answered 41"),
    ],
)
def test_each_fact_that_fails_is_named_with_its_remedy(fresh_check, module, holds, remedy):
    fresh_check.setitem(sys.modules, "cupy", module)
    assert [step.holds for step in gpu.availability()] == holds
    assert not gpu.is_available()
    for use in (gpu.require, gpu.device_info):
        with pytest.raises(BackendError, match=remedy):
            use()


def test_three_facts_make_a_gpu(fresh_check):
    fresh_check.setitem(sys.modules, "cupy", fake_cupy())
    assert gpu.is_available()
    found = gpu.device_info()
    assert found["name"] == "Fake 1" and found["compute_capability"] == "7.5" and found["memory_bytes"] == 123
    with pytest.raises(BackendError, match="device is 1, there are 1"):
        gpu.device_info(1)


@pytest.mark.gpu
def test_the_gpu_of_this_machine_answers():
    import cupy

    assert gpu.is_available()
    assert gpu.device_info()["memory_bytes"] > 0
    assert backend_of(cupy.zeros(2)) == Backend("cupy", 0)
    with pytest.raises(BackendError, match="argument 1 on the CPU"):
        backend_of(cupy.zeros(2), np.zeros(2))
