"""A stand-in for CuPy: arrays that no NumPy function can look into, kernels that run on the CPU, every transfer counted.

Stricter than CuPy: only the functions and methods listed here exist, and all of them exist in CuPy 14.
"""

import types
from contextlib import contextmanager

import numpy as np

from cuda_cpu.runner import CpuLauncher

CREATING = ("arange", "full", "ones", "zeros")
FUNCTIONS = (
    *("argsort", "bincount", "broadcast_to", "clip", "concatenate", "cumsum", "diff", "exp", "flatnonzero", "floor", "frexp"),
    *(
        "isfinite",
        "isnan",
        "ldexp",
        "maximum",
        "minimum",
        "searchsorted",
        "sort",
        "sqrt",
        "take_along_axis",
        "unique",
        "where",
        "zeros_like",
    ),
    *("ascontiguousarray", "nan_to_num"),
)
METHODS = (
    *("all", "any", "argmax", "argsort", "astype", "cumsum", "max", "mean", "min", "ravel", "repeat", "reshape", "sum"),
    *("swapaxes", "transpose", "view"),
)
ATTRIBUTES = ("dtype", "flags", "itemsize", "nbytes", "ndim", "shape", "size", "strides")
POISON = 0xCD


class Traffic:
    """What crossed between host and device: the number of items of each transfer."""

    def __init__(self):
        self.down, self.up = [], []


