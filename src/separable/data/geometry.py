"""Where augmentation moves pixels: regions and maps, drawn by key, that a picture and its mask share."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from separable.data.augment_config import AugmentConfig
from separable.data.random import Key, uniforms

__all__ = ["Box", "crop_box", "erased_box", "flips", "warp_grid"]


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

    def enlarged(self, scale: int, size: tuple[int, int]) -> "Box":
        """The inverse of `shrunk`: what these pixels show of the whole picture of (height, width)."""
        top, left = self.top * scale, self.left * scale
        return Box(top, left, min(self.height * scale, size[0] - top), min(self.width * scale, size[1] - left))


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


def flips(config: AugmentConfig, key: Key) -> bool:
    """Whether the picture is mirrored left to right."""
    return config.flip and uniforms(key, "flip", 1)[0] < 0.5


def warp_grid(size: tuple[int, int], config: AugmentConfig, key: Key) -> torch.Tensor | None:
    """Rotate, zoom, then shift about the centre: for each output place, where it comes from; None without any of them.

    Returns:
        (1, height, width, 2) float32, as `grid_sample` takes it, with align_corners=False.
    """
    if not (config.shift or config.rotate or config.zoom):
        return None
    turn, zoom, right, down = (2 * u - 1 for u in uniforms(key, "warp", 4))
    angle, scale = math.radians(config.rotate * turn), 1 + config.zoom * zoom
    height, width = size
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
    return functional.affine_grid(inverse[None], [1, 1, height, width], align_corners=False)


def erased_box(size: tuple[int, int], probability: float, key: Key) -> Box | None:
    """Random erasing, RE-R of the paper (1708.04896): a rectangle of 2 to 40 % of the area, ratio 0.3 to 1/0.3."""
    height, width = size
    draws = uniforms(key, "erase", 41)
    if draws[0] >= probability:
        return None
    for share, shape, y, x in zip(*(draws[1 + i :: 4] for i in range(4)), strict=True):
        area = height * width * (0.02 + share * 0.38)
        aspect = math.exp((2 * shape - 1) * math.log(0.3))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < h < height and 0 < w < width:
            return Box(int(y * (height - h + 1)), int(x * (width - w + 1)), h, w)
    return None
