"""What all tests share: where compiled kernels are kept, real data sets, and what may be skipped."""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def kernel_digest() -> str:
    """A digest over every file that holds kernels, and over those that kernels call into."""
    package = ROOT / "neuromem"
    files = sorted([*package.glob("jit*.py"), *package.glob("*/kernels.py"), *package.glob("*/kernels/*.py")])
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Outside the checkout; Numba looks only at the decorated file, so a changed helper needs a folder of its own."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "neuromem-tests" / kernel_digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"neuromem-tests-{kernel_digest()}"
        folder.mkdir(exist_ok=True)
    return folder


os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder()))  # read when Numba is imported, which nothing has done yet

if data := os.environ.get("NEUROMEM_DATA"):
    os.environ["NEUROMEM_DATA"] = str(Path(data).resolve())  # some tests change the working folder


def pytest_collection_modifyitems(items):
    """Skip tests marked ``gpu``, and only those, where no kernel can be run."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    from neuromem import gpu

    missing = [step for step in gpu.availability() if not step.holds]
    for item in marked if missing else ():
        item.add_marker(pytest.mark.skip(reason=f"{missing[0].name}: no ({missing[0].detail})"))


@pytest.fixture(scope="session")
def gxx():
    """Kernels can be run on this CPU; where they cannot the test skips, or fails where that is required."""
    from cuda_cpu.runner import missing

    if reason := missing():
        if os.environ.get("NEUROMEM_REQUIRE_GXX") == "1":
            pytest.fail(f"NEUROMEM_REQUIRE_GXX=1 and {reason}")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def read_data():
    """Calls a reader of ``neuromem.datasets``; without its files the test skips, or fails where data is required."""

    def read(reader, *arguments):
        from neuromem.errors import MissingDataError

        try:
            return reader(*arguments)
        except MissingDataError as error:
            if os.environ.get("NEUROMEM_REQUIRE_DATA") == "1":
                pytest.fail(f"NEUROMEM_REQUIRE_DATA=1 and {error}")
            pytest.skip(str(error))

    return read


@pytest.fixture(scope="session")
def mnist_data(read_data):
    """The MNIST digits: x_train, y_train, x_test, y_test; read once."""
    from neuromem import datasets

    return read_data(datasets.mnist)


@pytest.fixture(scope="session")
def omniglot_data(read_data):
    """The twenty one-shot runs of Omniglot: train, test, answer."""
    from neuromem import datasets

    return read_data(datasets.omniglot_runs)
