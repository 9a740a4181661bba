"""What a mask is here, whatever file it came from: a class index for every pixel, or `IGNORE`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separable.errors import UsageError

__all__ = ["IGNORE", "MAX_CLASSES", "Mask", "as_mask", "background_of"]

Mask = NDArray[np.int16]
"""(height, width), class indices from 0 on, or `IGNORE`."""
IGNORE = -1
"""A pixel that nobody labelled, or that is not to count: it has no part in a loss or a metric."""
MAX_CLASSES = 1 << 15


def as_mask(values: NDArray[Any], num_classes: int = MAX_CLASSES) -> Mask:
    """Check an array of class indices and give it the type of masks.

    Raises:
        UsageError: not integers, not two axes, or an index outside -1 (`IGNORE`) to num_classes - 1.
    """
    if values.ndim != 2 or values.dtype.kind not in "iub":
        raise UsageError(
            "A mask is a table of class indices",
            got=f"{values.dtype} of shape {values.shape}",
            expected="integers of shape (height, width)",
        )
    if values.size and (int(values.min()) < IGNORE or int(values.max()) >= num_classes):
        raise UsageError(
            "A mask holds an index outside the classes",
            got=f"{values.min()} to {values.max()}",
            expected=f"{IGNORE} (ignored) to {num_classes - 1}",
        )
    return values.astype(np.int16, copy=False)


def background_of(class_names: Sequence[str]) -> int | None:
    """The class that is what is left over: the one that is called background, or 0 where classes have no names but
    their numbers. None: every class is something, and overlays, outlines and mistakes are of all of them."""
    if class_names and class_names[0] in ("0", "class 0"):
        return 0
    return next((index for index, name in enumerate(class_names) if name.casefold() == "background"), None)
