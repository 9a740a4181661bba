"""Maps, attributions and filters as images: arrays of sRGB, and PNG files of them."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from separable.analysis.explain.colour import coloured

__all__ = [
    "attribution_limit",
    "cells",
    "data_uri",
    "filter_grid",
    "highlighted",
    "jpeg",
    "map_grid",
    "overlay",
    "png",
    "signed_image",
]

_TILE = 72  # pixels of a tile's longer side, nearly
_GUTTER = 3
_PERCENTILE = 99.0
_QUIETEST, _LOUDEST = 0.25, 0.65  # how much of an overlay is colour rather than picture, at 0 and at its greatest
_DIMMED = 0.3
_GREY = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709

Pixels = NDArray[np.uint8]


def cells(cam: Tensor) -> Pixels:
    """A heat map (h, w) as it is, a pixel for each position, from 0 to its own largest value: (h, w, 3)."""
    values = cam.double().cpu().numpy()
    return coloured(values, float(values.max(initial=0.0)))


def overlay(seen: Tensor, cam: Tensor) -> Pixels:
    """A heat map (h, w) over the picture it explains (3, H, W) uint8: (H, W, 3).

    The map is enlarged bilinearly, each position standing for its share of the picture. The picture is in grey, and
    gives way to the colour the more the map says, so that what does not matter stays recognisable.
    """
    height, width = seen.shape[1:]
    large = functional.interpolate(cam.double().cpu()[None, None], (height, width), mode="bilinear")[0, 0].numpy()
    limit = float(large.max(initial=0.0))
    grey = (seen.cpu().numpy().transpose(1, 2, 0) @ _GREY)[..., None]
    if limit <= 0:
        return np.rint(0.5 * np.repeat(grey, 3, axis=2)).astype(np.uint8)
    share = (large / limit)[..., None]
    opacity = _QUIETEST + (_LOUDEST - _QUIETEST) * share
    mixed = (1 - opacity) * grey * (0.5 + 0.5 * share) + opacity * coloured(large, limit)
    pixels: Pixels = np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)
    return pixels


def highlighted(seen: Tensor, region: NDArray[np.bool_]) -> Pixels:
    """The picture (3, H, W) uint8, in grey and dimmed outside of the region (H, W): (H, W, 3)."""
    picture = seen.cpu().numpy().transpose(1, 2, 0)
    grey = np.repeat((picture @ _GREY)[..., None], 3, axis=2)
    pixels: Pixels = np.rint(np.where(region[..., None], picture, _DIMMED * grey)).astype(np.uint8)
    return pixels


def attribution_limit(values: Tensor) -> float:
    """The size of a pixel's attribution (its colours summed) that the scale ends at: its 99th percentile."""
    sums = values.double().cpu().sum(0).abs().numpy()
    return float(np.percentile(sums, _PERCENTILE, method="higher")) or float(sums.max(initial=0.0))


def signed_image(values: Tensor) -> Pixels:
    """Attributions (C, H, W), summed over the colours, on the signed scale up to `attribution_limit`: (H, W, 3)."""
    return coloured(values.double().cpu().sum(0).numpy(), attribution_limit(values), "signed")


def map_grid(maps: Tensor, columns: int = 12, most: int = 48) -> tuple[Pixels, list[int]]:
    """The feature maps (C, h, w) that vary most, each from its own least to its own greatest value.

    Returns:
        RGBA (height, width, 4), clear between the tiles, and the channels shown, in their order.
    """
    values = maps.double().cpu().numpy()
    chosen = np.sort(np.argsort(-values.std((1, 2)), kind="stable")[:most])
    tiles = []
    for channel in chosen:
        level = _sized(values[channel])
        level = level - level.min()
        tiles.append(coloured(level, float(level.max())))
    return _grid(tiles, columns), [int(channel) for channel in chosen]


def filter_grid(weights: Tensor, columns: int = 12, most: int = 96, bgr: bool = False) -> Pixels:
    """Convolution weights (filters, inputs, h, w), each tile by its own largest size, middle grey being 0: RGBA.

    Filters of three inputs are one tile in colour, others a grey tile for each input.
    """
    values = weights.double().cpu().numpy()
    if values.shape[1] == 3:
        tiles = values[:, ::-1] if bgr else values
        tiles = tiles.transpose(0, 2, 3, 1)
    else:
        tiles = values.reshape(-1, *values.shape[2:], 1).repeat(3, axis=3)
    return _grid([_sized(_around_grey(tile)) for tile in tiles[:most]], columns)


def png(pixels: Pixels) -> bytes:
    """A PNG file of (h, w, 3 or 4); with a palette, which takes a third of the bytes, where that holds all colours."""
    clear = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    whole = pixels if pixels.shape[2] == 4 else np.concatenate((pixels, clear), axis=2)
    colours, places = np.unique(np.ascontiguousarray(whole).view("<u4"), return_inverse=True)
    image = Image.fromarray(pixels)
    if len(colours) <= 256:
        image = Image.fromarray(places.reshape(pixels.shape[:2]).astype(np.uint8), "P")
        image.putpalette(colours.astype("<u4").tobytes(), "RGBA")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def jpeg(pixels: Pixels, longest: int) -> bytes:
    """A photograph to look at, at most `longest` pixels wide and high."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85, optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _around_grey(tile: NDArray[np.float64]) -> Pixels:
    largest = float(np.abs(tile).max()) or 1.0
    return np.rint(127.5 + 127.5 * tile / largest).astype(np.uint8)


def _sized(tile: NDArray[Any]) -> NDArray[Any]:
    """Small tiles (h, w, ...) enlarged by a whole factor, so that their positions stay squares; large ones averaged."""
    longest = max(tile.shape[:2])
    if longest <= _TILE:
        factor = _TILE // longest
        return tile.repeat(factor, 0).repeat(factor, 1)
    size = [max(1, round(side * _TILE / longest)) for side in (tile.shape[1], tile.shape[0])]
    image = Image.fromarray(tile.astype(np.float32) if tile.ndim == 2 else tile)
    return np.array(image.resize((size[0], size[1]), Image.Resampling.BOX))


def _grid(tiles: list[Pixels], columns: int) -> Pixels:
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    down, right = height + _GUTTER, width + _GUTTER
    canvas = np.zeros((rows * down - _GUTTER, columns * right - _GUTTER, 4), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * down, index % columns * right
        canvas[top : top + height, left : left + width, :3] = tile
        canvas[top : top + height, left : left + width, 3] = 255
    return canvas
