"""The U-Net of Keras' segmentation example, from its published description.

keras.io/examples/vision/oxford_pets_image_segmentation (F. Chollet, 2019; for Keras 3 since 2023). This runs in the
environment of a Keras contestant, so it imports nothing.
"""

from typing import Any

__all__ = ["example_unet"]


def example_unet(keras: Any, side: int, classes: int) -> Any:
    """The example's network for pictures of `side` x `side`, without its softmax: contests are over logits."""
    layers = keras.layers
    inputs = keras.Input((side, side, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = previous = layers.Activation("relu")(x)
    for filters in (64, 128, 256):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.SeparableConv2D(filters, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous)
        x = previous = layers.add([x, residual])
    for filters in (256, 128, 64, 32):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.Conv2DTranspose(filters, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.UpSampling2D(2)(previous)
        residual = layers.Conv2D(filters, 1, padding="same")(residual)
        x = previous = layers.add([x, residual])
    return keras.Model(inputs, layers.Conv2D(classes, 3, padding="same")(x))
