"""Simulations given GPU arrays: the same counts as on the CPU, on the stand-in for CuPy and, where there is one, on a GPU."""

import numpy as np
import pytest
from fake_cupy import fake_gpu

from neuromem import BackendError
from neuromem.hopfield import MultitaskingHebbian, RowLaw, sample_patterns, simulate_classes


@pytest.fixture(params=["stand-in", pytest.param("device", marks=pytest.mark.gpu)])
def cupy(request, monkeypatch):
    if request.param == "device":
        yield pytest.importorskip("cupy")
    else:
        request.getfixturevalue("gxx")
        with fake_gpu(monkeypatch) as module:
            yield module


def same(there, here):
    for name in ("m", "m2", "energy", "states", "series"):
        a, b = getattr(there, name), getattr(here, name)
        assert (a is None) == (b is None) and (a is None or np.array_equal(a, b)), name


def test_classes_of_a_large_network(cupy):
    law = RowLaw.storing(3, 0.4)
    counts = np.random.default_rng(0).multinomial(10**6, law.weights)
    options = dict(n_sweeps=12, burn_in=3, n_replicas=2, record=("m", "m2", "energy", "series"), random_state=1)
    beta = np.array([3.0, 8.0, np.inf])
    here = simulate_classes(law.values, counts, beta=beta, **options)
    same(simulate_classes(law.values, counts, beta=cupy.asarray(beta), **options), here)
    same(simulate_classes(cupy.asarray(law.values), cupy.asarray(counts), beta=beta, **options), here)


@pytest.mark.parametrize("engine", ["classes", "bits", "overlaps"])
def test_a_network_on_every_engine(cupy, engine):
    memory = MultitaskingHebbian(random_state=0).fit(sample_patterns(2, 700, 0.4, random_state=0))
    record = ("m", "energy") if engine == "classes" else ("m", "energy", "states")
    options = dict(n_sweeps=6, dynamics="parallel", engine=engine, record=record)
    beta = np.array([4.0, np.inf])
    same(memory.simulate(beta=cupy.asarray(beta), **options), memory.simulate(beta=beta, **options))
    if engine == "bits":
        start = np.where(np.arange(700) % 3, 1, -1)
        there = memory.simulate(cupy.asarray(start), beta=4.0, **options)
        same(there, memory.simulate(start, beta=4.0, **options))


def test_what_has_no_twin_says_so(cupy):
    memory = MultitaskingHebbian(random_state=0).fit(sample_patterns(2, 60, 0.4, random_state=0))
    with pytest.raises(BackendError, match="serial_overlaps runs on the CPU only .*one unit at a time"):
        memory.simulate(beta=cupy.asarray(np.array([4.0])), n_sweeps=2)
