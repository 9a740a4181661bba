"""Depthwise convolution: the public function, its checks, and the choice of implementation."""

from torch import Tensor

from separable.errors import UsageError
from separable.ops.dispatch import Implementation, require_available
from separable.ops.padding import Padding, Pair
from separable.ops.reference import depthwise_conv2d_reference

__all__ = ["check_depthwise_shapes", "depthwise_conv2d"]


def depthwise_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    implementation: Implementation = "auto",
) -> Tensor:
    """Convolve each channel of `x` with its own filters (Sifre, 2014; section 3.1 of arXiv:1704.04861).

    Args:
        x: (N, C, H, W), contiguous or channels_last.
        weight: (C * m, 1, KH, KW); m, the depth multiplier, is 1 in all the published networks here.
        bias: (C * m,) or None.
        stride, dilation: a number or a pair (height, width).
        padding: a number, a pair, or "same" in TensorFlow's sense: ceil(side / stride) out, the odd pixel last.
        implementation: "auto" takes the fastest, "reference" plain torch.

    Returns:
        (N, C * m, OH, OW) in the dtype of `x`.

    Raises:
        UsageError: shapes that do not belong together, an unknown padding or implementation.
    """
    require_available(implementation)
    check_depthwise_shapes(x, weight)
    return depthwise_conv2d_reference(x, weight, bias, stride, padding, dilation)


def check_depthwise_shapes(x: Tensor, weight: Tensor) -> None:
    """Raise for a `weight` that is no depthwise filter bank of `x`.

    Raises:
        UsageError: wrong rank, or channels that do not fit.
    """
    if x.dim() != 4:
        raise UsageError("`x` has the wrong number of axes", got=tuple(x.shape), expected="(N, C, H, W)")
    fits = weight.dim() == 4 and weight.shape[1] == 1 and weight.shape[0] > 0 and weight.shape[0] % x.shape[1] == 0
    if not fits:
        raise UsageError(
            "The depthwise weight does not fit the input's channels",
            got=tuple(weight.shape),
            expected=f"({x.shape[1]} * multiplier, 1, height, width)",
        )
