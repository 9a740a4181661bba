"""Which coding masks have that nobody described: told from every value that occurs in them, or refused."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from separable.data.decode import MAX_PIXELS
from separable.errors import BadPictureError, DataFolderError
from separable.segmentation.classes_file import classes_text
from separable.segmentation.coding import COLOUR, TRANSPARENT, MaskCoding
from separable.segmentation.mask_file import MaskFile

__all__ = ["coding_of", "detect_coding"]

_NAMED = 4
_MOST_INDICES = 64
"""Classes that are believed without a word from anybody; ADE20K has 150, but a photograph has 256 values too."""


def detect_coding(paths: Sequence[str | Path], max_pixels: int = MAX_PIXELS) -> tuple[MaskCoding, str]:
    """`coding_of` all values in the files, and a sentence on what that is.

    Every file is decoded, because a class may be in one of them alone.

    Raises:
        DataFolderError: see `coding_of`; or none of the files can be read.
    """
    counts: Counter[int] = Counter()
    together = False
    for found in _counted(paths, max_pixels):
        counts.update(found)
        together |= 1 in found and 255 in found
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
    coding = coding_of(counts)
    meaning = ", ".join(f"{value} is {coding.class_names[index]}" for value, index in coding.values[:_NAMED])
    more = f" and so on up to {len(coding.class_names) - 1}" if len(coding.values) > _NAMED else ""
    left = sorted(coding.ignored & set(counts))
    ignored = f"; {', '.join(map(str, left))} is ignored" if left else ""
    return coding, f"Read in the masks: {meaning}{more}{ignored}. A classes.yaml in the data folder says otherwise."


def coding_of(counts: Counter[int]) -> MaskCoding:
    """The coding of masks in which these values occur.

    0 and 255 alone: binary. 1, 2 and 3 alone, all of them: an Oxford-Pets trimap. Numbers up to 63: indices, with
    class names 0, 1, 2 and so on, and 255 ignored. Transparent pixels are ignored.

    Raises:
        DataFolderError: colours, or numbers that do not look like indices, which only a `classes.yaml` can explain;
            the message proposes one. Or a single class.
    """
    values = sorted(value for value in counts if value != TRANSPARENT)
    if any(value >= COLOUR for value in values):
        raise _unexplained("The masks have colours, and nothing says what they mean", counts)
    if values in ([0, 255], [255], [0]):
        if values != [0, 255]:
            raise _one_class(values)
        return MaskCoding.binary()
    if values == [1, 2, 3]:
        return MaskCoding.trimap()
    classes = [value for value in values if value != 255]
    if not classes or classes[-1] >= _MOST_INDICES:
        raise _unexplained("The masks have values that do not look like class indices", counts)
    if len(classes) < 2:
        raise _one_class(classes)
    return MaskCoding.indices([str(index) for index in range(classes[-1] + 1)])


def _one_class(values: list[int]) -> DataFolderError:
    return DataFolderError(
        "The masks show one class alone",
        got=f"the value {values[0]} in every pixel" if values else "no labelled pixel",
        expected="at least two classes: a network learns to tell them apart",
    )


def _unexplained(what: str, counts: Counter[int]) -> DataFolderError:
    found = [value for value, _ in counts.most_common() if value != TRANSPARENT]
    if len(found) > _MOST_INDICES:
        return DataFolderError(
            what,
            got=f"{len(found)} different ones",
            expected="a few, one for each class",
            fix="They may be photographs, or masks that were blurred, resized or stored as JPEG: export them again "
            "as PNG without smoothing",
        )
    if any(value >= COLOUR for value in found):
        found = [value if value >= COLOUR else COLOUR + value * 0x010101 for value in found]
    proposal = classes_text([f"class {n}" for n in range(len(found))], found, []).strip()
    return DataFolderError(
        what,
        got=f"{len(found)} different ones",
        fix=f"Put a classes.yaml into the data folder that names them, such as:\n{proposal}\n",
    )


def _counted(paths: Iterable[str | Path], max_pixels: int) -> Iterator[dict[int, int]]:
    """Pixels of each stored value, file by file. What cannot be read is left out: reading it will say so."""
    for path in paths:
        try:
            values, pixels = np.unique(MaskFile(path, max_pixels=max_pixels).values(), return_counts=True)
        except BadPictureError:
            continue
        yield dict(zip(values.tolist(), pixels.tolist(), strict=True))
