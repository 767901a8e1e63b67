"""Thread control, the lock for the workqueue layer, the logger and progress reports."""

import importlib
import logging
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import numba
import pytest

import neuromem
from neuromem import InputError, InputTypeError
from neuromem import threads as threads_function
from neuromem.progress import logger, progress_bar

ROOT = Path(__file__).parent.parent


def test_threads_are_set_inside_the_block_and_restored_after_an_error():
    before = neuromem.get_num_threads()
    with pytest.raises(KeyError), neuromem.threads(1):
        assert neuromem.get_num_threads() == numba.get_num_threads() == 1
        raise KeyError
    assert neuromem.get_num_threads() == before


def test_set_num_threads_holds_until_changed():
    before = neuromem.get_num_threads()
    try:
        neuromem.set_num_threads(1)
        assert neuromem.get_num_threads() == 1
    finally:
        neuromem.set_num_threads(before)


@pytest.mark.parametrize("bad", [0, -1, 10**6, 1.5, "2", None, True])
def test_bad_thread_counts_are_named(bad):
    with pytest.raises((InputError, InputTypeError), match="n "):
        neuromem.set_num_threads(bad)


def test_the_public_name_is_the_function_also_after_its_module_was_imported():
    import neuromem.parallel

    assert callable(threads_function) and callable(neuromem.threads)


def lock_for(monkeypatch, layer):
    module = importlib.import_module("neuromem.parallel")

    def threading_layer():
        if layer is None:
            raise ValueError("Threading layer is not initialized.")
        return layer

    monkeypatch.setattr(numba, "threading_layer", threading_layer)
    return module.kernel_lock()


@pytest.mark.parametrize("layer", ["workqueue", None])
def test_workqueue_and_a_layer_not_chosen_yet_take_turns(monkeypatch, layer):
    lock = lock_for(monkeypatch, layer)
    entered = threading.Event()

    def other():
        with lock_for(monkeypatch, layer):
            entered.set()

    with lock, lock:  # the same thread may enter twice
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.05)
    thread.join(10)
    assert entered.is_set()


@pytest.mark.parametrize("layer", ["omp", "tbb"])
def test_other_layers_need_no_lock(monkeypatch, layer):
    assert isinstance(lock_for(monkeypatch, layer), nullcontext)


def test_logger_is_silent_by_itself():
    assert logger is logging.getLogger("neuromem")
    assert any(isinstance(handler, logging.NullHandler) for handler in logger.handlers)


def test_progress_is_reported_to_a_function():
    seen = []
    with progress_bar(5, lambda done, total: seen.append((done, total))) as advance:
        advance(2)
        advance(3)
    assert seen == [(2, 5), (5, 5)]


def test_progress_false_writes_nothing_and_true_draws_a_bar(capsys):
    with progress_bar(2, False, "quiet") as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")
    with progress_bar(2, True, "storing") as advance:
        advance(2)
    assert "storing" in capsys.readouterr().err


def test_this_suite_does_not_change_numba_settings():
    assert int(os.environ.get("NUMBA_NUM_THREADS", numba.config.NUMBA_NUM_THREADS)) == numba.config.NUMBA_NUM_THREADS


EVERY_THREAD_AND_CHUNK = """
import hashlib
import numpy as np
import neuromem
from neuromem import SparseyClassifier, SparseyLayer
from neuromem.sparsey.encode import OrientedEdgeEncoder

rng = np.random.default_rng(0)
labels = rng.integers(0, 4, 600)
pictures = (60 * rng.integers(0, 2, (4, 12, 12))[labels] + rng.integers(0, 120, (600, 12, 12))).astype(np.uint8)
layer = SparseyLayer((12, 12), 8, (6, 6), (3, 3), 4, 80)
answers = set()
for readout in ("counts", "delta"):
    digests = set()
    for n_threads in (1, 2, 3, 7):
        for chunk in (1, 7, 256, 600):
            with neuromem.threads(n_threads):
                memory = SparseyClassifier(
                    layer, encoder=OrientedEdgeEncoder(deskew=True), readout=readout, critical_period=400, random_state=0
                )
                for start in range(0, 600, chunk):
                    memory.partial_fit(pictures[start : start + chunk], labels[start : start + chunk], classes=range(4))
                state = memory.get_state()["children"]
                parts = [a for name in ("layer_", "label_field_") for _, a in sorted(state[name]["arrays"].items())]
                parts += [memory.decision_function(pictures), memory.familiarity(pictures), memory.transform(pictures)]
            digests.add(hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest())
    assert len(digests) == 1, (readout, len(digests))
print("equal")
"""


def test_results_are_equal_to_the_bit_for_any_number_of_threads_and_any_chunks(tmp_path):
    # a process of its own: Numba fixes the largest number of threads when it starts, and this machine may have few cores
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "7"}
    if settings.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("NUMBA_DISABLE_JIT=1: nothing runs in threads")
    code = [sys.executable, "-c", EVERY_THREAD_AND_CHUNK]
    done = subprocess.run(code, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout == "equal\n", done.stdout + done.stderr


def test_small_work_takes_one_thread_and_large_work_what_is_set(monkeypatch):
    module = importlib.import_module("neuromem.parallel")
    before = neuromem.get_num_threads()
    if before == 1:
        pytest.skip("this machine has one core")
    with module.kernel_threads(module.SERIAL_BELOW - 1):
        assert neuromem.get_num_threads() == 1
    with module.kernel_threads(module.SERIAL_BELOW):
        assert neuromem.get_num_threads() == before
    with pytest.raises(KeyError), module.kernel_threads(0):
        raise KeyError
    assert neuromem.get_num_threads() == before
