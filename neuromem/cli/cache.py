"""``neuromem cache clear``: forget compiled kernels."""

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("cache", help="compiled kernels on disk")
    parser.add_argument("action", choices=["clear"])


def run(arguments: argparse.Namespace) -> int:
    """Delete compiled kernels."""
    from neuromem.jit import clear_cache

    print(f"{clear_cache()} files removed")
    return 0
