"""Our own format: what goes in comes out, a crash leaves the old or the new, and mixtures are noticed."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from separable.errors import OutputError, WeightsFormatError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import load_model, save_model
from tests.weights.conftest import make_net

OPTIONS = [
    ("xception", {"width": 0.125, "middle_blocks": 1, "fc_layers": (16, 8), "stem_stride": 1, "residual": False}),
    ("inception_v3", {"aux_head": True, "gamma": True, "width": 0.125}),
    ("inception_resnet_v2", {"width": 0.1, "repeats": (1, 2, 1), "residual_scale": (0.3, 0.2, 0.1), "form": "paper"}),
    ("mobilenet_v1", {"width": 0.25, "in_channels": 1}),
    ("xception41", {"width": 0.05, "output_stride": 8, "multi_grid": (1, 2, 4)}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=[name for name, _ in OPTIONS])
def test_a_saved_model_comes_back_to_the_bit(name: str, options: dict[str, object], tmp_path: Path) -> None:
    model = build_model(name, 3, **options)
    model.input_contract = replace(
        model.input_contract, size=(80, 96), mean=(0.1, 0.2, 0.3), resize="squash", class_names=("Löwe", "b", "c")
    )
    save_model(model, tmp_path / "new" / "folder")
    for source in (tmp_path / "new" / "folder", tmp_path / "new" / "folder" / "model.safetensors"):
        again = load_model(source)
        assert not again.training
        assert again.name == name
        assert again.num_classes == 3
        assert again.input_contract == model.input_contract
        state = again.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_memory_order_and_views_do_not_matter(net: ImageModel, tmp_path: Path) -> None:
    save_model(net.to(memory_format=torch.channels_last), tmp_path)
    state = load_model(tmp_path).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_the_same_model_gives_the_same_bytes(net: ImageModel, tmp_path: Path) -> None:
    """Resumed runs are compared file by file."""
    for number in range(4):
        save_model(net, tmp_path / str(number))
    assert len({(tmp_path / str(number) / "model.safetensors").read_bytes() for number in range(4)}) == 1


def test_edited_class_names_count_and_another_model_beside_it_is_noticed(net: ImageModel, tmp_path: Path) -> None:
    save_model(net, tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    names = [f"class {number}" for number in range(10)]
    path.write_text(json.dumps({**config, "input": {**config["input"], "class_names": names}}))
    assert load_model(tmp_path).input_contract.class_names == tuple(names)
    path.write_text(json.dumps({**config, "options": {**config["options"], "width": 0.5}}))
    with pytest.raises(WeightsFormatError, match=r"config\.json and the weights beside it belong to different models"):
        load_model(tmp_path)
    path.write_text("{ half")
    with pytest.raises(WeightsFormatError, match=r"config\.json cannot be read"):
        load_model(tmp_path)


def test_class_names_of_any_bytes(net: ImageModel, tmp_path: Path) -> None:
    """A class may be called after a folder whose name is not UTF-8; the others stand in config.json as they are."""
    names = ("Löwe", "caf\udce9", "日本", "\U0001f600", *"abcdef")
    net.input_contract = replace(net.input_contract, class_names=names)
    save_model(net, tmp_path)
    assert '"Löwe",\n      "caf\\udce9",\n      "日本"' in (tmp_path / "config.json").read_text(encoding="utf-8")
    for source in (tmp_path, tmp_path / "model.safetensors"):
        assert load_model(source).input_contract.class_names == names


def test_what_the_file_lacks_keeps_its_initial_weights(tmp_path: Path) -> None:
    """The auxiliary head alone may be missing; what nobody initialised would be NaN (see conftest)."""
    torch.manual_seed(0)
    save_model(build_model("inception_v3", 3, width=0.125), tmp_path)
    file = tmp_path / "model.safetensors"
    with safetensors.safe_open(file, "pt") as opened:
        config = json.loads(opened.metadata()["separable"])
    config["options"]["aux_head"] = True
    tensors = safetensors.torch.load_file(file)
    safetensors.torch.save_file(tensors, file, {"separable": json.dumps(config)})
    state = load_model(file).state_dict()
    assert len(state) > len(tensors)
    assert all(bool(torch.isfinite(value).all()) for value in state.values())
    assert all(torch.equal(value, state[name]) for name, value in tensors.items())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"num_classes": 10**12}, WeightsMismatchError, r"a classifier of 10 classes\. Expected: 1000000000000"),
        (
            {"options": {"width": 1e4}},
            WeightsMismatchError,
            r"of another shape: block1\.depthwise\.bn\.bias \(8,\) for \(320000,\)",
        ),
        ({"num_classes": "a"}, WeightsFormatError, r"does not say which model.*num_classes.*Got: 'a'"),
        ({"num_classes": 10**30}, WeightsFormatError, r"does not say which model it holds\. Got: "),
        ({"name": 3}, WeightsFormatError, r"does not say which model it holds\. Got: .*name is a text\. Got: 3\."),
        (
            {"name": ["a"]},
            WeightsFormatError,
            r"does not say which model it holds\. Got: .*name is a text\. Got: \['a'\]",
        ),
        ({"name": "mobilenet_v9"}, WeightsFormatError, r"There is no model 'mobilenet_v9'"),
        ({"options": {"width": 1e7}}, WeightsFormatError, r"does not say which model it holds\. Got: RuntimeError"),
        ({"options": {"width": float("inf")}}, WeightsFormatError, r"Bad model option width\. Got: inf"),
        ({"options": {"width": float("nan")}}, WeightsFormatError, r"Bad model option width\. Got: nan"),
        ({"options": {"width": "big"}}, WeightsFormatError, r"Bad model option width\. Got: 'big'"),
        ({"options": [1]}, WeightsFormatError, r"does not say which model it holds\. Got: AttributeError 'list'"),
        ({"name": "xception", "options": {"middle_blocks": 10**9}}, WeightsFormatError, r"1000000000 blocks"),
        ({"name": "inception_v4", "options": {"repeats": [1, 10**9, 1]}}, WeightsFormatError, r"1000000002 blocks"),
        ({"name": "inception_v4", "options": {"repeats": "473"}}, WeightsFormatError, r"Bad model option repeats"),
        ({"format_version": "1"}, WeightsFormatError, r"does not say which model it holds\. Got: TypeError"),
        ({"input": [1]}, WeightsFormatError, r"no input contract\. Got: list under 'input'"),
    ],
)
def test_a_configuration_that_nobody_saved(
    changes: dict[str, object], error: type[Exception], message: str, net: ImageModel, tmp_path: Path
) -> None:
    """Told from the header: the network that it describes might fill any memory, or take for ever to build."""
    save_model(net, tmp_path)
    file = tmp_path / "model.safetensors"
    with safetensors.safe_open(file, "pt") as opened:
        config = json.loads(opened.metadata()["separable"])
    tensors = safetensors.torch.load_file(file)
    safetensors.torch.save_file(tensors, file, {"separable": json.dumps({**config, **changes})})
    with pytest.raises(error, match=rf"model\.safetensors .*{message}"):
        load_model(file)


def test_an_illegal_contract_names_the_file(net: ImageModel, tmp_path: Path) -> None:
    save_model(net, tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "input": {**config["input"], "std": [0, 0, 0]}}))
    with pytest.raises(WeightsFormatError, match=rf"{tmp_path}: The stored input contract has an illegal std"):
        load_model(tmp_path)


@pytest.mark.parametrize("nested", ["[" * 100_000, '{"a":' * 100_000])
def test_json_without_bottom(nested: str, net: ImageModel, tmp_path: Path) -> None:
    save_model(net, tmp_path)
    (tmp_path / "config.json").write_text(nested)
    with pytest.raises(WeightsFormatError, match=r"config\.json cannot be read"):
        load_model(tmp_path)
    file = tmp_path / "nested.safetensors"
    file.write_bytes(struct.pack("<Q", len(nested)) + nested.encode())
    with pytest.raises(WeightsFormatError, match=r"nested\.safetensors cannot be read"):
        load_model(file)
    header = b'{"__metadata__": {"separable": 3}}'
    file.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(WeightsFormatError, match=r"nested\.safetensors cannot be read"):
        load_model(file)


def test_what_is_no_model(net: ImageModel, tmp_path: Path) -> None:
    with pytest.raises(WeightsFormatError, match=r"There is no model in .*Expected: model\.safetensors"):
        load_model(tmp_path)
    file = tmp_path / "plain.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, file)
    with pytest.raises(WeightsFormatError, match=r"plain\.safetensors does not say which model it holds.*load_weights"):
        load_model(file)
    config = {"format_version": 2, "name": "mobilenet_v1", "num_classes": 10, "options": {}, "input": {}}
    safetensors.torch.save_file({"a": torch.zeros(2)}, file, {"separable": json.dumps(config)})
    with pytest.raises(WeightsFormatError, match=r"written by a newer separable"):
        load_model(file)


def test_a_full_disk_keeps_the_old_model(net: ImageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(net, tmp_path)

    def full(self: Path, content: bytes) -> int:
        with open(self, "wb") as handle:
            handle.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"No space left to write .*model\.safetensors"):
        save_model(make_net(seed=2), tmp_path)
    monkeypatch.undo()
    state = load_model(tmp_path).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_a_file_in_the_way(net: ImageModel, tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    with pytest.raises(OutputError, match=r"Cannot write .*model"):
        save_model(net, tmp_path / "model")
