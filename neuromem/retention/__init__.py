"""Probes of memory: recognition, recall and forgetting, measured in the same way on any memory."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem.retention.activation_memory import ActivationMemory
    from neuromem.retention.adapters import AdaptedMemory, adapt
    from neuromem.retention.array_items import ArrayItems
    from neuromem.retention.assertions import assert_retention
    from neuromem.retention.associators import ContextualDelta, LinearAssociator
    from neuromem.retention.buffers import FIFOBuffer, ReservoirBuffer
    from neuromem.retention.capacity import REFERENCE_LINES, ReferenceLine, capacity_probe, item_information
    from neuromem.retention.checkpoints import log_spaced
    from neuromem.retention.continual import (
        ForgettingEvents,
        Measure,
        average_accuracy,
        average_incremental_accuracy,
        backward_transfer,
        continual_measures,
        forgetting,
        forgetting_events,
        forward_transfer,
        intransigence,
        learning_accuracy,
        online_matrix,
        positive_backward_transfer,
        remembering,
    )
    from neuromem.retention.course import retention_curve
    from neuromem.retention.cues import cue_mask
    from neuromem.retention.curve_bootstrap import BootstrapFits, bootstrap
    from neuromem.retention.curve_comparison import CurveComparison, compare_curves
    from neuromem.retention.curve_fitting import CurveFit, fit_curve
    from neuromem.retention.curve_models import MODELS, CurveModel
    from neuromem.retention.dashboard import panels_of, plot_dashboard, plot_with_people
    from neuromem.retention.exemplars import Exemplars, Shuffled
    from neuromem.retention.fan import fan_probe
    from neuromem.retention.foils import Foil
    from neuromem.retention.human import (
        EXACT_MINUTES,
        REPETITIONS,
        HumanCurve,
        HumanFigure,
        ebbinghaus_formula,
        half_time,
        human_curve,
        human_curves,
        human_figures,
        overlay,
    )
    from neuromem.retention.interference import interference_probe
    from neuromem.retention.items import (
        Gaussian,
        HierarchicalItems,
        ItemSource,
        RandomBits,
        RandomSigns,
        SparseBits,
        Templates,
        source_for,
    )
    from neuromem.retention.list_length import list_length_probe, serial_position_probe
    from neuromem.retention.many_curves import ManyFits, fit_many
    from neuromem.retention.model_memories import ClassifierMemory, LossMemory
    from neuromem.retention.plot_tools import style_of
    from neuromem.retention.plots import (
        plot_intervals,
        plot_levels,
        plot_matrix,
        plot_recall,
        plot_recognition,
        plot_retention,
        plot_savings,
        plot_spacing,
    )
    from neuromem.retention.recall import recall_probe
    from neuromem.retention.recognition import recognition_probe
    from neuromem.retention.relearning import savings_probe
    from neuromem.retention.reports import Report, report
    from neuromem.retention.results import ProbeResult
    from neuromem.retention.schedules import Leitner, Schedule, contracting, expanding, massed, pimsleur, uniform
    from neuromem.retention.scheduling_models import FSRS6, FSRS6_WEIGHTS, SM2, CardState, HalfLifeRegression, SM2State
    from neuromem.retention.sequences import edit_similarity, rouge_l, rouge_n
    from neuromem.retention.spacing import SpacingSurface, spacing_probe, spacing_surface
    from neuromem.retention.statistics import d_prime, roc_area, wilson_interval, yes_no, z_roc_slope
    from neuromem.retention.suite import SuiteResult, run_part, run_suite
    from neuromem.retention.suite_parts import PARTS, SIZES, Part, Size
    from neuromem.retention.summary import HalfLife, curves_of, half_life, headlines, pooled
    from neuromem.retention.two_store import TwoStore
    from neuromem.retention.view_batch import ViewBatchSampler, view_kl

# Public names of each module; a module is loaded when one of its names is first used.
MODULES: dict[str, tuple[str, ...]] = {
    "dashboard": ("panels_of", "plot_dashboard", "plot_with_people"),
    "plot_tools": ("style_of",),
    "plots": (
        "plot_intervals",
        "plot_levels",
        "plot_matrix",
        "plot_recall",
        "plot_recognition",
        "plot_retention",
        "plot_savings",
        "plot_spacing",
    ),
    "exemplars": ("Exemplars", "Shuffled"),
    "suite": ("SuiteResult", "run_part", "run_suite"),
    "suite_parts": ("PARTS", "SIZES", "Part", "Size"),
    "reports": ("Report", "report"),
    "summary": ("HalfLife", "curves_of", "half_life", "headlines", "pooled"),
    "continual": (
        "ForgettingEvents",
        "Measure",
        "average_accuracy",
        "average_incremental_accuracy",
        "backward_transfer",
        "continual_measures",
        "forgetting",
        "forgetting_events",
        "forward_transfer",
        "intransigence",
        "learning_accuracy",
        "online_matrix",
        "positive_backward_transfer",
        "remembering",
    ),
    "curve_bootstrap": (
        "BootstrapFits",
        "bootstrap",
    ),
    "curve_comparison": (
        "CurveComparison",
        "compare_curves",
    ),
    "curve_fitting": (
        "CurveFit",
        "fit_curve",
    ),
    "curve_models": (
        "MODELS",
        "CurveModel",
    ),
    "human": (
        "EXACT_MINUTES",
        "REPETITIONS",
        "HumanCurve",
        "HumanFigure",
        "ebbinghaus_formula",
        "half_time",
        "human_curve",
        "human_curves",
        "human_figures",
        "overlay",
    ),
    "many_curves": (
        "ManyFits",
        "fit_many",
    ),
    "activation_memory": ("ActivationMemory",),
    "adapters": ("AdaptedMemory", "adapt"),
    "model_memories": ("ClassifierMemory", "LossMemory"),
    "array_items": ("ArrayItems",),
    "assertions": ("assert_retention",),
    "capacity": ("REFERENCE_LINES", "ReferenceLine", "capacity_probe", "item_information"),
    "associators": ("ContextualDelta", "LinearAssociator"),
    "buffers": ("FIFOBuffer", "ReservoirBuffer"),
    "checkpoints": ("log_spaced",),
    "course": ("retention_curve",),
    "cues": ("cue_mask",),
    "fan": ("fan_probe",),
    "foils": ("Foil",),
    "interference": ("interference_probe",),
    "items": (
        "Gaussian",
        "HierarchicalItems",
        "ItemSource",
        "RandomBits",
        "RandomSigns",
        "SparseBits",
        "Templates",
        "source_for",
    ),
    "list_length": ("list_length_probe", "serial_position_probe"),
    "recall": ("recall_probe",),
    "recognition": ("recognition_probe",),
    "relearning": ("savings_probe",),
    "results": ("ProbeResult",),
    "schedules": ("Leitner", "Schedule", "contracting", "expanding", "massed", "pimsleur", "uniform"),
    "scheduling_models": ("CardState", "FSRS6", "FSRS6_WEIGHTS", "HalfLifeRegression", "SM2", "SM2State"),
    "sequences": ("edit_similarity", "rouge_l", "rouge_n"),
    "spacing": ("SpacingSurface", "spacing_probe", "spacing_surface"),
    "statistics": ("d_prime", "roc_area", "wilson_interval", "yes_no", "z_roc_slope"),
    "two_store": ("TwoStore",),
    "view_batch": ("ViewBatchSampler", "view_kl"),
}
HOME = {name: module for module, names in MODULES.items() for name in names}

__all__ = [
    "ActivationMemory",
    "AdaptedMemory",
    "ArrayItems",
    "BootstrapFits",
    "CardState",
    "ClassifierMemory",
    "ContextualDelta",
    "CurveComparison",
    "CurveFit",
    "CurveModel",
    "EXACT_MINUTES",
    "Exemplars",
    "FIFOBuffer",
    "FSRS6",
    "FSRS6_WEIGHTS",
    "Foil",
    "ForgettingEvents",
    "Gaussian",
    "HalfLife",
    "HalfLifeRegression",
    "HierarchicalItems",
    "HumanCurve",
    "HumanFigure",
    "ItemSource",
    "Leitner",
    "LinearAssociator",
    "LossMemory",
    "MODELS",
    "ManyFits",
    "Measure",
    "PARTS",
    "Part",
    "ProbeResult",
    "REFERENCE_LINES",
    "REPETITIONS",
    "RandomBits",
    "RandomSigns",
    "ReferenceLine",
    "Report",
    "ReservoirBuffer",
    "SIZES",
    "SM2",
    "SM2State",
    "Schedule",
    "Shuffled",
    "Size",
    "SpacingSurface",
    "SparseBits",
    "SuiteResult",
    "Templates",
    "TwoStore",
    "ViewBatchSampler",
    "adapt",
    "assert_retention",
    "average_accuracy",
    "average_incremental_accuracy",
    "backward_transfer",
    "bootstrap",
    "capacity_probe",
    "compare_curves",
    "continual_measures",
    "contracting",
    "cue_mask",
    "curves_of",
    "d_prime",
    "ebbinghaus_formula",
    "edit_similarity",
    "expanding",
    "fan_probe",
    "fit_curve",
    "fit_many",
    "forgetting",
    "forgetting_events",
    "forward_transfer",
    "half_life",
    "half_time",
    "headlines",
    "human_curve",
    "human_curves",
    "human_figures",
    "interference_probe",
    "intransigence",
    "item_information",
    "learning_accuracy",
    "list_length_probe",
    "log_spaced",
    "massed",
    "online_matrix",
    "overlay",
    "panels_of",
    "pimsleur",
    "plot_dashboard",
    "plot_intervals",
    "plot_levels",
    "plot_matrix",
    "plot_recall",
    "plot_recognition",
    "plot_retention",
    "plot_savings",
    "plot_spacing",
    "plot_with_people",
    "pooled",
    "positive_backward_transfer",
    "recall_probe",
    "recognition_probe",
    "remembering",
    "report",
    "retention_curve",
    "roc_area",
    "rouge_l",
    "rouge_n",
    "run_part",
    "run_suite",
    "savings_probe",
    "serial_position_probe",
    "source_for",
    "spacing_probe",
    "spacing_surface",
    "style_of",
    "uniform",
    "view_kl",
    "wilson_interval",
    "yes_no",
    "z_roc_slope",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(importlib.import_module(f"neuromem.retention.{HOME[name]}"), name)
    raise AttributeError(f"module 'neuromem.retention' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
