"""torchvision's and timm's Inception V3: one set of names, several sets of weights, and how each is told."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from separable.blocks.pool import AveragePool
from separable.data.preprocess import normalise
from separable.errors import UsageError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import create_model, load_model, load_weights, save_model
from separable.weights.ports.find import identify
from separable.weights.ports.inception_v3 import TIMM_INCEPTION_V3, TORCHVISION_INCEPTION_V3
from separable.weights.ports.read import check_fixed, port_tensors
from tests.parity.torch_net import calibrate, distance, pictures, spread
from tests.peers import timm, torchvision
from tests.tolerances import PORT_PARITY

IMAGENET_MEAN, IMAGENET_STD = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    network = torchvision.models.inception_v3(
        weights=None, num_classes=7, aux_logits=True, transform_input=True, init_weights=False
    )
    aux, network.AuxLogits = network.AuxLogits, None  # in training it would want pictures of 299
    calibrate(network, 107, count=2)
    network.AuxLogits = aux
    return network.eval()


@pytest.fixture(scope="module")
def file(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torchvision") / "inception_v3_google-0cc3c7bd.pth"
    torch.save(theirs.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def narrow() -> ImageModel:
    """A narrow one of ours: what names and shapes show needs no more."""
    torch.manual_seed(0)
    return build_model("inception_v3", 7, width=0.125, gamma=True)


@pytest.fixture(scope="module")
def narrow_file(narrow: ImageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("narrow") / "net.pth"
    torch.save(port_tensors(TIMM_INCEPTION_V3, narrow), path)
    return path


@pytest.fixture(scope="module")
def ours(file: Path) -> ImageModel:
    return create_model("inception_v3", weights=file, gamma=True).eval()


def by_their_transform(levels: Tensor) -> Tensor:
    """What torchvision.transforms do to pixels of [0, 1]."""
    normalised: Tensor = (levels - IMAGENET_MEAN[:, None, None]) / IMAGENET_STD[:, None, None]
    return normalised


@pytest.mark.parametrize("size", [(107, 150)])
def test_torchvisions_logits_from_the_same_pixels(size: tuple[int, int], theirs: nn.Module, ours: ImageModel) -> None:
    """From uint8 pictures on, so that its input transform is seen too."""
    pixels = ((pictures(*size) + 1) * 127.5).round().to(torch.uint8)
    with torch.no_grad():
        expected = theirs(by_their_transform(pixels / 255))
        got = ours(normalise(pixels, ours.input_contract))
        wrong_input = ours(by_their_transform(pixels / 255))
        contract = ours.input_contract
        ours.adopt(replace(contract, counts_padding=False))
        wrong_pool = ours(normalise(pixels, ours.input_contract))
        ours.adopt(contract)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(got, expected) < PORT_PARITY
    assert distance(wrong_pool, expected) > 10 * PORT_PARITY
    assert distance(wrong_input, expected) > 10 * PORT_PARITY


def test_the_auxiliary_head_is_read_too(theirs: nn.Module, file: Path, narrow: ImageModel, tmp_path: Path) -> None:
    with torch.device("meta"):
        names = TORCHVISION_INCEPTION_V3.names(build_model("inception_v3", 7, gamma=True, aux_head=True))
    assert set(names.values()) == {name for name in theirs.state_dict() if not name.endswith("num_batches_tracked")}
    model = create_model("inception_v3", weights=file, gamma=True, aux_head=True).eval()
    grid = torch.rand(2, 768, 17, 17, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs.get_submodule("AuxLogits")(grid)
        assert distance(model.get_submodule("aux_head")(grid), expected) < PORT_PARITY
    aux = {name: value for name, value in theirs.state_dict().items() if name.startswith("AuxLogits.")}
    torch.save({**port_tensors(TORCHVISION_INCEPTION_V3, narrow), **aux}, tmp_path / "narrow.pth")
    without = load_weights(narrow, tmp_path / "narrow.pth")
    assert len(without.unexpected) == 12
    assert "AuxLogits, which this network has no place for, was left out" in without.notes


def test_the_contract_is_torchvisions_and_is_kept(narrow: ImageModel, narrow_file: Path, tmp_path: Path) -> None:
    load_weights(narrow, narrow_file, release="torchvision")
    contract = narrow.input_contract
    assert (contract.batch_norm_eps, contract.counts_padding, contract.mean) == (1e-3, True, (0.5, 0.5, 0.5))
    assert (contract.size, round(299 / contract.crop_fraction), contract.filter) == ((299, 299), 342, "bilinear")
    save_model(narrow, tmp_path)
    again = load_model(tmp_path)
    assert again.input_contract == contract
    assert all(module.counts_padding for module in again.modules() if isinstance(module, AveragePool))


@pytest.mark.parametrize(
    ("name", "release", "format_", "mean", "crop", "note"),
    [
        ("inception_v3_google-0cc3c7bd.pth", None, "torchvision", 0.5, 299 / 342, "taken as IMAGENET1K_V1, by the"),
        ("gluon_inception_v3-9f746940.pth", None, "timm", 0.485, 0.875, "taken as inception_v3.gluon_in1k, by the"),
        ("inception_v3.tf_adv_in1k.bin", None, "timm", 0.5, 0.875, "taken as inception_v3.tf_adv_in1k, by the"),
        ("mine.pth", "gluon_in1k", "timm", 0.485, 0.875, "taken as inception_v3.gluon_in1k, as was asked for"),
        ("mine.pth", "timm", "timm", 0.5, 0.875, "does not say which of inception_v3.tv_in1k or inception_v3.tf_in1k"),
        ("mine.pth", "transform_input=False", "torchvision", 0.485, 299 / 342, "as was asked for"),
        ("mine.pth", None, "torchvision", 0.5, 299 / 342, "taken as torchvision inception_v3: a file of timm incep"),
    ],
)
def test_which_weights_they_are_is_told_and_said(
    name: str,
    release: str | None,
    format_: str,
    mean: float,
    crop: float,
    note: str,
    narrow: ImageModel,
    narrow_file: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / name
    path.symlink_to(narrow_file)
    model = narrow
    report = load_weights(model, path, release=release)
    assert report.format == f"{format_} inception_v3"
    assert model.input_contract.mean[0] == mean
    assert model.input_contract.crop_fraction == crop
    assert any(note in line for line in report.notes), report.notes
    with pytest.raises(UsageError, match=r"no release 'v9'\. Expected: torchvision or IMAGENET1K_V1 or .*tf_in1k"):
        load_weights(model, path, release="v9")


def test_timms_network_is_the_same_function(ours: ImageModel) -> None:
    network = timm.create_model("inception_v3", num_classes=7).eval()
    network.load_state_dict(port_tensors(TIMM_INCEPTION_V3, ours))
    x = pictures(107, 150)
    with torch.no_grad():
        assert distance(ours(x), network(x)) < PORT_PARITY


def changed_gamma(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**tensors, "Conv2d_1a_3x3.bn.weight": tensors["Conv2d_1a_3x3.bn.weight"] + 1}


def test_a_gamma_of_one_needs_no_place(narrow: ImageModel, tmp_path: Path) -> None:
    """timm's port of TF-slim's weights has a gamma of 1, where slim has none."""
    plain = build_model("inception_v3", 7, width=0.125)
    file = tmp_path / "gamma.pth"
    torch.save(changed_gamma(port_tensors(TIMM_INCEPTION_V3, narrow)), file)
    with pytest.raises(WeightsMismatchError, match=r"has a gamma in Conv2d_1a_3x3\.bn\.weight.*with gamma=True"):
        load_weights(plain, file)
    tensors = port_tensors(TIMM_INCEPTION_V3, plain)
    torch.save(tensors, tmp_path / "tf_inception_v3-e0069de4.pth")
    again = build_model("inception_v3", 7, width=0.125)
    report = load_weights(again, tmp_path / "tf_inception_v3-e0069de4.pth")
    assert "the file's gamma is 1 everywhere, and was left out" in report.notes
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in plain.state_dict().items())


def test_options_are_told_from_the_names(theirs: nn.Module) -> None:
    found = identify(theirs.state_dict())
    assert found is not None
    assert (found.port, found.num_classes, found.differences) == (TORCHVISION_INCEPTION_V3, 7, 0)
    assert found.options == {"gamma": True, "aux_head": True}


@pytest.mark.parametrize(
    "option", [{"stem": "151"}, {"n": 3}, {"pool": "max"}, {"activation": "relu6"}, {"bias": True}]
)
def test_networks_that_neither_has_are_not_written(option: dict[str, object]) -> None:
    """The stem, the pools and the activation leave no trace in names and shapes."""
    model = build_model("inception_v3", 2, width=0.1, **option)
    ((name, value),) = option.items()
    with pytest.raises(WeightsMismatchError, match=rf"has no inception_v3 like this.*{name}={value}"):
        check_fixed(TIMM_INCEPTION_V3, model)
