"""Batch normalisation and activation by the kernels, and both folded into the convolution before them."""

import torch
from torch import Tensor, nn

from separable.blocks.accelerate.statistics import running_affine, take_in, uses_batch
from separable.ops.cpu.depthwise import depthwise_cpu
from separable.ops.cpu.norm import Activation, affine_act, batch_norm_act
from separable.ops.padding import Padding, border_of

__all__ = ["fold", "normalise", "steps_of"]

_NAMES: dict[Activation, tuple[str, list[float]]] = {
    Activation.NONE: ("none", []),
    Activation.RELU: ("relu", []),
    Activation.RELU6: ("hardtanh", [0.0, 6.0]),
    Activation.SILU: ("swish", []),
    Activation.HARD_SWISH: ("hardswish", []),
}
"""What oneDNN calls an activation behind a product, and its numbers."""


def normalise(norm: nn.BatchNorm2d, act: Activation, z: Tensor, moments: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """act(norm(z)) for z (N, C, H, W) of more than one pixel a channel, each norm by its own mode.

    `moments` are mean and biased variance of z, where they are known.
    """
    if not uses_batch(norm):
        return affine_act(z, *running_affine(norm), act)
    y, mean, variance = batch_norm_act(z, norm.weight, norm.bias, norm.eps, act, moments)
    take_in(norm, z, mean, variance)
    return y


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d, act: Activation, x: Tensor) -> Tensor | None:
    """act(norm(conv(x))) without gradients, the norm multiplied into the weight; None where that cannot be had.

    Each time anew: a weight that is changed through `.data` says so to nobody.
    """
    if uses_batch(norm) or conv.padding_mode != "zeros" or conv.padding == "same" or not _has_onednn(x):
        return None
    scale, shift = running_affine(norm)
    weight = (conv.weight.float() * scale.view(-1, 1, 1, 1)).to(x.dtype)
    bias = shift if conv.bias is None else torch.addcmul(shift, conv.bias.float(), scale)
    if conv.groups > 1 and conv.groups == conv.in_channels == conv.out_channels:
        stride, padding, dilation = steps_of(conv)
        border = border_of(x, weight, stride, padding, dilation)
        y: Tensor = depthwise_cpu(x, weight, bias, None, None, False, stride, border, dilation)
        return _activate(y, act)
    name, numbers = _NAMES[act]
    around = [0, 0] if conv.padding == "valid" else conv.padding
    steps = (around, conv.stride, conv.dilation, conv.groups)
    z: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, bias.to(x.dtype), *steps, name, numbers, "")
    return z


def steps_of(conv: nn.Conv2d) -> tuple[tuple[int, int], Padding, tuple[int, int]]:
    """Stride, padding and dilation of a depthwise convolution."""
    named = {"same": "same", "valid": 0}  # at stride 1, the only one it has here, torch's "same" is TensorFlow's
    padding: Padding = named[conv.padding] if isinstance(conv.padding, str) else conv.padding  # type: ignore[assignment]
    return (conv.stride[0], conv.stride[1]), padding, (conv.dilation[0], conv.dilation[1])


def _has_onednn(x: Tensor) -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    return x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _activate(y: Tensor, act: Activation) -> Tensor:
    """In place: `y` is nobody else's."""
    if act == Activation.RELU:
        return y.relu_()
    if act == Activation.RELU6:
        return y.clamp_(0, 6)
    if act == Activation.SILU:
        return torch.nn.functional.silu(y, inplace=True)
    return torch.nn.functional.hardswish(y, inplace=True) if act == Activation.HARD_SWISH else y
