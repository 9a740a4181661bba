"""Checkpoints of TF-slim as `.npz` files of their variables, `InceptionV3/Conv2d_1a_3x3/weights` and so on.

Its padding, epsilon and averages are the ones that this package is built with. Class 0 of its 1001 is "background".
A checkpoint that training wrote also holds optimiser slots and moving averages, which are left out.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.needed import check_needed
from separable.weights.ports.port import HALF, Port, Transform, torch_contract
from separable.weights.slim_names import slim_names

__all__ = ["SLIM_PORTS", "slim_transforms"]

_SIZES = (0.125, 0.25, 0.5, 0.75, 1.0)
_WIDEST = {  # the widest convolution, and its channels at width 1: the narrow ones have a lower bound of 16
    "InceptionV1/Mixed_5c/Branch_0/Conv2d_0a_1x1/weights": 384,
    "InceptionV2/Mixed_5c/Branch_0/Conv2d_0a_1x1/weights": 352,
    "InceptionV3/Mixed_7c/Branch_1/Conv2d_0a_1x1/weights": 384,
    "MobilenetV1/Conv2d_13_pointwise/weights": 1024,
}

_CONV = Transform(lambda kernel: kernel.permute(3, 2, 0, 1), lambda weight: weight.permute(2, 3, 1, 0))
_DENSE = Transform(lambda kernel: kernel.reshape(kernel.shape[-2:]).transpose(0, 1), lambda weight: weight.T)
_POINT = Transform(
    lambda kernel: kernel.reshape(kernel.shape[-2:]).transpose(0, 1), lambda weight: weight.T[None, None]
)


def slim_transforms(model: ImageModel) -> dict[str, Transform]:
    """Kernels are (height, width, in, out); classifiers dense layers, or 1x1 ones in most networks."""
    classifier = _DENSE if model.name in ("inception_v4", "inception_resnet_v2") else _POINT
    found = {}
    for name, value in model.state_dict().items():
        if name.endswith("classifier.weight") and value.dim() == 2:
            found[name] = classifier
        elif value.dim() == 4:
            found[name] = _depthwise(model, name) if ".depthwise." in name else _CONV
    return found


def _depthwise(model: ImageModel, name: str) -> Transform:
    """(height, width, in, multiplier) and (in x multiplier, 1, height, width)."""
    inputs = getattr(model.get_submodule(name.removesuffix(".weight")), "groups", 1)
    return Transform(
        lambda kernel: kernel.permute(2, 3, 0, 1).flatten(0, 1)[:, None],
        lambda weight: weight.squeeze(1).unflatten(0, (inputs, -1)).permute(2, 3, 0, 1),
    )


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    if model.name == "inception_resnet_v2":
        check_needed(model, "TF-slim", residual_scale=(0.17, 0.1, 0.2))
    size = 224 if model.name in ("inception_v1", "bn_inception", "mobilenet_v1") else 299
    return torch_contract(size, mean=HALF, std=HALF, padding="tf_same", eps=1e-3)


def _options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    found: dict[str, Any] = {"aux_head": any("/AuxLogits/" in name for name in tensors)}
    for name, channels in _WIDEST.items():
        if name in tensors and tensors[name].dim():
            there = tensors[name].shape[-1]
            found["width"] = next((width for width in _SIZES if int(channels * width) == there), there / channels)
    if any(name.startswith("InceptionV1/") for name in tensors):
        found |= {"batch_norm": True, "five_by_five": False}
    if any(name.startswith("InceptionV2/") for name in tensors):
        found["separable_stem"] = "InceptionV2/Conv2d_1a_7x7/depthwise_weights" in tensors
        found["stem_batch_norm"] = "InceptionV2/Conv2d_1a_7x7/BatchNorm/beta" in tensors
    if any(
        name.startswith(("InceptionV1/", "InceptionV2/")) for name in tensors
    ):  # of these two alone, both kinds exist
        found["gamma"] = any(name.endswith("BatchNorm/gamma") for name in tensors)
    return found


def _port(root: str, ours: str, classifier: str, mark: str) -> Port:
    return Port(
        name=f"tf-slim {ours}",
        framework="tf-slim",
        models={ours: ours},
        marks=(f"{root}/{mark}", f"{root}/{classifier}/weights"),
        names=slim_names,
        contract=_contract,
        options=_options,
        transforms=slim_transforms,
        classifier=f"{root}/{classifier}",
        ignored=(f"{root}/AuxLogits/",),
        background=True,
    )


SLIM_PORTS = (
    _port("InceptionV1", "inception_v1", "Logits/Conv2d_0c_1x1", "Mixed_5b/Branch_2/Conv2d_0a_3x3/weights"),
    _port("InceptionV2", "bn_inception", "Logits/Conv2d_1c_1x1", "Mixed_3b/Branch_2/Conv2d_0c_3x3/weights"),
    _port("InceptionV3", "inception_v3", "Logits/Conv2d_1c_1x1", "Mixed_5c/Branch_1/Conv_1_0c_5x5/weights"),
    _port("InceptionV4", "inception_v4", "Logits/Logits", "Mixed_3a/Branch_1/Conv2d_0a_3x3/weights"),
    _port("InceptionResnetV2", "inception_resnet_v2", "Logits/Logits", "Repeat/block35_1/Conv2d_1x1/weights"),
    _port("MobilenetV1", "mobilenet_v1", "Logits/Conv2d_1c_1x1", "Conv2d_1_depthwise/depthwise_weights"),
)
