"""The pointwise product with moments in its epilogue, and the depthwise convolution in its prologue where asked."""

from math import ceil

import torch
from torch import Tensor

from separable.ops.triton.configs import Config, config_for
from separable.ops.triton.language import is_interpreting
from separable.ops.triton.launch import DEVICES, device_of, last_axis, vector_width
from separable.ops.triton.passes import gather_moments
from separable.ops.triton.unit_kernels import product_kernel

__all__ = ["product"]


@torch.library.custom_op("separable::product_triton", mutates_args=(), device_types=DEVICES)
def product(
    x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, depthwise: Tensor | None, pointwise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """z = pointwise(x), or pointwise(depthwise(relu(scale x + shift))), with its mean and biased variance.

    Args:
        x: (N, C, H, W). scale, shift: (C,) in fp32; `depthwise` (C, 1, K, K), K odd, side kept. Without `depthwise`,
            scale, shift and relu mean nothing. pointwise: (O, C, 1, 1).

    Returns:
        z (N, O, H, W), channels_last, in the type of `x`; mean and variance (O,) in fp32, of z as it was rounded.
    """
    x = last_axis(x)
    n, channels, h, w = x.shape
    outputs, rows = pointwise.shape[0], n * h * w
    weight = pointwise.detach().to(x.dtype).reshape(outputs, channels).contiguous()
    window = depthwise is not None
    taps = None if depthwise is None else depthwise.detach().flatten(1).t().to(torch.float32).contiguous()
    z = torch.empty((n, outputs, h, w), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    a_vec, y_vec = vector_width(channels), vector_width(outputs)
    side = depthwise.shape[-1] if depthwise is not None else 0
    widen = is_interpreting() and x.dtype == torch.bfloat16  # whose products of bf16 are garbage
    tf32 = torch.backends.cuda.matmul.allow_tf32 and not is_interpreting()
    kernel = "wide" if x.dtype == torch.float32 else "window" if window else "product"
    flags = (window, side, relu, scale is not None, True, widen, "tf32" if tf32 else "ieee")

    def launch(c: Config) -> tuple[Tensor, Tensor, int]:
        blocks = ceil(rows / c.columns)
        sums, squares = torch.empty((2, blocks, outputs), dtype=torch.float32, device=x.device).unbind()
        sizes = (rows, channels // a_vec, outputs // y_vec, h, w)
        pieces = {"DEPTHS": ceil(channels / c.depth), "BM": c.columns, "BN": c.channels, "BK": c.depth}
        product_kernel[(blocks * ceil(outputs / c.channels),)](
            *(x, scale, shift, taps, weight, z, sums, squares),
            *sizes,
            a_vec,
            y_vec,
            *flags,
            **pieces,
            num_warps=c.warps,
            num_stages=c.stages,
        )
        return sums, squares, c.columns

    with device_of(x):
        shape = (x.dtype, *x.shape, outputs, *flags)
        mean, variance = gather_moments(*launch(config_for(kernel, shape, launch, outputs)), rows)
    return z, mean, variance


@product.register_fake
def _(
    x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, depthwise: Tensor | None, pointwise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    shape = (x.shape[0], pointwise.shape[0], *x.shape[2:])
    z = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    few = pointwise.shape[0]
    return z, x.new_empty(few, dtype=torch.float32), x.new_empty(few, dtype=torch.float32)
