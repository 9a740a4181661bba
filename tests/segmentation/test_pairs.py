"""Folders of pictures with masks: layouts, pairing, and pairs that cannot be used."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.data.decode import decode_picture
from separable.errors import BadPictureError, DataFolderError, UsageError
from separable.segmentation.check import check_pairs, scan_pair
from separable.segmentation.coding import MaskCoding
from separable.segmentation.mask_file import MaskFile
from separable.segmentation.pairs import read_pairs
from tests.data.made import encode, jpeg, png, structured
from tests.segmentation.made import blobs, write_pairs


def test_pairs_are_split_by_a_keyed_hash(tmp_path: Path) -> None:
    data = read_pairs(write_pairs(tmp_path, 10))
    assert (len(data.train), len(data.val)) == (8, 2)
    assert not set(data.train.paths) & set(data.val.paths)
    assert read_pairs(tmp_path).train.fingerprint() == data.train.fingerprint()
    assert read_pairs(tmp_path, seed=1).val.paths != data.val.paths
    assert data.class_names == ("0", "1")
    assert data.notes == (
        "Read in the masks: 0 is 0, 1 is 1. Name them in a classes.yaml in the data folder, in this order: "
        "`classes: [background, cat]`.",
    )
    picture, mask = data.val.read(1)
    number = int(Path(data.val.paths[1]).stem)
    assert np.array_equal(mask, blobs(24, 30, 2, seed=number))
    assert np.array_equal(picture, decode_picture(tmp_path / "images" / data.val.paths[1]))


@pytest.mark.parametrize(
    "layout",
    [
        ("train/images", "train/masks", "valid/images", "valid/masks"),
        ("Train/IMAGES", "Train/Masks", "val/image", "val/label"),
        ("images/train", "masks/train", "images/val", "masks/val"),
        ("images/training", "annotations/training", "images/validation", "annotations/validation"),
    ],
)
def test_layouts_with_a_held_out_part(tmp_path: Path, layout: tuple[str, ...]) -> None:
    write_pairs(tmp_path / "a", 3)
    write_pairs(tmp_path / "b", 2)
    for source, target in zip(("a/images", "a/masks", "b/images", "b/masks"), layout, strict=True):
        (tmp_path / "set" / target).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).rename(tmp_path / "set" / target)
    data = read_pairs(tmp_path / "set")
    assert (len(data.train), len(data.val)) == (3, 2)


def test_oxford_pets_as_it_comes(tmp_path: Path) -> None:
    """images/*.jpg, annotations/trimaps/*.png with values 1 to 3, and what macOS left between them."""
    (tmp_path / "images").mkdir()
    trimaps = tmp_path / "annotations/trimaps"
    trimaps.mkdir(parents=True)
    (tmp_path / "annotations/list.txt").write_text("Abyssinian_100 1 1 1\n")
    (tmp_path / "annotations/xmls").mkdir()
    for number in range(4):
        (tmp_path / f"images/Abyssinian_{number}.jpg").write_bytes(jpeg(structured(12, 15, seed=number)))
        values = (blobs(12, 15, 3, seed=number) + 1).astype(np.uint8)
        (trimaps / f"Abyssinian_{number}.png").write_bytes(encode(values, "PNG"))
        (trimaps / f"._Abyssinian_{number}.png").write_bytes(b"\0\5\x16\7")
    data = read_pairs(tmp_path)
    assert data.class_names == ("background", "pet")
    assert "2 is background, 1 is pet; 3 is ignored" in data.notes[0]
    assert set(np.unique(data.train.read(0)[1])) == {-1, 0, 1}


def test_left_over_files_are_named_and_not_used(tmp_path: Path) -> None:
    write_pairs(tmp_path, 6)
    (tmp_path / "masks/000.png").unlink()
    (tmp_path / "images/001.jpg").unlink()
    (tmp_path / "images/002.png").write_bytes(b"")
    data = read_pairs(tmp_path, coding=MaskCoding.indices(["a", "b"]))
    assert len(data.train) + len(data.val) == 3
    assert data.notes == (
        "1 picture without a mask left out: 000.jpg.",
        "1 mask without a picture left out: 001.png.",
        "3 files whose name several share left out: 002.jpg, 002.png, 002.png.",
    )
    kinds = {problem.kind: problem for problem in check_pairs(data).found}
    assert [finding.path for finding in kinds["picture without a mask"].findings] == ["images/000.jpg"]
    assert [finding.path for finding in kinds["mask without a picture"].findings] == ["masks/001.png"]
    ambiguous = [finding.path for finding in kinds["ambiguous name"].findings]
    assert ambiguous == ["images/002.jpg", "images/002.png", "masks/002.png"]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match="There is no folder"):
        read_pairs(tmp_path / "none")
    with pytest.raises(DataFolderError, match=r"not laid out as pictures with masks\. Got: no folder in it"):
        read_pairs(tmp_path)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataFolderError, match=r"No mask in .* has the name of a picture .* no picture file against"):
        read_pairs(tmp_path)
    (tmp_path / "images/a.jpg").write_bytes(jpeg(structured(8, 8)))
    (tmp_path / "masks/a_mask.png").write_bytes(b"")
    with pytest.raises(DataFolderError, match=r"a\.jpg \(1 file, \.jpg\) against a_mask\.png"):
        read_pairs(tmp_path)
    (tmp_path / "masks/a_mask.png").rename(tmp_path / "masks/a.png")
    with pytest.raises(DataFolderError, match="has one picture with a mask"):
        read_pairs(tmp_path, coding=MaskCoding.binary())
    with pytest.raises(UsageError, match="val_fraction"):
        read_pairs(tmp_path, val_fraction=0)
    with pytest.raises(UsageError, match="class names do not fit"):
        read_pairs(tmp_path, coding=MaskCoding.binary(), class_names=["a"])


def test_classes_file_is_used(tmp_path: Path) -> None:
    write_pairs(tmp_path, 4)
    (tmp_path / "classes.yaml").write_text("classes: [{name: road, value: 1}]\nignore: [0]")
    data = read_pairs(tmp_path)
    assert data.class_names == ("road",)
    assert set(np.unique(data.train.read(0)[1])) == {-1, 0}


def turned(pixels: np.ndarray, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, exif=exif)
    return buffer.getvalue()


BAD_PICTURE = "images/003.jpg"


def spoilt(folder: Path) -> dict[str, str]:
    """Twelve pairs of 24 x 30, some spoilt, and the cause for each of these."""
    write_pairs(folder, 12)
    mask = blobs(24, 30, 2).astype(np.uint8)
    masks, images = folder / "masks", folder / "images"
    good = (masks / "000.png").read_bytes()
    (masks / "000.png").write_bytes(good[: len(good) // 2])
    (masks / "001.png").write_bytes(encode(mask[:, :-1].copy(), "PNG"))
    (masks / "002.png").write_bytes(encode(mask * 7, "PNG"))
    (images / "003.jpg").write_bytes(turned(structured(30, 24), "JPEG", 6)[:300])
    (images / "004.jpg").write_bytes(turned(structured(24, 30), "JPEG", 6))
    (masks / "005.png").write_bytes(turned(mask, "PNG", 8))
    (masks / "006.png").write_bytes(png(50000, 50000, 8, 0, b""))
    (masks / "007.png").write_bytes(b"")
    (images / "008.jpg").write_bytes(turned(structured(30, 24), "JPEG", 6))  # the mask was drawn on what is seen
    (images / "009.jpg").write_bytes(turned(structured(24, 30), "JPEG", 3))  # nobody can tell
    return {
        "000.jpg": "its mask 000.png: truncated PNG",
        "001.jpg": "its mask 001.png: 29x24 pixels, the picture has 30x24",
        "002.jpg": "its mask 002.png: values that no class has: 7, in",
        "003.jpg": "truncated JPEG",
        "004.jpg": "its mask 004.png: the picture is turned by EXIF and the mask is not: turn the pixels of both",
        "005.jpg": "its mask 005.png: the mask is turned by EXIF and the picture is not: turn the pixels of both",
        "006.jpg": "its mask 006.png: too large: 50000x50000 pixels",
        "007.jpg": "its mask 007.png: empty file",
    }


def test_one_bad_pair_never_stops_the_others(tmp_path: Path) -> None:
    causes = spoilt(tmp_path)
    data = read_pairs(tmp_path, coding=MaskCoding.indices(["a", "b"]))
    seen = 0
    for part in (data.train, data.val):
        for sample, path in enumerate(part.paths):
            facts = scan_pair(part, sample)
            if path in causes:
                assert facts.cause is not None
                assert facts.cause.startswith(causes[path]), facts.cause
                with pytest.raises(BadPictureError):
                    part.read(sample)
                seen += 1
            else:
                assert facts.cause is None
                assert sum(facts.pixels) == 24 * 30
                assert facts.turned == (path == "009.jpg")
    assert seen == len(causes)


def test_a_turned_square_cannot_be_told_by_its_size(tmp_path: Path) -> None:
    write_pairs(tmp_path, 2, size=(24, 24))
    (tmp_path / "images/000.jpg").write_bytes(turned(structured(24, 24), "JPEG", 6))
    data = read_pairs(tmp_path, coding=MaskCoding.indices(["a", "b"]))
    facts = [scan_pair(part, 0) for part in (data.train, data.val)]
    assert {one.path: one.turned for one in facts} == {"000.jpg": True, "001.jpg": False}


def test_the_check_says_all_of_it(tmp_path: Path) -> None:
    causes = spoilt(tmp_path)
    done: list[tuple[int, int]] = []
    data = read_pairs(tmp_path, coding=MaskCoding.indices(["a", "b", "c"]))
    report = check_pairs(data, progress=lambda *count: done.append(count))
    kinds = {problem.kind: problem for problem in report.problems}
    assert done[-1] == (12, 12)
    unusable = kinds["unusable pair"]
    assert {finding.path for finding in unusable.findings} == {f"images/{name}" for name in causes} - {BAD_PICTURE}
    assert [finding.path for finding in kinds["unreadable"].findings] == [BAD_PICTURE]
    assert unusable.severity == "error"
    assert unusable.what == "7 pairs of 12 (58 %) cannot be used for their masks."
    assert [finding.path for finding in kinds["turned on one side"].findings] == ["images/009.jpg"]
    assert kinds["class without training"].what == "No training mask shows c."
    assert report.problems[0].severity == "error"
    assert report.misleading
    assert [(one.name, one.train + one.val) for one in report.classes] == [("a", 4), ("b", 4), ("c", 0)]


def test_unlabelled_masks_and_rare_classes(tmp_path: Path) -> None:
    write_pairs(tmp_path, 4, size=(60, 60))
    mask = np.zeros((60, 60), np.uint8)
    for number in range(4):
        (tmp_path / f"masks/{number:03d}.png").write_bytes(encode(mask + 255 * (number == 2), "PNG"))
    mask[0, 0] = 1
    data = read_pairs(tmp_path, coding=MaskCoding.indices(["a", "b"]), seed=1)
    first = next(int(Path(path).stem) for path in data.train.paths if path != "002.jpg")
    (tmp_path / f"masks/{first:03d}.png").write_bytes(encode(mask, "PNG"))
    kinds = {problem.kind: problem for problem in check_pairs(data).found}
    assert [finding.path for finding in kinds["unlabelled"].findings] == ["images/002.jpg"]
    assert kinds["rare class"].findings[0].path == "b"


@pytest.mark.shared
def test_cats_and_membranes(test_data: Path) -> None:
    cats = read_pairs(test_data / "feral_cat_256")
    assert (len(cats.train), len(cats.val), cats.class_names) == (699, 195, ("background", "foreground"))
    picture, mask = cats.val.read(0)
    assert picture.shape == (256, 256, 3)
    assert 0.05 < mask.mean() < 0.9
    membranes = read_pairs(test_data / "isbi_membrane")
    assert (len(membranes.train), len(membranes.val)) == (24, 6)
    assert membranes.train.read(3)[1].mean() > 0.5


@pytest.mark.shared
def test_voc_masks_of_others(test_data: Path) -> None:
    coding = MaskCoding.indices([str(k) for k in range(21)])
    mask = coding.decode(MaskFile(test_data / "coral_images/bird_segmentation_mask.bmp").values())
    assert mask.shape == (513, 513)
    assert 3 in np.unique(mask), "bird"
