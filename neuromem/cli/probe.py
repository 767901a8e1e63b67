"""``neuromem probe FILE``: the retention probes on a saved memory."""

import argparse
import sys
from pathlib import Path
from typing import Any

from neuromem.cli.output import writable_file


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("probe", help="what a saved memory recognises, recalls and forgets; the file stays as it is")
    parser.add_argument("file", type=Path, help="a .nmem file")
    parser.add_argument("--quick", action="store_true", help="fewer items and one repetition")
    parser.add_argument("--json", type=writable_file, metavar="FILE", help="also write the table of all probes with settings")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for CSV, JSON, text and a picture (default: none)")
    parser.add_argument("--html", type=writable_file, metavar="FILE", help="also write a page that needs no network")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(progress=sys.stderr.isatty())


def run(arguments: argparse.Namespace) -> int:
    """Load, say what the memory takes, probe copies of it, print the table; 1 where it can take no probe."""
    import neuromem
    from neuromem.retention import PARTS, Report, run_suite

    memory = neuromem.load(arguments.file)
    name = type(memory).__name__
    verbs = neuromem.capabilities(memory)
    if not hasattr(memory, "item_spec"):
        print(f"neuromem: {arguments.file}: {name} does not say what items it takes, so it cannot be probed", file=sys.stderr)
        return 1
    spec = memory.item_spec
    told = {
        "memory": repr(memory),
        "holds": f"{len(memory):,} items, {memory.nbytes:,} bytes",
        "takes": f"{spec.kind} items of {spec.n_features} features"
        + ("" if spec.density is None else f", a share {spec.density:g} of them not 0"),
        "can": ", ".join(sorted(verbs)),
        "probed with": "random items, written to copies of it as it is",
    }
    for what, text in told.items():
        print(f"{what.ljust(12)} {text}")
    print()
    size = "quick" if arguments.quick else "standard"
    found = run_suite(memory, size=size, progress=arguments.progress and not arguments.quiet)
    report = Report(found, f"Retention probes: {arguments.file.name}", told | {"size": size})
    print(report.text())
    if arguments.out is not None:
        for path in report.save(arguments.out, arguments.file.stem):
            print(f"file: {path}")
    if arguments.json is not None:
        found.result.to_json(arguments.json)
        print(f"table: {arguments.json}")
    if arguments.html is not None:
        report.save_html(arguments.html)
        print(f"page: {arguments.html}")
    if len(found.left_out[name]) == len(PARTS):
        print(f"neuromem: {arguments.file}: {name} could take none of the probes", file=sys.stderr)
        return 1
    return 0
