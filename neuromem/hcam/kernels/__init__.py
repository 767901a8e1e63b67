"""Numba kernels of the HCAM memory, split by task: arrays in, arrays out."""

from neuromem.hcam.kernels.attention import (
    gather_attend_bwd,
    gather_attend_fwd,
    scatter_contents,
    stretch_topk,
    summary_topk,
)
from neuromem.hcam.kernels.reading import (
    best_chunks,
    best_chunks_pruned,
    best_chunks_refined,
    best_cosines,
    best_steps,
    extend_groups,
    score_known,
    score_steps,
)
from neuromem.hcam.kernels.write import (
    append_steps,
    append_steps_threaded,
    largest_magnitude,
    seal_chunks,
    summarise_closed,
    summarise_open,
)

__all__: list[str] = [
    "best_chunks",
    "best_chunks_pruned",
    "best_chunks_refined",
    "best_cosines",
    "best_steps",
    "extend_groups",
    "score_known",
    "score_steps",
    "gather_attend_bwd",
    "gather_attend_fwd",
    "scatter_contents",
    "stretch_topk",
    "summary_topk",
    "append_steps",
    "append_steps_threaded",
    "largest_magnitude",
    "seal_chunks",
    "summarise_closed",
    "summarise_open",
]
