"""``neuromem demo``: a tour on real handwritten digits."""

import argparse
from typing import Any

from neuromem.cli.output import add_output_options, finish


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("demo", help="every memory on scikit-learn's digits; no download")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the tour, print its table, write its picture."""
    from neuromem.experiments import demo

    result = demo.run(
        quick=arguments.quick,
        seeds=arguments.seeds or 1,
        out=arguments.out,
        progress=arguments.progress and not arguments.quiet,
    )
    finish(result, arguments, demo.wide_table(result))
    return 0
