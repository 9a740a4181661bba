"""The definitions in plain torch. Every faster implementation is judged against these two functions.

Shapes: x (N, C, H, W); depthwise weight (C * m, 1, KH, KW), output channel c reads input channel c // m;
pointwise weight (O, C * m, 1, 1). They run in any floating dtype, fp64 included.
"""

import torch.nn.functional as F
from torch import Tensor

from separable.ops.padding import Padding, Pair, resolve_padding, to_pair

__all__ = ["depthwise_conv2d_reference", "separable_conv2d_reference"]


def depthwise_conv2d_reference(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Padding, dilation: Pair
) -> Tensor:
    """Each channel convolved with its own filters, no sum over channels."""
    kernel = (int(weight.shape[-2]), int(weight.shape[-1]))
    stride, dilation = to_pair(stride, "stride"), to_pair(dilation, "dilation")
    x, symmetric = resolve_padding(x, kernel, stride, dilation, padding)
    return F.conv2d(x, weight, bias, stride, symmetric, dilation, groups=x.shape[1])


def separable_conv2d_reference(
    x: Tensor,
    depthwise_weight: Tensor,
    pointwise_weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> Tensor:
    """Depthwise, then 1x1 over the channels, with nothing in between; the bias is added after the 1x1."""
    y = depthwise_conv2d_reference(x, depthwise_weight, None, stride, padding, dilation)
    return F.conv2d(y, pointwise_weight, bias)
