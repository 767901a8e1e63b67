"""A report on memories: one text table, files, and a page of HTML that opens from disk and asks the network for nothing."""

import base64
import html
import io
import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from neuromem.progress import Progress
from neuromem.retention.curve_comparison import CurveComparison
from neuromem.retention.dashboard import panels_of, plot_dashboard
from neuromem.retention.items import ItemSource
from neuromem.retention.plot_tools import new_figure
from neuromem.retention.results import ProbeResult, write_whole
from neuromem.retention.suite import SuiteResult, run_suite
from neuromem.retention.suite_parts import PARTS, Size
from neuromem.retention.summary import curves_of, headlines, pooled, shown

NAMED = ("system", "condition", "measure", "value")
# Columns of the tables of single probes, as far as anything stands in them
SHOWN = ("system", "condition", "measure", "foil", "level", "cue", "cue_fraction", "exposures", "gap", "lag_items")
FIGURES = ("value", "ci_lo", "ci_hi", "chance", "n", "seeds")
# What others of a page's rows tell nearly as well: for files only
FOR_FILES = (
    *("strict_accuracy", "d_prime", "z_roc_slope", "hit_rate", "false_alarm_rate"),
    *("survival", "component_accuracy", "component_accuracy_loss", "cosine", "normalised_error", "information"),
)
N_COLOURS = 64  # of a picture on a page
MOST_COLUMNS = 40  # of a table
WIDE = 4  # memories beyond which the table has a line for each
HEAD = 12  # letters in a line of the head, as far as words allow
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1250px; padding: 0 1em; color: #1a1a1a; }
table { border-collapse: collapse; font-size: 13px; margin: 0.6em 0; }
th, td { border-bottom: 1px solid #ddd; padding: 3px 9px; text-align: left; vertical-align: top; }
th { cursor: pointer; background: #f3f3f3; position: sticky; top: 0; user-select: none; }
th[aria-sort=ascending]::after { content: " \\25B2"; } th[aria-sort=descending]::after { content: " \\25BC"; }
.wide { overflow: auto; max-height: 48em; } .figures { display: flex; flex-wrap: wrap; gap: 8px; }
figure { margin: 0; } figure img { max-width: 100%; height: auto; } figcaption { font-size: 12px; color: #555; }
pre { background: #f7f7f7; padding: 0.6em; overflow: auto; font-size: 12px; } summary { cursor: pointer; margin: 0.4em 0; }
"""
# A click on a column's head sorts its table by that column, once up, then down; empty cells stay last.
SCRIPT = """
document.addEventListener("click", event => {
  const head = event.target.closest("th");
  if (!head) return;
  const up = head.getAttribute("aria-sort") !== "ascending", place = head.cellIndex, body = head.closest("table").tBodies[0];
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = row => row.cells[place].dataset.value ?? row.cells[place].textContent;
  const rows = [...body.rows];
  rows.sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    const difference = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return up ? difference : -difference;
  });
  body.append(...rows);
});
"""
NUMBER = "text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap;"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class Report:
    """What a suite found, as text and as a page.

    Parameters
    ----------
    found : SuiteResult
    title : str
    notes : mapping of str to str
        Under the title of the page; what has several lines is folded.
    """

    found: SuiteResult
    title: str = "Retention probes"
    notes: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def curves(self) -> dict[str, CurveComparison]:
        """Forgetting curves fitted to the course of recognition, by memory."""
        return curves_of(self.found.rows)

    @cached_property
    def lines(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Figures of each memory by name: see :func:`headlines`."""
        return {system: headlines(self.found.rows, system) for system in self.found.systems}

    @cached_property
    def names(self) -> list[str]:
        """Names of all figures, in order."""
        return list(dict.fromkeys(name for line in self.lines.values() for name in line))

    def text(self) -> str:
        """One table, and what was not measured: a line for each figure, or where memories are many a line for each of them."""
        systems = self.found.systems
        best = {system: curve.best.model for system, curve in self.curves.items()}
        columns = [["bytes", *(f"{self.found.sizes[s]:,}" if s in self.found.sizes else "" for s in systems)]]
        columns += [[name, *(shown(name, self.lines[system].get(name)) for system in systems)] for name in self.names]
        columns.append(["forgetting curve by AICc", *(best.get(system, "") for system in systems)])
        columns = [column for column in columns if any(column[1:])]
        told = []
        if columns:
            lines = [["", *systems], *columns]
            told.append(aligned(lines if len(systems) <= WIDE else [list(line) for line in zip(*lines, strict=True)]))
        for system, reasons in self.found.left_out.items():
            told += [f"{system}: no {part}: {reason}" for part, reason in reasons.items()]
        return "\n".join(told)

    def html(self) -> str:
        """One page without any reference to a file or the network."""
        parts = [f"<h1>{html.escape(self.title)}</h1>"]
        for name, text in self.notes.items():
            long = "\n" in str(text)
            told = f"<pre>{html.escape(str(text))}</pre>" if long else html.escape(str(text))
            head = html.escape(name)
            parts.append(f"<details><summary>{head}</summary>{told}</details>" if long else f"<p>{head}: {told}</p>")
        parts.append("<p>A click on the head of a column sorts a table by it.</p>")
        parts += ["<h2>Memories</h2>", self.overview(), "<h2>Figures</h2>", self.figures(), "<h2>Forgetting curves</h2>"]
        parts += [self.fits(), "<h2>Not measured</h2>", self.left_out(), "<h2>Every probe</h2>"]
        parts.append(
            f"<p>Files of the same run have every row; here are none of {', '.join(FOR_FILES)}, nor of single seeds.</p>"
        )
        parts += self.probes()
        body = "\n".join(parts)
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n<title>{html.escape(self.title)}</title>\n'
            f'<link rel="icon" href="data:,">\n<style>{STYLE}{number_columns(MOST_COLUMNS)}\n</style>\n</head>\n<body>\n{body}\n'
            f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
        )

    def overview(self) -> str:
        """A line for each memory."""
        best = {system: curve.best.model for system, curve in self.curves.items()}
        rows = []
        for system in self.found.systems:
            line: list[Any] = [system, self.found.sizes.get(system)]
            for name in self.names:
                row = self.lines[system].get(name)
                line.append(Cell(shown(name, row), None if row is None else row.get("value")))
            rows.append([*line, best.get(system, "")])
        return table(["memory", "bytes", *self.names, "forgetting curve"], rows)

    def figures(self) -> str:
        """Every panel as a picture of its own, with its legend."""
        best = {system: curve.best for system, curve in self.curves.items()}
        found = []
        for title, draw in panels_of(self.found, best).items():
            figure = new_figure(6.2, 4.0)
            ax = draw(figure.add_subplot())
            handles, labels = ax.get_legend_handles_labels()
            if handles and ax.get_legend() is None:
                figure.legend(handles, labels, loc="outside right upper", fontsize=7)
            data = base64.b64encode(small_picture(figure)).decode()
            caption = html.escape(title)
            found.append(
                f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
            )
        return f'<div class="figures">{"".join(found)}</div>'

    def fits(self) -> str:
        """All curves of each memory with their weights."""
        rows = []
        for system, comparison in self.curves.items():
            for line in comparison.curves:
                constants = ", ".join(f"{name} {value:.4g}" for name, value in line.fit.parameters.items())
                rows.append([system, line.model, line.weight, line.score, line.held_out, line.fit.r2, constants])
        head = ["memory", "curve", "weight (AICc)", "AICc", "log loss on the latest lags", "R2", "parameters"]
        return table(head, rows) if rows else "<p>No memory forgot anything at the lags probed.</p>"

    def left_out(self) -> str:
        """What could not be asked, and why."""
        rows = [[system, part, reason] for system, reasons in self.found.left_out.items() for part, reason in reasons.items()]
        return table(["memory", "probe", "reason"], rows) if rows else "<p>Every memory took every probe.</p>"

    def probes(self) -> list[str]:
        """The rows of every probe, seeds put together, and its settings; what all rows share stands above them."""
        settings: dict[str, dict[str, Any]] = {}
        for config in self.found.result.config.get("parts", []):
            settings.setdefault(config.get("part", config.get("probe", "")), {})[config.get("system", "")] = config
        start, found = 0, []
        rows_of: dict[str, list[dict[str, Any]]] = {}
        for config in self.found.result.config.get("parts", []):
            n_rows = config.get("n_rows", 0)
            part = self.found.result.table[start : start + n_rows]
            rows_of.setdefault(config.get("part", ""), []).extend(pooled(ProbeResult(part)))
            start += n_rows
        for name, rows in rows_of.items():
            rows = [row for row in rows if row["measure"] not in FOR_FILES]
            used = [column for column in SHOWN if any(row[column] not in (None, "") for row in rows)]
            columns = [column for column in (*used, *FIGURES) if column in NAMED or len({row[column] for row in rows}) > 1]
            alike = {column: rows[0][column] for column in (*used, *FIGURES) if rows and column not in columns}
            above = ", ".join(f"{column} {written(value)[0]}" for column, value in alike.items() if written(value)[0])
            body = [[row[column] for column in columns] for row in rows]
            asks = PARTS[name].asks if name in PARTS else ""
            found.append(
                f"<details><summary><b>{html.escape(name)}</b>: {html.escape(asks)} ({len(rows)} rows)</summary>"
                f"{f'<p>In all rows: {html.escape(above)}.</p>' if above else ''}{table(columns, body)}"
                f"{settings_of(settings[name])}</details>"
            )
        return found

    def save(self, folder: str | Path, name: str = "retention") -> list[Path]:
        """Write ``NAME-table.csv``, ``NAME-table.json``, ``NAME.txt`` and the page of figures ``NAME.png``; returns the paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}{ending}" for ending in ("-table.csv", "-table.json", ".txt", ".png")]
        self.found.result.to_csv(paths[0])
        self.found.result.to_json(paths[1])
        write_whole(paths[2], self.text() + "\n")
        axes = plot_dashboard(self.found, fits={s: c.best for s, c in self.curves.items()}, title=self.title)
        axes[0, 0].get_figure().figure.savefig(paths[3], dpi=80)
        return paths

    def save_html(self, path: str | Path) -> None:
        """Write the page."""
        write_whole(path, self.html())


@dataclass(frozen=True)
class Cell:
    """A cell that shows one thing and is sorted by another."""

    text: str
    value: Any


def aligned(lines: list[list[str]]) -> str:
    """Columns of equal width, the first left and the others right; long words of the head stand below one another."""
    heads = [textwrap.wrap(cell, HEAD, break_long_words=False) if i else [cell] for i, cell in enumerate(lines[0])]
    height = max(len(head) for head in heads)
    top = [[*[""] * (height - len(head)), *head] for head in heads]
    body = [*([column[i] for column in top] for i in range(height)), *lines[1:]]
    widths = [max(len(line[i]) for line in body) for i in range(len(heads))]
    text = []
    for line in body:
        cells = [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        text.append("  ".join(cells).rstrip())
    text.insert(height, "  ".join("-" * width for width in widths))
    return "\n".join(text)


def written(cell: Any) -> tuple[str, Any]:
    """A cell's text, and what it is sorted by."""
    if isinstance(cell, Cell):
        return cell.text, cell.value
    if cell is None or (isinstance(cell, float) and cell != cell):
        return "", None
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}", cell
    return short(cell), cell


