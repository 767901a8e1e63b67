"""One row per Hopfield kernel: warm-up, mirror suite and compile check read it; each task keeps its rows in a file."""

from neuromem.hopfield import registry_baselines, registry_dynamics, registry_theory
from neuromem.kernel_registry import KernelRow

KERNELS: list[KernelRow] = [*registry_baselines.ROWS, *registry_dynamics.ROWS, *registry_theory.ROWS]
