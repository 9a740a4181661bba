"""Gradients laid out as their parameters are."""

import torch
from torch import Tensor

__all__ = ["laid_out_like"]


def laid_out_like(weight: Tensor, gradient: Tensor) -> Tensor:
    """A contiguous `gradient` as one of `weight`: its type, shape and strides.

    A depthwise weight (C, 1, K, K) or a pointwise one (O, C, 1, 1) is the same memory in channels_last, by other
    strides. Distributed training warns, and copies, where a gradient has not its parameter's.
    """
    gradient = gradient.to(weight.dtype).view(weight.shape)
    dense = weight.is_contiguous() or weight.is_contiguous(memory_format=torch.channels_last)
    return gradient.as_strided(weight.shape, weight.stride()) if dense else gradient
