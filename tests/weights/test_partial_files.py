"""Files with a part of a head too little or too much, or with numbers that the model's type has not."""

from pathlib import Path

import pytest
import torch

from separable.errors import WeightsMismatchError
from separable.models.build import build_model
from separable.weights import load_weights
from separable.weights.ports import PORTS
from separable.weights.ports.mobilenet_v1 import TIMM_MOBILENET_V1
from separable.weights.ports.read import port_tensors
from tests.weights.conftest import Refuses, make_net


def test_a_double_beyond_single_precision_is_refused(refuses: Refuses, tmp_path: Path) -> None:
    state = {name: value.double() for name, value in make_net().state_dict().items()}
    state["head.classifier.weight"][0, 0] = 1e300
    torch.save(state, tmp_path / "w.pth")
    message = r"too large for the model\. Got: head\.classifier\.weight up to 1e\+300\. Expected: at most 3\.4e\+38"
    refuses(tmp_path / "w.pth", WeightsMismatchError, message)


def test_half_an_auxiliary_head_is_refused(refuses: Refuses, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model("inception_v3", 2, aux_head=True, width=0.125)
    state = model.state_dict()
    name = next(name for name in state if name.startswith("aux_head.") and name.endswith("running_var"))
    torch.save({key: value for key, value in state.items() if key != name}, tmp_path / "half.pth")
    refuses(tmp_path / "half.pth", WeightsMismatchError, f"missing: {name}", model)
    torch.save({key: value for key, value in state.items() if "aux_head" not in key}, tmp_path / "none.pth")
    assert "the auxiliary head keeps its initial weights" in load_weights(model, tmp_path / "none.pth").notes


@pytest.mark.parametrize("extra", ["classifier.extra", "classifier.0.weight"])
def test_more_below_the_classifier_is_refused(extra: str, refuses: Refuses, tmp_path: Path) -> None:
    tensors = {**port_tensors(TIMM_MOBILENET_V1, make_net()), extra: torch.ones(3)}
    torch.save(tensors, tmp_path / "w.pth")
    refuses(tmp_path / "w.pth", WeightsMismatchError, rf"unexpected: {extra}")


def test_a_head_of_two_layers_is_refused_by_name(refuses: Refuses, tmp_path: Path) -> None:
    tensors = port_tensors(TIMM_MOBILENET_V1, make_net())
    weight, bias = tensors.pop("classifier.weight"), tensors.pop("classifier.bias")
    torch.save({**tensors, "classifier.0.weight": weight, "classifier.3.bias": bias}, tmp_path / "w.pth")
    refuses(tmp_path / "w.pth", WeightsMismatchError, r"unexpected: classifier\.0\.weight, classifier\.3\.bias")


@pytest.mark.parametrize("name", ["torchvision vgg16", "timm vgg16"])
def test_vggs_dense_layers_are_left_out_by_their_own_names(name: str, tmp_path: Path) -> None:
    port = next(port for port in PORTS if port.name == name)
    tensors = port_tensors(port, build_model("vgg16", 2, width=0.0625))
    features = build_model("vgg16", 2, width=0.0625, features_only=True)
    torch.save(tensors, tmp_path / "w.pth")
    assert load_weights(features, tmp_path / "w.pth").missing == ()
    below = next(key for key in tensors if not key.startswith("features")).split(".")[0]
    torch.save({**tensors, f"{below}.extra": torch.ones(1)}, tmp_path / "w.pth")
    with pytest.raises(WeightsMismatchError, match=rf"unexpected: {below}\.extra"):
        load_weights(features, tmp_path / "w.pth")


def test_a_missing_bias_is_no_missing_classifier(refuses: Refuses, tmp_path: Path) -> None:
    state = make_net().state_dict()
    del state["head.classifier.bias"]
    torch.save(state, tmp_path / "w.pth")
    refuses(tmp_path / "w.pth", WeightsMismatchError, r"nothing was loaded\. Got: missing: head\.classifier\.bias\.")
    tensors = port_tensors(TIMM_MOBILENET_V1, make_net())
    del tensors["classifier.bias"]
    torch.save(tensors, tmp_path / "w.pth")
    refuses(tmp_path / "w.pth", WeightsMismatchError, r"nothing was loaded\. Got: missing: head\.classifier\.bias\.")
