"""PNG files written from top to bottom, so that a picture larger than memory can be: index masks and RGB.

They name the program that wrote them, so that a prediction can be told from a mask that somebody drew.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from separable.errors import UsageError
from separable.files import atomic_path
from separable.segmentation.labels import IGNORE, Mask
from separable.segmentation.palette import class_colours

__all__ = [
    "index_png",
    "is_written_here",
    "png_chunk",
    "rgb_png",
    "stored_indices",
    "write_index_png",
    "write_rgb_png",
]

Add = Callable[[NDArray[Any]], None]
"""Takes the next strip."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SOFTWARE = b"Software\0separable"
_GREY, _RGB, _PALETTE = 0, 2, 3
_NO_FILTER, _SUB = 0, 1
_IGNORED = 255
_LEVEL = 6


@contextmanager
def index_png(path: Path, size: tuple[int, int], colours: Sequence[tuple[int, int, int]]) -> Iterator[Add]:
    """Write a mask whose stored values are its class indices, with a palette that shows them; `IGNORE` is 255.

    With more than 255 classes there is no palette: 16-bit greyscale, `IGNORE` is 65535. What is yielded takes masks
    (rows, width), the one below the other.

    Args:
        path: of the file; it appears whole at the end of the block or, where that raises, not at all.
        size: height and width of all of them together.
        colours: of the classes.

    Raises:
        UsageError: the strips do not add up to the size, or hold something else than class indices.
        OutputError: the file cannot be written.
    """
    wide = len(colours) > _IGNORED
    shown = [*colours, *class_colours(_IGNORED + 1)[len(colours) :]]
    palette = None if wide else np.array(shown, np.uint8).tobytes()
    with _png(path, size, _GREY if wide else _PALETTE, 16 if wide else 8, palette) as add:
        yield lambda strip: add(stored_indices(strip, len(colours)))


@contextmanager
def rgb_png(path: Path, size: tuple[int, int]) -> Iterator[Add]:
    """As `index_png`, a picture from strips (rows, width, 3)."""
    with _png(path, size, _RGB, 8, None) as add:
        yield add


def write_index_png(
    path: str | Path,
    strips: Iterable[NDArray[Any]],
    size: tuple[int, int],
    colours: Sequence[tuple[int, int, int]],
) -> None:
    """`index_png` of all `strips`."""
    with index_png(Path(path), size, colours) as add:
        for strip in strips:
            add(strip)


def write_rgb_png(path: str | Path, strips: Iterable[NDArray[np.uint8]], size: tuple[int, int]) -> None:
    """`rgb_png` of all `strips`."""
    with rgb_png(Path(path), size) as add:
        for strip in strips:
            add(strip)


def stored_indices(mask: Mask, num_classes: int) -> NDArray[Any]:
    """What `index_png` stores: uint8, or big-endian uint16 with more than 255 classes.

    Raises:
        UsageError: an index outside the classes.
    """
    if mask.size and (int(mask.min()) < IGNORE or int(mask.max()) >= num_classes):
        raise UsageError("A mask holds an index outside the classes", got=f"{mask.min()} to {mask.max()}")
    if num_classes <= _IGNORED:
        return np.where(mask == IGNORE, _IGNORED, mask).astype(np.uint8)
    return np.where(mask == IGNORE, 65535, mask.astype(np.int32)).astype(">u2")


def is_written_here(path: Path) -> bool:
    """Whether `path` is a PNG that a function of this module has written; False where it cannot be read."""
    expected = png_chunk(b"tEXt", _SOFTWARE)
    at = len(_SIGNATURE) + 25  # after the header's chunk
    try:
        with path.open("rb") as file:
            return file.read(at + len(expected))[at:] == expected
    except OSError:
        return False


def png_chunk(name: bytes, body: bytes) -> bytes:
    """Length, name, body, checksum (PNG specification, 5.3)."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@contextmanager
def _png(path: Path, size: tuple[int, int], kind: int, bits: int, palette: bytes | None) -> Iterator[Add]:
    height, width = size
    if not (0 < height < 1 << 31 and 0 < width < 1 << 31):
        raise UsageError("A PNG cannot have this size", got=f"{width}x{height}")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(_SIGNATURE)
        file.write(png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)))
        file.write(png_chunk(b"tEXt", _SOFTWARE))
        if palette is not None:
            file.write(png_chunk(b"PLTE", palette))
        rows = _Rows(file, size, _SUB if kind == _RGB else _NO_FILTER)
        yield rows.add
        rows.finish()
        file.write(png_chunk(b"IEND", b""))


class _Rows:
    """The pixels of a PNG, packed as they come."""

    def __init__(self, file: BinaryIO, size: tuple[int, int], filtering: int) -> None:
        self._file, (self._height, self._width), self._filtering = file, size, filtering
        self._packer = zlib.compressobj(_LEVEL)
        self._written = 0

    def add(self, strip: NDArray[Any]) -> None:
        if strip.shape[1] != self._width or self._written + len(strip) > self._height:
            raise UsageError("A strip does not fit the picture", got=strip.shape, expected=f"{self._width} pixels wide")
        pixels = np.ascontiguousarray(strip).view(np.uint8).reshape(len(strip), -1)
        if self._filtering == _SUB:
            pixels = np.concatenate([pixels[:, :3], pixels[:, 3:] - pixels[:, :-3]], axis=1)  # modulo 256
        # Each row begins with its filter (9.2): none, which suits masks, or the pixel to the left, which suits
        # pictures. Neither looks at the row above, so every strip stands alone.
        rows = np.pad(pixels, ((0, 0), (1, 0)), constant_values=self._filtering)
        self._write(self._packer.compress(rows.tobytes()))
        self._written += len(strip)

    def finish(self) -> None:
        if self._written != self._height:
            raise UsageError("The strips do not fill the picture", got=f"{self._written} rows", expected=self._height)
        self._write(self._packer.flush())

    def _write(self, packed: bytes) -> None:
        if packed:
            self._file.write(png_chunk(b"IDAT", packed))
