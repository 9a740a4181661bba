"""`separable convert` as a user has it: what is printed, what is written, and how it ends."""

import json
from pathlib import Path

import torch

from separable.weights import load_model, save_model
from separable.weights.ports.mobilenet_v1 import TIMM_MOBILENET_V1
from separable.weights.ports.read import port_tensors
from tests.cli.conftest import Cli
from tests.parity.torch_net import calibrate
from tests.weights.conftest import make_net


def write_timm(path: Path, *, spoiled: str | None = None) -> Path:
    """A narrow MobileNet as timm would save it; timm itself has no such width, so it cannot vouch for it."""
    tensors = port_tensors(TIMM_MOBILENET_V1, make_net(4))
    if spoiled is not None:
        del tensors[spoiled]
    torch.save(tensors, path)
    return path


def test_a_file_becomes_a_model_with_a_certificate(cli: Cli, tmp_path: Path) -> None:
    write_timm(tmp_path / "net.pth")
    done = cli("convert", "net.pth", "out")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[:2] == ["Reading net.pth", "It holds timm's mobilenetv1_100 with 4 classes"]
    assert "Parity certificate" in lines
    assert "  network    mobilenet_v1, 4 classes, width=0.25" in lines
    assert (
        "  numerics   epsilon 1e-05, symmetric borders, average pools leave the padding out (the source's own)" in lines
    )
    assert lines[-1] == "Written to out, the certificate to out/certificate.json."
    assert load_model(tmp_path / "out").input_contract.padding == "symmetric"
    again = cli("convert", "net.pth", "out")
    assert again.code == 2
    assert "out is already there, and nothing was written" in again.err


def test_json_is_the_certificate(cli: Cli, tmp_path: Path) -> None:
    net = make_net(4)
    calibrate(net, 64)  # with weights that answer alike for every picture, nothing would be proven
    save_model(net, tmp_path / "in")
    done = cli("convert", "in", "out", "--verify", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    stored = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert document == {"target": "out", **stored}
    assert document["verified"] is True


def test_verify_fails_where_nothing_is_proven(cli: Cli, tmp_path: Path) -> None:
    write_timm(tmp_path / "net.pth")
    done = cli("convert", "net.pth", "out", "--verify")
    assert done.code == 1
    assert "out is written, and --verify finds it not proven" in done.err
    assert "timm has no mobilenetv1_100 like this. Got: width=0.25" in done.err
    assert "verdict    names and shapes fit; the logits were not compared" in done.out


def test_mistakes_get_one_sentence(cli: Cli, tmp_path: Path) -> None:
    write_timm(tmp_path / "net.pth")
    write_timm(tmp_path / "short.pth", spoiled="blocks.1.0.bn1.bias")
    (tmp_path / "page.h5").write_text("<html>not found</html>")
    cases = (
        (("nowhere.pth", "out"), 2, "There is no nowhere.pth"),
        (("page.h5", "out"), 1, "page.h5 is no weight file"),
        (("short.pth", "out"), 1, "missing: blocks.1.0.bn1.bias"),
        (("net.pth", "out", "--model", "xception"), 1, "not for this xception"),
        (("net.pth", "out", "--model", "exception"), 2, "There is no model 'exception'"),
        (("net.pth", "out", "--option", "width=0.5"), 1, "of another shape: conv1.conv.weight"),
        (("net.pth", "out", "--option", "depth=5"), 2, "mobilenet_v1 has no option depth"),
        (("net.pth", "out", "--numerics", "torch"), 2, "Unknown --numerics"),
        (("net.pth", "out", "--release", "v2"), 2, "have no release 'v2'"),
        (("net.pth", "out", "--to", "onnx"), 2, "Unknown target 'onnx'"),
    )
    for arguments, code, message in cases:
        done = cli("convert", *arguments)
        assert (done.code, message in done.err) == (code, True), (arguments, done.err)
        assert not (tmp_path / "out").exists()
