"""Max and average pooling with TensorFlow's arithmetic: padding never wins a maximum and never enters a mean."""

import torch
import torch.nn.functional as F
from torch import Tensor

from separable.ops.padding import Padding, Pair, is_tracing, pad_same, resolve_padding, same_padding, to_pair

__all__ = ["average_pool2d", "max_pool2d"]


def max_pool2d(x: Tensor, kernel: Pair, stride: Pair, padding: Padding = 0) -> Tensor:
    """Largest value of each window of `x` (N, C, H, W).

    With `padding="same"` and an even side, torch's `padding=1` would start every 3x3/2 window one pixel early. While
    tracing, the -inf border is written out, so that the graph depends on no side's parity; eagerly, torch's own
    padding and `ceil_mode` express the same windows without the copy.
    """
    kernel, stride = to_pair(kernel), to_pair(stride)
    if padding != "same":
        return F.max_pool2d(x, kernel, stride, to_pair(padding, "padding"))
    expressible = all(s > 1 or k % 2 == 1 for k, s in zip(kernel, stride, strict=True))
    if expressible and not is_tracing():
        before = tuple(same_padding(x.shape[axis - 2], kernel[axis], stride[axis])[0] for axis in (0, 1))
        return F.max_pool2d(x, kernel, stride, before, ceil_mode=True)
    return F.max_pool2d(pad_same(x, kernel, stride, value=float("-inf")), kernel, stride)


def average_pool2d(x: Tensor, kernel: Pair, stride: Pair, padding: Padding = 0) -> Tensor:
    """Mean of each window of `x` (N, C, H, W) over the pixels that exist: padding is left out of the divisor.

    torch's default counts the zeros in, which darkens the border of every Inception pooling branch.
    """
    kernel, stride = to_pair(kernel), to_pair(stride)
    if padding == "same" and any(s != 1 or k % 2 == 0 for k, s in zip(kernel, stride, strict=True)):
        total = F.avg_pool2d(pad_same(x, kernel, stride), kernel, stride)
        count = F.avg_pool2d(pad_same(torch.ones_like(x[:1, :1]), kernel, stride), kernel, stride)
        return total / count
    x, symmetric = resolve_padding(x, kernel, stride, 1, padding)
    return F.avg_pool2d(x, kernel, stride, symmetric, count_include_pad=False)
