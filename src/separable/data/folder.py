"""A folder of pictures as a training and a validation set, and every way that it can be wrong."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from separable.data.corrections import Corrections, read_corrections
from separable.data.imagenet import read_imagenet, with_known_names
from separable.data.splits import HELD_OUT_NAMES, demand_fraction, held_out_count, held_out_first
from separable.data.walk import Found, find_pictures, holds_pictures, subfolders
from separable.errors import DataFolderError

__all__ = ["FolderData", "PictureSet", "demand_folder", "read_folder"]

_NAMED = 10
"""Classes that an error names before it counts the rest."""
_LAYOUT = "one sub-folder of pictures per class, or train/ and val/ with one sub-folder per class each"


@dataclass(frozen=True)
class PictureSet:
    """Files and what they show. `paths` are relative to `root`, in a fixed order; `labels` index `class_names`."""

    root: Path
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def fingerprint(self) -> str:
        """The number of pictures and a hash of their paths and labels, which tells two sets apart; not of their bytes.

        It stands in every checkpoint, so it has to stay what it is.
        """
        digest = hashlib.sha256()
        for path, label in zip(self.paths, self.labels, strict=True):
            digest.update(f"{label} {path}\n".encode(errors="surrogateescape"))
        return f"{len(self.paths)} ({digest.hexdigest()[:16]})"


@dataclass(frozen=True)
class FolderData:
    """What `read_folder` found. `notes` are sentences for a person: what was left out, what looks odd."""

    train: PictureSet
    val: PictureSet
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def read_folder(
    path: str | Path,
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    labels_csv: str | Path | None = None,
) -> FolderData:
    """Read `class/…`, or `train/class/…` with `val/class/…` (also valid, validation, test), or ImageNet.

    Without a held-out folder each class is split by a keyed hash of every picture's path: the same seed holds out the
    same pictures, and a new picture never moves an old one by more than its class's count asks for. Files are not
    opened here; pictures are told by their endings. What is taken as ImageNet is said in `separable.data.imagenet`; it
    alone may come without training pictures, for a network whose classes are given.

    Args:
        path: the folder.
        val_fraction: share of each class that is held out, at least one picture.
        seed: of the split.
        class_names: fixes the classes and their order, as a trained model has them.
        labels_csv: a CSV with the columns path and label that overrides labels; see `separable.data.corrections`.

    Raises:
        DataFolderError: each way the folder can be wrong has its own sentence.
        UsageError: `val_fraction` is not between 0 and 1.
    """
    root = Path(path)
    demand_fraction(val_fraction)
    demand_folder(root, _LAYOUT)
    published = read_imagenet(root, class_names)
    if published is not None:
        found, held_out, names, notes = published.train, published.val, published.names, published.notes
    else:
        found, held_out, names, notes = _read_classes(root, class_names)
    corrections = read_corrections(Path(labels_csv), names, root) if labels_csv is not None else None
    if held_out is None:
        train, val = _split(found.root, found, names, val_fraction, seed)
    else:
        train, val = _as_set(found.root, found, names), _as_set(held_out.root, held_out, names)
    if corrections is not None:
        example = (train.paths or val.paths)[0]
        train, val = _correct(train, corrections), _correct(val, corrections)
        corrections.demand_use(Path(labels_csv or ""), example)
        notes += corrections.notes()
    for part, pictures in (("train", train), ("validate", val)):
        if not len(pictures) and (part == "validate" or published is None):
            raise DataFolderError(f"{root} leaves no picture to {part} on", expected=_LAYOUT)
    return FolderData(train, val, names, tuple(notes))


def _read_classes(
    root: Path, class_names: Sequence[str] | None
) -> tuple[Found, Found | None, tuple[str, ...], list[str]]:
    """Training pictures, those held out by the user, class names, notes."""
    train_root, val_root, notes = _layout(root)
    found = with_known_names(find_pictures(train_root), class_names)
    held_out = with_known_names(find_pictures(val_root), class_names) if val_root is not None else None
    notes += found.notes(root) + (held_out.notes(root) if held_out is not None else [])
    names = _class_names(root, train_root, found, class_names, notes)
    if held_out is not None:
        _demand_known(held_out, names, train_root, held_out.root)
        _note_missing(found, held_out, notes)
    return found, held_out, names, notes


def demand_folder(root: Path, layout: str) -> None:
    """Raise DataFolderError where `root` is no folder that can be listed; `layout` says what it should hold."""
    try:
        if root.is_dir():
            next(root.iterdir(), None)
            return
        exists = root.exists()
    except OSError as error:
        raise DataFolderError(f"Cannot read {root}", got=error.strerror or str(error)) from error
    if exists:
        raise DataFolderError(
            f"{root} is a file, not a folder",
            expected=layout,
            fix="Unpack it first if it is an archive, and name the folder",
        )
    raise DataFolderError(f"There is no folder {root}", expected=layout, fix="Check the path for a typing mistake")


def _layout(root: Path) -> tuple[Path, Path | None, list[str]]:
    """(folder of training classes, folder of held-out classes or None, notes)."""
    folders = {folder.name.lower(): folder for folder in subfolders(root)}
    train = folders.get("train") or folders.get("training")
    # A class may be called "train", as in a set of vehicles: then it holds pictures itself, not classes.
    if train is None or not subfolders(train) or holds_pictures(train):
        return root, None, []
    held_out = next((folders[name] for name in HELD_OUT_NAMES if name in folders), None)
    unused = sorted(f.name for f in folders.values() if f not in (train, held_out))
    notes = [f"Folders beside {train.name}/ left untouched: {', '.join(unused)}."] if unused else []
    if held_out is None:
        notes.append(f"There is no held-out folder beside {train.name}/: a part of it is held out.")
    return train, held_out, notes


def _class_names(
    root: Path, train_root: Path, found: Found, wanted: Sequence[str] | None, notes: list[str]
) -> tuple[str, ...]:
    if not found.classes:
        if found.loose:
            raise DataFolderError(
                f"{train_root} holds pictures but no class folders",
                got=f"{found.loose} pictures directly inside it",
                expected=_LAYOUT,
                fix="Put the pictures of each class into a sub-folder named after the class",
            )
        raise DataFolderError(f"{root} holds no pictures", got=found.summary(), expected=_LAYOUT)
    if wanted is not None:
        names = tuple(wanted)
        _demand_known(found, names, None, train_root)
        absent = sorted(set(names) - set(found.classes))
        if absent:
            notes.append(f"Classes without a picture here: {', '.join(absent)}.")
        return names
    names = tuple(sorted(found.classes))
    if len(names) == 1:
        raise DataFolderError(
            f"{train_root} holds one class",
            got=f"only {names[0]!r}",
            expected="at least two classes: a network learns to tell them apart",
            fix="Add a folder of pictures that show something else",
        )
    return names


def _demand_known(found: Found, names: tuple[str, ...], train_root: Path | None, where: Path) -> None:
    unknown = sorted(set(found.classes) - set(names))
    if not unknown:
        return
    known_by = f"{train_root} lacks" if train_root is not None else "the model does not know"
    raise DataFolderError(
        f"{where} has classes that {known_by}",
        got=", ".join(unknown),
        expected=f"some of {', '.join(names)}",
        fix="Rename or move these folders, so that both sides name the same classes",
    )


def _note_missing(train: Found, held_out: Found, notes: list[str]) -> None:
    absent = sorted(set(train.classes) - set(held_out.classes))
    if absent:
        notes.append(f"Classes without a picture in {held_out.root.name}/: {', '.join(absent)}.")


def _as_set(root: Path, found: Found, names: tuple[str, ...]) -> PictureSet:
    index = {name: i for i, name in enumerate(names)}
    pairs = sorted((path, index[name]) for name, paths in found.classes.items() for path in paths)
    labels = np.array([label for _, label in pairs], dtype=np.int64)
    return PictureSet(root, tuple(path for path, _ in pairs), labels, names)


def _split(
    root: Path, found: Found, names: tuple[str, ...], fraction: float, seed: int
) -> tuple[PictureSet, PictureSet]:
    _demand_two(root, found)
    train, val = Found(root), Found(root)
    for name, paths in found.classes.items():
        ordered = held_out_first(paths, seed)
        count = held_out_count(len(paths), fraction)
        val.classes[name], train.classes[name] = ordered[:count], ordered[count:]
    return _as_set(root, train, names), _as_set(root, val, names)


def _demand_two(root: Path, found: Found) -> None:
    single = sorted(name for name, paths in found.classes.items() if len(paths) < 2)
    if not single:
        return
    expected = "at least two pictures in each class: one to train on and one to validate on"
    if len(single) == 1:
        path = root / found.classes[single[0]][0]
        fix = "Add pictures to it, or move the folder away"
        raise DataFolderError(f"Class {single[0]!r} has one picture", got=str(path), expected=expected, fix=fix)
    shown = ", ".join(single[:_NAMED]) + (f" and {len(single) - _NAMED} more" if len(single) > _NAMED else "")
    fix = "Add pictures to them, or move the folders away"
    raise DataFolderError(f"{len(single)} classes have one picture each", got=shown, expected=expected, fix=fix)


def _correct(pictures: PictureSet, corrections: Corrections) -> PictureSet:
    labels = np.array(
        [
            corrections.label_of(pictures.root, path, int(label))
            for path, label in zip(pictures.paths, pictures.labels, strict=True)
        ],
        dtype=np.int64,
    )
    kept = np.flatnonzero(labels >= 0)
    paths = tuple(pictures.paths[i] for i in kept)
    return PictureSet(pictures.root, paths, labels[kept], pictures.class_names)
