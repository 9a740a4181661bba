"""AlexNet of torchvision."""

from collections.abc import Mapping

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.port import Port, renamed, torch_contract

__all__ = ["ALEXNET"]

_LAYERS = {
    "conv1.conv": "features.0",
    "conv2.conv": "features.3",
    "conv3.conv": "features.6",
    "conv4.conv": "features.8",
    "conv5.conv": "features.10",
    "head.fc1": "classifier.1",
    "head.fc2": "classifier.4",
    "head.classifier": "classifier.6",
}


def _names(model: ImageModel) -> dict[str, str]:
    def rename(name: str) -> str:
        layer, _, variable = name.rpartition(".")
        return f"{_LAYERS[layer]}.{variable}"

    return renamed(model, rename)


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    return torch_contract(224)


ALEXNET = Port(
    name="torchvision alexnet",
    framework="torchvision",
    models={"alexnet": "alexnet"},
    marks=("classifier.4.weight",),
    names=_names,
    contract=_contract,
    classifier="classifier.6",
    ignored=("classifier.",),
    fixed={"width": 1.0},
)
