"""COCO's run lengths: counts of unset and set pixels in turn, down the columns, and their string form.

The format is that of the COCO API (cocodataset/cocoapi, maskApi): each count from the fourth on is stored as its
difference from the one two before it, in groups of 5 bits from the lowest, bit 5 set where more follow, plus 48 as an
ASCII character; the last group's bit 4 is the sign.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separable.errors import BadPictureError

__all__ = ["counts_from_string", "decode_counts", "encode_counts", "string_from_counts"]

_LONGEST = 13  # groups of 5 bits in a number of 64


def decode_counts(counts: Sequence[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of (height, width) are set.

    Raises:
        BadPictureError: the counts are not whole numbers from 0 on that add up to the picture.
    """
    height, width = size
    if not all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= height * width for one in counts):
        raise BadPictureError("run lengths that are not whole numbers within the picture")
    if sum(counts) != height * width:
        raise BadPictureError(f"run lengths of {sum(counts)} pixels for a picture of {width}x{height}")
    runs = np.asarray(counts, np.int64)
    column_by_column = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return column_by_column.reshape(width, height).T


def encode_counts(region: NDArray[np.bool_]) -> list[int]:
    """The inverse of `decode_counts`; the first count is of unset pixels, 0 where the first pixel is set."""
    flat = region.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [len(flat)]])).tolist()
    return [0, *runs] if len(flat) and flat[0] else list(runs)


def counts_from_string(text: str) -> list[int]:
    """Raises:
    BadPictureError: it is not such a string.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64 or shift >= 5 * _LONGEST:
            raise BadPictureError("a string of run lengths that is damaged")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise BadPictureError("a string of run lengths that is cut off")
    return counts


def string_from_counts(counts: Sequence[int]) -> str:
    """The inverse of `counts_from_string`."""
    characters = []
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            group = value & 31
            value >>= 5
            more = value != (-1 if group & 16 else 0)
            characters.append(chr((group | 32 if more else group) + 48))
    return "".join(characters)
