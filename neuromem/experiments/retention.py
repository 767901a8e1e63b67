"""The dashboard: every memory of the library, at equal bytes, through every probe that it can take, with people beside them."""

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.experiments.result import Result, Row
from neuromem.experiments.retention_memories import MEMORIES, N_BYTES, N_FEATURES
from neuromem.experiments.workers import one_thread_each
from neuromem.retention import PARTS, SIZES, ProbeResult, Report, SuiteResult, pooled, run_part
from neuromem.sweep import run_tasks

QUICK_SIZE, FULL_SIZE = "quick", "standard"
PARTS_FOLDER = "retention-parts"  # finished parts of a run that was interrupted; gone when it is done
CURVES = ("accuracy", "pearson")


def run(*, quick: bool, seeds: int, out: Path | None, progress: bool, html: Path | None = None) -> Result:
    """All parts of all memories, as rows, files, a page of figures, and where asked a page of HTML."""
    size = QUICK_SIZE if quick else FULL_SIZE
    tasks = [{"memory": memory, "part": part, "size": size, "seeds": list(range(seeds))} for part in PARTS for memory in MEMORIES]
    settings: dict[str, Any] = {"bytes": N_BYTES, "features": N_FEATURES, "seeds": seeds}
    settings |= {name: value for name, value in vars(SIZES[size]).items() if name != "seeds"}
    settings["items"] = {name: repr(contender.source()) for name, contender in MEMORIES.items()}
    result = Result("retention", 0, json.loads(json.dumps(settings)))
    folder = None if out is None else out / PARTS_FOLDER
    with result.timed("probes"), one_thread_each() as pool:
        found = assembled(tasks, run_tasks(measured, tasks, pool, folder, progress))
    with result.timed("curves and report"):
        report = Report(found, "Memories of neuromem at equal bytes", {"settings": json.dumps(result.settings, indent=1)})
        add_rows(result, report)
        result.summary = report.text()
        if out is not None:
            table, data, text, picture = report.save(out)
            result.files += [table.name, data.name, text.name]
            result.figures.append(picture.name)
        if html is not None:
            report.save_html(html)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def measured(memory: str, part: str, size: str, seeds: list[int]) -> dict[str, Any]:
    """One part of one memory, in a worker: the table as text, or why there is none."""
    contender = MEMORIES[memory]
    found = run_part(contender.memory, part, size, contender.source(), seeds, memory)
    return {"reason": found} if isinstance(found, str) else {"text": found.json_text()}


def assembled(tasks: list[dict[str, Any]], results: list[dict[str, np.ndarray]]) -> SuiteResult:
    """All parts as one result, in the order of memories."""
    given = [
        (task["memory"], task["part"], str(r["reason"]) if "reason" in r else ProbeResult.from_json_text(str(r["text"])))
        for task, r in zip(tasks, results, strict=True)
    ]
    order = list(MEMORIES)
    return SuiteResult.of(sorted(given, key=lambda each: order.index(each[0])))


# ---------------------------------------------------------------- rows


def add_rows(result: Result, report: Report) -> None:
    """Rows of every memory; each condition begins with its name."""
    found = report.found
    for system in found.systems:
        add = functools.partial(add_row, result)
        add(system, "bytes", {"value": float(found.sizes.get(system, np.nan))})
        for name, row in report.lines[system].items():
            metric = "half-life is beyond, items" if name.startswith("half-life") and not row["reached"] else name
            metric = "capacity is beyond, items" if name.startswith("capacity") and "text" in row else metric
            add(system, metric, row)
        if system in report.curves:
            best = report.curves[system].curves[0]
            add(f"{system}: {best.model}", "Akaike weight of the best forgetting curve", {"value": best.weight})
        for row in pooled(found.rows.where(system=system)):
            for condition, metric in places_of(row):
                add(f"{system}: {condition}", metric, row)
        for part, reason in found.left_out[system].items():
            add(f"{system}: {part}: {reason}", "not measured", {"value": 0.0})


def places_of(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Condition and metric of a pooled row in the experiment's own table; none where it is left to the CSV."""
    foil = row["foil"] if row["level"] is None else f"{row['foil']} {row['level']:.4g}"
    shown, lag = f"shown {row['exposures']} times", row["lag_items"]
    if row["condition"] == "studied" and lag is None:
        if row["probe"] == "recognition" and row["measure"] == "accuracy":
            return [(f"{foil}, {shown}", "recognition by foil")]
        if row["probe"] == "recall" and row["measure"] in ("exact", "pearson") and row["exposures"] == 1:
            what = "exact" if row["measure"] == "exact" else "correlation"
            return [(f"{row['cue']} {row['cue_fraction']:g}, {shown}", f"recall by cue, {what}")]
    if row["condition"] == "studied" and lag is not None and row["measure"] in CURVES:
        what = "recognition" if row["measure"] == "accuracy" else "recall, correlation"
        return [(f"lag {lag}", f"{what} by lag")]
    if row["probe"] == "spacing" and row["measure"] in ("spacing_gain", "best_gap"):
        return [(f"{lag} items later", row["measure"].replace("_", " "))]
    if row["measure"] in ("savings", "savings_control"):
        return [(f"{row['measure'].replace('_', ' against a ')}, {lag} items between ({row['condition']})", "savings")]
    return []


def add_row(result: Result, condition: str, metric: str, row: dict[str, Any]) -> None:
    """One row, where it has a value."""
    if row.get("value") is None or not np.isfinite(row["value"]):
        return
    ends = [row.get(name) for name in ("ci_lo", "ci_hi")]
    low, high = (None if end is None or not np.isfinite(end) else float(end) for end in ends)
    made = Row(condition, metric, float(row["value"]), low, high, row.get("n") or None, row.get("seeds", 1))
    made.presentations = row.get("exposures")
    result.rows.append(made)
