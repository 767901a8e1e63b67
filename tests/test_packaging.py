"""What is installed: the package list, the extras, the sdist and the wheel, and a checkout that was not installed."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import neuromem

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "results")


def python(*arguments, cwd, **environment):
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the tree, so that nothing is built in the checkout itself."""
    folder = tmp_path_factory.mktemp("checkout") / "neuromem"
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    return folder


def build(kind, source, out):
    code = f"import setuptools.build_meta as backend, sys; print(backend.build_{kind}(sys.argv[1]))"
    return out / python("-c", code, str(out), cwd=source).splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    """The wheel that comes from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    sdist = build("sdist", checkout, out)
    with tarfile.open(sdist) as archive:
        archive.extractall(out / "unpacked", filter="data")
    (source,) = (out / "unpacked").iterdir()
    return build("wheel", source, out)


def python_files(folder, package):
    return {(Path(*package.split(".")) / path.relative_to(folder)).as_posix() for path in folder.rglob("*.py")}


def test_listed_packages_are_the_folders_on_disk():
    found = set()
    for folder, package in ((ROOT / "neuromem", "neuromem"), (ROOT / "gpu", "neuromem.gpu")):
        for path in folder.rglob("*.py"):
            found.add(".".join([package, *path.parent.relative_to(folder).parts]))
            assert (path.parent / "__init__.py").exists()
    assert sorted(found) == sorted(PROJECT["tool"]["setuptools"]["packages"])


def test_requirements_and_extras_are_those_decided():
    project = PROJECT["project"]
    assert project["dependencies"] == ["numpy>=2.0", "numba>=0.61", "scipy>=1.13", "tqdm"]
    assert project["requires-python"] == ">=3.11"
    extras = project["optional-dependencies"]
    assert set(extras) == {"media", "plot", "rl", "data", "cluster", "gpu-cuda12", "gpu-cuda13", "test", "docs", "dev", "all"}
    assert extras["all"] == ["neuromem[media,plot,rl,data,cluster]"]
    assert extras["gpu-cuda12"] == ["cupy-cuda12x[ctk]"] and extras["gpu-cuda13"] == ["cupy-cuda13x[ctk]"]


def test_version_is_the_same_everywhere():
    version = neuromem.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_lazy_names_agree_with_those_for_type_checkers():
    import ast

    tree = ast.parse((ROOT / "neuromem" / "__init__.py").read_text())
    typed = {}
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for line in node.body:
                for alias in line.names:
                    typed[alias.name] = line.module
    modules = {name for name, module in typed.items() if module == "neuromem"}
    assert modules == set(neuromem.SUBMODULES)
    assert {name: f"neuromem.{home}" for name, home in neuromem.HOME.items()} == {
        name: module for name, module in typed.items() if module != "neuromem"
    }
    assert sorted([*neuromem.HOME, *neuromem.SUBMODULES, "__version__"]) == sorted(neuromem.__all__)


def test_every_public_name_is_there_and_unknown_ones_are_not():
    for name in neuromem.__all__:
        assert getattr(neuromem, name) is not None
        assert name in dir(neuromem)
    assert not hasattr(neuromem, "hippopotamus")


def test_errors_are_all_public():
    from neuromem import errors

    found = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert found == {name for name, home in neuromem.HOME.items() if home == "errors"}


def test_wheel_has_the_package_with_gpu_inside_and_nothing_beside_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        assert "neuromem = neuromem.cli:main" in archive.read(entry).decode()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {name.split("/")[0] for name in names} == {"neuromem", f"neuromem-{neuromem.__version__}.dist-info"}
    wanted = python_files(ROOT / "neuromem", "neuromem") | python_files(ROOT / "gpu", "neuromem.gpu")
    sources = {f"neuromem/gpu/kernels/{path.name}" for path in (ROOT / "gpu" / "kernels").glob("*.cu*")}
    assert {name for name in names if name.startswith("neuromem/")} == wanted | sources | {"neuromem/py.typed"}
    assert "License-Expression: BSD-3-Clause" in metadata
    assert {name.rsplit("/")[-1] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}


def test_wheel_works_elsewhere(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import neuromem.gpu.kernels, neuromem.cli; print(neuromem.gpu.__file__); neuromem.cli.main(['--version'])"
    told = python("-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site")).splitlines()
    assert told == [str(tmp_path / "site" / "neuromem" / "gpu" / "__init__.py"), f"neuromem {neuromem.__version__}"]


def test_bare_checkout_finds_gpu_and_nothing_else(checkout):
    code = (
        "import importlib.util, neuromem, neuromem.gpu.kernels as kernels; print(kernels.__file__);"
        "print([importlib.util.find_spec(name) for name in ('neuromem.tests', 'neuromem.neuromem', 'neuromem.examples')])"
    )
    told = python("-c", code, cwd=checkout).splitlines()
    assert Path(told[0]).resolve() == (checkout / "gpu" / "kernels" / "__init__.py").resolve()
    assert told[1] == "[None, None, None]"


def test_a_new_file_in_gpu_is_seen_by_a_checkout(checkout):
    (checkout / "gpu" / "fresh_module.py").write_text("VALUE = 7\n")
    try:
        assert python("-c", "import neuromem.gpu.fresh_module as m; print(m.VALUE)", cwd=checkout) == "7\n"
    finally:
        (checkout / "gpu" / "fresh_module.py").unlink()


def test_no_committed_text_names_a_place_on_one_machine():
    kept = {".py", ".md", ".toml", ".cff", ".cfg", ".txt", ".yml", ".yaml", ".rst"}
    paths = [
        path
        for path in ROOT.rglob("*")
        if path.suffix in kept and not any(p.startswith(".") for p in path.relative_to(ROOT).parts)
    ]
    places = ["/" + name + "/" for name in ("work", "root", "home", "tmp")]
    found = [str(path.relative_to(ROOT)) for path in paths if any(place in path.read_text() for place in places)]
    assert not found
