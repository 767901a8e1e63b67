"""``neuromem probe``: what it prints, writes and returns, and that the file stays as it is."""

import hashlib
import json

import numpy as np
import pytest

import neuromem
from neuromem import retention
from neuromem.cli import main
from neuromem.retention import PARTS, ProbeResult


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The smallest size for both forms of the command."""
    monkeypatch.setitem(retention.SIZES, "quick", retention.SIZES["tiny"])
    monkeypatch.setitem(retention.SIZES, "standard", retention.SIZES["tiny"])


def saved(memory, path):
    memory.save(path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_table_files_and_page(tmp_path, capsys):
    items = np.random.default_rng(0).random((30, 16))
    store = neuromem.ExactStore(16, 200, "oldest")
    store.write(items)
    path, digest = saved(store, tmp_path / "kept.nmem")
    out, file, page = tmp_path / "out", tmp_path / "table.json", tmp_path / "page.html"
    arguments = ["probe", str(path), "--quick", "--quiet", "--out", str(out), "--json", str(file), "--html", str(page)]
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert not told.err
    for words in ("ExactStore(n_features=16", "30 items", "real items of 16 features", "complete, familiarity", "half-life"):
        assert words in told.out
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert {entry.name for entry in out.iterdir()} == {"kept-table.csv", "kept-table.json", "kept.txt", "kept.png"}
    table = ProbeResult.load(file)
    assert {part["part"] for part in table.config["parts"]} == set(PARTS) and set(table.table["system"]) == {"ExactStore"}
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert len(neuromem.load(path)) == 30


def test_probes_go_on_from_what_is_stored(tmp_path, capsys):
    """A full store that refuses more can take none of the probes but capacity, which starts empty."""
    store = neuromem.ExactStore(16, 20)
    store.write(np.random.default_rng(0).random((20, 16)))
    path, _ = saved(store, tmp_path / "full.nmem")
    assert main(["probe", str(path), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert told.count("the capacity is 20") == len(PARTS) - 1 and "capacity, items" in told


def test_labels_are_given_where_a_memory_has_labels(tmp_path, capsys):
    store = neuromem.ExactStore()
    store.write(np.random.default_rng(0).random((20, 16)), np.arange(20) % 3)
    path, _ = saved(store, tmp_path / "labelled.nmem")
    assert main(["probe", str(path), "--quick", "--quiet"]) == 0
    assert "recall, exact" in capsys.readouterr().out


def test_a_memory_that_can_take_none_is_one(tmp_path, capsys, monkeypatch):
    store = neuromem.ExactStore(16, 20)
    path, _ = saved(store, tmp_path / "kept.nmem")
    monkeypatch.setattr(neuromem.ExactStore, "unavailable_", ("familiarity", "complete", "read", "predict"))
    assert main(["probe", str(path), "--quiet"]) == 1
    told = capsys.readouterr()
    assert "could take none" in told.err and told.out.count("it has no") == len(PARTS)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: neuromem.SparseyMac(random_state=0), "width of items is not known"),
        (lambda: neuromem.MultiScaleSparseyClassifier(), "item"),
    ],
)
def test_a_memory_that_does_not_say_what_it_takes_is_one(make, words, tmp_path, capsys):
    path, _ = saved(make(), tmp_path / "kept.nmem")
    assert main(["probe", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("neuromem: ") and words in told and told.count("\n") == 1


def test_what_is_no_memory_is_one_and_bad_usage_two(tmp_path, capsys):
    bad = tmp_path / "text.nmem"
    bad.write_text("hello")
    assert main(["probe", str(bad)]) == 1 and "text.nmem" in capsys.readouterr().err
    assert main(["probe", str(tmp_path / "absent.nmem")]) == 1 and "absent.nmem" in capsys.readouterr().err
    for arguments in ([], [str(bad), "--json", "no-such-folder/table.json"], [str(bad), "--seeds", "3"]):
        assert main(["probe", *arguments]) == 2


def test_only_some_experiments_have_a_page(tmp_path, capsys):
    assert main(["reproduce", "sisc", "--html", str(tmp_path / "page.html")]) == 2
    told = capsys.readouterr()
    assert "sisc writes no page" in told.err and "retention" in told.err and not told.out
    assert json.dumps([path.name for path in tmp_path.iterdir()]) == "[]"
