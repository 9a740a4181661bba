"""Inception-v4 beside timm's, Inception-ResNet-v2 beside timm's and Keras', and the mistakes that would be seen.

All strided layers of these networks are unpadded, so no border rule can tell the ports apart; epsilon, averages and the
residuals' scales can.
"""

import inspect
import math
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from separable.blocks.inception_resnet import ScaledResidual
from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model, model_spec
from separable.weights import create_model, load_weights
from tests.parity.keras_net import KerasNet, picture_tensor
from tests.parity.torch_net import calibrate, distance, pictures, spread
from tests.peers import timm
from tests.tolerances import KERAS_PARITY, PORT_PARITY

NAMES = ["inception_v4", "inception_resnet_v2"]
SIZES = [(75, 75), (128, 171), (150, 97), (299, 299)]
both = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[nn.Module, ImageModel]]:
    """timm's network, and ours with the weights read from a file that timm's would be saved in."""
    made: dict[str, tuple[nn.Module, ImageModel]] = {}

    def get(name: str) -> tuple[nn.Module, ImageModel]:
        if name not in made:
            theirs = calibrate(timm.create_model(name, num_classes=7))
            path = tmp_path_factory.mktemp(name) / "model.safetensors"
            safetensors.torch.save_file(theirs.state_dict(), path)
            made[name] = theirs, create_model(name, weights=path, gamma=True).eval()
            path.unlink()
        return made[name]

    return get


def logits(network: nn.Module, size: tuple[int, int]) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(pictures(*size))
    return found


@both
@pytest.mark.parametrize("size", SIZES)
def test_timms_logits(name: str, size: tuple[int, int], pair: Callable[[str], tuple[nn.Module, ImageModel]]) -> None:
    theirs, ours = pair(name)
    expected = logits(theirs, size)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(logits(ours, size), expected) < PORT_PARITY


@both
def test_timms_feature_pyramid(name: str, pair: Callable[[str], tuple[nn.Module, ImageModel]]) -> None:
    """The same maps at every stride; timm's second one of Inception-v4 is an earlier one of that size."""
    theirs, ours = pair(name)
    with torch.no_grad():
        maps = ours.forward_pyramid(pictures(128, 171))
        _, expected = theirs.forward_intermediates(pictures(128, 171))
    for tap, got, wanted in zip(ours.taps, maps, expected, strict=True):
        if tap.block != "mixed4a":
            assert distance(got, wanted) < PORT_PARITY, tap


@both
@pytest.mark.parametrize("border", ["tf_same", "caffe"])
def test_no_border_rule_changes_anything(
    name: str, border: str, pair: Callable[[str], tuple[nn.Module, ImageModel]]
) -> None:
    _, ours = pair(name)
    expected, own = logits(ours, (128, 171)), ours.input_contract
    ours.adopt(replace(own, padding=border))
    got = logits(ours, (128, 171))
    ours.adopt(own)
    assert distance(got, expected) < PORT_PARITY


def _swap(model: ImageModel) -> None:
    """Every n x 1 kernel of the B modules where 1 x n belongs, and the other way round, with the same taps."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and 7 in module.kernel_size and 1 in module.kernel_size:
            module.weight.data = module.weight.data.transpose(2, 3).contiguous()
            module.kernel_size, module.padding = module.kernel_size[::-1], tuple(module.padding)[::-1]


def _another_scale(model: ImageModel) -> None:
    for module in model.modules():
        if isinstance(module, ScaledResidual) and module.scale == 0.1:
            module.scale = 0.17


def _scaled_last(model: ImageModel) -> None:
    model.get_submodule("block8_10.residual").scale = 0.2  # type: ignore[assignment] - a number, no module


def _rectified_last(model: ImageModel) -> None:
    model.get_submodule("block8_10.residual").act = nn.ReLU()


def _torch_epsilon(model: ImageModel) -> None:
    model.adopt(replace(model.input_contract, batch_norm_eps=1e-5))


def _counted_padding(model: ImageModel) -> None:
    model.adopt(replace(model.input_contract, counts_padding=True))


MUTANTS = [
    ("inception_v4", _swap),
    ("inception_v4", _torch_epsilon),
    ("inception_v4", _counted_padding),
    ("inception_resnet_v2", _swap),
    ("inception_resnet_v2", _torch_epsilon),
    ("inception_resnet_v2", _counted_padding),
    ("inception_resnet_v2", _another_scale),
    ("inception_resnet_v2", _scaled_last),
    ("inception_resnet_v2", _rectified_last),
]


@pytest.mark.parametrize(("name", "mutate"), MUTANTS, ids=[f"{name}-{f.__name__[1:]}" for name, f in MUTANTS])
def test_the_known_mistakes_are_seen(
    name: str, mutate: Callable[[ImageModel], None], pair: Callable[[str], tuple[nn.Module, ImageModel]]
) -> None:
    theirs, ours = pair(name)
    mutant = deepcopy(ours)
    mutate(mutant)
    assert distance(logits(mutant, (128, 171)), logits(theirs, (128, 171))) > 10 * PORT_PARITY


TAGS = ["inception_v4.tf_in1k", "inception_resnet_v2.tf_in1k", "inception_resnet_v2.tf_ens_adv_in1k"]


@pytest.mark.parametrize("tag", TAGS)
def test_pictures_are_prepared_as_timm_says(tag: str, pair: Callable[[str], tuple[nn.Module, ImageModel]]) -> None:
    published = timm.get_pretrained_cfg(tag)
    contract = pair(tag.partition(".")[0])[1].input_contract
    assert contract.size == published.input_size[1:] == (299, 299)
    assert (contract.mean, contract.std) == (published.mean, published.std)
    assert (contract.crop_fraction, contract.filter) == (published.crop_pct, published.interpolation)
    assert (contract.resize, published.crop_mode) == ("shorter", "center")
    assert (contract.batch_norm_eps, contract.counts_padding) == (1e-3, False)


@both
def test_a_gamma_of_1_may_be_left_out_and_no_other(
    name: str, pair: Callable[[str], tuple[nn.Module, ImageModel]], tmp_path: Path
) -> None:
    """The published files' gammas are all 1: slim has none. With them our default takes such a file."""
    theirs, ours = pair(name)
    path = tmp_path / "timm.safetensors"
    safetensors.torch.save_file(theirs.state_dict(), path)
    model = build_model(name, 7).eval()
    with pytest.raises(WeightsMismatchError, match=r"has a gamma in .*Build the model with gamma=True"):
        load_weights(model, path)
    of_1 = {k: torch.ones_like(v) if k.endswith("bn.weight") else v for k, v in theirs.state_dict().items()}
    safetensors.torch.save_file(of_1, path)
    assert "the file's gamma is 1 everywhere, and was left out" in load_weights(model, path).notes
    plain, scaled = (dict(network.named_parameters()) for network in (model, ours))
    assert all(torch.equal(value, scaled[key]) for key, value in plain.items())


