"""Files of timm, Cadene, FaceForensics: every disguise of one network, read with its own numerics, and written back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from separable.blocks.pool import MaxPool
from separable.errors import UsageError, WeightsFormatError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import create_model, load_model, load_weights, save_model
from separable.weights.ports import PORTS
from separable.weights.ports.find import identify
from separable.weights.ports.legacy_xception import LEGACY_XCEPTION
from separable.weights.ports.port import Port
from separable.weights.ports.read import check_fixed, port_tensors
from tests.parity.torch_net import calibrate, distance, pictures, spread
from tests.peers import timm
from tests.tolerances import PORT_PARITY
from tests.weights.conftest import Refuses

SIZES = [(150, 150), (128, 171)]  # even maps and odd ones: the pools of the port differ on the even ones alone


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    return calibrate(timm.create_model("legacy_xception", num_classes=7), 96, count=3)


@pytest.fixture(scope="module")
def file(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    safetensors.torch.save_file(theirs.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def ours(file: Path) -> ImageModel:
    return create_model("xception", weights=file).eval()


def logits(network: nn.Module, size: tuple[int, int]) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(pictures(*size))
    return found


@pytest.mark.parametrize("size", SIZES)
def test_legacy_xception_gives_timms_logits(size: tuple[int, int], theirs: nn.Module, ours: ImageModel) -> None:
    expected = logits(theirs, size)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(logits(ours, size), expected) < PORT_PARITY


def test_kerass_numerics_are_another_function(theirs: nn.Module, ours: ImageModel) -> None:
    """Why the numerics travel with the weights: epsilon and the pools' windows each exceed the tolerance tenfold."""
    contract, expected = ours.input_contract, logits(theirs, (150, 150))
    for change in ({"batch_norm_eps": 1e-3}, {"padding": "tf_same"}):
        ours.adopt(replace(contract, **change))  # type: ignore[arg-type] - each value fits its field
        assert distance(logits(ours, (150, 150)), expected) > 10 * PORT_PARITY, change
    ours.adopt(contract)
    assert distance(logits(ours, (150, 150)), expected) < PORT_PARITY


@pytest.fixture(scope="module")
def narrow() -> ImageModel:
    """A narrow, shallow Xception of ours: what names and shapes show needs no more."""
    return make_narrow(1)


def make_narrow(seed: int) -> ImageModel:
    torch.manual_seed(seed)
    model = build_model("xception", 3, width=0.0625, middle_blocks=1).eval()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if ".bn." in name and value.is_floating_point():
                value.uniform_(0.5, 1.5)
    return model


def same(model: ImageModel, other: ImageModel) -> bool:
    state = other.state_dict()
    return all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_kerass_numerics_can_be_asked_for(narrow: ImageModel, tmp_path: Path) -> None:
    torch.save(port_tensors(LEGACY_XCEPTION, narrow), tmp_path / "w.pth")
    model = make_narrow(2)
    load_weights(model, tmp_path / "w.pth", numerics="keras")
    assert (model.input_contract.padding, model.input_contract.batch_norm_eps) == ("tf_same", 1e-3)
    assert model.input_contract.crop_fraction == 0.8975  # how pictures are prepared is not numerics
    assert {module.eps for module in model.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}
    made = create_model("xception", 9, tmp_path / "w.pth", numerics="keras", width=0.0625, middle_blocks=1)
    assert made.input_contract.padding == "tf_same"
    with pytest.raises(UsageError, match=r"Unknown value for numerics\. Got: timm\. Expected: source or keras"):
        load_weights(model, tmp_path / "w.pth", numerics="timm")  # type: ignore[arg-type] - the mistake under test


def test_the_numerics_are_saved_and_come_back(narrow: ImageModel, tmp_path: Path) -> None:
    torch.save(port_tensors(LEGACY_XCEPTION, narrow), tmp_path / "w.pth")
    model = create_model("xception", weights=tmp_path / "w.pth", width=0.0625, middle_blocks=1).eval()
    contract = model.input_contract
    assert (contract.padding, contract.batch_norm_eps, contract.filter) == ("symmetric", 1e-5, "bicubic")
    assert (contract.size, contract.min_size, contract.class_names) == ((299, 299), 71, ())
    save_model(model, tmp_path / "saved")
    again = load_model(tmp_path / "saved")
    assert again.input_contract == contract
    assert {layer.border for layer in again.modules() if isinstance(layer, MaxPool)} == {"symmetric"}
    assert torch.equal(logits(again, (100, 110)), logits(model, (100, 110)))


def two_dimensional(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value[:, :, 0, 0] if "pointwise" in name else value for name, value in weights.items()}


def with_last_linear(weights: Mapping[str, Tensor], name: str = "last_linear") -> dict[str, Tensor]:
    return {key.replace("fc.", f"{name}."): value for key, value in weights.items()}


def prefixed(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in weights.items()}


