"""What a probe found: one tidy table, whatever the probe, with how it was found."""

import base64
import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import FormatError, InputError, MissingDependencyError

SCHEMA_VERSION = 1
TEXT, WHOLE, REAL = "text", "whole", "real"
COLUMNS: dict[str, str] = {
    "system": TEXT,
    "probe": TEXT,
    "condition": TEXT,
    "measure": TEXT,
    "foil": TEXT,
    "level": REAL,
    "cue": TEXT,
    "cue_fraction": REAL,
    "exposures": WHOLE,
    "gap": WHOLE,
    "lag_items": WHOLE,
    "lag_updates": WHOLE,
    "seed": WHOLE,
    "n": WHOLE,
    "k": REAL,
    "value": REAL,
    "ci_lo": REAL,
    "ci_hi": REAL,
    "chance": REAL,
    "seconds": REAL,
}
ABSENT = -1  # a whole number that does not apply; texts are empty and reals NaN then
TIMED = ("seconds",)  # what another machine, or another run, would give otherwise


def empty_value(column: str) -> Any:
    """What stands in a column that does not apply."""
    return {TEXT: "", WHOLE: ABSENT, REAL: np.nan}[COLUMNS[column]]


def table_of(rows: Iterable[Mapping[str, Any]]) -> np.ndarray:
    """A structured array from rows; a column that a row leaves out, or has None in, does not apply to it.

    Raises
    ------
    InputError
        For a name that is not one of ``COLUMNS``.
    """
    rows = list(rows)
    for row in rows:
        if unknown := set(row) - set(COLUMNS):
            raise InputError(f"rows have {sorted(unknown)}, the columns are {', '.join(COLUMNS)}")
    columns = {name: [empty_value(name) if row.get(name) is None else row[name] for row in rows] for name in COLUMNS}
    widths = {name: max((len(value) for value in columns[name]), default=0) for name, kind in COLUMNS.items() if kind == TEXT}
    dtypes = {WHOLE: "<i8", REAL: "<f8"}
    fields = [(name, dtypes.get(kind, f"<U{max(1, widths.get(name, 0))}")) for name, kind in COLUMNS.items()]
    table = np.empty(len(rows), fields)
    for name, values in columns.items():
        table[name] = values
    return table


