"""SqueezeNet 1.0 and 1.1 of torchvision."""

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.needed import check_needed
from separable.weights.ports.port import Port, renamed, torch_contract

__all__ = ["SQUEEZENET_1_0", "SQUEEZENET_1_1"]


def _names(model: ImageModel) -> dict[str, str]:
    def rename(name: str) -> str:
        block, _, rest = name.partition(".")
        if block == "head":
            return rest.replace("classifier", "classifier.1")
        place = model.chain.index(block)  # theirs has a ReLU after the first convolution
        return f"features.{place + 1 if place else 0}.{rest.replace('conv.', '')}"

    return renamed(model, rename)


def _contract(model: ImageModel, tensors: Mapping[str, Tensor], *, version: str) -> InputContract:
    check_needed(model, "torchvision", version=version)
    return torch_contract(224, padding="caffe")


def _port(version: str, mark: str) -> Port:
    name = f"squeezenet{version.replace('.', '_')}"
    return Port(
        name=f"torchvision {name}",
        framework="torchvision",
        models={"squeezenet": name},
        marks=(mark,),
        names=_names,
        contract=partial(_contract, version=version),
        options=lambda tensors: {"version": version},
        classifier="classifier.1",
        fixed={"version": version, "width": 1.0},
    )


SQUEEZENET_1_0 = _port("1.0", "features.5.squeeze.weight")
SQUEEZENET_1_1 = _port("1.1", "features.6.squeeze.weight")
