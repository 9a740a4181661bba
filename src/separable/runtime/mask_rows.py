"""Masks on their way: strips of a picture's classes from its top, so that none has to be held whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from separable.errors import BadPictureError
from separable.segmentation.labels import Mask
from separable.segmentation.rows import Rows
from separable.segmentation.tiling import classes_of

__all__ = ["KeptRows", "MaskRows", "MaskStrip", "class_strips"]

_STRIP = 1 << 22
"""Logits that are brought to the picture's size at a time: 16 MiB of them."""


@dataclass(frozen=True, eq=False)
class MaskStrip:
    """`mask` int16 (rows, width), and `pixels` uint8 (rows, width, 3) of the picture where they were asked for."""

    mask: Mask
    pixels: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class MaskRows:
    """One picture's mask: `size` is its height and width, or `error` the cause why there is none.

    The strips can be taken once, and before the next picture's.
    """

    source: str
    size: tuple[int, int] = (0, 0)
    error: str | None = None
    _strips: Iterator[MaskStrip] = field(default_factory=lambda: iter(()))

    def strips(self) -> Iterator[MaskStrip]:
        """From the top, the one below the other.

        Raises:
            BadPictureError: damage further down; the strips so far are then a part of the mask alone.
        """
        try:
            yield from self._strips
        except OSError as error:  # the disk, or the other end of a network drive
            raise BadPictureError(f"cannot be read: {error.strerror or error}") from error


class KeptRows:
    """`Rows` that keeps what was read until it is taken."""

    def __init__(self, source: Rows) -> None:
        self._source = source
        self._kept = np.zeros((0, source.size[1], 3), np.uint8)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self._source.size

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """See `Rows`."""
        rows = self._source.read(top, bottom)
        self._kept = np.concatenate([self._kept, rows])
        return rows

    def take(self, count: int) -> NDArray[np.uint8]:
        """The next `count` rows, from the first one read on."""
        taken, self._kept = self._kept[:count].copy(), self._kept[count:].copy()
        return taken


def class_strips(
    logits: Tensor, size: tuple[int, int], finish: Callable[[NDArray[np.float32]], Mask] = classes_of
) -> Iterator[Mask]:
    """The classes of a picture whose logits are those of its smaller or larger copy.

    Bilinear between the centres of the logits' pixels, the outermost borders on each other, then the class; a strip at
    a time, so that the logits at the picture's size, hundreds of megabytes of a photograph's, are never held.

    Args:
        logits: (classes, h, w), on any device.
        size: height and width of the picture.
        finish: what becomes of interpolated logits (classes, rows, width).

    Yields:
        (rows, width), the one below the other.
    """
    height, width = size
    below = torch.arange(height, dtype=torch.float64).add_(0.5).mul_(logits.shape[1] / height).sub_(0.5).clamp_(min=0)
    upper = below.long().clamp_(max=logits.shape[1] - 1)
    lower = (upper + 1).clamp_(max=logits.shape[1] - 1)
    share = (below - upper).to(device=logits.device, dtype=logits.dtype)
    step = max(1, _STRIP // (len(logits) * max(width, logits.shape[2])))
    for top in range(0, height, step):
        part = slice(top, min(height, top + step))
        above, beneath = (logits[:, rows[part].to(logits.device)] for rows in (upper, lower))
        rows = torch.lerp(above, beneath, share[part, None])
        if rows.shape[2] != width:
            rows = functional.interpolate(rows[None], (rows.shape[1], width), mode="bilinear")[0]
        yield finish(rows.cpu().numpy())
