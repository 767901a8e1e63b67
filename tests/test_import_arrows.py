"""Who may import whom: every import statement is looked at, and any arrow that is not listed fails."""

import ast
import re
import sys
from pathlib import Path

import pytest

from neuromem import HOME

ROOT = Path(__file__).parent.parent
SYSTEMS = sorted(path.parent.name for path in (ROOT / "neuromem").glob("*/registry.py") if path.parent.name != "experiments")
CORE = {f"neuromem.{name}" for name in ("errors", "random", "validate", "backend", "parallel", "progress", "base", "io", "sweep")}
PUBLIC = {"neuromem", "neuromem.datasets", "neuromem.layers.", "neuromem.optim", *(f"neuromem.{system}" for system in SYSTEMS)}
PUBLIC |= {"neuromem.sparsey.encode"}  # exported by its package
PUBLIC |= {f"neuromem.{home}" for home in HOME.values()}
# Third-party modules: at the top of a file, and inside functions.
TOP, INSIDE = {"numpy"}, {"numpy", "tqdm"}

# Where the first entry that fits a module's name says what it may import from neuromem, then from others inside functions.
# A name that ends in a dot also allows everything below it.
RULES: list[tuple[str, set[str], set[str]]] = [
    ("neuromem", {"neuromem."}, set()),  # the lazy table: under TYPE_CHECKING only, see below
    ("neuromem.errors", set(), set()),
    ("neuromem.protocols", set(), set()),
    ("neuromem.progress", set(), {"tqdm"}),
    ("neuromem.random", {"neuromem.errors", "neuromem.backend"}, set()),
    ("neuromem.validate", {"neuromem.errors", "neuromem.backend"}, set()),
    ("neuromem.backend", {"neuromem.errors"}, set()),
    ("neuromem.jit", set(), set()),
    ("neuromem.jit_vectors", set(), set()),
    ("neuromem.parallel", {"neuromem.validate"}, {"numba"}),
    ("neuromem.kernel_registry", {"neuromem.validate", "neuromem.progress"}, set()),
    ("neuromem.io", {"neuromem.base", "neuromem.errors", "neuromem.validate", "neuromem.__version__"}, set()),
    ("neuromem.sweep", {"neuromem.errors", "neuromem.progress", "neuromem.__version__"}, set()),
    ("neuromem.column_files", {"neuromem.errors", "neuromem.io"}, set()),
    ("neuromem.column_store", {"neuromem.column_files", "neuromem.errors", "neuromem.validate"}, set()),
    ("neuromem.base", {"neuromem.errors", "neuromem.backend", "neuromem.io"}, {"sklearn"}),
    ("neuromem.baselines", CORE | {"neuromem.protocols"}, set()),
    ("neuromem.optim", {"neuromem.errors", "neuromem.validate"}, set()),
    ("neuromem.layers", {"neuromem.layers."}, set()),
    (
        "neuromem.layers.",
        {f"neuromem.{name}" for name in ("base", "errors", "random", "validate", "backend", "jit", "parallel")}
        | {"neuromem.layers."},
        set(),
    ),
    ("neuromem.datasets.", {"neuromem.errors", "neuromem.datasets."}, {"pooch", "sklearn"}),
    ("neuromem.environments.gymnasium_adapter", CORE | {"neuromem.environments."}, {"gymnasium"}),
    (
        "neuromem.experiments.",
        PUBLIC | {"neuromem.experiments.", "neuromem.progress", "neuromem.sweep", "neuromem.sparsey.reference"},
        {"sklearn", "matplotlib", "scipy", "cv2", "numba"},
    ),
    (
        "neuromem.cli.",
        PUBLIC | {"neuromem.cli.", "neuromem.experiments.", "neuromem.io", "neuromem.jit", "neuromem.gpu"},
        set(),
    ),
    ("neuromem.retention.results", CORE | {"neuromem.retention."}, {"pandas"}),
    ("neuromem.retention.reports", CORE | {"neuromem.progress", "neuromem.retention."}, {"PIL"}),  # matplotlib's own writer
    *[  # memories that are exact stores with a rule for what is dropped, or how surely an item is recalled
        (f"neuromem.retention.{name}", CORE | {"neuromem.protocols", "neuromem.baselines", "neuromem.retention."}, set())
        for name in ("buffers", "item_memories")
    ],
    *[
        rule
        for system in SYSTEMS
        for rule in (
            (f"neuromem.{system}", {f"neuromem.{system}."}, set()),
            (f"neuromem.{system}.kernels.", {"neuromem.jit", "neuromem.jit_vectors", f"neuromem.{system}.kernels."}, set()),
            (f"neuromem.{system}.registry", {"neuromem.kernel_registry", f"neuromem.{system}."}, set()),
            (
                f"neuromem.{system}.reference",
                {"neuromem.random", f"neuromem.{system}.reference", f"neuromem.{system}.packing"},
                set(),
            ),
            (
                f"neuromem.{system}.",
                CORE
                | {"neuromem.protocols", "neuromem.optim", "neuromem.layers.", "neuromem.column_store", f"neuromem.{system}."},
                {"scipy", "cv2", "skimage", "matplotlib", "tqdm"},
            ),
        )
    ],
    ("neuromem.interop", set(), set()),
    ("neuromem.interop.", {"neuromem.errors", "neuromem.backend", "neuromem.hcam."}, set()),
    ("neuromem.gpu.", {"neuromem.errors", "neuromem.random", "neuromem.gpu."}, {"cupy"}),
]


