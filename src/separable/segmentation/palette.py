"""Colours of classes: Pascal VOC's palette, which index masks carry everywhere, and names of colours."""

import re
from collections.abc import Sequence

from separable.errors import UsageError

__all__ = ["class_colours", "colour_name", "distinct_colours", "parse_colour"]

Colour = tuple[int, int, int]

_APART = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115),
    (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""Okabe and Ito's palette (Color Universal Design, 2008), which stays apart without colour vision."""


def class_colours(count: int) -> tuple[Colour, ...]:
    """Pascal VOC's colours (Everingham et al., VOC2012 development kit, `VOClabelcolormap`): 0 is black.

    Bit 3k + c of the index becomes bit 7 - k of channel c, so that neighbours differ most. 256 colours, then again.
    """
    return tuple(_colour(index % 256) for index in range(count))


def distinct_colours(colours: Sequence[Colour]) -> tuple[Colour, ...]:
    """For eyes: `colours` as somebody chose them; where nobody did and there are up to eight, ones that eyes without
    colour vision tell apart too, which Pascal VOC's dark red on black are not."""
    chosen = tuple(colours)
    if len(chosen) <= len(_APART) and chosen == class_colours(len(chosen)):
        return _APART[: len(chosen)]
    return chosen


def _colour(index: int) -> Colour:
    red, green, blue = (sum((index >> 3 * bit + channel & 1) << 7 - bit for bit in range(8)) for channel in range(3))
    return red, green, blue


def colour_name(code: int) -> str:
    """0xff8000 -> "#ff8000"."""
    return f"#{code:06x}"


def parse_colour(value: object) -> Colour:
    """ "#ff8000", or a list of three numbers from 0 to 255.

    Raises:
        UsageError: anything else.
    """
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        code = int(value[1:], 16)
        return code >> 16, code >> 8 & 255, code & 255
    if isinstance(value, list | tuple) and len(value) == 3 and all(_is_byte(part) for part in value):
        return value[0], value[1], value[2]
    raise UsageError("Not a colour", got=repr(value)[:60], expected='"#rrggbb" or [red, green, blue] from 0 to 255')


def _is_byte(part: object) -> bool:
    return isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255
