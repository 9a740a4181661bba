"""What a load reports, what it may leave out, and the input contract that comes with the weights."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from separable.errors import UsageError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import create_model, load_weights, save_model
from tests.tolerances import FOLDED_WEIGHTS
from tests.weights.conftest import make_net
from tests.weights.keras_h5 import keras_layers, write_h5


def classifier(model: ImageModel) -> torch.Tensor:
    return model.state_dict()["head.classifier.weight"].clone()


def pixels(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_other_classes_are_refused_with_the_way_out(net: ImageModel, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    with pytest.raises(
        WeightsMismatchError,
        match=r"has a classifier of 10 classes\. Expected: 5, .*num_classes=10, or load with classes=\"replace\"",
    ):
        load_weights(make_net(5), path)
    with pytest.raises(UsageError, match="Unknown value for classes"):
        load_weights(make_net(5), path, classes="some")  # type: ignore[arg-type] - the mistake under test


def test_replace_takes_the_backbone_and_keeps_the_new_classifier(net: ImageModel, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    model = make_net(5, seed=2)
    before = classifier(model)
    report = load_weights(model, path, classes="replace")
    assert torch.equal(classifier(model), before)
    assert torch.equal(model.forward_features(pixels()), net.forward_features(pixels()))
    assert report.missing == ("head.classifier.weight", "head.classifier.bias")
    assert report.unexpected == ("head.classifier.bias", "head.classifier.weight")
    assert "the file's classifier was left out" in report.notes
    same = make_net(10, seed=2)
    assert load_weights(same, path, classes="replace").missing == ()
    assert torch.equal(classifier(same), classifier(net))


def test_a_model_without_classifier_takes_any_file(net: ImageModel, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    for options in ({"num_classes": 0}, {"features_only": True}):
        model = build_model("mobilenet_v1", width=0.25, **options).eval()
        assert load_weights(model, path).missing == ()
        assert torch.equal(model.forward_features(pixels()), net.forward_features(pixels()))


def test_somebody_elses_dense_layers_may_be_replaced(net: ImageModel, tmp_path: Path) -> None:
    """A Keras network that was fine-tuned with two dense layers of its owner's on top."""
    layers = keras_layers(net, top=False)
    for name, shape in (("dense", (256, 64)), ("dense_1", (64, 3))):
        layers[name] = {"kernel": np.ones(shape, np.float32), "bias": np.ones(shape[1], np.float32)}
    path = write_h5(tmp_path / "net.h5", layers)
    with pytest.raises(WeightsMismatchError, match=r"unexpected: dense, dense_1"):
        load_weights(make_net(3), path)
    model = make_net(3)
    report = load_weights(model, path, classes="replace")
    assert report.unexpected == ("dense", "dense_1")
    assert torch.equal(model.forward_features(pixels()), net.forward_features(pixels()))


def test_a_network_inside_a_network(net: ImageModel, tmp_path: Path) -> None:
    """Keras' transfer learning puts the base network into another as one layer: one group, weights' names tell."""
    path = tmp_path / "nested.h5"
    layers = keras_layers(net, top=False)
    head = {"kernel": net.state_dict()["head.classifier.weight"].T.numpy(), "bias": np.zeros(10, np.float32)}
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [b"input_1", b"mobilenet_0.25_64", b"dense"]
        root.attrs["keras_version"] = b"2.4.0"
        root.create_group("input_1").attrs["weight_names"] = []
        for group_name, content in (("mobilenet_0.25_64", layers), ("dense", {"dense": head})):
            group = root.create_group(group_name)
            pairs = [(f"{name}/{key}:0", value) for name, all_ in content.items() for key, value in all_.items()]
            group.attrs["weight_names"] = [name.encode() for name, _ in pairs]
            for name, value in pairs:
                group[name] = value
    model = make_net(seed=2)
    load_weights(model, path)
    assert torch.equal(model.forward_features(pixels()), net.forward_features(pixels()))
    assert torch.equal(classifier(model), classifier(net))


def test_biases_before_batch_norm_move_into_its_means(net: ImageModel, tmp_path: Path) -> None:
    layers = keras_layers(net)
    for name, variables in layers.items():
        if name.startswith(("conv1", "conv_dw", "conv_pw")) and not name.endswith("_bn"):
            shift = np.linspace(-1, 1, len(layers[f"{name}_bn"]["beta"]), dtype=np.float32)
            variables["bias"] = shift
            layers[f"{name}_bn"]["moving_mean"] = layers[f"{name}_bn"]["moving_mean"] + shift
    model = make_net(seed=2)
    report = load_weights(model, write_h5(tmp_path / "net.h5", layers))
    assert "27 convolution biases moved" in report.notes[0]
    with torch.no_grad():
        expected = net(pixels())
        assert (model(pixels()) - expected).abs().max() < FOLDED_WEIGHTS * expected.abs().max()


