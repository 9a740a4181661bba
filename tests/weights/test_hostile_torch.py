"""torch files made to exhaust memory, wrapped in every usual way, or of types that nobody trains in."""

import resource
import zipfile
from pathlib import Path

import pytest
import torch

from separable.errors import WeightsFormatError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.weights import load_weights
from separable.weights.archive import refuse_compressed
from separable.weights.conversion import convert_weights
from separable.weights.source import open_source
from tests.weights.conftest import Refuses, make_net


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_one_number_for_many(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    """70 kB that were 11 GB in memory."""
    path, before = tmp_path / "net.pth", peak()
    shapes = {name: value.shape for name, value in net.state_dict().items() if value.dim()}
    first = {"head.classifier.weight": torch.Size((20_000_000, 256))}
    torch.save({name: torch.zeros(1).expand(shape) for name, shape in (first | (shapes | first)).items()}, path)
    assert path.stat().st_size < 100_000
    wrong = r"net\.pth has a tensor that is larger than the data stored for it, and was not read\. "
    got = r"Got: head\.classifier\.weight \(20000000, 256\) of 20,480,000,000 bytes, with 4 stored\. If it is meant, "
    refuses(path, WeightsFormatError, wrong + got)
    with pytest.raises(WeightsFormatError, match=wrong):
        convert_weights(path, tmp_path / "out")
    assert peak() - before < 200 << 20


def test_one_array_under_many_names(tmp_path: Path) -> None:
    path, array = tmp_path / "net.pth", torch.zeros(1 << 20)
    torch.save({f"{number}.weight": array for number in range(80)}, path)
    with pytest.raises(WeightsFormatError, match=r"net\.pth declares far more data .* up to 6\d\.weight"):
        open_source(path)
    torch.save({f"{number}.weight": array for number in range(2)}, path)
    assert len(open_source(path).tensors or ()) == 2  # tied weights are no attack


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_compressed_records(method: int, net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    """3.9 MB that were 6.6 GB in memory."""
    path, packed = tmp_path / "plain.pth", tmp_path / "net.pth"
    torch.save(net.state_dict(), path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    refuses(packed, WeightsFormatError, r"net\.pth has compressed records, and was not read\. Got: plain/data\.pkl of ")
    with pytest.raises(WeightsFormatError, match=r"plain\.pth declares far more data .*10\d,\d{3} bytes up to plain"):
        refuse_compressed(path, 100_000)


WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "module", "weights", "state_dict_ema", "ema", "model_ema")


@pytest.mark.parametrize("key", WRAPPERS)
def test_checkpoints_of_every_training(key: str, net: ImageModel, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"epoch": 3, key: net.state_dict(), "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}, path)
    other = make_net(seed=2)
    load_weights(other, path)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in net.state_dict().items())


def test_of_two_state_dicts_none_is_guessed(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path, state = tmp_path / "net.pth", net.state_dict()
    torch.save({"model": state, "net": make_net(seed=3).state_dict()}, path)
    more = r"net\.pth holds more than one network's weights\. Got: state dicts under model and net\. Expected: one\. "
    refuses(path, WeightsFormatError, more)
    torch.save({"state_dict": state, "state_dict_ema": make_net(seed=3).state_dict()}, path)
    other = make_net(seed=2)
    report = load_weights(other, path)
    assert report.notes == ("the averaged weights under 'state_dict_ema' were left out",)
    assert torch.equal(other.state_dict()["conv1.conv.weight"], state["conv1.conv.weight"])


def test_what_holds_no_state_dict_says_what_it_holds(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"epoch": 3, "generator": net.state_dict()}, path)
    got = r"net\.pth is not a state dict\. Got: no plain tensors under epoch, generator\. "
    refuses(
        path, WeightsFormatError, got + r"Expected: tensors by name, alone or under one of state_dict, model_state_"
    )
    circle: dict[str, object] = {"epoch": 3}
    circle["model"] = circle
    torch.save(circle, path)
    refuses(path, WeightsFormatError, r"net\.pth is not a state dict\. Got: no plain tensors under epoch, model\. ")
    torch.save({}, path)
    refuses(path, WeightsFormatError, r"net\.pth is not a state dict\. Got: an empty dict\. ")


def test_what_stands_beside_the_network_is_named(net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    state = {f"model.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": {**state, "criterion.weight": torch.ones(10)}}, path)
    fix = r"All names but criterion\.weight begin with 'model\.': save those alone, which are the network's\."
    with pytest.raises(WeightsMismatchError, match=rf"does not tell which network it is.*{fix}"):
        convert_weights(path, tmp_path / "out")
    refuses(path, WeightsMismatchError, fix)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_floats_of_eight_bits(kind: torch.dtype, net: ImageModel, refuses: Refuses, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    state = {**net.state_dict(), "head.classifier.bias": torch.arange(10).to(kind)}
    torch.save(state, path)
    load_weights(net, path)
    assert torch.equal(net.state_dict()["head.classifier.bias"], state["head.classifier.bias"].float())
    state["head.classifier.bias"] = torch.full((10,), float("nan")).to(kind)
    torch.save(state, path)
    refuses(path, WeightsMismatchError, r"net\.pth has NaN or infinite numbers\. Got: head\.classifier\.bias")
