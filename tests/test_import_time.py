"""What an import brings in: nothing from third parties for the package, nothing heavy for its classes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {
    "numba",
    "llvmlite",
    "scipy",
    "cv2",
    "matplotlib",
    "cupy",
    "sklearn",
    "skimage",
    "librosa",
    "tqdm",
    "pooch",
    "pandas",
    "gymnasium",
}
BRIDGES = {"neuromem.interop.torch"}  # import what they bridge to, and all that comes with it
# jit is what imports Numba (which looks for SciPy); kernels are what imports jit
MAY_COMPILE = {"neuromem.jit", "neuromem.jit_vectors"}


def modules_after(code: str) -> set[str]:
    """Top-level names of modules that ``code`` adds to a bare interpreter."""
    program = (
        "import sys; before = set(sys.modules)\n"
        f"{code}\n"
        "import json; print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def all_modules() -> list[str]:
    paths = [path.relative_to(ROOT) for path in (ROOT / "neuromem").rglob("*.py") if path.name != "__main__.py"]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return sorted([*names, "neuromem.gpu", "neuromem.gpu.kernels"])


def compiles(module: str) -> bool:
    return module in MAY_COMPILE or "kernels" in module.split(".")[2:3]


def test_package_brings_in_no_third_party_module():
    assert modules_after("import neuromem") - set(sys.stdlib_module_names) == {"neuromem"}


def test_help_of_the_command_line_brings_in_no_third_party_module():
    code = "from neuromem.cli import make_parser; make_parser()"
    assert modules_after(code) - set(sys.stdlib_module_names) == {"neuromem"}


@pytest.mark.parametrize("module", [name for name in all_modules() if not compiles(name) and name not in BRIDGES])
def test_module_brings_in_nothing_heavy(module):
    assert not modules_after(f"import {module}") & HEAVY


@pytest.mark.parametrize("module", [name for name in all_modules() if compiles(name)])
def test_kernel_module_brings_in_only_numba(module):
    assert not modules_after(f"import {module}") & (HEAVY - {"numba", "llvmlite", "scipy"})


def test_constructing_a_class_brings_in_nothing_heavy():
    code = """
import inspect
import neuromem
from neuromem.sparsey import LabelField, encode
from neuromem.base import Estimator
for name in neuromem.__all__:
    found = getattr(neuromem, name)
    if isinstance(found, type) and issubclass(found, Estimator):
        needed = [p for p in inspect.signature(found).parameters.values() if p.default is p.empty]
        repr(found(*[8 for _ in needed]))
repr(LabelField(4, 8, 16, 10))
for name in ("IdentityEncoder", "OrientedEdgeEncoder", "SkeletonEncoder", "ThermometerEncoder"):
    repr(getattr(encode, name)())
"""
    found = modules_after(code)
    assert "numpy" in found
    assert not found & HEAVY
