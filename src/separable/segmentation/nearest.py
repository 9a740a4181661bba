"""Masks follow their pictures: every step that moves pixels, without ever mixing two labels.

A pixel of the result takes the label at its own centre, mapped back. In whole numbers, so that it is exact: pixel i of
n, out of a side of m, comes from floor((2 i + 1) m / (2 n)).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from separable.data.augment_config import AugmentConfig
from separable.data.geometry import Box, crop_box, erased_box, flips, warp_grid
from separable.data.photometric import RAND_AUGMENT_PLACES, rand_augment_draws
from separable.data.preprocess import fitted_sizes
from separable.data.random import Key
from separable.models.contract import InputContract
from separable.segmentation.labels import IGNORE, Mask

__all__ = ["augment_mask", "prepare_mask", "resize_mask"]


def resize_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """Nearest neighbour to (height, width)."""
    rows, columns = (_sources(have, want) for have, want in zip(mask.shape, size, strict=True))
    resized: Mask = mask[rows[:, None], columns]
    return resized


def prepare_mask(mask: Mask, contract: InputContract) -> Mask:
    """What `data.preprocess.prepare` does to the picture: resized and cut to the contract's size."""
    kept, resized = fitted_sizes(mask.shape, contract)
    indices = []
    for whole, inside, scaled, wanted in zip(mask.shape, kept, resized, contract.size, strict=True):
        start = (scaled - wanted) // 2
        indices.append((whole - inside) // 2 + _sources(inside, scaled)[start : start + wanted])
    prepared: Mask = mask[indices[0][:, None], indices[1]]
    return prepared


def augment_mask(mask: Mask, contract: InputContract, config: AugmentConfig, key: Key, box: Box | None = None) -> Mask:
    """What `data.augment.augment` does to the picture with the same key, in the same order.

    What comes into view from outside of the picture is `IGNORE`, though the picture repeats its border there; so is
    what random erasing hides. Colours change the picture alone.

    Args:
        box: the region of the crop, where the caller rounded it to what the decoder gives; by default the drawn one.

    Returns:
        (height, width) of the contract.
    """
    if config.random_resized_crop is None:
        result = prepare_mask(mask, contract)
    else:
        size = (mask.shape[0], mask.shape[1])
        box = box or crop_box(size, config.random_resized_crop, config.crop_ratio, key)
        result = resize_mask(mask[box.top : box.top + box.height, box.left : box.left + box.width], contract.size)
    if flips(config, key):
        result = result[:, ::-1]
    grid = warp_grid(contract.size, config, key)
    if grid is not None:
        result = _warp(result, grid)
    if config.rand_augment is not None:
        result = _rand_augment(result, *config.rand_augment, key)
    hidden = erased_box(contract.size, config.random_erasing, key) if config.random_erasing else None
    if hidden is not None:
        result = result.copy()
        result[hidden.top : hidden.top + hidden.height, hidden.left : hidden.left + hidden.width] = IGNORE
    return np.ascontiguousarray(result)


def _sources(have: int, want: int) -> NDArray[np.int64]:
    """Which of `have` pixels each of `want` takes its label from."""
    return (2 * np.arange(want, dtype=np.int64) + 1) * have // (2 * want)


def _warp(mask: Mask, grid: torch.Tensor) -> Mask:
    # Labels below 2**15 are exact in fp32. Zeros come in from outside, so all labels are moved up until IGNORE is one.
    raised = torch.from_numpy(mask.astype(np.float32) - IGNORE)[None, None]
    moved = functional.grid_sample(raised, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    result: Mask = moved[0, 0].numpy().astype(np.int16) + np.int16(IGNORE)
    return result


def _rand_augment(mask: Mask, count: int, magnitude: float, key: Key) -> Mask:
    moving = [draw for draw in rand_augment_draws(count, magnitude, key) if draw[0] in RAND_AUGMENT_PLACES]
    if not moving:
        return mask
    image = Image.fromarray(mask.astype(np.int32))
    for name, level in moving:
        image = RAND_AUGMENT_PLACES[name](image, level, Image.Resampling.NEAREST, IGNORE)
    return np.array(image).astype(np.int16)
