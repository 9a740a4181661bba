"""ImageNet as it is distributed, made small: three classes, the kit's numbers in another order than the WordNet ids."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from separable.data import imagenet
from separable.data.folder import FolderData, read_folder
from separable.data.imagenet import plain_name
from separable.errors import DataFolderError, MissingExtraError
from tests.data.made import write_empty

IDS = ("n01440764", "n01443537", "n02012849")
WORDS = ("tench, Tinca tinca", "goldfish, Carassius auratus", "crane")
NUMBERS = {"n01440764": 3, "n01443537": 1, "n02012849": 2}
NAMES = ("n01440764, tench", "n01443537, goldfish", "n02012849, crane")
TRUTH = (1, 3, 3, 2, 1, 2)
"""Goldfish, tench, tench, crane, goldfish, crane: 1, 0, 0, 2, 1, 2 by sorted id."""
DEVKIT = "ILSVRC2012_devkit_t12"
BLACKLIST = "ILSVRC2014_clsloc_validation_blacklist.txt"


def write_meta(path: Path) -> None:
    """`synsets` as the kit has it: a struct array of one column, leaves in the order of their numbers, then inner
    nodes with numbers above 1000 and the numbers of their children.
    """
    fields = [
        *("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height"),
        "num_train_images",
    ]
    rows = [
        (number, wnid, WORDS[IDS.index(wnid)], "a gloss, with a comma", 0, np.zeros(0), 0, 1300)
        for wnid, number in sorted(NUMBERS.items(), key=lambda pair: pair[1])
    ]
    rows.append((1001, "n00001740", "entity", "that which is", 2, np.array([1002, 2]), 19, 0))
    rows.append((1002, "n02512053", "fish", "an aquatic vertebrate", 2, np.array([1, 3]), 5, 0))
    synsets = np.zeros((len(rows), 1), dtype=[(name, object) for name in fields])
    for place, row in enumerate(rows):
        synsets[place, 0] = row
    savemat(path, {"synsets": synsets})


def write_devkit(root: Path) -> None:
    data = root / DEVKIT / "data"
    data.mkdir(parents=True)
    write_meta(data / "meta.mat")
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{number}\n" for number in TRUTH))


def write_train(root: Path) -> None:
    write_empty(root / "train", *[f"{wnid}/{wnid}_{i}.JPEG" for wnid in IDS for i in (3, 17, 204)])


def picture(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def write_flat(folder: Path) -> None:
    write_empty(folder, *map(picture, range(1, 7)))


def official(root: Path) -> Path:
    write_devkit(root)
    write_train(root)
    write_flat(root / "val")
    return root


def kaggle(root: Path) -> Path:
    write_train(root / "ILSVRC/Data/CLS-LOC")
    write_flat(root / "ILSVRC/Data/CLS-LOC/val")
    write_empty(root / "ILSVRC/Data/CLS-LOC/test", "ILSVRC2012_test_00000001.JPEG")
    write_empty(root / "ILSVRC/Annotations/CLS-LOC/val", "ILSVRC2012_val_00000001.xml")
    (root / "ILSVRC/ImageSets/CLS-LOC").mkdir(parents=True)
    (root / "LOC_synset_mapping.txt").write_text(
        "".join(f"{wnid} {words}\n" for wnid, words in zip(IDS, WORDS, strict=True))
    )
    ids = {number: wnid for wnid, number in NUMBERS.items()}
    rows = [f"{picture(i).removesuffix('.JPEG')},{ids[n]} 85 1 499 272 " for i, n in enumerate(TRUTH, 1)]
    table = "\n".join(["ImageId,PredictionString", *reversed(rows)])  # in no order, as Kaggle has it
    (root / "LOC_val_solution.csv").write_text(table + "\n")
    return root


def labels(data: FolderData) -> dict[str, int]:
    return dict(zip(data.val.paths, data.val.labels.tolist(), strict=True))


def message(root: Path, *class_names: str) -> str:
    with pytest.raises(DataFolderError) as caught:
        read_folder(root, class_names=class_names or None)
    return str(caught.value)


ALL = {picture(1): 1, picture(2): 0, picture(3): 0, picture(4): 2, picture(5): 1, picture(6): 2}
COUNTED = (
    "The published set has 1,281,167 training pictures; here are 9.",
    "The published set has 50,000 validation pictures; here are 6.",
)
NO_LIST = (
    f"No {BLACKLIST} beside them, by which the papers leave out 1,762 of the 50,000 validation pictures: all count."
)


@pytest.mark.parametrize("folder", ["val", "ILSVRC2012_img_val"])
def test_the_archives_unpacked(tmp_path: Path, folder: str) -> None:
    root = official(tmp_path)
    (root / "val").rename(root / folder)
    data = read_folder(root)
    assert data.class_names == NAMES
    assert labels(data) == ALL
    assert data.val.root == root / folder
    assert len(data.train) == 9
    assert [plain_name(data.class_names[i]) for i in data.train.labels] == ["tench"] * 3 + ["goldfish"] * 3 + [
        "crane"
    ] * 3
    assert all(path.startswith(IDS[i]) for path, i in zip(data.train.paths, data.train.labels, strict=True))
    first = f"ImageNet, labelled by {DEVKIT}: 9 training and 6 validation pictures of 3 classes, in the order of their "
    assert data.notes == (first + "WordNet ids.", NO_LIST, *COUNTED)


def test_what_was_packed_may_lie_beside_it(tmp_path: Path) -> None:
    write_empty(official(tmp_path), "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", f"{DEVKIT}.tar.gz")
    assert labels(read_folder(tmp_path)) == ALL


@pytest.mark.parametrize("named", ["", "ILSVRC", "ILSVRC/Data/CLS-LOC"])
def test_kaggles(tmp_path: Path, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kaggle(tmp_path / "imagenet")
    monkeypatch.setitem(sys.modules, "scipy.io", None)  # which these tables do not need
    data = read_folder(tmp_path / "imagenet" / named)
    assert (data.class_names, labels(data), len(data.train)) == (NAMES, ALL, 9)
    assert data.val.root == tmp_path / "imagenet" / "ILSVRC/Data/CLS-LOC/val"
    assert data.notes[0].startswith("ImageNet, labelled by LOC_val_solution.csv: 9 training and 6 validation pictures")


def place_in_root(root: Path) -> Path:
    return root


def place_in_kit(root: Path) -> Path:
    return root / DEVKIT / "data"


def place_in_later_kit(root: Path) -> Path:
    return root / "ILSVRC2014_devkit" / "data"


@pytest.mark.parametrize("place", [place_in_root, place_in_kit, place_in_later_kit])
@pytest.mark.parametrize("year", [2014, 2017])
def test_the_blacklist_is_left_out(tmp_path: Path, place: Callable[[Path], Path], year: int) -> None:
    folder = place(official(tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    name = BLACKLIST.replace("2014", str(year))
    (folder / name).write_text("2\n5\n")
    data = read_folder(tmp_path)
    assert labels(data) == {path: label for path, label in ALL.items() if path not in (picture(2), picture(5))}
    assert f"2 validation pictures left out, as the papers do, by {name}." in data.notes
    assert data.notes[0].startswith(f"ImageNet, labelled by {DEVKIT}: 9 training and 4 validation pictures")
    assert COUNTED[1] in data.notes, "those left out are there"
    assert not any("The published list" in note for note in data.notes)


def test_a_list_that_was_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(imagenet._COUNTS, "validation", 6)
    monkeypatch.setattr(imagenet, "_BLACKLISTED", 2)
    (official(tmp_path) / BLACKLIST).write_text("2\n")
    assert read_folder(tmp_path).notes[2] == "The published list names 2."
    (tmp_path / BLACKLIST).write_text("2\n5")
    assert len(read_folder(tmp_path).notes) == 3


def test_sorted_into_folders_with_the_blacklist_beside_them(tmp_path: Path) -> None:
    write_train(tmp_path)
    write_empty(tmp_path / "val", *[f"{IDS[label]}/{path}" for path, label in ALL.items()])
    plain = read_folder(tmp_path)
    assert plain.notes == (), "a folder like any other"
    assert plain.class_names == IDS
    (tmp_path / BLACKLIST).write_text("3\n4\n")
    data = read_folder(tmp_path)
    assert labels(data) == {f"{IDS[i]}/{p}": i for p, i in ALL.items() if p not in (picture(3), picture(4))}
    assert data.class_names == IDS
    assert data.notes[0].startswith("ImageNet: 9 training and 4 validation pictures of 3 classes")
    write_devkit(tmp_path)
    assert read_folder(tmp_path).class_names == NAMES
    assert labels(read_folder(tmp_path)) == labels(data)


def test_all_classes_sorted_into_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("separable.data.imagenet._CLASSES", 3)
    write_train(tmp_path)
    write_empty(tmp_path / "val", *[f"{IDS[label]}/{path}" for path, label in ALL.items()])
    data = read_folder(tmp_path)
    assert labels(data) == {f"{IDS[i]}/{path}": i for path, i in ALL.items()}
    assert data.notes[1] == NO_LIST
    for path in (tmp_path / "val").rglob("*.JPEG"):  # folders by WordNet id, of other pictures
        path.rename(path.with_stem(path.stem.replace("ILSVRC2012_val", "mine")))
    assert read_folder(tmp_path).notes == ()


def test_validation_alone_is_enough_to_evaluate(tmp_path: Path) -> None:
    shutil.rmtree(official(tmp_path) / "train")
    for names in ((), NAMES, IDS):
        data = read_folder(tmp_path, class_names=names)
        assert (len(data.train), labels(data)) == (0, ALL)
        assert data.class_names == (names or NAMES)
    write_empty(tmp_path, "ILSVRC2012_img_train.tar")
    assert labels(read_folder(tmp_path, class_names=())) == ALL
    (tmp_path / "ILSVRC2012_img_train.tar").unlink()
    assert message(tmp_path) == (
        f"{tmp_path} holds none of ImageNet's training pictures. Got: no folder train/. Expected: train/ with a folder "
        "a class, such as train/n01440764/."
    )


def test_a_networks_own_names_and_order(tmp_path: Path) -> None:
    official(tmp_path)
    turned = ("n02012849", "n01440764, a fish", "n01443537")
    data = read_folder(tmp_path, class_names=turned)
    assert data.class_names == turned
    assert labels(data) == {path: (1, 2, 0)[label] for path, label in ALL.items()}
    keras = ("tench", "goldfish", "crane")
    data = read_folder(tmp_path, class_names=keras)
    assert tuple(map(plain_name, data.class_names)) == keras
    assert labels(data) == ALL
    refused = message(tmp_path, "cat", "dog", "bird")
    assert refused == (
        f"The classes of {tmp_path} are not the model's. Got: 3 of ImageNet, the first: n01440764, tench. Expected: 3, "
        "the first: cat. Evaluate a model of the 1,000 classes of ILSVRC 2012."
    )
    assert "are not the model's" in message(tmp_path, "goldfish", "tench", "crane")
    assert "are not the model's" in message(tmp_path, *NAMES[:2])


def test_other_pictures_of_the_same_classes(tmp_path: Path) -> None:
    """ImageNet-V2, -A and the like: folders by WordNet id, for a network that was trained on ImageNet."""
    write_empty(tmp_path, *[f"{IDS[1]}/{i}.jpg" for i in range(4)], *[f"{IDS[2]}/{i}.jpg" for i in range(4)])
    data = read_folder(tmp_path, class_names=NAMES)
    assert data.class_names == NAMES
    assert set(data.val.labels.tolist()) == {1, 2}
    assert data.notes == ("Classes without a picture here: n01440764, tench.",)
    write_empty(tmp_path, "n09999999/0.jpg", "n09999999/1.jpg")
    with pytest.raises(DataFolderError, match=r"has classes that the model does not know. Got: n09999999"):
        read_folder(tmp_path, class_names=NAMES)


def test_corrections_and_names_apply(tmp_path: Path) -> None:
    official(tmp_path)
    (tmp_path / "fix.csv").write_text(f'path,label\nval/{picture(1)},"n02012849, crane"\nval/{picture(2)},\n')
    data = read_folder(tmp_path, labels_csv=tmp_path / "fix.csv")
    expected = {**ALL, picture(1): 2}
    del expected[picture(2)]
    assert labels(data) == expected
    assert data.notes[-1] == "Corrected labels: 1 changed, 1 pictures left out."


def test_no_labels(tmp_path: Path) -> None:
    shutil.rmtree(official(tmp_path) / DEVKIT)
    assert message(tmp_path) == (
        f"{tmp_path}/val holds ImageNet's validation pictures without their labels. Got: neither {DEVKIT}/ nor "
        f"LOC_val_solution.csv. Expected: one of these in {tmp_path}. Unpack it there: tar -xzf {DEVKIT}.tar.gz."
    )
    write_empty(tmp_path, f"{DEVKIT}.tar.gz")
    assert f"Got: {DEVKIT}.tar.gz, still packed." in message(tmp_path)


def test_archives(tmp_path: Path) -> None:
    write_empty(tmp_path, "ILSVRC2012_img_val.tar", "ILSVRC2012_img_train.tar")
    assert message(tmp_path) == (
        f"{tmp_path}/ILSVRC2012_img_val.tar is still packed. Expected: pictures. Unpack it: mkdir val && "
        "tar -xf ILSVRC2012_img_val.tar -C val."
    )
    assert "img_val.tar is still packed" in message(tmp_path, *NAMES)
    write_devkit(tmp_path)
    write_flat(tmp_path / "val")
    assert f"{tmp_path}/ILSVRC2012_img_train.tar is still packed." in message(tmp_path)
    write_empty(tmp_path / "train", "n01440764.tar", "n01443537.tar")
    assert message(tmp_path) == (
        f"{tmp_path}/train/n01440764.tar is still packed. Expected: pictures. In train/: for one in *.tar; do "
        'mkdir "${one%.tar}" && tar -xf "$one" -C "${one%.tar}" && rm "$one"; done.'
    )


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (picture(4), "5 pictures and 6 labels; 1 picture missing, the first: ILSVRC2012_val_00000004"),
        ("line", "6 pictures and 5 labels; 1 without a label, the first: ILSVRC2012_val_00000006"),
    ],
)
def test_counts(tmp_path: Path, gone: str, said: str) -> None:
    official(tmp_path)
    truth = tmp_path / DEVKIT / "data" / "ILSVRC2012_validation_ground_truth.txt"
    if gone == "line":
        truth.write_text("".join(f"{number}\r\n" for number in TRUTH[:5]))
        again = f"{DEVKIT} again"
    else:
        (tmp_path / "val" / gone).unlink()
        again = "the pictures again"
    assert message(tmp_path) == (
        f"{tmp_path}/val and {tmp_path}/{DEVKIT} do not belong together. Got: {said}. Expected: a label for every "
        f"picture, 50,000 of both in the published set. Unpack {again}."
    )


def write_bytes(root: Path, path: str, content: bytes) -> None:
    (root / path).write_bytes(content)


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        (
            "ILSVRC2012_validation_ground_truth.txt",
            b"1\n1001\n",
            "line 2, names a class that there is not. Got: 1001. ",
        ),
        ("ILSVRC2012_validation_ground_truth.txt", b"1\nn01\n", "line 2, is no number. Got: 'n01'."),
        ("ILSVRC2012_validation_ground_truth.txt", None, "There is no file "),
        ("meta.mat", b"no MATLAB file" * 20, "meta.mat cannot be read. Got: ValueError: "),
        ("meta.mat", b"", "meta.mat cannot be read. Got: "),
        ("meta.mat", None, "There is no file "),
        (
            BLACKLIST,
            b"2\n50001\n",
            "is about other pictures. Got: 50001. Expected: numbers of validation pictures, from 1",
        ),
        (BLACKLIST, b"\xff\xfe2\x00", "line 1, is no number. "),
    ],
)
def test_damaged_kit(tmp_path: Path, path: str, content: bytes | None, said: str) -> None:
    file = official(tmp_path) / DEVKIT / "data" / path
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    found = message(tmp_path)
    assert said in found
    assert path in found


def test_a_kit_of_something_else(tmp_path: Path) -> None:
    savemat(official(tmp_path) / DEVKIT / "data" / "meta.mat", {"synsets": np.zeros((2, 1))})
    assert "meta.mat cannot be read. Got: " in message(tmp_path)
    savemat(tmp_path / DEVKIT / "data" / "meta.mat", {"other": np.zeros(2)})
    assert "meta.mat cannot be read. Got: KeyError: 'synsets'. Expected: the synsets of ILSVRC 2012." in message(
        tmp_path
    )


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        (
            "LOC_val_solution.csv",
            ("n02012849 85", "n09999999 85"),
            "line 2, names a class that there is not. Got: 'n09999999'",
        ),
        ("LOC_val_solution.csv", ("ILSVRC2012_val_00000006", "cat.jpg"), "line 2, names no picture. Got: 'cat.jpg'."),
        (
            "LOC_val_solution.csv",
            ("n02012849 85 1 499 272 ", ""),
            "line 2, names a class that there is not. Got: none.",
        ),
        ("LOC_val_solution.csv", ("ImageId", "Id"), "is not Kaggle's list of validation pictures"),
        ("LOC_synset_mapping.txt", ("n01443537", "goldfish"), "line 2, names no class. Got: 'goldfish goldfish, Car"),
        ("LOC_synset_mapping.txt", None, "There is no file "),
    ],
)
def test_damaged_tables(tmp_path: Path, table: str, change: tuple[str, str] | None, said: str) -> None:
    file = kaggle(tmp_path) / table
    if change is None:
        file.unlink()
    else:
        file.write_text(file.read_text().replace(*change, 1))
    found = message(tmp_path)
    assert said in found
    assert table in found


def test_classes_that_are_missing_or_strange(tmp_path: Path) -> None:
    official(tmp_path)
    (tmp_path / "train" / IDS[0]).rename(tmp_path / "train" / "n09999999")
    assert message(tmp_path) == (
        f"{tmp_path}/train does not hold ImageNet's classes. Got: 1 unknown: n09999999; 1 missing: n01440764. "
        "Expected: the 3 classes of ILSVRC 2012, by their WordNet ids. "
        "Unpack what is missing; remove what is not ImageNet's."
    )


def test_a_strange_picture(tmp_path: Path) -> None:
    write_empty(official(tmp_path) / "val", "cat.JPEG")
    assert message(tmp_path) == (
        f"{tmp_path}/val holds a picture that is not ImageNet's. Got: cat.JPEG. Expected: names such as "
        "ILSVRC2012_val_00000017.JPEG."
    )
    (tmp_path / "val" / "cat.JPEG").rename(tmp_path / "val" / "notes.txt")
    assert "1 file left out in val/, not pictures by their ending: notes.txt." in read_folder(tmp_path).notes


def test_scipy_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingExtraError) as caught:
        read_folder(official(tmp_path))
    assert str(caught.value) == (
        "Reading meta.mat of ImageNet's development kit needs scipy. Install it with: "
        'pip install "separable[imagenet]".'
    )


def test_training_pictures_alone_are_split(tmp_path: Path) -> None:
    shutil.rmtree(official(tmp_path) / "val")
    data = read_folder(tmp_path)
    assert (len(data.train), len(data.val), data.class_names) == (6, 3, NAMES)