def short(value: Any) -> str:
    """A value in as few letters as tell it: sorting by these is sorting by the value, as far as four digits go."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def number_columns(n_columns: int) -> str:
    """Style of columns of numbers: of a table of class n2 its second one."""
    cells = ", ".join(f".n{i} :is(th, td):nth-child({i})" for i in range(1, n_columns + 1))
    return f"{cells} {{ {NUMBER} }}"


def small_picture(figure: Any) -> bytes:
    """A figure as PNG of few colours, a third of the bytes."""
    from PIL import Image  # which matplotlib needs, too

    drawn, picture = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=95, metadata={"Software": None})
    few = Image.open(drawn).convert("RGB").quantize(N_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(picture, format="PNG", optimize=True)
    return picture.getvalue()


def settings_of(configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Settings of a probe: those that all memories share, then each one's own."""
    first = next(iter(configs.values()))
    shared = {key: value for key, value in first.items() if all(c.get(key) == value for c in configs.values())}
    told = {"all memories" if len(configs) > 1 else next(iter(configs)): shared}
    own = {system: {key: value for key, value in config.items() if key not in shared} for system, config in configs.items()}
    return "".join(
        f"<details><summary>Settings, {html.escape(system)}</summary>"
        f"<pre>{html.escape(json.dumps(config, sort_keys=True, indent=1))}</pre></details>"
        for system, config in (told | {system: config for system, config in own.items() if config}).items()
    )


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table whose columns sort; everything in it is escaped.

    Examples
    --------
    >>> "&lt;b&gt;" in table(["name", "value"], [["<b>", 0.5]])
    True
    """
    cells = [[written(cell) for cell in row] for row in rows]
    names = list(head)
    # columns of numbers are named once, by the table: a page has a hundred thousand cells
    numeric = " ".join(f"n{i + 1}" for i in range(len(names)) if any(isinstance(row[i][1], (int, float)) for row in cells))
    top = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    lines = []
    for row in cells:
        line = ""
        for text, value in row:
            key = "" if value is None else str(value)
            sorting = f' data-value="{html.escape(key, quote=True)}"' if key != text and text != short(value) else ""
            line += f"<td{sorting}>{html.escape(text)}</td>"
        lines.append(f"<tr>{line}</tr>")
    body = "\n".join(lines)
    return f'<div class="wide"><table class="{numeric}"><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def report(
    memories: Mapping[str, Any] | Any,
    source: ItemSource | None = None,
    *,
    size: str | Size = "quick",
    parts: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    out: str | Path | None = None,
    html_file: str | Path | None = None,
    title: str = "Retention probes",
    progress: Progress = False,
) -> Report:
    """Every probe that each memory can take, as a table, files and a page.

    Parameters
    ----------
    memories, source, size, parts, seeds, progress
        As in :func:`run_suite`.
    out : path, optional
        A folder for CSV, JSON, the text and one page of figures.
    html_file : path, optional
        A self-contained page: figures, sortable tables, and every probe's settings.
    title : str

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a memory's ``item_spec`` cannot be told, and no source is given.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, report
    >>> made = report({"store": ExactStore(32)}, RandomBits(32), size="tiny", parts=["recognition"])
    >>> made.text().splitlines()[2].split()
    ['bytes', '3,264']
    """
    made = Report(run_suite(memories, source, size=size, parts=parts, seeds=seeds, progress=progress), title)
    if out is not None:
        made.save(out)
    if html_file is not None:
        made.save_html(html_file)
    return made
