"""Many independent tasks: in this process or on any executor, restartable, the same results either way."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from neuromem import __version__
from neuromem.errors import InputError, InputTypeError
from neuromem.progress import Progress, logger, progress_bar

Result = dict[str, np.ndarray]

FRUITLESS_ROUNDS = 3  # that many pools in a row may die without one task done; then the task itself is what kills them
TASK_MEMBER = "__task__"


def run_tasks(
    function: Callable[..., Mapping[str, Any]],
    tasks: Sequence[Mapping[str, Any]],
    executor: Executor | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress = False,
) -> list[Result]:
    """Call ``function(**task)`` for every task.

    Parameters
    ----------
    function : callable
        At the top of a module (executors pickle it by name); a pure function of its arguments, seeds included, that returns
        a dict of arrays or numbers.
    tasks : sequence of dict
        Keyword arguments: numbers, strings, None, arrays, seed sequences, and lists, dicts and dataclasses of them.
    executor : concurrent.futures.Executor, optional
        A process pool (use the ``spawn`` context), a thread pool, or Dask's ``client.get_executor()``.  Default: this process.
        When a process pool dies with one of its workers, the unfinished tasks are done again in a fresh pool.
    folder : path, optional
        Keep one ``.npz`` file per finished task there, named by a digest of function, task and library version.  A restarted
        sweep reads those instead of working again.
    progress : bool or callable, default False
        True draws a bar; a callable is called with (done, total).

    Returns
    -------
    list of dict of numpy.ndarray
        In the order of the tasks; equal tasks are done once.

    Raises
    ------
    InputTypeError
        If a task has an argument that cannot be named by a digest.
    InputError
        If the function returns anything but a dict of numeric arrays.
    concurrent.futures.BrokenExecutor
        If several pools in a row die before any further task is done.

    Examples
    --------
    >>> from neuromem.sweep import run_tasks
    >>> run_tasks(one_over, [{"x": 2}, {"x": 4}])
    [{'value': array(0.5)}, {'value': array(0.25)}]
    """
    names = [task_name(function, task) for task in tasks]
    by_key = {key_of(name): (name, task) for name, task in zip(names, tasks, strict=True)}
    done: dict[str, Result] = {}
    path = None if folder is None else Path(folder)
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
        for key, (name, _) in by_key.items():
            if (found := read_result(path / f"{key}.npz", name)) is not None:
                done[key] = found

    with progress_bar(len(by_key), progress, "tasks") as advance:
        if done:
            advance(len(done))

        def finish(key: str, returned: Mapping[str, Any]) -> None:
            done[key] = as_result(returned)
            if path is not None:
                write_result(path / f"{key}.npz", by_key[key][0], done[key])
            advance(1)

        todo = {key: task for key, (_, task) in by_key.items() if key not in done}
        if executor is None:
            for key, task in todo.items():
                finish(key, function(**task))
        else:
            run_on_executor(function, todo, executor, finish)
    return [done[key_of(name)] for name in names]


def one_over(x: float) -> dict[str, float]:
    """A task to show :func:`run_tasks` with."""
    return {"value": 1 / x}


def run_on_executor(
    function: Callable[..., Mapping[str, Any]],
    todo: dict[str, Mapping[str, Any]],
    executor: Executor,
    finish: Callable[[str, Mapping[str, Any]], None],
) -> None:
    """Do all tasks, those of lost workers again; ``finish`` is called in this process as each is done."""
    left = dict(todo)
    fruitless = 0
    spare: Executor | None = None
    try:
        while left:
            before = len(left)
            error = one_round(function, left, spare or executor, finish)
            if error is None:
                break
            fruitless = 0 if len(left) < before else fruitless + 1
            if fruitless == FRUITLESS_ROUNDS:
                raise error
            logger.warning("a worker was lost (%s); %d of %d tasks are done again", error, len(left), len(todo))
            if isinstance(spare or executor, ProcessPoolExecutor):
                if spare is not None:
                    spare.shutdown(wait=False)
                spare = fresh_pool(executor)
    finally:
        if spare is not None:
            spare.shutdown(cancel_futures=True)


def one_round(
    function: Callable[..., Mapping[str, Any]],
    left: dict[str, Mapping[str, Any]],
    executor: Executor,
    finish: Callable[[str, Mapping[str, Any]], None],
) -> BrokenExecutor | None:
    """Submit what is left and take out what gets done; the error where the executor broke on the way."""
    broken: BrokenExecutor | None = None
    futures: dict[Future, str] = {}
    try:
        try:
            for key, task in left.items():
                futures[executor.submit(function, **task)] = key
        except BrokenExecutor as error:
            broken = error
        for future in as_completed(futures):
            try:
                returned = future.result()
            except BrokenExecutor as error:
                broken = error
                continue
            finish(futures[future], returned)
            del left[futures[future]]
    finally:
        for future in futures:
            future.cancel()
    return broken


def fresh_pool(broken: Executor) -> ProcessPoolExecutor:
    """A pool of as many spawned workers as the broken one had, set up alike."""
    return ProcessPoolExecutor(
        getattr(broken, "_max_workers", None),
        multiprocessing.get_context("spawn"),
        getattr(broken, "_initializer", None),
        getattr(broken, "_initargs", ()),
    )


# ---------------------------------------------------------------- names and files of results


def task_name(function: Callable[..., Any], task: Mapping[str, Any]) -> str:
    """What a result depends on, as one line of JSON."""
    parts = {
        "function": f"{function.__module__}:{function.__qualname__}",
        "version": __version__,
        "task": plain(task, "task"),
    }
    return json.dumps(parts, sort_keys=True)


def key_of(name: str) -> str:
    """A short digest of a task's name."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def plain(value: Any, name: str) -> Any:
    """A value as JSON can hold it, arrays by their digest; never two different values alike."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return plain(value.item(), name)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        data = np.ascontiguousarray(value)
        return {"array": [data.dtype.str, list(data.shape), hashlib.sha256(data.tobytes()).hexdigest()]}
    if isinstance(value, np.random.SeedSequence):
        return {"seed": [plain(value.entropy, name), list(value.spawn_key)]}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: plain(item, f"{name}[{key!r}]") for key, item in value.items()}}
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__qualname__: plain(asdict(value), name)}
    raise InputTypeError(
        f"{name} is a {type(value).__name__}: numbers, strings, None, numeric arrays, seed sequences, and lists, dicts and "
        "dataclasses of them were expected"
    )


def as_result(returned: Any) -> Result:
    """What a task returned, every value an array."""
    if not isinstance(returned, Mapping):
        raise InputError(f"a task returned a {type(returned).__name__}, a dict of arrays was expected")
    result = {key: np.asarray(value) for key, value in returned.items()}
    for key, value in result.items():
        if value.dtype.kind not in "biufU":
            raise InputError(f"a task returned {key!r} of dtype {value.dtype}, numbers or strings were expected")
    return result


def write_result(path: Path, name: str, result: Result) -> None:
    """Write one result so that no half-written file can ever be found under its name."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **{TASK_MEMBER: np.array(name)}, **result)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_result(path: Path, name: str) -> Result | None:
    """A finished result; None where there is none or it cannot be used."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as members:
            result = {key: members[key] for key in members.files}
        if str(result.pop(TASK_MEMBER)) == name:
            return result
        reason = "it is of another task"
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        reason = str(error)
    logger.warning("%s is not used (%s); the task is done again", path, reason)
    return None
