"""What a suite of probes comes to: half-lives, the best forgetting curve, and a few figures for each memory."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromem.errors import InputError, NeuromemWarning
from neuromem.retention.curve_comparison import CurveComparison, compare_curves
from neuromem.retention.human import half_time
from neuromem.retention.results import COLUMNS, ProbeResult
from neuromem.retention.statistics import mean_interval, wilson_interval

RECOGNISED = 0.6  # accuracy at lag 0 from which a half-life means something, chance being one half
POOLED_OVER = ("seed", "n", "k", "value", "ci_lo", "ci_hi", "chance", "seconds", "lag_updates")
EASY, HARD = "novel", "variant"


@dataclass(frozen=True)
class HalfLife:
    """The lag at which recognition has fallen half-way from its first value to chance.

    Parameters
    ----------
    items : float
        The last lag that was probed where it has not fallen so far; NaN where nothing was recognised at lag 0.
    reached : bool
    """

    items: float
    reached: bool

    def __str__(self) -> str:
        if math.isnan(self.items):
            return "none"
        return f"{self.items:,.0f}" if self.reached else f"> {self.items:,.0f}"


def course_of(result: ProbeResult, system: str, measure: str = "accuracy", condition: str = "studied") -> ProbeResult:
    """Rows of one memory's course of forgetting."""
    wanted = {"probe": "recognition", "foil": EASY} if measure == "accuracy" else {"probe": "recall"}
    found = result.where(system=system, measure=measure, condition=condition, **wanted)
    return ProbeResult(found.table[found.table["lag_items"] >= 0], found.config)


def half_life(result: ProbeResult, system: str) -> HalfLife:
    """Half-life of recognition against unrelated foils, in items written since.

    Examples
    --------
    >>> from neuromem import ExactStore
    >>> from neuromem.retention import RandomBits, retention_curve
    >>> memory = ExactStore(32, capacity=64, on_full="oldest")
    >>> result = retention_curve(memory, RandomBits(32), n_target=32, checkpoints=[32, 64, 1000], seeds=1, probes="recognition")
    >>> 32 < half_life(result, "ExactStore").items < 64
    True
    """
    rows = course_of(result, system)
    if not len(rows):
        return HalfLife(math.nan, False)
    curve = rows.curve()
    if curve["value"][0] < RECOGNISED:
        return HalfLife(math.nan, False)
    try:
        return HalfLife(half_time(curve["x"], curve["value"], 0.5), True)
    except InputError:
        return HalfLife(float(curve["x"][-1]), False)


def curves_of(result: ProbeResult) -> dict[str, CurveComparison]:
    """Forgetting curves fitted to the course of recognition of each memory, by memory; those that never change are left out."""
    found = {}
    for system in dict.fromkeys(result.table["system"].tolist()):
        rows = course_of(result, system)
        if len(rows) and len(np.unique(rows.table["value"])) > 1:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", NeuromemWarning)  # of single fits; the comparison is what is shown
                    found[system] = compare_curves(rows)
            except InputError:  # too few ages for any model
                continue
    return found


def pooled(result: ProbeResult) -> list[dict[str, Any]]:
    """Rows with the seeds put together: counts are added (Wilson's interval), other values averaged (that of the mean).

    Examples
    --------
    >>> rows = [{"probe": "recall", "seed": seed, "n": 10, "k": 9, "value": 0.9} for seed in (0, 1)]
    >>> [(row["n"], row["value"]) for row in pooled(ProbeResult(rows))]
    [(20, 0.9)]
    """
    groups: dict[tuple, list[dict[str, Any]]] = {}
    fixed = [name for name in COLUMNS if name not in POOLED_OVER]
    for row in result.rows():
        groups.setdefault(tuple(row[name] for name in fixed), []).append(row)
    out = []
    for key, rows in groups.items():
        values = [row["value"] for row in rows if row["value"] is not None]
        n = [row["n"] or 0 for row in rows]
        chances = [row["chance"] for row in rows if row["chance"] is not None]
        common = dict(zip(fixed, key, strict=True)) | {"n": sum(n), "seeds": len(rows)}
        common["chance"] = float(np.mean(chances)) if chances else None
        if len(rows) > 1 and all(row["k"] is not None and row["n"] for row in rows):
            k = sum(row["k"] for row in rows)
            ends = wilson_interval(k, sum(n))
            common |= {"value": k / sum(n), "ci_lo": float(ends[0]), "ci_hi": float(ends[1])}
        elif len(values) > 1:
            mean, low, high = mean_interval(values)
            common |= {"value": mean, "ci_lo": low, "ci_hi": high}
        else:
            common |= {
                name: next((row[name] for row in rows if row[name] is not None), None) for name in ("value", "ci_lo", "ci_hi")
            }
        out.append(common)
    return out


