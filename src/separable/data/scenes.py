"""Scenes to segment, drawn of real pieces: scanned digits painted onto photographs, and a mask that knows each pixel.

A scene is a crop of a photograph with a few digits on it, turned, sheared, enlarged, in any colour or filled with
another piece of photograph, lighter or darker than what is under them, half transparent or not. So no colour and no
brightness tells a digit, let alone which one: its shape does.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from separable.data.random import Key, random_bytes, uniforms

__all__ = ["SCENES", "Scene", "SceneSource", "SceneStyle", "draw_scene"]

Pixels = NDArray[np.uint8]

_FINE = 80  # side that an 8x8 scan is enlarged to before its outline is taken
_SMOOTH = 2.0  # of the enlarged scan: without it, outlines show the scan's few pixels
_SUB = 3  # samples a pixel and axis: an outline has ten shades, and the mask those pixels that are mostly covered
_INK = 0.48  # of full ink: where the outline of a digit is
_TURN, _SHEAR = 25.0, 0.2
_CHANNELS = (*[[0, 1, 2]] * 4, [0, 2, 1], [1, 0, 2], [2, 1, 0], [1, 2, 0])  # half of the pieces in colours of others
_CALM = 0.5  # contrast that a piece of photograph keeps as ink
_OVERLAP = 0.1
_ATTEMPTS = 10


@dataclass(frozen=True)
class SceneStyle:
    """How large scenes are, and how much is on them; the ranges are of equally likely numbers."""

    side: int = 128
    """Height and width of a scene."""
    counts: tuple[int, int] = (1, 4)
    """Of digits, where there is room for them."""
    sizes: tuple[float, float] = (42.0, 72.0)
    """Side of the square that a scan fills, in pixels of the scene."""
    windows: tuple[int, int] = (80, 160)
    """Side of the piece of photograph that becomes the background."""
    contrast: tuple[float, float] = (50.0, 120.0)
    """Between a digit and what is under it, in levels of brightness."""
    plain: float = 0.7
    """Share of digits in one colour."""
    background: float = 1.0
    """Factor on the background's brightness."""
    always_lighter: bool = False
    """Than what is under it: easier to learn."""
    grey: bool = False
    """Without any colour: easier to learn, for nothing but brightness tells a digit then."""


SCENES = SceneStyle()
"""Those of `separable demo --task segment`."""


@dataclass(frozen=True)
class SceneSource:
    """What scenes are made of. Two sources without a common digit or photograph make scenes without a common one."""

    digits: NDArray[np.float64]
    """(count, 8, 8), 0 to 16."""
    labels: NDArray[np.int64]
    photographs: tuple[Pixels, ...]
    """(height, width, 3) each, at least 80 pixels a side."""


@dataclass(frozen=True)
class Scene:
    """A picture, (side, side, 3), its mask, (side, side) with 0 for the background and 1 + digit, and what is in it."""

    picture: Pixels
    mask: NDArray[np.int16]
    digits: tuple[int, ...]
    """Numbers in the source, in the order in which they were painted, the last one on top."""


def draw_scene(source: SceneSource, key: Key, style: SceneStyle = SCENES) -> Scene:
    """Draw one scene, a pure function of its arguments: the same bytes on every machine of IEEE arithmetic."""
    fewest, most = style.counts
    count = fewest + int(uniforms(key, "scene count", 1)[0] * (most - fewest + 1))
    picture = _piece(source, key, "scene background", style).astype(np.float32) * np.float32(style.background)
    mask = np.zeros((style.side, style.side), np.int16)
    painted = []
    for place in range(count):
        chosen = int(uniforms(key, f"scene digit {place}", 1)[0] * len(source.labels))
        cover = _outline(source.digits[chosen], key, f"scene outline {place}", style.sizes)
        corner = _place(cover, mask, key, f"scene place {place}")
        if corner is None:
            continue
        window = slice(corner[0], corner[0] + cover.shape[0]), slice(corner[1], corner[1] + cover.shape[1])
        _paint(picture[window], cover, source, key, place, style)
        mask[window][_inside(cover)] = 1 + source.labels[chosen]
        painted.append(chosen)
    if style.grey:
        picture = np.repeat(_levels(picture)[..., None], 3, axis=2).astype(np.float32)
    return Scene(_grainy(picture, key), mask, tuple(painted))


def _piece(source: SceneSource, key: Key, purpose: str, style: SceneStyle) -> Pixels:
    """A square piece of a photograph, perhaps mirrored, brought to the scene's size: (side, side, 3)."""
    which, share, down, right, mirror, light, contrast, swap = uniforms(key, purpose, 8)
    photograph = source.photographs[int(which * len(source.photographs))]
    height, width = photograph.shape[:2]
    least, most = style.windows
    side = min(least + int(share * (most - least + 1)), height, width)
    top, left = int(down * (height - side + 1)), int(right * (width - side + 1))
    cut = Image.fromarray(photograph[top : top + side, left : left + side])
    piece = np.asarray(cut.resize((style.side, style.side), Image.Resampling.BICUBIC), np.float32)
    changed = 128 + (piece - 128) * np.float32(0.7 + 0.5 * contrast) + np.float32(60 * (light - 0.5))
    changed = changed[..., _CHANNELS[int(swap * len(_CHANNELS))]]
    return _bytes(changed[:, ::-1] if mirror < 0.5 else changed)


