"""Triton's depthwise convolution as an operator. `depthwise_kernels.py` holds the arithmetic, here are its launches."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor

from separable.ops.fakes import fake_depthwise_backward, fake_depthwise_forward
from separable.ops.operator import DepthwiseOperator
from separable.ops.triton.configs import Config, config_for
from separable.ops.triton.depthwise_kernels import backward_kernel, forward_kernel
from separable.ops.triton.launch import DEVICES, device_of, last_axis, vector_width

__all__ = ["depthwise_backward_triton", "depthwise_conv2d_triton", "depthwise_triton"]

_WIDEST = 5  # side of the filter from which on the backward pass takes two launches


def _forward(
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


def _backward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every gradient in one pass, arguments as of `_sums` without `dx`. Sums are added up in a fixed order."""
    x, weight, scale = arguments[1:4]
    need_input, need_weight = arguments[-2:]
    if need_input and need_weight and max(weight.shape[2:]) > _WIDEST:  # more sums than registers
        dx, _, dscale, dshift = depthwise_backward_triton(*arguments[:-2], True, False)
        return dx, depthwise_backward_triton(*arguments[:-2], False, True)[1], dscale, dshift
    dx, dweight, dscale, dshift = fake_depthwise_backward(*arguments)
    sums = _sums(dx if need_input else x, *arguments)  # x is not written then
    if need_weight:
        dweight = sums[:, :-2].sum(0).t().contiguous().view(weight.shape)
    if need_input and scale is not None:
        dscale, dshift = (total.clone() for total in sums[:, -2:].sum(0).unbind())
    return dx, dweight, dscale, dshift


def _sums(
    dx: Tensor,
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
) -> Tensor:
    """Write `dx`; the rest per block of pixels: (blocks, KH KW + 2, C), the weight's taps, scale and shift."""
    x, gradient, other = last_axis(x), last_axis(gradient), None if other is None else last_axis(other)
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
        return launch(config_for("backward", shape, launch, channels, max(kh, kw), w))


def _taps(weight: Tensor) -> Tensor:
    """(C, 1, KH, KW) as (KH KW, C) in fp32: neighbouring channels side by side, as in the maps."""
    return weight.detach().flatten(1).t().to(torch.float32).contiguous()


_OPERATOR = DepthwiseOperator("triton", DEVICES, _forward, _backward)
depthwise_triton, depthwise_backward_triton = _OPERATOR.forward, _OPERATOR.backward
depthwise_conv2d_triton = _OPERATOR.convolve
