"""What a layer sees (its maps), and what the first layer looks for (its filters)."""

import torch
from torch import Tensor, nn

from separable.analysis.explain.examined import examined, prepared
from separable.analysis.explain.layers import tapped, wanted_layer
from separable.analysis.explain.recording import FeatureLayer
from separable.errors import UsageError

__all__ = ["feature_maps", "first_convolution", "first_filters"]


def feature_maps(model: nn.Module, inputs: Tensor, layer: FeatureLayer | str | None = None) -> Tensor:
    """What the module `layer` (None: the last feature map) puts out in evaluation mode, as (N, C, h, w).

    Raises:
        UsageError: no such layer, with close names, or one without feature maps.
    """
    layer = wanted_layer(model, inputs, layer)
    with examined(model), tapped(model, layer) as tap, torch.no_grad():
        model(prepared(inputs))
    assert tap.maps is not None
    maps = tap.maps.detach()
    return maps.permute(0, 3, 1, 2).contiguous() if layer.channels_last else maps


def first_convolution(model: nn.Module) -> tuple[str, nn.Conv2d]:
    """The first 2-D convolution that sees more than one pixel (or the first at all), and its name.

    Raises:
        UsageError: there is none.
    """
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if not found:
        raise UsageError("This network has no convolution whose filters could be shown", expected="an nn.Conv2d")
    return next((pair for pair in found if max(pair[1].weight.shape[2:]) > 1), found[0])


def first_filters(model: nn.Module) -> Tensor:
    """The weights of `first_convolution`: (filters, inputs of each, kernel height, kernel width).

    Raises:
        UsageError: the network has no convolution.
    """
    return first_convolution(model)[1].weight.detach().clone()
