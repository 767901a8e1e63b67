"""Columns on disk: what was committed is there, what was not is not, and strangers' directories do no harm."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from neuromem import FormatError, InputError, SpaceMismatchError, StoreError, StoreLockedError, column_files
from neuromem.column_store import HEAD, ColumnStore

COLUMNS = {"x": ("<f4", (3,)), "n": ("<i8", ())}


def rows(n, start=0):
    return np.arange(start, start + n, dtype=np.float32)[:, None] + np.array([0, 0.25, 0.5], np.float32)


def extend(store, n, total=None):
    """n more rows, committed."""
    have = store.n_rows
    store.grow(have + n)
    store.arrays["x"][have : have + n] = rows(n, have)
    store.arrays["n"][have : have + n] = np.arange(have, have + n)
    store.commit(have + n, [have + n, -7])


def assert_sound(store):
    n = store.n_rows
    assert np.array_equal(store.arrays["x"][:n], rows(n))
    assert np.array_equal(store.arrays["n"][:n], np.arange(n))
    assert n == 0 or store.state.tolist() == [n, -7]


def create(path, **settings):
    return ColumnStore.create(path, COLUMNS, kind="test", max_rows=10_000_000, state=[0, 0], meta={"a": [1, "b"]}, **settings)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def closed(path):
    with create(path) as store:
        for n in (3, 40, 1):
            extend(store, n)
    return path


@pytest.mark.parametrize("durable", [False, True])
def test_what_was_committed_is_there(path, durable):
    with create(path, durable=durable) as store:
        for n in (1, 5, 1000, 200_000):
            extend(store, n)
        store.arrays["x"][:0] = 1
        assert_sound(store)
    assert (path / "x.col").stat().st_size == 201_006 * 12 and (path / "n.col").stat().st_size == 201_006 * 8
    with ColumnStore.open(path, kind="test", read_only=True) as store:
        assert store.n_rows == 201_006 and store.meta == {"a": [1, "b"]}
        assert_sound(store)
        assert not store.arrays["x"].flags.writeable
    with ColumnStore.open(path, kind="test", durable=durable) as store:
        extend(store, 7)
        assert_sound(store)
        assert store.nbytes > 201_006 * 20


def test_arrays_given_out_before_the_store_grew_see_the_same_rows(path):
    with create(path) as store:
        extend(store, 10)
        old = store.arrays["x"]
        store.grow(store.allocated + 1)
        assert store.arrays["x"] is not old
        store.arrays["x"][2] = 99
        assert (old[2] == 99).all()


def test_what_was_not_committed_is_not_there(path):
    store = create(path)
    extend(store, 4)
    store.grow(50)
    store.arrays["x"][4:50] = np.nan
    store.release()  # as a kill would
    with ColumnStore.open(path, kind="test") as store:
        assert store.n_rows == 4
        extend(store, 3)
        assert_sound(store)


def test_one_writes_and_any_number_read(path):
    store = create(path)
    extend(store, 4)
    with pytest.raises(StoreLockedError, match="another memory writes"):
        ColumnStore.open(path, kind="test")
    readers = [ColumnStore.open(path, kind="test", read_only=True) for _ in range(3)]
    extend(store, 100_000)
    for reader in readers:
        assert reader.n_rows == 4
        reader.refresh()
        assert reader.n_rows == 100_004
        assert_sound(reader)
        for change in (reader.commit, reader.grow):
            with pytest.raises(StoreError, match="reading only"):
                change(1)
    store.close()
    assert_sound(readers[0])
    with pytest.raises(StoreError, match="closed"):
        store.commit(0, [0, 0])
    ColumnStore.open(path, kind="test").close()


def test_rows_that_a_reader_has_mapped_stay(path):
    """A file cut under a map would end the process that reads."""
    with create(path) as store:
        extend(store, 5000)
        reader = ColumnStore.open(path, kind="test", read_only=True)
        store.commit(0, [0, 0])
    assert (path / "x.col").stat().st_size == 5000 * 12
    with ColumnStore.open(path, kind="test") as store:
        assert store.n_rows == 0
        extend(store, 3)
    assert (path / "x.col").stat().st_size == 5000 * 12
    assert np.array_equal(reader.arrays["x"][3:], rows(4997, 3))


def test_private_columns_of_a_reader_may_be_written_to(closed):
    before = (closed / "x.col").read_bytes()
    with ColumnStore.open(closed, kind="test", read_only=True, private=["x"]) as store:
        store.arrays["x"][:] = 5
        with pytest.raises(ValueError, match="read-only"):
            store.arrays["n"][:] = 5
    assert (closed / "x.col").read_bytes() == before


def test_either_record_of_a_closed_store_may_be_lost(closed):
    for half in (0, 1):
        path = closed.with_name(f"half{half}")
        shutil.copytree(closed, path)
        body = bytearray((path / "commits").read_bytes())
        size = len(body) // 2
        body[half * size : half * size + 20] = os.urandom(20)
        (path / "commits").write_bytes(body)
        with ColumnStore.open(path, kind="test") as store:
            assert store.n_rows == 44 and store.fell_back
            assert_sound(store)


def test_a_torn_record_leaves_the_one_before(path, monkeypatch):
    store = create(path)
    extend(store, 4)
    extend(store, 5)
    whole = column_files.write_at
    for cut in range(0, HEAD.size + 16 + 16, 7):
        monkeypatch.setattr(column_files, "write_at", lambda fd, data, at, cut=cut: whole(fd, data[:cut], at))
        store.grow(20)
        store.arrays["x"][9:20] = np.nan
        store.commit(20, [20, -7])
        store.release()
        monkeypatch.undo()
        store = ColumnStore.open(path, kind="test")
        assert store.n_rows == 9
        assert_sound(store)
    store.close()


def test_no_half_made_store_is_in_the_way(path, monkeypatch):
    points = []
    monkeypatch.setattr(column_files, "reached", points.append)
    create(path).close()
    creating = [point for point in points if point.startswith("create")]
    assert len(creating) == 4
    for stop in creating:
        shutil.rmtree(path)

        def die(point, stop=stop):
            if point == stop:
                raise KeyboardInterrupt

        monkeypatch.setattr(column_files, "reached", die)
        with pytest.raises(KeyboardInterrupt):
            create(path)
        with pytest.raises(StoreError, match="is no store"):
            ColumnStore.open(path, kind="test")
        monkeypatch.undo()
        with create(path) as store:
            extend(store, 2)


def test_places_that_are_taken(closed, tmp_path):
    with pytest.raises(StoreError, match="holds a store already"):
        create(closed)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="letter.txt"):
        create(tmp_path / "full")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="a directory was expected"):
        create(tmp_path / "file")
    with pytest.raises(StoreError, match="is no store"):
        ColumnStore.open(tmp_path / "full", kind="test")
    with pytest.raises(StoreError, match="is no store"):
        ColumnStore.open(tmp_path / "none", kind="test")
    with pytest.raises(SpaceMismatchError, match="'test', 'other' was expected"):
        ColumnStore.open(closed, kind="other")


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({}, {}, "1 to 64 columns"),
        ({"../x": ("<f4", ())}, {}, "no name of a column"),
        ({"x": ("O", ())}, {}, "allowed dtype"),
        ({"x": ("<f4", (0,))}, {}, "rows of shape"),
        ({"x": ("<f4", (2**30, 2**30))}, {}, "rows of"),
        ({"x": ("<f4", ())}, {"max_rows": 0}, "max_rows is 0"),
    ],
)
def test_columns_that_cannot_be(path, columns, settings, message):
    with pytest.raises(InputError, match=message):
        ColumnStore.create(path, columns, **{"kind": "test", "max_rows": 10, **settings})
    assert not path.exists()


def test_a_full_disk_is_an_error_that_changes_nothing(path, monkeypatch):
    with create(path) as store:
        extend(store, 10)

        def full(*arguments):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(column_files, "allocate", full)
        with pytest.raises(StoreError, match="No space left"):
            store.grow(10_000_000)
        assert_sound(store)
        monkeypatch.undo()
        extend(store, 3)
        with pytest.raises(StoreError, match="max_rows"):
            store.grow(10_000_001)


# ---------------------------------------------------------------- from strangers


def test_flipped_and_cut_files(closed, tmp_path):
    rng = np.random.default_rng(0)
    refused = {}
    for i in range(240):
        path = tmp_path / "mutated"
        shutil.copytree(closed, path)
        name = ("store.json", "commits", "x.col", "n.col")[i % 4]
        body = bytearray((path / name).read_bytes())
        if i % 3 == 2:
            body = body[: rng.integers(0, len(body))]
        else:
            used = len(body) if name != "commits" else HEAD.size + 32
            body[rng.integers(0, used)] ^= 1 << rng.integers(0, 8)
        (path / name).write_bytes(body)
        try:
            with ColumnStore.open(path, kind="test") as store:
                assert store.n_rows == 44 and store.state.tolist() == [44, -7]
        except (FormatError, StoreError) as error:
            assert name in str(error)
            refused[name] = refused.get(name, 0) + 1
        shutil.rmtree(path)
    assert refused["store.json"] == 60 and refused["commits"] == refused["x.col"] == refused["n.col"] == 20


def forged(path, change):
    """The schema with ``change`` applied, its checksum made to fit."""
    schema = json.loads((path / "store.json").read_text())
    change(schema)
    schema["sha256"] = column_files.digest_of(schema)
    (path / "store.json").write_text(json.dumps(schema))


FORGERIES = {
    "version": lambda s: s.update(version=2),
    "format": lambda s: s.update(format="other"),
    "extra": lambda s: s.update(evil=1),
    "missing": lambda s: s.pop("meta"),
    "columns": lambda s: s.update(columns=[]),
    "no columns": lambda s: s.update(columns={}),
    "name": lambda s: s["columns"].update({"../../x": {"dtype": "<f4", "shape": []}}),
    "dtype": lambda s: s["columns"]["x"].update(dtype="|O"),
    "big endian": lambda s: s["columns"]["x"].update(dtype=">f4"),
    "shape": lambda s: s["columns"]["x"].update(shape=[2**62, 2**62]),
    "negative": lambda s: s["columns"]["x"].update(shape=[-3]),
    "text shape": lambda s: s["columns"]["x"].update(shape="3"),
    "rows": lambda s: s.update(max_rows=2**60),
    "state": lambda s: s.update(n_state=2**40),
    "kind": lambda s: s.update(kind=3),
    "wider": lambda s: s["columns"]["x"].update(shape=[4000]),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_schemas(closed, name):
    forged(closed, FORGERIES[name])
    with pytest.raises((FormatError, SpaceMismatchError), match=str(closed)):
        ColumnStore.open(closed, kind="test")


def test_forged_records(closed):
    with ColumnStore.open(closed, kind="test") as store:
        key, size = store, store.record_size
    for magic, version, n_state, counter, n_rows, reason in (
        (b"nm-store", 2, 2, 99, 44, "version 2"),
        (b"nm-store", 1, 2, 99, 45_000, "too short for 45000 rows"),
        (b"nm-store", 1, 2, 99, -1, "does not fit"),
        (b"nm-store", 1, 2, 99, 10**9, "does not fit"),
        (b"nm-store", 1, 3, 99, 44, "does not fit"),
    ):
        body = HEAD.pack(magic, version, n_state, counter, n_rows) + bytes(16)
        record = (body + key.sealed(body)).ljust(size, b"\0")
        (closed / "commits").write_bytes(record + bytes(size))
        with pytest.raises(FormatError, match=reason):
            ColumnStore.open(closed, kind="test")
    (closed / "commits").write_bytes(bytes(2 * size))
    with pytest.raises(FormatError, match="neither record"):
        ColumnStore.open(closed, kind="test")


def test_a_record_of_another_store_is_none(closed):
    with ColumnStore.create(closed.with_name("b"), {"x": ("<f4", (3,)), "m": ("<i8", ())}, kind="test", max_rows=9, state=[0, 0]):
        pass
    shutil.copy(closed.with_name("b") / "commits", closed / "commits")
    with pytest.raises(FormatError, match="neither record"):
        ColumnStore.open(closed, kind="test")


@pytest.mark.parametrize("name", ["store.json", "commits", "x.col", "lock"])
@pytest.mark.skipif(os.name == "nt", reason="links and pipes are of another kind there")
def test_links_and_pipes_are_refused(closed, tmp_path, name):
    away = tmp_path / "away"
    (closed / name).rename(away)
    for make in (lambda p: p.symlink_to(away), lambda p: os.link(away, p), os.mkfifo, os.mkdir):
        make(closed / name)
        with pytest.raises(StoreError, match=name):
            ColumnStore.open(closed, kind="test")
        (closed / name).rmdir() if (closed / name).is_dir() else (closed / name).unlink()
    away.rename(closed / name)
    ColumnStore.open(closed, kind="test").close()


def test_missing_files_and_files_beyond_the_limit(closed):
    with pytest.raises(FormatError, match="max_bytes=100"):
        ColumnStore.open(closed, kind="test", max_bytes=100)
    (closed / "store.json").write_text('{"format": NaN}')
    with pytest.raises(FormatError, match="not JSON"):
        ColumnStore.open(closed, kind="test")
    for body in ("[" * 100_000, " " * 2_000_000, "\xff", ""):
        (closed / "store.json").write_text(body, encoding="latin-1")
        with pytest.raises(FormatError, match="store.json"):
            ColumnStore.open(closed, kind="test")


def test_a_missing_column_is_named(closed):
    (closed / "n.col").unlink()
    with pytest.raises(FormatError, match="n.col: is missing"):
        ColumnStore.open(closed, kind="test")
