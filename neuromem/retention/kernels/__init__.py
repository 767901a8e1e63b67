"""Numba kernels of the retention probes, split by task: arrays in, arrays out."""

from neuromem.retention.kernels.items import choose_some, normals, random_bits, random_words

__all__: list[str] = ["choose_some", "normals", "random_bits", "random_words"]
