"""Batch normalisation, ReLU, depthwise, pointwise and the next batch's moments as one step of autograd.

What stock operators do in nine passes over memory is done here in five, and nothing is kept for the backward pass but
the unit's input and its output: the depthwise result is computed again.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from separable.ops.cpu.layout import laid_out_like

__all__ = ["add_normalised", "moments", "pointwise_product", "pool_normalised", "separable_unit"]

_HAS_ONEDNN = torch.backends.mkldnn.is_available()


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


def moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel of z (N, C, H, W), fp32 (C,), in one pass; differentiable."""
    mean, variance = _Moments.apply(z)
    return mean, variance


def pointwise_product(x: Tensor, weight: Tensor) -> Tensor:
    """The 1x1 convolution of x (N, C, H, W) in channels_last by weight (O, C, 1, 1), which takes the type of `x`."""
    y: Tensor = _Pointwise.apply(x, weight)
    return y


def add_normalised(z: Tensor, scale: Tensor, shift: Tensor, other: Tensor | None) -> Tensor:
    """scale z + shift + other, in one pass: the end of a residual block, or of one without a shortcut.

    Shapes as in `separable_unit`.
    """
    y: Tensor = _Add.apply(z, scale, shift, other)
    return y


def pool_normalised(z: Tensor, scale: Tensor, shift: Tensor, kernel: int, stride: int, border: list[int]) -> Tensor:
    """Max pooling of scale z + shift; `border` (top, bottom, left, right) never wins."""
    y: Tensor = _Pool.apply(z, scale, shift, kernel, stride, border)
    return y


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W) in channels_last as a matrix (N H W, C), without a copy."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _maps(rows: Tensor, like: Tensor) -> Tensor:
    n, _, h, w = like.shape
    return rows.view(n, h, w, -1).permute(0, 3, 1, 2)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a b' of two matrices of one type, by oneDNN.

    For fp32 torch's own products ask MKL, which takes half the width of the registers on processors not Intel's:
    measured 120 against 260 GFLOP/s on one core of a Zen 5.
    """
    if a.dtype == torch.float32 and _HAS_ONEDNN:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
        return y
    return torch.nn.functional.linear(a, b)


def _weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """(M, O) and (M, C) -> (O, C). oneDNN copies both to transpose them, and its product is faster with few rows."""
    if gradient.dtype == torch.float32 and gradient.shape[1] > x.shape[1]:
        return _product(x.t(), gradient.t()).t().contiguous()
    return _product(gradient.t(), x.t())


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(
        x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, depthwise: Tensor, pointwise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        h = _depthwise(x, scale, shift, relu, depthwise)
        z = _maps(_product(_rows(h), pointwise.to(x.dtype).flatten(1)), x)
        mean, variance = torch.ops.separable_cpu.channel_moments(z)
        return z, mean, variance, x.view_as(x)

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
        gradient = _through_moments(dz, z, mean, dmean, dvariance)
        rows, weight = _rows(gradient), pointwise.to(x.dtype).flatten(1)
        h = _depthwise(x, scale, shift, ctx.relu, depthwise)
        dpointwise = laid_out_like(pointwise, _weight_gradient(rows, _rows(h)))
        del h
        dh = _maps(_product(rows, weight.t()), x)
        side = depthwise.shape[-1] // 2
        dx, ddepthwise, dscale, dshift = torch.ops.separable_cpu.depthwise_backward(
            dh, x, depthwise, scale, shift, ctx.relu, [1, 1], [side] * 4, [1, 1], dsame, True, True
        )
        affine = (dscale, dshift) if scale is not None else (None, None)
        return dx, *affine, None, laid_out_like(depthwise, ddepthwise), dpointwise


def _depthwise(x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, weight: Tensor) -> Tensor:
    side = weight.shape[-1] // 2
    y: Tensor = torch.ops.separable_cpu.depthwise_forward(
        x, weight, None, scale, shift, relu, [1, 1], [side] * 4, [1, 1]
    )
    return y


def _through_moments(
    dz: Tensor | None, z: Tensor, mean: Tensor, dmean: Tensor | None, dvariance: Tensor | None
) -> Tensor:
    """dz plus what comes back through mean and variance: affine in z, so one pass."""
    count = z.numel() // z.shape[1]
    slope = torch.zeros_like(mean) if dvariance is None else dvariance * (2.0 / count)
    offset = -slope * mean if dmean is None else dmean / count - slope * mean
    if dmean is None and dvariance is None:
        return torch.zeros_like(z) if dz is None else dz
    y: Tensor = torch.ops.separable_cpu.combine(z, slope, offset, dz)
    return y


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return _maps(_product(_rows(x), weight.to(x.dtype).flatten(1)), x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = _rows(gradient)
        dx = _maps(_product(rows, weight.to(x.dtype).flatten(1).t()), x) if ctx.needs_input_grad[0] else None
        return dx, laid_out_like(weight, _weight_gradient(rows, _rows(x)))


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = torch.ops.separable_cpu.channel_moments(z)
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
        y: Tensor = torch.ops.separable_cpu.combine(z, scale, shift, other)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, scale = ctx.saved_tensors
        dshift, dscale = torch.ops.separable_cpu.channel_products(gradient, z)
        dz = torch.ops.separable_cpu.combine(gradient, scale, None, None)
        return dz, dscale, dshift, gradient if ctx.needs_input_grad[3] else None


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
