"""A mask file's stored values: palette indices as they are, nothing interpolated, scaled or composited."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from separable.data.decode import MAX_PIXELS, Source, orient, read_bytes, stored_orientation
from separable.data.headers import read_jpeg_header, sniff
from separable.data.pillow import open_with_pillow, stored_values
from separable.errors import BadPictureError
from separable.segmentation.coding import COLOUR, TRANSPARENT

__all__ = ["MaskFile"]

Stored = NDArray[np.int32]
_MODES = frozenset(("1", "L", "P", "RGB", "LA", "PA", "RGBA", "I"))
_SCALED_UP = {2: 85, 4: 17}
"""Pillow stretches grey PNGs of 2 and 4 bits to 0 to 255, by these factors (PNG specification, 13.12)."""


class MaskFile:
    """A mask whose header was read: `size` is (height, width) as displayed, `orientation` its own EXIF orientation.

    Modes: one channel of 1 to 16 bits, or 32-bit integers up to 65535, is read as numbers (1 bit as 0 and 255); a
    palette as its indices; RGB as numbers where the whole file is grey, else as colours; alpha is 255 or, for a pixel
    without a label, 0. Where classes are told by colours, all of these are colours. Anything else has no exact reading
    and is refused.
    """

    def __init__(self, source: Source, *, max_pixels: int = MAX_PIXELS) -> None:
        """
        Raises:
            BadPictureError: unreadable, not a picture, or too large; the message is the cause.
        """
        self._data = read_bytes(source)
        if not self._data:
            raise BadPictureError("empty file")
        self._image = open_with_pillow(self._data, max_pixels)
        self.kind = str(self._image.format)
        self.mode = self._image.mode
        self.orientation = _orientation(self._data, self._image)
        stored = (self._image.height, self._image.width)
        self.size = (stored[1], stored[0]) if self.orientation >= 5 else stored

    def values(self, *, colours: bool = False) -> Stored:
        """Decode.

        Args:
            colours: read everything as colours, a palette's included, as `MaskCoding.by_colour` asks.

        Returns:
            (height, width) stored values as displayed, as `MaskCoding` takes them, or `TRANSPARENT`.

        Raises:
            BadPictureError: damaged, or of a kind that has no exact reading.
        """
        self._refuse_inexact()
        pixels = stored_values(self._image)
        alpha = pixels[..., -1] if self.mode in ("LA", "PA", "RGBA") else None
        if alpha is not None:
            pixels = pixels[..., :-1]
        if colours and self.mode in ("P", "PA"):
            pixels = _through_palette(self._image, pixels)
        values = _numbers(pixels, _depth(self._data))
        if colours and int(values.max()) < COLOUR:  # grey
            if int(values.max()) > 255:
                raise BadPictureError("a mask of 16-bit numbers where the classes are told by colours")
            values = COLOUR + values * 0x010101
        return orient(_with_alpha(values, alpha), self.orientation)

    def _refuse_inexact(self) -> None:
        # Pillow keeps the high bytes of these alone, and two values would become one.
        if self.kind == "PNG" and self._data[24:25] == b"\x10" and self._data[25:26] != b"\0":
            raise BadPictureError("a mask with 16 bits a channel and several channels")
        if self.mode == "F":
            raise BadPictureError("a mask of fractions: its values have to be whole numbers")
        if self.mode not in _MODES and not self.mode.startswith("I;16"):
            raise BadPictureError(f"a mask in colour mode {self.mode}: its values are not classes")


def _through_palette(image: Image.Image, indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
    palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    indices = indices.reshape(image.height, image.width)
    if indices.size and int(indices.max()) >= len(palette):
        raise BadPictureError(f"the palette has {len(palette)} colours, and the mask the index {indices.max()}")
    return palette[indices]


def _orientation(data: bytes, image: Image.Image) -> int:
    if sniff(data) == "JPEG":
        header = read_jpeg_header(data)
        return header.orientation if header is not None else 1
    return stored_orientation(data, image)


def _depth(data: bytes) -> int:
    """Bits a value of a grey PNG; 8 for the rest."""
    return data[24] if sniff(data) == "PNG" and data[25:26] == b"\0" else 8


def _numbers(pixels: NDArray[Any], depth: int) -> Stored:
    if pixels.dtype == bool:
        return pixels.astype(np.int32) * 255
    if pixels.ndim == 3:
        wide = pixels.astype(np.int32)
        if (pixels == pixels[..., :1]).all():  # one channel, or grey in three
            return wide[..., 0]
        return COLOUR + (wide[..., 0] << 16) + (wide[..., 1] << 8) + wide[..., 2]
    numbers = pixels.astype(np.int32)
    if int(numbers.min()) < 0 or int(numbers.max()) > 65535:
        raise BadPictureError(f"values from {numbers.min()} to {numbers.max()}: a mask has at most 16 bits")
    return numbers // _SCALED_UP.get(depth, 1)


def _with_alpha(values: Stored, alpha: NDArray[np.uint8] | None) -> Stored:
    if alpha is None:
        return values
    if ((alpha > 0) & (alpha < 255)).any():
        raise BadPictureError("half-transparent pixels: the mask was drawn with soft edges")
    return np.where(alpha == 0, np.int32(TRANSPARENT), values)
