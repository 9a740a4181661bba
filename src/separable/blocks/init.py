"""Initial weights, as the sources of the networks draw them, from torch's global generator."""

import math

import torch
from torch import Tensor, nn

from separable.blocks.segments import SegmentedConv2d

__all__ = ["init_glorot_uniform", "init_he_normal", "init_truncated_normal", "init_variance_scaling"]


def init_glorot_uniform(module: nn.Module) -> None:
    """Keras' default for convolutions and dense layers: uniform within sqrt(6 / (fan_in + fan_out)), biases 0.

    For a depthwise filter bank of C channels Keras counts fan_in + fan_out = 9 C + 9; torch's fans add up to the same.
    Between a regular convolution and a depthwise one fan_out is that of all segments, as it is at both ends.
    """
    joint: dict[nn.Module, int] = {}  # convolutions that are parts of one, and its outputs
    for layer in module.modules():
        if isinstance(layer, SegmentedConv2d):
            joint |= dict.fromkeys(layer.parts, layer.out_channels)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if layer in joint:
                fans = layer.weight[0].numel() + joint[layer] * layer.weight[0, 0].numel()
                nn.init.uniform_(layer.weight, -math.sqrt(6 / fans), math.sqrt(6 / fans))
            else:
                nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def init_he_normal(module: nn.Module, dense_std: float = 0.01) -> None:
    """Convolutions normal of variance 2 / fan_out (arXiv:1502.01852), dense ones normal of `dense_std`, biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, dense_std)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def init_variance_scaling(module: nn.Module) -> None:
    """TF-slim's `variance_scaling_initializer`: normal cut at two deviations, variance 2 / fan_in, biases 0.

    Cutting a normal at two deviations shrinks its variance by 1.3, which slim puts back.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _truncated_normal(layer, math.sqrt(1.3 * 2.0 / layer.weight[0].numel()))


def init_truncated_normal(module: nn.Module, std: float) -> None:
    """Every convolution and dense layer of `module`: normal of deviation `std`, cut at two deviations, biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _truncated_normal(layer, std)


def _truncated_normal(layer: nn.Conv2d | nn.Linear, std: float) -> None:
    if not layer.weight.is_meta:
        with torch.no_grad():
            layer.weight.copy_(_cut_normal(layer.weight).mul_(std))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _cut_normal(like: Tensor) -> Tensor:
    """Unit normals, those beyond 2 drawn again, as TensorFlow does; torch's `trunc_normal_` is far slower."""
    values = torch.randn(like.numel(), device=like.device)
    outside = (values.abs() > 2).nonzero().squeeze(1)
    while len(outside):
        values[outside] = torch.randn(len(outside), device=like.device)
        outside = outside[values[outside].abs() > 2]
    return values.view(like.shape)
