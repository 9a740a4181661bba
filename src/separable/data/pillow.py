"""Pillow behind one door: what it reads becomes 8-bit RGB, anything else one short cause, and no warning escapes.

What becomes of unusual pixels: transparency is composited over white, whatever background the file suggests; 16-bit
values keep their high byte; palettes are looked up; CMYK is converted without a profile; an animation or a file of
several pages gives its first picture; 32-bit integers and floats, which name no range, are read as `_range_of` says.
"""

import io
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from separable.data.headers import claimed_size, foreign_format, sniff
from separable.errors import BadPictureError

__all__ = ["open_with_pillow", "refuse_size", "stored_values", "to_rgb"]

# Without a handler Pillow's log lines about damaged files would go to stderr through logging's last resort.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_lock = threading.Lock()
_inside = 0
_filters: warnings.catch_warnings | None = None


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore warnings that come from inside Pillow: what they say about a file is either harmless or raised as well.

    `warnings.catch_warnings` is not made for threads, so the first thread in enters it and the last one out leaves it.
    """
    global _inside, _filters
    with _lock:
        _inside += 1
        if _inside == 1:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _filters is not None:
                _filters.__exit__(None, None, None)
                _filters = None


def refuse_size(height: int, width: int, max_pixels: int) -> None:
    """Raises:
    BadPictureError: a side is zero, or the picture has more than `max_pixels`.
    """
    if width <= 0 or height <= 0:
        raise BadPictureError(f"zero {'width' if width <= 0 else 'height'}")
    if height * width > max_pixels:
        raise BadPictureError(f"too large: {width}x{height} pixels, the limit is {max_pixels}")


def open_with_pillow(data: bytes, max_pixels: int) -> Image.Image:
    """The picture with its header read and its pixels not yet decoded.

    Raises:
        BadPictureError: with a short cause; too many pixels are refused here, before any memory is taken for them.
    """
    kind = sniff(data)
    if kind is None:
        foreign = foreign_format(data)
        raise BadPictureError(f"not a picture that is read here: {foreign}" if foreign else "not a picture")
    claimed = claimed_size(data, kind)
    if claimed is not None:
        refuse_size(*claimed, max_pixels)
    with _causes(kind), _quiet():
        image = Image.open(io.BytesIO(data), formats=[kind])
    refuse_size(image.height, image.width, max_pixels)
    return image


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Decode the pixels of `open_with_pillow`'s picture: (height, width, 3) uint8, orientation not applied.

    Raises:
        BadPictureError: the pixels are truncated or damaged.
    """
    with _causes(image.format or "picture"), _quiet():
        image.load()
        return _convert(image)


def stored_values(image: Image.Image) -> NDArray[Any]:
    """Decode the values of `open_with_pillow`'s picture as Pillow has them: palette indices stay indices.

    Returns:
        (height, width), or (height, width, channels) where the mode has several; orientation not applied.

    Raises:
        BadPictureError: the pixels are truncated or damaged.
    """
    with _causes(image.format or "picture"), _quiet():
        image.load()
        return np.array(image)


def _convert(image: Image.Image) -> NDArray[np.uint8]:
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return np.array(image)
    if mode in ("I", "F") or mode.startswith("I;"):
        return _wide_grey(image)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        # `La` and `RGBa` are premultiplied; Pillow undoes that on the way to RGBA, in two steps for `La`.
        image = image.convert("LA") if mode == "La" else image
        return _over_white(np.array(image.convert("RGBA")))
    if mode == "P" and image.palette is not None and image.palette.mode == "RGBA":
        return _over_white(np.array(image.convert("RGBA")))
    if mode == "LAB":
        raise BadPictureError("colour mode LAB is not read; convert the picture to RGB")
    return np.array(image.convert("RGB"))


def _over_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Composite over white: round(c * a / 255 + 255 - a), in integers."""
    alpha = rgba[..., 3:].astype(np.uint32)
    mixed = rgba[..., :3] * alpha + 255 * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _wide_grey(image: Image.Image) -> NDArray[np.uint8]:
    values = np.array(image)
    transparent = image.info.get("transparency")
    if image.mode.startswith("I;"):
        grey = (values >> 8).astype(np.uint8)
    else:
        grey = _range_of(values)
    if isinstance(transparent, int):
        grey = np.where(values == transparent, np.uint8(255), grey)
    return np.repeat(grey[..., None], 3, axis=2)


def _range_of(values: NDArray[Any]) -> NDArray[np.uint8]:
    """32-bit integers and floats to 8 bit. Such files do not say their range, so the values have to.

    Floats within [0, 1] are fractions of white; anything within [0, 255] is 8-bit; within [0, 65535] 16-bit; anything
    else is stretched from its least to its greatest value.
    """
    if not np.isfinite(values).all():
        raise BadPictureError("pixel values that are not finite")
    low, high = float(values.min()), float(values.max())
    wide = values.astype(np.float64)
    if low >= 0 and high <= 1 and values.dtype.kind == "f":
        wide *= 255
    elif low >= 0 and high <= 255:
        pass
    elif low >= 0 and high <= 65535:
        return (wide.astype(np.uint16) >> 8).astype(np.uint8)
    else:
        wide = (wide - low) * (255 / (high - low))
    return np.rint(wide).astype(np.uint8)


@contextmanager
def _causes(kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one short cause. Decoders raise nearly every built-in exception."""
    try:
        yield
    except BadPictureError:
        raise
    except Image.DecompressionBombError as error:
        raise BadPictureError(f"too large: {_first_line(error)}") from error
    except MemoryError as error:
        raise BadPictureError("needs more memory than there is") from error
    except UnidentifiedImageError as error:
        raise BadPictureError(f"damaged {kind} header") from error
    except (EOFError, struct.error, IndexError) as error:
        raise BadPictureError(f"truncated {kind}") from error
    except zlib.error as error:
        raise BadPictureError(f"damaged {kind}: its compressed data is corrupt") from error
    except Exception as error:
        text = _first_line(error)
        if "truncated" in text.lower():
            raise BadPictureError(f"truncated {kind}") from error
        if "too large" in text.lower():
            raise BadPictureError(f"too large: {text}") from error
        raise BadPictureError(f"damaged {kind}: {text}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")
