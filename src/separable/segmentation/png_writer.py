"""PNG files written from top to bottom, so that a picture larger than memory can be: index masks and RGB."""

import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from separable.errors import UsageError
from separable.files import write_atomically
from separable.segmentation.labels import IGNORE, Mask
from separable.segmentation.palette import class_colours

__all__ = ["png_chunk", "stored_indices", "write_index_png", "write_rgb_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE = 0, 2, 3
_IGNORED = 255
_LEVEL = 6


def write_index_png(
    path: str | Path,
    strips: Iterable[NDArray[Any]],
    size: tuple[int, int],
    colours: Sequence[tuple[int, int, int]],
) -> None:
    """Write a mask whose stored values are its class indices, with a palette that shows them; `IGNORE` is 255.

    With more than 255 classes there is no palette: 16-bit greyscale, `IGNORE` is 65535.

    Args:
        path: of the file; it appears whole or not at all.
        strips: masks (rows, width), the one below the other.
        size: height and width of all of them together.
        colours: of the classes.

    Raises:
        UsageError: the strips do not add up to the size, or hold something else than class indices.
        OutputError: the file cannot be written.
    """
    wide = len(colours) > _IGNORED
    shown = [*colours, *class_colours(_IGNORED + 1)[len(colours) :]]
    palette = None if wide else np.array(shown, np.uint8).tobytes()
    rows = (stored_indices(strip, len(colours)) for strip in strips)
    _write(Path(path), rows, size, _GREY if wide else _PALETTE, 16 if wide else 8, palette)


def write_rgb_png(path: str | Path, strips: Iterable[NDArray[np.uint8]], size: tuple[int, int]) -> None:
    """Write a picture from strips (rows, width, 3).

    Raises:
        UsageError: the strips do not add up to the size.
        OutputError: the file cannot be written.
    """
    _write(Path(path), strips, size, _RGB, 8, None)


def stored_indices(mask: Mask, num_classes: int) -> NDArray[Any]:
    """What `write_index_png` stores: uint8, or big-endian uint16 with more than 255 classes.

    Raises:
        UsageError: an index outside the classes.
    """
    if mask.size and (int(mask.min()) < IGNORE or int(mask.max()) >= num_classes):
        raise UsageError("A mask holds an index outside the classes", got=f"{mask.min()} to {mask.max()}")
    if num_classes <= _IGNORED:
        return np.where(mask == IGNORE, _IGNORED, mask).astype(np.uint8)
    return np.where(mask == IGNORE, 65535, mask.astype(np.int32)).astype(">u2")


def png_chunk(name: bytes, body: bytes) -> bytes:
    """Length, name, body, checksum (PNG specification, 5.3)."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _write(
    path: Path, strips: Iterable[NDArray[Any]], size: tuple[int, int], kind: int, bits: int, palette: bytes | None
) -> None:
    height, width = size
    if not (0 < height < 1 << 31 and 0 < width < 1 << 31):
        raise UsageError("A PNG cannot have this size", got=f"{width}x{height}")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(_SIGNATURE)
            file.write(png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)))
            if palette is not None:
                file.write(png_chunk(b"PLTE", palette))
            _write_rows(file, strips, size)
            file.write(png_chunk(b"IEND", b""))

    write_atomically(path, write)


def _write_rows(file: BinaryIO, strips: Iterable[NDArray[Any]], size: tuple[int, int]) -> None:
    height, width = size
    packer = zlib.compressobj(_LEVEL)
    written = 0
    for strip in strips:
        if strip.shape[1] != width or written + len(strip) > height:
            raise UsageError("A strip does not fit the picture", got=strip.shape, expected=f"{width} pixels wide")
        pixels = np.ascontiguousarray(strip).view(np.uint8).reshape(len(strip), -1)
        # Each row begins with its filter (9.2): none, which suits masks, and which lets every strip stand alone.
        body = packer.compress(np.pad(pixels, ((0, 0), (1, 0))).tobytes())
        if body:
            file.write(png_chunk(b"IDAT", body))
        written += len(strip)
    if written != height:
        raise UsageError("The strips do not fill the picture", got=f"{written} rows", expected=height)
    file.write(png_chunk(b"IDAT", packer.flush()))
