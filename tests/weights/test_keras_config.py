"""What a Keras file's own model does beside its weights: its borders, its input, its pooling."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from separable.errors import WeightsFormatError, WeightsMismatchError
from separable.models.build import build_model
from separable.weights import create_model, load_weights
from separable.weights.conversion import convert_weights
from separable.weights.keras_config import read_keras_config
from separable.weights.ports.legacy_xception import LEGACY_XCEPTION
from separable.weights.ports.read import port_tensors
from tests.parity.torch_net import distance, pictures
from tests.tolerances import PORT_PARITY
from tests.weights.conftest import make_net
from tests.weights.keras_h5 import keras_layers, write_h5


def stored(path: Path, *layers: tuple[str, dict[str, Any]], side: int = 128, biased: bool = False) -> Path:
    """MobileNet's weights with a configuration of such layers, inside a model in the model."""
    net = make_net(2)
    weights = keras_layers(net)
    if biased:
        for name in list(weights):
            kernel = weights[name].get("kernel", weights[name].get("depthwise_kernel"))
            if kernel is not None and "bias" not in weights[name]:
                outputs = kernel.shape[2] if "depthwise_kernel" in weights[name] else kernel.shape[3]
                weights[name]["bias"] = np.zeros(outputs, np.float32)
    write_h5(path, weights)
    inner = [{"class_name": name, "config": config} for name, config in layers]
    top = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, side, side, 3]}},
        {"class_name": "Functional", "config": {"layers": inner}},
    ]
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"layers": top}})
    return path


SAME = ("Conv2D", {"strides": [2, 2], "padding": "same"})
VALID = ("Conv2D", {"strides": [2, 2], "padding": "valid"})
PADS = ("ZeroPadding2D", {})


def test_borders_and_size_are_the_files_own(tmp_path: Path) -> None:
    for layers, padding in (((SAME,), "tf_same"), ((PADS, VALID), "keras_mobilenet"), ((), "keras_mobilenet")):
        model = create_model("mobilenet_v1", weights=stored(tmp_path / "net.h5", *layers), width=0.25)
        assert (model.input_contract.padding, model.input_contract.size) == (padding, (128, 128))


def test_the_borders_show_on_odd_sides(tmp_path: Path) -> None:
    first, second = (
        create_model("mobilenet_v1", weights=stored(tmp_path / "net.h5", *layers), width=0.25).eval()
        for layers in ((SAME,), (PADS, VALID))
    )
    with torch.no_grad():
        for side, apart in ((128, False), (97, True)):
            x = pictures(side, side)
            assert (distance(first(x), second(x)) > 10 * PORT_PARITY) == apart


def test_a_maximum_over_the_map_is_refused(tmp_path: Path) -> None:
    file = stored(tmp_path / "net.h5", ("GlobalMaxPooling2D", {}))
    message = (
        r"another head than the networks here\. Got: GlobalMaxPooling2D before the classifier\. Expected: GlobalAv"
    )
    with pytest.raises(WeightsMismatchError, match=message):
        load_weights(build_model("mobilenet_v1", 2, width=0.25), file)
    with pytest.raises(WeightsMismatchError, match=message):
        convert_weights(file, tmp_path / "out", verify=False)
    load_weights(build_model("mobilenet_v1", 3, width=0.25), file, classes="replace")


def test_its_own_rescaling_prepares_the_pictures(tmp_path: Path) -> None:
    model = build_model("mobilenet_v1", 2, width=0.25)
    report = load_weights(model, stored(tmp_path / "net.h5", ("Rescaling", {"scale": 1 / 255, "offset": 0.0})))
    assert model.input_contract.mean == (0.0, 0.0, 0.0)
    assert model.input_contract.std == pytest.approx((1.0, 1.0, 1.0))
    assert any("by the file's own Rescaling(0.00392" in note for note in report.notes)
    load_weights(model, stored(tmp_path / "net.h5", ("Rescaling", {"scale": 1 / 127.5, "offset": -1.0})))
    assert model.input_contract.mean == pytest.approx((0.5, 0.5, 0.5))
    assert model.input_contract.std == pytest.approx((0.5, 0.5, 0.5))
    message = r"inside the model in a way that is not read here\. Got: Rescaling\(\[1, 2, 3\], 0\.0\)"
    with pytest.raises(WeightsMismatchError, match=message):
        load_weights(model, stored(tmp_path / "net.h5", ("Rescaling", {"scale": [1, 2, 3]})))
    report = load_weights(model, stored(tmp_path / "net.h5", ("Normalization", {})))
    assert "layers Normalization of the file's model are not read, and may change its answers" in report.notes


