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

from separable.ops.layout import as_maps, as_rows, laid_out_like
from separable.ops.passes import Passes
from separable.ops.triton.depthwise import depthwise_backward_triton, depthwise_triton
from separable.ops.triton.passes import channel_moments, channel_products, combine
from separable.ops.triton.product import product

__all__ = ["PASSES", "Plan", "add_normalised", "moments", "pool_normalised", "separable_unit"]

Plan = Literal["auto", "matmul", "epilogue", "window"]
_BALANCE = 183  # operations a byte at which an H200 is as long at products as at memory: 788 TFLOP/s over 4.3 TB/s

PASSES = Passes(channel_moments, channel_products, combine)
moments, add_normalised = PASSES.moments, PASSES.add_normalised


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
        rows = as_rows(PASSES.through_moments(dz, z, mean, dmean, dvariance))
        h = _depthwise(x, scale, shift, ctx.relu, depthwise) if h is None else h
        dpointwise = laid_out_like(pointwise, rows.t() @ as_rows(h))
        dh = as_maps(rows @ pointwise.to(x.dtype).flatten(1), x)
        side = depthwise.shape[-1] // 2
        dx, ddepthwise, dscale, dshift = depthwise_backward_triton(
            dh, x, depthwise, scale, shift, ctx.relu, [1, 1], [side] * 4, [1, 1], dsame, True, True
        )
        affine = (dscale, dshift) if scale is not None else (None, None)
        return dx, *affine, None, laid_out_like(depthwise, ddepthwise), dpointwise, None, None


def _depthwise(x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, weight: Tensor) -> Tensor:
    side = weight.shape[-1] // 2
    y: Tensor = depthwise_triton(x, weight, None, scale, shift, relu, [1, 1], [side] * 4, [1, 1])
    return y
