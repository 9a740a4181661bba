"""`profile --html`, `profile --measure` and `doctor MODEL`, with ceilings that need no measuring."""

import json
from pathlib import Path
from typing import Any

import pytest

from separable.analysis import diagnosing, measuring
from separable.machine.ceilings import Ceilings
from tests.cli.conftest import Cli

SMALL = ("mobilenet_v1", "--option", "width=0.1", "--size", "64")
MINE = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1, 2))

def gray():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU())

def split():
    return nn.DataParallel(build())

def scripted():
    import torch
    return torch.jit.script(build())

def bare():
    import torch
    with torch.device("meta"):
        return build()

def half():
    return build().half()

def leaves():
    import sys
    sys.exit(3)

def fails():
    raise ValueError("first\\nsecond")

def own(wanted):
    return build()

def broken():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("in forward")
    return Broken()

class Touching(nn.Module):
    def forward(self, x):
        return x.detach().clone().new_tensor(x.sum().item()) if x.is_meta else x.new_tensor([x.sum().item()])

def loose():
    return Touching()

def strict():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
"""


@pytest.fixture(autouse=True)
def known_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    def ceilings(*_: object, **__: object) -> Ceilings:
        return Ceilings("cpu", "test", 2, {"fp32": 1e11}, ((10**6, 1e11), (10**8, 1e10)), {})

    monkeypatch.setattr(measuring, "measure_ceilings", ceilings)
    monkeypatch.setattr(diagnosing, "measure_ceilings", ceilings)


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE)
    return "mine.py"


def document(text: str) -> Any:
    return json.loads(text)


def test_profile_writes_a_page_and_the_same_numbers(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("profile", *SMALL, "--html", "page.html", "--json")
    assert outcome.code == 0, outcome.err
    told = document(outcome.out)
    page = (tmp_path / "page.html").read_text()
    assert "page.html is written." in outcome.err
    for layer in told["layers"]:
        assert f">{layer['name']}<" in page
    measured = told["measured"]
    assert measured["layers_milliseconds"] + measured["outside_milliseconds"] == pytest.approx(
        measured["watched_milliseconds"]
    )
    assert sum(layer["milliseconds"] for layer in told["layers"]) == pytest.approx(measured["layers_milliseconds"])
    assert told["macs"] == sum(layer["macs"] for layer in told["layers"])
    assert {"what", "stage", "limit_milliseconds", "bound", "share"} <= told["layers"][0].keys()
    assert told["environment"]["packages"]["torch"]


def test_profile_measures_when_asked_and_not_otherwise(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = cli("profile", *SMALL, "--measure").out
    assert "outside of layers" in text
    assert "if each layer reached its limit. test, 2 threads, fp32, batch 1." in text.replace("\n", " ")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing was to be measured")

    monkeypatch.setattr(measuring, "measure_here", refuse)
    assert "outside of layers" not in cli("profile", *SMALL).out
    told = document(cli("profile", *SMALL, "--html", "counts.html", "--no-measure", "--json").out)
    assert told["measured"] is None
    assert "Nothing was run" in (tmp_path / "counts.html").read_text()


def test_profile_lists_broken_principles(cli: Cli) -> None:
    arguments = ("profile", "mobilenet_v1", "--option", "width=0.25")
    assert "\nPrinciple 1 at block6.depthwise.conv: From 64 channels at 28x28 to 64" in cli(*arguments).out
    told = document(cli(*arguments, "--json").out)
    found = {one["where"]: one["level"] for one in told["principles"]}
    assert found["block6.depthwise.conv"] == "warning"
    assert found["block4.depthwise.conv"] == "note"


def test_precision_halves_the_bytes(cli: Cli) -> None:
    half, full = (document(cli("profile", *SMALL, "--precision", name, "--json").out) for name in ("bf16", "fp32"))
    assert half["bytes"] == pytest.approx(full["bytes"] / 2, rel=0.03)


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("--precision", "fp8"), "Unknown --precision", 2),
        (("--device", "abacus"), "Unknown --device", 2),
        (("--precision", "bf16", "--measure"), "This processor only emulates bf16", 2),
        (("--html", "no/such/folder/page.html"), "Cannot write no/such/folder/page.html", 1),
        (("--html", "page.png"), "expected  a name that ends with .html, such as page.html", 2),
        (("--device", "cuda"), "to do     Give --device cpu", 2),
        (("--input", "1x3x64x64"), "--input already says what --size and --batch say", 2),
        (("--size", "9"), "too small for mobilenet_v1", 2),
    ],
)
def test_what_profile_refuses(
    cli: Cli, arguments: tuple[str, ...], said: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--html" in arguments:
        monkeypatch.setattr(measuring, "measure_here", None)  # refused before anything is measured
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    outcome = cli("profile", *SMALL, *arguments)
    assert said in outcome.err
    assert outcome.code == code


def test_doctor_of_a_network_ranks_what_could_be_gained(cli: Cli, mine: str) -> None:
    outcome = cli("doctor", f"{mine}:build", "--input", "2x3x64x48")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("mine.py:build: ")
    assert "for 2x3x64x48 in fp32" in outcome.out
    assert "The layers furthest above the time they would need at best" in outcome.out
    told = document(cli("doctor", f"{mine}:build", "--json").out)
    assert told["input_shape"] == [1, 3, 224, 224]
    assert told["model"] == "mine.py:build"
    gains = [one["gain_milliseconds"] for one in told["advice"]]
    assert gains == sorted(gains, reverse=True)
    assert told["possible_milliseconds"] <= told["milliseconds"]


def test_doctor_takes_the_networks_own_size(cli: Cli) -> None:
    told = document(
        cli("doctor", "mobilenet_v1", "--option", "width=0.1", "--size", "40x48", "--batch", "2", "--json").out
    )
    assert told["input_shape"] == [2, 3, 40, 48]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--size", "64"), "are for a network"),
        (("MINE:build", "--input", "1x3xbig"), "An input shape is numbers with x between them"),
        (("MINE:build", "--input", "1x3x8x8", "--batch", "2"), "--input already says what --size and --batch say"),
        (("MINE:strict",), "The network cannot be run on an input of 1x3x224x224"),
        (("MINE:scripted",), "What TorchScript has compiled cannot be looked into"),
        (("MINE:bare",), "The network has no weights to run with"),
        (("MINE:half",), "got       weights in float16"),
        (("MINE:leaves",), "MINE:leaves failed\n  got       SystemExit: 3"),
        (("MINE:fails",), "got       ValueError: first\n            second"),
        (("MINE:gray",), "to do     Give it what its first layer takes: --input 1x1x224x224"),
        (("MINE:broken",), "got       RuntimeError: in forward\n"),
        (("MINE",), "expected  MINE:NAME, NAME one of build, gray, split, scripted, bare, half, leaves, fails, 3 more"),
        (("MINE:",), "got       nothing after the colon"),
        (("MINE:build:x",), "got       'build:x' after the colon"),
        (("gone.py:build",), "gone.py does not exist"),
        (("squeezenet", "--input", "1x3x64"), "--input takes four numbers: pictures, channels, height and width"),
        (("nosuchnet",), "No run or model is called 'nosuchnet'"),
    ],
)
def test_what_doctor_refuses(cli: Cli, mine: str, arguments: tuple[str, ...], said: str) -> None:
    outcome = cli("doctor", *(argument.replace("MINE", mine) for argument in arguments))
    assert said.replace("MINE", mine) in outcome.err
    assert outcome.code == 2


def test_one_network_for_every_verb(cli: Cli, mine: str) -> None:
    """Other numbers of channels, and what nn.DataParallel wraps."""
    for build, shape in (("gray", "1x1x16x16"), ("split", "1x3x16x16")):
        for verb in (("profile",), ("doctor",), ("draw", "--out", "x.svg")):
            outcome = cli(verb[0], f"{mine}:{build}", "--input", shape, *verb[1:])
            assert outcome.code == 0, (verb, build, outcome.err)
    assert cli("profile", "mobilenet_v1", "--option", "width=0.1", "--option", "in_channels=4").code == 0


def test_profile_counts_what_fits_into_no_memory(cli: Cli) -> None:
    huge = ("profile", "mobilenet_v1", "--option", "width=1000000")
    told = document(cli(*huge, "--json").out)
    assert told["parameters"] > 10**15
    refused = cli(*huge, "--measure")
    assert refused.code == 2
    assert "The network's weights do not fit into memory" in refused.err


def test_options_are_named(cli: Cli, tmp_path: Path) -> None:
    told = document(cli("profile", *SMALL, "--html", "page.html", "--no-measure", "--json").out)
    assert (told["title"], told["options"]) == ("mobilenet_v1 (width=0.1)", {"width": 0.1})
    assert "Profile: mobilenet_v1 (width=0.1)" in (tmp_path / "page.html").read_text()
    usual = document(cli("profile", "squeezenet", "--json").out)
    assert (usual["title"], usual["options"], usual["principles_missing"]) == ("squeezenet", {}, None)


def test_profile_says_where_the_data_flow_is_not_known(cli: Cli, mine: str) -> None:
    arguments = ("profile", f"{mine}:loose", "--input", "1x3x16x16")
    missing = "The data flow of this network could not be recorded: The network's output does not depend on its input"
    assert f"Design principles: {missing}" in cli(*arguments).out
    assert document(cli(*arguments, "--json").out)["principles_missing"].startswith(missing)


def test_profile_of_a_network_that_fails_says_why(cli: Cli, mine: str) -> None:
    outcome = cli("profile", f"{mine}:strict", "--size", "9")
    assert "The network cannot be run on an input of 1x3x9x9" in outcome.err
    assert "mat1 and mat2 shapes cannot be multiplied" in outcome.err
    assert outcome.code == 2


def test_a_sequence_of_layers_is_told_by_what_they_are(cli: Cli, mine: str, tmp_path: Path) -> None:
    assert cli("profile", f"{mine}:build", "--size", "32", "--html", "page.html", "--no-measure").code == 0
    assert "Of its parts, layer 0 (3x3 convolution) has the most multiply-adds" in (tmp_path / "page.html").read_text()
