"""Folders for timm: timm's own loader builds them into networks with our logits; read again, they are what we had."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

import separable.weights.reference
from separable.errors import MissingExtraError, UsageError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.models.contract import InputContract
from separable.weights import create_model
from separable.weights.export_timm import save_timm
from separable.weights.reference import as_input
from separable.weights.verify import structured_pixels
from tests.parity.torch_net import calibrate, distance, spread
from tests.peers import timm
from tests.tolerances import PORT_PARITY

CLASSES = 5
TIMM_1E5: dict[str, Any] = {"padding": "symmetric", "batch_norm_eps": 1e-5}


def calibrated(name: str, numerics: dict[str, Any] | None = None, **options: Any) -> ImageModel:
    torch.manual_seed(0)
    model = build_model(name, CLASSES, **options)
    model.adopt(replace(model.input_contract, **(numerics or {})))
    calibrate(model, 96, count=2)
    return model


def loaded(folder: Path) -> nn.Module:
    network: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    return network


def logits_agree(model: ImageModel, network: nn.Module, sizes: tuple[tuple[int, int], ...]) -> None:
    for size in sizes:
        x = as_input(structured_pixels(2, *size), model.input_contract)
        with torch.no_grad():
            theirs, ours = network(x), model(x)
        assert spread(theirs) > 100 * PORT_PARITY
        assert distance(ours, theirs) < PORT_PARITY


def same(one: ImageModel, other: ImageModel) -> bool:
    state = other.state_dict()
    return all(torch.equal(v, state[k]) for k, v in one.state_dict().items() if "num_batches" not in k)


@pytest.mark.parametrize(
    ("name", "numerics", "options"),
    [
        ("mobilenet_v1", TIMM_1E5, {}),
        ("xception41", {}, {}),
        ("resnet50", {}, {"stride_on": "3x3"}),
        ("inception_v3", {"padding": "symmetric", "counts_padding": True}, {"gamma": True}),
        pytest.param("xception", TIMM_1E5, {}, marks=pytest.mark.slow),
        pytest.param("xception65", {}, {"output_stride": 16}, marks=pytest.mark.slow),
        pytest.param("xception71", {}, {}, marks=pytest.mark.slow),
        pytest.param("resnet101", {}, {"stride_on": "3x3"}, marks=pytest.mark.slow),
        pytest.param("resnet152", {}, {"stride_on": "3x3"}, marks=pytest.mark.slow),
        pytest.param("inception_v4", {"padding": "symmetric"}, {"gamma": True}, marks=pytest.mark.slow),
        pytest.param("inception_resnet_v2", {"padding": "symmetric"}, {"gamma": True}, marks=pytest.mark.slow),
    ],
)
def test_with_timms_numerics_every_bit_is_kept(
    name: str, numerics: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    model = calibrated(name, numerics, **options)
    said = save_timm(model, tmp_path / "out")
    assert (said["exact"], said["notes"], said["differences"], said["against"]) == (True, (), (), "")
    network = loaded(tmp_path / "out")
    stored = safetensors.torch.load_file(tmp_path / "out" / "model.safetensors")
    state = network.state_dict()
    assert stored.keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in stored.items())
    logits_agree(model, network, ((130, 161),))
    again = create_model(name, weights=tmp_path / "out", **options)
    assert same(again, model)
    assert again.input_contract == model.input_contract


def test_the_configuration_is_what_timm_reads(tmp_path: Path) -> None:
    model = calibrated("mobilenet_v1", TIMM_1E5)
    contract: dict[str, Any] = {
        "size": (160, 192),
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.25, 0.3),
        "crop_fraction": 0.9,
        "filter": "bicubic",
        "class_names": ("ä", "b", "c", "d", "e"),
    }
    model.adopt(replace(model.input_contract, **contract))
    said = save_timm(model, tmp_path / "out", license="mit")
    assert said["load"] == f'timm.create_model("local-dir:{tmp_path / "out"}", pretrained=True)'
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert config == {
        "architecture": "mobilenetv1_100",
        "num_classes": CLASSES,
        "num_features": 1024,
        "global_pool": "avg",
        "label_names": ["ä", "b", "c", "d", "e"],
        "pretrained_cfg": {
            "input_size": [3, 160, 192],
            "fixed_input_size": False,
            "interpolation": "bicubic",
            "crop_pct": 0.9,
            "crop_mode": "center",
            "mean": [0.4, 0.5, 0.6],
            "std": [0.2, 0.25, 0.3],
            "num_classes": CLASSES,
            "first_conv": "conv_stem",
            "classifier": "classifier",
            "license": "mit",
        },
    }
    network = loaded(tmp_path / "out")
    data = timm.data.resolve_model_data_config(network)
    assert (tuple(data["input_size"]), data["interpolation"], data["crop_pct"]) == ((3, 160, 192), "bicubic", 0.9)
    assert (tuple(data["mean"]), tuple(data["std"])) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert data["crop_mode"] == "center"
    again = create_model("mobilenet_v1", weights=tmp_path / "out")
    assert again.input_contract == model.input_contract
    squashed = replace(model.input_contract, resize="squash", crop_fraction=1.0, size=(96, 96))
    model.adopt(squashed)
    save_timm(model, tmp_path / "squashed")
    assert timm.data.resolve_model_data_config(loaded(tmp_path / "squashed"))["crop_mode"] == "squash"
    assert create_model("mobilenet_v1", weights=tmp_path / "squashed").input_contract == squashed


def test_other_ways_in_which_timm_loads(tmp_path: Path) -> None:
    model, folder = calibrated("mobilenet_v1", TIMM_1E5), tmp_path / "out"
    save_timm(model, folder)
    file = folder / "model.safetensors"
    network = timm.create_model("mobilenetv1_100", num_classes=CLASSES)
    timm.models.load_checkpoint(network, str(file))
    logits_agree(model, network.eval(), ((97, 130),))
    overlay = {"file": str(file), "num_classes": CLASSES}
    network = timm.create_model("mobilenetv1_100", num_classes=CLASSES, pretrained=True, pretrained_cfg_overlay=overlay)
    logits_agree(model, network.eval(), ((97, 130),))
    tuned = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=3, in_chans=1)  # names both ends
    assert tuned.get_classifier().out_features == 3
    assert torch.equal(tuned.blocks[0][0].conv_pw.weight, network.blocks[0][0].conv_pw.weight)


def test_a_larger_epsilon_is_folded(tmp_path: Path) -> None:
    model = calibrated("mobilenet_v1", {**TIMM_1E5, "batch_norm_eps": 1e-3})
    said = save_timm(model, tmp_path / "out")
    assert said["notes"] == ("epsilon 0.001 folded into the running variances, for one of 1e-05",)
    assert not said["exact"]
    assert said["against"] == f"timm {timm.__version__}'s mobilenetv1_100"
    assert [(entry["height"], entry["width"]) for entry in said["differences"]] == [(224, 224), (225, 225)]
    assert max(entry["largest"] for entry in said["differences"]) < PORT_PARITY
    network = loaded(tmp_path / "out")
    logits_agree(model, network, ((224, 224), (97, 130)))
    with torch.no_grad():  # and what would be without: the test can fail
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None:
                norm.running_var -= 1e-3 - 1e-5
        x = as_input(structured_pixels(2, 224, 224), model.input_contract)
        assert not distance(network(x), model(x)) < 10 * PORT_PARITY


def test_other_borders_are_refused_or_told(tmp_path: Path) -> None:
    model = calibrated("mobilenet_v1")
    message = (
        r"timm's mobilenet_v1 is another function than this one, and nothing was written\. Got: logits that differ by "
        r".* of the largest at 22.x22.\. Expected: at most 0\.0001\. .*--allow-difference"
    )
    with pytest.raises(WeightsMismatchError, match=message):
        save_timm(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    said = save_timm(model, tmp_path / "out", allow_difference=True)
    assert max(entry["largest"] for entry in said["differences"]) > 10 * PORT_PARITY
    network = loaded(tmp_path / "out")
    x = as_input(structured_pixels(2, 225, 225), model.input_contract)
    with torch.no_grad():
        measured = distance(model(x), network(x))
    assert measured == pytest.approx(said["differences"][1]["largest"], rel=1e-3)


def test_without_timm_its_numerics_are_tried_on_our_own_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = calibrated("mobilenet_v1")
    expected = save_timm(model, tmp_path / "with", allow_difference=True)

    def missing(name: str) -> None:
        raise MissingExtraError(f"{name} is not installed")

    monkeypatch.setattr(separable.weights.reference, "import_framework", missing)
    found = save_timm(model, tmp_path / "without", allow_difference=True)
    assert found["against"].endswith("mobilenet_v1 with timm's numerics")
    for one, other in zip(found["differences"], expected["differences"], strict=True):
        assert one["largest"] == pytest.approx(other["largest"], rel=1e-3)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("with", "without")]
    assert files[0] == files[1]


def test_blue_first_pictures_are_turned_round(tmp_path: Path) -> None:
    model = calibrated("mobilenet_v1", TIMM_1E5)
    contract: dict[str, Any] = {"colour_order": "BGR", "mean": (0.1, 0.2, 0.3), "pixel_range": (0.0, 1.0)}
    contract["std"] = (1.0, 2.0, 4.0)
    model.adopt(replace(model.input_contract, **contract))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    said = save_timm(model, tmp_path / "out")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert said["notes"] == ("the first convolution's channels were turned round, from BGR to timm's RGB",)
    config = json.loads((tmp_path / "out" / "config.json").read_text())["pretrained_cfg"]
    assert config["mean"] == [0.3 / 255, 0.2 / 255, 0.1 / 255]
    assert config["std"] == [4.0 / 255, 2.0 / 255, 1.0 / 255]
    assert max(entry["largest"] for entry in said["differences"]) < PORT_PARITY


def test_a_missing_gamma_is_one_and_an_auxiliary_head_stays_here(tmp_path: Path) -> None:
    """timm's inception_v3 with an auxiliary head would answer a pair."""
    numerics = {"padding": "symmetric", "counts_padding": True}
    model = calibrated("inception_v3", numerics, aux_head=True)
    said = save_timm(model, tmp_path / "out")
    assert said["notes"] == ("a gamma of 1 was added to each batch normalisation", "the auxiliary head was left out")
    assert said["exact"]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_args"] == {"aux_logits": False}
    logits_agree(model, loaded(tmp_path / "out"), ((107, 130),))
    again = create_model("inception_v3", weights=tmp_path / "out")
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in again.state_dict().items() if "batches" not in k)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "squeezenet",
            {},
            r"timm has no squeezenet\. Expected: one of inception_resnet_v2, inception_v3, .*xception71",
        ),
        ("xception", {"width": 0.5}, r"timm has no legacy_xception like this\. Got: width=0\.5\. Expected: width=1\.0"),
        ("resnet50", {}, r"timm has no resnet50 like this\. Got: stride_on=1x1\. Expected: stride_on=3x3"),
        ("xception", {"features_only": True}, r"without its head is not written for timm\. Got: features_only=True"),
        (
            "xception",
            {"in_channels": 4},
            r"Only networks for colour pictures are written for timm\. Got: in_channels=4",
        ),
    ],
)
def test_what_timm_lacks_is_refused(name: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with torch.device("meta"):
        model = build_model(name, **options)
    with pytest.raises(WeightsMismatchError, match=message):
        save_timm(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = build_model("mobilenet_v1", CLASSES)
    (tmp_path / "mine").write_text("precious")
    for folder in (tmp_path, tmp_path / "mine"):
        with pytest.raises(
            UsageError, match=r"is already there, and nothing was written\. Expected: a new name, or an"
        ):
            save_timm(model, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_contracts_of_the_same_values_are_equal() -> None:
    """What `exact` relies on."""
    contract = build_model("mobilenet_v1", CLASSES, width=0.25).input_contract
    assert InputContract.from_json(contract.to_json()) == contract
