"""Boundary F1: do the outlines lie where they should, within a tolerance in pixels?

After Csurka, Larlus and Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013, with the
counts pooled over the whole set rather than F1 averaged over pictures. Definitions:

* a boundary pixel of class c is a pixel of class c with one of another class above, below, left or right of it; the
  picture's edge and pixels without a label make no boundary, and where the truth has no label the prediction has none;
* a boundary pixel is matched where one of the other mask's boundary of the same class lies within the tolerance,
  centre to centre, Euclidean;
* precision is the matched share of the predicted boundary pixels, recall that of the true ones, F1 their harmonic mean.
"""

import math

import numpy as np
from numpy.typing import NDArray

from separable.analysis.metrics import divide
from separable.errors import UsageError
from separable.segmentation.labels import IGNORE, Mask

__all__ = ["BoundaryCounts", "boundaries", "widened"]

Bits = NDArray[np.bool_]


def boundaries(mask: Mask) -> Bits:
    """Which pixels have another class above, below, left or right of them, (height, width)."""
    known = mask != IGNORE
    down = (mask[1:] != mask[:-1]) & known[1:] & known[:-1]
    across = (mask[:, 1:] != mask[:, :-1]) & known[:, 1:] & known[:, :-1]
    result = np.zeros(mask.shape, bool)
    result[1:] |= down
    result[:-1] |= down
    result[:, 1:] |= across
    result[:, :-1] |= across
    return result


def widened(bits: Bits, distance: float) -> Bits:
    """Every pixel within `distance` of a set one, centre to centre: a dilation by a disc.

    A row at a time of the disc: the pixels within a number of columns are a difference of running sums.
    """
    height, width = bits.shape
    reach = min(int(distance), height - 1)
    squared = math.floor(distance * distance)
    sums = np.zeros((height, width + 1), np.int32)
    np.cumsum(bits, axis=1, out=sums[:, 1:])
    columns = np.arange(width)
    result = np.zeros_like(bits)
    for down in range(-reach, reach + 1):
        side = math.isqrt(squared - down * down)
        last, first = np.minimum(columns + side + 1, width), np.maximum(columns - side, 0)
        rows = sums[max(0, -down) : height - max(0, down)]
        result[max(0, down) : height - max(0, -down)] |= rows[:, last] > rows[:, first]
    return result


class BoundaryCounts:
    """Boundary pixels and matched ones of each class over a set.

    Args:
        num_classes: how many there are.
        tolerance: in pixels, at least 0.
    """

    def __init__(self, num_classes: int, tolerance: float) -> None:
        if not 0 <= tolerance <= 1000:
            raise UsageError("The tolerance of boundaries is out of range", got=tolerance, expected="0 to 1000 pixels")
        self._tolerance = tolerance
        self.counts = np.zeros((4, num_classes), np.int64)
        """Rows: true, true and matched, predicted, predicted and matched."""

    def add(self, truth: Mask, predicted: Mask) -> None:
        """Count one picture."""
        predicted = np.where(truth == IGNORE, np.int16(IGNORE), predicted)
        sides = [(mask, boundaries(mask)) for mask in (truth, predicted)]
        for index in range(self.counts.shape[1]):
            true, guessed = (edge & (mask == index) for mask, edge in sides)
            if true.any() or guessed.any():
                matched = true & widened(guessed, self._tolerance), guessed & widened(true, self._tolerance)
                self.counts[:, index] += [true.sum(), matched[0].sum(), guessed.sum(), matched[1].sum()]

    def merge(self, other: "BoundaryCounts") -> None:
        """Add what another process counted."""
        self.counts += other.counts

    def f1(self) -> NDArray[np.float64]:
        """F1 of each class: NaN where neither side has a boundary, 0 where one has none or nothing matches."""
        true, true_matched, guessed, guessed_matched = self.counts
        recall, precision = divide(true_matched.astype(float), true), divide(guessed_matched.astype(float), guessed)
        # 2 p r / (p + r), from whole numbers as long as possible.
        with np.errstate(invalid="ignore", divide="ignore"):
            f1: NDArray[np.float64] = 2 * precision * recall / (precision + recall)
        one_sided = (true > 0) | (guessed > 0)
        return np.where(one_sided & ~np.isfinite(f1), 0.0, f1)
