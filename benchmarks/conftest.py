"""What the benchmarks share: kernels compiled beforehand, one thread where it says so, and the machine in the results."""

import os
import tempfile

# Numba looks only at the file that holds a kernel, so a changed helper would be timed in its old form: compile anew.
folder = tempfile.TemporaryDirectory(prefix="neuromem-benchmarks-")
os.environ["NUMBA_CACHE_DIR"] = folder.name

import pytest
import threadpoolctl

import neuromem
from neuromem.experiments.result import environment


def pytest_benchmark_update_machine_info(config, machine_info):
    """Keep what explains a time: processor, threads, versions, and which BLAS kernel ran."""
    blas = [f"{pool['internal_api']} {pool.get('architecture', '')}".strip() for pool in threadpoolctl.threadpool_info()]
    kept = environment() | {"blas": sorted(set(blas)), "neuromem": neuromem.__version__, "system": os.uname().sysname}
    machine_info.clear()
    machine_info.update(kept)


@pytest.fixture(scope="session", autouse=True)
def compiled():
    """Compile everything now: no benchmark times a compiler, except the one that says so."""
    neuromem.warmup()


@pytest.fixture
def one_thread():
    """One thread for our kernels and for BLAS."""
    with neuromem.threads(1), threadpoolctl.threadpool_limits(1):
        yield
