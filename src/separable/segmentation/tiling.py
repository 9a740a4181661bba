"""Prediction of a picture of any size: tile by tile, strip by strip, in memory that does not grow with its height.

At any time there are: one batch of tiles and its logits, the rows of the picture that a row of tiles covers, and the
blended logits of those rows below which the next row of tiles begins.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from separable.errors import UsageError
from separable.segmentation.rows import PictureRows, Rows
from separable.segmentation.windows import Tiling, shares, starts

__all__ = ["Predict", "classes_of", "predict_strips", "predict_whole", "with_flips"]

Predict = Callable[[torch.Tensor], torch.Tensor]
"""(batch, 3, height, width) uint8 to (batch, classes, height, width) logits, or whatever is to be blended."""
Finish = Callable[[NDArray[np.float32]], NDArray[np.generic]]
"""(classes, rows, columns) blended logits to (rows, columns, ...)."""
_FLIPS: dict[str, tuple[int, ...]] = {"none": (), "horizontal": (3,), "vertical": (2,), "both": (2, 3)}


def classes_of(logits: NDArray[np.float32]) -> NDArray[np.int16]:
    """The class with the highest logit, the lower index among equals: (classes, rows, columns) to (rows, columns)."""
    classes: NDArray[np.int16] = logits.argmax(axis=0).astype(np.int16)
    return classes


def with_flips(predict: Predict, *flips: str) -> Predict:
    """The mean over mirrored tiles, each turned back: test-time augmentation.

    Args:
        predict: for one orientation.
        flips: of "none", "horizontal", "vertical" and "both".

    Raises:
        UsageError: none, or an unknown one.
    """
    if not flips or set(flips) - set(_FLIPS):
        raise UsageError("Unknown flips", got=", ".join(flips) or "none at all", expected=", ".join(_FLIPS))

    def flipped(tiles: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor | None = None
        for flip in flips:
            logits = predict(tiles.flip(_FLIPS[flip])).flip(_FLIPS[flip])
            total = logits if total is None else total + logits
        assert total is not None
        return total / len(flips)

    return flipped


def predict_whole(
    picture: NDArray[np.uint8], predict: Predict, tiling: Tiling, *, batch_size: int = 4, finish: Finish = classes_of
) -> NDArray[np.generic]:
    """`predict_strips` of a decoded picture (height, width, 3), put together."""
    return np.concatenate(
        [strip for _, strip in predict_strips(PictureRows(picture), predict, tiling, batch_size, finish)]
    )


def predict_strips(
    source: Rows, predict: Predict, tiling: Tiling, batch_size: int = 4, finish: Finish = classes_of
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Predict a picture strip by strip, from the top.

    Args:
        source: the picture. Where a tile reaches beyond it, the picture is mirrored.
        predict: called with batches of tiles of one size.
        tiling: how tiles lie.
        batch_size: tiles a call; the last call of a row of tiles has fewer.
        finish: what becomes of blended logits; by default the class.

    Yields:
        (first row, strip), the strips one below the other, each as wide as the picture.

    Raises:
        UsageError: the picture is empty, or `predict` gives another height and width than it got.
    """
    height, width = source.size
    if not (height and width):
        raise UsageError("An empty picture cannot be predicted", got=f"{width}x{height} pixels")
    (tall, wide), overlap = tiling.size, tiling.overlap
    down, across = (starts(n, t, overlap, tiling.multiple) for n, t in ((height, tall), (width, wide)))
    row_shares, column_shares = shares(down, tall, overlap), shares(across, wide, overlap)
    window = _Window(source, tall)
    below: NDArray[np.float32] | None = None
    for place, top in enumerate(down):
        ends = [*down[1:], height]
        band = _Band(top, min(ends[place], height), tall, row_shares[place], below)
        tiles = _tiles(window.rows(top), across, wide, batch_size, predict)
        strip = band.blend(tiles, across, column_shares, width, finish)
        below = band.below
        yield top, strip


@dataclass
class _Window:
    """The rows of the picture that a row of tiles covers, mirrored below its last row."""

    source: Rows
    tall: int
    _top: int = 0
    _kept: NDArray[np.uint8] | None = None

    def rows(self, top: int) -> NDArray[np.uint8]:
        height = self.source.size[0]
        bottom = min(top + self.tall, height)
        if self._kept is None:
            pixels = self.source.read(top, bottom)
        else:
            kept = self._kept[top - self._top :]
            pixels = np.concatenate([kept, self.source.read(top + len(kept), bottom)])
        self._top, self._kept = top, pixels
        return _mirrored(pixels, self.tall, axis=0)


def _mirrored(pixels: NDArray[np.uint8], length: int, axis: int) -> NDArray[np.uint8]:
    """Reach `length` along an axis by mirroring, again and again where the picture is small."""
    have = pixels.shape[axis]
    if have >= length:
        return pixels
    place = np.arange(length) % (2 * have)
    mirrored: NDArray[np.uint8] = np.take(pixels, np.minimum(place, 2 * have - 1 - place), axis=axis)
    return mirrored


def _tiles(
    rows: NDArray[np.uint8], across: list[int], wide: int, batch_size: int, predict: Predict
) -> Iterator[NDArray[np.float32]]:
    """The logits (classes, tall, wide) of each tile of a row, predicted in batches."""
    for first in range(0, len(across), batch_size):
        cut = [_mirrored(rows[:, x : x + wide], wide, axis=1) for x in across[first : first + batch_size]]
        tiles = torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2)
        with torch.no_grad():
            logits = predict(tiles)
        if logits.dim() != 4 or logits.shape[2:] != tiles.shape[2:] or len(logits) != len(tiles):
            raise UsageError(
                "The prediction of tiles has another size than the tiles",
                got=tuple(logits.shape),
                expected=f"({len(tiles)}, classes, {tiles.shape[2]}, {tiles.shape[3]})",
            )
        yield from logits.float().cpu().numpy()


@dataclass
class _Band:
    """A row of tiles, from `top`; its rows from `end` on are not finished before the next row of tiles."""

    top: int
    end: int
    tall: int
    share: NDArray[np.float32]
    above: NDArray[np.float32] | None
    below: NDArray[np.float32] | None = field(default=None)

    def blend(
        self,
        tiles: Iterator[NDArray[np.float32]],
        across: list[int],
        column_shares: NDArray[np.float32],
        width: int,
        finish: Finish,
    ) -> NDArray[np.generic]:
        """Add up the tiles from left to right, finishing columns as soon as no further tile covers them."""
        done, wide = self.end - self.top, column_shares.shape[1]
        sums: NDArray[np.float32] | None = None
        finished: list[NDArray[np.generic]] = []
        for place, (x, logits) in enumerate(zip(across, tiles, strict=True)):
            weighted = logits * (self.share[:, None] * column_shares[place])
            if sums is not None:
                weighted[:, :, : sums.shape[2]] += sums
            end = min(across[place + 1], width) if place + 1 < len(across) else width
            columns = weighted[:, :, : end - x]
            if self.above is not None:
                columns[:, : self.above.shape[1]] += self.above[:, :, x:end]
            if self.below is None:
                self.below = np.zeros((len(logits), self.tall - done, width), np.float32)
            self.below[:, :, x:end] = columns[:, done:]
            finished.append(finish(columns[:, :done]))
            sums = weighted[:, :, end - x :].copy() if end - x < wide else None
        return np.concatenate(finished, axis=1)
