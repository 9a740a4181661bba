"""A folder of pictures with masks as a training and a validation set."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from separable.data.decode import MAX_PIXELS, PictureFile
from separable.data.folder import demand_folder, held_out_first
from separable.errors import DataFolderError, UsageError
from separable.segmentation.classes_file import read_classes
from separable.segmentation.coding import MaskCoding
from separable.segmentation.detect import detect_coding
from separable.segmentation.labels import Mask
from separable.segmentation.layout import LAYOUT, Paired, find_sides, pair
from separable.segmentation.sources import MaskFiles, MaskSource, PictureShape

__all__ = ["PairSet", "PairsData", "read_pairs"]

_CLASSES = "classes.yaml"


@dataclass(frozen=True)
class PairSet:
    """Pictures and where their masks come from. `paths` are relative to `root`, in a fixed order."""

    root: Path
    paths: tuple[str, ...]
    masks: MaskSource
    class_names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        return len(self.paths)

    def fingerprint(self) -> str:
        """The number of pairs and a hash of their paths, which tells two sets apart; not of their bytes."""
        digest = hashlib.sha256()
        for sample, path in enumerate(self.paths):
            digest.update(f"{path} {self.masks.name(sample)}\n".encode(errors="surrogateescape"))
        return f"{len(self.paths)} ({digest.hexdigest()[:16]})"

    def read(
        self, sample: int, *, max_pixels: int = MAX_PIXELS, decoder: str = "auto"
    ) -> tuple[NDArray[np.uint8], Mask]:
        """The picture, (height, width, 3) uint8 RGB, and its mask, (height, width), both as displayed.

        Raises:
            BadPictureError: one of the two cannot be read, or they do not fit each other; the message is the cause.
        """
        file, mask = self.open(sample, max_pixels=max_pixels, decoder=decoder)
        return file.pixels(), mask

    def open(self, sample: int, *, max_pixels: int = MAX_PIXELS, decoder: str = "auto") -> tuple[PictureFile, Mask]:
        """As `read`, with the picture not yet decoded: a crop needs less of it."""
        file = PictureFile(os.path.join(self.root, self.paths[sample]), max_pixels=max_pixels, decoder=decoder)
        return file, self.masks.read(sample, PictureShape(file.size, file.orientation), max_pixels)


@dataclass(frozen=True)
class PairsData:
    """What `read_pairs` found. `notes` are sentences for a person; `paired` is what `check` looks through."""

    train: PairSet
    val: PairSet
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    paired: tuple[Paired, ...] = ()


def read_pairs(
    path: str | Path,
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    coding: MaskCoding | None = None,
    class_names: Sequence[str] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> PairsData:
    """Read `images/` with `masks/`, or those inside of `train/` and `val/`.

    Without held-out pairs, those are held out whose pictures' paths have the lowest keyed hashes.

    Args:
        path: the folder.
        val_fraction: share that is held out, at least one pair.
        seed: of the split.
        coding: what the values in the masks mean. By default `classes.yaml` in the folder says it, or else it is told
            from all values of all masks.
        class_names: names for the classes of that coding, in its order.
        max_pixels: masks with more are not looked at for the coding.

    Raises:
        DataFolderError: each way the folder can be wrong has its own sentence.
        UsageError: `val_fraction` is not between 0 and 1, or the class names are not as many as the classes.
    """
    root = Path(path)
    if not 0 < val_fraction < 1:
        raise UsageError("val_fraction out of range", got=val_fraction, expected="above 0 and below 1")
    demand_folder(root, LAYOUT)
    train_side, val_side = find_sides(root)
    paired = [pair(side) for side in (train_side, val_side) if side is not None]
    notes = [note for one in paired for note in one.notes()]
    coding = _named(coding or _coding(root, paired, max_pixels, notes), class_names)
    if len(paired) == 2:
        train, val = (_as_set(one, one.paths, coding) for one in paired)
    else:
        train, val = _split(paired[0], coding, val_fraction, seed)
    return PairsData(train, val, coding.class_names, tuple(notes), tuple(paired))


def _coding(root: Path, paired: list[Paired], max_pixels: int, notes: list[str]) -> MaskCoding:
    if (root / _CLASSES).exists():
        return read_classes(root / _CLASSES)
    coding, note = detect_coding([one.masks / mask for one in paired for _, mask in one.paths], max_pixels)
    notes.append(note)
    return coding


def _named(coding: MaskCoding, names: Sequence[str] | None) -> MaskCoding:
    if names is None:
        return coding
    if len(names) != len(coding.class_names):
        raise UsageError(
            "The class names do not fit the masks", got=f"{len(names)} names", expected=f"{len(coding.class_names)}"
        )
    return MaskCoding(tuple(names), coding.values, coding.ignored, coding.colours)


def _as_set(paired: Paired, paths: Sequence[tuple[str, str]], coding: MaskCoding) -> PairSet:
    pictures, masks = tuple(picture for picture, _ in paths), tuple(mask for _, mask in paths)
    return PairSet(paired.images, pictures, MaskFiles(paired.masks, masks, coding), coding.class_names, coding.colours)


def _split(paired: Paired, coding: MaskCoding, fraction: float, seed: int) -> tuple[PairSet, PairSet]:
    count = len(paired.paths)
    if count < 2:
        raise DataFolderError(
            f"{paired.images} has one picture with a mask",
            expected="at least two: one to train on and one to validate on",
        )
    order = held_out_first([picture for picture, _ in paired.paths], seed)
    held = set(order[: min(count - 1, max(1, round(count * fraction)))])
    train = [one for one in paired.paths if one[0] not in held]
    return _as_set(paired, train, coding), _as_set(paired, [one for one in paired.paths if one[0] in held], coding)
