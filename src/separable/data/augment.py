"""Augmentation: every operation is a pure function of (seed, epoch, sample), so order and workers cannot change it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from separable.data.augment_config import AugmentConfig
from separable.data.decode import MAX_PIXELS, PictureFile, Source
from separable.data.geometry import Box, crop_box, erased_box, flips, warp_grid
from separable.data.mixing import mix_batch
from separable.data.photometric import colour_jitter, rand_augment
from separable.data.preprocess import prepare, prepare_opened, resize
from separable.data.random import Key, random_bytes
from separable.models.contract import InputContract

__all__ = ["AugmentConfig", "Box", "augment", "augment_file", "augment_opened", "crop_box", "mix_batch"]


_SHRINK_GAP = 2.0
"""As in `preprocess`, but nearer: a training picture is distorted anyway."""


def augment(picture: NDArray[np.uint8], contract: InputContract, config: AugmentConfig, key: Key) -> torch.Tensor:
    """Augment decoded pixels.

    Args:
        picture: (height, width, 3) uint8 RGB.
        contract: `size` and `filter` are used; without a random crop, the whole of it.
        config: what to do.
        key: (seed, epoch, sample). The result depends on nothing else.

    Returns:
        (3, size[0], size[1]) uint8, stored pixel by pixel (channels_last).
    """
    flip = flips(config, key)
    if config.random_resized_crop is None:
        return _distort(prepare(picture, contract), config, key, flip)
    size = (picture.shape[0], picture.shape[1])
    box = crop_box(size, config.random_resized_crop, config.crop_ratio, key)
    return _distort(_cut(picture, box, contract, flip), config, key, False)


def augment_file(
    source: Source,
    contract: InputContract,
    config: AugmentConfig,
    key: Key,
    *,
    decoder: str = "auto",
    max_pixels: int = MAX_PIXELS,
) -> torch.Tensor:
    """`augment` of a picture file, decoding only what the crop needs.

    The crop is drawn from the header's size. Rows below it are not decoded, and a JPEG is decoded at 1/2, 1/4 or 1/8
    where the crop stays twice as large as the result.

    Raises:
        BadPictureError: with a short cause.
    """
    return augment_opened(PictureFile(source, max_pixels=max_pixels, decoder=decoder), contract, config, key)[0]


def augment_opened(
    file: PictureFile, contract: InputContract, config: AugmentConfig, key: Key
) -> tuple[torch.Tensor, Box | None]:
    """`augment_file` of a file whose header was read, and the region that the random crop came to, if there is one.

    Raises:
        BadPictureError: with a short cause.
    """
    flip = flips(config, key)
    if config.random_resized_crop is None:
        return _distort(prepare_opened(file, contract), config, key, flip), None
    box = crop_box(file.size, config.random_resized_crop, config.crop_ratio, key)
    height, width = contract.size
    scale = file.largest_scale(_SHRINK_GAP * height, _SHRINK_GAP * width, of=(box.height, box.width))
    pixels = file.pixels(scale=scale, rows=box.top + box.height)
    inside = box.shrunk(scale, pixels.shape)
    return _distort(_cut(pixels, inside, contract, flip), config, key, False), inside.enlarged(scale, file.size)


def _cut(pixels: NDArray[np.uint8], box: Box, contract: InputContract, flip: bool) -> torch.Tensor:
    crop = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
    return resize(crop, contract.size, contract.filter, flip=flip)


def _distort(image: torch.Tensor, config: AugmentConfig, key: Key, flip: bool) -> torch.Tensor:
    """Everything after the crop, on (3, height, width) uint8, in this order."""
    if flip:
        image = image.flip(2)
    size = (image.shape[1], image.shape[2])
    grid = warp_grid(size, config, key)
    if grid is not None:
        image = _warp(image, grid)
    if config.rand_augment is not None:
        image = rand_augment(image, *config.rand_augment, key)
    if config.colour:
        image = colour_jitter(image, config.colour, key)
    box = erased_box(size, config.random_erasing, key) if config.random_erasing else None
    return _erase(image, box, key) if box is not None else image


def _warp(image: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Bilinear, repeating the border pixels."""
    warped = functional.grid_sample(image[None].float(), grid, padding_mode="border", align_corners=False)
    return warped[0].round().clamp(0, 255).to(torch.uint8)


def _erase(image: torch.Tensor, box: Box, key: Key) -> torch.Tensor:
    """A rectangle becomes noise."""
    noise = random_bytes(key, "erase noise", box.height * box.width * 3).reshape(box.height, box.width, 3)
    image = image.clone()
    image[:, box.top : box.top + box.height, box.left : box.left + box.width] = torch.from_numpy(noise).permute(2, 0, 1)
    return image
