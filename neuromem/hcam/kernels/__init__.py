"""Numba kernels of the HCAM memory, split by task: arrays in, arrays out."""

from neuromem.hcam.kernels.attention import gather_attend_bwd, gather_attend_fwd, scatter_contents, summary_topk

__all__: list[str] = ["gather_attend_bwd", "gather_attend_fwd", "scatter_contents", "summary_topk"]
