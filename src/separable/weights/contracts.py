"""The input contract that belongs to foreign weights: how the pictures were prepared that they were trained on."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

import torch

from separable.errors import WeightsFormatError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.models.contract import InputContract
from separable.weights.convert import Converted
from separable.weights.keras_config import KerasConfig
from separable.weights.stored import StoredLayers

__all__ = ["contract_for", "graph_notes", "own_contract", "slim_size", "stored_contract"]

_HALF = (0.5, 0.5, 0.5)
_CAFFE = (103.939 / 255, 116.779 / 255, 123.68 / 255)
_AS_CAFFE = ("resnet101", "resnet152", "resnet50", "vgg16")
"""Networks whose pictures Keras prepares as Caffe did."""
_UNREAD = {"Lambda", "Normalization", "Subtract", "TFOpLambda", "TrueDivide"}
"""Layers without weights here, by which a model may prepare its pictures itself."""
_SLIM = (128 / 255, 128 / 255, 128 / 255)


def contract_for(
    model: ImageModel, stored: StoredLayers, converted: Converted, config: KerasConfig | None = None
) -> tuple[InputContract, str, tuple[str, ...]]:
    """The contract of a file of Keras-like layers, the name of its format, and sentences on what was assumed.

    - Folded batch normalisation in an `.npz`: TF-slim's MobileNet V1, (x - 128) / 128, short side to size / 0.875, then
      the centre; the size is the last number of names like `mobilenet_v1_0.5_160...`. TensorFlow's borders.
    - MobileNet with convolution biases, an input of 96x96 and convolutions that pad by themselves, as its stored
      configuration says: MLPerf Tiny's visual wake words, x / 255, both sides straight to 96
      (`flow_from_directory(target_size=...)`, `rescale=1/255` in its training script), folders in sorted order.
    - VGG16 and the ResNets of Keras' applications: BGR, the mean of ImageNet's pixels subtracted; the ResNets' epsilon.
    - The U-Net of Keras' segmentation example: pixels from 0 to 255, both sides straight to size.
    - Everything else: Keras' applications, x / 127.5 - 1.

    Where the file stores its model's `config`, the size, the borders of MobileNet and a layer Rescaling are that one's.
    """
    own = own_contract(model)
    old = replace(own, colour_order="RGB", pixel_range=(0.0, 255.0), filter="bilinear")
    if stored.format == "npz" and converted.folded:
        old = replace(old, padding="tf_same", size=slim_size(stored.path, old.size))
        return replace(old, mean=_SLIM, std=_SLIM, resize="shorter", crop_fraction=0.875), "tf-slim npz", ()
    size = (config.input_size if config is not None else None) or stored.input_size
    if size is not None and min(size) >= own.min_size:
        old = replace(old, size=size)
    if config is not None and config.pads_alike and model.name == "mobilenet_v1":
        old = replace(old, padding="tf_same")
    if model.name == "mobilenet_v1" and converted.biased and not converted.folded:
        return _biased_mobilenet(old, stored, config)
    if model.task == "classify":
        old = replace(old, resize="shorter", crop_fraction=0.875)
    if config is not None and config.rescaling:
        return *_rescaled(old, stored.path, config), ()
    if model.task == "segment":  # Keras' example takes pixels as they are
        return old, stored.format, ()
    if model.name in _AS_CAFFE:
        old = replace(old, colour_order="BGR", batch_norm_eps=1.001e-5)
        return replace(old, mean=_CAFFE, std=(1 / 255,) * 3), stored.format, ()
    return replace(old, mean=_HALF, std=_HALF), stored.format, ()


def _biased_mobilenet(
    old: InputContract, stored: StoredLayers, config: KerasConfig | None
) -> tuple[InputContract, str, tuple[str, ...]]:
    if config is not None and config.input_size == (96, 96) and config.pads_alike:
        old = replace(old, resize="squash", crop_fraction=1.0, class_names=("non_person", "person"))
        notes = ("taken as MLPerf Tiny's visual wake words, by its input of 96x96, its borders and its biases",)
        return replace(old, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), "mlperf-tiny h5", notes
    old = replace(old, resize="shorter", crop_fraction=0.875)
    if config is not None and config.rescaling:
        return *_rescaled(old, stored.path, config), ()
    note = "its convolutions have biases, so it is not Keras' own MobileNet: that pictures are x / 127.5 - 1 is assumed"
    return replace(old, mean=_HALF, std=_HALF), stored.format, (note,)


def slim_size(path: Path, otherwise: tuple[int, int]) -> tuple[int, int]:
    """The side that names like `mobilenet_v1_0.5_160...` end in, of TF-slim's sets of MobileNet's weights."""
    match = re.search(r"mobilenet_v1_[\d.]+_(\d+)", path.name)
    return (int(match[1]), int(match[1])) if match and 32 <= int(match[1]) <= 1024 else otherwise


def _rescaled(contract: InputContract, path: Path, config: KerasConfig) -> tuple[InputContract, str]:
    """`contract` with the file's own x * scale + offset for (x / 255 - mean) / std, and the name of the format."""
    scale, offset = config.rescaling[0]
    if len(config.rescaling) > 1 or not _number(scale) or not _number(offset) or scale <= 0:
        raise WeightsMismatchError(
            f"{path} prepares its pictures inside the model in a way that is not read here",
            got=", ".join(f"Rescaling({scale}, {offset})" for scale, offset in config.rescaling),
            expected="at most one Rescaling, by one positive number and one offset",
            fix="Save the network below it alone",
        )
    std = 1 / (255 * scale)
    return replace(contract, mean=(-offset * std,) * 3, std=(std,) * 3), "keras model with Rescaling"


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def graph_notes(model: ImageModel, config: KerasConfig | None) -> tuple[str, ...]:
    """What the file's own model does beside its weights, and what of that is not followed."""
    if config is None:
        return ()
    notes = [
        f"pictures are prepared by the file's own Rescaling({scale}, {offset}); what came before it is not known"
        for scale, offset in config.rescaling
    ]
    unread = sorted(config.classes & (_UNREAD - ({"Lambda"} if model.name == "inception_resnet_v2" else set())))
    if unread:
        notes.append(f"layers {', '.join(unread)} of the file's model are not read, and may change its answers")
    return tuple(notes)


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
