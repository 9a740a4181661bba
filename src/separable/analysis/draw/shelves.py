"""Panels beside the main line: in rows of a given width, or in a given number of columns, edges aligned."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from separable.analysis.draw.shapes import Piece, Rect, Shape, Text

__all__ = ["arrangements"]

_STRETCH = 0.4
"""A row is widened by at most this share of itself."""


def arrangements(pieces: Sequence[Piece], gap: float) -> Iterator[Piece]:
    """Sensible ways to place the panels, in their order; x starts at 0."""
    widest, total = max(piece.width for piece in pieces), sum(piece.width + gap for piece in pieces)
    width = widest
    while width < total + 40:
        yield _rows(pieces, width, gap)
        width += 40
    for count in range(1, min(4, len(pieces)) + 1):
        yield _stacks(pieces, count, gap)


def _rows(pieces: Sequence[Piece], width: float, gap: float) -> Piece:
    rows: list[list[Piece]] = [[]]
    for piece in pieces:
        if rows[-1] and sum(other.width + gap for other in rows[-1]) + piece.width > width:
            rows.append([])
        rows[-1].append(piece)
    lengths = [sum(piece.width + gap for piece in row) - gap for row in rows]
    longest = max(lengths)
    shapes: list[Shape] = []
    y = 0.0
    for row, length in zip(rows, lengths, strict=True):
        extra = longest - length if longest - length < _STRETCH * length else 0.0
        height = max(piece.height for piece in row)
        x = 0.0
        for piece in row:
            grown = _stretched(piece, piece.width + extra / len(row), height)
            shapes += grown.moved(x, y).shapes
            x += grown.width + gap
        y += height + gap
    return Piece(0, longest, y - gap, tuple(shapes), (), ())


def _stacks(pieces: Sequence[Piece], count: int, gap: float) -> Piece:
    heights = [piece.height + gap for piece in pieces]
    cuts = min(
        itertools.combinations(range(1, len(pieces)), count - 1),
        key=lambda inner: max(sum(heights[a:b]) for a, b in itertools.pairwise((0, *inner, len(pieces)))),
    )
    shapes: list[Shape] = []
    x = tallest = 0.0
    for start, end in itertools.pairwise((0, *cuts, len(pieces))):
        width = max(piece.width for piece in pieces[start:end])
        y = 0.0
        for piece in pieces[start:end]:
            shapes += _stretched(piece, width, piece.height).moved(x, y).shapes
            y += piece.height + gap
        tallest = max(tallest, y - gap)
        x += width + gap
    return Piece(0, x - gap, tallest, tuple(shapes), (), ())


def _stretched(piece: Piece, width: float, height: float) -> Piece:
    """The panel grown to `width` and `height`, its heading left where it is, the rest between its sides."""
    dx = (width - piece.width) / 2
    shapes = []
    for shape in piece.moved(dx, 0).shapes:
        if isinstance(shape, Rect) and shape.style == "panel":
            shape = replace(shape, x=shape.x - dx, width=width, height=height)
        elif isinstance(shape, Text) and shape.style in ("heading", "subheading"):
            shape = replace(shape, x=shape.x - dx)
        shapes.append(shape)
    return Piece(0, width, height, tuple(shapes), (), ())
