"""How many pixels each class has, and weights by which rare classes count as much as frequent ones."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from separable.data.decode import MAX_PIXELS
from separable.errors import BadPictureError, UsageError
from separable.segmentation.labels import IGNORE
from separable.segmentation.pairs import PairSet
from separable.training.evaluate import EvaluationStopped

__all__ = ["class_pixels", "median_frequency_weights"]


def class_pixels(
    pairs: PairSet,
    max_pixels: int = MAX_PIXELS,
    *,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> NDArray[np.int64]:
    """Labelled pixels of each class, (classes,), over all pairs that can be used; pictures are not decoded.

    Args:
        pairs: a set; every mask of it is read.
        max_pixels: pairs with more are left out.
        progress: called with (masks done, masks in all) after every mask.
        should_stop: asked before every mask.

    Raises:
        EvaluationStopped: `should_stop` said yes.
    """
    counts = np.zeros(len(pairs.class_names), np.int64)
    for sample in range(len(pairs)):
        if should_stop():
            raise EvaluationStopped
        counts += _pixels(pairs, sample, max_pixels, len(counts))
        if progress is not None:
            progress(sample + 1, len(pairs))
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


def _pixels(pairs: PairSet, sample: int, max_pixels: int, classes: int) -> NDArray[np.int64]:
    try:
        _, mask = pairs.open(sample, max_pixels=max_pixels)
    except BadPictureError:
        return np.zeros(classes, np.int64)
    return np.bincount(mask[mask != IGNORE], minlength=classes)
