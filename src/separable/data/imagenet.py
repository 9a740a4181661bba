"""ImageNet (ILSVRC 2012) as it is distributed: validation pictures in one folder, their labels in a table elsewhere.

Taken are the archives of image-net.org, unpacked beside each other (`train/nXXXXXXXX/`, a flat `val/` or
`ILSVRC2012_img_val/`, `ILSVRC2012_devkit_t12/`), Kaggle's (`ILSVRC/Data/CLS-LOC/` with `LOC_val_solution.csv` and
`LOC_synset_mapping.txt` above it), and validation pictures sorted into folders: of all 1,000 classes, or with one of
these tables or the blacklist beside them. The papers' figures are of the 48,238 pictures that
ILSVRC2014_clsloc_validation_blacklist.txt does not name (1512.00567, section 9; 1610.02357, table 1).

Classes have the order of their WordNet ids, as in the published weights of Keras, timm and torchvision.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from separable.data.check_problems import counted
from separable.data.imagenet_tables import (
    BLACKLIST,
    DEVKIT,
    SOLUTION,
    Tables,
    picture_number,
    read_blacklist,
    read_devkit,
    read_kaggle,
)
from separable.data.walk import PICTURE_ENDINGS, Found, file_names, find_pictures, some_names, subfolders
from separable.errors import DataFolderError

__all__ = ["Published", "plain_name", "read_imagenet", "with_known_names"]

_TRAIN, _VAL = ("train", "ilsvrc2012_img_train"), ("val", "ilsvrc2012_img_val")
_KAGGLE = ("ILSVRC", "Data", "CLS-LOC")
_CLASSES = 1000
_COUNTS = {"training": 1_281_167, "validation": 50_000}
_BLACKLISTED = 1_762
_WNID = re.compile(r"n\d{8}(?![^ ,_])")
_TRAIN_ARCHIVE, _VAL_ARCHIVE = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
_UNPACK_CLASSES = (
    'In train/: for one in *.tar; do mkdir "${one%.tar}" && tar -xf "$one" -C "${one%.tar}" && rm "$one"; done'
)
_ID_BEFORE = re.compile(r"^n\d{8}, ")
_AGREEING = 0.95
"""Share of class names that have to be one of their synsets' words: authors spelt some of the 1,000 in other ways."""


@dataclass(frozen=True)
class Published:
    """Both sets by class, with the names of all classes; `val` is None where only training pictures are there."""

    train: Found
    val: Found | None
    names: tuple[str, ...]
    notes: list[str]


@dataclass(frozen=True)
class _Place:
    """`root` as the user named it, where train and val are, and folders in which tables may lie."""

    root: Path
    train: Path | None
    val: Path | None
    pictures: Path
    tables: tuple[Path, ...]


def read_imagenet(root: Path, class_names: Sequence[str] | None = None) -> Published | None:
    """What a folder of ImageNet holds; None where `root` is no such folder. Pictures are not opened.

    Args:
        root: a folder that can be listed.
        class_names: of a trained network, which fix the names and the order; () where it does not name its classes.
            With them the training pictures need not be there.

    Raises:
        DataFolderError: something is missing, still packed, damaged or of something else; each has its own sentence.
        MissingExtraError: the development kit is to be read, and scipy is not installed.
    """
    place = _find(root)
    blacklist = _listed(place, BLACKLIST)
    flat = place.val is not None and _is_flat(place.val)
    tables = _tables(place)
    packed = _packed(place)
    if tables is None and blacklist is None and not flat and not packed and not _is_sorted(place.val):
        return None
    for path, how in packed:
        if class_names is None or path.name == _VAL_ARCHIVE:
            raise DataFolderError(f"{path} is still packed", expected="pictures", fix=how)
    if flat and tables is None:
        raise _unlabelled(place)
    train = find_pictures(place.train) if place.train is not None else Found(place.pictures)
    val = None if place.val is None else _labelled(place.val, tables) if flat and tables else find_pictures(place.val)
    names = tables.names if tables is not None else {wnid: wnid for wnid in (train.classes or (val or train).classes)}
    _demand_classes(place, train, val, names, needed=class_names is None or val is None)
    notes = train.notes(root) + (val.notes(root) if val is not None else [])
    left_out = 0
    if val is not None and blacklist is not None:
        pictures = sum(map(len, val.classes.values()))
        left_out = _leave_out(val, read_blacklist(blacklist, max(_COUNTS["validation"], pictures)))
    notes += _notes(train, val, tables, len(names), blacklist, left_out)
    chosen = _chosen_names(root, names, class_names)
    renamed = [_renamed(found, dict(zip(sorted(names), chosen, strict=True))) for found in (train, val) if found]
    return Published(renamed[0], renamed[1] if val is not None else None, _in_order(chosen, class_names), notes)


