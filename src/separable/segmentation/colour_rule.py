"""How far colour alone goes: each colour is given one class. What a network is to be held against."""

from collections.abc import Callable, Iterable
from typing import final

import numpy as np
from numpy.typing import NDArray

from separable.segmentation.labels import IGNORE, Mask
from separable.segmentation.scores import PixelCounts, PixelScores

__all__ = ["ColourRule", "fit_colour_rule", "score_rule"]

Pair = tuple[NDArray[np.uint8], Mask]
_BITS = 4  # of each channel: 4096 colours, seen a few thousand times each in a few hundred small pictures
_POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)


@final
class ColourRule:
    """A class for each of 4096 colours; a colour that was never seen is class 0.

    Args:
        table: (4096,) class indices.
    """

    def __init__(self, table: NDArray[np.int16]) -> None:
        self.table = table

    def __call__(self, picture: NDArray[np.uint8]) -> Mask:
        """(height, width, 3) to (height, width)."""
        found: Mask = self.table[_codes(picture)]
        return found


def fit_colour_rule(pairs: Iterable[Pair], num_classes: int) -> ColourRule:
    """The rule whose mean IoU on these pairs is highest, of those that give a colour the class with the most pixels of
    that colour, a class's pixels counting 1 / (its pixels of all colours)^power: 0 is the most frequent class, 1 the
    likeliest were all classes equally frequent.

    Args:
        pairs: pictures (height, width, 3) with their masks.
        num_classes: how many there are.
    """
    seen = np.zeros((1 << 3 * _BITS, num_classes), np.int64)
    for picture, mask in pairs:
        counted = mask != IGNORE
        np.add.at(seen, (_codes(picture)[counted], mask[counted]), 1)
    pixels = np.maximum(seen.sum(axis=0), 1).astype(np.float64)
    rules = [ColourRule((seen / pixels**power).argmax(axis=1).astype(np.int16)) for power in _POWERS]
    # Scores follow from the table: a colour's pixels of each class all go to one class.
    return max(rules, key=lambda rule: _mean_iou(seen, rule.table))


def score_rule(rule: Callable[[NDArray[np.uint8]], Mask], pairs: Iterable[Pair], num_classes: int) -> PixelScores:
    """Of any function from a picture to a mask, over all pairs together, without boundaries."""
    counts = PixelCounts(num_classes, tolerance=None)
    for picture, mask in pairs:
        counts.add(mask, rule(picture))
    return counts.scores()


def _codes(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    high = (picture >> (8 - _BITS)).astype(np.int64)
    codes: NDArray[np.int64] = (high[..., 0] << 2 * _BITS) + (high[..., 1] << _BITS) + high[..., 2]
    return codes


def _mean_iou(seen: NDArray[np.int64], table: NDArray[np.int16]) -> float:
    num_classes = seen.shape[1]
    confusion = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(confusion.T, table, seen)
    right = np.diagonal(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    return float((right[either > 0] / either[either > 0]).mean())
