"""Convolution, batch normalisation and activation in one, while the module that runs them one after the other does so.

The head of a group does the work of all; those that follow hand its result on. Whoever calls the head from elsewhere
(a slice of an `nn.Sequential`, a feature extractor) gets what it computes by itself.
"""

from typing import Any

import torch
from torch import Tensor, nn

from separable.blocks.accelerate.driving import handed_on, is_driven, note_result
from separable.blocks.accelerate.groups import activation_of, is_norm
from separable.blocks.accelerate.norms import fold, normalise, steps_of
from separable.blocks.accelerate.statistics import uses_batch
from separable.blocks.accelerate.swapped import Swapped, SwapState, is_hooked, lowered, mixed, one_pixel
from separable.ops.cpu.depthwise import depthwise_conv2d_cpu
from separable.ops.cpu.norm import Activation
from separable.ops.cpu.unit import pointwise_product, pointwise_with_moments
from separable.ops.padding import is_tracing

__all__ = ["FastConvNorm", "FastNorm", "Following", "GroupHead"]


class Following(nn.Module):
    """A norm, an activation or a block whose work its group's head has done, when it has."""

    swap_state: SwapState
    swap_plain: type[nn.Module]

    def forward(self, x: Tensor, *more: Any) -> Tensor:
        """`more` is what a block may take besides, None or False for nothing."""
        if all(one is None or one is False for one in more) and handed_on(self, self.swap_state, x):
            return x
        y: Tensor = self.swap_plain.forward(self, x, *more)
        return y


class GroupHead(Swapped):
    """Of a group: the first of `parts()`."""

    over_blocks = False
    """Whether the group's modules are blocks of a network, each of which may be computed once more by itself."""

    def parts(self) -> tuple[nn.Module, ...]:
        return (self, *self.swap_state.followers)

    def forward(self, x: Tensor) -> Tensor:
        """What the group computes if its parent is running and the kernels are to be used, else what this one does."""
        state = self.swap_state
        if (not state.followers or (not is_tracing() and is_driven(state))) and self.takes(x):
            y = self.fast(x)
            if state.followers:
                note_result(state, y)
            return y
        alone: Tensor = state.plain.forward(self, x)
        return alone

    def plain(self, x: Tensor) -> Tensor:
        y: Tensor = self.swap_state.plain.forward(self, x)
        return self.followed(y)

    def followed(self, y: Tensor) -> Tensor:
        """What the followers make of `y` by themselves."""
        for part in self.swap_state.followers:
            assert isinstance(part, Following)
            y = part.swap_plain.forward(part, y)
        return y

    def norm_and_activation(self) -> tuple[nn.BatchNorm2d, Activation]:
        parts = self.parts()
        norm = next(part for part in parts if is_norm(part))
        assert isinstance(norm, nn.BatchNorm2d)
        act = activation_of(norm if parts[-1] is norm else parts[-1])
        assert act is not None
        return norm, act

    def obstacle(self, x: Tensor) -> str | None:
        if self.swap_state.followers and any(is_hooked(part) for part in self.parts()):
            return "somebody hooked into a part of it"
        return self.swap_state.broken or None


class FastNorm(GroupHead, nn.BatchNorm2d):
    """Batch normalisation, timm's with its activation, or one that an activation follows."""

    def obstacle(self, x: Tensor) -> str | None:
        if x.shape[1] != self.num_features:
            return "its input has other channels"  # torch's own message is raised
        if one_pixel(x):
            return "its input has one pixel for each channel"
        return super().obstacle(x)

    def fast(self, x: Tensor) -> Tensor:
        norm, act = self.norm_and_activation()
        return normalise(norm, act, x)


class FastConvNorm(GroupHead, nn.Conv2d):
    """A convolution that batch normalisation follows, and an activation perhaps."""

    def obstacle(self, x: Tensor) -> str | None:
        if x.shape[1] != self.in_channels:
            return "its input has other channels"
        return mixed(x, self.weight) or super().obstacle(x)

    def fast(self, x: Tensor) -> Tensor:
        norm, act = self.norm_and_activation()
        x = x.to(lowered() or x.dtype)
        if not torch.is_grad_enabled() and (y := fold(self, norm, act, x)) is not None:
            return y
        if self._is_product() and uses_batch(norm) and not one_pixel(x):
            y, *moments = pointwise_with_moments(x, self.weight)
            return normalise(norm, act, y, (moments[0], moments[1]))
        y = self._convolve(x)
        return self.followed(y) if one_pixel(y) else normalise(norm, act, y)

    def _is_product(self) -> bool:
        simple = self.kernel_size == self.stride == (1, 1) and self.padding in ((0, 0), "valid", "same")
        return simple and self.groups == 1 and self.bias is None

    def _convolve(self, x: Tensor) -> Tensor:
        if self.groups > 1 and self.groups == self.in_channels == self.out_channels and self.padding_mode == "zeros":
            return depthwise_conv2d_cpu(x, self.weight, self.bias, *steps_of(self))
        if self._is_product():
            return pointwise_product(x, self.weight)
        y: Tensor = self.swap_state.plain.forward(self, x)
        return y