def _outline(scan: NDArray[np.float64], key: Key, purpose: str, sizes: tuple[float, float]) -> NDArray[np.float32]:
    """The share of each pixel that the digit covers, turned, sheared and enlarged, cut to what it covers."""
    size, turn, shear = uniforms(key, purpose, 3)
    scanned = Image.fromarray((scan * (255 / 16)).round().astype(np.uint8))
    fine = scanned.resize((_FINE, _FINE), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(_SMOOTH))
    inked = np.pad(np.asarray(fine) > 255 * _INK, 1)
    side = sizes[0] + size * (sizes[1] - sizes[0])
    angle = math.radians(_TURN * (2 * turn - 1))
    slant = _SHEAR * (2 * shear - 1)
    canvas = math.ceil(side * (math.cos(angle) + abs(math.sin(angle)) + abs(slant))) + 2
    at = (np.arange(canvas * _SUB) + 0.5) / _SUB - canvas / 2
    y, x = at[:, None], at[None, :]
    # Where in the scan each sample comes from: turned back, then unsheared.
    down = x * math.sin(angle) + y * math.cos(angle)
    right = x * math.cos(angle) - y * math.sin(angle) - slant * down
    rows, columns = (_fine_index(part, side) for part in (down, right))
    samples = inked[rows, columns].view(np.uint8).reshape(canvas, _SUB, canvas, _SUB)
    covered = samples.sum(axis=(1, 3), dtype=np.uint8)
    cover: NDArray[np.float32] = covered.astype(np.float32) / np.float32(_SUB**2)
    used = [np.flatnonzero(cover.any(axis=axis)) for axis in (1, 0)]
    return cover[used[0][0] : used[0][-1] + 1, used[1][0] : used[1][-1] + 1]


def _fine_index(place: NDArray[np.float64], side: float) -> NDArray[np.int64]:
    """Distances from the middle of a digit of this side to indices of its enlarged scan, which has a border of 1."""
    index: NDArray[np.int64] = np.clip(np.floor((place / side + 0.5) * _FINE) + 1, 0, _FINE + 1).astype(np.int64)
    return index


def _inside(cover: NDArray[np.float32]) -> NDArray[np.bool_]:
    return cover > 0.5


def _place(cover: NDArray[np.float32], mask: NDArray[np.int16], key: Key, purpose: str) -> tuple[int, int] | None:
    """Upper left corner where the digit hides little of those before it; None where there is no such place."""
    inside = _inside(cover)
    height, width = cover.shape
    if max(height, width) > len(mask):
        return None
    draws = uniforms(key, purpose, 2 * _ATTEMPTS)
    for down, right in zip(draws[::2], draws[1::2], strict=True):
        top, left = int(down * (len(mask) - height + 1)), int(right * (len(mask) - width + 1))
        hidden = (mask[top : top + height, left : left + width] > 0) & inside
        if hidden.sum() <= _OVERLAP * inside.sum():
            return top, left
    return None


def _paint(
    under: NDArray[np.float32],
    cover: NDArray[np.float32],
    source: SceneSource,
    key: Key,
    place: int,
    style: SceneStyle,
) -> None:
    """Mix the digit's ink, of one colour or a piece of photograph, with what is under it, which is changed."""
    plain, contrast, side, opacity, *colour = uniforms(key, f"scene ink {place}", 7)
    height, width = cover.shape
    if plain < style.plain:
        ink = np.broadcast_to(np.array([255 * part for part in colour], np.float32), under.shape)
    else:
        piece = _piece(source, key, f"scene ink piece {place}", style)[:height, :width]
        ink = piece.astype(np.float32) * np.float32(_CALM)  # else half of it has the brightness of what is under it
    below = _brightness(under, cover)
    away = style.contrast[0] + contrast * (style.contrast[1] - style.contrast[0])
    wanted = below + away if side < 0.5 or style.always_lighter else below - away
    if style.always_lighter:
        wanted = min(wanted, 235)
    elif not 20 <= wanted <= 235:
        wanted = 2 * below - wanted
    ink = np.clip(ink + np.float32(wanted - _brightness(ink, cover)), 0, 255)
    strength = cover[..., None] * np.float32(0.75 + 0.25 * opacity)
    under += (ink - under) * strength


def _brightness(pixels: NDArray[np.float32], cover: NDArray[np.float32]) -> float:
    """Mean of what is covered, in integers: a sum of floats would depend on the processor's vectors."""
    inside = pixels[_inside(cover)]
    return float(_weighted(inside).sum()) / (256 * max(1, len(inside)))


def _levels(picture: NDArray[np.float32]) -> NDArray[np.int64]:
    """(side, side): the brightness of each pixel, rounded."""
    return (_weighted(picture) + 128) >> 8


def _weighted(pixels: NDArray[np.float32]) -> NDArray[np.int64]:
    """256 times their brightness."""
    brightness: NDArray[np.int64] = _bytes(pixels).astype(np.int64) @ np.array([77, 150, 29])
    return brightness


def _grainy(picture: NDArray[np.float32], key: Key) -> Pixels:
    """With noise of a standard deviation of up to 8 levels, as the sum of two bytes has it."""
    grain = uniforms(key, "scene grain", 1)[0] * 8 / 104.5
    noise = random_bytes(key, "scene noise", 2 * picture.size).reshape(2, *picture.shape).astype(np.float32)
    return _bytes(picture + (noise.sum(axis=0) - 255) * np.float32(grain))


def _bytes(pixels: NDArray[Any]) -> Pixels:
    whole: Pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return whole
