"""Batch normalisation and the activation behind it: one step of autograd that keeps its input and nothing else.

Stock operators read and write such a map fourteen times, eight of them backward; this does it eight times, five of them
backward.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Activation", "affine_act", "batch_affine", "batch_norm_act", "batch_slopes", "in_types"]


class Activation(IntEnum):
    """As the kernels number them."""

    NONE = 0
    RELU = 1
    RELU6 = 2
    SILU = 3
    HARD_SWISH = 4


def batch_norm_act(
    z: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    act: Activation,
    known: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """act(batch norm of z by its own moments), for training (arXiv:1502.03167, algorithm 1).

    Args:
        z: (N, C, H, W) in fp32, bf16 or fp16, fastest in channels_last. weight, bias: (C,), or None for 1 and 0.
        known: mean and biased variance (C,) of z in fp32, if whoever made z has them. Gradients do not go through
            them: z's own has that part.

    Returns:
        y in the type of `z`, channels_last; mean and biased variance (C,) in fp32, for running averages: not
        differentiable.
    """
    given = (None, None) if known is None else (known[0].detach(), known[1].detach())
    y, mean, variance, _, _ = _BatchNormAct.apply(z, weight, bias, eps, int(act), *given)
    return y, mean, variance


def affine_act(z: Tensor, scale: Tensor, shift: Tensor, act: Activation) -> Tensor:
    """act(scale z + shift) in one pass; scale and shift (C,) in fp32: batch norm by running averages."""
    y: Tensor = _AffineAct.apply(z, scale, shift, int(act))
    return y


def batch_affine(
    mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """Scale and shift (C,) in fp32 that normalise by these moments."""
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight.float()
    return scale, -mean * scale if bias is None else bias.float() - mean * scale


def batch_slopes(
    total: Tensor, product: Tensor, mean: Tensor, variance: Tensor, scale: Tensor, eps: float, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """dweight, slope and offset (C,): the gradient of z is scale g' + slope z + offset.

    With n pixels, g' the gradient in front of the activation and xhat = (z - mean) / deviation: dbias = sum g', dweight
    = sum g' xhat, dz = scale (g' - dbias / n - xhat dweight / n).

    Args:
        total: sum g'. product: sum g' (z - mean). count: n.
    """
    inverse = torch.rsqrt(variance + eps)
    dweight = product * inverse
    slope = -scale * inverse * dweight / count
    return dweight, slope, -scale * total / count - slope * mean


def in_types(types: Sequence[torch.dtype | None], *gradients: Tensor) -> tuple[Tensor | None, ...]:
    """Each gradient in the type of its parameter, None where there is no parameter."""
    pairs = zip(types, gradients, strict=True)
    return tuple(None if dtype is None else gradient.to(dtype) for dtype, gradient in pairs)


class _BatchNormAct(torch.autograd.Function):
    @staticmethod
    def forward(
        z: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        act: int,
        mean: Tensor | None,
        variance: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        if mean is None or variance is None:
            mean, variance = torch.ops.separable_cpu.channel_moments(z)
        else:
            mean, variance = mean.view_as(mean), variance.view_as(variance)
        scale, shift = batch_affine(mean, variance, weight, bias, eps)
        return torch.ops.separable_cpu.affine_act_forward(z, scale, shift, act), mean, variance, scale, shift

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        z, weight, bias, ctx.eps, ctx.act, *_ = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(z, *output[1:])
        ctx.types = tuple(None if t is None else t.dtype for t in (weight, bias))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        z, mean, variance, scale, shift = ctx.saved_tensors
        total, product = torch.ops.separable_cpu.affine_act_sums(gradient, z, scale, shift, ctx.act, mean)
        count = z.numel() // z.shape[1]
        dweight, slope, offset = batch_slopes(total, product, mean, variance, scale, ctx.eps, count)
        dz = None
        if ctx.needs_input_grad[0]:
            dz = torch.ops.separable_cpu.affine_act_backward(gradient, z, scale, shift, ctx.act, scale, slope, offset)
        return dz, *in_types(ctx.types, dweight, total), *(None,) * 4


class _AffineAct(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, scale: Tensor, shift: Tensor, act: int) -> Tensor:
        y: Tensor = torch.ops.separable_cpu.affine_act_forward(z, scale, shift, act)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.act = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, scale, shift = ctx.saved_tensors
        kernels = torch.ops.separable_cpu
        dscale = dshift = dz = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            dshift, dscale = kernels.affine_act_sums(gradient, z, scale, shift, ctx.act)
        if ctx.needs_input_grad[0]:
            none = torch.zeros_like(scale)
            dz = kernels.affine_act_backward(gradient, z, scale, shift, ctx.act, scale, none, none)
        return dz, dscale, dshift, None
