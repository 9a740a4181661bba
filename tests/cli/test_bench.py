"""`separable bench`: what is asked for is measured and written, and what cannot be is said before anything is."""

import json
from pathlib import Path
from typing import Any

import pytest

from separable.benchmarking.operators import OPERATORS
from separable.benchmarking.outcome import ContestResult
from separable.benchmarking.report import Report
from tests.benchmarking.fakes import WRONG, entry
from tests.cli.conftest import Cli

SMALL = ("bench", "ops", "--shape", "2x4x5x5", "1x3x4x4", "--only", "depthwise forward", "--rounds", "1")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ceilings that take no second, and no kernels to be built."""
    from separable.benchmarking import session
    from separable.machine.ceilings import Ceilings

    found = Ceilings("cpu", "A processor", 2, {"fp32": 1e11, "bf16": 2e11}, ((1 << 28, 1e10),), {"torch": "2"})
    monkeypatch.setattr(session, "measure_ceilings", lambda *_: found)
    monkeypatch.setattr("separable.benchmarking.operator_contest.contestants_for", lambda *_: ["reference"])


@pytest.fixture
def fake_contest(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """In place of the contest: what it was asked for, and what it finds."""
    fast = entry("separable", {0: 1.0, 1: 1.0}, peer="ours")
    said: dict[str, Any] = {
        "result": ContestResult("A contest", "torch, tuned", (fast, entry("torch, tuned", {0: 2.0})))
    }

    def contest(task: Any, contestants: Any, *, baseline: str, rules: Any, listener: Any) -> ContestResult:
        said.update(task=task, peers=[one.peer for one in contestants], baseline=baseline, rules=rules)
        said["asked"] = [(one.network, one.precision) for one in contestants]
        found: ContestResult = said["result"]
        return found

    monkeypatch.setattr("separable.benchmarking.network_contest.bench_networks", contest)
    monkeypatch.setattr("separable.benchmarking.peers.contestants.demand_timm", lambda: None)
    return said


def test_operators_are_timed_and_written(cli: Cli, tmp_path: Path) -> None:
    outcome = cli(*SMALL, "--precision", "fp32", "bf16", "--out", "results", "--json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert [contest["title"].removeprefix("depthwise forward, ") for contest in document["contests"]] == [
        f"{shape}, 3x3, {precision}" for precision in ("fp32", "bf16") for shape in ("2x4x5x5", "1x3x4x4")
    ]
    assert document["ceilings"]["gemm_flops"] == {"fp32": 1e11, "bf16": 2e11}
    assert {setting["name"] for setting in document["environment"]["runtime"]["settings"]} >= {"threads", "allocator"}
    written = sorted((tmp_path / "results").iterdir())
    assert [path.suffix for path in written] == [".json", ".md", ".svg"]
    stored = json.loads(written[0].read_text())
    assert stored == {key: value for key, value in document.items() if key != "files"}
    assert Report.from_json(stored).to_json() == stored
    assert "depthwise forward" in written[1].read_text()


def test_the_table_is_printed(cli: Cli) -> None:
    outcome = cli(*SMALL)
    assert outcome.code == 0, outcome.err
    assert "1 of 2: depthwise forward, 2x4x5x5" in outcome.out
    assert "operator           contestant" in outcome.out
    assert "A processor, 2 threads; measured in the same run" in outcome.out


def test_ours_and_the_usual_peers_are_asked(cli: Cli, fake_contest: dict[str, Any]) -> None:
    outcome = cli("bench", "train", "--precision", "fp32", "--batch", "8", "--rounds", "5", "--seconds", "7")
    assert outcome.code == 0, outcome.err
    assert fake_contest["peers"][:2] == ["ours", "torch-tuned"]
    assert fake_contest["baseline"] == "torch, tuned"
    assert (fake_contest["task"].verb, fake_contest["task"].batch, fake_contest["task"].side) == ("train", 8, 299)
    assert (fake_contest["rules"].rounds, fake_contest["rules"].seconds) == (5, 7.0)
    assert "separable" in outcome.out
    assert "2.00 [2.00, 2.00]" in outcome.out


def test_lists_may_follow_one_option(cli: Cli, fake_contest: dict[str, Any]) -> None:
    outcome = cli(
        "bench", "infer", "mobilenet_v1", "xception", "--peers", "torch-eager", "torch-channels-last",
        "--precision", "fp32", "bf16", "--side", "96", "--baseline", "torch-eager",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert set(fake_contest["peers"]) == {"ours", "torch-eager", "torch-channels-last"}
    assert len(fake_contest["asked"]) == 12
    assert fake_contest["baseline"] == "torch, default layout, mobilenet_v1, fp32"


def test_a_network_that_segments_is_asked_for_every_pixel(cli: Cli, fake_contest: dict[str, Any]) -> None:
    outcome = cli("bench", "train", "unet_xception", "--precision", "fp32", "--peers", "torch-tuned", "keras-torch")
    assert outcome.code == 0, outcome.err
    task = fake_contest["task"]
    assert (task.kind, task.side, task.classes) == ("segment", 160, 3)
    assert fake_contest["peers"] == ["ours", "torch-tuned", "keras-torch"]


def test_what_the_gate_refuses_of_ours_is_exit_1(cli: Cli, fake_contest: dict[str, Any]) -> None:
    refused = entry("separable", {}, peer="ours", verdict=WRONG, failure=f"wrong answer: {WRONG.reason}")
    fake_contest["result"] = ContestResult("A contest", "b", (refused, entry("b", {0: 1.0})))
    outcome = cli("bench", "infer", "mobilenet_v1")
    assert outcome.code == 1
    assert "separable, net: wrong answer: 0.5 from fp64" in outcome.out


def test_nobody_timed_is_exit_1(cli: Cli, fake_contest: dict[str, Any]) -> None:
    fake_contest["result"] = ContestResult("A contest", "b", (entry("b", {}, verdict=None, failure="no memory"),))
    assert cli("bench", "infer", "mobilenet_v1").code == 1


def test_interruption_keeps_and_writes_what_was_measured(cli: Cli, fake_contest: dict[str, Any]) -> None:
    fake_contest["result"] = ContestResult("A contest", "b", (entry("b", {0: 1.0}),), interrupted=True)
    outcome = cli("bench", "infer", "mobilenet_v1", "--out", "kept")
    assert outcome.code == 130
    assert "Interrupted: what had been measured by then." in outcome.out
    assert len(list(Path("kept").iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ops", "--shape", "8x128"), "A shape is pictures, channels, height and width"),
        (("ops", "--only", "attention"), "No operator has these words in its name"),
        (("ops", "--precision", "int8"), "Unknown --precision"),
        (("ops", "--device", "tpu"), "Unknown --device"),
        (("train", "xcepton"), "There is no model 'xcepton'"),
        (("train", "--peers", "jax"), "There is no such peer"),
        (("infer", "--batch", "0"), "0 is not in the range"),
        (("infer", "xception", "--side", "9"), "side"),
        (("train", "unet_xception", "--side", "100"), "a multiple of 16"),
        (("train", "unet_xception", "mobilenet_v1"), "One contest is over one kind of answer"),
        (
            ("infer", "bn_inception", "--peers", "keras-tf", "--keras-python", "/nowhere/python"),
            "environment of its own",
        ),
    ],
)
def test_what_cannot_be_is_said_first(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    outcome = cli("bench", *arguments)
    assert outcome.code == (1 if "--keras-python" in arguments else 2), outcome.err
    assert said in outcome.err


def test_a_missing_peer_names_the_install_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from separable.benchmarking import peers
    from separable.errors import MissingExtraError

    def missing() -> None:
        raise MissingExtraError("timm is not installed", fix='pip install "separable[bench]"')

    peer = peers.PEERS["timm"]
    changed = {**peers.PEERS, "timm": peers.Peer(peer.name, peer.what, peer.contestants, missing)}
    monkeypatch.setattr(peers, "PEERS", changed)
    outcome = cli("bench", "infer", "mobilenet_v1", "--peers", "timm")
    assert outcome.code == 1
    assert 'pip install "separable[bench]"' in outcome.err


def test_bare_bench_shows_what_can_be_benched(cli: Cli) -> None:
    outcome = cli("bench")
    assert outcome.code == 0
    assert all(f"\n  {name} " in outcome.out for name in ("ops", "train", "infer"))


def test_words_of_operators_are_told_apart() -> None:
    assert [name for name in OPERATORS if "weight" in name] == [
        "depthwise weight gradient",
        "pointwise weight gradient",
    ]
