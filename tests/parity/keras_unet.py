"""The U-Net of Keras' segmentation example, written from its published description: the oracle for `unet_xception`."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.parity.keras_caffe import keras_module
from tests.parity.pictures import structured_pictures

__all__ = ["build_keras_unet", "keras_unet_logits", "pictures_255", "save_keras"]


def build_keras_unet(
    size: tuple[int | None, int | None] = (None, None),
    classes: int = 3,
    *,
    entry: int = 32,
    downs: Sequence[int] = (64, 128, 256),
    interpolation: str = "nearest",
    skips: bool = False,
) -> Any:
    """The example's network without its softmax, calibrated so that a picture reaches the logits.

    `skips` is none of the example's: it concatenates the encoder's map of the same size, as the U-Net paper does.
    """
    keras = keras_module()
    layers = keras.layers
    keras.utils.set_random_seed(0)
    inputs = keras.Input((*size, 3))
    x = layers.Conv2D(entry, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous, finer = x, [x]
    for filters in downs:
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.SeparableConv2D(filters, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous)
        previous = x = layers.add([x, residual])
        finer.append(x)
    finer.pop()
    for number, filters in enumerate([*reversed(downs), entry]):
        if skips and number:
            previous = x = layers.Concatenate()([x, finer.pop()])
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.Conv2DTranspose(filters, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2, interpolation=interpolation)(x)
        residual = layers.UpSampling2D(2, interpolation=interpolation)(previous)
        residual = layers.Conv2D(filters, 1, padding="same")(residual)
        previous = x = layers.add([x, residual])
    network = keras.Model(inputs, layers.Conv2D(classes, 3, padding="same")(x))
    _calibrate(keras, network)
    return network


def _calibrate(keras: Any, network: Any) -> None:
    """Statistics from one training-mode forward, gamma and beta random, and biases that are not zero."""
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.uniform(0.0, 1.0, layer.beta.shape))
            layer.momentum = 0.0
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.uniform(-0.3, 0.3, layer.bias.shape))
    with torch.no_grad():
        network(pictures_255(96, 96, count=4, seed=1), training=True)


def pictures_255(height: int, width: int, count: int = 2, seed: int = 0) -> Any:
    """Structured pictures from 0 to 255, (count, height, width, 3)."""
    return np.round((structured_pictures(count, height, width, seed) + 1) * 127.5).astype(np.float32)


def keras_unet_logits(network: Any, height: int, width: int) -> torch.Tensor:
    """(2, classes, H, W)."""
    with torch.no_grad():
        y = network(pictures_255(height, width), training=False)
    return torch.as_tensor(y).cpu().permute(0, 3, 1, 2)


def save_keras(network: Any, path: Path) -> Path:
    """In the format that `path` ends in."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5 file", UserWarning)
        if path.name.endswith(".weights.h5"):
            network.save_weights(path)
        else:
            network.save(path)
    return path