def make_cupy(n_devices=2):
    """A module to be put into ``sys.modules`` as cupy."""
    module = types.ModuleType("cupy")
    module.__version__ = "14"
    module.traffic = Traffic()
    state = types.SimpleNamespace(device=0)

    def wrap(host):
        if isinstance(host, tuple):
            return tuple(wrap(part) for part in host)
        made = object.__new__(ndarray)
        made.host, made.device = np.asarray(host), types.SimpleNamespace(id=state.device)
        return made

    def unwrap(value):
        if isinstance(value, ndarray):
            if value.device.id != state.device:
                raise ValueError(f"an array of device {value.device.id} was used on device {state.device}")
            return value.host
        if isinstance(value, np.ndarray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        if isinstance(value, (list, tuple)):
            return type(value)(unwrap(part) for part in value)
        return value

    def down(array):
        module.traffic.down.append(array.host.size)
        return array.host.copy()

    class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
        """An array on the device."""

        def __array__(self, dtype=None, copy=None):
            raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

        def __array_function__(self, function, kinds, arguments, keywords):
            raise TypeError(f"numpy.{function.__name__} was called with a CuPy array")

        def __array_ufunc__(self, ufunc, method, *inputs, out=(), **keywords):
            assert method == "__call__" and not keywords, f"{ufunc.__name__}.{method}"
            found = ufunc(*map(unwrap, inputs), **({"out": tuple(map(unwrap, out))} if out else {}))
            return out[0] if out else wrap(found)

        def __getattr__(self, name):
            if name in ATTRIBUTES:
                return getattr(self.host, name)
            if name in METHODS:
                return lambda *arguments, **keywords: wrap(
                    getattr(unwrap(self), name)(*map(unwrap, arguments), **{k: unwrap(v) for k, v in keywords.items()})
                )
            raise AttributeError(f"cupy.ndarray.{name} is not known to the stand-in")

        @property
        def T(self):
            return wrap(self.host.T)

        def __getitem__(self, key):
            return wrap(unwrap(self)[unwrap(key)])

        def __setitem__(self, key, value):
            unwrap(self)[unwrap(key)] = unwrap(value)

        def __len__(self):
            return len(self.host)

        def __iter__(self):
            raise TypeError("looping over a CuPy array is one transfer for each item")

        def __bool__(self):
            return bool(down(self))

        def __int__(self):
            return int(down(self).item())

        def __float__(self):
            return float(down(self).item())

        def __str__(self):
            return str(down(self))

        def __deepcopy__(self, memo):
            return self.copy()

        def copy(self):
            return wrap_at(self.host.copy(), self.device.id)

        def get(self):
            return down(self)

        def item(self):
            return down(self).item()

        def tolist(self):
            return down(self).tolist()

    ndarray.__module__ = "cupy"

    def wrap_at(host, device):
        made = wrap(host)
        made.device = types.SimpleNamespace(id=device)
        return made

    def array(value, dtype=None, copy=True, order="K"):
        if isinstance(value, ndarray):
            host = unwrap(value)
            return wrap(np.array(host, dtype, order=order)) if copy or (dtype is not None and host.dtype != dtype) else value
        module.traffic.up.append(np.size(value))
        return wrap(np.array(value, dtype, order=order))

    def empty(shape, dtype=float):
        made = np.empty(shape, dtype)
        made.reshape(-1).view(np.uint8)[:] = POISON
        return wrap(made)

    def function(name):
        def call(*arguments, **keywords):
            return wrap(getattr(np, name)(*map(unwrap, arguments), **{k: unwrap(v) for k, v in keywords.items()}))

        return call

    for name in (*CREATING, *FUNCTIONS):
        setattr(module, name, function(name))
    module.ndarray, module.array, module.empty = ndarray, array, empty
    module.asarray = lambda value, dtype=None: array(value, dtype, copy=False)
    module.empty_like = lambda value: empty(value.shape, value.dtype)
    module.asnumpy = lambda value: down(value) if isinstance(value, ndarray) else np.asarray(value)
    module.int32 = np.int32
    module.cuda = types.SimpleNamespace(Device=device_of(state), runtime=runtime_of(state, n_devices))
    module.RawModule = probe_of(unwrap)
    module.unwrap = unwrap
    return module


def device_of(state):
    """``cupy.cuda.Device``: a context manager that makes a device the current one."""

    class Device:
        def __init__(self, number=None):
            self.id = state.device if number is None else number

        def __enter__(self):
            self.before, state.device = state.device, self.id
            return self

        def __exit__(self, *error):
            state.device = self.before

    return Device


def runtime_of(state, n_devices):
    """``cupy.cuda.runtime``, as far as ``neuromem.gpu`` asks it."""
    return types.SimpleNamespace(
        getDevice=lambda: state.device,
        getDeviceCount=lambda: n_devices,
        deviceSynchronize=lambda: None,
        getDeviceProperties=lambda device: {"name": b"stand-in", "major": 7, "minor": 5, "totalGlobalMem": 1},
        driverGetVersion=lambda: 0,
        runtimeGetVersion=lambda: 0,
        CUDARuntimeError=RuntimeError,
    )


def probe_of(unwrap):
    """``cupy.RawModule`` for the one kernel that ``neuromem.gpu`` tries out."""

    class RawModule:
        def __init__(self, code, **options):
            pass

        def get_function(self, name):
            def launch(grid, block, arguments):
                unwrap(arguments[0])[0] = 42

            return launch

    return RawModule


class FakeLauncher(CpuLauncher):
    """Runs kernels on the stand-in's arrays."""

    def __init__(self, module, **options):
        super().__init__(**options)
        self.xp = module

    def run(self, source, kernel, grid, block, arguments, shared=0):
        super().run(source, kernel, grid, block, tuple(map(self.xp.unwrap, arguments)), shared)


@contextmanager
def fake_gpu(monkeypatch, n_devices=2, **options):
    """A machine with so many GPUs: cupy can be imported, and kernels run."""
    import sys

    from neuromem import gpu
    from neuromem.gpu import launch

    module = make_cupy(n_devices)
    monkeypatch.setitem(sys.modules, "cupy", module)
    gpu.availability.cache_clear()
    try:
        with launch.use(FakeLauncher(module, **options)):
            yield module
    finally:
        gpu.availability.cache_clear()


def same(found, wanted):
    """Whether a device's result has the type and the values of the host's."""
    host = found.get() if hasattr(found, "get") and not isinstance(found, dict) else np.asarray(found)
    return host.dtype == wanted.dtype and host.shape == wanted.shape and host.tobytes() == np.ascontiguousarray(wanted).tobytes()


__all__ = ["FUNCTIONS", "METHODS", "fake_gpu", "make_cupy", "same"]
