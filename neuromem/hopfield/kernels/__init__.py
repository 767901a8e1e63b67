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
from neuromem.hopfield.kernels.bits import bit_parallel
from neuromem.hopfield.kernels.classes import class_chains, class_serial
from neuromem.hopfield.kernels.dense import parallel_dense, serial_dense
from neuromem.hopfield.kernels.overlaps import parallel_overlaps, serial_overlaps
from neuromem.hopfield.kernels.solve import solve_few_points, solve_points
from neuromem.hopfield.kernels.theory import free_energy_at, row_steps, row_sums

__all__: list[str] = [
    "add_to_counters",
    "bit_parallel",
    "class_chains",
    "class_serial",
    "count_differing_bits",
    "count_shared_bits",
    "free_energy_at",
    "learn_storkey",
    "link_bits",
    "parallel_dense",
    "parallel_overlaps",
    "relax_dense",
    "relax_dense_serial",
    "relax_fields",
    "relax_fields_serial",
    "row_steps",
    "row_sums",
    "serial_dense",
    "serial_overlaps",
    "solve_few_points",
    "solve_points",
    "sum_counters",
]
