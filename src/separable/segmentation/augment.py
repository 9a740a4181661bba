"""Joint augmentation: the picture exactly as in classification, its mask by the same draws."""

import numpy as np
import torch
from numpy.typing import NDArray

from separable.data.augment import augment, augment_opened
from separable.data.augment_config import AugmentConfig
from separable.data.decode import PictureFile
from separable.data.random import Key
from separable.errors import UsageError
from separable.models.contract import InputContract
from separable.segmentation.labels import Mask
from separable.segmentation.nearest import augment_mask

__all__ = ["augment_pair", "augment_pair_file", "demand_for_masks"]


def demand_for_masks(config: AugmentConfig) -> None:
    """Refuse what has no meaning for masks.

    Raises:
        UsageError: mixup or CutMix, which mix one class a picture, not one a pixel.
    """
    mixing = [name for name in ("mixup", "cutmix") if getattr(config, name)]
    if mixing:
        raise UsageError(
            "Pictures with masks cannot be mixed", got=" and ".join(mixing), fix="Set mixup and cutmix to 0"
        )


def augment_pair(
    picture: NDArray[np.uint8], mask: Mask, contract: InputContract, config: AugmentConfig, key: Key
) -> tuple[torch.Tensor, Mask]:
    """Augment decoded pixels and their labels.

    Args:
        picture: (height, width, 3) uint8 RGB.
        mask: (height, width) class indices or `IGNORE`.
        contract: see `data.augment.augment`.
        config: what to do; see `demand_for_masks`.
        key: (seed, epoch, sample). The result depends on nothing else.

    Returns:
        The picture, (3, size[0], size[1]) uint8, to the bit what `data.augment.augment` gives; and the mask, of the
        same size.

    Raises:
        UsageError: picture and mask differ in size.
    """
    if picture.shape[:2] != mask.shape:
        raise UsageError("A picture and its mask differ in size", got=f"{picture.shape[:2]} and {mask.shape}")
    return augment(picture, contract, config, key), augment_mask(mask, contract, config, key)


def augment_pair_file(
    file: PictureFile, mask: Mask, contract: InputContract, config: AugmentConfig, key: Key
) -> tuple[torch.Tensor, Mask]:
    """`augment_pair` of a picture not yet decoded, to the bit what `data.augment.augment_file` gives.

    A large JPEG may be decoded at a fraction of its size, where a crop falls on whole pixels of that fraction: the
    mask is cut at the same place, not at the drawn one.

    Raises:
        BadPictureError: the pixels are truncated or damaged.
    """
    image, region = augment_opened(file, contract, config, key)
    return image, augment_mask(mask, contract, config, key, region)
