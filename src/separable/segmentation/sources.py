"""Where the masks of a set come from: files beside the pictures, or outlines in one file."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from separable.data.decode import MAX_PIXELS
from separable.errors import BadPictureError
from separable.segmentation.coding import MaskCoding, value_name
from separable.segmentation.labels import Mask
from separable.segmentation.mask_file import MaskFile

__all__ = ["JoinedMasks", "MaskFiles", "MaskSource", "PictureShape"]


@dataclass(frozen=True)
class PictureShape:
    """What a mask's reader has to know of its picture: (height, width) as displayed, and its EXIF orientation."""

    size: tuple[int, int]
    orientation: int = 1


class MaskSource(ABC):
    """The masks of a set, by sample. What is read fits the picture, or is refused with a cause."""

    @abstractmethod
    def read(self, sample: int, picture: PictureShape, max_pixels: int = MAX_PIXELS) -> Mask:
        """The mask, (height, width) of the picture as displayed.

        Raises:
            BadPictureError: with a short cause.
        """

    @abstractmethod
    def name(self, sample: int) -> str:
        """What to call the mask, in messages and in fingerprints."""

    @abstractmethod
    def meanings(self) -> dict[str, str]:
        """What each stored value stands for, "ignored" among the classes; nothing where no values are stored."""

    @abstractmethod
    def digest(self, sample: int, picture: PictureShape) -> str:
        """A hash of what the mask is made of, without decoding it.

        Raises:
            BadPictureError: it is no mask, or does not fit the picture.
        """

    @abstractmethod
    def chosen(self, samples: Sequence[int]) -> "MaskSource":
        """The masks of these samples alone, in this order."""


@final
@dataclass(frozen=True)
class MaskFiles(MaskSource):
    """One file a picture. `paths` are relative to `root`, in the order of the set."""

    root: Path
    paths: tuple[str, ...]
    coding: MaskCoding

    def read(self, sample: int, picture: PictureShape, max_pixels: int = MAX_PIXELS) -> Mask:
        """See `MaskSource`."""
        try:
            file = MaskFile(self.root / self.paths[sample], max_pixels=max_pixels)
            _demand_fit(file, picture)
            return self.coding.decode(file.values(colours=self.coding.by_colour))
        except BadPictureError as error:
            raise BadPictureError(f"its mask {self.paths[sample]}: {error.what.rstrip('.')}") from error

    def name(self, sample: int) -> str:
        """See `MaskSource`."""
        return self.paths[sample]

    def meanings(self) -> dict[str, str]:
        """See `MaskSource`."""
        coding = self.coding
        ignored = {value_name(value): "ignored" for value in sorted(coding.ignored)}
        return ignored | {value_name(value): coding.class_names[index] for value, index in sorted(coding.values)}

    def digest(self, sample: int, picture: PictureShape) -> str:
        """See `MaskSource`; of the file's bytes."""
        path = self.root / self.paths[sample]
        _demand_fit(MaskFile(path), picture)
        try:
            with path.open("rb") as handle:
                return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
        except OSError as error:
            raise BadPictureError(error.strerror or str(error)) from error

    def chosen(self, samples: Sequence[int]) -> "MaskFiles":
        """See `MaskSource`."""
        return replace(self, paths=tuple(self.paths[k] for k in samples))


@final
@dataclass(frozen=True)
class JoinedMasks(MaskSource):
    """Those of two sets: `places` below `count` are samples of the first, the others, less `count`, of the second."""

    first: MaskSource
    second: MaskSource
    count: int
    places: tuple[int, ...]

    def read(self, sample: int, picture: PictureShape, max_pixels: int = MAX_PIXELS) -> Mask:
        """See `MaskSource`."""
        source, own = self._place(sample)
        return source.read(own, picture, max_pixels)

    def name(self, sample: int) -> str:
        """See `MaskSource`."""
        source, own = self._place(sample)
        return source.name(own)

    def meanings(self) -> dict[str, str]:
        """See `MaskSource`; the first set's word where both have one."""
        return self.second.meanings() | self.first.meanings()

    def digest(self, sample: int, picture: PictureShape) -> str:
        """See `MaskSource`."""
        source, own = self._place(sample)
        return source.digest(own, picture)

    def chosen(self, samples: Sequence[int]) -> "JoinedMasks":
        """See `MaskSource`."""
        return replace(self, places=tuple(self.places[k] for k in samples))

    def _place(self, sample: int) -> tuple[MaskSource, int]:
        place = self.places[sample]
        return (self.first, place) if place < self.count else (self.second, place - self.count)


def _demand_fit(file: MaskFile, picture: PictureShape) -> None:
    if file.size == picture.size:
        return
    turned = (picture.orientation >= 5) != (file.orientation >= 5)
    if turned and file.size == picture.size[::-1]:
        which = (
            "the picture is turned by EXIF and the mask is not"
            if picture.orientation >= 5
            else ("the mask is turned by EXIF and the picture is not")
        )
        raise BadPictureError(f"{which}: turn the pixels of both for good")
    (height, width), (wanted_height, wanted_width) = file.size, picture.size
    raise BadPictureError(f"{width}x{height} pixels, the picture has {wanted_width}x{wanted_height}")
