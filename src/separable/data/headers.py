"""What the first bytes of a picture file say: its format, its size, its orientation. Nothing here decodes pixels."""

import re
import struct
from dataclasses import dataclass

__all__ = ["JpegHeader", "claimed_size", "exif_orientation", "foreign_format", "png_exif", "read_jpeg_header", "sniff"]

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_FOREIGN = (
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xffO\xffQ", "a JPEG 2000 picture"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"\x93NUMPY", "a numpy array"),
    (b"PK\x03\x04", "a zip archive"),
)


def sniff(data: bytes) -> str | None:
    """ "JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", or None: by content, never by the file's name."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if re.match(rb"P[1-6]\s", data[:3]):
        return "PPM"
    return None


def foreign_format(data: bytes) -> str | None:
    """A name for a file that is a picture or a document, of a kind that is not read here."""
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "an AVIF picture" if brand in (b"avif", b"avis") else "a HEIC picture or a video"
    if data[1:4] == b"PNG":
        return "a PNG with a damaged signature"
    if b"<svg" in data[:512]:
        return "an SVG drawing"
    return next((name for magic, name in _FOREIGN if data.startswith(magic)), None)


def claimed_size(data: bytes, kind: str) -> tuple[int, int] | None:
    """(height, width) as a PNG, GIF or BMP header claims, without asking any decoder; None for the other formats."""
    try:
        if kind == "PNG" and data[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", data, 16)
        elif kind == "GIF":
            width, height = struct.unpack_from("<HH", data, 6)
        elif kind == "BMP" and struct.unpack_from("<I", data, 14)[0] >= 40:
            width, height = struct.unpack_from("<ii", data, 18)
        else:
            return None
    except struct.error:
        return None
    return abs(height), abs(width)


@dataclass(frozen=True)
class JpegHeader:
    """Frame header of a JPEG (ITU T.81, B.2.2) with what decides how it can be decoded."""

    height: int
    width: int
    components: int
    orientation: int
    """EXIF orientation, 1 to 8."""
    baseline: bool
    """8 bits, Huffman, one interleaved scan: rows can be decoded from the top without the rest."""
    eight_bit: bool
    frame_at: int
    """Offset of the frame header's length field; the height is the two bytes at +3."""
    scan_at: int
    """Offset of the first scan: everything from here is entropy-coded."""


def read_jpeg_header(data: bytes) -> JpegHeader | None:
    """The header of a JPEG file, or None where the markers make no sense."""
    at, end, orientation = 2, len(data) - 9, 1
    frame: tuple[int, int] | None = None
    while at < end:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # fill bytes and markers without a length
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xDA:
            return _finish(data, frame, orientation, at)
        length = data[at + 2] << 8 | data[at + 3]
        if length < 2 or marker == 0xD9:
            return None
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = (marker, at + 2)
        elif marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = exif_orientation(data[at + 10 : at + 2 + length])
        at += 2 + length
    return None


def _finish(data: bytes, frame: tuple[int, int] | None, orientation: int, scan_at: int) -> JpegHeader | None:
    if frame is None:
        return None
    marker, at = frame
    precision, height, width, components = struct.unpack_from(">BHHB", data, at + 2)
    return JpegHeader(
        height=height,
        width=width,
        components=components,
        orientation=orientation,
        baseline=marker in (0xC0, 0xC1) and precision == 8 and data[scan_at + 4] == components,
        eight_bit=precision == 8 and marker in (0xC0, 0xC1, 0xC2),
        frame_at=at,
        scan_at=scan_at,
    )


def png_exif(data: bytes) -> bytes:
    """The EXIF block of a PNG, wherever in the file it is; empty where there is none."""
    at = 8
    for _ in range(1_000_000):  # chunks; without a limit, a gigabyte of empty ones would take a minute
        if at + 8 > len(data):
            break
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"eXIf":
            return data[at + 8 : at + 8 + length]
        at += 12 + length
    return b""


def exif_orientation(block: bytes) -> int:
    """Orientation, 1 to 8, from a TIFF-structured EXIF block; 1 where it has none, or is damaged."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, at)
        for entry in range(at + 2, at + 2 + 12 * min(count, 1000), 12):
            tag, kind = struct.unpack_from(order + "HH", block, entry)
            if tag == 0x0112:
                value = struct.unpack_from(order + ("I" if kind == 4 else "H"), block, entry + 8)[0]
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
