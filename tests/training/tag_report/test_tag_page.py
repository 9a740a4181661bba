"""The page of a run on pictures with several labels each: true to its files, whatever is missing or damaged."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from separable.analysis.average_precision import MeanAveragePrecision
from separable.analysis.page.wording import percent
from separable.cli.reports import write_report as report_by_task
from separable.errors import RunFolderError
from separable.training.tag_report import write_report
from separable.training.tag_report.deciding import trade_off
from separable.training.tag_report.headline import same_for_all
from separable.training.tag_report.record import TagRow
from tests.training.report.page import HTML, Element, parse, part, thumbnails, words
from tests.training.tag_report.made_run import HOSTILE, NAMES, Made, make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_run(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def page(made: Made) -> Element:
    return parse(report_by_task(made.run))


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    return replace(made, run=Path(shutil.copytree(made.run, tmp_path / "run")))


def items(page: Element, anchor: str) -> list[Element]:
    section = part(page, anchor)
    assert section is not None
    return [item for grid in section.iter(HTML + "ul") if grid.get("class") == "tagged" for item in grid]


def test_the_top(made: Made, page: Element) -> None:
    text = words(page)
    stored = made.evaluation
    assert f"MAP@100 {percent(stored['map100'])} on 40 pictures it never trained on" in text
    assert f"These pictures have {stored['tags'] / 40:.1f} labels each on average." in text
    assert "xception (width 0.5) learned 5 classes from 600 pictures in 10 s" in text
    for label, value in (
        ("MAP@100", percent(stored["map100"])),
        ("weighted MAP@100", "75.0%"),
        ("top tag right", "80.0%"),
        ("right, of the tags given", "70.0%"),
        ("given, of the labels", "60.0%"),
    ):
        assert f"{label} {value}" in text
    assert "those of 0.40 or more" in text


def test_the_answer_that_looks_at_no_picture(made: Made, page: Element) -> None:
    """check.json has 120, 119, ... pictures of the classes in their order: that is the order for every picture."""
    ranking = MeanAveragePrecision(len(NAMES))
    for row in (row for row in made.rows if row["labels"]):
        labels = sorted(NAMES.index(name) for name in row["labels"])
        ranking.add(-np.arange(len(NAMES), dtype=float)[None], labels, [0, len(labels)])
    expected = ranking.result().mean
    assert f"the most frequent tags in the same order would reach {percent(expected)}." in words(page)


def test_sections_in_order(page: Element) -> None:
    anchors = [node.get("id") for node in page.iter(HTML + "section")]
    assert anchors == [
        "use", "learning", "classes", "worst", "sample", "spread", "deciding", "data", "unreadable", "cost", "setup",
    ]  # fmt: skip


def test_learning(page: Element) -> None:
    text = words(part(page, "learning"))
    assert "Best on the held-out pictures after epoch 5 of 5: MAP@100 70.0%." in text
    assert "On its training pictures it ends 20 points higher" in text


def test_the_most_frequent_classes(page: Element) -> None:
    section = part(page, "classes")
    text = words(section)
    assert "Found best: sky (90.0%). Worst: tree; oak (30.0%)." in text
    assert "1 class is left out: less frequent ones, and those that no held-out picture shows." in text
    assert section is not None
    rows = [[words(cell) for cell in row] for row in section.iter(HTML + "tr")]
    assert rows[1:] == [
        ["sky", "20", "50.0%", "90.0%"],
        ["tree; oak", "16", "40.0%", "30.0%"],
        ["dog", "12", "30.0%", "60.0%"],
        ["<b>cat</b>", "8", "20.0%", "\N{EN DASH}"],
    ]


def test_the_worst_pictures_come_first(made: Made, page: Element) -> None:
    labelled = [row for row in made.rows if row["score"] is not None]
    expected = sorted(labelled, key=lambda row: (round(row["score"], 6), -len(row["labels"]), row["path"]))[:24]
    shown = items(page, "worst")
    assert len(shown) == 24
    for row, item in zip(expected, shown, strict=True):
        given = [(name, p) for name, p in row["predicted"] if round(p, 6) >= 0.4]
        marks = {kind: [words(tag) for tag in item.iter(HTML + "li") if tag.get("class") == kind]
                 for kind in ("hit", "miss", "lost")}  # fmt: skip
        assert marks["hit"] == [f"{name} {percent(round(p, 6), 0)}" for name, p in given if name in row["labels"]]
        assert marks["miss"] == [f"{name} {percent(round(p, 6), 0)}" for name, p in given if name not in row["labels"]]
        places = {name: place for place, (name, _) in enumerate(row["predicted"], start=1)}
        named = {name for name, _ in given}
        lost = sorted(set(row["labels"]) - named, key=places.__getitem__)
        assert marks["lost"] == [f"{name} (place {places[name]})" for name in lost]
        assert f"average precision {percent(round(row['score'], 6), 0)}" in words(item)
    assert f"The 24 of {len(labelled)} held-out pictures whose labels come latest" in words(part(page, "worst"))
    assert len(list(thumbnails(part(page, "worst")))) == 24


def test_a_random_sample_has_pictures_without_a_label(page: Element) -> None:
    shown = items(page, "sample")
    assert len(shown) == 12
    assert any("no label" in words(item) for item in shown)


def test_the_threshold(page: Element) -> None:
    assert "Those of 0.40 or more: 70.0% of them are right, and 60.0% of all labels are among them." in words(
        part(page, "deciding")
    )


def test_what_a_name_smuggles_in_stays_text(made: Made, page: Element) -> None:
    assert HOSTILE in {row["path"] for row in made.rows}
    source = (made.run / "report.html").read_text()
    assert "<img src=x" not in source
    assert "<b>cat" not in source
    assert "http-equiv" in source


OPTIONAL = {
    "evaluation.json": {"classes", "worst", "sample", "spread", "deciding"},
    "predictions.csv": {"worst", "sample", "spread"},
    "quarantine.csv": set(),
    "profile.json": {"cost"},
    "check.json": {"data"},
    "metrics.jsonl": set(),
    "environment.json": set(),
}


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_file_costs_its_sections_alone(name: str, page: Element, copied: Made) -> None:
    (copied.run / name).unlink()
    before, after = (
        {node.get("id") for node in one.iter(HTML + "section")} for one in (page, parse(write_report(copied.run)))
    )
    assert before - after == OPTIONAL[name]


@pytest.mark.parametrize("name", ["evaluation.json", "predictions.csv", "check.json", "config.yaml"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"n": -1}',
        b"path,labels\n",
        b'{"n": 4, "class_names": ["a"], "decision": 3}',
        b"{" * 9,
    ],
)
def test_a_damaged_file_never_stops_the_report(name: str, content: bytes, copied: Made) -> None:
    (copied.run / name).write_bytes(content)
    assert part(parse(write_report(copied.run)), "use") is not None


@pytest.mark.parametrize("changes", [{"decision": None}, {"map100": None, "precision1": None}, {"n": 0}, {"tags": 0}])
def test_what_was_not_measured_is_left_out(changes: dict[str, object], copied: Made) -> None:
    (copied.run / "evaluation.json").write_text(json.dumps({**copied.evaluation, **changes}))
    page = parse(write_report(copied.run))
    if changes in ({"decision": None}, {"tags": 0}):
        assert part(page, "deciding") is None
    if "decision" in changes:
        assert "Tags of 0.50 or more" in words(part(page, "worst")), "what predict goes by then"
    if "map100" in changes or "n" in changes:
        assert "it never trained on" not in words(page)


def test_pictures_that_are_gone(copied: Made, tmp_path: Path) -> None:
    text = (copied.run / "config.yaml").read_text().replace(str(copied.pictures), str(tmp_path / "moved"))
    (copied.run / "config.yaml").write_text(text)
    (copied.run / "check.json").unlink()
    page = parse(write_report(copied.run))
    assert "24 of these 24 could not be shown: they were moved or damaged since." in words(part(page, "worst"))


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="There is no such run folder"):
        write_report(tmp_path / "gone")


@given(st.lists(st.tuples(st.sets(st.integers(0, 7)), st.permutations(range(8))), min_size=1, max_size=5))
def test_the_trade_off_by_trying_every_threshold(pictures: list[tuple[set[int], list[int]]]) -> None:
    rows = [
        TagRow(
            "p",
            tuple(map(str, sorted(labels))),
            tuple((str(k), 0.9 - 0.1 * place) for place, k in enumerate(order)),
            0.5,
        )
        for labels, order in pictures
    ]
    labels = sum(len(row.labels) for row in rows)
    if not labels:
        return
    expected = []
    for threshold in [0.9 - 0.1 * place for place in range(8)]:
        given = [(name, row) for row in rows for name, p in row.predicted if p >= threshold]
        right = sum(name in row.labels for name, row in given)
        expected.append((right / labels, right / len(given)))
    assert np.array(trade_off(rows, labels, 8)) == pytest.approx(np.array(expected))


def test_the_trade_off_ends_where_lists_were_cut() -> None:
    """Of the first picture no more than two classes of three are known: what comes below 0.5 could have more."""
    rows = [
        TagRow("a", ("x",), (("x", 0.9), ("y", 0.5)), 1.0),
        TagRow("b", ("y",), (("x", 0.8), ("y", 0.4), ("z", 0.1)), 0.5),
    ]
    assert trade_off(rows, 2, 3) == [(0.5, 1.0), (0.5, 0.5), (0.5, 1 / 3)]


def test_the_same_for_all_by_hand() -> None:
    counts = {"a": 5, "b": 9, "c": 1}
    rows = [TagRow("p", labels, (), math.nan) for labels in (("a", "c"), ("b",), (), ("gone", "b"))]
    assert same_for_all(counts, rows) == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1 + 1 / 2) / 3)
    assert math.isnan(same_for_all(counts, rows[2:3]))
