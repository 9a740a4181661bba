"""The rising half of Keras' U-Net, `XceptionUp` after `XceptionUp` and a classifier of pixels, with no doubled maps.

Each step ends by making every pixel four, and the next begins with a convolution that meets them four at a time. Handed
on small, a map costs that convolution four ninths of its products, the shortcut a quarter, and is never written out.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from separable.blocks.accelerate.fused import GroupHead
from separable.blocks.accelerate.statistics import running_affine, take_in, uses_batch
from separable.blocks.accelerate.swapped import born_as, is_watched, lowered, mixed, one_pixel
from separable.blocks.conv import ConvBN
from separable.blocks.dropout import KeyedDropout
from separable.blocks.pixel_head import PixelHead
from separable.blocks.unet import XceptionUp
from separable.blocks.upsample import Upsample
from separable.ops.cpu.corners import (
    affine_add_doubled,
    as_large,
    corner_convolution,
    corners_affine_relu,
    corners_norm_relu,
    fork_relu,
    norm_add_doubled,
)
from separable.ops.cpu.norm import Activation, affine_act, batch_affine, batch_norm_act
from separable.ops.cpu.unit import add_normalised, moments, pointwise_product

__all__ = ["FastRise"]


@dataclass(frozen=True)
class _Step:
    """ReLU, `first` 3x3, norm, ReLU, `second` 3x3, norm; plus `shortcut` 1x1."""

    first: nn.Conv2d
    first_norm: nn.BatchNorm2d
    second: nn.Conv2d
    second_norm: nn.BatchNorm2d
    shortcut: nn.Conv2d


class FastRise(GroupHead, XceptionUp):
    """The first `XceptionUp` of a rising half, which does the work of all."""

    over_blocks = True

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        if skip is None:
            return super().forward(x)
        y: Tensor = self.swap_state.plain.forward(self, x, skip)
        return y

    def obstacle(self, x: Tensor) -> str | None:
        *ups, head = self.parts()
        if any(is_watched(part) for part in self.parts()):
            return "somebody hooked into a part of it"
        channels = x.shape[1]
        for up in ups:
            step = _step(up)
            if step is None or step.first.in_channels != channels:
                return "its parts are not what they were"
            channels = step.second.out_channels
        if not _is_classifier(head, channels):
            return "its classifier is another one"
        if one_pixel(x):
            return "its input has one pixel for each channel"
        weights = (conv.weight for part in self.parts() for conv in part.modules() if isinstance(conv, nn.Conv2d))
        return next((why for weight in weights if (why := mixed(x, weight))), None) or super().obstacle(x)

    def fast(self, x: Tensor) -> Tensor:
        *ups, head = self.parts()
        assert isinstance(head, PixelHead)
        y = x.to(lowered() or x.dtype)
        for number, up in enumerate(ups):
            step = _step(up)
            assert step is not None
            y = _run_step(step, y, doubled=number > 0)
        if isinstance(head.classifier, nn.Conv2d) and not (head.dropout.p and head.training):
            return as_large(corner_convolution(y, head.classifier.weight, head.classifier.bias))
        logits: Tensor = head.classifier(head.dropout(nn.functional.interpolate(y, scale_factor=2.0)))
        return logits


def _run_step(step: _Step, x: Tensor, doubled: bool) -> Tensor:
    """The step's result before its side is doubled, from x (N, C, H, W); from x of twice the side where `doubled`."""
    relu, same = fork_relu(x)
    z = corner_convolution(relu, step.first.weight) if doubled else conv2d(relu, step.first.weight, padding=1)
    y = _normalise_first(step, z, doubled)
    z = conv2d(y, step.second.weight, padding=1)
    shortcut = pointwise_product(same, step.shortcut.weight)
    return _add_normalised(step, z, shortcut, doubled)


