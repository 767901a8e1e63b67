"""One row per Hopfield kernel: warm-up, mirror suite and compile check read it; each task keeps its rows in a file."""

from neuromem.kernel_registry import KernelRow

KERNELS: list[KernelRow] = []
