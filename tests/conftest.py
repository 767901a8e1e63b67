"""Fixtures: real data where it is, and a cache of compiled kernels that cannot be stale."""

import hashlib
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def kernel_digest() -> str:
    """A digest over every source that can be compiled; Numba itself only looks at one file at a time."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "neuromem").rglob("*.py")):
        if "kernels" in path.parts or path.name == "jit.py":
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"neuromem-kernels-{kernel_digest()}")

import pytest  # noqa: E402


def need_data(relative: str) -> None:
    """Skip where a data file is missing, or fail where it is required."""
    from neuromem.datasets import data_folder

    if (data_folder() / relative).is_file():
        return
    message = f"{relative} is not in the data folder; see data_scripts"
    if os.environ.get("NEUROMEM_REQUIRE_DATA") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def mnist_data():
    need_data("mnist/mnist.npz")
    from neuromem.datasets import mnist

    return mnist()


@pytest.fixture
def omniglot_data():
    need_data("omniglot/omniglot_oneshot_runs.npz")
    from neuromem.datasets import omniglot_runs

    return omniglot_runs()
