"""The command line: exit codes, what is printed where, and machine-readable output."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import neuromem
from neuromem.cli import COMMANDS, main
from neuromem.kernel_registry import SYSTEMS, kernel_rows

ROOT = Path(__file__).parent.parent


def command(*arguments, cwd, **environment):
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "neuromem.cli", *arguments], cwd=cwd, env=settings, capture_output=True, text=True, timeout=300
    )


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"neuromem {neuromem.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["hippopotamus"],
        ["info", "--nonsense"],
        ["cache"],
        ["cache", "fill"],
        ["reproduce"],
        ["reproduce", "hippopotamus"],
        ["reproduce", "sisc", "--seeds", "0"],
        ["reproduce", "sisc", "--seeds", "many"],
        ["demo", "--seeds", "-1"],
        ["demo", "--json", "no-such-folder/figures.json"],
    ],
)
def test_bad_usage_is_two_and_says_why(arguments, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.err and not told.out


def test_unknown_experiment_names_those_there_are(capsys):
    assert main(["reproduce", "mnist-2"]) == 2
    assert "mnist-200" in capsys.readouterr().err


def test_list_tells_data_time_and_published_figure(capsys):
    assert main(["reproduce", "--list"]) == 0
    shown = capsys.readouterr().out
    for word in ("mnist-200", "sisc", "sparsey-capacity", "sparsey-continual", "sparsey-few", "published", "91 %", "Omniglot"):
        assert word in shown


@pytest.mark.parametrize("name", ["mnist", "mnist-200"])
def test_missing_data_is_two_and_says_which_file_and_how_to_get_it(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NEUROMEM_DATA", str(tmp_path))
    assert main(["reproduce", name, "--quick", "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "mnist/mnist.npz" in told and "data_scripts" in told and "licence" in told and "MB" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (neuromem.FormatError("x.nmem: damaged"), 1, "x.nmem: damaged"),
        (neuromem.MissingDataError("a file is missing"), 2, "a file is missing"),
        (neuromem.MissingDependencyError('pip install "neuromem[plot]"'), 2, "neuromem[plot]"),
        (PermissionError(13, "Permission denied", "figures.json"), 1, "figures.json"),
    ],
)
def test_exit_codes_of_what_can_go_wrong(raised, code, words, monkeypatch, capsys):
    def run(arguments):
        raise raised

    monkeypatch.setattr("neuromem.cli.warmup.run", run)
    assert main(["warmup"]) == code
    told = capsys.readouterr()
    assert told.err.startswith("neuromem: ") and words in told.err and told.err.count("\n") == 1


def test_info_shows_versions_and_each_step_of_the_gpu_check(capsys):
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    for word in ("neuromem", "python", "numpy", "numba", "cpu", "threads", "CuPy imports"):
        assert word in shown


def test_info_as_json(capsys):
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["neuromem"] == neuromem.__version__ and found["threads"] >= 1


def test_info_on_a_file_reads_its_header_only(tmp_path, capsys):
    mac = neuromem.SparseyMac(12, 3, 4, random_state=5)
    mac.write([[1, 0] * 6, [0, 1] * 6])
    path = tmp_path / "kept.nmem"
    mac.save(path)
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "sparsey.SparseyMac" in shown and "units_per_module" in shown and "uint" in shown or "<u" in shown
    assert main(["info", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["class"] == "sparsey.SparseyMac"


def test_info_on_what_is_no_file_of_ours_is_one(tmp_path, capsys):
    bad = tmp_path / "text.nmem"
    bad.write_text("hello")
    assert main(["info", str(bad)]) == 1
    assert "text.nmem" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "absent.nmem")]) == 1
    assert "absent.nmem" in capsys.readouterr().err


def test_warmup_names_what_it_compiled(capsys):
    assert main(["warmup", "sparsey"]) == 0
    assert "kernels ready" in capsys.readouterr().out
    assert main(["warmup", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["kernels"] == sum(len(kernel_rows(system)) for system in SYSTEMS)
    assert main(["warmup", "hippopotamus"]) == 1
    assert "systems" in capsys.readouterr().err


def test_cache_clear_says_how_many(tmp_path):
    done = command("cache", "clear", cwd=tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 0 and done.stdout == "0 files removed\n", done.stderr
    done = command("cache", "clear", "--json", cwd=tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert json.loads(done.stdout) == {"removed": 0}


def test_reproduce_quick_writes_json_and_a_picture(tmp_path):
    file = tmp_path / "figures.json"
    done = command("reproduce", "sisc", "--quick", "--out", str(tmp_path), "--json", str(file), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no progress bar when piped"
    assert "closed form" in done.stdout
    found = json.loads(file.read_text())
    assert set(found) == {"experiment", "version", "seed", "settings", "rows", "seconds", "environment"}
    assert {"condition", "metric", "value", "ci_low", "ci_high", "n", "presentations", "published", "source"} <= set(
        found["rows"][0]
    )
    assert {"python", "numpy", "numba", "cpu", "threads", "gpu"} <= set(found["environment"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures.json", "sisc.png"]
    assert (tmp_path / "sisc.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_interrupt_is_130_and_leaves_nothing_half_written(tmp_path):
    file = tmp_path / "figures.json"
    file.write_text("old")
    code = (
        "import sys, time\n"
        "import neuromem.cli\n"
        "from neuromem.experiments import demo\n"
        "def run(**options):\n"
        "    print('started', flush=True)\n"
        "    time.sleep(60)\n"
        "demo.run = run\n"
        f"sys.exit(neuromem.cli.main(['demo', '--json', {str(file)!r}]))\n"
    )
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )
    try:
        assert process.stdout.readline() == "started\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert told == "neuromem: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"] and file.read_text() == "old"
