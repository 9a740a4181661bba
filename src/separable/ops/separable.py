"""Depthwise separable convolution as one operation: the public function, its checks, the choice of implementation."""

from torch import Tensor
from torch.nn.functional import conv2d

from separable.errors import UsageError
from separable.ops.depthwise import (
    check_added,
    check_depthwise_shapes,
    check_steps,
    check_type,
    depthwise_conv2d,
)
from separable.ops.dispatch import Implementation, choose
from separable.ops.padding import Padding, Pair
from separable.ops.reference import separable_conv2d_reference

__all__ = ["separable_conv2d"]


def separable_conv2d(
    x: Tensor,
    depthwise_weight: Tensor,
    pointwise_weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    implementation: Implementation = "auto",
) -> Tensor:
    """Depthwise convolution, then a 1x1 over its channels, nothing in between (arXiv:1610.02357, section 2).

    Args:
        x: (N, C, H, W), contiguous or channels_last.
        depthwise_weight: (C * m, 1, KH, KW).
        pointwise_weight: (O, C * m, 1, 1).
        bias: (O,) or None, added after the 1x1.
        stride, dilation: of the depthwise part, a number or a pair (height, width).
        padding: a number, a pair, or "same" in TensorFlow's sense: ceil(side / stride) out, the odd pixel last.
        implementation: "auto" is the fastest that is loaded, "cpu" the kernels of `ops.cpu`, "triton" those of
            `ops.triton` for CUDA (not measured yet, so "auto" does not take them), "reference" plain torch.

    Returns:
        (N, O, OH, OW) in the dtype of `x`.

    Raises:
        UsageError: shapes or types that do not belong together, a stride or dilation below 1, an unknown padding or
            implementation.
    """
    check_depthwise_shapes(x, depthwise_weight)
    if tuple(pointwise_weight.shape[1:]) != (depthwise_weight.shape[0], 1, 1):
        raise UsageError(
            "The pointwise weight does not fit the depthwise one",
            got=tuple(pointwise_weight.shape),
            expected=f"(out_channels, {depthwise_weight.shape[0]}, 1, 1)",
        )
    check_type(x, pointwise_weight, "pointwise_weight")
    check_added(x, bias, "bias", pointwise_weight.shape[0])
    check_steps(stride, dilation)
    if choose(implementation, x, depthwise_weight) == "reference":
        return separable_conv2d_reference(x, depthwise_weight, pointwise_weight, bias, stride, padding, dilation)
    y = depthwise_conv2d(x, depthwise_weight, None, stride, padding, dilation, implementation)
    return conv2d(y, pointwise_weight, bias)
