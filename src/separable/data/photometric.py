"""Colour jitter and RandAugment on 8-bit pixels, through Pillow, whose operations the papers' own code uses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

from separable.data.random import Key, uniforms

__all__ = ["RAND_AUGMENT_OPERATIONS", "colour_jitter", "rand_augment"]

_FILL = (128, 128, 128)
_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
_ENHANCERS: tuple[Callable[[Image.Image], Any], ...] = (
    ImageEnhance.Brightness,
    ImageEnhance.Contrast,
    ImageEnhance.Color,
)


def colour_jitter(image: torch.Tensor, strength: float, key: Key) -> torch.Tensor:
    """Brightness, contrast and saturation, in a drawn order, each by a factor within 1 +- strength.

    Args:
        image: (3, height, width) uint8.
    """
    draws = uniforms(key, "colour", 4)
    picture = _to_pillow(image)
    for which in _ORDERS[int(draws[3] * 6)]:
        picture = _ENHANCERS[which](picture).enhance(1 + strength * (2 * draws[which] - 1))
    return _to_tensor(picture)


def rand_augment(image: torch.Tensor, count: int, magnitude: float, key: Key) -> torch.Tensor:
    """RandAugment (Cubuk et al., 1909.13719): `count` operations drawn with replacement, all at one magnitude.

    Args:
        image: (3, height, width) uint8.
        count: N of the paper.
        magnitude: M of the paper, 0 to 10; operations with a direction take each way half of the time.
    """
    draws = uniforms(key, "rand augment", 2 * count)
    picture = _to_pillow(image)
    names = sorted(RAND_AUGMENT_OPERATIONS)
    for which, side in zip(draws[::2], draws[1::2], strict=True):
        level = magnitude / 10 * (1 if side < 0.5 else -1)
        picture = RAND_AUGMENT_OPERATIONS[names[int(which * len(names))]](picture, level)
    return _to_tensor(picture)


def _affine(picture: Image.Image, matrix: tuple[float, float, float, float, float, float]) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=_FILL)


# Each takes a level in [-1, 1]. Ranges are AutoAugment's (1805.09501, table 6), the ones RandAugment refers to.
RAND_AUGMENT_OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "auto_contrast": lambda p, _: ImageOps.autocontrast(p),
    "brightness": lambda p, v: ImageEnhance.Brightness(p).enhance(1 + 0.9 * v),
    "colour": lambda p, v: ImageEnhance.Color(p).enhance(1 + 0.9 * v),
    "contrast": lambda p, v: ImageEnhance.Contrast(p).enhance(1 + 0.9 * v),
    "equalise": lambda p, _: ImageOps.equalize(p),
    "identity": lambda p, _: p,
    "posterise": lambda p, v: ImageOps.posterize(p, 8 - round(4 * abs(v))),
    "rotate": lambda p, v: p.rotate(30 * v, Image.Resampling.BILINEAR, fillcolor=_FILL),
    "sharpness": lambda p, v: ImageEnhance.Sharpness(p).enhance(1 + 0.9 * v),
    "shear_x": lambda p, v: _affine(p, (1, 0.3 * v, 0, 0, 1, 0)),
    "shear_y": lambda p, v: _affine(p, (1, 0, 0, 0.3 * v, 1, 0)),
    "solarise": lambda p, v: ImageOps.solarize(p, round(256 * (1 - abs(v)))),
    "translate_x": lambda p, v: _affine(p, (1, 0, 150 / 331 * v * p.width, 0, 1, 0)),
    "translate_y": lambda p, v: _affine(p, (1, 0, 0, 0, 1, 150 / 331 * v * p.height)),
}


def _to_pillow(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def _to_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
