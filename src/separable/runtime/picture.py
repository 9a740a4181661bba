"""Whatever somebody calls a picture, through the one preprocessing."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from separable.data.decode import PictureFile
from separable.data.pillow import to_rgb
from separable.data.preprocess import prepare, prepare_opened
from separable.errors import BadPictureError
from separable.models import InputContract

__all__ = ["Opened", "open_any", "pixels_of", "prepare_any", "prepare_either", "size_of"]

Opened = PictureFile | npt.NDArray[np.uint8]
"""A file whose header was read, or pixels (H, W, 3)."""


def prepare_any(image: Any, contract: InputContract) -> Tensor:
    """Return uint8 (3, H, W), H and W as the contract says.

    Args:
        image: a path, a file's bytes, an array of uint8 (H, W), (H, W, 3) or (H, W, 4), or a PIL image.

    Raises:
        BadPictureError: it cannot be decoded, or is nothing of these; the message is the cause.
    """
    return prepare_either(open_any(image), contract)


def open_any(image: Any) -> Opened:
    """The header of a path or of a file's bytes; the pixels of an array or a PIL image.

    Raises:
        BadPictureError: as `prepare_any`, so far as it shows.
    """
    if isinstance(image, str | Path | bytes | bytearray | memoryview):
        return PictureFile(image)
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if hasattr(image, "getbands"):  # a PIL image, without importing PIL to find out
        return _from_pillow(image)
    raise BadPictureError(f"not a picture but a {type(image).__name__}; a path, bytes, an array or a PIL image is one")


def prepare_either(opened: Opened, contract: InputContract) -> Tensor:
    """`prepare_any` of what was opened.

    Raises:
        BadPictureError: the pixels are truncated or damaged.
    """
    return prepare_opened(opened, contract) if isinstance(opened, PictureFile) else prepare(opened, contract)


def size_of(opened: Opened) -> tuple[int, int]:
    """Height and width as displayed."""
    return opened.size if isinstance(opened, PictureFile) else (opened.shape[0], opened.shape[1])


def pixels_of(opened: Opened) -> npt.NDArray[np.uint8]:
    """All pixels as displayed, (height, width, 3) RGB.

    Raises:
        BadPictureError: they are truncated or damaged.
    """
    return opened.pixels() if isinstance(opened, PictureFile) else opened


def _from_array(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape or channels not in (1, 3, 4):
        shape = "x".join(str(side) for side in image.shape)
        raise BadPictureError(f"an array of {image.dtype} {shape}, not of uint8 HxW, HxWx3 (RGB) or HxWx4 (RGBA)")
    if channels == 3:
        return np.array(image)  # a copy: torch takes neither read-only arrays, as PIL gives them, nor reversed ones
    from PIL import Image

    return to_rgb(Image.fromarray(image.reshape(image.shape[:2]) if channels == 1 else image))


def _from_pillow(image: Any) -> npt.NDArray[np.uint8]:
    from PIL import ImageOps

    try:
        image.load()  # a TIFF turns itself while it loads; only then does what is left of the orientation count
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # decoders raise nearly every built-in exception
        raise BadPictureError(f"damaged {image.format or 'picture'}: {error}") from error
    return to_rgb(image)