def test_folded_batch_norm_gives_the_same_function(net: ImageModel, tmp_path: Path) -> None:
    """Folded by hand in double precision into kernels and biases under TF-slim's names."""
    layers, arrays = keras_layers(net), {}
    for name, variables in layers.items():
        slim = name.replace("conv1", "Conv2d_0") if name == "conv1" else f"Conv2d_{name.split('_')[-1]}"
        if name == "conv_preds":
            arrays |= {f"Conv2d_1c_1x1/{key}": value for key, value in variables.items()}
        elif not name.endswith("_bn"):
            norm = {key: value.astype(np.float64) for key, value in layers[f"{name}_bn"].items()}
            scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + 1e-3)
            slim += {"dw": "_depthwise", "pw": "_pointwise"}.get(name.split("_")[1], "") if "_" in name else ""
            kernel = next(iter(variables.values())).astype(np.float64)
            folded = kernel * (scale[:, None] if "dw" in name else scale)
            arrays[f"{slim}/kernel"] = folded.astype(np.float32)
            arrays[f"{slim}/bias"] = (norm["beta"] - scale * norm["moving_mean"]).astype(np.float32)
    path = tmp_path / "mobilenet_v1_0.25_96_folded.npz"
    np.savez(path, **arrays)
    model = make_net(seed=2)
    report = load_weights(model, path)
    assert report.format == "tf-slim npz"
    assert model.input_contract.size == (96, 96)
    assert model.input_contract.mean == model.input_contract.std == (128 / 255,) * 3
    with torch.no_grad():
        expected = net(pixels())
        assert (model(pixels()) - expected).abs().max() < FOLDED_WEIGHTS * expected.abs().max()


def test_gamma_where_only_one_side_has_it(tmp_path: Path) -> None:
    """Our own files are taken as they are; Keras' file without gamma means ones, see the parity tests."""
    torch.manual_seed(0)
    with_gamma = build_model("inception_v3", 10, width=0.125, gamma=True, aux_head=True)
    without = build_model("inception_v3", 10, width=0.125)
    save_model(without, tmp_path)
    with pytest.raises(WeightsMismatchError, match=r"missing: .*\.bn\.weight"):
        load_weights(with_gamma, tmp_path)
    save_model(with_gamma, tmp_path)
    with pytest.raises(WeightsMismatchError, match=r"unexpected: .*\.bn\.weight.*gamma"):
        load_weights(without, tmp_path)


def test_the_auxiliary_head_may_come_and_go(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain, aux = (
        build_model("inception_v3", 10, width=0.125),
        build_model("inception_v3", 10, width=0.125, aux_head=True),
    )
    save_model(plain, tmp_path)
    report = load_weights(aux, tmp_path)
    assert all(name.startswith("aux_head.") for name in report.missing)
    assert "the auxiliary head keeps its initial weights" in report.notes
    save_model(aux, tmp_path)
    report = load_weights(plain, tmp_path)
    assert report.missing == ()
    assert all(name.startswith("aux_head.") for name in report.unexpected)
    assert len(report.unexpected) > 10


def test_another_networks_file(net: ImageModel, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    with pytest.raises(WeightsMismatchError, match=r"net\.h5 \(keras-2 h5\) does not fit this xception"):
        load_weights(build_model("xception", 10, width=0.125), path)
    with pytest.raises(WeightsMismatchError, match=r"of another shape: conv1\.conv\.weight \(8, 3, 3, 3\) for \(16, 3"):
        load_weights(build_model("mobilenet_v1", 10, width=0.5), path)
    with pytest.raises(WeightsMismatchError, match=r"conv1\.conv\.weight \(8, 3, 3, 3\) for \(8, 1, 3, 3\)"):
        load_weights(build_model("mobilenet_v1", 10, width=0.25, in_channels=1), path)


def test_hdf5_is_imported_for_its_own_files_alone(net: ImageModel, tmp_path: Path) -> None:
    """h5py takes some 50 ms to import, of the start of every prediction."""
    save_model(net, tmp_path)
    code = (
        "import sys\nfrom separable.weights import load_model\nload_model(sys.argv[1])\n"
        "assert 'safetensors' in sys.modules\nassert 'h5py' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["keras", "separable"])
def test_what_the_file_is_instead_is_said(kind: str, net: ImageModel, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net)) if kind == "keras" else tmp_path / "saved"
    save_model(net, tmp_path / "saved")
    whose = {"keras": "Keras'", "separable": "separable's"}[kind]
    for load in (
        lambda: load_weights(build_model("xception", 10, width=0.125, middle_blocks=1), path),
        lambda: create_model("xception", weights=path, width=0.125, middle_blocks=1),
    ):
        with pytest.raises(WeightsMismatchError, match=rf"It is {whose} mobilenet_v1: build mobilenet_v1 for it"):
            load()
