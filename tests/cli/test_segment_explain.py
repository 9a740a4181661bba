"""`explain`, `profile` and `draw` of networks that answer for every pixel."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from separable.models import build_model
from separable.weights import save_model
from tests.analysis.explained import awake
from tests.cli.conftest import Cli

QUICK = ("--steps", "2")
OWN = """
from separable.models import build_model

def build():
    model = build_model("unet_xception", 2, width=0.25, depth=1)
    return model
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with three classes, of which one is taken nowhere."""
    from dataclasses import replace

    torch.manual_seed(3)
    model = build_model("unet_xception", 3, width=0.25, depth=2)
    awake(model, 32)
    with torch.no_grad():
        classifier: Any = model.head.classifier  # type: ignore[union-attr]
        classifier.bias[2] = -1e6
    model.input_contract = replace(model.input_contract, size=(32, 32), class_names=("sky", "cat", "dog"))
    path = tmp_path_factory.mktemp("segmenting") / "model"
    save_model(model, path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    pixels[:20] //= 4
    Image.fromarray(pixels).save(tmp_path / "one.png")
    return tmp_path / "one.png"


def test_a_page_of_a_segmentation(cli: Cli, folder: Path, picture: Path) -> None:
    said = cli("explain", folder, picture, "--out", "why.html", "--png", *QUICK, "--class", "dog", "--class", "cat")
    assert said.code == 0, said.err
    assert said.out.startswith("why.html: of the 32x32 pixels that the network sees, ")
    assert "No pixel of this picture is taken for dog: there is nothing to explain." in said.err
    page = Path("why.html").read_text()
    for words in (
        "Why these pixels?",
        "The pixels taken for it",
        "32x32 pixels that it sees of this picture",
        "Seg-Grad-CAM",
        "sum of logits",
    ):
        assert words in page, words
    drawn = {path.name for path in Path("why").iterdir()}
    assert {"predicted.png", "seen.png", "maps-down2.png", "maps-up3.png"} <= drawn
    assert not any("dog" in name for name in drawn)
    assert np.asarray(Image.open("why/predicted.png")).shape[:2] == (32, 32)


def test_the_document(cli: Cli, folder: Path, picture: Path) -> None:
    row = json.loads(cli("explain", folder, picture, "--json", *QUICK).out)[0]
    assert row["layer"] == {"name": "down2", "shape": [32, 4, 4]}
    assert sum(one["share"] for one in row["top"]) == pytest.approx(1)
    assert all({"share", "sum_of_logits", "gradcam_max", "integrated"} <= set(one) for one in row["explained"])
    assert row["explained"][0]["role"] == "the largest"


def test_layers_on_the_way_up_and_wrong_ones(cli: Cli, folder: Path, picture: Path) -> None:
    arguments = ("explain", folder, picture, "--method", "gradcam", "--json")
    assert json.loads(cli(*arguments, "--layer", "up3").out)[0]["layer"]["shape"] == [8, 32, 32]
    refused = cli(*arguments, "--layer", "down9")
    assert (refused.code, "This network has no layer 'down9'" in refused.err) == (2, True)
    refused = cli(*arguments, "--class", "horse")
    assert (refused.code, "There is no class 'horse'" in refused.err) == (2, True)
    assert "--pixels" in cli(*arguments, "--pixels", "0..1").err
    assert json.loads(cli(*arguments, "--size", "44").out)[0]["layer"]["shape"][0] == 32


def test_somebodys_own_network_of_pixels(cli: Cli, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    said = cli("explain", "own.py:build", picture, "--size", "32", *QUICK, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)[0]["explained"][0]["class"] in ("class 0", "class 1")
    missing = cli("explain", "unet_xception", picture)
    assert missing.code != 0
    assert "Give a run or a model folder instead" in missing.err


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (("unet_xception",), "U-Net Xception"),
        (("unet_xception", "--option", "skips=true"), "skips=true"),
        (("deeplab_xception65",), "DeepLabv3+ over Xception-65"),
        (("unet", "--option", "encoder=mobilenet_v1"), "U-Net (encoder=mobilenet_v1)"),
    ],
)
def test_profiles_and_drawings(cli: Cli, model: tuple[str, ...], words: str) -> None:
    counted = json.loads(cli("profile", *model, "--json", "--size", "128").out)
    assert counted["layers"][-1]["output_shape"][-2:] == [128, 128]
    assert not counted["principles_missing"]
    assert not [one for one in counted["principles"] if one["where"].startswith("head")]
    said = cli("draw", *model, "--out", "drawn.svg", "--size", "128")
    assert (said.code, words in Path("drawn.svg").read_text()) == (0, True)
