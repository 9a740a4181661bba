"""What the pixels of a score are: those of the network's input, and how large they are in the pictures."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from separable.data.decode import picture_size
from separable.data.preprocess import seen_region
from separable.errors import BadPictureError
from separable.models.contract import InputContract

__all__ = ["measured_at", "picture_scale"]

_MOST = 32
"""Pictures whose headers are read."""
_SAME = 1.05


def picture_scale(paths: Sequence[Path], contract: InputContract) -> float | None:
    """How many of a picture's own pixels one of the network's input is wide and high, the median over some of `paths`;
    None where none can be read."""
    every = max(1, -(-len(paths) // _MOST))
    found = []
    for path in paths[::every]:
        try:
            _, _, height, width = seen_region(picture_size(path), contract)
        except (BadPictureError, ValueError):  # or no name of a file at all
            continue
        found.append(math.sqrt(height * width / math.prod(contract.size)))
    return median(found) if found else None


def measured_at(size: tuple[int, int], tolerance: float | None, scale: float | None) -> str:
    """At what resolution scores were taken, and what that means for the boundaries and for a comparison.

    Args:
        size: height and width of the network's input.
        tolerance: of the boundaries, in pixels of the input; None where they were left out.
        scale: of `picture_scale`; None where it is not known.
    """
    words = f"Measured at {size[0]}x{size[1]}, the network's input"
    if tolerance is not None and math.isfinite(tolerance):
        words += f"; a boundary counts within {tolerance:g} pixel{'' if tolerance == 1 else 's'} there"
        if scale is not None and not 1 / _SAME < scale < _SAME:
            words += f", which are about {tolerance * scale:.2g} of the pictures' own"
    if scale is None or scale < _SAME:
        return f"{words}."
    return f"{words}. The pictures are larger than that, so scores at two --image-size are not comparable."
