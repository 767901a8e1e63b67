"""Numba kernels of the retention probes, split by task: arrays in, arrays out."""

from neuromem.retention.kernels.curves import fit_curves
from neuromem.retention.kernels.hamming import nearest_hamming
from neuromem.retention.kernels.items import choose_some, normals, random_bits, random_words
from neuromem.retention.kernels.sequences import common_lengths, edit_distances

__all__: list[str] = [
    "choose_some",
    "common_lengths",
    "edit_distances",
    "fit_curves",
    "nearest_hamming",
    "normals",
    "random_bits",
    "random_words",
]
