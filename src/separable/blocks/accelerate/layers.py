"""What modules of other classes become: a depthwise convolution, our two layers that have one inside, a whole block."""

import torch
from torch import Tensor, nn

from separable.blocks.accelerate.chain import Chain, run_chain
from separable.blocks.accelerate.plans import plan_chain
from separable.blocks.accelerate.swapped import Swapped, is_watched
from separable.blocks.mobilenet import DepthwiseBN
from separable.blocks.separable import SeparableConv2d
from separable.ops.cpu.depthwise import depthwise_conv2d_cpu
from separable.ops.padding import Padding

__all__ = ["FastChain", "FastDepthwiseBN", "FastDepthwiseConv2d", "FastSeparableConv2d"]


class FastDepthwiseConv2d(Swapped, nn.Conv2d):
    """A depthwise `nn.Conv2d` of anybody's. Shapes and state are its own."""

    def obstacle(self, x: Tensor) -> str | None:
        if x.shape[1] != self.in_channels:
            return "its input has other channels"  # torch's own message is raised
        return _mixed(x, self.weight)

    def fast(self, x: Tensor) -> Tensor:
        named = {"same": "same", "valid": 0}  # at stride 1, the only one it has here, torch's "same" is TensorFlow's
        padding: Padding = named[self.padding] if isinstance(self.padding, str) else self.padding  # type: ignore[assignment]
        stride, dilation = _pair(self.stride), _pair(self.dilation)
        return depthwise_conv2d_cpu(x, self.weight, self.bias, stride, padding, dilation)


class FastSeparableConv2d(Swapped, SeparableConv2d):
    """Our own separable convolution, its depthwise half by the kernels."""

    def obstacle(self, x: Tensor) -> str | None:
        return "its input has other channels" if x.shape[1] != self.depthwise.in_channels else _mixed(x, _weight(self))

    def plain(self, x: Tensor) -> Tensor:
        return self.run(x, "reference")

    def fast(self, x: Tensor) -> Tensor:
        return self.run(x, "cpu")


class FastDepthwiseBN(Swapped, DepthwiseBN):
    """The first half of our own MobileNet unit."""

    def obstacle(self, x: Tensor) -> str | None:
        return "its input has other channels" if x.shape[1] != self.conv.in_channels else _mixed(x, self.conv.weight)

    def plain(self, x: Tensor) -> Tensor:
        return self.run(x, "reference")

    def fast(self, x: Tensor) -> Tensor:
        return self.run(x, "cpu")


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
        if _lowered() not in (None, x.dtype):
            return "its input is not in the type of autocast"
        if x.shape[0] * -(-x.shape[2] // 2) * -(-x.shape[3] // 2) < 2:
            return "its input has one pixel for each channel"  # torch's own message is raised
        return _mixed(x, first.weight)

    def fast(self, x: Tensor) -> Tensor:
        chain = plan_chain(self, self.swap_state.plain)
        assert isinstance(chain, Chain)
        return run_chain(chain, x)


def _mixed(x: Tensor, weight: Tensor) -> str | None:
    if weight.device != x.device or type(weight) is not nn.Parameter:
        return "its weight is on another device or no plain parameter"
    return "its input has another type than its weight" if _lowered() is None and weight.dtype != x.dtype else None


def _lowered() -> torch.dtype | None:
    """The type that autocast computes in, or None without autocast."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None


def _weight(layer: SeparableConv2d) -> Tensor:
    return layer.depthwise.weight


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    return value[0], value[1]
