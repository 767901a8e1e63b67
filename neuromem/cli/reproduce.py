"""``neuromem reproduce NAME``: a published experiment."""

import argparse
import sys
from typing import Any

from neuromem.cli.output import add_output_options, finish, writable_file


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("reproduce", help="run an experiment by name")
    parser.add_argument("name", nargs="?", help="see --list")
    parser.add_argument("--list", action="store_true", help="names, data, time and published figures")
    parser.add_argument("--html", type=writable_file, metavar="FILE", help="also write a page that needs no network (retention)")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run one experiment, or list them."""
    from neuromem.experiments.registry import EXPERIMENTS
    from neuromem.experiments.result import aligned

    if arguments.list:
        head = ["name", "what", "data", "minutes", "published"]
        print(aligned([head, *([e.name, e.what, e.data, e.minutes, e.published] for e in EXPERIMENTS.values())]))
        return 0
    if arguments.name not in EXPERIMENTS:
        known = ", ".join(EXPERIMENTS)
        print(f"neuromem: no experiment {arguments.name!r}; there are {known}", file=sys.stderr)
        return 2
    progress = arguments.progress and not arguments.quiet
    experiment = EXPERIMENTS[arguments.name]
    if arguments.html is not None and not experiment.html:
        able = ", ".join(e.name for e in EXPERIMENTS.values() if e.html)
        print(f"neuromem: {experiment.name} writes no page of HTML; --html is for {able}", file=sys.stderr)
        return 2
    result = experiment.run(
        quick=arguments.quick, seeds=arguments.seeds, out=arguments.out, progress=progress, html=arguments.html
    )
    finish(result, arguments, result.summary or result.table())
    if arguments.html is not None:
        print(f"page: {arguments.html}")
    print(", ".join(f"{name} {value:.2f} s" for name, value in result.seconds.items()))
    return 0
