"""One row per kernel of the retention probes: warm-up and mirror suite read it; each task keeps its rows in a file."""

import importlib
import pkgutil

import neuromem.retention
from neuromem.kernel_registry import KernelRow

FILES = sorted(found.name for found in pkgutil.iter_modules(neuromem.retention.__path__) if found.name.startswith("registry_"))
KERNELS: list[KernelRow] = [row for name in FILES for row in importlib.import_module(f"neuromem.retention.{name}").ROWS]
