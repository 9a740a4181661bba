"""The one preprocessing: pixels to what a network sees. Evaluation, export and serving all go through `prepare`.

The resize is torch's antialiased uint8 interpolation, which follows Pillow's algorithm (a filter widened by the
shrinking factor, one pass per axis, fixed-point weights) and differs from it by rounding alone.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from separable.data.decode import MAX_PIXELS, PictureFile, Source
from separable.errors import UsageError
from separable.models.contract import InputContract

__all__ = [
    "fitted_sizes",
    "normalise",
    "prepare",
    "prepare_file",
    "prepare_opened",
    "resize",
    "resized_pictures",
    "seen_region",
]

_SHRINK_GAP = 3.0
"""A JPEG is decoded at 1/s only while it stays this many times larger than the size it is resized to: the resize then
decides what is averaged (Pillow's `reducing_gap`). Against a full decode, photographs differ by 0.2 levels on average
and by 3 at most; with a gap of 2 by 1.7 and 24."""
_MAX_ASPECT = 8.0


def prepare(picture: NDArray[np.uint8], contract: InputContract) -> torch.Tensor:
    """Resize and crop as the contract says.

    Args:
        picture: (height, width, 3) uint8 RGB.
        contract: `size`, `resize`, `crop_fraction` and `filter` decide.

    Returns:
        (3, size[0], size[1]) uint8, stored pixel by pixel (channels_last).
    """
    picture = _without_far_ends(picture, contract)
    return _centre(resize(picture, _resized_size(picture.shape[:2], contract), contract.filter), contract)


def prepare_file(
    source: Source, contract: InputContract, *, decoder: str = "auto", max_pixels: int = MAX_PIXELS
) -> torch.Tensor:
    """`prepare` of a picture file, decoding a large JPEG at reduced size where that cannot be seen.

    Raises:
        BadPictureError: with a short cause.
    """
    return prepare_opened(PictureFile(source, max_pixels=max_pixels, decoder=decoder), contract)


def prepare_opened(file: PictureFile, contract: InputContract) -> torch.Tensor:
    """`prepare_file` of a file whose header was read.

    Raises:
        BadPictureError: the pixels are truncated or damaged.
    """
    [whole] = resized_pictures(file, [contract])
    return _centre(whole, contract)


def resized_pictures(file: PictureFile, contracts: Sequence[InputContract]) -> Iterator[torch.Tensor]:
    """The picture as each contract resizes it, before anything is cut out; decoded once for all.

    Args:
        file: a file whose header was read.
        contracts: of the same proportions, that differ in `size` and `crop_fraction` alone.

    Returns:
        For each, (3, height, width) uint8, stored pixel by pixel.

    Raises:
        BadPictureError: the pixels are truncated or damaged.
    """
    kept = _kept(file.size, contracts[0])
    # From the full size, not from the decoded one: a side that rounds differently would shift the crop by a pixel.
    sizes = [_resized_size(kept, contract) for contract in contracts]
    if kept != file.size:
        picture = _without_far_ends(file.pixels(), contracts[0])
    else:
        height, width = max(sizes)
        picture = file.pixels(scale=file.largest_scale(_SHRINK_GAP * height, _SHRINK_GAP * width))
    return (resize(picture, size, contract.filter) for size, contract in zip(sizes, contracts, strict=True))


def seen_region(size: tuple[int, int], contract: InputContract) -> tuple[float, float, float, float]:
    """The part of a picture of `size` (height, width) that `prepare` keeps, in the picture's own pixels.

    Returns:
        (top, left, height, width); all of it where the contract squashes.
    """
    kept, resized = fitted_sizes(size, contract)
    region = []
    for whole, inside, scaled, wanted in zip(size, kept, resized, contract.size, strict=True):
        region.append(((whole - inside) // 2 + (scaled - wanted) // 2 * inside / scaled, wanted * inside / scaled))
    (top, height), (left, width) = region
    return top, left, height, width


def fitted_sizes(size: tuple[int, ...], contract: InputContract) -> tuple[tuple[int, int], tuple[int, int]]:
    """What becomes of a picture of `size` (height, width): the centred part kept of it, and what that is resized to.

    `prepare` cuts the contract's size out of the middle of the latter, rounding the border above and left down.
    """
    kept = _kept(size, contract)
    return kept, _resized_size(kept, contract)


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
    # Contiguous, and a batch of one before the permutation: only with the strides of a true channels_last batch does
    # torch keep to the pixel order on the way in and out, which halves the time of the resize.
    pixels = tensor.contiguous().unsqueeze(0).permute(0, 3, 1, 2)
    if tuple(pixels.shape[-2:]) != tuple(size):
        pixels = functional.interpolate(pixels, size=size, mode=filter_name, antialias=True)
    return (pixels.flip(3) if flip else pixels)[0]


def _centre(picture: torch.Tensor, contract: InputContract) -> torch.Tensor:
    """The contract's size, out of the middle of a resized picture."""
    height, width = contract.size
    top, left = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
    return picture[:, top : top + height, left : left + width]


def _resized_size(size: tuple[int, ...], contract: InputContract) -> tuple[int, int]:
    """(height, width) that a picture of `size` is resized to before the crop; both at least the contract's."""
    if contract.resize == "squash":
        return contract.size
    if contract.resize != "shorter":
        raise UsageError("Unknown resize rule", got=repr(contract.resize), expected="shorter or squash")
    if not 0 < contract.crop_fraction <= 1:
        raise UsageError("crop_fraction out of range", got=contract.crop_fraction, expected="above 0, at most 1")
    scale = max(side / contract.crop_fraction / have for side, have in zip(contract.size, size, strict=True))
    height, width = (max(want, round(have * scale)) for want, have in zip(contract.size, size, strict=True))
    return height, width


def _kept(size: tuple[int, ...], contract: InputContract) -> tuple[int, int]:
    """The size without the far ends of a strip: 1 x 10,000 would be resized to a billion pixels before its crop."""
    height, width = size[0], size[1]
    aspect = contract.size[0] / contract.size[1]
    if contract.resize == "squash":
        return height, width
    return min(height, math.ceil(width * aspect * _MAX_ASPECT)), min(width, math.ceil(height / aspect * _MAX_ASPECT))


def _without_far_ends(picture: NDArray[np.uint8], contract: InputContract) -> NDArray[np.uint8]:
    height, width = _kept(picture.shape, contract)
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]
