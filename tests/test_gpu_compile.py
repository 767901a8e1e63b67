"""Every CUDA source compiles for all supported GPUs and spills no register; needs NVRTC, but no driver and no GPU."""

import ctypes
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from neuromem.gpu import launch

ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")
SOURCES = sorted(path.stem for path in launch.KERNELS.glob("*.cu"))

# Each thread keeps 64 doubles, 128 registers, where 1024 threads leave it 64.
SPILLING = """
extern "C" __global__ void __launch_bounds__(1024, 1) nm_spilling(const double* values, double* out) {
    double kept[64];
#pragma unroll
    for (int i = 0; i < 64; ++i) kept[i] = values[i * blockDim.x + threadIdx.x];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 64; ++i) out[(63 - i) * blockDim.x + threadIdx.x] = kept[i] * kept[(i * 7 + 3) % 64];
}
"""


@dataclass
class Resources:
    """What one kernel takes on one architecture."""

    registers: int
    spilled: int  # bytes stored to and loaded from local memory for want of registers


class Nvrtc:
    """The run-time compiler of the ``nvidia-cuda-nvrtc`` wheel, by ctypes."""

    def __init__(self, library: Path):
        self.library = ctypes.CDLL(str(library))
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(self, name, *arguments):
        code = getattr(self.library, f"nvrtc{name}")(*arguments)
        assert code == 0, f"nvrtc{name}: {self.library.nvrtcGetErrorString(code).decode()}"

    def text(self, program, what: str) -> str:
        size = ctypes.c_size_t()
        self.call(f"Get{what}Size", program, ctypes.byref(size))
        found = ctypes.create_string_buffer(size.value)
        self.call(f"Get{what}", program, found)
        return found.value.decode()

    def compile(self, text: str, architecture: str, options: tuple[str, ...] = launch.OPTIONS) -> tuple[int, str, str]:
        """The compiler's code, 0 if all went well, its log, and the PTX assembly."""
        wanted = [f"--gpu-architecture={architecture}", *options, "--ptxas-options=-v"]
        program = ctypes.c_void_p()
        self.call("CreateProgram", ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
        try:
            given = (ctypes.c_char_p * len(wanted))(*[option.encode() for option in wanted])
            code = self.library.nvrtcCompileProgram(program, len(wanted), given)
            return code, self.text(program, "ProgramLog"), "" if code else self.text(program, "PTX")
        finally:
            self.call("DestroyProgram", ctypes.byref(program))


def resources(log: str) -> dict[str, Resources]:
    """What the assembler's report says of each kernel."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        name = part.partition("'")[0]
        stores, loads = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", part).groups()
        found[name] = Resources(int(re.search(r"Used (\d+) registers", part)[1]), int(stores) + int(loads))
    return found


def find_library() -> Path | None:
    """The library in either wheel: ``nvidia-cuda-nvrtc`` (13) or ``nvidia-cuda-nvrtc-cu12``."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        for library in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            return library
    return None


@pytest.fixture(scope="module")
def nvrtc():
    library = find_library()
    if library is None:
        reason = "NVRTC is not installed: pip install nvidia-cuda-nvrtc"
        if os.environ.get("NEUROMEM_REQUIRE_NVRTC") == "1":
            pytest.fail(f"NEUROMEM_REQUIRE_NVRTC=1 and {reason}")
        pytest.skip(reason)
    return Nvrtc(library)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", SOURCES)
def test_source_compiles_without_warnings_and_without_spills(nvrtc, source, architecture):
    code, log, _ = nvrtc.compile(launch.source_text(source), architecture)
    assert code == 0, log
    assert "warning" not in log, log
    found = resources(log)
    assert set(found) == set(launch.kernels_in(source))
    spilling = {name: kernel.spilled for name, kernel in found.items() if kernel.spilled}
    assert not spilling, f"bytes spilled: {spilling}"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_kernel_that_spills_is_seen(nvrtc, architecture):
    code, log, _ = nvrtc.compile(SPILLING, architecture)
    assert code == 0, log
    assert resources(log)["nm_spilling"].spilled > 0, log


def test_an_error_shows_the_place_in_our_file(nvrtc, tmp_path):
    (tmp_path / "wrong.cu").write_text(
        '// nothing\n#include "common.cuh"\nextern "C" __global__ void nm_wrong(int* out) { out[0] = no; }\n'
    )
    code, log, _ = nvrtc.compile(launch.source_text("wrong", tmp_path), "sm_80")
    assert code != 0 and "wrong.cu(3): error" in log and '"no" is undefined' in log


def test_multiplications_are_not_fused_with_additions(nvrtc):
    """What makes a device give NumPy's bits: one of the options that every executor uses."""
    text = launch.source_text("foundation")
    assert "fma." not in nvrtc.compile(text, "sm_80")[2]
    without = tuple(option for option in launch.OPTIONS if "fmad" not in option)
    assert "fma." in nvrtc.compile(text, "sm_80", without)[2]


@pytest.mark.parametrize("source", SOURCES)
def test_kernels_are_named_for_their_source_s_system(source):
    system = source.partition("_")[0]
    names = launch.kernels_in(source)
    assert names and all(name.startswith(f"nm_{system}_") for name in names)
    assert len(set(names)) == len(names)