class ProbeResult:
    """A table of measurements.

    Parameters
    ----------
    table : structured array, or iterable of mappings
        Columns as ``COLUMNS``.
    config : mapping, optional
        How it was measured, as JSON values.
    arrays : mapping of arrays, optional
        What does not fit a row, such as the outcome of every item: see :meth:`outcome_matrix`.

    Notes
    -----
    Columns: ``system``, ``probe``, ``condition`` (which of the probe's conditions: "studied", "unstudied", "idle" ...),
    ``measure`` (what ``value`` is), ``foil``, ``level``, ``cue`` (its kind) and ``cue_fraction``, ``exposures``, ``gap``,
    ``lag_items`` and ``lag_updates`` (items and batches written since), ``seed``, ``n`` trials, ``k`` successes (ties count in
    part; NaN where the value is no share), ``value`` with its 95 % interval ``ci_lo`` ... ``ci_hi``, ``chance`` (what guessing
    gives) and ``seconds``.  A whole number that does not apply is -1, a text is empty, a real number is NaN; in files and
    :meth:`rows` these are empty.

    ``level`` and ``gap`` are what a probe varies.  ``level``: the share of components in which a variant differs (recognition and
    its course), items in the list (list length, capacity), the place in it from 0 (serial position; of a slope its first place),
    the similarity of cues (interference), associates of a cue (fan); where it is none of the foil, ``foil`` has the share in its
    name ("variant:1/32").  ``gap``: steps from one exposure to the next (spacing), or interfering lists (interference).

    ``seconds`` differs from run to run, so files leave it out unless asked, and two results are equal whatever it says.

    Examples
    --------
    >>> result = ProbeResult([{"probe": "recognition", "measure": "accuracy", "seed": 0, "n": 10, "k": 9, "value": 0.9}])
    >>> result.where(measure="accuracy").values().tolist()
    [0.9]
    """

    def __init__(
        self,
        table: np.ndarray | Iterable[Mapping[str, Any]],
        config: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.table = table if isinstance(table, np.ndarray) else table_of(table)
        if self.table.dtype.names != tuple(COLUMNS):
            raise InputError(f"table has the columns {self.table.dtype.names}, {tuple(COLUMNS)} were expected")
        self.config: dict[str, Any] = json.loads(json.dumps(dict(config or {}), allow_nan=False))
        self.arrays = dict(arrays or {})

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        probes = ", ".join(sorted(set(self.table["probe"].tolist())))
        return f"ProbeResult({len(self)} rows: {probes})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProbeResult) and self.digest() == other.digest()

    __hash__ = None  # type: ignore[assignment]

    def digest(self) -> str:
        """A digest of table, config and arrays, ``seconds`` left out."""
        return hashlib.sha256(self.json_text(seconds=False).encode()).hexdigest()

    # ---------------------------------------------------------------- looking

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary for each row; None where a column does not apply.

        Examples
        --------
        >>> ProbeResult([{"probe": "recall", "n": 4}]).rows()[0]["gap"] is None
        True
        """
        columns = [plain_column(self.table[name], kind) for name, kind in COLUMNS.items()]
        return [dict(zip(COLUMNS, values, strict=True)) for values in zip(*columns, strict=True)]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows())

    def where(self, **wanted: Any) -> "ProbeResult":
        """The rows whose columns have the given values, or one of several given as a list, tuple, set or range.

        Raises
        ------
        InputError
            For a name that is no column.

        Examples
        --------
        >>> result = ProbeResult([{"probe": "recall", "seed": 0}, {"probe": "recall", "seed": 1}])
        >>> len(result.where(probe="recall", seed=[1, 2]))
        1
        """
        keep = np.ones(len(self.table), bool)
        for name, value in wanted.items():
            validate.choice(name, "column", COLUMNS)
            options = list(value) if isinstance(value, (list, tuple, set, frozenset, range, np.ndarray)) else [value]
            found = np.zeros(len(self.table), bool)
            for option in options:
                option = empty_value(name) if option is None else option
                column = self.table[name]
                found |= np.isnan(column) if COLUMNS[name] == REAL and option != option else column == option
            keep &= found
        return ProbeResult(self.table[keep], self.config, self.arrays)

    def values(self, column: str = "value") -> np.ndarray:
        """One column."""
        validate.choice(column, "column", COLUMNS)
        return self.table[column].copy()

    def curve(self, x: str = "lag_items") -> dict[str, np.ndarray]:
        """Values pooled over seeds at each x: arrays ``x``, ``n``, ``k``, ``value``, ``ci_lo``, ``ci_hi``.

        Where ``k`` is a count it is summed and the interval is Wilson's; else values are averaged with the weights n, and the
        interval is that of the mean over seeds.  Narrow down by :meth:`where` first.

        Raises
        ------
        InputError
            If the rows are of several measures, foils, levels, conditions or probes.
        """
        from neuromem.retention.statistics import mean_interval, wilson_interval

        fixed = ("system", "probe", "condition", "measure", "foil", "level", "cue", "cue_fraction")
        for name in {*fixed} - {x}:
            if len(found := np.unique(self.table[name])) > 1:
                raise InputError(f"rows have several values of {name} ({found.tolist()[:5]}); choose by where({name}=...)")
        points = np.unique(self.table[x])
        out = {name: np.full(len(points), np.nan) for name in ("n", "k", "value", "ci_lo", "ci_hi")}
        for i, point in enumerate(points):
            rows = self.table[self.table[x] == point]
            out["n"][i], out["k"][i] = rows["n"].sum(), rows["k"].sum()
            if np.isnan(out["k"][i]):
                out["value"][i] = np.average(rows["value"], weights=np.maximum(rows["n"], 1))
                out["ci_lo"][i], out["ci_hi"][i] = mean_interval(rows["value"])[1:]
            else:
                out["value"][i] = out["k"][i] / max(1.0, out["n"][i])
                out["ci_lo"][i], out["ci_hi"][i] = wilson_interval(out["k"][i], out["n"][i])
        return {"x": points, **out}

    def outcome_matrix(self, name: str) -> np.ndarray:
        """Outcome of every item at every checkpoint, float32 (n_seeds, n_items, n_checkpoints), in 0 ... 1.

        Parameters
        ----------
        name : str
            As in ``arrays``: "recognition novel", "recall exact" ...; ties are 0.5.
        """
        validate.choice(name, "name", self.arrays)
        return (self.arrays[name] / np.float32(2)).astype(np.float32)

    # ---------------------------------------------------------------- joining

    @classmethod
    def concatenate(cls, results: Sequence["ProbeResult"]) -> "ProbeResult":
        """One result with the rows of several; configs are kept in order under "parts".

        Examples
        --------
        >>> one = ProbeResult([{"probe": "recall"}])
        >>> len(ProbeResult.concatenate([one, one]))
        2
        """
        arrays = {f"{i} {name}": a for i, result in enumerate(results) for name, a in result.arrays.items()}
        rows = [row for result in results for row in result.rows()]
        return cls(rows, {"parts": [result.config for result in results]}, arrays)

    def __add__(self, other: "ProbeResult") -> "ProbeResult":
        return ProbeResult.concatenate([self, other])

    # ---------------------------------------------------------------- files

    def json_text(self, *, seconds: bool = False) -> str:
        """The result as strict JSON, one row a line; the same bytes for equal results."""
        import neuromem

        names = [name for name in COLUMNS if seconds or name not in TIMED]
        columns = [plain_column(self.table[name], COLUMNS[name]) for name in names]
        head = {"schema_version": SCHEMA_VERSION, "library": neuromem.__version__, "config": self.config, "columns": names}
        arrays = {name: coded_array(array) for name, array in sorted(self.arrays.items())}
        lines = ",\n".join(json.dumps(list(values), allow_nan=False) for values in zip(*columns, strict=True))
        text = json.dumps({**head, "arrays": arrays}, sort_keys=True, allow_nan=False)
        return f'{text[:-1]}, "rows": [\n{lines}\n]}}\n'

    def to_json(self, path: str | Path, *, seconds: bool = False) -> None:
        """Write table, config and arrays; ``seconds=True`` keeps the times."""
        write_whole(path, self.json_text(seconds=seconds))

    def csv_text(self, *, seconds: bool = False) -> str:
        """The table as comma-separated values; what does not apply is empty."""
        names = [name for name in COLUMNS if seconds or name not in TIMED]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        columns = [plain_column(self.table[name], COLUMNS[name]) for name in names]
        writer.writerows(["" if v is None else v for v in values] for values in zip(*columns, strict=True))
        return out.getvalue()

    def to_csv(self, path: str | Path, *, seconds: bool = False) -> None:
        """Write the table only; config and arrays are in JSON."""
        write_whole(path, self.csv_text(seconds=seconds))

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingDependencyError('pandas is not installed: pip install "pandas"') from None
        return pandas.DataFrame(self.rows(), columns=list(COLUMNS))

    @classmethod
    def from_json_text(cls, text: str) -> "ProbeResult":
        """Read what :meth:`json_text` gave.

        Raises
        ------
        FormatError
            If the text is of another version.

        Examples
        --------
        >>> one = ProbeResult([{"probe": "recall", "value": 0.5}])
        >>> ProbeResult.from_json_text(one.json_text()) == one
        True
        """
        return from_json(text)

    @classmethod
    def load(cls, path: str | Path) -> "ProbeResult":
        """Read a file that :meth:`to_json` or :meth:`to_csv` wrote.

        Raises
        ------
        FormatError
            If it is not such a file.
        """
        path = Path(path)
        text = path.read_text(encoding="utf-8")
        try:
            return from_csv(text) if path.suffix == ".csv" else from_json(text)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
            raise FormatError(f"{path.name}: not a table of probe results: {error}") from None


def plain_column(column: np.ndarray, kind: str) -> list[Any]:
    """A column as Python values, None where it does not apply."""
    values = column.tolist()
    if kind == WHOLE:
        return [None if value == ABSENT else value for value in values]
    if kind == REAL:
        return [None if value != value else value for value in values]
    return values


def coded_array(array: np.ndarray) -> dict[str, Any]:
    """An array as JSON values."""
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "base64": data}


def array_of(coded: Mapping[str, Any]) -> np.ndarray:
    """Undo :func:`coded_array`; objects are refused."""
    dtype = np.dtype(str(coded["dtype"]))
    if dtype.kind not in "biuf":
        raise FormatError(f"an array is of type {coded['dtype']!r}")
    data = base64.b64decode(coded["base64"], validate=True)
    return np.frombuffer(data, dtype).reshape(coded["shape"]).copy()


def from_json(text: str) -> ProbeResult:
    """A result from the text of a JSON file."""
    content = json.loads(text, parse_constant=refuse_constant)
    if content["schema_version"] != SCHEMA_VERSION:
        raise FormatError(f"schema_version is {content['schema_version']!r}, this library reads {SCHEMA_VERSION}")
    rows = [dict(zip(content["columns"], values, strict=True)) for values in content["rows"]]
    return ProbeResult(rows, content["config"], {name: array_of(coded) for name, coded in content["arrays"].items()})


def refuse_constant(text: str) -> None:
    """NaN and infinity are not JSON."""
    raise FormatError(f"the file has {text}, which is not JSON")


def from_csv(text: str) -> ProbeResult:
    """A result from the text of a CSV file."""
    readers = {TEXT: str, WHOLE: int, REAL: float}
    rows = []
    for line in csv.DictReader(io.StringIO(text), strict=True):
        rows.append({name: readers[COLUMNS[name]](value) for name, value in line.items() if value != ""})
    if not text.startswith("system,probe,"):
        raise FormatError("the first line does not name the columns")
    return ProbeResult(rows)


def write_whole(path: str | Path, text: str) -> None:
    """Write a text file that appears whole or not at all."""
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
