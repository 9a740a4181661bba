"""torchvision's GoogLeNet: the same logits from the same pixels, auxiliary heads included."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from separable.blocks.inception_v1 import GoogLeNetAux
from separable.data.preprocess import normalise
from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import create_model, load_model, load_weights, save_model
from separable.weights.ports.find import identify
from separable.weights.ports.googlenet import GOOGLENET
from separable.weights.ports.read import check_fixed, port_tensors
from tests.parity.torch_net import calibrate, distance, pictures, spread
from tests.peers import torchvision
from tests.tolerances import PORT_PARITY

IMAGENET_MEAN, IMAGENET_STD = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
SIZES = [(224, 224), (97, 150), (131, 67)]


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    network = torchvision.models.googlenet(
        weights=None, num_classes=7, aux_logits=True, transform_input=True, init_weights=False
    )
    return calibrate(network)


@pytest.fixture(scope="module")
def file(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torchvision") / "googlenet-1378be20.pth"
    torch.save(theirs.state_dict(), path)
    return path


@pytest.fixture
def ours(file: Path) -> ImageModel:
    return create_model("inception_v1", weights=file, batch_norm=True, five_by_five=False).eval()


def pixels_of(size: tuple[int, int]) -> Tensor:
    return ((pictures(*size) + 1) * 127.5).round().to(torch.uint8)


def by_their_transform(pixels: Tensor) -> Tensor:
    """What torchvision.transforms make of a picture."""
    normalised: Tensor = (pixels / 255 - IMAGENET_MEAN[:, None, None]) / IMAGENET_STD[:, None, None]
    return normalised


def both(theirs: nn.Module, ours: ImageModel, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    pixels = pixels_of(size)
    with torch.no_grad():
        return ours(normalise(pixels, ours.input_contract)), theirs(by_their_transform(pixels))


@pytest.mark.parametrize("size", SIZES)
def test_torchvisions_logits_from_the_same_pixels(size: tuple[int, int], theirs: nn.Module, ours: ImageModel) -> None:
    got, expected = both(theirs, ours, size)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(got, expected) < PORT_PARITY


def _border(name: str) -> Callable[[ImageModel], None]:
    return lambda model: model.adopt(replace(model.input_contract, padding=name))


def _epsilon(model: ImageModel) -> None:
    model.adopt(replace(model.input_contract, batch_norm_eps=1e-5))


def _large_last_pool(model: ImageModel) -> None:
    model.get_submodule("pool4").kernel = 3  # type: ignore[assignment] - a plain attribute


def _imagenet_input(model: ImageModel) -> None:
    model.adopt(replace(model.input_contract, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))


@pytest.mark.parametrize(
    ("size", "mutate"),
    [
        ((224, 224), _epsilon),
        ((224, 224), _border("tf_same")),  # the first convolution; on even maps its pools are Caffe's
        ((224, 224), _border("symmetric")),  # the pools
        ((131, 67), _border("tf_same")),
        ((224, 224), _large_last_pool),
        ((97, 150), _imagenet_input),
    ],
    ids=["eps", "tf_same-even", "symmetric", "tf_same-odd", "pool4", "input"],
)
def test_the_mistakes_of_ports_would_be_seen(
    size: tuple[int, int], mutate: Callable[[ImageModel], None], theirs: nn.Module, ours: ImageModel
) -> None:
    mutate(ours)
    got, expected = both(theirs, ours, size)
    assert distance(got, expected) > 10 * PORT_PARITY


@pytest.mark.parametrize("grid", [14, 9])
def test_the_auxiliary_heads_are_read_too(grid: int, theirs: nn.Module, file: Path) -> None:
    model = build_model("inception_v1", 7, batch_norm=True, five_by_five=False, aux_head=True).eval()
    report = load_weights(model, file)
    assert report.missing == report.unexpected == ()
    for name, channels, their_name in (("aux_head1", 512, "aux1"), ("aux_head2", 528, "aux2")):
        x = torch.rand(2, channels, grid, grid, generator=torch.Generator().manual_seed(0))
        head = model.get_submodule(name)
        assert isinstance(head, GoogLeNetAux)
        with torch.no_grad():
            expected = theirs.get_submodule(their_name)(x)
            assert distance(head(x), expected) < PORT_PARITY
            head.adaptive = False  # the paper's 5x5/3 pool is another one
            assert distance(head(x), expected) > 10 * PORT_PARITY


def test_both_train_on_the_same_three_answers(theirs: nn.Module, file: Path) -> None:
    """Order aside: torchvision's tuple has 4d's head before 4a's."""
    model = build_model("inception_v1", 7, batch_norm=True, five_by_five=False, aux_head=True, dropout=0, aux_dropout=0)
    load_weights(model, file)
    pixels = pixels_of((96, 96))
    network = torchvision.models.googlenet(
        num_classes=7, transform_input=True, init_weights=False, dropout=0.0, dropout_aux=0.0
    )
    network.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        expected = network.train()(by_their_transform(pixels))
        got = model.train()(normalise(pixels, model.input_contract))
    for ours, other in zip(got, (expected.logits, expected.aux_logits1, expected.aux_logits2), strict=True):
        assert distance(ours, other) < PORT_PARITY


def test_the_contract_is_torchvisions_and_is_kept(ours: ImageModel, tmp_path: Path) -> None:
    contract = ours.input_contract
    assert (contract.padding, contract.batch_norm_eps, contract.mean) == ("caffe", 1e-3, (0.5, 0.5, 0.5))
    assert (contract.size, contract.crop_fraction * 256, contract.min_size) == ((224, 224), 224, 32)
    save_model(ours, tmp_path)
    again = load_model(tmp_path)
    assert again.input_contract == contract
    x = pictures(67, 80)
    with torch.no_grad():
        assert torch.equal(again.eval()(x), ours(x))


def test_a_file_names_its_network_and_is_written_back(theirs: nn.Module, ours: ImageModel) -> None:
    found = identify(theirs.state_dict())
    assert found is not None
    assert (found.port, found.num_classes, found.differences) == (GOOGLENET, 7, 0)
    assert found.options == {"batch_norm": True, "gamma": True, "five_by_five": False, "aux_head": True}
    written = port_tensors(GOOGLENET, ours)
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in written.items())
    with pytest.raises(WeightsMismatchError, match=r"torchvision has no googlenet like this.*batch_norm=False"):
        check_fixed(GOOGLENET, build_model("inception_v1", 2, width=0.1))


def test_a_file_for_the_paper_s_own_network_is_refused(file: Path) -> None:
    with pytest.raises(WeightsMismatchError):
        load_weights(build_model("inception_v1", 7), file)