DISGUISES: dict[str, Callable[[dict[str, Tensor]], dict[str, Any]]] = {
    "plain": lambda weights: weights,
    "first file of the port": two_dimensional,
    "cadene": with_last_linear,
    "faceforensics": lambda weights: prefixed(with_last_linear(weights, "last_linear.1"), "model."),
    "data parallel": lambda weights: {"state_dict": prefixed(weights, "module."), "epoch": 3},
    "lightning": lambda weights: {"model": {"state_dict": prefixed(weights, "module.model.")}},
    "deepfakebench": lambda weights: prefixed(
        {**with_last_linear(weights), "adjust_channel.0.weight": torch.zeros(512, 2048, 1, 1)}, "backbone."
    ),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_every_disguise_is_seen_through(disguise: str, narrow: ImageModel, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(DISGUISES[disguise](port_tensors(LEGACY_XCEPTION, narrow)), path)
    model = make_narrow(2)
    report = load_weights(model, path)
    assert report.format == "timm legacy_xception"
    assert report.missing == ()
    assert report.unexpected == (("adjust_channel.0.weight",) if disguise == "deepfakebench" else ())
    assert same(model, narrow)
    contract = model.input_contract
    assert (contract.padding, contract.batch_norm_eps) == ("symmetric", 1e-5)
    side, resize = (256, "squash") if disguise == "deepfakebench" else (299, "shorter")
    assert (contract.size, contract.resize) == ((side, side), resize)


def without(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in weights.items() if key != name}


def changed(weights: dict[str, Tensor], name: str, value: Tensor) -> dict[str, Tensor]:
    return {**weights, name: value}


LATE = "block3.skipbn.running_var"
WRONG: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = {
    "missing key": (
        lambda w: without(w, LATE),
        rf"nothing was loaded\. Got: missing: {LATE}\. Expected: the weights of",
    ),
    "extra key": (
        lambda w: changed(w, "block13.rep.0.conv1.weight", torch.ones(1)),
        r"Got: unexpected: block13\.rep\.0\.conv1\.weight\. ",
    ),
    "shape off": (
        lambda w: changed(w, "conv3.pointwise.weight", torch.ones(9, 64, 1, 1)),
        r"of another shape: block14\.sepconv1\.pointwise\.weight \(9, 64, 1, 1\) for \(96, 64, 1, 1\)",
    ),
    "not finite": (
        lambda w: changed(w, LATE, w[LATE] * torch.nan),
        r"has NaN or infinite numbers\. Got: block4\.short",
    ),
    "classes": (lambda w: changed(w, "fc.weight", torch.ones(5, 128)), r"has a classifier of 5 classes\. Expected: 3"),
    "another network": (
        lambda _: port_tensors(find_port("timm mobilenetv1"), build_model("mobilenet_v1", 3, width=0.25)),
        r"not for this xception, and nothing was loaded\. Got: the names of timm's mobilenetv1_.*Build mobilenet_v1",
    ),
    "no sides": (
        lambda w: changed(w, "conv3.pointwise.weight", torch.ones(())),
        r"of another shape: block14\.sepconv1",
    ),
    "whole numbers": (
        lambda w: changed(w, LATE, torch.ones_like(w[LATE], dtype=torch.int8)),
        r"has no floating-point numbers where weights belong\. Got: block4\.shortcut\.bn\.running_var of type int8",
    ),
    "nobody's": (
        lambda _: {"encoder.0.weight": torch.ones(3)},
        r"does not fit this xception.*unexpected: encoder\.0\.wei",
    ),
}


def find_port(beginning: str) -> Port:
    return next(port for port in PORTS if port.name.startswith(beginning))


@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_files_are_named_and_leave_no_trace(
    mistake: str, narrow: ImageModel, tmp_path: Path, refuses: Refuses
) -> None:
    change, message = WRONG[mistake]
    torch.save(change(port_tensors(LEGACY_XCEPTION, narrow)), tmp_path / "weights.pth")
    refuses(tmp_path / "weights.pth", WeightsMismatchError, message, make_narrow(2))


class Malicious:
    """A pickle that would write a file when read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (self.path, "w"))


def test_damaged_and_hostile_files(narrow: ImageModel, tmp_path: Path, refuses: Refuses) -> None:
    weights = port_tensors(LEGACY_XCEPTION, narrow)
    for name, save in (("w.pth", torch.save), ("w.safetensors", safetensors.torch.save_file)):
        save(weights, tmp_path / name)
        cut = tmp_path / f"cut-{name}"
        cut.write_bytes((tmp_path / name).read_bytes()[:-2000])
        refuses(cut, WeightsFormatError, rf"cut-{name}.*(truncated|damaged)", make_narrow(2))
    torch.save({**weights, "run me": Malicious(tmp_path / "ran")}, tmp_path / "bad.pth")
    message = r"bad\.pth is a pickle that would run code when read, and was not read\. Got: a call of \w*\.?open"
    refuses(tmp_path / "bad.pth", WeightsFormatError, message, make_narrow(2))
    assert not (tmp_path / "ran").exists()


def test_what_is_written_is_what_was_read(theirs: nn.Module, ours: ImageModel) -> None:
    written = port_tensors(LEGACY_XCEPTION, ours)
    expected = {name: value for name, value in theirs.state_dict().items() if "num_batches" not in name}
    assert written.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in written.items())


def test_the_network_is_told_from_names_and_shapes(theirs: nn.Module) -> None:
    found = identify(theirs.state_dict())
    assert found is not None
    assert (str(found), found.model, found.num_classes, found.differences) == (
        "timm's legacy_xception",
        "xception",
        7,
        0,
    )
    assert identify({"conv1.weight": torch.zeros(1)}) is None


def test_a_network_that_timm_does_not_have_is_refused() -> None:
    with torch.device("meta"):
        check_fixed(LEGACY_XCEPTION, build_model("xception", 7))
    with pytest.raises(
        WeightsMismatchError, match=r"timm has no legacy_xception like this\. Got: width=0\.5\. Expected: wi"
    ):
        check_fixed(LEGACY_XCEPTION, build_model("xception", 7, width=0.5))


def test_every_port_names_every_entry_once() -> None:
    for port in PORTS:
        for name in port.models:
            with torch.device("meta"):
                model = build_model(name)
            names = port.names(model)
            state = {key for key in model.state_dict() if not key.endswith("num_batches_tracked")}
            assert set(names) == state, port.name
            assert len(set(names.values())) == len(names), port.name
            assert set(port.transforms(model)) <= state, port.name
