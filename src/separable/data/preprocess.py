"""The one preprocessing: pixels to what a network sees. Evaluation, export and serving all go through `prepare`.

The resize is torch's antialiased uint8 interpolation, which follows Pillow's algorithm (a filter widened by the
shrinking factor, one pass per axis, fixed-point weights) and differs from it by rounding alone.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from separable.data.decode import MAX_PIXELS, PictureFile, Source
from separable.errors import UsageError
from separable.models.contract import InputContract

__all__ = ["normalise", "prepare", "prepare_file", "resize"]

_SHRINK_GAP = 2.0
"""A JPEG is decoded at 1/s only while it stays this many times larger than the size it is resized to: the resize then
decides what is averaged, and the result stays within a level or two of a full decode (Pillow's `reducing_gap` idea)."""
_MAX_ASPECT = 8.0


def prepare(picture: NDArray[np.uint8], contract: InputContract) -> torch.Tensor:
    """Resize and crop as the contract says.

    Args:
        picture: (height, width, 3) uint8 RGB.
        contract: `size`, `resize`, `crop_fraction` and `filter` decide.

    Returns:
        (3, size[0], size[1]) uint8, stored pixel by pixel (channels_last).
    """
    height, width = contract.size
    if contract.resize == "squash":
        return resize(picture, contract.size, contract.filter)
    _check_rule(contract)
    picture = _without_far_ends(picture, height / width)
    large, wide = _covering(picture.shape[:2], contract)
    resized = resize(picture, (large, wide), contract.filter)
    top, left = (large - height) // 2, (wide - width) // 2
    return resized[:, top : top + height, left : left + width]


def prepare_file(
    source: Source, contract: InputContract, *, decoder: str = "auto", max_pixels: int = MAX_PIXELS
) -> torch.Tensor:
    """`prepare` of a picture file, decoding a large JPEG at reduced size where that cannot be seen.

    Raises:
        BadPictureError: with a short cause.
    """
    file = PictureFile(source, max_pixels=max_pixels, decoder=decoder)
    needed = contract.size if contract.resize == "squash" else _covering(file.size, contract)
    scale = file.largest_scale(_SHRINK_GAP * needed[0], _SHRINK_GAP * needed[1])
    return prepare(file.pixels(scale=scale), contract)


def normalise(batch: torch.Tensor, contract: InputContract, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Pixels to network input: (x / high - mean) / std in fp32, channels in the contract's order, then `dtype`.

    Args:
        batch: (..., 3, height, width) uint8 RGB, on any device.
        contract: `pixel_range`, `mean`, `std` and `colour_order` decide.
        dtype: of the result; the arithmetic is fp32 in any case.

    Returns:
        The same shape, device and memory format.
    """
    if contract.colour_order == "BGR":
        batch = batch.flip(-3)
    shape = (3, 1, 1)
    mean = torch.tensor(contract.mean, dtype=torch.float64).view(shape)
    std = torch.tensor(contract.std, dtype=torch.float64).view(shape)
    # One multiplication and one addition per pixel; the constants are rounded to fp32 once.
    scale = (1.0 / (contract.pixel_range[1] * std)).to(device=batch.device, dtype=torch.float32)
    offset = (-mean / std).to(device=batch.device, dtype=torch.float32)
    return torch.addcmul(offset, batch.to(torch.float32), scale).to(dtype)


def resize(
    picture: NDArray[np.uint8] | torch.Tensor, size: tuple[int, int], filter_name: str, *, flip: bool = False
) -> torch.Tensor:
    """Antialiased resize.

    Args:
        picture: (height, width, 3) uint8, any strides; a crop is a view.
        size: (height, width) of the result.
        filter_name: "bilinear" or "bicubic".
        flip: mirror the result left to right.

    Returns:
        (3, height, width) uint8, stored pixel by pixel.
    """
    if filter_name not in ("bilinear", "bicubic"):
        raise UsageError("Unknown resize filter", got=repr(filter_name), expected="bilinear or bicubic")
    tensor = torch.from_numpy(picture) if isinstance(picture, np.ndarray) else picture
    # Contiguous first: torch would otherwise copy the crop by a route that takes longer than the resize itself.
    pixels = tensor.contiguous().permute(2, 0, 1).unsqueeze(0)
    if tuple(pixels.shape[-2:]) != tuple(size):
        pixels = functional.interpolate(pixels, size=size, mode=filter_name, antialias=True)
    return (pixels.flip(3) if flip else pixels)[0]


def _covering(size: tuple[int, ...], contract: InputContract) -> tuple[int, int]:
    """(height, width) after the resize of the "shorter" rule: both at least the contract's size."""
    scale = max(side / contract.crop_fraction / have for side, have in zip(contract.size, size, strict=True))
    height, width = (max(want, round(have * scale)) for want, have in zip(contract.size, size, strict=True))
    return height, width


def _without_far_ends(picture: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    """Cut the far ends of a strip: a 1 x 10,000 picture would be resized to a billion pixels before its centre crop."""
    height, width = picture.shape[:2]
    keep_height = min(height, math.ceil(width * aspect * _MAX_ASPECT))
    keep_width = min(width, math.ceil(height / aspect * _MAX_ASPECT))
    top, left = (height - keep_height) // 2, (width - keep_width) // 2
    return picture[top : top + keep_height, left : left + keep_width]


def _check_rule(contract: InputContract) -> None:
    if contract.resize != "shorter":
        raise UsageError("Unknown resize rule", got=repr(contract.resize), expected="shorter or squash")
    if not 0 < contract.crop_fraction <= 1:
        raise UsageError("crop_fraction out of range", got=contract.crop_fraction, expected="above 0, at most 1")
