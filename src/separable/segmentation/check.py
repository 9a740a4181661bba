"""Look at every pair before training on it: can both be read, do they fit, would they mislead?

Of the pictures it says what `data.check` says of pictures without masks.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from separable.data.check_copies import copy_problems
from separable.data.check_pictures import picture_problems
from separable.data.check_problems import Limits, Survey
from separable.data.check_processes import Scan, scan_all
from separable.data.check_report import CheckReport
from separable.data.check_scan import PictureFacts, scan_picture
from separable.data.decode import MAX_PIXELS, PictureFile
from separable.errors import BadPictureError
from separable.segmentation.check_facts import PairFacts
from separable.segmentation.check_ignored import ignored_notes
from separable.segmentation.check_masks import class_counts, mask_problems
from separable.segmentation.coding import MaskCoding
from separable.segmentation.labels import IGNORE
from separable.segmentation.mask_file import MaskFile
from separable.segmentation.pair_set import PairsData, PairSet
from separable.segmentation.sources import MaskFiles

__all__ = ["check_pairs", "scan_pair"]


def scan_pair(pairs: PairSet, sample: int, max_pixels: int = MAX_PIXELS, *, decode: bool = True) -> PairFacts:
    """Read a mask completely, and its picture, unless `decode` is False. Never raises for what the files hold: that
    becomes `cause`."""
    path = pairs.paths[sample]
    turned = False
    values: tuple[tuple[int, int], ...] = ()
    try:
        file, mask = pairs.open(sample, max_pixels=max_pixels)
        if isinstance(pairs.masks, MaskFiles):
            stored = MaskFile(pairs.masks.root / pairs.masks.paths[sample], max_pixels=max_pixels)
            turned = _ambiguous(file, stored)
            if (mask == IGNORE).any():
                values = _ignored_values(stored, pairs.masks.coding)
        if decode:
            file.pixels()
    except BadPictureError as error:
        return PairFacts(path, cause=error.what.rstrip("."))
    except MemoryError:
        return PairFacts(path, cause="needs more memory than there is")
    counts = np.bincount(mask[mask != IGNORE], minlength=len(pairs.class_names))
    return PairFacts(path, None, tuple(counts.tolist()), int((mask == IGNORE).sum()), turned, ignored_values=values)


def check_pairs(
    data: PairsData,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    limits: Limits | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CheckReport:
    """Decode every picture and its mask once, and report what is wrong with the pictures, with the masks, and with
    how they fit.

    Args:
        data: what `read_pairs` returned.
        workers: processes to decode in; 0 decodes here. The report is the same.
        progress: called with (pairs done, pairs in all).
        limits: from where on something is said of the pictures.
        max_pixels: a picture or mask with more counts as unreadable, as in training.
    """
    root = _root(data)
    total, shown = len(data.train) + len(data.val), [*_shown(root, data.train), *_shown(root, data.val)]
    singles = (part.chosen([sample]) for part in (data.train, data.val) for sample in range(len(part)))
    found = scan_all(_PairScan(max_pixels), singles, total, workers, progress)
    survey = Survey(
        class_names=("",),
        paths=tuple(shown),
        labels=np.zeros(total, np.int64),
        held_out=np.repeat([False, True], [len(data.train), len(data.val)]),
        facts=tuple(picture for picture, _ in found),
        limits=limits or Limits(),
    )
    pairs = [replace(one, path=path) for (_, one), path in zip(found, shown, strict=True)]
    problems = (
        *mask_problems(data, pairs, root),
        *copy_problems(survey),
        *picture_problems(survey),
    )
    unusable = [
        sum(one.cause is not None for one in part) for part in (pairs[: len(data.train)], pairs[len(data.train) :])
    ]
    return CheckReport(
        root,
        survey,
        problems,
        (*data.notes, *ignored_notes(data, pairs)),
        class_counts(data, pairs),
        told=tuple(note for one in data.paired for note in one.notes()),
        unusable=(unusable[0], unusable[1]),
    )


@final
@dataclass(frozen=True)
class _PairScan(Scan[PairSet, tuple[PictureFacts, PairFacts]]):
    """Of sets of one pair each."""

    max_pixels: int

    def __call__(self, item: PairSet) -> tuple[PictureFacts, PairFacts]:
        path = item.paths[0]
        picture = scan_picture(item.root / path, self.max_pixels)
        if picture.cause is not None:
            return picture, PairFacts(path, picture.cause.rstrip("."), of_picture=True)
        return picture, scan_pair(item, 0, self.max_pixels, decode=False)

    def lost(self, item: PairSet, cause: str) -> tuple[PictureFacts, PairFacts]:
        return PictureFacts(0, cause=cause), PairFacts(item.paths[0], cause, of_picture=True)


def _root(data: PairsData) -> Path:
    """The folder that holds all of it."""
    folders = [data.train.root, data.val.root, *(one.masks for one in data.paired)]
    return Path(os.path.commonpath([folder.absolute() for folder in folders]))


def _shown(root: Path, part: PairSet) -> Iterator[str]:
    inside = part.root.absolute().relative_to(root)
    return ((inside / path).as_posix() for path in part.paths)


def _ambiguous(file: PictureFile, mask: MaskFile) -> bool:
    if file.orientation == mask.orientation:
        return False
    height, width = file.size
    # A quarter turn of a picture that is not square shows in its size, and the sizes fit.
    return height == width or (file.orientation >= 5) == (mask.orientation >= 5)


def _ignored_values(mask: MaskFile, coding: MaskCoding) -> tuple[tuple[int, int], ...]:
    values, counts = np.unique(mask.values(colours=coding.by_colour), return_counts=True)
    known = {value for value, _ in coding.values}
    return tuple((v, n) for v, n in zip(values.tolist(), counts.tolist(), strict=True) if v not in known)
