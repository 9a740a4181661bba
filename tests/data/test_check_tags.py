"""What would spoil a training on pictures with several labels each, each kind made on purpose."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from separable.data.check_problems import Limits, Problem
from separable.data.check_report import CheckReport
from separable.data.check_tags import check_tags
from separable.data.manifest import read_manifest
from tests.data.scenes import scene, write

FEW = Limits(few=2)


def make(root: Path, train: Sequence[tuple[int, str]], val: Sequence[tuple[int, str]], classes: str = "") -> Path:
    """`train.csv` and `val.csv` of (number of the scene, labels): equal numbers are equal pictures."""
    for part, rows in (("train", train), ("val", val)):
        lines = ["path,labels"]
        for row, (number, labels) in enumerate(rows):
            path = f"{part}/{row:02d}.png"
            write(root / path, scene(number, (100, 80)))
            lines.append(f"{path},{labels}")
        (root / f"{part}.csv").write_text("\n".join(lines) + "\n")
    if classes:
        (root / "classes.txt").write_text(classes)
    return root


def checked(root: Path, limits: Limits = FEW) -> CheckReport:
    return check_tags(read_manifest(root), limits=limits)


def only(report: CheckReport, kind: str) -> Problem:
    (found,) = (one for one in report.found if one.kind == kind)
    return found


HEALTHY = [(k, ("cat;dog", "dog", "owl;cat", "")[k % 4]) for k in range(12)]
HELD_OUT = [(k, ("cat", "dog;owl")[k % 2]) for k in range(20, 24)]


def test_a_healthy_list(tmp_path: Path) -> None:
    report = checked(make(tmp_path, HEALTHY, HELD_OUT))
    assert not report.misleading
    assert [(one.name, one.train, one.val, one.pixels) for one in report.classes] == [
        ("cat", 6, 2, None), ("dog", 6, 2, None), ("owl", 3, 2, None),
    ]  # fmt: skip
    assert [one.kind for one in report.found] == ["unlabelled"]
    assert only(report, "unlabelled").what == "3 pictures of 16 (19 %) without a label."
    text = report.to_text()
    assert f"{tmp_path}: 12 pictures to train on, 4 to validate on, 3 classes." in text
    assert "of the pixels" not in text
    assert text.count("label") == text.count("3 pictures of 16 (19 %) without a label.") + text.count("their labels")
    assert "Nothing here misleads a training." in text
    stored = report.to_json()
    assert stored["classes"][0] == {"name": "cat", "train": 6, "val": 2}
    assert stored["root"] == str(tmp_path)


def test_unreadable_pictures_do_not_count(tmp_path: Path) -> None:
    root = make(tmp_path, HEALTHY, HELD_OUT)
    (root / "train/02.png").write_bytes(b"no picture")
    report = checked(root)
    assert [(one.name, one.train) for one in report.classes] == [("cat", 5), ("dog", 6), ("owl", 2)]
    assert only(report, "unreadable").findings[0].path == "train/02.png"
    assert only(report, "unreadable").severity == "error", "one of 16"


def test_the_same_picture_in_both_sets_and_under_other_labels(tmp_path: Path) -> None:
    leaking = [*HELD_OUT, (0, "cat;dog"), (1, "owl;cat")]
    report = checked(make(tmp_path, HEALTHY, leaking))
    leak = only(report, "leak")
    assert leak.what == "2 validation pictures of 6 (33 %) are in training, too."
    assert [(one.path, one.other) for one in leak.findings] == [
        ("val/04.png", "train/00.png"),
        ("val/05.png", "train/01.png"),
    ]
    conflict = only(report, "conflict")
    assert conflict.severity == "error"
    assert [(one.path, one.other, one.detail) for one in conflict.findings] == [
        ("val/05.png", "train/01.png", "only here: cat, owl; only there: dog")
    ]
    assert conflict.what == "1 picture is there twice with other labels."


def test_labels_that_occur_once(tmp_path: Path) -> None:
    report = checked(make(tmp_path, [*HEALTHY, (30, "zebra;dog")], [*HELD_OUT, (31, "yak")]), Limits(few=7))
    once = only(report, "label-once")
    assert once.severity == "warning"
    assert [(one.path, one.detail) for one in once.findings] == [("yak", "val/04.png"), ("zebra", "train/12.png")]
    few = only(report, "few-pictures")
    assert [(one.path, one.detail) for one in few.findings] == [("cat", "6 pictures"), ("owl", "3 pictures")]


def test_classes_without_pictures(tmp_path: Path) -> None:
    train = [*HEALTHY, (40, "ibex"), (41, "ibex")]
    val = [*HELD_OUT, (50, "newt"), (51, "newt")]
    report = checked(make(tmp_path, train, val, "cat\ndog\nowl\nibex\nnewt\ngnu\n"))
    assert [one.path for one in only(report, "class-without-picture").findings] == ["gnu"]
    unseen = only(report, "class-without-training")
    assert unseen.severity == "error", "a quarter of what is measured"
    assert unseen.what == (
        "1 class has validation pictures and no readable one to train on: 25 % of the validation labels."
    )
    assert unseen.findings[0].detail == "only 2 validation pictures"
    assert only(report, "class-without-validation").findings[0].path == "ibex"
    text = report.to_text()
    assert "1 of 6 classes have no picture here" not in text, "said once, as a problem"


def test_a_class_that_is_hardly_measured_misleads_nobody(tmp_path: Path) -> None:
    val = [(20 + k, "cat;dog;owl") for k in range(8)]
    report = checked(make(tmp_path, HEALTHY, [*val, (70, "newt")]))
    assert only(report, "class-without-training").severity == "warning", "one label of 25"


def test_labels_that_say_nothing_or_the_same(tmp_path: Path) -> None:
    train = [(k, f"photo;{'Dog' if k % 2 else 'dog'};{'Bergère' if k % 3 else 'bergere '}") for k in range(8)]
    report = checked(make(tmp_path, train, [(20, "photo;dog"), (21, "Dog;bergere;Bergère")]))
    assert [one.path for one in only(report, "label-everywhere").findings] == ["photo"]
    alike = only(report, "names-alike")
    assert [(one.path, one.other) for one in alike.findings] == [("bergere", "Bergère"), ("dog", "Dog")]
    assert alike.findings[1].detail == "5 and 5 pictures"
    assert alike.what == "2 labels differ from another in case, spaces or signs alone."


def test_names_without_a_letter_are_not_alike(tmp_path: Path) -> None:
    report = checked(make(tmp_path, [(0, "+"), (1, "-"), (2, "+;-")], [(3, "+"), (4, "-")]))
    assert not any(one.kind == "names-alike" for one in report.found)


def test_most_pictures_without_a_label(tmp_path: Path) -> None:
    train = [(k, "cat;dog" if k % 4 == 0 else "") for k in range(12)]
    assert only(checked(make(tmp_path, train, HELD_OUT[:2])), "unlabelled").severity == "warning"


def test_files_for_people_and_programs(tmp_path: Path) -> None:
    root = make(tmp_path / "set", [*HEALTHY, (30, "zebra")], HELD_OUT)
    Image.new("RGB", (9, 9)).save(root / "train/00.png")
    report = check_tags(read_manifest(root), workers=2, limits=FEW)
    report.write(tmp_path / "out")
    stored = json.loads((tmp_path / "out/check.json").read_text())
    assert {group["kind"] for group in stored["groups"]} >= {"label-once", "constant", "unlabelled"}
    lines = (tmp_path / "out/check.csv").read_text().splitlines()
    assert "warning,label-once,zebra,,train/12.png" in lines


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_is_told(tmp_path: Path, workers: int) -> None:
    told = []
    check_tags(
        read_manifest(make(tmp_path, HEALTHY, HELD_OUT)), workers, lambda done, total: told.append((done, total))
    )
    assert told[-1] == (16, 16)
