"""Files from strangers: FormatError, or an object equal to the one saved; nothing else, and no large allocation."""

import json
import os
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

import neuromem
from neuromem import FormatError, InputTypeError, SparseyMac
from neuromem.base import Estimator


def small_memory():
    items = (np.random.default_rng(0).random((12, 30)) < 0.2).astype(np.uint8)
    memory = SparseyMac(30, 3, 5, random_state=0)
    memory.write(items)
    return memory


@pytest.fixture
def saved(tmp_path):
    memory = small_memory()
    memory.save(tmp_path / "m.nmem")
    return memory, tmp_path / "m.nmem"


def equal(a, b):
    a, b = a.get_state(), b.get_state()
    same = a["params"] == b["params"] and a["scalars"] == b["scalars"] and set(a["arrays"]) == set(b["arrays"])
    return same and all(np.array_equal(a["arrays"][name], b["arrays"][name]) for name in a["arrays"])


def load_or_refuse(path, memory):
    tracemalloc.start()
    try:
        loaded = neuromem.load(path)
    except FormatError as error:
        assert path.name in str(error)
        return False
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20e6
    assert equal(loaded, memory)
    return True


def rewrite(source, target, change):
    """Copy a file with ``change(header, members)`` applied to its parts."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members.pop("header.json"))
    change(header, members)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("header.json", json.dumps(header))
        for name, body in members.items():
            archive.writestr(name, body)


def test_a_rewritten_file_without_change_is_read(saved, tmp_path):
    memory, path = saved
    rewrite(path, tmp_path / "same.nmem", lambda header, members: None)
    assert load_or_refuse(tmp_path / "same.nmem", memory)


@pytest.mark.parametrize("block", range(5))
def test_flipped_and_cut_files(saved, tmp_path, block):
    memory, path = saved
    body = path.read_bytes()
    rng = np.random.default_rng(block)
    refused = 0
    for i in range(100):
        if i % 4 == 3:
            mutated = bytearray(body[: rng.integers(0, len(body))])
        else:
            mutated = bytearray(body)
            for place in rng.integers(0, len(body), 1 + i % 3):
                mutated[place] ^= 1 << rng.integers(0, 8)
        target = tmp_path / "mutated.nmem"
        target.write_bytes(mutated)
        refused += not load_or_refuse(target, memory)
    assert refused > 50


def set_array(name, **changes):
    return lambda header, members: header["arrays"][name].update(changes)


FORGERIES = {
    "huge shape": set_array("weights_", shape=[1, 2**40, 1]),
    "negative shape": set_array("weights_", shape=[1, -31, 1]),
    "object dtype": set_array("weights_", dtype="|O"),
    "big endian": set_array("weights_", dtype=">u8"),
    "digest": set_array("weights_", sha256="0" * 64),
    "unknown class": lambda header, members: header.update({"class": "os.system"}),
    "other class": lambda header, members: header.update({"class": "baselines.ExactStore"}),
    "version": lambda header, members: header.update(version=99),
    "format": lambda header, members: header.update(format="other"),
    "bad parameter": lambda header, members: header["params"].update(n_modules=-1),
    "huge parameter": lambda header, members: header["params"].update(n_modules=10**12),
    "text parameter": lambda header, members: header["params"].update(u_exponent="8"),
    "missing parameter": lambda header, members: header["params"].pop("n_modules"),
    "extra parameter": lambda header, members: header["params"].update(evil=1),
    "nested estimator": lambda header, members: header["params"].update(decay={"estimator": "os.system", "params": {}}),
    "extra scalar": lambda header, members: header["scalars"].update(__class__="x"),
    "bad scalar": lambda header, members: header["scalars"].update(step_=-5),
    "text scalar": lambda header, members: header["scalars"].update(n_features_in_="30"),
    "huge width": lambda header, members: header["scalars"].update(n_features_in_=2**30),
    "bad entropy": lambda header, members: header["scalars"].update(entropy_=[1]),
    "no scalars": lambda header, members: header.update(scalars={}),
    "scalars are a list": lambda header, members: header.update(scalars=[]),
    "children are a list": lambda header, members: header.update(children=[]),
    "arrays are a list": lambda header, members: header.update(arrays=[]),
    "missing array": lambda header, members: header["arrays"].pop("frozen_"),
    "missing member": lambda header, members: members.pop("frozen_.npy"),
    "extra member": lambda header, members: members.update({"x.npy": b""}),
    "path member": lambda header, members: members.update({"../../x.npy": b""}),
    "unlisted child": lambda header, members: header["children"].update(layer_={"class": "x"}),
    "not an npy member": lambda header, members: members.update({"frozen_.npy": b"cos\nsystem\n(S'id'\ntR."}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_headers(saved, tmp_path, name):
    memory, path = saved
    rewrite(path, tmp_path / "forged.nmem", FORGERIES[name])
    assert not load_or_refuse(tmp_path / "forged.nmem", memory)


def test_bombs_duplicates_and_other_files(saved, tmp_path):
    memory, path = saved
    target = tmp_path / "bomb.nmem"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", b" " * 50_000_000)
    assert not load_or_refuse(target, memory)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("header.json", "[" * 100_000)
    assert not load_or_refuse(target, memory)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("header.json", '{"format": NaN}')
    assert not load_or_refuse(target, memory)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(target, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name, body in (*members.items(), *members.items()):
            archive.writestr(name, body)
    assert not load_or_refuse(target, memory)
    for body in (b"", b"hello", b"PK\x03\x04", os.urandom(200)):
        target.write_bytes(body)
        assert not load_or_refuse(target, memory)
    with pytest.raises(FormatError, match="max_bytes"):
        neuromem.load(path, max_bytes=10)
    with pytest.raises(FileNotFoundError):
        neuromem.load(tmp_path / "none.nmem")


def test_array_data_starts_on_a_64_byte_boundary(saved):
    memory, path = saved
    body = path.read_bytes()
    for array in memory.get_state()["arrays"].values():
        if array.nbytes > 40:
            assert body.index(array.tobytes()) % 64 == 0


def test_a_kill_in_the_middle_of_saving_leaves_the_old_file_whole(saved):
    memory, path = saved
    script = (
        "import os, sys, neuromem, neuromem.io as io\n"
        "memory = neuromem.load(sys.argv[1]); memory.write([[1] * 30])\n"
        "write = io.write_member; seen = []\n"
        "def die(*arguments):\n"
        "    write(*arguments); seen.append(1)\n"
        "    if len(seen) == 2: os._exit(9)\n"
        "io.write_member = die; memory.save(sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == 9
    assert equal(neuromem.load(path), memory)


def test_an_interrupt_while_saving_leaves_the_old_file_and_no_other(saved, monkeypatch):
    memory, path = saved

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("neuromem.io.write_member", interrupt)
    with pytest.raises(KeyboardInterrupt):
        memory.save(path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert equal(neuromem.load(path), memory)


def test_a_class_outside_the_table_cannot_be_saved(tmp_path):
    class Private(Estimator):
        def __init__(self):
            pass

    with pytest.raises(InputTypeError, match="Private"):
        Private().save(tmp_path / "x.nmem")
