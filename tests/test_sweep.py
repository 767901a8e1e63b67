"""Sweeps: same results on any executor, lost workers, restarts."""

import logging
import multiprocessing
import os
import signal
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from neuromem.errors import InputError, InputTypeError
from neuromem.sweep import plain, run_tasks

SPAWN = multiprocessing.get_context("spawn")


def draw(seed, n):
    """A pure function of its arguments."""
    return {"values": np.random.default_rng(seed).normal(size=n), "n": n}


def draw_or_die_once(seed, marker):
    """Kills its own process the first time that a marked task runs."""
    if marker and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(seed, 3)


def always_die(seed):
    os.kill(os.getpid(), signal.SIGKILL)


def count_calls(log, number):
    with open(log, "a") as file:
        file.write(f"{number}\n")
    return {"square": number * number}


def fail_at_two(number):
    if number == 2:
        raise RuntimeError("two")
    return {"number": number}


TASKS = [{"seed": seed, "n": 5} for seed in (3, 1, 2, 1)]


def same(found, wanted):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            assert a[key].dtype == b[key].dtype
            np.testing.assert_array_equal(a[key], b[key])


def test_processes_threads_and_this_process_give_the_same(tmp_path):
    alone = run_tasks(draw, TASKS)
    assert [result["values"][0] for result in alone] == [draw(**task)["values"][0] for task in TASKS]
    same(run_tasks(draw, TASKS, folder=tmp_path), alone)
    same(run_tasks(draw, TASKS, folder=tmp_path), alone)  # now from the files
    with ThreadPoolExecutor(2) as pool:
        same(run_tasks(draw, TASKS, pool), alone)
    with ProcessPoolExecutor(2, SPAWN) as pool:
        same(run_tasks(draw, TASKS, pool), alone)


def test_a_cluster_gives_the_same_and_does_a_killed_worker_s_tasks_again(tmp_path):
    distributed = pytest.importorskip("distributed", reason='needs the extra: pip install "neuromem[cluster]"')
    alone = run_tasks(draw, [{"seed": seed, "n": 3} for seed in range(6)])
    settings = dict(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path / "dask"))
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        same(run_tasks(draw, [{"seed": seed, "n": 3} for seed in range(6)], client.get_executor(pure=False)), alone)
        tasks = [{"seed": seed, "marker": str(tmp_path / "died") if seed == 2 else ""} for seed in range(6)]
        same(run_tasks(draw_or_die_once, tasks, client.get_executor(pure=False)), alone)
    assert (tmp_path / "died").exists()


def test_tasks_of_a_killed_worker_are_done_again(tmp_path, caplog):
    tasks = [{"seed": seed, "marker": str(tmp_path / "died") if seed == 2 else ""} for seed in range(6)]
    with ProcessPoolExecutor(2, SPAWN) as pool, caplog.at_level(logging.WARNING, "neuromem"):
        found = run_tasks(draw_or_die_once, tasks, pool)
    assert (tmp_path / "died").exists()
    assert "a worker was lost" in caplog.text
    same(found, run_tasks(draw, [{"seed": seed, "n": 3} for seed in range(6)]))


def test_a_task_that_always_kills_its_worker_ends_the_sweep():
    with ProcessPoolExecutor(1, SPAWN) as pool, pytest.raises(BrokenExecutor):
        run_tasks(always_die, [{"seed": 0}], pool)


def test_restart_skips_what_is_finished_and_repairs_damage(tmp_path, caplog):
    log, folder = tmp_path / "log", tmp_path / "results"
    tasks = [{"log": str(log), "number": number} for number in range(4)]
    run_tasks(count_calls, tasks[:2], folder=folder)
    seen = []
    found = run_tasks(count_calls, tasks, folder=folder, progress=lambda done, total: seen.append((done, total)))
    assert [int(result["square"]) for result in found] == [0, 1, 4, 9]
    assert log.read_text().split() == ["0", "1", "2", "3"]
    assert seen == [(2, 4), (3, 4), (4, 4)]
    files = sorted(folder.iterdir())
    assert len(files) == 4 and all(path.suffix == ".npz" for path in files)
    files[0].write_bytes(files[0].read_bytes()[:-40])
    files[1].write_bytes(files[2].read_bytes())
    files[3].write_bytes(b"")
    with caplog.at_level(logging.WARNING, "neuromem"):
        same(run_tasks(count_calls, tasks, folder=folder), found)
    assert len(log.read_text().split()) == 7
    assert "another task" in caplog.text and caplog.text.count("is done again") == 3


def test_what_was_done_before_an_error_is_kept(tmp_path):
    tasks = [{"number": number} for number in (0, 1, 2, 3)]
    with pytest.raises(RuntimeError, match="two"):
        run_tasks(fail_at_two, tasks, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="two"):
        run_tasks(fail_at_two, tasks, pool)


def test_different_arguments_have_different_names():
    values = [1, 1.0, True, "1", None, [1], [[1]], {"a": 1}, np.array([1]), np.array([1.0]), np.array([[1]]), np.inf]
    values += [np.random.SeedSequence(1), np.random.SeedSequence(1, spawn_key=(2,))]
    names = [repr(plain(value, "x")) for value in values]
    assert len(set(names)) == len(values)
    assert plain(np.float64(0.5), "x") == 0.5 and plain((1, 2), "x") == [1, 2]


def test_bad_tasks_and_results_are_named():
    with pytest.raises(InputTypeError, match=r"task\['f'\] is a function"):
        run_tasks(draw, [{"f": draw}])
    with pytest.raises(InputError, match="a task returned a int, a dict"):
        run_tasks(int, [{}])
    with pytest.raises(InputError, match="dtype object"):
        run_tasks(dict, [{"a": None}])
    assert run_tasks(draw, []) == []
