"""What the check says about folders with one thing wrong each."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from separable.data.check import check_folder
from separable.data.check_problems import Limits
from separable.data.check_report import CheckReport
from tests.data.scenes import COPIES, scene, write

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, 20 training and 10 validation pictures each, nothing wrong."""
    root = tmp_path_factory.mktemp("data") / "pets"
    seed = 0
    for part, count in (("train", 20), ("val", 10)):
        for name in ("cats", "dogs"):
            for i in range(count):
                seed += 1
                write(root / part / name / f"{i:02d}.png", scene(seed))
    return root


@pytest.fixture
def clean(pets: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(pets, tmp_path / "pets"))


def kinds(report: CheckReport, *severities: str) -> set[str]:
    return {one.kind for one in report.found if one.severity in severities}


def only(report: CheckReport, kind: str):
    (problem,) = [one for one in report.found if one.kind == kind]
    return problem


def test_nothing_is_said_of_a_clean_folder(clean: Path) -> None:
    report = check_folder(clean)
    assert not report.misleading
    assert report.problems == ()
    assert kinds(report, "note") == {"small-validation"}
    assert report.to_text().splitlines()[-1] == "Nothing here misleads a training."


def copy(source: str, target: str) -> Change:
    return lambda root: shutil.copy(root / source, root / target)


def again(source: str, target: str, how: str) -> Change:
    def change(root: Path) -> None:
        COPIES[how](Image.open(root / source)).save(root / target)

    return change


def several(*changes: Change) -> Change:
    def change(root: Path) -> None:
        for one in changes:
            one(root)

    return change


def as_jpegs(path: Path) -> None:
    Image.open(path).save(path.with_suffix(".jpg"), quality=90)
    path.unlink()


LEAK = "{} validation pictures of {} ({}) are in training, too."


@pytest.mark.parametrize(
    ("change", "kind", "severity", "what", "findings"),
    [
        pytest.param(
            several(copy("train/cats/00.png", "val/cats/x.png"), copy("train/dogs/01.png", "val/dogs/y.png")),
            "leak",
            "error",
            LEAK.format(2, 22, "9.1 %"),
            [
                ("val/cats/x.png", "train/cats/00.png", "same file"),
                ("val/dogs/y.png", "train/dogs/01.png", "same file"),
            ],
            id="two leaked files",
        ),
        pytest.param(
            copy("train/cats/00.png", "val/cats/x.png"),
            "leak",
            "warning",
            "1 validation picture of 21 (4.8 %) is in training, too.",
            [("val/cats/x.png", "train/cats/00.png", "same file")],
            id="one leaked file alone",
        ),
        pytest.param(
            several(
                again("train/cats/00.png", "val/cats/x.jpg", "cropped by 2 % a side"),
                again("train/dogs/01.png", "val/dogs/y.jpg", "mirrored"),
            ),
            "leak",
            "error",
            LEAK.format(2, 22, "9.1 %"),
            [
                ("val/cats/x.jpg", "train/cats/00.png", "near copy, "),
                ("val/dogs/y.jpg", "train/dogs/01.png", "mirrored copy, "),
            ],
            id="near and mirrored leaks",
        ),
        pytest.param(
            copy("train/cats/00.png", "train/dogs/x.png"),
            "conflict",
            "error",
            "1 picture is under two labels.",
            [("train/dogs/x.png", "train/cats/00.png", "same file; dogs here, cats there")],
            id="one picture, two labels",
        ),
        pytest.param(
            again("train/cats/00.png", "train/dogs/x.jpg", "JPEG of quality 30"),
            "near-conflict",
            "warning",
            "1 picture is nearly the same as one with another label.",
            [("train/dogs/x.jpg", "train/cats/00.png", "alike; dogs here, cats there")],
            id="near conflict",
        ),
        pytest.param(
            several(*(copy(f"train/cats/0{i}.png", f"train/cats/x{i}.png") for i in range(4))),
            "duplicate",
            "warning",
            "4 pictures are exact copies of others in the same class and set.",
            [(f"train/cats/x{i}.png", f"train/cats/0{i}.png", "same file") for i in range(4)],
            id="copies within a class",
        ),
        pytest.param(
            several(
                lambda root: Image.open(root / "train/cats/00.png").save(root / "train/cats/x.bmp"),
                again("train/cats/01.png", "train/cats/y.png", "brighter"),
            ),
            "duplicate",
            "note",
            "1 picture is an exact copy of another in the same class and set.",
            [("train/cats/x.bmp", "train/cats/00.png", "same pixels in another file")],
            id="the same pixels in another format",
        ),
        pytest.param(
            lambda root: (root / "train/cats/00.png").write_bytes(b"not any more"),
            "unreadable",
            "warning",
            "1 picture of 60 cannot be read (1.7 %).",
            [("train/cats/00.png", "", "not a picture")],
            id="one unreadable",
        ),
        pytest.param(
            lambda root: [(root / f"val/dogs/0{i}.png").write_bytes(b"") for i in range(4)],
            "unreadable",
            "error",
            "4 pictures of 60 cannot be read (6.7 %).",
            [(f"val/dogs/0{i}.png", "", "empty file") for i in range(4)],
            id="many unreadable",
        ),
        pytest.param(
            lambda root: shutil.rmtree(root / "val/dogs"),
            "class-without-validation",
            "error",
            "1 class has no readable validation picture.",
            [("dogs", "", "only 20 training pictures")],
            id="a class missing in val",
        ),
        pytest.param(
            lambda root: [path.write_bytes(b"") for path in (root / "train/dogs").iterdir()],
            "class-without-training",
            "error",
            "1 class has no readable training picture.",
            [("dogs", "", "only 10 validation pictures")],
            id="a class without a readable training picture",
        ),
        pytest.param(
            lambda root: [(root / f"train/dogs/{i:02d}.png").unlink() for i in range(2, 20)],
            "few-pictures",
            "warning",
            "1 class has fewer than 10 training pictures.",
            [("dogs", "", "2 pictures")],
            id="few pictures",
        ),
        pytest.param(
            lambda root: [(root / f"train/dogs/{i:02d}.png").unlink() for i in range(1, 20)],
            "imbalance",
            "warning",
            "The largest class (cats, 20) has 20 times as many training pictures as the smallest (dogs, 1).",
            [("cats", "", "20 pictures"), ("dogs", "", "1 picture")],
            id="imbalance",
        ),
        pytest.param(
            lambda root: [Image.new("RGB", (90, 90 + i), "blue").save(root / f"train/cats/b{i}.png") for i in range(2)],
            "constant",
            "warning",
            "2 pictures show nothing: one colour all over.",
            [("train/cats/b0.png", "", "90x90"), ("train/cats/b1.png", "", "90x91")],
            id="blank pictures, which are no copies of each other",
        ),
        pytest.param(
            lambda root: scene(99, (30, 20)).save(root / "train/cats/tiny.png"),
            "tiny",
            "warning",
            "1 picture is under 32 pixels on a side, where half of all have 90 or more: enlarged, they are a blur.",
            [("train/cats/tiny.png", "", "30x20")],
            id="tiny",
        ),
        pytest.param(
            lambda root: scene(99, (300, 60)).save(root / "train/cats/wide.png"),
            "stretched",
            "note",
            "1 picture has sides in a ratio above 4 to 1.",
            [("train/cats/wide.png", "", "300x60")],
            id="extreme aspect",
        ),
        pytest.param(
            lambda root: scene(99).convert("CMYK").save(root / "train/cats/print.jpg"),
            "cmyk",
            "note",
            "1 picture of 61: CMYK.",
            [("train/cats/print.jpg", "", "120x90")],
            id="CMYK",
        ),
        pytest.param(
            lambda root: scene(99).save(root / "train/cats/liar.jpg", "PNG"),
            "misnamed",
            "note",
            "1 file is of another format than the name says.",
            [("train/cats/liar.jpg", "", "is PNG")],
            id="misnamed",
        ),
        pytest.param(
            lambda root: [as_jpegs(path) for path in (root / "train/dogs").iterdir()],
            "giveaway",
            "warning",
            "Knowing only the file format, one can name the class of 100 % of the training pictures (guessing: 50 %).",
            [("cats", "", "20 pictures: PNG"), ("dogs", "", "20 pictures: JPEG")],
            id="the format gives the class away",
        ),
    ],
)
def test_each_thing_wrong_is_said(
    clean: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
    kind: str,
    severity: str,
    what: str,
    findings: list[tuple[str, str, str]],
) -> None:
    monkeypatch.setattr("separable.data.check_giveaway._ENOUGH", 40)
    change(clean)
    report = check_folder(clean)
    problem = only(report, kind)
    assert (problem.severity, problem.what) == (severity, what)
    said = [(one.path, one.other) for one in problem.findings]
    assert said == [(path, other) for path, other, _ in findings]
    assert all(detail in one.detail for one, (_, _, detail) in zip(problem.findings, findings, strict=True))
    assert report.misleading == bool(kinds(report, "error"))
    if severity == "error":
        assert report.to_text().splitlines()[-1].startswith("Training on these pictures would mislead: ")


