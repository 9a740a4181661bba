"""VGG16 of torchvision and of timm, whose weights are torchvision's with the dense layers made convolutions.

At 224x224 they are the same function. On larger pictures torchvision averages the map to 7x7, and timm slides the dense
layers over it: `dense_evaluation=True` is that.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.port import Port, Release, Transform, renamed, torch_contract

__all__ = ["TIMM_VGG16", "TORCHVISION_VGG16"]

_PLACES = {  # of a block's first convolution in `features`, where each convolution has a ReLU and each block a pool
    "block1": 0,
    "block2": 5,
    "block3": 10,
    "block4": 17,
    "block5": 24,
}
_TORCHVISION = {"fc1": "classifier.0", "fc2": "classifier.3", "classifier": "classifier.6"}
_TIMM = {"fc1": "pre_logits.fc1", "fc2": "pre_logits.fc2", "classifier": "head.fc"}


def _names(model: ImageModel, head: Mapping[str, str]) -> dict[str, str]:
    def rename(name: str) -> str:
        parts = name.split(".")
        if parts[0] == "head":
            return f"{head[parts[1]]}.{parts[-1]}"
        place = _PLACES[parts[0]] + 2 * (int(parts[1].removeprefix("conv")) - 1)
        return f"features.{place}.{parts[-1]}"

    return renamed(model, rename)


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    return torch_contract(224)


def _as_convolutions(model: ImageModel) -> dict[str, Transform]:
    def convolution(side: int) -> Transform:
        return Transform(lambda weight: weight.flatten(1), lambda weight: weight.unflatten(1, (-1, side, side)))

    sides = {"head.fc1.weight": 7, "head.fc2.weight": 1}
    return {name: convolution(side) for name, side in sides.items() if name in model.state_dict()}


def _timm_options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"dense_evaluation": True}


TORCHVISION_VGG16 = Port(
    name="torchvision vgg16",
    framework="torchvision",
    models={"vgg16": "vgg16"},
    marks=("classifier.3.weight",),
    names=lambda model: _names(model, _TORCHVISION),
    contract=_contract,
    classifier="classifier.6",
    ignored=tuple(f"{layer}.{kind}" for layer in _TORCHVISION.values() for kind in ("weight", "bias")),
    fixed={"width": 1.0, "dense_evaluation": False},
    releases=(
        Release("IMAGENET1K_V1", r"vgg16-397923af"),
        # Its classifier is not a number, so it loads with features_only=True alone.
        Release(
            "IMAGENET1K_FEATURES",
            r"vgg16_features",
            {"mean": (0.48235, 0.45882, 0.40784), "std": (1 / 255, 1 / 255, 1 / 255)},
        ),
    ),
)

TIMM_VGG16 = Port(
    name="timm vgg16",
    framework="timm",
    models={"vgg16": "vgg16"},
    marks=("pre_logits.fc1.weight",),
    names=lambda model: _names(model, _TIMM),
    contract=_contract,
    options=_timm_options,
    transforms=_as_convolutions,
    classifier="head.fc",
    ignored=tuple(f"{layer}.{kind}" for layer in _TIMM.values() for kind in ("weight", "bias")),
    fixed={"width": 1.0},
)
