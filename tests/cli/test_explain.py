"""`separable explain` from the command line: pages for what can be explained, one clear message for what cannot."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from separable.cli.class_names import class_number
from separable.cli.explaining import page_paths
from separable.errors import UsageError
from separable.models import build_model
from separable.weights import save_model
from tests.analysis.explained import awake
from tests.cli.conftest import Cli, Outcome, write_pictures

OWN = """
import torch
from torch import nn

def build(channels=3):
    torch.manual_seed(0)
    layers = nn.Conv2d(channels, 6, 3, 2), nn.ReLU(inplace=True), nn.Conv2d(6, 4, 3), nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 3))

def grey():
    return build(1)

def contracted():
    from separable.models import InputContract
    model = build()
    model.input_contract = InputContract(size=(20, 30), mean=(0, 0, 0), std=(1, 1, 1), class_names=("a", "b", "c"))
    return model

class Strict(nn.Module):
    def forward(self, x):
        assert x.shape[2] == 224, f"Input height ({x.shape[2]}) doesn't match model (224)."

def strict():
    return Strict()

def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 20 * 20, 2))

class Unfinished(nn.Module):
    def forward(self, x):
        return {}["stage"]

def unfinished():
    return Unfinished()

def headless():
    from separable.models import build_model
    return build_model("mobilenet_v1", 0, width=0.125)

def half():
    return build().half()

def double():
    return build().double()

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.blocks = nn.Sequential(*(nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8)) for _ in range(2)))
        self.keys = nn.LayerNorm(4)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = self.blocks(self.stem(x).flatten(2).transpose(1, 2))
        keys = self.keys(x.unflatten(2, (2, 4)).transpose(1, 2))
        return self.fc(x.mean(1)) + keys.mean()

def tokens():
    return Tokens()

class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right, self.fc = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(3, 4, 3, 2), nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(torch.cat([self.left(x), self.right(x)], 1).mean((2, 3)))

