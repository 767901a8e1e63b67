"""Numba kernels of the Hopfield system, split by task: arrays in, arrays out."""

from neuromem.hopfield.kernels.baselines import (
    add_to_counters,
    count_differing_bits,
    count_shared_bits,
    learn_storkey,
    link_bits,
    relax_dense,
    relax_dense_serial,
    relax_fields,
    relax_fields_serial,
    sum_counters,
)

__all__: list[str] = [
    "add_to_counters",
    "count_differing_bits",
    "count_shared_bits",
    "learn_storkey",
    "link_bits",
    "relax_dense",
    "relax_dense_serial",
    "relax_fields",
    "relax_fields_serial",
    "sum_counters",
]
