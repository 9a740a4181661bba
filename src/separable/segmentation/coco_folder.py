"""COCO's instances files as people keep them: one file, one each for training and validation, pictures near them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from separable.data.walk import subfolders
from separable.errors import DataFolderError
from separable.segmentation.coco import read_coco
from separable.segmentation.layout import HELD_OUT, TRAIN
from separable.segmentation.pair_set import PairsData, split_pairs

__all__ = ["CocoFiles", "find_coco", "read_coco_files"]

_ENDINGS = (".json",)
_NAMES = ("instances", "annotations", "_annotations", "coco")
"""How the name of a file begins that is believed to be one in COCO's format, without looking inside."""


@dataclass(frozen=True)
class CocoFiles:
    """The files for training and for validation; without the second, pictures of the first are held out."""

    train: Path
    val: Path | None = None


def find_coco(path: Path) -> CocoFiles | None:
    """The file itself; or in a folder `train/_annotations.coco.json` with `valid/`, `annotations/instances_train*.json`
    with `instances_val*.json`, `instances.json` or `annotations.json`. None where there is nothing of the kind."""
    if path.is_file():
        return CocoFiles(path) if path.suffix.lower() in _ENDINGS else None
    if not path.is_dir():
        return None
    folders = {folder.name.lower(): folder for folder in subfolders(path)}
    train = _first(_in_any(folders, TRAIN))
    if train is not None:
        return CocoFiles(train, _first(_in_any(folders, HELD_OUT)))
    here = _candidates(path) or _candidates(folders.get("annotations"))
    train = _first(_of_part(here, TRAIN))
    if train is not None:
        return CocoFiles(train, _first(_of_part(here, HELD_OUT)))
    return CocoFiles(here[0]) if len(here) == 1 else None


def read_coco_files(files: CocoFiles, val_fraction: float, seed: int, names: Sequence[str] | None) -> PairsData:
    """Both sets, or one that is split as `read_pairs` splits folders.

    Args:
        names: the classes, where others decide on them.

    Raises:
        DataFolderError: as `read_coco`; or the files have other classes.
    """
    whole, notes = read_coco(files.train, _places(files.train))
    if files.val is not None:
        val, more = read_coco(files.val, _places(files.val))
        _demand_classes(files.val, val.class_names, names or whole.class_names)
        train, notes = whole, (*notes, *more)
    else:
        train, val = split_pairs(whole, val_fraction, seed)
    if names is not None:
        _demand_classes(files.train, whole.class_names, names)
    return PairsData(train, val, whole.class_names, notes, was_whole=files.val is None)


def _demand_classes(source: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    if tuple(found) != tuple(expected):
        raise DataFolderError(
            f"{source} has other categories",
            got=", ".join(found),
            expected=f"{', '.join(expected)}, in the order of their ids",
        )


def _places(source: Path) -> list[Path]:
    """Folders that the paths in a file may start from: beside it, or one up where it lies in `annotations/`."""
    near = [source.parent, *(source.parent / name for name in ("images", "data"))]
    up = source.parent.parent
    split = source.stem.rpartition("_")[2]  # instances_train2017.json is about train2017/
    return [*near, up / split, up / "images" / split, up / "images", up]


def _candidates(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _ENDINGS and path.stem.lower().startswith(_NAMES) and path.is_file()
    )


def _in_any(folders: dict[str, Path], names: Sequence[str]) -> list[Path]:
    return [path for name in names for path in _candidates(folders.get(name))]


def _of_part(files: list[Path], names: Sequence[str]) -> list[Path]:
    """Those that say of themselves to be of a part, as instances_train2017.json does, COCO's own objects first."""
    found = [path for path in files if any(word.startswith(tuple(names)) for word in path.stem.lower().split("_"))]
    return sorted(found, key=lambda path: not path.stem.lower().startswith("instances"))


def _first(files: list[Path]) -> Path | None:
    return files[0] if files else None
