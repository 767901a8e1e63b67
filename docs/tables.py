"""Fill the tables of README and the documentation from the committed results, so that no figure is typed by hand.

A table stands between two comments:

    <!-- figures: mnist | accuracy | coarse grid, deskew -->
    <!-- end of figures -->

that is: the file in ``benchmarks/results``, the metric (``*`` for all), and words with which the conditions shown must begin
(several are parted by ``;``; none: all conditions).  ``<!-- figures: baseline -->`` is the table of the hot loops.
``python docs/tables.py`` writes them; with ``--check`` it only says which pages are not as the results are.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = re.compile(r"(<!-- figures: (.+?) -->\n)(.*?)(<!-- end of figures -->)", re.S)
COLUMNS = {
    "value": "value",
    "interval": "95 % interval",
    "n": "n",
    "seeds": "seeds",
    "presentations": "presentations",
    "items_stored": "items stored",
    "items_labelled": "items labelled",
    "published": "published",
}


def short(value):
    """A number as the tables show it."""
    if value is None:
        return ""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{int(value):,}"


def cells_of(row):
    """The columns of one row, as text."""
    cells = {name: short(row.get(name)) for name in COLUMNS if name != "interval"}
    low, high = row["ci_low"], row["ci_high"]
    return cells | {"interval": "" if low is None else f"{short(low)} to {short(high)}"}


def baseline_table():
    """The hot loops beside their rivals, from ``benchmarks/baseline.json``."""
    kept = json.loads((ROOT / "benchmarks" / "baseline.json").read_text())
    lines = ["| what | microseconds per item | rival | rival's | ratio |", "| --- | ---: | --- | ---: | ---: |"]
    for row in kept["rows"]:
        times = [format(row[name], ".3g") if row[name] is not None else "" for name in ("ours", "rival", "ratio")]
        rival = row.get("rival_name", "not compared")
        lines.append(f"| {row['row']} | {times[0]} | {rival} | {times[1]} | {times[2]} |")
    machine = kept["machine"]
    versions = f"Python {machine['python']}, NumPy {machine['numpy']}, Numba {machine['numba']}, {', '.join(machine['blas'])}"
    origin = f"`benchmarks/baseline.json`, neuromem {machine['neuromem']}; {machine['cpu']}, {machine['cores']} cores"
    return "\n".join(lines) + f"\n\n{origin}, {versions}.\n\n"


def table(marker):
    """The text that belongs between a pair of comments."""
    if marker == "baseline":
        return baseline_table()
    parts = [part.strip() for part in marker.split("|")]
    name, metric = parts[0], parts[1] if len(parts) > 1 else "*"
    beginnings = tuple(word.strip() for word in parts[2].split(";")) if len(parts) > 2 else ("",)
    result = json.loads((RESULTS / f"{name}.json").read_text())
    rows = [row for row in result["rows"] if metric in ("*", row["metric"]) and row["condition"].startswith(beginnings)]
    if not rows:
        raise ValueError(f"no row of {name} fits {marker!r}")
    body = [cells_of(row) for row in rows]
    shown = [column for column in COLUMNS if any(cells[column] for cells in body)]
    named = ["condition"] + (["metric"] if metric == "*" else [])
    head = [*named, *(metric if c == "value" and metric != "*" else COLUMNS[c] for c in shown)]
    lines = [head, ["---"] * len(named) + ["---:"] * len(shown)]
    lines += [[*(row[n] for n in named), *(cells[c] for c in shown)] for row, cells in zip(rows, body, strict=True)]
    machine = result["environment"]
    versions = f"Python {machine['python']}, NumPy {machine['numpy']}, Numba {machine['numba']}"
    origin = f"`benchmarks/results/{name}.json`, neuromem {result['version']}; {machine['cpu']}, {machine['threads']} threads"
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{origin}, {versions}.\n\n"


def filled(text):
    """A page with its tables as they must be."""
    return MARK.sub(lambda found: found[1] + "\n" + table(found[2]) + found[4], text)


def main(arguments=None):
    """Write the tables, or say which pages differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    differ = [path for path in PAGES if path.exists() and filled(path.read_text()) != path.read_text()]
    for path in differ:
        if not check:
            path.write_text(filled(path.read_text()))
        print(f"{path.relative_to(ROOT)}: {'differs from the results' if check else 'written'}")
    return 1 if check and differ else 0


if __name__ == "__main__":
    sys.exit(main())
