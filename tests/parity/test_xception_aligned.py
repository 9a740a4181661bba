"""Xception-41, -65 and -71 beside timm's: logits, features, output strides, and the mistakes that would be seen."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from separable.blocks.conv import ConvBN
from separable.blocks.separable import SeparableConv2d
from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import create_model, load_weights
from separable.weights.ports.xception_aligned import XCEPTION_ALIGNED
from tests.parity.torch_net import calibrate, distance, pictures, spread
from tests.peers import timm
from tests.tolerances import PORT_PARITY

NAMES = ["xception41", "xception65", "xception71"]
SIZES = [(75, 75), (128, 171), (299, 299)]
Pair = tuple[nn.Module, ImageModel]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file of a calibrated network of timm's."""
    folder = tmp_path_factory.mktemp("timm")

    def get(name: str) -> Path:
        path = folder / f"{name}.safetensors"
        if not path.exists():
            safetensors.torch.save_file(calibrate(timm.create_model(name, num_classes=7)).state_dict(), path)
        return path

    return get


@pytest.fixture(scope="module")
def pair(file: Callable[[str], Path]) -> Callable[..., Pair]:
    """timm's network and ours with the weights of one file, at one output stride."""
    made: dict[tuple[str, int], Pair] = {}

    def get(name: str, output_stride: int = 32) -> Pair:
        key = (name, output_stride)
        if key not in made:
            theirs = timm.create_model(name, num_classes=7, output_stride=output_stride).eval()
            theirs.load_state_dict(safetensors.torch.load_file(file(name)))
            made[key] = theirs, create_model(name, weights=file(name), output_stride=output_stride).eval()
        return made[key]

    return get


def logits(network: nn.Module, size: tuple[int, int]) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(pictures(*size))
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_timms_logits(name: str, size: tuple[int, int], pair: Callable[..., Pair]) -> None:
    theirs, ours = pair(name)
    expected = logits(theirs, size)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(logits(ours, size), expected) < PORT_PARITY


@pytest.mark.parametrize(
    ("name", "output_stride"), [("xception41", 8), ("xception41", 16), ("xception65", 16), ("xception71", 16)]
)
def test_timms_dilated_features(name: str, output_stride: int, pair: Callable[..., Pair]) -> None:
    theirs, ours = pair(name, output_stride)
    x = pictures(97, 128)
    with torch.no_grad():
        expected, got = theirs.forward_features(x), ours.forward_features(x)
    assert got.shape[2:] == (-(-97 // output_stride), 128 // output_stride)
    assert distance(got, expected) < PORT_PARITY


def test_timms_xception71_loses_a_shortcut_at_stride_8() -> None:
    """DeepLab convolves the shortcut of every entry module; timm's goes where a stride was all that it was for."""
    theirs = {stride: timm.create_model("xception71", output_stride=stride).state_dict() for stride in (8, 16)}
    with torch.device("meta"):
        ours = build_model("xception71", output_stride=8)
    assert {key for key in theirs[16] if key not in theirs[8] and "num" not in key} == {
        f"blocks.4.shortcut.{name}"
        for name in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    }
    assert "entry5.shortcut.conv.weight" in ours.state_dict()
    assert XCEPTION_ALIGNED.arguments(build_model("xception71", 0, width=0.02, output_stride=16)) == {
        "output_stride": 16
    }
    with pytest.raises(WeightsMismatchError, match=r"loses the shortcut .*Got: output_stride=8\. Expected: 16 or 32"):
        XCEPTION_ALIGNED.arguments(ours)


def test_timms_maps_inside_the_modules(pair: Callable[..., Pair]) -> None:
    """timm's pyramid is taken before each strided convolution, our `act3`; block by block both are the same."""
    theirs, ours = pair("xception65")
    seen: dict[str, Tensor] = {}
    for tap, block in enumerate(("entry1", "entry2", "entry3", "exit1")):
        ours.get_submodule(f"{block}.act3").register_forward_hook(
            lambda _m, _i, out, tap=tap: seen.update({str(tap): out})
        )
    with torch.no_grad():
        last, expected = theirs.forward_intermediates(pictures(128, 97))
        features = ours.forward_features(pictures(128, 97))
    for tap, wanted in enumerate(expected[:4]):
        assert distance(seen[str(tap)], wanted) < PORT_PARITY, tap
    assert distance(features, last) < PORT_PARITY


def _tf_borders(model: ImageModel) -> None:
    model.adopt(replace(model.input_contract, padding="tf_same"))


def _torch_epsilon(model: ImageModel) -> None:
    model.adopt(replace(model.input_contract, batch_norm_eps=1e-5))


def _activated_depthwise(model: ImageModel) -> None:
    """The paper's sentence taken at its word: ReLU after each depthwise convolution, not the last module's alone."""
    for module in model.modules():
        if isinstance(module, SeparableConv2d) and module.act is None:
            module.act = nn.ReLU()


def _activated_shortcut(model: ImageModel) -> None:
    for name, module in model.named_modules():
        if isinstance(module, ConvBN) and name.endswith("shortcut"):
            module.act = nn.ReLU()


@pytest.mark.parametrize("mutate", [_tf_borders, _torch_epsilon, _activated_depthwise, _activated_shortcut])
def test_the_known_mistakes_are_seen(mutate: Callable[[ImageModel], None], pair: Callable[..., Pair]) -> None:
    theirs, ours = pair("xception41")
    mutant = deepcopy(ours)
    mutate(mutant)
    assert distance(logits(mutant, (128, 171)), logits(theirs, (128, 171))) > 10 * PORT_PARITY


TAGS = ["xception41.tf_in1k", "xception65.tf_in1k", "xception65.ra3_in1k", "xception71.tf_in1k"]


@pytest.mark.parametrize("tag", TAGS)
def test_pictures_are_prepared_as_timm_says(tag: str, file: Callable[[str], Path]) -> None:
    published, name = timm.get_pretrained_cfg(tag), tag.partition(".")[0]
    model = build_model(name, 7)
    load_weights(model, file(name), release=tag if name == "xception65" else None)
    contract = model.input_contract
    assert contract.size == published.input_size[1:] == (299, 299)
    assert (contract.mean, contract.std) == (published.mean, published.std)
    assert (contract.crop_fraction, contract.filter) == (published.crop_pct, published.interpolation)
    assert (contract.resize, published.crop_mode) == ("shorter", "center")
    assert (contract.batch_norm_eps, contract.padding) == (1e-3, "symmetric")
