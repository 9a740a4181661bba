"""Reports of runs that lack things, were damaged, or never finished."""

import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from separable.errors import RunFolderError
from separable.training.report import write_report
from tests.training.report.page import HTML, SVG, parse, part, shots, thumbnails, words
from tests.training.synthetic_run import FLOWERS, draw_pictures, write_run

OPTIONAL = {
    "evaluation.json": ["confusion", "classes", "confidence"],
    "predictions.csv": ["wrong", "sample"],
    "suspects.csv": ["labels"],
    "quarantine.csv": ["unreadable"],
    "profile.json": ["cost"],
    "check.json": ["data"],
    "metrics.jsonl": [],
    "environment.json": [],
}


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_file_costs_its_sections_alone(name: str, finished: Path, run: Path) -> None:
    (run / name).unlink()
    before = {node.get("id") for node in parse(finished / "report.html").iter(HTML + "section")}
    page = parse(write_report(run))
    assert before - {node.get("id") for node in page.iter(HTML + "section")} == set(OPTIONAL[name])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x00\xff\xfe\x00", b"{", b"[]", b"null", b'{"n": "many", "class_names": 3}', b"[" * 5_000,
        b'{"kind":"step"}\n{"kind":"epoch","epoch":"x","step":1}\n', b'path,label,predicted\n"unclosed',
        b'{"n": 5, "class_names": ["a"], "confusion": [[1, 2]], "per_class": [{}], "calibration": 7}',
        b'{"problems": 7, "processor": [], "parameters": "x", "recipe": 3, "data": [], "timing": 1}',
    ],
    ids=range(11),
)  # fmt: skip
@pytest.mark.parametrize("name", [*OPTIONAL, "config.yaml"])
def test_a_damaged_file_never_stops_the_report(name: str, content: bytes, small: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(small, tmp_path / "run"))
    (run / name).write_bytes(content)
    page = parse(write_report(run))
    assert part(page, "use") is not None


ODD = [None, -1, 0, 1.5, 1e308, 10**30, "x", [], {}, [1], {"a": 1}, True, math.nan, math.inf]


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@pytest.mark.parametrize(
    "name", ["evaluation.json", "profile.json", "environment.json", "metrics.jsonl", "config.yaml"]
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_odd_value_anywhere_never_stops_the_report(name: str, data: st.DataObject, small: Path) -> None:
    file = small / name
    original = file.read_text(encoding="utf-8")
    if name == "metrics.jsonl":
        content = [json.loads(line) for line in original.splitlines()]
    else:
        content = yaml.safe_load(original)
    *way, last = data.draw(st.sampled_from([p for p in places(content) if p]))
    inner = content
    for key in way:
        inner = inner[key]
    inner[last] = data.draw(st.sampled_from(ODD))
    lines = content if name == "metrics.jsonl" else [content]
    try:
        file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
        assert part(parse(write_report(small)), "use") is not None
    finally:
        file.write_text(original, encoding="utf-8")


@pytest.mark.parametrize("place", [("top1",), ("per_class", 0, "recall"), ("calibration", "bins", 14, "accuracy")])
@pytest.mark.parametrize("value", [-0.5, 1.5, math.inf])
def test_a_share_above_all_is_refused(place: tuple[Any, ...], value: float, small: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(small, tmp_path / "run"))
    content = json.loads((run / "evaluation.json").read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (run / "evaluation.json").write_text(json.dumps(content))
    assert f"evaluation.json could not be used: ValueError: {value}" in words(parse(write_report(run)))


def test_a_damaged_file_is_named(run: Path) -> None:
    (run / "evaluation.json").write_text('{"n": 5')
    (run / "predictions.csv").write_text("path,label\nx,y\n")
    head = words(parse(write_report(run)).find(f".//{HTML}header"))
    assert "evaluation.json could not be used: JSONDecodeError" in head
    assert "predictions.csv: 1 row could not be used" in head


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "val", FLOWERS, 1)
    run = write_run(tmp_path / "run", pictures, val_root=tmp_path / "val", epochs=3, planned=20)
    for name in ("evaluation.json", "predictions.csv", "suspects.csv", "profile.json"):
        (run / name).unlink()
    with (run / "metrics.jsonl").open("a") as journal:
        journal.write('{"kind":"step","step":55,"ep')  # the process was killed while writing
    page = parse(write_report(run))
    head = words(page.find(f".//{HTML}header"))
    assert "Stopped after 3 of 20 epochs" in head
    assert "This run was interrupted after 3 of 20 epochs" in head
    assert "could not be" not in head
    assert "--resume" in words(part(page, "use"))


def test_a_run_stopped_in_its_first_epoch_counts_steps(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:7]) + "\n")
    section = part(parse(write_report(run)), "learning")
    assert "No epoch was finished, so the axis counts steps." in words(section)
    hits = [node for node in section.iter(SVG + "title") if "at step 7" in (node.text or "")]  # type: ignore[union-attr]
    assert hits


