"""How the values in mask files stand for classes: indices, 0/255, trimaps, colours."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from separable.errors import BadPictureError, UsageError
from separable.segmentation.labels import IGNORE, MAX_CLASSES, Mask
from separable.segmentation.palette import class_colours, colour_name

__all__ = ["COLOUR", "TRANSPARENT", "MaskCoding", "value_name"]

COLOUR = 1 << 24
"""A colour (r, g, b) is the value COLOUR + r * 65536 + g * 256 + b, so that it never equals a number."""
TRANSPARENT = -1
"""The stored value of a pixel whose alpha is 0: nobody labelled it, so it is always ignored."""
_NAMED = 6
_UNSEEN = -2


@dataclass(frozen=True)
class MaskCoding:
    """Which stored value means which class. Every other value makes a mask unreadable: nothing is guessed.

    A stored value is a number of a one-channel file (a palette's index, not its colour), or a colour as `COLOUR` says.
    """

    class_names: tuple[str, ...]
    values: tuple[tuple[int, int], ...]
    """(stored value, class index); several values may mean one class. A class without any occurs in no mask."""
    ignored: frozenset[int] = frozenset({255})
    """Stored values that become `IGNORE`, unless they stand for a class."""
    colours: tuple[tuple[int, int, int], ...] = field(default=())
    """What each class looks like in pictures for people; by default the palette of `palette.class_colours`."""
    ignored_by_default: bool = field(default=False, compare=False)
    """Nobody said what is ignored."""
    told_by_values: bool = field(default=False, compare=False)
    """Nobody said what the classes are."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.class_names) <= MAX_CLASSES:
            raise UsageError("A mask coding needs classes", got=len(self.class_names), expected=f"1 to {MAX_CLASSES}")
        stored = [value for value, _ in self.values]
        if len({value >= COLOUR for value in (*stored, *self.ignored)}) > 1 or any(value < 0 for value in stored):
            raise UsageError("The classes of masks are told by numbers or by colours, not by both")
        if len(set(stored)) < len(stored):
            twice = next(value for value in stored if stored.count(value) > 1)
            raise UsageError("A value in masks stands for two classes", got=value_name(twice))
        if not stored or any(not 0 <= index < len(self.class_names) for _, index in self.values):
            raise UsageError("Every value of a mask coding needs a class")
        if not self.colours:
            object.__setattr__(self, "colours", class_colours(len(self.class_names)))

    @classmethod
    def indices(cls, class_names: Sequence[str], ignored: frozenset[int] = frozenset({255})) -> "MaskCoding":
        """The value is the class."""
        return cls(tuple(class_names), tuple((index, index) for index in range(len(class_names))), ignored)

    @classmethod
    def binary(cls, class_names: Sequence[str] = ("background", "foreground")) -> "MaskCoding":
        """0 and 255; nothing is ignored."""
        return cls(tuple(class_names), ((0, 0), (255, 1)), frozenset())

    @classmethod
    def trimap(cls, class_names: Sequence[str] = ("background", "pet")) -> "MaskCoding":
        """Oxford-IIIT Pet: 1 the animal, 2 the background, 3 the border between them, which is ignored."""
        return cls(tuple(class_names), ((2, 0), (1, 1)), frozenset({3}))

    def placed(self, names: Sequence[str], places: Sequence[int]) -> "MaskCoding":
        """The same masks with the classes `names`: class k becomes class `places[k]`, the others occur nowhere."""
        colours = list(class_colours(len(names)))
        for place, colour in zip(places, self.colours, strict=True):
            colours[place] = colour
        values = tuple((value, places[index]) for value, index in self.values)
        return replace(self, class_names=tuple(names), values=values, colours=tuple(colours))

    def merged(self) -> list[str]:
        """A sentence on each class that several values stand for."""
        words = ("No", "One", "Two", "Three", "Four")
        found = []
        for index, name in enumerate(self.class_names):
            values = [value_name(value) for value, place in self.values if place == index]
            if len(values) > 1:
                count = words[len(values)] if len(values) < len(words) else str(len(values))
                more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
                found.append(f"{count} values are merged into {name}: {', '.join(values[:_NAMED])}{more}.")
        return found

    def decode(self, stored: NDArray[np.int32]) -> Mask:
        """Stored values (height, width) to class indices.

        Raises:
            BadPictureError: there are values that mean nothing; they are named.
        """
        mask = self._look_up(stored) if self.by_colour else self._table[np.minimum(stored, len(self._table) - 2) + 1]
        if (mask == _UNSEEN).any():
            raise BadPictureError(self._unseen(stored[mask == _UNSEEN]))
        return mask

    @cached_property
    def by_colour(self) -> bool:
        """Whether the classes are told by colours: files are then read as `MaskFile.values` does with `colours`."""
        return any(value >= COLOUR for value, _ in self.values)

    @cached_property
    def _known(self) -> dict[int, int]:
        return {**dict.fromkeys({TRANSPARENT, *self.ignored}, IGNORE), **dict(self.values)}

    @cached_property
    def _table(self) -> Mask:
        """Class by stored value + 1; the last entry is for everything above."""
        table = np.full(max(self._known) + 3, _UNSEEN, np.int16)
        for value, index in self._known.items():
            table[value + 1] = index
        return table

    def _look_up(self, stored: NDArray[np.int32]) -> Mask:
        keys = np.array(sorted(self._known), np.int32)
        classes = np.array([self._known[int(key)] for key in keys], np.int16)
        at = np.minimum(np.searchsorted(keys, stored), len(keys) - 1)
        return np.where(keys[at] == stored, classes[at], np.int16(_UNSEEN))

    def _unseen(self, values: NDArray[np.int32]) -> str:
        found, counts = np.unique(values, return_counts=True)
        first = ", ".join(value_name(int(found[i])) for i in np.argsort(-counts, kind="stable")[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        blurred = (
            "; so many look like a mask that was blurred, resized or stored as JPEG" if len(found) > _NAMED else ""
        )
        return f"values that no class has: {first}{more}, in {values.size} pixels{blurred}"


def value_name(value: int) -> str:
    """7 -> "7", COLOUR + 0xff0000 -> "#ff0000"."""
    return str(value) if value < COLOUR else colour_name(value - COLOUR)
