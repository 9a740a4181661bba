"""What modules of other classes become: a depthwise convolution, our two layers that have one inside, a whole block."""

from torch import Tensor, nn

from separable.blocks.accelerate.chain import Chain, Shortcut, run_chain
from separable.blocks.accelerate.groups import activation_of, is_norm
from separable.blocks.accelerate.norms import normalise, steps_of
from separable.blocks.accelerate.plans import plan_chain
from separable.blocks.accelerate.swapped import Swapped, is_hooked, is_watched, lowered, mixed, one_pixel
from separable.blocks.mobilenet import DepthwiseBN
from separable.blocks.separable import SeparableConv2d
from separable.ops.cpu.depthwise import depthwise_conv2d_cpu

__all__ = ["FastChain", "FastDepthwiseBN", "FastDepthwiseConv2d", "FastSeparableConv2d"]


class FastDepthwiseConv2d(Swapped, nn.Conv2d):
    """A depthwise `nn.Conv2d` of anybody's. Shapes and state are its own."""

    def obstacle(self, x: Tensor) -> str | None:
        if x.shape[1] != self.in_channels:
            return "its input has other channels"  # torch's own message is raised
        return mixed(x, self.weight)

    def fast(self, x: Tensor) -> Tensor:
        return depthwise_conv2d_cpu(x, self.weight, self.bias, *steps_of(self))


class FastSeparableConv2d(Swapped, SeparableConv2d):
    """Our own separable convolution, its depthwise half by the kernels."""

    def obstacle(self, x: Tensor) -> str | None:
        return "its input has other channels" if x.shape[1] != self.depthwise.in_channels else mixed(x, _weight(self))

    def plain(self, x: Tensor) -> Tensor:
        return self.run(x, "reference")

    def fast(self, x: Tensor) -> Tensor:
        y = self.convolve(x, "cpu")
        return y if self.bn is None else _normalise(self.bn, None, y)


class FastDepthwiseBN(Swapped, DepthwiseBN):
    """The first half of our own MobileNet unit."""

    def obstacle(self, x: Tensor) -> str | None:
        return "its input has other channels" if x.shape[1] != self.conv.in_channels else mixed(x, self.conv.weight)

    def plain(self, x: Tensor) -> Tensor:
        return self.run(x, "reference")

    def fast(self, x: Tensor) -> Tensor:
        return _normalise(self.bn, self.act, self.convolve(x, "cpu"))


class FastChain(Swapped):
    """A block of Xception, ours or timm's, by the fused units: nothing is kept but what lies between them."""

    def obstacle(self, x: Tensor) -> str | None:
        chain = plan_chain(self, self.swap_state.plain)
        if isinstance(chain, str):
            return chain
        if is_watched(self):
            return "somebody hooked into a part of it"
        first = chain.units[0].depthwise
        if x.shape[1] != first.in_channels:
            return "its input has other channels"
        if lowered() not in (None, x.dtype):
            return "its input is not in the type of autocast"
        if (misfit := _misfit(chain, x)) is not None:
            return misfit
        if one_pixel(x, 2):
            return "its input has one pixel for each channel"  # torch's own message is raised
        return mixed(x, first.weight)

    def fast(self, x: Tensor) -> Tensor:
        chain = plan_chain(self, self.swap_state.plain)
        assert isinstance(chain, Chain)
        return run_chain(chain, x)


def _misfit(chain: Chain, x: Tensor) -> str | None:
    """Why torch would refuse or broadcast what the chain adds or normalises: the kernels trust that maps fit."""
    channels, side = x.shape[1], (x.shape[2], x.shape[3])
    for unit in chain.units:
        fits = unit.depthwise.in_channels == channels == unit.pointwise.in_channels
        channels = unit.pointwise.out_channels
        if not fits or unit.bn.num_features != channels:
            return "its units have other channels than one another"
    if chain.pool is not None:
        top, bottom, left, right = chain.pool.border(x)
        kernel, stride = chain.pool.kernel, chain.pool.stride
        height, width = x.shape[2] + top + bottom, x.shape[3] + left + right
        if kernel > min(height, width) or 2 * max(top, bottom, left, right) > kernel:
            return "its pool does not fit its input"
        side = ((height - kernel) // stride + 1, (width - kernel) // stride + 1)
    added, size = (channels, *side), None
    if isinstance(chain.shortcut, Shortcut):
        conv, step = chain.shortcut.conv, chain.shortcut.stride
        size = (conv.out_channels, -(-x.shape[2] // step), -(-x.shape[3] // step))
        norm = chain.shortcut.bn
        if conv.in_channels != x.shape[1] or (norm is not None and norm.num_features != conv.out_channels):
            return "its shortcut has other channels"
    elif chain.shortcut:
        size = (x.shape[1], x.shape[2], x.shape[3])
    return "its shortcut and what it is added to differ in shape" if size not in (None, added) else None


def _weight(layer: SeparableConv2d) -> Tensor:
    return layer.depthwise.weight


def _normalise(norm: nn.Module, act: nn.Module | None, y: Tensor) -> Tensor:
    """By the kernels where they know the two, nobody watches them, and there is more than one pixel."""
    kind = activation_of(act or norm)
    if kind is None or not is_norm(norm) or one_pixel(y) or is_hooked(norm) or (act is not None and is_hooked(act)):
        plain: Tensor = norm(y) if act is None else act(norm(y))
        return plain
    assert isinstance(norm, nn.BatchNorm2d)
    return normalise(norm, kind, y)
