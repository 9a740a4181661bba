"""Files of timm, Cadene, FaceForensics: every disguise of one network, read with its own numerics, and written back."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from separable.blocks.pool import MaxPool
from separable.errors import UsageError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import create_model, load_model, load_weights, save_model
from separable.weights.ports import PORTS
from separable.weights.ports.find import identify
from separable.weights.ports.legacy_xception import LEGACY_XCEPTION
from separable.weights.ports.read import check_fixed, port_tensors
from tests.parity.torch_net import calibrate, distance, pictures, spread
from tests.peers import timm
from tests.tolerances import PORT_PARITY

SIZES = [(150, 150), (128, 171)]  # even maps and odd ones: the pools of the port differ on the even ones alone


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    return calibrate(timm.create_model("legacy_xception", num_classes=7))


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


def test_kerass_numerics_are_another_function(theirs: nn.Module, file: Path) -> None:
    """Why the numerics travel with the weights: epsilon and the pools' windows each exceed the tolerance tenfold."""
    model = build_model("xception", 7).eval()
    load_weights(model, file, numerics="keras")
    assert (model.input_contract.padding, model.input_contract.batch_norm_eps) == ("tf_same", 1e-3)
    assert model.input_contract.crop_fraction == 0.8975  # how pictures are prepared is not numerics
    expected = logits(theirs, (150, 150))
    assert distance(logits(model, (150, 150)), expected) > 10 * PORT_PARITY
    for change in ("eps", "border"):
        load_weights(model, file)
        for layer in model.modules():
            if change == "eps" and isinstance(layer, nn.BatchNorm2d):
                layer.eps = 1e-3
            if change == "border" and isinstance(layer, MaxPool):
                layer.set_border("tf_same")
        assert distance(logits(model, (150, 150)), expected) > 10 * PORT_PARITY, change
    with pytest.raises(UsageError, match=r"Unknown value for numerics\. Got: timm\. Expected: source or keras"):
        load_weights(model, file, numerics="timm")  # type: ignore[arg-type] - the mistake under test


def test_the_numerics_are_saved_and_come_back(ours: ImageModel, tmp_path: Path) -> None:
    contract = ours.input_contract
    assert (contract.padding, contract.batch_norm_eps, contract.filter) == ("symmetric", 1e-5, "bicubic")
    assert (contract.size, contract.min_size, contract.class_names) == ((299, 299), 71, ())
    save_model(ours, tmp_path)
    again = load_model(tmp_path)
    assert again.input_contract == contract
    assert torch.equal(logits(again, (150, 150)), logits(ours, (150, 150)))


def two_dimensional(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value[:, :, 0, 0] if "pointwise" in name else value for name, value in weights.items()}


def with_last_linear(weights: Mapping[str, Tensor], name: str = "last_linear") -> dict[str, Tensor]:
    return {key.replace("fc.", f"{name}."): value for key, value in weights.items()}


def prefixed(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in weights.items()}


DISGUISES = {
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
def test_every_disguise_is_seen_through(disguise: str, theirs: nn.Module, ours: ImageModel, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(DISGUISES[disguise](theirs.state_dict()), path)
    model = build_model("xception", 7).eval()
    report = load_weights(model, path)
    assert report.format == "timm legacy_xception"
    assert report.missing == ()
    assert report.unexpected == (("adjust_channel.0.weight",) if disguise == "deepfakebench" else ())
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in model.state_dict().items())
    assert model.input_contract == ours.input_contract


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


def test_another_networks_file_is_called_by_its_name(file: Path) -> None:
    model = build_model("mobilenet_v1", 7, width=0.25)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        WeightsMismatchError,
        match=r"not for this mobilenet_v1.*Got: the names of timm's legacy_xception.*Build xception",
    ):
        load_weights(model, file)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_network_that_timm_does_not_have_is_refused() -> None:
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
