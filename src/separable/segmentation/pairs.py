"""A folder of pictures with masks as a training and a validation set."""

from collections.abc import Sequence
from pathlib import Path

from separable.data.decode import MAX_PIXELS
from separable.data.folder import demand_folder
from separable.data.splits import demand_fraction
from separable.data.walk import pictures_below
from separable.errors import DataFolderError, UsageError
from separable.segmentation.classes_file import read_classes
from separable.segmentation.coco_folder import CocoFiles, find_coco, read_coco_files
from separable.segmentation.coding import MaskCoding
from separable.segmentation.detect import detect_coding
from separable.segmentation.layout import LAYOUT, Paired, Side, find_sides, pair
from separable.segmentation.pair_set import PairsData, PairSet, split_pairs
from separable.segmentation.sources import MaskFiles

__all__ = ["PairSet", "PairsData", "demand_pairs", "holds_pairs", "read_pairs"]

_CLASSES = "classes.yaml"


def holds_pairs(path: str | Path) -> bool:
    """Whether `path` is laid out as `read_pairs` takes it; nothing is looked at but names."""
    try:
        demand_pairs(path)
    except DataFolderError:
        return False
    return True


def demand_pairs(path: str | Path) -> None:
    """
    Raises:
        DataFolderError: `path` is not laid out as `read_pairs` takes it.
    """
    _find(Path(path))


def read_pairs(
    path: str | Path,
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    coding: MaskCoding | None = None,
    class_names: Sequence[str] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> PairsData:
    """Read `images/` with `masks/`, or those inside of `train/` and `val/`, or COCO's files as `find_coco` finds them.

    Without held-out pairs, those are held out whose pictures' paths have the lowest keyed hashes.

    Args:
        path: the folder, or COCO's file.
        val_fraction: share that is held out, at least one pair.
        seed: of the split.
        coding: what the values in the masks mean. By default `classes.yaml` in the folder says it, or else it is told
            from all values of all masks.
        class_names: the classes, in their order, as a trained model has them. What `classes.yaml` or COCO's file calls
            by these names is put in this order; numbers and colours without names are taken in their own.
        max_pixels: masks with more are not looked at for the coding.

    Raises:
        DataFolderError: each way the folder can be wrong has its own sentence.
        UsageError: `val_fraction` is not between 0 and 1, or the class names do not fit the classes of `coding`.
    """
    root = Path(path)
    demand_fraction(val_fraction)
    found = _find(root)
    if isinstance(found, CocoFiles):
        if coding is not None:
            raise UsageError("Outlines in COCO's format have no coding of masks", got=f"one for {root}")
        return read_coco_files(found, val_fraction, seed, class_names)
    paired = [pair(side) for side in found if side is not None]
    notes = [note for one in paired for note in one.notes()]
    named = (root / _CLASSES).exists() and coding is None
    coding = coding or _coding(root, paired, max_pixels, notes)
    if class_names is not None:
        coding = _by_name(coding, class_names, root) if named else _in_order(coding, class_names)
    if len(paired) == 2:
        train, val = (_as_set(one, coding) for one in paired)
    else:
        train, val = split_pairs(_as_set(paired[0], coding), val_fraction, seed)
    return PairsData(train, val, coding.class_names, tuple(notes), tuple(paired), was_whole=len(paired) == 1)


def _find(root: Path) -> CocoFiles | tuple[Side, Side | None]:
    coco = find_coco(root)
    if coco is not None and root.is_file():
        return coco
    demand_folder(root, LAYOUT)
    try:
        sides = find_sides(root)
    except DataFolderError:
        if coco is None:
            raise
        return coco
    # `annotations/` is a name for masks, too.
    return sides if coco is None or pictures_below(sides[0][1]).classes[""] else coco


def _coding(root: Path, paired: list[Paired], max_pixels: int, notes: list[str]) -> MaskCoding:
    if (root / _CLASSES).exists():
        coding = read_classes(root / _CLASSES)
        notes += coding.merged()
        return coding
    coding, note = detect_coding([one.masks / mask for one in paired for _, mask in one.paths], max_pixels)
    notes.append(note)
    return coding


def _by_name(coding: MaskCoding, names: Sequence[str], root: Path) -> MaskCoding:
    unknown = [name for name in coding.class_names if name not in names]
    if unknown:
        raise DataFolderError(
            f"{root / _CLASSES} has classes that the model does not know",
            got=", ".join(unknown),
            expected=f"some of {', '.join(names)}",
        )
    return coding.placed(names, [names.index(name) for name in coding.class_names])


def _in_order(coding: MaskCoding, names: Sequence[str]) -> MaskCoding:
    """The names of a coding that nobody wrote down are numbers: they may be fewer, where a class occurs nowhere."""
    known = set(coding.class_names) <= set(names)
    if not known and len(names) != len(coding.class_names):
        raise UsageError(
            "The class names do not fit the masks",
            got=f"{len(names)} names",
            expected=f"{len(coding.class_names)}: {', '.join(coding.class_names[:8])}",
        )
    places = [names.index(name) for name in coding.class_names] if known else list(range(len(names)))
    return coding.placed(names, places)


def _as_set(paired: Paired, coding: MaskCoding) -> PairSet:
    pictures, masks = tuple(picture for picture, _ in paired.paths), tuple(mask for _, mask in paired.paths)
    return PairSet(paired.images, pictures, MaskFiles(paired.masks, masks, coding), coding.class_names, coding.colours)