def plain_name(name: str) -> str:
    """What people call a class, without the WordNet id that may stand before it."""
    return _ID_BEFORE.sub("", name)


def with_known_names(found: Found, class_names: Sequence[str] | None) -> Found:
    """Folders called by a WordNet id alone, under the longer names that a network has for the same ids."""
    known = {match[0]: name for name in class_names or () if (match := _WNID.match(name))}
    return _renamed(found, {name: known.get(name, name) for name in found.classes})


def _find(root: Path) -> _Place:
    inside = next((path for path in (root.joinpath(*_KAGGLE), root.joinpath(*_KAGGLE[1:])) if path.is_dir()), root)
    whole = inside.absolute()
    above = tuple(whole.parents[level] for level in (2, 1, 0)) if whole.parts[-3:] == _KAGGLE else ()
    folders = {folder.name.lower(): folder for folder in subfolders(inside)}
    train, val = (next((folders[name] for name in names if name in folders), None) for names in (_TRAIN, _VAL))
    places = [root, *above]
    kits = [folder for place in places for folder in subfolders(place) if "devkit" in folder.name.lower()]
    tables = [*places, *kits, *(folder / "data" for folder in kits)]
    return _Place(root, train, val, inside, tuple(folder for folder in tables if folder.is_dir()))


def _is_flat(folder: Path) -> bool:
    return any(picture_number(name) is not None for name in file_names(folder))


def _is_sorted(val: Path | None) -> bool:
    """Whether these are folders of all 1,000 classes with ImageNet's own validation pictures in them."""
    classes = subfolders(val) if val is not None else []
    by_id = len(classes) == _CLASSES and all(_WNID.fullmatch(folder.name) for folder in classes)
    return by_id and _is_flat(classes[0])


def _tables(place: _Place) -> Tables | None:
    for folder in place.tables:
        if (folder / SOLUTION).is_file():
            return read_kaggle(folder)
    kit = next((folder for folder in place.tables if folder.name.startswith(DEVKIT)), None)
    return read_devkit(kit) if kit is not None else None


def _listed(place: _Place, pattern: re.Pattern[str]) -> Path | None:
    return next((f / name for f in place.tables for name in file_names(f) if pattern.fullmatch(name)), None)


def _packed(place: _Place) -> list[tuple[Path, str]]:
    """Archives whose content is not there, each with the command that unpacks it."""
    train, val = place.root / _TRAIN_ARCHIVE, place.root / _VAL_ARCHIVE
    found = []
    if place.val is None and val.is_file():
        found.append((val, f"Unpack it: mkdir val && tar -xf {val.name} -C val"))
    if place.train is None and train.is_file():
        found.append((train, f"Unpack it: mkdir train && tar -xf {train.name} -C train. {_UNPACK_CLASSES}"))
    if place.train is not None:
        inside = [name for name in file_names(place.train) if re.fullmatch(r"n\d{8}\.tar", name)]
        found += [(place.train / inside[0], _UNPACK_CLASSES)] if inside else []
    return found


def _unlabelled(place: _Place) -> DataFolderError:
    packed = place.root / f"{DEVKIT}.tar.gz"
    return DataFolderError(
        f"{place.val} holds ImageNet's validation pictures without their labels",
        got=f"{packed.name}, still packed" if packed.is_file() else f"neither {DEVKIT}/ nor {SOLUTION}",
        expected=f"one of these in {place.root}",
        fix=f"Unpack it there: tar -xzf {DEVKIT}.tar.gz",
    )


def _labelled(folder: Path, tables: Tables) -> Found:
    """The pictures of a flat folder by their classes.

    Raises:
        DataFolderError: they are not those of the table.
    """
    found, numbers = Found(folder), set()
    for name in file_names(folder):
        number = picture_number(name)
        if number is None and Path(name).suffix.lower() in PICTURE_ENDINGS:
            expected = "names such as ILSVRC2012_val_00000017.JPEG"
            raise DataFolderError(f"{folder} holds a picture that is not ImageNet's", got=name, expected=expected)
        if number is None:
            found.others.append(name)
            continue
        numbers.add(number)
        if number in tables.truth:
            found.classes.setdefault(tables.truth[number], []).append(name)
    if numbers == tables.truth.keys():
        return found
    missing, extra = sorted(tables.truth.keys() - numbers), sorted(numbers - tables.truth.keys())
    strange = f"{counted(len(missing), 'picture')} missing" if missing else f"{len(extra):,} without a label"
    raise DataFolderError(
        f"{folder} and {tables.source} do not belong together",
        got=f"{len(numbers):,} pictures and {len(tables.truth):,} labels; {strange}, the first: "
        f"ILSVRC2012_val_{(missing or extra)[0]:08d}",
        expected=f"a label for every picture, {_COUNTS['validation']:,} of both in the published set",
        fix="Unpack the pictures again" if missing else f"Unpack {tables.source.name} again",
    )


