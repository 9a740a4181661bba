"""How the check tells what it found: to people, to programs, to whoever repairs the folder."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.data.check import check_folder
from separable.data.check_problems import counted, percent
from separable.data.folder import FolderData, PictureSet, read_folder
from separable.errors import DataFolderError, OutputError
from tests.data.scenes import scene, write


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two leaks, one unreadable, one blank, one copy, one CMYK."""
    root = tmp_path_factory.mktemp("data") / "flowers"
    for part, first, count in (("train", 0, 14), ("val", 50, 5)):
        for c, name in enumerate(("daisy", "rose")):
            for i in range(count):
                write(root / part / name / f"{i:02d}.png", scene(first + 100 * c + i, (100, 80)))
    write(root / "val/rose/leak 1.png", scene(100, (100, 80)))
    write(root / "val/rose/leak 2.jpg", scene(101, (100, 80)))
    write(root / "train/rose/copy.png", scene(102, (100, 80)))
    write(root / "train/rose/blank.png", Image.new("RGB", (100, 80)))
    write(root / "train/daisy/print.jpg", scene(200, (100, 80)).convert("CMYK"))
    (root / "train/daisy/cut.png").write_bytes((root / "train/daisy/00.png").read_bytes()[:200])
    (root / "train/daisy/README.txt").write_text("flowers")
    return root


def test_text_for_people(spoilt: Path) -> None:
    text = check_folder(spoilt).to_text()
    expected = f"""\
{spoilt}: 32 pictures to train on (of which 1 cannot be used), 12 to validate on, 2 classes.

class     train       val
rose         16         7
daisy        15         5

Every picture is 100x80 pixels. X MB.
Formats: PNG 41, JPEG 2.

ERROR  2 validation pictures of 12 (17 %) are in training, too.
    val/rose/leak 1.png = train/rose/00.png (same file)
    val/rose/leak 2.jpg = train/rose/01.png (near copy, 1.00 alike)
    -> Delete one of each two copies, or keep them in one set: figures on pictures known by heart prove nothing.

WARNING  1 picture of 44 cannot be read (2.3 %).
    train/daisy/cut.png (truncated PNG)
    -> Repair or delete them; a training leaves them out and lists them in quarantine.csv.

WARNING  1 picture shows nothing: one colour all over.
    train/rose/blank.png (100x80)
    -> Delete them, or see what went wrong where they were made.

note  1 file left out in train/, not pictures by their ending: daisy/README.txt.
note  With 12 validation pictures, an accuracy near 90 % is known to about 17 points either way. \
Compare models by more than that, or over several seeds.
note  1 picture is an exact copy of another in the same class and set. \
They count as often as they occur; delete the copies unless that is meant.
      train/rose/copy.png = train/rose/02.png (same file)
note  1 picture of 43: CMYK. Converted to RGB without a colour profile: have a look whether the colours are right.
      train/daisy/print.jpg (100x80)

Training on these pictures would mislead: leak."""
    lines = text.splitlines()
    megabytes = sum(path.stat().st_size for path in spoilt.rglob("*.*g") if path.name != "cut.png") / 1e6
    assert lines[6].endswith(f" {megabytes:.1f} MB.")
    lines[6] = "Every picture is 100x80 pixels. X MB."
    assert lines == expected.splitlines()


def test_json_and_csv_for_programs(spoilt: Path, tmp_path: Path) -> None:
    report = check_folder(spoilt)
    report.write(tmp_path / "new" / "run")
    written = json.loads((tmp_path / "new/run/check.json").read_text())
    assert written == json.loads(json.dumps(report.to_json()))
    assert written["misleading"] is True
    assert written["root"] == str(spoilt)
    assert written["pictures"] == {"train": 32, "val": 12}
    assert written["unreadable"] == 1
    assert written["classes"] == [{"name": "daisy", "train": 15, "val": 5}, {"name": "rose", "train": 16, "val": 7}]
    assert [text.split(".")[0] for text in written["problems"]] == [
        "2 validation pictures of 12 (17 %) are in training, too",
        "1 picture of 44 cannot be read (2",
        "1 picture shows nothing: one colour all over",
    ]
    assert written["notes"] == list(report.notes)
    leak = written["groups"][0]
    assert (leak["kind"], leak["severity"], leak["count"]) == ("leak", "error", 2)
    assert leak["examples"][0] == {
        "path": "val/rose/leak 1.png", "other": "train/rose/00.png", "detail": "same file"
    }  # fmt: skip
    assert all((spoilt / one["path"]).is_file() for group in written["groups"] for one in group["examples"])
    rows = list(csv.DictReader((tmp_path / "new/run/check.csv").read_text().splitlines()))
    assert list(rows[0]) == ["severity", "kind", "path", "other", "detail"]
    assert rows[0] == {"severity": "error", "kind": "leak", **leak["examples"][0]}
    assert [row["kind"] for row in rows] == [
        "leak", "leak", "unreadable", "constant", "small-validation", "duplicate", "cmyk"
    ]  # fmt: skip


