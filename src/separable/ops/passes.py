"""Steps of autograd made of single passes over memory, for whichever device has the passes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Passes", "moments_backward"]

Sums = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Passes:
    """A device's passes over maps (N, C, H, W) in channels_last, and what is differentiable by them.

    Sums, scale and shift are (C,) in fp32.
    """

    channel_moments: Callable[[Tensor], Sums]
    """z -> mean and biased variance over (N, H, W)."""
    channel_products: Callable[[Tensor, Tensor], Sums]
    """g, z -> the sums of g and of g z."""
    combine: Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
    """z, scale, shift, other -> scale z + shift + other, in the type of z."""

    def moments(self, z: Tensor) -> Sums:
        """Mean and biased variance of each channel of z, in one pass; differentiable."""
        mean, variance = _Moments.apply(z, self)
        return mean, variance

    def add_normalised(self, z: Tensor, scale: Tensor, shift: Tensor, other: Tensor | None) -> Tensor:
        """scale z + shift + other, in one pass: the end of a residual block, or of one without a shortcut."""
        y: Tensor = _Add.apply(z, scale, shift, other, self)
        return y

    def through_moments(
        self, dz: Tensor | None, z: Tensor, mean: Tensor, dmean: Tensor | None, dvariance: Tensor | None
    ) -> Tensor:
        """dz plus what comes back through mean and variance: affine in z, so one pass."""
        if dmean is None and dvariance is None:
            return torch.zeros_like(z) if dz is None else dz
        slope, offset = moments_backward(z, mean, dmean, dvariance)
        return self.combine(z, slope, offset, dz)


def moments_backward(z: Tensor, mean: Tensor, dmean: Tensor | None, dvariance: Tensor | None) -> Sums:
    """slope and offset per channel: slope z + offset comes back through mean and biased variance to z (N, C, H, W)."""
    count = z.numel() // z.shape[1]
    slope = torch.zeros_like(mean) if dvariance is None else dvariance * (2.0 / count)
    return slope, -slope * mean if dmean is None else dmean / count - slope * mean


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, passes: Passes) -> Sums:
        return passes.channel_moments(z)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Sums) -> None:
        z, ctx.passes = inputs
        ctx.save_for_backward(z, output[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dmean: Tensor, dvariance: Tensor) -> tuple[Tensor | None, ...]:
        z, mean = ctx.saved_tensors
        return ctx.passes.through_moments(None, z, mean, dmean, dvariance), None


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, scale: Tensor, shift: Tensor, other: Tensor | None, passes: Passes) -> Tensor:
        return passes.combine(z, scale, shift, other)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.passes = inputs[4]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, scale = ctx.saved_tensors
        dshift, dscale = ctx.passes.channel_products(gradient, z)
        dz = ctx.passes.combine(gradient, scale, None, None)
        return dz, dscale, dshift, gradient if ctx.needs_input_grad[3] else None, None
