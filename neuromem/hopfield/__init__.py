"""Multitasking Hebbian networks: several patterns at once, exact theory beside Monte Carlo, and the classic memories."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.hopfield import baselines, plots
    from neuromem.hopfield.closed_forms import (
        critical_dilution,
        critical_temperature,
        dataset_entropy,
        graded_majority_amplitudes,
        hierarchical_amplitudes,
        most_patterns_at_once,
        pure_state_temperature,
        symmetric_temperature,
        symmetric_window,
    )
    from neuromem.hopfield.learning import learning_threshold, required_examples
    from neuromem.hopfield.network import MultitaskingHebbian
    from neuromem.hopfield.patterns import sample_examples, sample_patterns
    from neuromem.hopfield.row_law import RowLaw
    from neuromem.hopfield.simulation import Trace, simulate_classes
    from neuromem.hopfield.theory import (
        PhaseDiagram,
        Solution,
        attractors,
        fluctuations,
        free_energy,
        mean_field_step,
        phase_diagram,
        solve,
        stability,
    )

# Public name -> module that has it; loaded when first used.
HOME = {
    **dict.fromkeys(
        (
            "critical_dilution",
            "critical_temperature",
            "dataset_entropy",
            "graded_majority_amplitudes",
            "hierarchical_amplitudes",
            "most_patterns_at_once",
            "pure_state_temperature",
            "symmetric_temperature",
            "symmetric_window",
        ),
        "closed_forms",
    ),
    "MultitaskingHebbian": "network",
    **dict.fromkeys(("learning_threshold", "required_examples"), "learning"),
    "RowLaw": "row_law",
    **dict.fromkeys(("Trace", "simulate_classes"), "simulation"),
    **dict.fromkeys(("sample_examples", "sample_patterns"), "patterns"),
    **dict.fromkeys(
        (
            "PhaseDiagram",
            "Solution",
            "attractors",
            "fluctuations",
            "free_energy",
            "mean_field_step",
            "phase_diagram",
            "solve",
            "stability",
        ),
        "theory",
    ),
}

__all__ = [
    "MultitaskingHebbian",
    "PhaseDiagram",
    "RowLaw",
    "Solution",
    "Trace",
    "attractors",
    "baselines",
    "critical_dilution",
    "critical_temperature",
    "dataset_entropy",
    "fluctuations",
    "free_energy",
    "graded_majority_amplitudes",
    "hierarchical_amplitudes",
    "learning_threshold",
    "mean_field_step",
    "most_patterns_at_once",
    "phase_diagram",
    "plots",
    "pure_state_temperature",
    "required_examples",
    "sample_examples",
    "sample_patterns",
    "simulate_classes",
    "solve",
    "stability",
    "symmetric_temperature",
    "symmetric_window",
]


def __getattr__(name: str) -> Any:
    if name in ("baselines", "plots"):
        return importlib.import_module(f"neuromem.hopfield.{name}")
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.hopfield.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.hopfield' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
