"""The input contract that belongs to foreign weights: how the pictures were prepared that they were trained on."""

import re
from dataclasses import replace
from pathlib import Path

import torch

from separable.errors import WeightsFormatError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.models.contract import InputContract
from separable.weights.convert import Converted
from separable.weights.stored import StoredLayers

__all__ = ["contract_for", "own_contract", "stored_contract"]

_HALF = (0.5, 0.5, 0.5)
_CAFFE = (103.939 / 255, 116.779 / 255, 123.68 / 255)
_AS_CAFFE = ("resnet101", "resnet152", "resnet50", "vgg16")
"""Networks whose pictures Keras prepares as Caffe did."""
_SLIM = (128 / 255, 128 / 255, 128 / 255)


def contract_for(model: ImageModel, stored: StoredLayers, converted: Converted) -> tuple[InputContract, str]:
    """The contract of a file of Keras-like layers, and the name of its format.

    - Folded batch normalisation in an `.npz`: TF-slim's MobileNet V1, (x - 128) / 128, short side to size / 0.875, then
      the centre; the size is the last number of names like `mobilenet_v1_0.5_160...`.
    - MobileNet with convolution biases: MLPerf Tiny's visual wake words, x / 255, both sides straight to 96
      (`flow_from_directory(target_size=...)`, `rescale=1/255` in its training script), folders in sorted order.
    - VGG16 and the ResNets of Keras' applications: BGR, the mean of ImageNet's pixels subtracted; the ResNets' epsilon.
    - Everything else: Keras' applications, x / 127.5 - 1.
    """
    old = replace(own_contract(model), colour_order="RGB", pixel_range=(0.0, 255.0), filter="bilinear")
    if stored.format == "npz" and converted.folded:
        match = re.match(r"mobilenet_v1_[\d.]+_(\d+)", stored.path.name)
        size = (int(match[1]), int(match[1])) if match else old.size
        return replace(old, size=size, mean=_SLIM, std=_SLIM, resize="shorter", crop_fraction=0.875), "tf-slim npz"
    if model.name == "mobilenet_v1" and converted.biased and not converted.folded:
        size = stored.input_size or old.size
        old = replace(old, size=size, resize="squash", crop_fraction=1.0, class_names=("non_person", "person"))
        return replace(old, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), "mlperf-tiny h5"
    if model.name in _AS_CAFFE:
        old = replace(old, colour_order="BGR", batch_norm_eps=1.001e-5)
        return replace(old, mean=_CAFFE, std=(1 / 255,) * 3, resize="shorter", crop_fraction=0.875), stored.format
    return replace(old, mean=_HALF, std=_HALF, resize="shorter", crop_fraction=0.875), stored.format


def own_contract(model: ImageModel) -> InputContract:
    """The contract that the catalogue builds this network with, whatever weights it has taken over since."""
    with torch.device("meta"):
        return build_model(model.name, model.num_classes, **model.options).input_contract


def stored_contract(path: Path, stored: object) -> InputContract:
    """The contract that `save_model` put into `path`.

    Raises:
        WeightsFormatError: there is none, or it cannot be one; the file is named.
    """
    if not isinstance(stored, dict):
        raise WeightsFormatError(
            f"{path} has no input contract",
            got=f"{type(stored).__name__} under 'input'",
            expected="an object with size, mean and std",
            fix="Save the model again with save_model",
        )
    try:
        return InputContract.from_json(stored)
    except WeightsFormatError as error:
        raise WeightsFormatError(
            f"{path}: {error.what}", got=error.got, expected=error.expected, fix=error.fix
        ) from error
