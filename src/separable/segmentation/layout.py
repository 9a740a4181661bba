"""Where pictures and masks lie, and which mask belongs to which picture: the one with the same path but its ending."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from separable.data.check_problems import counted
from separable.data.walk import holds_pictures, pictures_below, subfolders
from separable.errors import DataFolderError

__all__ = ["HELD_OUT", "IMAGES", "LAYOUT", "MASKS", "TRAIN", "Paired", "Side", "find_sides", "pair"]

LAYOUT = "images/ with masks/ beside it, or train/ and val/ with both in each; a mask has its picture's name"
IMAGES = ("images", "image", "imgs", "img", "pictures", "jpegimages")
MASKS = ("masks", "mask", "labels", "label", "annotations", "trimaps", "segmentationclass", "segmentations")
TRAIN = ("train", "training")
HELD_OUT = ("val", "valid", "validation", "test", "testing")
_NAMED = 3

Side = tuple[Path, Path]
"""(folder of pictures, folder of masks)."""


@dataclass(frozen=True)
class Paired:
    """Pictures and masks that belong together, paths relative to their folders, and what was left over."""

    images: Path
    masks: Path
    paths: tuple[tuple[str, str], ...]
    """(picture, mask), sorted."""
    without_mask: tuple[str, ...]
    without_picture: tuple[str, ...]
    ambiguous: tuple[str, ...]
    """Pictures with a name that several pictures or several masks have."""
    ambiguous_masks: tuple[str, ...]
    """The masks of those names."""

    def notes(self) -> list[str]:
        """Sentences about what is not used."""
        said = (
            ("picture", "without a mask", self.without_mask),
            ("mask", "without a picture", self.without_picture),
            ("file", "whose name several share", self.ambiguous + self.ambiguous_masks),
        )
        return [f"{counted(len(which), one)} {what} left out: {_some(which)}." for one, what, which in said if which]


def find_sides(root: Path) -> tuple[Side, Side | None]:
    """(training, held out or None), from `images/` and `masks/`, inside or outside of `train/` and `val/`.

    Several names are known for each, in any case; `annotations/trimaps/` of Oxford-Pets is one.

    Raises:
        DataFolderError: there are no such folders.
    """
    folders = _named(root)
    train = next((folders[name] for name in TRAIN if name in folders), None)
    if train is not None and (side := _side(train)) is not None:
        held_out = next((folders[name] for name in HELD_OUT if name in folders), None)
        return side, _side(held_out) if held_out is not None else None
    whole = _side(root)
    if whole is None:
        raise DataFolderError(
            f"{root} is not laid out as pictures with masks",
            got=_listed(folders.values()) + _classes_said(folders) or "no folder in it",
            expected=LAYOUT,
        )
    inside = [_named(folder) for folder in whole]
    parts = [
        next((tuple(one[name] for one in inside) for name in names if all(name in one for one in inside)), None)
        for names in (TRAIN, HELD_OUT)
    ]
    if parts[0] is None:
        return whole, None
    return (parts[0][0], parts[0][1]), (parts[1][0], parts[1][1]) if parts[1] is not None else None


def pair(side: Side) -> Paired:
    """Match every picture below the one folder with the mask below the other.

    Raises:
        DataFolderError: a folder cannot be listed, or nothing matches.
    """
    images, masks = side
    pictures, drawn = (_by_stem(pictures_below(folder).classes[""]) for folder in side)
    both = sorted(pictures.keys() & drawn.keys())
    single = [stem for stem in both if len(pictures[stem]) == len(drawn[stem]) == 1]
    if not single:
        raise DataFolderError(
            f"No mask in {masks} has the name of a picture in {images}",
            got=f"{_examples(pictures)} against {_examples(drawn)}",
            expected="cat_01.jpg with cat_01.png",
            fix="Rename the masks after their pictures",
        )
    several = sorted(set(both) - set(single))
    return Paired(
        images,
        masks,
        tuple((pictures[stem][0], drawn[stem][0]) for stem in single),
        tuple(path for stem in sorted(pictures.keys() - drawn.keys()) for path in pictures[stem]),
        tuple(path for stem in sorted(drawn.keys() - pictures.keys()) for path in drawn[stem]),
        *(tuple(path for stem in several for path in found[stem]) for found in (pictures, drawn)),
    )


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join(f"{name}/" for name in sorted(folder.name for folder in folders)[:8])


def _classes_said(folders: dict[str, Path]) -> str:
    """Where there are folders of pictures instead: what that looks like."""
    train = next((folders[name] for name in TRAIN if name in folders), None)
    classes = list(folders.values()) if train is None else subfolders(train)
    if len(classes) < 2 or not all(holds_pictures(one) for one in classes):
        return ""
    where = f", and {train.name}/ holds {_listed(classes)}" if train is not None else ""
    return f"{where}: that looks like a folder for each class, for one answer a picture"


def _named(folder: Path) -> dict[str, Path]:
    return {path.name.lower(): path for path in subfolders(folder)}


def _side(folder: Path) -> Side | None:
    inside = _named(folder)
    images = next((inside[name] for name in IMAGES if name in inside), None)
    masks = next((inside[name] for name in MASKS if name in inside), None)
    if images is None or masks is None:
        return None
    return images, _named(masks).get("trimaps", masks)


def _by_stem(paths: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(os.path.splitext(path)[0], []).append(path)
    return found


def _examples(found: dict[str, list[str]]) -> str:
    if not found:
        return "no picture file"
    paths = [path for group in found.values() for path in group]
    endings = Counter(os.path.splitext(path)[1] for path in paths)
    return f"{min(paths)} ({counted(len(paths), 'file')}, {', '.join(ending for ending, _ in endings.most_common(2))})"


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
