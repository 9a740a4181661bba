"""Files that are damaged, not what they say, or made to do harm: each is refused by name, and nothing half loaded."""

import io
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from separable.errors import WeightsFormatError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.weights import load_weights, save_model
from separable.weights.archive import read_keras_archive, read_npz
from separable.weights.source import open_source
from tests.weights.conftest import Refuses
from tests.weights.keras_h5 import keras_layers, write_h5


def test_the_undamaged_file_loads(net: ImageModel, tmp_path: Path) -> None:
    """Or every refusal below would prove nothing."""
    report = load_weights(net, write_h5(tmp_path / "net.h5", keras_layers(net)))
    assert len(report.matched) == 137


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"net\.h5 is no weight file\. Got: an empty file"),
        (b"<!DOCTYPE html><html>", r"net\.h5 is no weight file.*a web page saved under its name"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, r"net\.h5 is not a readable HDF5 file.*download it again"),
        (b"PK\x03\x04 and no more", r"net\.h5 is not a readable zip file"),
        (struct.pack("<Q", 1 << 60) + b"{}", r"net\.h5 cannot be read\. Got: a header of 1,152,921,504,606,846,976"),
        (struct.pack("<Q", 2) + b"{ garbage", r"net\.h5 cannot be read"),
        (b"\x80\x02 no pickle at all", r"net\.h5 is damaged, or a pickle of more than tensors, and was not read"),
    ],
)
def test_what_is_no_weight_file(content: bytes, message: str, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(content)
    refuses(path, WeightsFormatError, f"(?i){message}")


def test_a_file_that_is_not_there(refuses: Refuses, tmp_path: Path) -> None:
    refuses(tmp_path / "absent.h5", WeightsFormatError, r"Cannot read .*absent\.h5\. Got: No such file")
    refuses(tmp_path, WeightsFormatError, r"is neither a model folder nor a run\. Got: a folder with nothing in it")


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["h5", "keras", "npz", "safetensors", "pt"])
def test_a_truncated_file(kind: str, fraction: float, net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / f"net.{kind}"
    if kind == "safetensors":
        save_model(net, tmp_path)
        (tmp_path / "model.safetensors").rename(path)
    elif kind == "pt":
        torch.save(net.state_dict(), path)
    elif kind == "npz":
        np.savez(path, **{f"{name}/{key}": v for name, all_ in keras_layers(net).items() for key, v in all_.items()})
    else:
        write_h5(path, keras_layers(net))
        if kind == "keras":
            content = path.read_bytes()
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("model.weights.h5", content)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    refuses(path, WeightsFormatError, rf"net\.{kind} (is not a readable|cannot be read|names|is no)")


def test_layers_of_another_shape_or_none(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    layers = keras_layers(net)
    layers["conv_pw_3"]["kernel"] = layers["conv_pw_3"]["kernel"][..., :-1]
    refuses(write_h5(path, layers), WeightsMismatchError, r"of another shape: block3\.pointwise\.conv\.weight \(31, 32")
    layers = keras_layers(net)
    del layers["conv_dw_7"]
    refuses(write_h5(path, layers), WeightsMismatchError, r"nothing was loaded\. Got: missing: conv_dw_7")
    layers = {**keras_layers(net), "conv_pw_14": {"kernel": np.zeros((1, 1, 256, 256), np.float32)}}
    layers["conv_pw_15"] = layers["conv_pw_14"]
    refuses(write_h5(path, layers), WeightsMismatchError, r"unexpected: conv_pw_14, conv_pw_15")
    layers = keras_layers(net)
    del layers["conv1_bn"]["moving_mean"]
    refuses(write_h5(path, layers), WeightsMismatchError, r"unexpected: conv1_bn|missing: conv1_bn")
    refuses(write_h5(path, {}), WeightsFormatError, r"net\.h5 holds no Keras layers")


def test_numbers_that_no_training_leaves(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    layers = keras_layers(net)
    layers["conv_pw_3"]["kernel"] = layers["conv_pw_3"]["kernel"].copy()
    layers["conv_pw_3"]["kernel"][0, 0, 0, 0] = np.nan
    refuses(write_h5(path, layers), WeightsMismatchError, r"NaN or infinite numbers\. Got: block3\.pointwise\.conv")
    layers = keras_layers(net)
    layers["conv1_bn"]["moving_variance"] = -layers["conv1_bn"]["moving_variance"]
    refuses(write_h5(path, layers), WeightsMismatchError, r"negative variances\. Got: conv1\.bn\.running_var")


def test_hdf5_that_reaches_outside_itself(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    other = write_h5(tmp_path / "other.h5", keras_layers(net))
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    with h5py.File(path, "r+") as file:
        del file["conv1/conv1/kernel:0"]
        file["conv1/conv1/kernel:0"] = h5py.ExternalLink(str(other), "/conv1/conv1/kernel:0")
    refuses(path, WeightsFormatError, r"net\.h5 links to something outside itself.*conv1/kernel:0")
    with h5py.File(path, "r+") as file:
        del file["conv1/conv1/kernel:0"]
        raw = tmp_path / "raw"
        raw.write_bytes(b"\0" * 4 * 216)
        file["conv1"].create_dataset("conv1/kernel:0", (3, 3, 3, 8), "f4", external=[(str(raw), 0, 864)])
    refuses(path, WeightsFormatError, r"net\.h5 keeps conv1/kernel:0 in another file")


def test_hdf5_that_would_fill_the_memory(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    with h5py.File(path, "r+") as file:
        del file["conv1/conv1/kernel:0"]
        file["conv1"].create_dataset(
            "conv1/kernel:0", (1 << 30, 1 << 20), "f4", chunks=(1024, 1024), compression="gzip"
        )
    assert path.stat().st_size < 2_000_000
    refuses(path, WeightsFormatError, r"net\.h5 declares far more data than this model has weights")


def test_hdf5_that_goes_in_circles(refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers")
        for name in "abcdefgh":
            group[name] = group
    refuses(path, WeightsFormatError, r"net\.h5 declares far more data")


@pytest.mark.parametrize("value", [np.arange(4), np.array([b"text"])])
def test_hdf5_without_numbers(value: object, net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keras_layers(net))
    with h5py.File(path, "r+") as file:
        del file["conv1/conv1/kernel:0"]
        file["conv1/conv1/kernel:0"] = value
    refuses(path, WeightsFormatError, r"net\.h5 has no numbers at conv1/kernel:0")


def test_archives_that_lie(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    refuses(path, WeightsFormatError, r"net\.keras has no weights.*model\.weights\.h5")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", b"\0" * 1_000_000)
    with pytest.raises(WeightsFormatError, match=r"net\.keras declares far more data .* 1,000,000 bytes"):
        read_keras_archive(path, 999_999)
    refuses(path, WeightsFormatError, r"net\.keras is not a readable HDF5 file")


def test_npz_that_lies(refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, **{"a/kernel": np.array([print], dtype=object)})
    refuses(path, WeightsFormatError, r"net\.npz has no numbers at a/kernel\.npy\. Got: type object")
    np.savez(path, plain=np.zeros(3, np.float32))
    refuses(path, WeightsFormatError, r"net\.npz is not a file of layers\. Got: plain\.npy")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/kernel.npy", header.getvalue() + b"\0" * 16)
    refuses(path, WeightsFormatError, r"net\.npz is damaged at a/kernel\.npy\. Got: 16 bytes\. Expected: 4,398,046,511")
    np.savez(path, **{"a/kernel": np.zeros(1000, np.float32)})
    with pytest.raises(WeightsFormatError, match=r"declares far more data"):
        read_npz(path, 1000)


def archive_of(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conv1/kernel.npy", content)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "{'descr':'<f4','fortran_order':False,'shape':(1,)",
        "((((((",
        '"""',
        "{'descr':'<f4','fortran_order':False,'shape':" + "(" * 3000,
        "{'descr':'<f4','fortran_order':False,'shape':(True,)}",
        "{'descr':'<f4','fortran_order':False,'shape':(-1,)}",
        "{'descr':'<f4','fortran_order':False,'shape':(-1, -1)}",
        "{'descr':3,'fortran_order':False,'shape':(1,)}",
        "{}",
    ],
)
def test_npz_with_a_broken_header(text: str, refuses: Refuses, tmp_path: Path) -> None:
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + b"\0" * 4
    path = archive_of(tmp_path / "net.npz", content)
    refuses(
        path, WeightsFormatError, r"(?s)net\.npz is damaged at conv1/kernel\.npy\. Got: .*Expected: the header of an"
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_with_a_damaged_stream(method: int, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("conv1/kernel.npy", np.random.default_rng(0).bytes(5000))
    whole = path.read_bytes()
    for at in range(46, 200, 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        refuses(path, WeightsFormatError, r"net\.npz is (not a readable zip file|damaged at)")


@pytest.mark.parametrize("shape", [(3, 3, 256, 10), (1, 1, 1, 256, 10), (2560,)])
def test_a_classifier_that_is_no_dense_layer(
    shape: tuple[int, ...], net: ImageModel, refuses: Refuses, tmp_path: Path
) -> None:
    layers = keras_layers(net)
    layers["conv_preds"]["kernel"] = np.zeros(shape, np.float32)
    wrong = r"net\.h5 (has a classifier that is no dense layer\. Got: conv_preds with a kernel|.*does not fit this)"
    refuses(write_h5(tmp_path / "net.h5", layers), WeightsMismatchError, wrong)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 8)])
def test_biases_of_another_shape(shape: tuple[int, ...], net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    """None may be dropped, or spread over the channels."""
    layers = keras_layers(net)
    layers["conv1"]["bias"] = np.ones(shape, np.float32)
    got = rf"net\.h5 has a bias of another shape\. Got: conv1 with a bias {re.escape(str(shape))}\. Expected: \(8,\)"
    refuses(write_h5(tmp_path / "net.h5", layers), WeightsMismatchError, got)
    layers = keras_layers(net)
    layers["conv_preds"]["bias"] = np.ones(shape, np.float32)
    got = r"net\.h5 has a bias of another shape\. Got: conv_preds with .*Expected: \(10,\)"
    refuses(write_h5(tmp_path / "net.h5", layers), WeightsMismatchError, got)


@pytest.mark.parametrize("shape", [(), (10, 256, 3)])
def test_a_classifier_of_another_rank(
    shape: tuple[int, ...], net: ImageModel, refuses: Refuses, tmp_path: Path
) -> None:
    path = tmp_path / "net.pt"
    torch.save({**net.state_dict(), "head.classifier.weight": torch.zeros(shape)}, path)
    refuses(path, WeightsMismatchError, r"net\.pt \(torch\) does not fit.*of another shape: head\.classifier\.weight")


class Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))

    def __init__(self, path: Path) -> None:
        self.path = path


@pytest.mark.parametrize("how", ["torch", 2, 5])
def test_a_pickle_that_would_run_code(how: str | int, refuses: Refuses, tmp_path: Path) -> None:
    path, proof = tmp_path / "net.pt", tmp_path / "ran"
    if how == "torch":
        torch.save({"weights": Harm(proof)}, path)
    else:
        path.write_bytes(pickle.dumps({"weights": Harm(proof)}, protocol=how))
    called = r"is a pickle that would run code when read, and was not read\. Got: a call of posix\.mkdir"
    unread = r"is damaged, or a pickle of more than tensors, and was not read"  # protocols that torch reads none of
    refuses(path, WeightsFormatError, rf"net\.pt {unread if how == 5 else called}")
    assert not proof.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_random_damage_to_a_pickle_is_a_mismatch_a_format_error_or_harmless(
    zipped: bool, net: ImageModel, tmp_path: Path
) -> None:
    path, random = tmp_path / "net.pt", np.random.default_rng(3)
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=zipped)
    whole, refused = path.read_bytes(), 0
    for _ in range(150):
        content = bytearray(whole)
        for at in random.integers(6000, size=3):
            content[at] = random.integers(256)
        path.write_bytes(content)
        try:
            load_weights(net, path)
        except (WeightsFormatError, WeightsMismatchError):
            refused += 1
    assert refused > 50


def test_pickles_of_tensors(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, path)
    assert load_weights(net, path).format == "torch"
    torch.save([1, 2, 3], path)
    refuses(path, WeightsFormatError, r"net\.pt is not a state dict\. Got: list")
    for kind in (torch.zeros(3).to_sparse(), torch.zeros(3, device="meta")):
        torch.save({"a": torch.zeros(3), "b": kind}, path)
        refuses(path, WeightsFormatError, r"net\.pt is not a state dict\. .*Expected: tensors by name")
    torch.save({"other": torch.zeros(3)}, path)
    refuses(
        path, WeightsMismatchError, r"net\.pt \(torch\) does not fit this mobilenet_v1.*missing: conv1\.conv\.weight"
    )


@pytest.mark.parametrize("length", [0x0480, 0x7C80])
def test_a_safetensors_file_may_begin_like_a_pickle(length: int, tmp_path: Path) -> None:
    """The length of its header comes first, and every 32nd has the byte that pickles begin with."""
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(length)
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + header + struct.pack("<f", 3))
    opened = open_source(path)
    assert (opened.kind, opened.tensors) == ("safetensors", {"a": torch.tensor([3.0])})
