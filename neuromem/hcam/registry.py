"""One row per HCAM kernel: warm-up, mirror suite and compile check read it; each task keeps its rows in a file."""

from neuromem.hcam import registry_attention, registry_read, registry_write
from neuromem.kernel_registry import KernelRow

KERNELS: list[KernelRow] = [*registry_attention.ROWS, *registry_read.ROWS, *registry_write.ROWS]
