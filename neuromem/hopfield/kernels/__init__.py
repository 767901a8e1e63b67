"""Numba kernels of the Hopfield system, split by task: arrays in, arrays out."""

__all__: list[str] = []
