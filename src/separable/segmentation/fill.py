"""Outlines to pixels, exactly: a pixel is inside where its centre is, by the even-odd rule.

Coordinates are pixel corners: x to the right, y down, the first pixel's centre at (0.5, 0.5). A centre that lies on an
outline belongs to the side right of it, and a horizontal edge through centres to the side below: so polygons that
share an edge share no pixel and leave none out. Ties are decided in rational arithmetic, not by rounding.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from separable.errors import BadPictureError

__all__ = ["Ring", "as_ring", "fill"]

Ring = NDArray[np.float64]
"""(points, 2) x and y; closed by itself."""
Bits = NDArray[np.bool_]
_FARTHEST = 1e7  # above any picture; below it, fp64 places a crossing within 1e-8 of a pixel
_NEAR = 1e-6
_AT_ONCE = 1 << 20  # crossings held at a time: some 50 MB


def as_ring(points: Sequence[Sequence[float]] | NDArray[np.float64]) -> Ring:
    """Check an outline.

    Raises:
        BadPictureError: not pairs of finite numbers, or far outside of any picture.
    """
    try:
        ring = np.asarray(points, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadPictureError("an outline that is not a list of points") from error
    if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
        raise BadPictureError(f"an outline of shape {ring.shape}: it needs three points of two numbers at least")
    if not (np.isfinite(ring).all() and np.abs(ring).max() <= _FARTHEST):
        raise BadPictureError("an outline with coordinates that are not finite, or far outside of any picture")
    return ring


def fill(rings: Sequence[Ring], size: tuple[int, int]) -> Bits:
    """Which pixels of (height, width) lie within an odd number of the rings: holes are rings like any other."""
    height, width = size
    toggles = np.zeros((height, width + 1), bool)
    for ring in rings:
        edges = np.concatenate([ring, np.roll(ring, -1, axis=0)], axis=1)
        _cross(edges, toggles)
    return np.logical_xor.accumulate(toggles, axis=1)[:, :width]


def _cross(edges: NDArray[np.float64], toggles: Bits) -> None:
    """Flip, in every row that an edge (x0, y0, x1, y1) crosses, the first pixel whose centre is not left of it."""
    height, width = toggles.shape[0], toggles.shape[1] - 1
    upwards = edges[:, 1] > edges[:, 3]
    # From top to bottom, so that two polygons compute a shared edge alike.
    edges = np.where(upwards[:, None], edges[:, [2, 3, 0, 1]], edges)
    first, last = (np.clip(np.ceil(edges[:, k] - 0.5), 0, height).astype(np.int64) for k in (1, 3))
    counts = last - first
    edges, first, counts = edges[counts > 0], first[counts > 0], counts[counts > 0]
    start = 0
    ends = np.cumsum(counts)
    while start < len(edges):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
        of = np.repeat(np.arange(start, stop), counts[start:stop])
        rows = np.arange(len(of)) - np.repeat(ends[start:stop] - counts[start:stop] - done, counts[start:stop])
        rows += first[of]
        columns = np.clip(_columns(edges[of], rows), 0, width)
        np.logical_xor.at(toggles, (rows, columns), True)
        start = stop


def _columns(edges: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first column whose centre is at or right of the edge, in each row."""
    x0, y0, x1, y1 = edges.T
    place = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0)) - 0.5
    columns: NDArray[np.int64] = np.ceil(place).astype(np.int64)
    nearest = np.rint(place)
    # Vertical edges are exact as they are.
    for k in np.flatnonzero((np.abs(place - nearest) < _NEAR) & (x0 != x1)):
        a, b, c, d = (Fraction(float(value)) for value in edges[k])
        exact = a + (Fraction(int(rows[k])) + Fraction(1, 2) - b) * (c - a) / (d - b) - Fraction(1, 2)
        columns[k] = -(-exact.numerator // exact.denominator)
    return columns
