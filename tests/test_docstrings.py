"""Examples in docstrings run and print what they say; documented parameters are those of the signature."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import neuromem

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "neuromem").rglob("*.py")
    if path.name != "__main__.py"
)
PAGES = [
    ROOT / "README.md",
    *sorted(
        path
        for path in (ROOT / "docs").rglob("*")
        if path.suffix in (".md", ".rst") and path.relative_to(ROOT / "docs").parts[0] not in ("generated", "_build", "templates")
    ),
]
BRIDGES = {"neuromem.interop.torch": "torch"}  # modules that need what no extra installs
PUBLIC = {name: getattr(neuromem, name) for name in neuromem.__all__ if callable(getattr(neuromem, name))}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name in BRIDGES:
        pytest.importorskip(BRIDGES[name])
    module = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, _ = doctest.testmod(module, optionflags=flags, verbose=False)
    assert failed == 0


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_in_pages_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, _ = doctest.testfile(str(path), module_relative=False, optionflags=flags, verbose=False)
    assert failed == 0


PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


@pytest.mark.parametrize("path", sorted([*ROOT.glob("README.md"), *(ROOT / "docs").rglob("*.md")]))
def test_code_blocks_in_pages_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in PYTHON_BLOCK.findall(path.read_text()):
        exec(compile(block, str(path), "exec"), names)  # each page is one session


def documented_parameters(text: str) -> set[str]:
    """Names in the Parameters section of a numpydoc docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", inspect.cleandoc(text), re.M | re.S)
    if section is None:
        return set()
    heads = re.findall(r"^([*\w][\w*, ]*?)(?: : .*)?$", section.group(1), re.M)
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


def described() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name, value in PUBLIC.items():
        if inspect.isclass(value):
            if issubclass(value, Exception):
                continue
            found.append((name, value))
            if getattr(value, "_is_protocol", False):
                continue  # the class describes its methods
            found += [(f"{name}.{m}", f) for m, f in vars(value).items() if inspect.isfunction(f) and not m.startswith("_")]
        else:
            found.append((name, value))
    return found


@pytest.mark.parametrize(("name", "value"), described(), ids=[name for name, _ in described()])
def test_public_objects_are_described_and_documented_parameters_exist(name, value):
    text = inspect.getdoc(value)
    assert text and text.strip()
    taken = set(inspect.signature(value).parameters)
    assert documented_parameters(text) <= taken


def test_the_parameter_reader_reads():
    text = """Title.

    Parameters
    ----------
    a, b : int
        Both of them.
    *rest
        More.

    Returns
    -------
    c : int
    """
    assert documented_parameters(text) == {"a", "b", "rest"}
