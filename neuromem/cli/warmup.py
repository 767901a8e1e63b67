"""``neuromem warmup``: compile all kernels now."""

import argparse
import json
import sys
import time
from typing import Any


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("warmup", help="compile all kernels now, for example while a container is built")
    parser.add_argument("systems", nargs="*", help="default: all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> int:
    """Compile and say how long it took."""
    import neuromem

    start = time.perf_counter()
    n = neuromem.warmup(arguments.systems or None, progress=sys.stderr.isatty() and not arguments.quiet)
    seconds = time.perf_counter() - start
    if arguments.json:
        from neuromem.experiments.result import environment

        facts = {"version": neuromem.__version__, "kernels": n, "seconds": round(seconds, 3), "environment": environment()}
        print(json.dumps(facts, indent=1))
    else:
        print(f"{n} kernels ready in {seconds:.1f} s")
    return 0
