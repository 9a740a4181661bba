"""Files that `separable predict` writes of masks: index PNGs, overlays, and outlines of all pictures in one file."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, final

import numpy as np

from separable.errors import BadPictureError, UsageError
from separable.files import atomic_path, make_directory
from separable.runtime.mask_rows import MaskStrip
from separable.segmentation.labels import Mask, background_of
from separable.segmentation.overlay_strips import OverlayStrips
from separable.segmentation.png_writer import index_png, rgb_png
from separable.segmentation.vector import Region, coco_annotations, coco_categories, geojson_features, regions

__all__ = ["ENDINGS", "OutlineFile", "demand_ending", "mask_file", "outline_file", "overlay_file"]

Colours = Sequence[tuple[int, int, int]]
Sink = Callable[[MaskStrip], None]
ENDINGS = (".geojson", ".json")
_MOST_PIXELS = 1 << 27
_MOST_EDGES = 4_000_000
"""Pixel edges between two classes: following them takes hundreds of bytes each."""


def demand_ending(path: Path) -> None:
    """Find out before the work whether outlines can be written to `path`.

    Raises:
        UsageError: an ending that is not known.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"Cannot tell the format of {path}", expected="a name that ends in .geojson, or in .json for COCO"
        )


@contextmanager
def mask_file(path: Path, size: tuple[int, int], colours: Colours) -> Iterator[Sink]:
    """An index PNG, by strips."""
    make_directory(path.parent)
    with index_png(path, size, colours) as add:
        yield lambda strip: add(strip.mask)


@contextmanager
def overlay_file(path: Path, size: tuple[int, int], colours: Colours, background: int | None) -> Iterator[Sink]:
    """A PNG of the picture under its mask, by strips that have its pixels."""
    make_directory(path.parent)
    with rgb_png(path, size) as add:
        strips = OverlayStrips(add, colours, background)

        def take(strip: MaskStrip) -> None:
            assert strip.pixels is not None
            strips.add(strip.pixels, strip.mask)

        yield take
        strips.finish()


@contextmanager
def outline_file(path: Path | None, class_names: Sequence[str]) -> Iterator["OutlineFile | None"]:
    """GeoJSON or COCO by the ending of the name, written as the pictures come; there at the end of the block."""
    if path is None:
        yield None
        return
    make_directory(path.parent)
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii") as file:
        outlines = OutlineFile(file, class_names, coco=path.suffix.lower() == ".json")
        yield outlines
        outlines.finish()


@final
class OutlineFile:
    """One document of all pictures' regions. Features of GeoJSON have the property `picture`."""

    def __init__(self, file: TextIO, class_names: Sequence[str], coco: bool) -> None:
        self._file, self._names, self._coco = file, class_names, coco
        self._background = background_of(class_names)
        self._categories = coco_categories(class_names, self._background)
        self._images: list[dict[str, Any]] = []
        self._count = 0
        file.write('{"annotations": [' if coco else '{"type": "FeatureCollection", "features": [')

    @staticmethod
    def demand_size(size: tuple[int, int]) -> None:
        """Outlines need the whole mask.

        Raises:
            BadPictureError: it would be too large.
        """
        if size[0] * size[1] > _MOST_PIXELS:
            raise BadPictureError(f"too large for outlines: {size[1]}x{size[0]} pixels; leave --outlines out")

    def trace(self, mask: Mask) -> list[Region]:
        """The regions of a picture.

        Raises:
            BadPictureError: so many that no memory could hold their outlines.
        """
        edges = int(np.count_nonzero(mask[1:] != mask[:-1])) + int(np.count_nonzero(mask[:, 1:] != mask[:, :-1]))
        if edges > _MOST_EDGES:
            raise BadPictureError(f"too ragged for outlines: {edges:,} pixel edges; leave --outlines out")
        return regions(mask, background=self._background)

    def add(self, name: str, size: tuple[int, int], parts: Sequence[Region]) -> None:
        """Write the regions of a picture of (height, width)."""
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "file_name": name, "height": size[0], "width": size[1]})
        if self._coco:
            found = coco_annotations(parts, size, image_id, self._categories, first_id=self._count + 1)
        else:
            found = geojson_features(parts, self._names, picture=name)
        for one in found:
            self._file.write(("\n" if self._count == 0 else ",\n") + json.dumps(one))
            self._count += 1

    def finish(self) -> None:
        """What follows the last region."""
        self._file.write("\n]")
        if self._coco:
            categories = [{"id": number, "name": self._names[index]} for index, number in self._categories.items()]
            self._file.write(f',\n"images": {json.dumps(self._images)},\n"categories": {json.dumps(categories)}')
        self._file.write("}\n")
