"""From pictures to masks: the class of every pixel, at the picture's own size."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from separable.data.preprocess import fitted_sizes
from separable.errors import BadPictureError, SeparableError, UsageError
from separable.models import InputContract
from separable.models.segmentation import SegmentationModel, pixel_logits
from separable.runtime.base import PicturePredictor
from separable.runtime.mask_rows import KeptRows, MaskRows, MaskStrip, class_strips
from separable.runtime.picture import open_any, pixels_of, prepare_either, size_of
from separable.runtime.reading import listed, name_of, read_ahead
from separable.runtime.tiles import Way, tile_logits
from separable.segmentation.labels import Mask
from separable.segmentation.palette import class_colours, parse_colour
from separable.segmentation.rows import PictureRows, Rows
from separable.segmentation.strips import open_rows
from separable.segmentation.tiling import predict_strips, with_flips

__all__ = ["MaskPrediction", "MaskPredictor"]

Tile = int | tuple[int, int]


@dataclass(frozen=True, eq=False)
class MaskPrediction:
    """`mask` int16 (height, width) of the picture's own size, `shares` how much of it each of `class_names` covers; or
    `error`, the cause why there is none, and an empty mask."""

    source: str
    mask: Mask = field(default_factory=lambda: np.zeros((0, 0), np.int16))
    class_names: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    error: str | None = None


class MaskPredictor(PicturePredictor):
    """Call it with pictures, see `PicturePredictor`.

    By default a picture is brought to the network's input as in training and evaluation, and its logits back to its own
    size, bilinearly, before the class is taken. Where the input contract crops ("shorter"), evaluation sees the middle
    of the picture alone; here the whole picture is resized to the same scale and nothing is cut off, so that every
    pixel has an answer. (A strip longer than eight times what the network sees is squashed to that.)

    With a tile the picture is predicted at its own resolution, in tiles that overlap, and in memory that does not grow
    with its height: see `separable.segmentation.tiling`.

    Args:
        colours: [red, green, blue] of each class, from 0 to 255; where they are none, those of Pascal VOC.
        batch_size: pictures through the network at once; of larger tiles as many as have no more pixels.
    """

    def __init__(
        self,
        model: nn.Module,
        contract: InputContract,
        *,
        colours: object = None,
        device: str = "cpu",
        batch_size: int = 32,
        accelerate: bool = False,
    ) -> None:
        if getattr(model, "task", "classify") != "segment" or not getattr(model, "num_classes", 0):
            raise UsageError(
                "Masks are predicted by networks that answer for every pixel",
                got=getattr(model, "name", type(model).__name__),
                expected="one of `separable.list_models('segment')`, with classes",
            )
        super().__init__(model, contract, device=device, batch_size=batch_size, accelerate=accelerate)
        self._network = cast(SegmentationModel, model)
        count = self._network.num_classes
        self.class_names = tuple(self.class_name(index) for index in range(count))
        self.colours = _colours(colours, count) or class_colours(count)

    def __call__(
        self, images: Any, *, tile: Tile | None = None, overlap: int | None = None, flips: str = "none"
    ) -> list[MaskPrediction]:
        """Masks in the order of `images`, see `PicturePredictor`; the options are those of `stream`."""
        return list(self.stream(listed(images), tile=tile, overlap=overlap, flips=flips))

    def stream(
        self, images: Iterable[Any], *, tile: Tile | None = None, overlap: int | None = None, flips: str = "none"
    ) -> Iterator[MaskPrediction]:
        """Masks as they come, in order.

        Args:
            tile: side, or height and width, of tiles at the picture's own resolution; rounded up to what the network's
                strides divide. None predicts the whole picture at the network's input size.
            overlap: pixels that neighbouring tiles share at least; None is a quarter of the tile.
            flips: the logits' mean over the picture and its mirrored copies: none, horizontal, vertical, or all.

        Raises:
            UsageError: tiles that do not fit together, or other flips.
        """
        for rows in self.rows(images, tile=tile, overlap=overlap, flips=flips):
            yield self._whole(rows)

    def rows(
        self,
        images: Iterable[Any],
        *,
        tile: Tile | None = None,
        overlap: int | None = None,
        flips: str = "none",
        pixels: bool = False,
    ) -> Iterator[MaskRows]:
        """As `stream`, each mask by strips, with the picture's own `pixels` where asked for.

        PNG, BMP and PPM files that are predicted in tiles are read by rows too, and may be larger than memory. A file
        is closed when the next mask is asked for, or the iterator is gone.
        """
        way = Way.of(self._network, tile, overlap, flips, self.contract.min_size)
        if way.tiled:
            return self._in_tiles(images, way, pixels)
        return self._as_wholes(images, way, pixels)

    def _whole(self, rows: MaskRows) -> MaskPrediction:
        if rows.error is not None:
            return MaskPrediction(rows.source, error=rows.error)
        try:
            mask = np.concatenate([strip.mask for strip in rows.strips()])
        except BadPictureError as error:
            return MaskPrediction(rows.source, error=_cause(error))
        counts = np.bincount(mask.ravel(), minlength=len(self.class_names))
        return MaskPrediction(rows.source, mask, self.class_names, tuple((counts / mask.size).tolist()))

    def _as_wholes(self, images: Iterable[Any], way: Way, pixels: bool) -> Iterator[MaskRows]:
        for batch in read_ahead(images, self._read, self.batch_size):
            pictures = {place: read[1] for place, (_, _, read) in enumerate(batch) if not isinstance(read, str)}
            logits = self._of_each_size(pictures, way)
            for place, (name, image, read) in enumerate(batch):
                if isinstance(read, str):
                    yield MaskRows(name, error=read)
                else:
                    strips = class_strips(logits.pop(place), read[0])
                    shown = _Again(image, read[0]) if pixels else None
                    yield MaskRows(name, read[0], _strips=_with_pixels(strips, shown))

    def _read(self, image: Any) -> tuple[tuple[int, int], Tensor] | str:
        """The picture's size and uint8 (3, H, W), the whole of it at the network's scale; or why there is none."""
        try:
            opened = open_any(image)
            size = size_of(opened)
            _, seen = fitted_sizes(size, self.contract)
            return size, prepare_either(opened, replace(self.contract, size=seen, resize="squash", crop_fraction=1.0))
        except SeparableError as error:
            return _cause(error)

    def _of_each_size(self, pictures: dict[int, Tensor], way: Way) -> dict[int, Tensor]:
        """The logits (classes, H, W) of each, those of one size through the network together."""
        sizes: dict[tuple[int, ...], list[int]] = {}
        for place, picture in pictures.items():
            sizes.setdefault(tuple(picture.shape), []).append(place)
        predict = with_flips(self._logits, *way.flips)
        found: dict[int, Tensor] = {}
        for places in sizes.values():
            found |= zip(places, predict(torch.stack([pictures[place] for place in places])), strict=True)
        return found

    @torch.inference_mode()
    def _logits(self, pictures: Tensor) -> Tensor:
        return pixel_logits(self._network, self.network_input(pictures)).float()

    @torch.inference_mode()
    def logits_of_tiles(self, tiles: Tensor) -> Tensor:
        """uint8 (N, 3, H, W), sides that `tiles.grid_of` the network divides: (N, classes, H, W) float32 logits."""
        return tile_logits(self._network, self.network_input(tiles)).float()

    def _in_tiles(self, images: Iterable[Any], way: Way, pixels: bool) -> Iterator[MaskRows]:
        for number, image in enumerate(images):
            name = name_of(image, number)
            try:
                with _opened_rows(image) as source:
                    kept = KeptRows(source) if pixels else None
                    strips = self._tiled(kept or source, way)
                    yield MaskRows(name, source.size, _strips=_with_pixels(strips, kept))
            except SeparableError as error:
                yield MaskRows(name, error=_cause(error))

    def _tiled(self, source: Rows, way: Way) -> Iterator[Mask]:
        tiling = way.tiling(source.size)
        tall, wide = tiling.size
        batch = max(
            1, min(self.batch_size, self.batch_size * self.contract.size[0] * self.contract.size[1] // (tall * wide))
        )
        for _, strip in predict_strips(source, with_flips(self.logits_of_tiles, *way.flips), tiling, batch):
            yield cast(Mask, strip)


class _Again:
    """The pixels of a picture that was read before, decoded when the first of them are taken."""

    def __init__(self, image: Any, size: tuple[int, int]) -> None:
        self._image, self._size, self._row = image, size, 0
        self._pixels: np.ndarray[Any, np.dtype[np.uint8]] | None = None

    def take(self, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if self._pixels is None:
            self._pixels = pixels_of(open_any(self._image))
            if self._pixels.shape[:2] != self._size:
                raise BadPictureError("changed while it was predicted")
        self._row += count
        return self._pixels[self._row - count : self._row]


def _with_pixels(masks: Iterator[Mask], source: "KeptRows | _Again | None") -> Iterator[MaskStrip]:
    for mask in masks:
        yield MaskStrip(mask, None if source is None else source.take(len(mask)))


def _opened_rows(image: Any) -> AbstractContextManager[Rows]:
    if isinstance(image, str | Path):
        return open_rows(image)
    return nullcontext(PictureRows(pixels_of(open_any(image))))


def _cause(error: SeparableError) -> str:
    return str(error).rstrip(".")


def _colours(given: object, count: int) -> tuple[tuple[int, int, int], ...] | None:
    """One for each class, or None: a file may say anything."""
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != count:
        return None
    try:
        return tuple(parse_colour(one) for one in given)
    except UsageError:
        return None