def module_files() -> dict[str, Path]:
    found = {}
    for folder, root in ((ROOT / "neuromem", "neuromem"), (ROOT / "gpu", "neuromem.gpu")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([root, *parts]).removesuffix(".__init__")] = path
    return found


MODULES = module_files()


def fits(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.endswith(".") and (name + ".").startswith(pattern))


def rule_for(module: str) -> tuple[set[str], set[str]]:
    # a further module of a kind, such as reference_labels, is held to the rule of its kind
    plain = re.sub(r"\.(reference|registry)_\w+$", r".\1", module)
    for pattern, inner, outer in RULES:
        if fits(plain, pattern):
            return inner, outer
    raise LookupError(f"no rule for {module}: say in RULES what it may import")


def imports(tree: ast.Module) -> list[tuple[str, bool, int]]:
    """(module, inside a function, line) of every import; imports for type checkers only are left out."""
    found = []

    def walk(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, inside, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            assert node.level == 0, f"line {node.lineno}: relative import"
            for alias in node.names:
                child = f"{base}.{alias.name}"
                if base == "neuromem" and alias.name in HOME:  # a public name counts as the module that has it
                    child = base = f"neuromem.{HOME[alias.name]}"
                found.append((child if child in MODULES else base, inside, node.lineno))
                base = node.module or ""
        for below in ast.iter_child_nodes(node):
            walk(below, inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))

    walk(tree, False)
    return found


def faults(module: str, text: str) -> list[str]:
    inner, outer = rule_for(module)
    found = []
    for name, inside, line in imports(ast.parse(text)):
        root = name.partition(".")[0]
        if root in sys.stdlib_module_names:
            continue
        if root == "neuromem":
            allowed = any(fits(name, pattern) for pattern in inner) or (name == "neuromem" and not closed(module))
        else:
            allowed = root in (outer | INSIDE if inside else TOP_OF.get(module, TOP))
        if not allowed:
            found.append(f"line {line}: {module} may not import {name}{'' if inside else ' at the top of the file'}")
    return found


TOP_OF = {
    "neuromem.jit": {"numpy", "numba"},
    "neuromem.jit_vectors": {"numpy", "numba", "llvmlite"},
    "neuromem": set(),
    "neuromem.errors": set(),
    "neuromem.gpu": set(),
} | {"neuromem.interop.torch": {"torch"}}


def closed(module: str) -> bool:
    """Whether not even the package's own name may be imported."""
    return "kernels" in module.split(".") or fits(module, "neuromem.gpu.")


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_what_is_allowed(module):
    assert not faults(module, MODULES[module].read_text())


def test_one_system_never_imports_another():
    assert faults("neuromem.sparsey.mac", "import neuromem.hopfield.network")


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("neuromem.sparsey.kernels.present", "from neuromem import validate"),
        ("neuromem.sparsey.kernels.present", "from neuromem.sparsey.mac import SparseyMac"),
        ("neuromem.sparsey.kernels.present", "from neuromem import SparseyMac"),
        ("neuromem.sparsey.mac", "import scipy"),
        ("neuromem.sparsey.mac", "import sklearn"),
        ("neuromem.sparsey.mac", "def f():\n    import sklearn"),
        ("neuromem.sparsey.mac", "from neuromem import experiments"),
        ("neuromem.random", "import numba"),
        ("neuromem.gpu.sparsey", "from neuromem import SparseyMac"),
        ("neuromem.gpu.sparsey", "import neuromem"),
        ("neuromem.validate", "from neuromem import load"),
        ("neuromem.layers.dense", "from neuromem.sparsey import SparseyMac"),
        ("neuromem.layers.dense", "def f():\n    import torch"),
        ("neuromem.layers.dense", "from neuromem import optim"),
        ("neuromem.optim", "from neuromem.layers import Dense"),
        ("neuromem.base", "from neuromem.layers import Dense"),
        ("neuromem.gpu", "import cupy"),
        ("neuromem.cli.demo", "import numba"),
        ("neuromem.errors", "import numpy"),
        ("neuromem.hcam.attention", "from neuromem.interop import torch"),
        ("neuromem.experiments.demo", "from neuromem.interop.torch import HCAMAttentionModule"),
        ("neuromem.interop.torch", "import numpy, cupy"),
    ],
)
def test_forbidden_arrows_are_found(module, text):
    assert faults(module, text)


def test_gpu_is_reached_by_backend_and_info_only():
    reached = {
        module
        for module, path in MODULES.items()
        if not module.startswith("neuromem.gpu") and "gpu" in path.read_text().split("import", 1)[-1]
        for name, _, _ in imports(ast.parse(path.read_text()))
        if fits(name, "neuromem.gpu.")
    }
    assert reached <= {"neuromem.cli.info"}  # backend.kernels() goes through importlib


def test_tests_of_a_public_user_see_no_underscore_files():
    assert not [name for name in MODULES if any(part.startswith("_") and part != "__main__" for part in name.split("."))]


def test_no_file_is_longer_than_five_hundred_lines():
    long = {str(path.relative_to(ROOT)): n for path in MODULES.values() if (n := len(path.read_text().splitlines())) > 500}
    assert not long
