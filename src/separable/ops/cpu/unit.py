"""Batch normalisation, ReLU, depthwise, pointwise and the next batch's moments as one step of autograd.

What stock operators do in nine passes over memory is done here in five, and nothing is kept for the backward pass but
the unit's input and its output: the depthwise result is computed again. It never exists as a whole.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from separable.ops.layout import as_maps, as_rows, laid_out_like
from separable.ops.passes import Passes, moments_backward

__all__ = [
    "PASSES",
    "add_normalised",
    "moments",
    "pointwise_product",
    "pointwise_with_moments",
    "pool_normalised",
    "sampled",
    "separable_unit",
]

PASSES = Passes(
    lambda z: torch.ops.separable_cpu.channel_moments(z),
    lambda g, z: torch.ops.separable_cpu.channel_products(g, z),
    lambda z, scale, shift, other: torch.ops.separable_cpu.combine(z, scale, shift, other),
)  # looked up when they are called: the library is loaded later
moments, add_normalised = PASSES.moments, PASSES.add_normalised


def separable_unit(
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    relu: bool,
    depthwise: Tensor,
    pointwise: Tensor,
    sampling: int = 1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z = pointwise(depthwise(relu(scale x + shift))), and its mean and biased variance per channel.

    The moments are differentiable outputs, so batch normalisation of z is arithmetic on a few numbers per channel: its
    scale and shift go into the next unit, and its backward pass comes back through them.

    Args:
        x: (N, C, H, W), channels_last. scale, shift: (C,) in fp32, or both None.
        depthwise: (C, 1, K, K), K odd, padded to keep the side. pointwise: (O, C, 1, 1). Of any floating type.

    Returns:
        z (N, O, H, W) in the type of `x`, channels_last; mean and variance (O,) in fp32; and every `sampling`-th row
        and column of `x`, for whatever else reads it, so that both gradients of it are added up in the unit's own
        backward pass.
    """
    z, mean, variance, same = _Unit.apply(x, scale, shift, relu, depthwise, pointwise, sampling)
    return z, mean, variance, same


def sampled(x: Tensor, step: int) -> Tensor:
    """Every `step`-th row and column of x (N, C, H, W), channels_last."""
    return x[:, :, ::step, ::step].contiguous(memory_format=torch.channels_last)


def pointwise_product(x: Tensor, weight: Tensor) -> Tensor:
    """The 1x1 convolution of x (N, C, H, W) in channels_last by weight (O, C, 1, 1), which takes the type of `x`."""
    y: Tensor = _Pointwise.apply(x, weight, False)[0]
    return y


def pointwise_with_moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`pointwise_product`, and the mean and biased variance of each of its channels (O,) in fp32; differentiable."""
    y, mean, variance = _Pointwise.apply(x, weight, True)
    return y, mean, variance


def pool_normalised(z: Tensor, scale: Tensor, shift: Tensor, kernel: int, stride: int, border: list[int]) -> Tensor:
    """Max pooling of scale z + shift; `border` (top, bottom, left, right) never wins."""
    y: Tensor = _Pool.apply(z, scale, shift, kernel, stride, border)
    return y


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(
        x: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        relu: bool,
        depthwise: Tensor,
        pointwise: Tensor,
        sampling: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        z, mean, variance = torch.ops.separable_cpu.unit_forward(x, scale, shift, relu, depthwise, pointwise.flatten(1))
        return as_maps(z, x), mean, variance, x.view_as(x) if sampling == 1 else sampled(x, sampling)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, scale, shift, ctx.relu, depthwise, pointwise, ctx.sampling = inputs
        ctx.save_for_backward(x, scale, shift, depthwise, pointwise, output[0], output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        dz, dmean, dvariance, dsame = gradients
        x, scale, shift, depthwise, pointwise, z, mean = ctx.saved_tensors
        slope, offset = moments_backward(z, mean, dmean, dvariance)
        whole, step = (dsame, 1) if ctx.sampling == 1 else (None, ctx.sampling)
        dx, ddepthwise, dscale, dshift, dpointwise = torch.ops.separable_cpu.unit_backward(
            *(None if dz is None else as_rows(dz), as_rows(z), slope, offset),
            *(x, scale, shift, ctx.relu, depthwise, pointwise.flatten(1), whole),
        )
        if dsame is not None and whole is None:
            dx[:, :, ::step, ::step] += dsame
        affine = (dscale, dshift) if scale is not None else (None, None)
        return dx, *affine, None, laid_out_like(depthwise, ddepthwise), laid_out_like(pointwise, dpointwise), None


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, moments: bool) -> tuple[Tensor, Tensor, Tensor]:
        y, mean, variance = torch.ops.separable_cpu.product(as_rows(x), weight.flatten(1), moments)
        return as_maps(y, x), mean, variance

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, weight, moments = inputs
        ctx.save_for_backward(x, weight, *(output[:2] if moments else ()))
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *of_moments: Tensor | None) -> tuple[Tensor | None, ...]:
        x, weight, *rest = ctx.saved_tensors
        arriving = None if gradient is None else as_rows(gradient)
        kernels, matrix = torch.ops.separable_cpu, weight.flatten(1)
        if any(one is not None for one in of_moments):
            y, mean = rest
            sums = moments_backward(y, mean, *of_moments)
            dx, dweight = kernels.product_backward(arriving, as_rows(y), *sums, as_rows(x), matrix)
        elif arriving is None:
            return None, None, None
        else:
            dx = kernels.product(arriving, matrix.t(), False)[0] if ctx.needs_input_grad[0] else None
            dweight = kernels.product_over_rows(arriving, as_rows(x)) if ctx.needs_input_grad[1] else None
        maps = None if dx is None else as_maps(dx, x)
        return maps, None if dweight is None else laid_out_like(weight, dweight), None


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