def test_biases_alone_are_no_visual_wake_words(tmp_path: Path) -> None:
    model = build_model("mobilenet_v1", 2, width=0.25)
    report = load_weights(model, stored(tmp_path / "net.h5", PADS, VALID, biased=True))
    assert (model.input_contract.class_names, model.input_contract.mean) == ((), (0.5, 0.5, 0.5))
    assert any("that pictures are x / 127.5 - 1 is assumed" in note for note in report.notes)
    report = load_weights(model, stored(tmp_path / "net.h5", SAME, side=96, biased=True))
    assert model.input_contract.class_names == ("non_person", "person")
    assert any(note.startswith("taken as MLPerf Tiny's visual wake words") for note in report.notes)


def test_a_damaged_configuration_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path / "net.h5")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = "{"
    with pytest.raises(WeightsFormatError, match=r"has a configuration that cannot be read\. Got: Expecting property"):
        read_keras_config(path)


def test_what_is_assumed_of_face_forensics_is_said(tmp_path: Path) -> None:
    model = build_model("xception", 2, width=0.0625, middle_blocks=1)
    tensors = port_tensors(LEGACY_XCEPTION, model)
    torch.save({f"model.{k.replace('fc.', 'last_linear.1.')}": v for k, v in tensors.items()}, tmp_path / "ff.pth")
    report = load_weights(model, tmp_path / "ff.pth")
    assert any("cropped and resized as timm's is assumed" in note for note in report.notes)


@pytest.mark.shared
@pytest.mark.parametrize("side", [96, 97])
def test_visual_wake_words_answer_as_their_own_graph(side: int, test_data: Path) -> None:
    """TensorFlow's "same" padding written out again, layer by layer as the file's configuration lists them."""
    path = test_data / "weights" / "mlperf_tiny_vww" / "vww_96.h5"
    model = create_model("mobilenet_v1", weights=path, width=0.25, activation="relu").eval()
    x = (pictures(side, side) + 1) / 2
    with torch.no_grad():
        got = model(x)
        assert distance(got, _own_graph(path, x)) < PORT_PARITY


def _own_graph(path: Path, x: Tensor) -> Tensor:
    with h5py.File(path) as file:
        groups = file["model_weights"]
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        for layer in layers:
            kind, config = layer["class_name"], layer["config"]
            group = groups[config["name"]]
            values = [torch.from_numpy(group[name][()]) for name in group.attrs["weight_names"]]
            if kind in ("Conv2D", "DepthwiseConv2D"):
                depthwise, stride = kind != "Conv2D", config["strides"][0]
                kernel = values[0].permute((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
                total = [max((-(-n // stride) - 1) * stride + kernel.shape[-1] - n, 0) for n in x.shape[-2:]]
                x = F.pad(x, (total[1] // 2, -(-total[1] // 2), total[0] // 2, -(-total[0] // 2)))
                x = F.conv2d(x, kernel, values[1], stride, groups=len(kernel) if depthwise else 1)
            elif kind == "BatchNormalization":
                gamma, beta, mean, variance = values
                x = F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, config["epsilon"])
            elif kind == "Activation" and config["activation"] == "relu":
                x = x.relu()
            elif kind == "AveragePooling2D":
                x = x.mean((2, 3))
            elif kind == "Dense":
                x = x @ values[0] + values[1]
    return x
