"""Every example runs in its quick form, in an empty folder, and leaves a printed result and a picture there."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# An agent is no part of the library: it belongs to its experiment, and its example shows that.
EXPERIMENTS = {"ballet_agent": ("neuromem.experiments.ballet_training",)}
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def run(path, *arguments, cwd):
    settings = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, str(path), *arguments], cwd=cwd, env=settings, capture_output=True, text=True, timeout=300
    )


def test_there_are_examples():
    assert {path.stem for path in EXAMPLES} >= {"sparsey_digits", "sparsey_similarity", "continual_digits"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_a_result_and_saves_a_picture(path, tmp_path):
    out = tmp_path / "out"
    done = run(path, "--quick", "--out", str(out), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    *result, last = done.stdout.splitlines()
    assert last == f"picture: {path.stem}.png"
    assert any(re.search(r"\d\.\d", line) for line in result)
    picture = (out / f"{path.stem}.png").read_bytes()
    assert picture.startswith(SIGNATURE) and len(picture) > 10_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_refuses_an_unknown_option(path, tmp_path):
    done = run(path, "--no-such-option", cwd=tmp_path)
    assert done.returncode == 2 and "usage" in done.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_in_gallery_form_and_uses_public_names_only(path):
    import neuromem
    from neuromem import hopfield, retention, sparsey

    tree = ast.parse(path.read_text())
    title, line = ast.get_docstring(tree).splitlines()[:2]
    assert set(line) == {"="} and len(line) == len(title)
    assert path.read_text().count("\n# %%\n") >= 3
    allowed = {module.__name__: set(module.__all__) for module in (neuromem, hopfield, retention, sparsey)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "neuromem":
            assert node.module in (*allowed, "neuromem.datasets", "neuromem.sparsey.encode", *EXPERIMENTS.get(path.stem, ()))
            assert {alias.name for alias in node.names} <= allowed.get(node.module, {alias.name for alias in node.names})
        elif isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name == "neuromem" or alias.name.partition(".")[0] != "neuromem"
