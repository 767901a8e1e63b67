"""The chunk memory on disk: the same as in RAM, and whole after a kill at any moment."""

import os
import shutil
import signal
import time
import traceback

import numpy as np
import pytest
from chunk_oracle import CAPACITY, SIZE, WIDTH, assert_same_view, make, numbered

import neuromem
from neuromem import ChunkMemory, StoreError, StoreLockedError, column_files
from neuromem.hcam import kernels


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("settings", [{}, {"include_open": True, "flush_every": 1}, {"dtype": "float64", "durable": True}])
def test_the_same_as_in_ram(tmp_path, lanes, settings):
    ram, disk = make(lanes=lanes, **settings), make(tmp_path / "m", lanes, **settings)
    items = numbered(200, lanes)
    at = 0
    rng = np.random.default_rng(0)
    for turn in range(40):
        n = int(rng.integers(0, 9))
        for memory in (ram, disk):
            if turn % 3 == 0:
                memory.write(items[at : at + n])
            else:
                for row in items[at : at + n]:
                    memory.append(row)
            if turn % 7 == 3:
                memory.begin_episode([lanes - 1])
            if turn % 11 == 5:
                memory.flush()
            if turn == 20 and lanes > 1:
                memory.reset([0])
        at += n
        assert_same_view(ram, disk)
        if turn % 4 == 0:
            disk.close()
            disk = ChunkMemory.open(tmp_path / "m", verify=True)
            assert_same_view(ram, disk)
    cues = items[at - 9 : at]
    for lane in range(lanes):
        cue = cues if lanes == 1 else cues[:, lane]
        a, b = ram.read(cue, k=3, lane=lane), disk.read(cue, k=3, lane=lane)
        assert np.array_equal(a.values, b.values) and np.array_equal(a.ids, b.ids) and np.array_equal(a.scores, b.scores)
    disk.reset()
    disk.close()
    disk, fresh = ChunkMemory.open(tmp_path / "m"), make(lanes=lanes, **settings)
    for memory in (disk, fresh):
        memory.write(items[:30])
    assert_same_view(disk, fresh)


def test_closed_and_opened_after_every_step_of_a_stream(tmp_path):
    items = numbered(40)
    whole = make()
    disk = make(tmp_path / "m")
    for row in items:
        disk.append(row)
        whole.append(row)
        with disk:
            pass
        disk = ChunkMemory.open(tmp_path / "m")
        assert_same_view(disk, whole)


def test_a_file_is_the_export_of_a_directory(tmp_path):
    disk, ram = make(tmp_path / "m", 2), make(lanes=2)
    for memory in (disk, ram):
        memory.write(numbered(50, 2))
    disk.save(tmp_path / "m.nmem")
    ram.save(tmp_path / "ram.nmem")
    assert (tmp_path / "m.nmem").read_bytes() == (tmp_path / "ram.nmem").read_bytes()
    loaded, copied = neuromem.load(tmp_path / "m.nmem"), disk.copy()
    for memory in (loaded, copied):
        assert memory.storage == "ram"
        assert_same_view(memory, disk)
        memory.write(numbered(3, 2, 50))
    assert disk.n_steps == 50


def test_bytes_on_disk(tmp_path):
    with ChunkMemory(128, 256, 10_000, storage=tmp_path / "m") as memory:
        for start in range(0, 256 * 80, 1024):
            memory.write(numbered(1024, start=start, width=128))
        raw = 256 * 80 * 512
        assert memory.nbytes <= 1.01 * raw
    assert sum(path.stat().st_size for path in (tmp_path / "m").iterdir()) <= 1.01 * raw + 8192 + 2000
    ChunkMemory.open(tmp_path / "m", verify=True).close()


def test_a_reader_beside_the_one_that_writes(tmp_path):
    writer = make(tmp_path / "m", capacity=1000, include_open=True)
    writer.write(numbered(30))
    reader = ChunkMemory.open(tmp_path / "m", read_only=True, verify=True)
    assert_same_view(reader, writer)
    with pytest.raises(StoreLockedError):
        ChunkMemory.open(tmp_path / "m")
    for n in (1, 50, 300):
        writer.write(numbered(n, start=writer.n_steps))
        before = reader.n_steps
        assert before < writer.n_steps
        reader.refresh()
        assert_same_view(reader, writer)
    for change in (
        lambda: reader.write(numbered(1)),
        lambda: reader.append(numbered(1)[0]),
        reader.flush,
        reader.reset,
        reader.begin_episode,
    ):
        with pytest.raises(StoreError, match="reading only"):
            change()
    assert_same_view(reader, writer)
    writer.close()
    reader.refresh()
    reader.close()


