"""The pages: every public name has its place in the reference, links and tables of contents lead somewhere.

That the pages build without a warning is checked by building them: ``python -m sphinx -W -b html docs build/docs``.
"""

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

import neuromem
from neuromem import datasets, environments, errors, gpu, hcam, hopfield, layers, optim, retention, sparsey
from neuromem.sparsey import encode

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text()
    for path in DOCS.rglob("*")
    if path.suffix in (".md", ".rst") and path.relative_to(DOCS).parts[0] not in ("generated", "_build", "templates")
}
DIRECTIVE = re.compile(r"\.\. (currentmodule|automodule|autoclass|autofunction|autoexception|data):: (\S+)|   ([A-Za-z]\w*)$")
# Made while the pages are built.
MADE_ELSEWHERE = {"generated/gallery/index"}


def documented() -> set[str]:
    """Full names of everything that the reference lists."""
    found = set()
    for name, text in PAGES.items():
        module = ""
        for line in text.splitlines() if name.startswith("api/") else ():
            if match := DIRECTIVE.fullmatch(line):
                directive, target, entry = match.groups()
                if directive == "currentmodule":
                    module = target
                elif directive == "automodule":
                    found.add(target)
                elif not (entry and name == "api/index"):
                    found.add(f"{module}.{target or entry}")
    return found


def resolved(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    if module and hasattr(home := importlib.import_module(module), attribute):
        return getattr(home, attribute)
    return importlib.import_module(name)


DOCUMENTED = {name: resolved(name) for name in sorted(documented())}


WANTED = [
    *((neuromem, name) for name in neuromem.__all__),
    *((sparsey, name) for name in sparsey.__all__),
    *((hcam, name) for name in hcam.__all__),
    *((hopfield, name) for name in hopfield.__all__),
    *((retention, name) for name in retention.__all__),
    *((hopfield.baselines, name) for name in hopfield.baselines.__all__),
    *((encode, name) for name in encode.__all__),
    *((layers, name) for name in layers.__all__),
    *((optim, name) for name in optim.__all__),
    *((datasets, name) for name in datasets.__all__),
    *((environments, name) for name in environments.__all__),
    *((gpu, name) for name in ("availability", "device_info", "is_available", "require")),
]


@pytest.mark.parametrize(("module", "name"), WANTED, ids=[f"{module.__name__}.{name}" for module, name in WANTED])
def test_public_name_is_in_the_reference(module, name):
    value = getattr(module, name)
    if isinstance(value, str):
        assert f"{module.__name__}.{name}" in DOCUMENTED
    else:
        assert any(value is other for other in DOCUMENTED.values())


def test_bridges_are_in_the_reference_by_their_names():
    """They are not imported: what they bridge to may not be installed."""
    for path in (ROOT / "neuromem" / "interop").glob("[a-z]*.py"):
        (names,) = (
            ast.literal_eval(node.value)
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
        )
        assert f".. py:module:: neuromem.interop.{path.stem}" in PAGES["api/interop"]
        for name in names:
            assert re.search(rf"^\.\. py:class:: {name}\b", PAGES["api/interop"], re.M)


def test_the_reference_lists_nothing_twice():
    listed = [id(value) for value in DOCUMENTED.values()]
    assert len(listed) == len(set(listed))


def test_every_error_is_listed():
    assert {f"neuromem.{name}" for name, value in vars(errors).items() if isinstance(value, type)} <= set(DOCUMENTED)


def contents(name: str) -> list[str]:
    """Pages in the tables of contents of a page."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", PAGES[name], re.M | re.S)
    blocks += re.findall(r"^\.\. toctree::\n((?:[ ]{3}.*\n|\n)*)", PAGES[name], re.M)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    folder = Path(name).parent
    return [(folder / line).as_posix() for line in lines if line and not line.startswith(":")]


def test_every_page_is_reached_and_every_entry_is_a_page():
    reached, open_ends = {"index"}, ["index"]
    while open_ends:
        for entry in contents(open_ends.pop()):
            assert entry in PAGES or entry in MADE_ELSEWHERE, f"no page {entry}"
            if entry in PAGES and entry not in reached:
                reached.add(entry)
                open_ends.append(entry)
    assert reached == set(PAGES)


def test_links_between_pages_lead_to_files():
    for name, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not target.startswith(("http", "generated/")):
                assert (DOCS / name).parent.joinpath(target).exists(), f"{name}: {target}"


def test_included_parts_exist():
    for name, text in PAGES.items():
        for target, options in re.findall(r"^```\{include\} (\S+)\n((?::.*\n)*)```", text, re.M):
            source = (DOCS / name).parent.joinpath(target).read_text()
            for mark in re.findall(r':(?:start-after|end-before): "(.*)"', options):
                assert source.count(f"{mark}\n") == 1, f"{name}: {mark!r} is not once in {target}"


def test_only_what_exists_is_presented_as_here():
    rows = re.findall(r"^\| .* \| (.*) \| (here.*|planned) \|$", PAGES["choosing"], re.M)
    assert {state.partition(",")[0] for _, state in rows} == {"here", "planned"}
    for name, state in rows:
        known = re.fullmatch(r"`(\w+)`", name)
        assert bool(known) == state.startswith("here")
        assert known is None or known.group(1) in neuromem.__all__


def test_the_extra_brings_what_the_configuration_asks_for():
    settings = {}
    for node in ast.parse((DOCS / "conf.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                settings[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    modules = {name.partition(".")[0] for name in [*settings["extensions"], settings["html_theme"]]}
    assert {"rendering", "gallery"} <= {path.stem for path in DOCS.glob("*.py")}
    modules = (modules - {"rendering"}) | {"latex2mathml"}
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["docs"]
    assert modules <= {re.split(r"[<>=~]", name)[0].replace("-", "_") for name in extra}
