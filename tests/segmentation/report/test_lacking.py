"""Reports of segmentations that lack things, were damaged, are hostile or huge."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from separable.cli.reports import write_report as write_either
from separable.errors import RunFolderError
from separable.segmentation.report import write_report
from tests.segmentation.report.made_run import Made, make_run
from tests.segmentation.report.test_page import images, items, title
from tests.training.report.page import HTML, SVG, parse, part, rows_of, words, write_rows
from tests.training.report.test_hostile_runs import HOSTILE
from tests.training.report.test_lacking import ODD, places

MEASURED = ["colours", "worst", "sample", "spread", "classes", "confusion"]
OPTIONAL = {
    "evaluation.json": MEASURED,
    "pictures.csv": MEASURED[:4],
    "quarantine.csv": [],
    "profile.json": ["cost"],
    "check.json": ["data"],
    "metrics.jsonl": [],
    "environment.json": [],
    "model/config.json": [],
}


def anchors(report: Path) -> set[str]:
    return {node.get("id") or "" for node in parse(report).iter(HTML + "section")}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_run(tmp_path_factory.mktemp("small"), count=3, side=16, epochs=2, class_names=("a", "b", "c"))


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_file_costs_its_sections_alone(name: str, made: Made, copied: Made) -> None:
    (copied.run / name).unlink()
    assert anchors(made.run / "report.html") - anchors(write_report(copied.run)) == set(OPTIONAL[name])


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xff\xfe\x00", b"{", b"[]", b"null", b'{"n": "many", "class_names": 3}', b"[" * 1_500,
     b'path,mask,pixel_accuracy,miou,loss,predicted,truth\n"unclosed', b"path,miou\n,7\nx,nan\n",
     b'{"n": 5, "class_names": ["a"], "confusion": [[1, 2]], "per_class": [{}], "input": 3}'],
    ids=range(10),
)  # fmt: skip
@pytest.mark.parametrize("name", [*OPTIONAL, "config.yaml"])
def test_a_damaged_file_never_stops_the_report(name: str, content: bytes, small: Made) -> None:
    file = small.run / name
    original = file.read_bytes()
    try:
        file.write_bytes(content)
        assert part(parse(write_report(small.run)), "use") is not None
        assert part(parse(write_either(small.run)), "use") is not None
    finally:
        file.write_bytes(original)


@pytest.mark.parametrize("name", ["evaluation.json", "model/config.json", "metrics.jsonl"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_odd_value_anywhere_never_stops_the_report(name: str, data: st.DataObject, small: Made) -> None:
    file = small.run / name
    original = file.read_text()
    content: Any = [json.loads(line) for line in original.splitlines()] if name[-1] == "l" else json.loads(original)
    *way, last = data.draw(st.sampled_from([p for p in places(content) if p]))
    inner = content
    for key in way:
        inner = inner[key]
    inner[last] = data.draw(st.sampled_from(ODD))
    try:
        file.write_text("\n".join(json.dumps(line) for line in (content if name[-1] == "l" else [content])))
        assert part(parse(write_report(small.run)), "use") is not None
    finally:
        file.write_text(original)


@pytest.mark.parametrize("broken", [b"", b"\x89PNG\r\n\x1a\n broken", "too many classes", "too large"])
def test_a_damaged_mask_is_said_where_it_stood(broken: bytes | str, copied: Made) -> None:
    row = min(rows_of(copied.run / "pictures.csv"), key=lambda row: float(row["miou"]))
    file = copied.run / row["predicted"]
    if isinstance(broken, bytes):
        file.write_bytes(broken)
    elif broken == "too large":
        Image.new("L", (5000, 5000)).save(file)
    else:
        Image.fromarray(np.full((48, 48), 7, np.uint8)).save(file)
    section = part(parse(write_report(copied.run)), "worst")
    first = items(section)[0]
    assert title(first) == row["path"]
    assert list(images(first)) == ["picture", "truth"]
    assert "no prediction kept" in words(first)
    assert "no disagreement kept" in words(first)
    assert "Of 1 of these 24, files were moved, deleted or damaged since." in words(section)


def test_pictures_that_are_gone_leave_the_masks(tmp_path: Path) -> None:
    made = make_run(tmp_path, count=4, draw=False)
    section = part(parse(write_report(made.run)), "worst")
    assert [list(images(item)) for item in items(section)] == [["truth", "prediction", "disagreement"]] * 4
    assert words(section).count("picture no longer there") == 4
    assert "All 4 held-out pictures, the worst first." in words(section)
    assert part(parse(made.run / "report.html"), "sample") is None, "there is nothing that is not among the worst"


def test_masks_of_another_size_than_each_other_are_not_compared(copied: Made) -> None:
    row = min(rows_of(copied.run / "pictures.csv"), key=lambda row: float(row["miou"]))
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(copied.run / row["truth"])
    first = items(part(parse(write_report(copied.run)), "worst"))[0]
    assert list(images(first)) == ["picture", "truth", "prediction"]


def test_a_run_whose_masks_were_never_kept_still_names_its_worst(copied: Made) -> None:
    rows = rows_of(copied.run / "pictures.csv")
    write_rows(
        copied.run / "pictures.csv", [{k: v for k, v in row.items() if k not in ("predicted", "truth")} for row in rows]
    )
    shown = items(part(parse(write_report(copied.run)), "worst"))
    assert title(shown[0]) == min(rows, key=lambda row: float(row["miou"]))["path"]
    assert all(list(images(item)) == ["picture"] for item in shown)


def test_a_picture_without_a_label_is_no_worst_one(copied: Made) -> None:
    rows = rows_of(copied.run / "pictures.csv")
    drawn = title(items(part(parse(write_report(copied.run)), "sample"))[0])
    rows = [row | ({"miou": "", "pixel_accuracy": ""} if row["path"] == drawn else {}) for row in rows]
    write_rows(copied.run / "pictures.csv", rows)
    page = parse(write_report(copied.run))
    assert drawn not in [title(item) for item in items(part(page, "worst"))]
    assert "No pixel of it is labelled" in words(items(part(page, "sample"))[0])


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    made = make_run(tmp_path, count=2, planned=20, draw=False)
    for name in ("evaluation.json", "pictures.csv", "profile.json"):
        (made.run / name).unlink()
    page = parse(write_report(made.run))
    assert "Stopped after 6 of 20 epochs" in words(page.find(f".//{HTML}h1"))
    assert "--resume" in words(part(page, "use"))
    assert anchors(made.run / "report.html").isdisjoint(MEASURED)


def test_without_held_out_pictures(copied: Made) -> None:
    evaluation = json.loads((copied.run / "evaluation.json").read_text())
    (copied.run / "evaluation.json").write_text(json.dumps(evaluation | {"n": 0, "miou": None}))
    page = parse(write_report(copied.run))
    assert "no pictures left to measure it on" in words(page.find(f".//{HTML}h1"))
    assert anchors(copied.run / "report.html").isdisjoint(MEASURED)


def test_a_class_that_nothing_shows_is_said_and_left_out(tmp_path: Path) -> None:
    made = make_run(tmp_path, count=2, class_names=("background", "cat", "dog", "unicorn", "phantom"), draw=False)
    evaluation = json.loads((made.run / "evaluation.json").read_text())
    assert [row["iou"] is None for row in evaluation["per_class"]] == [False, False, False, False, True]
    evaluation["per_class"][3] |= {"iou": 0.0, "pixels": 0, "recall": None}
    (made.run / "evaluation.json").write_text(json.dumps(evaluation))
    section = part(parse(write_report(made.run)), "classes")
    text = words(section)
    assert "1 class was neither in the held-out pictures nor in the predictions" in text
    assert "The mean leaves it out: phantom." in text
    assert "1 class was predicted though no held-out picture shows any, which is IoU 0: unicorn." in text
    last = section.find(f".//{HTML}tbody")[-1]  # type: ignore[union-attr,index]
    assert [words(cell) for cell in last][:3] == ["phantom", "\N{EN DASH}", "\N{EN DASH}"]
    assert "Weakest: unicorn (IoU 0%)" in text
    assert not [n for n in section.iter() if re.search(r"\bnan\b", " ".join(n.attrib.values()))]  # type: ignore[union-attr]


def test_150_classes_stay_readable_and_small(tmp_path: Path) -> None:
    names = [f"class {index} {'very ' * (index % 20)}long" for index in range(150)]
    made = make_run(tmp_path, count=30, side=64, class_names=names)
    report = write_report(made.run)
    assert report.stat().st_size < 800_000
    page = parse(report)
    confusion = part(page, "confusion")
    assert not list(confusion.iter(SVG + "svg"))  # type: ignore[union-attr]
    assert "126 more classes, of fewer pixels" in words(part(page, "colours"))
    assert "each picture its classes are named" in words(part(page, "colours"))
    body = part(page, "classes").find(f".//{HTML}tbody")  # type: ignore[union-attr]
    assert len(body) == 150  # type: ignore[arg-type]
    first = items(part(page, "worst"))[0]
    index = made.paths.index(title(first))
    for k in np.unique(made.predicted[index]):
        assert f"class {k} " in words(first)


def test_more_classes_than_a_palette_has(tmp_path: Path) -> None:
    made = make_run(tmp_path, count=1, side=32, class_names=[str(k) for k in range(400)], draw=False)
    wide = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) % 400
    wide[0, 0] = 65535
    for kind in ("", "_truth"):
        Image.fromarray(wide).save(made.run / f"predictions/0000{kind}.png")
    found = images(items(part(parse(write_report(made.run)), "worst"))[0])
    assert found["truth"].shape == (32, 32, 3)
    assert tuple(found["disagreement"][0, 0]) == (60, 60, 60)
    assert (found["disagreement"][1:] == 235).all()


def test_names_cannot_inject_anything(tmp_path: Path) -> None:
    names = [*HOSTILE, "lone \udc80 surrogate"]
    paths = [f"{index}{name[:60]}.jpg".replace("/", "_").replace("\n", "\n") for index, name in enumerate(names)]
    made = make_run(tmp_path, class_names=names, names=paths, side=16, draw=False)
    (made.run / "check.json").unlink()
    write_rows(made.run / "quarantine.csv", [{"path": n, "cause": n, "first_seen": n} for n in names])
    page = parse(write_report(made.run))
    assert len(items(part(page, "worst"))) == len(names)
    assert len(list(page.iter(HTML + "script"))) == 1
    assert {node.tag for node in page.iter()}.isdisjoint(
        {HTML + name for name in ("iframe", "object", "embed", "base")}
    )
    for node in page.iter():
        assert not [name for name in node.attrib if name.lower().startswith("on")]
        assert re.match(r"data:image/(png|jpeg);base64,", node.get("src") or "data:image/png;base64,")
        assert (node.get("href") or "#").startswith("#")
    assert HOSTILE[0] in words(part(page, "classes"))
    assert "\u202e" not in "".join(page.itertext())


@pytest.mark.parametrize("named", ["../secret.png", "predictions/../../secret.png", "{absolute}"])
def test_a_run_folder_cannot_pull_in_other_files(named: str, copied: Made) -> None:
    secret = copied.run.parent / "secret.png"
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(secret)
    rows = rows_of(copied.run / "pictures.csv")
    hostile = named.format(absolute=secret)
    write_rows(
        copied.run / "pictures.csv", [row | {"path": hostile, "predicted": hostile, "truth": hostile} for row in rows]
    )
    assert all(images(item) == {} for item in items(part(parse(write_report(copied.run)), "worst")))


@pytest.mark.parametrize("key", ["miou", "pixel_accuracy"])
@pytest.mark.parametrize("value", [-0.5, 1.5, math.inf])
def test_a_share_above_all_is_refused(key: str, value: float, copied: Made) -> None:
    evaluation = json.loads((copied.run / "evaluation.json").read_text())
    (copied.run / "evaluation.json").write_text(json.dumps(evaluation | {key: value}))
    assert f"evaluation.json could not be used: ValueError: {value}" in words(parse(write_report(copied.run)))


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    for write in (write_report, write_either):
        with pytest.raises(RunFolderError, match="not a run"):
            write(tmp_path)
