"""Triton's depthwise convolution as an operator that autograd, torch.compile and torch.func know.

`depthwise_kernels.py` holds the arithmetic; here are its launches and its derivative. Once only: the reference is
differentiable as often as one likes.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from separable.ops.cpu.fakes import fake_depthwise_backward, fake_depthwise_forward
from separable.ops.padding import Padding, Pair, border_of, to_pair
from separable.ops.triton.configs import Config, config_for
from separable.ops.triton.depthwise_kernels import backward_kernel, forward_kernel
from separable.ops.triton.launch import DEVICES, device_of, last_axis, vector_width

__all__ = ["depthwise_backward_triton", "depthwise_conv2d_triton", "depthwise_triton"]

_WIDEST = 5  # side of the filter from which on the backward pass takes two launches


def depthwise_conv2d_triton(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Padding, dilation: Pair
) -> Tensor:
    """`depthwise_conv2d_reference` by the kernels: 'same' padding is never written out, sums are fp32."""
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    stride, dilation = to_pair(stride, "stride"), to_pair(dilation, "dilation")
    border = border_of(x, weight, stride, padding, dilation)
    # torch's generated derivative refuses torch.func's transforms (pytorch/pytorch#170834, torch 2.11 to 2.13).
    transformed = not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None
    y: Tensor = (_Transformed.apply if transformed else depthwise_triton)(
        x, weight, bias, None, None, False, stride, border, dilation
    )
    return y


@torch.library.custom_op("separable::depthwise_triton", mutates_args=(), device_types=DEVICES)
def depthwise_triton(
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
        x: (N, C, H, W) in fp32, bf16 or fp16; any strides, without a copy in channels_last.
        weight: (C, 1, KH, KW). bias: (C,). scale, shift: (C,), both or neither, in fp32.
        stride, dilation: (height, width). border: zeros at (top, bottom, left, right).

    Returns:
        (N, C, OH, OW), channels_last, in the type of `x`; sums are taken in fp32.
    """
    x = last_axis(x)
    y = fake_depthwise_forward(x, weight, bias, scale, shift, relu, stride, border, dilation)
    n, channels, oh, ow = y.shape
    steps = (*weight.shape[2:], *stride, *dilation, scale is not None, relu, bias is not None)
    vec = vector_width(channels)
    taps = _taps(weight)

    def launch(c: Config) -> None:
        programs = n * ceil(oh / c.rows) * ceil(ow / c.columns) * ceil(channels / c.channels)
        sizes = (*x.shape[2:], channels // vec, oh, ow, border[0], border[2])
        pieces = {"ROWS": c.rows, "BW": c.columns, "BC": c.channels}
        forward_kernel[(programs,)](*(x, taps, bias, scale, shift, y), *sizes, vec, *steps, **pieces, num_warps=c.warps)

    with device_of(x):
        shape = (x.dtype, *x.shape, *steps)
        launch(config_for("forward", shape, launch, channels, max(weight.shape[2:]), ow))
    return y


depthwise_triton.register_fake(fake_depthwise_forward)


@torch.library.custom_op("separable::depthwise_triton_backward", mutates_args=(), device_types=DEVICES)
def depthwise_backward_triton(
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
    """Every gradient of `depthwise_triton` in one pass; what is not needed comes back empty.

    Args:
        other: (N, C, H, W), added to the input's gradient: that of whatever else reads x. None where nothing does.

    Returns:
        Gradients of x in its type, channels_last; of weight, scale and shift in fp32, summed in a fixed order.
    """
    if need_input and need_weight and max(weight.shape[2:]) > _WIDEST:  # more sums than registers
        same = (gradient, x, weight, scale, shift, relu, stride, border, dilation, other)
        dx, _, dscale, dshift = depthwise_backward_triton(*same, True, False)
        return dx, depthwise_backward_triton(*same, False, True)[1], dscale, dshift
    x, gradient = last_axis(x), last_axis(gradient)
    other = None if other is None else last_axis(other)
    fakes = fake_depthwise_backward(
        gradient, x, weight, scale, shift, relu, stride, border, dilation, other, need_input, need_weight
    )
    dx = fakes[0] if need_input else x  # never written in that case
    n, channels, h, w = x.shape
    (kh, kw), vec, taps = weight.shape[2:], vector_width(channels), _taps(weight)
    steps = (kh, kw, *stride, *dilation, scale is not None, relu, other is not None, need_input, need_weight)

    def launch(c: Config) -> Tensor:
        rows = ceil(c.rows / stride[0]) * stride[0]
        strips = n * ceil((h + border[0] % stride[0]) / rows)
        across, groups = ceil(w / c.columns), ceil(channels / c.channels)
        each = 1 << max(0, (strips * across * groups // c.programs).bit_length() - 1)  # few kernels, not one per shape
        blocks = ceil(strips / each) * across
        sums = torch.empty((blocks, kh * kw + 2, channels), dtype=torch.float32, device=x.device)
        sizes = (n, h, w, channels // vec, *gradient.shape[2:], border[0], border[2])
        pieces = {"STRIPS": each, "ROWS": rows, "BW": c.columns, "BC": c.channels}
        backward_kernel[(blocks * groups,)](
            *(gradient, x, taps, scale, shift, other, dx, sums), *sizes, vec, *steps, **pieces, num_warps=c.warps
        )
        return sums

    with device_of(x):
        shape = (x.dtype, *x.shape, *steps)
        sums = launch(config_for("backward", shape, launch, channels, max(kh, kw), w))
    dweight = sums[:, :-2].sum(0).t().contiguous().view(weight.shape) if need_weight else fakes[1]
    if not need_input or scale is None:
        return fakes[0], dweight, fakes[2], fakes[3]
    dscale, dshift = sums[:, -2:].sum(0).unbind()
    return fakes[0], dweight, dscale.clone(), dshift.clone()


depthwise_backward_triton.register_fake(fake_depthwise_backward)


def _taps(weight: Tensor) -> Tensor:
    """(C, 1, KH, KW) as (KH KW, C) in fp32: neighbouring channels side by side, as in the maps."""
    return weight.detach().flatten(1).t().to(torch.float32).contiguous()


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, scale, shift, *ctx.steps = inputs
    ctx.save_for_backward(x, weight, scale, shift)
    ctx.bias_type = None if bias is None else bias.dtype


@once_differentiable
def _differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, scale, shift = ctx.saved_tensors
    need_x, need_weight, need_bias, need_scale, need_shift, *_ = ctx.needs_input_grad
    need_input = need_x or need_scale or need_shift
    found = depthwise_backward_triton(gradient, x, weight, scale, shift, *ctx.steps, None, need_input, need_weight)
    return (
        found[0] if need_x else None,
        found[1].to(weight.dtype) if need_weight else None,
        gradient.sum((0, 2, 3), dtype=torch.float32).to(ctx.bias_type) if need_bias else None,
        found[2].to(scale.dtype) if need_scale else None,
        found[3].to(shift.dtype) if need_shift else None,
        *(None for _ in ctx.steps),
    )


torch.library.register_autograd("separable::depthwise_triton", _differentiate, setup_context=_keep)


class _Transformed(torch.autograd.Function):
    """The same operator and derivative, in the form that torch.func.grad and its kin take."""

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        y: Tensor = depthwise_triton(*inputs)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _keep(ctx, inputs, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _differentiate(ctx, *gradients)
