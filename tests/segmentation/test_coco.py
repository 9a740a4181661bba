"""COCO's instances files: run lengths, the order of painting, and files that make no sense."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separable.errors import BadPictureError, DataFolderError
from separable.segmentation.coco import CocoObject, paint_objects, read_coco
from separable.segmentation.labels import IGNORE
from separable.segmentation.rle import counts_from_string, decode_counts, encode_counts, string_from_counts
from separable.segmentation.sources import PictureShape
from separable.segmentation.vector import coco_document
from tests.data.made import jpeg, structured
from tests.segmentation.made import REGIONS, blobs

QUICK = settings(max_examples=80, deadline=None)


@QUICK
@given(REGIONS)
def test_run_lengths_come_back(region: np.ndarray) -> None:
    counts = encode_counts(region)
    assert all(count > 0 for count in counts[1:])
    assert np.array_equal(decode_counts(counts, region.shape), region)
    assert counts_from_string(string_from_counts(counts)) == counts


@QUICK
@given(st.lists(st.integers(0, 1 << 40), max_size=9))
def test_strings_of_any_counts_come_back(counts: list[int]) -> None:
    text = string_from_counts(counts)
    assert counts_from_string(text) == counts
    assert all(48 <= ord(character) < 112 for character in text)


def test_run_lengths_go_down_the_columns() -> None:
    assert decode_counts([1, 2, 3], (3, 2)).tolist() == [[False, False], [True, False], [True, False]]
    assert decode_counts([0, 6], (3, 2)).all()


def test_strings_by_hand() -> None:
    """5 bits at a time from the lowest: 1 is '1', 16 needs a second group because bit 4 is the sign; the fourth count
    is stored as the difference from the second."""
    assert string_from_counts([1]) == "1"
    assert string_from_counts([16]) == "`0"
    assert string_from_counts([31, 100]) == "o0T3"
    assert string_from_counts([5, 7, 9, 4]) == "579M"
    assert counts_from_string("579M") == [5, 7, 9, 4]


@pytest.mark.parametrize("text", ["\x20", "p", "é", "o" * 20, "`"])
def test_damaged_strings_are_refused(text: str) -> None:
    with pytest.raises(BadPictureError, match="a string of run lengths that is"):
        counts_from_string(text)


@pytest.mark.parametrize("counts", [[5], [7], [-1, 7], [3, 4], [2.0, 4], ["6"], [True, 5], [10**30]])
def test_senseless_counts_are_refused(counts: list[Any]) -> None:
    with pytest.raises(BadPictureError, match="run lengths"):
        decode_counts(counts, (2, 3))


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def test_the_smaller_object_lies_above_and_crowds_below() -> None:
    crowd = {"size": [6, 8], "counts": [0, 24, 24]}
    objects = (
        CocoObject(1, [box(2, 2, 4, 4)]),
        CocoObject(2, [box(1, 1, 6, 6)]),
        CocoObject(3, crowd, crowd=True),
        CocoObject(4, [box(3, 3, 5, 5)]),
    )
    expected = np.zeros((6, 8), np.int16)
    expected[:, :4] = IGNORE
    expected[1:6, 1:6] = 2
    expected[2:4, 2:4] = 1
    expected[3:5, 3:5] = 4  # as large as the first, and later in the file
    assert np.array_equal(paint_objects(objects, (6, 8)), expected)


def test_an_object_may_have_several_outlines_and_odd_ones() -> None:
    objects = (CocoObject(1, [box(0, 0, 2, 2), box(1, 1, 3, 3), [1, 1], [], [1, 2, 3, 4]]), CocoObject(2, []))
    mask = paint_objects(objects, (4, 4))
    assert mask.sum() == 7, "outlines are joined, not exclusive"


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        (None, "without an outline"),
        ("abc", "without an outline"),
        ([[1, 2, 3, 4, 5]], "x and y in turn"),
        (["abc"], "x and y in turn"),
        ([[0, 0, 1, 1, float("nan"), 2]], "not finite"),
        ({"size": [4, 5], "counts": [20]}, "another size"),
        ({"size": [4, 4]}, "without counts"),
        ({"size": [4, 4], "counts": [15]}, "run lengths of 15 pixels"),
        ({"size": [4, 4], "counts": "zz~"}, "damaged"),
    ],
)
def test_senseless_objects_are_named(segmentation: Any, said: str) -> None:
    with pytest.raises(BadPictureError, match=said):
        paint_objects((CocoObject(1, segmentation),), (4, 4))


def written(folder: Path, **changes: Any) -> Path:
    masks = [(f"p{k}.jpg", blobs(20, 30, 3, seed=k)) for k in range(3)]
    (folder / "images").mkdir(exist_ok=True)
    for k, (name, _) in enumerate(masks):
        (folder / "images" / name).write_bytes(jpeg(structured(20, 30, seed=k)))
    content = {**coco_document(masks, ("background", "cat", "dog")), **changes}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder / "instances.json"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pairs, notes = read_coco(written(tmp_path), tmp_path / "images")
    assert pairs.class_names == ("background", "cat", "dog")
    assert pairs.paths == ("p0.jpg", "p1.jpg", "p2.jpg")
    assert notes == ()
    for sample in range(3):
        picture, mask = pairs.read(sample)
        assert picture.shape[:2] == mask.shape
        assert np.array_equal(mask, blobs(20, 30, 3, seed=sample))
    with pytest.raises(
        BadPictureError, match=r"instances.json has 30x20 pixels for it, it has 20x30 \(turned by EXIF\)"
    ):
        pairs.masks.read(0, PictureShape((30, 20), 6))


def test_holes_come_back_as_holes(tmp_path: Path) -> None:
    """COCO's outlines cannot have any, so such a region is written as run lengths."""
    mask = np.zeros((20, 30), np.int16)
    mask[2:18, 3:25] = 1
    mask[5:10, 6:12] = 0
    mask[7, 8] = 2
    path = written(tmp_path, **coco_document([("p0.jpg", mask)], ("background", "cat", "dog")))
    pairs, _ = read_coco(path, tmp_path / "images")
    assert np.array_equal(pairs.read(0)[1], mask)


