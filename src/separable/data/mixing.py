"""mixup and CutMix on a batch, keyed by (seed, step, global sample position): weights, boxes and partners alike."""

import math

import torch

from separable.data.augment_config import AugmentConfig
from separable.data.random import Key, beta, uniforms

__all__ = ["mix_batch", "partners"]


def partners(seed: int, step: int, positions: torch.Tensor) -> torch.Tensor:
    """Who is mixed with whom: for each row, the row of its partner, (batch,) int64.

    Rows are put into the order of a keyed draw per position, and each takes the next one's picture, cyclically. So a
    partner depends on which positions are in the batch, not on the rows they sit in; nobody is its own partner
    unless it is alone.
    """
    values = [uniforms(Key(seed, step, position), "partner", 1)[0] for position in positions.tolist()]
    order = sorted(range(len(values)), key=values.__getitem__)
    result = torch.zeros(len(order), dtype=torch.int64)
    for place, row in enumerate(order):
        result[row] = order[(place + 1) % len(order)]
    return result


def mix_batch(
    images: torch.Tensor,
    targets: torch.Tensor,
    config: AugmentConfig,
    seed: int,
    step: int,
    positions: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each picture and its target with a partner's.

    Args:
        images: (batch, 3, height, width), normalised floats, or uint8 (then rounded back), on any device.
        targets: (batch, classes) class probabilities.
        config: `mixup` and `cutmix` are the alphas of Beta(alpha, alpha); both 0 returns the inputs.
        seed: the run's.
        step: the training step.
        positions: (batch,) global positions of the samples.

    Returns:
        New images and targets, same shapes and dtypes; each sample has its own weight.
    """
    if not (config.mixup or config.cutmix) or len(positions) < 2:
        return images, targets
    cut = bool(config.cutmix)
    if config.mixup and config.cutmix:
        cut = uniforms(Key(seed, step, 0), "mixup or cutmix", 1)[0] < 0.5
    keys = [Key(seed, step, position) for position in positions.tolist()]
    partner = partners(seed, step, positions)
    if cut:
        mixed, kept = _cutmix(images, [beta(key, "cutmix", config.cutmix) for key in keys], keys, partner)
    else:
        kept = torch.tensor([beta(key, "mixup", config.mixup) for key in keys], dtype=torch.float32)
        mixed = _blend(images, kept, partner)
    return mixed, _blend(targets, kept, partner)


def _blend(values: torch.Tensor, kept: torch.Tensor, partner: torch.Tensor) -> torch.Tensor:
    """kept * value + (1 - kept) * partner's value, in fp32, back in the dtype of the values."""
    weight = kept.to(values.device).view(-1, *[1] * (values.dim() - 1))
    other = values[partner.to(values.device)].float()
    mixed = torch.lerp(other, values.float(), weight)
    return (mixed if values.is_floating_point() else mixed.round()).to(values.dtype)


def _cutmix(
    images: torch.Tensor, weights: list[float], keys: list[Key], partner: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Paste the partner's pixels into a box of 1 - weight of the area; the true share after clipping is returned."""
    height, width = images.shape[2:]
    mixed, kept = images.clone(), []
    for row, (weight, key) in enumerate(zip(weights, keys, strict=True)):
        y, x = uniforms(key, "cutmix box", 2)
        side = math.sqrt(1 - weight)
        top, bottom = (_clip(y * height + s * side * height / 2, height) for s in (-1, 1))
        left, right = (_clip(x * width + s * side * width / 2, width) for s in (-1, 1))
        mixed[row, :, top:bottom, left:right] = images[int(partner[row]), :, top:bottom, left:right]
        kept.append(1 - (bottom - top) * (right - left) / (height * width))
    return mixed, torch.tensor(kept, dtype=torch.float32)


def _clip(value: float, most: int) -> int:
    return min(max(round(value), 0), most)
