"""Networks of timm and torchvision with fewer channels: their own code and wiring, at a price a test can pay."""

import math
from collections.abc import Callable

import torch
from torch import nn

__all__ = ["enliven", "narrowed"]


def narrowed(make: Callable[[], nn.Module], factor: int, num_classes: int) -> nn.Module:
    """The network that `make` builds with every layer's channels divided by `factor`, except pictures and classes.

    Kernels, strides, paddings, everything else and the forward pass stay the framework's own. `make` runs on the meta
    device, so that nothing of the full size is ever allocated.
    """
    with torch.device("meta"):
        network = make()

    def fewer(count: int) -> int:
        return count if count in (3, num_classes) else count // factor

    for module in list(network.modules()):
        for name, layer in module.named_children():
            new: nn.Module
            if isinstance(layer, nn.Conv2d):
                new = nn.Conv2d(
                    fewer(layer.in_channels),
                    fewer(layer.out_channels),
                    layer.kernel_size,
                    layer.stride,
                    layer.padding,
                    bias=layer.bias is not None,
                )
            elif isinstance(layer, nn.Linear):
                new = nn.Linear(fewer(layer.in_features), fewer(layer.out_features))
            elif type(layer) is nn.BatchNorm2d:
                new = nn.BatchNorm2d(fewer(layer.num_features), layer.eps)
            else:
                continue
            module.add_module(name, new)
    return network


def enliven(network: nn.Module) -> nn.Module:
    """Give a network from before batch normalisation weights through which a picture reaches the logits.

    The frameworks' own initial weights shrink what differs between two pictures layer by layer, until only biases are
    left. He's deviation keeps it, and biases that are not zero show where one is lost.
    """
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.weight[0].numel()))
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -0.1, 0.1)
    return network.eval()
