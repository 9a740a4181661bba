"""The numerics that belong to weights rather than to a network: applied to a model that is already built."""

from torch import nn

from separable.blocks.border import Bordered
from separable.blocks.norm import own_eps
from separable.blocks.pool import AveragePool

__all__ = ["set_numerics"]


def set_numerics(module: nn.Module, *, padding: str, batch_norm_eps: float, counts_padding: bool) -> None:
    """Give every layer of `module` the border, epsilon and average of the framework that its weights come from.

    Args:
        padding: one of `blocks.border.BORDERS`.
        batch_norm_eps: of every batch normalisation but those with one of their own.
        counts_padding: whether average pools divide by the padded window.
    """
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = own_eps(layer, batch_norm_eps)
        if isinstance(layer, Bordered):
            layer.set_border(padding)
        if isinstance(layer, AveragePool):
            layer.counts_padding = counts_padding
