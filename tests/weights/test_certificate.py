"""What the parity certificate says, and that it can say no."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from separable.data.preprocess import normalise
from separable.errors import UsageError, WeightsFormatError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import load_model, load_weights, save_model
from separable.weights.certificate import Certificate
from separable.weights.conversion import certificate_path, convert_weights
from separable.weights.ports import PORTS
from separable.weights.ports.mobilenet_v1 import TIMM_MOBILENET_V1
from separable.weights.ports.read import port_tensors
from separable.weights.reference import as_input
from separable.weights.verify import Difference, certificate_sizes, structured_pixels
from tests.parity.torch_net import calibrate
from tests.peers import timm, torchvision
from tests.tolerances import PORT_PARITY
from tests.weights.conftest import make_net
from tests.weights.keras_h5 import keras_layers, write_h5


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's smallest network."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("torchvision") / "net.pth"
    torch.save({"state_dict": torchvision.models.squeezenet1_0(weights=None, num_classes=4).state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """timm's, whose epsilon and borders are not Keras'."""
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    network = calibrate(timm.create_model("mobilenetv1_100", num_classes=4), 96)
    safetensors.torch.save_file(network.state_dict(), path)
    return path


def test_a_conversion_is_proven_and_written_down(squeezenet: Path, tmp_path: Path) -> None:
    said: list[str] = []
    certificate = convert_weights(squeezenet, tmp_path / "out", say=said.append)
    assert certificate.verified
    assert certificate.reference is not None
    assert certificate.reference.startswith("torchvision 0.")
    assert [(entry.height, entry.width) for entry in certificate.differences] == [(224, 224), (112, 144), (113, 145)]
    assert all(entry.largest < PORT_PARITY < entry.apart for entry in certificate.differences)
    assert (certificate.model, certificate.num_classes, certificate.matched) == ("squeezenet", 4, 52)
    stored = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert stored == json.loads(json.dumps(certificate.to_json()))
    assert stored["verified"] is True
    text = certificate.to_text()
    for line in ("network    squeezenet, 4 classes", "matched    52 tensors", "same function, within 0.0001"):
        assert line in text
    assert said[0] == f"Reading {squeezenet}"
    assert said[1] == "It holds torchvision's squeezenet1_0 with 4 classes"
    assert said[-1].startswith("Comparing with torchvision 0.")
    assert said[-1].endswith("'s squeezenet1_0 at 113x145")
    assert load_model(tmp_path / "out").num_classes == 4


@pytest.mark.parametrize("numerics", ["source", "keras"])
def test_numerics_decide(numerics: Any, mobilenet: Path, tmp_path: Path) -> None:
    certificate = convert_weights(mobilenet, tmp_path / "out", numerics=numerics)
    assert certificate.verified == (numerics == "source")
    assert (max(entry.largest for entry in certificate.differences) < PORT_PARITY) == (numerics == "source")
    if numerics == "keras":
        assert "another function: more than 0.0001 apart" in certificate.to_text()
        assert "the catalogue's, by --numerics keras" in certificate.to_text()
        assert max(entry.largest for entry in certificate.differences) > 10 * PORT_PARITY


def certificate_with(*differences: Difference) -> Certificate:
    empty: dict[str, Any] = {"missing": (), "left_out": (), "notes": (), "options": {}}
    contract = build_model("mobilenet_v1", 2, width=0.25).input_contract.to_json()
    return Certificate(
        source="a", format="b", model="c", num_classes=2, matched=3, numerics="source", input=contract,
        reference="d", differences=differences, **empty,
    )  # fmt: skip


def test_a_verdict_needs_pictures_that_tell() -> None:
    """Two pictures with equal logits would pass any network."""
    good, blind, wrong = Difference(9, 9, 1e-6, 0.5), Difference(9, 9, 0.0, 1e-5), Difference(9, 9, 1e-3, 0.5)
    assert certificate_with(good, good).verified
    assert not certificate_with().verified
    assert "the logits were not compared" in certificate_with().to_text()
    assert not certificate_with(good, blind).verified
    assert "nothing proven: the weights answer alike for every picture" in certificate_with(good, blind).to_text()
    assert not certificate_with(good, wrong).verified
    assert not certificate_with(Difference(9, 9, float("nan"), 0.5)).verified


def test_what_a_writer_changed_is_no_parity() -> None:
    good = certificate_with(Difference(9, 9, 1e-6, 0.5))
    for largest, verdict in ((1e-6, "the same function"), (1e-2, "what was written is another function than what was")):
        written: dict[str, Any] = {"framework": "timm", "differences": [{"height": 9, "width": 9, "largest": largest}]}
        certificate = replace(good, written=written)
        assert certificate.verified == (largest < PORT_PARITY)
        assert verdict in certificate.to_text()
        assert f"written    changed: 9x9, {largest:.1e} of the largest logit" in certificate.to_text()


@pytest.mark.parametrize("to", ["timm", "keras"])
def test_what_is_written_for_others_is_loaded_by_them(to: str, tmp_path: Path) -> None:
    """The certificate of a model of ours is the target framework's own answer to what was written."""
    torch.manual_seed(0)
    model = build_model("mobilenet_v1", 3, width=1.0 if to == "timm" else 0.25)
    if to == "timm":
        model.adopt(replace(model.input_contract, padding="symmetric", batch_norm_eps=1e-5))
    save_model(calibrate(model, 64), tmp_path / "in")  # type: ignore[arg-type] - the same model
    target = tmp_path / ("out" if to == "timm" else "out.weights.h5")
    certificate = convert_weights(tmp_path / "in", target, to=to)
    assert certificate.verified, certificate.to_text()
    assert certificate.reference is not None
    assert certificate.reference.startswith(f"{to} ")
    assert certificate.written["framework"] == to
    assert certificate_path(target).is_file()


