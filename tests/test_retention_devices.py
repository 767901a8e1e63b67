"""Probes of a memory that lives on a GPU, on a stand-in for CuPy whose kernels run on the CPU, and on a real GPU where one is."""

import numpy as np
import pytest
from fake_cupy import fake_gpu

from neuromem import BackendError, SparseyMac
from neuromem.backend import is_device_array
from neuromem.retention import adapt, recall_probe, recognition_probe, retention_curve, source_for, spacing_probe
from neuromem.retention.adapters import state_digest

PROBES = [
    (recognition_probe, {"n_study": 12, "foils": ("novel", "variant:1/32", "recombined")}),
    (recall_probe, {"n_study": 12, "cue_kind": "noise", "cue_fraction": 31 / 32}),
    (retention_curve, {"n_target": 8, "checkpoints": [4, 20]}),
    (spacing_probe, {"n_targets": 2, "gaps": (1, 4), "retention_intervals": (3,), "draws": 5}),
]


@pytest.fixture(params=["stand-in", pytest.param("device", marks=pytest.mark.gpu)])
def cupy(request, monkeypatch):
    if request.param == "device":
        yield pytest.importorskip("cupy")
    else:
        request.getfixturevalue("gxx")
        with fake_gpu(monkeypatch) as module:
            yield module


@pytest.mark.parametrize(("probe", "options"), PROBES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_memory_on_a_gpu_answers_as_one_on_the_host(cupy, probe, options):
    def make(seed):
        return SparseyMac(64, 8, 32, random_state=seed)

    source = source_for(make(0).item_spec)
    there = probe(lambda seed: adapt(make(seed), device="gpu"), source, seeds=1, check_purity=True, **options)
    here = probe(make, source, seeds=1, **options)
    assert there.rows() and [row | {"seconds": 0} for row in there.rows()] == [row | {"seconds": 0} for row in here.rows()]


def test_it_lives_there_and_its_copies_do_too(cupy):
    memory = adapt(SparseyMac(64, 8, 32, random_state=0), device="gpu")
    items = source_for(memory.item_spec).get(np.arange(5))
    memory.write(items)
    copied = memory.copy()
    assert is_device_array(memory.inner.weights_) and is_device_array(copied.inner.weights_)
    assert state_digest(memory) == state_digest(copied)
    assert is_device_array(copied.familiarity(items)) and memory.device == copied.device == "gpu"
    with pytest.raises(BackendError, match="different devices|lives on"):
        recognition_probe(memory.inner, source_for(memory.item_spec), n_study=4, seeds=1)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(BackendError):
        adapt(SparseyMac(64), device="tpu")
