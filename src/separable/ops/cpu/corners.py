"""Convolution of a map of twice the side without that map, and what stands around it, as steps of autograd.

Let up(x) be x (N, C, H, W) with every pixel four times over. A 3x3 convolution of up(x) meets at most 2x2 different
pixels, so it is a 2x2 convolution at the (H + 1) x (W + 1) corners of x, whose weights are sums of the 3x3 ones: four
ninths of the work, and up(x) is never made. Its result stays where it falls, (N, 4 O, H + 1, W + 1): at each corner the
pixels of the large map around it, upper left first. Batch normalisation and ReLU read it from there.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from separable.ops.cpu.norm import Activation, batch_affine, batch_slopes, in_types

__all__ = [
    "affine_add_doubled",
    "as_large",
    "corner_convolution",
    "corners_affine_relu",
    "corners_norm_relu",
    "fork_relu",
    "norm_add_doubled",
]

_TAPS = ((((1, 1, 0)), ((0, 0, 1))), (((1, 0, 0)), ((0, 1, 1))))
"""Pixel before and after a corner, then neighbour before and after it: which of three weights meet that neighbour."""


def corner_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The 3x3 convolution of up(x), padded by one, at the corners of x.

    Shapes: (N, C, H, W), weight (O, C, 3, 3), bias (O,) -> (N, 4 O, H + 1, W + 1), channels_last, in the type of `x`.
    The weights are added up in their own type.
    """
    with torch.autocast("cpu", enabled=False):
        outputs, inputs = weight.shape[:2]
        taps = weight.new_tensor(_TAPS)
        both = torch.einsum("atk,bul->klabtu", taps, taps).reshape(9, 16)
        sums = (weight.reshape(-1, 9) @ both).view(outputs, inputs, 2, 2, 2, 2)
        small = sums.permute(2, 3, 0, 1, 4, 5).reshape(4 * outputs, inputs, 2, 2)
        small = small.to(x.dtype, memory_format=torch.channels_last)
        added = None if bias is None else bias.to(x.dtype).repeat(4)
        y: Tensor = torch.nn.functional.conv2d(x, small, added, padding=1)
        return y


def as_large(corners: Tensor) -> Tensor:
    """(N, 4 O, H + 1, W + 1) -> the large map (N, O, 2 H, 2 W), channels_last."""
    n, channels, rows, columns = corners.shape
    parts = corners.permute(0, 2, 3, 1).reshape(n, rows, columns, 2, 2, channels // 4)
    large = parts.transpose(2, 3).reshape(n, 2 * rows, 2 * columns, channels // 4)[:, 1:-1, 1:-1]
    return large.contiguous().permute(0, 3, 1, 2)


def corners_norm_relu(
    corners: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """relu(batch norm of the large map by its own moments); its mean and biased variance (O,) in fp32.

    As `norm.batch_norm_act`; nothing is kept for the backward pass but the corners.
    """
    y, mean, variance = _Corners.apply(corners, weight, bias, eps)
    return y, mean, variance


def corners_affine_relu(corners: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """relu(scale x + shift) of the large map x; scale and shift (O,) in fp32."""
    y: Tensor = _AffineCorners.apply(corners, scale, shift)
    return y


def norm_add_doubled(
    z: Tensor, small: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm of z (N, O, 2 H, 2 W) by its own moments, plus up(small); mean and biased variance of z."""
    y, mean, variance = _NormDoubled.apply(z, small, weight, bias, eps)
    return y, mean, variance


def affine_add_doubled(z: Tensor, small: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """scale z + shift + up(small)."""
    y: Tensor = _AffineDoubled.apply(z, small, scale, shift)
    return y


def fork_relu(x: Tensor) -> tuple[Tensor, Tensor]:
    """relu(x) and x, whose gradients are added up in one pass."""
    y, same = _Fork.apply(x)
    return y, same


class _Corners(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, corners: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = torch.ops.separable_cpu.corner_moments(corners)
        scale, shift = batch_affine(mean, variance, weight, bias, eps)
        ctx.eps, ctx.types = eps, [None if t is None else t.dtype for t in (weight, bias)]
        ctx.save_for_backward(corners, mean, variance, scale, shift)
        ctx.mark_non_differentiable(mean, variance)
        return torch.ops.separable_cpu.corner_forward(corners, scale, shift, True), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        corners, mean, variance, scale, shift = ctx.saved_tensors
        kernels = torch.ops.separable_cpu
        total, product = kernels.corner_sums(gradient, corners, scale, shift, True, mean)
        count = gradient.numel() // gradient.shape[1]
        dweight, slope, offset = batch_slopes(total, product, mean, variance, scale, ctx.eps, count)
        dx = kernels.corner_backward(gradient, corners, scale, shift, True, scale, slope, offset)
        return dx, *in_types(ctx.types, dweight, total), None


class _AffineCorners(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, corners: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(corners, scale, shift)
        y: Tensor = torch.ops.separable_cpu.corner_forward(corners, scale, shift, True)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        corners, scale, shift = ctx.saved_tensors
        kernels = torch.ops.separable_cpu
        dshift, dscale = kernels.corner_sums(gradient, corners, scale, shift, True, None)
        none = torch.zeros_like(scale)
        dx = kernels.corner_backward(gradient, corners, scale, shift, True, scale, none, none)
        return dx, dscale, dshift


class _NormDoubled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, small: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = torch.ops.separable_cpu.channel_moments(z)
        scale, shift = batch_affine(mean, variance, weight, bias, eps)
        ctx.eps, ctx.types = eps, [None if t is None else t.dtype for t in (weight, bias)]
        ctx.save_for_backward(z, mean, variance, scale)
        ctx.mark_non_differentiable(mean, variance)
        return torch.ops.separable_cpu.add_doubled(z, scale, shift, small), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        z, mean, variance, scale = ctx.saved_tensors
        kernels = torch.ops.separable_cpu
        dsmall, total, product = kernels.add_doubled_backward(gradient, z, mean)
        count = z.numel() // z.shape[1]
        dweight, slope, offset = batch_slopes(total, product, mean, variance, scale, ctx.eps, count)
        none = int(Activation.NONE)
        dz = kernels.affine_act_backward(gradient, z, scale, offset, none, scale, slope, offset)
        return dz, dsmall, *in_types(ctx.types, dweight, total), None


class _AffineDoubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, small: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(z, scale)
        y: Tensor = torch.ops.separable_cpu.add_doubled(z, scale, shift, small)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        z, scale = ctx.saved_tensors
        dsmall, dshift, dscale = torch.ops.separable_cpu.add_doubled_backward(gradient, z, None)
        return torch.ops.separable_cpu.combine(gradient, scale, None, None), dsmall, dscale, dshift


class _Fork(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        return torch.relu(x), x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, other: Tensor) -> Tensor:
        dx: Tensor = torch.ops.separable_cpu.relu_backward_add(gradient, ctx.saved_tensors[0], other)
        return dx