def test_without_the_framework_it_says_how_to_get_it(
    squeezenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    certificate = convert_weights(squeezenet, tmp_path / "out")
    assert not certificate.verified
    assert certificate.unverified == 'torchvision is not installed. pip install "separable[bench]".'
    assert "against    nothing: torchvision is not installed" in certificate.to_text()


def test_the_reference_is_not_read_by_our_names(
    squeezenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that exchanged two layers of one shape would be found out."""
    port = next(port for port in PORTS if port.name == "torchvision squeezenet1_0")
    swap = {"features.3.expand1x1.weight": "features.4.expand1x1.weight"}
    swap |= {there: here for here, there in swap.items()}
    mutant = replace(port, names=lambda model: {o: swap.get(t, t) for o, t in port.names(model).items()})
    for module in ("ports.find", "conversion"):
        monkeypatch.setattr(f"separable.weights.{module}.PORTS", (mutant,))
    certificate = convert_weights(squeezenet, tmp_path / "out")
    assert certificate.reference is not None
    assert max(entry.largest for entry in certificate.differences) > 10 * PORT_PARITY


def test_our_own_models_are_held_against_themselves(tmp_path: Path) -> None:
    save_model(make_net(), tmp_path / "in")
    certificate = convert_weights(tmp_path / "in", tmp_path / "out")
    assert {entry.largest for entry in certificate.differences} == {0.0}
    assert certificate.format == "separable"
    with pytest.raises(
        UsageError, match=r"says itself which network it is\. Got: --model xception\. Expected: mobilenet_v1"
    ):
        convert_weights(tmp_path / "in", tmp_path / "other", model="xception")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    save_model(make_net(), tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(
        UsageError, match=r"out is already there, and nothing was written\. Expected: a new name, or an em"
    ):
        convert_weights(tmp_path / "in", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mine.txt"]
    with pytest.raises(UsageError, match=r"Unknown target 'onnx'\. Expected: separable or timm or keras"):
        convert_weights(tmp_path / "in", tmp_path / "new", to="onnx")
    with pytest.raises(UsageError, match=r"There is no .*nowhere\. Expected: a weight file, a model folder or a run"):
        convert_weights(tmp_path / "nowhere", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["state dict", "keras", "timm"])
def test_network_width_and_classes_are_told(kind: str, tmp_path: Path) -> None:
    net = make_net(7)
    if kind == "keras":
        file = write_h5(tmp_path / "net.h5", keras_layers(net))
    else:
        file = tmp_path / "net.pth"
        torch.save(net.state_dict() if kind == "state dict" else port_tensors(TIMM_MOBILENET_V1, net), file)
    options = {"width": 0.25} if kind == "state dict" else {}
    certificate = convert_weights(
        file, tmp_path / "out", model="mobilenet_v1" if options else None, options=options, verify=False
    )
    assert (certificate.model, certificate.num_classes, certificate.options) == ("mobilenet_v1", 7, {"width": 0.25})
    assert certificate.unverified is None
    back = load_model(tmp_path / "out")
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in back.state_dict().items())


def test_a_state_dict_of_ours_tells_its_network(tmp_path: Path) -> None:
    net = build_model("squeezenet", 3)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    assert convert_weights(tmp_path / "net.pth", tmp_path / "out", verify=False).model == "squeezenet"


def test_what_nobody_knows_is_said(tmp_path: Path) -> None:
    torch.save({"encoder.0.weight": torch.ones(3), "encoder.0.bias": torch.ones(3)}, tmp_path / "net.pth")
    message = r"does not tell which network it is\. Got: 2 names such as encoder\.0\.weight, .*with --model NAME"
    with pytest.raises(WeightsMismatchError, match=message):
        convert_weights(tmp_path / "net.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_timms_configuration_beside_the_weights_is_followed(mobilenet: Path, tmp_path: Path) -> None:
    """What it says of pictures, and of nothing else."""
    (tmp_path / "model.safetensors").symlink_to(mobilenet)
    cfg: dict[str, Any] = {
        "tag": "ra4_e3600_r224_in1k",
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "crop_pct": 0.9,
    }
    cfg |= {"input_size": [3, 192, 256], "interpolation": "bicubic"}
    config: dict[str, Any] = {"architecture": "mobilenetv1_100", "pretrained_cfg": cfg, "label_names": list("abcd")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = build_model("mobilenet_v1", 4)
    report = load_weights(model, tmp_path)
    contract = model.input_contract
    assert "taken as mobilenetv1_100.ra4_e3600_r224_in1k, by the config.json beside the file" in report.notes
    assert (contract.size, contract.mean, contract.std) == ((192, 256), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (contract.crop_fraction, contract.filter, contract.class_names) == (0.9, "bicubic", tuple("abcd"))
    assert (contract.padding, contract.batch_norm_eps) == ("symmetric", 1e-5)
    for broken, message in (({**cfg, "std": [0, 1, 1]}, r"config\.json: .*illegal std"), ("", "cannot be read")):
        text = json.dumps({**config, "pretrained_cfg": broken}) if broken else "{"
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(WeightsFormatError, match=message):
            load_weights(model, tmp_path)
        assert model.input_contract == contract


def test_no_file_and_no_link_is_written_over(tmp_path: Path) -> None:
    save_model(make_net(), tmp_path / "in")
    (tmp_path / "net.weights.h5.certificate.json").write_text("precious")
    with pytest.raises(UsageError, match=r"h5\.certificate\.json is already there, and nothing was written"):
        convert_weights(tmp_path / "in", tmp_path / "net.weights.h5", to="keras")
    assert (tmp_path / "net.weights.h5.certificate.json").read_text() == "precious"
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"link is a link to .*gone, which is not there, and nothing was written"):
        convert_weights(tmp_path / "in", tmp_path / "link")


def test_what_is_written_from_a_foreign_source_is_opened_too(mobilenet: Path, tmp_path: Path) -> None:
    certificate = convert_weights(mobilenet, tmp_path / "out", to="timm")
    assert certificate.verified, certificate.to_text()
    assert len(certificate.differences) == 6
    assert certificate.reference is not None
    assert "mobilenetv1_100; then what was written, in timm " in certificate.reference
    assert "how the pictures are prepared is assumed: equal logits do not show it" in certificate.to_text()


def test_what_a_keras_file_was_held_against_is_said(tmp_path: Path) -> None:
    net = calibrate(make_net(7), 64)
    assert isinstance(net, ImageModel)
    certificate = convert_weights(write_h5(tmp_path / "net.h5", keras_layers(net)), tmp_path / "out")
    assert certificate.verified, certificate.to_text()
    assert certificate.reference is not None
    assert certificate.reference.endswith("file's weights; the file's own head and input layers were not compared")
    layers = keras_layers(net)
    layers["dense"] = {
        name: value.reshape(value.shape[-2:] if value.ndim > 1 else value.shape)
        for name, value in layers.pop("conv_preds").items()
    }
    other = convert_weights(write_h5(tmp_path / "dense.h5", layers), tmp_path / "dense")
    assert other.unverified == "The file ends in a dense layer, and Keras' own MobileNet in a convolution."


def test_pictures_are_prepared_as_everywhere() -> None:
    pixels = structured_pixels(2, 40, 52)
    assert pixels.shape == (2, 40, 52, 3)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.abs(pixels[0].astype(int) - pixels[1]).mean() > 10
    for name in ("xception", "vgg16", "squeezenet"):
        with torch.device("meta"):
            contract = build_model(name).input_contract
        for order in ("RGB", "BGR"):
            given = replace(contract, colour_order=order)
            nchw = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            expected = normalise(nchw, given)
            assert torch.allclose(as_input(pixels, given), expected, atol=1e-6)
    assert certificate_sizes(given) == ((224, 224), (112, 144), (113, 145))
    assert certificate_sizes(given, fixed_size=True) == ((224, 224),)


def test_the_certificate_of_a_file_lies_beside_it(tmp_path: Path) -> None:
    assert certificate_path(tmp_path) == tmp_path / "certificate.json"
    assert certificate_path(tmp_path / "net.weights.h5") == tmp_path / "net.weights.h5.certificate.json"
