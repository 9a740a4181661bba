"""Batch normalisation, ReLU, depthwise, pointwise and the next batch's moments as one step of autograd, on CUDA.

In passes over memory, each a tensor of the unit's size read or written (weights left out): stock operators take 25, 9
forward and 16 backward. Here the forward pass takes 4 (x read, the depthwise result written and read, z written), 2
where it is never written ("window"), 5 where torch's product is used ("matmul": z is read again for its moments). The
backward pass takes 10: what comes back through the moments is written out once (3), two products (4), one pass for all
of the depthwise part (3); 2 more where the depthwise result is computed again.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from separable.ops.triton.depthwise import depthwise_backward_triton, depthwise_triton
from separable.ops.triton.launch import as_maps, as_rows
from separable.ops.triton.passes import channel_moments, channel_products, combine
from separable.ops.triton.product import product

__all__ = ["Plan", "add_normalised", "moments", "pool_normalised", "separable_unit"]

Plan = Literal["auto", "matmul", "epilogue", "window"]
_BALANCE = 183  # operations a byte at which an H200 is as long at products as at memory: 788 TFLOP/s over 4.3 TB/s


def separable_unit(
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    relu: bool,
    depthwise: Tensor,
    pointwise: Tensor,
    plan: Plan = "auto",
    keep: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z = pointwise(depthwise(relu(scale x + shift))), and its mean and biased variance per channel.

    The moments are differentiable outputs, so batch normalisation of z is arithmetic on a few numbers per channel: its
    scale and shift go into the next unit, and its backward pass comes back through them.

    Args:
        x: (N, C, H, W), channels_last. scale, shift: (C,) in fp32, or both None.
        depthwise: (C, 1, K, K), K odd, padded to keep the side. pointwise: (O, C, 1, 1). Of any floating type.
        plan: "matmul" leaves the product to torch, "epilogue" takes the moments in a product of ours, "window" puts the
            depthwise convolution into that product, too. "auto" is "epilogue" where memory is the limit (few
            channels, 16 bits), "matmul" where the product is.
        keep: hold on to the depthwise result for the backward pass; False saves its memory for two more passes.

    Returns:
        z (N, O, H, W) in the type of `x`, channels_last; mean and variance (O,) in fp32; and `x` again, for whatever
        else reads it, so that both gradients of it are added up in the unit's own backward pass.
    """
    chosen = _plan(plan, x, pointwise.shape[0])
    z, mean, variance, same, _ = _Unit.apply(x, scale, shift, relu, depthwise, pointwise, chosen, keep)
    return z, mean, variance, same


def moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel of z (N, C, H, W), fp32 (C,), in one pass; differentiable."""
    mean, variance = _Moments.apply(z)
    return mean, variance


def add_normalised(z: Tensor, scale: Tensor, shift: Tensor, other: Tensor | None) -> Tensor:
    """scale z + shift + other, in one pass: the end of a residual block, or of one without a shortcut."""
    y: Tensor = _Add.apply(z, scale, shift, other)
    return y


def pool_normalised(z: Tensor, scale: Tensor, shift: Tensor, kernel: int, stride: int, border: list[int]) -> Tensor:
    """Max pooling of scale z + shift; `border` (top, bottom, left, right) never wins.

    Not one pass yet: the sum is written out, and torch pools it.
    """
    top, bottom, left, right = border
    y = torch.nn.functional.pad(add_normalised(z, scale, shift, None), (left, right, top, bottom), value=float("-inf"))
    return torch.nn.functional.max_pool2d(y, kernel, stride)


def _plan(plan: Plan, x: Tensor, outputs: int) -> Plan:
    if plan != "auto":
        return plan
    channels = x.shape[1]
    bound_by_memory = channels * outputs < _BALANCE * (channels + outputs) and x.dtype != torch.float32
    return "epilogue" if bound_by_memory else "matmul"


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(
        x: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        relu: bool,
        depthwise: Tensor,
        pointwise: Tensor,
        plan: Plan,
        keep: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        if plan == "window":
            z, mean, variance = product(x, scale, shift, relu, depthwise, pointwise)
            return z, mean, variance, x.view_as(x), None
        h = _depthwise(x, scale, shift, relu, depthwise)
        if plan == "epilogue":
            z, mean, variance = product(h, None, None, False, None, pointwise)
        else:
            z = as_maps(torch.nn.functional.linear(as_rows(h), pointwise.to(x.dtype).flatten(1)), h)
            mean, variance = channel_moments(z)
        return z, mean, variance, x.view_as(x), h if keep else None

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, scale, shift, ctx.relu, depthwise, pointwise, _, _ = inputs
        z, mean, _, _, h = output
        if h is not None:
            ctx.mark_non_differentiable(h)
        ctx.save_for_backward(x, scale, shift, depthwise, pointwise, z, mean, h)
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        dz, dmean, dvariance, dsame, _ = gradients
        x, scale, shift, depthwise, pointwise, z, mean, h = ctx.saved_tensors
        rows = as_rows(_through_moments(dz, z, mean, dmean, dvariance))
        h = _depthwise(x, scale, shift, ctx.relu, depthwise) if h is None else h
        dpointwise = (rows.t() @ as_rows(h)).to(pointwise.dtype).view_as(pointwise)
        dh = as_maps(rows @ pointwise.to(x.dtype).flatten(1), x)
        side = depthwise.shape[-1] // 2
        dx, ddepthwise, dscale, dshift = depthwise_backward_triton(
            dh, x, depthwise, scale, shift, ctx.relu, [1, 1], [side] * 4, [1, 1], dsame, True, True
        )
        affine = (dscale, dshift) if scale is not None else (None, None)
        return dx, *affine, None, ddepthwise.to(depthwise.dtype), dpointwise, None, None


def _depthwise(x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, weight: Tensor) -> Tensor:
    side = weight.shape[-1] // 2
    y: Tensor = depthwise_triton(x, weight, None, scale, shift, relu, [1, 1], [side] * 4, [1, 1])
    return y


def _through_moments(
    dz: Tensor | None, z: Tensor, mean: Tensor, dmean: Tensor | None, dvariance: Tensor | None
) -> Tensor:
    """dz plus what comes back through mean and variance: affine in z, so one pass."""
    if dmean is None and dvariance is None:
        return torch.zeros_like(z) if dz is None else dz.contiguous(memory_format=torch.channels_last)
    count = z.numel() // z.shape[1]
    slope = torch.zeros_like(mean) if dvariance is None else dvariance * (2.0 / count)
    offset = -slope * mean if dmean is None else dmean / count - slope * mean
    y: Tensor = combine(z, slope, offset, dz)
    return y


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = channel_moments(z)
        return mean, variance

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(inputs[0], output[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dmean: Tensor, dvariance: Tensor) -> Tensor:
        z, mean = ctx.saved_tensors
        return _through_moments(None, z, mean, dmean, dvariance)


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, scale: Tensor, shift: Tensor, other: Tensor | None) -> Tensor:
        y: Tensor = combine(z, scale, shift, other)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, scale = ctx.saved_tensors
        dshift, dscale = channel_products(gradient, z)
        dz = combine(gradient, scale, None, None)
        return dz, dscale, dshift, gradient if ctx.needs_input_grad[3] else None
