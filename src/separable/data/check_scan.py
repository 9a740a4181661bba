"""Read every picture of a set once, really decoding it, and keep what the check needs to know: about 2 KB a picture."""

import hashlib
import multiprocessing
import os
import stat
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from separable.data.decode import MAX_PIXELS, decode_picture
from separable.data.fingerprints import fingerprint
from separable.data.pillow import open_with_pillow
from separable.errors import BadPictureError, UsageError

__all__ = ["PictureFacts", "scan_picture", "scan_pictures"]

_FLAT = 4  # greatest range of a channel, of 255, in a picture that shows nothing; JPEG noise stays below
_MOST_BYTES = 1 << 30  # the limit of `decode`, which never reads more of a file either
_SHARE = 16  # pictures handed to a worker at once
_PATIENCE = 120.0  # seconds for a picture, before it counts as hanging


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
    if workers > 0 and len(paths) > _SHARE:
        portions = _in_processes([str(path) for path in paths], workers, max_pixels)
    else:
        portions = ([scan_picture(path, max_pixels)] for path in paths)
    facts: list[PictureFacts] = []
    for portion in portions:
        facts += portion
        if progress is not None:
            progress(len(facts), len(paths))
    return facts


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


def _in_processes(paths: list[str], workers: int, max_pixels: int) -> Iterator[list[PictureFacts]]:
    """Portions in order, at most two a worker under way, so that memory does not grow with the set."""
    shares = iter([paths[start : start + _SHARE] for start in range(0, len(paths), _SHARE)])
    waiting: deque[tuple[list[str], Future[list[PictureFacts]] | None]] = deque()
    pool = _pool(workers)
    try:
        while True:
            for share in islice(shares, 2 * workers - len(waiting)):
                waiting.append((share, _submit(pool, share, max_pixels)))
            if not waiting:
                return
            share, future = waiting.popleft()
            facts = _result(future)
            if facts is None:
                # Every share under way is lost with the pool: the oldest is read picture by picture, the rest again.
                _end(pool)
                _demand_processes()
                facts = list(_scan_each(share, max_pixels))
                pool = _pool(workers)
                waiting = deque((other, _submit(pool, other, max_pixels)) for other, _ in waiting)
            yield facts
    finally:
        _end(pool)


def _submit(pool: ProcessPoolExecutor, share: list[str], max_pixels: int) -> Future[list[PictureFacts]] | None:
    try:
        return pool.submit(_scan_share, share, max_pixels)
    except BrokenProcessPool:
        return None


def _result(future: Future[list[PictureFacts]] | None) -> list[PictureFacts] | None:
    try:
        return None if future is None else future.result(timeout=_PATIENCE * _SHARE)
    except (BrokenProcessPool, TimeoutError):
        return None


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not forked: a copy of a process whose threads hold locks can hang, and torch's threads do.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _demand_processes() -> None:
    """Tell pictures that kill their process from processes that do not even start.

    Raises:
        UsageError: a process without a picture ends too.
    """
    pool = _pool(1)
    try:
        pool.submit(int).result(timeout=_PATIENCE)
    except (BrokenProcessPool, TimeoutError) as error:
        raise UsageError(
            "Processes that look at pictures cannot be started from here",
            expected='a script whose work stands below `if __name__ == "__main__":`, and memory for them',
            fix="Put it there, or look at the pictures with workers=0",
        ) from error
    finally:
        _end(pool)


def _scan_share(paths: list[str], max_pixels: int) -> list[PictureFacts]:
    return [scan_picture(path, max_pixels) for path in paths]


def _scan_each(paths: list[str], max_pixels: int) -> Iterator[PictureFacts]:
    """One picture at a time, each in a process that it may kill."""
    pool = _pool(1)
    try:
        for path in paths:
            try:
                yield pool.submit(scan_picture, path, max_pixels).result(timeout=_PATIENCE)
                continue
            except BrokenProcessPool:
                yield PictureFacts(0, cause="crashes the decoder")
            except TimeoutError:
                yield PictureFacts(0, cause=f"not decoded within {_PATIENCE:g} s")
            _end(pool)
            pool = _pool(1)
    finally:
        _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    """Without waiting for what the workers are at: they may hang."""
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)
