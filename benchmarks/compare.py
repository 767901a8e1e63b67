"""Turn the JSON of pytest-benchmark into the committed baseline and the table, or hold a new run against the baseline.

python -m pytest benchmarks --benchmark-json=run.json
python benchmarks/compare.py run.json                    # the table; exit 1 where a ratio has fallen by a third
python benchmarks/compare.py run.json --keep             # also make it the new baseline
"""

import argparse
import json
import sys
from pathlib import Path

BASELINE = Path(__file__).parent / "baseline.json"
LARGEST_FALL = 1 / 3  # of a ratio, which moves less than a time does between machines


def rows_of(run):
    """One row a group: microseconds per item of ours and of the rival, and their ratio."""
    groups = {}
    for bench in run["benchmarks"]:
        info = bench["extra_info"]
        microseconds = bench["stats"]["median"] / info["items"] * 1e6
        row = groups.setdefault(bench["group"], {"row": bench["group"], "ours": None, "rival": None, "ratio": None})
        if "rival" in info:
            row["rival_name"], row["rival"] = info["rival"], microseconds
        else:
            row["ours"] = microseconds
    for row in groups.values():
        if row["rival"] is not None:
            row["ratio"] = row["rival"] / row["ours"]
    return sorted(groups.values(), key=lambda row: row["row"])


def short(value):
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def table(rows, before):
    """Markdown, with the ratio of the baseline in the last column."""
    lines = [
        "| what | microseconds per item | rival | rival's | ratio | ratio before |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        cells = (row["row"], short(row["ours"]), row.get("rival_name", "none"), short(row["rival"]))
        lines.append(f"| {' | '.join(cells)} | {short(row['ratio'])} | {short(before.get(row['row']))} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--keep", action="store_true", help="make this run the baseline")
    chosen = parser.parse_args()
    run = json.loads(chosen.run.read_text())
    rows = rows_of(run)
    old = json.loads(BASELINE.read_text())["rows"] if BASELINE.exists() else []
    before = {row["row"]: row["ratio"] for row in old}
    print(table(rows, before))
    machine = run["machine_info"]
    print(f"\n{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, NumPy {machine['numpy']}", end=", ")
    print(f"Numba {machine['numba']}, BLAS: {', '.join(machine['blas'])}")
    if chosen.keep:
        BASELINE.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
        return 0
    fallen = [row for row in rows if row["ratio"] and row["ratio"] < (before.get(row["row"]) or 0) * (1 - LARGEST_FALL)]
    for row in fallen:
        print(f"fallen: {row['row']}: {short(row['ratio'])}, was {short(before[row['row']])}", file=sys.stderr)
    return 1 if fallen else 0


if __name__ == "__main__":
    sys.exit(main())
