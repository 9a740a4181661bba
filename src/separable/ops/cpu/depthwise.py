"""The CPU's depthwise convolution as an operator that autograd, torch.compile and torch.func know.

`depthwise.cpp` holds the arithmetic; here are its shapes and its derivative. Once only: the reference is differentiable
as often as one likes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from separable.ops.cpu.fakes import fake_depthwise_backward, fake_depthwise_forward
from separable.ops.cpu.layout import laid_out_like
from separable.ops.padding import Padding, Pair, border_of, to_pair

__all__ = ["depthwise_conv2d_cpu", "depthwise_cpu"]


def depthwise_conv2d_cpu(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Padding, dilation: Pair
) -> Tensor:
    """`depthwise_conv2d_reference` by the kernels: 'same' padding is never written out, sums are fp32."""
    if torch.is_autocast_enabled("cpu"):
        x = x.to(torch.get_autocast_dtype("cpu"))
    stride, dilation = to_pair(stride, "stride"), to_pair(dilation, "dilation")
    border = border_of(x, weight, stride, padding, dilation)
    # torch's generated derivative refuses torch.func's transforms (pytorch/pytorch#170834, torch 2.11 to 2.13).
    transformed = not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None
    y: Tensor = (_Transformed.apply if transformed else depthwise_cpu)(
        x, weight, bias, None, None, False, stride, border, dilation
    )
    return y


@torch.library.custom_op("separable::depthwise_cpu", mutates_args=(), device_types="cpu")
def depthwise_cpu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    relu: bool,
    stride: Sequence[int],
    border: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Depthwise convolution of act(x), act(x) = relu(scale * x + shift), each part left out where it is not given.

    Zeros are put around act(x), not around x.

    Args:
        x: (N, C, H, W); any strides, fastest in channels_last.
        weight: (C, 1, KH, KW). bias: (C,). scale, shift: (C,), both or neither, in fp32.
        stride, dilation: (height, width). border: zeros at (top, bottom, left, right).

    Returns:
        (N, C, OH, OW), channels_last, in the type of `x`; sums are taken in fp32.
    """
    forward = torch.ops.separable_cpu.depthwise_forward
    y: Tensor = forward(x, weight, bias, scale, shift, relu, stride, border, dilation)
    return y


depthwise_cpu.register_fake(fake_depthwise_forward)


@torch.library.custom_op("separable::depthwise_cpu_backward", mutates_args=(), device_types="cpu")
def _backward_op(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    relu: bool,
    stride: Sequence[int],
    border: Sequence[int],
    dilation: Sequence[int],
    other: Tensor | None,
    need_input: bool,
    need_weight: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    backward = torch.ops.separable_cpu.depthwise_backward
    arguments = (gradient, x, weight, scale, shift, relu, stride, border, dilation, other, need_input, need_weight)
    gradients: tuple[Tensor, Tensor, Tensor, Tensor] = backward(*arguments)
    return gradients


_backward_op.register_fake(fake_depthwise_backward)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, scale, shift, *ctx.steps = inputs
    ctx.save_for_backward(x, weight, scale, shift)
    ctx.bias_type = None if bias is None else bias.dtype


@once_differentiable
def _differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, scale, shift = ctx.saved_tensors
    need_x, need_weight, need_bias, need_scale, need_shift, *_ = ctx.needs_input_grad
    need_input = need_x or need_scale or need_shift
    found = _backward_op(gradient, x, weight, scale, shift, *ctx.steps, None, need_input, need_weight)
    return (
        found[0] if need_x else None,
        laid_out_like(weight, found[1]) if need_weight else None,
        gradient.sum((0, 2, 3), dtype=torch.float32).to(ctx.bias_type) if need_bias else None,
        found[2].to(scale.dtype) if need_scale else None,
        found[3].to(shift.dtype) if need_shift else None,
        *(None for _ in ctx.steps),
    )


torch.library.register_autograd("separable::depthwise_cpu", _differentiate, setup_context=_keep)


class _Transformed(torch.autograd.Function):
    """The same operator and derivative, in the form that torch.func.grad and its kin take."""

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        y: Tensor = depthwise_cpu(*inputs)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _keep(ctx, inputs, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _differentiate(ctx, *gradients)
