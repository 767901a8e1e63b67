"""The tables that describe a network to its kernels: one row per mac, lower levels first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuromem.random import exp64, power64
from neuromem.sparsey.packing import padded_units, words_per_row

if TYPE_CHECKING:
    from neuromem.sparsey.level import SparseyLevel

NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class NetworkTables:
    """What :func:`neuromem.sparsey.kernels.network.run_in_time` calls by the same names, and sizes of what is learned."""

    macs: np.ndarray
    sources: np.ndarray
    parents: np.ndarray
    rates: np.ndarray
    level_starts: np.ndarray
    n_words: int
    n_cells: int
    n_modules: int
    comes_down: bool


def network_tables(levels: "Sequence[SparseyLevel]", n_features: int) -> NetworkTables:
    """Lay out macs, cells and weights of all levels.

    Raises
    ------
    InputError
        If a level's fields do not fit what is below it.
    """
    from neuromem.sparsey.kernels import mac_signals as column

    fields: list[list[np.ndarray]] = []
    for level in levels:
        fields.append(level.fields(len(fields[-1]) if fields else n_features))
    starts = np.concatenate([[0], np.cumsum([len(seen) for seen in fields])]).astype(np.int64)
    macs = np.zeros((starts[-1], column.MAC_COLUMNS), np.int64)
    sources: list[int] = []
    parents: list[int] = []
    word = cell = module = 0
    for j, level in enumerate(levels):
        n_cells = level.n_modules * level.units_per_module
        below = levels[j - 1].n_modules * levels[j - 1].units_per_module if j else 1
        above = levels[j + 1].n_modules * levels[j + 1].units_per_module if level.top_down and j + 1 < len(levels) else 0
        over = parents_of(fields[j + 1], len(fields[j])) if above else [[]] * len(fields[j])
        low, high = level.activation_bounds
        for m, field in enumerate(fields[j]):
            row = macs[starts[j] + m]
            row[column.LEVEL] = j
            row[column.MODULES], row[column.UNITS] = level.n_modules, level.units_per_module
            row[column.PADDED] = padded_units(level.units_per_module)
            row[column.WORDS] = words_per_row(level.n_modules, level.units_per_module)
            row[column.FIRST_WORD], row[column.FIRST_CELL], row[column.FIRST_MODULE] = word, cell, module
            row[column.N_UP] = len(field) * below
            row[column.N_ACROSS] = n_cells if level.horizontal else 0
            row[column.N_DOWN] = len(over[m]) * above
            row[column.PERSISTENCE] = level.persistence
            row[column.LOW], row[column.HIGH] = low, NEVER if high is None else high
            row[column.FREEZE_AT] = int(np.ceil(level.saturation_limit * row[column.N_UP]))
            row[column.CRITICAL] = NEVER if level.critical_period is None else level.critical_period
            row[column.FIRST_SOURCE] = len(sources)
            sources += (field + (starts[j - 1] if j else 0)).tolist()
            row[column.STOP_SOURCE] = len(sources)
            row[column.FIRST_PARENT] = len(parents)
            parents += [int(starts[j + 1]) + p for p in over[m]]
            row[column.STOP_PARENT] = len(parents)
            word += int(row[column.WORDS] * (row[column.N_UP] + row[column.N_ACROSS] + row[column.N_DOWN] + 1))
            cell += n_cells
            module += level.n_modules
    rates = [(x.u_exponent, x.h_exponent, x.d_exponent, -1.0 if x.release is None else x.release) for x in levels]
    return NetworkTables(
        macs,
        np.array(sources, np.int32),
        np.array(parents, np.int32),
        np.array(rates, np.float64),
        starts,
        word,
        cell,
        module,
        bool(macs[:, column.N_DOWN].any()),
    )


def feature_rows(tables: NetworkTables, n_features: int) -> np.ndarray:
    """Afferent of each feature at each mac of the first level, int32 (n_macs, n_features); -1 where it is not seen."""
    from neuromem.sparsey.kernels import mac_signals as column

    found = np.full((tables.level_starts[1], n_features), -1, np.int32)
    for row, mac in zip(found, tables.macs, strict=False):
        field = tables.sources[mac[column.FIRST_SOURCE] : mac[column.STOP_SOURCE]]
        row[field] = np.arange(len(field))
    return found


def u_tables(rates: np.ndarray, sigmoid: np.ndarray, transfer: int) -> tuple[np.ndarray, np.ndarray]:
    """V and its win factor for every share count / n of active rows, per level, where U is the only signal."""
    from neuromem.sparsey.kernels.mac_signals import TABLED, U_EXPONENT

    n = np.concatenate([np.full(i + 1, max(1, i)) for i in range(TABLED + 1)])
    share = np.concatenate([np.arange(i + 1) for i in range(TABLED + 1)]) / n
    powers = np.stack([share if rate == 1.0 else power64(share, rate) for rate in rates[:, U_EXPONENT]])
    drop = exp64(-sigmoid[1] * (powers - sigmoid[2]))
    factors = power64(1.0 / (1.0 + sigmoid[0] * drop), sigmoid[3]) if transfer == 0 else 1.0 + drop
    return powers, factors


def parents_of(fields_above: list[np.ndarray], n_macs: int) -> list[list[int]]:
    """Macs of the level above that see each mac."""
    found: list[list[int]] = [[] for _ in range(n_macs)]
    for p, field in enumerate(fields_above):
        for m in field:
            found[int(m)].append(p)
    return found
