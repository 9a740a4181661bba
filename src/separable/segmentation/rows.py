"""What a picture has to be for being predicted strip by strip."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from separable.errors import BadPictureError

__all__ = ["LARGEST_SIDE", "PictureRows", "Rows", "TooLargeError"]

LARGEST_SIDE = 1 << 20
"""Pixels: of what is read by rows, a few rows at least have to fit into memory."""


class TooLargeError(BadPictureError):
    """A side is longer than `LARGEST_SIDE`: decoding the picture whole is no way out."""


class Rows(Protocol):
    """A picture read by rows from top to bottom; `strips.open_rows` makes one of a file."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """(bottom - top, width, 3) uint8 RGB; `top` never lies above an earlier call's `bottom`."""


@dataclass(frozen=True)
class PictureRows:
    """A decoded picture, (height, width, 3), as `Rows`."""

    pixels: NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows from `top` up to `bottom`."""
        return self.pixels[top:bottom]
