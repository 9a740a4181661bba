"""Where pairs lie: COCO's files in the folders they come in, classes in a model's order, parts of sets and joined
ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from separable.errors import DataFolderError, UsageError
from separable.segmentation.coding import MaskCoding
from separable.segmentation.labels import IGNORE
from separable.segmentation.pair_set import joined
from separable.segmentation.pairs import holds_pairs, read_pairs
from tests.data.made import jpeg, structured
from tests.segmentation.made import write_pairs

BOX = [4, 4, 12, 4, 12, 10, 4, 10]


def coco(names: list[str], categories: tuple[str, ...] = ("cat",), crowd: bool = False) -> dict[str, Any]:
    """Pictures of 20 x 16 with a box of 8 x 6 each, of the first category."""
    images = [{"id": 7 + k, "file_name": name, "width": 20, "height": 16} for k, name in enumerate(names)]
    objects: list[dict[str, Any]] = [
        {"id": k, "image_id": 7 + k, "category_id": 1, "segmentation": [BOX], "iscrowd": 0} for k in range(len(names))
    ]
    if crowd:
        counts = {"size": [16, 20], "counts": [0, 16, 304]}
        objects.append({"id": 99, "image_id": 7, "category_id": 1, "segmentation": counts, "iscrowd": 1})
    listed = [{"id": k, "name": name} for k, name in enumerate(categories, start=1)]
    return {"images": images, "annotations": objects, "categories": listed}


def write_coco(source: Path, pictures: Path, count: int, first: int = 0, **more: Any) -> Path:
    names = [f"{first + k:02d}.jpg" for k in range(count)]
    pictures.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        (pictures / name).write_bytes(jpeg(structured(16, 20, seed=first + k)))
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(json.dumps(coco(names, **more)))
    return source


def test_one_file_is_split_as_folders_are(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "annotations.json", tmp_path / "images", 10, crowd=True)
    for given in (tmp_path, source):
        assert holds_pairs(given)
        data = read_pairs(given)
        assert (len(data.train), len(data.val), data.class_names) == (8, 2, ("background", "cat"))
        assert not set(data.train.paths) & set(data.val.paths)
    of = {part.paths[k]: part.read(k)[1] for part in (data.train, data.val) for k in range(len(part))}
    assert {int((mask == 1).sum()) for mask in of.values()} == {48}
    assert int((of["00.jpg"] == IGNORE).sum()) == 16, "the crowd is the first column"
    masks = write_pairs(tmp_path / "same", 10)
    for k in range(10):
        (masks / f"images/{k:03d}.jpg").rename(masks / f"images/{k:02d}.jpg")
        (masks / f"masks/{k:03d}.png").rename(masks / f"masks/{k:02d}.png")
    assert read_pairs(masks).val.paths == data.val.paths


@pytest.mark.parametrize(
    ("train", "train_pictures", "val", "val_pictures"),
    [
        ("train/_annotations.coco.json", "train", "valid/_annotations.coco.json", "valid"),
        ("annotations/instances_train2017.json", "train2017", "annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_train.json", "images/train", "annotations/instances_val.json", "images/val"),
        ("instances_train.json", "images", "instances_val.json", "images"),
    ],
)
def test_the_layouts_of_coco_and_of_tools(
    tmp_path: Path, train: str, train_pictures: str, val: str, val_pictures: str
) -> None:
    write_coco(tmp_path / train, tmp_path / train_pictures, 3)
    write_coco(tmp_path / val, tmp_path / val_pictures, 2, first=3)
    (tmp_path / "annotations").mkdir(exist_ok=True)
    (tmp_path / "annotations/captions_train2017.json").write_text("{}")
    data = read_pairs(tmp_path)
    assert (data.train.paths, data.val.paths) == (("00.jpg", "01.jpg", "02.jpg"), ("03.jpg", "04.jpg"))
    assert all((part.read(1)[1] == 1).sum() == 48 for part in (data.train, data.val))


def test_masks_win_over_a_file_beside_them(tmp_path: Path) -> None:
    write_pairs(tmp_path, 4)
    (tmp_path / "annotations.json").write_text("not JSON")
    assert len(read_pairs(tmp_path).train) == 3
    assert not holds_pairs(tmp_path / "images")
    assert not holds_pairs(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "no object at its top"),
        ('{"images": []}', "no list of categories"),
        (json.dumps(coco(["gone.jpg"])), "none of the pictures that"),
        (json.dumps({**coco(["00.jpg"]), "categories": []}), "categories that cannot be classes"),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    source = write_coco(tmp_path / "annotations.json", tmp_path / "images", 2)
    source.write_text(content)
    with pytest.raises(DataFolderError, match=said):
        read_pairs(tmp_path)


def test_parts_with_other_categories_and_one_picture(tmp_path: Path) -> None:
    write_coco(tmp_path / "train/_annotations.coco.json", tmp_path / "train", 2)
    other = write_coco(tmp_path / "val/_annotations.coco.json", tmp_path / "val", 2, categories=("dog", "cat"))
    with pytest.raises(
        DataFolderError, match=r"other categories\. Got: background, dog, cat\. Expected: background, cat"
    ):
        read_pairs(tmp_path)
    with pytest.raises(DataFolderError, match="other categories"):
        read_pairs(other, class_names=("background", "cat"))
    with pytest.raises(UsageError, match="have no coding of masks"):
        read_pairs(other, coding=MaskCoding.binary())
    with pytest.raises(DataFolderError, match="has one picture with a mask"):
        read_pairs(write_coco(tmp_path / "one" / "coco.json", tmp_path / "one", 1))


def test_classes_in_a_models_order(tmp_path: Path) -> None:
    write_pairs(tmp_path, 6)
    names = ("0", "1", "2")
    data = read_pairs(tmp_path, class_names=names)
    assert data.class_names == names
    assert set(np.unique(data.train.read(0)[1])) == {0, 1}
    (tmp_path / "classes.yaml").write_text("classes: [{name: cat, value: 1}, {name: sky, value: 0}]")
    data = read_pairs(tmp_path, class_names=("sky", "dog", "cat"))
    own = read_pairs(tmp_path)
    assert np.array_equal(data.train.read(0)[1], np.array([2, 0])[own.train.read(0)[1]])
    with pytest.raises(DataFolderError, match=r"that the model does not know\. Got: cat\. Expected: some of sky, dog"):
        read_pairs(tmp_path, class_names=("sky", "dog"))
    (tmp_path / "classes.yaml").unlink()
    assert read_pairs(tmp_path, class_names=("sky", "cat")).class_names == ("sky", "cat")
    with pytest.raises(UsageError, match=r"Got: 3 names\. Expected: 2: 0, 1"):
        read_pairs(tmp_path, class_names=("a", "b", "c"))


def test_joined_sets_keep_their_masks(tmp_path: Path) -> None:
    for name in ("train", "val"):
        write_pairs(tmp_path / name, 3 if name == "train" else 2)
    data = read_pairs(tmp_path)
    both = joined(data.train, data.val)
    assert both.paths == (*(f"train/images/{k:03d}.jpg" for k in range(3)), "val/images/000.jpg", "val/images/001.jpg")
    expected = [data.val.read(1), data.train.read(2)]
    for sample, (pixels, mask) in enumerate(expected):
        found = both.chosen([4, 2]).read(sample)
        assert np.array_equal(found[0], pixels)
        assert np.array_equal(found[1], mask)