def test_what_is_closed_is_empty_and_its_place_is_taken(tmp_path):
    memory = make(tmp_path / "m")
    memory.write(numbered(10))
    memory.close()
    memory.close()
    assert len(memory) == 0 and memory.view().n_slots == 0
    with pytest.raises(StoreError, match="holds a store already"):
        memory.write(numbered(1))
    with pytest.raises(StoreError, match="holds a store already"):
        make(tmp_path / "m").append(numbered(1)[0])
    with ChunkMemory.open(tmp_path / "m") as again:
        assert len(again) == 10


def test_steps_that_came_one_by_one_are_committed_with_the_object_that_has_them(tmp_path):
    memory = make(tmp_path / "m")
    for row in numbered(6):
        memory.append(row)
    del memory
    with ChunkMemory.open(tmp_path / "m") as memory:
        assert memory.n_steps == 6


def test_a_full_disk_changes_nothing(tmp_path, monkeypatch):
    memory = ChunkMemory(WIDTH, SIZE, 10**6, storage=tmp_path / "m")
    memory.write(numbered(10))
    before = memory.copy()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(column_files, "allocate", full)
    with pytest.raises(StoreError, match="No space left"):
        memory.write(np.zeros((200_000, WIDTH), np.float32))
    assert_same_view(memory, before)
    monkeypatch.undo()
    memory.write(numbered(10, start=10))
    memory.close()
    assert len(ChunkMemory.open(tmp_path / "m", verify=True)) == 20


# ---------------------------------------------------------------- killed


def schedule(memory, log, upto):
    """The same acts in every run: pieces of the stream, all at once or step by step, from where the memory is."""
    turn = 0
    while memory.n_steps < upto:
        at = memory.n_steps
        n = min((3, 1, 17, 8, 40, 2)[turn % 6], upto - at)
        items = numbered(n, memory.n_lanes, at)
        if turn % 2:
            for row in items:
                memory.append(row)
        else:
            memory.write(items)
            log(memory.n_steps)  # a write counts once it has returned
        turn += 1


