"""Depthwise convolution: the public function, its checks, and the choice of implementation."""

import torch
from torch import Tensor

from separable.errors import UsageError
from separable.ops.dispatch import Implementation, choose
from separable.ops.padding import Padding, Pair, to_pair
from separable.ops.reference import depthwise_conv2d_reference

__all__ = ["check_added", "check_depthwise_shapes", "check_steps", "check_type", "depthwise_conv2d"]


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
        implementation: "auto" is the fastest that is loaded, "cpu" the kernels of `ops.cpu`, "triton" those of
            `ops.triton` for CUDA (not measured yet, so "auto" does not take them), "reference" plain torch.

    Returns:
        (N, C * m, OH, OW) in the dtype of `x`.

    Raises:
        UsageError: shapes or types that do not belong together, a stride or dilation below 1, an unknown padding or
            implementation.
    """
    check_depthwise_shapes(x, weight)
    check_added(x, bias, "bias", weight.shape[0])
    check_steps(stride, dilation)
    chosen = choose(implementation, x, weight)
    if chosen == "cpu":
        from separable.ops.cpu.depthwise import depthwise_conv2d_cpu  # registering operators takes a while

        return depthwise_conv2d_cpu(x, weight, bias, stride, padding, dilation)
    if chosen == "triton":
        from separable.ops.triton.depthwise import depthwise_conv2d_triton

        return depthwise_conv2d_triton(x, weight, bias, stride, padding, dilation)
    return depthwise_conv2d_reference(x, weight, bias, stride, padding, dilation)


def check_depthwise_shapes(x: Tensor, weight: Tensor) -> None:
    """Raise for a `weight` that is no depthwise filter bank of `x`.

    Raises:
        UsageError: wrong rank, channels that do not fit, or another type of numbers.
    """
    if x.dim() != 4:
        raise UsageError("`x` has the wrong number of axes", got=tuple(x.shape), expected="(N, C, H, W)")
    filled = x.shape[1] > 0 and weight.dim() == 4 and weight.shape[0] > 0
    fits = filled and weight.shape[1] == 1 and weight.shape[0] % x.shape[1] == 0
    if not fits:
        raise UsageError(
            "The depthwise weight does not fit the input's channels",
            got=tuple(weight.shape),
            expected=f"({x.shape[1]} * multiplier, 1, height, width)",
        )
    check_type(x, weight, "weight")


def check_added(x: Tensor, bias: Tensor | None, name: str, outputs: int) -> None:
    """Raise UsageError unless `bias` is None or has one number, of the type of `x`, for each of `outputs`."""
    if bias is None:
        return
    if bias.dim() != 1 or bias.shape[0] != outputs:
        raise UsageError(f"`{name}` has another length", got=tuple(bias.shape), expected=f"({int(outputs)},)")
    check_type(x, bias, name)


def check_steps(stride: Pair, dilation: Pair) -> None:
    """Raise UsageError for a stride or dilation below 1."""
    for name, value in (("stride", stride), ("dilation", dilation)):
        if min(to_pair(value, name)) < 1:
            raise UsageError(f"`{name}` is too small", got=value, expected="1 or more")


def check_type(x: Tensor, other: Tensor, name: str) -> None:
    """Raise UsageError unless `other` has the type of `x`."""
    if other.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):  # autocast makes them alike
        raise UsageError(f"`{name}` has another type than `x`", got=other.dtype, expected=x.dtype)
