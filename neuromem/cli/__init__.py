"""The command line: ``neuromem <command>``."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from neuromem import __version__

COMMANDS = ("demo", "reproduce", "probe", "info", "warmup", "cache")
DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="neuromem", description="Biologically inspired memory systems.")
    parser.add_argument("--version", action="version", version=f"neuromem {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name in COMMANDS:
        importlib.import_module(f"neuromem.cli.{name}").add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns 0 done, 1 the work failed, 2 bad usage or missing data, 130 interrupted."""
    from neuromem.errors import MissingDataError, MissingDependencyError, NeuromemError

    try:
        chosen = make_parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return int(importlib.import_module(f"neuromem.cli.{chosen.command}").run(chosen))
    except (MissingDataError, MissingDependencyError) as error:
        print(f"neuromem: {error}", file=sys.stderr)
        return BAD_USAGE
    except (NeuromemError, OSError) as error:
        print(f"neuromem: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("neuromem: interrupted", file=sys.stderr)
        return INTERRUPTED