def in_child(act):
    """Run ``act(log)`` in a fork; its exit code, or minus the signal, and what it logged last."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            act(lambda number: os.write(write, f"{number}\n".encode()))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(77)
    os.close(write)
    return child, read


def outcome(child, read):
    with os.fdopen(read, "rb") as file:
        logged = file.read().split()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), int(logged[-1]) if logged else 0


def assert_prefix(memory, at_least):
    """Whole steps of the stream, without a gap up to the last, and of the ring no less than must be there."""
    total = memory.n_steps
    assert total >= at_least
    view = memory.view()
    for lane in range(memory.n_lanes):
        order = np.argsort(view.first_step[lane])
        kept = [m for m in order if view.lengths[lane, m]]
        whole = numbered(total, memory.n_lanes).reshape(total, memory.n_lanes, WIDTH)[:, lane]
        end = total
        for m in reversed(kept):
            first, n = view.first_step[lane, m], view.lengths[lane, m]
            assert first + n == end
            assert np.array_equal(view.contents[lane, m, :n], whole[first : first + n])
            if view.visible[lane, m] and n == SIZE:
                wanted = (whole[first : first + n].sum(axis=0, dtype=np.float64) / n).astype(np.float32)
                assert np.array_equal(view.summaries[lane, m], wanted)
            end = first
        # a chunk at most had been given up for one that was not there yet (a sixteenth of the ring, if that is more)
        assert len(kept) >= min(memory.capacity - 1, -(-total // SIZE))


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def points_of(path, lanes, upto):
    """How many moments there are at which a run can die."""
    seen = []
    before = column_files.reached
    column_files.reached = seen.append
    try:
        memory = make(path, lanes)
        schedule(memory, lambda number: None, upto)
        memory.close()
    finally:
        column_files.reached = before
    return len(seen)


@forks
@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("torn", [False, True])
def test_killed_at_every_point_where_something_is_written(tmp_path, lanes, torn):
    upto = 100
    whole = make(lanes=lanes)
    schedule(whole, lambda number: None, upto + 60)
    n_points = points_of(tmp_path / "count", lanes, upto)
    assert n_points > 80
    survived = set()
    for die_at in range(0, n_points, 2 * lanes - 1):
        path = tmp_path / f"{die_at}"

        def act(log, path=path, die_at=die_at):
            left = die_at

            def reached(point):
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)

            def half(descriptor, data, offset):
                if left <= 0:
                    os.pwrite(descriptor, data[: len(data) // 2 + 3], offset)
                    os._exit(9)
                os.pwrite(descriptor, data, offset)

            column_files.reached = reached
            if torn:
                column_files.write_at = half
            memory = make(path, lanes)
            schedule(memory, log, upto)
            memory.close()

        code, logged = outcome(*in_child(act))
        assert code in (0, 9)
        if not (path / "store.json").exists():
            assert logged == 0
            continue
        with ChunkMemory.open(path, verify=True) as memory:
            assert_prefix(memory, logged)
            survived.add(memory.n_steps)
            schedule(memory, lambda number: None, upto + 60)
            assert_same_view(memory, whole)
        shutil.rmtree(path)
    assert len(survived) > 10


@forks
def test_killed_in_the_middle_of_copying_steps(tmp_path):
    """Half of a chunk, and half of a step, is written and nothing said of it."""
    with make(tmp_path / "m") as memory:
        memory.write(numbered(50))

    def act(log):
        whole = kernels.append_steps

        def half(*arguments):
            x, _, capacity, _, contents, *_, opened, fill, _, _ = arguments
            if not fill[0]:  # the next chunk's slot is to be written to
                assert opened[0] == 13 and len(x) == SIZE
                contents[0, opened[0] % capacity, :2] = x[:2, 0]
                contents[0, opened[0] % capacity, 2, : WIDTH // 2] = x[2, 0, : WIDTH // 2]
                os._exit(9)
            whole(*arguments)

        kernels.append_steps = half
        ChunkMemory.open(tmp_path / "m").write(numbered(9, start=50))

    assert outcome(*in_child(act))[0] == 9
    with ChunkMemory.open(tmp_path / "m", verify=True) as memory:
        assert_prefix(memory, 52)
        assert memory.n_steps == 52 and memory.n_closed == CAPACITY - 1
        schedule(memory, lambda number: None, 120)
        whole = make()
        whole.write(numbered(120))
        assert_same_view(memory, whole)


@forks
@pytest.mark.parametrize("lanes", [1, 2])
def test_killed_by_a_signal_at_any_moment(tmp_path, lanes):
    rng = np.random.default_rng(lanes)
    path = tmp_path / "m"
    make(path, lanes).write(numbered(1, lanes))
    at = 1
    for _ in range(25):

        def act(log):
            memory = ChunkMemory.open(path)
            log(memory.n_steps)
            schedule(memory, log, 10**9)

        child, read = in_child(act)
        time.sleep(float(rng.uniform(0.005, 0.05)))
        os.kill(child, signal.SIGKILL)
        code, logged = outcome(child, read)
        assert code == -signal.SIGKILL
        with ChunkMemory.open(path, verify=True) as memory:
            assert_prefix(memory, max(at, logged))
            at = memory.n_steps
    assert at > 100


@forks
def test_a_forked_child_reads_and_does_not_write(tmp_path):
    memory = make(tmp_path / "m")
    for row in numbered(7):
        memory.append(row)

    def act(log):
        for change in (
            lambda: memory.append(numbered(1, start=7)[0]),
            lambda: memory.write(numbered(1, start=7)),
            memory.flush,
            memory.reset,
        ):
            with pytest.raises(StoreError, match="reading only"):
                change()
        assert_prefix(memory, 7)
        memory.close()

    assert outcome(*in_child(act))[0] == 0
    memory.write(numbered(9, start=7))
    memory.close()
    with ChunkMemory.open(tmp_path / "m", verify=True) as memory:
        assert_prefix(memory, 16)
