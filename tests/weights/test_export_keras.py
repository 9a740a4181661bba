"""Files for Keras: loaded by keras.applications' own networks, they give our logits, and read again our weights."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from separable.errors import UsageError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import create_model, load_weights, save_model
from separable.weights.conversion import convert_weights
from separable.weights.export_keras import save_keras
from separable.weights.reference import KERAS_NETWORKS, as_input
from separable.weights.verify import structured_pixels
from tests.parity.keras_caffe import keras_module, narrow_vgg16, shallow_resnet
from tests.parity.torch_net import calibrate, distance, spread
from tests.tolerances import KERAS_PARITY

CLASSES = 5
SIZES = {"xception": ((299, 299), (100, 130)), "mobilenet_v1": ((224, 224), (65, 98))}


def calibrated(name: str, **options: Any) -> ImageModel:
    torch.manual_seed(0)
    model = build_model(name, CLASSES, **options)
    calibrate(model, 96, count=2)
    return model


def keras_network(model: ImageModel, path: Path, size: tuple[int, int], **options: Any) -> Any:
    make = getattr(keras_module().applications, KERAS_NETWORKS[model.name][1])
    network = make(weights=None, input_shape=(*size, 3), classes=CLASSES, classifier_activation=None, **options)
    network.load_weights(path)
    return network


def compare_logits(model: ImageModel, network: Any, size: tuple[int, int]) -> None:
    x = as_input(structured_pixels(2, *size), model.input_contract)
    with torch.no_grad():
        ours = model(x)
        theirs = torch.as_tensor(network(x.permute(0, 2, 3, 1).numpy(), training=False))
    assert spread(theirs) > 100 * KERAS_PARITY
    assert distance(ours, theirs) < KERAS_PARITY


def same(one: ImageModel, other: ImageModel) -> bool:
    state = other.state_dict()
    return all(torch.equal(v, state[k]) for k, v in one.state_dict().items() if "num_batches" not in k)


def written(model: ImageModel, path: Path, **options: Any) -> dict[str, Any]:
    said = save_keras(model, path, **options)
    assert said["framework"] == "keras"
    assert said["load"].endswith(f'.load_weights("{path.name}")')
    return said


@pytest.mark.parametrize(
    ("name", "options", "keras_options"), [("xception", {}, {}), ("mobilenet_v1", {"width": 0.25}, {"alpha": 0.25})]
)
def test_keras_gives_our_logits_and_nothing_is_changed(
    name: str, options: dict[str, Any], keras_options: dict[str, Any], tmp_path: Path
) -> None:
    model, path = calibrated(name, **options), tmp_path / "net.weights.h5"
    said = written(model, path)
    module = KERAS_NETWORKS[name][0]
    assert said["notes"] == (f"pictures are prepared by keras.applications.{module}.preprocess_input",)
    assert (said["exact"], said["differences"], said["against"]) == (True, (), "")
    for size in SIZES[name]:
        compare_logits(model, keras_network(model, path, size, **keras_options), size)
    again = create_model(name, weights=path, **options)
    assert same(again, model)
    assert again.input_contract == model.input_contract


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inception_resnet_v2", "inception_v3", "resnet50", "resnet101", "resnet152", "vgg16"])
def test_keras_gives_our_logits_whole(name: str, tmp_path: Path) -> None:
    model, path = calibrated(name) if name != "vgg16" else enlivened_vgg16(), tmp_path / "net.weights.h5"
    written(model, path)
    size = model.input_contract.size
    for sides in (size,) if name == "vgg16" else (size, (130, 161)):
        compare_logits(model, keras_network(model, path, sides), sides)


def enlivened_vgg16(**options: Any) -> ImageModel:
    torch.manual_seed(0)
    model = build_model("vgg16", CLASSES, **options).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("bias"):
                value.uniform_(-0.1, 0.1)
            else:
                value.normal_(0, (2 / value[0].numel()) ** 0.5)
    return model


def test_inception_v3_has_no_gammas_and_no_biases_in_keras(tmp_path: Path) -> None:
    """They are folded into the layers beside them; negative and zero gammas too."""
    model, path = calibrated("inception_v3", gamma=True, bias=True, aux_head=True), tmp_path / "net.weights.h5"
    with torch.no_grad():
        gamma = model.get_submodule("mixed3.branch3x3.bn").weight
        assert isinstance(gamma, torch.Tensor)
        gamma[:3] = torch.tensor([0.0, -1.0, -0.5])
        for name, value in model.named_parameters():
            if name.endswith("conv.bias"):
                value.uniform_(-0.05, 0.05)
    said = written(model, path)
    assert said["notes"][:3] == (
        "the auxiliary head was left out",
        "94 convolution biases moved into the running means that follow them",
        "the gammas of 94 batch normalisations went into the convolutions before them",
    )
    assert not said["exact"]
    assert [(entry["height"], entry["width"]) for entry in said["differences"]] == [(299, 299), (300, 300)]
    assert max(entry["largest"] for entry in said["differences"]) < KERAS_PARITY
    compare_logits(model, keras_network(model, path, (107, 130)), (107, 130))


def test_resnets_have_biases_and_another_epsilon_in_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a shallow one, which keras.applications builds from the same pieces; each unit's four kinds of names occur."""
    monkeypatch.setattr("separable.weights.export_keras._FREE", {"bias", "repeats"})
    for bias in (False, True):
        model, path = calibrated("resnet50", repeats=(1, 2, 1, 1), bias=bias), tmp_path / f"{bias}.weights.h5"
        if bias:
            with torch.no_grad():
                for name, value in model.named_parameters():
                    if name.endswith("conv.bias"):
                        value.uniform_(-0.5, 0.5)
        said = written(model, path)
        assert said["notes"][0] == "epsilon 1e-05 folded into the running variances, for one of 1.001e-05"
        assert "give it (pixel / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225) in RGB, not" in said["notes"][1]
        network = shallow_resnet((1, 2, 1, 1), CLASSES)
        network.load_weights(path)
        for size in ((224, 224), (97, 130)):
            compare_logits(model, network, size)
        back = build_model("resnet50", CLASSES, repeats=(1, 2, 1, 1), bias=True)
        load_weights(back, path)
        conv = "conv3_block2.conv2.conv.bias"
        assert torch.equal(back.state_dict()[conv], model.state_dict()[conv] if bias else torch.zeros(128))


