"""VGG16 and the ResNets beside Keras' own, from the pixels on: Caffe's pictures, biases, epsilon, the flattened map."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from separable.data.preprocess import normalise
from separable.errors import DownloadError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model, model_spec
from separable.models.contract import InputContract
from separable.weights import create_model, load_weights
from tests.parity.keras_caffe import (
    enliven_keras,
    keras_logits,
    keras_module,
    narrow_vgg16,
    pixels,
    shallow_resnet,
)
from tests.parity.torch_net import distance, spread
from tests.tolerances import KERAS_PARITY

# Keras 3.15 turns torch tensors into arrays in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLASSES = 7
SHALLOW = {"repeats": [1, 2, 1, 1]}  # as wide as published: Keras has no narrower one
NARROW = {"width": 1 / 16}


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {
        "resnet50": enliven_keras(shallow_resnet(SHALLOW["repeats"], CLASSES)),
        "vgg16": enliven_keras(narrow_vgg16(16, CLASSES)),
    }


@pytest.fixture(scope="module")
def file(networks: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    folder = tmp_path_factory.mktemp("keras")

    def get(name: str, ending: str) -> Path:
        path = folder / f"{name}{ending}"
        if not path.exists():
            save = networks[name].save_weights if ending == ".weights.h5" else networks[name].save
            save(path)
        return path

    return get


def logits(model: ImageModel, height: int, width: int) -> Tensor:
    """Through the preprocessing that training, evaluation and export share."""
    batch = torch.from_numpy(pixels(height, width)).permute(0, 3, 1, 2)
    with torch.no_grad():
        found = model.eval()(normalise(batch, model.input_contract))
    assert isinstance(found, Tensor)
    return found


def small(name: str, **options: Any) -> ImageModel:
    return build_model(name, CLASSES, **(SHALLOW if name == "resnet50" else NARROW), **options)


def test_the_contract_is_keras_preprocessing() -> None:
    """`preprocess_input` of both modules on the same pixels, to a ten-thousandth of a level."""
    model = small("vgg16")
    keras = keras_module()
    contract = InputContract(**{**vars(model.input_contract), "colour_order": "BGR", **_CAFFE})
    batch = pixels(33, 21)
    for module in (keras.applications.vgg16, keras.applications.resnet):
        expected = module.preprocess_input(batch.astype(np.float32))
        found = normalise(torch.from_numpy(batch).permute(0, 3, 1, 2), contract).permute(0, 2, 3, 1).numpy()
        assert np.abs(found - expected).max() < 1e-4


_CAFFE = {"mean": (103.939 / 255, 116.779 / 255, 123.68 / 255), "std": (1 / 255, 1 / 255, 1 / 255)}


@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_logits_are_keras_own(name: str, networks: dict[str, Any], file: Callable[[str, str], Path]) -> None:
    model = small(name)
    report = load_weights(model, file(name, ".weights.h5"))
    assert (report.missing, report.unexpected) == ((), ())
    contract = model.input_contract
    assert (contract.colour_order, contract.mean, contract.std) == ("BGR", _CAFFE["mean"], _CAFFE["std"])
    assert (contract.size, contract.resize, contract.crop_fraction) == ((224, 224), "shorter", 0.875)
    expected = keras_logits(networks[name], 224, 224)
    assert spread(expected) > 100 * KERAS_PARITY
    assert distance(logits(model, 224, 224), expected) < KERAS_PARITY
    for ending in (".h5", ".keras"):
        other = small(name)
        load_weights(other, file(name, ending))
        assert other.input_contract == contract
        state = other.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.fixture(scope="module")
def resnets(file: Callable[[str, str], Path]) -> dict[bool, ImageModel]:
    """By whether they keep the biases of Keras' convolutions."""
    made = {}
    for bias in (False, True):
        made[bias] = small("resnet50", bias=bias)
        report = load_weights(made[bias], file("resnet50", ".weights.h5"))
        assert any("biases moved" in note for note in report.notes) != bias
    return made


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (97, 75)])
def test_resnets_at_every_kind_of_size(
    size: tuple[int, int], networks: dict[str, Any], resnets: dict[bool, ImageModel]
) -> None:
    """Global average pooling takes any; Keras' borders are written out, and so the same on odd and even sides."""
    expected = keras_logits(networks["resnet50"], *size)
    for model in resnets.values():
        assert distance(logits(model, *size), expected) < KERAS_PARITY


def test_the_known_mistakes_are_seen_in_resnets(networks: dict[str, Any], resnets: dict[bool, ImageModel]) -> None:
    model, expected = resnets[False], keras_logits(networks["resnet50"], 64, 96)
    contract = model.input_contract
    changes: list[dict[str, Any]] = [
        {"batch_norm_eps": 1e-3},
        {"colour_order": "RGB"},
        {"mean": (0.0, 0.0, 0.0)},
        {"padding": "tf_same"},
    ]
    try:
        for change in changes:
            model.adopt(InputContract(**{**vars(contract), **change}))
            assert distance(logits(model, 64, 96), expected) > 10 * KERAS_PARITY, change
    finally:
        model.adopt(contract)
    later = small("resnet50", stride_on="3x3")
    later.load_state_dict(model.state_dict())
    later.adopt(contract)
    assert distance(logits(later, 64, 96), expected) > 10 * KERAS_PARITY
    biases = {name: value for name, value in resnets[True].state_dict().items() if name.endswith("conv.bias")}
    assert len(biases) == 1 + 3 * 5 + 4
    without = small("resnet50", bias=True)
    without.load_state_dict({**resnets[True].state_dict(), **{name: 0 * value for name, value in biases.items()}})
    without.adopt(contract)
    assert distance(logits(without, 64, 96), expected) > 10 * KERAS_PARITY