def test_workers_change_nothing_and_progress_is_told(spoilt: Path) -> None:
    told: list[tuple[int, int]] = []
    report = check_folder(read_folder(spoilt), workers=2, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (44, 44)
    assert report.to_json() == check_folder(spoilt).to_json()


def test_examples_are_few_in_json_and_all_in_csv(tmp_path: Path) -> None:
    for c, name in enumerate(("a", "b")):
        for i in range(40):
            write(tmp_path / "data" / name / f"{i:02d}.png", Image.new("RGB", (70, 70), (c, i, 0)))
    report = check_folder(tmp_path / "data")
    report.write(tmp_path)
    group = next(one for one in report.to_json()["groups"] if one["kind"] == "constant")
    assert (group["count"], len(group["examples"])) == (80, 20)
    assert (tmp_path / "check.csv").read_text().count("warning,constant,") == 80
    assert "    and 77 more" in report.to_text().splitlines()


def test_many_classes_are_shown_from_both_ends(tmp_path: Path) -> None:
    for c in range(30):
        for i in range(2 + c % 3):
            write(tmp_path / f"class {c:02d}" / f"{i}.png", scene(100 * c + i, (40, 40)))
    lines = check_folder(tmp_path).to_text().splitlines()
    shown = [line for line in lines if line.startswith("class ")]
    assert len(shown) == 1 + 20  # with the heading
    assert any(line.startswith("...") and line.endswith("(10 more)") for line in lines)


def test_odd_file_names_are_written_as_they_are_and_shown_safely(tmp_path: Path) -> None:
    for c, name in enumerate(("a", "b")):
        for i in range(3):
            write(tmp_path / "data" / name / f"{i}.png", scene(10 * c + i, (70, 70)))
    odd = os.fsencode(tmp_path / "data/a") + b"/caf\xe9 \x1b[31m.png"
    with open(odd, "wb") as handle:
        handle.write(b"")
    report = check_folder(tmp_path / "data")
    report.write(tmp_path)
    assert b"caf\xe9 \x1b[31m.png" in (tmp_path / "check.csv").read_bytes()
    example = next(one for one in json.loads((tmp_path / "check.json").read_text())["groups"] if one["examples"])
    assert os.fsencode(tmp_path / "data" / example["examples"][0]["path"]) == odd
    text = report.to_text()
    text.encode("utf-8")
    assert "\x1b" not in text


def test_one_class_without_a_folder_to_complain_about(tmp_path: Path) -> None:
    """`read_folder` refuses one class; with a model's class names it cannot know better."""
    for i in range(12):
        write(tmp_path / "a" / f"{i}.png", scene(i, (70, 70)))
    names = ("a", "b")

    def part(start: int, stop: int) -> PictureSet:
        paths = tuple(f"a/{i}.png" for i in range(start, stop))
        return PictureSet(tmp_path, paths, np.zeros(stop - start, np.int64), names)

    report = check_folder(FolderData(part(0, 8), part(8, 12), names, ("a remark",)))
    problem = next(one for one in report.problems if one.kind == "one-class")
    assert problem.what == "Training has readable pictures of 1 class."
    assert report.misleading
    assert report.notes[0] == "a remark"


def test_a_set_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(4):
            (tmp_path / name / f"{i}.png").touch()
    report = check_folder(tmp_path)
    assert {one.kind for one in report.problems} >= {"one-class", "unreadable"}
    assert "8 pictures of 8 cannot be read (100 %)." in report.to_text()
    json.dumps(report.to_json(), allow_nan=False)


def test_wrong_folders_and_places_are_named(spoilt: Path, tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match="There is no folder"):
        check_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot write"):
        check_folder(spoilt).write(tmp_path / "file")


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1e-6, "0.1 %"), (0.0132, "1.3 %"), (0.05, "5 %"), (0.0999, "10 %"), (0.5, "50 %"), (1, "100 %")],
)
def test_percentages(share: float, text: str) -> None:
    assert percent(share) == text


def test_counts() -> None:
    assert counted(1, "class", "classes") == "1 class"
    assert counted(2000, "picture") == "2,000 pictures"