def test_a_certificate_feeds_keras_what_the_network_wants(tmp_path: Path) -> None:
    """Keras' own preprocessing belongs to Keras' own weights."""
    model = calibrated("mobilenet_v1", width=0.25)
    model.adopt(replace(model.input_contract, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
    save_model(model, tmp_path / "in")
    certificate = convert_weights(tmp_path / "in", tmp_path / "out.weights.h5", to="keras")
    assert certificate.verified, certificate.to_text()
    assert "in RGB, not what preprocess_input makes" in certificate.to_text()


def test_flattened_maps_are_in_keras_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("separable.weights.export_keras._FREE", {"width"})
    model, path = enlivened_vgg16(width=0.125), tmp_path / "net.weights.h5"
    said = written(model, path)
    assert [(entry["height"], entry["width"]) for entry in said["differences"]] in ([], [(224, 224)])
    network = narrow_vgg16(8, CLASSES)
    network.load_weights(path)
    last = network.get_layer("predictions")
    last.activation = keras_module().activations.linear
    compare_logits(model, network, (224, 224))
    back = build_model("vgg16", CLASSES, width=0.125)
    load_weights(back, path)
    assert same(back, model)


def test_other_borders_are_refused_or_told(tmp_path: Path) -> None:
    """timm's Xception pads its pools otherwise: 74 pixels a side are even, whatever the picture."""
    model, path = calibrated("xception"), tmp_path / "net.weights.h5"
    model.adopt(replace(model.input_contract, padding="symmetric", batch_norm_eps=1e-5))
    message = re.compile(
        r"Keras's xception is another function than this one, and nothing was written\. Got: logits that differ by "
        r"\d\.\de-0\d of the largest at (299x299|300x300)\. Expected: at most 0\.0001\. .*--allow-difference"
    )
    with pytest.raises(WeightsMismatchError, match=message):
        save_keras(model, path)
    assert list(tmp_path.iterdir()) == []
    said = written(model, path, allow_difference=True)
    assert max(entry["largest"] for entry in said["differences"]) > 10 * KERAS_PARITY
    assert said["notes"][0].startswith("epsilon 1e-05 folded into the running variances, for one of 0.001")


def test_small_variances_go_into_gamma(tmp_path: Path) -> None:
    """Keras' epsilon is the larger one, so channels that hardly vary would need a variance below 0."""
    model, path = calibrated("mobilenet_v1", width=0.25), tmp_path / "net.weights.h5"
    state = model.state_dict()
    state["block3.depthwise.bn.running_var"][:4] = torch.tensor([0.0, 1e-8, 5e-4, 9.9e-4])
    model.adopt(replace(model.input_contract, batch_norm_eps=1e-4))
    said = written(model, path)
    assert re.search(r"for one of 0\.001; in \d+ channels of less variance into gamma$", said["notes"][0])
    assert max(entry["largest"] for entry in said["differences"]) < KERAS_PARITY
    compare_logits(model, keras_network(model, path, (97, 130), alpha=0.25), (97, 130))


def test_without_a_classifier(tmp_path: Path) -> None:
    model, path = build_model("mobilenet_v1", 0, width=0.25).eval(), tmp_path / "net.weights.h5"
    said = written(model, path)
    assert 'include_top=False, pooling="avg", alpha=0.25' in said["load"]
    network = keras_module().applications.MobileNet(
        weights=None, include_top=False, pooling="avg", alpha=0.25, input_shape=(97, 97, 3)
    )
    network.load_weights(path)
    x = as_input(structured_pixels(2, 97, 97), model.input_contract)
    with torch.no_grad():
        theirs = torch.as_tensor(network(x.permute(0, 2, 3, 1).numpy(), training=False))
        assert distance(model(x), theirs) < KERAS_PARITY


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "squeezenet",
            {},
            r"Keras has no squeezenet\. Expected: inception_resnet_v2 or inception_v3 or mobilenet_v1 or",
        ),
        (
            "xception",
            {"residual": False},
            r"Keras has no xception like this\. Got: residual=False\. Expected: residual=True",
        ),
        (
            "inception_v3",
            {"n": 3, "pool": "max"},
            r"like this\. Got: n=3, pool='max'\. Expected: n=7, pool='average'",
        ),
        ("resnet50", {"stride_on": "3x3"}, r"Keras has no resnet50 like this\. Got: stride_on='3x3'"),
        ("mobilenet_v1", {"features_only": True}, r"without its head is not written for Keras\. Got: features_only=Tr"),
        ("mobilenet_v1", {"in_channels": 1}, r"Only networks for colour pictures are written for Keras\. Got: in_chan"),
        ("vgg16", {"num_classes": 0}, r"no vgg16 with its dense layers and without its classifier\. Got: num_classes"),
    ],
)
def test_what_keras_lacks_is_refused(name: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with torch.device("meta"):
        model = build_model(name, **options)
    with pytest.raises(WeightsMismatchError, match=message):
        save_keras(model, tmp_path / "net.weights.h5")
    assert list(tmp_path.iterdir()) == []


def test_paths(tmp_path: Path) -> None:
    model, path = build_model("mobilenet_v1", CLASSES, width=0.25).eval(), tmp_path / "net.weights.h5"
    for name in ("net.h5", "net.keras", ".weights.h5"):
        with pytest.raises(
            UsageError, match=r"Keras loads weights by their ending\. Got: .* a name ending in \.weights"
        ):
            save_keras(model, tmp_path / name)
    save_keras(model, path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"net\.weights\.h5 is already there, and nothing was written"):
        save_keras(model, path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    save_keras(model, tmp_path / "deeper" / "again.weights.h5")
    assert (tmp_path / "deeper" / "again.weights.h5").read_bytes() == before


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_the_layout_is_keras_own(tmp_path: Path) -> None:
    """Group by group what Keras itself writes for the same network, names aside that it counts up in a process."""
    model = build_model("mobilenet_v1", CLASSES, width=0.25).eval()
    save_keras(model, tmp_path / "ours.weights.h5")
    keras_network(model, tmp_path / "ours.weights.h5", (97, 97), alpha=0.25).save_weights(
        tmp_path / "theirs.weights.h5"
    )
    found: list[dict[str, tuple[Any, ...]]] = []
    for name in ("ours", "theirs"):
        entries: dict[str, tuple[Any, ...]] = {}

        def visit(path: str, entry: Any, entries: dict[str, tuple[Any, ...]] = entries) -> None:
            if isinstance(entry, h5py.Dataset):
                entries[path] = (entry.shape, entry.dtype, entry[()].tobytes(), entry.parent.attrs["name"])

        with h5py.File(tmp_path / f"{name}.weights.h5") as file:
            file.visititems(visit)
        found.append(entries)
    assert found[0] == found[1]
