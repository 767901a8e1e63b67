"""The dashboard and Orhan's conditions in their smallest forms: complete, restartable to the byte, and what they must find."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neuromem import ProbeResult, SparseyNetwork, SparseySequenceMemory
from neuromem.experiments import retention, retention_memories, retention_orhan
from neuromem.experiments.registry import EXPERIMENTS
from neuromem.experiments.result import write_json
from neuromem.experiments.retention_memories import MEMORIES, N_BYTES, N_FEATURES
from neuromem.retention import PARTS, SparseBits, recognition_probe
from neuromem.sweep import run_tasks

ROOT = Path(__file__).parent.parent
SOME = ("SparseyMac", "HopfieldNetwork", "ExactStore", "TwoStore")
TABLES = ("retention-table.csv", "retention-table.json", "retention.txt", "retention.png")


@pytest.fixture
def tiny(monkeypatch):
    """A few memories, each studied as little as possible."""
    monkeypatch.setattr(retention, "QUICK_SIZE", "tiny")
    for module in (retention, retention_memories):
        monkeypatch.setattr(module, "MEMORIES", {name: MEMORIES[name] for name in SOME})


@pytest.mark.filterwarnings("ignore::neuromem.errors.SaturationWarning")
@pytest.mark.parametrize("name", MEMORIES)
def test_memories_keep_to_their_bytes_and_take_their_items(name):
    contender = MEMORIES[name]
    source, memory = contender.source(), contender.memory(0)
    assert source.n_features == N_FEATURES and source.kind == memory.item_spec.kind or source.density == 1.0
    memory.write(source.get(source.ids("target", 2000)))
    assert memory.nbytes <= N_BYTES
    other = contender.memory(0)
    other.write(source.get(source.ids("target", 2000)))
    items = source.get(source.ids("target", 5, 1995))
    assert np.array_equal(memory.familiarity(items), other.familiarity(items))


@pytest.mark.parametrize("name", MEMORIES)
def test_a_few_items_of_the_kind_that_a_memory_asks_for_are_recognised(name):
    found = recognition_probe(MEMORIES[name].memory, MEMORIES[name].source(), n_study=20, foils="novel", seeds=1)
    assert found.where(measure="accuracy", exposures=1).values()[0] > 0.8


@pytest.mark.parametrize("cls", [SparseySequenceMemory, SparseyNetwork])
def test_items_of_a_list_are_episodes_of_their_own(cls):
    items = SparseBits(64, 5).get(np.arange(12))
    together, apart, in_a_row = (cls(64, random_state=0) for _ in range(3))
    retention_memories.each_an_episode(together).write(items)
    for item in items:
        apart.begin_episode()
        apart.write(item[None])
    in_a_row.write(items)
    assert np.array_equal(together.weights_, apart.weights_)
    assert not np.array_equal(together.weights_, in_a_row.weights_)


@pytest.mark.filterwarnings("ignore::neuromem.errors.SaturationWarning")
@pytest.mark.parametrize("name", [name for name in MEMORIES if name.startswith(("SparseyNetwork", "SparseySequence"))])
def test_what_memories_of_sequences_have_seen_once_stays_as_familiar_as_can_be(name):
    """So spacing can gain nothing: what the page says of them."""
    memory, source = MEMORIES[name].memory(0), MEMORIES[name].source()
    items = source.get(source.ids("target", 1500))
    memory.write(items)
    assert (memory.familiarity(items) == 1).all()


def test_every_memory_of_the_library_takes_part():
    """Whatever is written to, read from, recognised and completed has a line; the others are classifiers or parts of others."""
    import neuromem
    from neuromem import hcam, hopfield, sparsey
    from neuromem.retention import __all__ as names

    verbs = ("write", "read", "familiarity", "complete", "for_budget")
    classes = {
        getattr(module, name)
        for module, all_names in (
            (neuromem, neuromem.__all__),
            (sparsey, sparsey.__all__),
            (hcam, hcam.__all__),
            (hopfield, hopfield.__all__),
            (neuromem.retention, names),
        )
        for name in all_names
        if isinstance(getattr(module, name), type)
    }
    memories = {c.__name__ for c in classes if all(callable(getattr(c, verb, None)) for verb in verbs)}
    assert memories - {"SparseyLayer", "Memory"} == {name.partition(",")[0] for name in MEMORIES}


def test_dashboard(tiny, tmp_path):
    page = tmp_path / "page.html"
    result = EXPERIMENTS["retention"].run(quick=True, seeds=None, out=tmp_path, progress=False, html=page)
    assert result.files + result.figures == list(TABLES)
    assert {path.name for path in tmp_path.iterdir()} == {*TABLES, "page.html"}
    assert all(row.condition.startswith(SOME) for row in result.rows)
    write_json(result, tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text())["experiment"] == "retention"
    values = {(row.condition, row.metric): row.value for row in result.rows}
    assert values["ExactStore", "recognition"] == values["ExactStore", "recall, exact"] == 1
    assert 0 < values["ExactStore", "bytes"] <= N_BYTES
    table = ProbeResult.load(tmp_path / "retention-table.json")
    parts = [(part["system"], part["part"]) for part in table.config["parts"]]
    missing = {row.condition.split(": ")[1] for row in result.rows if row.metric == "not measured"}
    assert len(parts) + len(missing) >= len(SOME) * len(PARTS) and len(set(parts)) == len(parts)
    assert sum(part["n_rows"] for part in table.config["parts"]) == len(table)
    assert all(name in result.summary for name in SOME)


def test_an_interrupted_dashboard_goes_on_to_the_same_bytes(tiny, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    retention.run(quick=True, seeds=1, out=whole, progress=False)
    tasks = [{"memory": m, "part": p, "size": "tiny", "seeds": [0]} for p in PARTS for m in SOME]
    folder = broken / retention.PARTS_FOLDER
    run_tasks(retention.measured, tasks[:9], None, folder)
    kept = sorted(folder.iterdir())
    assert len(kept) == 9
    kept[0].write_bytes(kept[0].read_bytes()[:100])  # half-written: done again
    kept[1].with_name(".x.partial").write_bytes(b"left over")
    retention.run(quick=True, seeds=1, out=broken, progress=False)
    for name in TABLES:
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_run_leaves_parts_that_are_used(tmp_path):
    code = (
        "from pathlib import Path\n"
        "from neuromem.experiments import retention\n"
        "if __name__ == '__main__':\n"
        "    retention.QUICK_SIZE = 'tiny'\n"
        "    retention.MEMORIES = {name: retention.MEMORIES[name] for name in ('FIFOBuffer', 'WillshawMemory')}\n"
        f"    retention.run(quick=True, seeds=1, out=Path({str(tmp_path)!r}), progress=False)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, str(script)], env=settings, start_new_session=True)
    folder = tmp_path / retention.PARTS_FOLDER
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not list(folder.glob("*.npz")):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    killed_before_its_end = folder.exists()
    assert subprocess.run([sys.executable, str(script)], env=settings, timeout=120).returncode == 0
    assert killed_before_its_end and not folder.exists()
    assert (tmp_path / "retention.png").read_bytes().startswith(b"\x89PNG")


def test_orhan(tmp_path):
    result = EXPERIMENTS["retention-orhan"].run(quick=True, seeds=1, out=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == result.figures == ["retention-orhan.png"]
    rows = {(row.condition, row.metric, row.presentations): row.value for row in result.rows}
    recognition = "recognition, right of two"
    for memory in retention_orhan.QUICK_MEMORIES:
        for condition in retention_orhan.CONDITIONS:
            prior = rows[f"{memory}: {condition}", recognition, 0]
            if "unrelated" in condition or "random foil" in condition:
                assert abs(prior - 0.5) < 5 * 0.5 / 60**0.5
    for memory in ("SparseyMac", "HopfieldNetwork", "WillshawMemory"):  # finding: recognised at once, not recalled at once
        recognised = rows[f"{memory}: 1 structured, unrelated foil", recognition, 1]
        recalled = rows[f"{memory}: on what was not given", "recall, exact", 1]
        assert 2 * recognised - 1 > recalled
    for memory in retention_orhan.QUICK_MEMORIES:  # finding: the more alike the foils, the harder
        alike = [rows[f"{memory}: {name}", recognition, 1] for name in list(retention_orhan.CONDITIONS)[:3]]
        assert alike[0] >= alike[1] - 0.1 and alike[0] >= alike[2] - 0.1
    holds = {row.condition: row.value for row in result.rows if row.metric == "holds"}
    for memory in ("HopfieldNetwork", "WillshawMemory"):  # finding: recall falls faster
        assert holds[f"{memory}: recall falls by more than recognition does"] == 1
    kept = {row.condition.partition(":")[0]: row.value for row in result.rows if row.metric == "targets still exact"}
    assert kept["SparseyMac"] > 0 and kept["ReservoirBuffer"] > 0  # they freeze, and keep a sample of all
    assert kept["FIFOBuffer"] == kept["HopfieldNetwork"] == kept["WillshawMemory"] == 0
    inflated = rows["FIFOBuffer: with what was given, as published", "recall, rouge_l", 1]
    assert inflated >= rows["FIFOBuffer: on what was not given", "recall, rouge_l", 1]
