"""Convolution, batch normalisation and activation in one, while the module that runs them one after the other does so.

The head of a group does the work of all; those that follow hand its result on. Whoever calls the head from elsewhere
(a slice of an `nn.Sequential`, a feature extractor) gets what it computes by itself.
"""

import threading
from typing import Any

import torch
from torch import Tensor, nn

from separable.blocks.accelerate.groups import activation_of, is_norm
from separable.blocks.accelerate.norms import fold, normalise, steps_of
from separable.blocks.accelerate.statistics import uses_batch
from separable.blocks.accelerate.swapped import Swapped, SwapState, is_hooked, lowered, mixed, one_pixel
from separable.ops.cpu.depthwise import depthwise_conv2d_cpu
from separable.ops.cpu.norm import Activation
from separable.ops.cpu.unit import pointwise_product, pointwise_with_moments
from separable.ops.padding import is_tracing

__all__ = ["Driving", "FastConvNorm", "FastNorm", "Following", "FollowingNorm", "driving"]


class _Driven(threading.local):
    """The groups whose parent is running in this thread, each with the result that its head has handed out."""

    def __init__(self) -> None:
        self.results: dict[int, Tensor | None] = {}


_driven = _Driven()


class Following(nn.Module):
    """A norm or an activation whose work its group's head has done, when it has."""

    swap_state: SwapState
    swap_plain: type[nn.Module]

    def forward(self, x: Tensor) -> Tensor:
        if not is_tracing() and _driven.results.get(id(self.swap_state)) is x:
            if self is self.swap_state.followers[-1]:
                _driven.results[id(self.swap_state)] = None
            return x
        y: Tensor = self.swap_plain.forward(self, x)
        return y


class FollowingNorm(Following, nn.BatchNorm2d):
    """A batch normalisation that follows a convolution."""


class Driving(nn.Module):
    """A module that runs groups: see `driving`."""

    swap_plain: type[nn.Module]
    swap_heads: tuple[str, ...]

    def forward(self, *inputs: Any, **options: Any) -> Any:
        heads = self.__dict__.get("swap_heads", ())
        if is_tracing() or not heads:
            return self.swap_plain.forward(self, *inputs, **options)
        states = [head.swap_state for name in heads if (head := _whole(self, name)) is not None]
        before = {id(state): _driven.results.get(id(state)) for state in states}
        _driven.results |= dict.fromkeys(before)
        try:
            return self.swap_plain.forward(self, *inputs, **options)
        finally:
            for key in before:
                _driven.results.pop(key, None)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """The class is made on the spot, so it is pickled by what it was made of."""
        return _made_again, (self.swap_plain,), self.__dict__


_driving_kinds: dict[type[nn.Module], type[Driving]] = {}


def driving(plain: type[nn.Module]) -> type[Driving]:
    """The subclass of `plain` whose forward tells its groups' heads that they may do all their groups' work."""
    if plain not in _driving_kinds:
        _driving_kinds[plain] = type(plain.__name__, (Driving, plain), {"swap_plain": plain, "__module__": __name__})
    return _driving_kinds[plain]


def _made_again(plain: type[nn.Module]) -> nn.Module:
    kind = driving(plain)
    return kind.__new__(kind)


def _whole(parent: nn.Module, name: str) -> Swapped | None:
    """The head if it and those that follow are still what and where they were, else None."""
    head = parent._modules.get(name)
    if not isinstance(head, Swapped):
        return None
    names = head.swap_state.following
    same = all(parent._modules.get(n) is f for n, f in zip(names, head.swap_state.followers, strict=True))
    return head if same else None


class _Head(Swapped):
    """Of a group: the first of `parts()`, whose norm is one of them."""

    def parts(self) -> tuple[nn.Module, ...]:
        return (self, *self.swap_state.followers)

    def forward(self, x: Tensor) -> Tensor:
        """What the group computes if its parent is running and the kernels are to be used, else what this one does."""
        key = id(self.swap_state)
        followers = self.swap_state.followers
        if (not followers or (not is_tracing() and key in _driven.results)) and self.takes(x):
            y = self.fast(x)
            if followers:
                _driven.results[key] = y
            return y
        alone: Tensor = self.swap_state.plain.forward(self, x)
        return alone

    def plain(self, x: Tensor) -> Tensor:
        y: Tensor = self.swap_state.plain.forward(self, x)
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
        return None


class FastNorm(_Head, nn.BatchNorm2d):
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


class FastConvNorm(_Head, nn.Conv2d):
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
        return self._plain_rest(y) if one_pixel(y) else normalise(norm, act, y)

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

    def _plain_rest(self, y: Tensor) -> Tensor:
        for part in self.swap_state.followers:
            assert isinstance(part, Following)
            y = part.swap_plain.forward(part, y)
        return y
