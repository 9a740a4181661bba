"""Kernels for CUDA devices, written in Triton. Importing them needs no Triton; running them does."""

from separable.ops.triton.language import TritonStatus, is_interpreting, triton_status

__all__ = ["TritonStatus", "is_interpreting", "triton_status"]
