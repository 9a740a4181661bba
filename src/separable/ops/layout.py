"""Maps as matrices, and gradients laid out as their parameters are."""

import torch
from torch import Tensor

__all__ = ["as_maps", "as_rows", "laid_out_like"]


def as_rows(x: Tensor) -> Tensor:
    """(N, C, H, W) in channels_last as a matrix (N H W, C), without a copy."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def as_maps(rows: Tensor, like: Tensor) -> Tensor:
    """A matrix (N H W, O) as (N, O, H, W) in channels_last, sides as those of `like`."""
    n, _, h, w = like.shape
    return rows.view(n, h, w, -1).permute(0, 3, 1, 2)


def laid_out_like(weight: Tensor, gradient: Tensor) -> Tensor:
    """A contiguous `gradient` as one of `weight`: its type, shape and strides.

    A depthwise weight (C, 1, K, K) or a pointwise one (O, C, 1, 1) is the same memory in channels_last, by other
    strides. Distributed training warns, and copies, where a gradient has not its parameter's.
    """
    gradient = gradient.to(weight.dtype).view(weight.shape)
    dense = weight.is_contiguous() or weight.is_contiguous(memory_format=torch.channels_last)
    return gradient.as_strided(weight.shape, weight.stride()) if dense else gradient
