"""Our own format: what goes in comes out, a crash leaves the old or the new, and mixtures are noticed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from separable.errors import OutputError, WeightsFormatError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import load_model, save_model
from tests.weights.conftest import make_net

OPTIONS = [
    ("xception", {"width": 0.125, "middle_blocks": 1, "fc_layers": (16, 8), "stem_stride": 1, "residual": False}),
    ("inception_v3", {"aux_head": True, "gamma": True, "width": 0.125}),
    ("mobilenet_v1", {"width": 0.25, "in_channels": 1}),
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
