"""A file's configuration is a hint at most: whatever it asks for, the weights load, or one sentence says why not."""

import json
import os
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from separable.errors import SeparableError, WeightsFormatError
from separable.files import removed_on_failure
from separable.models.base import ImageModel
from separable.weights import conversion, load_model, load_weights
from separable.weights.conversion import convert_weights
from separable.weights.reference import Reference
from tests.weights.conftest import Refuses, make_net
from tests.weights.keras_h5 import keras_layers, write_h5


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.keras` file of Keras' own MobileNet."""
    path = tmp_path_factory.mktemp("keras") / "net.keras"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(action="ignore"):
        patch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
        keras = pytest.importorskip("keras")
        keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), alpha=0.25, classes=3).save(path)
    return path


HUGE = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {"layers": [{"module": "keras.layers", "class_name": "Dense", "config": {"units": 10**8}}]},
    "build_config": {"input_shape": [None, 8]},
}


@pytest.mark.parametrize("text", [None, json.dumps(HUGE), "[" * 200_000])
def test_the_configuration_in_a_keras_file_builds_nothing(
    text: str | None, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first took 6.7 GB, the second raised out of Keras' own parser, and left half a conversion behind."""
    keras = pytest.importorskip("keras")
    monkeypatch.setattr(keras.saving, "load_model", None)
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name != "config.json":
                new.writestr(name, old.read(name))
            elif text is not None:
                new.writestr(name, text)
    monkeypatch.setattr(conversion, "certificate_sizes", lambda *_: ((32, 32),))
    if text is not None and text.startswith("["):
        with pytest.raises(WeightsFormatError, match=r"net\.keras has a configuration that cannot be read"):
            convert_weights(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    certificate = convert_weights(path, tmp_path / "out")
    assert (certificate.model, certificate.num_classes, certificate.unverified) == ("mobilenet_v1", 3, None)
    assert certificate.reference is not None
    assert "MobileNet" in certificate.reference
    assert [entry.height for entry in certificate.differences] == [32]
    assert certificate.differences[0].largest < 1e-4


def failing(*_: object, **__: object) -> Any:
    raise RecursionError("too deep")


def test_what_fails_in_the_other_framework_is_a_reason(
    net: ImageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    monkeypatch.setattr(conversion, "keras_reference", lambda *_, **__: Reference("keras", "3", "MobileNet", failing))
    certificate = convert_weights(path, tmp_path / "out")
    assert certificate.unverified == "The comparison failed. Got: RecursionError too deep."
    assert load_model(tmp_path / "out").name == "mobilenet_v1"


@pytest.mark.parametrize("there", [True, False])
def test_a_failed_conversion_leaves_nothing(
    there: bool, net: ImageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = write_h5(tmp_path / "net.h5", keras_layers(net)), tmp_path / "out"
    if there:
        out.mkdir()
    monkeypatch.setattr(conversion, "certificate_path", failing)
    with pytest.raises(RecursionError, match="too deep"):
        convert_weights(path, out, verify=False)
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == (["net.h5", "out"] if there else ["net.h5"])


@pytest.mark.parametrize("content", [b"half", None])
def test_a_failed_conversion_to_a_file_leaves_nothing(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "net.weights.h5"

    def work() -> None:
        with removed_on_failure(path):
            if content is not None:
                path.write_bytes(content)
            failing()

    with pytest.raises(RecursionError, match="too deep"):
        work()
    assert not list(tmp_path.iterdir())


STRANGE = [
    {"class_name": "Sequential", "config": [{"class_name": "Conv2D", "config": {}}]},
    {"class_name": "Mine", "config": {"layers": [{"class_name": "TFOpLambda"}, 3, {"config": []}]}},
    {"class_name": "Mine", "config": {"layers": [{"class_name": "InputLayer", "config": {"batch_shape": 7}}]}},
    {"class_name": "Mine", "config": {"layers": {"a": 1}}},
    {"class_name": "Mine"},
    [],
    3,
]


@pytest.mark.parametrize("stored", [*(json.dumps(entry) for entry in STRANGE), 3.5, b"\xff"])
def test_a_strange_configuration_is_passed_over(stored: object, net: ImageModel, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = np.void(stored) if isinstance(stored, bytes) else stored
    other = make_net(seed=2)
    assert len(load_weights(other, path).matched) == 137


@pytest.mark.parametrize("stored", ["[" * 50_000, "no JSON"])
def test_a_configuration_that_is_no_json_is_refused(
    stored: str, net: ImageModel, refuses: Refuses, tmp_path: Path
) -> None:
    """It may have said that the network is another one."""
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = stored
    refuses(path, WeightsFormatError, r"net\.h5 has a configuration that cannot be read\. Got: ")


def test_the_list_of_an_old_sequential_model_is_read(net: ImageModel, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    layers = [{"class_name": "Activation", "config": {"activation": "relu"}}]
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
    with pytest.raises(SeparableError, match=r"belongs to a network with another activation\. Got: relu\. "):
        load_weights(net, path)


@pytest.mark.parametrize("layers", [[1] * 300_000, [[1] * 200_000, [[1] * 100_000]]])
def test_lists_of_options_are_bounded_by_the_tensors(layers: list[Any], tmp_path: Path) -> None:
    """A header of 900 kB was 300,000 layers, and an error of 120,525 characters."""
    config = {"format_version": 1, "name": "xception", "num_classes": 3, "options": {"fc_layers": layers}, "input": {}}
    tensors = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header = json.dumps({"__metadata__": {"separable": json.dumps(config)}, **tensors}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    for take in (load_model, lambda path: convert_weights(path, tmp_path / "out")):
        with pytest.raises(
            WeightsFormatError, match=r"Got: ValueError 30\d{4} blocks or layers in a file of 1 ten"
        ) as e:
            take(path)
        assert len(str(e.value)) < 700


def test_options_in_messages_are_cut(tmp_path: Path) -> None:
    config = {"name": "xception", "num_classes": 3, "options": {"fc_layers": [1] * 10_000}, "input": {}}
    tensors = {f"{number:04}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(10_100)}
    stored = json.dumps({"format_version": 1, **config})
    header = json.dumps({"__metadata__": {"separable": stored}, **tensors}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (tmp_path / "config.json").write_text(json.dumps({**config, "options": {"fc_layers": [2] * 10_000}}))
    with pytest.raises(WeightsFormatError, match="belong to different models") as raised:
        load_model(tmp_path)
    assert len(str(raised.value)) < 1200
