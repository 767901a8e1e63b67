"""Numba kernels of the Sparsey system, split by task: arrays in, arrays out.

Layout shared by all of them: the cells of a mac are the bits of ``n_words`` 64-bit words.  A module (CM) of up to 64 cells
is padded to a power of two, so that it never straddles a word; a larger one takes whole words, and the first words of all
modules come before their second words, so that modules are worked on side by side.  A mac's weights
are one bit row per afferent plus one row of zeros, which pads groups of rows to a fixed size.
"""

from neuromem.sparsey.kernels.accumulate import accumulate_and_choose
from neuromem.sparsey.kernels.aging import learn_aging, recall_aging
from neuromem.sparsey.kernels.encode import deskew_images, edge_lists, gather_lists
from neuromem.sparsey.kernels.given import run_given
from neuromem.sparsey.kernels.labels import correct_errors, count_labels, sum_scores
from neuromem.sparsey.kernels.network import project_back, run_by_level, run_in_time
from neuromem.sparsey.kernels.present import learn_stream, recall_batch
from neuromem.sparsey.kernels.readout import reconstruct, shared_winners

__all__ = [
    "accumulate_and_choose",
    "correct_errors",
    "count_labels",
    "deskew_images",
    "edge_lists",
    "gather_lists",
    "learn_aging",
    "learn_stream",
    "project_back",
    "recall_aging",
    "recall_batch",
    "reconstruct",
    "run_by_level",
    "run_given",
    "run_in_time",
    "shared_winners",
    "sum_scores",
]