def branches():
    return Branches()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow MobileNet with named classes, for pictures of 64 pixels."""
    torch.manual_seed(0)
    network = awake(build_model("mobilenet_v1", 3, width=0.125))
    names = ("tabby, tabby cat", "Samoyed, Samoyede", "owl")
    network.input_contract = replace(network.input_contract, size=(64, 64), class_names=names)
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(network, folder)
    return folder


def document(outcome: Outcome) -> Any:
    return json.loads(outcome.out)


def test_a_page_for_a_picture(cli: Cli, model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 1, 0.1)
    outcome = cli("explain", model, "in/0.png", "--class", "owl", "--steps", "4")
    assert outcome.code == 0
    line = outcome.out.strip()
    assert line.startswith("explained/0.html: ")
    assert line.endswith(" %")
    page = (tmp_path / "explained" / "0.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert f"separable</span> <span>explain</span> <span>{model}</span> <span>in/0.png" in page
    assert "<span>--class=owl</span>" in page


def test_json_has_the_numbers(cli: Cli, model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 1, 0.1)
    asked = ("--class", "samoyede", "--steps", "8", "--png", "--out", "why.html", "--json")
    outcome = cli("explain", model, "in/0.png", *asked)
    assert outcome.code == 0
    (row,) = document(outcome)
    assert (row["path"], row["page"], row["error"]) == ("in/0.png", "why.html", None)
    assert row["layer"] == {"name": "block13", "shape": [128, 2, 2]}
    assert sum(one["probability"] for one in row["top"]) == pytest.approx(1)
    assert "Samoyed, Samoyede" in [one["class"] for one in row["explained"]]
    for one in row["explained"]:
        found = one["integrated"]
        assert found["steps"] == 8
        assert found["gap"] == pytest.approx(found["sum"] - found["difference"])
        assert found["share"] == pytest.approx(abs(found["gap"] / found["difference"]))
        assert one["gradcam_max"] >= 0
    assert sorted(row["pictures"]) == sorted(str(path) for path in Path("why").iterdir())
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in row["pictures"])
    assert "why/seen.png" in row["pictures"]


def test_a_broken_picture_is_said_and_the_others_get_their_page(cli: Cli, model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 2, 0.1)
    write_pictures(tmp_path / "more", 1, 0.5)
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture at all")
    given = ("in/0.png", "bad.jpg", "gone.jpg", "more/0.png")
    outcome = cli("explain", model, *given, "--out", "pages", "--method", "gradcam")
    assert outcome.code == 1
    assert [line.split(":")[0] for line in outcome.out.splitlines()] == ["pages/0.html", "pages/0-2.html"]
    assert "separable: bad.jpg cannot be explained\n  got       " in outcome.err
    assert "separable: gone.jpg cannot be explained\n  got       cannot be read: No such file" in outcome.err
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["0-2.html", "0.html"]
    outcome = cli("explain", model, *given, "--method", "gradcam", "--json")
    rows = document(outcome)
    assert [row["error"] is None for row in rows] == [True, False, False, True]
    assert outcome.code == 1


def test_a_run_is_explained(cli: Cli, trained: Path, colours: Path) -> None:
    (row,) = document(cli("explain", trained, colours / "red" / "0.png", "--steps", "2", "--json"))
    assert {one["class"] for one in row["top"]} == {"blue", "green", "red"}
    answer = document(cli("predict", trained, colours / "red" / "0.png", "--json"))[0]
    assert row["top"][0]["class"] == answer["answer"]
    assert row["top"][0]["probability"] == pytest.approx(answer["confidence"], abs=1e-5)  # the temperature too


def test_a_map_of_one_position_gets_advice(cli: Cli, model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path, 1, 0.1)
    outcome = cli("explain", model, "0.png", "--size", "32", "--steps", "1")
    assert outcome.code == 0
    assert "separable: 0.png: The map of block13 has a single position (1x1)" in outcome.err
    assert "Try --layer block5, an earlier layer with 4x4." in outcome.err
    better = cli("explain", model, "0.png", "--size", "32", "--method", "gradcam", "--layer", "block5", "--json")
    assert document(better)[0]["layer"]["shape"] == [32, 4, 4]
    assert document(better)[0]["alerts"] == []


def test_anybodys_network(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    write_pictures(tmp_path, 1, 0.1)
    (row,) = document(
        cli("explain", "mine.py:build", "0.png", "--size", "24x40", "--pixels=-1..1", "--steps", "4", "--json")
    )
    assert row["layer"] == {"name": "2", "shape": [4, 9, 17]}
    assert row["top"][0]["class"].startswith("class ")
    page = (tmp_path / "explained" / "0.html").read_text()
    assert "<span>--steps=4</span> <span>--size=24x40</span> <span>--pixels=-1..1</span>" in page
    (row,) = document(cli("explain", "mine.py:contracted", "0.png", "--class", "2", "--steps", "4", "--json"))
    assert row["layer"]["shape"] == [4, 7, 12]
    assert {one["class"] for one in row["top"]} == {"a", "b", "c"}


def test_a_network_is_fed_the_precision_of_its_weights(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    write_pictures(tmp_path, 1, 0.1)
    own = ("0.png", "--size", "24", "--pixels=-1..1", "--steps", "64", "--json")
    rows = [document(cli("explain", f"mine.py:{name}", *own))[0] for name in ("build", "half", "double")]
    for row, near in zip(rows[1:], (1e-2, 1e-5), strict=True):
        assert row["layer"] == rows[0]["layer"]
        for one, expected in zip(row["explained"], rows[0]["explained"], strict=True):
            assert one["logit"] == pytest.approx(expected["logit"], abs=near)
            assert one["gradcam_max"] == pytest.approx(expected["gradcam_max"], abs=near)
            assert one["integrated"]["sum"] == pytest.approx(expected["integrated"]["sum"], abs=near)


def test_without_feature_maps_there_are_attributions_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    write_pictures(tmp_path, 1, 0.1)
    own = ("explain", "mine.py:tokens", "0.png", "--size", "24", "--pixels", "0..1", "--steps", "2")
    said = "This network works on sequences after stem, one of its first layers: it has no last feature map."
    outcome = cli(*own)
    assert outcome.code == 0
    assert f"separable: 0.png: There is no heat map (Grad-CAM). {said}" in outcome.err
    page = (tmp_path / "explained" / "0.html").read_text()
    assert said in page
    assert "positions of the heat map" not in page
    assert "(Grad-CAM), and what" not in page
    (row,) = document(cli(*own, "--json"))
    assert row["layer"] is None
    assert "gradcam_max" not in row["explained"][0]
    assert row["explained"][0]["integrated"]["steps"] == 2
    assert "heat map" not in cli(*own, "--method", "integrated").err
    refused(cli(*own, "--method", "gradcam"), said[:-1], "Name a layer with --layer, or take --method integrated")
    refused(
        cli(*own, "--layer", "keys"),
        "What the layer keys puts out are no feature maps of the picture",
        "a tensor 1x2x36x4: 36x4 is more than the picture's 24x24",
        "Take one near it: stem",
    )
    (row,) = document(cli(*own, "--layer", "stem", "--json"))
    assert row["layer"] == {"name": "stem", "shape": [8, 6, 6]}
    assert row["alerts"][0].startswith("stem is one of the first layers: 86% of the network comes after it.")


def test_a_layer_beside_others_gets_an_alert(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    write_pictures(tmp_path, 1, 0.1)
    own = ("0.png", "--size", "24", "--pixels", "0..1", "--method", "gradcam", "--json")
    (row,) = document(cli("explain", "mine.py:branches", *own))
    assert row["layer"]["name"] == "right"
    assert row["alerts"] == [
        "Part of the evidence does not pass through right, as beside one of several branches. The heat map leaves it "
        "out; --layer takes another layer."
    ]
    assert document(cli("explain", "mine.py:branches", *own, "--layer", "left"))[0]["alerts"] == []
    assert document(cli("explain", "mine.py:build", *own))[0]["alerts"] == []


def refused(outcome: Outcome, *said: str) -> None:
    assert outcome.code == 2, outcome.err
    for words in said:
        assert words in outcome.err
    assert "went wrong that should not have" not in outcome.err


def test_what_cannot_be_explained_is_said(cli: Cli, model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    write_pictures(tmp_path, 2, 0.1)
    own = ("explain", "mine.py:build", "0.png")
    refused(cli(*own), "does not say what its pictures look like", "no --size and no --pixels", "--size 224 --pixels")
    refused(cli(*own, "--size", "24"), "got       no --pixels")
    refused(cli(*own, "--size", "24", "--pixels", "0..2"), "Unknown range of pixels '0..2'", "0..1 or -1..1")
    refused(
        cli(*own, "--size", "2", "--pixels", "0..1"),
        "mine.py:build cannot take a colour picture of 2x2",
        "RuntimeError",
    )
    grey = ("explain", "mine.py:grey", "0.png", "--size", "24", "--pixels", "0..1")
    refused(cli(*grey), "cannot take a colour picture of 24x24", "channels", "(fed 1x3x24x24 of float32)")
    assert "Give another --size" not in cli(*grey).err
    unfinished = ("explain", "mine.py:unfinished", "0.png", "--size", "24", "--pixels", "0..1")
    refused(cli(*unfinished), "got       KeyError: 'stage' (fed 1x3x24x24 of float32)")
    assert "size" not in cli(*unfinished).err
    refused(
        cli("explain", "mine.py:headless", "0.png", "--size", "64"),
        "This network has no classifier",
        "num_classes=0",
        "Build it with as many classes",
    )
    strict = ("explain", "mine.py:strict", "0.png", "--size", "24", "--pixels", "0..1")
    refused(cli(*strict), "AssertionError: Input height (24) doesn't match model (224)", "Give another --size")
    plain = ("explain", "mine.py:plain", "0.png", "--size", "20", "--pixels", "0..1")
    refused(
        cli(*plain, "--method", "gradcam"), "No layer of this network puts out feature maps", "Take --method integrated"
    )
    refused(cli(*plain, "--layer", "1"), "The layer 1 puts out no feature map")
    refused(cli("explain", model, "0.png", "--pixels", "0..1"), "says itself what it takes pixels as")
    refused(cli("explain", model, "0.png", "--layer", "blok13"), "no layer 'blok13'", "Perhaps you meant block13")
    refused(cli("explain", model, "0.png", "--class", "tiger"), "There is no class 'tiger'", "one of tabby, tabby cat")
    refused(cli("explain", model, "0.png", "--class", "3"), "There is no class 3", "0 to 2")
    refused(cli("explain", model, "0.png", "--method", "lime"), "no method 'lime'", "gradcam or integrated or both")
    refused(cli("explain", model, "0.png", "--steps", "0"), "A path needs a step", "--steps 0")
    refused(cli("explain", model, "0.png", "1.png", "--out", "a.html"), "One page shows one picture", "--out a,")
    assert cli("explain", model, "0.png", "--size", "8").err.startswith("separable: Pictures of 8x8 are too small")
    assert not (tmp_path / "explained").exists()


def test_a_network_without_published_weights_is_said(cli: Cli, tmp_path: Path) -> None:
    write_pictures(tmp_path, 1, 0.1)
    for verb in ("explain", "predict"):
        outcome = cli(verb, "squeezenet", "0.png")
        assert outcome.err == (
            "separable: A catalogue name stands for its published weights. Keras publishes no weights for squeezenet\n"
            "  expected  a network whose published weights are fetched: inception_v3, xception\n"
            "  to do     Give a run or a model folder instead; `separable convert FILE FOLDER` makes one of a weight "
            "file\n"
        )
        assert outcome.code != 0
        vgg = cli(verb, "vgg16", "0.png").err
        assert "Keras gives an MD5 alone, which can be forged, to check them against" in vgg
        assert 'weights="PATH" of it, or what `separable convert PATH FOLDER` makes of it' in vgg


def test_a_factorys_error_of_several_lines_keeps_its_indentation(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def build():\n    raise ValueError('first\\nsecond\\n  third')\n")
    write_pictures(tmp_path, 1, 0.1)
    outcome = cli("explain", "mine.py:build", "0.png", "--size", "24", "--pixels", "0..1")
    assert "  got       ValueError: first\n            second\n              third\n" in outcome.err


def test_every_picture_has_a_page_of_its_own() -> None:
    names = [path.name for path in page_paths(["a/x.jpg", "x-2.png", "b/X.jpg", "x.gif", ".hidden"], Path("out"))]
    assert names == ["x.html", "x-2.html", "X-3.html", "x-4.html", ".hidden.html"]
    assert page_paths(["x.jpg"], Path("Why.HTML")) == [Path("Why.HTML")]


def test_classes_go_by_any_of_their_names() -> None:
    names = ("tabby, tabby cat", "Owl", "crane", "crane", "7")
    for given, index in (("tabby, tabby cat", 0), ("Tabby Cat", 0), ("tabby", 0), ("owl", 1), ("0", 0), ("7", 4)):
        assert class_number(given, names, 5) == index
    with pytest.raises(UsageError, match=r"Several classes are called 'crane'. Got: 2 \(crane\), 3 \(crane\)"):
        class_number("crane", names, 5)
    with pytest.raises(UsageError, match="Perhaps you meant 'tabby, tabby cat'"):
        class_number("abby", names, 5)
    with pytest.raises(UsageError, match="a number from 0 to 4, since this network does not name its classes"):
        class_number("owl", (), 5)
