"""ReLU, separable convolution, batch normalisation, some times over, with pool and shortcut, by the fused kernels."""

from dataclasses import dataclass

from torch import Tensor, nn

from separable.blocks.accelerate.statistics import batch_affine, running_affine, uses_batch
from separable.ops.cpu.depthwise import depthwise_cpu
from separable.ops.cpu.norm import Activation, affine_act
from separable.ops.cpu.unit import (
    add_normalised,
    pointwise_product,
    pointwise_with_moments,
    pool_normalised,
    sampled,
    separable_unit,
)
from separable.ops.padding import same_padding

__all__ = ["Chain", "Pool", "Shortcut", "Unit", "run_chain"]


@dataclass(frozen=True)
class Unit:
    """ReLU where `relu`, 3x3 depthwise, 1x1 with or without a bias, batch normalisation."""

    relu: bool
    depthwise: nn.Conv2d
    pointwise: nn.Conv2d
    bn: nn.BatchNorm2d


@dataclass(frozen=True)
class Pool:
    """Max pooling; `padding` is a number for every side, or "same"."""

    kernel: int
    stride: int
    padding: int | str

    def border(self, x: Tensor) -> list[int]:
        """Pixels at the top, bottom, left and right."""
        if isinstance(self.padding, int):
            return [self.padding] * 4
        return [pixels for side in x.shape[2:] for pixels in same_padding(side, self.kernel, self.stride)]


@dataclass(frozen=True)
class Shortcut:
    """A strided 1x1 convolution and batch normalisation; or without the latter, and then with or without a bias."""

    conv: nn.Conv2d
    bn: nn.BatchNorm2d | None
    stride: int


@dataclass(frozen=True)
class Chain:
    """Units one after the other, then a pool and a shortcut (True is the identity), or a ReLU, where there are any."""

    units: tuple[Unit, ...]
    pool: Pool | None = None
    shortcut: Shortcut | bool = False
    relu_after: bool = False


def run_chain(chain: Chain, x: Tensor) -> Tensor:
    """(N, C, H, W), channels_last -> the block's result in the type of `x`.

    Batch statistics, running averages and normalisation as torch's own modules have them, each norm by its own mode.
    """
    z, first = x, x
    scale = shift = None
    sampling = chain.shortcut.stride if isinstance(chain.shortcut, Shortcut) else 1
    for number, unit in enumerate(chain.units):
        z, scale, shift, same = _run_unit(unit, z, scale, shift, sampling if number == 0 else 1)
        first = same if number == 0 else first
    assert scale is not None
    assert shift is not None
    bare = isinstance(chain.shortcut, Shortcut) and chain.shortcut.bn is None
    if isinstance(chain.shortcut, Shortcut) and bare and chain.shortcut.conv.bias is not None:
        shift = shift + chain.shortcut.conv.bias  # a maximum moves with what is added to all
    y = None
    if chain.pool is not None:
        y = pool_normalised(z, scale, shift, chain.pool.kernel, chain.pool.stride, chain.pool.border(z))
    if isinstance(chain.shortcut, Shortcut) and bare:
        s = pointwise_product(first, chain.shortcut.conv.weight)
        return add_normalised(z, scale, shift, s) if y is None else y + s
    if isinstance(chain.shortcut, Shortcut):
        s, s_scale, s_shift = _run_shortcut(chain.shortcut, first)
        return add_normalised(s, s_scale, s_shift, add_normalised(z, scale, shift, None) if y is None else y)
    if y is not None:
        return y
    if chain.relu_after:
        return affine_act(z, scale, shift, Activation.RELU)
    return add_normalised(z, scale, shift, first if chain.shortcut else None)


def _run_unit(
    unit: Unit, z: Tensor, scale: Tensor | None, shift: Tensor | None, sampling: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Its result before batch normalisation, this as scale and shift, and `z` sampled."""
    dw, pw = unit.depthwise.weight, unit.pointwise.weight
    if uses_batch(unit.bn):
        y, mean, variance, same = separable_unit(z, scale, shift, unit.relu, dw, pw, sampling)
        return y, *batch_affine(unit.bn, y, mean, variance, unit.pointwise.bias), same
    side = dw.shape[-1] // 2
    h = depthwise_cpu(z, dw, None, scale, shift, unit.relu, [1, 1], [side] * 4, [1, 1])
    return (
        pointwise_product(h, pw),
        *running_affine(unit.bn, unit.pointwise.bias),
        z if sampling == 1 else sampled(z, sampling),
    )


def _run_shortcut(shortcut: Shortcut, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the sampled x, with batch normalisation."""
    assert shortcut.bn is not None
    if uses_batch(shortcut.bn):
        y, mean, variance = pointwise_with_moments(x, shortcut.conv.weight)
        return y, *batch_affine(shortcut.bn, y, mean, variance)
    return pointwise_product(x, shortcut.conv.weight), *running_affine(shortcut.bn)
