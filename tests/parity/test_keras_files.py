"""Every layout that Keras has written its files in gives the same weights, and self-contradicting files are refused."""

import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import LoadReport, load_weights
from tests.parity.keras_1 import write_keras_1
from tests.parity.keras_net import KerasNet

Nets = Callable[..., KerasNet]
Files = Callable[..., Path]
OPTIONS = {"mobilenet_v1": {"alpha": 0.25}}
OURS = {"mobilenet_v1": {"width": 0.25}}


def loaded(name: str, path: Path, **how: object) -> tuple[ImageModel, LoadReport]:
    model = build_model(name, **OURS.get(name, {}))
    report = load_weights(model, path, **how)  # type: ignore[arg-type] - the tests' own keywords
    return model, report


def weights(model: ImageModel) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}


def same(a: ImageModel, b: ImageModel) -> bool:
    theirs = weights(b)
    return all(torch.equal(value, theirs[name]) for name, value in weights(a).items())


@pytest.fixture(scope="module")
def expected(keras_file: Files) -> Callable[[str], ImageModel]:
    """The network as `.weights.h5` gives it, which the parity tests hold against Keras' outputs."""
    return lru_cache(lambda name: loaded(name, keras_file(name, ".weights.h5", **OPTIONS.get(name, {})))[0])


@pytest.fixture
def xception_1(keras_net: Nets, tmp_path: Path) -> Callable[..., Path]:
    return lambda **how: write_keras_1(keras_net("xception").full, tmp_path / "xception.h5", **how)


@pytest.mark.parametrize("name", ["xception", "inception_v3", "mobilenet_v1"])
@pytest.mark.parametrize("ending", [".h5", ".keras"])
def test_all_formats_of_keras_3_give_the_same(
    name: str, ending: str, keras_file: Files, expected: Callable[[str], ImageModel]
) -> None:
    """Inception V3's generic numbers start anywhere: each further network in a Keras process counts on."""
    model, report = loaded(name, keras_file(name, ending, **OPTIONS.get(name, {})))
    assert same(model, expected(name))
    assert len(report.matched) == len(weights(model))
    assert report.missing == report.unexpected == ()
    assert report.format == {".h5": "keras-3 h5", ".keras": "keras-3 archive"}[ending]


def test_a_gamma_that_keras_leaves_out_is_1(keras_file: Files, expected: Callable[[str], ImageModel]) -> None:
    model = build_model("inception_v3", gamma=True)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith(".bn.weight"):
                value.fill_(2.0)
    report = load_weights(model, keras_file("inception_v3", ".weights.h5"))
    assert report.notes == ("the file has no gamma (scale=False): 1 everywhere",)
    gammas = {name: value for name, value in weights(model).items() if name.endswith(".bn.weight")}
    assert len(gammas) == 94
    assert all(bool((value == 1).all()) for value in gammas.values())
    assert same(expected("inception_v3"), model)


@pytest.mark.parametrize("name", ["xception", "inception_v3", "mobilenet_v1"])
def test_early_keras_3_files_name_no_layers(
    name: str, keras_file: Files, expected: Callable[[str], ImageModel], tmp_path: Path
) -> None:
    """Their groups count by class in the order of `model.layers`, which for Inception V3 is no order of creation."""
    path = shutil.copy(keras_file(name, ".weights.h5", **OPTIONS.get(name, {})), tmp_path / "old.weights.h5")
    with h5py.File(path, "r+") as file:
        groups = [group["vars"] for group in file["layers"].values() if "vars" in group]
        for group in groups:
            group.attrs.pop("name", None)
    assert len(groups) > 80
    assert same(loaded(name, path)[0], expected(name))


@pytest.mark.parametrize("layer_names", [True, False])
def test_the_published_layout_of_keras_1(
    xception_1: Callable[..., Path], expected: Callable[[str], ImageModel], layer_names: bool
) -> None:
    path = xception_1(layer_names=layer_names)
    with h5py.File(path) as file:
        assert "batchnormalization_40" in file
        assert file["dense_2/dense_2_W:0"].shape == (2048, 1000)
        assert file["separableconvolution2d_34/separableconvolution2d_34_pointwise_kernel:0"].shape[2:] == (1536, 2048)
        assert file["convolution2d_6/convolution2d_6_W:0"].shape == (1, 1, 728, 1024)
    model, report = loaded("xception", path)
    assert same(model, expected("xception"))
    assert report.format == "keras-1 h5"
    assert len(report.matched) == 236


def test_two_shortcuts_of_one_shape_cannot_change_places(
    xception_1: Callable[..., Path], expected: Callable[[str], ImageModel]
) -> None:
    """batchnormalization_36 and _38 are both 1024 wide: a public converter mixed them up, and no shape tells."""
    first, second = "batchnormalization_36", "batchnormalization_38"
    path = xception_1(rename={first: second, second: first})
    with pytest.raises(WeightsMismatchError, match=r"lists its norm layers in one order and numbers them in another"):
        loaded("xception", path)
    model, report = loaded("xception", path, trust_order=True)
    assert same(model, expected("xception"))
    assert "as Keras does" in report.notes[0]


def test_a_notop_file_makes_a_backbone(xception_1: Callable[..., Path], expected: Callable[[str], ImageModel]) -> None:
    path = xception_1(without=("avg_pool", "predictions"))
    with pytest.raises(WeightsMismatchError, match=r"has no classifier.*classes=\"replace\""):
        loaded("xception", path)
    model, report = loaded("xception", path, classes="replace")
    got = weights(model)
    assert report.missing == ("head.classifier.weight", "head.classifier.bias")
    assert all(
        torch.equal(got[name], value)
        for name, value in weights(expected("xception")).items()
        if not name.startswith("head.")
    )


def test_the_legacy_names_of_keras_2(keras_net: Nets, expected: Callable[[str], ImageModel], tmp_path: Path) -> None:
    """`conv_dw_1/conv_dw_1/depthwise_kernel:0`, in a file of weights alone, its long attribute split in two."""
    net = keras_net("mobilenet_v1", alpha=0.25)
    path = tmp_path / "mobilenet_2_5_224_tf.h5"
    names = [layer.name for layer in net.full.layers]
    with h5py.File(path, "w") as file:
        for number, part in enumerate((names[:40], names[40:])):
            file.attrs[f"layer_names{number}"] = [name.encode() for name in part]
        file.attrs["keras_version"] = b"2.0.8"
        for layer in net.full.layers:
            group = file.create_group(layer.name)
            depthwise = layer.__class__.__name__ == "DepthwiseConv2D"
            last = [
                weight.name.replace("kernel", "depthwise_kernel" if depthwise else "kernel") for weight in layer.weights
            ]
            group.attrs["weight_names"] = [f"{layer.name}/{name}:0".encode() for name in last]
            for name, weight in zip(last, layer.weights, strict=True):
                group[f"{layer.name}/{name}:0"] = weight.value.detach().numpy().astype(np.float32)
    model, report = loaded("mobilenet_v1", path)
    assert report.format == "keras-2 h5"
    assert same(model, expected("mobilenet_v1"))
