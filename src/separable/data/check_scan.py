"""Read every picture of a set once, really decoding it, and keep what the check needs to know: about 2 KB a picture."""

import hashlib
import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from separable.data.check_processes import Scan, scan_all
from separable.data.decode import MAX_PIXELS, decode_picture
from separable.data.fingerprints import fingerprint
from separable.data.pillow import open_with_pillow
from separable.errors import BadPictureError

__all__ = ["PictureFacts", "scan_picture", "scan_pictures"]

_FLAT = 4  # greatest range of a channel, of 255, in a picture that shows nothing; JPEG noise stays below
_MOST_BYTES = 1 << 30  # the limit of `decode`, which never reads more of a file either


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What one file is. `cause` is why it cannot be read; then nothing but `size`, in bytes, is known.

    `height` and `width` are as displayed. `file` and `pixels` are digests of the bytes and of the decoded picture;
    `print` is its fingerprint. `traits` are what is unusual: "CMYK", "16-bit", "alpha", "palette", "grey",
    "animated", "turned by EXIF".
    """

    size: int
    cause: str | None = None
    format: str = ""
    height: int = 0
    width: int = 0
    traits: tuple[str, ...] = ()
    flat: bool = False
    file: bytes = b""
    pixels: bytes = b""
    print: bytes = b""


def scan_picture(path: str | Path, max_pixels: int = MAX_PIXELS) -> PictureFacts:
    """Decode one file completely. Never raises for what a file holds: that becomes `cause`."""
    size = 0
    try:
        status = os.stat(path)
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            return PictureFacts(0, cause="not a regular file")
        if size > _MOST_BYTES:
            return PictureFacts(size, cause=f"too large: {size} bytes")
        return _facts(Path(path).read_bytes(), max_pixels)
    except BadPictureError as error:
        return PictureFacts(size, cause=error.what)
    except OSError as error:
        return PictureFacts(size, cause=f"cannot be read: {error.strerror or error}")
    except MemoryError:
        return PictureFacts(size, cause="needs more memory than there is")
    except Exception as error:  # a decoder's bug must name the picture, not stop the check of all others
        return PictureFacts(size, cause=f"cannot be decoded: {type(error).__name__}: {str(error)[:120]}")


def scan_pictures(
    paths: Sequence[str | Path],
    *,
    workers: int = 0,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> list[PictureFacts]:
    """`scan_picture` of each path, in their order, whatever the number of worker processes.

    Args:
        paths: files.
        workers: processes to spread the decoding over; 0 decodes here. A picture that kills or hangs a worker, as a
            bug in a C library can, is named as unreadable and left behind; here it would take the caller along.
        max_pixels: a picture with more is refused from its header.
        progress: called with (pictures done, pictures in all) now and then, and at the end.

    Raises:
        UsageError: worker processes cannot be started.
    """
    return scan_all(_PictureScan(max_pixels), paths, len(paths), workers, progress)


@final
@dataclass(frozen=True)
class _PictureScan(Scan[str | Path, PictureFacts]):
    max_pixels: int

    def __call__(self, item: str | Path) -> PictureFacts:
        return scan_picture(item, self.max_pixels)

    def lost(self, item: str | Path, cause: str) -> PictureFacts:
        return PictureFacts(0, cause=cause)


def _facts(data: bytes, max_pixels: int) -> PictureFacts:
    pixels = decode_picture(data, max_pixels=max_pixels)
    height, width = pixels.shape[:2]
    kind, traits = _header(data, max_pixels)
    digest = hashlib.blake2b(np.array([height, width], "<i8").tobytes(), digest_size=16)
    digest.update(pixels.tobytes())
    return PictureFacts(
        size=len(data),
        format=kind,
        height=height,
        width=width,
        traits=traits,
        flat=_is_flat(pixels[::16, ::16]) and _is_flat(pixels),  # the first look spares nearly all the second
        file=hashlib.blake2b(data, digest_size=16).digest(),
        pixels=digest.digest(),
        print=fingerprint(pixels).tobytes(),
    )


def _is_flat(pixels: NDArray[np.uint8]) -> bool:
    return bool((np.ptp(pixels, axis=(0, 1)) <= _FLAT).all())


def _header(data: bytes, max_pixels: int) -> tuple[str, tuple[str, ...]]:
    """Format and traits. The picture has been decoded, so nothing here may call it unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = open_with_pillow(data, max_pixels)
            return str(image.format), tuple(_traits(image, data))
    except Exception:
        return "", ()


def _traits(image: Image.Image, data: bytes) -> Iterator[str]:
    mode = image.mode
    if mode == "CMYK":
        yield "CMYK"
    # Pillow opens a 16-bit RGB PNG as RGB; its header (PNG specification, 11.2.2) has the depth at byte 24.
    if mode.startswith("I;16") or (image.format == "PNG" and data[24:25] == b"\x10"):
        yield "16-bit"
    if mode in ("I", "F"):
        yield "32-bit"
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        yield "alpha"
    if mode in ("P", "PA"):
        yield "palette"
    if mode in ("1", "L", "LA", "La", "I", "F") or mode.startswith("I;"):
        yield "grey"
    if _quietly(lambda: getattr(image, "is_animated", False), default=False):
        yield "animated"
    if _quietly(lambda: image.getexif().get(0x0112, 1), default=1) not in (0, 1):
        yield "turned by EXIF"


def _quietly(ask: Callable[[], object], *, default: object) -> object:
    try:
        return ask()
    except Exception:  # a damaged second frame or EXIF block raises nearly anything, and says nothing about frame one
        return default
