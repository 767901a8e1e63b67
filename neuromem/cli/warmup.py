"""``neuromem warmup``: compile all kernels now."""

import argparse
import time
from typing import Any


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("warmup", help="compile all kernels now, for example while a container is built")
    parser.add_argument("systems", nargs="*", help="default: all")


def run(arguments: argparse.Namespace) -> int:
    """Compile and say how long it took."""
    import neuromem

    start = time.perf_counter()
    n = neuromem.warmup(arguments.systems or None)
    print(f"{n} kernels ready in {time.perf_counter() - start:.1f} s")
    return 0
