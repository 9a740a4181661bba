"""How the comparison networks' pictures are prepared, against what timm and torchvision say of each file."""

from pathlib import Path

import pytest
import torch

from separable.models.build import build_model
from separable.models.contract import InputContract
from separable.weights.ports.alexnet import ALEXNET
from separable.weights.ports.mobilenet_v1 import TIMM_MOBILENET_V1
from separable.weights.ports.port import Port
from separable.weights.ports.release import choose_release
from separable.weights.ports.resnet import RESNETS
from separable.weights.ports.squeezenet import SQUEEZENET_1_0, SQUEEZENET_1_1
from separable.weights.ports.vgg import TIMM_VGG16, TORCHVISION_VGG16
from tests.peers import timm, torchvision

CLASSES = 7


def contract_of(port: Port, file: str) -> InputContract:
    (name,) = port.models
    options = {**dict(port.options({})), **({"version": port.fixed["version"]} if "version" in port.fixed else {})}
    with torch.device("meta"):
        model = build_model(name, **options)
    return choose_release(port, Path(file), port.contract(model, {}), None)[0]


def test_contracts_are_those_of_torchvisions_weights() -> None:
    names = ["vgg16", "alexnet", "squeezenet1_0", "squeezenet1_1", "resnet50", "resnet101", "resnet152"]
    ports = {port.models[next(iter(port.models))]: port for port in RESNETS if port.framework == "torchvision"}
    ports |= {"vgg16": TORCHVISION_VGG16, "alexnet": ALEXNET}
    ports |= {"squeezenet1_0": SQUEEZENET_1_0, "squeezenet1_1": SQUEEZENET_1_1}
    for name in names:
        for weights in torchvision.models.get_model_weights(name):
            found, wanted = contract_of(ports[name], weights.url.rsplit("/", 1)[-1]), weights.transforms()
            assert found.size == tuple(wanted.crop_size * 2), weights
            assert found.crop_fraction == wanted.crop_size[0] / wanted.resize_size[0], weights
            assert (list(found.mean), list(found.std)) == (wanted.mean, wanted.std), weights
            assert found.filter == wanted.interpolation.value, weights
            assert (found.colour_order, found.resize) == ("RGB", "shorter")


@pytest.mark.parametrize(
    "port", [*(port for port in RESNETS if port.framework == "timm"), TIMM_VGG16, TIMM_MOBILENET_V1]
)
def test_contracts_are_those_of_timms_weights(port: Port) -> None:
    """As `resolve_model_data_config` gives them, for every set of weights with ImageNet's classes."""
    (name,) = port.models.values()
    known = [tag for tag in timm.list_pretrained(f"{name}.*") if timm.get_pretrained_cfg(tag).num_classes]
    assert known
    assert {release.name for release in port.releases} in ({*known}, set())
    for tag in known:
        wanted = timm.get_pretrained_cfg(tag)
        older = [str(wanted.url).rsplit("/", 1)[-1]] if wanted.url and port.releases and ".tv" not in tag else []
        for file in (f"{tag}/model.safetensors", *older):
            found = contract_of(port, file)
            assert (3, *found.size) == wanted.input_size, file
            assert (found.crop_fraction, found.filter) == (wanted.crop_pct, wanted.interpolation), file
            assert (found.mean, found.std) == (wanted.mean, wanted.std), file


def test_timms_wider_mobilenet_is_read_too() -> None:
    """mobilenetv1_125 has the same names, another width and another crop."""
    theirs = timm.create_model("mobilenetv1_125", num_classes=CLASSES)
    options = TIMM_MOBILENET_V1.options(theirs.state_dict())
    with torch.device("meta"):
        model = build_model("mobilenet_v1", CLASSES, **options)
    names, stored = TIMM_MOBILENET_V1.names(model), theirs.state_dict()
    assert options == {"width": 1.25}
    assert all(stored[names[ours]].shape == value.shape for ours, value in model.state_dict().items() if ours in names)
    (tag,) = timm.list_pretrained("mobilenetv1_125.*")
    assert TIMM_MOBILENET_V1.contract(model, stored).crop_fraction == timm.get_pretrained_cfg(tag).crop_pct == 0.9
