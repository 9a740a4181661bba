"""COCO's instances file: outlines and run lengths of objects, painted into one mask a picture.

The rule: crowds are painted first, as `IGNORE`; then the objects, from the one with the most pixels to the one with the
fewest, so that a small thing before a large one stays seen; among equals, in the order of the file. An object of
several outlines is all of them together; each outline is filled as `fill` says. Pixels of no object are background.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from separable.data.check_problems import counted
from separable.data.decode import MAX_PIXELS
from separable.errors import BadPictureError, DataFolderError
from separable.segmentation.fill import as_ring, fill
from separable.segmentation.labels import IGNORE, MAX_CLASSES, Mask
from separable.segmentation.pair_set import PairSet
from separable.segmentation.palette import class_colours
from separable.segmentation.rle import counts_from_string, decode_counts
from separable.segmentation.sources import MaskSource, PictureShape

__all__ = ["CocoMasks", "CocoObject", "paint_objects", "read_coco"]

_BACKGROUND = "background"
_LOOKED_FOR = 20
"""Pictures whose files are looked for to find their folder."""
_Row = tuple[str, tuple[int, int], tuple["CocoObject", ...]]


@dataclass(frozen=True)
class CocoObject:
    """An annotation: its class index (0 is the background), its `segmentation` as the file has it, and `iscrowd`."""

    class_index: int
    segmentation: Any
    crowd: bool = False


@final
@dataclass(frozen=True)
class CocoMasks(MaskSource):
    """The objects of every sample, with the (height, width) that the file claims for its picture."""

    source: Path
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    objects: tuple[tuple[CocoObject, ...], ...]

    def read(self, sample: int, picture: PictureShape, max_pixels: int = MAX_PIXELS) -> Mask:
        """See `MaskSource`."""
        self._demand_fit(sample, picture)
        try:
            return paint_objects(self.objects[sample], picture.size)
        except BadPictureError as error:
            raise BadPictureError(f"{self.source.name} has {error.what.rstrip('.')} for it") from error

    def _demand_fit(self, sample: int, picture: PictureShape) -> None:
        (height, width), (wanted_height, wanted_width) = self.sizes[sample], picture.size
        if (height, width) != picture.size:
            turned = " (turned by EXIF)" if picture.orientation >= 5 else ""
            raise BadPictureError(
                f"{self.source.name} has {width}x{height} pixels for it, it has {wanted_width}x{wanted_height}{turned}"
            )

    def name(self, sample: int) -> str:
        """See `MaskSource`."""
        return self.names[sample]

    def meanings(self) -> dict[str, str]:
        """See `MaskSource`: the categories are the classes."""
        return {}

    def digest(self, sample: int, picture: PictureShape) -> str:
        """See `MaskSource`; of its objects, in their order."""
        self._demand_fit(sample, picture)
        return hashlib.sha256(repr(self.objects[sample]).encode(errors="surrogatepass")).hexdigest()[:16]

    def chosen(self, samples: Sequence[int]) -> "CocoMasks":
        """See `MaskSource`."""
        return CocoMasks(
            self.source,
            tuple(self.names[k] for k in samples),
            tuple(self.sizes[k] for k in samples),
            tuple(self.objects[k] for k in samples),
        )


def paint_objects(objects: tuple[CocoObject, ...], size: tuple[int, int]) -> Mask:
    """One mask of (height, width) by the rule above.

    Raises:
        BadPictureError: an outline or run lengths that make no sense.
    """
    mask = np.zeros(size, np.int16)
    regions = [(one, *_cropped(_region(one.segmentation, size))) for one in objects]
    for one, place, region in sorted(regions, key=lambda part: (not part[0].crowd, -int(part[2].sum()))):
        mask[place][region] = IGNORE if one.crowd else one.class_index
    return mask


def _cropped(region: NDArray[np.bool_]) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Where the set pixels are, and that part alone: hundreds of objects of a large picture are held at once."""
    sides = [np.flatnonzero(region.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(int(side[0]), int(side[-1]) + 1) if len(side) else slice(0) for side in sides)
    return (rows, columns), region[rows, columns].copy()


def read_coco(annotations: str | Path, images: str | Path | Sequence[Path]) -> tuple[PairSet, tuple[str, ...]]:
    """Pictures below `images` that the file names, each with its objects, and notes for a person.

    Of several folders it is the first that has one of the first pictures.

    Classes are the background, then the file's categories in the order of their ids. A picture without objects is all
    background. Pictures that the file names and that are not there are left out, with a note.

    Raises:
        DataFolderError: the file cannot be read, is no such file, or names none of the pictures.
    """
    source = Path(annotations)
    content = _load(source)
    categories = {_whole(one, "id", source): one for one in _list(content, "categories", source)}
    names = (_BACKGROUND, *(str(categories[key].get("name", key)) for key in sorted(categories)))
    if len(set(names)) < len(names) or not 2 <= len(names) <= MAX_CLASSES:
        twice = [name for name, count in Counter(names).items() if count > 1]
        raise _bad(
            source, "categories that cannot be classes", f"{len(names) - 1}, twice: {', '.join(twice) or 'none'}"
        )
    index = {key: place for place, key in enumerate(sorted(categories), start=1)}
    objects: dict[int, list[CocoObject]] = {}
    for one in _list(content, "annotations", source):
        category = _whole(one, "category_id", source)
        if category not in index:
            raise _bad(source, "an annotation of a category that it does not list", str(category))
        found = CocoObject(index[category], one.get("segmentation"), bool(one.get("iscrowd", 0)))
        objects.setdefault(_whole(one, "image_id", source), []).append(found)
    pictures = _list(content, "images", source)
    folders = [Path(images)] if isinstance(images, str | Path) else list(images)
    first = [str(one.get("file_name")) for one in pictures[:_LOOKED_FOR]]
    root = next((folder for folder in folders if any((folder / name).is_file() for name in first)), folders[0])
    return _pairs(source, root, pictures, objects, names)


def _pairs(
    source: Path,
    root: Path,
    pictures: list[dict[str, Any]],
    objects: dict[int, list[CocoObject]],
    names: tuple[str, ...],
) -> tuple[PairSet, tuple[str, ...]]:
    rows: list[_Row] = []
    absent: list[_Row] = []
    for one in pictures:
        file = one.get("file_name")
        if not isinstance(file, str) or Path(file).is_absolute() or ".." in Path(file).parts:
            raise _bad(source, "a picture whose file_name is no path below the pictures' folder", repr(file)[:80])
        size = (_whole(one, "height", source), _whole(one, "width", source))
        key = _whole(one, "id", source)
        (rows if (root / file).is_file() else absent).append((file, size, tuple(objects.get(key, ()))))
    if not rows:
        raise DataFolderError(
            f"{root} has none of the pictures that {source} names",
            got=absent[0][0] if absent else "no picture in the file",
            fix="Name the folder that these paths start from",
        )
    rows.sort(key=lambda row: row[0])
    paths = tuple(row[0] for row in rows)
    if len(set(paths)) < len(paths):
        raise _bad(source, "one picture under two ids", next(a for a, b in pairwise(paths) if a == b))
    masks = CocoMasks(source, paths, tuple(row[1] for row in rows), tuple(row[2] for row in rows))
    notes: tuple[str, ...] = ()
    if absent:
        lost = counted(len(absent), f"picture of {source.name} is", f"pictures of {source.name} are")
        notes = (f"{lost} not in {root.name}/, the first: {absent[0][0]}.",)
    return PairSet(root, paths, masks, names, class_colours(len(names))), notes


def _region(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if segmentation.get("size") != [*size]:
            raise BadPictureError(f"run lengths of another size ({segmentation.get('size')})")
        if isinstance(counts, str):
            counts = counts_from_string(counts)
        if not isinstance(counts, list):
            raise BadPictureError("run lengths without counts")
        return decode_counts(counts, size)
    if not isinstance(segmentation, list):
        raise BadPictureError("an object without an outline")
    region = np.zeros(size, bool)
    for flat in segmentation:
        if not isinstance(flat, list) or len(flat) % 2:
            raise BadPictureError("an outline that is not a list of x and y in turn")
        if len(flat) >= 6:  # annotation tools leave points and lines behind; they cover nothing
            region |= fill([as_ring([flat[k : k + 2] for k in range(0, len(flat), 2)])], size)
    return region


def _load(source: Path) -> dict[str, Any]:
    try:
        content = json.loads(source.read_bytes())
    except OSError as error:
        raise DataFolderError(f"Cannot read {source}", got=error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise DataFolderError(f"{source} is not JSON", got=str(error)[:120]) from error
    if not isinstance(content, dict):
        raise _bad(source, "no object at its top", _kind(content))
    return content


def _list(content: dict[str, Any], key: str, source: Path) -> list[dict[str, Any]]:
    entries = content.get(key)
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise _bad(source, f"no list of {key}", _kind(entries))
    return entries


def _whole(entry: dict[str, Any], key: str, source: Path) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _bad(source, f"an entry whose {key} is no whole number", repr(value)[:60])
    return value


def _kind(value: Any) -> str:
    """In JSON's words."""
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return "a list of other things than objects" if value else "an empty list"
    return "an object" if isinstance(value, dict) else json.dumps(value)[:60]


def _bad(source: Path, what: str, got: str) -> DataFolderError:
    return DataFolderError(f"{source} has {what}", got=got, expected="COCO's instances format")
