"""``neuromem cache clear``: forget compiled kernels."""

import argparse
import json
from typing import Any


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("cache", help="compiled kernels on disk")
    parser.add_argument("action", choices=["clear"])
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Delete compiled kernels."""
    from neuromem.jit import clear_cache

    removed = clear_cache()
    print(json.dumps({"removed": removed}) if arguments.json else f"{removed} files removed")
    return 0
