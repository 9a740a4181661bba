"""One-pass operators on maps: moments, sums of products, and scale z + shift + other. Registered for torch.compile."""

from math import ceil

import torch
from torch import Tensor

from separable.ops.triton.configs import Config, config_for
from separable.ops.triton.launch import DEVICES, device_of, last_axis, vector_width
from separable.ops.triton.unit_kernels import combine_kernel, gather_kernel, moments_kernel, products_kernel

__all__ = ["channel_moments", "channel_products", "combine", "gather_moments"]

_GROUP = 64  # blocks that one program of `gather_kernel` makes one of
_GROUP_CHANNELS = 32


@torch.library.custom_op("separable::channel_moments_triton", mutates_args=(), device_types=DEVICES)
def channel_moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of z (N, C, H, W) per channel, fp32 (C,)."""
    z = last_axis(z)
    rows, channels = z.numel() // z.shape[1], z.shape[1]
    vec = vector_width(channels)

    def launch(c: Config) -> tuple[Tensor, Tensor, int]:
        blocks, groups = ceil(rows / c.columns), ceil(channels / c.channels)
        sums, squares = torch.empty((2, blocks, channels), dtype=torch.float32, device=z.device).unbind()
        pieces = {"BM": c.columns, "BC": c.channels}
        moments_kernel[(blocks * groups,)](z, sums, squares, rows, channels // vec, vec, **pieces, num_warps=c.warps)
        return sums, squares, c.columns

    with device_of(z):
        config = config_for("pass", ("moments", z.dtype, rows, channels), launch, channels)
        return gather_moments(*launch(config), rows)


@channel_moments.register_fake
def _(z: Tensor) -> tuple[Tensor, Tensor]:
    return z.new_empty(z.shape[1], dtype=torch.float32), z.new_empty(z.shape[1], dtype=torch.float32)


def gather_moments(sums: Tensor, squares: Tensor, size: int, rows: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) from sums and squares (blocks, C), each of a block of `size` of all `rows`."""
    blocks, channels = sums.shape
    while True:
        groups = ceil(blocks / _GROUP)
        outputs = torch.empty((2, groups, channels), dtype=torch.float32, device=sums.device).unbind()
        gather_kernel[(groups * ceil(channels / _GROUP_CHANNELS),)](
            *(sums, squares, *outputs, blocks, size, rows, channels, groups == 1), BB=_GROUP, BC=_GROUP_CHANNELS
        )
        if groups == 1:
            return outputs[0].view(-1), outputs[1].clone().view(-1)  # two storages: an operator's outputs share none
        sums, squares = outputs
        blocks, size = groups, size * _GROUP


@torch.library.custom_op("separable::channel_products_triton", mutates_args=(), device_types=DEVICES)
def channel_products(g: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of g and of g z over all pixels, each (C,) in fp32; g and z (N, C, H, W)."""
    g, z = last_axis(g), last_axis(z)
    rows, channels = z.numel() // z.shape[1], z.shape[1]
    vec = vector_width(channels)

    def launch(c: Config) -> Tensor:
        groups = ceil(channels / c.channels)
        tiles = ceil(rows / c.columns)
        each = 1 << max(0, (tiles * groups // c.programs).bit_length() - 1)
        blocks = ceil(tiles / each)
        sums = torch.empty((blocks, 2, channels), dtype=torch.float32, device=z.device)
        pieces = {"BM": c.columns, "STEPS": each, "BC": c.channels}
        products_kernel[(blocks * groups,)](g, z, sums, rows, channels // vec, vec, **pieces, num_warps=c.warps)
        return sums

    with device_of(z):
        config = config_for("pass", ("products", z.dtype, rows, channels), launch, channels)
        product, total = launch(config).sum(0).unbind()
    return total.clone(), product.clone()


@channel_products.register_fake
def _(g: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return z.new_empty(z.shape[1], dtype=torch.float32), z.new_empty(z.shape[1], dtype=torch.float32)


@torch.library.custom_op("separable::combine_triton", mutates_args=(), device_types=DEVICES)
def combine(z: Tensor, scale: Tensor, shift: Tensor | None, other: Tensor | None) -> Tensor:
    """scale z + shift + other in one pass, in the type of z, channels_last; scale and shift (C,) in fp32."""
    z, other = last_axis(z), None if other is None else last_axis(other)
    y = torch.empty_like(z)
    rows, channels = z.numel() // z.shape[1], z.shape[1]
    vec, given = vector_width(channels), (shift is not None, other is not None)
    scale, shift = scale.contiguous(), None if shift is None else shift.contiguous()

    def launch(c: Config) -> None:
        programs = ceil(rows / c.columns) * ceil(channels / c.channels)
        combine_kernel[(programs,)](
            *(z, scale, shift, other, y, rows, channels // vec, vec, *given),
            BM=c.columns,
            BC=c.channels,
            num_warps=c.warps,
        )

    with device_of(z):
        launch(config_for("pass", ("combine", z.dtype, rows, channels, *given), launch, channels))
    return y


@combine.register_fake
def _(z: Tensor, scale: Tensor, shift: Tensor | None, other: Tensor | None) -> Tensor:
    return torch.empty_like(z, memory_format=torch.channels_last)
