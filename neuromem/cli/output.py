"""Options and endings that commands with results share."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """--quick, --json, --out, --seeds, --quiet."""
    parser.add_argument("--quick", action="store_true", help="a small version, seconds instead of minutes")
    parser.add_argument("--json", type=writable_file, metavar="FILE", help="also write all figures with settings and versions")
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path("."), help="folder for pictures (default: here)")
    parser.add_argument("--seeds", type=positive, metavar="N", help="repetitions")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(progress=sys.stderr.isatty())


def writable_file(text: str) -> Path:
    """A path in a folder that exists, for argparse: minutes of work should not end in an error."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder, or lies in none that exists")
    return path


def positive(text: str) -> int:
    """An integer from 1 up, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not an integer from 1 up")
    return value


def finish(result: Any, arguments: argparse.Namespace, table: str) -> None:
    """Print the table and what was written where."""
    from neuromem.experiments.result import environment, write_json

    print(table)
    machine = environment()
    versions = ", ".join(f"{name} {machine[name.lower()]}" for name in ("Python", "NumPy", "Numba"))
    print(f"\n{machine['cpu']}, {machine['threads']} threads, {versions}")
    for name in result.figures:
        print(f"picture: {arguments.out / name}")
    for name in result.files:
        print(f"file: {arguments.out / name}")
    if arguments.json is not None:
        write_json(result, arguments.json)
        print(f"figures: {arguments.json}")
