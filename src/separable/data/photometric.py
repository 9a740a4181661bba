"""Colour jitter and RandAugment on 8-bit pixels, through Pillow, whose operations the papers' own code uses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

from separable.data.random import Key, uniforms

__all__ = ["RAND_AUGMENT_OPERATIONS", "RAND_AUGMENT_PLACES", "colour_jitter", "rand_augment", "rand_augment_draws"]

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
    picture = _to_pillow(image)
    for name, level in rand_augment_draws(count, magnitude, key):
        picture = RAND_AUGMENT_OPERATIONS[name](picture, level)
    return _to_tensor(picture)


def rand_augment_draws(count: int, magnitude: float, key: Key) -> list[tuple[str, float]]:
    """The operations that `rand_augment` applies, in order, each with its level in [-1, 1]."""
    draws = uniforms(key, "rand augment", 2 * count)
    names = sorted(RAND_AUGMENT_OPERATIONS)
    return [
        (names[int(which * len(names))], magnitude / 10 * (1 if side < 0.5 else -1))
        for which, side in zip(draws[::2], draws[1::2], strict=True)
    ]


_Fill = int | tuple[int, int, int]


def _affine(
    picture: Image.Image,
    matrix: tuple[float, float, float, float, float, float],
    filter_: Image.Resampling,
    fill: _Fill,
) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, filter_, fillcolor=fill)


RAND_AUGMENT_PLACES: dict[str, Callable[[Image.Image, float, Image.Resampling, _Fill], Image.Image]] = {
    "rotate": lambda p, v, how, fill: p.rotate(30 * v, how, fillcolor=fill),
    "shear_x": lambda p, v, how, fill: _affine(p, (1, 0.3 * v, 0, 0, 1, 0), how, fill),
    "shear_y": lambda p, v, how, fill: _affine(p, (1, 0, 0, 0.3 * v, 1, 0), how, fill),
    "translate_x": lambda p, v, how, fill: _affine(p, (1, 0, 150 / 331 * v * p.width, 0, 1, 0), how, fill),
    "translate_y": lambda p, v, how, fill: _affine(p, (1, 0, 0, 0, 1, 150 / 331 * v * p.height), how, fill),
}
"""Those of the operations that move pixels, with the filter and the value of what comes into view: a mask follows."""


def _moves(name: str) -> Callable[[Image.Image, float], Image.Image]:
    return lambda p, v: RAND_AUGMENT_PLACES[name](p, v, Image.Resampling.BILINEAR, _FILL)


# Each takes a level in [-1, 1]. Ranges are AutoAugment's (1805.09501, table 6), the ones RandAugment refers to.
RAND_AUGMENT_OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "auto_contrast": lambda p, _: ImageOps.autocontrast(p),
    "brightness": lambda p, v: ImageEnhance.Brightness(p).enhance(1 + 0.9 * v),
    "colour": lambda p, v: ImageEnhance.Color(p).enhance(1 + 0.9 * v),
    "contrast": lambda p, v: ImageEnhance.Contrast(p).enhance(1 + 0.9 * v),
    "equalise": lambda p, _: ImageOps.equalize(p),
    "identity": lambda p, _: p,
    "posterise": lambda p, v: ImageOps.posterize(p, 8 - round(4 * abs(v))),
    "sharpness": lambda p, v: ImageEnhance.Sharpness(p).enhance(1 + 0.9 * v),
    "solarise": lambda p, v: ImageOps.solarize(p, round(256 * (1 - abs(v)))),
    **{name: _moves(name) for name in RAND_AUGMENT_PLACES},
}


def _to_pillow(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def _to_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
