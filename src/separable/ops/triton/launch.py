"""What every launch needs: the device, layouts, vector widths."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from separable.ops.triton.language import is_interpreting

__all__ = ["DEVICES", "device_of", "last_axis", "vector_width"]

DEVICES = ("cuda", "cpu") if is_interpreting() else ("cuda",)
"""Where the operators run. On the CPU in Triton's interpreter only, for tests."""


def device_of(x: Tensor) -> AbstractContextManager[object]:
    """Triton launches on the current device, which need not be that of `x`."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def last_axis(x: Tensor) -> Tensor:
    """`x` (N, C, H, W) in channels_last, copied only where it is not."""
    return x.contiguous(memory_format=torch.channels_last)


def vector_width(channels: int) -> int:
    """The largest of 16, 8, 4, 2, 1 that divides `channels`: how many can be loaded at once."""
    return next(width for width in (16, 8, 4, 2, 1) if channels % width == 0)
