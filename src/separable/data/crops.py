"""Several crops of one picture, for networks whose answers are averaged over them: multi-crop evaluation.

A network of side S sees a picture whose shorter side is S * 256 / 224, which is 256 pixels for the side 224 that the
papers took their figures from, 342 for 299 (to the nearest pixel). Where both sides of a contract differ, "square"
stands for a region of the contract's own proportions; where it squashes, pictures are squashed to these sizes too, so
that the three squares of a scale are the same.

    10    Krizhevsky et al. 2012, section 4.1: of the centre square of that scale the four corners and the centre, and
          these mirrored.
    144   GoogLeNet, 1409.4842, section 7: four scales, S / 224 times 256, 288, 320 and 352; of each the left, centre
          and right square (top, centre and bottom of an upright picture); of each of them the four corners, the
          centre and the whole square resized to S, and these mirrored: 4 * 3 * 6 * 2.
    12    Inception V3 (1512.00567, table 4) and V4 (1602.07261, table 3) report it beside 144 and do not say which 12
          they are. Taken here as one of GoogLeNet's twelve squares: the centre square of the first scale, of it six
          views, mirrored.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import final

import torch

from separable.data.datasets import ClassReader, Reader
from separable.data.decode import PictureFile
from separable.data.folder import PictureSet
from separable.data.loader import Batch, run_evaluation
from separable.data.loader_config import LoaderConfig
from separable.data.preprocess import prepare_opened, resize, resized_pictures
from separable.errors import UsageError
from separable.models.contract import InputContract

__all__ = ["CROPS", "crop_batches", "crop_pictures", "demand_crops"]

CROPS = (1, 10, 12, 144)
_SIDE, _SCALES = 224, (256, 288, 320, 352)
_CENTRE, _PLACES = (1,), (0, 1, 2)
"""Squares along the longer side, in halves of what is left over: left or top, centre, right or bottom."""


def demand_crops(crops: int) -> None:
    """Raise UsageError where nobody has said which crops so many are."""
    if crops not in CROPS:
        raise UsageError(
            "There is no such number of crops",
            got=crops,
            expected=f"{', '.join(map(str, CROPS[:-1]))} or {CROPS[-1]}",
        )


def crop_pictures(file: PictureFile, contract: InputContract, crops: int) -> torch.Tensor:
    """Every crop of a picture, from one decoding and the one resize.

    Args:
        file: a file whose header was read.
        contract: `size`, `resize` and `filter` decide; of one crop `crop_fraction` too.
        crops: one of `CROPS`; 1 is what `prepare_opened` gives.

    Returns:
        (crops, 3, size[0], size[1]) uint8, stored pixel by pixel: by scale, then by square, then the corners (top left,
        top right, bottom left, bottom right), the centre and where it is asked for the square, each of them before its
        mirror image.

    Raises:
        BadPictureError: the pixels are truncated or damaged.
        UsageError: an unknown number of crops.
    """
    demand_crops(crops)
    height, width = contract.size
    cut = torch.empty((crops, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    if crops == 1:
        cut[0] = prepare_opened(file, contract)
        return cut
    scales, places = (_SCALES, _PLACES) if crops == 144 else (_SCALES[:1], _CENTRE)
    wanted = [(round(height * scale / _SIDE), round(width * scale / _SIDE)) for scale in scales]
    scaled = [_scaled(contract, scale, size) for scale, size in zip(scales, wanted, strict=True)]
    pictures = zip(wanted, resized_pictures(file, scaled), strict=True)
    squares = (square for size, picture in pictures for square in _squares(picture, size, places))
    views = (view for square in squares for view in _views(square, contract, whole=crops != 10))
    for number, view in enumerate(views):
        cut[2 * number] = view
        cut[2 * number + 1] = view.flip(2)
    return cut


def crop_batches(
    pictures: PictureSet, contract: InputContract, loader_config: LoaderConfig, crops: int
) -> Iterator[Batch]:
    """`eval_batches` with every crop of a picture in place of the picture.

    A batch has as many pictures as make up its size in crops, at least one: `images` are (pictures * crops, 3, height,
    width), the crops of a picture one after the other; everything else is by picture.

    Raises:
        UsageError: an unknown number of crops.
    """
    demand_crops(crops)
    fewer = replace(loader_config, batch_size=max(1, loader_config.batch_size // crops))
    for batch in run_evaluation(_CropReader(pictures, contract, fewer, crops)):
        count, colours, height, width = batch.images.shape
        apart = batch.images.permute(0, 2, 3, 1).reshape(count * crops, height // crops, width, colours)
        batch.images = apart.permute(0, 3, 1, 2)
        yield batch


@final
class _CropReader(Reader):
    """Pictures with a class each, and each as one tall picture: its crops below each other."""

    def __init__(self, pictures: PictureSet, contract: InputContract, config: LoaderConfig, crops: int) -> None:
        height, width = config.image_size or contract.size
        tall = replace(contract, size=(height * crops, width))
        super().__init__(len(pictures.paths), tall, replace(config, image_size=None))
        self._one = ClassReader(pictures, contract, config)
        self._crops = crops

    def path(self, sample: int) -> str:
        """See `Reader`."""
        return self._one.path(sample)

    def train(self, sample: int, epoch: int) -> tuple[torch.Tensor, int]:
        """Crops are for evaluation alone."""
        raise NotImplementedError

    def evaluate(self, sample: int) -> tuple[torch.Tensor, int]:
        """See `Reader`."""
        cut = crop_pictures(self._one.opened(sample), self._one.contract, self._crops)
        return cut.permute(1, 0, 2, 3).flatten(1, 2), self._one.label(sample)

    def labels(self, labels: list[int]) -> torch.Tensor:
        """(batch,) int64."""
        return self._one.labels(labels)


def _scaled(contract: InputContract, scale: int, size: tuple[int, int]) -> InputContract:
    """With which a picture is resized so that a square of `size` just fits into it."""
    if contract.resize == "squash":  # which has no regard to the share that is cut out
        return replace(contract, size=size)
    return replace(contract, crop_fraction=_SIDE / scale)


def _squares(picture: torch.Tensor, wanted: tuple[int, int], places: tuple[int, ...]) -> Iterator[torch.Tensor]:
    """(3, height, width) regions of the size `wanted`, along the side that is longer than they are."""
    have = picture.shape[1:]
    height, width = (min(pair) for pair in zip(have, wanted, strict=True))
    for place in places:
        top, left = (have[0] - height) * place // 2, (have[1] - width) * place // 2
        yield picture[:, top : top + height, left : left + width]


def _views(square: torch.Tensor, contract: InputContract, *, whole: bool) -> Iterator[torch.Tensor]:
    """The corners and the centre at the contract's size, then, where asked for, the `whole` square resized to it."""
    height, width = contract.size
    down, right = square.shape[1] - height, square.shape[2] - width
    for top, left in ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)):
        yield square[:, top : top + height, left : left + width]
    if whole:
        yield resize(square.permute(1, 2, 0), contract.size, contract.filter)
