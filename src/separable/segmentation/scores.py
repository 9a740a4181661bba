"""Scores of a whole set from integer counts: exact, whatever the batches, and never a mean of means.

Conventions are those of `analysis.metrics`: what would divide zero by zero is NaN, as the overlap of a class that
neither the truth nor the prediction shows, and a mean over classes leaves NaN out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separable.analysis.metrics import confusion_matrix, divide, mean_of_defined, number_or_none
from separable.errors import UsageError
from separable.segmentation.boundary import BoundaryCounts
from separable.segmentation.labels import IGNORE, as_mask

__all__ = ["PixelCounts", "PixelScores"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PixelScores:
    """Scores per class, arrays of shape (classes,), and over all of them."""

    iou: Floats
    """TP / (TP + FP + FN)."""
    dice: Floats
    """2 TP / (2 TP + FP + FN)."""
    precision: Floats
    recall: Floats
    boundary_f1: Floats
    """See `boundary`."""
    pixels: NDArray[np.int64]
    """Labelled pixels of each class."""
    pixel_accuracy: float

    @property
    def mean_iou(self) -> float:
        """Over the classes that the truth or the prediction shows."""
        return mean_of_defined(self.iou)

    @property
    def mean_dice(self) -> float:
        """Over the same classes."""
        return mean_of_defined(self.dice)

    @property
    def mean_boundary_f1(self) -> float:
        """Over the classes that have a boundary."""
        return mean_of_defined(self.boundary_f1)

    def rows(self, class_names: tuple[str, ...]) -> list[dict[str, Any]]:
        """One JSON-ready dict a class; NaN becomes None."""
        if len(class_names) != len(self.iou):
            raise UsageError("Class names and scores do not match", got=len(class_names), expected=len(self.iou))
        columns = ("iou", "dice", "precision", "recall", "boundary_f1")
        return [
            {"name": name, **{c: number_or_none(getattr(self, c)[i]) for c in columns}, "pixels": int(self.pixels[i])}
            for i, name in enumerate(class_names)
        ]


class PixelCounts:
    """Counts over a set, added picture by picture in any order.

    Args:
        num_classes: how many there are.
        tolerance: in pixels, for the boundaries; None leaves boundaries out, which takes most of the time.
    """

    def __init__(self, num_classes: int, tolerance: float | None = 2.0) -> None:
        self.confusion = np.zeros((num_classes, num_classes), np.int64)
        """Row = true class, column = predicted class."""
        self._boundaries = BoundaryCounts(num_classes, tolerance) if tolerance is not None else None

    def add(self, truth: NDArray[Any], predicted: NDArray[Any]) -> None:
        """Count one picture: two (height, width) masks. Pixels whose truth is `IGNORE` do not count.

        Raises:
            UsageError: they differ in shape, or hold something else than class indices.
        """
        classes = len(self.confusion)
        truth, predicted = as_mask(truth, classes), as_mask(predicted, classes)
        if truth.shape != predicted.shape:
            raise UsageError(
                "Truth and prediction differ in size",
                got=f"{truth.shape} and {predicted.shape}",
                expected="two masks of one (height, width)",
            )
        counted = truth != IGNORE
        self.confusion += confusion_matrix(truth[counted], predicted[counted], classes)
        if self._boundaries is not None:
            self._boundaries.add(truth, predicted)

    def merge(self, other: "PixelCounts") -> None:
        """Add what another process counted."""
        self.confusion += other.confusion
        if self._boundaries is not None and other._boundaries is not None:
            self._boundaries.merge(other._boundaries)

    def scores(self) -> PixelScores:
        """Of everything counted so far."""
        right = np.diagonal(self.confusion).astype(np.float64)
        true, guessed = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        total = np.array([true.sum()])
        undefined = np.full(len(right), np.nan)
        return PixelScores(
            iou=divide(right, true + guessed - np.diagonal(self.confusion)),
            dice=divide(2 * right, true + guessed),
            precision=divide(right, guessed),
            recall=divide(right, true),
            boundary_f1=self._boundaries.f1() if self._boundaries is not None else undefined,
            pixels=true,
            pixel_accuracy=float(divide(right.sum(keepdims=True), total)[0]),
        )