def test_a_run_without_held_out_pictures(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [], val_root=tmp_path, val=False)
    page = parse(write_report(run))
    assert "Trained, with no pictures left to measure it on" in words(page.find(f".//{HTML}h1"))
    assert "there were no held-out pictures to measure on" in words(part(page, "learning"))
    assert all(part(page, anchor) is None for anchor in ("confusion", "classes", "confidence", "wrong", "sample"))


def test_one_step_of_one_epoch_is_enough(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "val", ("cat", "dog"), 1)
    run = write_run(
        tmp_path / "run", pictures, val_root=tmp_path / "val", class_names=("cat", "dog"), epochs=1, steps_per_epoch=1
    )
    page = parse(write_report(run))
    assert "right on 2 pictures" in words(page.find(f".//{HTML}h1"))
    assert not [node for node in page.iter() if re.search(r"\bnan\b", " ".join(node.attrib.values()))]


def test_pictures_deleted_since_are_said_to_be_gone(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "val", FLOWERS, 2)
    run = write_run(tmp_path / "run", pictures, val_root=tmp_path / "val")
    for path, _ in pictures[:4]:
        (tmp_path / "val" / path).unlink()
    section = part(parse(write_report(run)), "sample")
    assert "4 of these 10 could not be shown" in words(section)
    assert sum("picture no longer there" in words(item) for item in shots(section)) == 4
    assert len(list(thumbnails(section))) == 6


def test_losses_that_are_no_numbers_leave_gaps(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    for index, bad in ((5, "NaN"), (6, "Infinity"), (7, "null")):
        lines[index] = re.sub(r'"loss": [^,]+', f'"loss": {bad}', lines[index])
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert "The loss was not a finite number in 3 steps" in words(part(parse(write_report(run)), "learning"))


def test_a_threshold_out_of_reach_is_explained(run: Path) -> None:
    content = json.loads((run / "evaluation.json").read_text())
    content["calibration"] |= {"reject_threshold": None, "reject_reason": "60 pictures cannot show 95%."}
    (run / "evaluation.json").write_text(json.dumps(content))
    section = words(part(parse(write_report(run)), "confidence"))
    assert "predict --reject cannot promise 95% here. 60 pictures cannot show 95%." in section


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"ece_before_temperature": 0.04},
            "1.210, which cools the confidences; error on pictures that did not choose it: 0.0400 without, 0.0210 with",
        ),
        ({}, "1.210, which cools the confidences; error 0.0210 with it"),
        (
            {"temperature": 1.0, "temperature_reason": "6 pictures are too few."},
            "1, which leaves the confidences as they are. 6 pictures are too few.",
        ),
    ],
)
def test_the_temperature_is_judged_on_the_same_pictures(found: dict[str, Any], said: str, run: Path) -> None:
    content = json.loads((run / "evaluation.json").read_text())
    content["calibration"] |= found
    (run / "evaluation.json").write_text(json.dumps(content))
    section = words(part(parse(write_report(run)), "confidence"))
    assert said in section
    assert ("predict gives the same" in section) == ("temperature" in found)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: None])
def test_what_is_no_run_folder_is_refused(make: object, tmp_path: Path) -> None:
    make(tmp_path / "thing")  # type: ignore[operator]
    with pytest.raises(RunFolderError, match=r"not a run|no such run folder"):
        write_report(tmp_path / "thing")
