"""Tiles along a side of a picture, and how much each has to say where they overlap."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from separable.errors import UsageError

__all__ = ["Tiling", "shares", "starts"]


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut into tiles.

    In an overlap the outer quarter of each tile has no say, because a network sees a border there that the picture
    does not have; between the quarters the say goes over from one tile to the next evenly. So a network whose output
    depends on less than a quarter of the overlap around a pixel leaves no seam at all.
    """

    size: tuple[int, int] = (512, 512)
    """Height and width of a tile."""
    overlap: int = 128
    """Pixels that neighbouring tiles share at least."""
    multiple: int = 32
    """Tiles start at multiples of this, the network's coarsest stride, so that each sees the picture on one grid."""

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.overlap < 0 or min(self.size) - self.overlap < self.multiple:
            raise UsageError(
                "Tiles do not fit together",
                got=f"size {self.size}, overlap {self.overlap}, multiple {self.multiple}",
                expected="tiles larger than the overlap by the multiple at least",
            )
        if any(side % self.multiple for side in self.size):
            raise UsageError("A tile's sides have to be multiples", got=self.size, expected=f"of {self.multiple}")


def starts(length: int, tile: int, overlap: int, multiple: int) -> list[int]:
    """Where tiles start that cover `length` pixels, spread evenly; the last may reach beyond by less than a multiple.

    One tile at 0 where it suffices, however far it reaches beyond.
    """
    last = -(-max(0, length - tile) // multiple)
    step = (tile - overlap) // multiple
    count = -(-last // step) + 1
    return [place * last // (count - 1) * multiple for place in range(count)] if count > 1 else [0]


def shares(at: list[int], tile: int, overlap: int) -> NDArray[np.float32]:
    """(tiles, tile): what each tile's pixels count; over all tiles that cover a pixel they sum to 1.

    Raises:
        UsageError: the tiles leave a gap, or overlap by less.
    """
    if any(b - a > tile - overlap for a, b in pairwise(at)):
        raise UsageError("Tiles overlap by less than they should", got=at)
    place = np.arange(tile) + 0.5
    rising = np.clip((place - overlap / 4) / (overlap / 2), 0, 1) if overlap else np.ones(tile)
    weights = np.ones((len(at), tile))
    weights[1:] *= rising
    weights[:-1] *= rising[::-1]
    total = np.zeros(at[-1] + tile)
    for start, row in zip(at, weights, strict=True):
        total[start : start + tile] += row
    for start, row in zip(at, weights, strict=True):
        row /= total[start : start + tile]
    return weights.astype(np.float32)
