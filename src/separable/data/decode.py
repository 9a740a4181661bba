"""Picture files to pixels: one class that reads the header first and decodes as little as the caller needs."""

import importlib.util
import os
import re
import stat
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from separable.data.headers import JpegHeader, exif_orientation, png_exif, read_jpeg_header
from separable.data.pillow import open_with_pillow, refuse_size, to_rgb
from separable.errors import BadPictureError, MissingExtraError, UsageError

__all__ = [
    "MAX_PIXELS",
    "Decoder",
    "PictureFile",
    "Source",
    "decode_picture",
    "orient",
    "picture_size",
    "read_bytes",
    "resolve_decoder",
    "stored_orientation",
]

_T = TypeVar("_T", bound=np.generic)
Source = bytes | bytearray | memoryview | str | Path
Decoder = Literal["auto", "pillow", "turbo"]
MAX_PIXELS = 178_956_970 // 2
"""Pillow's own limit for a picture worth a warning: 89 million pixels, 256 MB as RGB."""
_MAX_BYTES = 1 << 30
_LEFT_OVER = re.compile(r"extraneous bytes before marker 0xd[0-79]$")
_MAX_SCANS = 500  # a progressive JPEG of an encoder has about 10; thousands of scans are a way to burn time


@cache
def _has_turbo() -> bool:
    return importlib.util.find_spec("simplejpeg") is not None


def resolve_decoder(decoder: str = "auto") -> Literal["pillow", "turbo"]:
    """The decoder that "auto" stands for here. A run stores the answer, so that a resume decodes alike.

    Raises:
        UsageError: an unknown name.
        MissingExtraError: "turbo" without simplejpeg.
    """
    if decoder == "auto":
        return "turbo" if _has_turbo() else "pillow"
    if decoder == "turbo" and not _has_turbo():
        raise MissingExtraError(
            "The JPEG decoder 'turbo' needs simplejpeg", fix='Install it with: pip install "separable[fast]"'
        )
    if decoder not in ("pillow", "turbo"):
        raise UsageError("Unknown decoder", got=repr(decoder), expected="auto, pillow or turbo")
    return decoder  # type: ignore[return-value]  # narrowed by the membership test above


