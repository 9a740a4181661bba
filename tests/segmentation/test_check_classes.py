"""What a check says of classes that the masks do not bear out, and of values that nobody named."""

from pathlib import Path

import numpy as np
import pytest

from separable.data.check_problems import Problem
from separable.data.check_report import CheckReport
from separable.errors import UsageError
from separable.segmentation.check import check_pairs
from separable.segmentation.check_ignored import ignored_notes
from separable.segmentation.coding import MaskCoding
from separable.segmentation.pairs import read_pairs
from separable.segmentation.task import SegmentTask
from tests.data.made import encode
from tests.segmentation.made import write_pairs
from tests.segmentation.trainable import segment_config

SIZE = (40, 50)


def checked(root: Path, values: tuple[int, ...], classes: str | None = None, blank: int = 0) -> CheckReport:
    """Five pairs with halves of two values each, the first `blank` of the first value alone."""
    write_pairs(root, 5, SIZE)
    for number in range(5):
        mask = np.full(SIZE, values[0], np.uint8)
        if number >= blank:
            mask[:, : SIZE[1] // 2] = values[1]
            mask[0, 2 : len(values)] = values[2:]
        (root / f"masks/{number:03d}.png").write_bytes(encode(mask, "PNG"))
    if classes is not None:
        (root / "classes.yaml").write_text(classes)
    return check_pairs(read_pairs(root))


def errors(report: CheckReport) -> dict[str, Problem]:
    return {one.kind: one for one in report.problems if one.severity == "error"}


def test_a_wrong_value_in_the_classes_file_is_named(tmp_path: Path) -> None:
    report = checked(tmp_path, (0, 255), "classes: [{name: background, value: 0}, {name: cat, value: 1}]", blank=1)
    found = errors(report)
    assert list(found) == ["value without a class"]
    assert found["value without a class"].what == (
        "255 has no class in classes.yaml and is ignored by default: 40 % of the masks' pixels, in 4 masks, while no "
        "training mask shows cat."
    )
    assert found["value without a class"].fix.startswith("Did you mean `value: 255` for cat?")
    assert report.misleading
    assert not any("take the class out" in one.fix for one in report.problems)
    assert report.remarks == (
        "40 % of the masks' pixels are ignored (255 by default, as nobody wrote `ignore:`): they teach nothing, and do "
        "not count. That is much: if 255 is a class, name it in classes.yaml; if not, write `ignore: [255]`.",
    )


def test_names_alone_for_masks_of_0_and_255(tmp_path: Path) -> None:
    found = errors(checked(tmp_path, (0, 255), "classes: [background, cat, dog]"))
    assert "Did you mean `value: 255` for one of cat, dog?" in found["value without a class"].fix


def test_what_is_ignored_on_purpose_is_no_error(tmp_path: Path) -> None:
    text = "classes: [{name: background, value: 0}, {name: cat, value: 1}]\nignore: 255"
    report = checked(tmp_path, (0, 255), text)
    assert list(errors(report)) == ["class without training"]
    assert (
        errors(report)["class without training"].fix == "Add pictures that do, or take the class out of classes.yaml."
    )
    assert report.remarks == ("50 % of the masks' pixels are ignored (255): they teach nothing, and do not count.",)


def test_the_default_is_no_error_where_every_class_is_there(tmp_path: Path) -> None:
    report = checked(tmp_path, (0, 255, 1), "classes: [{name: background, value: 0}, {name: cat, value: 1}]")
    assert not errors(report)
    assert "(255 by default, as nobody wrote `ignore:`)" in report.notes[0]
    assert "That is much" in report.notes[0]
    few = checked(tmp_path, (0, 1, 255), "classes: [background, cat]")
    assert "(255 by default" in few.notes[0]
    assert "That is much" not in few.notes[0]
    untold = read_pairs(tmp_path, coding=MaskCoding.indices(["a", "b"]))
    assert not list(ignored_notes(untold, []))


@pytest.mark.parametrize(
    ("classes", "fix"),
    [
        ("classes: [{name: sky, value: 0}]", "255, in 50 % of the pixels, is ignored: is it one?"),
        ("classes: [{name: sky, value: 0}, {name: sky, value: 255}]", "Give two classes names in classes.yaml."),
    ],
)
def test_one_class_is_refused_in_the_words_of_training(tmp_path: Path, classes: str, fix: str) -> None:
    report = checked(tmp_path, (0, 255), classes)
    found = errors(report)
    assert list(found) == ["one class"]
    with pytest.raises(UsageError) as refused:
        SegmentTask().objective(segment_config(tmp_path / "run", tmp_path), 1, {})
    assert found["one class"].what == str(refused.value)
    assert fix in found["one class"].fix
    assert report.misleading
    assert ("Two values are merged into sky: 0, 255." in report.notes) == ("255" in classes)


def test_a_gap_in_values_that_nobody_named(tmp_path: Path) -> None:
    found = errors(checked(tmp_path, (0, 2)))["class without training"]
    assert found.what == "No training mask shows 1."
    assert found.fix == (
        "Add pictures that do; or, if there is no such class, put a classes.yaml into the data folder that has the "
        "others, such as `classes: [{name: class 0, value: 0}, {name: class 2, value: 2}]`."
    )
    (tmp_path / "classes.yaml").write_text("classes: [{name: class 0, value: 0}, {name: class 2, value: 2}]")
    assert not errors(check_pairs(read_pairs(tmp_path)))


@pytest.mark.parametrize("count", [10, 30])
def test_whether_unusable_pairs_stop_a_training(tmp_path: Path, count: int) -> None:
    write_pairs(tmp_path, count)
    (tmp_path / "masks/000.png").write_bytes(b"damaged")
    report = check_pairs(read_pairs(tmp_path))
    unusable = next(one for one in report.problems if one.kind == "unusable pair")
    assert unusable.what.startswith(f"1 pair of {count} (")
    assert unusable.what.endswith("cannot be used for its mask.")
    stops = (
        "Mend or remove them. A training stops where more than 5 % of the pairs cannot be used, unless `--max-bad` "
        "allows it; then it goes on without them."
    )
    goes_on = "Mend or remove them. They stop no training: it goes on without them."
    assert (unusable.severity, unusable.fix) == (("error", stops) if count == 10 else ("warning", goes_on))
    train, val = (
        len(part) for part in (report.survey.held_out == 0).nonzero() + (report.survey.held_out == 1).nonzero()
    )
    lost = "(of which 1 cannot be used)"
    assert report.to_text().splitlines()[0].removeprefix(f"{report.root}: ") in (
        f"{train} pictures to train on {lost}, {val} to validate on, 2 classes.",
        f"{train} pictures to train on, {val} to validate on {lost}, 2 classes.",
    )


def test_files_without_their_other_half_are_told_once(tmp_path: Path) -> None:
    write_pairs(tmp_path, 5)
    (tmp_path / "masks/000.png").unlink()
    data = read_pairs(tmp_path)
    report = check_pairs(data)
    assert "1 picture without a mask left out: 000.jpg." in data.notes
    assert report.to_text().count("without a mask") == 1
    assert not any("left out" in note for note in report.to_json()["notes"])
