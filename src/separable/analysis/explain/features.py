"""What a layer sees (its maps), and what the first layer looks for (its filters)."""

import torch
from torch import Tensor, nn

from separable.analysis.explain.examined import examined, prepared
from separable.analysis.explain.layers import default_layer, feature_layers, found_layer, tapped
from separable.errors import UsageError

__all__ = ["feature_maps", "first_convolution", "first_filters"]


def feature_maps(model: nn.Module, inputs: Tensor, layer: str | None = None) -> Tensor:
    """What the module `layer` (None: the last feature map) puts out in evaluation mode: (N, C, h, w).

    Raises:
        UsageError: no such layer, with close names, or one without feature maps.
    """
    if layer is None:
        layer = default_layer(model, feature_layers(model, inputs)).name
    elif layer not in dict(model.named_modules()):
        found_layer(model, feature_layers(model, inputs), layer)  # raises with what there is
    with examined(model), tapped(model, layer) as tap, torch.no_grad():
        model(prepared(inputs))
    if tap.maps is None:
        found_layer(model, feature_layers(model, inputs), layer)
    assert tap.maps is not None
    return tap.maps.detach()


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
