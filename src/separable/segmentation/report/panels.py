"""A held-out picture, its truth, its prediction and where these disagree, as small images of one size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from separable.data.decode import decode_picture
from separable.data.preprocess import seen_region
from separable.errors import BadPictureError
from separable.models.contract import InputContract
from separable.segmentation.labels import IGNORE, Mask, as_mask, background_of
from separable.segmentation.mask_file import MaskFile
from separable.segmentation.nearest import resize_mask
from separable.segmentation.report.record import MaskScores, Measured, PictureRow
from separable.segmentation.views import DISAGREEMENT, coloured_mask, disagreement_kinds
from separable.training.report.thumbnails import data_uri, find_below

__all__ = ["LONGEST_SIDE", "Panels", "Shown"]

Colours = Sequence[tuple[int, int, int]]

LONGEST_SIDE = 256
"""Of the images, in pixels."""
_LARGEST_MASK = 1 << 24
_FULL_PALETTE = 256


@dataclass(frozen=True)
class Shown:
    """Data URIs, None for what is not there; all are to be shown in the proportion of `sides` (height, width).

    Masks are to the pixel, or to the nearest one where they are larger than `LONGEST_SIDE`. `truth_shares` and
    `predicted_shares` are of the classes by their index, of the pixels that carry a class; `kinds` of the kinds of
    `views.disagreement_kinds`, of the labelled pixels. Empty where the masks are not there.
    """

    sides: tuple[int, int]
    picture: str | None
    truth: str | None
    predicted: str | None
    disagreement: str | None
    truth_shares: dict[int, float]
    predicted_shares: dict[int, float]
    kinds: tuple[float, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return None not in (self.picture, self.truth, self.predicted)


class Panels:
    """Makes them, each once, from the masks of the run folder `run` and the pictures below `roots`."""

    def __init__(self, run: Path, roots: tuple[Path, ...], measured: Measured) -> None:
        assert measured.evaluation is not None, "without an evaluation there are no classes"
        self._run, self._roots, self._contract = run, roots, measured.contract
        self._evaluation: MaskScores = measured.evaluation
        self._made: dict[PictureRow, Shown] = {}

    def show(self, row: PictureRow) -> Shown:
        """The images of one row of pictures.csv."""
        if row not in self._made:
            self._made[row] = self._make(row)
        return self._made[row]

    def _make(self, row: PictureRow) -> Shown:
        truth, predicted = self._mask(row.truth), self._mask(row.predicted)
        seen = find_below(self._roots, row.path, lambda path: _seen(path, self._contract))
        masks = [mask for mask in (predicted, truth) if mask is not None]
        kinds = None
        if truth is not None and predicted is not None and truth.shape == predicted.shape:
            kinds = disagreement_kinds(truth, predicted, background_of(self._evaluation.class_names))
        colours = self._evaluation.colours
        return Shown(
            (seen.height, seen.width) if seen is not None else (*masks[0].shape,) if masks else (1, 1),
            None if seen is None else data_uri(_small(seen)),
            None if truth is None else _drawn(truth, colours),
            None if predicted is None else _drawn(predicted, colours),
            None if kinds is None else _drawn(kinds.astype(np.int16), DISAGREEMENT),
            _shares(truth),
            _shares(predicted),
            _kind_shares(kinds),
        )

    def _mask(self, name: str) -> Mask | None:
        return find_below((self._run,), name, self._read) if name else None

    def _read(self, path: Path) -> Mask:
        """An index mask as `png_writer.write_index_png` leaves it."""
        if not path.is_file():
            raise FileNotFoundError(path)
        stored = MaskFile(path, max_pixels=_LARGEST_MASK).values()
        classes = len(self._evaluation.class_names)
        ignored = 255 if classes <= 255 else 65535
        classes_only = np.where(stored == ignored, IGNORE, stored)
        if int(classes_only.max()) >= classes:
            raise BadPictureError("a mask of other classes")
        return as_mask(classes_only)


def _seen(path: Path, contract: InputContract | None) -> Image.Image:
    """The part of the picture that the network was given, in the picture's own proportions."""
    if not path.is_file():
        raise FileNotFoundError(path)
    picture = decode_picture(path, target=(2 * LONGEST_SIDE, 2 * LONGEST_SIDE))
    image = Image.fromarray(picture)
    if contract is None:
        return image
    top, left, height, width = seen_region(picture.shape[:2], contract)
    top, left = max(0, round(top)), max(0, round(left))
    return image.crop((left, top, left + max(1, round(width)), top + max(1, round(height))))


def _small(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    if longest <= LONGEST_SIDE:
        return image
    width, height = (max(1, round(side * LONGEST_SIDE / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _drawn(mask: Mask, colours: Colours) -> str:
    """An indexed PNG of the colours that occur; where these are more than it can hold, the nearest of them."""
    longest = max(mask.shape)
    if longest > LONGEST_SIDE:
        height, width = (max(1, round(side * LONGEST_SIDE / longest)) for side in mask.shape)
        mask = resize_mask(mask, (height, width))
    found, indices = np.unique(mask, return_inverse=True)
    palette = coloured_mask(found, colours)
    if len(found) > _FULL_PALETTE:
        return data_uri(Image.fromarray(palette[indices.reshape(mask.shape)]).quantize(_FULL_PALETTE))
    image = Image.fromarray(indices.reshape(mask.shape).astype(np.uint8), "P")
    image.putpalette(palette.tobytes())
    return data_uri(image)


def _shares(mask: Mask | None) -> dict[int, float]:
    """Of each class that occurs, the largest first."""
    if mask is None or not (mask != IGNORE).any():
        return {}
    found, counts = np.unique(mask[mask != IGNORE], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {int(found[k]): float(counts[k] / counts.sum()) for k in order}


def _kind_shares(kinds: NDArray[np.uint8] | None) -> tuple[float, ...]:
    if kinds is None:
        return ()
    counts = np.bincount(kinds.ravel(), minlength=len(DISAGREEMENT))[:-1]
    return tuple((counts / counts.sum()).tolist()) if counts.sum() else ()
