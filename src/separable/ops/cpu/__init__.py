"""The CPU's own kernels: C++ compiled for this machine when it is first asked for."""

from separable.ops.cpu.build import KernelStatus, kernel_status, kernels_in_use, load_kernels

__all__ = ["KernelStatus", "kernel_status", "kernels_in_use", "load_kernels"]
