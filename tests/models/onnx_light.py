"""The layers of a network in the order in which they run, in the words of the ONNX model zoo's graphs; its depth."""

import re
from typing import Any

import torch
from torch import Tensor, nn

from separable.blocks import AveragePool, MaxPool
from separable.blocks.inception_v1 import LocalResponseNorm
from separable.models import ImageModel

__all__ = ["depth", "described", "run_layers"]

Layer = dict[str, Any]


def run_layers(model: ImageModel, side: int) -> list[Layer]:
    """What runs on one picture: op, output shape, and for convolutions and pools kernel, stride, padding, weight."""
    layers: list[Layer] = []

    def note(module: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        found = {"op": _NAMES[type(module)], "shape": list(out.shape)}
        if isinstance(module, nn.Conv2d | nn.Linear):
            found["w"] = list(module.weight.shape)
        if isinstance(module, nn.Conv2d):
            found |= {"kernel_shape": list(module.kernel_size), "strides": list(module.stride)}
            found["pads"] = 2 * list(module.padding)
        if isinstance(module, nn.BatchNorm2d):
            found["epsilon"] = module.eps
        if isinstance(module, MaxPool | AveragePool):
            found |= {"kernel_shape": 2 * [module.kernel], "strides": 2 * [module.stride]}
        layers.append(found)

    hooks = [module.register_forward_hook(note) for module in model.modules() if type(module) in _NAMES]
    with torch.no_grad():
        model(torch.zeros(1, 3, side, side, device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    return layers


def depth(model: ImageModel) -> int:
    """Layers with weights on the longest path through branches whose layers are numbered, classifier included."""
    total = 1
    for name in model.chain:
        parameters = [inside for inside, _ in model.get_submodule(name).named_parameters()]
        places = [int(found[1]) for inside in parameters if (found := re.match(r"branch\w*_(\d+)[ab]?\.", inside))]
        total += max(places, default=int(bool(parameters)))
    return total


def described(layers: list[Layer], *keys: str) -> list[Layer]:
    """Of the layers that both sides have, those `keys` alone; "channels" is the second number of the shape.

    The graph's last pool, over the whole map, is no layer of ours.
    """
    known = [{**layer, "channels": layer["shape"][1]} for layer in layers if layer["op"] in _NAMES.values()]
    kept = [layer for layer in known if (layer["op"], layer.get("kernel_shape")) != ("AveragePool", [7, 7])]
    return [{key: layer[key] for key in keys if key in layer} for layer in kept]


_NAMES: dict[type[nn.Module], str] = {
    nn.Conv2d: "Conv",
    nn.BatchNorm2d: "BatchNormalization",
    nn.Linear: "Gemm",
    MaxPool: "MaxPool",
    AveragePool: "AveragePool",
    LocalResponseNorm: "LRN",
}
