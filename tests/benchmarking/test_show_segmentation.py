"""The script behind the table of what segmentation gains: who takes part, and what is read off them."""

import datetime
from argparse import Namespace
from types import ModuleType

import pytest

from separable.benchmarking.outcome import ContestResult
from tests.benchmarking.fakes import entry, loaded


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return loaded("show_segmentation")


def chosen(**more: object) -> Namespace:
    given = {"quick": True, "infer": False, "batch": 16, "rounds": 5, "keras_python": "/nowhere/python", **more}
    return Namespace(**given)


@pytest.mark.parametrize("what", ["training step", "forward pass"])
def test_every_row_is_read_off_somebody_who_takes_part(script: ModuleType, what: str) -> None:
    for row in script.rows_of(what):
        assert {row.ours, *row.against} <= set(script.EVERYBODY)
        assert row.ours[0] == "ours"
        assert row.ours[2] in row.what
        assert what in row.what


def test_aims_are_of_the_training_step(script: ModuleType) -> None:
    aims = [row.target for row in script.rows_of("training step")]
    assert aims[:3] == [">= 1.2", ">= 1.2", ">= 2"]
    assert {row.target for row in script.rows_of("forward pass")} == {"no aim"}


@pytest.mark.parametrize(("quick", "batch", "side"), [(True, 4, 64), (False, 16, 160)])
def test_everybody_gets_pixels_of_the_examples_size(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, quick: bool, batch: int, side: int
) -> None:
    asked = []

    def contest(there: object, task: object, _: Namespace) -> ContestResult:
        asked.append((there, task))
        return ContestResult("a contest", "torch", (entry("torch", {0: 1.0}),))

    monkeypatch.setattr(script, "contest", contest)
    ((rows, result),) = script.contests(chosen(quick=quick))
    ((there, task),) = asked
    assert (task.kind, task.verb, task.batch, task.side, task.classes) == ("segment", "train", batch, side, 3)
    assert there[0] == script.TUNED
    assert (script.COMPILED[0] in there) is not quick
    assert result.title == f"training step of unet_xception, batch {batch}, {side} px, 3 classes"
    assert len(rows) == (6 if quick else 8)


def test_parameters_are_said_once_where_all_have_as_many() -> None:
    rows = loaded("show_rows")
    seats = [entry(name, {}, description={"parameters": 2055203}) for name in ("ours", "theirs")]
    assert rows.parameters(ContestResult("t", "ours", tuple(seats))) == "t: 2,055,203 trainable parameters each"
    more = entry("another", {}, description={"parameters": 1000})
    line = rows.parameters(ContestResult("t", "ours", (seats[0], more, entry("none", {}))))
    assert line == "t: trainable parameters ours 2,055,203, another 1,000"


def test_forward_passes_have_a_file_of_their_own(script: ModuleType) -> None:
    day = datetime.date(2026, 1, 2)
    assert script.file_name(chosen(quick=False), day) == "2026-01-02-show-segmentation.json"
    assert script.file_name(chosen(infer=True), day) == "2026-01-02-show-segmentation-infer-quick.json"
