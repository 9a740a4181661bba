"""What a Keras contestant is given: our weights in Keras' own file, and which of its variables are which of ours.

This runs in the process of the harness, beside torch; the contestant's own process has numpy and Keras alone.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch

from separable.benchmarking.contest import Contestant, Given, Task
from separable.benchmarking.peers.networks import build_network
from separable.files import write_text_atomically
from separable.models.base import ImageModel
from separable.weights.export_keras import save_keras
from separable.weights.keras_names import Target, plan_for

__all__ = ["Entry", "keras_files", "keras_variables", "prepare_keras"]

Entry = tuple[str, int, int, str, tuple[int, ...], tuple[int, ...]]
"""Keras' class, the number of the layer among those of its class, the number of its trainable variable, our name, the
axes that bring it into our order, and our shape."""

_CONV, _DEPTHWISE = (3, 2, 0, 1), (2, 3, 0, 1)
_CLASSES = {
    "conv": "Conv2D",
    "transposed": "Conv2DTranspose",
    "depthwise": "DepthwiseConv2D",
    "separable": "SeparableConv2D",
    "norm": "BatchNormalization",
    "dense": "Dense",
}


def keras_files(given: Given, network: str) -> tuple[Path, Path]:
    """Where the weights and the list of variables lie."""
    return given.folder / f"{network}-keras.weights.h5", given.folder / f"{network}-keras.json"


def prepare_keras(contestant: Contestant, task: Task, given: Given) -> None:
    """Write the weights of `given` as Keras reads them, and the list of variables; once for a network.

    Raises:
        WeightsMismatchError: Keras has no such network.
    """
    weights, names = keras_files(given, contestant.network)
    if names.exists():
        return
    model = build_network(contestant.network, task.classes)
    assert isinstance(model, ImageModel)
    model.load_state_dict(safetensors.torch.load_file(given.weights(contestant.network)))
    save_keras(model, weights)
    write_text_atomically(names, json.dumps(list(keras_variables(model))))


def keras_variables(model: ImageModel) -> Iterator[Entry]:
    """The parameters of `model` as variables of Keras' network of that name.

    A dense layer on a flattened map is left out: Keras flattens in another order.
    """
    plan, shapes = plan_for(model), {name: tuple(value.shape) for name, value in model.named_parameters()}
    for kind, keras_class in _CLASSES.items():
        for layer, target in enumerate(plan.targets(kind, listed=True)):  # type: ignore[arg-type]
            for number, (name, axes) in enumerate(_of(target, shapes)):
                yield keras_class, layer, number, name, axes, shapes[name]
    last = plan.classifier
    if last is not None:
        convolution = last.kind == "conv" or model.name == "mobilenet_v1"
        kernel, bias = f"{last.prefix}.weight", f"{last.prefix}.bias"
        layer_class = "Conv2D" if convolution else "Dense"
        yield layer_class, -1, 0, kernel, _CONV if convolution else (1, 0), shapes[kernel]
        yield layer_class, -1, 1, bias, (0,), shapes[bias]


def _of(target: Target, shapes: dict[str, tuple[int, ...]]) -> list[tuple[str, tuple[int, ...]]]:
    """The parameters of one layer in Keras' order."""
    prefix = target.prefix
    if target.grid:
        return []
    if target.kind == "separable":
        first, prefix = [(f"{prefix}.depthwise.weight", _DEPTHWISE)], f"{prefix}.pointwise"
        found = [*first, (f"{prefix}.weight", _CONV), (f"{prefix}.bias", (0,))]
    elif target.kind == "norm":
        found = [(f"{prefix}.weight", (0,)), (f"{prefix}.bias", (0,))]
    else:
        axes = {"conv": _CONV, "transposed": _DEPTHWISE, "depthwise": _DEPTHWISE}.get(target.kind, (1, 0))
        found = [(f"{prefix}.weight", axes), (f"{prefix}.bias", (0,))]
    return [(name, axes) for name, axes in found if name in shapes]
