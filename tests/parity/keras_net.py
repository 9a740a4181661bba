"""Keras' own networks (torch backend) as the oracle: weights that make differences visible, and their outputs."""

import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.parity.pictures import structured_pictures

__all__ = ["KerasNet", "picture_tensor"]

Array = NDArray[np.float32]


def _pictures(height: int, width: int) -> Array:
    """Two structured pictures; one where it is large, for time."""
    return structured_pictures(2 if height * width <= 224 * 224 else 1, height, width)


def picture_tensor(height: int, width: int) -> torch.Tensor:
    """The pictures of this size as our models take them: (2 or 1, 3, height, width)."""
    return torch.from_numpy(_pictures(height, width)).permute(0, 3, 1, 2).contiguous()


class KerasNet:
    """One of `keras.applications` with 1000 classes.

    Random weights with random batch-norm statistics drown the picture: two pictures give logits 4e-5 apart, and any
    test passes. So gamma and beta are random, and mean and variance come from one training-mode forward, momentum 0.
    beta is mostly positive: centred on 0, such a deep random network is chaotic and multiplies rounding to 8e-5.
    """

    def __init__(self, name: str, **options: Any) -> None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        import keras

        keras.utils.set_random_seed(0)
        make = {
            "xception": keras.applications.Xception,
            "inception_resnet_v2": keras.applications.InceptionResNetV2,
            "inception_v3": keras.applications.InceptionV3,
            "mobilenet_v1": keras.applications.MobileNet,
        }[name]
        self.name = name
        self.base = make(weights=None, include_top=False, input_shape=(None, None, 3), **options)
        self.full = make(weights=None, classifier_activation=None, **options)
        self._calibrate(keras)
        for ours, theirs in zip(self.full.weights, self.base.weights, strict=False):  # the classifier's come last
            ours.assign(theirs)
        self.top = self.full.layers[len(self.base.layers) :]
        self.outputs = lru_cache(self._outputs)

    def _calibrate(self, keras: Any) -> None:
        rng = np.random.default_rng(0)
        norms = [layer for layer in self.base.layers if isinstance(layer, keras.layers.BatchNormalization)]
        for norm in norms:
            if norm.gamma is not None:
                norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
            norm.beta.assign(rng.uniform(0.0, 2.0, norm.beta.shape))
            norm.momentum = 0.0
        with torch.no_grad():
            self.base(structured_pictures(6, 128, 128, seed=1), training=True)

    def _outputs(self, height: int, width: int) -> tuple[Array, Array]:
        """Features (N, C, h, w) before pooling and logits (N, 1000) of `picture_tensor(height, width)`."""
        with torch.no_grad():
            features = y = self.base(_pictures(height, width), training=False)
            for layer in self.top:
                y = layer(y, training=False) if layer.__class__.__name__ == "Dropout" else layer(y)
        return np.moveaxis(features.cpu().numpy(), -1, 1), y.cpu().numpy()

    def save(self, path: Path) -> Path:
        """Write the network with its classifier in the format that `path` ends in."""
        with warnings.catch_warnings():
            # Keras 3.15 turns torch tensors into arrays in a way that numpy 2 deprecates.
            warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
            if path.name.endswith(".weights.h5"):
                self.full.save_weights(path)
            else:
                self.full.save(path)
        return path
