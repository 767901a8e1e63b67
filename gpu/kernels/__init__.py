"""CUDA C++ sources of the GPU kernels."""
