"""Numba kernels of the environments: arrays in, arrays out."""

from neuromem.environments.kernels.ballet import render_ballet, step_ballet

__all__: list[str] = ["render_ballet", "step_ballet"]
