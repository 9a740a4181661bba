"""Networks that answer for every pixel: what looks into networks takes them."""

from pathlib import Path

import pytest
import torch

from separable.models import build_model
from separable.weights import load_model, save_model
from separable.weights.export_keras import save_keras
from tests.cli.conftest import Cli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(build_model("unet_xception", width=0.25, depth=1), tmp_path / "model")
    return tmp_path / "model"


def test_what_looks_into_networks_takes_them(cli: Cli, folder: Path, tmp_path: Path) -> None:
    assert "2,055,203" in cli("profile", "unet_xception").out
    assert cli("draw", folder, "--out", "unet.svg").code == 0
    assert (tmp_path / "unet.svg").read_text().count("<rect") > 5
    assert "one answer per pixel" in cli("models", "deeplab_xception65").out


def test_weights_of_keras_are_converted(cli: Cli, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model("unet_xception", 2, depth=2)
    save_keras(model, tmp_path / "unet.weights.h5")
    said = cli("convert", "unet.weights.h5", "converted")
    assert said.code == 0
    found = load_model(tmp_path / "converted").state_dict()
    assert all(torch.equal(value, found[name]) for name, value in model.state_dict().items() if "num_b" not in name)
