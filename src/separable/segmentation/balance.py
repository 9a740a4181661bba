"""How many pixels each class has, and weights by which rare classes count as much as frequent ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from separable.data.decode import MAX_PIXELS
from separable.errors import BadPictureError, UsageError
from separable.segmentation.labels import IGNORE
from separable.segmentation.pairs import PairSet

__all__ = ["class_pixels", "median_frequency_weights"]


def class_pixels(pairs: PairSet, max_pixels: int = MAX_PIXELS) -> NDArray[np.int64]:
    """Labelled pixels of each class, (classes,), over all pairs that can be used; pictures are not decoded."""
    counts = np.zeros(len(pairs.class_names), np.int64)
    for sample in range(len(pairs)):
        try:
            _, mask = pairs.open(sample, max_pixels=max_pixels)
        except BadPictureError:
            continue
        counts += np.bincount(mask[mask != IGNORE], minlength=len(counts))
    return counts


def median_frequency_weights(pixels: Sequence[int] | NDArray[np.int64]) -> tuple[float, ...]:
    """The median of the classes' pixels over each one's own, as in 1411.4734 but over all pictures alike.

    A class without pixels has weight 0, and no part in the median.

    Raises:
        UsageError: no class has pixels.
    """
    counts = np.asarray(pixels, np.float64)
    shown = counts > 0
    if not shown.any() or (counts < 0).any():
        raise UsageError("Class weights need labelled pixels", got=counts.tolist())
    weights = np.zeros(len(counts))
    weights[shown] = np.median(counts[shown]) / counts[shown]
    return tuple(weights.tolist())