def test_the_flattened_map_is_put_in_order(networks: dict[str, Any], file: Callable[[str, str], Path]) -> None:
    """Keras flattens pixel by pixel: kept so, the first dense layer's weights are another function."""
    model = small("vgg16")
    load_weights(model, file("vgg16", ".weights.h5"))
    expected = keras_logits(networks["vgg16"], 224, 224)
    with torch.no_grad():
        weight = model.get_parameter("head.fc1.weight")
        weight.copy_(weight.unflatten(1, (-1, 49)).transpose(1, 2).flatten(1))
    assert distance(logits(model, 224, 224), expected) > 10 * KERAS_PARITY


def test_what_keras_has_not_is_refused(file: Callable[[str, str], Path]) -> None:
    with pytest.raises(WeightsMismatchError, match=r"Keras has no resnet50 that strides in its 3x3 conv"):
        load_weights(small("resnet50", stride_on="3x3"), file("resnet50", ".weights.h5"))
    with pytest.raises(WeightsMismatchError, match="Keras has no squeezenet"):
        load_weights(build_model("squeezenet", width=0.25), file("resnet50", ".weights.h5"))


def test_features_without_the_top(networks: dict[str, Any], tmp_path: Path) -> None:
    """Keras' "notop" files, whose VGG16 lacks the dense layers too, at sizes that the whole network has not."""
    keras = keras_module()
    whole = networks["vgg16"]
    bare = keras.Model(whole.input, whole.get_layer("block5_pool").output)
    path = tmp_path / "notop.weights.h5"
    bare.save_weights(path)
    features = build_model("vgg16", features_only=True, **NARROW).eval()
    load_weights(features, path)
    batch = torch.from_numpy(pixels(224, 224)).permute(0, 3, 1, 2)
    with torch.no_grad():
        last = features(normalise(batch, features.input_contract))[-1]
    assert distance(last, keras_logits(bare, 224, 224).permute(0, 3, 1, 2)) < KERAS_PARITY

    model = small("vgg16")
    with pytest.raises(WeightsMismatchError, match=r"has no classifier \(a 'notop' file\)"):
        load_weights(model, path)
    report = load_weights(model, path, classes="replace")
    assert {name.split(".")[1] for name in report.missing} == {"fc1", "fc2", "classifier"}
    created = create_model("vgg16", CLASSES, path, **NARROW)
    assert not created.get_classifier().weight.any()
    assert created.get_parameter("head.fc1.weight").any(), "only the last layer starts silent"


def test_features_alone_from_a_whole_file(file: Callable[[str, str], Path]) -> None:
    for name, options in (("vgg16", NARROW), ("resnet50", SHALLOW)):
        bare = build_model(name, features_only=True, **options)
        report = load_weights(bare, file(name, ".weights.h5"))
        assert report.missing == ()
        whole = small(name)
        load_weights(whole, file(name, ".weights.h5"))
        state = whole.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in bare.state_dict().items() if "num_" not in key)


def test_published_files() -> None:
    """The addresses and hashes that the installed Keras checks its downloads against."""
    keras_module()
    from keras.src.applications import resnet, vgg16

    tail = "_weights_tf_dim_ordering_tf_kernels"
    expected = {
        f"{resnet.BASE_WEIGHTS_PATH}{name}{tail}{top}.h5": resnet.WEIGHTS_HASHES[name][place]
        for name in ("resnet50", "resnet101", "resnet152")
        for place, top in enumerate(("", "_notop"))
    }
    files = [file for name in ("resnet50", "resnet101", "resnet152") for file in model_spec(name).keras_weights]
    assert {file.url: file.md5 for file in files} == expected
    urls = [file.url for file in model_spec("vgg16").keras_weights]
    assert urls == [vgg16.WEIGHTS_PATH, vgg16.WEIGHTS_PATH_NO_TOP]
    source = Path(vgg16.__file__).read_text(encoding="utf-8")
    assert all(f'file_hash="{file.md5}"' in source for file in model_spec("vgg16").keras_weights)


def test_weights_with_an_md5_alone_are_left_to_the_user() -> None:
    for name in ("vgg16", "resnet152"):
        with pytest.raises(DownloadError, match=r"Keras gives an MD5 alone.*Download https://.*weights=\"PATH\""):
            create_model(name, weights="keras")
    with pytest.raises(DownloadError, match="Keras publishes no weights for alexnet"):
        create_model("alexnet", weights="keras")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "name"),
    [("VGG16", "vgg16"), ("ResNet50", "resnet50"), ("ResNet101", "resnet101"), ("ResNet152", "resnet152")],
)
def test_full_size(make: str, name: str, tmp_path: Path) -> None:
    network = getattr(keras_module().applications, make)(weights=None, classifier_activation=None)
    enliven_keras(network, 224)
    network.save_weights(tmp_path / "model.weights.h5")
    model = create_model(name, weights=tmp_path / "model.weights.h5")
    expected = keras_logits(network, 224, 224)
    assert spread(expected) > 100 * KERAS_PARITY
    assert distance(logits(model, 224, 224), expected) < KERAS_PARITY
