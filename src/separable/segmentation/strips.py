"""Pictures by rows: PNG, BMP and PPM from the file as needed, every other format decoded whole and then cut."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from separable.data.decode import MAX_PIXELS, decode_picture
from separable.errors import BadPictureError
from separable.segmentation.png_reader import PngRows
from separable.segmentation.rows import LARGEST_SIDE, PictureRows, Rows, TooLargeError

__all__ = ["open_rows"]


@contextmanager
def open_rows(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Iterator[Rows]:
    """A picture file to be read from top to bottom, with the pixels that `decode_picture` gives.

    Uncompressed BMP and PPM, and PNG, are read by rows and may have any number of them; a side may have up to 2**20
    pixels. What cannot be read by rows is decoded whole, within `max_pixels`.

    Raises:
        BadPictureError: with a short cause.
    """
    path = Path(path)
    rows: Rows | None = None
    try:
        rows = _by_rows(path)
        if rows is not None and max(rows.size) > LARGEST_SIDE:
            raise TooLargeError(f"too large: {rows.size[1]}x{rows.size[0]} pixels")
        yield rows or PictureRows(decode_picture(path, max_pixels=max_pixels))
    finally:
        if isinstance(rows, PngRows | _RawRows):
            rows.close()


def _by_rows(path: Path) -> Rows | None:
    try:
        with path.open("rb") as file:
            start = file.read(1 << 12)
    except (OSError, ValueError) as error:
        raise BadPictureError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        if start.startswith(b"\x89PNG"):
            return PngRows(path)
        layout = _bmp(start) if start.startswith(b"BM") else _ppm(start)
    except TooLargeError:
        raise
    except (BadPictureError, struct.error):  # decoding it whole finds the cause, or can read what this cannot
        return None
    return _RawRows(path.open("rb"), *layout) if layout is not None else None


class _RawRows:
    """Rows of fixed length in a file: each read becomes a small file of the same kind, for the one decoder."""

    def __init__(self, file: BinaryIO, size: tuple[int, int], at: int, row_bytes: int, bottom_up: bool) -> None:
        self.size = size
        self._file, self._at, self._row_bytes, self._bottom_up = file, at, row_bytes, bottom_up
        self._head = file.read(at)

    def close(self) -> None:
        self._file.close()

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        if top == bottom:
            return np.zeros((0, self.size[1], 3), np.uint8)
        first = self.size[0] - bottom if self._bottom_up else top
        self._file.seek(self._at + first * self._row_bytes)
        body = self._file.read((bottom - top) * self._row_bytes)
        if len(body) < (bottom - top) * self._row_bytes:
            raise BadPictureError("truncated picture")
        return decode_picture(self._resized(bottom - top) + body, decoder="pillow")

    def _resized(self, rows: int) -> bytes:
        if not self._head.startswith(b"BM"):
            return b"P6 %d %d 255\n" % (self.size[1], rows)
        head = bytearray(self._head)
        struct.pack_into("<i", head, 22, rows if self._bottom_up else -rows)
        struct.pack_into("<I", head, 34, 0)  # the size of the pixels, which may be left open
        return bytes(head)


_Layout = tuple[tuple[int, int], int, int, bool]


def _bmp(start: bytes) -> _Layout | None:
    """Uncompressed BMP of 24 bits: rows padded to four bytes, from the bottom up unless the height is negative."""
    at, head, width, height, _, bits, packing = struct.unpack_from("<IIiiHHI", start, 10)
    if head < 40 or bits != 24 or packing != 0 or width <= 0 or height == 0 or not 54 <= at <= len(start):
        return None
    return (abs(height), width), at, -(-width * 3 // 4) * 4, height > 0


def _ppm(start: bytes) -> _Layout | None:
    """Binary PPM with 8 bits a channel and no comment in its header."""
    header = re.match(rb"P6\s+(\d{1,7})\s+(\d{1,7})\s+255\s", start)
    if header is None:
        return None
    width, height = int(header[1]), int(header[2])
    return ((height, width), header.end(), 3 * width, False) if width and height else None
