"""What `train`, `predict` and `evaluate` set for speed, when they use the kernels, and what they say of it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from separable.blocks.accelerate import entry, swapped
from separable.cli.tuning import MANY
from separable.ops.cpu import KernelStatus, load_kernels
from tests.cli.conftest import QUICK, Cli

SETTINGS = ["allocator", "affinity", "threads", "cudnn.benchmark"]


def chosen_in(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "environment.json").read_text())
    assert [one["name"] for one in found["runtime"]["settings"]] == SETTINGS
    chosen: dict[str, Any] = found["chosen"]
    assert sorted(chosen["runtime"]) == sorted(SETTINGS)
    return chosen


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five pictures are worth timing the kernels, which win."""
    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    monkeypatch.setattr(sys.modules["separable.cli.predict"], "MANY", 5)
    monkeypatch.setattr(swapped, "_MARGIN", float("inf"))
    monkeypatch.setattr(entry, "_faster", lambda *_: True)


def test_a_short_training_is_by_plain_torch_and_the_switch_is_recorded(cli: Cli, colours: Path, tmp_path: Path) -> None:
    assert cli("train", colours, *QUICK, "--run", "short").code == 0
    assert chosen_in(tmp_path / "runs" / "short")["acceleration"]["why"] == (
        "the training is too short to pay for timing the CPU kernels"
    )
    assert cli("train", colours, *QUICK, "--run", "off", "--no-accelerate").code == 0
    run = tmp_path / "runs" / "off"
    assert chosen_in(run)["acceleration"] == {"choices": {}, "library": None, "why": "switched off"}
    assert "\naccelerate: false\n" in (run / "config.yaml").read_text()
    assert cli("train", colours, *QUICK, "--run", "off", "--resume").code == 0
    assert "\naccelerate: false\n" in (run / "config.yaml").read_text(), "a resume keeps what the run was begun with"
    report = (run / "report.html").read_text()
    assert "What was set for speed" in report
    assert "switched off" in report


def test_few_pictures_are_answered_by_plain_torch(cli: Cli, trained: Path, colours: Path) -> None:
    told = json.loads(cli("predict", trained, colours, "--out", "answers.csv", "--json").out)
    assert told["pictures"] == 36 < MANY
    assert [one["name"] for one in told["runtime"]["settings"]] == SETTINGS
    assert told["runtime"]["acceleration"] is None


@pytest.mark.usefixtures("few_are_many")
def test_many_pictures_are_answered_by_the_kernels(cli: Cli, trained: Path, colours: Path) -> None:
    plain = json.loads(cli("predict", trained, f"{colours}/red/1.png", "--json").out)
    told = json.loads(cli("predict", trained, colours, "--out", "answers.jsonl", "--json").out)
    changed = told["runtime"]["acceleration"]["changed"]
    assert {mode for one in changed for mode in one["choices"]} == {"eval forward float32"}
    answers = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    same = next(one for one in answers if one["path"].endswith("red/1.png"))
    assert same["answer"] == plain[0]["answer"]
    assert same["confidence"] == pytest.approx(plain[0]["confidence"], abs=1e-4)


@pytest.mark.usefixtures("few_are_many")
def test_what_cannot_be_counted_or_built_is_plain(
    cli: Cli, trained: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("predict", trained, colours, "--out", "answers.csv", "--json")
    names = "".join(f"{path}\n" for path in sorted(colours.rglob("*.png")))
    import io

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(names))
        told = json.loads(cli("predict", trained, "-", "--out", "answers.csv", "--json").out)
        assert (told["pictures"], told["runtime"]["acceleration"]) == (36, None)
        patch.setattr("separable.ops.cpu.kernel_status", lambda: KernelStatus(False, "not built", Path("cpu-0.so")))
        assert json.loads(cli(*arguments).out)["runtime"]["acceleration"] is None
    empty = Path("empty")
    empty.mkdir()
    assert "The folder empty holds no picture" in cli("predict", trained, colours, "empty").err


@pytest.mark.usefixtures("few_are_many")
def test_evaluate_uses_the_kernels_where_asked_alone(cli: Cli, trained: Path, tmp_path: Path) -> None:
    def told(*more: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(cli("evaluate", trained, "--out", tmp_path / "own", "--json", *more).out)
        assert [one["name"] for one in found["runtime"]["settings"]] == SETTINGS
        return found

    own = json.loads((trained / "evaluation.json").read_text())
    plain = told()
    assert plain["runtime"]["acceleration"] is None
    assert (plain["loss"], plain["top1"]) == (own["loss"], own["top1"]), "by plain torch, as the training's own figures"
    fast = told("--accelerate")
    acceleration = fast["runtime"]["acceleration"]
    assert {mode for one in acceleration["changed"] for mode in one["choices"]} == {"eval forward float32"}
    assert not [one for one in acceleration["left"] if "channels_last" in one["why"]]
    assert fast["loss"] == pytest.approx(own["loss"], rel=1e-3)
    assert fast["top1"] == own["top1"]


def test_doctor_says_what_they_would_set(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def findings() -> list[dict[str, Any]]:
        told = json.loads(cli("doctor", "--json").out)["findings"]
        return [one for one in told if one["section"] == "Set by train, evaluate and predict"]

    found = findings()
    assert [one["subject"] for one in found] == [*SETTINGS[1:], "CPU kernels"]
    monkeypatch.setattr("separable.ops.cpu.kernel_status", lambda: KernelStatus(False, "no C++ compiler was found"))
    assert findings()[-1]["fix"] == "Install g++ or clang++"
    unbuilt = KernelStatus(False, "not yet", Path("cpu-0.so"))
    monkeypatch.setattr("separable.ops.cpu.kernel_status", lambda: unbuilt)
    assert findings()[-1]["text"].startswith("not built yet; the first training that is long enough builds them")
