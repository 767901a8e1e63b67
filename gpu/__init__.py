"""The GPU side of neuromem, installed as ``neuromem.gpu``; importable without CuPy and without a GPU."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from neuromem.errors import BackendError

__all__ = ["Step", "availability", "device_info", "is_available", "require"]

PROBE = 'extern "C" __global__ void nm_probe(int* out) { out[0] = 42; }'


@dataclass(frozen=True, slots=True)
class Step:
    """One fact that a working GPU needs: what was looked at, whether it holds, what to do if not."""

    name: str
    holds: bool
    detail: str


@cache
def availability() -> tuple[Step, ...]:
    """Check the three facts in order, stopping at the first that fails; cached for the process."""
    try:
        import cupy
    except ImportError as error:
        remedy = f'{error}; pip install "neuromem[gpu-cuda12]" or "neuromem[gpu-cuda13]"'
        return (Step("CuPy imports", False, remedy),)
    steps = [Step("CuPy imports", True, f"CuPy {cupy.__version__}")]
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return (*steps, Step("a GPU is visible", False, f"{error}; check the driver with nvidia-smi"))
    if count < 1:
        return (*steps, Step("a GPU is visible", False, "no device; check CUDA_VISIBLE_DEVICES"))
    steps.append(Step("a GPU is visible", True, f"{count} device(s)"))
    try:
        out = cupy.zeros(1, cupy.int32)
        cupy.RawModule(code=PROBE).get_function("nm_probe")((1,), (1,), (out,))
        answer = int(out[0])
    except Exception as error:  # whatever goes wrong here, a kernel cannot be run
        remedy = f"{type(error).__name__}: {error}; install the extra with [ctk], and a CUDA version that knows this card"
        return (*steps, Step("a kernel compiles and runs", False, remedy))
    return (*steps, Step("a kernel compiles and runs", answer == 42, f"answered {answer}"))


def is_available() -> bool:
    """Whether CuPy imports, a device is there, and a kernel really runs on it."""
    steps = availability()
    return len(steps) == 3 and all(step.holds for step in steps)


def require() -> None:
    """Raise unless kernels can run.

    Raises
    ------
    BackendError
        Naming the first of the three facts that does not hold, and the remedy.
    """
    for step in availability():
        if not step.holds:
            raise BackendError(f"no GPU can be used: {step.name}: no ({step.detail})")


def device_info(device: int = 0) -> dict[str, Any]:
    """What a GPU is: name, compute capability, bytes of memory, and the CUDA versions in use.

    Raises
    ------
    BackendError
        Where no GPU can be used, or there is none of that number.
    """
    require()
    import cupy

    runtime = cupy.cuda.runtime
    if not 0 <= device < runtime.getDeviceCount():
        raise BackendError(f"device is {device}, there are {runtime.getDeviceCount()} device(s), counted from 0")
    found = runtime.getDeviceProperties(device)
    return {
        "name": found["name"].decode(),
        "compute_capability": f"{found['major']}.{found['minor']}",
        "memory_bytes": int(found["totalGlobalMem"]),
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
    }