class PictureFile:
    """A picture whose header was read: `size` is (height, width) as displayed, and `pixels` decodes.

    `orientation` is its EXIF orientation, 1 to 8, which `size` and `pixels` have undone.

    A JPEG with 1 or 3 components goes through libjpeg-turbo (simplejpeg) where the decoder says so; everything else,
    and every JPEG that simplejpeg will not take, goes through Pillow, whose verdict on a damaged file is the one that
    counts. So the decoder never changes which pictures are refused.
    """

    def __init__(self, source: Source, *, max_pixels: int = MAX_PIXELS, decoder: str = "auto") -> None:
        """
        Raises:
            BadPictureError: unreadable, not a picture, too large, or with a damaged header; the message is the cause.
        """
        self._data = read_bytes(source)
        if not self._data:
            raise BadPictureError("empty file")
        self._max_pixels = max_pixels
        self._turbo = resolve_decoder(decoder) == "turbo"
        self._image: Image.Image | None = None
        self._header = read_jpeg_header(self._data) if self._data.startswith(b"\xff\xd8\xff") else None
        if self._header is not None:
            height, width, self.orientation = self._header.height, self._header.width, self._header.orientation
            refuse_size(height, width, max_pixels)
            self._refuse_scan_bomb(self._header)
        else:
            self._image = open_with_pillow(self._data, max_pixels)
            height, width = self._image.height, self._image.width
            self.orientation = stored_orientation(self._data, self._image)
        self.size = (width, height) if self.orientation >= 5 else (height, width)

    def pixels(self, *, scale: int = 1, rows: int | None = None) -> NDArray[np.uint8]:
        """Decode to RGB as displayed.

        Args:
            scale: 1, 2, 4 or 8: decode at 1/scale where that saves work. Only a JPEG can; see `largest_scale`.
            rows: decode at least this many rows from the top. What lies below may be missing from the result; what
                is there is bit-identical to a full decode.

        Returns:
            (height, width, 3) uint8, height and width divided by the scale, rounded up.

        Raises:
            BadPictureError: the pixels are truncated or damaged.
        """
        header = self._header
        if header is not None and self._turbo:
            pixels = self._turbo_pixels(header, scale, rows if scale == 1 else None)
            if pixels is not None:
                return orient(pixels, self.orientation)
        if self._image is None:
            self._image = open_with_pillow(self._data, self._max_pixels)
        if header is not None and scale > 1:
            # Pillow's draft takes the largest 1/s that keeps this size, which is exactly `scale`.
            self._image.draft(None, (max(1, header.width // scale), max(1, header.height // scale)))
        image, self._image = self._image, None
        return orient(to_rgb(image), self.orientation)

    def largest_scale(self, height: float, width: float, of: tuple[float, float] | None = None) -> int:
        """The largest scale at which a region (default: the whole picture) keeps at least `height` x `width`."""
        if self._header is None:
            return 1
        have = of or self.size
        return next(s for s in (8, 4, 2, 1) if s == 1 or (have[0] >= s * height and have[1] >= s * width))

    def _turbo_pixels(self, header: JpegHeader, scale: int, rows: int | None) -> NDArray[np.uint8] | None:
        """None where simplejpeg cannot or must not: other components, no end marker (truncated), refused by it."""
        if header.components not in (1, 3) or not header.eight_bit:
            return None
        if self._data.rfind(b"\xff\xd9") < header.scan_at:
            return None
        import simplejpeg

        grey = header.components == 1
        colours = "GRAY" if grey else "RGB"
        try:
            if rows is not None and header.baseline and self.orientation == 1 and rows + 2 < header.height:
                pixels = _first_rows(self._data, header, rows + 2, colours)
            else:
                least = (-(-header.height // scale), -(-header.width // scale)) if scale > 1 else (0, 0)
                pixels = simplejpeg.decode_jpeg(
                    self._data, colours, min_height=least[0], min_width=least[1], min_factor=scale
                )
        except (ValueError, MemoryError):
            return None
        return np.repeat(pixels, 3, axis=2) if grey else pixels

    def _refuse_scan_bomb(self, header: JpegHeader) -> None:
        if not header.baseline and self._data.count(b"\xff\xda", header.scan_at) > _MAX_SCANS:
            raise BadPictureError(f"more than {_MAX_SCANS} scans in one JPEG")


def decode_picture(
    source: Source,
    *,
    max_pixels: int = MAX_PIXELS,
    target: tuple[int, int] | None = None,
    decoder: str = "auto",
) -> NDArray[np.uint8]:
    """Decode a picture file.

    Args:
        source: the file's bytes or its path.
        max_pixels: a picture with more is refused from its header.
        target: (height, width) that the caller will shrink to; a JPEG may then be decoded at 1/2, 1/4 or 1/8, never
            below the target in either side.
        decoder: "auto", "pillow" or "turbo".

    Returns:
        (height, width, 3) uint8 RGB, contiguous, with the EXIF orientation applied.

    Raises:
        BadPictureError: with a short cause.
    """
    file = PictureFile(source, max_pixels=max_pixels, decoder=decoder)
    return file.pixels(scale=file.largest_scale(*target) if target else 1)


def picture_size(source: Source, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) as displayed, from the header alone.

    Raises:
        BadPictureError: as `decode_picture`, but damage behind the header goes unnoticed.
    """
    return PictureFile(source, max_pixels=max_pixels, decoder="pillow").size


def read_bytes(source: Source) -> bytes:
    """The file's bytes, or the given ones.

    Raises:
        BadPictureError: it cannot be read, is no regular file, or is larger than a picture has any reason to be.
    """
    if not isinstance(source, str | Path):
        return bytes(source)
    try:
        with open(source, "rb", buffering=0, opener=_open_without_waiting) as handle:
            status = os.fstat(handle.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadPictureError("not a regular file")
            if status.st_size > _MAX_BYTES:
                raise BadPictureError(f"too large: {status.st_size} bytes")
            return handle.read()
    except OSError as error:
        raise BadPictureError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a null byte in the name
        raise BadPictureError(f"cannot be read: {error}") from error


def _open_without_waiting(path: str, flags: int) -> int:
    # A named pipe would otherwise block until somebody writes to it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def stored_orientation(data: bytes, image: Image.Image) -> int:
    """EXIF orientation of what Pillow opened, without decoding it: for a PNG, Pillow itself would."""
    if image.format == "PNG":
        return exif_orientation(png_exif(data))
    if image.format == "WEBP":
        return exif_orientation(bytes(image.info.get("exif", b"")).removeprefix(b"Exif\0\0"))
    return 1  # a TIFF turns itself while it loads, and tells its size accordingly; the others have no EXIF


def _first_rows(data: bytes, header: JpegHeader, rows: int, colours: str) -> NDArray[np.uint8]:
    """Decode the first rows of a JPEG by writing a smaller height into its frame header: the decoder stops early.

    Rows are coded from the top, so those above are unchanged, except the last ones, whose chroma would be
    interpolated with a row that is now missing: callers ask for two rows more than they need.

    Raises:
        ValueError: the decoder refuses the file.
    """
    import simplejpeg

    shortened, at = bytearray(data), header.frame_at + 3
    shortened[at : at + 2] = rows.to_bytes(2, "big")
    pixels = np.empty((rows, header.width, 1 if colours == "GRAY" else 3), dtype=np.uint8)
    try:
        simplejpeg.decode_jpeg(shortened, colours, buffer=pixels)
    except ValueError as error:
        # The rows that were left over, up to the end or the next restart marker. The decoder names its first warning,
        # or else what made it give up: so nothing else was wrong.
        if not _LEFT_OVER.search(str(error)):
            raise
    return pixels


def orient(pixels: NDArray[_T], orientation: int) -> NDArray[_T]:
    """Turn stored rows and columns, the first two axes, into displayed ones (EXIF 2.3, tag 0x0112)."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
