"""The script behind the table of what training gains: who takes part in it, and how its figures are read."""

import datetime
import sys
from argparse import Namespace
from types import ModuleType

import pytest

from separable.benchmarking.contest import Task
from separable.benchmarking.outcome import ContestResult, Entry, Work
from tests.benchmarking.fakes import loaded


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return loaded("show_training")


@pytest.fixture(scope="module")
def rows() -> ModuleType:
    return loaded("show_rows")


def entry(wanted: tuple[str, str, str], seconds: dict[int, float], memory: int | None = None) -> Entry:
    peer, network, precision = wanted
    return Entry(
        f"{peer} {network} {precision}", peer, network, precision, "", Work(1.0, 0.0, 16), seconds, memory=memory
    )


def test_every_row_is_read_off_somebody_who_takes_part(script: ModuleType) -> None:
    for part, network in (("steps", ""), ("fp32", ""), ("accelerate-train", "timm:convnext_tiny")):
        taking_part = script.wanted_by(part, network)
        for row in script.rows_of(part, network):
            assert {row.ours, *row.against} <= set(taking_part)
            assert row.ours[0] == "ours"


def test_everybody_there_is_found_under_the_peer_that_was_asked_for(script: ModuleType, rows: ModuleType) -> None:
    chosen = Namespace(keras_python=sys.executable)
    for part, network in (("steps", ""), ("fp32", ""), ("accelerate-infer", "timm:efficientnet_b0")):
        for wanted in script.wanted_by(part, network):
            if wanted[0] == "keras-tf":  # needs an environment of its own
                continue
            (one,) = rows.found(wanted, Task("train", 4, 96), chosen)
            assert (one.peer, one.network, one.precision) == wanted


def test_a_missing_peer_is_a_sentence(rows: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ("keras-tf", "xception", "fp32")
    assert rows.found(wanted, Task("train", 4, 96), Namespace(keras_python="/nowhere/bin/python")) == []
    assert "Without keras-tf: Keras on TensorFlow needs an environment of its own" in capsys.readouterr().out


def test_the_ratio_is_of_the_same_rounds_and_against_the_best(rows: ModuleType) -> None:
    row = rows.Row("what", ">= 1", ("ours", "n", "bf16"), (("timm", "n", "fp32"), ("keras-tf", "n", "fp32")))
    result = ContestResult(
        "t",
        "ours n bf16",
        (
            entry(row.ours, {0: 1.0, 1: 2.0, 2: 1.0}),
            entry(row.against[0], {0: 9.0, 1: 9.0, 2: 9.0}),
            entry(row.against[1], {0: 3.0, 1: 6.0, 2: 3.0}),
        ),
    )
    found = rows.read(row, result)
    assert (found["ratio"], found["quartiles"], found["against"]) == (3.0, [3.0, 3.0], "keras-tf n fp32")
    assert found["images_per_second"] == [16.0, pytest.approx(16 / 3)]


def test_memory_is_a_share_and_nobody_is_no_figure(rows: ModuleType) -> None:
    row = rows.Row("what", "<= 0.6", ("ours", "n", "bf16"), (("torch-channels-last", "n", "bf16"),), memory=True)
    ours, other = entry(row.ours, {0: 1.0}, 300), entry(row.against[0], {0: 1.0}, 500)
    assert rows.read(row, ContestResult("t", ours.name, (ours, other)))["ratio"] == 0.6
    assert rows.read(row, ContestResult("t", ours.name, (ours,)))["ratio"] is None


def test_those_of_two_heats_are_compared_by_their_medians(rows: ModuleType) -> None:
    row = rows.Row("what", ">= 1", ("ours", "n", "fp32"), (("torch-tuned", "n", "fp32"),))
    result = ContestResult("t", "x", (entry(row.ours, {0: 1.0}), entry(row.against[0], {1: 2.0})))
    found = rows.read(row, result)
    assert (found["ratio"], "quartiles" in found) == (2.0, False)
    assert "unpaired" in rows.shown(found)


def test_whoever_was_not_timed_is_named_beside_the_best(rows: ModuleType) -> None:
    row = rows.Row("what", ">= 1", ("ours", "n", "bf16"), (("timm", "n", "fp32"), ("keras-tf", "n", "fp32")))
    seats = (entry(row.ours, {0: 1.0}), entry(row.against[0], {0: 2.0}), entry(row.against[1], {}))
    for entries in (seats, seats[:2]):  # refused, or not installed
        found = rows.read(row, ContestResult("t", "ours n bf16", entries))
        assert (found["absent"], found["precisions"]) == (["keras-tf n fp32"], ["bf16", "fp32"])
        line = rows.shown(found)
        assert line.startswith("what ")
        assert line.endswith("2.00   (>= 1)   timm n fp32, bf16 against fp32; without keras-tf n fp32")
    nothing = rows.shown(rows.read(row, ContestResult("t", "ours n bf16", seats[:1])))
    assert nothing.endswith("nothing was measured   (>= 1)   without timm n fp32, keras-tf n fp32")


def test_a_row_names_both_precisions(script: ModuleType) -> None:
    for part, network in (("steps", ""), ("fp32", ""), ("accelerate-train", "timm:convnext_tiny")):
        for row in script.rows_of(part, network):
            for precision in {row.ours[2], *(one[2] for one in row.against)}:
                assert precision in row.what


def test_what_takes_long_to_open_is_left_to_the_thorough(script: ModuleType) -> None:
    quick, everybody = (script.wanted_by("steps", "", thorough) for thorough in (False, True))
    assert ("torch-compile", "inception_v3", "fp32") not in quick
    assert set(quick) < set(everybody)
    assert len(script.rows_of("steps", "", False)) == 6
    assert len(script.rows_of("accelerate-infer", "timm:efficientnet_b0", False)) == 2
    given = Namespace(networks=None, thorough=False)
    assert script.networks_of("accelerate-train", given) == ["timm:mobilenetv1_100", "timm:efficientnet_b0"]
    given.networks = ["convnext_tiny"]
    assert script.networks_of("accelerate-train", given) == ["timm:convnext_tiny"]
    assert script.networks_of("steps", given) == [""]


def test_parts_of_one_day_have_files_of_their_own(script: ModuleType) -> None:
    def name(*only: str, **more: object) -> str:
        given = {"only": only, "networks": None, "thorough": False, "quick": False, **more}
        found: str = script.file_name(Namespace(**given), datetime.date(2026, 1, 2))
        return found

    assert name(*script.PARTS) == "2026-01-02-show-training.json"
    assert name("fp32", "steps") == name("steps", "fp32") == "2026-01-02-show-training-steps-fp32.json"
    assert name("steps", thorough=True) == "2026-01-02-show-training-steps-thorough.json"
    assert (
        name("accelerate-train", networks=["efficientnet_b0"])
        == "2026-01-02-show-training-accelerate-train-efficientnet_b0.json"
    )
