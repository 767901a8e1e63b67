"""``neuromem info [FILE]``: versions and the GPU check, or what is in a file."""

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("info", help="versions, threads and GPU, or what is in a .nmem file")
    parser.add_argument("file", nargs="?", type=Path, help="a .nmem file; its arrays are not loaded")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print one of the two."""
    facts = about_machine() if arguments.file is None else about_file(arguments.file)
    if arguments.json:
        print(json.dumps(facts, indent=1))
        return 0
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name.ljust(width)}  {value}")
    return 0


def about_machine() -> dict[str, Any]:
    """Versions, threads, caches, data, and each step of the GPU check."""
    import neuromem
    from neuromem import gpu, jit
    from neuromem.datasets import data_folder
    from neuromem.experiments.result import environment

    facts: dict[str, Any] = {"neuromem": neuromem.__version__} | environment()
    facts["gpu"] = "available" if gpu.is_available() else "not available"
    facts |= {f"gpu: {step.name}": f"{'yes' if step.holds else 'no'} ({step.detail})" for step in gpu.availability()}
    facts["compiled kernels"] = ", ".join(str(path) for path in jit.cache_directories()) or "none yet"
    facts["data folder"] = str(data_folder())
    return facts


def about_file(path: Path) -> dict[str, Any]:
    """Class, parameters and arrays of a file, from its header alone."""
    from neuromem.io import described_arrays, read_header

    header = read_header(path)
    facts = {"class": header["class"], "written by": f"neuromem {header['library']}", "bytes": path.stat().st_size}
    facts |= {f"parameter {name}": value for name, value in header["params"].items()}
    facts |= {f"array {name}": f"{d['dtype']} {tuple(d['shape'])}" for _, name, d in described_arrays(header)}
    return facts
