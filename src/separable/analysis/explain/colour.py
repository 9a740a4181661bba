"""Colour scales whose equal steps look equal: short paths through CIELAB, walked at constant colour difference.

A scale for amounts rises in lightness all the way, so it reads without colour vision and in print; a scale for signed
values is dark in its middle and equally light at both ends, one blue and one orange.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLOURS", "coloured", "css_gradient", "scale"]

COLOURS = 256
"""Colours of a scale. A signed one has its neutral colour in the middle, between the two in the middle."""

# Stops as (lightness, chroma, hue in degrees) of CIELAB, inside what sRGB can show.
_AMOUNT = ((14, 30, 303), (33, 38, 285), (52, 27, 205), (73, 55, 148), (93, 70, 103))
_AGAINST = ((9, 0, 262), (30, 33, 278), (55, 40, 266), (82, 29, 240))
_IN_FAVOUR = ((9, 0, 40), (30, 34, 45), (55, 52, 60), (82, 51, 82))

# IEC 61966-2-1: linear sRGB to CIE XYZ, whose rows sum to the white point.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_DELTA = 6 / 29  # CIE 15:2004, 8.2.1: below its cube the cube root becomes a line


@cache
def scale(name: str) -> NDArray[np.uint8]:
    """(COLOURS, 3) sRGB of the scale "amount" (none to most) or "signed" (against to in favour)."""
    if name == "amount":
        path = _walk(_AMOUNT, COLOURS)
    else:
        half = COLOURS // 2
        path = np.concatenate([_walk(_AGAINST, 2 * half)[1::2][::-1], _walk(_IN_FAVOUR, 2 * half)[1::2]])
    table = np.rint(255 * np.clip(_srgb(path), 0, 1)).astype(np.uint8)
    table.flags.writeable = False
    return table


def coloured(values: NDArray[np.floating], limit: float, name: str = "amount") -> NDArray[np.uint8]:
    """(..., 3) sRGB of `values`: 0 to `limit`, or -`limit` to `limit` of a signed scale; beyond, the end's colour.

    Where the limit is 0 everything is: the colour of 0 all over.
    """
    low = -limit if name == "signed" else 0.0
    share = (values - low) / (limit - low) if limit > 0 else np.full(values.shape, 0.5 if name == "signed" else 0.0)
    index = np.clip(np.floor(share * COLOURS), 0, COLOURS - 1).astype(np.int64)
    found: NDArray[np.uint8] = scale(name)[index]
    return found


def css_gradient(name: str, stops: int = 17) -> str:
    """The scale as a CSS gradient from left to right."""
    chosen = scale(name)[np.linspace(0, COLOURS - 1, stops).round().astype(np.int64)]
    return f"linear-gradient(to right,{','.join('#' + bytes(colour.tolist()).hex() for colour in chosen)})"


def _walk(stops: tuple[tuple[float, float, float], ...], count: int) -> NDArray[np.float64]:
    """`count` CIELAB colours from the first to the last stop, the same Euclidean distance apart along a smooth path."""
    lab = np.array([_cartesian(*stop) for stop in stops], dtype=np.float64)
    knots = np.linspace(0, 1, len(stops))
    fine = np.linspace(0, 1, 4001)
    # The polynomial through the stops, one per coordinate.
    path = np.stack([np.polyval(np.polyfit(knots, axis, len(stops) - 1), fine) for axis in lab.T], axis=1)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    places = np.interp(np.linspace(0, length[-1], count), length, fine)
    return np.stack([np.interp(places, fine, axis) for axis in path.T], axis=1)


def _cartesian(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    angle = np.radians(hue)
    return lightness, chroma * float(np.cos(angle)), chroma * float(np.sin(angle))


def _srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB to sRGB in 0..1 where that can show it (CIE 15:2004 8.2.1, IEC 61966-2-1)."""
    middle = (lab[:, 0] + 16) / 116
    roots = np.stack([middle + lab[:, 1] / 500, middle, middle - lab[:, 2] / 200], axis=1)
    xyz = np.where(roots > _DELTA, roots**3, 3 * _DELTA**2 * (roots - 4 / 29)) * _TO_XYZ.sum(1)
    linear = xyz @ np.linalg.inv(_TO_XYZ).T
    curved = 1.055 * np.maximum(linear, 0.0) ** (1 / 2.4) - 0.055
    values: NDArray[np.float64] = np.where(linear <= 0.0031308, 12.92 * linear, curved)
    return values
