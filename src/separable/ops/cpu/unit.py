"""Batch normalisation, ReLU, depthwise, pointwise and the next batch's moments as one step of autograd.

What stock operators do in nine passes over memory is done here in five, and nothing is kept for the backward pass but
the unit's input and its output: the depthwise result is computed again.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from separable.ops.layout import as_maps, as_rows, laid_out_like
from separable.ops.passes import Passes, moments_backward

__all__ = ["PASSES", "add_normalised", "moments", "pointwise_product", "pool_normalised", "separable_unit"]

PASSES = Passes(
    lambda z: torch.ops.separable_cpu.channel_moments(z),
    lambda g, z: torch.ops.separable_cpu.channel_products(g, z),
    lambda z, scale, shift, other: torch.ops.separable_cpu.combine(z, scale, shift, other),
)  # looked up when they are called: the library is loaded later
moments, add_normalised = PASSES.moments, PASSES.add_normalised


def separable_unit(
    x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, depthwise: Tensor, pointwise: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z = pointwise(depthwise(relu(scale x + shift))), and its mean and biased variance per channel.

    The moments are differentiable outputs, so batch normalisation of z is arithmetic on a few numbers per channel: its
    scale and shift go into the next unit, and its backward pass comes back through them.

    Args:
        x: (N, C, H, W), channels_last. scale, shift: (C,) in fp32, or both None.
        depthwise: (C, 1, K, K), K odd, padded to keep the side. pointwise: (O, C, 1, 1). Of any floating type.

    Returns:
        z (N, O, H, W) in the type of `x`, channels_last; mean and variance (O,) in fp32; and `x` again, for whatever
        else reads it, so that both gradients of it are added up in the unit's own backward pass.
    """
    z, mean, variance, same = _Unit.apply(x, scale, shift, relu, depthwise, pointwise)
    return z, mean, variance, same


def pointwise_product(x: Tensor, weight: Tensor) -> Tensor:
    """The 1x1 convolution of x (N, C, H, W) in channels_last by weight (O, C, 1, 1), which takes the type of `x`."""
    y: Tensor = _Pointwise.apply(x, weight)
    return y


def pool_normalised(z: Tensor, scale: Tensor, shift: Tensor, kernel: int, stride: int, border: list[int]) -> Tensor:
    """Max pooling of scale z + shift; `border` (top, bottom, left, right) never wins."""
    y: Tensor = _Pool.apply(z, scale, shift, kernel, stride, border)
    return y


def _product(left: Tensor, right: Tensor) -> Tensor:
    """(M, K) times (N, K), transposed -> (M, N) in the type of `left`."""
    y: Tensor = torch.ops.separable_cpu.product(left, right, False)[0]
    return y


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(
        x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, depthwise: Tensor, pointwise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        h = _depthwise(x, scale, shift, relu, depthwise)
        z, mean, variance = torch.ops.separable_cpu.product(as_rows(h), pointwise.flatten(1), True)
        return as_maps(z, x), mean, variance, x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, scale, shift, ctx.relu, depthwise, pointwise = inputs
        ctx.save_for_backward(x, scale, shift, depthwise, pointwise, output[0], output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        dz, dmean, dvariance, dsame = gradients
        x, scale, shift, depthwise, pointwise, z, mean = ctx.saved_tensors
        slope, offset = moments_backward(z, mean, dmean, dvariance)
        h = _depthwise(x, scale, shift, ctx.relu, depthwise)
        arriving = None if dz is None else as_rows(dz)
        dh, dpointwise = torch.ops.separable_cpu.product_backward(
            arriving, as_rows(z), slope, offset, as_rows(h), pointwise.flatten(1)
        )
        del h
        side = depthwise.shape[-1] // 2
        dx, ddepthwise, dscale, dshift = torch.ops.separable_cpu.depthwise_backward(
            as_maps(dh, x), x, depthwise, scale, shift, ctx.relu, [1, 1], [side] * 4, [1, 1], dsame, True, True
        )
        affine = (dscale, dshift) if scale is not None else (None, None)
        return dx, *affine, None, laid_out_like(depthwise, ddepthwise), laid_out_like(pointwise, dpointwise)


def _depthwise(x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, weight: Tensor) -> Tensor:
    side = weight.shape[-1] // 2
    y: Tensor = torch.ops.separable_cpu.depthwise_forward(
        x, weight, None, scale, shift, relu, [1, 1], [side] * 4, [1, 1]
    )
    return y


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return as_maps(_product(as_rows(x), weight.flatten(1)), x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = as_rows(gradient)
        dx = as_maps(_product(rows, weight.flatten(1).t()), x) if ctx.needs_input_grad[0] else None
        dweight = torch.ops.separable_cpu.product_over_rows(rows, as_rows(x)) if ctx.needs_input_grad[1] else None
        return dx, None if dweight is None else laid_out_like(weight, dweight)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, scale: Tensor, shift: Tensor, kernel: int, stride: int, border: list[int]) -> Tensor:
        y: Tensor = torch.ops.separable_cpu.pool_forward(z, scale, shift, kernel, stride, border)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:3])
        ctx.steps = inputs[3:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        dz, dscale, dshift = torch.ops.separable_cpu.pool_backward(gradient, *ctx.saved_tensors, *ctx.steps)
        return dz, dscale, dshift, None, None, None
