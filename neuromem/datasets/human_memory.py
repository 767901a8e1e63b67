"""Readers of measurements of human memory: Ebbinghaus's savings, their replications, free recall of word lists."""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neuromem.datasets.files import data_folder
from neuromem.errors import FormatError, MissingDataError

MOST_BYTES = 1 << 26


def find(name: str, *, origin: str, size: str, licence: str) -> Path:
    """The path of a file in ``human_memory``.

    Raises
    ------
    MissingDataError
        If it is not there; the message says where it comes from.
    """
    path = data_folder() / "human_memory" / name
    if not path.is_file():
        raise MissingDataError(
            f"human_memory/{name} is not in {data_folder()}: put it there ({origin}; {size}, licence: {licence}), or set "
            "NEUROMEM_DATA to a folder that has it"
        )
    return path


def columns_of(path: Path, names: Sequence[str]) -> list[list[str]]:
    """Columns of a CSV file, plain or gzipped.

    Raises
    ------
    FormatError
        If the file is damaged, has another head, or a line of another length.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        lines = list(csv.reader(io.StringIO(data.decode("utf-8")), strict=True))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path.name}: {error}") from None
    if len(data) > MOST_BYTES or not lines or lines[0] != list(names):
        raise FormatError(f"{path.name}: the columns are not {', '.join(names)}")
    if len(lines) == 1 or any(len(line) != len(names) for line in lines):
        raise FormatError(f"{path.name}: a line does not have {len(names)} fields, or there is none")
    return [list(column) for column in zip(*lines[1:], strict=True)]


def numbers(column: list[str], path: Path, kind: type = float) -> np.ndarray:
    """A column of finite numbers.

    Raises
    ------
    FormatError
    """
    try:
        found = np.array([kind(value) for value in column], float if kind is float else np.int64)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{path.name}: {error}") from None
    if not np.isfinite(found).all():
        raise FormatError(f"{path.name}: a number is not finite")
    return found


def ebbinghaus_savings() -> tuple[np.ndarray, np.ndarray]:
    """Ebbinghaus's own savings (1885), in time.

    Returns
    -------
    minutes : float64 (7,)
    savings : float64 (7,)
        Share of the time of learning that relearning saves.

    Raises
    ------
    MissingDataError, FormatError
    """
    name = "ebbinghaus_1885_savings.csv"
    path = find(name, origin="abrsvn/pyactr-book, data/ebbinghaus_retention_data.csv", size="91 bytes", licence="public domain")
    hours, percent = columns_of(path, ("delay_in_hours", "percent_savings"))
    return numbers(hours, path) * 60, numbers(percent, path) / 100


def murre_dros_savings() -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Savings in repetitions, with standard errors: Ebbinghaus and three who did the same (Murre and Dros 2015).

    Returns
    -------
    minutes : float64 (7,)
    savings, errors : dict of float64 (7,)
        By name: "Ebbinghaus", "Mack", "Seitz", "Dros".

    Raises
    ------
    MissingDataError, FormatError
    """
    origin = "Derek-Jones/ESEUR-code-data, developers/pone.0120644.csv.xz, unpacked"
    path = find("murre_dros_2015_savings.csv", origin=origin, size="547 bytes", licence="CC BY 4.0")
    people = ("Ebbinghaus", "Mack", "Seitz", "Drost")  # the file's spelling
    head = ("Interval", "Interval secs", *people, "Interval days", *(f"{name} SE" for name in people))
    columns = dict(zip(head, columns_of(path, head), strict=True))
    named = {"Drost": "Dros"}
    savings = {named.get(name, name): numbers(columns[name], path) / 100 for name in people}
    errors = {named.get(name, name): numbers(columns[f"{name} SE"], path) for name in people}
    return numbers(columns["Interval secs"], path) / 60, savings, errors


def peers_free_recall() -> dict[str, np.ndarray]:
    """Free recall of lists of 16 words by 126 people (PEERS study, University of Pennsylvania).

    Returns
    -------
    dict
        Columns, one entry for each study or recall event: ``subject``, ``list``, ``position`` and ``session`` int64, ``recall``
        bool (False: the word was studied), ``item`` str.

    Raises
    ------
    MissingDataError, FormatError
    """
    origin = "mortonne/psifr, src/psifr/data/peers_notask.csv, gzipped"
    path = find("peers_free_recall.csv.gz", origin=origin, size="0.5 MB", licence="GPL-3.0 (the repository's)")
    head = ("subject", "list", "position", "trial_type", "item", "session")
    columns = dict(zip(head, columns_of(path, head), strict=True))
    kinds = np.array(columns["trial_type"])
    if not np.isin(kinds, ("study", "recall")).all():
        raise FormatError(f"{path.name}: trial_type is neither study nor recall somewhere")
    whole = {name: numbers(columns[name], path, int) for name in ("subject", "list", "position", "session")}
    return whole | {"recall": kinds == "recall", "item": np.array(columns["item"])}
