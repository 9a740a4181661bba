"""The first Keras file of Inception V3 (2016-08-09), built once more in today's Keras: from its weights, its logits.

Its published weights (release v0.2 of deep-learning-models) cannot be had here; what is checked is the network.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from separable.blocks.conv import ConvBN
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import load_weights
from tests.parity.keras_net import picture_tensor
from tests.parity.pictures import structured_pictures
from tests.parity.torch_net import distance, spread
from tests.tolerances import KERAS_PARITY

WIDTH = 0.25
SIZE = (107, 120)


def unit(layers: Any, x: Any, text: str, strides: int = 1, padding: str = "same") -> Any:
    """ "3x3:32" is a 3x3 convolution to 32 channels, rectified, then normalised."""
    kernel, channels = text.split(":")
    size = tuple(int(side) for side in kernel.split("x"))
    filters = max(int(int(channels) * WIDTH), 16)
    x = layers.Conv2D(filters, size, strides=strides, padding=padding, activation="relu")(x)
    return layers.BatchNormalization(epsilon=1e-3)(x)


def tower(layers: Any, x: Any, text: str, reduces: bool = False) -> Any:
    """Units joined by `>`, or side by side by `|`; `p` is the average pool. The last one may reduce the grid."""
    *steps, last = text.split(">")
    for step in steps:
        x = layers.AveragePooling2D(3, 1, padding="same")(x) if step == "p" else unit(layers, x, step)
    if "|" in last:
        return layers.Concatenate()([unit(layers, x, half) for half in last.split("|")])
    return unit(layers, x, last, 2, "valid") if reduces else unit(layers, x, last)


def first_keras_file(keras: Any, num_classes: int) -> Any:
    layers = keras.layers

    def module(x: Any, *texts: str) -> Any:
        return layers.Concatenate()([tower(layers, x, text) for text in texts])

    def reduction(x: Any, pool: Any, *texts: str) -> Any:
        return layers.Concatenate()([*(tower(layers, x, text, reduces=True) for text in texts), pool(3, 2)(x)])

    picture = x = layers.Input((None, None, 3))
    x = unit(layers, x, "3x3:32", 2, "valid")
    x = unit(layers, unit(layers, x, "3x3:32", 1, "valid"), "3x3:64")
    x = unit(layers, layers.MaxPooling2D(3, 2)(x), "1x1:80")
    x = layers.MaxPooling2D(3, 2)(unit(layers, x, "3x3:192", 1, "valid"))
    for _ in range(3):
        x = module(x, "1x1:64", "1x1:48>5x5:64", "1x1:64>3x3:96>3x3:96", "p>1x1:32")
    x = reduction(x, layers.MaxPooling2D, "3x3:384", "1x1:64>3x3:96>3x3:96")
    for m, entry in ((128, 128), (160, 160), (160, 160), (192, 160)):
        double = f"1x1:{entry}>7x1:{m}>1x7:{m}>7x1:{m}>1x7:192"
        x = module(x, "1x1:192", f"1x1:{m}>1x7:{m}>7x1:192", double, "p>1x1:192")
    x = reduction(x, layers.AveragePooling2D, "1x1:192>3x3:320", "1x1:192>1x7:192>7x1:192>3x3:192")
    for _ in range(2):
        double = "1x1:448>3x3:384>1x3:384|3x1:384"
        x = module(x, "1x1:320", "1x1:384>1x3:384|3x1:384", double, "p>1x1:192")
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(picture, layers.Dense(num_classes, name="predictions")(x))


@pytest.fixture(scope="module")
def theirs() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    network = first_keras_file(keras, 7)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.uniform(-0.5, 0.5, layer.beta.shape))
            layer.momentum = 0.0
        if isinstance(layer, keras.layers.Conv2D):
            layer.bias.assign(rng.uniform(-0.2, 0.5, layer.bias.shape))
    with torch.no_grad():
        network(structured_pictures(4, 112, 112, seed=1), training=True)
    return network


@pytest.fixture(scope="module")
def expected(theirs: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = theirs(picture_tensor(*SIZE).permute(0, 2, 3, 1), training=False)
    return found


@pytest.fixture
def ours(theirs: Any, tmp_path: Path) -> ImageModel:
    with warnings.catch_warnings():
        # Keras 3.15 turns torch tensors into arrays in a way that numpy 2 deprecates.
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
        theirs.save_weights(tmp_path / "first.weights.h5")
    model = build_model("inception_v3", 7, variant="chollet_2016", width=WIDTH).eval()
    report = load_weights(model, tmp_path / "first.weights.h5")
    assert report.missing == report.unexpected == ()
    return model


def apart(model: ImageModel, expected: Tensor) -> float:
    with torch.no_grad():
        return distance(model(picture_tensor(*SIZE)), expected)


def test_the_logits_are_its_own(ours: ImageModel, expected: Tensor) -> None:
    assert spread(expected) > 100 * KERAS_PARITY
    assert apart(ours, expected) < KERAS_PARITY


def _normalise_first(model: ImageModel) -> None:
    for unit in model.modules():
        if isinstance(unit, ConvBN):
            unit.activation_first = False


def _without_bias(model: ImageModel) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _largest_of_mixed8(model: ImageModel) -> None:
    slim = build_model("inception_v3", 7, width=WIDTH).get_submodule("mixed8.pool")
    model.get_submodule("mixed8").pool = slim  # type: ignore[assignment] - the mistake under test


@pytest.mark.parametrize("mutate", [_normalise_first, _without_bias, _largest_of_mixed8])
def test_the_usual_network_is_another_one(
    mutate: Callable[[ImageModel], None], ours: ImageModel, expected: Tensor
) -> None:
    mutate(ours)
    assert apart(ours, expected) > 10 * KERAS_PARITY
