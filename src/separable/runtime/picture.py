"""Whatever somebody calls a picture, through the one preprocessing."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from separable.data.pillow import to_rgb
from separable.data.preprocess import prepare, prepare_file
from separable.errors import BadPictureError
from separable.models import InputContract

__all__ = ["prepare_any"]


def prepare_any(image: Any, contract: InputContract) -> Tensor:
    """Return uint8 (3, H, W), H and W as the contract says.

    Args:
        image: a path, a file's bytes, an array of uint8 (H, W), (H, W, 3) or (H, W, 4), or a PIL image.

    Raises:
        BadPictureError: it cannot be decoded, or is nothing of these; the message is the cause.
    """
    if isinstance(image, str | Path | bytes | bytearray | memoryview):
        return prepare_file(image, contract)
    if isinstance(image, np.ndarray):
        return prepare(_from_array(image), contract)
    if hasattr(image, "getbands"):  # a PIL image, without importing PIL to find out
        return prepare(_from_pillow(image), contract)
    raise BadPictureError(f"not a picture but a {type(image).__name__}; a path, bytes, an array or a PIL image is one")


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
