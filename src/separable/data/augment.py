"""Augmentation: every operation is a pure function of (seed, epoch, sample), so order and workers cannot change it."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from separable.data.augment_config import AugmentConfig
from separable.data.decode import MAX_PIXELS, PictureFile, Source
from separable.data.mixing import mix_batch
from separable.data.photometric import colour_jitter, rand_augment
from separable.data.preprocess import prepare, prepare_file, resize
from separable.data.random import Key, random_bytes, uniforms
from separable.models.contract import InputContract

__all__ = ["AugmentConfig", "Box", "augment", "augment_file", "crop_box", "mix_batch"]


_SHRINK_GAP = 2.0
"""As in `preprocess`, but nearer: a training picture is distorted anyway."""


@dataclass(frozen=True)
class Box:
    """A region in whole pixels."""

    top: int
    left: int
    height: int
    width: int

    def shrunk(self, scale: int, size: tuple[int, ...]) -> "Box":
        """The same region of a picture decoded at 1/scale with the given (height, width), to the nearest pixel."""
        if scale == 1:
            return self
        height = min(size[0], max(1, round(self.height / scale)))
        width = min(size[1], max(1, round(self.width / scale)))
        top, left = min(round(self.top / scale), size[0] - height), min(round(self.left / scale), size[1] - width)
        return Box(top, left, height, width)


def crop_box(size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float], key: Key) -> Box:
    """The Inception crop: a random share of the area at a random aspect ratio, anywhere it fits.

    Ten draws; after ten that do not fit, the largest centred region whose ratio is within bounds.
    """
    height, width = size
    draws = uniforms(key, "crop", 22)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for share, shape in zip(draws[2::2], draws[3::2], strict=True):
        target = height * width * (area[0] + share * (area[1] - area[0]))
        aspect = math.exp(low + shape * (high - low))
        w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            return Box(int(draws[0] * (height - h + 1)), int(draws[1] * (width - w + 1)), h, w)
    h = max(1, min(height, round(width / ratio[0])))
    w = max(1, min(width, round(height * ratio[1])))
    return Box((height - h) // 2, (width - w) // 2, h, w)


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
    flip = _flips(config, key)
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
    flip = _flips(config, key)
    if config.random_resized_crop is None:
        prepared = prepare_file(source, contract, decoder=decoder, max_pixels=max_pixels)
        return _distort(prepared, config, key, flip)
    file = PictureFile(source, max_pixels=max_pixels, decoder=decoder)
    box = crop_box(file.size, config.random_resized_crop, config.crop_ratio, key)
    height, width = contract.size
    scale = file.largest_scale(_SHRINK_GAP * height, _SHRINK_GAP * width, of=(box.height, box.width))
    pixels = file.pixels(scale=scale, rows=box.top + box.height)
    return _distort(_cut(pixels, box.shrunk(scale, pixels.shape), contract, flip), config, key, False)


def _flips(config: AugmentConfig, key: Key) -> bool:
    return config.flip and uniforms(key, "flip", 1)[0] < 0.5


def _cut(pixels: NDArray[np.uint8], box: Box, contract: InputContract, flip: bool) -> torch.Tensor:
    crop = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
    return resize(crop, contract.size, contract.filter, flip=flip)


def _distort(image: torch.Tensor, config: AugmentConfig, key: Key, flip: bool) -> torch.Tensor:
    """Everything after the crop, on (3, height, width) uint8, in this order."""
    if flip:
        image = image.flip(2)
    if config.shift or config.rotate or config.zoom:
        image = _warp(image, config, key)
    if config.rand_augment is not None:
        image = rand_augment(image, *config.rand_augment, key)
    if config.colour:
        image = colour_jitter(image, config.colour, key)
    if config.random_erasing:
        image = _erase(image, config.random_erasing, key)
    return image


def _warp(image: torch.Tensor, config: AugmentConfig, key: Key) -> torch.Tensor:
    """Rotate, zoom, then shift about the centre, bilinear, repeating the border pixels."""
    turn, zoom, right, down = (2 * u - 1 for u in uniforms(key, "warp", 4))
    angle, scale = math.radians(config.rotate * turn), 1 + config.zoom * zoom
    height, width = image.shape[1:]
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    # grid_sample asks, for each output place, where it comes from, in units of half the side: the inverse map.
    from_x, from_y = -2 * config.shift * right, -2 * config.shift * down
    inverse = torch.tensor(
        [
            [cos, sin * height / width, cos * from_x + sin * height / width * from_y],
            [-sin * width / height, cos, -sin * width / height * from_x + cos * from_y],
        ],
        dtype=torch.float32,
    )
    grid = functional.affine_grid(inverse[None], [1, 3, height, width], align_corners=False)
    warped = functional.grid_sample(image[None].float(), grid, padding_mode="border", align_corners=False)
    return warped[0].round().clamp(0, 255).to(torch.uint8)


def _erase(image: torch.Tensor, probability: float, key: Key) -> torch.Tensor:
    """Random erasing, RE-R of the paper: a rectangle of 2 to 40 % of the area, ratio 0.3 to 1/0.3, becomes noise."""
    height, width = image.shape[1:]
    draws = uniforms(key, "erase", 41)
    if draws[0] >= probability:
        return image
    for share, shape, y, x in zip(*(draws[1 + i :: 4] for i in range(4)), strict=True):
        area = height * width * (0.02 + share * 0.38)
        aspect = math.exp((2 * shape - 1) * math.log(0.3))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < h < height and 0 < w < width:
            top, left = int(y * (height - h + 1)), int(x * (width - w + 1))
            noise = random_bytes(key, "erase noise", h * w * 3).reshape(h, w, 3)
            image = image.clone()
            image[:, top : top + h, left : left + w] = torch.from_numpy(noise).permute(2, 0, 1)
            return image
    return image
