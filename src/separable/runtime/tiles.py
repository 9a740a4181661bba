"""How a picture goes through a network that answers for every pixel: whole or in tiles, and mirrored or not."""

from dataclasses import dataclass
from typing import final

import torch.nn.functional as F
from torch import Tensor

from separable.errors import UsageError
from separable.models.base import ImageModel
from separable.models.segmentation import SegmentationModel, pixel_logits
from separable.segmentation.windows import Tiling

__all__ = ["FLIPS", "Way", "grid_of", "tile_logits"]

FLIPS = {
    "none": ("none",),
    "horizontal": ("none", "horizontal"),
    "vertical": ("none", "vertical"),
    "all": ("none", "horizontal", "vertical", "both"),
}
"""By what people call them, the orientations whose logits are averaged."""


@final
@dataclass(frozen=True)
class Way:
    """`size` of the tiles, or None where pictures are predicted whole; `flips` as `tiling.with_flips` takes them."""

    size: tuple[int, int] | None
    overlap: int
    multiple: int
    least: int
    flips: tuple[str, ...]

    @classmethod
    def of(
        cls,
        model: SegmentationModel,
        tile: int | tuple[int, int] | None,
        overlap: int | None,
        flips: str,
        min_size: int = 1,
    ) -> "Way":
        """
        Raises:
            UsageError: tiles that do not fit together, an overlap without tiles, or other flips.
        """
        if flips not in FLIPS:
            raise UsageError("Unknown flips", got=repr(flips), expected=", ".join(FLIPS))
        multiple = grid_of(model)
        least = _up(min_size, multiple)
        if tile is None:
            if overlap is not None:
                raise UsageError("An overlap is for tiles", got=f"overlap {overlap} and no tile", fix="Give a tile too")
            return cls(None, 0, multiple, least, FLIPS[flips])
        sides = tuple(tile) if isinstance(tile, tuple | list) else (tile, tile)
        if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
            raise UsageError("No tile", got=f"tile {tile!r}", expected="a side, or height and width, in whole pixels")
        size = (max(least, _up(sides[0], multiple)), max(least, _up(sides[1], multiple)))
        wanted = min(min(size) // 4, max(0, min(size) - multiple)) if overlap is None else overlap
        Tiling(size, wanted, multiple)  # refuses what does not fit together
        return cls(size, wanted, multiple, least, FLIPS[flips])

    @property
    def tiled(self) -> bool:
        """Whether pictures are predicted in tiles."""
        return self.size is not None

    def tiling(self, picture: tuple[int, int]) -> Tiling:
        """For a picture of (height, width): on a side that one tile covers, none larger than it has to be."""
        assert self.size is not None
        sides = [min(tile, _up(have, self.multiple)) for tile, have in zip(self.size, picture, strict=True)]
        alone = all(have <= tile for have, tile in zip(picture, self.size, strict=True))
        overlap = 0 if alone else self.overlap
        least = max(self.least, _up(overlap + self.multiple, self.multiple))
        return Tiling((max(least, sides[0]), max(least, sides[1])), overlap, self.multiple)


def grid_of(model: SegmentationModel) -> int:
    """Pixels from one cell of the network's coarsest map to the next: tiles that start at multiples of it see the
    picture on one grid."""
    strides = [tap.stride for part in model.children() if isinstance(part, ImageModel) for tap in part.taps]
    return max([model.multiple, *strides])


def tile_logits(model: SegmentationModel, x: Tensor) -> Tensor:
    """`pixel_logits` of tiles whose sides are multiples of `grid_of`, such that neighbours agree on where a cell lies.

    Where the outermost cells' centres stay the outermost (`align_corners`), a side of a multiple and one has cells at
    its multiples, and a multiple alone has them further and further beside: so a row and a column are repeated there,
    and cut off again.
    """
    height, width = x.shape[2], x.shape[3]
    if model.align_corners:
        x = F.pad(x, (0, 1, 0, 1), mode="replicate")
    return pixel_logits(model, x)[:, :, :height, :width]


def _up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