def _normalise_first(step: _Step, z: Tensor, doubled: bool) -> Tensor:
    norm, conv = step.first_norm, step.first
    if not uses_batch(norm):
        affine = running_affine(norm, conv.bias)
        return corners_affine_relu(z, *affine) if doubled else affine_act(z, *affine, Activation.RELU)
    values = (norm.weight, _offset(norm, conv), norm.eps)
    y, mean, variance = corners_norm_relu(z, *values) if doubled else batch_norm_act(z, *values, Activation.RELU)
    take_in(norm, y, _biased(mean, conv), variance)
    return y


def _add_normalised(step: _Step, z: Tensor, shortcut: Tensor, doubled: bool) -> Tensor:
    norm, conv, bias = step.second_norm, step.second, step.shortcut.bias
    if doubled and uses_batch(norm):
        offset = _offset(norm, conv) if bias is None else _offset(norm, conv) + bias
        y, mean, variance = norm_add_doubled(z, shortcut, norm.weight, offset, norm.eps)
        take_in(norm, z, _biased(mean, conv), variance)
        return y
    if uses_batch(norm):
        mean, variance = moments(z)
        take_in(norm, z, _biased(mean, conv), variance)
        scale, shift = batch_affine(mean, variance, norm.weight, _offset(norm, conv), norm.eps)
    else:
        scale, shift = running_affine(norm, conv.bias)
    shift = shift if bias is None else shift + bias
    return affine_add_doubled(z, shortcut, scale, shift) if doubled else add_normalised(z, scale, shift, shortcut)


def _offset(norm: nn.BatchNorm2d, conv: nn.Conv2d) -> Tensor:
    """The norm's. A bias before it goes into the mean that it takes off, so the bias has a gradient, of zeros."""
    return norm.bias if conv.bias is None else torch.add(norm.bias, conv.bias, alpha=0)


def _biased(mean: Tensor, conv: nn.Conv2d) -> Tensor:
    """The mean with the bias, which was left out."""
    return mean if conv.bias is None else mean + conv.bias.detach()


def _step(up: Any) -> _Step | None:
    """What `up` is made of now; None for parts of another kind."""
    if born_as(up) is not XceptionUp or up.upsample.mode != "nearest" or born_as(up.upsample) is not Upsample:
        return None
    relus = all(born_as(act) is nn.ReLU for act in (up.act1, up.act2))
    parts = (up.conv1, up.conv2, up.shortcut)
    units = all(born_as(part) is ConvBN and born_as(part.act) is nn.Identity for part in parts)
    if not relus or not units or born_as(up.shortcut.bn) is not nn.Identity or up.shortcut.sampling != 1:
        return None
    step = _Step(up.conv1.conv, up.conv1.bn, up.conv2.conv, up.conv2.bn, up.shortcut.conv)
    return step if _fits(step) else None


def _fits(step: _Step) -> bool:
    wide = step.first.out_channels
    for conv, norm in ((step.first, step.first_norm), (step.second, step.second_norm)):
        affine = born_as(norm) is nn.BatchNorm2d and norm.bias is not None and norm.num_features == conv.out_channels
        if not affine or not _is_convolution(conv, 3):
            return False
    inner = step.second.in_channels == wide and step.shortcut.out_channels == step.second.out_channels
    return inner and _is_convolution(step.shortcut, 1) and step.shortcut.in_channels == step.first.in_channels


def _is_convolution(conv: nn.Module, side: int) -> bool:
    """Of `side` x `side`, padded to keep the side of its input, and nothing else."""
    if born_as(conv) is not nn.Conv2d or not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros":
        return False
    dense = conv.stride == conv.dilation == (1, 1) and conv.groups == 1
    return dense and conv.kernel_size == (side, side) and conv.padding == (side // 2, side // 2)


def _is_classifier(head: Any, channels: int) -> bool:
    if born_as(head) is not PixelHead or type(head.dropout) is not KeyedDropout:
        return False
    classifier = head.classifier
    if type(classifier) is nn.Identity:
        return True
    return _is_convolution(classifier, 3) and bool(classifier.in_channels == channels)
