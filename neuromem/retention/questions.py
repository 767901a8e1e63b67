"""What probes of interference ask about items: recognition and recall with the same settings at several moments."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from neuromem import validate
from neuromem.errors import InputError
from neuromem.retention.adapters import Reader, described, system_name
from neuromem.retention.course import plan_for
from neuromem.retention.course_modes import Plan, ProbeSet, Values
from neuromem.retention.items import ItemSource
from neuromem.retention.recognition import ascending
from neuromem.retention.statistics import mean_interval

# What a plan has beyond the arguments of the probes that use it.
FIXED: dict[str, Any] = {
    "mode": "longitudinal",
    "exposures": 1,
    "checkpoints": [0],
    "unit": "items",
    "include_cue": False,
    "shape": None,
    "n_key": None,
    "n_probe": None,
    "precision": None,
    "n_positions": 1,
    "with_targets": False,
    "probe_writes": False,
}
TAKEN = (
    "probes",
    "foils",
    "measures",
    "cue_fraction",
    "cue_kind",
    "include_cue",
    "shape",
    "n_key",
    "tolerance",
    "n_probe",
    "batch_size",
    "with_targets",
    "check_purity",
)


def question_plan(settings: Mapping[str, Any], n_study: int) -> Plan:
    """Check those arguments of a probe that say what is asked, and how items are written.

    Parameters
    ----------
    settings : mapping
        A probe's arguments; what a plan does not know is left out.
    n_study : int
        Items in a list.

    Raises
    ------
    InputError
    """
    return plan_for(FIXED | {name: settings[name] for name in TAKEN if name in settings} | {"n_target": n_study})


def config_of(probe: str, memory: Any, name: str, source: ItemSource, plan: Plan, seeds: list[int]) -> dict[str, Any]:
    """How something was measured, as JSON values."""
    left_out = ("mode", "n_target", "exposures", "checkpoints", "unit", "foils", "n_positions", "probe_writes", "check_purity")
    return {
        "probe": probe,
        "system": name,
        "memory": described(memory) if hasattr(memory, "write") else name,
        "source": [type(source).__name__, source.describe()],
        **{key: getattr(plan, key) for key in Plan.__dataclass_fields__ if key not in left_out},
        "foils": [foil.describe() for foil in plan.foils],
        "seeds": seeds,
    }


class Questions:
    """Recognition and recall of some items, asked of one memory after another.

    The column ``level`` is left to the dose of the condition; a foil's own level is part of its name: "variant:1/32".

    Parameters
    ----------
    source : ItemSource
    ids : int64 (n,)
    plan : Plan
    probe : str
        Words of messages.
    """

    def __init__(self, source: ItemSource, ids: np.ndarray, plan: Plan, probe: str) -> None:
        self.plan, self.probe = plan, probe
        self.asked_of = ProbeSet(source, ids, plan, source.get(ids))

    def ask(self, memory: Any, columns: Mapping[str, Any]) -> Values:
        """Columns of a row, and the value of each item, for every measure."""
        began = time.perf_counter()
        with Reader(memory, self.plan.check_purity, self.probe) as reader:
            values = self.asked_of.values(reader)
        common = {"system": system_name(memory), "seconds": time.perf_counter() - began}
        answers = []
        for own, found in values:
            if own["probe"] == "recognition":
                same = [foil for foil in self.plan.foils if (foil.family, foil.level) == (own["foil"], own["level"])]
                own["foil"] = same[0].label
            answers.append((common | own | {"level": None} | dict(columns), found))
        return answers


def difference_rows(values: Values, others: Values, suffix: str) -> list[dict[str, Any]]:
    """How much less the same items have in ``values`` than in ``others``, measure by measure, item by item."""
    rows = []
    for (columns, found), (_, other) in zip(values, others, strict=True):
        mean, low, high = mean_interval(other.astype(np.float64) - found)
        own = {"measure": f"{columns.get('measure', 'accuracy')}_{suffix}", "n": len(found), "value": mean}
        rows.append(columns | own | {"ci_lo": low, "ci_hi": high, "chance": 0.0})
    return rows


def numbers_of(values: Any, name: str, low: float, high: float) -> list[float]:
    """One number or several within limits, none twice.

    Raises
    ------
    InputError
    """
    values = [values] if isinstance(values, (int, float, np.number)) else list(values)
    found = [validate.number(value, name, low=low, high=high) for value in values]
    if not found or len(set(found)) != len(found):
        raise InputError(f"{name} are {found}, at least one and none twice was expected")
    return found


def names_of(values: Any, name: str, options: tuple[str, ...]) -> list[str]:
    """One name or several of some options, none twice.

    Raises
    ------
    InputError
    """
    found = [values] if isinstance(values, str) else list(values)
    for value in found:
        validate.choice(value, name, options)
    if not found or len(set(found)) != len(found):
        raise InputError(f"{name} are {found}, at least one and none twice was expected")
    return found


def list_lengths(lengths: Any, name: str) -> list[int]:
    """Lengths of lists that can be probed: two items at least."""
    return ascending(lengths, name, 2)
