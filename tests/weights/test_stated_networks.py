"""timm's config.json beside a file says which network it is: it is followed whole, or the file is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from separable.errors import WeightsMismatchError
from separable.models.build import build_model
from separable.weights import load_weights
from separable.weights.ports.mobilenet_v1 import TIMM_MOBILENET_V1
from separable.weights.ports.port import Port
from separable.weights.ports.read import port_tensors
from separable.weights.reference import torch_reference


def stated(folder: Path, architecture: str, cfg: dict[str, Any] | None = None, **config: Any) -> Path:
    """A folder of timm's with MobileNet's tensors in it."""
    model = build_model("mobilenet_v1", 4)
    safetensors.torch.save_file(port_tensors(TIMM_MOBILENET_V1, model), folder / "model.safetensors")
    text = json.dumps({"architecture": architecture, "pretrained_cfg": {"crop_pct": 0.5, **(cfg or {})}, **config})
    (folder / "config.json").write_text(text)
    return folder


@pytest.mark.parametrize("release", [None, "timm"])
def test_another_network_with_the_same_tensors_is_refused(release: str | None, tmp_path: Path) -> None:
    message = r"Got: timm's resnetaa50\. Expected: timm's mobilenetv1_100\. If that file does not belong to these weig"
    with pytest.raises(WeightsMismatchError, match=message):
        load_weights(build_model("mobilenet_v1", 4), stated(tmp_path, "resnetaa50"), release=release)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_args": {"output_stride": 16}}, r"Got: output_stride=16\. Expected: output_stride=32"),
        ({"model_args": {"global_pool": "max"}}, r"Got: global_pool='max'\. Expected: global_pool='avg'"),
        ({"global_pool": "max"}, r"Got: global_pool='max'"),
        ({"cfg": {"global_pool": "max"}}, r"Got: global_pool='max'"),
        ({"model_args": {"act_layer": "silu", "drop_rate": 0.1}}, r"Got: act_layer='silu'\. Expected: none of that"),
        ({"model_args": ["relu"]}, r"Got: model_args=\['relu'\]"),
    ],
)
def test_arguments_that_change_the_function_are_refused(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMismatchError, match=message):
        load_weights(build_model("mobilenet_v1", 4), stated(tmp_path, "mobilenetv1_100", **config))


def test_arguments_of_no_consequence_are_not(tmp_path: Path) -> None:
    given = {"model_args": {"drop_rate": 0.2, "global_pool": "avg", "output_stride": 32, "num_classes": 4}}
    model = build_model("mobilenet_v1", 4)
    load_weights(model, stated(tmp_path, "mobilenetv1_100", global_pool="avg", **given))
    assert model.input_contract.crop_fraction == 0.5


def test_asking_for_timm_keeps_its_configuration(tmp_path: Path) -> None:
    model = build_model("mobilenet_v1", 4)
    report = load_weights(model, stated(tmp_path, "mobilenetv1_100"), release="timm")
    assert model.input_contract.crop_fraction == 0.5
    assert "taken as mobilenetv1_100, by the config.json beside the file" in report.notes


def test_the_reference_is_the_network_that_the_file_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def source(port: Port, model: Any, name: str | None = None) -> tuple[torch.nn.Module, str]:
        asked.append(name)
        return torch.nn.Identity(), "1"

    monkeypatch.setattr("separable.weights.reference.source_network", source)
    folder = stated(tmp_path, "mobilenetv1_125")
    found = torch_reference(TIMM_MOBILENET_V1, build_model("mobilenet_v1", 4), {}, folder / "model.safetensors")
    assert (asked, found.network) == (["mobilenetv1_125"], "mobilenetv1_125")