def test_weights_for_other_scales_are_refused(
    pair: Callable[[str], tuple[nn.Module, ImageModel]], keras_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Nothing in a file shows the residuals' scales: the weights would fit, and be another function."""
    path = tmp_path / "timm.safetensors"
    safetensors.torch.save_file(pair("inception_resnet_v2")[0].state_dict(), path)
    model = build_model("inception_resnet_v2", 7, gamma=True, residual_scale=(0.1, 0.1, 0.2))
    for file, source in ((path, "timm"), (keras_file("inception_resnet_v2", ".h5"), "Keras")):
        with pytest.raises(
            WeightsMismatchError,
            match=rf"{source}'s, whose .*Got: residual_scale=\(0\.1, 0\.1, 0\.2\)\. .*\(0\.17, 0\.1",
        ):
            load_weights(model, file)


@pytest.fixture(scope="module")
def keras_pair(keras_net: Callable[..., KerasNet], keras_file: Callable[..., Path]) -> tuple[KerasNet, ImageModel]:
    """An `.h5` tells the layers' order twice, by place and by number; the loader holds one against the other."""
    model = build_model("inception_resnet_v2").eval()
    load_weights(model, keras_file("inception_resnet_v2", ".h5"))
    return keras_net("inception_resnet_v2"), model


def test_keras_parameters(keras_pair: tuple[KerasNet, ImageModel]) -> None:
    keras_net, model = keras_pair
    trainable = sum(math.prod(weight.shape) for weight in keras_net.full.trainable_weights)
    assert sum(value.numel() for value in model.parameters()) == trainable == 55_813_192


def test_the_published_files_are_those_that_keras_names(keras_pair: tuple[KerasNet, ImageModel]) -> None:
    import keras

    source = inspect.getsource(sys.modules[keras.applications.InceptionResNetV2.__module__])
    files = model_spec("inception_resnet_v2").keras_weights
    assert [file.has_classifier for file in files] == [True, False]
    for file in files:
        folder, _, name = file.url.rpartition("/")
        assert folder == "https://storage.googleapis.com/tensorflow/keras-applications/inception_resnet_v2"
        assert f'file_hash="{file.md5}"' in source
        assert name in source or name.endswith("_notop.h5")


@pytest.mark.parametrize("size", [(75, 75), (150, 97), (224, 224), (299, 299)])
def test_keras_features_and_logits(size: tuple[int, int], keras_pair: tuple[KerasNet, ImageModel]) -> None:
    keras_net, model = keras_pair
    expected = [torch.from_numpy(value) for value in keras_net.outputs(*size)]
    with torch.no_grad():
        features = model.forward_features(picture_tensor(*size))
        got = [features, model.forward_head(features)]
    if len(expected[1]) == 2:
        assert spread(expected[1]) > 100 * KERAS_PARITY
    assert max(map(distance, got, expected)) < KERAS_PARITY


@pytest.mark.parametrize("mutate", [_torch_epsilon, _counted_padding, _another_scale])
def test_mistakes_are_seen_beside_keras_too(
    mutate: Callable[[ImageModel], None], keras_pair: tuple[KerasNet, ImageModel]
) -> None:
    keras_net, model = keras_pair
    mutant = deepcopy(model)
    mutate(mutant)
    expected = torch.from_numpy(keras_net.outputs(150, 97)[1])
    with torch.no_grad():
        assert distance(mutant(picture_tensor(150, 97)), expected) > 10 * KERAS_PARITY
