"""Pictures and their masks as sets: what is trained on, what is held out."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separable.data.decode import MAX_PIXELS, PictureFile
from separable.data.splits import split_samples
from separable.errors import BadPictureError, DataFolderError
from separable.segmentation.labels import Mask
from separable.segmentation.layout import Paired
from separable.segmentation.sources import JoinedMasks, MaskSource, PictureShape

__all__ = ["PairSet", "PairsData", "joined", "split_pairs"]


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

    def fingerprint(self) -> dict[str, Any]:
        """What tells two sets apart, plain values: the number of `pairs` with a hash of their paths, and which class
        each of the `values` in masks stands for; not what the files hold, see `mask_digests`."""
        digest = hashlib.sha256()
        for sample, path in enumerate(self.paths):
            digest.update(f"{path} {self.masks.name(sample)}\n".encode(errors="surrogateescape"))
        pairs = f"{len(self.paths)} ({digest.hexdigest()[:16]})"
        return {"pairs": pairs, "values": self.masks.meanings()}

    @cached_property
    def mask_digests(self) -> dict[str, str]:
        """By the picture's path a hash of what its mask is made of; empty where one of the two is no picture, or they
        do not fit. Files are read once in the life of this set, and not decoded."""
        return {path: self._digest(sample) for sample, path in enumerate(self.paths)}

    def _digest(self, sample: int) -> str:
        try:
            file = PictureFile(os.path.join(self.root, self.paths[sample]))
            return self.masks.digest(sample, PictureShape(file.size, file.orientation))
        except BadPictureError:
            return ""

    def chosen(self, samples: Sequence[int]) -> "PairSet":
        """The pairs with these numbers alone, in this order."""
        return replace(self, paths=tuple(self.paths[k] for k in samples), masks=self.masks.chosen(samples))

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
    was_whole: bool = False
    """Nobody held anything out, so a part was split off."""


def joined(first: PairSet, second: PairSet) -> PairSet:
    """Both sets as one, of the same classes, with paths from the folder that holds both."""
    root = Path(os.path.commonpath([first.root.absolute(), second.root.absolute()]))
    paths = tuple(
        (part.root.absolute().relative_to(root) / path).as_posix() for part in (first, second) for path in part.paths
    )
    masks = JoinedMasks(first.masks, second.masks, len(first), tuple(range(len(paths))))
    return PairSet(root, paths, masks, first.class_names, first.colours)


def split_pairs(whole: PairSet, fraction: float, seed: int) -> tuple[PairSet, PairSet]:
    """(training, held out): those are held out whose pictures' paths have the lowest keyed hashes, at least one.

    Raises:
        DataFolderError: there is only one pair.
    """
    if len(whole) < 2:
        raise DataFolderError(
            f"{whole.root} has one picture with a mask",
            expected="at least two: one to train on and one to validate on",
        )
    train, val = (whole.chosen(part) for part in split_samples(whole.paths, fraction, seed))
    return train, val