def value_of(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any] | None:
    """The first pooled row whose columns have these values."""
    for row in rows:
        if all(same(row[name], value) for name, value in wanted.items()):
            return row
    return None


def same(found: Any, wanted: Any) -> bool:
    """Equality of cells; reals up to rounding."""
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-9)
    return bool(found == wanted)


def hardest_level(rows: list[dict[str, Any]]) -> float | None:
    """The smallest share of changed components among foils."""
    levels = [row["level"] for row in rows if row["foil"] == HARD and row["level"] is not None]
    return min(levels) if levels else None


# Columns of the table of memories: what it is called, and the columns of its row
HEADLINES: dict[str, dict[str, Any]] = {
    "recognition": {"probe": "recognition", "foil": EASY, "measure": "accuracy", "condition": "studied", "exposures": 1},
    "recognition, structured foils": {
        "probe": "recognition",
        "foil": "easier_foil_source",
        "measure": "accuracy",
        "condition": "studied",
    },
    "recognition, recombined foils": {
        "probe": "recognition",
        "foil": "recombined",
        "measure": "accuracy",
        "condition": "studied",
    },
    "recognition in class": {"probe": "recognition", "foil": "class", "measure": "accuracy", "condition": "studied"},
    "recall, correlation": {
        "probe": "recall",
        "measure": "pearson",
        "condition": "studied",
        "cue": "prefix",
        "cue_fraction": 0.5,
        "exposures": 1,
    },
    "recall, exact": {
        "probe": "recall",
        "measure": "exact",
        "condition": "studied",
        "cue": "prefix",
        "cue_fraction": 0.5,
        "exposures": 1,
    },
}


def headlines(result: ProbeResult, system: str) -> dict[str, dict[str, Any]]:
    """The figures of one memory that its line in the table has, by name: pooled rows, with "text" where a number is not all.

    Parameters
    ----------
    result : ProbeResult
        Of a suite.
    system : str
    """
    rows = pooled(result.where(system=system))
    found: dict[str, dict[str, Any]] = {}
    for name, wanted in HEADLINES.items():
        if row := value_of([r for r in rows if r["lag_items"] is None], **wanted):
            found[name] = row
    level = hardest_level(rows)
    wanted = HEADLINES["recognition"] | {"foil": HARD, "level": level}
    if level is not None and (row := value_of(rows, **wanted)):
        found[f"recognition, {level:.3g} changed"] = row
    life = half_life(result, system)
    if not math.isnan(life.items):
        n_seeds = len(np.unique(course_of(result, system).table["seed"]))
        found["half-life, items"] = {"value": life.items, "text": str(life), "reached": life.reached, "seeds": n_seeds}
    massed = [row for row in rows if row["probe"] == "spacing" and row["gap"] == 1]
    if massed:
        found["right after massed exposures, longest delay"] = max(massed, key=lambda row: row["lag_items"])
    for name, measure, pick in (
        ("savings, longest interval", "savings", "lag_items"),
        ("gain by spacing, longest delay", "spacing_gain", "lag_items"),
        ("best gap, longest delay", "best_gap", "lag_items"),
        ("primacy slope", "accuracy_primacy_slope", None),
        ("recency slope", "accuracy_recency_slope", None),
        ("capacity, items", "items", None),
        ("bits per bit of memory", "bits_per_synapse", None),
    ):
        fits = [row for row in rows if row["measure"] == measure]
        if fits:
            row = max(fits, key=lambda r: r[pick] or 0) if pick else fits[0]
            if row["value"] is None and measure == "items" and row["ci_lo"] is not None:
                row = row | {"value": row["ci_lo"], "text": f"> {row['ci_lo']:,.0f}", "reached": False}
            if row["value"] is not None:
                found[name] = row
    return found


def shown(name: str, row: dict[str, Any] | None) -> str:
    """A headline as text; empty where there is none."""
    if row is None or row.get("value") is None:
        return ""
    if "text" in row:
        return str(row["text"])
    value = float(row["value"])
    return f"{value:,.0f}" if name.endswith("items") or name.startswith("best gap") else f"{value:.3f}"