def test_limits_can_be_set(clean: Path) -> None:
    copy("train/cats/00.png", "val/cats/x.png")(clean)
    copy("train/cats/01.png", "val/cats/y.png")(clean)
    report = check_folder(clean, limits=Limits(leaked_share=0.2, few=25))
    assert only(report, "leak").severity == "warning"
    assert not report.misleading
    assert only(report, "few-pictures").what == "2 classes have fewer than 25 training pictures."


def test_a_chain_of_copies_leaks_as_a_whole(clean: Path) -> None:
    """The first is the training picture; the second is its copy, cut; the third is like the second file only."""
    again("train/cats/00.png", "val/cats/a.png", "cropped by 2 % a side")(clean)
    copy("val/cats/a.png", "val/cats/b.png")(clean)
    leak = only(check_folder(clean), "leak")
    assert [(one.path, one.other) for one in leak.findings] == [
        ("val/cats/a.png", "train/cats/00.png"),
        ("val/cats/b.png", "train/cats/00.png"),
    ]
    assert leak.findings[1].detail == "copy of a copy"


def test_a_picture_in_both_sets_under_two_labels_is_said_twice(clean: Path) -> None:
    copy("train/cats/00.png", "val/dogs/x.png")(clean)
    report = check_folder(clean)
    assert only(report, "leak").findings[0].path == only(report, "conflict").findings[0].path == "val/dogs/x.png"


def test_copies_across_the_split_of_a_plain_folder_of_classes(tmp_path: Path) -> None:
    """Without train/ and val/ the split is random, so copies end up on both sides."""
    for c, name in enumerate(("cats", "dogs")):
        for i in range(12):
            write(tmp_path / name / f"{i}.png", scene(100 * c + i))
            write(tmp_path / name / f"{i} copy.jpg", scene(100 * c + i))
    leak = only(check_folder(tmp_path), "leak")
    assert leak.severity == "error"
    assert all({one.path.split("/")[0], one.other.split("/")[0]} < {"cats", "dogs"} for one in leak.findings)