def _demand_classes(place: _Place, train: Found, val: Found | None, names: dict[str, str], *, needed: bool) -> None:
    if needed and not train.classes:
        raise DataFolderError(
            f"{place.root} holds none of ImageNet's training pictures",
            got=f"no picture below {place.train}" if place.train else "no folder train/",
            expected="train/ with a folder a class, such as train/n01440764/",
        )
    for found in (train, val or train):
        if not found.classes:
            continue
        lacking, unknown = sorted(names.keys() - found.classes.keys()), sorted(found.classes.keys() - names.keys())
        if lacking or unknown:
            both = ((unknown, "unknown"), (lacking, "missing"))
            said = [f"{len(one):,} {what}: {some_names(one)}" for one, what in both if one]
            raise DataFolderError(
                f"{found.root} does not hold ImageNet's classes",
                got="; ".join(said),
                expected=f"the {len(names):,} classes of ILSVRC 2012, by their WordNet ids",
                fix="Unpack what is missing; remove what is not ImageNet's",
            )


def _leave_out(val: Found, blacklist: frozenset[int]) -> int:
    """Take the pictures of these numbers out; how many there were."""
    before = sum(map(len, val.classes.values()))
    for wnid, paths in val.classes.items():
        val.classes[wnid] = [path for path in paths if picture_number(path.rpartition("/")[2]) not in blacklist]
    return before - sum(map(len, val.classes.values()))


def _notes(
    train: Found, val: Found | None, tables: Tables | None, classes: int, blacklist: Path | None, left_out: int
) -> list[str]:
    seen, held_out = (sum(map(len, found.classes.values())) if found else 0 for found in (train, val))
    by = f", labelled by {tables.source.name}" if tables is not None else ""
    notes = [
        f"ImageNet{by}: {seen:,} training and {held_out:,} validation pictures of {classes:,} classes, in the order of "
        "their WordNet ids."
    ]
    if blacklist is not None:
        notes.append(f"{counted(left_out, 'validation picture')} left out, as the papers do, by {blacklist.name}.")
    elif val is not None:
        notes.append(
            "No ILSVRC2014_clsloc_validation_blacklist.txt beside them, by which the papers leave out "
            f"{_BLACKLISTED:,} of the {_COUNTS['validation']:,} validation pictures: all count."
        )
    if left_out not in (0, _BLACKLISTED) and held_out + left_out == _COUNTS["validation"]:
        notes.append(f"The published list names {_BLACKLISTED:,}.")
    for count, part in ((seen, "training"), (held_out + left_out, "validation")):
        if count not in (0, _COUNTS[part]):
            notes.append(f"The published set has {_COUNTS[part]:,} {part} pictures; here are {count:,}.")
    return notes


def _chosen_names(root: Path, names: dict[str, str], wanted: Sequence[str] | None) -> list[str]:
    """What to call each class, in the order of the WordNet ids: as `wanted` has it, if it names the same classes."""
    own = [names[wnid] for wnid in sorted(names)]
    if not wanted:
        return own
    by_id = {match[0]: name for name in wanted if (match := _WNID.match(name))}
    if by_id.keys() == names.keys():
        return [by_id[wnid] for wnid in sorted(names)]
    alike = sum(_spelt(one) == _spelt(plain_name(other)) for one, other in zip(wanted, own, strict=False))
    if len(wanted) == len(own) and alike >= _AGREEING * len(own):
        # Some are called alike, such as the two kinds of crane.
        return [f"{wnid}, {name}" for wnid, name in zip(sorted(names), wanted, strict=True)]
    raise DataFolderError(
        f"The classes of {root} are not the model's",
        got=f"{len(own):,} of ImageNet, the first: {own[0]}",
        expected=f"{len(wanted):,}, the first: {wanted[0]}",
        fix="Evaluate a model of the 1,000 classes of ILSVRC 2012",
    )


def _in_order(chosen: list[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """As the network has them, where it has them by these names."""
    return tuple(wanted) if wanted and set(wanted) == set(chosen) else tuple(chosen)


def _spelt(name: str) -> str:
    return name.replace("_", " ").casefold()


def _renamed(found: Found, names: dict[str, str]) -> Found:
    return replace(found, classes={names[wnid]: paths for wnid, paths in found.classes.items()})
