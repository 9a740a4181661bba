"""Which coding masks have that nobody described: told from every value that occurs in them, or refused."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from separable.data.check_problems import counted
from separable.data.decode import MAX_PIXELS
from separable.errors import BadPictureError, DataFolderError
from separable.segmentation.classes_file import classes_text
from separable.segmentation.coding import COLOUR, TRANSPARENT, MaskCoding, value_name
from separable.segmentation.mask_file import MaskFile

__all__ = ["coding_of", "detect_coding"]

_NAMED = 4
_MOST_INDICES = 64
"""Classes that are believed without a word from anybody; ADE20K has 150, but a photograph has 256 values too."""
_STRAY_MASKS = 10
"""A value in at most one of so many masks may be a slip."""
_STRAY_PIXELS = 0.01
"""Of all pixels; a value with more is none."""


def detect_coding(paths: Sequence[str | Path], max_pixels: int = MAX_PIXELS) -> tuple[MaskCoding, str]:
    """`coding_of` all values in the files, and a sentence on what that is.

    Every file is decoded, because a class may be in one of them alone.

    Raises:
        DataFolderError: see `coding_of`; or none of the files can be read.
    """
    seen = _Seen()
    together = False
    for path, found in _counted(paths, max_pixels):
        seen.add(path, found)
        together |= 1 in found and 255 in found
    counts = seen.pixels
    if not counts:
        raise DataFolderError(
            "None of the masks can be read",
            got=f"{len(paths)} files, the first: {paths[0] if paths else 'none'}",
            fix="Run `separable check` on the data folder, which names the cause for each",
        )
    if not together and {1, 255} <= set(counts) <= {0, 1, 255, TRANSPARENT}:
        raise DataFolderError(
            "Some masks hold 0 and 1, others 0 and 255, and none both",
            got="255 may be the foreground, or pixels that do not count",
            fix="Put a classes.yaml into the data folder, such as:\n"
            + classes_text(["background", "foreground", "foreground"], [0, 1, 255], []),
        )
    coding = coding_of(counts, seen)
    return replace(coding, told_by_values=True), _meaning(coding, counts)


def _meaning(coding: MaskCoding, counts: Counter[int]) -> str:
    """What was made of the values, and how to say otherwise."""
    names = coding.class_names
    meaning = ", ".join(f"{value} is {names[index]}" for value, index in coding.values[:_NAMED])
    more = f" and so on up to {len(names) - 1}" if len(coding.values) > _NAMED else ""
    left = sorted(coding.ignored & set(counts))
    ignored = f"; {', '.join(map(str, left))} is ignored" if left else ""
    told = f"Read in the masks: {meaning}{more}{ignored}."
    if names != tuple(str(value) for value, _ in coding.values):
        return f"{told} A classes.yaml in the data folder says otherwise."
    example = ", ".join(("background", "cat", "dog")[: len(names)]) + (", ..." if len(names) > 3 else "")
    return f"{told} Name them in a classes.yaml in the data folder, in this order: `classes: [{example}]`."


def coding_of(counts: Counter[int], seen: "_Seen | None" = None) -> MaskCoding:
    """The coding of masks in which these values occur.

    0 and 255 alone: binary. 1, 2 and 3 alone, all of them: an Oxford-Pets trimap. Numbers up to 63: indices, with
    class names 0, 1, 2 and so on, and 255 ignored. Transparent pixels are ignored.

    Args:
        counts: pixels of each value.
        seen: where they are, for the message.

    Raises:
        DataFolderError: colours, or numbers that do not look like indices, which only a `classes.yaml` can explain;
            the message proposes one. Or a single class.
    """
    values = sorted(value for value in counts if value != TRANSPARENT)
    if any(value >= COLOUR for value in values):
        raise _unexplained("The masks have colours, and nothing says what they mean", counts, seen)
    if values in ([0, 255], [255], [0]):
        if values != [0, 255]:
            raise _one_class(values)
        return MaskCoding.binary()
    if values == [1, 2, 3]:
        return MaskCoding.trimap()
    classes = [value for value in values if value != 255]
    if not classes or classes[-1] >= _MOST_INDICES:
        raise _unexplained("The masks have values that do not look like class indices", counts, seen)
    if len(classes) < 2:
        raise _one_class(classes)
    return replace(MaskCoding.indices([str(index) for index in range(classes[-1] + 1)]), ignored_by_default=True)


def _one_class(values: list[int]) -> DataFolderError:
    return DataFolderError(
        "The masks show one class alone",
        got=f"the value {values[0]} in every pixel" if values else "no labelled pixel",
        expected="at least two classes: a network learns to tell them apart",
    )


def _unexplained(what: str, counts: Counter[int], seen: "_Seen | None") -> DataFolderError:
    found = [value for value, _ in counts.most_common() if value != TRANSPARENT]
    strays = seen.strays() if seen is not None else []
    kinds = f"{len(found)} different ones" + (f"; {seen.where(strays)}" if seen is not None and strays else "")
    those = "those masks" if seen is not None and len({seen.first[value] for value in strays}) > 1 else "that mask"
    if len(found) > _MOST_INDICES:
        smooth = "export them again as PNG without smoothing"
        return DataFolderError(
            what,
            got=kinds,
            expected="a few, one for each class",
            fix=f"Mend {those}: it may be a photograph, or blurred, resized or stored as JPEG; {smooth}"
            if strays
            else f"They may be photographs, or masks that were blurred, resized or stored as JPEG: {smooth}",
        )
    if any(value >= COLOUR for value in found):
        found = [value if value >= COLOUR else COLOUR + value * 0x010101 for value in found]
    proposal = classes_text([f"class {n}" for n in range(len(found))], found, []).strip()
    mend = f"Mend {those} if {_names(strays)} is no class of yours; or put" if strays else "Put"
    return DataFolderError(
        what,
        got=kinds,
        fix=f"{mend} a classes.yaml into the data folder that names them, such as:\n{proposal}\n",
    )


def _counted(paths: Iterable[str | Path], max_pixels: int) -> Iterator[tuple[str, dict[int, int]]]:
    """Pixels of each stored value, file by file. What cannot be read is left out: reading it will say so."""
    for path in paths:
        try:
            values, pixels = np.unique(MaskFile(path, max_pixels=max_pixels).values(), return_counts=True)
        except BadPictureError:
            continue
        yield str(path), dict(zip(values.tolist(), pixels.tolist(), strict=True))


class _Seen:
    """Of each stored value its pixels, in how many masks it is, and the first of them."""

    def __init__(self) -> None:
        self.pixels: Counter[int] = Counter()
        self.masks: Counter[int] = Counter()
        self.first: dict[int, str] = {}
        self.count = 0

    def add(self, path: str, found: dict[int, int]) -> None:
        """The values of another mask."""
        self.count += 1
        self.pixels.update(found)
        self.masks.update(found.keys())
        for value in found:
            self.first.setdefault(value, path)

    def strays(self) -> list[int]:
        """Values of few pixels in few masks, the rarest first, where others are in most masks."""
        few, least = self.count // _STRAY_MASKS, sum(self.pixels.values()) * _STRAY_PIXELS
        values = [value for value in self.pixels if value != TRANSPARENT]
        found = [value for value in values if self.masks[value] <= max(1, few) and self.pixels[value] < least]
        return (
            sorted(found, key=lambda value: self.pixels[value]) if self.count > 2 and len(found) < len(values) else []
        )

    def where(self, strays: list[int]) -> str:
        """ "77 occurs only in masks/cat.png, 100 pixels"."""
        masks = sorted({self.first[value] for value in strays})
        several = len(masks) > 1 or any(self.masks[value] > 1 for value in strays)
        pixels = counted(sum(self.pixels[value] for value in strays), "pixel")
        occurs = "occurs" if len(strays) == 1 else "occur"
        more = f" and {len(masks) - _NAMED} more" if len(masks) > _NAMED else ""
        there = (
            f"{', '.join(masks[:_NAMED])}{more}" if len(masks) > 1 or not several else f"few masks, first {masks[0]}"
        )
        return f"{_names(strays)} {occurs} only in {there}, {pixels}"


def _names(values: list[int]) -> str:
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    return ", ".join(value_name(value) for value in values[:_NAMED]) + more
