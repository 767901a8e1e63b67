"""``neuromem reproduce NAME``: a published experiment."""

import argparse
import sys
from typing import Any

from neuromem.cli.output import add_output_options, finish


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("reproduce", help="run an experiment by name")
    parser.add_argument("name", nargs="?", help="see --list")
    parser.add_argument("--list", action="store_true", help="names, data, time and published figures")
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
    result = experiment.run(quick=arguments.quick, seeds=arguments.seeds, out=arguments.out, progress=progress)
    finish(result, arguments, result.table())
    print(", ".join(f"{name} {value:.2f} s" for name, value in result.seconds.items()))
    return 0