def test_absent_pictures_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "images/p1.jpg").unlink()
    pairs, notes = read_coco(path, tmp_path / "images")
    assert pairs.paths == ("p0.jpg", "p2.jpg")
    assert notes == ("1 picture of instances.json is not in images/, the first: p1.jpg.",)
    with pytest.raises(DataFolderError, match="has none of the pictures"):
        read_coco(path, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"categories": None}, "no list of categories"),
        ({"categories": [{"id": 1, "name": "background"}]}, "categories that cannot be classes"),
        ({"categories": []}, "categories that cannot be classes"),
        ({"categories": [{"id": "1", "name": "a"}]}, "an entry whose id is no whole number"),
        ({"categories": [{"id": 7, "name": "a"}]}, "a category that it does not list"),
        ({"annotations": [1]}, "no list of annotations"),
        ({"images": [{"id": 1, "file_name": "../p0.jpg", "height": 1, "width": 1}]}, "no path below"),
        ({"images": [{"id": 1, "file_name": "/p0.jpg", "height": 1, "width": 1}]}, "no path below"),
        ({"images": [{"id": 1, "file_name": "p0.jpg", "height": 1}]}, "an entry whose width is no whole number"),
        ({"images": [{"id": k, "file_name": "p0.jpg", "height": 1, "width": 1} for k in (1, 2)]}, "under two ids"),
    ],
)
def test_senseless_files_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataFolderError, match=said):
        read_coco(written(tmp_path, **changes), tmp_path / "images")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no object at its top. Got: an empty list."),
        ("[1]", "no object at its top. Got: a list of other things than objects."),
        ("null", "no object at its top. Got: nothing."),
        ('{"categories": {}}', "no list of categories. Got: an object."),
        ('{"categories": "cat"}', 'no list of categories. Got: "cat".'),
        ("{}", "no list of categories. Got: nothing."),
    ],
)
def test_what_is_there_instead_is_told_in_words_of_json(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "i.json").write_text(text)
    with pytest.raises(DataFolderError) as refused:
        read_coco(tmp_path / "i.json", tmp_path)
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["", "[", "[]", "[" * 100_000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "i.json").write_text(text)
    with pytest.raises(DataFolderError, match=r"is not JSON|no object at its top"):
        read_coco(tmp_path / "i.json", tmp_path)
    with pytest.raises(DataFolderError, match="Cannot read"):
        read_coco(tmp_path / "none.json", tmp_path)
