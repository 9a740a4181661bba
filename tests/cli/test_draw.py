"""`separable draw` as a user has it: what it writes, what it says, what it refuses."""

import json
from pathlib import Path
from xml.etree import ElementTree

from tests.cli.conftest import Cli, Outcome

SMALL = ("--option", "width=0.1", "--option", "middle_blocks=2")
OWN = """
from torch import nn

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.wide = nn.Conv2d(8, 11, 1)

    def forward(self, x):
        return self.wide(self.conv(x).relu())

def build():
    return Own()
"""


def texts(path: Path) -> set[str]:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    return {node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")}


def refused(outcome: Outcome, *said: str, code: int = 2) -> None:
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert all(words in outcome.err for words in said), outcome.err


def test_a_catalogue_name(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("draw", "xception", "--out", "x.svg", *SMALL)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("x.svg: Xception (width=0.1, middle_blocks=2), ")
    assert " operations at 299x299" in outcome.out
    title = "Xception (width=0.1, middle_blocks=2)"
    assert texts(tmp_path / "x.svg") >= {title, "Entry flow", "Middle flow", "Exit flow", "2 x", "block5, block6"}
    assert "prefers-color-scheme" in (tmp_path / "x.svg").read_text()


def test_layers_size_and_theme(cli: Cli, tmp_path: Path) -> None:
    assert (
        cli("draw", "xception", "--out", "x.SVG", *SMALL, "--layers", "--size", "96x128", "--theme", "dark").code == 0
    )
    said = texts(tmp_path / "x.SVG")
    assert {"96x128x3 images", "BatchNorm2d", "block5", "block6"} <= said
    assert "prefers-color-scheme" not in (tmp_path / "x.SVG").read_text()


def test_json_describes_the_file(cli: Cli, tmp_path: Path) -> None:
    told = json.loads(cli("draw", "mobilenet_v1", "--out", "m.svg", "--option", "width=0.25", "--json").out)
    assert told["out"] == "m.svg"
    assert told["bytes"] == (tmp_path / "m.svg").stat().st_size
    assert (told["model"], told["input_shape"], told["layers"]) == ("mobilenet_v1", [1, 3, 224, 224], False)
    assert told["operations"] == 89
    assert (told["title"], told["options"]) == ("MobileNet V1 (width=0.25)", {"width": 0.25})
    assert [found["where"] for found in told["principles"]][-1] == "block12.depthwise.conv"
    assert {found["level"] for found in told["principles"]} == {"note", "warning"}


def test_anybodys_network(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    refused(cli("draw", "own.py:build", "--out", "o.svg"), "does not say what size its pictures have", "Give --size")
    refused(
        cli("draw", "own.py:build", "--out", "o.svg", "--size", "32", "--option", "width=2"),
        "Options are for catalogue names",
    )
    assert "32x40" in cli("draw", "own.py:build", "--out", "o.svg", "--input", "1x3x32x40").out
    assert cli("draw", "own.py:build", "--out", "o.svg", "--size", "32").code == 0
    assert texts(tmp_path / "o.svg") >= {"build", "Own of own.py, input 32x32x3, 323 parameters", "Conv 11, 1x1"}


def test_a_run(cli: Cli, trained: Path, tmp_path: Path) -> None:
    assert cli("draw", trained, "--out", "run.svg").code == 0
    said = texts(tmp_path / "run.svg")
    assert any(line.startswith("Xception (num_classes=3, width=0.0625") for line in said), said
    assert any(line.startswith(f"arXiv:1610.02357, {trained}, input ") for line in said)
    assert "3 outputs" in said


def test_what_is_refused(cli: Cli, tmp_path: Path) -> None:
    refused(
        cli("draw", "xception", "--out", "x.png"),
        "`draw` writes SVG only",
        "got       x.png",
        "expected  a name that ends with .svg, such as x.svg",
        "rsvg-convert x.svg -o x.png",
    )
    refused(cli("draw", "xception", "--out", "plain"), "`draw` writes SVG only", "such as plain.svg")
    refused(cli("draw", "xception"), "Missing option '--out'")
    refused(cli("draw", "xception", "--out", "x.svg", "--theme", "blue"), "Unknown --theme", "auto or light or dark")
    refused(cli("draw", "xeption", "--out", "x.svg"), "No run or model is called 'xeption'", "xception")
    refused(cli("draw", "xception", "--out", "x.svg", "--size", "40"), "too small for xception")
    refused(cli("draw", "xception", "--out", "no/x.svg", *SMALL), "Cannot write no/x.svg", code=1)
    (tmp_path / "own.py").write_text(OWN.replace("Conv2d(8, 11, 1)", "Conv2d(9, 11, 1)"))
    refused(cli("draw", "own.py:build", "--out", "x.svg", "--size", "32"), "cannot be run on an input of 1x3x32x32")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".svg") == []
