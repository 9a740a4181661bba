"""PNG files read from top to bottom, so that a picture larger than memory can be.

zlib unpacks the rows as they are needed; undoing their filters is left to Pillow, as small PNGs of some rows each,
which begin with the last row before, because a filter may refer to it.
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from separable.data.decode import decode_picture
from separable.data.headers import exif_orientation
from separable.data.pillow import open_with_pillow, stored_values
from separable.errors import BadPictureError
from separable.segmentation.png_writer import png_chunk
from separable.segmentation.rows import LARGEST_SIDE, TooLargeError

__all__ = ["PngRows"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_KIND_OF_BYTES = {1: 0, 2: 4, 3: 2, 4: 6}
"""The colour type with 8 bits a channel whose pixels have so many bytes: filters look at bytes alone."""
_READ = 1 << 16
_PIECE = 1 << 21  # bytes of rows at a time: Pillow and zlib hold several copies of them
_MOST_CHUNKS = 1_000_000
_LONGEST_EXTRA = 1 << 16


class PngRows:
    """A PNG as `rows.Rows`; `size` is (height, width).

    Raises:
        BadPictureError: damaged, or of a kind that cannot be read by rows: interlaced, turned by EXIF, or 16 bits a
            channel in colour.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise BadPictureError(f"cannot be read: {error.strerror or error}") from error
        self._extra = b""
        self._data: list[tuple[int, int]] = []
        try:
            self._read_chunks()
        except BadPictureError:
            self.close()
            raise
        self._unpacker = zlib.decompressobj()
        self._next = 0
        self._tail = b""
        self._before = bytes(self._row_bytes)
        self._row = 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def read(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """(bottom - top, width, 3) uint8, as `decode_picture` gives it; `top` never lies above an earlier call's end.

        Raises:
            BadPictureError: truncated or damaged.
        """
        height, width = self.size
        if not self._row <= top <= bottom <= height:
            raise ValueError(f"rows {top} to {bottom} of {height} after row {self._row}")
        at_once = max(1, _PIECE // self._row_bytes)
        while self._row < top:
            self._raw(min(at_once, top - self._row))
        result = np.zeros((bottom - top, width, 3), np.uint8)
        while self._row < bottom:
            first = self._row - top
            pixels = self._pixels(self._raw(min(at_once, bottom - self._row)))
            result[first : first + len(pixels)] = pixels
        return result

    def _pixels(self, raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """RGB of rows of bytes."""
        width = self.size[1]
        if self._kind == 2 and self._bits == 8 and not self._extra:
            return raw.reshape(len(raw), width, 3)
        rows = np.pad(raw, ((0, 0), (1, 0))).tobytes()
        return decode_picture(_png(width, len(raw), self._bits, self._kind, self._extra, rows), decoder="pillow")

    def _raw(self, count: int) -> NDArray[np.uint8]:
        """The next rows' bytes without their filters, (count, bytes a row)."""
        wanted = count * (self._row_bytes + 1)
        filtered = self._unpack(wanted)
        kind, pixel = _KIND_OF_BYTES[self._pixel_bytes], self._pixel_bytes
        rows = b"\0" + self._before + filtered
        small = _png(self._row_bytes // pixel, count + 1, 8, kind, b"", rows)
        raw = _bytes_of(small).reshape(count + 1, self._row_bytes)[1:]
        self._before = raw[-1].tobytes()
        self._row += count
        return raw

    def _unpack(self, wanted: int) -> bytes:
        parts = []
        while wanted:
            if not self._tail:
                self._tail = self._more()
            try:
                part = self._unpacker.decompress(self._tail, wanted)
            except zlib.error as error:
                raise BadPictureError("damaged PNG: its compressed data is corrupt") from error
            self._tail = self._unpacker.unconsumed_tail
            if not part and self._unpacker.eof:
                raise BadPictureError("truncated PNG")
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _more(self) -> bytes:
        """The next piece of compressed data."""
        while self._next < len(self._data):
            at, length = self._data[self._next]
            self._file.seek(at)
            piece = self._file.read(min(length, _READ))
            if not piece and length:
                raise BadPictureError("truncated PNG")
            self._data[self._next] = (at + len(piece), length - len(piece))
            if length == len(piece):
                self._next += 1
            if piece:
                return piece
        raise BadPictureError("truncated PNG")

    def _read_chunks(self) -> None:
        header = self._file.read(33)
        if len(header) < 33 or not header.startswith(_SIGNATURE) or header[12:16] != b"IHDR":
            raise BadPictureError("damaged PNG header")
        width, height, self._bits, self._kind, _, _, interlaced = struct.unpack(">IIBBBBB", header[16:29])
        if zlib.crc32(header[12:29]) != struct.unpack(">I", header[29:])[0] or not (0 < width < 1 << 31 > height > 0):
            raise BadPictureError("damaged PNG header")
        if self._kind not in _CHANNELS or self._bits not in (1, 2, 4, 8, 16):
            raise BadPictureError("damaged PNG header")
        if max(height, width) > LARGEST_SIDE:  # before a row of it is held in memory
            raise TooLargeError(f"too large: {width}x{height} pixels")
        self.size = (height, width)
        bits = _CHANNELS[self._kind] * self._bits
        self._row_bytes, self._pixel_bytes = -(-width * bits // 8), max(1, bits // 8)
        for _ in range(_MOST_CHUNKS):
            if self._take_chunk():
                break
        if not self._data:
            raise BadPictureError("truncated PNG")
        if interlaced or self._pixel_bytes not in _KIND_OF_BYTES:
            raise BadPictureError("a PNG that cannot be read by rows: interlaced, or 16 bits a channel in colour")

    def _take_chunk(self) -> bool:
        """Note one chunk; whether it was the last."""
        start = self._file.read(8)
        if len(start) < 8:
            return True
        length, name = struct.unpack(">I4s", start)
        at = self._file.tell()
        if name == b"IDAT":
            self._data.append((at, length))
        elif name in (b"PLTE", b"tRNS") and length <= _LONGEST_EXTRA:
            self._extra += png_chunk(name, self._file.read(length))
        elif name == b"eXIf" and length <= _LONGEST_EXTRA and exif_orientation(self._file.read(length)) != 1:
            raise BadPictureError("a PNG that cannot be read by rows: turned by EXIF")
        self._file.seek(at + length + 4)
        return bool(name == b"IEND")


def _png(width: int, height: int, bits: int, kind: int, extra: bytes, rows: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(rows, 0))
    return _SIGNATURE + header + extra + data + png_chunk(b"IEND", b"")


def _bytes_of(png: bytes) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = stored_values(open_with_pillow(png, 1 << 40))
    return values
