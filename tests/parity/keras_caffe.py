"""Keras' VGG16 and ResNets as oracles, whole, shallow or narrow, with weights that let a picture through."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.parity.pictures import structured_pictures

__all__ = ["enliven_keras", "keras_logits", "keras_module", "narrow_vgg16", "pixels", "shallow_resnet"]

Array = NDArray[Any]


def keras_module() -> Any:
    """Keras on torch."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    return keras


def pixels(height: int, width: int, count: int = 2, seed: int = 0) -> NDArray[np.uint8]:
    """Structured pictures, (count, height, width, 3)."""
    return ((structured_pictures(count, height, width, seed) + 1) * 127.5).round().astype(np.uint8)


def shallow_resnet(repeats: Sequence[int], classes: int) -> Any:
    """Keras' own ResNet with fewer units per stage, for pictures of any size."""
    keras = keras_module()
    from keras.src.applications.resnet import stack_residual_blocks_v1 as stack

    def stages(x: Any) -> Any:
        for number, (count, channels) in enumerate(zip(repeats, (64, 128, 256, 512), strict=True), start=2):
            x = stack(x, channels, count, stride1=1 if number == 2 else 2, name=f"conv{number}")
        return x

    base = keras.src.applications.resnet.ResNet(
        stages,
        preact=False,
        use_bias=True,
        include_top=False,
        pooling="avg",
        weights=None,
        input_shape=(None, None, 3),
    )
    return keras.Model(base.input, keras.layers.Dense(classes, name="predictions")(base.output))


def narrow_vgg16(divisor: int, classes: int) -> Any:
    """keras.applications.VGG16 layer by layer, names included, with `divisor` times fewer channels."""
    keras = keras_module()
    layers = keras.layers
    x = inputs = layers.Input((224, 224, 3))
    for block, (count, channels) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1):
        for number in range(1, count + 1):
            name = f"block{block}_conv{number}"
            x = layers.Conv2D(channels // divisor, (3, 3), activation="relu", padding="same", name=name)(x)
        x = layers.MaxPooling2D((2, 2), strides=(2, 2), name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096 // divisor, activation="relu", name=name)(x)
    return keras.Model(inputs, layers.Dense(classes, name="predictions")(x))


def enliven_keras(network: Any, side: int = 96) -> Any:
    """Random biases, gammas and betas, and statistics of the pictures; without batch normalisation He's deviation."""
    keras = keras_module()
    rng = np.random.default_rng(0)
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
        norm.beta.assign(rng.uniform(0.0, 2.0, norm.beta.shape))
        norm.momentum = 0.0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            layer.bias.assign(rng.uniform(-0.1, 0.1, layer.bias.shape))
            if not norms:
                shape = layer.kernel.shape
                layer.kernel.assign(rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape))
    if norms:
        with torch.no_grad():
            network(_prepared(pixels(side, side, 4, seed=1)), training=True)
    return network


def keras_logits(network: Any, height: int, width: int) -> torch.Tensor:
    """What the network says to `pixels(height, width)`, prepared by Keras' own `preprocess_input`."""
    with torch.no_grad():
        y = network(_prepared(pixels(height, width)), training=False)
    return torch.as_tensor(y).cpu()


def _prepared(pictures: Array) -> Array:
    found: Array = keras_module().applications.vgg16.preprocess_input(pictures.astype(np.float32))
    return found
