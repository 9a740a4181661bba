"""Masks for eyes: colours, a mask over its picture, and where truth and prediction disagree."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from separable.errors import UsageError
from separable.segmentation.boundary import boundaries
from separable.segmentation.labels import IGNORE, Mask

__all__ = ["DISAGREEMENT", "coloured_mask", "disagreement", "disagreement_kinds", "overlay"]

Pixels = NDArray[np.uint8]
_UNLABELLED = (224, 224, 192)
DISAGREEMENT = ((235, 235, 235), (0, 114, 178), (213, 94, 0), (204, 121, 167), (60, 60, 60))
"""Of `disagreement_kinds`: Okabe and Ito's colours, which stay apart without colour vision, between two greys."""


def coloured_mask(mask: Mask, colours: Sequence[tuple[int, int, int]]) -> Pixels:
    """(height, width, 3): each pixel in the colour of its class; `IGNORE` in Pascal VOC's cream."""
    table = np.array([*colours, _UNLABELLED], np.uint8)
    shown: Pixels = table[mask]  # -1 is the last entry
    return shown


def overlay(
    picture: Pixels,
    mask: Mask,
    colours: Sequence[tuple[int, int, int]],
    *,
    opacity: float = 0.5,
    background: int | None = 0,
) -> Pixels:
    """The picture under its mask: each pixel mixed with its class's colour, outlines of classes unmixed.

    Args:
        picture: (height, width, 3).
        mask: (height, width).
        colours: of the classes.
        opacity: share of the colour, 0 to 1.
        background: a class that is left as the picture shows it, as `IGNORE` always is.
    """
    if picture.shape[:2] != mask.shape or not 0 <= opacity <= 1:
        raise UsageError(
            "The mask does not lie over the picture", got=f"{mask.shape} over {picture.shape}, opacity {opacity}"
        )
    shown = (mask != IGNORE) & (mask != (IGNORE if background is None else background))
    strength = np.where(boundaries(mask), 255, round(255 * opacity)) * shown
    strength = strength[..., None].astype(np.uint32)
    mixed = picture * (255 - strength) + coloured_mask(mask, colours) * strength
    result: Pixels = ((mixed + 127) // 255).astype(np.uint8)
    return result


def disagreement(truth: Mask, predicted: Mask, background: int | None = 0) -> Pixels:
    """(height, width, 3): right in light grey, missed in blue, found where there is background in orange, one class
    for another in purple; pixels without a label in dark grey."""
    shown: Pixels = np.array(DISAGREEMENT, np.uint8)[disagreement_kinds(truth, predicted, background)]
    return shown


def disagreement_kinds(truth: Mask, predicted: Mask, background: int | None = 0) -> NDArray[np.uint8]:
    """(height, width): 0 right, 1 missed, 2 found where there is background, 3 one class for another, 4 no label.

    Where no class is the `background`, nothing is missed or found: one class is taken for another.
    """
    if truth.shape != predicted.shape:
        raise UsageError("Truth and prediction differ in size", got=f"{truth.shape} and {predicted.shape}")
    wrong, nothing = truth != predicted, IGNORE if background is None else background
    kinds = np.select([truth == IGNORE, ~wrong, predicted == nothing, truth == nothing], [4, 0, 1, 2], default=3)
    return kinds.astype(np.uint8)
