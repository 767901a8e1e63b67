"""Directories of chunk memories from strangers: refused, or what was saved."""

import json
import shutil

import numpy as np
import pytest
from chunk_oracle import CAPACITY, SIZE, WIDTH, assert_same_view, make, numbered

from neuromem import ChunkMemory, FormatError, SpaceMismatchError, StoreError, column_files
from neuromem.column_store import ColumnStore


@pytest.fixture
def closed(tmp_path):
    with make(tmp_path / "m") as memory:
        memory.write(numbered(61))
    return tmp_path / "m", memory_in_ram(61)


def memory_in_ram(n):
    memory = make()
    memory.write(numbered(n))
    return memory


def test_flipped_and_cut_files_are_refused_or_do_no_harm(closed, tmp_path):
    path, wanted = closed
    rng = np.random.default_rng(1)
    refused = 0
    names = ("store.json", "commits", "chunks.col", "contents.col", "summaries.col")
    for i in range(300):
        target = tmp_path / "mutated"
        shutil.copytree(path, target)
        name = names[i % 5]
        body = bytearray((target / name).read_bytes())
        if i % 7 == 3:
            body = body[: rng.integers(0, len(body))]
        else:
            body[rng.integers(0, len(body))] ^= 1 << rng.integers(0, 8)
        (target / name).write_bytes(body)
        try:
            with ChunkMemory.open(target, verify=True) as memory:
                v, w = memory.view(), wanted.view()
                for array in ("lengths", "first_step", "visible"):
                    assert np.array_equal(getattr(v, array), getattr(w, array))
                closed_chunks = v.visible  # steps of the open chunk have no checksum yet, its summary is made anew
                assert np.array_equal(v.contents[closed_chunks], w.contents[closed_chunks])
                assert np.array_equal(v.summaries[closed_chunks], w.summaries[closed_chunks])
        except (FormatError, StoreError) as error:
            assert str(target) in str(error)
            refused += 1
        shutil.rmtree(target)
    assert refused > 150


def forge(path, change):
    """The directory's numbers after ``change(numbers, chunks)``, its records made to fit."""
    with ColumnStore.open(path, kind="hcam.ChunkMemory") as store:
        numbers, n_rows = store.state.copy(), store.n_rows
        n_rows = change(numbers, store.arrays["chunks"]) or n_rows
        store.commit(n_rows, numbers)


@pytest.mark.parametrize(
    "change",
    [
        lambda numbers, chunks: numbers.__setitem__(0, -1),
        lambda numbers, chunks: numbers.__setitem__(0, 2),
        lambda numbers, chunks: numbers.__setitem__(1, 2**61),
        lambda numbers, chunks: numbers.__setitem__(1, 3),
        lambda numbers, chunks: numbers.__setitem__(2, -5),
        lambda numbers, chunks: numbers.__setitem__(2, 99),
        lambda numbers, chunks: numbers.__setitem__(3, SIZE),
        lambda numbers, chunks: numbers.__setitem__(4, -1),
        lambda numbers, chunks: chunks.__setitem__((5, 0), SIZE + 1),
        lambda numbers, chunks: chunks.__setitem__((5, 0), 0),
        lambda numbers, chunks: chunks.__setitem__((5, 1), 10**6),
        lambda numbers, chunks: chunks.__setitem__((5, 1), -1),
        lambda numbers, chunks: chunks.__setitem__((5, 2), 3),
        lambda numbers, chunks: 2,
    ],
)
def test_forged_numbers(closed, change):
    path, _ = closed
    forge(path, change)
    with pytest.raises(FormatError, match=str(path)):
        ChunkMemory.open(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta.update(n_features=-1),
        lambda meta: meta.update(n_features=10**12),
        lambda meta: meta.update(chunk_size=SIZE + 1),
        lambda meta: meta.update(capacity=CAPACITY + 1),
        lambda meta: meta.update(n_lanes=2),
        lambda meta: meta.update(dtype="float64"),
        lambda meta: meta.update(on_full="never"),
        lambda meta: meta.update(evil=1),
        lambda meta: meta.pop("dtype"),
        lambda meta: meta.update(include_open=[]),
        lambda meta: meta.update(flush_every=0),
    ],
)
def test_forged_parameters(closed, change):
    path, _ = closed
    schema = column_files.read_schema(path / "store.json")
    change(schema["meta"])
    schema["sha256"] = column_files.digest_of(schema)
    (path / "store.json").write_text(json.dumps(schema))
    with pytest.raises(FormatError, match=str(path)):
        ChunkMemory.open(path)


def test_other_directories(tmp_path, closed):
    with pytest.raises(StoreError, match="is no store"):
        ChunkMemory.open(tmp_path)
    with pytest.raises(StoreError, match="is no store"):
        ChunkMemory.open(tmp_path / "none")
    ColumnStore.create(tmp_path / "other", {"x": ("<f4", ())}, kind="other", max_rows=3).close()
    with pytest.raises(SpaceMismatchError, match="other"):
        ChunkMemory.open(tmp_path / "other")
    with pytest.raises(FormatError, match="max_bytes"):
        ChunkMemory.open(closed[0], max_bytes=100)


def test_damage_is_found_by_those_who_ask(closed):
    path, _ = closed
    body = bytearray((path / "contents.col").read_bytes())
    body[SIZE * WIDTH * 4 * 2 + 5] ^= 1
    (path / "contents.col").write_bytes(body)
    with ChunkMemory.open(path) as memory, pytest.raises(FormatError, match="slot 2 of lane 0 is damaged"):
        memory.verify()


def test_with_one_record_lost_chunks_are_compared_with_their_checksums(closed):
    path, wanted = closed
    commits = bytearray((path / "commits").read_bytes())
    commits[60] ^= 1
    commits[40] ^= 1
    (path / "commits").write_bytes(commits)
    with ChunkMemory.open(path) as memory:
        assert_same_view(memory, wanted)
    commits = bytearray((path / "commits").read_bytes())
    commits[40] ^= 1
    (path / "commits").write_bytes(commits)
    body = bytearray((path / "contents.col").read_bytes())
    body[SIZE * WIDTH * 4 * 2 + 5] ^= 1
    (path / "contents.col").write_bytes(body)
    with pytest.raises(FormatError, match="slot 2 of lane 0 is damaged"):
        ChunkMemory.open(path)
