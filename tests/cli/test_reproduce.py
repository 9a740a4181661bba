"""`separable reproduce` on the tiny experiment: lists, tables, documents, refusals."""

import json
from dataclasses import replace

import pytest

from tests.cli.conftest import Cli
from tests.experiments.tiny import SETUP, tiny

pytest.importorskip("sklearn")


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two experiments in place of the papers'; the second one cannot be had here."""
    experiments = (tiny(), tiny("tiny/gpu", replace(SETUP, device="cuda")))
    monkeypatch.setattr("separable.experiments.catalog.EXPERIMENTS", {one.name: one for one in experiments})
    monkeypatch.setattr("separable.experiments.catalog.GROUPS", {"tiny": ("tiny/table1", "tiny/gpu")})


def test_a_table(cli: Cli) -> None:
    done = cli("reproduce", "tiny/table1", "--processes", "1", "--home", "here")
    assert done.code == 0, done.err
    assert "Narrow Xception" in done.out
    assert "smoke scale" in done.out
    assert "here/tiny/table1/smoke/report.html" in done.out
    assert "With 2 seeds and 16 held-out pictures" in done.err
    assert done.err.count(", seed 1: ") == 2
    listed = cli("reproduce", "--list", "--home", "here")
    assert listed.out.splitlines()[0].startswith("tiny/table1\tA tiny table\t")
    assert "smoke: done" in listed.out.splitlines()[0]
    assert listed.out.splitlines()[1].endswith("\tnothing")
    document = json.loads(cli("reproduce", "tiny/table1", "--home", "here", "--json").out)
    assert [result["finished"] for result in document["results"]] == [True]
    assert json.loads(cli("reproduce", "--json", "--home", "here").out)["experiments"][0]["stands"].keys() == {"smoke"}


def test_one_that_cannot_be_had_does_not_keep_the_others(cli: Cli) -> None:
    done = cli("reproduce", "tiny", "--seeds", "1", "--processes", "1")
    assert done.code == 1
    assert "tiny/gpu: There is no GPU that torch can use" in done.out
    assert "reproductions/tiny/table1/smoke/report.html" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny/table2"], "There is no experiment 'tiny/table2'"),
        (["tiny/table1", "--scale", "huge"], "Unknown scale 'huge'"),
        (["tiny/table1", "--scale", "paper"], "tiny/table1 has no scale 'paper'"),
        (["tiny/gpu"], "There is no GPU that torch can use"),
        (["tiny/table1", "--all"], "--all is all of them"),
    ],
)
def test_refusals(cli: Cli, arguments: list[str], said: str) -> None:
    done = cli("reproduce", *arguments)
    assert done.code == 2
    assert said in done.err


def test_no_such_pictures(cli: Cli) -> None:
    done = cli("reproduce", "tiny/table1", "--data", "missing")
    assert done.code == 1
    assert "There is no folder missing" in done.err
