"""Folders: what is read, how it is split, and the sentence for each way they can be wrong."""

import os
from pathlib import Path

import numpy as np
import pytest

from separable.data.corrections import merge_corrections
from separable.data.folder import FolderData, PictureSet, read_folder
from separable.errors import DataFolderError, UsageError
from tests.data.made import write_empty


def classes(root: Path, **counts: int) -> Path:
    return write_empty(root, *[f"{name}/{i:03d}.jpg" for name, count in counts.items() for i in range(count)])


def both(root: Path, held_out: str = "val") -> Path:
    classes(root / "train", cat=6, dog=4)
    classes(root / held_out, cat=2, dog=1)
    return root


def named(pictures: PictureSet) -> dict[str, str]:
    return {p: pictures.class_names[i] for p, i in zip(pictures.paths, pictures.labels, strict=True)}


def message(root: Path, **options: object) -> str:
    with pytest.raises(DataFolderError) as caught:
        read_folder(root, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_classes_are_split_by_a_keyed_hash(tmp_path: Path) -> None:
    data = read_folder(classes(tmp_path, dog=20, ant=5, cat=2), val_fraction=0.2, seed=3)
    assert data.class_names == ("ant", "cat", "dog")
    assert (data.train.root, data.val.root) == (tmp_path, tmp_path)
    assert np.bincount(data.val.labels).tolist() == [1, 1, 4]
    assert np.bincount(data.train.labels).tolist() == [4, 1, 16]
    assert all(Path(path).parts[0] == name for part in (data.train, data.val) for path, name in named(part).items())
    assert len({*data.train.paths, *data.val.paths}) == 27
    assert list(data.train.paths) == sorted(data.train.paths)
    assert data.train.labels.dtype == np.int64
    assert data.notes == ()
    again = read_folder(tmp_path, val_fraction=0.2, seed=3)
    assert again.val.paths == data.val.paths
    assert len({read_folder(tmp_path, seed=seed).val.paths for seed in range(6)}) > 4


def test_a_new_picture_moves_few_old_ones(tmp_path: Path) -> None:
    before = read_folder(classes(tmp_path, cat=40, dog=40))
    classes(tmp_path, cat=45)
    after = read_folder(tmp_path)
    dogs = [{p for p in data.val.paths if p.startswith("dog")} for data in (before, after)]
    assert dogs[0] == dogs[1]
    cats = [{p for p in data.val.paths if p.startswith("cat")} for data in (before, after)]
    assert len(cats[0] & cats[1]) >= 6


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test", "Val"])
def test_train_and_held_out_folders(tmp_path: Path, name: str) -> None:
    data = read_folder(both(tmp_path, name))
    assert (data.train.root, data.val.root) == (tmp_path / "train", tmp_path / name)
    assert data.val.paths == ("cat/000.jpg", "cat/001.jpg", "dog/000.jpg")
    assert data.val.labels.tolist() == [0, 0, 1]
    assert len(data.train) == 10


def test_the_test_set_stays_untouched_beside_a_validation_set(tmp_path: Path) -> None:
    classes(both(tmp_path) / "test", cat=3, dog=3)
    data = read_folder(tmp_path)
    assert data.val.root.name == "val"
    assert data.notes == ("Folders beside train/ left untouched: test.",)


def test_train_alone_is_split(tmp_path: Path) -> None:
    classes(tmp_path / "train", cat=5, dog=5)
    data = read_folder(tmp_path)
    assert (len(data.train), len(data.val)) == (8, 2)
    assert data.notes == ("There is no held-out folder beside train/: a part of it is held out.",)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert read_folder(classes(tmp_path, train=4, bus=4)).class_names == ("bus", "train")


def test_what_is_left_out(tmp_path: Path) -> None:
    classes(tmp_path, cat=4, dog=4)
    write_empty(
        tmp_path,
        ".hidden/a.jpg",
        ".git/objects/a.txt",
        "__MACOSX/cat/a.jpg",
        "cat/.b.jpg",
        "cat/Thumbs.db",
        "cat/desktop.ini",
        "cat/notes.txt",
        "readme.md",
        "loose.png",
    )
    (tmp_path / "bird").mkdir()
    data = read_folder(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert len(data.train) + len(data.val) == 8
    assert data.notes == (
        "2 files left out, not pictures by their ending: cat/notes.txt, readme.md.",
        "Folders without a picture left out: bird.",
        "Folders of pictures left out, hidden by the dot that their name begins with: .hidden.",
        f"1 pictures directly in {tmp_path} left out: they are in no class folder.",
    )


def test_nested_folders_and_endings(tmp_path: Path) -> None:
    write_empty(tmp_path, "a/x/y/1.JPG", "a/2.jpeg", "a/3.TIFF", "b/4.webp", "b/5.Png", "b/x/6.bmp", "b/7.gif")
    data = read_folder(tmp_path)
    assert sorted(data.train.paths + data.val.paths) == sorted(
        ["a/x/y/1.JPG", "a/2.jpeg", "a/3.TIFF", "b/4.webp", "b/5.Png", "b/x/6.bmp", "b/7.gif"]
    )


def test_symbolic_links(tmp_path: Path) -> None:
    root = classes(tmp_path / "data", cat=3, dog=3)
    classes(tmp_path, elsewhere=3)
    (root / "cat" / "loop").symlink_to(root)
    (root / "dog" / "itself").symlink_to(root / "dog")
    (root / "bird").symlink_to(tmp_path / "elsewhere")
    (root / "cat" / "knot.jpg").symlink_to(root / "cat" / "knot.jpg")
    (root / "cat" / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    data = read_folder(root)
    assert data.class_names == ("bird", "cat", "dog")
    assert len(data.train) + len(data.val) == 11, "a link to nowhere is a picture that cannot be read, and named then"


def test_odd_names(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    for name in (b"caf\xe9", "naïve ü".encode()):
        os.mkdir(root + b"/" + name)
        for i in range(3):
            open(root + b"/" + name + b"/\xff %d.jpg" % i, "wb").close()
    data = read_folder(tmp_path)
    assert all((tmp_path / path).exists() for path in data.train.paths + data.val.paths)


def test_the_models_classes(tmp_path: Path) -> None:
    data = read_folder(classes(tmp_path, dog=3, cat=3), class_names=["dog", "emu", "cat"])
    assert data.class_names == ("dog", "emu", "cat")
    assert {name for part in (data.train, data.val) for name in named(part).values()} == {"cat", "dog"}
    assert set(data.train.labels.tolist()) == {0, 2}
    assert data.notes == ("Classes without a picture here: emu.",)
    assert message(tmp_path, class_names=["dog", "emu"]) == (
        f"{tmp_path} has classes that the model does not know. Got: cat. Expected: some of dog, emu. "
        "Rename or move these folders, so that both sides name the same classes."
    )


LAYOUT = "one sub-folder of pictures per class, or train/ and val/ with one sub-folder per class each"


def test_bad_folders(tmp_path: Path) -> None:
    assert message(tmp_path / "no") == (
        f"There is no folder {tmp_path}/no. Expected: {LAYOUT}. Check the path for a typing mistake."
    )
    write_empty(tmp_path, "file.zip")
    assert message(tmp_path / "file.zip") == (
        f"{tmp_path}/file.zip is a file, not a folder. Expected: {LAYOUT}. "
        "Unpack it first if it is an archive, and name the folder."
    )
    (tmp_path / "empty").mkdir()
    assert message(tmp_path / "empty") == (
        f"{tmp_path}/empty holds no pictures. Got: an empty folder. Expected: {LAYOUT}."
    )
    write_empty(tmp_path, "texts/a/1.txt", "texts/b/2.txt", "texts/b/3.csv")
    assert "Got: 3 other files (2 .txt, 1 .csv)." in message(tmp_path / "texts")
    (tmp_path / "hollow" / "cat").mkdir(parents=True)
    assert "Got: 1 empty folders." in message(tmp_path / "hollow")
    write_empty(tmp_path, "flat/1.jpg", "flat/2.jpg")
    assert message(tmp_path / "flat") == (
        f"{tmp_path}/flat holds pictures but no class folders. Got: 2 pictures directly inside it. "
        f"Expected: {LAYOUT}. Put the pictures of each class into a sub-folder named after the class."
    )
    assert message(classes(tmp_path / "one", cat=9)) == (
        f"{tmp_path}/one holds one class. Got: only 'cat'. Expected: at least two classes: a network learns to tell "
        "them apart. Add a folder of pictures that show something else."
    )
    assert message(classes(tmp_path / "few", cat=9, dog=1)) == (
        f"Class 'dog' has one picture. Got: {tmp_path}/few/dog/000.jpg. Expected: at least two pictures in each class: "
        "one to train on and one to validate on. Add pictures to it, or move the folder away."
    )
    assert message(classes(tmp_path / "fewer", cat=9, **{f"z{i:02d}": 1 for i in range(12)})) == (
        "12 classes have one picture each. Got: z00, z01, z02, z03, z04, z05, z06, z07, z08, z09 and 2 more. "
        "Expected: at least two pictures in each class: one to train on and one to validate on. Add pictures to them, "
        "or move the folders away."
    )


def test_validation_classes_that_training_lacks(tmp_path: Path) -> None:
    classes(both(tmp_path) / "val", emu=1, yak=2)
    assert message(tmp_path) == (
        f"{tmp_path}/val has classes that {tmp_path}/train lacks. Got: emu, yak. Expected: some of cat, dog. "
        "Rename or move these folders, so that both sides name the same classes."
    )


def test_training_classes_that_validation_lacks_are_noted(tmp_path: Path) -> None:
    classes(both(tmp_path) / "train", emu=2)
    assert read_folder(tmp_path).notes == ("Classes without a picture in val/: emu.",)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    classes(tmp_path, cat=2, dog=2)
    (tmp_path / "dog").chmod(0)
    assert "Permission denied" in message(tmp_path)
    (tmp_path / "dog").chmod(0o755)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 7])
def test_val_fraction_out_of_range(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(UsageError, match="val_fraction out of range"):
        read_folder(tmp_path, val_fraction=fraction)


def corrected(root: Path, text: str) -> FolderData:
    (root / "labels.csv").write_text(text, encoding="utf-8-sig")
    return read_folder(root, labels_csv=root / "labels.csv")


def test_corrected_labels_are_fed_back(tmp_path: Path) -> None:
    before = read_folder(classes(tmp_path, cat=10, dog=10))
    shown = before.val.paths[0]
    data = corrected(
        tmp_path, f"path,label,suggested,score\n{shown},dog,dog,0.9\ncat/999.jpg,dog,,\n{before.train.paths[0]},,,\n"
    )
    assert named(data.val)[shown] == "dog"
    assert data.val.paths == before.val.paths, "a corrected label does not move a picture between the sets"
    assert data.train.paths == before.train.paths[1:]
    assert "Corrected labels: 1 changed, 1 pictures left out." in data.notes
    assert "1 corrections name no picture here, the first: cat/999.jpg." in data.notes


def test_corrections_tell_the_sets_apart(tmp_path: Path) -> None:
    """cat/000.jpg is in train/ and in val/."""
    both(tmp_path)
    data = corrected(tmp_path, "path,label\nval/cat/000.jpg,dog\n")
    assert named(data.val)["cat/000.jpg"] == "dog"
    assert named(data.train)["cat/000.jpg"] == "cat"


def test_corrections_that_cannot_be_used(tmp_path: Path) -> None:
    classes(tmp_path, cat=3, dog=3)
    assert message(tmp_path, labels_csv=tmp_path / "no.csv").startswith(f"Cannot read {tmp_path}/no.csv. Got: No such")
    with pytest.raises(DataFolderError, match=r"is not a list of labels. Got: the columns file, class. Expected: path"):
        corrected(tmp_path, "file,class\na,b\n")
    with pytest.raises(DataFolderError, match=r"labels.csv, line 3, names a class that there is not. Got: 'emu'"):
        corrected(tmp_path, "path,label\ncat/000.jpg,dog\ncat/001.jpg,emu\n")
    with pytest.raises(DataFolderError) as caught:
        corrected(tmp_path, "path,label\ncat/000.jpg,dog\ndog/001.jpg,dog\ncat/000.jpg,dog\ncat/000.jpg,\n")
    assert str(caught.value) == (
        f"{tmp_path}/labels.csv, lines 2 and 5, contradict each other on cat/000.jpg. Got: dog and nothing. Expected: "
        "one label for a picture. Remove one of the two lines."
    )
    with pytest.raises(DataFolderError) as caught:
        corrected(tmp_path, "path,label\nimages/cat/0.jpg,dog\n")
    first = read_folder(tmp_path).train.paths[0]
    assert str(caught.value) == (
        f"No row of {tmp_path}/labels.csv names a picture of {tmp_path}. Got: images/cat/0.jpg. "
        f"Expected: paths such as {first}. Write the paths as they are from that folder on."
    )
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        with pytest.raises(DataFolderError) as caught:
            corrected(tmp_path, f"path{mark}label\ncat/000.jpg{mark}dog\n")
        assert str(caught.value) == (
            f"{tmp_path}/labels.csv is separated by {name}. Expected: commas. Save it comma-separated: path,label."
        )
    with pytest.raises(DataFolderError, match="leaves no picture to train on"):
        corrected(tmp_path, "path,label\n" + "".join(f"{n}/{i:03d}.jpg,\n" for n in ("cat", "dog") for i in range(3)))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "a binary file"),
        (b"PK\x03\x04 spreadsheet", "a binary file"),
        ("path,label\n".encode("utf-16"), "UTF-16 text"),
    ],
)
def test_corrections_that_are_no_text(content: bytes, what: str, tmp_path: Path) -> None:
    classes(tmp_path, cat=3, dog=3)
    (tmp_path / "labels.csv").write_bytes(content)
    said = message(tmp_path, labels_csv=tmp_path / "labels.csv")
    assert said.startswith(
        f"{tmp_path}/labels.csv is not a CSV text file. Got: {what}. Expected: lines of text with the columns path and"
    )
    assert said.isprintable()


def test_earlier_corrections_and_new_suspects_become_one_file(tmp_path: Path) -> None:
    classes(tmp_path / "data", cat=4, dog=4)
    (tmp_path / "earlier.csv").write_text("path,label\ncat/000.jpg,dog\ncat/001.jpg,\ndog\\002.jpg,cat\n,\n")
    (tmp_path / "suspects.csv").write_text(
        "path,label,suggested,score\ndog/003.jpg,dog,cat,0.9\ndog/002.jpg,cat,dog,0.8\n"
    )
    merge_corrections(tmp_path / "earlier.csv", tmp_path / "suspects.csv", tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text().splitlines() == [
        "path,label,suggested,score",
        "dog/003.jpg,dog,cat,0.9",
        "dog/002.jpg,cat,dog,0.8",
        "cat/000.jpg,dog,,",
        "cat/001.jpg,,,",
        ",,,",
    ]
    once = read_folder(tmp_path / "data", labels_csv=tmp_path / "earlier.csv")
    again = read_folder(tmp_path / "data", labels_csv=tmp_path / "labels.csv")
    assert (named(again.train), named(again.val)) == (named(once.train), named(once.val))
