"""Reading from a chunk memory: the few chunks whose summaries fit best, then the steps inside them."""

from typing import Any

import numpy as np

from neuromem.hcam.chunk_view import ChunkView
from neuromem.hcam.pruning import SummaryGroups
from neuromem.protocols import Recall


def read_steps(
    view: ChunkView,
    cues: Any,
    *,
    k: int = 1,
    n_chunks: int = 8,
    attention: Any = None,
    lane: int = 0,
    groups: SummaryGroups | None = None,
) -> Recall:
    """The k best steps inside the n_chunks best chunks of one lane."""
    raise NotImplementedError


def complete_steps(
    view: ChunkView, cues: Any, known: Any, *, n_chunks: int = 8, lane: int = 0, groups: SummaryGroups | None = None
) -> np.ndarray:
    """Cues whose unknown features are those of the step that matches the known ones best."""
    raise NotImplementedError


def familiarity_of(view: ChunkView, items: Any, *, n_chunks: int = 8, lane: int = 0, groups: SummaryGroups | None = None) -> np.ndarray:
    """The best cosine with a step of the chunks kept, float32 (n,)."""
    raise NotImplementedError
