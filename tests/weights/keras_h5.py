"""A Keras 2 file of a MobileNet, written from our weights by other code than the one that reads it."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from separable.models.base import ImageModel

__all__ = ["keras_layers", "write_h5"]

Layers = dict[str, dict[str, NDArray[np.float32]]]
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def keras_layers(model: ImageModel, *, top: bool = True) -> Layers:
    """The layers of `keras.applications.MobileNet` with the weights of our `model`."""
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    units = [("conv1", "conv1", (2, 3, 1, 0), "kernel")]
    for number in range(1, 14):
        units.append((f"conv_dw_{number}", f"block{number}.depthwise", (2, 3, 0, 1), "depthwise_kernel"))
        units.append((f"conv_pw_{number}", f"block{number}.pointwise", (2, 3, 1, 0), "kernel"))
    layers: Layers = {}
    for name, ours, order, variable in units:
        layers[name] = {variable: state[f"{ours}.conv.weight"].transpose(order)}
        layers[f"{name}_bn"] = {keras: state[f"{ours}.bn.{torch}"] for keras, torch in _NORM.items()}
    if top:
        kernel = state["head.classifier.weight"].T[None, None]
        layers["conv_preds"] = {"kernel": kernel, "bias": state["head.classifier.bias"]}
    return layers


def write_h5(path: Path, layers: Layers) -> Path:
    """Write `layers` as Keras 2's `save_weights` did."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["keras_version"] = b"2.0.8"
        for name, variables in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{variable}:0".encode() for variable in variables]
            for variable, value in variables.items():
                group[f"{name}/{variable}:0"] = value
    return path
